//! Categories from Observations, genotypes above all (FHIR R4, Observation, 10.1; HL7 Genomics Reporting guide,
//! Genotype).
//!
//! A genotype does not change, so that no Observation supersedes another: two that say different things leave the
//! category unknown, whatever their dates.

use std::collections::BTreeMap;

use fhir_codec::resources::{Observation, ObservationComponentValue, ObservationValue};
use fhir_codec::types::CodeableConcept;

use crate::patient::facts::{Found, Source};
use crate::patient::needs::{Category, Code, LOINC, Needs};

use super::alleles::{Lexicon, is_diplotype};
use super::effective::time_text;
use super::facts::{Item, Reader};
use super::outcome::{Outcome, of_words};
use super::peek::{Concept, Text};
use super::{codes, typed};

/// Genotype display name; variant display name.
const GENOTYPE: [&str; 2] = ["84413-4", "47998-0"];
/// Gene studied.
const GENE: &str = "48018-6";
/// Most texts of one concept or Observation that are tried.
const MOST: usize = 16;

/// One Observation's word on a category.
#[derive(Debug, Clone)]
struct Said {
    /// `None`: another diplotype than the levels.
    level: Option<usize>,
    text: String,
    source: Source,
}

/// Levels found so far, by the place of the category among the needs.
#[derive(Debug)]
pub struct Levels {
    lexicons: Vec<Lexicon>,
    said: BTreeMap<usize, Vec<Said>>,
}

impl Levels {
    /// Nothing found.
    pub fn new(needs: &Needs) -> Self {
        let lexicon = |c: &Category| Lexicon::new(&c.levels, c.gene.as_deref());
        Levels {
            lexicons: needs.categories.iter().map(lexicon).collect(),
            said: BTreeMap::new(),
        }
    }
}

/// How an Observation is known to be about a category.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum About {
    /// By its code, and its gene.
    Code,
    /// Only because the gene is named.
    Name,
}

/// Reads one Observation, if it is about a category.
pub fn read(reader: &mut Reader<'_>, item: &Item<'_>, out: &mut Levels) {
    let needs = reader.needs;
    let maybe: Vec<(usize, &Category)> = needs
        .categories
        .iter()
        .enumerate()
        .filter(|(_, category)| is_worth_reading(reader, item, category))
        .collect();
    let Some((_, first)) = maybe.first() else { return };
    let Ok(observation) = fhir_codec::read_observation(item.raw.get()) else {
        if !item.is_entered_in_error() && reader.gate(item, &first.name) {
            reader.unreadable(item);
        }
        return;
    };
    for (index, category) in maybe {
        let Some(about) = about(reader, item, &observation, category) else {
            continue;
        };
        let args = [("name", category.name.as_str())];
        if item.is_entered_in_error() {
            if !reader.is_foreign(item, &category.name) {
                reader
                    .notes
                    .ignore("remark-entered-in-error-bare", &args, Some(&item.source));
            }
        } else if reader.gate(item, &category.name)
            && let Some(lexicon) = out.lexicons.get(index)
            && let Some(said) = one(reader, item, &observation, category, lexicon, about)
        {
            out.said.entry(index).or_default().push(said);
        }
    }
}

/// A quick look, so that few Observations are read in full.
fn is_worth_reading(reader: &Reader<'_>, item: &Item<'_>, category: &Category) -> bool {
    let mut concepts = item.peek.code.iter().chain(item.peek.component.iter().map(|c| &c.code));
    let by_code = concepts.any(|c| codes::any(&category.codes, c, reader.terminology));
    by_code
        || category.gene.as_deref().is_some_and(|gene| {
            let raw = item.raw.get();
            raw.contains(gene)
                || raw.contains(&gene.to_lowercase())
                || item.peek.component.iter().any(|c| has(reader, &c.code, &[GENE]))
        })
}

fn has(reader: &Reader<'_>, concept: &Concept<'_>, loinc: &[&str]) -> bool {
    let wanted = |code: &&str| Code {
        system: LOINC.to_owned(),
        code: (*code).to_owned(),
    };
    let wanted: Vec<Code> = loinc.iter().map(wanted).collect();
    codes::any(&wanted, concept, reader.terminology)
}

