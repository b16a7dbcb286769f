//! One member of a twin followed in time under one plan, and the numbers that are taken from its courses.

use std::ops::Range;

use crate::{
    engine::{Dose, EngineError, Follow, Followed, Past, Precision, Subject},
    model::twin_file::{Measure, Since, Take, TwinFile, Window},
};

use super::{
    future::{due, settled, subject},
    personalise::{Member, Twin},
    plan::Plan,
    take::Stretch,
};

/// Points of a window from which numbers are taken, doses not counted.
const GRID: u32 = 40;
/// Accuracy of cards: three figures (interpolation is a little less exact than the steps).
const PRECISION: Precision = Precision {
    relative: 1e-4,
    floor: 1e-4,
    most_steps: 100_000,
    integrate_all: false,
    interpolate: true,
};

/// A number to be taken from a course.
struct Wanted<'f> {
    measure: &'f Measure,
    /// Place of the measure in the file; none for the exposure of the next day.
    place: Option<usize>,
    /// Hour from which times are counted.
    since: f64,
    /// First hour of its window.
    from: f64,
    /// Last hour of its window.
    to: f64,
    /// What it is multiplied with.
    scale: f64,
    /// Place of the output in a row of values.
    output: usize,
    /// The window among the hours.
    points: Range<usize>,
}

/// A member under a plan, the hours at which it must be followed, and what is taken.
pub(super) struct Task<'f> {
    subject: Subject,
    hours: Vec<f64>,
    wanted: Vec<Wanted<'f>>,
}

impl<'f> Task<'f> {
    /// For the measures at `places`, all at steady state or none, and the exposure of the next day. None where the plan says nothing
    /// about this member.
    pub(super) fn new(
        twin: &Twin,
        file: &'f TwinFile,
        member: &Member,
        plan: &Plan,
        places: &[usize],
        next_day: bool,
    ) -> Option<Self> {
        let now = twin.ledger.now;
        let start = due(twin, plan) + plan.delay;
        let first = twin.ledger.doses.first().map_or(start, |d| d.time);
        let measures = places.iter().filter_map(|i| Some((file.measures.get(*i)?, *i)));
        let steady = measures.clone().any(|(m, _)| m.window == Window::Steady);
        let (person, begins) = match steady {
            true => settled(twin, file, member, plan).map(|(person, begins)| (Some(person), begins))?,
            false => (None, 0.0),
        };
        let mut wanted = Vec::new();
        for (measure, place) in measures {
            let (since, from, to, scale) = match measure.window {
                Window::Steady => {
                    let round = plan.round();
                    let scale = match measure.take {
                        Take::Area => 24.0 / round,
                        Take::TimeBelow | Take::TimeAbove => 168.0 / round,
                        _ => 1.0,
                    };
                    // What is read at the moment of a dose stands before it.
                    (begins, begins + 1e-9 * round, begins + round, scale)
                }
                Window::Span { from, to, since } => {
                    let base = match since {
                        Since::Now => now,
                        Since::Dose => start,
                        Since::FirstDose => first,
                    };
                    (base, base + from, base + to, 1.0)
                }
            };
            wanted.push(Wanted {
                measure,
                place: Some(place),
                since,
                from,
                to,
                scale,
                output: self::place(member, &measure.output)?.0,
                points: 0..0,
            });
        }
        if let Some((_, measure)) = file.headline().filter(|_| next_day) {
            wanted.push(Wanted {
                measure,
                place: None,
                since: now,
                from: now,
                to: now + 24.0,
                scale: 1.0,
                output: self::place(member, &measure.output)?.0,
                points: 0..0,
            });
        }
        let end = wanted.iter().map(|w| w.to).fold(now, f64::max);
        let subject = match person {
            Some(subject) => subject,
            None => subject(twin, file, member, plan, end)?,
        };
        let doses: Vec<Dose> = subject
            .doses
            .iter()
            .map(|given| Dose {
                time: given.dose.time * member.hours,
                amount: given.dose.amount,
                duration: given.dose.duration * member.hours,
            })
            .collect();
        // The start of the course comes first, for changes from it.
        let mut hours = vec![0.0];
        for w in &mut wanted {
            let begin = hours.len();
            if matches!(w.measure.take, Take::First | Take::Last) {
                hours.extend([w.from, w.to]);
            } else {
                hours.extend(grid(w.from, w.to, GRID, &doses));
            }
            w.points = begin..hours.len();
        }
        Some(Self { subject, hours, wanted })
    }

