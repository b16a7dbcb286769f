//! What `GET /cds-services` says of a service.

use std::collections::BTreeMap;

use serde::Serialize;

/// One service. Specification: CDS Hooks 2.0.1, "Discovery".
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Service {
    /// Hook name.
    pub hook: String,
    /// Title for people.
    pub title: String,
    /// What it does.
    pub description: String,
    /// Stable id, safe as one URL segment, unique.
    pub id: String,
    /// Prefetch templates by key.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub prefetch: BTreeMap<String, String>,
    /// What the client must provide, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage_requirements: Option<String>,
    /// CDS Hooks release, `2.0.1`.
    pub version: String,
}
