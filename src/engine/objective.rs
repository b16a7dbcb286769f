//! The objective function of one patient, its slopes, and the way downhill.

use super::course::course_of_draws;
use super::evaluate::Evaluator;
use super::likelihood::term;
use super::linalg::{cholesky, cholesky_solve};
use super::parts::ErrorModel;
use super::prior::Prior;
use super::subject::Subject;
use super::system::System;
use super::{EngineError, Observation, Precision};
use rayon::prelude::*;

/// Points that one thread weighs at a time: always the same, so that the answer does not depend on the number of threads.
const AT_ONCE: usize = 64;

/// The objective function of one patient.
pub(crate) struct Objective<'a> {
    pub(crate) evaluator: Evaluator<'a>,
    pub(crate) system: &'a System,
    pub(crate) observations: &'a [Observation],
    /// Residual error of each observation: it may change with the inputs.
    pub(crate) errors: Vec<ErrorModel>,
    pub(crate) prior: Prior,
    prior_weight: f64,
    precision: Precision,
    /// Distance over which slopes are compared, as a share of the width of the prior: smaller where they are exact.
    nudge: f64,
    pub(crate) gradient: Vec<f64>,
    /// Expected Hessian (Fisher information plus prior): positive definite wherever it is finite.
    pub(crate) fisher: Vec<f64>,
}

impl<'a> Objective<'a> {
    pub(crate) fn new(
        system: &'a System,
        subject: &'a Subject,
        observations: &'a [Observation],
        prior_weight: f64,
        precision: Precision,
    ) -> Result<Self, EngineError> {
        if !(prior_weight.is_finite() && prior_weight > 0.0) {
            return Err(EngineError::input("the weight of the prior", prior_weight.to_string()));
        }
        if let Some(bad) = observations
            .iter()
            .find(|o| !(o.time.is_finite() && o.value.is_finite()))
        {
            return Err(EngineError::input("an observation", format!("{bad:?}")));
        }
        let evaluator = Evaluator::new(system, subject, observations, precision)?;
        let prior = Prior::new(system, subject);
        let m = prior.size();
        Ok(Self {
            nudge: if evaluator.is_exact() { 1e-4 } else { 2e-3 },
            errors: observations
                .iter()
                .map(|o| subject.error(system, o.output, o.time))
                .collect(),
            evaluator,
            system,
            observations,
            prior,
            prior_weight,
            precision,
            gradient: vec![0.0; m],
            fisher: vec![0.0; m * m],
        })
    }

    /// The objective function, or `None` where it is not finite.
    pub(crate) fn value(&mut self, eta: &[f64]) -> Option<f64> {
        if !self.evaluator.run(eta, false) {
            return None;
        }
        let mut sum = self.prior_weight * self.prior.value(self.system, eta);
        let observed = self.observations.iter().zip(&self.errors);
        for ((observation, error), f) in observed.zip(&self.evaluator.predictions) {
            sum += term(observation, error, *f).value;
        }
        sum.is_finite().then_some(sum)
    }

    /// The objective function at many points, `None` where it is not finite: where a walk is followed several together, and no more
    /// exactly than weights need.
    pub(crate) fn values(&mut self, sets: &[Vec<f64>]) -> Vec<Option<f64>> {
        if self.evaluator.is_exact() {
            return sets.iter().map(|eta| self.value(eta)).collect();
        }
        let times: Vec<f64> = self.observations.iter().map(|o| o.time).collect();
        let precision = Precision {
            relative: self.precision.relative.max(1e-5),
            ..self.precision
        };
        let width = self.system.outputs().len();
        let weigh = |eta: &[f64], found: Option<&[f64]>| {
            let found = found?;
            let mut sum = self.prior_weight * self.prior.value(self.system, eta);
            for (o, (observation, error)) in self.observations.iter().zip(&self.errors).enumerate() {
                sum += term(observation, error, *found.get(o * width + observation.output)?).value;
            }
            sum.is_finite().then_some(sum)
        };
        let subject = self.evaluator.subject();
        let part = |sets: &[Vec<f64>]| {
            let mut values = vec![None; sets.len()];
            let done = course_of_draws(self.system, subject, sets, &times, precision, |i, found| {
                if let (Some(value), Some(eta)) = (values.get_mut(i), sets.get(i)) {
                    *value = weigh(eta, found);
                }
            });
            done.map_or_else(|_| vec![None; sets.len()], |()| values)
        };
        sets.par_chunks(AT_ONCE).flat_map_iter(part).collect()
    }

    /// The objective function; leaves its gradient and expected Hessian behind.
    pub(crate) fn with_slopes(&mut self, eta: &[f64]) -> Option<f64> {
        if !self.evaluator.run(eta, true) {
            return None;
        }
        let m = eta.len();
        self.gradient.fill(0.0);
        self.fisher.fill(0.0);
        let mut sum = self.prior.slopes(
            self.system,
            eta,
            self.prior_weight,
            &mut self.gradient,
            &mut self.fisher,
        );
        for (o, observation) in self.observations.iter().enumerate() {
            let error = &self.errors[o];
            let t = term(observation, error, self.evaluator.predictions[o]);
            sum += t.value;
            let row = &self.evaluator.jacobian[o * m..(o + 1) * m];
            for i in 0..m {
                self.gradient[i] += t.slope * row[i];
                for j in 0..m {
                    self.fisher[i * m + j] += t.curvature * row[i] * row[j];
                }
            }
        }
        let fine =
            sum.is_finite() && self.gradient.iter().all(|x| x.is_finite()) && self.fisher.iter().all(|x| x.is_finite());
        fine.then_some(sum)
    }

