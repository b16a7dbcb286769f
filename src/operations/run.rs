//! One request from beginning to end.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Instant,
};

use actix_web::http::StatusCode;
use jiff::Timestamp;
use serde_json::{Value, json};
use url::Url;

use super::{
    Caller, Operations,
    kept::digest,
    reply::Reply,
    request::{Operation, Request, Subject},
    write::Writer,
};
use crate::{
    auth::LOCAL,
    cds::{
        advisor::CallError,
        request::{FhirAccess, tenant_of},
    },
    fhir::client,
    http::error::Failure,
    metrics,
    service::ask::{Answer, Ask, LeftOut, Record},
    store::{
        StoreError,
        audit::{self, Action, AuditRecord},
    },
};

impl Operations {
    /// Does what is asked. Errors are replies, too.
    pub async fn run(
        self: Arc<Self>,
        caller: Arc<Caller>,
        request: Request,
        language: &'static str,
        deadline: Instant,
    ) -> Reply {
        let (action, subject) = match request.operation {
            Operation::Erase => (Action::Erase, None),
            Operation::Twin => (Action::Read, request.twin.clone()),
            Operation::Evaluate | Operation::Simulate => (Action::Evaluate, request.twin.clone()),
        };
        let patient = audit::patient(&caller.tenant, &request.subject.patient);
        let done = match request.operation {
            Operation::Erase => self.erase(&caller, &request.subject).await,
            _ => self.ask(&caller, request, language, deadline).await,
        };
        let record = AuditRecord {
            at: Timestamp::now(),
            tenant: caller.tenant.clone(),
            caller: caller.name.clone(),
            action,
            // What the caller wrote in the place of a twin may be anything.
            subject: subject.filter(|id| self.advisor.twins(&caller.tenant).any(|twin| twin.file.id == *id)),
            patient: Some(patient),
            outcome: if done.is_ok() { "done" } else { "failed" }.to_owned(),
        };
        match self.note(record).await {
            Ok(()) => done.unwrap_or_else(Reply::from),
            Err(failure) => failure.into(),
        }
    }

    /// Writes an entry into the audit log. What cannot be accounted for is not handed out.
    async fn note(&self, record: AuditRecord) -> Result<(), Failure> {
        let audit = Arc::clone(&self.audit);
        match tokio::task::spawn_blocking(move || audit.append(&record)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => {
                metrics::store_failed("audit");
                tracing::error!(%error, "an operation could not be entered into the audit log");
                Err(Failure::internal())
            }
            Err(_) => Err(Failure::internal()),
        }
    }

    async fn ask(
        &self,
        caller: &Caller,
        request: Request,
        language: &'static str,
        deadline: Instant,
    ) -> Result<Reply, Failure> {
        let ids = || self.advisor.twins(&caller.tenant).map(|twin| twin.file.id.as_str());
        if let Some(twin) = &request.twin
            && !ids().any(|id| id == twin)
        {
            let text = format!(
                "There is no such twin. There are: {}.",
                ids().collect::<Vec<_>>().join(", ")
            );
            return Err(Failure::new(StatusCode::NOT_FOUND, "not-found", text));
        }
        let (record, access) = match request.record {
            Some(record) => (Record::Sent(record), None),
            None => {
                let access = self.access(caller, &request.subject, deadline).await?;
                (Record::On(access.clone()), Some(access))
            }
        };
        let server = access.as_ref().map(|access| access.server.clone());
        let server = server.or(request.subject.server);
        let ask = Ask {
            tenant: kept_under(caller, server.as_ref()),
            patient: request.subject.patient.clone(),
            twin: request.twin.clone(),
            record,
            treatments: request.treatments,
            language,
            deadline,
        };
        let answers = self.advisor.ask(ask).await;
        if let Some(access) = access.filter(|_| answers.iter().any(is_unauthorized)) {
            self.backend.rejected(&caller.tenant, &access).await;
        }
        if let Some(failure) = failed(&answers) {
            return Err(failure);
        }
        let writer = Writer {
            operation: request.operation,
            identifier: request.identifier.as_deref(),
            tenant: &caller.tenant,
            patient: &request.subject.patient,
            server: server.as_ref(),
            recorded: seconds(Timestamp::now()),
        };
        Ok(Reply::ok(writer.bundle(&answers)))
    }

    /// How a record is reached that is not sent along.
    async fn access(&self, caller: &Caller, subject: &Subject, deadline: Instant) -> Result<FhirAccess, Failure> {
        let server = subject.server.as_ref().or_else(|| self.servers.get(&caller.tenant)).ok_or_else(|| {
            let text = "It is not clear on which FHIR server the patient is: send the record along (parameter record, a Bundle), \
                 give subject as an absolute URL, or have operations.server set.";
            Failure::new(StatusCode::UNPROCESSABLE_ENTITY, "required", text)
        })?;
        let access = self.backend.access(&caller.tenant, server, deadline).await;
        access.map_err(|trouble| {
            let text = format!("No access token for the FHIR server could be had: {trouble}.");
            Failure::new(StatusCode::BAD_GATEWAY, "transient", text)
        })
    }

