//! Asking the caller's FHIR server for what the caller did not send. Specification: CDS Hooks 2.0.1, "FHIR Resource
//! Access"; FHIR R4, "RESTful API".
//!
//! The server is on the [allow list](crate::outbound::allow_list), and everything about it is bounded all the same: pages,
//! requests and bytes here, the rest where all requests [go out](crate::outbound). No link is followed that leads away from
//! the base URL. The access token goes to that base and nowhere else. Errors and logs hold neither URLs (patient ids), nor
//! tokens, nor bodies.

use std::{
    collections::HashSet,
    sync::{Arc, atomic::AtomicU64},
    time::Instant,
};

use reqwest::StatusCode;
use serde::Deserialize;
use serde_json::value::RawValue;
use url::Url;

use super::{
    heed::{self, Unheeded},
    page::{Face, face},
    server_version::{Asked, Versions},
};
use crate::{
    cds::request::FhirAccess,
    outbound::{
        self, Accept, Authorization, Limit, Outbound,
        allow_list::{AllowList, AllowListError, Base},
        take,
    },
};

#[cfg(test)]
#[path = "client_tests.rs"]
mod tests;

/// The `[fhir]` section.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FhirSettings {
    /// Base URLs of the FHIR servers that may be asked; servers below a listed path are meant too. Default: none.
    pub allow: Vec<String>,
    /// Whether `http://127.0.0.1`, `http://localhost` and `http://[::1]` may be asked on any port. For demonstrations
    /// and tests only: callers can then reach every such port of this machine. Default: no.
    pub loopback_http: bool,
    /// Largest answer, bytes after decompression. Default 8 MiB.
    pub answer_bytes: u64,
    /// All answers of one call together, bytes after decompression. Default 32 MiB.
    pub call_bytes: u64,
    /// Pages of one query, the first included. Default 10.
    pub pages: u32,
    /// Requests for one call. Default 100.
    pub requests: u32,
    /// Requests of one call at the same time. Default 8.
    pub parallel: usize,
}

impl Default for FhirSettings {
    fn default() -> Self {
        Self {
            allow: Vec::new(),
            loopback_http: false,
            answer_bytes: 8 * 1024 * 1024,
            call_bytes: 32 * 1024 * 1024,
            pages: 10,
            requests: 100,
            parallel: 8,
        }
    }
}

/// Why a query has no answer. Says nothing that is secret or about a patient.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Failure {
    /// The server is not on the allow list.
    #[error("the FHIR server is not on the allow list (`fhir.allow`)")]
    NotAllowed,
    /// The token holds characters that no header may hold.
    #[error("the access token cannot be sent")]
    BadToken,
    /// The query would lead outside the base URL.
    #[error("the query is not a relative FHIR query")]
    BadQuery,
    /// 401: the token is missing, expired or not accepted.
    #[error("the FHIR server did not accept the access token (401)")]
    Unauthorized,
    /// 403: the token does not cover this.
    #[error("the FHIR server does not permit this query (403)")]
    Forbidden,
    /// 404 or 410 to a read: there is no such resource.
    #[error("the FHIR server has no such resource")]
    NotFound,
    /// Redirects are not followed: they could carry the token away.
    #[error("the FHIR server answered with a redirect, which is not followed")]
    Redirect,
    /// Another status than 200.
    #[error("the FHIR server answered with status {0}")]
    Status(u16),
    /// No connection could be made.
    #[error("the FHIR server cannot be reached")]
    Unreachable,
    /// The connection ended within the answer.
    #[error("the FHIR server's answer broke off")]
    BrokenOff,
    /// Not within the time that is left for this call.
    #[error("the FHIR server did not answer in time")]
    Timeout,
    /// Larger than is accepted.
    #[error("the FHIR server's answer is too large")]
    TooLarge,
    /// Not a FHIR resource in JSON (an HTML page, half a document, too deep a one).
    #[error("the FHIR server's answer is not FHIR JSON")]
    NotJson,
    /// An OperationOutcome in the place of data, or an error among the entries of a Bundle.
    #[error("the FHIR server answered with an error (OperationOutcome)")]
    Outcome,
    /// A resource, but not of the type that was asked for; a search gives a Bundle.
    #[error("the FHIR server answered with another type of resource than asked for")]
    OtherType,
    /// The server failed several times in a row and is left alone for a while.
    #[error("the FHIR server failed several times in a row and is not asked for some seconds")]
    Resting,
    /// Too many requests to it are under way.
    #[error("too many requests to the FHIR server are under way")]
    Busy,
    /// It ignored a parameter of the search, and sent only a part of what it found.
    #[error(
        "the FHIR server ignored a parameter of the search (its link `self` lacks it, or other patients' data came) and sent only a \
         part of what it found"
    )]
    Unheeded,
    /// It speaks neither R4 nor R4B.
    #[error("the FHIR server speaks neither FHIR R4 nor R4B (fhirVersion at its /metadata)")]
    OtherVersion,
    /// The requests of this call are used up.
    #[error("this call needs more requests to the FHIR server than are allowed")]
    Budget,
}

