//! Who may call: what EHRs send, and what attackers do.

use std::{
    io::Write as _,
    net::TcpListener,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use aws_lc_rs::hmac;
use jumeau::{
    app::{self, Mode},
    auth::settings::{IssuerSettings, TenantSettings},
    settings::Settings,
};
use serde_json::{Value, json};

use super::{
    support::{Server, sample},
    tokens::{Ehr, PUBLIC, part, with},
};

const VIEW: &str = "/cds-services/vancomycin-patient-view";

pub fn tenant(id: &str, issuer: IssuerSettings) -> TenantSettings {
    TenantSettings {
        id: id.to_owned(),
        issuer: vec![issuer],
        fhir: Vec::new(),
        twins: None,
    }
}

/// An issuer whose keys are in a file.
pub fn by_file(ehr: &Ehr, folder: &Path) -> IssuerSettings {
    let file = folder.join(format!("{}.json", ehr.iss.replace(|c: char| !c.is_alphanumeric(), "-")));
    std::fs::write(&file, ehr.jwks().to_string()).unwrap();
    IssuerSettings {
        iss: ehr.iss.clone(),
        jwks_file: Some(file),
        jku: Vec::new(),
    }
}

pub fn protect(settings: &mut Settings, tenants: Vec<TenantSettings>) {
    settings.auth.required = Some(true);
    settings.http.public_url = Some(PUBLIC.to_owned());
    settings.tenant = tenants;
}

struct Hospital {
    server: Server,
    ehr: Ehr,
    _keys: tempfile::TempDir,
}

impl Hospital {
    fn open() -> Self {
        let keys = tempfile::tempdir().unwrap();
        let ehr = Ehr::new("https://ehr.example/client");
        let tenants = vec![tenant("north", by_file(&ehr, keys.path()))];
        let server = Server::production(|settings| protect(settings, tenants));
        Self {
            server,
            ehr,
            _keys: keys,
        }
    }

    fn with_header(&self, path: &str, authorization: &str) -> (u16, String) {
        let headers = [("authorization", authorization), ("content-type", "application/json")];
        let (status, headers, body) = match path {
            "/cds-services" => self.server.send("GET", path, &headers, ""),
            _ => self.server.send("POST", path, &headers, &body(path)),
        };
        if status == 401 {
            assert_eq!(headers["www-authenticate"], "Bearer");
            assert_eq!(body, "", "a refusal says nothing");
        }
        (status, body)
    }

    fn call(&self, path: &str, token: &str) -> u16 {
        self.with_header(path, &format!("Bearer {token}")).0
    }
}

fn body(path: &str) -> String {
    let feedback = json!({ "feedback": [{ "card": "6194ea0c-6f4e-4b1c-9b5e-6a3c1f0f2f10", "outcome": "overridden",
        "outcomeTimestamp": "2026-01-15T12:00:00Z" }] });
    let record = sample("moreau");
    let patient = &record["entry"][0]["resource"];
    let view = json!({ "hook": "patient-view", "hookInstance": "d1577c69-dfbe-44ad-ba6d-3e05e953b2ea",
        "context": { "userId": "Practitioner/a", "patientId": patient["id"] }, "prefetch": { "patient": patient } });
    match path.ends_with("/feedback") {
        true => feedback.to_string(),
        false => view.to_string(),
    }
}

/// An answer of the service itself.
fn let_in(status: u16) -> bool {
    matches!(status, 200 | 412)
}

#[test]
fn tokens_of_an_ehr_are_good_for_the_address_that_they_name() {
    let hospital = Hospital::open();
    let ehr = &hospital.ehr;
    for path in ["/cds-services", VIEW, &format!("{VIEW}/feedback")] {
        for (algorithm, kid) in [
            ("ES384", "es384"),
            ("RS384", "rsa"),
            ("ES256", "es256"),
            ("RS256", "rsa"),
        ] {
            let (head, claims) = ehr.good(path);
            let token = ehr.token(
                &with(&head, json!({ "alg": algorithm, "kid": kid })),
                &claims,
                algorithm,
            );
            assert!(let_in(hospital.call(path, &token)), "{algorithm} at {path}");
        }
    }
    let (head, claims) = ehr.good(VIEW);
    let many = with(
        &claims,
        json!({ "aud": ["https://other.example", format!("{PUBLIC}{VIEW}")] }),
    );
    assert!(let_in(hospital.call(VIEW, &ehr.token(&head, &many, "ES384"))));
    let lower = format!("bearer {}", ehr.fresh(VIEW));
    assert!(let_in(hospital.with_header(VIEW, &lower).0));
    // Keys that a token brings along, or a place that is not configured, do not matter where keys came by hand.
    let noisy = with(
        &head,
        json!({ "x5u": "https://e.example", "jku": "https://e.example/keys", "jwk": {} }),
    );
    let (_, claims) = ehr.good(VIEW);
    assert!(let_in(hospital.call(VIEW, &ehr.token(&noisy, &claims, "ES384"))));
}

#[test]
fn what_tells_nothing_needs_no_token_and_all_else_does() {
    let hospital = Hospital::open();
    for path in ["/health", "/ready", "/openapi.json"] {
        assert_eq!(hospital.server.get(path).0, 200, "{path}");
    }
    for (method, path) in [
        ("GET", "/cds-services"),
        ("HEAD", "/cds-services"),
        ("POST", VIEW),
        ("POST", "/cds-services/vancomycin-patient-view/feedback"),
        ("GET", "/"),
        ("GET", "/healthy"),
        ("GET", "/health/../cds-services"),
        ("GET", "//cds-services"),
        ("POST", "/fhir/Patient/x/$evaluate"),
        ("OPTIONS", "/cds-services"),
    ] {
        let (status, headers, body) = hospital.server.send(method, path, &[], "");
        assert_eq!((status, body.as_str()), (401, ""), "{method} {path}");
        assert_eq!(headers["www-authenticate"], "Bearer");
    }
}

#[test]
fn a_browser_may_ask_before_it_has_a_token() {
    let keys = tempfile::tempdir().unwrap();
    let ehr = Ehr::new("ehr");
    let tenants = vec![tenant("north", by_file(&ehr, keys.path()))];
    let server = Server::production(|settings| {
        protect(settings, tenants);
        settings.http.cors = serde_json::from_value(json!({ "origins": ["https://ehr.example"] })).unwrap();
    });
    let asked = [
        ("origin", "https://ehr.example"),
        ("access-control-request-method", "POST"),
        ("access-control-request-headers", "authorization,content-type"),
    ];
    let (status, headers, _) = server.send("OPTIONS", VIEW, &asked, "");
    assert_eq!(
        (status, &headers["access-control-allow-origin"]),
        (200, &asked[0].1.parse().unwrap())
    );
    // A page must be able to read that it was refused; another origin's page reads nothing.
    let (status, headers, _) = server.send("POST", VIEW, &asked[..1], "");
    assert_eq!(
        (status, &headers["access-control-allow-origin"]),
        (401, &asked[0].1.parse().unwrap())
    );
    let (_, headers, _) = server.send("OPTIONS", VIEW, &[("origin", "https://evil.example"), asked[1]], "");
    assert!(!headers.contains_key("access-control-allow-origin"));
}

/// Counts who connects.
fn canary() -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let hits = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&hits);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            counter.fetch_add(1, Ordering::SeqCst);
            let _ = stream.map(|mut s| s.write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n"));
        }
    });
    (format!("http://{address}/jwks.json"), hits)
}

