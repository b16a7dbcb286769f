//! The numbers behind a card, in its `extension`: for pages that draw the curve, and so that each number can be traced to
//! the resource it came from.

use serde_json::{Value, json};

use crate::{
    advice::{
        decide::{Decision, Evaluated},
        outcome::Advised,
    },
    model::twin_file::Role,
    patient::facts::{Bound, Source},
    twin::{interval::Interval, ledger::LeftOut, plan::Kind, simulate::Course, values::current},
};

use super::cards::Case;

/// Four significant figures are more than a picture shows.
fn rounded(value: f64) -> f64 {
    if value == 0.0 || !value.is_finite() {
        return 0.0;
    }
    let scale = 10f64.powi(3 - crate::wording::magnitude(value));
    (value * scale).round() / scale
}

fn course(course: &Course) -> Value {
    let column = |of: fn(&Interval) -> f64| course.band.iter().map(|b| rounded(of(b))).collect::<Vec<_>>();
    json!({
        "hours": course.hours.iter().map(|h| (h * 1000.0).round() / 1000.0).collect::<Vec<_>>(),
        "p05": column(|b| b.p05),
        "p50": column(|b| b.p50),
        "p95": column(|b| b.p95),
    })
}

fn interval(interval: &Interval) -> Value {
    json!({ "median": rounded(interval.p50), "p05": rounded(interval.p05), "p95": rounded(interval.p95) })
}

fn source(source: &Source) -> Value {
    match &source.version {
        Some(version) => json!({ "reference": source.reference, "version": version }),
        None => json!({ "reference": source.reference }),
    }
}

/// The extension of an advising card.
#[must_use]
pub fn picture(case: &Case<'_>, advised: &Advised) -> Value {
    let (reader, file, twin) = (case.reader, &case.definition.file, &advised.twin);
    let hours = |time: jiff::Timestamp| (time.duration_since(reader.now).as_secs_f64() / 36.0).round() / 100.0;
    let points: Vec<Value> = twin
        .ledger
        .levels
        .iter()
        .map(|level| {
            let mut point = json!({
                "time": level.measurement.time.to_string(),
                "hours": hours(level.measurement.time),
                "value": level.measurement.value,
                "used": level.left_out.is_none(),
                "output": level.output,
                "unit": twin.unit(&level.output),
                "source": source(&level.measurement.source),
            });
            let bound = match level.measurement.bound {
                Bound::Exact => None,
                Bound::Below => Some("below"),
                Bound::Above => Some("above"),
            };
            if let (Some(bound), Some(point)) = (bound, point.as_object_mut()) {
                point.insert("bound".to_owned(), bound.into());
            }
            if let (Some(left_out), Some(point)) = (level.left_out, point.as_object_mut()) {
                let note = match left_out {
                    LeftOut::Distribution => "ignored-level-distribution",
                    LeftOut::NoDoseBefore => "ignored-level-no-dose",
                };
                let args = [
                    ("value", reader.number(level.measurement.value)),
                    ("unit", twin.unit(&level.output).to_owned()),
                    ("time", reader.time(level.measurement.time)),
                ];
                point.insert("note".to_owned(), Value::String(reader.say(note, args)));
            }
            point
        })
        .collect();
    let doses: Vec<Value> = case
        .facts
        .given
        .iter()
        .map(|g| {
            json!({
                "time": g.time.to_string(),
                "hours": hours(g.time),
                "amount": g.amount,
                "unit": file.treatment.unit,
                "duration_hours": g.duration_hours,
                "assumed": g.duration_assumed || g.assumed_from_order,
                "source": source(&g.source),
            })
        })
        .collect();
    let inputs: Vec<Value> = file
        .items
        .iter()
        .filter(|item| matches!(item.role, Role::Covariate(_)))
        .filter_map(|spec| {
            let found = current(file, case.facts, &spec.name, reader.now)?;
            let mut input = json!({
                "name": spec.name,
                "title": file.title(&spec.name, reader.wording.language.tag()),
                "value": rounded(found.value),
                "unit": file.unit(&spec.name),
                "time": found.time.to_string(),
                "source": source(&found.source),
            });
            if let (Some(from), Some(input)) = (&found.converted_from, input.as_object_mut()) {
                input.insert("recorded".to_owned(), Value::String(from.clone()));
            }
            Some(input)
        })
        .collect();
    let models: Vec<Value> = twin
        .members
        .iter()
        .map(|m| {
            let model = &m.model;
            let parameters: serde_json::Map<String, Value> = model
                .parameters()
                .iter()
                .zip(m.fit.best().map(|mode| mode.parameters.as_slice()).unwrap_or_default())
                .zip(m.subject.typical())
                .map(|((p, personal), typical)| {
                    (
                        p.name.clone(),
                        json!({ "personal": rounded(*personal), "typical": rounded(*typical), "unit": p.unit }),
                    )
                })
                .collect();
            without_empty(json!({
                "id": model.id, "version": model.version, "sha256": model.sha256, "doi": model.doi,
                "weight": rounded(m.weight), "parameters": parameters,
            }))
        })
        .collect();
    let mut shown = advised.listed.clone();
    shown.extend(advised.advice.keep);
    shown.extend(advised.advice.stop);
    let options: Vec<Value> = shown
        .into_iter()
        .filter_map(|i| Some(option(case, advised, i, advised.advice.options.get(i)?)))
        .collect();
    let measures: Vec<Value> = file
        .measures
        .iter()
        .map(|m| json!({ "name": m.name, "label": reader.text(&m.label), "unit": m.unit, "output": m.output }))
        .map(without_empty)
        .collect();
    let mut picture = json!({
        "measures": measures,
        "twin": file.id,
        "quantity": reader.text(&file.name),
        "output": file.picture.output,
        "unit": twin.unit(&file.picture.output),
        "now": reader.now.to_string(),
        "decision": decision(advised.advice.decision),
        "models": models,
        "options": options,
    });
    if let (Some(target), Some(members)) = (target(case, advised), picture.as_object_mut()) {
        members.insert("target".to_owned(), target);
    }
    if let Some(members) = picture.as_object_mut() {
        // Empty members are forbidden in an answer.
        for (name, list) in [("points", points), ("doses", doses), ("inputs", inputs)] {
            if !list.is_empty() {
                members.insert(name.to_owned(), Value::Array(list));
            }
        }
        if !advised.curves.past.hours.is_empty() {
            members.insert("past".to_owned(), course(&advised.curves.past));
        }
    }
    json!({ "jumeau": picture })
}

