//! Two server processes on one database behave as one.

use std::{
    net::{SocketAddr, TcpListener},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use jumeau::store::audit::AuditRecord;
use serde_json::{Value, json};

use super::{
    auth::by_file,
    support::{ANCHOR, Server, draft, sample, stable},
    tokens::{Ehr, PUBLIC},
};

#[path = "../postgres/server.rs"]
#[allow(dead_code, reason = "some of it is for unit tests")]
mod server;
use server::Postgres;

const SIGN: &str = "/cds-services/vancomycin-order-sign";

/// A server process.
struct Process {
    address: SocketAddr,
    child: Child,
    http: reqwest::Client,
    runtime: tokio::runtime::Runtime,
}

impl Process {
    fn start(config: &Path) -> Self {
        // Free now; nobody else takes it within a moment.
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_jumeau"))
            .args(["serve", "--listen", &address.to_string(), "--config"])
            .arg(config)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let this = Self {
            address,
            child,
            http: reqwest::Client::new(),
            runtime: tokio::runtime::Runtime::new().unwrap(),
        };
        let begun = Instant::now();
        while this.get("/ready").0 != 200 {
            assert!(begun.elapsed() < Duration::from_secs(30), "the server does not start");
            std::thread::sleep(Duration::from_millis(50));
        }
        this
    }

    fn answer(&self, request: reqwest::RequestBuilder) -> (u16, String) {
        self.runtime.block_on(async {
            match request.send().await {
                Ok(answer) => (answer.status().as_u16(), answer.text().await.unwrap()),
                Err(_) => (0, String::new()),
            }
        })
    }

    fn get(&self, path: &str) -> (u16, String) {
        self.answer(self.http.get(format!("http://{}{path}", self.address)))
    }

    fn with_token(&self, path: &str, token: &str) -> u16 {
        let request = self.http.get(format!("http://{}{path}", self.address));
        self.answer(request.bearer_auth(token)).0
    }

    fn post(&self, ehr: &Ehr, path: &str, body: &Value) -> (u16, Value) {
        let request = self.http.post(format!("http://{}{path}", self.address));
        let request = request
            .header("content-type", "application/json")
            .body(body.to_string());
        let (status, text) = self.answer(request.bearer_auth(ehr.fresh(path)));
        (status, serde_json::from_str(&text).unwrap_or(Value::Null))
    }

    fn card(&self, ehr: &Ehr, request: &Value) -> Value {
        let (status, answer) = self.post(ehr, SIGN, request);
        assert_eq!(status, 200, "{answer}");
        stable(&answer["cards"][0])
    }

    /// How often a posterior came from there.
    fn looked_up(&self, from: &str) -> u64 {
        let line = format!("jumeau_twin_cache_total{{twin=\"vancomycin\",result=\"{from}\"}} ");
        let (_, metrics) = self.get("/metrics");
        let found = metrics.lines().find_map(|text| text.strip_prefix(&line));
        found.map_or(0, |number| number.parse().unwrap())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn settings(folder: &Path, database: &Postgres, ehr: &Ehr, sealed: bool) -> std::path::PathBuf {
    let issuer = by_file(ehr, folder);
    let mut text = format!(
        "[http]\npublic_url = {PUBLIC:?}\ndeadline = '30s'\n[clock]\nas_of = {ANCHOR:?}\n[services]\noffer = 'each'\n[metrics]\npublic = true\n\
         [store.postgres]\nurl = {:?}\ntls = 'disable'\ntimeout = '2s'\n[[tenant]]\nid = 'north'\n[[tenant.issuer]]\niss = {:?}\njwks_file = {:?}\n",
        database.url(),
        issuer.iss,
        issuer.jwks_file.unwrap(),
    );
    if sealed {
        let key = folder.join("key");
        std::fs::write(&key, "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=").unwrap();
        text += &format!("[[store.key]]\nid = 'k'\nfile = {key:?}\n");
    }
    let file = folder.join("jumeau.toml");
    std::fs::write(&file, text).unwrap();
    file
}

fn feedback(number: usize) -> Value {
    json!({ "feedback": [{ "card": format!("6194ea0c-6f4e-4b1c-9b5e-{number:012}"), "outcome": "overridden",
        "outcomeTimestamp": "2026-01-15T12:00:00Z" }] })
}

#[test]
fn two_processes_on_one_database_behave_as_one() {
    let Some(database) = Postgres::start() else { return };
    let folder = tempfile::tempdir().unwrap();
    let ehr = Ehr::new("https://ehr.example");
    let config = settings(folder.path(), &database, &ehr, false);
    let (one, two) = (Process::start(&config), Process::start(&config));
    let open = Server::start();
    let (record, order) = (sample("moreau"), draft("moreau"));
    let newer = open.request("order-sign", &record, Some(&order));
    // The same patient with a level less: the facts of a moment before.
    let mut earlier = record.clone();
    let entries = earlier["entry"].as_array_mut().unwrap();
    let level = entries
        .iter()
        .rposition(|e| e["resource"]["code"]["coding"][0]["code"] == "20578-1")
        .unwrap();
    entries.remove(level);
    let older = open.request("order-sign", &earlier, Some(&order));

    // What one has made of the record the other need not make again.
    let first = one.card(&ehr, &newer);
    assert_eq!((one.looked_up("miss"), two.looked_up("miss")), (1, 0));
    assert_eq!(two.card(&ehr, &newer), first);
    assert_eq!((two.looked_up("hit"), two.looked_up("miss")), (1, 0));

    // Both change the same twin at the same moment, again and again: each gives the card of the facts that it was told.
    let second = two.card(&ehr, &older);
    assert_ne!(first, second);
    std::thread::scope(|scope| {
        for process in [&one, &two] {
            for request in [&newer, &older] {
                let (ehr, first, second) = (&ehr, &first, &second);
                let expected = if std::ptr::eq(request, &raw const newer) {
                    first
                } else {
                    second
                };
                scope.spawn(move || {
                    for _ in 0..6 {
                        assert_eq!(&process.card(ehr, request), expected);
                    }
                });
            }
            // Feedback meanwhile.
            let ehr = &ehr;
            let from = if process.address == one.address { 0 } else { 100 };
            scope.spawn(move || {
                for n in from..from + 20 {
                    assert_eq!(process.post(ehr, &format!("{SIGN}/feedback"), &feedback(n)).0, 200);
                }
            });
        }
    });

    // A token is good once in all.
    let token = ehr.fresh("/cds-services");
    assert_eq!(one.with_token("/cds-services", &token), 200);
    assert_eq!(two.with_token("/cds-services", &token), 401);

    // The database goes and comes back: nobody gets in whose token cannot be checked, and all is there afterwards.
    database.stop();
    assert_eq!(one.with_token("/cds-services", &ehr.fresh("/cds-services")), 503);
    assert_eq!(one.get("/ready").0, 503);
    database.start_again();
    let begun = Instant::now();
    while one.with_token("/cds-services", &ehr.fresh("/cds-services")) != 200 {
        assert!(begun.elapsed() < Duration::from_secs(20), "it does not recover");
        std::thread::sleep(Duration::from_millis(200));
    }
    assert_eq!(one.card(&ehr, &newer), first);
    drop((one, two));

    let output = Command::new(env!("CARGO_BIN_EXE_jumeau"))
        .args(["store", "status", "--config"])
        .arg(&config)
        .output()
        .unwrap();
    let status = String::from_utf8(output.stdout).unwrap();
    assert!(
        status.contains("twins     1 ") && status.contains("feedback  40\n"),
        "{status}"
    );
}

#[test]
fn what_is_sealed_is_not_legible_in_the_database_and_moves_there_and_back() {
    let Some(database) = Postgres::start() else { return };
    let folder = tempfile::tempdir().unwrap();
    let ehr = Ehr::new("https://ehr.example");
    let sealed = settings(folder.path(), &database, &ehr, true);
    let server = Server::start();
    let request = server.request("order-sign", &sample("moreau"), Some(&draft("moreau")));
    assert!(server.card("order-sign", &request).is_some());
    let (status, _) = server.post(&format!("{SIGN}/feedback"), &feedback(1), "en");
    assert_eq!(status, 200);
    let disk = server.stop();
    let jumeau = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_jumeau"))
            .arg("store")
            .args(arguments)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let (disk, sealed) = (disk.path().to_str().unwrap(), sealed.to_str().unwrap());
    assert!(jumeau(&["copy", "--data", disk, "--to", sealed]).contains("1 twins, 1 feedback"));
    let dump = Command::new("psql")
        .args([
            "--host",
            database.folder.path().to_str().unwrap(),
            "--username",
            "admin",
            "--dbname",
            "jumeau",
            "--command",
        ])
        .arg("SELECT tenant, encode(payload, 'escape') FROM jumeau_twins; SELECT * FROM jumeau_log")
        .output()
        .unwrap();
    let dump = String::from_utf8_lossy(&dump.stdout).into_owned();
    assert!(
        dump.contains("local") && dump.contains("sealed") && !dump.contains("overridden"),
        "{dump}"
    );
    let back = folder.path().join("back.toml");
    std::fs::write(
        &back,
        format!("[store]\ndirectory = {:?}\n", folder.path().join("data")),
    )
    .unwrap();
    assert!(jumeau(&["copy", "--config", sealed, "--to", back.to_str().unwrap()]).contains("1 twins, 1 feedback"));
    // The audit log of the database knows of the copy.
    let audit = std::fs::read_to_string(folder.path().join("data/audit.log")).unwrap();
    let records: Vec<AuditRecord> = audit
        .lines()
        .map(|line| serde_json::from_str(line.splitn(4, ' ').nth(3).unwrap()).unwrap())
        .collect();
    assert!(records.is_empty(), "that of the first copy stays with the first store");
}
