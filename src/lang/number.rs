//! What a program can compute with: plain numbers, numbers that carry derivatives, and several numbers side by side.

use std::ops::{Add, Div, Mul, Neg, Sub};

/// Added to every error scale, so that a quantity that is exactly zero costs nothing and never divides by zero.
const ABSOLUTE: f64 = 1e-30;

/// A derivative need not be known better than this part of its own value: below it lies rounding noise.
const SLOPE_FLOOR: f64 = 1e-6;

/// The arithmetic a [`super::Program`] and the solvers need.
///
/// A number has one or more *lanes* (values that do not depend on each other) and each lane may carry derivatives;
/// together they are its *parts*.
pub trait Number:
    Copy + Add<Output = Self> + Sub<Output = Self> + Mul<Output = Self> + Div<Output = Self> + Neg<Output = Self>
{
    /// How many independent values are computed together.
    const LANES: usize = 1;
    /// Whether derivatives are carried.
    const HAS_SLOPES: bool = false;
    /// A constant: its derivatives are zero.
    fn constant(value: f64) -> Self;
    /// Independent values put together, without derivatives.
    fn gather(value: impl FnMut(usize) -> f64) -> Self;
    /// The value of one lane, without derivatives.
    fn lane(self, lane: usize) -> f64;
    /// The value (of the first lane) without derivatives.
    fn value(self) -> f64;
    /// e to the power of this.
    fn exp(self) -> Self;
    /// Natural logarithm.
    fn ln(self) -> Self;
    /// Square root.
    fn sqrt(self) -> Self;
    /// This to the power of `exponent`.
    fn pow(self, exponent: Self) -> Self;
    /// Sine.
    fn sin(self) -> Self;
    /// Cosine.
    fn cos(self) -> Self;
    /// Hyperbolic tangent.
    fn tanh(self) -> Self;
    /// Absolute value; its derivative at zero is taken as zero.
    fn abs(self) -> Self;
    /// The largest whole number that is not greater; its derivative is zero.
    fn floor(self) -> Self;
    /// The whole part; its derivative is zero.
    fn trunc(self) -> Self;
    /// The smaller of two, NaN if either is NaN.
    fn min(self, other: Self) -> Self;
    /// The larger of two, NaN if either is NaN.
    fn max(self, other: Self) -> Self;
    /// The standard normal distribution function.
    fn phi(self) -> Self;
    /// The inverse of [`Number::phi`]; NaN outside 0 to 1.
    fn probit(self) -> Self;
    /// 1 where this is less than `other`, else 0.
    fn lt(self, other: Self) -> Self;
    /// 1 where this is not more than `other`, else 0.
    fn le(self, other: Self) -> Self;
    /// 1 where the values are equal, else 0.
    fn eq(self, other: Self) -> Self;
    /// 1 where the values differ, else 0.
    fn ne(self, other: Self) -> Self;
    /// 1 where both are nonzero, else 0.
    fn and(self, other: Self) -> Self;
    /// 1 where either is nonzero, else 0.
    fn or(self, other: Self) -> Self;
    /// 1 where this is zero, else 0.
    fn not(self) -> Self;
    /// `yes` where `condition` is nonzero, `no` elsewhere.
    fn select(condition: Self, yes: Self, no: Self) -> Self;
    /// The largest absolute value among all parts, NaN if any part is NaN.
    fn size(self) -> f64;
    /// Whether all parts are finite.
    fn is_finite(self) -> bool;

    /// This times a plain number: cheaper than a product with a constant, whose derivatives are all zero.
    fn scale(self, factor: f64) -> Self;
    /// Part by part, the larger absolute value of the two.
    fn envelope(self, other: Self) -> Self;
    /// The largest absolute value among the lanes, derivatives left out.
    fn largest(self) -> f64;
    /// The smallest absolute value among the lanes, derivatives left out.
    fn least(self) -> f64;
    /// The largest `top / bottom` among the lanes, derivatives and lanes whose bottom is not above zero left out.
    fn worst_ratio(top: Self, bottom: Self) -> f64;
    /// How many times its allowance the error is, in the worst part; NaN if any part is NaN.
    ///
    /// A part is allowed `relative * (|reference| + floor)`. The parts of `floor` are magnitudes, none negative.
    /// A derivative has its own reference and floor; a millionth of those of its value is added, so that a derivative
    /// made of rounding noise alone is not pursued.
    fn scaled_error(error: Self, reference: Self, relative: f64, floor: Self) -> f64;
}

