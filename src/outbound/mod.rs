//! The one HTTP client for everything outside: FHIR servers, authorisation servers, key sets.
//!
//! Whoever asks has checked the address against an [allow list](allow_list). Here everything is bounded all the same: time,
//! bytes after decompression, requests to one server at one time, and how long a server that keeps failing is asked. No redirect
//! is followed and no proxy is used. Errors hold no URLs (patient ids), tokens or bodies; whoever configures logging should know
//! that the HTTP library itself logs host names at debug level.

pub mod allow_list;
pub mod assertion;
pub mod gate;
pub mod retry;

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use reqwest::{
    RequestBuilder, StatusCode,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue},
    redirect,
};
use serde::Deserialize;
use tokio::time::{sleep, timeout_at};
use url::{Url, form_urlencoded};

use self::gate::{Gate, Health};

#[cfg(test)]
mod tests;

/// Servers that are remembered at one time; beyond, those that are in order and idle are forgotten.
const SERVERS: usize = 1000;
/// A request that had less time than this says nothing of the server when it did not end in time.
const FAIR: Duration = Duration::from_millis(500);

/// The `[outbound]` section.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OutboundSettings {
    /// Time until a connection must stand. Default 1 s.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    pub connect: Duration,
    /// Requests to one server (scheme, host and port) at one time. As many more may wait. Default 32.
    pub at_once: usize,
    /// How long a server is left alone after five failures in a row. Default 10 s.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    pub rest: Duration,
}

impl Default for OutboundSettings {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(1),
            at_once: 32,
            rest: Duration::from_secs(10),
        }
    }
}

impl OutboundSettings {
    /// Looks for values that cannot work.
    ///
    /// # Errors
    /// Which setting, and what it must be.
    pub fn check(&self) -> Result<(), String> {
        if self.connect.is_zero() {
            return Err(
                "outbound.connect is 0: no connection could ever be made; write a time such as \"1s\"".to_owned(),
            );
        }
        if !(1..=10_000).contains(&self.at_once) {
            return Err(format!(
                "outbound.at_once is {}: at least 1, at most 10000",
                self.at_once
            ));
        }
        Ok(())
    }
}

/// Why a request has no answer. Says nothing that is secret or about a patient.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Failure {
    /// No connection could be made.
    #[error("the server cannot be reached")]
    Unreachable,
    /// The connection ended within the answer.
    #[error("the server's answer broke off")]
    BrokenOff,
    /// Not before the deadline.
    #[error("the server did not answer in time")]
    Timeout,
    /// Larger than is accepted.
    #[error("the server's answer is too large")]
    TooLarge,
    /// It failed several times in a row and is left alone for a while.
    #[error("the server failed several times in a row and is not asked for some seconds")]
    Resting,
    /// As many requests to this server as may wait are waiting.
    #[error("too many requests to the server are under way")]
    Busy,
}

/// What kind of answer is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accept {
    /// FHIR, read strictly: a server that does not know a search parameter must say so instead of ignoring it.
    Fhir,
    /// Any other JSON.
    Json,
}

/// An `Authorization` header. It is not printed, nor kept in the index of HTTP/2's header compression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authorization(HeaderValue);

impl Authorization {
    /// With an access token; `None` when it holds characters that no header may hold.
    #[must_use]
    pub fn bearer(token: &str) -> Option<Self> {
        Self::sensitive(&format!("Bearer {token}"))
    }

    /// With name and secret of an OAuth client, both encoded before they are joined (RFC 6749, section 2.3.1).
    #[must_use]
    pub fn basic(id: &str, secret: &str) -> Option<Self> {
        use base64::{Engine as _, engine::general_purpose::STANDARD};
        let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        let pair = STANDARD.encode(format!("{}:{}", encoded(id), encoded(secret)));
        Self::sensitive(&format!("Basic {pair}"))
    }

    fn sensitive(text: &str) -> Option<Self> {
        let mut value = HeaderValue::from_str(text).ok()?;
        value.set_sensitive(true);
        Some(Self(value))
    }
}

/// How large an answer may be, bytes after decompression.
#[derive(Debug, Clone, Copy)]
pub struct Limit<'a> {
    /// This answer.
    pub answer: u64,
    /// What is left for this and other answers together.
    pub shared: Option<&'a AtomicU64>,
}

impl From<u64> for Limit<'_> {
    fn from(answer: u64) -> Self {
        Self { answer, shared: None }
    }
}

/// What a server answered.
#[derive(Debug)]
pub struct Answer {
    /// Any; redirects too.
    pub status: StatusCode,
    /// As sent.
    pub headers: HeaderMap,
    /// Decompressed. Empty where a GET was not answered with success.
    pub body: Vec<u8>,
}

/// The client. One for the whole process, so that what is known of a server is known to all who ask it.
#[derive(Debug)]
pub struct Outbound {
    http: reqwest::Client,
    settings: OutboundSettings,
    /// By origin.
    gates: Mutex<HashMap<String, Arc<Gate>>>,
}

