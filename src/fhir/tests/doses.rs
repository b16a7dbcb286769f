use super::*;

fn d() -> Value {
    dose("a", "2026-05-30T08:00:00Z", "2026-05-30T09:30:00Z", 1000.0)
}

fn ignored(resource: Value, id: &str) {
    let got = facts(std::slice::from_ref(&resource));
    assert!(got.given.is_empty(), "{resource}");
    assert_eq!(ids(&got.ignored), [id], "{resource}");
}

#[test]
fn a_dose_is_read() {
    let got = facts(&[d()]);
    let g = &got.given[0];
    assert_eq!(
        (g.amount, g.duration_hours, g.duration_assumed, g.assumed_from_order),
        (1000.0, 1.5, false, false)
    );
    assert!(got.ignored.is_empty() && got.assumed.is_empty());
    let grams = with(d(), "/dosage/dose", json!({"value": 1, "unit": "g"}));
    assert_eq!(facts(&[grams]).given[0].amount, 1000.0);
}

#[test]
fn status_and_time() {
    for (status, id) in [
        ("not-done", "remark-dose-status"),
        ("on-hold", "remark-dose-status"),
        ("unknown", "remark-dose-status"),
        ("entered-in-error", "remark-dose-entered-in-error"),
    ] {
        ignored(with(d(), "/status", json!(status)), id);
    }
    let stopped = with(d(), "/status", json!("stopped"));
    assert_eq!(
        ids(&facts(std::slice::from_ref(&stopped)).assumed),
        ["remark-dose-stopped"]
    );
    ignored(
        with(stopped, "/dosage", json!({"text": "bag"})),
        "remark-dose-no-amount",
    );
    let running = with(d(), "/status", json!("in-progress"));
    assert_eq!(ids(&facts(&[running]).assumed), ["remark-dose-in-progress"]);
    ignored(
        with(d(), "/effectivePeriod/start", json!("2026-05-30")),
        "remark-dose-time-unknown",
    );
    ignored(
        with(d(), "/effectivePeriod", json!({"end": "2026-05-30T08:00:00Z"})),
        "remark-dose-time-unknown",
    );
    ignored(
        with(d(), "/effectivePeriod/start", json!("2026-05-30T12:06:00Z")),
        "remark-dose-future",
    );
    ignored(
        with(d(), "/effectivePeriod/end", json!("2026-06-02T12:06:00Z")),
        "remark-dose-period",
    );
    ignored(
        with(d(), "/subject/reference", json!("Patient/q")),
        "remark-other-subject",
    );
    ignored(
        with(d(), "/modifierExtension", json!([{"url": "x"}])),
        "remark-modified",
    );
    ignored(
        dose("a", "2026-05-01T08:00:00Z", "2026-05-01T09:00:00Z", 1000.0),
        "remark-doses-before-window",
    );
}

#[test]
fn amounts() {
    for (quantity, id) in [
        (json!({"value": 1, "unit": "dose"}), "remark-dose-unit"),
        (
            json!({"value": 1, "unit": "{dose}", "system": UCUM, "code": "{dose}"}),
            "remark-dose-unit",
        ),
        (
            json!({"value": 250, "unit": "mL", "system": UCUM, "code": "mL"}),
            "remark-dose-unit",
        ),
        (
            json!({"value": 15, "unit": "mg/kg", "system": UCUM, "code": "mg/kg"}),
            "remark-dose-per-weight",
        ),
        (json!({"value": 0, "unit": "mg"}), "remark-dose-amount"),
        (json!({"value": -1000, "unit": "mg"}), "remark-dose-amount"),
        (json!({"value": 1000}), "remark-dose-unit"),
        (json!({"value": 1e300, "unit": "mg"}), "remark-dose-unit"),
    ] {
        ignored(with(d(), "/dosage/dose", quantity), id);
    }
}

