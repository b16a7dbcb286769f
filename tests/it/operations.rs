//! FHIR operations as an integration engine calls them.

use std::{
    fs,
    sync::{Arc, Mutex, PoisonError, Weak},
    thread,
    time::Duration,
};

use jumeau::settings::AsOf;
use reqwest::header::HeaderMap;
use serde_json::{Value, json};

use crate::{
    conformance::problems,
    support::{ANCHOR, Server, draft, read, sample},
};

const FHIR: (&str, &str) = ("content-type", "application/fhir+json");

/// One server for the tests that run at the same time, with time for what a build for tests computes slowly.
fn server() -> Arc<Server> {
    static SHARED: Mutex<Weak<Server>> = Mutex::new(Weak::new());
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    shared.upgrade().unwrap_or_else(|| {
        let server = Arc::new(Server::with(|settings| {
            settings.clock.as_of = AsOf::try_from(ANCHOR.to_owned()).unwrap();
            settings.operations.deadline = Duration::from_secs(120);
        }));
        *shared = Arc::downgrade(&server);
        server
    })
}

fn parameters(parameters: Value) -> Value {
    json!({ "resourceType": "Parameters", "parameter": parameters })
}

/// A record sent along, for one twin.
fn with_record(record: &Value, twin: &str) -> Value {
    parameters(json!([{ "name": "record", "resource": record }, { "name": "twin", "valueCode": twin }]))
}

/// Any request, with an answer in JSON or none.
fn send(server: &Server, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> (u16, HeaderMap, Value) {
    let (status, headers, body) = server.send(method, path, headers, body);
    (status, headers, serde_json::from_str(&body).unwrap_or(Value::Null))
}

fn post(server: &Server, path: &str, body: &Value) -> (u16, Value) {
    let (status, headers, answer) = send(server, "POST", path, &[FHIR], &body.to_string());
    assert_eq!(headers["content-type"], "application/fhir+json", "{path}");
    assert_eq!(problems(&answer), [""; 0], "{path}");
    (status, answer)
}

/// An answer of 200 that conforms.
fn answered(server: &Server, path: &str, body: &Value) -> Value {
    let (status, answer) = post(server, path, body);
    assert_eq!(status, 200, "{answer}");
    answer
}

fn of_type<'v>(answer: &'v Value, kind: &str) -> Vec<&'v Value> {
    let entries = answer["entry"].as_array().unwrap().iter();
    entries
        .map(|e| &e["resource"])
        .filter(|r| r["resourceType"] == kind)
        .collect()
}

fn only<'v>(answer: &'v Value, kind: &str) -> &'v Value {
    let all = of_type(answer, kind);
    assert_eq!(all.len(), 1, "{kind} of {answer}");
    all[0]
}

fn code(concept: &Value) -> &str {
    concept["coding"][0]["code"].as_str().unwrap()
}

/// Predictions by the kind of their course.
fn courses<'v>(answer: &'v Value, kind: &str) -> Vec<&'v Value> {
    let all = of_type(answer, "RiskAssessment").into_iter();
    all.filter(|risk| code(&risk["code"]) == kind).collect()
}

fn issue(outcome: &Value) -> (&str, &str) {
    let issue = &outcome["issue"][0];
    (issue["code"].as_str().unwrap(), issue["diagnostics"].as_str().unwrap())
}

fn without(record: &Value, unwanted: impl Fn(&Value) -> bool) -> Value {
    let mut record = record.clone();
    record["entry"]
        .as_array_mut()
        .unwrap()
        .retain(|e| !unwanted(&e["resource"]));
    record
}

