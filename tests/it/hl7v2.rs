//! Messages over MLLP, as an engine sends them: what they say is on the card, once, and nothing that was acknowledged is lost.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use super::support::{ANCHOR, Server, draft, sample, stable};
use jumeau::settings::{AsOf, Settings};

/// A sender that numbers its messages.
struct Engine {
    connection: TcpStream,
    number: usize,
}

impl Engine {
    fn at(address: SocketAddr) -> Self {
        let connection = TcpStream::connect(address).unwrap();
        connection.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        Self { connection, number: 0 }
    }

    fn header(number: &str, kind: &str, written: &str) -> String {
        format!("MSH|^~\\&|LAB|NORTH|JUMEAU|HERE|{written}||{kind}|{number}|P|2.5.1\r")
    }

    fn write(&mut self, bytes: &[u8]) {
        self.connection.write_all(bytes).unwrap();
    }

    /// The next answer.
    fn answer(&mut self) -> String {
        let mut bytes = Vec::new();
        while !bytes.ends_with(b"\x1c\r") {
            let mut byte = [0];
            self.connection.read_exact(&mut byte).unwrap();
            bytes.push(byte[0]);
        }
        assert_eq!(bytes[0], 0x0b);
        String::from_utf8(bytes[1..bytes.len() - 2].to_vec()).unwrap()
    }

    fn send(&mut self, message: &str) -> String {
        self.write(format!("\x0b{message}\x1c\r").as_bytes());
        self.answer()
    }

    /// A message with a number of its own, written at that minute of the day of the sample patients.
    fn tell(&mut self, kind: &str, written: &str, segments: &str) -> String {
        self.number += 1;
        let header = Self::header(&format!("N{}", self.number), kind, written);
        let answer = self.send(&format!("{header}{segments}"));
        assert!(answer.contains(&format!("|N{}\r", self.number)), "{answer}");
        answer
    }

    #[track_caller]
    fn accepted(&mut self, kind: &str, written: &str, segments: &str) {
        let answer = self.tell(kind, written, segments);
        assert!(answer.contains("\rMSA|AA|"), "{answer}");
    }
}

const PID: &str = "PID|1||moreau^^^HOSP^MR~4410287^^^OTHER||Moreau^A\r";

fn moment(text: &str) -> String {
    text.chars().filter(char::is_ascii_digit).collect::<String>() + "+0000"
}

fn is_result(resource: &Value) -> bool {
    resource["code"]["coding"][0]["code"] == "20578-1"
}

/// Whether messages tell it in these tests.
fn is_told(resource: &Value) -> bool {
    match resource["resourceType"].as_str().unwrap() {
        "Observation" => is_result(resource),
        "MedicationAdministration" | "MedicationRequest" => true,
        _ => false,
    }
}

fn level(number: usize, value: &str, at: &str, status: &str) -> String {
    let at = moment(at);
    format!(
        "{PID}OBR|1||F{number}^LAB|20578-1^Vancomycin^LN|||{at}\rOBX|1|NM|20578-1^Vancomycin^LN||{value}|mg/L^^UCUM|||||{status}|||{at}\r"
    )
}

/// Tells all of the sample patient that messages can.
fn tell_all(engine: &mut Engine, record: &Value) {
    let (mut given, mut levels) = (0, 0);
    let drug = "11124^vancomycin^RXNORM";
    for entry in record["entry"].as_array().unwrap() {
        let resource = &entry["resource"];
        match resource["resourceType"].as_str().unwrap() {
            "MedicationAdministration" => {
                given += 1;
                let period = &resource["effectivePeriod"];
                let (start, end) = (moment(period["start"].as_str().unwrap()), moment(period["end"].as_str().unwrap()));
                let amount = &resource["dosage"]["dose"]["value"];
                engine.accepted(
                    "RAS^O17^RAS_O17",
                    "202601151130+0000",
                    &format!("{PID}ORC|RE|P1^EHR\rRXA|0|{given}|{start}|{end}|{drug}|{amount}|mg^^UCUM|||||||||||||CP|A\rRXR|IV\r"),
                );
            }
            "MedicationRequest" => engine.accepted(
                "RDE^O11^RDE_O11",
                "202601151130+0000",
                &format!(
                    "{PID}ORC|NW|P1^EHR|||||||202601131130+0000\rRXE||{drug}|1500||mg^^UCUM||||||||||||||||||1000|mg/h^^UCUM\rTQ1|1||Q12H||||202601131200+0000\rRXR|IV^Intravenous^HL70162\r"
                ),
            ),
            "Observation" if is_result(resource) => {
                levels += 1;
                let value = resource["valueQuantity"]["value"].to_string();
                let at = resource["effectiveDateTime"].as_str().unwrap();
                engine.accepted("ORU^R01^ORU_R01", "202601151130+0000", &level(levels, &value, at, "F"));
            }
            _ => {}
        }
    }
    assert!(given > 3 && levels == 2);
}

