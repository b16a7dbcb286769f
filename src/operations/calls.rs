//! `POST /fhir…`: reads a call, does it now or later, and remembers the answer under the name that the caller gave to the request.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use actix_web::{HttpRequest, HttpResponse, http::StatusCode, web};
use futures_util::{StreamExt as _, stream};
use uuid::Uuid;

use super::{
    Caller, Operations, base_of,
    batch::{Asked, Work, no_operation},
    caller_of,
    jobs::{Job, Look},
    kept::{Claim, Digest32, digest},
    negotiate,
    reply::{Reply, Written},
    request::{Operation, is_identifier},
    run::{about, batch_response},
};
use crate::{
    cds::malformed::{Fault, Malformed},
    http::{
        edge::Edge,
        error::Failure,
        headers::request_id,
        language,
        limits::{Share, read_body},
    },
    metrics::{self, Shed},
};

/// Under which a caller may name a request of any kind; `requestIdentifier` in Parameters does the same for one.
const KEY: &str = "idempotency-key";
/// Entries of one batch that are worked at one time.
const AT_ONCE: usize = 2;

/// `POST /fhir/$…`.
pub async fn system(
    request: HttpRequest,
    path: web::Path<String>,
    payload: web::Payload,
    edge: web::Data<Edge>,
    operations: web::Data<Operations>,
) -> HttpResponse {
    let operation = Operation::from_code(&path);
    call(
        request,
        payload,
        edge,
        operations,
        operation.map(|operation| (operation, None)),
    )
    .await
}

/// `POST /fhir/Patient/{id}/$…`.
pub async fn instance(
    request: HttpRequest,
    path: web::Path<(String, String)>,
    payload: web::Payload,
    edge: web::Data<Edge>,
    operations: web::Data<Operations>,
) -> HttpResponse {
    let (patient, code) = path.into_inner();
    let operation = Operation::from_code(&code);
    call(
        request,
        payload,
        edge,
        operations,
        operation.map(|operation| (operation, Some(patient))),
    )
    .await
}

async fn call(
    request: HttpRequest,
    payload: web::Payload,
    edge: web::Data<Edge>,
    operations: web::Data<Operations>,
    operation: Option<(Operation, Option<String>)>,
) -> HttpResponse {
    let Some((operation, patient)) = operation else {
        return Written::from(no_operation()).respond(&base_of(&request));
    };
    let read = move |body: &[u8]| Work::one(body, operation, patient.as_deref());
    answered(request, payload, edge, operations, operation.code(), read).await
}

/// `POST /fhir`.
pub async fn batch(
    request: HttpRequest,
    payload: web::Payload,
    edge: web::Data<Edge>,
    operations: web::Data<Operations>,
) -> HttpResponse {
    let most = operations.settings.entries;
    answered(request, payload, edge, operations, "batch", move |body| {
        Work::batch(body, most)
    })
    .await
}

async fn answered(
    request: HttpRequest,
    payload: web::Payload,
    edge: web::Data<Edge>,
    operations: web::Data<Operations>,
    name: &'static str,
    read: impl FnOnce(&[u8]) -> Result<Work, Malformed> + Send + 'static,
) -> HttpResponse {
    let (id, base, started) = (request_id(&request), base_of(&request), Instant::now());
    let written = answer(&request, payload, &edge, operations.into_inner(), read).await;
    let written = written.unwrap_or_else(Written::from);
    let ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    tracing::info!(request = %id, operation = name, status = written.status.as_u16(), ms, "operation");
    written.respond(&base)
}

