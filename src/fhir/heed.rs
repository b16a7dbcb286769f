//! Whether a server did what it was asked to. FHIR lets servers ignore search parameters that they do not know, even `patient`; the
//! link `self` says which ones counted (FHIR R4, "Search", 3.1.1.3 and 3.1.1.5).
//!
//! What is no concern of the patient is dropped before anybody reads it.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::value::RawValue;
use url::form_urlencoded;

use super::{
    peek::{Peek, Text},
    references::relative,
};

/// Parameters that change how much comes at a time and how it looks, not what is found.
const HARMLESS: [&str; 4] = ["_count", "_format", "_total", "_summary"];

/// What a server did not heed of a search.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unheeded {
    /// Nothing that is known of.
    Nothing,
    /// A parameter other than the patient: all that was asked for is among what came, if all of it came.
    Something,
    /// Whose data they are to be.
    Patient,
}

/// Compares a query with the link `self` of its answer. A server that sends no such link, or one in which nothing is known again
/// (the name of a stored result), has said nothing.
#[must_use]
pub fn unheeded(sent: &str, self_link: Option<&str>) -> Unheeded {
    let Some(link) = self_link else {
        return Unheeded::Nothing;
    };
    let used = names(link.split_once('?').map_or("", |(_, query)| query));
    let sent = names(sent);
    if !used.is_empty() && used.is_disjoint(&sent) {
        return Unheeded::Nothing;
    }
    let missing = sent
        .iter()
        .filter(|name| !used.contains(*name) && !HARMLESS.contains(&name.as_str()));
    missing
        .map(|name| {
            if name == "patient" {
                Unheeded::Patient
            } else {
                Unheeded::Something
            }
        })
        .max()
        .unwrap_or(Unheeded::Nothing)
}

/// Names of parameters without modifiers and chains.
fn names(query: &str) -> BTreeSet<String> {
    form_urlencoded::parse(query.as_bytes())
        .map(|(name, _)| match name.split([':', '.']).next().unwrap_or_default() {
            // Where both exist they mean the same here.
            "subject" => "patient".to_owned(),
            name => name.to_owned(),
        })
        .collect()
}

#[derive(Deserialize)]
struct Bundle<'a> {
    #[serde(borrow, default)]
    entry: Option<Vec<&'a RawValue>>,
}

#[derive(Deserialize)]
struct Entry<'a> {
    #[serde(borrow, default)]
    resource: Option<Peek<'a>>,
}

/// A Bundle without the resources of other patients, and how many those were. Resources of which one cannot tell whose they are stay:
/// whoever reads them decides.
#[must_use]
pub fn own(bundle: Box<RawValue>, patient: &str) -> (Box<RawValue>, usize) {
    let Ok(Bundle { entry: Some(entries) }) = serde_json::from_str::<Bundle<'_>>(bundle.get()) else {
        return (bundle, 0);
    };
    let foreign = |entry: &&RawValue| {
        let Ok(Entry { resource: Some(peek) }) = serde_json::from_str::<Entry<'_>>(entry.get()) else {
            return false;
        };
        match peek.resource_type.as_ref().map(Text::as_str) {
            Some("Patient") => peek.id.is_some_and(|id| id.as_str() != patient),
            _ => {
                let subject = peek.subject.and_then(|subject| subject.reference);
                let person = subject.as_ref().and_then(|text| relative(text.as_str()));
                person.is_some_and(|(kind, id)| kind == "Patient" && id != patient)
            }
        }
    };
    let (others, kept): (Vec<&RawValue>, Vec<&RawValue>) = entries.iter().partition(|entry| foreign(entry));
    if others.is_empty() {
        return (bundle, 0);
    }
    let kept: Vec<&str> = kept.iter().map(|entry| entry.get()).collect();
    let text = format!(
        r#"{{"resourceType":"Bundle","type":"searchset","entry":[{}]}}"#,
        kept.join(",")
    );
    let count = others.len();
    match RawValue::from_string(text) {
        Ok(own) => (own, count),
        Err(_) => (bundle, 0),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_the_self_link_says() {
        let sent = "patient=1&code=http://loinc.org|2160-0&_sort=-date&_count=20";
        for (link, expected) in [
            (None, Unheeded::Nothing),
            (
                Some(
                    "https://x.example/r4/Observation?patient=1&code=http%3A%2F%2Floinc.org%7C2160-0&_sort=-date&_count=20",
                ),
                Unheeded::Nothing,
            ),
            (
                Some("Observation?subject:Patient=Patient/1&code=a&_sort=-date"),
                Unheeded::Nothing,
            ),
            (
                Some("https://x.example/r4?_getpages=e3c1&_getpagesoffset=0"),
                Unheeded::Nothing,
            ),
            (Some("Observation?patient=1&code=a"), Unheeded::Something),
            (Some("Observation?patient=1&_sort=-date&_count=20"), Unheeded::Something),
            (Some("Observation?code=a&_sort=-date&_count=20"), Unheeded::Patient),
            (Some("Observation?_count=20"), Unheeded::Patient),
            (Some("https://x.example/r4/Observation"), Unheeded::Patient),
        ] {
            assert_eq!(unheeded(sent, link), expected, "{link:?}");
        }
    }

    #[test]
    fn resources_of_others_are_dropped() {
        let bundle = |entries: &str| {
            RawValue::from_string(format!(r#"{{"resourceType":"Bundle","link":[],"entry":[{entries}]}}"#)).unwrap()
        };
        let mine =
            r#"{"resource":{"subject":{"reference":"https://x.example/Patient/a"},"resourceType":"Observation"}}"#;
        let person = r#"{"resource":{"resourceType":"Patient","id":"a"}}"#;
        let nobodys = r#"{"resource":{"resourceType":"Medication","id":"m"}}"#;
        let (same, none) = own(bundle(&[mine, person, nobodys, "7", "{}"].join(",")), "a");
        assert_eq!((none, same.get().contains("\"link\"")), (0, true), "as it was");
        let others = [
            r#"{"resource":{"resourceType":"Observation","subject":{"reference":"Patient/b"}}}"#,
            r#"{"resource":{"resourceType":"Patient","id":"b"}}"#,
        ];
        let (kept, dropped) = own(bundle(&[others[0], mine, nobodys, others[1]].join(",")), "a");
        assert_eq!(dropped, 2);
        assert_eq!(
            kept.get(),
            format!(r#"{{"resourceType":"Bundle","type":"searchset","entry":[{mine},{nobodys}]}}"#)
        );
        let (empty, dropped) = own(bundle(others[0]), "a");
        assert_eq!(
            (empty.get(), dropped),
            (r#"{"resourceType":"Bundle","type":"searchset","entry":[]}"#, 1)
        );
    }
}
