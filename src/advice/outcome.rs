//! The whole of the medicine for one question: from facts to silence, a refusal, or advice.

use std::sync::Arc;

use jiff::{Timestamp, tz::TimeZone};

use crate::{
    metrics::{self, Known},
    model::{
        catalog::Definition,
        formula::Values,
        twin_file::{Doses, Rule, RulePlan, Screen, TwinFile},
    },
    patient::facts::{Facts, Order, Regimen},
    twin::{
        cache::{Cache, Posterior, fingerprint},
        ledger::Ledger,
        personalise::{Batch, KeyParameter, Twin},
        plan::{Kind, Plan, grid, loading_doses, practical, same},
        simulate::{Curves, FOLLOWED, Ready, Simulated, Simulator},
        values::gather,
    },
    wording::{Language, Wording, number, significant},
};

use super::{
    decide::{Advice, Decision, Targets, decide, evaluate, needed},
    gates::{Refusal, check, conditions_unknown, doses_crowded, doses_unknown},
    present::{Present, active_orders, drafted, on_treatment, present},
    recent::{Recent, Sameness},
};

/// Alternatives that a card lists.
pub const LISTED: usize = 3;
/// Plans that are followed with all draws, when there are many.
const SHORT: usize = 8;

/// What is asked.
pub struct Question<'a> {
    /// The twin's files.
    pub definition: &'a Definition,
    /// The record.
    pub facts: &'a Facts,
    /// The draft order for this drug, if the clinician is ordering.
    pub draft: Option<&'a Order>,
    /// Whether the drug is being ordered by a way that the twin does not cover.
    pub other_way: bool,
    /// Why the draft's dose cannot be read, when a dose is there to be judged: a message of the catalogue.
    pub draft_unclear: Option<String>,
    /// Whether there are several drafts for this drug, which would be given together.
    pub several_drafts: bool,
    /// Whether a list that decides (doses, conditions, levels) could only be read in part.
    pub partial: bool,
    /// The moment of the call.
    pub now: Timestamp,
    /// Zone of dates.
    pub zone: &'a TimeZone,
    /// Language of the words in refusals.
    pub language: &'static str,
    /// Posterior draws.
    pub draws: usize,
    /// Where the twin is kept.
    pub cache: Cache<'a>,
    /// Answers of the last moments.
    pub recent: &'a Recent,
    /// Whether a page asks: then a patient who is not on the treatment gets an answer, too (what if it were begun), and each option
    /// that is listed a course.
    pub whole: bool,
    /// Plans that are to be compared instead of those of the twin's grid; empty: the grid.
    pub given: &'a [Regimen],
}

/// Advice with what it rests on.
pub struct Advised {
    /// The twin.
    pub twin: Twin,
    /// The options, ranked.
    pub advice: Advice,
    /// The plan that the options are compared with, and how it is known.
    pub present: Option<Present>,
    /// The ranges of goals and harms for this patient.
    pub targets: Targets,
    /// A parameter to show.
    pub key: Option<KeyParameter>,
    /// The options to be shown beside the present plan and the course without treatment, best first, by place.
    pub listed: Vec<usize>,
    /// The course so far and under the options shown.
    pub curves: Curves,
    /// Rules of the file that hold, by place, the loudest first.
    pub rules: Vec<usize>,
    /// Screens of the file that are open, by place: while there is one, nothing is offered with one click.
    pub screens: Vec<usize>,
}

impl Advised {
    /// Whether a rule that must be heard holds, though the plan may be on target.
    #[must_use]
    pub fn must_be_heard(&self, file: &TwinFile) -> bool {
        let loud = |place: &usize| {
            let rule = file.rules.get(*place);
            rule.is_some_and(|r| r.urgency != crate::model::twin_file::Urgency::Info)
        };
        self.rules.iter().any(loud)
    }
}

/// What came of a question.
pub enum Outcome {
    /// Nothing to say: not on this treatment, or the patient has died.
    Silent,
    /// Nothing may be advised.
    Refused(Refusal),
    /// Advice; that the plan is on target is advice too, though it makes no card.
    Advised(Arc<Advised>),
}

