//! What a specialist would see: each sample patient, what the answer should be, and why.

use std::path::Path;

use jiff::tz::TimeZone;
use jumeau::{
    advice::{
        outcome::{Outcome, Question, consider},
        recent::Recent,
    },
    fhir::{
        facts::{ReadContext, read},
        terminology::Terminology,
    },
    model::catalog::Definition,
    store::{TwinKey, memory::MemoryStore},
    twin::cache::Cache,
};
use serde_json::{Value, json, value::RawValue};

use crate::support::{ANCHOR, Server, draft, entries, patient, sample, stable};

fn on(server: &Server, hook: &str, name: &str) -> Option<Value> {
    let order = draft(name);
    server.card(
        hook,
        &server.request(hook, &sample(name), (hook != "patient-view").then_some(&order)),
    )
}

fn options(card: &Value) -> Vec<&Value> {
    card["extension"]["jumeau"]["options"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|o| o["kind"] != "stop")
        .collect()
}

fn recommended(card: &Value) -> Option<&Value> {
    options(card).into_iter().find(|o| o["recommended"] == true)
}

/// Every number of a card must follow from the others.
fn coherent(card: &Value) {
    let summary = card["summary"].as_str().unwrap();
    assert!(summary.chars().count() < 140, "{summary}");
    let options = options(card);
    assert!(options.iter().any(|o| o["kind"] == "keep") || card["extension"]["jumeau"].get("past").is_none());
    let clearance = |o: &Value| o["daily_dose"].as_f64().unwrap() / o["measures"]["auc24"]["median"].as_f64().unwrap();
    let first = clearance(options[0]);
    for o in &options {
        assert!(
            (clearance(o) / first - 1.0).abs() < 0.005,
            "AUC24 x clearance = daily dose in each option: {o}"
        );
        let (hit, below, harm) = (
            o["on_target"].as_f64().unwrap(),
            o["below"].as_f64().unwrap(),
            o["harm"].as_f64().unwrap(),
        );
        assert!((hit + below + harm - 1.0).abs() < 0.002, "chances add to one: {o}");
        assert!(o["measures"]["trough"]["median"].as_f64() < o["measures"]["peak"]["median"].as_f64());
    }
    let advised: Vec<&Value> = card["suggestions"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|s| s["isRecommended"] == true)
        .collect();
    assert!(advised.len() <= 1);
    assert_eq!(card["selectionBehavior"], "at-most-one");
    for block in [
        "**Based on**",
        "**Prediction**",
        "**Options**",
        "**Limits**",
        "**Ignored or missing**",
        "**About**",
    ] {
        assert!(card["detail"].as_str().unwrap().contains(block), "{block}");
    }
}

/// Two levels show a clearance well below typical: a specialist would lower the daily dose to about 500/CL.
#[test]
fn a_high_exposure_is_lowered() {
    let server = Server::start();
    let card = on(&server, "order-sign", "moreau").expect("a card");
    coherent(&card);
    let best = recommended(&card).expect("a recommendation");
    let keep = options(&card).into_iter().find(|o| o["kind"] == "keep").unwrap();
    assert!(best["daily_dose"].as_f64() < keep["daily_dose"].as_f64());
    assert!((400.0..600.0).contains(&best["measures"]["auc24"]["median"].as_f64().unwrap()));
    assert!(keep["measures"]["auc24"]["median"].as_f64().unwrap() > 600.0);
    assert_eq!(card["indicator"], "warning");
    // Accepting it changes the very draft that was about to be signed.
    let action = &card["suggestions"][0]["actions"][0];
    assert_eq!(action["type"], "update");
    assert_eq!(action["resource"]["id"], draft("moreau")["id"]);
    assert_eq!(
        action["resource"]["subject"]["reference"],
        draft("moreau")["subject"]["reference"]
    );
}

/// A young patient who clears fast: more drug, within 4500 mg a day.
#[test]
fn a_low_exposure_is_raised() {
    let server = Server::start();
    let card = on(&server, "patient-view", "okafor").expect("a card");
    coherent(&card);
    let best = recommended(&card).expect("a recommendation");
    let keep = options(&card).into_iter().find(|o| o["kind"] == "keep").unwrap();
    assert!(best["daily_dose"].as_f64() > keep["daily_dose"].as_f64());
    assert!(best["daily_dose"].as_f64().unwrap() <= 4500.0);
    assert!(keep["measures"]["auc24"]["median"].as_f64().unwrap() < 400.0);
    assert_eq!(card["suggestions"][0]["actions"][0]["type"], "create");
}

