//! Quantities in the unit that the twin declares, or not at all.
//!
//! The arithmetic is UCUM's. Around it stand the cases in which arithmetic alone gives an answer that is wrong for a
//! patient: display texts that look like UCUM, moles, HbA1c, and clearances indexed to body surface.

use std::collections::HashMap;
use std::sync::LazyLock;

use crate::patient::needs::{Code, LOINC, UCUM};

/// Longest unit that is looked at.
const LONGEST: usize = 40;
/// Larger than any quantity of the body in any unit; a value beyond is a sentinel or a fault.
const HUGE: f64 = 1e9;

/// A `Quantity` (FHIR R4, Data Types, 2.24.0.6), reduced to what counts.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Quantity {
    /// As written.
    pub value: Option<String>,
    /// `<`, `<=`, `>=` or `>`.
    pub comparator: Option<String>,
    /// Unit for people.
    pub unit: Option<String>,
    /// System of `code`.
    pub system: Option<String>,
    /// Unit for machines.
    pub code: Option<String>,
}

/// Why a quantity has no value in the unit asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// No number, or one that is no quantity (`NaN`, `1e308`).
    NotANumber,
    /// No unit.
    NoUnit,
    /// A unit that is unknown, or is not one of this kind of quantity.
    Unit,
}

/// What the analyte adds to the arithmetic.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Analyte {
    /// g/mol.
    pub molar_mass: Option<f64>,
    /// Glycated haemoglobin: its percentage and its mmol/mol are two scales and no ratio of each other.
    pub hba1c: bool,
    /// One equivalent is one mole.
    pub monovalent: bool,
}

const HBA1C: &[&str] = &["4548-4", "4549-2", "17856-6", "59261-8", "62388-4", "71875-9"];
const MONOVALENT: &[&str] = &[
    "2951-2", "2947-0", "2823-3", "6298-4", "2075-0", "2069-3", "2028-9", "1963-8", "1959-6",
];

impl Analyte {
    /// What the codes say about the analyte.
    pub fn new(codes: &[Code], molar_mass: Option<f64>) -> Self {
        let any = |list: &[&str]| {
            codes
                .iter()
                .any(|c| c.system == LOINC && list.contains(&c.code.as_str()))
        };
        Analyte {
            molar_mass: molar_mass.filter(|m| m.is_finite() && *m > 0.0),
            hba1c: any(HBA1C),
            monovalent: any(MONOVALENT),
        }
    }
}

