//! A compiled model: what the engine simulates.
//!
//! How a model is solved is derived from its equations. States whose derivatives are linear in each other with coefficients that
//! stand still between events have a closed form; states that only add up others ("quadratures") have one too; the rest is
//! integrated, driven by the former. The same equations are also compiled with every state integrated, for parameters at which
//! no closed form exists.

use super::EngineError;
use super::linear::Linear;
use super::omega::Omega;
use super::parameters::Parameter;
use crate::lang::linear::affine;
use crate::lang::{Derivative, Equations, Graph, NodeId, Program, Staged};
use std::collections::HashSet;
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

/// Equations compiled for one way of solving them.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    /// States with a closed form.
    pub(crate) linear: Vec<usize>,
    /// States that add up those.
    pub(crate) sums: Vec<usize>,
    /// States that add up what stands still between events.
    pub(crate) stepped: Vec<usize>,
    /// States to integrate.
    pub(crate) integrated: Vec<usize>,
    /// From fixed values to coefficients: for each linear state and then each sum a row of as many numbers as there are linear
    /// states, then its constant.
    pub(crate) coefficients: Program,
    /// Derivatives of the stepped states.
    pub(crate) held: Staged,
    /// Derivatives of the integrated states.
    pub(crate) field: Staged,
    /// Entries of their Jacobian: see `jacobian_places`.
    pub(crate) jacobian: Staged,
    /// Row and column of each entry. Columns: integrated states, then time, then the linear states.
    pub(crate) jacobian_places: Vec<(usize, usize)>,
    /// Linear states (places in `linear`) that drive the integrated ones.
    pub(crate) drivers: Vec<usize>,
}

/// Both ways of solving the same states.
#[derive(Debug, Clone)]
pub(crate) struct Layouts {
    /// Whatever has a closed form in closed form, the rest integrated.
    pub(crate) split: Layout,
    /// Everything integrated.
    pub(crate) whole: Layout,
}

/// Times at which the equations may bend.
#[derive(Debug, Clone)]
pub(crate) struct Breaks {
    /// From fixed values: times of single breaks, then pairs (offset, slope) such that `offset + slope*t` breaks at whole numbers.
    pub(crate) program: Program,
    /// How many of the results are single breaks.
    pub(crate) single: usize,
}

/// A compiled model.
#[derive(Debug, Clone)]
pub struct System {
    states: Vec<String>,
    state_units: Vec<String>,
    clocked: Vec<String>,
    parameter_names: Vec<String>,
    pub(crate) parameters: Vec<Parameter>,
    effects: Vec<usize>,
    effect_names: Vec<String>,
    omega: Omega,
    occasion_effects: Vec<(String, f64)>,
    pub(crate) density_effects: Vec<usize>,
    pub(crate) densities: Program,
    routes: Routes,
    outputs: Vec<Output>,
    followed: Vec<String>,
    pub(crate) area_states: Vec<usize>,
    pub(crate) inputs: usize,
    pub(crate) covariates: usize,
    pub(crate) interpolated: Vec<bool>,
    /// Input (by place) that each delayed value reads.
    pub(crate) delays: Vec<usize>,
    pub(crate) lags: Program,
    pub(crate) linear: Option<Linear>,
    /// All states.
    pub(crate) full: Layouts,
    /// Only those that the outputs need.
    pub(crate) lean: Layouts,
    pub(crate) initial: Program,
    pub(crate) tick: Staged,
    /// Four numbers a route: bioavailability, lag, duration, rate; over fixed values and the time of the dose.
    pub(crate) dosing: Program,
    pub(crate) errors: Program,
    /// Every clock: interval and first tick. Every cycle: length.
    pub(crate) pace: Program,
    pub(crate) has_clock: bool,
    pub(crate) cycle: Option<(f64, usize)>,
    pub(crate) breaks: Breaks,
    /// Outputs only.
    pub(crate) observed: Staged,
    /// Outputs, then everything followed.
    pub(crate) read: Staged,
}

/// Numbers of a route in [`System::dosing`].
pub(crate) const ROUTE_NUMBERS: usize = 4;

