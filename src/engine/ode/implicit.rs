//! The implicit method for stiff problems: Rodas4P, a Rosenbrock method of order 4 with an error estimate of order 3.
//!
//! It is L-stable and solves six linear systems with the same matrix a step, no nonlinear ones. Method: HW, section
//! IV.7, in the form without products of matrix and vector. Coefficients: G. Steinebach, Order-reduction of ROW-methods
//! for DAEs and method of lines applications, preprint 1741, Technische Hochschule Darmstadt 1995, the third set of the
//! program RODAS of HW; of the sets of six stages it suffers least where slow inputs drive fast states. The systems are
//! multiplied by the step here, so that a lane whose step is zero does no harm.
#![allow(clippy::needless_range_loop)]

use super::{Attempt, Rhs, Scale, Worst};
use crate::lang::Number;

const GAMMA: f64 = 0.25;
/// Times of the stages as parts of the step.
const ALPHA: [f64; 6] = [0.0, 0.75, 0.21, 0.63, 1.0, 1.0];
/// Weights of the derivative by time.
const D: [f64; 6] = [0.25, -0.5, -0.023_504, -0.0362, 0.0, 0.0];
/// Weights of earlier stages in the states of a stage. From the fifth stage on each adds itself to the states before.
const A: [[f64; 4]; 5] = [
    [0.0; 4],
    [3.0, 0.0, 0.0, 0.0],
    [1.831_036_793_486_759, 0.495_518_396_743_379_5, 0.0, 0.0],
    [
        2.304_376_582_692_669,
        -0.052_492_752_457_430_01,
        -1.176_798_761_832_782,
        0.0,
    ],
    [
        -7.170_454_962_423_024,
        -4.741_636_671_481_785,
        -16.310_026_313_309_71,
        -1.062_004_044_111_401,
    ],
];
/// Weights of earlier stages in the right side of a stage.
const CC: [[f64; 5]; 6] = [
    [0.0; 5],
    [-12.0, 0.0, 0.0, 0.0, 0.0],
    [-8.791_795_173_947_035, -2.207_865_586_973_518, 0.0, 0.0, 0.0],
    [
        10.817_930_568_571_53,
        6.780_270_611_428_266,
        19.534_859_446_424_1,
        0.0,
        0.0,
    ],
    [
        34.190_950_067_496_76,
        15.496_711_537_259_63,
        54.747_608_759_641_3,
        14.160_053_921_485_34,
        0.0,
    ],
    [
        34.626_058_309_305_32,
        15.300_849_761_144_73,
        56.999_555_786_626_67,
        18.408_070_097_930_95,
        -5.714_285_714_285_717,
    ],
];

/// The diagonal is kept as pivot unless another element is so many times as large.
const PIVOT: f64 = 10.0;

/// The working memory of the method; empty until it is first used.
#[derive(Debug, Clone)]
pub(super) struct Implicit<T> {
    /// Whether the Jacobian belongs to another point.
    pub(super) stale: bool,
    /// The state that was not finite in the last attempt.
    pub(super) culprit: usize,
    jacobian: Vec<T>,
    dfdt: Vec<T>,
    /// Whether `dfdt` is zero throughout.
    autonomous: bool,
    system: System<T>,
    stages: [Vec<T>; 6],
    work: Vec<T>,
    derivative: Vec<T>,
}

impl<T: Number> Implicit<T> {
    pub(super) fn new() -> Self {
        Self {
            stale: true,
            culprit: 0,
            jacobian: Vec::new(),
            dfdt: Vec::new(),
            autonomous: true,
            system: System::new(),
            stages: std::array::from_fn(|_| Vec::new()),
            work: Vec::new(),
            derivative: Vec::new(),
        }
    }

    fn make_room(&mut self, n: usize) {
        let zero = T::constant(0.0);
        if self.work.len() != n {
            for vector in [&mut self.dfdt, &mut self.work, &mut self.derivative] {
                vector.resize(n, zero);
            }
            for stage in &mut self.stages {
                stage.resize(n, zero);
            }
            self.jacobian.resize(n * n, zero);
            self.system.make_room(n);
        }
    }

