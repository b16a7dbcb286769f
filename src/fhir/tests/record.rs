use super::*;
use crate::patient::facts::Sex;

fn read_all(resources: &[Value]) -> Result<Facts, RecordError> {
    let all: Vec<Box<RawValue>> = resources.iter().map(raw).collect();
    let refs: Vec<&RawValue> = all.iter().map(AsRef::as_ref).collect();
    read(&refs, &needs(), &Terminology::default(), &context(NOW))
}

#[test]
fn the_patient_must_be_there_and_be_the_right_one() {
    assert_eq!(read_all(&[]).unwrap_err(), RecordError::PatientMissing);
    assert_eq!(
        read_all(&[level("a", NOW, "1")]).unwrap_err(),
        RecordError::PatientMissing
    );
    assert_eq!(
        read_all(&[with(patient(), "/id", json!("q"))]).unwrap_err(),
        RecordError::OtherPatient
    );
    assert_eq!(
        read_all(&[with(patient(), "/id", json!(7))]).unwrap_err(),
        RecordError::PatientUnreadable
    );
    assert_eq!(
        read_all(&[with(patient(), "/birthDate", json!({"a": 1}))]).unwrap_err(),
        RecordError::PatientUnreadable
    );
    assert_eq!(
        read_all(&[with(patient(), "/modifierExtension", json!([{"url": "x"}]))]).unwrap_err(),
        RecordError::PatientUnreadable
    );
    let mother = with(patient(), "/id", json!("mother"));
    assert_eq!(read_all(&[mother, patient()]).unwrap().person.id, "p");
}

#[test]
fn person() {
    let p = read_all(&[patient()]).unwrap().person;
    assert_eq!(
        (p.sex, p.deceased, p.birth_date.unwrap().to_string().as_str()),
        (Sex::Male, false, "1964-03-02")
    );
    for (date, taken) in [
        ("1964", Some("1964-07-01")),
        ("1964-03", Some("1964-03-15")),
        ("2026", Some("2026-05-30")),
    ] {
        let got = read_all(&[with(patient(), "/birthDate", json!(date))]).unwrap();
        assert_eq!(got.person.birth_date.map(|d| d.to_string()).as_deref(), taken);
        assert_eq!(ids(&got.assumed), ["remark-birth-date-partial"]);
    }
    for date in ["1964-02-30", "2027-01-01", "1726-01-01", "old", "2027"] {
        let got = read_all(&[with(patient(), "/birthDate", json!(date))]).unwrap();
        assert_eq!(
            (got.person.birth_date, ids(&got.ignored)),
            (None, vec!["remark-birth-date"]),
            "{date}"
        );
    }
    let masked = with(
        without(patient(), "birthDate"),
        "/_birthDate",
        json!({"extension": [{
        "url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason", "valueCode": "masked"}]}),
    );
    let got = read_all(&[masked]).unwrap();
    assert_eq!((got.person.birth_date, got.ignored.len()), (None, 0));
    assert!(
        read_all(&[with(patient(), "/deceasedBoolean", json!(true))])
            .unwrap()
            .person
            .deceased
    );
    assert!(
        read_all(&[with(patient(), "/deceasedDateTime", json!("2026-05-01"))])
            .unwrap()
            .person
            .deceased
    );
    assert!(
        !read_all(&[with(patient(), "/deceasedBoolean", json!(false))])
            .unwrap()
            .person
            .deceased
    );
    for gender in ["other", "unknown", "x"] {
        assert_eq!(
            read_all(&[with(patient(), "/gender", json!(gender))])
                .unwrap()
                .person
                .sex,
            Sex::Unknown
        );
    }
}

#[test]
fn urn_uuid_references_inside_a_bundle() {
    let mut unnamed = level("a", "2026-05-30T08:00:00Z", "18.5");
    unnamed["subject"] = json!({"reference": "urn:uuid:p"});
    let bundle = json!({"resourceType": "Bundle", "type": "transaction", "entry": [
        {"fullUrl": "urn:uuid:1", "resource": without(unnamed, "id")},
        {"fullUrl": "urn:uuid:p", "resource": without(patient(), "id")}]});
    let got = read_all(&[bundle]).unwrap();
    assert_eq!(got.measured["C"][0].source.reference, "urn:uuid:1");
    let foreign = json!({"resourceType": "Bundle", "entry": [
        {"fullUrl": "urn:uuid:zz", "resource": patient()},
        {"resource": with(level("a", "2026-05-30T08:00:00Z", "9"), "/subject/reference", json!("urn:uuid:zz"))}]});
    assert_eq!(read_all(&[foreign]).unwrap().measured["C"].len(), 1);
}

