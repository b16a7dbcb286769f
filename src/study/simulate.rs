//! `jumeau simulate`: what the model predicts at the rows of a data file.

use super::write::{Format, Number, cell};
use super::{Person, StudyError, Task};
use crate::dataset::ParameterTable;
use crate::engine::{Precision, Subject, Values, course};
use crate::model::model_file::Model;
use serde_json::{Map, json};
use std::io::Write;
use std::time::{Duration, Instant};

/// Levels of the quantiles that are written when there are several draws.
const LEVELS: [(f64, &str); 3] = [(0.05, "p05"), (0.5, "p50"), (0.95, "p95")];
/// Share of `--every` within which two times are one.
const NEAR: f64 = 1e-9;
/// Most rows of `--every` for one subject.
const MOST_ROWS: f64 = 1_000_000.0;

/// Which individuals are simulated.
#[derive(Debug, Clone, PartialEq)]
pub enum Individuals {
    /// The typical person with each subject's inputs.
    Typical,
    /// Individual parameters set directly: one row for all subjects, or rows by ID. Parameters not named stay typical.
    Parameters(ParameterTable),
    /// Random effects: each row is a draw of the subject with its ID, or of every subject if it has none. Effects not named are zero.
    Effects(ParameterTable),
    /// So many draws from the distribution between people, from this seed.
    Draws(usize, u64),
}

/// How a simulation is done and written.
#[derive(Debug, Clone, PartialEq)]
pub struct SimulationSettings {
    /// Who is simulated.
    pub individuals: Individuals,
    /// Rows at regular times besides those of the file.
    pub every: Option<f64>,
    /// Whether each draw is written, instead of quantiles over the draws.
    pub each: bool,
    /// How it is written.
    pub format: Format,
    /// How exactly states without a closed form are integrated.
    pub precision: Precision,
}

/// Values of one draw: row by row, in the order of the columns.
type Rows = Vec<Vec<f64>>;

/// Simulates all subjects and writes the results; returns the time spent computing, summed over threads. `progress` is told of
/// every subject done.
///
/// # Errors
/// A subject whose inputs are missing or outside the model, a solution that does not exist, a table of parameters that does not
/// fit, or a failure to write.
pub fn simulate(
    task: &Task<'_>,
    settings: &SimulationSettings,
    out: &mut impl Write,
    mut progress: impl FnMut(),
) -> Result<Duration, StudyError> {
    let columns = Columns::of(task.model());
    let several = match &settings.individuals {
        Individuals::Effects(table) => task.people().iter().any(|person| rows_of(table, person).count() > 1),
        Individuals::Draws(n, _) => *n > 1,
        _ => false,
    };
    if settings.format == Format::Csv {
        columns.header(several && !settings.each, several && settings.each, out)?;
    }
    let mut spent = Duration::ZERO;
    task.for_each(
        |person| {
            let start = Instant::now();
            let found = one(task.model(), &columns, person, settings);
            (found, start.elapsed())
        },
        |person, (found, time)| {
            spent += time;
            progress();
            let (times, draws) = found?;
            columns.write(person, &times, &draws, settings, several, out)
        },
    )?;
    Ok(spent)
}

