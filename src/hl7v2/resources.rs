//! Fields of messages as elements of FHIR R4: codes, quantities, units. Specification: HL7 v2.5.1, section 2.A; table 0396 (coding
//! systems).

use std::collections::BTreeMap;

use jiff::{Timestamp, tz::TimeZone};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::message::{Rep, Seg};

const UCUM: &str = "http://unitsofmeasure.org";

/// What is known beside the message.
pub struct Context<'a> {
    /// Zone of times without one.
    pub zone: &'a TimeZone,
    /// Whose number of the patient counts.
    pub authority: Option<&'a str>,
    /// FHIR systems of coding systems, by their names in messages.
    pub systems: &'a BTreeMap<String, String>,
    /// Who sent the message.
    pub sender: &'a str,
    /// When it was written.
    pub written: Timestamp,
}

impl Context<'_> {
    /// An id of the thing that some numbers of the sender name: the same for every message about it.
    #[must_use]
    pub fn id(&self, parts: &[&str]) -> String {
        let mut digest = Sha256::new_with_prefix(b"jumeau hl7v2");
        for part in std::iter::once(&self.sender).chain(parts) {
            digest.update((part.len() as u64).to_be_bytes());
            digest.update(part);
        }
        let hex: String = digest
            .finalize()
            .iter()
            .take(16)
            .map(|byte| format!("{byte:02x}"))
            .collect();
        format!("hl7v2-{hex}")
    }

    /// The FHIR system of a coding system.
    fn system(&self, name: &str) -> Option<String> {
        if let Some(system) = self.systems.get(name) {
            return Some(system.clone());
        }
        let known = match name {
            "LN" => "http://loinc.org",
            "SCT" | "SNM" => "http://snomed.info/sct",
            "RXNORM" => "http://www.nlm.nih.gov/research/umls/rxnorm",
            "NDC" => "http://hl7.org/fhir/sid/ndc",
            "WC" => "http://www.whocc.no/atc",
            _ => return None,
        };
        Some(known.to_owned())
    }

    /// A CWE as CodeableConcept: its code and the alternate, those of them whose system is known, and the text.
    #[must_use]
    pub fn concept(&self, field: &Rep<'_, '_>) -> Option<Value> {
        let coding = |at: usize| {
            let (code, system) = (field.text(at)?, self.system(&field.text(at + 2)?)?);
            let mut coding = json!({ "system": system, "code": code });
            if let Some(display) = field.text(at + 1) {
                coding["display"] = json!(display);
            }
            Some(coding)
        };
        let codings: Vec<Value> = [coding(1), coding(4)].into_iter().flatten().collect();
        let text = [9, 2, 5, 1].into_iter().find_map(|component| field.text(component));
        let mut concept = Map::new();
        if !codings.is_empty() {
            concept.insert("coding".to_owned(), Value::Array(codings));
        }
        concept.insert("text".to_owned(), json!(text?));
        Some(Value::Object(concept))
    }
}

/// A number as it is written: JSON keeps its digits.
#[must_use]
pub fn number(text: &str) -> Option<Value> {
    let text = text.trim().trim_start_matches('+');
    let text = match text.strip_prefix('.') {
        Some(rest) => format!("0.{rest}"),
        None => text.trim_end_matches('.').to_owned(),
    };
    // Zeros before the number are none in JSON.
    let (sign, digits) = text.strip_prefix('-').map_or(("", text.as_str()), |rest| ("-", rest));
    let digits = match digits.trim_start_matches('0') {
        "" if digits.is_empty() => return None,
        "" => "0".to_owned(),
        rest if rest.starts_with('.') => format!("0{rest}"),
        rest => rest.to_owned(),
    };
    if !digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        return None;
    }
    serde_json::from_str::<Value>(&format!("{sign}{digits}"))
        .ok()
        .filter(Value::is_number)
}

/// A quantity of a number and a unit field (CWE); the code of the unit is UCUM where the field says so.
#[must_use]
pub fn quantity(value: Value, comparator: Option<&str>, unit: Option<Rep<'_, '_>>) -> Value {
    let mut quantity = json!({ "value": value });
    if let Some(comparator) = comparator {
        quantity["comparator"] = json!(comparator);
    }
    let Some(unit) = unit else { return quantity };
    let is_ucum = |at: usize| unit.text(at).is_some_and(|system| system.eq_ignore_ascii_case("UCUM"));
    let ucum = [(1, 3), (4, 6)].into_iter().find(|(_, system)| is_ucum(*system));
    if let Some(code) = ucum.and_then(|(code, _)| unit.text(code)) {
        quantity["system"] = json!(UCUM);
        quantity["code"] = json!(code);
    }
    if let Some(text) = unit.text(1).or_else(|| unit.text(2)) {
        quantity["unit"] = json!(text);
    }
    quantity
}

/// The code of a way of giving a drug (table 0162), as SNOMED CT where it is one of the usual, and as text.
#[must_use]
pub fn route(segment: &Seg<'_, '_>, context: &Context<'_>) -> Option<Value> {
    let field = segment.repeats(1).next()?;
    let mut concept = context.concept(&field)?;
    let snomed = match field.text(1)?.as_str() {
        "IV" | "IVP" | "IVPB" => "47625008",
        "PO" => "26643006",
        "SC" | "SQ" => "34206005",
        "IM" => "78421000",
        "IT" => "72607000",
        _ => return Some(concept),
    };
    if concept.get("coding").is_none() {
        concept["coding"] = json!([{ "system": "http://snomed.info/sct", "code": snomed }]);
    }
    Some(concept)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn numbers_keep_their_digits() {
        for (text, expected) in [
            ("12.50", Some("12.5")),
            ("+5", Some("5")),
            (".5", Some("0.5")),
            ("-0.5", Some("-0.5")),
            ("007", Some("7")),
            ("00.7", Some("0.7")),
            ("0", Some("0")),
            ("5.", Some("5")),
            ("1e5", None),
            ("1.2.3", None),
            ("1,5", None),
            ("--1", None),
            ("NaN", None),
            ("", None),
        ] {
            let found = number(text).map(|value| value.as_f64().unwrap());
            assert_eq!(found, expected.map(|text| text.parse().unwrap()), "{text}");
        }
    }
}
