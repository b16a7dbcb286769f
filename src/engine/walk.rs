//! One person through time: from event to event, in closed form where there is one, by integration elsewhere.
//!
//! At one time things happen in this order: inputs change, the clock ticks, values are read, infusions end and states are reset,
//! doses enter.

use super::field::Field;
use super::ode::{Fault, Solver, Tolerance};
use super::parameters::individual;
use super::spectral::{Flow, Spectrum};
use super::subject::{Course, Given, Settled, Subject};
use super::system::{Layout, Layouts, ROUTE_NUMBERS, System};
use super::{EngineError, Precision};
use crate::lang::{Frame, Number};

/// Times nearer than this (relative) are one.
const SAME: f64 = 1e-12;
/// Intervals to wait for a steady state that has no closed form.
const MOST_INTERVALS: usize = 20_000;
/// Relative change between intervals that counts as settled.
const SETTLED: f64 = 1e-10;
/// Most ticks of one walk.
const MOST_TICKS: f64 = 1e7;

/// What happens at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Regime(usize),
    Break,
    Tick,
    Mark(usize),
    InfusionEnd { state: usize, dose: usize },
    Reset,
    /// A dose that had been repeated before is given: it has yet to enter.
    Settle(usize),
    Dose(usize),
}

#[derive(Debug, Clone, Copy)]
struct Event<T> {
    time: T,
    kind: Kind,
}

/// A dose whose numbers are known.
#[derive(Debug, Clone, Copy)]
struct Entering<T> {
    state: usize,
    amount: T,
    /// Zero for a bolus.
    duration: T,
    rate: T,
    settled: Option<Settled>,
    /// How long after it is given it enters.
    lag: T,
}

/// Walks one person again and again for other parameters, reusing its memory.
pub(crate) struct Walker<'a, T> {
    system: &'a System,
    layouts: &'a Layouts,
    subject: &'a Subject,
    precision: Precision,
    /// Reading times, rising, with their places in the list given.
    marks: Vec<(f64, usize)>,
    /// Whether only outputs are read.
    observed_only: bool,
    /// Parameters, inputs, covariates of each regime.
    fixed: Vec<Vec<T>>,
    /// The regime that the walk is in.
    regime: usize,
    lags: Vec<Vec<T>>,
    state: Vec<T>,
    rates: Vec<T>,
    running: Vec<usize>,
    closed: bool,
    spectrum: Spectrum<T>,
    /// Coefficients of the closed form at present.
    coefficients: Vec<T>,
    flow: Flow<T>,
    solver: Solver<T>,
    whole_solver: Solver<T>,
    field: Frame<T>,
    jacobian: Frame<T>,
    read: Frame<T>,
    held_states: Frame<T>,
    ticking: Frame<T>,
    frontier: Vec<T>,
    /// Values of moving and delayed inputs at the start of a step, and how fast they move.
    moving: Vec<(T, T)>,
    /// Whether they must be looked up again.
    inputs_changed: bool,
    /// What was read at the last mark.
    values: Vec<T>,
    scratch: Vec<T>,
    /// The states that are being integrated.
    solved: Vec<T>,
    unknown: Vec<bool>,
    known: Vec<bool>,
    /// Where a cycle that repeats itself begins, for the parameters set.
    cycle_start: Option<Vec<T>>,
}

impl<'a, T: Number> Walker<'a, T> {
    /// Prepares a walk that reads at `times`: all that is followed, or the outputs only.
    ///
    /// # Errors
    /// A subject that does not fit the system, or a time that is not finite.
    pub(crate) fn new(
        system: &'a System,
        subject: &'a Subject,
        times: &[f64],
        observed_only: bool,
        precision: Precision,
    ) -> Result<Self, EngineError> {
        subject.check(system)?;
        let tolerance = Tolerance {
            relative: precision.relative,
            floor: precision.floor,
        };
        let n = system.states().len();
        let zero = T::constant(0.0);
        let layouts = if observed_only { &system.lean } else { &system.full };
        let mut walker = Self {
            solver: Solver::new(layouts.split.integrated.len(), tolerance, precision.most_steps),
            whole_solver: Solver::new(layouts.whole.integrated.len(), tolerance, precision.most_steps),
            layouts,
            system,
            subject,
            precision,
            marks: Vec::new(),
            observed_only,
            fixed: Vec::new(),
            regime: 0,
            lags: Vec::new(),
            state: vec![zero; n + system.clocked().len()],
            rates: vec![zero; n],
            running: vec![0; n],
            closed: true,
            spectrum: Spectrum::empty(),
            coefficients: Vec::new(),
            flow: Flow::empty(),
            field: Frame::default(),
            jacobian: Frame::default(),
            read: Frame::default(),
            held_states: Frame::default(),
            ticking: Frame::default(),
            frontier: Vec::new(),
            moving: Vec::new(),
            inputs_changed: true,
            values: Vec::new(),
            scratch: Vec::new(),
            solved: Vec::new(),
            unknown: Vec::new(),
            known: Vec::new(),
            cycle_start: None,
        };
        walker.set_marks(times)?;
        Ok(walker)
    }

