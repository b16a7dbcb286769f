//! Which of several recorded values to believe.
//!
//! * The same value at the same time counts once, whatever the number of resources.
//! * Two exact values less than ten minutes apart that differ by more than a fifth contradict each other: one of them
//!   is wrong, and nothing in the record says which. Neither is used, and both are named.
//! * Body weight and height (whatever is measured in kilograms or centimetres) do not change by a quarter in a week,
//!   but are often mistyped: pounds as kilograms, inches as centimetres, another patient's chart. When the values of
//!   the last seven days before the newest disagree by more than a quarter, the one nearest to their median is used,
//!   the newest among equals; older values that agree with it are kept, the others are named. Where only two values at
//!   the same moment stand against each other, the rule above holds.
//! * Anything else, creatinine above all, may well change by a quarter in a day: the newest counts.

use jiff::SignedDuration;

use crate::patient::facts::{Bound, Measurement};
use crate::patient::needs::{Measured, UseAs};

use super::facts::Reader;
use super::remarks;
use super::time::hours_between;

const SAME_TIME: SignedDuration = SignedDuration::from_mins(10);
/// Two exact values of one thing at one time that differ by more than this part of their mean contradict each other.
pub const CONTRADICTION: f64 = 0.2;
const STEADY: SignedDuration = SignedDuration::from_hours(7 * 24);
const DISAGREEMENT: f64 = 0.25;

/// Quantities of the body that are steady for a week.
fn is_steady(need: &Measured) -> bool {
    need.use_as == UseAs::Covariate
        && !need.sum_per_day
        && matches!(need.unit.as_str(), "kg" | "g" | "[lb_av]" | "cm" | "m" | "[in_i]")
}

/// Difference as a fraction of the mean.
pub fn difference(a: f64, b: f64) -> f64 {
    let mean = (a.abs() + b.abs()) / 2.0;
    if mean == 0.0 { 0.0 } else { (a - b).abs() / mean }
}

/// The values to use, oldest first.
pub fn settle(reader: &mut Reader<'_>, need: &Measured, mut values: Vec<Measurement>) -> Vec<Measurement> {
    // Final before preliminary, so that of two equal values the firmer one stays.
    values.sort_by(|a, b| {
        (a.time, a.preliminary, &a.source)
            .cmp(&(b.time, b.preliminary, &b.source))
            .then(a.value.total_cmp(&b.value))
    });
    values = in_window(reader, need, values);
    let mut unique: Vec<Measurement> = Vec::with_capacity(values.len());
    for value in values {
        let twin = unique
            .iter()
            .rev()
            .take_while(|v| v.time == value.time)
            .any(|v| v.bound == value.bound && difference(v.value, value.value) < 1e-6);
        if !twin {
            unique.push(value);
        }
    }
    let contradicts = contradictions(&unique);
    if is_steady(need) {
        let week: Vec<usize> = last_week(&unique);
        if week.iter().any(|i| contradicts.get(*i) == Some(&false)) {
            return steady(reader, need, unique);
        }
    }
    let mut kept = Vec::with_capacity(unique.len());
    for (value, bad) in unique.into_iter().zip(contradicts) {
        if bad {
            say(reader, "remark-contradiction", need, &value, &[]);
        } else {
            kept.push(value);
        }
    }
    kept
}

/// Says that a value is not used.
pub fn say(reader: &mut Reader<'_>, id: &'static str, need: &Measured, value: &Measurement, more: &[(&str, &str)]) {
    let shown = shown(need, value);
    let time = remarks::time(value.time);
    let mut args = vec![
        ("name", need.name.as_str()),
        ("value", shown.as_str()),
        ("time", time.as_str()),
    ];
    args.extend_from_slice(more);
    reader.notes.ignore(id, &args, Some(&value.source));
}

/// A value as recorded, for remarks.
pub fn shown(need: &Measured, value: &Measurement) -> String {
    value
        .converted_from
        .clone()
        .unwrap_or_else(|| format!("{} {}", remarks::number(value.value), need.unit))
}

