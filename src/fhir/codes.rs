//! Matching of codes and of drugs.

use crate::patient::needs::{Code, Drug, Flag};

use super::peek::{Concept, Medication};
use super::terminology::Terminology;

/// Whether a recorded code is one that is asked for. A trailing `*` asks for every code that begins so.
///
/// ICD codes are compared without their dot: half of all systems leave it out.
pub fn matches(wanted: &Code, system: &str, code: &str, terminology: &Terminology) -> bool {
    let system = terminology.canonical(system);
    if system != wanted.system {
        return false;
    }
    let wildcard = wanted.code.strip_suffix('*');
    let pattern = wildcard.unwrap_or(&wanted.code);
    if system.contains("/icd-") {
        let mut recorded = code.chars().filter(|c| *c != '.').map(|c| c.to_ascii_uppercase());
        let asked = pattern.chars().filter(|c| *c != '.').map(|c| c.to_ascii_uppercase());
        for letter in asked {
            if recorded.next() != Some(letter) {
                return false;
            }
        }
        return wildcard.is_some() || recorded.next().is_none();
    }
    match wildcard {
        Some(prefix) => code.starts_with(prefix),
        None => code == pattern,
    }
}

/// Whether any coding of the concept is asked for.
pub fn any(wanted: &[Code], concept: &Concept<'_>, terminology: &Terminology) -> bool {
    matching(wanted, concept, terminology).is_some()
}

/// The first coding of the concept that is asked for: canonical system, and code as recorded.
pub fn matching<'a>(
    wanted: &[Code],
    concept: &'a Concept<'_>,
    terminology: &'a Terminology,
) -> Option<(&'a str, &'a str)> {
    concept
        .codes()
        .find(|(system, code)| wanted.iter().any(|w| matches(w, system, code, terminology)))
        .map(|(system, code)| (terminology.canonical(system), code))
}

/// How a drug was recognised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Match {
    /// By a code of the ingredient, the class, or a known product.
    Code,
    /// Only by its name in a text.
    Text,
}

/// What makes a medication one of those that are asked for.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// Name in the files.
    pub name: &'a str,
    /// Codes of ingredients and classes.
    pub codes: &'a [Code],
    /// Names by which an uncoded one may be recognised.
    pub synonyms: &'a [String],
}

impl<'a> From<&'a Drug> for Wanted<'a> {
    fn from(drug: &'a Drug) -> Self {
        Wanted {
            name: &drug.name,
            codes: &drug.codes,
            synonyms: &drug.synonyms,
        }
    }
}

impl<'a> From<&'a Flag> for Wanted<'a> {
    fn from(flag: &'a Flag) -> Self {
        Wanted {
            name: &flag.name,
            codes: &flag.drugs,
            synonyms: &flag.synonyms,
        }
    }
}

impl Wanted<'_> {
    /// Whether an ingredient of the table is asked for: by its name, or by another code that the table gives it (a
    /// product is then of the class of its ingredient).
    fn has_ingredient(&self, ingredient: &str, terminology: &Terminology) -> bool {
        let named = |name: &str| name.eq_ignore_ascii_case(ingredient);
        let codes = || terminology.codes_of(ingredient);
        named(self.name)
            || self.synonyms.iter().any(|s| named(s))
            || codes().any(|(system, code)| self.codes.iter().any(|w| matches(w, system, code, terminology)))
    }

    /// Whether the text names it.
    pub fn is_named_in(&self, text: &str) -> bool {
        self.synonyms.iter().any(|synonym| has_word(text, synonym))
    }
}

/// Whether the concept is the drug: by a code of its own, by a product of the table, or else by its name.
///
/// A code that the table knows as another drug settles the matter: the text is not asked any more.
pub fn drug(wanted: Wanted<'_>, concept: &Concept<'_>, terminology: &Terminology) -> Option<Match> {
    let mut other = false;
    for (system, code) in concept.codes() {
        if wanted.codes.iter().any(|w| matches(w, system, code, terminology)) {
            return Some(Match::Code);
        }
        match terminology.ingredient(system, code) {
            Some(name) if wanted.has_ingredient(name, terminology) => return Some(Match::Code),
            Some(_) => other = true,
            None => {}
        }
    }
    if other {
        return None;
    }
    concept
        .texts()
        .any(|text| wanted.is_named_in(text))
        .then_some(Match::Text)
}

