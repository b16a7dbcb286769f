use super::*;
use crate::fhir::facts::read_draft_orders;
use crate::patient::facts::Order;

fn drafts(value: &Value) -> (Vec<Order>, Vec<Remark>) {
    let data = raw(value);
    read_draft_orders(&[&data], &needs(), &Terminology::default(), &context(NOW))
}

#[test]
fn a_draft_as_clients_send_it() {
    // No Bundle.type, no status, no intent, no subject, objects for lists, a number for a code, a dose without doseAndRate.
    let (orders, _) = drafts(&json!({"resourceType": "Bundle", "entry": [{"resource": {
        "resourceType": "MedicationRequest", "category": {"text": "inpatient"},
        "medicationCodeableConcept": {"coding": {"system": RXNORM, "code": 11124}},
        "dosageInstruction": {"route": "IV", "timing": {"code": {"text": "Q12H"}}, "doseQuantity": {"value": "1000", "unit": "mg"}}}},
        {"resource": {"resourceType": "ServiceRequest"}}, {"resource": 7}]}));
    let regimen = orders[0].regimen.unwrap();
    assert_eq!(
        (orders.len(), regimen.amount, regimen.interval_hours),
        (1, 1000.0, 12.0)
    );
    assert!(orders[0].draft && !orders[0].active && orders[0].source.is_none());
}

#[test]
fn a_proper_draft() {
    let mut draft = order("d1", "draft", "2026-05-30T12:00:00Z", 1250.0, 8);
    draft["dosageInstruction"][0]["timing"]["repeat"]["boundsPeriod"] = json!({"start": "2026-05-30T14:00:00Z"});
    let (orders, _) = drafts(&json!({"resourceType": "Bundle", "type": "collection", "entry": [{"resource": draft}]}));
    let o = &orders[0];
    assert_eq!(o.source.as_ref().unwrap().reference, "MedicationRequest/d1");
    assert_eq!(o.start.unwrap().to_string(), "2026-05-30T14:00:00Z");
    assert_eq!(o.regimen.unwrap().interval_hours, 8.0);
}

#[test]
fn what_cannot_be_used_is_said() {
    let base = order("d1", "draft", "2026-05-30T12:00:00Z", 1250.0, 8);
    let (orders, remarks) = drafts(&with(base.clone(), "/subject/reference", json!("Patient/q")));
    assert_eq!((orders.len(), ids(&remarks)), (0, vec!["remark-other-subject"]));
    let oral = with(base.clone(), "/dosageInstruction/0/route", json!({"text": "PO"}));
    assert_eq!(ids(&drafts(&oral).1), ["remark-order-route"]);
    let needed = with(base.clone(), "/dosageInstruction/0/asNeededBoolean", json!(true));
    assert_eq!(drafts(&needed).0[0].unclear.as_deref(), Some("order-unclear-as-needed"));
    for (status, id) in [
        ("entered-in-error", "remark-order-entered-in-error"),
        ("cancelled", "remark-order-forbidden"),
        ("stopped", "remark-order-forbidden"),
    ] {
        let (orders, remarks) = drafts(&with(base.clone(), "/status", json!(status)));
        assert_eq!((orders.len(), ids(&remarks)), (0, vec![id]));
    }
    assert!(drafts(&without(base.clone(), "medicationCodeableConcept")).0.is_empty());
    let text = with(base, "/medicationCodeableConcept", json!({"text": "Vancomycin 1 g"}));
    let (orders, remarks) = drafts(&text);
    assert!(orders[0].matched_by_text);
    assert!(ids(&remarks).contains(&"remark-drug-by-text"));
}

#[test]
fn a_medication_beside_the_draft() {
    let by = json!({"resourceType": "MedicationRequest", "medicationReference": {"reference": "Medication/m"}});
    let m = json!({"resourceType": "Medication", "id": "m", "code": {"coding": [{"system": RXNORM, "code": "11124"}]}});
    let (orders, _) = drafts(&json!({"resourceType": "Bundle", "entry": [{"resource": by}, {"resource": m}]}));
    assert_eq!(orders[0].unclear.as_deref(), Some("order-unclear-no-dosage"));
    assert_eq!(orders[0].medication_codes.len(), 1);
}

#[test]
fn drafts_for_days_of_the_week_and_for_one_dose() {
    let mut draft = order("d1", "draft", "2026-05-30T12:00:00Z", 2000.0, 8);
    draft["dosageInstruction"][0]["timing"] = json!({"repeat": {"frequency": 3, "period": 1, "periodUnit": "wk",
        "dayOfWeek": ["mon", "wed", "fri"]}});
    let (orders, remarks) = drafts(&draft);
    assert_eq!(orders[0].regimen.unwrap().interval_hours, 56.0);
    assert!(ids(&remarks).contains(&"remark-order-days"));
    draft["dosageInstruction"][0]["timing"] = json!({"repeat": {"dayOfWeek": [7, {}, "mon"]}});
    assert_eq!(drafts(&draft).0[0].unclear.as_deref(), Some("order-unclear-timing"));
    draft["dosageInstruction"][0].as_object_mut().unwrap().remove("timing");
    let (orders, _) = drafts(&draft);
    assert_eq!((orders[0].regimen, orders[0].once), (None, Some(2000.0)));
}
