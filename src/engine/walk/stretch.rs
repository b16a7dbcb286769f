//! Between two events: the programs and the closed form that hold, the way from one to the other, what is read.

use super::{SAME, Walker, load, run};
use crate::engine::EngineError;
use crate::engine::field::Field;
use crate::engine::layout::Layout;
use crate::engine::spectral::Spectrum;
use crate::lang::Number;

impl<'a, T: Number> Walker<'a, T> {
    /// Every state at its initial value, nothing running.
    pub(super) fn begin(&mut self, now: T) -> Result<(), EngineError> {
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
    pub(super) fn enter_regime(&mut self, now: T) -> Result<(), EngineError> {
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

    pub(super) fn restart(&mut self, now: T) {
        self.solver.restart();
        self.whole_solver.restart();
        self.set_moving(now);
    }

    /// Moving and delayed inputs at the start of a step.
    pub(super) fn set_moving(&mut self, now: T) {
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
    pub(super) fn input_at(&self, input: usize, time: T) -> (T, T) {
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

    pub(super) fn advance(&mut self, from: T, to: T) -> Result<(), EngineError> {
        self.advance_past(from, to, &[], &mut |_, _| {})
    }

    /// Goes on from one time to another, nothing happening in between, and reads at `marks` on the way.
    pub(super) fn advance_past(
        &mut self,
        from: T,
        to: T,
        marks: &[(f64, usize)],
        see: &mut impl FnMut(usize, &[T]),
    ) -> Result<(), EngineError> {
        let length = to - from;
        if length.size() == 0.0 {
            return Ok(());
        }
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
        let on_the_way = self.integrate(from, to, marks)?;
        if !marks.is_empty() {
            let at_end: Vec<T> = layout.integrated.iter().map(|state| self.state[*state]).collect();
            let start = self.state.clone();
            for (k, (time, place)) in marks.iter().enumerate() {
                self.state.copy_from_slice(&start);
                let solved = &on_the_way[k * at_end.len()..];
                for (state, value) in layout.integrated.iter().zip(solved) {
                    self.state[*state] = *value;
                }
                let time = T::constant(*time);
                self.arrive(from, time - from);
                self.read_now(time);
                see(*place, &self.values);
            }
            self.state.copy_from_slice(&start);
            for (state, value) in layout.integrated.iter().zip(at_end) {
                self.state[*state] = value;
            }
        }
        self.arrive(from, length);
        for (value, slope) in &mut self.moving {
            *value = *value + *slope * length;
        }
        match self.state.iter().position(|x| !x.is_finite()) {
            Some(i) => Err(self.no_value(i, to.value())),
            None => Ok(()),
        }
    }

    /// Integrates what must be; gives it at the marks, one after the other.
    fn integrate(&mut self, from: T, to: T, marks: &[(f64, usize)]) -> Result<Vec<T>, EngineError> {
        let mut on_the_way = Vec::new();
        let (system, layout) = (self.system, self.layout());
        if layout.integrated.is_empty() {
            return Ok(on_the_way);
        }
        let n = system.states().len();
        self.solved.clear();
        self.solved
            .extend(layout.integrated.iter().map(|state| self.state[*state]));
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
        let length = to - from;
        let parts: Vec<T> = marks
            .iter()
            .map(|(time, _)| (T::constant(*time) - from) / length)
            .collect();
        let done = solver.advance_past(&mut field, from, to, &mut self.solved, &parts, |solved| {
            on_the_way.extend_from_slice(solved);
        });
        for (state, value) in layout.integrated.iter().zip(&self.solved) {
            self.state[*state] = *value;
        }
        done.map_err(|fault| self.fault(fault))?;
        Ok(on_the_way)
    }

    /// Brings the states that are not integrated to where they are `length` after `from`.
    fn arrive(&mut self, from: T, length: T) {
        let layout = self.layout();
        let linear = layout.linear.len();
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
    }

    /// The way of solving that holds now.
    pub(super) fn layout(&self) -> &'a Layout {
        if self.closed {
            &self.layouts.split
        } else {
            &self.layouts.whole
        }
    }

    pub(super) fn read_now(&mut self, now: T) {
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
}
