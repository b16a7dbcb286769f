//! The plan that is in force, or that is being drafted: what every alternative is compared with.

use jiff::Timestamp;

use crate::{
    model::twin_file::Treatment,
    patient::facts::{Facts, Given, Order, Regimen},
    twin::plan::infusion_hours,
};

/// The present plan and how it is known.
#[derive(Debug, Clone, PartialEq)]
pub struct Present {
    /// Dose, interval and infusion.
    pub regimen: Regimen,
    /// How it is known.
    pub known_from: KnownFrom,
}

/// How the present plan is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KnownFrom {
    /// From the draft order in the clinician's hands.
    Draft,
    /// From an active order of the record.
    Order,
    /// Read off the doses that were given; said on the card.
    Doses,
}

/// Whether the patient is on this treatment: an active order, or a dose within the twin's `recent`.
#[must_use]
pub fn on_treatment(facts: &Facts, treatment: &Treatment, now: Timestamp) -> bool {
    facts.orders.iter().any(|o| !o.draft && o.active)
        || facts
            .given
            .last()
            .is_some_and(|g| !g.assumed_from_order && now.duration_since(g.time) <= treatment.recent)
}

/// The plan in force: an active order with a clear regimen, else what the last doses show.
#[must_use]
pub fn present(facts: &Facts, treatment: &Treatment, now: Timestamp) -> Option<Present> {
    let order = in_force(facts)
        .filter_map(|o| Some((o.start, regimen(o, treatment)?)))
        .max_by(|a, b| a.0.cmp(&b.0));
    if let Some((_, regimen)) = order {
        return Some(Present {
            regimen,
            known_from: KnownFrom::Order,
        });
    }
    from_doses(facts, treatment, now).map(|regimen| Present {
        regimen,
        known_from: KnownFrom::Doses,
    })
}

/// Two doses in a row that lie much further apart than the plan in force has them: held, or given and not charted. The
/// newest such pair, since the twin believes what is charted.
#[must_use]
pub fn gap<'a>(facts: &'a Facts, present: &Present) -> Option<(&'a Given, &'a Given)> {
    let much = 1.75 * present.regimen.interval_hours;
    let hours = |a: &Given, b: &Given| b.time.duration_since(a.time).as_secs_f64() / 3600.0;
    let mut pairs = facts.given.iter().zip(facts.given.iter().skip(1)).rev();
    // A draft says nothing of how doses were to be given until now.
    pairs.find(|(a, b)| present.known_from != KnownFrom::Draft && hours(a, b) > much)
}

/// How many orders of the record are in force: more than one are given together, and none of them alone is the plan.
#[must_use]
pub fn active_orders(facts: &Facts) -> usize {
    in_force(facts).count()
}

/// The orders of the record that are in force. What the patient is said to take (MedicationStatement) says the same as an order
/// where there is one, and stands for it where there is none.
fn in_force(facts: &Facts) -> impl Iterator<Item = &Order> {
    let active = || facts.orders.iter().filter(|o| !o.draft && o.active);
    let said = |o: &Order| {
        let source = o.source.as_ref();
        source.is_some_and(|s| s.reference.starts_with("MedicationStatement/"))
    };
    let ordered = active().any(|o| !said(o));
    active().filter(move |o| !ordered || !said(o))
}

/// The regimen of a draft order, when it is clear.
#[must_use]
pub fn drafted(order: &Order, treatment: &Treatment) -> Option<Present> {
    Some(Present {
        regimen: regimen(order, treatment)?,
        known_from: KnownFrom::Draft,
    })
}

/// What an order amounts to. Where a treatment is given one cycle at a time, an order for one dose is one cycle.
fn regimen(order: &Order, treatment: &Treatment) -> Option<Regimen> {
    let cycle = match treatment.every.as_slice() {
        [only] if treatment.times == Some(1) => Some(only.interval()),
        _ => None,
    };
    let once = order.once.zip(cycle).map(|(amount, interval_hours)| Regimen {
        amount,
        interval_hours,
        duration_hours: order.once_duration_hours,
    });
    Some(complete(order.regimen.or(once)?, treatment))
}

