//! The RequestGroup: ranked options of which at most one is chosen, each a draft order that nobody has placed.

use serde_json::{Value, json};

use super::{Draft, concept};
use crate::{
    cds::card::Indicator,
    service::finding::{Advised, Chance, Course, Finding, Kind, Offer},
};

impl Draft<'_> {
    /// Options and further orders; null when there are none.
    pub(super) fn options(&mut self, device: &Value, finding: &Finding, advised: &Advised) -> Value {
        let citation: Vec<Value> = advised
            .sources
            .iter()
            .map(|source| json!({ "type": "citation", "display": source }))
            .collect();
        let mut actions = Vec::new();
        let changes = advised.courses.iter().filter(|course| course.kind == Kind::Change);
        for (rank, course) in (1..).zip(changes) {
            let Some(request) = &course.request else { continue };
            let resource = self.order(&format!("option {rank}"), request);
            let code = if course.recommended {
                "recommended"
            } else {
                "alternative"
            };
            actions.push(json!({
                "prefix": rank.to_string(),
                "title": course.label,
                "description": chances(course),
                "code": [concept("option", code, &course.label)],
                "documentation": citation,
                "resource": resource,
            }));
        }
        let group = json!({
            "title": "Options, best first",
            "groupingBehavior": "visual-group",
            "selectionBehavior": "at-most-one",
            "precheckBehavior": "no",
            "action": actions,
        });
        let groups = if actions.is_empty() { Vec::new() } else { vec![group] };
        self.group(device, finding, groups, &advised.offers)
    }

    /// Orders that would help where nothing is advised; null when there are none.
    pub(super) fn offers(&mut self, device: &Value, finding: &Finding, offers: &[Offer]) -> Value {
        self.group(device, finding, Vec::new(), offers)
    }

    fn group(&mut self, device: &Value, finding: &Finding, mut groups: Vec<Value>, offers: &[Offer]) -> Value {
        let further: Vec<Value> = (1..)
            .zip(offers)
            .map(|(n, offer): (u32, _)| {
                let resource = self.order(&format!("offer {n}"), &offer.resource);
                json!({ "title": offer.label, "resource": resource })
            })
            .collect();
        if !further.is_empty() {
            groups.push(json!({
                "title": "Further orders",
                "groupingBehavior": "visual-group",
                "selectionBehavior": "any",
                "precheckBehavior": "no",
                "action": further,
            }));
        }
        if groups.is_empty() {
            return Value::Null;
        }
        // As the ConceptMap jumeau-indicator-priority says.
        let priority = match finding.indicator {
            Indicator::Info => "routine",
            Indicator::Warning => "urgent",
            Indicator::Critical => "stat",
        };
        let body = json!({
            "instantiatesCanonical": [self.module()],
            "status": "draft",
            "intent": "proposal",
            "priority": priority,
            "subject": self.writer.subject(),
            "authoredOn": finding.now.to_string(),
            "author": device,
            "action": groups,
        });
        self.add("RequestGroup", "options", "jumeau-options", body)
    }

    /// A draft order as a proposal: an order only when a clinician makes it one.
    fn order(&mut self, role: &str, resource: &Value) -> Value {
        let mut body = resource.clone();
        let kind = body["resourceType"].as_str().unwrap_or_default().to_owned();
        if let Some(members) = body.as_object_mut() {
            members.insert("intent".to_owned(), json!("proposal"));
            members.insert("subject".to_owned(), self.writer.subject());
        }
        let profile = match kind.as_str() {
            "ServiceRequest" => "jumeau-level-draft",
            _ => "jumeau-option",
        };
        self.add(&kind, role, profile, body)
    }
}

/// Chances in a line.
fn chances(course: &Course) -> String {
    let one = |chance: &Chance| format!("{}: {:.0} %", chance.of, chance.probability * 100.0);
    course.chances.iter().map(one).collect::<Vec<_>>().join("; ")
}