#[test]
fn a_patient_is_evaluated() {
    let answer = answered(
        &server(),
        "/fhir/$jumeau-evaluate",
        &with_record(&sample("moreau"), "vancomycin"),
    );
    let guidance = only(&answer, "GuidanceResponse");
    assert_eq!(answer["entry"][0]["resource"], *guidance, "the answer comes first");
    assert_eq!(
        (&guidance["status"], code(&guidance["reasonCode"][0])),
        (&json!("success"), "recommend")
    );
    assert!(
        guidance["moduleCanonical"]
            .as_str()
            .unwrap()
            .contains("/Library/vancomycin|")
    );
    let group = only(&answer, "RequestGroup");
    let options = &group["action"][0];
    assert_eq!(options["selectionBehavior"], "at-most-one");
    let options = options["action"].as_array().unwrap();
    assert_eq!((options.len(), code(&options[0]["code"][0])), (3, "recommended"));
    let orders = of_type(&answer, "MedicationRequest");
    assert!(
        orders
            .iter()
            .all(|o| o["intent"] == "proposal" && o["subject"]["reference"] == "Patient/moreau")
    );
    // As many courses as options, and the two that are no options.
    assert_eq!(
        ["change", "keep", "stop"].map(|kind| courses(&answer, kind).len()),
        [3, 1, 1]
    );
    let keep = courses(&answer, "keep")[0];
    assert!(
        keep["basedOn"]["reference"]
            .as_str()
            .unwrap()
            .starts_with("MedicationRequest/")
    );
    let goal = |risk: &Value| risk["prediction"][0]["probabilityDecimal"].as_f64().unwrap();
    assert!(goal(courses(&answer, "change")[0]) > 2.0 * goal(keep));
    let provenance = only(&answer, "Provenance");
    assert_eq!(
        provenance["target"].as_array().unwrap().len(),
        answer["entry"].as_array().unwrap().len() - 2
    );
    let versioned = |e: &Value| e["what"]["reference"].as_str().unwrap().contains("/_history/");
    assert!(provenance["entity"].as_array().unwrap().iter().all(versioned));
    let versions = only(&answer, "Device")["version"].as_array().unwrap();
    let digests = versions.iter().filter(|v| code(&v["type"]) == "model-sha256").count();
    assert_eq!(digests, 3, "each model that may vote");
}

#[test]
fn what_is_answered_is_what_the_card_says() {
    let server = server();
    let record = sample("moreau");
    let request = server.request("patient-view", &record, None);
    let card = server.card("patient-view", &request).unwrap();
    let answer = answered(&server, "/fhir/$jumeau-evaluate", &with_record(&record, "vancomycin"));
    assert_eq!(only(&answer, "GuidanceResponse")["note"][0]["text"], card["summary"]);
    assert_eq!(only(&answer, "GuidanceResponse")["note"][1]["text"], card["detail"]);
}

#[test]
fn twins_that_step_through_time_are_asked_alike() {
    let server = server();
    for (name, twin) in [
        ("rasmussen", "docetaxel"),
        ("delacroix", "infliximab"),
        ("papadakis", "warfarin"),
    ] {
        let answer = answered(&server, "/fhir/$jumeau-evaluate", &with_record(&sample(name), twin));
        assert_eq!(only(&answer, "GuidanceResponse")["status"], "success", "{name}");
        assert_eq!(courses(&answer, "stop").len(), 1, "{name}: no further treatment");
        assert!(
            courses(&answer, "change").len() + courses(&answer, "keep").len() > 0,
            "{name}"
        );
    }
    // Where nothing suits, courses are shown and nothing is offered.
    let answer = answered(
        &server,
        "/fhir/$jumeau-evaluate",
        &with_record(&sample("dimitrova"), "tumour"),
    );
    let reason = code(&only(&answer, "GuidanceResponse")["reasonCode"][0]);
    assert_eq!(reason, "nothing-suitable");
    assert!(of_type(&answer, "MedicationRequest").is_empty() && !of_type(&answer, "RiskAssessment").is_empty());
}

#[test]
fn without_a_twin_all_that_treat_the_patient_are_asked() {
    let server = server();
    let record = |name: &str| parameters(json!([{ "name": "record", "resource": sample(name) }]));
    let answer = answered(&server, "/fhir/$jumeau-evaluate", &record("moreau"));
    assert!(
        only(&answer, "GuidanceResponse")["moduleCanonical"]
            .as_str()
            .unwrap()
            .contains("vancomycin")
    );
    // Everything but the person is somebody else's business.
    let nobody = without(&sample("moreau"), |r| r["resourceType"] != "Patient");
    let answer = answered(
        &server,
        "/fhir/$jumeau-evaluate",
        &parameters(json!([{ "name": "record", "resource": nobody }])),
    );
    assert_eq!(issue(only(&answer, "OperationOutcome")).0, "informational");
}