impl From<outbound::Failure> for Failure {
    fn from(failure: outbound::Failure) -> Self {
        match failure {
            outbound::Failure::Unreachable => Self::Unreachable,
            outbound::Failure::BrokenOff => Self::BrokenOff,
            outbound::Failure::Timeout => Self::Timeout,
            outbound::Failure::TooLarge => Self::TooLarge,
            outbound::Failure::Resting => Self::Resting,
            outbound::Failure::Busy => Self::Busy,
        }
    }
}

/// What a query gave.
#[derive(Debug)]
pub struct Answer {
    /// The resource, or the Bundles of a search, page by page; still text.
    pub pages: Vec<Box<RawValue>>,
    /// Whether there was more that could not be had: later pages that failed, led away or were too many.
    pub partial: bool,
}

/// Reads from the FHIR servers of its list.
#[derive(Debug)]
pub struct Client {
    outbound: Arc<Outbound>,
    allow: AllowList,
    settings: FhirSettings,
    versions: Versions,
}

impl Client {
    /// Sets the client up; no request is made.
    ///
    /// # Errors
    /// [`AllowListError`], for the operator.
    pub fn new(settings: &FhirSettings, outbound: Arc<Outbound>) -> Result<Self, AllowListError> {
        Ok(Self {
            outbound,
            allow: AllowList::new("fhir.allow", &settings.allow, settings.loopback_http)?,
            settings: settings.clone(),
            versions: Versions::default(),
        })
    }

    /// Begins the requests of one call about a patient, all of which end before `deadline`.
    ///
    /// # Errors
    /// [`Failure::NotAllowed`] or [`Failure::BadToken`]; nothing was sent then.
    pub fn session(&self, access: &FhirAccess, patient_id: &str, deadline: Instant) -> Result<Session<'_>, Failure> {
        let base = self.allow.admit(&access.server).ok_or(Failure::NotAllowed)?;
        let bearer = |token| Authorization::bearer(token).ok_or(Failure::BadToken);
        Ok(Session {
            client: self,
            base,
            authorization: access.token.as_ref().map(|token| bearer(token.reveal())).transpose()?,
            patient: patient_id.into(),
            deadline,
            requests: AtomicU64::new(self.settings.requests.into()),
            bytes: AtomicU64::new(self.settings.call_bytes),
        })
    }

    /// How many queries of one call may run at the same time; at least one.
    #[must_use]
    pub fn parallel(&self) -> usize {
        self.settings.parallel.max(1)
    }
}

/// The requests of one call to one server.
#[derive(Debug)]
pub struct Session<'a> {
    client: &'a Client,
    base: Base,
    authorization: Option<Authorization>,
    patient: Arc<str>,
    deadline: Instant,
    /// Left.
    requests: AtomicU64,
    /// Left.
    bytes: AtomicU64,
}

