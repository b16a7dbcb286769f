//! A dose as if it had been repeated for ever.

use super::events::Entering;
use super::{Walker, lanes};
use crate::engine::EngineError;
use crate::engine::spectral::Flow;
use crate::engine::subject::Settled;
use crate::lang::Number;

/// Intervals to wait for a steady state that has no closed form.
const MOST_INTERVALS: usize = 20_000;
/// Relative change between intervals that counts as settled.
const SETTLED: f64 = 1e-10;

impl<T: Number> Walker<'_, T> {
    /// Puts the states where they would be had this dose been repeated for ever.
    pub(super) fn settle(&mut self, dose: Entering<T>, settled: Settled, now: T) -> Result<(), EngineError> {
        let system = self.system;
        let never = || {
            EngineError::input(
                "a steady-state dose",
                format!("at {}: no steady state is reached", now.value()),
            )
        };
        if system.has_clock {
            return Err(EngineError::input(
                "a steady-state dose",
                "a model with a clock has no steady state",
            ));
        }
        if lanes(dose.duration).any(|duration| duration > settled.interval) {
            return Err(EngineError::input(
                "a steady-state dose",
                format!("at {}: its infusion is longer than its interval", now.value()),
            ));
        }
        let n = system.states().len();
        let zero = T::constant(0.0);
        let interval = T::constant(settled.interval);
        let old = self.state.clone();
        let rates = std::mem::replace(&mut self.rates, vec![zero; n]);
        if settled.added {
            self.state.fill(zero);
        } else {
            self.begin(now)?;
        }
        let is_bolus = dose.duration.size() == 0.0;
        let linear = self.closed && self.layouts.split.linear.contains(&dose.state);
        if linear {
            let places = &self.layouts.split.linear;
            let unit = |value: T| -> Vec<T> {
                places
                    .iter()
                    .map(|state| if *state == dose.state { value } else { zero })
                    .collect()
            };
            let (bolus, rate) = if is_bolus {
                (unit(dose.amount), unit(zero))
            } else {
                (unit(zero), unit(dose.rate))
            };
            let mut x = unit(zero);
            // Sources of their own add to a state, not to what a dose adds to it.
            let width = places.len() + 1;
            let source: Vec<T> = (0..places.len())
                .map(|k| {
                    if settled.added {
                        zero
                    } else {
                        self.coefficients[k * width + places.len()]
                    }
                })
                .collect();
            Flow::settled(
                &self.spectrum,
                [&bolus, &rate, &source],
                dose.duration,
                interval,
                &mut x,
            )
            .ok_or_else(never)?;
            for (state, value) in places.iter().zip(x) {
                self.state[*state] = value;
            }
        }
        // What only adds up never settles: it starts anew.
        let split = &self.layouts.split;
        let adding = [&split.sums, &split.stepped, &system.area_states]
            .map(Vec::as_slice)
            .concat();
        if !(linear && split.integrated.is_empty()) {
            // Through whole intervals until nothing changes any more.
            let mut settled_now = false;
            for _ in 0..MOST_INTERVALS {
                let before = self.state.clone();
                self.give_and_go_on(dose, now, interval)?;
                let moved = self.state.iter().zip(&before).enumerate().any(|(i, (a, b))| {
                    !adding.contains(&i)
                        && (*a - *b).size() > SETTLED.max(self.precision.relative) * (a.size() + b.size() + 1e-300)
                });
                if !moved {
                    settled_now = true;
                    break;
                }
            }
            if !settled_now {
                return Err(never());
            }
        }
        if dose.lag.size() > 0.0 {
            // The dose given now enters later; the one before is still on its way down.
            let rest = interval - dose.lag;
            if lanes(rest).any(|rest| rest < 0.0) || lanes(rest - dose.duration).any(|rest| rest < 0.0) {
                return Err(EngineError::input(
                    "a steady-state dose",
                    format!("at {}: its lag and infusion are longer than its interval", now.value()),
                ));
            }
            self.give_and_go_on(dose, now, rest)?;
        }
        for state in adding {
            self.state[state] = if settled.added { zero } else { old[state] };
        }
        if settled.added {
            for (state, old) in self.state.iter_mut().zip(&old) {
                *state = *state + *old;
            }
            self.rates = rates;
        } else {
            self.running.fill(0);
        }
        self.restart(now);
        Ok(())
    }

    /// Gives a dose now and goes on for `length`, which holds its infusion.
    fn give_and_go_on(&mut self, dose: Entering<T>, now: T, length: T) -> Result<(), EngineError> {
        let mut at = now;
        if dose.duration.size() == 0.0 {
            self.state[dose.state] = self.state[dose.state] + dose.amount;
        } else {
            self.rates[dose.state] = dose.rate;
            self.restart(now);
            at = now + dose.duration;
            self.advance(now, at)?;
            self.rates[dose.state] = T::constant(0.0);
        }
        self.restart(at);
        self.advance(at, now + length)
    }
}
