//! Plans and facts in words, for cards.

use jiff::{Timestamp, tz::TimeZone};

use crate::{
    advice::decide::Evaluated,
    model::twin_file::TwinFile,
    patient::facts::{Bound, Measurement, Regimen, Remark},
    twin::plan::{Kind, Plan},
    wording::{Language, Wording, date_time, escape, number},
};

/// Who reads the card, and when.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a> {
    /// The language.
    pub wording: &'static Wording,
    /// The moment of the call.
    pub now: Timestamp,
    /// The zone in which times are shown.
    pub zone: &'a TimeZone,
}

impl Reader<'_> {
    /// A message with arguments.
    #[must_use]
    pub fn say<const N: usize>(&self, id: &str, args: [(&str, String); N]) -> String {
        self.wording.say(id, args)
    }

    /// A number of the record.
    #[must_use]
    pub fn number(&self, value: f64) -> String {
        number(value, self.wording.language)
    }

    /// A quantity as recorded, `16.5 ug/mL`, with the decimal sign of the language.
    #[must_use]
    pub fn decimal(&self, quantity: String) -> String {
        match self.wording.language {
            Language::English => quantity,
            Language::French => quantity.replace('.', ","),
        }
    }

    /// A value of the record; one that was converted has no more figures than three.
    #[must_use]
    pub fn measured(&self, measurement: &Measurement) -> String {
        let sign = match measurement.bound {
            Bound::Exact => "",
            Bound::Below => "< ",
            Bound::Above => "> ",
        };
        format!("{sign}{}", self.figures(measurement))
    }

    fn figures(&self, measurement: &Measurement) -> String {
        if measurement.converted_from.is_some() {
            crate::wording::significant(measurement.value, 3, self.wording.language)
        } else {
            self.number(measurement.value)
        }
    }

    /// A prediction, three figures from 100 on and two below.
    #[must_use]
    pub fn prediction(&self, value: f64) -> String {
        let figures = if value.abs() >= 100.0 { 3 } else { 2 };
        crate::wording::significant(value, figures, self.wording.language)
    }

    /// A probability.
    #[must_use]
    pub fn percent(&self, probability: f64) -> String {
        crate::wording::percent(probability, self.wording.language)
    }

    /// A moment.
    #[must_use]
    pub fn time(&self, time: Timestamp) -> String {
        date_time(time, self.now, self.zone, self.wording.language)
    }

    /// A text of the twin's file.
    #[must_use]
    pub fn text<'t>(&self, text: &'t crate::model::twin_file::Text) -> &'t str {
        text.get(self.wording.language.tag())
    }

    /// A remark about the record. Texts of the record among its arguments are escaped; moments are written out.
    #[must_use]
    pub fn remark(&self, file: &TwinFile, remark: &Remark) -> String {
        let args = remark.args.iter().map(|(name, value)| {
            let shown = match (value.parse::<Timestamp>(), file.named.get(value)) {
                (Ok(time), _) => self.time(time),
                (Err(_), Some(named)) if name == "name" => self.text(&named.title).to_owned(),
                (Err(_), None) if name == "name" && *value == file.treatment.name.en => {
                    self.text(&file.treatment.name).to_owned()
                }
                // Quantities of the record are written with the decimal sign of the language.
                _ if matches!(name.as_str(), "value" | "low" | "high" | "used") => self.decimal(escape(value)),
                _ => escape(value),
            };
            (name.as_str(), shown)
        });
        self.wording.say(&remark.id, args)
    }

    /// `1000 mg q12h`.
    #[must_use]
    pub fn regimen_short(&self, file: &TwinFile, regimen: &Regimen) -> String {
        self.regimen("regimen-short", file, regimen)
    }

    /// `1000 mg every 12 h over 1 h`.
    #[must_use]
    pub fn regimen_long(&self, file: &TwinFile, regimen: &Regimen) -> String {
        self.regimen("regimen-long", file, regimen)
    }

    fn regimen(&self, id: &str, file: &TwinFile, regimen: &Regimen) -> String {
        let args = [
            ("amount", self.number(regimen.amount)),
            ("unit", file.treatment.unit.clone()),
            ("interval", self.number(regimen.interval_hours)),
            ("duration", self.number(regimen.duration_hours)),
        ];
        self.say(id, args)
    }

    /// A plan, short for summaries or long for lists.
    #[must_use]
    pub fn plan(&self, file: &TwinFile, plan: &Plan, long: bool) -> String {
        let Some(regimen) = &plan.regimen else {
            return self.say("plan-stop", []);
        };
        let words = if long {
            self.regimen_long(file, regimen)
        } else {
            self.regimen_short(file, regimen)
        };
        let words = match plan.loading {
            Some(loading) => {
                let args = [
                    ("loading", self.number(loading)),
                    ("unit", file.treatment.unit.clone()),
                    ("regimen", words),
                ];
                self.say("regimen-loading", args)
            }
            None => words,
        };
        match plan.kind {
            Kind::Keep if long => self.say("plan-keep", [("regimen", words)]),
            _ => words,
        }
    }

    /// `66 % too high`: on which side a plan misses.
    #[must_use]
    pub fn direction(&self, option: &Evaluated) -> String {
        let high = 1.0 - option.chance_goal - option.chance_low;
        let (id, chance) = if high >= option.chance_low {
            ("direction-high", high)
        } else {
            ("direction-low", option.chance_low)
        };
        self.say(id, [("chance", self.percent(chance))])
    }
}

/// The first text that is short enough for a summary, cut as a last resort.
#[must_use]
pub fn summary(candidates: impl IntoIterator<Item = String>) -> String {
    let mut last = String::new();
    for text in candidates {
        let text = text.replace(['\n', '\r'], " ");
        if text.chars().count() < 140 {
            return text;
        }
        last = text;
    }
    let mut cut: String = last.chars().take(138).collect();
    cut.push('…');
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_is_never_too_long() {
        let long = "x".repeat(200);
        assert_eq!(summary([long.clone(), "short".to_owned()]), "short");
        assert_eq!(summary([long]).chars().count(), 139);
    }
}
