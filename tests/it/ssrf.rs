//! A caller names a FHIR server that is none: nothing is sent there, and no token.

use std::{
    io::Write as _,
    net::TcpListener,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use serde_json::{Value, json};

use super::support::Server;

/// Listens on all addresses of this machine and counts who connects.
fn canary() -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("0.0.0.0:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let hits = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&hits);
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            counter.fetch_add(1, Ordering::SeqCst);
            let _ = stream.write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        }
    });
    (port, hits)
}

fn call(server: &Server, fhir: &Value) -> (u16, String) {
    let body = json!({ "hook": "patient-view", "hookInstance": "d1577c69-dfbe-44ad-ba6d-3e05e953b2ea",
        "context": { "userId": "Practitioner/a", "patientId": "p1" }, "fhirServer": fhir,
        "fhirAuthorization": { "access_token": "token-canary", "token_type": "Bearer", "expires_in": 300,
            "scope": "patient/*.rs", "subject": "jumeau" } });
    let json = [("content-type", "application/json")];
    let (status, _, text) = server.send(
        "POST",
        "/cds-services/vancomycin-patient-view",
        &json,
        &body.to_string(),
    );
    (status, text)
}

#[test]
fn only_listed_servers_are_asked_however_an_address_is_written() {
    let (port, hits) = canary();
    let server = Server::production(|settings| {
        settings.fhir.loopback_http = false;
        settings.fhir.allow = vec!["https://fhir.hospital.invalid/r4".to_owned()];
    });
    let mut addresses: Vec<String> = [
        "127.0.0.1",
        "localhost",
        "LOCALHOST",
        "localhost.",
        "127.1",
        "127.0.1",
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "017700000001",
        "0177.0.0.1",
        "0.0.0.0",
        "0",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "127.0.0.1.",
        "①②⑦.⓪.⓪.①",
        "fhir.hospital.invalid@127.0.0.1",
        "127.0.0.1#@fhir.hospital.invalid",
        "127.0.0.1?@fhir.hospital.invalid",
        "127.0.0.1\\@fhir.hospital.invalid",
        "fhir.hospital.invalid\u{9}@127.0.0.1",
    ]
    .iter()
    .flat_map(|host| {
        let at = host.rfind(['#', '?', '\\']).map_or_else(
            || format!("{host}:{port}"),
            |place| format!("{}:{port}{}", &host[..place], &host[place..]),
        );
        [format!("http://{at}/r4"), format!("https://{at}/r4")]
    })
    .collect();
    addresses.extend(
        [
            "file:///etc/passwd",
            "gopher://127.0.0.1/",
            "ftp://127.0.0.1/",
            "data:application/json,{}",
            "javascript:1",
            "//127.0.0.1/r4",
            "http:127.0.0.1",
            "http:///127.0.0.1/r4",
            "http://169.254.169.254/latest/meta-data",
            "https://fhir.hospital.invalid.evil.example/r4",
            "https://fhir.hospital.invalid/r4evil",
            "https://fhir.hospital.invalid/r4/../../admin",
            "https://fhir.hospital.invalid/r4/%2e%2e/admin",
            "https://fhir.hospital.invalid:444/r4",
            "http://fhir.hospital.invalid/r4",
            "",
        ]
        .map(str::to_owned),
    );
    for address in &addresses {
        let (status, text) = call(&server, &json!(address));
        assert!(matches!(status, 400 | 412), "{address}: {status} {text}");
        assert!(
            !text.contains("token-canary") && !text.contains("127.0.0.1"),
            "{address}: {text}"
        );
    }
    for other in [
        json!(7),
        json!(["http://127.0.0.1"]),
        json!({ "url": "http://127.0.0.1" }),
        json!(true),
    ] {
        assert!(matches!(call(&server, &other).0, 400 | 412), "{other}");
    }
    assert_eq!(hits.load(Ordering::SeqCst), 0, "somebody was asked who is not listed");
    // The canary sings when it is listed.
    let listed = Server::production(|settings| settings.fhir.allow = vec![format!("http://127.0.0.1:{port}/r4")]);
    assert_eq!(call(&listed, &json!(format!("http://127.0.0.1:{port}/r4"))).0, 412);
    assert!(hits.load(Ordering::SeqCst) > 0);
}
