//! The most probable parameters of one patient.
//!
//! Minimises `OFV = sum of [ln var + (y - f)^2 / var] + prior_weight * eta' inverse(Omega) eta`, the variance taken at the
//! individual prediction, by Fisher scoring with exact gradients, then by Newton steps. Several fixed starting points are
//! always used, because with few measurements the surface often has two valleys; every distinct valley is kept.

use super::likelihood::Spread;
use super::linalg::{cholesky, cholesky_inverse, cholesky_log_det, cholesky_solve};
use super::objective::Objective;
use super::subject::Subject;
use super::system::System;
use super::{Bound, EngineError, Observation, Precision};
use serde::{Deserialize, Serialize};

/// Settings of [`fit`].
#[derive(Debug, Clone, PartialEq)]
pub struct FitOptions {
    /// Weight of the prior; below 1 trusts the measurements more (a flattened prior). Must be above 0.
    pub prior_weight: f64,
    /// Most steps from one starting point.
    pub max_iterations: usize,
    /// How exactly states without a closed form are integrated.
    pub precision: Precision,
    /// Slope of the objective function, a standard deviation of the prior, below which the bottom is reached.
    pub level: f64,
    /// How many of the seven starting points are tried.
    pub starts: usize,
}

impl FitOptions {
    /// For draws that are corrected afterwards: three figures, where states are integrated.
    pub fn rough() -> Self {
        Self {
            precision: Precision {
                relative: 1e-5,
                ..Precision::default()
            },
            level: 1e-3,
            starts: 3,
            ..Self::default()
        }
    }
}

impl Default for FitOptions {
    fn default() -> Self {
        Self {
            prior_weight: 1.0,
            max_iterations: 100,
            precision: Precision::default(),
            level: 1e-8,
            starts: 7,
        }
    }
}

/// One local minimum of the objective function: one explanation of the measurements.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Mode {
    /// Random effects.
    pub eta: Vec<f64>,
    /// Objective function value, without constants.
    pub ofv: f64,
    /// Covariance of the random effects around the mode (Laplace: inverse of half the Hessian), row by row.
    pub covariance: Vec<f64>,
    /// Individual parameters.
    pub parameters: Vec<f64>,
    /// Share of the posterior probability in this mode, by the Laplace approximation.
    pub weight: f64,
    /// Whether this is a true minimum: no slope left, positive curvature in every direction, no runaway.
    pub converged: bool,
    /// Steps taken from the best starting point.
    pub iterations: usize,
    /// Individual predictions (IPRED), one for each observation.
    pub ipred: Vec<f64>,
    /// Weighted residuals (IWRES), one for each observation; `None` where only a limit is known.
    pub weighted_residuals: Vec<Option<f64>>,
}

impl Mode {
    /// Standard deviation of each random effect.
    pub fn eta_sd(&self) -> Vec<f64> {
        let m = self.eta.len();
        (0..m)
            .map(|i| {
                self.covariance
                    .get(i * m + i)
                    .map_or(f64::NAN, |variance| variance.sqrt())
            })
            .collect()
    }
}

/// What is known of a patient after the measurements.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Fit {
    /// Modes, the best first. Never empty.
    pub modes: Vec<Mode>,
    /// For each random effect, variance after the measurements over variance before, in the best mode: 1 means nothing was
    /// learned.
    pub shrinkage: Vec<f64>,
    /// How many observations were used.
    pub n_observations: usize,
    /// Minus twice the logarithm of the probability of the measurements under the model, all random effects integrated out by the
    /// Laplace approximation, summed over the modes. Unlike the objective function it can be compared between models.
    pub marginal: f64,
    pub(crate) subject: Subject,
    pub(crate) observations: Vec<Observation>,
    pub(crate) prior_weight: f64,
    pub(crate) precision: Precision,
}

impl Fit {
    /// The best mode.
    pub fn best(&self) -> Option<&Mode> {
        self.modes.first()
    }

    /// Whether the best mode is a true minimum.
    pub fn converged(&self) -> bool {
        self.best().is_some_and(|mode| mode.converged)
    }
}

