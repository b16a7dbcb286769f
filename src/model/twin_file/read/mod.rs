//! From the text of `twin.toml` to the checked file.

mod goals;
mod place;
mod record;
mod treatment;

use std::collections::BTreeMap;

use jiff::SignedDuration;
use serde::Deserialize;
use toml::Spanned;

use self::{
    goals::{RawGoal, RawHarm, RawMeasure, RawRule},
    place::Place,
    record::{RawFlag, RawGenotype, RawMeasured, RawPerson, Record},
};
use super::{
    AdviceRules, Applies, Caution, Cautioned, Derived, ModelCard, Origin, OverrideReason, Picture, Refuse, Screen,
    Status, Text, TwinFile, TwinFileError, Unstable, Urgency, card,
};
use crate::{lang::Unit, model::table::Source, patient::needs::Needs};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    twin: RawTwin,
    card: Spanned<BTreeMap<String, card::Raw>>,
    #[serde(default)]
    applies: Vec<Spanned<Applies>>,
    #[serde(default)]
    refuse: Vec<Spanned<RawRefuse>>,
    #[serde(default)]
    unstable: Vec<Spanned<RawUnstable>>,
    #[serde(default)]
    caution: Vec<Spanned<RawCaution>>,
    #[serde(default)]
    screen: Vec<Spanned<RawScreen>>,
    #[serde(default)]
    derived: Vec<RawDerived>,
    #[serde(default)]
    person: RawPerson,
    #[serde(default)]
    record: BTreeMap<String, RawMeasured>,
    #[serde(default)]
    genotype: BTreeMap<String, RawGenotype>,
    #[serde(default)]
    flag: BTreeMap<String, RawFlag>,
    treatment: treatment::Raw,
    measure: BTreeMap<String, Spanned<RawMeasure>>,
    goal: Vec<Spanned<RawGoal>>,
    #[serde(default)]
    harm: Vec<Spanned<RawHarm>>,
    #[serde(default)]
    rule: Vec<Spanned<RawRule>>,
    advice: AdviceRules,
    picture: Option<RawPicture>,
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
    draws: Option<Spanned<usize>>,
    origin: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRefuse {
    flag: Option<String>,
    when: Option<Spanned<String>>,
    say: Text,
    help: Option<Text>,
    #[serde(default)]
    urgency: Urgency,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawUnstable {
    input: String,
    within: Spanned<String>,
    change: f64,
    say: Text,
    help: Text,
    #[serde(default)]
    urgency: Urgency,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCaution {
    when: Option<Spanned<String>>,
    missing: Option<String>,
    say: Text,
    #[serde(default)]
    loud: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawScreen {
    flag: String,
    say: Text,
    help: Text,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawDerived {
    name: Spanned<String>,
    unit: String,
    is: Spanned<String>,
    title: Option<Text>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPicture {
    output: Spanned<String>,
    ahead: Spanned<String>,
}

/// Reads a file.
pub(super) fn read(file: &str, text: &str) -> Result<TwinFile, TwinFileError> {
    let place = Place {
        source: Source { file, text },
    };
    let raw: Raw = toml::from_str(text)
        .map_err(|e| place.error(e.span().map_or(0, |s| s.start), e.message().trim().replace('\n', "; ")))?;
    check(raw, &place)
}

fn check(raw: Raw, place: &Place<'_>) -> Result<TwinFile, TwinFileError> {
    let twin = raw.twin;
    let id_span = twin.id.span().start;
    let id = twin.id.into_inner();
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if id.is_empty() || !id.chars().all(plain) {
        let message = format!("id \"{id}\" becomes part of a URL: use lower-case letters, digits and hyphens only");
        return Err(place.error(id_span, message));
    }
    if twin.models.get_ref().is_empty() {
        return Err(place.error(twin.models.span().start, "at least one model must vote"));
    }
    if !twin.link.get_ref().starts_with("https://") {
        return Err(place.error(twin.link.span().start, "link must be an absolute https URL"));
    }
    if let Some(draws) = twin.draws.as_ref().filter(|d| !(100..=10_000).contains(d.get_ref())) {
        return Err(place.error(draws.span().start, "draws must lie between 100 and 10000"));
    }
    let card = ModelCard::read(raw.card.get_ref()).map_err(|m| place.error(raw.card.span().start, m))?;

    let mut record = Record::default();
    record.person(&raw.person);
    record.measured(place, raw.record)?;
    record.genotypes(place, raw.genotype)?;
    record.flags(place, raw.flag)?;
    let mut derived = Vec::new();
    for item in raw.derived {
        derived.push(Derived {
            is: record.derived(place, &item.name, &item.is)?,
            name: item.name.into_inner(),
            unit: item.unit,
            title: item.title,
        });
    }
    let names = &record.names;
    let origin = twin
        .origin
        .map_or(Ok(Origin::default()), |text| origin(place, &text, &record))?;
    let treatment = treatment::read(place, raw.treatment, names)?;
    let known = |at: usize, input: &str| {
        if names.contains(input) {
            return Ok(());
        }
        let message = format!("nothing provides \"{input}\": add [record.{input}], [flag.{input}] or [[derived]]");
        Err(place.error(at, message))
    };
    for limit in &raw.applies {
        known(limit.span().start, &limit.get_ref().input)?;
    }
    let is_flag = |at: usize, flag: &str| {
        let found = record.flags.iter().find(|f| f.name == flag);
        found.ok_or_else(|| place.error(at, format!("flag \"{flag}\" is not defined: add [flag.{flag}]")))
    };
    let mut refuse = Vec::new();
    for rule in raw.refuse {
        let at = rule.span().start;
        let rule = rule.into_inner();
        let when = match (&rule.flag, &rule.when) {
            (Some(flag), None) => {
                is_flag(at, flag)?;
                place.formula_at(flag, at, names)?
            }
            (None, Some(when)) => place.formula(when, names)?,
            _ => return Err(place.error(at, "[[refuse]] needs either flag or when")),
        };
        refuse.push(Refuse {
            when,
            flag: rule.flag,
            say: rule.say,
            help: rule.help,
            urgency: rule.urgency,
        });
    }
    let mut unstable = Vec::new();
    for rule in raw.unstable {
        let at = rule.span().start;
        let rule = rule.into_inner();
        if !record.items.iter().any(|i| i.name == rule.input) {
            return Err(place.error(at, format!("\"{0}\" is not measured: add [record.{0}]", rule.input)));
        }
        unstable.push(Unstable {
            within: place.duration(&rule.within)?,
            input: rule.input,
            change: rule.change,
            say: rule.say,
            help: rule.help,
            urgency: rule.urgency,
        });
    }
    let mut cautions = Vec::new();
    for rule in raw.caution {
        let at = rule.span().start;
        let rule = rule.into_inner();
        let when = match (rule.when, rule.missing) {
            (Some(when), None) => Cautioned::When(place.formula(&when, names)?),
            (None, Some(missing)) => {
                known(at, &missing)?;
                Cautioned::Missing(missing)
            }
            _ => return Err(place.error(at, "[[caution]] needs either when or missing")),
        };
        cautions.push(Caution {
            when,
            say: rule.say,
            loud: rule.loud,
        });
    }
    let mut screens = Vec::new();
    for rule in raw.screen {
        let at = rule.span().start;
        let rule = rule.into_inner();
        if is_flag(at, &rule.flag)?.tests.is_empty() {
            let message = format!("[flag.{}] has no loinc: a screen asks for a test", rule.flag);
            return Err(place.error(at, message));
        }
        screens.push(Screen {
            flag: rule.flag,
            say: rule.say,
            help: rule.help,
        });
    }
    let targets = goals::read(
        place,
        names,
        &twin.name,
        goals::Raw {
            measure: raw.measure,
            goal: raw.goal,
            harm: raw.harm,
            rule: raw.rule,
        },
    )?;
    let first = targets.goals.first().and_then(|g| targets.measures.get(g.measure));
    let picture = match raw.picture {
        Some(picture) => Picture {
            ahead: place.duration(&picture.ahead)?,
            output: picture.output.into_inner(),
        },
        None => Picture {
            output: first.map_or_else(String::new, |m| m.output.clone()),
            ahead: SignedDuration::from_hours(48),
        },
    };
    let needs = Needs {
        measured: record.measured,
        flags: record.flags,
        categories: record.categories,
        drug: Some(treatment.drug),
        history: treatment.history,
        assumed_infusion: treatment.treatment.infusion,
    };
    Ok(TwinFile {
        id,
        version: twin.version,
        status: twin.status,
        title: twin.title,
        name: twin.name,
        about: twin.about,
        models: twin.models.into_inner(),
        link: twin.link.into_inner(),
        draws: twin.draws.map(Spanned::into_inner),
        origin,
        card,
        applies: raw.applies.into_iter().map(Spanned::into_inner).collect(),
        refuse,
        unstable,
        cautions,
        screens,
        derived,
        age_input: raw.person.age,
        female_input: raw.person.female,
        needs,
        items: record.items,
        recorded_as: record.recorded_as,
        named: record.named,
        treatment: treatment.treatment,
        measures: targets.measures,
        goals: targets.goals,
        harms: targets.harms,
        rules: targets.rules,
        advice: raw.advice,
        picture,
        overrides: raw.overrides,
    })
}

fn origin(place: &Place<'_>, text: &Spanned<String>, record: &Record) -> Result<Origin, TwinFileError> {
    match text.get_ref().as_str() {
        "first record" => Ok(Origin::FirstRecord),
        "first dose" => Ok(Origin::FirstDose),
        other => {
            let item = other.strip_prefix("input ").map(str::trim);
            let found = item.and_then(|item| record.measured.iter().find(|m| m.name == item));
            let unit = |code: &str| Unit::parse(code).ok();
            match found.map(|m| (m, unit(&m.unit), unit("h"))) {
                Some((m, Some(own), Some(hour))) if own.same_kind(&hour) => Ok(Origin::Input {
                    item: m.name.clone(),
                    hours: own.ratio(&hour),
                }),
                _ => Err(place.error(
                    text.span().start,
                    "origin is \"first record\", \"first dose\", or \"input \" and the name of a record item in a unit of time",
                )),
            }
        }
    }
}
