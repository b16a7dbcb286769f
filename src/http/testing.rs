//! A server on a free port and a client that can be rude.

use std::{
    collections::BTreeMap,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    sync::{Arc, mpsc},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use actix_web::{HttpResponse, dev::ServerHandle, rt::System, web};
use futures_util::future::BoxFuture;
use serde_json::{Value, json};

use super::{
    guard::Guard,
    server::{CorsSettings, HttpSettings, Origins, serve},
};
use crate::cds::{
    advisor::{Advisor, CallError},
    card::{Card, Coding, Indicator, Response, Source},
    discovery::Service,
    feedback::Feedback,
    request::{Hook, HookCall, Prefetched},
};

/// Does what the patient's id says; otherwise gives one card when it has a patient.
struct Fake {
    services: Vec<Service>,
}

impl Advisor for Fake {
    fn services(&self) -> &[Service] {
        &self.services
    }

    fn is_overloaded(&self, service_id: &str, _: Instant) -> bool {
        service_id == "swamped"
    }

    fn advise(&self, call: HookCall) -> BoxFuture<'_, Result<Response, CallError>> {
        Box::pin(async move {
            match call.patient_id.as_str() {
                "slow" => tokio::time::sleep(Duration::from_secs(3)).await,
                "panic" => panic!("on purpose"),
                "broken" => return Err(CallError::Internal),
                "busy" => return Err(CallError::Busy),
                "other" => {
                    return Err(CallError::Contradiction(
                        "prefetch.patient is another patient.".to_owned(),
                    ));
                }
                _ => {}
            }
            if !matches!(call.prefetch.get("patient"), Some(Prefetched::Data(_))) {
                return Err(CallError::MissingData("The Patient is needed.".to_owned()));
            }
            Ok(Response {
                cards: vec![card(call.language)],
                extension: None,
            })
        })
    }

    fn feedback(&self, _: &str, _: &str, entries: Vec<Feedback>) -> BoxFuture<'_, Result<(), CallError>> {
        Box::pin(async move {
            match entries.first().map(|entry| entry.card.as_str()) {
                Some("panic") => panic!("on purpose"),
                Some("broken") => Err(CallError::Internal),
                _ => Ok(()),
            }
        })
    }
}

fn card(summary: &str) -> Card {
    let topic = Coding {
        system: "https://example.org".to_owned(),
        code: "t".to_owned(),
        display: None,
    };
    Card {
        uuid: uuid::Uuid::new_v4(),
        summary: summary.to_owned(),
        detail: String::new(),
        indicator: Indicator::Info,
        source: Source {
            label: "Fake".to_owned(),
            url: None,
            topic,
        },
        suggestions: Vec::new(),
        selection_behavior: None,
        override_reasons: Vec::new(),
        links: Vec::new(),
        extension: None,
    }
}

fn services() -> Vec<Service> {
    let service = |hook: Hook| Service {
        hook: hook.name().to_owned(),
        title: "Fake".to_owned(),
        description: "Fake".to_owned(),
        id: hook.name().to_owned(),
        prefetch: BTreeMap::from([("patient".to_owned(), "Patient/{{context.patientId}}".to_owned())]),
        usage_requirements: None,
        version: "2.0.1".to_owned(),
    };
    let mut services: Vec<Service> = Hook::ALL.into_iter().map(service).collect();
    services.push(Service {
        id: "swamped".to_owned(),
        ..service(Hook::PatientView)
    });
    services
}

/// Pages of others, one of which goes wrong.
fn extra(config: &mut web::ServiceConfig) {
    async fn boom() -> &'static str {
        panic!("on purpose")
    }
    let page = || async {
        HttpResponse::Ok()
            .insert_header(("Cache-Control", "max-age=60"))
            .body("page")
    };
    config
        .route("/page", web::get().to(page))
        .route("/boom", web::get().to(boom));
}

/// Settings of most tests.
pub fn settings() -> HttpSettings {
    HttpSettings {
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        workers: 1,
        cors: CorsSettings { origins: Origins::Any },
        ..HttpSettings::default()
    }
}

/// A running server; stops when dropped.
pub struct Running {
    pub address: SocketAddr,
    handle: ServerHandle,
    thread: Option<JoinHandle<()>>,
}

impl Running {
    pub fn start(settings: HttpSettings) -> Self {
        let (send, receive) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            System::new().block_on(async move {
                let advisor = Arc::new(Fake { services: services() });
                let (server, address) = serve(settings, advisor, Guard::Open, extra).expect("binds");
                send.send((server.handle(), address)).expect("received");
                server.await.expect("serves");
            });
        });
        let (handle, address) = receive.recv().expect("started");
        Self {
            address,
            handle,
            thread: Some(thread),
        }
    }

    /// Sends bytes as they are and reads until the server closes.
    pub fn raw(&self, bytes: &[u8]) -> Answer {
        let mut stream = TcpStream::connect(self.address).unwrap_or_else(|e| panic!("connects: {e:?}"));
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("set");
        // The server may close before all is written.
        let _ = stream.write_all(bytes);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        Answer::read(&answer)
    }

    pub fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let mut text = format!("{method} {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n");
        for (name, value) in headers {
            text += &format!("{name}: {value}\r\n");
        }
        if method == "POST" || !body.is_empty() {
            text += &format!("Content-Length: {}\r\n", body.len());
        }
        text += "\r\n";
        self.raw(&[text.as_bytes(), body].concat())
    }

    pub fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], b"")
    }

    pub fn post(&self, path: &str, body: &[u8]) -> Answer {
        self.send("POST", path, &[("Content-Type", "application/json")], body)
    }

    /// Calls patient-view.
    pub fn view(&self, body: &Value) -> Answer {
        self.post("/cds-services/patient-view", body.to_string().as_bytes())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let stop = self.handle.stop(false);
        std::thread::spawn(move || System::new().block_on(stop))
            .join()
            .expect("stops");
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// An answer; status 0 when the server closed without one.
pub struct Answer {
    pub status: u16,
    head: String,
    pub body: String,
}

impl Answer {
    fn read(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes);
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or(0);
        Self {
            status,
            head: head.to_ascii_lowercase(),
            body: body.to_owned(),
        }
    }

    pub fn header(&self, name: &str) -> &str {
        let wanted = format!("{name}:");
        self.head
            .lines()
            .find_map(|line| line.strip_prefix(&wanted))
            .unwrap_or_default()
            .trim()
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {} {}", self.status, self.body))
    }

    /// Checks status and form of an error and gives its issue.
    #[track_caller]
    pub fn issue(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{} {}", self.head, self.body);
        assert!(
            self.header("content-type").starts_with("application/json"),
            "{}",
            self.head
        );
        assert_eq!(self.header("x-content-type-options"), "nosniff");
        assert_eq!(self.header("cache-control"), "no-store");
        assert!(!self.head.contains("\nserver:"), "{}", self.head);
        let outcome = self.json();
        assert_eq!(outcome["resourceType"], "OperationOutcome");
        let issue = outcome["issue"][0].clone();
        assert_eq!(issue["severity"], "error");
        assert!(issue["code"].is_string() && issue["diagnostics"].is_string());
        issue
    }
}

/// A good patient-view call for that patient.
pub fn view(patient: &str) -> Value {
    json!({ "hook": "patient-view", "hookInstance": "d1577c69-dfbe-44ad-ba6d-3e05e953b2ea",
        "context": { "userId": "Practitioner/a", "patientId": patient },
        "prefetch": { "patient": { "resourceType": "Patient", "id": patient } } })
}