/// Stable name of a decision.
#[must_use]
pub fn decision(decision: Decision) -> &'static str {
    match decision {
        Decision::OnTarget => "on-target",
        Decision::Watch => "watch",
        Decision::Recommend(_) => "recommend",
        Decision::NoClearAdvantage => "no-clear-advantage",
        Decision::NothingSuitable => "nothing-suitable",
    }
}

/// Empty members are forbidden in an answer.
fn without_empty(mut value: Value) -> Value {
    if let Some(members) = value.as_object_mut() {
        members.retain(|_, v| v.as_str() != Some(""));
    }
    value
}

/// The first goal.
fn target(case: &Case<'_>, advised: &Advised) -> Option<Value> {
    let (reader, file) = (case.reader, &case.definition.file);
    let (goal, measure) = file.headline()?;
    let limits = advised.targets.goals.first().copied().flatten()?;
    let mut target = json!({
        "measure": measure.name,
        "output": measure.output,
        "label": format!("{} {} {}", reader.text(&measure.label), reader.range(limits).replace('-', "–"),
            super::words::unit(&measure.unit)).trim_end(),
        "unit": measure.unit,
        "source": goal.source,
    });
    if let Some(members) = target.as_object_mut() {
        for (name, end) in [("low", limits.low), ("high", limits.high)] {
            if end.is_finite() {
                members.insert(name.to_owned(), json!(end));
            }
        }
    }
    Some(target)
}

fn option(case: &Case<'_>, advised: &Advised, index: usize, option: &Evaluated) -> Value {
    let file = &case.definition.file;
    let kind = match option.plan.kind {
        Kind::Keep => "keep",
        Kind::Change => "change",
        Kind::Stop => "stop",
    };
    let mut measures = serde_json::Map::new();
    for (measure, found) in file.measures.iter().zip(&option.measures) {
        if let Some(found) = found.filter(|f| f.p50.is_finite()) {
            measures.insert(measure.name.clone(), interval(&found));
        }
    }
    if let Some(next_day) = option.next_day {
        measures.insert("next_24h".to_owned(), interval(&next_day));
    }
    let id = match option.plan.kind {
        Kind::Keep => "keep".to_owned(),
        Kind::Stop => "stop".to_owned(),
        Kind::Change => format!("option-{}", index + 1),
    };
    let mut value = json!({
        "id": id,
        "kind": kind,
        "label": case.reader.plan(file, &option.plan, true),
        "recommended": advised.advice.decision == Decision::Recommend(index),
        "current": option.plan.kind == Kind::Keep,
        "daily_dose": rounded(option.plan.daily_dose()),
        "on_target": rounded(option.chance_goal()),
        "below": rounded(option.chance_low),
        "harm": rounded(option.chance_harm()),
        "score": rounded(option.score),
    });
    let drawn = advised.curves.ahead.iter().find(|(plan, _)| *plan == option.plan);
    if let Some(members) = value.as_object_mut() {
        if !measures.is_empty() {
            members.insert("measures".to_owned(), Value::Object(measures));
        }
        if let Some((_, ahead)) = drawn.filter(|(_, course)| !course.hours.is_empty()) {
            members.insert("curve".to_owned(), course(ahead));
        }
    }
    value
}