impl System {
    /// Compiles a model.
    ///
    /// # Errors
    /// A lag of an input that changes with time or a state; doses for a model without states; anything else that cannot be solved.
    pub fn new(mut parts: SystemParts) -> Result<Self, NotASystem> {
        let linear = if parts.clock.is_none() && parts.cycle.is_none() {
            Linear::new(&parts.equations, &parts.routes, &parts.outputs)
        } else {
            None
        };
        let area_states = add_areas(&mut parts);
        let e = &mut parts.equations;
        let interpolated = |place: usize| parts.interpolated.get(place).copied().unwrap_or(false);
        let graph_inputs: Vec<NodeId> = e.graph.input_nodes().collect();
        let delays = e.graph.delays().to_vec();
        let stand_ins: Vec<NodeId> = delays
            .iter()
            .filter_map(|d| graph_inputs.get(d.stands_for).copied())
            .collect();
        let fixed: Vec<NodeId> = e
            .parameters
            .iter()
            .chain(&e.inputs)
            .chain(&e.covariates)
            .copied()
            .collect();
        let moving_inputs = e
            .inputs
            .iter()
            .enumerate()
            .filter(|(i, _)| interpolated(*i))
            .map(|(_, node)| *node);
        // In this order the late inputs of every program stand: time, states, clocked states, moving inputs, delayed inputs.
        let mut late = vec![e.time];
        late.extend(e.states.iter().chain(&e.clocked).map(|state| state.node));
        late.extend(moving_inputs);
        late.extend(&stand_ins);
        let mut delayed_inputs = Vec::new();
        for delay in &delays {
            let input = graph_inputs
                .get(delay.input)
                .and_then(|node| e.inputs.iter().position(|input| input == node));
            let late_set: HashSet<NodeId> = late.iter().copied().collect();
            let lag_moves = e
                .graph
                .depends_on(&late_set)
                .get(delay.lag.index())
                .copied()
                .unwrap_or(true);
            match input {
                Some(input) if !lag_moves => delayed_inputs.push(input),
                _ => {
                    return Err(NotASystem {
                        span: 0..0,
                        message: "`delay` reads an input of the model, with a lag that does not change".to_owned(),
                        help: "the lag may be made of parameters, inputs and covariates".to_owned(),
                    });
                }
            }
        }
        let late_set: HashSet<NodeId> = late.iter().copied().collect();
        let reads = Reads::of(e);
        let everything = vec![true; e.states.len()];
        let full = layouts(
            e,
            &fixed,
            &late,
            &parts.interpolated,
            &delayed_inputs,
            &reads,
            &everything,
        );
        let wanted: Vec<NodeId> = parts.outputs.iter().map(|output| output.node).collect();
        let needed = reads.needed(e, &wanted);
        let lean = layouts(e, &fixed, &late, &parts.interpolated, &delayed_inputs, &reads, &needed);
        let breaks = breaks(e, &fixed, &late_set);
        let initial: Vec<NodeId> = e.states.iter().chain(&e.clocked).map(|state| state.initial).collect();
        let ticks: Vec<NodeId> = e.clocked.iter().map(|state| state.change).collect();
        let timed: Vec<NodeId> = fixed.iter().copied().chain([e.time]).collect();
        let (one, zero, none) = (e.graph.constant(1.0), e.graph.constant(0.0), e.graph.constant(f64::NAN));
        let dosing: Vec<NodeId> = parts
            .routes
            .list()
            .iter()
            .flat_map(|r| {
                [
                    r.bioavailability.unwrap_or(one),
                    r.lag.unwrap_or(zero),
                    r.duration.unwrap_or(none),
                    r.rate.unwrap_or(none),
                ]
            })
            .collect();
        let mut pace: Vec<NodeId> = parts.clock.iter().flat_map(|clock| [clock.every, clock.from]).collect();
        pace.extend(parts.cycle.map(|cycle| cycle.length));
        let errors: Vec<NodeId> = parts.outputs.iter().flat_map(|output| output.error.numbers).collect();
        let observed: Vec<NodeId> = parts.outputs.iter().map(|output| output.node).collect();
        let mut read = observed.clone();
        read.extend(parts.followed.iter().map(|(_, node)| *node));
        read.extend(area_states.iter().map(|place| e.states[*place].node));
        let penalties: Vec<NodeId> = parts.densities.iter().map(|density| density.penalty).collect();
        let lags: Vec<NodeId> = delays.iter().map(|delay| delay.lag).collect();
        let effects = (0..parts.effects.len())
            .map(|effect| {
                let acts = |p: &Parameter| p.effect == Some(effect);
                parts.parameters.iter().position(acts).unwrap_or(usize::MAX)
            })
            .collect();
        let graph = &e.graph;
        let read_late = |outputs: &[NodeId]| Staged::new(graph, &fixed, &late, outputs);
        Ok(Self {
            states: e.states.iter().map(|state| state.name.clone()).collect(),
            state_units: e.states.iter().map(|state| state.unit.to_string()).collect(),
            clocked: e.clocked.iter().map(|state| state.name.clone()).collect(),
            parameter_names: parts.parameters.iter().map(|p| p.name.clone()).collect(),
            effects,
            effect_names: parts.effects,
            omega: parts.omega,
            occasion_effects: parts.occasion_effects,
            density_effects: parts.densities.iter().map(|density| density.effect).collect(),
            densities: Program::over(graph, &fixed, &penalties),
            inputs: e.inputs.len(),
            covariates: e.covariates.len(),
            delays: delayed_inputs,
            lags: Program::over(graph, &fixed, &lags),
            linear,
            full,
            lean,
            initial: Program::over(graph, &fixed, &initial),
            tick: read_late(&ticks),
            dosing: Program::over(graph, &timed, &dosing),
            errors: Program::over(graph, &fixed, &errors),
            pace: Program::over(graph, &fixed, &pace),
            has_clock: parts.clock.is_some(),
            cycle: parts.cycle.map(|cycle| (cycle.tolerance, cycle.at_most)),
            breaks,
            observed: read_late(&observed),
            read: read_late(&read),
            followed: parts.followed.into_iter().map(|(name, _)| name).collect(),
            parameters: parts.parameters,
            routes: parts.routes,
            outputs: parts.outputs,
            area_states,
            interpolated: parts.interpolated,
        })
    }

