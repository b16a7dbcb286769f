//! What the reserved cells of a row say: a dose, an observation, a reset.

use super::columns::Known;
use super::row::{Row, numbered};
use super::{Bound, Course, DataError, Dose, Reading, Steady};

/// What a row is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Event {
    Observation,
    Dose,
    Other,
    Reset,
    ResetAndDose,
}

/// The reserved cells of a row that are plain numbers.
pub(super) struct Items {
    amount: f64,
    rate: f64,
    duration: f64,
    /// Time between doses.
    pub interval: f64,
    additional: i64,
    steady: i64,
    value: Option<f64>,
    no_value: bool,
    censored: i64,
    limit: Option<f64>,
}

impl Items {
    /// Reads and checks them.
    pub fn read(row: &Row<'_>) -> Result<Self, DataError> {
        let positive = |known: Known| -> Result<f64, DataError> {
            let value = row.number(known)?.unwrap_or_default();
            if value < 0.0 {
                return Err(row
                    .error(known, format!("{value} is negative"))
                    .help("it is 0, `.` or empty where it does not apply"));
            }
            Ok(value)
        };
        let code = |known: Known, codes: &[i64], help: &str| -> Result<i64, DataError> {
            let value = row.whole(known)?.unwrap_or_default();
            if !codes.contains(&value) {
                return Err(row.error(known, format!("{value} has no meaning here")).help(help));
            }
            Ok(value)
        };
        let rate = row.number(Known::Rate)?.unwrap_or_default();
        if rate < 0.0 && rate != -1.0 && rate != -2.0 {
            return Err(row
                .error(Known::Rate, format!("{rate} has no meaning here"))
                .help("above 0 a rate, 0 a bolus, -1 the model's rate, -2 the model's duration"));
        }
        let additional = row.whole(Known::Addl)?.unwrap_or_default();
        if additional < 0 {
            return Err(row
                .error(Known::Addl, format!("{additional} is negative"))
                .help("the number of doses after this one; for steady state use SS"));
        }
        if row
            .number(Known::Cmt)
            .is_ok_and(|state| state.is_some_and(|state| state < 0.0))
        {
            return Err(row
                .error(Known::Cmt, "a negative state is not supported")
                .help("states cannot be switched off; a reset is EVID 3"));
        }
        Ok(Self {
            amount: positive(Known::Amt)?,
            rate,
            duration: positive(Known::Dur)?,
            interval: positive(Known::Ii)?,
            additional,
            steady: code(
                Known::Ss,
                &[0, 1, 2],
                "0 none, 1 steady state in place of what is there, 2 added to it",
            )?,
            value: row.number(Known::Dv)?,
            no_value: code(Known::Mdv, &[0, 1], "0 DV is a measurement, 1 it is not")? == 1,
            censored: code(
                Known::Cens,
                &[0, 1, -1],
                "0 measured, 1 below the limit in DV, -1 above the limit in DV",
            )?,
            limit: row.number(Known::Limit)?,
        })
    }

    /// What the row is.
    pub fn event(&self, row: &Row<'_>) -> Result<Event, DataError> {
        let given = row.columns.place(Known::Evid).is_some();
        let event = if given {
            match row.whole(Known::Evid)?.unwrap_or_default() {
                0 => Event::Observation,
                1 => Event::Dose,
                2 => Event::Other,
                3 => Event::Reset,
                4 => Event::ResetAndDose,
                other => {
                    return Err(row.error(Known::Evid, format!("{other} is no event")).help(
                        "0 observation, 1 dose, 2 other, 3 reset, 4 reset and dose; compound numbers such as 101 are not read",
                    ));
                }
            }
        } else if self.amount > 0.0 {
            Event::Dose
        } else {
            Event::Observation
        };
        let doses = matches!(event, Event::Dose | Event::ResetAndDose);
        // Without EVID, NONMEM takes such a row for a dose.
        let endless = self.amount == 0.0 && self.steady == 1 && self.rate > 0.0;
        if endless && (doses || !given) {
            return Err(row
                .error(
                    Known::Amt,
                    "an infusion that has run for ever (SS = 1, RATE > 0, no AMT) is not supported",
                )
                .help("start it with AMT long enough before the first observation"));
        }
        if doses && self.amount == 0.0 {
            return Err(row
                .error(Known::Amt, "a dose row needs an amount above 0")
                .help("for a row without a dose set EVID to 0 or 2"));
        }
        if !doses && self.amount > 0.0 {
            return Err(row
                .error(
                    Known::Amt,
                    format!("the row has the amount {} but is no dose", self.amount),
                )
                .help("set EVID to 1, or AMT to 0"));
        }
        if doses && !given && !self.no_value && self.value.is_some_and(|value| value != 0.0) {
            return Err(row
                .error(Known::Dv, "the row has both a dose and a measurement")
                .help("give each a row of its own, or say with MDV = 1 that DV does not count"));
        }
        Ok(event)
    }

