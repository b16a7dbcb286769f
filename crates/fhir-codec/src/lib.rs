//! FHIR R4 resources from and to JSON text.
//!
//! fhirbolt's (de)serialisers are generic and are compiled in the crate that calls them: minutes of work on every
//! rebuild. Everything here is therefore non-generic, so that the cost is paid once, in this crate.
//!
//! Reading is one resource at a time and never a whole Bundle: one malformed entry costs that entry only. `contained`
//! is not read.

pub use fhirbolt::model::r4::{resources, types};

use fhirbolt::json;
use fhirbolt::serde::{DeserializationConfig, DeserializationMode};
use resources::{
    Condition, Medication, MedicationAdministration, MedicationRequest, MedicationStatement, Observation,
    OperationOutcome, Patient, Procedure, ServiceRequest,
};

/// Why a text is not the FHIR R4 resource it was taken for. The message never repeats values of the record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a valid FHIR R4 {resource_type}: {reason}")]
pub struct CodecError {
    /// The resource type that was expected.
    pub resource_type: &'static str,
    /// What is wrong, in the words of the parser.
    pub reason: String,
}

/// Unknown members are dropped, as FHIR asks of readers; a missing required element is an error.
fn lenient() -> Option<DeserializationConfig> {
    Some(DeserializationConfig {
        mode: DeserializationMode::Compatibility,
    })
}

/// Members that fhirbolt reads as JSON numbers: whole numbers in R4, and the decimal of an extension.
const NUMBERS: &[&str] = &[
    "count",
    "countMax",
    "dimensions",
    "frequency",
    "frequencyMax",
    "limit",
    "multipleBirthInteger",
    "numberOfRepeatsAllowed",
    "offset",
    "rank",
    "sequence",
    "size",
    "valueDecimal",
    "valueInteger",
    "valuePositiveInt",
    "valueUnsignedInt",
];

/// Works around two faults of fhirbolt 0.4 in reading concrete types: decimals, and what follows `contained`.
///
/// A contained resource leaves the state of the reader changed, so that every later text of the resource that contains
/// it is refused. Contained resources are dropped here; who needs them reads them from the text.
fn prepare(value: &mut serde_json::Value) {
    if let Some(members) = value.as_object_mut() {
        members.shift_remove("contained");
    }
    quote_decimals(value);
}

/// Turns every JSON number that is a FHIR `decimal` (but for extensions) into a string of its digits.
///
/// fhirbolt 0.4 reads a decimal of a concrete type as a string, to keep its precision, but asks serde_json for one
/// where the JSON holds a number, which fails ("expected a string"). Only its enum of all resources, which costs
/// minutes of compilation, goes another way.
fn quote_decimals(value: &mut serde_json::Value) {
    match value {
        serde_json::Value::Number(number) => *value = serde_json::Value::String(number.to_string()),
        serde_json::Value::Array(list) => list.iter_mut().for_each(quote_decimals),
        serde_json::Value::Object(members) => {
            // Not FHIR, but sent: a member that is null says no more than one that is absent.
            members.retain(|_, member| !member.is_null());
            for (key, member) in members.iter_mut() {
                if !NUMBERS.contains(&key.as_str()) {
                    quote_decimals(member);
                }
            }
        }
        serde_json::Value::Null | serde_json::Value::Bool(_) | serde_json::Value::String(_) => {}
    }
}