/// Times and values of each draw of one subject.
fn one(
    model: &Model,
    columns: &Columns,
    person: &Person,
    settings: &SimulationSettings,
) -> Result<(Vec<f64>, Vec<Rows>), StudyError> {
    let mut times: Vec<f64> = person.readings.iter().map(|reading| reading.time).collect();
    if let (Some(every), Some((first, last))) = (settings.every, person.span()) {
        let steps = ((last - first) / every + NEAR).floor();
        // Not written as `steps >= MOST_ROWS`, so that NaN is refused.
        if steps.is_nan() || steps >= MOST_ROWS {
            return Err(person.error(format!("rows every {every} from {first} to {last} are too many")));
        }
        // The times of the file as they are; a regular one that differs from them by rounding is the same.
        times.sort_by(f64::total_cmp);
        times.dedup();
        let mut k = 0.0;
        while k <= steps {
            let time = first + k * every;
            let next = times.partition_point(|known| *known < time - NEAR * every);
            if times.get(next).is_none_or(|known| *known > time + NEAR * every) {
                times.insert(next, time);
            }
            k += 1.0;
        }
    }
    let subject = model
        .subject(&person.known, person.doses.clone(), person.resets.clone())
        .map_err(|error| StudyError::from((person, error)))?;
    let run = |values: Values<'_>| rows(model, columns, &subject, values, &times, settings.precision);
    let system = model.system();
    let found = match &settings.individuals {
        Individuals::Typical => vec![run(Values::Effects(&vec![0.0; system.effects().len()]))],
        Individuals::Parameters(table) => {
            let mut rows = rows_of(table, person);
            let (Some(row), None) = (rows.next(), rows.next()) else {
                return Err(
                    person.error("the file of parameters needs one row for it, by ID, or one row for all without ID")
                );
            };
            let mut parameters = subject.typical().to_vec();
            set(&mut parameters, table, row);
            vec![run(Values::Parameters(&parameters))]
        }
        Individuals::Effects(table) => {
            let draws: Vec<_> = rows_of(table, person)
                .map(|row| {
                    let mut eta = vec![0.0; system.effects().len()];
                    set(&mut eta, table, row);
                    run(Values::Effects(&eta))
                })
                .collect();
            if draws.is_empty() {
                return Err(person.error("the file of random effects has no row with this ID"));
            }
            draws
        }
        Individuals::Draws(n, seed) => {
            // Every subject has draws of its own, which do not depend on the others.
            let own = person.id.bytes().fold(*seed, |hash, byte| {
                (hash ^ u64::from(byte))
                    .wrapping_mul(0x0000_0100_0000_01b3)
                    .rotate_left(17)
            });
            let effects = subject
                .prior_effects(system, *n, own)
                .map_err(|error| StudyError::from((person, error)))?;
            effects.iter().map(|eta| run(Values::Effects(eta))).collect()
        }
    };
    let draws: Result<Vec<Rows>, _> = found.into_iter().collect();
    Ok((times, draws.map_err(|error| StudyError::from((person, error)))?))
}

/// The rows of a table that are for a subject: with its ID, or without any.
fn rows_of<'t>(table: &'t ParameterTable, person: &Person) -> impl Iterator<Item = &'t [f64]> {
    let rows = table
        .rows
        .iter()
        .filter(|(id, _)| id.as_ref().is_none_or(|id| *id == person.id));
    rows.map(|(_, values)| values.as_slice())
}

/// Writes a row of a table over what holds without it.
fn set(values: &mut [f64], table: &ParameterTable, row: &[f64]) {
    for (place, value) in table.names.iter().zip(row) {
        if let Some(cell) = values.get_mut(*place) {
            *cell = *value;
        }
    }
}

fn rows(
    model: &Model,
    columns: &Columns,
    subject: &Subject,
    values: Values<'_>,
    times: &[f64],
    precision: Precision,
) -> Result<Rows, crate::engine::EngineError> {
    let course = course(model.system(), subject, values, times, precision)?;
    let measures = model.measure(subject, values, times, precision)?;
    Ok((0..times.len())
        .map(|i| {
            let row = course.at(i);
            let shown = columns
                .places
                .iter()
                .map(|place| row.get(*place).copied().unwrap_or(f64::NAN));
            shown.chain(measures.get(i).into_iter().flatten().copied()).collect()
        })
        .collect())
}

/// What is written: outputs, what is shown besides, measures.
struct Columns {
    names: Vec<String>,
    /// Places among the values of a course.
    places: Vec<usize>,
}

