//! Properties of the engine, against a tiny integrator of its own.

use super::*;
use crate::lang::{Equations, Symbol, Unit};
use proptest::prelude::*;

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

#[test]
fn agrees_with_an_integrator_whatever_the_eigenvalues() {
    let doses = [
        d(0.0, 500.0, 0.0),
        d(3.0, 900.0, 4.0),
        d(5.0, 300.0, 1.5),
        d(12.0, 200.0, 0.0),
    ];
    let cases: [(System, Vec<f64>); 4] = [
        (two_compartments(), vec![4.0, 30.0, 50.0, 6.0]),
        (oral(), vec![0.8, 4.0, 30.0, 50.0, 6.0]),
        (chain(), vec![0.7, 20.0]),
        (cycle(), vec![1.3, 0.2, 20.0]),
    ];
    for (system, parameters) in &cases {
        for end in [2.0, 6.5, 12.0, 30.0] {
            let (value, area) = rk4(system, parameters, &doses, end);
            let found = predict(system, parameters, &doses, 0, &[end]).unwrap()[0];
            let found_area = auc(system, parameters, &doses, 0, 0.0, end).unwrap();
            assert!(
                near(found, value, 1e-7),
                "{:?} at {end}: {found} {value}",
                system.states()
            );
            assert!(
                near(found_area, area, 1e-7),
                "{:?} to {end}: {found_area} {area}",
                system.states()
            );
        }
    }
}

#[test]
fn steady_state_is_where_repetition_ends() {
    for (system, parameters) in [
        (two_compartments(), vec![4.0, 30.0, 50.0, 6.0]),
        (oral(), vec![0.8, 4.0, 30.0, 50.0, 6.0]),
        (chain(), vec![0.7, 20.0]),
        (cycle(), vec![1.3, 0.2, 20.0]),
    ] {
        for duration in [0.0, 2.0] {
            let found = SteadyState::of(&system, &parameters, 700.0, 12.0, duration, 0).unwrap();
            let doses: Vec<Dose> = (0..60).map(|i| d(12.0 * f64::from(i), 700.0, duration)).collect();
            let trough = predict(&system, &parameters, &doses, 0, &[708.0]).unwrap()[0];
            let area = auc(&system, &parameters, &doses, 0, 696.0, 708.0).unwrap();
            assert!(near(found.trough, trough, 1e-8), "{} {trough}", found.trough);
            assert!(near(found.auc_interval, area, 1e-8), "{} {area}", found.auc_interval);
            let times: Vec<f64> = (0..=4000)
                .map(|i| 696.0 + 12.0 * f64::from(i) / 4000.0)
                .map(|t| t + 1e-9)
                .collect();
            let peak = predict(&system, &parameters, &doses, 0, &times)
                .unwrap()
                .into_iter()
                .fold(0.0, f64::max);
            assert!(
                near(found.peak, peak, 2e-3),
                "{:?} {} {peak}",
                system.states(),
                found.peak
            );
        }
    }
}

#[test]
fn gradients_are_exact_with_and_without_modes() {
    let observations: Vec<Observation> = [3.0, 8.0, 15.0]
        .map(|time| Observation {
            time,
            value: 1.0,
            bound: Bound::Exact,
            output: 0,
        })
        .to_vec();
    let doses = [d(0.0, 500.0, 1.0), d(6.0, 500.0, 0.0)];
    for (system, typical) in [
        (two_compartments(), vec![4.0, 30.0, 50.0, 6.0]),
        (oral(), vec![0.8, 4.0, 30.0, 50.0, 6.0]),
        (chain(), vec![0.7, 20.0]),
        (cycle(), vec![1.3, 0.2, 20.0]),
    ] {
        let m = system.effects().len();
        let mut evaluator = evaluate::Evaluator::new(&system, &typical, &doses, &observations).unwrap();
        let eta: Vec<f64> = (0..m).map(|j| 0.1 * j as f64 - 0.15).collect();
        assert!(evaluator.run(&eta, true));
        let exact = evaluator.jacobian.clone();
        for j in 0..m {
            let h = 1e-5;
            let mut at = |step: f64| {
                let mut moved = eta.clone();
                moved[j] += step;
                assert!(evaluator.run(&moved, false));
                evaluator.predictions.clone()
            };
            let (up, down) = (at(h), at(-h));
            for o in 0..3 {
                let slope = (up[o] - down[o]) / (2.0 * h);
                assert!(
                    (exact[o * m + j] - slope).abs() < 1e-7 * (1.0 + slope.abs()),
                    "{:?}",
                    system.states()
                );
            }
        }
    }
}

