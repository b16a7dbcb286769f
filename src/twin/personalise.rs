//! Fits every model of a twin to one patient and lets them vote.

use std::sync::Arc;

use crate::{
    engine::{self, Draws, Fit, FitOptions, ofv_weights},
    model::{
        catalog::Definition,
        model_file::{Individual, InputError, Model},
    },
    wording::{Language, Phrase, significant},
};

use super::{
    interval::Interval,
    ledger::{Inputs, Ledger},
};

/// Seed of all draws. One for everybody: the same facts give the same draws, and a small change in the facts a small change
/// in the answer, not new noise.
const SEED: u64 = 0x004A_756D_6561_7530;

/// A vote smaller than this is not simulated: it could not be seen in 1000 draws.
const SMALLEST_VOTE: f64 = 0.0005;

/// One model, fitted.
#[derive(Debug, Clone)]
pub struct Member {
    /// The model.
    pub model: Arc<Model>,
    /// Its covariates and typical parameters for this patient.
    pub individual: Individual,
    /// What the levels made of it.
    pub fit: Fit,
    /// Its vote; votes add to 1.
    pub weight: f64,
}

/// A patient's twin.
#[derive(Debug, Clone)]
pub struct Twin {
    /// What it was fitted to.
    pub ledger: Ledger,
    /// The models that vote, as in the twin's file.
    pub members: Vec<Member>,
    /// Models that could not vote, and why.
    pub left_out: Vec<Phrase>,
    /// Whether it came from the store.
    pub reused: bool,
    /// Which output the twin is about.
    pub output: usize,
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
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LastLevel {
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

/// What the fits of one patient came to.
pub struct Fits {
    /// Models with their fits, before votes are counted.
    pub members: Vec<(Arc<Model>, Individual, Fit)>,
    /// Models that could not vote.
    pub left_out: Vec<Phrase>,
}

/// Typical parameters of each model for these inputs, and why some cannot be used.
fn individuals(
    definition: &Definition,
    inputs: &Inputs,
    language: Language,
) -> (Vec<(Arc<Model>, Individual)>, Vec<Phrase>) {
    let mut usable = Vec::new();
    let mut left_out = Vec::new();
    let title = |name: &str| definition.file.title(name, language.tag()).to_owned();
    for model in &definition.models {
        match model.individual(inputs) {
            Ok(individual) => usable.push((Arc::clone(model), individual)),
            Err(InputError::OutsidePopulation {
                name, value, low, high, ..
            }) => {
                let show = |v: f64| {
                    if v.is_finite() {
                        significant(v, 3, language)
                    } else {
                        "∞".to_owned()
                    }
                };
                left_out.push(Phrase::message(
                    "member-outside",
                    [
                        ("model", model.id.clone()),
                        ("item", title(&name)),
                        ("value", show(value)),
                        ("low", show(low)),
                        ("high", show(high)),
                    ],
                ));
            }
            Err(InputError::Missing { name }) => left_out.push(Phrase::message(
                "member-missing",
                [("model", model.id.clone()), ("item", title(&name))],
            )),
            Err(_) => left_out.push(Phrase::message("member-failed", [("model", model.id.clone())])),
        }
    }
    (usable, left_out)
}

/// Fits the models, or takes their fits from `known` (by model id) when those are given.
///
/// # Errors
/// Why each model is left out, when none covers the patient or none settles.
pub fn fit_all(
    definition: &Definition,
    inputs: &Inputs,
    ledger: &Ledger,
    known: Option<&std::collections::BTreeMap<String, Fit>>,
    language: Language,
) -> Result<Fits, Vec<Phrase>> {
    let (usable, mut left_out) = individuals(definition, inputs, language);
    let mut members = Vec::new();
    for (model, individual) in usable {
        let Some(output) = output(&model, &definition.file.goal.output) else {
            continue;
        };
        let observations = ledger.observations(output);
        let fit = match known.and_then(|k| k.get(&model.id)) {
            Some(fit) => Some(fit.clone()),
            None => engine::fit(
                model.system(),
                &individual.subject(&model, &ledger.doses),
                &observations,
                &FitOptions::default(),
            )
            .ok()
            .filter(Fit::converged),
        };
        match fit {
            Some(fit) => members.push((model, individual, fit)),
            None => left_out.push(Phrase::message("member-failed", [("model", model.id.clone())])),
        }
    }
    if members.is_empty() {
        return Err(left_out);
    }
    Ok(Fits { members, left_out })
}

/// Place of an output in a model.
fn output(model: &Model, name: &str) -> Option<usize> {
    model.outputs().iter().position(|o| o.name == name)
}

impl Twin {
    /// Counts the votes.
    #[must_use]
    pub fn new(fits: Fits, ledger: Ledger, output: usize, reused: bool) -> Self {
        let ofv: Vec<f64> = fits
            .members
            .iter()
            .map(|(_, _, fit)| fit.best().map_or(f64::INFINITY, |m| m.ofv))
            .collect();
        let members = fits
            .members
            .into_iter()
            .zip(ofv_weights(&ofv))
            .map(|((model, individual, fit), weight)| Member {
                model,
                individual,
                fit,
                weight,
            })
            .collect();
        Self {
            ledger,
            members,
            left_out: fits.left_out,
            reused,
            output,
        }
    }

    /// Whether any level says something about this patient.
    #[must_use]
    pub fn is_personal(&self) -> bool {
        self.members.iter().any(|m| m.fit.n_observations > 0)
    }

    /// Unit of the levels.
    #[must_use]
    pub fn level_unit(&self) -> &str {
        self.members
            .first()
            .and_then(|m| m.model.outputs().get(self.output))
            .map_or("", |o| o.unit.as_str())
    }

    /// The model with the largest vote.
    #[must_use]
    pub fn leader(&self) -> Option<&Member> {
        self.members.iter().max_by(|a, b| a.weight.total_cmp(&b.weight))
    }

    /// First parameter of the leading model that varies between patients.
    #[must_use]
    pub fn key_parameter(&self, draws: &[(usize, Draws)]) -> Option<KeyParameter> {
        let leader = self.leader()?;
        let index = *leader.model.system().effects().first()?;
        let parameter = leader.model.parameters().get(index)?;
        let of = |member: &Member| member.model.parameters().iter().position(|p| p.name == parameter.name);
        let mut values = Vec::new();
        for (member, rows) in draws {
            let Some(column) = self.members.get(*member).and_then(of) else {
                continue;
            };
            values.extend(rows.table().columns().into_iter().nth(column).into_iter().flatten());
        }
        Some(KeyParameter {
            name: parameter.name.clone(),
            unit: parameter.unit.clone(),
            personal: *leader.fit.best()?.parameters.get(index)?,
            typical: *leader.individual.typical().get(index)?,
            interval: Interval::of(&values),
        })
    }

    /// What the twin makes of the newest level that it used.
    #[must_use]
    pub fn last_level(&self) -> Option<LastLevel> {
        let used: Vec<_> = self.ledger.levels.iter().filter(|l| l.left_out.is_none()).collect();
        let measured = used.last()?.measurement.value;
        Some(LastLevel {
            predicted: self.ipred(used.len().checked_sub(1)?)?,
            measured,
        })
    }

    /// Individual prediction of the `index`-th used level, averaged over models.
    fn ipred(&self, index: usize) -> Option<f64> {
        self.members
            .iter()
            .map(|m| Some(m.weight * m.fit.best()?.ipred.get(index)?))
            .sum()
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

    /// Whether some level contradicts the dosing history: its weighted residual exceeds `limit` in every model.
    #[must_use]
    pub fn misfit(&self, limit: f64) -> Option<LastLevel> {
        let used: Vec<_> = self.ledger.levels.iter().filter(|l| l.left_out.is_none()).collect();
        let residual = |m: &Member, i: usize| {
            m.fit
                .best()
                .and_then(|mode| mode.weighted_residuals.get(i).copied().flatten())
                .map_or(0.0, f64::abs)
        };
        (0..used.len())
            .find(|i| self.members.iter().all(|m| residual(m, *i) > limit))
            .and_then(|i| {
                Some(LastLevel {
                    predicted: self.ipred(i)?,
                    measured: used.get(i)?.measurement.value,
                })
            })
    }

    /// `n` equally probable parameter sets, shared out among the models by their votes. With each, the place of its model.
    #[must_use]
    pub fn draws(&self, n: usize) -> Vec<(usize, Draws)> {
        let mut draws = Vec::new();
        for (index, count) in shares(&self.members.iter().map(|m| m.weight).collect::<Vec<_>>(), n)
            .into_iter()
            .enumerate()
        {
            let Some(member) = self.members.get(index).filter(|_| count > 0) else {
                continue;
            };
            let offset = u64::try_from(index).unwrap_or(0);
            match member
                .fit
                .draws(member.model.system(), count, SEED.wrapping_add(offset))
            {
                Ok(rows) => draws.push((index, rows)),
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
