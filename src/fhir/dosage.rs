//! Dosage instructions reduced to a dose at an interval, or to the reason why they are none.

use crate::patient::facts::Regimen;
use crate::patient::needs::{AssumedInfusion, Drug};

use super::units::{Analyte, Quantity};

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

/// When doses are due (FHIR R4, Timing, 2.24.0.16).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Timing {
    /// A modifier extension is present.
    pub modified: bool,
    /// Fixed moments.
    pub events: Vec<String>,
    /// Start of the bounds.
    pub start: Option<String>,
    /// End of the bounds.
    pub end: Option<String>,
    /// Length of the bounds.
    pub bounds_hours: Option<f64>,
    /// How many doses.
    pub count: Option<f64>,
    /// Doses in a period.
    pub frequency: Option<f64>,
    /// The period.
    pub period: Option<f64>,
    /// Its unit.
    pub period_unit: Option<String>,
    /// Length of one dose.
    pub duration: Option<f64>,
    /// Its unit.
    pub duration_unit: Option<String>,
    /// Some number is a range.
    pub ranges: bool,
    /// Only on some days.
    pub days_of_week: bool,
    /// Number of clock times.
    pub times_of_day: usize,
    /// Number of events of daily life.
    pub when: usize,
    /// Codes and texts of the timing code.
    pub codes: Vec<String>,
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
    /// Hours between doses; `None` for one dose only.
    pub interval_hours: Option<f64>,
    /// Hours of infusion.
    pub duration_hours: f64,
    /// Whether the length of infusion is the twin's assumption.
    pub duration_assumed: bool,
    /// Number of doses, when limited.
    pub count: Option<f64>,
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
        unit.contains("/kg") || unit.contains("/m2") || unit.contains("per kg")
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
/// is the regimen. Anything else with several instructions is left to its reader.
///
/// # Errors
/// The id of the message that says why not.
pub fn understand(dosages: &[Dosage], drug: &Drug, assumed: AssumedInfusion) -> Result<Understood, &'static str> {
    match dosages {
        [] => Err("order-unclear-no-dosage"),
        [one] => understand_one(one, drug, assumed),
        [first, rest @ ..] if rest.iter().all(|d| d == first) => understand_one(first, drug, assumed),
        several => {
            let mut ordered: Vec<&Dosage> = several.iter().collect();
            ordered.sort_by_key(|d| d.sequence);
            let distinct = ordered
                .windows(2)
                .all(|w| matches!(w, [a, b] if a.sequence.is_some() && a.sequence < b.sequence));
            let [loading @ .., last] = ordered.as_slice() else {
                return Err("order-unclear-several");
            };
            let single = |d: &Dosage| {
                understand_one(d, drug, assumed).is_ok_and(|u| u.interval_hours.is_none() || u.count == Some(1.0))
            };
            if !distinct || !loading.iter().all(|d| single(d)) {
                return Err("order-unclear-several");
            }
            understand_one(last, drug, assumed)
        }
    }
}

fn understand_one(dosage: &Dosage, drug: &Drug, assumed: AssumedInfusion) -> Result<Understood, &'static str> {
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
    let interval_hours = interval(&dosage.timing)?;
    let stated = match (dosage.timing.duration, &dosage.timing.duration_unit) {
        (Some(length), Some(unit)) => hours_in(unit).map(|h| h * length),
        _ => dosage
            .rate
            .as_ref()
            .and_then(|rate| per_hour(rate, drug))
            .map(|rate| amount / rate),
    };
    // Longer than a day is a continuous infusion, which an interval does not describe.
    let stated = stated.filter(|h| (0.0..=24.0).contains(h));
    Ok(Understood {
        amount,
        interval_hours,
        duration_hours: stated.unwrap_or_else(|| assumed_hours(assumed, amount)),
        duration_assumed: stated.is_none(),
        count: dosage.timing.count,
    })
}

