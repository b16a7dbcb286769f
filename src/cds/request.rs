//! A hook call, parsed.

use std::{collections::BTreeMap, time::Instant};

use serde_json::value::RawValue;
use url::Url;

/// The hooks that we serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Hook {
    /// A chart is opened.
    PatientView,
    /// An order is being drafted.
    OrderSelect,
    /// Orders are about to be signed.
    OrderSign,
}

impl Hook {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::PatientView, Self::OrderSelect, Self::OrderSign];

    /// Name in the hook library.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::PatientView => "patient-view",
            Self::OrderSelect => "order-select",
            Self::OrderSign => "order-sign",
        }
    }
}

/// A text that must not be printed: `Debug` shows dots.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(text)
    }
    /// The secret itself, for the one place that sends it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// The FHIR server of the caller and how to enter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FhirAccess {
    /// Base URL.
    pub server: Url,
    /// Bearer token of `fhirAuthorization`; absent on open servers.
    pub token: Option<Secret>,
}

/// The value of one prefetch key. A key that is absent from the request is absent from the map.
#[derive(Debug, Clone)]
pub enum Prefetched {
    /// A resource or a Bundle, still text.
    Data(Box<RawValue>),
    /// `null`: the client looked, and there is nothing.
    Nothing,
    /// An OperationOutcome: the client tried and failed; not to be tried again.
    Failed,
}

/// One call of one service.
#[derive(Debug, Clone)]
pub struct HookCall {
    /// Service id of the URL.
    pub service_id: String,
    /// The hook.
    pub hook: Hook,
    /// `hookInstance` as sent.
    pub hook_instance: String,
    /// Logical id of the patient in context.
    pub patient_id: String,
    /// `Practitioner/abc` and the like.
    pub user_id: Option<String>,
    /// Logical id of the encounter.
    pub encounter_id: Option<String>,
    /// Resources of `context.draftOrders`, still text; lenient, since real clients send invalid FHIR here.
    pub draft_orders: Vec<Box<RawValue>>,
    /// `context.selections`: references into the draft orders.
    pub selections: Vec<String>,
    /// What the client sent along.
    pub prefetch: BTreeMap<String, Prefetched>,
    /// The caller's FHIR server; absent when the client sent none or one that is not an http(s) URL.
    pub fhir: Option<FhirAccess>,
    /// Who calls, for keeping tenants apart: until callers are authenticated, the origin and path of the FHIR server, or `local`.
    pub tenant: String,
    /// Language tag chosen by content negotiation, `en` or `fr`.
    pub language: &'static str,
    /// When the answer must be on its way.
    pub deadline: Instant,
}