/// Display texts that are not UCUM, or would be read by UCUM as something else. Keys in lower case.
const ALIASES: &[(&str, &str)] = &[
    ("mg", "mg"),
    ("g", "g"),
    ("gm", "g"),
    ("gram", "g"),
    ("grams", "g"),
    ("mcg", "ug"),
    ("ug", "ug"),
    ("ng", "ng"),
    ("milligram", "mg"),
    ("milligrams", "mg"),
    ("microgram", "ug"),
    ("micrograms", "ug"),
    ("kg", "kg"),
    ("kgs", "kg"),
    ("kilogram", "kg"),
    ("kilograms", "kg"),
    ("lb", "[lb_av]"),
    ("lbs", "[lb_av]"),
    ("pound", "[lb_av]"),
    ("pounds", "[lb_av]"),
    ("oz", "[oz_av]"),
    ("cm", "cm"),
    ("cms", "cm"),
    ("centimeter", "cm"),
    ("centimeters", "cm"),
    ("centimetre", "cm"),
    ("mm", "mm"),
    ("meter", "m"),
    ("metre", "m"),
    ("in", "[in_i]"),
    ("inch", "[in_i]"),
    ("inches", "[in_i]"),
    ("ft", "[ft_i]"),
    ("mg/l", "mg/L"),
    ("mg/dl", "mg/dL"),
    ("g/l", "g/L"),
    ("g/dl", "g/dL"),
    ("gm/dl", "g/dL"),
    ("ug/ml", "ug/mL"),
    ("mcg/ml", "ug/mL"),
    ("ug/l", "ug/L"),
    ("mcg/l", "ug/L"),
    ("ng/ml", "ng/mL"),
    ("ng/l", "ng/L"),
    ("pg/ml", "pg/mL"),
    ("ng/dl", "ng/dL"),
    ("mcg/dl", "ug/dL"),
    ("ug/dl", "ug/dL"),
    ("mg/ml", "mg/mL"),
    ("mmol/l", "mmol/L"),
    ("umol/l", "umol/L"),
    ("mcmol/l", "umol/L"),
    ("nmol/l", "nmol/L"),
    ("pmol/l", "pmol/L"),
    ("mmol/mol", "mmol/mol"),
    ("meq/l", "meq/L"),
    ("iu/l", "[iU]/L"),
    ("iu/ml", "[iU]/mL"),
    ("miu/ml", "m[iU]/mL"),
    ("u/l", "U/L"),
    ("mmhg", "mm[Hg]"),
    ("mm hg", "mm[Hg]"),
    ("kpa", "kPa"),
    ("sec", "s"),
    ("secs", "s"),
    ("seconds", "s"),
    ("min", "min"),
    ("mins", "min"),
    ("minutes", "min"),
    ("hr", "h"),
    ("hrs", "h"),
    ("hour", "h"),
    ("hours", "h"),
    ("h", "h"),
    ("day", "d"),
    ("days", "d"),
    ("%", "%"),
    ("percent", "%"),
    ("ratio", "1"),
    ("inr", "{INR}"),
    ("/min", "/min"),
    ("bpm", "/min"),
    ("beats/min", "/min"),
    ("beats/minute", "/min"),
    ("breaths/min", "/min"),
    ("ml/min", "mL/min"),
    ("ml/min/1.73m2", "mL/min/{1.73_m2}"),
    ("ml/min/1.73 m2", "mL/min/{1.73_m2}"),
    ("ml/min/1.73m^2", "mL/min/{1.73_m2}"),
    ("ml/min/1.73 m^2", "mL/min/{1.73_m2}"),
    ("ml/min/1.73sq.m", "mL/min/{1.73_m2}"),
    ("l/h", "L/h"),
    ("l/hr", "L/h"),
    ("l/min", "L/min"),
    ("ml/h", "mL/h"),
    ("ml/hr", "mL/h"),
    ("ml/hour", "mL/h"),
    ("k/ul", "10*3/uL"),
    ("10^3/ul", "10*3/uL"),
    ("x10^3/ul", "10*3/uL"),
    ("10^9/l", "10*9/L"),
    ("m/ul", "10*6/uL"),
    ("10^12/l", "10*12/L"),
    ("degc", "Cel"),
    ("deg c", "Cel"),
    ("c", "Cel"),
    ("degf", "[degF]"),
    ("deg f", "[degF]"),
    ("f", "[degF]"),
    ("kg/m2", "kg/m2"),
    ("m2", "m2"),
    ("mg/h", "mg/h"),
    ("mg/hr", "mg/h"),
    ("mg/hour", "mg/h"),
    ("mg/min", "mg/min"),
    ("g/h", "g/h"),
    ("mg/kg", "mg/kg"),
    ("mcg/kg", "ug/kg"),
    ("mg/kg/hr", "mg/kg/h"),
    ("mcg/kg/min", "ug/kg/min"),
    ("mg/kg/dose", "mg/kg"),
    ("mg/dose", "mg"),
    ("ml", "mL"),
    ("l", "L"),
];

/// Words that name no unit of measure, though UCUM may read one into them.
const NO_UNITS: &[&str] = &[
    "dose", "doses", "unit", "units", "u", "iu", "tab", "vial", "bag", "bolus", "each", "ea", "na",
];

static ALIAS: LazyLock<HashMap<&str, &str>> = LazyLock::new(|| ALIASES.iter().copied().collect());

