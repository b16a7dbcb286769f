//! From what is known of a person to what the engine needs.

use super::{InputKind, Model};
use crate::engine::{Dose, End, Given, Regime, Subject};
use std::collections::BTreeMap;

/// The parameters of a typical person with given inputs.
#[derive(Debug, Clone, PartialEq)]
pub struct Individual {
    inputs: Vec<f64>,
    covariates: Vec<(String, f64)>,
    typical: Vec<f64>,
}

impl Individual {
    /// Computed covariates in the order of the file.
    pub fn covariates(&self) -> &[(String, f64)] {
        &self.covariates
    }

    /// Typical values of the parameters, in the order of [`Model::parameters`].
    pub fn typical(&self) -> &[f64] {
        &self.typical
    }

    /// This person, about whom nothing changes, with plain doses.
    pub fn subject(&self, model: &Model, doses: &[Dose]) -> Subject {
        let doses = doses.iter().copied().map(Given::from).collect();
        Subject::with_regimes(&model.system, vec![self.regime(0.0, None)], doses)
    }

    /// What holds from a time on.
    pub fn regime(&self, from: f64, occasion: Option<usize>) -> Regime {
        Regime {
            from,
            typical: self.typical.clone(),
            inputs: self.inputs.clone(),
            covariates: self.covariates.iter().map(|(_, value)| *value).collect(),
            occasion,
        }
    }
}

/// Why a model says nothing about a person.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum InputError {
    /// An input is not given.
    #[error("`{name}` is missing")]
    Missing {
        /// Which input.
        name: String,
    },
    /// An input is not a finite number, a flag is neither 0 nor 1, or a category has no such level.
    #[error("`{name}` cannot be {value}")]
    Unusable {
        /// Which input.
        name: String,
        /// The value given.
        value: f64,
    },
    /// The person is outside the population the model was built on.
    #[error("`{name}` is {value} {unit}; the model holds from {low} to {high} {unit}")]
    OutsidePopulation {
        /// Which input or covariate.
        name: String,
        /// Its value.
        value: f64,
        /// Its unit.
        unit: String,
        /// Lower end, included.
        low: f64,
        /// Upper end, included.
        high: f64,
    },
    /// A formula has no usable value for this person.
    #[error("`{name}` has no usable value for these inputs")]
    Undefined {
        /// Which covariate or parameter.
        name: String,
    },
}

/// What is known of a person from a time on: inputs in the order of the model, `None` where nothing is known.
#[derive(Debug, Clone, PartialEq)]
pub struct Known {
    /// From when.
    pub from: f64,
    /// Inputs.
    pub inputs: Vec<Option<f64>>,
    /// Which occasion this is, from 0.
    pub occasion: Option<usize>,
}

impl Model {
    /// Covariates and typical parameters for a person. Names that the model does not read are ignored.
    ///
    /// # Errors
    /// An input that is missing or unusable, a value outside the population of the model, a formula without a value.
    pub fn individual(&self, inputs: &BTreeMap<String, f64>) -> Result<Individual, InputError> {
        let list: Vec<Option<f64>> = self
            .inputs
            .iter()
            .map(|input| inputs.get(&input.name).copied())
            .collect();
        self.individual_of(&list)
    }

    /// The same for inputs in the order of the model.
    ///
    /// # Errors
    /// As [`Self::individual`].
    pub fn individual_of(&self, inputs: &[Option<f64>]) -> Result<Individual, InputError> {
        let mut values = Vec::with_capacity(self.inputs.len());
        for (i, input) in self.inputs.iter().enumerate() {
            let name = || input.name.clone();
            let known = inputs.get(i).copied().flatten().or(input.default);
            let value = known.ok_or_else(|| InputError::Missing { name: name() })?;
            let fits = match &input.kind {
                InputKind::Quantity => value.is_finite(),
                InputKind::Flag => value == 0.0 || value == 1.0,
                InputKind::Category { levels, .. } => (0..levels.len()).any(|i| value == i as f64),
            };
            if !fits {
                return Err(InputError::Unusable { name: name(), value });
            }
            within(&input.name, &input.unit, input.population, value)?;
            values.push(value);
        }
        let results = self.formulas.sound_values(&values);
        let (covariate_values, typical_values) = results.split_at(self.covariates.len().min(results.len()));
        let mut covariates = Vec::with_capacity(self.covariates.len());
        for (covariate, value) in self.covariates.iter().zip(covariate_values) {
            let value = value.ok_or_else(|| InputError::Undefined {
                name: covariate.name.clone(),
            })?;
            within(&covariate.name, &covariate.unit, covariate.population, value)?;
            covariates.push((covariate.name.clone(), value));
        }
        let mut typical: Vec<f64> = Vec::with_capacity(self.parameters.len());
        for (parameter, value) in self.parameters.iter().zip(typical_values) {
            let end = |end: End| match end {
                End::Value(value) => value,
                End::Parameter(place) => typical.get(place).copied().unwrap_or(f64::NAN),
            };
            let value = value.filter(|value| match parameter.ends {
                None => true,
                // A starting value may stand on an end: the search leaves it at once.
                Some((low, high)) if parameter.prior.is_some() => end(low) <= *value && *value <= end(high),
                Some((low, high)) => end(low) < *value && *value < end(high),
            });
            typical.push(value.ok_or_else(|| InputError::Undefined {
                name: parameter.name.clone(),
            })?);
        }
        Ok(Individual {
            inputs: values,
            covariates,
            typical,
        })
    }

