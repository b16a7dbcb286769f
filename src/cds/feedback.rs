//! Feedback on cards. Specification: CDS Hooks 2.0.1, "Feedback".

use serde::{Deserialize, Serialize};

/// What became of one card; parsed and checked, ready to be stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Feedback {
    /// Uuid of the card.
    pub card: String,
    /// Accepted or overridden.
    pub outcome: Outcome,
    /// Uuids of the accepted suggestions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub accepted_suggestions: Vec<String>,
    /// System and code of the reason, if one was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<(String, String)>,
    /// The clinician's own words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_comment: Option<String>,
    /// RFC 3339, as sent.
    pub outcome_timestamp: String,
}

/// See [`Feedback`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// At least one suggestion was taken.
    Accepted,
    /// The card was dismissed.
    Overridden,
}
