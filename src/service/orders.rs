//! FHIR drafts that a suggestion places: the order for a regimen, the order for a level.

use fhir_codec::{
    CodecError, read_medication_request,
    resources::{MedicationRequest, MedicationRequestMedication, ServiceRequest},
    types::{
        CodeableConcept, Coding, Dosage, DosageDoseAndRate, DosageDoseAndRateDose, DosageDoseAndRateRate, Period,
        Quantity, Ratio, Reference, Timing, TimingRepeat, TimingRepeatBounds,
    },
    write_medication_request, write_service_request,
};
use serde_json::Value;

use crate::{
    cds::card::ActionType,
    patient::needs::{LOINC, SNOMED, UCUM},
};

/// What an order is about.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// Logical id of the patient in context.
    pub patient: &'a str,
    /// Logical id of the encounter in context.
    pub encounter: Option<&'a str>,
}

/// One dosage of a draft.
#[derive(Debug, Clone)]
pub struct DraftDose {
    /// Amount in `unit`.
    pub amount: f64,
    /// Hours between doses; none for a single dose.
    pub interval_hours: Option<f64>,
    /// Doses in one of those intervals, where they follow a pattern.
    pub times: u32,
    /// When the first is due, where it is put off.
    pub start: Option<String>,
    /// Hours of infusion.
    pub duration_hours: f64,
    /// In words, for people.
    pub text: String,
}

/// The drug of a draft.
#[derive(Debug, Clone)]
pub struct DraftDrug {
    /// Name for people.
    pub text: String,
    /// System and code, most specific first.
    pub codes: Vec<(String, String)>,
    /// UCUM unit of a dose.
    pub unit: String,
    /// Route in words, and its SNOMED CT code.
    pub route: Option<(String, Option<String>)>,
}

fn quantity(value: f64, unit: &str) -> Box<Quantity> {
    Box::new(Quantity {
        value: Some(trimmed(value).into()),
        unit: Some(unit.to_owned().into()),
        system: Some(UCUM.into()),
        code: Some(unit.to_owned().into()),
        ..Default::default()
    })
}

