//! A compiled model: what the engine simulates.
//!
//! How a model is solved is derived from its equations. States whose derivatives are linear in each other with coefficients that
//! stand still between events have a closed form; states that only add up others ("quadratures") have one too; the rest is
//! integrated, driven by the former. The same equations are also compiled with every state integrated, for parameters at which
//! no closed form exists.

use super::EngineError;
use super::layout::{Breaks, Layouts, Reads, breaks, layouts};
use super::linear::Linear;
use super::omega::Omega;
use super::parameters::Parameter;
use super::parts::{ErrorKind, ErrorModel, NotASystem, Output, Routes, SystemParts};
use crate::lang::{NodeId, Program, Staged};
use std::collections::HashSet;

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

    /// How many values there are at one time when everything is followed.
    pub fn width(&self) -> usize {
        self.read.late.output_count()
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