impl Columns {
    fn of(model: &Model) -> Self {
        let system = model.system();
        let mut names: Vec<String> = model.outputs().iter().map(|output| output.name.clone()).collect();
        let mut places: Vec<usize> = (0..names.len()).collect();
        for shown in model.shown() {
            if let Some(place) = system.followed().iter().position(|name| *name == shown.name) {
                places.push(model.outputs().len() + place);
                names.push(shown.name.clone());
            }
        }
        names.extend(model.measures().iter().map(|measure| measure.name.clone()));
        Self { names, places }
    }

    fn header(&self, quantiles: bool, each: bool, out: &mut impl Write) -> Result<(), StudyError> {
        let mut header = vec!["ID".to_owned(), "TIME".to_owned()];
        if each {
            header.insert(1, "DRAW".to_owned());
        }
        for name in &self.names {
            if quantiles {
                header.extend(LEVELS.iter().map(|(_, level)| format!("{name}_{level}")));
            } else {
                header.push(name.clone());
            }
        }
        writeln!(out, "{}", header.join(","))?;
        Ok(())
    }

    fn write(
        &self,
        person: &Person,
        times: &[f64],
        draws: &[Rows],
        settings: &SimulationSettings,
        several: bool,
        out: &mut impl Write,
    ) -> Result<(), StudyError> {
        let values = |draw: &Rows, row: usize| draw.get(row).cloned().unwrap_or_default();
        let tables: Vec<(Option<usize>, Vec<String>, Rows)> = if several && !settings.each {
            let names = self
                .names
                .iter()
                .flat_map(|name| LEVELS.iter().map(move |(_, level)| format!("{name}_{level}")));
            let rows = (0..times.len())
                .map(|row| quantiles(draws, row, self.names.len()))
                .collect();
            vec![(None, names.collect(), rows)]
        } else {
            let number = |i: usize| several.then_some(i + 1);
            let table = |(i, draw): (usize, &Rows)| {
                let rows = (0..times.len()).map(|row| values(draw, row)).collect();
                (number(i), self.names.clone(), rows)
            };
            draws.iter().enumerate().map(table).collect()
        };
        for (draw, names, rows) in tables {
            match settings.format {
                Format::Csv => {
                    for (time, row) in times.iter().zip(&rows) {
                        write!(out, "{}", cell(&person.id))?;
                        if let Some(draw) = draw {
                            write!(out, ",{draw}")?;
                        }
                        write!(out, ",{}", Number(*time))?;
                        for value in row {
                            write!(out, ",{}", Number(*value))?;
                        }
                        writeln!(out)?;
                    }
                }
                Format::Json => {
                    let rows: Vec<_> = times
                        .iter()
                        .zip(&rows)
                        .map(|(time, row)| {
                            let mut object = Map::new();
                            object.insert("time".to_owned(), json!(Number(*time)));
                            for (name, value) in names.iter().zip(row) {
                                object.insert(name.clone(), json!(Number(*value)));
                            }
                            object
                        })
                        .collect();
                    let mut line = json!({ "id": person.id, "rows": rows });
                    if let (Some(draw), Some(object)) = (draw, line.as_object_mut()) {
                        object.insert("draw".to_owned(), json!(draw));
                    }
                    writeln!(out, "{line}")?;
                }
            }
        }
        Ok(())
    }
}

/// Quantiles over the draws of every column in a row.
fn quantiles(draws: &[Rows], row: usize, columns: usize) -> Vec<f64> {
    let mut out = Vec::with_capacity(columns * LEVELS.len());
    for column in 0..columns {
        let mut values: Vec<f64> = draws
            .iter()
            .filter_map(|draw| draw.get(row).and_then(|row| row.get(column)).copied())
            .filter(|x| !x.is_nan())
            .collect();
        values.sort_by(f64::total_cmp);
        out.extend(LEVELS.iter().map(|(level, _)| crate::engine::quantile(&values, *level)));
    }
    out
}
