//! Many regimens in many parameter sets.

use super::*;

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
        let prior = fit(&system, &subject(&system, &typical, &[]), &[], &FitOptions::default()).unwrap();
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
