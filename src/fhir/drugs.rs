//! Which drug a resource is about.

use crate::patient::needs::Drug;

use super::codes::{self, Match};
use super::facts::{Item, Reader};
use super::peek::{Concept, Medication, Reference, Text};
use super::references::relative;

/// The twin's drug, recognised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hit {
    /// How.
    pub how: Match,
    /// Text under which the record names it.
    pub texts: Vec<String>,
    /// Codings of the medication, system and code.
    pub codes: Vec<(String, String)>,
}

/// Whether the resource is about the twin's drug.
pub fn find(reader: &mut Reader<'_>, drug: &Drug, item: &Item<'_>) -> Option<Hit> {
    if let Some(concept) = &item.peek.medication_codeable_concept {
        return of_concept(reader, drug, concept);
    }
    let reference = item.peek.medication_reference.as_ref()?;
    let target = reference.reference.as_ref().map(Text::as_str).unwrap_or_default();
    if let Some(local) = target.strip_prefix('#') {
        let product = item
            .peek
            .contained
            .iter()
            .find(|m| m.id.as_ref().is_some_and(|id| id.as_str() == local))?;
        return of_product(reader, drug, product);
    }
    let by_id = relative(target).map(|(kind, id)| format!("{kind}/{id}"));
    let product = reader.products.get(target).or_else(|| reader.products.get(&by_id?));
    match product {
        Some(product) => of_product(reader, drug, product),
        None => {
            let hit = of_display(drug, reference);
            // It may be the drug, for all we know.
            if hit.is_none() && reference.display.is_none() {
                reader
                    .notes
                    .ignore_counted("remark-medication-missing", &[("type", item.kind.name())]);
            }
            hit
        }
    }
}

/// The same for a bare concept.
pub fn of_concept(reader: &Reader<'_>, drug: &Drug, concept: &Concept<'_>) -> Option<Hit> {
    codes::drug(drug, concept, reader.terminology).map(|how| hit(how, Some(concept), &[]))
}

fn of_product(reader: &Reader<'_>, drug: &Drug, product: &Medication<'_>) -> Option<Hit> {
    let how = codes::medication(drug, product, reader.terminology)?;
    let more: Vec<&str> = product
        .identifier
        .iter()
        .filter_map(|i| i.value.as_ref())
        .map(Text::as_str)
        .collect();
    Some(hit(how, product.code.as_ref(), &more))
}

fn of_display(drug: &Drug, reference: &Reference<'_>) -> Option<Hit> {
    let display = reference.display.as_ref()?.as_str();
    let named = drug.synonyms.iter().any(|s| codes::has_word(display, s));
    named.then(|| hit(Match::Text, None, &[display]))
}

fn hit(how: Match, concept: Option<&Concept<'_>>, more: &[&str]) -> Hit {
    let texts = concept
        .into_iter()
        .flat_map(Concept::texts)
        .chain(more.iter().copied())
        .map(str::to_owned)
        .collect();
    let codes = concept
        .into_iter()
        .flat_map(Concept::codes)
        .map(|(s, c)| (s.to_owned(), c.to_owned()))
        .collect();
    Hit { how, texts, codes }
}