fn listening(settings: &mut Settings) {
    settings.clock.as_of = AsOf::try_from(ANCHOR.to_owned()).unwrap();
    settings.hl7v2.listen = Some("127.0.0.1:0".parse().unwrap());
    settings.hl7v2.authority = Some("HOSP".to_owned());
}

fn without(record: &Value) -> Value {
    let mut rest = record.clone();
    rest["entry"]
        .as_array_mut()
        .unwrap()
        .retain(|entry| !is_told(&entry["resource"]));
    rest
}

fn card(server: &Server, record: &Value) -> Value {
    let request = server.request("order-sign", record, Some(&draft("moreau")));
    let (status, body) = server.call("order-sign", &request);
    assert_eq!(status, 200, "{body}");
    stable(&body["cards"][0])
}

/// What a card says, without where it says that it has it from.
fn said(card: &Value) -> [Value; 3] {
    [
        card["summary"].clone(),
        card["detail"].clone(),
        card["indicator"].clone(),
    ]
}

#[test]
fn what_messages_say_is_on_the_card_as_if_it_stood_in_the_record_and_counts_once() {
    let server = Server::with(listening);
    let (record, address) = (sample("moreau"), server.hl7v2.unwrap());
    let whole = card(&server, &record);
    assert_ne!(said(&card(&server, &without(&record))), said(&whole));
    tell_all(&mut Engine::at(address), &record);
    assert_eq!(said(&card(&server, &without(&record))), said(&whole));
    // The record holds the same.
    let both = card(&server, &record);
    assert_eq!(both["summary"], whole["summary"]);
    assert_eq!(both["suggestions"], whole["suggestions"]);
    // Nobody else's patient.
    let other = sample("okafor");
    let other_request = server.request("order-sign", &other, Some(&draft("okafor")));
    let (_, body) = server.call("order-sign", &other_request);
    assert!(!body.to_string().contains("hl7v2-"), "{body}");
}

#[test]
fn messages_of_one_hospital_are_nothing_to_another() {
    let server = Server::with(|settings| {
        listening(settings);
        settings.hl7v2.tenant = "https://elsewhere.example/fhir".to_owned();
    });
    let record = sample("moreau");
    let before = card(&server, &without(&record));
    tell_all(&mut Engine::at(server.hl7v2.unwrap()), &record);
    assert_eq!(said(&card(&server, &without(&record))), said(&before));
}

#[test]
fn a_number_of_the_hospital_leads_to_the_patient() {
    let server = Server::with(|settings| {
        listening(settings);
        settings.hl7v2.authority = Some("OTHER".to_owned());
        settings.hl7v2.patient_system = Some("https://stelsewhere.example/mrn".to_owned());
    });
    let record = sample("moreau");
    let whole = card(&server, &record);
    tell_all(&mut Engine::at(server.hl7v2.unwrap()), &record);
    assert_eq!(said(&card(&server, &without(&record))), said(&whole));
    // Who asks to forget knows the id of the Patient alone.
    let erase = json!({ "resourceType": "Parameters", "parameter": [{ "name": "subject", "valueReference": { "reference": "Patient/moreau" } }] });
    let (status, body) = server.post("/fhir/$jumeau-erase", &erase, "en");
    assert_eq!(status, 200, "{body}");
    assert_ne!(said(&card(&server, &without(&record))), said(&whole));
    let data = server.stop();
    let log = std::fs::read_to_string(data.path().join("inbox.log")).unwrap();
    assert!(
        !log.contains("4410287") && !log.contains("20578-1") && log.contains("\"body\":null"),
        "{log}"
    );
}

