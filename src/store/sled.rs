//! Twins on disk, in sled 0.34.
//!
//! One tree for all twins, with a prefix before each key: many trees make this database large. It is lazy by design:
//! the background flush comes every half second, so a killed process may lose the last twins, which are then rebuilt
//! from the record.
//!
//! A damaged database makes sled fail in three ways (an error, a panic, records that are silently absent). [`open`]
//! turns the first two into the third: the directory is moved aside and an empty one is begun.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use serde::Deserialize;

use super::{MAX_PAYLOAD, PutError, Revision, StoreError, Stored, TwinKey, TwinStore, envelope};

/// Before each key of a twin; other kinds of records may come under other letters.
const PREFIX: u8 = b't';

/// How often a record is looked at again after it was used, see [`SledStore::settle`].
const LOOKS: usize = 64;

/// How long to wait for a lock that somebody is about to give back, and between two tries.
const LOCK_PATIENCE: Duration = Duration::from_secs(1);
const LOCK_PAUSE: Duration = Duration::from_millis(20);

/// How the database is run.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SledSettings {
    /// Memory for pages, MiB. Default 16, some 600 twins: the system keeps the file in memory as well.
    pub cache_mib: u64,
    /// Milliseconds between flushes. Default 500.
    pub flush_ms: u64,
}

impl Default for SledSettings {
    fn default() -> Self {
        Self {
            cache_mib: 16,
            flush_ms: 500,
        }
    }
}

/// Twins in a sled database.
#[derive(Debug)]
pub struct SledStore {
    db: ::sled::Db,
    failed: AtomicBool,
}

/// How [`open`] ended.
#[derive(Debug)]
pub enum OpenedTwins {
    /// The database is open.
    Ready(SledStore),
    /// It was broken, is kept under `aside`, and an empty one is open.
    Renewed {
        /// The new, empty store.
        store: SledStore,
        /// Where the broken one lies.
        aside: PathBuf,
        /// What was wrong with it.
        reason: String,
    },
    /// Nothing can be opened there now (disk full, read-only, no permission, in use). The database was left as it is.
    Impossible {
        /// What stands in the way.
        reason: String,
    },
}

/// Opens the database in `directory`, whatever state it is in. Never panics, never fails for good.
///
/// The caller must know that no other process uses the directory, see [`open`](super::open).
#[must_use]
pub fn open(directory: &Path, settings: &SledSettings) -> OpenedTwins {
    open_with(directory, settings, &::sled::Config::open)
}

/// As [`open`], with the function that opens; tests put one in its place that panics.
fn open_with(directory: &Path, settings: &SledSettings, opener: &Opener) -> OpenedTwins {
    let reason = match SledStore::try_open(directory, settings, opener) {
        Ok(store) => return OpenedTwins::Ready(store),
        Err(OpenFailure { broken: false, reason }) => return OpenedTwins::Impossible { reason },
        Err(OpenFailure { broken: true, reason }) => reason,
    };
    let aside = match move_aside(directory) {
        Ok(aside) => aside,
        Err(error) => {
            return OpenedTwins::Impossible {
                reason: format!("{reason}; and it cannot be moved aside: {error}"),
            };
        }
    };
    match SledStore::try_open(directory, settings, opener) {
        Ok(store) => OpenedTwins::Renewed { store, aside, reason },
        Err(second) => OpenedTwins::Impossible {
            reason: format!("{reason}; and an empty one cannot be begun: {}", second.reason),
        },
    }
}

type Opener = dyn Fn(&::sled::Config) -> Result<::sled::Db, ::sled::Error>;

struct OpenFailure {
    /// Whether the database itself is at fault, and not the place where it lies.
    broken: bool,
    reason: String,
}