/// Answers a question.
#[must_use]
pub fn consider(question: &Question<'_>) -> Outcome {
    let Question {
        definition, facts, now, ..
    } = question;
    if facts.person.deceased {
        return Outcome::Silent;
    }
    if question.other_way {
        return Outcome::Refused(Refusal::new("other-way", "refuse-other-way", "help-other-way", []));
    }
    if question.several_drafts {
        return Outcome::Refused(Refusal::new(
            "several-drafts",
            "refuse-several-drafts",
            "help-several-drafts",
            [],
        ));
    }
    if let Some(reason) = &question.draft_unclear {
        let reason = Wording::of(Language::from_tag(question.language)).say(reason, []);
        let args = [("reason", reason)];
        return Outcome::Refused(Refusal::new(
            "draft-unclear",
            "refuse-draft-unclear",
            "help-draft-unclear",
            args,
        ));
    }
    if question.draft.is_none() && !question.whole && !on_treatment(facts, &definition.file.treatment, *now) {
        return Outcome::Silent;
    }
    match advise(question) {
        Ok(advised) => Outcome::Advised(advised),
        Err(refusal) => Outcome::Refused(refusal),
    }
}

fn advise(question: &Question<'_>) -> Result<Arc<Advised>, Refusal> {
    let Question {
        definition, facts, now, ..
    } = *question;
    let file = &definition.file;
    let language = Language::from_tag(question.language);
    let in_force = present(facts, &file.treatment, now);
    let plan = question.draft.and_then(|d| drafted(d, &file.treatment)).or(in_force);
    let mut ledger = Ledger::new(file, facts, now);
    let regimen = plan.as_ref().map(|p| p.regimen);
    let values = gather(file, facts, &ledger, regimen.as_ref(), now, question.zone);
    check(file, facts, &values, now, question.zone, question.language)?;
    sound(question, &ledger)?;
    if let Some(plan) = plan
        .as_ref()
        .filter(|p| file.treatment.doses != Doses::None && !practical(&file.treatment, &values, &p.regimen))
    {
        return Err(outside_the_list(file, &values, &plan.regimen, language));
    }
    let impractical = |r: &&Regimen| !practical(&file.treatment, &values, r);
    if let Some(regimen) = question.given.iter().find(impractical) {
        return Err(outside_the_list(file, &values, regimen, language));
    }
    if question.draft.is_none() && active_orders(facts) > 1 && file.treatment.doses != Doses::None {
        return Err(Refusal::new("several-orders", "refuse-several-orders", "help-several-orders", []).warning());
    }
    ledger.enter(file, facts, &values);
    let followed = Simulator::follows(definition).then_some(question.draws.min(FOLLOWED));
    let draws = file.draws.or(followed).unwrap_or(question.draws);
    let print = fingerprint(definition, &values, &ledger, draws);
    let sameness = Sameness::of(question.cache.key, &print, plan.as_ref(), now, question.language);
    if let Some(known) = question.recent.find(&sameness).filter(|_| !question.whole) {
        metrics::looked_up(&file.id, Known::Recent);
        return Ok(known);
    }
    let started = std::time::Instant::now();
    let (twin, batches) = twin(question, values, ledger, print, draws)?;
    let fitted = started.elapsed();
    let advised = simulate(question, twin, batches, plan)?;
    tracing::debug!(
        twin = file.id,
        fit_ms = fitted.as_secs_f64() * 1e3,
        simulate_ms = (started.elapsed() - fitted).as_secs_f64() * 1e3,
        "computed"
    );
    if let Some(refusal) = accumulated(file, &advised, language) {
        return Err(refusal);
    }
    let advised = Arc::new(advised);
    if !question.whole {
        question.recent.keep(sameness, &advised);
    }
    Ok(advised)
}

/// Whether the record can be built on.
fn sound(question: &Question<'_>, ledger: &Ledger) -> Result<(), Refusal> {
    let facts = question.facts;
    if question.partial || conditions_unknown(facts) {
        return Err(Refusal::new("partial", "refuse-partial", "help-partial", []));
    }
    let levels = !ledger.levels.is_empty();
    if doses_crowded(facts) && levels {
        return Err(Refusal::new("doses-crowded", "refuse-doses-crowded", "help-doses-crowded", []).warning());
    }
    if doses_unknown(facts) && levels {
        return Err(Refusal::new("doses-unknown", "refuse-doses-unknown", "help-doses-unknown", []).warning());
    }
    if ledger.level_without_dose().is_some() {
        let id = "level-without-dose";
        return Err(Refusal::new(id, "refuse-level-without-dose", "help-level-without-dose", []).warning());
    }
    Ok(())
}

