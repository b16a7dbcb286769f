//! The token answer. Specification: RFC 6749, section 5; SMART App Launch 2.2, "Obtain access token"; CDS Hooks 2.0.1, "Link"
//! (`appContext`).

use std::{collections::BTreeSet, time::Duration};

use serde::Deserialize;
use serde_json::Value;

use super::{scopes, trouble::Trouble};
use crate::cds::request::{Secret, is_logical_id};

/// Longest token that is taken: it must fit into the header of a request.
const LONGEST_TOKEN: usize = 16 * 1024;
/// Longest context that is read; ours has some hundred bytes.
const LONGEST_CONTEXT: usize = 4096;

/// What was granted.
#[derive(Debug)]
pub struct Granted {
    /// For the FHIR server of this issuer and nobody else.
    pub token: Secret,
    /// How long it lasts, where the server says so.
    pub lasts: Option<Duration>,
    /// Logical id of the patient in context.
    pub patient: String,
    /// Logical id of the encounter.
    pub encounter: Option<String>,
    /// The twin of the card that was clicked.
    pub twin: Option<String>,
    /// Types of resource that may not be read, or only in part.
    pub lacking: Vec<String>,
}

#[derive(Deserialize)]
struct Answer {
    access_token: Option<String>,
    token_type: Option<String>,
    expires_in: Option<Value>,
    scope: Option<String>,
    patient: Option<String>,
    encounter: Option<String>,
    #[serde(rename = "appContext")]
    app_context: Option<Value>,
}

impl Granted {
    /// Reads the answer to a code; `asked` are the scopes that it was asked for.
    ///
    /// # Errors
    /// [`Trouble`] when there is no usable token, patient or leave to read it.
    pub fn read(body: &[u8], asked: &str, types: &BTreeSet<String>) -> Result<Self, Trouble> {
        let answer: Answer = serde_json::from_slice(body).map_err(|_| Trouble::TokenAnswer)?;
        let token = answer.access_token.ok_or(Trouble::TokenAnswer)?;
        let sendable = (1..=LONGEST_TOKEN).contains(&token.len()) && token.bytes().all(|b| b.is_ascii_graphic());
        let bearer = answer
            .token_type
            .is_some_and(|kind| kind.eq_ignore_ascii_case("bearer"));
        if !sendable || !bearer {
            return Err(Trouble::TokenAnswer);
        }
        let patient = answer.patient.filter(|id| is_id(id)).ok_or(Trouble::NoPatient)?;
        // What is not said is as it was asked for.
        let granted = answer.scope.as_deref().unwrap_or(asked);
        let lacking: Vec<String> = scopes::lacking(types, granted).into_iter().map(str::to_owned).collect();
        if lacking.iter().any(|kind| kind == "Patient") {
            return Err(Trouble::NoScope);
        }
        Ok(Self {
            token: Secret::new(token),
            lasts: answer.expires_in.as_ref().and_then(seconds),
            patient,
            encounter: answer.encounter.filter(|id| is_id(id)),
            twin: answer.app_context.as_ref().and_then(twin),
            lacking,
        })
    }
}

/// Dots alone are a legal id but a path that leads elsewhere.
fn is_id(text: &str) -> bool {
    is_logical_id(text) && !text.bytes().all(|b| b == b'.')
}

/// Some servers write the number as a text.
fn seconds(value: &Value) -> Option<Duration> {
    let seconds = value.as_f64().or_else(|| value.as_str()?.parse().ok())?;
    Duration::try_from_secs_f64(seconds).ok()
}

/// The twin that a context of ours names: JSON in a text, or the same as JSON proper, as some servers pass it on.
fn twin(context: &Value) -> Option<String> {
    let name = |value: &Value| Some(value.get("twin")?.as_str()?.to_owned());
    match context {
        Value::String(text) if text.len() <= LONGEST_CONTEXT => name(&serde_json::from_str(text).ok()?),
        Value::Object(_) => name(context),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    fn read(change: Value) -> Result<Granted, Trouble> {
        let mut answer = json!({
            "access_token": "t", "token_type": "Bearer", "expires_in": 300, "scope": "patient/*.rs",
            "patient": "p1", "appContext": "{\"twin\":\"vancomycin\"}",
        });
        for (name, value) in change.as_object().unwrap() {
            answer[name] = value.clone();
        }
        let types = ["Patient", "Observation"].map(str::to_owned).into();
        Granted::read(answer.to_string().as_bytes(), "launch patient/*.rs", &types)
    }

    #[test]
    fn a_good_answer() {
        let granted = read(json!({})).unwrap();
        assert_eq!(granted.lasts, Some(Duration::from_secs(300)));
        assert_eq!(
            (granted.patient.as_str(), granted.twin.as_deref()),
            ("p1", Some("vancomycin"))
        );
        assert!(granted.lacking.is_empty() && !format!("{granted:?}").contains("\"t\""));
        let granted =
            read(json!({"scope": null, "expires_in": "60", "encounter": "..", "appContext": {"twin": "a"}})).unwrap();
        assert_eq!(granted.lasts, Some(Duration::from_secs(60)));
        assert_eq!((granted.encounter, granted.twin.as_deref()), (None, Some("a")));
        let granted = read(json!({"scope": "patient/Patient.rs", "appContext": "not ours"})).unwrap();
        assert_eq!((granted.lacking, granted.twin), (vec!["Observation".to_owned()], None));
    }

    #[test]
    fn bad_answers() {
        for (change, trouble) in [
            (json!({"access_token": ""}), Trouble::TokenAnswer),
            (json!({"access_token": "a b"}), Trouble::TokenAnswer),
            (json!({"access_token": 5}), Trouble::TokenAnswer),
            (json!({"token_type": "mac"}), Trouble::TokenAnswer),
            (json!({"patient": null}), Trouble::NoPatient),
            (json!({"patient": "../Practitioner/1"}), Trouble::NoPatient),
            (json!({"patient": ".."}), Trouble::NoPatient),
            (json!({"scope": "launch"}), Trouble::NoScope),
        ] {
            assert_eq!(read(change.clone()).err(), Some(trouble), "{change}");
        }
    }
}
