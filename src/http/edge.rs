//! What the handlers share.

use std::{collections::HashMap, sync::Arc};

use actix_web::web::Bytes;
use tokio::{
    runtime::{Handle, RuntimeFlavor},
    task::JoinHandle,
};

use super::{
    guard::Guard,
    limits::{Budget, Gate},
    settings::HttpSettings,
};
use crate::{
    auth::Caller,
    cds::{
        advisor::Advisor,
        discovery::{Discovery, Offer, Service, offer},
        request::Hook,
    },
};

/// What a tenant sees.
pub struct Face {
    /// The discovery answer, written once: it never changes while the server runs.
    pub discovery: Bytes,
    offer: Offer,
}

/// What the handlers share: one for the whole server.
pub struct Edge {
    /// Gives advice.
    pub advisor: Arc<dyn Advisor>,
    /// As configured.
    pub settings: HttpSettings,
    /// Whether callers must say who they are.
    pub guard: Guard,
    /// Lets evaluations in.
    pub gate: Gate,
    /// Counts the bytes of bodies.
    pub budget: Budget,
    common: Face,
    /// Of tenants that do not see all.
    own: HashMap<String, Face>,
    runtime: Option<Handle>,
}

impl Edge {
    /// Prepares to serve.
    ///
    /// # Errors
    /// When settings or services cannot work, in words for the operator.
    pub fn new(settings: HttpSettings, advisor: Arc<dyn Advisor>, guard: Guard) -> Result<Self, String> {
        settings.check()?;
        let common = Face::of(advisor.services(), advisor.listed())?;
        let own = advisor.own().into_iter();
        let own = own.map(|(tenant, own)| Ok((tenant.to_owned(), Face::of(own.services, own.listed)?)));
        let own = own.collect::<Result<_, String>>()?;
        // Evaluations run on the runtime of the caller where it has several threads: then deadlines hold even if an evaluation
        // keeps its thread busy. The threads that read requests have a runtime each, of one thread.
        let runtime = Handle::try_current()
            .ok()
            .filter(|h| h.runtime_flavor() == RuntimeFlavor::MultiThread);
        Ok(Self {
            common,
            own,
            guard,
            gate: Gate::new(settings.max_evaluations, settings.queue),
            budget: Budget::new(settings.body_budget),
            advisor,
            settings,
            runtime,
        })
    }

    /// What this caller sees.
    #[must_use]
    pub fn face(&self, caller: Option<&Caller>) -> &Face {
        let own = caller.and_then(|caller| self.own.get(&*caller.tenant));
        own.unwrap_or(&self.common)
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

impl Face {
    fn of(services: &[Service], listed: &[Service]) -> Result<Self, String> {
        let discovery = serde_json::to_vec(&Discovery { services: listed }).map_err(|e| e.to_string())?;
        Ok(Self {
            discovery: discovery.into(),
            offer: offer(services)?,
        })
    }

    /// The service of that id, with its hooks. The id is ours and so may be logged, which that of a URL may not.
    #[must_use]
    pub fn service(&self, id: &str) -> Option<(&str, &[Hook])> {
        self.offer
            .get_key_value(id)
            .map(|(id, hooks)| (id.as_str(), hooks.as_slice()))
    }
}