    /// Names of the states that change all the time; areas that are followed come last.
    pub fn states(&self) -> &[String] {
        &self.states
    }

    /// Units of the states.
    pub fn state_units(&self) -> &[String] {
        &self.state_units
    }

    /// Names of the states that change at ticks.
    pub fn clocked(&self) -> &[String] {
        &self.clocked
    }

    /// Names of the parameters.
    pub fn parameters(&self) -> &[String] {
        &self.parameter_names
    }

    /// For each random effect (eta), the place of the first parameter it acts on.
    pub fn effects(&self) -> &[usize] {
        &self.effects
    }

    /// Names of the random effects.
    pub fn effect_names(&self) -> &[String] {
        &self.effect_names
    }

    /// Covariance of the random effects.
    pub fn omega(&self) -> &Omega {
        &self.omega
    }

    /// Random effects that are new on each occasion: names and variances.
    pub fn occasion_effects(&self) -> &[(String, f64)] {
        &self.occasion_effects
    }

    /// States that receive doses.
    pub fn routes(&self) -> &Routes {
        &self.routes
    }

    /// What is measured.
    pub fn outputs(&self) -> &[Output] {
        &self.outputs
    }

    /// Names of what is followed besides the outputs.
    pub fn followed(&self) -> &[String] {
        &self.followed
    }

    /// The length of a cycle for these fixed values, if the model repeats itself.
    pub fn cycle_length(&self, fixed: &[f64]) -> Option<f64> {
        self.cycle?;
        self.pace.values(fixed).last().copied()
    }

    /// Place among the values of a course of the area with number `area`.
    pub fn area_place(&self, area: usize) -> usize {
        self.outputs.len() + self.followed.len() + area
    }

    /// Whether the model repeats itself and is only read once it has settled.
    pub fn is_cyclic(&self) -> bool {
        self.cycle.is_some()
    }

