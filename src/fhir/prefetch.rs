//! The data of one call, key by key: what the client sent, and what it left to us to fetch. Specification: CDS Hooks
//! 2.0.1, "Prefetch Template" and "FHIR Resource Access".
//!
//! What the client sent is used as it is. `null` means that the client looked and found nothing, an OperationOutcome
//! that it tried and failed: neither is asked for again. Only a key that is absent is fetched.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::{FutureExt as _, StreamExt as _, stream};
use serde_json::value::RawValue;

use super::{
    client::{Answer, Client, Failure, Session},
    page::{self, Face},
    server_version::Version,
    template::{Tokens, render, today},
};
use crate::{
    cds::request::{HookCall, Prefetched},
    metrics,
};

#[cfg(test)]
#[path = "prefetch_tests.rs"]
mod tests;

/// How long a call waits for the version of a server that it knows nothing of, once the data are there.
const VERSION_PATIENCE: Duration = Duration::from_millis(200);

/// One prefetch key of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// Name of the key.
    pub key: String,
    /// The template, as discovery shows it.
    pub template: String,
    /// Whether the service can say nothing without it.
    pub required: bool,
}

/// What became of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyState {
    /// The client sent it.
    Prefetched {
        /// Whether it has further pages that could not be had.
        partial: bool,
    },
    /// The client looked, and there is nothing (`null`).
    Nothing,
    /// The client tried and failed (OperationOutcome).
    FailedAtClient,
    /// Fetched from the client's FHIR server.
    Fetched {
        /// Whether there are further pages that could not be had.
        partial: bool,
    },
    /// Not sent, and fetching failed.
    FetchFailed(Failure),
    /// Not sent, and not to be asked for: the call names no FHIR server, or lacks a value that the query needs.
    Unavailable,
}

impl KeyState {
    /// Whether there are data, be they partial.
    #[must_use]
    pub fn has_data(self) -> bool {
        matches!(self, Self::Prefetched { .. } | Self::Fetched { .. })
    }

    /// Whether there are data and more of them that could not be had: a card should say so.
    #[must_use]
    pub fn is_partial(self) -> bool {
        matches!(
            self,
            Self::Prefetched { partial: true } | Self::Fetched { partial: true }
        )
    }
}

/// The data of one call.
#[derive(Debug, Default)]
pub struct Gathered {
    /// By key: a resource, or the Bundles of a search page by page; still text. Keys without data are absent.
    ///
    /// A Bundle keeps its link to the next page also where that page follows here: whether data are missing is told by
    /// [`KeyState::is_partial`] and not by the links.
    pub resources: BTreeMap<String, Arc<[Box<RawValue>]>>,
    /// By key, each query's.
    pub states: BTreeMap<String, KeyState>,
    /// Resources of the patient that were not asked for by a key, but came from elsewhere.
    pub beside: Option<Arc<RawValue>>,
    required: BTreeSet<String>,
}

impl Gathered {
    /// The required keys without data and what became of them: reason for a 412, if the caller so judges. A search
    /// that found nothing has data, namely that.
    pub fn missing_required(&self) -> impl Iterator<Item = (&str, KeyState)> {
        self.states
            .iter()
            .filter(|(key, state)| self.required.contains(*key) && !state.has_data())
            .map(|(key, state)| (key.as_str(), *state))
    }

    /// Why required keys could not be fetched.
    pub fn failures(&self) -> impl Iterator<Item = Failure> {
        self.missing_required().filter_map(|(_, state)| match state {
            KeyState::FetchFailed(failure) => Some(failure),
            _ => None,
        })
    }

    /// The keys whose data are not all there.
    pub fn partial(&self) -> impl Iterator<Item = &str> {
        self.states
            .iter()
            .filter(|(_, state)| state.is_partial())
            .map(|(key, _)| key.as_str())
    }

    /// Adds what was gathered later.
    pub fn add(&mut self, later: Self) {
        self.resources.extend(later.resources);
        self.states.extend(later.states);
        self.required.extend(later.required);
        self.beside = later.beside.or(self.beside.take());
    }

    /// What a record that was sent as a whole holds for some queries: what is not in it is not there. It is kept once, under the key
    /// `under`, if that is among the keys.
    #[must_use]
    pub fn of_record(record: &RawValue, queries: &[Query], under: &str) -> Self {
        let partial = page::face(record.get()).is_some_and(|face| face.next.is_some());
        let mut gathered = Self::default();
        for query in queries {
            gathered
                .states
                .insert(query.key.clone(), KeyState::Prefetched { partial });
            if query.required {
                gathered.required.insert(query.key.clone());
            }
            if query.key == under {
                gathered.resources.insert(query.key.clone(), [record.to_owned()].into());
            }
        }
        gathered
    }

    /// Takes back what was fetched.
    fn refuse_fetched(&mut self, failure: Failure) {
        for (key, state) in &mut self.states {
            if matches!(state, KeyState::Fetched { .. }) {
                *state = KeyState::FetchFailed(failure);
                self.resources.remove(key);
            }
        }
    }

    /// What is here for some queries, each beside the key that it was gathered under, as if they alone had been gathered under
    /// their own keys. What was not gathered yet is absent. Nothing is copied.
    #[must_use]
    pub fn view<'q>(&self, queries: impl IntoIterator<Item = (&'q Query, &'q str)>) -> Self {
        let mut view = Self {
            beside: self.beside.clone(),
            ..Self::default()
        };
        for (query, under) in queries {
            let Some(state) = self.states.get(under) else { continue };
            view.states.insert(query.key.clone(), *state);
            if let Some(pages) = self.resources.get(under) {
                view.resources.insert(query.key.clone(), Arc::clone(pages));
            }
            if query.required {
                view.required.insert(query.key.clone());
            }
        }
        view
    }
}

