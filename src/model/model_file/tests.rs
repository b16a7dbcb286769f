use super::*;
use crate::engine::{Bound, FitOptions, Observation, SteadyState, fit, ofv_weights};

const FILES: [(&str, &str); 3] = [
    (
        "goti-2018.toml",
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/models/vancomycin/goti-2018.toml")),
    ),
    (
        "thomson-2009.toml",
        include_str!(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/models/vancomycin/thomson-2009.toml"
        )),
    ),
    (
        "colin-2019.toml",
        include_str!(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/models/vancomycin/colin-2019.toml"
        )),
    ),
];

fn patient() -> BTreeMap<String, f64> {
    [
        ("age", 62.0),
        ("wt", 78.0),
        ("female", 0.0),
        ("scr", 1.1),
        ("dial", 0.0),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}

fn goti() -> &'static str {
    FILES[0].1
}

fn error(text: &str) -> ModelError {
    Model::parse("m.toml", text).unwrap_err()
}

#[test]
fn every_worked_number_holds() {
    for (file, text) in FILES {
        let model = Model::parse(file, text).unwrap_or_else(|error| panic!("{error}"));
        let results = model.run_checks();
        assert!(results.len() > 50, "{file}: {}", results.len());
        for result in &results {
            assert!(result.passed, "{file}: {result:?}");
        }
    }
}

#[test]
fn a_wrong_number_fails_its_check() {
    for (from, to) in [
        ("4.5*(crcl/120)", "4.51*(crcl/120)"),
        ("cv = 57.1", "cv = 60.0"),
        ("additive = 3.4", "additive = 3.5"),
        ("Q/V2*A2\nd/dt(A2)", "1.001*Q/V2*A2\nd/dt(A2)"),
        ("[12, 1000, 1]", "[12, 1000, 1.1]"),
    ] {
        let text = goti().replace(from, to);
        assert_ne!(text, goti(), "{from}");
        let model = Model::parse("m.toml", &text).unwrap();
        assert!(model.run_checks().iter().any(|result| !result.passed), "{to}");
    }
}

#[test]
fn three_models_vote() {
    let mut ofv = Vec::new();
    let mut auc = Vec::new();
    for (file, text) in FILES {
        let model = Model::parse(file, text).unwrap();
        let individual = model.individual(&patient()).unwrap();
        let doses: Vec<crate::engine::Dose> = [(0.0, 1750.0, 2.0), (12.0, 1000.0, 1.0)]
            .map(|(time, amount, duration)| crate::engine::Dose { time, amount, duration })
            .to_vec();
        let levels = [(14.0, 27.4), (23.5, 14.2)].map(|(time, value)| Observation {
            time,
            value,
            bound: Bound::Exact,
            output: 0,
        });
        let found = fit(
            model.system(),
            individual.typical(),
            &doses,
            &levels,
            &FitOptions::default(),
        )
        .unwrap();
        let best = found.best().unwrap();
        assert!(found.converged());
        ofv.push(best.ofv);
        let steady = SteadyState::of(model.system(), &best.parameters, 1000.0, 12.0, 1.0, 0).unwrap();
        auc.push(steady.auc_over(24.0, 12.0));
    }
    let weights = ofv_weights(&ofv);
    for (found, expected) in weights.iter().zip([0.184_291, 0.500_32, 0.315_389]) {
        assert!((found - expected).abs() < 5e-4, "{weights:?}");
    }
    let mean: f64 = weights.iter().zip(&auc).map(|(w, a)| w * a).sum();
    assert!((mean / 651.913 - 1.0).abs() < 1e-3, "{mean}");
}

#[test]
fn refuses_who_it_was_not_built_on() {
    let model = Model::parse("m.toml", goti()).unwrap();
    let mut inputs = patient();
    inputs.insert("age".to_owned(), 102.0);
    assert!(matches!(model.individual(&inputs), Err(InputError::OutsidePopulation { name, .. }) if name == "age"));
    inputs.insert("age".to_owned(), 101.0);
    assert!(model.individual(&inputs).is_ok(), "the ends of a range belong to it");
    inputs.insert("dial".to_owned(), 0.5);
    assert!(matches!(model.individual(&inputs), Err(InputError::Unusable { .. })));
    inputs.remove("dial");
    assert_eq!(
        model.individual(&inputs),
        Err(InputError::Missing {
            name: "dial".to_owned()
        })
    );
    inputs.insert("dial".to_owned(), 0.0);
    inputs.insert("scr".to_owned(), 0.0);
    inputs.insert("age".to_owned(), 50.0);
    // The cap of 150 mL/min must not hide the division by zero.
    assert!(matches!(model.individual(&inputs), Err(InputError::Undefined { name }) if name == "crcl"));
    inputs.insert("scr".to_owned(), f64::NAN);
    assert!(model.individual(&inputs).is_err());

    let thomson = Model::parse("t.toml", FILES[1].1).unwrap();
    let mut inputs = patient();
    inputs.insert("scr".to_owned(), 12.0);
    assert!(matches!(thomson.individual(&inputs), Err(InputError::OutsidePopulation { name, .. }) if name == "crcl"));
}

