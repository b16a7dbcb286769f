//! Whole records, read for the vancomycin twin.

mod doses;
mod drafts;
mod fixtures;
mod genotypes;
mod lesions;
mod medicated;
mod mutations;
mod observations;
mod record;
mod tested;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::patient::facts::{Facts, Remark};
use crate::patient::needs::{AssumedInfusion, Code, Drug, Flag, LOINC, Measured, Needs, RXNORM, SNOMED, UCUM, UseAs};

use super::facts::{ReadContext, RecordError, read};
use super::terminology::Terminology;

/// The present of the written records below.
const NOW: &str = "2026-05-30T12:00:00Z";

fn code(system: &str, code: &str) -> Code {
    Code {
        system: system.into(),
        code: code.into(),
    }
}

fn covariate(name: &str, codes: &[&str], unit: &str, plausible: (f64, f64), within: Option<i64>) -> Measured {
    Measured {
        name: name.into(),
        codes: codes.iter().map(|c| code(LOINC, c)).collect(),
        unit: unit.into(),
        molar_mass: (name == "scr").then_some(113.12),
        percent: None,
        plausible: Some(plausible),
        within: within.map(SignedDuration::from_hours),
        use_as: UseAs::Covariate,
        sum_per_day: false,
    }
}

fn needs() -> Needs {
    Needs {
        measured: vec![
            Measured {
                within: None,
                use_as: UseAs::Observation,
                ..covariate("C", &["20578-1", "4092-3", "4090-7"], "mg/L", (0.1, 150.0), None)
            },
            covariate("scr", &["2160-0", "14682-9"], "mg/dL", (0.1, 20.0), Some(48)),
            covariate("wt", &["29463-7", "3141-9"], "kg", (25.0, 350.0), Some(90 * 24)),
            covariate("ht", &["8302-2"], "cm", (100.0, 230.0), None),
        ],
        flags: vec![
            Flag {
                name: "dialysis".into(),
                codes: vec![code(SNOMED, "265764009")],
                within: Some(SignedDuration::from_hours(240)),
                ..Flag::default()
            },
            Flag {
                name: "pregnancy".into(),
                codes: vec![code("http://hl7.org/fhir/sid/icd-10-cm", "O*")],
                ..Flag::default()
            },
        ],
        categories: Vec::new(),
        drug: Some(Drug {
            name: "vancomycin".into(),
            codes: vec![code(RXNORM, "11124")],
            synonyms: vec!["vancomycin".into(), "vancomycine".into()],
            unit: "mg".into(),
            routes: ["47625008", "iv", "intravenous"].map(String::from).to_vec(),
        }),
        history: SignedDuration::from_hours(14 * 24),
        assumed_infusion: AssumedInfusion {
            hours_per_unit: 0.001,
            at_least: 1.0,
        },
    }
}

fn raw(value: &Value) -> Box<RawValue> {
    RawValue::from_string(value.to_string()).unwrap()
}

fn context(now: &str) -> ReadContext<'static> {
    ReadContext {
        patient_id: "p",
        now: now.parse().unwrap(),
        zone: TimeZone::get("Europe/Paris").unwrap(),
    }
}

fn patient() -> Value {
    json!({"resourceType": "Patient", "id": "p", "gender": "male", "birthDate": "1964-03-02"})
}

/// Reads the patient and these resources, and holds that their order does not matter.
fn facts(resources: &[Value]) -> Facts {
    facts_for(&needs(), resources)
}

/// The same for other needs.
fn facts_for(needs: &Needs, resources: &[Value]) -> Facts {
    let mut all: Vec<Box<RawValue>> = vec![raw(&patient())];
    all.extend(resources.iter().map(raw));
    let refs: Vec<&RawValue> = all.iter().map(AsRef::as_ref).collect();
    let back: Vec<&RawValue> = refs.iter().rev().copied().collect();
    let (terminology, ctx) = (Terminology::default(), context(NOW));
    let facts = read(&refs, needs, &terminology, &ctx).unwrap();
    assert_eq!(
        facts,
        read(&back, needs, &terminology, &ctx).unwrap(),
        "the order of the record shows"
    );
    facts
}

fn ids(remarks: &[Remark]) -> Vec<&str> {
    remarks.iter().map(|r| r.id.as_str()).collect()
}

fn observation(id: &str, loinc: &str, time: &str, value: &str, unit: &str) -> Value {
    let value: Value = serde_json::from_str(value).unwrap();
    json!({"resourceType": "Observation", "id": id, "status": "final", "subject": {"reference": "Patient/p"},
        "code": {"coding": [{"system": LOINC, "code": loinc}]}, "effectiveDateTime": time,
        "valueQuantity": {"value": value, "unit": unit, "system": UCUM, "code": unit}})
}

fn level(id: &str, time: &str, value: &str) -> Value {
    observation(id, "20578-1", time, value, "mg/L")
}

fn dose(id: &str, start: &str, end: &str, mg: f64) -> Value {
    json!({"resourceType": "MedicationAdministration", "id": id, "status": "completed",
        "subject": {"reference": "Patient/p"},
        "medicationCodeableConcept": {"coding": [{"system": RXNORM, "code": "11124"}]},
        "effectivePeriod": {"start": start, "end": end},
        "dosage": {"dose": {"value": mg, "unit": "mg", "system": UCUM, "code": "mg"}}})
}

fn order(id: &str, status: &str, start: &str, mg: f64, hours: u32) -> Value {
    json!({"resourceType": "MedicationRequest", "id": id, "status": status, "intent": "order",
        "subject": {"reference": "Patient/p"}, "authoredOn": start,
        "medicationCodeableConcept": {"coding": [{"system": RXNORM, "code": "11124"}]},
        "dosageInstruction": [{"timing": {"repeat": {"frequency": 1, "period": hours, "periodUnit": "h"}},
            "doseAndRate": [{"doseQuantity": {"value": mg, "unit": "mg", "system": UCUM, "code": "mg"}}]}]})
}

/// `value` with the member at `pointer` replaced, or added to the object that holds it.
fn with(mut value: Value, pointer: &str, new: Value) -> Value {
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    value.pointer_mut(parent).unwrap()[key] = new;
    value
}

fn without(mut value: Value, key: &str) -> Value {
    value.as_object_mut().unwrap().remove(key);
    value
}
