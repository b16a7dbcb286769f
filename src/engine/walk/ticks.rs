//! Ticks of the clock, and corners of the equations in time.

use super::{SAME, Walker, is_at, load, run};
use crate::engine::EngineError;
use crate::lang::Number;

/// Most ticks of one walk.
const MOST_TICKS: f64 = 1e7;

impl<T: Number> Walker<'_, T> {
    /// The next tick: first one, interval, and its number.
    pub(super) fn ticks(&self, from: f64, end: f64) -> Result<Option<(f64, f64, f64)>, EngineError> {
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
    pub(super) fn is_idle(&mut self, time: f64) -> bool {
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
        self.unknown.resize(
            1 + self.state.len() + self.moving.len(),
            self.system.interpolated.contains(&true),
        );
        self.unknown.resize(program.input_count(), false);
        program.execute_known(&mut self.ticking, &self.unknown, &mut self.known);
        (0..program.output_count()).all(|i| {
            let same = (program.result(&self.ticking, i) - self.state[n + i]).size() == 0.0;
            program.is_known(&self.known, i) && same
        })
    }

    /// Ticks if it is time to.
    pub(super) fn tick(
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
    pub(super) fn breaks(&self, from: f64) -> Vec<T> {
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
}
