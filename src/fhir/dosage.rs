//! Dosage instructions reduced to a dose at an interval, or to the reason why they are none.

use crate::patient::facts::Regimen;
use crate::patient::needs::{AssumedInfusion, Drug};

pub use super::timing::Timing;
use super::timing::{Pace, Weekdays, daily_slot, hours_in, pace};
use super::units::{Analyte, Quantity};

#[cfg(test)]
#[path = "dosage_tests.rs"]
mod tests;

/// Longest infusion that is one dose, hours.
const LONGEST_INFUSION: f64 = 336.0;

/// Amount of one dose.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Dose {
    /// Not given.
    #[default]
    None,
    /// An amount.
    Quantity(Quantity),
    /// From, to: for somebody else to choose.
    Range,
    /// Ordered and calculated, or per size: more than one.
    Several,
}

/// Speed of an infusion.
#[derive(Debug, Clone, PartialEq)]
pub enum Rate {
    /// Amount per time in one unit.
    Quantity(Quantity),
    /// Amount, and time.
    Ratio(Quantity, Quantity),
}

/// One dosage instruction.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Dosage {
    /// Order of the instructions.
    pub sequence: Option<i64>,
    /// When needed.
    pub as_needed: bool,
    /// A modifier extension is present.
    pub modified: bool,
    /// Texts and codes of the route.
    pub route: Vec<String>,
    /// Amount.
    pub dose: Dose,
    /// Speed.
    pub rate: Option<Rate>,
    /// Timing.
    pub timing: Timing,
}

/// What an order says, when it can be understood.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Understood {
    /// In the drug's unit.
    pub amount: f64,
    /// Hours between doses, on average; `None` for one dose only.
    pub interval_hours: Option<f64>,
    /// Hours of infusion.
    pub duration_hours: f64,
    /// Whether the length of infusion is the twin's assumption.
    pub duration_assumed: bool,
    /// Number of doses, when limited.
    pub count: Option<f64>,
    /// The days of the week on which doses are due, where the gaps between them differ.
    pub days: Weekdays,
}

impl Understood {
    /// The regimen, when the dose is repeated.
    pub fn regimen(&self) -> Option<Regimen> {
        Some(Regimen {
            amount: self.amount,
            interval_hours: self.interval_hours?,
            duration_hours: self.duration_hours,
        })
    }
}

/// Length of infusion that the twin assumes.
pub fn assumed_hours(assumed: AssumedInfusion, amount: f64) -> f64 {
    (assumed.hours_per_unit * amount).max(assumed.at_least)
}

/// Amount in the drug's unit.
///
/// # Errors
/// The id of the message that says why there is none.
pub fn amount(quantity: &Quantity, drug: &Drug) -> Result<f64, &'static str> {
    if quantity.comparator.is_some() {
        return Err("order-unclear-dose");
    }
    match quantity.to(&drug.unit, Analyte::default()) {
        Ok(amount) if amount > 0.0 => Ok(amount),
        Ok(_) => Err("order-unclear-dose"),
        Err(_) if per_weight(quantity) => Err("order-unclear-per-weight"),
        Err(_) => Err("order-unclear-dose-unit"),
    }
}

/// Whether the amount is per kilogram or per square metre.
pub fn per_weight(quantity: &Quantity) -> bool {
    [&quantity.code, &quantity.unit].into_iter().flatten().any(|u| {
        let unit = u.to_ascii_lowercase();
        ["/kg", "/m2", "/m\u{b2}", "per kg", "per m"]
            .iter()
            .any(|u| unit.contains(u))
    })
}

/// Amount of drug per hour.
pub fn per_hour(rate: &Rate, drug: &Drug) -> Option<f64> {
    let value = match rate {
        Rate::Quantity(q) => q.to(&format!("{}/h", drug.unit), Analyte::default()).ok()?,
        Rate::Ratio(top, bottom) => {
            let hours = bottom.to("h", Analyte::default()).ok().filter(|h| *h > 0.0)?;
            top.to(&drug.unit, Analyte::default()).ok()? / hours
        }
    };
    (value > 0.0 && value.is_finite()).then_some(value)
}

