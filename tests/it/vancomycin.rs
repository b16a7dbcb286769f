//! The shipped models against the published figures, across models.

use std::{collections::BTreeMap, path::Path};

use jumeau::{
    engine::{self, Bound, Dose, FitOptions, Observation, SteadyState},
    model::{catalog::Definition, model_file::Model},
};

fn twin() -> Definition {
    Definition::load(Path::new("models/vancomycin")).unwrap()
}

fn model(name: &str) -> Model {
    let path = format!("models/vancomycin/{name}.toml");
    Model::parse(&path, &std::fs::read_to_string(&path).unwrap()).unwrap()
}

fn inputs(pairs: &[(&str, f64)]) -> BTreeMap<String, f64> {
    pairs.iter().map(|(k, v)| ((*k).to_owned(), *v)).collect()
}

#[test]
fn every_worked_check_of_every_model_holds() {
    for model in &twin().models {
        let results = model.run_checks();
        assert!(results.len() > 50, "{} carries its worked checks", model.id);
        for r in results {
            assert!(
                r.passed,
                "{} {}: expected {}, found {:?}",
                model.id, r.name, r.expected, r.found
            );
        }
    }
}

/// Independent computation: weights from exp(-OFV/2), Uster 2021, doi 10.1002/cpt.2065; tolerance 1e-3.
#[test]
fn the_models_vote_as_published() {
    let person = inputs(&[
        ("age", 62.0),
        ("wt", 78.0),
        ("scr", 1.1),
        ("female", 0.0),
        ("dial", 0.0),
    ]);
    let mut doses = vec![Dose {
        time: 0.0,
        amount: 1750.0,
        duration: 2.0,
    }];
    doses.extend([12.0, 24.0, 36.0, 48.0].map(|time| Dose {
        time,
        amount: 1000.0,
        duration: 1.0,
    }));
    let levels = [(14.0, 27.4), (23.5, 14.2)].map(|(time, value)| Observation {
        time,
        value,
        bound: Bound::Exact,
        output: 0,
    });
    let mut ofv = Vec::new();
    let mut exposure = Vec::new();
    for model in &twin().models {
        let individual = model.individual(&person).unwrap();
        let fit = engine::fit(
            model.system(),
            &individual.subject(model, &doses),
            &levels,
            &FitOptions::default(),
        )
        .unwrap();
        assert!(fit.converged());
        let best = fit.best().unwrap();
        ofv.push(best.ofv);
        let steady = SteadyState::of(model.system(), &best.parameters, 1000.0, 12.0, 1.0, 0).unwrap();
        exposure.push(steady.auc_over(24.0, 12.0));
    }
    let weights = engine::ofv_weights(&ofv);
    for (found, expected) in weights.iter().zip([0.184_291, 0.500_32, 0.315_389]) {
        assert!((found - expected).abs() < 1e-3, "{weights:?}");
    }
    for (found, expected) in exposure.iter().zip([624.446, 611.068, 732.759]) {
        assert!((found / expected - 1.0).abs() < 1e-3, "{exposure:?}");
    }
    let averaged: f64 = weights.iter().zip(&exposure).map(|(w, e)| w * e).sum();
    assert!((averaged / 651.913 - 1.0).abs() < 1e-3, "{averaged}");
}

/// Colin 2019, abstract (doi 10.1007/s40262-018-0727-5): 4.10 L/h at 35 years, 70 kg, creatinine 0.83 mg/dL.
#[test]
fn the_published_typical_clearance_is_reproduced() {
    let person = inputs(&[
        ("age", 35.0),
        ("wt", 70.0),
        ("scr", 0.83),
        ("female", 0.0),
        ("dial", 0.0),
    ]);
    let model = model("colin-2019");
    let place = model.parameters().iter().position(|p| p.name == "CL").unwrap();
    let clearance = model.individual(&person).unwrap().typical()[place];
    assert!((clearance - 4.10).abs() < 0.005, "{clearance}");
}

/// A check that cannot fail is none: change one digit of an expected value and it must be noticed.
#[test]
fn a_wrong_number_is_noticed() {
    let path = "models/vancomycin/goti-2018.toml";
    let text = std::fs::read_to_string(path).unwrap();
    assert!(text.contains("23.5127"));
    let wrong = Model::parse(path, &text.replacen("23.5127", "23.6127", 1)).unwrap();
    assert_eq!(wrong.run_checks().iter().filter(|r| !r.passed).count(), 1);
}
