//! Recomputing the worked numbers of a model file.

use super::Model;
use super::check_file::{Check, Place, Row};
use super::person::with_class;
use crate::engine::{self, Fit, FitOptions, Precision, Subject, Values, course, fit};

/// One worked number, recomputed.
#[derive(Debug, Clone, PartialEq)]
pub struct CheckResult {
    /// Which number.
    pub name: String,
    /// What the file says.
    pub expected: f64,
    /// What the engine says; `None` if it has no answer.
    pub found: Option<f64>,
    /// Why there is no answer; may be empty.
    pub why: String,
    /// How far the two may be apart.
    pub tolerance: f64,
    /// Whether they are that near.
    pub passed: bool,
    /// Where the number comes from.
    pub source: String,
}

/// Collects results of one check.
struct Log<'c> {
    check: &'c Check,
    results: Vec<CheckResult>,
    /// The latest thing that went wrong.
    why: String,
}

impl Log<'_> {
    fn add(&mut self, what: String, expected: f64, found: Option<f64>, tolerance: f64) {
        if found.is_some_and(|x| !x.is_finite()) {
            self.why = "it is not a finite number".to_owned();
        }
        let found = found.filter(|x| x.is_finite());
        let passed = found.is_some_and(|found| (found - expected).abs() <= tolerance);
        self.results.push(CheckResult {
            name: format!("{}: {what}", self.check.name),
            expected,
            found,
            why: if found.is_none() {
                self.why.clone()
            } else {
                String::new()
            },
            tolerance,
            passed,
            source: self.check.source.clone(),
        });
    }

    fn relative(&mut self, what: String, expected: f64, found: Option<f64>, tolerance: f64) {
        let tolerance = (tolerance * expected.abs()).max(self.check.tolerance.absolute);
        self.add(what, expected, found, tolerance);
    }

    /// What was found, or nothing and a note of why.
    fn noted<T, E: ToString>(&mut self, found: Result<T, E>) -> Option<T> {
        found.map_err(|error| self.why = error.to_string()).ok()
    }
}

pub(super) fn run(model: &Model) -> Vec<CheckResult> {
    model.checks.iter().flat_map(|check| run_one(model, check)).collect()
}

fn run_one(model: &Model, check: &Check) -> Vec<CheckResult> {
    let mut log = Log {
        check,
        results: Vec::new(),
        why: String::new(),
    };
    let t = check.tolerance;
    let individual = check
        .known
        .first()
        .and_then(|known| log.noted(model.individual_of(&known.inputs)));
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
    let subject = log.noted(model.subject(&check.known, check.doses.clone(), Vec::new()));
    if !check.expect.is_empty() {
        let mut parameters = typical.clone();
        for (i, value) in &check.parameters {
            if let Some(cell) = parameters.get_mut(*i) {
                *cell = *value;
            }
        }
        let effects = vec![0.0; model.system.effects().len()];
        // Parameters that are set hold throughout; typical ones follow the inputs.
        let values = if check.parameters.is_empty() {
            Values::Effects(&effects)
        } else {
            Values::Parameters(&parameters)
        };
        expect(&mut log, model, subject.as_ref(), values, &check.expect, t.relative);
    }
    if check.observed.is_empty() {
        return log.results;
    }
    if !check.classes.is_empty() {
        classes(&mut log, model, check);
        if subject.is_none() {
            return log.results;
        }
    }
    let fitted = subject
        .as_ref()
        .and_then(|subject| log.noted(fit(&model.system, subject, &check.observed, &FitOptions::default())));
    let best = fitted.as_ref().and_then(|fit| fit.best()).filter(|mode| mode.converged);
    if fitted.is_some() && best.is_none() {
        log.why = "the fit did not converge".to_owned();
    }
    if let Some(expected) = check.ofv {
        log.add("OFV".to_owned(), expected, best.map(|mode| mode.ofv), t.ofv);
    }
    let effect = |i: usize| model.system.effect_names().get(i).map_or("?", String::as_str);
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
        let found = parameters.get(*i).copied();
        log.relative(format!("individual {}", name(*i)), *expected, found, t.fitted);
    }
    for (i, expected) in check.fitted.iter().enumerate() {
        let found = best.and_then(|mode| mode.ipred.get(i)).copied();
        log.relative(format!("fitted value {}", i + 1), *expected, found, t.fitted);
    }
    let eta: Vec<f64> = best.map(|mode| mode.eta.clone()).unwrap_or_default();
    expect(
        &mut log,
        model,
        subject.as_ref(),
        Values::Effects(&eta),
        &check.expect_fitted,
        t.fitted,
    );
    log.results
}