/// A FHIR decimal without needless zeros.
fn trimmed(value: f64) -> String {
    let text = format!("{value:.4}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn patient(subject: Subject<'_>) -> Box<Reference> {
    Box::new(Reference {
        reference: Some(format!("Patient/{}", subject.patient).into()),
        ..Default::default()
    })
}

fn encounter(subject: Subject<'_>) -> Option<Box<Reference>> {
    let id = subject.encounter?;
    Some(Box::new(Reference {
        reference: Some(format!("Encounter/{id}").into()),
        ..Default::default()
    }))
}

fn concept(text: &str, codes: &[(String, String)], display: Option<&str>) -> CodeableConcept {
    CodeableConcept {
        coding: codes
            .iter()
            .map(|(system, code)| Coding {
                system: Some(system.clone().into()),
                code: Some(code.clone().into()),
                display: display.map(Into::into),
                ..Default::default()
            })
            .collect(),
        text: Some(text.into()),
        ..Default::default()
    }
}

fn dosage(sequence: i32, dose: &DraftDose, drug: &DraftDrug) -> Dosage {
    let unit = drug.unit.as_str();
    let period = dose.interval_hours.map(|hours| {
        let whole = |unit: f64| (hours / unit).fract().abs() < 1e-9;
        if hours >= 168.0 && whole(168.0) {
            (hours / 168.0, "wk")
        } else if hours >= 96.0 && whole(24.0) {
            (hours / 24.0, "d")
        } else {
            (hours, "h")
        }
    });
    let repeat = TimingRepeat {
        bounds: dose.start.as_ref().map(|start| {
            TimingRepeatBounds::Period(Box::new(Period {
                start: Some(start.clone().into()),
                ..Default::default()
            }))
        }),
        count: period.is_none().then(|| 1u32.into()),
        frequency: period.map(|_| dose.times.into()),
        period: period.map(|(length, _)| trimmed(length).into()),
        period_unit: period.map(|(_, unit)| unit.into()),
        ..Default::default()
    };
    let rate = Ratio {
        numerator: Some(quantity(dose.amount, unit)),
        denominator: Some(quantity(dose.duration_hours, "h")),
        ..Default::default()
    };
    Dosage {
        sequence: Some(sequence.into()),
        text: Some(dose.text.clone().into()),
        timing: Some(Box::new(Timing {
            repeat: Some(repeat),
            ..Default::default()
        })),
        route: drug.route.as_ref().map(|(text, code)| {
            let codes = code.iter().map(|c| (SNOMED.to_owned(), c.clone())).collect::<Vec<_>>();
            Box::new(concept(text, &codes, None))
        }),
        dose_and_rate: vec![DosageDoseAndRate {
            dose: Some(DosageDoseAndRateDose::Quantity(quantity(dose.amount, unit))),
            rate: (dose.duration_hours > 0.0).then(|| DosageDoseAndRateRate::Ratio(Box::new(rate))),
            ..Default::default()
        }],
        ..Default::default()
    }
}

/// A draft MedicationRequest for `doses`, given one after the other. With `original`, the draft in the clinician's hands,
/// it is that order with another dosage (an update); otherwise a new one (a create).
///
/// # Errors
/// [`CodecError`] when the resource cannot be written.
pub fn medication_request(
    subject: Subject<'_>,
    drug: &DraftDrug,
    doses: &[DraftDose],
    original: Option<&str>,
) -> Result<(ActionType, Value), CodecError> {
    let fresh = MedicationRequest {
        status: "draft".into(),
        intent: "order".into(),
        medication: MedicationRequestMedication::CodeableConcept(Box::new(concept(
            &drug.text,
            &drug.codes,
            Some(&drug.text),
        ))),
        subject: patient(subject),
        encounter: encounter(subject),
        dosage_instruction: doses.iter().zip(1..).map(|(d, n)| dosage(n, d, drug)).collect(),
        ..Default::default()
    };
    // Real clients send drafts that are not valid FHIR; those are replaced by one that is, under the same id.
    let valid = original.and_then(|text| read_medication_request(text).ok());
    let id = original.and_then(|text| {
        let value: Value = serde_json::from_str(text).ok()?;
        value.get("id")?.as_str().map(str::to_owned)
    });
    let resource = match (valid, id) {
        (Some(valid), Some(id)) => MedicationRequest {
            id: Some(id.into()),
            status: "draft".into(),
            medication: match valid.medication {
                reference @ MedicationRequestMedication::Reference(_) => reference,
                MedicationRequestMedication::CodeableConcept(mut concept) => {
                    if concept.text.is_none() {
                        concept.text = Some(drug.text.clone().into());
                    }
                    MedicationRequestMedication::CodeableConcept(concept)
                }
                MedicationRequestMedication::Invalid => fresh.medication,
            },
            subject: fresh.subject,
            dosage_instruction: fresh.dosage_instruction,
            ..valid
        },
        (None, Some(id)) => MedicationRequest {
            id: Some(id.into()),
            ..fresh
        },
        (_, None) => fresh,
    };
    let kind = if resource.id.is_some() {
        ActionType::Update
    } else {
        ActionType::Create
    };
    write_medication_request(resource).map(|value| (kind, without_empty(value)))
}

/// A draft MedicationRequest for another drug, with its dosage in words only.
///
/// # Errors
/// [`CodecError`] when the resource cannot be written.
pub fn other_request(
    subject: Subject<'_>,
    text: &str,
    codes: &[(String, String)],
    how: Option<&str>,
) -> Result<Value, CodecError> {
    write_medication_request(MedicationRequest {
        status: "draft".into(),
        intent: "proposal".into(),
        medication: MedicationRequestMedication::CodeableConcept(Box::new(concept(text, codes, Some(text)))),
        subject: patient(subject),
        encounter: encounter(subject),
        dosage_instruction: how
            .map(|how| Dosage {
                text: Some(how.into()),
                ..Default::default()
            })
            .into_iter()
            .collect(),
        ..Default::default()
    })
    .map(without_empty)
}

/// A draft ServiceRequest for a level.
///
/// # Errors
/// [`CodecError`] when the resource cannot be written.
pub fn level_request(subject: Subject<'_>, loinc: &str, text: &str) -> Result<Value, CodecError> {
    write_service_request(ServiceRequest {
        status: "draft".into(),
        intent: "proposal".into(),
        code: Some(Box::new(concept(text, &[(LOINC.to_owned(), loinc.to_owned())], None))),
        subject: patient(subject),
        encounter: encounter(subject),
        ..Default::default()
    })
    .map(without_empty)
}

/// CDS Hooks and FHIR both forbid null and empty members.
fn without_empty(value: Value) -> Value {
    match value {
        Value::Object(members) => Value::Object(
            members
                .into_iter()
                .map(|(k, v)| (k, without_empty(v)))
                .filter(|(_, v)| !is_empty(v))
                .collect(),
        ),
        Value::Array(items) => Value::Array(items.into_iter().map(without_empty).filter(|v| !is_empty(v)).collect()),
        other => other,
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(s) => s.is_empty(),
        Value::Array(a) => a.is_empty(),
        Value::Object(o) => o.is_empty(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SUBJECT: Subject<'static> = Subject {
        patient: "p1",
        encounter: Some("e1"),
    };

    fn drug() -> DraftDrug {
        DraftDrug {
            text: "vancomycin".into(),
            codes: vec![(crate::patient::needs::RXNORM.into(), "11124".into())],
            unit: "mg".into(),
            route: Some(("Intravenous".into(), Some("47625008".into()))),
        }
    }

    fn dose() -> DraftDose {
        DraftDose {
            amount: 1250.0,
            interval_hours: Some(12.0),
            times: 1,
            start: None,
            duration_hours: 1.25,
            text: "1250 mg every 12 h".into(),
        }
    }

    #[test]
    fn a_new_order_is_valid_fhir_about_this_patient() {
        let (kind, value) = medication_request(SUBJECT, &drug(), &[dose()], None).unwrap();
        assert_eq!(kind, ActionType::Create);
        assert_eq!(value["subject"]["reference"], "Patient/p1");
        assert_eq!(
            value["dosageInstruction"][0]["doseAndRate"][0]["doseQuantity"]["value"].to_string(),
            "1250"
        );
        assert_eq!(value["dosageInstruction"][0]["timing"]["repeat"]["periodUnit"], "h");
        assert!(read_medication_request(&value.to_string()).is_ok());
    }

    #[test]
    fn an_update_keeps_what_the_draft_said_otherwise() {
        let original = r#"{"resourceType":"MedicationRequest","id":"d1","status":"draft","intent":"order",
            "medicationCodeableConcept":{"coding":[{"system":"http://www.nlm.nih.gov/research/umls/rxnorm","code":"1807508"}]},
            "subject":{"reference":"Patient/p1"},"reasonCode":[{"text":"MRSA bacteraemia"}],
            "dosageInstruction":[{"text":"1500 mg every 12 h"}]}"#;
        let (kind, value) = medication_request(SUBJECT, &drug(), &[dose()], Some(original)).unwrap();
        assert_eq!(kind, ActionType::Update);
        assert_eq!(value["id"], "d1");
        assert_eq!(value["reasonCode"][0]["text"], "MRSA bacteraemia");
        assert_eq!(value["medicationCodeableConcept"]["coding"][0]["code"], "1807508");
        assert_eq!(value["dosageInstruction"][0]["text"], "1250 mg every 12 h");
    }

    #[test]
    fn a_draft_that_is_not_valid_fhir_is_replaced_under_its_id() {
        let original = r#"{"resourceType":"MedicationRequest","id":"d1","category":{"text":"inpatient"}}"#;
        let (kind, value) = medication_request(SUBJECT, &drug(), &[dose()], Some(original)).unwrap();
        assert_eq!((kind, value["id"].as_str()), (ActionType::Update, Some("d1")));
        assert!(read_medication_request(&value.to_string()).is_ok());
    }

    #[test]
    fn nothing_empty_is_written() {
        let value = level_request(SUBJECT, "20578-1", "Vancomycin level").unwrap();
        assert_eq!(value, without_empty(value.clone()));
        assert_eq!(value["code"]["coding"][0]["code"], "20578-1");
    }
}
