//! Predictions, areas and steady states.

use super::*;
use proptest::prelude::*;

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
            let n = 3000_u32;
            let h = (window[1] - window[0]) / f64::from(n);
            let times: Vec<f64> = (0..=n).map(|i| window[0] + h * f64::from(i)).collect();
            let values = predict(&system, &parameters, &doses, 0, &times).unwrap();
            for (i, value) in values.iter().enumerate() {
                let weight = if i == 0 || i == 3000 { 1.0 } else if i % 2 == 1 { 4.0 } else { 2.0 };
                sum += weight * value * h / 3.0;
            }
        }
        prop_assert!(near(whole, sum, 1e-6), "{whole} {sum}");
    }
}
