//! Speed of the kinds of models the twins are made of: `cargo bench --bench twins`. One thread.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, missing_docs)]

use divan::{Bencher, black_box};
use jumeau::engine::{
    Bound, Dose, FitOptions, Given, Observation, Precision, Subject, Values, course, course_of_draws, fit,
};
use jumeau::model::model_file::{Known, Model};
use std::collections::BTreeMap;

fn main() {
    divan::main();
}

macro_rules! model {
    ($path:literal) => {
        Model::parse(
            $path,
            include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/models/", $path)),
        )
        .unwrap()
    };
}

/// A chain of marrow cells (Friberg and others 2002, DOI 10.1200/JCO.2002.02.140) driven by two compartments.
const CHAIN: &str = r#"
[model]
id = "chain"
title = "Neutropenia, driven by two compartments"
citation = "structure of Friberg 2002"
version = "1"
time = "h"
amount = "mg"
[parameters]
CL = { is = "10", unit = "L/h", cv = 30 }
V1 = { is = "20", unit = "L", cv = 30 }
Q = { is = "5", unit = "L/h" }
V2 = { is = "50", unit = "L" }
MTT = { is = "100", unit = "h", cv = 20 }
SLOPE = { is = "2", unit = "L/mg", cv = 40 }
CIRC0 = { is = "5", unit = "10*9/L" }
G = { is = "0.17", unit = "1" }
[equations]
states = { Prol = "10*9/L", T1 = "10*9/L", T2 = "10*9/L", T3 = "10*9/L", Circ = "10*9/L" }
text = '''
d/dt(A1) = -(CL + Q)/V1*A1 + Q/V2*A2
d/dt(A2) = Q/V1*A1 - Q/V2*A2
C = A1/V1
k = 4/MTT
d/dt(Prol) = k*Prol*(1 - SLOPE*C)*(CIRC0/Circ)^G - k*Prol
d/dt(T1) = k*(Prol - T1)
d/dt(T2) = k*(T1 - T2)
d/dt(T3) = k*(T2 - T3)
d/dt(Circ) = k*(T3 - Circ)
Prol(0) = CIRC0
T1(0) = CIRC0
T2(0) = CIRC0
T3(0) = CIRC0
Circ(0) = CIRC0
'''
[doses]
state = "A1"
[observed.Circ]
unit = "10*9/L"
error = { log = 0.3 }
"#;

/// Random effects of so many people, by a small generator of its own.
fn effects(people: usize, sd: &[f64]) -> Vec<Vec<f64>> {
    let mut state = 7_u64;
    let mut uniform = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1_u64 << 53) as f64
    };
    let mut normal = move || (0..12).map(|_| uniform()).sum::<f64>() - 6.0;
    (0..people)
        .map(|_| sd.iter().map(|sd| sd * normal()).collect())
        .collect()
}

/// 1000 people for 21 days after one infusion, ten readings each; the error stays below 1e-5.
#[divan::bench]
fn neutropenia_1000_x_21_days(bencher: Bencher<'_, '_>) {
    let model = Model::parse("chain.toml", CHAIN).unwrap();
    let dose = Dose {
        time: 0.0,
        amount: 100.0,
        duration: 1.0,
    };
    let subject = model.individual(&BTreeMap::new()).unwrap().subject(&model, &[dose]);
    let times: Vec<f64> = (1..=10).map(|i| 50.4 * f64::from(i)).collect();
    let people = effects(1000, &[0.3, 0.3, 0.2, 0.4]);
    let precision = Precision {
        relative: 1e-6,
        ..Precision::default()
    };
    bencher.bench_local(|| {
        let mut sum = 0.0;
        let see = |_: usize, values: Option<&[f64]>| sum += values.unwrap()[9];
        course_of_draws(model.system(), &subject, black_box(&people), &times, precision, see).unwrap();
        sum
    });
}

/// One virtual patient with diabetes for a day: three meals, their boluses, 288 readings of the sensor.
#[divan::bench]
fn uva_padova_one_day(bencher: Bencher<'_, '_>) {
    let model = model!("type-1-diabetes/uva-padova.toml");
    let place = |name: &str| model.inputs().iter().position(|input| input.name == name).unwrap();
    let (cho, insulin) = (place("CHO"), place("insulin"));
    let basal = 0.0139;
    let mut known = Vec::new();
    let mut record = |from: f64, meal: f64, bolus: f64| {
        let mut inputs = vec![None; model.inputs().len()];
        inputs[cho] = Some(meal);
        inputs[insulin] = Some(basal + bolus);
        known.push(Known {
            from,
            inputs,
            occasion: None,
        });
    };
    record(0.0, 0.0, 0.0);
    for (at, grams) in [(420.0, 45.0), (720.0, 70.0), (1080.0, 80.0)] {
        record(at, grams, grams / 12.0);
        record(at + 1.0, 0.0, 0.0);
    }
    let subject = model.subject(&known, Vec::new(), Vec::new()).unwrap();
    let times: Vec<f64> = (1..=288).map(|i| 5.0 * f64::from(i)).collect();
    let none = vec![0.0; model.system().effects().len()];
    let precision = Precision {
        relative: 1e-6,
        ..Precision::default()
    };
    bencher.bench_local(|| {
        course(
            model.system(),
            black_box(&subject),
            Values::Effects(&none),
            &times,
            precision,
        )
        .unwrap()
    });
}

