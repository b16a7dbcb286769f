use super::*;
use crate::engine::{Bound, FitOptions, Observation, SteadyState, fit, ofv_weights};
use proptest::prelude::*;
use rayon::prelude::*;
use std::collections::BTreeMap;

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

/// Every model file of the repository.
fn shipped() -> Vec<(String, String)> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("models");
    let list = |folder: &std::path::Path| -> Vec<std::path::PathBuf> {
        let mut list: Vec<_> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        list.sort();
        list
    };
    let files = list(&folder)
        .into_iter()
        .filter(|twin| twin.is_dir())
        .flat_map(|twin| list(&twin));
    let files = files.filter(|file| file.extension().is_some_and(|e| e == "toml") && !file.ends_with("twin.toml"));
    files
        .map(|file| (file.display().to_string(), std::fs::read_to_string(&file).unwrap()))
        .collect()
}

fn one_of(files: &[(String, String)], name: &str) -> String {
    files
        .iter()
        .find(|(file, _)| file.ends_with(name))
        .unwrap_or_else(|| panic!("{name}"))
        .1
        .clone()
}

/// Numbers of a model that do not come out.
fn wrong(text: &str) -> Vec<CheckResult> {
    let model = Model::parse("m.toml", text).unwrap_or_else(|error| panic!("{error}"));
    model.run_checks().into_iter().filter(|result| !result.passed).collect()
}

#[test]
fn every_worked_number_of_every_model_holds() {
    // Minutes without optimisation; they are run with it.
    let slow = ["boolean-fls.toml", "xu-2019-ma-2020.toml", "naghavi.toml"];
    let files = shipped();
    assert!(files.len() > 40, "{}", files.len());
    let failures: Vec<String> = files
        .par_iter()
        .with_max_len(1)
        .filter(|(file, _)| !(cfg!(debug_assertions) && slow.iter().any(|name| file.ends_with(name))))
        .flat_map_iter(|(file, text)| {
            let results = Model::parse(file, text)
                .unwrap_or_else(|error| panic!("{error}"))
                .run_checks();
            assert!(results.len() > 2, "{file} has too few checks");
            results
                .into_iter()
                .filter(|result| !result.passed)
                .map(move |result| format!("{file}: {result:?}"))
        })
        .collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    for (file, text) in FILES {
        assert!(Model::parse(file, text).unwrap().run_checks().len() > 50, "{file}");
    }
}

#[test]
fn a_wrong_number_fails_its_check() {
    let files = shipped();
    for (file, from, to) in [
        // A model that says something else.
        ("goti-2018.toml", "4.5*(crcl/120)", "4.51*(crcl/120)"),
        ("goti-2018.toml", "cv = 57.1", "cv = 60.0"),
        ("goti-2018.toml", "additive = 3.4", "additive = 3.5"),
        ("goti-2018.toml", "Q/V2*A2\nd/dt(A2)", "1.001*Q/V2*A2\nd/dt(A2)"),
        ("goti-2018.toml", "[12, 1000, 1]", "[12, 1000, 1.1]"),
        ("taylor-2020.toml", "error = { log = 0.25 }", "error = { log = 0.26 }"),
        (
            "taylor-2020.toml",
            "inputs_at = [{ t = 24, scr = 80 }",
            "inputs_at = [{ t = 25, scr = 80 }",
        ),
        (
            "abrantes-2017.toml",
            "bioavailability = \"F\"",
            "bioavailability = \"0.99*F\"",
        ),
        ("abrantes-2017.toml", "0.192*1.403^osa", "0.193*1.403^osa"),
        ("strobl-2021.toml", "N < 0.5*n0", "N < 0.6*n0"),
        ("strobl-2021.toml", "check_every = 30, PSA0", "check_every = 28, PSA0"),
        ("zecchin-2016.toml", "omega2 = 1.72", "omega2 = 1.8"),
        ("zecchin-2016.toml", "0.9036*TSR", "0.91*TSR"),
        ("parkinson-putamen-leaspy.toml", "-1.18616152", "-1.18617"),
        // A number that is another one.
        ("goti-2018.toml", "23.5127", "23.5137"),
        ("goti-2018.toml", "V2 = 0.0062218", "V2 = 0.0102218"),
        ("goti-2018.toml", "eta_sd = { CL = 0.312", "eta_sd = { CL = 0.322"),
        (
            "goti-2018.toml",
            "individual = { CL = 3.20284",
            "individual = { CL = 3.24",
        ),
        ("goti-2018.toml", "fitted = [24.9404", "fitted = [25.0404"),
        ("taylor-2020.toml", "ofv = -5.962636", "ofv = -5.95"),
        (
            "abrantes-2017.toml",
            "typical = { CL = 2.66604",
            "typical = { CL = 2.6665",
        ),
        ("strobl-2021.toml", "TTP = 682", "TTP = 683"),
    ] {
        let text = one_of(&files, file);
        let changed = text.replace(from, to);
        assert_ne!(text, changed, "{file}: {from}");
        assert!(!wrong(&changed).is_empty(), "{file}: {to}");
    }
}