/// Whether the Observation is about the category. One that names its gene is about that gene only.
fn about(reader: &Reader<'_>, item: &Item<'_>, observation: &Observation, category: &Category) -> Option<About> {
    let genes: Vec<String> = observation
        .component
        .iter()
        .zip(&item.peek.component)
        .filter(|(_, peek)| has(reader, &peek.code, &[GENE]))
        .flat_map(|(component, _)| match &component.value {
            Some(ObservationComponentValue::CodeableConcept(c)) => typed::words(Some(c)),
            Some(ObservationComponentValue::String(s)) => s.value.iter().cloned().collect(),
            _ => Vec::new(),
        })
        .collect();
    let concepts = || item.peek.code.iter().chain(item.peek.component.iter().map(|c| &c.code));
    let own = concepts().any(|c| codes::any(&category.codes, c, reader.terminology));
    let Some(gene) = category.gene.as_deref() else {
        return own.then_some(About::Code);
    };
    let is_gene = |text: &String| {
        let text = text.trim();
        text.eq_ignore_ascii_case(gene)
            || reader
                .terminology
                .gene(text)
                .is_some_and(|g| g.eq_ignore_ascii_case(gene))
    };
    if !genes.is_empty() {
        let general = own || concepts().any(|c| has(reader, c, &GENOTYPE));
        return genes
            .iter()
            .any(is_gene)
            .then_some(if general { About::Code } else { About::Name });
    }
    if own {
        return Some(About::Code);
    }
    let code = item.peek.code.iter().flat_map(Concept::texts).map(str::to_owned);
    let mut texts = code.chain(values(reader, item, observation, category).texts);
    texts.any(|text| codes::has_word(&text, gene)).then_some(About::Name)
}

/// The value in words.
#[derive(Debug, Default)]
struct Words {
    /// Texts and displays.
    texts: Vec<String>,
    /// Codes.
    codes: Vec<String>,
    /// Some value is there.
    any: bool,
}

impl Words {
    fn concept(&mut self, concept: &CodeableConcept) {
        let codes = concept.coding.iter().filter_map(|c| c.code.as_ref()?.value.clone());
        self.codes.extend(codes.take(MOST));
        let displays = concept.coding.iter().filter_map(|c| c.display.as_ref()?.value.clone());
        let text = concept.text.iter().filter_map(|t| t.value.clone());
        self.texts.extend(text.chain(displays).take(MOST));
    }
}

/// The value of the Observation, and those of its components that hold the genotype.
fn values(reader: &Reader<'_>, item: &Item<'_>, observation: &Observation, category: &Category) -> Words {
    let mut out = Words::default();
    match &observation.value {
        Some(ObservationValue::CodeableConcept(c)) => out.concept(c),
        Some(ObservationValue::String(s)) => out.texts.extend(s.value.clone()),
        _ => {}
    }
    out.any = observation.value.is_some() || observation.data_absent_reason.is_some();
    for (component, peek) in observation.component.iter().zip(&item.peek.component) {
        let holds = has(reader, &peek.code, &GENOTYPE) || codes::any(&category.codes, &peek.code, reader.terminology);
        if !holds || !component.modifier_extension.is_empty() {
            continue;
        }
        out.any = true;
        match &component.value {
            Some(ObservationComponentValue::CodeableConcept(c)) => out.concept(c),
            Some(ObservationComponentValue::String(s)) => out.texts.extend(s.value.clone()),
            _ => {}
        }
    }
    out.texts.truncate(MOST);
    out.codes.truncate(MOST);
    out
}

/// Everything in words, by which another place in the gene may be named.
fn all_texts(item: &Item<'_>, observation: &Observation, values: &Words) -> Vec<String> {
    let code = item.peek.code.iter().flat_map(Concept::texts).map(str::to_owned);
    let components = observation.component.iter().zip(&item.peek.component);
    let others = components
        .filter(|(_, peek)| !peek.code.codes().any(|(_, code)| code == GENE))
        .flat_map(|(component, _)| match &component.value {
            Some(ObservationComponentValue::CodeableConcept(c)) => {
                let displays = c.coding.iter().filter_map(|c| c.display.as_ref()?.value.clone());
                c.text.iter().filter_map(|t| t.value.clone()).chain(displays).collect()
            }
            Some(ObservationComponentValue::String(s)) => s.value.iter().cloned().collect(),
            _ => Vec::new(),
        });
    code.chain(values.texts.iter().cloned()).chain(others).collect()
}