#[test]
fn flags() {
    let condition = |clinical: Option<&str>, verification: &str| {
        let c = json!({"resourceType": "Condition", "id": "c", "subject": {"reference": "Patient/p"},
            "code": {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "O80"}]},
            "verificationStatus": {"coding": [{"code": verification}]}});
        match clinical {
            Some(code) => with(c, "/clinicalStatus", json!({"coding": [{"code": code}]})),
            None => c,
        }
    };
    for (resource, set) in [
        (condition(Some("active"), "confirmed"), true),
        (condition(Some("recurrence"), "confirmed"), true),
        (condition(Some("relapse"), "provisional"), true),
        (condition(None, "confirmed"), true),
        (condition(Some("resolved"), "confirmed"), false),
        (condition(Some("active"), "refuted"), false),
        (condition(Some("active"), "entered-in-error"), false),
        (
            with(condition(None, "confirmed"), "/abatementDateTime", json!("2026-01-01")),
            false,
        ),
        (
            with(condition(None, "confirmed"), "/abatementDateTime", json!("2027-01-01")),
            true,
        ),
        (
            with(
                condition(Some("active"), "confirmed"),
                "/subject/reference",
                json!("Patient/q"),
            ),
            false,
        ),
    ] {
        assert_eq!(
            facts(std::slice::from_ref(&resource)).flags.contains_key("pregnancy"),
            set,
            "{resource}"
        );
    }
    let procedure = |status: &str, at: &str| {
        json!({"resourceType": "Procedure", "id": "d", "status": status, "subject": {"reference": "Patient/p"},
            "code": {"coding": [{"system": SNOMED, "code": "265764009"}]}, "performedDateTime": at})
    };
    for (resource, set) in [
        (procedure("completed", "2026-05-29T08:00:00Z"), true),
        (procedure("completed", "2026-05-21"), true),
        (procedure("completed", "2026-05-01T08:00:00Z"), false),
        (procedure("completed", "2026-06-01T08:00:00Z"), false),
        (procedure("in-progress", "2026-05-01T08:00:00Z"), true),
        (procedure("preparation", "2026-05-29T08:00:00Z"), false),
        (procedure("not-done", "2026-05-29T08:00:00Z"), false),
        (procedure("entered-in-error", "2026-05-29T08:00:00Z"), false),
        (without(procedure("completed", ""), "performedDateTime"), true),
    ] {
        assert_eq!(
            facts(std::slice::from_ref(&resource)).flags.contains_key("dialysis"),
            set,
            "{resource}"
        );
    }
}

#[test]
fn one_bad_entry_costs_one_remark() {
    let good = level("a", "2026-05-30T08:00:00Z", "18.5");
    for bad in [
        json!({"resourceType": "Observation", "id": "b", "code": 7}),
        json!({"resourceType": "Observation", "id": "b", "code": {"coding": {"code": "20578-1"}}}),
        with(
            level("b", "2026-05-30T09:00:00Z", "9"),
            "/valueQuantity/value",
            json!({"a": 1}),
        ),
        with(level("b", "2026-05-30T09:00:00Z", "9"), "/valueQuantity", json!([])),
        with(
            level("b", "2026-05-30T09:00:00Z", "9"),
            "/effectiveDateTime",
            json!(20260530),
        ),
    ] {
        let got = facts(&[good.clone(), bad.clone()]);
        assert_eq!(got.measured["C"].len(), 1, "{bad}");
        assert_eq!(got.ignored.len(), 1, "{bad}");
    }
    let bundle = json!({"resourceType": "Bundle", "link": [{"relation": "next", "url": "x"}], "entry": [
        {"resource": good}, 7, {"resource": {"resourceType": "OperationOutcome", "issue": []}}]});
    let got = facts(&[bundle]);
    assert_eq!(
        ids(&got.ignored),
        ["remark-broken-entry", "remark-page-missing", "remark-server-message"]
    );
    assert_eq!(got.measured["C"].len(), 1);
}

#[test]
fn the_order_of_the_keys_does_not_show() {
    let forward = level("a", "2026-05-30T08:00:00Z", "18.5");
    let object = forward.as_object().unwrap();
    let backward: serde_json::Map<String, Value> = object.iter().rev().map(|(k, v)| (k.clone(), v.clone())).collect();
    assert_eq!(facts(std::slice::from_ref(&forward)), facts(&[Value::Object(backward)]));
}
