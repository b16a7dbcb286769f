//! Worked numbers in a model file, and their recomputation.
//!
//! A check names inputs and doses and any of: `typical`, `covariates`, `course` (rows of time, output, area from the first
//! dose's time 0), and, with `levels` (rows of time, value), the personalised results `ofv`, `eta`, `eta_sd`, `individual`,
//! `fitted`, `predicted`. `steady` asks for the area over a span of an endlessly repeated dose.

use super::super::table::{Source, Table, number};
use super::{Covariate, Input, Model, ModelError, Parameter};
use crate::engine::{Bound, Dose, FitOptions, Observation, SteadyState, System, auc, fit, predict};
use crate::lang::suggest;
use std::collections::BTreeMap;
use toml::Spanned;
use toml::de::DeValue;

/// One worked number, recomputed.
#[derive(Debug, Clone, PartialEq)]
pub struct CheckResult {
    /// Which number.
    pub name: String,
    /// What the file says.
    pub expected: f64,
    /// What the engine says; `None` if it has no answer.
    pub found: Option<f64>,
    /// How far the two may be apart.
    pub tolerance: f64,
    /// Whether they are that near.
    pub passed: bool,
    /// Where the number comes from.
    pub source: String,
}

/// One worked example.
#[derive(Debug, Clone)]
pub(crate) struct Check {
    name: String,
    source: String,
    inputs: BTreeMap<String, f64>,
    output: usize,
    doses: Vec<Dose>,
    levels: Vec<(f64, f64)>,
    typical: Vec<(usize, f64)>,
    covariates: Vec<(usize, f64)>,
    course: Vec<Row>,
    ofv: Option<f64>,
    eta: Vec<(usize, f64)>,
    eta_sd: Vec<(usize, f64)>,
    individual: Vec<(usize, f64)>,
    fitted: Vec<f64>,
    predicted: Vec<Row>,
    steady: Option<Steady>,
    tolerance: Tolerance,
}

#[derive(Debug, Clone, Copy)]
struct Row {
    time: f64,
    value: f64,
    area: Option<f64>,
}

#[derive(Debug, Clone, Copy)]
struct Steady {
    amount: f64,
    interval: f64,
    duration: f64,
    span: f64,
    auc: f64,
}

#[derive(Debug, Clone, Copy)]
struct Tolerance {
    /// Simulation with known parameters, relative.
    relative: f64,
    /// Random effects, absolute.
    eta: f64,
    /// Objective function, absolute.
    ofv: f64,
    /// Numbers that follow from fitted parameters, relative.
    fitted: f64,
}

/// What a check may name.
pub(super) struct Names<'m> {
    pub(super) parameters: &'m [Parameter],
    pub(super) covariates: &'m [Covariate],
    pub(super) inputs: &'m [Input],
    pub(super) system: &'m System,
}

pub(super) fn read(
    source: Source<'_>,
    tables: Vec<Table<'_, '_>>,
    names: &Names<'_>,
) -> Result<Vec<Check>, ModelError> {
    tables.into_iter().map(|table| read_one(source, table, names)).collect()
}

