//! The covariance of the random effects.

use super::EngineError;
use super::linalg::{cholesky, cholesky_inverse};

/// Covariance of the random effects.
#[derive(Debug, Clone, PartialEq)]
pub struct Omega {
    size: usize,
    matrix: Vec<f64>,
    inverse: Vec<f64>,
    factor: Vec<f64>,
    sd: Vec<f64>,
}

impl Omega {
    /// A full matrix, row by row.
    ///
    /// # Errors
    /// A matrix that is not symmetric and positive definite.
    pub fn new(size: usize, matrix: Vec<f64>) -> Result<Self, EngineError> {
        let bad = || EngineError::NotPositiveDefinite {
            what: "omega, the covariance of the random effects,",
        };
        let symmetric = matrix.len() == size * size
            && (0..size).all(|i| (0..i).all(|j| (matrix[i * size + j] - matrix[j * size + i]).abs() <= 1e-12));
        if !symmetric {
            return Err(bad());
        }
        let factor = cholesky(size, &matrix).ok_or_else(bad)?;
        let inverse = cholesky_inverse(size, &factor);
        let sd = (0..size).map(|i| matrix[i * size + i].sqrt()).collect();
        Ok(Self {
            size,
            matrix,
            inverse,
            factor,
            sd,
        })
    }

    /// Number of random effects.
    pub fn size(&self) -> usize {
        self.size
    }

    /// The matrix, row by row.
    pub fn matrix(&self) -> &[f64] {
        &self.matrix
    }

    /// Its inverse, row by row.
    pub fn inverse(&self) -> &[f64] {
        &self.inverse
    }

    /// Its lower Cholesky factor, row by row.
    pub fn factor(&self) -> &[f64] {
        &self.factor
    }

    /// Standard deviation of each random effect.
    pub fn sd(&self) -> &[f64] {
        &self.sd
    }
}
