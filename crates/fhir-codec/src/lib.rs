//! FHIR R4 resources from and to JSON text.
//!
//! fhirbolt's (de)serialisers are generic and are compiled in the crate that calls them: minutes of work on every
//! rebuild. Everything here is therefore non-generic, so that the cost is paid once, in this crate.
//!
//! Reading is one resource at a time and never a whole Bundle: one malformed entry costs that entry only.

pub use fhirbolt::model::r4::{resources, types};

use fhirbolt::json;
use fhirbolt::serde::{DeserializationConfig, DeserializationMode};
use resources::{
    Condition, Medication, MedicationAdministration, MedicationRequest, MedicationStatement, Observation,
    OperationOutcome, Patient, Procedure,
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
    Some(DeserializationConfig { mode: DeserializationMode::Compatibility })
}

macro_rules! readers {
    ($($(#[$doc:meta])* $name:ident -> $resource:ident;)*) => {$(
        $(#[$doc])*
        ///
        /// # Errors
        /// [`CodecError`] when the text is not JSON, is of another resource type, or lacks a required element.
        pub fn $name(text: &str) -> Result<$resource, CodecError> {
            json::from_str(text, lenient())
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

/// The JSON of a MedicationRequest that we propose.
///
/// # Errors
/// [`CodecError`] when fhirbolt refuses the resource (an invalid primitive).
pub fn write_medication_request(resource: &MedicationRequest) -> Result<serde_json::Value, CodecError> {
    json::to_json_value(resource, None)
        .map_err(|e| CodecError { resource_type: "MedicationRequest", reason: e.to_string() })
}

/// The JSON of an OperationOutcome that we answer with.
///
/// # Errors
/// [`CodecError`] when fhirbolt refuses the resource (an invalid primitive).
pub fn write_operation_outcome(resource: &OperationOutcome) -> Result<serde_json::Value, CodecError> {
    json::to_json_value(resource, None)
        .map_err(|e| CodecError { resource_type: "OperationOutcome", reason: e.to_string() })
}
