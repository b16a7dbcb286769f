//! A whole hook over HTTP: 50 KB of prefetch in, cards out. `cargo bench --bench hook`.
//!
//! Cold: a level changes with every call, so the twin is read from the store, found stale, fitted anew and stored. Warm: the
//! same call again and again. Before the wall times of divan, the CPU time of the whole process (client included) is printed.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    missing_docs
)]

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
};

use divan::Bencher;
use jumeau::{
    app::{self, Mode},
    settings::Settings,
};
use serde_json::{Value, json};

fn main() {
    // `-- --twins warfarin,docetaxel` asks for these alone.
    let mut arguments = std::env::args().skip_while(|argument| argument != "--twins");
    if let Some(twins) = arguments.nth(1) {
        return every_twin(&twins.split(',').map(str::to_owned).collect::<Vec<_>>());
    }
    // A filter on the command line asks for one bench alone.
    let all = std::env::args().skip(1).all(|argument| argument.starts_with('-'));
    for (name, request) in [
        ("cold", cold as fn() -> (&'static str, String)),
        ("other order", other_order),
        ("warm", warm),
    ]
    .into_iter()
    .filter(|_| all)
    {
        let mut client = Client::new();
        for _ in 0..20 {
            client.call(&request());
        }
        let calls = 200;
        let before = cpu_ms();
        for _ in 0..calls {
            client.call(&request());
        }
        println!(
            "{name}: {:.2} ms of CPU a call ({} bytes)",
            (cpu_ms() - before) / f64::from(calls),
            request().1.len()
        );
    }
    if all {
        every_twin(&[]);
    }
    divan::main();
}

/// CPU time of a hook that concerns one twin, for a sample patient of each: a patient never seen, the same patient with an order
/// that differs by a millionth, and the same question again. Only of these twins, if any are named.
fn every_twin(named: &[String]) {
    println!("twin (patient): cold / known twin, another order / same question, ms of CPU");
    let mut client = Client::new();
    let people: Value = serde_json::from_str(&client.get("/demo/patients")).unwrap();
    for person in people.as_array().unwrap() {
        let (id, twin) = (person["id"].as_str().unwrap(), person["twin"].as_str().unwrap());
        if !named.is_empty() && !named.iter().any(|name| name == twin) {
            continue;
        }
        let hook = person["hooks"][0].as_str().unwrap();
        let service = format!("{twin}-{hook}");
        let text = client.get(&format!("/demo/request/{id}/{service}?bare=1"));
        let path: &'static str = Box::leak(format!("/cds-services/{service}").into_boxed_str());
        let advised = client.ask(&(path, text.clone())).contains("\"options\"");
        if !advised {
            continue;
        }
        let mut measure = |calls: u32, body: &dyn Fn(u32) -> String| {
            let before = cpu_ms();
            for call in 0..calls {
                client.ask(&(path, body(call)));
            }
            (cpu_ms() - before) / f64::from(calls)
        };
        // Another name in every place makes another patient.
        let cold = measure(10, &|call| text.replace(id, &format!("{id}-{call}")));
        let other = measure(10, &|call| {
            let mut request: Value = serde_json::from_str(&text).unwrap();
            let dose = request.pointer_mut(
                "/context/draftOrders/entry/0/resource/dosageInstruction/0/doseAndRate/0/doseQuantity/value",
            );
            if let Some(dose) = dose {
                *dose = json!(dose.as_f64().unwrap() * (1.0 + 1e-6 * f64::from(call + 1)));
            }
            request.to_string()
        });
        let same = measure(20, &|_| text.clone());
        println!("{twin} ({id}): {cold:.0} / {other:.0} / {same:.1}");
    }
}

/// CPU milliseconds of this process so far, all threads.
fn cpu_ms() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    // In clock ticks, 100 a second on every Linux that this runs on.
    10.0 * (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap())
}

#[divan::bench]
fn cold_twin(bencher: Bencher<'_, '_>) {
    let mut client = Client::new();
    bencher.with_inputs(cold).bench_local_values(|body| client.call(&body));
}

#[divan::bench]
fn other_order_warm_twin(bencher: Bencher<'_, '_>) {
    let mut client = Client::new();
    bencher
        .with_inputs(other_order)
        .bench_local_values(|body| client.call(&body));
}

#[divan::bench]
fn warm_twin(bencher: Bencher<'_, '_>) {
    let mut client = Client::new();
    bencher.with_inputs(warm).bench_local_values(|body| client.call(&body));
}

fn address() -> SocketAddr {
    static ADDRESS: OnceLock<SocketAddr> = OnceLock::new();
    *ADDRESS.get_or_init(|| {
        let mut settings = Settings::load(None).unwrap();
        settings.http.listen = "127.0.0.1:0".parse().unwrap();
        let folder = tempfile::tempdir().unwrap().keep();
        settings.store.directory = Some(folder);
        let runtime: &'static tokio::runtime::Runtime = Box::leak(Box::new(
            tokio::runtime::Builder::new_multi_thread()
                .enable_all()
                .build()
                .unwrap(),
        ));
        let _inside = runtime.enter();
        let started = app::start(settings, Mode::Demo, |_| {}).unwrap();
        runtime.spawn(started.server);
        started.address
    })
}

