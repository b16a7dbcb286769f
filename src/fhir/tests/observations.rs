use super::*;
use crate::patient::facts::Bound;

/// The resource is not used, and this remark says why.
fn ignored(resource: Value, id: &str) {
    let got = facts(std::slice::from_ref(&resource));
    assert_eq!(got.measured, Default::default(), "{resource}");
    assert_eq!(ids(&got.ignored), [id], "{resource}");
}

fn l() -> Value {
    level("a", "2026-05-30T08:00:00Z", "18.5")
}

#[test]
fn a_level_is_read_with_its_source() {
    let got = facts(&[with(l(), "/meta", json!({"versionId": "3"}))]);
    let c = &got.measured["C"][0];
    assert_eq!(
        (c.value, c.bound, c.time.to_string().as_str()),
        (18.5, Bound::Exact, "2026-05-30T08:00:00Z")
    );
    assert_eq!(
        (c.source.reference.as_str(), c.source.version.as_deref()),
        ("Observation/a", Some("3"))
    );
    assert_eq!(c.converted_from, None);
    assert!(got.ignored.is_empty() && got.assumed.is_empty());
}

#[test]
fn status() {
    for (status, id) in [
        ("entered-in-error", "remark-entered-in-error"),
        ("cancelled", "remark-status"),
        ("unknown", "remark-status"),
        ("registered", "remark-status"),
        ("nonsense", "remark-status"),
    ] {
        ignored(with(l(), "/status", json!(status)), id);
    }
    for status in ["final", "amended", "corrected"] {
        assert_eq!(facts(&[with(l(), "/status", json!(status))]).measured["C"].len(), 1);
    }
    let got = facts(&[with(l(), "/status", json!("preliminary"))]);
    assert!(got.measured["C"][0].preliminary);
    assert_eq!(ids(&got.assumed), ["remark-preliminary"]);
    ignored(without(l(), "status"), "remark-unreadable");
}

#[test]
fn what_was_entered_in_error_is_named() {
    let got = facts(&[with(l(), "/status", json!("entered-in-error"))]);
    let args = &got.ignored[0].args;
    assert_eq!(
        (args["value"].as_str(), args["time"].as_str()),
        ("18.5 mg/L", "2026-05-30T08:00:00Z")
    );
}

#[test]
fn subject() {
    ignored(without(l(), "subject"), "remark-no-subject");
    ignored(
        with(l(), "/subject", json!({"reference": "Patient/q"})),
        "remark-other-subject",
    );
    ignored(with(l(), "/subject", json!({"display": "me"})), "remark-no-subject");
    // Nothing of another person is named, not even what was taken back.
    let retracted = with(l(), "/status", json!("entered-in-error"));
    ignored(
        with(retracted, "/subject/reference", json!("Patient/q")),
        "remark-other-subject",
    );
    // The weight of the child in the chart of the mother.
    let about = |focus: Value| with(l(), "/focus", focus);
    ignored(about(json!([{"reference": "Patient/q"}])), "remark-other-subject");
    ignored(about(json!([{"reference": "RelatedPerson/p"}])), "remark-other-subject");
    ignored(
        with(
            about(json!([{"reference": "Patient/q"}])),
            "/status",
            json!("entered-in-error"),
        ),
        "remark-other-subject",
    );
    assert_eq!(
        facts(&[about(json!([{"reference": "Patient/p"}]))]).measured["C"].len(),
        1
    );
    for reference in ["Patient/p/_history/1", "http://x/Patient/p", "urn:uuid:p"] {
        assert_eq!(
            facts(&[with(l(), "/subject", json!({"reference": reference}))]).measured["C"].len(),
            1,
            "{reference}"
        );
    }
}

#[test]
fn modifiers_are_not_guessed_at() {
    ignored(
        with(l(), "/modifierExtension", json!([{"url": "x", "valueBoolean": true}])),
        "remark-modified",
    );
    ignored(with(l(), "/implicitRules", json!("http://x")), "remark-modified");
    assert_eq!(
        facts(&[with(l(), "/modifierExtension", json!([]))]).measured["C"].len(),
        1
    );
}