/// An order that gives no length of infusion is taken to be infused as the twin's file says.
fn complete(regimen: Regimen, treatment: &Treatment) -> Regimen {
    if regimen.duration_hours > 0.0 {
        regimen
    } else {
        Regimen {
            duration_hours: infusion_hours(treatment, regimen.amount),
            ..regimen
        }
    }
}

/// Last amount, at the interval of the grid nearest to the median spacing of the last doses; nothing when treatment
/// seems to have ended.
fn from_doses(facts: &Facts, treatment: &Treatment, now: Timestamp) -> Option<Regimen> {
    let last = facts.given.last()?;
    let mut gaps: Vec<f64> = facts
        .given
        .iter()
        .rev()
        .zip(facts.given.iter().rev().skip(1))
        .take(4)
        .map(|(later, earlier)| later.time.duration_since(earlier.time).as_secs_f64() / 3600.0)
        .collect();
    gaps.sort_by(f64::total_cmp);
    let median = *gaps.get(gaps.len() / 2)?;
    let interval_hours = treatment
        .every
        .iter()
        .map(crate::model::twin_file::Schedule::interval)
        .min_by(|a, b| (a / median).ln().abs().total_cmp(&(b / median).ln().abs()))?;
    let since = now.duration_since(last.time).as_secs_f64() / 3600.0;
    (since <= 2.0 * interval_hours).then(|| Regimen {
        amount: last.amount,
        interval_hours,
        duration_hours: infusion_hours(treatment, last.amount),
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use jiff::{SignedDuration, ToSpan};

    use super::*;
    use crate::{
        model::twin_file::TwinFile,
        patient::facts::{Given, Person, Sex, Source},
    };

    fn facts(times: &[i64], now: Timestamp) -> Facts {
        let source = Source {
            reference: "MedicationAdministration/1".into(),
            version: None,
        };
        Facts {
            person: Person {
                id: "p".into(),
                birth_date: None,
                sex: Sex::Male,
                deceased: false,
                source: source.clone(),
            },
            measured: BTreeMap::new(),
            flags: BTreeMap::new(),
            tested_negative: BTreeMap::new(),
            categories: BTreeMap::new(),
            given: times
                .iter()
                .map(|hours_ago| Given {
                    time: now - hours_ago.hours(),
                    amount: 1000.0,
                    duration_hours: 1.0,
                    duration_assumed: false,
                    assumed_from_order: false,
                    source: source.clone(),
                })
                .collect(),
            orders: Vec::new(),
            ignored: Vec::new(),
            assumed: Vec::new(),
        }
    }

    #[test]
    fn a_regimen_is_read_off_the_doses() {
        let treatment = TwinFile::parse("twin.toml", include_str!("../../models/vancomycin/twin.toml"))
            .unwrap()
            .treatment;
        let now: Timestamp = "2026-01-15T12:00:00Z".parse().unwrap();
        let present = present(&facts(&[40, 27, 16, 4], now), &treatment, now).unwrap();
        assert_eq!(present.known_from, KnownFrom::Doses);
        assert!((present.regimen.interval_hours - 12.0).abs() < 1e-9);
        let long_ago = now + SignedDuration::from_hours(60);
        assert!(super::present(&facts(&[40, 27, 16, 4], now), &treatment, long_ago).is_none());
        assert!(super::present(&facts(&[4], now), &treatment, now).is_none());
        assert!(gap(&facts(&[40, 28, 16, 4], now), &present).is_none());
        let uncharted = facts(&[52, 40, 16, 4], now);
        let (before, after) = gap(&uncharted, &present).unwrap();
        assert_eq!(after.time.duration_since(before.time), SignedDuration::from_hours(24));
    }
}