/// Hours between doses; `None` for a single dose.
fn interval(timing: &Timing) -> Result<Option<f64>, &'static str> {
    const UNCLEAR: &str = "order-unclear-timing";
    if timing.ranges || timing.days_of_week {
        return Err(UNCLEAR);
    }
    let structured = match (timing.period, &timing.period_unit) {
        (Some(period), Some(unit)) => {
            let hours = hours_in(unit).ok_or(UNCLEAR)? * period;
            let times = timing.frequency.unwrap_or(if timing.times_of_day > 0 {
                timing.times_of_day as f64
            } else {
                1.0
            });
            Some(hours / times)
        }
        (None, None) if timing.times_of_day > 0 => Some(24.0 / timing.times_of_day as f64),
        (None, None) if timing.when > 0 => return Err(UNCLEAR),
        (None, None) => None,
        _ => return Err(UNCLEAR),
    };
    let coded: Vec<Option<f64>> = timing.codes.iter().filter_map(|c| from_code(c)).collect();
    // FHIR allows either to be used; where they contradict each other somebody has to look.
    let by_code = match coded.as_slice() {
        [] if structured.is_none() && !timing.codes.is_empty() => return Err(UNCLEAR),
        [] => None,
        [first, rest @ ..] if rest.iter().all(|c| c == first) => Some(*first),
        _ => return Err(UNCLEAR),
    };
    let interval = match (structured, by_code) {
        (Some(a), Some(Some(b))) if (a - b).abs() > 1e-6 * b => return Err(UNCLEAR),
        (Some(_), Some(None)) => return Err(UNCLEAR),
        (Some(a), _) => Some(a),
        (None, Some(code)) => code,
        (None, None) if timing.count == Some(1.0) || timing.events.len() == 1 => None,
        (None, None) => return Err("order-unclear-no-timing"),
    };
    match interval {
        None => Ok(None),
        // From every five minutes to every ninety days.
        Some(hours) if (0.08..=2160.0).contains(&hours) => Ok(Some(hours)),
        Some(_) => Err(UNCLEAR),
    }
}

/// Hours in a unit of time of Timing.repeat (`s`, `min`, `h`, `d`, `wk`, `mo`, `a`).
fn hours_in(unit: &str) -> Option<f64> {
    Some(match unit {
        "s" => 1.0 / 3600.0,
        "min" => 1.0 / 60.0,
        "h" => 1.0,
        "d" => 24.0,
        "wk" => 168.0,
        _ => return None,
    })
}

