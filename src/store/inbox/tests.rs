#![allow(clippy::unwrap_used)]

use super::*;
use crate::store::memory::{MemoryLog, MemoryStore};

const KEEP: SignedDuration = SignedDuration::from_hours(24);

fn at(hour: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + 3600 * hour).unwrap()
}

fn fact(id: &str, hour: i64, value: i64) -> Fact {
    Fact {
        id: id.to_owned(),
        at: at(hour),
        resource: Some(json!({ "value": value })),
    }
}

fn message<'m>(id: &'m str, content: &'m str, facts: Vec<Fact>) -> Message<'m> {
    Message {
        tenant: "north",
        id,
        content: content.as_bytes(),
        patient: "patient-canary",
        facts,
    }
}

fn stores() -> (Arc<InboxLog>, Arc<dyn TwinStore>) {
    (Arc::new(MemoryLog::new()), Arc::new(MemoryStore::new()))
}

#[test]
fn a_message_is_kept_once_and_a_number_is_used_once() {
    let (log, twins) = stores();
    let inbox = Inbox::new(Arc::clone(&log), twins, KEEP);
    let first = || message("a", "text", vec![fact("x", 0, 1)]);
    assert_eq!(inbox.take(first(), at(0)), Ok(Taken::New));
    assert_eq!(inbox.take(first(), at(1)), Ok(Taken::Again));
    assert_eq!(
        inbox.take(message("a", "other", Vec::new()), at(1)),
        Err(Refused::Reused)
    );
    assert_eq!(log.read_all().unwrap().len(), 1);
    assert_eq!(inbox.of("north", "patient-canary", at(1)).unwrap(), [fact("x", 0, 1)]);
    assert!(inbox.of("south", "patient-canary", at(1)).unwrap().is_empty());
}

#[test]
fn the_newest_word_counts_in_whatever_order_it_comes() {
    let (log, twins) = stores();
    let inbox = Inbox::new(log, twins, KEEP);
    let known = || inbox.of("north", "patient-canary", at(5)).unwrap();
    inbox.take(message("b", "b", vec![fact("x", 2, 2)]), at(2)).unwrap();
    inbox
        .take(message("a", "a", vec![fact("x", 1, 1), fact("y", 1, 1)]), at(3))
        .unwrap();
    assert_eq!(known(), [fact("y", 1, 1), fact("x", 2, 2)]);
    let gone = Fact {
        resource: None,
        ..fact("x", 4, 0)
    };
    inbox.take(message("c", "c", vec![gone]), at(4)).unwrap();
    inbox.take(message("d", "d", vec![fact("x", 3, 3)]), at(4)).unwrap();
    assert_eq!(known(), [fact("y", 1, 1)], "what was taken back does not come back");
}

#[test]
fn the_log_brings_back_what_the_twins_lost_and_what_was_forgotten_stays_so() {
    let (log, twins) = stores();
    let inbox = Inbox::new(Arc::clone(&log), twins, KEEP);
    inbox.take(message("a", "a", vec![fact("x", 0, 1)]), at(0)).unwrap();
    inbox.link("north", "id", "patient-canary").unwrap();
    let anew = |hour| {
        let twins: Arc<dyn TwinStore> = Arc::new(MemoryStore::new());
        let inbox = Inbox::new(Arc::clone(&log), twins, KEEP);
        inbox.restore(at(hour)).unwrap();
        inbox
    };
    let restored = anew(1);
    assert_eq!(
        restored.of("north", "patient-canary", at(1)).unwrap(),
        [fact("x", 0, 1)]
    );
    assert_eq!(
        restored.take(message("a", "a", vec![fact("x", 0, 1)]), at(1)),
        Ok(Taken::Again)
    );
    assert!(
        anew(30).of("north", "patient-canary", at(1)).unwrap().is_empty(),
        "too old"
    );

    assert_eq!(inbox.forget("south", "id"), Ok(false));
    assert_eq!(inbox.forget("north", "id"), Ok(true), "by the id");
    assert_eq!(inbox.forget("north", "patient-canary"), Ok(false));
    assert!(!format!("{:?}", log.read_all().unwrap()).contains("canary"));
    let restored = anew(1);
    assert!(restored.of("north", "patient-canary", at(1)).unwrap().is_empty());
    assert_eq!(
        restored.take(message("a", "a", vec![fact("x", 0, 1)]), at(1)),
        Ok(Taken::Again)
    );
}