#[test]
fn length_of_infusion() {
    let minute = |id: &str, hour: u32| {
        dose(
            id,
            &format!("2026-05-30T{hour:02}:00:00Z"),
            &format!("2026-05-30T{hour:02}:01:00Z"),
            1500.0,
        )
    };
    let got = facts(&[minute("a", 1), minute("b", 9)]);
    assert_eq!(
        (got.given[0].duration_hours, got.given[0].duration_assumed),
        (1.5, true)
    );
    assert_eq!(ids(&got.assumed), ["remark-infusion-assumed"]);
    assert_eq!(got.assumed[0].args["count"], "2");
    let bare = with(
        without(d(), "effectivePeriod"),
        "/effectiveDateTime",
        json!("2026-05-30T08:00:00Z"),
    );
    assert_eq!(facts(std::slice::from_ref(&bare)).given[0].duration_hours, 1.0);
    let rated = with(bare, "/dosage/rateQuantity", json!({"value": 500, "unit": "mg/h"}));
    let g = facts(&[rated]).given[0].clone();
    assert_eq!((g.amount, g.duration_hours, g.duration_assumed), (1000.0, 2.0, false));
    let only_rate = with(
        d(),
        "/dosage",
        json!({"rateRatio": {"numerator": {"value": 1, "unit": "g"},
        "denominator": {"value": 60, "unit": "min", "system": UCUM, "code": "min"}}}),
    );
    assert!((facts(&[only_rate]).given[0].amount - 1500.0).abs() < 1e-9);
}

#[test]
fn duplicates_and_routes() {
    let got = facts(&[d(), with(d(), "/id", json!("b"))]);
    assert_eq!((got.given.len(), ids(&got.ignored)), (1, vec!["remark-dose-twice"]));
    let oral = json!({"coding": [{"system": SNOMED, "code": "26643006", "display": "Oral route"}]});
    ignored(with(d(), "/dosage/route", oral), "remark-dose-route");
    ignored(with(d(), "/dosage/route", json!({"text": "PO"})), "remark-dose-route");
    assert_eq!(
        facts(&[with(d(), "/dosage/route", json!({"text": "IV"}))]).given.len(),
        1
    );
}

#[test]
fn the_drug_by_product_reference_and_name() {
    let coded = |system: &str, code: &str, display: &str| {
        with(
            d(),
            "/medicationCodeableConcept",
            json!({"coding": [{"system": system, "code": code, "display": display}]}),
        )
    };
    let got = facts(&[coded(RXNORM, "1807513", "")]);
    assert_eq!((got.given.len(), got.assumed.len()), (1, 0));
    let got = facts(&[coded("urn:local", "V1", "Vancomycin 1 g")]);
    assert_eq!((got.given.len(), ids(&got.assumed)), (1, vec!["remark-drug-by-text"]));
    assert!(
        facts(&[coded(RXNORM, "313570", "vancomycin 125 MG Oral Capsule")])
            .given
            .is_empty()
    );
    assert!(facts(&[coded("urn:local", "T", "telavancin")]).given.is_empty());
    let by = |reference: &str| {
        with(
            without(d(), "medicationCodeableConcept"),
            "/medicationReference",
            json!({"reference": reference}),
        )
    };
    let product =
        json!({"resourceType": "Medication", "id": "m", "code": {"coding": [{"system": RXNORM, "code": "11124"}]}});
    for reference in ["Medication/m", "http://x/Medication/m/_history/1"] {
        assert_eq!(facts(&[by(reference), product.clone()]).given.len(), 1);
    }
    let mut contained = json!({"resourceType": "MedicationAdministration", "contained": [product]});
    by("#m")
        .as_object()
        .unwrap()
        .iter()
        .for_each(|(k, v)| contained[k.as_str()] = v.clone());
    assert_eq!(facts(&[contained]).given.len(), 1);
    let got = facts(&[by("Medication/gone")]);
    assert_eq!(ids(&got.ignored), ["remark-medication-missing"]);
    let by_ingredient = json!({"resourceType": "Medication", "id": "m",
        "ingredient": [{"itemCodeableConcept": {"coding": [{"system": RXNORM, "code": "11124"}]}}]});
    assert_eq!(facts(&[by("Medication/m"), by_ingredient]).given.len(), 1);
}