    /// The time of a measurement that the model gives no chance at all, because its error has no width where it predicts.
    pub(crate) fn without_width(&mut self, eta: &[f64]) -> Option<f64> {
        if !self.evaluator.run(eta, false) {
            return None;
        }
        let terms = self
            .observations
            .iter()
            .zip(&self.evaluator.predictions)
            .zip(&self.errors);
        let found = terms
            .into_iter()
            .find(|((observation, f), error)| !term(observation, error, **f).value.is_finite());
        found.map(|((observation, _), _)| observation.time)
    }

    /// Hessian by central differences of the exact gradient.
    pub(crate) fn hessian(&mut self, eta: &[f64]) -> Option<Vec<f64>> {
        let m = eta.len();
        let mut hessian = vec![0.0; m * m];
        let mut moved = eta.to_vec();
        for j in 0..m {
            if !self.evaluator.has_slope(j) {
                // What acts in steps stays on its step; its width is that of the prior.
                hessian[j * m + j] = 2.0 / self.prior.covariance[j * m + j];
                continue;
            }
            let h = self.nudge * self.prior.sd[j];
            moved[j] = eta[j] + h;
            self.with_slopes(&moved)?;
            for i in 0..m {
                hessian[i * m + j] = self.gradient[i];
            }
            moved[j] = eta[j] - h;
            self.with_slopes(&moved)?;
            for i in 0..m {
                hessian[i * m + j] = (hessian[i * m + j] - self.gradient[i]) / (2.0 * h);
            }
            moved[j] = eta[j];
        }
        for i in 0..m {
            for j in 0..i {
                let mean = 0.5 * (hessian[i * m + j] + hessian[j * m + i]);
                hessian[i * m + j] = mean;
                hessian[j * m + i] = mean;
            }
        }
        Some(hessian)
    }

    /// Largest slope a standard deviation of the prior.
    pub(crate) fn slope_left(&self) -> f64 {
        self.gradient
            .iter()
            .zip(&self.prior.sd)
            .map(|(g, sd)| (g * sd).abs())
            .fold(0.0, f64::max)
    }

    /// Distance in standard deviations of the prior, the largest over the effects.
    pub(crate) fn distance(&self, a: &[f64], b: &[f64]) -> f64 {
        a.iter()
            .zip(b)
            .zip(&self.prior.sd)
            .map(|((a, b), sd)| ((a - b) / sd).abs())
            .fold(0.0, f64::max)
    }

    /// Moves along `step`, shortened until the objective falls, and leaves the slopes of the place reached behind. `None`,
    /// and no move, if it does not fall.
    pub(crate) fn advance(&mut self, eta: &mut Vec<f64>, value: f64, step: &[f64]) -> Option<f64> {
        let sd = self.prior.sd.clone();
        let length = step.iter().zip(&sd).map(|(s, sd)| (s / sd).abs()).fold(0.0, f64::max);
        // A step from afar must not jump out of the region where the model means anything.
        let mut scale = if length > 2.0 { 2.0 / length } else { 1.0 };
        let slope = self.slope_left();
        for _ in 0..20 {
            let tried: Vec<f64> = eta.iter().zip(step).map(|(e, s)| e + scale * s).collect();
            if let Some(new) = self.with_slopes(&tried) {
                // Near the bottom the value no longer tells points apart; the slope does.
                let flat = (new - value).abs() <= 1e-12 * (1.0 + value.abs()) && self.slope_left() < slope;
                if new < value || flat {
                    *eta = tried;
                    return Some(new);
                }
            }
            scale *= 0.5;
        }
        self.with_slopes(eta)?;
        None
    }

    /// Steps downhill from `eta` until they are shorter than `enough` prior standard deviations. `None` where the model has no
    /// finite value, or once the way has led into a valley already known.
    pub(crate) fn descend(
        &mut self,
        eta: &mut Vec<f64>,
        enough: f64,
        budget: usize,
        known: &[(Vec<f64>, f64, usize)],
    ) -> Option<(f64, usize)> {
        let m = eta.len();
        let mut value = self.with_slopes(eta)?;
        for iteration in 1..=budget {
            let factor = cholesky(m, &self.fisher)?;
            let mut step: Vec<f64> = self.gradient.iter().map(|g| -g).collect();
            cholesky_solve(m, &factor, &mut step);
            let before = eta.clone();
            // No lower point along a downhill direction: at the bottom to rounding.
            let Some(new) = self.advance(eta, value, &step) else {
                return Some((value, iteration));
            };
            value = new;
            if known
                .iter()
                .any(|(bottom, lowest, _)| value >= *lowest && self.distance(bottom, eta) < 0.2)
            {
                return None;
            }
            if self.distance(eta, &before) < enough {
                return Some((value, iteration));
            }
        }
        Some((value, budget))
    }
}
