//! Cards. Specification: CDS Hooks 2.0.1, "CDS Service Response". Nothing empty or null is ever written.

use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

/// The answer to a hook call.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Response {
    /// Cards, most important first; may be empty.
    pub cards: Vec<Card>,
    /// For our own clients; EHRs ignore it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extension: Option<Value>,
}

/// Urgency of a card.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Indicator {
    /// For information.
    Info,
    /// The present plan misses its target.
    Warning,
    /// Predicted harm or contraindication.
    Critical,
}

/// One card.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Card {
    /// Fresh for each answer.
    pub uuid: Uuid,
    /// Under 140 characters, one line.
    pub summary: String,
    /// GitHub-flavoured Markdown.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// Urgency.
    pub indicator: Indicator,
    /// Where the advice comes from.
    pub source: Source,
    /// What can be done with one click.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub suggestions: Vec<Suggestion>,
    /// Present exactly when there are suggestions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selection_behavior: Option<SelectionBehavior>,
    /// Reasons that a clinician may give for not following.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub override_reasons: Vec<Coding>,
    /// Further reading.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<Link>,
    /// For our own pages: the twin's numbers behind the card.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extension: Option<Value>,
}

/// How suggestions exclude one another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SelectionBehavior {
    /// One or none.
    AtMostOne,
    /// Any number.
    Any,
}

/// Source of a card.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Source {
    /// Name of the twin and its version.
    pub label: String,
    /// Absolute URL of the model card or paper.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// What the card is about.
    pub topic: Coding,
}

/// A code with its display.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Coding {
    /// System URI.
    pub system: String,
    /// Code.
    pub code: String,
    /// Words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub display: Option<String>,
}

/// One suggestion.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Suggestion {
    /// Fresh for each answer.
    pub uuid: Uuid,
    /// Words of the button.
    pub label: String,
    /// At most one of a card is recommended.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_recommended: bool,
    /// What accepting does.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub actions: Vec<Action>,
}

/// Kind of an [`Action`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ActionType {
    /// A new resource.
    Create,
    /// A changed resource, with its id.
    Update,
    /// A resource to remove.
    Delete,
}

/// One action of a suggestion.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Action {
    /// Create, update or delete.
    #[serde(rename = "type")]
    pub kind: ActionType,
    /// In words.
    pub description: String,
    /// For create and update.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource: Option<Value>,
}

/// A link of a card.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Link {
    /// Words.
    pub label: String,
    /// Absolute URL.
    pub url: String,
    /// `absolute` or `smart`.
    #[serde(rename = "type")]
    pub kind: LinkType,
    /// What the EHR passes on to the app; for `smart` only. Opaque to it.
    #[serde(rename = "appContext", skip_serializing_if = "Option::is_none")]
    pub app_context: Option<String>,
}

/// Kind of a [`Link`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LinkType {
    /// A plain page.
    Absolute,
    /// A SMART app, which the EHR launches.
    Smart,
}
