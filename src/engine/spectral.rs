//! The closed form of linear states between two events.
//!
//! `x' = A x + u` with constant A and u. In the eigenvectors of A each coordinate follows a scalar equation of its own, so x is
//! known at any time without steps. Works for numbers with derivatives too: rates and vectors are carried to first order in
//! what A deviates from its value (the perturbation of simple eigenvalues), which is exact for dual numbers.

use super::eigen::Eigen;
use super::linalg::multiply;
use crate::lang::Number;

/// Eigenvalues and eigenvectors of a matrix.
#[derive(Debug, Clone)]
pub(crate) struct Spectrum<T> {
    n: usize,
    pub(crate) rates: Vec<T>,
    /// Column k is the vector of rate k.
    right: Vec<T>,
    /// Row k belongs to rate k.
    left: Vec<T>,
}

impl<T: Number> Spectrum<T> {
    /// Of nothing.
    pub(crate) fn empty() -> Self {
        Self {
            n: 0,
            rates: Vec::new(),
            right: Vec::new(),
            left: Vec::new(),
        }
    }

    /// `None` if the matrix has no separate real eigenvalues, in any of its lanes, or none far enough apart for its derivatives.
    pub(crate) fn new(n: usize, a: &[T]) -> Option<Self> {
        let lanes: Vec<Eigen> = (0..T::LANES)
            .map(|lane| {
                let mut eigen = Eigen::new(n);
                let values: Vec<f64> = a.iter().map(|x| x.lane(lane)).collect();
                let fine = eigen.decompose(&values) && (!T::HAS_SLOPES || eigen.keeps_slopes(&values));
                fine.then_some(eigen)
            })
            .collect::<Option<_>>()?;
        let pack = |of: &dyn Fn(&Eigen) -> &Vec<f64>| -> Vec<T> {
            (0..of(&lanes[0]).len())
                .map(|i| T::gather(|lane| of(&lanes[lane])[i]))
                .collect()
        };
        let values: Vec<T> = pack(&|eigen| &eigen.values);
        let right: Vec<T> = pack(&|eigen| &eigen.right);
        let left: Vec<T> = pack(&|eigen| &eigen.left);
        if !T::HAS_SLOPES {
            return Some(Self {
                n,
                rates: values,
                right,
                left,
            });
        }
        // turned = left * A * right: rates on the diagonal; off it, values that vanish and derivatives that do not.
        let turned = multiply(n, &multiply(n, &left, a), &right);
        let mut share = turned.clone();
        for p in 0..n {
            for k in 0..n {
                share[p * n + k] = if p == k {
                    T::constant(1.0)
                } else {
                    turned[p * n + k] / (values[k] - values[p])
                };
            }
        }
        let new_right = multiply(n, &right, &share);
        for p in 0..n {
            for k in 0..n {
                if p != k {
                    share[p * n + k] = -share[p * n + k];
                }
            }
        }
        // To first order the inverse of 1 + s is 1 - s.
        let new_left = multiply(n, &share, &left);
        Some(Self {
            n,
            rates: (0..n).map(|k| turned[k * n + k]).collect(),
            right: new_right,
            left: new_left,
        })
    }
}

/// `exp(rate*t)`, its integral over 0..t, and the integral of that.
#[inline]
pub(crate) fn growth<T: Number>(rate: T, t: T) -> (T, T, T) {
    let x = rate * t;
    let e = x.exp();
    let one = T::constant(1.0);
    if x.largest() < 0.05 {
        return (e, t * series(x, 1), t * t * series(x, 2));
    }
    let integral = (e - one) / rate;
    let twice = (integral - t) / rate;
    // Lanes differ: near zero the quotients lose digits.
    if T::LANES > 1 && x.least() < 0.05 {
        let near = x.abs().lt(T::constant(0.05));
        return (
            e,
            T::select(near, t * series(x, 1), integral),
            T::select(near, t * t * series(x, 2), twice),
        );
    }
    (e, integral, twice)
}

/// `1/k!`
pub(crate) const OVER_FACTORIAL: [f64; 12] = {
    let mut table = [1.0; 12];
    let mut k = 1;
    while k < 12 {
        table[k] = table[k - 1] / k as f64;
        k += 1;
    }
    table
};

/// `sum of x^k / (k + from)!` for a small x.
fn series<T: Number>(x: T, from: usize) -> T {
    let terms = OVER_FACTORIAL[from..from + 9].iter().rev();
    terms.fold(T::constant(0.0), |sum, factor| sum * x + T::constant(*factor))
}

/// Linear states from a starting point on, under a constant input.
#[derive(Debug, Clone)]
pub(crate) struct Flow<T> {
    /// States at the start.
    origin: Vec<T>,
    at_origin: bool,
    start: Vec<T>,
    /// Steady input in the coordinates of the eigenvectors.
    input: Vec<T>,
    has_input: bool,
    growth: Vec<(T, T, T)>,
}

