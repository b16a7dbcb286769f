#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use serde_json::json;

use super::*;

const PID: &str = "PID|||p1^^^HOSP";

fn read(kind: &str, segments: &[&str]) -> Result<Said, Problem> {
    let header_text = format!("MSH|^~\\&|LAB|NORTH|J|H|202601151130+0000||{kind}|1|P|2.5.1");
    let text = [&[header_text.as_str(), PID], segments].concat().join("\r");
    let message = Message::parse(&text).unwrap();
    let now = "2026-01-15T12:00:00Z".parse().unwrap();
    let header = header(&message, &TimeZone::UTC, false, now)?;
    let systems = BTreeMap::from([("99LAB".to_owned(), "https://lab.example".to_owned())]);
    said(&message, &header, &TimeZone::UTC, None, &systems)
}

fn resources(kind: &str, segments: &[&str]) -> Vec<Value> {
    let said = read(kind, segments).unwrap();
    assert_eq!(said.patient, "p1");
    said.facts
        .into_iter()
        .map(|fact| fact.resource.unwrap_or_default())
        .collect()
}

fn result(obx: &str) -> Value {
    let found = resources("ORU^R01", &["OBR||O1|F1||||202601150800+0000", obx]);
    assert_eq!(found.len(), 1, "{obx}");
    found[0].clone()
}

#[test]
fn a_result_becomes_an_observation() {
    let mut found = result("OBX|1|NM|718-7^Hb^LN^HB^Hemoglobin^99LAB||13.5|g/dL^^UCUM|||||F");
    assert!(found["id"].as_str().unwrap().starts_with("hl7v2-"));
    found["id"] = json!("x");
    let expected = json!({
        "resourceType": "Observation", "id": "x", "status": "final", "effectiveDateTime": "2026-01-15T08:00:00Z",
        "code": {
            "coding": [
                { "system": "http://loinc.org", "code": "718-7", "display": "Hb" },
                { "system": "https://lab.example", "code": "HB", "display": "Hemoglobin" },
            ],
            "text": "Hb",
        },
        "valueQuantity": { "value": 13.5, "system": "http://unitsofmeasure.org", "code": "g/dL", "unit": "g/dL" },
    });
    assert_eq!(found, expected);
}

#[test]
fn values_of_every_kind() {
    for (kind, written, element, value) in [
        (
            "SN",
            "<^0.5",
            "valueQuantity",
            json!({ "value": 0.5, "comparator": "<", "unit": "mg/L" }),
        ),
        ("SN", "^7", "valueQuantity", json!({ "value": 7, "unit": "mg/L" })),
        ("SN", "^1^-^5", "valueString", json!("^1^-^5")),
        (
            "ST",
            "> 90",
            "valueQuantity",
            json!({ "value": 90, "comparator": ">", "unit": "mg/L" }),
        ),
        ("ST", "positive", "valueString", json!("positive")),
        (
            "CWE",
            "A^some^99LAB",
            "valueCodeableConcept",
            json!({
                "coding": [{ "system": "https://lab.example", "code": "A", "display": "some" }], "text": "some",
            }),
        ),
        ("NM", "1~2", "valueString", json!("1~2")),
    ] {
        let found = result(&format!("OBX|1|{kind}|X^x^L||{written}|mg/L|||||F"));
        assert_eq!(found[element], value, "{kind} {written}");
        assert_eq!(found["code"], json!({ "text": "x" }), "an unknown system is no system");
    }
    let empty = result("OBX|1|NM|X^x^LN||\"\"|mg|||||C");
    assert_eq!(
        (&empty["status"], empty.get("valueQuantity")),
        (&json!("corrected"), None)
    );
    for nothing in ["OBX|1|ED|X||^text^^Base64^AA||||||F", "OBX|1|NM|X||5||||||I"] {
        assert!(
            resources("ORU^R01", &["OBR||O1|F1||||202601150800", nothing]).is_empty(),
            "{nothing}"
        );
    }
}

#[test]
fn status_and_number_of_a_result() {
    let of = |obx: &str, obr: &str| read("ORU^R01", &[obr, obx]).unwrap().facts[0].clone();
    let (obx, obr) = ("OBX|1|NM|X^x^LN||5|mg|||||P", "OBR||O1|F1||||202601150800");
    let first = of(obx, obr);
    assert_eq!(first.resource.as_ref().unwrap()["status"], "preliminary");
    for (status, expected) in [
        ("C", "corrected"),
        ("X", "cancelled"),
        ("W", "entered-in-error"),
        ("U", "final"),
    ] {
        let fact = of(&obx.replace("|P", &format!("|{status}")), obr);
        assert_eq!(
            (&fact.id, fact.resource.unwrap()["status"].as_str()),
            (&first.id, Some(expected))
        );
    }
    assert_eq!(of(&obx.replace("|P", "|D"), obr).resource, None);
    for other in [
        of(&obx.replace("X^x", "Y^x"), obr),
        of(&obx.replace("LN||5", "LN|2|5"), obr),
        of(obx, &obr.replace("F1", "F2")),
    ] {
        assert_ne!(other.id, first.id);
    }
}

