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

    /// Area by the trapezoidal rule, per hour.
    fn area(&self) -> f64 {
        self.pairs().map(|((t0, x0), (t1, x1))| 0.5 * (t1 - t0) * (x0 + x1)).sum()
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

    fn extreme(&self, sign: f64) -> (f64, f64) {
        self.points()
            .reduce(|best, point| if sign * point.1 > sign * best.1 { point } else { best })
            .unwrap_or((f64::NAN, f64::NAN))
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
    fn numbers_of_a_drawn_line() {
        assert_eq!(of(Take::Area, f64::NAN), 2.0 + 3.0 + 2.0);
        assert_eq!(of(Take::Mean, f64::NAN), 7.0 / 4.0);
        assert_eq!(of(Take::Highest, f64::NAN), 4.0);
        assert_eq!(of(Take::TimeOfHighest, f64::NAN), 1.0);
        assert_eq!(of(Take::Lowest, f64::NAN), 0.0);
        assert_eq!(of(Take::Last, f64::NAN), 0.0);
        assert_eq!(of(Take::TimeAbove, 2.0), 0.5 + 1.0);
        assert_eq!(of(Take::TimeBelow, 2.0), 0.5 + 2.0);
        assert_eq!(of(Take::FirstTimeAbove, 1.0), 0.25);
        assert_eq!(of(Take::FirstTimeBelow, 1.0), 0.0);
        assert!(of(Take::FirstTimeAbove, 5.0).is_nan());
    }
}