impl SledStore {
    fn try_open(directory: &Path, settings: &SledSettings, opener: &Opener) -> Result<Self, OpenFailure> {
        drop_half_snapshots(directory);
        let config = ::sled::Config::new()
            .path(directory)
            .cache_capacity(settings.cache_mib.clamp(1, 65_536).saturating_mul(1024 * 1024))
            .flush_every_ms(Some(settings.flush_ms.clamp(10, 60_000)));
        // sled's threads hold its lock for a moment after the database was dropped, for example by a server that stops
        // while this one starts.
        let begun = Instant::now();
        let opened = loop {
            match catch_unwind(AssertUnwindSafe(|| opener(&config))) {
                Ok(Err(error)) if is_lock(&error) && begun.elapsed() < LOCK_PATIENCE => thread::sleep(LOCK_PAUSE),
                opened => break opened,
            }
        };
        match opened {
            Ok(Ok(db)) => Ok(Self {
                db,
                failed: AtomicBool::new(false),
            }),
            Ok(Err(error)) => Err(OpenFailure {
                broken: !is_of_the_place(&error) && !is_lock(&error),
                reason: error.to_string(),
            }),
            Err(panic) => Err(OpenFailure {
                broken: true,
                reason: panic_text(panic.as_ref()),
            }),
        }
    }

    /// Runs an operation of sled, whose internal assertions may fail on a damaged file even after it was opened.
    fn guarded<T>(&self, operation: impl FnOnce() -> Result<T, ::sled::Error>) -> Result<T, StoreError> {
        let reason = match catch_unwind(AssertUnwindSafe(operation)) {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(error)) => error.to_string(),
            Err(panic) => panic_text(panic.as_ref()),
        };
        if !self.failed.swap(true, Ordering::Relaxed) {
            tracing::error!(reason, "the twin store failed; twins are rebuilt from the record");
        }
        Err(StoreError::Broken(reason))
    }

    /// Makes sled keep to its cache. It only drops pages from memory when a queue of 64 accesses is full, of which it has 256, so that
    /// thousands of pages the size of a twin stay in memory whatever the cache is. Looking at the record until its queue is full
    /// costs some tens of microseconds: its page is in memory, and nothing is copied.
    fn settle(&self, key: &TwinKey) {
        let stored = stored_key(key);
        // Trouble is for the operation itself to find.
        let _ = self.guarded(|| (0..LOOKS).try_for_each(|_| self.db.get(stored).map(drop)));
    }

    fn read(&self, key: &TwinKey) -> Result<(Option<::sled::IVec>, Option<Stored>), StoreError> {
        let raw = self.guarded(|| self.db.get(stored_key(key)))?;
        let stored = raw
            .as_ref()
            .and_then(|bytes| match envelope::open(&key.digest(), bytes) {
                Ok((_, stored)) => Some(stored),
                Err(damage) => {
                    tracing::warn!(?key, %damage, "a stored twin is not used and will be rebuilt");
                    None
                }
            });
        Ok((raw, stored))
    }
}

impl TwinStore for SledStore {
    fn get(&self, key: &TwinKey) -> Result<Option<Stored>, StoreError> {
        let stored = self.read(key)?.1;
        if stored.is_some() {
            self.settle(key);
        }
        Ok(stored)
    }

    fn put(&self, key: &TwinKey, expected: Option<Revision>, payload: &[u8]) -> Result<Revision, PutError> {
        if payload.len() > MAX_PAYLOAD {
            return Err(StoreError::TooLarge(payload.len()).into());
        }
        loop {
            let (raw, stored) = self.read(key)?;
            let current = stored.map(|stored| stored.revision);
            if current != expected {
                return Err(PutError::Conflict(current));
            }
            let revision = Revision(self.guarded(|| self.db.generate_id())?);
            let sealed = envelope::seal(key, revision, payload);
            // Compared as raw bytes: a damaged record is replaced only if it is still the same damaged record.
            let swapped = self.guarded(|| self.db.compare_and_swap(stored_key(key), raw, Some(sealed)))?;
            if swapped.is_ok() {
                self.settle(key);
                return Ok(revision);
            }
            // Somebody wrote in between; the next round finds out whether that is a conflict.
        }
    }

