//! `GET /cds-services`. Specification: CDS Hooks 2.0.1, "Discovery".

use actix_web::{HttpRequest, HttpResponse, http::header, web};

use super::{edge::Edge, guard::caller};

/// Lists the services that the caller sees.
pub async fn list(request: HttpRequest, edge: web::Data<Edge>) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, "application/json"))
        .body(edge.face(caller(&request).as_ref()).discovery.clone())
}
