//! Flags from tests (FHIR R4, Observation, 10.1): whether the newest result is positive or negative.
//!
//! A result that is neither, or that says two things, is indeterminate. It takes the word of an older negative result
//! away, and leaves that of an older positive one: what is unclear clears nobody.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use fhir_codec::resources::{Observation, ObservationComponentValue, ObservationValue};
use fhir_codec::types::CodeableConcept;
use jiff::Timestamp;

use crate::patient::facts::Source;
use crate::patient::needs::Flag;

use super::conditions::set;
use super::effective::{time_text, within};
use super::facts::{Item, Reader};
use super::outcome::{Outcome, Recorded, judge};
use super::peek::Text;
use super::{codes, remarks, typed};

/// A result of a test.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Tested {
    /// The last moment that its time can mean for a positive result, the first for a negative one.
    at: Timestamp,
    outcome: Outcome,
    shown: String,
    preliminary: bool,
    source: Source,
}

/// Results by the place of the flag among the needs.
#[derive(Debug, Clone, Default)]
pub struct Results(BTreeMap<usize, Vec<Tested>>);

/// Reads one Observation, if it is a test that a flag asks for.
pub fn read(reader: &mut Reader<'_>, item: &Item<'_>, out: &mut Results) {
    let needs = reader.needs;
    let hit = |flag: &Flag| {
        let concepts = item.peek.code.iter().chain(item.peek.component.iter().map(|c| &c.code));
        !flag.tests.is_empty()
            && concepts
                .into_iter()
                .any(|c| codes::any(&flag.tests, c, reader.terminology))
    };
    let asked: Vec<(usize, &Flag)> = needs.flags.iter().enumerate().filter(|(_, flag)| hit(flag)).collect();
    let Some((_, first)) = asked.first() else { return };
    let name = first.name.as_str();
    if item.is_entered_in_error() {
        if !reader.is_foreign(item, name) {
            let args = [("name", name)];
            reader
                .notes
                .ignore("remark-entered-in-error-bare", &args, Some(&item.source));
        }
        return;
    }
    if !reader.gate(item, name) {
        return;
    }
    let Ok(observation) = fhir_codec::read_observation(item.raw.get()) else {
        return reader.unreadable(item);
    };
    for (index, flag) in asked {
        for (recorded, interpretation) in recorded(reader, &observation, item, flag) {
            let (outcome, shown) = judge(&recorded, interpretation, flag.positive_above);
            if let Some(tested) = tested(reader, &observation, item, flag, outcome, shown) {
                out.0.entry(index).or_default().push(tested);
            }
        }
    }
}

/// The values that are of this test, each with its interpretations.
fn recorded<'o>(
    reader: &Reader<'_>,
    observation: &'o Observation,
    item: &Item<'_>,
    flag: &Flag,
) -> Vec<(Recorded<'o>, &'o [CodeableConcept])> {
    let mut found = Vec::new();
    for (component, peek) in observation.component.iter().zip(&item.peek.component) {
        if !codes::any(&flag.tests, &peek.code, reader.terminology) || !component.modifier_extension.is_empty() {
            continue;
        }
        let text = |t: &'o Option<String>| t.as_deref().map_or(Recorded::Nothing, Recorded::Words);
        let value = match &component.value {
            _ if component.data_absent_reason.is_some() => Recorded::Absent,
            Some(ObservationComponentValue::CodeableConcept(c)) => Recorded::Coded(c),
            Some(ObservationComponentValue::String(s)) => text(&s.value),
            Some(ObservationComponentValue::Boolean(b)) => b.value.map_or(Recorded::Nothing, Recorded::Answer),
            Some(ObservationComponentValue::Quantity(q)) => Recorded::Number(typed::quantity(q)),
            Some(ObservationComponentValue::Integer(n)) => n.value.map_or(Recorded::Nothing, Recorded::whole),
            Some(_) => Recorded::Absent,
            None => Recorded::Nothing,
        };
        found.push((value, component.interpretation.as_slice()));
    }
    let own = item.peek.code.as_ref();
    if own.is_some_and(|c| codes::any(&flag.tests, c, reader.terminology)) {
        let text = |t: &'o Option<String>| t.as_deref().map_or(Recorded::Nothing, Recorded::Words);
        let value = match &observation.value {
            _ if observation.data_absent_reason.is_some() => Recorded::Absent,
            Some(ObservationValue::CodeableConcept(c)) => Recorded::Coded(c),
            Some(ObservationValue::String(s)) => text(&s.value),
            Some(ObservationValue::Boolean(b)) => b.value.map_or(Recorded::Nothing, Recorded::Answer),
            Some(ObservationValue::Quantity(q)) => Recorded::Number(typed::quantity(q)),
            Some(ObservationValue::Integer(n)) => n.value.map_or(Recorded::Nothing, Recorded::whole),
            Some(_) => Recorded::Absent,
            // A panel with its results in its components lacks nothing.
            None if !found.is_empty() && observation.interpretation.is_empty() => return found,
            None => Recorded::Nothing,
        };
        found.push((value, observation.interpretation.as_slice()));
    }
    found
}

