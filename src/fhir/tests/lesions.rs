//! Values of one day that are added up, codes under which values were recorded, components.

use super::*;
use crate::patient::facts::Bound;

const SIZE: &str = "33728-7";

fn needs_sum(use_as: UseAs) -> Needs {
    let mut needs = needs();
    needs.history = SignedDuration::from_hours(24 * 365);
    needs.measured = vec![Measured {
        use_as,
        sum_per_day: true,
        ..covariate("tumour", &[SIZE, "21889-1"], "mm", (10.0, 500.0), None)
    }];
    needs
}

fn lesion(id: &str, time: &str, value: f64, site: Option<&str>) -> Value {
    let lesion = observation(id, SIZE, time, &value.to_string(), "mm");
    match site {
        Some(code) => with(
            lesion,
            "/bodySite",
            json!({"coding": [{"system": SNOMED, "code": code}]}),
        ),
        None => lesion,
    }
}

fn sums(resources: &[Value]) -> (Vec<(f64, String)>, Vec<String>) {
    let got = facts_for(&needs_sum(UseAs::Observation), resources);
    let sums = got.measured.get("tumour").into_iter().flatten();
    let remarks = got.ignored.iter().chain(&got.assumed).map(|r| r.id.clone());
    (sums.map(|m| (m.value, m.time.to_string())).collect(), remarks.collect())
}

const A: &str = "2026-03-01T08:00:00Z";
const B: &str = "2026-03-01T15:00:00Z";
const C: &str = "2026-05-01T08:00:00Z";

#[test]
fn the_parts_of_a_day() {
    let got = sums(&[
        lesion("1", A, 20.0, Some("liver")),
        lesion("2", A, 5.0, Some("lung")),
        lesion("3", B, 15.0, Some("node")),
        lesion("4", C, 30.0, Some("liver")),
    ]);
    assert_eq!(got, (vec![(40.0, B.to_owned()), (30.0, C.to_owned())], vec![]));
    // The same part at the same time is one, the final value of it.
    let twice = [
        with(lesion("1", A, 21.0, Some("liver")), "/status", json!("preliminary")),
        lesion("2", A, 20.0, Some("liver")),
        lesion("3", A, 15.0, Some("lung")),
    ];
    assert_eq!(sums(&twice).0, [(35.0, A.to_owned())]);
    let got = facts_for(&needs_sum(UseAs::Observation), &twice);
    let sum = &got.measured["tumour"][0];
    assert_eq!(
        (sum.source.reference.as_str(), sum.preliminary),
        ("Observation/2", false)
    );
    assert_eq!(sum.recorded_as, format!("{LOINC}|{SIZE}"));
    // A day is enough for a sum, and a day is one of the hospital's zone.
    let got = sums(&[
        lesion("1", "2026-03-01", 20.0, Some("liver")),
        lesion("2", "2026-02-28T23:30:00Z", 15.0, Some("lung")),
    ]);
    assert_eq!(got.0, [(35.0, "2026-03-01T11:00:00Z".to_owned())]);
}

#[test]
fn parts_without_a_site() {
    let none = |id: &str, value: f64| lesion(id, A, value, None);
    let got = sums(&[none("1", 20.0), none("2", 15.0), none("3", 15.0)]);
    assert_eq!(got, (vec![(35.0, A.to_owned())], vec!["remark-sum-sites".to_owned()]));
    assert_eq!(
        sums(&[none("1", 20.0), none("2", 20.0)]),
        (vec![(20.0, A.to_owned())], vec![])
    );
    // Tumours as the oncology guide names them: by a BodyStructure in focus.
    let focus = |id: &str, which: &str, value: f64| with(none(id, value), "/focus", json!([{"reference": which}]));
    let got = sums(&[focus("1", "BodyStructure/a", 20.0), focus("2", "BodyStructure/b", 20.0)]);
    assert_eq!(got, (vec![(40.0, A.to_owned())], vec![]));
    assert_eq!(sums(&[focus("1", "Patient/q", 20.0)]).1, ["remark-other-subject"]);
}

