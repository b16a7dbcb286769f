//! Observations into measurements (FHIR R4, Observation, 10.1).

use fhir_codec::resources::{Observation, ObservationComponentValue, ObservationEffective, ObservationValue};
use jiff::{SignedDuration, Timestamp};

use crate::patient::facts::{Bound, Measurement};
use crate::patient::needs::{Measured, UseAs};

use super::facts::{Item, Reader};
use super::peek::Text;
use super::time::{CLOCK_SKEW, Missing, When, parse};
use super::units::{Analyte, Quantity, Refused};
use super::{codes, remarks, typed};

/// A level over a longer period than this has no time.
const LONGEST_SAMPLING: SignedDuration = SignedDuration::from_hours(1);

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
pub fn read(reader: &mut Reader<'_>, item: &Item<'_>, wanted: &[usize], out: &mut [Vec<Measurement>]) {
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
        for value in values(reader, &observation, item, measured) {
            if retracted {
                let time = time_text(&observation);
                reader.notes.ignore(
                    "remark-entered-in-error",
                    &[("name", &measured.name), ("value", &value.shown()), ("time", &time)],
                    Some(&item.source),
                );
            } else if let Some(measurement) = one(reader, &observation, item, measured, value)
                && let Some(list) = out.get_mut(*index)
            {
                list.push(measurement);
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

/// The values of the Observation that are of this kind: its own, and those of its components.
fn values(reader: &Reader<'_>, observation: &Observation, item: &Item<'_>, measured: &Measured) -> Vec<Recorded> {
    let mut found = Vec::new();
    // Components keep their order in the typed resource, so that the codes already read can be asked.
    for (component, peek) in observation.component.iter().zip(&item.peek.component) {
        if codes::any(&measured.codes, &peek.code, reader.terminology) && component.modifier_extension.is_empty() {
            found.push(match &component.value {
                _ if component.data_absent_reason.is_some() => Recorded::Absent,
                Some(ObservationComponentValue::Quantity(q)) => Recorded::Quantity(typed::quantity(q)),
                Some(ObservationComponentValue::String(s)) => s.value.clone().map_or(Recorded::Absent, Recorded::Words),
                Some(ObservationComponentValue::Integer(n)) => n.value.map_or(Recorded::Absent, Recorded::Whole),
                None => Recorded::Absent,
                Some(_) => Recorded::Another,
            });
        }
    }
    if item
        .peek
        .code
        .as_ref()
        .is_some_and(|concept| codes::any(&measured.codes, concept, reader.terminology))
    {
        match &observation.value {
            // A value beside the reason why there is none (invariant obs-6 forbids it) is not to be believed.
            Some(_) if observation.data_absent_reason.is_some() => found.push(Recorded::Absent),
            Some(ObservationValue::Quantity(q)) => found.push(Recorded::Quantity(typed::quantity(q))),
            Some(ObservationValue::String(s)) => {
                found.push(s.value.clone().map_or(Recorded::Absent, Recorded::Words));
            }
            Some(ObservationValue::Integer(n)) => found.push(n.value.map_or(Recorded::Absent, Recorded::Whole)),
            // A panel that carries the code itself, with the values in its components, lacks nothing.
            None if found.is_empty() => found.push(Recorded::Absent),
            None => {}
            Some(_) => found.push(Recorded::Another),
        }
    }
    found
}

fn one(
    reader: &mut Reader<'_>,
    observation: &Observation,
    item: &Item<'_>,
    measured: &Measured,
    recorded: Recorded,
) -> Option<Measurement> {
    let name = measured.name.as_str();
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
    let time = match time_of(reader, observation, measured.use_as) {
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
    let value = match quantity.to(&measured.unit, Analyte::new(&measured.codes, measured.molar_mass)) {
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
        && !(low..=high).contains(&value)
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
        source: item.source.clone(),
    })
}

/// A moment, and what had to be assumed to have it.
struct Found {
    at: Timestamp,
    missing: Missing,
    issued: bool,
}

impl Found {
    fn note(&self, reader: &mut Reader<'_>, item: &Item<'_>, name: &str, at: &str) {
        match self.missing {
            Missing::Zone => reader.zone_assumed(),
            Missing::TimeOfDay => {
                reader
                    .notes
                    .assume("remark-day-only", &[("name", name), ("time", at)], Some(&item.source));
            }
            Missing::Nothing => {}
        }
        if self.issued {
            reader.notes.assume(
                "remark-time-issued",
                &[("name", name), ("time", at)],
                Some(&item.source),
            );
        }
    }
}

/// When the value was true of the patient. A level without its time of day is worth nothing; a weight is.
fn time_of(reader: &Reader<'_>, observation: &Observation, use_as: UseAs) -> Result<Found, &'static str> {
    const INVALID: &str = "remark-time-invalid";
    const UNKNOWN: &str = "remark-time-unknown";
    let read = |text: &Option<String>| match text {
        Some(text) => parse(text).map(Some).ok_or(INVALID),
        None => Ok(None),
    };
    let mut issued = false;
    let when = match &observation.effective {
        Some(ObservationEffective::DateTime(at)) => read(&at.value)?,
        Some(ObservationEffective::Instant(at)) => read(&at.value)?,
        Some(ObservationEffective::Period(period)) => {
            let start = read(&typed::text(&period.start))?;
            let end = read(&typed::text(&period.end))?;
            match (start, end, use_as) {
                (Some(When::Instant(a)), Some(When::Instant(b)), UseAs::Observation) => {
                    let length = b.duration_since(a);
                    if length > LONGEST_SAMPLING || length < SignedDuration::ZERO {
                        return Err(UNKNOWN);
                    }
                    a.checked_add(length / 2).ok().map(When::Instant)
                }
                (Some(_), Some(_), UseAs::Observation) => return Err(UNKNOWN),
                (start, end, UseAs::Observation) => start.or(end),
                (start, end, UseAs::Covariate) => end.or(start),
            }
        }
        Some(_) => None,
        None if use_as == UseAs::Covariate => {
            issued = true;
            read(&observation.issued.as_ref().and_then(|i| i.value.clone()))?
        }
        None => None,
    };
    let when = when.ok_or(UNKNOWN)?;
    if use_as == UseAs::Observation && matches!(when, When::Day(_)) {
        return Err(UNKNOWN);
    }
    let now = reader.ctx.now;
    // The noon of today may be still to come.
    let today = matches!(when, When::Day(_)) && when.earliest(&reader.ctx.zone).is_some_and(|start| start <= now);
    let (at, missing) = when.to_timestamp(&reader.ctx.zone).ok_or(UNKNOWN)?;
    let at = if today { at.min(now) } else { at };
    if at.duration_since(now) > CLOCK_SKEW {
        return Err("remark-future");
    }
    Ok(Found { at, missing, issued })
}

/// The time as written, for remarks about values whose time could not be used.
fn time_text(observation: &Observation) -> String {
    let text = match &observation.effective {
        Some(ObservationEffective::DateTime(at)) => at.value.clone(),
        Some(ObservationEffective::Instant(at)) => at.value.clone(),
        Some(ObservationEffective::Period(p)) => typed::text(&p.start).or_else(|| typed::text(&p.end)),
        _ => observation.issued.as_ref().and_then(|i| i.value.clone()),
    };
    text.map_or_else(
        || "?".to_owned(),
        |t| match parse(&t) {
            Some(When::Instant(at)) => remarks::time(at),
            _ => t,
        },
    )
}

/// `GREATER THAN 13.1`, `<0.2`, `>= 40 mg/L`: a number in words, with a unit if one follows.
///
/// Commas are refused: `1,200` is twelve hundred here and one and a fifth there.
fn from_words(text: &str) -> Option<Quantity> {
    const SIGNS: &[(&str, &str)] = &[
        ("less than or equal to", "<="),
        ("greater than or equal to", ">="),
        ("less than", "<"),
        ("greater than", ">"),
        ("more than", ">"),
        ("below", "<"),
        ("above", ">"),
        ("under", "<"),
        ("over", ">"),
        ("<=", "<="),
        (">=", ">="),
        ("\u{2264}", "<="),
        ("\u{2265}", ">="),
        ("<", "<"),
        (">", ">"),
    ];
    let text = text.trim();
    let lower = text.to_lowercase();
    let sign = SIGNS
        .iter()
        .find(|(words, _)| lower.starts_with(words) && text.get(words.len()..).is_some());
    let rest = sign
        .and_then(|(words, _)| text.get(words.len()..))
        .unwrap_or(text)
        .trim_start();
    let end = rest
        .find(|c: char| !(c.is_ascii_digit() || c == '.'))
        .unwrap_or(rest.len());
    let (number, unit) = rest.split_at_checked(end)?;
    super::units::finite(number)?;
    let unit = unit.trim();
    // `1,200`, `1-5`, `1:40`, and powers of ten, are no plain number followed by a unit.
    let mut unit_chars = unit.chars();
    match (unit_chars.next(), unit_chars.next()) {
        (Some(',' | '-' | ':' | '/'), _) => return None,
        (Some('e' | 'E'), Some(c)) if c.is_ascii_digit() || c == '-' || c == '+' => return None,
        _ => {}
    }
    Some(Quantity {
        value: Some(number.to_owned()),
        comparator: sign.map(|(_, sign)| (*sign).to_owned()),
        unit: (!unit.is_empty()).then(|| unit.to_owned()),
        ..Quantity::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_words() {
        for (text, comparator, value, unit) in [
            ("GREATER THAN 13.1", Some(">"), "13.1", None),
            ("LESS THAN 0.4", Some("<"), "0.4", None),
            ("<0.2", Some("<"), "0.2", None),
            (">= 40 mg/L", Some(">="), "40", Some("mg/L")),
            ("7.2", None, "7.2", None),
            ("7.2 ug/mL", None, "7.2", Some("ug/mL")),
        ] {
            let q = from_words(text).unwrap();
            assert_eq!(
                (q.comparator.as_deref(), q.value.as_deref(), q.unit.as_deref()),
                (comparator, Some(value), unit),
                "{text}"
            );
        }
        for text in [
            "",
            "negative",
            "1,200",
            "1-5",
            "1:40",
            "NaN",
            "< ",
            "1e400",
            "HEMOLYZED",
            "1.2.3",
        ] {
            assert!(from_words(text).is_none(), "{text}");
        }
    }
}
