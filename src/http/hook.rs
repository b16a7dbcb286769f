//! `POST /cds-services/{id}`. Specification: CDS Hooks 2.0.1, "Calling a CDS Service".

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use actix_web::{
    HttpRequest, HttpResponse, ResponseError,
    http::{StatusCode, header},
    web,
};
use tokio::sync::OwnedSemaphorePermit;
use tracing::Instrument;

use super::{
    edge::Edge,
    error::Failure,
    guard::caller,
    headers::request_id,
    language,
    limits::{Share, read_body},
};
use crate::{
    cds::{
        advisor::CallError,
        card::Response,
        faults::faults,
        request::{Envelope, HookCall},
    },
    metrics::{self, Shed},
};

/// Time kept back from the deadline for writing the answer.
const MARGIN: Duration = Duration::from_millis(100);

/// Answers one hook call and logs how long each phase took, without anything that was sent.
pub async fn call(request: HttpRequest, payload: web::Payload, edge: web::Data<Edge>) -> HttpResponse {
    let id = request_id(&request);
    let language = language::of_request(&request);
    let mut log = Log::new();
    let answered = answer(&request, payload, &edge, language, &mut log).await;
    let written = log.timed(answered.and_then(|response| {
        serde_json::to_vec(&response).map_err(|error| {
            tracing::error!(request = %id, %error, "cards could not be written as JSON");
            Failure::internal()
        })
    }));
    let (status, response) = match written {
        Ok(body) => {
            let mut ok = HttpResponse::Ok();
            ok.insert_header((header::CONTENT_TYPE, "application/json"));
            ok.insert_header((header::CONTENT_LANGUAGE, language));
            (StatusCode::OK, ok.body(body))
        }
        Err(failure) => (failure.status, failure.error_response()),
    };
    let [read_ms, parse_ms, wait_ms, advise_ms, write_ms] = log.phases;
    let (service, hook, status) = (log.service, log.hook, status.as_u16());
    let ms = milliseconds(log.started.elapsed());
    tracing::info!(request = %id, service, hook, status, ms, read_ms, parse_ms, wait_ms, advise_ms, write_ms, "hook call");
    response
}

/// What is told of a call in the log: names of ours only.
struct Log<'e> {
    service: &'e str,
    hook: &'static str,
    started: Instant,
    last: Instant,
    phases: [f64; 5],
    at: usize,
}

impl Log<'_> {
    fn new() -> Self {
        let now = Instant::now();
        Self {
            service: "",
            hook: "",
            started: now,
            last: now,
            phases: [0.0; 5],
            at: 0,
        }
    }

    /// Ends a phase and passes its result on.
    fn timed<T>(&mut self, result: T) -> T {
        let now = Instant::now();
        if let Some(phase) = self.phases.get_mut(self.at) {
            *phase = milliseconds(now - self.last);
        }
        self.at += 1;
        self.last = now;
        result
    }
}

/// Milliseconds to two decimals.
fn milliseconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e5).round() / 1e2
}

async fn answer<'e>(
    request: &HttpRequest,
    payload: web::Payload,
    edge: &'e web::Data<Edge>,
    language: &'static str,
    log: &mut Log<'e>,
) -> Result<Response, Failure> {
    let caller = caller(request);
    let (service, hooks) = edge
        .face(caller.as_ref())
        .service(request.match_info().query("id"))
        .ok_or_else(Failure::no_service)?;
    log.service = service;
    let settings = &edge.settings;
    let body = read_body(
        request,
        payload,
        &edge.budget,
        settings.body_limit,
        settings.body_timeout,
    )
    .await;
    let body = log.timed(body)?;
    // The clock starts here: how long the client took to send is not ours to make up for.
    let deadline = Instant::now() + settings.deadline;
    let cutoff = deadline - MARGIN.min(settings.deadline / 4);
    // Before anything is made of the body: turning away must cost little when there is too much to do.
    if edge.advisor.is_overloaded(service, cutoff) {
        metrics::shed(Shed::Computing);
        return log.timed(Err(Failure::busy()));
    }
    let (service, hooks) = (service.to_owned(), hooks.to_vec());
    let parsed = body.parse(move |bytes| {
        HookCall::parse(
            bytes,
            Envelope {
                service_id: &service,
                hooks: &hooks,
                language,
                deadline,
                tenant: caller.as_ref().map(|caller| &*caller.tenant),
            },
        )
    });
    let (call, share) = log.timed(parsed.await)?;
    log.hook = call.hook.name();
    // Who waits longer for a place would have too little time left to make use of it.
    let begun = Instant::now();
    let permit = edge
        .gate
        .enter(begun + cutoff.saturating_duration_since(begun) / 2)
        .await;
    let permit = log.timed(permit)?;
    log.timed(advise(request, edge, call, cutoff, (permit, share)).await)
}

/// Asks the advisor, but not beyond `cutoff`: a clinician who waits is worse off than one without advice. The evaluation goes
/// on in the background, for the sake of whatever it leaves in caches, and keeps its `hold` on the limits meanwhile.
async fn advise(
    request: &HttpRequest,
    edge: &web::Data<Edge>,
    call: HookCall,
    cutoff: Instant,
    hold: (OwnedSemaphorePermit, Share),
) -> Result<Response, Failure> {
    let id = request_id(request);
    let (service, hook) = (call.service_id.clone(), call.hook.name());
    let advisor = Arc::clone(&edge.advisor);
    let longest = edge.settings.deadline + edge.settings.background_limit;
    let span = tracing::info_span!("call", request = %id, service, hook);
    let evaluation = async move {
        let result = tokio::time::timeout(longest, advisor.advise(call)).await;
        drop(hold);
        result
    };
    let task = edge.spawn(evaluation.instrument(span));
    let outcome = match tokio::time::timeout_at(cutoff.into(), task).await {
        Err(_) | Ok(Ok(Err(_))) => {
            tracing::warn!(request = %id, service, hook, "no answer by the deadline: answered without cards");
            return Ok(Response::default());
        }
        Ok(Err(_)) => {
            tracing::error!(request = %id, service, hook, "an evaluation panicked: answered without cards");
            return Ok(Response::default());
        }
        Ok(Ok(Ok(outcome))) => outcome,
    };
    match outcome {
        Err(CallError::Internal) => tracing::error!(request = %id, service, hook, "an evaluation failed"),
        Err(CallError::Busy) => metrics::shed(Shed::Computing),
        _ => {}
    }
    let response = outcome?;
    for fault in faults(&response) {
        // The client decides what it makes of it; our tests should have.
        tracing::error!(request = %id, service, hook, fault, "an answer breaks the protocol");
    }
    Ok(response)
}
