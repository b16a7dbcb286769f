//! Places in the text of a file, and what is read at them: lengths of time, formulas, numbers, codes.

use std::collections::BTreeSet;

use jiff::SignedDuration;
use serde::Deserialize;
use toml::Spanned;

use crate::{
    model::{
        formula::{Formula, Number},
        table::Source,
        twin_file::TwinFileError,
    },
    patient::needs::Code,
};

/// A number or a formula.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum RawNumber {
    Plain(f64),
    Formula(String),
}

/// Turns places in the text into errors with line and column.
pub(super) struct Place<'a> {
    pub(super) source: Source<'a>,
}

impl Place<'_> {
    /// An error at a byte of the text.
    pub(super) fn error(&self, at: usize, message: impl Into<String>) -> TwinFileError {
        self.source.error(at, message)
    }

    /// `48 h`, `30 min`, `7 d`, `4 wk`.
    pub(super) fn duration(&self, text: &Spanned<String>) -> Result<SignedDuration, TwinFileError> {
        let hours = self.hours(text.get_ref(), text.span().start)?;
        Ok(SignedDuration::from_secs_f64((hours * 3600.0).round()))
    }

    pub(super) fn hours(&self, text: &str, at: usize) -> Result<f64, TwinFileError> {
        let wrong = || {
            let message =
                format!("\"{text}\" is not a length of time: write a number and min, h, d or wk, as \"48 h\"");
            self.error(at, message)
        };
        let (number, unit) = text.trim().split_once(' ').ok_or_else(wrong)?;
        let number: f64 = number.parse().map_err(|_| wrong())?;
        let hours = match unit.trim() {
            "min" => number / 60.0,
            "h" => number,
            "d" => number * 24.0,
            "wk" => number * 168.0,
            _ => return Err(wrong()),
        };
        // A lifetime.
        if !(0.0..=1_000_000.0).contains(&hours) {
            return Err(wrong());
        }
        Ok(hours)
    }

    /// A formula over known names.
    pub(super) fn formula(&self, text: &Spanned<String>, known: &BTreeSet<String>) -> Result<Formula, TwinFileError> {
        self.formula_at(text.get_ref(), text.span().start, known)
    }

    pub(super) fn formula_at(&self, text: &str, at: usize, known: &BTreeSet<String>) -> Result<Formula, TwinFileError> {
        Formula::parse(text, known).map_err(|e| {
            // Behind the quotation mark.
            let mut error = self.error(at + 1 + e.span.start, format!("in \"{}\": {}", text.trim(), e.message));
            error.help = e.help;
            error
        })
    }

    pub(super) fn number(&self, raw: &RawNumber, at: usize, known: &BTreeSet<String>) -> Result<Number, TwinFileError> {
        match raw {
            RawNumber::Plain(value) if value.is_finite() => Ok(Number::Plain(*value)),
            RawNumber::Plain(_) => Err(self.error(at, "this must be a finite number")),
            RawNumber::Formula(text) => Ok(Number::Formula(self.formula_at(text, at, known)?)),
        }
    }

    pub(super) fn end(
        &self,
        raw: Option<&Spanned<RawNumber>>,
        known: &BTreeSet<String>,
    ) -> Result<Option<Number>, TwinFileError> {
        raw.map(|n| self.number(n.get_ref(), n.span().start, known)).transpose()
    }

    pub(super) fn ascending(&self, list: &Spanned<Vec<f64>>) -> Result<(), TwinFileError> {
        let values = list.get_ref();
        let ascending = values.iter().zip(values.iter().skip(1)).all(|(a, b)| a < b);
        if values.is_empty() || !ascending || values.iter().any(|d| !(d.is_finite() && *d > 0.0)) {
            return Err(self.error(list.span().start, "doses must be positive and ascending"));
        }
        Ok(())
    }
}

/// Codes of one system.
pub(super) fn coded(system: &str, codes: Vec<String>) -> impl Iterator<Item = Code> {
    codes.into_iter().map(move |code| Code {
        system: system.to_owned(),
        code,
    })
}
