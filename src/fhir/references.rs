//! Whether a reference points to the patient of the call (FHIR R4, References, 2.3.0).

use super::peek::{Reference, Text};

/// The names under which the record may speak of the patient.
#[derive(Debug, Clone)]
pub struct PatientNames {
    id: String,
    full_urls: Vec<String>,
}

/// Whose resource it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// The patient's.
    Patient,
    /// Nobody's: there is no literal reference to read.
    Nobody,
    /// Someone else's, or someone whom we cannot tell to be the patient.
    Other,
}

/// `Type/id` without server and without version: `http://x/fhir/Patient/1/_history/3` is `Patient/1`.
pub fn relative(reference: &str) -> Option<(&str, &str)> {
    let reference = reference.split_once("/_history/").map_or(reference, |(head, _)| head);
    let (rest, id) = reference.rsplit_once('/')?;
    let kind = rest.rsplit('/').next()?;
    (!id.is_empty() && kind.chars().all(|c| c.is_ascii_alphabetic()) && !kind.is_empty()).then_some((kind, id))
}

impl PatientNames {
    /// Names of the patient with this logical id.
    pub fn new(id: &str) -> Self {
        PatientNames {
            id: id.to_owned(),
            full_urls: Vec::new(),
        }
    }

    /// Adds the address under which a Bundle knows the Patient resource.
    pub fn add(&mut self, full_url: &str) {
        self.full_urls.push(full_url.to_owned());
    }

    /// Decides about `subject`.
    pub fn whose(&self, subject: Option<&Reference<'_>>) -> Whose {
        let Some(reference) = subject.and_then(|s| s.reference.as_ref()).map(Text::as_str) else {
            return Whose::Nobody;
        };
        if self.full_urls.iter().any(|url| url == reference) {
            return Whose::Patient;
        }
        // A version-4 UUID names one thing in the world, so that `urn:uuid:` and the id may be compared.
        if let Some(uuid) = reference.strip_prefix("urn:uuid:") {
            return if uuid == self.id { Whose::Patient } else { Whose::Other };
        }
        match relative(reference) {
            Some(("Patient", id)) if id == self.id => Whose::Patient,
            _ => Whose::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::borrow::Cow;

    #[test]
    fn forms_of_the_reference() {
        let mut names = PatientNames::new("7f");
        names.add("urn:uuid:aa");
        for (reference, whose) in [
            ("Patient/7f", Whose::Patient),
            ("Patient/7f/_history/1", Whose::Patient),
            ("https://ehr.example/fhir/Patient/7f", Whose::Patient),
            ("https://ehr.example/fhir/Patient/7f/_history/2", Whose::Patient),
            ("urn:uuid:aa", Whose::Patient),
            ("urn:uuid:7f", Whose::Patient),
            ("urn:uuid:bb", Whose::Other),
            ("Patient/8", Whose::Other),
            ("Patient/7F", Whose::Other),
            ("Group/7f", Whose::Other),
            ("7f", Whose::Other),
            ("#7f", Whose::Other),
            ("XPatient/7f", Whose::Other),
            ("Patient/", Whose::Other),
            ("", Whose::Other),
        ] {
            let subject = Reference {
                reference: Some(Text(Cow::Borrowed(reference))),
                display: None,
            };
            assert_eq!(names.whose(Some(&subject)), whose, "{reference}");
        }
        assert_eq!(names.whose(None), Whose::Nobody);
        assert_eq!(names.whose(Some(&Reference::default())), Whose::Nobody);
    }
}
