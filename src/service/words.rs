//! Plans and facts in words, for cards.

use jiff::{Timestamp, tz::TimeZone};

pub use crate::wording::unit;
use crate::{
    advice::decide::Evaluated,
    model::twin_file::{Limits, TwinFile},
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
        // Less than anybody could measure, or mean.
        if value.abs() < 1e-4 {
            return self.number(0.0);
        }
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

    /// A length of time: hours up to four days, then days or weeks where they are whole.
    #[must_use]
    pub fn hours(&self, hours: f64) -> String {
        let whole = |unit: f64| (hours / unit).fract().abs() < 1e-9;
        let (id, count) = if hours >= 336.0 && whole(168.0) {
            ("length-weeks", hours / 168.0)
        } else if hours >= 96.0 && whole(24.0) {
            ("length-days", hours / 24.0)
        } else {
            ("length-hours", hours)
        };
        self.say(id, [("n", self.number(count))])
    }

    /// A range: `400-600`, `> 5`, `< 0.5`.
    #[must_use]
    pub fn range(&self, limits: Limits) -> String {
        match (limits.low.is_finite(), limits.high.is_finite()) {
            (true, true) => format!("{}-{}", self.number(limits.low), self.number(limits.high)),
            (true, false) => format!("> {}", self.number(limits.low)),
            (false, true) => format!("< {}", self.number(limits.high)),
            (false, false) => "-".to_owned(),
        }
    }

    /// `1000 mg q12h`.
    #[must_use]
    pub fn regimen_short(&self, file: &TwinFile, regimen: &Regimen) -> String {
        self.regimen(file, regimen, &[], false)
    }

    /// `1000 mg every 12 h over 1 h`.
    #[must_use]
    pub fn regimen_long(&self, file: &TwinFile, regimen: &Regimen) -> String {
        self.regimen(file, regimen, &[], true)
    }

    fn regimen(&self, file: &TwinFile, regimen: &Regimen, pattern: &[f64], long: bool) -> String {
        let gaps: Vec<String> = pattern.iter().map(|gap| self.number(*gap)).collect();
        let args = [
            ("amount", self.number(regimen.amount)),
            ("unit", unit(&file.treatment.unit)),
            ("interval", self.hours(regimen.interval_hours)),
            ("short", self.hours(regimen.interval_hours).replace(' ', "")),
            ("duration", self.number(regimen.duration_hours)),
            ("pattern", gaps.join("-")),
        ];
        let id = match (file.treatment.times == Some(1), pattern.is_empty(), long) {
            (true, ..) => "regimen-once",
            (_, false, _) => "regimen-pattern",
            (_, _, false) => "regimen-short",
            (_, _, true) if regimen.duration_hours > 0.0 => "regimen-long",
            (_, _, true) => "regimen-at-once",
        };
        self.say(id, args)
    }

    /// A plan, short for summaries or long for lists.
    #[must_use]
    pub fn plan(&self, file: &TwinFile, plan: &Plan, long: bool) -> String {
        let Some(regimen) = &plan.regimen else {
            return self.say("plan-stop", []);
        };
        let mut words = self.regimen(file, regimen, &plan.pattern, long);
        if let Some(loading) = plan.loading {
            let args = [
                ("loading", self.number(loading)),
                ("unit", unit(&file.treatment.unit)),
                ("regimen", words),
            ];
            words = self.say("regimen-loading", args);
        }
        if plan.delay > 0.0 {
            let args = [("regimen", words), ("delay", self.hours(plan.delay))];
            words = self.say("regimen-delayed", args);
        }
        match plan.kind {
            Kind::Keep if long => self.say("plan-keep", [("regimen", words)]),
            _ => words,
        }
    }

    /// `66 % too high`: on which side a plan misses.
    #[must_use]
    pub fn direction(&self, option: &Evaluated) -> String {
        let high = (1.0 - option.chance_goal() - option.chance_low).max(0.0);
        let (id, chance) = if high >= option.chance_low {
            ("direction-high", high)
        } else {
            ("direction-low", option.chance_low)
        };
        self.say(id, [("chance", self.percent(chance))])
    }
}

/// What is told, ever shorter: all of it, its first sentence, what stands before its colon.
#[must_use]
pub fn shorter_and_shorter(all: &str) -> [&str; 3] {
    let first = all.split_once(". ").map_or(all, |(first, _)| first);
    let head = first.split_once(':').map_or(first, |(head, _)| head.trim_end());
    [all, first, head]
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