#[test]
fn forged_tokens_are_refused_without_a_reason() {
    let hospital = Hospital::open();
    let (ehr, thief) = (&hospital.ehr, Ehr::new("https://ehr.example/client"));
    let (url, hits) = canary();
    let (head, claims) = ehr.good(VIEW);
    let now = claims["iat"].as_i64().unwrap();
    let public = format!("{PUBLIC}{VIEW}");
    let changed = |change: Value| ehr.token(&head, &with(&claims, change), "ES384");
    let headed = |change: Value| ehr.token(&with(&head, change), &claims, "ES384");
    let text = |head: &Value| format!("{}.{}", part(head.to_string()), part(claims.to_string()));
    let mut attacks: Vec<(String, String)> = Vec::new();
    let mut attack = |name: &str, token: String| attacks.push((name.to_owned(), token));

    for alg in ["none", "None", "NONE", "nOnE", ""] {
        let text = text(&with(&head, json!({ "alg": alg })));
        attack("alg none", format!("{text}."));
        attack(
            "alg none, signed",
            format!("{text}.{}", part(ehr.sign("ES384", text.as_bytes()))),
        );
    }
    attack("no alg", headed(json!({ "alg": null })));
    for (alg, with_hash) in [
        ("HS256", hmac::HMAC_SHA256),
        ("HS384", hmac::HMAC_SHA384),
        ("HS512", hmac::HMAC_SHA512),
    ] {
        let text = text(&with(&head, json!({ "alg": alg, "kid": "rsa" })));
        for secret in [ehr.rsa_public(), ehr.jwks().to_string().into_bytes(), Vec::new()] {
            let tag = hmac::sign(&hmac::Key::new(with_hash, &secret), text.as_bytes());
            attack("a public key as shared secret", format!("{text}.{}", part(tag)));
        }
    }
    for (alg, kid, by) in [
        ("ES256", "es384", "ES256"),
        ("ES384", "es256", "ES256"),
        ("RS384", "rsa", "RS256"),
        ("PS384", "rsa", "RS384"),
        ("ES384", "rsa", "RS384"),
        ("EdDSA", "es384", "ES384"),
    ] {
        let head = with(&head, json!({ "alg": alg, "kid": kid }));
        attack("another algorithm than the key's", ehr.token(&head, &claims, by));
    }
    let text = text(&head);
    for length in [0, 1, 95, 96, 97, 4000] {
        attack("zeros for a signature", format!("{text}.{}", part(vec![0u8; length])));
    }
    let good = ehr.token(&head, &claims, "ES384");
    let signature = good.rsplit('.').next().unwrap();
    let other = with(&claims, json!({ "tenant": "x" }));
    attack(
        "changed claims",
        format!("{}.{}.{signature}", part(head.to_string()), part(other.to_string())),
    );
    let other = with(&head, json!({ "typ": "jwt" }));
    attack(
        "changed header",
        format!("{}.{}.{signature}", part(other.to_string()), part(claims.to_string())),
    );
    attack("cut", good[..good.len() - 4].to_owned());
    attack("padded", format!("{good}=="));
    attack("five parts", format!("{good}.a.b"));
    attack("nothing", String::new());
    attack("garbage", "garbage".to_owned());
    attack("dots", ".".repeat(5000));
    attack("long", "a".repeat(20_000));

    attack("a foreign key under a known id", thief.token(&head, &claims, "ES384"));
    let jwk = &thief.jwks()["keys"][0];
    attack(
        "a key of its own",
        thief.token(&with(&head, json!({ "jwk": jwk })), &claims, "ES384"),
    );
    for member in ["jku", "x5u"] {
        let head = with(&head, json!({ member: url, "kid": "theirs" }));
        attack("keys of its own", thief.token(&head, &claims, "ES384"));
    }
    attack(
        "certificates of its own",
        thief.token(&with(&head, json!({ "x5c": ["MIIB"] })), &claims, "ES384"),
    );
    for kid in [
        json!(null),
        json!(""),
        json!("nobody"),
        json!("../../../../dev/null"),
        json!("/etc/passwd"),
        json!("x' OR '1'='1"),
        json!("es384\u{0}"),
        json!(384),
        json!(["es384"]),
        json!({ "a": 1 }),
        json!("k".repeat(5000)),
    ] {
        attack(&format!("kid {kid:.40}"), headed(json!({ "kid": kid })));
    }
    attack("critical extension", headed(json!({ "crit": ["exp"] })));
    attack("empty list of critical extensions", headed(json!({ "crit": [] })));
    attack("another kind of token", headed(json!({ "typ": "at+jwt" })));
    attack("unencoded payload", headed(json!({ "b64": false, "crit": ["b64"] })));

    for aud in [
        json!(PUBLIC),
        json!(format!("{PUBLIC}/cds-services")),
        json!(format!("{public}/")),
        json!(format!("{public}x")),
        json!(&public[..public.len() - 1]),
        json!(public.to_uppercase()),
        json!(format!("https://evil.example{VIEW}")),
        json!(format!("{PUBLIC}.evil.example{VIEW}")),
        json!(format!("{PUBLIC}@evil.example{VIEW}")),
        json!(""),
        json!([]),
        json!([[public.as_str()]]),
        json!({ public.as_str(): 1 }),
        json!("*"),
        json!(7),
        Value::Null,
    ] {
        attack(&format!("aud {aud}"), changed(json!({ "aud": aud })));
    }
    for iss in [
        json!("https://evil.example"),
        json!("https://ehr.example/client/"),
        json!(""),
        json!(["https://ehr.example/client"]),
        Value::Null,
    ] {
        attack(&format!("iss {iss}"), changed(json!({ "iss": iss })));
    }
    for (name, change) in [
        ("expired", json!({ "exp": now - 120, "iat": now - 400 })),
        ("expired long ago", json!({ "exp": 0 })),
        ("exp negative", json!({ "exp": -1 })),
        ("exp as text", json!({ "exp": (now + 300).to_string() })),
        ("exp null", json!({ "exp": null })),
        ("exp a list", json!({ "exp": [now + 300] })),
        ("exp in milliseconds", json!({ "exp": (now + 300) * 1000 })),
        ("exp at the end of time", json!({ "exp": i64::MAX })),
        ("exp beyond all time", json!({ "exp": 1e300 })),
        ("made tomorrow", json!({ "iat": now + 86_400, "exp": now + 86_700 })),
        ("iat as text", json!({ "iat": now.to_string() })),
        ("iat null", json!({ "iat": null })),
        ("not yet", json!({ "nbf": now + 200 })),
        ("nbf as text", json!({ "nbf": "0" })),
        ("lives for a year", json!({ "exp": now + 31_536_000 })),
        ("lives since long", json!({ "iat": now - 86_400 })),
        ("no jti", json!({ "jti": null })),
        ("jti empty", json!({ "jti": "" })),
        ("jti a number", json!({ "jti": 1 })),
        ("jti long", json!({ "jti": "j".repeat(1000) })),
    ] {
        attack(name, changed(change));
    }
    let twice = claims
        .to_string()
        .replacen('{', &format!("{{\"exp\":{},", now - 500), 1);
    let twice = format!("{}.{}", part(head.to_string()), part(twice));
    attack(
        "exp twice",
        format!("{twice}.{}", part(ehr.sign("ES384", twice.as_bytes()))),
    );

    assert!(attacks.len() > 90);
    for (name, token) in &attacks {
        assert_eq!(hospital.call(VIEW, token), 401, "{name}");
    }
    for header in [
        "",
        "Bearer",
        "Bearer ",
        "Basic dTpw",
        "Token x",
        &good,
        &format!("Bearer Bearer {good}"),
    ] {
        assert_eq!(hospital.with_header(VIEW, header).0, 401, "{header:.20}");
    }
    // Where a log would keep it, and twice.
    let json = ("content-type", "application/json");
    let query = format!("{VIEW}?access_token={good}");
    assert_eq!(hospital.server.send("POST", &query, &[json], &body(VIEW)).0, 401);
    let bearer = format!("Bearer {good}");
    let both = [("authorization", bearer.as_str()), ("authorization", "Bearer x"), json];
    assert_eq!(hospital.server.send("POST", VIEW, &both, &body(VIEW)).0, 401);
    assert_eq!(hits.load(Ordering::SeqCst), 0, "no foreign address is asked for keys");
    // And none of this has used up the token's id.
    assert!(let_in(hospital.call(VIEW, &good)));
}