/// The patient of the worked identification in the model file: 96 readings of the sensor over 8 hours.
fn replay_bg() -> (Model, Subject, Vec<Observation>) {
    let text = include_str!(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/models/type-1-diabetes/replaybg.toml"
    ));
    let model = Model::parse("replaybg.toml", text).unwrap();
    let file: toml::Table = text.parse().unwrap();
    let checks = file["checks"].as_array().unwrap();
    let check = checks.iter().find(|check| check.get("observed").is_some()).unwrap();
    let number = |value: &toml::Value| value.as_float().or(value.as_integer().map(|x| x as f64)).unwrap();
    let known = |from: f64, table: &toml::Table| Known {
        from,
        inputs: model
            .inputs()
            .iter()
            .map(|input| table.get(&input.name).map(number))
            .collect(),
        occasion: None,
    };
    let mut records = vec![known(0.0, check["inputs"].as_table().unwrap())];
    for row in check["inputs_at"].as_array().unwrap() {
        records.push(known(number(&row["t"]), row.as_table().unwrap()));
    }
    let observed = check["observed"].as_array().unwrap().iter().map(|row| Observation {
        time: number(&row["t"]),
        value: number(&row["IG"]),
        bound: Bound::Exact,
        output: 0,
    });
    let subject = model.subject(&records, Vec::new(), Vec::new()).unwrap();
    (model, subject, observed.collect())
}

/// One forward pass.
#[divan::bench]
fn replay_bg_eight_hours(bencher: Bencher<'_, '_>) {
    let (model, subject, observations) = replay_bg();
    let times: Vec<f64> = observations.iter().map(|o| o.time).collect();
    let none = vec![0.0; model.system().effects().len()];
    let precision = Precision::default();
    bencher.bench_local(|| {
        course(
            model.system(),
            black_box(&subject),
            Values::Effects(&none),
            &times,
            precision,
        )
        .unwrap()
    });
}

/// The most probable nine parameters.
#[divan::bench(sample_count = 10)]
fn replay_bg_map(bencher: Bencher<'_, '_>) {
    let (model, subject, observations) = replay_bg();
    bencher.bench_local(|| {
        fit(
            model.system(),
            black_box(&subject),
            &observations,
            &FitOptions::default(),
        )
        .unwrap()
    });
}

/// Mother and foetus, 24 states, seven days from the 13th week on.
#[divan::bench]
fn foetal_pbtk_seven_days(bencher: Bencher<'_, '_>) {
    let model = model!("pregnancy/fetal-pbtk.toml");
    let dose = Given::from(Dose {
        time: 91.0,
        amount: 61.103,
        duration: 0.0,
    });
    let subject = model.subject(&[], vec![dose], Vec::new()).unwrap();
    let times: Vec<f64> = (1..=28).map(|i| 91.0 + 0.25 * f64::from(i)).collect();
    let none = vec![0.0; model.system().effects().len()];
    let precision = Precision {
        relative: 1e-6,
        ..Precision::default()
    };
    bencher.bench_local(|| {
        course(
            model.system(),
            black_box(&subject),
            Values::Effects(&none),
            &times,
            precision,
        )
        .unwrap()
    });
}

/// Warfarin, ten states, six effects, three INRs over three weeks: the most probable parameters.
#[divan::bench(sample_count = 20)]
fn warfarin_map(bencher: Bencher<'_, '_>) {
    let model = model!("warfarin/hamberg-2007.toml");
    let level = |values: &[f64]| values.iter().copied().map(Some).collect();
    let known = [Known {
        from: 0.0,
        inputs: level(&[58.0, 2.0, 2.0, 1.1, 0.0]),
        occasion: None,
    }];
    let doses = (0..21).map(|k| {
        Given::from(Dose {
            time: 24.0 * f64::from(k),
            amount: 3.0,
            duration: 0.0,
        })
    });
    let subject = model.subject(&known, doses.collect(), Vec::new()).unwrap();
    let observations = [(96.0, 1.6), (144.0, 2.3), (216.0, 3.1)].map(|(time, value)| Observation {
        time,
        value,
        bound: Bound::Exact,
        output: 0,
    });
    bencher.bench_local(|| {
        fit(
            model.system(),
            black_box(&subject),
            &observations,
            &FitOptions::default(),
        )
        .unwrap()
    });
}

/// The left heart until the beat repeats itself.
#[divan::bench(sample_count = 20)]
fn heart_until_settled(bencher: Bencher<'_, '_>) {
    let model = model!("heart/naghavi.toml");
    let mut inputs = vec![None; model.inputs().len()];
    inputs[0] = Some(75.0);
    let known = [Known {
        from: 0.0,
        inputs,
        occasion: None,
    }];
    let subject = model.subject(&known, Vec::new(), Vec::new()).unwrap();
    let none = vec![0.0; model.system().effects().len()];
    let times: Vec<f64> = (0..100).map(|i| 8.0 * f64::from(i)).collect();
    let precision = Precision {
        relative: 1e-6,
        ..Precision::default()
    };
    bencher.bench_local(|| {
        course(
            model.system(),
            black_box(&subject),
            Values::Effects(&none),
            &times,
            precision,
        )
        .unwrap()
    });
}
