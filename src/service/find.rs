//! From what came of a question to a [`Finding`].

use serde_json::Value;

use super::{
    cards::Case,
    finding::{
        Advised, Chance, Course, Curve, Finding, Kind, Level, Measured, Offer, Parameter, Refused, Required, State,
        Vote, What,
    },
    picture, services,
};
use crate::{
    advice::{
        decide::{Decision, Evaluated},
        gates::{Lack, Refusal, lacks},
        outcome::{Advised as Whole, Outcome},
        present::KnownFrom,
    },
    cds::card::{Indicator, Suggestion},
    model::twin_file::{Role, TwinFile},
    patient::facts::{Bound, Source},
    twin::{plan, simulate, values::current},
};

impl Finding {
    /// From what came of a question.
    #[must_use]
    pub fn of(case: &Case<'_>, outcome: &Outcome) -> Self {
        let (card, what) = match outcome {
            Outcome::Silent => (None, What::Silent),
            Outcome::Refused(refusal) => (Some(case.refused(refusal)), What::Refused(refused(case, refusal))),
            Outcome::Advised(whole) => (
                case.advised(whole, Value::Null),
                What::Advised(Box::new(advised(case, whole))),
            ),
        };
        let (summary, detail, indicator) = match card {
            Some(card) => (card.summary, card.detail, card.indicator),
            None => (String::new(), String::new(), Indicator::Info),
        };
        Self {
            now: case.reader.now,
            used: used(case),
            summary,
            detail,
            indicator,
            what,
        }
    }
}

/// The resources that count.
fn used(case: &Case<'_>) -> Vec<Source> {
    let (file, facts) = (&case.definition.file, case.facts);
    let mut used = vec![facts.person.source.clone()];
    for item in &file.items {
        match item.role {
            Role::Observed { .. } => {
                let series = facts.measured.get(&item.name).into_iter().flatten();
                used.extend(series.map(|m| m.source.clone()));
            }
            Role::Covariate(_) => {
                used.extend(current(file, facts, &item.name, case.reader.now).map(|m| m.source.clone()));
            }
        }
    }
    used.extend(facts.categories.values().map(|found| found.source.clone()));
    used.extend(facts.flags.values().cloned());
    used.extend(facts.tested_negative.values().cloned());
    used.extend(facts.given.iter().map(|given| given.source.clone()));
    used.extend(
        facts
            .orders
            .iter()
            .filter(|o| !o.draft)
            .filter_map(|o| o.source.clone()),
    );
    used.sort();
    used.dedup();
    used
}

fn refused(case: &Case<'_>, refusal: &Refusal) -> Refused {
    let (reader, file) = (case.reader, &case.definition.file);
    let lacks = if refusal.is_for_lack() {
        lacks(file, case.facts, reader.now, reader.zone)
    } else {
        Vec::new()
    };
    let level = refusal.order_level.then(|| case.level_suggestion()).flatten();
    Refused {
        reason: refusal.reason,
        what: reader.wording.phrase(&refusal.what),
        help: reader.wording.phrase(&refusal.help),
        required: lacks.iter().map(|lack| required(file, lack)).collect(),
        offers: level.and_then(offer).into_iter().collect(),
    }
}

fn required(file: &TwinFile, lack: &Lack) -> Required {
    let patient = |element| Required {
        kind: "Patient",
        element: Some(element),
        codes: Vec::new(),
        within_hours: None,
    };
    match lack {
        Lack::BirthDate => patient("birthDate"),
        Lack::Sex => patient("gender"),
        Lack::Measured { name, older_than } => {
            let spec = file.needs.measured.iter().find(|m| m.name == *name);
            Required {
                kind: "Observation",
                element: None,
                codes: spec.map(|m| m.codes.clone()).unwrap_or_default(),
                within_hours: *older_than,
            }
        }
        Lack::Category(name) => {
            let spec = file.needs.categories.iter().find(|c| c.name == *name);
            Required {
                kind: "Observation",
                element: None,
                codes: spec.map(|c| services::category_codes([c])).unwrap_or_default(),
                within_hours: None,
            }
        }
    }
}

fn offer(suggestion: Suggestion) -> Option<Offer> {
    let resource = suggestion.actions.into_iter().find_map(|action| action.resource)?;
    Some(Offer {
        label: suggestion.label,
        resource,
    })
}

fn advised(case: &Case<'_>, whole: &Whole) -> Advised {
    let (file, advice) = (&case.definition.file, &whole.advice);
    let mut shown = whole.listed.clone();
    shown.extend(advice.keep);
    shown.extend(advice.stop);
    let mut offers = case.rule_suggestions(whole);
    if !whole.twin.is_personal() && advice.keep.is_some() {
        offers.extend(case.level_suggestion());
    }
    // As on a card: nothing is offered while a test is open.
    if !whole.screens.is_empty() {
        offers.clear();
    }
    let rules = whole.rules.iter().filter_map(|place| file.rules.get(*place));
    let mut sources: Vec<String> = file.goals.iter().map(|goal| goal.source.clone()).collect();
    sources.dedup();
    Advised {
        decision: picture::decision(advice.decision),
        courses: shown
            .into_iter()
            .filter_map(|place| Some(course(case, whole, place, advice.options.get(place)?)))
            .collect(),
        offers: offers.into_iter().filter_map(offer).collect(),
        rules: rules
            .map(|rule| format!("{} ({})", case.reader.text(&rule.say), rule.source))
            .collect(),
        sources,
        twin: state(case, whole),
    }
}

