//! From a typical person to an individual: how random effects act on parameters.

use crate::lang::Number;

/// An end of the range of a parameter.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum End {
    /// A number.
    Value(f64),
    /// The individual value of an earlier parameter.
    Parameter(usize),
}

/// How a random effect acts on a parameter.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Link {
    /// `typical * exp(eta)`
    LogNormal,
    /// `typical + eta`
    Normal,
    /// `typical * (1 + eta)`
    Proportional,
    /// `typical * exp((exp(lambda*eta) - 1)/lambda)`: log-normal with a longer or shorter tail (Petersson and others 2009, DOI
    /// 10.1007/s11095-009-9931-1).
    BoxCox {
        /// Shape; near 0 this is log-normal.
        lambda: f64,
    },
    /// Log-normal above a lower end: `low + (typical - low)*exp(eta)`.
    Above(End),
    /// Logit-normal between two ends.
    Between(End, End),
}

/// A parameter and what varies it.
#[derive(Debug, Clone, PartialEq)]
pub struct Parameter {
    /// Its name.
    pub name: String,
    /// How random effects act on it.
    pub link: Link,
    /// The random effect between people, by its place.
    pub effect: Option<usize>,
    /// The random effect between occasions, by its place.
    pub occasion_effect: Option<usize>,
    /// Whether it acts only in steps (through `trunc` or `floor`), so that slopes say nothing about it.
    pub stepwise: bool,
}

impl Parameter {
    /// A parameter with one log-normal effect, or none.
    pub fn log_normal(name: impl Into<String>, effect: Option<usize>) -> Self {
        Self {
            name: name.into(),
            link: Link::LogNormal,
            effect,
            occasion_effect: None,
            stepwise: false,
        }
    }
}

/// Individual values, appended to the emptied `into`. `kappa` are the effects of the occasion; missing effects count as zero.
#[inline]
pub(crate) fn individual<T: Number>(
    parameters: &[Parameter],
    typical: &[f64],
    eta: &[T],
    kappa: &[T],
    into: &mut Vec<T>,
) {
    into.clear();
    for (parameter, typical) in parameters.iter().zip(typical) {
        let person = parameter.effect.and_then(|effect| eta.get(effect)).copied();
        let occasion = parameter.occasion_effect.and_then(|effect| kappa.get(effect)).copied();
        let typical = T::constant(*typical);
        let value = match (person, occasion) {
            (None, None) => typical,
            (Some(x), None) | (None, Some(x)) => act(parameter.link, typical, x, into),
            (Some(a), Some(b)) => act(parameter.link, typical, a + b, into),
        };
        into.push(value);
    }
}

fn act<T: Number>(link: Link, typical: T, eta: T, earlier: &[T]) -> T {
    let end = |end: End| match end {
        End::Value(value) => T::constant(value),
        End::Parameter(place) => earlier.get(place).copied().unwrap_or(T::constant(f64::NAN)),
    };
    let one = T::constant(1.0);
    match link {
        Link::LogNormal => typical * eta.exp(),
        Link::Normal => typical + eta,
        Link::Proportional => typical * (one + eta),
        Link::BoxCox { lambda } if lambda.abs() < 1e-8 => typical * eta.exp(),
        Link::BoxCox { lambda } => {
            let lambda = T::constant(lambda);
            typical * (((lambda * eta).exp() - one) / lambda).exp()
        }
        Link::Above(low) => {
            let low = end(low);
            low + (typical - low) * eta.exp()
        }
        Link::Between(low, high) => {
            let (low, high) = (end(low), end(high));
            let inside = inside((typical - low) / (high - low));
            let odds = inside / (one - inside) * eta.exp();
            // odds/(1 + odds), written so that neither end overflows.
            let fraction = T::select(one.lt(odds), one / (one + one / odds), odds / (one + odds));
            low + (high - low) * fraction
        }
    }
}

/// A share between 0 and 1; what lies on an end or outside starts from just inside.
fn inside<T: Number>(share: T) -> T {
    let (least, most) = (T::constant(1e-3), T::constant(1.0 - 1e-3));
    let share = T::select(share.le(T::constant(0.0)), least, share);
    T::select(T::constant(1.0).le(share), most, share)
}

impl Link {
    /// The whole numbers a parameter that acts in steps can be, each with the effect that puts it there; empty without fixed
    /// ends.
    pub(crate) fn steps(self, typical: f64) -> Vec<f64> {
        const MOST: f64 = 1000.0;
        let Self::Between(End::Value(low), End::Value(high)) = self else {
            return Vec::new();
        };
        let odds = |share: f64| share / (1.0 - share);
        let start = odds(inside((typical - low) / (high - low)));
        let mut effects = Vec::new();
        let mut whole = low.floor();
        while whole < high && effects.len() < MOST as usize {
            // The middle of a step, where rounding cannot tip it.
            let middle = (whole.max(low) + (whole + 1.0).min(high)) / 2.0;
            effects.push((odds((middle - low) / (high - low)) / start).ln());
            whole += 1.0;
        }
        effects
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(link: Link, typical: f64, eta: f64) -> f64 {
        let mut out = Vec::new();
        let parameter = Parameter {
            link,
            ..Parameter::log_normal("P", Some(0))
        };
        individual(&[parameter], &[typical], &[eta], &[], &mut out);
        out[0]
    }

    #[test]
    fn links() {
        assert!((value(Link::LogNormal, 2.0, 0.5) - 2.0 * 0.5_f64.exp()).abs() < 1e-15);
        assert_eq!(value(Link::Normal, 2.0, 0.5), 2.5);
        assert_eq!(value(Link::Proportional, 2.0, 0.5), 3.0);
        assert!((value(Link::BoxCox { lambda: 1e-9 }, 2.0, 0.5) - value(Link::LogNormal, 2.0, 0.5)).abs() < 1e-12);
        let between = Link::Between(End::Value(0.0), End::Value(1.0));
        assert!((value(between, 0.5, 1.0) - 1.0 / (1.0 + (-1.0_f64).exp())).abs() < 1e-15);
        for eta in [-800.0, -3.0, 0.0, 3.0, 800.0] {
            let p = value(between, 0.2, eta);
            assert!((0.0..=1.0).contains(&p), "{p}");
        }
        assert_eq!(value(Link::Above(End::Value(1.0)), 3.0, 0.0), 3.0);
    }
}