#[test]
fn what_is_lacking_is_named() {
    let creatinine = |r: &Value| r["code"]["coding"][0]["code"] == "2160-0";
    let mut record = without(&sample("moreau"), creatinine);
    let answer = answered(&server(), "/fhir/$jumeau-evaluate", &with_record(&record, "vancomycin"));
    let guidance = only(&answer, "GuidanceResponse");
    assert_eq!(guidance["status"], "data-required");
    let required = guidance["dataRequirement"].as_array().unwrap();
    assert_eq!((required.len(), &required[0]["type"]), (1, &json!("Observation")));
    let codes = required[0]["codeFilter"][0]["code"].as_array().unwrap();
    assert!(
        codes
            .iter()
            .any(|c| c["code"] == "2160-0" && c["system"] == "http://loinc.org")
    );
    assert!(of_type(&answer, "RequestGroup").is_empty() && of_type(&answer, "RiskAssessment").is_empty());
    // All of it at once, not one at a time.
    for entry in record["entry"].as_array_mut().unwrap() {
        if entry["resource"]["resourceType"] == "Patient" {
            entry["resource"].as_object_mut().unwrap().remove("birthDate");
        }
    }
    let answer = answered(&server(), "/fhir/$jumeau-evaluate", &with_record(&record, "vancomycin"));
    let required = &only(&answer, "GuidanceResponse")["dataRequirement"];
    assert_eq!(required[0]["mustSupport"], json!(["birthDate"]));
    assert_eq!(required.as_array().unwrap().len(), 2);
    // Nobody at all.
    let nobody = parameters(json!([
        { "name": "record", "resource": without(&record, |r| r["resourceType"] == "Patient") },
        { "name": "subject", "valueReference": { "reference": "Patient/moreau" } }, { "name": "twin", "valueCode": "vancomycin" },
    ]));
    let answer = answered(&server(), "/fhir/$jumeau-evaluate", &nobody);
    assert_eq!(
        only(&answer, "GuidanceResponse")["dataRequirement"][0]["type"],
        "Patient"
    );
}

#[test]
fn a_refusal_offers_no_dose() {
    let mut record = sample("moreau");
    for entry in record["entry"].as_array_mut().unwrap() {
        if entry["resource"]["resourceType"] == "Patient" {
            entry["resource"]["birthDate"] = "2020-01-01".into();
        }
    }
    let answer = answered(&server(), "/fhir/$jumeau-evaluate", &with_record(&record, "vancomycin"));
    let guidance = only(&answer, "GuidanceResponse");
    assert_eq!(
        (&guidance["status"], code(&guidance["reasonCode"][0])),
        (&json!("failure"), "outside-population")
    );
    assert_eq!(issue(only(&answer, "OperationOutcome")).0, "business-rule");
    assert!(of_type(&answer, "MedicationRequest").is_empty() && of_type(&answer, "RiskAssessment").is_empty());
}

#[test]
fn given_treatments_are_simulated() {
    let server = server();
    let given = |amounts: &[f64]| {
        let mut list =
            json!([{ "name": "record", "resource": sample("moreau") }, { "name": "twin", "valueCode": "vancomycin" }]);
        for amount in amounts {
            let mut order = draft("moreau");
            let dose = &mut order["dosageInstruction"][0];
            dose["doseAndRate"] = json!([{ "doseQuantity": { "value": amount, "unit": "mg", "system": "http://unitsofmeasure.org", "code": "mg" } }]);
            dose["text"] = format!("{amount} mg every 12 h").into();
            list.as_array_mut()
                .unwrap()
                .push(json!({ "name": "treatment", "resource": order }));
        }
        parameters(list)
    };
    let answer = answered(&server, "/fhir/$jumeau-simulate", &given(&[500.0, 1000.0, 1250.0]));
    let found: Vec<f64> = courses(&answer, "change")
        .iter()
        .map(|risk| {
            let measures = risk["extension"].as_array().unwrap();
            let auc = measures
                .iter()
                .find(|m| m["extension"][0]["valueCode"] == "auc24")
                .unwrap();
            auc["extension"][2]["valueQuantity"]["value"].as_f64().unwrap()
        })
        .collect();
    assert_eq!(found.len(), 3);
    assert!(
        found.iter().any(|auc| (420.0..520.0).contains(auc)),
        "1000 mg: {found:?}"
    );
    assert!(found.iter().any(|auc| *auc < 300.0), "500 mg: {found:?}");
    assert!(courses(&answer, "change").iter().all(|risk| {
        risk["extension"]
            .as_array()
            .unwrap()
            .iter()
            .any(|e| e["url"].as_str().unwrap().ends_with("predicted-course"))
    }));
    assert_eq!((courses(&answer, "keep").len(), courses(&answer, "stop").len()), (1, 1));
    // What nobody may give is not compared.
    let answer = answered(&server, "/fhir/$jumeau-simulate", &given(&[9000.0]));
    assert_eq!(
        code(&only(&answer, "GuidanceResponse")["reasonCode"][0]),
        "outside-list"
    );
    let mut other = given(&[500.0]);
    other["parameter"][2]["resource"]["medicationCodeableConcept"] = json!({ "text": "aspirin" });
    let (status, outcome) = post(&server, "/fhir/$jumeau-simulate", &other);
    assert_eq!(status, 422);
    assert!(issue(&outcome).1.starts_with("treatment 1"), "{outcome}");
}

