//! Models that repeat themselves: on until they do, then read.

use super::{SAME, Walker, run};
use crate::engine::EngineError;
use crate::lang::Number;

impl<T: Number> Walker<'_, T> {
    /// Repeats a cycle until it repeats itself, then reads within one more.
    pub(super) fn walk_cycles(
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
}
