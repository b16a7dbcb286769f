//! Hospitals that share a server and must not see anything of one another.

use std::{
    io::{Read as _, Write as _},
    net::TcpListener,
    sync::{Arc, Mutex},
    time::Duration,
};

use jumeau::{
    auth::settings::TenantSettings,
    store::{self, open::StoreSettings},
};
use serde_json::{Value, json};

use super::{
    auth::{by_file, protect, tenant},
    support::{ANCHOR, Server, draft, sample, stable},
    tokens::Ehr,
};

/// A FHIR server that holds nothing and writes down who asks, with which token.
struct Listening {
    base: String,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Listening {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let base = format!("http://{}/fhir", listener.local_addr().unwrap());
        let heads = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&heads);
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let mut bytes = [0; 4096];
                let read = stream.read(&mut bytes).unwrap_or(0);
                kept.lock()
                    .unwrap()
                    .push(String::from_utf8_lossy(&bytes[..read]).into_owned());
                let _ = stream.write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            }
        });
        Self { base, heads }
    }

    fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

struct Two {
    server: Server,
    north: Ehr,
    south: Ehr,
    _keys: tempfile::TempDir,
}

impl Two {
    fn open(change: impl FnOnce(&mut TenantSettings, &mut TenantSettings)) -> Self {
        let keys = tempfile::tempdir().unwrap();
        let (north, south) = (Ehr::new("https://north.example"), Ehr::new("https://south.example"));
        let mut one = tenant("north", by_file(&north, keys.path()));
        let mut two = tenant("south", by_file(&south, keys.path()));
        change(&mut one, &mut two);
        let server = Server::production(|settings| {
            protect(settings, vec![one, two]);
            settings.clock.as_of = ANCHOR.to_owned().try_into().unwrap();
            settings.http.deadline = Duration::from_secs(60);
        });
        Self {
            server,
            north,
            south,
            _keys: keys,
        }
    }

    fn get(&self, ehr: &Ehr, path: &str) -> Value {
        let bearer = format!("Bearer {}", ehr.fresh(path));
        let (status, _, body) = self.server.send("GET", path, &[("authorization", &bearer)], "");
        assert_eq!(status, 200, "{body}");
        serde_json::from_str(&body).unwrap()
    }

    fn post(&self, ehr: &Ehr, path: &str, request: &Value) -> (u16, Value) {
        let bearer = format!("Bearer {}", ehr.fresh(path));
        let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
        let (status, _, body) = self.server.send("POST", path, &headers, &request.to_string());
        (status, serde_json::from_str(&body).unwrap_or(Value::Null))
    }
}

const SIGN: &str = "/cds-services/vancomycin-order-sign";

/// What an EHR sends for a sample patient under another's id.
fn request(open: &Server, name: &str, id: &str) -> Value {
    let record = sample(name);
    let own = record["entry"][0]["resource"]["id"].as_str().unwrap().to_owned();
    let request = open.request("order-sign", &record, Some(&draft(name)));
    let renamed = request
        .to_string()
        .replace(&format!("Patient/{own}"), &format!("Patient/{id}"));
    serde_json::from_str(
        &renamed
            .replace(&format!("\"id\":\"{own}\""), &format!("\"id\":\"{id}\""))
            .replace(&format!("\"patientId\":\"{own}\""), &format!("\"patientId\":\"{id}\"")),
    )
    .unwrap()
}

#[test]
fn two_patients_of_one_id_stay_two() {
    let open = Server::start();
    let (a, b) = (request(&open, "moreau", "p1"), request(&open, "whitfield", "p1"));
    let two = Two::open(|_, _| {});
    let card = |ehr: &Ehr, request: &Value| {
        let (status, answer) = two.post(ehr, SIGN, request);
        assert_eq!(status, 200, "{answer}");
        stable(&answer["cards"][0]).to_string()
    };
    let (first_a, first_b) = (card(&two.north, &a), card(&two.south, &b));
    assert_ne!(first_a, first_b);
    for _ in 0..5 {
        assert_eq!(
            (card(&two.north, &a), card(&two.south, &b)),
            (first_a.clone(), first_b.clone())
        );
    }
    // Also when both hold the same record: two twins are kept, one for each.
    card(&two.south, &a);
    let data = two.server.stop();
    let settings = StoreSettings {
        directory: Some(data.path().to_owned()),
        ..StoreSettings::default()
    };
    let kept = store::open::open(&settings).unwrap().twins.len().unwrap();
    assert_eq!(kept, 2, "twins of one patient id in two hospitals");
}

#[test]
fn a_tenant_sees_its_own_twins() {
    let two = Two::open(|_, south| south.twins = Some(vec!["tobramycin".to_owned()]));
    let ids = |ehr: &Ehr| -> Vec<String> {
        let listed = two.get(ehr, "/cds-services");
        let services = listed["services"].as_array().unwrap().iter();
        services
            .map(|service| service["id"].as_str().unwrap().to_owned())
            .collect()
    };
    let (all, own) = (ids(&two.north), ids(&two.south));
    assert!(all.iter().any(|id| id.starts_with("vancomycin")) && all.len() > own.len());
    assert!(
        !own.is_empty() && own.iter().all(|id| id.starts_with("tobramycin")),
        "{own:?}"
    );
    let open = Server::start();
    let request = open.request("order-sign", &sample("moreau"), Some(&draft("moreau")));
    let (status, answer) = two.post(&two.south, SIGN, &request);
    assert_eq!(status, 404, "{answer}");
    let (status, _) = two.post(&two.south, &format!("{SIGN}/feedback"), &json!({ "feedback": [] }));
    assert_eq!(status, 404);
    assert_eq!(two.post(&two.north, SIGN, &request).0, 200);
    // Nor by the way round over the service of all twins together.
    let (status, answer) = two.post(&two.south, "/cds-services/any-twin-order-sign", &request);
    assert_eq!((status, &answer["cards"]), (200, &json!([])));
}

