//! Flags from tests.

use super::*;

/// Hepatitis B surface antigen, as a flag with every way to set it.
fn needs_tests(above: Option<f64>) -> Needs {
    let mut needs = needs();
    needs.flags.push(Flag {
        name: "infection".into(),
        tests: vec![code(LOINC, "5195-3")],
        positive_above: above,
        within: Some(SignedDuration::from_hours(365 * 24)),
        codes: vec![code(SNOMED, "66071002")],
        ..Flag::default()
    });
    needs
}

fn test(id: &str, time: &str, key: &str, value: Value) -> Value {
    let mut test = json!({"resourceType": "Observation", "id": id, "status": "final",
        "subject": {"reference": "Patient/p"}, "code": {"coding": [{"system": LOINC, "code": "5195-3"}]},
        "effectiveDateTime": time});
    test[key] = value;
    test
}

fn words(id: &str, time: &str, value: &str) -> Value {
    test(id, time, "valueString", json!(value))
}

/// Whether the flag is set, and whether it was tested negative.
fn said(above: Option<f64>, resources: &[Value]) -> (bool, bool) {
    let got = facts_for(&needs_tests(above), resources);
    (
        got.flags.contains_key("infection"),
        got.tested_negative.contains_key("infection"),
    )
}

const POSITIVE: (bool, bool) = (true, false);
const NEGATIVE: (bool, bool) = (false, true);
const NEITHER: (bool, bool) = (false, false);
const AT: &str = "2026-05-20T08:00:00Z";

#[test]
fn coded_values() {
    let coded = |system: &str, code: &str| {
        let value = json!({"coding": [{"system": system, "code": code}]});
        said(None, &[test("t", AT, "valueCodeableConcept", value)])
    };
    for code in ["10828004", "260373001", "52101004"] {
        assert_eq!(coded(SNOMED, code), POSITIVE, "{code}");
    }
    for code in ["260385009", "260415000"] {
        assert_eq!(coded(SNOMED, code), NEGATIVE, "{code}");
    }
    assert_eq!(coded(LOINC, "LA6576-8"), POSITIVE);
    assert_eq!(coded(LOINC, "LA11882-0"), POSITIVE);
    assert_eq!(coded(LOINC, "LA6577-6"), NEGATIVE);
    assert_eq!(coded(LOINC, "LA11883-8"), NEGATIVE);
    assert_eq!(coded(SNOMED, "82334004"), NEITHER);
    assert_eq!(coded("urn:local", "7"), NEITHER);
    let display = json!({"coding": [{"system": "urn:local", "code": "7", "display": "Nicht / non détecté"}]});
    assert_eq!(said(None, &[test("t", AT, "valueCodeableConcept", display)]), NEGATIVE);
    let both = json!({"coding": [{"code": "10828004"}, {"code": "260385009"}]});
    assert_eq!(said(None, &[test("t", AT, "valueCodeableConcept", both)]), NEITHER);
}

#[test]
fn other_values() {
    assert_eq!(said(None, &[test("t", AT, "valueBoolean", json!(true))]), POSITIVE);
    assert_eq!(said(None, &[test("t", AT, "valueBoolean", json!(false))]), NEGATIVE);
    assert_eq!(said(None, &[words("t", AT, "Détecté")]), POSITIVE);
    assert_eq!(said(None, &[words("t", AT, "not detected")]), NEGATIVE);
    let number = |value: Value| test("t", AT, "valueQuantity", value);
    assert_eq!(
        said(Some(0.6), &[number(json!({"value": 0.8, "unit": "[BU]"}))]),
        POSITIVE
    );
    assert_eq!(
        said(Some(0.6), &[number(json!({"value": 0.6, "unit": "[BU]"}))]),
        NEGATIVE
    );
    assert_eq!(
        said(Some(0.6), &[number(json!({"value": 0.4, "comparator": "<"}))]),
        NEGATIVE
    );
    assert_eq!(
        said(Some(0.6), &[number(json!({"value": 4, "comparator": "<"}))]),
        NEITHER
    );
    assert_eq!(said(Some(0.6), &[number(json!({"unit": "[BU]"}))]), NEITHER);
    assert_eq!(said(None, &[number(json!({"value": 0.8}))]), NEITHER);
    assert_eq!(said(Some(0.6), &[words("t", AT, "< 0.5")]), NEGATIVE);
    assert_eq!(said(Some(2.0), &[test("t", AT, "valueInteger", json!(3))]), POSITIVE);
    assert_eq!(
        said(None, &[test("t", AT, "valueRange", json!({"low": {"value": 1}}))]),
        NEITHER
    );
}

#[test]
fn interpretations() {
    let by = |codes: &[&str], value: Option<&str>| {
        let codes: Vec<Value> = codes.iter().map(|c| json!({"coding": [{"code": c}]})).collect();
        let mut t = test("t", AT, "interpretation", json!(codes));
        if let Some(value) = value {
            t["valueString"] = json!(value);
        }
        said(None, &[t])
    };
    for code in ["POS", "DET", "RR", "A"] {
        assert_eq!(by(&[code], None), POSITIVE, "{code}");
    }
    for code in ["NEG", "ND", "NR"] {
        assert_eq!(by(&[code], None), NEGATIVE, "{code}");
    }
    for code in ["IND", "H", "N", ""] {
        assert_eq!(by(&[code], None), NEITHER, "{code}");
    }
    assert_eq!(by(&["POS"], Some("1:40")), POSITIVE);
    assert_eq!(by(&["A"], Some("1:40")), NEITHER);
    assert_eq!(by(&["POS"], Some("negative")), NEITHER);
    assert_eq!(by(&["POS", "NEG"], None), NEITHER);
}

