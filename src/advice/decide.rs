//! Scores, ranks and chooses among simulated plans.

use std::cmp::Ordering;

use crate::{
    model::twin_file::{AdviceRules, Goal, Harm},
    twin::{
        interval::Interval,
        plan::{Kind, Plan, same},
        simulate::{Shape, Simulated},
    },
};

/// A plan with its chances.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluated {
    /// The plan.
    pub plan: Plan,
    /// The goal's measure.
    pub goal: Interval,
    /// How it settles; computed for the options that are shown.
    pub shape: Option<Shape>,
    /// Chance that the goal's measure lies in range.
    pub chance_goal: f64,
    /// Chance that it lies below the range.
    pub chance_low: f64,
    /// Chance of harm.
    pub chance_harm: f64,
    /// Chance of goal minus weight times chance of harm; before the first dose, the mean of the first day's and the steady
    /// state's.
    pub score: f64,
    /// Whether the median exceeds what the twin blocks.
    pub blocked: bool,
}

/// What is advised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// The present plan is on target: no card.
    OnTarget,
    /// A better plan is recommended: index into the options.
    Recommend(usize),
    /// Nothing beats the present plan by the margin, though it is not on target.
    NoClearAdvantage,
    /// No plan of the grid can be suggested.
    NothingSuitable,
}

/// All plans, best first, and what to do.
#[derive(Debug, Clone, PartialEq)]
pub struct Advice {
    /// Best first; the present plan and the course without treatment among them.
    pub options: Vec<Evaluated>,
    /// Where the present plan is.
    pub keep: Option<usize>,
    /// What to do.
    pub decision: Decision,
}

impl Advice {
    /// The alternatives to show, best first: up to `n`, the present plan not among them, one for each daily dose, since the
    /// same daily dose has the same exposure. None when the present plan is on target.
    #[must_use]
    pub fn alternatives(&self, n: usize) -> Vec<usize> {
        let mut shown: Vec<usize> = Vec::new();
        if self.decision == Decision::OnTarget {
            return shown;
        }
        for (i, option) in self.options.iter().enumerate() {
            let daily = option.plan.daily_dose();
            let known = |j: &usize| {
                self.options
                    .get(*j)
                    .is_some_and(|o| (o.plan.daily_dose() - daily).abs() < 1e-6)
            };
            let offered = option.plan.kind == Kind::Change && !option.blocked;
            // Before the first dose a loading dose is what makes the difference.
            let as_now = option.plan.loading.is_none() && self.keep.as_ref().is_some_and(known);
            if offered && !as_now && !shown.iter().any(known) && shown.len() < n {
                shown.push(i);
            }
        }
        shown
    }
}

#[expect(clippy::cast_precision_loss, reason = "numbers of draws are far smaller than 2^52")]
fn share(sample: &[f64], test: impl Fn(f64) -> bool) -> f64 {
    if sample.is_empty() {
        return 0.0;
    }
    sample.iter().filter(|v| test(**v)).count() as f64 / sample.len() as f64
}

/// Chances and score of a simulated plan.
#[must_use]
pub fn evaluate(simulated: &Simulated, goal: &Goal, harm: &Harm) -> Evaluated {
    let [low, high] = goal.within;
    let interval = Interval::of(&simulated.goal);
    let same = (goal.measure, &goal.output) == (harm.measure, &harm.output);
    let harm_median = if same {
        interval.p50
    } else {
        Interval::of(&simulated.harm).p50
    };
    let chance_goal = share(&simulated.goal, |v| (low..=high).contains(&v));
    let chance_harm = share(&simulated.harm, |v| v > harm.above);
    let steady = chance_goal - harm.weight * chance_harm;
    let score = if simulated.first_day.is_empty() {
        steady
    } else {
        let reached = share(&simulated.first_day, |v| (low..=high).contains(&v));
        let exceeded = share(&simulated.first_day, |v| v > harm.above);
        0.5 * (steady + reached - harm.weight * exceeded)
    };
    Evaluated {
        plan: simulated.plan.clone(),
        goal: interval,
        shape: None,
        chance_goal,
        chance_low: share(&simulated.goal, |v| v < low),
        chance_harm,
        score,
        blocked: harm_median > harm.blocked_above,
    }
}

