#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use std::fs;

use super::*;
use crate::store::contract;

fn settings() -> SledSettings {
    SledSettings {
        cache_mib: 8,
        flush_ms: 500,
    }
}

fn ready(directory: &Path) -> SledStore {
    match open(directory, &settings()) {
        OpenedTwins::Ready(store) => store,
        other => panic!("{other:?}"),
    }
}

#[test]
fn keeps_the_contract() {
    let home = tempfile::tempdir().unwrap();
    contract::contract(&ready(&home.path().join("a")));
    contract::no_lost_update(&ready(&home.path().join("b")));
}

#[test]
fn is_like_a_map() {
    let home = tempfile::tempdir().unwrap();
    let count = std::cell::Cell::new(0);
    contract::like_a_map(
        || {
            count.set(count.get() + 1);
            Box::new(ready(&home.path().join(count.get().to_string())))
        },
        24,
    );
}

#[test]
fn twins_and_revisions_survive_a_restart() {
    let home = tempfile::tempdir().unwrap();
    let key = TwinKey::new("t", "p", "m");
    let first = ready(home.path()).put(&key, None, b"one").unwrap();
    let store = ready(home.path());
    assert_eq!(
        store.get(&key).unwrap().unwrap(),
        Stored {
            revision: first,
            payload: b"one".to_vec()
        }
    );
    let second = store.put(&key, Some(first), b"two").unwrap();
    assert_ne!(first, second);
}

#[test]
fn no_id_is_on_disk_in_clear() {
    let home = tempfile::tempdir().unwrap();
    let store = ready(home.path());
    store
        .put(
            &TwinKey::new("tenant", "patient-canary", "model-canary"),
            None,
            b"payload",
        )
        .unwrap();
    store.flush().unwrap();
    drop(store);
    for file in fs::read_dir(home.path())
        .unwrap()
        .flatten()
        .filter(|entry| entry.path().is_file())
    {
        let bytes = fs::read(file.path()).unwrap();
        assert!(!bytes.windows(6).any(|window| window == b"canary"), "{:?}", file.path());
    }
}

#[test]
fn a_damaged_or_moved_record_counts_as_absent_and_can_be_replaced() {
    let home = tempfile::tempdir().unwrap();
    let store = ready(home.path());
    let (mine, yours) = (TwinKey::new("t", "mine", "m"), TwinKey::new("t", "yours", "m"));
    store.put(&mine, None, b"mine").unwrap();
    store.put(&yours, None, b"yours").unwrap();
    let raw = store.db.get(stored_key(&yours)).unwrap().unwrap();
    store.db.insert(stored_key(&mine), raw).unwrap();
    assert_eq!(
        store.get(&mine),
        Ok(None),
        "another patient's record is not taken for this one's"
    );
    assert!(matches!(
        store.put(&mine, store.get(&yours).unwrap().map(|stored| stored.revision), b"x"),
        Err(PutError::Conflict(None))
    ));
    store.put(&mine, None, b"anew").unwrap();
    assert_eq!(store.get(&mine).unwrap().unwrap().payload, b"anew");
    for garbage in [&b""[..], b"x", &[0; 44], &[255; 400]] {
        store.db.insert(stored_key(&mine), garbage).unwrap();
        assert_eq!(store.get(&mine), Ok(None));
    }
    assert_eq!(store.remove(&mine), Ok(true));
    assert_eq!(store.trouble(), None, "a damaged record is no failure of the store");
}

#[test]
fn a_broken_database_is_set_aside() {
    let home = tempfile::tempdir().unwrap();
    let place = home.path().join("twins");
    for round in 0..2 {
        fs::create_dir_all(&place).unwrap();
        fs::write(place.join("conf"), b"certainly no configuration of sled").unwrap();
        fs::write(place.join("db"), vec![0xA5; 200_000]).unwrap();
        match open(&place, &settings()) {
            OpenedTwins::Renewed { store, aside, .. } => {
                assert!(aside.join("conf").exists());
                assert!(
                    aside
                        .file_name()
                        .unwrap()
                        .to_string_lossy()
                        .starts_with("twins.broken-")
                );
                contract::contract(&store);
            }
            other => panic!("round {round}: {other:?}"),
        }
        fs::remove_dir_all(&place).unwrap();
    }
    assert_eq!(
        fs::read_dir(home.path()).unwrap().count(),
        2,
        "both broken ones are kept"
    );
}

