//! The few members of a resource that decide whether it is worth reading, borrowed from the text.
//!
//! A prefetch holds many resources that a twin does not need. These structs skip over everything else in one pass, so
//! that the full, typed reading is paid only for the resources that count.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

/// Text borrowed from the JSON where it holds no escapes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Text<'a>(#[serde(borrow)] pub Cow<'a, str>);

impl Text<'_> {
    /// The text itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// `Coding` (FHIR R4, Data Types, 2.24.0.4).
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Coding<'a> {
    /// Code system.
    #[serde(borrow, default)]
    pub system: Option<Text<'a>>,
    /// Code in the system.
    #[serde(borrow, default)]
    pub code: Option<Text<'a>>,
    /// What the system calls it.
    #[serde(borrow, default)]
    pub display: Option<Text<'a>>,
}

/// `CodeableConcept` (FHIR R4, Data Types, 2.24.0.5).
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Concept<'a> {
    /// Codings, all of the same meaning.
    #[serde(borrow, default)]
    pub coding: Vec<Coding<'a>>,
    /// What the user entered or saw.
    #[serde(borrow, default)]
    pub text: Option<Text<'a>>,
}

impl<'a> Concept<'a> {
    /// Every text of the concept: its own, then the displays.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        self.text
            .iter()
            .chain(self.coding.iter().filter_map(|c| c.display.as_ref()))
            .map(Text::as_str)
    }

    /// Pairs of system and code; a coding without a system has an empty one.
    pub fn codes(&self) -> impl Iterator<Item = (&str, &str)> {
        self.coding
            .iter()
            .filter_map(|c| Some((c.system.as_ref().map_or("", Text::as_str), c.code.as_ref()?.as_str())))
    }
}

/// `Reference` (FHIR R4, References, 2.3.0).
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Reference<'a> {
    /// Literal reference.
    #[serde(borrow, default)]
    pub reference: Option<Text<'a>>,
    /// What it stands for, in words.
    #[serde(borrow, default)]
    pub display: Option<Text<'a>>,
}

/// `Resource.meta` (FHIR R4, Resource, 2.26.3.1).
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Meta<'a> {
    /// Version of the resource on its server.
    #[serde(borrow, default)]
    pub version_id: Option<Text<'a>>,
    /// When that version was made.
    #[serde(borrow, default)]
    pub last_updated: Option<Text<'a>>,
}

/// A component of an Observation: only its code.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Component<'a> {
    /// What the component measures.
    #[serde(borrow, default)]
    pub code: Concept<'a>,
}

/// An ingredient of a Medication.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Ingredient<'a> {
    /// The substance.
    #[serde(borrow, default)]
    pub item_codeable_concept: Option<Concept<'a>>,
    /// How much of it, whatever stands there.
    #[serde(default)]
    pub strength: Option<serde_json::Value>,
}

/// `Identifier`, as far as drug products carry their code or name in one.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Identifier<'a> {
    /// Namespace.
    #[serde(borrow, default)]
    pub system: Option<Text<'a>>,
    /// Value, unique in the namespace.
    #[serde(borrow, default)]
    pub value: Option<Text<'a>>,
}

/// A Medication, whether contained, bundled, or on its own (FHIR R4, Medication, 11.4).
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Medication<'a> {
    /// Always `Medication` where this is used.
    #[serde(borrow, default)]
    pub resource_type: Option<Text<'a>>,
    /// Logical id, or the local one of a contained resource.
    #[serde(borrow, default)]
    pub id: Option<Text<'a>>,
    /// Code of the product.
    #[serde(borrow, default)]
    pub code: Option<Concept<'a>>,
    /// What it is made of.
    #[serde(borrow, default)]
    pub ingredient: Vec<Ingredient<'a>>,
    /// Some records (MIMIC-IV) put the formulary code and the name here.
    #[serde(borrow, default)]
    pub identifier: Vec<Identifier<'a>>,
}

/// A resource, as far as is needed to decide about it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Peek<'a> {
    /// Type of resource, wherever in the object it stands.
    #[serde(borrow, default)]
    pub resource_type: Option<Text<'a>>,
    /// Logical id.
    #[serde(borrow, default)]
    pub id: Option<Text<'a>>,
    /// Version.
    #[serde(borrow, default)]
    pub meta: Option<Meta<'a>>,
    /// Status code of the workflow.
    #[serde(borrow, default)]
    pub status: Option<Text<'a>>,
    /// Present when the meaning of the resource is changed in a way that we cannot know.
    #[serde(borrow, default)]
    pub modifier_extension: Option<&'a RawValue>,
    /// Likewise.
    #[serde(borrow, default)]
    pub implicit_rules: Option<Text<'a>>,
    /// Whom the resource is about.
    #[serde(borrow, default)]
    pub subject: Option<Reference<'a>>,
    /// Whom an Observation is about instead, or what: the child of this mother, the donor of this graft.
    #[serde(borrow, default)]
    pub focus: Vec<Reference<'a>>,
    /// What it is.
    #[serde(borrow, default)]
    pub code: Option<Concept<'a>>,
    /// Components of an Observation.
    #[serde(borrow, default)]
    pub component: Vec<Component<'a>>,
    /// Drug, as a concept.
    #[serde(borrow, default)]
    pub medication_codeable_concept: Option<Concept<'a>>,
    /// Drug, as a reference.
    #[serde(borrow, default)]
    pub medication_reference: Option<Reference<'a>>,
    /// Contained resources, of which only Medications matter.
    #[serde(borrow, default)]
    pub contained: Vec<Medication<'a>>,
}

impl Peek<'_> {
    /// Whether something in the resource changes its meaning in a way that a reader must understand or refuse
    /// (FHIR R4, Extensibility, 2.5.1, and `Resource.implicitRules`).
    pub fn is_modified(&self) -> bool {
        self.implicit_rules.is_some() || self.modifier_extension.is_some_and(|raw| !is_empty(raw.get()))
    }
}

/// `null` and `[]`, with any blanks inside, say nothing.
fn is_empty(json: &str) -> bool {
    let mut bare = json.chars().filter(|c| !c.is_whitespace());
    matches!((bare.next(), bare.next(), bare.next()), (Some('['), Some(']'), None)) || json.trim() == "null"
}
