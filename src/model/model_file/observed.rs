//! `[observed.X]` and `[outputs.X]`: what is measured and with which error, and what is shown besides.

use super::super::table::{Entry, Table};
use super::read::Reader;
use super::{ModelError, Shown};
use crate::engine::{ErrorForm, ErrorKind, Output};
use crate::lang::{Equations, NodeId};
use toml::Spanned;
use toml::de::DeValue;

impl<'a> Reader<'a> {
    pub(super) fn observed(&self, table: &Table<'_, 'a>, equations: &mut Equations) -> Result<Vec<Output>, ModelError> {
        let mut outputs = Vec::new();
        for entry in table.entries() {
            let mut table = self.inner(&entry, "the observed quantity")?;
            let unit = table.required_text("unit", "a UCUM code")?;
            let error = table.table("error")?;
            let _doc = table.text("doc")?;
            table.finish()?;
            let error = error.ok_or_else(|| self.without_error(entry.at, entry.key))?;
            let error = self.error_form(&entry, error, equations)?;
            let node = self.seen(&entry, &unit, equations)?;
            outputs.push(Output {
                name: entry.key.to_owned(),
                unit: unit.into_inner(),
                node,
                error,
            });
        }
        if outputs.is_empty() {
            return Err(self.source.error(table.at(), "nothing is observed"));
        }
        Ok(outputs)
    }

    pub(super) fn shown(&self, table: &Table<'_, 'a>, equations: &Equations) -> Result<Vec<Shown>, ModelError> {
        let mut shown = Vec::new();
        for entry in table.entries() {
            let mut table = self.inner(&entry, "the output")?;
            let unit = table.required_text("unit", "a UCUM code")?;
            let _doc = table.text("doc")?;
            table.finish()?;
            self.seen(&entry, &unit, equations)?;
            shown.push(Shown {
                name: entry.key.to_owned(),
                unit: unit.into_inner(),
            });
        }
        Ok(shown)
    }

    /// The node of a result or state, whose unit must be the one declared.
    fn seen(&self, entry: &Entry<'_, 'a>, unit: &Spanned<String>, equations: &Equations) -> Result<NodeId, ModelError> {
        let declared = self.unit(unit)?;
        let (node, found, _) = equations.result(entry.key).map_err(|help| {
            self.source
                .error_with(entry.at, format!("the equations do not define `{}`", entry.key), help)
        })?;
        match found.filter(|found| !declared.same(found)) {
            Some(found) => Err(self.source.error(
                unit.span().start,
                format!(
                    "the equations give `{}` another unit: {}",
                    entry.key,
                    declared.difference(&found)
                ),
            )),
            None => Ok(node),
        }
    }

    fn error_form(
        &self,
        entry: &Entry<'_, 'a>,
        mut table: Table<'_, 'a>,
        equations: &mut Equations,
    ) -> Result<ErrorForm, ModelError> {
        let at = table.at();
        let mut number = |table: &mut Table<'_, 'a>, key: &'static str, root: bool| match table.get(key) {
            None => Ok(None),
            Some(value) => self.error_number(value, root, equations).map(Some),
        };
        let additive = number(&mut table, "additive", false)?;
        let additive_root = number(&mut table, "additive_variance", true)?;
        let proportional = number(&mut table, "proportional", false)?;
        let proportional_root = number(&mut table, "proportional_variance", true)?;
        let log = number(&mut table, "log", false)?;
        let power = match table.get("power") {
            None => None,
            Some(value) => {
                let list = value.get_ref().as_array().filter(|list| list.len() == 2);
                let pair = list.and_then(|list| Some((list.first()?, list.get(1)?)));
                let (c, p) = pair.ok_or_else(|| {
                    self.source.error_with(
                        value.span().start,
                        "a power error is [coefficient, exponent]",
                        "sd = coefficient * prediction^exponent",
                    )
                })?;
                Some([
                    self.error_number(c, false, equations)?,
                    self.error_number(p, false, equations)?,
                ])
            }
        };
        table.finish()?;
        let zero = equations.graph.constant(0.0);
        let only = |x: Option<NodeId>, y: Option<NodeId>, what: &str| match (x, y) {
            (Some(_), Some(_)) => Err(self
                .source
                .error(at, format!("give either `{what}` or `{what}_variance`"))),
            (x, y) => Ok(x.or(y)),
        };
        let additive = only(additive, additive_root, "additive")?;
        let proportional = only(proportional, proportional_root, "proportional")?;
        let is_zero = |x: Option<NodeId>| x.is_none_or(|x| x == zero);
        match (log, power, is_zero(additive) && is_zero(proportional)) {
            (None, None, false) => Ok(ErrorForm {
                kind: ErrorKind::Combined,
                numbers: [additive.unwrap_or(zero), proportional.unwrap_or(zero)],
            }),
            (Some(sd), None, true) if sd != zero => Ok(ErrorForm {
                kind: ErrorKind::Log,
                numbers: [sd, zero],
            }),
            (None, Some([coefficient, _]), true) if coefficient == zero => Err(self.without_error(at, entry.key)),
            (None, Some(numbers), true) => Ok(ErrorForm {
                kind: ErrorKind::Power,
                numbers,
            }),
            (None | Some(_), None, true) => Err(self.without_error(at, entry.key)),
            _ => Err(self.source.error_with(
                at,
                format!("the error of `{}` is of two kinds", entry.key),
                "give additive and proportional, or log, or power",
            )),
        }
    }

    fn without_error(&self, at: usize, name: &str) -> ModelError {
        self.source.error_with(
            at,
            format!("`{name}` is observed without error"),
            "write error = { ... } with additive (in its unit), proportional (a fraction), or both; or log; or power",
        )
    }

    /// A number, or a formula of inputs and covariates.
    fn error_number(
        &self,
        value: &Spanned<DeValue<'a>>,
        root: bool,
        equations: &mut Equations,
    ) -> Result<NodeId, ModelError> {
        let text = self.formula_or_number(value)?;
        let node = self.still(equations, &text)?;
        if equations.graph.value(node).is_some_and(|x| x < 0.0) {
            return Err(self.source.error(text.span().start, "an error cannot be negative"));
        }
        if equations.depends_on_parameter(node) {
            return Err(self.source.error_with(
                text.span().start,
                "the size of an error cannot depend on a parameter",
                "it may be made of inputs and covariates",
            ));
        }
        Ok(if root {
            equations.graph.unary(crate::lang::parser::UnaryOp::Sqrt, node)
        } else {
            node
        })
    }
}
