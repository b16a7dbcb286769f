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

use std::sync::Arc;

use actix_web::{HttpRequest, HttpResponse, http::header, web};
use jiff::Timestamp;
use tokio::sync::Semaphore;
use url::Url;

use crate::{backend::Backend, service::TwinAdvisor, store::AuditLog};
use jobs::Jobs;
use kept::Kept;
use settings::OperationsSettings;

/// What the handlers share.
pub struct Operations {
    advisor: Arc<TwinAdvisor>,
    settings: OperationsSettings,
    /// Where patients are that a call names without a server.
    server: Option<Url>,
    kept: Arc<Kept>,
    jobs: Jobs,
    turns: Semaphore,
    started: Timestamp,
    backend: Arc<Backend>,
    audit: Arc<AuditLog>,
}

/// What [`Operations`] are made from.
pub struct Parts<'a> {
    /// As configured.
    pub settings: OperationsSettings,
    /// The twins.
    pub advisor: Arc<TwinAdvisor>,
    /// Access to FHIR servers.
    pub backend: Arc<Backend>,
    /// Who did what.
    pub audit: Arc<AuditLog>,
    /// FHIR servers that may be asked.
    pub allowed: &'a [String],
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
    pub fn new(parts: Parts<'_>) -> Result<Self, String> {
        let settings = parts.settings;
        settings.check()?;
        Ok(Self {
            server: run::default_server(settings.server.as_ref(), parts.allowed),
            kept: Kept::new(settings.keep, settings.keep_bytes),
            jobs: Jobs::new(settings.jobs, settings.keep, settings.keep_bytes),
            turns: Semaphore::new(settings.parallel),
            started: Timestamp::now(),
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
    config.service(
        web::scope("/fhir")
            .app_data(operations)
            .service(
                web::resource("")
                    .route(web::post().to(calls::batch))
                    .default_service(only("POST")),
            )
            .service(
                web::resource("/metadata")
                    .route(web::get().to(definitions::metadata))
                    .default_service(only("GET")),
            )
            .service(
                web::resource("/$async/{id}")
                    .route(web::get().to(calls::look))
                    .route(web::delete().to(calls::cancel))
                    .default_service(only("GET, DELETE")),
            )
            .service(
                web::resource("/${operation}")
                    .route(web::post().to(calls::system))
                    .default_service(only("POST")),
            )
            .service(
                web::resource("/Patient/{id}/${operation}")
                    .route(web::post().to(calls::instance))
                    .default_service(only("POST")),
            )
            .service(
                web::resource("/{type}/{id}")
                    .route(web::get().to(definitions::definition))
                    .default_service(only("GET")),
            ),
    );
}

/// Who calls. Without authentication everybody is the one tenant there is.
fn caller_of(_request: &HttpRequest) -> Caller {
    Caller {
        tenant: "local".to_owned(),
        name: "anybody".to_owned(),
    }
}

/// Where the caller reached this server, for links in answers. Who names a strange host gets links to that host and nowhere else.
fn base_of(request: &HttpRequest) -> String {
    let connection = request.connection_info();
    let host = connection.host();
    let plain = host.bytes().all(|b| b.is_ascii_alphanumeric() || b".-:[]".contains(&b));
    match connection.scheme() {
        scheme @ ("http" | "https") if plain && !host.is_empty() => format!("{scheme}://{host}"),
        _ => String::new(),
    }
}