/// The unit for people without what UCUM does not know: the micro sign, raised digits, degrees.
fn plain(text: &str) -> String {
    let plain: String = text
        .trim()
        .chars()
        .map(|c| match c {
            // The micro sign and the Greek letter.
            '\u{b5}' | '\u{3bc}' => 'u',
            '\u{b2}' => '2',
            '\u{b3}' => '3',
            '\u{b0}' => ' ',
            c => c,
        })
        .collect();
    plain.trim().to_owned()
}

/// What a unit for people is known to mean.
fn known(text: &str) -> Option<&'static str> {
    ALIAS.get(plain(text).to_lowercase().as_str()).copied()
}

/// A unit as UCUM, from the unit for people: only what is known is translated, the rest goes to UCUM as it is.
fn from_display(text: &str) -> Option<String> {
    let plain = plain(text);
    if NO_UNITS.contains(&plain.to_lowercase().as_str()) {
        return None;
    }
    // `MG` is megagauss to UCUM: the alias goes first.
    known(text)
        .map(str::to_owned)
        .or_else(|| (!plain.is_empty()).then_some(plain))
}

impl Quantity {
    /// The number.
    ///
    /// # Errors
    /// [`Refused::NotANumber`] when there is none, or none that a body can have.
    pub fn number(&self) -> Result<f64, Refused> {
        self.value.as_deref().and_then(finite).ok_or(Refused::NotANumber)
    }

    /// Unit in UCUM: the code when it is UCUM's, else what the display text is known to mean.
    ///
    /// # Errors
    /// [`Refused::NoUnit`] and [`Refused::Unit`].
    pub fn ucum(&self) -> Result<String, Refused> {
        let filled = |text: &Option<String>| {
            text.as_deref()
                .map(str::trim)
                .filter(|t| !t.is_empty())
                .map(str::to_owned)
        };
        let code = filled(&self.code);
        let system = self.system.as_deref().unwrap_or_default();
        if let Some(code) = &code
            && (system == UCUM || system == "urn:oid:2.16.840.1.113883.6.8")
        {
            return Ok(code.clone());
        }
        // A code of another system is a text like any other; the unit for people is meant for reading, so it goes first.
        let text = filled(&self.unit).or(code).ok_or(Refused::NoUnit)?;
        from_display(&text).ok_or(Refused::Unit)
    }

    /// Whether the unit for people means another one than the code `ucum`: `mg/dL` beside the code `umol/L`.
    ///
    /// One of the two is wrong, and nothing says which. Only texts that are known are judged.
    fn contradicts(&self, ucum: &str) -> bool {
        let Some(said) = self.unit.as_deref().and_then(known).filter(|said| *said != ucum) else {
            return false;
        };
        // Equivalents stand for moles and arbitrary units for each other, and 1.73 m2 is written in many ways.
        let loose = has_atom(said, "eq") || said.contains('U') || (is_indexed(said) && is_indexed(ucum));
        !loose && !convert(1.0, said, ucum, Analyte::default()).is_ok_and(|one| (one - 1.0).abs() <= 1e-3)
    }

    /// Value in `to`.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn to(&self, to: &str, analyte: Analyte) -> Result<f64, Refused> {
        let (number, unit) = (self.number()?, self.ucum()?);
        if self.contradicts(&unit) {
            return Err(Refused::Unit);
        }
        convert(number, &unit, to, analyte)
    }

    /// Value and unit as recorded; both units where they contradict each other.
    pub fn shown(&self) -> String {
        let unit = self.unit.as_deref().or(self.code.as_deref()).unwrap_or_default();
        let code = self.ucum().ok().filter(|code| self.contradicts(code));
        format!(
            "{}{} {unit}{}",
            self.comparator.as_deref().unwrap_or_default(),
            self.value.as_deref().unwrap_or("?"),
            code.map(|code| format!(", code {code}")).unwrap_or_default()
        )
        .trim()
        .to_owned()
    }
}