#[test]
fn a_check_without_an_answer_says_why() {
    let found = wrong(&goti().replace("age = 62", "age = 162"));
    let why = "`age` is 162 a; the model holds from 17 to 101 a";
    assert!(
        found
            .iter()
            .any(|result| (result.found, result.why.as_str()) == (None, why)),
        "{found:?}"
    );
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
            &individual.subject(&model, &doses),
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
    for (found, expected) in auc.iter().zip([624.446, 611.068, 732.759]) {
        assert!((found / expected - 1.0_f64).abs() < 2e-3, "{auc:?}");
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
}

/// What is not linear, or moves with the time, is simulated otherwise than by the closed form of a linear system.
#[test]
fn equations_that_are_not_linear_are_known_as_such() {
    let linear = |text: &str| Model::parse("m.toml", text).unwrap().system().linear().is_ok();
    assert!(linear(goti()));
    assert!(!linear(
        &goti().replace("Q/V1*A1 - Q/V2*A2", "Q/V1*A1 - Q/V2*A2*(A1/(A1 + A2))")
    ));
    assert!(!linear(
        &goti().replace("Q/V1*A1 - Q/V2*A2", "Q/V1*A1 - Q*t/V2*A2/1[h]")
    ));
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
            .contains("`Q` is not a random effect")
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

/// A small model with something of everything.
const MINI: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/study/mini.toml"));

fn mini(changes: &[(&str, &str)]) -> String {
    changes.iter().fold(MINI.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "{from}");
        text.replacen(from, to, 1)
    })
}