#[test]
fn without_measurements_the_prior_stays() {
    let system = two_compartments();
    let typical = [4.0, 30.0, 50.0, 6.0];
    let found = fit(&system, &typical, &[d(0.0, 1000.0, 1.0)], &[], &FitOptions::default()).unwrap();
    assert_eq!(found.best().unwrap().eta, [0.0; 3]);
    assert_eq!(found.shrinkage, [1.0; 3]);
    let draws = found.draws(&system, 20_000, 3).unwrap();
    let logs: Vec<f64> = draws.rows().map(|row| (row[1] / 30.0).ln()).collect();
    let mean = logs.iter().sum::<f64>() / logs.len() as f64;
    let variance = logs.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / logs.len() as f64;
    assert!(mean.abs() < 0.02 && (variance - 0.5).abs() < 0.02, "{mean} {variance}");
    assert!(draws.rows().all(|row| row[3] == 6.0));
}

#[test]
fn draws_follow_the_exact_posterior() {
    // One parameter, so that the posterior can be summed on a grid.
    let system = system(
        "d/dt(A) = -CL/V*A\nC = A/V",
        &[("CL", "L/h", 0.4), ("V", "L", 0.0)],
        "A",
        ERROR,
    );
    let doses = [d(0.0, 1000.0, 1.0)];
    let observations = [Observation {
        time: 20.0,
        value: 4.0,
        bound: Bound::Exact,
        output: 0,
    }];
    let found = fit(&system, &[4.0, 50.0], &doses, &observations, &FitOptions::default()).unwrap();
    let mut objective = fit::Objective::new(&system, &[4.0, 50.0], &doses, &observations, 1.0).unwrap();
    let (mut mass, mut mean, mut square) = (0.0, 0.0, 0.0);
    for i in -4000..4000 {
        let eta = f64::from(i) / 1000.0;
        let Some(ofv) = objective.value(&[eta]) else { continue };
        let w = (-0.5 * ofv).exp();
        mass += w;
        mean += w * eta;
        square += w * eta * eta;
    }
    let mean = mean / mass;
    let sd = (square / mass - mean * mean).sqrt();
    let draws = found.draws(&system, 20_000, 11).unwrap();
    assert!(draws.ess > 15_000.0, "{}", draws.ess);
    let logs: Vec<f64> = draws.rows().map(|row| (row[0] / 4.0).ln()).collect();
    let drawn = logs.iter().sum::<f64>() / logs.len() as f64;
    let spread = (logs.iter().map(|x| (x - drawn).powi(2)).sum::<f64>() / logs.len() as f64).sqrt();
    assert!((drawn - mean).abs() < 0.03 * sd, "{drawn} {mean} {sd}");
    assert!((spread / sd - 1.0).abs() < 0.03, "{spread} {sd}");
    assert_eq!(draws, found.draws(&system, 20_000, 11).unwrap(), "one seed, one answer");
    assert_ne!(draws, found.draws(&system, 20_000, 12).unwrap());
}