/// 1 for true, 0 for false.
#[inline]
fn flag(condition: bool) -> f64 {
    f64::from(u8::from(condition))
}

/// The smaller of two, NaN if either is (the comparison alone lets only a NaN on the right through).
#[inline]
fn lesser(a: f64, b: f64) -> f64 {
    let smaller = if a < b { a } else { b };
    if a.is_nan() { a } else { smaller }
}

/// The larger of two, NaN if either is.
#[inline]
fn greater(a: f64, b: f64) -> f64 {
    let larger = if a > b { a } else { b };
    if a.is_nan() { a } else { larger }
}

/// The larger absolute value of two; a NaN may be lost.
#[inline]
fn outer(a: f64, b: f64) -> f64 {
    let (a, b) = (a.abs(), b.abs());
    if a > b { a } else { b }
}

/// The largest of some magnitudes, NaN if any is.
#[inline]
fn largest_of<const L: usize>(parts: &[f64; L], start: f64) -> f64 {
    let mut worst = start;
    let mut doubt = start * 0.0;
    for part in parts {
        worst = if *part > worst { *part } else { worst };
        // Zero for a finite part, NaN otherwise.
        doubt += part * 0.0;
    }
    if doubt == 0.0 || (!start.is_nan() && !parts.iter().any(|p| p.is_nan())) {
        worst
    } else {
        f64::NAN
    }
}

const SQRT_TWO_PI: f64 = 2.506_628_274_631_000_7;

/// Density of the standard normal distribution.
fn normal_density(x: f64) -> f64 {
    if x.abs() > 40.0 {
        return 0.0;
    }
    half_gauss(x) / SQRT_TWO_PI
}

/// `exp(-x*x/2)` without the loss of digits that rounding `x*x` causes far out: the square is split in a part known
/// exactly and a small rest (W. J. Cody, Mathematics of Computation 23 (1969) 631-637).
fn half_gauss(x: f64) -> f64 {
    let near = (x * 16.0).trunc() / 16.0;
    let rest = (x - near) * (x + near);
    (-0.5 * near * near).exp() * (-0.5 * rest).exp()
}

/// Chebyshev coefficients of `(x + 4) * m(x)` on `u = (x - 4) / (x + 4)`, where m is Mills' ratio, the upper tail of
/// the standard normal distribution over its density. Computed for this file to 50 digits by interpolation at 80
/// Chebyshev points; what is left out is below 4e-18. The first coefficient is already halved.
const MILLS: [f64; 26] = [
    2.432_560_428_515_040_5,
    -1.884_254_574_579_483_5,
    0.556_956_649_096_381_6,
    -0.121_615_972_144_204_57,
    0.017_360_708_143_727_77,
    -0.000_803_621_200_729_965_6,
    -0.000_252_034_934_805_435_3,
    0.000_047_383_719_270_581_174,
    2.532_589_136_598_826e-6,
    -1.540_406_983_991_3e-6,
    -8.474_960_630_061_696e-9,
    5.185_338_601_094_672e-8,
    -2.828_129_327_660_25e-10,
    -1.948_656_637_889_107_6e-9,
    -2.491_945_496_827_567e-11,
    7.957_248_719_449_247e-11,
    4.618_414_179_155_219e-12,
    -3.290_856_124_224_385e-12,
    -4.365_384_043_809_73e-13,
    1.230_071_183_927_323_4e-13,
    3.241_417_358_208_678e-14,
    -3.053_239_558_732_565_7e-15,
    -2.018_374_027_570_734e-15,
    -7.170_195_501_422_461e-17,
    1.016_955_239_803_868e-16,
    1.756_244_228_053_494e-17,
];

/// Mass of the standard normal distribution above `x`, for `x` not negative.
fn normal_tail(x: f64) -> f64 {
    if x > 40.0 {
        return 0.0;
    }
    let u = (x - 4.0) / (x + 4.0);
    // Clenshaw's recurrence.
    let (mut b1, mut b2) = (0.0, 0.0);
    for c in MILLS.iter().skip(1).rev() {
        (b1, b2) = (2.0 * u * b1 - b2 + c, b1);
    }
    let mills = (MILLS[0] + u * b1 - b2) / (x + 4.0);
    mills * normal_density(x)
}

