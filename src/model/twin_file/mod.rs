//! The clinician's file, `twin.toml`: the decision, whom it is for, what is read from the record, the treatments that
//! can be simulated, goals and harms, wording. Read strictly: an unknown key, a wrong type or a name that points
//! nowhere is an error with file, line and column.

mod read;

use std::collections::BTreeMap;

use jiff::SignedDuration;
use serde::Deserialize;

pub use super::table::FileError as TwinFileError;
use crate::patient::needs::{AssumedInfusion, Code, Needs};

/// A text in the languages that cards speak.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Text {
    /// English.
    pub en: String,
    /// French.
    pub fr: String,
}

impl Text {
    /// The text in `language` (`fr`), English otherwise.
    #[must_use]
    pub fn get(&self, language: &str) -> &str {
        if language == "fr" { &self.fr } else { &self.en }
    }
}

/// How far the twin may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Served.
    Active,
    /// Served, and every card says that it is investigational.
    Investigational,
    /// Never served.
    Draft,
}

/// A limit on an input beyond which the twin refuses.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Applies {
    /// Input of the models (`age`, `wt`).
    pub input: String,
    /// Lowest and highest value, in the input's unit.
    pub range: [f64; 2],
    /// Where the limit comes from.
    pub source: String,
}

/// A flag that makes the twin refuse.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Refuse {
    /// Name of a `[flag.…]`.
    pub flag: String,
    /// What is wrong.
    pub say: Text,
    /// What would help.
    pub help: Text,
}

/// A covariate that must not have moved too fast.
#[derive(Debug, Clone, PartialEq)]
pub struct Unstable {
    /// A measured covariate.
    pub input: String,
    /// Window before now.
    pub within: SignedDuration,
    /// Relative change from lowest to highest that is too much (0.5 = 50 %).
    pub change: f64,
    /// What is wrong.
    pub say: Text,
    /// What would help.
    pub help: Text,
}

/// Something to add to the card when a measured value is high.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Caution {
    /// A measured covariate.
    pub input: String,
    /// Said above this value.
    pub above: f64,
    /// What to say.
    pub say: Text,
}

/// Doses and intervals to be compared.
#[derive(Debug, Clone, PartialEq)]
pub struct Treatment {
    /// Name of the drug for cards and orders.
    pub name: Text,
    /// System and code of the drug, for orders.
    pub codes: Vec<Code>,
    /// Route, for orders.
    pub route: Option<Route>,
    /// Doses, ascending, in `unit`.
    pub dose: Vec<f64>,
    /// UCUM unit of a dose.
    pub unit: String,
    /// Intervals in hours, preferred first.
    pub every: Vec<f64>,
    /// Length of an infusion.
    pub infusion: AssumedInfusion,
    /// Highest dose a day, in `unit`.
    pub daily_max: f64,
    /// Highest single dose, in `unit`.
    pub single_max: f64,
    /// Loading dose, when the drug has one.
    pub loading: Option<Loading>,
    /// A dose this recent, or an active order, means that the patient is on treatment.
    pub recent: SignedDuration,
}

/// Route written into draft orders.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// In words.
    pub text: Text,
    /// SNOMED CT code.
    pub snomed: Option<String>,
}

/// Loading dose by body weight.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Loading {
    /// Input that it is multiplied with (`wt`).
    pub input: String,
    /// Doses per kilogram to be compared.
    pub per_kg: Vec<f64>,
    /// Rounded to a multiple of this.
    pub round_to: f64,
    /// Never more than this.
    pub max: f64,
}

/// What makes a level unusable, and how to order one.
#[derive(Debug, Clone, PartialEq)]
pub struct Level {
    /// A level drawn sooner than this after the end of an infusion is left out.
    pub not_before: SignedDuration,
    /// A weighted residual beyond this in every model contradicts the dosing history.
    pub misfit: f64,
    /// LOINC code of the order for a new level.
    pub order_loinc: String,
}

/// What can be measured on a simulated course.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Measure {
    /// Area under the curve over 24 h at steady state.
    Auc24,
    /// Highest value over an interval at steady state.
    Peak,
    /// Value at the end of an interval at steady state.
    Trough,
}

impl Measure {
    /// As written in the file.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Auc24 => "auc24",
            Self::Peak => "peak",
            Self::Trough => "trough",
        }
    }
}

/// The goal of treatment.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Goal {
    /// What is measured.
    pub measure: Measure,
    /// Output of the models.
    pub output: String,
    /// Target range.
    pub within: [f64; 2],
    /// UCUM unit of the measure.
    pub unit: String,
    /// Short name.
    pub label: Text,
    /// Guideline.
    pub source: String,
}

/// The harm that is weighed against the goal.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Harm {
    /// What is measured.
    pub measure: Measure,
    /// Output of the models.
    pub output: String,
    /// Harm is counted above this.
    pub above: f64,
    /// An option whose median exceeds this is never suggested.
    pub blocked_above: f64,
    /// Weight in the score.
    pub weight: f64,
    /// The harm, in words.
    pub label: Text,
    /// Guideline.
    pub source: String,
}

