//! What is asked, read from `Parameters` (FHIR R4, "Executing an Operation Synchronously"). Strict: a parameter that is not known is an
//! error, since one that is misspelt would otherwise change what is answered without a word.

use serde_json::value::RawValue;
use url::Url;

use crate::{
    cds::{
        json::{Object, text_of},
        malformed::{Fault, Malformed},
        request::is_logical_id,
    },
    fhir::facts::explode,
};

/// Treatments that are compared at one time, at most.
pub const TREATMENTS: usize = 10;
/// Longest request identifier.
const LONGEST_IDENTIFIER: usize = 128;

/// The operations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Options of the twin's file, ranked, beside the present plan and no further treatment.
    Evaluate,
    /// The same for treatments that the caller gives.
    Simulate,
    /// The twin itself.
    Twin,
    /// Forgets the twins of a patient.
    Erase,
}

impl Operation {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Evaluate, Self::Simulate, Self::Twin, Self::Erase];

    /// Its code, which stands behind a `$` in paths and is the id of its OperationDefinition.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Evaluate => "jumeau-evaluate",
            Self::Simulate => "jumeau-simulate",
            Self::Twin => "jumeau-twin",
            Self::Erase => "jumeau-erase",
        }
    }

    /// From what stands behind the `$`.
    #[must_use]
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|operation| operation.code() == code)
    }

    /// The parameters that it takes.
    fn takes(self) -> &'static [&'static str] {
        match self {
            Self::Evaluate | Self::Twin => &["subject", "record", "twin", "requestIdentifier"],
            Self::Simulate => &["subject", "record", "twin", "treatment", "requestIdentifier"],
            Self::Erase => &["subject", "requestIdentifier"],
        }
    }
}

/// Whom a request is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// Logical id of the patient.
    pub patient: String,
    /// Base URL of the server, where the reference was absolute.
    pub server: Option<Url>,
}

/// One request.
pub struct Request {
    /// What is to be done.
    pub operation: Operation,
    /// For whom.
    pub subject: Subject,
    /// The record, where it is sent along.
    pub record: Option<Box<RawValue>>,
    /// Id of a twin.
    pub twin: Option<String>,
    /// MedicationRequests.
    pub treatments: Vec<Box<RawValue>>,
    /// Name that the caller gave to the request.
    pub identifier: Option<String>,
}

impl Request {
    /// Reads the `Parameters` of a call. `patient` is the one that the path names, if it does.
    ///
    /// # Errors
    /// [`Malformed`] with the place of what is wrong.
    pub fn read(operation: Operation, patient: Option<&str>, parameters: &Object<'_>) -> Result<Self, Malformed> {
        if parameters.text("resourceType")?.as_deref() != Some("Parameters") {
            let place = parameters.place("resourceType");
            let message = "The body must be a FHIR resource of type Parameters.";
            return Err(Malformed::member(Fault::Value, place, message));
        }
        let (mut subject, mut record, mut twin, mut identifier) = (None, None, None, None);
        let mut treatments = Vec::new();
        for (n, raw) in parameters
            .array("parameter")?
            .unwrap_or_default()
            .into_iter()
            .enumerate()
        {
            let one = Object::at(parameters.place(&format!("parameter[{n}]")), raw)?;
            let name = one.required_text("name")?;
            let Some(name) = operation.takes().iter().copied().find(|known| *known == name) else {
                let message = format!(
                    "${} has no such parameter; it takes {}.",
                    operation.code(),
                    operation.takes().join(", ")
                );
                return Err(Malformed::member(Fault::NotSupported, one.place("name"), message));
            };
            let fresh = match name {
                "subject" => subject.replace(reference(&one)?).is_none(),
                "record" => record.replace(resource(&one, "Bundle")?).is_none(),
                "twin" => twin.replace(coded(&one)?).is_none(),
                "requestIdentifier" => identifier.replace(named(&one)?).is_none(),
                _ => {
                    treatments.push(resource(&one, "MedicationRequest")?.to_owned());
                    treatments.len() <= TREATMENTS
                }
            };
            if !fresh {
                let message = match name {
                    "treatment" => format!("At most {TREATMENTS} treatments can be compared in one call."),
                    _ => format!("{name} may be given once."),
                };
                return Err(Malformed::member(Fault::Value, one.place("name"), message));
            }
        }
        let subject = match (patient, subject) {
            (Some(patient), None) => Subject {
                patient: logical_id(patient)?,
                server: None,
            },
            (Some(_), Some(_)) => {
                let message =
                    "The path names the patient: leave subject out, or call the operation without Patient/{id}.";
                return Err(Malformed::member(Fault::Value, "subject", message));
            }
            (None, Some(subject)) => subject,
            (None, None) => only_patient(record)?,
        };
        let wants = match operation {
            Operation::Evaluate | Operation::Erase => false,
            Operation::Simulate | Operation::Twin => true,
        };
        if wants && twin.is_none() {
            let message = format!("${} needs the parameter twin, the id of one twin.", operation.code());
            return Err(Malformed::member(Fault::Required, "twin", message));
        }
        if operation == Operation::Simulate && treatments.is_empty() {
            let message = "$jumeau-simulate needs at least one treatment, a MedicationRequest with dose and interval; \
                 $jumeau-evaluate compares the options of the twin.";
            return Err(Malformed::member(Fault::Required, "treatment", message));
        }
        Ok(Self {
            operation,
            subject,
            record: record.map(ToOwned::to_owned),
            twin,
            treatments,
            identifier,
        })
    }
}

