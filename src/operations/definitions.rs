//! What there is, described: the CapabilityStatement, and the definitions of `profiles/`.

use std::{collections::BTreeMap, sync::OnceLock};

use actix_web::{
    HttpRequest, HttpResponse,
    http::{StatusCode, header},
    web,
};
use include_dir::{Dir, include_dir};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Operations, base_of, caller_of,
    library::library,
    negotiate,
    reply::{FHIR_JSON, Reply, Written},
    request::Operation,
    write::CANONICAL,
};
use crate::http::error::Failure;

static PROFILES: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/profiles");

/// Definitions by type and id.
fn definitions() -> &'static BTreeMap<(String, String), &'static str> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Named {
        resource_type: String,
        id: String,
    }
    static FOUND: OnceLock<BTreeMap<(String, String), &'static str>> = OnceLock::new();
    FOUND.get_or_init(|| {
        let texts = PROFILES.files().filter_map(|file| file.contents_utf8());
        let named = texts.filter_map(|text| Some((serde_json::from_str::<Named>(text).ok()?, text)));
        named
            .map(|(named, text)| ((named.resource_type, named.id), text))
            .collect()
    })
}

/// `GET /fhir/metadata`.
pub async fn metadata(request: HttpRequest, operations: web::Data<Operations>) -> HttpResponse {
    let base = base_of(&request);
    let written = match negotiate::json(&request) {
        Ok(()) => Written::of(&Reply::ok(capabilities(&base, operations.started))),
        Err(failure) => failure.into(),
    };
    written.respond(&base)
}

/// `GET /fhir/{type}/{id}` of a definition or a twin.
pub async fn definition(
    request: HttpRequest,
    path: web::Path<(String, String)>,
    operations: web::Data<Operations>,
) -> HttpResponse {
    let base = base_of(&request);
    if let Err(failure) = negotiate::json(&request) {
        return Written::from(failure).respond(&base);
    }
    let named = path.into_inner();
    if let Some(text) = definitions().get(&named) {
        return HttpResponse::Ok()
            .insert_header((header::CONTENT_TYPE, FHIR_JSON))
            .body(*text);
    }
    let (kind, id) = named;
    let twin = operations
        .advisor
        .twins(&caller_of(&request).tenant)
        .find(|twin| kind == "Library" && twin.file.id == id);
    let written = match twin {
        Some(twin) => Written::of(&Reply::ok(library(twin))),
        None => {
            let text = "There is no such definition; GET /fhir/metadata lists the operations, whose definitions name the rest.";
            Failure::new(StatusCode::NOT_FOUND, "not-found", text).into()
        }
    };
    written.respond(&base)
}

/// What this server can do. Specification: FHIR R4, CapabilityStatement.
fn capabilities(base: &str, started: jiff::Timestamp) -> Value {
    let operations: Vec<Value> = Operation::ALL
        .iter()
        .map(|operation| {
            let code = operation.code();
            json!({ "name": code, "definition": format!("{CANONICAL}/OperationDefinition/{code}") })
        })
        .collect();
    let mut kinds: Vec<&str> = definitions().keys().map(|(kind, _)| kind.as_str()).collect();
    kinds.push("Library");
    kinds.dedup();
    let readable = kinds
        .into_iter()
        .map(|kind| json!({ "type": kind, "interaction": [{ "code": "read" }] }));
    let resources: Vec<Value> = [json!({ "type": "Patient", "operation": operations })]
        .into_iter()
        .chain(readable)
        .collect();
    json!({
        "resourceType": "CapabilityStatement",
        "status": "active",
        "experimental": true,
        "date": started.to_string(),
        "publisher": "Jumeau",
        "kind": "instance",
        "software": { "name": "Jumeau", "version": env!("CARGO_PKG_VERSION") },
        "implementation": { "description": "Patient digital twins: options for a treatment, ranked and predicted", "url": format!("{base}/fhir") },
        "fhirVersion": "4.0.1",
        "format": ["application/fhir+json", "json"],
        "rest": [{
            "mode": "server",
            "documentation": "Operations only: no clinical record is kept here. Requests of many patients: a batch, with Prefer: respond-async.",
            "resource": resources,
            "interaction": [{ "code": "batch" }],
            "operation": operations,
        }],
    })
}
