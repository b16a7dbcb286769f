//! Fits every model of a twin to one patient and lets them vote.

use std::{collections::BTreeMap, sync::Arc};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{
    engine::{Course, Dose, Fit, FitOptions, Given, Subject, fit, ofv_weights},
    model::{
        catalog::Definition,
        formula::Values,
        model_file::{InputError, Known, Model, with_class},
        twin_file::Enters,
    },
    wording::{Language, Phrase, significant},
};

use super::{interval::Interval, ledger::Ledger};

/// Seed of all draws. One for everybody: the same facts give the same draws, and a small change in the facts a small change
/// in the answer, not new noise.
const SEED: u64 = 0x004A_756D_6561_7530;

/// A vote smaller than this is not simulated: it could not be seen in 1000 draws.
const SMALLEST_VOTE: f64 = 0.0005;

/// One model, fitted; of a model with categories that are not known, one for each combination of their levels.
#[derive(Debug, Clone)]
pub struct Member {
    /// The model.
    pub model: Arc<Model>,
    /// Inputs and levels that are assumed, those not known.
    pub levels: Vec<(usize, usize)>,
    /// What is known over time, with those levels, in the unit of time of the model.
    pub known: Vec<Known>,
    /// The patient as the engine sees them.
    pub subject: Subject,
    /// Hours in the unit of time of the model.
    pub hours: f64,
    /// What the levels made of it.
    pub fit: Fit,
    /// Its vote; votes add to 1.
    pub weight: f64,
}

/// Equally probable random effects of one member.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Batch {
    /// Place of the member.
    pub member: usize,
    /// One set a row.
    pub effects: Vec<Vec<f64>>,
}

/// A fit as it is kept between calls.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct KeptFit {
    /// Id of the model.
    pub model: String,
    /// Levels that it assumes.
    pub levels: Vec<(usize, usize)>,
    /// The fit.
    pub fit: Fit,
}

/// A patient's twin.
#[derive(Debug, Clone)]
pub struct Twin {
    /// What it was fitted to.
    pub ledger: Ledger,
    /// What is known of the patient.
    pub values: Values,
    /// The models that vote, as in the twin's file.
    pub members: Vec<Member>,
    /// Models that could not vote, and why.
    pub left_out: Vec<Phrase>,
    /// Whether it came from the store.
    pub reused: bool,
}

/// A parameter of the leading model, for the card.
#[derive(Debug, Clone, PartialEq)]
pub struct KeyParameter {
    /// Name.
    pub name: String,
    /// Unit.
    pub unit: String,
    /// This patient's.
    pub personal: f64,
    /// Of a typical patient with the same covariates.
    pub typical: f64,
    /// 90 % interval among the draws of all models.
    pub interval: Interval,
}

/// The last level that was used, and what the twin makes of it.
#[derive(Debug, Clone, PartialEq)]
pub struct LastLevel {
    /// The output that it is a value of.
    pub output: String,
    /// Mean of the models' individual predictions, weighted by their votes.
    pub predicted: f64,
    /// As measured.
    pub measured: f64,
}

/// Two explanations of the same levels.
#[derive(Debug, Clone, PartialEq)]
pub struct TwoExplanations {
    /// Parameter in which they differ most.
    pub name: String,
    /// Its unit.
    pub unit: String,
    /// In the likelier explanation.
    pub first: f64,
    /// In the other.
    pub second: f64,
}

