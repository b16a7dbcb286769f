//! What the process counts and times, for Prometheus. One set for the whole process, as a scrape sees a process.
//!
//! Labels are names of ours and nothing else: routes as they are declared, twins, outcomes. Nothing that a caller sent can become a
//! label, so nothing of a patient can, and their number is bounded.

use std::{
    sync::LazyLock,
    time::{Duration, Instant},
};

use prometheus_client::{
    encoding::text::encode,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Registry, Unit},
};

/// Media type of [`text`].
pub const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Upper bounds of times, seconds: from a warm call to the longest that is waited for anywhere.
const SECONDS: [f64; 14] = [
    0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0,
];

type Labels<const N: usize> = [(&'static str, String); N];
type Times<const N: usize> = Family<Labels<N>, Histogram, fn() -> Histogram>;

struct All {
    registry: Registry,
    requests: Family<Labels<2>, Counter>,
    request_time: Times<1>,
    in_flight: Gauge,
    shed: Family<Labels<1>, Counter>,
    refused: Family<Labels<1>, Counter>,
    evaluations: Times<2>,
    cache: Family<Labels<2>, Counter>,
    fhir: Family<Labels<1>, Counter>,
    fhir_time: Times<0>,
    retries: Counter,
    not_asked: Family<Labels<1>, Counter>,
    breakers: Gauge,
    tokens: Family<Labels<1>, Counter>,
    store: Family<Labels<1>, Counter>,
    messages: Family<Labels<1>, Counter>,
    checks: Family<Labels<1>, Gauge>,
    memory: Gauge,
}

static ALL: LazyLock<All> = LazyLock::new(All::new);

fn times() -> Histogram {
    Histogram::new(SECONDS)
}

impl All {
    fn new() -> Self {
        let mut registry = Registry::with_prefix("jumeau");
        let all = Self {
            requests: Family::default(),
            request_time: Family::new_with_constructor(times),
            in_flight: Gauge::default(),
            shed: Family::default(),
            refused: Family::default(),
            evaluations: Family::new_with_constructor(times),
            cache: Family::default(),
            fhir: Family::default(),
            fhir_time: Family::new_with_constructor(times),
            retries: Counter::default(),
            not_asked: Family::default(),
            breakers: Gauge::default(),
            tokens: Family::default(),
            store: Family::default(),
            messages: Family::default(),
            checks: Family::default(),
            memory: Gauge::default(),
            registry: Registry::default(),
        };
        registry.register(
            "http_requests",
            "Requests answered, by route and class of status",
            all.requests.clone(),
        );
        registry.register_with_unit(
            "http_request_duration",
            "Time from the head of a request to its answer, by route",
            Unit::Seconds,
            all.request_time.clone(),
        );
        registry.register(
            "http_requests_in_flight",
            "Requests that are being answered now",
            all.in_flight.clone(),
        );
        registry.register(
            "shed",
            "Calls turned away with 503, by what there was too much of",
            all.shed.clone(),
        );
        registry.register(
            "refused",
            "Calls answered with 401, by what was wrong with the token",
            all.refused.clone(),
        );
        registry.register_with_unit(
            "evaluation_duration",
            "Time of evaluations, waiting for their turn included, by twin and outcome",
            Unit::Seconds,
            all.evaluations.clone(),
        );
        registry.register(
            "twin_cache",
            "Questions to a twin, by where its posterior came from: recent (the whole answer was there), hit (the store), miss (fitted anew)",
            all.cache.clone(),
        );
        registry.register(
            "fhir_queries",
            "Queries to FHIR servers, all pages of one counted once, by outcome",
            all.fhir.clone(),
        );
        registry.register_with_unit(
            "fhir_query_duration",
            "Time of queries to FHIR servers, all pages of one together",
            Unit::Seconds,
            all.fhir_time.clone(),
        );
        registry.register(
            "outbound_retries",
            "Requests sent again because a server asked to be asked later (429, 503)",
            all.retries.clone(),
        );
        registry.register(
            "outbound_not_sent",
            "Requests not sent, by reason: resting (the server failed several times in a row), busy (too many to it under way)",
            all.not_asked.clone(),
        );
        registry.register(
            "outbound_breakers_open",
            "Servers that are left alone now because they failed several times in a row",
            all.breakers.clone(),
        );
        registry.register(
            "backend_tokens",
            "Access tokens of our own asked for, by outcome",
            all.tokens.clone(),
        );
        registry.register(
            "store_failures",
            "Times that something could not be read or written, by store",
            all.store.clone(),
        );
        registry.register(
            "hl7v2_messages",
            "Messages over MLLP, by answer: accepted, wrong (AE), rejected (AR), failed (to be sent again)",
            all.messages.clone(),
        );
        registry.register(
            "check",
            "Checks of readiness: 1 in order, 2 degraded, 0 failing",
            all.checks.clone(),
        );
        registry.register(
            "resident_memory_bytes",
            "Memory that the process holds",
            all.memory.clone(),
        );
        Self { registry, ..all }
    }
}

/// A request was answered. `route` is the path as declared, never as sent.
pub fn request(route: &'static str, status: u16, time: Duration) {
    let class = match status {
        100..=199 => "1xx",
        200..=299 => "2xx",
        300..=399 => "3xx",
        400..=499 => "4xx",
        _ => "5xx",
    };
    ALL.requests
        .get_or_create(&[("route", route.to_owned()), ("status", class.to_owned())])
        .inc();
    ALL.request_time
        .get_or_create(&[("route", route.to_owned())])
        .observe(time.as_secs_f64());
}

/// A request that is being answered while this lives.
#[derive(Debug)]
pub struct InFlight(());

/// A request came.
#[must_use]
pub fn in_flight() -> InFlight {
    ALL.in_flight.inc();
    InFlight(())
}

impl Drop for InFlight {
    fn drop(&mut self) {
        ALL.in_flight.dec();
    }
}

/// Why a call was turned away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shed {
    /// Too many calls in progress and in the queue.
    Calls,
    /// Too much to compute: the call could not have been answered in time.
    Computing,
    /// Too many bytes of bodies.
    Bytes,
}

/// A call was turned away.
pub fn shed(why: Shed) {
    let why = match why {
        Shed::Calls => "calls",
        Shed::Computing => "computing",
        Shed::Bytes => "bytes",
    };
    ALL.shed.get_or_create(&[("reason", why.to_owned())]).inc();
}

/// A twin was asked. `outcome`: advised, refused, silent, or why it was left out.
pub fn evaluated(twin: &str, outcome: &'static str, time: Duration) {
    ALL.evaluations
        .get_or_create(&[("twin", twin.to_owned()), ("outcome", outcome.to_owned())])
        .observe(time.as_secs_f64());
}

/// Where a twin's posterior came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    /// The same question was answered a moment ago.
    Recent,
    /// The store had it.
    Hit,
    /// It was fitted anew.
    Miss,
}

