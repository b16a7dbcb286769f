//! The little that is read of an answer before it is handed on as text: its type, its next page, its complaints.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

/// Depth of objects and arrays that is accepted, the same as for requests. Later readers go by recursion.
const DEEPEST: usize = 128;

/// What an answer is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Face {
    /// `resourceType`.
    pub kind: String,
    /// Address in the link `next` of a Bundle (FHIR R4, 3.1.1.4 "Paging").
    pub next: Option<String>,
    /// Address in its link `self`: what the server took the query for.
    pub self_link: Option<String>,
    /// Whether an OperationOutcome says that the answer is not what was asked: the answer itself, or an entry of the
    /// Bundle with a severity of error or fatal. Warnings are no failure.
    pub complaint: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Head<'a> {
    #[serde(borrow)]
    resource_type: Cow<'a, str>,
    #[serde(borrow, default)]
    link: Option<&'a RawValue>,
    #[serde(borrow, default)]
    entry: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Link<'a> {
    #[serde(borrow, default)]
    relation: Cow<'a, str>,
    #[serde(borrow, default)]
    url: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Entry<'a> {
    #[serde(borrow, default)]
    resource: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Outcome<'a> {
    #[serde(borrow)]
    resource_type: Cow<'a, str>,
    #[serde(borrow, default)]
    issue: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Issue<'a> {
    #[serde(borrow, default)]
    severity: Cow<'a, str>,
}

/// Reads the face of a resource; `None` when it has no `resourceType`, names a member twice or is nested too deep.
///
/// Links and entries of an unexpected form are passed over: whoever reads the whole says what is wrong with them.
#[must_use]
pub fn face(json: &str) -> Option<Face> {
    if depth_exceeds(json, DEEPEST) {
        return None;
    }
    let head: Head<'_> = serde_json::from_str(json).ok()?;
    let mut face = Face {
        kind: head.resource_type.into_owned(),
        next: None,
        self_link: None,
        complaint: false,
    };
    match face.kind.as_str() {
        "OperationOutcome" => face.complaint = true,
        "Bundle" => {
            for link in many::<Link<'_>>(head.link) {
                match link.relation.as_ref() {
                    "next" if !link.url.is_empty() && face.next.is_none() => face.next = Some(link.url.into_owned()),
                    "self" => face.self_link = Some(link.url.into_owned()),
                    _ => {}
                }
            }
            face.complaint = many::<Entry<'_>>(head.entry)
                .into_iter()
                .filter_map(|entry| entry.resource)
                .any(is_complaint);
        }
        _ => {}
    }
    Some(face)
}

/// The elements of an array that have the expected form.
fn many<'a, T: Deserialize<'a>>(array: Option<&'a RawValue>) -> Vec<T> {
    let elements: Vec<&'a RawValue> = array
        .and_then(|array| serde_json::from_str(array.get()).ok())
        .unwrap_or_default();
    elements
        .into_iter()
        .filter_map(|element| serde_json::from_str(element.get()).ok())
        .collect()
}

fn is_complaint(resource: &RawValue) -> bool {
    // Parsing each of thousands of Observations for this would be waste.
    if !resource.get().contains("OperationOutcome") {
        return false;
    }
    serde_json::from_str::<Outcome<'_>>(resource.get()).is_ok_and(|outcome| {
        outcome.resource_type == "OperationOutcome"
            && many::<Issue<'_>>(outcome.issue)
                .iter()
                .any(|issue| matches!(issue.severity.as_ref(), "error" | "fatal"))
    })
}

/// Whether brackets are nested deeper than `limit`. Texts are skipped; the rest is for the parser to judge.
fn depth_exceeds(json: &str, limit: usize) -> bool {
    let (mut depth, mut quoted, mut escaped) = (0_usize, false, false);
    for byte in json.bytes() {
        if quoted {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => quoted = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => quoted = true,
            b'[' | b'{' => {
                depth = depth.saturating_add(1);
                if depth > limit {
                    return true;
                }
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {

    use super::*;

    fn faced(kind: &str, next: Option<&str>, complaint: bool) -> Option<Face> {
        Some(Face {
            kind: kind.to_owned(),
            next: next.map(str::to_owned),
            self_link: None,
            complaint,
        })
    }

    #[test]
    fn table() {
        for (json, expected) in [
            (
                r#"{"resourceType":"Patient","id":"1","link":[{"other":{"reference":"Patient/2"},"type":"seealso"}]}"#,
                faced("Patient", None, false),
            ),
            (
                r#"{"resourceType":"OperationOutcome","issue":[]}"#,
                faced("OperationOutcome", None, true),
            ),
            (
                r#"{"resourceType":"Bundle","link":[{"relation":"self","url":"a"},{"relation":"next","url":"b"}]}"#,
                faced("Bundle", Some("b"), false).map(|face| Face {
                    self_link: Some("a".to_owned()),
                    ..face
                }),
            ),
            (
                r#"{"resourceType":"Bundle","link":[7,{"relation":"next"},{"relation":"next","url":"\u0062"}]}"#,
                faced("Bundle", Some("b"), false),
            ),
            (
                r#"{"resourceType":"Bundle","link":"x","entry":{"a":1}}"#,
                faced("Bundle", None, false),
            ),
            (
                r#"{"resourceType":"Bundle","entry":[{"resource":{"resourceType":"OperationOutcome","issue":[{"severity":"warning"}]}}]}"#,
                faced("Bundle", None, false),
            ),
            (
                r#"{"resourceType":"Bundle","entry":[{},3,{"resource":{"resourceType":"OperationOutcome","issue":[{"severity":"error"}]}}]}"#,
                faced("Bundle", None, true),
            ),
            (
                r#"{"resourceType":"Bundle","entry":[{"resource":{"resourceType":"Basic","id":"OperationOutcome","issue":[{"severity":"error"}]}}]}"#,
                faced("Bundle", None, false),
            ),
            (r#"{"resourceType":"Patient","resourceType":"Bundle"}"#, None),
            (r#"{"resourceType":7}"#, None),
            (r#"{"id":"1"}"#, None),
            ("[]", None),
            ("null", None),
            ("", None),
            ("<html></html>", None),
            (r#"{"resourceType":"Patient""#, None),
        ] {
            assert_eq!(face(json), expected, "{json}");
        }
    }

    #[test]
    fn depth_is_bounded_and_texts_do_not_count() {
        let nested = |depth: usize| {
            format!(
                r#"{{"resourceType":"Basic","x":{}{}}}"#,
                "[".repeat(depth),
                "]".repeat(depth)
            )
        };
        assert!(face(&nested(127)).is_some());
        assert!(face(&nested(128)).is_none());
        assert!(face(&nested(100_000)).is_none());
        assert!(face(&format!(r#"{{"resourceType":"Basic","x":"\"{}"}}"#, "[{".repeat(1000))).is_some());
    }
}
