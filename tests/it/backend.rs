//! FHIR servers that are read without a hook's token: SMART Backend Services against an authorisation server that checks everything.

use std::{
    collections::BTreeSet,
    io::Write as _,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use aws_lc_rs::{
    encoding::{AsDer, Pkcs8V1Der},
    rand::SystemRandom,
    rsa::{self, KeySize},
    signature::{
        ECDSA_P384_SHA384_FIXED, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, RSA_PKCS1_2048_8192_SHA384,
        RsaPublicKeyComponents, UnparsedPublicKey,
    },
};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use jiff::Timestamp;
use jumeau::{
    backend::{Backend, settings::BackendSettings, token::Trouble},
    cds::request::FhirAccess,
    fhir::client::{Client, Failure, FhirSettings},
    outbound::{Outbound, OutboundSettings},
};
use serde_json::{Value, json};
use url::Url;

use crate::{
    outside::{Asked, Outside, Reply, well},
    support::{ANCHOR, Server, sample},
};

/// A key in a file, as an operator has it.
fn key(elliptic: bool) -> tempfile::NamedTempFile {
    let der = if elliptic {
        let made = EcdsaKeyPair::generate_pkcs8(&ECDSA_P384_SHA384_FIXED_SIGNING, &SystemRandom::new());
        made.unwrap().as_ref().to_vec()
    } else {
        let pair = rsa::KeyPair::generate(KeySize::Rsa2048).unwrap();
        AsDer::<Pkcs8V1Der<'_>>::as_der(&pair).unwrap().as_ref().to_vec()
    };
    let mut file = tempfile::NamedTempFile::new().unwrap();
    let text = STANDARD.encode(der);
    writeln!(file, "-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----").unwrap();
    file
}

fn settings(server: &str, key: &tempfile::NamedTempFile) -> BackendSettings {
    BackendSettings {
        server: server.to_owned(),
        client_id: "jumeau-backend".to_owned(),
        key_file: key.path().to_owned(),
        key_id: "k1".to_owned(),
        scopes: None,
        token_url: None,
        origins: Vec::new(),
        tenant: "local".to_owned(),
    }
}

fn backend(settings: BackendSettings) -> (Backend, Arc<Outbound>) {
    let outbound = Arc::new(Outbound::new(&OutboundSettings::default()).unwrap());
    let types: BTreeSet<String> = ["Patient", "Observation"].map(str::to_owned).into();
    (
        Backend::new(&[settings], &types, Arc::clone(&outbound)).unwrap(),
        outbound,
    )
}

/// What an authorisation server finds wrong with a token request, or its scope.
fn checked(
    asked: &Asked,
    audience: &str,
    keys: &Value,
    used: &Mutex<BTreeSet<String>>,
) -> Result<String, &'static str> {
    let form: Vec<(String, String)> = url::form_urlencoded::parse(asked.body.as_bytes())
        .into_owned()
        .collect();
    let field = |name: &str| {
        let mut all = form.iter().filter(|(key, _)| key == name);
        all.next().map(|(_, value)| value.as_str()).unwrap_or_default()
    };
    if asked.method != "POST" || field("grant_type") != "client_credentials" || form.len() != 4 {
        return Err("invalid_request");
    }
    if field("client_assertion_type") != "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" {
        return Err("invalid_request");
    }
    let assertion = field("client_assertion");
    let (signed, signature) = assertion.rsplit_once('.').unwrap();
    let decoded = |part: &str| URL_SAFE_NO_PAD.decode(part).unwrap();
    let (head, claims) = signed.split_once('.').unwrap();
    let head: Value = serde_json::from_slice(&decoded(head)).unwrap();
    let claims: Value = serde_json::from_slice(&decoded(claims)).unwrap();
    let key = keys["keys"]
        .as_array()
        .unwrap()
        .iter()
        .find(|key| key["kid"] == head["kid"]);
    let key = key.ok_or("invalid_client")?;
    let part = |name: &str| decoded(key[name].as_str().unwrap());
    let proven = match (head["alg"].as_str().unwrap(), key["kty"].as_str().unwrap()) {
        ("ES384", "EC") => {
            let point = [vec![4], part("x"), part("y")].concat();
            UnparsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, point)
                .verify(signed.as_bytes(), &decoded(signature))
                .is_ok()
        }
        ("RS384", "RSA") => RsaPublicKeyComponents {
            n: part("n"),
            e: part("e"),
        }
        .verify(&RSA_PKCS1_2048_8192_SHA384, signed.as_bytes(), &decoded(signature))
        .is_ok(),
        _ => false,
    };
    let now = Timestamp::now().as_second();
    let expires = claims["exp"].as_i64().unwrap();
    let good = proven
        && claims["iss"] == "jumeau-backend"
        && claims["sub"] == "jumeau-backend"
        && claims["aud"] == audience
        && (now + 1..=now + 300).contains(&expires)
        && used.lock().unwrap().insert(claims["jti"].as_str().unwrap().to_owned());
    if good {
        Ok(field("scope").to_owned())
    } else {
        Err("invalid_client")
    }
}