fn resource<'a>(parameter: &Object<'a>, kind: &str) -> Result<&'a RawValue, Malformed> {
    let raw = parameter.required("resource")?;
    let object = Object::at(parameter.place("resource"), raw)?;
    if object.text("resourceType")?.as_deref() == Some(kind) {
        return Ok(raw);
    }
    let message = format!("This parameter must be a resource of type {kind}.");
    Err(Malformed::member(Fault::Value, object.place("resourceType"), message))
}

/// The id of a twin: as a code, or as a string or id, which some tools write instead.
fn coded(parameter: &Object<'_>) -> Result<String, Malformed> {
    let given = ["valueCode", "valueString", "valueId"];
    let raw = given.into_iter().find_map(|name| parameter.get(name));
    raw.and_then(text_of).filter(|text| is_logical_id(text)).ok_or_else(|| {
        let message = "twin must have a valueCode: the id of a twin, such as vancomycin.";
        Malformed::member(Fault::Value, parameter.place("valueCode"), message)
    })
}

fn named(parameter: &Object<'_>) -> Result<String, Malformed> {
    let text = parameter.get("valueString").and_then(text_of);
    text.filter(|text| is_identifier(text)).ok_or_else(|| {
        let message = format!(
            "requestIdentifier must have a valueString of 1 to {LONGEST_IDENTIFIER} printable ASCII characters without spaces; a UUID is best."
        );
        Malformed::member(Fault::Value, parameter.place("valueString"), message)
    })
}

/// Whether a text may name a request.
#[must_use]
pub fn is_identifier(text: &str) -> bool {
    (1..=LONGEST_IDENTIFIER).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
}

fn logical_id(id: &str) -> Result<String, Malformed> {
    if is_logical_id(id) && !id.bytes().all(|b| b == b'.') {
        return Ok(id.to_owned());
    }
    let message = "The id of the patient must be a logical id: 1 to 64 letters, digits, '-' and '.'.";
    Err(Malformed::member(Fault::Value, "Patient.id", message))
}

/// `Patient/123`, or the same with the base URL of a server before it.
fn reference(parameter: &Object<'_>) -> Result<Subject, Malformed> {
    let object = parameter.required_object("valueReference")?;
    let text = object.required_text("reference")?;
    subject(&text).ok_or_else(|| {
        let message = "subject must refer to a Patient: Patient/123, or https://fhir.hospital.example/r4/Patient/123 \
             for one on another server than the configured one.";
        Malformed::member(Fault::Value, object.place("reference"), message)
    })
}

fn subject(text: &str) -> Option<Subject> {
    let (before, id) = text.rsplit_once('/')?;
    let patient = logical_id(id).ok()?;
    if before == "Patient" {
        return Some(Subject { patient, server: None });
    }
    // A URL is taken only as it would be written back, so that nobody reads another server in it.
    let server = before.strip_suffix("/Patient")?;
    let url = Url::parse(server).ok()?;
    let plain = url.query().is_none() && url.fragment().is_none() && url.username().is_empty();
    let same = url.as_str().trim_end_matches('/') == server;
    (matches!(url.scheme(), "http" | "https") && plain && same && url.password().is_none()).then_some(Subject {
        patient,
        server: Some(url),
    })
}

