//! The clinician's file, `twin.toml`: the decision, whom it is for, what is read from the record, the treatments that
//! can be simulated, goals and harms, rules, wording, the model card. Read strictly: an unknown key, a wrong type or a name that
//! points nowhere is an error with file, line and column.

mod card;
mod goals;
mod read;
mod treatment;

use std::collections::BTreeMap;

use jiff::SignedDuration;
use serde::Deserialize;

pub use super::table::FileError as TwinFileError;
use crate::{model::formula::Formula, patient::needs::Needs};
pub use card::{ATTRIBUTES, ModelCard};
pub use goals::{Goal, Harm, Limits, Measure, Range, Rule, RuleOrder, RulePlan, Since, Take, Urgency, Window};
pub use treatment::{Doses, Enters, Loading, Route, Schedule, Treatment};

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

/// Which moment is time 0 of the models.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Origin {
    /// The first dose or observed value of the record.
    #[default]
    FirstRecord,
    /// The first dose of the record; now, when there is none.
    FirstDose,
    /// Such that the newest value of a record item is the time of the models when it was recorded (gestational age).
    Input {
        /// The item.
        item: String,
        /// Hours in its unit.
        hours: f64,
    },
}

/// A limit beyond which the twin refuses.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Applies {
    /// A value at hand (`age`, `wt`).
    pub input: String,
    /// Lowest and highest value, in its unit.
    pub range: [f64; 2],
    /// Where the limit comes from.
    pub source: String,
}

/// Something that makes the twin refuse.
#[derive(Debug, Clone, PartialEq)]
pub struct Refuse {
    /// When.
    pub when: Formula,
    /// The flag that it is about, if it is about one.
    pub flag: Option<String>,
    /// What is wrong.
    pub say: Text,
    /// What would help; the local guideline, when not said.
    pub help: Option<Text>,
    /// How loudly it is said.
    pub urgency: Urgency,
}

/// A covariate that must not have moved too fast.
#[derive(Debug, Clone, PartialEq)]
pub struct Unstable {
    /// A measured covariate.
    pub input: String,
    /// Window before now.
    pub within: SignedDuration,
    /// Relative change from an earlier to a later value that is too much (0.5 = 50 %).
    pub change: f64,
    /// What is wrong.
    pub say: Text,
    /// What would help.
    pub help: Text,
    /// How loudly it is said.
    pub urgency: Urgency,
}

/// Something to add to the card.
#[derive(Debug, Clone, PartialEq)]
pub struct Caution {
    /// When.
    pub when: Cautioned,
    /// What to say.
    pub say: Text,
    /// Whether it is said even when the plan is on target.
    pub loud: bool,
}

/// When a caution holds.
#[derive(Debug, Clone, PartialEq)]
pub enum Cautioned {
    /// While this holds.
    When(Formula),
    /// While nothing is known of this record item or category.
    Missing(String),
}

/// A test that must have been negative before an order is offered with one click.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Screen {
    /// Name of a flag with tests.
    pub flag: String,
    /// What is missing.
    pub say: Text,
    /// What would help.
    pub help: Text,
}

/// An input computed from others.
#[derive(Debug, Clone, PartialEq)]
pub struct Derived {
    /// Name in the models.
    pub name: String,
    /// UCUM unit.
    pub unit: String,
    /// How it is computed.
    pub is: Formula,
    /// What cards call it; not shown when absent.
    pub title: Option<Text>,
}

/// Which values of a record item the models are given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Use {
    /// The newest that is fresh.
    #[default]
    Newest,
    /// The newest before the first dose; the newest, when there is no dose.
    Baseline,
    /// Each from its time on.
    Each,
}

/// What a record item is to the models.
#[derive(Debug, Clone, PartialEq)]
pub enum Role {
    /// An input, or only read by formulas.
    Covariate(Use),
    /// An observation of the output of the same name.
    Observed {
        /// For a drug level: values sooner than this after the end of a dose are left out, and so are those before any
        /// dose.
        not_before: Option<SignedDuration>,
        /// LOINC code of the order for a new one.
        order_loinc: Option<String>,
    },
}

