//! The HTTP edge: routes, limits, headers and errors around [`Advisor`](crate::cds::advisor::Advisor).
//!
//! | route | method | answer |
//! |---|---|---|
//! | `/cds-services` | GET, HEAD | services on offer |
//! | `/cds-services/{id}` | POST | cards for one hook call |
//! | `/cds-services/{id}/feedback` | POST | 200 once the feedback is stored |
//! | `/health` | GET, HEAD | 200 while the process answers |
//! | `/ready` | GET, HEAD | 200, or 503 with the checks that fail |
//! | `/metrics` | GET, HEAD | counts and times, on a listener of its own or where it is asked for |
//! | `/openapi.json` | GET, HEAD | what is neither FHIR nor CDS Hooks, described |
//!
//! Every error, of ours or of the framework's, is an OperationOutcome. No answer and no log line repeats what was sent.

use actix_web::{
    HttpResponse,
    http::{Method, header},
    web,
};

pub mod discovery;
pub mod edge;
pub mod error;
pub mod feedback;
pub mod guard;
pub mod headers;
pub mod health;
pub mod hook;
pub mod idle;
pub mod inflate;
pub mod language;
pub mod limits;
pub mod measure;
pub mod openapi;
pub mod server;
pub mod settings;

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_limits;

/// Adds all routes; [`Edge`](edge::Edge) must be among the application's data.
pub fn configure(config: &mut web::ServiceConfig) {
    let read = || web::method(Method::GET);
    let head = || web::method(Method::HEAD);
    let only_read = || web::to(|| only("GET, HEAD"));
    let only_post = || web::to(|| only("POST"));
    config
        .service(
            web::resource("/cds-services")
                .route(read().to(discovery::list))
                .route(head().to(discovery::list))
                .default_service(only_read()),
        )
        .service(
            web::resource("/cds-services/{id}")
                .route(web::post().to(hook::call))
                .default_service(only_post()),
        )
        .service(
            web::resource("/cds-services/{id}/feedback")
                .route(web::post().to(feedback::take))
                .default_service(only_post()),
        )
        .service(
            web::resource("/health")
                .route(read().to(health::alive))
                .route(head().to(health::alive))
                .default_service(only_read()),
        )
        .service(
            web::resource("/ready")
                .route(read().to(health::ready))
                .route(head().to(health::ready))
                .default_service(only_read()),
        )
        .service(
            web::resource("/openapi.json")
                .route(read().to(openapi::document))
                .route(head().to(openapi::document))
                .default_service(only_read()),
        )
        .default_service(web::to(|| async { HttpResponse::NotFound().finish() }));
}

/// 405 with the methods that would do. [`headers::finish`] writes the body.
async fn only(methods: &'static str) -> HttpResponse {
    HttpResponse::MethodNotAllowed()
        .insert_header((header::ALLOW, methods))
        .finish()
}
