//! Flags from medications (FHIR R4, MedicationRequest, 11.1; MedicationAdministration, 11.2; MedicationStatement, 11.4):
//! whether the patient is, or was lately, under one of the drugs that a flag asks for.

use std::collections::BTreeMap;

use fhir_codec::resources::{MedicationAdministration, MedicationAdministrationEffective};
use jiff::{SignedDuration, Timestamp};

use crate::patient::facts::Source;
use crate::patient::needs::Flag;

use super::codes::Match;
use super::conditions::set;
use super::drugs::{self, Hit};
use super::facts::{Item, Kind, Reader};
use super::orders::{Written, from_request, from_statement};
use super::peek::Text;
use super::time::{CLOCK_SKEW, parse};
use super::typed;

/// A dose that was given acts for so long where the flag does not say how long.
const ACTS: SignedDuration = SignedDuration::from_hours(24);

/// What a resource says about the patient being under the drug.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Course {
    /// Now.
    Running,
    /// Until then.
    Until(Timestamp),
    /// From then on if it is said, and it has ended; when, nobody says.
    Ended(Option<Timestamp>),
    /// Nothing: not begun, forbidden, proposed, of a status that tells nothing.
    None,
}

/// Whether any flag asks for drugs.
pub fn any_asked(reader: &Reader<'_>) -> bool {
    reader.needs.flags.iter().any(asks)
}

fn asks(flag: &Flag) -> bool {
    !flag.drugs.is_empty() || !flag.synonyms.is_empty()
}

/// Sets the flags that ask for the drug of this resource, if it shows that the patient is under it.
pub fn read(reader: &mut Reader<'_>, item: &Item<'_>, flags: &mut BTreeMap<String, Source>) {
    let needs = reader.needs;
    let asked: Vec<(&Flag, Hit)> = needs
        .flags
        .iter()
        .filter(|flag| asks(flag))
        .filter_map(|flag| Some((flag, drugs::find(reader, flag.into(), item)?)))
        .collect();
    let Some((first, _)) = asked.first() else { return };
    if item.is_entered_in_error() {
        if !reader.is_foreign(item, &first.name) {
            let args = [("name", first.name.as_str())];
            reader
                .notes
                .ignore("remark-entered-in-error-bare", &args, Some(&item.source));
        }
        return;
    }
    if !reader.gate(item, &first.name) {
        return;
    }
    let raw = item.raw.get();
    let course = match item.kind {
        Kind::Administration => fhir_codec::read_medication_administration(raw).map(|a| given(reader, item, &a)),
        Kind::Statement => fhir_codec::read_medication_statement(raw).map(|s| ordered(reader, &from_statement(&s))),
        _ => fhir_codec::read_medication_request(raw).map(|r| ordered(reader, &from_request(&r))),
    };
    let Ok(course) = course else {
        return reader.unreadable(item);
    };
    for (flag, hit) in asked {
        if !counts(reader, flag, item.kind, course) {
            continue;
        }
        if hit.how == Match::Text {
            let text = hit.texts.first().map(String::as_str).unwrap_or_default();
            let args = [("name", flag.name.as_str()), ("text", text)];
            reader.notes.assume_counted("remark-drug-by-text", &args);
        }
        set(flags, flag, &item.source);
    }
}

/// Whether the course makes the flag true. One that ended at an unknown time counts when it began within the time that
/// the flag asks for; else it may have ended years ago, and is only named.
fn counts(reader: &mut Reader<'_>, flag: &Flag, kind: Kind, course: Course) -> bool {
    let within = match kind {
        Kind::Administration => Some(flag.within.unwrap_or(ACTS)),
        _ => flag.within,
    };
    let now = reader.ctx.now;
    let fresh = |at: Timestamp| within.is_some_and(|within| now.duration_since(at) <= within);
    match course {
        Course::Running => true,
        Course::Until(end) => fresh(end),
        Course::Ended(start) if start.is_some_and(fresh) => true,
        Course::Ended(_) if within.is_some() => {
            reader
                .notes
                .ignore_counted("remark-flag-drug-undated", &[("name", &flag.name)]);
            false
        }
        Course::Ended(_) | Course::None => false,
    }
}

/// By an order or a statement.
fn ordered(reader: &Reader<'_>, written: &Written) -> Course {
    let now = reader.ctx.now;
    let span = written.span(reader);
    let begun = span.first.is_none_or(|first| first.duration_since(now) <= CLOCK_SKEW);
    if written.forbidden || !written.is_intended() || !begun {
        return Course::None;
    }
    let over = span.last.filter(|last| *last < now);
    match (written.status.as_str(), over) {
        ("active" | "intended", None) => Course::Running,
        ("active" | "intended" | "completed" | "stopped" | "on-hold", Some(end)) => Course::Until(end),
        ("completed" | "stopped" | "on-hold", None) => Course::Ended(span.first),
        _ => Course::None,
    }
}

/// By an administration.
fn given(reader: &Reader<'_>, item: &Item<'_>, administration: &MedicationAdministration) -> Course {
    let (start, end) = match &administration.effective {
        MedicationAdministrationEffective::DateTime(at) => (at.value.clone(), None),
        MedicationAdministrationEffective::Period(p) => typed::period(p),
        MedicationAdministrationEffective::Invalid => (None, None),
    };
    let (zone, now) = (&reader.ctx.zone, reader.ctx.now);
    let read = |text: &Option<String>| text.as_deref().and_then(parse);
    let (start, end) = (read(&start), read(&end));
    let begins = start.and_then(|w| w.earliest(zone));
    if begins.is_some_and(|begins| begins.duration_since(now) > CLOCK_SKEW) {
        return Course::None;
    }
    let ended = end.or(start).and_then(|w| w.latest(zone)).map(|end| end.min(now));
    match (item.peek.status.as_ref().map(Text::as_str), ended) {
        (Some("in-progress"), _) if end.is_none() => Course::Running,
        (Some("in-progress" | "completed" | "stopped" | "on-hold"), Some(ended)) => Course::Until(ended),
        (Some("in-progress" | "completed" | "stopped" | "on-hold"), None) => Course::Ended(None),
        _ => Course::None,
    }
}
