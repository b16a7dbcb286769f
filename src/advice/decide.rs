//! Scores, ranks and chooses among simulated plans.

use std::cmp::Ordering;

use crate::{
    model::twin_file::{Limits, Take, TwinFile, Window},
    twin::{
        interval::Interval,
        plan::{Kind, Plan, same},
        simulate::Simulated,
    },
};

/// A plan with its chances.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluated {
    /// The plan.
    pub plan: Plan,
    /// By place in the file, each measure that was taken; those that goals and harms do not need are there for the options that
    /// are shown.
    pub measures: Vec<Option<Interval>>,
    /// Exposure over the next 24 hours, where the headline is an exposure; for the options that are shown.
    pub next_day: Option<Interval>,
    /// Chance of each goal; none where its measure cannot be taken.
    pub goals: Vec<Option<f64>>,
    /// Chance that the measure of the first goal lies below its range.
    pub chance_low: f64,
    /// Chance of each harm.
    pub harms: Vec<Option<f64>>,
    /// Weighted chances of goals minus those of harms; where the file asks for it and no dose has been given, the mean of the
    /// first day's and the steady state's.
    pub score: f64,
    /// Whether the twin's file forbids to suggest it.
    pub blocked: bool,
}

impl Evaluated {
    /// Chance of the first goal.
    #[must_use]
    pub fn chance_goal(&self) -> f64 {
        self.goals.first().copied().flatten().unwrap_or(0.0)
    }

    /// Chance of the likeliest harm.
    #[must_use]
    pub fn chance_harm(&self) -> f64 {
        self.harms.iter().flatten().copied().fold(0.0, f64::max)
    }

    /// A measure by its place in the file.
    #[must_use]
    pub fn measure(&self, place: usize) -> Option<Interval> {
        self.measures.get(place).copied().flatten()
    }
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
    /// The twin offers no doses: the course is predicted and rules speak.
    Watch,
}

/// All plans, best first, and what to do.
#[derive(Debug, Clone, PartialEq)]
pub struct Advice {
    /// Best first; the present plan and the course without treatment among them.
    pub options: Vec<Evaluated>,
    /// Where the present plan is.
    pub keep: Option<usize>,
    /// Where the course without further treatment is.
    pub stop: Option<usize>,
    /// What to do.
    pub decision: Decision,
}

impl Advice {
    /// Every option that is neither the present plan nor the course without treatment, best first.
    pub fn changes(&self) -> impl Iterator<Item = usize> {
        let change = |(_, option): &(usize, &Evaluated)| option.plan.kind == Kind::Change;
        self.options.iter().enumerate().filter(change).map(|(place, _)| place)
    }