#[test]
fn a_token_is_good_once_also_after_a_restart() {
    let data = tempfile::tempdir().unwrap();
    let keys = tempfile::tempdir().unwrap();
    let ehr = Ehr::new("ehr");
    let start = || {
        let tenants = vec![tenant("north", by_file(&ehr, keys.path()))];
        Server::production(|settings| {
            protect(settings, tenants);
            settings.store.directory = Some(data.path().to_owned());
        })
    };
    let discover = |server: &Server, token: &str| {
        let bearer = format!("Bearer {token}");
        server.send("GET", "/cds-services", &[("authorization", &bearer)], "").0
    };
    let server = start();
    let token = ehr.fresh("/cds-services");
    assert_eq!(discover(&server, &token), 200);
    assert_eq!(discover(&server, &token), 401);
    // At the same moment, too.
    let raced = ehr.fresh("/cds-services");
    let winners: usize = std::thread::scope(|scope| {
        let calls: Vec<_> = (0..20).map(|_| scope.spawn(|| discover(&server, &raced))).collect();
        calls
            .into_iter()
            .map(|call| usize::from(call.join().unwrap() == 200))
            .sum()
    });
    assert_eq!(winners, 1);
    drop(server);
    let server = start();
    assert_eq!((discover(&server, &token), discover(&server, &raced)), (401, 401));
    assert_eq!(discover(&server, &ehr.fresh("/cds-services")), 200);
}