    /// How the states are solved, for people: in closed form, as sums, by integration.
    pub fn solution(&self) -> [Vec<&str>; 3] {
        let names = |places: &[usize]| {
            places
                .iter()
                .filter_map(|i| self.states.get(*i))
                .map(String::as_str)
                .collect()
        };
        [
            names(&self.full.split.linear),
            names(&[self.full.split.sums.as_slice(), &self.full.split.stepped].concat()),
            names(&self.full.split.integrated),
        ]
    }

    /// Whether the model is linear through and through, with plain doses into one state: what the fast paths need.
    pub fn is_plain(&self) -> bool {
        self.linear.is_some()
    }

    /// The linear form that the fast paths need.
    ///
    /// # Errors
    /// A model that is more than that.
    pub(crate) fn linear(&self) -> Result<&Linear, EngineError> {
        self.linear.as_ref().ok_or_else(|| {
            EngineError::input(
                "this model",
                "only a model that is linear in its states, with plain doses into one of them, can be used here",
            )
        })
    }

    /// Individual parameters of a typical person with these random effects.
    pub fn individual(&self, typical: &[f64], eta: &[f64]) -> Vec<f64> {
        let mut out = Vec::with_capacity(typical.len());
        super::parameters::individual(&self.parameters, typical, eta, &[], &mut out);
        out
    }

    /// Residual errors for these inputs and covariates.
    pub(crate) fn errors_of(&self, fixed: &[f64]) -> Vec<ErrorModel> {
        let numbers = self.errors.values(fixed);
        self.outputs
            .iter()
            .zip(numbers.chunks(2))
            .map(|(output, numbers)| {
                let number = |i: usize| numbers.get(i).copied().unwrap_or(f64::NAN);
                match output.error.kind {
                    ErrorKind::Combined => ErrorModel::Combined {
                        additive: number(0),
                        proportional: number(1),
                    },
                    ErrorKind::Log => ErrorModel::Log { sd: number(0) },
                    ErrorKind::Power => ErrorModel::Power {
                        coefficient: number(0),
                        exponent: number(1),
                    },
                }
            })
            .collect()
    }

    pub(crate) fn check_parameters(&self, parameters: &[f64]) -> Result<(), EngineError> {
        if parameters.len() != self.parameters.len() {
            return Err(EngineError::input(
                "the list of parameters",
                format!("{} values for {} parameters", parameters.len(), self.parameters.len()),
            ));
        }
        match self
            .parameter_names
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
}

/// Adds a state for each area that is followed.
fn add_areas(parts: &mut SystemParts) -> Vec<usize> {
    let zero = parts.equations.graph.constant(0.0);
    let mut places = Vec::new();
    for (k, node) in parts.areas.iter().enumerate() {
        let name = format!("area {}", k + 1);
        let state = parts.equations.graph.input(&name);
        places.push(parts.equations.states.len());
        parts.equations.states.push(crate::lang::equations::State {
            name,
            node: state,
            change: *node,
            initial: zero,
            unit: crate::lang::Unit::ONE,
            span: 0..0,
        });
    }
    places
}

/// Which states the change of each state, and each other expression, depends on.
struct Reads {
    /// For each state, the nodes that depend on it.
    by_state: Vec<Vec<bool>>,
}

impl Reads {
    fn of(e: &Equations) -> Self {
        let nodes = e.states.iter().map(|state| state.node);
        Self {
            by_state: nodes.map(|node| e.graph.depends_on(&[node].into())).collect(),
        }
    }

    fn reads(&self, node: NodeId, state: usize) -> bool {
        self.by_state
            .get(state)
            .is_some_and(|nodes| nodes.get(node.index()).copied().unwrap_or(false))
    }

    /// Whether the change of any of the `wanted` states depends on a state.
    fn drives(&self, e: &Equations, state: usize, wanted: &[bool]) -> bool {
        let changes = e
            .states
            .iter()
            .zip(wanted)
            .filter(|(_, wanted)| **wanted)
            .map(|(state, _)| state.change);
        let mut all = changes.chain(e.clocked.iter().map(|state| state.change));
        all.any(|change| self.reads(change, state))
    }