/// Simulates the candidates and decides among them.
fn simulate(
    question: &Question<'_>,
    twin: Twin,
    batches: Vec<Batch>,
    plan: Option<Present>,
) -> Result<Advised, Refusal> {
    let (file, facts) = (&question.definition.file, question.facts);
    let failed = |error| {
        tracing::warn!(twin = file.id, %error, "plans could not be simulated");
        Refusal::new("not-computed", "refuse-not-converged", "help-not-converged", [])
    };
    let keep = plan.as_ref().map(|p| Plan::plain(Kind::Keep, Some(p.regimen)));
    let simulator = Simulator::new(&twin, file, batches, keep.clone()).map_err(failed)?;
    let plans = if question.given.is_empty() {
        candidates(file, facts, keep.as_ref(), &twin.values)
    } else {
        given(question.given, keep.as_ref())
    };
    let targets = Targets::of(file, &twin.values);
    let first_day = file.advice.first_day && twin.ledger.doses.is_empty();
    let plans = shortlist(&simulator, file, &targets, plans).map_err(failed)?;
    let ready = simulator.ready().map_err(failed)?;
    let simulated = ready.run(&plans, &needed(file), first_day).map_err(failed)?;
    let evaluated = simulated
        .iter()
        .map(|s| evaluate(s, file, &targets, first_day))
        .collect();
    let mut advice = decide(evaluated, file, &targets);
    let listed = listed(question, &advice);
    let mut shown = listed.clone();
    shown.extend(advice.keep);
    shown.extend(advice.stop);
    complete(&ready, file, &mut advice, &shown).map_err(failed)?;
    let rules = rules(&ready, file, &advice, &twin.values, simulated).map_err(failed)?;
    let drawn = listed
        .iter()
        .copied()
        .take(if question.whole { usize::MAX } else { 1 })
        .chain(advice.keep)
        .chain(advice.stop);
    let drawn: Vec<Plan> = drawn
        .filter_map(|i| Some(advice.options.get(i)?.plan.clone()))
        .collect();
    let curves = simulator.curves(&drawn).map_err(failed)?;
    let key = twin.key_parameter(simulator.batches());
    let open = |screen: &Screen| !facts.tested_negative.contains_key(&screen.flag);
    let screens = file
        .screens
        .iter()
        .enumerate()
        .filter(|(_, s)| open(s))
        .map(|(i, _)| i)
        .collect();
    Ok(Advised {
        advice,
        listed,
        present: plan,
        targets,
        key,
        curves,
        rules,
        screens,
        twin,
    })
}

/// The plans that the caller gave, beside the present one and the course without treatment.
fn given(regimens: &[Regimen], keep: Option<&Plan>) -> Vec<Plan> {
    let change = |regimen: &Regimen| Plan::plain(Kind::Change, Some(*regimen));
    let plans = keep.cloned().into_iter().chain(regimens.iter().map(change));
    plans.chain([Plan::plain(Kind::Stop, None)]).collect()
}

/// The options that are shown beside the present plan and the course without treatment, best first: alternatives, or all that were
/// given.
fn listed(question: &Question<'_>, advice: &Advice) -> Vec<usize> {
    if question.given.is_empty() {
        return advice.alternatives(&question.definition.file, LISTED);
    }
    advice.changes().collect()
}

/// Of many plans that must be followed in time, the ones that few draws find best, with the present plan and the course without
/// treatment.
fn shortlist(
    simulator: &Simulator<'_>,
    file: &TwinFile,
    targets: &Targets,
    plans: Vec<Plan>,
) -> Result<Vec<Plan>, crate::engine::EngineError> {
    let rough = match simulator.roughly() {
        Some(rough) if plans.len() > SHORT + SHORT / 2 => rough,
        _ => return Ok(plans),
    };
    let simulated = rough.ready()?.run(&plans, &needed(file), false)?;
    let evaluated = simulated.iter().map(|s| evaluate(s, file, targets, false)).collect();
    let mut left = SHORT;
    let kept = decide(evaluated, file, targets).options.into_iter().filter(|option| {
        let listed = option.plan.kind != Kind::Change || left > 0;
        left -= usize::from(option.plan.kind == Kind::Change && left > 0);
        listed
    });
    Ok(kept.map(|option| option.plan).collect())
}

