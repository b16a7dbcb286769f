//! Counting and timing of requests, and the listener from which they are read.

use std::{io, net::SocketAddr, sync::Arc, time::Instant};

use actix_web::{
    App, Error, HttpServer,
    body::MessageBody,
    dev::{Server, ServiceRequest, ServiceResponse},
    middleware::{Next, from_fn},
    web,
};
use serde::Deserialize;

use super::{headers, health};
use crate::metrics;

/// The `[metrics]` section: where `/metrics` is served. Nobody is asked there who they are.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MetricsSettings {
    /// Address of a listener of its own, best on loopback or an inner network. Default: none.
    pub listen: Option<SocketAddr>,
    /// Whether it is served beside the services as well. Default: no.
    pub public: bool,
}

/// Routes that can be named: as declared. Whatever else was asked for is `none`, so that callers cannot make up labels.
const ROUTES: [&str; 7] = [
    "/cds-services",
    "/cds-services/{id}",
    "/cds-services/{id}/feedback",
    "/health",
    "/ready",
    "/metrics",
    "/openapi.json",
];

/// Counts and times every request.
///
/// # Errors
/// Those of what it wraps.
pub async fn measure<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, Error> {
    let started = Instant::now();
    let _here = metrics::in_flight();
    let answer = next.call(request).await;
    let (route, status) = match &answer {
        Ok(response) => (route(response), response.status()),
        Err(error) => ("none", error.as_response_error().status_code()),
    };
    metrics::request(route, status.as_u16(), started.elapsed());
    answer
}

fn route<B>(response: &ServiceResponse<B>) -> &'static str {
    let Some(pattern) = response.request().match_pattern() else {
        return "none";
    };
    if let Some(known) = ROUTES.iter().find(|known| **known == pattern) {
        return known;
    }
    // Families of routes of others, counted together.
    for (start, name) in [
        ("/fhir", "/fhir"),
        ("/smart", "/smart"),
        ("/.well-known", "/.well-known"),
        ("/demo", "/demo"),
    ] {
        if pattern.starts_with(start) {
            return name;
        }
    }
    "other"
}

/// Serves `/metrics`, `/health` and `/ready` and nothing else; gives the address as bound.
///
/// # Errors
/// When the address cannot be bound.
pub fn serve(listen: SocketAddr, checks: Arc<health::Checks>) -> io::Result<(Server, SocketAddr)> {
    let server = HttpServer::new(move || {
        App::new()
            .configure(|config| health::configure(config, &checks, true))
            .route("/health", web::get().to(health::alive))
            .route("/ready", web::get().to(health::ready))
            .wrap(from_fn(headers::finish))
    })
    .workers(1)
    .max_connections(32)
    .disable_signals()
    .bind(listen)?;
    let address = server
        .addrs()
        .first()
        .copied()
        .ok_or_else(|| io::Error::other("no address was bound"))?;
    Ok((server.run(), address))
}