/// A value computed from others of the same time.
#[derive(Debug, Clone, PartialEq)]
pub struct Score {
    /// How, over the items it is computed from.
    pub is: Formula,
    /// The items; the first gives time and source.
    pub from: Vec<String>,
    /// How far apart in time they may lie.
    pub apart: SignedDuration,
}

/// A record item beyond how it is read: [`Needs::measured`] has that.
#[derive(Debug, Clone, PartialEq)]
pub struct Item {
    /// Name in the file.
    pub name: String,
    /// What it is to the models.
    pub role: Role,
    /// How it is computed where it is not recorded.
    pub score: Option<Score>,
}

/// A flag that is decided by the code under which an item was recorded, for example an assay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedAs {
    /// The flag.
    pub flag: String,
    /// The item.
    pub item: String,
    /// Codes that make it true; any other makes it false.
    pub codes: Vec<crate::patient::needs::Code>,
}

/// When a card is shown and when an option is recommended.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdviceRules {
    /// An option is recommended only when its score beats the present plan's by this.
    pub margin: f64,
    /// When no card is needed.
    pub quiet: Quiet,
    /// Whether plans are also judged on their first 24 hours while no dose has been given.
    #[serde(default)]
    pub first_day: bool,
    /// A weighted residual beyond this in every model contradicts the dosing history.
    #[serde(default = "misfit")]
    pub misfit: f64,
}

fn misfit() -> f64 {
    3.0
}

/// The present plan is on target.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quiet {
    /// Chance of the first goal at least.
    pub goal: f64,
    /// Chance of each harm at most.
    pub harm: f64,
}

/// What is drawn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// Output of the models.
    pub output: String,
    /// How far ahead.
    pub ahead: SignedDuration,
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

