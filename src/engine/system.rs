//! A checked linear system: what the engine simulates.

use super::EngineError;
use super::linalg::{cholesky, cholesky_inverse};
use crate::lang::linear::{Affine, NotLinear, affine};
use crate::lang::{Equations, NodeId, Number, Program};
use std::ops::Range;

/// Residual error of an output: `sd = sqrt(additive^2 + (proportional * prediction)^2)`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ErrorModel {
    /// Constant part of the standard deviation, in the unit of the output.
    pub additive: f64,
    /// Part proportional to the prediction, as a fraction.
    pub proportional: f64,
}

impl ErrorModel {
    /// Variance of a measurement at a prediction.
    pub fn variance(&self, prediction: f64) -> f64 {
        let part = self.proportional * prediction;
        self.additive * self.additive + part * part
    }
}

/// Something that is measured.
#[derive(Debug, Clone, PartialEq)]
pub struct Output {
    /// Its name in the equations.
    pub name: String,
    /// Its unit, a UCUM code.
    pub unit: String,
    /// Its residual error.
    pub error: ErrorModel,
}

/// Covariance of the random effects.
#[derive(Debug, Clone, PartialEq)]
pub struct Omega {
    size: usize,
    matrix: Vec<f64>,
    inverse: Vec<f64>,
    factor: Vec<f64>,
    sd: Vec<f64>,
}

impl Omega {
    /// A full matrix, row by row.
    ///
    /// # Errors
    /// A matrix that is not symmetric and positive definite.
    pub fn new(size: usize, matrix: Vec<f64>) -> Result<Self, EngineError> {
        let bad = || EngineError::NotPositiveDefinite {
            what: "omega, the covariance of the random effects,",
        };
        let symmetric = matrix.len() == size * size
            && (0..size).all(|i| (0..i).all(|j| (matrix[i * size + j] - matrix[j * size + i]).abs() <= 1e-12));
        if !symmetric {
            return Err(bad());
        }
        let factor = cholesky(size, &matrix).ok_or_else(bad)?;
        let inverse = cholesky_inverse(size, &factor);
        let sd = (0..size).map(|i| matrix[i * size + i].sqrt()).collect();
        Ok(Self {
            size,
            matrix,
            inverse,
            factor,
            sd,
        })
    }

    /// Number of random effects.
    pub fn size(&self) -> usize {
        self.size
    }

    /// The matrix, row by row.
    pub fn matrix(&self) -> &[f64] {
        &self.matrix
    }

    /// Its inverse, row by row.
    pub fn inverse(&self) -> &[f64] {
        &self.inverse
    }

    /// Its lower Cholesky factor, row by row.
    pub fn factor(&self) -> &[f64] {
        &self.factor
    }

    /// Standard deviation of each random effect.
    pub fn sd(&self) -> &[f64] {
        &self.sd
    }
}

/// What a [`System`] is made from.
#[derive(Debug, Clone)]
pub struct SystemParts {
    /// Equations over the parameters.
    pub equations: Equations,
    /// Parameters in the order of the inputs of the equations.
    pub parameters: Vec<String>,
    /// For each random effect, the parameter it acts on.
    pub effects: Vec<usize>,
    /// Covariance of the random effects.
    pub omega: Omega,
    /// The state that receives doses.
    pub dose_state: String,
    /// What is measured: each is a result or a state of the equations.
    pub outputs: Vec<Output>,
}

/// Why equations are not a linear system, and where in them.
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

/// States that change linearly with constant coefficients, with outputs that are linear in the states.
#[derive(Debug, Clone)]
pub struct System {
    states: Vec<String>,
    parameters: Vec<String>,
    effects: Vec<usize>,
    omega: Omega,
    dose_state: usize,
    outputs: Vec<Output>,
    /// Places of the first results of the program in the matrix of the states, row by row.
    matrix_places: Vec<usize>,
    /// Then places in the read-out of the outputs, output by output; then one offset an output.
    readout_places: Vec<usize>,
    program: Program,
}

/// The numbers of a system for one set of parameters.
#[derive(Debug, Clone)]
pub(crate) struct Coefficients<T> {
    pub(crate) matrix: Vec<T>,
    pub(crate) readout: Vec<T>,
    pub(crate) offset: Vec<T>,
    registers: Vec<T>,
    results: Vec<T>,
}

impl<T> Default for Coefficients<T> {
    fn default() -> Self {
        Self {
            matrix: Vec::new(),
            readout: Vec::new(),
            offset: Vec::new(),
            registers: Vec::new(),
            results: Vec::new(),
        }
    }
}

