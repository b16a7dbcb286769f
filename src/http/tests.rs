//! The protocol over the wire, row by row of the edge cases.

use std::time::{Duration, Instant};

use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};
use serde_json::{Value, json};

use super::{
    server::{CorsSettings, HttpSettings, Origins},
    testing::{Running, settings, view},
};

fn set(mut body: Value, pointer: &str, value: Value) -> Value {
    let (parent, name) = pointer.rsplit_once('/').expect("a pointer");
    body.pointer_mut(parent).expect("a parent")[name] = value;
    body
}

#[test]
fn discovery_is_stable_and_small() {
    let server = Running::start(settings());
    let first = server.get("/cds-services");
    assert_eq!((first.status, first.header("content-type")), (200, "application/json"));
    assert_eq!(first.json()["services"].as_array().map(Vec::len), Some(4));
    assert_eq!(server.get("/cds-services?_=1").body, first.body);
    assert_eq!(
        server
            .send("GET", "/cds-services", &[("Accept", "text/html")], b"")
            .body,
        first.body
    );
    assert_eq!(server.send("HEAD", "/cds-services", &[], b"").status, 200);
    assert!(!first.body.contains("null"));
}

#[test]
fn health_and_readiness() {
    let server = Running::start(settings());
    assert_eq!(server.get("/health").json()["status"], "alive");
    assert_eq!(server.get("/ready").json()["status"], "ready");
}

#[test]
fn a_call_is_answered_in_the_language_of_the_client() {
    let server = Running::start(settings());
    let answer = server.view(&view("p1"));
    assert_eq!((answer.status, answer.header("content-language")), (200, "en"));
    assert_eq!(answer.json()["cards"][0]["summary"], "en");
    assert_eq!(answer.header("x-request-id").len(), 36);
    let headers = [
        ("Content-Type", "Application/JSON; charset=UTF-8"),
        ("Accept-Language", "fr-FR,en;q=0.1"),
    ];
    let french = server.send(
        "POST",
        "/cds-services/patient-view",
        &headers,
        view("p1").to_string().as_bytes(),
    );
    assert_eq!(french.json()["cards"][0]["summary"], "fr");
}

#[test]
fn errors_of_the_advisor() {
    let server = Running::start(settings());
    assert_eq!(
        server.view(&set(view("p1"), "/prefetch", json!({}))).issue(412)["code"],
        "incomplete"
    );
    server
        .view(&set(view("p1"), "/prefetch/patient", json!(null)))
        .issue(412);
    server
        .view(&set(
            view("p1"),
            "/prefetch/patient",
            json!({ "resourceType": "OperationOutcome" }),
        ))
        .issue(412);
    assert_eq!(server.view(&view("other")).issue(412)["code"], "conflict");
    assert_eq!(server.view(&view("broken")).issue(500)["code"], "exception");
    let busy = server.view(&view("busy"));
    busy.issue(503);
    assert_eq!(busy.header("retry-after"), "1");
}