    /// A person known by records over time; what a record does not say is carried forward from the one before. Before it is
    /// first known, an input has its default or, if it has none, the value it will have.
    ///
    /// # Errors
    /// As [`Self::individual`].
    pub fn subject(&self, known: &[Known], doses: Vec<Given>, resets: Vec<f64>) -> Result<Subject, InputError> {
        let mut last: Vec<Option<f64>> = (0..self.inputs.len())
            .map(|i| {
                let default = self.inputs.get(i).and_then(|input| input.default);
                default.or_else(|| known.iter().find_map(|record| record.inputs.get(i).copied().flatten()))
            })
            .collect();
        let mut regimes: Vec<Regime> = Vec::new();
        let start = known.first().map_or(0.0, |record| record.from);
        let first = Known {
            from: start,
            inputs: Vec::new(),
            occasion: None,
        };
        for record in if known.is_empty() {
            std::slice::from_ref(&first)
        } else {
            known
        } {
            for (cell, value) in last.iter_mut().zip(&record.inputs) {
                *cell = value.or(*cell);
            }
            let regime = self.individual_of(&last)?.regime(record.from, record.occasion);
            match regimes.last_mut() {
                Some(before) if before.from == regime.from => *before = regime,
                // A record that says nothing new changes nothing, unless what lies between two records is interpolated.
                Some(before)
                    if !self.inputs.iter().any(|input| input.interpolated)
                        && (&before.inputs, before.occasion) == (&regime.inputs, regime.occasion) => {}
                _ => regimes.push(regime),
            }
        }
        let mut subject = Subject::with_regimes(&self.system, regimes, doses);
        subject.resets = resets;
        Ok(subject)
    }

    /// Every combination of levels of the categories that are not known but have frequencies: the inputs completed, and the
    /// probability of the combination. One entry if nothing is missing.
    pub fn classes(&self, known: &[Known]) -> Vec<(f64, Vec<(usize, usize)>)> {
        let mut classes = vec![(1.0, Vec::new())];
        for (i, input) in self.inputs.iter().enumerate() {
            let InputKind::Category { frequency, .. } = &input.kind else {
                continue;
            };
            let given = known
                .iter()
                .any(|record| record.inputs.get(i).copied().flatten().is_some());
            if given || input.default.is_some() || frequency.is_empty() {
                continue;
            }
            classes = classes
                .into_iter()
                .flat_map(|(probability, levels)| {
                    frequency
                        .iter()
                        .enumerate()
                        .filter(|(_, share)| **share > 0.0)
                        .map(move |(level, share)| {
                            let mut levels = levels.clone();
                            levels.push((i, level));
                            (probability * share, levels)
                        })
                })
                .collect();
        }
        classes
    }
}

/// Records completed by the levels of a class.
pub(crate) fn with_class(known: &[Known], class: &[(usize, usize)], inputs: usize) -> Vec<Known> {
    let mut known = known.to_vec();
    if known.is_empty() {
        known.push(Known {
            from: 0.0,
            inputs: vec![None; inputs],
            occasion: None,
        });
    }
    for record in &mut known {
        record.inputs.resize(inputs, None);
        for (input, level) in class {
            if let Some(cell) = record.inputs.get_mut(*input) {
                *cell = Some(*level as f64);
            }
        }
    }
    known
}

fn within(name: &str, unit: &str, population: Option<(f64, f64)>, value: f64) -> Result<(), InputError> {
    match population {
        Some((low, high)) if !(low..=high).contains(&value) => Err(InputError::OutsidePopulation {
            name: name.to_owned(),
            value,
            unit: unit.to_owned(),
            low,
            high,
        }),
        _ => Ok(()),
    }
}
