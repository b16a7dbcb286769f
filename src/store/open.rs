//! Opening the stores of a data directory so that a server always starts.
//!
//! `directory/lock` is held as long as the process lives, so that two servers never write to one directory.
//! `directory/twins` is the database of twins, `directory/feedback.log` the feedback, `directory/audit.log` who did what,
//! `directory/inbox.log` messages of other systems, `directory/tokens` the ids of tokens that were used, `directory/keys` which keys all that is sealed with.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io,
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{
    AuditLog, FeedbackLog, InboxLog, Log, TwinStore,
    journal::Journal,
    memory::{ClosedLog, MemoryLog, MemoryStore},
    postgres::{Database, PostgresGuard, PostgresLog, PostgresSettings, PostgresTwins},
    replay::{ClosedGuard, FileGuard, MemoryGuard, ReplayGuard},
    seal::{KeySettings, Keys, log::SealedLog, ring::Home, twins::SealedTwins},
    sled::{self, OpenedTwins, SledSettings},
};

/// Twins that a server keeps when it has no disk for them.
const TWINS_IN_MEMORY: usize = 10_000;

/// How long to wait for a server that is about to end, and between two tries.
const LOCK_PATIENCE: Duration = Duration::from_secs(2);
const LOCK_PAUSE: Duration = Duration::from_millis(50);

/// The `[store]` section.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StoreSettings {
    /// Where twins and feedback are kept; created when missing. Absent: all is kept in memory and lost at the end.
    pub directory: Option<PathBuf>,
    /// A database for everything, in the place of `directory`.
    pub postgres: Option<PostgresSettings>,
    /// How the database of twins is run.
    pub twins: SledSettings,
    /// Keys with which values are sealed, the first of them, and opened. Default: none, values are in clear.
    pub key: Vec<KeySettings>,
}

/// The stores, open.
pub struct Stores {
    /// Twins.
    pub twins: Arc<dyn TwinStore>,
    /// Feedback.
    pub feedback: Arc<FeedbackLog>,
    /// Who did what.
    pub audit: Arc<AuditLog>,
    /// Messages of other systems.
    pub inbox: Arc<InboxLog>,
    /// Which tokens were used.
    pub replay: Arc<dyn ReplayGuard>,
    /// With what, where values are sealed.
    pub sealed: Option<Sealed>,
    /// What the operator should know, in sentences; each was logged too.
    pub warnings: Vec<String>,
    /// Released when the process ends or this is dropped.
    lock: Option<File>,
}

/// What seals values.
pub struct Sealed {
    /// The keys.
    pub keys: Keys,
    /// Where it is written which of them are needed.
    pub ring: Home,
    /// The twins, as in [`Stores::twins`].
    pub twins: Arc<SealedTwins>,
}

/// Opens everything. Whatever the disk is like, there are stores afterwards: twins fall back to memory, feedback to a
/// log that refuses each record (it must not say that it kept what it did not).
///
/// # Errors
/// In words for the operator: keys that cannot be read, or are not those that the store was sealed with.
pub fn open(settings: &StoreSettings) -> Result<Stores, String> {
    let keys = Keys::read(&settings.key)?;
    let plain = match &settings.postgres {
        Some(postgres) => open_database(postgres)?,
        None => open_plain(settings),
    };
    let ring = match (&plain.lock, &settings.directory) {
        (Some(_), Some(directory)) => Home::File(directory.join("keys")),
        _ => Home::Store(Arc::clone(&plain.twins)),
    };
    let index = ring.check(keys.as_ref())?;
    let (Some(keys), Some(index)) = (keys, index) else {
        return Ok(plain);
    };
    let twins = Arc::new(SealedTwins::new(Arc::clone(&plain.twins), keys.clone(), index));
    Ok(Stores {
        twins: Arc::clone(&twins) as Arc<dyn TwinStore>,
        feedback: Arc::new(SealedLog::new(Arc::clone(&plain.feedback), keys.clone())),
        audit: Arc::new(SealedLog::new(Arc::clone(&plain.audit), keys.clone())),
        inbox: Arc::new(SealedLog::new(Arc::clone(&plain.inbox), keys.clone())),
        sealed: Some(Sealed { keys, ring, twins }),
        ..plain
    })
}

fn open_database(settings: &PostgresSettings) -> Result<Stores, String> {
    let database = Database::open(settings)?;
    Ok(Stores {
        twins: Arc::new(PostgresTwins(Arc::clone(&database))),
        feedback: Arc::new(PostgresLog::new(Arc::clone(&database), "feedback")),
        audit: Arc::new(PostgresLog::new(Arc::clone(&database), "audit")),
        inbox: Arc::new(PostgresLog::new(Arc::clone(&database), "inbox")),
        replay: Arc::new(PostgresGuard(database)),
        sealed: None,
        warnings: Vec::new(),
        lock: None,
    })
}

