//! Gradients, modes and draws.

use super::*;
use proptest::prelude::*;

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
    let mut objective = objective::Objective::new(&system, &[4.0, 50.0], &doses, &observations, 1.0).unwrap();
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

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, ..ProptestConfig::default() })]

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
        let mut objective = objective::Objective::new(&system, &typical, &doses, &observations, 1.0).unwrap();
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

#[test]
#[ignore]
fn starts_compared() {
    use super::super::random::Random;
    let thomson = system(
        "d/dt(A1) = -(CL/V1 + Q/V1)*A1 + Q/V2*A2\nd/dt(A2) = Q/V1*A1 - Q/V2*A2\nC = A1/V1",
        &[
            ("CL", "L/h", 0.0729),
            ("V1", "L", 0.0225),
            ("V2", "L", 1.69),
            ("Q", "L/h", 0.24),
        ],
        "A1",
        ErrorModel {
            additive: 1.6,
            proportional: 0.15,
        },
    );
    let goti = two_compartments();
    for (name, system, typical) in [
        ("three", &goti, [3.2, 65.0, 38.0, 6.5]),
        ("four", &thomson, [3.5, 52.0, 57.0, 2.3]),
    ] {
        let sd = system.omega().sd().to_vec();
        let m = sd.len();
        let mut order: Vec<usize> = (0..m).collect();
        order.sort_by(|a, b| sd[*b].total_cmp(&sd[*a]));
        let axis = |k: usize, s: f64| {
            let mut v = vec![0.0; m];
            v[order[k]] = s * sd[order[k]];
            v
        };
        let corner = |s: f64, t: f64| {
            let mut v = vec![0.0; m];
            v[order[0]] = s * sd[order[0]];
            v[order[1]] = t * sd[order[1]];
            v
        };
        let sets: Vec<(&str, Vec<Vec<f64>>)> = vec![
            ("zero", vec![vec![0.0; m]]),
            ("1.5 on 1", vec![vec![0.0; m], axis(0, 1.5), axis(0, -1.5)]),
            (
                "1.5 on 1,2",
                vec![vec![0.0; m], axis(0, 1.5), axis(0, -1.5), axis(1, 1.5), axis(1, -1.5)],
            ),
            (
                "corners 1.5",
                vec![
                    vec![0.0; m],
                    corner(1.5, 1.5),
                    corner(1.5, -1.5),
                    corner(-1.5, 1.5),
                    corner(-1.5, -1.5),
                ],
            ),
            (
                "2 on 1,2",
                vec![vec![0.0; m], axis(0, 2.0), axis(0, -2.0), axis(1, 2.0), axis(1, -2.0)],
            ),
            (
                "1 and corners",
                vec![
                    vec![0.0; m],
                    axis(0, 1.5),
                    axis(0, -1.5),
                    corner(-2.0, -2.0),
                    corner(2.0, -2.0),
                    corner(-2.0, 2.0),
                    corner(2.0, 2.0),
                ],
            ),
        ];
        for extreme in [false, true] {
            let mut missed = vec![0; sets.len()];
            let mut worst = vec![0.0_f64; sets.len()];
            let mut two = 0;
            let n = 2000;
            for i in 0..n {
                let r = Random::new(99);
                let k = 1 + (r.uniform(i, 50) * 4.0) as usize;
                let doses: Vec<Dose> = (0..4)
                    .map(|j| {
                        d(
                            12.0 * f64::from(j),
                            if j == 0 { 1750.0 } else { 1000.0 },
                            1.0 + f64::from(u8::from(j == 0)),
                        )
                    })
                    .collect();
                let eta: Vec<f64> = (0..m).map(|j| sd[j] * r.normal(i, j as u64)).collect();
                let times: Vec<f64> = (0..k)
                    .map(|j| {
                        12.0 * (r.uniform(i, 60 + j as u64) * 4.0).floor() + 1.5 + 10.0 * r.uniform(i, 70 + j as u64)
                    })
                    .collect();
                let values = predict(system, &system.individual(&typical, &eta), &doses, 0, &times).unwrap();
                let levels: Vec<Observation> = times
                    .iter()
                    .zip(&values)
                    .enumerate()
                    .map(|(j, (time, f))| {
                        let e = system.outputs()[0].error.variance(*f).sqrt();
                        let value = if extreme {
                            1.0 + 59.0 * r.uniform(i, 80 + j as u64)
                        } else {
                            (f + e * r.normal(i, 90 + j as u64)).max(0.5)
                        };
                        Observation {
                            time: *time,
                            value,
                            bound: Bound::Exact,
                            output: 0,
                        }
                    })
                    .collect();
                let found: Vec<f64> = sets
                    .iter()
                    .map(|(_, s)| {
                        super::super::fit::fit_from(s, system, &typical, &doses, &levels, &FitOptions::default())
                            .unwrap()
                            .best()
                            .unwrap()
                            .ofv
                    })
                    .collect();
                let many: Vec<Vec<f64>> = (0..60)
                    .map(|q| {
                        (0..m)
                            .map(|j| 1.5 * sd[j] * r.normal(i + 1_000_000, q * 8 + j as u64))
                            .collect()
                    })
                    .collect();
                let all = super::super::fit::fit_from(&many, system, &typical, &doses, &levels, &FitOptions::default())
                    .unwrap();
                if all.modes.len() > 1 {
                    two += 1;
                }
                let best = found.iter().copied().fold(all.best().unwrap().ofv, f64::min);
                for (q, x) in found.iter().enumerate() {
                    if x - best > 1e-3 {
                        missed[q] += 1;
                        worst[q] = worst[q].max(x - best);
                    }
                }
            }
            println!("{name} extreme {extreme}: several modes {two}/{n}");
            for (q, (label, _)) in sets.iter().enumerate() {
                println!("   {label}: missed {} worst {:.3}", missed[q], worst[q]);
            }
        }
    }
}
