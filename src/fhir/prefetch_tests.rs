#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use std::time::Duration;

use super::*;
use crate::fhir::stub::{Stub, call, client, soon};

fn query(key: &str, template: &str) -> Query {
    Query {
        key: key.to_owned(),
        template: template.to_owned(),
        required: true,
    }
}

fn data(json: impl Into<String>) -> Prefetched {
    Prefetched::Data(RawValue::from_string(json.into()).unwrap())
}

fn searchset(next: &str) -> Prefetched {
    data(format!(
        r#"{{"resourceType":"Bundle","link":[{{"relation":"next","url":"{next}"}}],"entry":[]}}"#
    ))
}

fn missing(gathered: &Gathered) -> Vec<&str> {
    gathered.missing_required().map(|(key, _)| key).collect()
}

#[actix_web::test]
async fn only_what_is_absent_is_fetched() {
    let stub = Stub::start("http://127.0.0.1:9");
    let mut call = call(Some(stub.access()));
    call.prefetch
        .insert("sent".to_owned(), data(r#"{"resourceType":"Patient","id":"ok"}"#));
    call.prefetch.insert("null".to_owned(), Prefetched::Nothing);
    call.prefetch.insert("failed".to_owned(), Prefetched::Failed);
    call.prefetch.insert(
        "inside".to_owned(),
        data(r#"{"resourceType":"Bundle","entry":[{"resource":{"resourceType":"OperationOutcome","issue":[{"severity":"fatal"}]}}]}"#),
    );
    call.prefetch.insert("unknown".to_owned(), data("{}"));
    call.prefetch
        .insert("odd".to_owned(), data(r#"{"resourceType":"Bundle","link":7}"#));
    let keys = ["sent", "null", "failed", "inside", "odd"];
    let mut queries: Vec<_> = keys
        .iter()
        .map(|key| query(key, "Patient/{{context.patientId}}"))
        .collect();
    queries.push(query("read", "Patient/{{context.patientId}}"));
    queries.push(query(
        "search",
        "Observation?patient={{context.patientId}}&case=pages-2&date=ge{{today() - 7 days}}",
    ));
    queries.push(query("encounter", "Encounter/{{context.encounterId}}"));
    queries.push(query("user", "{{context.userId}}"));
    queries.push(Query {
        required: false,
        ..query("gone", "Patient/status-404")
    });
    queries.push(query("refused", "Patient/status-401"));
    let gathered = gather(&call, &queries, &client(), soon()).await;
    for (key, state, pages) in [
        ("sent", KeyState::Prefetched { partial: false }, 1),
        ("null", KeyState::Nothing, 0),
        ("failed", KeyState::FailedAtClient, 0),
        ("inside", KeyState::FailedAtClient, 0),
        ("odd", KeyState::Prefetched { partial: false }, 1),
        ("read", KeyState::Fetched { partial: false }, 1),
        ("search", KeyState::Fetched { partial: false }, 3),
        ("encounter", KeyState::Unavailable, 0),
        ("user", KeyState::Fetched { partial: false }, 1),
        ("gone", KeyState::FetchFailed(Failure::NotFound), 0),
        ("refused", KeyState::FetchFailed(Failure::Unauthorized), 0),
    ] {
        assert_eq!(gathered.states[key], state, "{key}");
        assert_eq!(
            gathered.resources.get(key).map_or(0, |pages| pages.len()),
            pages,
            "{key}"
        );
    }
    assert_eq!(
        gathered.states.len(),
        queries.len(),
        "keys that nobody asked for are ignored"
    );
    assert_eq!(missing(&gathered), ["encounter", "failed", "inside", "null", "refused"]);
    assert_eq!(gathered.partial().count(), 0);
    let mut targets = stub.targets();
    targets.retain(|target| target != "/r4/metadata");
    assert_eq!(targets.len(), 7, "{targets:?}");
    assert_eq!(stub.targets().len(), 8, "the version, once");
    assert!(targets.iter().any(|target| target == "/r4/Practitioner/u1"));
    assert!(
        stub.seen
            .lock()
            .unwrap()
            .iter()
            .all(|seen| seen.target == "/r4/metadata" || seen.headers["authorization"] == "Bearer token-canary")
    );
}

#[actix_web::test]
async fn another_version_of_fhir_is_not_read() {
    let stub = Stub::start("http://127.0.0.1:9");
    let queries = [
        query("a", "Patient/{{context.patientId}}"),
        query("b", "Patient/{{context.patientId}}"),
    ];
    let mut call = call(Some(crate::fhir::stub::access(&format!("{}/r5", stub.base()))));
    call.prefetch
        .insert("a".to_owned(), data(r#"{"resourceType":"Patient"}"#));
    let gathered = gather(&call, &queries, &client(), soon()).await;
    assert_eq!(gathered.states["a"], KeyState::Prefetched { partial: false });
    assert_eq!(gathered.states["b"], KeyState::FetchFailed(Failure::OtherVersion));
    assert_eq!(gathered.resources.keys().collect::<Vec<_>>(), ["a"]);
}

#[actix_web::test]
async fn without_a_server_or_with_one_that_is_not_listed() {
    let queries = [
        query("a", "Patient/{{context.patientId}}"),
        query("b", "Patient/{{context.patientId}}"),
    ];
    let mut call = call(None);
    call.prefetch
        .insert("a".to_owned(), searchset("https://evil.example/r4?page=2"));
    let gathered = gather(&call, &queries, &client(), soon()).await;
    assert_eq!(gathered.states["a"], KeyState::Prefetched { partial: true });
    assert_eq!(gathered.states["b"], KeyState::Unavailable);
    assert_eq!(
        (missing(&gathered), gathered.partial().collect::<Vec<_>>()),
        (vec!["b"], vec!["a"])
    );
    call.fhir = Some(crate::fhir::stub::access("https://evil.example/r4"));
    let gathered = gather(&call, &queries, &client(), soon()).await;
    assert_eq!(gathered.states["a"], KeyState::Prefetched { partial: true });
    assert_eq!(gathered.states["b"], KeyState::FetchFailed(Failure::NotAllowed));
}

#[actix_web::test]
async fn pages_of_what_was_sent_are_followed_on_the_same_server_only() {
    let away = Stub::start("http://127.0.0.1:9");
    let stub = Stub::start(&away.base());
    for (next, pages, partial) in [
        (format!("{}/Observation?case=pages-2", stub.base()), 4, false),
        (format!("{}?case=pages-1", stub.base()), 3, false),
        ("Observation?case=pages-0".to_owned(), 2, false),
        (format!("{}/Observation?case=endless-0", stub.base()), 10, true),
        (format!("{}/Observation?case=status-500", stub.base()), 1, true),
        (format!("{}/Observation?case=foreign", stub.base()), 2, true),
        (format!("{}/Observation?case=pages-0", away.base()), 1, true),
        (format!("http://127.0.0.1:{}/admin", stub.port), 1, true),
    ] {
        let mut call = call(Some(stub.access()));
        call.prefetch.insert("a".to_owned(), searchset(&next));
        let gathered = gather(&call, &[query("a", "Observation?patient=x")], &client(), soon()).await;
        assert_eq!(gathered.states["a"], KeyState::Prefetched { partial }, "{next}");
        assert_eq!(gathered.resources["a"].len(), pages, "{next}");
    }
    assert!(away.targets().is_empty());
}

#[actix_web::test]
async fn queries_run_side_by_side_and_a_stall_takes_none_of_the_others_along() {
    let stub = Stub::start("http://127.0.0.1:9");
    let queries: Vec<_> = (0..5)
        .map(|n| query(&format!("stall{n}"), "Patient/stall"))
        .chain((0..5).map(|n| query(&format!("ok{n}"), "Patient/{{context.patientId}}")))
        .collect();
    let begun = Instant::now();
    let gathered = gather(
        &call(Some(stub.access())),
        &queries,
        &client(),
        begun + Duration::from_millis(400),
    )
    .await;
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    for n in 0..5 {
        assert_eq!(
            gathered.states[&format!("stall{n}")],
            KeyState::FetchFailed(Failure::Timeout)
        );
        assert_eq!(gathered.states[&format!("ok{n}")], KeyState::Fetched { partial: false });
    }
}
