//! A FHIR server for tests that misbehaves on request: the id of the resource, or the search parameter `case`, says how.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, http::StatusCode, middleware::Compress, web};
use futures_util::stream;
use url::Url;

use super::client::{Client, FhirSettings};
use crate::{
    cds::request::{FhirAccess, Hook, HookCall, Secret},
    outbound::{Outbound, OutboundSettings},
};

/// What one request looked like.
#[derive(Debug, Clone)]
pub struct Seen {
    pub target: String,
    pub headers: BTreeMap<String, String>,
}

/// A running stub; ends with the test's runtime.
pub struct Stub {
    pub port: u16,
    pub seen: Arc<Mutex<Vec<Seen>>>,
}

#[derive(Clone)]
struct Shared {
    port: u16,
    /// Where links and redirects that lead away lead to.
    away: String,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Stub {
    /// `away`: base URL that the foreign links point to.
    pub fn start(away: &str) -> Self {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Shared {
            port,
            away: away.to_owned(),
            seen: Arc::clone(&seen),
        };
        let server = HttpServer::new(move || {
            App::new()
                .wrap(Compress::default())
                .app_data(web::Data::new(shared.clone()))
                .default_service(web::to(answer))
        })
        .workers(1)
        .disable_signals()
        .shutdown_timeout(0)
        .listen(listener)
        .unwrap()
        .run();
        actix_web::rt::spawn(server);
        Self { port, seen }
    }

    pub fn base(&self) -> String {
        format!("http://127.0.0.1:{}/r4", self.port)
    }

    pub fn access(&self) -> FhirAccess {
        access(&self.base())
    }

    pub fn targets(&self) -> Vec<String> {
        self.seen
            .lock()
            .unwrap()
            .iter()
            .map(|seen| seen.target.clone())
            .collect()
    }
}

pub const TOKEN: &str = "token-canary";

pub fn access(base: &str) -> FhirAccess {
    FhirAccess {
        server: Url::parse(base).unwrap(),
        token: Some(Secret::new(TOKEN.to_owned())),
    }
}

/// A client for this machine with small limits.
pub fn client() -> Client {
    let settings = FhirSettings {
        loopback_http: true,
        answer_bytes: 1024 * 1024,
        ..FhirSettings::default()
    };
    Client::new(&settings, outbound()).unwrap()
}

/// Of which nothing is known to any other test.
pub fn outbound() -> Arc<Outbound> {
    Arc::new(Outbound::new(&OutboundSettings::default()).unwrap())
}

pub fn soon() -> Instant {
    Instant::now() + Duration::from_secs(10)
}

/// A call about patient `ok`.
pub fn call(fhir: Option<FhirAccess>) -> HookCall {
    HookCall {
        service_id: "s".to_owned(),
        hook: Hook::PatientView,
        hook_instance: "i".to_owned(),
        patient_id: "ok".to_owned(),
        user_id: Some("Practitioner/u1".to_owned()),
        encounter_id: None,
        draft_orders: Vec::new(),
        selections: Vec::new(),
        prefetch: BTreeMap::new(),
        fhir,
        tenant: "local".to_owned(),
        language: "en",
        deadline: soon(),
        page: false,
    }
}

fn fhir(body: impl Into<String>) -> HttpResponse {
    HttpResponse::Ok()
        .content_type("application/fhir+json")
        .body(body.into())
}

fn bundle(next: Option<String>) -> HttpResponse {
    let link = next.map(|next| serde_json::json!([{"relation": "next", "url": next}]));
    fhir(serde_json::json!({"resourceType": "Bundle", "type": "searchset", "link": link, "entry": []}).to_string())
}

async fn answer(request: HttpRequest, shared: web::Data<Shared>) -> HttpResponse {
    let target = request.uri().to_string();
    let headers = request
        .headers()
        .iter()
        .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .collect();
    shared.seen.lock().unwrap().push(Seen {
        target: target.clone(),
        headers,
    });
    let base = format!("http://127.0.0.1:{}/r4", shared.port);
    let id = request.path().rsplit('/').next().unwrap_or_default().to_owned();
    let case = request
        .uri()
        .query()
        .unwrap_or_default()
        .split('&')
        .find_map(|pair| pair.strip_prefix("case="));
    let case = case.unwrap_or(&id).to_owned();
    let (name, number) = case.rsplit_once('-').unwrap_or((&case, "0"));
    let number: u32 = number.parse().unwrap_or(0);
    let search = request.uri().query().is_some();
    let mixed = |next: &str| {
        fhir(format!(
            r#"{{"resourceType":"Bundle","link":[{{"relation":"self","url":"{base}/Observation"}}{next}],"entry":[
                {{"resource":{{"resourceType":"Observation","id":"1","subject":{{"reference":"Patient/ok"}}}}}},
                {{"resource":{{"resourceType":"Observation","id":"2","subject":{{"reference":"Patient/canary"}}}}}}]}}"#
        ))
    };
    let statement = |version: &str| {
        fhir(format!(
            r#"{{"resourceType":"CapabilityStatement","fhirVersion":"{version}"}}"#
        ))
    };
    match name {
        "metadata" if request.path().contains("/none/") => HttpResponse::NotFound().finish(),
        "metadata" if request.path().contains("/r5/") => statement("5.0.0"),
        "metadata" if request.path().contains("/slow/") => {
            actix_web::rt::time::sleep(Duration::from_secs(60)).await;
            HttpResponse::Ok().finish()
        }
        "metadata" => statement("4.0.1"),
        "others" => mixed(""),
        "everybody" => mixed(&format!(
            r#",{{"relation":"next","url":"{base}/Observation?case=pages-0"}}"#
        )),
        "unsorted" => fhir(format!(
            r#"{{"resourceType":"Bundle","link":[{{"relation":"self","url":"{base}/Observation?case=unsorted"}},
                {{"relation":"next","url":"{base}/Observation?case=pages-{}"}}]}}"#,
            if request.uri().query().is_some_and(|query| query.contains("much")) {
                20
            } else {
                2
            }
        )),
        "status" => HttpResponse::build(StatusCode::from_u16(u16::try_from(number).unwrap()).unwrap())
            .content_type("application/fhir+json")
            .body(r#"{"resourceType":"OperationOutcome"}"#),
        "redirect" => HttpResponse::Found()
            .insert_header(("location", format!("{}/Patient/ok", shared.away)))
            .finish(),
        "html" => HttpResponse::Ok()
            .content_type("text/html")
            .body("<!doctype html><p>Please log in"),
        "cut" => fhir(r#"{"resourceType":"Patient","id":"#),
        "latin" => HttpResponse::Ok().body(&b"{\"resourceType\":\"Patient\",\"x\":\"\xE9\"}"[..]),
        "deep" => fhir(format!(
            r#"{{"resourceType":"Patient","x":{}{}}}"#,
            "[".repeat(100_000),
            "]".repeat(100_000)
        )),
        "outcome" => fhir(r#"{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"exception"}]}"#),
        "inside" => fhir(
            r#"{"resourceType":"Bundle","entry":[{"resource":{"resourceType":"OperationOutcome","issue":[{"severity":"error"}]}}]}"#,
        ),
        "other" => fhir(r#"{"resourceType":"Basic"}"#),
        "stall" => {
            actix_web::rt::time::sleep(Duration::from_secs(60)).await;
            HttpResponse::Ok().finish()
        }
        "drip" => HttpResponse::Ok().streaming(stream::unfold(0, |count| async move {
            actix_web::rt::time::sleep(Duration::from_millis(50)).await;
            Some((Ok::<_, actix_web::Error>(web::Bytes::from_static(b" ")), count + 1))
        })),
        // Compressed on request, since the client asks for it: a thousand zeros for one.
        "huge" => HttpResponse::Ok()
            .content_type("application/json")
            .streaming(stream::iter(
                (0..400).map(|_| Ok::<_, actix_web::Error>(web::Bytes::from(vec![b' '; 1024 * 1024]))),
            )),
        "declared" => fhir(format!(
            r#"{{"resourceType":"Patient","x":"{}"}}"#,
            "x".repeat(2 * 1024 * 1024)
        )),
        "large" => fhir(format!(
            r#"{{"resourceType":"Patient","x":"{}"}}"#,
            "x".repeat(500 * 1024)
        )),
        "pages" if number == 0 => bundle(None),
        "pages" => bundle(Some(format!("{base}/Observation?case=pages-{}", number - 1))),
        "relative" => bundle(Some("?case=pages-0".to_owned())),
        "endless" => bundle(Some(format!("{base}/Observation?case=endless-{}", number + 1))),
        "loop" => bundle(Some(format!("{base}/Observation?case=loop"))),
        "foreign" => bundle(Some(format!("{}/Observation?case=pages-0", shared.away))),
        "outside" => bundle(Some(format!("http://127.0.0.1:{}/admin?case=pages-0", shared.port))),
        "broken" => bundle(Some(format!("{base}/Observation?case=status-500"))),
        "late" => bundle(Some(format!("{base}/Observation?case=stall"))),
        _ if search => bundle(None),
        _ => fhir(format!(
            r#"{{"resourceType":"{}","id":"{id}"}}"#,
            request.path().rsplit('/').nth(1).unwrap_or_default()
        )),
    }
}
