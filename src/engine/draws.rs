//! Parameter sets drawn from what is known of a patient.
//!
//! With measurements: proposals from a mixture of the Laplace approximations around the modes, with heavier tails (nine parts) and of the prior
//! (one part, so that no region the prior allows is ever weighted without bound), then sampling importance resampling
//! against the exact posterior. Without measurements the draws come from the prior itself.

use super::EngineError;
use super::fit::Fit;
use super::linalg::{cholesky, cholesky_log_det, cholesky_solve};
use super::objective::Objective;
use super::random::Random;
use super::subject::Subject;
use super::system::System;
use ndarray::{Array2, ArrayView2};
use serde::{Deserialize, Serialize};

/// Share of the proposals that come from the prior.
const PRIOR_SHARE: f64 = 0.1;
/// Proposals for each draw kept.
const PROPOSALS: usize = 2;
/// Effective share of the proposals below which they say too little.
const POOR: f64 = 0.05;
/// Share of the whole weight above which one proposal counts for too much.
const DOMINANT: f64 = 0.03;
/// Steps of the random walk that then follows, for each draw.
const WALK: usize = 20;

/// Equally probable parameter sets.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Draws {
    /// One set a row.
    parameters: Array2<f64>,
    /// Effective number of independent draws: of the proposals, `(sum w)^2 / sum w^2`; the number of draws for a prior.
    pub ess: f64,
    /// How many proposals were weighed; 0 if the draws come from the prior itself.
    pub proposals: usize,
}

impl Draws {
    /// Parameter sets given as rows of `width` numbers.
    ///
    /// # Errors
    /// A list whose length is no multiple of `width`, or an empty one.
    pub fn from_rows(width: usize, parameters: Vec<f64>) -> Result<Self, EngineError> {
        let sets = parameters.len().checked_div(width).unwrap_or(0);
        Self::weighed(sets, width, parameters, sets as f64, 0)
    }

    fn weighed(
        sets: usize,
        width: usize,
        parameters: Vec<f64>,
        ess: f64,
        proposals: usize,
    ) -> Result<Self, EngineError> {
        let size = format!("{} numbers for {sets} sets of {width}", parameters.len());
        match Array2::from_shape_vec((sets, width), parameters) {
            Ok(parameters) if !parameters.is_empty() => Ok(Self {
                parameters,
                ess,
                proposals,
            }),
            _ => Err(EngineError::input("a table of parameter sets", size)),
        }
    }

    /// The table of parameter sets: one a row, parameters in the order of the system.
    pub fn table(&self) -> ArrayView2<'_, f64> {
        self.parameters.view()
    }

    /// How many sets there are.
    pub fn len(&self) -> usize {
        self.parameters.nrows()
    }

    /// Whether there is no set.
    pub fn is_empty(&self) -> bool {
        self.parameters.is_empty()
    }

    /// The sets, each with the parameters in the order of the system.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = &[f64]> {
        // Made from whole rows, the table lies in memory row after row.
        self.parameters
            .as_slice()
            .unwrap_or_default()
            .chunks_exact(self.parameters.ncols().max(1))
    }
}

/// Degrees of freedom of the proposals around a mode: tails heavier than those of the posterior, so that no single proposal
/// can outweigh the others.
const FREEDOM: f64 = 4.0;

/// A distribution of the random effects around a centre.
struct Cloud<'a> {
    centre: &'a [f64],
    factor: Vec<f64>,
    /// Whether it is a t distribution, with heavy tails, instead of a normal one.
    heavy: bool,
    /// Logarithm of its share of the proposals, and of what makes its density one.
    log_share: f64,
    log_constant: f64,
}

impl<'a> Cloud<'a> {
    fn new(centre: &'a [f64], factor: Vec<f64>, heavy: bool, share: f64) -> Self {
        let m = centre.len() as f64;
        let scale = if heavy {
            libm::lgamma((FREEDOM + m) / 2.0)
                - libm::lgamma(FREEDOM / 2.0)
                - 0.5 * m * (FREEDOM * std::f64::consts::PI).ln()
        } else {
            -0.5 * m * (2.0 * std::f64::consts::PI).ln()
        };
        Self {
            log_constant: scale - 0.5 * cholesky_log_det(centre.len(), &factor),
            centre,
            factor,
            heavy,
            log_share: share.ln(),
        }
    }

    /// Logarithm of share times density.
    fn log_density(&self, eta: &[f64], scratch: &mut Vec<f64>) -> f64 {
        scratch.clear();
        scratch.extend(eta.iter().zip(self.centre).map(|(e, c)| e - c));
        let difference = scratch.clone();
        cholesky_solve(eta.len(), &self.factor, scratch);
        let square: f64 = difference.iter().zip(scratch.iter()).map(|(a, b)| a * b).sum();
        let fall = if self.heavy {
            0.5 * (FREEDOM + eta.len() as f64) * (square / FREEDOM).ln_1p()
        } else {
            0.5 * square
        };
        self.log_share + self.log_constant - fall
    }

