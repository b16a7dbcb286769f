//! The twin's page, launched from an EHR that a test makes up: clients of each kind, and servers that misbehave.

use std::{
    collections::BTreeMap,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
};

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use jumeau::{settings::Settings, smart::settings::IssuerSettings};
use serde_json::{Value, json};

use crate::{
    smart::{Browser, Seen, at, query},
    support::Server,
};

/// An EHR of which a test decides everything.
struct Stub {
    base: String,
    /// Heads and bodies of the requests to the token endpoint.
    exchanges: Arc<Mutex<Vec<String>>>,
}

/// What the stub answers at an address.
type Script = Arc<dyn Fn(&str) -> (u16, String) + Send + Sync>;

impl Stub {
    fn start(script: impl Fn(&str, &str) -> (u16, Value) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let base = format!("http://{}/fhir", listener.local_addr().unwrap());
        let exchanges = Arc::new(Mutex::new(Vec::new()));
        let (kept, own) = (Arc::clone(&exchanges), base.clone());
        let script: Script = Arc::new(move |path: &str| {
            let (status, body) = script(path, &own);
            (status, body.to_string())
        });
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (script, kept) = (Arc::clone(&script), Arc::clone(&kept));
                std::thread::spawn(move || serve(stream, &script, &kept));
            }
        });
        Self { base, exchanges }
    }

    /// An EHR that works, but for the members of its token answer.
    fn granting(change: Value) -> Self {
        Self::start(move |path, base| match path {
            "/fhir/.well-known/smart-configuration" => (200, configuration(base)),
            "/token" => {
                let mut answer = json!({
                    "access_token": "stub-token", "token_type": "bearer", "expires_in": 600, "scope": "patient/*.rs",
                    "patient": "p1", "appContext": "{\"twin\":\"vancomycin\"}",
                });
                for (name, value) in change.as_object().unwrap() {
                    answer[name] = value.clone();
                }
                (200, answer)
            }
            "/fhir/Patient/p1" => (
                200,
                json!({"resourceType": "Patient", "id": "p1", "name": [{"family": "<b>\"Stub"}]}),
            ),
            _ => (403, json!({"resourceType": "OperationOutcome"})),
        })
    }
}

fn configuration(base: &str) -> Value {
    let origin = base.trim_end_matches("/fhir");
    json!({
        "authorization_endpoint": format!("{origin}/authorize?tenant=a"),
        "token_endpoint": format!("{origin}/token"),
        "code_challenge_methods_supported": ["S256"],
        "capabilities": ["launch-ehr", "permission-v1"],
    })
}

fn serve(mut stream: TcpStream, script: &Script, kept: &Mutex<Vec<String>>) {
    let mut request = Vec::new();
    let mut piece = [0; 4096];
    loop {
        let read = stream.read(&mut piece).unwrap_or(0);
        request.extend_from_slice(&piece[..read]);
        let text = String::from_utf8_lossy(&request).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .to_ascii_lowercase()
                .split("content-length: ")
                .nth(1)
                .map_or(0, |rest| rest.split("\r\n").next().unwrap().parse::<usize>().unwrap());
            if body.len() >= length {
                let path = head.split(' ').nth(1).unwrap().split('?').next().unwrap();
                if path == "/token" {
                    kept.lock().unwrap().push(text.clone());
                }
                let (status, body) = script(path);
                let _ = write!(
                    stream,
                    "HTTP/1.1 {status} x\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                    body.len()
                );
                return;
            }
        }
        if read == 0 {
            return;
        }
    }
}

/// A server at which the stub's app is registered.
fn known(stub: &Stub, change: impl FnOnce(&mut IssuerSettings, &mut Settings)) -> Server {
    let iss = stub.base.clone();
    Server::with(move |settings| {
        let mut issuer = IssuerSettings::public(iss, "the-app".to_owned());
        change(&mut issuer, settings);
        settings.smart.issuer.push(issuer);
    })
}

/// Launches from the stub and comes back with a code; gives the end.
fn through(server: &Server, stub: &Stub, browser: &mut Browser) -> (BTreeMap<String, String>, Seen) {
    let seen = browser.get(&at(server, &format!("/smart/launch?launch=l&iss={}", stub.base)));
    let Some(to) = &seen.location else {
        return (BTreeMap::new(), seen);
    };
    let asked = query(to);
    let state = &asked["state"];
    let end = browser.walk(&at(server, &format!("/smart/callback?code=c&state={state}")));
    (asked, end)
}

#[test]
fn a_public_client_of_an_older_server() {
    let stub = Stub::granting(json!({}));
    let server = known(&stub, |issuer, _| {
        issuer.frame_ancestors = vec!["https://ehr.example".to_owned()]
    });
    let (asked, page) = through(&server, &stub, &mut Browser::new());
    // The address of the authorisation server keeps what it had, and scopes are of the version that it knows.
    assert_eq!(
        (asked["tenant"].as_str(), asked["client_id"].as_str()),
        ("a", "the-app")
    );
    assert!(asked["scope"].contains("patient/Observation.read"));
    let exchange = stub.exchanges.lock().unwrap().join("");
    assert!(
        exchange.contains("client_id=the-app") && exchange.contains("code_verifier=") && exchange.contains("code=c")
    );
    assert!(!exchange.to_ascii_lowercase().contains("authorization:"));
    // Only the Patient may be read: the page says what lacks, and whose page it is, as text.
    page.refused(422, "missing-data");
    assert!(page.body.contains("&lt;b&gt;&quot;Stub"), "{}", page.body);
    assert!(
        page.header("content-security-policy")
            .ends_with("frame-ancestors https://ehr.example")
    );
    assert!(!page.body.contains("stub-token"));
}

