//! What a twin found about a patient, as plain data: for those who are not answered with cards.

use jiff::Timestamp;
use serde_json::Value;

use crate::{
    cds::card::Indicator,
    patient::{facts::Source, needs::Code},
};

/// What a twin found.
pub struct Finding {
    /// The moment for which it was computed.
    pub now: Timestamp,
    /// The resources of the record that count, each once.
    pub used: Vec<Source>,
    /// In one sentence; empty when there is nothing to say.
    pub summary: String,
    /// On what it rests, Markdown as in a card's detail.
    pub detail: String,
    /// How urgent it is.
    pub indicator: Indicator,
    /// What was found.
    pub what: What,
}

/// What was found.
pub enum What {
    /// Nothing to say: the patient has died.
    Silent,
    /// Nothing may be advised.
    Refused(Refused),
    /// Options with their predictions.
    Advised(Box<Advised>),
}

/// Why nothing may be advised.
pub struct Refused {
    /// Stable name of the reason.
    pub reason: &'static str,
    /// What is wrong.
    pub what: String,
    /// What would help.
    pub help: String,
    /// Data without which there is no answer, when that is the reason.
    pub required: Vec<Required>,
    /// An order that would help.
    pub offers: Vec<Offer>,
}

/// Data that the twin cannot do without.
pub struct Required {
    /// Type of resource.
    pub kind: &'static str,
    /// The element that is needed, where it is not the resource as a whole.
    pub element: Option<&'static str>,
    /// Codes of the resource, any of them.
    pub codes: Vec<Code>,
    /// Hours beyond which a value does not count, where the one that is there is older.
    pub within_hours: Option<i64>,
}

/// A draft order that nobody has placed.
pub struct Offer {
    /// In words.
    pub label: String,
    /// MedicationRequest or ServiceRequest.
    pub resource: Value,
}

/// What is advised.
pub struct Advised {
    /// Stable name of the decision: `recommend`, `on-target`, `watch`, `no-clear-advantage`, `nothing-suitable`.
    pub decision: &'static str,
    /// Options best first, then the present plan, then the course without further treatment.
    pub courses: Vec<Course>,
    /// Orders beside the options: for a level, or those that rules of the twin ask for.
    pub offers: Vec<Offer>,
    /// Rules of the twin that hold, each with its source.
    pub rules: Vec<String>,
    /// Where the goals come from.
    pub sources: Vec<String>,
    /// The twin itself.
    pub twin: State,
}

/// What a course is to the clinician.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The plan in force.
    Keep,
    /// Another one.
    Change,
    /// No further treatment.
    Stop,
}

/// A plan and how it would do.
pub struct Course {
    /// What it is.
    pub kind: Kind,
    /// In words.
    pub label: String,
    /// Whether it is the recommended one.
    pub recommended: bool,
    /// Whether the twin's file forbids to suggest it.
    pub unsuitable: bool,
    /// The order that it would be; absent where nothing may be offered.
    pub request: Option<Value>,
    /// The order of the record that it is.
    pub order: Option<Source>,
    /// Numbers taken from it.
    pub measures: Vec<Measured>,
    /// Chances of goals and harms.
    pub chances: Vec<Chance>,
    /// Over time.
    pub curve: Option<Curve>,
}

/// A predicted number.
pub struct Measured {
    /// Name in the twin's file.
    pub name: String,
    /// In words.
    pub label: String,
    /// UCUM.
    pub unit: String,
    /// Median.
    pub p50: f64,
    /// 5th percentile.
    pub p05: f64,
    /// 95th percentile.
    pub p95: f64,
}

/// Chance of a goal or harm.
pub struct Chance {
    /// Whether it is a harm.
    pub harm: bool,
    /// Of what, in words, with its range.
    pub of: String,
    /// 0 to 1.
    pub probability: f64,
}

/// Percentiles over time.
pub struct Curve {
    /// Hours from now.
    pub hours: Vec<f64>,
    /// At each hour: 5th percentile, median, 95th percentile.
    pub band: Vec<[f64; 3]>,
}

/// A twin.
pub struct State {
    /// Whether measurements made it this patient's; else it is the typical one of such a patient.
    pub personal: bool,
    /// What is drawn, and its UCUM unit.
    pub output: (String, String),
    /// The models that vote.
    pub models: Vec<Vote>,
    /// Measurements that it was fitted to, and those left out.
    pub levels: Vec<Level>,
    /// Doses that it knows of.
    pub doses: usize,
    /// The course until now.
    pub past: Option<Curve>,
}

/// A model that votes.
pub struct Vote {
    /// Id.
    pub id: String,
    /// Version.
    pub version: String,
    /// Of its file, hex.
    pub sha256: String,
    /// Of its publication; may be empty.
    pub doi: String,
    /// Share of the vote, 0 to 1.
    pub weight: f64,
    /// Parameters of this patient.
    pub parameters: Vec<Parameter>,
}

/// A parameter.
pub struct Parameter {
    /// Name in the model.
    pub name: String,
    /// UCUM.
    pub unit: String,
    /// This patient's.
    pub personal: f64,
    /// A typical patient's with the same covariates.
    pub typical: f64,
}

/// A measurement.
pub struct Level {
    /// The output of the models that it is a value of.
    pub output: String,
    /// When.
    pub time: Timestamp,
    /// In `unit`.
    pub value: f64,
    /// `<` or `>` where it is a limit.
    pub comparator: Option<&'static str>,
    /// UCUM.
    pub unit: String,
    /// Whether the fit used it.
    pub used: bool,
    /// The resource.
    pub source: Source,
}
