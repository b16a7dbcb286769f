//! Linear systems of any kind, by the matrix exponential: repeated or complex eigenvalues included.
//!
//! Slower than the modes; used when those do not exist or would lose digits.

use super::expm::expm;
use super::linalg::{lu, lu_solve};
use super::linear::Coefficients;
use super::timeline::{Segment, Timeline};
use crate::lang::Number;

/// States of a linear system for one set of parameters.
pub(crate) struct General<'a, T> {
    n: usize,
    coefficients: &'a Coefficients<T>,
    dose_state: usize,
}

impl<'a, T: Number> General<'a, T> {
    pub(crate) fn new(coefficients: &'a Coefficients<T>, dose_state: usize) -> Self {
        // The read-out has n columns for each of the outputs; the matrix n*n places.
        let mut n = 0;
        while n * n < coefficients.matrix.len() {
            n += 1;
        }
        Self {
            n,
            coefficients,
            dose_state,
        }
    }

    /// Exponential of the states extended by a constant unit rate into the dose state and, after it, by the integral of
    /// each state: order n + 1 + n.
    fn step(&self, dt: f64, with_integrals: bool) -> Vec<T> {
        let n = self.n;
        let size = if with_integrals { 2 * n + 1 } else { n + 1 };
        let mut a = vec![T::constant(0.0); size * size];
        let scale = T::constant(dt);
        for i in 0..n {
            for j in 0..n {
                a[i * size + j] = self.coefficients.matrix[i * n + j] * scale;
            }
            if with_integrals {
                a[(n + 1 + i) * size + i] = scale;
            }
        }
        a[self.dose_state * size + n] = scale;
        expm(size, &a)
    }

    fn advance(&self, table: &[T], size: usize, state: &mut [T], rate: f64) {
        let n = self.n;
        let rate = T::constant(rate);
        let before = state.to_vec();
        for (i, cell) in state.iter_mut().enumerate() {
            let mut sum = table[i * size + n] * rate;
            for (j, x) in before.iter().enumerate() {
                sum = sum + table[i * size + j] * *x;
            }
            // Place n stands for the unit rate and stays 0: the rate of the segment is applied above.
            if i != n {
                *cell = sum;
            }
        }
    }

    fn tables(&self, timeline: &Timeline, with_integrals: bool) -> Vec<Option<Vec<T>>> {
        let mut tables: Vec<Option<Vec<T>>> = vec![None; timeline.steps.len()];
        for segment in &timeline.segments {
            if tables[segment.step].is_none() {
                tables[segment.step] = Some(self.step(timeline.steps[segment.step], with_integrals));
            }
        }
        tables
    }

    /// One output of a state.
    fn read(&self, output: usize, state: &[T]) -> T {
        let row = &self.coefficients.readout[output * self.n..(output + 1) * self.n];
        row.iter()
            .zip(state)
            .fold(self.coefficients.offset[output], |sum, (c, x)| sum + *c * *x)
    }

    fn walk(
        &self,
        timeline: &Timeline,
        start: Option<&[T]>,
        with_integrals: bool,
        mut see: impl FnMut(&Segment, &[T]),
    ) {
        let size = if with_integrals { 2 * self.n + 1 } else { self.n + 1 };
        let tables = self.tables(timeline, with_integrals);
        let mut state = vec![T::constant(0.0); size];
        if let Some(start) = start {
            state[..self.n].copy_from_slice(start);
        }
        for segment in &timeline.segments {
            if let Some(table) = &tables[segment.step] {
                self.advance(table, size, &mut state, segment.rate);
            }
            see(segment, &state);
            state[self.dose_state] = state[self.dose_state] + T::constant(segment.bolus);
        }
    }

    /// Outputs at the marks of a timeline.
    pub(crate) fn predict(&self, timeline: &Timeline, outputs: &[usize], into: &mut [T]) {
        self.walk(timeline, None, false, |segment, state| {
            for mark in &timeline.order[segment.marks.clone()] {
                into[*mark] = self.read(outputs[*mark], state);
            }
        });
    }

    /// Integral of an output, with its offset, from the start of the timeline to each mark, states starting from nothing.
    pub(crate) fn integrals(&self, timeline: &Timeline, output: usize, into: &mut [T]) {
        let n = self.n;
        let mut elapsed = 0.0;
        self.walk(timeline, None, true, |segment, state| {
            elapsed += timeline.steps[segment.step];
            for mark in &timeline.order[segment.marks.clone()] {
                let row = &self.coefficients.readout[output * n..(output + 1) * n];
                let sum = row
                    .iter()
                    .zip(&state[n + 1..])
                    .fold(T::constant(0.0), |sum, (c, x)| sum + *c * *x);
                into[*mark] = sum + self.coefficients.offset[output] * T::constant(elapsed);
            }
        });
    }
}

impl General<'_, f64> {
    /// Output over one interval of an endlessly repeated dose at the marks of a timeline of that interval: first the state
    /// that repeats itself, then a walk from it. `None` if the system does not settle.
    pub(crate) fn repeated(&self, timeline: &Timeline, output: usize, at_end: usize, into: &mut [f64]) -> Option<()> {
        let n = self.n;
        // What one interval adds, and how it carries a state on.
        let mut added = vec![0.0; n];
        self.walk(timeline, None, false, |segment, state| {
            if timeline.order[segment.marks.clone()].contains(&at_end) {
                added.copy_from_slice(&state[..n]);
            }
        });
        let total: f64 = timeline.segments.iter().map(|s| timeline.steps[s.step]).sum();
        let scaled: Vec<f64> = self.coefficients.matrix.iter().map(|x| x * total).collect();
        let mut left = expm(n, &scaled);
        for (i, x) in left.iter_mut().enumerate() {
            *x = if i % (n + 1) == 0 { 1.0 - *x } else { -*x };
        }
        let mut rows = vec![0; n];
        lu(n, &mut left, &mut rows, None)?;
        let start = lu_solve(n, &left, &rows, &added);
        self.walk(timeline, Some(&start), false, |segment, state| {
            for mark in &timeline.order[segment.marks.clone()] {
                into[*mark] = self.read(output, state);
            }
        });
        into.iter().all(|x| x.is_finite()).then_some(())
    }

    /// Integral of an output over all time after a unit dose, without its offset. `None` if it is endless.
    pub(crate) fn exposure(&self, output: usize) -> Option<f64> {
        let n = self.n;
        let mut a: Vec<f64> = self.coefficients.matrix.iter().map(|x| -x).collect();
        let mut rows = vec![0; n];
        lu(n, &mut a, &mut rows, None)?;
        let mut unit = vec![0.0; n];
        unit[self.dose_state] = 1.0;
        let x = lu_solve(n, &a, &rows, &unit);
        let row = &self.coefficients.readout[output * n..(output + 1) * n];
        let sum: f64 = row.iter().zip(&x).map(|(c, x)| c * x).sum();
        sum.is_finite().then_some(sum)
    }
}