#[test]
fn lines_of_a_report_are_one_result_and_numbers_must_differ() {
    let obr = "OBR||O1|F1||||202601150800";
    let found = resources(
        "ORU^R01",
        &[obr, "OBX|1|TX|R^Report||one||||||F", "OBX|2|TX|R^Report||two||||||F"],
    );
    assert_eq!((found.len(), &found[0]["valueString"]), (1, &json!("one\ntwo")));
    let problem = read("ORU^R01", &[obr, "OBX|1|NM|X^x||1||||||F", "OBX|2|NM|X^x||2||||||F"]).unwrap_err();
    assert_eq!(problem.code, 205);
}

#[test]
fn a_dose_that_was_given_or_not() {
    let orc = "ORC|RE|P1^EHR";
    let rxa = "RXA|0|2|202601150800|202601150930|11124^vancomycin^RXNORM|1500|mg^^UCUM|||||||||||||CP";
    let found = &resources("RAS^O17", &[orc, rxa, "RXR|IV^Intravenous^HL70162"])[0];
    assert_eq!(
        found["effectivePeriod"],
        json!({ "start": "2026-01-15T08:00:00Z", "end": "2026-01-15T09:30:00Z" })
    );
    assert_eq!(found["dosage"]["dose"]["value"], 1500);
    assert_eq!(found["dosage"]["route"]["coding"][0]["code"], "47625008");
    let of = |rxa: &str| read("RAS^O17", &[orc, rxa]).map(|said| said.facts[0].clone());
    let refused = of(&rxa.replace("|CP", "|RE")).unwrap();
    assert_eq!(refused.resource.as_ref().unwrap()["status"], "not-done");
    // The same dose at another time, where its number says that it is the same.
    let moved = of(&rxa
        .replace("|202601150800|202601150930|", "|202601150815||")
        .replace("|CP", "|CP|U"))
    .unwrap();
    assert_eq!(moved.id, refused.id);
    assert_eq!(moved.resource.unwrap()["effectiveDateTime"], "2026-01-15T08:15:00Z");
    assert_eq!(of(&rxa.replace("|CP", "|CP|D")).unwrap().resource, None);
    // Where each is number 1, the start tells them apart, and nobody can tell what is corrected.
    let first = rxa.replace("RXA|0|2|", "RXA|0|1|");
    let later = first.replace("202601150800|202601150930", "202601152000|202601152130");
    assert_ne!(of(&first).unwrap().id, of(&later).unwrap().id);
    assert_eq!(
        of(&first.replace("|CP", "|CP|U")).unwrap_err().place,
        Some(("RXA", 1, 2))
    );
    let unknown = of(&rxa.replace("|1500|", "|999|")).unwrap().resource.unwrap();
    assert_eq!(unknown["dosage"]["dose"], Value::Null);
}

#[test]
fn an_order_and_what_becomes_of_it() {
    let segments = |orc: &str, timing: &str| {
        let rxe = "RXE||11124^vancomycin^RXNORM|1000||mg^^UCUM||||||||||||||||||1000|mg/h^^UCUM";
        resources("RDE^O11", &[orc, rxe, timing, "RXR|PO"])[0].clone()
    };
    let found = segments("ORC|NW|P1|||||||20260115", "TQ1|||Q12H||||202601151200|20260118");
    assert_eq!(
        (&found["status"], &found["authoredOn"]),
        (&json!("active"), &json!("2026-01-15"))
    );
    let instruction = &found["dosageInstruction"][0];
    assert_eq!(
        instruction["timing"]["repeat"],
        json!({
            "frequency": 1, "period": 12, "periodUnit": "h",
            "boundsPeriod": { "start": "2026-01-15T12:00:00Z", "end": "2026-01-18" },
        })
    );
    assert_eq!(instruction["doseAndRate"][0]["doseQuantity"]["value"], 1000);
    assert_eq!(instruction["doseAndRate"][0]["rateQuantity"]["code"], "mg/h");
    for (control, status) in [
        ("DC", "stopped"),
        ("CA", "cancelled"),
        ("HD", "on-hold"),
        ("RL", "active"),
    ] {
        let later = segments(&format!("ORC|{control}|P1"), "TQ1|||BID");
        assert_eq!((&later["status"], &later["id"]), (&json!(status), &found["id"]));
    }
    let odd = segments("ORC|NW|P1", "TQ1|||Q1J2~BID");
    assert_eq!(
        odd["dosageInstruction"][0]["timing"],
        json!({ "code": { "text": "Q1J2~BID" } })
    );
    assert_eq!(
        read("RDE^O11", &["ORC|NW|P1", "RXR|PO"]).unwrap_err().place,
        Some(("ORC", 1, 1))
    );
}
