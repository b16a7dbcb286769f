//! Asking the caller's FHIR server for what the caller did not send. Specification: CDS Hooks 2.0.1, "FHIR Resource
//! Access"; FHIR R4, "RESTful API".
//!
//! The server is on the [allow list](super::allow_list), and everything about it is bounded all the same: time, pages,
//! requests, bytes. No redirect is followed, no proxy is used, and no link that leads away from the base URL. The
//! access token goes to that base and nowhere else. Errors and logs hold neither URLs (patient ids), nor tokens, nor
//! bodies; whoever configures logging should know that the HTTP library itself logs host names at debug level.

use std::{
    collections::HashSet,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use reqwest::{
    StatusCode,
    header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderName, HeaderValue},
    redirect,
};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::time::timeout_at;
use url::Url;

use super::{
    allow_list::{AllowList, AllowListError, Base},
    page::{Face, face},
};
use crate::cds::request::{FhirAccess, Secret};

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
    /// Milliseconds until a connection must stand. Default 1000.
    pub connect_ms: u64,
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
            connect_ms: 1000,
            answer_bytes: 8 * 1024 * 1024,
            call_bytes: 32 * 1024 * 1024,
            pages: 10,
            requests: 100,
            parallel: 8,
        }
    }
}

/// Why there is no client. Found at start.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// See [`AllowListError`].
    #[error(transparent)]
    AllowList(#[from] AllowListError),
    /// The HTTP library cannot start, for example because the system's certificates cannot be read.
    #[error("no HTTP client can be made: {0}; are the system's CA certificates installed?")]
    Http(String),
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
    /// The requests of this call are used up.
    #[error("this call needs more requests to the FHIR server than are allowed")]
    Budget,
}

/// What a query gave.
#[derive(Debug)]
pub struct Answer {
    /// The resource, or the Bundles of a search, page by page; still text.
    pub pages: Vec<Box<RawValue>>,
    /// Whether there was more that could not be had: later pages that failed, led away or were too many.
    pub partial: bool,
}

/// The one HTTP client of this server.
#[derive(Debug)]
pub struct Client {
    http: reqwest::Client,
    allow: AllowList,
    settings: FhirSettings,
}

impl Client {
    /// Sets the client up; no request is made.
    ///
    /// # Errors
    /// [`ClientError`], for the operator.
    pub fn new(settings: &FhirSettings) -> Result<Self, ClientError> {
        let allow = AllowList::new(&settings.allow, settings.loopback_http)?;
        let mut headers = HeaderMap::new();
        headers.insert(
            ACCEPT,
            HeaderValue::from_static("application/fhir+json, application/json"),
        );
        // A server that does not know a search parameter must say so; ignoring it would return another patient's data.
        headers.insert(
            HeaderName::from_static("prefer"),
            HeaderValue::from_static("handling=strict"),
        );
        let http = reqwest::Client::builder()
            .default_headers(headers)
            .user_agent(concat!("jumeau/", env!("CARGO_PKG_VERSION")))
            .redirect(redirect::Policy::none())
            .no_proxy()
            .referer(false)
            .connect_timeout(Duration::from_millis(settings.connect_ms.max(1)))
            .build()
            .map_err(|error| ClientError::Http(error.to_string()))?;
        Ok(Self {
            http,
            allow,
            settings: settings.clone(),
        })
    }

    /// Begins the requests of one call, all of which end before `deadline`.
    ///
    /// # Errors
    /// [`Failure::NotAllowed`] or [`Failure::BadToken`]; nothing was sent then.
    pub fn session(&self, access: &FhirAccess, deadline: Instant) -> Result<Session<'_>, Failure> {
        Ok(Session {
            client: self,
            base: self.allow.admit(&access.server).ok_or(Failure::NotAllowed)?,
            token: access.token.as_ref().map(bearer).transpose()?,
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

fn bearer(token: &Secret) -> Result<HeaderValue, Failure> {
    let mut value = HeaderValue::from_str(&format!("Bearer {}", token.reveal())).map_err(|_| Failure::BadToken)?;
    // Not printed by `Debug`, not kept in the index of HTTP/2's header compression.
    value.set_sensitive(true);
    Ok(value)
}

/// The requests of one call to one server.
#[derive(Debug)]
pub struct Session<'a> {
    client: &'a Client,
    base: Base,
    token: Option<HeaderValue>,
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
        let (path, search) = match relative.split_once('?') {
            Some((path, _)) => (path, true),
            None => (relative, false),
        };
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
        let mut answer = Answer {
            pages: vec![first.raw],
            partial: false,
        };
        if let Some(next) = first.face.next {
            self.follow(&url, next, &mut answer).await;
        }
        Ok(answer)
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
            next = page.face.next;
            pages = pages.saturating_add(1);
        }
    }

    async fn request(&self, url: &Url, read: bool) -> Result<Page, Failure> {
        if take(&self.requests, 1).is_none() {
            return Err(Failure::Budget);
        }
        let body = timeout_at(self.deadline.into(), self.body(url, read))
            .await
            .map_err(|_| Failure::Timeout)??;
        parse(body).await
    }

    async fn body(&self, url: &Url, read: bool) -> Result<Vec<u8>, Failure> {
        let mut request = self.client.http.get(url.clone());
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, token.clone());
        }
        let mut response = request.send().await.map_err(|error| without_url(&error))?;
        match response.status() {
            StatusCode::OK => {}
            StatusCode::UNAUTHORIZED => return Err(Failure::Unauthorized),
            StatusCode::FORBIDDEN => return Err(Failure::Forbidden),
            StatusCode::NOT_FOUND | StatusCode::GONE if read => return Err(Failure::NotFound),
            status if status.is_redirection() => return Err(Failure::Redirect),
            status => return Err(Failure::Status(status.as_u16())),
        }
        let limit = self.client.settings.answer_bytes;
        if response.content_length().is_some_and(|length| length > limit) {
            return Err(Failure::TooLarge);
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| without_url(&error))? {
            let total = (body.len() as u64).saturating_add(chunk.len() as u64);
            if total > limit || take(&self.bytes, chunk.len() as u64).is_none() {
                return Err(Failure::TooLarge);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }
}

/// The kind of a transport error. The error itself holds the URL, and with it the patient's id, so it ends here.
fn without_url(error: &reqwest::Error) -> Failure {
    if error.is_connect() {
        Failure::Unreachable
    } else if error.is_timeout() {
        Failure::Timeout
    } else {
        Failure::BrokenOff
    }
}

struct Page {
    raw: Box<RawValue>,
    face: Face,
}

/// Above this size, reading is moved away from the thread that serves other calls.
const LARGE: usize = 128 * 1024;

async fn parse(body: Vec<u8>) -> Result<Page, Failure> {
    let page = if body.len() > LARGE {
        tokio::task::spawn_blocking(move || read(body)).await.ok().flatten()
    } else {
        read(body)
    };
    page.ok_or(Failure::NotJson)
}

fn read(body: Vec<u8>) -> Option<Page> {
    let text = String::from_utf8(body).ok()?;
    let face = face(&text)?;
    Some(Page {
        raw: RawValue::from_string(text).ok()?,
        face,
    })
}

/// Takes from what is left, if there is enough.
fn take(left: &AtomicU64, amount: u64) -> Option<u64> {
    left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(amount))
        .ok()
}
