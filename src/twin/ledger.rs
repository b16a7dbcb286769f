//! Facts on the time axis of the models: hours since an origin, doses, observations, changes of inputs; and which levels can
//! be used.

use jiff::Timestamp;

use crate::{
    engine::{Dose, Observation},
    model::{
        formula::Values,
        model_file::Model,
        twin_file::{Enters, Origin, Role, TwinFile, Use},
    },
    patient::facts::{Bound, Facts, Measurement},
};

/// A level and whether the fit may use it.
#[derive(Debug, Clone, PartialEq)]
pub struct Level {
    /// The output that it is an observation of.
    pub output: String,
    /// The measurement.
    pub measurement: Measurement,
    /// Hours since the origin.
    pub hours: f64,
    /// Why it is left out, if it is.
    pub left_out: Option<LeftOut>,
}

/// Why a level is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeftOut {
    /// Drawn during an infusion or too soon after it: the drug was still distributing.
    Distribution,
    /// No dose is known before it.
    NoDoseBefore,
}

/// An input that has a new value from a time on.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// Hours since the origin.
    pub hours: f64,
    /// Which input.
    pub input: String,
    /// Its value from then on.
    pub value: f64,
}

/// The models' view of a patient.
#[derive(Debug, Clone, PartialEq)]
pub struct Ledger {
    /// Hour 0.
    pub origin: Timestamp,
    /// Now, in hours since the origin.
    pub now: f64,
    /// Doses given.
    pub doses: Vec<Dose>,
    /// Whether any of them is charted, and not inferred from an order.
    pub charted: bool,
    /// Levels, oldest first.
    pub levels: Vec<Level>,
    /// Inputs that changed, oldest first.
    pub changes: Vec<Change>,
    /// The input that the treatment is, where it is one.
    pub treatment_input: Option<String>,
}

/// Hours from `origin` to `time`.
fn hours(origin: Timestamp, time: Timestamp) -> f64 {
    time.duration_since(origin).as_secs_f64() / 3600.0
}

/// Hour 0 of the models for this record.
fn origin(file: &TwinFile, facts: &Facts, now: Timestamp) -> Timestamp {
    let first_dose = facts.given.iter().map(|g| g.time).min();
    let first_level = file
        .observed()
        .flat_map(|item| facts.measured.get(&item.name))
        .flatten();
    let earliest = match &file.origin {
        Origin::FirstRecord => first_level.map(|l| l.time).chain(first_dose).min(),
        Origin::FirstDose => first_dose,
        Origin::Input { item, hours } => {
            let newest = facts.measured.get(item).and_then(|series| series.last());
            newest.and_then(|m| {
                let back = jiff::SignedDuration::try_from_secs_f64(m.value * hours * 3600.0).ok()?;
                m.time.checked_sub(back).ok()
            })
        }
    };
    earliest.unwrap_or(now).min(now)
}

impl Ledger {
    /// Lays out facts on a time axis.
    #[must_use]
    pub fn new(file: &TwinFile, facts: &Facts, now: Timestamp) -> Self {
        let origin = origin(file, facts, now);
        let doses: Vec<Dose> = facts
            .given
            .iter()
            .map(|g| Dose {
                time: hours(origin, g.time),
                amount: g.amount,
                duration: g.duration_hours,
            })
            .collect();
        let mut levels = Vec::new();
        let mut changes = Vec::new();
        for item in &file.items {
            for measurement in facts.measured.get(&item.name).into_iter().flatten() {
                let at = hours(origin, measurement.time);
                match &item.role {
                    Role::Observed { not_before, .. } => {
                        let wait = not_before.map(|w| w.as_secs_f64() / 3600.0);
                        levels.push(Level {
                            output: item.name.clone(),
                            measurement: measurement.clone(),
                            hours: at,
                            left_out: wait.and_then(|wait| left_out(&doses, at, wait)),
                        });
                    }
                    Role::Covariate(Use::Each) if measurement.bound == Bound::Exact => changes.push(Change {
                        hours: at,
                        input: item.name.clone(),
                        value: measurement.value,
                    }),
                    Role::Covariate(_) => {}
                }
            }
        }
        levels.sort_by(|a, b| a.hours.total_cmp(&b.hours));
        changes.sort_by(|a, b| a.hours.total_cmp(&b.hours));
        Self {
            origin,
            now: hours(origin, now),
            doses,
            charted: facts.given.iter().any(|g| !g.assumed_from_order),
            levels,
            changes,
            treatment_input: match &file.treatment.into {
                Enters::Input { name, .. } => Some(name.clone()),
                Enters::Doses(_) => None,
            },
        }
    }

