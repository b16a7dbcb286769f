//! Doses inferred from orders, when the record charts none.
//!
//! Many records hold orders but no administrations. The doses that an order asks for between its start and now are
//! then taken as given, and every use of them is said. As soon as one administration of the drug is charted in the
//! window, nothing is inferred: a chart that is kept says what was given by what it leaves out.

use std::collections::VecDeque;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan as _};

use crate::patient::facts::Given;

use super::facts::Reader;
use super::orders::{ReadOrder, later, shown};
use super::remarks;
use super::time::hours_between;
use super::timing::Weekdays;

/// More than this is no course of treatment that doses can be inferred for.
const MOST: usize = 200;
/// Days of the week are not counted further back than this.
const LONGEST: SignedDuration = SignedDuration::from_hours(24 * 366 * 5);

/// The doses that the orders of the record ask for until now, oldest first; the newest 200 of them.
pub fn doses(reader: &mut Reader<'_>, orders: &[ReadOrder]) -> Vec<Given> {
    let Some(drug) = reader.needs.drug.as_ref() else {
        return Vec::new();
    };
    let now = reader.ctx.now;
    let Ok(window) = now.checked_sub(reader.needs.history) else {
        return Vec::new();
    };
    let mut usable: Vec<(&ReadOrder, Timestamp)> = Vec::new();
    for order in orders {
        // What was completed or stopped without a date of its end may have run for any time.
        let ran = order.status == "active"
            || (matches!(order.status.as_str(), "completed" | "stopped") && order.ends.is_some());
        let single = order.understood.is_some_and(|u| u.interval_hours.is_none());
        if !(ran || (single && order.status == "completed")) || order.ends.is_some_and(|end| end < window) {
            continue;
        }
        let args = [("name", drug.name.as_str())];
        // Several doses on some days of the week: at what times, the order does not say exactly enough.
        let understood = order.understood.filter(|u| {
            let in_week = u.interval_hours.map_or(0.0, |hours| 168.0 / hours);
            u.days.count() == 0 || (in_week - f64::from(u.days.count())).abs() < 1e-6
        });
        match (understood, order.starts) {
            (Some(_), Some(start)) if !order.starts_on_day => usable.push((order, start)),
            (Some(_), _) => reader.notes.ignore_counted("remark-order-no-start", &args),
            (None, _) => reader.notes.ignore_counted("remark-order-unclear", &args),
        }
    }
    usable.sort_by(|a, b| a.1.cmp(&b.1).then_with(|| a.0.order.source.cmp(&b.0.order.source)));
    let mut out = Vec::new();
    for (index, (order, start)) in usable.iter().enumerate() {
        let (Some(understood), Some(source)) = (order.understood, order.order.source.as_ref()) else {
            continue;
        };
        // A repeated order takes the place of the one before, from its own start on.
        let replaced = usable
            .iter()
            .skip(index + 1)
            .find(|(next, at)| at >= start && next.understood.is_some_and(|u| u.interval_hours.is_some()))
            .map(|(_, at)| *at);
        let single = understood.interval_hours.is_none();
        let until = [Some(now), order.ends, if single { None } else { replaced }]
            .into_iter()
            .flatten()
            .min()
            .unwrap_or(now);
        let times = if understood.days.count() == 0 {
            due(*start, window, until, understood.interval_hours, understood.count)
        } else {
            let zone = &reader.ctx.zone;
            due_on_days(*start, window, until, understood.days, understood.count, zone)
        };
        if times.is_empty() {
            continue;
        }
        let (count, amount) = (times.len().to_string(), shown(understood.amount, drug));
        let (first, last) = (
            times.first().copied().unwrap_or(*start),
            times.last().copied().unwrap_or(*start),
        );
        let (first, last) = (remarks::time(first), remarks::time(last));
        let args = [
            ("name", drug.name.as_str()),
            ("count", count.as_str()),
            ("value", amount.as_str()),
            ("first", first.as_str()),
            ("last", last.as_str()),
        ];
        reader.notes.assume("remark-doses-from-order", &args, Some(source));
        out.extend(times.into_iter().map(|time| Given {
            time,
            amount: understood.amount,
            duration_hours: understood.duration_hours,
            duration_assumed: understood.duration_assumed,
            assumed_from_order: true,
            source: source.clone(),
        }));
    }
    out.sort_by(|a, b| a.time.cmp(&b.time).then_with(|| a.source.cmp(&b.source)));
    let surplus = out.len().saturating_sub(MOST);
    out.drain(..surplus.min(out.len()));
    out
}

