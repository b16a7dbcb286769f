//! Which drug a resource is about.

use super::codes::{self, Match, Wanted};
use super::facts::{Item, Reader};
use super::peek::{Concept, Ingredient, Medication, Text};
use super::references::relative;
use super::strength::Strength;

/// A drug that is asked for, recognised.
#[derive(Debug, Clone, PartialEq)]
pub struct Hit {
    /// How.
    pub how: Match,
    /// Text under which the record names it.
    pub texts: Vec<String>,
    /// Codings of the medication, system and code.
    pub codes: Vec<(String, String)>,
    /// What a tablet holds, where the product says so.
    pub strength: Option<Strength>,
}

/// Whether the resource is about one of the drugs asked for.
pub fn find(reader: &Reader<'_>, wanted: Wanted<'_>, item: &Item<'_>) -> Option<Hit> {
    match of(reader, item)? {
        Named::Concept(concept) => {
            codes::drug(wanted, concept, reader.terminology).map(|how| hit(how, Some(concept), &[]))
        }
        Named::Product(product) => of_product(reader, wanted, product),
        Named::Display(display) => wanted.is_named_in(display).then(|| hit(Match::Text, None, &[display])),
        Named::Missing => None,
    }
}

/// Counts a resource that does not say what the drug is: it may be any, for all we know.
pub fn note_missing(reader: &mut Reader<'_>, item: &Item<'_>) {
    if matches!(of(reader, item), Some(Named::Missing)) {
        reader
            .notes
            .ignore_counted("remark-medication-missing", &[("type", item.kind.name())]);
    }
}

/// How a resource names its drug.
enum Named<'r> {
    /// As a concept.
    Concept(&'r Concept<'r>),
    /// By a Medication that is there.
    Product(&'r Medication<'r>),
    /// By a Medication that is not there, but called by its name.
    Display(&'r str),
    /// By a Medication that is not there.
    Missing,
}

fn of<'r>(reader: &'r Reader<'_>, item: &'r Item<'_>) -> Option<Named<'r>> {
    if let Some(concept) = &item.peek.medication_codeable_concept {
        return Some(Named::Concept(concept));
    }
    let reference = item.peek.medication_reference.as_ref()?;
    let target = reference.reference.as_ref().map(Text::as_str).unwrap_or_default();
    if let Some(local) = target.strip_prefix('#') {
        let product = item
            .peek
            .contained
            .iter()
            .find(|m| m.id.as_ref().is_some_and(|id| id.as_str() == local))?;
        return Some(Named::Product(product));
    }
    let by_id = || relative(target).map(|(kind, id)| format!("{kind}/{id}"));
    let product = reader.products.get(target).or_else(|| reader.products.get(&by_id()?));
    Some(match (product, &reference.display) {
        (Some(product), _) => Named::Product(product),
        (None, Some(display)) => Named::Display(display.as_str()),
        (None, None) => Named::Missing,
    })
}

fn of_product(reader: &Reader<'_>, wanted: Wanted<'_>, product: &Medication<'_>) -> Option<Hit> {
    let how = codes::medication(wanted, product, reader.terminology)?;
    let more: Vec<&str> = product
        .identifier
        .iter()
        .filter_map(|i| i.value.as_ref())
        .map(Text::as_str)
        .collect();
    Some(Hit {
        strength: strength(reader, wanted, product),
        ..hit(how, product.code.as_ref(), &more)
    })
}

/// Strength of the ingredient that is asked for, or of the only one; `None` where two of them differ.
fn strength(reader: &Reader<'_>, wanted: Wanted<'_>, product: &Medication<'_>) -> Option<Strength> {
    let only = product.ingredient.len() == 1;
    let asked = |i: &&Ingredient<'_>| {
        let concept = i.item_codeable_concept.as_ref();
        only || concept.is_some_and(|c| codes::drug(wanted, c, reader.terminology).is_some())
    };
    let mut all = product
        .ingredient
        .iter()
        .filter(asked)
        .map(|i| Strength::read(i.strength.as_ref()?));
    let first = all.next()??;
    all.all(|s| s.as_ref() == Some(&first)).then_some(first)
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
    Hit {
        how,
        texts,
        codes,
        strength: None,
    }
}