async fn answer(
    request: &HttpRequest,
    payload: web::Payload,
    edge: &web::Data<Edge>,
    operations: Arc<Operations>,
    read: impl FnOnce(&[u8]) -> Result<Work, Malformed> + Send + 'static,
) -> Result<Written, Failure> {
    negotiate::json(request)?;
    let header = request
        .headers()
        .get(KEY)
        .map(|value| value.to_str().unwrap_or_default().to_owned());
    if header.as_deref().is_some_and(|key| !is_identifier(key)) {
        let message = "Idempotency-Key must be 1 to 128 printable ASCII characters; a UUID is best.";
        return Err(Malformed::member(Fault::Value, "Idempotency-Key", message).into());
    }
    let http = &edge.settings;
    let body = read_body(request, payload, &edge.budget, http.body_limit, http.body_timeout).await?;
    let deadline = Instant::now() + operations.settings.deadline;
    let parsed = body.parse(move |bytes| Ok((digest(&[bytes]), read(bytes)?)));
    let ((sent, work), share) = parsed.await?;
    let later = negotiate::later(request);
    if !later && work.len() > operations.settings.batch {
        let text = format!(
            "More than {} requests at once are answered later: send the same with Prefer: respond-async.",
            operations.settings.batch
        );
        return Err(Failure::new(StatusCode::UNPROCESSABLE_ENTITY, "too-costly", text));
    }
    let caller = Arc::new(caller_of(request));
    let name = match (header, &work) {
        (Some(key), _) => Some(key),
        (None, Work::One(one)) => one.identifier.clone(),
        (None, Work::Batch(_)) => None,
    };
    let claimed = match name {
        None => None,
        Some(name) => {
            let what = digest(&[request.path().as_bytes(), &[u8::from(later)], &sent]);
            match operations.claim(&caller, &name, what) {
                Claim::First(claimed) => Some(claimed),
                Claim::Same(answer) => return Ok(answer),
                Claim::UnderWay => {
                    let text = "A request of this identifier is being answered: ask again in a moment.";
                    return Err(Failure::new(StatusCode::CONFLICT, "duplicate", text));
                }
                Claim::Other => {
                    let text = "This request identifier belongs to another request, with another body or path: \
                         a new request needs a new one.";
                    return Err(Failure::new(StatusCode::UNPROCESSABLE_ENTITY, "duplicate", text));
                }
            }
        }
    };
    let whom: Arc<[_]> = work
        .requests()
        .map(|one| about(&caller.tenant, &one.subject.patient))
        .collect();
    let language = language::of_request(request);
    if later {
        let written = begin(edge, operations, caller, work, language, (share, Arc::clone(&whom)))?;
        if let Some(claimed) = claimed {
            claimed.done(&written, whom);
        }
        return Ok(written);
    }
    let permit = edge
        .gate
        .enter(Instant::now() + operations.settings.deadline / 2)
        .await?;
    // It goes on when the caller hangs up, so that the answer is there when they ask again.
    let task = edge.spawn(async move {
        let written = Written::of(&now(operations, caller, work, language, deadline).await);
        if let Some(claimed) = claimed {
            claimed.done(&written, whom);
        }
        drop((permit, share));
        written
    });
    task.await.map_err(|_| Failure::internal())
}

impl Operations {
    /// Looks up a request by its name. A job that is gone is no answer.
    fn claim(&self, caller: &Caller, name: &str, what: Digest32) -> Claim {
        let key = digest(&[b"request", caller.tenant.as_bytes(), name.as_bytes()]);
        match self.kept.claim(key, what) {
            Claim::Same(Written { job: Some(job), .. }) if self.jobs.look(&caller.tenant, job).is_none() => {
                self.kept.release(&key);
                self.kept.claim(key, what)
            }
            claim => claim,
        }
    }
}

/// Does the work and waits for it.
async fn now(
    operations: Arc<Operations>,
    caller: Arc<Caller>,
    work: Work,
    language: &'static str,
    deadline: Instant,
) -> Reply {
    let entries = match work {
        Work::One(request) => return operations.run(caller, request, language, deadline).await,
        Work::Batch(entries) => entries,
    };
    let each = entries
        .into_iter()
        .map(|entry| one(Arc::clone(&operations), Arc::clone(&caller), entry, language, deadline));
    let each: Vec<_> = each.collect();
    Reply::ok(batch_response(stream::iter(each).buffered(AT_ONCE).collect().await))
}