macro_rules! readers {
    ($($(#[$doc:meta])* $name:ident -> $resource:ident;)*) => {$(
        $(#[$doc])*
        ///
        /// # Errors
        /// [`CodecError`] when the text is not JSON, is of another resource type, or lacks a required element.
        pub fn $name(text: &str) -> Result<$resource, CodecError> {
            let reason = |e: serde_json::Error| CodecError { resource_type: stringify!($resource), reason: e.to_string() };
            let mut value = serde_json::from_str(text).map_err(reason)?;
            prepare(&mut value);
            json::from_json_value(value, lenient())
                .map_err(|e| CodecError { resource_type: stringify!($resource), reason: e.to_string() })
        }
    )*};
}

readers! {
    /// Reads a Patient.
    read_patient -> Patient;
    /// Reads an Observation.
    read_observation -> Observation;
    /// Reads a MedicationAdministration.
    read_medication_administration -> MedicationAdministration;
    /// Reads a MedicationRequest.
    read_medication_request -> MedicationRequest;
    /// Reads a MedicationStatement.
    read_medication_statement -> MedicationStatement;
    /// Reads a Medication.
    read_medication -> Medication;
    /// Reads a Condition.
    read_condition -> Condition;
    /// Reads a Procedure.
    read_procedure -> Procedure;
}

/// Checks a resource of any type against R4 strictly: element names, types, required elements. For what we write ourselves. Resources
/// inside it are checked one by one by the caller: `contained`, entries of a Bundle and resources in Parameters are left out.
///
/// # Errors
/// [`CodecError`] with what is wrong.
pub fn conforms(resource: &serde_json::Value) -> Result<(), CodecError> {
    let mut alone = resource.clone();
    if let Some(members) = alone.as_object_mut() {
        members.shift_remove("contained");
        for list in ["entry", "parameter"] {
            let items = members.get_mut(list).and_then(serde_json::Value::as_array_mut);
            let items = items.into_iter().flatten();
            items.filter_map(serde_json::Value::as_object_mut).for_each(|item| {
                item.shift_remove("resource");
            });
        }
    }
    let strict = DeserializationConfig {
        mode: DeserializationMode::Strict,
    };
    json::from_json_value::<fhirbolt::model::r4::Resource>(alone, Some(strict))
        .map(drop)
        .map_err(|e| CodecError {
            resource_type: "resource",
            reason: e.to_string(),
        })
}

macro_rules! writers {
    ($($(#[$doc:meta])* $name:ident <- $resource:ident;)*) => {$(
        $(#[$doc])*
        ///
        /// # Errors
        /// [`CodecError`] when fhirbolt refuses the resource (an invalid primitive).
        pub fn $name(resource: $resource) -> Result<serde_json::Value, CodecError> {
            json::to_json_value(resource, None)
                .map_err(|e| CodecError { resource_type: stringify!($resource), reason: e.to_string() })
        }
    )*};
}

writers! {
    /// The JSON of a MedicationRequest that we propose.
    write_medication_request <- MedicationRequest;
    /// The JSON of a ServiceRequest that we propose (a level to be drawn).
    write_service_request <- ServiceRequest;
    /// The JSON of an OperationOutcome that we answer with.
    write_operation_outcome <- OperationOutcome;
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORDER: &str = r##"{
        "contained": [{"amount": {"numerator": {"value": 5.50}}, "resourceType": "Medication", "id": "m"}],
        "status": "active", "intent": "order", "medicationReference": {"reference": "#m"},
        "subject": {"reference": "Patient/p"}, "resourceType": "MedicationRequest",
        "extension": [{"url": "x", "valueDecimal": 1.5}, {"url": "y", "valueInteger": 3}],
        "dosageInstruction": [{"sequence": 1, "doseAndRate": [{"doseQuantity": {"value": 1000.50}}],
            "timing": {"repeat": {"frequency": 1, "period": 12.5, "periodUnit": "h", "count": 3}}}]}"##;

    #[test]
    fn decimals_keep_their_digits_there_and_back() {
        let order = read_medication_request(ORDER).expect("valid");
        let json = write_medication_request(order).expect("writable").to_string();
        assert!(
            json.contains(r#""value":1000.50"#) && json.contains(r#""period":12.5"#),
            "{json}"
        );
        assert!(
            json.contains(r#""frequency":1"#) && json.contains(r#""valueInteger":3"#),
            "{json}"
        );
        assert!(
            json.contains(r##""reference":"#m""##) && !json.contains("contained"),
            "{json}"
        );
    }

    #[test]
    fn what_is_written_is_checked_strictly() {
        let good = serde_json::json!({"resourceType": "RiskAssessment", "status": "final", "subject": {"reference": "Patient/p"},
            "prediction": [{"probabilityDecimal": 0.25}]});
        assert_eq!(conforms(&good), Ok(()));
        for (name, value) in [
            ("statuss", serde_json::json!("x")),
            ("prediction", serde_json::json!({"outcome": 1})),
        ] {
            let mut bad = good.clone();
            bad[name] = value;
            assert!(conforms(&bad).is_err(), "{name}");
        }
        let mut bad = good;
        bad.as_object_mut().expect("object").remove("subject");
        assert!(conforms(&bad).is_err());
    }

    #[test]
    fn what_is_not_the_resource_is_an_error() {
        for text in [
            "",
            "null",
            "[]",
            "7",
            r#"{"resourceType":"Patient"}"#,
            &ORDER.replace("\"status\"", "\"x\""),
        ] {
            assert!(read_medication_request(text).is_err(), "{text}");
        }
    }
}
