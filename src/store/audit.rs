//! Who did what with whose data. An entry holds neither names nor values, and a patient as a digest: whoever knows the id finds the
//! entries about it, and nobody reads ids off the log.

use std::fmt::Write as _;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuditRecord {
    /// When.
    pub at: Timestamp,
    /// For which hospital.
    pub tenant: String,
    /// `iss` of the caller's token; what a person did at the machine says `operator`.
    pub caller: String,
    /// What.
    pub action: Action,
    /// Which twin or service, where one is meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// About whom, see [`patient`]; nobody for what concerns all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patient: Option<String>,
    /// How it ended, in a word.
    pub outcome: String,
}

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// A twin was asked.
    Evaluate,
    /// What is kept of a patient was read.
    Read,
    /// What is kept of a patient was forgotten.
    Erase,
    /// What is kept of a patient was written to a file.
    Export,
    /// All twins were copied into another store.
    Copy,
    /// All values were sealed anew.
    Reseal,
}

/// A patient in the log: a digest of tenant and id, as hexadecimal digits.
#[must_use]
pub fn patient(tenant: &str, id: &str) -> String {
    let mut digest = Sha256::new_with_prefix(b"jumeau audit patient");
    for part in [tenant, id] {
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part);
    }
    digest.finalize().iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn an_entry_names_nobody_and_is_found_by_who_knows() {
        let record = AuditRecord {
            at: Timestamp::UNIX_EPOCH,
            tenant: "north".to_owned(),
            caller: "https://ehr.example".to_owned(),
            action: Action::Erase,
            subject: None,
            patient: Some(patient("north", "patient-123")),
            outcome: "done".to_owned(),
        };
        let json = serde_json::to_string(&record).unwrap();
        assert!(!json.contains("patient-123") && json.contains("\"erase\""), "{json}");
        assert_eq!(serde_json::from_str::<AuditRecord>(&json).unwrap(), record);
        assert_ne!(patient("north", "a"), patient("south", "a"));
        assert_ne!(patient("a", "bc"), patient("ab", "c"));
    }
}
