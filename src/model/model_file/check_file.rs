//! `[[checks]]`: worked numbers in a model file.

use super::super::table::{Source, Table, number};
use super::person::Known;
use super::{Covariate, Input, InputKind, Measure, ModelError, Parameter};
use crate::engine::{Bound, Course, Dose, Given, Observation, System};
use crate::lang::suggest;
use toml::Spanned;
use toml::de::DeValue;

/// Most times a dose of a check is repeated.
const MOST_TIMES: f64 = 100_000.0;

/// One worked example.
#[derive(Debug, Clone)]
pub(super) struct Check {
    pub(super) name: String,
    pub(super) source: String,
    pub(super) known: Vec<Known>,
    pub(super) parameters: Vec<(usize, f64)>,
    pub(super) doses: Vec<Given>,
    pub(super) typical: Vec<(usize, f64)>,
    pub(super) covariates: Vec<(usize, f64)>,
    pub(super) expect: Vec<Row>,
    pub(super) observed: Vec<Observation>,
    pub(super) ofv: Option<f64>,
    pub(super) eta: Vec<(usize, f64)>,
    pub(super) eta_sd: Vec<(usize, f64)>,
    pub(super) individual: Vec<(usize, f64)>,
    pub(super) fitted: Vec<f64>,
    pub(super) expect_fitted: Vec<Row>,
    /// Levels by input, and their probability.
    pub(super) classes: Vec<(Vec<(usize, usize)>, f64)>,
    pub(super) tolerance: Tolerance,
}

/// What is expected at a time.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) time: f64,
    pub(super) values: Vec<(Place, f64)>,
}

/// Where a number is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Among the values of a course.
    Value(usize),
    /// Among the measures.
    Measure(usize),
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Tolerance {
    /// Simulation with known parameters, relative.
    pub(super) relative: f64,
    /// The same, absolute: what is smaller does not count.
    pub(super) absolute: f64,
    /// Random effects, absolute.
    pub(super) eta: f64,
    /// Objective function, absolute.
    pub(super) ofv: f64,
    /// Numbers that follow from fitted parameters, relative.
    pub(super) fitted: f64,
}

/// What a check may name.
pub(super) struct Names<'m> {
    pub(super) parameters: &'m [Parameter],
    pub(super) covariates: &'m [Covariate],
    pub(super) inputs: &'m [Input],
    pub(super) system: &'m System,
    pub(super) measures: &'m [Measure],
}