fn expect(
    log: &mut Log<'_>,
    model: &Model,
    subject: Option<&Subject>,
    values: Values<'_>,
    rows: &[Row],
    tolerance: f64,
) {
    if rows.is_empty() {
        return;
    }
    let times: Vec<f64> = rows.iter().map(|row| row.time).collect();
    let precision = Precision::default();
    let found = subject.and_then(|subject| log.noted(course(&model.system, subject, values, &times, precision)));
    let is_measure = |row: &Row| row.values.iter().any(|(place, _)| matches!(place, Place::Measure(_)));
    let measured: Vec<f64> = rows.iter().filter(|row| is_measure(row)).map(|row| row.time).collect();
    let measures = subject.and_then(|subject| log.noted(model.measure(subject, values, &measured, precision)));
    let mut next_measured = measures.into_iter().flatten();
    for (i, row) in rows.iter().enumerate() {
        let measures = if is_measure(row) { next_measured.next() } else { None };
        for (place, expected) in &row.values {
            let (what, value) = match place {
                Place::Value(k) => {
                    let names = model
                        .system
                        .outputs()
                        .iter()
                        .map(|o| &o.name)
                        .chain(model.system.followed());
                    let value = found.as_ref().and_then(|course| course.at(i).get(*k)).copied();
                    (names.clone().nth(*k).cloned().unwrap_or_default(), value)
                }
                Place::Measure(k) => {
                    let name = model.measures.get(*k).map(|measure| measure.name.clone());
                    let value = measures.as_ref().and_then(|list| list.get(*k)).copied();
                    (name.unwrap_or_default(), value)
                }
            };
            log.relative(format!("{what} at {}", row.time), *expected, value, tolerance);
        }
    }
}

/// Probabilities of the classes of what is not known.
fn classes(log: &mut Log<'_>, model: &Model, check: &Check) {
    let found = log.noted(model.fit_classes(&check.known, &check.doses, &[], &check.observed, &FitOptions::default()));
    for (levels, expected) in &check.classes {
        let class = found.as_ref().and_then(|classes| {
            classes
                .iter()
                .find(|class| levels.iter().all(|level| class.levels.contains(level)))
        });
        log.add(
            "probability of a class".to_owned(),
            *expected,
            class.map(|class| class.probability),
            check.tolerance.fitted,
        );
    }
}

/// A fit under the assumption that what is not known is of certain levels.
#[derive(Debug, Clone)]
pub struct ClassFit {
    /// Input and level.
    pub levels: Vec<(usize, usize)>,
    /// Probability given the measurements: proportional to the frequency and to `exp(-OFV/2)`; adds to 1.
    pub probability: f64,
    /// The person.
    pub subject: Subject,
    /// The fit.
    pub fit: Fit,
}

/// Why there is no fit.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum FitError {
    /// The model says nothing about the person.
    #[error(transparent)]
    Input(#[from] super::InputError),
    /// The engine gives no answer.
    #[error(transparent)]
    Engine(#[from] engine::EngineError),
}

impl Model {
    /// Fits a person, once for each combination of levels of what is not known but has frequencies; the most probable first.
    ///
    /// # Errors
    /// An input that is missing or outside the population, or no fit in any class.
    pub fn fit_classes(
        &self,
        known: &[super::Known],
        doses: &[engine::Given],
        resets: &[f64],
        observations: &[engine::Observation],
        options: &FitOptions,
    ) -> Result<Vec<ClassFit>, FitError> {
        let mut fits = Vec::new();
        let mut masses = Vec::new();
        let mut error = None;
        for (frequency, levels) in self.classes(known) {
            let known = with_class(known, &levels, self.inputs.len());
            let subject = self.subject(&known, doses.to_vec(), resets.to_vec())?;
            match fit(&self.system, &subject, observations, options) {
                Ok(fit) => {
                    let ofv = fit.best().map_or(f64::INFINITY, |mode| mode.ofv);
                    masses.push(ofv - 2.0 * frequency.ln());
                    fits.push((levels, subject, fit));
                }
                Err(found) => error = Some(found),
            }
        }
        if let (true, Some(error)) = (fits.is_empty(), error) {
            return Err(error.into());
        }
        let mut classes: Vec<ClassFit> = fits
            .into_iter()
            .zip(engine::ofv_weights(&masses))
            .map(|((levels, subject, fit), probability)| ClassFit {
                levels,
                probability,
                subject,
                fit,
            })
            .collect();
        classes.sort_by(|a, b| b.probability.total_cmp(&a.probability));
        Ok(classes)
    }
}
