//! Speed of the engine: `cargo bench --bench engine`.
//!
//! The first bench is a yardstick: a shared machine can be half as fast from one minute to the next, so read the others
//! against it and take the best of several runs.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, missing_docs)]

use divan::{Bencher, black_box};
use jumeau::engine::{Bound, Dose, Draws, Fit, FitOptions, Observation, Prepared, Regimen, Subject, fit};
use jumeau::model::model_file::Model;
use std::collections::BTreeMap;

fn main() {
    divan::main();
}

const GOTI: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/models/vancomycin/goti-2018.toml"));
const THOMSON: &str = include_str!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/models/vancomycin/thomson-2009.toml"
));

struct Patient {
    model: Model,
    subject: Subject,
    doses: Vec<Dose>,
    levels: Vec<Observation>,
}

impl Patient {
    fn new(text: &str, doses: usize, levels: usize) -> Self {
        let model = Model::parse("model.toml", text).unwrap();
        let inputs: BTreeMap<String, f64> = [
            ("age", 62.0),
            ("wt", 78.0),
            ("female", 0.0),
            ("scr", 1.1),
            ("dial", 0.0),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into();
        let doses: Vec<Dose> = (0..doses)
            .map(|i| Dose {
                time: 12.0 * i as f64,
                amount: if i == 0 { 1750.0 } else { 1000.0 },
                duration: 1.0,
            })
            .collect();
        let values = [27.4, 14.2, 31.0, 15.1, 29.3, 16.2];
        let levels = (0..levels)
            .map(|i| {
                let dose = doses.len() - 1 - (levels - 1 - i) / 2 % doses.len();
                let after = if i % 2 == 0 { 2.0 } else { 11.5 };
                Observation {
                    time: doses[dose].time + after,
                    value: values[i],
                    bound: Bound::Exact,
                    output: 0,
                }
            })
            .collect();
        let subject = model.individual(&inputs).unwrap().subject(&model, &doses);
        Self {
            model,
            subject,
            doses,
            levels,
        }
    }

    fn fit(&self) -> Fit {
        fit(self.model.system(), &self.subject, &self.levels, &FitOptions::default()).unwrap()
    }

    fn draws(&self, n: usize) -> Draws {
        self.fit().draws(self.model.system(), n, 1).unwrap()
    }
}

/// 4096 exponentials of the standard library.
#[divan::bench]
fn yardstick_exp(bencher: Bencher<'_, '_>) {
    let list: Vec<f64> = (0..4096).map(|i| -0.001 * f64::from(i)).collect();
    bencher.bench_local(|| list.iter().map(|x| black_box(*x).exp()).sum::<f64>());
}

/// One model file: read, checked, compiled.
#[divan::bench]
fn load_model(bencher: Bencher<'_, '_>) {
    bencher.bench_local(|| Model::parse("model.toml", black_box(GOTI)).unwrap());
}

/// The most probable parameters from three starting points, with uncertainty: (doses, levels).
#[divan::bench(args = [(4, 1), (4, 2), (8, 3), (12, 6)])]
fn map_three_effects(bencher: Bencher<'_, '_>, (doses, levels): (usize, usize)) {
    let patient = Patient::new(GOTI, doses, levels);
    bencher.bench_local(|| black_box(&patient).fit());
}

/// The same with four random effects.
#[divan::bench(args = [(4, 2), (12, 6)])]
fn map_four_effects(bencher: Bencher<'_, '_>, (doses, levels): (usize, usize)) {
    let patient = Patient::new(THOMSON, doses, levels);
    bencher.bench_local(|| black_box(&patient).fit());
}

/// 1000 draws from the posterior, importance resampled from 2000 proposals.
#[divan::bench]
fn draws_1000(bencher: Bencher<'_, '_>) {
    let patient = Patient::new(GOTI, 4, 2);
    let fit = patient.fit();
    bencher.bench_local(|| black_box(&fit).draws(patient.model.system(), 1000, 1).unwrap());
}

fn regimens(start: f64) -> Vec<Regimen> {
    let mut all = Vec::new();
    for interval in [8.0, 12.0, 24.0, 48.0] {
        for step in 0..16 {
            let amount = 500.0 + 100.0 * f64::from(step);
            all.push(Regimen {
                loading: None,
                amount,
                interval,
                duration: 2.0,
                start,
            });
        }
    }
    all
}

/// 1000 draws brought up to the present.
#[divan::bench]
fn prepare_1000(bencher: Bencher<'_, '_>) {
    let patient = Patient::new(GOTI, 4, 2);
    let draws = patient.draws(1000);
    let doses = &patient.doses;
    bencher.bench_local(|| Prepared::new(patient.model.system(), black_box(&draws), doses, 48.0, 0).unwrap());
}

/// 64 regimens in 1000 draws for seven days, hourly: 10.8 million concentrations on one thread.
#[divan::bench]
fn courses_64_x_1000_x_169(bencher: Bencher<'_, '_>) {
    let patient = Patient::new(GOTI, 4, 2);
    let draws = patient.draws(1000);
    let prepared = Prepared::new(patient.model.system(), &draws, &patient.doses, 48.0, 0).unwrap();
    let times: Vec<f64> = (0..169).map(|h| 48.0 + f64::from(h)).collect();
    let regimens = regimens(48.0);
    bencher.bench_local(|| {
        let mut last = 0.0;
        prepared
            .courses(&regimens, &times, |_, _, rows| {
                black_box(rows);
                last += rows[168][0];
            })
            .unwrap();
        last
    });
}

/// Settled exposure, peak and trough, and the exposure of the first 24 hours, of 64 regimens in 1000 draws.
#[divan::bench]
fn measures_64_x_1000(bencher: Bencher<'_, '_>) {
    let patient = Patient::new(GOTI, 4, 2);
    let draws = patient.draws(1000);
    let prepared = Prepared::new(patient.model.system(), &draws, &patient.doses, 48.0, 0).unwrap();
    let regimens = regimens(48.0);
    bencher.bench_local(|| prepared.measures(&regimens, 24.0, Some((48.0, 72.0))).unwrap());
}

/// Median and 90 % band of one regimen at 169 hours in 1000 draws.
#[divan::bench]
fn quantiles_169_x_1000(bencher: Bencher<'_, '_>) {
    let patient = Patient::new(GOTI, 4, 2);
    let draws = patient.draws(1000);
    let prepared = Prepared::new(patient.model.system(), &draws, &patient.doses, 48.0, 0).unwrap();
    let times: Vec<f64> = (0..169).map(|h| 48.0 + f64::from(h)).collect();
    let regimens = regimens(48.0);
    bencher.bench_local(|| prepared.quantiles(&regimens[20], &times, &[0.05, 0.5, 0.95]).unwrap());
}

/// The same for all 64 regimens: 10.8 million concentrations and 32 448 percentiles.
#[divan::bench(sample_count = 20)]
fn quantiles_64_x_169_x_1000(bencher: Bencher<'_, '_>) {
    let patient = Patient::new(GOTI, 4, 2);
    let draws = patient.draws(1000);
    let prepared = Prepared::new(patient.model.system(), &draws, &patient.doses, 48.0, 0).unwrap();
    let times: Vec<f64> = (0..169).map(|h| 48.0 + f64::from(h)).collect();
    let regimens = regimens(48.0);
    bencher.bench_local(|| {
        prepared
            .quantiles_of_all(&regimens, &times, &[0.05, 0.5, 0.95])
            .unwrap()
    });
}