    /// Sets other times to read at.
    ///
    /// # Errors
    /// A time that is not finite.
    pub(crate) fn set_marks(&mut self, times: &[f64]) -> Result<(), EngineError> {
        if let Some(bad) = times.iter().find(|t| !t.is_finite()) {
            return Err(EngineError::input("a time", bad.to_string()));
        }
        self.marks.clear();
        self.marks.extend(times.iter().copied().zip(0..));
        self.marks.sort_by(|a, b| a.0.total_cmp(&b.0));
        Ok(())
    }

    /// Sets individual parameters from random effects: those of the person, then those of each occasion in turn.
    pub(crate) fn set_effects(&mut self, eta: &[T]) {
        let own = self.system.effects().len();
        let by_occasion = self.system.occasion_effects().len();
        self.cycle_start = None;
        self.fixed.clear();
        for regime in &self.subject.regimes {
            let from = regime.occasion.map_or(eta.len(), |k| own + k * by_occasion);
            let kappa = eta.get(from..from + by_occasion).unwrap_or_default();
            let mut fixed = Vec::new();
            let person = eta.get(..own).unwrap_or_default();
            individual(&self.system.parameters, &regime.typical, person, kappa, &mut fixed);
            fixed.extend(regime.inputs.iter().chain(&regime.covariates).map(|x| T::constant(*x)));
            self.fixed.push(fixed);
        }
    }

    /// Sets individual parameters directly, the same in all regimes.
    pub(crate) fn set_parameters(&mut self, parameters: &[T]) {
        self.cycle_start = None;
        self.fixed.clear();
        for regime in &self.subject.regimes {
            let rest = regime.inputs.iter().chain(&regime.covariates).map(|x| T::constant(*x));
            self.fixed.push(parameters.iter().copied().chain(rest).collect());
        }
    }

    /// Individual parameters in the first regime.
    pub(crate) fn parameters(&self) -> &[T] {
        self.fixed
            .first()
            .and_then(|fixed| fixed.get(..self.system.parameters().len()))
            .unwrap_or_default()
    }

    /// Fixed values of the regime that holds at a time.
    pub(crate) fn fixed_at(&self, time: f64) -> &[T] {
        self.fixed.get(self.regime_at(time)).map_or(&[], Vec::as_slice)
    }

    /// Fixed values of the regime that the walk is in.
    fn held(&self) -> &[T] {
        self.fixed.get(self.regime).map_or(&[], Vec::as_slice)
    }

    fn regime_at(&self, time: f64) -> usize {
        self.subject
            .regimes
            .partition_point(|regime| regime.from <= time)
            .saturating_sub(1)
    }