    /// Takes the numbers of each draw: whether it had a solution, and the numbers with the places of their measures.
    pub(super) fn run(
        &self,
        member: &Member,
        effects: &[Vec<f64>],
        past: &Past,
        mut see: impl FnMut(bool, Vec<(Option<usize>, f64)>),
    ) -> Result<(), EngineError> {
        let width = past.followed().width(member.model.system());
        let mut column = Vec::with_capacity(self.hours.len());
        let mut since = Vec::with_capacity(self.hours.len());
        courses(member, &self.subject, effects, &self.hours, past, |found| {
            let numbers = self.wanted.iter().map(|w| {
                let number = found.map_or(f64::NAN, |rows| {
                    let at = |i: usize| rows.get(i * width + w.output).copied().unwrap_or(f64::NAN);
                    let start = if w.measure.change { at(0) } else { 0.0 };
                    column.clear();
                    column.extend(w.points.clone().map(|i| at(i) - start));
                    since.clear();
                    let hours = self.hours.get(w.points.clone()).unwrap_or_default();
                    since.extend(hours.iter().map(|t| t - w.since));
                    let stretch = Stretch {
                        hours: &since,
                        values: &column,
                    };
                    w.scale * stretch.take(w.measure.take, w.measure.level.unwrap_or(f64::NAN))
                });
                (w.place, number)
            });
            let numbers = numbers.collect();
            see(found.is_some(), numbers);
        })
    }
}

/// Evenly spaced hours with the beginning, the moment after and the end of each dose.
pub(super) fn grid(from: f64, to: f64, points: u32, doses: &[Dose]) -> Vec<f64> {
    let span = to - from;
    let moment = 1e-9 * span.max(1.0);
    let steps = (0..=points).map(|i| from + span * f64::from(i) / f64::from(points));
    let of_doses = doses
        .iter()
        .flat_map(|d| [d.time, d.time + moment, d.time + d.duration]);
    let mut hours: Vec<f64> = steps.chain(of_doses.filter(|t| *t > from && *t < to)).collect();
    hours.sort_by(f64::total_cmp);
    hours.dedup();
    hours
}

/// Place of an output in the values of a course, and what must be followed to have it.
pub(super) fn place(member: &Member, output: &str) -> Option<(usize, Followed)> {
    let system = member.model.system();
    let observed = system.outputs().iter().position(|o| o.name == output);
    let followed = || system.followed().iter().position(|f| f == output);
    observed
        .map(|i| (i, Followed::Outputs))
        .or_else(|| followed().map(|i| (system.outputs().len() + i, Followed::Everything)))
}

/// What a member's draws went through until now, with what must be followed to have all of some outputs.
pub(super) fn past<'o>(
    twin: &Twin,
    member: &Member,
    effects: &[Vec<f64>],
    hours: &[f64],
    mut outputs: impl Iterator<Item = &'o str>,
) -> Result<Past, EngineError> {
    let all = outputs.any(|output| place(member, output).is_some_and(|(_, what)| what == Followed::Everything));
    let followed = if all { Followed::Everything } else { Followed::Outputs };
    let times: Vec<f64> = hours.iter().map(|t| t / member.hours).collect();
    let now = twin.ledger.now / member.hours;
    let system = member.model.system();
    Past::new(system, &member.subject, effects, now, &times, followed, PRECISION)
}