#[test]
fn a_message_counts_once_and_a_correction_replaces() {
    let server = Server::with(listening);
    let record = sample("moreau");
    let mut engine = Engine::at(server.hl7v2.unwrap());
    tell_all(&mut engine, &record);
    let shown = |server: &Server| card(server, &without(&record))["detail"].as_str().unwrap().to_owned();
    let first = shown(&server);
    assert!(first.contains("13.7"), "{first}");

    let at = "2026-01-15T11:15:00Z";
    let correction = Engine::header("C1", "ORU^R01", "202601151145+0000") + &level(2, "15.9", at, "C");
    for _ in 0..2 {
        assert!(engine.send(&correction).contains("\rMSA|AA|C1\r"));
    }
    let corrected = shown(&server);
    assert!(corrected.contains("15.9") && !corrected.contains("13.7"), "{corrected}");
    // The same number with something else in it, also from another connection.
    let other = correction.replace("|15.9|", "|99.9|");
    let answer = Engine::at(server.hl7v2.unwrap()).send(&other);
    assert!(answer.contains("\rMSA|AR|C1\rERR||MSH^1^10|205|E"), "{answer}");
    // Another sender may use the number.
    let answer = engine.send(
        &correction
            .replace("|LAB|NORTH|", "|LAB|SOUTH|")
            .replace("|15.9|", "|16.0|"),
    );
    assert!(answer.contains("\rMSA|AA|C1\r"), "{answer}");
    let removed = Engine::header("C2", "ORU^R01", "202601151146+0000") + &level(2, "16.0", at, "D");
    let answer = engine.send(&removed.replace("|LAB|NORTH|", "|LAB|SOUTH|"));
    assert!(answer.contains("\rMSA|AA|C2\r"), "{answer}");
    // What was written earlier and comes later changes nothing.
    engine.accepted("ORU^R01", "202601151120+0000", &level(2, "13.7", at, "F"));
    assert_eq!(shown(&server), corrected);
    // Taken back altogether.
    engine.accepted("ORU^R01", "202601151150+0000", &level(2, "", at, "D"));
    let without_it = shown(&server);
    assert!(
        !without_it.contains("15.9") && !without_it.contains("13.7"),
        "{without_it}"
    );
}

