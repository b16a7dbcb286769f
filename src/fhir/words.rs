//! Numbers that a result gives in words (FHIR R4, Observation, 10.1: `valueString`).

use super::units::Quantity;

/// `GREATER THAN 13.1`, `<0.2`, `>= 40 mg/L`: a number in words, with a unit if one follows.
///
/// Commas are refused: `1,200` is twelve hundred here and one and a fifth there.
pub fn from_words(text: &str) -> Option<Quantity> {
    const SIGNS: &[(&str, &str)] = &[
        ("less than or equal to", "<="),
        ("greater than or equal to", ">="),
        ("less than", "<"),
        ("greater than", ">"),
        ("more than", ">"),
        ("below", "<"),
        ("above", ">"),
        ("under", "<"),
        ("over", ">"),
        ("<=", "<="),
        (">=", ">="),
        ("\u{2264}", "<="),
        ("\u{2265}", ">="),
        ("<", "<"),
        (">", ">"),
    ];
    let text = text.trim();
    let lower = text.to_lowercase();
    let sign = SIGNS
        .iter()
        .find(|(words, _)| lower.starts_with(words) && text.get(words.len()..).is_some());
    let rest = sign
        .and_then(|(words, _)| text.get(words.len()..))
        .unwrap_or(text)
        .trim_start();
    let end = rest
        .find(|c: char| !(c.is_ascii_digit() || c == '.'))
        .unwrap_or(rest.len());
    let (number, unit) = rest.split_at_checked(end)?;
    super::units::finite(number)?;
    let unit = unit.trim();
    // `1,200`, `1-5`, `1:40`, and powers of ten, are no plain number followed by a unit.
    let mut unit_chars = unit.chars();
    match (unit_chars.next(), unit_chars.next()) {
        (Some(',' | '-' | ':' | '/'), _) => return None,
        (Some('e' | 'E'), Some(c)) if c.is_ascii_digit() || c == '-' || c == '+' => return None,
        _ => {}
    }
    Some(Quantity {
        value: Some(number.to_owned()),
        comparator: sign.map(|(_, sign)| (*sign).to_owned()),
        unit: (!unit.is_empty()).then(|| unit.to_owned()),
        ..Quantity::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_words() {
        for (text, comparator, value, unit) in [
            ("GREATER THAN 13.1", Some(">"), "13.1", None),
            ("LESS THAN 0.4", Some("<"), "0.4", None),
            ("<0.2", Some("<"), "0.2", None),
            (">= 40 mg/L", Some(">="), "40", Some("mg/L")),
            ("7.2", None, "7.2", None),
            ("7.2 ug/mL", None, "7.2", Some("ug/mL")),
        ] {
            let q = from_words(text).unwrap();
            assert_eq!(
                (q.comparator.as_deref(), q.value.as_deref(), q.unit.as_deref()),
                (comparator, Some(value), unit),
                "{text}"
            );
        }
        for text in [
            "",
            "negative",
            "1,200",
            "1-5",
            "1:40",
            "NaN",
            "< ",
            "1e400",
            "HEMOLYZED",
            "1.2.3",
        ] {
            assert!(from_words(text).is_none(), "{text}");
        }
    }
}
