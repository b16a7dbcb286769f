//! `[equations]`, `[clock]` and `[cycle]`.

use super::super::table::Table;
use super::parameters::Parameters;
use super::read::Reader;
use super::{Covariate, Input, InputKind, ModelError};
use crate::engine::{Clock, Cycle};
use crate::lang::{Equations, Surroundings, Symbol, Unit, suggest};
use std::collections::BTreeMap;
use toml::Spanned;
use toml::de::DeValue;

impl<'a> Reader<'a> {
    /// The equations, their text, and why their units are not followed (empty if they are).
    pub(super) fn equations(
        &self,
        mut table: Table<'_, 'a>,
        inputs: &[Input],
        covariates: &[Covariate],
        parameters: &Parameters,
        amount: &Unit,
        time: &Unit,
    ) -> Result<(Equations, Spanned<String>, String), ModelError> {
        let text = table.required_text("text", "the equations, between ''' and '''")?;
        let unchecked = table.text("unchecked")?;
        if let Some(empty) = unchecked.as_ref().filter(|reason| reason.get_ref().trim().is_empty()) {
            return Err(self
                .source
                .error(empty.span().start, "`unchecked` says why the units are not followed"));
        }
        let mut units: Vec<(Spanned<String>, Unit)> = Vec::new();
        if let Some(states) = table.table("states")? {
            for entry in states.entries() {
                let DeValue::String(code) = entry.value.get_ref() else {
                    return Err(self
                        .source
                        .error(entry.value.span().start, "a unit is a text, such as \"mg/L\""));
                };
                let unit = self.unit(&Spanned::new(entry.value.span(), code.to_string()))?;
                units.push((Spanned::new(entry.at..entry.at, entry.key.to_owned()), unit));
            }
        }
        table.finish()?;
        let one = |name: &str| Symbol::quantity(name, Unit::ONE);
        let mut symbols = Vec::new();
        for input in inputs {
            symbols.push(match &input.kind {
                InputKind::Quantity => Symbol::quantity(&input.name, Unit::parse(&input.unit).unwrap_or(Unit::ONE)),
                InputKind::Flag => one(&input.name),
                InputKind::Category { levels, .. } => Symbol {
                    levels: Some(levels.clone().into()),
                    ..one(&input.name)
                },
            });
        }
        let around = Surroundings {
            parameters: parameters.symbols.clone(),
            inputs: symbols,
            covariates: covariates
                .iter()
                .map(|c| Symbol::quantity(&c.name, Unit::parse(&c.unit).unwrap_or(Unit::ONE)))
                .collect(),
            amount: amount.clone(),
            states: units
                .iter()
                .map(|(name, unit)| (name.get_ref().clone(), unit.clone()))
                .collect::<BTreeMap<_, _>>(),
            time: time.clone(),
            follow_units: unchecked.is_none(),
        };
        let equations = Equations::parse(text.get_ref(), &around).map_err(|error| self.inside(&text, &error))?;
        let states = equations
            .states
            .iter()
            .chain(&equations.clocked)
            .map(|state| state.name.as_str());
        if let Some((name, _)) = units
            .iter()
            .find(|(name, _)| !states.clone().any(|state| state == name.get_ref()))
        {
            return Err(self.source.error_with(
                name.span().start,
                format!("there is no state `{}`", name.get_ref()),
                suggest::hint(name.get_ref(), states),
            ));
        }
        Ok((equations, text, unchecked.map(Spanned::into_inner).unwrap_or_default()))
    }

    pub(super) fn clock(&self, mut table: Table<'_, 'a>, equations: &mut Equations) -> Result<Clock, ModelError> {
        let every = table.required_text("every", "the time between two ticks, a formula such as \"1\"")?;
        let from = match table.get("from") {
            None => Spanned::new(0..0, "0".to_owned()),
            Some(value) => self.formula_or_number(value)?,
        };
        table.finish()?;
        Ok(Clock {
            every: self.still(equations, &every)?,
            from: self.still(equations, &from)?,
        })
    }

    pub(super) fn clock_fits(
        &self,
        equations: &Equations,
        has_clock: bool,
        text: &Spanned<String>,
    ) -> Result<(), ModelError> {
        match equations.clocked.first() {
            Some(state) if !has_clock => Err(self.source.error_with(
                self.source.content_start(&text.span()).unwrap_or(text.span().start) + state.span.start,
                format!("`{}` changes at ticks, but there is no clock", state.name),
                "add [clock] with every = \"1\"",
            )),
            None if has_clock => Err(self.source.error_with(
                text.span().start,
                "there is a [clock] but nothing changes at its ticks",
                "write `next(name) = ...`, or leave [clock] out",
            )),
            _ => Ok(()),
        }
    }

    pub(super) fn cycle(&self, mut table: Table<'_, 'a>, equations: &mut Equations) -> Result<Cycle, ModelError> {
        let length = table.required_text("length", "the length of a cycle, a formula")?;
        let tolerance = table.number("tolerance")?;
        let at_most = table.number("at_most")?;
        table.finish()?;
        if let Some(bad) = tolerance
            .iter()
            .chain(&at_most)
            .find(|x| *x.get_ref() <= 0.0 || *x.get_ref() > 1e6)
        {
            return Err(self.source.error(bad.span().start, "a number above 0 is needed here"));
        }
        Ok(Cycle {
            length: self.still(equations, &length)?,
            tolerance: tolerance.map_or(1e-7, Spanned::into_inner),
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked above")]
            at_most: at_most.map_or(500, |x| x.into_inner() as usize),
        })
    }

    /// A formula of what does not change between events.
    pub(super) fn still(
        &self,
        equations: &mut Equations,
        text: &Spanned<String>,
    ) -> Result<crate::lang::NodeId, ModelError> {
        let node = self.numbers(equations, text)?;
        if equations.moves(node) {
            return Err(self.source.error_with(
                text.span().start,
                "this must not depend on the time or on a state",
                "it may be made of parameters, inputs and covariates",
            ));
        }
        Ok(node)
    }

    /// A formula given as a text or as a plain number.
    pub(super) fn formula_or_number(&self, value: &Spanned<DeValue<'a>>) -> Result<Spanned<String>, ModelError> {
        match value.get_ref() {
            DeValue::String(text) => Ok(Spanned::new(value.span(), text.to_string())),
            other => match super::super::table::number(other) {
                Some(number) => Ok(Spanned::new(value.span(), format!("{number}"))),
                None => Err(self
                    .source
                    .error(value.span().start, "a number or a formula is needed here")),
            },
        }
    }
}
