//! Positive, negative, or neither: what a result says (FHIR R4, Observation, 10.1: `value[x]`, `interpretation`).

use fhir_codec::types::CodeableConcept;

use super::typed;
use super::units::{Quantity, finite};
use super::words::from_words;

/// Longer texts are reports, and are not judged by single words.
const LONGEST: usize = 200;

/// What a test says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// It is not there.
    Negative,
    /// One cannot tell.
    Indeterminate,
    /// It is there.
    Positive,
}

/// A result as recorded.
#[derive(Debug, Clone)]
pub enum Recorded<'o> {
    /// `valueCodeableConcept`.
    Coded(&'o CodeableConcept),
    /// `valueString`.
    Words(&'o str),
    /// `valueBoolean`.
    Answer(bool),
    /// `valueQuantity` or `valueInteger`.
    Number(Quantity),
    /// No value.
    Nothing,
    /// A reason why there is none, or a value of a kind that no such test has.
    Absent,
}

impl Recorded<'_> {
    /// `valueInteger`.
    pub fn whole(n: i32) -> Self {
        Recorded::Number(Quantity {
            value: Some(n.to_string()),
            ..Quantity::default()
        })
    }

    fn shown(&self) -> String {
        match self {
            Recorded::Coded(c) => typed::words(Some(c))
                .into_iter()
                .next()
                .unwrap_or_else(|| "?".to_owned()),
            Recorded::Words(text) => (*text).to_owned(),
            Recorded::Answer(yes) => yes.to_string(),
            Recorded::Number(q) => q.shown(),
            Recorded::Nothing | Recorded::Absent => "?".to_owned(),
        }
    }
}

/// SNOMED CT qualifiers and LOINC answers.
const CODES: &[(&str, Outcome)] = &[
    ("10828004", Outcome::Positive),
    ("260373001", Outcome::Positive),
    ("52101004", Outcome::Positive),
    ("11214006", Outcome::Positive),
    ("720735008", Outcome::Positive),
    ("LA6576-8", Outcome::Positive),
    ("LA11882-0", Outcome::Positive),
    ("260385009", Outcome::Negative),
    ("260415000", Outcome::Negative),
    ("131194007", Outcome::Negative),
    ("LA6577-6", Outcome::Negative),
    ("LA11883-8", Outcome::Negative),
    ("82334004", Outcome::Indeterminate),
    ("419984006", Outcome::Indeterminate),
    ("42425007", Outcome::Indeterminate),
    ("455371000124106", Outcome::Indeterminate),
    ("125154007", Outcome::Indeterminate),
    ("LA11884-6", Outcome::Indeterminate),
    ("LA9663-1", Outcome::Indeterminate),
];

/// HL7 v3 `ObservationInterpretation` and v2 table 0078.
const INTERPRETATIONS: &[(&str, Outcome)] = &[
    ("POS", Outcome::Positive),
    ("DET", Outcome::Positive),
    ("RR", Outcome::Positive),
    ("REACT", Outcome::Positive),
    ("NEG", Outcome::Negative),
    ("ND", Outcome::Negative),
    ("NR", Outcome::Negative),
    ("IND", Outcome::Indeterminate),
    ("E", Outcome::Indeterminate),
    ("WR", Outcome::Indeterminate),
];

/// The outcome, and the value for remarks. Where value and interpretation contradict each other, it is indeterminate;
/// "abnormal" counts only where there is no value.
pub fn judge(recorded: &Recorded<'_>, interpretation: &[CodeableConcept], above: Option<f64>) -> (Outcome, String) {
    let by_value = match recorded {
        Recorded::Coded(concept) => of_concept(concept, CODES),
        Recorded::Words(text) => of_words(text).or_else(|| of_number(&from_words(text)?, above?)),
        Recorded::Answer(yes) => Some(if *yes { Outcome::Positive } else { Outcome::Negative }),
        Recorded::Number(quantity) => above.and_then(|above| of_number(quantity, above)),
        Recorded::Nothing => None,
        Recorded::Absent => Some(Outcome::Indeterminate),
    };
    let by_interpretation = agreed(interpretation.iter().filter_map(|c| of_concept(c, INTERPRETATIONS)));
    let abnormal = || matches!(recorded, Recorded::Nothing) && interpretation.iter().any(is_abnormal);
    let outcome = match (by_value, by_interpretation) {
        (Some(a), Some(b)) if a != b => Outcome::Indeterminate,
        (Some(found), _) | (None, Some(found)) => found,
        (None, None) if abnormal() => Outcome::Positive,
        (None, None) => Outcome::Indeterminate,
    };
    let shown = match recorded {
        Recorded::Nothing => typed::words(interpretation.first()).into_iter().next(),
        _ => None,
    };
    (outcome, shown.unwrap_or_else(|| recorded.shown()))
}