    /// Walks, calling `see` with the place of each mark and the values read there.
    ///
    /// # Errors
    /// A dose that makes no sense for these parameters, a solution that blows up or takes too many steps.
    pub(crate) fn walk(&mut self, mut see: impl FnMut(usize, &[T])) -> Result<(), EngineError> {
        self.solver.begin();
        self.whole_solver.begin();
        self.lags = self.fixed.iter().map(|fixed| run(&self.system.lags, fixed)).collect();
        if let Some((tolerance, at_most)) = self.system.cycle {
            return self.walk_cycles(tolerance, at_most, &mut see);
        }
        let Some(last_mark) = self.marks.last().map(|(time, _)| *time) else {
            return Ok(());
        };
        let given = self.subject.doses.iter().map(|given| given.dose.time);
        let marks = self.marks.iter().map(|(time, _)| *time);
        let start = given
            .chain(marks)
            .chain(self.subject.resets.iter().copied())
            .fold(0.0, f64::min);
        let mut entering = Vec::with_capacity(self.subject.doses.len());
        let mut events = self.fixed_events(start, &mut entering)?;
        let mut now = T::constant(start);
        self.regime = self.regime_at(start);
        self.begin(now)?;
        let mut ticks = self.ticks(start, last_mark)?;
        let mut breaks = self.breaks(start);
        let mut next = 0;
        // Whether anything has jumped since the last step.
        let mut jump = false;
        loop {
            let coming = [
                events.get(next).map(|event| event.time.value()),
                ticks.map(|(from, every, k)| from + every * k),
                breaks.last().map(|time| time.value()),
            ];
            if let Some((from, every, k)) = &mut ticks {
                let tick = *from + *every * *k;
                let first = coming.iter().flatten().all(|time| *time >= tick) && !coming[0].is_some_and(|time| is_at(tick, time));
                if first && tick < last_mark && !jump && self.is_idle(tick) {
                    *k += 1.0;
                    continue;
                }
            }
            let Some(time) = coming
                .iter()
                .flatten()
                .copied()
                .reduce(f64::min)
                .filter(|time| *time <= last_mark)
            else {
                break;
            };
            while let Some(corner) = breaks.pop_if(|corner| is_at(time, corner.value())) {
                self.reach(&mut now, corner, &mut jump)?;
                self.inputs_changed = true;
                jump = true;
            }
            // Times that differ by rounding only are one, and then the kinds decide the order.
            let together = events[next..].partition_point(|event| is_at(time, event.time.value()));
            events[next..next + together].sort_by_key(|event| event.kind);
            while let Some(event) = events
                .get(next)
                .copied()
                .filter(|event| is_at(time, event.time.value()))
            {
                if event.kind > Kind::Tick {
                    self.tick(&mut ticks, &mut now, time, &mut jump)?;
                }
                self.reach(&mut now, event.time, &mut jump)?;
                next += 1;
                match event.kind {
                    Kind::Regime(regime) => {
                        self.regime = regime;
                        self.enter_regime(now)?;
                        breaks = self.breaks(time);
                        jump = true;
                    }
                    Kind::Break | Kind::Tick => {
                        self.inputs_changed = true;
                        jump = true;
                    }
                    Kind::Mark(place) => {
                        if jump {
                            self.restart(now);
                            jump = false;
                        }
                        self.read_now(now);
                        see(place, &self.values);
                    }
                    Kind::InfusionEnd { state, dose } => {
                        jump = true;
                        self.running[state] -= 1;
                        self.rates[state] = if self.running[state] == 0 {
                            T::constant(0.0)
                        } else {
                            self.rates[state] - entering[dose].rate
                        };
                    }
                    Kind::Reset => {
                        jump = true;
                        self.begin(now)?;
                        stop_infusions(&mut events, next, now)?;
                    }
                    Kind::Settle(place) => {
                        jump = true;
                        let dose = entering[place];
                        if let Some(settled) = dose.settled {
                            self.settle(dose, settled, now)?;
                            if !settled.added {
                                stop_infusions(&mut events, next, now)?;
                            }
                        }
                    }
                    Kind::Dose(place) => {
                        jump = true;
                        let dose = entering[place];
                        if dose.duration.size() <= SAME * time.abs() {
                            self.state[dose.state] = self.state[dose.state] + dose.amount;
                        } else {
                            self.running[dose.state] += 1;
                            self.rates[dose.state] = self.rates[dose.state] + dose.rate;
                            let end = Event {
                                time: event.time + dose.duration,
                                kind: Kind::InfusionEnd {
                                    state: dose.state,
                                    dose: place,
                                },
                            };
                            let at = next + events[next..].partition_point(|known| before(known, &end));
                            events.insert(at, end);
                        }
                    }
                }
            }
            self.tick(&mut ticks, &mut now, time, &mut jump)?;
        }
        // What comes after the last reading in one lane may come before it in another.
        match events[next..]
            .iter()
            .find(|event| lanes(event.time).any(|time| time < last_mark))
        {
            Some(event) => Err(out_of_step(event.time.value())),
            None => Ok(()),
        }
    }

