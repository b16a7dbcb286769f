//! What is believed of the random effects before any measurement.
//!
//! Most effects are Gaussian with a covariance; those of the occasions are independent; some have a density of their own over the
//! parameter they act on, without the Jacobian of that transformation (a density "on" the parameter, as the published models
//! with such priors state it).

use super::linalg::{cholesky, cholesky_log_det, quadratic};
use super::parameters::individual;
use super::subject::Subject;
use super::system::System;
use crate::lang::{Dual, Number};

/// The prior of one person's effects.
#[derive(Debug, Clone)]
pub(crate) struct Prior {
    size: usize,
    /// Inverse covariance; rows of effects with a density of their own are zero.
    inverse: Vec<f64>,
    /// Covariance; an effect with a density of its own has the square of its scale.
    pub(crate) covariance: Vec<f64>,
    /// How far each effect usually is from zero.
    pub(crate) sd: Vec<f64>,
    densities: Vec<usize>,
    rest: Vec<f64>,
    typical: Vec<f64>,
}

impl Prior {
    pub(crate) fn new(system: &System, subject: &Subject) -> Self {
        let own = system.effects().len();
        let by_occasion = system.occasion_effects().len();
        let size = own + by_occasion * subject.occasions();
        let (mut inverse, mut covariance) = (vec![0.0; size * size], vec![0.0; size * size]);
        for i in 0..own {
            for j in 0..own {
                inverse[i * size + j] = system.omega().inverse()[i * own + j];
                covariance[i * size + j] = system.omega().matrix()[i * own + j];
            }
        }
        for i in own..size {
            let (_, variance) = &system.occasion_effects()[(i - own) % by_occasion];
            inverse[i * size + i] = 1.0 / variance;
            covariance[i * size + i] = *variance;
        }
        let densities = system.density_effects.clone();
        for effect in &densities {
            inverse[effect * size + effect] = 0.0;
        }
        let first = subject.regimes.first();
        let mut prior = Self {
            size,
            inverse,
            covariance,
            sd: Vec::new(),
            rest: first
                .map(|r| [r.inputs.as_slice(), &r.covariates].concat())
                .unwrap_or_default(),
            typical: subject.typical().to_vec(),
            densities,
        };
        // The width of a density: by its curvature at the starting value, as far as there is one.
        for effect in prior.densities.clone() {
            let bend = prior.bend(system, &vec![0.0; size], effect);
            let variance = if bend > 0.0 { (2.0 / bend).clamp(1e-4, 4.0) } else { 4.0 };
            prior.covariance[effect * size + effect] = variance;
        }
        prior.sd = (0..size).map(|i| prior.covariance[i * size + i].sqrt()).collect();
        prior
    }

    /// How many effects there are, occasions included.
    pub(crate) fn size(&self) -> usize {
        self.size
    }

    /// Cholesky factor of the covariance over `weight`.
    pub(crate) fn factor(&self, weight: f64) -> Vec<f64> {
        let scaled: Vec<f64> = self.covariance.iter().map(|x| x / weight).collect();
        cholesky(self.size, &scaled).unwrap_or_default()
    }

    /// Whether an effect has a density of its own.
    pub(crate) fn has_density(&self, effect: usize) -> bool {
        self.densities.contains(&effect)
    }

    /// What turns the Gaussian part into a normalised density once the effects are integrated out: the log determinant of its
    /// covariance, less `ln(2 pi)` for each effect with a density of its own, which is normalised already.
    pub(crate) fn log_constant(&self) -> f64 {
        let gaussian: Vec<usize> = (0..self.size).filter(|i| !self.densities.contains(i)).collect();
        let n = gaussian.len();
        let mut part = Vec::with_capacity(n * n);
        for i in &gaussian {
            part.extend(gaussian.iter().map(|j| self.covariance[i * self.size + j]));
        }
        let log_det = cholesky(n, &part).map_or(0.0, |l| cholesky_log_det(n, &l));
        log_det - self.densities.len() as f64 * (2.0 * std::f64::consts::PI).ln()
    }

    /// Whether every effect is Gaussian.
    pub(crate) fn is_gaussian(&self) -> bool {
        self.densities.is_empty()
    }

