//! A running server, records, and requests as an EHR would send them.

use std::{net::SocketAddr, path::Path, time::Duration};

use jumeau::{
    app::{self, Mode},
    settings::{AsOf, Offer, Settings},
};
use serde_json::{Value, json};

/// The moment for which the sample records are written.
pub const ANCHOR: &str = "2026-01-15T12:00:00Z";

/// A server on a free port with a data folder of its own; both end with this value.
pub struct Server {
    pub address: SocketAddr,
    /// That of the listener for metrics.
    pub metrics: Option<SocketAddr>,
    /// That of the listener for messages.
    pub hl7v2: Option<SocketAddr>,
    pub data: tempfile::TempDir,
    runtime: Option<tokio::runtime::Runtime>,
}

impl Server {
    /// With the sample records' moment as now.
    pub fn start() -> Self {
        Self::with(|settings| settings.clock.as_of = AsOf::try_from(ANCHOR.to_owned()).unwrap())
    }

    /// The same, for models that a build for tests computes more slowly than a clinician would wait.
    pub fn patient() -> Self {
        Self::with(|settings| {
            settings.clock.as_of = AsOf::try_from(ANCHOR.to_owned()).unwrap();
            settings.http.deadline = Duration::from_secs(120);
            settings.http.background_limit = Duration::from_secs(120);
        })
    }

    pub fn with(change: impl FnOnce(&mut Settings)) -> Self {
        Self::in_mode(Mode::Demo, change)
    }

    /// Without the demonstration, as a hospital would.
    pub fn production(change: impl FnOnce(&mut Settings)) -> Self {
        Self::in_mode(Mode::Production, change)
    }

    fn in_mode(mode: Mode, change: impl FnOnce(&mut Settings)) -> Self {
        let data = tempfile::tempdir().unwrap();
        let mut settings = Settings::load(None).unwrap();
        settings.http.listen = "127.0.0.1:0".parse().unwrap();
        settings.fhir.loopback_http = true;
        // Tests of who may call say so.
        settings.auth.required = Some(false);
        settings.services.offer = Offer::Each;
        settings.store.directory = Some(data.path().to_owned());
        change(&mut settings);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .unwrap();
        let inside = runtime.enter();
        let started = app::start(settings, mode, |_| {}).unwrap();
        drop(inside);
        runtime.spawn(started.server);
        Self {
            address: started.address,
            metrics: started.metrics,
            hl7v2: started.hl7v2,
            data,
            runtime: Some(runtime),
        }
    }

    /// Ends it, so that its store can be looked at; the folder goes with the value that is given back.
    pub fn stop(mut self) -> tempfile::TempDir {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(Duration::from_secs(5));
        }
        std::mem::replace(&mut self.data, tempfile::tempdir().unwrap())
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    fn block<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.as_ref().unwrap().block_on(future)
    }

    /// Any request with any headers; the answer's status, headers and text.
    pub fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> (u16, reqwest::header::HeaderMap, String) {
        let url = self.url(path);
        self.block(async {
            let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
            let mut request = reqwest::Client::new().request(method, url).body(body.to_owned());
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            let answer = request.send().await.unwrap();
            let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
            (status, headers, answer.text().await.unwrap())
        })
    }

    pub fn get(&self, path: &str) -> (u16, Value) {
        let url = self.url(path);
        self.block(async {
            let answer = reqwest::get(url).await.unwrap();
            (
                answer.status().as_u16(),
                serde_json::from_str(&answer.text().await.unwrap()).unwrap_or(Value::Null),
            )
        })
    }

    pub fn post(&self, path: &str, body: &Value, language: &str) -> (u16, Value) {
        let url = self.url(path);
        self.block(async {
            let answer = reqwest::Client::new()
                .post(url)
                .header("content-type", "application/json")
                .header("accept-language", language)
                .body(body.to_string())
                .send()
                .await
                .unwrap();
            (
                answer.status().as_u16(),
                serde_json::from_str(&answer.text().await.unwrap()).unwrap_or(Value::Null),
            )
        })
    }

    /// The prefetch templates of a service.
    pub fn templates(&self, service: &str) -> Vec<(String, String)> {
        let (status, body) = self.get("/cds-services");
        assert_eq!(status, 200);
        let services = body["services"].as_array().unwrap();
        let found = services.iter().find(|s| s["id"] == service).unwrap();
        let templates = found["prefetch"].as_object().unwrap();
        templates
            .iter()
            .map(|(k, v)| (k.clone(), v.as_str().unwrap().to_owned()))
            .collect()
    }

    /// A hook call of the vancomycin twin with everything in prefetch.
    pub fn request(&self, hook: &str, record: &Value, draft: Option<&Value>) -> Value {
        self.request_of("vancomycin", hook, record, draft)
    }

    /// A hook call of a twin with everything in prefetch.
    pub fn request_of(&self, twin: &str, hook: &str, record: &Value, draft: Option<&Value>) -> Value {
        let templates = self.templates(&format!("{twin}-{hook}"));
        let patient = patient(record);
        let prefetch: serde_json::Map<String, Value> = templates
            .into_iter()
            .map(|(key, template)| (key, answer(record, &template)))
            .collect();
        let mut context = json!({ "userId": "Practitioner/p1", "patientId": patient["id"] });
        if let Some(draft) = draft {
            context["draftOrders"] =
                json!({ "resourceType": "Bundle", "type": "collection", "entry": [{ "resource": draft }] });
            if hook == "order-select" {
                context["selections"] = json!([format!("MedicationRequest/{}", draft["id"].as_str().unwrap())]);
            }
        }
        json!({
            "hook": hook, "hookInstance": "d1577c69-dfbe-44ad-ba6d-3e05e953b2ea", "context": context,
            "prefetch": prefetch,
        })
    }

    pub fn call(&self, hook: &str, request: &Value) -> (u16, Value) {
        self.post(&format!("/cds-services/vancomycin-{hook}"), request, "en")
    }

    /// The only card of an answer of the vancomycin twin, or none.
    pub fn card(&self, hook: &str, request: &Value) -> Option<Value> {
        self.card_of("vancomycin", hook, request)
    }

    /// The only card of an answer, or none.
    pub fn card_of(&self, twin: &str, hook: &str, request: &Value) -> Option<Value> {
        let (status, body) = self.post(&format!("/cds-services/{twin}-{hook}"), request, "en");
        assert_eq!(status, 200, "{body}");
        let cards = body["cards"].as_array().unwrap();
        assert!(cards.len() <= 1, "{body}");
        cards.first().cloned()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(Duration::from_secs(2));
        }
    }
}

