//! One person as the engine sees them: what is known of them over time, and what they are given.

use super::parts::ErrorModel;
use super::system::System;
use super::{Dose, EngineError};
use serde::{Deserialize, Serialize};

/// How a dose enters.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Course {
    /// Over the duration of the dose; 0 is at once. Bioavailability changes the rate.
    Duration,
    /// At this rate, in amount per time; bioavailability changes the duration, as in NONMEM.
    Rate(f64),
    /// Over a duration that the model gives.
    ModelledDuration,
    /// At a rate that the model gives.
    ModelledRate,
}

/// A dose as if it had been repeated for ever.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Settled {
    /// Time between doses.
    pub interval: f64,
    /// Whether the settled state is added to what is there, instead of taking its place.
    pub added: bool,
}

/// One dose, in full.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Given {
    /// When, how much, and over how long if its course is a duration.
    pub dose: Dose,
    /// Place of its route in [`System::routes`].
    pub route: usize,
    /// How it enters.
    pub course: Course,
    /// Whether it had settled before.
    pub settled: Option<Settled>,
}

impl From<Dose> for Given {
    fn from(dose: Dose) -> Self {
        Self {
            dose,
            route: 0,
            course: Course::Duration,
            settled: None,
        }
    }
}

/// What is known of a person from a time on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Regime {
    /// From when; the first regime also holds for all time before.
    pub from: f64,
    /// Typical values of the parameters.
    pub typical: Vec<f64>,
    /// Inputs of the model.
    pub inputs: Vec<f64>,
    /// Covariates of the model.
    pub covariates: Vec<f64>,
    /// Which occasion this is, from 0; `None` where occasions are not told apart.
    pub occasion: Option<usize>,
}

/// One person.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Subject {
    /// What is known, by time; never empty, and with rising times.
    pub regimes: Vec<Regime>,
    /// Doses in any order.
    pub doses: Vec<Given>,
    /// Times at which every state returns to its initial value.
    pub resets: Vec<f64>,
    /// Residual errors of the outputs, regime by regime.
    errors: Vec<ErrorModel>,
}

impl Subject {
    /// A person about whom nothing changes in time.
    pub fn new(system: &System, typical: Vec<f64>, inputs: Vec<f64>, covariates: Vec<f64>, doses: &[Dose]) -> Self {
        let regime = Regime {
            from: 0.0,
            typical,
            inputs,
            covariates,
            occasion: None,
        };
        Self::with_regimes(system, vec![regime], doses.iter().copied().map(Given::from).collect())
    }

    /// A person known by regimes.
    pub fn with_regimes(system: &System, regimes: Vec<Regime>, doses: Vec<Given>) -> Self {
        let fixed = regimes
            .iter()
            .map(|r| [r.typical.as_slice(), &r.inputs, &r.covariates].concat());
        Self {
            errors: fixed.flat_map(|fixed| system.errors_of(&fixed)).collect(),
            regimes,
            doses,
            resets: Vec::new(),
        }
    }

    /// Typical parameters at the start.
    pub fn typical(&self) -> &[f64] {
        self.regimes.first().map_or(&[], |regime| &regime.typical)
    }

    /// The residual error of an output at a time.
    pub(crate) fn error(&self, system: &System, output: usize, time: f64) -> ErrorModel {
        let regime = self
            .regimes
            .partition_point(|regime| regime.from <= time)
            .saturating_sub(1);
        let place = regime * system.outputs().len() + output;
        self.errors.get(place).copied().unwrap_or(ErrorModel::Combined {
            additive: f64::NAN,
            proportional: f64::NAN,
        })
    }

    /// How many occasions are told apart.
    pub fn occasions(&self) -> usize {
        self.regimes
            .iter()
            .filter_map(|regime| regime.occasion)
            .max()
            .map_or(0, |last| last.saturating_add(1))
    }

    /// Whether all that comes before a time is that of another, earlier account of the person: what was added came later.
    pub(crate) fn continues(&self, past: &Self, until: f64) -> bool {
        let (known, added) = self.doses.split_at(past.doses.len().min(self.doses.len()));
        let before = |subject: &'_ Self| subject.regimes.partition_point(|regime| regime.from < until).max(1);
        known == past.doses
            && added.iter().all(|given| given.dose.time >= until)
            && self.resets == past.resets
            && before(self) == before(past)
            && self
                .regimes
                .iter()
                .zip(&past.regimes)
                .take(before(past))
                .all(|(a, b)| a == b)
    }

    /// Plain doses into the default route, if that and one regime is all there is.
    pub(crate) fn plain_doses(&self, system: &System) -> Option<Vec<Dose>> {
        let varied = !system.occasion_effects().is_empty() && self.occasions() > 0;
        if self.regimes.len() != 1 || !self.resets.is_empty() || varied {
            return None;
        }
        self.doses
            .iter()
            .map(|given| {
                let plain = given.route == 0 && given.settled.is_none() && given.course == Course::Duration;
                match given.course {
                    // Where everything that is given enters, a rate is but a duration.
                    Course::Rate(rate) if given.route == 0 && given.settled.is_none() && rate > 0.0 => Some(Dose {
                        duration: given.dose.amount / rate,
                        ..given.dose
                    }),
                    _ => plain.then_some(given.dose),
                }
            })
            .collect()
    }

    /// Checks everything against a system.
    pub(crate) fn check(&self, system: &System) -> Result<(), EngineError> {
        if self.regimes.is_empty() {
            return Err(EngineError::input("a person", "nothing is known of them"));
        }
        if self.errors.len() != self.regimes.len() * system.outputs().len() {
            return Err(EngineError::input(
                "a person",
                "the records do not fit the outputs of the model",
            ));
        }
        if self.occasions() > self.regimes.len() {
            return Err(EngineError::input(
                "an occasion",
                "they are counted from 0, without gaps",
            ));
        }
        let mut before = f64::NEG_INFINITY;
        for regime in &self.regimes {
            system.check_parameters(&regime.typical)?;
            let lengths = regime.inputs.len() == system.inputs && regime.covariates.len() == system.covariates;
            let finite = regime.inputs.iter().chain(&regime.covariates).all(|x| x.is_finite());
            if !lengths || !finite || !regime.from.is_finite() || regime.from <= before {
                return Err(EngineError::input(
                    "what is known of a person",
                    format!("the record from {} on", regime.from),
                ));
            }
            before = regime.from;
        }
        let routes = system.routes().list().len();
        for given in &self.doses {
            super::timeline::check_doses(&[given.dose])?;
            let bad = |why: String| Err(EngineError::input("a dose", why));
            if given.route >= routes {
                return bad(format!("at {}: the model has no such state for doses", given.dose.time));
            }
            if let Course::Rate(rate) = given.course
                && !(rate.is_finite() && rate > 0.0)
            {
                return bad(format!("at {}: its rate is {rate}", given.dose.time));
            }
            if let Some(settled) = given.settled
                && !(settled.interval.is_finite() && settled.interval > 0.0)
            {
                return bad(format!("at {}: its interval is {}", given.dose.time, settled.interval));
            }
        }
        if !self.doses.is_empty() && system.is_cyclic() {
            return Err(EngineError::input(
                "a dose",
                "a model that repeats itself takes no doses",
            ));
        }
        match self.resets.iter().find(|time| !time.is_finite()) {
            Some(time) => Err(EngineError::input("a reset", time.to_string())),
            None => Ok(()),
        }
    }
}