/// A twin's posterior was looked for.
pub fn looked_up(twin: &str, known: Known) {
    let result = match known {
        Known::Recent => "recent",
        Known::Hit => "hit",
        Known::Miss => "miss",
    };
    ALL.cache
        .get_or_create(&[("twin", twin.to_owned()), ("result", result.to_owned())])
        .inc();
}

/// A call was refused for its token; `why` in a word of ours.
pub fn refused(why: &'static str) {
    ALL.refused.get_or_create(&[("reason", why.to_owned())]).inc();
}

/// A query to a FHIR server ended; `outcome` in a word of ours, such as `ok`, `unauthorized` or `timeout`.
pub fn fhir_query(outcome: &'static str, started: Instant) {
    ALL.fhir.get_or_create(&[("outcome", outcome.to_owned())]).inc();
    ALL.fhir_time
        .get_or_create(&[])
        .observe(started.elapsed().as_secs_f64());
}

/// A request to another server was sent again.
pub fn outbound_retried() {
    ALL.retries.inc();
}

/// A request to another server was not sent; `why` in a word of ours.
pub fn outbound_refused(why: &'static str) {
    ALL.not_asked.get_or_create(&[("reason", why.to_owned())]).inc();
}

/// So many more servers are left alone, or fewer.
pub fn breakers_open(change: i64) {
    ALL.breakers.inc_by(change);
}

/// An access token of our own was asked for; `outcome` in a word of ours.
pub fn backend_token(outcome: &'static str) {
    ALL.tokens.get_or_create(&[("outcome", outcome.to_owned())]).inc();
}

/// Something could not be read or written; `store` is `twins`, `feedback`, …
pub fn store_failed(store: &'static str) {
    ALL.store.get_or_create(&[("store", store.to_owned())]).inc();
}

/// A message of another system was answered.
pub fn message(answer: &'static str) {
    ALL.messages.get_or_create(&[("answer", answer.to_owned())]).inc();
}

/// What a check of readiness says now: 1 in order, 2 degraded, 0 failing.
pub fn check(name: &'static str, state: i64) {
    ALL.checks.get_or_create(&[("check", name.to_owned())]).set(state);
}

/// All of it as OpenMetrics text.
///
/// # Errors
/// None that is known of.
pub fn text() -> Result<String, std::fmt::Error> {
    if let Some(bytes) = resident() {
        ALL.memory.set(bytes);
    }
    let mut text = String::new();
    encode(&mut text, &ALL.registry)?;
    Ok(text)
}

/// Memory that the process holds, bytes; where the system tells.
fn resident() -> Option<i64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: i64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn all_is_told_in_the_form_that_is_announced() {
        request("/of-this-test/{id}", 503, Duration::from_millis(3));
        shed(Shed::Computing);
        evaluated("of-this-test", "advised", Duration::from_millis(30));
        looked_up("of-this-test", Known::Miss);
        fhir_query("ok", Instant::now());
        store_failed("twins");
        check("of-this-test", 1);
        let here = in_flight();
        let text = text().unwrap();
        drop(here);
        for line in [
            "# TYPE jumeau_http_requests counter",
            "jumeau_http_requests_total{route=\"/of-this-test/{id}\",status=\"5xx\"} 1",
            "jumeau_http_request_duration_seconds_bucket{le=\"0.005\",route=\"/of-this-test/{id}\"} 1",
            "jumeau_evaluation_duration_seconds_count{twin=\"of-this-test\",outcome=\"advised\"} 1",
            "jumeau_twin_cache_total{twin=\"of-this-test\",result=\"miss\"} 1",
            "jumeau_check{check=\"of-this-test\"} 1",
        ] {
            assert!(text.lines().any(|l| l == line), "{line}\n{text}");
        }
        assert!(text.ends_with("# EOF\n"));
    }
}
