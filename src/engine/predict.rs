//! Predictions and exposure for one set of parameters.

use super::general::General;
use super::linear::Coefficients;
use super::modal::Modal;
use super::modes::{Modes, growth};
use super::system::System;
use super::timeline::Timeline;
use super::{Bound, Dose, EngineError, Observation};

/// Values of an output at `times`, in their order. A bolus at one of the times is not yet seen there.
///
/// # Errors
/// Unusable input, or a value that is not finite.
pub fn predict(
    system: &System,
    parameters: &[f64],
    doses: &[Dose],
    output: usize,
    times: &[f64],
) -> Result<Vec<f64>, EngineError> {
    let marks: Vec<Observation> = times
        .iter()
        .map(|time| Observation {
            time: *time,
            value: 0.0,
            bound: Bound::Exact,
            output,
        })
        .collect();
    let mut evaluator = Modal::new(system, parameters, doses, &marks)?;
    let eta = vec![0.0; system.effects().len()];
    if !evaluator.run(&eta, false) {
        return Err(EngineError::NotFinite { what: "a prediction" });
    }
    Ok(evaluator.predictions)
}

/// Area under an output from `from` to `to`, by integrating the solution exactly.
///
/// # Errors
/// Unusable input, `to` before `from`, or a value that is not finite.
pub fn auc(
    system: &System,
    parameters: &[f64],
    doses: &[Dose],
    output: usize,
    from: f64,
    to: f64,
) -> Result<f64, EngineError> {
    system.check_parameters(parameters)?;
    system.check_output(output)?;
    if !(from.is_finite() && to.is_finite() && from <= to) {
        return Err(EngineError::input(
            "the window of an exposure",
            format!("from {from} to {to}"),
        ));
    }
    let timeline = Timeline::new(doses, &[from, to])?;
    let linear = system.linear()?;
    let mut coefficients = Coefficients::default();
    linear.coefficients(parameters, &mut coefficients);
    let mut modes = Modes::new(linear);
    let dose_state = linear.dose_state();
    let area = if modes.set(
        &coefficients.matrix,
        &coefficients.readout,
        &coefficients.offset,
        dose_state,
    ) {
        let n = linear.states();
        let mut state = vec![0.0; n];
        let mut area = 0.0;
        let mut inside = false;
        for segment in &timeline.segments {
            let dt = timeline.steps[segment.step];
            for (k, state) in state.iter_mut().enumerate() {
                let (e, integral, slope) = growth(modes.rate()[k], dt);
                if inside {
                    // The integral of a constant input's response is t times its integral less its slope's part:
                    // double integral of exp(rate*s) over 0..t = t*integral - slope.
                    let twice = dt * integral - slope;
                    area += modes.weight[output * n + k] * (*state * integral + segment.rate * twice);
                }
                *state = *state * e + segment.rate * integral;
                *state += segment.bolus;
            }
            if timeline.order[segment.marks.clone()].contains(&0) {
                inside = true;
            }
            if timeline.order[segment.marks.clone()].contains(&1) {
                break;
            }
        }
        area + modes.offset[output] * (to - from)
    } else {
        let mut integrals = [0.0; 2];
        General::new(&coefficients, dose_state).integrals(&timeline, output, &mut integrals);
        integrals[1] - integrals[0]
    };
    if area.is_finite() {
        Ok(area)
    } else {
        Err(EngineError::NotFinite { what: "an exposure" })
    }
}
