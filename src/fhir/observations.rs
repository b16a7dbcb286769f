//! Observations into measurements (FHIR R4, Observation, 10.1).

use fhir_codec::resources::{Observation, ObservationComponentValue, ObservationValue};

use crate::patient::facts::{Bound, Measurement};
use crate::patient::needs::Measured;

use super::effective::{time_of, time_text};
use super::facts::{Item, Reader};
use super::peek::{Concept, Text};
use super::sums::{self, Reading, Values};
use super::units::{Analyte, Quantity, Refused};
use super::words::from_words;
use super::{codes, remarks, typed};

/// Which of the twin's quantities an Observation, or a component of it, may hold; empty for most.
pub fn wanted(reader: &Reader<'_>, item: &Item<'_>) -> Vec<usize> {
    let hit = |m: &Measured| {
        item.peek
            .code
            .iter()
            .chain(item.peek.component.iter().map(|c| &c.code))
            .any(|concept| codes::any(&m.codes, concept, reader.terminology))
    };
    (0..reader.needs.measured.len())
        .filter(|i| reader.needs.measured.get(*i).is_some_and(hit))
        .collect()
}

/// Reads one Observation of which `wanted` is not empty.
pub fn read(reader: &mut Reader<'_>, item: &Item<'_>, wanted: &[usize], out: &mut [Values]) {
    let needs = reader.needs;
    let names = || {
        wanted
            .iter()
            .filter_map(|i| needs.measured.get(*i))
            .map(|m| m.name.as_str())
    };
    let retracted = item.is_entered_in_error();
    let first = names().next().unwrap_or_default();
    if if retracted {
        reader.is_foreign(item, first)
    } else {
        !reader.gate(item, first)
    } {
        return;
    }
    let observation = match fhir_codec::read_observation(item.raw.get()) {
        Ok(observation) => observation,
        Err(_) if retracted => {
            names().for_each(|n| {
                reader
                    .notes
                    .ignore("remark-entered-in-error-bare", &[("name", n)], Some(&item.source))
            });
            return;
        }
        Err(_) => return reader.unreadable(item),
    };
    for index in wanted {
        let Some(measured) = needs.measured.get(*index) else {
            continue;
        };
        let Some(list) = out.get_mut(*index) else { continue };
        for value in values(reader, &observation, item, measured) {
            if retracted {
                let (time, shown) = (time_text(&observation), value.recorded.shown());
                reader.notes.ignore(
                    "remark-entered-in-error",
                    &[("name", &measured.name), ("value", &shown), ("time", &time)],
                    Some(&item.source),
                );
                continue;
            }
            let component = value.component;
            if let Some(measurement) = one(reader, &observation, item, measured, value) {
                list.read.push(Reading {
                    part: sums::part(&observation, item, component),
                    measurement,
                });
            } else if measured.sum_per_day
                && let Ok(time) = time_of(reader, &observation, measured)
            {
                list.spoilt.push(time.at);
            }
        }
    }
}

/// A value as it is recorded.
#[derive(Debug, Clone)]
enum Recorded {
    Quantity(Quantity),
    Words(String),
    Whole(i32),
    Absent,
    Another,
}

impl Recorded {
    fn shown(&self) -> String {
        match self {
            Recorded::Quantity(q) => q.shown(),
            Recorded::Words(text) => text.clone(),
            Recorded::Whole(n) => n.to_string(),
            Recorded::Absent | Recorded::Another => "?".to_owned(),
        }
    }
}

/// A value as it is recorded, and under what.
#[derive(Debug, Clone)]
struct Value {
    recorded: Recorded,
    /// System and code.
    code: String,
    /// Place among the components, for one of them.
    component: Option<usize>,
}

/// The values of the Observation that are of this kind: its own, and those of its components.
fn values(reader: &Reader<'_>, observation: &Observation, item: &Item<'_>, measured: &Measured) -> Vec<Value> {
    let mut found = Vec::new();
    let asked = |concept: &Concept<'_>| {
        codes::matching(&measured.codes, concept, reader.terminology).map(|(system, code)| format!("{system}|{code}"))
    };
    // Components keep their order in the typed resource, so that the codes already read can be asked.
    for (place, (component, peek)) in observation.component.iter().zip(&item.peek.component).enumerate() {
        let Some(code) = asked(&peek.code).filter(|_| component.modifier_extension.is_empty()) else {
            continue;
        };
        let recorded = match &component.value {
            _ if component.data_absent_reason.is_some() => Recorded::Absent,
            Some(ObservationComponentValue::Quantity(q)) => Recorded::Quantity(typed::quantity(q)),
            Some(ObservationComponentValue::String(s)) => s.value.clone().map_or(Recorded::Absent, Recorded::Words),
            Some(ObservationComponentValue::Integer(n)) => n.value.map_or(Recorded::Absent, Recorded::Whole),
            None => Recorded::Absent,
            Some(_) => Recorded::Another,
        };
        found.push(Value {
            recorded,
            code,
            component: Some(place),
        });
    }
    let Some(code) = item.peek.code.as_ref().and_then(asked) else {
        return found;
    };
    let recorded = match &observation.value {
        // A value beside the reason why there is none (invariant obs-6 forbids it) is not to be believed.
        Some(_) if observation.data_absent_reason.is_some() => Recorded::Absent,
        Some(ObservationValue::Quantity(q)) => Recorded::Quantity(typed::quantity(q)),
        Some(ObservationValue::String(s)) => s.value.clone().map_or(Recorded::Absent, Recorded::Words),
        Some(ObservationValue::Integer(n)) => n.value.map_or(Recorded::Absent, Recorded::Whole),
        // A panel that carries the code itself, with the values in its components, lacks nothing.
        None if found.is_empty() => Recorded::Absent,
        None => return found,
        Some(_) => Recorded::Another,
    };
    found.push(Value {
        recorded,
        code,
        component: None,
    });
    found
}

