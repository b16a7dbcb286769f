//! What a twin found, as FHIR resources in a Bundle: a GuidanceResponse, and what it leads to.
//!
//! Nothing is contained, so that engines can route and store each resource by itself; they refer to each other by `fullUrl`.

mod data;
mod guidance;
mod options;
mod risk;
mod state;

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use url::Url;
use uuid::{Builder, Uuid};

use super::request::Operation;
use crate::{model::catalog::Definition, patient::facts::Source, service::ask::Answer};

/// Where our own definitions live.
pub const CANONICAL: &str = "https://jumeau.org/fhir";

/// What all resources of one answer have in common.
pub struct Writer<'a> {
    /// What was asked.
    pub operation: Operation,
    /// Name that the caller gave to the request.
    pub identifier: Option<&'a str>,
    /// Whose request it is: names of requests of different tenants are different names.
    pub tenant: &'a str,
    /// Logical id of the patient.
    pub patient: &'a str,
    /// The server that the record lies on; none where it was sent along.
    pub server: Option<&'a Url>,
    /// When the answer was written.
    pub recorded: Timestamp,
}

/// The resources of one twin's answer.
struct Draft<'a> {
    writer: &'a Writer<'a>,
    twin: &'a Definition,
    seed: String,
    entries: Vec<(Uuid, Value)>,
}

impl Writer<'_> {
    /// The Bundle of all twins' answers.
    #[must_use]
    pub fn bundle(&self, answers: &[Answer]) -> Value {
        let fresh = Uuid::new_v4().to_string();
        let seed = self.identifier.unwrap_or(&fresh);
        let mut entries: Vec<Value> = Vec::new();
        for answer in answers {
            let mut draft = Draft {
                writer: self,
                twin: &answer.twin,
                seed: format!("{seed}\n{}", answer.twin.file.id),
                entries: Vec::new(),
            };
            draft.guidance(&answer.said);
            entries.extend(draft.entries.into_iter().map(|(id, resource)| {
                let url = urn(id);
                json!({ "fullUrl": url, "resource": resource })
            }));
        }
        if entries.is_empty() {
            entries.push(json!({ "resource": nothing() }));
        }
        json!({
            "resourceType": "Bundle",
            "meta": { "profile": [profile("jumeau-answer")], "security": [label()] },
            "type": "collection",
            "timestamp": self.recorded.to_string(),
            "entry": entries,
        })
    }

    fn reference(&self, source: &Source) -> Value {
        let plain = !source.reference.contains(':') && !source.reference.starts_with('#');
        let mut text = source.reference.clone();
        if let Some(version) = source.version.as_ref().filter(|_| plain) {
            text = format!("{text}/_history/{version}");
        }
        if let Some(server) = self.server.filter(|_| plain) {
            text = format!("{}/{text}", server.as_str().trim_end_matches('/'));
        }
        json!({ "reference": text })
    }

    fn subject(&self) -> Value {
        self.reference(&Source {
            reference: format!("Patient/{}", self.patient),
            version: None,
        })
    }
}

