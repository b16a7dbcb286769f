use super::*;
use crate::fhir::facts::read_draft_orders;
use crate::patient::needs::Category;
use proptest::prelude::*;

/// Any JSON, a little.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(|n| json!(n)),
        any::<f64>().prop_map(|n| json!(n)),
        prop::sample::select(vec![
            "",
            "Bundle",
            "Patient",
            "Patient/p",
            "p",
            "entered-in-error",
            "2026-02-30",
            "2026-05-30T08:00:00",
            "9999-12-31T23:59:59Z",
            "0001-01-01T00:00:00+14:00",
            "NaN",
            "1e400",
            "mg",
            "[lb_av]",
            "{dose}",
            "(((((",
            "10*999",
            "Q999H",
            "Q0H",
            "BID",
            "\u{0}",
            "é",
        ])
        .prop_map(|s| json!(s)),
        "\\PC{0,12}".prop_map(|s| json!(s)),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::Array),
            prop::collection::vec(
                (
                    prop::sample::select(vec![
                        "value",
                        "code",
                        "coding",
                        "start",
                        "end",
                        "reference",
                        "resource",
                        "entry",
                        "id"
                    ]),
                    inner
                ),
                0..3
            )
            .prop_map(|pairs| Value::Object(pairs.into_iter().map(|(k, v)| (k.to_owned(), v)).collect())),
        ]
    })
}

/// Replaces the `n`th value, counted in depth, by another.
fn mutate(value: &mut Value, n: &mut usize, by: &Value) {
    if *n == 0 {
        *value = by.clone();
    }
    if *n == usize::MAX {
        return;
    }
    *n = n.wrapping_sub(1);
    match value {
        Value::Array(list) => list.iter_mut().for_each(|v| mutate(v, n, by)),
        Value::Object(map) => map.values_mut().for_each(|v| mutate(v, n, by)),
        _ => {}
    }
}

fn record() -> Value {
    let entries: Vec<Value> = vec![
        patient(),
        level("a", "2026-05-30T08:00:00Z", "18.5"),
        with(
            without(level("b", "2026-05-30T09:00:00Z", "1"), "valueQuantity"),
            "/valueString",
            json!("<0.2 mg/L"),
        ),
        observation("w", "29463-7", "2026-05-30T08:00:00Z", "80", "kg"),
        dose("d", "2026-05-30T08:00:00Z", "2026-05-30T09:30:00Z", 1000.0),
        order("o", "active", "2026-05-29T08:00:00Z", 1000.0, 12),
        json!({"resourceType": "Procedure", "id": "x", "status": "completed", "subject": {"reference": "Patient/p"},
            "code": {"coding": [{"system": SNOMED, "code": "265764009"}]}, "performedDateTime": "2026-05-29"}),
        with(
            order("i", "active", "2026-05-29T08:00:00Z", 1000.0, 12),
            "/medicationCodeableConcept",
            json!({"coding": [{"system": "http://www.whocc.no/atc", "code": "J02AC03"}], "text": "azole"}),
        ),
        json!({"resourceType": "Observation", "id": "t", "status": "final", "subject": {"reference": "Patient/p"},
            "code": {"coding": [{"system": LOINC, "code": "5195-3"}]}, "effectiveDateTime": "2026-05-20",
            "valueCodeableConcept": {"coding": [{"system": SNOMED, "code": "10828004"}]},
            "interpretation": [{"coding": [{"code": "POS"}]}]}),
        json!({"resourceType": "Observation", "id": "g", "status": "final", "subject": {"reference": "Patient/p"},
            "code": {"coding": [{"system": LOINC, "code": "84413-4"}]}, "valueCodeableConcept": {"text": "CYP2C9*1/*3"},
            "component": [{"code": {"coding": [{"system": LOINC, "code": "48018-6"}]},
                "valueCodeableConcept": {"coding": [{"code": "HGNC:2623"}]}}]}),
        with(
            observation("m", "33728-7", "2026-05-20", "12", "mm"),
            "/bodySite",
            json!({"text": "liver"}),
        ),
        with(
            order("k", "active", "2026-05-18T08:00:00Z", 1000.0, 12),
            "/dosageInstruction/0/timing",
            json!({"repeat": {"dayOfWeek": ["mon", "fri"], "timeOfDay": ["08:00:00"], "when": ["MORN"]}}),
        ),
    ];
    json!({"resourceType": "Bundle", "entry": entries.into_iter().map(|r| json!({"resource": r})).collect::<Vec<_>>()})
}

/// Everything that can be asked for.
fn all_needs() -> Needs {
    let mut needs = needs();
    needs.measured.push(Measured {
        sum_per_day: true,
        ..covariate("tumour", &["33728-7"], "mm", (0.0, 500.0), None)
    });
    needs.flags.push(Flag {
        name: "any".into(),
        codes: vec![],
        drugs: vec![code("http://www.whocc.no/atc", "J02AC*")],
        synonyms: vec!["azole".into()],
        tests: vec![code(LOINC, "5195-3")],
        positive_above: Some(1.0),
        within: Some(SignedDuration::from_hours(1000)),
    });
    needs.categories.push(Category {
        name: "cyp".into(),
        gene: Some("CYP2C9".into()),
        codes: vec![],
        levels: vec![vec!["*1/*1".into()], vec!["*1/*3".into()]],
    });
    needs
}

#[test]
fn the_record_without_mutations_says_it_all() {
    let data = raw(&record());
    let facts = read(&[&data], &all_needs(), &Terminology::default(), &context(NOW)).unwrap();
    assert_eq!(
        (facts.categories["cyp"].level, facts.measured["tumour"][0].value),
        (1, 12.0)
    );
    assert_eq!(facts.flags["any"].reference, "MedicationRequest/i");
    check(&facts);
}

fn check(facts: &Facts) {
    for m in facts.measured.values().flatten() {
        assert!(m.value.is_finite());
    }
    for g in &facts.given {
        assert!(g.amount.is_finite() && g.amount > 0.0 && g.duration_hours.is_finite());
    }
    for regimen in facts.orders.iter().filter_map(|o| o.regimen) {
        assert!(regimen.amount > 0.0 && regimen.interval_hours > 0.0 && regimen.duration_hours >= 0.0);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn no_mutation_of_a_record_panics(at in prop::collection::vec(0usize..420, 1..4), by in any_json()) {
        let mut value = record();
        for n in at {
            mutate(&mut value, &mut n.clone(), &by);
        }
        let data = raw(&value);
        let (needs, terminology, ctx) = (all_needs(), Terminology::default(), context(NOW));
        if let Ok(facts) = read(&[&data], &needs, &terminology, &ctx) {
            check(&facts);
        }
        let _ = read_draft_orders(&[&data], &needs, &terminology, &ctx);
    }

    #[test]
    fn no_text_panics(by in any_json()) {
        let data = raw(&by);
        let (needs, terminology, ctx) = (all_needs(), Terminology::default(), context(NOW));
        let _ = read(&[&data], &needs, &terminology, &ctx);
        let _ = read_draft_orders(&[&data], &needs, &terminology, &ctx);
    }
}
