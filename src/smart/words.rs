//! Words, numbers and times of the page, ready to stand in HTML.

use jiff::{Timestamp, tz::TimeZone};

use crate::{
    page::html::escaped,
    wording::{Language, Wording, date_time, number, percent, significant, unit},
};

/// Who reads, and when.
#[derive(Debug, Clone, Copy)]
pub struct Words<'a> {
    /// The language.
    pub wording: &'static Wording,
    /// The present.
    pub now: Timestamp,
    /// In which times are shown.
    pub zone: &'a TimeZone,
}

impl<'a> Words<'a> {
    /// In a language, at this moment.
    #[must_use]
    pub fn of(language: &str, zone: &'a TimeZone) -> Self {
        Self {
            wording: Wording::of(Language::from_tag(language)),
            now: Timestamp::now(),
            zone,
        }
    }

    /// `en` or `fr`.
    #[must_use]
    pub fn tag(&self) -> &'static str {
        self.wording.language.tag()
    }

    /// A message as plain text.
    #[must_use]
    pub fn plain<const N: usize>(&self, id: &str, args: [(&str, String); N]) -> String {
        self.wording.say(id, args)
    }

    /// A message, escaped.
    #[must_use]
    pub fn say<const N: usize>(&self, id: &str, args: [(&str, String); N]) -> String {
        escaped(&self.plain(id, args))
    }

    /// A number of the record.
    #[must_use]
    pub fn number(&self, value: f64) -> String {
        number(value, self.wording.language)
    }

    /// A prediction: three figures from 100 on, two below.
    #[must_use]
    pub fn prediction(&self, value: f64) -> String {
        if value.abs() < 1e-4 {
            return self.number(0.0);
        }
        significant(value, if value.abs() >= 100.0 { 3 } else { 2 }, self.wording.language)
    }

    /// A probability.
    #[must_use]
    pub fn chance(&self, probability: f64) -> String {
        percent(probability, self.wording.language)
    }

    /// A quantity with its unit as people write it.
    #[must_use]
    pub fn quantity(&self, value: f64, code: &str) -> String {
        format!("{} {}", self.number(value), unit(code)).trim_end().to_owned()
    }

    /// A moment.
    #[must_use]
    pub fn time(&self, time: Timestamp) -> String {
        date_time(time, self.now, self.zone, self.wording.language)
    }
}