/// A decimal number that can be a quantity of the body.
pub fn finite(text: &str) -> Option<f64> {
    let text = text.trim();
    // `inf`, `nan` and `infinity` are numbers to the standard library.
    if text.is_empty()
        || !text
            .bytes()
            .all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'+' | b'e' | b'E'))
    {
        return None;
    }
    text.parse::<f64>().ok().filter(|v| v.is_finite() && v.abs() <= HUGE)
}

/// Value in another unit.
///
/// # Errors
/// [`Refused::Unit`] when the units are not of one kind, and whenever the arithmetic answer is wrong for a patient.
pub fn convert(value: f64, from: &str, to: &str, analyte: Analyte) -> Result<f64, Refused> {
    if !value.is_finite() {
        return Err(Refused::NotANumber);
    }
    if from == to {
        return Ok(value);
    }
    // Exponents of many digits make exact arithmetic slow; no unit of a laboratory has them.
    if from.len() > LONGEST || !from.is_ascii() || longest_digits(from) > 3 {
        return Err(Refused::Unit);
    }
    // Per 1.73 m2 of body surface is an annotation to UCUM, and another quantity to a kidney.
    if is_indexed(from) != is_indexed(to) {
        return Err(Refused::Unit);
    }
    let percent = |unit: &str| matches!(unit, "%" | "%{HbA1c}" | "%{Hb}" | "%{total}");
    if analyte.hba1c || (percent(from) && to == "mmol/mol") || (from == "mmol/mol" && percent(to)) {
        return match () {
            () if !analyte.hba1c => Err(Refused::Unit),
            () if percent(from) && percent(to) => Ok(value),
            // IFCC and NGSP: the master equation of the two reference systems.
            () if from == "mmol/mol" && percent(to) => Ok(0.09148 * value + 2.152),
            () if percent(from) && to == "mmol/mol" => Ok((value - 2.152) / 0.09148),
            () => Err(Refused::Unit),
        };
    }
    if !analyte.monovalent && has_atom(from, "eq") != has_atom(to, "eq") {
        return Err(Refused::Unit);
    }
    let moles = |unit: &str| has_atom(unit, "mol") || has_atom(unit, "eq");
    let result = match (moles(from), moles(to), analyte.molar_mass) {
        (true, false, Some(mass)) => octofhir_ucum::convert(value * mass, &format!("({from}).(g/mol)"), to),
        (false, true, Some(mass)) => octofhir_ucum::convert(value / mass, &format!("({from}).(mol/g)"), to),
        // A mole is a mere number to UCUM, so that it must not meet a unit without moles.
        (true, false, None) | (false, true, None) => return Err(Refused::Unit),
        _ => octofhir_ucum::convert(value, from, to),
    };
    result
        .ok()
        .filter(|v| v.is_finite() && v.abs() <= HUGE)
        .ok_or(Refused::Unit)
}

fn is_indexed(unit: &str) -> bool {
    unit.contains("1.73") || unit.contains("{bsa}") || unit.contains("{BSA}")
}

/// Whether an atom such as `mol` stands in the unit with no prefix or an SI prefix, outside of annotations.
fn has_atom(unit: &str, atom: &str) -> bool {
    let mut depth = 0u32;
    let bare: String = unit
        .chars()
        .filter(|c| {
            match c {
                '{' | '[' => depth += 1,
                '}' | ']' => {
                    depth = depth.saturating_sub(1);
                    return false;
                }
                _ => {}
            }
            depth == 0
        })
        .collect();
    bare.split(|c: char| !c.is_ascii_alphabetic())
        .any(|part| part.strip_suffix(atom).is_some_and(|prefix| prefix.len() <= 2))
}