fn open_plain(settings: &StoreSettings) -> Stores {
    let Some(directory) = &settings.directory else {
        let warning = "no data directory is configured: twins and feedback are kept in memory only".to_owned();
        tracing::warn!("{warning}");
        return Stores {
            twins: Arc::new(MemoryStore::new().limited_to(TWINS_IN_MEMORY)),
            feedback: Arc::new(MemoryLog::new()),
            audit: Arc::new(MemoryLog::new()),
            inbox: Arc::new(MemoryLog::new()),
            replay: Arc::new(MemoryGuard::default()),
            sealed: None,
            warnings: vec![warning],
            lock: None,
        };
    };
    let lock = match lock(directory) {
        Ok(lock) => lock,
        Err(error) => {
            let reason = format!("the data directory {} cannot be used: {error}", directory.display());
            tracing::error!("{reason}");
            return Stores {
                twins: in_memory(reason.clone()),
                feedback: Arc::new(ClosedLog::new(reason.clone())),
                audit: Arc::new(ClosedLog::new(reason.clone())),
                inbox: Arc::new(ClosedLog::new(reason.clone())),
                replay: Arc::new(ClosedGuard(reason.clone())),
                sealed: None,
                warnings: vec![reason],
                lock: None,
            };
        }
    };
    let mut warnings = Vec::new();
    let twins = open_twins(&directory.join("twins"), &settings.twins, &mut warnings);
    let feedback = open_log("feedback log", &directory.join("feedback.log"), &mut warnings);
    let audit = open_log("audit log", &directory.join("audit.log"), &mut warnings);
    let inbox = open_log("inbox", &directory.join("inbox.log"), &mut warnings);
    let replay = open_replay(&directory.join("tokens"), &mut warnings);
    Stores {
        twins,
        feedback,
        audit,
        inbox,
        replay,
        sealed: None,
        warnings,
        lock: Some(lock),
    }
}

fn open_twins(directory: &Path, settings: &SledSettings, warnings: &mut Vec<String>) -> Arc<dyn TwinStore> {
    match sled::open(directory, settings) {
        OpenedTwins::Ready(store) => Arc::new(store),
        OpenedTwins::Renewed { store, aside, reason } => {
            let warning = format!(
                "the twin store was broken ({reason}); it is kept as {}, an empty one is in use, and twins are rebuilt \
                 from the record",
                aside.display()
            );
            tracing::error!("{warning}");
            warnings.push(warning);
            Arc::new(store)
        }
        OpenedTwins::Impossible { reason } => {
            let warning = format!("the twin store cannot be opened ({reason}); twins are kept in memory");
            tracing::warn!("{warning}");
            warnings.push(warning.clone());
            in_memory(warning)
        }
    }
}