/// Each broken file: what is changed, where the error is, and what its message and help must speak of.
#[test]
fn every_error_teaches() {
    assert!(wrong(MINI).is_empty());
    let deep = format!("C = {}A/V{}", "(".repeat(5000), ")".repeat(5000));
    let deep_toml = format!("x = {}{}\n[doses]", "[".repeat(5000), "]".repeat(5000));
    let cycle = ("[measures", "[cycle]\nlength = \"10\"\n[measures");
    let first_time = (
        "is = \"area(C)\"\nunit = \"mg.h/L\"",
        "is = \"first_time(C > 1[mg/L])\"\nunit=\"h\"",
    );
    let given = "doses = [[0, 100]]";
    type Case<'a> = (&'a [(&'a str, &'a str)], &'a str, &'a [&'a str]);
    let cases: &[Case<'_>] = &[
        (
            &[("title =", "titel = \"x\"\ntitle =")],
            "3:1",
            &["no key `titel`", "did you mean `title`?"],
        ),
        (
            &[("[equations]\n", "[equation]\n")],
            "1:1",
            &["no table `[equations]`", "how the states change"],
        ),
        (
            &[("[doses]", "[dose]\nstate = \"A\"\n[doses]")],
            "36:2",
            &["no key `dose`", "did you mean `doses`?"],
        ),
        (&[("[doses]", "[doses")], "36:7", &["unclosed table"]),
        (&[("[doses]", "[doses]\nstate = \"A\"")], "38:1", &["duplicate key"]),
        (
            &[("\"1\", unit = \"1/h\"", "\"1\"")],
            "21:1",
            &["`ka` has no `unit`", "UCUM"],
        ),
        (
            &[("unit = \"1/h\"", "unit = \"L/h\"")],
            "31:15",
            &["`depot` has the wrong unit", "expected time^-1 mass", "unit of amount"],
        ),
        (
            &[("unit = \"mg/L\"", "unit = \"ug/L\"")],
            "40:8",
            &["`C` another unit", "1000 times too large"],
        ),
        (
            &[("unit = \"kg\"", "unit = \"kgg\"")],
            "13:15",
            &["`kgg` is not a UCUM unit", "kg, mg/L"],
        ),
        (
            &[("CL/V*A", "CLL/V*A")],
            "32:22",
            &["`CLL` is not defined", "did you mean `CL`?"],
        ),
        (
            &[("C = A/V", "C = lnn(A/1[mg])")],
            "33:5",
            &["no function `lnn`", "did you mean `ln`?"],
        ),
        (&[("C = A/V", "C = D/V\nD = A")], "33:5", &["`D` is not defined here"]),
        (&[("C = A/V", "C = D/V\nD = C*V")], "33:5", &["`D` is not defined here"]),
        (
            &[("C = A/V", "C = A/V\nd/dt(A) = -A/1[h]")],
            "34:6",
            &["`A` is already"],
        ),
        (
            &[("C = A/V", "C = A/V\nC = A")],
            "34:1",
            &["`C` is already defined", "its own name"],
        ),
        (&[("ka = {", "wt = {")], "21:1", &["`wt` is already taken"]),
        (&[("ka = {", "exp = {")], "21:1", &["`exp` has a meaning of its own"]),
        (
            &[("ka = {", "\"k-a\" = {")],
            "21:1",
            &["`k-a` cannot be the name", "letters, digits and `_`"],
        ),
        (
            &[("[doses]", "[clock]\nevery = \"1\"\n[doses]")],
            "30:8",
            &["[clock] but nothing changes", "next(name)"],
        ),
        (
            &[("C = A/V", "C = A/V\nnext(N) = N")],
            "34:11",
            &["`N` changes at ticks", "add [clock]"],
        ),
        (
            &[("cyp == \\\"a\\\"", "cyp == \\\"aa\\\"")],
            "22:13",
            &["no level \"aa\"", "did you mean `a`?"],
        ),
        (
            &[("cv = 20", "cv = 20, distribution = \"normal\"")],
            "23:40",
            &["`V` is normal", "omega_sd"],
        ),
        (
            &[("cv = 20", "cv = 20, prior = \"gamma(1,2)\"")],
            "23:52",
            &["both a variability and a prior"],
        ),
        (
            &[("cv = 20", "prior = \"gama(1,2)\"")],
            "23:43",
            &["`gama(1,2)` is no prior", "gamma(shape, scale)"],
        ),
        (
            &[("cv = 20", "cv = 20, distribution = \"logit-normal\", within = [100, 1]")],
            "23:1",
            &["nothing lies within 100 and 1"],
        ),
        (
            &[("cv = 20", "prior = \"uniform(1,100)\", within = [100, 1]")],
            "23:1",
            &["nothing lies within 100 and 1"],
        ),
        (
            &[("cv = 20", "cv = 20, distribution = \"beta\"")],
            "23:59",
            &["`beta`", "log-normal"],
        ),
        (
            &[("cv = 20", "cv = 20, distribution = \"box-cox\"")],
            "23:1",
            &["needs `lambda`"],
        ),
        (&[("cv = 20", "eta = \"X\"")], "20:1", &["`X` has no size", "omega_sd"]),
        (
            &[("cv = 40", "cv = 1e300")],
            "21:37",
            &["`ka` is too small or too large: 1e300"],
        ),
        (
            &[("cv = 40", "cv = 1e-300")],
            "21:37",
            &["`ka` is too small or too large: 1e-300"],
        ),
        (&[("cv = 40", "cv = nan")], "21:37", &["must be a finite number"]),
        (
            &[("is = \"1\"", "is = \"1e400\"")],
            "21:14",
            &["`1e400` is not a usable number"],
        ),
        (
            &[("is = \"1\"", "is = \"t\"")],
            "21:14",
            &["`t` is not defined", "only equations"],
        ),
        (
            &[("correlation = 0.3", "covariance = 3")],
            "25:1",
            &["not positive definite"],
        ),
        (
            &[("correlation = 0.3", "correlation = 1.3")],
            "27:15",
            &["between -1 and 1"],
        ),
        (
            &[("between = [\"CL\", \"V\"]", "between = [\"CL\", \"VV\"]")],
            "26:18",
            &["`VV` is not a random effect", "did you mean `V`?"],
        ),
        (
            &[("error = { additive = 0.1, proportional = 0.1 }", "")],
            "39:11",
            &["`C` is observed without error", "additive"],
        ),
        (
            &[("additive = 0.1, proportional = 0.1", "power = [0, 1]")],
            "41:9",
            &["`C` is observed without error"],
        ),
        (
            &[("error = { additive", "error = { log = 0.1, additive")],
            "41:9",
            &["two kinds", "or log"],
        ),
        (
            &[("additive = 0.1", "additive = -0.1")],
            "41:22",
            &["cannot be negative"],
        ),
        (
            &[("proportional = 0.1", "proportional = \"ka\"")],
            "41:42",
            &["cannot depend on a parameter", "inputs and covariates"],
        ),
        (
            &[("[observed.C]", "[observed.CC]")],
            "39:11",
            &["do not define `CC`", "did you mean `C`?"],
        ),
        (
            &[("state = \"depot\"", "state = \"dept\"")],
            "37:9",
            &["no state `dept`", "did you mean `depot`?"],
        ),
        (
            &[("state = \"depot\"", "state = \"depot\"\nlag = \"A/1[mg]*1[h]\"")],
            "38:7",
            &["`lag` depends on a state", "the time of the dose"],
        ),
        (
            &[("state = \"depot\"", "state = \"depot\"\nlag = \"CL\"")],
            "38:7",
            &["`lag` has the wrong unit", "expected time"],
        ),
        (
            &[("is = \"area(C)\"", "is = \"area(C)*(t/1[h])\"")],
            "44:6",
            &["depends on the time", "area(..)"],
        ),
        (
            &[("is = \"area(C)\"", "is = \"area(C, A)\"")],
            "44:7",
            &["`area` takes 1 value(s), found 2"],
        ),
        (&[("C = A/V", "C = area(A)/V")], "33:5", &["`area`", "[measures]"]),
        (&[first_time, cycle], "46:6", &["repeats itself has no first time"]),
        (
            &[("C = 0, AUC", "CC = 0, AUC")],
            "52:20",
            &["`CC` is no output", "did you mean `C`?"],
        ),
        (
            &[("inputs = { wt", "inputs = { wtt")],
            "50:12",
            &["no input `wtt`", "did you mean `wt`?"],
        ),
        (
            &[("cyp = \"a\" }", "cyp = \"c\" }")],
            "50:27",
            &["`cyp` has no such level", "\"a\", \"b\""],
        ),
        (
            &[(given, "parameters = { CLL = 1 }")],
            "51:16",
            &["`CLL` cannot stand in `parameters`", "`CL`"],
        ),
        (
            &[(given, "observed = [{ t = 1, CC = 1 }]")],
            "51:22",
            &["`CC` is not observed", "`C`"],
        ),
        (&[(given, "eta = { CL = 1 }")], "47:1", &["needs `observed`"]),
        (&[(given, "doses = [[0]]")], "51:10", &["[time, amount]"]),
        (
            &[(given, "repeat = [{ amount = 1, every = 1, times = 1e9 }]")],
            "51:11",
            &["1 to 100000 times"],
        ),
        (
            &[("[0.6, 0.4]", "[0.6, 0.6]")],
            "15:61",
            &["not frequencies", "adding to 1"],
        ),
        (
            &[("range = [1, 200]", "range = [200, 1]")],
            "10:1",
            &["`wt` is empty: 200 to 1"],
        ),
        (
            &[("wt = { range", "wtt = { range")],
            "10:1",
            &["neither an input nor a covariate", "`wt`"],
        ),
        (
            &[("default = 0", "default = 2")],
            "14:34",
            &["cannot be the value", "0 or 1"],
        ),
        (
            &[("kind = \"flag\"", "kind = \"bool\"")],
            "14:16",
            &["no kind `bool`", "flag"],
        ),
        (
            &[("C = A/V", "C = A/V\nA(0) = depot")],
            "34:8",
            &["initial value of `A` depends", "parameters"],
        ),
        (&[("C = A/V", "C = if (t > 1[h]) A/V")], "33:22", &["expected `else`"]),
        (
            &[("C = A/V", "C = if (A = 1[mg]) A/V else A/V")],
            "33:11",
            &["found `=`", "write `==`"],
        ),
        (&[("C = A/V", "C = 2 A/V")], "33:7", &["`A`", "operator"]),
        (
            &[("C = A/V", "C = exp(A)")],
            "33:9",
            &["pure number", "reference value"],
        ),
        (&[("C = A/V", &deep)], "33:126", &["nested too deeply", "intermediate"]),
        (&[("[doses]", &deep_toml)], "36:85", &["recurs"]),
    ];
    let mut failures = Vec::new();
    for (changes, place, words) in cases {
        let shown = format!("{:.80}", changes[0].1);
        match Model::parse("m.toml", &mini(changes)) {
            Ok(_) => failures.push(format!("{shown}: is read")),
            Err(e) => {
                let message = e.to_string();
                let placed = message.starts_with(&format!("m.toml:{place}: "));
                if !placed || message.contains('\n') || words.iter().any(|word| !message.contains(word)) {
                    failures.push(format!("{shown}\n    {message}"));
                }
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// What can only be seen when a model runs is said then, and never comes out as a number.
#[test]
fn what_has_no_value_is_said() {
    let next = ("C = A/V", "C = A/V\nnext(N) = N");
    let nothing = ("C = A/V", "C = A/V");
    for (with, change, word) in [
        (nothing, ("is = \"1\"", "is = \"-1\""), "`ka`"),
        (
            nothing,
            ("cv = 20", "cv = 20, distribution = \"logit-normal\", within = [0, 1]"),
            "`V`",
        ),
        (nothing, ("[doses]\n", "[doses]\nlag = \"-1\"\n"), "lag"),
        (
            nothing,
            ("[doses]\n", "[doses]\nbioavailability = \"-1\"\n"),
            "bioavailability",
        ),
        (next, ("[doses]\n", "[clock]\nevery = \"0\"\n[doses]\n"), "clock"),
        (next, ("[doses]\n", "[clock]\nevery = \"1e-12\"\n[doses]\n"), "clock"),
        (nothing, ("- CL/V*A", "- CL/V*A + A*A/1[mg]/1[h]"), "A"),
    ] {
        let found = wrong(&mini(&[
            with,
            change,
            ("t = 0, C = 0, AUC = 0", "t = 4, C = 1, AUC = 1"),
        ]));
        assert_eq!(found.len(), 2, "{change:?}");
        for result in found {
            let said = !result.why.is_empty() && result.why.contains(word);
            assert!(result.found.is_none() && said, "{change:?}: {result:?}");
        }
    }
}

#[test]
fn constants_without_a_value_are_refused_when_read() {
    for change in [
        ("is = \"1\"", "is = \"1/0\""),
        ("is = \"1\"", "is = \"1e300*1e300\""),
        ("- CL/V*A", "- CL/V*A + 1/0*1[mg/h]"),
        ("A/V\n", "A/V*(0/0)\n"),
        ("A/V\n", "A/V*ln(0 - 1)\n"),
    ] {
        let error = error(&mini(&[change]));
        assert!(error.message.contains("no finite value"), "{change:?}: {error}");
    }
}

/// Pieces of real files, moved about.
fn damaged() -> impl Strategy<Value = String> {
    let files: Vec<String> = shipped()
        .into_iter()
        .map(|(_, text)| text)
        .filter(|text| text.len() < 20_000)
        .collect();
    let pieces = [
        "0",
        "-1",
        "1e308",
        "1e-308",
        "nan",
        "(",
        ")",
        "'''",
        "\"",
        "[[omega]]",
        "[",
        "]",
        "{",
        "}",
        "=",
        ",",
        "\n",
        "1/0",
        "next(",
        "d/dt(",
        "t",
        "ln(",
        "if (",
        "else",
        "area(",
        "mg",
        "eta = \"CL\"",
        "within = [0, 1]",
        "é",
        "\u{0}",
        "cv = 5",
    ];
    let piece = prop_oneof![
        proptest::sample::select(pieces.to_vec()).prop_map(str::to_owned),
        any::<String>()
    ];
    let change = (any::<proptest::sample::Index>(), 0..40_usize, piece);
    (proptest::sample::select(files), proptest::collection::vec(change, 1..4)).prop_map(|(mut text, changes)| {
        for (place, length, piece) in changes {
            let whole = |at: usize| (0..=at).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
            let from = whole(place.index(text.len() + 1));
            let to = whole((from + length).min(text.len()));
            text.replace_range(from..to, &piece);
        }
        text
    })
}

/// An error speaks of a place in the text, and soon.
fn never_panics(text: &str) -> Result<(), TestCaseError> {
    let start = std::time::Instant::now();
    if let Err(e) = Model::parse("m.toml", text) {
        prop_assert!(
            e.line <= text.matches('\n').count() + 1 && e.column >= 1 && !e.message.is_empty(),
            "{}",
            e
        );
    }
    prop_assert!(start.elapsed().as_secs() < 10, "{}", text);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn a_damaged_file_never_panics(text in damaged()) {
        never_panics(&text)?;
    }

    #[test]
    fn any_text_never_panics(text in any::<String>(), formula in "[-a-zA-Z0-9+*/^()<>=!&| .,\\[\\]{}#\n]{0,80}") {
        never_panics(&text)?;
        never_panics(&mini(&[("C = A/V", &format!("C = {formula}"))]))?;
        never_panics(&mini(&[("is = \"1\"", &format!("is = '''{formula}'''"))]))?;
    }
}