#[test]
fn times() {
    for (time, id) in [
        ("2026-05-30", "remark-time-unknown"),
        ("2026-05", "remark-time-unknown"),
        ("2026-05-30T12:06:00Z", "remark-future"),
        ("2026-02-30T10:00:00Z", "remark-time-invalid"),
        ("0000-01-01T00:00:00Z", "remark-time-invalid"),
        ("2026-05-30T08:00:00+99:99", "remark-time-invalid"),
        ("2026-01-01T08:00:00Z", "remark-before-window"),
    ] {
        ignored(with(l(), "/effectiveDateTime", json!(time)), id);
    }
    ignored(without(l(), "effectiveDateTime"), "remark-time-unknown");
    assert_eq!(
        facts(&[with(l(), "/effectiveDateTime", json!("2026-05-30T12:04:00Z"))]).measured["C"].len(),
        1
    );
    // Paris is two hours ahead in May.
    let got = facts(&[with(l(), "/effectiveDateTime", json!("2026-05-30T08:00:00"))]);
    assert_eq!(got.measured["C"][0].time.to_string(), "2026-05-30T06:00:00Z");
    assert_eq!(ids(&got.assumed), ["remark-zone-assumed"]);
    assert_eq!(got.assumed[0].args["zone"], "Europe/Paris");
}

#[test]
fn periods() {
    let period = |start: &str, end: &str| {
        with(
            without(l(), "effectiveDateTime"),
            "/effectivePeriod",
            json!({"start": start, "end": end}),
        )
    };
    let got = facts(&[period("2026-05-30T08:00:00Z", "2026-05-30T08:10:00Z")]);
    assert_eq!(got.measured["C"][0].time.to_string(), "2026-05-30T08:05:00Z");
    ignored(
        period("2026-05-29T08:00:00Z", "2026-05-30T08:10:00Z"),
        "remark-time-unknown",
    );
    ignored(
        period("2026-05-30T08:00:00Z", "2026-05-30T07:00:00Z"),
        "remark-time-unknown",
    );
    let instant = with(
        without(l(), "effectiveDateTime"),
        "/effectiveInstant",
        json!("2026-05-30T08:00:00Z"),
    );
    assert_eq!(facts(&[instant]).measured["C"].len(), 1);
}

#[test]
fn a_covariate_of_a_day_is_taken_at_noon_and_of_today_not_later_than_now() {
    let scr = |time: &str| observation("s", "2160-0", time, "1.1", "mg/dL");
    let got = facts(&[scr("2026-05-29")]);
    assert_eq!(got.measured["scr"][0].time.to_string(), "2026-05-29T10:00:00Z");
    assert_eq!(ids(&got.assumed), ["remark-day-only"]);
    assert_eq!(facts(&[scr("2026-05-30")]).measured["scr"].len(), 1);
    ignored(scr("2026-05-31"), "remark-future");
    let issued = with(
        without(scr(NOW), "effectiveDateTime"),
        "/issued",
        json!("2026-05-30T09:00:00Z"),
    );
    assert_eq!(ids(&facts(&[issued]).assumed), ["remark-time-issued"]);
    let old = facts(&[
        scr("2026-05-20T08:00:00Z"),
        with(scr("2026-05-21T08:00:00Z"), "/id", json!("t")),
    ]);
    assert_eq!(ids(&old.ignored), ["remark-too-old"]);
    assert_eq!(old.ignored[0].args["time"], "2026-05-21T08:00:00Z");
}

