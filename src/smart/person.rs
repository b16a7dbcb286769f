//! Who the patient is, so that a page can be compared with the chart it was opened from.

use serde::Deserialize;

/// What a page says of a person.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Person {
    /// As written in the record.
    pub name: String,
    /// As written in the record.
    pub born: String,
    /// FHIR code.
    pub gender: String,
}

#[derive(Deserialize)]
struct Patient {
    #[serde(rename = "resourceType")]
    kind: String,
    id: String,
    #[serde(default)]
    name: Vec<Name>,
    #[serde(rename = "birthDate", default)]
    born: String,
    #[serde(default)]
    gender: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Name {
    #[serde(rename = "use")]
    purpose: String,
    text: String,
    family: String,
    given: Vec<String>,
}

impl Person {
    /// Of a Patient resource with that id.
    #[must_use]
    pub fn read(body: &[u8], id: &str) -> Option<Self> {
        let patient: Patient = serde_json::from_slice(body).ok()?;
        if patient.kind != "Patient" || patient.id != id {
            return None;
        }
        let official = |name: &&Name| matches!(name.purpose.as_str(), "official" | "usual");
        let name = patient.name.iter().find(official).or_else(|| patient.name.first())?;
        let words = if name.family.is_empty() {
            name.text.clone()
        } else {
            let given = name.given.join(" ");
            format!("{given} {}", name.family)
        };
        let name = words.trim().chars().take(120).collect::<String>();
        (!name.is_empty()).then_some(Self {
            name,
            born: patient.born.chars().take(10).collect(),
            gender: patient.gender,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_official_name_of_the_right_patient() {
        let body = br#"{"resourceType":"Patient","id":"a","birthDate":"1959-06-02","gender":"female","name":[{"use":"old","family":"O"},
            {"use":"official","given":["Ann","B."],"family":"C"}]}"#;
        let read = Person::read(body, "a");
        assert_eq!(read.as_ref().map(|p| p.name.as_str()), Some("Ann B. C"));
        assert_eq!(Person::read(body, "b"), None);
        assert_eq!(
            Person::read(br#"{"resourceType":"Patient","id":"a","name":[{}]}"#, "a"),
            None
        );
    }
}