/// The plan is right: nobody is interrupted, on any hook.
#[test]
fn a_plan_on_target_gets_no_card() {
    let server = Server::start();
    for hook in ["patient-view", "order-select", "order-sign"] {
        assert_eq!(on(&server, hook, "lindqvist"), None, "{hook}");
    }
}

/// Nothing given yet: the card says that it is a population estimate, and proposes a loading dose of 20 to 35 mg/kg, at most
/// 3000 mg.
#[test]
fn a_first_dose_is_a_population_estimate_with_a_loading_dose() {
    let server = Server::start();
    let card = on(&server, "order-sign", "belanger").expect("a card");
    coherent(&card);
    assert!(card["detail"].as_str().unwrap().contains("Population estimate"));
    let first = &card["suggestions"][0]["actions"][0]["resource"]["dosageInstruction"];
    assert_eq!(first.as_array().unwrap().len(), 2, "loading dose, then maintenance");
    let loading: f64 = first[0]["doseAndRate"][0]["doseQuantity"]["value"]
        .to_string()
        .parse()
        .unwrap();
    assert!((20.0 * 95.0 - 125.0..=3000.0).contains(&loading), "{loading}");
}

/// No dose, and the reason in one line.
#[test]
fn what_the_models_do_not_cover_is_refused() {
    let server = Server::start();
    for (name, reason) in [
        ("whitfield", "dialysis"),
        ("nguyen", "creatinine"),
        ("garnier", "do not fit"),
    ] {
        for hook in ["patient-view", "order-sign"] {
            let card = on(&server, hook, name).unwrap_or_else(|| panic!("{name} {hook}: a card"));
            let text = format!("{} {}", card["summary"], card["detail"]);
            assert!(text.contains(reason), "{name} {hook}: {text}");
            let orders = card
                .get("suggestions")
                .and_then(Value::as_array)
                .cloned()
                .unwrap_or_default();
            for suggestion in orders {
                assert_ne!(
                    suggestion["actions"][0]["resource"]["resourceType"], "MedicationRequest",
                    "{name}"
                );
            }
        }
    }
}

/// Pounds, micromoles, an entry in error, a refused dose: all read, and said on the card.
#[test]
fn an_untidy_record_is_read_and_said() {
    let server = Server::start();
    let card = on(&server, "patient-view", "castellano");
    if let Some(card) = card {
        coherent(&card);
        let detail = card["detail"].as_str().unwrap();
        assert!(
            detail.contains("entered in error") && detail.contains("recorded"),
            "{detail}"
        );
    }
}

#[test]
fn the_same_record_in_another_order_gives_the_same_card() {
    let server = Server::start();
    let record = sample("moreau");
    let request = server.request("patient-view", &record, None);
    let card = server.card("patient-view", &request).unwrap();
    let mut turned = record.clone();
    turned["entry"].as_array_mut().unwrap().reverse();
    let again = server
        .card("patient-view", &server.request("patient-view", &turned, None))
        .unwrap();
    assert_eq!(stable(&card), stable(&again));
    // Another server has another store and fits anew: still the same.
    let other = Server::start();
    assert_eq!(stable(&card), stable(&other.card("patient-view", &request).unwrap()));
}

/// A retracted level must leave no trace: the twin equals one that never knew it.
#[test]
fn a_retracted_level_leaves_no_trace() {
    let server = Server::start();
    let record = sample("moreau");
    let before = server
        .card("patient-view", &server.request("patient-view", &record, None))
        .unwrap();
    let request = server.request("patient-view", &retract_a_level(&record), None);
    let card = server.card("patient-view", &request).unwrap();
    assert_eq!(
        stable(&card),
        stable(&Server::start().card("patient-view", &request).unwrap())
    );
    assert_ne!(stable(&card), stable(&before));
}

fn retract_a_level(record: &Value) -> Value {
    let mut record = record.clone();
    let level = record["entry"]
        .as_array_mut()
        .unwrap()
        .iter_mut()
        .map(|e| &mut e["resource"])
        .find(|r| r["resourceType"] == "Observation" && r["code"]["coding"][0]["code"] == "20578-1")
        .unwrap();
    level["status"] = "entered-in-error".into();
    record
}

