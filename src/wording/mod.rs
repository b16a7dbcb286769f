//! The words of cards and errors, in English and French. Message catalogues are Fluent files beside this one; numbers
//! and dates are written the way each language writes them.

mod escape;
mod format;

use std::{borrow::Cow, collections::BTreeMap, sync::OnceLock};

pub use escape::escape;
use fluent_bundle::{FluentArgs, FluentResource, FluentValue, concurrent::FluentBundle};
pub use format::{Language, date_time, day, magnitude, number, percent, significant, unit};
use unic_langid::LanguageIdentifier;

/// Words for a card: a message of the catalogue with its arguments, or a text of the twin's own file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Phrase {
    /// A message id with arguments that are ready to be shown.
    Message {
        /// Id in the catalogue.
        id: &'static str,
        /// Arguments.
        args: BTreeMap<&'static str, String>,
    },
    /// A text written by the author of the twin.
    Text(crate::model::twin_file::Text),
}

impl Phrase {
    /// A message.
    #[must_use]
    pub fn message<const N: usize>(id: &'static str, args: [(&'static str, String); N]) -> Self {
        Self::Message {
            id,
            args: args.into_iter().collect(),
        }
    }
}

/// Everything a language needs to speak.
pub struct Wording {
    /// The language.
    pub language: Language,
    bundle: FluentBundle<FluentResource>,
}

impl std::fmt::Debug for Wording {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Wording")
            .field("language", &self.language)
            .finish_non_exhaustive()
    }
}

const ENGLISH: [&str; 3] = [
    include_str!("en.ftl"),
    include_str!("remarks.en.ftl"),
    include_str!("smart.en.ftl"),
];
const FRENCH: [&str; 3] = [
    include_str!("fr.ftl"),
    include_str!("remarks.fr.ftl"),
    include_str!("smart.fr.ftl"),
];

impl Wording {
    /// The wording of a language.
    #[must_use]
    pub fn of(language: Language) -> &'static Self {
        static WORDINGS: OnceLock<[Wording; 2]> = OnceLock::new();
        let [english, french] = WORDINGS.get_or_init(|| {
            [
                Self::load(Language::English, &ENGLISH),
                Self::load(Language::French, &FRENCH),
            ]
        });
        match language {
            Language::English => english,
            Language::French => french,
        }
    }

    fn load(language: Language, texts: &[&str]) -> Self {
        let locale = match language {
            Language::English => "en",
            Language::French => "fr",
        };
        let locale: LanguageIdentifier = locale.parse().unwrap_or_default();
        let mut bundle = FluentBundle::new_concurrent(vec![locale]);
        bundle.set_use_isolating(false);
        for text in texts {
            // A catalogue with a mistake is caught by the tests below; at run time what could be read is used.
            let resource = FluentResource::try_new((*text).to_owned()).unwrap_or_else(|(partial, _)| partial);
            let _ = bundle.add_resource(resource);
        }
        Self { language, bundle }
    }

    /// The message with its arguments filled in; its id when the catalogue lacks it.
    #[must_use]
    pub fn say<'a>(&self, id: &str, args: impl IntoIterator<Item = (&'a str, String)>) -> String {
        let mut fluent = FluentArgs::new();
        for (name, value) in args {
            // Counts decide on singular and plural.
            let value = match value.parse::<u32>() {
                Ok(count) if name == "count" => FluentValue::from(count),
                _ => FluentValue::String(Cow::Owned(value)),
            };
            fluent.set(name.to_owned(), value);
        }
        let Some(pattern) = self.bundle.get_message(id).and_then(|m| m.value()) else {
            return id.to_owned();
        };
        let mut errors = Vec::new();
        self.spaced(
            self.bundle
                .format_pattern(pattern, Some(&fluent), &mut errors)
                .into_owned(),
        )
    }

    /// An argument that is empty (the unit of a pure number) leaves no hole. French puts a narrow space that does not break before
    /// high punctuation.
    fn spaced(&self, text: String) -> String {
        let text = [("  ", " "), (" .", "."), (" ,", ","), (" )", ")")]
            .iter()
            .fold(
                text,
                |t, (hole, closed)| if t.contains(hole) { t.replace(hole, closed) } else { t },
            );
        match self.language {
            Language::English => text,
            Language::French => [":", ";", "!", "?", "%"].iter().fold(text, |t, mark| {
                t.replace(&format!(" {mark}"), &format!("\u{202f}{mark}"))
            }),
        }
    }

    /// The message that depends on a count, with the count among its arguments as `n`.
    #[must_use]
    pub fn count(&self, id: &str, n: usize) -> String {
        let Some(pattern) = self.bundle.get_message(id).and_then(|m| m.value()) else {
            return id.to_owned();
        };
        let mut fluent = FluentArgs::new();
        fluent.set("n", FluentValue::from(n));
        let mut errors = Vec::new();
        self.bundle
            .format_pattern(pattern, Some(&fluent), &mut errors)
            .into_owned()
    }

    /// The phrase in this language.
    #[must_use]
    pub fn phrase(&self, phrase: &Phrase) -> String {
        match phrase {
            Phrase::Message { id, args } => self.say(id, args.iter().map(|(k, v)| (*k, v.clone()))),
            Phrase::Text(text) => text.get(self.language.tag()).to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_catalogues_have_no_syntax_error() {
        for text in ENGLISH.iter().chain(&FRENCH) {
            assert!(FluentResource::try_new((*text).to_owned()).is_ok());
        }
    }

    #[test]
    fn both_languages_have_the_same_messages() {
        let of = |texts: &[&str]| -> BTreeSet<String> {
            texts
                .iter()
                .flat_map(|t| t.lines())
                .filter(|l| l.starts_with(|c: char| c.is_ascii_lowercase()))
                .filter_map(|l| l.split_once(" =").map(|(id, _)| id.to_owned()))
                .collect()
        };
        assert_eq!(of(&ENGLISH), of(&FRENCH));
        assert!(of(&ENGLISH).len() > 40);
    }

    #[test]
    fn counts_are_inflected() {
        assert_eq!(Wording::of(Language::English).count("n-levels", 1), "1 level");
        assert_eq!(
            Wording::of(Language::French).count("n-doses", 2),
            "2 doses administrées"
        );
        let french = Wording::of(Language::French).say("about-goal", [("source", "x".to_owned())]);
        assert_eq!(french, "Cible\u{202f}: x.");
    }
}