#[test]
fn errors_say_where_and_what() {
    let e = error(&goti().replace("title =", "titel ="));
    assert!(e.message.contains("no `title`"), "{e}");
    let e = error(&goti().replace("doi =", "dio ="));
    assert_eq!((e.line, e.column), (5, 1), "{e}");
    assert_eq!(e.help.as_deref(), Some("did you mean `doi`?"));
    let e = error(&goti().replace("0.7^dial", "0.7^dail"));
    assert!(e.help.as_deref() == Some("did you mean `dial`?"), "{e}");
    let line = goti().lines().position(|line| line.starts_with("CL =")).unwrap();
    let column = goti().lines().nth(line).unwrap().find("dial").unwrap();
    assert_eq!((e.line, e.column), (line + 1, column + 1), "{e}");
}

#[test]
fn errors_in_equations_have_their_line() {
    let line = goti().lines().position(|line| line.starts_with("d/dt(A2)")).unwrap() + 1;
    let e = error(&goti().replace("d/dt(A2) = Q/V1*A1", "d/dt(A2) = Q/V1*A1*A2"));
    assert_eq!(e.line, line, "{e}");
    let e = error(&goti().replace("d/dt(A2) = Q/V1*A1", "d/dt(A2) = Q*A1"));
    assert_eq!(e.line, line, "{e}");
    let e = error(&goti().replace("Q/V1*A1 - Q/V2*A2", "Q/V1*A1 - Q/V2*A2*(A1/(A1 + A2))"));
    assert!(e.line == line && e.message.contains("not linear"), "{e}");
    assert!(
        error(&goti().replace("Q/V1*A1 - Q/V2*A2", "Q/V1*A1 - Q*t/V2*A2"))
            .help
            .unwrap()
            .contains("time")
    );
}

#[test]
fn units_must_fit() {
    let e = error(&goti().replace("unit = \"L/h\", cv", "unit = \"mL/min\", cv"));
    assert!(e.message.contains("16.66667 times too large"), "{e}");
    assert!(
        error(&goti().replace("[observed.C]\nunit = \"mg/L\"", "[observed.C]\nunit = \"ug/L\""))
            .message
            .contains("another unit")
    );
    assert!(
        error(&goti().replace("time = \"h\"", "time = \"kg\""))
            .message
            .contains("time")
    );
    assert!(
        error(&goti().replace("unit = \"kg\"", "unit = \"kgg\""))
            .message
            .contains("UCUM")
    );
}

#[test]
fn variability_is_given_once() {
    assert!(
        error(&goti().replace("cv = 57.1", "cv = 57.1, omega2 = 0.3"))
            .message
            .contains("twice")
    );
    assert!(
        error(&goti().replace("cv = 57.1", "cv = 0"))
            .message
            .contains("above 0")
    );
    let with = |block: &str| goti().replace("[equations]", &format!("{block}\n[equations]"));
    let ok = with("[[omega]]\nbetween = [\"CL\", \"V1\"]\ncorrelation = 0.5\n");
    let model = Model::parse("m.toml", &ok).unwrap();
    let omega = model.system().omega();
    assert!((omega.matrix()[1] - 0.5 * omega.sd()[0] * omega.sd()[1]).abs() < 1e-12);
    assert!(
        error(&with("[[omega]]\nbetween = [\"CL\", \"Q\"]\ncorrelation = 0.5\n"))
            .message
            .contains("variability")
    );
    assert!(
        error(&with("[[omega]]\nbetween = [\"CL\", \"V1\"]\ncovariance = 3.0\n"))
            .message
            .contains("positive definite")
    );
}

#[test]
fn arbitrary_damage_never_panics() {
    // Cut, doubled and swapped pieces of a real file.
    let text = goti();
    let cuts: Vec<usize> = (0..text.len())
        .filter(|i| text.is_char_boundary(*i))
        .step_by(29)
        .collect();
    for window in cuts.windows(2) {
        let (a, b) = (window[0], window[1]);
        let _ = Model::parse("m.toml", &text[..a]);
        let _ = Model::parse("m.toml", &format!("{}{}", &text[..a], &text[b..]));
        let _ = Model::parse("m.toml", &format!("{}{}{}", &text[..b], &text[a..b], &text[b..]));
    }
}