fn read_one(source: Source<'_>, mut table: Table<'_, '_>, names: &Names<'_>) -> Result<Check, ModelError> {
    let name = table.required_text("name", "what is checked")?.into_inner();
    let origin = table
        .required_text("source", "where the numbers come from")?
        .into_inner();
    let input_names: Vec<&str> = names.inputs.iter().map(|input| input.name.as_str()).collect();
    let parameter_names: Vec<&str> = names.parameters.iter().map(|p| p.name.as_str()).collect();
    let covariate_names: Vec<&str> = names.covariates.iter().map(|c| c.name.as_str()).collect();
    let effect_names: Vec<&str> = names
        .parameters
        .iter()
        .filter(|p| p.omega2.is_some())
        .map(|p| p.name.as_str())
        .collect();
    let given = named(source, &mut table, "inputs", &input_names)?;
    let inputs = given
        .into_iter()
        .filter_map(|(i, x)| input_names.get(i).map(|name| ((*name).to_owned(), x)))
        .collect();
    let output = match table.text("output")? {
        None => 0,
        Some(wanted) => {
            let known = names.system.outputs().iter().map(|output| output.name.as_str());
            known.clone().position(|name| name == wanted.get_ref()).ok_or_else(|| {
                source.error_with(
                    wanted.span().start,
                    format!("`{}` is not observed", wanted.get_ref()),
                    suggest::hint(wanted.get_ref(), known),
                )
            })?
        }
    };
    let doses = table
        .rows("doses", 3..4, "rows of [time, amount, duration]")?
        .into_iter()
        .filter_map(|row| match row.get_ref().as_slice() {
            [time, amount, duration] => Some(Dose {
                time: *time,
                amount: *amount,
                duration: *duration,
            }),
            _ => None,
        })
        .collect();
    let levels: Vec<(f64, f64)> = table
        .rows("levels", 2..3, "rows of [time, value]")?
        .iter()
        .filter_map(|row| match row.get_ref().as_slice() {
            [time, value] => Some((*time, *value)),
            _ => None,
        })
        .collect();
    let course = course(table.rows("course", 2..4, "rows of [time, value] or [time, value, area]")?);
    let predicted = self::course(table.rows("predicted", 2..4, "rows of [time, value] or [time, value, area]")?);
    let fitted = table.numbers("fitted")?;
    if let Some(fitted) = fitted.as_ref().filter(|fitted| fitted.get_ref().len() != levels.len()) {
        return Err(source.error(
            fitted.span().start,
            "`fitted` needs one number for each of the `levels`",
        ));
    }
    let steady = match table.table("steady")? {
        None => None,
        Some(mut steady) => {
            let at = steady.at();
            let mut need = |key: &'static str| {
                steady
                    .number(key)?
                    .map(Spanned::into_inner)
                    .ok_or_else(|| source.error(at, format!("`steady` has no `{key}`")))
            };
            let found = Steady {
                amount: need("amount")?,
                interval: need("interval")?,
                duration: need("duration")?,
                span: need("span")?,
                auc: need("auc")?,
            };
            steady.finish()?;
            Some(found)
        }
    };
    let mut tolerance = Tolerance {
        relative: 1e-5,
        eta: 2e-3,
        ofv: 1e-3,
        fitted: 2e-3,
    };
    if let Some(mut given) = table.table("tolerance")? {
        let mut set = |key: &'static str, cell: &mut f64| -> Result<(), ModelError> {
            if let Some(value) = given.number(key)? {
                *cell = value.into_inner();
            }
            Ok(())
        };
        set("relative", &mut tolerance.relative)?;
        set("eta", &mut tolerance.eta)?;
        set("ofv", &mut tolerance.ofv)?;
        set("fitted", &mut tolerance.fitted)?;
        given.finish()?;
    }
    let at = table.at();
    let check = Check {
        name,
        source: origin,
        inputs,
        output,
        doses,
        typical: named(source, &mut table, "typical", &parameter_names)?,
        covariates: named(source, &mut table, "covariates", &covariate_names)?,
        course,
        ofv: table.number("ofv")?.map(Spanned::into_inner),
        eta: named(source, &mut table, "eta", &effect_names)?,
        eta_sd: named(source, &mut table, "eta_sd", &effect_names)?,
        individual: named(source, &mut table, "individual", &parameter_names)?,
        fitted: fitted.map(Spanned::into_inner).unwrap_or_default(),
        predicted,
        steady,
        tolerance,
        levels,
    };
    table.finish()?;
    let personal =
        check.ofv.is_some() || !(check.eta.is_empty() && check.individual.is_empty() && check.eta_sd.is_empty());
    if personal && check.levels.is_empty() {
        return Err(source.error(at, "a check of personalised numbers needs `levels`"));
    }
    Ok(check)
}

fn course(rows: Vec<Spanned<Vec<f64>>>) -> Vec<Row> {
    rows.iter()
        .filter_map(|row| match row.get_ref().as_slice() {
            [time, value, rest @ ..] => Some(Row {
                time: *time,
                value: *value,
                area: rest.first().copied(),
            }),
            _ => None,
        })
        .collect()
}

/// A table of known names with numbers: places in the list of names.
fn named(
    source: Source<'_>,
    table: &mut Table<'_, '_>,
    key: &'static str,
    names: &[&str],
) -> Result<Vec<(usize, f64)>, ModelError> {
    let Some(inner) = table.table(key)? else {
        return Ok(Vec::new());
    };
    inner
        .entries()
        .into_iter()
        .map(|entry| {
            let place = names.iter().position(|name| *name == entry.key).ok_or_else(|| {
                let message = format!("`{}` cannot stand in `{key}`", entry.key);
                source.error_with(entry.at, message, suggest::hint(entry.key, names.iter().copied()))
            })?;
            let value: &DeValue<'_> = entry.value.get_ref();
            let value =
                number(value).ok_or_else(|| source.error(entry.value.span().start, "a number is needed here"))?;
            Ok((place, value))
        })
        .collect()
}

/// Collects results of one check.
struct Log<'c> {
    check: &'c Check,
    results: Vec<CheckResult>,
}