#[test]
fn a_twin_is_reused_until_a_fact_changes() {
    let definition = Definition::load(Path::new("models/vancomycin")).unwrap();
    let store = MemoryStore::new();
    let key = TwinKey::new("local", "p", "vancomycin");
    let now = ANCHOR.parse().unwrap();
    let reused = |record: &Value| {
        let raw = RawValue::from_string(record.to_string()).unwrap();
        let id = patient(record)["id"].as_str().unwrap();
        let context = ReadContext {
            patient_id: id,
            now,
            zone: TimeZone::UTC,
        };
        let facts = read(&[&raw], &definition.file.needs, &Terminology::default(), &context).unwrap();
        let outcome = consider(&Question {
            definition: &definition,
            facts: &facts,
            draft: None,
            other_way: false,
            draft_unclear: None,
            several_drafts: false,
            partial: false,
            now,
            zone: &TimeZone::UTC,
            language: "en",
            draws: 1000,
            cache: Cache {
                store: &store,
                key: &key,
            },
            recent: &Recent::default(),
            whole: false,
            given: &[],
        });
        let Outcome::Advised(advised) = outcome else {
            panic!("advice")
        };
        advised.twin.reused
    };
    let record = sample("moreau");
    let retracted = retract_a_level(&record);
    assert_eq!([reused(&record), reused(&record)], [false, true]);
    assert_eq!(
        [reused(&retracted), reused(&retracted), reused(&record)],
        [false, true, false]
    );
}

#[test]
fn units_do_not_matter_once_converted() {
    let server = Server::start();
    let record = sample("moreau");
    let mut molar = record.clone();
    let creatinine: Vec<usize> = entries(&record)
        .iter()
        .enumerate()
        .filter(|(_, r)| r["code"]["coding"][0]["code"] == "2160-0")
        .map(|(i, _)| i)
        .collect();
    assert!(!creatinine.is_empty(), "the sample has creatinine in mg/dL");
    for i in creatinine {
        let quantity = &mut molar["entry"][i]["resource"]["valueQuantity"];
        let value: f64 = quantity["value"].to_string().parse().unwrap();
        *quantity = serde_json::json!({ "value": value * 10_000.0 / 113.12, "unit": "µmol/L",
            "system": "http://unitsofmeasure.org", "code": "umol/L" });
    }
    let best = |r: &Value| {
        let card = server
            .card("patient-view", &server.request("patient-view", r, None))
            .unwrap();
        recommended(&card).unwrap()["label"].clone()
    };
    assert_eq!(best(&record), best(&molar));
}

#[test]
fn cards_look_like_this() {
    let server = Server::start();
    for name in [
        "moreau",
        "okafor",
        "belanger",
        "whitfield",
        "nguyen",
        "garnier",
        "castellano",
    ] {
        for language in ["en", "fr"] {
            let order = draft(name);
            let request = server.request("order-sign", &sample(name), Some(&order));
            let (_, body) = server.post("/cds-services/vancomycin-order-sign", &request, language);
            let mut shown = String::new();
            for card in body["cards"].as_array().unwrap() {
                assert!(card["summary"].as_str().unwrap().chars().count() < 140);
                shown.push_str(&format!(
                    "[{}] {}\n\n{}\n",
                    card["indicator"].as_str().unwrap(),
                    card["summary"].as_str().unwrap(),
                    card["detail"].as_str().unwrap()
                ));
                for s in card.get("suggestions").and_then(Value::as_array).into_iter().flatten() {
                    shown.push_str(&format!("\n[{}]", s["label"].as_str().unwrap()));
                }
            }
            // The hash of a file changes with every edit of it; it is not what this is about.
            let hash = without_hashes(&shown);
            insta::assert_snapshot!(format!("{name}-{language}"), hash);
        }
    }
}

/// Replaces what follows `SHA-256 ` by dots.
fn without_hashes(text: &str) -> String {
    let mut parts = text.split("SHA-256 ");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        out.push_str("SHA-256 …");
        out.push_str(part.trim_start_matches(|c: char| c.is_ascii_hexdigit()));
    }
    out
}

fn level(value: f64, time: &str) -> Value {
    json!({ "resource": {
        "resourceType": "Observation", "id": format!("level-{value}"), "status": "final",
        "code": { "coding": [{ "system": "http://loinc.org", "code": "20578-1" }] },
        "subject": { "reference": format!("Patient/{}", patient(&sample("lindqvist"))["id"].as_str().unwrap()) },
        "effectiveDateTime": time,
        "valueQuantity": { "value": value, "unit": "mg/L", "system": "http://unitsofmeasure.org", "code": "mg/L" } } })
}

