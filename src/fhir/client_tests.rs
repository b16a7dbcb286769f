#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use std::{
    io::{Read as _, Write as _},
    net::TcpListener,
};

use super::*;
use std::time::Duration;

use crate::{
    cds::request::Secret,
    fhir::stub::{Stub, TOKEN, access, client, outbound, soon},
};

async fn ask(stub: &Stub, query: &str) -> Result<Answer, Failure> {
    client()
        .session(&stub.access(), "ok", soon())
        .unwrap()
        .query(query)
        .await
}

#[actix_web::test]
async fn a_read_and_what_it_looks_like() {
    let stub = Stub::start("http://127.0.0.1:9");
    let answer = ask(&stub, "Patient/ok").await.unwrap();
    assert_eq!(answer.pages[0].get(), r#"{"resourceType":"Patient","id":"ok"}"#);
    assert!(!answer.partial);
    let seen = stub.seen.lock().unwrap()[0].clone();
    assert_eq!(seen.target, "/r4/Patient/ok");
    for (name, value) in [
        ("authorization", "Bearer token-canary"),
        ("accept", "application/fhir+json, application/json"),
        ("prefer", "handling=strict"),
        ("accept-encoding", "gzip"),
    ] {
        assert_eq!(seen.headers[name], value);
    }
    assert!(!seen.headers.contains_key("referer") && !seen.headers.contains_key("cookie"));
}

#[actix_web::test]
async fn without_a_token_none_is_sent() {
    let stub = Stub::start("http://127.0.0.1:9");
    let access = FhirAccess {
        token: None,
        ..stub.access()
    };
    client()
        .session(&access, "ok", soon())
        .unwrap()
        .query("Patient/ok")
        .await
        .unwrap();
    assert!(!stub.seen.lock().unwrap()[0].headers.contains_key("authorization"));
}

#[actix_web::test]
async fn each_misbehaviour_has_its_name() {
    let stub = Stub::start("http://127.0.0.1:9");
    for (query, failure) in [
        ("Patient/status-401", Failure::Unauthorized),
        ("Patient/status-403", Failure::Forbidden),
        ("Patient/status-404", Failure::NotFound),
        ("Patient/status-410", Failure::NotFound),
        ("Observation?case=status-404", Failure::Status(404)),
        ("Patient/status-429", Failure::Status(429)),
        ("Patient/status-500", Failure::Status(500)),
        ("Patient/status-503", Failure::Status(503)),
        ("Patient/status-201", Failure::Status(201)),
        ("Patient/status-204", Failure::Status(204)),
        ("Patient/html", Failure::NotJson),
        ("Patient/cut", Failure::NotJson),
        ("Patient/latin", Failure::NotJson),
        ("Patient/deep", Failure::NotJson),
        ("Patient/outcome", Failure::Outcome),
        ("Observation?case=outcome", Failure::Outcome),
        ("Observation?case=inside", Failure::Outcome),
        ("Patient/other", Failure::OtherType),
        ("Observation?case=other", Failure::OtherType),
        ("Patient/huge", Failure::TooLarge),
        ("Patient/declared", Failure::TooLarge),
        ("/Patient/ok", Failure::BadQuery),
        ("../Patient/ok", Failure::BadQuery),
        ("Patient/..", Failure::BadQuery),
    ] {
        assert_eq!(ask(&stub, query).await.err(), Some(failure), "{query}");
    }
    // Compressed and large, yet within the limit.
    assert!(ask(&stub, "Patient/large").await.unwrap().pages[0].get().len() > 500 * 1024);
}

#[actix_web::test]
async fn a_stall_or_a_drip_ends_at_the_deadline() {
    let stub = Stub::start("http://127.0.0.1:9");
    let client = client();
    for query in ["Patient/stall", "Patient/drip"] {
        let begun = Instant::now();
        let session = client
            .session(&stub.access(), "ok", begun + Duration::from_millis(200))
            .unwrap();
        assert_eq!(session.query(query).await.err(), Some(Failure::Timeout), "{query}");
        assert!(begun.elapsed() < Duration::from_millis(1500), "{:?}", begun.elapsed());
        assert_eq!(
            session.query("Patient/ok").await.err(),
            Some(Failure::Timeout),
            "nothing is asked after the deadline"
        );
    }
}

#[actix_web::test]
async fn half_a_body_is_no_answer() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let base = format!("http://127.0.0.1:{}/r4", listener.local_addr().unwrap().port());
    let server = std::thread::spawn(move || {
        for answer in [
            "HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{\"resourceType\":\"Patient\"}",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1a\r\n{\"resourceType\":\"Patient\"}\r\n",
            "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 5\r\n\r\nnogzp",
            "HTTP/1.1 20",
            "",
        ] {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
        }
    });
    for _ in 0..5 {
        let client = client();
        let session = client.session(&access(&base), "ok", soon()).unwrap();
        assert_eq!(session.query("Patient/ok").await.err(), Some(Failure::BrokenOff));
    }
    // Not `join`: a connection that never came would hang the test instead of failing it.
    let begun = Instant::now();
    while !server.is_finished() {
        assert!(begun.elapsed() < Duration::from_secs(5), "a request was not sent");
        actix_web::rt::time::sleep(Duration::from_millis(5)).await;
    }
    let client = client();
    let session = client.session(&access(&base), "ok", soon()).unwrap();
    assert_eq!(
        session.query("Patient/ok").await.err(),
        Some(Failure::Unreachable),
        "nobody listens any more"
    );
}

#[actix_web::test]
async fn pages_are_followed_within_bounds() {
    let stub = Stub::start("http://127.0.0.1:9");
    for (case, pages, partial) in [
        ("pages-0", 1, false),
        ("pages-3", 4, false),
        ("pages-9", 10, false),
        ("pages-10", 10, true),
        ("endless-0", 10, true),
        ("relative", 2, false),
        ("loop", 1, true),
        ("outside", 1, true),
        ("broken", 1, true),
    ] {
        stub.seen.lock().unwrap().clear();
        let answer = ask(&stub, &format!("Observation?case={case}")).await.unwrap();
        assert_eq!((answer.pages.len(), answer.partial), (pages, partial), "{case}");
        assert!(stub.seen.lock().unwrap().len() <= 10);
        assert!(stub.targets().iter().all(|target| target.starts_with("/r4/")), "{case}");
    }
    let session_client = client();
    let session = session_client
        .session(&stub.access(), "ok", Instant::now() + Duration::from_millis(400))
        .unwrap();
    let answer = session.query("Observation?case=late").await.unwrap();
    assert_eq!(
        (answer.pages.len(), answer.partial),
        (1, true),
        "what came before the deadline is kept"
    );
}

#[actix_web::test]
async fn what_a_server_did_not_heed_is_sorted_out_or_refused() {
    let stub = Stub::start("http://127.0.0.1:9");
    let answer = ask(&stub, "Observation?patient=ok&case=others").await.unwrap();
    let page = answer.pages[0].get();
    assert!(page.contains("Patient/ok") && !page.contains("canary"), "{page}");
    assert!(!answer.partial, "what came is whole");
    stub.seen.lock().unwrap().clear();
    let answer = ask(&stub, "Observation?patient=ok&case=everybody").await;
    assert_eq!(answer.err(), Some(Failure::Unheeded));
    assert_eq!(stub.targets().len(), 1, "more of everybody's data is not asked for");
    // In no order, yet all of it.
    let answer = ask(&stub, "Observation?_sort=-date&case=unsorted").await.unwrap();
    assert_eq!((answer.pages.len(), answer.partial), (4, false));
    let answer = ask(&stub, "Observation?_sort=-date&much=1&case=unsorted").await;
    assert_eq!(answer.err(), Some(Failure::Unheeded));
}

#[actix_web::test]
async fn no_other_origin_is_ever_asked_nor_sees_the_token() {
    let away = Stub::start("http://127.0.0.1:9");
    // Allowed for itself, yet not in the name of another server.
    let stub = Stub::start(&away.base());
    assert_eq!(ask(&stub, "Patient/redirect").await.err(), Some(Failure::Redirect));
    let answer = ask(&stub, "Observation?case=foreign").await.unwrap();
    assert_eq!((answer.pages.len(), answer.partial), (1, true));
    assert!(away.targets().is_empty(), "{:?}", away.targets());
}

#[actix_web::test]
async fn a_server_that_is_not_listed_is_not_asked() {
    let stub = Stub::start("http://127.0.0.1:9");
    let settings = FhirSettings {
        allow: vec!["https://x.example/r4".to_owned()],
        ..FhirSettings::default()
    };
    let strict = Client::new(&settings, outbound()).unwrap();
    assert_eq!(
        strict.session(&stub.access(), "ok", soon()).err(),
        Some(Failure::NotAllowed)
    );
    let bad = FhirAccess {
        token: Some(Secret::new("a\r\nx-evil: 1".to_owned())),
        ..stub.access()
    };
    assert_eq!(client().session(&bad, "ok", soon()).err(), Some(Failure::BadToken));
    assert!(stub.targets().is_empty());
}

#[actix_web::test]
async fn requests_and_bytes_of_a_call_are_bounded() {
    let stub = Stub::start("http://127.0.0.1:9");
    let settings = FhirSettings {
        loopback_http: true,
        requests: 3,
        call_bytes: 1024 * 1024,
        ..FhirSettings::default()
    };
    let client = Client::new(&settings, outbound()).unwrap();
    let session = client.session(&stub.access(), "ok", soon()).unwrap();
    assert!(session.query("Patient/large").await.is_ok());
    assert!(session.query("Patient/large").await.is_ok());
    assert_eq!(session.query("Patient/large").await.err(), Some(Failure::TooLarge));
    assert_eq!(session.query("Patient/ok").await.err(), Some(Failure::Budget));
    assert_eq!(stub.targets().len(), 3);
}

#[actix_web::test]
async fn nothing_that_may_be_logged_holds_a_token_or_an_id() {
    let stub = Stub::start("http://127.0.0.1:9");
    let client = client();
    let session = client.session(&stub.access(), "ok", soon()).unwrap();
    let failure = session.query("Patient/status-500").await.unwrap_err();
    let shown = format!("{session:?} {client:?} {failure} {failure:?} {:?}", stub.access());
    assert!(!shown.contains(TOKEN) && !shown.contains("status-500"), "{shown}");
}

#[test]
fn settings_are_read_strictly() {
    let read = |text: &str| serde_json::from_str::<FhirSettings>(text);
    let settings = read(r#"{"allow":["https://x.example/r4"],"loopback_http":true}"#).unwrap();
    assert_eq!(
        (settings.allow.len(), settings.pages, settings.loopback_http),
        (1, 10, true)
    );
    assert!(
        read(r#"{"alow":[]}"#)
            .unwrap_err()
            .to_string()
            .contains("expected one of `allow`")
    );
    assert!(Client::new(&read(r#"{"allow":["x.example/r4"]}"#).unwrap(), outbound()).is_err());
}
