//! From the text of a file to a checked model.

use super::super::table::{Entry, Source, Table};
use super::{Covariate, Input, Model, ModelError, Parameter, checks};
use crate::engine::{System, SystemParts};
use crate::lang::scope::{Scope, Value};
use crate::lang::{Equations, Graph, LangError, NodeId, Program, Symbol, Unit, parser, suggest};
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use toml::Spanned;

/// Names with a meaning of their own in the language.
const RESERVED: [&str; 15] = [
    "d", "dt", "t", "time", "if", "else", "exp", "ln", "log10", "sqrt", "pow", "min", "max", "abs", "floor",
];

pub(super) fn read(file: &str, text: &str) -> Result<Model, ModelError> {
    let source = Source { file, text };
    let document = source.parse()?;
    let mut root = Table::new(source, "the file", 0, document.get_ref());
    let mut reader = Reader {
        source,
        scope: Scope::of_numbers(),
        graph: Graph::new(),
        wanted: Vec::new(),
    };

    let mut head = root.required_table("model", "what the model is and where it was published")?;
    let id = head
        .required_text("id", "a short name such as \"goti-2018\"")?
        .into_inner();
    let title = head.required_text("title", "what the model describes")?.into_inner();
    let citation = head.required_text("citation", "where it was published")?.into_inner();
    let doi = head.text("doi")?.map(Spanned::into_inner).unwrap_or_default();
    let version = head.required_text("version", "the version of this file")?.into_inner();
    let time = head.required_text("time", "the unit of time, such as \"h\"")?;
    let amount = head.required_text("amount", "the unit of doses, such as \"mg\"")?;
    let notes = head.texts("notes")?.into_iter().map(Spanned::into_inner).collect();
    head.finish()?;
    let time_unit = reader.unit_of_kind(&time, "s", "a time")?;
    let amount_unit = reader.unit(&amount)?;

    let inputs = match root.table("inputs")? {
        Some(table) => reader.inputs(&table)?,
        None => Vec::new(),
    };
    let covariates = match root.table("covariates")? {
        Some(table) => reader.covariates(&table)?,
        None => Vec::new(),
    };
    let (parameters, symbols) =
        reader.parameters(&root.required_table("parameters", "typical values and their variability")?)?;
    let (inputs, covariates) = match root.table("population")? {
        Some(table) => reader.population(&table, inputs, covariates)?,
        None => (inputs, covariates),
    };
    let effects: Vec<usize> = (0..parameters.len())
        .filter(|i| parameters.get(*i).is_some_and(|p| p.omega2.is_some()))
        .collect();
    let omega = reader.omega(root.tables("omega")?, &parameters, &effects)?;

    let mut table = root.required_table("equations", "how the states change")?;
    let equations_text = table.required_text("text", "the equations, between ''' and '''")?;
    table.finish()?;
    let inside = |error: &LangError| {
        let found = source.error_inside(&equations_text, error.span.start, error.message.clone());
        ModelError {
            help: error.help.clone(),
            ..found
        }
    };
    let equations =
        Equations::parse(equations_text.get_ref(), &symbols, &amount_unit, &time_unit).map_err(|e| inside(&e))?;

    let mut table = root.required_table("doses", "which state receives the doses")?;
    let dose_state = table.required_text("state", "the name of a state")?;
    table.finish()?;
    if !equations.states.iter().any(|state| state.name == *dose_state.get_ref()) {
        return Err(source.error_with(
            dose_state.span().start,
            format!("there is no state `{}`", dose_state.get_ref()),
            suggest::hint(
                dose_state.get_ref(),
                equations.states.iter().map(|state| state.name.as_str()),
            ),
        ));
    }

    let outputs = reader.observed(
        &root.required_table("observed", "what is measured")?,
        &equations,
        &amount_unit,
    )?;
    let system = System::new(SystemParts {
        equations,
        parameters: parameters.iter().map(|parameter| parameter.name.clone()).collect(),
        effects,
        omega,
        dose_state: dose_state.into_inner(),
        outputs,
    })
    .map_err(|error| {
        let found = source.error_inside(&equations_text, error.span.start, error.message.clone());
        ModelError {
            help: Some(error.help),
            ..found
        }
    })?;

    let names = checks::Names {
        parameters: &parameters,
        covariates: &covariates,
        inputs: &inputs,
        system: &system,
    };
    let checks = checks::read(source, root.tables("checks")?, &names)?;
    root.finish()?;
    let mut sha256 = String::with_capacity(64);
    for byte in Sha256::digest(text.as_bytes()) {
        // Writing to a string cannot fail.
        let _ = write!(sha256, "{byte:02x}");
    }
    Ok(Model {
        id,
        title,
        citation,
        doi,
        version,
        notes,
        sha256,
        time_unit: time.into_inner(),
        amount_unit: amount.into_inner(),
        file: file.to_owned(),
        inputs,
        covariates,
        parameters,
        equations: equations_text.into_inner(),
        formulas: Program::new(&reader.graph, &reader.wanted),
        system,
        checks,
    })
}

