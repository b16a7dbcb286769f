//! What a program can compute with: plain numbers, and numbers that carry derivatives.

use std::ops::{Add, Div, Mul, Neg, Sub};

/// The arithmetic a [`super::Program`] needs.
pub trait Number:
    Copy + Add<Output = Self> + Sub<Output = Self> + Mul<Output = Self> + Div<Output = Self> + Neg<Output = Self>
{
    /// A constant: its derivatives are zero.
    fn constant(value: f64) -> Self;
    /// The value without its derivatives.
    fn value(self) -> f64;
    /// e to the power of this.
    fn exp(self) -> Self;
    /// Natural logarithm.
    fn ln(self) -> Self;
    /// Square root.
    fn sqrt(self) -> Self;
    /// This to the power of `exponent`.
    fn pow(self, exponent: Self) -> Self;
}

impl Number for f64 {
    fn constant(value: f64) -> Self {
        value
    }
    fn value(self) -> f64 {
        self
    }
    fn exp(self) -> Self {
        f64::exp(self)
    }
    fn ln(self) -> Self {
        f64::ln(self)
    }
    fn sqrt(self) -> Self {
        f64::sqrt(self)
    }
    fn pow(self, exponent: Self) -> Self {
        self.powf(exponent)
    }
}

/// A value with its derivatives in `N` directions, exact to rounding (forward differentiation).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Dual<const N: usize> {
    /// The value.
    pub value: f64,
    /// Its derivative in each direction.
    pub slope: [f64; N],
}

impl<const N: usize> Dual<N> {
    /// The value `value` whose derivative is `slope` in direction `direction` and zero in the others.
    pub fn seeded(value: f64, direction: usize, slope: f64) -> Self {
        let mut slopes = [0.0; N];
        if let Some(cell) = slopes.get_mut(direction) {
            *cell = slope;
        }
        Self { value, slope: slopes }
    }

    /// A function of this, given its value and derivative here.
    fn chain(self, value: f64, derivative: f64) -> Self {
        Self {
            value,
            slope: self.slope.map(|s| s * derivative),
        }
    }

    fn combine(self, other: Self, value: f64, da: f64, db: f64) -> Self {
        let mut slope = [0.0; N];
        for (cell, (a, b)) in slope.iter_mut().zip(self.slope.iter().zip(&other.slope)) {
            *cell = da * a + db * b;
        }
        Self { value, slope }
    }
}

impl<const N: usize> Add for Dual<N> {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        self.combine(other, self.value + other.value, 1.0, 1.0)
    }
}
impl<const N: usize> Sub for Dual<N> {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        self.combine(other, self.value - other.value, 1.0, -1.0)
    }
}
impl<const N: usize> Mul for Dual<N> {
    type Output = Self;
    fn mul(self, other: Self) -> Self {
        self.combine(other, self.value * other.value, other.value, self.value)
    }
}
impl<const N: usize> Div for Dual<N> {
    type Output = Self;
    fn div(self, other: Self) -> Self {
        let value = self.value / other.value;
        self.combine(other, value, 1.0 / other.value, -value / other.value)
    }
}
impl<const N: usize> Neg for Dual<N> {
    type Output = Self;
    fn neg(self) -> Self {
        self.chain(-self.value, -1.0)
    }
}

impl<const N: usize> Number for Dual<N> {
    fn constant(value: f64) -> Self {
        Self { value, slope: [0.0; N] }
    }
    fn value(self) -> f64 {
        self.value
    }
    fn exp(self) -> Self {
        let value = self.value.exp();
        self.chain(value, value)
    }
    fn ln(self) -> Self {
        self.chain(self.value.ln(), 1.0 / self.value)
    }
    fn sqrt(self) -> Self {
        let value = self.value.sqrt();
        self.chain(value, 0.5 / value)
    }
    fn pow(self, exponent: Self) -> Self {
        let value = self.value.powf(exponent.value);
        // p * x^(p-1), not p * x^p / x, which is 0/0 at x = 0.
        let da = if exponent.value == 0.0 {
            0.0
        } else {
            exponent.value * self.value.powf(exponent.value - 1.0)
        };
        let constant_exponent = exponent.slope.iter().all(|s| *s == 0.0);
        let db = if constant_exponent || value == 0.0 {
            0.0
        } else {
            value * self.value.ln()
        };
        self.combine(exponent, value, da, db)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn derivatives_match_differences(x in 0.2_f64..4.0, y in 0.2_f64..3.0) {
            fn f<T: Number>(x: T, y: T) -> T {
                (x * y).exp() / (x + y.sqrt()) - x.pow(y) * (x / y).ln()
            }
            let d = f(Dual::<2>::seeded(x, 0, 1.0), Dual::seeded(y, 1, 1.0));
            let h = 1e-5;
            let dx = (f(x + h, y) - f(x - h, y)) / (2.0 * h);
            let dy = (f(x, y + h) - f(x, y - h)) / (2.0 * h);
            prop_assert!((d.value - f(x, y)).abs() <= 1e-12 * (1.0 + d.value.abs()));
            prop_assert!((d.slope[0] - dx).abs() < 1e-6 * (1.0 + dx.abs()));
            prop_assert!((d.slope[1] - dy).abs() < 1e-6 * (1.0 + dy.abs()));
        }
    }
}