#[test]
fn limits_pull_without_being_values() {
    let system = two_compartments();
    let typical = [4.0, 30.0, 50.0, 6.0];
    let doses = [d(0.0, 1000.0, 1.0)];
    let eta = |value, bound| {
        let observation = Observation {
            time: 12.0,
            value,
            bound,
            output: 0,
        };
        let found = fit(&system, &typical, &doses, &[observation], &FitOptions::default()).unwrap();
        assert!(found.converged());
        found.best().unwrap().eta[0]
    };
    let expected = predict(&system, &typical, &doses, 0, &[12.0]).unwrap()[0];
    assert!(
        eta(expected / 3.0, Bound::Below) > 0.05,
        "a level known to be low means a higher clearance"
    );
    assert!(eta(expected * 3.0, Bound::Above) < -0.05);
    assert!(
        eta(expected * 10.0, Bound::Below).abs() < 1e-3,
        "a limit far away says nothing"
    );
}

#[test]
fn a_weak_prior_follows_the_data() {
    let system = two_compartments();
    let doses = [d(0.0, 1000.0, 1.0)];
    let observations = [Observation {
        time: 12.0,
        value: 2.0,
        bound: Bound::Exact,
        output: 0,
    }];
    let residual = |prior_weight| {
        let options = FitOptions {
            prior_weight,
            ..FitOptions::default()
        };
        let found = fit(&system, &[4.0, 30.0, 50.0, 6.0], &doses, &observations, &options).unwrap();
        (found.best().unwrap().ipred[0] - 2.0).abs()
    };
    assert!(residual(0.1) < residual(1.0) && residual(1.0) < residual(10.0));
    let bad = FitOptions {
        prior_weight: 0.0,
        ..FitOptions::default()
    };
    assert!(fit(&system, &[4.0, 30.0, 50.0, 6.0], &doses, &observations, &bad).is_err());
}

#[test]
fn nonsense_is_an_error_value() {
    let system = two_compartments();
    let typical = [4.0, 30.0, 50.0, 6.0];
    let fine = Observation {
        time: 2.0,
        value: 10.0,
        bound: Bound::Exact,
        output: 0,
    };
    let options = FitOptions::default();
    for (typical, dose, observation) in [
        (vec![4.0, 30.0], d(0.0, 1.0, 1.0), fine),
        (vec![f64::NAN, 30.0, 50.0, 6.0], d(0.0, 1.0, 1.0), fine),
        (vec![4.0, 0.0, 50.0, 6.0], d(0.0, 1.0, 1.0), fine),
        (typical.to_vec(), d(0.0, -1.0, 1.0), fine),
        (typical.to_vec(), d(f64::INFINITY, 1.0, 1.0), fine),
        (
            typical.to_vec(),
            d(0.0, 1.0, 1.0),
            Observation {
                value: f64::NAN,
                ..fine
            },
        ),
        (typical.to_vec(), d(0.0, 1.0, 1.0), Observation { output: 3, ..fine }),
    ] {
        assert!(fit(&system, &typical, &[dose], &[observation], &options).is_err());
    }
    assert!(auc(&system, &typical, &[], 0, 2.0, 1.0).is_err());
    assert!(SteadyState::of(&system, &typical, 1.0, 0.0, 0.0, 0).is_err());
    assert!(
        SteadyState::of(&system, &[0.0, 30.0, 50.0, 6.0], 1.0, 12.0, 0.0, 0).is_err(),
        "nothing is eliminated"
    );
    assert!(Draws::from_rows(0, vec![]).is_err());
}