    /// The dose of a dose row.
    pub fn dose(&self, row: &Row<'_>, time: f64, states: &[String]) -> Result<Dose, DataError> {
        if self.rate != 0.0 && self.duration > 0.0 {
            return Err(row
                .error(Known::Dur, "the dose has both a rate and a duration")
                .help("set RATE or DUR to 0"));
        }
        let course = if self.duration > 0.0 {
            Course::Duration(self.duration)
        } else if self.rate > 0.0 {
            Course::Rate(self.rate)
        } else if self.rate == -1.0 {
            Course::ModelledRate
        } else if self.rate == -2.0 {
            Course::ModelledDuration
        } else {
            Course::Bolus
        };
        let mode = match self.steady {
            1 => Some(Steady::Replace),
            2 => Some(Steady::Add),
            _ => None,
        };
        if mode.is_some() && self.interval == 0.0 {
            return Err(row
                .error(Known::Ss, "a steady-state dose needs the interval between doses")
                .help("give it in II, above 0"));
        }
        // 0 is the default state, as in NONMEM.
        let default = matches!(row.number(Known::Cmt), Ok(Some(state)) if state == 0.0);
        Ok(Dose {
            time,
            amount: self.amount,
            course,
            state: if default {
                None
            } else {
                row.choice(Known::Cmt, states, "state")?
            },
            steady: mode.map(|mode| (mode, self.interval)),
            line: row.line,
        })
    }

    /// How many doses follow.
    pub fn more(&self, row: &Row<'_>) -> Result<usize, DataError> {
        if self.additional > 0 && self.interval == 0.0 {
            return Err(row
                .error(Known::Addl, "additional doses need the interval between doses")
                .help("give it in II, above 0"));
        }
        Ok(usize::try_from(self.additional).unwrap_or(usize::MAX))
    }

    /// The reading of an observation row.
    pub fn reading(&self, row: &Row<'_>, time: f64, outputs: &[String]) -> Result<Reading, DataError> {
        let value = self.value.filter(|_| !self.no_value);
        if value.is_none() && self.censored != 0 && !self.no_value {
            return Err(row
                .error(Known::Dv, format!("CENS is {} but DV is missing", self.censored))
                .help("DV holds the limit of quantification"));
        }
        let bound = match (value, self.censored, self.limit) {
            (Some(value), 1, Some(limit)) if limit >= value => {
                return Err(row
                    .error(Known::Limit, format!("LIMIT {limit} is not below DV {value}"))
                    .help("the measurement lies between LIMIT and DV"));
            }
            (Some(_), 1, Some(limit)) => Bound::Between(limit),
            (Some(_), 1, None) => Bound::Below,
            (Some(_), -1, Some(_)) => {
                return Err(row.error(Known::Limit, "LIMIT with CENS = -1 is not supported").help(
                    "leave LIMIT empty; for an interval put its upper end in DV, its lower end in LIMIT and 1 in CENS",
                ));
            }
            (Some(_), -1, None) => Bound::Above,
            _ => Bound::Exact,
        };
        let output = match (row.choice(Known::Dvid, outputs, "output")?, outputs) {
            (None, [_]) => Some(0),
            (None, []) if value.is_some() => {
                return Err(row
                    .error(Known::Dv, "the model has no output that is observed")
                    .help("set MDV to 1, or leave DV empty, to ask for a prediction"));
            }
            (None, _) if value.is_some() => {
                return Err(row
                    .error(Known::Dvid, "which output was measured is not said")
                    .help(numbered(outputs, "output")));
            }
            (found, _) => found,
        };
        Ok(Reading {
            time,
            value,
            bound,
            output,
            line: row.line,
        })
    }
}
