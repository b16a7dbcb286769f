//! Predictions of a linear model with plain doses, mode by mode, and their exact derivatives in the random effects.

use super::general::General;
use super::linear::{Coefficients, Linear};
use super::modes::{ModeSlopes, Modes, growth};
use super::parameters::individual;
use super::system::System;
use super::timeline::Timeline;
use super::{Dose, EngineError, Observation};
use crate::lang::{Dual, Number};

/// Directions carried together by dual numbers.
const CHUNK: usize = 4;

/// Predicts the observations of one patient, again and again for other random effects, without allocating.
pub(crate) struct Modal<'a> {
    system: &'a System,
    linear: &'a Linear,
    typical: &'a [f64],
    timeline: Timeline,
    /// Output of each mark, in the order of the marks given.
    outputs: Vec<usize>,
    modes: Modes,
    slopes: ModeSlopes,
    plain: Coefficients<f64>,
    dual: Vec<Coefficients<Dual<CHUNK>>>,
    parameters: Vec<f64>,
    eta: Vec<Dual<CHUNK>>,
    dual_parameters: Vec<Dual<CHUNK>>,
    /// `exp(rate*dt)`, its integral, the slope of the integral, for each step and mode.
    growth: Vec<(f64, f64, f64)>,
    state: Vec<f64>,
    state_slope: Vec<f64>,
    /// Predictions in the order of the marks given.
    pub(crate) predictions: Vec<f64>,
    /// Their derivatives, `[mark*m + j]`.
    pub(crate) jacobian: Vec<f64>,
}

impl<'a> Modal<'a> {
    pub(crate) fn new(
        system: &'a System,
        typical: &'a [f64],
        doses: &[Dose],
        observations: &[Observation],
    ) -> Result<Self, EngineError> {
        system.check_parameters(typical)?;
        let linear = system.linear()?;
        let times: Vec<f64> = observations.iter().map(|observation| observation.time).collect();
        let outputs: Vec<usize> = observations.iter().map(|observation| observation.output).collect();
        for output in &outputs {
            system.check_output(*output)?;
        }
        let timeline = Timeline::new(doses, &times)?;
        let (n, m) = (linear.states(), system.effects().len());
        Ok(Self {
            system,
            linear,
            typical,
            outputs,
            modes: Modes::new(linear),
            slopes: ModeSlopes::default(),
            plain: Coefficients::default(),
            dual: vec![Coefficients::default(); m.div_ceil(CHUNK)],
            parameters: Vec::with_capacity(typical.len()),
            eta: Vec::with_capacity(m),
            dual_parameters: Vec::with_capacity(typical.len()),
            growth: vec![(0.0, 0.0, 0.0); timeline.steps.len() * n],
            timeline,
            state: vec![0.0; n],
            state_slope: vec![0.0; n],
            predictions: vec![0.0; times.len()],
            jacobian: vec![0.0; times.len() * m],
        })
    }

    /// Individual parameters at the last evaluation.
    pub(crate) fn parameters(&self) -> &[f64] {
        &self.parameters
    }

