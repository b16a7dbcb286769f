//! The twin itself, as `Parameters`: models with their votes and this patient's parameters, the measurements it was fitted to, and the
//! course until now.

use serde_json::{Value, json};

use super::{CANONICAL, Draft, quantity, risk::columns, rounded};
use crate::service::finding::{Advised, Finding, Level, Vote};

impl Draft<'_> {
    /// The twin.
    pub(super) fn state(&mut self, finding: &Finding, advised: &Advised) -> Value {
        let twin = &advised.twin;
        let mut parameters = vec![
            json!({ "name": "twin", "valueCanonical": self.module() }),
            json!({ "name": "now", "valueInstant": finding.now.to_string() }),
            json!({ "name": "personal", "valueBoolean": twin.personal }),
            json!({ "name": "doses", "valueUnsignedInt": twin.doses }),
        ];
        parameters.extend(twin.models.iter().map(model));
        parameters.extend(twin.levels.iter().map(|level| self.level(level)));
        if let Some(past) = &twin.past {
            let [hours, p05, p50, p95] = columns(past);
            let (output, unit) = &twin.output;
            let part = |name: &str, text: &str| json!({ "name": name, "valueString": text });
            parameters.push(json!({ "name": "course", "part": [
                { "name": "output", "valueCode": output },
                part("unit", unit), part("hours", &hours), part("p05", &p05), part("p50", &p50), part("p95", &p95),
            ] }));
        }
        self.add("Parameters", "twin", "jumeau-state", json!({ "parameter": parameters }))
    }

    fn level(&self, level: &Level) -> Value {
        let mut value = quantity(level.value, &level.unit);
        if let (Some(comparator), Some(value)) = (level.comparator, value.as_object_mut()) {
            value.insert("comparator".to_owned(), json!(comparator));
        }
        json!({ "name": "measurement", "part": [
            { "name": "output", "valueCode": level.output },
            { "name": "time", "valueInstant": level.time.to_string() },
            { "name": "value", "valueQuantity": value },
            { "name": "used", "valueBoolean": level.used },
            { "name": "source", "valueReference": self.writer.reference(&level.source) },
        ] })
    }
}

fn model(vote: &Vote) -> Value {
    let mut parts = vec![
        json!({ "name": "id", "valueIdentifier": { "system": format!("{CANONICAL}/model"), "value": vote.id } }),
        json!({ "name": "version", "valueString": vote.version }),
        json!({ "name": "sha256", "valueString": vote.sha256 }),
        json!({ "name": "weight", "valueDecimal": rounded(vote.weight) }),
    ];
    if !vote.doi.is_empty() {
        parts.push(json!({ "name": "doi", "valueUri": format!("https://doi.org/{}", vote.doi) }));
    }
    parts.extend(vote.parameters.iter().map(|p| {
        json!({ "name": "parameter", "part": [
            { "name": "name", "valueString": p.name },
            { "name": "personal", "valueQuantity": quantity(p.personal, &p.unit) },
            { "name": "typical", "valueQuantity": quantity(p.typical, &p.unit) },
        ] })
    }));
    json!({ "name": "model", "part": parts })
}
