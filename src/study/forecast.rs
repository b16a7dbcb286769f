//! `jumeau forecast`: the last readings of each subject, forecast from the earlier ones and compared with what was measured.
//!
//! The rival is the simplest forecast there is: the last reading before, carried forward. A twin that does not beat it must not
//! claim to forecast.

use super::write::{Number, cell};
use super::{Person, StudyError, Task};
use crate::dataset;
use crate::engine::{ErrorModel, FitOptions, Mode, Observation, Precision, course_of_draws, ofv_weights, quantile};
use crate::model::model_file::{ClassFit, Known, Model};
use std::io::Write;

/// Ends of the interval.
const INTERVAL: (f64, f64) = (0.05, 0.95);

/// How forecasts are made.
#[derive(Debug, Clone, PartialEq)]
pub struct ForecastSettings {
    /// Readings of each subject that are kept from the fit and forecast.
    pub hold_out: usize,
    /// Earlier readings without which a subject is left out.
    pub at_least: usize,
    /// Place of the output among those of the model.
    pub output: usize,
    /// Draws of each subject.
    pub draws: usize,
    /// Seed of the draws.
    pub seed: u64,
    /// Readings below this are only known to be below it; a forecast below it is given as 0, as such files do.
    pub below: Option<f64>,
    /// Readings are given in steps of this, and so are forecasts.
    pub resolution: Option<f64>,
}

/// Errors of one way to forecast.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Errors {
    /// Mean absolute error.
    pub mean: f64,
    /// Median absolute error.
    pub median: f64,
    /// Root of the mean square error.
    pub root_mean_square: f64,
}

impl Errors {
    fn of(errors: impl Iterator<Item = f64>) -> Self {
        let mut sizes: Vec<f64> = errors.map(f64::abs).collect();
        sizes.sort_by(f64::total_cmp);
        let n = sizes.len().max(1) as f64;
        Self {
            mean: sizes.iter().sum::<f64>() / n,
            median: quantile(&sizes, 0.5),
            root_mean_square: (sizes.iter().map(|x| x * x).sum::<f64>() / n).sqrt(),
        }
    }
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ForecastSummary {
    /// Subjects that were forecast.
    pub subjects: usize,
    /// Subjects with too few readings.
    pub too_few: usize,
    /// Subjects that could not be fitted.
    pub failed: usize,
    /// Readings that were forecast.
    pub readings: usize,
    /// Errors of the median of the draws.
    pub model: Errors,
    /// Errors of the last reading carried forward.
    pub carried: Errors,
    /// Share of the readings within the 90 % interval.
    pub coverage: f64,
    /// Mean width of the interval.
    pub width: f64,
}

/// One reading and its forecasts.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Forecast {
    time: f64,
    measured: f64,
    carried: f64,
    median: f64,
    low: f64,
    high: f64,
}

/// Forecasts the last readings of all subjects; writes one row a reading to `out` and returns the errors. `progress` is told of
/// every subject done.
///
/// # Errors
/// Settings that make no sense, or a failure to write. A subject that cannot be fitted is counted and has an `ERROR` in its row.
pub fn forecast(
    task: &Task<'_>,
    settings: &ForecastSettings,
    mut out: Option<&mut dyn Write>,
    mut progress: impl FnMut(),
) -> Result<ForecastSummary, StudyError> {
    let positive = |x: Option<f64>| x.is_none_or(|x| x.is_finite() && x > 0.0);
    if settings.hold_out == 0 || settings.draws == 0 {
        return Err(StudyError::Request(
            "at least one reading and one draw are needed".to_owned(),
        ));
    }
    if !(positive(settings.below) && positive(settings.resolution)) {
        return Err(StudyError::Request(
            "a limit and a resolution are numbers above 0".to_owned(),
        ));
    }
    if let Some(out) = &mut out {
        writeln!(out, "ID,TIME,DV,CARRIED,FORECAST,P05,P95,ERROR")?;
    }
    let mut summary = ForecastSummary::default();
    let mut all: Vec<Forecast> = Vec::new();
    task.for_each(
        |person| one(task.model(), person, settings),
        |person, found| {
            progress();
            match found {
                Ok(None) => summary.too_few += 1,
                Ok(Some(rows)) => {
                    summary.subjects += 1;
                    if let Some(out) = &mut out {
                        for row in &rows {
                            row.write(person, out)?;
                        }
                    }
                    all.extend(rows);
                }
                Err(error) => {
                    summary.failed += 1;
                    if let Some(out) = &mut out {
                        writeln!(out, "{},.,.,.,.,.,.,{}", cell(&person.id), cell(&error.to_string()))?;
                    }
                }
            }
            Ok(())
        },
    )?;
    let n = all.len().max(1) as f64;
    summary.readings = all.len();
    summary.model = Errors::of(all.iter().map(|row| row.median - row.measured));
    summary.carried = Errors::of(all.iter().map(|row| row.carried - row.measured));
    let covered = |row: &&Forecast| (row.low..=row.high).contains(&row.measured);
    summary.coverage = all.iter().filter(covered).count() as f64 / n;
    summary.width = all.iter().map(|row| row.high - row.low).sum::<f64>() / n;
    Ok(summary)
}