/// Distribution function of the standard normal distribution.
fn normal_below(x: f64) -> f64 {
    if x > 0.0 { 1.0 - normal_tail(x) } else { normal_tail(-x) }
}

/// Quantile of the standard normal distribution.
///
/// The start is formula 26.2.23 of Abramowitz and Stegun, Handbook of Mathematical Functions (1964), good to 4.5e-4;
/// each of Halley's steps triples the digits.
fn normal_quantile(p: f64) -> f64 {
    if p.is_nan() || !(0.0..=1.0).contains(&p) {
        return f64::NAN;
    }
    // One minus p is exact above one half, and the lower tail keeps its digits.
    let tail = if p > 0.5 { 1.0 - p } else { p };
    if tail == 0.0 {
        return if p > 0.5 { f64::INFINITY } else { f64::NEG_INFINITY };
    }
    if tail == 0.5 {
        return 0.0;
    }
    let t = (-2.0 * tail.ln()).sqrt();
    let mut z =
        t - (2.515_517 + t * (0.802_853 + t * 0.010_328)) / (1.0 + t * (1.432_788 + t * (0.189_269 + t * 0.001_308)));
    for _ in 0..2 {
        // z > 0 stands for the lower quantile -z. Near one half the start may be on the wrong side of zero.
        let density = normal_density(z);
        if density == 0.0 {
            break;
        }
        let miss = (normal_below(-z) - tail) / density;
        z += miss / (1.0 - 0.5 * z * miss);
    }
    if p > 0.5 { z } else { -z }
}