/// The level that one Observation says, if its status lets it be used.
fn one(
    reader: &mut Reader<'_>,
    item: &Item<'_>,
    observation: &Observation,
    category: &Category,
    lexicon: &Lexicon,
    about: About,
) -> Option<Said> {
    let words = values(reader, item, observation, category);
    let code: Vec<&str> = item.peek.code.iter().flat_map(Concept::texts).take(MOST).collect();
    let affirmed = || words.texts.iter().any(|t| of_words(t) == Some(Outcome::Positive));
    let answered = matches!(&observation.value, Some(ObservationValue::Boolean(b)) if b.value == Some(true));
    let mut found: Vec<(usize, String)> = Vec::new();
    for text in words.texts.iter().chain(&words.codes) {
        let both = || code.iter().find_map(|c| lexicon.level(&format!("{c} {text}")));
        found.extend(lexicon.level(text).or_else(both).map(|level| (level, text.clone())));
    }
    // "CYP2C9 *1/*3: present".
    if found.is_empty() && (!words.any || answered || affirmed()) {
        let by_code = code.iter().find_map(|c| Some((lexicon.level(c)?, (*c).to_owned())));
        found.extend(by_code);
    }
    let shown = found
        .first()
        .map(|(_, text)| text.clone())
        .or_else(|| words.texts.first().or(words.codes.first()).cloned());
    let time = time_text(observation);
    let status = item.peek.status.as_ref().map_or("?", Text::as_str);
    let value = shown.clone().unwrap_or_else(|| "?".to_owned());
    let args = [
        ("name", category.name.as_str()),
        ("value", value.as_str()),
        ("time", time.as_str()),
        ("status", status),
    ];
    let [name, shown_value, at, _] = args;
    let source = Some(&item.source);
    let usable = matches!(status, "final" | "amended" | "corrected" | "preliminary");
    // What only names the gene is no genotype unless it looks like one.
    let looks = found.len() + usize::from(value.contains(['*', '/'])) > 0;
    if !usable {
        if about == About::Code || looks {
            reader.notes.ignore("remark-status", &args, source);
        }
        return None;
    }
    let level = found.first().map(|(level, _)| *level);
    let agreed = found.iter().all(|(other, _)| Some(*other) == level);
    let texts = all_texts(item, observation, &words);
    let elsewhere = !is_diplotype(&value) && !lexicon.is_place(&texts);
    match level.filter(|_| agreed && !elsewhere) {
        Some(level) => {
            if status == "preliminary" {
                reader
                    .notes
                    .assume("remark-preliminary", &[name, shown_value, at], source);
            }
            Some(Said {
                level: Some(level),
                text: value,
                source: item.source.clone(),
            })
        }
        None => {
            match (about, &shown) {
                (About::Code, None) => reader.notes.ignore("remark-no-value", &[name, at], source),
                (About::Code, Some(_)) => reader
                    .notes
                    .ignore("remark-category-unknown", &[name, shown_value], source),
                (About::Name, _) if looks && !elsewhere => {
                    reader
                        .notes
                        .ignore("remark-category-unknown", &[name, shown_value], source);
                }
                (About::Name, _) => {}
            }
            // Another diplotype of this gene contradicts one that is known.
            (is_diplotype(&value) || !agreed).then(|| Said {
                level: None,
                text: value.clone(),
                source: item.source.clone(),
            })
        }
    }
}

/// The level of each category of which the record says one thing.
pub fn settle(reader: &mut Reader<'_>, levels: Levels) -> BTreeMap<String, Found> {
    let mut out = BTreeMap::new();
    for (index, mut said) in levels.said {
        let Some(category) = reader.needs.categories.get(index) else {
            continue;
        };
        said.sort_by(|a, b| (&a.source, &a.text).cmp(&(&b.source, &b.text)));
        let mut said = said.into_iter();
        let Some(first) = said.next() else { continue };
        if let Some(other) = said.find(|s| s.level != first.level) {
            let args = [
                ("name", category.name.as_str()),
                ("value", first.text.as_str()),
                ("other", other.text.as_str()),
            ];
            reader
                .notes
                .ignore("remark-category-contradiction", &args, Some(&first.source));
        } else if let Some(level) = first.level {
            out.insert(
                category.name.clone(),
                Found {
                    level,
                    text: first.text,
                    source: first.source,
                },
            );
        }
    }
    out
}