impl<T: Number> Flow<T> {
    /// Nothing that flows.
    pub(crate) fn empty() -> Self {
        Self {
            origin: Vec::new(),
            at_origin: false,
            start: Vec::new(),
            input: Vec::new(),
            has_input: false,
            growth: Vec::new(),
        }
    }

    /// Starts at `x` under the input `u`.
    pub(crate) fn set(&mut self, spectrum: &Spectrum<T>, x: &[T], u: &[T]) {
        let n = spectrum.n;
        let zero = T::constant(0.0);
        self.has_input = u.iter().any(|u| u.size() != 0.0);
        self.origin.clear();
        self.origin.extend_from_slice(x);
        self.start.clear();
        self.input.clear();
        for k in 0..n {
            let row = &spectrum.left[k * n..(k + 1) * n];
            let dot = |v: &[T]| row.iter().zip(v).fold(zero, |sum, (l, v)| sum + *l * *v);
            self.start.push(dot(x));
            self.input.push(if self.has_input { dot(u) } else { zero });
        }
    }

    /// Prepares for the time `t` after the start.
    #[inline]
    pub(crate) fn at(&mut self, spectrum: &Spectrum<T>, t: T) {
        self.growth.clear();
        let zero = T::constant(0.0);
        // Where nothing has moved, rounding must not move it: a power below 1 would make much of that.
        self.at_origin = t.size() == 0.0;
        for rate in &spectrum.rates {
            self.growth.push(if self.has_input {
                growth(*rate, t)
            } else {
                ((*rate * t).exp(), zero, zero)
            });
        }
    }

    /// The same with integrals.
    pub(crate) fn at_with_sums(&mut self, spectrum: &Spectrum<T>, t: T) {
        self.growth.clear();
        self.at_origin = t.size() == 0.0;
        self.growth.extend(spectrum.rates.iter().map(|rate| growth(*rate, t)));
    }

    /// State `i` at the time prepared.
    #[inline]
    pub(crate) fn state(&self, spectrum: &Spectrum<T>, i: usize) -> T {
        if self.at_origin {
            return self.origin[i];
        }
        let row = &spectrum.right[i * spectrum.n..(i + 1) * spectrum.n];
        let mut sum = T::constant(0.0);
        for (k, right) in row.iter().enumerate() {
            let (e, integral, _) = self.growth[k];
            let mut z = e * self.start[k];
            if self.has_input {
                z = z + integral * self.input[k];
            }
            sum = sum + *right * z;
        }
        sum
    }

    /// Integral of state `i` from the start to the time prepared with sums.
    pub(crate) fn sum(&self, spectrum: &Spectrum<T>, i: usize) -> T {
        let row = &spectrum.right[i * spectrum.n..(i + 1) * spectrum.n];
        let mut sum = T::constant(0.0);
        for (k, right) in row.iter().enumerate() {
            let (_, integral, twice) = self.growth[k];
            sum = sum + *right * (integral * self.start[k] + twice * self.input[k]);
        }
        sum
    }

