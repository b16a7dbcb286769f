//! What is counted, where it can be read, and that nothing of a patient is in it.

use serde_json::json;

use super::support::{Server, draft, sample};

/// Ids and values that are in the calls and must be nowhere in the metrics.
const PATIENT: &str = "pat-7f3a-known";

fn text(address: std::net::SocketAddr, path: &str) -> (u16, String) {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    stream
        .write_all(format!("GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n").as_bytes())
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    (status, answer)
}

/// The number behind a name and labels, 0 when it is not there yet.
fn count(metrics: &str, series: &str) -> f64 {
    let line = metrics.lines().find_map(|line| line.strip_prefix(series));
    line.map_or(0.0, |value| value.trim().parse().unwrap())
}

#[test]
fn calls_are_counted_and_no_patient_is_told() {
    let server = Server::patient();
    let metrics = || {
        let (status, text) = text(server.address, "/metrics");
        assert_eq!(status, 200);
        text
    };
    let mut request = server.request("order-sign", &sample("moreau"), Some(&draft("moreau")));
    let id = request["context"]["patientId"].as_str().unwrap().to_owned();
    request = serde_json::from_str(&request.to_string().replace(&id, PATIENT)).unwrap();
    request["context"]["userId"] = json!("Practitioner/doctor-5521");
    request["context"]["encounterId"] = json!("enc-9931");
    // The process is shared with other tests, which count as well; the twin's own lines are those of its hooks.
    let before = metrics();
    for _ in 0..2 {
        let (status, body) = server.call("order-sign", &request);
        assert_eq!(
            (status, body["cards"].as_array().map(Vec::len)),
            (200, Some(1)),
            "{body}"
        );
    }
    // A record that is asked of a FHIR server.
    let (_, built) = server.get("/demo/request/okafor/vancomycin-patient-view?mode=server");
    let (status, body) = server.call("patient-view", &built["request"]);
    assert_eq!(status, 200, "{body}");
    // A path and a method that somebody made up, with the id in them, and a call that is refused.
    text(server.address, &format!("/Patient/{PATIENT}?name=Moreau"));
    text(server.address, &format!("/cds-services/{PATIENT}"));
    let (status, _) = server.call("order-sign", &json!({ "hook": PATIENT }));
    assert_eq!(status, 400);
    let after = metrics();
    for (series, least) in [
        (
            r#"jumeau_http_requests_total{route="/cds-services/{id}",status="2xx"}"#,
            2.0,
        ),
        (
            r#"jumeau_http_requests_total{route="/cds-services/{id}",status="4xx"}"#,
            2.0,
        ),
        (r#"jumeau_http_requests_total{route="none",status="4xx"}"#, 1.0),
        (
            r#"jumeau_http_request_duration_seconds_count{route="/cds-services/{id}"}"#,
            3.0,
        ),
        (
            r#"jumeau_evaluation_duration_seconds_count{twin="vancomycin",outcome="advised"}"#,
            2.0,
        ),
        (r#"jumeau_fhir_queries_total{outcome="ok"}"#, 3.0),
        (r#"jumeau_twin_cache_total{twin="vancomycin",result="miss"}"#, 1.0),
        (r#"jumeau_twin_cache_total{twin="vancomycin",result="recent"}"#, 1.0),
    ] {
        let more = count(&after, series) - count(&before, series);
        assert!(more >= least, "{series}: {more} more\n{after}");
    }
    assert!(count(&after, "jumeau_resident_memory_bytes") > 1e6);
    assert_eq!(count(&after, r#"jumeau_check{check="models"}"#), 1.0);
    let lower = after.to_lowercase();
    for secret in [
        PATIENT,
        "moreau",
        &id.to_lowercase(),
        "doctor-5521",
        "enc-9931",
        "patient/",
    ] {
        assert!(!lower.contains(secret), "{secret} is in the metrics");
    }
    // Every label and every value of one is known beforehand.
    let labels = [
        "route", "status", "reason", "twin", "outcome", "result", "store", "check", "answer", "le",
    ];
    for line in after.lines().filter(|line| line.starts_with("jumeau_")) {
        let inside = line
            .split_once('{')
            .map_or("", |(_, rest)| rest.rsplit_once('}').unwrap().0);
        for label in inside.split("\",").filter(|label| !label.is_empty()) {
            let (name, value) = label.split_once("=\"").unwrap();
            assert!(labels.contains(&name), "{line}");
            assert!(value.len() < 40, "{line}");
        }
    }
}

#[test]
fn metrics_have_a_listener_of_their_own() {
    let server = Server::production(|settings| settings.metrics.listen = Some("127.0.0.1:0".parse().unwrap()));
    let (status, _) = text(server.address, "/metrics");
    assert_eq!(status, 404, "not beside the services unless it is asked for");
    let own = server.metrics.unwrap();
    let (status, body) = text(own, "/metrics");
    assert_eq!(status, 200);
    assert!(
        body.to_lowercase()
            .contains("content-type: application/openmetrics-text; version=1.0.0"),
        "{body}"
    );
    assert!(body.ends_with("# EOF\n"));
    assert_eq!(text(own, "/ready").0, 200);
    assert_eq!(text(own, "/health").0, 200);
    assert_eq!(text(own, "/cds-services").0, 404, "nothing else is served there");
    let public = Server::production(|settings| settings.metrics.public = true);
    assert_eq!(text(public.address, "/metrics").0, 200);
}

#[test]
fn readiness_names_what_is_wrong_and_where_to_look() {
    let server = Server::start();
    let (status, body) = server.get("/ready");
    assert_eq!((status, &body["status"]), (200, &json!("ready")), "{body}");
    // A second server on the same folder can keep neither twins nor feedback.
    let folder = server.data.path().to_owned();
    let second = Server::with(|settings| settings.store.directory = Some(folder.clone()));
    let (status, body) = second.get("/ready");
    assert_eq!(status, 503);
    let state = |name: &str| {
        let checks = body["checks"].as_array().unwrap();
        checks.iter().find(|check| check["name"] == name).unwrap()["status"].clone()
    };
    assert_eq!(state("models"), "ready");
    assert_eq!(state("twin store"), "degraded");
    assert_eq!(state("feedback log"), "not ready");
    assert!(!body.to_string().contains(folder.to_str().unwrap()), "{body}");
    // It is alive all the same, and advises.
    assert_eq!(second.get("/health").0, 200);
}
