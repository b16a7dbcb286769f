//! The numbers behind a card, as its extension holds them.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

/// `extension.jumeau` of a card.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Picture {
    /// What the twin is called.
    pub quantity: String,
    /// The output that is drawn.
    pub output: String,
    /// Its unit, UCUM.
    pub unit: String,
    /// The present.
    pub now: Option<Timestamp>,
    /// What came of the comparison.
    pub decision: String,
    /// The models that vote.
    pub models: Vec<Model>,
    /// The options, best first, then the present plan and no treatment.
    pub options: Vec<Choice>,
    /// What is compared.
    pub measures: Vec<Measure>,
    /// The first goal.
    pub target: Option<Target>,
    /// Measured values.
    pub points: Vec<Point>,
    /// Doses given.
    pub doses: Vec<Dose>,
    /// Other inputs.
    pub inputs: Vec<Input>,
    /// Until now.
    pub past: Option<Curve>,
}

/// A model.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Model {
    /// Id of its file.
    pub id: String,
    /// Version of its file.
    pub version: String,
    /// Digest of its file.
    pub sha256: String,
    /// Of its paper.
    pub doi: String,
    /// Its vote.
    pub weight: f64,
}

/// An option.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Choice {
    /// `keep`, `change` or `stop`.
    pub kind: String,
    /// In words.
    pub label: String,
    /// Whether it is what is advised.
    pub recommended: bool,
    /// Whether it is the present plan.
    pub current: bool,
    /// Chance of all goals.
    pub on_target: f64,
    /// Chance to lie below.
    pub below: f64,
    /// Chance of harm.
    pub harm: f64,
    /// By measure.
    pub measures: std::collections::BTreeMap<String, Interval>,
    /// From now on.
    pub curve: Option<Curve>,
}

/// Median and 90 % interval.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(default)]
pub struct Interval {
    /// The median.
    pub median: f64,
    /// The lower end.
    pub p05: f64,
    /// The upper end.
    pub p95: f64,
}

/// A measure.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Measure {
    /// By which options know it.
    pub name: String,
    /// In words.
    pub label: String,
    /// UCUM.
    pub unit: String,
}

/// The first goal.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Target {
    /// The measure that it is about.
    pub measure: String,
    /// The output, where the measure is of one.
    pub output: String,
    /// In words.
    pub label: String,
    /// UCUM.
    pub unit: String,
    /// Lower end.
    pub low: Option<f64>,
    /// Upper end.
    pub high: Option<f64>,
    /// Where it comes from.
    pub source: String,
}

/// A measured value.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Point {
    /// When it was taken.
    pub time: Option<Timestamp>,
    /// The same in hours from now.
    pub hours: f64,
    /// The value.
    pub value: f64,
    /// `below` or `above`, where the value is a limit.
    pub bound: String,
    /// Whether the fit used it.
    pub used: bool,
    /// Of what.
    pub output: String,
    /// UCUM.
    pub unit: String,
    /// Where it stands.
    pub source: Source,
}

/// A dose given.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Dose {
    /// When it began.
    pub time: Option<Timestamp>,
    /// The same in hours from now.
    pub hours: f64,
    /// How much.
    pub amount: f64,
    /// UCUM.
    pub unit: String,
    /// Over how long.
    pub duration_hours: f64,
    /// Whether a part of it was assumed.
    pub assumed: bool,
    /// Where it stands.
    pub source: Source,
}

/// Another input.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Input {
    /// What it is called.
    pub title: String,
    /// The value.
    pub value: f64,
    /// UCUM.
    pub unit: String,
    /// When it was true.
    pub time: Option<Timestamp>,
    /// As recorded, where it was converted.
    pub recorded: String,
    /// Where it stands.
    pub source: Source,
}

/// A resource and its version.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Source {
    /// `Observation/1`.
    pub reference: String,
    /// `meta.versionId`.
    pub version: String,
}

/// Percentiles over time.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Curve {
    /// From now.
    pub hours: Vec<f64>,
    /// The lower end.
    pub p05: Vec<f64>,
    /// The median.
    pub p50: Vec<f64>,
    /// The upper end.
    pub p95: Vec<f64>,
}

impl Picture {
    /// Of the extension of a card.
    #[must_use]
    pub fn of(extension: Option<&Value>) -> Option<Self> {
        serde_json::from_value(extension?.get("jumeau")?.clone()).ok()
    }

    /// Whether no option that is listed is good enough to be offered.
    #[must_use]
    pub fn nothing_suits(&self) -> bool {
        self.decision == "nothing-suitable"
    }

    /// Whether an option has no numbers of its own, as no treatment where measures are those of a steady one.
    #[must_use]
    pub fn ends(&self, option: &Choice) -> bool {
        let main = self.target.as_ref().map_or("", |target| target.measure.as_str());
        option.kind == "stop" && !option.measures.contains_key(main)
    }

    /// The limits of the target where they can stand in the drawing: same quantity, same unit.
    #[must_use]
    pub fn drawn_target(&self) -> Option<(&Target, (f64, f64))> {
        let target = self.target.as_ref()?;
        let same = target.unit == self.unit && (target.output.is_empty() || target.output == self.output);
        let ends = (
            target.low.unwrap_or(f64::NEG_INFINITY),
            target.high.unwrap_or(f64::INFINITY),
        );
        (same && (ends.0.is_finite() || ends.1.is_finite())).then_some((target, ends))
    }
}

impl Point {
    /// `<` or `>`, where the value is a limit.
    #[must_use]
    pub fn sign(&self) -> &'static str {
        match self.bound.as_str() {
            "below" => "< ",
            "above" => "> ",
            _ => "",
        }
    }
}

impl Curve {
    /// The longest stretch of which everything is known.
    #[must_use]
    pub fn len(&self) -> usize {
        [self.hours.len(), self.p05.len(), self.p50.len(), self.p95.len()]
            .into_iter()
            .min()
            .unwrap_or(0)
    }

    /// Whether nothing is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Each moment.
    pub fn each(&self) -> impl Iterator<Item = (f64, Interval)> + '_ {
        let bands = self.p50.iter().zip(&self.p05).zip(&self.p95);
        self.hours.iter().zip(bands).map(|(hour, ((median, p05), p95))| {
            let band = Interval {
                median: *median,
                p05: *p05,
                p95: *p95,
            };
            (*hour, band)
        })
    }
}