    fn draw(&self, random: &Random, row: u64, eta: &mut [f64]) {
        let m = eta.len();
        let z: Vec<f64> = (0..m).map(|j| random.normal(row, j as u64)).collect();
        let stretch = if self.heavy {
            // A chi-square with four degrees of freedom is the sum of two exponentials.
            let column = u64::from(u32::MAX) + 1;
            let chi = -2.0 * (random.uniform(row, column).ln() + random.uniform(row, column + 1).ln());
            (FREEDOM / chi).sqrt()
        } else {
            1.0
        };
        for (i, cell) in eta.iter_mut().enumerate() {
            let step: f64 = (0..=i).map(|j| self.factor[i * m + j] * z[j]).sum();
            *cell = self.centre[i] + stretch * step;
        }
    }
}

impl Fit {
    /// Draws `n` equally probable parameter sets (those of the first regime); the same seed gives the same sets.
    ///
    /// # Errors
    /// `n` of 0, a system other than the one fitted, or a posterior in which no proposal has a finite density.
    pub fn draws(&self, system: &System, n: usize, seed: u64) -> Result<Draws, EngineError> {
        let sample = self.sample(system, n, seed)?;
        let width = system.parameters().len();
        let typical = self.subject.typical();
        let mut parameters = Vec::with_capacity(n * width);
        for eta in &sample.effects {
            parameters.extend(system.individual(typical, eta));
        }
        finite(Draws::weighed(n, width, parameters, sample.ess, sample.proposals)?)
    }

    /// Draws `n` equally probable sets of random effects, those of occasions included.
    ///
    /// # Errors
    /// As [`Self::draws`].
    pub fn sample(&self, system: &System, n: usize, seed: u64) -> Result<Sample, EngineError> {
        let mut objective = Objective::new(
            system,
            &self.subject,
            &self.observations,
            self.prior_weight,
            self.precision,
        )?;
        let m = objective.prior.size();
        let fits = self
            .modes
            .iter()
            .all(|mode| mode.eta.len() == m && mode.covariance.len() == m * m);
        if n == 0 || n > 10_000_000 || !fits {
            return Err(EngineError::input("the number of draws", format!("{n}")));
        }
        let random = Random::new(seed);
        let zero = vec![0.0; m];
        let of_prior = objective.prior.clone();
        let prior = |share: f64, weight: f64| -> Cloud { Cloud::new(&zero, of_prior.factor(weight), false, share) };
        let mut eta = vec![0.0; m];
        if m == 0 || (self.n_observations == 0 && of_prior.is_gaussian()) {
            let prior = prior(1.0, 1.0);
            let draw = |i: usize| {
                prior.draw(&random, i as u64, &mut eta);
                eta.clone()
            };
            return Ok(Sample {
                effects: (0..n).map(draw).collect(),
                ess: n as f64,
                proposals: 0,
                by_walk: false,
            });
        }
        let mut clouds = Vec::with_capacity(self.modes.len() + 1);
        for mode in &self.modes {
            let Some(factor) = cholesky(m, &mode.covariance) else {
                continue;
            };
            clouds.push(Cloud::new(&mode.eta, factor, true, (1.0 - PRIOR_SHARE) * mode.weight));
        }
        clouds.push(prior(PRIOR_SHARE, self.prior_weight));
        let mut log_densities = |sets: &[Vec<f64>]| -> Vec<f64> {
            let values = objective.values(sets).into_iter().zip(sets);
            let density = |(ofv, eta): (Option<f64>, &Vec<f64>)| {
                let found = ofv.map(|ofv| -0.5 * ofv + of_prior.log_stretch(system, eta));
                found.filter(|x| !x.is_nan()).unwrap_or(f64::NEG_INFINITY)
            };
            values.map(density).collect()
        };
        let count = PROPOSALS * n;
        let mut proposals: Vec<Vec<f64>> = Vec::with_capacity(count);
        let mut weights = Vec::with_capacity(count);
        let mut scratch = Vec::with_capacity(m);
        for i in 0..count {
            // Stratified: each cloud gets its share of the proposals to within one.
            let mut place = (i as f64 + random.uniform(i as u64, u64::from(u32::MAX))) / count as f64;
            let mut chosen = clouds.len() - 1;
            for (c, cloud) in clouds.iter().enumerate() {
                let share = cloud.log_share.exp();
                if place < share {
                    chosen = c;
                    break;
                }
                place -= share;
            }
            clouds[chosen].draw(&random, i as u64, &mut eta);
            let densities: Vec<f64> = clouds
                .iter()
                .map(|cloud| cloud.log_density(&eta, &mut scratch))
                .collect();
            weights.push(-log_sum_exp(&densities));
            proposals.push(eta.clone());
        }
        for (weight, density) in weights.iter_mut().zip(log_densities(&proposals)) {
            *weight += density;
            if weight.is_nan() {
                *weight = f64::NEG_INFINITY;
            }
        }
        let largest = weights.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        if !largest.is_finite() {
            return Err(EngineError::NotFinite { what: "the posterior" });
        }
        weights.iter_mut().for_each(|w| *w = (*w - largest).exp());
        let sum: f64 = weights.iter().sum();
        let ess = sum * sum / weights.iter().map(|w| w * w).sum::<f64>();
        // Systematic resampling: one random offset, then equal strides through the weights.
        let offset = random.uniform(u64::MAX, 0);
        let mut reached = 0.0;
        let mut from = 0;
        let mut effects: Vec<Vec<f64>> = Vec::with_capacity(n);
        for i in 0..n {
            let place = (i as f64 + offset) / n as f64 * sum;
            while from + 1 < count && reached + weights[from] < place {
                reached += weights[from];
                from += 1;
            }
            effects.push(proposals[from].clone());
        }
        // Importance weights that one proposal dominates say less than their number suggests.
        let heaviest = weights.iter().copied().fold(0.0, f64::max) / sum;
        let poor = ess < POOR * count as f64 || heaviest > DOMINANT;
        if poor {
            walk(&random, &clouds[0], &mut log_densities, &mut effects);
        }
        Ok(Sample {
            effects,
            ess,
            proposals: count,
            by_walk: poor,
        })
    }
}

