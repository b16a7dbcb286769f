//! FHIR servers that do what no server should, as seen from a hook: whatever they do, the answer says that the record could not be
//! read, in time, and never is a card as if it had been.

use std::{
    io::Write as _,
    sync::Arc,
    time::{Duration, Instant},
};

use jumeau::settings::AsOf;
use serde_json::{Value, json};

use crate::{
    outside::{Asked, Outside, Reply, well},
    support::{ANCHOR, Server, patient, sample, stable},
};

const TOKEN: &str = "token-canary";

fn server() -> Server {
    Server::production(|settings| {
        settings.clock.as_of = AsOf::try_from(ANCHOR.to_owned()).unwrap();
        // A build for tests on a busy machine computes slowly; the answer is due in less than five seconds all the same.
        settings.http.deadline = Duration::from_millis(3500);
    })
}

/// A call without any prefetch, answered from that server.
fn request(fhir: &str, record: &Value) -> Value {
    json!({
        "hook": "patient-view", "hookInstance": "d1577c69-dfbe-44ad-ba6d-3e05e953b2ea",
        "context": { "userId": "Practitioner/p1", "patientId": patient(record)["id"] },
        "fhirServer": fhir,
        "fhirAuthorization": {
            "access_token": TOKEN, "token_type": "Bearer", "expires_in": 300, "scope": "patient/*.read", "subject": "jumeau",
        },
    })
}

/// Asks, and checks what holds for every answer.
fn asked(server: &Server, service: &str, request: &Value, name: &str) -> (u16, Value) {
    let begun = Instant::now();
    let (status, body) = server.post(&format!("/cds-services/{service}"), request, "en");
    assert!(
        begun.elapsed() < Duration::from_secs(5),
        "{name}: {:?}",
        begun.elapsed()
    );
    assert!(matches!(status, 200 | 412), "{name}: {status} {body}");
    assert!(!body.to_string().contains(TOKEN), "{name}: {body}");
    (status, body)
}