#[test]
fn keys_are_fetched_from_the_configured_address_and_nowhere_else() {
    let ehr = Ehr::new("ehr");
    let set = ehr.jwks().to_string();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/jwks.json", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut seen = [0; 2048];
            let _ = std::io::Read::read(&mut stream, &mut seen);
            let length = set.len();
            let head = format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n");
            let _ = stream.write_all([head.as_bytes(), set.as_bytes()].concat().as_slice());
        }
    });
    let (elsewhere, hits) = canary();
    let issuer = |jku: &str| IssuerSettings {
        iss: "ehr".to_owned(),
        jwks_file: None,
        jku: vec![jku.to_owned()],
    };
    let server = Server::production(|settings| protect(settings, vec![tenant("north", issuer(&url))]));
    let begun = Instant::now();
    while server.get("/ready").0 != 200 {
        assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", server.get("/ready"));
        std::thread::sleep(Duration::from_millis(20));
    }
    let call = |server: &Server, head: &Value| {
        let token = ehr.token(head, &ehr.good("/cds-services").1, "ES384");
        let bearer = format!("Bearer {token}");
        server.send("GET", "/cds-services", &[("authorization", &bearer)], "").0
    };
    let (head, _) = ehr.good("/cds-services");
    assert_eq!(call(&server, &head), 200);
    assert_eq!(call(&server, &with(&head, json!({ "jku": url }))), 200);
    for foreign in [
        elsewhere.as_str(),
        &format!("{url}?x"),
        &url.replace("/jwks", "/../jwks"),
        "file:///etc/passwd",
        "",
    ] {
        assert_eq!(call(&server, &with(&head, json!({ "jku": foreign }))), 401, "{foreign}");
    }
    assert_eq!(hits.load(Ordering::SeqCst), 0);
    // Without keys nobody gets in, and whoever watches is told.
    let server = Server::production(|settings| protect(settings, vec![tenant("north", issuer(&elsewhere))]));
    assert_eq!(call(&server, &head), 401);
    let (status, ready) = server.get("/ready");
    assert_eq!(status, 503);
    let keys = ready["checks"]
        .as_array()
        .unwrap()
        .iter()
        .find(|check| check["name"] == "keys")
        .unwrap();
    assert_eq!(keys["status"], "not ready");
}

