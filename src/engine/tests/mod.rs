//! Properties of the engine, against a tiny integrator of its own.

use super::*;
use crate::lang::{Equations, NodeId, Surroundings, Symbol, Unit};

mod agreement;
mod fitting;
mod priors;
mod regimens;
mod solutions;
mod walking;

/// What the equations of a test are written over: numbers without units.
fn surroundings(parameters: &[&str], inputs: &[&str]) -> Surroundings {
    let symbols =
        |names: &[&str]| -> Vec<Symbol> { names.iter().map(|name| Symbol::quantity(*name, Unit::ONE)).collect() };
    Surroundings {
        parameters: symbols(parameters),
        inputs: symbols(inputs),
        covariates: Vec::new(),
        amount: Unit::ONE,
        states: std::collections::BTreeMap::new(),
        time: Unit::ONE,
        follow_units: false,
    }
}

/// A model being put together: equations over parameters (log-normal, with their variances) and inputs.
struct Model {
    parts: SystemParts,
    routes: Vec<Route>,
}

impl Model {
    /// Reads equations. Every parameter with a variance has an effect of its own; `outputs` are measured.
    fn new(text: &str, parameters: &[(&str, f64)], inputs: &[&str], outputs: &[&str]) -> Self {
        let names: Vec<&str> = parameters.iter().map(|(name, _)| *name).collect();
        let mut equations = Equations::parse(text, &surroundings(&names, inputs)).unwrap();
        let effects: Vec<usize> = (0..parameters.len()).filter(|i| parameters[*i].1 > 0.0).collect();
        let m = effects.len();
        let mut omega = vec![0.0; m * m];
        for (i, effect) in effects.iter().enumerate() {
            omega[i * m + i] = parameters[*effect].1;
        }
        let [additive, proportional] = [1.0, 0.2].map(|x| equations.graph.constant(x));
        let outputs = outputs
            .iter()
            .map(|name| Output {
                name: (*name).to_owned(),
                unit: "1".to_owned(),
                node: equations.result(name).unwrap().0,
                error: ErrorForm {
                    kind: ErrorKind::Combined,
                    numbers: [additive, proportional],
                },
            })
            .collect();
        Self {
            routes: Vec::new(),
            parts: SystemParts {
                interpolated: vec![false; inputs.len()],
                equations,
                parameters: (names.iter().enumerate())
                    .map(|(i, name)| Parameter::log_normal(*name, effects.iter().position(|effect| *effect == i)))
                    .collect(),
                effects: effects.iter().map(|i| names[*i].to_owned()).collect(),
                omega: Omega::new(m, omega).unwrap(),
                occasion_effects: Vec::new(),
                densities: Vec::new(),
                routes: Routes::default(),
                outputs,
                followed: Vec::new(),
                areas: Vec::new(),
                clock: None,
                cycle: None,
            },
        }
    }

    /// A formula over the names of the equations.
    fn node(&mut self, formula: &str) -> NodeId {
        self.parts
            .equations
            .formula(&crate::lang::parser::formula(formula).unwrap())
            .unwrap()
            .node
    }

    /// Adds a state that receives doses.
    fn route(mut self, state: &str) -> Self {
        let place = self
            .parts
            .equations
            .states
            .iter()
            .position(|s| s.name == state)
            .unwrap();
        self.routes.push(Route::into_state(place));
        self
    }

    /// Sets a number of the route added last.
    fn with(mut self, set: impl FnOnce(&mut Route, NodeId), formula: &str) -> Self {
        let node = self.node(formula);
        set(self.routes.last_mut().unwrap(), node);
        self
    }

    /// Replaces the residual error of the first output.
    fn error(mut self, kind: ErrorKind, numbers: [f64; 2]) -> Self {
        let numbers = numbers.map(|x| self.parts.equations.graph.constant(x));
        self.parts.outputs[0].error = ErrorForm { kind, numbers };
        self
    }

    /// Changes anything else.
    fn change(mut self, change: impl FnOnce(&mut SystemParts)) -> Self {
        change(&mut self.parts);
        self
    }

    fn build(mut self) -> System {
        self.parts.routes = Routes::new(self.routes, self.parts.equations.states.len());
        System::new(self.parts).unwrap()
    }
}

/// A system with plain doses into one state.
fn system(text: &str, parameters: &[(&str, &str, f64)], dose_state: &str, error: ErrorModel) -> System {
    let parameters: Vec<(&str, f64)> = parameters
        .iter()
        .map(|(name, _, variance)| (*name, *variance))
        .collect();
    let model = Model::new(text, &parameters, &[], &["C"]).route(dose_state);
    match error {
        ErrorModel::Combined { additive, proportional } => model.error(ErrorKind::Combined, [additive, proportional]),
        ErrorModel::Log { sd } => model.error(ErrorKind::Log, [sd, 0.0]),
        ErrorModel::Power { coefficient, exponent } => model.error(ErrorKind::Power, [coefficient, exponent]),
    }
    .build()
}

const ERROR: ErrorModel = ErrorModel::Combined {
    additive: 1.0,
    proportional: 0.2,
};