    /// The states that `nodes` need, directly or through others. States that change at ticks are always followed.
    fn needed(&self, e: &Equations, nodes: &[NodeId]) -> Vec<bool> {
        let mut todo: Vec<NodeId> = nodes
            .iter()
            .copied()
            .chain(e.clocked.iter().map(|state| state.change))
            .collect();
        let mut needed = vec![false; e.states.len()];
        while let Some(node) = todo.pop() {
            for (i, state) in e.states.iter().enumerate() {
                if !needed[i] && self.reads(node, i) {
                    needed[i] = true;
                    todo.push(state.change);
                }
            }
        }
        needed
    }
}

/// One row of coefficients over the linear states, and the constant.
type Row = (Vec<NodeId>, NodeId);

/// Both ways of solving the `wanted` states.
fn layouts(
    e: &mut Equations,
    fixed: &[NodeId],
    late: &[NodeId],
    interpolated: &[bool],
    delayed: &[usize],
    reads: &Reads,
    wanted: &[bool],
) -> Layouts {
    let late_set: HashSet<NodeId> = late.iter().copied().collect();
    let (linear, sums, rows) = closed_form(e, &late_set, reads, wanted);
    // What moves between events: time, states, inputs that are interpolated.
    let mut moving: HashSet<NodeId> = e.states.iter().map(|state| state.node).chain([e.time]).collect();
    let inputs = e
        .inputs
        .iter()
        .zip(interpolated)
        .filter(|(_, on)| **on)
        .map(|(node, _)| *node);
    moving.extend(inputs);
    if delayed
        .iter()
        .any(|input| interpolated.get(*input).copied().unwrap_or(false))
    {
        moving.extend(late);
    }
    let moves = e.graph.depends_on(&moving);
    let rest = (0..e.states.len()).filter(|i| wanted[*i] && !linear.contains(i) && !sums.contains(i));
    let (stepped, integrated) = rest.partition(|i| {
        let still = !moves.get(e.states[*i].change.index()).copied().unwrap_or(true);
        still && !reads.drives(e, *i, wanted)
    });
    let split = Solved {
        linear,
        sums,
        stepped,
        integrated,
    };
    let whole = Solved {
        integrated: (0..e.states.len()).filter(|i| wanted[*i]).collect(),
        ..Solved::default()
    };
    Layouts {
        split: layout(e, fixed, late, split, rows),
        whole: layout(e, fixed, late, whole, Vec::new()),
    }
}

/// States by how they are solved.
#[derive(Default)]
struct Solved {
    linear: Vec<usize>,
    sums: Vec<usize>,
    stepped: Vec<usize>,
    integrated: Vec<usize>,
}

/// Finds the states with a closed form: linear in each other with coefficients that stand still. Returns the states that
/// others depend on, those that only add up, and their coefficients.
fn closed_form(
    e: &mut Equations,
    late: &HashSet<NodeId>,
    reads: &Reads,
    wanted: &[bool],
) -> (Vec<usize>, Vec<usize>, Vec<Row>) {
    let states: Vec<NodeId> = e.states.iter().map(|state| state.node).collect();
    let changes: Vec<NodeId> = e.states.iter().map(|state| state.change).collect();
    let mut forms = Vec::with_capacity(states.len());
    for change in &changes {
        forms.push(affine(&mut e.graph, *change, &states).ok());
    }
    let moves = e.graph.depends_on(late);
    let still = |node: NodeId| !moves.get(node.index()).copied().unwrap_or(true);
    let mut chosen: Vec<bool> = forms
        .iter()
        .map(|form| {
            form.as_ref()
                .is_some_and(|f| still(f.constant) && f.coefficients.values().all(|c| still(*c)))
        })
        .collect();
    // A state that depends on one without closed form has none itself.
    loop {
        let before = chosen.clone();
        for (i, form) in forms.iter().enumerate() {
            let fine = form.as_ref().is_some_and(|f| f.coefficients.keys().all(|j| before[*j]));
            chosen[i] = chosen[i] && fine;
        }
        if chosen == before {
            break;
        }
    }
    let (mut core, mut sums) = (Vec::new(), Vec::new());
    for i in (0..states.len()).filter(|i| chosen[*i] && wanted[*i]) {
        if reads.drives(e, i, wanted) {
            core.push(i);
        } else {
            sums.push(i);
        }
    }
    let zero = e.graph.constant(0.0);
    let rows = core
        .iter()
        .chain(&sums)
        .filter_map(|i| {
            let form = forms[*i].as_ref()?;
            let row = core
                .iter()
                .map(|j| form.coefficients.get(j).copied().unwrap_or(zero))
                .collect();
            Some((row, form.constant))
        })
        .collect();
    (core, sums, rows)
}

fn layout(e: &mut Equations, fixed: &[NodeId], late: &[NodeId], solved: Solved, rows: Vec<Row>) -> Layout {
    let Solved {
        linear,
        sums,
        stepped,
        integrated,
    } = solved;
    let zero = e.graph.constant(0.0);
    let node_of = |e: &Equations, i: usize| e.states[i].node;
    let outputs: Vec<NodeId> = integrated.iter().map(|i| e.states[*i].change).collect();
    let mut columns: Vec<NodeId> = integrated.iter().map(|i| node_of(e, *i)).collect();
    columns.push(e.time);
    columns.extend(linear.iter().map(|i| node_of(e, *i)));
    let mut places = Vec::new();
    let mut entries = Vec::new();
    for (column, input) in columns.iter().enumerate() {
        let mut derivative = Derivative::new(*input);
        for (row, output) in outputs.iter().enumerate() {
            let node = derivative.of(&mut e.graph, *output);
            if node != zero {
                places.push((row, column));
                entries.push(node);
            }
        }
    }
    let first_linear = integrated.len() + 1;
    let needed: Vec<usize> = (0..linear.len())
        .filter(|k| {
            let only: HashSet<NodeId> = [node_of(e, linear[*k])].into();
            let depends = e.graph.depends_on(&only);
            outputs
                .iter()
                .chain(&entries)
                .any(|node| depends.get(node.index()).copied().unwrap_or(true))
                || places.iter().any(|(_, column)| *column == first_linear + k)
        })
        .collect();
    let coefficients: Vec<NodeId> = rows
        .into_iter()
        .flat_map(|(row, constant)| row.into_iter().chain([constant]))
        .collect();
    Layout {
        coefficients: Program::over(&e.graph, fixed, &coefficients),
        held: Staged::new(
            &e.graph,
            fixed,
            late,
            &stepped.iter().map(|i| e.states[*i].change).collect::<Vec<_>>(),
        ),
        stepped,
        field: Staged::new(&e.graph, fixed, late, &outputs),
        jacobian: Staged::new(&e.graph, fixed, late, &entries),
        jacobian_places: places,
        drivers: needed,
        linear,
        sums,
        integrated,
    }
}

/// Where conditions on the time turn: there a step must end, or the solver would have to feel its way to the corner.
fn breaks(e: &mut Equations, fixed: &[NodeId], late: &HashSet<NodeId>) -> Breaks {
    use crate::lang::graph::Bend;
    let changes: Vec<NodeId> = e.states.iter().chain(&e.clocked).map(|state| state.change).collect();
    let bends = e.graph.bends(&changes);
    let (mut single, mut repeated) = (Vec::new(), Vec::new());
    for bend in bends {
        let margin = match bend {
            Bend::Turn(margin) | Bend::Steps(margin) => margin,
        };
        let Ok(form) = affine(&mut e.graph, margin, &[e.time]) else {
            continue;
        };
        let Some(slope) = form.coefficients.get(&0).copied() else {
            continue;
        };
        let moves = e.graph.depends_on(late);
        let still = |node: NodeId| !moves.get(node.index()).copied().unwrap_or(true);
        if !still(slope) || !still(form.constant) {
            continue;
        }
        match bend {
            Bend::Turn(_) => {
                let over = e.graph.binary(crate::lang::parser::BinaryOp::Div, form.constant, slope);
                single.push(e.graph.unary(crate::lang::parser::UnaryOp::Neg, over));
            }
            Bend::Steps(_) => repeated.extend([form.constant, slope]),
        }
    }
    single.sort();
    single.dedup();
    let count = single.len();
    single.extend(repeated);
    Breaks {
        program: Program::over(&e.graph, fixed, &single),
        single: count,
    }
}
