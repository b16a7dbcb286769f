//! Real, de-identified records: what is found, and whether a dose, a refusal or silence comes out, and why.
//!
//! Dates in these records are shifted into the future, so each is looked at as of a moment of its own: four hours after its
//! last vancomycin level when doses were charted with times, else at its newest measurement or dose.

use std::fmt::Write as _;

use jumeau::settings::AsOf;
use serde_json::{Value, json};

use crate::support::{Server, entries, patient, read};

/// The records as committed, in order of their file names.
fn records() -> Vec<(String, Value)> {
    let mut files: Vec<_> = std::fs::read_dir("tests/fixtures/fhir")
        .unwrap()
        .map(|f| f.unwrap().path())
        .collect();
    files.sort();
    files
        .iter()
        .filter(|f| f.extension().is_some_and(|e| e == "json"))
        .map(|f| {
            (
                f.file_stem().unwrap().to_str().unwrap().replace(".bundle", ""),
                stored(read(f.to_str().unwrap())),
            )
        })
        .collect()
}

/// A transaction as a server stores it: resources get their ids, and references point to them.
fn stored(bundle: Value) -> Value {
    let mut text = bundle.to_string();
    for entry in bundle["entry"].as_array().unwrap() {
        if let Some(id) = entry["fullUrl"].as_str().and_then(|url| url.strip_prefix("urn:uuid:")) {
            let kind = entry["resource"]["resourceType"].as_str().unwrap();
            text = text.replace(
                &format!("\"reference\":\"urn:uuid:{id}\""),
                &format!("\"reference\":\"{kind}/{id}\""),
            );
        }
    }
    let mut bundle: Value = serde_json::from_str(&text).unwrap();
    for entry in bundle["entry"].as_array_mut().unwrap() {
        if let Some(id) = entry["fullUrl"]
            .as_str()
            .and_then(|url| url.strip_prefix("urn:uuid:"))
            .map(str::to_owned)
        {
            entry["resource"]["id"] = id.into();
        }
    }
    bundle
}

fn is_vancomycin_level(resource: &Value) -> bool {
    resource["code"]["coding"][0]["code"] == "20578-1"
}

fn last_level(record: &Value) -> Option<jiff::Timestamp> {
    entries(record)
        .into_iter()
        .filter(|r| is_vancomycin_level(r))
        .filter_map(|r| r["effectiveDateTime"].as_str()?.parse().ok())
        .max()
}

/// A plain order, so that the question is put even where no order with an interval is recorded.
fn draft(record: &Value) -> Value {
    json!({
        "resourceType": "MedicationRequest", "id": "draft-1", "status": "draft", "intent": "order",
        "medicationCodeableConcept": { "text": "vancomycin", "coding": [
            { "system": "http://www.nlm.nih.gov/research/umls/rxnorm", "code": "11124" }] },
        "subject": { "reference": format!("Patient/{}", patient(record)["id"].as_str().unwrap()) },
        "dosageInstruction": [{
            "route": { "text": "IV" },
            "timing": { "repeat": { "frequency": 1, "period": 12, "periodUnit": "h" } },
            "doseAndRate": [{ "doseQuantity": { "value": 1000, "unit": "mg", "system": "http://unitsofmeasure.org", "code": "mg" } }],
        }],
    })
}

fn ask(record: &Value) -> (u16, Value) {
    let as_of = last_level(record).map_or(AsOf::Record, |t| AsOf::At(t + jiff::SignedDuration::from_hours(4)));
    let server = Server::with(|s| s.clock.as_of = as_of);
    server.call(
        "order-sign",
        &server.request("order-sign", record, Some(&draft(record))),
    )
}

#[test]
fn every_record_gets_an_answer() {
    let mut table = String::from("record | levels | doses given | answer\n");
    for (name, record) in records() {
        let of = |kind: &str| {
            entries(&record)
                .into_iter()
                .filter(|r| r["resourceType"] == kind)
                .count()
        };
        let levels = entries(&record).into_iter().filter(|r| is_vancomycin_level(r)).count();
        let (status, body) = ask(&record);
        let answer = match (status, body["cards"].as_array().and_then(|c| c.first())) {
            (200, None) => "silence: on target, or the record says that the patient has died".to_owned(),
            (200, Some(card)) => card["summary"].as_str().unwrap().to_owned(),
            (status, _) => format!(
                "{status} {}",
                body["issue"][0]["diagnostics"].as_str().unwrap_or_default()
            ),
        };
        assert!(status == 200 || status == 412, "{name}: {status} {body}");
        writeln!(
            table,
            "{name} | {levels} | {} | {answer}",
            of("MedicationAdministration")
        )
        .unwrap();
    }
    insta::assert_snapshot!(table);
}

/// Eight timed doses and one level each: enough for a personal estimate.
#[test]
fn the_two_charted_patients_get_a_personal_twin() {
    for name in ["mimic-iii-42066", "mimic-iii-42075"] {
        let (_, record) = records().into_iter().find(|(n, _)| n == name).unwrap();
        let (status, body) = ask(&record);
        assert_eq!(status, 200, "{body}");
        if let Some(card) = body["cards"].as_array().unwrap().first() {
            let twin = &card["extension"]["jumeau"];
            assert!(
                twin["points"].as_array().unwrap().iter().any(|p| p["used"] == true),
                "{name}: {}",
                card["summary"]
            );
            assert!(
                card["detail"]
                    .as_str()
                    .unwrap()
                    .contains("typical for these covariates"),
                "{name}"
            );
        }
    }
}
