//! When an Observation was true of the patient (FHIR R4, Observation, 10.1: `effective[x]`, `issued`).

use fhir_codec::resources::{Observation, ObservationEffective};
use jiff::{SignedDuration, Timestamp};

use crate::patient::needs::{Measured, UseAs};

use super::facts::{Item, Reader};
use super::time::{CLOCK_SKEW, Missing, When, parse};
use super::{remarks, typed};

/// A level over a longer period than this has no time.
const LONGEST_SAMPLING: SignedDuration = SignedDuration::from_hours(1);
const INVALID: &str = "remark-time-invalid";
const UNKNOWN: &str = "remark-time-unknown";

fn read(text: Option<&String>) -> Result<Option<When>, &'static str> {
    match text {
        Some(text) => parse(text).map(Some).ok_or(INVALID),
        None => Ok(None),
    }
}

/// A moment, and what had to be assumed to have it.
#[derive(Debug)]
pub struct Found {
    /// The moment.
    pub at: Timestamp,
    missing: Missing,
    issued: bool,
}

impl Found {
    /// Says what was assumed.
    pub fn note(&self, reader: &mut Reader<'_>, item: &Item<'_>, name: &str, at: &str) {
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

/// When the value was true of the patient. A level without its time of day is worth nothing; a weight is, and so is a
/// sum over a day.
///
/// # Errors
/// The id of the remark that says why the time cannot be used.
pub fn time_of(reader: &Reader<'_>, observation: &Observation, measured: &Measured) -> Result<Found, &'static str> {
    let use_as = if measured.sum_per_day {
        UseAs::Covariate
    } else {
        measured.use_as
    };
    let mut issued = false;
    let when = match &observation.effective {
        Some(ObservationEffective::DateTime(at)) => read(at.value.as_ref())?,
        Some(ObservationEffective::Instant(at)) => read(at.value.as_ref())?,
        Some(ObservationEffective::Period(period)) => {
            let start = read(typed::text(&period.start).as_ref())?;
            let end = read(typed::text(&period.end).as_ref())?;
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
            read(observation.issued.as_ref().and_then(|i| i.value.as_ref()))?
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
pub fn time_text(observation: &Observation) -> String {
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

/// First and last moment that the time of a test can mean, the last not later than now.
///
/// # Errors
/// The id of the remark that says why the time cannot be used.
pub fn within(reader: &Reader<'_>, observation: &Observation) -> Result<(Timestamp, Timestamp), &'static str> {
    let when = match &observation.effective {
        Some(ObservationEffective::DateTime(at)) => read(at.value.as_ref())?,
        Some(ObservationEffective::Instant(at)) => read(at.value.as_ref())?,
        Some(ObservationEffective::Period(period)) => {
            let start = read(typed::text(&period.start).as_ref())?;
            read(typed::text(&period.end).as_ref())?.or(start)
        }
        Some(_) => None,
        None => read(observation.issued.as_ref().and_then(|i| i.value.as_ref()))?,
    };
    let (zone, now) = (&reader.ctx.zone, reader.ctx.now);
    let (first, last) = when.and_then(|w| w.earliest(zone).zip(w.latest(zone))).ok_or(UNKNOWN)?;
    if first.duration_since(now) > CLOCK_SKEW {
        return Err("remark-future");
    }
    Ok((first.min(now), last.min(now)))
}