    async fn erase(&self, caller: &Caller, subject: &Subject) -> Result<Reply, Failure> {
        let server = subject.server.as_ref().or_else(|| self.servers.get(&caller.tenant));
        let tenants = BTreeSet::from([caller.tenant.clone(), kept_under(caller, server)]);
        let (advisor, patient) = (Arc::clone(&self.advisor), subject.patient.clone());
        let about = about(&caller.tenant, &patient);
        let forget = move || {
            let mut forgotten = BTreeSet::new();
            for tenant in tenants {
                forgotten.extend(advisor.forget(&tenant, &patient)?);
            }
            Ok::<_, StoreError>(forgotten)
        };
        let forgotten = tokio::task::spawn_blocking(forget).await;
        // Also when the store failed: what is here can be forgotten all the same.
        self.kept.forget(&about);
        self.jobs.forget(&about);
        let twins = match forgotten {
            Ok(Ok(twins)) => twins,
            Ok(Err(error)) => {
                tracing::error!(%error, "twins could not be erased");
                return Err(Failure::internal());
            }
            Err(_) => return Err(Failure::internal()),
        };
        let mut parameters = vec![json!({ "name": "count", "valueUnsignedInt": twins.len() })];
        parameters.extend(twins.iter().map(|twin| json!({ "name": "twin", "valueCode": twin })));
        Ok(Reply::ok(
            json!({ "resourceType": "Parameters", "parameter": parameters }),
        ))
    }
}

/// Under which tenant a twin is kept. Where nobody vouches for callers it is the FHIR server, as for hooks.
fn kept_under(caller: &Caller, server: Option<&Url>) -> String {
    match server {
        Some(server) if caller.tenant == LOCAL => tenant_of(server),
        _ => caller.tenant.clone(),
    }
}

/// A patient of a tenant, for what is kept in memory.
#[must_use]
pub fn about(tenant: &str, patient: &str) -> [u8; 32] {
    digest(&[b"patient", tenant.as_bytes(), patient.as_bytes()])
}

/// Why nobody could answer, when nobody could. A record without a Patient is answered as data that are required.
fn failed(answers: &[Answer]) -> Option<Failure> {
    let mut errors = answers.iter().map(|answer| answer.said.as_ref().err());
    let first = errors.next()??;
    errors.all(|error| error.is_some()).then(|| failure(first)).flatten()
}

/// Whether the FHIR server did not accept the token.
fn is_unauthorized(answer: &Answer) -> bool {
    let Err(LeftOut::Lacking(lacking)) = &answer.said else {
        return false;
    };
    lacking.failures.contains(&client::Failure::Unauthorized)
}

fn failure(why: &LeftOut) -> Option<Failure> {
    let new = |status, code, text: String| Some(Failure::new(status, code, text));
    match why {
        LeftOut::Late => new(
            StatusCode::SERVICE_UNAVAILABLE,
            "timeout",
            "The twin was not ready in time. Ask again, or let the answer be fetched later: Prefer: respond-async."
                .to_owned(),
        ),
        LeftOut::Error(CallError::MissingData(_)) => None,
        LeftOut::Error(CallError::Contradiction(text)) => {
            new(StatusCode::UNPROCESSABLE_ENTITY, "conflict", text.clone())
        }
        LeftOut::Error(CallError::BadRequest(text)) => new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", text.clone()),
        LeftOut::Error(error) => Some(Failure::from(error.clone())),
        LeftOut::Lacking(lacking) => {
            let keys = lacking.keys.join(", ");
            let why = lacking.failures.first();
            let said = why.map_or_else(|| "they could not be asked for".to_owned(), ToString::to_string);
            let (status, code) = match why {
                Some(client::Failure::NotAllowed) => (StatusCode::UNPROCESSABLE_ENTITY, "security"),
                Some(client::Failure::OtherVersion) => (StatusCode::UNPROCESSABLE_ENTITY, "not-supported"),
                Some(client::Failure::NotFound) => (StatusCode::NOT_FOUND, "not-found"),
                Some(client::Failure::Unauthorized | client::Failure::Forbidden) => {
                    (StatusCode::BAD_GATEWAY, "forbidden")
                }
                Some(client::Failure::Timeout) => (StatusCode::GATEWAY_TIMEOUT, "timeout"),
                _ => (StatusCode::BAD_GATEWAY, "transient"),
            };
            new(status, code, format!("The record could not be read, {said}: {keys}."))
        }
    }
}

/// A batch-response.
#[must_use]
pub fn batch_response(replies: Vec<Reply>) -> Value {
    let entries: Vec<Value> = replies.into_iter().map(Reply::entry).collect();
    json!({ "resourceType": "Bundle", "type": "batch-response", "entry": entries })
}

/// The server of each tenant that is meant when none is named: the only one that it may ask or, where there are no tenants, the one
/// that is configured.
#[must_use]
pub fn servers(
    configured: Option<&str>,
    allowed: Vec<String>,
    tenants: BTreeMap<String, Vec<String>>,
) -> BTreeMap<String, Url> {
    let local = configured.map_or(allowed, |server| vec![server.to_owned()]);
    let only = |(tenant, list): (String, Vec<String>)| match list.as_slice() {
        [only] => Some((tenant, Url::parse(only).ok()?)),
        _ => None,
    };
    let all = tenants.into_iter().chain([(LOCAL.to_owned(), local)]);
    all.filter_map(only).collect()
}

/// To the second: more digits than three are too many for some readers of FHIR.
#[must_use]
pub fn seconds(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}