    /// Minus twice the logarithm of the prior, without constants.
    pub(crate) fn value(&self, system: &System, eta: &[f64]) -> f64 {
        let mut sum = quadratic(self.size, &self.inverse, eta);
        if !self.densities.is_empty() {
            sum += self.penalty::<f64>(system, eta);
        }
        sum
    }

    /// The same with its gradient, added to `gradient`, and what it adds to the expected Hessian.
    pub(crate) fn slopes(
        &self,
        system: &System,
        eta: &[f64],
        weight: f64,
        gradient: &mut [f64],
        hessian: &mut [f64],
    ) -> f64 {
        let m = self.size;
        let mut sum = 0.0;
        for i in 0..m {
            let mut row = 0.0;
            for j in 0..m {
                row += self.inverse[i * m + j] * eta[j];
                hessian[i * m + j] += 2.0 * weight * self.inverse[i * m + j];
            }
            sum += row * eta[i];
            gradient[i] += 2.0 * weight * row;
        }
        if !self.densities.is_empty() {
            let (value, slopes) = self.density_slopes(system, eta);
            sum += value;
            for (i, slope) in slopes.iter().enumerate() {
                gradient[i] += weight * slope;
            }
            for effect in &self.densities {
                let least = 0.2 / self.covariance[effect * m + effect];
                let bend = self.bend(system, eta, *effect);
                hessian[effect * m + effect] += weight * if bend > least { bend } else { least };
            }
        }
        weight * sum
    }

    fn penalty<T: Number>(&self, system: &System, eta: &[T]) -> T {
        let mut inputs = Vec::new();
        individual(&system.parameters, &self.typical, eta, &[], &mut inputs);
        inputs.extend(self.rest.iter().map(|x| T::constant(*x)));
        let mut out = vec![T::constant(0.0); system.densities.output_count()];
        system.densities.run(&inputs, &mut system.densities.frame(), &mut out);
        out.into_iter().fold(T::constant(0.0), |sum, x| sum + x)
    }

    fn density_slopes(&self, system: &System, eta: &[f64]) -> (f64, Vec<f64>) {
        const N: usize = 8;
        let mut slopes = vec![0.0; eta.len()];
        let mut value = 0.0;
        for from in (0..eta.len()).step_by(N) {
            let seeded: Vec<Dual<N>> = eta
                .iter()
                .enumerate()
                .map(|(j, eta)| match j.checked_sub(from) {
                    Some(lane) => Dual::seeded(*eta, lane, 1.0),
                    None => Dual::constant(*eta),
                })
                .collect();
            let found = self.penalty(system, &seeded);
            value = found.value;
            for (cell, slope) in slopes.iter_mut().skip(from).zip(found.slope) {
                *cell = slope;
            }
        }
        (value, slopes)
    }

    /// Second derivative of the densities in one effect.
    fn bend(&self, system: &System, eta: &[f64], effect: usize) -> f64 {
        let h = 1e-3;
        let at = |by: f64| {
            let mut moved = eta.to_vec();
            moved[effect] += by;
            let seeded: Vec<Dual<1>> = moved
                .iter()
                .enumerate()
                .map(|(j, eta)| Dual::seeded(*eta, 0, f64::from(u8::from(j == effect))))
                .collect();
            self.penalty(system, &seeded).slope[0]
        };
        (at(h) - at(-h)) / (2.0 * h)
    }

    /// Logarithm of how much the parameters with densities of their own stretch at `eta`: turns a density over parameters into one
    /// over effects.
    pub(crate) fn log_stretch(&self, system: &System, eta: &[f64]) -> f64 {
        let mut sum = 0.0;
        for effect in &self.densities {
            let seeded: Vec<Dual<1>> = eta
                .iter()
                .enumerate()
                .map(|(j, eta)| Dual::seeded(*eta, 0, f64::from(u8::from(j == *effect))))
                .collect();
            let mut values = Vec::new();
            individual(&system.parameters, &self.typical, &seeded, &[], &mut values);
            if let Some(value) = system.effects().get(*effect).and_then(|place| values.get(*place)) {
                sum += value.slope[0].abs().ln();
            }
        }
        sum
    }
}