    /// Goes on to `to`, where something happens. Lanes must get there together: their events have one order.
    fn reach(&mut self, now: &mut T, to: T, jump: &mut bool) -> Result<(), EngineError> {
        let length = to - *now;
        if length.size() == 0.0 {
            return Ok(());
        }
        let near = SAME * to.largest();
        let target = if length.largest() <= near {
            // Only the derivatives of the time move on.
            *now + (length - T::gather(|lane| length.lane(lane)))
        } else if lanes(length).all(|length| length > near) {
            to
        } else {
            return Err(out_of_step(to.value()));
        };
        if (target - *now).size() > 0.0 {
            if std::mem::take(jump) {
                self.restart(*now);
            }
            self.advance(*now, target)?;
        }
        *now = target;
        Ok(())
    }

    /// Events that are known before the walk, in their order, and the doses with their numbers.
    fn fixed_events(&self, start: f64, entering: &mut Vec<Entering<T>>) -> Result<Vec<Event<T>>, EngineError> {
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
        events.sort_by(|a, b| a.time.value().total_cmp(&b.time.value()).then(a.kind.cmp(&b.kind)));
        Ok(events)
    }

    /// The numbers of a dose for these parameters.
    fn entering(&self, given: &Given, numbers: &[T]) -> Result<Entering<T>, EngineError> {
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

    /// Every state at its initial value, nothing running.
    fn begin(&mut self, now: T) -> Result<(), EngineError> {
        self.running.fill(0);
        self.rates.fill(T::constant(0.0));
        let initial = run(&self.system.initial, self.held());
        if let Some(i) = initial.iter().position(|x| !x.is_finite()) {
            return Err(self.no_value(i, now.value()));
        }
        self.state.copy_from_slice(&initial);
        self.enter_regime(now)
    }

    /// Programs and closed form for the parameters that hold now.
    fn enter_regime(&mut self, now: T) -> Result<(), EngineError> {
        let system = self.system;
        self.inputs_changed = true;
        let Some(fixed) = self.fixed.get(self.regime) else {
            return Err(EngineError::input("a person", "nothing is known of them"));
        };
        self.coefficients = run(&self.layouts.split.coefficients, fixed);
        let n = self.layouts.split.linear.len();
        let matrix: Vec<T> = (0..n * n).map(|i| self.coefficients[i / n * (n + 1) + i % n]).collect();
        let spectrum = if n == 0 || self.precision.integrate_all {
            None
        } else {
            Spectrum::new(n, &matrix)
        };
        self.closed = !self.precision.integrate_all && (n == 0 || spectrum.is_some());
        self.spectrum = spectrum.unwrap_or_else(Spectrum::empty);
        let layout = self.layout();
        let read = if self.observed_only {
            &system.observed
        } else {
            &system.read
        };
        for (staged, frame) in [
            (&layout.field, &mut self.field),
            (&layout.jacobian, &mut self.jacobian),
            (read, &mut self.read),
            (&layout.held, &mut self.held_states),
            (&system.tick, &mut self.ticking),
        ] {
            if staged.late.output_count() == 0 {
                continue;
            }
            *frame = staged.late.frame();
            self.frontier.resize(staged.early.output_count(), T::constant(f64::NAN));
            staged.early.run(fixed, &mut staged.early.frame(), &mut self.frontier);
            let inputs = frame.inputs();
            let from = inputs.len() - self.frontier.len();
            inputs[from..].copy_from_slice(&self.frontier);
        }
        self.restart(now);
        Ok(())
    }

    fn restart(&mut self, now: T) {
        self.solver.restart();
        self.whole_solver.restart();
        self.set_moving(now);
    }

    /// Moving and delayed inputs at the start of a step.
    fn set_moving(&mut self, now: T) {
        let system = self.system;
        if !std::mem::take(&mut self.inputs_changed) && !system.interpolated.contains(&true) {
            return;
        }
        self.moving.clear();
        // A hair late, so that a change that falls on this moment is seen.
        let now = now + T::constant(SAME * (1.0 + now.largest()));
        for (input, on) in system.interpolated.iter().enumerate() {
            if *on {
                let at = self.input_at(input, now);
                self.moving.push(at);
            }
        }
        for (k, input) in system.delays.iter().enumerate() {
            let lag = self.lags.get(self.regime).and_then(|lags| lags.get(k)).copied();
            let at = self.input_at(*input, now - lag.unwrap_or(T::constant(0.0)));
            self.moving.push(at);
        }
    }

    /// An input at a time, and how fast it moves.
    fn input_at(&self, input: usize, time: T) -> (T, T) {
        let regimes = &self.subject.regimes;
        let interpolated = self.system.interpolated.get(input).copied().unwrap_or(false);
        let at = |time: f64| {
            let place = regimes.partition_point(|regime| regime.from <= time).saturating_sub(1);
            let value = |i: usize| regimes.get(i).and_then(|r| r.inputs.get(input)).copied();
            let here = value(place).unwrap_or(f64::NAN);
            match (regimes.get(place), regimes.get(place + 1), value(place + 1)) {
                (Some(a), Some(b), Some(there)) if interpolated && time >= a.from => {
                    let slope = (there - here) / (b.from - a.from);
                    (here + slope * (time - a.from), slope)
                }
                _ => (here, 0.0),
            }
        };
        let plain = T::gather(|lane| time.lane(lane));
        let slope = T::gather(|lane| at(time.lane(lane)).1);
        (T::gather(|lane| at(time.lane(lane)).0) + slope * (time - plain), slope)
    }

    /// The next tick: first one, interval, and its number.
    fn ticks(&self, from: f64, end: f64) -> Result<Option<(f64, f64, f64)>, EngineError> {
        if !self.system.has_clock {
            return Ok(None);
        }
        let pace = run(&self.system.pace, self.held());
        let (every, first) = (
            pace.first().map_or(f64::NAN, |x| x.value()),
            pace.get(1).map_or(f64::NAN, |x| x.value()),
        );
        if !(every.is_finite() && every > 0.0 && first.is_finite()) {
            return Err(EngineError::input(
                "the clock",
                format!("it ticks every {every} from {first} on"),
            ));
        }
        let k = ((from - first) / every - SAME).ceil().max(0.0);
        if (end - first) / every - k > MOST_TICKS {
            return Err(EngineError::input(
                "the clock",
                format!("it ticks every {every}: too often until {end}"),
            ));
        }
        Ok(Some((first, every, k)))
    }

    /// Whether a tick at `time` changes nothing, whatever the states are by then: then nobody needs to stop for it.
    fn is_idle(&mut self, time: f64) -> bool {
        let n = self.system.states().len();
        if self.layout().integrated.is_empty() || self.inputs_changed {
            return false;
        }
        load(&mut self.ticking, T::constant(time), &self.state, &self.moving);
        let program = &self.system.tick.late;
        // Time and clocked states are known; states move, and so do inputs that are interpolated.
        self.unknown.clear();
        self.unknown.push(false);
        self.unknown.resize(1 + n, true);
        self.unknown.resize(1 + self.state.len(), false);
        self.unknown.resize(1 + self.state.len() + self.moving.len(), self.system.interpolated.contains(&true));
        self.unknown.resize(program.input_count(), false);
        program.execute_known(&mut self.ticking, &self.unknown, &mut self.known);
        (0..program.output_count()).all(|i| {
            let same = (program.result(&self.ticking, i) - self.state[n + i]).size() == 0.0;
            program.is_known(&self.known, i) && same
        })
    }

    /// Ticks if it is time to.
    fn tick(
        &mut self,
        ticks: &mut Option<(f64, f64, f64)>,
        now: &mut T,
        time: f64,
        jump: &mut bool,
    ) -> Result<(), EngineError> {
        let Some((first, every, k)) = ticks else { return Ok(()) };
        if !is_at(time, *first + *every * *k) {
            return Ok(());
        }
        *k += 1.0;
        self.reach(now, T::constant(time), jump)?;
        let now = *now;
        self.set_moving(now);
        load(&mut self.ticking, now, &self.state, &self.moving);
        let program = &self.system.tick.late;
        program.execute(&mut self.ticking);
        let n = self.system.states().len();
        for i in 0..program.output_count() {
            let value = program.result(&self.ticking, i);
            if !value.is_finite() {
                return Err(self.no_value(n + i, now.value()));
            }
            *jump |= (value - self.state[n + i]).size() != 0.0;
            self.state[n + i] = value;
        }
        Ok(())
    }

    /// Where conditions on the time turn within this regime, the latest first.
    fn breaks(&self, from: f64) -> Vec<T> {
        let program = &self.system.breaks.program;
        if program.output_count() == 0 {
            return Vec::new();
        }
        let found = run(program, self.held());
        let end = self.marks.last().map_or(from, |(time, _)| *time);
        let after = from + SAME * from.abs();
        let (single, repeated) = found.split_at(self.system.breaks.single.min(found.len()));
        let mut all: Vec<T> = single.to_vec();
        for pair in repeated.chunks(2) {
            let [offset, slope] = *pair else { continue };
            let (o, s) = (offset.value(), slope.value());
            let (a, b) = (o + s * after, o + s * end);
            let (low, high) = (a.min(b).ceil(), a.max(b).floor());
            // More corners than this are a texture, which the solver must take as it is.
            if (high - low).is_finite() && high - low < 100_000.0 {
                let mut k = low;
                while k <= high {
                    all.push((T::constant(k) - offset) / slope);
                    k += 1.0;
                }
            }
        }
        // Lanes may turn at different times; then the solver feels its way.
        all.retain(|t| {
            let one = (t.largest() - t.least()).abs() <= SAME * t.largest();
            t.is_finite() && one && t.value() > after && t.value() <= end
        });
        all.sort_by(|a, b| b.value().total_cmp(&a.value()));
        all
    }

    fn advance(&mut self, from: T, to: T) -> Result<(), EngineError> {
        let length = to - from;
        if length.size() == 0.0 {
            return Ok(());
        }
        let system = self.system;
        let n = system.states().len();
        let layout = self.layout();
        let linear = layout.linear.len();
        if linear > 0 {
            self.scratch.clear();
            for (k, state) in layout.linear.iter().enumerate() {
                self.scratch
                    .push(self.coefficients[k * (linear + 1) + linear] + self.rates[*state]);
            }
            let start: Vec<T> = layout.linear.iter().map(|state| self.state[*state]).collect();
            self.flow.set(&self.spectrum, &start, &self.scratch);
            if !layout.integrated.is_empty() {
                self.flow.at(&self.spectrum, length);
                for (k, start) in start.iter().enumerate() {
                    self.solver
                        .see_driver(start.envelope(self.flow.state(&self.spectrum, k)));
                }
            }
        }
        if !layout.integrated.is_empty() {
            self.solved.clear();
            self.solved.extend(layout.integrated.iter().map(|state| self.state[*state]));
            let hair = T::constant(SAME * from.largest().max(to.largest()));
            let turns = system.breaks.program.output_count() > 0;
            let inside = turns.then(|| (from + hair, to - hair));
            let mut field = Field {
                layout,
                states: n,
                clocked: system.clocked().len(),
                start: from,
                inside,
                flow: &mut self.flow,
                spectrum: &self.spectrum,
                coefficients: &self.coefficients,
                rates: &self.rates,
                moving: &self.moving,
                field: &mut self.field,
                jacobian: &mut self.jacobian,
                drift: &self.scratch,
            };
            field.hold(&self.state[n..]);
            let solver = if self.closed {
                &mut self.solver
            } else {
                &mut self.whole_solver
            };
            let done = solver.advance(&mut field, from, to, &mut self.solved);
            for (state, value) in layout.integrated.iter().zip(&self.solved) {
                self.state[*state] = *value;
            }
            done.map_err(|fault| self.fault(fault))?;
        }
        if !layout.stepped.is_empty() {
            load(&mut self.held_states, from, &self.state, &self.moving);
            layout.held.late.execute(&mut self.held_states);
            for (k, state) in layout.stepped.iter().enumerate() {
                let speed = layout.held.late.result(&self.held_states, k) + self.rates[*state];
                self.state[*state] = self.state[*state] + speed * length;
            }
        }
        if linear > 0 {
            self.flow.at_with_sums(&self.spectrum, length);
            for (k, state) in layout.sums.iter().enumerate() {
                let row = &self.coefficients[(linear + k) * (linear + 1)..(linear + k + 1) * (linear + 1)];
                let mut sum = (row[linear] + self.rates[*state]) * length;
                for (j, c) in row[..linear].iter().enumerate() {
                    if c.size() != 0.0 {
                        sum = sum + *c * self.flow.sum(&self.spectrum, j);
                    }
                }
                self.state[*state] = self.state[*state] + sum;
            }
            for (k, state) in layout.linear.iter().enumerate() {
                self.state[*state] = self.flow.state(&self.spectrum, k);
            }
        } else if self.closed {
            for (k, state) in layout.sums.iter().enumerate() {
                self.state[*state] = self.state[*state] + (self.coefficients[k] + self.rates[*state]) * length;
            }
        }
        for (value, slope) in &mut self.moving {
            *value = *value + *slope * length;
        }
        match self.state.iter().position(|x| !x.is_finite()) {
            Some(i) => Err(self.no_value(i, to.value())),
            None => Ok(()),
        }
    }

    /// The way of solving that holds now.
    fn layout(&self) -> &'a Layout {
        if self.closed { &self.layouts.split } else { &self.layouts.whole }
    }