/// What is known over time, for one model: everything from the beginning, then each change.
fn known(model: &Model, values: &Values, ledger: &Ledger, hours: f64) -> Vec<Known> {
    let changing = |name: &str| ledger.changes.iter().any(|c| c.input == name);
    let mut inputs: Vec<Option<f64>> = model
        .inputs()
        .iter()
        .map(|input| values.get(&input.name).copied().filter(|_| !changing(&input.name)))
        .collect();
    // Before its first known value an input has that value; a treatment that is an input has none before it begins.
    for (cell, input) in inputs.iter_mut().zip(model.inputs()) {
        if let Some(first) = ledger.changes.iter().find(|c| c.input == input.name) {
            let treated = ledger.treatment_input.as_deref() == Some(input.name.as_str());
            *cell = Some(if treated { 0.0 } else { first.value });
        }
    }
    let start = ledger.changes.iter().map(|c| c.hours).fold(0.0, f64::min);
    let mut records = vec![Known {
        from: start / hours,
        inputs,
        occasion: None,
    }];
    for change in &ledger.changes {
        let mut inputs = vec![None; model.inputs().len()];
        let place = model.inputs().iter().position(|i| i.name == change.input);
        let Some(cell) = place.and_then(|i| inputs.get_mut(i)) else {
            continue;
        };
        *cell = Some(change.value);
        let from = change.hours / hours;
        match records.last_mut() {
            Some(last) if last.from >= from => {
                for (cell, new) in last.inputs.iter_mut().zip(inputs) {
                    *cell = new.or(*cell);
                }
            }
            _ => records.push(Known {
                from,
                inputs,
                occasion: None,
            }),
        }
    }
    records
}

/// Place of the route that the treatment enters by.
fn route(model: &Model, into: &Enters) -> usize {
    let Enters::Doses(Some(name)) = into else { return 0 };
    let routes = model.system().routes();
    let state = model.system().states().iter().position(|s| s == name);
    state.and_then(|state| routes.find(Some(state))).unwrap_or(0)
}

/// Doses in the unit of time of a model.
#[must_use]
pub fn given(model: &Model, into: &Enters, doses: &[Dose], hours: f64) -> Vec<Given> {
    if matches!(into, Enters::Input { .. }) {
        return Vec::new();
    }
    let route = route(model, into);
    doses
        .iter()
        .map(|dose| Given {
            dose: Dose {
                time: dose.time / hours,
                amount: dose.amount,
                duration: dose.duration / hours,
            },
            route,
            course: Course::Duration,
            settled: None,
        })
        .collect()
}

/// Why a model cannot vote, in words.
fn left_out(definition: &Definition, model: &Model, error: &InputError, language: Language) -> Phrase {
    let title = |name: &str| definition.file.title(name, language.tag()).to_owned();
    let show = |v: f64| {
        if v.is_finite() {
            significant(v, 3, language)
        } else {
            "∞".to_owned()
        }
    };
    match error {
        InputError::OutsidePopulation {
            name, value, low, high, ..
        } => Phrase::message(
            "member-outside",
            [
                ("model", model.id.clone()),
                ("item", title(name)),
                ("value", show(*value)),
                ("low", show(*low)),
                ("high", show(*high)),
            ],
        ),
        InputError::Missing { name } => {
            Phrase::message("member-missing", [("model", model.id.clone()), ("item", title(name))])
        }
        _ => Phrase::message("member-failed", [("model", model.id.clone())]),
    }
}

/// What the fits of one model came to: members that still lack their vote, and the OFV of the model as a whole.
fn members_of(
    definition: &Definition,
    model: &Arc<Model>,
    values: &Values,
    ledger: &Ledger,
    kept: &[KeptFit],
) -> Result<Vec<(Member, f64)>, Option<InputError>> {
    let hours = model.hours_per_time();
    let known = known(model, values, ledger, hours);
    let observations = ledger.observations(model);
    let doses = given(model, &definition.file.treatment.into, &ledger.doses, hours);
    let options = if model.system().is_plain() {
        FitOptions::default()
    } else {
        FitOptions::rough()
    };
    let of_class =
        |(frequency, levels): (f64, Vec<(usize, usize)>)| -> Result<Option<(Member, f64)>, Option<InputError>> {
            let known = with_class(&known, &levels, model.inputs().len());
            let subject = model.subject(&known, doses.clone(), Vec::new()).map_err(Some)?;
            let is = |k: &&KeptFit| k.model == model.id && k.levels == levels;
            let fit = match kept.iter().find(is) {
                Some(kept) => Some(kept.fit.clone()),
                None => fit(model.system(), &subject, &observations, &options)
                    .ok()
                    .filter(Fit::converged),
            };
            let Some(fit) = fit else { return Ok(None) };
            let ofv = fit.best().map_or(f64::INFINITY, |mode| mode.ofv) - 2.0 * frequency.ln();
            let member = Member {
                model: Arc::clone(model),
                levels,
                known,
                subject,
                hours,
                fit,
                weight: 0.0,
            };
            Ok(Some((member, ofv)))
        };
    let found: Vec<Option<(Member, f64)>> = model
        .classes(&known)
        .into_par_iter()
        .map(of_class)
        .collect::<Result<_, _>>()?;
    let members: Vec<_> = found.into_iter().flatten().collect();
    if members.is_empty() { Err(None) } else { Ok(members) }
}