impl Names<'_> {
    /// Everything that can be expected at a time, with its place.
    fn places(&self) -> Vec<(&str, Place)> {
        let outputs = self.system.outputs().iter().map(|output| output.name.as_str());
        let followed = self.system.followed().iter().map(String::as_str);
        let values = outputs
            .chain(followed)
            .enumerate()
            .map(|(i, name)| (name, Place::Value(i)));
        let measures = self
            .measures
            .iter()
            .enumerate()
            .map(|(i, m)| (m.name.as_str(), Place::Measure(i)));
        values.chain(measures).collect()
    }
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
    let parameter_names: Vec<&str> = names.parameters.iter().map(|p| p.name.as_str()).collect();
    let covariate_names: Vec<&str> = names.covariates.iter().map(|c| c.name.as_str()).collect();
    let effect_names: Vec<&str> = names.system.effect_names().iter().map(String::as_str).collect();
    let places = names.places();
    let mut known = vec![Known {
        from: 0.0,
        inputs: inputs(source, &mut table, names.inputs)?,
        occasion: None,
    }];
    for row in moments(source, &mut table, "inputs_at")? {
        let mut list = vec![None; names.inputs.len()];
        for (key, at, value) in row.rest {
            let (place, value) = input(source, key, at, value, names.inputs)?;
            list[place] = Some(value);
        }
        known.push(Known {
            from: row.time,
            inputs: list,
            occasion: None,
        });
    }
    known.sort_by(|a, b| a.from.total_cmp(&b.from));
    let doses = doses(source, &mut table, names.system)?;
    let rows = |table: &mut Table<'_, '_>, key: &'static str| -> Result<Vec<Row>, ModelError> {
        let mut rows = Vec::new();
        for row in moments(source, table, key)? {
            let mut values = Vec::new();
            for (key, at, value) in row.rest {
                let place = places.iter().find(|(name, _)| *name == key).map(|(_, place)| *place);
                let place = place.ok_or_else(|| {
                    let message = format!("`{key}` is no output, state, result or measure");
                    source.error_with(at, message, suggest::hint(key, places.iter().map(|(name, _)| *name)))
                })?;
                values.push((place, finite(source, value)?));
            }
            rows.push(Row { time: row.time, values });
        }
        Ok(rows)
    };
    let expect = rows(&mut table, "expect")?;
    let expect_fitted = rows(&mut table, "expect_fitted")?;
    let observed = observed(source, &mut table, names.system)?;
    let fitted = table.numbers("fitted")?;
    if let Some(fitted) = fitted
        .as_ref()
        .filter(|fitted| fitted.get_ref().len() != observed.len())
    {
        return Err(source.error(
            fitted.span().start,
            "`fitted` needs one number for each of the `observed`",
        ));
    }
    let tolerance = tolerance(&mut table)?;
    let at = table.at();
    let mut classes = Vec::new();
    for mut class in table.tables("classes")? {
        let probability = class.number("probability")?;
        let at = class.at();
        let mut levels = Vec::new();
        for entry in class.entries().into_iter().filter(|entry| entry.key != "probability") {
            let (place, value) = input(source, entry.key, entry.at, entry.value, names.inputs)?;
            levels.push((place, value as usize));
        }
        let probability = probability.ok_or_else(|| source.error(at, "a class needs its `probability`"))?;
        classes.push((levels, probability.into_inner()));
    }
    let check = Check {
        name,
        source: origin,
        known,
        parameters: named(source, &mut table, "parameters", &parameter_names)?,
        doses,
        typical: named(source, &mut table, "typical", &parameter_names)?,
        covariates: named(source, &mut table, "covariates", &covariate_names)?,
        expect,
        observed,
        ofv: table.number("ofv")?.map(Spanned::into_inner),
        eta: named(source, &mut table, "eta", &effect_names)?,
        eta_sd: named(source, &mut table, "eta_sd", &effect_names)?,
        individual: named(source, &mut table, "individual", &parameter_names)?,
        fitted: fitted.map(Spanned::into_inner).unwrap_or_default(),
        expect_fitted,
        classes,
        tolerance,
    };
    table.finish()?;
    let personal = check.ofv.is_some()
        || !(check.eta.is_empty() && check.individual.is_empty() && check.eta_sd.is_empty())
        || !(check.expect_fitted.is_empty() && check.classes.is_empty());
    if personal && check.observed.is_empty() {
        return Err(source.error(at, "a check of personalised numbers needs `observed`"));
    }
    Ok(check)
}

