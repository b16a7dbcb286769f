//! What a measurement says about a prediction.

use super::parts::ErrorModel;
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

/// How far a prediction may be off: on which scale, and with which variance.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Spread {
    /// The prediction on the scale of the error, and its derivative in the prediction.
    pub(crate) centre: (f64, f64),
    /// Variance on that scale.
    pub(crate) variance: f64,
    /// Derivative of the variance in the prediction, over the variance.
    relative: f64,
    log: bool,
}

impl Spread {
    /// At a prediction.
    pub(crate) fn of(error: &ErrorModel, prediction: f64) -> Self {
        let plain = |variance: f64, slope: f64| Self {
            centre: (prediction, 1.0),
            variance,
            relative: slope / variance,
            log: false,
        };
        match *error {
            ErrorModel::Combined { additive, proportional } => {
                let part = proportional * prediction;
                plain(
                    additive * additive + part * part,
                    2.0 * proportional * proportional * prediction,
                )
            }
            ErrorModel::Power { coefficient, exponent } => {
                let variance = (coefficient * prediction.powf(exponent)).powi(2);
                plain(variance, 2.0 * exponent * variance / prediction)
            }
            ErrorModel::Log { sd } => Self {
                centre: (prediction.ln(), 1.0 / prediction),
                variance: sd * sd,
                relative: 0.0,
                log: true,
            },
        }
    }

    /// A measured value on the scale of the error.
    pub(crate) fn place(&self, value: f64) -> f64 {
        if self.log { value.ln() } else { value }
    }
}

/// The term of one observation at a prediction. A value below or above a limit enters by its probability (method M3). With a
/// logarithmic error, value and prediction are compared on the logarithmic scale, and so is the variance.
pub(crate) fn term(observation: &Observation, error: &ErrorModel, prediction: f64) -> Term {
    let spread = Spread::of(error, prediction);
    let on_scale = on_scale(observation, &spread);
    // From the scale of the error to the prediction itself.
    let (_, speed) = spread.centre;
    Term {
        value: on_scale.value,
        slope: on_scale.slope * speed,
        curvature: on_scale.curvature * speed * speed,
    }
}

fn on_scale(observation: &Observation, spread: &Spread) -> Term {
    let Spread { variance, relative, .. } = *spread;
    let residual = spread.place(observation.value) - spread.centre.0;
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
        Bound::Between(lower) => return between(spread.place(lower), spread.place(observation.value), spread),
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

/// A value known to lie between two others.
fn between(lower: f64, upper: f64, spread: &Spread) -> Term {
    let sd = spread.variance.sqrt();
    let standard = |edge: f64| {
        let z = (edge - spread.centre.0) / sd;
        (z, -1.0 / sd - 0.5 * z * spread.relative)
    };
    let ((a, a_slope), (b, b_slope)) = (standard(lower), standard(upper));
    // From the side where the tail is thin, so that the difference keeps its digits.
    let (near, far) = if a + b > 0.0 { (-a, -b) } else { (b, a) };
    let (log_near, _) = log_normal_below(near);
    let (log_far, _) = log_normal_below(far);
    let log_probability = log_near + (-(log_far - log_near).exp()).ln_1p();
    let density = |z: f64| (-0.5 * z * z - 0.918_938_533_204_672_7 - log_probability).exp();
    let slope = density(b) * b_slope - density(a) * a_slope;
    let bend = -density(b) * b * b_slope * b_slope + density(a) * a * a_slope * a_slope;
    Term {
        value: -2.0 * log_probability,
        slope: -2.0 * slope,
        curvature: (2.0 * (slope * slope - bend)).max(0.0),
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
            y in 0.1_f64..50.0, f in 0.1_f64..60.0, a in 0.2_f64..4.0, b in 0.0_f64..0.5, bound in 0_usize..4, kind in 0..3,
        ) {
            let bound = [Bound::Exact, Bound::Below, Bound::Above, Bound::Between(0.4 * y)][bound];
            let observation = Observation { time: 0.0, value: y, bound, output: 0 };
            let error = match kind {
                0 => ErrorModel::Combined { additive: a, proportional: b },
                1 => ErrorModel::Log { sd: a },
                _ => ErrorModel::Power { coefficient: a, exponent: b },
            };
            let h = 1e-5 * f;
            let at = |f| term(&observation, &error, f).value;
            let slope = (at(f + h) - at(f - h)) / (2.0 * h);
            let found = term(&observation, &error, f);
            prop_assert!((found.slope - slope).abs() < 1e-5 * (1.0 + slope.abs() + found.value.abs()), "{} {}", found.slope, slope);
            prop_assert!(found.curvature >= 0.0);
        }
    }
}
