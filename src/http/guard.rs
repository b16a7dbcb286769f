//! Who may call which path: all paths need a token, but those that tell nothing and those that browsers open.
//! Specification: CDS Hooks 2.0.1, "Trusting CDS Clients"; RFC 6750, section 3.

use std::sync::Arc;

use actix_web::{
    Error, HttpMessage, HttpRequest, HttpResponse, ResponseError,
    body::{BoxBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::{StatusCode, header},
    middleware::Next,
    web,
};

use super::{edge::Edge, error::Failure, headers::request_id};
use crate::{
    auth::{Caller, Refusal, Verifier},
    metrics,
};

/// Paths that need no token: probes, documents that are the same for everybody, public keys.
const OPEN: [&str; 5] = ["/health", "/ready", "/metrics", "/openapi.json", "/fhir/metadata"];
/// Beginnings of such paths. Pages of the SMART app have sessions of their own.
const OPEN_BELOW: [&str; 2] = ["/.well-known/", "/smart/"];

/// Whether tokens are asked for.
#[derive(Clone)]
pub enum Guard {
    /// No: for demonstrations, or where a gateway has done so.
    Open,
    /// Yes.
    Tokens(Arc<Verifier>),
}

/// The caller of a request, when callers are asked who they are.
#[must_use]
pub fn caller(request: &HttpRequest) -> Option<Caller> {
    request.extensions().get::<Caller>().cloned()
}

/// The middleware. A refusal is 401 without a reason; the reason is in the log, in a word of ours.
///
/// # Errors
/// Those of the handlers.
pub async fn guard<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let guard = request.app_data::<web::Data<Edge>>().map(|edge| edge.guard.clone());
    let verifier = match guard {
        Some(Guard::Open) => return Ok(next.call(request).await?.map_into_boxed_body()),
        Some(Guard::Tokens(verifier)) => verifier,
        // A mistake of ours must not open the door.
        None => return Ok(request.into_response(Failure::internal().error_response())),
    };
    if is_open(request.path()) {
        return Ok(next.call(request).await?.map_into_boxed_body());
    }
    let checked = match token(&request) {
        Some(token) => verifier.verify(&token, request.path()).await,
        None => Err(Refusal::Absent),
    };
    match checked {
        Ok(caller) => {
            request.extensions_mut().insert(caller);
            Ok(next.call(request).await?.map_into_boxed_body())
        }
        Err(refusal) => {
            let id = request_id(request.request());
            let why = refusal.name();
            tracing::warn!(request = %id, why, "a call was refused");
            metrics::refused(why);
            let answer = match refusal {
                Refusal::Unknown => Failure::of_status(StatusCode::SERVICE_UNAVAILABLE).error_response(),
                _ => HttpResponse::Unauthorized()
                    .insert_header((header::WWW_AUTHENTICATE, "Bearer"))
                    .finish(),
            };
            Ok(request.into_response(answer))
        }
    }
}

fn is_open(path: &str) -> bool {
    OPEN.contains(&path) || OPEN_BELOW.iter().any(|start| path.starts_with(start))
}

/// The token of the one `Authorization` header: in the query or in a form it would end up in logs (RFC 9700, section 4.3.2).
fn token(request: &ServiceRequest) -> Option<String> {
    let mut values = request.headers().get_all(header::AUTHORIZATION);
    let (Some(value), None) = (values.next(), values.next()) else {
        return None;
    };
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim().to_owned())
}
