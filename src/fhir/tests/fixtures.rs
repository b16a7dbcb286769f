use super::*;
use std::path::PathBuf;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/fhir")
}

pub(super) fn load(name: &str) -> Box<RawValue> {
    RawValue::from_string(std::fs::read_to_string(folder().join(name)).unwrap()).unwrap()
}

/// Id of the Patient, and an hour after the newest fact that bears a time.
pub(super) fn who_and_when(data: &RawValue) -> (String, Timestamp) {
    let bundle: Value = serde_json::from_str(data.get()).unwrap();
    let mut id = String::new();
    let mut newest = Timestamp::UNIX_EPOCH;
    for entry in bundle["entry"].as_array().unwrap() {
        let r = &entry["resource"];
        let kind = r["resourceType"].as_str().unwrap();
        if kind == "Patient" {
            id = r["id"]
                .as_str()
                .or(entry["fullUrl"].as_str())
                .unwrap()
                .trim_start_matches("urn:uuid:")
                .to_owned();
        }
        if kind == "Observation" || kind == "MedicationAdministration" {
            let texts = [&r["effectiveDateTime"], &r["effectivePeriod"]["end"]];
            for text in texts.into_iter().filter_map(Value::as_str) {
                newest = newest.max(text.parse().unwrap_or(newest));
            }
        }
    }
    (id, newest + SignedDuration::from_hours(1))
}

pub(super) fn read_fixture(name: &str) -> Facts {
    let data = load(name);
    let (id, now) = who_and_when(&data);
    let ctx = ReadContext {
        patient_id: &id,
        now,
        zone: TimeZone::UTC,
    };
    let mut needs = needs();
    // Long stays: the whole of them, so that every entry is read.
    needs.history = SignedDuration::from_hours(24 * 365);
    for need in &mut needs.measured {
        need.within = None;
    }
    read(&[&data], &needs, &Terminology::default(), &ctx).unwrap()
}

#[test]
fn every_real_record_is_read() {
    let mut names: Vec<String> = std::fs::read_dir(folder())
        .unwrap()
        .map(|f| f.unwrap().file_name().into_string().unwrap())
        .filter(|n| n.ends_with(".json"))
        .collect();
    names.sort();
    assert_eq!(names.len(), 14);
    println!(
        "{:32} {:>6} {:>5} {:>6} {:>5} {:>8} {:>7} {:>7}",
        "record", "levels", "doses", "orders", "scr", "weight", "ignored", "assumed"
    );
    for name in &names {
        let facts = read_fixture(name);
        let count = |n: &str| facts.measured.get(n).map_or(0, Vec::len);
        let weight = facts
            .measured
            .get("wt")
            .and_then(|w| w.last())
            .map_or_else(String::new, |w| format!("{:.1}", w.value));
        println!(
            "{name:32} {:6} {:5} {:6} {:5} {weight:>8} {:7} {:7}",
            count("C"),
            facts.given.len(),
            facts.orders.len(),
            count("scr"),
            facts.ignored.len(),
            facts.assumed.len()
        );
        if std::env::var_os("SHOW_REMARKS").is_some() {
            for r in facts.ignored.iter().chain(&facts.assumed) {
                println!("    {} {:?}", r.id, r.args);
            }
        }
        for dose in &facts.given {
            assert!(dose.amount > 0.0 && dose.amount.is_finite() && dose.duration_hours >= 0.0);
        }
    }
}

#[test]
fn two_patients_with_eight_timed_doses_and_one_level_each() {
    for name in ["mimic-iii-42066.bundle.json", "mimic-iii-42075.bundle.json"] {
        let facts = read_fixture(name);
        assert_eq!((facts.given.len(), facts.measured["C"].len()), (8, 1), "{name}");
        assert!(facts.given.iter().all(|g| g.duration_assumed && !g.assumed_from_order));
        assert!(facts.measured.contains_key("wt") && facts.measured.contains_key("scr"));
    }
}

/// Not a measurement to rely on, but enough to see that a prefetch costs little; run by hand with `--release`.
#[test]
#[ignore = "a measurement"]
fn time_of_a_prefetch() {
    for name in [
        "mimic-iii-10046.bundle.json",
        "mimic-iii-42066.bundle.json",
        "mimic-iii-42075.bundle.json",
        "ckd_stage3-8-0000.json",
    ] {
        let data = load(name);
        let (id, now) = who_and_when(&data);
        let ctx = ReadContext {
            patient_id: &id,
            now,
            zone: TimeZone::UTC,
        };
        let (needs, terminology) = (needs(), Terminology::default());
        let mut times: Vec<u128> = (0..200)
            .map(|_| {
                let start = std::time::Instant::now();
                let facts = read(&[&data], &needs, &terminology, &ctx).unwrap();
                let spent = start.elapsed().as_micros();
                assert!(!facts.person.id.is_empty());
                spent
            })
            .collect();
        times.sort_unstable();
        println!(
            "{name}: {} KB, median {} us, p99 {} us",
            data.get().len() / 1024,
            times[100],
            times[198]
        );
    }
}
