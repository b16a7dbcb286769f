//! The seam between the protocol and the medicine.

use std::time::Instant;

use futures_util::future::BoxFuture;

use super::{card::Response, discovery::Service, feedback::Feedback, request::HookCall};

/// Why a call got no cards. The HTTP layer turns this into a status and an OperationOutcome.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// Data that the service cannot do without are neither in prefetch nor to be had: 412.
    #[error("{0}")]
    MissingData(String),
    /// The request contradicts itself (a Patient that is not the one in context): 412 as well, without advice.
    #[error("{0}")]
    Contradiction(String),
    /// The request is malformed in a way only seen while handling it: 400.
    #[error("{0}")]
    BadRequest(String),
    /// Ours: 500, with nothing told but an id to look for in the log.
    #[error("internal error")]
    Internal,
    /// Too much to do: 503 with Retry-After.
    #[error("overloaded")]
    Busy,
}

/// The services of a tenant.
#[derive(Debug, Clone, Copy)]
pub struct Own<'a> {
    /// Those that answer.
    pub services: &'a [Service],
    /// Those of them that discovery lists.
    pub listed: &'a [Service],
}

/// Gives advice. Implemented by the application, called by the HTTP layer.
pub trait Advisor: Send + Sync {
    /// The services that answer, in a stable order.
    fn services(&self) -> &[Service];
    /// Those of them that discovery lists.
    fn listed(&self) -> &[Service] {
        self.services()
    }
    /// What tenants see that do not see all.
    fn own(&self) -> Vec<(&str, Own<'_>)> {
        Vec::new()
    }
    /// Whether calls can be answered now: models compiled, store open. Until then `/ready` says 503.
    fn ready(&self) -> bool {
        true
    }
    /// Whether there is so much to do that a call of this service that comes now could hardly be answered by `deadline`: it is
    /// better turned away at once. Cheap, as it is asked for every call.
    fn is_overloaded(&self, _service_id: &str, _deadline: Instant) -> bool {
        false
    }
    /// Answers one hook call before `call.deadline`; whatever takes longer than a millisecond is done off the async threads.
    ///
    /// The texts of errors are shown to the client: they must not repeat what it sent.
    fn advise(&self, call: HookCall) -> BoxFuture<'_, Result<Response, CallError>>;
    /// Stores feedback of a tenant durably, then returns.
    fn feedback(&self, tenant: &str, service_id: &str, entries: Vec<Feedback>) -> BoxFuture<'_, Result<(), CallError>>;
}
