//! Starting the server.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use actix_web::{App, HttpServer, dev::Server, middleware::from_fn, web};

pub use super::settings::{CorsSettings, HttpSettings, Origins};
use super::{
    configure,
    edge::Edge,
    guard::{self, Guard},
    headers,
    idle::Watch,
    measure,
};
use crate::cds::advisor::Advisor;

/// Binds the address and prepares to serve; the server runs while the returned future is awaited, and stops by its handle or
/// by SIGINT and SIGTERM, letting running calls end. Gives the address as bound, which matters for port 0.
///
/// Called inside a tokio runtime of several threads, evaluations run on that runtime; otherwise on the threads that read
/// requests. `extra` adds routes of others, such as the demonstration's pages.
///
/// # Errors
/// When the address cannot be bound, or settings or services cannot work ([`io::ErrorKind::InvalidInput`]).
pub fn serve(
    settings: HttpSettings,
    advisor: Arc<dyn Advisor>,
    guard: Guard,
    extra: impl Fn(&mut web::ServiceConfig) + Clone + Send + 'static,
) -> io::Result<(Server, SocketAddr)> {
    let edge = Edge::new(settings, advisor, guard).map_err(|text| io::Error::new(io::ErrorKind::InvalidInput, text))?;
    let edge = web::Data::new(edge);
    let settings = edge.settings.clone();
    let cors = settings.cors.clone();
    let watch = Watch::start(settings.keep_alive + settings.head_timeout)?;
    let server = HttpServer::new(move || {
        App::new()
            .app_data(edge.clone())
            .configure(extra.clone())
            .configure(configure)
            .wrap(from_fn(guard::guard))
            .wrap(headers::cors(&cors))
            .wrap(from_fn(headers::finish))
            .wrap(from_fn(measure::measure))
    })
    .workers(settings.workers)
    .max_connections(settings.max_connections.div_ceil(settings.workers))
    .client_request_timeout(settings.head_timeout)
    .client_disconnect_timeout(Duration::from_secs(2))
    .keep_alive(settings.keep_alive)
    .on_connect(move |stream, data| watch.connected(stream, data))
    .shutdown_timeout(settings.shutdown_timeout.as_secs())
    .bind(settings.listen)?;
    let address = server
        .addrs()
        .first()
        .copied()
        .ok_or_else(|| io::Error::other("no address was bound"))?;
    Ok((server.run(), address))
}
