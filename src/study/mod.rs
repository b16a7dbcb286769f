//! Models and data files together: what a pharmacometrician does on the command line.
//!
//! A [`Task`] is a model with the subjects of a data file in the terms of that model. [`simulate`], [`fit`], [`forecast`] and [`draw`]
//! work on it; all subjects are independent, so they are shared out among threads and come back in the order of the file.

mod fit;
mod forecast;
mod picture;
mod simulate;
mod write;

pub use fit::{FitSettings, fit};
pub use forecast::{Errors, ForecastSettings, ForecastSummary, forecast};
pub use picture::draw;
pub use simulate::{Individuals, SimulationSettings, simulate};
pub use write::{Format, Number};

use crate::dataset::{self, DataError, Dataset, InputColumn, Wanted};
use crate::engine::{self, Bound, Dose, EngineError, Given, Observation, Settled};
use crate::model::model_file::{FitError, InputError, InputKind, Known, Model};
use rayon::prelude::*;

/// Subjects worked on between two reports of progress, for each thread.
const BATCH: usize = 16;

/// Why nothing comes of a study.
#[derive(Debug, thiserror::Error)]
pub enum StudyError {
    /// The data file is wrong.
    #[error(transparent)]
    Data(#[from] DataError),
    /// A subject cannot be computed.
    #[error("subject {id} (line {line}): {why}")]
    Subject {
        /// Its ID.
        id: String,
        /// Its first line.
        line: usize,
        /// What is wrong.
        why: String,
    },
    /// The request makes no sense.
    #[error("{0}")]
    Request(String),
    /// The picture cannot be drawn.
    #[error(transparent)]
    Plot(#[from] crate::plot::PlotError),
    /// Writing failed.
    #[error("cannot write: {0}")]
    Write(#[from] std::io::Error),
}

/// A subject of a data file in the terms of a model.
#[derive(Debug, Clone)]
pub struct Person {
    /// Its ID.
    pub id: String,
    /// Its first line.
    pub line: usize,
    known: Vec<Known>,
    doses: Vec<Given>,
    resets: Vec<f64>,
    readings: Vec<dataset::Reading>,
}

/// A model and the subjects of a data file.
#[derive(Debug)]
pub struct Task<'m> {
    model: &'m Model,
    people: Vec<Person>,
    /// Columns of the file that the model does not use.
    pub ignored: Vec<String>,
}

impl<'m> Task<'m> {
    /// Reads a data file for a model.
    ///
    /// # Errors
    /// Anything wrong in the file, with line and column; a dose into a state that does not exist.
    pub fn read(model: &'m Model, file: &str, text: &str) -> Result<Self, StudyError> {
        let inputs: Vec<InputColumn> = model
            .inputs()
            .iter()
            .map(|input| InputColumn {
                name: input.name.clone(),
                levels: match &input.kind {
                    InputKind::Category { levels, .. } => Some(levels.clone()),
                    _ => None,
                },
                flag: input.kind == InputKind::Flag,
            })
            .collect();
        let outputs: Vec<String> = model.outputs().iter().map(|output| output.name.clone()).collect();
        let system = model.system();
        let areas = system
            .states()
            .iter()
            .position(|name| name.starts_with("area "))
            .unwrap_or(system.states().len());
        let states = system.states().get(..areas).unwrap_or_default();
        let wanted = Wanted {
            inputs: &inputs,
            outputs: &outputs,
            states,
        };
        let Dataset { subjects, ignored } = dataset::read(file, text.as_bytes(), &wanted)?;
        let people: Result<Vec<Person>, StudyError> = subjects.into_iter().map(|s| person(model, s)).collect();
        Ok(Self {
            model,
            people: people?,
            ignored,
        })
    }

    /// The model.
    pub fn model(&self) -> &'m Model {
        self.model
    }

    /// The subjects.
    pub fn people(&self) -> &[Person] {
        &self.people
    }

    /// Works on all subjects, in batches shared out among threads; `done` takes the results in the order of the file.
    ///
    /// # Errors
    /// The first error of `done`.
    fn for_each<T: Send>(
        &self,
        work: impl Fn(&Person) -> T + Sync,
        mut done: impl FnMut(&Person, T) -> Result<(), StudyError>,
    ) -> Result<(), StudyError> {
        for batch in self.people.chunks(BATCH * rayon::current_num_threads()) {
            let results: Vec<T> = batch.par_iter().with_max_len(1).map(&work).collect();
            for (person, result) in batch.iter().zip(results) {
                done(person, result)?;
            }
        }
        Ok(())
    }
}

impl Person {
    fn error(&self, why: impl ToString) -> StudyError {
        StudyError::Subject {
            id: self.id.clone(),
            line: self.line,
            why: why.to_string(),
        }
    }

