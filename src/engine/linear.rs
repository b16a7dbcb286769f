//! The coefficients of a model that is linear through and through: what the fast paths work on.

use super::parts::{Output, Routes};
use crate::lang::linear::affine;
use crate::lang::{Equations, NodeId, Number, Program};
use std::collections::HashSet;

/// States that change linearly with coefficients made of parameters only, one state that receives plain doses, outputs that are
/// linear in the states, nothing at the start.
#[derive(Debug, Clone)]
pub struct Linear {
    states: usize,
    dose_state: usize,
    outputs: usize,
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
    frame: crate::lang::Frame<T>,
    results: Vec<T>,
}

impl<T> Default for Coefficients<T> {
    fn default() -> Self {
        Self {
            matrix: Vec::new(),
            readout: Vec::new(),
            offset: Vec::new(),
            frame: crate::lang::Frame::default(),
            results: Vec::new(),
        }
    }
}

impl Linear {
    /// Takes the coefficients out of the equations; `None` if anything in them is more than this form can say.
    pub(crate) fn new(equations: &Equations, routes: &Routes, outputs: &[Output]) -> Option<Self> {
        let plain = equations.clocked.is_empty() && equations.graph.delays().is_empty() && !equations.states.is_empty();
        let zero = |node: NodeId| equations.graph.value(node) == Some(0.0);
        if !plain || !equations.states.iter().all(|state| zero(state.initial)) {
            return None;
        }
        let route = routes.list().first()?;
        if !route.is_plain(&equations.graph) {
            return None;
        }
        // Inputs and covariates may change in time, and so may what is made of them.
        let others = equations
            .inputs
            .iter()
            .chain(&equations.covariates)
            .chain([&equations.time]);
        let foreign: HashSet<NodeId> = others.copied().collect();
        let mut graph = equations.graph.clone();
        let nodes: Vec<NodeId> = equations.states.iter().map(|state| state.node).collect();
        let n = nodes.len();
        let mut wanted = Vec::new();
        let mut matrix_places = Vec::new();
        for (i, state) in equations.states.iter().enumerate() {
            let form = affine(&mut graph, state.change, &nodes).ok()?;
            if graph.value(form.constant) != Some(0.0) {
                return None;
            }
            for (j, node) in form.coefficients {
                matrix_places.push(i * n + j);
                wanted.push(node);
            }
        }
        let mut readout_places = Vec::new();
        let mut offsets = Vec::new();
        for (o, output) in outputs.iter().enumerate() {
            let form = affine(&mut graph, output.node, &nodes).ok()?;
            for (j, node) in form.coefficients {
                readout_places.push(o * n + j);
                wanted.push(node);
            }
            offsets.push(form.constant);
        }
        wanted.extend(offsets);
        let depends = graph.depends_on(&foreign);
        if wanted
            .iter()
            .any(|node| depends.get(node.index()).copied().unwrap_or(true))
        {
            return None;
        }
        Some(Self {
            states: n,
            dose_state: route.state,
            outputs: outputs.len(),
            matrix_places,
            readout_places,
            program: Program::over(&graph, &equations.parameters, &wanted),
        })
    }

    /// How many states there are.
    pub(crate) fn states(&self) -> usize {
        self.states
    }

    /// How many outputs there are.
    pub(crate) fn outputs(&self) -> usize {
        self.outputs
    }

    /// Place of the state that receives doses.
    pub(crate) fn dose_state(&self) -> usize {
        self.dose_state
    }

    /// Runs the coefficient program.
    pub(crate) fn coefficients<T: Number>(&self, parameters: &[T], into: &mut Coefficients<T>) {
        let (n, o) = (self.states, self.outputs);
        let zero = T::constant(0.0);
        into.matrix.clear();
        into.matrix.resize(n * n, zero);
        into.readout.clear();
        into.readout.resize(o * n, zero);
        into.results.resize(self.program.output_count(), zero);
        self.program.run(parameters, &mut into.frame, &mut into.results);
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