/// A FHIR server that lets nobody in without its newest token, and the authorisation server for it.
struct Hospital {
    outside: Outside,
    given: Arc<AtomicUsize>,
    keys: Arc<Mutex<Value>>,
    scopes: Arc<Mutex<String>>,
    refusing: Arc<AtomicUsize>,
}

impl Hospital {
    fn start(capability: &'static str, expires_in: u64) -> Self {
        let given = Arc::new(AtomicUsize::new(0));
        let (keys, scopes) = (
            Arc::new(Mutex::new(json!({"keys": []}))),
            Arc::new(Mutex::new(String::new())),
        );
        let (used, refusing) = (Mutex::new(BTreeSet::new()), Arc::new(AtomicUsize::new(0)));
        let own = (
            Arc::clone(&given),
            Arc::clone(&keys),
            Arc::clone(&scopes),
            Arc::clone(&refusing),
        );
        let record = sample("moreau");
        let outside = Outside::start(move |asked| {
            let (given, keys, scopes, refusing) = &own;
            let host = asked.head.to_ascii_lowercase();
            let host = host
                .split("host: ")
                .nth(1)
                .unwrap()
                .split("\r\n")
                .next()
                .unwrap()
                .to_owned();
            let endpoint = format!("http://{host}/auth/token");
            match asked.path.as_str() {
                "/fhir/.well-known/smart-configuration" => {
                    Reply::json(200, &json!({"token_endpoint": endpoint, "capabilities": [capability]}))
                }
                "/auth/token" if refusing.load(Relaxed) > 0 => Reply::json(503, &json!({})),
                "/auth/token" => match checked(asked, &endpoint, &keys.lock().unwrap(), &used) {
                    Err(error) => Reply::json(400, &json!({"error": error, "error_description": "canary"})),
                    Ok(scope) => {
                        *scopes.lock().unwrap() = scope;
                        let number = given.fetch_add(1, Relaxed) + 1;
                        let token = format!("token-{number}");
                        Reply::json(
                            200,
                            &json!({"access_token": token, "token_type": "bearer", "expires_in": expires_in}),
                        )
                    }
                },
                "/fhir/metadata" => well(&record, asked),
                _ if asked.head.contains(&format!("Bearer token-{}\r", given.load(Relaxed))) => well(&record, asked),
                _ => Reply::json(401, &json!({"resourceType": "OperationOutcome"})),
            }
        });
        Self {
            outside,
            given,
            keys,
            scopes,
            refusing,
        }
    }

    fn knows(&self, backend: &Backend) {
        *self.keys.lock().unwrap() = backend.keys();
    }

    fn base(&self) -> Url {
        Url::parse(&self.outside.fhir()).unwrap()
    }
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(5)
}

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(future)
}

