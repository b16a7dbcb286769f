//! What is measured on a simulated course, and which values are good or harmful.

use serde::Deserialize;

use super::Text;
use crate::model::formula::{Formula, Number, Values};

/// How a number is taken from a course.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Take {
    /// Area under the curve; at steady state per 24 h.
    Area,
    /// Mean over the window.
    Mean,
    /// Highest value.
    Highest,
    /// Lowest value.
    Lowest,
    /// Value at the beginning of the window.
    First,
    /// Value at its end; at steady state the trough.
    Last,
    /// Hours below the level; at steady state hours a week.
    TimeBelow,
    /// Hours above the level.
    TimeAbove,
    /// Hours from the moment that the window is counted from to the lowest value.
    TimeOfLowest,
    /// Hours to the highest value.
    TimeOfHighest,
    /// Hours until the value is first below the level; none when it never is.
    FirstTimeBelow,
    /// Hours until the value is first above the level.
    FirstTimeAbove,
    /// Of the plan, not of its course: its dose a day as a share of the present plan's, delay counted.
    DoseIntensity,
    /// Of the plan: dose a week.
    DosePerWeek,
}

impl Take {
    /// Whether it is a number of the plan itself, for which nothing is simulated.
    #[must_use]
    pub fn is_of_plan(self) -> bool {
        matches!(self, Self::DoseIntensity | Self::DosePerWeek)
    }

    /// Whether it needs a level.
    #[must_use]
    pub fn needs_level(self) -> bool {
        matches!(
            self,
            Self::TimeBelow | Self::TimeAbove | Self::FirstTimeBelow | Self::FirstTimeAbove
        )
    }
}

/// From when a window is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
pub enum Since {
    /// From now.
    #[default]
    #[serde(rename = "now")]
    Now,
    /// From the first dose of the plan.
    #[serde(rename = "dose")]
    Dose,
    /// From the first dose of the record, or of the plan when there is none.
    #[serde(rename = "first dose")]
    FirstDose,
}

/// Over which part of the course a number is taken.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Window {
    /// One round of the plan as if it had been repeated for ever.
    Steady,
    /// A stretch of time.
    Span {
        /// Hours from `since` to its beginning.
        from: f64,
        /// Hours from `since` to its end.
        to: f64,
        /// From when.
        since: Since,
    },
}

/// A number taken from a course.
#[derive(Debug, Clone, PartialEq)]
pub struct Measure {
    /// Name in the file.
    pub name: String,
    /// Output of the models; empty for a number of the plan itself.
    pub output: String,
    /// How it is taken.
    pub take: Take,
    /// Level for times below or above.
    pub level: Option<f64>,
    /// Over which part.
    pub window: Window,
    /// What it is divided by.
    pub by: Option<Formula>,
    /// Whether the value at the start of the course is taken off.
    pub change: bool,
    /// UCUM unit.
    pub unit: String,
    /// Short name.
    pub label: Text,
}

/// An interval of values; an end that is not given is open.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Range {
    /// Lowest.
    pub low: Option<Number>,
    /// Highest.
    pub high: Option<Number>,
}

/// A range for one patient; an open end is infinite.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// Lowest.
    pub low: f64,
    /// Highest.
    pub high: f64,
}

impl Range {
    /// For a patient; none where something its formulas need is not known.
    #[must_use]
    pub fn limits(&self, values: &Values) -> Option<Limits> {
        let end = |number: &Option<Number>, open: f64| number.as_ref().map_or(Some(open), |n| n.value(values));
        Some(Limits {
            low: end(&self.low, f64::NEG_INFINITY)?,
            high: end(&self.high, f64::INFINITY)?,
        })
    }
}

impl Limits {
    /// Whether a value lies within; the ends belong to it. A number that does not exist does not.
    #[must_use]
    pub fn contain(&self, value: f64) -> bool {
        (self.low..=self.high).contains(&value)
    }
}

/// What treatment is to reach.
#[derive(Debug, Clone, PartialEq)]
pub struct Goal {
    /// Place of its measure.
    pub measure: usize,
    /// Target.
    pub within: Range,
    /// Weight in the score.
    pub weight: f64,
    /// Short name.
    pub label: Text,
    /// Guideline.
    pub source: String,
}

/// A harm that is weighed against the goals.
#[derive(Debug, Clone, PartialEq)]
pub struct Harm {
    /// Place of its measure.
    pub measure: usize,
    /// Where it is counted.
    pub within: Range,
    /// An option whose median lies here is never suggested.
    pub blocked: Option<Range>,
    /// An option whose chance of harm exceeds this is never suggested.
    pub blocked_chance: Option<f64>,
    /// Weight in the score.
    pub weight: f64,
    /// The harm, in words.
    pub label: Text,
    /// Guideline.
    pub source: String,
}

/// How loudly something is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Urgency {
    /// Something is missing, or the patient is not one for these models.
    #[default]
    Info,
    /// The record itself is in doubt, or the course is.
    Warning,
    /// The plan at hand is predicted to harm, or is outside what can be given.
    Critical,
}

/// Which plan a rule looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RulePlan {
    /// The plan in force or drafted; what was given, where there is none.
    #[default]
    Keep,
    /// No further treatment.
    Stop,
    /// The best of the options.
    Best,
}

/// A rule of policy: about what the models do not simulate, or about the course as it is predicted.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// Which plan's course it looks at.
    pub plan: RulePlan,
    /// Place of a measure, where it must lie, and the least chance of that.
    pub predicted: Option<(usize, Range, f64)>,
    /// A condition on what is known.
    pub when: Option<Formula>,
    /// What is said.
    pub say: Text,
    /// How loudly.
    pub urgency: Urgency,
    /// Where it comes from.
    pub source: String,
    /// An order that it offers.
    pub order: Option<RuleOrder>,
}

/// An order that a rule offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleOrder {
    /// System and code of the drug.
    pub codes: Vec<crate::patient::needs::Code>,
    /// The drug.
    pub text: Text,
    /// How it is given, in words.
    pub dosage: Option<Text>,
}