    fn fill(&mut self, rhs: &mut impl Rhs<T>, step: &Attempt<'_, T>) {
        let zero = T::constant(0.0);
        self.jacobian.fill(zero);
        self.dfdt.fill(zero);
        rhs.jacobian(step.time(0.0), step.y, &mut self.jacobian, &mut self.dfdt);
    }

    /// The largest rate on the diagonal of the Jacobian at the start of a step, lane by lane.
    pub(super) fn fastest(&mut self, rhs: &mut impl Rhs<T>, step: &Attempt<'_, T>) -> T {
        let n = step.y.len();
        self.make_room(n);
        self.fill(rhs, step);
        self.stale = true;
        let diagonal = self.jacobian.iter().step_by(n + 1);
        diagonal.fold(T::constant(0.0), |most, rate| most.envelope(*rate))
    }

    /// Tries a step, given the derivative at its start: the result goes to `next`, its scaled error is returned.
    pub(super) fn attempt(
        &mut self,
        rhs: &mut impl Rhs<T>,
        step: &Attempt<'_, T>,
        first: &[T],
        next: &mut [T],
        scale: &mut Scale<'_, T>,
    ) -> f64 {
        let (y, h) = (step.y, step.h);
        let n = y.len();
        self.make_room(n);
        if self.stale {
            self.fill(rhs, step);
            self.autonomous = self.dfdt.iter().all(|d| d.size() == 0.0);
            self.stale = false;
        }
        let hg = h.scale(GAMMA);
        if !self.system.factor(&self.jacobian, hg) {
            self.culprit = self.jacobian.iter().position(|j| !j.is_finite()).unwrap_or(0) / n;
            return f64::NAN;
        }
        for s in 0..6 {
            let (before, rest) = self.stages.split_at_mut(s);
            let Some(stage) = rest.first_mut() else { break };
            // The states of the stage. Those of the last are kept in `work`: with the last stage they give the result.
            if s == 5 {
                for i in 0..n {
                    self.work[i] = self.work[i] + before[4][i];
                }
            } else if s > 0 {
                for i in 0..n {
                    let mut sum = y[i];
                    for j in 0..s {
                        sum = sum + before[j][i].scale(A[s][j]);
                    }
                    self.work[i] = sum;
                }
            }
            let f = if s == 0 {
                first
            } else {
                rhs.derivative(step.time(ALPHA[s]), &self.work, &mut self.derivative);
                if let Some(state) = self.derivative.iter().position(|f| !f.is_finite()) {
                    self.culprit = state;
                    return f64::NAN;
                }
                self.derivative.as_slice()
            };
            let in_time = !self.autonomous && D[s] != 0.0;
            for i in 0..n {
                let slope = if in_time {
                    f[i] + (h * self.dfdt[i]).scale(D[s])
                } else {
                    f[i]
                };
                let mut sum = hg * slope;
                for j in 0..s {
                    sum = sum + before[j][i].scale(GAMMA * CC[s][j]);
                }
                stage[i] = sum;
            }
            self.system.solve(stage);
        }
        let last = &self.stages[5];
        for i in 0..n {
            next[i] = self.work[i] + last[i];
        }
        scale.include(next);
        let mut worst = Worst::default();
        for i in 0..n {
            worst.add(scale.error(i, last[i], y[i], next[i]));
        }
        let error = worst.get();
        if !error.is_finite() {
            self.culprit = next.iter().position(|y| !y.is_finite()).unwrap_or(0);
        }
        error
    }
}

/// The matrix `1 - hg * J` in triangular factors, their zeros left out.
#[derive(Debug, Clone)]
struct System<T> {
    n: usize,
    matrix: Vec<T>,
    /// The row exchanged with each row.
    exchange: Vec<usize>,
    /// Inverse of the diagonal.
    inverse: Vec<T>,
    /// Columns that are not zero in the row being used.
    columns: Vec<usize>,
    /// Elements below the diagonal, row by row, and where each row ends.
    lower: Vec<(usize, T)>,
    lower_end: Vec<usize>,
    /// Elements above the diagonal, row by row, and where each row ends.
    upper: Vec<(usize, T)>,
    upper_end: Vec<usize>,
}