/// What cards call something, and whether the twin can do without.
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
    /// How many parameter sets are simulated, when not as many as the server's settings say.
    pub draws: Option<usize>,
    /// Time 0 of the models.
    pub origin: Origin,
    /// The model card.
    pub card: ModelCard,
    /// Limits on inputs.
    pub applies: Vec<Applies>,
    /// What refuses.
    pub refuse: Vec<Refuse>,
    /// Covariates that must be stable.
    pub unstable: Vec<Unstable>,
    /// Things to add.
    pub cautions: Vec<Caution>,
    /// Tests without which nothing is offered with one click.
    pub screens: Vec<Screen>,
    /// Inputs computed from others, in order.
    pub derived: Vec<Derived>,
    /// Input that takes the age in years.
    pub age_input: Option<String>,
    /// Input that takes 1 for female, 0 for male.
    pub female_input: Option<String>,
    /// What is read from the record.
    pub needs: Needs,
    /// What record items are to the models, in the order of [`Needs::measured`].
    pub items: Vec<Item>,
    /// Flags decided by the code of a record item.
    pub recorded_as: Vec<RecordedAs>,
    /// Titles of record items, categories and flags by name.
    pub named: BTreeMap<String, Named>,
    /// Candidates.
    pub treatment: Treatment,
    /// Numbers taken from simulated courses.
    pub measures: Vec<Measure>,
    /// Goals; the first is the one that headlines name.
    pub goals: Vec<Goal>,
    /// Harms.
    pub harms: Vec<Harm>,
    /// Rules of policy.
    pub rules: Vec<Rule>,
    /// Rules of advice.
    pub advice: AdviceRules,
    /// What is drawn.
    pub picture: Picture,
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

    /// What cards call a record item, category or flag; its name in the file when that says nothing.
    #[must_use]
    pub fn title<'a>(&'a self, name: &'a str, language: &str) -> &'a str {
        self.named.get(name).map_or(name, |n| n.title.get(language))
    }

    /// What a record item is to the models.
    #[must_use]
    pub fn item(&self, name: &str) -> Option<&Item> {
        self.items.iter().find(|i| i.name == name)
    }

    /// The items that are observations of the models' outputs.
    pub fn observed(&self) -> impl Iterator<Item = &Item> {
        self.items.iter().filter(|i| matches!(i.role, Role::Observed { .. }))
    }

    /// The first goal, which headlines name, with its measure. There is always one.
    #[must_use]
    pub fn headline(&self) -> Option<(&Goal, &Measure)> {
        let goal = self.goals.first()?;
        Some((goal, self.measures.get(goal.measure)?))
    }

    /// The measured output that the twin is about for its reader: that of the picture when it is observed, else the first that is.
    #[must_use]
    pub fn level(&self) -> Option<&Item> {
        self.observed()
            .find(|i| i.name == self.picture.output)
            .or_else(|| self.observed().next())
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
        let every: Vec<f64> = twin.treatment.every.iter().map(Schedule::interval).collect();
        assert_eq!(every, [12.0, 8.0, 24.0, 48.0]);
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
        assert!(e.message.contains("number and min, h, d or wk"), "{e}");
    }

    #[test]
    fn a_model_card_lacks_nothing() {
        let e = broken("[card.intended]\nuse        = ", "[card.intended]\nuses       = ");
        assert!(e.message.contains("intended.use"), "{e}");
        let e = broken("funding   = ", "founding  = ");
        assert!(e.message.contains("funding"), "{e}");
        let e = broken(
            "outcomes          = \"unknown: no study of outcomes with this software\"",
            "outcomes = \"unknown\"",
        );
        assert!(e.message.contains("without a reason"), "{e}");
        let twin = TwinFile::parse("twin.toml", VANCOMYCIN).unwrap();
        assert_eq!(twin.card.attributes().count(), ATTRIBUTES.len());
    }

    #[test]
    fn formulas_are_read_with_the_file() {
        let e = broken("when  = \"mic > 1\"", "when  = \"mci > 1\"");
        assert!(e.message.contains("mci"), "{e}");
        let e = broken("within  = [400, 600]", "within  = [400, \"600 +\"]");
        assert!(e.message.contains("600 +"), "{e}");
        let text = VANCOMYCIN.replacen(
            "within  = [400, 600]",
            "within  = [\"if (wt > 100) 450 else 400\", 600]",
            1,
        );
        let twin = TwinFile::parse("twin.toml", &text).unwrap();
        let low = |wt: f64| {
            twin.goals[0]
                .within
                .limits(&[("wt".to_owned(), wt)].into())
                .unwrap()
                .low
        };
        assert_eq!((low(120.0), low(80.0)), (450.0, 400.0));
        let nothing = crate::model::formula::Values::new();
        assert!(
            twin.goals[0].within.limits(&nothing).is_none(),
            "without a weight there is no target"
        );
    }

    #[test]
    fn what_contradicts_itself_is_refused() {
        for (from, to, says) in [
            (
                "measure = \"auc24\"\nwithin",
                "measure = \"auc\"\nwithin",
                "measure \"auc\" is not defined",
            ),
            ("take   = \"last\"", "take   = \"time_below\"", "need a level"),
            (
                "steady = true\nunit   = \"mg.h/L\"",
                "steady = true\nto = \"5 d\"\nunit   = \"mg.h/L\"",
                "either steady",
            ),
            (
                "blocked_above = 650",
                "blocked_above = 650\nblocked_below = 1",
                "not both",
            ),
            ("above   = 600\n", "", "above or below"),
            ("dose     = [500,", "share = [1]\ndose     = [500,", "needs dose"),
            (
                "[[harm]]",
                "[[rule]]\nsay = { en = \"a\", fr = \"b\" }\nsource = \"x\"\n[[harm]]",
                "a measure or when",
            ),
            (
                "[record.mic]",
                "[record.WT]\ntitle = { en = \"a\", fr = \"b\" }\nloinc = [\"1\"]\nunit = \"kg\"\n[record.mic]",
                "capital letters",
            ),
        ] {
            let e = broken(from, to);
            assert!(e.message.contains(says), "{says}: {e}");
        }
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
