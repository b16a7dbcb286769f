//! The modeller's file: one published model.
//!
//! The file says who the model was built on, what it reads, its covariate formulas, its parameters with their variability,
//! its equations, what is observed and with which error, and worked checks. It is read strictly; every error has a line, a
//! column, what was found and what was probably meant. It knows nothing of records or orders. `docs/writing-a-twin.md` describes
//! it for those who write models.
//!
//! Equations are checked for their units. Covariate and typical-value formulas are empirical: they are computed on the numbers in
//! the declared units of their inputs, and not checked for units.

mod check_file;
mod checks;
mod dosing;
mod equations;
mod measures;
mod observed;
mod parameters;
mod person;
mod read;

pub use super::table::FileError as ModelError;
pub use checks::{CheckResult, ClassFit, FitError};
pub use measures::Measure;
pub(crate) use person::with_class;
pub use person::{Individual, InputError, Known};

use crate::engine::{End, System};
use crate::lang::{Program, Unit};

/// What kind of value an input has.
#[derive(Debug, Clone, PartialEq)]
pub enum InputKind {
    /// A number with a unit.
    Quantity,
    /// 1 for yes, 0 for no.
    Flag,
    /// One of some levels; its value is the place of the level.
    Category {
        /// The levels.
        levels: Vec<String>,
        /// How frequent each is among people of whom it is not known; empty if it must be known.
        frequency: Vec<f64>,
    },
}

/// Something the model reads about a person.
#[derive(Debug, Clone, PartialEq)]
pub struct Input {
    /// Its name in the formulas.
    pub name: String,
    /// Its unit, a UCUM code; `1` for a flag or a category.
    pub unit: String,
    /// What kind of value it has.
    pub kind: InputKind,
    /// Its value if nothing is known.
    pub default: Option<f64>,
    /// Whether it is interpolated between records, instead of keeping its last value.
    pub interpolated: bool,
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
    /// Variance of its random effect; `None` if it does not vary between people or has a prior of its own.
    pub omega2: Option<f64>,
    /// Its prior, if that is not Gaussian, as written.
    pub prior: Option<String>,
    /// Open range in which its typical value must lie for its random effect to act on it.
    ends: Option<(End, End)>,
    /// What it is, in words; may be empty.
    pub doc: String,
}

/// Something shown beside what is measured.
#[derive(Debug, Clone, PartialEq)]
pub struct Shown {
    /// Its name in the equations.
    pub name: String,
    /// Its unit, a UCUM code.
    pub unit: String,
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
    /// Unit of the doses and, unless said otherwise, of the states, a UCUM code.
    pub amount_unit: String,
    /// Why the units of the equations are not followed; empty if they are.
    pub unchecked: String,
    file: String,
    inputs: Vec<Input>,
    covariates: Vec<Covariate>,
    parameters: Vec<Parameter>,
    equations: String,
    shown: Vec<Shown>,
    measures: Vec<Measure>,
    /// Covariates, then typical values, from the inputs.
    formulas: Program,
    system: System,
    checks: Vec<check_file::Check>,
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

    /// What the model reads about a person, in the order of the file.
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

    /// What is shown besides.
    pub fn shown(&self) -> &[Shown] {
        &self.shown
    }

    /// What is measured of a whole course.
    pub fn measures(&self) -> &[Measure] {
        &self.measures
    }

    /// The equations as written.
    pub fn equations_text(&self) -> &str {
        &self.equations
    }

    /// The system the engine simulates.
    pub fn system(&self) -> &System {
        &self.system
    }

    /// How many hours the unit of time has; not-a-number when it is no unit of time.
    pub fn hours_per_time(&self) -> f64 {
        let unit = |code: &str| Unit::parse(code).ok();
        match (unit(&self.time_unit), unit("h")) {
            (Some(own), Some(hour)) if own.same_kind(&hour) => own.ratio(&hour),
            _ => f64::NAN,
        }
    }

    /// Recomputes every worked number in the file.
    pub fn run_checks(&self) -> Vec<CheckResult> {
        checks::run(self)
    }
}

#[cfg(test)]
mod tests;
