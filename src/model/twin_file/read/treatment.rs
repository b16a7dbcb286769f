//! `[treatment]`: the drug, the doses and schedules to be compared, how they enter the models.

use std::collections::BTreeSet;

use jiff::SignedDuration;
use serde::Deserialize;
use toml::Spanned;

use super::place::{Place, RawNumber, coded};
use crate::{
    model::{
        formula::Number,
        twin_file::{Doses, Enters, Loading, Route, Schedule, Text, Treatment, TwinFileError},
    },
    patient::needs::{ATC, AssumedInfusion, Code, Drug, RXNORM},
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Raw {
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
    unit: Spanned<String>,
    dose: Option<Spanned<Vec<f64>>>,
    per: Option<Spanned<String>>,
    share: Option<Spanned<Vec<f64>>>,
    round_to: Option<f64>,
    #[serde(default)]
    every: Vec<Spanned<String>>,
    #[serde(default)]
    delay: Vec<Spanned<String>>,
    times: Option<u32>,
    #[serde(default = "offered")]
    offer: bool,
    into: Option<Spanned<RawInto>>,
    infusion: RawInfusion,
    daily_max: Option<Spanned<RawNumber>>,
    single_max: Option<Spanned<RawNumber>>,
    loading: Option<Loading>,
    recent: Spanned<String>,
    history: Spanned<String>,
}

fn offered() -> bool {
    true
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawInto {
    route: Option<String>,
    input: Option<String>,
    is: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawInfusion {
    hours_per_unit: f64,
    at_least: Spanned<String>,
}

/// `[treatment]` in the parts in which it is used.
pub(super) struct ReadTreatment {
    pub(super) treatment: Treatment,
    pub(super) drug: Drug,
    pub(super) history: SignedDuration,
}

/// Reads it.
pub(super) fn read(place: &Place<'_>, raw: Raw, names: &BTreeSet<String>) -> Result<ReadTreatment, TwinFileError> {
    let at = raw.unit.span().start;
    let round_to = raw.round_to.unwrap_or(0.0);
    if !(round_to.is_finite() && round_to >= 0.0) {
        return Err(place.error(at, "[treatment] round_to must not be negative"));
    }
    let doses = match (&raw.dose, &raw.per, &raw.share, raw.offer) {
        (None, None, None, false) => Doses::None,
        (Some(dose), None, None, true) => {
            place.ascending(dose)?;
            Doses::Plain(dose.get_ref().clone())
        }
        (Some(dose), Some(per), None, true) => {
            place.ascending(dose)?;
            Doses::Per {
                doses: dose.get_ref().clone(),
                per: place.formula(per, names)?,
                round_to,
            }
        }
        (None, None, Some(share), true) => {
            let shares = share.get_ref();
            if shares.is_empty() || shares.iter().any(|s| !(s.is_finite() && *s > 0.0)) {
                return Err(place.error(share.span().start, "shares must be positive"));
            }
            Doses::Share {
                shares: shares.clone(),
                round_to,
            }
        }
        _ => {
            let message = "[treatment] needs dose, or dose and per, or share; or offer = false and none of them";
            return Err(place.error(at, message));
        }
    };
    let mut every = Vec::new();
    for schedule in &raw.every {
        let at = schedule.span().start;
        let gaps = schedule
            .get_ref()
            .split(',')
            .map(|gap| place.hours(gap, at))
            .collect::<Result<Vec<_>, _>>()?;
        if gaps.iter().any(|gap| *gap <= 0.0) {
            return Err(place.error(at, "an interval must be longer than nothing"));
        }
        every.push(Schedule { gaps });
    }
    if every.is_empty() && doses != Doses::None {
        return Err(place.error(at, "[treatment] needs every: the intervals between doses"));
    }
    let mut delays = Vec::new();
    for delay in &raw.delay {
        delays.push(place.hours(delay.get_ref(), delay.span().start)?);
    }
    if delays.is_empty() {
        delays.push(0.0);
    }
    let into = match raw.into {
        None => Enters::Doses(None),
        Some(into) => {
            let at = into.span().start;
            match into.into_inner() {
                RawInto {
                    route: Some(route),
                    input: None,
                    is: None,
                } => Enters::Doses(Some(route)),
                RawInto {
                    route: None,
                    input: Some(name),
                    is: Some(is),
                } => {
                    let mut names = names.clone();
                    names.extend(["amount".to_owned(), "interval".to_owned()]);
                    Enters::Input {
                        is: place.formula(&is, &names)?,
                        name,
                    }
                }
                _ => return Err(place.error(at, "[treatment] into needs either route, or input and is")),
            }
        }
    };
    let infusion = AssumedInfusion {
        hours_per_unit: raw.infusion.hours_per_unit,
        at_least: place.hours(raw.infusion.at_least.get_ref(), raw.infusion.at_least.span().start)?,
    };
    let unlimited = |limit: Option<Number>| match limit {
        Some(limit) => Ok(limit),
        None if doses == Doses::None => Ok(Number::Plain(f64::INFINITY)),
        None => Err(place.error(at, "[treatment] needs single_max and daily_max")),
    };
    let codes: Vec<Code> = coded(RXNORM, raw.rxnorm).chain(coded(ATC, raw.atc)).collect();
    let unit = raw.unit.into_inner();
    let drug = Drug {
        name: raw.name.en.clone(),
        codes: codes.clone(),
        synonyms: raw.synonyms,
        unit: unit.clone(),
        routes: raw.routes,
    };
    let daily_max = unlimited(place.end(raw.daily_max.as_ref(), names)?)?;
    let single_max = unlimited(place.end(raw.single_max.as_ref(), names)?)?;
    Ok(ReadTreatment {
        treatment: Treatment {
            name: raw.name,
            codes,
            route: raw.route,
            doses,
            unit,
            every,
            delays,
            times: raw.times,
            into,
            infusion,
            daily_max,
            single_max,
            loading: raw.loading,
            recent: place.duration(&raw.recent)?,
        },
        drug,
        history: place.duration(&raw.history)?,
    })
}