/// Votes of several models of one drug: proportional to `exp(-OFV/2)`, adding to 1 (Uster and others 2021, DOI
/// 10.1002/cpt.2065). A value that is not finite gets no vote.
pub fn ofv_weights(ofv: &[f64]) -> Vec<f64> {
    let best = ofv
        .iter()
        .copied()
        .filter(|x| x.is_finite())
        .fold(f64::INFINITY, f64::min);
    let raw: Vec<f64> = ofv
        .iter()
        .map(|x| if x.is_finite() { (-0.5 * (x - best)).exp() } else { 0.0 })
        .collect();
    let sum: f64 = raw.iter().sum();
    raw.into_iter().map(|x| if sum > 0.0 { x / sum } else { 0.0 }).collect()
}

/// Fixed starting points: no effect; 1.5 standard deviations either way along the most variable effect; and the four
/// corners at 2 standard deviations of the two most variable effects.
///
/// Chosen by counting, against the best of sixty random starts, over 4000 simulated patients of a two-compartment model with
/// three random effects: 2000 with measurements drawn from the model, 2000 with measurements that contradict each other. One in
/// thirteen had several valleys. The lowest was missed by starting from zero in 21 + 12, from the first three points in
/// 6 + 7, from all seven in 0 + 2.
fn starts(sd: &[f64]) -> Vec<Vec<f64>> {
    let mut order: Vec<usize> = (0..sd.len()).collect();
    order.sort_by(|a, b| sd[*b].total_cmp(&sd[*a]));
    let mut all = vec![vec![0.0; sd.len()]];
    let mut add = |places: &[(usize, f64)]| {
        let mut start = vec![0.0; sd.len()];
        for (place, side) in places {
            start[*place] = side * sd[*place];
        }
        all.push(start);
    };
    if let Some(first) = order.first() {
        add(&[(*first, 1.5)]);
        add(&[(*first, -1.5)]);
        if let Some(second) = order.get(1) {
            for (a, b) in [(2.0, 2.0), (2.0, -2.0), (-2.0, 2.0), (-2.0, -2.0)] {
                add(&[(*first, a), (*second, b)]);
            }
        }
    }
    all
}

/// Finds the most probable parameters of a person given measurements.
///
/// # Errors
/// Unusable input, or no finite minimum from any starting point. A minimum that is doubtful is an answer, not an error: see
/// [`Mode::converged`].
pub fn fit(
    system: &System,
    subject: &Subject,
    observations: &[Observation],
    options: &FitOptions,
) -> Result<Fit, EngineError> {
    subject.check(system)?;
    let sd = super::prior::Prior::new(system, subject).sd;
    fit_from(&starts(&sd), system, subject, observations, options)
}