impl Draft<'_> {
    /// The id of a resource of this answer. Where the caller named the request, the same request has the same ids.
    fn id(&self, role: &str) -> Uuid {
        let mut hash = Sha256::new();
        for part in [self.writer.tenant, self.writer.patient, self.seed.as_str(), role] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part.as_bytes());
        }
        let digest: [u8; 32] = hash.finalize().into();
        let bytes = digest.first_chunk::<16>().copied().unwrap_or_default();
        Builder::from_custom_bytes(bytes).into_uuid()
    }

    /// Adds a resource; `body` is what it has beside type, id and meta.
    fn add(&mut self, kind: &str, role: &str, profiled: &str, body: Value) -> Value {
        let id = self.id(role);
        let mut resource = Map::new();
        resource.insert("resourceType".to_owned(), json!(kind));
        resource.insert("id".to_owned(), json!(id));
        resource.insert(
            "meta".to_owned(),
            json!({ "profile": [profile(profiled)], "security": [label()] }),
        );
        if let Value::Object(members) = body {
            let ours = ["resourceType", "id", "meta"];
            resource.extend(
                members
                    .into_iter()
                    .filter(|(name, v)| !ours.contains(&name.as_str()) && !is_empty(v)),
            );
        }
        self.entries.push((id, Value::Object(resource)));
        json!({ "reference": urn(id) })
    }

    /// The twin in this version, as the canonical of a Library.
    fn module(&self) -> String {
        format!("{CANONICAL}/Library/{}|{}", self.twin.file.id, self.twin.file.version)
    }

    /// What answers, with the version and SHA-256 of every model.
    fn device(&mut self) -> Value {
        let kind = |code: &str| json!({ "coding": [{ "system": format!("{CANONICAL}/CodeSystem/version-kind"), "code": code }] });
        let mut versions = vec![
            json!({ "type": kind("software"), "value": env!("CARGO_PKG_VERSION") }),
            json!({ "type": kind("twin"), "component": component(&self.twin.file.id), "value": self.twin.file.version }),
            json!({ "type": kind("twin-sha256"), "component": component(&self.twin.file.id), "value": self.twin.sha256 }),
        ];
        for model in &self.twin.models {
            versions.push(json!({ "type": kind("model"), "component": component(&model.id), "value": model.version }));
            versions.push(
                json!({ "type": kind("model-sha256"), "component": component(&model.id), "value": model.sha256 }),
            );
        }
        let name = format!("Jumeau: {}", self.twin.file.title.en);
        self.add(
            "Device",
            "device",
            "jumeau-device",
            json!({
                "status": "active",
                "deviceName": [{ "name": name, "type": "user-friendly-name" }],
                "version": versions,
            }),
        )
    }

    /// Says of everything so far who made it from what.
    fn provenance(&mut self, device: &Value, used: &[Source]) {
        let target: Vec<Value> = self
            .entries
            .iter()
            .filter(|(_, resource)| resource["resourceType"] != "Device")
            .map(|(id, _)| json!({ "reference": urn(*id) }))
            .collect();
        let entity = |source: &Source| json!({ "role": "source", "what": self.writer.reference(source) });
        let entities: Vec<Value> = used.iter().map(entity).collect();
        let types = "http://terminology.hl7.org/CodeSystem/provenance-participant-type";
        let recorded = self.writer.recorded.to_string();
        self.add(
            "Provenance",
            "provenance",
            "jumeau-provenance",
            json!({
                "target": target,
                "recorded": recorded,
                "agent": [{ "type": { "coding": [{ "system": types, "code": "assembler" }] }, "who": device }],
                "entity": entities,
            }),
        );
    }
}

/// Where no twin had anything to say.
fn nothing() -> Value {
    let text = "The patient is on no treatment of which there is a twin. Name a twin by the parameter twin to ask it all the same.";
    json!({
        "resourceType": "OperationOutcome",
        "meta": { "security": [label()] },
        "issue": [{ "severity": "information", "code": "informational", "diagnostics": text }],
    })
}

fn component(id: &str) -> Value {
    json!({ "system": format!("{CANONICAL}/model"), "value": id })
}

fn urn(id: Uuid) -> String {
    format!("urn:uuid:{id}")
}

fn profile(name: &str) -> String {
    format!("{CANONICAL}/StructureDefinition/{name}")
}

/// That what is said comes from an algorithm.
fn label() -> Value {
    json!({
        "system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue",
        "code": "AIAST",
        "display": "Artificial Intelligence asserted",
    })
}

fn concept(system: &str, code: &str, text: &str) -> Value {
    json!({ "coding": [{ "system": format!("{CANONICAL}/CodeSystem/{system}"), "code": code }], "text": text })
}

/// To four significant figures; more is more than is known.
fn rounded(value: f64) -> f64 {
    if value == 0.0 || !value.is_finite() {
        return 0.0;
    }
    let scale = 10f64.powi(3 - crate::wording::magnitude(value));
    (value * scale).round() / scale
}

/// A quantity in UCUM.
fn quantity(value: f64, unit: &str) -> Value {
    let code = if unit.is_empty() { "1" } else { unit };
    let words = Some(crate::wording::unit(code)).filter(|words| !words.is_empty());
    json!({
        "value": rounded(value),
        "unit": words.as_deref().unwrap_or(code),
        "system": "http://unitsofmeasure.org",
        "code": code,
    })
}

/// FHIR forbids empty members.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
        _ => false,
    }
}