    /// What is measured, with the place of each among the readings.
    fn observations(&self) -> (Vec<Observation>, Vec<usize>) {
        let measured = self.readings.iter().enumerate().filter_map(|(place, reading)| {
            let observation = Observation {
                time: reading.time,
                value: reading.value?,
                bound: match reading.bound {
                    dataset::Bound::Exact => Bound::Exact,
                    dataset::Bound::Below => Bound::Below,
                    dataset::Bound::Above => Bound::Above,
                    dataset::Bound::Between(lower) => Bound::Between(lower),
                },
                output: reading.output?,
            };
            Some((observation, place))
        });
        measured.unzip()
    }

    /// First and last time of the record.
    fn span(&self) -> Option<(f64, f64)> {
        let doses = self.doses.iter().map(|given| given.dose.time);
        let times = self.readings.iter().map(|reading| reading.time).chain(doses);
        times.fold(None, |span, t| match span {
            None => Some((t, t)),
            Some((a, b)) => Some((a.min(t), b.max(t))),
        })
    }
}

fn person(model: &Model, subject: dataset::Subject) -> Result<Person, StudyError> {
    let error = |line: usize, why: &str| StudyError::Subject {
        id: subject.id.clone(),
        line,
        why: why.to_owned(),
    };
    let mut doses = Vec::with_capacity(subject.doses.len());
    for dose in &subject.doses {
        let route = model.system().routes().find(dose.state).ok_or_else(|| {
            let why = if model.system().states().is_empty() {
                "a dose, but the model has no state that could receive it"
            } else {
                "a dose without CMT, and the model names no state that receives doses ([doses] state = ...)"
            };
            error(dose.line, why)
        })?;
        let (duration, course) = match dose.course {
            dataset::Course::Bolus => (0.0, engine::Course::Duration),
            dataset::Course::Duration(duration) => (duration, engine::Course::Duration),
            dataset::Course::Rate(rate) => (0.0, engine::Course::Rate(rate)),
            dataset::Course::ModelledRate => (0.0, engine::Course::ModelledRate),
            dataset::Course::ModelledDuration => (0.0, engine::Course::ModelledDuration),
        };
        doses.push(Given {
            dose: Dose {
                time: dose.time,
                amount: dose.amount,
                duration,
            },
            route,
            course,
            settled: dose.steady.map(|(steady, interval)| Settled {
                interval,
                added: steady == dataset::Steady::Add,
            }),
        });
    }
    Ok(Person {
        known: known(model, &subject),
        id: subject.id,
        line: subject.line,
        doses,
        resets: subject.resets,
        readings: subject.observations,
    })
}

/// Inputs and occasions by time.
fn known(model: &Model, subject: &dataset::Subject) -> Vec<Known> {
    let mut numbers: Vec<i64> = Vec::new();
    let mut occasions = subject.occasions.iter().peekable();
    let mut rows: Vec<(f64, Vec<Option<f64>>)> = subject
        .inputs
        .iter()
        .map(|row| (row.time, row.values.clone()))
        .collect();
    rows.extend(
        subject
            .occasions
            .iter()
            .map(|(time, _)| (*time, vec![None; model.inputs().len()])),
    );
    rows.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut occasion = None;
    rows.into_iter()
        .map(|(from, inputs)| {
            while let Some((_, number)) = occasions.next_if(|(time, _)| *time <= from) {
                let place = numbers.iter().position(|known| known == number).unwrap_or_else(|| {
                    numbers.push(*number);
                    numbers.len() - 1
                });
                occasion = Some(place);
            }
            Known { from, inputs, occasion }
        })
        .collect()
}

impl From<(&Person, InputError)> for StudyError {
    fn from((person, error): (&Person, InputError)) -> Self {
        person.error(error)
    }
}

impl From<(&Person, EngineError)> for StudyError {
    fn from((person, error): (&Person, EngineError)) -> Self {
        person.error(error)
    }
}

impl From<(&Person, FitError)> for StudyError {
    fn from((person, error): (&Person, FitError)) -> Self {
        person.error(error)
    }
}
