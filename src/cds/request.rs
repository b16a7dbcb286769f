//! A hook call, parsed. Specification: CDS Hooks 2.0.1, "Calling a CDS Service", and the hooks' pages for the context.

use std::{collections::BTreeMap, time::Instant};

use serde_json::value::RawValue;
use url::Url;

use super::{
    json::{Object, checked, text_of, wrong_type},
    malformed::{Fault, Malformed},
};

/// Longest `hookInstance` that is taken; the specification wants a UUID, and nobody needs more than a few of those.
const LONGEST_INSTANCE: usize = 256;
/// Longest access token that is taken: it must fit into the header of a request.
const LONGEST_TOKEN: usize = 16 * 1024;

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

    /// The hook of that name, if it is one of ours. Names are case-sensitive.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|hook| hook.name() == name)
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
#[derive(Clone)]
pub enum Prefetched {
    /// A resource or a Bundle, still text: an object with a string `resourceType` that is not OperationOutcome.
    Data(Box<RawValue>),
    /// `null`: the client looked, and there is nothing.
    Nothing,
    /// An OperationOutcome, or something that is no resource at all: the client tried and failed; not to be tried again.
    Failed,
}

impl std::fmt::Debug for Prefetched {
    /// Without the data, which are a patient's.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Data(raw) => write!(f, "Data({} bytes)", raw.get().len()),
            Self::Nothing => f.write_str("Nothing"),
            Self::Failed => f.write_str("Failed"),
        }
    }
}

/// What is known of a call before its body is read.
#[derive(Debug, Clone, Copy)]
pub struct Envelope<'a> {
    /// Service id of the URL.
    pub service_id: &'a str,
    /// Hooks that the service is listed for.
    pub hooks: &'a [Hook],
    /// Language tag chosen by content negotiation.
    pub language: &'static str,
    /// When the answer must be on its way.
    pub deadline: Instant,
    /// Tenant of the caller, where callers are asked who they are.
    pub tenant: Option<&'a str>,
}

/// One call of one service.
#[derive(Clone)]
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
    /// For whom, for keeping tenants apart: the caller's tenant. Where callers are not asked who they are, origin and path of the FHIR
    /// server, since patient ids are those of a server, or `local`.
    pub tenant: String,
    /// Language tag chosen by content negotiation, `en` or `fr`.
    pub language: &'static str,
    /// When the answer must be on its way.
    pub deadline: Instant,
    /// Whether a page of ours asks, which shows what there is: a card also where nobody would be interrupted, and for a patient who is
    /// not on the treatment yet.
    pub page: bool,
}

impl std::fmt::Debug for HookCall {
    /// Service and hook only: nearly every other field is about a patient.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HookCall")
            .field("service_id", &self.service_id)
            .field("hook", &self.hook)
            .finish_non_exhaustive()
    }
}

impl HookCall {
    /// Reads the body of a call. Members that the specification does not know, and `extension`, are ignored.
    ///
    /// Draft orders and prefetch are kept as text: real clients send FHIR that is not valid there, and whether that matters is
    /// for those to decide who read them.
    ///
    /// # Errors
    /// [`Malformed`] with the member at fault.
    pub fn parse(body: &[u8], envelope: Envelope<'_>) -> Result<Self, Malformed> {
        let root = Object::root(checked(body)?)?;
        let hook = hook(&root, envelope.hooks)?;
        let hook_instance = root.required_text("hookInstance")?;
        if hook_instance.len() > LONGEST_INSTANCE || hook_instance.chars().any(char::is_control) {
            let message = format!("hookInstance must be at most {LONGEST_INSTANCE} printable bytes; a UUID is best.");
            return Err(Malformed::member(Fault::Value, "hookInstance", message));
        }
        let context = root.required_object("context")?;
        let user_id = reference(&context, "userId")?;
        let patient_id = logical_id(&context, "patientId")?;
        let encounter_id = match context.get("encounterId") {
            Some(_) => Some(logical_id(&context, "encounterId")?),
            None => None,
        };
        let selections = if hook == Hook::OrderSelect {
            selections(&context)?
        } else {
            Vec::new()
        };
        let draft_orders = if hook == Hook::PatientView {
            Vec::new()
        } else {
            draft_orders(&context)?
        };
        let prefetch = match root.object("prefetch")? {
            Some(object) => object.members().map(|(key, raw)| (key, prefetched(raw))).collect(),
            None => BTreeMap::new(),
        };
        let fhir = fhir_access(&root)?;
        let tenant = match (envelope.tenant, &fhir) {
            (Some(tenant), _) => tenant.to_owned(),
            (None, Some(access)) => tenant_of(&access.server),
            (None, None) => "local".to_owned(),
        };
        Ok(Self {
            service_id: envelope.service_id.to_owned(),
            hook,
            hook_instance,
            patient_id,
            user_id: Some(user_id),
            encounter_id,
            draft_orders,
            selections,
            prefetch,
            fhir,
            tenant,
            language: envelope.language,
            deadline: envelope.deadline,
            page: false,
        })
    }
}

/// The hook, which must be one that the service is listed for.
fn hook(root: &Object<'_>, listed: &[Hook]) -> Result<Hook, Malformed> {
    let name = root.required_text("hook")?;
    Hook::from_name(&name)
        .filter(|hook| listed.contains(hook))
        .ok_or_else(|| {
            let names: Vec<&str> = listed.iter().map(|hook| hook.name()).collect();
            let message = format!("This service answers to the hook {} only.", names.join(" and "));
            Malformed::member(Fault::NotSupported, "hook", message)
        })
}