    /// The state that repeats itself every `interval` when `bolus` is added and `rate` runs for `duration` at its start, and
    /// `source` all the time: sets `x` to just before the dose. `None` if it never settles.
    pub(crate) fn settled(
        spectrum: &Spectrum<T>,
        [bolus, rate, source]: [&[T]; 3],
        duration: T,
        interval: T,
        x: &mut [T],
    ) -> Option<()> {
        let n = spectrum.n;
        let zero = T::constant(0.0);
        let one = T::constant(1.0);
        x.iter_mut().for_each(|x| *x = zero);
        for k in 0..n {
            let lambda = spectrum.rates[k];
            let left = &spectrum.left[k * n..(k + 1) * n];
            let dot = |v: &[T]| left.iter().zip(v).fold(zero, |sum, (l, v)| sum + *l * *v);
            let (full, whole, _) = growth(lambda, interval);
            let (_, entered, _) = growth(lambda, duration);
            let (rest, ..) = growth(lambda, interval - duration);
            let entering = dot(bolus) * full + dot(rate) * entered * rest + dot(source) * whole;
            if entering.size() == 0.0 {
                continue;
            }
            if (0..T::LANES).any(|lane| lambda.lane(lane) >= 0.0) {
                return None;
            }
            let z = entering / (one - full);
            for (i, x) in x.iter_mut().enumerate() {
                *x = *x + spectrum.right[i * n + k] * z;
            }
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lang::{Dual, Lanes};

    const A: [f64; 4] = [-0.5, 0.2, 0.3, -0.2];

    fn at<T: Number>(a: &[T], t: T) -> [T; 3] {
        let spectrum = Spectrum::new(2, a).unwrap();
        let mut flow = Flow::empty();
        flow.set(
            &spectrum,
            &[T::constant(10.0), T::constant(0.0)],
            &[T::constant(1.0), T::constant(0.5)],
        );
        flow.at_with_sums(&spectrum, t);
        [
            flow.state(&spectrum, 0),
            flow.state(&spectrum, 1),
            flow.sum(&spectrum, 0),
        ]
    }

    #[test]
    fn follows_small_steps() {
        let (mut x, mut y, mut area) = (10.0, 0.0, 0.0);
        let h = 1e-5;
        for _ in 0..300_000 {
            let (mx, my) = (
                x + 0.5 * h * (A[0] * x + A[1] * y + 1.0),
                y + 0.5 * h * (A[2] * x + A[3] * y + 0.5),
            );
            area += h * mx;
            x += h * (A[0] * mx + A[1] * my + 1.0);
            y += h * (A[2] * mx + A[3] * my + 0.5);
        }
        for (found, expected) in at(&A, 3.0).into_iter().zip([x, y, area]) {
            assert!((found - expected).abs() < 1e-8 * expected, "{found} {expected}");
        }
    }

    #[test]
    fn derivatives_and_lanes() {
        for place in 0..4 {
            let dual: Vec<Dual<1>> = (0..4).map(|i| Dual::seeded(A[i], 0, f64::from(i == place))).collect();
            let found = at(&dual, Dual::constant(3.0));
            let h = 1e-6;
            let moved = |by: f64| {
                let mut a = A;
                a[place] += by;
                at(&a, 3.0)
            };
            let (up, down) = (moved(h), moved(-h));
            for i in 0..3 {
                let slope = (up[i] - down[i]) / (2.0 * h);
                assert!((found[i].slope[0] - slope).abs() < 1e-7 * (1.0 + slope.abs()));
            }
        }
        let lanes: Vec<Lanes<2>> = A.iter().map(|a| Lanes([*a, 0.7 * a])).collect();
        let found = at(&lanes, Lanes::constant(3.0));
        let scaled: Vec<f64> = A.iter().map(|a| 0.7 * a).collect();
        for i in 0..3 {
            assert!((found[i].0[0] - at(&A, 3.0)[i]).abs() < 1e-12);
            assert!((found[i].0[1] - at(&scaled, 3.0)[i]).abs() < 1e-12);
        }
    }

    #[test]
    fn rates_near_each_other_keep_their_digits_or_are_refused() {
        let mut refused = 0;
        for k in 0..60 {
            // A chain of five; two of its rates come nearer and nearer.
            let near = 0.5 * (1.0 + 0.8_f64.powi(k));
            let rates = [0.67, 0.16, 0.38, near, 0.5];
            let slopes = [1.0, -0.5, 0.3, 0.7, -0.8];
            let mut a = vec![Dual::<1>::constant(0.0); 25];
            for (i, (rate, slope)) in rates.into_iter().zip(slopes).enumerate() {
                let rate = Dual {
                    value: rate,
                    slope: [slope * rate],
                };
                a[6 * i] = -rate;
                if i < 4 {
                    a[6 * i + 5] = rate;
                }
            }
            let t = 0.8;
            let Some(spectrum) = Spectrum::new(5, &a) else {
                refused += 1;
                continue;
            };
            let zero = Dual::constant(0.0);
            let mut start = [zero; 5];
            start[0] = Dual::constant(1.0);
            let mut flow = Flow::empty();
            flow.set(&spectrum, &start, &[zero; 5]);
            flow.at(&spectrum, Dual::constant(t));
            let scaled: Vec<Dual<1>> = a.iter().map(|x| x.scale(t)).collect();
            let exact = crate::engine::expm::expm(5, &scaled);
            for i in 0..5 {
                let off = flow.state(&spectrum, i) - exact[5 * i];
                assert!(off.value.abs() < 1e-12 && off.slope[0].abs() < 1e-9, "{k} {off:?}");
            }
        }
        assert!((1..50).contains(&refused), "{refused}");
    }

    #[test]
    fn growth_is_smooth_through_zero() {
        for x in [-0.06, -0.049, -1e-9, 0.0, 1e-9, 0.049, 0.051] {
            let (e, integral, twice) = growth(x, 1.0);
            assert!((e - x.exp()).abs() < 1e-15);
            assert!((integral - (1.0 + x / 2.0 + x * x / 6.0 + x.powi(3) / 24.0 + x.powi(4) / 120.0)).abs() < 1e-8);
            assert!((twice - (0.5 + x / 6.0 + x * x / 24.0 + x.powi(3) / 120.0 + x.powi(4) / 720.0)).abs() < 1e-8);
        }
    }
}
