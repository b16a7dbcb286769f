//! What every twin store must do, as tests that do not know which store they test.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use std::collections::HashMap;

use proptest::prelude::*;

use super::{FeedbackRecord, PutError, Revision, StoreError, TwinKey, TwinStore};

/// A feedback record with a number in it.
pub(super) fn record(number: u64) -> FeedbackRecord {
    FeedbackRecord {
        received: jiff::Timestamp::from_second(1_760_000_000).unwrap(),
        tenant: "https://fhir.example/r4".to_owned(),
        service: "jumeau-vancomycin".to_owned(),
        feedback: serde_json::json!({"card": number, "outcome": "accepted", "comment": "é\n\"quoted\"\u{2028}"}),
    }
}

/// One thread: what a careful reader of the documentation expects.
pub(super) fn contract(store: &dyn TwinStore) {
    let key = TwinKey::new("tenant", "patient", "model");
    let conflict = |result: Result<Revision, PutError>| match result {
        Err(PutError::Conflict(current)) => current,
        other => panic!("expected a conflict, got {other:?}"),
    };
    assert_eq!(store.get(&key), Ok(None));
    assert!(store.is_empty().unwrap());

    let first = store.put(&key, None, b"one").unwrap();
    assert_eq!(store.get(&key).unwrap().unwrap().payload, b"one");
    assert_eq!(store.get(&key).unwrap().unwrap().revision, first);
    assert_eq!(conflict(store.put(&key, None, b"two")), Some(first));

    let second = store.put(&key, Some(first), b"two").unwrap();
    assert_ne!(first, second);
    assert_eq!(
        conflict(store.put(&key, Some(first), b"three")),
        Some(second),
        "an old revision is refused"
    );
    assert_eq!(store.get(&key).unwrap().unwrap().payload, b"two");

    // Parts do not run into each other, tenants are apart, and each model has its own twin.
    for other in [
        TwinKey::new("tenantp", "atient", "model"),
        TwinKey::new("tenant", "patientmodel", ""),
        TwinKey::new("other", "patient", "model"),
        TwinKey::new("tenant", "patient", "model2"),
        TwinKey::new("patient", "tenant", "model"),
    ] {
        assert_eq!(store.get(&other), Ok(None));
    }

    let mut shown = Vec::new();
    store
        .for_each(&mut |key, stored| shown.push((key, stored.payload)))
        .unwrap();
    assert_eq!(shown, [(key.clone(), b"two".to_vec())]);
    assert_eq!(shown[0].0.tenant(), "tenant");

    assert_eq!(store.remove(&key), Ok(true));
    assert_eq!(store.remove(&key), Ok(false));
    assert_eq!(
        conflict(store.put(&key, Some(second), b"late")),
        None,
        "a removed twin does not come back"
    );
    let third = store.put(&key, None, b"").unwrap();
    assert!(third != first && third != second, "a revision is never given twice");
    assert_eq!(conflict(store.put(&key, Some(first), b"stale")), Some(third));
    assert_eq!(store.get(&key).unwrap().unwrap().payload, b"");

    assert_eq!(
        store.put(&key, Some(third), &vec![0; store.largest() + 1]),
        Err(PutError::Store(StoreError::TooLarge(store.largest() + 1)))
    );
    let large = vec![42; store.largest()];
    store.put(&key, Some(third), &large).unwrap();
    assert_eq!(store.get(&key).unwrap().unwrap().payload, large);
    assert_eq!(store.len(), Ok(1));
    assert!(store.remove(&key).unwrap());
    store.flush().unwrap();
    assert_eq!(store.trouble(), None);
}

/// Eight threads count in the same three twins; every step must be in the sum.
pub(super) fn no_lost_update(store: &dyn TwinStore) {
    const STEPS: u64 = 100;
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for step in 0..STEPS {
                    let key = TwinKey::new("race", (step % 3).to_string(), "m");
                    loop {
                        let now = store.get(&key).unwrap();
                        let count = now
                            .as_ref()
                            .map_or(0, |now| u64::from_be_bytes(now.payload.as_slice().try_into().unwrap()));
                        match store.put(&key, now.map(|now| now.revision), &(count + 1).to_be_bytes()) {
                            Ok(_) => break,
                            Err(PutError::Conflict(_)) => {}
                            Err(PutError::Store(error)) => panic!("{error}"),
                        }
                    }
                }
            });
        }
    });
    let sum: u64 = (0..3)
        .map(|patient| {
            store
                .get(&TwinKey::new("race", patient.to_string(), "m"))
                .unwrap()
                .unwrap()
                .payload
        })
        .map(|payload| u64::from_be_bytes(payload.try_into().unwrap()))
        .sum();
    assert_eq!(sum, 8 * STEPS);
}