/// Follows a member at `hours` since the origin, draw by draw, from the past of these draws on where it is that of `subject`.
pub(super) fn courses(
    member: &Member,
    subject: &Subject,
    effects: &[Vec<f64>],
    hours: &[f64],
    past: &Past,
    mut see: impl FnMut(Option<&[f64]>),
) -> Result<(), EngineError> {
    let times: Vec<f64> = hours.iter().map(|t| t / member.hours).collect();
    let mut follow = Follow::new(member.model.system(), subject, &times, past.followed(), PRECISION)?;
    follow.draws(effects, Some(past), |_, values| see(values));
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;
    use crate::{
        engine::Given,
        model::model_file::{Known, Model},
    };

    /// Largest error of the outputs of some draws against a solution at 1e-9, as a share of the largest value of each.
    fn error(path: &str, inputs: &[(&str, f64)], every: f64, dose: (f64, f64), times: usize) -> f64 {
        let model = Model::parse(path, &std::fs::read_to_string(format!("models/{path}")).unwrap()).unwrap();
        let value = |name: &str| inputs.iter().find(|(n, _)| *n == name).map(|(_, v)| *v);
        let known = Known {
            from: 0.0,
            inputs: model.inputs().iter().map(|input| value(&input.name)).collect(),
            occasion: None,
        };
        let doses: Vec<Dose> = (0..times)
            .map(|k| Dose {
                time: every * k as f64,
                amount: dose.0,
                duration: dose.1,
            })
            .collect();
        let given = doses.iter().copied().map(Given::from).collect();
        let subject = model.subject(&[known], given, Vec::new()).unwrap();
        let hours = grid(0.0, every * times as f64, 4 * GRID, &doses);
        let system = model.system();
        let m = system.effects().len();
        let effects: Vec<Vec<f64>> = (0..16_usize)
            .map(|k| (0..m).map(|j| 0.3 * ((7 * k + 3 * j) as f64).sin()).collect())
            .collect();
        let follow = |precision| {
            let mut all = Vec::new();
            Follow::new(system, &subject, &hours, Followed::Outputs, precision)
                .unwrap()
                .draws(&effects, None, |_, found| all.push(found.unwrap().to_vec()));
            all
        };
        let tight = Precision {
            relative: 1e-9,
            interpolate: false,
            ..PRECISION
        };
        let width = system.outputs().len();
        let mut worst = 0.0_f64;
        for (a, b) in follow(PRECISION).iter().zip(&follow(tight)) {
            for output in 0..width {
                let of = |all: &[f64]| all.iter().skip(output).step_by(width).copied().collect::<Vec<_>>();
                let (a, b) = (of(a), of(b));
                let largest = b.iter().fold(0.0_f64, |m, x| m.max(x.abs()));
                for (x, y) in a.iter().zip(&b) {
                    worst = worst.max((x - y).abs() / largest);
                }
            }
        }
        worst
    }

    #[test]
    fn courses_are_right_to_three_figures() {
        /// File, inputs, hours between doses, amount and duration of each, and their number.
        type Case = (&'static str, &'static [(&'static str, f64)], f64, (f64, f64), usize);
        let all: [Case; 4] = [
            (
                "warfarin/hamberg-2007.toml",
                &[("age", 67.0), ("cyp", 1.0), ("vk", 1.0), ("inr0", 1.1)],
                24.0,
                (5.0, 0.0),
                21,
            ),
            (
                "docetaxel/ozawa-2007-cycles.toml",
                &[("anc0", 5.0), ("aag", 0.0)],
                504.0,
                (140.0, 1.0),
                3,
            ),
            (
                "tocilizumab/frey-2010-2013.toml",
                &[
                    ("bsa", 1.8),
                    ("female", 1.0),
                    ("hdl", 55.0),
                    ("rf", 100.0),
                    ("tpro", 75.0),
                    ("alb", 39.0),
                    ("crcl", 100.0),
                    ("smoke", 0.0),
                    ("il6", 20.0),
                    ("haq", 1.6),
                    ("pain", 60.0),
                    ("phyvas", 60.0),
                ],
                28.0,
                (560.0, 0.04),
                4,
            ),
            (
                "rheumatoid-arthritis/xu-2019-ma-2020.toml",
                &[
                    ("wt", 71.0),
                    ("albr", 0.78),
                    ("crcl", 100.0),
                    ("crp", 14.2),
                    ("ada", 0.0),
                    ("female", 1.0),
                    ("phyvas", 66.0),
                    ("haq", 1.75),
                    ("pricort", 0.0),
                    ("smoke", 0.0),
                ],
                14.0,
                (200.0, 0.0),
                8,
            ),
        ];
        for (path, inputs, every, dose, times) in all {
            let found = error(path, inputs, every, dose, times);
            assert!(found < 1e-3, "{path}: {found:e}");
        }
    }
}