#[test]
fn a_confidential_client_shows_its_secret_in_the_header_alone() {
    let stub = Stub::granting(json!({}));
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "s:e cret\n").unwrap();
    let server = known(&stub, |issuer, _| {
        issuer.client_secret_file = Some(file.path().to_owned())
    });
    through(&server, &stub, &mut Browser::new());
    let exchange = stub.exchanges.lock().unwrap().join("");
    // the-app:s%3Ae+cret
    assert!(
        exchange.contains("authorization: Basic dGhlLWFwcDpzJTNBZStjcmV0\r\n"),
        "{exchange}"
    );
    assert!(!exchange.contains("client_id=") && !exchange.contains("cret"));
}

#[test]
fn a_confidential_client_signs_with_the_key_that_it_publishes() {
    let stub = Stub::granting(json!({}));
    let random = aws_lc_rs::rand::SystemRandom::new();
    let kind = &aws_lc_rs::signature::ECDSA_P384_SHA384_FIXED_SIGNING;
    let key = aws_lc_rs::signature::EcdsaKeyPair::generate_pkcs8(kind, &random).unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    let lines = STANDARD.encode(key.as_ref());
    std::fs::write(
        file.path(),
        format!("-----BEGIN PRIVATE KEY-----\n{lines}\n-----END PRIVATE KEY-----\n"),
    )
    .unwrap();
    let server = known(&stub, |issuer, _| {
        issuer.key_file = Some(file.path().to_owned());
        issuer.key_id = Some("key-1".to_owned());
    });
    through(&server, &stub, &mut Browser::new());
    let exchange = stub.exchanges.lock().unwrap().join("");
    let (_, body) = exchange.split_once("\r\n\r\n").unwrap();
    let form: BTreeMap<String, String> = url::form_urlencoded::parse(body.as_bytes()).into_owned().collect();
    assert_eq!(
        form["client_assertion_type"],
        "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
    );
    let claims = form["client_assertion"].split('.').nth(1).unwrap();
    let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap();
    assert_eq!(claims["aud"], stub.base.replace("/fhir", "/token"));
    let (_, keys) = server.get("/smart/jwks.json");
    assert_eq!(
        (keys["keys"][0]["kid"].as_str(), keys["keys"][0].get("d")),
        (Some("key-1"), None)
    );
}

#[test]
fn what_the_server_grants_is_looked_at() {
    for (change, status, code) in [
        (json!({"scope": "launch"}), 403, "no-scope"),
        (json!({"patient": null}), 502, "no-patient"),
        (json!({"patient": "../Practitioner/x"}), 502, "no-patient"),
        (json!({"token_type": "mac"}), 502, "token-answer"),
        (json!({"access_token": "a\r\nb"}), 502, "token-answer"),
        (json!({"expires_in": 0}), 403, "ended"),
    ] {
        let stub = Stub::granting(change);
        let server = known(&stub, |_, _| {});
        through(&server, &stub, &mut Browser::new()).1.refused(status, code);
    }
    let stub = Stub::granting(json!({"scope": "patient/Patient.rs patient/MedicationRequest.rs"}));
    let server = known(&stub, |_, _| {});
    let (_, page) = through(&server, &stub, &mut Browser::new());
    assert!(
        page.body
            .contains("did not let this app read in full: Condition, MedicationAdministration,"),
        "{}",
        page.body
    );
}

#[test]
fn a_server_that_cannot_be_used_is_named() {
    for (well_known, token, status, code) in [
        (json!(null), json!({}), 502, "configuration"),
        (
            json!({"token_endpoint": "https://evil.example/token"}),
            json!({}),
            502,
            "endpoint",
        ),
        (
            json!({"authorization_endpoint": "https://evil.example/login"}),
            json!({}),
            502,
            "endpoint",
        ),
        (
            json!({"code_challenge_methods_supported": ["plain"]}),
            json!({}),
            502,
            "no-pkce",
        ),
        (
            json!({"issuer": "https://login.example", "authorization_response_iss_parameter_supported": true}),
            json!({}),
            403,
            "other-server",
        ),
        (
            json!({}),
            json!({"error": "invalid_client", "error_description": "evil words"}),
            502,
            "token-refused",
        ),
    ] {
        let stub = Stub::start(move |path, base| {
            let mut document = configuration(base);
            match (path, well_known.as_object()) {
                ("/token", _) => (400, token.clone()),
                (_, None) => (200, json!("nothing of the kind")),
                (_, Some(change)) => {
                    for (name, value) in change {
                        document[name] = value.clone();
                    }
                    (200, document)
                }
            }
        });
        let server = known(&stub, |_, _| {});
        let (_, end) = through(&server, &stub, &mut Browser::new());
        end.refused(status, code);
        assert!(!end.body.contains("evil"));
    }
    let stub = Stub::start(|_, _| (500, json!({})));
    let server = known(&stub, |_, _| {});
    through(&server, &stub, &mut Browser::new())
        .1
        .refused(502, "unreachable");
}
