//! Treatments that can be compared: the plan as it is, its alternatives, and no further doses.

use crate::{
    engine::Dose,
    model::{
        formula::{Number, Values},
        twin_file::{Doses, Schedule, Treatment},
    },
    patient::facts::Regimen,
};

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
    /// The repeated dose, with the mean interval; none when treatment stops.
    pub regimen: Option<Regimen>,
    /// Hours between doses where they follow a pattern; empty for a plain interval.
    pub pattern: Vec<f64>,
    /// Hours by which the next dose is put off.
    pub delay: f64,
}

impl Plan {
    /// A plan without loading dose, pattern or delay.
    #[must_use]
    pub fn plain(kind: Kind, regimen: Option<Regimen>) -> Self {
        Self {
            kind,
            loading: None,
            regimen,
            pattern: Vec::new(),
            delay: 0.0,
        }
    }

    /// Mean dose over 24 hours, in the drug's unit.
    #[must_use]
    pub fn daily_dose(&self) -> f64 {
        self.regimen.map_or(0.0, |r| r.amount * 24.0 / r.interval_hours)
    }

    /// Hours from the first dose to the `k`-th after it.
    fn offset(&self, k: usize) -> f64 {
        if self.pattern.is_empty() {
            #[expect(clippy::cast_precision_loss, reason = "a plan has few doses")]
            return self.regimen.map_or(0.0, |r| r.interval_hours * k as f64);
        }
        self.pattern.iter().cycle().take(k).sum()
    }

    /// Hours until the plan repeats itself.
    #[must_use]
    pub fn round(&self) -> f64 {
        self.offset(self.pattern.len().max(1))
    }

    /// Doses from `start` to `end`, hours, at most as many as the treatment has.
    #[must_use]
    pub fn doses(&self, treatment: &Treatment, start: f64, end: f64) -> Vec<Dose> {
        let Some(regimen) = self.regimen else {
            return Vec::new();
        };
        let most = treatment.times.map_or(MOST_DOSES, |t| t as usize).min(MOST_DOSES);
        let first = start + self.delay;
        (0..most)
            .map(|k| (k, first + self.offset(k)))
            .take_while(|(_, time)| *time < end)
            .map(|(k, time)| match self.loading {
                Some(loading) if k == 0 => Dose {
                    time,
                    amount: loading,
                    duration: infusion_hours(treatment, loading),
                },
                _ => Dose {
                    time,
                    amount: regimen.amount,
                    duration: regimen.duration_hours,
                },
            })
            .collect()
    }
}

/// More doses than any plan within reach of a card has.
const MOST_DOSES: usize = 2000;

/// Infusion length of a dose.
#[must_use]
pub fn infusion_hours(treatment: &Treatment, amount: f64) -> f64 {
    (amount * treatment.infusion.hours_per_unit).max(treatment.infusion.at_least)
}

/// A limit that cannot be computed allows nothing.
fn limit(number: &Number, values: &Values) -> f64 {
    number.value(values).unwrap_or(0.0)
}

fn rounded(amount: f64, to: f64) -> f64 {
    if to > 0.0 { (amount / to).round() * to } else { amount }
}

/// The doses of the grid for a patient, ascending, each once.
#[must_use]
pub fn amounts(treatment: &Treatment, values: &Values, present: Option<&Regimen>) -> Vec<f64> {
    let mut amounts: Vec<f64> = match &treatment.doses {
        Doses::Plain(doses) => doses.clone(),
        Doses::Per { doses, per, round_to } => {
            let per = per.value(values).unwrap_or(0.0);
            doses.iter().map(|dose| rounded(dose * per, *round_to)).collect()
        }
        Doses::Share { shares, round_to } => {
            let now = present.map_or(0.0, |p| p.amount);
            shares.iter().map(|share| rounded(share * now, *round_to)).collect()
        }
        Doses::None => Vec::new(),
    };
    // A dose by weight beyond the largest single dose is that dose.
    if matches!(treatment.doses, Doses::Per { .. }) {
        let most = limit(&treatment.single_max, values);
        amounts.iter_mut().for_each(|amount| *amount = amount.min(most));
    }
    amounts.retain(|amount| amount.is_finite() && *amount > 0.0);
    amounts.sort_by(f64::total_cmp);
    amounts.dedup_by(|b, a| (*a - *b).abs() < 1e-9);
    amounts
}