    fn remove(&self, key: &TwinKey) -> Result<bool, StoreError> {
        Ok(self.guarded(|| self.db.remove(stored_key(key)))?.is_some())
    }

    fn for_each(&self, show: &mut dyn FnMut(TwinKey, Stored)) -> Result<(), StoreError> {
        let mut records = self.db.scan_prefix([PREFIX]);
        while let Some((key, bytes)) = self.guarded(|| records.next().transpose())? {
            let digest = key.get(1..).and_then(|digest| <[u8; 32]>::try_from(digest).ok());
            // Damaged records are passed over, as by `get`.
            if let Some((key, stored)) = digest.and_then(|digest| envelope::open(&digest, &bytes).ok()) {
                show(key, stored);
            }
        }
        Ok(())
    }

    fn len(&self) -> Result<usize, StoreError> {
        self.guarded(|| {
            self.db
                .scan_prefix([PREFIX])
                .keys()
                .try_fold(0_usize, |count, key| key.map(|_| count.saturating_add(1)))
        })
    }

    fn flush(&self) -> Result<(), StoreError> {
        self.guarded(|| self.db.flush()).map(drop)
    }

    fn trouble(&self) -> Option<String> {
        self.failed
            .load(Ordering::Relaxed)
            .then(|| "the twin store failed; see the log".to_owned())
    }
}

fn stored_key(key: &TwinKey) -> [u8; 33] {
    let mut out = [PREFIX; 33];
    if let Some(digest) = out.last_chunk_mut::<32>() {
        *digest = key.digest();
    }
    out
}

/// A snapshot whose writing was interrupted is taken by sled 0.34 for a finished one, and the database does not open.
/// The data are in the log itself, so the half snapshot is only in the way.
fn drop_half_snapshots(directory: &Path) {
    let Ok(entries) = directory.read_dir() else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with("snap.") && name.ends_with(".generating") {
            let removed = std::fs::remove_file(entry.path());
            tracing::warn!(
                removed = removed.is_ok(),
                "the twin store holds a half-written snapshot"
            );
        }
    }
}

/// Whether the error is about the place (full, read-only, forbidden, locked): then moving the database away would only
/// lose it, since a new one could not be written there either.
fn is_of_the_place(error: &::sled::Error) -> bool {
    use io::ErrorKind;
    match error {
        ::sled::Error::Io(error) => {
            matches!(
                error.kind(),
                ErrorKind::StorageFull
                    | ErrorKind::QuotaExceeded
                    | ErrorKind::ReadOnlyFilesystem
                    | ErrorKind::PermissionDenied
                    | ErrorKind::WouldBlock
                    | ErrorKind::ResourceBusy
                    | ErrorKind::OutOfMemory
            )
        }
        _ => false,
    }
}

fn is_lock(error: &::sled::Error) -> bool {
    // There is no kind for it.
    matches!(error, ::sled::Error::Io(error) if error.to_string().contains("could not acquire lock"))
}

fn move_aside(directory: &Path) -> io::Result<PathBuf> {
    let name = directory
        .file_name()
        .map_or_else(|| "twins".into(), |name| name.to_string_lossy().into_owned());
    let stamp = Timestamp::now().strftime("%Y%m%dT%H%M%SZ").to_string();
    for count in 0..100_u32 {
        let suffix = if count == 0 { String::new() } else { format!("-{count}") };
        let aside = directory.with_file_name(format!("{name}.broken-{stamp}{suffix}"));
        if !aside.exists() {
            std::fs::rename(directory, &aside)?;
            return Ok(aside);
        }
    }
    Err(io::Error::new(
        io::ErrorKind::AlreadyExists,
        "a hundred broken stores of this second lie there already",
    ))
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("no message");
    format!("the database panicked: {text}")
}

#[cfg(test)]
mod tests;
