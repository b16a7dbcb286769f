//! Probes for whatever watches over the process.

use actix_web::{HttpResponse, http::header, web};

use super::edge::Edge;

/// `GET /health`: the process answers.
pub async fn alive() -> HttpResponse {
    status(HttpResponse::Ok(), r#"{"status":"alive"}"#)
}

/// `GET /ready`: calls can be answered; 503 until then, which is not an error and so no OperationOutcome.
pub async fn ready(edge: web::Data<Edge>) -> HttpResponse {
    if edge.advisor.ready() {
        status(HttpResponse::Ok(), r#"{"status":"ready"}"#)
    } else {
        status(HttpResponse::ServiceUnavailable(), r#"{"status":"starting"}"#)
    }
}

fn status(mut response: actix_web::HttpResponseBuilder, body: &'static str) -> HttpResponse {
    response
        .insert_header((header::CONTENT_TYPE, "application/json"))
        .body(body)
}
