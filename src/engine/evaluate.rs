//! Predictions of one person's measurements, and their exact derivatives in the random effects, by whichever way is fastest.

use super::modal::Modal;
use super::subject::Subject;
use super::system::System;
use super::walk::Walker;
use super::{EngineError, Observation, Precision};
use crate::lang::{Dual, Number};

/// Directions carried together where there are few effects, and where there are many.
const FEW: usize = 4;
const MANY: usize = 8;

/// Predicts the observations of one person, again and again for other random effects.
pub(crate) struct Evaluator<'a> {
    way: Way<'a>,
    subject: &'a Subject,
    outputs: Vec<usize>,
    /// Effects with slopes: all but those that act in steps.
    directions: Vec<usize>,
    parameters: Vec<f64>,
    /// Predictions in the order of the observations.
    pub(crate) predictions: Vec<f64>,
    /// Their derivatives, `[observation*effects + j]`.
    pub(crate) jacobian: Vec<f64>,
}

enum Way<'a> {
    Modal(Box<Modal<'a>>),
    Walk {
        plain: Box<Walker<'a, f64>>,
        few: Box<Walker<'a, Dual<FEW>>>,
        many: Box<Walker<'a, Dual<MANY>>>,
    },
}

impl<'a> Evaluator<'a> {
    /// `plain` holds the doses if the fast way can be taken (see [`Subject::plain_doses`]).
    pub(crate) fn new(
        system: &'a System,
        subject: &'a Subject,
        observations: &[Observation],
        precision: Precision,
    ) -> Result<Self, EngineError> {
        let outputs: Vec<usize> = observations.iter().map(|observation| observation.output).collect();
        for output in &outputs {
            system.check_output(*output)?;
        }
        subject.check(system)?;
        let effects = system.effects().len() + subject.occasions() * system.occasion_effects().len();
        let plain = subject
            .plain_doses(system)
            .filter(|_| system.linear.is_some() && !precision.integrate_all);
        let way = match plain {
            Some(doses) => Way::Modal(Box::new(Modal::new(system, subject.typical(), &doses, observations)?)),
            None => {
                let times: Vec<f64> = observations.iter().map(|observation| observation.time).collect();
                Way::Walk {
                    plain: Box::new(Walker::new(system, subject, &times, true, precision)?),
                    few: Box::new(Walker::new(system, subject, &times, true, precision)?),
                    many: Box::new(Walker::new(system, subject, &times, true, precision)?),
                }
            }
        };
        let steps = |effect: usize| system.parameters.iter().any(|p| p.stepwise && p.effect == Some(effect));
        Ok(Self {
            way,
            subject,
            directions: (0..effects).filter(|effect| !steps(*effect)).collect(),
            parameters: Vec::new(),
            predictions: vec![0.0; outputs.len()],
            jacobian: vec![0.0; outputs.len() * effects],
            outputs,
        })
    }

    /// Whether predictions change smoothly with an effect.
    pub(crate) fn has_slope(&self, effect: usize) -> bool {
        self.directions.contains(&effect)
    }

    /// Whether predictions come from a closed form throughout, without the noise of steps.
    pub(crate) fn is_exact(&self) -> bool {
        matches!(self.way, Way::Modal(_))
    }

    /// The person.
    pub(crate) fn subject(&self) -> &'a Subject {
        self.subject
    }

    /// Individual parameters at the last evaluation, in the first regime.
    pub(crate) fn parameters(&self) -> &[f64] {
        match &self.way {
            Way::Modal(modal) => modal.parameters(),
            Way::Walk { .. } => &self.parameters,
        }
    }

    /// Computes predictions, and their derivatives if asked. False if any value is not finite.
    pub(crate) fn run(&mut self, eta: &[f64], with_slopes: bool) -> bool {
        let (predictions, jacobian) = (&mut self.predictions, &mut self.jacobian);
        match &mut self.way {
            Way::Modal(modal) => {
                let fine = modal.run(eta, with_slopes);
                std::mem::swap(predictions, &mut modal.predictions);
                if with_slopes {
                    std::mem::swap(jacobian, &mut modal.jacobian);
                }
                return fine;
            }
            Way::Walk { plain, few, many } => {
                let outputs = &self.outputs;
                let done = if !with_slopes || self.directions.is_empty() {
                    plain.set_effects(eta);
                    self.parameters.clear();
                    self.parameters.extend_from_slice(plain.parameters());
                    plain
                        .walk(|mark, values| predictions[mark] = values[outputs[mark]])
                        .is_ok()
                } else {
                    let to = (
                        predictions.as_mut_slice(),
                        jacobian.as_mut_slice(),
                        &mut self.parameters,
                    );
                    if self.directions.len() <= FEW {
                        slopes(few, eta, &self.directions, outputs, to)
                    } else {
                        slopes(many, eta, &self.directions, outputs, to)
                    }
                };
                if !done {
                    return false;
                }
            }
        }
        self.predictions.iter().all(|f| f.is_finite())
            && (!with_slopes || self.jacobian.iter().all(|slope| slope.is_finite()))
    }
}

/// Predictions and derivatives, `N` directions at a time, and individual parameters.
fn slopes<const N: usize>(
    walker: &mut Walker<'_, Dual<N>>,
    eta: &[f64],
    directions: &[usize],
    outputs: &[usize],
    (predictions, jacobian, parameters): (&mut [f64], &mut [f64], &mut Vec<f64>),
) -> bool {
    let m = eta.len();
    for (group, chosen) in directions.chunks(N).enumerate() {
        let mut seeded: Vec<Dual<N>> = eta.iter().map(|eta| Dual::constant(*eta)).collect();
        for (lane, direction) in chosen.iter().enumerate() {
            seeded[*direction] = Dual::seeded(eta[*direction], lane, 1.0);
        }
        walker.set_effects(&seeded);
        parameters.clear();
        parameters.extend(walker.parameters().iter().map(|p| p.value));
        let done = walker.walk(|mark, values| {
            let found = values[outputs[mark]];
            if group == 0 {
                predictions[mark] = found.value;
            }
            for (lane, direction) in chosen.iter().enumerate() {
                jacobian[mark * m + direction] = found.slope[lane];
            }
        });
        if done.is_err() {
            return false;
        }
    }
    true
}