#[test]
fn what_cannot_be_taken_is_refused_where_it_is_wrong() {
    let server = Server::with(listening);
    let mut engine = Engine::at(server.hl7v2.unwrap());
    let written = "202601151130+0000";
    let at = "2026-01-15T11:15:00Z";
    let good = level(1, "13.7", at, "F");
    for (kind, segments, expected) in [
        ("ADT^A01", good.clone(), "MSA|AR|N1\rERR||MSH^1^9|200|E"),
        ("ORU^R03", good.clone(), "MSA|AR|N2\rERR||MSH^1^9|201|E"),
        ("ORU^R01", good.replace("F1^LAB", ""), "MSA|AE|N3\rERR||OBR^1^3|101|E"),
        (
            "ORU^R01",
            good.replace("|13.7|", "|many|"),
            "MSA|AE|N4\rERR||OBX^1^5|102|E",
        ),
        ("ORU^R01", good.replace("HOSP", "ELSE"), "MSA|AE|N5\rERR||PID^1^3|102|E"),
        ("ORU^R01", good.replace("PID|", "NTE|"), "MSA|AE|N6\rERR||PID^1^1|100|E"),
        ("ORU^R01", format!("{good}{PID}"), "MSA|AE|N7\rERR||PID^2^1|100|E"),
        ("ORU^R01", PID.to_owned(), "MSA|AE|N8\rERR||OBR^1^1|100|E"),
        (
            "ORU^R01",
            good.replace("20260115", "2026-01-15"),
            "MSA|AE|N9\rERR||OBX^1^14|102|E",
        ),
        (
            "ORU^R01",
            good.replace("||F||", "||?||"),
            "MSA|AE|N10\rERR||OBX^1^11|102|E",
        ),
        ("ORU^R01", format!("{good}rubbish\r"), "MSA|AR|N11\rERR|||100|E"),
        (
            "RAS^O17",
            format!("{PID}ORC|RE|P1\rRXR|IV\r"),
            "MSA|AE|N12\rERR||ORC^1^1|100|E",
        ),
        (
            "RDE^O11",
            format!("{PID}ORC|??|P1\rRXE||1^x^L|5||mg\r"),
            "MSA|AE|N13\rERR||ORC^1^1|103|E",
        ),
    ] {
        let answer = engine.tell(kind, written, &segments);
        assert!(answer.contains(expected), "{kind} {expected}: {answer}");
        for value in ["13.7", "moreau", "Moreau", "4410287"] {
            assert!(!answer.contains(value), "{answer}");
        }
    }
    let test = Engine::header("T1", "ORU^R01", written).replace("|P|2.5.1", "|T|2.5.1") + &good;
    assert!(engine.send(&test).contains("MSA|AR|T1\rERR||MSH^1^11|202|E"));
    let old = Engine::header("T2", "ORU^R01", written).replace("|P|2.5.1", "|P|2.1") + &good;
    assert!(engine.send(&old).contains("MSA|AR|T2\rERR||MSH^1^12|203|E"));
    assert!(engine.send("hello").contains("MSA|AR|\rERR|||100|E"));
    assert!(engine.send("").contains("MSA|AR|\rERR|||100|E"));
    // Nothing of all this is known.
    let detail = card(&server, &without(&sample("moreau")));
    assert!(!detail.to_string().contains("hl7v2-"), "{detail}");
    let log = std::fs::read_to_string(server.data.path().join("inbox.log")).unwrap();
    assert!(!log.contains("moreau"), "{log}");
}

#[test]
fn what_is_no_frame_ends_one_connection_and_no_other() {
    let server = Server::with(|settings| {
        listening(settings);
        settings.hl7v2.largest = 4096;
        settings.hl7v2.connections = 3;
    });
    let address = server.hl7v2.unwrap();
    let mut engine = Engine::at(address);
    let good = Engine::header("A1", "ORU^R01", "202601151130+0000") + &level(1, "13.7", "2026-01-15T11:15:00Z", "F");
    let long = [b"\x0bMSH|".to_vec(), vec![b'x'; 8192]].concat();
    let attacks: [&[u8]; 5] = [
        b"GET / HTTP/1.1\r\n\r\n",
        b"MSH|^~\\&|",
        b"\x0bMSH|\x0bMSH|",
        b"\x0bMSH|\x1cX",
        &long,
    ];
    for attack in attacks {
        let mut one = Engine::at(address);
        one.write(attack);
        let mut rest = Vec::new();
        // Ended by the server, in whatever way.
        let _ = one.connection.read_to_end(&mut rest);
        assert_eq!(rest, b"", "no answer to what is no message");
    }
    // Byte by byte, and two at once.
    for byte in format!("\x0b{good}\x1c\r").bytes() {
        engine.write(&[byte]);
    }
    assert!(engine.answer().contains("MSA|AA|A1"));
    let second = good.replace("|A1|", "|A2|");
    engine.write(format!("\x0b{good}\x1c\r\r\n\x0b{second}\x1c\r").as_bytes());
    assert!(engine.answer().contains("MSA|AA|A1"));
    assert!(engine.answer().contains("MSA|AA|A2"));
    // More connections than there may be.
    let begun = Instant::now();
    let mut held: Vec<Engine> = (0..2).map(|_| Engine::at(address)).collect();
    loop {
        let mut more = Engine::at(address);
        let mut rest = Vec::new();
        more.connection
            .set_read_timeout(Some(Duration::from_millis(200)))
            .unwrap();
        match more.connection.read_to_end(&mut rest) {
            Ok(0) => break,
            // Not counted yet.
            _ => assert!(begun.elapsed() < Duration::from_secs(10)),
        }
    }
    assert!(held[0].send(&good).contains("MSA|AA|A1"));
    assert!(engine.send(&good).contains("MSA|AA|A1"));
}