/// The Patient of a record that is sent along, when there is just one.
fn only_patient(record: Option<&RawValue>) -> Result<Subject, Malformed> {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Named {
        resource_type: String,
        #[serde(default)]
        id: Option<String>,
    }
    let Some(record) = record else {
        let message = "subject is required: a reference to the patient, or a record (Bundle) with the Patient in it.";
        return Err(Malformed::member(Fault::Required, "subject", message));
    };
    let named = explode(record).into_iter();
    let named = named.filter_map(|resource| serde_json::from_str::<Named>(resource.get()).ok());
    let mut patients: Vec<Named> = named.filter(|named| named.resource_type == "Patient").collect();
    match (patients.pop(), patients.is_empty()) {
        (Some(Named { id: Some(id), .. }), true) => Ok(Subject {
            patient: logical_id(&id)?,
            server: None,
        }),
        _ => {
            let message = "The record must hold one Patient with an id, or subject must say which patient is meant.";
            Err(Malformed::member(Fault::Required, "record", message))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cds::json::checked;

    fn read(operation: Operation, patient: Option<&str>, parameters: &str) -> Result<Request, Malformed> {
        let body = format!(r#"{{"resourceType":"Parameters","parameter":[{parameters}]}}"#);
        Request::read(operation, patient, &Object::root(checked(body.as_bytes())?)?)
    }

    #[test]
    fn subjects() {
        let of = |text: &str| subject(text).map(|s| (s.patient, s.server.map(String::from)));
        assert_eq!(of("Patient/a-1"), Some(("a-1".to_owned(), None)));
        assert_eq!(
            of("https://fhir.example.org/r4/Patient/a"),
            Some(("a".to_owned(), Some("https://fhir.example.org/r4".to_owned())))
        );
        for bad in [
            "a",
            "Patient/",
            "Patient/..",
            "Group/a",
            "Patient/a/_history/1",
            "https://u:p@fhir.example.org/Patient/a",
            "https://fhir.example.org/x/../Patient/a",
            "https://fhir.example.org?x=/Patient/a",
            "ftp://fhir.example.org/Patient/a",
        ] {
            assert!(of(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn a_mistake_is_named_and_not_repeated() {
        for (operation, parameters, place) in [
            (Operation::Evaluate, r#"{"name":"secret"}"#, "parameter[0].name"),
            (
                Operation::Erase,
                r#"{"name":"twin","valueCode":"x"}"#,
                "parameter[0].name",
            ),
            (
                Operation::Evaluate,
                r#"{"name":"subject","valueReference":{"reference":"secret"}}"#,
                "parameter[0].valueReference.reference",
            ),
            (
                Operation::Evaluate,
                r#"{"name":"record","resource":{"resourceType":"secret"}}"#,
                "parameter[0].resource.resourceType",
            ),
            (
                Operation::Evaluate,
                r#"{"name":"record","resource":{"resourceType":"Bundle"}}"#,
                "record",
            ),
            (
                Operation::Evaluate,
                r#"{"name":"requestIdentifier","valueString":"a secret"}"#,
                "parameter[0].valueString",
            ),
            (Operation::Evaluate, "", "subject"),
        ] {
            let error = read(operation, None, parameters).err().expect("refused");
            assert_eq!(error.expression.as_deref(), Some(place), "{error}");
            assert!(!error.message.contains("secret"), "{error}");
        }
        let twice = r#"{"name":"twin","valueCode":"a"},{"name":"twin","valueCode":"b"}"#;
        assert!(read(Operation::Evaluate, Some("p"), twice).is_err());
        assert!(read(Operation::Twin, Some("p"), "").is_err(), "which twin");
        assert!(read(Operation::Simulate, Some("p"), r#"{"name":"twin","valueCode":"a"}"#).is_err());
    }

    #[test]
    fn the_patient_of_the_record_is_meant() {
        let record = |patients: &str| {
            format!(r#"{{"name":"record","resource":{{"resourceType":"Bundle","entry":[{patients}]}}}}"#)
        };
        let one = r#"{"resource":{"resourceType":"Patient","id":"p7"}}"#;
        let request = read(Operation::Evaluate, None, &record(one)).expect("good");
        assert_eq!(request.subject.patient, "p7");
        assert!(read(Operation::Evaluate, None, &record(&format!("{one},{one}"))).is_err());
    }
}
