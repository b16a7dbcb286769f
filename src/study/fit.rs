//! `jumeau fit`: the most probable parameters of each subject of a data file.

use super::write::{Format, Number, cell};
use super::{Person, StudyError, Task};
use crate::engine::{FitOptions, Mode, ofv_weights};
use crate::model::model_file::{ClassFit, InputKind, Model};
use rayon::prelude::*;
use serde_json::{Map, Value, json};
use std::io::Write;
use std::time::{Duration, Instant};

/// A parameter about which the measurements say less than this (the share of its variance that is left) is a population estimate.
const UNINFORMED: f64 = 0.9;

/// How fits are done and written.
#[derive(Debug, Clone, PartialEq)]
pub struct FitSettings {
    /// The fit itself.
    pub options: FitOptions,
    /// How it is written.
    pub format: Format,
}

/// Fits all subjects with each of the models and writes one line for each subject; returns the time spent in the fits and how
/// many subjects could not be fitted. A subject that cannot be fitted has an `error` instead of results, and the others go
/// on. `progress` is told of every subject done.
///
/// # Errors
/// Data files that are not of the same subjects, or a failure to write.
pub fn fit(
    tasks: &[Task<'_>],
    settings: &FitSettings,
    out: &mut impl Write,
    mut progress: impl FnMut(),
) -> Result<(Duration, usize), StudyError> {
    let Some((first, others)) = tasks.split_first() else {
        return Err(StudyError::Request("no model is given".to_owned()));
    };
    if settings.format == Format::Csv {
        writeln!(out, "ID,MODEL,WEIGHT,OFV,CONVERGED,NAME,ETA,SHRINKAGE,VALUE,ERROR")?;
    }
    let mut spent = Duration::ZERO;
    let mut failed = 0;
    let places: Vec<usize> = (0..first.people.len()).collect();
    for batch in places.chunks(super::BATCH * rayon::current_num_threads()) {
        let work = |place: &usize| -> Vec<Outcome> {
            std::iter::once(first)
                .chain(others)
                .filter_map(|task| Some(one(task.model(), task.people.get(*place)?, settings)))
                .collect()
        };
        let results: Vec<Vec<Outcome>> = batch.par_iter().with_max_len(1).map(work).collect();
        for (place, outcomes) in batch.iter().zip(results) {
            let Some(person) = first.people.get(*place) else {
                continue;
            };
            progress();
            spent += outcomes.iter().map(|outcome| outcome.time).sum::<Duration>();
            failed += usize::from(outcomes.iter().all(|outcome| outcome.found.is_err()));
            match settings.format {
                Format::Json => writeln!(out, "{}", line(tasks, *place, person, &outcomes))?,
                Format::Csv => table(tasks, person, &outcomes, out)?,
            }
        }
    }
    Ok((spent, failed))
}

/// What came of one subject with one model.
struct Outcome {
    found: Result<Vec<ClassFit>, String>,
    time: Duration,
}

impl Outcome {
    fn best(&self) -> Option<(&ClassFit, &Mode)> {
        let class = self.found.as_ref().ok()?.first()?;
        Some((class, class.fit.best()?))
    }

    fn ofv(&self) -> f64 {
        self.best().map_or(f64::INFINITY, |(_, mode)| mode.ofv)
    }

    /// Marginal over what is not known of the person.
    fn marginal(&self) -> f64 {
        self.best().map_or(f64::INFINITY, |(class, _)| class.fit.marginal)
    }
}

fn one(model: &Model, person: &Person, settings: &FitSettings) -> Outcome {
    let (observations, _) = person.observations();
    let start = Instant::now();
    let found = model.fit_classes(
        &person.known,
        &person.doses,
        &person.resets,
        &observations,
        &settings.options,
    );
    Outcome {
        time: start.elapsed(),
        found: found.map_err(|error| error.to_string()),
    }
}

fn names<'a>(names: impl Iterator<Item = &'a String>, values: &[f64]) -> Value {
    let pairs = names
        .zip(values)
        .map(|(name, value)| (name.clone(), json!(Number(*value))));
    Value::Object(pairs.collect::<Map<_, _>>())
}

