//! One row of a data file, and the cells of it.

use super::DataError;
use super::columns::{Columns, Known};
use crate::lang::suggest;
use csv::StringRecord;

/// Numbers beyond this are slips.
const ABSURD: f64 = 1e15;

/// A row with its place.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row<'a> {
    /// The file.
    pub file: &'a str,
    /// The line.
    pub line: usize,
    /// What the columns are.
    pub columns: &'a Columns,
    /// What stands in them.
    pub cells: &'a StringRecord,
}

impl<'a> Row<'a> {
    /// The text of the cell at a place, unless it is missing.
    pub fn at(&self, place: usize) -> Option<&'a str> {
        self.cells.get(place).filter(|text| !missing(text))
    }

    /// The text of a reserved column, unless it is missing or there is no such column.
    pub fn text(&self, known: Known) -> Option<&'a str> {
        self.columns.place(known).and_then(|place| self.at(place))
    }

    /// The number in a reserved column.
    pub fn number(&self, known: Known) -> Result<Option<f64>, DataError> {
        match self.text(known) {
            None => Ok(None),
            Some(text) => match number(text) {
                Ok(value) => Ok(Some(value)),
                Err(fault) => Err(fault.at(self.error(known, String::new()))),
            },
        }
    }

    /// The number in a reserved column, which has to be whole.
    pub fn whole(&self, known: Known) -> Result<Option<i64>, DataError> {
        match self.number(known)? {
            None => Ok(None),
            #[allow(clippy::cast_possible_truncation, reason = "whole and far below 2^63")]
            Some(value) if value.fract() == 0.0 => Ok(Some(value as i64)),
            Some(value) => Err(self.error(known, format!("{value} is not a whole number"))),
        }
    }

    /// An index from 0 for a reserved column that holds a number from 1 or a name. `what` is one of the names.
    pub fn choice(&self, known: Known, names: &[String], what: &str) -> Result<Option<usize>, DataError> {
        let Some(text) = self.text(known) else {
            return Ok(None);
        };
        if let Some(place) = named(text, names.iter().map(String::as_str)) {
            return Ok(Some(place));
        }
        let list = numbered(names, what);
        let Ok(value) = number(text) else {
            let near = suggest::nearest(shown(text).as_str(), names.iter().map(String::as_str));
            let help = match near {
                Some(near) => format!("did you mean `{near}`? {list}"),
                None => list,
            };
            return Err(self
                .error(known, format!("`{}` is no {what} of the model", shown(text)))
                .help(help));
        };
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "whole, above 0 and below 10^15"
        )]
        let place = (value.fract() == 0.0 && value >= 1.0).then(|| value as usize - 1);
        match place.filter(|place| *place < names.len()) {
            Some(place) => Ok(Some(place)),
            None => Err(self
                .error(known, format!("{value} is the number of no {what} of the model"))
                .help(list)),
        }
    }

    /// An error in a reserved column.
    pub fn error(&self, known: Known, message: impl Into<String>) -> DataError {
        let error = DataError::new(self.file, self.line, message);
        match self.columns.place(known).and_then(|place| self.columns.name(place)) {
            Some(name) => error.column(name),
            None => error.column(known.name()),
        }
    }

    /// An error in the column at a place.
    pub fn error_at(&self, place: usize, message: impl Into<String>) -> DataError {
        let error = DataError::new(self.file, self.line, message);
        match self.columns.name(place) {
            Some(name) => error.column(name),
            None => error,
        }
    }
}

/// What is wrong with the text of a number.
#[derive(Debug)]
pub(super) struct Fault {
    message: String,
    help: &'static str,
}

impl Fault {
    /// The same, at the place of `error`.
    pub fn at(self, error: DataError) -> DataError {
        DataError {
            message: self.message,
            help: Some(self.help.to_owned()),
            ..error
        }
    }
}

/// Whether a cell stands for nothing.
pub(super) fn missing(text: &str) -> bool {
    matches!(text, "" | "." | "NA")
}

/// The number a cell holds.
pub(super) fn number(text: &str) -> Result<f64, Fault> {
    let Ok(value) = text.parse::<f64>() else {
        return Err(Fault {
            message: format!("`{}` is not a number", shown(text)),
            help: if text.starts_with(['<', '>']) {
                "put the limit in DV, and 1 (below it) or -1 (above it) in CENS"
            } else if text.contains(',') {
                "write decimals with a point and thousands without a mark"
            } else {
                "a missing value is `.` or an empty cell"
            },
        });
    };
    if !value.is_finite() {
        return Err(Fault {
            message: format!("`{}` is not a finite number", shown(text)),
            help: "a missing value is `.` or an empty cell",
        });
    }
    if value.abs() > ABSURD {
        return Err(Fault {
            message: format!("`{}` is beyond any quantity", shown(text)),
            help: "numbers up to 1e15 are read; a missing value is `.` or an empty cell",
        });
    }
    // No negative zero.
    Ok(value + 0.0)
}

/// The place of a name: the exact one, or the only one that differs just in case.
pub(super) fn named<'n>(text: &str, names: impl Iterator<Item = &'n str> + Clone) -> Option<usize> {
    if let Some(place) = names.clone().position(|name| name == text) {
        return Some(place);
    }
    let mut alike = names.enumerate().filter(|(_, name)| name.eq_ignore_ascii_case(text));
    match (alike.next(), alike.next()) {
        (Some((place, _)), None) => Some(place),
        _ => None,
    }
}

/// Names with their numbers, for a message.
pub(super) fn numbered(names: &[String], what: &str) -> String {
    if names.is_empty() {
        return format!("the model has no {what}");
    }
    let list: Vec<_> = (1..)
        .zip(names)
        .map(|(number, name)| format!("{number} = `{name}`"))
        .collect();
    format!("{what}s: {}", list.join(", "))
}

/// The start of a text, fit for a message.
pub(super) fn shown(text: &str) -> String {
    const MOST: usize = 40;
    let mut start: String = text
        .chars()
        .take(MOST)
        .map(|c| if c.is_control() { '\u{FFFD}' } else { c })
        .collect();
    if text.chars().nth(MOST).is_some() {
        start.push('…');
    }
    start
}
