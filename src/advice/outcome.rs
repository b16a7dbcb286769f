//! The whole of the medicine for one question: from facts to silence, a refusal, or advice.

use std::sync::Arc;

use jiff::{Timestamp, tz::TimeZone};

use crate::{
    engine::Draws,
    model::{catalog::Definition, twin_file::TwinFile},
    patient::facts::{Facts, Order},
    twin::{
        cache::{Cache, Posterior, fingerprint},
        ledger::{Inputs, Ledger},
        personalise::{KeyParameter, Twin, fit_all},
        plan::{Kind, Plan, grid, loading_doses, practical, same},
        simulate::{Curves, Simulator},
    },
    wording::{Language, Wording, number, significant},
};

use super::{
    decide::{Advice, Decision, decide, evaluate},
    gates::{Refusal, conditions_unknown, doses_crowded, doses_unknown, inputs},
    present::{Present, active_orders, drafted, on_treatment, present},
    recent::{Recent, Sameness},
};

/// Alternatives that a card lists.
pub const LISTED: usize = 3;

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
}

/// Advice with what it rests on.
pub struct Advised {
    /// The twin.
    pub twin: Twin,
    /// The options, ranked.
    pub advice: Advice,
    /// The plan that the options are compared with, and how it is known.
    pub present: Option<Present>,
    /// A parameter to show.
    pub key: Option<KeyParameter>,
    /// The course so far and under the options shown.
    pub curves: Curves,
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
    if question.draft.is_none() && !on_treatment(facts, &definition.file.treatment, *now) {
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
    let inputs = inputs(file, facts, now, question.zone, question.language)?;
    if question.partial || conditions_unknown(facts) {
        return Err(Refusal::new("partial", "refuse-partial", "help-partial", []));
    }
    let ledger = Ledger::new(file, facts, now);
    if doses_crowded(facts) && !ledger.levels.is_empty() {
        return Err(Refusal::new("doses-crowded", "refuse-doses-crowded", "help-doses-crowded", []).warning());
    }
    if doses_unknown(facts) && !ledger.levels.is_empty() {
        return Err(Refusal::new("doses-unknown", "refuse-doses-unknown", "help-doses-unknown", []).warning());
    }
    if ledger.level_without_dose().is_some() {
        return Err(Refusal::new(
            "level-without-dose",
            "refuse-level-without-dose",
            "help-level-without-dose",
            [],
        )
        .warning());
    }

    let in_force = present(facts, &file.treatment, now);
    let plan = question.draft.and_then(|d| drafted(d, &file.treatment)).or(in_force);
    if let Some(plan) = plan.as_ref().filter(|p| !practical(&file.treatment, &p.regimen)) {
        return Err(outside_the_list(file, plan, language));
    }
    if question.draft.is_none() && active_orders(facts) > 1 {
        return Err(Refusal::new("several-orders", "refuse-several-orders", "help-several-orders", []).warning());
    }
    let print = fingerprint(&definition.sha256, &inputs, &ledger, question.draws);
    let sameness = Sameness::of(question.cache.key, &print, plan.as_ref(), now, question.language);
    if let Some(known) = question.recent.find(&sameness) {
        return Ok(known);
    }
    let (twin, draws) = twin(question, &inputs, ledger, print)?;
    let weight = file
        .treatment
        .loading
        .as_ref()
        .and_then(|l| inputs.get(&l.input).copied());
    let failed = |_| Refusal::new("not-computed", "refuse-not-converged", "help-not-converged", []);
    let simulator = Simulator::new(&twin, file, draws).map_err(failed)?;
    let plans = candidates(file, facts, plan.as_ref(), weight);
    let ready = simulator.ready().map_err(failed)?;
    let simulated = ready.run(&plans).map_err(failed)?;
    let evaluated = simulated.iter().map(|s| evaluate(s, &file.goal, &file.harm)).collect();
    let mut advice = decide(evaluated, &file.treatment.every, &file.goal, &file.advice);
    let mut listed = advice.alternatives(LISTED);
    listed.extend(advice.keep);
    let listed_plans: Vec<Plan> = listed
        .iter()
        .filter_map(|i| Some(advice.options.get(*i)?.plan.clone()))
        .collect();
    for (i, shape) in listed.iter().zip(ready.shapes(&listed_plans).map_err(failed)?) {
        if let Some(option) = advice.options.get_mut(*i) {
            option.shape = Some(shape);
        }
    }
    if let Some(refusal) = accumulated(file, &advice, language) {
        return Err(refusal);
    }
    let drawn = advice.alternatives(1).into_iter().chain(advice.keep);
    let mut shown: Vec<Plan> = drawn
        .filter_map(|i| Some(advice.options.get(i)?.plan.clone()))
        .collect();
    shown.push(Plan {
        kind: Kind::Stop,
        loading: None,
        regimen: None,
    });
    let curves = simulator.curves(&shown).map_err(failed)?;
    let key = twin.key_parameter(simulator.draws());
    let advised = Arc::new(Advised {
        advice,
        present: plan,
        key,
        curves,
        twin,
    });
    question.recent.keep(sameness, &advised);
    Ok(advised)
}

/// A plan that is beyond what the twin's file allows is said so, and not compared with anything.
fn outside_the_list(file: &TwinFile, plan: &Present, language: Language) -> Refusal {
    let show = |v: f64| number(v, language);
    let every = &file.treatment.every;
    let args = [
        ("amount", show(plan.regimen.amount)),
        ("interval", show(plan.regimen.interval_hours)),
        ("duration", show(plan.regimen.duration_hours)),
        ("unit", file.treatment.unit.clone()),
        ("single", show(file.treatment.single_max)),
        ("daily", show(file.treatment.daily_max)),
        ("longest", show(every.iter().copied().fold(0.0, f64::max))),
    ];
    Refusal::new("outside-list", "refuse-outside-list", "help-outside-list", args).critical()
}

/// Steady state is not all: with what is already in the body, the next day may harm under every plan.
fn accumulated(file: &TwinFile, advice: &Advice, language: Language) -> Option<Refusal> {
    let concerned = match advice.decision {
        Decision::Recommend(i) => Some(i),
        _ => advice.keep,
    };
    let next_day = advice.options.get(concerned?)?.shape?.next_day?;
    (next_day.p50 > file.harm.blocked_above).then(|| {
        let args = [
            ("label", file.goal.label.get(language.tag()).to_owned()),
            ("value", significant(next_day.p50, 3, language)),
            ("limit", number(file.harm.blocked_above, language)),
        ];
        Refusal::new("accumulated", "refuse-accumulated", "help-accumulated", args)
            .critical()
            .with_level()
    })
}

/// The patient's twin and draws from its posterior: from the store when the facts are the same, else fitted and stored.
fn twin(
    question: &Question<'_>,
    inputs: &Inputs,
    ledger: Ledger,
    print: [u8; 32],
) -> Result<(Twin, Vec<(usize, Draws)>), Refusal> {
    let Question { definition, facts, .. } = *question;
    let language = Language::from_tag(question.language);
    let mut found = question.cache.find(&print);
    let known = found.posterior.take();
    let fits = fit_all(definition, inputs, &ledger, known.as_ref().map(|k| &k.fits), language).map_err(|left_out| {
        let wording = Wording::of(language);
        let reasons: Vec<String> = left_out.iter().map(|p| wording.phrase(p)).collect();
        Refusal::new(
            "no-model",
            "refuse-population",
            "help-population",
            [("reason", reasons.join(", "))],
        )
    })?;
    let output = &definition.file.goal.output;
    let output = fits
        .members
        .first()
        .and_then(|(model, ..)| model.outputs().iter().position(|o| &o.name == output));
    let twin = Twin::new(fits, ledger, output.unwrap_or(0), known.is_some());
    if let Some(wrong) = twin.misfit(definition.file.level.misfit) {
        let args = [
            ("predicted", significant(wrong.predicted, 2, language)),
            ("measured", significant(wrong.measured, 3, language)),
            ("unit", twin.level_unit().to_owned()),
        ];
        return Err(Refusal::new("misfit", "refuse-misfit", "help-misfit", args)
            .warning()
            .with_level());
    }
    if let Some(known) = known {
        return Ok((twin, known.draws));
    }
    let draws = twin.draws(question.draws);
    let fits = twin
        .members
        .iter()
        .map(|m| (m.model.id.clone(), m.fit.clone()))
        .collect();
    let levels = twin.ledger.levels.iter().map(|l| l.measurement.time);
    let newest = facts.given.iter().map(|g| g.time).chain(levels).max();
    question.cache.keep(
        &found,
        print,
        newest,
        Posterior {
            fits,
            draws: draws.clone(),
        },
    );
    Ok((twin, draws))
}

/// The present plan, and every regimen of the grid; with a loading dose first while no dose has been given.
fn candidates(file: &TwinFile, facts: &Facts, present: Option<&Present>, weight: Option<f64>) -> Vec<Plan> {
    let mut plans = Vec::new();
    if let Some(present) = present {
        plans.push(Plan {
            kind: Kind::Keep,
            loading: None,
            regimen: Some(present.regimen),
        });
    }
    let loading = match weight {
        Some(weight) if facts.given.is_empty() && !doses_unknown(facts) => loading_doses(&file.treatment, weight),
        _ => Vec::new(),
    };
    for regimen in grid(&file.treatment) {
        if !present.is_some_and(|p| same(&p.regimen, &regimen)) {
            plans.push(Plan {
                kind: Kind::Change,
                loading: None,
                regimen: Some(regimen),
            });
        }
        // The loading dose and the doses after it in the first day keep the daily maximum too.
        let after = ((24.0 / regimen.interval_hours).ceil() - 1.0) * regimen.amount;
        plans.extend(
            loading
                .iter()
                .filter(|l| **l > regimen.amount && **l + after <= file.treatment.daily_max)
                .map(|l| Plan {
                    kind: Kind::Change,
                    loading: Some(*l),
                    regimen: Some(regimen),
                }),
        );
    }
    plans
}