impl<T: Number> System<T> {
    fn new() -> Self {
        Self {
            n: 0,
            matrix: Vec::new(),
            exchange: Vec::new(),
            inverse: Vec::new(),
            columns: Vec::new(),
            lower: Vec::new(),
            lower_end: Vec::new(),
            upper: Vec::new(),
            upper_end: Vec::new(),
        }
    }

    fn make_room(&mut self, n: usize) {
        let zero = T::constant(0.0);
        self.n = n;
        self.matrix.resize(n * n, zero);
        self.exchange.resize(n, 0);
        self.inverse.resize(n, zero);
        self.columns.reserve(n);
        self.lower.reserve(n * n);
        self.lower_end.resize(n, 0);
        self.upper.reserve(n * n);
        self.upper_end.resize(n, 0);
    }

    /// Gaussian elimination with exchange of rows; false if the matrix is singular or not finite.
    ///
    /// All lanes share one order of rows: an element counts for what it is in its smallest lane.
    fn factor(&mut self, jacobian: &[T], hg: T) -> bool {
        let n = self.n;
        for (m, j) in self.matrix.iter_mut().zip(jacobian) {
            *m = -(hg * *j);
        }
        let one = T::constant(1.0);
        for i in 0..n {
            self.matrix[i * n + i] = self.matrix[i * n + i] + one;
        }
        let matrix = &mut self.matrix;
        for k in 0..n {
            let own = matrix[k * n + k].least();
            let (mut best, mut row) = (own, k);
            for i in k + 1..n {
                let size = matrix[i * n + k].least();
                if size > best {
                    (best, row) = (size, i);
                }
            }
            if best <= PIVOT * own {
                row = k;
            }
            self.exchange[k] = row;
            if row != k {
                for j in 0..n {
                    matrix.swap(k * n + j, row * n + j);
                }
            }
            let pivot = matrix[k * n + k];
            if !pivot.is_finite() || pivot.least() == 0.0 {
                return false;
            }
            let inverse = one / pivot;
            self.inverse[k] = inverse;
            let (above, below) = matrix.split_at_mut((k + 1) * n);
            let above = &above[k * n..];
            self.columns.clear();
            self.columns.extend((k + 1..n).filter(|j| above[*j].size() != 0.0));
            for row in below.chunks_exact_mut(n) {
                if row[k].size() != 0.0 {
                    let multiple = row[k] * inverse;
                    row[k] = multiple;
                    for j in &self.columns {
                        row[*j] = row[*j] - multiple * above[*j];
                    }
                }
            }
        }
        self.lower.clear();
        self.upper.clear();
        for (i, row) in matrix.chunks_exact(n).enumerate() {
            for (j, element) in row.iter().enumerate() {
                if j != i && element.size() != 0.0 {
                    let part = if j < i { &mut self.lower } else { &mut self.upper };
                    part.push((j, *element));
                }
            }
            self.lower_end[i] = self.lower.len();
            self.upper_end[i] = self.upper.len();
        }
        true
    }

    /// Replaces `b` by the solution.
    fn solve(&self, b: &mut [T]) {
        for (k, row) in self.exchange.iter().enumerate() {
            b.swap(k, *row);
        }
        let mut start = 0;
        for (i, end) in self.lower_end.iter().enumerate() {
            let mut sum = b[i];
            for (j, element) in &self.lower[start..*end] {
                sum = sum - *element * b[*j];
            }
            b[i] = sum;
            start = *end;
        }
        for i in (0..self.n).rev() {
            let start = if i == 0 { 0 } else { self.upper_end[i - 1] };
            let mut sum = b[i];
            for (j, element) in &self.upper[start..self.upper_end[i]] {
                sum = sum - *element * b[*j];
            }
            b[i] = sum * self.inverse[i];
        }
    }
}