#[test]
fn the_newest_decides() {
    let (old, new) = ("2026-03-01T08:00:00Z", "2026-05-01T08:00:00Z");
    assert_eq!(
        said(None, &[words("a", old, "negative"), words("b", new, "positive")]),
        POSITIVE
    );
    assert_eq!(
        said(None, &[words("a", old, "positive"), words("b", new, "negative")]),
        NEGATIVE
    );
    assert_eq!(
        said(None, &[words("a", new, "positive"), words("b", new, "negative")]),
        POSITIVE
    );
    // What is unclear clears nobody.
    assert_eq!(
        said(None, &[words("a", old, "negative"), words("b", new, "douteux")]),
        NEITHER
    );
    assert_eq!(
        said(None, &[words("a", old, "positive"), words("b", new, "douteux")]),
        POSITIVE
    );
    assert_eq!(
        said(None, &[words("a", old, "douteux"), words("b", new, "negative")]),
        NEGATIVE
    );
    // A day counts to its end for a positive result, from its beginning for a negative one.
    assert_eq!(
        said(
            None,
            &[words("a", "2026-05-01", "positive"), words("b", new, "negative")]
        ),
        POSITIVE
    );
    assert_eq!(
        said(
            None,
            &[words("a", "2026-05-01", "negative"), words("b", new, "positive")]
        ),
        POSITIVE
    );
    assert_eq!(said(None, &[words("a", "2025", "negative")]), NEITHER);
    let got = facts_for(&needs_tests(None), &[words("a", "2024-05-01", "negative")]);
    assert_eq!(
        (got.tested_negative.len(), ids(&got.ignored)),
        (0, vec!["remark-too-old"])
    );
    let got = facts_for(&needs_tests(None), &[words("a", old, "x"), words("b", new, "negative")]);
    assert_eq!(got.tested_negative["infection"].reference, "Observation/b");
    let got = facts_for(&needs_tests(None), &[words("a", new, "haemolysed")]);
    assert_eq!(ids(&got.ignored), ["remark-test-indeterminate"]);
    assert_eq!(got.ignored[0].args["value"], "haemolysed");
}

#[test]
fn what_does_not_count() {
    for (resource, id) in [
        (
            with(words("t", AT, "negative"), "/status", json!("registered")),
            "remark-status",
        ),
        (
            with(words("t", AT, "negative"), "/status", json!("entered-in-error")),
            "remark-entered-in-error-bare",
        ),
        (
            with(words("t", AT, "negative"), "/subject/reference", json!("Patient/q")),
            "remark-other-subject",
        ),
        (
            with(
                with(words("t", AT, "negative"), "/subject/reference", json!("Patient/q")),
                "/status",
                json!("entered-in-error"),
            ),
            "remark-other-subject",
        ),
        (
            with(
                words("t", AT, "negative"),
                "/focus",
                json!([{"reference": "Patient/q"}]),
            ),
            "remark-other-subject",
        ),
        (
            with(words("t", AT, "negative"), "/modifierExtension", json!([{"url": "x"}])),
            "remark-modified",
        ),
        (words("t", "2026-06-20", "negative"), "remark-future"),
        (words("t", "2026-02-30", "negative"), "remark-time-invalid"),
        (
            without(words("t", AT, "negative"), "effectiveDateTime"),
            "remark-time-unknown",
        ),
        (
            with(words("t", AT, "negative"), "/valueString", json!({"a": 1})),
            "remark-unreadable",
        ),
        (
            with(words("t", AT, "negative"), "/dataAbsentReason", json!({"text": "?"})),
            "remark-test-indeterminate",
        ),
    ] {
        let got = facts_for(&needs_tests(None), std::slice::from_ref(&resource));
        assert_eq!((got.flags.len(), got.tested_negative.len()), (0, 0), "{resource}");
        assert_eq!(ids(&got.ignored), [id], "{resource}");
    }
    let preliminary = with(words("t", AT, "negative"), "/status", json!("preliminary"));
    let got = facts_for(&needs_tests(None), &[preliminary]);
    assert_eq!(
        (got.tested_negative.len(), ids(&got.assumed)),
        (1, vec!["remark-preliminary"])
    );
}

#[test]
fn a_flag_that_is_true_otherwise_is_not_cleared_by_a_test() {
    let condition = json!({"resourceType": "Condition", "id": "c", "subject": {"reference": "Patient/p"},
        "code": {"coding": [{"system": SNOMED, "code": "66071002"}]},
        "clinicalStatus": {"coding": [{"code": "active"}]}});
    assert_eq!(said(None, &[condition, words("t", AT, "negative")]), POSITIVE);
}

#[test]
fn components_of_a_panel() {
    let panel = |value: &str| {
        json!({"resourceType": "Observation", "id": "v", "status": "final", "subject": {"reference": "Patient/p"},
            "code": {"coding": [{"system": LOINC, "code": "24363-4"}]}, "effectiveDateTime": AT,
            "component": [
                {"code": {"coding": [{"system": LOINC, "code": "16935-9"}]}, "valueString": "positive"},
                {"code": {"coding": [{"system": LOINC, "code": "5195-3"}]}, "valueString": value}]})
    };
    assert_eq!(said(None, &[panel("negative")]), NEGATIVE);
    assert_eq!(said(None, &[panel("positive")]), POSITIVE);
    let huge: Vec<Value> = (0..5000)
        .map(|i| json!({"coding": [{"code": format!("{i}")}], "text": "x"}))
        .collect();
    let t = test("t", AT, "interpretation", json!(huge));
    assert_eq!(said(None, &[t]), NEITHER);
}
