//! When doses are due, reduced to one interval (FHIR R4, Timing, 2.24.0.16).

/// Reason for most refusals.
const UNCLEAR: &str = "order-unclear-timing";
/// Hours of a week.
const WEEK: f64 = 168.0;
/// Days as `Timing.repeat.dayOfWeek` writes them.
const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// When doses are due, as recorded.
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
    /// Only on these days of the week (`mon`, `wed`).
    pub days_of_week: Vec<String>,
    /// Clock times.
    pub times_of_day: Vec<String>,
    /// Events of daily life (`MORN`, `HS`).
    pub when: Vec<String>,
    /// Codes and texts of the timing code.
    pub codes: Vec<String>,
}

/// Some days of the week; none of them means every day.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Weekdays(u8);

impl Weekdays {
    /// `None` for a text that is no day.
    fn of(days: &[String]) -> Option<Self> {
        days.iter().try_fold(Weekdays(0), |set, day| {
            let at = DAYS.iter().position(|d| d.eq_ignore_ascii_case(day.trim()))?;
            Some(Weekdays(set.0 | 1 << at))
        })
    }

    /// Number of days.
    pub fn count(self) -> u32 {
        self.0.count_ones()
    }

    /// Whether doses are due on this day.
    pub fn has(self, day: jiff::civil::Weekday) -> bool {
        self.0 & (1 << day.to_monday_zero_offset()) != 0
    }
}

/// How often a dose is due.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pace {
    /// Hours between doses, on average; `None` for one dose only.
    pub interval_hours: Option<f64>,
    /// The days of the week, where the gaps between them differ.
    pub days: Weekdays,
}

/// How often.
///
/// # Errors
/// The id of the message that says why it is not clear.
pub fn pace(timing: &Timing) -> Result<Pace, &'static str> {
    if timing.ranges {
        return Err(UNCLEAR);
    }
    let days = Weekdays::of(&timing.days_of_week).ok_or(UNCLEAR)?;
    let stated = stated(timing, days)?;
    if timing.count == Some(1.0) && stated.is_none_or(|s| s.is_none_or(is_possible)) {
        return Ok(Pace {
            interval_hours: None,
            days: Weekdays::default(),
        });
    }
    let interval = match stated {
        Some(interval) => interval,
        None if timing.events.len() == 1 => None,
        None => return Err("order-unclear-no-timing"),
    };
    match interval {
        Some(hours) if !is_possible(hours) => Err(UNCLEAR),
        interval_hours => {
            let regular = days.count() == 7 || (days.count() == 1 && interval_hours.is_some_and(|h| h >= WEEK));
            Ok(Pace {
                interval_hours,
                days: if regular { Weekdays::default() } else { days },
            })
        }
    }
}

/// From every five minutes to every ninety days.
fn is_possible(hours: f64) -> bool {
    (0.08..=2160.0).contains(&hours)
}

/// Interval by the structured members and by the code; the inner `None` is a single dose.
fn stated(timing: &Timing, days: Weekdays) -> Result<Option<Option<f64>>, &'static str> {
    let times = timing.times_of_day.len();
    let structured = match (timing.period, &timing.period_unit) {
        (Some(period), Some(unit)) => {
            let hours = hours_in(unit).ok_or(UNCLEAR)? * period;
            // Without a frequency, the clock times and the days say how often.
            let listed = (times.max(1) as f64)
                * if unit == "wk" {
                    f64::from(days.count().max(1))
                } else {
                    1.0
                };
            Some(hours / timing.frequency.unwrap_or(listed))
        }
        (None, None) if times > 0 => Some(24.0 / times as f64),
        (None, None) if !timing.when.is_empty() => return Err(UNCLEAR),
        (None, None) => None,
        _ => return Err(UNCLEAR),
    };
    let coded: Vec<Option<f64>> = timing.codes.iter().filter_map(|c| from_code(c)).collect();
    // FHIR allows either to be used; where they contradict each other somebody has to look.
    let by_code = match coded.as_slice() {
        [] if structured.is_none() && days.count() == 0 && !timing.codes.is_empty() => return Err(UNCLEAR),
        [] => None,
        [first, rest @ ..] if rest.iter().all(|c| c == first) => Some(*first),
        _ => return Err(UNCLEAR),
    };
    let all_days = match (structured, by_code) {
        (Some(a), Some(Some(b))) if (a - b).abs() > 1e-6 * b => return Err(UNCLEAR),
        (Some(_), Some(None)) => return Err(UNCLEAR),
        (Some(a), _) => Some(Some(a)),
        (None, code) => code,
    };
    if days.count() == 0 {
        return Ok(all_days);
    }
    let n = f64::from(days.count());
    let on_days = match all_days {
        None => WEEK / n,
        Some(None) => return Ok(Some(None)),
        // So often in a week: as often as there are days, or somebody has to look.
        Some(Some(hours)) if timing.period_unit.as_deref() == Some("wk") => {
            let in_period = timing.frequency.unwrap_or(n * times.max(1) as f64);
            if in_period % n != 0.0 {
                return Err(UNCLEAR);
            }
            hours
        }
        // So often on each of these days.
        Some(Some(hours)) if hours > 0.0 && hours <= 24.0 && (24.0 / hours).fract().abs() < 1e-9 => hours * 7.0 / n,
        Some(Some(_)) => return Err(UNCLEAR),
    };
    Ok(Some(Some(on_days)))
}