#[test]
fn a_panic_or_a_late_answer_gives_no_cards() {
    let server = Running::start(HttpSettings {
        deadline: Duration::from_millis(400),
        ..settings()
    });
    let panicked = server.view(&view("panic"));
    assert_eq!((panicked.status, panicked.body.as_str()), (200, r#"{"cards":[]}"#));
    let start = Instant::now();
    let late = server.view(&view("slow"));
    assert_eq!((late.status, late.body.as_str()), (200, r#"{"cards":[]}"#));
    assert!(start.elapsed() < Duration::from_millis(1000), "{:?}", start.elapsed());
    assert_eq!(
        server.view(&view("p1")).json()["cards"].as_array().map(Vec::len),
        Some(1)
    );
}

#[test]
fn pages_of_others_keep_their_headers_and_their_panics() {
    let server = Running::start(settings());
    let page = server.get("/page");
    assert_eq!(
        (
            page.status,
            page.header("cache-control"),
            page.header("x-content-type-options")
        ),
        (200, "max-age=60", "nosniff")
    );
    server.get("/boom").issue(500);
    server.send("POST", "/page", &[], b"").issue(404);
    assert_eq!(server.get("/health").status, 200);
}

#[test]
fn a_body_that_nobody_read_is_not_the_next_request() {
    let server = Running::start(settings());
    let inner = "GET /health HTTP/1.1\r\nHost: x\r\n\r\n";
    for path in ["/cds-services/none", "/cds-services/patient-view"] {
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n",
            inner.len()
        );
        let last = "GET /ready HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        let answers = server.raw(format!("{head}{inner}{last}").as_bytes());
        assert!(!answers.body.contains("alive"), "{}", answers.body);
    }
}

#[test]
fn malformed_calls_name_the_member_and_repeat_nothing() {
    let server = Running::start(settings());
    for (pointer, place) in [
        ("/hook", "hook"),
        ("/hookInstance", "hookInstance"),
        ("/context", "context"),
        ("/context/patientId", "context.patientId"),
    ] {
        let issue = server.view(&set(view("p1"), pointer, json!(5))).issue(400);
        assert_eq!(issue["expression"], json!([place]));
    }
    let answer = server.view(&set(view("p1"), "/context/patientId", json!("SECRET id")));
    answer.issue(400);
    assert!(!answer.body.contains("SECRET"));
    server.view(&set(view("p1"), "/hook", json!("order-sign"))).issue(400);
    server
        .view(&set(view("p1"), "/fhirAuthorization", json!({ "access_token": "x" })))
        .issue(400);
    let text = view("p1").to_string();
    for body in [
        "",
        " ",
        "[]",
        "null",
        "{",
        "{}{}",
        &text.replacen('{', r#"{"hook":"patient-view","#, 1),
        &"[".repeat(100_000),
    ] {
        server.post("/cds-services/patient-view", body.as_bytes()).issue(400);
    }
    server
        .post("/cds-services/patient-view", b"{\"a\":\"\xff\"}")
        .issue(400);
}

#[test]
fn unknown_services_paths_and_methods() {
    let server = Running::start(settings());
    let body = view("p1").to_string();
    for path in [
        "/cds-services/no-such",
        "/cds-services/patient-view%20",
        "/cds-services/%ff%fe",
        "/cds-services/%00",
        "/cds-services/",
        "/cds-services//",
        "/cds-services/a/b/c",
        "/cds-services/..%2f..%2fetc%2fpasswd",
        "/cds-services/../../etc/passwd",
        "/",
        "/nothing",
        "/cds-services/<script>",
        "/cds-services/no-such/feedback",
    ] {
        let answer = server.post(path, body.as_bytes());
        assert!(matches!(answer.status, 400 | 404), "{path}: {}", answer.status);
        assert!(!answer.body.contains("script") && !answer.body.contains("passwd"));
        if answer.status == 404 {
            answer.issue(404);
        }
    }
    server
        .post(&format!("/cds-services/{}", "a".repeat(6000)), body.as_bytes())
        .issue(404);
    server
        .post(&format!("/cds-services/{}", "a".repeat(9000)), body.as_bytes())
        .issue(414);
    for (path, methods, allowed) in [
        (
            "/cds-services",
            &["POST", "PUT", "DELETE", "PATCH", "TRACE"][..],
            "get, head",
        ),
        (
            "/cds-services/patient-view",
            &["GET", "PUT", "DELETE", "PATCH", "TRACE"],
            "post",
        ),
        ("/cds-services/patient-view/feedback", &["GET", "PUT"], "post"),
        ("/health", &["POST"], "get, head"),
    ] {
        for method in methods {
            let answer = server.send(method, path, &[("Content-Type", "application/json")], b"{}");
            answer.issue(405);
            assert_eq!(answer.header("allow"), allowed);
        }
    }
    let long = "y".repeat(40_000);
    server.send("GET", "/cds-services", &[("X-Big", &long)], b"").issue(431);
    assert_eq!(
        server
            .send("GET", "/cds-services", &[("X-Big", &long[..20_000])], b"")
            .status,
        200
    );
}

#[test]
fn content_types() {
    let server = Running::start(settings());
    let body = view("p1").to_string();
    let post = |headers: &[(&str, &str)]| server.send("POST", "/cds-services/patient-view", headers, body.as_bytes());
    for bad in [
        "text/plain",
        "application/xml",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "garbage",
        "",
    ] {
        post(&[("Content-Type", bad)]).issue(415);
    }
    post(&[]).issue(415);
    for good in [
        "application/json;charset=utf-8",
        "APPLICATION/JSON",
        "application/fhir+json",
    ] {
        assert_eq!(post(&[("Content-Type", good)]).status, 200);
    }
}

#[test]
fn feedback() {
    let server = Running::start(settings());
    let post = |body: Value| server.post("/cds-services/order-sign/feedback", body.to_string().as_bytes());
    let entry =
        |card: &str| json!({ "card": card, "outcome": "overridden", "outcomeTimestamp": "2026-11-23T10:05:31Z" });
    let taken = post(json!({ "feedback": [entry("a"), entry("a")] }));
    assert_eq!((taken.status, taken.body.as_str()), (200, "{}"));
    assert_eq!(
        post(json!({ "feedback": [{}] })).issue(400)["expression"],
        json!(["feedback[0].card"])
    );
    post(json!({ "feedback": [entry("broken")] })).issue(500);
    post(json!({ "feedback": [entry("panic")] })).issue(500);
    post(json!({ "feedback": [], "pad": "x".repeat(1 << 20) })).issue(413);
    assert_eq!(post(json!({ "feedback": [entry("a")] })).status, 200);
}

#[test]
fn cors_for_any_page() {
    let server = Running::start(settings());
    let origin = ("Origin", "https://page.example");
    for (path, method) in [
        ("/cds-services", "GET"),
        ("/cds-services/patient-view", "POST"),
        ("/cds-services/patient-view/feedback", "POST"),
    ] {
        let asked = [
            origin,
            ("Access-Control-Request-Method", method),
            ("Access-Control-Request-Headers", "authorization,content-type"),
        ];
        let answer = server.send("OPTIONS", path, &asked, b"");
        assert_eq!(
            (answer.status, answer.header("access-control-allow-origin")),
            (200, "*")
        );
        assert!(answer.header("access-control-allow-headers").contains("authorization"));
        assert_eq!(answer.header("access-control-allow-credentials"), "");
    }
    let refused = [
        origin,
        ("Access-Control-Request-Method", "POST"),
        ("Access-Control-Request-Headers", "x-other"),
    ];
    server.send("OPTIONS", "/cds-services", &refused, b"").issue(400);
    for (method, path, status) in [
        ("GET", "/cds-services", 200),
        ("POST", "/cds-services/patient-view", 415),
        ("POST", "/cds-services/x", 404),
        ("PUT", "/cds-services", 405),
    ] {
        let answer = server.send(method, path, &[origin], b"");
        assert_eq!(
            (answer.status, answer.header("access-control-allow-origin")),
            (status, "*"),
            "{method} {path}"
        );
    }
}

#[test]
fn cors_for_listed_pages_only() {
    let origins = Origins::List(vec!["https://ehr.example".to_owned()]);
    let server = Running::start(HttpSettings {
        cors: CorsSettings { origins },
        ..settings()
    });
    let allowed = |origin| {
        let answer = server.send("GET", "/cds-services", &[("Origin", origin)], b"");
        (answer.status, answer.header("access-control-allow-origin").to_owned())
    };
    assert_eq!(allowed("https://ehr.example"), (200, "https://ehr.example".to_owned()));
    assert_eq!(allowed("https://evil.example"), (200, String::new()));
}

#[test]
fn arbitrary_bodies_never_give_5xx() {
    let server = Running::start(settings());
    let text = view("p1").to_string().into_bytes();
    let mutated = (0..text.len(), any::<u8>(), any::<bool>()).prop_map({
        let text = text.clone();
        move |(at, byte, insert)| {
            let mut body = text.clone();
            if insert {
                body.insert(at, byte)
            } else {
                body[at] = byte
            }
            body
        }
    });
    let bodies = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..200),
        mutated,
        "\\PC{0,80}".prop_map(String::into_bytes)
    ];
    let mut runner = TestRunner::new(Config {
        cases: 300,
        failure_persistence: None,
        ..Config::default()
    });
    let outcome = runner.run(&(bodies, any::<bool>()), |(body, feedback)| {
        let path = if feedback {
            "/cds-services/patient-view/feedback"
        } else {
            "/cds-services/patient-view"
        };
        let answer = server.post(path, &body);
        prop_assert!((200..500).contains(&answer.status), "{}", answer.status);
        if answer.status >= 400 {
            answer.issue(answer.status);
        }
        Ok(())
    });
    outcome.expect("no 5xx");
}