#[test]
fn what_is_old_is_forgotten_and_the_rest_kept() {
    let (log, twins) = stores();
    let inbox = Inbox::new(Arc::clone(&log), Arc::clone(&twins), KEEP);
    inbox.take(message("a", "a", vec![fact("x", 0, 1)]), at(0)).unwrap();
    inbox.take(message("b", "b", vec![fact("y", 20, 1)]), at(20)).unwrap();
    inbox.prune(at(30)).unwrap();
    let bodies: Vec<bool> = log
        .read_all()
        .unwrap()
        .iter()
        .map(|record| record.body.is_null())
        .collect();
    assert_eq!(bodies, [true, false]);
    assert_eq!(inbox.of("north", "patient-canary", at(30)).unwrap(), [fact("y", 20, 1)]);
    assert_eq!(twins.len().unwrap(), 2, "the facts and one message");
}

#[test]
fn many_facts_of_one_patient_are_bounded_and_the_newest_stay() {
    let (log, twins) = stores();
    let inbox = Inbox::new(log, twins, SignedDuration::from_hours(100_000));
    let many = |from: i64| (from..from + 1500).map(|k| fact(&k.to_string(), k, k)).collect();
    inbox.take(message("a", "a", many(0)), at(0)).unwrap();
    inbox.take(message("b", "b", many(1500)), at(0)).unwrap();
    let known = inbox.of("north", "patient-canary", at(3000)).unwrap();
    assert_eq!((known.len(), known.last()), (FACTS, Some(&fact("2999", 2999, 2999))));
}

#[test]
fn servers_that_write_about_one_patient_lose_nothing() {
    let (log, twins) = stores();
    std::thread::scope(|scope| {
        for server in 0..4 {
            let inbox = Inbox::new(Arc::clone(&log), Arc::clone(&twins), KEEP);
            scope.spawn(move || {
                for k in 0..10 {
                    let id = format!("{server}-{k}");
                    inbox.take(message(&id, &id, vec![fact(&id, 0, k)]), at(0)).unwrap();
                }
            });
        }
    });
    let inbox = Inbox::new(log, twins, KEEP);
    assert_eq!(inbox.of("north", "patient-canary", at(1)).unwrap().len(), 40);
}

#[test]
fn what_is_too_large_for_the_log_is_told_apart_from_what_may_be_tried_again() {
    let home = tempfile::tempdir().unwrap();
    let (journal, _) = crate::store::journal::Journal::open("inbox", &home.path().join("inbox.log")).unwrap();
    let inbox = Inbox::new(Arc::new(journal), Arc::new(MemoryStore::new()), KEEP);
    let mut large = fact("x", 0, 1);
    large.resource = Some(json!("x".repeat(crate::store::journal::MAX_RECORD)));
    assert_eq!(
        inbox.take(message("a", "a", vec![large]), at(0)),
        Err(Refused::TooLarge)
    );
    assert_eq!(
        inbox.take(message("a", "b", vec![fact("x", 0, 1)]), at(0)),
        Ok(Taken::New)
    );
}

#[test]
fn a_number_in_the_log_twice_hides_nothing_that_comes_after() {
    let (log, twins) = stores();
    let record = |message: &str, value: i64| InboxRecord {
        received: at(0),
        tenant: "north".to_owned(),
        message: message.to_owned(),
        content: value.to_string(),
        body: json!({ "patient": "patient-canary", "facts": [fact(&value.to_string(), 0, value)] }),
    };
    log.append_all(&[record("a", 1), record("a", 2), record("b", 3)])
        .unwrap();
    let inbox = Inbox::new(log, twins, KEEP);
    inbox.restore(at(1)).unwrap();
    assert_eq!(inbox.of("north", "patient-canary", at(1)).unwrap().len(), 3);
}

#[test]
fn what_was_written_long_ago_counts_from_its_arrival() {
    let (log, twins) = stores();
    let inbox = Inbox::new(log, twins, KEEP);
    inbox.take(message("a", "a", vec![fact("x", -5000, 1)]), at(0)).unwrap();
    assert_eq!(inbox.of("north", "patient-canary", at(20)).unwrap().len(), 1);
    assert!(inbox.of("north", "patient-canary", at(30)).unwrap().is_empty());
}