/// The way by which a product gives the drug, when the table lists it as `NAME, WAY`: another drug to the model.
pub fn other_way<'a>(drug: &Drug, concept: &Concept<'_>, terminology: &'a Terminology) -> Option<&'a str> {
    concept.codes().find_map(|(system, code)| {
        let (name, way) = terminology.ingredient(system, code)?.split_once(", ")?;
        name.eq_ignore_ascii_case(&drug.name).then_some(way)
    })
}

/// Whether a Medication resource is the drug: by its code, its ingredients, or its identifiers.
pub fn medication(wanted: Wanted<'_>, product: &Medication<'_>, terminology: &Terminology) -> Option<Match> {
    let mut found = None;
    let mut other = false;
    for concept in product.code.iter().chain(
        product
            .ingredient
            .iter()
            .filter_map(|i| i.item_codeable_concept.as_ref()),
    ) {
        match drug(wanted, concept, terminology) {
            Some(Match::Code) => return Some(Match::Code),
            Some(Match::Text) => found = Some(Match::Text),
            None => {}
        }
    }
    for id in &product.identifier {
        let (Some(system), Some(value)) = (&id.system, &id.value) else {
            continue;
        };
        match terminology.ingredient(system.as_str(), value.as_str()) {
            Some(name) if wanted.has_ingredient(name, terminology) => return Some(Match::Code),
            Some(_) => other = true,
            None if wanted.is_named_in(value.as_str()) => found = Some(Match::Text),
            None => {}
        }
    }
    if other { None } else { found }
}

/// Whether `word` stands in `text` as a whole word (or words), whatever the case.
pub fn has_word(text: &str, word: &str) -> bool {
    let text = text.to_lowercase();
    let word = word.trim().to_lowercase();
    if word.is_empty() {
        return false;
    }
    text.match_indices(&word).any(|(start, _)| {
        let before = text.get(..start).and_then(|s| s.chars().next_back());
        let after = text.get(start + word.len()..).and_then(|s| s.chars().next());
        !before.is_some_and(char::is_alphanumeric) && !after.is_some_and(char::is_alphanumeric)
    })
}

/// Words for forms and ways of giving a drug that are not into a vein.
const OTHER_WAYS: &[&str] = &[
    "oral",
    "capsule",
    "capsules",
    "tablet",
    "tablets",
    "po",
    "enema",
    "rectal",
    "topical",
    "ophthalmic",
    "inhaled",
    "inhalation",
    "intrathecal",
    "intravitreal",
    "intraperitoneal",
    "nasal",
];