#[test]
fn a_database_that_panics_is_set_aside() {
    let home = tempfile::tempdir().unwrap();
    let place = home.path().join("twins");
    drop(ready(&place));
    let tries = std::cell::Cell::new(0);
    let first_panics = move |config: &::sled::Config| {
        tries.set(tries.get() + 1);
        if tries.get() == 1 {
            panic!("an assertion of the database")
        } else {
            config.open()
        }
    };
    match open_with(&place, &settings(), &first_panics) {
        OpenedTwins::Renewed { store, reason, .. } => {
            assert!(reason.contains("an assertion of the database"), "{reason}");
            contract::contract(&store);
        }
        other => panic!("{other:?}"),
    }
    let always = |_: &::sled::Config| panic!("again");
    assert!(matches!(
        open_with(&place, &settings(), &always),
        OpenedTwins::Impossible { .. }
    ));
}

#[test]
fn a_half_written_snapshot_is_no_obstacle() {
    let home = tempfile::tempdir().unwrap();
    let key = TwinKey::new("t", "p", "m");
    ready(home.path()).put(&key, None, b"one").unwrap();
    fs::write(home.path().join("snap.FFFFFFFFFFFFFFFF.generating"), b"half").unwrap();
    assert_eq!(ready(home.path()).get(&key).unwrap().unwrap().payload, b"one");
}

#[test]
fn a_database_in_use_is_left_alone() {
    let home = tempfile::tempdir().unwrap();
    let place = home.path().join("twins");
    let store = ready(&place);
    assert!(matches!(open(&place, &settings()), OpenedTwins::Impossible { .. }));
    contract::contract(&store);
}

#[test]
fn a_place_that_cannot_be_written_gives_a_reason_and_no_panic() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("file");
    fs::write(&file, b"").unwrap();
    assert!(matches!(
        open(&file.join("twins"), &settings()),
        OpenedTwins::Impossible { .. }
    ));
    assert!(matches!(
        open(Path::new("/proc/twins"), &settings()),
        OpenedTwins::Impossible { .. }
    ));
}

/// One byte is flipped anywhere in the file: whatever sled makes of it, the server starts, and no twin is wrong.
#[test]
fn a_flipped_byte_never_gives_a_wrong_twin() {
    let home = tempfile::tempdir().unwrap();
    let original = home.path().join("original");
    let store = ready(&original);
    let key = |n: u32| TwinKey::new("t", n.to_string(), "m");
    let payload = |n: u32| n.to_string().repeat(100).into_bytes();
    for n in 0..60 {
        store.put(&key(n), None, &payload(n)).unwrap();
    }
    store.flush().unwrap();
    drop(store);
    let length = fs::metadata(original.join("db")).unwrap().len();
    let used = u64::try_from(
        fs::read(original.join("db"))
            .unwrap()
            .iter()
            .rposition(|byte| *byte != 0)
            .unwrap(),
    )
    .unwrap();
    for trial in 0..25_u64 {
        let place = home.path().join(format!("trial{trial}"));
        fs::create_dir_all(&place).unwrap();
        for file in fs::read_dir(&original)
            .unwrap()
            .flatten()
            .filter(|entry| entry.path().is_file())
        {
            fs::copy(file.path(), place.join(file.file_name())).unwrap();
        }
        let mut bytes = fs::read(place.join("db")).unwrap();
        // A fixed scatter over the used part of the file.
        let at = usize::try_from(trial.wrapping_mul(0x9E37_79B9_7F4A_7C15) % used.min(length)).unwrap();
        bytes[at] ^= 0x10;
        fs::write(place.join("db"), bytes).unwrap();
        let (OpenedTwins::Ready(store) | OpenedTwins::Renewed { store, .. }) = open(&place, &settings()) else {
            panic!("trial {trial}: neither opened nor renewed");
        };
        for n in 0..60 {
            if let Ok(Some(found)) = store.get(&key(n)) {
                assert_eq!(found.payload, payload(n), "trial {trial}, twin {n}");
            }
        }
    }
}