/// The result with its time, if its status and time let it be used.
fn tested(
    reader: &mut Reader<'_>,
    observation: &Observation,
    item: &Item<'_>,
    flag: &Flag,
    outcome: Outcome,
    shown: String,
) -> Option<Tested> {
    let written = time_text(observation);
    let status = item.peek.status.as_ref().map_or("?", Text::as_str);
    let args = [
        ("name", flag.name.as_str()),
        ("value", shown.as_str()),
        ("time", written.as_str()),
        ("status", status),
    ];
    if !matches!(status, "final" | "amended" | "corrected" | "preliminary") {
        reader.notes.ignore("remark-status", &args, Some(&item.source));
        return None;
    }
    let (first, last) = match within(reader, observation) {
        Ok(found) => found,
        Err(id) => {
            let [name, value, time, _] = args;
            reader.notes.ignore(id, &[name, value, time], Some(&item.source));
            return None;
        }
    };
    Some(Tested {
        at: if outcome == Outcome::Negative { first } else { last },
        outcome,
        preliminary: status == "preliminary",
        shown,
        source: item.source.clone(),
    })
}

/// Sets the flags whose newest result is positive; hands out those whose newest result is negative.
///
/// A flag that something else has made true is not among the latter.
pub fn settle(
    reader: &mut Reader<'_>,
    results: Results,
    flags: &mut BTreeMap<String, Source>,
) -> BTreeMap<String, Source> {
    let mut negative = BTreeMap::new();
    let now = reader.ctx.now;
    for (index, tested) in results.0 {
        let Some(flag) = reader.needs.flags.get(index) else {
            continue;
        };
        let fresh = |t: &Tested| flag.within.is_none_or(|within| now.duration_since(t.at) <= within);
        let (mut fresh, mut old): (Vec<Tested>, Vec<Tested>) = tested.into_iter().partition(fresh);
        // Of several at one moment a positive one comes last, and of equals the first by its source.
        let order = |t: &Tested| (t.at, t.outcome, Reverse(t.source.clone()), t.shown.clone());
        fresh.sort_by_key(order);
        old.sort_by_key(order);
        match (fresh.last(), old.last()) {
            (None, Some(newest)) => {
                let hours = flag.within.map_or(0.0, |w| w.as_secs_f64() / 3600.0);
                let limit = remarks::number(hours);
                say(reader, true, "remark-too-old", flag, newest, &[("limit", &limit)]);
            }
            (Some(newest), _) if newest.outcome == Outcome::Indeterminate => {
                say(reader, true, "remark-test-indeterminate", flag, newest, &[]);
            }
            _ => {}
        }
        let unclear = fresh.last().is_some_and(|t| t.outcome == Outcome::Indeterminate);
        let Some(decides) = fresh.iter().rev().find(|t| t.outcome != Outcome::Indeterminate) else {
            continue;
        };
        match decides.outcome {
            Outcome::Positive => set(flags, flag, &decides.source),
            Outcome::Negative if !unclear => {
                negative.insert(flag.name.clone(), decides.source.clone());
            }
            Outcome::Negative | Outcome::Indeterminate => continue,
        }
        if decides.preliminary {
            say(reader, false, "remark-preliminary", flag, decides, &[]);
        }
    }
    negative.retain(|name, _| !flags.contains_key(name));
    negative
}

fn say(reader: &mut Reader<'_>, ignored: bool, id: &'static str, flag: &Flag, tested: &Tested, more: &[(&str, &str)]) {
    let time = remarks::time(tested.at);
    let mut args = vec![
        ("name", flag.name.as_str()),
        ("value", tested.shown.as_str()),
        ("time", time.as_str()),
    ];
    args.extend_from_slice(more);
    if ignored {
        reader.notes.ignore(id, &args, Some(&tested.source));
    } else {
        reader.notes.assume(id, &args, Some(&tested.source));
    }
}