impl Outbound {
    /// Sets the client up; no request is made.
    ///
    /// # Errors
    /// For the operator, when the HTTP library cannot start.
    pub fn new(settings: &OutboundSettings) -> Result<Self, String> {
        let http = reqwest::Client::builder()
            .user_agent(concat!("jumeau/", env!("CARGO_PKG_VERSION")))
            .redirect(redirect::Policy::none())
            .no_proxy()
            .referer(false)
            .connect_timeout(settings.connect)
            .build()
            .map_err(|e| format!("no HTTP client can be made: {e}; are the system's CA certificates installed?"))?;
        Ok(Self {
            http,
            settings: settings.clone(),
            gates: Mutex::default(),
        })
    }

    /// Gets a document; tries again where the server asks to be asked later and there is time (429, 503).
    ///
    /// # Errors
    /// [`Failure`] when there is no whole answer. An answer with any status is an answer.
    pub async fn get(
        &self,
        url: &Url,
        accept: Accept,
        authorization: Option<&Authorization>,
        limit: impl Into<Limit<'_>>,
        deadline: Instant,
    ) -> Result<Answer, Failure> {
        let limit = limit.into();
        let ask = async {
            let mut tries = 0;
            loop {
                let mut request = self.http.get(url.clone());
                request = match accept {
                    Accept::Fhir => request
                        .header(ACCEPT, "application/fhir+json, application/json")
                        .header("prefer", "handling=strict"),
                    Accept::Json => request.header(ACCEPT, "application/json"),
                };
                let answer = whole(authorized(request, authorization), limit, false).await?;
                tries += 1;
                let Some(pause) = retry::pause(answer.status, &answer.headers, tries, deadline) else {
                    return Ok(answer);
                };
                crate::metrics::outbound_retried();
                sleep(pause).await;
            }
        };
        self.watched(url, deadline, ask).await
    }

    /// Sends a form, once: whoever sends it knows whether it may be sent again.
    ///
    /// # Errors
    /// [`Failure`] when there is no whole answer. An answer with any status is an answer.
    pub async fn post_form(
        &self,
        url: &Url,
        form: &[(&str, &str)],
        authorization: Option<&Authorization>,
        limit: u64,
        deadline: Instant,
    ) -> Result<Answer, Failure> {
        let body = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(form)
            .finish();
        let request = self
            .http
            .post(url.clone())
            .header(ACCEPT, "application/json")
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(body);
        let ask = whole(authorized(request, authorization), limit.into(), true);
        self.watched(url, deadline, ask).await
    }

    /// Asks in turn, if the server is to be asked at all, and notes how it went.
    async fn watched(
        &self,
        url: &Url,
        deadline: Instant,
        ask: impl Future<Output = Result<Answer, Failure>>,
    ) -> Result<Answer, Failure> {
        let pass = self.gate(url).enter(deadline).await?;
        let answer = timeout_at(deadline.into(), ask).await.unwrap_or(Err(Failure::Timeout));
        let health = match &answer {
            Ok(answer) if matches!(answer.status.as_u16(), 500 | 502..=504) => Health::Bad,
            Err(Failure::Timeout) if pass.lasts() < FAIR => Health::Unknown,
            Err(Failure::Unreachable | Failure::BrokenOff | Failure::Timeout) => Health::Bad,
            _ => Health::Good,
        };
        pass.report(health);
        answer
    }

    fn gate(&self, url: &Url) -> Arc<Gate> {
        let mut gates = self.gates.lock().unwrap_or_else(PoisonError::into_inner);
        if gates.len() >= SERVERS {
            gates.retain(|_, gate| Arc::strong_count(gate) > 1 || !gate.is_sound());
        }
        let origin = url.origin().ascii_serialization();
        let new = |origin: &String| Arc::new(Gate::new(origin, self.settings.at_once, self.settings.rest));
        Arc::clone(gates.entry(origin).or_insert_with_key(new))
    }
}

fn authorized(request: RequestBuilder, authorization: Option<&Authorization>) -> RequestBuilder {
    match authorization {
        Some(Authorization(value)) => request.header(AUTHORIZATION, value.clone()),
        None => request,
    }
}

async fn whole(request: RequestBuilder, limit: Limit<'_>, also_errors: bool) -> Result<Answer, Failure> {
    let mut response = request.send().await.map_err(|error| without_url(&error))?;
    let (status, headers) = (response.status(), response.headers().clone());
    let mut body = Vec::new();
    if !status.is_success() && !also_errors {
        return Ok(Answer { status, headers, body });
    }
    if response.content_length().is_some_and(|length| length > limit.answer) {
        return Err(Failure::TooLarge);
    }
    while let Some(chunk) = response.chunk().await.map_err(|error| without_url(&error))? {
        let length = chunk.len() as u64;
        let total = (body.len() as u64).saturating_add(length);
        if total > limit.answer || limit.shared.is_some_and(|left| !take(left, length)) {
            return Err(Failure::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Answer { status, headers, body })
}

/// Takes from what is left, if there is enough.
pub fn take(left: &AtomicU64, amount: u64) -> bool {
    left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(amount))
        .is_ok()
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