/// All say the same, or nobody knows.
fn agreed(mut all: impl Iterator<Item = Outcome>) -> Option<Outcome> {
    let first = all.next()?;
    Some(if all.all(|o| o == first) {
        first
    } else {
        Outcome::Indeterminate
    })
}

fn is_abnormal(concept: &CodeableConcept) -> bool {
    let codes = concept.coding.iter().filter_map(|c| c.code.as_ref()?.value.as_deref());
    codes.into_iter().any(|code| matches!(code, "A" | "AA"))
}

/// By its codes; by its words when none of them is known.
fn of_concept(concept: &CodeableConcept, table: &[(&str, Outcome)]) -> Option<Outcome> {
    let codes = concept.coding.iter().filter_map(|c| c.code.as_ref()?.value.as_deref());
    let known = |code: &str| {
        let all = table.iter().chain(INTERPRETATIONS);
        all.into_iter().find(|(c, _)| *c == code).map(|(_, outcome)| *outcome)
    };
    let by_code = agreed(codes.filter_map(known));
    let displays = concept
        .coding
        .iter()
        .filter_map(|c| c.display.as_ref()?.value.as_deref());
    let texts = concept.text.iter().filter_map(|t| t.value.as_deref());
    by_code.or_else(|| agreed(texts.chain(displays).filter_map(of_words)))
}

/// Above the limit is positive, in the unit as recorded.
fn of_number(quantity: &Quantity, above: f64) -> Option<Outcome> {
    let value = finite(quantity.value.as_deref()?)?;
    Some(match quantity.comparator.as_deref() {
        None if value > above => Outcome::Positive,
        None => Outcome::Negative,
        Some(">") if value >= above => Outcome::Positive,
        Some(">=") if value > above => Outcome::Positive,
        // No quantity is below nothing: where any number counts, one below a limit counts too.
        Some("<" | "<=") if above < 0.0 => Outcome::Positive,
        Some("<" | "<=") if value <= above => Outcome::Negative,
        Some(_) => Outcome::Indeterminate,
    })
}

/// Lower case, and without the accents of French.
fn plain(text: &str) -> String {
    let fold = |c: char| match c {
        'à' | 'â' | 'ä' => 'a',
        'é' | 'è' | 'ê' | 'ë' => 'e',
        'î' | 'ï' => 'i',
        'ô' | 'ö' => 'o',
        'ù' | 'û' | 'ü' => 'u',
        c => c,
    };
    text.to_lowercase().chars().map(fold).collect()
}

