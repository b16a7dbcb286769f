//! A model file as its author wrote it: what [`Model`](crate::model::model_file::Model) has turned into programs and numbers.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Value;

/// The parts of a model file that are shown as written.
#[derive(Debug, Deserialize)]
pub(super) struct Written {
    #[serde(default)]
    pub(super) parameters: BTreeMap<String, Variability>,
    #[serde(default)]
    pub(super) omega: Vec<Correlated>,
    pub(super) doses: Option<Doses>,
    #[serde(default)]
    pub(super) observed: BTreeMap<String, Seen>,
    #[serde(default)]
    pub(super) outputs: BTreeMap<String, Seen>,
    #[serde(default)]
    pub(super) measures: BTreeMap<String, Seen>,
    pub(super) clock: Option<BTreeMap<String, Value>>,
    pub(super) cycle: Option<BTreeMap<String, Value>>,
    #[serde(default)]
    pub(super) checks: Vec<Check>,
}

/// How a parameter varies.
#[derive(Debug, Deserialize)]
pub(super) struct Variability {
    pub(super) cv: Option<f64>,
    pub(super) omega_sd: Option<f64>,
    pub(super) omega2: Option<f64>,
    pub(super) occasion_cv: Option<f64>,
    pub(super) occasion_sd: Option<f64>,
    pub(super) occasion_omega2: Option<f64>,
    pub(super) distribution: Option<String>,
    pub(super) lambda: Option<f64>,
    pub(super) eta: Option<String>,
    pub(super) prior: Option<String>,
    pub(super) prior_on: Option<String>,
    pub(super) within: Option<Vec<Value>>,
}

/// Two random effects that go together.
#[derive(Debug, Deserialize)]
pub(super) struct Correlated {
    pub(super) between: Vec<String>,
    pub(super) correlation: Option<f64>,
    pub(super) covariance: Option<f64>,
}

/// Where doses go.
#[derive(Debug, Deserialize)]
pub(super) struct Doses {
    pub(super) state: Option<String>,
    #[serde(default)]
    pub(super) to: BTreeMap<String, BTreeMap<String, Value>>,
    #[serde(flatten)]
    pub(super) how: BTreeMap<String, Value>,
}

/// What is observed, shown or measured.
#[derive(Debug, Deserialize)]
pub(super) struct Seen {
    pub(super) is: Option<String>,
    #[serde(default)]
    pub(super) doc: String,
    #[serde(default)]
    pub(super) error: BTreeMap<String, Value>,
}

/// A worked example.
#[derive(Debug, Deserialize)]
pub(super) struct Check {
    pub(super) name: String,
    pub(super) source: String,
    #[serde(default)]
    pub(super) inputs: BTreeMap<String, Value>,
    #[serde(default)]
    pub(super) inputs_at: Vec<BTreeMap<String, Value>>,
    #[serde(default)]
    pub(super) doses: Vec<Vec<f64>>,
    #[serde(default)]
    pub(super) repeat: Vec<Repeat>,
    #[serde(default)]
    pub(super) expect: Vec<BTreeMap<String, Value>>,
    #[serde(default)]
    pub(super) expect_fitted: Vec<BTreeMap<String, Value>>,
}

/// A dose that is repeated.
#[derive(Debug, Deserialize)]
pub(super) struct Repeat {
    pub(super) amount: f64,
    #[serde(default)]
    pub(super) every: f64,
    #[serde(default = "once")]
    pub(super) times: f64,
    #[serde(default)]
    pub(super) from: f64,
    #[serde(default)]
    pub(super) duration: f64,
    pub(super) to: Option<String>,
}

fn once() -> f64 {
    1.0
}

/// A number or text of a file as it stands there.
pub(super) fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Float(number) => number.to_string(),
        other => other.to_string(),
    }
}

/// The lines of a file that their author marks as not verified against the source, `(u)`.
pub(super) fn unverified(text: &str) -> Vec<&str> {
    text.lines()
        .map(str::trim)
        .filter(|line| line.contains("(u)") && !line.contains("(u) marks"))
        .collect()
}
