//! `GET /cds-services`. Specification: CDS Hooks 2.0.1, "Discovery".

use actix_web::{HttpResponse, http::header, web};

use super::edge::Edge;

/// Lists the services; the same bytes for everyone.
pub async fn list(edge: web::Data<Edge>) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, "application/json"))
        .body(edge.discovery.clone())
}
