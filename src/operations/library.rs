//! A twin as a FHIR Library: what `moduleCanonical` leads to.

use serde_json::{Value, json};

use super::write::CANONICAL;
use crate::model::{catalog::Definition, twin_file::Status};

/// The Library of a twin: its version, its models with SHA-256 and publication, and what it reads.
#[must_use]
pub fn library(twin: &Definition) -> Value {
    let file = &twin.file;
    let digest =
        |id: &str, sha256: &str| json!({ "system": format!("{CANONICAL}/sha256"), "value": format!("{id}:{sha256}") });
    let models = twin.models.iter();
    let identifiers: Vec<Value> = [digest(&file.id, &twin.sha256)]
        .into_iter()
        .chain(models.clone().map(|model| digest(&model.id, &model.sha256)))
        .collect();
    let mut related = vec![json!({ "type": "documentation", "url": file.link })];
    for model in models {
        let mut one =
            json!({ "type": "derived-from", "label": model.id, "display": format!("{} {}", model.id, model.version) });
        if let (Some(members), false) = (one.as_object_mut(), model.doi.is_empty()) {
            members.insert("url".to_owned(), json!(format!("https://doi.org/{}", model.doi)));
        }
        related.push(one);
    }
    let codes = |codes: &[crate::patient::needs::Code]| -> Vec<Value> {
        codes
            .iter()
            .map(|code| json!({ "system": code.system, "code": code.code }))
            .collect()
    };
    let measured = file.needs.measured.iter().filter(|measured| !measured.codes.is_empty());
    let required: Vec<Value> = measured
        .map(|measured| json!({ "type": "Observation", "codeFilter": [{ "path": "code", "code": codes(&measured.codes) }] }))
        .collect();
    let mut out = json!({
        "resourceType": "Library",
        "id": file.id,
        "url": format!("{CANONICAL}/Library/{}", file.id),
        "identifier": identifiers,
        "version": file.version,
        "name": file.id.replace('-', "_"),
        "title": file.title.en,
        "status": "active",
        "experimental": file.status != Status::Active,
        "type": { "coding": [{ "system": "http://terminology.hl7.org/CodeSystem/library-type", "code": "logic-library" }] },
        "description": file.about.en,
        "relatedArtifact": related,
    });
    if let (Some(members), false) = (out.as_object_mut(), required.is_empty()) {
        members.insert("dataRequirement".to_owned(), json!(required));
    }
    out
}