/// [`fit`] from given starting points.
pub(crate) fn fit_from(
    starts: &[Vec<f64>],
    system: &System,
    subject: &Subject,
    observations: &[Observation],
    options: &FitOptions,
) -> Result<Fit, EngineError> {
    let mut objective = Objective::new(system, subject, observations, options.prior_weight, options.precision)?;
    let m = objective.prior.size();
    let mut modes = Vec::new();
    if m == 0 || observations.is_empty() {
        let eta = vec![0.0; m];
        let ofv = objective
            .value(&eta)
            .ok_or(EngineError::NotFinite { what: "a prediction" })?;
        let covariance = objective.prior.covariance.clone();
        modes.push(objective.mode(eta, ofv, covariance, true, 0));
    } else {
        let mut candidates: Vec<(Vec<f64>, f64, usize)> = Vec::new();
        for start in starts.iter().take(options.starts.max(1)) {
            let mut eta = start.clone();
            let found = objective.descend(&mut eta, 0.02, options.max_iterations, &candidates);
            let found =
                found.map(|(ofv, iterations)| objective.step_about(&mut eta, ofv, iterations, options.max_iterations));
            let Some((ofv, iterations)) = found else { continue };
            match candidates
                .iter_mut()
                .find(|(known, ..)| objective.distance(known, &eta) < 0.1)
            {
                Some(known) if known.1 > ofv => *known = (eta, ofv, iterations),
                Some(_) => {}
                None => candidates.push((eta, ofv, iterations)),
            }
        }
        for (eta, _, iterations) in candidates {
            let Some(mode) = objective.finish(eta, iterations, options.max_iterations, options.level) else {
                continue;
            };
            let known = modes
                .iter_mut()
                .find(|known: &&mut Mode| objective.distance(&known.eta, &mode.eta) < 1e-3);
            match known {
                Some(known) if known.ofv > mode.ofv => *known = mode,
                Some(_) => {}
                None => modes.push(mode),
            }
        }
        if modes.is_empty() {
            return Err(match objective.without_width(&vec![0.0; m]) {
                Some(time) => EngineError::input(
                    "a measurement",
                    format!(
                        "at {time} the model predicts a value at which its error has no width, so that nothing else can be \
                         measured there (a proportional error at 0, or a logarithmic one at 0 or below)"
                    ),
                ),
                None => EngineError::NoMode { starts: starts.len() },
            });
        }
        // A point that is no minimum explains nothing once a true minimum is known.
        if modes.iter().any(|mode| mode.converged) {
            let lowest = modes
                .iter()
                .filter(|mode| mode.converged)
                .map(|mode| mode.ofv)
                .fold(f64::INFINITY, f64::min);
            modes.retain(|mode| mode.converged || mode.ofv < lowest);
        }
    }
    modes.sort_by(|a, b| a.ofv.total_cmp(&b.ofv));
    weigh(m, &mut modes);
    let shrinkage = match modes.first() {
        Some(best) => (0..m)
            .map(|i| best.covariance[i * m + i] / objective.prior.covariance[i * m + i])
            .collect(),
        None => Vec::new(),
    };
    Ok(Fit {
        marginal: marginal(system, &modes, &objective.prior, observations),
        modes,
        shrinkage,
        n_observations: observations.len(),
        subject: subject.clone(),
        observations: observations.to_vec(),
        prior_weight: options.prior_weight,
        precision: options.precision,
    })
}

