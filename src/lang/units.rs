//! Units: which kind of quantity a number is, and of what size its unit is.
//!
//! Unit codes are UCUM (<https://ucum.org>), read by the crate `octofhir-ucum`. Exponents are kept as numbers with a fraction,
//! because published formulas take roots and broken powers.

use std::fmt;

/// A unit: the exponents of the UCUM base units, of arbitrary units, and a size.
///
/// Two quantities may be added only if both kind and size agree: `L/h` and `mL/min` are of one kind but adding the
/// numbers would be wrong by a factor.
#[derive(Debug, Clone, PartialEq)]
pub struct Unit {
    /// Exponents of metre, second, gram, radian, kelvin, coulomb, candela.
    exponents: [f64; 7],
    /// Arbitrary units (such as `[IU]`) with their exponents, sorted by name.
    arbitrary: Vec<(&'static str, f64)>,
    /// Size in base units.
    size: f64,
}

impl Unit {
    /// The unit of a pure number.
    pub const ONE: Self = Self {
        exponents: [0.0; 7],
        arbitrary: Vec::new(),
        size: 1.0,
    };

    /// Reads a UCUM code; `*` is accepted for the multiplication dot.
    ///
    /// # Errors
    /// A text that is no UCUM unit, or a unit without a ratio scale (degree Celsius, pH): a reason for a person.
    pub fn parse(code: &str) -> Result<Self, String> {
        let read = |code: &str| octofhir_ucum::analyse(code).ok();
        let analysis = read(code)
            .or_else(|| read(&code.replace('*', ".")))
            .ok_or_else(|| format!("`{code}` is not a UCUM unit"))?;
        if analysis.special.is_some() {
            return Err(format!(
                "`{code}` has no ratio scale (such as degrees Celsius or pH), so it cannot enter equations"
            ));
        }
        let size = analysis.factor.to_f64();
        if !(size.is_finite() && size > 0.0) {
            return Err(format!("`{code}` has no usable size"));
        }
        let mut arbitrary: Vec<_> = analysis
            .arbitrary
            .iter()
            .map(|(name, power)| (*name, f64::from(*power)))
            .collect();
        arbitrary.sort_by_key(|(name, _)| *name);
        Ok(Self {
            exponents: analysis.dimension.0.map(f64::from),
            arbitrary,
            size,
        })
    }

    /// The product of two units.
    pub fn times(&self, other: &Self) -> Self {
        self.merge(other, 1.0)
    }

    /// The quotient of two units.
    pub fn over(&self, other: &Self) -> Self {
        self.merge(other, -1.0)
    }

    /// A power of a unit.
    pub fn power(&self, power: f64) -> Self {
        let mut arbitrary = self.arbitrary.clone();
        for (_, exponent) in &mut arbitrary {
            *exponent *= power;
        }
        arbitrary.retain(|(_, exponent)| exponent.abs() > 1e-9);
        Self {
            exponents: self.exponents.map(|e| e * power),
            arbitrary,
            size: self.size.powf(power),
        }
    }

    fn merge(&self, other: &Self, sign: f64) -> Self {
        let mut exponents = self.exponents;
        for (a, b) in exponents.iter_mut().zip(&other.exponents) {
            *a += sign * b;
        }
        let mut arbitrary = self.arbitrary.clone();
        for (name, power) in &other.arbitrary {
            match arbitrary.iter_mut().find(|(known, _)| known == name) {
                Some((_, exponent)) => *exponent += sign * power,
                None => arbitrary.push((name, sign * power)),
            }
        }
        arbitrary.retain(|(_, exponent)| exponent.abs() > 1e-9);
        arbitrary.sort_by_key(|(name, _)| *name);
        Self {
            exponents,
            arbitrary,
            size: self.size * if sign > 0.0 { other.size } else { 1.0 / other.size },
        }
    }

    /// Whether both measure the same kind of quantity, whatever the size.
    pub fn same_kind(&self, other: &Self) -> bool {
        self.exponents
            .iter()
            .zip(&other.exponents)
            .all(|(a, b)| (a - b).abs() < 1e-9)
            && self.arbitrary.len() == other.arbitrary.len()
            && self
                .arbitrary
                .iter()
                .zip(&other.arbitrary)
                .all(|(a, b)| a.0 == b.0 && (a.1 - b.1).abs() < 1e-9)
    }

    /// Whether numbers in the two units may be compared and added as they are.
    pub fn same(&self, other: &Self) -> bool {
        self.same_kind(other) && (self.size / other.size - 1.0).abs() < 1e-9
    }

    /// Whether this is a pure number.
    pub fn is_one(&self) -> bool {
        self.same(&Self::ONE)
    }

    /// How many of `other` make one of this; the two must be of one kind.
    pub fn ratio(&self, other: &Self) -> f64 {
        self.size / other.size
    }

    /// Says in words how `found` differs from the unit wanted here.
    pub fn difference(&self, found: &Self) -> String {
        if self.same_kind(found) {
            format!(
                "same kind of quantity ({self}) but its unit is {} times too large",
                significant(found.ratio(self))
            )
        } else {
            format!("expected {self}, found {found}")
        }
    }
}

fn significant(value: f64) -> String {
    let text = format!("{value:.6e}").parse::<f64>().unwrap_or(value);
    text.to_string()
}

impl fmt::Display for Unit {
    /// The kind of quantity, such as `mass length^-3`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const NAMES: [&str; 7] = [
            "length",
            "time",
            "mass",
            "angle",
            "temperature",
            "charge",
            "luminous intensity",
        ];
        let base = NAMES.iter().zip(&self.exponents).map(|(name, power)| (*name, *power));
        let mut first = true;
        for (name, power) in base
            .chain(self.arbitrary.iter().copied())
            .filter(|(_, power)| power.abs() > 1e-9)
        {
            if !first {
                f.write_str(" ")?;
            }
            first = false;
            f.write_str(name)?;
            if power != 1.0 {
                write!(f, "^{power}")?;
            }
        }
        if first { f.write_str("a pure number") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(code: &str) -> Unit {
        Unit::parse(code).unwrap()
    }

    #[test]
    fn clearance_over_volume_is_a_rate() {
        assert!(unit("L/h").over(&unit("L")).same(&unit("/h")));
        assert!(unit("mg/L").times(&unit("L")).same(&unit("mg")));
        assert!(unit("mg*h/L").same(&unit("mg.h/L")));
        assert!(unit("ug/mL").same(&unit("mg/L")));
    }

    #[test]
    fn kind_is_not_size() {
        let (a, b) = (unit("L/h"), unit("mL/min"));
        assert!(a.same_kind(&b) && !a.same(&b));
        assert!((a.ratio(&b) - 1000.0 / 60.0).abs() < 1e-9);
        assert!(!unit("[IU]/L").same_kind(&unit("mg/L")));
        assert!(unit("[IU]/mL").over(&unit("[IU]")).same(&unit("/mL")));
    }

    #[test]
    fn refuses_nonsense_and_shifted_scales() {
        assert!(Unit::parse("wombat").is_err());
        assert!(Unit::parse("Cel").unwrap_err().contains("ratio"));
    }

    #[test]
    fn roots_and_powers() {
        assert!(unit("m2").power(0.5).same(&unit("m")));
        assert_eq!(
            unit("kg").power(0.75).times(&unit("kg").power(-0.75)),
            Unit::ONE.times(&Unit::ONE)
        );
    }
}