/// Regimens by the fast path against one prediction at a time, with a history that is still running.
#[test]
fn many_regimens_equal_one_at_a_time() {
    let history = [
        d(0.0, 1500.0, 2.0),
        d(12.0, 1000.0, 1.0),
        d(23.5, 800.0, 1.0),
        d(24.0, 100.0, 0.0),
    ];
    for (system, typical) in [
        (two_compartments(), vec![4.0, 30.0, 50.0, 6.0]),
        (oral(), vec![0.8, 4.0, 30.0, 50.0, 6.0]),
        (chain(), vec![0.7, 20.0]),
    ] {
        let prior = fit(&system, &typical, &[], &[], &FitOptions::default()).unwrap();
        let draws = prior.draws(&system, 19, 5).unwrap();
        let now = 24.0;
        let prepared = Prepared::new(&system, &draws, &history, now, 0).unwrap();
        let regimens = [
            Regimen {
                loading: None,
                amount: 1000.0,
                interval: 12.0,
                duration: 1.5,
                start: 24.0,
            },
            Regimen {
                loading: Some(Loading {
                    amount: 2000.0,
                    duration: 2.25,
                }),
                amount: 750.0,
                interval: 8.0,
                duration: 0.0,
                start: 26.5,
            },
        ];
        let times: Vec<f64> = (0..49).map(|h| now + f64::from(h)).collect();
        let mut curves = vec![vec![vec![0.0; times.len()]; draws.len()]; regimens.len()];
        prepared
            .courses(&regimens, &times, |r, first, rows| {
                for (t, row) in rows.iter().enumerate() {
                    for (lane, value) in row.iter().enumerate() {
                        if let Some(curve) = curves[r].get_mut(first + lane) {
                            curve[t] = *value;
                        }
                    }
                }
            })
            .unwrap();
        let measures = prepared.measures(&regimens, 24.0, Some((30.0, 54.0))).unwrap();
        for (r, regimen) in regimens.iter().enumerate() {
            let mut doses = history.to_vec();
            doses.extend(regimen.doses_before(80.0).unwrap());
            for (i, row) in draws.rows().enumerate() {
                let values = predict(&system, row, &doses, 0, &times).unwrap();
                for (t, value) in values.iter().enumerate() {
                    assert!(near(curves[r][i][t], *value, 1e-9), "{:?} {r} {i} {t}", system.states());
                }
                let area = auc(&system, row, &doses, 0, 30.0, 54.0).unwrap();
                assert!(
                    near(measures[r].auc_window[i], area, 1e-9),
                    "{} {area}",
                    measures[r].auc_window[i]
                );
                let (amount, interval, duration) = (regimen.amount, regimen.interval, regimen.duration);
                let steady = SteadyState::of(&system, row, amount, interval, duration, 0).unwrap();
                assert!(near(measures[r].peak_steady[i], steady.peak, 1e-12));
                assert!(near(measures[r].trough_steady[i], steady.trough, 1e-12));
                assert!(near(measures[r].auc_steady[i], steady.auc_over(24.0, interval), 1e-12));
            }
        }
        let band = prepared.quantiles(&regimens[0], &times, &[0.0, 0.5, 1.0]).unwrap();
        for (t, row) in band.iter().enumerate() {
            let column: Vec<f64> = curves[0].iter().map(|curve| curve[t]).collect();
            assert_eq!(row[0], column.iter().copied().fold(f64::INFINITY, f64::min));
            assert_eq!(row[2], column.iter().copied().fold(f64::NEG_INFINITY, f64::max));
            assert!(row[0] <= row[1] && row[1] <= row[2]);
        }
        assert!(
            prepared.courses(&regimens, &[23.0], |_, _, _| {}).is_err(),
            "the past is not simulated"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn doses_add_and_their_order_does_not_matter(
        list in proptest::collection::vec((0_u32..400, 1_u32..2000, 0_u32..40), 1..7),
        cl in 0.3_f64..12.0, v1 in 5.0_f64..120.0, v2 in 5.0_f64..200.0, q in 0.3_f64..20.0,
    ) {
        let system = two_compartments();
        let parameters = [cl, v1, v2, q];
        let doses: Vec<Dose> = list
            .iter()
            .map(|(t, a, l)| d(f64::from(*t) / 8.0, f64::from(*a), f64::from(*l) / 8.0))
            .collect();
        let times: Vec<f64> = (0..25).map(|i| 3.3 * f64::from(i)).collect();
        let together = predict(&system, &parameters, &doses, 0, &times).unwrap();
        let mut sum = vec![0.0; times.len()];
        let mut area = 0.0;
        for dose in &doses {
            for (cell, value) in sum.iter_mut().zip(predict(&system, &parameters, &[*dose], 0, &times).unwrap()) {
                *cell += value;
            }
            area += auc(&system, &parameters, &[*dose], 0, 1.0, 70.0).unwrap();
        }
        for (a, b) in together.iter().zip(&sum) {
            prop_assert!(near(*a, *b, 1e-9), "{a} {b}");
        }
        prop_assert!(near(auc(&system, &parameters, &doses, 0, 1.0, 70.0).unwrap(), area, 1e-9));
        let backwards: Vec<Dose> = doses.iter().rev().copied().collect();
        prop_assert_eq!(together, predict(&system, &parameters, &backwards, 0, &times).unwrap());
    }

    #[test]
    fn area_is_the_integral_of_the_curve(
        cl in 0.3_f64..12.0, v1 in 5.0_f64..120.0, from in 0.0_f64..20.0, width in 0.0_f64..30.0,
    ) {
        let system = two_compartments();
        let parameters = [cl, v1, 40.0, 5.0];
        let doses = [d(0.0, 1000.0, 2.0), d(11.0, 500.0, 3.0)];
        let whole = auc(&system, &parameters, &doses, 0, from, from + width).unwrap();
        // Simpson on a fine grid between events.
        let mut stops: Vec<f64> = [from, 2.0, 11.0, 14.0, from + width].to_vec();
        stops.retain(|t| (from..=from + width).contains(t));
        stops.sort_by(f64::total_cmp);
        let mut sum = 0.0;
        for window in stops.windows(2) {
            let n = 3000;
            let h = (window[1] - window[0]) / f64::from(n);
            let times: Vec<f64> = (0..=n).map(|i| window[0] + h * f64::from(i)).collect();
            let values = predict(&system, &parameters, &doses, 0, &times).unwrap();
            for (i, value) in values.iter().enumerate() {
                let weight = if i == 0 || i == n { 1.0 } else if i % 2 == 1 { 4.0 } else { 2.0 };
                sum += weight * value * h / 3.0;
            }
        }
        prop_assert!(near(whole, sum, 1e-6), "{whole} {sum}");
    }

    #[test]
    fn a_fit_finds_the_lowest_valley_of_many_starts(
        a in 1.0_f64..60.0, b in 1.0_f64..40.0, hours in 1_u32..11,
    ) {
        let system = two_compartments();
        let typical = [3.2, 65.0, 38.0, 6.5];
        let doses = [d(0.0, 1750.0, 2.0), d(12.0, 1000.0, 1.0), d(24.0, 1000.0, 1.0)];
        let observations = [(24.0 + f64::from(hours), a), (35.5, b)]
            .map(|(time, value)| Observation { time, value, bound: Bound::Exact, output: 0 });
        let found = fit(&system, &typical, &doses, &observations, &FitOptions::default()).unwrap();
        let best = found.best().unwrap();
        prop_assert!(best.converged, "{best:?}");
        let total: f64 = found.modes.iter().map(|mode| mode.weight).sum();
        prop_assert!((total - 1.0).abs() < 1e-12);
        // A coarse search over the whole prior finds nothing lower.
        let mut objective = fit::Objective::new(&system, &typical, &doses, &observations, 1.0).unwrap();
        for i in -6..=6 {
            for j in -6..=6 {
                for k in -6..=6 {
                    let eta = [0.2 * f64::from(i), 0.35 * f64::from(j), 0.25 * f64::from(k)];
                    if let Some(ofv) = objective.value(&eta) {
                        prop_assert!(ofv >= best.ofv - 1e-9, "{eta:?} {ofv} {}", best.ofv);
                    }
                }
            }
        }
    }
}