/// Equally probable sets of random effects.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// One set a row.
    pub effects: Vec<Vec<f64>>,
    /// Effective number of independent draws among the weighed proposals.
    pub ess: f64,
    /// How many proposals were weighed; 0 if the draws come from the prior itself.
    pub proposals: usize,
    /// Whether the proposals said too little, so that each draw was moved on by a random walk (Metropolis).
    pub by_walk: bool,
}

/// Moves each draw by steps of a random walk that leaves the posterior unchanged (Metropolis), with the shape of the best mode.
/// Where importance resampling left many copies of few points, this spreads them again ("resample-move": Gilks and Berzuini
/// 2001, DOI 10.1111/1467-9868.00280).
fn walk(
    random: &Random,
    shape: &Cloud<'_>,
    log_densities: &mut impl FnMut(&[Vec<f64>]) -> Vec<f64>,
    effects: &mut [Vec<f64>],
) {
    let m = shape.centre.len();
    let mut scale = 2.38 / (m as f64).sqrt();
    // Steps are addressed after those of the proposals.
    let mut step = 1_u64 << 40;
    let mut known = log_densities(effects);
    for _ in 0..WALK {
        let first = step;
        let moved: Vec<Vec<f64>> = effects
            .iter()
            .map(|eta| {
                step += 1;
                let z: Vec<f64> = (0..m).map(|j| random.normal(step, j as u64)).collect();
                (0..m)
                    .map(|i| eta[i] + scale * (0..=i).map(|j| shape.factor[i * m + j] * z[j]).sum::<f64>())
                    .collect()
            })
            .collect();
        let found = log_densities(&moved);
        let mut accepted = 0;
        let there = effects.iter_mut().zip(&mut known);
        for (((eta, density), new), step) in there.zip(moved.into_iter().zip(found)).zip(first + 1..) {
            let (moved, found) = new;
            if found - *density > random.uniform(step, u64::from(u32::MAX)).ln() {
                *eta = moved;
                *density = found;
                accepted += 1;
            }
        }
        // Between rounds only, towards a third accepted.
        let rate = f64::from(accepted) / effects.len() as f64;
        scale *= (rate - 0.3).exp();
    }
}

impl Subject {
    /// `n` sets of random effects from the distribution between people: what this person may be like before any measurement.
    ///
    /// # Errors
    /// `n` of 0, or a subject that does not fit the system.
    pub fn prior_effects(&self, system: &System, n: usize, seed: u64) -> Result<Vec<Vec<f64>>, EngineError> {
        let fit = super::fit(system, self, &[], &super::FitOptions::default())?;
        Ok(fit.sample(system, n, seed)?.effects)
    }
}

fn finite(draws: Draws) -> Result<Draws, EngineError> {
    if draws.parameters.iter().all(|x| x.is_finite()) {
        Ok(draws)
    } else {
        Err(EngineError::NotFinite { what: "a draw" })
    }
}

fn log_sum_exp(values: &[f64]) -> f64 {
    let largest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    largest + values.iter().map(|x| (x - largest).exp()).sum::<f64>().ln()
}
