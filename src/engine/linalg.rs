//! Small dense matrices, row by row in a slice.

use crate::lang::Number;

/// Lower Cholesky factor of a symmetric matrix, or `None` if it is not positive definite.
pub(crate) fn cholesky(n: usize, a: &[f64]) -> Option<Vec<f64>> {
    let mut l = vec![0.0; n * n];
    for i in 0..n {
        for j in 0..=i {
            let dot: f64 = (0..j).map(|k| l[i * n + k] * l[j * n + k]).sum();
            let rest = a[i * n + j] - dot;
            if i == j {
                // Relative to the diagonal: what is left of it by rounding alone does not count as positive.
                if !(rest.is_finite() && rest > 1e-14 * a[i * n + i].abs()) {
                    return None;
                }
                l[i * n + i] = rest.sqrt();
            } else {
                l[i * n + j] = rest / l[j * n + j];
            }
        }
    }
    Some(l)
}

/// Solves `l l' x = b` in place, given the Cholesky factor `l`.
pub(crate) fn cholesky_solve(n: usize, l: &[f64], x: &mut [f64]) {
    for i in 0..n {
        let dot: f64 = (0..i).map(|k| l[i * n + k] * x[k]).sum();
        x[i] = (x[i] - dot) / l[i * n + i];
    }
    for i in (0..n).rev() {
        let dot: f64 = (i + 1..n).map(|k| l[k * n + i] * x[k]).sum();
        x[i] = (x[i] - dot) / l[i * n + i];
    }
}

/// Inverse of `l l'`.
pub(crate) fn cholesky_inverse(n: usize, l: &[f64]) -> Vec<f64> {
    let mut inverse = vec![0.0; n * n];
    let mut column = vec![0.0; n];
    for j in 0..n {
        column.fill(0.0);
        column[j] = 1.0;
        cholesky_solve(n, l, &mut column);
        for i in 0..n {
            inverse[i * n + j] = column[i];
        }
    }
    for i in 0..n {
        for j in 0..i {
            let mean = 0.5 * (inverse[i * n + j] + inverse[j * n + i]);
            inverse[i * n + j] = mean;
            inverse[j * n + i] = mean;
        }
    }
    inverse
}

/// Logarithm of the determinant of `l l'`.
pub(crate) fn cholesky_log_det(n: usize, l: &[f64]) -> f64 {
    2.0 * (0..n).map(|i| l[i * n + i].ln()).sum::<f64>()
}

/// `x' a x`
pub(crate) fn quadratic(n: usize, a: &[f64], x: &[f64]) -> f64 {
    (0..n)
        .map(|i| x[i] * (0..n).map(|j| a[i * n + j] * x[j]).sum::<f64>())
        .sum()
}

/// Lower and upper factors with row exchanges, in place. A vanishing pivot is replaced by `tiny` if given, else `None`.
pub(crate) fn lu(n: usize, a: &mut [f64], rows: &mut [usize], tiny: Option<f64>) -> Option<()> {
    for (i, row) in rows.iter_mut().enumerate() {
        *row = i;
    }
    for k in 0..n {
        let mut best = k;
        for i in k + 1..n {
            if a[i * n + k].abs() > a[best * n + k].abs() {
                best = i;
            }
        }
        if best != k {
            for j in 0..n {
                a.swap(k * n + j, best * n + j);
            }
            rows.swap(k, best);
        }
        if !a[k * n + k].is_finite() {
            return None;
        }
        match tiny {
            Some(tiny) if a[k * n + k].abs() < tiny => a[k * n + k] = tiny,
            None if a[k * n + k] == 0.0 => return None,
            _ => {}
        }
        for i in k + 1..n {
            let factor = a[i * n + k] / a[k * n + k];
            a[i * n + k] = factor;
            if factor != 0.0 {
                for j in k + 1..n {
                    a[i * n + j] -= factor * a[k * n + j];
                }
            }
        }
    }
    Some(())
}

/// Solves with the factors of [`lu`]: `b` goes in, the solution is returned.
pub(crate) fn lu_solve(n: usize, a: &[f64], rows: &[usize], b: &[f64]) -> Vec<f64> {
    let mut x: Vec<f64> = rows.iter().map(|row| b[*row]).collect();
    for i in 0..n {
        let dot: f64 = (0..i).map(|k| a[i * n + k] * x[k]).sum();
        x[i] -= dot;
    }
    for i in (0..n).rev() {
        let dot: f64 = (i + 1..n).map(|k| a[i * n + k] * x[k]).sum();
        x[i] = (x[i] - dot) / a[i * n + i];
    }
    x
}

/// The product of two square matrices.
pub(crate) fn multiply<T: Number>(n: usize, a: &[T], b: &[T]) -> Vec<T> {
    let mut out = vec![T::constant(0.0); n * n];
    for i in 0..n {
        for k in 0..n {
            let x = a[i * n + k];
            for j in 0..n {
                out[i * n + j] = out[i * n + j] + x * b[k * n + j];
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn factors_and_solves() {
        let a = [4.0, 1.0, 0.5, 1.0, 3.0, 0.2, 0.5, 0.2, 2.0];
        let l = cholesky(3, &a).unwrap();
        let inverse = cholesky_inverse(3, &l);
        for i in 0..3 {
            for j in 0..3 {
                let x: f64 = (0..3).map(|k| a[i * 3 + k] * inverse[k * 3 + j]).sum();
                assert!((x - f64::from(u8::from(i == j))).abs() < 1e-14);
            }
        }
        assert!(cholesky(2, &[1.0, 2.0, 2.0, 1.0]).is_none());
        assert!(cholesky(1, &[f64::NAN]).is_none());
        let (mut f, mut rows) = (vec![0.0, 2.0, 1.0, 1.0, 0.0, 3.0, 2.0, 1.0, 0.0], [0; 3]);
        let original = f.clone();
        lu(3, &mut f, &mut rows, None).unwrap();
        let x = lu_solve(3, &f, &rows, &[1.0, 2.0, 3.0]);
        for i in 0..3 {
            let b: f64 = (0..3).map(|k| original[i * 3 + k] * x[k]).sum();
            assert!((b - [1.0, 2.0, 3.0][i]).abs() < 1e-13);
        }
    }
}