impl Number for f64 {
    fn gather(mut value: impl FnMut(usize) -> f64) -> Self {
        value(0)
    }
    fn lane(self, _: usize) -> f64 {
        self
    }
    #[inline]
    fn constant(value: f64) -> Self {
        value
    }
    #[inline]
    fn value(self) -> f64 {
        self
    }
    #[inline]
    fn exp(self) -> Self {
        f64::exp(self)
    }
    #[inline]
    fn ln(self) -> Self {
        f64::ln(self)
    }
    #[inline]
    fn sqrt(self) -> Self {
        f64::sqrt(self)
    }
    #[inline]
    fn pow(self, exponent: Self) -> Self {
        self.powf(exponent)
    }
    #[inline]
    fn sin(self) -> Self {
        f64::sin(self)
    }
    #[inline]
    fn cos(self) -> Self {
        f64::cos(self)
    }
    #[inline]
    fn tanh(self) -> Self {
        f64::tanh(self)
    }
    #[inline]
    fn abs(self) -> Self {
        f64::abs(self)
    }
    #[inline]
    fn floor(self) -> Self {
        f64::floor(self)
    }
    #[inline]
    fn trunc(self) -> Self {
        f64::trunc(self)
    }
    #[inline]
    fn min(self, other: Self) -> Self {
        lesser(self, other)
    }
    #[inline]
    fn max(self, other: Self) -> Self {
        greater(self, other)
    }
    fn phi(self) -> Self {
        normal_below(self)
    }
    fn probit(self) -> Self {
        normal_quantile(self)
    }
    #[inline]
    fn lt(self, other: Self) -> Self {
        flag(self < other)
    }
    #[inline]
    fn le(self, other: Self) -> Self {
        flag(self <= other)
    }
    #[inline]
    fn eq(self, other: Self) -> Self {
        flag(self == other)
    }
    #[inline]
    fn ne(self, other: Self) -> Self {
        flag(self != other)
    }
    #[inline]
    fn and(self, other: Self) -> Self {
        flag(self != 0.0 && other != 0.0)
    }
    #[inline]
    fn or(self, other: Self) -> Self {
        flag(self != 0.0 || other != 0.0)
    }
    #[inline]
    fn not(self) -> Self {
        flag(self == 0.0)
    }
    #[inline]
    fn select(condition: Self, yes: Self, no: Self) -> Self {
        if condition != 0.0 { yes } else { no }
    }
    #[inline]
    fn size(self) -> f64 {
        f64::abs(self)
    }
    #[inline]
    fn is_finite(self) -> bool {
        f64::is_finite(self)
    }
    #[inline]
    fn scale(self, factor: f64) -> Self {
        self * factor
    }
    #[inline]
    fn envelope(self, other: Self) -> Self {
        outer(self, other)
    }
    #[inline]
    fn largest(self) -> f64 {
        f64::abs(self)
    }
    #[inline]
    fn least(self) -> f64 {
        f64::abs(self)
    }
    #[inline]
    fn worst_ratio(top: Self, bottom: Self) -> f64 {
        if bottom > 0.0 { top / bottom } else { 0.0 }
    }
    #[inline]
    fn scaled_error(error: Self, reference: Self, relative: f64, floor: Self) -> f64 {
        f64::abs(error) / (relative * (f64::abs(reference) + floor + ABSOLUTE))
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
    #[inline]
    fn chain(self, value: f64, derivative: f64) -> Self {
        let mut slope = self.slope;
        if derivative.is_finite() {
            for cell in &mut slope {
                *cell *= derivative;
            }
        } else {
            // What does not depend on a parameter keeps a zero derivative where the function is steep.
            for cell in &mut slope {
                *cell = if *cell == 0.0 { 0.0 } else { *cell * derivative };
            }
        }
        Self { value, slope }
    }

    #[inline]
    fn combine(self, other: Self, value: f64, da: f64, db: f64) -> Self {
        let mut slope = self.slope;
        for (cell, b) in slope.iter_mut().zip(&other.slope) {
            *cell = da * *cell + db * b;
        }
        Self { value, slope }
    }

    /// One of two by a condition on their values; not a number if either is not.
    #[inline]
    fn pick(self, other: Self, value: f64, first: bool) -> Self {
        if value.is_nan() {
            return Self {
                value,
                slope: [f64::NAN; N],
            };
        }
        if first { self } else { other }
    }
}

impl<const N: usize> Add for Dual<N> {
    type Output = Self;
    #[inline]
    fn add(self, other: Self) -> Self {
        let mut slope = self.slope;
        for (cell, b) in slope.iter_mut().zip(&other.slope) {
            *cell += b;
        }
        Self {
            value: self.value + other.value,
            slope,
        }
    }
}
impl<const N: usize> Sub for Dual<N> {
    type Output = Self;
    #[inline]
    fn sub(self, other: Self) -> Self {
        let mut slope = self.slope;
        for (cell, b) in slope.iter_mut().zip(&other.slope) {
            *cell -= b;
        }
        Self {
            value: self.value - other.value,
            slope,
        }
    }
}
impl<const N: usize> Mul for Dual<N> {
    type Output = Self;
    #[inline]
    fn mul(self, other: Self) -> Self {
        self.combine(other, self.value * other.value, other.value, self.value)
    }
}
impl<const N: usize> Div for Dual<N> {
    type Output = Self;
    #[inline]
    fn div(self, other: Self) -> Self {
        let value = self.value / other.value;
        let inverse = 1.0 / other.value;
        self.combine(other, value, inverse, -value * inverse)
    }
}
impl<const N: usize> Neg for Dual<N> {
    type Output = Self;
    #[inline]
    fn neg(self) -> Self {
        self.scale(-1.0)
    }
}

impl<const N: usize> Number for Dual<N> {
    const HAS_SLOPES: bool = true;
    fn gather(mut value: impl FnMut(usize) -> f64) -> Self {
        Self::constant(value(0))
    }
    fn lane(self, _: usize) -> f64 {
        self.value
    }
    #[inline]
    fn constant(value: f64) -> Self {
        Self { value, slope: [0.0; N] }
    }
    #[inline]
    fn value(self) -> f64 {
        self.value
    }
    #[inline]
    fn exp(self) -> Self {
        let value = self.value.exp();
        self.chain(value, value)
    }
    #[inline]
    fn ln(self) -> Self {
        self.chain(self.value.ln(), 1.0 / self.value)
    }
    #[inline]
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
        let base = self.chain(value, da);
        if exponent.slope.iter().all(|s| *s == 0.0) {
            return base;
        }
        let db = if value == 0.0 { 0.0 } else { value * self.value.ln() };
        let mut slope = base.slope;
        for (cell, s) in slope.iter_mut().zip(&exponent.slope) {
            if *s != 0.0 {
                *cell += db * s;
            }
        }
        Self { value, slope }
    }
    #[inline]
    fn sin(self) -> Self {
        self.chain(self.value.sin(), self.value.cos())
    }
    #[inline]
    fn cos(self) -> Self {
        self.chain(self.value.cos(), -self.value.sin())
    }
    #[inline]
    fn tanh(self) -> Self {
        let value = self.value.tanh();
        // 1 - tanh^2 loses its digits far out.
        let cosh = self.value.cosh();
        self.chain(value, 1.0 / (cosh * cosh))
    }
    #[inline]
    fn abs(self) -> Self {
        if self.value > 0.0 {
            self
        } else if self.value < 0.0 {
            -self
        } else {
            self.chain(self.value.abs(), 0.0)
        }
    }
    #[inline]
    fn floor(self) -> Self {
        Self::constant(self.value.floor())
    }
    #[inline]
    fn trunc(self) -> Self {
        Self::constant(self.value.trunc())
    }
    #[inline]
    fn min(self, other: Self) -> Self {
        self.pick(other, lesser(self.value, other.value), self.value <= other.value)
    }
    #[inline]
    fn max(self, other: Self) -> Self {
        self.pick(other, greater(self.value, other.value), self.value >= other.value)
    }
    fn phi(self) -> Self {
        self.chain(normal_below(self.value), normal_density(self.value))
    }
    fn probit(self) -> Self {
        let value = normal_quantile(self.value);
        self.chain(value, 1.0 / normal_density(value))
    }
    #[inline]
    fn lt(self, other: Self) -> Self {
        Self::constant(flag(self.value < other.value))
    }
    #[inline]
    fn le(self, other: Self) -> Self {
        Self::constant(flag(self.value <= other.value))
    }
    #[inline]
    fn eq(self, other: Self) -> Self {
        Self::constant(flag(self.value == other.value))
    }
    #[inline]
    fn ne(self, other: Self) -> Self {
        Self::constant(flag(self.value != other.value))
    }
    #[inline]
    fn and(self, other: Self) -> Self {
        Self::constant(flag(self.value != 0.0 && other.value != 0.0))
    }
    #[inline]
    fn or(self, other: Self) -> Self {
        Self::constant(flag(self.value != 0.0 || other.value != 0.0))
    }
    #[inline]
    fn not(self) -> Self {
        Self::constant(flag(self.value == 0.0))
    }
    #[inline]
    fn select(condition: Self, yes: Self, no: Self) -> Self {
        if condition.value != 0.0 { yes } else { no }
    }
    #[inline]
    fn size(self) -> f64 {
        let mut slope = self.slope;
        for cell in &mut slope {
            *cell = cell.abs();
        }
        largest_of(&slope, self.value.abs())
    }
    #[inline]
    fn is_finite(self) -> bool {
        self.value.is_finite() && self.slope.iter().all(|s| s.is_finite())
    }
    #[inline]
    fn scale(self, factor: f64) -> Self {
        let mut slope = self.slope;
        for cell in &mut slope {
            *cell *= factor;
        }
        Self {
            value: self.value * factor,
            slope,
        }
    }
    #[inline]
    fn envelope(self, other: Self) -> Self {
        let mut slope = self.slope;
        for (cell, b) in slope.iter_mut().zip(&other.slope) {
            *cell = outer(*cell, *b);
        }
        Self {
            value: outer(self.value, other.value),
            slope,
        }
    }
    #[inline]
    fn largest(self) -> f64 {
        self.value.abs()
    }
    #[inline]
    fn least(self) -> f64 {
        self.value.abs()
    }
    #[inline]
    fn worst_ratio(top: Self, bottom: Self) -> f64 {
        f64::worst_ratio(top.value, bottom.value)
    }
    #[inline]
    fn scaled_error(error: Self, reference: Self, relative: f64, floor: Self) -> f64 {
        let scale = reference.value.abs() + floor.value + ABSOLUTE;
        let least = scale * SLOPE_FLOOR;
        let mut slope = error.slope;
        for (cell, (r, f)) in slope.iter_mut().zip(reference.slope.iter().zip(&floor.slope)) {
            *cell = cell.abs() / (relative * (r.abs() + f + least));
        }
        largest_of(&slope, error.value.abs() / (relative * scale))
    }
}