/// A server that does one thing whatever it is asked; its statement aside, unless that is what it is about.
fn always(reply: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Outside {
    Outside::start(move |asked| match asked.path.as_str() {
        "/fhir/metadata" => Reply::json(
            200,
            &json!({"resourceType": "CapabilityStatement", "fhirVersion": "4.0.1"}),
        ),
        _ => reply(asked),
    })
}

/// A server that holds the record and deviates where the script says so.
fn mostly(record: &Value, script: impl Fn(&Asked) -> Option<Reply> + Send + Sync + 'static) -> Outside {
    let record = record.clone();
    Outside::start(move |asked| script(asked).unwrap_or_else(|| well(&record, asked)))
}

fn status(status: u16) -> Outside {
    always(move |_| Reply::json(status, &json!({"resourceType": "OperationOutcome"})))
}

fn body(headers: &'static str, body: Vec<u8>) -> Outside {
    always(move |_| Reply::with(200, headers, &body))
}

fn bomb() -> Vec<u8> {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    let piece = vec![b' '; 1024 * 1024];
    for _ in 0..64 {
        packed.write_all(&piece).unwrap();
    }
    packed.finish().unwrap()
}

#[test]
fn a_record_that_cannot_be_read_is_a_412_that_says_why() {
    let (server, record) = (server(), sample("moreau"));
    let deep = format!(
        r#"{{"resourceType":"Bundle","x":{}{}}}"#,
        "[".repeat(100_000),
        "]".repeat(100_000)
    );
    let half = b"HTTP/1.1 200 OK\r\ncontent-length: 5000\r\n\r\n{\"resourceType\":\"Patient\"".to_vec();
    let elsewhere = Outside::start(|_| Reply::json(200, &json!({})));
    let to = format!("location: {}/fhir/Patient/1\r\n", elsewhere.origin);
    for (name, hospital, words) in [
        ("401", status(401), "did not accept the access token (401)"),
        ("403", status(403), "does not permit this query (403)"),
        ("404", status(404), "has no such resource"),
        ("429", status(429), "answered with status 429"),
        ("500", status(500), "answered with status 500"),
        ("503", status(503), "answered with status 503"),
        ("stall", always(|_| Reply::stall()), "did not answer in time"),
        (
            "half a body",
            always(move |_| Reply {
                bytes: half.clone(),
                stall: false,
            }),
            "answer broke off",
        ),
        (
            "HTML",
            body("content-type: text/html\r\n", b"<!doctype html><p>Log in".to_vec()),
            "not FHIR JSON",
        ),
        ("nothing", body("", Vec::new()), "not FHIR JSON"),
        ("deep JSON", body("", deep.into_bytes()), "not FHIR JSON"),
        ("gzip bomb", body("content-encoding: gzip\r\n", bomb()), "too large"),
        (
            "redirect",
            always(move |_| Reply::with(302, &to, b"")),
            "a redirect, which is not followed",
        ),
        (
            "an error as an answer",
            body(
                "",
                br#"{"resourceType":"OperationOutcome","issue":[{"severity":"error"}]}"#.to_vec(),
            ),
            "OperationOutcome",
        ),
        (
            "another type",
            body("", br#"{"resourceType":"Basic"}"#.to_vec()),
            "another type",
        ),
        (
            "R5",
            mostly(&record, |asked| {
                let statement = json!({"resourceType": "CapabilityStatement", "fhirVersion": "5.0.0"});
                (asked.path == "/fhir/metadata").then(|| Reply::json(200, &statement))
            }),
            "neither FHIR R4 nor R4B",
        ),
    ] {
        let request = request(&hospital.fhir(), &record);
        let (status, body) = asked(&server, "vancomycin-patient-view", &request, name);
        assert_eq!(
            (status, &body["resourceType"]),
            (412, &json!("OperationOutcome")),
            "{name}: {body}"
        );
        let said = body["issue"][0]["diagnostics"].as_str().unwrap();
        assert!(said.contains(words) && said.contains("patient"), "{name}: {said}");
        assert!(
            hospital.seen().iter().any(|asked| asked.head.contains(TOKEN)),
            "{name}: it was asked"
        );
        if name != "stall" {
            let (status, body) = asked(&server, "any-twin-patient-view", &request, name);
            assert_eq!((status, body.get("cards")), (412, None), "{name}: {body}");
        }
    }
    assert!(elsewhere.seen().is_empty());
}

#[test]
fn who_asks_to_be_asked_later_is_and_the_card_is_the_same() {
    let (server, record) = (server(), sample("moreau"));
    let expected = server
        .card("patient-view", &server.request("patient-view", &record, None))
        .unwrap();
    for (name, code, headers) in [("429", 429, "retry-after: 0\r\n"), ("503", 503, "")] {
        let first = std::sync::Mutex::new(std::collections::BTreeSet::new());
        let hospital = mostly(&record, move |asked| {
            let new = first.lock().unwrap().insert(format!("{}?{}", asked.path, asked.query));
            new.then(|| Reply::with(code, headers, b""))
        });
        let (status, body) = asked(
            &server,
            "vancomycin-patient-view",
            &request(&hospital.fhir(), &record),
            name,
        );
        assert_eq!(status, 200, "{name}: {body}");
        assert_eq!(told(&body["cards"][0]), told(&expected), "{name}");
    }
}

/// What a card says, apart from whether data came along or were fetched.
fn told(card: &Value) -> [Value; 3] {
    let card = stable(card);
    [
        card["summary"].clone(),
        card["suggestions"].clone(),
        card["indicator"].clone(),
    ]
}

#[test]
fn doses_of_which_only_a_part_is_there_make_no_advice() {
    let (server, record) = (server(), sample("moreau"));
    let elsewhere = Outside::start(|_| Reply::json(200, &json!({"resourceType": "Bundle"})));
    let away = elsewhere.fhir();
    // All doses, and more to come.
    let page = {
        let record = record.clone();
        move |asked: &Asked, next: String| {
            let mut bundle = with_entries(&record, asked, &[]);
            bundle["link"] = json!([{"relation": "next", "url": next}]);
            Reply::json(200, &bundle)
        }
    };
    let (endless, foreign, breaking) = (page.clone(), page.clone(), page);
    let doses = |asked: &Asked| asked.path == "/fhir/MedicationAdministration";
    for (name, hospital) in [
        (
            "endless pages",
            mostly(&record, move |asked| {
                doses(asked).then(|| endless(asked, format!("?page={}", asked.number)))
            }),
        ),
        (
            "next link to a foreign host",
            mostly(&record, move |asked| {
                doses(asked).then(|| foreign(asked, format!("{away}/MedicationAdministration?page=2")))
            }),
        ),
        (
            "the second page breaks",
            mostly(&record, move |asked| {
                match (doses(asked), asked.query.contains("page=2")) {
                    (true, true) => Some(Reply::json(500, &json!({}))),
                    (true, false) => Some(breaking(asked, "?page=2".to_owned())),
                    _ => None,
                }
            }),
        ),
    ] {
        let (_, body) = asked(
            &server,
            "vancomycin-patient-view",
            &request(&hospital.fhir(), &record),
            name,
        );
        for card in body["cards"].as_array().into_iter().flatten() {
            assert!(
                card.get("suggestions")
                    .is_none_or(|all| all.as_array().is_none_or(Vec::is_empty)),
                "{name}: {card}"
            );
        }
        assert!(!body.to_string().contains("selectionBehavior"), "{name}: {body}");
        let pages = hospital.seen().iter().filter(|asked| doses(asked)).count();
        assert!((1..=10).contains(&pages), "{name}: {pages} pages");
    }
    assert!(elsewhere.seen().is_empty());
}

/// The answer of [`well`], with further entries.
fn with_entries(record: &Value, asked: &Asked, more: &[Value]) -> Value {
    let text = String::from_utf8(well(record, asked).bytes).unwrap();
    let mut bundle: Value = serde_json::from_str(text.split_once("\r\n\r\n").unwrap().1).unwrap();
    for resource in more {
        bundle["entry"]
            .as_array_mut()
            .unwrap()
            .push(json!({ "resource": resource }));
    }
    bundle
}

#[test]
fn another_patients_data_change_nothing() {
    let (server, record) = (server(), sample("moreau"));
    let expected = server
        .card("patient-view", &server.request("patient-view", &record, None))
        .unwrap();
    // A server that ignores `patient`: the doses of this patient, and the same as if given to another.
    let others: Vec<Value> = crate::support::entries(&record)
        .into_iter()
        .filter(|resource| resource["resourceType"] == "MedicationAdministration")
        .map(|resource| {
            let mut other = resource.clone();
            other["id"] = json!(format!("{}-other", resource["id"].as_str().unwrap()));
            other["subject"]["reference"] = json!("Patient/somebody-else");
            other
        })
        .collect();
    assert!(!others.is_empty());
    let mixed = |next: bool| {
        let (own, others) = (record.clone(), others.clone());
        mostly(&record, move |asked| {
            (asked.path == "/fhir/MedicationAdministration").then(|| {
                let mut bundle = with_entries(&own, asked, &others);
                if next {
                    bundle["link"]
                        .as_array_mut()
                        .unwrap()
                        .push(json!({"relation": "next", "url": "?page=2"}));
                }
                Reply::json(200, &bundle)
            })
        })
    };
    let hospital = mixed(false);
    let (status, body) = asked(
        &server,
        "vancomycin-patient-view",
        &request(&hospital.fhir(), &record),
        "mixed",
    );
    assert_eq!(status, 200, "{body}");
    assert_eq!(told(&body["cards"][0]), told(&expected));
    assert!(!body.to_string().contains("-other"), "{body}");

    let hospital = mixed(true);
    let (status, body) = asked(
        &server,
        "vancomycin-patient-view",
        &request(&hospital.fhir(), &record),
        "everybody",
    );
    assert_eq!(status, 412);
    assert!(body.to_string().contains("ignored a parameter of the search"), "{body}");

    let other = patient(&sample("okafor")).clone();
    let hospital = mostly(&record, move |asked| {
        asked
            .path
            .starts_with("/fhir/Patient/")
            .then(|| Reply::json(200, &other))
    });
    let (status, body) = asked(
        &server,
        "vancomycin-patient-view",
        &request(&hospital.fhir(), &record),
        "Patient",
    );
    assert_eq!((status, &body["issue"][0]["code"]), (412, &json!("conflict")), "{body}");
}

#[test]
fn a_server_that_keeps_failing_is_left_alone_for_a_while() {
    let (server, record) = (server(), sample("moreau"));
    let hospital = status(500);
    let request = request(&hospital.fhir(), &record);
    // Five calls that fail, and one more where the statement, which is asked for side by side with the first, was the last to come:
    // it came well, and the count began anew.
    let said: Vec<String> = (0..7)
        .map(|_| asked(&server, "vancomycin-patient-view", &request, "500").1.to_string())
        .collect();
    let resting = |said: &String| said.contains("failed several times in a row");
    assert!(said[..4].iter().all(|said| !resting(said)), "{said:?}");
    assert!(resting(&said[6]), "{said:?}");
    let before = hospital.seen().len();
    asked(&server, "vancomycin-patient-view", &request, "500");
    assert_eq!(hospital.seen().len(), before);
}

#[test]
fn one_slow_hospital_does_not_slow_another() {
    let (server, record) = (Arc::new(server()), sample("moreau"));
    let (slow, well) = (always(|_| Reply::stall()), mostly(&record, |_| None));
    let calls: Vec<_> = (0..24)
        .map(|_| {
            let (server, request) = (Arc::clone(&server), request(&slow.fhir(), &record));
            std::thread::spawn(move || asked(&server, "vancomycin-patient-view", &request, "slow"))
        })
        .collect();
    while slow.seen().len() < 32 {
        std::thread::sleep(Duration::from_millis(5));
    }
    let begun = Instant::now();
    let (status, body) = asked(
        &server,
        "vancomycin-patient-view",
        &request(&well.fhir(), &record),
        "well",
    );
    let took = begun.elapsed();
    assert_eq!(
        (status, body["cards"].as_array().map(Vec::len)),
        (200, Some(1)),
        "{body}"
    );
    assert!(took < Duration::from_millis(2500), "{took:?}");
    for call in calls {
        assert_eq!(call.join().unwrap().0, 412);
    }
}