impl System {
    /// Takes the coefficients out of the equations.
    ///
    /// # Errors
    /// An equation or output that is not linear in the states, a source without a state, an unknown name.
    pub fn new(mut parts: SystemParts) -> Result<Self, NotASystem> {
        let states: Vec<String> = parts.equations.states.iter().map(|state| state.name.clone()).collect();
        let nodes: Vec<NodeId> = parts.equations.states.iter().map(|state| state.node).collect();
        let n = states.len();
        let unknown = |what: &str, name: &str, help: String| NotASystem {
            span: 0..0,
            message: format!("{what} `{name}` is not in the equations"),
            help,
        };
        let dose_state = states
            .iter()
            .position(|state| *state == parts.dose_state)
            .ok_or_else(|| {
                unknown(
                    "the state",
                    &parts.dose_state,
                    crate::lang::suggest::hint(&parts.dose_state, states.iter().map(String::as_str)),
                )
            })?;
        let mut wanted = Vec::new();
        let mut matrix_places = Vec::new();
        for (i, state) in parts.equations.states.clone().into_iter().enumerate() {
            let form = linear(
                &mut parts.equations,
                state.derivative,
                &nodes,
                &state.span,
                &format!("d/dt({})", state.name),
            )?;
            if parts.equations.graph.value(form.constant) != Some(0.0) {
                let term = parts.equations.graph.print(form.constant);
                return Err(NotASystem {
                    span: state.span,
                    message: format!("d/dt({}) has the term `{term}`, which no state multiplies", state.name),
                    help: "a constant source is not supported in this version; doses enter by themselves".to_owned(),
                });
            }
            for (j, node) in form.coefficients {
                matrix_places.push(i * n + j);
                wanted.push(node);
            }
        }
        let mut readout_places = Vec::new();
        let mut offsets = Vec::new();
        for (o, output) in parts.outputs.iter().enumerate() {
            let (node, span) = match parts.equations.result(&output.name) {
                Ok((node, result)) => (node, result.map_or(0..0, |result| result.span.clone())),
                Err(help) => return Err(unknown("the observed quantity", &output.name, help)),
            };
            let form = linear(&mut parts.equations, node, &nodes, &span, &output.name)?;
            for (j, node) in form.coefficients {
                readout_places.push(o * n + j);
                wanted.push(node);
            }
            offsets.push(form.constant);
        }
        wanted.extend(offsets);
        let program = Program::new(&parts.equations.graph, &wanted);
        Ok(Self {
            states,
            parameters: parts.parameters,
            effects: parts.effects,
            omega: parts.omega,
            dose_state,
            outputs: parts.outputs,
            matrix_places,
            readout_places,
            program,
        })
    }

    /// Names of the states.
    pub fn states(&self) -> &[String] {
        &self.states
    }

    /// Names of the parameters.
    pub fn parameters(&self) -> &[String] {
        &self.parameters
    }

    /// For each random effect (eta), the place of the parameter it acts on.
    pub fn effects(&self) -> &[usize] {
        &self.effects
    }

    /// Covariance of the random effects.
    pub fn omega(&self) -> &Omega {
        &self.omega
    }

    /// Place of the state that receives doses.
    pub fn dose_state(&self) -> usize {
        self.dose_state
    }

    /// What is measured.
    pub fn outputs(&self) -> &[Output] {
        &self.outputs
    }

    /// Individual parameters: `typical * exp(eta)`.
    pub fn individual(&self, typical: &[f64], eta: &[f64]) -> Vec<f64> {
        let mut parameters = typical.to_vec();
        for (effect, eta) in self.effects.iter().zip(eta) {
            if let Some(parameter) = parameters.get_mut(*effect) {
                *parameter *= eta.exp();
            }
        }
        parameters
    }

    pub(crate) fn check_parameters(&self, parameters: &[f64]) -> Result<(), EngineError> {
        if parameters.len() != self.parameters.len() {
            return Err(EngineError::input(
                "the list of parameters",
                format!("{} values for {} parameters", parameters.len(), self.parameters.len()),
            ));
        }
        match self
            .parameters
            .iter()
            .zip(parameters)
            .find(|(_, value)| !value.is_finite())
        {
            Some((name, value)) => Err(EngineError::input("a parameter", format!("{name} = {value}"))),
            None => Ok(()),
        }
    }

    pub(crate) fn check_output(&self, output: usize) -> Result<(), EngineError> {
        if output < self.outputs.len() {
            return Ok(());
        }
        Err(EngineError::input(
            "an output",
            format!("number {output} of {}", self.outputs.len()),
        ))
    }

    /// Runs the coefficient program.
    pub(crate) fn coefficients<T: Number>(&self, parameters: &[T], into: &mut Coefficients<T>) {
        let (n, o) = (self.states.len(), self.outputs.len());
        let zero = T::constant(0.0);
        into.matrix.clear();
        into.matrix.resize(n * n, zero);
        into.readout.clear();
        into.readout.resize(o * n, zero);
        into.results.resize(self.program.output_count(), zero);
        self.program.run(parameters, &mut into.registers, &mut into.results);
        let (matrix, rest) = into.results.split_at(self.matrix_places.len());
        let (readout, offset) = rest.split_at(self.readout_places.len());
        for (place, value) in self.matrix_places.iter().zip(matrix) {
            into.matrix[*place] = *value;
        }
        for (place, value) in self.readout_places.iter().zip(readout) {
            into.readout[*place] = *value;
        }
        into.offset.clear();
        into.offset.extend_from_slice(offset);
    }
}

fn linear(
    equations: &mut Equations,
    node: NodeId,
    states: &[NodeId],
    span: &Range<usize>,
    what: &str,
) -> Result<Affine, NotASystem> {
    affine(&mut equations.graph, node, states).map_err(|NotLinear(term)| NotASystem {
        span: span.clone(),
        message: format!(
            "{what} has the term `{}`, which is not linear in the states",
            equations.graph.print(term)
        ),
        help: "this version solves equations that are linear in the states with constant coefficients".to_owned(),
    })
}
