//! Simulation and personalisation of treatment models.
//!
//! The engine knows a [`System`] (a compiled model) and a [`Subject`] (what is known of a person over time, and what they are
//! given). How a model is solved is derived from its equations: exactly where they are linear, by integration with error
//! control where they are not, by recursion where they step.
//!
//! - [`course()`]: everything that can be followed, at any times, for one set of parameters;
//! - [`fit`]: the most probable parameters of one person given measurements, from several fixed starting points, with
//!   exact gradients;
//! - [`Fit::draws`]: parameter sets drawn from what is known of the person, corrected by importance resampling;
//! - [`predict`], [`auc`], [`SteadyState`], [`Prepared`]: the fast paths for models that are linear through and through, for
//!   many regimens and many parameter sets.
//!
//! Nothing here reads a clock, a file or a random device: the same input gives the same bytes, whatever the thread count.

// Matrices are indexed by row and column; iterators would hide which is which.
#![allow(clippy::needless_range_loop)]

mod course;
mod curves;
mod draws;
mod eigen;
mod evaluate;
mod expm;
mod field;
mod fit;
mod general;
mod layout;
mod likelihood;
mod linalg;
mod linear;
mod many;
mod modal;
mod modes;
mod objective;
mod ode;
mod omega;
mod parameters;
mod parts;
mod predict;
mod prior;
mod random;
mod regimens;
mod spectral;
mod steady;
mod subject;
mod system;
mod timeline;
mod walk;

pub use course::{Course as Trajectory, Follower, Values, course, course_of_draws, everything_of_draws};
pub use curves::quantile;
pub use draws::{Draws, Sample};
pub use fit::{Fit, FitOptions, Mode, fit, ofv_weights};
pub use many::{Follow, Followed, Past};
pub use omega::Omega;
pub use parameters::{End, Link, Parameter};
pub use parts::{
    Clock, Cycle, Density, ErrorForm, ErrorKind, ErrorModel, NotASystem, Output, Route, Routes, SystemParts,
};
pub use predict::{auc, predict};
pub use regimens::{LANES, Loading, Measures, Prepared, Regimen};
pub use steady::SteadyState;
pub use subject::{Course, Given, Regime, Settled, Subject};
pub use system::System;

use serde::{Deserialize, Serialize};

/// One dose given into the state that receives doses.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Dose {
    /// When it starts, in the unit of time of the model. It acts after an observation at the same time.
    pub time: f64,
    /// How much, in the unit of amount of the model.
    pub amount: f64,
    /// How long the infusion lasts, in the unit of time; 0 is a bolus.
    pub duration: f64,
}

/// What a measured value says.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub enum Bound {
    /// The value itself.
    #[default]
    Exact,
    /// Only that the truth lies below the value, as for a level below the limit of quantification.
    Below,
    /// Only that the truth lies above the value.
    Above,
    /// Only that the truth lies below the value and above this one.
    Between(f64),
}

/// One measurement.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Observation {
    /// When it was taken, in the unit of time of the model.
    pub time: f64,
    /// The value, in the unit of its output.
    pub value: f64,
    /// How the value is meant.
    pub bound: Bound,
    /// Which output, by its place in [`System::outputs`].
    pub output: usize,
}

/// How exactly states are integrated, where they have no closed form.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Precision {
    /// Relative error of a step; it covers derivatives and lanes too.
    pub relative: f64,
    /// Share of the largest size a state has had below which it counts as zero.
    pub floor: f64,
    /// Most steps of one walk.
    pub most_steps: usize,
    /// Whether states with a closed form are integrated all the same: for comparisons.
    pub integrate_all: bool,
    /// Whether readings between two events are interpolated (to order 4, about as exact as a step) instead of stepped onto: for
    /// courses read at many points.
    pub interpolate: bool,
}

impl Default for Precision {
    fn default() -> Self {
        Self {
            relative: 1e-8,
            floor: 1e-4,
            most_steps: 1_000_000,
            integrate_all: false,
            interpolate: false,
        }
    }
}

/// Why the engine gives no answer.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum EngineError {
    /// A dose, time, measurement, parameter or option that makes no sense.
    #[error("{what} is not usable: {why}")]
    Input {
        /// Which input.
        what: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// The model gave a value that is not a finite number.
    #[error("the model has no finite value for {what}")]
    NotFinite {
        /// What was being computed.
        what: &'static str,
    },
    /// The equations have no solution here.
    #[error("at time {time}, {what}: {why}")]
    Solution {
        /// Which state, or what else.
        what: String,
        /// Where.
        time: f64,
        /// What happened.
        why: String,
    },
    /// A variance matrix that is none.
    #[error("{what} is not positive definite")]
    NotPositiveDefinite {
        /// Which matrix.
        what: &'static str,
    },
    /// The search for the most probable parameters found no minimum from any start.
    #[error("no most probable parameters were found from any of {starts} starting points")]
    NoMode {
        /// How many starting points were tried.
        starts: usize,
    },
}

impl EngineError {
    pub(crate) fn input(what: &'static str, why: impl Into<String>) -> Self {
        Self::Input { what, why: why.into() }
    }
}

#[cfg(test)]
mod tests;
