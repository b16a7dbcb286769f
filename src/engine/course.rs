//! Everything that can be followed, at any times.

use super::subject::Subject;
use super::system::System;
use super::walk::Walker;
use super::{EngineError, Follow, Followed, Precision};

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
    Follow::new(system, subject, times, Followed::Outputs, precision)?.draws(effects, None, see);
    Ok(())
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
    Follow::new(system, subject, times, Followed::Everything, precision)?.draws(effects, None, see);
    Ok(())
}
