//! `[measure]`, `[[goal]]`, `[[harm]]`, `[[rule]]`: what is taken from a course, and what of it is good, harmful or calls for a
//! word.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use toml::Spanned;

use super::place::{Place, RawNumber, coded};
use crate::{
    model::{
        formula::Number,
        twin_file::{
            Goal, Harm, Measure, Range, Rule, RuleOrder, RulePlan, Since, Take, Text, TwinFileError, Urgency, Window,
        },
    },
    patient::needs::{ATC, RXNORM},
};

/// The tables as written.
pub(super) struct Raw {
    pub(super) measure: BTreeMap<String, Spanned<RawMeasure>>,
    pub(super) goal: Vec<Spanned<RawGoal>>,
    pub(super) harm: Vec<Spanned<RawHarm>>,
    pub(super) rule: Vec<Spanned<RawRule>>,
}

/// The tables as read.
pub(super) struct Targets {
    pub(super) measures: Vec<Measure>,
    pub(super) goals: Vec<Goal>,
    pub(super) harms: Vec<Harm>,
    pub(super) rules: Vec<Rule>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawMeasure {
    output: Option<String>,
    take: Take,
    level: Option<f64>,
    #[serde(default)]
    steady: bool,
    from: Option<Spanned<String>>,
    to: Option<Spanned<String>>,
    since: Option<Since>,
    by: Option<Spanned<String>>,
    #[serde(default)]
    change: bool,
    unit: String,
    label: Text,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawGoal {
    measure: String,
    within: Option<Spanned<[RawNumber; 2]>>,
    above: Option<Spanned<RawNumber>>,
    below: Option<Spanned<RawNumber>>,
    #[serde(default = "one")]
    weight: f64,
    label: Option<Text>,
    source: String,
}

fn one() -> f64 {
    1.0
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawHarm {
    measure: String,
    above: Option<Spanned<RawNumber>>,
    below: Option<Spanned<RawNumber>>,
    blocked_above: Option<Spanned<RawNumber>>,
    blocked_below: Option<Spanned<RawNumber>>,
    blocked_chance: Option<f64>,
    #[serde(default = "one")]
    weight: f64,
    label: Text,
    source: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawRule {
    #[serde(default)]
    plan: RulePlan,
    measure: Option<String>,
    above: Option<Spanned<RawNumber>>,
    below: Option<Spanned<RawNumber>>,
    chance: Option<f64>,
    when: Option<Spanned<String>>,
    say: Text,
    #[serde(default)]
    urgency: Urgency,
    source: String,
    order: Option<RawRuleOrder>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRuleOrder {
    #[serde(default)]
    rxnorm: Vec<String>,
    #[serde(default)]
    atc: Vec<String>,
    text: Text,
    dosage: Option<Text>,
}

/// Reads them; `called` is the name of the twin.
pub(super) fn read(
    place: &Place<'_>,
    names: &BTreeSet<String>,
    called: &Text,
    raw: Raw,
) -> Result<Targets, TwinFileError> {
    let mut measures = Vec::new();
    for (name, measure) in raw.measure {
        measures.push(measured(place, name, measure, names)?);
    }
    let find = |at: usize, name: &str| {
        let found = measures.iter().position(|m: &Measure| m.name == name);
        found.ok_or_else(|| place.error(at, format!("measure \"{name}\" is not defined: add [measure.{name}]")))
    };
    if raw.goal.is_empty() {
        return Err(place.error(0, "at least one [[goal]] is needed"));
    }
    let mut goals = Vec::new();
    for goal in raw.goal {
        let at = goal.span().start;
        let goal = goal.into_inner();
        let measure = find(at, &goal.measure)?;
        let within = match (goal.within, goal.above, goal.below) {
            (Some(within), None, None) => {
                let at = within.span().start;
                let [low, high] = within.into_inner();
                Range {
                    low: Some(place.number(&low, at, names)?),
                    high: Some(place.number(&high, at, names)?),
                }
            }
            (None, above, below) => range(place, at, above.as_ref(), below.as_ref(), names)?,
            _ => return Err(place.error(at, "[[goal]] needs within, or above or below")),
        };
        if let (Some(Number::Plain(low)), Some(Number::Plain(high))) = (&within.low, &within.high)
            && low > high
        {
            return Err(place.error(at, format!("[[goal]]: {low} must not exceed {high}")));
        }
        let label = goal.label.or_else(|| measures.get(measure).map(|m| m.label.clone()));
        goals.push(Goal {
            measure,
            within,
            weight: goal.weight,
            label: label.unwrap_or_else(|| called.clone()),
            source: goal.source,
        });
    }
    let mut harms = Vec::new();
    for harm in raw.harm {
        let at = harm.span().start;
        let harm = harm.into_inner();
        let blocked = match (&harm.blocked_above, &harm.blocked_below) {
            (None, None) => None,
            (Some(_), Some(_)) => {
                let message = "[[harm]] blocks above or below, not both: write two harms";
                return Err(place.error(at, message));
            }
            (above, below) => Some(range(place, at, above.as_ref(), below.as_ref(), names)?),
        };
        harms.push(Harm {
            measure: find(at, &harm.measure)?,
            within: range(place, at, harm.above.as_ref(), harm.below.as_ref(), names)?,
            blocked,
            blocked_chance: harm.blocked_chance,
            weight: harm.weight,
            label: harm.label,
            source: harm.source,
        });
    }
    let mut rules = Vec::new();
    for rule in raw.rule {
        let at = rule.span().start;
        let rule = rule.into_inner();
        let predicted = match (&rule.measure, rule.chance) {
            (Some(measure), chance) => {
                let within = range(place, at, rule.above.as_ref(), rule.below.as_ref(), names)?;
                Some((find(at, measure)?, within, chance.unwrap_or(0.5)))
            }
            (None, None) if rule.above.is_none() && rule.below.is_none() => None,
            _ => return Err(place.error(at, "[[rule]]: above, below and chance are about a measure")),
        };
        let when = rule.when.as_ref().map(|w| place.formula(w, names)).transpose()?;
        if predicted.is_none() && when.is_none() {
            return Err(place.error(at, "[[rule]] needs a measure or when"));
        }
        rules.push(Rule {
            plan: rule.plan,
            predicted,
            when,
            say: rule.say,
            urgency: rule.urgency,
            source: rule.source,
            order: rule.order.map(|order| RuleOrder {
                codes: coded(RXNORM, order.rxnorm).chain(coded(ATC, order.atc)).collect(),
                text: order.text,
                dosage: order.dosage,
            }),
        });
    }
    Ok(Targets {
        measures,
        goals,
        harms,
        rules,
    })
}

fn range(
    place: &Place<'_>,
    at: usize,
    above: Option<&Spanned<RawNumber>>,
    below: Option<&Spanned<RawNumber>>,
    known: &BTreeSet<String>,
) -> Result<Range, TwinFileError> {
    if above.is_none() && below.is_none() {
        return Err(place.error(at, "say above or below which value"));
    }
    Ok(Range {
        low: place.end(above, known)?,
        high: place.end(below, known)?,
    })
}

fn measured(
    place: &Place<'_>,
    name: String,
    raw: Spanned<RawMeasure>,
    known: &BTreeSet<String>,
) -> Result<Measure, TwinFileError> {
    let at = raw.span().start;
    let raw = raw.into_inner();
    if raw.take.is_of_plan() != raw.output.is_none() {
        let message = format!("[measure.{name}] needs an output, unless it is a number of the plan itself");
        return Err(place.error(at, message));
    }
    let window = match (raw.steady, &raw.from, &raw.to) {
        (false, None, None) if raw.take.is_of_plan() => Window::Steady,
        (true, None, None) if raw.since.is_none() => Window::Steady,
        (false, from, Some(to)) => {
            let from = from
                .as_ref()
                .map_or(Ok(0.0), |t| place.hours(t.get_ref(), t.span().start))?;
            let end = place.hours(to.get_ref(), to.span().start)?;
            if end < from {
                return Err(place.error(to.span().start, "a window must not end before it begins"));
            }
            Window::Span {
                from,
                to: end,
                since: raw.since.unwrap_or_default(),
            }
        }
        _ => {
            let message = format!("[measure.{name}] needs either steady = true, or to (and from and since)");
            return Err(place.error(at, message));
        }
    };
    if raw.take.needs_level() != raw.level.is_some() {
        let message = format!("[measure.{name}]: times below or above need a level, other measures have none");
        return Err(place.error(at, message));
    }
    Ok(Measure {
        output: raw.output.unwrap_or_default(),
        take: raw.take,
        level: raw.level,
        window,
        by: raw.by.as_ref().map(|by| place.formula(by, known)).transpose()?,
        change: raw.change,
        unit: raw.unit,
        label: raw.label,
        name,
    })
}