/// A row with a time and other keys.
struct Moment<'t, 'a> {
    time: f64,
    rest: Vec<(&'t str, usize, &'t Spanned<DeValue<'a>>)>,
}

fn moments<'t, 'a>(
    source: Source<'_>,
    table: &mut Table<'t, 'a>,
    key: &'static str,
) -> Result<Vec<Moment<'t, 'a>>, ModelError> {
    let mut rows = Vec::new();
    for mut row in table.tables(key)? {
        let time = row.number("t")?.ok_or_else(|| {
            source.error_with(
                row.at(),
                format!("each row of `{key}` has a time"),
                "write { t = 12, ... }",
            )
        })?;
        let rest = row.entries().into_iter().filter(|entry| entry.key != "t");
        rows.push(Moment {
            time: time.into_inner(),
            rest: rest.map(|entry| (entry.key, entry.at, entry.value)).collect(),
        });
    }
    Ok(rows)
}

fn finite(source: Source<'_>, value: &Spanned<DeValue<'_>>) -> Result<f64, ModelError> {
    number(value.get_ref()).ok_or_else(|| source.error(value.span().start, "a number is needed here"))
}

/// The value of an input: a number, or the text of a level.
fn input(
    source: Source<'_>,
    key: &str,
    at: usize,
    value: &Spanned<DeValue<'_>>,
    inputs: &[Input],
) -> Result<(usize, f64), ModelError> {
    let place = inputs.iter().position(|input| input.name == key).ok_or_else(|| {
        let message = format!("the model has no input `{key}`");
        source.error_with(
            at,
            message,
            suggest::hint(key, inputs.iter().map(|input| input.name.as_str())),
        )
    })?;
    let levels = match inputs.get(place).map(|input| &input.kind) {
        Some(InputKind::Category { levels, .. }) => levels,
        _ => return Ok((place, finite(source, value)?)),
    };
    let found = match value.get_ref() {
        DeValue::String(text) => levels.iter().position(|level| level == text),
        _ => None,
    };
    let level = found.ok_or_else(|| {
        let list: Vec<String> = levels.iter().map(|level| format!("\"{level}\"")).collect();
        source.error_with(
            value.span().start,
            format!("`{key}` has no such level"),
            list.join(", "),
        )
    })?;
    Ok((place, level as f64))
}

fn inputs(source: Source<'_>, table: &mut Table<'_, '_>, inputs: &[Input]) -> Result<Vec<Option<f64>>, ModelError> {
    let mut list = vec![None; inputs.len()];
    if let Some(given) = table.table("inputs")? {
        for entry in given.entries() {
            let (place, value) = input(source, entry.key, entry.at, entry.value, inputs)?;
            list[place] = Some(value);
        }
    }
    Ok(list)
}

fn doses(source: Source<'_>, table: &mut Table<'_, '_>, system: &System) -> Result<Vec<Given>, ModelError> {
    let mut doses = Vec::new();
    for row in table.rows("doses", 2..4, "[time, amount] or [time, amount, duration]")? {
        if let [time, amount, rest @ ..] = row.get_ref().as_slice() {
            doses.push(Given::from(Dose {
                time: *time,
                amount: *amount,
                duration: rest.first().copied().unwrap_or(0.0),
            }));
        }
    }
    for mut repeat in table.tables("repeat")? {
        let at = repeat.at();
        let mut number =
            |key: &'static str| -> Result<Option<f64>, ModelError> { Ok(repeat.number(key)?.map(Spanned::into_inner)) };
        let (amount, every, times) = (number("amount")?, number("every")?, number("times")?);
        let (from, duration) = (number("from")?.unwrap_or(0.0), number("duration")?.unwrap_or(0.0));
        let to = repeat.text("to")?;
        repeat.finish()?;
        let (every, times) = match (every, times) {
            (Some(every), Some(times)) => (every, times),
            (None, None) => (0.0, 1.0),
            _ => return Err(source.error(at, "a dose that is repeated needs both `every` and `times`")),
        };
        if !(1.0..=MOST_TIMES).contains(&times) {
            return Err(source.error(at, format!("a dose is repeated 1 to {MOST_TIMES} times, not {times}")));
        }
        let amount = amount.ok_or_else(|| source.error(at, "`repeat` needs the `amount`"))?;
        let route = match &to {
            None => 0,
            Some(name) => {
                let states = system
                    .routes()
                    .list()
                    .iter()
                    .filter_map(|route| system.states().get(route.state));
                states
                    .clone()
                    .position(|state| state == name.get_ref())
                    .ok_or_else(|| {
                        let message = format!("`{}` receives no doses", name.get_ref());
                        source.error_with(
                            name.span().start,
                            message,
                            suggest::hint(name.get_ref(), states.map(String::as_str)),
                        )
                    })?
            }
        };
        let mut k = 0.0;
        while k < times {
            doses.push(Given {
                route,
                course: Course::Duration,
                ..Given::from(Dose {
                    time: from + k * every,
                    amount,
                    duration,
                })
            });
            k += 1.0;
        }
    }
    Ok(doses)
}

fn observed(source: Source<'_>, table: &mut Table<'_, '_>, system: &System) -> Result<Vec<Observation>, ModelError> {
    let mut list = Vec::new();
    for row in moments(source, table, "observed")? {
        let is = |wanted: &str| {
            row.rest
                .iter()
                .any(|(key, _, value)| *key == wanted && matches!(value.get_ref(), DeValue::Boolean(true)))
        };
        let bound = match (is("below"), is("above")) {
            (true, _) => Bound::Below,
            (_, true) => Bound::Above,
            _ => Bound::Exact,
        };
        for (key, at, value) in row.rest.iter().filter(|(key, ..)| *key != "below" && *key != "above") {
            let known = system.outputs().iter().map(|output| output.name.as_str());
            let output = known
                .clone()
                .position(|name| name == *key)
                .ok_or_else(|| source.error_with(*at, format!("`{key}` is not observed"), suggest::hint(key, known)))?;
            list.push(Observation {
                time: row.time,
                value: finite(source, value)?,
                bound,
                output,
            });
        }
    }
    Ok(list)
}

fn tolerance(table: &mut Table<'_, '_>) -> Result<Tolerance, ModelError> {
    let mut tolerance = Tolerance {
        relative: 1e-5,
        absolute: 0.0,
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
        set("absolute", &mut tolerance.absolute)?;
        set("eta", &mut tolerance.eta)?;
        set("ofv", &mut tolerance.ofv)?;
        set("fitted", &mut tolerance.fitted)?;
        given.finish()?;
    }
    Ok(tolerance)
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
            Ok((place, finite(source, entry.value)?))
        })
        .collect()
}