#[test]
fn orders_of_the_record() {
    let got = facts(&[order("o", "active", "2026-05-29T08:00:00Z", 1000.0, 12)]);
    let o = &got.orders[0];
    let regimen = o.regimen.unwrap();
    assert_eq!(
        (regimen.amount, regimen.interval_hours, regimen.duration_hours),
        (1000.0, 12.0, 1.0)
    );
    assert!(o.active && !o.draft && o.unclear.is_none() && o.start.is_none());
    assert_eq!(o.medication_codes, [(RXNORM.to_owned(), "11124".to_owned())]);
    for (status, active) in [
        ("on-hold", false),
        ("completed", false),
        ("stopped", false),
        ("draft", false),
        ("active", true),
    ] {
        assert_eq!(
            facts(&[order("o", status, "2026-05-29T08:00:00Z", 1.0, 12)]).orders[0].active,
            active,
            "{status}"
        );
    }
    let plan = with(
        order("o", "active", "2026-05-29T08:00:00Z", 1000.0, 12),
        "/intent",
        json!("plan"),
    );
    assert!(!facts(&[plan]).orders[0].active);
    let over = with(
        order("o", "active", "2026-05-01", 1000.0, 12),
        "/dispenseRequest",
        json!({"validityPeriod": {"start": "2026-05-01", "end": "2026-05-10"}}),
    );
    assert!(!facts(&[over]).orders[0].active);
    let today = with(
        order("o", "active", "2026-05-01", 1000.0, 12),
        "/dispenseRequest",
        json!({"validityPeriod": {"start": "2026-05-01T00:00:00Z", "end": "2026-05-30"}}),
    );
    let got = facts(&[today]);
    assert!(got.orders[0].active && got.orders[0].start.is_some());
    let forbidden = with(
        order("o", "active", "2026-05-29T08:00:00Z", 1.0, 12),
        "/doNotPerform",
        json!(true),
    );
    assert!(facts(&[forbidden]).orders.is_empty());
    let wrong = with(
        order("o", "entered-in-error", "2026-05-29T08:00:00Z", 1.0, 12),
        "/priority",
        json!("stat"),
    );
    assert_eq!(ids(&facts(&[wrong]).ignored), ["remark-order-entered-in-error"]);
}

#[test]
fn doses_from_an_order_only_when_none_is_charted() {
    let o = order("o", "active", "2026-05-29T08:00:00Z", 1000.0, 12);
    let got = facts(std::slice::from_ref(&o));
    assert_eq!(got.given.len(), 3);
    assert!(got.given.iter().all(|g| g.assumed_from_order && g.amount == 1000.0));
    assert!(ids(&got.assumed).contains(&"remark-doses-from-order"));
    assert_eq!(facts(&[o.clone(), d()]).given.len(), 1);
    // Charted, though not usable or not given: the chart is kept, so that orders prove nothing.
    for status in ["not-done", "stopped"] {
        let other = with(with(d(), "/status", json!(status)), "/dosage", json!({"text": "?"}));
        assert!(facts(&[o.clone(), other]).given.is_empty());
    }
    // Taken back: as if never charted.
    assert_eq!(
        facts(&[o.clone(), with(d(), "/status", json!("entered-in-error"))])
            .given
            .len(),
        3
    );
    let day_only = order("o", "active", "2026-05-29", 1000.0, 12);
    let got = facts(&[day_only]);
    assert_eq!((got.given.len(), ids(&got.ignored)), (0, vec!["remark-order-no-start"]));
    assert!(
        facts(&[order("o", "completed", "2026-05-29T08:00:00Z", 1000.0, 12)])
            .given
            .is_empty()
    );
    // The second order takes the place of the first.
    let two = facts(&[o, order("q", "active", "2026-05-30T08:00:00Z", 1500.0, 24)]);
    assert_eq!(
        two.given.iter().map(|g| g.amount).collect::<Vec<_>>(),
        [1000.0, 1000.0, 1500.0]
    );
}

