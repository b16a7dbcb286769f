//! Data files: doses, measurements and covariates of subjects, in the CSV form of pharmacometrics (NONMEM, nlmixr2).
//!
//! [`read()`] turns a file into plain events a simulation can take; nothing here knows of the engine.
//!
//! The first line names the columns, in any order. Reserved, in any case: `ID TIME AMT RATE DUR II ADDL SS EVID CMT DV
//! DVID MDV CENS LIMIT OCC`. Every other column is an input of the model, by its name there, or is listed as ignored. A
//! missing cell is empty, `.` or `NA`. Lines that begin with `#` are comments, and so are rows with a `C` in a first
//! column `C`.
//!
//! Conventions worth knowing:
//! - Without EVID a row with AMT > 0 is a dose, every other row an observation. A missing EVID is 0.
//! - An observation without DV, or with MDV = 1, asks for a prediction. EVID 2 only changes inputs.
//! - ADDL and II become single doses. A steady-state dose with ADDL is in steady state only the first time.
//! - A reset (EVID 3, 4) and a steady-state dose with SS = 1 take away what was dosed before them and is not yet given:
//!   additional doses from their time on, and doses of the same time on earlier lines.
//! - LIMIT counts on rows with CENS = 1 only; CMT counts on dose rows only.

mod columns;
mod items;
mod lines;
mod parameters;
mod read;
mod rename;
mod row;

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_limits;
#[cfg(test)]
mod tests_refused;

pub use parameters::{ParameterTable, parameters_table};
pub use read::read;
pub use rename::rename_columns;

use std::fmt;

/// What a model can take from a file.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// Columns read into [`InputRow::values`], in this order.
    pub inputs: &'a [InputColumn],
    /// Names of what is observed: DVID is 1, 2, .. or the name.
    pub outputs: &'a [String],
    /// Names of the states that can be dosed: CMT is 1, 2, .. or the name.
    pub states: &'a [String],
}

/// An input of the model, looked for among the columns: exact name first, then the only one that differs just in case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputColumn {
    /// Its name in the model.
    pub name: String,
    /// Of a category: the texts a cell may hold.
    pub levels: Option<Vec<String>>,
    /// Only 0 and 1 are allowed.
    pub flag: bool,
}

/// A file, read.
#[derive(Debug, Clone, PartialEq)]
pub struct Dataset {
    /// The subjects in the order of the file.
    pub subjects: Vec<Subject>,
    /// Names of the columns that were not used.
    pub ignored: Vec<String>,
}

/// All that happened to one subject. Times are the file's, in the model's unit.
#[derive(Debug, Clone, PartialEq)]
pub struct Subject {
    /// The text of the ID cell.
    pub id: String,
    /// Line of its first row.
    pub line: usize,
    /// Single doses by time; at one time in the order of the file.
    pub doses: Vec<Dose>,
    /// Times at which all states start anew (EVID 3 and 4), before the doses kept for that time.
    pub resets: Vec<f64>,
    /// Measurements and predictions asked for, in the order of the file.
    pub observations: Vec<Reading>,
    /// Inputs, one entry for each row that holds any.
    pub inputs: Vec<InputRow>,
    /// The occasion (OCC) from a time on, one entry for each change.
    pub occasions: Vec<(f64, i64)>,
}

/// How a dose enters.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Course {
    /// All at once.
    Bolus,
    /// At a constant rate, amount per time (RATE > 0).
    Rate(f64),
    /// At a constant rate over a time (DUR > 0).
    Duration(f64),
    /// At the rate the model gives (RATE = -1).
    ModelledRate,
    /// Over the duration the model gives (RATE = -2).
    ModelledDuration,
}

/// What a steady-state dose does with what is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Steady {
    /// The steady state takes its place (SS = 1).
    Replace,
    /// The steady state is added to it (SS = 2).
    Add,
}

/// One dose.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Dose {
    /// When it is given.
    pub time: f64,
    /// How much, in the model's unit of amount; above zero.
    pub amount: f64,
    /// How it enters.
    pub course: Course,
    /// The state it enters, from 0; `None`: the model's default.
    pub state: Option<usize>,
    /// Given as if it had been repeated for ever, with the interval (II) between doses.
    pub steady: Option<(Steady, f64)>,
    /// Line of its row; additional doses share it.
    pub line: usize,
}

/// What is known of the measured quantity.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Bound {
    /// It was measured.
    Exact,
    /// It is below the value (CENS = 1).
    Below,
    /// It is above the value (CENS = -1).
    Above,
    /// It is below the value and above this one (CENS = 1 and LIMIT).
    Between(f64),
}

/// A measurement, or a prediction asked for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reading {
    /// When.
    pub time: f64,
    /// The measurement or its limit; `None`: only a prediction is wanted.
    pub value: Option<f64>,
    /// How the value is to be understood.
    pub bound: Bound,
    /// Which output, from 0; `None`: a prediction of all.
    pub output: Option<usize>,
    /// Line of its row.
    pub line: usize,
}

/// The inputs of one row.
#[derive(Debug, Clone, PartialEq)]
pub struct InputRow {
    /// From when.
    pub time: f64,
    /// In the order of [`Wanted::inputs`]: the number, or the index of the level; `None`: missing in this row.
    pub values: Vec<Option<f64>>,
}

/// What is wrong in a data file, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataError {
    /// The file.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// Name of the column, if the error is of one.
    pub column: Option<String>,
    /// What was found and why it cannot stand.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
}

impl DataError {
    fn new(file: &str, line: usize, message: impl Into<String>) -> Self {
        Self {
            file: file.to_owned(),
            line,
            column: None,
            message: message.into(),
            help: None,
        }
    }

    fn column(mut self, name: impl Into<String>) -> Self {
        self.column = Some(name.into());
        self
    }

    fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

impl fmt::Display for DataError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: ", self.file, self.line)?;
        if let Some(column) = &self.column {
            write!(f, "column {column}: ")?;
        }
        write!(f, "{}", self.message)?;
        match &self.help {
            Some(help) => write!(f, " (help: {help})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for DataError {}
