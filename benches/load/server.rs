//! The server process under load, and what is sent to it.

use std::{
    cell::Cell,
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    rc::Rc,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{client::Client, phase::Make};

/// A server process with sample patients; ends with this value.
pub struct Server {
    pub client: Client,
    child: Child,
    _data: tempfile::TempDir,
}

impl Server {
    pub fn start(binary: &str) -> Self {
        let data = tempfile::tempdir().unwrap();
        // Free now; nobody else takes it within a moment.
        let address: SocketAddr = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let child = Command::new(binary)
            .args(["demo", "--listen", &address.to_string(), "--data"])
            .arg(data.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("{binary:?} cannot be started: {error}"));
        let begun = Instant::now();
        while TcpStream::connect(address).is_err() {
            assert!(begun.elapsed() < Duration::from_secs(30), "the server does not start");
            std::thread::sleep(Duration::from_millis(50));
        }
        Self {
            client: Client::new(address),
            child,
            _data: data,
        }
    }

    /// Memory that it holds, MiB.
    pub fn resident_mib(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
    }

    /// CPU time so far, seconds.
    pub fn cpu(&self) -> f64 {
        cpu(&self.child.id().to_string())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// CPU time of a process so far, seconds.
pub fn cpu(process: &str) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    // In clock ticks, 100 a second on every Linux that this runs on.
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}

/// Hook calls about patients who differ in their id alone.
#[derive(Clone)]
pub struct Bodies {
    path: String,
    /// The call of a sample patient of this id, with [`LEVEL`] in the place of a level.
    text: Rc<str>,
    id: String,
    level: f64,
}

/// Stands nowhere else.
const LEVEL: f64 = 98_765.432_1;

impl Bodies {
    /// From a sample patient, with so many bytes of further doses of another drug in prefetch.
    pub async fn of(server: &Server, twin: &str, patient: &str, length: usize) -> Self {
        let people = server.client.get("/demo/patients").await.unwrap();
        let people: Value = serde_json::from_slice(&people.body).unwrap();
        let mut people = people.as_array().unwrap().iter();
        let person = people
            .find(|p| p["id"] == patient || (patient == twin && p["twin"] == twin))
            .unwrap();
        let id = person["id"].as_str().unwrap();
        let hook = person["hooks"][0].as_str().unwrap();
        let path = format!("/cds-services/{twin}-{hook}");
        let answer = server
            .client
            .get(&format!("/demo/request/{id}/{twin}-{hook}?bare=1"))
            .await;
        let mut request: Value = serde_json::from_slice(&answer.unwrap().body).unwrap();
        let mut copies = 0;
        while request.to_string().len() < length {
            let doses = request["prefetch"]["administrations"]["entry"].as_array_mut().unwrap();
            let mut dose = doses[copies].clone();
            dose["resource"]["id"] = json!(format!("other-{copies}"));
            dose["resource"]["medicationCodeableConcept"] = json!({ "text": "Furosemide", "coding": [
                { "system": "http://www.nlm.nih.gov/research/umls/rxnorm", "code": "4603", "display": "furosemide" }] });
            doses.push(dose);
            copies += 1;
        }
        let mut level = 0.0;
        if let Some(value) = request.pointer_mut("/prefetch/observation-c/entry/0/resource/valueQuantity/value") {
            level = value.to_string().parse().unwrap();
            *value = json!(LEVEL);
        }
        Self {
            path,
            text: request.to_string().into(),
            id: id.to_owned(),
            level,
        }
    }

    fn about(&self, id: &str, level: f64) -> Rc<[u8]> {
        let body = self
            .text
            .replace(&self.id, id)
            .replace(&LEVEL.to_string(), &level.to_string());
        let head = format!(
            "POST {} HTTP/1.1\r\nHost: load\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            self.path,
            body.len()
        );
        [head.as_bytes(), body.as_bytes()].concat().into()
    }

    /// Calls about so many patients in turn.
    pub fn known(self, patients: usize) -> Make {
        let all: Vec<_> = (0..patients)
            .map(|n| self.about(&format!("known-{n}"), self.level))
            .collect();
        let next = Cell::new(0);
        Rc::new(move || {
            next.set(next.get() + 1);
            Rc::clone(&all[next.get() % all.len()])
        })
    }

    /// Calls about another patient each.
    pub fn fresh(&self) -> Make {
        thread_local!(static NEXT: Cell<u64> = const { Cell::new(0) });
        let this = self.clone();
        Rc::new(move || {
            let number = NEXT.get();
            NEXT.set(number + 1);
            this.about(&format!("fresh-{number}"), this.level)
        })
    }

    /// Calls about so many patients in turn, with another level each time: their twins are made anew.
    pub fn changed(&self, patients: u32) -> Make {
        let this = self.clone();
        let next = Cell::new(0_u32);
        Rc::new(move || {
            next.set(next.get() + 1);
            let level = this.level + f64::from(next.get()) * 1e-5;
            this.about(&format!("changed-{}", next.get() % patients), level)
        })
    }
}