pub(super) struct Reader<'a> {
    pub(super) source: Source<'a>,
    scope: Scope,
    graph: Graph,
    /// Covariates, then typical values.
    wanted: Vec<NodeId>,
}

impl<'a> Reader<'a> {
    pub(super) fn unit(&self, code: &Spanned<String>) -> Result<Unit, ModelError> {
        Unit::parse(code.get_ref()).map_err(|why| {
            self.source.error_with(
                code.span().start,
                why,
                "units are UCUM codes: h, kg, mg/L, L/h, mL/min, a (year)",
            )
        })
    }

    fn unit_of_kind(&self, code: &Spanned<String>, example: &str, what: &str) -> Result<Unit, ModelError> {
        let unit = self.unit(code)?;
        match Unit::parse(example) {
            Ok(example) if !example.same_kind(&unit) => Err(self.source.error(
                code.span().start,
                format!("`{}` is not the unit of {what}", code.get_ref()),
            )),
            _ => Ok(unit),
        }
    }

    /// A table whose key is a new name.
    fn named<'t>(&self, entry: &Entry<'t, 'a>, what: &str) -> Result<Table<'t, 'a>, ModelError> {
        let name = entry.key;
        let plain = name.chars().next().is_some_and(|c| c.is_alphabetic() || c == '_')
            && name.chars().all(|c| c.is_alphanumeric() || c == '_');
        if !plain {
            return Err(self.source.error_with(
                entry.at,
                format!("`{name}` cannot be the name of {what}"),
                "a name is made of letters, digits and `_`, and starts with a letter",
            ));
        }
        if RESERVED.contains(&name) {
            return Err(self
                .source
                .error(entry.at, format!("`{name}` has a meaning of its own in formulas")));
        }
        self.inner(entry, what)
    }

    pub(super) fn inner<'t>(&self, entry: &Entry<'t, 'a>, what: &str) -> Result<Table<'t, 'a>, ModelError> {
        match entry.value.get_ref().as_table() {
            Some(table) => Ok(Table::new(
                self.source,
                format!("{what} `{}`", entry.key),
                entry.at,
                table,
            )),
            None => Err(self.source.error(
                entry.value.span().start,
                format!(
                    "{what} `{}` must be a table {{ ... }}, found a value of type {}",
                    entry.key,
                    entry.value.get_ref().type_str()
                ),
            )),
        }
    }

    fn define(&mut self, entry: &Entry<'_, 'a>, node: NodeId) -> Result<(), ModelError> {
        if self.scope.define(entry.key, Value { node, unit: None }) {
            return Ok(());
        }
        Err(self
            .source
            .error(entry.at, format!("the name `{}` is already taken", entry.key)))
    }

    fn formula(&mut self, formula: &Spanned<String>) -> Result<NodeId, ModelError> {
        let found = parser::formula(formula.get_ref())
            .and_then(|expr| self.scope.lower(&mut self.graph, &expr))
            .map_err(|error| ModelError {
                help: error.help.clone(),
                ..self.source.error_inside(formula, error.span.start, error.message)
            })?;
        Ok(found.node)
    }

    fn inputs(&mut self, table: &Table<'_, 'a>) -> Result<Vec<Input>, ModelError> {
        let mut inputs = Vec::new();
        for entry in table.entries() {
            let mut table = self.named(&entry, "the input")?;
            let kind = table.text("kind")?;
            let unit = table.text("unit")?;
            let doc = table.text("doc")?.map(Spanned::into_inner).unwrap_or_default();
            let flag = match (&kind, &unit) {
                (Some(kind), None) if kind.get_ref() == "flag" => true,
                (None, Some(unit)) => {
                    self.unit(unit)?;
                    false
                }
                (Some(kind), None) => {
                    return Err(self.source.error_with(
                        kind.span().start,
                        format!("there is no kind `{}`", kind.get_ref()),
                        "write kind = \"flag\" for yes (1) or no (0), or unit = \"...\" for a quantity",
                    ));
                }
                _ => {
                    return Err(self.source.error_with(
                        entry.at,
                        format!("the input `{}` needs either a unit or a kind", entry.key),
                        "write { unit = \"kg\" } or { kind = \"flag\" }",
                    ));
                }
            };
            table.finish()?;
            let node = self.graph.input(entry.key);
            self.define(&entry, node)?;
            let unit = unit.map_or_else(|| "1".to_owned(), Spanned::into_inner);
            inputs.push(Input {
                name: entry.key.to_owned(),
                unit,
                flag,
                population: None,
                doc,
            });
        }
        Ok(inputs)
    }

    fn covariates(&mut self, table: &Table<'_, 'a>) -> Result<Vec<Covariate>, ModelError> {
        let mut covariates = Vec::new();
        for entry in table.entries() {
            let mut table = self.named(&entry, "the covariate")?;
            let formula = table.required_text("is", "the formula")?;
            let unit = table.required_text("unit", "a UCUM code, or \"1\" for a pure number")?;
            let doc = table.text("doc")?.map(Spanned::into_inner).unwrap_or_default();
            table.finish()?;
            self.unit(&unit)?;
            let node = self.formula(&formula)?;
            self.define(&entry, node)?;
            self.wanted.push(node);
            covariates.push(Covariate {
                name: entry.key.to_owned(),
                unit: unit.into_inner(),
                formula: formula.into_inner(),
                population: None,
                doc,
            });
        }
        Ok(covariates)
    }

    fn parameters(&mut self, table: &Table<'_, 'a>) -> Result<(Vec<Parameter>, Vec<Symbol>), ModelError> {
        let mut parameters = Vec::new();
        let mut symbols = Vec::new();
        for entry in table.entries() {
            let mut table = self.named(&entry, "the parameter")?;
            let formula = table.required_text("is", "the formula of the typical value")?;
            let unit = table.required_text("unit", "a UCUM code")?;
            let doc = table.text("doc")?.map(Spanned::into_inner).unwrap_or_default();
            let (cv, sd, variance) = (table.number("cv")?, table.number("omega_sd")?, table.number("omega2")?);
            table.finish()?;
            let given: Vec<(&str, Spanned<f64>)> = [("cv", cv), ("omega_sd", sd), ("omega2", variance)]
                .into_iter()
                .filter_map(|(name, value)| value.map(|value| (name, value)))
                .collect();
            let omega2 = match given.as_slice() {
                [] => None,
                [(_, value)] if *value.get_ref() <= 0.0 => {
                    return Err(self.source.error_with(
                        value.span().start,
                        format!("the variability of `{}` must be above 0", entry.key),
                        "leave it out if the parameter does not vary between people",
                    ));
                }
                [(name, value)] => {
                    let x = *value.get_ref();
                    Some(match *name {
                        "cv" => (x / 100.0).powi(2).ln_1p(),
                        "omega_sd" => x * x,
                        _ => x,
                    })
                }
                [_, (name, second), ..] => {
                    return Err(self.source.error_with(
                        second.span().start,
                        format!("the variability of `{}` is given twice, here as `{name}`", entry.key),
                        "give one of: cv (percent; omega^2 = ln(1 + (cv/100)^2)), omega_sd (of the log), omega2 (variance of the log)",
                    ));
                }
            };
            let symbol_unit = self.unit(&unit)?;
            let node = self.formula(&formula)?;
            if self.scope.get(entry.key).is_some() {
                return Err(self
                    .source
                    .error(entry.at, format!("the name `{}` is already taken", entry.key)));
            }
            self.wanted.push(node);
            symbols.push(Symbol {
                name: entry.key.to_owned(),
                unit: symbol_unit,
            });
            parameters.push(Parameter {
                name: entry.key.to_owned(),
                unit: unit.into_inner(),
                formula: formula.into_inner(),
                omega2,
                doc,
            });
        }
        if parameters.is_empty() {
            return Err(self.source.error(table.at(), "the model has no parameter"));
        }
        Ok((parameters, symbols))
    }

    fn population(
        &self,
        table: &Table<'_, 'a>,
        mut inputs: Vec<Input>,
        mut covariates: Vec<Covariate>,
    ) -> Result<(Vec<Input>, Vec<Covariate>), ModelError> {
        for entry in table.entries() {
            let mut table = self.inner(&entry, "the population range of")?;
            let range = table.numbers("range")?;
            let (min, max) = (table.number("min")?, table.number("max")?);
            let _doc = table.text("doc")?;
            table.finish()?;
            let (low, high) = match (&range, min, max) {
                (Some(range), None, None) => match range.get_ref().as_slice() {
                    [low, high] => (*low, *high),
                    _ => return Err(self.source.error(range.span().start, "a range is [low, high]")),
                },
                (None, None, None) | (Some(_), ..) => {
                    return Err(self.source.error_with(
                        entry.at,
                        format!("the range of `{}` is not clear", entry.key),
                        "write { range = [low, high] }, or { min = low }, or { max = high }",
                    ));
                }
                (None, min, max) => (
                    min.map_or(f64::NEG_INFINITY, Spanned::into_inner),
                    max.map_or(f64::INFINITY, Spanned::into_inner),
                ),
            };
            if low > high {
                return Err(self.source.error(
                    entry.at,
                    format!("the range of `{}` is empty: {low} to {high}", entry.key),
                ));
            }
            if let Some(input) = inputs.iter_mut().find(|input| input.name == entry.key) {
                input.population = Some((low, high));
            } else if let Some(covariate) = covariates.iter_mut().find(|covariate| covariate.name == entry.key) {
                covariate.population = Some((low, high));
            } else {
                let known: Vec<&str> = inputs
                    .iter()
                    .map(|input| input.name.as_str())
                    .chain(covariates.iter().map(|covariate| covariate.name.as_str()))
                    .collect();
                return Err(self.source.error_with(
                    entry.at,
                    format!("`{}` is neither an input nor a covariate", entry.key),
                    suggest::hint(entry.key, known.iter().copied()),
                ));
            }
        }
        Ok((inputs, covariates))
    }
}