fn open_log<R>(name: &'static str, path: &Path, warnings: &mut Vec<String>) -> Arc<dyn Log<R>>
where
    R: Serialize + DeserializeOwned + 'static,
{
    match Journal::open(name, path) {
        Ok((journal, found)) => {
            if found.torn > 0 {
                warnings.push(format!(
                    "{} bytes of an unfinished record of the {name} were cut off",
                    found.torn
                ));
            }
            if found.account.damaged > 0 || found.account.missing > 0 {
                warnings.push(format!(
                    "the {name} holds {} damaged lines and lacks {} records",
                    found.account.damaged, found.account.missing
                ));
            }
            Arc::new(journal)
        }
        Err(error) => {
            let reason = format!("{} cannot be opened: {error}", path.display());
            tracing::error!("{reason}; what should be written there is refused");
            warnings.push(reason.clone());
            Arc::new(ClosedLog::new(reason))
        }
    }
}

fn open_replay(path: &Path, warnings: &mut Vec<String>) -> Arc<dyn ReplayGuard> {
    match FileGuard::open(path) {
        Ok(guard) => Arc::new(guard),
        Err(error) => {
            let reason = format!("{} cannot be used: {error}", path.display());
            tracing::error!("{reason}; callers with tokens are refused");
            warnings.push(reason.clone());
            Arc::new(ClosedGuard(reason))
        }
    }
}

fn in_memory(reason: String) -> Arc<dyn TwinStore> {
    Arc::new(MemoryStore::in_place_of_disk(reason).limited_to(TWINS_IN_MEMORY))
}

fn lock(directory: &Path) -> io::Result<File> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt as _;
        // Payloads describe patients: nobody else on the machine reads them.
        builder.mode(0o700);
    }
    builder.create(directory)?;
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .open(directory.join("lock"))?;
    let begun = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if begun.elapsed() < LOCK_PATIENCE => thread::sleep(LOCK_PAUSE),
            Err(TryLockError::WouldBlock) => {
                let advice = "another process is using it; give each its own directory";
                return Err(io::Error::new(io::ErrorKind::ResourceBusy, advice));
            }
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::store::{LogError, contract};

    fn at(directory: &Path) -> StoreSettings {
        StoreSettings {
            directory: Some(directory.to_owned()),
            twins: SledSettings {
                cache_mib: 8,
                flush_ms: 500,
            },
            key: Vec::new(),
            postgres: None,
        }
    }

    #[test]
    fn a_fresh_directory_and_a_restart() {
        let home = tempfile::tempdir().unwrap();
        let place = home.path().join("deep/data");
        let stores = open(&at(&place)).unwrap();
        assert_eq!(
            (stores.warnings.len(), stores.twins.trouble(), stores.feedback.trouble()),
            (0, None, None)
        );
        contract::contract(stores.twins.as_ref());
        stores.feedback.append(&contract::record(1)).unwrap();
        drop(stores);
        let stores = open(&at(&place)).unwrap();
        assert_eq!(stores.feedback.read_all().unwrap(), [contract::record(1)]);
    }

    #[test]
    fn a_second_server_touches_nothing() {
        let home = tempfile::tempdir().unwrap();
        let first = open(&at(home.path())).unwrap();
        let second = open(&at(home.path())).unwrap();
        assert!(second.twins.trouble().unwrap().contains("another process"));
        assert!(matches!(
            second.feedback.append(&contract::record(1)),
            Err(LogError::Closed(_))
        ));
        second
            .twins
            .put(&crate::store::TwinKey::new("t", "p", "m"), None, b"x")
            .unwrap();
        contract::contract(first.twins.as_ref());
        first.feedback.append(&contract::record(1)).unwrap();
    }

    #[test]
    fn a_broken_database_does_not_take_the_feedback_along() {
        let home = tempfile::tempdir().unwrap();
        open(&at(home.path()))
            .unwrap()
            .feedback
            .append(&contract::record(1))
            .unwrap();
        std::fs::write(home.path().join("twins/conf"), b"certainly no configuration of sled").unwrap();
        let stores = open(&at(home.path())).unwrap();
        assert_eq!(stores.warnings.len(), 1, "{:?}", stores.warnings);
        contract::contract(stores.twins.as_ref());
        assert_eq!(stores.feedback.read_all().unwrap(), [contract::record(1)]);
    }

    #[test]
    fn no_directory_and_an_impossible_one() {
        let stores = open(&StoreSettings::default()).unwrap();
        contract::contract(stores.twins.as_ref());
        stores.feedback.append(&contract::record(1)).unwrap();
        let stores = open(&at(Path::new("/proc/nowhere"))).unwrap();
        assert!(stores.twins.trouble().is_some() && stores.feedback.trouble().is_some());
        assert!(stores.feedback.append(&contract::record(1)).is_err());
    }

    #[test]
    fn sealed_values_are_nowhere_in_clear_and_a_wrong_key_stops_the_start() {
        use base64::{Engine as _, engine::general_purpose::STANDARD};
        let home = tempfile::tempdir().unwrap();
        let secrets = tempfile::tempdir().unwrap();
        let key = |id: &str, byte: u8| {
            let file = secrets.path().join(format!("{id}-{byte}"));
            std::fs::write(&file, STANDARD.encode([byte; 32])).unwrap();
            KeySettings {
                id: id.to_owned(),
                file,
            }
        };
        let with = |keys: Vec<KeySettings>| StoreSettings {
            key: keys,
            ..at(home.path())
        };
        let twin = crate::store::TwinKey::new("north", "patient-canary", "vancomycin");
        let stores = open(&with(vec![key("a", 1)])).unwrap();
        stores.twins.put(&twin, None, b"value-canary").unwrap();
        let mut feedback = contract::record(1);
        feedback.feedback = serde_json::json!({ "comment": "comment-canary" });
        stores.feedback.append(&feedback).unwrap();
        stores.twins.flush().unwrap();
        drop(stores);
        let mut files = vec![home.path().to_owned()];
        let mut read = 0;
        while let Some(path) = files.pop() {
            if path.is_dir() {
                files.extend(std::fs::read_dir(path).unwrap().flatten().map(|entry| entry.path()));
            } else {
                let bytes = std::fs::read(&path).unwrap();
                assert!(
                    !bytes.windows(6).any(|window| window == b"canary"),
                    "{}",
                    path.display()
                );
                read += bytes.len();
            }
        }
        assert!(read > 100);
        for wrong in [vec![], vec![key("b", 2)], vec![key("a", 2)]] {
            assert!(open(&with(wrong)).is_err());
        }
        let stores = open(&with(vec![key("b", 2), key("a", 1)])).unwrap();
        assert_eq!(stores.twins.get(&twin).unwrap().unwrap().payload, b"value-canary");
        drop(stores);
        // The twins break: which keys are needed is known all the same.
        std::fs::write(home.path().join("twins/conf"), b"certainly no configuration of sled").unwrap();
        for wrong in [vec![], vec![key("b", 2)], vec![key("c", 3)]] {
            assert!(open(&with(wrong)).is_err());
        }
        let stores = open(&with(vec![key("b", 2), key("a", 1)])).unwrap();
        assert_eq!(stores.twins.get(&twin), Ok(None));
        assert_eq!(stores.feedback.read_all().unwrap(), [feedback]);
    }
}
