//! The server as an integration engineer meets it.

use std::fs;

use serde_json::{Value, json};

use crate::support::{Server, draft, entries, patient, sample, stable};

#[test]
fn services_come_from_the_folder_of_twins() {
    let folder = tempfile::tempdir().unwrap();
    let copy = |id: &str| {
        let to = folder.path().join(id);
        fs::create_dir(&to).unwrap();
        for file in fs::read_dir("models/vancomycin").unwrap().map(Result::unwrap) {
            let text = fs::read_to_string(file.path()).unwrap();
            fs::write(
                to.join(file.file_name()),
                text.replace("id      = \"vancomycin\"", &format!("id      = \"{id}\"")),
            )
            .unwrap();
        }
    };
    copy("vancomycin");
    copy("another");
    fs::create_dir(folder.path().join("broken")).unwrap();
    fs::write(folder.path().join("broken/twin.toml"), "[twin]\n").unwrap();
    let server = Server::with(|s| s.models.folder = Some(folder.path().to_owned()));
    let (_, body) = server.get("/cds-services");
    let ids: Vec<&str> = body["services"]
        .as_array()
        .unwrap()
        .iter()
        .map(|s| s["id"].as_str().unwrap())
        .collect();
    assert_eq!(
        ids,
        [
            "another-patient-view",
            "another-order-select",
            "another-order-sign",
            "vancomycin-patient-view",
            "vancomycin-order-select",
            "vancomycin-order-sign"
        ],
        "a new folder is three new services; a broken one keeps nobody from being served"
    );
}

#[test]
fn prefetch_and_server_give_the_same_card() {
    let server = Server::with(|_| {});
    for name in ["moreau", "okafor", "castellano"] {
        let cards: Vec<Value> = ["prefetch", "server"]
            .iter()
            .map(|mode| {
                let path = format!("/demo/request/{name}/vancomycin-patient-view?mode={mode}");
                let (status, built) = server.get(&path);
                assert_eq!(status, 200);
                assert_eq!(built["request"].get("fhirServer").is_some(), *mode == "server");
                server
                    .card("patient-view", &built["request"])
                    .unwrap_or_else(|| panic!("{name}: a card"))
            })
            .collect();
        assert_eq!(cards[0]["summary"], cards[1]["summary"], "{name}");
    }
}

#[test]
fn what_cannot_be_had_is_a_412() {
    let server = Server::start();
    let mut request = server.request("patient-view", &sample("moreau"), None);
    request["prefetch"].as_object_mut().unwrap().remove("orders");
    let (status, body) = server.call("patient-view", &request);
    assert_eq!((status, body["resourceType"].as_str()), (412, Some("OperationOutcome")));
    assert!(body.to_string().contains("orders"), "{body}");
    // The client looked and found nothing: that is an answer.
    request["prefetch"]["orders"] = Value::Null;
    assert_eq!(server.call("patient-view", &request).0, 200);
}

#[test]
fn another_patients_record_is_never_used() {
    let server = Server::start();
    let mut request = server.request("patient-view", &sample("moreau"), None);
    request["context"]["patientId"] = "somebody-else".into();
    assert_eq!(server.call("patient-view", &request).0, 412);
    // Levels of another person in the searchset are left out, and the card says so.
    let mut record = sample("moreau");
    let right = server
        .card("patient-view", &server.request("patient-view", &record, None))
        .unwrap();
    let mut foreign = entries(&record)
        .into_iter()
        .find(|r| r["code"]["coding"][0]["code"] == "20578-1")
        .unwrap()
        .clone();
    foreign["id"] = "foreign-level".into();
    foreign["subject"]["reference"] = "Patient/somebody-else".into();
    foreign["valueQuantity"]["value"] = json!(80);
    record["entry"]
        .as_array_mut()
        .unwrap()
        .push(json!({ "resource": foreign }));
    let card = server
        .card("patient-view", &server.request("patient-view", &record, None))
        .unwrap();
    assert_eq!(card["summary"], right["summary"]);
    assert!(card["detail"].as_str().unwrap().contains("another person"));
}

#[test]
fn feedback_is_on_disk_when_it_is_acknowledged() {
    let server = Server::start();
    let card = "0f3e1c58-3b76-4f9b-9a5f-cf1a2f1c6f11";
    let feedback = json!({ "feedback": [{
        "card": card, "outcome": "overridden", "outcomeTimestamp": "2026-01-15T12:01:00Z",
        "overrideReason": { "reason": { "code": "will-monitor", "system": "https://jumeau.org/fhir/CodeSystem/override-reason" } },
    }] });
    let (status, _) = server.post("/cds-services/vancomycin-order-sign/feedback", &feedback, "en");
    assert_eq!(status, 200);
    let log = fs::read(server.data.path().join("feedback.log")).unwrap();
    assert!(String::from_utf8_lossy(&log).contains(card));
}

