//! Probes for whatever watches over the process.

use std::sync::Arc;

use actix_web::{
    HttpResponse, HttpResponseBuilder,
    http::{StatusCode, header},
    web,
};
use serde_json::json;

use super::edge::Edge;
use crate::metrics;

/// What a check finds. The words are shown to whoever asks: they are ours, and say nothing of files, hosts or patients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// In order.
    Fine,
    /// Calls are answered, but something is not as it was set up.
    Degraded(&'static str),
    /// Calls should go elsewhere.
    Failing(&'static str),
}

type Look = Box<dyn Fn() -> State + Send + Sync>;

/// What must be in order for calls to be answered; each part of the application adds its own.
#[derive(Default)]
pub struct Checks(Vec<(&'static str, Look)>);

impl Checks {
    /// Adds a check. It is made for every probe, on a thread that serves connections: it must not wait for anything.
    #[must_use]
    pub fn with(mut self, name: &'static str, look: impl Fn() -> State + Send + Sync + 'static) -> Self {
        self.0.push((name, Box::new(look)));
        self
    }

    /// Makes all checks, and notes them in the metrics.
    #[must_use]
    pub fn look(&self) -> Vec<(&'static str, State)> {
        let found: Vec<_> = self.0.iter().map(|(name, look)| (*name, look())).collect();
        for (name, state) in &found {
            let number = match state {
                State::Fine => 1,
                State::Degraded(_) => 2,
                State::Failing(_) => 0,
            };
            metrics::check(name, number);
        }
        found
    }
}

/// `GET /health`: the process answers.
pub async fn alive() -> HttpResponse {
    answer(StatusCode::OK, &json!({ "status": "alive" }))
}

/// `GET /ready`: calls can be answered; 503 until then, which is not an error and so no OperationOutcome.
pub async fn ready(edge: Option<web::Data<Edge>>, checks: Option<web::Data<Checks>>) -> HttpResponse {
    let mut found = checks.map(|checks| checks.look()).unwrap_or_default();
    if edge.is_some_and(|edge| !edge.advisor.ready()) {
        found.push(("advice", State::Failing("starting")));
    }
    let any = |wanted: fn(&State) -> bool| found.iter().any(|(_, state)| wanted(state));
    let (code, status) = if any(|state| matches!(state, State::Failing(_))) {
        (StatusCode::SERVICE_UNAVAILABLE, "not ready")
    } else if any(|state| matches!(state, State::Degraded(_))) {
        (StatusCode::OK, "degraded")
    } else {
        (StatusCode::OK, "ready")
    };
    let checks: Vec<_> = found
        .iter()
        .map(|(name, state)| match state {
            State::Fine => json!({ "name": name, "status": "ready" }),
            State::Degraded(why) => json!({ "name": name, "status": "degraded", "reason": why }),
            State::Failing(why) => json!({ "name": name, "status": "not ready", "reason": why }),
        })
        .collect();
    answer(code, &json!({ "status": status, "checks": checks }))
}

fn answer(status: StatusCode, body: &serde_json::Value) -> HttpResponse {
    HttpResponseBuilder::new(status)
        .insert_header((header::CONTENT_TYPE, "application/json"))
        .body(body.to_string())
}

/// `GET /metrics`.
pub async fn counted(checks: Option<web::Data<Checks>>) -> HttpResponse {
    // So that what they find is told as well.
    drop(checks.map(|checks| checks.look()));
    match metrics::text() {
        Ok(text) => HttpResponse::Ok()
            .insert_header((header::CONTENT_TYPE, metrics::MEDIA_TYPE))
            .body(text),
        Err(_) => HttpResponse::InternalServerError().finish(),
    }
}

/// Adds the checks for [`ready`], and where asked for `/metrics`.
pub fn configure(config: &mut web::ServiceConfig, checks: &Arc<Checks>, with_metrics: bool) {
    config.app_data(web::Data::from(Arc::clone(checks)));
    if with_metrics {
        config.service(
            web::resource("/metrics")
                .route(web::get().to(counted))
                .route(web::head().to(counted))
                .default_service(web::to(|| super::only("GET, HEAD"))),
        );
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use actix_web::{App, http::StatusCode, test};
    use serde_json::Value;

    use super::*;

    async fn asked(checks: Checks) -> (StatusCode, Value) {
        let checks = Arc::new(checks);
        let routes = |config: &mut web::ServiceConfig| configure(config, &checks, false);
        let app = App::new().configure(routes).route("/ready", web::get().to(ready));
        let app = test::init_service(app).await;
        let answer = test::call_service(&app, test::TestRequest::get().uri("/ready").to_request()).await;
        (answer.status(), test::read_body_json(answer).await)
    }

    #[actix_web::test]
    async fn the_worst_check_decides_and_all_are_named() {
        let fine = || Checks::default().with("a", || State::Fine);
        let (code, body) = asked(fine()).await;
        assert_eq!((code, &body["status"]), (StatusCode::OK, &json!("ready")));
        let (code, body) = asked(fine().with("b", || State::Degraded("in memory"))).await;
        assert_eq!((code, &body["status"]), (StatusCode::OK, &json!("degraded")));
        let failing = fine()
            .with("b", || State::Degraded("in memory"))
            .with("c", || State::Failing("no keys yet"));
        let (code, body) = asked(failing).await;
        assert_eq!(code, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(
            body,
            json!({ "status": "not ready", "checks": [
                { "name": "a", "status": "ready" },
                { "name": "b", "status": "degraded", "reason": "in memory" },
                { "name": "c", "status": "not ready", "reason": "no keys yet" },
            ] })
        );
    }
}