#[test]
fn units() {
    let q = |quantity: Value| with(l(), "/valueQuantity", quantity);
    for (quantity, value) in [
        (json!({"value": 18.5, "unit": "mcg/mL"}), 18.5),
        (
            json!({"value": 0.0185, "unit": "x", "system": UCUM, "code": "g/L"}),
            18.5,
        ),
        (json!({"value": 18.5, "unit": "\u{b5}g/mL"}), 18.5),
        (json!({"value": 1.85e1, "code": "ug/mL", "system": UCUM}), 18.5),
    ] {
        let got = facts(&[q(quantity.clone())]);
        assert!((got.measured["C"][0].value - value).abs() < 1e-9, "{quantity}");
        assert!(got.measured["C"][0].converted_from.is_some());
    }
    for (quantity, id) in [
        (json!({"value": 18.5}), "remark-no-unit"),
        (json!({"value": 18.5, "unit": "furlong"}), "remark-unit"),
        (
            json!({"value": 18.5, "unit": "umol/L", "system": UCUM, "code": "umol/L"}),
            "remark-unit",
        ),
        (json!({"value": 18.5, "system": UCUM, "code": "mcg/mL"}), "remark-unit"),
        (
            json!({"value": 18.5, "system": UCUM, "code": "g/L"}),
            "remark-implausible",
        ),
        (
            json!({"value": -1, "system": UCUM, "code": "mg/L"}),
            "remark-implausible",
        ),
        (
            json!({"value": 0, "system": UCUM, "code": "mg/L"}),
            "remark-implausible",
        ),
        (
            json!({"value": 1e308, "system": UCUM, "code": "mg/L"}),
            "remark-not-a-number",
        ),
        (
            json!({"unit": "mg/L", "system": UCUM, "code": "mg/L"}),
            "remark-not-a-number",
        ),
    ] {
        ignored(q(quantity), id);
    }
    ignored(without(l(), "valueQuantity"), "remark-no-value");
    let text = l().to_string().replace("18.5", "1e999");
    ignored(serde_json::from_str(&text).unwrap(), "remark-not-a-number");
    let scr = facts(&[observation("s", "14682-9", "2026-05-30T08:00:00Z", "88.402", "umol/L")]);
    assert!((scr.measured["scr"][0].value - 1.0).abs() < 1e-3);
    assert_eq!(scr.measured["scr"][0].converted_from.as_deref(), Some("88.402 umol/L"));
}

#[test]
fn limits() {
    let words = |text: &str| with(without(l(), "valueQuantity"), "/valueString", json!(text));
    ignored(words("GREATER THAN 13.1"), "remark-no-unit");
    ignored(words("HEMOLYZED"), "remark-not-a-number");
    let got = facts(&[words("<0.2 mg/L")]);
    assert_eq!(
        (got.measured["C"][0].value, got.measured["C"][0].bound),
        (0.2, Bound::Below)
    );
    let range = with(
        words(">= 40"),
        "/referenceRange",
        json!([{"low": {"value": 10, "unit": "ug/mL"}}]),
    );
    let got = facts(&[range]);
    assert_eq!(
        (got.measured["C"][0].value, got.measured["C"][0].bound),
        (40.0, Bound::Above)
    );
    assert_eq!(ids(&got.assumed), ["remark-unit-assumed"]);
    let got = facts(&[with(l(), "/valueQuantity/comparator", json!("<"))]);
    assert_eq!(got.measured["C"][0].bound, Bound::Below);
    ignored(
        with(l(), "/valueQuantity/comparator", json!("ad")),
        "remark-not-a-number",
    );
}

#[test]
fn a_value_beside_the_reason_why_there_is_none() {
    let why = json!({"coding": [{"code": "error"}]});
    ignored(with(l(), "/dataAbsentReason", why), "remark-no-value");
}

#[test]
fn a_unit_that_contradicts_its_code() {
    let both = with(l(), "/valueQuantity/unit", json!("g/L"));
    let got = facts(std::slice::from_ref(&both));
    assert_eq!(got.ignored[0].args["value"], "18.5 g/L, code mg/L");
    ignored(both, "remark-unit");
}

#[test]
fn components() {
    let panel = json!({"resourceType": "Observation", "id": "v", "status": "final", "subject": {"reference": "Patient/p"},
        "code": {"coding": [{"system": LOINC, "code": "85353-1"}]}, "effectiveDateTime": "2026-05-30T08:00:00Z",
        "component": [
            {"code": {"coding": [{"system": LOINC, "code": "8302-2"}]}, "valueQuantity": {"value": 70, "unit": "in"}},
            {"code": {"coding": [{"system": LOINC, "code": "29463-7"}]}, "valueQuantity": {"value": 150, "unit": "lbs"}}]});
    let got = facts(&[panel]);
    assert!((got.measured["ht"][0].value - 177.8).abs() < 1e-9);
    assert!((got.measured["wt"][0].value - 68.0388555).abs() < 1e-6);
}