/// What lies in the body counts, not only where a plan would settle: levels far above the present plan's either bring no dose
/// at all, or one whose next day stays below what is blocked.
#[test]
fn accumulation_is_not_hidden_by_a_steady_state() {
    let server = Server::start();
    let mut refused = 0;
    for factor in [1.8, 2.6, 3.4, 4.2] {
        let mut record = sample("lindqvist");
        for e in record["entry"].as_array_mut().unwrap() {
            let r = &mut e["resource"];
            if r["code"]["coding"][0]["code"] == "20578-1" {
                r["valueQuantity"]["value"] =
                    json!(r["valueQuantity"]["value"].to_string().parse::<f64>().unwrap() * factor);
            }
        }
        let card = server
            .card("patient-view", &server.request("patient-view", &record, None))
            .expect("a card");
        match card.get("extension") {
            None => refused += 1,
            Some(_) => {
                let best = recommended(&card).expect("a recommendation");
                assert!(
                    best["measures"]["next_24h"]["median"].as_f64().unwrap() <= 650.0,
                    "x{factor}: {best}"
                );
            }
        }
    }
    assert!(refused > 0, "at some point it is said to hold");
}

/// A single dose, a day's dose or an interval beyond the file's limits is never judged to be on target by its mean.
#[test]
fn a_plan_that_cannot_be_given_is_critical() {
    let server = Server::start();
    for (amount, period) in [(6000, 72), (4000, 48), (15000, 12), (14000, 168)] {
        let mut order = draft("lindqvist");
        order["dosageInstruction"][0]["doseAndRate"][0]["doseQuantity"]["value"] = json!(amount);
        order["dosageInstruction"][0]["timing"] =
            json!({ "repeat": { "frequency": 1, "period": period, "periodUnit": "h" } });
        order["dosageInstruction"][0]["doseAndRate"][0]
            .as_object_mut()
            .unwrap()
            .retain(|k, _| k == "doseQuantity");
        let request = server.request("order-sign", &sample("lindqvist"), Some(&order));
        let card = server
            .card("order-sign", &request)
            .unwrap_or_else(|| panic!("{amount} {period}: a card"));
        assert_eq!(
            card["indicator"], "critical",
            "{amount} mg q{period}h: {}",
            card["summary"]
        );
        assert!(card.get("suggestions").is_none());
    }
}

/// A caution of the twin's file is said even when the exposure is right.
#[test]
fn a_caution_breaks_the_silence() {
    let server = Server::start();
    let mut record = sample("lindqvist");
    let mut mic = level(2.0, "2026-01-15T06:00:00Z");
    mic["resource"]["code"]["coding"][0]["code"] = "524-9".into();
    record["entry"].as_array_mut().unwrap().push(mic);
    let card = server
        .card("patient-view", &server.request("patient-view", &record, None))
        .expect("a card");
    assert!(
        card["summary"].as_str().unwrap().contains("MIC above 1"),
        "{}",
        card["summary"]
    );
    assert_eq!(card["indicator"], "info");
}

/// Intermittent haemodialysis is a covariate of one model only; the others do not vote.
#[test]
fn only_models_that_know_dialysis_vote_on_it() {
    let server = Server::start();
    let mut record = sample("moreau");
    let id = patient(&record)["id"].as_str().unwrap().to_owned();
    record["entry"].as_array_mut().unwrap().push(json!({ "resource": {
        "resourceType": "Procedure", "id": "hd", "status": "completed", "performedDateTime": "2026-01-14T08:00:00Z",
        "code": { "coding": [{ "system": "http://snomed.info/sct", "code": "302497006" }] },
        "subject": { "reference": format!("Patient/{id}") } } }));
    let card = server
        .card("patient-view", &server.request("patient-view", &record, None))
        .expect("a card");
    if let Some(models) = card["extension"]["jumeau"]["models"].as_array() {
        let ids: Vec<&str> = models.iter().map(|m| m["id"].as_str().unwrap()).collect();
        assert_eq!(ids, ["goti-2018"]);
    } else {
        assert!(card["summary"].as_str().unwrap().contains("no dose suggested"));
    }
}