/// The one time of the day at which something is due every day: `MORN`, `08:00`, `PM`.
///
/// Several instructions of one order are understood when each is for another time of the day.
pub fn daily_slot(timing: &Timing) -> Option<String> {
    let plain = !timing.modified
        && !timing.ranges
        && timing.count.is_none()
        && timing.events.is_empty()
        && timing.days_of_week.is_empty();
    let daily = match (timing.period, timing.period_unit.as_deref()) {
        (Some(period), Some(unit)) => hours_in(unit)? * period / timing.frequency.unwrap_or(1.0) == 24.0,
        (None, None) => timing.frequency.is_none_or(|f| f == 1.0),
        _ => false,
    };
    let coded = || {
        let mut codes = timing.codes.iter().map(|c| bare(c));
        codes.find_map(|code| {
            Some(match code.as_str() {
                "AM" | "QAM" => "AM",
                "PM" | "QPM" => "PM",
                "BED" | "QHS" => "HS",
                _ => return None,
            })
        })
    };
    let slot = match (timing.when.as_slice(), timing.times_of_day.as_slice()) {
        ([when], []) => when.clone(),
        ([], [time]) => time.clone(),
        ([], []) => coded()?.to_owned(),
        _ => return None,
    };
    (plain && daily).then_some(slot)
}

/// Hours in a unit of time of Timing.repeat (`s`, `min`, `h`, `d`, `wk`). Months and years have no fixed length.
pub fn hours_in(unit: &str) -> Option<f64> {
    Some(match unit {
        "s" => 1.0 / 3600.0,
        "min" => 1.0 / 60.0,
        "h" => 1.0,
        "d" => 24.0,
        "wk" => WEEK,
        _ => return None,
    })
}

fn bare(code: &str) -> String {
    code.trim().to_ascii_uppercase().replace([' ', '-'], "")
}