fn line(tasks: &[Task<'_>], place: usize, person: &Person, outcomes: &[Outcome]) -> Value {
    let objects: Vec<Map<String, Value>> = tasks
        .iter()
        .zip(outcomes)
        .filter_map(|(task, outcome)| Some(object(task.model(), task.people.get(place)?, outcome)))
        .collect();
    let mut line = Map::new();
    line.insert("id".to_owned(), json!(person.id));
    if let [only] = objects.as_slice() {
        line.extend(only.clone());
    } else {
        let ids = tasks.iter().map(|task| &task.model().id);
        let votes = ofv_weights(&outcomes.iter().map(Outcome::ofv).collect::<Vec<_>>());
        let marginal = ofv_weights(&outcomes.iter().map(Outcome::marginal).collect::<Vec<_>>());
        line.insert("weights".to_owned(), names(ids.clone(), &votes));
        line.insert("marginal_weights".to_owned(), names(ids, &marginal));
        line.insert("models".to_owned(), json!(objects));
    }
    Value::Object(line)
}

/// The results of one model.
fn object(model: &Model, person: &Person, outcome: &Outcome) -> Map<String, Value> {
    let mut object = Map::new();
    let mut put = |key: &str, value: Value| object.insert(key.to_owned(), value);
    put("model", json!(model.id));
    let micros = u64::try_from(outcome.time.as_micros()).unwrap_or(u64::MAX);
    let (class, best) = match (&outcome.found, outcome.best()) {
        (Ok(_), Some(found)) => found,
        (Err(error), _) => {
            put("error", json!(error));
            put("elapsed_us", json!(micros));
            return object;
        }
        (Ok(_), None) => return object,
    };
    let system = model.system();
    let effects = effect_names(model, best.eta.len());
    put("eta", names(effects.iter(), &best.eta));
    put("parameters", names(system.parameters().iter(), &best.parameters));
    put("ofv", json!(Number(best.ofv)));
    put("minus_2_log_marginal", json!(Number(class.fit.marginal)));
    put("converged", json!(best.converged));
    put("shrinkage", names(effects.iter(), &class.fit.shrinkage));
    let uninformed = effects
        .iter()
        .zip(&class.fit.shrinkage)
        .filter(|(_, left)| **left > UNINFORMED);
    put(
        "population_estimates",
        json!(uninformed.map(|(name, _)| name).collect::<Vec<_>>()),
    );
    put("eta_sd", names(effects.iter(), &best.eta_sd()));
    let m = best.eta.len();
    let rows: Vec<Vec<Number>> = best
        .covariance
        .chunks(m.max(1))
        .map(|row| row.iter().copied().map(Number).collect())
        .collect();
    put("covariance", json!(rows));
    let modes: Vec<Value> = class
        .fit
        .modes
        .iter()
        .map(|mode| {
            json!({
                "eta": names(effects.iter(), &mode.eta),
                "ofv": Number(mode.ofv),
                "weight": Number(mode.weight),
                "converged": mode.converged,
            })
        })
        .collect();
    put("modes", json!(modes));
    if let Ok(classes) = &outcome.found
        && !class.levels.is_empty()
    {
        let list: Vec<Value> = classes.iter().map(|class| class_object(model, class)).collect();
        put("classes", json!(list));
    }
    let (observations, _) = person.observations();
    let ipred: Vec<Value> = observations
        .iter()
        .zip(best.ipred.iter().zip(&best.weighted_residuals))
        .map(|(observation, (ipred, residual))| {
            let output = model
                .outputs()
                .get(observation.output)
                .map_or("", |output| output.name.as_str());
            json!({
                "time": Number(observation.time),
                "output": output,
                "dv": Number(observation.value),
                "ipred": Number(*ipred),
                "iwres": Number(residual.unwrap_or(f64::NAN)),
            })
        })
        .collect();
    put("ipred", json!(ipred));
    put("elapsed_us", json!(micros));
    object
}

/// Names of the effects of a person: their own, then those of each occasion.
fn effect_names(model: &Model, count: usize) -> Vec<String> {
    let mut names = model.system().effect_names().to_vec();
    let own = model.system().occasion_effects();
    let mut occasion = 1;
    while names.len() < count && !own.is_empty() {
        names.extend(own.iter().map(|(name, _)| format!("{name} (occasion {occasion})")));
        occasion += 1;
    }
    names.truncate(count);
    names
}

/// A combination of levels of what is not known of a person.
fn class_object(model: &Model, class: &ClassFit) -> Value {
    let levels: Map<String, Value> = class
        .levels
        .iter()
        .filter_map(|(place, level)| {
            let input = model.inputs().get(*place)?;
            let InputKind::Category { levels, .. } = &input.kind else {
                return None;
            };
            Some((input.name.clone(), json!(levels.get(*level)?)))
        })
        .collect();
    let best = class.fit.best();
    json!({
        "levels": levels,
        "probability": Number(class.probability),
        "ofv": Number(best.map_or(f64::NAN, |mode| mode.ofv)),
        "eta": names(effect_names(model, best.map_or(0, |mode| mode.eta.len())).iter(), best.map_or(&[], |mode| &mode.eta)),
    })
}

/// One row for each parameter.
fn table(tasks: &[Task<'_>], person: &Person, outcomes: &[Outcome], out: &mut impl Write) -> Result<(), StudyError> {
    let weights = ofv_weights(&outcomes.iter().map(Outcome::ofv).collect::<Vec<_>>());
    for ((task, outcome), weight) in tasks.iter().zip(outcomes).zip(weights) {
        let model = task.model();
        let start = format!("{},{},{}", cell(&person.id), cell(&model.id), Number(weight));
        let Some((class, best)) = outcome.best() else {
            let error = outcome.found.as_ref().err().map_or(".", String::as_str);
            writeln!(out, "{start},.,false,.,.,.,.,{}", cell(error))?;
            continue;
        };
        let effect_of = |place: usize| {
            model
                .system()
                .effects()
                .iter()
                .position(|parameter| *parameter == place)
        };
        for (place, name) in model.system().parameters().iter().enumerate() {
            let at = |list: &[f64]| Number(effect_of(place).and_then(|e| list.get(e)).copied().unwrap_or(f64::NAN));
            writeln!(
                out,
                "{start},{},{},{name},{},{},{},.",
                Number(best.ofv),
                best.converged,
                at(&best.eta),
                at(&class.fit.shrinkage),
                Number(best.parameters.get(place).copied().unwrap_or(f64::NAN)),
            )?;
        }
    }
    Ok(())
}
