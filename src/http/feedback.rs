//! `POST /cds-services/{id}/feedback`. Specification: CDS Hooks 2.0.1, "Feedback".

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use actix_web::{HttpRequest, HttpResponse, ResponseError, http::StatusCode, web};
use tracing::Instrument;

use super::{edge::Edge, error::Failure, guard::caller, headers::request_id, limits::read_body};
use crate::{auth::LOCAL, cds::feedback};

/// Longest body: feedback is a few hundred bytes for each card.
const LIMIT: usize = 1 << 20;
/// Longest time for storing. After it the client is told to try again: the same feedback twice does no harm.
const PATIENCE: Duration = Duration::from_secs(5);

/// Stores feedback and says 200 once it is safe. Cards that we do not know of are stored as well: we may have restarted.
pub async fn take(request: HttpRequest, payload: web::Payload, edge: web::Data<Edge>) -> HttpResponse {
    let started = Instant::now();
    let id = request_id(&request);
    let mut service = "";
    let (status, response) = match answer(&request, payload, &edge, &mut service).await {
        // An empty object, since some clients parse whatever comes with a JSON content type, or without one.
        Ok(()) => (
            StatusCode::OK,
            HttpResponse::Ok().content_type("application/json").body("{}"),
        ),
        Err(failure) => (failure.status, failure.error_response()),
    };
    let ms = started.elapsed().as_millis();
    tracing::info!(request = %id, service, status = status.as_u16(), ms, "feedback");
    response
}

async fn answer<'e>(
    request: &HttpRequest,
    payload: web::Payload,
    edge: &'e web::Data<Edge>,
    service: &mut &'e str,
) -> Result<(), Failure> {
    let tenant = caller(request).map_or_else(|| LOCAL.into(), |caller| caller.tenant);
    let (known, _) = edge
        .face(caller(request).as_ref())
        .service(request.match_info().query("id"))
        .ok_or_else(Failure::no_service)?;
    *service = known;
    let limit = LIMIT.min(edge.settings.body_limit);
    let body = read_body(request, payload, &edge.budget, limit, edge.settings.body_timeout).await?;
    let (entries, share) = body.parse(feedback::parse).await?;
    // In a task of its own: storing must not stop half-way because the client hung up, and a panic ends there.
    let (advisor, name) = (Arc::clone(&edge.advisor), known.to_owned());
    let id = request_id(request);
    let span = tracing::info_span!("feedback", request = %id, service = known);
    let storing = async move {
        let result = advisor.feedback(&tenant, &name, entries).await;
        drop(share);
        result
    };
    match tokio::time::timeout(PATIENCE, edge.spawn(storing.instrument(span))).await {
        Ok(Ok(result)) => Ok(result?),
        Ok(Err(_)) => {
            tracing::error!(request = %id, service = known, "storing feedback panicked");
            Err(Failure::internal())
        }
        Err(_) => {
            tracing::error!(request = %id, service = known, "storing feedback takes too long");
            Err(Failure::busy())
        }
    }
}
