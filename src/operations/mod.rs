//! FHIR operations for integration engines: the twins asked without a hook.
//!
//! | route | method | answer |
//! |---|---|---|
//! | `/fhir/metadata` | GET | CapabilityStatement |
//! | `/fhir/{type}/{id}` | GET | a definition of `profiles/`, or the Library of a twin |
//! | `/fhir/$jumeau-evaluate`, `-simulate`, `-twin` | POST | Bundle of what the twins found |
//! | `/fhir/$jumeau-erase` | POST | Parameters: what was forgotten |
//! | `/fhir/Patient/{id}/$…` | POST | the same for the patient of the path |
//! | `/fhir` | POST | batch of those |
//! | `/fhir/$async/{id}` | GET, DELETE | a request that is answered later |

mod batch;
mod calls;
mod definitions;
mod jobs;
mod kept;
mod library;
mod negotiate;
mod reply;
mod request;
mod run;
pub mod settings;
mod write;

use std::{collections::BTreeMap, sync::Arc};

use actix_web::{HttpRequest, HttpResponse, http::header, web};
use jiff::Timestamp;
use tokio::sync::Semaphore;
use url::Url;

use crate::{
    auth::LOCAL,
    backend::Backend,
    http::{edge::Edge, guard},
    service::TwinAdvisor,
    store::AuditLog,
};
use jobs::Jobs;
use kept::Kept;
use settings::OperationsSettings;

/// What the handlers share.
pub struct Operations {
    advisor: Arc<TwinAdvisor>,
    settings: OperationsSettings,
    /// Where the patients of a tenant are that a call names without a server.
    servers: BTreeMap<String, Url>,
    kept: Arc<Kept>,
    jobs: Jobs,
    turns: Semaphore,
    started: Timestamp,
    backend: Arc<Backend>,
    audit: Arc<AuditLog>,
}

/// What [`Operations`] are made from.
pub struct Parts {
    /// As configured.
    pub settings: OperationsSettings,
    /// The twins.
    pub advisor: Arc<TwinAdvisor>,
    /// Access to FHIR servers.
    pub backend: Arc<Backend>,
    /// Who did what.
    pub audit: Arc<AuditLog>,
    /// FHIR servers that may be asked for a tenant, by its id.
    pub tenants: BTreeMap<String, Vec<String>>,
    /// FHIR servers that may be asked where there are no tenants.
    pub allowed: Vec<String>,
}

/// Who calls.
pub struct Caller {
    /// Whose patients it may ask about.
    pub tenant: String,
    /// Who it is, for the audit log.
    pub name: String,
}

impl Operations {
    /// Puts the parts together.
    ///
    /// # Errors
    /// Which setting cannot work.
    pub fn new(parts: Parts) -> Result<Self, String> {
        let settings = parts.settings;
        settings.check()?;
        Ok(Self {
            servers: run::servers(settings.server.as_deref(), parts.allowed, parts.tenants),
            kept: Kept::new(settings.keep, settings.keep_bytes),
            jobs: Jobs::new(settings.jobs, settings.keep, settings.keep_bytes),
            turns: Semaphore::new(settings.parallel),
            started: run::seconds(Timestamp::now()),
            advisor: parts.advisor,
            backend: parts.backend,
            audit: parts.audit,
            settings,
        })
    }
}

/// Adds the routes.
pub fn configure(config: &mut web::ServiceConfig, operations: web::Data<Operations>) {
    let only = |methods: &'static str| {
        web::to(move || async move {
            HttpResponse::MethodNotAllowed()
                .insert_header((header::ALLOW, methods))
                .finish()
        })
    };
    config
        .app_data(operations)
        .service(
            web::resource("/fhir")
                .route(web::post().to(calls::batch))
                .default_service(only("POST")),
        )
        .service(
            web::resource("/fhir/metadata")
                .route(web::get().to(definitions::metadata))
                .default_service(only("GET")),
        )
        .service(
            web::resource("/fhir/$async/{id}")
                .route(web::get().to(calls::look))
                .route(web::delete().to(calls::cancel))
                .default_service(only("GET, DELETE")),
        )
        .service(
            web::resource("/fhir/${operation}")
                .route(web::post().to(calls::system))
                .default_service(only("POST")),
        )
        .service(
            web::resource("/fhir/Patient/{id}/${operation}")
                .route(web::post().to(calls::instance))
                .default_service(only("POST")),
        )
        .service(
            web::resource("/fhir/{type}/{id}")
                .route(web::get().to(definitions::definition))
                .default_service(only("GET")),
        );
}

/// Who calls. Where nobody is asked who they are, everybody is the one tenant there is.
fn caller_of(request: &HttpRequest) -> Caller {
    match guard::caller(request) {
        Some(caller) => Caller {
            tenant: caller.tenant.to_string(),
            name: caller.issuer.to_string(),
        },
        None => Caller {
            tenant: LOCAL.to_owned(),
            name: "anybody".to_owned(),
        },
    }
}

/// Where callers reach this server, for links in answers: as configured, else as the caller says. Who names a strange host gets links
/// to that host and nowhere else.
fn base_of(request: &HttpRequest) -> String {
    let edge = request.app_data::<web::Data<Edge>>();
    if let Some(public) = edge.and_then(|edge| edge.settings.public_url.as_deref()) {
        return public.trim_end_matches('/').to_owned();
    }
    let connection = request.connection_info();
    let host = connection.host();
    let plain = host.bytes().all(|b| b.is_ascii_alphanumeric() || b".-:[]".contains(&b));
    match connection.scheme() {
        scheme @ ("http" | "https") if plain && !host.is_empty() => format!("{scheme}://{host}"),
        _ => String::new(),
    }
}