#[derive(Debug, Clone)]
enum Step {
    /// With the right revision, or one that was once right.
    Put {
        key: usize,
        stale: bool,
        payload: Vec<u8>,
    },
    Remove(usize),
    Get(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        (
            0..4_usize,
            prop::bool::weighted(0.2),
            prop::collection::vec(any::<u8>(), 0..40)
        )
            .prop_map(|(key, stale, payload)| Step::Put { key, stale, payload }),
        (0..4_usize).prop_map(Step::Remove),
        (0..4_usize).prop_map(Step::Get),
    ];
    prop::collection::vec(step, 1..60)
}

/// Does what a map would do, for any sequence of operations.
pub(super) fn like_a_map(make: impl Fn() -> Box<dyn TwinStore>, cases: u32) {
    let config = ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(cases)
    };
    proptest!(config, |(steps in steps())| {
        let store = make();
        let keys: Vec<_> = (0..4).map(|n| TwinKey::new("t", n.to_string(), "m")).collect();
        let mut model: HashMap<usize, (Revision, Vec<u8>)> = HashMap::new();
        let mut past: HashMap<usize, Revision> = HashMap::new();
        for step in steps {
            match step {
                Step::Put { key, stale, payload } => {
                    let right = model.get(&key).map(|(revision, _)| *revision);
                    let expected = if stale { past.get(&key).copied() } else { right };
                    match store.put(&keys[key], expected, &payload) {
                        Ok(revision) => {
                            prop_assert_eq!(expected, right);
                            if let Some(old) = right {
                                past.insert(key, old);
                            }
                            model.insert(key, (revision, payload));
                        }
                        Err(PutError::Conflict(current)) => {
                            prop_assert_ne!(expected, right);
                            prop_assert_eq!(current, right);
                        }
                        Err(PutError::Store(error)) => panic!("{error}"),
                    }
                }
                Step::Remove(key) => {
                    let old = model.remove(&key);
                    prop_assert_eq!(store.remove(&keys[key]).unwrap(), old.is_some());
                    if let Some((revision, _)) = old {
                        past.insert(key, revision);
                    }
                }
                Step::Get(key) => {
                    let found = store.get(&keys[key]).unwrap().map(|stored| (stored.revision, stored.payload));
                    prop_assert_eq!(found.as_ref(), model.get(&key));
                }
            }
            prop_assert_eq!(store.len().unwrap(), model.len());
        }
    });
}

#[test]
fn memory_is_like_a_map() {
    like_a_map(|| Box::new(super::memory::MemoryStore::new()), 256);
}

#[test]
fn a_key_shows_nothing() {
    let key = TwinKey::new("tenant", "patient-123", "model");
    let shown = format!("{key:?}");
    assert!(
        !shown.contains("patient") && !shown.contains("tenant") && !shown.contains("model"),
        "{shown}"
    );
    assert_ne!(key.digest(), TwinKey::new("tenant", "patient-124", "model").digest());
}

/// What every guard against used tokens must do.
pub fn replay_guard(guard: &dyn super::replay::ReplayGuard) {
    let until = jiff::Timestamp::now() + std::time::Duration::from_secs(600);
    let id = |n: u8| [n; 32];
    assert!(guard.claim(&id(1), until).unwrap());
    assert!(!guard.claim(&id(1), until).unwrap(), "a second use");
    assert!(guard.claim(&id(2), until).unwrap(), "another token");
    // Of those that come at the same moment one is the first.
    for n in 10..20 {
        let winners = std::thread::scope(|scope| {
            let claims: Vec<_> = (0..20)
                .map(|_| scope.spawn(|| guard.claim(&id(n), until).unwrap()))
                .collect();
            claims
                .into_iter()
                .map(|claim| claim.join().unwrap())
                .filter(|first| *first)
                .count()
        });
        assert_eq!(winners, 1);
    }
}
