//! A FHIR server that is not ours: the same cards from what a client sends along and from what is fetched there.
//!
//! It is `tests/fhir-server`, the medplum router on Node. Where that is not installed the test says so and passes, unless
//! `JUMEAU_REQUIRE_REAL_SERVER=1`.

use std::{
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use jumeau::settings::AsOf;
use serde_json::{Value, json};

use crate::support::{ANCHOR, Server, patient, sample, stable};

/// Twins and patients for whom each draws a card.
const PATIENTS: [(&str, &str); 4] = [
    ("vancomycin", "moreau"),
    ("vancomycin", "okafor"),
    ("vancomycin", "castellano"),
    ("infliximab", "delacroix"),
];

/// The running server; ends with this value.
struct Real {
    process: Child,
    base: String,
}

impl Real {
    fn start() -> Result<Self, String> {
        let modules = Path::new(env!("CARGO_TARGET_TMPDIR"))
            .parent()
            .unwrap()
            .join("fhir-server");
        if !modules.join("node_modules").is_dir() {
            return Err(
                "its packages are not installed; tests/fhir-server/install does that (it needs Node and npm)"
                    .to_owned(),
            );
        }
        let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        let mut process = Command::new("node")
            .arg(root.join("tests/fhir-server/server.mjs"))
            .arg("0")
            .args(PATIENTS.map(|(_, name)| root.join(format!("src/demo/patients/{name}.json"))))
            .env("FHIR_SERVER_MODULES", modules)
            // It ends when this is closed, however the test ends.
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|e| format!("node cannot be started: {e}"))?;
        let mut base = String::new();
        let told = BufReader::new(process.stdout.take().unwrap()).read_line(&mut base);
        match told {
            Ok(1..) => Ok(Self {
                process,
                base: base.trim().to_owned(),
            }),
            _ => Err(format!("it ended: {:?}", process.wait())),
        }
    }
}

impl Drop for Real {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn the_same_cards_from_prefetch_and_from_a_real_server() {
    let real = match Real::start() {
        Ok(real) => real,
        Err(why) => {
            assert!(
                std::env::var("JUMEAU_REQUIRE_REAL_SERVER").as_deref() != Ok("1"),
                "the FHIR server is required, but {why}"
            );
            println!("skipped: no FHIR server beside ours: {why}");
            return;
        }
    };
    let server = Server::production(|settings| {
        settings.clock.as_of = AsOf::try_from(ANCHOR.to_owned()).unwrap();
        settings.http.deadline = Duration::from_secs(120);
        settings.http.background_limit = Duration::from_secs(120);
        settings.fhir.loopback_http = false;
        settings.fhir.allow = vec![real.base.clone()];
    });
    for (twin, name) in PATIENTS {
        let record = sample(name);
        let sent = server.request_of(twin, "patient-view", &record, None);
        let expected = server.card_of(twin, "patient-view", &sent);
        let fetched = json!({
            "hook": "patient-view", "hookInstance": sent["hookInstance"], "fhirServer": real.base,
            "context": { "userId": "Practitioner/p1", "patientId": patient(&record)["id"] },
        });
        let card = server.card_of(twin, "patient-view", &fetched);
        let (card, expected) = (card.unwrap_or_default(), expected.unwrap_or_default());
        assert!(expected.is_object(), "{name}: a card");
        let mut differ = Vec::new();
        differences("", &stable(&card), &stable(&expected), &mut differ);
        assert!(differ.is_empty(), "{name}: {differ:#?}");
    }
}

/// Where two values differ, and how.
fn differences(at: &str, left: &Value, right: &Value, found: &mut Vec<String>) {
    match (left, right) {
        (Value::Object(a), Value::Object(b)) if a.keys().eq(b.keys()) => {
            a.keys()
                .for_each(|key| differences(&format!("{at}/{key}"), &a[key], &b[key], found));
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            let pairs = a.iter().zip(b).enumerate();
            pairs.for_each(|(place, (a, b))| differences(&format!("{at}/{place}"), a, b, found));
        }
        // JavaScript knows no trailing zeros.
        (Value::String(a), Value::String(b)) if a.replace(".0 ", " ") == b.replace(".0 ", " ") => {}
        _ if left == right => {}
        _ => found.push(format!("{at}: {left} and {right}")),
    }
}
