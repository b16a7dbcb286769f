//! Numbers taken from a sampled course.

use crate::model::twin_file::Take;

/// A stretch of a course: hours, ascending, and the value at each.
#[derive(Debug, Clone, Copy)]
pub struct Stretch<'a> {
    /// Hours from the moment that the window is counted from.
    pub hours: &'a [f64],
    /// Values.
    pub values: &'a [f64],
}

/// Hour at which a line between two points crosses a level.
fn crossing((t0, x0): (f64, f64), (t1, x1): (f64, f64), level: f64) -> f64 {
    if x1 == x0 {
        t1
    } else {
        t0 + (t1 - t0) * ((level - x0) / (x1 - x0)).clamp(0.0, 1.0)
    }
}

impl Stretch<'_> {
    fn points(&self) -> impl Iterator<Item = (f64, f64)> + Clone {
        self.hours.iter().copied().zip(self.values.iter().copied())
    }

    fn pairs(&self) -> impl Iterator<Item = ((f64, f64), (f64, f64))> {
        self.points().zip(self.points().skip(1))
    }

    /// Area over hours by the rule of pharmacokinetics: straight where values rise, exponential where they fall.
    fn area(&self) -> f64 {
        self.pairs()
            .map(|((t0, x0), (t1, x1))| {
                let falls = x1 > 0.0 && x1 < 0.999 * x0;
                let mean = if falls {
                    (x0 - x1) / (x0 / x1).ln()
                } else {
                    0.5 * (x0 + x1)
                };
                mean * (t1 - t0)
            })
            .sum()
    }

    fn span(&self) -> f64 {
        self.hours.last().copied().unwrap_or(0.0) - self.hours.first().copied().unwrap_or(0.0)
    }

    /// Hours on one side of a level, with a straight line between points.
    fn time(&self, level: f64, below: bool) -> f64 {
        let on_side = |x: f64| if below { x < level } else { x > level };
        self.pairs()
            .map(|(a, b)| match (on_side(a.1), on_side(b.1)) {
                (true, true) => b.0 - a.0,
                (false, false) => 0.0,
                (true, false) => crossing(a, b, level) - a.0,
                (false, true) => b.0 - crossing(a, b, level),
            })
            .sum()
    }

    /// First hour on one side of a level.
    fn first_time(&self, level: f64, below: bool) -> f64 {
        let on_side = |x: f64| if below { x < level } else { x > level };
        match self.points().next() {
            Some((t, x)) if on_side(x) => t,
            _ => self
                .pairs()
                .find(|(_, b)| on_side(b.1))
                .map_or(f64::NAN, |(a, b)| crossing(a, b, level)),
        }
    }

    /// The highest (`sign` 1) or lowest (-1) point, on the parabola through it and its neighbours.
    fn extreme(&self, sign: f64) -> (f64, f64) {
        let better = |a: &usize, b: &usize| {
            let value = |i: &usize| self.values.get(*i).map_or(f64::NEG_INFINITY, |x| sign * x);
            value(a).total_cmp(&value(b))
        };
        let Some(best) = (0..self.values.len()).max_by(better) else {
            return (f64::NAN, f64::NAN);
        };
        let point = |i: usize| Some((*self.hours.get(i)?, *self.values.get(i)?));
        let Some(top) = point(best) else {
            return (f64::NAN, f64::NAN);
        };
        let (Some(left), Some(right)) = (best.checked_sub(1).and_then(point), point(best + 1)) else {
            return top;
        };
        let (h, k) = (top.0 - left.0, right.0 - top.0);
        let rise = (top.1 - left.1) / h;
        let fall = (right.1 - top.1) / k;
        let curvature = (fall - rise) / (h + k);
        // Where a dose begins or an infusion ends there is a corner, not a bend: curved there and nowhere beside.
        let beside = |i: Option<usize>| -> Option<f64> {
            let (a, b, c) = (point(i?)?, point(i? + 1)?, point(i? + 2)?);
            Some((((c.1 - b.1) / (c.0 - b.0) - (b.1 - a.1) / (b.0 - a.0)) / (c.0 - a.0)).abs())
        };
        let near = [beside(best.checked_sub(2)), beside(Some(best))];
        let bend = near.into_iter().flatten().fold(0.0, f64::max);
        let corner = curvature.abs() > 4.0 * bend || h > 3.0 * k || k > 3.0 * h;
        if !curvature.is_finite() || curvature == 0.0 || corner {
            return top;
        }
        let slope = rise + curvature * h;
        let shift = (-0.5 * slope / curvature).clamp(-h, k);
        (top.0 + shift, top.1 + shift * (slope + curvature * shift))
    }

    /// The number; not-a-number where there is none, as for a time that never comes.
    #[must_use]
    pub fn take(&self, take: Take, level: f64) -> f64 {
        match take {
            Take::Area => self.area(),
            Take::Mean if self.span() > 0.0 => self.area() / self.span(),
            Take::Mean | Take::First => self.values.first().copied().unwrap_or(f64::NAN),
            Take::Last => self.values.last().copied().unwrap_or(f64::NAN),
            Take::Highest => self.extreme(1.0).1,
            Take::Lowest => self.extreme(-1.0).1,
            Take::TimeOfHighest => self.extreme(1.0).0,
            Take::TimeOfLowest => self.extreme(-1.0).0,
            Take::TimeBelow => self.time(level, true),
            Take::TimeAbove => self.time(level, false),
            Take::FirstTimeBelow => self.first_time(level, true),
            Take::FirstTimeAbove => self.first_time(level, false),
            Take::DoseIntensity | Take::DosePerWeek => f64::NAN,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(take: Take, level: f64) -> f64 {
        Stretch {
            hours: &[0.0, 1.0, 2.0, 4.0],
            values: &[0.0, 4.0, 2.0, 0.0],
        }
        .take(take, level)
    }

    #[test]
    fn the_area_of_an_exponential_is_exact_however_few_the_points() {
        let hours = [0.0, 5.0, 40.0];
        let values = hours.map(|t: f64| 10.0 * (-0.4 * t).exp());
        let stretch = Stretch {
            hours: &hours,
            values: &values,
        };
        assert!((stretch.take(Take::Area, f64::NAN) - 25.0).abs() < 1e-4);
    }

    #[test]
    fn an_extreme_between_points_is_found() {
        let hours = [0.0, 1.0, 2.0, 3.0];
        let values = hours.map(|t: f64| 5.0 - (t - 1.4).powi(2));
        let stretch = Stretch {
            hours: &hours,
            values: &values,
        };
        assert!((stretch.take(Take::Highest, f64::NAN) - 5.0).abs() < 1e-12);
        assert!((stretch.take(Take::TimeOfHighest, f64::NAN) - 1.4).abs() < 1e-12);
        // At the edge there is nothing to lean on.
        assert_eq!(stretch.take(Take::Lowest, f64::NAN), values[3]);
    }

    #[test]
    fn numbers_of_a_drawn_line() {
        let falling = 2.0 / 2.0_f64.ln();
        assert_eq!(of(Take::Area, f64::NAN), 2.0 + falling + 2.0);
        assert_eq!(of(Take::Mean, f64::NAN), (4.0 + falling) / 4.0);
        assert_eq!(of(Take::Lowest, f64::NAN), 0.0);
        assert_eq!(of(Take::Last, f64::NAN), 0.0);
        assert_eq!(of(Take::TimeAbove, 2.0), 0.5 + 1.0);
        assert_eq!(of(Take::TimeBelow, 2.0), 0.5 + 2.0);
        assert_eq!(of(Take::FirstTimeAbove, 1.0), 0.25);
        assert_eq!(of(Take::FirstTimeBelow, 1.0), 0.0);
        assert!(of(Take::FirstTimeAbove, 5.0).is_nan());
    }
}
