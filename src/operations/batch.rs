//! What a body asks for: one request, or a Bundle of them (FHIR R4, "batch/transaction"). An entry that is wrong costs itself only.

use actix_web::http::StatusCode;
use serde_json::value::RawValue;

use super::request::{Operation, Request};
use crate::{
    cds::{
        json::{Object, checked},
        malformed::{Fault, Malformed},
    },
    http::error::Failure,
};

/// A request, or why it is none.
pub type Asked = Result<Request, Failure>;

/// What is asked.
pub enum Work {
    /// By one call.
    One(Request),
    /// By a batch.
    Batch(Vec<Asked>),
}

impl Work {
    /// The requests that can be done.
    pub fn requests(&self) -> impl Iterator<Item = &Request> {
        let (one, batch) = match self {
            Self::One(request) => (Some(request), [].as_slice()),
            Self::Batch(entries) => (None, entries.as_slice()),
        };
        one.into_iter()
            .chain(batch.iter().filter_map(|entry| entry.as_ref().ok()))
    }

    /// How many answers there will be.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::One(_) => 1,
            Self::Batch(entries) => entries.len(),
        }
    }

    /// Reads the body of one request.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn one(body: &[u8], operation: Operation, patient: Option<&str>) -> Result<Self, Malformed> {
        let root = Object::root(checked(body)?)?;
        Request::read(operation, patient, &root).map(Self::One)
    }

    /// Reads a batch of at most `most` requests.
    ///
    /// # Errors
    /// [`Malformed`] when it is no batch, or too long.
    pub fn batch(body: &[u8], most: usize) -> Result<Self, Malformed> {
        let root = Object::root(checked(body)?)?;
        let kind = root.text("resourceType")?;
        if kind.as_deref() != Some("Bundle") || root.text("type")?.as_deref() != Some("batch") {
            let message = "The body must be a Bundle of type batch; one request goes to the path of its operation.";
            return Err(Malformed::member(Fault::Value, "Bundle.type", message));
        }
        let entries = root.array("entry")?.unwrap_or_default();
        if entries.len() > most {
            let message = format!("A batch holds at most {most} entries (operations.entries): send several.");
            return Err(Malformed::member(Fault::NotSupported, "Bundle.entry", message));
        }
        let entries = entries.into_iter().enumerate().map(|(n, raw)| entry(n, raw));
        Ok(Self::Batch(entries.collect()))
    }
}

fn entry(n: usize, raw: &RawValue) -> Asked {
    let entry = Object::at(format!("Bundle.entry[{n}]"), raw)?;
    let request = entry.required_object("request")?;
    if request.required_text("method")? != "POST" {
        let message = "Operations are called by POST.";
        return Err(Malformed::member(Fault::NotSupported, request.place("method"), message).into());
    }
    let url = request.required_text("url")?;
    let (patient, code) = match url.strip_prefix("Patient/").and_then(|rest| rest.split_once("/$")) {
        Some((patient, code)) => (Some(patient), Some(code)),
        None => (None, url.strip_prefix('$')),
    };
    let Some(operation) = code.and_then(Operation::from_code) else {
        return Err(Failure {
            expression: Some(request.place("url")),
            ..no_operation()
        });
    };
    Ok(Request::read(operation, patient, &entry.required_object("resource")?)?)
}

/// 404 for an operation that there is not.
#[must_use]
pub fn no_operation() -> Failure {
    let codes = Operation::ALL.map(|operation| format!("${}", operation.code()));
    let text = format!(
        "There is no such operation. There are {}, each also as Patient/[id]/$...; GET /fhir/metadata describes them.",
        codes.join(", ")
    );
    Failure::new(StatusCode::NOT_FOUND, "not-supported", text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_that_is_wrong_costs_itself_only() {
        let good =
            r#"{"request":{"method":"POST","url":"Patient/p/$jumeau-erase"},"resource":{"resourceType":"Parameters"}}"#;
        let body = format!(
            r#"{{"resourceType":"Bundle","type":"batch","entry":[{good},{},{},7]}}"#,
            good.replace("POST", "GET"),
            good.replace("$jumeau-erase", "$everything")
        );
        let work = Work::batch(body.as_bytes(), 4).expect("a batch");
        assert_eq!((work.len(), work.requests().count()), (4, 1));
        let Work::Batch(entries) = work else { unreachable!() };
        let faults: Vec<_> = entries
            .iter()
            .filter_map(|e| e.as_ref().err()?.expression.clone())
            .collect();
        assert_eq!(
            faults,
            [
                "Bundle.entry[1].request.method",
                "Bundle.entry[2].request.url",
                "Bundle.entry[3]"
            ]
        );
        assert!(Work::batch(body.as_bytes(), 3).is_err());
        assert!(Work::batch(body.replace("batch", "transaction").as_bytes(), 9).is_err());
    }
}