/// HL7 `GTSAbbreviation` and what wards write: `Q8H`, `BID`, `every 3 weeks`. The inner `None` is a single dose.
fn from_code(code: &str) -> Option<Option<f64>> {
    let code = bare(code);
    Some(Some(match code.as_str() {
        "QD" | "DAILY" | "OD" | "AM" | "PM" | "QAM" | "QPM" | "QHS" | "BED" | "ONCEDAILY" => 24.0,
        "BID" | "TWICEDAILY" => 12.0,
        "TID" => 8.0,
        "QID" => 6.0,
        "QOD" | "EVERYOTHERDAY" => 48.0,
        "QH" => 1.0,
        "WK" | "QWK" | "QW" | "WEEKLY" | "ONCEWEEKLY" | "EVERYWEEK" => WEEK,
        "ONCE" | "X1" | "ONETIME" | "STAT" | "STATX1" | "ONCALL" => return Some(None),
        _ => {
            let rest = code.strip_prefix("EVERY").or_else(|| code.strip_prefix('Q'))?;
            let end = rest.find(|c: char| !c.is_ascii_digit())?;
            let (number, unit) = rest.split_at_checked(end)?;
            let hours = match unit {
                "H" | "HOURS" => 1.0,
                "D" | "DAYS" => 24.0,
                "W" | "WK" | "WEEKS" => WEEK,
                _ => return None,
            };
            let number: u16 = number.parse().ok().filter(|n| *n > 0)?;
            f64::from(number) * hours
        }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repeat(frequency: Option<f64>, period: Option<f64>, unit: Option<&str>, days: &[&str]) -> Timing {
        Timing {
            frequency,
            period,
            period_unit: unit.map(str::to_owned),
            days_of_week: days.iter().map(|d| (*d).to_owned()).collect(),
            ..Timing::default()
        }
    }

    fn coded(code: &str) -> Timing {
        Timing {
            codes: vec![code.to_owned()],
            ..Timing::default()
        }
    }

    #[test]
    fn weeks_and_days() {
        for (timing, hours) in [
            (repeat(Some(1.0), Some(8.0), Some("wk"), &[]), 1344.0),
            (repeat(Some(3.0), Some(1.0), Some("wk"), &[]), 56.0),
            (repeat(Some(1.0), Some(21.0), Some("d"), &[]), 504.0),
            (coded("Q3W"), 504.0),
            (coded("every 2 weeks"), 336.0),
            (coded("Q14D"), 336.0),
            (coded("weekly"), 168.0),
            (coded("WK"), 168.0),
        ] {
            let pace = pace(&timing).unwrap();
            assert_eq!((pace.interval_hours, pace.days.count()), (Some(hours), 0), "{timing:?}");
        }
    }

    #[test]
    fn days_of_the_week() {
        let three = ["mon", "wed", "fri"];
        for (timing, hours, irregular) in [
            (repeat(None, None, None, &three), 56.0, 3),
            (repeat(Some(1.0), Some(1.0), Some("d"), &three), 56.0, 3),
            (repeat(Some(2.0), Some(1.0), Some("d"), &three), 28.0, 3),
            (repeat(Some(3.0), Some(1.0), Some("wk"), &three), 56.0, 3),
            (repeat(None, Some(1.0), Some("wk"), &three), 56.0, 3),
            (repeat(Some(6.0), Some(2.0), Some("wk"), &three), 56.0, 3),
            (repeat(None, None, None, &["mon", "mon", "MON"]), 168.0, 0),
            (repeat(Some(1.0), Some(2.0), Some("wk"), &["tue"]), 336.0, 0),
            (repeat(None, None, None, &DAYS), 24.0, 0),
        ] {
            let pace = pace(&timing).unwrap();
            assert_eq!(
                (pace.interval_hours, pace.days.count()),
                (Some(hours), irregular),
                "{timing:?}"
            );
        }
        let bid = Timing {
            codes: vec!["BID".into()],
            ..repeat(None, None, None, &["sat", "sun"])
        };
        assert_eq!(pace(&bid).unwrap().interval_hours, Some(42.0));
        let set = Weekdays::of(&["mon".to_owned(), "sun".to_owned()]).unwrap();
        assert!(set.has(jiff::civil::Weekday::Sunday) && !set.has(jiff::civil::Weekday::Tuesday));
        for timing in [
            // Once in a week, on three days.
            repeat(Some(1.0), Some(1.0), Some("wk"), &three),
            repeat(Some(4.0), Some(1.0), Some("wk"), &three),
            repeat(Some(1.0), Some(2.0), Some("d"), &three),
            repeat(Some(0.0), Some(1.0), Some("d"), &three),
            repeat(None, None, None, &["monday"]),
            repeat(Some(1.0), Some(1.0), Some("mo"), &[]),
            coded("Q0W"),
            coded("Q99999D"),
            coded("every blue moon"),
        ] {
            assert!(pace(&timing).is_err(), "{timing:?}");
        }
    }

    #[test]
    fn one_dose() {
        for timing in [
            coded("ONCE"),
            Timing {
                count: Some(1.0),
                ..repeat(Some(1.0), Some(3.0), Some("wk"), &[])
            },
            Timing {
                count: Some(1.0),
                ..Timing::default()
            },
            Timing {
                events: vec!["2026-05-30".into()],
                ..Timing::default()
            },
        ] {
            assert_eq!(pace(&timing).unwrap().interval_hours, None, "{timing:?}");
        }
        assert_eq!(pace(&Timing::default()), Err("order-unclear-no-timing"));
    }

    #[test]
    fn slots() {
        let at = |when: &str| Timing {
            when: vec![when.into()],
            ..repeat(Some(1.0), Some(1.0), Some("d"), &[])
        };
        assert_eq!(daily_slot(&at("MORN")).as_deref(), Some("MORN"));
        assert_eq!(daily_slot(&coded("QPM")).as_deref(), Some("PM"));
        assert_eq!(daily_slot(&coded("BID")), None);
        let twice = Timing {
            frequency: Some(2.0),
            ..at("MORN")
        };
        assert_eq!(daily_slot(&twice), None);
        let mondays = Timing {
            days_of_week: vec!["mon".into()],
            ..at("MORN")
        };
        assert_eq!(daily_slot(&mondays), None);
    }
}
