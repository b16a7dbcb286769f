//! Priors that are not Gaussian, and what measurements of every kind say.

use super::*;
use evaluate::Evaluator;
use objective::Objective;

/// A level that is the parameter itself, measured with a standard deviation of 2, under a prior given as a formula.
fn direct(formula: &str, link: Link, kind: ErrorKind, numbers: [f64; 2]) -> System {
    let mut model = Model::new("C = P", &[("P", 0.3)], &[], &["C"]).error(kind, numbers);
    let penalty = (!formula.is_empty()).then(|| model.node(formula));
    let densities = |parts: &mut SystemParts| {
        parts.parameters[0].link = link;
        parts.densities = penalty
            .map(|penalty| Density { effect: 0, penalty })
            .into_iter()
            .collect();
    };
    model.change(densities).build()
}

const BOUNDED: Link = Link::Between(End::Value(1.0), End::Value(9.0));

/// A system, its typical value, and its prior as a formula.
type Case = (System, f64, fn(f64) -> f64);

/// Minus twice the logarithm of a gamma density with shape 6 and rate 1.5, of a log-normal one, of none but bounds.
fn cases() -> [Case; 3] {
    let sd = [2.0, 0.0];
    [
        (
            direct("-2*(5*ln(P) - 1.5*P)", Link::LogNormal, ErrorKind::Combined, sd),
            4.0,
            |p| -2.0 * (5.0 * p.ln() - 1.5 * p),
        ),
        (
            direct("2*ln(P) + (ln(P/4)/0.4)^2", Link::LogNormal, ErrorKind::Combined, sd),
            4.0,
            |p| 2.0 * p.ln() + ((p / 4.0).ln() / 0.4).powi(2),
        ),
        (direct("0*P", BOUNDED, ErrorKind::Combined, sd), 5.0, |_| 0.0),
    ]
}

#[test]
fn the_objective_is_the_formula() {
    for (system, typical, penalty) in cases() {
        let person = subject(&system, &[typical], &[]);
        for value in [0.5, 3.0, 12.0] {
            let observations = [seen(1.0, value)];
            let mut objective = Objective::new(&system, &person, &observations, 0.7, Precision::default()).unwrap();
            for eta in [-1.0, -0.2, 0.0, 0.4, 1.1] {
                let p = system.individual(&[typical], &[eta])[0];
                let expected = 4.0_f64.ln() + (value - p) * (value - p) / 4.0 + 0.7 * penalty(p);
                let found = objective.value(&[eta]).unwrap();
                assert!(
                    (found - expected).abs() < 1e-12 * (1.0 + expected.abs()),
                    "{found} {expected}"
                );
                let with_slopes = objective.with_slopes(&[eta]).unwrap();
                assert!((with_slopes - expected).abs() < 1e-12 * (1.0 + expected.abs()));
                let slope = objective.gradient[0];
                let h = 1e-5;
                let difference =
                    (objective.value(&[eta + h]).unwrap() - objective.value(&[eta - h]).unwrap()) / (2.0 * h);
                assert!(
                    (slope - difference).abs() < 1e-6 * (1.0 + slope.abs()),
                    "{slope} {difference}"
                );
            }
        }
    }
}

#[test]
fn fits_stay_inside_their_bounds() {
    for (system, typical, _) in cases() {
        let person = subject(&system, &[typical], &[]);
        for value in [-5.0, 0.5, 3.0, 8.9, 40.0] {
            let found = fit(&system, &person, &[seen(1.0, value); 3], &FitOptions::default()).unwrap();
            let p = found.best().unwrap().parameters[0];
            let inside = if typical == 5.0 { 1.0..=9.0 } else { 0.0..=f64::INFINITY };
            assert!(p.is_finite() && inside.contains(&p), "{value}: {p}");
            if typical == 5.0 && (2.0..8.0).contains(&value) {
                assert!((p - value).abs() < 1e-4, "{value}: {p}");
            }
            if let Ok(draws) = found.draws(&system, 500, 1) {
                assert!(draws.rows().all(|row| inside.contains(&row[0])));
            }
        }
    }
}

#[test]
fn draws_reproduce_the_posterior_by_quadrature() {
    for (system, typical, penalty) in cases() {
        let person = subject(&system, &[typical], &[]);
        for levels in [vec![], vec![seen(1.0, 5.5)], vec![seen(1.0, 2.0), seen(2.0, 3.5)]] {
            let found = fit(&system, &person, &levels, &FitOptions::default()).unwrap();
            let draws = found.draws(&system, 20_000, 5).unwrap();
            let top = if typical == 5.0 { 9.0 } else { 40.0 };
            let low = if typical == 5.0 { 1.0 } else { 0.0 };
            let n = 40_000;
            let (mut mass, mut mean, mut square) = (0.0, 0.0, 0.0);
            for i in 0..n {
                let p = low + (top - low) * (f64::from(i) + 0.5) / f64::from(n);
                let misfit: f64 = levels.iter().map(|level| (level.value - p).powi(2) / 4.0).sum();
                let w = (-0.5 * (penalty(p) + misfit)).exp();
                mass += w;
                mean += w * p;
                square += w * p * p;
            }
            let mean = mean / mass;
            let sd = (square / mass - mean * mean).sqrt();
            let values: Vec<f64> = draws.rows().map(|row| row[0]).collect();
            let drawn = values.iter().sum::<f64>() / values.len() as f64;
            let spread = (values.iter().map(|x| (x - drawn).powi(2)).sum::<f64>() / values.len() as f64).sqrt();
            assert!(
                (drawn - mean).abs() < 0.04 * sd,
                "{typical} {} {drawn} {mean} {sd}",
                levels.len()
            );
            assert!(
                (spread / sd - 1.0).abs() < 0.04,
                "{typical} {} {spread} {sd}",
                levels.len()
            );
            assert!(draws.ess > 4_000.0, "{typical} {} {}", levels.len(), draws.ess);
        }
    }
}