#[test]
fn orders_for_one_dose_and_for_days_of_the_week() {
    let timing = |timing: Value| {
        with(
            order("o", "active", "2026-05-18T08:00:00Z", 1000.0, 12),
            "/dosageInstruction/0/timing",
            timing,
        )
    };
    let once = facts(&[timing(
        json!({"repeat": {"count": 1, "duration": 2, "durationUnit": "h"}}),
    )]);
    let o = &once.orders[0];
    assert_eq!((o.regimen, o.once, o.once_duration_hours), (None, Some(1000.0), 2.0));
    assert_eq!(o.unclear.as_deref(), Some("order-unclear-once"));
    let bare = facts(&[timing(json!({}))]);
    let o = &bare.orders[0];
    assert_eq!((o.regimen, o.once, o.once_duration_hours), (None, Some(1000.0), 1.0));
    assert_eq!(o.unclear.as_deref(), Some("order-unclear-no-timing"));
    assert!(bare.given.is_empty());
    let per_size = json!({"value": 75, "unit": "mg/m2", "system": UCUM, "code": "mg/m2"});
    let per_size = with(
        timing(json!({})),
        "/dosageInstruction/0/doseAndRate/0/doseQuantity",
        per_size,
    );
    let got = facts(&[per_size]);
    assert_eq!(got.orders[0].once, None);
    assert_eq!(got.orders[0].unclear.as_deref(), Some("order-unclear-per-weight"));

    let weekly = facts(&[timing(
        json!({"repeat": {"frequency": 1, "period": 8, "periodUnit": "wk",
        "boundsPeriod": {"start": "2026-01-01", "end": "2027-01-01"}}}),
    )]);
    assert_eq!(weekly.orders[0].regimen.unwrap().interval_hours, 1344.0);
    assert!(weekly.orders[0].active && weekly.orders[0].once.is_none());
    let days = facts(&[timing(json!({"repeat": {"dayOfWeek": ["mon", "wed", "fri"]}}))]);
    assert_eq!(days.orders[0].regimen.unwrap().interval_hours, 56.0);
    assert!(ids(&days.assumed).contains(&"remark-order-days"));
    // The doses themselves are on their days: Monday the 18th to Friday the 29th of May.
    let dates: Vec<String> = days
        .given
        .iter()
        .map(|g| g.time.to_string()[8..10].to_owned())
        .collect();
    assert_eq!(dates, ["18", "20", "22", "25", "27", "29"]);
    let wrong = facts(&[timing(json!({"repeat": {"dayOfWeek": ["mon", "someday"]}}))]);
    assert_eq!(wrong.orders[0].unclear.as_deref(), Some("order-unclear-timing"));
}

#[test]
fn doses_counted_in_tablets() {
    let tablets = json!({"value": 2, "unit": "tablet", "system": UCUM, "code": "{tbl}"});
    let product = |strength: Value| {
        json!({"resourceType": "Medication", "id": "m", "ingredient": [{"strength": strength,
            "itemCodeableConcept": {"coding": [{"system": RXNORM, "code": "11124"}]}}]})
    };
    let known = json!({"numerator": {"value": 125, "unit": "mg"}, "denominator": {"value": 1, "unit": "{tbl}"}});
    let reference = json!({"reference": "Medication/m"});
    let o = order("o", "active", "2026-05-29T08:00:00Z", 1000.0, 12);
    let o = with(o, "/dosageInstruction/0/doseAndRate/0/doseQuantity", tablets.clone());
    let o = with(
        without(o, "medicationCodeableConcept"),
        "/medicationReference",
        reference.clone(),
    );
    let d = with(
        without(d(), "medicationCodeableConcept"),
        "/medicationReference",
        reference,
    );
    let d = with(d, "/dosage/dose", tablets);
    let got = facts(&[o.clone(), d.clone(), product(known)]);
    assert_eq!(got.orders[0].regimen.unwrap().amount, 250.0);
    assert_eq!(got.given[0].amount, 250.0);
    for strength in [
        Value::Null,
        json!(7),
        json!({"numerator": {"value": 125, "unit": "mg"}}),
    ] {
        let got = facts(&[o.clone(), d.clone(), product(strength)]);
        assert_eq!(got.orders[0].unclear.as_deref(), Some("order-unclear-dose-unit"));
        assert_eq!(ids(&got.ignored), ["remark-dose-unit"]);
    }
}