#[test]
fn a_patient_is_read_with_a_token_of_our_own() {
    for (elliptic, capability, scopes) in [
        (true, "permission-v2", "system/Observation.rs system/Patient.rs"),
        (false, "permission-v1", "system/Observation.read system/Patient.read"),
    ] {
        let (hospital, file) = (Hospital::start(capability, 300), key(elliptic));
        let (backend, outbound) = backend(settings(&hospital.outside.fhir(), &file));
        hospital.knows(&backend);
        run(async {
            let base = hospital.base();
            let reads = (0..20).map(|_| backend.access("local", &base, soon()));
            let all: Vec<_> = futures_util::future::join_all(reads).await;
            let access = all.into_iter().map(Result::unwrap).next().unwrap();
            let allow = FhirSettings {
                allow: vec![hospital.outside.fhir()],
                ..FhirSettings::default()
            };
            let client = Client::new(&allow, outbound).unwrap();
            let session = client.session(&access, "moreau", soon()).unwrap();
            let answer = session.query("Patient/moreau").await.unwrap();
            assert!(answer.pages[0].get().contains("Patient"));
        });
        assert_eq!(hospital.given.load(Relaxed), 1, "one token for all");
        assert_eq!(*hospital.scopes.lock().unwrap(), scopes);
    }
}

#[test]
fn a_token_is_renewed_before_it_ends_and_each_assertion_is_new() {
    let (hospital, file) = (Hospital::start("permission-v2", 2), key(true));
    let (backend, _) = backend(settings(&hospital.outside.fhir(), &file));
    hospital.knows(&backend);
    let token = |access: FhirAccess| access.token.unwrap().reveal().to_owned();
    run(async {
        let get = async || backend.access("local", &hospital.base(), soon()).await.map(token);
        assert_eq!(get().await.as_deref(), Ok("token-1"));
        assert_eq!(get().await.as_deref(), Ok("token-1"));
        // Renewed from 1.8 s on; while none is to be had the old one is used as long as it is good.
        hospital.refusing.store(1, Relaxed);
        tokio::time::sleep(Duration::from_millis(1850)).await;
        assert_eq!(get().await.as_deref(), Ok("token-1"));
        hospital.refusing.store(0, Relaxed);
        assert_eq!(get().await.as_deref(), Ok("token-2"));
        // Not accepted by the FHIR server.
        let access = backend.access("local", &hospital.base(), soon()).await.unwrap();
        backend.rejected("local", &access).await;
        assert_eq!(get().await.as_deref(), Ok("token-3"));
        backend.rejected("local", &access).await;
        assert_eq!(get().await.as_deref(), Ok("token-3"), "an old rejection is no news");
    });
    assert_eq!(hospital.given.load(Relaxed), 3);
}

#[test]
fn a_refusal_is_said_and_not_asked_for_again_at_once() {
    let (hospital, file) = (Hospital::start("permission-v2", 300), key(true));
    let (backend, _) = backend(settings(&hospital.outside.fhir(), &file));
    // The server does not know the key.
    run(async {
        for _ in 0..5 {
            let refused = backend.access("local", &hospital.base(), soon()).await.unwrap_err();
            assert!(matches!(refused, Trouble::Refused(_)), "{refused:?}");
            let said = refused.to_string();
            assert!(
                said.contains("invalid_client") && said.contains("jwks.json") && !said.contains("canary"),
                "{said}"
            );
        }
    });
    let asked = hospital
        .outside
        .seen()
        .iter()
        .filter(|asked| asked.path == "/auth/token")
        .count();
    assert_eq!((asked, backend.is_failing()), (1, true));
}

#[test]
fn a_token_is_for_its_server_and_tenant_alone() {
    let (hospital, file) = (Hospital::start("permission-v2", 300), key(true));
    let (backend, outbound) = backend(settings(&hospital.outside.fhir(), &file));
    hospital.knows(&backend);
    run(async {
        let other = hospital.base().join("/fhir2").unwrap();
        let below = hospital.base().join("/fhir/tenant-2").unwrap();
        for (tenant, server) in [("local", other), ("local", below), ("elsewhere", hospital.base())] {
            let access = backend.access(tenant, &server, soon()).await.unwrap();
            assert_eq!((access.token, access.server), (None, server));
        }
        let none = FhirAccess {
            server: hospital.base(),
            token: None,
        };
        let allow = FhirSettings {
            loopback_http: true,
            ..FhirSettings::default()
        };
        let client = Client::new(&allow, outbound).unwrap();
        let session = client.session(&none, "moreau", soon()).unwrap();
        assert_eq!(session.query("Patient/moreau").await.err(), Some(Failure::Unauthorized));
    });
    assert!(!hospital.outside.seen().iter().any(|asked| asked.path == "/auth/token"));
}

