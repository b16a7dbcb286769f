//! What every request and every answer goes through: length of the head, request id, OperationOutcome for bare errors,
//! security headers, and cross-origin sharing.

use std::panic::AssertUnwindSafe;

use actix_cors::Cors;
use actix_web::{
    Error, HttpMessage, HttpRequest, ResponseError,
    body::{BoxBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::{
        Method, StatusCode,
        header::{self, HeaderMap, HeaderName, HeaderValue},
    },
    middleware::Next,
};
use futures_util::FutureExt;
use uuid::Uuid;

use super::{
    error::Failure,
    idle::Busy,
    settings::{CorsSettings, Origins},
};

/// Longest sum of header names and values. Tokens take up to 16 KiB; the framework itself stops at 128 KiB.
const HEAD_LIMIT: usize = 32 * 1024;
/// Longest path with query.
const TARGET_LIMIT: usize = 8 * 1024;

/// Set on every answer and in every log line of a call. Ours, never the client's.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Headers that an answer gets unless the handler set its own, as demonstration pages do.
const SECURITY: [(HeaderName, &str); 5] = [
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::CACHE_CONTROL, "no-store"),
    (header::REFERRER_POLICY, "no-referrer"),
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    ),
    (HeaderName::from_static("cross-origin-resource-policy"), "cross-origin"),
];

#[derive(Clone, Copy)]
struct RequestId(Uuid);

/// The id of this request, for the log.
#[must_use]
pub fn request_id(request: &HttpRequest) -> Uuid {
    request.extensions().get::<RequestId>().map_or(Uuid::nil(), |id| id.0)
}

/// The outermost middleware.
///
/// # Errors
/// Only after a panic in a handler, as a [`Failure`].
pub async fn finish<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let _busy = request.conn_data().map(Busy::start);
    let id = Uuid::new_v4();
    request.extensions_mut().insert(RequestId(id));
    let mut response = match too_long(&request) {
        Some(failure) => request.into_response(failure.error_response()),
        None => match AssertUnwindSafe(next.call(request)).catch_unwind().await {
            Ok(outcome) => outcome?.map_into_boxed_body(),
            Err(_) => {
                tracing::error!(request = %id, "a handler panicked");
                return Err(Failure::internal().into());
            }
        },
    };
    let status = response.status();
    // 401 stays bare: it must not say why (best practices of CDS Hooks).
    if (status.is_client_error() || status.is_server_error())
        && status != StatusCode::UNAUTHORIZED
        && !is_told(&response)
    {
        response = explained(response);
    }
    let headers = response.headers_mut();
    secure(headers);
    if let Ok(value) = HeaderValue::from_str(&id.hyphenated().to_string()) {
        headers.insert(REQUEST_ID, value);
    }
    Ok(response)
}

/// Adds the security headers that are not there yet.
pub(super) fn secure(headers: &mut HeaderMap) {
    for (name, value) in SECURITY {
        if !headers.contains_key(&name) {
            headers.insert(name, HeaderValue::from_static(value));
        }
    }
}

fn too_long(request: &ServiceRequest) -> Option<Failure> {
    let target = request.uri().path_and_query().map_or(0, |target| target.as_str().len());
    if target > TARGET_LIMIT {
        return Some(Failure::of_status(StatusCode::URI_TOO_LONG));
    }
    let head: usize = request
        .headers()
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len())
        .sum();
    (head > HEAD_LIMIT).then(|| Failure::of_status(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE))
}

/// Whether a handler of ours wrote a body: JSON, or a page for people. The framework writes plain text.
fn is_told<B>(response: &ServiceResponse<B>) -> bool {
    let content_type = response.headers().get(header::CONTENT_TYPE);
    let told: [&[u8]; 3] = [b"application/json", b"application/fhir+json", b"text/html"];
    content_type.is_some_and(|value| told.iter().any(|kind| value.as_bytes().starts_with(kind)))
}

/// The same error with an OperationOutcome for its body. Headers, such as Allow and those of CORS, stay.
fn explained(response: ServiceResponse<BoxBody>) -> ServiceResponse<BoxBody> {
    let (request, bare) = response.into_parts();
    let mut full = Failure::of_status(bare.status()).error_response();
    copy_headers(bare.headers(), full.headers_mut());
    ServiceResponse::new(request, full)
}

fn copy_headers(from: &HeaderMap, to: &mut HeaderMap) {
    for (name, value) in from {
        if *name != header::CONTENT_TYPE && *name != header::CONTENT_LENGTH && *name != header::CONTENT_ENCODING {
            to.append(name.clone(), value.clone());
        }
    }
}

/// The middleware for cross-origin calls: the public sandbox and browser apps send `Authorization`, which needs a preflight
/// even for discovery. Answers to other origins are the same without the headers, so that servers are not affected.
pub fn cors(settings: &CorsSettings) -> Cors {
    let cors = Cors::default()
        .allowed_methods([Method::GET, Method::POST])
        .allowed_headers([
            header::AUTHORIZATION,
            header::CONTENT_TYPE,
            header::ACCEPT,
            header::ACCEPT_LANGUAGE,
        ])
        .expose_headers([REQUEST_ID, header::RETRY_AFTER, header::ALLOW])
        .block_on_origin_mismatch(false)
        .max_age(3600);
    match &settings.origins {
        Origins::Any => cors.allow_any_origin().send_wildcard(),
        Origins::List(list) => list.iter().fold(cors, |cors, origin| cors.allowed_origin(origin)),
    }
}