/// Takes all measures of the options that are shown.
fn complete(
    ready: &Ready<'_>,
    file: &TwinFile,
    advice: &mut Advice,
    shown: &[usize],
) -> Result<(), crate::engine::EngineError> {
    let plans: Vec<Plan> = shown
        .iter()
        .filter_map(|i| Some(advice.options.get(*i)?.plan.clone()))
        .collect();
    let known = needed(file);
    let exposure = file.headline().is_some_and(|(_, m)| {
        m.take == crate::model::twin_file::Take::Area && m.window == crate::model::twin_file::Window::Steady
    });
    let rest: Vec<usize> = (0..file.measures.len()).filter(|i| !known.contains(i)).collect();
    if rest.is_empty() && !exposure {
        return Ok(());
    }
    for (place, simulated) in shown.iter().zip(ready.run(&plans, &rest, exposure)?) {
        let Some(option) = advice.options.get_mut(*place) else {
            continue;
        };
        for (measure, sample) in &simulated.values {
            if let Some(cell) = option.measures.get_mut(*measure) {
                *cell = Some(crate::twin::interval::Interval::of(sample));
            }
        }
        if exposure && !simulated.next_day.is_empty() {
            option.next_day = Some(crate::twin::interval::Interval::of(&simulated.next_day));
        }
    }
    Ok(())
}

/// The rules that hold, the loudest first. `known` is what has been simulated already.
fn rules(
    ready: &Ready<'_>,
    file: &TwinFile,
    advice: &Advice,
    values: &Values,
    mut known: Vec<Simulated>,
) -> Result<Vec<usize>, crate::engine::EngineError> {
    let place = |rule: &Rule| match (rule.plan, advice.decision) {
        (RulePlan::Keep, _) => advice.keep.or(advice.stop),
        (RulePlan::Stop, _) => advice.stop,
        (RulePlan::Best, Decision::Recommend(i)) => Some(i),
        (RulePlan::Best, _) => advice.alternatives(file, 1).first().copied().or(advice.keep),
    };
    let plan = |rule: &Rule| {
        place(rule)
            .and_then(|i| advice.options.get(i))
            .map(|option| &option.plan)
    };
    let possible = |rule: &&Rule| rule.when.as_ref().is_none_or(|when| when.holds(values));
    // What rules ask and nobody has asked yet is followed once for each plan.
    for simulated in &mut known {
        let asked = file
            .rules
            .iter()
            .filter(possible)
            .filter(|rule| plan(rule) == Some(&simulated.plan));
        let mut measures: Vec<usize> = asked.filter_map(|rule| Some(rule.predicted.as_ref()?.0)).collect();
        measures.retain(|measure| !simulated.values.contains_key(measure));
        measures.sort_unstable();
        measures.dedup();
        if !measures.is_empty() {
            let more = ready.run(std::slice::from_ref(&simulated.plan), &measures, false)?;
            simulated.values.extend(more.into_iter().flat_map(|m| m.values));
        }
    }
    let holds = |rule: &Rule| {
        let Some((measure, range, least)) = &rule.predicted else {
            return true;
        };
        let simulated = plan(rule).and_then(|plan| known.iter().find(|s| s.plan == *plan));
        let sample = simulated.and_then(|s| s.values.get(measure));
        sample.zip(range.limits(values)).is_some_and(|(sample, limits)| {
            let within = sample.iter().filter(|x| limits.contain(**x)).count();
            #[expect(clippy::cast_precision_loss, reason = "numbers of draws are far smaller than 2^52")]
            let chance = within as f64 / sample.len().max(1) as f64;
            chance >= *least
        })
    };
    let mut found: Vec<usize> = (0..file.rules.len())
        .filter(|place| file.rules.get(*place).filter(possible).is_some_and(holds))
        .collect();
    found.sort_by_key(|place| std::cmp::Reverse(file.rules.get(*place).map(|r| r.urgency)));
    Ok(found)
}

/// A plan that is beyond what the twin's file allows is said so, and not compared with anything.
fn outside_the_list(file: &TwinFile, values: &Values, regimen: &Regimen, language: Language) -> Refusal {
    let show = |v: f64| number(v, language);
    let treatment = &file.treatment;
    let longest = treatment
        .every
        .iter()
        .flat_map(|s| s.gaps.iter().copied())
        .fold(0.0, f64::max);
    let args = [
        ("amount", show(regimen.amount)),
        ("interval", show(regimen.interval_hours)),
        ("duration", show(regimen.duration_hours)),
        ("unit", treatment.unit.clone()),
        ("single", show(treatment.single_max.value(values).unwrap_or(0.0))),
        ("daily", show(treatment.daily_max.value(values).unwrap_or(0.0))),
        ("longest", show(longest)),
    ];
    Refusal::new("outside-list", "refuse-outside-list", "help-outside-list", args).critical()
}