/// HL7 `GTSAbbreviation` and what wards write: `Q8H`, `BID`. The inner `None` is a single dose.
fn from_code(code: &str) -> Option<Option<f64>> {
    let code = code.trim().to_ascii_uppercase().replace(' ', "");
    Some(Some(match code.as_str() {
        "QD" | "DAILY" | "OD" | "AM" | "PM" | "QAM" | "QPM" | "QHS" | "BED" | "ONCEDAILY" => 24.0,
        "BID" | "TWICEDAILY" => 12.0,
        "TID" => 8.0,
        "QID" => 6.0,
        "QOD" => 48.0,
        "QH" => 1.0,
        "ONCE" | "X1" | "ONE-TIME" | "ONETIME" | "STAT" | "STATX1" | "ONCALL" => return Some(None),
        _ => {
            let hours = code
                .strip_prefix("EVERY")
                .and_then(|rest| rest.strip_suffix("HOURS").or_else(|| rest.strip_suffix('H')))
                .or_else(|| code.strip_prefix('Q').and_then(|rest| rest.strip_suffix('H')))?;
            let hours: u16 = hours.parse().ok()?;
            if hours == 0 {
                return None;
            }
            f64::from(hours)
        }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ASSUMED: AssumedInfusion = AssumedInfusion {
        hours_per_unit: 0.001,
        at_least: 1.0,
    };

    fn drug() -> Drug {
        Drug {
            name: "v".into(),
            codes: vec![],
            synonyms: vec![],
            unit: "mg".into(),
            routes: vec![],
        }
    }

    fn quantity(value: &str, unit: &str) -> Quantity {
        Quantity {
            value: Some(value.into()),
            unit: Some(unit.into()),
            ..Quantity::default()
        }
    }

    fn dosage(amount: &str, unit: &str, code: &str) -> Dosage {
        Dosage {
            dose: Dose::Quantity(quantity(amount, unit)),
            timing: Timing {
                codes: if code.is_empty() { vec![] } else { vec![code.into()] },
                ..Timing::default()
            },
            ..Dosage::default()
        }
    }

    fn repeat(frequency: f64, period: f64, unit: &str) -> Timing {
        Timing {
            frequency: Some(frequency),
            period: Some(period),
            period_unit: Some(unit.into()),
            ..Timing::default()
        }
    }

    #[test]
    fn intervals() {
        for (code, hours) in [
            ("Q8H", 8.0),
            ("q12h", 12.0),
            ("BID", 12.0),
            ("TID", 8.0),
            ("QD", 24.0),
            ("Q24H", 24.0),
            ("every 6 hours", 6.0),
            ("Q48H", 48.0),
        ] {
            let got = understand(&[dosage("1", "g", code)], &drug(), ASSUMED).unwrap();
            assert_eq!(
                (got.amount, got.interval_hours, got.duration_hours),
                (1000.0, Some(hours), 1.0),
                "{code}"
            );
            assert!(got.duration_assumed);
        }
        for (timing, hours) in [
            (repeat(1.0, 12.0, "h"), 12.0),
            (repeat(3.0, 1.0, "d"), 8.0),
            (repeat(1.0, 90.0, "min"), 1.5),
        ] {
            let d = Dosage {
                timing,
                ..dosage("1500", "mg", "")
            };
            let got = understand(&[d], &drug(), ASSUMED).unwrap();
            assert_eq!((got.interval_hours, got.duration_hours), (Some(hours), 1.5));
        }
        let once = understand(&[dosage("1", "g", "ONCE")], &drug(), ASSUMED).unwrap();
        assert_eq!((once.interval_hours, once.regimen()), (None, None));
    }

    #[test]
    fn length_from_timing_or_rate() {
        let mut d = dosage("1000", "mg", "Q12H");
        d.timing.duration = Some(90.0);
        d.timing.duration_unit = Some("min".into());
        let got = understand(std::slice::from_ref(&d), &drug(), ASSUMED).unwrap();
        assert_eq!((got.duration_hours, got.duration_assumed), (1.5, false));
        let mut d = dosage("1000", "mg", "Q12H");
        d.rate = Some(Rate::Quantity(quantity("500", "mg/h")));
        assert_eq!(
            understand(std::slice::from_ref(&d), &drug(), ASSUMED)
                .unwrap()
                .duration_hours,
            2.0
        );
        d.rate = Some(Rate::Ratio(quantity("1", "g"), quantity("60", "min")));
        assert_eq!(
            understand(std::slice::from_ref(&d), &drug(), ASSUMED)
                .unwrap()
                .duration_hours,
            1.0
        );
        d.rate = Some(Rate::Quantity(quantity("250", "mL/h")));
        assert!(understand(&[d], &drug(), ASSUMED).unwrap().duration_assumed);
    }

    #[test]
    fn what_is_not_clear() {
        let base = || dosage("1000", "mg", "Q12H");
        for (d, why) in [
            (
                Dosage {
                    as_needed: true,
                    ..base()
                },
                "order-unclear-as-needed",
            ),
            (
                Dosage {
                    modified: true,
                    ..base()
                },
                "order-unclear-modified",
            ),
            (
                Dosage {
                    dose: Dose::Range,
                    ..base()
                },
                "order-unclear-dose-range",
            ),
            (
                Dosage {
                    dose: Dose::None,
                    ..base()
                },
                "order-unclear-no-dose",
            ),
            (dosage("15", "mg/kg", "Q12H"), "order-unclear-per-weight"),
            (dosage("1", "dose", "Q12H"), "order-unclear-dose-unit"),
            (dosage("-5", "mg", "Q12H"), "order-unclear-dose"),
            (dosage("5", "mg", ""), "order-unclear-no-timing"),
            (dosage("5", "mg", "whenever"), "order-unclear-timing"),
            (dosage("5", "mg", "Q0H"), "order-unclear-timing"),
            (
                Dosage {
                    timing: Timing {
                        codes: vec!["BID".into()],
                        ..repeat(1.0, 8.0, "h")
                    },
                    ..base()
                },
                "order-unclear-timing",
            ),
            (
                Dosage {
                    timing: repeat(0.0, 8.0, "h"),
                    ..base()
                },
                "order-unclear-timing",
            ),
            (
                Dosage {
                    timing: repeat(1.0, 8.0, "fortnight"),
                    ..base()
                },
                "order-unclear-timing",
            ),
        ] {
            assert_eq!(understand(&[d], &drug(), ASSUMED), Err(why));
        }
        assert_eq!(understand(&[], &drug(), ASSUMED), Err("order-unclear-no-dosage"));
        assert_eq!(
            understand(&[base(), dosage("500", "mg", "Q8H")], &drug(), ASSUMED),
            Err("order-unclear-several")
        );
        assert!(understand(&[base(), base()], &drug(), ASSUMED).is_ok());
    }

    #[test]
    fn loading_then_maintenance() {
        let loading = Dosage {
            sequence: Some(1),
            ..dosage("2000", "mg", "ONCE")
        };
        let then = Dosage {
            sequence: Some(2),
            ..dosage("1000", "mg", "Q12H")
        };
        let got = understand(&[then.clone(), loading], &drug(), ASSUMED).unwrap();
        assert_eq!((got.amount, got.interval_hours), (1000.0, Some(12.0)));
        let other = Dosage {
            sequence: Some(1),
            ..dosage("2000", "mg", "Q8H")
        };
        assert_eq!(
            understand(&[then, other], &drug(), ASSUMED),
            Err("order-unclear-several")
        );
    }
}