    fn read_now(&mut self, now: T) {
        let staged = if self.observed_only {
            &self.system.observed
        } else {
            &self.system.read
        };
        load(&mut self.read, now, &self.state, &self.moving);
        staged.late.execute(&mut self.read);
        self.values.resize(staged.late.output_count(), T::constant(f64::NAN));
        staged.late.results(&self.read, &mut self.values);
    }

    /// Puts the states where they would be had this dose been repeated for ever.
    fn settle(&mut self, dose: Entering<T>, settled: Settled, now: T) -> Result<(), EngineError> {
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
        if !(linear && self.layouts.split.integrated.is_empty()) {
            // Through whole intervals until nothing changes any more.
            let sums: &[usize] = if self.closed {
                &self.layouts.split.sums
            } else {
                &system.area_states
            };
            let mut settled_now = false;
            for _ in 0..MOST_INTERVALS {
                let before = self.state.clone();
                let mut at = now;
                if is_bolus {
                    self.state[dose.state] = self.state[dose.state] + dose.amount;
                } else {
                    self.rates[dose.state] = dose.rate;
                    self.restart(now);
                    self.advance(now, now + dose.duration)?;
                    at = now + dose.duration;
                    self.rates[dose.state] = zero;
                }
                self.restart(at);
                self.advance(at, now + interval)?;
                let moved = self.state.iter().zip(&before).enumerate().take(n).any(|(i, (a, b))| {
                    !sums.contains(&i)
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
            let mut at = now;
            if is_bolus {
                self.state[dose.state] = self.state[dose.state] + dose.amount;
            } else {
                self.rates[dose.state] = dose.rate;
                self.restart(now);
                self.advance(now, now + dose.duration)?;
                at = now + dose.duration;
                self.rates[dose.state] = zero;
            }
            self.restart(at);
            self.advance(at, now + rest)?;
        }
        // Sums do not settle: they start anew.
        for state in self.layouts.split.sums.iter().chain(&system.area_states) {
            self.state[*state] = if settled.added { zero } else { old[*state] };
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

    /// Repeats a cycle until it repeats itself, then reads within one more.
    fn walk_cycles(
        &mut self,
        tolerance: f64,
        at_most: usize,
        see: &mut impl FnMut(usize, &[T]),
    ) -> Result<(), EngineError> {
        let zero = T::constant(0.0);
        self.regime = self.regime_at(0.0);
        self.begin(zero)?;
        let pace = run(&self.system.pace, self.held());
        let length = pace.last().copied().unwrap_or(T::constant(f64::NAN));
        if !(length.is_finite() && length.value() > 0.0) {
            return Err(EngineError::input("the length of a cycle", length.value().to_string()));
        }
        let marks = std::mem::take(&mut self.marks);
        self.marks = vec![(length.value(), 0)];
        let mut corners = self.breaks(0.0);
        corners.reverse();
        corners.retain(|t| t.value() < length.value());
        corners.push(length);
        self.marks = marks;
        let areas = self.system.area_states.clone();
        // Sizes are taken along the way: at the seam a state that swings may be zero.
        let mut stops = corners.clone();
        stops.extend((1..8).map(|eighth| length.scale(f64::from(eighth) / 8.0)));
        stops.sort_by(|a, b| a.value().total_cmp(&b.value()));
        let mut settled = self.cycle_start.is_some();
        if let Some(start) = &self.cycle_start {
            self.state.copy_from_slice(start);
        }
        for _ in 0..if settled { 0 } else { at_most } {
            let before = self.state.clone();
            let mut sizes = before.clone();
            let mut now = zero;
            for stop in &stops {
                self.restart(now);
                self.advance(now, *stop)?;
                now = *stop;
                for (size, x) in sizes.iter_mut().zip(&self.state) {
                    *size = size.envelope(*x);
                }
            }
            let moved = self
                .state
                .iter()
                .zip(&before)
                .zip(&sizes)
                .enumerate()
                .any(|(i, ((a, b), size))| !areas.contains(&i) && (*a - *b).size() > tolerance * size.size());
            for area in &areas {
                self.state[*area] = zero;
            }
            if !moved {
                settled = true;
                break;
            }
        }
        if !settled {
            return Err(EngineError::Solution {
                what: "the cycle".to_owned(),
                time: length.value(),
                why: format!("it does not repeat itself after {at_most} cycles"),
            });
        }
        self.cycle_start = Some(self.state.clone());
        // One more, with readings.
        let mut marks: Vec<(f64, usize)> = self
            .marks
            .iter()
            .map(|(time, place)| {
                let inside = time - (time / length.value()).floor() * length.value();
                let at_end = *time > 0.0 && inside <= SAME * time;
                (if at_end { length.value() } else { inside }, *place)
            })
            .collect();
        marks.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut marks = marks.into_iter().peekable();
        let mut now = zero;
        for corner in &corners {
            self.restart(now);
            while let Some((time, place)) =
                marks.next_if(|(time, _)| *time < corner.value() || corner.value() == length.value())
            {
                let to = if time == length.value() {
                    length
                } else {
                    T::constant(time)
                };
                self.advance(now, to)?;
                now = to;
                self.read_now(now);
                see(place, &self.values);
            }
            self.advance(now, *corner)?;
            now = *corner;
        }
        Ok(())
    }

    fn no_value(&self, state: usize, time: f64) -> EngineError {
        let names = self.system.states().iter().chain(self.system.clocked());
        EngineError::Solution {
            what: names.clone().nth(state).cloned().unwrap_or_default(),
            time,
            why: "it has no finite value".to_owned(),
        }
    }

    fn fault(&self, fault: Fault) -> EngineError {
        let layout = self.layout();
        let (what, time) = match fault {
            Fault::NotFinite { time, state } | Fault::StepTooSmall { time, state } => {
                (layout.integrated.get(state).copied(), time)
            }
            Fault::TooManySteps { time, .. } => (None, time),
            Fault::Interval { from, .. } => (None, from),
        };
        let why = match fault {
            Fault::NotFinite { .. } => "it has no finite value, however short the step".to_owned(),
            Fault::TooManySteps { steps, .. } => format!("{steps} steps were not enough"),
            Fault::StepTooSmall { .. } => "no step is short enough".to_owned(),
            Fault::Interval { to, .. } => format!("time would run backwards, to {to}"),
        };
        let name = what.and_then(|i| self.system.states().get(i)).cloned();
        EngineError::Solution {
            what: name.unwrap_or_else(|| "the states".to_owned()),
            time,
            why,
        }
    }
}

fn lanes<T: Number>(x: T) -> impl Iterator<Item = f64> {
    (0..T::LANES).map(move |lane| x.lane(lane))
}

/// Whether something is due now; nothing comes before.
fn is_at(now: f64, time: f64) -> bool {
    time <= now + SAME * now.abs()
}

/// Forgets the ends of the infusions that run: in every lane, or the lanes are out of step.
fn stop_infusions<T: Number>(events: &mut Vec<Event<T>>, next: usize, now: T) -> Result<(), EngineError> {
    let mut late = None;
    let mut place = 0;
    events.retain(|event| {
        place += 1;
        let stops = place > next && matches!(event.kind, Kind::InfusionEnd { .. });
        if stops && lanes(event.time - now).any(|left| left < -SAME * now.largest()) {
            late = Some(event.time.value());
        }
        !stops
    });
    late.map_or(Ok(()), |time| Err(out_of_step(time)))
}

fn out_of_step(time: f64) -> EngineError {
    EngineError::Solution {
        what: "the events".to_owned(),
        time,
        why: "they come in another order for other parameters, which cannot be computed together".to_owned(),
    }
}

fn before<T: Number>(a: &Event<T>, b: &Event<T>) -> bool {
    a.time
        .value()
        .total_cmp(&b.time.value())
        .then(a.kind.cmp(&b.kind))
        .is_lt()
}

/// Writes what changes in time into the registers of a late program: time, states, moving and delayed inputs.
fn load<T: Number>(frame: &mut Frame<T>, now: T, state: &[T], moving: &[(T, T)]) {
    let late = std::iter::once(now).chain(state.iter().copied()).chain(moving.iter().map(|(value, _)| *value));
    for (cell, value) in frame.inputs().iter_mut().zip(late) {
        *cell = value;
    }
}

/// Runs a program once.
fn run<T: Number>(program: &crate::lang::Program, inputs: &[T]) -> Vec<T> {
    let mut out = vec![T::constant(f64::NAN); program.output_count()];
    if !out.is_empty() {
        program.run(inputs, &mut program.frame(), &mut out);
    }
    out
}