/// Leaves out what is too old. The newest of several old values of a covariate is named when there is no other.
fn in_window(reader: &mut Reader<'_>, need: &Measured, values: Vec<Measurement>) -> Vec<Measurement> {
    let limit = match need.use_as {
        UseAs::Covariate => need.within,
        UseAs::Observation => Some(need.within.unwrap_or(reader.needs.history)),
    };
    let Some(limit) = limit else { return values };
    let now = reader.ctx.now;
    let (mut fresh, mut old) = (Vec::new(), Vec::new());
    for value in values {
        if now.duration_since(value.time) <= limit {
            fresh.push(value)
        } else {
            old.push(value)
        }
    }
    let hours = remarks::number(limit.as_secs_f64() / 3600.0);
    match old.last() {
        Some(newest) if need.use_as == UseAs::Covariate && fresh.is_empty() => {
            say(reader, "remark-too-old", need, newest, &[("limit", &hours)]);
        }
        Some(_) if need.use_as == UseAs::Observation => {
            let count = old.len().to_string();
            reader.notes.ignore(
                "remark-before-window",
                &[("name", &need.name), ("count", &count), ("limit", &hours)],
                None,
            );
        }
        _ => {}
    }
    fresh.shrink_to_fit();
    fresh
}

/// For every value, whether another contradicts it. Values are sorted by time.
fn contradictions(values: &[Measurement]) -> Vec<bool> {
    let mut bad = vec![false; values.len()];
    for (i, a) in values.iter().enumerate() {
        for (j, b) in values.iter().enumerate().skip(i + 1) {
            if b.time.duration_since(a.time) >= SAME_TIME {
                break;
            }
            // A limit says nothing about how far beyond it the value lies.
            let against = match (a.bound, b.bound) {
                (Bound::Exact, Bound::Exact) => difference(a.value, b.value) > CONTRADICTION,
                _ => false,
            };
            if against {
                for k in [i, j] {
                    if let Some(flag) = bad.get_mut(k) {
                        *flag = true;
                    }
                }
            }
        }
    }
    bad
}

fn last_week(values: &[Measurement]) -> Vec<usize> {
    let Some(newest) = values.last() else { return Vec::new() };
    values
        .iter()
        .enumerate()
        .filter(|(_, v)| newest.time.duration_since(v.time) <= STEADY)
        .map(|(i, _)| i)
        .collect()
}

/// The choice among repeated weights or heights.
fn steady(reader: &mut Reader<'_>, need: &Measured, values: Vec<Measurement>) -> Vec<Measurement> {
    let week: Vec<&Measurement> = last_week(&values).into_iter().filter_map(|i| values.get(i)).collect();
    let mut sorted: Vec<f64> = week.iter().map(|v| v.value).collect();
    sorted.sort_by(f64::total_cmp);
    let (Some(low), Some(high)) = (sorted.first().copied(), sorted.last().copied()) else {
        return values;
    };
    if difference(low, high) <= DISAGREEMENT {
        return values;
    }
    let middle = |i: usize| sorted.get(i).copied().unwrap_or(low);
    let median = (middle((sorted.len() - 1) / 2) + middle(sorted.len() / 2)) / 2.0;
    let mut chosen: Option<&Measurement> = None;
    for value in &week {
        // Sorted by time: of equal distances the newest wins.
        if chosen.is_none_or(|c| (value.value - median).abs() <= (c.value - median).abs() + 1e-9) {
            chosen = Some(value);
        }
    }
    let Some(chosen) = chosen.cloned() else { return values };
    let used = shown(need, &chosen);
    let mut kept = Vec::new();
    for value in values {
        if difference(value.value, chosen.value) > DISAGREEMENT {
            if hours_between(value.time, chosen.time).abs() <= STEADY.as_secs_f64() / 3600.0 {
                say(reader, "remark-disagrees", need, &value, &[("used", &used)]);
            }
        } else if value.time <= chosen.time {
            kept.push(value);
        }
    }
    let (low, high) = (remarks::number(low), remarks::number(high));
    let time = remarks::time(chosen.time);
    reader.notes.assume(
        "remark-chosen",
        &[
            ("name", &need.name),
            ("value", &used),
            ("time", &time),
            ("low", &low),
            ("high", &high),
            ("unit", &need.unit),
        ],
        Some(&chosen.source),
    );
    kept
}
