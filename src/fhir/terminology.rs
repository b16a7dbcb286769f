//! Products and their ingredients, identifiers of genes, and other names of code systems: what a hospital adds to our
//! own table.

use std::collections::{BTreeMap, HashMap};

use serde::Deserialize;

/// The table that is compiled in.
const DEFAULT: &str = include_str!("../../config/terminology.toml");

/// Why a terminology file was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TerminologyError {
    /// Not TOML, or not of this form.
    #[error("{file}: {reason}")]
    Syntax {
        /// Name of the file, as the caller gave it.
        file: String,
        /// In the words of the parser, with line and column.
        reason: String,
    },
    /// One product code stands for two ingredients.
    #[error("{file}: code {code} of {system} is given for {first} and for {second}")]
    Contradiction {
        /// Name of the file.
        file: String,
        /// Code system.
        system: String,
        /// Product code.
        code: String,
        /// One ingredient.
        first: String,
        /// The other.
        second: String,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    system: Vec<SystemAlias>,
    #[serde(default)]
    product: Vec<Products>,
    #[serde(default)]
    gene: Vec<Gene>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SystemAlias {
    is: String,
    also: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Products {
    system: String,
    ingredient: String,
    codes: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Gene {
    symbol: String,
    ids: Vec<String>,
}

/// Product code to ingredient, and alias to canonical URI of a code system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terminology {
    systems: HashMap<String, String>,
    products: BTreeMap<String, BTreeMap<String, String>>,
    /// By ingredient in lower case: system and code.
    codes: BTreeMap<String, Vec<(String, String)>>,
    /// Identifiers of genes (HGNC) and their symbols.
    genes: BTreeMap<String, String>,
}

impl Default for Terminology {
    /// The table that is compiled in; a test holds that it reads.
    fn default() -> Self {
        Self::parse("config/terminology.toml", DEFAULT).unwrap_or_else(|_| Self::empty())
    }
}

impl Terminology {
    /// Knows nothing.
    pub fn empty() -> Self {
        Terminology {
            systems: HashMap::new(),
            products: BTreeMap::new(),
            codes: BTreeMap::new(),
            genes: BTreeMap::new(),
        }
    }

    /// Reads a file. `file` is only used to name it in errors.
    ///
    /// # Errors
    /// [`TerminologyError`] when the text is not of the form of `config/terminology.toml`.
    pub fn parse(file: &str, text: &str) -> Result<Self, TerminologyError> {
        let read: File = toml::from_str(text).map_err(|e| TerminologyError::Syntax {
            file: file.to_owned(),
            reason: e.to_string(),
        })?;
        let mut out = Self::empty();
        for alias in read.system {
            for also in alias.also {
                out.systems.insert(also, alias.is.clone());
            }
        }
        for products in read.product {
            for code in products.codes {
                let system = out.canonical(&products.system).to_owned();
                let known = out.products.entry(system.clone()).or_default();
                match known.get(&code) {
                    Some(first) if *first != products.ingredient => {
                        return Err(TerminologyError::Contradiction {
                            file: file.to_owned(),
                            system,
                            code,
                            first: first.clone(),
                            second: products.ingredient,
                        });
                    }
                    _ => known.insert(code, products.ingredient.clone()),
                };
            }
        }
        for gene in read.gene {
            for id in gene.ids {
                out.genes.insert(id.to_ascii_uppercase(), gene.symbol.clone());
            }
        }
        Ok(out.indexed())
    }

    /// Adds a hospital's own table; where both know a code, the hospital's word counts.
    #[must_use]
    pub fn extend(mut self, local: Terminology) -> Self {
        self.systems.extend(local.systems);
        for (system, codes) in local.products {
            self.products.entry(system).or_default().extend(codes);
        }
        self.genes.extend(local.genes);
        self.indexed()
    }

    fn indexed(mut self) -> Self {
        self.codes.clear();
        for (system, products) in &self.products {
            for (code, ingredient) in products {
                let known = self.codes.entry(ingredient.to_lowercase()).or_default();
                known.push((system.clone(), code.clone()));
            }
        }
        self
    }

    /// The canonical URI of a code system that may be named by an OID or a local URI.
    pub fn canonical<'a>(&'a self, system: &'a str) -> &'a str {
        self.systems.get(system).map_or(system, String::as_str)
    }

    /// Ingredient of a product, if the table knows it.
    pub fn ingredient(&self, system: &str, code: &str) -> Option<&str> {
        self.products.get(self.canonical(system))?.get(code).map(String::as_str)
    }

    /// All codes of an ingredient, products and classes, system and code.
    pub fn codes_of(&self, ingredient: &str) -> impl Iterator<Item = (&str, &str)> {
        let codes = self.codes.get(&ingredient.to_lowercase());
        codes.into_iter().flatten().map(|(s, c)| (s.as_str(), c.as_str()))
    }

    /// Symbol of a gene, if the table knows the identifier.
    pub fn gene(&self, id: &str) -> Option<&str> {
        self.genes.get(&id.trim().to_ascii_uppercase()).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_compiled_in_table_reads() {
        let table = Terminology::parse("config/terminology.toml", DEFAULT).unwrap();
        assert!(!table.products.is_empty());
        assert_eq!(table, Terminology::default());
        assert_eq!(table.canonical("urn:oid:2.16.840.1.113883.6.1"), "http://loinc.org");
        assert_eq!(table.gene("hgnc:2623"), Some("CYP2C9"));
    }

    #[test]
    fn a_hospital_adds_and_overrides() {
        let local = Terminology::parse(
            "local.toml",
            "[[product]]\nsystem='urn:x'\ningredient='vancomycin'\ncodes=['V1']\n",
        )
        .unwrap();
        let both = Terminology::default().extend(local);
        assert_eq!(both.ingredient("urn:x", "V1"), Some("vancomycin"));
        assert_eq!(both.ingredient("urn:x", "V2"), None);
        assert!(both.codes_of("Vancomycin").any(|c| c == ("urn:x", "V1")));
        let again =
            Terminology::parse("l", "[[product]]\nsystem='urn:x'\ningredient='saline'\ncodes=['V1']\n").unwrap();
        let again = both.extend(again);
        assert!(!again.codes_of("vancomycin").any(|c| c == ("urn:x", "V1")));
        assert_eq!(again.codes_of("saline").count(), 1);
    }

    #[test]
    fn contradictions_and_typing_errors_are_refused() {
        let twice = "[[product]]\nsystem='s'\ningredient='a'\ncodes=['1']\n[[product]]\nsystem='s'\ningredient='b'\ncodes=['1']\n";
        assert!(matches!(
            Terminology::parse("f", twice),
            Err(TerminologyError::Contradiction { .. })
        ));
        assert!(matches!(
            Terminology::parse("f", "[[products]]\n"),
            Err(TerminologyError::Syntax { .. })
        ));
    }
}