fn one(
    reader: &mut Reader<'_>,
    observation: &Observation,
    item: &Item<'_>,
    measured: &Measured,
    value: Value,
) -> Option<Measurement> {
    let name = measured.name.as_str();
    let Value {
        recorded,
        code: recorded_as,
        ..
    } = value;
    let shown = recorded.shown();
    let written = time_text(observation);
    let source = Some(&item.source);
    let preliminary = match item.peek.status.as_ref().map(Text::as_str) {
        Some("final" | "amended" | "corrected") => false,
        Some("preliminary") => true,
        status => {
            let status = status.unwrap_or("?");
            reader.notes.ignore(
                "remark-status",
                &[
                    ("name", name),
                    ("value", &shown),
                    ("time", &written),
                    ("status", status),
                ],
                source,
            );
            return None;
        }
    };
    let (mut quantity, words) = match recorded {
        Recorded::Quantity(q) => (q, false),
        Recorded::Whole(n) => (
            Quantity {
                value: Some(n.to_string()),
                ..Quantity::default()
            },
            false,
        ),
        Recorded::Words(text) => match from_words(&text) {
            Some(q) => (q, true),
            None => {
                reader.notes.ignore(
                    "remark-not-a-number",
                    &[("name", name), ("value", &text), ("time", &written)],
                    source,
                );
                return None;
            }
        },
        Recorded::Absent => {
            reader
                .notes
                .ignore("remark-no-value", &[("name", name), ("time", &written)], source);
            return None;
        }
        Recorded::Another => {
            reader.notes.ignore(
                "remark-not-a-number",
                &[("name", name), ("value", "?"), ("time", &written)],
                source,
            );
            return None;
        }
    };
    let bound = match quantity.comparator.as_deref() {
        None => Bound::Exact,
        Some("<" | "<=") => Bound::Below,
        Some(">" | ">=") => Bound::Above,
        Some(_) => {
            reader.notes.ignore(
                "remark-not-a-number",
                &[("name", name), ("value", &shown), ("time", &written)],
                source,
            );
            return None;
        }
    };
    let time = match time_of(reader, observation, measured) {
        Ok(found) => found,
        Err(id) => {
            reader
                .notes
                .ignore(id, &[("name", name), ("value", &shown), ("time", &written)], source);
            return None;
        }
    };
    let at = remarks::time(time.at);
    // A result in words has no unit of its own; the reference range of the same result has one.
    let mut borrowed_unit = false;
    if words
        && quantity.ucum() == Err(Refused::NoUnit)
        && let Some(q) = observation
            .reference_range
            .iter()
            .find_map(|r| r.low.as_ref().or(r.high.as_ref()))
    {
        let range = typed::quantity(q);
        borrowed_unit = range.ucum().is_ok();
        quantity = Quantity {
            value: quantity.value,
            comparator: quantity.comparator,
            ..range
        };
    }
    let bare = measured.unit == "1" || measured.unit.starts_with('{');
    if bare && quantity.ucum() == Err(Refused::NoUnit) {
        quantity = Quantity {
            system: Some(crate::patient::needs::UCUM.to_owned()),
            code: Some(measured.unit.clone()),
            ..quantity
        };
        borrowed_unit = true;
    }
    let of_normal = measured
        .percent
        .filter(|_| quantity.ucum().is_ok_and(|unit| unit == "%"));
    let converted = match of_normal {
        Some(one) => quantity.number().map(|number| number * one),
        None => quantity.to(&measured.unit, Analyte::new(&measured.codes, measured.molar_mass)),
    };
    let value = match converted {
        Ok(value) => value,
        Err(refused) => {
            let id = match refused {
                Refused::NotANumber => "remark-not-a-number",
                Refused::NoUnit => "remark-no-unit",
                Refused::Unit => "remark-unit",
            };
            reader.notes.ignore(
                id,
                &[
                    ("name", name),
                    ("value", &shown),
                    ("time", &at),
                    ("unit", &measured.unit),
                ],
                source,
            );
            return None;
        }
    };
    if let Some((low, high)) = measured.plausible
        // A part of a whole may be as small as it likes.
        && !(if measured.sum_per_day { 0.0 } else { low }..=high).contains(&value)
    {
        let (low, high) = (remarks::number(low), remarks::number(high));
        reader.notes.ignore(
            "remark-implausible",
            &[
                ("name", name),
                ("value", &shown),
                ("time", &at),
                ("low", &low),
                ("high", &high),
                ("unit", &measured.unit),
            ],
            source,
        );
        return None;
    }
    time.note(reader, item, name, &at);
    if borrowed_unit {
        reader.notes.assume(
            "remark-unit-assumed",
            &[
                ("name", name),
                ("value", &shown),
                ("unit", &measured.unit),
                ("time", &at),
            ],
            source,
        );
    }
    if preliminary {
        reader.notes.assume(
            "remark-preliminary",
            &[("name", name), ("value", &shown), ("time", &at)],
            source,
        );
    }
    let same_unit = quantity.ucum().is_ok_and(|unit| unit == measured.unit);
    Some(Measurement {
        value,
        bound,
        time: time.at,
        converted_from: (!same_unit).then_some(shown),
        preliminary,
        recorded_as,
        source: item.source.clone(),
    })
}