/// `L` values that do not depend on each other, computed together.
///
/// Every lane gives bit for bit what a plain number gives.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Lanes<const L: usize>(pub [f64; L]);

impl<const L: usize> Lanes<L> {
    #[inline]
    fn each(self, f: impl Fn(f64) -> f64) -> Self {
        let mut out = self.0;
        for cell in &mut out {
            *cell = f(*cell);
        }
        Self(out)
    }

    #[inline]
    fn with(self, other: Self, f: impl Fn(f64, f64) -> f64) -> Self {
        let mut out = self.0;
        for (cell, b) in out.iter_mut().zip(&other.0) {
            *cell = f(*cell, *b);
        }
        Self(out)
    }
}

impl<const L: usize> Add for Lanes<L> {
    type Output = Self;
    #[inline]
    fn add(self, other: Self) -> Self {
        self.with(other, |a, b| a + b)
    }
}
impl<const L: usize> Sub for Lanes<L> {
    type Output = Self;
    #[inline]
    fn sub(self, other: Self) -> Self {
        self.with(other, |a, b| a - b)
    }
}
impl<const L: usize> Mul for Lanes<L> {
    type Output = Self;
    #[inline]
    fn mul(self, other: Self) -> Self {
        self.with(other, |a, b| a * b)
    }
}
impl<const L: usize> Div for Lanes<L> {
    type Output = Self;
    #[inline]
    fn div(self, other: Self) -> Self {
        self.with(other, |a, b| a / b)
    }
}
impl<const L: usize> Neg for Lanes<L> {
    type Output = Self;
    #[inline]
    fn neg(self) -> Self {
        self.each(|a| -a)
    }
}