    /// Computes predictions, and their derivatives if asked. False if any value is not finite.
    pub(crate) fn run(&mut self, eta: &[f64], with_slopes: bool) -> bool {
        let m = self.system.effects().len();
        if with_slopes && m > 0 {
            for (c, chunk) in self.dual.iter_mut().enumerate() {
                self.eta.clear();
                self.eta
                    .extend(eta.iter().enumerate().map(|(j, eta)| match j.checked_sub(c * CHUNK) {
                        Some(lane) => Dual::seeded(*eta, lane, 1.0),
                        None => Dual::constant(*eta),
                    }));
                individual(
                    &self.system.parameters,
                    self.typical,
                    &self.eta,
                    &[],
                    &mut self.dual_parameters,
                );
                self.linear.coefficients(&self.dual_parameters, chunk);
            }
            self.parameters.clear();
            self.parameters.extend(self.dual_parameters.iter().map(|p| p.value));
            let Some(first) = self.dual.first() else { return false };
            copy_values(&first.matrix, &mut self.plain.matrix);
            copy_values(&first.readout, &mut self.plain.readout);
            copy_values(&first.offset, &mut self.plain.offset);
        } else {
            individual(&self.system.parameters, self.typical, eta, &[], &mut self.parameters);
            self.linear.coefficients(&self.parameters, &mut self.plain);
        }
        let d = self.linear.dose_state();
        if self
            .modes
            .set(&self.plain.matrix, &self.plain.readout, &self.plain.offset, d)
            && (!with_slopes || self.modes.keeps_slopes(&self.plain.matrix))
        {
            if with_slopes {
                self.modes.slopes(&self.dual, m, d, &mut self.slopes);
            }
            self.walk(m, with_slopes);
        } else if with_slopes && m > 0 {
            self.walk_general_slopes(m);
        } else {
            let general = General::new(&self.plain, d);
            general.predict(&self.timeline, &self.outputs, &mut self.predictions);
        }
        self.predictions.iter().all(|f| f.is_finite())
            && (!with_slopes || self.jacobian.iter().all(|slope| slope.is_finite()))
    }

    /// Each mode from event to event.
    fn walk(&mut self, m: usize, with_slopes: bool) {
        let n = self.state.len();
        let rates = self.modes.rate();
        for (s, step) in self.timeline.steps.iter().enumerate() {
            for (k, rate) in rates.iter().enumerate() {
                self.growth[s * n + k] = growth(*rate, *step);
            }
        }
        self.state.fill(0.0);
        self.state_slope.fill(0.0);
        for segment in &self.timeline.segments {
            let table = &self.growth[segment.step * n..(segment.step + 1) * n];
            let dt = self.timeline.steps[segment.step];
            for ((state, slope), (e, integral, integral_slope)) in
                self.state.iter_mut().zip(&mut self.state_slope).zip(table)
            {
                *slope = *slope * e + dt * e * *state + segment.rate * integral_slope;
                *state = *state * e + segment.rate * integral;
            }
            for mark in &self.timeline.order[segment.marks.clone()] {
                let o = self.outputs[*mark];
                let weights = &self.modes.weight[o * n..(o + 1) * n];
                self.predictions[*mark] =
                    self.modes.offset[o] + weights.iter().zip(&self.state).map(|(w, s)| w * s).sum::<f64>();
                if with_slopes {
                    let row = &mut self.jacobian[mark * m..(mark + 1) * m];
                    row.copy_from_slice(&self.slopes.offset[o * m..(o + 1) * m]);
                    for k in 0..n {
                        let (state, slope) = (self.state[k], weights[k] * self.state_slope[k]);
                        let from = (o * n + k) * m;
                        let weight_slopes = &self.slopes.weight[from..from + m];
                        let rate_slopes = &self.slopes.rate[k * m..(k + 1) * m];
                        for ((cell, w), r) in row.iter_mut().zip(weight_slopes).zip(rate_slopes) {
                            *cell += w * state + slope * r;
                        }
                    }
                }
            }
            if segment.bolus != 0.0 {
                self.state.iter_mut().for_each(|state| *state += segment.bolus);
            }
        }
    }

    /// The same for systems without separate real modes, by the matrix exponential on dual numbers.
    fn walk_general_slopes(&mut self, m: usize) {
        let mut results = vec![
            Dual::<CHUNK> {
                value: 0.0,
                slope: [0.0; CHUNK]
            };
            self.predictions.len()
        ];
        for (c, chunk) in self.dual.iter().enumerate() {
            let general = General::new(chunk, self.linear.dose_state());
            general.predict(&self.timeline, &self.outputs, &mut results);
            for (mark, result) in results.iter().enumerate() {
                self.predictions[mark] = result.value;
                for (lane, slope) in result.slope.iter().enumerate().take(m - c * CHUNK) {
                    self.jacobian[mark * m + c * CHUNK + lane] = *slope;
                }
            }
        }
    }
}

fn copy_values(from: &[Dual<CHUNK>], to: &mut Vec<f64>) {
    to.clear();
    to.extend(from.iter().map(|x| x.value));
}