#[test]
fn nothing_of_a_patient_is_on_disk_in_clear() {
    let server = Server::start();
    let record = sample("moreau");
    let request = server.request("patient-view", &record, None);
    server.card("patient-view", &request).unwrap();
    let id = patient(&record)["id"].as_str().unwrap().to_owned();
    let name = patient(&record)["name"][0]["family"].as_str().unwrap().to_owned();
    fn walk(folder: &std::path::Path, see: &mut dyn FnMut(&[u8])) {
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            if entry.path().is_dir() {
                walk(&entry.path(), see);
            } else if let Ok(bytes) = fs::read(entry.path()) {
                see(&bytes);
            }
        }
    }
    walk(server.data.path(), &mut |bytes| {
        let text = String::from_utf8_lossy(bytes);
        assert!(!text.contains(&id) && !text.contains(&name));
    });
}

#[test]
fn drafts_as_real_clients_send_them_are_served() {
    let server = Server::start();
    let mut request = server.request("order-select", &sample("moreau"), Some(&draft("moreau")));
    let context = &mut request["context"];
    context["draftOrders"].as_object_mut().unwrap().remove("type");
    let resource = &mut context["draftOrders"]["entry"][0]["resource"];
    resource.as_object_mut().unwrap().remove("intent");
    resource["category"] = json!({ "text": "inpatient" });
    assert!(server.card("order-select", &request).is_some());
    // Nothing chosen yet: nothing to say.
    let bare = json!({ "resourceType": "MedicationRequest", "id": "d0", "status": "draft" });
    let request = server.request("order-select", &sample("moreau"), Some(&bare));
    assert_eq!(server.card("order-select", &request), None);
}

/// Silence would read as approval of a dose that nobody could read.
#[test]
fn a_draft_that_cannot_be_read_is_never_silently_approved() {
    let server = Server::start();
    let refused = |order: &Value, why: &str| {
        let request = server.request("order-sign", &sample("lindqvist"), Some(order));
        let card = server
            .card("order-sign", &request)
            .unwrap_or_else(|| panic!("{why}: a card"));
        assert!(
            card["summary"].as_str().unwrap().contains("no dose suggested"),
            "{why}: {card}"
        );
        assert!(card.get("suggestions").is_none(), "{why}");
    };
    let mut order = draft("lindqvist");
    order["dosageInstruction"][0]["doseAndRate"][0]["doseQuantity"] = json!({ "value": 4, "unit": "vial" });
    refused(&order, "vials");
    let mut order = draft("lindqvist");
    order["dosageInstruction"] = json!([{ "text": "3000 mg q8h" }]);
    refused(&order, "text only");
    order.as_object_mut().unwrap().remove("dosageInstruction");
    refused(&order, "nothing");
    // Two drafts of one drug would be given together.
    let mut request = server.request("order-sign", &sample("lindqvist"), Some(&draft("lindqvist")));
    let entries = request["context"]["draftOrders"]["entry"].as_array_mut().unwrap();
    let mut second = entries[0].clone();
    second["resource"]["id"] = "second".into();
    entries.push(second);
    let card = server.card("order-sign", &request).expect("a card");
    assert!(card["summary"].as_str().unwrap().contains("Several orders"), "{card}");
}

#[test]
fn the_drug_by_another_way_is_refused() {
    let server = Server::start();
    let mut order = draft("moreau");
    order.as_object_mut().unwrap().remove("dosageInstruction");
    order["medicationCodeableConcept"] = json!({ "text": "Vancomycin 125 MG Oral Capsule", "coding": [
        { "system": "http://www.nlm.nih.gov/research/umls/rxnorm", "code": "313570" }] });
    let card = server
        .card(
            "order-select",
            &server.request("order-select", &sample("moreau"), Some(&order)),
        )
        .unwrap();
    assert!(card["summary"].as_str().unwrap().contains("do not cover"), "{card}");
    assert!(card.get("suggestions").is_none());
}

#[test]
fn many_calls_at_once_agree() {
    let server = Server::start();
    let request = server.request("patient-view", &sample("moreau"), None);
    let first = stable(&server.card("patient-view", &request).unwrap());
    std::thread::scope(|scope| {
        let calls: Vec<_> = (0..16)
            .map(|_| scope.spawn(|| stable(&server.card("patient-view", &request).unwrap())))
            .collect();
        for call in calls {
            assert_eq!(call.join().unwrap(), first);
        }
    });
}

#[test]
fn text_of_the_record_cannot_become_markup() {
    let server = Server::start();
    let mut order = draft("moreau");
    order["medicationCodeableConcept"] = json!({ "text": "Vancomycin <img src=x onerror=alert(1)> [x](javascript:y)" });
    let request = server.request("order-sign", &sample("moreau"), Some(&order));
    let (status, body) = server.call("order-sign", &request);
    assert_eq!(status, 200);
    for card in body["cards"].as_array().unwrap() {
        let text = format!("{} {}", card["summary"], card["detail"]);
        assert!(!text.contains("<img") && !text.contains("[x]("), "{text}");
    }
}