/// Ranks plans and decides. Equal scores (to a percentage point) go to the plan that changes less: same interval as the
/// present one, then the order in which the twin prefers intervals (`every`), then the smaller daily dose.
#[must_use]
pub fn decide(mut options: Vec<Evaluated>, every: &[f64], goal: &Goal, rules: &AdviceRules) -> Advice {
    let present = options
        .iter()
        .find(|o| o.plan.kind == Kind::Keep)
        .and_then(|o| o.plan.regimen);
    // The present plan stands in the list once, as itself.
    if let Some(present) = present {
        options.retain(|o| {
            o.plan.kind != Kind::Change
                || o.plan.loading.is_some()
                || !o.plan.regimen.is_some_and(|r| same(&r, &present))
        });
    }
    let preference = |o: &Evaluated| -> usize {
        let Some(regimen) = o.plan.regimen else {
            return usize::MAX;
        };
        if present.is_some_and(|p| (p.interval_hours - regimen.interval_hours).abs() < 1e-6) {
            return 0;
        }
        1 + every
            .iter()
            .position(|e| (e - regimen.interval_hours).abs() < 1e-6)
            .unwrap_or(every.len())
    };
    let points = |o: &Evaluated| (o.score * 100.0).round();
    let rank = |a: &Evaluated, b: &Evaluated| -> Ordering {
        a.blocked
            .cmp(&b.blocked)
            .then(points(b).total_cmp(&points(a)))
            .then(preference(a).cmp(&preference(b)))
            .then(a.plan.daily_dose().total_cmp(&b.plan.daily_dose()))
            .then((a.plan.loading.unwrap_or(0.0)).total_cmp(&b.plan.loading.unwrap_or(0.0)))
    };
    options.sort_by(rank);
    let keep = options.iter().position(|o| o.plan.kind == Kind::Keep);
    let best = options
        .iter()
        .position(|o| o.plan.kind == Kind::Change && !o.blocked && o.chance_goal > o.chance_harm);
    let decision = match (
        keep.and_then(|k| options.get(k)),
        best.and_then(|b| options.get(b).map(|o| (b, o))),
    ) {
        (Some(present), _) if on_target(present, goal, rules) => Decision::OnTarget,
        (_, None) => Decision::NothingSuitable,
        (None, Some((index, _))) => Decision::Recommend(index),
        (Some(present), Some((index, option))) if option.score >= present.score + rules.margin => {
            Decision::Recommend(index)
        }
        (Some(_), Some(_)) => Decision::NoClearAdvantage,
    };
    Advice {
        options,
        keep,
        decision,
    }
}

fn on_target(present: &Evaluated, goal: &Goal, rules: &AdviceRules) -> bool {
    let [low, high] = goal.within;
    (low..=high).contains(&present.goal.p50)
        && present.chance_goal >= rules.quiet.goal
        && present.chance_harm <= rules.quiet.harm
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{model::twin_file::TwinFile, patient::facts::Regimen};

    fn file() -> TwinFile {
        TwinFile::parse("twin.toml", include_str!("../../models/vancomycin/twin.toml")).unwrap()
    }

    /// A plan in a patient of one clearance, uncertain by 10 %.
    fn plan(kind: Kind, amount: f64, interval_hours: f64, clearance: f64) -> Evaluated {
        let regimen = Regimen {
            amount,
            interval_hours,
            duration_hours: 1.0,
        };
        let plan = Plan {
            kind,
            loading: None,
            regimen: Some(regimen),
        };
        let goal: Vec<f64> = (0..=100)
            .map(|i| plan.daily_dose() / (clearance * (0.8 + 0.004 * f64::from(i))))
            .collect();
        let file = file();
        evaluate(
            &Simulated {
                plan,
                harm: goal.clone(),
                goal,
                first_day: Vec::new(),
            },
            &file.goal,
            &file.harm,
        )
    }

    fn run(options: Vec<Evaluated>) -> Advice {
        let file = file();
        decide(options, &file.treatment.every, &file.goal, &file.advice)
    }

    #[test]
    fn a_plan_on_target_needs_no_card() {
        let advice = run(vec![
            plan(Kind::Keep, 1000.0, 12.0, 4.0),
            plan(Kind::Change, 1250.0, 12.0, 4.0),
        ]);
        assert_eq!(advice.decision, Decision::OnTarget);
    }

    #[test]
    fn a_high_exposure_is_lowered_at_the_same_interval() {
        let advice = run(vec![
            plan(Kind::Keep, 1500.0, 12.0, 4.0),
            plan(Kind::Change, 2000.0, 24.0, 4.0),
            plan(Kind::Change, 1000.0, 12.0, 4.0),
            plan(Kind::Change, 500.0, 12.0, 4.0),
        ]);
        let Decision::Recommend(best) = advice.decision else {
            unreachable!("{:?}", advice.decision)
        };
        let best = &advice.options[best];
        assert!(same(
            &best.plan.regimen.unwrap(),
            &Regimen {
                amount: 1000.0,
                interval_hours: 12.0,
                duration_hours: 1.0
            }
        ));
        assert!(advice.keep.is_some());
    }

    #[test]
    fn what_is_blocked_is_never_best() {
        let advice = run(vec![plan(Kind::Change, 2000.0, 12.0, 4.0)]);
        assert_eq!(advice.decision, Decision::NothingSuitable);
        assert!(advice.alternatives(3).is_empty());
    }

    #[test]
    fn chances_follow_from_the_draws() {
        let e = plan(Kind::Change, 1250.0, 12.0, 4.0);
        let exact = (0..=100)
            .filter(|i| (400.0..=600.0).contains(&(2500.0 / (4.0 * (0.8 + 0.004 * f64::from(*i))))))
            .count();
        assert!((e.chance_goal - exact as f64 / 101.0).abs() < 1e-12);
        assert!(e.chance_goal + e.chance_low + e.chance_harm <= 1.0 + 1e-12);
    }
}