impl Twin {
    /// Fits the models, or takes their fits from `kept`, and counts the votes: each model, and within it each combination of
    /// levels that are not known, by `exp(-OFV/2)` times how frequent the combination is.
    ///
    /// # Errors
    /// Why each model is left out, when none covers the patient or none settles.
    pub fn fit(
        definition: &Definition,
        values: Values,
        ledger: Ledger,
        kept: Option<&[KeptFit]>,
        language: Language,
    ) -> Result<Self, Vec<Phrase>> {
        let mut reasons = Vec::new();
        let mut members = Vec::new();
        let mut masses = Vec::new();
        for model in &definition.models {
            match members_of(definition, model, &values, &ledger, kept.unwrap_or_default()) {
                Ok(found) => {
                    for (member, mass) in found {
                        members.push(member);
                        masses.push(mass);
                    }
                }
                Err(Some(error)) => reasons.push(left_out(definition, model, &error, language)),
                Err(None) => reasons.push(Phrase::message("member-failed", [("model", model.id.clone())])),
            }
        }
        if members.is_empty() {
            return Err(reasons);
        }
        for (member, weight) in members.iter_mut().zip(ofv_weights(&masses)) {
            member.weight = weight;
        }
        Ok(Self {
            ledger,
            values,
            members,
            left_out: reasons,
            reused: kept.is_some(),
        })
    }

    /// The fits, to be kept.
    #[must_use]
    pub fn kept(&self) -> Vec<KeptFit> {
        self.members
            .iter()
            .map(|m| KeptFit {
                model: m.model.id.clone(),
                levels: m.levels.clone(),
                fit: m.fit.clone(),
            })
            .collect()
    }

    /// Whether any level says something about this patient.
    #[must_use]
    pub fn is_personal(&self) -> bool {
        self.members.iter().any(|m| m.fit.n_observations > 0)
    }

    /// Unit of an output; empty when there is none of that name.
    #[must_use]
    pub fn unit(&self, output: &str) -> &str {
        let of = |m: &'_ Member| -> Option<usize> { m.model.outputs().iter().position(|o| o.name == output) };
        let observed = self.members.iter().find_map(|m| m.model.outputs().get(of(m)?));
        let shown = self.members.iter().flat_map(|m| m.model.shown());
        observed.map_or_else(
            || {
                shown
                    .into_iter()
                    .find(|s| s.name == output)
                    .map_or("", |s| s.unit.as_str())
            },
            |o| o.unit.as_str(),
        )
    }

    /// Votes of the models, categories that are not known summed over, in the order of the twin's file.
    #[must_use]
    pub fn votes(&self) -> Vec<(&Arc<Model>, f64)> {
        let mut votes: Vec<(&Arc<Model>, f64)> = Vec::new();
        for member in &self.members {
            match votes.iter_mut().find(|(model, _)| model.id == member.model.id) {
                Some((_, vote)) => *vote += member.weight,
                None => votes.push((&member.model, member.weight)),
            }
        }
        votes
    }