pub fn read(path: &str) -> Value {
    serde_json::from_str(&std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()).unwrap()
}

/// The record of a sample patient.
pub fn sample(name: &str) -> Value {
    read(&format!("src/demo/patients/{name}.json"))
}

/// The draft order of a sample patient.
pub fn draft(name: &str) -> Value {
    read(&format!("src/demo/orders/{name}.json"))
}

pub fn entries(record: &Value) -> Vec<&Value> {
    record["entry"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| &e["resource"])
        .collect()
}

pub fn patient(record: &Value) -> &Value {
    entries(record)
        .into_iter()
        .find(|r| r["resourceType"] == "Patient")
        .unwrap()
}

/// What a FHIR server would answer to a template.
pub fn answer(record: &Value, template: &str) -> Value {
    let (kind, search) = template.split_once('?').unwrap_or((template, ""));
    if let Some(kind) = kind.strip_suffix("/{{context.patientId}}") {
        assert_eq!(kind, "Patient");
        return patient(record).clone();
    }
    let codes: Vec<&str> = search
        .split('&')
        .find_map(|p| p.strip_prefix("code="))
        .map(|c| c.split(',').collect())
        .unwrap_or_default();
    let coded = |resource: &Value| {
        codes.is_empty()
            || resource["code"]["coding"].as_array().is_some_and(|all| {
                all.iter().any(|c| {
                    let token = format!(
                        "{}|{}",
                        c["system"].as_str().unwrap_or(""),
                        c["code"].as_str().unwrap_or("")
                    );
                    codes.contains(&token.as_str())
                })
            })
    };
    let found: Vec<Value> = record["entry"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|e| e["resource"]["resourceType"] == kind && coded(&e["resource"]))
        .map(|e| {
            let mut entry = json!({ "resource": e["resource"], "search": { "mode": "match" } });
            if let Some(url) = e.get("fullUrl") {
                entry["fullUrl"] = url.clone();
            }
            entry
        })
        .collect();
    let mut bundle = json!({ "resourceType": "Bundle", "type": "searchset", "total": found.len() });
    if !found.is_empty() {
        bundle["entry"] = Value::Array(found);
    }
    bundle
}

/// A card without what is fresh in each answer.
pub fn stable(card: &Value) -> Value {
    fn strip(value: &mut Value) {
        match value {
            Value::Object(members) => {
                members.remove("uuid");
                // The link to the twin's page has the port of the server in it.
                if members.contains_key("appContext") {
                    members.remove("url");
                }
                members.values_mut().for_each(strip);
            }
            Value::Array(items) => items.iter_mut().for_each(strip),
            _ => {}
        }
    }
    let mut card = card.clone();
    strip(&mut card);
    card
}
