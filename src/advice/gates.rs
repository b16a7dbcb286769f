//! When nothing may be advised. Each refusal says what is wrong and what would help.

use jiff::{SignedDuration, Timestamp, tz::TimeZone};

use crate::{
    model::twin_file::TwinFile,
    patient::{
        facts::{Bound, Facts, Measurement, Remark, Sex},
        needs::UseAs,
    },
    twin::ledger::Inputs,
    wording::{Language, Phrase, Wording},
};

/// How loudly a refusal is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Urgency {
    /// Something is missing, or the patient is not one for these models.
    Info,
    /// The record itself is in doubt.
    Warning,
    /// The plan at hand is predicted to harm, or is outside what can be given.
    Critical,
}

/// Why no dose is advised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Stable name of the reason, for logs and tests.
    pub reason: &'static str,
    /// What is wrong.
    pub what: Phrase,
    /// What would help.
    pub help: Phrase,
    /// How loudly it is said.
    pub urgency: Urgency,
    /// Whether a new level would help: offered as an order.
    pub order_level: bool,
}

impl Refusal {
    /// A refusal by a message of the catalogue; `refuse-REASON` says what, `help-REASON` what would help.
    #[must_use]
    pub fn new<const N: usize>(
        reason: &'static str,
        what: &'static str,
        help: &'static str,
        args: [(&'static str, String); N],
    ) -> Self {
        let help = Phrase::message(help, args.clone());
        Self {
            reason,
            what: Phrase::message(what, args),
            help,
            urgency: Urgency::Info,
            order_level: false,
        }
    }

    /// The same, said as a warning.
    #[must_use]
    pub fn warning(self) -> Self {
        Self {
            urgency: Urgency::Warning,
            ..self
        }
    }

    /// The same, said as critical.
    #[must_use]
    pub fn critical(self) -> Self {
        Self {
            urgency: Urgency::Critical,
            ..self
        }
    }

    /// The same, offering an order for a new level.
    #[must_use]
    pub fn with_level(self) -> Self {
        Self {
            order_level: true,
            ..self
        }
    }
}

/// Remarks of the reader of records which mean that a dose was given of which amount or time is not known.
const UNKNOWN_DOSES: [&str; 7] = [
    "remark-dose-time-unknown",
    "remark-dose-unit",
    "remark-dose-per-weight",
    "remark-dose-amount",
    "remark-dose-no-amount",
    "remark-dose-period",
    "remark-dose-stopped",
];

/// Remarks which mean that a resource could not be read at all; `type` among their arguments says of which type.
const UNREADABLE: [&str; 3] = ["remark-unreadable", "remark-unreadable-entry", "remark-modified"];

/// Doses of the same drug that start closer together than this may be one dose, recorded twice.
const CROWDED: SignedDuration = SignedDuration::from_mins(15);

fn unreadable(facts: &Facts, kind: &str) -> bool {
    let is = |remark: &&Remark| remark.args.get("type").is_some_and(|t| t == kind);
    facts
        .ignored
        .iter()
        .filter(is)
        .any(|remark| UNREADABLE.contains(&remark.id.as_str()))
}

/// Whether the record knows of doses that could not be used: levels cannot be explained then, and nobody is without drug.
#[must_use]
pub fn doses_unknown(facts: &Facts) -> bool {
    let unknown = facts
        .ignored
        .iter()
        .any(|remark| UNKNOWN_DOSES.contains(&remark.id.as_str()));
    unknown || unreadable(facts, "MedicationAdministration")
}

/// Whether a Condition or Procedure could not be read: it might be one that refuses.
#[must_use]
pub fn conditions_unknown(facts: &Facts) -> bool {
    unreadable(facts, "Condition") || unreadable(facts, "Procedure")
}

/// Whether two doses stand so close together that they may be one.
#[must_use]
pub fn doses_crowded(facts: &Facts) -> bool {
    let next = facts.given.iter().skip(1);
    facts
        .given
        .iter()
        .zip(next)
        .any(|(a, b)| b.time.duration_since(a.time) < CROWDED)
}

/// Whether a remark must be seen even when there are many: something that decides was not read.
#[must_use]
pub fn decides(remark: &Remark) -> bool {
    let id = remark.id.as_str();
    matches!(id, "remark-partial" | "remark-unread") || UNKNOWN_DOSES.contains(&id) || UNREADABLE.contains(&id)
}

/// The newest value of a covariate that is still fresh.
#[must_use]
pub fn covariate<'a>(file: &TwinFile, facts: &'a Facts, name: &str, now: Timestamp) -> Option<&'a Measurement> {
    let spec = file.needs.measured.iter().find(|m| m.name == name)?;
    let newest = facts
        .measured
        .get(name)?
        .iter()
        .rev()
        .find(|m| m.bound == Bound::Exact)?;
    spec.within
        .is_none_or(|within| now.duration_since(newest.time) <= within)
        .then_some(newest)
}

