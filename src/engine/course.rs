//! Everything that can be followed, at any times.

use super::subject::Subject;
use super::system::System;
use super::walk::Walker;
use super::{EngineError, Precision};
use crate::lang::{Lanes, Number};

/// Draws computed together.
const TOGETHER: usize = 8;

/// The individual a course is computed for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Values<'a> {
    /// Random effects: those of the person, then those of each occasion in turn.
    Effects(&'a [f64]),
    /// Individual parameters, the same in all regimes.
    Parameters(&'a [f64]),
}

/// Values over time.
#[derive(Debug, Clone, PartialEq)]
pub struct Course {
    width: usize,
    values: Vec<f64>,
    /// Individual parameters in the first regime.
    pub parameters: Vec<f64>,
}

impl Course {
    /// Values at the time of place `mark`: the outputs of the system, what is followed, areas.
    pub fn at(&self, mark: usize) -> &[f64] {
        self.values
            .get(mark * self.width..(mark + 1) * self.width)
            .unwrap_or_default()
    }
}

/// Follows one individual, at any times, again and again.
pub struct Follower<'a> {
    system: &'a System,
    walker: Walker<'a, f64>,
    width: usize,
}

impl<'a> Follower<'a> {
    /// An individual to follow.
    ///
    /// # Errors
    /// Unusable input.
    pub fn new(
        system: &'a System,
        subject: &'a Subject,
        individual: Values<'_>,
        precision: Precision,
    ) -> Result<Self, EngineError> {
        let mut walker: Walker<'_, f64> = Walker::new(system, subject, &[], false, precision)?;
        match individual {
            Values::Effects(eta) => walker.set_effects(eta),
            Values::Parameters(parameters) => {
                system.check_parameters(parameters)?;
                walker.set_parameters(parameters);
            }
        }
        let width = system.read.late.output_count();
        Ok(Self { system, walker, width })
    }

    /// Parameters, inputs and covariates in the first regime.
    pub fn fixed(&self) -> &[f64] {
        self.walker.fixed_at(f64::NEG_INFINITY)
    }

    /// Values at `times`.
    ///
    /// # Errors
    /// A solution that blows up, or a time that is not finite.
    pub fn course(&mut self, times: &[f64]) -> Result<Course, EngineError> {
        let width = self.width;
        let mut values = vec![f64::NAN; times.len() * width];
        self.walker.set_marks(times)?;
        self.walker
            .walk(|mark, found| values[mark * width..(mark + 1) * width].copy_from_slice(found))?;
        // What is only followed may have no value here or there; an output must.
        for (row, time) in values.chunks(width.max(1)).zip(times) {
            if let Some((output, _)) = self.system.outputs().iter().zip(row).find(|(_, x)| !x.is_finite()) {
                return Err(EngineError::Solution {
                    what: output.name.clone(),
                    time: *time,
                    why: "it has no finite value".to_owned(),
                });
            }
        }
        Ok(Course {
            width,
            values,
            parameters: self.walker.parameters().to_vec(),
        })
    }
}

/// Follows a person at `times`.
///
/// # Errors
/// Unusable input, a solution that blows up, or a value that is not finite.
pub fn course(
    system: &System,
    subject: &Subject,
    individual: Values<'_>,
    times: &[f64],
    precision: Precision,
) -> Result<Course, EngineError> {
    Follower::new(system, subject, individual, precision)?.course(times)
}

/// Follows the outputs of a system at `times` for many sets of random effects, several at a time. Calls `see` with the
/// number of the set and its values, time by time; `None` where the model has no solution for a set.
///
/// # Errors
/// Unusable input.
pub fn course_of_draws(
    system: &System,
    subject: &Subject,
    effects: &[Vec<f64>],
    times: &[f64],
    precision: Precision,
    see: impl FnMut(usize, Option<&[f64]>),
) -> Result<(), EngineError> {
    many(system, subject, effects, times, precision, true, see)
}

/// As [`course_of_draws`], with everything that can be followed: outputs, then [`System::followed`], then areas.
///
/// # Errors
/// Unusable input.
pub fn everything_of_draws(
    system: &System,
    subject: &Subject,
    effects: &[Vec<f64>],
    times: &[f64],
    precision: Precision,
    see: impl FnMut(usize, Option<&[f64]>),
) -> Result<(), EngineError> {
    many(system, subject, effects, times, precision, false, see)
}

fn many(
    system: &System,
    subject: &Subject,
    effects: &[Vec<f64>],
    times: &[f64],
    precision: Precision,
    outputs_only: bool,
    mut see: impl FnMut(usize, Option<&[f64]>),
) -> Result<(), EngineError> {
    let outputs = system.outputs().len();
    let width = if outputs_only { outputs } else { system.width() };
    let mut many: Walker<'_, Lanes<TOGETHER>> = Walker::new(system, subject, times, outputs_only, precision)?;
    let mut one: Walker<'_, f64> = Walker::new(system, subject, times, outputs_only, precision)?;
    let size = times.len() * width;
    let mut together = vec![Lanes::<TOGETHER>::constant(f64::NAN); size];
    let mut values = vec![f64::NAN; size];
    for (group, sets) in effects.chunks(TOGETHER).enumerate() {
        let m = sets.iter().map(Vec::len).max().unwrap_or(0);
        // The last group is filled up with copies.
        let of = |lane: usize| sets.get(lane).or(sets.last()).map_or(&[][..], Vec::as_slice);
        let eta: Vec<Lanes<TOGETHER>> = (0..m)
            .map(|j| Lanes::gather(|lane| of(lane).get(j).copied().unwrap_or(0.0)))
            .collect();
        let worked = sets.len() > 1 && {
            many.set_effects(&eta);
            let done = many.walk(|mark, found| together[mark * width..(mark + 1) * width].copy_from_slice(found));
            // What is only followed may have no value here or there; an output must.
            done.is_ok() && (together.chunks(width.max(1))).all(|row| row.iter().take(outputs).all(|x| x.is_finite()))
        };
        for (lane, set) in sets.iter().enumerate() {
            let number = group * TOGETHER + lane;
            if worked {
                for (value, lanes) in values.iter_mut().zip(&together) {
                    *value = lanes.lane(lane);
                }
                see(number, Some(&values));
            } else {
                one.set_effects(set);
                let done = one.walk(|mark, found| values[mark * width..(mark + 1) * width].copy_from_slice(found));
                let fine = (values.chunks(width.max(1))).all(|row| row.iter().take(outputs).all(|x| x.is_finite()));
                let fine = fine && done.is_ok();
                see(number, fine.then_some(values.as_slice()));
            }
        }
    }
    Ok(())
}