/// A patient with two levels and about 50 KB of prefetch, most of it doses of other drugs.
fn request() -> &'static Value {
    static REQUEST: OnceLock<Value> = OnceLock::new();
    REQUEST.get_or_init(|| {
        let text = Client::new().get("/demo/request/moreau/vancomycin-patient-view?bare=1");
        let mut request: Value = serde_json::from_str(&text).unwrap();
        let doses = request["prefetch"]["administrations"]["entry"].as_array().unwrap().clone();
        let mut other = doses;
        for i in 0.. {
            let mut dose = other[i].clone();
            dose["resource"]["id"] = json!(format!("other-{i}"));
            dose["resource"]["medicationCodeableConcept"] = json!({ "text": "Furosemide", "coding": [
                { "system": "http://www.nlm.nih.gov/research/umls/rxnorm", "code": "4603", "display": "furosemide" }] });
            other.push(dose);
            request["prefetch"]["administrations"]["entry"] = Value::Array(other.clone());
            if request.to_string().len() > 50_000 {
                break;
            }
        }
        request
    })
}

fn warm() -> (&'static str, String) {
    static BODY: OnceLock<String> = OnceLock::new();
    (PATIENT_VIEW, BODY.get_or_init(|| request().to_string()).clone())
}

fn cold() -> (&'static str, String) {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let mut request = request().clone();
    let level = &mut request["prefetch"]["observation-c"]["entry"][0]["resource"]["valueQuantity"]["value"];
    let value: f64 = level.to_string().parse().unwrap();
    *level = json!(value + f64::from(COUNT.fetch_add(1, Ordering::Relaxed)) * 1e-4);
    (PATIENT_VIEW, request.to_string())
}

/// Order-sign with a dose that differs by a milligram each time.
fn other_order() -> (&'static str, String) {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    static TEXT: OnceLock<Value> = OnceLock::new();
    let mut request = TEXT
        .get_or_init(|| {
            let text = Client::new().get("/demo/request/moreau/vancomycin-order-sign?bare=1");
            let mut order: Value = serde_json::from_str(&text).unwrap();
            order["prefetch"] = request()["prefetch"].clone();
            order
        })
        .clone();
    let dose = &mut request["context"]["draftOrders"]["entry"][0]["resource"]["dosageInstruction"][0]["doseAndRate"][0];
    dose["doseQuantity"]["value"] = json!(1500 + COUNT.fetch_add(1, Ordering::Relaxed) % 500);
    ("/cds-services/vancomycin-order-sign", request.to_string())
}

const PATIENT_VIEW: &str = "/cds-services/vancomycin-patient-view";

/// One kept-alive connection.
struct Client(BufReader<TcpStream>);

impl Client {
    fn new() -> Self {
        let stream = TcpStream::connect(address()).unwrap();
        stream.set_nodelay(true).unwrap();
        Self(BufReader::new(stream))
    }

    fn get(&mut self, path: &str) -> String {
        self.0
            .get_mut()
            .write_all(format!("GET {path} HTTP/1.1\r\nHost: bench\r\n\r\n").as_bytes())
            .unwrap();
        self.answer()
    }

    /// An answer with a card.
    fn call(&mut self, request: &(&'static str, String)) -> String {
        let answer = self.ask(request);
        assert!(answer.contains("\"summary\""), "{answer}");
        answer
    }

    fn ask(&mut self, (path, body): &(&'static str, String)) -> String {
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        self.0.get_mut().write_all(head.as_bytes()).unwrap();
        self.0.get_mut().write_all(body.as_bytes()).unwrap();
        self.answer()
    }

    fn answer(&mut self) -> String {
        let mut length = 0;
        loop {
            let mut line = String::new();
            self.0.read_line(&mut line).unwrap();
            if line.trim().is_empty() {
                break;
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
        }
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).unwrap();
        String::from_utf8(body).unwrap()
    }
}