impl Forecast {
    fn write(&self, person: &Person, out: &mut dyn Write) -> Result<(), StudyError> {
        let numbers = [self.time, self.measured, self.carried, self.median, self.low, self.high];
        write!(out, "{}", cell(&person.id))?;
        for number in numbers {
            write!(out, ",{}", Number(number))?;
        }
        Ok(writeln!(out, ",.")?)
    }
}

/// The forecasts of one subject; `None` if it has too few readings.
fn one(model: &Model, person: &Person, settings: &ForecastSettings) -> Result<Option<Vec<Forecast>>, StudyError> {
    let is_output = |reading: &&dataset::Reading| reading.output == Some(settings.output) && reading.value.is_some();
    let readings: Vec<&dataset::Reading> = person.readings.iter().filter(is_output).collect();
    let Some((earlier, held)) = readings
        .len()
        .checked_sub(settings.hold_out)
        .map(|place| readings.split_at(place))
    else {
        return Ok(None);
    };
    let Some(start) = held.first().map(|reading| reading.time) else {
        return Ok(None);
    };
    // A second reading of the same day would give the answer away.
    let earlier: Vec<&dataset::Reading> = earlier.iter().copied().filter(|reading| reading.time < start).collect();
    let Some(carried) = earlier.last().and_then(|reading| reading.value) else {
        return Ok(None);
    };
    if earlier.len() < settings.at_least {
        return Ok(None);
    }
    let (observations, _) = person.observations();
    let observations: Vec<Observation> = observations
        .into_iter()
        .filter(|observation| observation.time < start)
        .map(|observation| censored(observation, settings.below))
        .collect();
    let known = with_occasions(model, person);
    let classes = model
        .fit_classes(
            &known,
            &person.doses,
            &person.resets,
            &observations,
            &FitOptions::default(),
        )
        .map_err(|error| StudyError::from((person, error)))?;
    // The course starts where it did in the fit: at the first reading, if that is before time 0.
    let times: Vec<f64> = earlier.iter().take(1).chain(held).map(|reading| reading.time).collect();
    let values = draw(model, person, &classes, &times, settings)?;
    let rows = held
        .iter()
        .zip(values.into_iter().skip(1))
        .map(|(reading, mut values)| {
            values.sort_by(f64::total_cmp);
            // Where a reading is only known to be below a limit, what the file writes for a lower value is the limit.
            let floor = match reading.bound {
                dataset::Bound::Below | dataset::Bound::Between(_) => reading.value.unwrap_or(0.0),
                _ => f64::NEG_INFINITY,
            };
            let at = |level: f64| as_read(quantile(&values, level), settings).max(floor);
            Forecast {
                time: reading.time,
                measured: reading.value.unwrap_or(f64::NAN),
                carried,
                median: at(0.5),
                low: at(INTERVAL.0),
                high: at(INTERVAL.1),
            }
        });
    Ok(Some(rows.collect()))
}

/// A reading below the limit says no more than that.
fn censored(observation: Observation, below: Option<f64>) -> Observation {
    match below {
        Some(limit) if observation.bound == crate::engine::Bound::Exact && observation.value < limit => Observation {
            value: limit,
            bound: crate::engine::Bound::Below,
            ..observation
        },
        _ => observation,
    }
}

/// A value as a file of readings would give it.
fn as_read(value: f64, settings: &ForecastSettings) -> f64 {
    match (settings.below, settings.resolution) {
        (Some(limit), _) if value < limit => 0.0,
        (_, Some(step)) => (value / step).round() * step,
        _ => value,
    }
}

/// What is known of a person. Where a model has effects between occasions and the file names none, each reading begins an occasion.
fn with_occasions(model: &Model, person: &Person) -> Vec<Known> {
    let mut known = person.known.clone();
    let named = known.iter().any(|record| record.occasion.is_some());
    if named || model.system().occasion_effects().is_empty() {
        return known;
    }
    let mut times: Vec<f64> = person.readings.iter().map(|reading| reading.time).collect();
    times.dedup();
    let occasion = |time: f64| times.iter().rposition(|start| *start <= time);
    for record in &mut known {
        record.occasion = occasion(record.from);
    }
    known.extend(times.iter().enumerate().map(|(place, time)| Known {
        from: *time,
        inputs: vec![None; model.inputs().len()],
        occasion: Some(place),
    }));
    known.sort_by(|a, b| a.from.total_cmp(&b.from));
    known
}

