//! The exponential of a small matrix, for any number type.

use super::linalg::multiply;
use crate::lang::Number;

/// `exp(a)` by scaling, a Taylor sum and squaring. The scaled norm is at most 1/4, so 12 terms are exact to rounding.
pub(crate) fn expm<T: Number>(n: usize, a: &[T]) -> Vec<T> {
    let norm = (0..n)
        .map(|i| (0..n).map(|j| a[i * n + j].value().abs()).sum::<f64>())
        .fold(0.0_f64, f64::max);
    let mut halvings = 0_i32;
    let mut size = norm;
    // A norm that is not finite, or absurd, gives a result that is not finite rather than an endless loop.
    while size > 0.25 && size.is_finite() && halvings < 1100 {
        size *= 0.5;
        halvings += 1;
    }
    let factor = T::constant(0.5_f64.powi(halvings));
    let scaled: Vec<T> = a.iter().map(|x| *x * factor).collect();
    let mut sum = identity(n);
    let mut term = identity(n);
    for k in 1..=12 {
        let over = T::constant(1.0 / f64::from(k));
        term = multiply(n, &term, &scaled).into_iter().map(|x| x * over).collect();
        for (s, t) in sum.iter_mut().zip(&term) {
            *s = *s + *t;
        }
    }
    for _ in 0..halvings {
        sum = multiply(n, &sum, &sum);
    }
    sum
}

fn identity<T: Number>(n: usize) -> Vec<T> {
    (0..n * n)
        .map(|i| T::constant(if i % (n + 1) == 0 { 1.0 } else { 0.0 }))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rotation_and_decay() {
        let e = expm(2, &[0.0, -3.0, 3.0, 0.0]);
        assert!((e[0] - 3.0_f64.cos()).abs() < 1e-14 && (e[2] - 3.0_f64.sin()).abs() < 1e-14);
        let e = expm(1, &[-40.0]);
        assert!((e[0] / (-40.0_f64).exp() - 1.0).abs() < 1e-12);
        assert!(expm(1, &[f64::NAN])[0].is_nan());
    }
}