#[test]
fn an_endpoint_elsewhere_gets_no_assertion() {
    let elsewhere = Outside::start(|_| Reply::json(200, &json!({"access_token": "t", "token_type": "bearer"})));
    let endpoint = format!("{}/token", elsewhere.origin);
    let named = endpoint.clone();
    let hospital = Outside::start(move |_| Reply::json(200, &json!({"token_endpoint": named})));
    let file = key(true);
    let base = Url::parse(&hospital.fhir()).unwrap();
    let ask = |change: &dyn Fn(&mut BackendSettings)| {
        let mut settings = settings(&hospital.fhir(), &file);
        change(&mut settings);
        let (backend, _) = backend(settings);
        run(backend.access("local", &base, soon()))
    };
    assert_eq!(ask(&|_| {}).err(), Some(Trouble::Endpoint));
    assert!(elsewhere.seen().is_empty());
    assert!(
        ask(&|settings| settings.origins.push(elsewhere.origin.clone()))
            .unwrap()
            .token
            .is_some()
    );
    assert!(
        ask(&|settings| settings.token_url = Some(endpoint.clone()))
            .unwrap()
            .token
            .is_some()
    );
}

#[test]
fn our_keys_are_published_without_their_secret_parts() {
    let (file, other) = (key(true), key(false));
    let server = Server::production(|settings_all| {
        settings_all.backend = vec![
            settings("http://127.0.0.1:9/a", &file),
            settings("http://127.0.0.1:9/b", &file),
            BackendSettings {
                key_id: "k2".to_owned(),
                ..settings("http://127.0.0.1:9/c", &other)
            },
        ];
    });
    let (status, keys) = server.get("/.well-known/jwks.json");
    let keys = keys["keys"].as_array().unwrap().clone();
    assert_eq!((status, keys.len()), (200, 2));
    let of = |kid: &str| keys.iter().find(|key| key["kid"] == kid).unwrap();
    assert_eq!((&of("k1")["alg"], &of("k2")["alg"]), (&json!("ES384"), &json!("RS384")));
    for secret in ["d", "p", "q", "dp", "dq", "qi"] {
        assert!(keys.iter().all(|key| key.get(secret).is_none()));
    }
}

#[test]
fn mistakes_are_told_at_start() {
    let file = key(true);
    let made = |all: &[BackendSettings]| {
        let outbound = Arc::new(Outbound::new(&OutboundSettings::default()).unwrap());
        Backend::new(all, &BTreeSet::new(), outbound).map(|_| ()).unwrap_err()
    };
    let good = settings("https://f.example/r4", &file);
    let missing = BackendSettings {
        key_file: "/no/such/key.pem".into(),
        ..good.clone()
    };
    assert!(made(&[missing]).contains("/no/such/key.pem"));
    let slash = BackendSettings {
        server: "https://f.example/r4/".to_owned(),
        ..good.clone()
    };
    assert!(made(&[good, slash]).contains("listed twice"));
}

#[test]
fn an_operation_reads_with_a_token_of_our_own() {
    let (hospital, file) = (Hospital::start("permission-v2", 300), key(true));
    let access = settings(&hospital.outside.fhir(), &file);
    let server = Server::production(|settings| {
        settings.clock.as_of = ANCHOR.to_owned().try_into().unwrap();
        settings.operations.server = Some(access.server.clone());
        settings.backend = vec![access];
    });
    *hospital.keys.lock().unwrap() = server.get("/.well-known/jwks.json").1;
    let twin = json!([{ "name": "twin", "valueCode": "vancomycin" }]);
    let body = json!({ "resourceType": "Parameters", "parameter": twin });
    let call = || server.post("/fhir/Patient/moreau/$jumeau-evaluate", &body, "en");
    let (status, answer) = call();
    assert_eq!(
        (status, &answer["entry"][0]["resource"]["status"]),
        (200, &json!("success")),
        "{answer}"
    );
    // A token that is not accepted any more costs one call: an engine asks again, and there is a new one.
    hospital.given.fetch_add(1, Relaxed);
    let (status, outcome) = call();
    assert_eq!(
        (status, &outcome["issue"][0]["code"]),
        (502, &json!("forbidden")),
        "{outcome}"
    );
    assert_eq!(call().0, 200);
}