#[test]
fn the_twin_is_given_back() {
    let answer = answered(
        &server(),
        "/fhir/$jumeau-twin",
        &with_record(&sample("moreau"), "vancomycin"),
    );
    let twin = only(&answer, "Parameters")["parameter"].as_array().unwrap();
    let named = |name: &str| twin.iter().filter(|p| p["name"] == name).collect::<Vec<_>>();
    assert_eq!(named("personal")[0]["valueBoolean"], true);
    assert_eq!((named("measurement").len(), named("model").len()), (2, 3));
    let part = |p: &Value, name: &str| {
        p["part"]
            .as_array()
            .unwrap()
            .iter()
            .find(|q| q["name"] == name)
            .cloned()
            .unwrap()
    };
    let votes: f64 = named("model")
        .iter()
        .map(|m| part(m, "weight")["valueDecimal"].as_f64().unwrap())
        .sum();
    assert!((votes - 1.0).abs() < 0.01, "{votes}");
    assert_eq!(
        part(named("model")[0], "sha256")["valueString"].as_str().unwrap().len(),
        64
    );
}

#[test]
fn a_patient_lies_on_a_server() {
    let server = Server::with(|_| {});
    let subject = |server: &Server, name: &str| {
        let url = format!("http://{}/demo/fhir/Patient/{name}", server.address);
        parameters(json!([{ "name": "subject", "valueReference": { "reference": url } }]))
    };
    let answer = answered(&server, "/fhir/$jumeau-evaluate", &subject(&server, "moreau"));
    let guidance = only(&answer, "GuidanceResponse");
    assert_eq!(guidance["status"], "success");
    assert!(
        guidance["subject"]["reference"]
            .as_str()
            .unwrap()
            .ends_with("/demo/fhir/Patient/moreau")
    );
    let basis = &of_type(&answer, "RiskAssessment")[0]["basis"][0]["reference"];
    assert!(basis.as_str().unwrap().starts_with("http://"), "{basis}");
    // The twin is one, whether a hook or an operation asked; so is what is erased.
    let erase = || answered(&server, "/fhir/$jumeau-erase", &subject(&server, "moreau"))["parameter"][0].clone();
    let count = |n: u32| json!({ "name": "count", "valueUnsignedInt": n });
    assert_eq!([erase(), erase()], [count(1), count(0)]);
    let (_, built) = server.get("/demo/request/moreau/vancomycin-patient-view?mode=server");
    let path = "/cds-services/vancomycin-patient-view";
    assert_eq!(server.post(path, &built["request"], "en").0, 200);
    assert_eq!([erase(), erase()], [count(1), count(0)]);
    let (status, outcome) = post(
        &server,
        "/fhir/$jumeau-evaluate",
        &subject(&server, "nobody-of-this-name"),
    );
    assert_eq!((status, issue(&outcome).0), (404, "not-found"));
    let elsewhere = parameters(
        json!([{ "name": "subject", "valueReference": { "reference": "https://elsewhere.example/Patient/p" } }]),
    );
    let (status, outcome) = post(&server, "/fhir/$jumeau-evaluate", &elsewhere);
    assert_eq!(status, 422);
    assert!(issue(&outcome).1.contains("fhir.allow") && !issue(&outcome).1.contains("elsewhere"));
    let (status, outcome) = post(&server, "/fhir/Patient/moreau/$jumeau-evaluate", &parameters(json!([])));
    assert_eq!(status, 422);
    assert!(issue(&outcome).1.contains("operations.server"));
}