#[test]
fn measurements_of_every_kind() {
    // By hand: the density of the level at a prediction, on the scale of the error.
    let phi = |z: f64| {
        let n = 20_000;
        let low = -12.0_f64;
        let h = (z - low) / f64::from(n);
        let density = |x: f64| (-0.5 * x * x).exp() / (2.0 * std::f64::consts::PI).sqrt();
        (0..n).map(|i| density(low + (f64::from(i) + 0.5) * h) * h).sum::<f64>()
    };
    for (kind, numbers) in [
        (ErrorKind::Combined, [0.5, 0.1]),
        (ErrorKind::Log, [0.3, 0.0]),
        (ErrorKind::Power, [0.4, 0.7]),
    ] {
        let system = direct("", Link::LogNormal, kind, numbers);
        let person = subject(&system, &[4.0], &[]);
        for eta in [-0.5, 0.0, 0.3] {
            let f = 4.0 * f64::exp(eta);
            let (place, sd): (fn(f64) -> f64, f64) = match kind {
                ErrorKind::Combined => (|x| x, (0.25 + 0.01 * f * f).sqrt()),
                ErrorKind::Log => (f64::ln, 0.3),
                ErrorKind::Power => (|x| x, 0.4 * f.powf(0.7)),
            };
            let z = |value: f64| (place(value) - place(f)) / sd;
            for (bound, expected) in [
                (Bound::Exact, (sd * sd).ln() + z(5.0).powi(2)),
                (Bound::Below, -2.0 * phi(z(5.0)).ln()),
                (Bound::Above, -2.0 * phi(-z(5.0)).ln()),
                (Bound::Between(3.5), -2.0 * (phi(z(5.0)) - phi(z(3.5))).ln()),
            ] {
                let observation = Observation {
                    bound,
                    ..seen(1.0, 5.0)
                };
                let observations = [observation];
                let mut objective = Objective::new(&system, &person, &observations, 1.0, Precision::default()).unwrap();
                let found = objective.value(&[eta]).unwrap() - eta * eta / 0.3;
                assert!((found - expected).abs() < 1e-6, "{kind:?} {bound:?} {found} {expected}");
                objective.with_slopes(&[eta]).unwrap();
                let slope = objective.gradient[0];
                let h = 1e-5;
                let difference =
                    (objective.value(&[eta + h]).unwrap() - objective.value(&[eta - h]).unwrap()) / (2.0 * h);
                assert!(
                    (slope - difference).abs() < 1e-5 * (1.0 + slope.abs()),
                    "{kind:?} {bound:?} {slope} {difference}"
                );
                assert!(objective.fisher[0] > 0.0);
            }
        }
    }
}

#[test]
fn one_answer_whatever_the_threads() {
    let text = "d/dt(A) = -K*A/(1 + 0.05*A)\nd/dt(R) = K*(1 - A/(A + V)) - K*R\nR(0) = 1\nC = A/V\nD = R";
    let system = Model::new(text, &[("K", 0.2), ("V", 0.1)], &[], &["C", "D"])
        .route("A")
        .build();
    let person = subject(&system, &[0.4, 8.0], &[d(0.0, 100.0, 1.0), d(8.0, 50.0, 0.0)]);
    let levels = [seen(3.0, 4.0), seen(11.0, 6.0)];
    let answer = || {
        let found = fit(&system, &person, &levels, &FitOptions::default()).unwrap();
        let draws = found.draws(&system, 40, 9).unwrap();
        let text = serde_json::to_string(&(&found, &draws)).unwrap();
        let linear = two_compartments();
        let sets = fit(
            &linear,
            &subject(&linear, &[4.0, 30.0, 50.0, 6.0], &[]),
            &[],
            &FitOptions::default(),
        )
        .unwrap();
        let sets = sets.draws(&linear, 300, 5).unwrap();
        let prepared = Prepared::new(&linear, &sets, &[d(0.0, 900.0, 1.0)], 24.0, 0).unwrap();
        let regimen = Regimen {
            loading: None,
            amount: 700.0,
            interval: 8.0,
            duration: 1.0,
            start: 24.0,
        };
        let band = prepared
            .quantiles(&regimen, &[25.0, 30.0, 48.0], &[0.1, 0.5, 0.9])
            .unwrap();
        (text, format!("{band:?}"))
    };
    let one = rayon::ThreadPoolBuilder::new()
        .num_threads(1)
        .build()
        .unwrap()
        .install(answer);
    for threads in [2, 5] {
        let other = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap()
            .install(answer);
        assert_eq!(one, other);
    }
    // The effects of one person are the same alone and beside others.
    let observations = [seen(3.0, 1.0)];
    let mut evaluator = Evaluator::new(&system, &person, &observations, Precision::default()).unwrap();
    assert!(evaluator.run(&[0.1, 0.2], true));
    let first = evaluator.jacobian.clone();
    assert!(evaluator.run(&[2.0, -1.0], true) && evaluator.run(&[0.1, 0.2], true));
    assert_eq!(first, evaluator.jacobian);
}
