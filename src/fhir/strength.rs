//! Doses counted in tablets, where the product says what a tablet holds (FHIR R4, Medication.ingredient.strength).

use serde_json::Value;

use super::dosage::{Dosage, Dose};
use super::drafts;
use super::units::{Quantity, finite};

/// Pieces that are swallowed whole, in lower case and without the braces of UCUM annotations.
const PIECES: [&str; 19] = [
    "tbl",
    "tab",
    "tabs",
    "tablet",
    "tablets",
    "cap",
    "caps",
    "capsule",
    "capsules",
    "pill",
    "pills",
    "cp",
    "cpr",
    "comprimé",
    "comprimés",
    "comprime",
    "comprimes",
    "gélule",
    "gélules",
];

/// What one piece holds.
#[derive(Debug, Clone, PartialEq)]
pub struct Strength {
    /// Amount in so many pieces.
    amount: Quantity,
    /// How many pieces.
    pieces: f64,
}

impl Strength {
    /// Reads a ratio of an amount and a number of pieces; `None` for any other, such as an amount in a volume.
    pub fn read(ratio: &Value) -> Option<Self> {
        let amount = drafts::quantity(ratio.get("numerator")?);
        let per = drafts::quantity(ratio.get("denominator")?);
        let one = |u: &Option<String>| u.as_deref().is_none_or(|u| u.trim() == "1" || is_piece(u));
        let pieces = per.value.as_deref().map_or(Some(1.0), finite)?;
        let plain = amount.comparator.is_none() && per.comparator.is_none();
        (plain && pieces > 0.0 && one(&per.code) && one(&per.unit)).then_some(Strength { amount, pieces })
    }

    /// The amount of a dose that is counted in pieces; `None` for any other dose.
    pub fn of(&self, dose: &Quantity) -> Option<Quantity> {
        let units: Vec<&String> = [&dose.code, &dose.unit].into_iter().flatten().collect();
        if units.is_empty() || !units.iter().all(|u| is_piece(u)) {
            return None;
        }
        let value = finite(dose.value.as_deref()?)? * finite(self.amount.value.as_deref()?)? / self.pieces;
        value.is_finite().then(|| Quantity {
            value: Some(value.to_string()),
            comparator: dose.comparator.clone(),
            ..self.amount.clone()
        })
    }
}

fn is_piece(unit: &str) -> bool {
    let unit = unit.trim().trim_matches(['{', '}']).to_lowercase();
    let unit = unit.strip_suffix("(s)").unwrap_or(&unit);
    PIECES.contains(&unit)
}

/// Turns doses counted in pieces into amounts, where the strength is known; others stay as they are.
pub fn apply(dosages: &mut [Dosage], strength: Option<&Strength>) {
    let Some(strength) = strength else { return };
    for dosage in dosages {
        if let Dose::Quantity(counted) = &dosage.dose
            && let Some(amount) = strength.of(counted)
        {
            dosage.dose = Dose::Quantity(amount);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn dose(value: &str, unit: &str) -> Quantity {
        Quantity {
            value: Some(value.into()),
            unit: Some(unit.into()),
            ..Quantity::default()
        }
    }

    #[test]
    fn tablets() {
        let two = json!({"numerator": {"value": 5, "unit": "mg"}, "denominator": {"value": 2, "unit": "{tbl}"}});
        let strength = Strength::read(&two).unwrap();
        for unit in ["tablet", "TAB", "{tbl}", "comprimé", "tablet(s)"] {
            let amount = strength.of(&dose("1.5", unit)).unwrap();
            assert_eq!(
                (amount.value.as_deref(), amount.unit.as_deref()),
                (Some("3.75"), Some("mg")),
                "{unit}"
            );
        }
        for unit in ["mg", "mL", "dose", "1", ""] {
            assert_eq!(strength.of(&dose("1", unit)), None, "{unit}");
        }
        assert_eq!(strength.of(&dose("NaN", "tablet")), None);
        assert_eq!(strength.of(&Quantity::default()), None);
        let bare = json!({"numerator": {"value": 5, "unit": "mg"}, "denominator": {"value": 1}});
        assert!(Strength::read(&bare).is_some());
        for bad in [
            json!({"numerator": {"value": 5, "unit": "mg"}, "denominator": {"value": 1, "unit": "mL"}}),
            json!({"numerator": {"value": 5, "unit": "mg"}, "denominator": {"value": 0, "unit": "tablet"}}),
            json!({"numerator": {"value": 5, "unit": "mg"}}),
            json!({"numerator": 5, "denominator": {"value": {}, "comparator": "<"}}),
            json!([7]),
        ] {
            assert!(Strength::read(&bad).is_none(), "{bad}");
        }
    }
}
