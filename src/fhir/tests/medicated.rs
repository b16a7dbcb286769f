//! Flags from medications.

use super::*;
use crate::patient::needs::ATC;

const INTERACTING: &str = "interacting";

fn needs_drugs(within: Option<i64>) -> Needs {
    let mut needs = needs();
    needs.flags.push(Flag {
        name: INTERACTING.into(),
        drugs: vec![code(ATC, "J02AC*"), code(RXNORM, "9384")],
        synonyms: vec!["rifampicin".into(), "rifampin".into()],
        within: within.map(SignedDuration::from_hours),
        ..Flag::default()
    });
    needs
}

fn said(within: Option<i64>, resource: &Value) -> bool {
    facts_for(&needs_drugs(within), std::slice::from_ref(resource))
        .flags
        .contains_key(INTERACTING)
}

fn azole() -> Value {
    json!({"coding": [{"system": ATC, "code": "J02AC03"}]})
}

fn request(status: &str, start: &str) -> Value {
    with(
        order("r", status, start, 200.0, 12),
        "/medicationCodeableConcept",
        azole(),
    )
}

fn given(status: &str, start: &str, end: &str) -> Value {
    let given = dose("g", start, end, 200.0);
    with(
        with(given, "/status", json!(status)),
        "/medicationCodeableConcept",
        azole(),
    )
}

fn statement(status: &str, period: Value) -> Value {
    json!({"resourceType": "MedicationStatement", "id": "s", "status": status, "subject": {"reference": "Patient/p"},
        "medicationCodeableConcept": azole(), "effectivePeriod": period})
}

#[test]
fn orders() {
    let long_ago = "2024-05-29T08:00:00Z";
    let month = Some(30 * 24);
    assert!(said(None, &request("active", long_ago)));
    assert!(!said(None, &request("active", "2026-06-02T08:00:00Z")));
    for status in ["draft", "cancelled", "entered-in-error", "unknown"] {
        assert!(!said(month, &request(status, "2026-05-29T08:00:00Z")), "{status}");
    }
    for intent in ["proposal", "plan", "option"] {
        assert!(
            !said(month, &with(request("active", long_ago), "/intent", json!(intent))),
            "{intent}"
        );
    }
    let not = with(request("active", long_ago), "/doNotPerform", json!(true));
    assert!(!said(month, &not));
    let until = |status: &str, end: &str| {
        let validity = json!({"validityPeriod": {"start": long_ago, "end": end}});
        with(request(status, long_ago), "/dispenseRequest", validity)
    };
    for status in ["active", "stopped", "completed"] {
        assert!(said(month, &until(status, "2026-05-10")), "{status}");
        assert!(!said(month, &until(status, "2026-03-10")), "{status}");
        assert!(!said(None, &until(status, "2026-05-10")), "{status}");
    }
    // Ended, nobody says when: it counts when it cannot have been longer ago than it began.
    assert!(said(month, &request("stopped", "2026-05-20T08:00:00Z")));
    let got = facts_for(
        &needs_drugs(month),
        &[request("stopped", long_ago), until("stopped", "2099-01-01")],
    );
    assert_eq!(got.flags.len(), 0);
    assert_eq!(ids(&got.ignored), ["remark-versions"]);
    let got = facts_for(&needs_drugs(month), &[request("stopped", long_ago)]);
    assert_eq!(
        (got.flags.len(), ids(&got.ignored)),
        (0, vec!["remark-flag-drug-undated"])
    );
    assert_eq!(
        ids(&facts_for(&needs_drugs(None), &[request("stopped", long_ago)]).ignored),
        [""; 0]
    );
}

#[test]
fn administrations() {
    let (start, end) = ("2026-05-29T20:00:00Z", "2026-05-29T21:00:00Z");
    assert!(said(None, &given("completed", start, end)));
    assert!(said(None, &given("stopped", start, end)));
    assert!(!said(
        None,
        &given("completed", "2026-05-28T20:00:00Z", "2026-05-28T21:00:00Z")
    ));
    assert!(said(
        Some(72),
        &given("completed", "2026-05-28T20:00:00Z", "2026-05-28T21:00:00Z")
    ));
    for status in ["not-done", "entered-in-error", "unknown"] {
        assert!(!said(None, &given(status, start, end)), "{status}");
    }
    assert!(!said(
        None,
        &given("completed", "2026-05-30T20:00:00Z", "2026-05-30T21:00:00Z")
    ));
    let running = with(
        given("in-progress", "2026-05-20T20:00:00Z", ""),
        "/effectivePeriod",
        json!({"start": "2026-05-20T20:00:00Z"}),
    );
    assert!(said(None, &running));
    let day = with(
        without(given("completed", start, end), "effectivePeriod"),
        "/effectiveDateTime",
        json!("2026-05-29"),
    );
    assert!(said(None, &day));
}

