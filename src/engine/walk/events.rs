//! What happens to a person, in its order.

use super::{SAME, Walker, lanes, out_of_step};
use crate::engine::EngineError;
use crate::engine::subject::{Course, Given, Settled};
use crate::engine::system::ROUTE_NUMBERS;
use crate::lang::Number;

/// What happens at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Regime(usize),
    Break,
    Tick,
    Mark(usize),
    InfusionEnd {
        state: usize,
        dose: usize,
    },
    Reset,
    /// A dose that had been repeated before is given: it has yet to enter.
    Settle(usize),
    Dose(usize),
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Event<T> {
    pub(super) time: T,
    pub(super) kind: Kind,
}

/// A dose whose numbers are known.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entering<T> {
    pub(super) state: usize,
    pub(super) amount: T,
    /// Zero for a bolus.
    pub(super) duration: T,
    pub(super) rate: T,
    pub(super) settled: Option<Settled>,
    /// How long after it is given it enters.
    pub(super) lag: T,
}

impl<T: Number> Walker<'_, T> {
    /// Events that are known before the walk, in their order, and the doses with their numbers.
    pub(super) fn fixed_events(
        &self,
        start: f64,
        entering: &mut Vec<Entering<T>>,
    ) -> Result<Vec<Event<T>>, EngineError> {
        let at = |time: f64, kind| Event {
            time: T::constant(time),
            kind,
        };
        let mut events: Vec<Event<T>> = Vec::new();
        for (i, regime) in self.subject.regimes.iter().enumerate() {
            if i > 0 {
                events.push(at(regime.from, Kind::Regime(i)));
            } else if self.system.interpolated.contains(&true) {
                // From here on inputs move.
                events.push(at(regime.from, Kind::Break));
            }
            // A delayed input changes later.
            for lag in self.lags.get(i).into_iter().flatten() {
                events.push(Event {
                    time: T::constant(regime.from) + *lag,
                    kind: Kind::Break,
                });
            }
        }
        events.retain(|event| lanes(event.time).any(|time| time > start));
        events.extend(self.subject.resets.iter().map(|time| at(*time, Kind::Reset)));
        events.extend(self.marks.iter().map(|(time, place)| at(*time, Kind::Mark(*place))));
        let mut frame = self.system.dosing.frame();
        let mut numbers = vec![T::constant(f64::NAN); self.system.dosing.output_count()];
        for (place, given) in self.subject.doses.iter().enumerate() {
            let time = T::constant(given.dose.time);
            let fixed = self.fixed_at(given.dose.time);
            let inputs = frame.inputs();
            inputs[..fixed.len()].copy_from_slice(fixed);
            inputs[fixed.len()] = time;
            self.system.dosing.execute(&mut frame);
            self.system.dosing.results(&frame, &mut numbers);
            let from = given.route * ROUTE_NUMBERS;
            let dose = self.entering(given, &numbers[from..from + ROUTE_NUMBERS])?;
            entering.push(dose);
            if given.dose.amount > 0.0 {
                if given.settled.is_some() {
                    events.push(at(given.dose.time, Kind::Settle(place)));
                }
                events.push(Event {
                    time: time + dose.lag,
                    kind: Kind::Dose(place),
                });
            }
        }
        events.sort_by(in_order);
        Ok(events)
    }

    /// The numbers of a dose for these parameters.
    pub(super) fn entering(&self, given: &Given, numbers: &[T]) -> Result<Entering<T>, EngineError> {
        let wrong = |what: &str, x: T| {
            EngineError::input(
                "a dose",
                format!("at {}: its {what} comes out as {}", given.dose.time, x.value()),
            )
        };
        let [bioavailability, lag, duration, rate] = *numbers else {
            return Err(EngineError::input("a dose", "its route is unknown"));
        };
        let negative = |x: T| !x.is_finite() || lanes(x).any(|x| x < 0.0);
        if negative(bioavailability) {
            return Err(wrong("bioavailability", bioavailability));
        }
        if negative(lag) {
            return Err(wrong("lag", lag));
        }
        let zero = T::constant(0.0);
        let amount = T::constant(given.dose.amount) * bioavailability;
        let (duration, rate) = match given.course {
            Course::Duration if given.dose.duration == 0.0 => (zero, zero),
            Course::Duration => {
                let duration = T::constant(given.dose.duration);
                (duration, amount / duration)
            }
            Course::Rate(rate) => (amount / T::constant(rate), T::constant(rate)),
            Course::ModelledDuration => {
                if negative(duration) {
                    return Err(wrong("duration", duration));
                }
                (duration, amount / duration)
            }
            Course::ModelledRate => {
                if negative(rate) || rate.least() == 0.0 {
                    return Err(wrong("rate", rate));
                }
                (amount / rate, rate)
            }
        };
        let route = self.system.routes().list().get(given.route);
        Ok(Entering {
            state: route.map_or(0, |route| route.state),
            amount,
            duration,
            rate,
            settled: given.settled,
            lag,
        })
    }
}

/// Forgets events that are yet to come. What has come already in one of the lanes cannot be undone: then they are out of step.
pub(super) fn forget<T: Number>(
    events: &mut Vec<Event<T>>,
    next: usize,
    now: T,
    which: impl Fn(Kind) -> bool,
) -> Result<(), EngineError> {
    let mut late = None;
    let mut place = 0;
    events.retain(|event| {
        place += 1;
        let goes = place > next && which(event.kind);
        if goes && lanes(event.time - now).any(|left| left < -SAME * now.largest()) {
            late = Some(event.time.value());
        }
        !goes
    });
    late.map_or(Ok(()), |time| Err(out_of_step(time)))
}

/// By time, then by kind.
pub(super) fn in_order<T: Number>(a: &Event<T>, b: &Event<T>) -> std::cmp::Ordering {
    a.time.value().total_cmp(&b.time.value()).then(a.kind.cmp(&b.kind))
}

pub(super) fn before<T: Number>(a: &Event<T>, b: &Event<T>) -> bool {
    in_order(a, b).is_lt()
}