#[test]
fn a_day_that_lacks_a_part_has_no_sum() {
    let (liver, lung) = (lesion("1", A, 20.0, Some("liver")), lesion("2", B, 15.0, Some("lung")));
    for spoilt in [
        with(lung.clone(), "/valueQuantity", json!({"value": 15})),
        with(lung.clone(), "/status", json!("registered")),
        with(lung.clone(), "/valueQuantity/value", json!(5000)),
        without(lung.clone(), "valueQuantity"),
    ] {
        let (sums, remarks) = sums(&[liver.clone(), spoilt.clone()]);
        assert_eq!((sums.len(), remarks.len()), (0, 2), "{spoilt}");
        assert!(remarks.contains(&"remark-sum-unclear".to_owned()));
    }
    let retracted = with(lung, "/status", json!("entered-in-error"));
    assert_eq!(sums(&[liver.clone(), retracted]).0, [(20.0, A.to_owned())]);
    let (sums_, remarks) = sums(&[liver.clone(), lesion("2", A, 40.0, Some("liver"))]);
    assert_eq!(sums_.len(), 0);
    assert_eq!(
        remarks,
        ["remark-contradiction", "remark-contradiction", "remark-sum-unclear"]
    );
    // A sum that cannot be.
    assert_eq!(sums(&[lesion("1", A, 4.0, None)]).1, ["remark-implausible"]);
    let huge: Vec<Value> = (0..2000)
        .map(|i| lesion(&i.to_string(), A, 20.0, Some(&i.to_string())))
        .collect();
    assert_eq!(sums(&huge).1, ["remark-implausible"]);
}

#[test]
fn limits_and_units() {
    let small = with(
        lesion("2", A, 5.0, Some("lung")),
        "/valueQuantity/comparator",
        json!("<"),
    );
    let cm = with(
        lesion("1", A, 2.0, Some("liver")),
        "/valueQuantity",
        json!({"value": 2, "unit": "cm", "system": UCUM, "code": "cm"}),
    );
    let got = facts_for(&needs_sum(UseAs::Covariate), &[small.clone(), cm]);
    let sum = &got.measured["tumour"][0];
    assert_eq!((sum.value, sum.bound), (25.0, Bound::Below));
    assert!(sum.converted_from.as_deref().unwrap().contains("2 cm"), "{sum:?}");
    let great = with(
        lesion("1", A, 20.0, Some("liver")),
        "/valueQuantity/comparator",
        json!(">"),
    );
    assert_eq!(sums(&[small, great]).1, ["remark-sum-unclear"]);
    // A tumour may well grow by half in a week.
    let week = [
        lesion("1", "2026-05-20T08:00:00Z", 20.0, None),
        lesion("2", "2026-05-25T08:00:00Z", 40.0, None),
    ];
    let got = facts_for(&needs_sum(UseAs::Covariate), &week);
    assert_eq!((got.measured["tumour"].len(), got.ignored.len()), (2, 0));
}

#[test]
fn components_are_parts() {
    let component = |value: f64| {
        json!({"code": {"coding": [{"system": LOINC, "code": SIZE}]},
            "valueQuantity": {"value": value, "unit": "mm", "system": UCUM, "code": "mm"}})
    };
    let panel = json!({"resourceType": "Observation", "id": "v", "status": "final", "subject": {"reference": "Patient/p"},
        "code": {"text": "target lesions"}, "effectiveDateTime": A, "component": [component(12.0), component(12.0)]});
    assert_eq!(sums(&[panel]), (vec![(24.0, A.to_owned())], vec![]));
}

#[test]
fn the_code_under_which_a_value_was_recorded() {
    let level = with(
        level("a", "2026-05-30T08:00:00Z", "18.5"),
        "/code/coding",
        json!([{"system": "urn:local", "code": "VANC"}, {"system": "urn:oid:2.16.840.1.113883.6.1", "code": "4092-3"}]),
    );
    assert_eq!(facts(&[level]).measured["C"][0].recorded_as, format!("{LOINC}|4092-3"));
}

#[test]
fn components_of_a_blood_pressure_or_a_score() {
    let mut needs = needs();
    needs.measured = vec![
        covariate("sbp", &["8480-6"], "mm[Hg]", (50.0, 300.0), None),
        covariate("tjc", &["T"], "1", (0.0, 28.0), None),
    ];
    let panel = json!({"resourceType": "Observation", "id": "v", "status": "final", "subject": {"reference": "Patient/p"},
        "code": {"coding": [{"system": LOINC, "code": "85354-9"}]}, "effectiveDateTime": A, "component": [
            {"code": {"coding": [{"system": LOINC, "code": "8462-4"}]}, "valueQuantity": {"value": 80, "unit": "mmHg"}},
            {"code": {"coding": [{"system": LOINC, "code": "8480-6"}]}, "valueQuantity": {"value": 120, "unit": "mmHg"}},
            {"code": {"coding": [{"system": LOINC, "code": "T"}]}, "valueInteger": 7}]});
    let got = facts_for(&needs, &[panel]);
    assert_eq!(
        (got.measured["sbp"][0].value, got.measured["tjc"][0].value),
        (120.0, 7.0)
    );
    assert_eq!(got.measured["sbp"][0].recorded_as, format!("{LOINC}|8480-6"));
}