/// A server in a process of its own.
struct Alone(Child, SocketAddr);

impl Alone {
    fn start(folder: &std::path::Path) -> Self {
        let free = || {
            std::net::TcpListener::bind("127.0.0.1:0")
                .unwrap()
                .local_addr()
                .unwrap()
        };
        let (http, hl7v2) = (free(), free());
        let file = folder.join("settings.toml");
        let text = format!(
            "[http]\nlisten = \"{http}\"\n[auth]\nrequired = false\n[store]\ndirectory = {:?}\n[hl7v2]\nlisten = \"{hl7v2}\"\n",
            folder.join("data")
        );
        std::fs::write(&file, text).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_jumeau"));
        command
            .arg("serve")
            .arg("--config")
            .arg(&file)
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let child = command.spawn().unwrap();
        let begun = Instant::now();
        while TcpStream::connect(hl7v2).is_err() {
            assert!(begun.elapsed() < Duration::from_secs(60));
            std::thread::sleep(Duration::from_millis(50));
        }
        Self(child, hl7v2)
    }
}

impl Drop for Alone {
    /// As a loss of power would.
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn what_was_acknowledged_is_there_after_a_kill_and_without_the_store_of_twins() {
    let folder = tempfile::tempdir().unwrap();
    let record = sample("moreau");
    let alone = Alone::start(folder.path());
    let mut engine = Engine::at(alone.1);
    tell_all(&mut engine, &record);
    drop(alone);
    // The database of twins is a cache.
    std::fs::remove_dir_all(folder.path().join("data/twins")).unwrap();
    let alone = Alone::start(folder.path());
    let again = Engine::header("N1", "ORU^R01", "202601151130+0000") + &level(9, "1", "2026-01-15T11:15:00Z", "F");
    let answer = Engine::at(alone.1).send(&again);
    assert!(answer.contains("MSA|AR|N1"), "its number is known: {answer}");
    drop(alone);
    let data = folder.path().join("data");
    let server = Server::with(|settings| {
        listening(settings);
        settings.store.directory = Some(data.clone());
    });
    let (told, both) = (card(&server, &without(&record)), card(&server, &record));
    // The latter also says that it heard of each dose twice.
    assert_eq!(told["summary"], both["summary"]);
    assert_eq!(told["suggestions"], both["suggestions"]);
    assert!(
        told["detail"].as_str().unwrap().contains("2 levels") && told["detail"].as_str().unwrap().contains("5 doses")
    );
    drop(server.stop());

    let whom = [
        "--data",
        data.to_str().unwrap(),
        "--tenant",
        "local",
        "--patient",
        "moreau",
    ];
    let run = |command: &str| {
        let output = Command::new(env!("CARGO_BIN_EXE_jumeau"))
            .arg("store")
            .arg(command)
            .args(whom)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let export: Value = serde_json::from_str(&run("export")).unwrap();
    assert!(export["messages"].as_array().unwrap().len() > 5, "{export}");
    run("erase");
    let export: Value = serde_json::from_str(&run("export")).unwrap();
    assert_eq!(export["messages"], json!([]), "{export}");
    assert!(
        !std::fs::read_to_string(data.join("inbox.log"))
            .unwrap()
            .contains("moreau")
    );
}

#[test]
fn who_is_not_listed_is_not_heard() {
    let server = Server::with(|settings| {
        listening(settings);
        settings.hl7v2.peers = vec!["192.0.2.1".parse().unwrap()];
    });
    let mut engine = Engine::at(server.hl7v2.unwrap());
    let mut rest = Vec::new();
    let _ = engine.connection.read_to_end(&mut rest);
    assert_eq!(rest, b"");
}