/// The route as recorded, when it is one that the model does not cover.
///
/// `said` are the texts and codes of the recorded route. Without a route in the record, the name of the product is asked: `vancomycin 125 mg oral capsule` says enough.
pub fn uncovered_route(drug: &Drug, said: &[&str], product: &[&str]) -> Option<String> {
    if drug.routes.is_empty() {
        return None;
    }
    let covered = |text: &str| {
        drug.routes
            .iter()
            .any(|r| r.eq_ignore_ascii_case(text) || has_word(text, r))
    };
    if !said.is_empty() {
        return (!said.iter().any(|text| covered(text)))
            .then(|| said.first().map(|s| (*s).to_owned()))
            .flatten();
    }
    OTHER_WAYS
        .iter()
        .find(|way| !covered(way) && product.iter().any(|text| has_word(text, way)))
        .map(|way| (*way).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::patient::needs::{ATC, RXNORM, SNOMED};

    fn code(system: &str, code: &str) -> Code {
        Code {
            system: system.to_owned(),
            code: code.to_owned(),
        }
    }

    fn vancomycin() -> Drug {
        Drug {
            name: "vancomycin".into(),
            codes: vec![code(RXNORM, "11124")],
            synonyms: vec!["vancomycin".into(), "vancomycine".into()],
            unit: "mg".into(),
            routes: vec!["47625008".into(), "iv".into(), "intravenous".into()],
        }
    }

    fn concept(json: &str) -> Concept<'_> {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn wildcards_and_dots() {
        let t = Terminology::default();
        let icd = "http://hl7.org/fhir/sid/icd-10-cm";
        assert!(matches(&code(icd, "O*"), icd, "O80", &t));
        assert!(!matches(&code(icd, "O*"), icd, "P80", &t));
        assert!(matches(&code(icd, "N18.6"), icd, "N186", &t));
        assert!(matches(&code(icd, "N186"), icd, "n18.6", &t));
        assert!(!matches(&code(icd, "N18"), icd, "N18.6", &t));
        assert!(matches(&code(icd, "N18*"), icd, "N18.6", &t));
        assert!(!matches(&code(SNOMED, "26604007"), SNOMED, "266040071", &t));
        assert!(!matches(&code(SNOMED, "1"), icd, "1", &t));
    }

    #[test]
    fn drugs_by_code_then_by_name() {
        let (d, t) = (vancomycin(), Terminology::default());
        let m = |json: &str| drug((&d).into(), &concept(json), &t);
        assert_eq!(
            m(&format!(r#"{{"coding":[{{"system":"{RXNORM}","code":"11124"}}]}}"#)),
            Some(Match::Code)
        );
        assert_eq!(m(r#"{"text":"Vancomycin 1 g IV"}"#), Some(Match::Text));
        assert_eq!(m(r#"{"text":"vancomycine 1 g"}"#), Some(Match::Text));
        assert_eq!(
            m(r#"{"coding":[{"code":"X","display":"VANCOMYCIN HCL"}]}"#),
            Some(Match::Text)
        );
        assert_eq!(m(r#"{"text":"televancomycin"}"#), None);
        assert_eq!(m(r#"{"text":"gentamicin"}"#), None);
        assert_eq!(m(r#"{}"#), None);
    }

    #[test]
    fn a_product_known_as_another_drug_is_not_matched_by_its_text() {
        let local = Terminology::parse(
            "x",
            "[[product]]\nsystem='urn:x'\ningredient='telavancin'\ncodes=['T']\n",
        )
        .unwrap();
        let c = concept(r#"{"coding":[{"system":"urn:x","code":"T"}],"text":"not vancomycin"}"#);
        assert_eq!(drug((&vancomycin()).into(), &c, &local), None);
    }

    #[test]
    fn a_product_is_of_the_class_of_its_ingredient() {
        let table = "[[product]]\nsystem='urn:x'\ningredient='Azole'\ncodes=['P1']\n\
            [[product]]\nsystem='http://www.whocc.no/atc'\ningredient='azole'\ncodes=['J02AC03']\n";
        let local = Terminology::parse("x", table).unwrap();
        let flag = Flag {
            name: "interacting".into(),
            drugs: vec![code(ATC, "J02AC*")],
            ..Flag::default()
        };
        let m = |json: &str| drug((&flag).into(), &concept(json), &local);
        assert_eq!(m(r#"{"coding":[{"system":"urn:x","code":"P1"}]}"#), Some(Match::Code));
        assert_eq!(m(r#"{"coding":[{"system":"urn:x","code":"P2"}]}"#), None);
        let class = |c: &str| m(&format!(r#"{{"coding":[{{"system":"{ATC}","code":"{c}"}}]}}"#));
        assert_eq!((class("J02AC02"), class("J02AB02")), (Some(Match::Code), None));
        let whole = Flag {
            drugs: vec![],
            synonyms: vec!["azole".into()],
            ..flag.clone()
        };
        let c = concept(r#"{"coding":[{"system":"urn:x","code":"P1"}]}"#);
        assert_eq!(drug((&whole).into(), &c, &local), Some(Match::Code));
    }

    #[test]
    fn routes() {
        let d = vancomycin();
        assert_eq!(uncovered_route(&d, &["47625008"], &[]), None);
        assert_eq!(uncovered_route(&d, &["IV DRIP"], &["oral"]), None);
        assert_eq!(
            uncovered_route(&d, &["Oral route", "26643006"], &[]).as_deref(),
            Some("Oral route")
        );
        assert_eq!(uncovered_route(&d, &["PO"], &[]).as_deref(), Some("PO"));
        assert_eq!(
            uncovered_route(&d, &[], &["vancomycin 125 MG Oral Capsule"]).as_deref(),
            Some("oral")
        );
        assert_eq!(uncovered_route(&d, &[], &["Vancomycin 1 g"]), None);
    }
}
