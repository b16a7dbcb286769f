//! `jumeau store`, as an operator runs it on what a server left behind.

use std::{
    path::Path,
    process::{Command, Output},
};

use serde_json::{Value, json};

use super::support::{Server, draft, sample};

fn jumeau(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_jumeau"));
    command.arg("store").args(arguments).output().unwrap()
}

#[track_caller]
fn works(arguments: &[&str]) -> String {
    let output = jumeau(arguments);
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{arguments:?}: {error}");
    String::from_utf8(output.stdout).unwrap()
}

#[track_caller]
fn fails(arguments: &[&str]) -> String {
    let output = jumeau(arguments);
    assert!(!output.status.success(), "{arguments:?}");
    String::from_utf8(output.stderr).unwrap()
}

/// A data directory with the twin of a sample patient and one feedback.
fn left_behind() -> (tempfile::TempDir, String) {
    let server = Server::start();
    let record = sample("moreau");
    let patient = record["entry"][0]["resource"]["id"].as_str().unwrap().to_owned();
    let request = server.request("order-sign", &record, Some(&draft("moreau")));
    assert!(server.card("order-sign", &request).is_some());
    let feedback = json!({ "feedback": [{ "card": "6194ea0c-6f4e-4b1c-9b5e-6a3c1f0f2f10", "outcome": "overridden",
        "overrideReason": { "userComment": "comment-canary" }, "outcomeTimestamp": "2026-01-15T12:00:00Z" }] });
    let (status, _) = server.post("/cds-services/vancomycin-order-sign/feedback", &feedback, "en");
    assert_eq!(status, 200);
    (server.stop(), patient)
}

/// Settings of a store in a folder, sealed with these keys.
fn settings(folder: &Path, keys: &[&str]) -> String {
    let data = folder.join("data");
    let mut text = format!("[store]\ndirectory = {data:?}\n");
    for key in keys {
        let file = folder.join(format!("{key}.key"));
        let byte = key.bytes().fold(0u8, u8::wrapping_add);
        std::fs::write(
            &file,
            base64::Engine::encode(&base64::engine::general_purpose::STANDARD, [byte; 32]),
        )
        .unwrap();
        text += &format!("[[store.key]]\nid = {key:?}\nfile = {file:?}\n");
    }
    let file = folder.join(format!("{}.toml", keys.join("-")));
    std::fs::write(&file, text).unwrap();
    file.to_str().unwrap().to_owned()
}

fn holds(folder: &Path, text: &[u8]) -> bool {
    std::fs::read_dir(folder).unwrap().flatten().any(|entry| {
        let path = entry.path();
        if path.is_dir() {
            holds(&path, text)
        } else {
            std::fs::read(path)
                .unwrap()
                .windows(text.len())
                .any(|window| window == text)
        }
    })
}

#[test]
fn a_patient_is_told_what_is_kept_and_it_is_erased() {
    let (data, patient) = left_behind();
    let data = data.path().to_str().unwrap();
    let status = works(&["status", "--data", data]);
    assert!(
        status.contains("twins     1 ") && status.contains("feedback  1"),
        "{status}"
    );
    let whom = ["--data", data, "--tenant", "local", "--patient", patient.as_str()];
    let export: Value = serde_json::from_str(&works(&[&["export"], &whom[..]].concat())).unwrap();
    assert_eq!(export["patient"], patient.as_str());
    assert_eq!(export["twins"][0]["twin"], "vancomycin");
    assert!(export["twins"][0]["kept"]["posterior"]["fits"].is_array(), "{export}");
    // The file is made, never overwritten.
    let file = Path::new(data).join("export.json");
    let to_file = [&["export", "-o", file.to_str().unwrap()], &whom[..]].concat();
    works(&to_file);
    assert!(fails(&to_file).contains("export.json"));

    assert_eq!(works(&[&["erase"], &whom[..]].concat()).trim(), "erased: vancomycin");
    assert!(works(&[&["erase"], &whom[..]].concat()).contains("nothing was kept"));
    assert!(works(&["status", "--data", data]).contains("twins     0 "));
    let export: Value = serde_json::from_str(&works(&[&["export"], &whom[..]].concat())).unwrap();
    assert_eq!(export["twins"], json!([]));
    let done: Vec<&str> = export["audit"]
        .as_array()
        .unwrap()
        .iter()
        .map(|a| a["action"].as_str().unwrap())
        .collect();
    assert_eq!(done, ["export", "export", "export", "erase", "erase"]);
    std::fs::remove_file(file).unwrap();
    assert!(
        !holds(Path::new(data), patient.as_bytes()),
        "the audit log names nobody"
    );
    let digest = jumeau::store::audit::patient("local", &patient);
    assert!(
        holds(Path::new(data), digest.as_bytes()),
        "without a key it says so to who knows the id"
    );
}

#[test]
fn a_store_is_copied_into_a_sealed_one_whose_key_is_changed() {
    let (data, patient) = left_behind();
    let data = data.path().to_str().unwrap();
    let home = tempfile::tempdir().unwrap();
    let (old, both, new) = (
        settings(home.path(), &["old"]),
        settings(home.path(), &["new", "old"]),
        settings(home.path(), &["new"]),
    );
    assert!(holds(Path::new(data), b"comment-canary"));
    let copied = works(&["copy", "--data", data, "--to", &old]);
    assert!(copied.contains("1 twins, 1 feedback"), "{copied}");
    assert!(fails(&["copy", "--data", data, "--to", &old]).contains("not empty"));
    assert!(!holds(&home.path().join("data"), b"comment-canary"));
    assert!(works(&["status", "--config", &old]).contains("with key old"));

    assert!(fails(&["status", "--config", &new]).contains("\"old\""));
    let told = works(&["reseal", "--config", &both]);
    assert!(
        told.contains("1 twins sealed anew, 0 that") && told.contains("only key new"),
        "{told}"
    );
    let whom = ["--tenant", "local", "--patient", patient.as_str()];
    let export = works(&[&["export", "--config", &new], &whom[..]].concat());
    assert_eq!(
        serde_json::from_str::<Value>(&export).unwrap()["twins"][0]["twin"],
        "vancomycin"
    );
    // What the audit log says of the patient is there for who has the key, and for nobody else.
    let export = works(&[&["export", "--config", &new], &whom[..]].concat());
    assert_eq!(
        serde_json::from_str::<Value>(&export).unwrap()["audit"][0]["action"],
        "export"
    );
    let digest = jumeau::store::audit::patient("local", &patient);
    assert!(!holds(&home.path().join("data"), digest.as_bytes()));
    assert!(works(&["status", "--config", &new]).contains("feedback  1\n"));
    assert!(fails(&["status", "--config", &old]).contains("\"new\""));
    assert!(fails(&["reseal", "--data", data]).contains("openssl rand"));
}

#[test]
fn a_store_in_use_is_left_alone() {
    let server = Server::start();
    let error = fails(&["status", "--data", server.data.path().to_str().unwrap()]);
    assert!(error.contains("another process"), "{error}");
}