#[test]
fn a_patient_on_the_configured_server_is_named_by_the_path() {
    // The records of the one are read by the other.
    let records = Server::with(|_| {});
    let base = format!("http://{}/demo/fhir", records.address);
    let server = Server::production(|settings| settings.operations.server = Some(base));
    let answer = answered(&server, "/fhir/Patient/moreau/$jumeau-evaluate", &parameters(json!([])));
    assert_eq!(only(&answer, "GuidanceResponse")["status"], "success");
}

#[test]
fn mistakes_are_answered_in_fhir() {
    let server = server();
    let (status, outcome) = post(
        &server,
        "/fhir/$jumeau-evaluate",
        &with_record(&sample("moreau"), "aspirin"),
    );
    assert_eq!(status, 404);
    assert!(issue(&outcome).1.contains("vancomycin"), "{outcome}");
    let (status, outcome) = post(&server, "/fhir/$everything", &parameters(json!([])));
    assert_eq!(status, 404);
    assert!(issue(&outcome).1.contains("$jumeau-evaluate"), "{outcome}");
    let refused = |body: &str, headers: &[(&str, &str)]| {
        let (status, _, outcome) = send(&server, "POST", "/fhir/$jumeau-evaluate", headers, body);
        assert_eq!(problems(&outcome), [""; 0]);
        status
    };
    assert_eq!(
        refused("<Parameters/>", &[("content-type", "application/fhir+xml")]),
        415
    );
    assert_eq!(refused("{}", &[FHIR, ("accept", "application/fhir+xml")]), 406);
    assert_eq!(refused("{}", &[FHIR]), 400);
    assert_eq!(refused("not json", &[FHIR]), 400);
    let twice = r#"{"resourceType":"Parameters","parameter":[],"parameter":[]}"#;
    assert_eq!(refused(twice, &[FHIR]), 400);
    let other = parameters(json!([
        { "name": "record", "resource": sample("moreau") },
        { "name": "subject", "valueReference": { "reference": "Patient/okafor" } }, { "name": "twin", "valueCode": "vancomycin" },
    ]));
    let (status, outcome) = post(&server, "/fhir/$jumeau-evaluate", &other);
    assert_eq!((status, issue(&outcome).0), (422, "conflict"));
    let (status, headers, _) = send(&server, "GET", "/fhir/$jumeau-evaluate", &[], "");
    assert_eq!((status, headers["allow"].to_str().unwrap()), (405, "POST"));
}

fn entry(url: &str, body: Value) -> Value {
    json!({ "request": { "method": "POST", "url": url }, "resource": body })
}

fn batch(entries: Vec<Value>) -> Value {
    json!({ "resourceType": "Bundle", "type": "batch", "entry": entries })
}

#[test]
fn a_batch_is_answered_entry_by_entry() {
    let server = server();
    let entries = vec![
        entry("$jumeau-evaluate", with_record(&sample("moreau"), "vancomycin")),
        entry("$jumeau-evaluate", with_record(&sample("okafor"), "aspirin")),
        entry("$everything", parameters(json!([]))),
        entry("$jumeau-twin", with_record(&sample("okafor"), "vancomycin")),
    ];
    let answer = answered(&server, "/fhir", &batch(entries.clone()));
    assert_eq!(answer["type"], "batch-response");
    let statuses: Vec<&str> = answer["entry"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| e["response"]["status"].as_str().unwrap())
        .collect();
    assert_eq!(statuses, ["200", "404", "404", "200"]);
    let twin = &answer["entry"][3]["resource"];
    assert_eq!(only(twin, "GuidanceResponse")["subject"]["reference"], "Patient/okafor");
    let (status, outcome) = post(&server, "/fhir", &batch(vec![entries[0].clone(); 21]));
    assert_eq!(status, 422);
    assert!(issue(&outcome).1.contains("respond-async"), "{outcome}");
}