    /// Probability of each level of a category that is not known, by the name of the level, likeliest first; with the name of
    /// the input.
    #[must_use]
    pub fn guessed(&self) -> BTreeMap<String, Vec<(String, f64)>> {
        let mut found: BTreeMap<String, BTreeMap<usize, f64>> = BTreeMap::new();
        let mut names: BTreeMap<(String, usize), String> = BTreeMap::new();
        for member in &self.members {
            for (input, level) in &member.levels {
                let Some(input) = member.model.inputs().get(*input) else {
                    continue;
                };
                if let crate::model::model_file::InputKind::Category { levels, .. } = &input.kind
                    && let Some(name) = levels.get(*level)
                {
                    names.insert((input.name.clone(), *level), name.clone());
                }
                *found.entry(input.name.clone()).or_default().entry(*level).or_default() += member.weight;
            }
        }
        found
            .into_iter()
            .map(|(input, levels)| {
                let mut list: Vec<(String, f64)> = levels
                    .into_iter()
                    .filter_map(|(level, p)| Some((names.get(&(input.clone(), level))?.clone(), p)))
                    .collect();
                list.sort_by(|a, b| b.1.total_cmp(&a.1));
                (input, list)
            })
            .collect()
    }

    /// The member with the largest vote.
    #[must_use]
    pub fn leader(&self) -> Option<&Member> {
        self.members.iter().max_by(|a, b| a.weight.total_cmp(&b.weight))
    }

    /// First parameter of the leading model that varies between patients.
    #[must_use]
    pub fn key_parameter(&self, batches: &[Batch]) -> Option<KeyParameter> {
        let leader = self.leader()?;
        let index = *leader.model.system().effects().first()?;
        let parameter = leader.model.parameters().get(index)?;
        let of = |member: &Member| member.model.parameters().iter().position(|p| p.name == parameter.name);
        let mut values = Vec::new();
        for batch in batches {
            let Some(member) = self.members.get(batch.member) else {
                continue;
            };
            let Some(column) = of(member) else { continue };
            let individual = |eta: &Vec<f64>| {
                let all = member.model.system().individual(member.subject.typical(), eta);
                all.get(column).copied()
            };
            values.extend(batch.effects.iter().filter_map(individual));
        }
        Some(KeyParameter {
            name: parameter.name.clone(),
            unit: parameter.unit.clone(),
            personal: *leader.fit.best()?.parameters.get(index)?,
            typical: *leader.subject.typical().get(index)?,
            interval: Interval::of(&values),
        })
    }

    /// Places of the levels that a member's fit used, in the order of its observations.
    fn used(&self, member: &Member) -> Vec<usize> {
        let has = |output: &str| member.model.outputs().iter().any(|o| o.name == output);
        let levels = self.ledger.levels.iter().enumerate();
        levels
            .filter(|(_, l)| l.left_out.is_none() && has(&l.output))
            .map(|(i, _)| i)
            .collect()
    }

    /// What the twin makes of the newest level of an output that it used.
    #[must_use]
    pub fn last_level(&self, output: &str) -> Option<LastLevel> {
        let place = self
            .ledger
            .levels
            .iter()
            .rposition(|l| l.left_out.is_none() && l.output == output)?;
        self.level(place)
    }

    /// Individual prediction of a level, averaged over the models that have its output.
    fn level(&self, place: usize) -> Option<LastLevel> {
        let level = self.ledger.levels.get(place)?;
        let (mut sum, mut weights) = (0.0, 0.0);
        for member in &self.members {
            let Some(index) = self.used(member).iter().position(|p| *p == place) else {
                continue;
            };
            sum += member.weight * member.fit.best()?.ipred.get(index)?;
            weights += member.weight;
        }
        (weights > 0.0).then(|| LastLevel {
            output: level.output.clone(),
            predicted: sum / weights,
            measured: level.measurement.value,
        })
    }