impl Session<'_> {
    /// Reads or searches: `Patient/123` or `Observation?patient=123`, relative to the base URL.
    ///
    /// # Errors
    /// [`Failure`] when there is no first page. Trouble with a later page makes the answer partial.
    pub async fn query(&self, relative: &str) -> Result<Answer, Failure> {
        let url = self.base.query(relative).ok_or(Failure::BadQuery)?;
        let (path, sent) = relative.split_once('?').unwrap_or((relative, ""));
        let search = relative.contains('?');
        let first = self.request(&url, !search).await?;
        let expected = if search {
            "Bundle"
        } else {
            path.split('/').next().unwrap_or_default()
        };
        if first.face.complaint {
            return Err(Failure::Outcome);
        }
        if first.face.kind != expected {
            return Err(Failure::OtherType);
        }
        let unheeded = heed::unheeded(sent, first.face.self_link.as_deref());
        let mut answer = Answer {
            pages: vec![first.raw],
            partial: false,
        };
        if let Some(next) = first.face.next {
            // What is all there can be sorted out here; of everybody's data nothing more is asked for.
            if search && (unheeded == Unheeded::Patient || first.others) {
                return Err(Failure::Unheeded);
            }
            self.follow(&url, next, &mut answer).await;
        }
        if search && answer.partial && unheeded != Unheeded::Nothing {
            return Err(Failure::Unheeded);
        }
        Ok(answer)
    }

    /// Asks which version of FHIR the server speaks, or is reminded of it.
    #[must_use]
    pub fn server_version(&self) -> Asked {
        self.client.versions.ask(&self.client.outbound, &self.base)
    }

    /// The pages that follow a Bundle which came from elsewhere (prefetch), the Bundle itself not included.
    pub async fn rest(&self, next: String) -> Answer {
        let mut answer = Answer {
            pages: Vec::new(),
            partial: false,
        };
        // A relative link would be relative to a request that we did not make: the base is the best guess, and one
        // that stays inside it.
        let mut from = self.base.url().clone();
        from.set_path(&format!("{}/", from.path().trim_end_matches('/')));
        self.follow(&from, next, &mut answer).await;
        answer
    }

    async fn follow(&self, from: &Url, next: String, answer: &mut Answer) {
        let mut seen = HashSet::from([from.clone()]);
        let mut from = from.clone();
        let mut next = Some(next);
        // The first page is counted although it is not here.
        let mut pages = 1;
        while let Some(link) = next {
            let target = self
                .base
                .link(&from, &link)
                .filter(|target| seen.insert(target.clone()));
            let page = match target {
                Some(target) if pages < self.client.settings.pages => {
                    from = target;
                    self.request(&from, false).await.ok()
                }
                _ => None,
            };
            let Some(page) = page.filter(|page| page.face.kind == "Bundle" && !page.face.complaint) else {
                answer.partial = true;
                return;
            };
            answer.pages.push(page.raw);
            if page.others && page.face.next.is_some() {
                answer.partial = true;
                return;
            }
            next = page.face.next;
            pages = pages.saturating_add(1);
        }
    }

    async fn request(&self, url: &Url, read: bool) -> Result<Page, Failure> {
        if !take(&self.requests, 1) {
            return Err(Failure::Budget);
        }
        let limit = Limit {
            answer: self.client.settings.answer_bytes,
            shared: Some(&self.bytes),
        };
        let outbound = &self.client.outbound;
        let asked = outbound.get(url, Accept::Fhir, self.authorization.as_ref(), limit, self.deadline);
        let answer = asked.await?;
        match answer.status {
            StatusCode::OK => parse(answer.body, Arc::clone(&self.patient)).await,
            StatusCode::UNAUTHORIZED => Err(Failure::Unauthorized),
            StatusCode::FORBIDDEN => Err(Failure::Forbidden),
            StatusCode::NOT_FOUND | StatusCode::GONE if read => Err(Failure::NotFound),
            status if status.is_redirection() => Err(Failure::Redirect),
            status => Err(Failure::Status(status.as_u16())),
        }
    }
}

struct Page {
    /// Without resources of other patients.
    raw: Box<RawValue>,
    face: Face,
    /// Whether there were any.
    others: bool,
}

/// Above this size, reading is moved away from the thread that serves other calls.
const LARGE: usize = 128 * 1024;

async fn parse(body: Vec<u8>, patient: Arc<str>) -> Result<Page, Failure> {
    let page = if body.len() > LARGE {
        let read = move || read(body, &patient);
        tokio::task::spawn_blocking(read).await.ok().flatten()
    } else {
        read(body, &patient)
    };
    page.ok_or(Failure::NotJson)
}

fn read(body: Vec<u8>, patient: &str) -> Option<Page> {
    let text = String::from_utf8(body).ok()?;
    let face = face(&text)?;
    let (mut raw, mut others) = (RawValue::from_string(text).ok()?, 0);
    if face.kind == "Bundle" {
        (raw, others) = heed::own(raw, patient);
    }
    if others > 0 {
        tracing::warn!(
            others,
            "a FHIR server sent resources of other patients, which were dropped"
        );
    }
    Some(Page {
        raw,
        face,
        others: others > 0,
    })
}
