//! Properties of the engine, against a tiny integrator of its own.

use super::*;
use crate::lang::{Equations, Symbol, Unit};

mod fitting;
mod regimens;
mod solutions;

/// A system from equations, without a file: parameters with their units and random-effect variances.
fn system(text: &str, parameters: &[(&str, &str, f64)], dose_state: &str, error: ErrorModel) -> System {
    let symbols: Vec<Symbol> = parameters
        .iter()
        .map(|(name, unit, _)| Symbol {
            name: (*name).to_owned(),
            unit: Unit::parse(unit).unwrap(),
        })
        .collect();
    let equations = Equations::parse(text, &symbols, &Unit::parse("mg").unwrap(), &Unit::parse("h").unwrap()).unwrap();
    let effects: Vec<usize> = (0..parameters.len()).filter(|i| parameters[*i].2 > 0.0).collect();
    let m = effects.len();
    let mut omega = vec![0.0; m * m];
    for (i, effect) in effects.iter().enumerate() {
        omega[i * m + i] = parameters[*effect].2;
    }
    System::new(SystemParts {
        equations,
        parameters: parameters.iter().map(|(name, ..)| (*name).to_owned()).collect(),
        effects,
        omega: Omega::new(m, omega).unwrap(),
        dose_state: dose_state.to_owned(),
        outputs: vec![Output {
            name: "C".to_owned(),
            unit: "mg/L".to_owned(),
            error,
        }],
    })
    .unwrap()
}

const ERROR: ErrorModel = ErrorModel {
    additive: 1.0,
    proportional: 0.2,
};

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
    let mut c = system::Coefficients::default();
    system.coefficients(parameters, &mut c);
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
            x[system.dose_state()] += dose.amount;
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
            dx[system.dose_state()] += rate;
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