/// Collects what `queries` ask for; ends at `deadline` at the latest, with what is there by then.
///
/// Nothing that other parties do is an error here: each key has a [`KeyState`].
pub async fn gather(call: &HookCall, queries: &[Query], client: &Client, deadline: Instant) -> Gathered {
    let session = call
        .fhir
        .as_ref()
        .map(|access| client.session(access, &call.patient_id, deadline));
    let tokens = Tokens::of(call, today());
    // Asked beside the queries, and only where there are any.
    let fetches = queries.iter().any(|query| !call.prefetch.contains_key(&query.key));
    let version = session
        .as_ref()
        .filter(|_| fetches)
        .and_then(|session| session.as_ref().ok());
    let version = version.map(Session::server_version);
    // Boxed one by one: a stream of the unboxed closures would not be `Send` for every lifetime.
    let mut each = Vec::with_capacity(queries.len());
    for query in queries {
        let (session, tokens) = (session.as_ref(), &tokens);
        let sent = call.prefetch.get(&query.key);
        let one = async move {
            let (state, pages) = match sent {
                Some(Prefetched::Nothing) => (KeyState::Nothing, Vec::new()),
                Some(Prefetched::Failed) => (KeyState::FailedAtClient, Vec::new()),
                Some(Prefetched::Data(raw)) => sent_along(raw, session.and_then(|session| session.as_ref().ok())).await,
                None => fetch(query, tokens, session).await,
            };
            (query, state, pages)
        };
        each.push(one.boxed());
    }
    let mut gathered = Gathered::default();
    let mut answers = stream::iter(each).buffer_unordered(client.parallel());
    while let Some((query, state, pages)) = answers.next().await {
        match state {
            KeyState::FetchFailed(failure) => tracing::warn!(key = query.key, %failure, "a key could not be fetched"),
            state => tracing::debug!(key = query.key, ?state, pages = pages.len(), "a key was gathered"),
        }
        if query.required {
            gathered.required.insert(query.key.clone());
        }
        if state.has_data() {
            gathered.resources.insert(query.key.clone(), pages.into());
        }
        gathered.states.insert(query.key.clone(), state);
    }
    drop(answers);
    if let Some(version) = version {
        let patience = VERSION_PATIENCE.min(deadline.saturating_duration_since(Instant::now()));
        if version.version(patience).await == Some(Version::Other) {
            gathered.refuse_fetched(Failure::OtherVersion);
        }
    }
    gathered
}

/// Data of the client, with the pages after them if they have any and can be asked for.
async fn sent_along(raw: &RawValue, session: Option<&Session<'_>>) -> (KeyState, Vec<Box<RawValue>>) {
    let next = match page::face(raw.get()) {
        Some(Face { complaint: true, .. }) => return (KeyState::FailedAtClient, Vec::new()),
        Some(face) => face.next,
        // Not FHIR: whoever reads the resources says so.
        None => None,
    };
    let mut pages = vec![raw.to_owned()];
    let partial = match (next, session) {
        (None, _) => false,
        (Some(_), None) => true,
        (Some(next), Some(session)) => {
            let rest = session.rest(next).await;
            pages.extend(rest.pages);
            rest.partial
        }
    };
    (KeyState::Prefetched { partial }, pages)
}

async fn fetch(
    query: &Query,
    tokens: &Tokens<'_>,
    session: Option<&Result<Session<'_>, Failure>>,
) -> (KeyState, Vec<Box<RawValue>>) {
    let state = match (session, render(&query.template, tokens)) {
        (None, _) => KeyState::Unavailable,
        (Some(Err(failure)), _) => KeyState::FetchFailed(*failure),
        (Some(Ok(_)), Err(error)) => {
            tracing::debug!(key = query.key, %error, "a key cannot be asked for");
            KeyState::Unavailable
        }
        (Some(Ok(session)), Ok(relative)) => match counted(session.query(&relative)).await {
            Ok(answer) => {
                return (
                    KeyState::Fetched {
                        partial: answer.partial,
                    },
                    answer.pages,
                );
            }
            Err(failure) => KeyState::FetchFailed(failure),
        },
    };
    (state, Vec::new())
}

/// Counts and times a query.
async fn counted(query: impl Future<Output = Result<Answer, Failure>>) -> Result<Answer, Failure> {
    let started = Instant::now();
    let answer = query.await;
    let outcome = match &answer {
        Ok(Answer { partial: false, .. }) => "ok",
        Ok(_) => "partial",
        Err(Failure::Unauthorized) => "unauthorized",
        Err(Failure::Forbidden) => "forbidden",
        Err(Failure::NotFound) => "not_found",
        Err(Failure::Status(500..)) => "server_error",
        Err(Failure::Status(_)) => "refused",
        Err(Failure::Unreachable) => "unreachable",
        Err(Failure::Timeout) => "timeout",
        Err(Failure::Resting) => "resting",
        Err(Failure::Busy) => "busy",
        Err(Failure::Unheeded) => "unheeded",
        Err(Failure::Budget) => "budget",
        Err(_) => "unusable",
    };
    metrics::fhir_query(outcome, started);
    answer
}