impl<const L: usize> Number for Lanes<L> {
    const LANES: usize = L;
    fn gather(value: impl FnMut(usize) -> f64) -> Self {
        Self(std::array::from_fn(value))
    }
    fn lane(self, lane: usize) -> f64 {
        self.0[lane]
    }
    #[inline]
    fn constant(value: f64) -> Self {
        Self([value; L])
    }
    #[inline]
    fn value(self) -> f64 {
        self.0.first().copied().unwrap_or(0.0)
    }
    #[inline]
    fn exp(self) -> Self {
        self.each(f64::exp)
    }
    #[inline]
    fn ln(self) -> Self {
        self.each(f64::ln)
    }
    #[inline]
    fn sqrt(self) -> Self {
        self.each(f64::sqrt)
    }
    #[inline]
    fn pow(self, exponent: Self) -> Self {
        self.with(exponent, f64::powf)
    }
    #[inline]
    fn sin(self) -> Self {
        self.each(f64::sin)
    }
    #[inline]
    fn cos(self) -> Self {
        self.each(f64::cos)
    }
    #[inline]
    fn tanh(self) -> Self {
        self.each(f64::tanh)
    }
    #[inline]
    fn abs(self) -> Self {
        self.each(f64::abs)
    }
    #[inline]
    fn floor(self) -> Self {
        self.each(f64::floor)
    }
    #[inline]
    fn trunc(self) -> Self {
        self.each(f64::trunc)
    }
    #[inline]
    fn min(self, other: Self) -> Self {
        self.with(other, lesser)
    }
    #[inline]
    fn max(self, other: Self) -> Self {
        self.with(other, greater)
    }
    fn phi(self) -> Self {
        self.each(normal_below)
    }
    fn probit(self) -> Self {
        self.each(normal_quantile)
    }
    #[inline]
    fn lt(self, other: Self) -> Self {
        self.with(other, |a, b| flag(a < b))
    }
    #[inline]
    fn le(self, other: Self) -> Self {
        self.with(other, |a, b| flag(a <= b))
    }
    #[inline]
    fn eq(self, other: Self) -> Self {
        self.with(other, |a, b| flag(a == b))
    }
    #[inline]
    fn ne(self, other: Self) -> Self {
        self.with(other, |a, b| flag(a != b))
    }
    #[inline]
    fn and(self, other: Self) -> Self {
        self.with(other, |a, b| flag((a != 0.0) & (b != 0.0)))
    }
    #[inline]
    fn or(self, other: Self) -> Self {
        self.with(other, |a, b| flag((a != 0.0) | (b != 0.0)))
    }
    #[inline]
    fn not(self) -> Self {
        self.each(|a| flag(a == 0.0))
    }
    #[inline]
    fn select(condition: Self, yes: Self, no: Self) -> Self {
        let mut out = condition.0;
        for (cell, (y, n)) in out.iter_mut().zip(yes.0.iter().zip(&no.0)) {
            *cell = if *cell != 0.0 { *y } else { *n };
        }
        Self(out)
    }
    #[inline]
    fn size(self) -> f64 {
        largest_of(&self.each(f64::abs).0, 0.0)
    }
    #[inline]
    fn is_finite(self) -> bool {
        self.0.iter().all(|a| a.is_finite())
    }
    #[inline]
    fn scale(self, factor: f64) -> Self {
        self.each(|a| a * factor)
    }
    #[inline]
    fn envelope(self, other: Self) -> Self {
        self.with(other, outer)
    }
    #[inline]
    fn largest(self) -> f64 {
        self.size()
    }
    #[inline]
    fn least(self) -> f64 {
        let mut least = f64::INFINITY;
        for a in &self.0 {
            least = lesser(least, a.abs());
        }
        least
    }
    #[inline]
    fn worst_ratio(top: Self, bottom: Self) -> f64 {
        largest_of(&top.with(bottom, f64::worst_ratio).0, 0.0)
    }
    #[inline]
    fn scaled_error(error: Self, reference: Self, relative: f64, floor: Self) -> f64 {
        let mut scaled = error.0;
        for (cell, (r, f)) in scaled.iter_mut().zip(reference.0.iter().zip(&floor.0)) {
            *cell = cell.abs() / (relative * (r.abs() + f + ABSOLUTE));
        }
        largest_of(&scaled, 0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Every function once, smooth ones and the others, each result of moderate size.
    fn everything<T: Number>(x: T, y: T) -> Vec<T> {
        let one = T::constant(1.0);
        vec![
            (x * y).exp() / (x + y.sqrt()) - x.pow(y) * (x / y).ln(),
            x.sin() * y.cos() + (x - y).tanh(),
            (x - y).abs() + x.min(y) * y.max(x),
            x.floor() * y + (x * y).trunc() - x,
            (x - y).phi() + (x / (one + x + y)).probit(),
            T::select(x.lt(y).and(y.le(x * y)), x * x, y * y),
            T::select(x.eq(x).or(x.ne(y)).not(), x, -y),
            x.scale(-2.5) + y.pow(T::constant(3.0)),
        ]
    }

    proptest! {
        #[test]
        fn derivatives_match_differences(x in 0.2_f64..4.0, y in 0.2_f64..3.0) {
            let h = 1e-5;
            // Steps and corners have no difference to compare with.
            prop_assume!((x - y).abs() > 1e-3 && (x * y - y).abs() > 1e-3);
            prop_assume!((x - x.round()).abs() > 1e-3 && (x * y - (x * y).round()).abs() > 1e-3);
            let exact = everything(Dual::<2>::seeded(x, 0, 1.0), Dual::seeded(y, 1, 1.0));
            let plain = everything(x, y);
            let (right, left) = (everything(x + h, y), everything(x - h, y));
            let (up, down) = (everything(x, y + h), everything(x, y - h));
            for (k, d) in exact.iter().enumerate() {
                let dx = (right[k] - left[k]) / (2.0 * h);
                let dy = (up[k] - down[k]) / (2.0 * h);
                prop_assert!((d.value - plain[k]).abs() <= 1e-12 * (1.0 + d.value.abs()));
                prop_assert!((d.slope[0] - dx).abs() < 1e-6 * (1.0 + plain[k].abs() + dx.abs()), "{k} {d:?} {dx}");
                prop_assert!((d.slope[1] - dy).abs() < 1e-6 * (1.0 + plain[k].abs() + dy.abs()), "{k} {d:?} {dy}");
            }
        }

        #[test]
        fn lanes_equal_scalars_bit_for_bit(
            x in proptest::array::uniform5(-3.0_f64..4.0),
            y in proptest::array::uniform5(-2.0_f64..3.0),
        ) {
            let together = everything(Lanes(x), Lanes(y));
            for lane in 0..5 {
                let alone = everything(x[lane], y[lane]);
                for (k, value) in alone.iter().enumerate() {
                    let same = together[k].0[lane].to_bits() == value.to_bits();
                    prop_assert!(same || (value.is_nan() && together[k].0[lane].is_nan()), "{k}");
                }
            }
        }

        #[test]
        fn probit_inverts_phi(p in 1e-12_f64..1.0, small in -300.0_f64..0.0) {
            prop_assert!((p.probit().phi() - p).abs() <= 1e-14);
            let tiny = 10_f64.powf(small);
            prop_assert!((tiny.probit().phi() / tiny - 1.0).abs() <= 1e-12);
        }
    }

    #[test]
    fn normal_distribution_matches_reference_values() {
        // Computed with mpmath at 40 digits.
        let table = [
            (-37.5_f64, 4.605353009581955e-308),
            (-30.2_f64, 1.1842914786109379e-200),
            (-20.1_f64, 3.6896808637213897e-90),
            (-10.3_f64, 3.5230650789264124e-25),
            (-7.1_f64, 6.237844463331591e-13),
            (-5.0_f64, 2.866515718791939e-07),
            (-3.7_f64, 0.00010779973347738826),
            (-2.0_f64, 0.02275013194817921),
            (-1.1_f64, 0.13566606094638264),
            (-0.6_f64, 0.2742531177500736),
            (-0.3_f64, 0.3820885778110474),
            (-0.01_f64, 0.4960106436853684),
            (0.0_f64, 0.5),
        ];
        for (x, expected) in table {
            assert!((x.phi() / expected - 1.0).abs() < 2e-15, "{x}: {} {expected}", x.phi());
            assert!(((-x).phi() - (1.0 - expected)).abs() <= 1e-15, "{x}");
        }
        for (x, expected) in table.iter().filter(|(x, _)| *x < -0.5) {
            assert!((expected.probit() / x - 1.0).abs() < 1e-14, "{x}");
        }
        assert_eq!(0.5_f64.probit(), 0.0);
        assert_eq!(0.0_f64.probit(), f64::NEG_INFINITY);
        assert_eq!(1.0_f64.probit(), f64::INFINITY);
        assert!(1.5_f64.probit().is_nan() && f64::NAN.probit().is_nan() && f64::NAN.phi().is_nan());
        assert_eq!(f64::INFINITY.phi(), 1.0);
        assert_eq!(Dual::<1>::seeded(f64::INFINITY, 0, 1.0).phi().slope, [0.0]);
        assert_eq!(f64::NEG_INFINITY.phi(), 0.0);
    }

    #[test]
    fn a_nan_never_vanishes() {
        let nan = f64::NAN;
        for (a, b) in [(nan, 1.0), (1.0, nan)] {
            assert!(Number::min(a, b).is_nan() && Number::max(a, b).is_nan());
            let (p, q) = (Dual::<1>::seeded(a, 0, 1.0), Dual::<1>::seeded(b, 0, 1.0));
            assert!(p.min(q).size().is_nan() && p.max(q).size().is_nan());
            let (p, q) = (Lanes([1.0, a]), Lanes([1.0, b]));
            assert!(p.min(q).size().is_nan() && p.max(q).size().is_nan());
            assert!(Lanes([a, b]).size().is_nan() && !Lanes([a, b]).is_finite());
            let d = Dual {
                value: a,
                slope: [b, 0.0],
            };
            assert!(d.size().is_nan() && !d.is_finite());
            let zero = Dual::constant(0.0);
            assert!(Dual::scaled_error(d, zero, 1e-6, zero).is_nan());
        }
        assert_eq!(Lanes([1.0, f64::NEG_INFINITY]).size(), f64::INFINITY);
    }

    #[test]
    fn steep_points_keep_zero_derivatives_zero() {
        let zero = Dual::<2> {
            value: 0.0,
            slope: [0.0, 3.0],
        };
        assert_eq!(zero.sqrt().slope, [0.0, f64::INFINITY]);
        assert_eq!(zero.pow(Dual::constant(0.75)).slope, [0.0, f64::INFINITY]);
        assert_eq!(zero.pow(Dual::constant(1.0)).slope, [0.0, 3.0]);
        assert_eq!(zero.pow(Dual::seeded(2.0, 0, 1.0)).slope, [0.0, 0.0]);
        let minus = Dual::<1>::seeded(-2.0, 0, 1.0);
        assert_eq!(
            minus.pow(Dual::constant(3.0)),
            Dual {
                value: -8.0,
                slope: [12.0]
            }
        );
    }
}