impl Log<'_> {
    fn add(&mut self, what: String, expected: f64, found: Option<f64>, tolerance: f64) {
        let found = found.filter(|x| x.is_finite());
        let passed = found.is_some_and(|found| (found - expected).abs() <= tolerance);
        self.results.push(CheckResult {
            name: format!("{}: {what}", self.check.name),
            expected,
            found,
            tolerance,
            passed,
            source: self.check.source.clone(),
        });
    }

    fn relative(&mut self, what: String, expected: f64, found: Option<f64>, tolerance: f64) {
        self.add(what, expected, found, tolerance * expected.abs());
    }
}

pub(super) fn run(model: &Model) -> Vec<CheckResult> {
    model.checks.iter().flat_map(|check| run_one(model, check)).collect()
}

fn run_one(model: &Model, check: &Check) -> Vec<CheckResult> {
    let mut log = Log {
        check,
        results: Vec::new(),
    };
    let t = check.tolerance;
    let individual = model.individual(&check.inputs).ok();
    let typical: Vec<f64> = individual.as_ref().map(|i| i.typical().to_vec()).unwrap_or_default();
    let name = |i: usize| model.parameters.get(i).map_or("?", |parameter| parameter.name.as_str());
    for (i, expected) in &check.covariates {
        let found = individual
            .as_ref()
            .and_then(|individual| individual.covariates().get(*i));
        let what = found.map_or("covariate", |(name, _)| name.as_str()).to_owned();
        log.relative(what, *expected, found.map(|(_, x)| *x), t.relative);
    }
    for (i, expected) in &check.typical {
        log.relative(
            format!("typical {}", name(*i)),
            *expected,
            typical.get(*i).copied(),
            t.relative,
        );
    }
    courses(&mut log, model, check, &typical, &check.course, t.relative);
    if check.levels.is_empty() {
        steady(&mut log, model, check, &typical, t.relative);
        return log.results;
    }
    let observations: Vec<Observation> = check
        .levels
        .iter()
        .map(|(time, value)| Observation {
            time: *time,
            value: *value,
            bound: Bound::Exact,
            output: check.output,
        })
        .collect();
    let fitted = fit(
        &model.system,
        &typical,
        &check.doses,
        &observations,
        &FitOptions::default(),
    )
    .ok();
    let best = fitted.as_ref().and_then(|fit| fit.best()).filter(|mode| mode.converged);
    if let Some(expected) = check.ofv {
        log.add("OFV".to_owned(), expected, best.map(|mode| mode.ofv), t.ofv);
    }
    let effect = |i: usize| model.system.effects().get(i).map_or("?", |place| name(*place));
    let sd = best.map(|mode| mode.eta_sd());
    for (i, expected) in &check.eta {
        let found = best.and_then(|mode| mode.eta.get(*i)).copied();
        log.add(format!("eta {}", effect(*i)), *expected, found, t.eta);
    }
    for (i, expected) in &check.eta_sd {
        let found = sd.as_ref().and_then(|sd| sd.get(*i)).copied();
        log.add(format!("sd of eta {}", effect(*i)), *expected, found, t.eta);
    }
    let parameters: Vec<f64> = best.map(|mode| mode.parameters.clone()).unwrap_or_default();
    for (i, expected) in &check.individual {
        log.relative(
            format!("individual {}", name(*i)),
            *expected,
            parameters.get(*i).copied(),
            t.fitted,
        );
    }
    for (i, expected) in check.fitted.iter().enumerate() {
        let found = best.and_then(|mode| mode.ipred.get(i)).copied();
        log.relative(format!("fitted level {}", i + 1), *expected, found, t.fitted);
    }
    courses(&mut log, model, check, &parameters, &check.predicted, t.fitted);
    steady(&mut log, model, check, &parameters, t.fitted);
    log.results
}

fn courses(log: &mut Log<'_>, model: &Model, check: &Check, parameters: &[f64], rows: &[Row], tolerance: f64) {
    let times: Vec<f64> = rows.iter().map(|row| row.time).collect();
    let values = predict(&model.system, parameters, &check.doses, check.output, &times).ok();
    for (i, row) in rows.iter().enumerate() {
        let found = values.as_ref().and_then(|values| values.get(i)).copied();
        log.relative(format!("value at {}", row.time), row.value, found, tolerance);
        if let Some(area) = row.area {
            let found = auc(&model.system, parameters, &check.doses, check.output, 0.0, row.time).ok();
            log.relative(format!("area from 0 to {}", row.time), area, found, tolerance);
        }
    }
}

fn steady(log: &mut Log<'_>, model: &Model, check: &Check, parameters: &[f64], tolerance: f64) {
    if let Some(steady) = &check.steady {
        let found = SteadyState::of(
            &model.system,
            parameters,
            steady.amount,
            steady.interval,
            steady.duration,
            check.output,
        );
        let found = found.ok().map(|found| found.auc_over(steady.span, steady.interval));
        log.relative(
            format!("steady area over {}", steady.span),
            steady.auc,
            found,
            tolerance,
        );
    }
}
