//! The GuidanceResponse: whether there is an answer, and where it is.

use serde_json::{Value, json};

use super::{Draft, concept, data::requirement, label};
use crate::{
    cds::advisor::CallError,
    operations::request::Operation,
    service::{
        ask::LeftOut,
        finding::{Finding, Refused, Required, What},
    },
};

impl Draft<'_> {
    /// Writes everything that one twin said.
    pub(super) fn guidance(&mut self, said: &Result<Finding, LeftOut>) {
        let device = self.device();
        match said {
            Err(why) => self.failed(&device, why),
            Ok(finding) => {
                match &finding.what {
                    What::Silent => {
                        let reason = concept("decision", "silent", "There is nothing to advise.");
                        self.respond(
                            &device,
                            Some(finding),
                            json!({ "status": "success", "reasonCode": [reason] }),
                        );
                    }
                    What::Refused(refused) => self.refused(&device, finding, refused),
                    What::Advised(advised) => {
                        let reason = concept("decision", advised.decision, &finding.summary);
                        let more = match self.writer.operation {
                            Operation::Twin => json!({ "outputParameters": self.state(finding, advised) }),
                            _ => {
                                self.risks(&device, finding, advised);
                                json!({ "result": self.options(&device, finding, advised) })
                            }
                        };
                        let mut body = json!({ "status": "success", "reasonCode": [reason] });
                        if let (Some(body), Value::Object(more)) = (body.as_object_mut(), more) {
                            body.extend(more);
                        }
                        self.respond(&device, Some(finding), body);
                    }
                }
                self.provenance(&device, &finding.used);
            }
        }
        // The answer comes first, what it leads to after it.
        if let Some(place) = self
            .entries
            .iter()
            .position(|(_, r)| r["resourceType"] == "GuidanceResponse")
        {
            let first = self.entries.remove(place);
            self.entries.insert(0, first);
        }
    }

    fn refused(&mut self, device: &Value, finding: &Finding, refused: &Refused) {
        let lacking = !refused.required.is_empty();
        let (status, code) = if lacking {
            ("data-required", "incomplete")
        } else {
            ("failure", "business-rule")
        };
        let text = format!("{} {}", refused.what, refused.help);
        let outcome = self.message("warning", code, text.trim());
        let offers = self.offers(device, finding, &refused.offers);
        self.respond(
            device,
            Some(finding),
            json!({
                "status": status,
                "reasonCode": [concept("refusal", refused.reason, &refused.what)],
                "evaluationMessage": [outcome],
                "result": offers,
                "dataRequirement": refused.required.iter().map(requirement).collect::<Vec<_>>(),
            }),
        );
    }

    /// A twin that could not answer, while others did or there is no Patient to speak of.
    fn failed(&mut self, device: &Value, why: &LeftOut) {
        let patient = || Required {
            kind: "Patient",
            element: None,
            codes: Vec::new(),
            within_hours: None,
        };
        let (status, code, text, required) = match why {
            LeftOut::Error(CallError::MissingData(text)) => {
                ("data-required", "incomplete", text.as_str(), Some(patient()))
            }
            LeftOut::Late => ("failure", "timeout", "The twin was not ready in time.", None),
            LeftOut::Lacking(_) => (
                "failure",
                "incomplete",
                "What the twin needs could not be read from the FHIR server.",
                None,
            ),
            LeftOut::Error(CallError::Contradiction(text) | CallError::BadRequest(text)) => {
                ("failure", "invalid", text.as_str(), None)
            }
            LeftOut::Error(CallError::Busy) => (
                "failure",
                "throttled",
                "The server has too much to do; ask again.",
                None,
            ),
            LeftOut::Error(CallError::Internal) => ("failure", "exception", "The twin failed.", None),
        };
        let outcome = self.message("error", code, text);
        self.respond(
            device,
            None,
            json!({
                "status": status,
                "reasonCode": [concept("refusal", why.name(), text)],
                "evaluationMessage": [outcome],
                "dataRequirement": required.iter().map(requirement).collect::<Vec<_>>(),
            }),
        );
        self.provenance(device, &[]);
    }

    fn message(&mut self, severity: &str, code: &str, text: &str) -> Value {
        let id = self.id("message");
        let outcome = json!({
            "resourceType": "OperationOutcome",
            "id": id,
            "meta": { "security": [label()] },
            "issue": [{ "severity": severity, "code": code, "diagnostics": text }],
        });
        self.entries.push((id, outcome));
        json!({ "reference": super::urn(id) })
    }

    /// The resource itself; `body` has what differs.
    fn respond(&mut self, device: &Value, finding: Option<&Finding>, body: Value) {
        let now = finding.map_or(self.writer.recorded, |finding| finding.now);
        let mut common = json!({
            "moduleCanonical": self.module(),
            "subject": self.writer.subject(),
            "occurrenceDateTime": now.to_string(),
            "performer": device,
        });
        let Some(members) = common.as_object_mut() else { return };
        if let Some(identifier) = self.writer.identifier {
            members.insert("requestIdentifier".to_owned(), json!({ "value": identifier }));
        }
        let notes = finding.map(|f| [&f.summary, &f.detail]).into_iter().flatten();
        let notes: Vec<Value> = notes
            .filter(|t| !t.is_empty())
            .map(|text| json!({ "text": text }))
            .collect();
        members.insert("note".to_owned(), json!(notes));
        if let Value::Object(body) = body {
            members.extend(body);
        }
        self.add("GuidanceResponse", "guidance", "jumeau-guidance", common);
    }
}