/// Steady state is not all: with what is already in the body, the next day may harm under every plan.
fn accumulated(file: &TwinFile, advised: &Advised, language: Language) -> Option<Refusal> {
    let advice = &advised.advice;
    let concerned = match advice.decision {
        Decision::Recommend(i) => Some(i),
        _ => advice.keep,
    };
    let next_day = advice.options.get(concerned?)?.next_day?;
    let (goal, _) = file.headline()?;
    let harm = file.harms.iter().find(|h| h.measure == goal.measure)?;
    let limit = harm.blocked.as_ref()?.low.as_ref()?.value(&advised.twin.values)?;
    (next_day.p50 > limit).then(|| {
        let args = [
            ("label", goal.label.get(language.tag()).to_owned()),
            ("value", significant(next_day.p50, 3, language)),
            ("limit", number(limit, language)),
        ];
        Refusal::new("accumulated", "refuse-accumulated", "help-accumulated", args)
            .critical()
            .with_level()
    })
}

/// The patient's twin and draws from its posterior: from the store when the facts are the same, else fitted and stored.
fn twin(
    question: &Question<'_>,
    values: Values,
    ledger: Ledger,
    print: [u8; 32],
    draws: usize,
) -> Result<(Twin, Vec<Batch>), Refusal> {
    let Question { definition, facts, .. } = *question;
    let language = Language::from_tag(question.language);
    let mut found = question.cache.find(&print);
    let known = found.posterior.take();
    let from = if known.is_some() { Known::Hit } else { Known::Miss };
    metrics::looked_up(&definition.file.id, from);
    let kept = known.as_ref().map(|k| k.fits.as_slice());
    let twin = Twin::fit(definition, values, ledger, kept, language).map_err(|left_out| {
        let wording = Wording::of(language);
        let reasons: Vec<String> = left_out.iter().map(|p| wording.phrase(p)).collect();
        Refusal::new(
            "no-model",
            "refuse-population",
            "help-population",
            [("reason", reasons.join(", "))],
        )
    })?;
    if let Some(wrong) = twin.misfit(definition.file.advice.misfit) {
        let args = [
            ("predicted", significant(wrong.predicted, 2, language)),
            ("measured", significant(wrong.measured, 3, language)),
            ("unit", twin.unit(&wrong.output).to_owned()),
        ];
        return Err(Refusal::new("misfit", "refuse-misfit", "help-misfit", args)
            .warning()
            .with_level());
    }
    if let Some(known) = known {
        return Ok((twin, known.draws));
    }
    let batches = twin.draws(draws);
    let levels = twin.ledger.levels.iter().map(|l| l.measurement.time);
    let newest = facts.given.iter().map(|g| g.time).chain(levels).max();
    question.cache.keep(
        &found,
        print,
        newest,
        Posterior {
            fits: twin.kept(),
            draws: batches.clone(),
        },
    );
    Ok((twin, batches))
}

/// The present plan, every plan of the grid, with a loading dose first while no dose has been given, and the course without
/// further treatment.
fn candidates(file: &TwinFile, facts: &Facts, keep: Option<&Plan>, values: &Values) -> Vec<Plan> {
    let treatment = &file.treatment;
    let present = keep.and_then(|k| k.regimen);
    let mut plans: Vec<Plan> = keep.cloned().into_iter().collect();
    let loading = if facts.given.is_empty() && !doses_unknown(facts) {
        loading_doses(treatment, values)
    } else {
        Vec::new()
    };
    let daily_max = treatment.daily_max.value(values).unwrap_or(0.0);
    for plan in grid(treatment, values, present.as_ref()) {
        let Some(regimen) = plan.regimen else { continue };
        // The loading dose and the doses after it in the first day keep the daily maximum too.
        let after = ((24.0 / regimen.interval_hours).ceil() - 1.0) * regimen.amount;
        let with_loading: Vec<Plan> = loading
            .iter()
            .filter(|l| **l > regimen.amount && **l + after <= daily_max)
            .map(|l| Plan {
                loading: Some(*l),
                ..plan.clone()
            })
            .collect();
        let as_now = plan.delay == 0.0 && plan.pattern.is_empty() && present.is_some_and(|p| same(&p, &regimen));
        if !as_now {
            plans.push(plan);
        }
        plans.extend(with_loading);
    }
    plans.push(Plan::plain(Kind::Stop, None));
    plans
}
