//! `GET /openapi.json`: what is neither FHIR nor CDS Hooks, described. Specification: OpenAPI 3.1.0.

use actix_web::{HttpResponse, http::header};

/// The document. It is the same for everybody.
pub const DOCUMENT: &str = include_str!("openapi.json");

/// Gives the document.
pub async fn document() -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, "application/json"))
        .body(DOCUMENT)
}
