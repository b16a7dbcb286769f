//! When nothing may be advised. Each refusal says what is wrong and what would help.

use jiff::{SignedDuration, Timestamp, tz::TimeZone};

pub use crate::model::twin_file::Urgency;
use crate::{
    model::{
        formula::Values,
        twin_file::{Role, TwinFile},
    },
    patient::facts::{Bound, Facts, Remark, Sex},
    twin::values::{age_years, current},
    wording::{Language, Phrase, Wording},
};

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

/// Something that a twin cannot do without.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lack {
    /// The date of birth.
    BirthDate,
    /// The administrative sex.
    Sex,
    /// A value of the record item of this name.
    Measured {
        /// In the twin's file.
        name: String,
        /// Hours beyond which a value does not count, where the one that is there is older.
        older_than: Option<i64>,
    },
    /// The category of this name.
    Category(String),
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

    /// Whether it is for data that are lacking: [`lacks`] names all of them.
    #[must_use]
    pub fn is_for_lack(&self) -> bool {
        let reasons = [
            "age-missing",
            "sex-missing",
            "covariate-missing",
            "covariate-stale",
            "category-missing",
        ];
        reasons.contains(&self.reason)
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

/// Checks facts and the values at hand against the twin's rules.
///
/// # Errors
/// The first [`Refusal`] that applies, in the order: rules of the file, missing data, limits, stability.
pub fn check(
    file: &TwinFile,
    facts: &Facts,
    values: &Values,
    now: Timestamp,
    zone: &TimeZone,
    language: &str,
) -> Result<(), Refusal> {
    if let Some(rule) = file.refuse.iter().find(|r| r.when.holds(values)) {
        return Err(Refusal {
            reason: if rule.flag.is_some() { "flag" } else { "rule" },
            what: Phrase::Text(rule.say.clone()),
            help: match &rule.help {
                Some(help) => Phrase::Text(help.clone()),
                None => Phrase::message("help-outside", []),
            },
            urgency: rule.urgency,
            order_level: false,
        });
    }
    missing(file, facts, now, zone, language)?;
    limits(file, values, language)?;
    unstable(file, facts, now)
}

/// Everything that the twin cannot do without and the record does not hold, the most basic first.
#[must_use]
pub fn lacks(file: &TwinFile, facts: &Facts, now: Timestamp, zone: &TimeZone) -> Vec<Lack> {
    let mut lacks = Vec::new();
    if file.age_input.is_some() && age_years(facts, now, zone).is_none() {
        lacks.push(Lack::BirthDate);
    }
    if file.female_input.is_some() && facts.person.sex == Sex::Unknown {
        lacks.push(Lack::Sex);
    }
    let needed = |name: &str| file.named.get(name).is_some_and(|n| !n.optional);
    let covariates = file.items.iter().filter(|i| matches!(i.role, Role::Covariate(_)));
    for item in covariates.filter(|i| needed(&i.name)) {
        if current(file, facts, &item.name, now).is_none() {
            let spec = file.needs.measured.iter().find(|m| m.name == item.name);
            let hours = spec.and_then(|s| s.within).map_or(0, |w| w.as_hours());
            let stale = facts.measured.get(&item.name).is_some_and(|m| !m.is_empty());
            lacks.push(Lack::Measured {
                name: item.name.clone(),
                older_than: (stale && hours > 0).then_some(hours),
            });
        }
    }
    let names = file.needs.categories.iter().map(|c| &c.name);
    let absent = names.filter(|name| needed(name) && !facts.categories.contains_key(*name));
    lacks.extend(absent.cloned().map(Lack::Category));
    lacks
}

/// Whether everything is there that the twin cannot do without: the first that is not is said, all are named.
fn missing(file: &TwinFile, facts: &Facts, now: Timestamp, zone: &TimeZone, language: &str) -> Result<(), Refusal> {
    let lacks = lacks(file, facts, now, zone);
    let title = |name: &str| file.title(name, language).to_owned();
    Err(match lacks.first() {
        None => return Ok(()),
        Some(Lack::BirthDate) => Refusal::new("age-missing", "refuse-age-missing", "help-age-missing", []),
        Some(Lack::Sex) => Refusal::new("sex-missing", "refuse-sex-missing", "help-sex-missing", []),
        Some(Lack::Measured {
            name,
            older_than: Some(hours),
        }) => {
            let args = [("item", title(name)), ("hours", hours.to_string())];
            Refusal::new("covariate-stale", "refuse-stale", "help-missing", args)
        }
        Some(Lack::Measured { name, .. }) => {
            let args = [("item", title(name))];
            Refusal::new("covariate-missing", "refuse-missing", "help-missing", args)
        }
        Some(Lack::Category(name)) => {
            let args = [("item", title(name))];
            Refusal::new("category-missing", "refuse-missing", "help-missing", args)
        }
    })
}

/// Whether the patient lies within the limits of the twin.
fn limits(file: &TwinFile, values: &Values, language: &str) -> Result<(), Refusal> {
    for limit in &file.applies {
        let Some(value) = values.get(&limit.input) else {
            continue;
        };
        let [low, high] = limit.range;
        if (low..=high).contains(value) {
            continue;
        }
        let show = |v: f64| crate::wording::number(v, Language::from_tag(language));
        let args = [
            ("item", item_title(file, &limit.input, language)),
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
    Ok(())
}

/// What cards call a value at hand.
#[must_use]
pub fn item_title(file: &TwinFile, name: &str, language: &str) -> String {
    if file.age_input.as_deref() == Some(name) {
        return Wording::of(Language::from_tag(language)).say("item-age", []);
    }
    let derived = file
        .derived
        .iter()
        .find(|d| d.name == name)
        .and_then(|d| d.title.as_ref());
    derived.map_or_else(|| file.title(name, language).to_owned(), |t| t.get(language).to_owned())
}

/// Whether a covariate moved too fast for the models.
fn unstable(file: &TwinFile, facts: &Facts, now: Timestamp) -> Result<(), Refusal> {
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
                urgency: rule.urgency,
                order_level: true,
            });
        }
    }
    Ok(())
}
