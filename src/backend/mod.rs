//! SMART Backend Services: tokens for patients who are met outside a hook, when nobody sends one along. Specification: SMART App
//! Launch 2.2, "Backend Services".
//!
//! [`Backend::access`] gives what a hook call brings with it, a server and a token; all reading then goes the same way. A token goes
//! to its one FHIR server and stays in the memory of this process.

pub mod server;
pub mod settings;
pub mod token;

use std::{collections::BTreeSet, sync::Arc, time::Instant};

use actix_web::{HttpResponse, http::header, web};
use serde_json::{Value, json};
use url::Url;

use self::{server::Server, settings::BackendSettings, token::Trouble};
use crate::{cds::request::FhirAccess, outbound::Outbound};

/// All servers at which this one has an access of its own.
#[derive(Debug)]
pub struct Backend {
    servers: Vec<Server>,
    outbound: Arc<Outbound>,
}

impl Backend {
    /// Reads the keys; no request is made. `types` are those of the resources that the twins read.
    ///
    /// # Errors
    /// For the operator: which setting or file, and what is wrong with it.
    pub fn new(
        settings: &[BackendSettings],
        types: &BTreeSet<String>,
        outbound: Arc<Outbound>,
    ) -> Result<Self, String> {
        let servers: Vec<Server> = settings
            .iter()
            .map(|settings| Server::new(settings, types))
            .collect::<Result<_, _>>()?;
        for (place, server) in servers.iter().enumerate() {
            let same = |other: &&Server| other.base == server.base && other.tenant == server.tenant;
            if servers.iter().skip(place + 1).any(|other| same(&other)) {
                return Err(format!(
                    "backend {:?}: listed twice for one tenant",
                    server.base.as_str()
                ));
            }
        }
        Ok(Self { servers, outbound })
    }

    /// How a tenant's FHIR server is read outside a hook: with a token where it is configured, without one elsewhere. Whether the
    /// server may be asked at all is for the tenant's [client](crate::fhir::client::Client) to say.
    ///
    /// # Errors
    /// [`Trouble`] when a token is needed and cannot be had before `deadline`.
    pub async fn access(&self, tenant: &str, server: &Url, deadline: Instant) -> Result<FhirAccess, Trouble> {
        let token = match self.find(tenant, server) {
            Some(found) => Some(found.token(&self.outbound, deadline).await?),
            None => None,
        };
        Ok(FhirAccess {
            server: server.clone(),
            token,
        })
    }

    /// Says that the FHIR server did not accept the token (401), so that the next [`access`](Self::access) asks for another.
    pub async fn rejected(&self, tenant: &str, access: &FhirAccess) {
        if let (Some(server), Some(token)) = (self.find(tenant, &access.server), &access.token) {
            server.rejected(token).await;
        }
    }

    fn find(&self, tenant: &str, server: &Url) -> Option<&Server> {
        let path = server.path().trim_end_matches('/');
        let same = |own: &&Server| {
            own.tenant == tenant
                && own.base.origin() == server.origin()
                && own.base.path().trim_end_matches('/') == path
        };
        self.servers.iter().find(same)
    }

    /// Base URLs of the servers, each with the id of its tenant.
    pub fn bases(&self) -> impl Iterator<Item = (&str, &Url)> {
        self.servers.iter().map(|server| (server.tenant.as_str(), &server.base))
    }

    /// Whether the last token that was asked for at some server was not had.
    #[must_use]
    pub fn is_failing(&self) -> bool {
        self.servers.iter().any(Server::is_failing)
    }

    /// The public keys, each once.
    #[must_use]
    pub fn keys(&self) -> Value {
        let mut keys: Vec<Value> = Vec::new();
        for key in self.servers.iter().map(Server::key) {
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
        json!({ "keys": keys })
    }
}

/// Adds the key set.
pub fn configure(config: &mut web::ServiceConfig, backend: Arc<Backend>) {
    config
        .app_data(web::Data::from(backend))
        .route("/.well-known/jwks.json", web::get().to(keys));
}

async fn keys(backend: web::Data<Backend>) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((header::CACHE_CONTROL, "max-age=300"))
        .json(backend.keys())
}
