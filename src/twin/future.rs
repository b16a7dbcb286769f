//! One member of a twin under a plan: history, then the doses or the input that the plan amounts to.

use crate::{
    engine::{Dose, Given, Regime, Settled, Subject},
    model::{
        model_file::Known,
        twin_file::{Enters, TwinFile},
    },
};

use super::{
    personalise::{Member, Twin, given},
    plan::{Kind, Plan},
};

/// When the next dose of a plan is due, hours since the origin, delay not counted: an interval after the last dose, never
/// in the past.
#[must_use]
pub fn due(twin: &Twin, plan: &Plan) -> f64 {
    let now = twin.ledger.now;
    let gap = match (plan.pattern.first(), plan.regimen) {
        (Some(first), _) => *first,
        (None, Some(regimen)) => regimen.interval_hours,
        (None, None) => return now,
    };
    let last = twin.ledger.doses.iter().map(|d| d.time).reduce(f64::max);
    last.map_or(now, |last| (last + gap).max(now))
}

/// The member with its history and what the plan adds until `end`, hours since the origin. `None` where its inputs are outside
/// of the model under the plan.
#[must_use]
pub fn subject(twin: &Twin, file: &TwinFile, member: &Member, plan: &Plan, end: f64) -> Option<Subject> {
    let doses = plan.doses(&file.treatment, due(twin, plan), end);
    match &file.treatment.into {
        Enters::Doses(_) => {
            let mut subject = member.subject.clone();
            subject
                .doses
                .extend(given(&member.model, &file.treatment.into, &doses, member.hours));
            Some(subject)
        }
        Enters::Input { name, is } => {
            let place = member.model.inputs().iter().position(|i| i.name == *name)?;
            let mut known = member.known.clone();
            let mut set = |hours: f64, value: f64| {
                let mut inputs = vec![None; member.model.inputs().len()];
                if let Some(cell) = inputs.get_mut(place) {
                    *cell = Some(value);
                }
                let from = hours / member.hours;
                // What the history said of a time from then on is what the plan replaces.
                for record in known.iter_mut().filter(|k| k.from >= from) {
                    if let Some(cell) = record.inputs.get_mut(place) {
                        *cell = None;
                    }
                }
                known.push(Known {
                    from,
                    inputs,
                    occasion: None,
                });
            };
            let mut values = twin.values.clone();
            match (plan.regimen, doses.first()) {
                (Some(regimen), Some(first)) => {
                    values.insert("amount".to_owned(), regimen.amount);
                    values.insert("interval".to_owned(), regimen.interval_hours);
                    set(first.time, is.value(&values)?);
                    if file.treatment.times.is_some()
                        && let Some(last) = doses.last()
                    {
                        set(last.time + regimen.interval_hours, 0.0);
                    }
                }
                // Charted doses end by themselves; a treatment known from orders ends now.
                _ if plan.kind == Kind::Stop && !twin.ledger.charted => set(twin.ledger.now, 0.0),
                _ => {}
            }
            known.sort_by(|a, b| a.from.total_cmp(&b.from));
            known.dedup_by(|later, earlier| {
                let same = later.from == earlier.from;
                if same {
                    for (cell, new) in earlier.inputs.iter_mut().zip(&later.inputs) {
                        *cell = new.or(*cell);
                    }
                }
                same
            });
            member.model.subject(&known, Vec::new(), Vec::new()).ok()
        }
    }
}

/// The member as if the plan had been followed for ever, on a time axis that begins with a dose; and where on it a round of
/// the plan begins, hours.
#[must_use]
pub fn settled(twin: &Twin, file: &TwinFile, member: &Member, plan: &Plan) -> Option<(Subject, f64)> {
    let regimen = plan.regimen?;
    let now = twin.ledger.now / member.hours;
    let regimes = &member.subject.regimes;
    let current = regimes.iter().rev().find(|r| r.from <= now).or(regimes.first())?;
    let current = Regime {
        from: 0.0,
        ..current.clone()
    };
    let round = plan.round();
    let gaps = if plan.pattern.is_empty() {
        vec![round]
    } else {
        plan.pattern.clone()
    };
    let mut doses: Vec<Given> = Vec::new();
    let mut at = 0.0;
    for (place, gap) in gaps.iter().enumerate() {
        let dose = |time: f64| Dose {
            time,
            amount: regimen.amount,
            duration: regimen.duration_hours,
        };
        let mut first = given(&member.model, &file.treatment.into, &[dose(at)], member.hours);
        for given in &mut first {
            given.settled = Some(Settled {
                interval: round / member.hours,
                added: place > 0,
            });
        }
        doses.extend(first);
        // With a pattern, the first round is only complete at its end: the second is looked at.
        if gaps.len() > 1 {
            let second = [dose(at + round)];
            doses.extend(given(&member.model, &file.treatment.into, &second, member.hours));
        }
        at += gap;
    }
    let begins = if gaps.len() > 1 { round } else { 0.0 };
    let subject = Subject::with_regimes(member.model.system(), vec![current], doses);
    Some((subject, begins))
}