#[test]
fn a_server_that_nobody_could_call_does_not_start() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let _inside = runtime.enter();
    let refused = |change: &dyn Fn(&mut Settings)| {
        let mut settings = Settings::load(None).unwrap();
        settings.http.listen = "127.0.0.1:0".parse().unwrap();
        settings.store.directory = None;
        change(&mut settings);
        app::start(settings, Mode::Production, |_| {}).err().expect("it starts")
    };
    let error = refused(&|_| {});
    assert!(
        error.contains("[[tenant.issuer]]") && error.contains("JUMEAU__AUTH__REQUIRED=false"),
        "{error}"
    );
    let issuer = |file: &str| IssuerSettings {
        iss: "ehr".to_owned(),
        jwks_file: Some(file.into()),
        jku: Vec::new(),
    };
    let error = refused(&|settings| settings.tenant = vec![tenant("north", issuer("/none"))]);
    assert!(error.contains("http.public_url"), "{error}");
    let error = refused(&|settings| protect(settings, vec![tenant("north", issuer("/none"))]));
    assert!(error.contains("tenant north") && error.contains("/none"), "{error}");
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), r#"{"keys":[{"kty":"oct","k":"c2VjcmV0","kid":"a"}]}"#).unwrap();
    let error = refused(&|settings| protect(settings, vec![tenant("north", issuer(file.path().to_str().unwrap()))]));
    assert!(error.contains("P-384") && !error.contains("c2VjcmV0"), "{error}");
    let keys = tempfile::tempdir().unwrap();
    let error = refused(&|settings| {
        let mut north = tenant("north", by_file(&Ehr::new("ehr"), keys.path()));
        north.twins = Some(vec!["vancomycine".to_owned()]);
        protect(settings, vec![north]);
    });
    assert!(error.contains("vancomycine") && error.contains("warfarin"), "{error}");
}