/// When a card is shown and when an option is recommended.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdviceRules {
    /// An option is recommended only when its score beats the present plan's by this.
    pub margin: f64,
    /// When no card is needed.
    pub quiet: Quiet,
}

/// The present plan is on target.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quiet {
    /// Chance of the goal at least.
    pub goal: f64,
    /// Chance of harm at most.
    pub harm: f64,
}

/// A reason that clinicians may give for not following a card.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OverrideReason {
    /// Stable code.
    pub code: String,
    /// In words.
    pub say: Text,
}

/// A record item with what cards call it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// For cards.
    pub title: Text,
    /// Whether the twin can do without.
    pub optional: bool,
}

/// The checked contents of one `twin.toml`.
#[derive(Debug, Clone, PartialEq)]
pub struct TwinFile {
    /// Id, part of service ids.
    pub id: String,
    /// Semantic version of the file.
    pub version: String,
    /// How far it may be used.
    pub status: Status,
    /// Long title.
    pub title: Text,
    /// Short name that starts a summary.
    pub name: Text,
    /// What it decides.
    pub about: Text,
    /// Ids of the models that vote, files of that name beside this one.
    pub models: Vec<String>,
    /// Guideline or paper that cards link to.
    pub link: String,
    /// Limits on inputs.
    pub applies: Vec<Applies>,
    /// Flags that refuse.
    pub refuse: Vec<Refuse>,
    /// Covariates that must be stable.
    pub unstable: Vec<Unstable>,
    /// Things to add.
    pub cautions: Vec<Caution>,
    /// Input that takes the age in years.
    pub age_input: String,
    /// Input that takes 1 for female, 0 for male.
    pub female_input: String,
    /// What is read from the record.
    pub needs: Needs,
    /// Titles of record items and flags by name.
    pub named: BTreeMap<String, Named>,
    /// Candidates.
    pub treatment: Treatment,
    /// Rules about levels.
    pub level: Level,
    /// Goal.
    pub goal: Goal,
    /// Harm.
    pub harm: Harm,
    /// Rules of advice.
    pub advice: AdviceRules,
    /// Override reasons.
    pub overrides: Vec<OverrideReason>,
}

impl TwinFile {
    /// Reads a file.
    ///
    /// # Errors
    /// [`TwinFileError`] with the place of the first thing that is wrong.
    pub fn parse(file: &str, text: &str) -> Result<Self, TwinFileError> {
        read::read(file, text)
    }

    /// UCUM unit of a record item; empty when there is none of that name.
    #[must_use]
    pub fn unit(&self, name: &str) -> &str {
        self.needs
            .measured
            .iter()
            .find(|m| m.name == name)
            .map_or("", |m| m.unit.as_str())
    }

    /// What cards call a record item or flag; its name in the file when that says nothing.
    #[must_use]
    pub fn title<'a>(&'a self, name: &'a str, language: &str) -> &'a str {
        self.named.get(name).map_or(name, |n| n.title.get(language))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VANCOMYCIN: &str = include_str!("../../../models/vancomycin/twin.toml");

    fn broken(from: &str, to: &str) -> TwinFileError {
        assert!(VANCOMYCIN.contains(from), "the test edits text that is there");
        TwinFile::parse("twin.toml", &VANCOMYCIN.replacen(from, to, 1)).unwrap_err()
    }

    #[test]
    fn the_shipped_file_is_read() {
        let twin = TwinFile::parse("twin.toml", VANCOMYCIN).unwrap();
        assert_eq!(twin.models, ["goti-2018", "thomson-2009", "colin-2019"]);
        assert_eq!(twin.treatment.every, [12.0, 8.0, 24.0, 48.0]);
        assert_eq!(twin.needs.measured.len(), 4);
        assert!(twin.named["C"].optional && !twin.named["scr"].optional);
    }

    #[test]
    fn an_unknown_key_is_named_with_its_place() {
        let e = broken("margin = 0.10", "margins = 0.10");
        assert!(e.message.contains("margins"), "{e}");
        let line = VANCOMYCIN.lines().position(|l| l.starts_with("margin")).unwrap() + 1;
        assert_eq!((e.line, e.column), (line, 1));
    }

    #[test]
    fn a_flag_that_is_not_defined_is_an_error() {
        let e = broken("flag = \"pregnant\"", "flag = \"pregnnt\"");
        assert!(e.message.contains("pregnnt"), "{e}");
    }

    #[test]
    fn a_length_of_time_needs_its_unit() {
        let e = broken("recent   = \"72 h\"", "recent   = \"72\"");
        assert!(e.message.contains("number and min, h or d"), "{e}");
    }

    #[test]
    fn doses_must_ascend() {
        let e = broken("[500, 750,", "[750, 500,");
        assert!(e.message.contains("ascending"), "{e}");
    }

    #[test]
    fn an_id_must_fit_in_a_url() {
        let e = broken("id      = \"vancomycin\"", "id      = \"Vanco mycin\"");
        assert!(e.message.contains("URL"), "{e}");
    }
}