fn course(case: &Case<'_>, whole: &Whole, place: usize, option: &Evaluated) -> Course {
    let (file, reader, advice) = (&case.definition.file, case.reader, &whole.advice);
    let recommended = advice.decision == Decision::Recommend(place);
    let kind = match option.plan.kind {
        plan::Kind::Keep => Kind::Keep,
        plan::Kind::Change => Kind::Change,
        plan::Kind::Stop => Kind::Stop,
    };
    let offered = kind == Kind::Change && !option.blocked && whole.screens.is_empty();
    let offered = offered && advice.decision != Decision::NothingSuitable;
    let suggestion = offered.then(|| case.dose_suggestion(option, advice.keep.is_some(), recommended));
    let present = whole
        .present
        .as_ref()
        .filter(|p| kind == Kind::Keep && p.known_from == KnownFrom::Order);
    let order = present.and_then(|_| case.facts.orders.iter().find(|o| o.active && !o.draft)?.source.clone());
    let measures = file.measures.iter().zip(&option.measures);
    let chance = |harm, of: String, chance: Option<f64>| chance.map(|probability| Chance { harm, of, probability });
    let goals = file.goals.iter().zip(&whole.targets.goals).zip(&option.goals);
    let goals = goals.filter_map(|((goal, limits), found)| {
        let args = [
            ("label", reader.text(&goal.label).to_owned()),
            ("range", reader.range((*limits)?)),
        ];
        chance(false, reader.say("column-goal", args), *found)
    });
    let harms = file.harms.iter().zip(&whole.targets.harms).zip(&option.harms);
    let harms = harms.filter_map(|((harm, limits), found)| {
        let args = [
            ("label", reader.text(&harm.label).to_owned()),
            ("range", reader.range((*limits)?)),
        ];
        chance(true, reader.say("column-harm", args), *found)
    });
    let drawn = whole.curves.ahead.iter().find(|(plan, _)| *plan == option.plan);
    Course {
        kind,
        label: reader.plan(file, &option.plan, true),
        recommended,
        unsuitable: option.blocked,
        request: suggestion.flatten().and_then(offer).map(|offer| offer.resource),
        order,
        measures: measures
            .filter_map(|(measure, found)| {
                let found = found.filter(|f| f.p50.is_finite())?;
                Some(Measured {
                    name: measure.name.clone(),
                    label: reader.text(&measure.label).to_owned(),
                    unit: measure.unit.clone(),
                    p50: found.p50,
                    p05: found.p05,
                    p95: found.p95,
                })
            })
            .collect(),
        chances: goals.chain(harms).collect(),
        curve: drawn.and_then(|(_, course)| curve(course)),
    }
}

fn curve(course: &simulate::Course) -> Option<Curve> {
    (!course.hours.is_empty()).then(|| Curve {
        hours: course.hours.clone(),
        band: course.band.iter().map(|b| [b.p05, b.p50, b.p95]).collect(),
    })
}

fn state(case: &Case<'_>, whole: &Whole) -> State {
    let (twin, output) = (&whole.twin, &case.definition.file.picture.output);
    let models = twin.members.iter().map(|member| {
        let model = &member.model;
        let personal = member.fit.best().map(|mode| mode.parameters.as_slice());
        let values = personal.unwrap_or_default().iter().zip(member.subject.typical());
        let parameters = model.parameters().iter().zip(values);
        Vote {
            id: model.id.clone(),
            version: model.version.clone(),
            sha256: model.sha256.clone(),
            doi: model.doi.clone(),
            weight: member.weight,
            parameters: parameters
                .map(|(parameter, (personal, typical))| Parameter {
                    name: parameter.name.clone(),
                    unit: parameter.unit.clone(),
                    personal: *personal,
                    typical: *typical,
                })
                .collect(),
        }
    });
    let levels = twin.ledger.levels.iter().map(|level| Level {
        output: level.output.clone(),
        time: level.measurement.time,
        value: level.measurement.value,
        comparator: match level.measurement.bound {
            Bound::Exact => None,
            Bound::Below => Some("<"),
            Bound::Above => Some(">"),
        },
        unit: twin.unit(&level.output).to_owned(),
        used: level.left_out.is_none(),
        source: level.measurement.source.clone(),
    });
    State {
        personal: twin.is_personal(),
        output: (output.clone(), twin.unit(output).to_owned()),
        models: models.collect(),
        levels: levels.collect(),
        doses: case.facts.given.len(),
        past: curve(&whole.curves.past),
    }
}
