//! The modeller's file: one published model.
//!
//! The file says who the model was built on, what it reads, its covariate formulas, its parameters with their variability,
//! its equations, what is observed and with which error, and worked checks. It is read strictly; every error has a line, a
//! column, what was found and what was probably meant. It knows nothing of records or orders.
//!
//! Equations are checked for their units. Covariate and typical-value formulas are empirical: they are computed on the numbers in
//! the declared units of their inputs, and not checked for units.
//!
//! The dose table, the population and the checks are described in the documentation of model files; the shape in short:
//!
//! ```toml
//! [model]       # id, title, citation, doi, version, time, amount, notes
//! [population]  # a name: { range = [low, high] } or { min = ... } or { max = ... }; outside of it the model refuses
//! [inputs]      # a name: { unit = "kg" } or { kind = "flag" }
//! [covariates]  # a name: { is = "formula", unit = "mL/min" }
//! [parameters]  # a name: { is = "formula", unit = "L/h", cv = 39.8 } (or omega_sd, or omega2, or none)
//! [[omega]]     # between = ["CL", "V1"], correlation = 0.3 (or covariance)
//! [equations]   # text = '''...'''
//! [doses]       # state = "A1"
//! [observed.C]  # unit, error = { additive = 3.4, proportional = 0.227 }
//! [[checks]]    # worked numbers with their source
//! ```

mod checks;
mod random;
mod read;

pub use super::table::FileError as ModelError;
pub use checks::CheckResult;

use crate::engine::System;
use crate::lang::Program;
use std::collections::BTreeMap;

/// Something the model reads about a patient.
#[derive(Debug, Clone, PartialEq)]
pub struct Input {
    /// Its name in the formulas.
    pub name: String,
    /// Its unit, a UCUM code; `1` for a flag.
    pub unit: String,
    /// Whether it is 1 for yes and 0 for no.
    pub flag: bool,
    /// Range of the people the model was built on, both ends included; an open end is infinite. Outside, the model refuses.
    pub population: Option<(f64, f64)>,
    /// What it is, in words; may be empty.
    pub doc: String,
}

/// A quantity computed from the inputs.
#[derive(Debug, Clone, PartialEq)]
pub struct Covariate {
    /// Its name in the formulas.
    pub name: String,
    /// Its unit, a UCUM code.
    pub unit: String,
    /// The formula as written.
    pub formula: String,
    /// Range in which the model holds, as for [`Input::population`].
    pub population: Option<(f64, f64)>,
    /// What it is, in words; may be empty.
    pub doc: String,
}

/// A parameter of the equations.
#[derive(Debug, Clone, PartialEq)]
pub struct Parameter {
    /// Its name in the equations.
    pub name: String,
    /// Its unit, a UCUM code.
    pub unit: String,
    /// The formula of its typical value, as written.
    pub formula: String,
    /// Variance of its log-normal random effect; `None` if it does not vary between people.
    pub omega2: Option<f64>,
    /// What it is, in words; may be empty.
    pub doc: String,
}

/// A published model, read and checked.
#[derive(Debug, Clone)]
pub struct Model {
    /// Its short name.
    pub id: String,
    /// What it describes.
    pub title: String,
    /// Where it was published.
    pub citation: String,
    /// Digital object identifier of the publication; may be empty.
    pub doi: String,
    /// Version of the file.
    pub version: String,
    /// What a reader must know: conflicts between sources, what could not be verified.
    pub notes: Vec<String>,
    /// SHA-256 of the text of the file, in hexadecimal.
    pub sha256: String,
    /// Unit of time of the equations, a UCUM code.
    pub time_unit: String,
    /// Unit of the doses and states, a UCUM code.
    pub amount_unit: String,
    pub(crate) file: String,
    pub(crate) inputs: Vec<Input>,
    pub(crate) covariates: Vec<Covariate>,
    pub(crate) parameters: Vec<Parameter>,
    pub(crate) equations: String,
    /// Covariates, then typical values, from the inputs.
    pub(crate) formulas: Program,
    pub(crate) system: System,
    pub(crate) checks: Vec<checks::Check>,
}

/// The parameters of a typical person with given inputs.
#[derive(Debug, Clone, PartialEq)]
pub struct Individual {
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
    /// An input is not a finite number, or a flag is neither 0 nor 1.
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

impl Model {
    /// Reads and checks a model file. `file_name` is only used in errors.
    ///
    /// # Errors
    /// The first thing that is wrong, with its place.
    pub fn parse(file_name: &str, text: &str) -> Result<Self, ModelError> {
        read::read(file_name, text)
    }

    /// The name under which the file was read.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// What the model reads about a patient, in the order of the file.
    pub fn inputs(&self) -> &[Input] {
        &self.inputs
    }

    /// What is computed from the inputs, in the order of the file.
    pub fn covariates(&self) -> &[Covariate] {
        &self.covariates
    }

    /// Parameters in the order of the file.
    pub fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    /// What is observed: names, units, residual errors.
    pub fn outputs(&self) -> &[crate::engine::Output] {
        self.system.outputs()
    }

    /// The equations as written.
    pub fn equations_text(&self) -> &str {
        &self.equations
    }

    /// The system the engine simulates.
    pub fn system(&self) -> &System {
        &self.system
    }

    /// Covariates and typical parameters for a person. Names that the model does not read are ignored.
    ///
    /// # Errors
    /// An input that is missing or unusable, a value outside the population of the model, a formula without a value.
    pub fn individual(&self, inputs: &BTreeMap<String, f64>) -> Result<Individual, InputError> {
        let mut values = Vec::with_capacity(self.inputs.len());
        for input in &self.inputs {
            let name = || input.name.clone();
            let value = *inputs
                .get(&input.name)
                .ok_or_else(|| InputError::Missing { name: name() })?;
            if !value.is_finite() || (input.flag && value != 0.0 && value != 1.0) {
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
        let mut typical = Vec::with_capacity(self.parameters.len());
        for (parameter, value) in self.parameters.iter().zip(typical_values) {
            // A log-normal parameter is positive.
            let value = value.filter(|value| parameter.omega2.is_none() || *value > 0.0);
            typical.push(value.ok_or_else(|| InputError::Undefined {
                name: parameter.name.clone(),
            })?);
        }
        Ok(Individual { covariates, typical })
    }

    /// Recomputes every worked number in the file.
    pub fn run_checks(&self) -> Vec<CheckResult> {
        checks::run(self)
    }
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

#[cfg(test)]
mod tests;
