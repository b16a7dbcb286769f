//! From the text of `twin.toml` to the checked file.

use std::collections::{BTreeMap, BTreeSet};

use jiff::SignedDuration;
use serde::Deserialize;
use toml::Spanned;

use super::{
    AdviceRules, Applies, Caution, Cautioned, Derived, Doses, Enters, Goal, Harm, Loading, Measure, ModelCard, Origin,
    OverrideReason, Picture, Range, Refuse, Route, Rule, RuleOrder, RulePlan, Schedule, Screen, Since, Status, Take,
    Text, Treatment, TwinFile, TwinFileError, Unstable, Urgency, Window, card,
    record::{RawFlag, RawGenotype, RawMeasured, RawPerson, Record},
};
use crate::{
    lang::Unit,
    model::{
        formula::{Formula, Number},
        table::Source,
    },
    patient::needs::{ATC, AssumedInfusion, Code, Drug, Needs, RXNORM},
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    twin: RawTwin,
    card: Spanned<BTreeMap<String, card::Raw>>,
    #[serde(default)]
    applies: Vec<Spanned<Applies>>,
    #[serde(default)]
    refuse: Vec<Spanned<RawRefuse>>,
    #[serde(default)]
    unstable: Vec<Spanned<RawUnstable>>,
    #[serde(default)]
    caution: Vec<Spanned<RawCaution>>,
    #[serde(default)]
    screen: Vec<Spanned<RawScreen>>,
    #[serde(default)]
    derived: Vec<RawDerived>,
    #[serde(default)]
    person: RawPerson,
    #[serde(default)]
    record: BTreeMap<String, RawMeasured>,
    #[serde(default)]
    genotype: BTreeMap<String, RawGenotype>,
    #[serde(default)]
    flag: BTreeMap<String, RawFlag>,
    treatment: RawTreatment,
    measure: BTreeMap<String, Spanned<RawMeasure>>,
    goal: Vec<Spanned<RawGoal>>,
    #[serde(default)]
    harm: Vec<Spanned<RawHarm>>,
    #[serde(default)]
    rule: Vec<Spanned<RawRule>>,
    advice: AdviceRules,
    picture: Option<RawPicture>,
    #[serde(default, rename = "override")]
    overrides: Vec<OverrideReason>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTwin {
    id: Spanned<String>,
    version: String,
    status: Status,
    title: Text,
    name: Text,
    about: Text,
    models: Spanned<Vec<String>>,
    link: Spanned<String>,
    draws: Option<Spanned<usize>>,
    origin: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRefuse {
    flag: Option<String>,
    when: Option<Spanned<String>>,
    say: Text,
    help: Option<Text>,
    #[serde(default)]
    urgency: Urgency,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawUnstable {
    input: String,
    within: Spanned<String>,
    change: f64,
    say: Text,
    help: Text,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCaution {
    when: Option<Spanned<String>>,
    missing: Option<String>,
    say: Text,
    #[serde(default)]
    loud: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawScreen {
    flag: String,
    say: Text,
    help: Text,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawDerived {
    name: Spanned<String>,
    unit: String,
    is: Spanned<String>,
    title: Option<Text>,
}

/// A number or a formula.
#[derive(Deserialize)]
#[serde(untagged)]
enum RawNumber {
    Plain(f64),
    Formula(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTreatment {
    name: Text,
    #[serde(default)]
    rxnorm: Vec<String>,
    #[serde(default)]
    atc: Vec<String>,
    #[serde(default)]
    synonyms: Vec<String>,
    #[serde(default)]
    routes: Vec<String>,
    route: Option<Route>,
    unit: Spanned<String>,
    dose: Option<Spanned<Vec<f64>>>,
    per: Option<Spanned<String>>,
    share: Option<Spanned<Vec<f64>>>,
    round_to: Option<f64>,
    #[serde(default)]
    every: Vec<Spanned<String>>,
    #[serde(default)]
    delay: Vec<Spanned<String>>,
    times: Option<u32>,
    #[serde(default = "offered")]
    offer: bool,
    into: Option<Spanned<RawInto>>,
    infusion: RawInfusion,
    daily_max: Option<Spanned<RawNumber>>,
    single_max: Option<Spanned<RawNumber>>,
    loading: Option<Loading>,
    recent: Spanned<String>,
    history: Spanned<String>,
}

fn offered() -> bool {
    true
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawInto {
    route: Option<String>,
    input: Option<String>,
    is: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawInfusion {
    hours_per_unit: f64,
    at_least: Spanned<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawMeasure {
    output: Option<String>,
    take: Take,
    level: Option<f64>,
    #[serde(default)]
    steady: bool,
    from: Option<Spanned<String>>,
    to: Option<Spanned<String>>,
    since: Option<Since>,
    by: Option<Spanned<String>>,
    #[serde(default)]
    change: bool,
    unit: String,
    label: Text,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawGoal {
    measure: String,
    within: Option<Spanned<[RawNumber; 2]>>,
    above: Option<Spanned<RawNumber>>,
    below: Option<Spanned<RawNumber>>,
    #[serde(default = "one")]
    weight: f64,
    label: Option<Text>,
    source: String,
}

fn one() -> f64 {
    1.0
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawHarm {
    measure: String,
    above: Option<Spanned<RawNumber>>,
    below: Option<Spanned<RawNumber>>,
    blocked_above: Option<Spanned<RawNumber>>,
    blocked_below: Option<Spanned<RawNumber>>,
    blocked_chance: Option<f64>,
    #[serde(default = "one")]
    weight: f64,
    label: Text,
    source: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRule {
    #[serde(default)]
    plan: RulePlan,
    measure: Option<String>,
    above: Option<Spanned<RawNumber>>,
    below: Option<Spanned<RawNumber>>,
    chance: Option<f64>,
    when: Option<Spanned<String>>,
    say: Text,
    #[serde(default)]
    urgency: Urgency,
    source: String,
    order: Option<RawRuleOrder>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRuleOrder {
    #[serde(default)]
    rxnorm: Vec<String>,
    #[serde(default)]
    atc: Vec<String>,
    text: Text,
    dosage: Option<Text>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPicture {
    output: Spanned<String>,
    ahead: Spanned<String>,
}

/// Turns places in the text into errors with line and column.
pub(super) struct Place<'a> {
    source: Source<'a>,
}

impl Place<'_> {
    /// An error at a byte of the text.
    pub(super) fn error(&self, at: usize, message: impl Into<String>) -> TwinFileError {
        self.source.error(at, message)
    }

    /// `48 h`, `30 min`, `7 d`, `4 wk`.
    pub(super) fn duration(&self, text: &Spanned<String>) -> Result<SignedDuration, TwinFileError> {
        let hours = self.hours(text.get_ref(), text.span().start)?;
        Ok(SignedDuration::from_secs_f64((hours * 3600.0).round()))
    }

    fn hours(&self, text: &str, at: usize) -> Result<f64, TwinFileError> {
        let wrong = || {
            let message =
                format!("\"{text}\" is not a length of time: write a number and min, h, d or wk, as \"48 h\"");
            self.error(at, message)
        };
        let (number, unit) = text.trim().split_once(' ').ok_or_else(wrong)?;
        let number: f64 = number.parse().map_err(|_| wrong())?;
        let hours = match unit.trim() {
            "min" => number / 60.0,
            "h" => number,
            "d" => number * 24.0,
            "wk" => number * 168.0,
            _ => return Err(wrong()),
        };
        // A lifetime.
        if !(0.0..=1_000_000.0).contains(&hours) {
            return Err(wrong());
        }
        Ok(hours)
    }

    /// A formula over known names.
    pub(super) fn formula(&self, text: &Spanned<String>, known: &BTreeSet<String>) -> Result<Formula, TwinFileError> {
        self.formula_at(text.get_ref(), text.span().start, known)
    }

    fn formula_at(&self, text: &str, at: usize, known: &BTreeSet<String>) -> Result<Formula, TwinFileError> {
        Formula::parse(text, known).map_err(|e| {
            // Behind the quotation mark.
            let mut error = self.error(at + 1 + e.span.start, format!("in \"{}\": {}", text.trim(), e.message));
            error.help = e.help;
            error
        })
    }

    fn number(&self, raw: &RawNumber, at: usize, known: &BTreeSet<String>) -> Result<Number, TwinFileError> {
        match raw {
            RawNumber::Plain(value) if value.is_finite() => Ok(Number::Plain(*value)),
            RawNumber::Plain(_) => Err(self.error(at, "this must be a finite number")),
            RawNumber::Formula(text) => Ok(Number::Formula(self.formula_at(text, at, known)?)),
        }
    }

    fn end(
        &self,
        raw: Option<&Spanned<RawNumber>>,
        known: &BTreeSet<String>,
    ) -> Result<Option<Number>, TwinFileError> {
        raw.map(|n| self.number(n.get_ref(), n.span().start, known)).transpose()
    }

    fn ascending(&self, list: &Spanned<Vec<f64>>) -> Result<(), TwinFileError> {
        let values = list.get_ref();
        let ascending = values.iter().zip(values.iter().skip(1)).all(|(a, b)| a < b);
        if values.is_empty() || !ascending || values.iter().any(|d| !(d.is_finite() && *d > 0.0)) {
            return Err(self.error(list.span().start, "doses must be positive and ascending"));
        }
        Ok(())
    }
}

/// Codes of one system.
pub(super) fn coded(system: &str, codes: Vec<String>) -> impl Iterator<Item = Code> {
    codes.into_iter().map(move |code| Code {
        system: system.to_owned(),
        code,
    })
}

/// Reads a file.
pub(super) fn read(file: &str, text: &str) -> Result<TwinFile, TwinFileError> {
    let place = Place {
        source: Source { file, text },
    };
    let raw: Raw = toml::from_str(text)
        .map_err(|e| place.error(e.span().map_or(0, |s| s.start), e.message().trim().replace('\n', "; ")))?;
    check(raw, &place)
}

fn check(raw: Raw, place: &Place<'_>) -> Result<TwinFile, TwinFileError> {
    let twin = raw.twin;
    let id_span = twin.id.span().start;
    let id = twin.id.into_inner();
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if id.is_empty() || !id.chars().all(plain) {
        let message = format!("id \"{id}\" becomes part of a URL: use lower-case letters, digits and hyphens only");
        return Err(place.error(id_span, message));
    }
    if twin.models.get_ref().is_empty() {
        return Err(place.error(twin.models.span().start, "at least one model must vote"));
    }
    if !twin.link.get_ref().starts_with("https://") {
        return Err(place.error(twin.link.span().start, "link must be an absolute https URL"));
    }
    if let Some(draws) = twin.draws.as_ref().filter(|d| !(100..=10_000).contains(d.get_ref())) {
        return Err(place.error(draws.span().start, "draws must lie between 100 and 10000"));
    }
    let card = ModelCard::read(raw.card.get_ref()).map_err(|m| place.error(raw.card.span().start, m))?;

    let mut record = Record::default();
    record.person(&raw.person);
    record.measured(place, raw.record)?;
    record.genotypes(place, raw.genotype)?;
    record.flags(place, raw.flag)?;
    let mut derived = Vec::new();
    for item in raw.derived {
        derived.push(Derived {
            is: record.derived(place, &item.name, &item.is)?,
            name: item.name.into_inner(),
            unit: item.unit,
            title: item.title,
        });
    }
    let names = &record.names;
    let origin = twin.origin.map_or(Ok(Origin::default()), |text| origin(place, &text, &record))?;
    let treatment = treatment(place, raw.treatment, names)?;
    let known = |at: usize, input: &str| {
        if names.contains(input) {
            return Ok(());
        }
        let message = format!("nothing provides \"{input}\": add [record.{input}], [flag.{input}] or [[derived]]");
        Err(place.error(at, message))
    };
    for limit in &raw.applies {
        known(limit.span().start, &limit.get_ref().input)?;
    }
    let is_flag = |at: usize, flag: &str| {
        let found = record.flags.iter().find(|f| f.name == flag);
        found.ok_or_else(|| place.error(at, format!("flag \"{flag}\" is not defined: add [flag.{flag}]")))
    };
    let mut refuse = Vec::new();
    for rule in raw.refuse {
        let at = rule.span().start;
        let rule = rule.into_inner();
        let when = match (&rule.flag, &rule.when) {
            (Some(flag), None) => {
                is_flag(at, flag)?;
                place.formula_at(flag, at, names)?
            }
            (None, Some(when)) => place.formula(when, names)?,
            _ => return Err(place.error(at, "[[refuse]] needs either flag or when")),
        };
        refuse.push(Refuse {
            when,
            flag: rule.flag,
            say: rule.say,
            help: rule.help,
            urgency: rule.urgency,
        });
    }
    let mut unstable = Vec::new();
    for rule in raw.unstable {
        let at = rule.span().start;
        let rule = rule.into_inner();
        if !record.items.iter().any(|i| i.name == rule.input) {
            return Err(place.error(at, format!("\"{0}\" is not measured: add [record.{0}]", rule.input)));
        }
        unstable.push(Unstable {
            within: place.duration(&rule.within)?,
            input: rule.input,
            change: rule.change,
            say: rule.say,
            help: rule.help,
        });
    }
    let mut cautions = Vec::new();
    for rule in raw.caution {
        let at = rule.span().start;
        let rule = rule.into_inner();
        let when = match (rule.when, rule.missing) {
            (Some(when), None) => Cautioned::When(place.formula(&when, names)?),
            (None, Some(missing)) => {
                known(at, &missing)?;
                Cautioned::Missing(missing)
            }
            _ => return Err(place.error(at, "[[caution]] needs either when or missing")),
        };
        cautions.push(Caution {
            when,
            say: rule.say,
            loud: rule.loud,
        });
    }
    let mut screens = Vec::new();
    for rule in raw.screen {
        let at = rule.span().start;
        let rule = rule.into_inner();
        if is_flag(at, &rule.flag)?.tests.is_empty() {
            let message = format!("[flag.{}] has no loinc: a screen asks for a test", rule.flag);
            return Err(place.error(at, message));
        }
        screens.push(Screen {
            flag: rule.flag,
            say: rule.say,
            help: rule.help,
        });
    }
    let mut measures = Vec::new();
    for (name, measure) in raw.measure {
        measures.push(measured(place, name, measure, names)?);
    }
    let find = |at: usize, name: &str| {
        let found = measures.iter().position(|m: &Measure| m.name == name);
        found.ok_or_else(|| place.error(at, format!("measure \"{name}\" is not defined: add [measure.{name}]")))
    };
    if raw.goal.is_empty() {
        return Err(place.error(0, "at least one [[goal]] is needed"));
    }
    let mut goals = Vec::new();
    for goal in raw.goal {
        let at = goal.span().start;
        let goal = goal.into_inner();
        let measure = find(at, &goal.measure)?;
        let within = match (goal.within, goal.above, goal.below) {
            (Some(within), None, None) => {
                let at = within.span().start;
                let [low, high] = within.into_inner();
                Range {
                    low: Some(place.number(&low, at, names)?),
                    high: Some(place.number(&high, at, names)?),
                }
            }
            (None, above, below) => range(place, at, above.as_ref(), below.as_ref(), names)?,
            _ => return Err(place.error(at, "[[goal]] needs within, or above or below")),
        };
        if let (Some(Number::Plain(low)), Some(Number::Plain(high))) = (&within.low, &within.high)
            && low > high
        {
            return Err(place.error(at, format!("[[goal]]: {low} must not exceed {high}")));
        }
        let label = goal.label.or_else(|| measures.get(measure).map(|m| m.label.clone()));
        goals.push(Goal {
            measure,
            within,
            weight: goal.weight,
            label: label.unwrap_or_else(|| twin.name.clone()),
            source: goal.source,
        });
    }
    let mut harms = Vec::new();
    for harm in raw.harm {
        let at = harm.span().start;
        let harm = harm.into_inner();
        let blocked = match (&harm.blocked_above, &harm.blocked_below) {
            (None, None) => None,
            (above, below) => Some(range(place, at, above.as_ref(), below.as_ref(), names)?),
        };
        harms.push(Harm {
            measure: find(at, &harm.measure)?,
            within: range(place, at, harm.above.as_ref(), harm.below.as_ref(), names)?,
            blocked,
            blocked_chance: harm.blocked_chance,
            weight: harm.weight,
            label: harm.label,
            source: harm.source,
        });
    }
    let mut rules = Vec::new();
    for rule in raw.rule {
        let at = rule.span().start;
        let rule = rule.into_inner();
        let predicted = match (&rule.measure, rule.chance) {
            (Some(measure), chance) => {
                let within = range(place, at, rule.above.as_ref(), rule.below.as_ref(), names)?;
                Some((find(at, measure)?, within, chance.unwrap_or(0.5)))
            }
            (None, None) if rule.above.is_none() && rule.below.is_none() => None,
            _ => return Err(place.error(at, "[[rule]]: above, below and chance are about a measure")),
        };
        let when = rule.when.as_ref().map(|w| place.formula(w, names)).transpose()?;
        if predicted.is_none() && when.is_none() {
            return Err(place.error(at, "[[rule]] needs a measure or when"));
        }
        rules.push(Rule {
            plan: rule.plan,
            predicted,
            when,
            say: rule.say,
            urgency: rule.urgency,
            source: rule.source,
            order: rule.order.map(|order| RuleOrder {
                codes: coded(RXNORM, order.rxnorm).chain(coded(ATC, order.atc)).collect(),
                text: order.text,
                dosage: order.dosage,
            }),
        });
    }
    let first = goals.first().and_then(|g| measures.get(g.measure));
    let picture = match raw.picture {
        Some(picture) => Picture {
            ahead: place.duration(&picture.ahead)?,
            output: picture.output.into_inner(),
        },
        None => Picture {
            output: first.map_or_else(String::new, |m| m.output.clone()),
            ahead: SignedDuration::from_hours(48),
        },
    };
    let needs = Needs {
        measured: record.measured,
        flags: record.flags,
        categories: record.categories,
        drug: Some(treatment.drug),
        history: treatment.history,
        assumed_infusion: treatment.treatment.infusion,
    };
    Ok(TwinFile {
        id,
        version: twin.version,
        status: twin.status,
        title: twin.title,
        name: twin.name,
        about: twin.about,
        models: twin.models.into_inner(),
        link: twin.link.into_inner(),
        draws: twin.draws.map(Spanned::into_inner),
        origin,
        card,
        applies: raw.applies.into_iter().map(Spanned::into_inner).collect(),
        refuse,
        unstable,
        cautions,
        screens,
        derived,
        age_input: raw.person.age,
        female_input: raw.person.female,
        needs,
        items: record.items,
        recorded_as: record.recorded_as,
        named: record.named,
        treatment: treatment.treatment,
        measures,
        goals,
        harms,
        rules,
        advice: raw.advice,
        picture,
        overrides: raw.overrides,
    })
}

fn origin(place: &Place<'_>, text: &Spanned<String>, record: &Record) -> Result<Origin, TwinFileError> {
    match text.get_ref().as_str() {
        "first record" => Ok(Origin::FirstRecord),
        "first dose" => Ok(Origin::FirstDose),
        other => {
            let item = other.strip_prefix("input ").map(str::trim);
            let found = item.and_then(|item| record.measured.iter().find(|m| m.name == item));
            let unit = |code: &str| Unit::parse(code).ok();
            match found.map(|m| (m, unit(&m.unit), unit("h"))) {
                Some((m, Some(own), Some(hour))) if own.same_kind(&hour) => Ok(Origin::Input {
                    item: m.name.clone(),
                    hours: own.ratio(&hour),
                }),
                _ => Err(place.error(
                    text.span().start,
                    "origin is \"first record\", \"first dose\", or \"input \" and the name of a record item in a unit of time",
                )),
            }
        }
    }
}

fn range(
    place: &Place<'_>,
    at: usize,
    above: Option<&Spanned<RawNumber>>,
    below: Option<&Spanned<RawNumber>>,
    known: &BTreeSet<String>,
) -> Result<Range, TwinFileError> {
    if above.is_none() && below.is_none() {
        return Err(place.error(at, "say above or below which value"));
    }
    Ok(Range {
        low: place.end(above, known)?,
        high: place.end(below, known)?,
    })
}

fn measured(
    place: &Place<'_>,
    name: String,
    raw: Spanned<RawMeasure>,
    known: &BTreeSet<String>,
) -> Result<Measure, TwinFileError> {
    let at = raw.span().start;
    let raw = raw.into_inner();
    if raw.take.is_of_plan() != raw.output.is_none() {
        let message = format!("[measure.{name}] needs an output, unless it is a number of the plan itself");
        return Err(place.error(at, message));
    }
    let window = match (raw.steady, &raw.from, &raw.to) {
        (false, None, None) if raw.take.is_of_plan() => Window::Steady,
        (true, None, None) if raw.since.is_none() => Window::Steady,
        (false, from, Some(to)) => {
            let from = from.as_ref().map_or(Ok(0.0), |t| place.hours(t.get_ref(), t.span().start))?;
            let end = place.hours(to.get_ref(), to.span().start)?;
            if end < from {
                return Err(place.error(to.span().start, "a window must not end before it begins"));
            }
            Window::Span {
                from,
                to: end,
                since: raw.since.unwrap_or_default(),
            }
        }
        _ => {
            let message = format!("[measure.{name}] needs either steady = true, or to (and from and since)");
            return Err(place.error(at, message));
        }
    };
    if raw.take.needs_level() != raw.level.is_some() {
        let message = format!("[measure.{name}]: times below or above need a level, other measures have none");
        return Err(place.error(at, message));
    }
    Ok(Measure {
        output: raw.output.unwrap_or_default(),
        take: raw.take,
        level: raw.level,
        window,
        by: raw.by.as_ref().map(|by| place.formula(by, known)).transpose()?,
        change: raw.change,
        unit: raw.unit,
        label: raw.label,
        name,
    })
}

/// `[treatment]` in the parts in which it is used.
struct ReadTreatment {
    treatment: Treatment,
    drug: Drug,
    history: SignedDuration,
}

fn treatment(place: &Place<'_>, raw: RawTreatment, names: &BTreeSet<String>) -> Result<ReadTreatment, TwinFileError> {
    let at = raw.unit.span().start;
    let round_to = raw.round_to.unwrap_or(0.0);
    if !(round_to.is_finite() && round_to >= 0.0) {
        return Err(place.error(at, "[treatment] round_to must not be negative"));
    }
    let doses = match (&raw.dose, &raw.per, &raw.share, raw.offer) {
        (None, None, None, false) => Doses::None,
        (Some(dose), None, None, true) => {
            place.ascending(dose)?;
            Doses::Plain(dose.get_ref().clone())
        }
        (Some(dose), Some(per), None, true) => {
            place.ascending(dose)?;
            Doses::Per {
                doses: dose.get_ref().clone(),
                per: place.formula(per, names)?,
                round_to,
            }
        }
        (None, None, Some(share), true) => {
            let shares = share.get_ref();
            if shares.is_empty() || shares.iter().any(|s| !(s.is_finite() && *s > 0.0)) {
                return Err(place.error(share.span().start, "shares must be positive"));
            }
            Doses::Share {
                shares: shares.clone(),
                round_to,
            }
        }
        _ => {
            let message = "[treatment] needs dose, or dose and per, or share; or offer = false and none of them";
            return Err(place.error(at, message));
        }
    };
    let mut every = Vec::new();
    for schedule in &raw.every {
        let at = schedule.span().start;
        let gaps = schedule
            .get_ref()
            .split(',')
            .map(|gap| place.hours(gap, at))
            .collect::<Result<Vec<_>, _>>()?;
        if gaps.iter().any(|gap| *gap <= 0.0) {
            return Err(place.error(at, "an interval must be longer than nothing"));
        }
        every.push(Schedule { gaps });
    }
    if every.is_empty() && doses != Doses::None {
        return Err(place.error(at, "[treatment] needs every: the intervals between doses"));
    }
    let mut delays = Vec::new();
    for delay in &raw.delay {
        delays.push(place.hours(delay.get_ref(), delay.span().start)?);
    }
    if delays.is_empty() {
        delays.push(0.0);
    }
    let into = match raw.into {
        None => Enters::Doses(None),
        Some(into) => {
            let at = into.span().start;
            match into.into_inner() {
                RawInto {
                    route: Some(route),
                    input: None,
                    is: None,
                } => Enters::Doses(Some(route)),
                RawInto {
                    route: None,
                    input: Some(name),
                    is: Some(is),
                } => {
                    let mut names = names.clone();
                    names.extend(["amount".to_owned(), "interval".to_owned()]);
                    Enters::Input {
                        is: place.formula(&is, &names)?,
                        name,
                    }
                }
                _ => return Err(place.error(at, "[treatment] into needs either route, or input and is")),
            }
        }
    };
    let infusion = AssumedInfusion {
        hours_per_unit: raw.infusion.hours_per_unit,
        at_least: place.hours(raw.infusion.at_least.get_ref(), raw.infusion.at_least.span().start)?,
    };
    let unlimited = |limit: Option<Number>| match limit {
        Some(limit) => Ok(limit),
        None if doses == Doses::None => Ok(Number::Plain(f64::INFINITY)),
        None => Err(place.error(at, "[treatment] needs single_max and daily_max")),
    };
    let codes: Vec<Code> = coded(RXNORM, raw.rxnorm).chain(coded(ATC, raw.atc)).collect();
    let unit = raw.unit.into_inner();
    let drug = Drug {
        name: raw.name.en.clone(),
        codes: codes.clone(),
        synonyms: raw.synonyms,
        unit: unit.clone(),
        routes: raw.routes,
    };
    let daily_max = unlimited(place.end(raw.daily_max.as_ref(), names)?)?;
    let single_max = unlimited(place.end(raw.single_max.as_ref(), names)?)?;
    Ok(ReadTreatment {
        treatment: Treatment {
            name: raw.name,
            codes,
            route: raw.route,
            doses,
            unit,
            every,
            delays,
            times: raw.times,
            into,
            infusion,
            daily_max,
            single_max,
            loading: raw.loading,
            recent: place.duration(&raw.recent)?,
        },
        drug,
        history: place.duration(&raw.history)?,
    })
}
