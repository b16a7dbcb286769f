//! Simulation and personalisation of treatment models.
//!
//! The engine knows a [`System`]: states that change linearly with constant coefficients between doses, outputs that are
//! linear in the states, log-normal random effects, a residual error for each output. It solves such a system exactly: each
//! exponential mode is a scalar recursion from event to event, so there is no step size and no step error.
//!
//! - [`predict`] and [`auc`]: concentrations and exposure of one patient;
//! - [`fit`]: the most probable parameters of one patient given measurements, from several fixed starting points, with
//!   exact gradients;
//! - [`Fit::draws`]: parameter sets drawn from what is known of the patient, corrected by importance resampling;
//! - [`Prepared`]: many regimens for many parameter sets.
//!
//! Nothing here reads a clock, a file or a random device: the same input gives the same bytes, whatever the thread count.

// Matrices are indexed by row and column; iterators would hide which is which.
#![allow(clippy::needless_range_loop)]

mod curves;
mod draws;
mod eigen;
mod evaluate;
mod expm;
mod fit;
mod general;
mod likelihood;
mod linalg;
mod modes;
mod objective;
mod predict;
mod random;
mod regimens;
mod steady;
mod system;
mod timeline;

pub use draws::Draws;
pub use fit::{Fit, FitOptions, Mode, fit, ofv_weights};
pub use predict::{auc, predict};
pub use regimens::{LANES, Loading, Measures, Prepared, Regimen};
pub use steady::SteadyState;
pub use system::{ErrorModel, Omega, Output, System, SystemParts};

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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Bound {
    /// The value itself.
    #[default]
    Exact,
    /// Only that the truth lies below the value, as for a level below the limit of quantification.
    Below,
    /// Only that the truth lies above the value.
    Above,
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
