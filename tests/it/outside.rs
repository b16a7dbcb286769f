//! Servers of which a test decides every byte: FHIR servers and authorisation servers, well-behaved and not.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::{Value, json};

use crate::support;

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Asked {
    pub method: String,
    /// Without the query.
    pub path: String,
    pub query: String,
    pub head: String,
    pub body: String,
    /// How many came before it.
    pub number: usize,
}

/// What is answered.
pub struct Reply {
    pub bytes: Vec<u8>,
    /// Whether the connection is then kept open without a word.
    pub stall: bool,
}

impl Reply {
    pub fn json(status: u16, body: &Value) -> Self {
        Self::with(
            status,
            "content-type: application/fhir+json\r\n",
            body.to_string().as_bytes(),
        )
    }

    /// With further headers, each with its end of line.
    pub fn with(status: u16, headers: &str, body: &[u8]) -> Self {
        let length = body.len();
        let head = format!("HTTP/1.1 {status} x\r\n{headers}content-length: {length}\r\nconnection: close\r\n\r\n");
        Self {
            bytes: [head.as_bytes(), body].concat(),
            stall: false,
        }
    }

    pub fn stall() -> Self {
        Self {
            bytes: Vec::new(),
            stall: true,
        }
    }
}

/// Until the test process ends.
pub struct Outside {
    pub origin: String,
    seen: Arc<Mutex<Vec<Asked>>>,
}

impl Outside {
    pub fn start(script: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (kept, script) = (Arc::clone(&seen), Arc::new(script));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (script, kept) = (Arc::clone(&script), Arc::clone(&kept));
                std::thread::spawn(move || serve(stream, &*script, &kept));
            }
        });
        Self { origin, seen }
    }

    pub fn seen(&self) -> Vec<Asked> {
        self.seen.lock().unwrap().clone()
    }

    pub fn fhir(&self) -> String {
        format!("{}/fhir", self.origin)
    }
}

fn serve(mut stream: TcpStream, script: &dyn Fn(&Asked) -> Reply, seen: &Mutex<Vec<Asked>>) {
    let mut request = Vec::new();
    let mut piece = [0; 4096];
    let (head, body) = loop {
        let read = stream.read(&mut piece).unwrap_or(0);
        request.extend_from_slice(&piece[..read]);
        let text = String::from_utf8_lossy(&request).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let lower = head.to_ascii_lowercase();
            let length = lower.split("content-length: ").nth(1);
            let length = length.map_or(0, |rest| rest.split("\r\n").next().unwrap().parse::<usize>().unwrap());
            if body.len() >= length {
                break (head.to_owned(), body.to_owned());
            }
        }
        if read == 0 {
            return;
        }
    };
    let mut line = head.split(' ');
    let (method, target) = (line.next().unwrap().to_owned(), line.next().unwrap());
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let (path, query) = (path.to_owned(), query.to_owned());
    let asked = {
        let mut seen = seen.lock().unwrap();
        let number = seen.len();
        seen.push(Asked {
            method,
            path,
            query,
            head: head.clone(),
            body,
            number,
        });
        seen.last().unwrap().clone()
    };
    let reply = script(&asked);
    let _ = stream.write_all(&reply.bytes);
    if reply.stall {
        std::thread::sleep(Duration::from_secs(20));
    }
}

/// What a FHIR server that holds one record answers under `/fhir`.
pub fn well(record: &Value, asked: &Asked) -> Reply {
    let relative = asked.path.strip_prefix("/fhir/").unwrap();
    if relative == "metadata" {
        return Reply::json(
            200,
            &json!({"resourceType": "CapabilityStatement", "fhirVersion": "4.0.1"}),
        );
    }
    if relative.starts_with("Patient/") {
        return Reply::json(200, support::patient(record));
    }
    let mut bundle = support::answer(record, &format!("{relative}?{}", asked.query));
    bundle["link"] = json!([{"relation": "self", "url": format!("{}?{}", asked.path, asked.query)}]);
    Reply::json(200, &bundle)
}
