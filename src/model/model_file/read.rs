//! From the text of a file to a checked model.

use super::super::table::{Entry, Source, Table};
use super::{Covariate, Input, InputKind, Model, ModelError, check_file};
use crate::engine::{Routes, System, SystemParts};
use crate::lang::scope::{Scope, Value};
use crate::lang::{Equations, Graph, LangError, NodeId, Program, Unit, parser, suggest};
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::sync::Arc;
use toml::Spanned;
use toml::de::DeValue;

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
    let parameters = match root.table("parameters")? {
        Some(table) => reader.parameters(&table)?,
        None => super::parameters::Parameters::default(),
    };
    reader.wanted.extend(&parameters.nodes);
    let (inputs, covariates) = match root.table("population")? {
        Some(table) => reader.population(&table, inputs, covariates)?,
        None => (inputs, covariates),
    };
    let omega = reader.omega(root.tables("omega")?, &parameters)?;

    let table = root.required_table("equations", "how the states change")?;
    let (mut equations, equations_text, unchecked) =
        reader.equations(table, &inputs, &covariates, &parameters, &amount_unit, &time_unit)?;
    let routes = match root.table("doses")? {
        Some(table) => reader.doses(table, &mut equations, &time_unit)?,
        None => Routes::new(Vec::new(), equations.states.len()),
    };
    let outputs = match root.table("observed")? {
        Some(table) => reader.observed(&table, &mut equations)?,
        None => Vec::new(),
    };
    let shown = match root.table("outputs")? {
        Some(table) => reader.shown(&table, &equations)?,
        None => Vec::new(),
    };
    let clock = match root.table("clock")? {
        Some(table) => Some(reader.clock(table, &mut equations)?),
        None => None,
    };
    reader.clock_fits(&equations, clock.is_some(), &equations_text)?;
    let cycle = match root.table("cycle")? {
        Some(table) => Some(reader.cycle(table, &mut equations)?),
        None => None,
    };
    let measures = match root.table("measures")? {
        Some(table) => reader.measures(&table, &mut equations, &time_unit, cycle.is_some())?,
        None => super::measures::Drafts::default(),
    };
    let densities = reader.penalties(&parameters.priors, &mut equations)?;
    if outputs.is_empty() && shown.is_empty() && measures.list.is_empty() {
        return Err(source.error_with(
            root.at(),
            "the model shows nothing",
            "add [observed.X], [outputs.X] or [measures.X], where X is a result or a state of the equations",
        ));
    }
    let followed = measures.followed(&equations);
    let measures_list = measures.finish(&equations, outputs.len());
    let system = System::new(SystemParts {
        equations,
        parameters: parameters.engine,
        effects: parameters.effects.iter().map(|(name, _)| name.clone()).collect(),
        omega,
        occasion_effects: parameters.occasion_effects,
        densities,
        routes,
        outputs,
        followed,
        areas: measures.areas,
        clock,
        cycle,
        interpolated: inputs.iter().map(|input| input.interpolated).collect(),
    })
    .map_err(|error| {
        let found = source.error_inside(&equations_text, error.span.start, error.message.clone());
        ModelError {
            help: Some(error.help),
            ..found
        }
    })?;

    let names = check_file::Names {
        parameters: &parameters.list,
        covariates: &covariates,
        inputs: &inputs,
        system: &system,
        measures: &measures_list,
    };
    let checks = check_file::read(source, root.tables("checks")?, &names)?;
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
        unchecked,
        file: file.to_owned(),
        inputs,
        covariates,
        parameters: parameters.list,
        equations: equations_text.into_inner(),
        shown,
        measures: measures_list,
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
    pub(super) fn named<'t>(&self, entry: &Entry<'t, 'a>, what: &str) -> Result<Table<'t, 'a>, ModelError> {
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
        if parser::reserved().any(|known| known == name) {
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

    fn define(&mut self, entry: &Entry<'_, 'a>, node: NodeId, levels: Option<Arc<[String]>>) -> Result<(), ModelError> {
        if self.scope.define(
            entry.key,
            Value {
                levels,
                ..Value::number(node)
            },
        ) {
            return Ok(());
        }
        Err(self
            .source
            .error(entry.at, format!("the name `{}` is already taken", entry.key)))
    }

    pub(super) fn formula(&mut self, formula: &Spanned<String>) -> Result<NodeId, ModelError> {
        let found = parser::formula(formula.get_ref())
            .and_then(|expr| self.scope.lower(&mut self.graph, &expr))
            .map_err(|error| ModelError {
                help: error.help.clone(),
                ..self.source.error_inside(formula, error.span.start, error.message)
            })?;
        Ok(found.node)
    }

    /// Whether a formula may use this name.
    pub(super) fn scope_knows(&self, name: &str) -> bool {
        self.scope.get(name).is_some()
    }

    /// A formula of the equations computed on plain numbers.
    pub(super) fn numbers(&self, equations: &mut Equations, text: &Spanned<String>) -> Result<NodeId, ModelError> {
        parser::formula(text.get_ref())
            .and_then(|expr| equations.numbers(&expr))
            .map_err(|error| self.inside(text, &error))
    }

    /// An error of the language within a text of the file.
    pub(super) fn inside(&self, text: &Spanned<String>, error: &LangError) -> ModelError {
        ModelError {
            help: error.help.clone(),
            ..self.source.error_inside(text, error.span.start, error.message.clone())
        }
    }

    fn inputs(&mut self, table: &Table<'_, 'a>) -> Result<Vec<Input>, ModelError> {
        let mut inputs = Vec::new();
        for entry in table.entries() {
            let mut table = self.named(&entry, "the input")?;
            let (kind, unit) = (table.text("kind")?, table.text("unit")?);
            let doc = table.text("doc")?.map(Spanned::into_inner).unwrap_or_default();
            let levels = table.texts("levels")?;
            let frequency = table.numbers("frequency")?;
            let between = table.text("between")?;
            let default = table.get("default");
            let kind = match (&kind, &unit) {
                (Some(kind), None) if kind.get_ref() == "flag" => InputKind::Flag,
                (Some(kind), None) if kind.get_ref() == "category" => self.category(&entry, levels, frequency)?,
                (None, Some(unit)) => {
                    self.unit(unit)?;
                    InputKind::Quantity
                }
                (Some(kind), None) => {
                    return Err(self.source.error_with(
                        kind.span().start,
                        format!("there is no kind `{}`", kind.get_ref()),
                        "write kind = \"flag\" for yes (1) or no (0), kind = \"category\" with levels, or unit = \"...\" for a quantity",
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
            let interpolated = match &between {
                None => false,
                Some(text) if text.get_ref() == "linear" && kind == InputKind::Quantity => true,
                Some(text) => {
                    return Err(self.source.error_with(
                        text.span().start,
                        format!("`between` cannot be `{}` here", text.get_ref()),
                        "a quantity may be interpolated between records: between = \"linear\"; otherwise leave it out",
                    ));
                }
            };
            let default = match default {
                None => None,
                Some(value) => Some(self.default(value, &kind)?),
            };
            table.finish()?;
            let node = self.graph.input(entry.key);
            let levels = match &kind {
                InputKind::Category { levels, .. } => Some(levels.clone().into()),
                _ => None,
            };
            self.define(&entry, node, levels)?;
            inputs.push(Input {
                name: entry.key.to_owned(),
                unit: unit.map_or_else(|| "1".to_owned(), Spanned::into_inner),
                kind,
                default,
                interpolated,
                population: None,
                doc,
            });
        }
        Ok(inputs)
    }

    fn category(
        &self,
        entry: &Entry<'_, 'a>,
        levels: Vec<Spanned<String>>,
        frequency: Option<Spanned<Vec<f64>>>,
    ) -> Result<InputKind, ModelError> {
        let levels: Vec<String> = levels.into_iter().map(Spanned::into_inner).collect();
        let twice = levels
            .iter()
            .enumerate()
            .any(|(i, level)| levels.iter().skip(i + 1).any(|other| other == level));
        if levels.is_empty() || twice {
            return Err(self.source.error_with(
                entry.at,
                format!("the category `{}` needs different levels", entry.key),
                "write levels = [\"a\", \"b\"]",
            ));
        }
        let frequency = match frequency {
            None => Vec::new(),
            Some(given) => {
                let sum: f64 = given.get_ref().iter().sum();
                let fine = given.get_ref().len() == levels.len() && given.get_ref().iter().all(|x| *x >= 0.0);
                // Published percentages are rounded.
                if !fine || (sum - 1.0).abs() > 0.02 {
                    return Err(self.source.error_with(
                        given.span().start,
                        "these are not frequencies of the levels",
                        "one number a level, none negative, adding to 1",
                    ));
                }
                given.into_inner().into_iter().map(|x| x / sum).collect()
            }
        };
        Ok(InputKind::Category { levels, frequency })
    }

    fn default(&self, value: &Spanned<DeValue<'a>>, kind: &InputKind) -> Result<f64, ModelError> {
        let found = match (kind, value.get_ref()) {
            (InputKind::Category { levels, .. }, DeValue::String(text)) => {
                levels.iter().position(|level| level == text).map(|place| place as f64)
            }
            (InputKind::Category { .. }, _) => None,
            (InputKind::Flag, other) => super::super::table::number(other).filter(|x| *x == 0.0 || *x == 1.0),
            (InputKind::Quantity, other) => super::super::table::number(other),
        };
        found.ok_or_else(|| {
            self.source.error_with(
                value.span().start,
                "this cannot be the value of the input",
                "a number for a quantity, 0 or 1 for a flag, the text of a level for a category",
            )
        })
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
            self.define(&entry, node, None)?;
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