/// Moments from `start`, every `interval` hours, that lie in the window and before `until`.
fn due(
    start: Timestamp,
    window: Timestamp,
    until: Timestamp,
    interval: Option<f64>,
    count: Option<f64>,
) -> Vec<Timestamp> {
    let Some(interval) = interval else {
        return if start >= window && start < until {
            vec![start]
        } else {
            Vec::new()
        };
    };
    let before = (hours_between(start, until) / interval)
        .ceil()
        .max(0.0)
        .min(count.unwrap_or(f64::INFINITY));
    let skipped = (hours_between(start, window) / interval).ceil().max(0.0);
    // Only the last ones are of interest, however long the order has run.
    let skipped = skipped.max(before - MOST as f64);
    let mut out = Vec::new();
    let mut k = skipped;
    while k < before && out.len() < MOST {
        match later(start, k * interval) {
            Some(at) if at < until => out.push(at),
            _ => break,
        }
        k += 1.0;
    }
    out
}

/// The same on some days of the week, at the clock time of the start.
fn due_on_days(
    start: Timestamp,
    window: Timestamp,
    until: Timestamp,
    days: Weekdays,
    count: Option<f64>,
    zone: &TimeZone,
) -> Vec<Timestamp> {
    let first = zone.to_datetime(start);
    let Ok(earliest) = until.checked_sub(LONGEST) else {
        return Vec::new();
    };
    // What was to end after some doses and began so long ago has ended, or is not known to go on.
    let date = match (start < earliest, count) {
        (false, _) => first.date(),
        (true, None) => zone.to_datetime(earliest).date(),
        (true, Some(_)) => return Vec::new(),
    };
    let mut left = count.unwrap_or(f64::INFINITY);
    let mut out = VecDeque::new();
    for day in date.series(1.day()) {
        let Some(at) = zone
            .to_timestamp(day.to_datetime(first.time()))
            .ok()
            .filter(|at| *at < until)
        else {
            break;
        };
        if !days.has(day.weekday()) || at < start {
            continue;
        }
        if left < 1.0 {
            break;
        }
        left -= 1.0;
        if at >= window {
            out.push_back(at);
        }
        if out.len() > MOST {
            out.pop_front();
        }
    }
    out.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_that_are_due_on_some_days() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let days = crate::fhir::timing::pace(&crate::fhir::timing::Timing {
            days_of_week: vec!["mon".into(), "wed".into(), "fri".into()],
            ..Default::default()
        })
        .unwrap()
        .days;
        let zone = TimeZone::get("Europe/Paris").unwrap();
        // A Tuesday, two days before summer time begins on the following Sunday.
        let (start, window) = (at("2026-03-24T07:00:00Z"), at("2026-03-01T00:00:00Z"));
        let got = |count| due_on_days(start, window, at("2026-03-31T12:00:00Z"), days, count, &zone);
        assert_eq!(
            got(None),
            [
                at("2026-03-25T07:00:00Z"),
                at("2026-03-27T07:00:00Z"),
                at("2026-03-30T06:00:00Z")
            ]
        );
        assert_eq!(got(Some(2.0)).len(), 2);
        let old = due_on_days(
            at("0002-01-01T00:00:00Z"),
            window,
            at("2026-03-31T12:00:00Z"),
            days,
            None,
            &zone,
        );
        assert_eq!(old.len(), 13);
    }

    #[test]
    fn times_that_are_due() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let (start, window) = (at("2026-05-28T08:00:00Z"), at("2026-05-01T00:00:00Z"));
        let n = |until: &str, count| due(start, window, at(until), Some(12.0), count).len();
        assert_eq!(n("2026-05-29T08:00:00Z", None), 2);
        assert_eq!(n("2026-05-29T08:00:01Z", None), 3);
        assert_eq!(n("2026-05-29T08:00:01Z", Some(2.0)), 2);
        assert_eq!(n("2026-05-28T07:00:00Z", None), 0);
        assert_eq!(due(start, window, at("2026-05-29T08:00:00Z"), None, None), [start]);
        // Ten years of an order every hour: the last 200, and quickly.
        let long = due(
            at("2016-01-01T00:00:00Z"),
            at("2016-01-01T00:00:00Z"),
            start,
            Some(1.0),
            None,
        );
        assert_eq!(
            (long.len(), long.last().copied()),
            (200, Some(at("2026-05-28T07:00:00Z")))
        );
    }
}