#[test]
fn many_patients_are_answered_later() {
    let server = server();
    let one = entry("$jumeau-evaluate", with_record(&sample("moreau"), "vancomycin"));
    let begin = |entries: usize| {
        let body = batch(vec![one.clone(); entries]).to_string();
        let (status, headers, _) = send(&server, "POST", "/fhir", &[FHIR, ("prefer", "respond-async")], &body);
        assert_eq!(status, 202);
        let place = headers["content-location"].to_str().unwrap().to_owned();
        place
            .strip_prefix(&format!("http://{}", server.address))
            .unwrap()
            .to_owned()
    };
    let place = begin(25);
    let mut seen_progress = false;
    let answer = loop {
        let (status, headers, body) = send(&server, "GET", &place, &[], "");
        if status == 200 {
            break body;
        }
        assert_eq!(status, 202, "{body}");
        seen_progress |= headers["x-progress"].to_str().unwrap().ends_with(" of 25");
        assert!(headers.contains_key("retry-after"));
        thread::sleep(Duration::from_millis(50));
    };
    assert!(seen_progress);
    assert_eq!(answer["entry"].as_array().unwrap().len(), 25);
    assert_eq!(problems(&answer), [""; 0]);
    assert_eq!(send(&server, "DELETE", &place, &[], "").0, 202);
    let (status, _, outcome) = send(&server, "GET", &place, &[], "");
    assert_eq!((status, issue(&outcome).0), (404, "not-found"));
    // A name is free again when the job that it stood for is gone.
    let named = || {
        let headers = [FHIR, ("prefer", "respond-async"), ("idempotency-key", "night-1")];
        let body = batch(vec![one.clone()]).to_string();
        let (status, headers, _) = send(&server, "POST", "/fhir", &headers, &body);
        assert_eq!(status, 202);
        let place = headers["content-location"].to_str().unwrap().to_owned();
        place
            .strip_prefix(&format!("http://{}", server.address))
            .unwrap()
            .to_owned()
    };
    let place = named();
    assert_eq!(named(), place);
    assert_eq!(send(&server, "DELETE", &place, &[], "").0, 202);
    assert_ne!(named(), place);
    // Given up while it is under way.
    let place = begin(500);
    assert_eq!(send(&server, "GET", &place, &[], "").0, 202);
    assert_eq!(send(&server, "DELETE", &place, &[], "").0, 202);
    assert_eq!(send(&server, "GET", &place, &[], "").0, 404);
    assert_eq!(send(&server, "DELETE", &place, &[], "").0, 404);
}

#[test]
fn a_named_request_has_one_answer() {
    let server = server();
    let mut body = with_record(&sample("moreau"), "vancomycin");
    body["parameter"]
        .as_array_mut()
        .unwrap()
        .push(json!({ "name": "requestIdentifier", "valueString": "msg-0001" }));
    let first = answered(&server, "/fhir/$jumeau-evaluate", &body);
    assert_eq!(
        only(&first, "GuidanceResponse")["requestIdentifier"]["value"],
        "msg-0001"
    );
    thread::sleep(Duration::from_millis(1100));
    assert_eq!(
        answered(&server, "/fhir/$jumeau-evaluate", &body),
        first,
        "to the second at which it was written"
    );
    let mut other = body.clone();
    other["parameter"][0]["resource"] = sample("okafor");
    let (status, outcome) = post(&server, "/fhir/$jumeau-evaluate", &other);
    assert_eq!((status, issue(&outcome).0), (422, "duplicate"));
    let (status, _) = post(&server, "/fhir/$jumeau-twin", &body);
    assert_eq!(status, 422, "another operation is another request");
    // The header does the same for a batch.
    let named = |key: &str, n: usize| {
        let body = batch(vec![
            entry(
                "$jumeau-erase",
                parameters(json!([{ "name": "subject", "valueReference": { "reference": "Patient/x" } }]))
            );
            n
        ]);
        server
            .send("POST", "/fhir", &[FHIR, ("idempotency-key", key)], &body.to_string())
            .0
    };
    assert_eq!(
        [
            named("b1", 1),
            named("b1", 1),
            named("b1", 2),
            named("b2", 2),
            named("b 3", 1)
        ],
        [200, 200, 422, 200, 400]
    );
}

