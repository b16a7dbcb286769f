//! One person through time: from event to event, in closed form where there is one, by integration elsewhere.
//!
//! At one time things happen in this order: inputs change, the clock ticks, values are read, infusions end and states are reset,
//! doses enter.

mod cycle;
mod events;
mod settle;
mod stretch;
mod ticks;

use events::{Entering, Event, Kind, before, forget, in_order};

use super::layout::Layouts;
use super::ode::{Fault, Solver, Tolerance};
use super::parameters::individual;
use super::spectral::{Flow, Spectrum};
use super::subject::Subject;
use super::system::System;
use super::{EngineError, Precision};
use crate::lang::{Frame, Number};

/// Times nearer than this (relative) are one.
const SAME: f64 = 1e-12;

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

/// Where a walk stands at a time, before anything happens then: others may go on from here, each to a future of its own.
#[derive(Debug, Clone)]
pub(crate) struct Standing<T> {
    time: f64,
    regime: usize,
    state: Vec<T>,
    rates: Vec<T>,
    running: Vec<usize>,
    /// When the infusions end that are running.
    ends: Vec<Event<T>>,
    solver: Solver<T>,
    whole_solver: Solver<T>,
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
        self.prepare();
        if let Some((tolerance, at_most)) = self.system.cycle {
            return self.walk_cycles(tolerance, at_most, &mut see);
        }
        let Some(last_mark) = self.marks.last().map(|(time, _)| *time) else {
            return Ok(());
        };
        let (start, events, entering) = self.set_out()?;
        self.go(start, None, last_mark, events, &entering, see).map(drop)
    }

    /// Walks until just before what happens at a time, and tells where it stands there. Marks from then on are not read.
    ///
    /// # Errors
    /// As [`Self::walk`]; also where events fall on both sides of that time in different lanes.
    pub(crate) fn walk_until(&mut self, time: f64, see: impl FnMut(usize, &[T])) -> Result<Standing<T>, EngineError> {
        self.prepare();
        let (start, events, entering) = self.set_out()?;
        let ends = self.go(start, Some(time), time, events, &entering, see)?;
        Ok(Standing {
            time: time.max(start),
            regime: self.regime,
            state: self.state.clone(),
            rates: self.rates.clone(),
            running: self.running.clone(),
            ends,
            solver: self.solver.clone(),
            whole_solver: self.whole_solver.clone(),
        })
    }

    /// Walks on from where a walk stood whose person, until then, was the same. Marks before that are not read.
    ///
    /// # Errors
    /// As [`Self::walk`].
    pub(crate) fn walk_from(
        &mut self,
        standing: &Standing<T>,
        see: impl FnMut(usize, &[T]),
    ) -> Result<(), EngineError> {
        let Some(last_mark) = self.marks.last().map(|(time, _)| *time) else {
            return Ok(());
        };
        self.prepare();
        let mut entering = Vec::with_capacity(self.subject.doses.len());
        let mut events = self.fixed_events(f64::NEG_INFINITY, &mut entering)?;
        events.retain(|event| is_at(event.time.value(), standing.time));
        events.extend(&standing.ends);
        events.sort_by(in_order);
        self.regime = standing.regime;
        self.state.copy_from_slice(&standing.state);
        self.rates.copy_from_slice(&standing.rates);
        self.running.copy_from_slice(&standing.running);
        self.solver.clone_from(&standing.solver);
        self.whole_solver.clone_from(&standing.whole_solver);
        self.enter_regime(T::constant(standing.time))?;
        self.go(standing.time, None, last_mark, events, &entering, see)
            .map(drop)
    }

    /// For the parameters set.
    fn prepare(&mut self) {
        self.solver.begin();
        self.whole_solver.begin();
        self.lags = self.fixed.iter().map(|fixed| run(&self.system.lags, fixed)).collect();
    }

    /// When a walk starts, with every state at its initial value; its events, and its doses.
    #[expect(clippy::type_complexity, reason = "three things that belong to one walk only")]
    fn set_out(&mut self) -> Result<(f64, Vec<Event<T>>, Vec<Entering<T>>), EngineError> {
        let given = self.subject.doses.iter().map(|given| given.dose.time);
        let marks = self.marks.iter().map(|(time, _)| *time);
        let start = given
            .chain(marks)
            .chain(self.subject.resets.iter().copied())
            .fold(0.0, f64::min);
        let mut entering = Vec::with_capacity(self.subject.doses.len());
        let events = self.fixed_events(start, &mut entering)?;
        self.regime = self.regime_at(start);
        self.begin(T::constant(start))?;
        Ok((start, events, entering))
    }

    /// From event to event up to `end`, or until just before what happens at a time; gives the ends of the infusions that run then.
    fn go(
        &mut self,
        start: f64,
        until: Option<f64>,
        end: f64,
        mut events: Vec<Event<T>>,
        entering: &[Entering<T>],
        mut see: impl FnMut(usize, &[T]),
    ) -> Result<Vec<Event<T>>, EngineError> {
        let mut now = T::constant(start);
        let mut ticks = self.ticks(start, end)?;
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
                let first = coming.iter().flatten().all(|time| *time >= tick)
                    && !coming[0].is_some_and(|time| is_at(tick, time));
                if first && tick < end && !jump && self.is_idle(tick) {
                    *k += 1.0;
                    continue;
                }
            }
            let Some(time) = coming
                .iter()
                .flatten()
                .copied()
                .reduce(f64::min)
                .filter(|time| *time <= end && !until.is_some_and(|until| is_at(*time, until)))
            else {
                break;
            };
            // What is only read on the way to what happens next need not be stopped at.
            if self.precision.interpolate && ticks.is_none() {
                let marks = self.ahead(&events[next..], now, breaks.last().copied(), end);
                if let Some((marks, to)) = marks {
                    if std::mem::take(&mut jump) {
                        self.restart(now);
                    }
                    next += marks.len();
                    self.advance_past(now, to, &marks, &mut see)?;
                    now = to;
                    continue;
                }
            }
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
                        let doses = &self.subject.doses;
                        forget(&mut events, next, now, |kind| match kind {
                            Kind::InfusionEnd { .. } => true,
                            // What was given before and has yet to enter never does.
                            Kind::Dose(place) => !is_at(doses[place].dose.time, time),
                            _ => false,
                        })?;
                    }
                    Kind::Settle(place) => {
                        jump = true;
                        let dose = entering[place];
                        if let Some(settled) = dose.settled {
                            self.settle(dose, settled, now)?;
                            if !settled.added {
                                forget(&mut events, next, now, |kind| matches!(kind, Kind::InfusionEnd { .. }))?;
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
        if let Some(until) = until.filter(|until| *until > start) {
            self.reach(&mut now, T::constant(until), &mut jump)?;
        }
        let mut rest = events.split_off(next);
        // What comes after the last reading in one lane may come before it in another.
        let passed = |event: &&Event<T>| lanes(event.time).any(|time| time < end && !is_at(time, end));
        if let Some(event) = rest.iter().find(passed) {
            return Err(out_of_step(event.time.value()));
        }
        rest.retain(|event| matches!(event.kind, Kind::InfusionEnd { .. }));
        Ok(rest)
    }

    /// The marks before anything happens, and where that is or the end; none where there are none, or where lanes or moving
    /// inputs would tell the way there apart.
    fn ahead(&self, events: &[Event<T>], now: T, corner: Option<T>, end: f64) -> Option<(Vec<(f64, usize)>, T)> {
        let is_mark = |event: &Event<T>| matches!(event.kind, Kind::Mark(_));
        let happens = events.iter().find(|event| !is_mark(event)).map(|event| event.time);
        let to = [happens, corner, Some(T::constant(end))]
            .into_iter()
            .flatten()
            .reduce(|a, b| if b.value() < a.value() { b } else { a })?;
        let one = |time: T| time.largest() - time.least() <= SAME * time.largest();
        if !one(now) || !one(to) || !self.moving.is_empty() {
            return None;
        }
        let between = |time: f64| !is_at(now.value(), time) && !is_at(time, to.value());
        let marks: Vec<(f64, usize)> = events
            .iter()
            .map_while(|event| match event.kind {
                Kind::Mark(place) if between(event.time.value()) => Some((event.time.value(), place)),
                _ => None,
            })
            .collect();
        (!marks.is_empty()).then_some((marks, to))
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

fn out_of_step(time: f64) -> EngineError {
    EngineError::Solution {
        what: "the events".to_owned(),
        time,
        why: "they come in another order for other parameters, which cannot be computed together".to_owned(),
    }
}

/// Writes what changes in time into the registers of a late program: time, states, moving and delayed inputs.
fn load<T: Number>(frame: &mut Frame<T>, now: T, state: &[T], moving: &[(T, T)]) {
    let late = std::iter::once(now)
        .chain(state.iter().copied())
        .chain(moving.iter().map(|(value, _)| *value));
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
