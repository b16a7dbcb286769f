//! Several twins at one patient and one order.

use std::{
    collections::BTreeSet,
    fs,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use jumeau::settings::Offer;
use serde_json::{Value, json};

use crate::support::Server;

/// A server that has the samples, moved to today. In a build for tests some models take longer than a clinician would wait, so it may.
fn start(offer: Offer) -> Server {
    Server::with(|settings| {
        settings.services.offer = offer;
        settings.http.deadline = Duration::from_secs(30);
    })
}

fn ids(server: &Server) -> Vec<String> {
    let (_, discovery) = server.get("/cds-services");
    let services = discovery["services"].as_array().unwrap();
    services.iter().map(|s| s["id"].as_str().unwrap().to_owned()).collect()
}

/// The topics of the cards of an answer.
fn topics(body: &Value) -> Vec<&str> {
    let cards = body["cards"].as_array().unwrap();
    cards
        .iter()
        .map(|card| card["source"]["topic"]["code"].as_str().unwrap())
        .collect()
}

/// The call that an EHR would make, everything in prefetch.
fn request(server: &Server, patient: &str, service: &str) -> Value {
    let (status, body) = server.get(&format!("/demo/request/{patient}/{service}?bare=1"));
    assert_eq!(status, 200, "{patient} {service}");
    body
}

fn ask(server: &Server, service: &str, request: &Value) -> Value {
    let (status, body) = server.post(&format!("/cds-services/{service}"), request, "en");
    assert_eq!(status, 200, "{body}");
    body
}

#[test]
fn discovery_lists_one_service_a_hook_and_the_others_answer() {
    let server = start(Offer::Together);
    assert_eq!(
        ids(&server),
        ["any-twin-patient-view", "any-twin-order-select", "any-twin-order-sign"]
    );
    let of_one = ask(
        &server,
        "vancomycin-order-sign",
        &request(&server, "moreau", "vancomycin-order-sign"),
    );
    let together = ask(
        &server,
        "any-twin-order-sign",
        &request(&server, "moreau", "any-twin-order-sign"),
    );
    assert_eq!(topics(&of_one), ["vancomycin-dosing"]);
    assert_eq!(of_one["cards"][0]["summary"], together["cards"][0]["summary"]);
    assert_eq!(together["cards"].as_array().unwrap().len(), 1);
    let both = ids(&start(Offer::Both));
    assert!(both.len() > 6 && both.contains(&"vancomycin-order-sign".to_owned()));
    assert!(!ids(&start(Offer::Each)).iter().any(|id| id.starts_with("any-twin")));
}

#[test]
fn two_twins_speak_about_one_order() {
    let server = start(Offer::Together);
    let service = "any-twin-order-sign";
    let mut call = request(&server, "oconnor", service);
    let body = ask(&server, service, &call);
    assert_eq!(
        topics(&body),
        ["carboplatin-dosing", "tumour-dosing"],
        "what is critical comes first: {body}"
    );
    assert_eq!(body["cards"][0]["indicator"], "critical");
    // The same from the client's FHIR server, which is asked for what these two need.
    call["fhirServer"] = json!(format!("http://{}/demo/fhir", server.address));
    call.as_object_mut().unwrap().remove("prefetch");
    assert_eq!(topics(&ask(&server, service, &call)), topics(&body));
    // Opening the chart: the patient is on this treatment, and on no other.
    let service = "any-twin-patient-view";
    let opened = ask(&server, service, &request(&server, "oconnor", service));
    assert_eq!(topics(&opened), topics(&body));
}

#[test]
fn data_that_only_other_twins_need_are_not_missed() {
    let server = start(Offer::Together);
    let service = "any-twin-order-sign";
    let mut call = request(&server, "moreau", service);
    let own: BTreeSet<&str> = [
        "patient",
        "administrations",
        "orders",
        "statements",
        "conditions",
        "procedures",
    ]
    .into();
    let vancomycin = server.get("/demo/request/moreau/vancomycin-order-sign?bare=1").1;
    let levels = vancomycin["prefetch"].as_object().unwrap();
    let prefetch = call["prefetch"].as_object_mut().unwrap();
    // By what was found, since keys may be called otherwise in a service of several twins.
    prefetch.retain(|key, value| own.contains(key.as_str()) || levels.values().any(|found| found == value));
    let failed = json!({ "resourceType": "OperationOutcome", "issue": [{ "severity": "error", "code": "exception" }] });
    prefetch.insert("genotypes-warfarin".to_owned(), failed.clone());
    assert_eq!(topics(&ask(&server, service, &call)), ["vancomycin-dosing"]);
    // What it needs itself is missed as when it is asked alone.
    call["prefetch"]["administrations"] = failed;
    let (status, body) = server.post(&format!("/cds-services/{service}"), &call, "en");
    assert_eq!(status, 412, "{body}");
    assert!(body.to_string().contains("administrations"), "{body}");
    // And when a chart is opened, where nobody can tell who is on what.
    call["hook"] = json!("patient-view");
    let (status, _) = server.post("/cds-services/any-twin-patient-view", &call, "en");
    assert_eq!(status, 412);
}

/// A server in a process of its own, which ends with this value and whatever it still computes.
struct Process {
    child: Child,
    address: String,
    runtime: tokio::runtime::Runtime,
}

impl Process {
    fn start(models: &Path, data: &Path, deadline: &str) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_jumeau"))
            .args(["demo", "--listen", "127.0.0.1:0", "--data"])
            .arg(data)
            .arg("--models")
            .arg(models)
            .env("JUMEAU__HTTP__DEADLINE", deadline)
            .env("JUMEAU__SERVICES__OFFER", "both")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        let line = lines.find(|line| line.starts_with("Playground")).unwrap();
        let address = line.rsplit("http://").next().unwrap().trim_end_matches('/').to_owned();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        Self {
            child,
            address,
            runtime,
        }
    }

    fn send(&self, path: &str, body: Option<&Value>) -> Value {
        let client = reqwest::Client::new();
        let url = format!("http://{}{path}", self.address);
        let request = match body {
            Some(body) => client
                .post(url)
                .header("content-type", "application/json")
                .body(body.to_string()),
            None => client.get(url),
        };
        self.runtime.block_on(async {
            let answer = request.send().await.unwrap();
            assert_eq!(answer.status().as_u16(), 200);
            serde_json::from_str(&answer.text().await.unwrap()).unwrap()
        })
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// Copies a twin under another name, with a change to each of its files.
fn copy(from: &str, to: &Path, id: &str, change: impl Fn(&str, String) -> String) {
    let folder = to.join(id);
    fs::create_dir(&folder).unwrap();
    for file in fs::read_dir(format!("models/{from}")).unwrap().map(Result::unwrap) {
        let name = file.file_name().into_string().unwrap();
        let text = fs::read_to_string(file.path()).unwrap();
        let text = text.replace(&format!("id      = \"{from}\""), &format!("id      = \"{id}\""));
        fs::write(folder.join(&name), change(&name, text)).unwrap();
    }
}

#[test]
fn who_is_slow_or_fails_silences_nobody() {
    let models = tempfile::tempdir().unwrap();
    let data = tempfile::tempdir().unwrap();
    copy("vancomycin", models.path(), "vancomycin", |_, text| text);
    // A spring so stiff that each hour has a hundred thousand turns.
    let spring = "d/dt(x) = 600000*y\nd/dt(y) = -600000*x*(1 + x*x)\nx(0) = 1\nC = A1/V1 + 0.001*x";
    copy("vancomycin", models.path(), "hangs", |_, text| {
        text.replace("[equations]", "[equations]\nunchecked = \"a spring\"")
            .replace("\nC = A1/V1", &format!("\n{spring}"))
    });
    // Asks for weights under a code of its own, which the client fails to get.
    copy("vancomycin", models.path(), "lacks", |_, text| {
        text.replace("29463-7", "99999-9")
    });
    fs::create_dir(models.path().join("broken")).unwrap();
    fs::write(models.path().join("broken/twin.toml"), "[twin]\n").unwrap();
    let server = Process::start(models.path(), data.path(), "5s");
    // In the end the slow one still computes for those before, and nobody waits for it but in vain.
    for hook in ["order-sign", "patient-view", "order-select"] {
        let mut call = server.send(&format!("/demo/request/moreau/any-twin-{hook}?bare=1"), None);
        let failed =
            json!({ "resourceType": "OperationOutcome", "issue": [{ "severity": "error", "code": "exception" }] });
        assert!(
            call["prefetch"].get("observation-wt-lacks").is_some(),
            "{:?}",
            call["prefetch"].as_object().unwrap().keys()
        );
        call["prefetch"]["observation-wt-lacks"] = failed;
        let asked = Instant::now();
        let body = server.send(&format!("/cds-services/any-twin-{hook}"), Some(&call));
        assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
        assert_eq!(topics(&body), ["vancomycin-dosing"], "{body}");
        let left_out = &body["extension"]["jumeau_left_out"];
        assert_eq!(
            (&left_out[0]["twin"], &left_out[1]),
            (&json!("hangs"), &json!({ "twin": "lacks", "why": "missing-data" }))
        );
        assert!(
            ["late", "busy"].contains(&left_out[0]["why"].as_str().unwrap()),
            "{left_out}"
        );
    }
}