    /// Adds what was given until now to the inputs, where the treatment is an input of the models: from charted doses, each for
    /// the length of an interval, or from orders, each until the next.
    pub fn enter(&mut self, file: &TwinFile, facts: &Facts, values: &Values) {
        let Enters::Input { name, is } = &file.treatment.into else {
            return;
        };
        let value = |amount: f64, interval: f64| {
            let mut values = values.clone();
            values.insert("amount".to_owned(), amount);
            values.insert("interval".to_owned(), interval);
            is.value(&values)
        };
        let mut push = |hours: f64, value: Option<f64>| {
            if let Some(value) = value {
                self.changes.push(Change {
                    hours,
                    input: name.clone(),
                    value,
                });
            }
        };
        let interval = file
            .treatment
            .every
            .first()
            .map_or(24.0, crate::model::twin_file::Schedule::interval);
        let charted: Vec<_> = facts.given.iter().filter(|g| !g.assumed_from_order).collect();
        let mut end: Option<f64> = None;
        for dose in &charted {
            let at = hours(self.origin, dose.time);
            if let Some(end) = end.filter(|end| *end < at) {
                push(end, Some(0.0));
            }
            push(at, value(dose.amount, interval));
            end = Some(at + interval);
        }
        if let Some(end) = end {
            push(end, Some(0.0));
        } else {
            for order in facts.orders.iter().filter(|o| !o.draft) {
                if let (Some(regimen), Some(start)) = (order.regimen, order.start) {
                    push(hours(self.origin, start), value(regimen.amount, regimen.interval_hours));
                }
            }
        }
        self.changes.sort_by(|a, b| a.hours.total_cmp(&b.hours));
    }

    /// The levels that the fit of a model uses, as observations of its outputs, in its unit of time.
    #[must_use]
    pub fn observations(&self, model: &Model) -> Vec<Observation> {
        let unit = model.hours_per_time();
        self.levels
            .iter()
            .filter(|l| l.left_out.is_none())
            .filter_map(|l| {
                Some(Observation {
                    time: l.hours / unit,
                    value: l.measurement.value,
                    output: model.outputs().iter().position(|o| o.name == l.output)?,
                    bound: match l.measurement.bound {
                        Bound::Exact => crate::engine::Bound::Exact,
                        Bound::Below => crate::engine::Bound::Below,
                        Bound::Above => crate::engine::Bound::Above,
                    },
                })
            })
            .collect()
    }

    /// Whether a real level stands before any known dose: the history is not what the record says.
    #[must_use]
    pub fn level_without_dose(&self) -> Option<&Level> {
        self.levels
            .iter()
            .find(|l| l.left_out == Some(LeftOut::NoDoseBefore) && l.measurement.bound == Bound::Exact)
    }
}

/// Whether a drug level at this hour says something about the patient.
fn left_out(doses: &[Dose], at: f64, wait: f64) -> Option<LeftOut> {
    if doses.iter().all(|d| d.time >= at) {
        Some(LeftOut::NoDoseBefore)
    } else if doses.iter().any(|d| d.time < at && at < d.time + d.duration + wait) {
        Some(LeftOut::Distribution)
    } else {
        None
    }
}
