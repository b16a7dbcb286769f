//! What a model is made of before it is compiled.

use super::omega::Omega;
use super::parameters::Parameter;
use crate::lang::{Equations, Graph, NodeId};
use std::ops::Range;

/// Residual error of an output, with its numbers.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub enum ErrorModel {
    /// `sd = sqrt(additive^2 + (proportional * prediction)^2)`.
    Combined {
        /// Constant part of the standard deviation, in the unit of the output.
        additive: f64,
        /// Part proportional to the prediction, as a fraction.
        proportional: f64,
    },
    /// The logarithms of value and prediction differ with this standard deviation.
    Log {
        /// Standard deviation on the logarithmic scale.
        sd: f64,
    },
    /// `sd = coefficient * prediction^exponent`.
    Power {
        /// Standard deviation at a prediction of 1.
        coefficient: f64,
        /// Power of the prediction.
        exponent: f64,
    },
}

/// The kinds of [`ErrorModel`], before their numbers are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// [`ErrorModel::Combined`]
    Combined,
    /// [`ErrorModel::Log`]
    Log,
    /// [`ErrorModel::Power`]
    Power,
}

/// Residual error as formulas of inputs and covariates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ErrorForm {
    /// Which kind.
    pub kind: ErrorKind,
    /// Its one or two numbers, in the order of the fields of [`ErrorModel`].
    pub numbers: [NodeId; 2],
}

/// Something that is measured.
#[derive(Debug, Clone, PartialEq)]
pub struct Output {
    /// Its name in the equations.
    pub name: String,
    /// Its unit, a UCUM code.
    pub unit: String,
    /// Its expression.
    pub node: NodeId,
    /// Its residual error.
    pub error: ErrorForm,
}

/// A state that receives doses, and how they enter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    /// Place of the state.
    pub state: usize,
    /// Fraction of the dose that enters.
    pub bioavailability: Option<NodeId>,
    /// Time from the dose to its entering.
    pub lag: Option<NodeId>,
    /// Duration of a zero-order dose whose data leave it to the model.
    pub duration: Option<NodeId>,
    /// Rate of the same.
    pub rate: Option<NodeId>,
}

impl Route {
    /// Into a state, at once and wholly.
    pub fn into_state(state: usize) -> Self {
        Self {
            state,
            bioavailability: None,
            lag: None,
            duration: None,
            rate: None,
        }
    }

    /// Whether doses enter at once and wholly.
    pub(crate) fn is_plain(&self, graph: &Graph) -> bool {
        let is = |node: Option<NodeId>, value: f64| node.is_none_or(|node| graph.value(node) == Some(value));
        is(self.bioavailability, 1.0) && is(self.lag, 0.0)
    }
}

/// The states that receive doses.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Routes {
    list: Vec<Route>,
    has_default: bool,
}

impl Routes {
    /// Those given, the one that is meant when a dose does not say first; any other of `states` states takes doses at once and
    /// wholly.
    pub fn new(given: Vec<Route>, states: usize) -> Self {
        let has_default = !given.is_empty();
        let mut list = given;
        for state in 0..states {
            if list.iter().all(|route| route.state != state) {
                list.push(Route::into_state(state));
            }
        }
        Self { list, has_default }
    }

    /// All of them.
    pub fn list(&self) -> &[Route] {
        &self.list
    }

    /// The route into a state, or the one meant when a dose does not say.
    pub fn find(&self, state: Option<usize>) -> Option<usize> {
        match state {
            None => self.has_default.then_some(0),
            Some(state) => self.list.iter().position(|route| route.state == state),
        }
    }
}

/// When states that change at ticks do so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clock {
    /// Time from tick to tick.
    pub every: NodeId,
    /// The first tick.
    pub from: NodeId,
}

/// A model that repeats itself.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cycle {
    /// Length of a cycle.
    pub length: NodeId,
    /// Largest relative change of a state from cycle to cycle that counts as settled.
    pub tolerance: f64,
    /// Most cycles to wait for that.
    pub at_most: usize,
}

/// A prior that is not Gaussian.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Density {
    /// The random effect it replaces the Gaussian prior of.
    pub effect: usize,
    /// Minus twice the logarithm of the density, without constants.
    pub penalty: NodeId,
}

/// What a [`System`] is made from.
#[derive(Debug, Clone)]
pub struct SystemParts {
    /// Equations over parameters, inputs and covariates.
    pub equations: Equations,
    /// Parameters in the order of the equations.
    pub parameters: Vec<Parameter>,
    /// Names of the random effects.
    pub effects: Vec<String>,
    /// Their covariance.
    pub omega: Omega,
    /// Random effects that are new on each occasion: names and variances.
    pub occasion_effects: Vec<(String, f64)>,
    /// Priors that are not Gaussian.
    pub densities: Vec<Density>,
    /// States that receive doses.
    pub routes: Routes,
    /// What is measured.
    pub outputs: Vec<Output>,
    /// Expressions to follow besides the outputs, by name.
    pub followed: Vec<(String, NodeId)>,
    /// Expressions whose area is followed.
    pub areas: Vec<NodeId>,
    /// Ticks, if any state changes at them.
    pub clock: Option<Clock>,
    /// Whether the model repeats itself.
    pub cycle: Option<Cycle>,
    /// Which inputs are interpolated between records; the others keep their last value.
    pub interpolated: Vec<bool>,
}

/// Why equations cannot be compiled, and where in them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct NotASystem {
    /// Bytes of the text of the equations.
    pub span: Range<usize>,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub help: String,
}
