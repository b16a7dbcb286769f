//! What the handlers share.

use std::sync::Arc;

use actix_web::web::Bytes;
use tokio::{
    runtime::{Handle, RuntimeFlavor},
    task::JoinHandle,
};

use super::{
    limits::{Budget, Gate},
    settings::HttpSettings,
};
use crate::cds::{
    advisor::Advisor,
    discovery::{Discovery, Offer, offer},
    request::Hook,
};

/// What the handlers share: one for the whole server.
pub struct Edge {
    /// Gives advice.
    pub advisor: Arc<dyn Advisor>,
    /// As configured.
    pub settings: HttpSettings,
    /// The discovery answer, written once: it never changes while the server runs.
    pub discovery: Bytes,
    /// Lets evaluations in.
    pub gate: Gate,
    /// Counts the bytes of bodies.
    pub budget: Budget,
    offer: Offer,
    runtime: Option<Handle>,
}

impl Edge {
    /// Prepares to serve.
    ///
    /// # Errors
    /// When settings or services cannot work, in words for the operator.
    pub fn new(settings: HttpSettings, advisor: Arc<dyn Advisor>) -> Result<Self, String> {
        settings.check()?;
        let offer = offer(advisor.services())?;
        let discovery = serde_json::to_vec(&Discovery {
            services: advisor.listed(),
        })
        .map_err(|e| e.to_string())?;
        // Evaluations run on the runtime of the caller where it has several threads: then deadlines hold even if an evaluation
        // keeps its thread busy. The threads that read requests have a runtime each, of one thread.
        let runtime = Handle::try_current()
            .ok()
            .filter(|h| h.runtime_flavor() == RuntimeFlavor::MultiThread);
        Ok(Self {
            discovery: discovery.into(),
            gate: Gate::new(settings.max_evaluations, settings.queue),
            budget: Budget::new(settings.body_budget),
            advisor,
            settings,
            offer,
            runtime,
        })
    }

    /// The service of that id, with its hooks. The id is ours and so may be logged, which that of a URL may not.
    #[must_use]
    pub fn service(&self, id: &str) -> Option<(&str, &[Hook])> {
        self.offer
            .get_key_value(id)
            .map(|(id, hooks)| (id.as_str(), hooks.as_slice()))
    }

    /// Runs a task that outlives the request.
    pub fn spawn<F>(&self, task: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        match &self.runtime {
            Some(runtime) => runtime.spawn(task),
            None => tokio::spawn(task),
        }
    }
}
