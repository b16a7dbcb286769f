//! From the text of `twin.toml` to the checked file.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use serde::Deserialize;
use toml::Spanned;

use super::{
    AdviceRules, Applies, Caution, Goal, Harm, Level, Loading, Named, OverrideReason, Refuse, Route, Status, Text,
    Treatment, TwinFile, TwinFileError, Unstable,
};
use crate::patient::needs::{ATC, AssumedInfusion, Code, Drug, Flag, LOINC, Measured, Needs, RXNORM, SNOMED, UseAs};

/// System of ICD-10-CM.
const ICD10: &str = "http://hl7.org/fhir/sid/icd-10-cm";
/// System of ICD-10-PCS.
const ICD10_PCS: &str = "http://www.cms.gov/Medicare/Coding/ICD10";
/// System of CPT.
const CPT: &str = "http://www.ama-assn.org/go/cpt";
/// System of the international ICD-10.
const ICD10_WHO: &str = "http://hl7.org/fhir/sid/icd-10";

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

/// Reads a file.
pub(super) fn read(file: &str, text: &str) -> Result<TwinFile, TwinFileError> {
    let place = Place { file, text };
    let raw: Raw = toml::from_str(text)
        .map_err(|e| place.error(e.span().map_or(0, |s| s.start), e.message().trim().replace('\n', "; ")))?;
    check(raw, &place)
}

fn check(raw: Raw, place: &Place<'_>) -> Result<TwinFile, TwinFileError> {
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
    Ok(TwinFile {
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