#[test]
fn the_newest_version_counts() {
    let v = |version: &str, status: &str, value: f64| {
        with(
            with(
                with(l(), "/meta", json!({"versionId": version})),
                "/status",
                json!(status),
            ),
            "/valueQuantity/value",
            json!(value),
        )
    };
    let got = facts(&[
        v("2", "amended", 20.0),
        v("10", "corrected", 21.0),
        v("1", "final", 18.5),
    ]);
    assert_eq!(got.measured["C"].iter().map(|m| m.value).collect::<Vec<_>>(), [21.0]);
    let got = facts(&[v("1", "final", 18.5), v("2", "entered-in-error", 18.5)]);
    assert_eq!(got.measured.get("C"), None);
    assert_eq!(ids(&got.ignored), ["remark-entered-in-error"]);
    let t = |at: &str, value: f64| {
        with(
            with(l(), "/meta", json!({"lastUpdated": at})),
            "/valueQuantity/value",
            json!(value),
        )
    };
    let got = facts(&[
        t("2026-05-30T09:00:00Z", 1.0),
        t("2026-05-30T11:00:00+02:00", 1.0),
        t("2026-05-30T09:00:01Z", 3.0),
    ]);
    assert_eq!(got.measured["C"][0].value, 3.0);
    // Two texts of one resource, and nothing that says which is newer.
    ignored(
        json!({"resourceType": "Bundle", "entry": [{"resource": l()}, {"resource": with(l(), "/valueQuantity/value", json!(9))}]}),
        "remark-versions",
    );
    assert_eq!(facts(&[l(), l()]).measured["C"].len(), 1);
}

#[test]
fn repeats_and_contradictions() {
    let same = facts(&[l(), level("b", "2026-05-30T08:00:00Z", "18.50")]);
    assert_eq!(same.measured["C"].len(), 1);
    assert!(same.ignored.is_empty());
    let apart = facts(&[l(), level("b", "2026-05-30T08:09:00Z", "30")]);
    assert_eq!(apart.measured.get("C"), None);
    assert_eq!(ids(&apart.ignored), ["remark-contradiction", "remark-contradiction"]);
    assert_eq!(
        facts(&[l(), level("b", "2026-05-30T08:09:00Z", "20")]).measured["C"].len(),
        2
    );
    assert_eq!(
        facts(&[l(), level("b", "2026-05-30T08:10:00Z", "30")]).measured["C"].len(),
        2
    );
    let scr = |id: &str, time: &str, v: &str| observation(id, "2160-0", time, v, "mg/dL");
    let got = facts(&[
        scr("1", "2026-05-30T08:00:00Z", "1.0"),
        scr("2", "2026-05-30T08:00:00Z", "2.0"),
    ]);
    assert_eq!(ids(&got.ignored), ["remark-contradiction", "remark-contradiction"]);
    // A creatinine that doubles within a day is a kidney that fails, not a mistake.
    let got = facts(&[
        scr("1", "2026-05-29T08:00:00Z", "1.0"),
        scr("2", "2026-05-30T08:00:00Z", "2.0"),
    ]);
    assert_eq!(got.measured["scr"].last().unwrap().value, 2.0);
}

#[test]
fn weights() {
    let wt = |id: &str, time: &str, v: &str| observation(id, "29463-7", time, v, "kg");
    let newest = |all: &[Value]| facts(all).measured.get("wt").map(|w| w.last().unwrap().value);
    let (a, b, c) = ("2026-05-28T08:00:00Z", "2026-05-29T08:00:00Z", "2026-05-30T08:00:00Z");
    // Pounds written as kilograms, last.
    let record = [wt("1", a, "80"), wt("2", b, "81"), wt("3", c, "178")];
    assert_eq!(newest(&record), Some(81.0));
    let got = facts(&record);
    assert_eq!(ids(&got.ignored), ["remark-disagrees"]);
    assert_eq!(ids(&got.assumed), ["remark-chosen"]);
    // Two that disagree: nothing but the newest to go by, and it is said.
    assert_eq!(newest(&[wt("1", a, "52"), wt("2", b, "80")]), Some(80.0));
    // At the same moment not even that.
    assert_eq!(newest(&[wt("1", a, "52"), wt("2", a, "80")]), None);
    // The same weight in pounds and kilograms does not disagree.
    let both = [wt("1", a, "55"), observation("2", "29463-7", a, "121.2", "[lb_av]")];
    assert!(facts(&both).ignored.is_empty());
    assert_eq!(newest(&[wt("1", a, "999"), wt("2", b, "80")]), Some(80.0));
    let ht = [
        observation("h", "8302-2", a, "70", "cm"),
        observation("i", "8302-2", b, "70", "[in_i]"),
    ];
    let got = facts(&ht);
    assert_eq!(ids(&got.ignored), ["remark-implausible"]);
    assert!((got.measured["ht"][0].value - 177.8).abs() < 1e-9);
}