#[test]
fn statements() {
    let month = Some(30 * 24);
    for status in ["active", "intended"] {
        assert!(
            said(None, &statement(status, json!({"start": "2024-01-01"}))),
            "{status}"
        );
        assert!(
            !said(None, &statement(status, json!({"start": "2026-07-01"}))),
            "{status}"
        );
    }
    assert!(said(
        month,
        &statement("completed", json!({"start": "2024-01-01", "end": "2026-05-15"}))
    ));
    assert!(!said(
        month,
        &statement("completed", json!({"start": "2024-01-01", "end": "2026-01-15"}))
    ));
    for status in ["not-taken", "unknown", "entered-in-error"] {
        assert!(
            !said(month, &statement(status, json!({"start": "2026-05-20"}))),
            "{status}"
        );
    }
    let taken = with(
        without(statement("completed", json!({})), "effectivePeriod"),
        "/effectiveDateTime",
        json!("2026-05-20"),
    );
    assert!(said(month, &taken));
}

#[test]
fn which_drug() {
    let of = |concept: Value| {
        with(
            request("active", "2026-05-20T08:00:00Z"),
            "/medicationCodeableConcept",
            concept,
        )
    };
    let coded = |system: &str, code: &str| said(None, &of(json!({"coding": [{"system": system, "code": code}]})));
    assert!(coded(ATC, "J02AC01") && coded("urn:oid:2.16.840.1.113883.6.73", "J02AC01") && coded(RXNORM, "9384"));
    assert!(!coded(ATC, "J02AB02") && !coded(RXNORM, "11124") && !coded(ATC, "J02AC0"[..4].as_ref()));
    let got = facts_for(&needs_drugs(None), &[of(json!({"text": "Rifampin 300 mg"}))]);
    assert_eq!((got.flags.len(), ids(&got.assumed)), (1, vec!["remark-drug-by-text"]));
    assert_eq!(got.assumed[0].args["name"], INTERACTING);
    assert!(!said(None, &of(json!({"text": "rifampicinoid"}))));
    // By a Medication that is there, and by one that is not.
    let by = |reference: Value| {
        with(
            without(of(json!({})), "medicationCodeableConcept"),
            "/medicationReference",
            reference,
        )
    };
    let product = json!({"resourceType": "Medication", "id": "m", "ingredient": [{"itemCodeableConcept": azole()}]});
    let got = facts_for(&needs_drugs(None), &[by(json!({"reference": "Medication/m"})), product]);
    assert_eq!((got.flags.len(), got.ignored.len()), (1, 0));
    let got = facts_for(&needs_drugs(None), &[by(json!({"reference": "Medication/m"}))]);
    assert_eq!(
        (got.flags.len(), ids(&got.ignored)),
        (0, vec!["remark-medication-missing"])
    );
    assert_eq!(got.ignored[0].args["count"], "1");
    let shown = by(json!({"reference": "Medication/m", "display": "rifampicin 600"}));
    assert!(said(None, &shown));
}

#[test]
fn whose_it_is() {
    let active = request("active", "2026-05-20T08:00:00Z");
    for (resource, id) in [
        (
            with(active.clone(), "/subject/reference", json!("Patient/q")),
            "remark-other-subject",
        ),
        (without(active.clone(), "subject"), "remark-no-subject"),
        (
            with(active.clone(), "/modifierExtension", json!([{"url": "x"}])),
            "remark-modified",
        ),
        (
            with(active.clone(), "/dosageInstruction", json!(7)),
            "remark-unreadable",
        ),
        (
            with(active, "/status", json!("entered-in-error")),
            "remark-entered-in-error-bare",
        ),
    ] {
        let got = facts_for(&needs_drugs(None), std::slice::from_ref(&resource));
        assert_eq!((got.flags.len(), ids(&got.ignored)), (0, vec![id]), "{resource}");
    }
}