/// Completed years of age on the day of `now`.
#[must_use]
pub fn age_years(facts: &Facts, now: Timestamp, zone: &TimeZone) -> Option<f64> {
    let born = facts.person.birth_date?;
    let today = now.to_zoned_datetime(zone.clone()).date();
    let had_birthday = (today.month(), today.day()) >= (born.month(), born.day());
    let years = i32::from(today.year()) - i32::from(born.year()) - i32::from(!had_birthday);
    (years >= 0).then(|| f64::from(years))
}

/// Checks facts against the twin's rules, and gathers the inputs of the models.
///
/// # Errors
/// The first [`Refusal`] that applies, in the order: flags, missing data, limits, stability.
pub fn inputs(
    file: &TwinFile,
    facts: &Facts,
    now: Timestamp,
    zone: &TimeZone,
    language: &str,
) -> Result<Inputs, Refusal> {
    if let Some(rule) = file.refuse.iter().find(|r| facts.flags.contains_key(&r.flag)) {
        return Err(Refusal {
            reason: "flag",
            what: Phrase::Text(rule.say.clone()),
            help: Phrase::Text(rule.help.clone()),
            urgency: Urgency::Info,
            order_level: false,
        });
    }
    let mut inputs = Inputs::new();
    let Some(age) = age_years(facts, now, zone) else {
        return Err(Refusal::new(
            "age-missing",
            "refuse-age-missing",
            "help-age-missing",
            [],
        ));
    };
    inputs.insert(file.age_input.clone(), age);
    let female = match facts.person.sex {
        Sex::Female => 1.0,
        Sex::Male => 0.0,
        Sex::Unknown => {
            return Err(Refusal::new(
                "sex-missing",
                "refuse-sex-missing",
                "help-sex-missing",
                [],
            ));
        }
    };
    inputs.insert(file.female_input.clone(), female);
    for spec in file.needs.measured.iter().filter(|m| m.use_as == UseAs::Covariate) {
        let Some(named) = file.named.get(&spec.name) else {
            continue;
        };
        match covariate(file, facts, &spec.name, now) {
            Some(m) => {
                inputs.insert(spec.name.clone(), m.value);
            }
            None if named.optional => {}
            None => {
                let title = named.title.get(language).to_owned();
                let hours = spec.within.map_or(0, |w| w.as_hours());
                let stale = facts.measured.get(&spec.name).is_some_and(|m| !m.is_empty());
                return Err(if stale {
                    let args = [("item", title), ("hours", hours.to_string())];
                    Refusal::new("covariate-stale", "refuse-stale", "help-missing", args)
                } else {
                    Refusal::new("covariate-missing", "refuse-missing", "help-missing", [("item", title)])
                });
            }
        }
    }
    for flag in &file.needs.flags {
        inputs.insert(
            flag.name.clone(),
            f64::from(u8::from(facts.flags.contains_key(&flag.name))),
        );
    }
    for limit in &file.applies {
        let Some(value) = inputs.get(&limit.input) else {
            continue;
        };
        let [low, high] = limit.range;
        if !(low..=high).contains(value) {
            let title = if limit.input == file.age_input {
                Wording::of(Language::from_tag(language)).say("item-age", [])
            } else {
                file.title(&limit.input, language).to_owned()
            };
            let show = |v: f64| crate::wording::number(v, Language::from_tag(language));
            let args = [
                ("item", title),
                ("value", show(*value)),
                ("low", show(low)),
                ("high", show(high)),
            ];
            return Err(Refusal::new(
                "outside-population",
                "refuse-outside",
                "help-outside",
                args,
            ));
        }
    }
    for rule in &file.unstable {
        let Some(series) = facts.measured.get(&rule.input) else {
            continue;
        };
        let recent: Vec<f64> = series
            .iter()
            .filter(|m| m.bound == Bound::Exact && now.duration_since(m.time) <= rule.within)
            .map(|m| m.value)
            .collect();
        let moved = recent.iter().enumerate().any(|(i, earlier)| {
            recent
                .iter()
                .skip(i + 1)
                .any(|later| (later - earlier).abs() > rule.change * earlier)
        });
        if moved {
            return Err(Refusal {
                reason: "unstable",
                what: Phrase::Text(rule.say.clone()),
                help: Phrase::Text(rule.help.clone()),
                urgency: Urgency::Info,
                order_level: true,
            });
        }
    }
    Ok(inputs)
}
