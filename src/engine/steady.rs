//! What settles when one dose is repeated for ever.

use super::general::General;
use super::linear::Coefficients;
use super::modes::{Modes, growth};
use super::system::System;
use super::timeline::Timeline;
use super::{Dose, EngineError};

/// Points at which an interval is searched when the highest value is not simply at the end of the infusion.
const SCAN: usize = 64;

/// One interval of an endlessly repeated dose.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SteadyState {
    /// Output just before a dose.
    pub trough: f64,
    /// Highest output within the interval.
    pub peak: f64,
    /// Area under the output over one interval.
    pub auc_interval: f64,
}

impl SteadyState {
    /// The steady state of `amount` given over `duration` every `interval`.
    ///
    /// # Errors
    /// Unusable input (an infusion longer than its interval included), or a system that does not settle.
    pub fn of(
        system: &System,
        parameters: &[f64],
        amount: f64,
        interval: f64,
        duration: f64,
        output: usize,
    ) -> Result<Self, EngineError> {
        system.check_parameters(parameters)?;
        system.check_output(output)?;
        check(amount, interval, duration)?;
        let never = EngineError::NotFinite { what: "a steady state" };
        let linear = system.linear()?;
        let mut coefficients = Coefficients::default();
        linear.coefficients(parameters, &mut coefficients);
        let mut modes = Modes::new(linear);
        let n = linear.states();
        if modes.set(
            &coefficients.matrix,
            &coefficients.readout,
            &coefficients.offset,
            linear.dose_state(),
        ) {
            let weights = &modes.weight[output * n..(output + 1) * n];
            let found = modal(modes.rate(), weights, modes.offset[output], amount, interval, duration);
            return found.ok_or(never);
        }
        let general = General::new(&coefficients, linear.dose_state());
        let exposure = general.exposure(output).ok_or_else(|| never.clone())?;
        let step = interval / SCAN as f64;
        let mut times: Vec<f64> = (0..=SCAN)
            .map(|i| if i == SCAN { interval } else { i as f64 * step })
            .collect();
        // Just after a bolus, and at the end of an infusion.
        times.push(if duration > 0.0 { duration } else { 1e-9 * interval });
        let timeline = Timeline::new(
            &[Dose {
                time: 0.0,
                amount,
                duration,
            }],
            &times,
        )?;
        let mut values = vec![0.0; times.len()];
        general.repeated(&timeline, output, SCAN, &mut values).ok_or(never)?;
        let peak = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let auc_interval = exposure * amount + coefficients.offset[output] * interval;
        Ok(Self {
            trough: values[SCAN],
            peak,
            auc_interval,
        })
    }

    /// Mean area under the output over `span` of time, in a regimen that repeats every `interval`.
    pub fn auc_over(&self, span: f64, interval: f64) -> f64 {
        self.auc_interval * span / interval
    }
}

pub(crate) fn check(amount: f64, interval: f64, duration: f64) -> Result<(), EngineError> {
    let fine = amount.is_finite()
        && interval.is_finite()
        && amount >= 0.0
        && interval > 0.0
        && (0.0..=interval).contains(&duration)
        && (duration == 0.0 || (amount / duration).is_finite());
    if fine {
        return Ok(());
    }
    Err(EngineError::input(
        "a regimen",
        format!("{amount} over {duration} every {interval}"),
    ))
}

/// The steady state of separate modes, in closed form.
pub(crate) fn modal(
    rates: &[f64],
    weights: &[f64],
    offset: f64,
    amount: f64,
    interval: f64,
    duration: f64,
) -> Option<SteadyState> {
    let (mut trough, mut peak, mut area) = (offset, offset, 0.0);
    let mut falls_after_infusion = true;
    for (rate, weight) in rates.iter().zip(weights) {
        let (at_end, before) = mode(*rate, amount, interval, duration)?;
        trough += weight * before;
        peak += weight * at_end;
        area -= weight * amount / rate;
        falls_after_infusion &= *weight >= 0.0;
    }
    if !falls_after_infusion {
        peak = peak.max(scan(rates, weights, offset, amount, interval, duration)?);
    }
    let found = SteadyState {
        trough,
        peak,
        auc_interval: area + offset * interval,
    };
    (found.trough.is_finite() && found.peak.is_finite() && found.auc_interval.is_finite()).then_some(found)
}

/// A mode at the end of the dose and just before the next one.
fn mode(rate: f64, amount: f64, interval: f64, duration: f64) -> Option<(f64, f64)> {
    if rate.is_nan() || rate >= 0.0 {
        return None;
    }
    let rest = (rate * (interval - duration)).exp();
    let (carried, entered) = if duration > 0.0 {
        let (e, integral, _) = growth(rate, duration);
        (e, amount / duration * integral)
    } else {
        (1.0, amount)
    };
    let before = entered * rest / -(rate * interval).exp_m1();
    Some((before * carried + entered, before))
}

/// Highest value over an interval, found on a grid and refined by a parabola through the best three points.
fn scan(rates: &[f64], weights: &[f64], offset: f64, amount: f64, interval: f64, duration: f64) -> Option<f64> {
    let at = |time: f64| -> Option<f64> {
        let mut sum = offset;
        for (rate, weight) in rates.iter().zip(weights) {
            let (at_end, before) = mode(*rate, amount, interval, duration)?;
            sum += weight
                * if time <= duration && duration > 0.0 {
                    let (e, integral, _) = growth(*rate, time);
                    before * e + amount / duration * integral
                } else {
                    at_end * (rate * (time - duration)).exp()
                };
        }
        Some(sum)
    };
    let step = interval / SCAN as f64;
    let values: Vec<f64> = (0..=SCAN).map(|i| at(i as f64 * step)).collect::<Option<_>>()?;
    let best = (0..=SCAN).max_by(|a, b| values[*a].total_cmp(&values[*b]))?;
    let mut peak = values[best];
    if best > 0 && best < SCAN {
        let (l, m, r) = (values[best - 1], values[best], values[best + 1]);
        let bend = l - 2.0 * m + r;
        if bend < 0.0 {
            peak = peak.max(at((best as f64 + 0.5 * (l - r) / bend) * step)?);
        }
    }
    Some(peak)
}
