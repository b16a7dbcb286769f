//! Treatments that can be compared: the plan as it is, its alternatives, and no further doses.

use crate::{model::twin_file::Treatment, patient::facts::Regimen};

/// What a plan is to the clinician.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The plan in force, or the order as drafted.
    Keep,
    /// An alternative from the twin's grid.
    Change,
    /// No further doses: the course without treatment.
    Stop,
}

/// One plan, to be simulated from now on.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// What it is to the clinician.
    pub kind: Kind,
    /// A first, larger dose, in the drug's unit.
    pub loading: Option<f64>,
    /// The repeated dose; none when treatment stops.
    pub regimen: Option<Regimen>,
}

impl Plan {
    /// Dose over 24 hours at steady state, in the drug's unit.
    #[must_use]
    pub fn daily_dose(&self) -> f64 {
        self.regimen.map_or(0.0, |r| r.amount * 24.0 / r.interval_hours)
    }
}

/// Infusion length of a dose.
#[must_use]
pub fn infusion_hours(treatment: &Treatment, amount: f64) -> f64 {
    (amount * treatment.infusion.hours_per_unit).max(treatment.infusion.at_least)
}

/// Every regimen of the grid that keeps the daily maximum and whose infusion fits in its interval.
#[must_use]
pub fn grid(treatment: &Treatment) -> Vec<Regimen> {
    let mut regimens = Vec::new();
    for &interval_hours in &treatment.every {
        for &amount in &treatment.dose {
            let duration_hours = infusion_hours(treatment, amount);
            if amount * 24.0 / interval_hours <= treatment.daily_max && duration_hours < interval_hours {
                regimens.push(Regimen {
                    amount,
                    interval_hours,
                    duration_hours,
                });
            }
        }
    }
    regimens
}

/// Whether a regimen is one that can be given: single and daily dose within the maxima, interval no shorter than half the
/// shortest of the grid and no longer than its longest, infusion no faster than half the declared time and over before the
/// next dose.
#[must_use]
pub fn practical(treatment: &Treatment, regimen: &Regimen) -> bool {
    let shortest = treatment.every.iter().copied().fold(f64::INFINITY, f64::min);
    let longest = treatment.every.iter().copied().fold(0.0, f64::max);
    let slack = 1.0 + 1e-9;
    regimen.amount > 0.0
        && regimen.amount <= treatment.single_max * slack
        && regimen.amount * 24.0 / regimen.interval_hours <= treatment.daily_max * slack
        && (0.5 * shortest..=longest * slack).contains(&regimen.interval_hours)
        && regimen.duration_hours < regimen.interval_hours
        && regimen.duration_hours >= 0.5 * infusion_hours(treatment, regimen.amount)
}

/// Loading doses for a body weight: rounded, capped, each once.
#[must_use]
pub fn loading_doses(treatment: &Treatment, weight_kg: f64) -> Vec<f64> {
    let Some(loading) = &treatment.loading else {
        return Vec::new();
    };
    let mut doses: Vec<f64> = loading
        .per_kg
        .iter()
        .map(|per_kg| ((per_kg * weight_kg / loading.round_to).round() * loading.round_to).min(loading.max))
        .filter(|dose| *dose > 0.0)
        .collect();
    doses.dedup();
    doses
}

/// Whether two regimens are the same order.
#[must_use]
pub fn same(a: &Regimen, b: &Regimen) -> bool {
    (a.amount - b.amount).abs() < 1e-6 && (a.interval_hours - b.interval_hours).abs() < 1e-6
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::model::twin_file::TwinFile;

    fn treatment() -> Treatment {
        TwinFile::parse("twin.toml", include_str!("../../models/vancomycin/twin.toml"))
            .unwrap()
            .treatment
    }

    #[test]
    fn the_grid_keeps_the_daily_maximum() {
        let grid = grid(&treatment());
        assert!(grid.iter().all(|r| r.amount * 24.0 / r.interval_hours <= 4500.0));
        assert!(grid.iter().any(|r| same(
            r,
            &Regimen {
                amount: 1500.0,
                interval_hours: 8.0,
                duration_hours: 1.5
            }
        )));
        assert!(!grid.iter().any(|r| same(
            r,
            &Regimen {
                amount: 1750.0,
                interval_hours: 8.0,
                duration_hours: 1.75
            }
        )));
    }

    #[test]
    fn what_cannot_be_given_is_told_apart() {
        let t = treatment();
        let plan = |amount: f64, interval_hours: f64, duration_hours: f64| Regimen {
            amount,
            interval_hours,
            duration_hours,
        };
        assert!(practical(&t, &plan(1000.0, 12.0, 1.0)));
        assert!(practical(&t, &plan(750.0, 6.0, 1.0)));
        for wrong in [
            plan(6000.0, 72.0, 6.0),
            plan(4000.0, 48.0, 4.0),
            plan(2000.0, 8.0, 2.0),
            plan(1000.0, 12.0, 0.25),
            plan(15000.0, 12.0, 15.0),
            plan(0.0, 12.0, 1.0),
        ] {
            assert!(!practical(&t, &wrong), "{wrong:?}");
        }
    }

    #[test]
    fn infusions_run_at_a_gram_an_hour_and_at_least_an_hour() {
        let t = treatment();
        assert!((infusion_hours(&t, 500.0) - 1.0).abs() < 1e-12);
        assert!((infusion_hours(&t, 1750.0) - 1.75).abs() < 1e-12);
    }

    #[test]
    fn loading_doses_are_rounded_and_capped() {
        assert_eq!(loading_doses(&treatment(), 70.0), [1500.0, 1750.0, 2000.0, 2500.0]);
        assert_eq!(loading_doses(&treatment(), 150.0), [3000.0]);
    }
}