#[test]
fn tokens_go_to_the_servers_of_the_tenant_alone() {
    let (fhir_north, fhir_south, fhir_common) = (Listening::start(), Listening::start(), Listening::start());
    let keys = tempfile::tempdir().unwrap();
    let (north, south) = (Ehr::new("north"), Ehr::new("south"));
    let mut one = tenant("north", by_file(&north, keys.path()));
    let mut two = tenant("south", by_file(&south, keys.path()));
    one.fhir = vec![fhir_north.base.clone()];
    two.fhir = vec![fhir_south.base.clone()];
    let server = Server::production(|settings| {
        protect(settings, vec![one, two]);
        settings.fhir.loopback_http = false;
        settings.fhir.allow = vec![fhir_common.base.clone()];
    });
    let path = "/cds-services/vancomycin-patient-view";
    let call = |ehr: &Ehr, base: &str| {
        let body = json!({ "hook": "patient-view", "hookInstance": "d1577c69-dfbe-44ad-ba6d-3e05e953b2ea",
            "context": { "userId": "Practitioner/a", "patientId": "p1" }, "fhirServer": base,
            "fhirAuthorization": { "access_token": "secret-of-north", "token_type": "Bearer", "expires_in": 300,
                "scope": "patient/*.rs", "subject": "jumeau" } });
        let bearer = format!("Bearer {}", ehr.fresh(path));
        let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
        server.send("POST", path, &headers, &body.to_string()).0
    };
    assert_eq!(call(&north, &fhir_north.base), 412);
    assert!(
        fhir_north.heads().iter().any(|head| head.contains("secret-of-north")),
        "its own server is asked"
    );
    let asked = fhir_north.heads().len();
    for base in [
        fhir_south.base.clone(),
        fhir_common.base.clone(),
        format!("{}/../../fhir", fhir_south.base),
        fhir_south.base.replace("127.0.0.1", "localhost"),
        format!("{}@{}", fhir_north.base, &fhir_south.base["http://".len()..]),
    ] {
        assert_eq!(call(&north, &base), 412, "{base}");
    }
    assert!(fhir_south.heads().is_empty() && fhir_common.heads().is_empty());
    assert_eq!(call(&south, &fhir_north.base), 412);
    assert_eq!(
        fhir_north.heads().len(),
        asked,
        "the south may not ask the north's server"
    );
}

#[test]
fn feedback_bears_the_tenant() {
    let two = Two::open(|_, _| {});
    let feedback = json!({ "feedback": [{ "card": "6194ea0c-6f4e-4b1c-9b5e-6a3c1f0f2f10", "outcome": "overridden",
        "outcomeTimestamp": "2026-01-15T12:00:00Z" }] });
    assert_eq!(two.post(&two.south, &format!("{SIGN}/feedback"), &feedback).0, 200);
    let log = std::fs::read(two.server.data.path().join("feedback.log")).unwrap();
    let log = String::from_utf8_lossy(&log).into_owned();
    assert!(log.contains("\"south\"") && !log.contains("\"north\""), "{log}");
}

#[test]
fn operations_of_one_hospital_are_nothing_to_the_other() {
    let two = Two::open(|north, _| north.twins = Some(vec!["vancomycin".to_owned()]));
    let body = |twin: &str| {
        json!({ "resourceType": "Parameters", "parameter": [
            { "name": "record", "resource": sample("moreau") }, { "name": "twin", "valueCode": twin },
            { "name": "requestIdentifier", "valueString": "one-name" } ] })
    };
    let path = "/fhir/$jumeau-evaluate";
    assert_eq!(two.post(&two.north, path, &body("vancomycin")).0, 200);
    // The same name is another name there, and the twins of the one are not all that the other has.
    assert_eq!(two.post(&two.south, path, &body("tobramycin")).0, 200);
    assert_eq!(two.post(&two.north, path, &body("tobramycin")).0, 422);
    let mut other = body("tobramycin");
    other["parameter"][2]["valueString"] = "another".into();
    assert_eq!(two.post(&two.north, path, &other).0, 404);
    // What one asked for later, the other neither sees nor ends.
    let bearer = format!("Bearer {}", two.north.fresh(path));
    let headers = [
        ("authorization", bearer.as_str()),
        ("content-type", "application/json"),
        ("prefer", "respond-async"),
    ];
    let mut later = body("vancomycin");
    later["parameter"][2]["valueString"] = "later".into();
    let (status, headers, _) = two.server.send("POST", path, &headers, &later.to_string());
    assert_eq!(status, 202);
    let place = headers["content-location"].to_str().unwrap().to_owned();
    let place = place
        .strip_prefix(super::tokens::PUBLIC)
        .expect("under the public address");
    let ask = |ehr: &Ehr, method: &str| {
        let bearer = format!("Bearer {}", ehr.fresh(place));
        two.server.send(method, place, &[("authorization", &bearer)], "").0
    };
    assert_eq!([ask(&two.south, "GET"), ask(&two.south, "DELETE")], [404, 404]);
    assert!([200, 202].contains(&ask(&two.north, "GET")));
    // Erasing here leaves what is there.
    let erase = "/fhir/Patient/moreau/$jumeau-erase";
    let nothing = json!({ "resourceType": "Parameters" });
    let count = |ehr: &Ehr| two.post(ehr, erase, &nothing).1["parameter"][0]["valueUnsignedInt"].clone();
    assert_eq!(
        [count(&two.south), count(&two.south), count(&two.north)],
        [1, 0, 1].map(Value::from)
    );
}