    /// The two likeliest modes of the leading model, when the second is not negligible.
    #[must_use]
    pub fn two_explanations(&self) -> Option<TwoExplanations> {
        let leader = self.leader()?;
        let [first, second, ..] = leader.fit.modes.as_slice() else {
            return None;
        };
        if second.weight < 0.05 {
            return None;
        }
        let ratio = |i: usize| -> f64 {
            match (first.parameters.get(i), second.parameters.get(i)) {
                (Some(a), Some(b)) if *a > 0.0 && *b > 0.0 => (a / b).ln().abs(),
                _ => 0.0,
            }
        };
        let index = (0..leader.model.parameters().len()).max_by(|a, b| ratio(*a).total_cmp(&ratio(*b)))?;
        let parameter = leader.model.parameters().get(index)?;
        Some(TwoExplanations {
            name: parameter.name.clone(),
            unit: parameter.unit.clone(),
            first: *first.parameters.get(index)?,
            second: *second.parameters.get(index)?,
        })
    }

    /// Whether some level contradicts the dosing history: its weighted residual exceeds `limit` in every model that has it.
    #[must_use]
    pub fn misfit(&self, limit: f64) -> Option<LastLevel> {
        let residual = |member: &Member, place: usize| -> Option<f64> {
            let index = self.used(member).iter().position(|p| *p == place)?;
            let found = member.fit.best()?.weighted_residuals.get(index)?;
            Some(found.map_or(0.0, f64::abs))
        };
        let contradicts = |place: &usize| {
            let mut residuals = self.members.iter().filter_map(|m| residual(m, *place)).peekable();
            residuals.peek().is_some() && residuals.all(|r| r > limit)
        };
        let place = (0..self.ledger.levels.len()).find(contradicts)?;
        self.level(place)
    }

    /// `n` equally probable sets of random effects, shared out among the members by their votes.
    #[must_use]
    pub fn draws(&self, n: usize) -> Vec<Batch> {
        let mut draws = Vec::new();
        for (place, count) in shares(&self.members.iter().map(|m| m.weight).collect::<Vec<_>>(), n)
            .into_iter()
            .enumerate()
        {
            let Some(member) = self.members.get(place).filter(|_| count > 0) else {
                continue;
            };
            let offset = u64::try_from(place).unwrap_or(0);
            match member
                .fit
                .sample(member.model.system(), count, SEED.wrapping_add(offset))
            {
                Ok(sample) => draws.push(Batch {
                    member: place,
                    effects: sample.effects,
                }),
                Err(error) => tracing::warn!(model = member.model.id, %error, "no draws from this model"),
            }
        }
        draws
    }
}

/// Shares `n` out by weight, largest remainders first; nothing to negligible weights.
fn shares(weights: &[f64], n: usize) -> Vec<usize> {
    let kept: Vec<f64> = weights
        .iter()
        .map(|w| if *w < SMALLEST_VOTE { 0.0 } else { *w })
        .collect();
    let sum: f64 = kept.iter().sum();
    if sum <= 0.0 {
        return vec![0; weights.len()];
    }
    #[expect(clippy::cast_precision_loss, reason = "numbers of draws are far smaller than 2^52")]
    let exact: Vec<f64> = kept.iter().map(|w| w / sum * n as f64).collect();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and n")]
    let mut counts: Vec<usize> = exact.iter().map(|e| e.floor() as usize).collect();
    let mut order: Vec<usize> = (0..weights.len()).collect();
    order.sort_by(|a, b| {
        let fraction = |i: &usize| exact.get(*i).map_or(0.0, |e| e.fract());
        fraction(b).total_cmp(&fraction(a)).then(a.cmp(b))
    });
    let missing = n.saturating_sub(counts.iter().sum());
    for i in order.into_iter().take(missing) {
        if let Some(count) = counts.get_mut(i) {
            *count += 1;
        }
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_are_shared_out_by_vote() {
        assert_eq!(shares(&[0.184, 0.5, 0.316], 1000), [184, 500, 316]);
        assert_eq!(shares(&[1.0 / 3.0; 3], 1000), [334, 333, 333]);
        assert_eq!(shares(&[0.9999, 0.0001], 1000), [1000, 0]);
        assert_eq!(shares(&[], 1000), Vec::<usize>::new());
    }
}