async fn one(
    operations: Arc<Operations>,
    caller: Arc<Caller>,
    entry: Asked,
    language: &'static str,
    deadline: Instant,
) -> Reply {
    match entry {
        Ok(request) => operations.run(caller, request, language, deadline).await,
        Err(failure) => failure.into(),
    }
}

/// Begins a job; the answer says where it can be looked for.
fn begin(
    edge: &Edge,
    operations: Arc<Operations>,
    caller: Arc<Caller>,
    work: Work,
    language: &'static str,
    (share, whom): (Share, Arc<[Digest32]>),
) -> Result<Written, Failure> {
    let Some((id, job)) = operations.jobs.begin(&caller.tenant, whom, work.len()) else {
        metrics::shed(Shed::Calls);
        let text = "Too many requests are under way or wait to be fetched: fetch or give up those, or come back later.";
        return Err(Failure::new(StatusCode::SERVICE_UNAVAILABLE, "throttled", text));
    };
    let entries = match work {
        Work::One(request) => vec![Ok(request)],
        Work::Batch(entries) => entries,
    };
    let (all, own) = (Arc::clone(&operations), Arc::clone(&job));
    let task = edge.spawn(async move {
        let answer = work_off(&all, &caller, &own, entries, language).await;
        all.jobs.finish(&own, answer);
        drop(share);
    });
    operations.jobs.doing(&job, task.abort_handle());
    Ok(Written {
        status: StatusCode::ACCEPTED,
        body: web::Bytes::new(),
        job: Some(id),
    })
}

async fn work_off(
    operations: &Arc<Operations>,
    caller: &Arc<Caller>,
    job: &Arc<Job>,
    entries: Vec<Asked>,
    language: &'static str,
) -> Written {
    let each = entries.into_iter().map(|entry| {
        let (operations, caller, job) = (Arc::clone(operations), Arc::clone(caller), Arc::clone(job));
        async move {
            let turn = operations.turns.acquire().await;
            let deadline = Instant::now() + operations.settings.deadline;
            let reply = one(Arc::clone(&operations), caller, entry, language, deadline).await;
            drop(turn);
            job.step();
            reply
        }
    });
    let each: Vec<_> = each.collect();
    let replies = stream::iter(each)
        .buffered(operations.settings.parallel)
        .collect()
        .await;
    Written::of(&Reply::ok(batch_response(replies)))
}

/// How long who looks too early should wait.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// `GET /fhir/$async/{id}`.
pub async fn look(request: HttpRequest, path: web::Path<String>, operations: web::Data<Operations>) -> HttpResponse {
    let base = base_of(&request);
    let caller = caller_of(&request);
    let found = Uuid::parse_str(&path)
        .ok()
        .and_then(|id| operations.jobs.look(&caller.tenant, id));
    match found {
        None => Written::from(no_job()).respond(&base),
        Some(Look::Finished(written)) => written.respond(&base),
        Some(Look::Running(done, total)) => HttpResponse::Accepted()
            .insert_header(("x-progress", format!("{done} of {total}")))
            .insert_header(("retry-after", LOOK_AGAIN.as_secs().to_string()))
            .finish(),
    }
}

/// `DELETE /fhir/$async/{id}`.
pub async fn cancel(request: HttpRequest, path: web::Path<String>, operations: web::Data<Operations>) -> HttpResponse {
    let caller = caller_of(&request);
    match Uuid::parse_str(&path) {
        Ok(id) if operations.jobs.cancel(&caller.tenant, id) => HttpResponse::Accepted().finish(),
        _ => Written::from(no_job()).respond(&base_of(&request)),
    }
}

fn no_job() -> Failure {
    let text =
        "There is nothing here, or no more: it was given up, erased or fetched too late. Send the request again.";
    Failure::new(StatusCode::NOT_FOUND, "not-found", text)
}
