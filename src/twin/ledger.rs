//! Facts as the engine wants them: hours since an origin, doses, observations; and which levels can be used.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::{
    engine::{Dose, Observation},
    model::twin_file::TwinFile,
    patient::facts::{Bound, Facts, Measurement},
};

/// The values that the models are given, by name.
pub type Inputs = BTreeMap<String, f64>;

/// A level and whether the fit may use it.
#[derive(Debug, Clone, PartialEq)]
pub struct Level {
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

/// The engine's view of a patient.
#[derive(Debug, Clone, PartialEq)]
pub struct Ledger {
    /// Hour 0.
    pub origin: Timestamp,
    /// Now, in hours since the origin.
    pub now: f64,
    /// Doses given.
    pub doses: Vec<Dose>,
    /// Levels, oldest first.
    pub levels: Vec<Level>,
}

/// Hours from `origin` to `time`.
fn hours(origin: Timestamp, time: Timestamp) -> f64 {
    time.duration_since(origin).as_secs_f64() / 3600.0
}

impl Ledger {
    /// Lays out facts on a time axis that starts with the first dose or level.
    #[must_use]
    pub fn new(file: &TwinFile, facts: &Facts, now: Timestamp) -> Self {
        let levels = facts
            .measured
            .get(&file.goal.output)
            .map(Vec::as_slice)
            .unwrap_or_default();
        let origin = facts
            .given
            .iter()
            .map(|g| g.time)
            .chain(levels.iter().map(|l| l.time))
            .min()
            .unwrap_or(now)
            .min(now);
        let doses: Vec<Dose> = facts
            .given
            .iter()
            .map(|g| Dose {
                time: hours(origin, g.time),
                amount: g.amount,
                duration: g.duration_hours,
            })
            .collect();
        let wait = file.level.not_before.as_secs_f64() / 3600.0;
        let levels = levels
            .iter()
            .map(|measurement| {
                let at = hours(origin, measurement.time);
                let left_out = if doses.iter().all(|d| d.time >= at) {
                    Some(LeftOut::NoDoseBefore)
                } else if doses.iter().any(|d| d.time < at && at < d.time + d.duration + wait) {
                    Some(LeftOut::Distribution)
                } else {
                    None
                };
                Level {
                    measurement: measurement.clone(),
                    hours: at,
                    left_out,
                }
            })
            .collect();
        Self {
            origin,
            now: hours(origin, now),
            doses,
            levels,
        }
    }

    /// The levels that the fit uses, as observations of `output`.
    #[must_use]
    pub fn observations(&self, output: usize) -> Vec<Observation> {
        self.levels
            .iter()
            .filter(|l| l.left_out.is_none())
            .map(|l| Observation {
                time: l.hours,
                value: l.measurement.value,
                output,
                bound: match l.measurement.bound {
                    Bound::Exact => crate::engine::Bound::Exact,
                    Bound::Below => crate::engine::Bound::Below,
                    Bound::Above => crate::engine::Bound::Above,
                },
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