impl Objective<'_> {
    /// Effects that put a parameter which acts in steps on each of its steps; empty for any other effect.
    fn steps_of(&self, effect: usize) -> Vec<f64> {
        let parameters = self.system.parameters.iter().zip(self.evaluator.subject().typical());
        parameters
            .filter(|(p, _)| p.stepwise && p.effect == Some(effect))
            .flat_map(|(p, typical)| p.link.steps(*typical))
            .collect()
    }

    /// Searches the steps of parameters that act in steps, where slopes say nothing: to the best step, down again, and so
    /// on until no step is better.
    fn step_about(&mut self, eta: &mut Vec<f64>, mut ofv: f64, mut iterations: usize, budget: usize) -> (f64, usize) {
        let stepwise: Vec<(usize, Vec<f64>)> = (0..eta.len())
            .map(|effect| (effect, self.steps_of(effect)))
            .filter(|(_, steps)| !steps.is_empty())
            .collect();
        for _ in 0..if stepwise.is_empty() { 0 } else { 20 } {
            let before = ofv;
            for (effect, steps) in &stepwise {
                // Always the middle of a step, so that equal steps are equal.
                let mut best = (f64::INFINITY, eta[*effect]);
                let mut tried = eta.clone();
                for step in steps {
                    tried[*effect] = *step;
                    if let Some(found) = self.value(&tried).filter(|found| *found < best.0) {
                        best = (found, *step);
                    }
                }
                if best.0.is_finite() {
                    (ofv, eta[*effect]) = best;
                }
            }
            if before - ofv < 1e-9 {
                break;
            }
            if let Some((found, more)) = self.descend(eta, 0.02, budget, &[]) {
                ofv = found;
                iterations += more;
            }
        }
        (ofv, iterations)
    }

    /// Newton steps to the bottom, then curvature and flags.
    fn finish(&mut self, mut eta: Vec<f64>, mut iterations: usize, budget: usize, level: f64) -> Option<Mode> {
        let m = eta.len();
        // The factors of the Hessian, and where it was taken.
        let mut known: Option<(Option<Vec<f64>>, Vec<f64>)> = None;
        let mut ofv = self.with_slopes(&eta)?;
        for _ in 0..budget {
            let slope = self.slope_left();
            if slope < level {
                break;
            }
            // The expected Hessian costs nothing more, and points downhill also where the surface is no bowl.
            let mut step: Vec<f64> = self.gradient.iter().map(|g| -g).collect();
            match known.as_ref().and_then(|(factor, _)| factor.as_ref()) {
                Some(factor) => cholesky_solve(m, factor, &mut step),
                None => cholesky_solve(m, &cholesky(m, &self.fisher)?, &mut step),
            }
            let moved = self.advance(&mut eta, ofv, &step);
            match moved {
                Some(new) => {
                    ofv = new;
                    iterations += 1;
                }
                None if known.is_some() => break,
                None => {}
            }
            // A Hessian is kept while it serves: each step must leave a tenth of the slope; half, where it is the expected one.
            let enough = match &known {
                Some((Some(_), _)) => 0.1,
                Some((None, _)) => 0.0,
                None => 0.5,
            };
            if moved.is_none() || self.slope_left() > enough * slope {
                known = Some((cholesky(m, &self.hessian(&eta)?), eta.clone()));
                ofv = self.with_slopes(&eta)?;
            }
        }
        let slope_left = self.slope_left();
        let factor = match known {
            Some((factor, origin)) if self.distance(&eta, &origin) <= level.max(1e-5) => factor,
            _ => cholesky(m, &self.hessian(&eta)?),
        };
        let runaway = eta
            .iter()
            .zip(&self.prior.sd)
            .enumerate()
            // An effect with a density of its own counts from the starting value, not from the middle of its prior.
            .any(|(effect, (eta, sd))| (eta / sd).abs() > 10.0 && !self.prior.has_density(effect));
        let converged = factor.is_some() && slope_left < (10.0 * level).max(1e-4) && !runaway;
        let factor = match factor {
            Some(factor) => factor,
            // Flagged as not converged; the expected Hessian gives a width that is at least positive.
            None => {
                self.with_slopes(&eta)?;
                cholesky(m, &self.fisher)?
            }
        };
        let covariance = cholesky_inverse(m, &factor).into_iter().map(|x| 2.0 * x).collect();
        self.value(&eta)?;
        Some(self.mode(eta, ofv, covariance, converged, iterations))
    }

    /// A mode at the last evaluation.
    fn mode(&self, eta: Vec<f64>, ofv: f64, covariance: Vec<f64>, converged: bool, iterations: usize) -> Mode {
        let ipred = self.evaluator.predictions.clone();
        let weighted_residuals = self
            .observations
            .iter()
            .zip(&self.errors)
            .zip(&ipred)
            .map(|((observation, error), f)| {
                let spread = Spread::of(error, *f);
                let residual = spread.place(observation.value) - spread.centre.0;
                (observation.bound == Bound::Exact).then_some(residual / spread.variance.sqrt())
            })
            .collect();
        let parameters = self.evaluator.parameters().to_vec();
        Mode {
            eta,
            ofv,
            covariance,
            parameters,
            weight: 1.0,
            converged,
            iterations,
            ipred,
            weighted_residuals,
        }
    }
}

/// Laplace: the mass of a mode is `exp(-OFV/2) * sqrt(det covariance)`.
fn weigh(m: usize, modes: &mut [Mode]) {
    let masses: Vec<f64> = modes
        .iter()
        .map(|mode| {
            let log_det = cholesky(m, &mode.covariance).map_or(0.0, |l| cholesky_log_det(m, &l));
            mode.ofv - log_det
        })
        .collect();
    for (mode, weight) in modes.iter_mut().zip(ofv_weights(&masses)) {
        mode.weight = weight;
    }
}

/// See [`Fit::marginal`].
fn marginal(system: &System, modes: &[Mode], prior: &super::prior::Prior, observations: &[Observation]) -> f64 {
    let m = prior.size();
    let masses: Vec<f64> = modes
        .iter()
        .map(|mode| {
            let log_det = cholesky(m, &mode.covariance).map_or(0.0, |l| cholesky_log_det(m, &l));
            -0.5 * (mode.ofv - log_det) + prior.log_stretch(system, &mode.eta)
        })
        .collect();
    let largest = masses.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = masses.iter().map(|mass| (mass - largest).exp()).sum();
    // A value that is only bounded enters by its probability, which has no such constant.
    let exact = observations.iter().filter(|o| o.bound == Bound::Exact).count();
    let constants = exact as f64 * (2.0 * std::f64::consts::PI).ln() + prior.log_constant();
    constants - 2.0 * (largest + sum.ln())
}