/// A person about whom nothing changes.
fn subject(system: &System, typical: &[f64], doses: &[Dose]) -> Subject {
    Subject::new(system, typical.to_vec(), Vec::new(), Vec::new(), doses)
}

/// An exact measurement of the first output.
fn seen(time: f64, value: f64) -> Observation {
    Observation {
        time,
        value,
        bound: Bound::Exact,
        output: 0,
    }
}

fn two_compartments() -> System {
    system(
        "d/dt(A1) = -(CL/V1 + Q/V1)*A1 + Q/V2*A2\nd/dt(A2) = Q/V1*A1 - Q/V2*A2\nC = A1/V1",
        &[
            ("CL", "L/h", 0.15),
            ("V1", "L", 0.5),
            ("V2", "L", 0.3),
            ("Q", "L/h", 0.0),
        ],
        "A1",
        ERROR,
    )
}

fn oral() -> System {
    system(
        "d/dt(G) = -KA*G\nd/dt(A1) = KA*G - (CL/V1 + Q/V1)*A1 + Q/V2*A2\nd/dt(A2) = Q/V1*A1 - Q/V2*A2\nC = A1/V1",
        &[
            ("KA", "/h", 0.2),
            ("CL", "L/h", 0.1),
            ("V1", "L", 0.2),
            ("V2", "L", 0.3),
            ("Q", "L/h", 0.1),
        ],
        "G",
        ERROR,
    )
}

/// A chain of three equal steps: one eigenvalue, three times. No separate modes exist.
fn chain() -> System {
    system(
        "d/dt(G) = -K*G\nd/dt(H) = K*G - K*H\nd/dt(A1) = K*H - K*A1\nC = A1/V",
        &[("K", "/h", 0.1), ("V", "L", 0.2)],
        "G",
        ERROR,
    )
}

/// A loop with complex eigenvalues.
fn cycle() -> System {
    system(
        "d/dt(X) = K*Z - K*X - E*X\nd/dt(Y) = K*X - K*Y\nd/dt(Z) = K*Y - K*Z\nC = X/V",
        &[("K", "/h", 0.1), ("E", "/h", 0.1), ("V", "L", 0.1)],
        "X",
        ERROR,
    )
}

fn d(time: f64, amount: f64, duration: f64) -> Dose {
    Dose { time, amount, duration }
}

/// Classical Runge-Kutta on the coefficients, with small steps that stop at every event. Returns value and area from 0.
fn rk4(system: &System, parameters: &[f64], doses: &[Dose], end: f64) -> (f64, f64) {
    let mut c = linear::Coefficients::default();
    let linear = system.linear().unwrap();
    linear.coefficients(parameters, &mut c);
    let n = system.states().len();
    let read = |x: &[f64]| c.offset[0] + (0..n).map(|i| c.readout[i] * x[i]).sum::<f64>();
    let mut stops: Vec<f64> = vec![0.0, end];
    for dose in doses {
        stops.push(dose.time);
        stops.push(dose.time + dose.duration);
    }
    stops.retain(|t| (0.0..=end).contains(t));
    stops.sort_by(f64::total_cmp);
    stops.dedup();
    let mut x = vec![0.0; n + 1];
    let bolus = |x: &mut Vec<f64>, at: f64| {
        for dose in doses.iter().filter(|dose| dose.time == at && dose.duration == 0.0) {
            x[linear.dose_state()] += dose.amount;
        }
    };
    for window in stops.windows(2) {
        let (from, to) = (window[0], window[1]);
        bolus(&mut x, from);
        let middle = 0.5 * (from + to);
        let rate: f64 = doses
            .iter()
            .filter(|dose| dose.time <= middle && middle < dose.time + dose.duration)
            .map(|dose| dose.amount / dose.duration)
            .sum();
        let f = |x: &[f64]| -> Vec<f64> {
            let mut dx: Vec<f64> = (0..n)
                .map(|i| (0..n).map(|j| c.matrix[i * n + j] * x[j]).sum())
                .collect();
            dx[linear.dose_state()] += rate;
            dx.push(read(x));
            dx
        };
        let steps = ((to - from) / 0.005).ceil().max(1.0);
        let h = (to - from) / steps;
        let plus = |x: &[f64], k: &[f64], s: f64| -> Vec<f64> { x.iter().zip(k).map(|(x, k)| x + s * k).collect() };
        for _ in 0..steps as usize {
            let k1 = f(&x);
            let k2 = f(&plus(&x, &k1, h / 2.0));
            let k3 = f(&plus(&x, &k2, h / 2.0));
            let k4 = f(&plus(&x, &k3, h));
            for i in 0..=n {
                x[i] += h / 6.0 * (k1[i] + 2.0 * k2[i] + 2.0 * k3[i] + k4[i]);
            }
        }
    }
    (read(&x), x[n])
}

fn near(a: f64, b: f64, relative: f64) -> bool {
    (a - b).abs() <= relative * (1e-6 + a.abs().max(b.abs()))
}
