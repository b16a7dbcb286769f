//! The treatments to be compared.

use jiff::SignedDuration;
use serde::Deserialize;

use super::Text;
use crate::{
    model::formula::{Formula, Number},
    patient::needs::{AssumedInfusion, Code},
};

/// The doses of the grid.
#[derive(Debug, Clone, PartialEq)]
pub enum Doses {
    /// As they are.
    Plain(Vec<f64>),
    /// Times something about the patient (kg, m2), rounded.
    Per {
        /// Doses for one of it.
        doses: Vec<f64>,
        /// What they are multiplied with.
        per: Formula,
        /// Rounded to a multiple of this.
        round_to: f64,
    },
    /// Shares of the dose in force or drafted, rounded.
    Share {
        /// 1 is the same dose.
        shares: Vec<f64>,
        /// Rounded to a multiple of this.
        round_to: f64,
    },
    /// None: only the course of what was given is predicted.
    None,
}

/// Hours between one dose and the next: one number, or a pattern that repeats.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    /// At least one, all positive.
    pub gaps: Vec<f64>,
}

impl Schedule {
    /// Length of the pattern, hours.
    #[must_use]
    pub fn round(&self) -> f64 {
        self.gaps.iter().sum()
    }

    /// Mean hours between doses.
    #[must_use]
    pub fn interval(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "a handful")]
        let count = self.gaps.len().max(1) as f64;
        self.round() / count
    }
}

/// Where a treatment enters the models.
#[derive(Debug, Clone, PartialEq)]
pub enum Enters {
    /// As doses, by the route with this name or by the first.
    Doses(Option<String>),
    /// As an input that changes in time.
    Input {
        /// Which input.
        name: String,
        /// Its value, over `amount`, `interval` (hours) and what is known of the patient.
        is: Formula,
    },
}

/// Doses and intervals to be compared.
#[derive(Debug, Clone, PartialEq)]
pub struct Treatment {
    /// Name of the drug for cards and orders.
    pub name: Text,
    /// System and code of the drug, for orders.
    pub codes: Vec<Code>,
    /// Route, for orders.
    pub route: Option<Route>,
    /// Doses, in `unit`.
    pub doses: Doses,
    /// UCUM unit of a dose.
    pub unit: String,
    /// Schedules, preferred first.
    pub every: Vec<Schedule>,
    /// Hours by which the next dose may be put off; 0 first.
    pub delays: Vec<f64>,
    /// How many doses a plan has; it goes on when not said.
    pub times: Option<u32>,
    /// Where it enters the models.
    pub into: Enters,
    /// Length of an infusion.
    pub infusion: AssumedInfusion,
    /// Highest dose a day, in `unit`.
    pub daily_max: Number,
    /// Highest single dose, in `unit`.
    pub single_max: Number,
    /// Loading dose, when the drug has one.
    pub loading: Option<Loading>,
    /// A dose this recent, or an active order, means that the patient is on treatment.
    pub recent: SignedDuration,
}

/// Route written into draft orders.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// In words.
    pub text: Text,
    /// SNOMED CT code.
    pub snomed: Option<String>,
}

/// Loading dose by body weight.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Loading {
    /// Input that it is multiplied with (`wt`).
    pub input: String,
    /// Doses per kilogram to be compared.
    pub per_kg: Vec<f64>,
    /// Rounded to a multiple of this.
    pub round_to: f64,
    /// Never more than this.
    pub max: f64,
}
