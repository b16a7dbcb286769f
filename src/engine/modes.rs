//! A system as independent exponential modes.
//!
//! With eigenvalues `rate[k]` of the state matrix, a unit dose gives the output `sum of weight[k] * exp(rate[k] * t)`. Each
//! mode follows `S' = rate * S + dose input`, on its own. The derivatives of rates and weights in the random effects
//! follow from first-order perturbation of the eigenvectors, exactly.

use super::eigen::Eigen;
use super::linear::{Coefficients, Linear};

/// Modes of one set of parameters.
#[derive(Debug, Clone)]
pub(crate) struct Modes {
    eigen: Eigen,
    /// Weight of mode k in output o at `[o*n + k]`.
    pub(crate) weight: Vec<f64>,
    /// Output without any dose.
    pub(crate) offset: Vec<f64>,
    /// Read-out in modal coordinates, before the dose is applied.
    seen: Vec<f64>,
}

/// Derivatives of [`Modes`] in each direction j.
#[derive(Debug, Clone, Default)]
pub(crate) struct ModeSlopes {
    /// `[k*m + j]`
    pub(crate) rate: Vec<f64>,
    /// `[(o*n + k)*m + j]`
    pub(crate) weight: Vec<f64>,
    /// `[o*m + j]`
    pub(crate) offset: Vec<f64>,
    turned: Vec<f64>,
    half: Vec<f64>,
}

impl Modes {
    pub(crate) fn new(linear: &Linear) -> Self {
        let (n, o) = (linear.states(), linear.outputs());
        Self {
            eigen: Eigen::new(n),
            weight: vec![0.0; o * n],
            offset: vec![0.0; o],
            seen: vec![0.0; o * n],
        }
    }

    /// Growth rates of the modes (negative where something is eliminated), per unit of time.
    pub(crate) fn rate(&self) -> &[f64] {
        &self.eigen.values
    }

    /// Computes the modes; false if the system has no real, separate modes for these numbers.
    pub(crate) fn set(&mut self, matrix: &[f64], readout: &[f64], offset: &[f64], dose_state: usize) -> bool {
        let n = self.eigen.n;
        if !self.eigen.decompose(matrix) {
            return false;
        }
        for (o, out) in offset.iter().enumerate() {
            self.offset[o] = *out;
            for k in 0..n {
                let seen: f64 = (0..n).map(|i| readout[o * n + i] * self.eigen.right[i * n + k]).sum();
                self.seen[o * n + k] = seen;
                self.weight[o * n + k] = seen * self.eigen.left[k * n + dose_state];
            }
        }
        true
    }

    /// Whether derivatives keep enough digits for the matrix set last.
    pub(crate) fn keeps_slopes(&self, matrix: &[f64]) -> bool {
        self.eigen.keeps_slopes(matrix)
    }

    /// Derivatives in `m` directions: direction j is lane `j % N` of the coefficients `j / N`.
    pub(crate) fn slopes<const N: usize>(
        &self,
        coefficients: &[Coefficients<crate::lang::Dual<N>>],
        m: usize,
        dose_state: usize,
        into: &mut ModeSlopes,
    ) {
        let n = self.eigen.n;
        let outputs = self.offset.len();
        into.rate.resize(n * m, 0.0);
        into.weight.resize(outputs * n * m, 0.0);
        into.offset.resize(outputs * m, 0.0);
        into.turned.resize(n * n, 0.0);
        into.half.resize(n * n, 0.0);
        let (values, right, left) = (&self.eigen.values, &self.eigen.right, &self.eigen.left);
        for j in 0..m {
            let (chunk, lane) = (&coefficients[j / N], j % N);
            // turned = left * dA * right
            for i in 0..n {
                for k in 0..n {
                    into.half[i * n + k] = (0..n)
                        .map(|l| chunk.matrix[i * n + l].slope[lane] * right[l * n + k])
                        .sum();
                }
            }
            for p in 0..n {
                for k in 0..n {
                    into.turned[p * n + k] = (0..n).map(|i| left[p * n + i] * into.half[i * n + k]).sum();
                }
            }
            // Divided by the distance of the rates: how far each vector turns into the others.
            for k in 0..n {
                into.rate[k * m + j] = into.turned[k * n + k];
            }
            for p in 0..n {
                for k in 0..n {
                    into.turned[p * n + k] = if p == k {
                        0.0
                    } else {
                        into.turned[p * n + k] / (values[k] - values[p])
                    };
                }
            }
            for o in 0..outputs {
                into.offset[o * m + j] = chunk.offset[o].slope[lane];
                for k in 0..n {
                    let mut seen = 0.0;
                    for i in 0..n {
                        seen += chunk.readout[o * n + i].slope[lane] * right[i * n + k];
                    }
                    let mut entered = 0.0;
                    for p in 0..n {
                        seen += into.turned[p * n + k] * self.seen[o * n + p];
                        entered -= into.turned[k * n + p] * left[p * n + dose_state];
                    }
                    into.weight[(o * n + k) * m + j] = seen * left[k * n + dose_state] + self.seen[o * n + k] * entered;
                }
            }
        }
    }
}

/// `exp(rate*t)`, its integral over 0..t, and the derivative of the integral in the rate.
pub(crate) fn growth(rate: f64, t: f64) -> (f64, f64, f64) {
    let x = rate * t;
    if x.abs() < 0.05 {
        // Series: the quotients below lose digits when x is small.
        let (mut integral, mut slope) = (0.0, 0.0);
        for k in (0..9_u8).rev() {
            let factor = super::spectral::OVER_FACTORIAL[usize::from(k) + 2];
            integral = integral * x + factor * f64::from(k + 2);
            slope = slope * x + factor * f64::from(k + 1);
        }
        (x.exp(), t * integral, t * t * slope)
    } else {
        let e = x.exp();
        let integral = (e - 1.0) / rate;
        (e, integral, (t * e - integral) / rate)
    }
}
