//! What a measurement says about a prediction.

use super::system::ErrorModel;
use super::{Bound, Observation};

/// One term of the objective function and its derivatives in the prediction.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Term {
    /// Minus twice the log likelihood, without the constant ln(2 pi).
    pub(crate) value: f64,
    /// First derivative.
    pub(crate) slope: f64,
    /// Expected second derivative (Fisher information): never negative.
    pub(crate) curvature: f64,
}

/// The term of one observation at a prediction. A value below or above a limit enters by its probability (method M3).
pub(crate) fn term(observation: &Observation, error: &ErrorModel, prediction: f64) -> Term {
    let variance = error.variance(prediction);
    let variance_slope = 2.0 * error.proportional * error.proportional * prediction;
    let relative = variance_slope / variance;
    let residual = observation.value - prediction;
    let sign = match observation.bound {
        Bound::Exact => {
            let scaled = residual / variance;
            return Term {
                value: variance.ln() + residual * scaled,
                slope: relative - 2.0 * scaled - residual * scaled * relative,
                curvature: 2.0 / variance + relative * relative,
            };
        }
        Bound::Below => 1.0,
        Bound::Above => -1.0,
    };
    let sd = variance.sqrt();
    let z = sign * residual / sd;
    let z_slope = -sign / sd - 0.5 * z * relative;
    let (log_probability, hazard) = log_normal_below(z);
    Term {
        value: -2.0 * log_probability,
        slope: -2.0 * hazard * z_slope,
        curvature: 2.0 * hazard * (z + hazard).max(0.0) * z_slope * z_slope,
    }
}

/// `ln P(Z < z)` of a standard normal, and its derivative `density / probability`.
pub(crate) fn log_normal_below(z: f64) -> (f64, f64) {
    const HALF_LN_2PI: f64 = 0.918_938_533_204_672_7;
    let log_density = -0.5 * z * z - HALF_LN_2PI;
    if z >= -1.0 {
        let above = if z > 3.0 {
            (log_density + mills(z).ln()).exp()
        } else {
            0.5 - centre(z)
        };
        let log_probability = (-above).ln_1p();
        (log_probability, (log_density - log_probability).exp())
    } else if z > -3.0 {
        let probability = 0.5 + centre(z);
        (probability.ln(), (log_density - probability.ln()).exp())
    } else {
        let ratio = mills(-z);
        (log_density + ratio.ln(), 1.0 / ratio)
    }
}

/// `P(0 < Z < z)` for a moderate z, by the series whose terms all have one sign.
fn centre(z: f64) -> f64 {
    let density = (-0.5 * z * z).exp() / (2.0 * std::f64::consts::PI).sqrt();
    let mut term = z;
    let mut sum = z;
    let mut odd = 1.0;
    while term.abs() > 1e-17 * sum.abs() && odd < 400.0 {
        odd += 2.0;
        term *= z * z / odd;
        sum += term;
    }
    density * sum
}

/// `P(Z > x) / density(x)` for x of at least 3, by the continued fraction of Laplace from its end.
fn mills(x: f64) -> f64 {
    let mut tail = 0.0;
    for k in (1..=120).rev() {
        tail = f64::from(k) / (x + tail);
    }
    1.0 / (x + tail)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_probabilities() {
        // Standard tables, and the asymptotic value far out.
        for (z, ln_p) in [
            (0.0, -std::f64::consts::LN_2),
            (1.959_963_984_540_054, 0.975_f64.ln()),
            (-1.644_853_626_951_472_6, 0.05_f64.ln()),
            (-5.0, -15.064_998_393_988_727),
            (-40.0, -804.608_442_013_754),
            (10.0, -7.619_853_024_160_527e-24),
        ] {
            let (found, _) = log_normal_below(z);
            assert!(
                (found - ln_p).abs() <= 1e-11 * (1.0 + ln_p.abs()) || (found / ln_p - 1.0).abs() < 1e-9,
                "{z} {found}"
            );
        }
        assert!(log_normal_below(-1e100).0.is_finite() || log_normal_below(-1e100).0 == f64::NEG_INFINITY);
    }

    proptest! {
        #[test]
        fn slopes_match_differences(
            y in 0.1_f64..50.0, f in 0.1_f64..60.0, a in 0.2_f64..4.0, b in 0.0_f64..0.5, bound in 0..3,
        ) {
            let bound = [Bound::Exact, Bound::Below, Bound::Above][usize::try_from(bound).unwrap()];
            let observation = Observation { time: 0.0, value: y, bound, output: 0 };
            let error = ErrorModel { additive: a, proportional: b };
            let h = 1e-5 * f;
            let at = |f| term(&observation, &error, f).value;
            let slope = (at(f + h) - at(f - h)) / (2.0 * h);
            let found = term(&observation, &error, f);
            prop_assert!((found.slope - slope).abs() < 1e-5 * (1.0 + slope.abs() + found.value.abs()), "{} {}", found.slope, slope);
            prop_assert!(found.curvature >= 0.0);
        }
    }
}