/// All instructions of one order as one dose at one interval.
///
/// A loading dose followed by a maintenance dose is understood when `sequence` tells them apart: the maintenance dose
/// is the regimen. Equal doses at different times of the day are a regimen too. Anything else with several instructions
/// is left to its reader.
///
/// # Errors
/// The id of the message that says why not.
pub fn understand(dosages: &[Dosage], drug: &Drug, assumed: AssumedInfusion) -> Result<Understood, &'static str> {
    match dosages {
        [] => Err("order-unclear-no-dosage"),
        [one] => understand_one(one, drug, assumed),
        [first, rest @ ..] if rest.iter().all(|d| d == first) => understand_one(first, drug, assumed),
        several => {
            if let Some(daily) = over_the_day(several, drug, assumed) {
                return Ok(daily);
            }
            let mut ordered: Vec<&Dosage> = several.iter().collect();
            ordered.sort_by_key(|d| d.sequence);
            let distinct = ordered
                .windows(2)
                .all(|w| matches!(w, [a, b] if a.sequence.is_some() && a.sequence < b.sequence));
            let [loading @ .., last] = ordered.as_slice() else {
                return Err("order-unclear-several");
            };
            let single = |d: &Dosage| understand_one(d, drug, assumed).is_ok_and(|u| u.interval_hours.is_none());
            if !distinct || !loading.iter().all(|d| single(d)) {
                return Err("order-unclear-several");
            }
            understand_one(last, drug, assumed)
        }
    }
}

/// Amount and hours of infusion of a single dose: when the order is for one dose, or gives a dose and no timing at all.
pub fn once(dosages: &[Dosage], drug: &Drug, assumed: AssumedInfusion) -> Option<(f64, f64)> {
    match understand(dosages, drug, assumed) {
        Ok(u) => u.interval_hours.is_none().then_some((u.amount, u.duration_hours)),
        Err("order-unclear-no-timing") => {
            let [first, rest @ ..] = dosages else { return None };
            if first.timing.events.len() > 1 || first.timing.count.is_some() || rest.iter().any(|d| d != first) {
                return None;
            }
            let dose = one_dose(first, drug, None, assumed).ok()?;
            Some((dose.amount, dose.duration_hours))
        }
        Err(_) => None,
    }
}

/// Equal doses, each for another time of the day, every day.
fn over_the_day(several: &[Dosage], drug: &Drug, assumed: AssumedInfusion) -> Option<Understood> {
    // As often as a day has hours; a longer list is no regimen.
    if several.len() > 24 {
        return None;
    }
    let mut slots: Vec<String> = several.iter().filter_map(|d| daily_slot(&d.timing)).collect();
    slots.sort();
    slots.dedup();
    if slots.len() != several.len() {
        return None;
    }
    let interval = 24.0 / several.len() as f64;
    let mut doses = several.iter().map(|d| one_dose(d, drug, Some(interval), assumed));
    let first = doses.next()?.ok()?;
    doses.all(|d| d == Ok(first)).then_some(first)
}

fn understand_one(dosage: &Dosage, drug: &Drug, assumed: AssumedInfusion) -> Result<Understood, &'static str> {
    // What is wrong with the dose is said before what is wrong with its timing.
    one_dose(dosage, drug, None, assumed)?;
    let Pace { interval_hours, days } = pace(&dosage.timing)?;
    Ok(Understood {
        days,
        ..one_dose(dosage, drug, interval_hours, assumed)?
    })
}

/// The dose of one instruction, and the length of its infusion, at an interval that is known.
fn one_dose(
    dosage: &Dosage,
    drug: &Drug,
    interval_hours: Option<f64>,
    assumed: AssumedInfusion,
) -> Result<Understood, &'static str> {
    if dosage.modified || dosage.timing.modified {
        return Err("order-unclear-modified");
    }
    if dosage.as_needed {
        return Err("order-unclear-as-needed");
    }
    let amount = match &dosage.dose {
        Dose::Quantity(q) => amount(q, drug)?,
        Dose::Range => return Err("order-unclear-dose-range"),
        Dose::Several => return Err("order-unclear-several"),
        Dose::None => return Err("order-unclear-no-dose"),
    };
    let stated = match (dosage.timing.duration, &dosage.timing.duration_unit) {
        (Some(length), Some(unit)) => hours_in(unit).map(|h| h * length),
        _ => dosage
            .rate
            .as_ref()
            .and_then(|rate| per_hour(rate, drug))
            .map(|rate| amount / rate),
    };
    // Longer than a day and than the interval is a continuous infusion, which an interval does not describe.
    let longest = interval_hours.map_or(LONGEST_INFUSION, |hours| hours.clamp(24.0, LONGEST_INFUSION));
    let stated = stated.filter(|h| (0.0..=longest).contains(h));
    Ok(Understood {
        amount,
        interval_hours,
        duration_hours: stated.unwrap_or_else(|| assumed_hours(assumed, amount)),
        duration_assumed: stated.is_none(),
        count: dosage.timing.count,
        days: Weekdays::default(),
    })
}
