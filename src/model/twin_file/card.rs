//! The model card: who made the twin, for what, on whose data, and what is known of its worth.

use std::collections::BTreeMap;

use serde::Deserialize;

/// Every attribute of a card, group by group, with what it is called for people. The list is that of
/// 45 CFR 170.315(b)(11)(iv)(B), with release dates and citation from (A). What the twin reads of race, sex and other
/// characteristics is derived from its inputs and not typed.
pub const ATTRIBUTES: [(&str, &str, &str); 33] = [
    ("", "citation", "Bibliographic citation"),
    ("", "developer", "Developer"),
    ("", "funding", "Funding of the technical implementation"),
    ("", "released", "Released"),
    ("", "revised", "Revised"),
    ("output", "description", "Value produced"),
    ("output", "kind", "Kind of output"),
    ("intended", "use", "Intended use"),
    ("intended", "population", "Intended population"),
    ("intended", "users", "Intended users"),
    ("intended", "role", "Intended role in decisions"),
    ("caution", "out_of_scope", "Cautioned against"),
    ("caution", "risks", "Known risks and limitations"),
    (
        "training",
        "criteria",
        "Inclusion and exclusion in the data it was built on",
    ),
    ("training", "representativeness", "Demographic representativeness"),
    ("training", "relevance", "Relevance to the deployed setting"),
    ("fairness", "approach", "Approach to fairness"),
    ("fairness", "mitigation", "Management of bias"),
    ("external", "data", "External validation: data and setting"),
    ("external", "party", "External validation: by whom"),
    (
        "external",
        "representativeness",
        "External validation: representativeness",
    ),
    ("external", "process", "External validation: process"),
    (
        "performance",
        "internal_validity",
        "Validity on data of the same source",
    ),
    (
        "performance",
        "internal_fairness",
        "Fairness on data of the same source",
    ),
    ("performance", "external_validity", "Validity on external data"),
    ("performance", "external_fairness", "Fairness on external data"),
    ("performance", "outcomes", "Evaluations of its use on outcomes"),
    ("maintenance", "validity_monitoring", "Monitoring of validity"),
    ("maintenance", "validity_local", "Validity in local data"),
    ("maintenance", "fairness_monitoring", "Monitoring of fairness"),
    ("maintenance", "fairness_local", "Fairness in local data"),
    ("update", "process", "Process of updates"),
    ("update", "correction", "Correction when risks are found"),
];

/// A text, or a group of texts.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub(super) enum Raw {
    /// An attribute.
    Text(String),
    /// A group of attributes.
    Group(BTreeMap<String, String>),
}

/// A complete card: every attribute of [`ATTRIBUTES`] has a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelCard {
    texts: Vec<String>,
}

impl ModelCard {
    /// Attributes in the order of [`ATTRIBUTES`]: group, name, what it is called, what the author says.
    pub fn attributes(&self) -> impl Iterator<Item = (&'static str, &'static str, &'static str, &str)> {
        ATTRIBUTES
            .iter()
            .zip(&self.texts)
            .map(|((group, name, title), text)| (*group, *name, *title, text.as_str()))
    }

    /// From the file.
    ///
    /// # Errors
    /// An attribute that is missing, empty, unknown without a reason, or not one of the list: a sentence for the author.
    pub(super) fn read(raw: &BTreeMap<String, Raw>) -> Result<Self, String> {
        let mut texts = Vec::with_capacity(ATTRIBUTES.len());
        for (group, name, title) in ATTRIBUTES {
            let key = if group.is_empty() {
                name.to_owned()
            } else {
                format!("{group}.{name}")
            };
            let text = match (raw.get(group), raw.get(name)) {
                (Some(Raw::Group(members)), _) => members.get(name),
                (_, Some(Raw::Text(text))) if group.is_empty() => Some(text),
                _ => None,
            };
            let text = text.map_or("", |text| text.trim());
            if text.is_empty() {
                return Err(format!(
                    "[card] lacks `{key}` ({title}): write what is known, or \"unknown: \" and the reason"
                ));
            }
            let reason = text.to_ascii_lowercase();
            let reason = reason
                .strip_prefix("unknown")
                .map(|r| r.trim_start_matches([':', ' ', '.']));
            if reason.is_some_and(str::is_empty) {
                return Err(format!(
                    "[card] `{key}` is unknown without a reason: write \"unknown: \" and why it is not known"
                ));
            }
            texts.push(text.to_owned());
        }
        let known = |group: &str, name: &str| ATTRIBUTES.iter().any(|(g, n, _)| *g == group && *n == name);
        for (key, value) in raw {
            let wrong = match value {
                Raw::Text(_) => (!known("", key)).then(|| key.clone()),
                Raw::Group(members) => members
                    .keys()
                    .find(|name| !known(key, name))
                    .map(|name| format!("{key}.{name}")),
            };
            if let Some(wrong) = wrong {
                return Err(format!("[card] has no attribute `{wrong}`"));
            }
        }
        Ok(Self { texts })
    }
}