/// Whether this is a logical id as FHIR defines it: such an id needs no escaping in a URL.
#[must_use]
pub fn is_logical_id(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.')
}

fn logical_id(context: &Object<'_>, name: &str) -> Result<String, Malformed> {
    let id = context.required_text(name)?;
    // Dots alone are a legal id but a path that leads elsewhere.
    if is_logical_id(&id) && !id.bytes().all(|b| b == b'.') {
        return Ok(id);
    }
    let place = context.place(name);
    let message = format!("{place} must be the logical id of a resource: 1 to 64 letters, digits, '-' and '.'.");
    Err(Malformed::member(Fault::Value, place, message))
}

/// `Type/id`.
fn reference(context: &Object<'_>, name: &str) -> Result<String, Malformed> {
    let text = context.required_text(name)?;
    let good = text.split_once('/').is_some_and(|(kind, id)| {
        kind.starts_with(|c: char| c.is_ascii_uppercase())
            && kind.len() <= 64
            && kind.bytes().all(|b| b.is_ascii_alphabetic())
            && is_logical_id(id)
    });
    if good {
        return Ok(text);
    }
    let place = context.place(name);
    let message = format!("{place} must be a relative reference, such as Practitioner/123.");
    Err(Malformed::member(Fault::Value, place, message))
}

fn selections(context: &Object<'_>) -> Result<Vec<String>, Malformed> {
    let items = context.required_array("selections")?;
    let text = |(n, raw): (usize, &RawValue)| {
        text_of(raw).ok_or_else(|| wrong_type(format!("context.selections[{n}]"), "a string"))
    };
    items.into_iter().enumerate().map(text).collect()
}

/// Resources of the Bundle of drafts. `type` and `entry` may be missing, `resourceType` too.
fn draft_orders(context: &Object<'_>) -> Result<Vec<Box<RawValue>>, Malformed> {
    let bundle = context.required_object("draftOrders")?;
    if bundle.text("resourceType")?.is_some_and(|kind| kind != "Bundle") {
        let place = bundle.place("resourceType");
        return Err(Malformed::member(
            Fault::Value,
            place,
            "context.draftOrders must be a Bundle.",
        ));
    }
    let mut orders = Vec::new();
    for (n, raw) in bundle.array("entry")?.unwrap_or_default().into_iter().enumerate() {
        let entry = Object::at(format!("context.draftOrders.entry[{n}]"), raw)?;
        if let Some(resource) = entry.get("resource") {
            Object::at(entry.place("resource"), resource)?;
            orders.push(resource.to_owned());
        }
    }
    Ok(orders)
}

fn prefetched(raw: &RawValue) -> Prefetched {
    if raw.get() == "null" {
        return Prefetched::Nothing;
    }
    let kind = Object::at(String::new(), raw).and_then(|object| object.text("resourceType"));
    match kind.ok().flatten().as_deref() {
        None | Some("OperationOutcome") => Prefetched::Failed,
        Some(_) => Prefetched::Data(raw.to_owned()),
    }
}

/// `fhirServer` with the token of `fhirAuthorization`. A server that cannot be used is as good as none.
fn fhir_access(root: &Object<'_>) -> Result<Option<FhirAccess>, Malformed> {
    let Some(raw) = root.get("fhirServer") else {
        return match root.get("fhirAuthorization") {
            None => Ok(None),
            Some(_) => Err(Malformed::member(
                Fault::Required,
                "fhirServer",
                "fhirServer is required with fhirAuthorization: the token is for that server.",
            )),
        };
    };
    let server = text_of(raw).as_deref().and_then(server_url);
    Ok(server.map(|server| FhirAccess {
        server,
        token: root.get("fhirAuthorization").and_then(token),
    }))
}

/// A base URL: http or https, a host, no credentials, query or fragment, and written as RFC 3986 would, since a reader more
/// forgiving than the next one is how requests are smuggled.
fn server_url(text: &str) -> Option<Url> {
    if !text.bytes().all(|b| b.is_ascii_graphic() && b != b'\\') || !text.contains("://") {
        return None;
    }
    let url = Url::parse(text).ok()?;
    let plain =
        url.username().is_empty() && url.password().is_none() && url.query().is_none() && url.fragment().is_none();
    (matches!(url.scheme(), "http" | "https") && url.has_host() && plain && !text.contains('@')).then_some(url)
}

/// The bearer token, unless it is missing, expired, of another type or not fit for a header (RFC 6750, section 2.1).
fn token(raw: &RawValue) -> Option<Secret> {
    let object = Object::at("fhirAuthorization".to_owned(), raw).ok()?;
    if !object
        .text("token_type")
        .ok()?
        .is_none_or(|kind| kind.eq_ignore_ascii_case("bearer"))
    {
        return None;
    }
    let lifetime: Option<f64> = object.get("expires_in").and_then(|raw| raw.get().parse().ok());
    let token = object.text("access_token").ok()??;
    let sendable = (1..=LONGEST_TOKEN).contains(&token.len()) && token.bytes().all(|b| b.is_ascii_graphic());
    (sendable && lifetime.is_none_or(|seconds| seconds > 0.0)).then(|| Secret::new(token))
}

/// What patients of a FHIR server are kept under when nobody vouches for the caller: origin and path without trailing slashes, in the
/// normal form of the URL standard.
#[must_use]
pub fn tenant_of(server: &Url) -> String {
    format!(
        "{}{}",
        server.origin().ascii_serialization(),
        server.path().trim_end_matches('/')
    )
}

#[cfg(test)]
#[path = "request_tests.rs"]
mod tests;
