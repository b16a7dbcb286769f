//! The values at hand about a patient: what formulas of the clinician's file read, and the inputs of the models.

use jiff::{Timestamp, tz::TimeZone};

use crate::{
    model::{
        formula::Values,
        twin_file::{Item, Role, TwinFile, Use},
    },
    patient::facts::{Bound, Facts, Measurement, Regimen, Sex},
};

use super::ledger::Ledger;

/// Completed years of age on the day of `now`.
#[must_use]
pub fn age_years(facts: &Facts, now: Timestamp, zone: &TimeZone) -> Option<f64> {
    let born = facts.person.birth_date?;
    let today = now.to_zoned_datetime(zone.clone()).date();
    let had_birthday = (today.month(), today.day()) >= (born.month(), born.day());
    let years = i32::from(today.year()) - i32::from(born.year()) - i32::from(!had_birthday);
    (years >= 0).then(|| f64::from(years))
}

/// The value of a record item that counts now: the newest that is fresh or, for a baseline, the newest before the first dose.
#[must_use]
pub fn current<'a>(file: &TwinFile, facts: &'a Facts, name: &str, now: Timestamp) -> Option<&'a Measurement> {
    let spec = file.needs.measured.iter().find(|m| m.name == name)?;
    let series = facts.measured.get(name)?;
    let exact = || series.iter().rev().filter(|m| m.bound == Bound::Exact);
    let fresh = |m: &&Measurement| spec.within.is_none_or(|within| now.duration_since(m.time) <= within);
    let first_dose = facts.given.first().map(|g| g.time);
    match (file.item(name).map(|i: &Item| &i.role), first_dose) {
        (Some(Role::Covariate(Use::Baseline)), Some(first)) => exact().find(|m| m.time <= first),
        _ => exact().next().filter(fresh),
    }
}

fn hours_since(time: Timestamp, now: Timestamp) -> f64 {
    now.duration_since(time).as_secs_f64() / 3600.0
}

/// Everything that is known; what is not known is not in it.
#[must_use]
pub fn gather(
    file: &TwinFile,
    facts: &Facts,
    ledger: &Ledger,
    plan: Option<&Regimen>,
    now: Timestamp,
    zone: &TimeZone,
) -> Values {
    let mut values = Values::new();
    let mut put = |name: &str, value: Option<f64>| {
        if let Some(value) = value {
            values.insert(name.to_owned(), value);
        }
    };
    if let Some(name) = &file.age_input {
        put(name, age_years(facts, now, zone));
    }
    if let Some(name) = &file.female_input {
        put(
            name,
            match facts.person.sex {
                Sex::Female => Some(1.0),
                Sex::Male => Some(0.0),
                Sex::Unknown => None,
            },
        );
    }
    for item in &file.items {
        let series = facts.measured.get(&item.name).map(Vec::as_slice).unwrap_or_default();
        let mut exact = series.iter().filter(|m| m.bound == Bound::Exact);
        put(&item.name, current(file, facts, &item.name, now).map(|m| m.value));
        put(&format!("{}_first", item.name), exact.next().map(|m| m.value));
        let hours = series.last().map(|m| hours_since(m.time, now));
        put(&format!("{}_hours", item.name), hours);
        if matches!(item.role, Role::Observed { .. }) {
            let used = ledger
                .levels
                .iter()
                .filter(|l| l.output == item.name && l.left_out.is_none());
            #[expect(clippy::cast_precision_loss, reason = "a record has few values")]
            put(&format!("n_{}", item.name), Some(used.count() as f64));
        }
    }
    for flag in &file.needs.flags {
        let by_code = file.recorded_as.iter().find(|r| r.flag == flag.name);
        let is = match by_code {
            Some(by) => facts
                .measured
                .get(&by.item)
                .and_then(|series| series.last())
                .map(|newest| {
                    let is = |c: &crate::patient::needs::Code| newest.recorded_as == format!("{}|{}", c.system, c.code);
                    by.codes.iter().any(is)
                }),
            None => Some(facts.flags.contains_key(&flag.name)),
        };
        put(&flag.name, is.map(|is| f64::from(u8::from(is))));
    }
    for (name, found) in &facts.categories {
        #[expect(clippy::cast_precision_loss, reason = "a handful of levels")]
        put(name, Some(found.level as f64));
    }
    #[expect(clippy::cast_precision_loss, reason = "a record has few doses")]
    put("doses", Some(facts.given.len() as f64));
    put("hours_since_dose", facts.given.last().map(|g| hours_since(g.time, now)));
    put(
        "hours_since_first_dose",
        facts.given.first().map(|g| hours_since(g.time, now)),
    );
    put("plan_dose", plan.map(|p| p.amount));
    put("plan_interval", plan.map(|p| p.interval_hours));
    for derived in &file.derived {
        if let Some(value) = derived.is.value(&values) {
            values.insert(derived.name.clone(), value);
        }
    }
    values
}
