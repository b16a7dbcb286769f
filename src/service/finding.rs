//! What a twin found about a patient, as plain data: for those who are not answered with cards.

use jiff::Timestamp;
use serde_json::Value;

use super::{cards::Case, picture, services};
use crate::{
    advice::{
        decide::{Decision, Evaluated},
        gates::{Lack, Refusal, lacks},
        outcome::{Advised as Whole, Outcome},
        present::KnownFrom,
    },
    cds::card::{Indicator, Suggestion},
    model::twin_file::{Role, TwinFile},
    patient::{
        facts::{Bound, Source},
        needs::Code,
    },
    twin::{plan, simulate, values::current},
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
