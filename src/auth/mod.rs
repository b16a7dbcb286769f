//! Who calls: the token of an EHR or of an integration engine, checked, and the tenant that it belongs to.
//! Specification: CDS Hooks 2.0.1, "Trusting CDS Clients"; RFC 7519 (JWT), RFC 7515 (JWS), RFC 8725 (best current practices).
//!
//! A token is good for one call of one address: it is signed with a key of an issuer that is configured, its audience is the address
//! called, its time is now, and its id has not been seen before. Whoever fails is told nothing; the reason is in the log, by a name
//! of ours. Tokens are neither kept nor logged.

pub mod claims;
pub mod keys;
pub mod sets;
pub mod settings;
pub mod verify;

use std::sync::Arc;

pub use verify::{Refusal, Verifier};

/// The tenant of calls that nobody vouches for, when `auth.required` is off.
pub const LOCAL: &str = "local";

/// Who calls, once that is proven. Among the extensions of the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Id of the tenant, as configured.
    pub tenant: Arc<str>,
    /// `iss` of the token, for the audit log.
    pub issuer: Arc<str>,
}