    /// The alternatives to show, best first: up to `n`, the present plan not among them. Of plans that are only put off by
    /// different times the best one; where the headline is an exposure, one for each daily dose, since the same daily dose has
    /// the same exposure. None when the present plan is on target.
    #[must_use]
    pub fn alternatives(&self, file: &TwinFile, n: usize) -> Vec<usize> {
        let mut shown: Vec<usize> = Vec::new();
        if matches!(self.decision, Decision::OnTarget | Decision::Watch) {
            return shown;
        }
        let exposure = file
            .headline()
            .is_some_and(|(_, m)| m.take == Take::Area && m.window == Window::Steady);
        for (i, option) in self.options.iter().enumerate() {
            let alike = |other: &Evaluated| {
                let (a, b) = (&other.plan, &option.plan);
                let put_off = a.delay != b.delay && a.regimen == b.regimen && a.pattern == b.pattern;
                put_off || (exposure && (a.daily_dose() - b.daily_dose()).abs() < 1e-6)
            };
            let known = |j: &usize| self.options.get(*j).is_some_and(alike);
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

/// The ranges of a file's goals and harms for one patient; none where something that they need is not known.
#[derive(Debug, Clone, PartialEq)]
pub struct Targets {
    /// Of the goals.
    pub goals: Vec<Option<Limits>>,
    /// Of the harms.
    pub harms: Vec<Option<Limits>>,
    /// Where the median of a harm's measure blocks a plan.
    pub blocked: Vec<Option<Limits>>,
}

impl Targets {
    /// For the values at hand.
    #[must_use]
    pub fn of(file: &TwinFile, values: &crate::model::formula::Values) -> Self {
        Self {
            goals: file.goals.iter().map(|g| g.within.limits(values)).collect(),
            harms: file.harms.iter().map(|h| h.within.limits(values)).collect(),
            blocked: file
                .harms
                .iter()
                .map(|h| h.blocked.as_ref().and_then(|b| b.limits(values)))
                .collect(),
        }
    }
}

/// Measures that goals and harms need, by place in the file.
#[must_use]
pub fn needed(file: &TwinFile) -> Vec<usize> {
    let goals = file.goals.iter().map(|g| g.measure);
    let mut places: Vec<usize> = goals.chain(file.harms.iter().map(|h| h.measure)).collect();
    places.sort_unstable();
    places.dedup();
    places
}

/// Chances and score of a simulated plan. `first_day`: whether its first 24 hours count too.
#[must_use]
pub fn evaluate(simulated: &Simulated, file: &TwinFile, targets: &Targets, first_day: bool) -> Evaluated {
    let sample = |place: usize| simulated.values.get(&place);
    let chance = |place: usize, limits: &Option<Limits>| {
        let (sample, limits) = (sample(place)?, limits.as_ref()?);
        Some(share(sample, |v| limits.contain(v)))
    };
    let measures: Vec<Option<Interval>> = (0..file.measures.len())
        .map(|place| sample(place).map(|s| Interval::of(s)))
        .collect();
    let goals: Vec<Option<f64>> = file
        .goals
        .iter()
        .zip(&targets.goals)
        .map(|(goal, limits)| chance(goal.measure, limits))
        .collect();
    let harms: Vec<Option<f64>> = file
        .harms
        .iter()
        .zip(&targets.harms)
        .map(|(harm, limits)| chance(harm.measure, limits))
        .collect();
    let weighted = |chances: &[Option<f64>], weights: &mut dyn Iterator<Item = f64>| -> f64 {
        chances.iter().zip(weights).map(|(c, w)| c.unwrap_or(0.0) * w).sum()
    };
    let score_of = |goals: &[Option<f64>], harms: &[Option<f64>]| {
        weighted(goals, &mut file.goals.iter().map(|g| g.weight))
            - weighted(harms, &mut file.harms.iter().map(|h| h.weight))
    };
    let mut score = score_of(&goals, &harms);
    if first_day && !simulated.next_day.is_empty() {
        // Exposures of the first day stand for those of the steady state.
        let on_day = |limits: &Option<Limits>| {
            let limits = limits.as_ref()?;
            Some(share(&simulated.next_day, |v| limits.contain(v)))
        };
        let goals: Vec<_> = targets.goals.iter().map(on_day).collect();
        let harms: Vec<_> = targets.harms.iter().map(on_day).collect();
        score = 0.5 * (score + score_of(&goals, &harms));
    }
    let blocked = file.harms.iter().enumerate().any(|(i, harm)| {
        let median = measures.get(harm.measure).copied().flatten().map(|m| m.p50);
        let by_median = targets.blocked.get(i).copied().flatten().zip(median);
        let by_chance = harm.blocked_chance.zip(harms.get(i).copied().flatten());
        by_median.is_some_and(|(limits, median)| limits.contain(median))
            || by_chance.is_some_and(|(most, chance)| chance > most)
    });
    let low = file.goals.first().zip(targets.goals.first().copied().flatten());
    let chance_low = low.and_then(|(goal, limits)| Some(share(sample(goal.measure)?, |v| v < limits.low)));
    Evaluated {
        plan: simulated.plan.clone(),
        measures,
        next_day: None,
        goals,
        chance_low: chance_low.unwrap_or(0.0),
        harms,
        score,
        blocked,
    }
}

/// Ranks plans and decides. Equal scores (to a percentage point) go to the plan that changes less: not put off, same interval as
/// the present one, then the order in which the twin prefers intervals (`every`), then the smaller daily dose.
#[must_use]
pub fn decide(mut options: Vec<Evaluated>, file: &TwinFile, targets: &Targets) -> Advice {
    let present = options
        .iter()
        .find(|o| o.plan.kind == Kind::Keep)
        .and_then(|o| o.plan.regimen);
    // The present plan stands in the list once, as itself.
    if let Some(present) = present {
        options.retain(|o| {
            o.plan.kind != Kind::Change
                || o.plan.loading.is_some()
                || o.plan.delay > 0.0
                || !o.plan.pattern.is_empty()
                || !o.plan.regimen.is_some_and(|r| same(&r, &present))
        });
    }
    let every: Vec<f64> = file.treatment.every.iter().map(|s| s.interval()).collect();
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
    // Among plans that all miss, the one that misses by less comes first.
    let miss = |o: &Evaluated| -> f64 {
        let headline = file.goals.first().and_then(|g| o.measure(g.measure));
        match headline.zip(targets.goals.first().copied().flatten()) {
            Some((m, limits)) if o.chance_goal() < 0.01 => {
                ((limits.low - m.p50).max(m.p50 - limits.high).max(0.0) * 100.0).round()
            }
            _ => 0.0,
        }
    };
    let rank = |a: &Evaluated, b: &Evaluated| -> Ordering {
        a.blocked
            .cmp(&b.blocked)
            .then(points(b).total_cmp(&points(a)))
            .then(miss(a).total_cmp(&miss(b)))
            .then(a.plan.delay.total_cmp(&b.plan.delay))
            .then(preference(a).cmp(&preference(b)))
            .then(a.plan.daily_dose().total_cmp(&b.plan.daily_dose()))
            .then((a.plan.loading.unwrap_or(0.0)).total_cmp(&b.plan.loading.unwrap_or(0.0)))
    };
    options.sort_by(rank);
    let find = |kind: Kind| options.iter().position(|o| o.plan.kind == kind);
    let (keep, stop) = (find(Kind::Keep), find(Kind::Stop));
    let worth = |o: &Evaluated| o.goals.iter().flatten().copied().fold(0.0, f64::max) > o.chance_harm();
    let best = options
        .iter()
        .position(|o| o.plan.kind == Kind::Change && !o.blocked && worth(o));
    let is_present = |o: &Evaluated| on_target(o, file, targets);
    let decision = match (
        keep.and_then(|k| options.get(k)),
        best.and_then(|b| options.get(b).map(|o| (b, o))),
    ) {
        _ if file.treatment.doses == crate::model::twin_file::Doses::None => Decision::Watch,
        (Some(present), _) if is_present(present) => Decision::OnTarget,
        (_, None) => Decision::NothingSuitable,
        (None, Some((index, _))) => Decision::Recommend(index),
        (Some(present), Some((index, option)))
            if option.score >= present.score + file.advice.margin
                || (present.blocked && option.score > present.score) =>
        {
            Decision::Recommend(index)
        }
        (Some(_), Some(_)) => Decision::NoClearAdvantage,
    };
    Advice {
        options,
        keep,
        stop,
        decision,
    }
}

/// Whether a plan needs no change: its headline in range by the median, likely enough, and no harm too likely.
fn on_target(present: &Evaluated, file: &TwinFile, targets: &Targets) -> bool {
    let headline = file.goals.first().and_then(|g| present.measure(g.measure));
    let limits = targets.goals.first().copied().flatten();
    let quiet = file.advice.quiet;
    headline.zip(limits).is_some_and(|(m, limits)| limits.contain(m.p50))
        && !present.blocked
        && present.chance_goal() >= quiet.goal
        && present.harms.iter().flatten().all(|chance| *chance <= quiet.harm)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{model::twin_file::TwinFile, patient::facts::Regimen};

    fn file() -> TwinFile {
        TwinFile::parse("twin.toml", include_str!("../../models/vancomycin/twin.toml")).unwrap()
    }

    fn targets(file: &TwinFile) -> Targets {
        Targets::of(file, &crate::model::formula::Values::new())
    }

    /// A plan in a patient of one clearance, uncertain by 10 %.
    fn plan(kind: Kind, amount: f64, interval_hours: f64, clearance: f64) -> Evaluated {
        let regimen = Regimen {
            amount,
            interval_hours,
            duration_hours: 1.0,
        };
        let plan = Plan::plain(kind, Some(regimen));
        let goal: Vec<f64> = (0..=100)
            .map(|i| plan.daily_dose() / (clearance * (0.8 + 0.004 * f64::from(i))))
            .collect();
        let file = file();
        let auc24 = file.measures.iter().position(|m| m.name == "auc24").unwrap();
        let simulated = Simulated {
            plan,
            values: [(auc24, goal)].into(),
            next_day: Vec::new(),
        };
        evaluate(&simulated, &file, &targets(&file), false)
    }

    fn run(options: Vec<Evaluated>) -> Advice {
        let file = file();
        decide(options, &file, &targets(&file))
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
        assert!(advice.alternatives(&file(), 3).is_empty());
    }

    #[test]
    fn chances_follow_from_the_draws() {
        let e = plan(Kind::Change, 1250.0, 12.0, 4.0);
        let exact = (0..=100)
            .filter(|i| (400.0..=600.0).contains(&(2500.0 / (4.0 * (0.8 + 0.004 * f64::from(*i))))))
            .count();
        assert!((e.chance_goal() - exact as f64 / 101.0).abs() < 1e-12);
        assert!(e.chance_goal() + e.chance_low + e.chance_harm() <= 1.0 + 1e-12);
    }
}
