//! RiskAssessments: what is predicted of each option, of the plan as it is, and of no further treatment.

use serde_json::{Value, json};

use super::{CANONICAL, Draft, concept, profile, quantity, rounded};
use crate::service::finding::{Advised, Course, Curve, Finding, Kind};

impl Draft<'_> {
    /// One for each course.
    pub(super) fn risks(&mut self, device: &Value, finding: &Finding, advised: &Advised) {
        let models: Vec<Value> = advised
            .twin
            .models
            .iter()
            .map(|m| json!({ "system": format!("{CANONICAL}/model"), "version": m.version, "code": m.id }))
            .collect();
        let method =
            json!({ "coding": models, "text": "Simulated over draws from the posterior of the patient's parameters" });
        let basis: Vec<Value> = finding
            .used
            .iter()
            .map(|source| self.writer.reference(source))
            .collect();
        let mut rank = 0;
        for course in &advised.courses {
            let (code, role) = match course.kind {
                Kind::Change => {
                    rank += 1;
                    ("change", format!("option {rank}"))
                }
                Kind::Keep => ("keep", "keep".to_owned()),
                Kind::Stop => ("stop", "stop".to_owned()),
            };
            let option = || json!({ "reference": super::urn(self.id(&role)) });
            let based_on = match (&course.request, &course.order) {
                (Some(_), _) => option(),
                (None, Some(order)) => self.writer.reference(order),
                (None, None) => Value::Null,
            };
            let mut extension = measures(course);
            extension.extend(course.curve.as_ref().map(|curve| drawn(curve, &advised.twin.output)));
            let predictions: Vec<Value> = course.chances.iter().map(|chance| {
                let kind = if chance.harm { "harm" } else { "goal" };
                json!({ "outcome": concept("outcome-kind", kind, &chance.of), "probabilityDecimal": rounded(chance.probability) })
            }).collect();
            let body = json!({
                "extension": extension,
                "basedOn": based_on,
                "parent": { "reference": super::urn(self.id("guidance")) },
                "status": "final",
                "method": method,
                "code": concept("course", code, &course.label),
                "subject": self.writer.subject(),
                "occurrenceDateTime": finding.now.to_string(),
                "performer": device,
                "basis": basis,
                "prediction": predictions,
                "mitigation": if course.unsuitable { "Not to be suggested: beyond what the twin's file allows." } else { "" },
            });
            self.add("RiskAssessment", &format!("risk of {role}"), "jumeau-prediction", body);
        }
    }
}

fn measures(course: &Course) -> Vec<Value> {
    let one = |m: &crate::service::finding::Measured| {
        json!({
            "url": profile("predicted-measure"),
            "extension": [
                { "url": "name", "valueCode": m.name },
                { "url": "label", "valueString": m.label },
                { "url": "median", "valueQuantity": quantity(m.p50, &m.unit) },
                { "url": "interval", "valueRange": { "low": quantity(m.p05, &m.unit), "high": quantity(m.p95, &m.unit) } },
            ],
        })
    };
    let finite = |m: &&crate::service::finding::Measured| m.p05.is_finite() && m.p95.is_finite();
    course.measures.iter().filter(finite).map(one).collect()
}

/// A course over time, written like SampledData: numbers with spaces between them.
fn drawn(curve: &Curve, output: &(String, String)) -> Value {
    let [hours, p05, p50, p95] = columns(curve);
    json!({
        "url": profile("predicted-course"),
        "extension": [
            { "url": "output", "valueCode": output.0 },
            { "url": "unit", "valueString": output.1 },
            { "url": "hours", "valueString": hours },
            { "url": "p05", "valueString": p05 },
            { "url": "p50", "valueString": p50 },
            { "url": "p95", "valueString": p95 },
        ],
    })
}

/// Hours from now, and the percentiles.
pub(super) fn columns(curve: &Curve) -> [String; 4] {
    let list = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v.to_string()).collect::<Vec<_>>().join(" ");
    let mut hours = curve.hours.iter().map(|h| (h * 1000.0).round() / 1000.0);
    let hours = list(&mut hours);
    let [low, middle, high] = [0, 1, 2].map(|place| {
        let mut column = curve
            .band
            .iter()
            .map(|b| rounded(b.get::<usize>(place).copied().unwrap_or_default()));
        list(&mut column)
    });
    [hours, low, middle, high]
}