/// What a text says, word by word, in English and French; `None` when it says nothing of the kind.
pub fn of_words(text: &str) -> Option<Outcome> {
    if text.len() > LONGEST {
        return None;
    }
    let text = plain(text);
    let bare = text.trim();
    if !bare.is_empty() && bare.chars().all(|c| c == '+') {
        return Some(Outcome::Positive);
    }
    let words: Vec<&str> = bare
        .split(|c: char| !c.is_alphanumeric())
        .filter(|w| !w.is_empty())
        .collect();
    let denies = |w: &str| {
        matches!(
            w,
            "not" | "non" | "no" | "none" | "pas" | "sans" | "without" | "aucun" | "aucune"
        )
    };
    // A word is denied by one of the two before it: "not detected", "no virus detected".
    let denied = |i: usize| words.iter().take(i).skip(i.saturating_sub(2)).any(|w| denies(w));
    let outcomes = words.iter().enumerate().filter_map(|(i, word)| {
        let starts = |beginnings: &[&str]| beginnings.iter().any(|b| word.starts_with(b));
        let doubtful = starts(&[
            "indetermin",
            "equivo",
            "inconclu",
            "borderline",
            "douteu",
            "invalid",
            "false",
            "faux",
            "fausse",
            "insuffi",
            "doubt",
            "uninterpret",
            "ininterpret",
        ]);
        if doubtful {
            return Some(Outcome::Indeterminate);
        }
        if starts(&["positiv", "positif"]) || *word == "pos" {
            // "Not positive" may be negative or anything else.
            return Some(if denied(i) {
                Outcome::Indeterminate
            } else {
                Outcome::Positive
            });
        }
        if starts(&["negativ", "negatif"]) || *word == "neg" {
            return Some(if denied(i) {
                Outcome::Indeterminate
            } else {
                Outcome::Negative
            });
        }
        if starts(&["undetect", "indetect", "nonreactiv", "nonreactif", "absent", "absence"]) {
            return Some(if denied(i) {
                Outcome::Indeterminate
            } else {
                Outcome::Negative
            });
        }
        if starts(&["detected", "detecte", "reactive", "reactif"]) || matches!(*word, "present" | "presente") {
            return Some(if denied(i) {
                Outcome::Negative
            } else {
                Outcome::Positive
            });
        }
        None
    });
    agreed(outcomes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use Outcome::{Indeterminate, Negative, Positive};

    #[test]
    fn words() {
        for (text, outcome) in [
            ("Positive", Some(Positive)),
            ("POSITIF", Some(Positive)),
            ("Résultat : positif (++)", Some(Positive)),
            ("détecté", Some(Positive)),
            ("Detected", Some(Positive)),
            ("reactive", Some(Positive)),
            ("presumptive positive", Some(Positive)),
            ("++", Some(Positive)),
            ("Présence", None),
            ("Negative", Some(Negative)),
            ("négative", Some(Negative)),
            ("neg.", Some(Negative)),
            ("not detected", Some(Negative)),
            ("No virus detected", Some(Negative)),
            ("non détecté", Some(Negative)),
            ("Non-Reactive", Some(Negative)),
            ("nonreactive", Some(Negative)),
            ("indétectable", Some(Negative)),
            ("absence", Some(Negative)),
            ("Indeterminate", Some(Indeterminate)),
            ("douteux", Some(Indeterminate)),
            ("false positive", Some(Indeterminate)),
            ("not positive", Some(Indeterminate)),
            ("not negative", Some(Indeterminate)),
            ("HBsAg negative, anti-HBc positive", Some(Indeterminate)),
            ("position", None),
            ("see report", None),
            ("-", None),
            ("", None),
        ] {
            assert_eq!(of_words(text), outcome, "{text}");
        }
        assert_eq!(of_words(&"positive ".repeat(1000)), None);
    }

    #[test]
    fn numbers() {
        for (comparator, value, outcome) in [
            (None, "0.7", Some(Positive)),
            (None, "0.6", Some(Negative)),
            (Some(">"), "0.6", Some(Positive)),
            (Some(">="), "0.6", Some(Indeterminate)),
            (Some(">"), "0.5", Some(Indeterminate)),
            (Some("<"), "0.6", Some(Negative)),
            (Some("<"), "5", Some(Indeterminate)),
            (Some("ad"), "5", Some(Indeterminate)),
            (None, "NaN", None),
        ] {
            let q = Quantity {
                value: Some(value.into()),
                comparator: comparator.map(str::to_owned),
                ..Quantity::default()
            };
            assert_eq!(of_number(&q, 0.6), outcome, "{comparator:?} {value}");
        }
        assert_eq!(judge(&Recorded::Words("< 0.35 kU/L"), &[], Some(0.35)).0, Negative);
        assert_eq!(judge(&Recorded::whole(3), &[], Some(2.0)).0, Positive);
        assert_eq!(judge(&Recorded::whole(3), &[], None).0, Indeterminate);
    }
}
