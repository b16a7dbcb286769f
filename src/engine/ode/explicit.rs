//! The explicit method: order 5 with an error estimate of order 4, six evaluations a step.
//!
//! J. R. Dormand, P. J. Prince, A family of embedded Runge-Kutta formulae, Journal of Computational and Applied
//! Mathematics 6 (1980) 19-26; HNW, section II.5; the test for stiffness is that of HW, section IV.2.

use super::{Attempt, Rhs, Scale, Worst};
use crate::lang::Number;

const C: [f64; 4] = [1.0 / 5.0, 3.0 / 10.0, 4.0 / 5.0, 8.0 / 9.0];
const A2: [f64; 1] = [1.0 / 5.0];
const A3: [f64; 2] = [3.0 / 40.0, 9.0 / 40.0];
const A4: [f64; 3] = [44.0 / 45.0, -56.0 / 15.0, 32.0 / 9.0];
const A5: [f64; 4] = [19372.0 / 6561.0, -25360.0 / 2187.0, 64448.0 / 6561.0, -212.0 / 729.0];
const A6: [f64; 5] = [
    9017.0 / 3168.0,
    -355.0 / 33.0,
    46732.0 / 5247.0,
    49.0 / 176.0,
    -5103.0 / 18656.0,
];
/// Weights of the solution; that of the second stage is zero and left out.
const B: [f64; 5] = [
    35.0 / 384.0,
    500.0 / 1113.0,
    125.0 / 192.0,
    -2187.0 / 6784.0,
    11.0 / 84.0,
];
/// Weights of the error estimate, without the second stage.
const E: [f64; 6] = [
    71.0 / 57600.0,
    -71.0 / 16695.0,
    71.0 / 1920.0,
    -17253.0 / 339_200.0,
    22.0 / 525.0,
    -1.0 / 40.0,
];

/// Weights of the solution of order 3 from the stages at 0, 3/10 and 1, by interpolation: the third stage is exact to order 2.
const COARSE: [f64; 3] = [-1.0 / 18.0, 50.0 / 63.0, 11.0 / 42.0];

/// Weights of the stages in the part of the interpolating polynomial that bends most, without the second stage: order 4
/// within the step (HNW, section II.6).
const BEND: [f64; 6] = [
    -12_715_105_075.0 / 11_282_082_432.0,
    87_487_479_700.0 / 32_700_410_799.0,
    -10_690_763_975.0 / 1_880_347_072.0,
    701_980_252_875.0 / 199_316_789_632.0,
    -1_453_857_185.0 / 822_651_844.0,
    69_997_945.0 / 29_380_423.0,
];

/// The working memory of the method.
#[derive(Debug, Clone)]
pub(super) struct Explicit<T> {
    /// The derivatives found in a step; the first is known from the step before, the last belongs to its end.
    pub(super) stages: [Vec<T>; 7],
    /// The states at which a derivative is wanted; after a step those of the sixth stage.
    work: Vec<T>,
}

/// `out = y + h * (weighted sum of the stages)`.
#[inline]
fn combine<T: Number, const M: usize>(out: &mut [T], y: &[T], h: T, stages: [&[T]; M], weights: [f64; M]) {
    let n = out.len();
    let y = &y[..n];
    let stages = stages.map(|k| &k[..n]);
    for i in 0..n {
        let mut sum = stages[0][i].scale(weights[0]);
        for j in 1..M {
            sum = sum + stages[j][i].scale(weights[j]);
        }
        out[i] = y[i] + h * sum;
    }
}

impl<T: Number> Explicit<T> {
    pub(super) fn new(size: usize) -> Self {
        let zeros = || vec![T::constant(0.0); size];
        Self {
            stages: [zeros(), zeros(), zeros(), zeros(), zeros(), zeros(), zeros()],
            work: zeros(),
        }
    }

