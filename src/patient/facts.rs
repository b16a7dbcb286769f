//! What was found in the record.

use std::collections::BTreeMap;

use jiff::{Timestamp, civil::Date};
use serde::{Deserialize, Serialize};

/// Where a fact came from: a resource in a version.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Source {
    /// Relative reference, `Observation/abc`.
    pub reference: String,
    /// `meta.versionId`, where the server gives one.
    pub version: Option<String>,
}

/// Administrative sex as the record gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Sex {
    /// `female`.
    Female,
    /// `male`.
    Male,
    /// `other`, `unknown` or absent.
    Unknown,
}

/// The person.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Person {
    /// Logical id of the Patient resource.
    pub id: String,
    /// Date of birth; partial dates are filled with the middle of the period and noted.
    pub birth_date: Option<Date>,
    /// Administrative sex.
    pub sex: Sex,
    /// Whether the record says that the person has died.
    pub deceased: bool,
    /// Where this came from.
    pub source: Source,
}

/// How a value relates to a limit of quantification.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Bound {
    /// The value as it is.
    Exact,
    /// The true value is below this one (`<`).
    Below,
    /// The true value is above this one (`>`).
    Above,
}

/// One measured value, in the unit that the twin declares.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measurement {
    /// In the declared unit.
    pub value: f64,
    /// Exact, or a limit.
    pub bound: Bound,
    /// When the specimen was taken or the quantity measured.
    pub time: Timestamp,
    /// Value and unit as recorded, when they were converted (`"96 umol/L"`).
    pub converted_from: Option<String>,
    /// Preliminary results count, and are named as such.
    pub preliminary: bool,
    /// System and code under which it was recorded, one of those asked for; empty when it was computed.
    pub recorded_as: String,
    /// Where this came from.
    pub source: Source,
}

/// One dose that was given.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Given {
    /// Start.
    pub time: Timestamp,
    /// In the drug's unit.
    pub amount: f64,
    /// Hours; 0 is a bolus.
    pub duration_hours: f64,
    /// Whether the length of infusion is the twin's assumption.
    pub duration_assumed: bool,
    /// Whether the dose itself is inferred from an order, no administration being recorded.
    pub assumed_from_order: bool,
    /// Where this came from.
    pub source: Source,
}

/// A dose repeated at an interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Regimen {
    /// In the drug's unit.
    pub amount: f64,
    /// Hours between doses.
    pub interval_hours: f64,
    /// Hours of infusion; 0 is a bolus.
    pub duration_hours: f64,
}

/// An order for the twin's drug.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Order {
    /// Relative reference (`MedicationRequest/abc`); a draft may have none.
    pub source: Option<Source>,
    /// Whether it is a draft in the clinician's hands (from the hook's context) or stands in the record.
    pub draft: bool,
    /// Whether it is in force now: status active, within its period.
    pub active: bool,
    /// The regimen, when the order's dosage gives dose and interval.
    pub regimen: Option<Regimen>,
    /// Why `regimen` is missing, in words for the card.
    pub unclear: Option<String>,
    /// Amount of a single dose, in the drug's unit, when the order is for one dose or gives a dose without any timing;
    /// `regimen` is missing then.
    pub once: Option<f64>,
    /// Hours of infusion of that dose; 0 is a bolus.
    pub once_duration_hours: f64,
    /// When the first dose is due, if the order says so.
    pub start: Option<Timestamp>,
    /// Whether the drug was recognised only by its text.
    pub matched_by_text: bool,
    /// Coding of the medication as ordered, system and code, to be kept in an update.
    pub medication_codes: Vec<(String, String)>,
}

/// Something of the record that was not used, or used under an assumption, with the reason.
///
/// The reason is a key with arguments, so that a card can say it in its reader's language.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Remark {
    /// Message id in the wording catalogue, for example `remark-entered-in-error`.
    pub id: String,
    /// Arguments of the message. Texts of the record among them are escaped when rendered.
    pub args: BTreeMap<String, String>,
    /// The resource that this is about, when there is one.
    pub source: Option<Source>,
}

/// A level of a category, as found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// Place among the levels of [`Category`](super::needs::Category).
    pub level: usize,
    /// As recorded.
    pub text: String,
    /// Where this came from.
    pub source: Source,
}

/// All that was found for one twin.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Facts {
    /// The person.
    pub person: Person,
    /// By [`Measured::name`](super::needs::Measured), oldest first.
    pub measured: BTreeMap<String, Vec<Measurement>>,
    /// Names of the flags that are true, with what made them so.
    pub flags: BTreeMap<String, Source>,
    /// Names of the flags that a test has shown to be false, with that test.
    pub tested_negative: BTreeMap<String, Source>,
    /// Levels of categories by name; a category of which the record says nothing, or two things, is not among them.
    pub categories: BTreeMap<String, Found>,
    /// Doses given, oldest first.
    pub given: Vec<Given>,
    /// Orders, drafts included.
    pub orders: Vec<Order>,
    /// What was left out, and why.
    pub ignored: Vec<Remark>,
    /// What was taken as true without being recorded.
    pub assumed: Vec<Remark>,
}
