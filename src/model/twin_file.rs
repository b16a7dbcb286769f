//! The clinician's file, `twin.toml`: the decision, whom it is for, what is read from the record, the treatments that
//! can be simulated, goals and harms, wording. Read strictly: an unknown key, a wrong type or a name that points
//! nowhere is an error with file, line and column.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use serde::Deserialize;
use toml::Spanned;

pub use super::table::FileError as TwinFileError;
use crate::patient::needs::{ATC, AssumedInfusion, Code, Drug, Flag, LOINC, Measured, Needs, RXNORM, SNOMED, UseAs};

/// System of ICD-10-CM.
const ICD10: &str = "http://hl7.org/fhir/sid/icd-10-cm";
/// System of ICD-10-PCS.
const ICD10_PCS: &str = "http://www.cms.gov/Medicare/Coding/ICD10";
/// System of CPT.
const CPT: &str = "http://www.ama-assn.org/go/cpt";
/// System of the international ICD-10.
const ICD10_WHO: &str = "http://hl7.org/fhir/sid/icd-10";

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

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    twin: RawTwin,
    #[serde(default)]
    applies: Vec<Applies>,
    #[serde(default)]
    refuse: Vec<Spanned<Refuse>>,
    #[serde(default)]
    unstable: Vec<Spanned<RawUnstable>>,
    #[serde(default)]
    caution: Vec<Spanned<Caution>>,
    person: RawPerson,
    record: BTreeMap<String, RawMeasured>,
    #[serde(default)]
    flag: BTreeMap<String, RawFlag>,
    treatment: RawTreatment,
    level: RawLevel,
    goal: Spanned<Goal>,
    harm: Spanned<Harm>,
    advice: AdviceRules,
    #[serde(default, rename = "override")]
    overrides: Vec<OverrideReason>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTwin {
    id: Spanned<String>,
    version: String,
    status: Status,
    title: Text,
    name: Text,
    about: Text,
    models: Spanned<Vec<String>>,
    link: Spanned<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPerson {
    age: String,
    female: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawMeasured {
    title: Text,
    #[serde(default)]
    optional: bool,
    #[serde(default)]
    observed: bool,
    loinc: Spanned<Vec<String>>,
    unit: String,
    molar_mass: Option<f64>,
    plausible: Option<[f64; 2]>,
    within: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFlag {
    title: Text,
    #[serde(default)]
    optional: bool,
    #[serde(default)]
    snomed: Vec<String>,
    #[serde(default)]
    icd10: Vec<String>,
    #[serde(default)]
    icd10pcs: Vec<String>,
    #[serde(default)]
    cpt: Vec<String>,
    within: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawUnstable {
    input: String,
    within: Spanned<String>,
    change: f64,
    say: Text,
    help: Text,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTreatment {
    name: Text,
    #[serde(default)]
    rxnorm: Vec<String>,
    #[serde(default)]
    atc: Vec<String>,
    #[serde(default)]
    synonyms: Vec<String>,
    #[serde(default)]
    routes: Vec<String>,
    route: Option<Route>,
    unit: String,
    dose: Spanned<Vec<f64>>,
    every: Vec<Spanned<String>>,
    infusion: RawInfusion,
    daily_max: f64,
    single_max: f64,
    loading: Option<Loading>,
    recent: Spanned<String>,
    history: Spanned<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawInfusion {
    hours_per_unit: f64,
    at_least: Spanned<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawLevel {
    not_before: Spanned<String>,
    misfit: f64,
    order_loinc: String,
}

/// Turns byte offsets into errors with line and column.
struct Place<'a> {
    file: &'a str,
    text: &'a str,
}

impl Place<'_> {
    fn error(&self, offset: usize, message: impl Into<String>) -> TwinFileError {
        let before = self.text.get(..offset.min(self.text.len())).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        TwinFileError {
            file: self.file.to_owned(),
            line,
            column,
            message: message.into(),
            help: None,
        }
    }

    /// `48 h`, `30 min`, `7 d`.
    fn duration(&self, text: &Spanned<String>) -> Result<SignedDuration, TwinFileError> {
        let wrong = || {
            let message = format!(
                "\"{}\" is not a length of time: write a number and min, h or d, as \"48 h\"",
                text.get_ref()
            );
            self.error(text.span().start, message)
        };
        let (number, unit) = text.get_ref().trim().split_once(' ').ok_or_else(wrong)?;
        let number: f64 = number.parse().map_err(|_| wrong())?;
        let minutes = match unit.trim() {
            "min" => number,
            "h" => number * 60.0,
            "d" => number * 1440.0,
            _ => return Err(wrong()),
        };
        if !minutes.is_finite() || !(0.0..=5_256_000.0).contains(&minutes) {
            return Err(wrong());
        }
        Ok(SignedDuration::from_secs_f64((minutes * 60.0).round()))
    }
}

fn hours(duration: SignedDuration) -> f64 {
    duration.as_secs_f64() / 3600.0
}

fn coded(system: &str, codes: Vec<String>) -> impl Iterator<Item = Code> {
    codes.into_iter().map(move |code| Code {
        system: system.to_owned(),
        code,
    })
}

impl TwinFile {
    /// Reads a file.
    ///
    /// # Errors
    /// [`TwinFileError`] with the place of the first thing that is wrong.
    pub fn parse(file: &str, text: &str) -> Result<Self, TwinFileError> {
        let place = Place { file, text };
        let raw: Raw = toml::from_str(text)
            .map_err(|e| place.error(e.span().map_or(0, |s| s.start), e.message().trim().replace('\n', "; ")))?;
        Self::check(raw, &place)
    }

    fn check(raw: Raw, place: &Place<'_>) -> Result<Self, TwinFileError> {
        let id_span = raw.twin.id.span().start;
        let id = raw.twin.id.into_inner();
        if id.is_empty()
            || !id
                .chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
        {
            let message = format!("id \"{id}\" becomes part of a URL: use lower-case letters, digits and hyphens only");
            return Err(place.error(id_span, message));
        }
        if raw.twin.models.get_ref().is_empty() {
            return Err(place.error(raw.twin.models.span().start, "at least one model must vote"));
        }
        if !raw.twin.link.get_ref().starts_with("https://") {
            return Err(place.error(raw.twin.link.span().start, "link must be an absolute https URL"));
        }
        let mut named = BTreeMap::new();
        let mut measured = Vec::new();
        for (name, item) in raw.record {
            if item.loinc.get_ref().is_empty() {
                return Err(place.error(item.loinc.span().start, format!("[record.{name}] has no LOINC code")));
            }
            let within = item.within.as_ref().map(|w| place.duration(w)).transpose()?;
            measured.push(Measured {
                name: name.clone(),
                codes: coded(LOINC, item.loinc.into_inner()).collect(),
                unit: item.unit,
                molar_mass: item.molar_mass,
                plausible: item.plausible.map(|[low, high]| (low, high)),
                within,
                use_as: if item.observed {
                    UseAs::Observation
                } else {
                    UseAs::Covariate
                },
            });
            named.insert(
                name,
                Named {
                    title: item.title,
                    optional: item.optional || item.observed,
                },
            );
        }
        let mut flags = Vec::new();
        for (name, item) in raw.flag {
            let within = item.within.as_ref().map(|w| place.duration(w)).transpose()?;
            let codes = coded(SNOMED, item.snomed)
                .chain(coded(ICD10, item.icd10.clone()))
                .chain(coded(ICD10_WHO, item.icd10))
                .chain(coded(ICD10_PCS, item.icd10pcs))
                .chain(coded(CPT, item.cpt))
                .collect();
            flags.push(Flag {
                name: name.clone(),
                codes,
                within,
            });
            named.insert(
                name,
                Named {
                    title: item.title,
                    optional: item.optional,
                },
            );
        }
        for refuse in &raw.refuse {
            let flag = &refuse.get_ref().flag;
            if !flags.iter().any(|f| &f.name == flag) {
                return Err(place.error(
                    refuse.span().start,
                    format!("flag \"{flag}\" is not defined: add [flag.{flag}]"),
                ));
            }
        }
        let known = |input: &str| measured.iter().any(|m| m.name == input);
        for caution in &raw.caution {
            let input = &caution.get_ref().input;
            if !known(input) {
                return Err(place.error(
                    caution.span().start,
                    format!("\"{input}\" is not measured: add [record.{input}]"),
                ));
            }
        }
        let mut unstable = Vec::new();
        for rule in raw.unstable {
            let start = rule.span().start;
            let rule = rule.into_inner();
            if !known(&rule.input) {
                let message = format!("\"{0}\" is not measured: add [record.{0}]", rule.input);
                return Err(place.error(start, message));
            }
            let within = place.duration(&rule.within)?;
            unstable.push(Unstable {
                input: rule.input,
                within,
                change: rule.change,
                say: rule.say,
                help: rule.help,
            });
        }
        let treatment = raw.treatment;
        let doses = treatment.dose.get_ref();
        let ascending = doses.iter().zip(doses.iter().skip(1)).all(|(a, b)| a < b);
        if doses.is_empty() || !ascending || doses.iter().any(|d| !(d.is_finite() && *d > 0.0)) {
            return Err(place.error(treatment.dose.span().start, "doses must be positive and ascending"));
        }
        let mut every = Vec::new();
        for interval in &treatment.every {
            let length = hours(place.duration(interval)?);
            if length <= 0.0 {
                return Err(place.error(interval.span().start, "an interval must be longer than nothing"));
            }
            every.push(length);
        }
        let infusion = AssumedInfusion {
            hours_per_unit: treatment.infusion.hours_per_unit,
            at_least: hours(place.duration(&treatment.infusion.at_least)?),
        };
        for (what, span, [low, high]) in [
            ("goal", raw.goal.span(), raw.goal.get_ref().within),
            (
                "harm",
                raw.harm.span(),
                [raw.harm.get_ref().above, raw.harm.get_ref().blocked_above],
            ),
        ] {
            if !(low.is_finite() && high.is_finite() && low <= high) {
                return Err(place.error(span.start, format!("[{what}]: {low} must not exceed {high}")));
            }
        }
        let codes: Vec<Code> = coded(RXNORM, treatment.rxnorm)
            .chain(coded(ATC, treatment.atc))
            .collect();
        let needs = Needs {
            measured,
            flags,
            drug: Some(Drug {
                name: treatment.name.en.clone(),
                codes: codes.clone(),
                synonyms: treatment.synonyms,
                unit: treatment.unit.clone(),
                routes: treatment.routes,
            }),
            history: place.duration(&treatment.history)?,
            assumed_infusion: infusion,
        };
        Ok(Self {
            id,
            version: raw.twin.version,
            status: raw.twin.status,
            title: raw.twin.title,
            name: raw.twin.name,
            about: raw.twin.about,
            models: raw.twin.models.into_inner(),
            link: raw.twin.link.into_inner(),
            applies: raw.applies,
            refuse: raw.refuse.into_iter().map(Spanned::into_inner).collect(),
            unstable,
            cautions: raw.caution.into_iter().map(Spanned::into_inner).collect(),
            age_input: raw.person.age,
            female_input: raw.person.female,
            needs,
            named,
            treatment: Treatment {
                name: treatment.name,
                codes,
                route: treatment.route,
                dose: treatment.dose.into_inner(),
                unit: treatment.unit,
                every,
                infusion,
                daily_max: treatment.daily_max,
                single_max: treatment.single_max,
                loading: treatment.loading,
                recent: place.duration(&treatment.recent)?,
            },
            level: Level {
                not_before: place.duration(&raw.level.not_before)?,
                misfit: raw.level.misfit,
                order_loinc: raw.level.order_loinc,
            },
            goal: raw.goal.into_inner(),
            harm: raw.harm.into_inner(),
            advice: raw.advice,
            overrides: raw.overrides,
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    const VANCOMYCIN: &str = include_str!("../../models/vancomycin/twin.toml");

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