fn longest_digits(unit: &str) -> usize {
    unit.split(|c: char| !c.is_ascii_digit())
        .map(str::len)
        .max()
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ucum(value: &str, code: &str) -> Quantity {
        Quantity {
            value: Some(value.into()),
            system: Some(UCUM.into()),
            code: Some(code.into()),
            ..Quantity::default()
        }
    }

    fn shown(value: &str, unit: &str) -> Quantity {
        Quantity {
            value: Some(value.into()),
            unit: Some(unit.into()),
            ..Quantity::default()
        }
    }

    const CREATININE: Analyte = Analyte {
        molar_mass: Some(113.12),
        hba1c: false,
        monovalent: false,
    };
    const NONE: Analyte = Analyte {
        molar_mass: None,
        hba1c: false,
        monovalent: false,
    };

    #[test]
    fn conversions() {
        let hba1c = Analyte { hba1c: true, ..NONE };
        let salt = Analyte {
            monovalent: true,
            ..NONE
        };
        for (quantity, to, analyte, expected) in [
            (ucum("18.5", "ug/mL"), "mg/L", NONE, 18.5),
            (ucum("0.0185", "g/L"), "mg/L", NONE, 18.5),
            (ucum("150", "[lb_av]"), "kg", NONE, 68.0388555),
            (shown("150", "lbs"), "kg", NONE, 68.0388555),
            (shown("70", "inches"), "cm", NONE, 177.8),
            (shown("70", "In"), "cm", NONE, 177.8),
            (shown("5", "mcg/mL"), "mg/L", NONE, 5.0),
            (shown("5", "\u{b5}g/mL"), "mg/L", NONE, 5.0),
            (shown("5", "\u{3bc}g/mL"), "mg/L", NONE, 5.0),
            (shown("1", "MG/DL"), "mg/L", NONE, 10.0),
            (shown("2", "mg/dL"), "mg/L", NONE, 20.0),
            (ucum("88.402", "umol/L"), "mg/dL", CREATININE, 1.0),
            (shown("88.402", "µmol/L"), "mg/dL", CREATININE, 1.0),
            (ucum("1", "mg/dL"), "umol/L", CREATININE, 88.402),
            (ucum("1", "mg"), "mg", NONE, 1.0),
            (ucum("1.25", "g"), "mg", NONE, 1250.0),
            (ucum("48", "mmol/mol"), "%", hba1c, 6.543),
            (ucum("6.543", "%"), "mmol/mol", hba1c, 48.0),
            (shown("140", "mEq/L"), "mmol/L", salt, 140.0),
            (shown("120", "mmHg"), "mm[Hg]", NONE, 120.0),
            (shown("5", "K/uL"), "10*9/L", NONE, 5.0),
            (ucum("60", "mL/min/{1.73_m2}"), "mL/min/{1.73_m2}", NONE, 60.0),
            (shown("60", "mL/min/1.73m2"), "mL/min/{1.73_m2}", NONE, 60.0),
        ] {
            let got = quantity.to(to, analyte);
            assert!(
                got.is_ok_and(|v| (v - expected).abs() <= 2e-4 * expected),
                "{quantity:?} to {to}: {got:?}"
            );
        }
    }

    #[test]
    fn refusals() {
        for (quantity, to, analyte, why) in [
            (ucum("88", "umol/L"), "mg/dL", NONE, Refused::Unit),
            (ucum("88", "umol/L"), "mg", CREATININE, Refused::Unit),
            (ucum("60", "mL/min/{1.73_m2}"), "mL/min", NONE, Refused::Unit),
            (ucum("60", "mL/min"), "mL/min/{1.73_m2}", NONE, Refused::Unit),
            (shown("60", "mL/min/1.73 m²"), "mL/min", NONE, Refused::Unit),
            (ucum("48", "mmol/mol"), "%", NONE, Refused::Unit),
            (ucum("0.48", "1"), "%", Analyte { hba1c: true, ..NONE }, Refused::Unit),
            (ucum("5", "10*9/L"), "mmol/L", NONE, Refused::Unit),
            (shown("4", "mEq/L"), "mmol/L", NONE, Refused::Unit),
            (shown("1", "dose"), "mg", NONE, Refused::Unit),
            (ucum("1", "{dose}"), "mg", NONE, Refused::Unit),
            (ucum("15", "mg/kg"), "mg", NONE, Refused::Unit),
            (ucum("15", "mcg"), "mg", NONE, Refused::Unit),
            (shown("15", "units"), "mg", NONE, Refused::Unit),
            (shown("15", "furlongs"), "cm", NONE, Refused::Unit),
            (ucum("15", "10*99999999"), "cm", NONE, Refused::Unit),
            (
                Quantity {
                    value: Some("5".into()),
                    ..Quantity::default()
                },
                "mg",
                NONE,
                Refused::NoUnit,
            ),
            (shown("5", " "), "mg", NONE, Refused::NoUnit),
            (
                Quantity {
                    unit: Some("mg".into()),
                    ..Quantity::default()
                },
                "mg",
                NONE,
                Refused::NotANumber,
            ),
        ] {
            assert_eq!(quantity.to(to, analyte), Err(why), "{quantity:?} to {to}");
        }
        for value in [
            "NaN", "inf", "-inf", "1e308", "1e999", "infinity", "", "five", "0x10", "1,5", "1e10",
        ] {
            assert_eq!(ucum(value, "mg").to("mg", NONE), Err(Refused::NotANumber), "{value}");
        }
    }

    #[test]
    fn a_unit_and_a_code_that_contradict_each_other() {
        let both = |unit: &str, code: &str| Quantity {
            unit: Some(unit.into()),
            ..ucum("84", code)
        };
        for (unit, code, to) in [
            ("mg/dL", "umol/L", "mg/dL"),
            ("umol/L", "mg/dL", "mg/dL"),
            ("lb", "kg", "kg"),
            ("cm", "kg", "kg"),
            ("g", "mg", "mg"),
            ("mL", "mg", "mg"),
            ("mg/kg", "mg", "mg"),
        ] {
            let quantity = both(unit, code);
            assert_eq!(quantity.to(to, CREATININE), Err(Refused::Unit), "{unit} {code}");
            assert_eq!(quantity.shown(), format!("84 {unit}, code {code}"));
        }
        for (unit, code, to) in [
            ("mcg/mL", "mg/L", "mg/L"),
            ("lbs", "[lb_av]", "kg"),
            ("In", "[in_i]", "cm"),
            ("K/uL", "10*9/L", "10*3/uL"),
            ("mEq/L", "mmol/L", "mmol/L"),
            ("x", "mg", "mg"),
            ("units", "mg", "mg"),
        ] {
            assert!(both(unit, code).to(to, NONE).is_ok(), "{unit} {code}");
        }
    }

    proptest! {
        #[test]
        fn there_and_back(value in 1e-3f64..1e5, pair in prop::sample::select(vec![
            ("mg/L", "ug/mL"), ("kg", "[lb_av]"), ("cm", "[in_i]"), ("mg", "g"), ("mg/dL", "umol/L"), ("Cel", "[degF]"),
            ("mg/h", "ug/min"), ("L/h", "mL/min"),
        ])) {
            let there = convert(value, pair.0, pair.1, CREATININE).unwrap();
            let back = convert(there, pair.1, pair.0, CREATININE).unwrap();
            prop_assert!((back - value).abs() <= 1e-9 * value.max(1.0));
        }

        #[test]
        fn no_unit_text_crashes_or_gives_what_is_no_number(value in any::<f64>(), unit in "\\PC{0,50}") {
            for quantity in [ucum(&value.to_string(), &unit), shown(&value.to_string(), &unit)] {
                if let Ok(converted) = quantity.to("mg/L", CREATININE) {
                    prop_assert!(converted.is_finite());
                }
            }
        }
    }
}