/// Readings drawn at each of the times, residual error included.
fn draw(
    model: &Model,
    person: &Person,
    classes: &[ClassFit],
    times: &[f64],
    settings: &ForecastSettings,
) -> Result<Vec<Vec<f64>>, StudyError> {
    let failed = |error| StudyError::from((person, error));
    // Classes count by the marginal likelihood: a class with wide effects fits better than it forecasts.
    let masses: Vec<f64> = classes
        .iter()
        .map(|class| {
            let ofv = class.fit.best().map_or(f64::INFINITY, |mode| mode.ofv);
            class.fit.marginal - ofv - 2.0 * class.probability.ln()
        })
        .collect();
    let system = model.system();
    let width = system.outputs().len();
    let mut values = vec![Vec::with_capacity(settings.draws); times.len()];
    let seed = (person.id.bytes()).fold(settings.seed, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    let mut noise = Noise(seed);
    for (class, weight) in classes.iter().zip(ofv_weights(&masses)) {
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a share of the draws"
        )]
        let count = (weight * settings.draws as f64).round() as usize;
        if count == 0 {
            continue;
        }
        let effects = around(&class.fit.modes, count, &mut noise);
        let errors: Vec<ErrorModel> = times
            .iter()
            .map(|time| class.subject.error(system, settings.output, *time))
            .collect();
        let mut z = vec![0.0; times.len()];
        let see = |number: usize, found: Option<&[f64]>| {
            // Pairs that mirror each other in the residual error as well.
            z.iter_mut()
                .for_each(|z| *z = if number.is_multiple_of(2) { noise.next() } else { -*z });
            for (i, ((values, error), z)) in values.iter_mut().zip(&errors).zip(&z).enumerate() {
                if let Some(value) = found.and_then(|found| found.get(i * width + settings.output)) {
                    values.push(read(*value, error, *z));
                }
            }
        };
        course_of_draws(system, &class.subject, &effects, times, Precision::default(), see).map_err(failed)?;
    }
    if values.iter().any(Vec::is_empty) {
        return Err(person.error("no draw has a finite value at the readings to forecast"));
    }
    Ok(values)
}

/// Random effects drawn from the Laplace approximation around each mode, in pairs that mirror each other: the median then has far less
/// noise than that of independent draws, which decides where most forecasts differ by less than the resolution of the readings.
/// Where the effects are Gaussian given the readings, this is their exact distribution.
fn around(modes: &[Mode], count: usize, noise: &mut Noise) -> Vec<Vec<f64>> {
    let mut effects = Vec::with_capacity(count + 2);
    for mode in modes {
        let m = mode.eta.len();
        let Some(factor) = lower(m, &mode.covariance) else {
            continue;
        };
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a share of the draws"
        )]
        let pairs = (0.5 * mode.weight * count as f64).ceil() as usize;
        for _ in 0..pairs {
            let z: Vec<f64> = (0..m).map(|_| noise.next()).collect();
            let rows = factor.chunks(m.max(1));
            let step: Vec<f64> = rows.map(|row| row.iter().zip(&z).map(|(a, b)| a * b).sum()).collect();
            let steps = || mode.eta.iter().zip(&step);
            effects.push(steps().map(|(eta, step)| eta + step).collect());
            effects.push(steps().map(|(eta, step)| eta - step).collect());
        }
    }
    effects
}

/// The lower triangle whose square is a covariance, row by row; `None` if it is none.
fn lower(m: usize, covariance: &[f64]) -> Option<Vec<f64>> {
    let mut factor = vec![0.0; m * m];
    for i in 0..m {
        for j in 0..=i {
            let (row, other) = (factor.get(i * m..i * m + j)?, factor.get(j * m..j * m + j)?);
            let sum: f64 = row.iter().zip(other).map(|(a, b)| a * b).sum();
            let rest = covariance.get(i * m + j)? - sum;
            let value = if i == j {
                rest.sqrt()
            } else {
                rest / factor.get(j * m + j)?
            };
            if !value.is_finite() {
                return None;
            }
            *factor.get_mut(i * m + j)? = value;
        }
    }
    Some(factor)
}

/// A value with a residual error of `z` standard deviations.
fn read(value: f64, error: &ErrorModel, z: f64) -> f64 {
    match *error {
        ErrorModel::Combined { additive, proportional } => value + z * additive.hypot(proportional * value),
        ErrorModel::Log { sd } => value * (z * sd).exp(),
        ErrorModel::Power { coefficient, exponent } => value + z * coefficient * value.powf(exponent),
    }
}

/// Standard normal numbers: SplitMix64, then Box and Muller.
struct Noise(u64);

impl Noise {
    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (((x ^ (x >> 31)) >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
    }

    fn next(&mut self) -> f64 {
        let radius = (-2.0 * self.uniform().ln()).sqrt();
        radius * (2.0 * std::f64::consts::PI * self.uniform()).cos()
    }
}