    /// Tries a step: the result goes to `next`, its scaled error is returned.
    pub(super) fn attempt(
        &mut self,
        rhs: &mut impl Rhs<T>,
        step: &Attempt<'_, T>,
        next: &mut [T],
        scale: &mut Scale<'_, T>,
    ) -> f64 {
        let (y, h) = (step.y, step.h);
        let n = y.len();
        let work = &mut self.work[..n];
        let [k1, k2, k3, k4, k5, k6, k7] = &mut self.stages;
        combine(work, y, h, [k1], A2);
        rhs.derivative(step.time(C[0]), work, k2);
        combine(work, y, h, [k1, k2], A3);
        rhs.derivative(step.time(C[1]), work, k3);
        combine(work, y, h, [k1, k2, k3], A4);
        rhs.derivative(step.time(C[2]), work, k4);
        combine(work, y, h, [k1, k2, k3, k4], A5);
        rhs.derivative(step.time(C[3]), work, k5);
        combine(work, y, h, [k1, k2, k3, k4, k5], A6);
        let end = step.time(1.0);
        rhs.derivative(end, work, k6);
        combine(next, y, h, [k1, k3, k4, k5, k6], B);
        rhs.derivative(end, next, k7);

        scale.include(next);
        let [k1, _, k3, k4, k5, k6, k7] = &self.stages;
        let stages: [&[T]; 6] = [&k1[..n], &k3[..n], &k4[..n], &k5[..n], &k6[..n], &k7[..n]];
        let next = &next[..n];
        let mut worst = Worst::default();
        for i in 0..n {
            let mut sum = stages[0][i].scale(E[0]);
            for j in 1..6 {
                sum = sum + stages[j][i].scale(E[j]);
            }
            worst.add(scale.error(i, h * sum, y[i], next[i]));
        }
        worst.get()
    }

    /// The solution at the part `theta` of the step just tried, from its stages alone.
    pub(super) fn within(&self, step: &Attempt<'_, T>, next: &[T], theta: T, out: &mut [T]) {
        let [k1, _, k3, k4, k5, k6, k7] = &self.stages;
        let (h, left) = (step.h, T::constant(1.0) - theta);
        for (i, out) in out.iter_mut().enumerate() {
            let rise = next[i] - step.y[i];
            let first = h * k1[i] - rise;
            let last = rise - h * k7[i] - first;
            let mut bend = k1[i].scale(BEND[0]);
            for (k, weight) in [k3, k4, k5, k6, k7].into_iter().zip(&BEND[1..]) {
                bend = bend + k[i].scale(*weight);
            }
            *out = step.y[i] + theta * (rise + left * (first + theta * (last + left * h * bend)));
        }
    }

    /// The scaled error of a solution of order 3 in the step just tried: seldom zero where the other estimate is.
    pub(super) fn coarse_error(&self, step: &Attempt<'_, T>, next: &[T], scale: &Scale<'_, T>) -> f64 {
        let [first, _, third, .., last] = &self.stages;
        let mut worst = Worst::default();
        for (i, (y, next)) in step.y.iter().zip(next).enumerate() {
            let sum = first[i].scale(COARSE[0]) + third[i].scale(COARSE[1]) + last[i].scale(COARSE[2]);
            worst.add(scale.error(i, *next - *y - step.h * sum, *y, *next));
        }
        worst.get()
    }

    /// The product of step and rate seen in the step just taken, in the worst lane: the last two stages belong to the
    /// same time, so their difference tells how strongly the right side answers to the states.
    pub(super) fn fastest(&self, h: T, next: &[T], peak: &[T]) -> f64 {
        let mut top = T::constant(0.0);
        let mut bottom = top;
        for (i, y) in next.iter().enumerate() {
            // States of different units count alike.
            let size = peak[i].largest();
            if size > 0.0 {
                let df = (self.stages[6][i] - self.stages[5][i]).scale(1.0 / size);
                let dy = (*y - self.work[i]).scale(1.0 / size);
                top = top + df * df;
                bottom = bottom + dy * dy;
            }
        }
        T::worst_ratio(top * h * h, bottom).sqrt()
    }

    /// The state that first was not finite in the last attempt.
    pub(super) fn culprit(&self) -> usize {
        let bad = |k: &Vec<T>| k.iter().position(|f| !f.is_finite());
        self.stages.iter().find_map(bad).unwrap_or(0)
    }
}
