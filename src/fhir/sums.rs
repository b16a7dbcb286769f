//! Values that are parts of a whole: the lesions of a tumour, added up day by day.
//!
//! A sum that lacks a part is smaller than it should be and says so of no one: where anything of a day could not be
//! used, that day has no sum.

use std::collections::{BTreeMap, BTreeSet};

use fhir_codec::resources::Observation;
use jiff::Timestamp;
use jiff::civil::Date;

use crate::patient::facts::{Bound, Measurement};
use crate::patient::needs::Measured;

use super::choose::{CONTRADICTION, difference, say, shown};
use super::facts::{Item, Reader};
use super::peek::Text;
use super::remarks;

/// More values than this are added up without listing them.
const LISTED: usize = 6;

/// A value, and of which part it is.
#[derive(Debug, Clone)]
pub struct Reading {
    /// The part of the body, where the record tells it.
    pub part: Option<String>,
    /// The value.
    pub measurement: Measurement,
}

/// What was read of one kind.
#[derive(Debug, Clone, Default)]
pub struct Values {
    /// The values.
    pub read: Vec<Reading>,
    /// Moments of values that could not be used.
    pub spoilt: Vec<Timestamp>,
}

/// Which part of the body a value is about (FHIR R4, Observation.bodySite; a BodyStructure in Observation.focus).
/// Values of several components of one Observation are different parts.
pub fn part(observation: &Observation, item: &Item<'_>, component: Option<usize>) -> Option<String> {
    let mut words: Vec<String> = Vec::new();
    if let Some(site) = &observation.body_site {
        let text = |t: &Option<String>| t.as_deref().unwrap_or_default().trim().to_lowercase();
        words.extend(site.coding.iter().filter_map(|c| {
            let system = c.system.as_ref().and_then(|s| s.value.as_deref()).unwrap_or_default();
            Some(format!("{system}|{}", c.code.as_ref()?.value.as_deref()?))
        }));
        // Texts differ where codes agree.
        if words.is_empty() {
            let own = site.text.iter().map(|t| text(&t.value));
            let displays = site
                .coding
                .iter()
                .filter_map(|c| c.display.as_ref())
                .map(|d| text(&d.value));
            words.extend(own.chain(displays).filter(|w| !w.is_empty()));
        }
    }
    let focus = item.peek.focus.iter().filter_map(|f| f.reference.as_ref());
    words.extend(focus.map(Text::as_str).map(str::to_owned));
    words.sort();
    words.dedup();
    words.extend(component.map(|place| format!("#{place}")));
    (!words.is_empty()).then(|| words.join(" "))
}

/// The values to choose from: as they were read, or their sums by day.
pub fn values(reader: &mut Reader<'_>, need: &Measured, found: Values) -> Vec<Measurement> {
    if !need.sum_per_day {
        return found.read.into_iter().map(|r| r.measurement).collect();
    }
    let zone = reader.ctx.zone.clone();
    let day = |at: Timestamp| zone.to_datetime(at).date();
    let spoilt: BTreeSet<Date> = found.spoilt.into_iter().map(day).collect();
    let mut days: BTreeMap<Date, Vec<Reading>> = BTreeMap::new();
    for reading in found.read {
        days.entry(day(reading.measurement.time)).or_default().push(reading);
    }
    let mut sums = Vec::new();
    for (date, readings) in days {
        let sum = if spoilt.contains(&date) {
            None
        } else {
            sum(reader, need, date, readings)
        };
        match sum {
            Some(sum) if is_plausible(need, sum.value) => sums.push(sum),
            Some(sum) => {
                let (low, high) = need.plausible.unwrap_or_default();
                let (low, high) = (remarks::number(low), remarks::number(high));
                let more = [("low", low.as_str()), ("high", &high), ("unit", &need.unit)];
                say(reader, "remark-implausible", need, &sum, &more);
            }
            None => {
                let date = date.to_string();
                let args = [("name", need.name.as_str()), ("date", date.as_str())];
                reader.notes.ignore("remark-sum-unclear", &args, None);
            }
        }
    }
    sums
}

fn is_plausible(need: &Measured, sum: f64) -> bool {
    sum.is_finite() && need.plausible.is_none_or(|(low, high)| (low..=high).contains(&sum))
}

/// The values of one day added up, each part once; `None` when they contradict each other.
fn sum(reader: &mut Reader<'_>, need: &Measured, date: Date, mut readings: Vec<Reading>) -> Option<Measurement> {
    // Final before preliminary, so that of two values of one part the firmer one stays.
    readings.sort_by(|a, b| {
        let (a, b) = (&a.measurement, &b.measurement);
        (a.preliminary, &a.source)
            .cmp(&(b.preliminary, &b.source))
            .then(a.value.total_cmp(&b.value))
    });
    let mut parts: BTreeMap<(Option<String>, Timestamp), Vec<Measurement>> = BTreeMap::new();
    for reading in readings {
        let place = (reading.part, reading.measurement.time);
        parts.entry(place).or_default().push(reading.measurement);
    }
    let mut kept: Vec<Measurement> = Vec::new();
    let mut without_part = 0;
    let mut clear = true;
    for ((part, _), values) in parts {
        if part.is_none() {
            let unique = each_once(values);
            without_part += unique.len();
            kept.extend(unique);
            continue;
        }
        let (low, high) = values
            .iter()
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| {
                (low.min(v.value), high.max(v.value))
            });
        let same_bound = values.iter().all(|v| Some(v.bound) == values.first().map(|f| f.bound));
        if !same_bound || difference(low, high) > CONTRADICTION {
            clear = false;
            for value in &values {
                say(reader, "remark-contradiction", need, value, &[]);
            }
        }
        kept.extend(values.into_iter().next());
    }
    let bound = |b: Bound| kept.iter().any(|v| v.bound == b);
    let bound = match (bound(Bound::Below), bound(Bound::Above)) {
        (true, true) => return None,
        (true, false) => Bound::Below,
        (false, true) => Bound::Above,
        (false, false) => Bound::Exact,
    };
    let first = kept.iter().min_by(|a, b| a.source.cmp(&b.source)).filter(|_| clear)?;
    let converted = kept.iter().any(|v| v.converted_from.is_some());
    let listed: Vec<String> = kept.iter().take(LISTED).map(|v| shown(need, v)).collect();
    let one_code = kept.iter().all(|v| v.recorded_as == first.recorded_as);
    let total = Measurement {
        value: kept.iter().map(|v| v.value).sum(),
        bound,
        time: kept.iter().map(|v| v.time).max()?,
        converted_from: (converted && kept.len() <= LISTED).then(|| listed.join(" + ")),
        preliminary: kept.iter().any(|v| v.preliminary),
        recorded_as: if one_code {
            first.recorded_as.clone()
        } else {
            String::new()
        },
        source: first.source.clone(),
    };
    if without_part > 0 && kept.len() > 1 {
        let (count, date) = (without_part.to_string(), date.to_string());
        let args = [
            ("name", need.name.as_str()),
            ("date", date.as_str()),
            ("count", count.as_str()),
        ];
        reader.notes.assume("remark-sum-sites", &args, Some(&total.source));
    }
    Some(total)
}

/// Equal values of one moment are one.
fn each_once(mut values: Vec<Measurement>) -> Vec<Measurement> {
    values.sort_by(|a, b| a.value.total_cmp(&b.value));
    values.dedup_by(|b, a| a.bound == b.bound && difference(a.value, b.value) < 1e-6);
    values
}