/// Every plan of the grid that keeps the maxima and whose infusion fits in its intervals.
#[must_use]
pub fn grid(treatment: &Treatment, values: &Values, present: Option<&Regimen>) -> Vec<Plan> {
    let (single, daily) = (
        limit(&treatment.single_max, values),
        limit(&treatment.daily_max, values),
    );
    let slack = 1.0 + 1e-9;
    let amounts = amounts(treatment, values, present);
    let mut plans = Vec::new();
    for schedule in &treatment.every {
        for &amount in &amounts {
            let interval_hours = schedule.interval();
            let duration_hours = infusion_hours(treatment, amount);
            let shortest = schedule.gaps.iter().copied().fold(f64::INFINITY, f64::min);
            let fits = amount <= single * slack
                && amount * 24.0 / interval_hours <= daily * slack
                && duration_hours < shortest;
            for &delay in treatment.delays.iter().filter(|_| fits) {
                plans.push(Plan {
                    kind: Kind::Change,
                    loading: None,
                    regimen: Some(Regimen {
                        amount,
                        interval_hours,
                        duration_hours,
                    }),
                    pattern: pattern(schedule),
                    delay,
                });
            }
        }
    }
    plans
}

/// The pattern of a schedule; empty for a plain interval.
fn pattern(schedule: &Schedule) -> Vec<f64> {
    if schedule.gaps.len() > 1 {
        schedule.gaps.clone()
    } else {
        Vec::new()
    }
}

/// Whether a regimen is one that can be given: single and daily dose within the maxima, interval no shorter than half the
/// shortest of the grid and no longer than its longest, infusion no faster than half the declared time and over before the
/// next dose.
#[must_use]
pub fn practical(treatment: &Treatment, values: &Values, regimen: &Regimen) -> bool {
    let gaps = || treatment.every.iter().flat_map(|s| s.gaps.iter().copied());
    let shortest = gaps().fold(f64::INFINITY, f64::min);
    let longest = gaps().fold(0.0, f64::max);
    let slack = 1.0 + 1e-9;
    regimen.amount > 0.0
        && regimen.amount <= limit(&treatment.single_max, values) * slack
        && regimen.amount * 24.0 / regimen.interval_hours <= limit(&treatment.daily_max, values) * slack
        && (0.5 * shortest..=longest * slack).contains(&regimen.interval_hours)
        && regimen.duration_hours < regimen.interval_hours
        && regimen.duration_hours >= 0.5 * infusion_hours(treatment, regimen.amount)
}

/// Loading doses for a body weight: rounded, capped, each once.
#[must_use]
pub fn loading_doses(treatment: &Treatment, values: &Values) -> Vec<f64> {
    let Some(loading) = &treatment.loading else {
        return Vec::new();
    };
    let Some(weight) = values.get(&loading.input) else {
        return Vec::new();
    };
    let mut doses: Vec<f64> = loading
        .per_kg
        .iter()
        .map(|per_kg| rounded(per_kg * weight, loading.round_to).min(loading.max))
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

    fn weight(kg: f64) -> Values {
        [("wt".to_owned(), kg)].into()
    }

    #[test]
    fn the_grid_keeps_the_daily_maximum() {
        let grid = grid(&treatment(), &Values::new(), None);
        let has = |amount: f64, interval_hours: f64| {
            let regimen = Regimen {
                amount,
                interval_hours,
                duration_hours: 1.0,
            };
            grid.iter().any(|p| same(&p.regimen.unwrap(), &regimen))
        };
        assert!(grid.iter().all(|p| p.daily_dose() <= 4500.0));
        assert!(has(1500.0, 8.0));
        assert!(!has(1750.0, 8.0));
    }

    #[test]
    fn what_cannot_be_given_is_told_apart() {
        let t = treatment();
        let plan = |amount: f64, interval_hours: f64, duration_hours: f64| Regimen {
            amount,
            interval_hours,
            duration_hours,
        };
        let practical = |regimen: &Regimen| practical(&t, &Values::new(), regimen);
        assert!(practical(&plan(1000.0, 12.0, 1.0)));
        assert!(practical(&plan(750.0, 6.0, 1.0)));
        for wrong in [
            plan(6000.0, 72.0, 6.0),
            plan(4000.0, 48.0, 4.0),
            plan(2000.0, 8.0, 2.0),
            plan(1000.0, 12.0, 0.25),
            plan(15000.0, 12.0, 15.0),
            plan(0.0, 12.0, 1.0),
        ] {
            assert!(!practical(&wrong), "{wrong:?}");
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
        assert_eq!(
            loading_doses(&treatment(), &weight(70.0)),
            [1500.0, 1750.0, 2000.0, 2500.0]
        );
        assert_eq!(loading_doses(&treatment(), &weight(150.0)), [3000.0]);
        assert!(loading_doses(&treatment(), &Values::new()).is_empty());
    }

    #[test]
    fn a_pattern_repeats_itself() {
        let mut plan = Plan::plain(
            Kind::Change,
            Some(Regimen {
                amount: 1500.0,
                interval_hours: 56.0,
                duration_hours: 0.0,
            }),
        );
        plan.pattern = vec![48.0, 48.0, 72.0];
        plan.delay = 24.0;
        let times: Vec<f64> = plan.doses(&treatment(), 0.0, 300.0).iter().map(|d| d.time).collect();
        assert_eq!(times, [24.0, 72.0, 120.0, 192.0, 240.0, 288.0]);
        assert!((plan.round() - 168.0).abs() < 1e-12);
    }
}
