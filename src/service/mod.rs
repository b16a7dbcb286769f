//! One hook call from beginning to end: data, facts, twin, advice, cards. The only module that knows both the protocol
//! and the medicine, and it holds neither: each step is another module's.

pub mod cards;
pub mod clock;
pub mod detail;
pub mod evaluate;
pub mod orders;
pub mod picture;
pub mod services;
pub mod words;

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::{FutureExt as _, future::BoxFuture};
use jiff::{Timestamp, tz::TimeZone};
use tokio::sync::Semaphore;

use crate::{
    advice::recent::Recent,
    cds::{
        advisor::{Advisor, CallError},
        card::Response,
        discovery::Service,
        feedback::Feedback,
        request::{Hook, HookCall},
    },
    fhir::{
        client::Client,
        prefetch::{Query, gather},
        terminology::Terminology,
    },
    model::catalog::{Catalog, Definition},
    settings::AsOf,
    store::{FeedbackRecord, open::Stores},
};

/// Time kept back from the deadline for computing and writing the answer.
const FOR_COMPUTING: Duration = Duration::from_millis(400);

/// Everything that a call needs, shared by all calls.
pub struct TwinAdvisor {
    services: Vec<Service>,
    by_id: BTreeMap<String, (Arc<Definition>, Hook, Vec<Query>)>,
    client: Client,
    terminology: Terminology,
    stores: Stores,
    zone: TimeZone,
    as_of: AsOf,
    draws: usize,
    recent: Recent,
    /// Evaluations that compute at one time; waiting for a FHIR server does not count, so that a slow one starves nobody.
    computing: Arc<Semaphore>,
}

/// What a [`TwinAdvisor`] is made from.
pub struct Parts {
    /// The twins.
    pub catalog: Catalog,
    /// For FHIR servers.
    pub client: Client,
    /// Product codes.
    pub terminology: Terminology,
    /// Twins and feedback.
    pub stores: Stores,
    /// Zone of cards and of times without one.
    pub zone: TimeZone,
    /// What counts as now.
    pub as_of: AsOf,
    /// Posterior draws.
    pub draws: usize,
}

impl TwinAdvisor {
    /// Puts the parts together. Services come from the twins' files alone.
    #[must_use]
    pub fn new(parts: Parts) -> Arc<Self> {
        let mut services = Vec::new();
        let mut by_id = BTreeMap::new();
        for definition in &parts.catalog.twins {
            let queries = services::queries(&definition.file);
            for (service, hook) in services::services(&definition.file).into_iter().zip(Hook::ALL) {
                by_id.insert(service.id.clone(), (Arc::clone(definition), hook, queries.clone()));
                services.push(service);
            }
        }
        Arc::new(Self {
            services,
            by_id,
            client: parts.client,
            terminology: parts.terminology,
            stores: parts.stores,
            zone: parts.zone,
            as_of: parts.as_of,
            draws: parts.draws,
            recent: Recent::default(),
            computing: Arc::new(Semaphore::new(
                2 * std::thread::available_parallelism().map_or(2, usize::from),
            )),
        })
    }

    async fn answer(self: Arc<Self>, call: HookCall) -> Result<Response, CallError> {
        let Some((definition, hook, queries)) = self.by_id.get(&call.service_id) else {
            return Err(CallError::BadRequest("no such service".to_owned()));
        };
        let definition = Arc::clone(definition);
        // An order hook that is not about this twin's drug is answered without looking at the patient.
        let drafts = evaluate::drafts(&self, &definition, &call);
        if *hook != Hook::PatientView && drafts.orders.is_empty() && !drafts.other_way {
            return Ok(Response::default());
        }
        let until = call.deadline.checked_sub(FOR_COMPUTING).unwrap_or(call.deadline);
        let started = Instant::now();
        let gathered = gather(&call, queries, &self.client, until).await;
        let missing: Vec<&str> = gathered
            .missing_required()
            .filter(|(_, state)| *state != crate::fhir::prefetch::KeyState::Nothing)
            .map(|(key, _)| key)
            .collect();
        if !missing.is_empty() {
            return Err(CallError::MissingData(format!(
                "needed and neither in prefetch nor to be had from fhirServer: {}",
                missing.join(", ")
            )));
        }
        let gathering = started.elapsed();
        let turn = Arc::clone(&self.computing).acquire_owned();
        let turn = tokio::time::timeout_at(call.deadline.into(), turn).await;
        let Ok(Ok(turn)) = turn else {
            return Err(CallError::Busy);
        };
        let this = Arc::clone(&self);
        let computing = tokio::task::spawn_blocking(move || {
            let answer = evaluate::evaluate(&this, &definition, &call, &gathered);
            drop(turn);
            answer
        });
        let answer = computing.await.map_err(|e| {
            tracing::error!(panicked = e.is_panic(), "an evaluation did not end");
            CallError::Internal
        })?;
        tracing::info!(
            gathering_ms = u64::try_from(gathering.as_millis()).unwrap_or(u64::MAX),
            total_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
            "evaluated"
        );
        answer
    }
}

/// The handle that the HTTP layer calls.
pub struct Handle(pub Arc<TwinAdvisor>);

impl Advisor for Handle {
    fn services(&self) -> &[Service] {
        &self.0.services
    }

    fn advise(&self, call: HookCall) -> BoxFuture<'_, Result<Response, CallError>> {
        Arc::clone(&self.0).answer(call).boxed()
    }

    fn feedback(&self, service_id: &str, entries: Vec<Feedback>) -> BoxFuture<'_, Result<(), CallError>> {
        let log = Arc::clone(&self.0.stores.feedback);
        let service = service_id.to_owned();
        async move {
            let stored = tokio::task::spawn_blocking(move || {
                for entry in entries {
                    let record = FeedbackRecord {
                        received: Timestamp::now(),
                        tenant: "local".to_owned(),
                        service: service.clone(),
                        feedback: serde_json::to_value(&entry).map_err(|e| e.to_string())?,
                    };
                    log.append(&record).map_err(|e| e.to_string())?;
                }
                Ok::<(), String>(())
            });
            match stored.await {
                Ok(Ok(())) => Ok(()),
                Ok(Err(error)) => {
                    tracing::error!(error, "feedback could not be stored");
                    Err(CallError::Internal)
                }
                Err(_) => Err(CallError::Internal),
            }
        }
        .boxed()
    }
}