#[test]
fn an_erased_twin_is_built_anew() {
    let server = Server::start();
    let mut body = with_record(&sample("moreau"), "vancomycin");
    body["parameter"]
        .as_array_mut()
        .unwrap()
        .push(json!({ "name": "requestIdentifier", "valueString": "e1" }));
    let mut first = answered(&server, "/fhir/$jumeau-evaluate", &body);
    let erase = |server: &Server| answered(server, "/fhir/Patient/moreau/$jumeau-erase", &parameters(json!([])));
    let erased = erase(&server);
    assert_eq!(erased["parameter"][0]["valueUnsignedInt"], 1);
    assert_eq!(erased["parameter"][1]["valueCode"], "vancomycin");
    assert_eq!(
        erase(&server)["parameter"],
        json!([{ "name": "count", "valueUnsignedInt": 0 }])
    );
    // The kept answer went, too: under its name another body is taken, and the numbers come out the same.
    let mut again = answered(&server, "/fhir/$jumeau-evaluate", &body);
    for answer in [&mut first, &mut again] {
        undated(answer);
    }
    assert_eq!(again, first);
    assert_eq!(erase(&server)["parameter"][0]["valueUnsignedInt"], 1);
    // Who did what is on record, about whom only as a digest.
    let log = fs::read_to_string(server.data.path().join("audit.log")).unwrap();
    assert_eq!(log.matches("\"erase\"").count(), 3, "{log}");
    assert_eq!(log.matches("\"evaluate\"").count(), 2, "{log}");
    assert!(!log.contains("moreau"));
}

fn undated(answer: &mut Value) {
    let moment = "2026-01-15T12:00:00Z";
    answer["timestamp"] = moment.into();
    for entry in answer["entry"].as_array_mut().unwrap() {
        if entry["resource"]["resourceType"] == "Provenance" {
            entry["resource"]["recorded"] = moment.into();
        }
    }
}

#[test]
fn what_there_is_is_described() {
    let server = server();
    let (status, capabilities) = server.get("/fhir/metadata");
    assert_eq!(status, 200);
    assert_eq!(problems(&capabilities), [""; 0]);
    let operations = capabilities["rest"][0]["operation"].as_array().unwrap();
    assert_eq!(operations.len(), 4);
    for operation in operations {
        let path = operation["definition"]
            .as_str()
            .unwrap()
            .strip_prefix("https://jumeau.org")
            .unwrap();
        let (status, definition) = server.get(path);
        assert_eq!((status, &definition["code"]), (200, &operation["name"]));
    }
    let (status, profile) = server.get("/fhir/StructureDefinition/jumeau-guidance");
    assert_eq!((status, &profile["type"]), (200, &json!("GuidanceResponse")));
    let (status, library) = server.get("/fhir/Library/vancomycin");
    assert_eq!(
        (status, &library["url"]),
        (200, &json!("https://jumeau.org/fhir/Library/vancomycin"))
    );
    assert_eq!(problems(&library), [""; 0]);
    assert_eq!(server.get("/fhir/StructureDefinition/none").0, 404);
}

#[test]
fn examples_are_what_is_answered() {
    let server = server();
    let record = sample("moreau");
    let unknown = without(&record, |r| r["code"]["coding"][0]["code"] == "2160-0");
    let mut simulate = with_record(&record, "vancomycin");
    simulate["parameter"]
        .as_array_mut()
        .unwrap()
        .push(json!({ "name": "treatment", "resource": draft("moreau") }));
    let calls = [
        ("evaluate", "evaluate", with_record(&record, "vancomycin")),
        ("data-required", "evaluate", with_record(&unknown, "vancomycin")),
        ("simulate", "simulate", simulate),
        ("twin", "twin", with_record(&record, "vancomycin")),
    ];
    for (name, operation, mut request) in calls {
        let identifier = json!({ "name": "requestIdentifier", "valueString": format!("example-{name}") });
        request["parameter"].as_array_mut().unwrap().push(identifier);
        let mut answer = answered(&server, &format!("/fhir/$jumeau-{operation}"), &request);
        undated(&mut answer);
        for (file, now) in [
            (format!("profiles/examples/{name}-request.json"), request),
            (format!("profiles/examples/{name}.json"), answer),
        ] {
            if std::env::var_os("JUMEAU_WRITE_EXAMPLES").is_some() {
                fs::create_dir_all("profiles/examples").unwrap();
                fs::write(&file, format!("{now:#}\n")).unwrap();
            }
            assert!(
                read(&file) == now,
                "{file} is out of date: run this test with JUMEAU_WRITE_EXAMPLES=1"
            );
        }
    }
}
