//! What is kept between calls: twins (a cache that can be rebuilt from the record), and feedback, the audit log, messages of other
//! systems and the ids of tokens that were used (which cannot).
//!
//! They have different promises and therefore different files. A twin that is lost costs one more reading of the
//! record, so twins live in an embedded database that is flushed from time to time and is set aside when it breaks.
//! Feedback that was acknowledged may not be lost, so it lives in an append-only file that is synced before the answer;
//! so do the audit log, messages and the ids of tokens.
//!
//! Payloads are bytes: nothing here knows HTTP, FHIR or the engine. All methods block; callers on an async runtime go
//! through `spawn_blocking`.

pub mod audit;
pub mod envelope;
pub mod inbox;
pub mod journal;
pub mod memory;
pub mod open;
pub mod postgres;
pub mod replay;
pub mod seal;
pub mod sled;

#[cfg(test)]
mod contract;

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// Largest payload of one twin, bytes. A twin is some tens of kilobytes; more is a fault of the caller.
pub const MAX_PAYLOAD: usize = 4 * 1024 * 1024;

/// Whose twin, and of which model: tenant, and a digest of tenant, patient and model.
///
/// The patient id is not in it, and so not on disk. The digest is no secret either: somebody who holds the file and knows the tenant can
/// try ids one by one. `Debug` shows a short hash, so that a key may be logged.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TwinKey {
    tenant: String,
    digest: [u8; 32],
}

impl TwinKey {
    /// A key; the three parts may hold any characters and never run into each other.
    pub fn new(tenant: impl Into<String>, patient: impl AsRef<str>, model: impl AsRef<str>) -> Self {
        let tenant = tenant.into();
        let mut hash = Sha256::new();
        hash.update(b"twin-key-1");
        for part in [&tenant, patient.as_ref(), model.as_ref()] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part.as_bytes());
        }
        let digest = hash.finalize().into();
        Self { tenant, digest }
    }

    /// A key as it is found in a store.
    #[must_use]
    pub fn stored(tenant: String, digest: [u8; 32]) -> Self {
        Self { tenant, digest }
    }

    /// Whose patient it is.
    #[must_use]
    pub fn tenant(&self) -> &str {
        &self.tenant
    }

    /// SHA-256 of the three parts, each preceded by its length.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        self.digest
    }
}

impl fmt::Debug for TwinKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TwinKey(")?;
        for byte in self.digest().iter().take(4) {
            write!(f, "{byte:02x}")?;
        }
        f.write_str("…)")
    }
}

/// Names one stored state of one twin. Never given twice by a store, also not after a removal, so that a writer who
/// holds an old one cannot overwrite a newer state by chance. Compare for equality only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Revision(u64);

/// What the store holds under a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// To be given back to [`TwinStore::put`].
    pub revision: Revision,
    /// The bytes as they were put; their format and its version are the caller's affair.
    pub payload: Vec<u8>,
}

/// Why the store could not do what was asked. Twins are a cache: a caller goes on without it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Reading or writing failed, or the database found itself corrupt.
    #[error("the twin store failed: {0}; twins are rebuilt from the record until it is repaired")]
    Broken(String),
    /// The payload is larger than [`MAX_PAYLOAD`].
    #[error("a twin of {0} bytes is larger than the store takes ({MAX_PAYLOAD} bytes)")]
    TooLarge(usize),
}

/// Why a put was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PutError {
    /// Somebody else wrote first. Read again, apply the change to what is there, put again.
    #[error("the twin was changed by another call (now {0:?}); read it again, then put")]
    Conflict(Option<Revision>),
    /// See [`StoreError`].
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Twins by key, with compare-and-set.
pub trait TwinStore: Send + Sync {
    /// The newest state, or `None` when there is none or it cannot be trusted (damaged, or of an unknown format).
    ///
    /// # Errors
    /// [`StoreError::Broken`] when the medium fails.
    fn get(&self, key: &TwinKey) -> Result<Option<Stored>, StoreError>;

    /// Largest payload that it takes, bytes.
    fn largest(&self) -> usize {
        MAX_PAYLOAD
    }

    /// Writes `payload` if the state is still `expected`; `None` expects that there is none (or a damaged one).
    ///
    /// Visible to every later `get` of this process at once; on disk soon, see [`TwinStore::flush`].
    ///
    /// # Errors
    /// [`PutError::Conflict`] with the revision found, when it is another one.
    fn put(&self, key: &TwinKey, expected: Option<Revision>, payload: &[u8]) -> Result<Revision, PutError>;

    /// Forgets a twin; whether there was a record.
    ///
    /// # Errors
    /// [`StoreError::Broken`] when the medium fails.
    fn remove(&self, key: &TwinKey) -> Result<bool, StoreError>;

    /// Shows every whole record, in no order, without holding them all in memory. What is written meanwhile may be missed.
    ///
    /// # Errors
    /// [`StoreError::Broken`] when the medium fails.
    fn for_each(&self, show: &mut dyn FnMut(TwinKey, Stored)) -> Result<(), StoreError>;

    /// Number of records, damaged ones included. Walks over all of them: for metrics, not for calls.
    ///
    /// # Errors
    /// [`StoreError::Broken`] when the medium fails.
    fn len(&self) -> Result<usize, StoreError>;

    /// Whether there is no record at all.
    ///
    /// # Errors
    /// [`StoreError::Broken`] when the medium fails.
    fn is_empty(&self) -> Result<bool, StoreError> {
        Ok(self.len()? == 0)
    }

    /// Hands all that was put to the operating system; for an orderly stop. Survives the end of the process, not
    /// surely a loss of power: do not promise more to anybody.
    ///
    /// # Errors
    /// [`StoreError::Broken`] when the medium fails.
    fn flush(&self) -> Result<(), StoreError>;

    /// What is wrong, for a readiness probe; `None` while the store works as it was configured.
    fn trouble(&self) -> Option<String>;
}

/// One feedback as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FeedbackRecord {
    /// When the server took it in.
    pub received: Timestamp,
    /// Who sent it.
    pub tenant: String,
    /// Id of the service whose card it is about.
    pub service: String,
    /// The feedback itself, checked by the caller.
    pub feedback: serde_json::Value,
}

/// Why a record was not kept. The sender must not be told that it was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LogError {
    /// The file could not be written; nothing of the batch is kept, and a later try may succeed (disk full).
    #[error("the record was not written: {0}; free space or repair the disk, then send it again")]
    Write(String),
    /// The disk refused to say that data are safe. What it holds is unknown, hence nothing more is written.
    #[error("records are refused since a sync failed ({0}): check the disk, then restart the server")]
    Poisoned(String),
    /// There is no log to write to.
    #[error("records are refused, the log is not open: {0}")]
    Closed(String),
    /// A record above the limit.
    #[error("a record of {size} bytes is larger than the log takes ({limit} bytes)")]
    TooLarge {
        /// Of the record as JSON, bytes.
        size: usize,
        /// What is accepted, bytes.
        limit: usize,
    },
    /// The file could not be read.
    #[error("the log could not be read: {0}")]
    Read(String),
}

/// What a reading of the whole log found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Account {
    /// Records that are there and whole.
    pub whole: u64,
    /// Lines whose checksum is wrong; they stay in the file for a human to look at.
    pub damaged: u64,
    /// Records that the numbering says were there and are not.
    pub missing: u64,
}

/// Records, kept for good: feedback, and who did what.
pub trait Log<R>: Send + Sync {
    /// Keeps one record: on the disk itself before this returns.
    ///
    /// # Errors
    /// See [`LogError`]; the record is then not kept.
    fn append(&self, record: &R) -> Result<(), LogError> {
        self.append_all(std::slice::from_ref(record))
    }

    /// Keeps all the records of one message at the price of one sync.
    ///
    /// # Errors
    /// See [`LogError`]; none of the records is then kept.
    fn append_all(&self, records: &[R]) -> Result<(), LogError>;

    /// Shows every whole record, oldest first, without holding them all in memory.
    ///
    /// # Errors
    /// [`LogError::Read`]; damaged records are no error but counted.
    fn for_each(&self, show: &mut dyn FnMut(R)) -> Result<Account, LogError>;

    /// All whole records, oldest first.
    ///
    /// # Errors
    /// As [`Log::for_each`].
    fn read_all(&self) -> Result<Vec<R>, LogError> {
        let mut all = Vec::new();
        self.for_each(&mut |record| all.push(record))?;
        Ok(all)
    }

    /// Puts other records in the place of all that there are; nothing else may write meanwhile. Gives how many there are. Afterwards
    /// none of the old ones is left in the files of the log.
    ///
    /// # Errors
    /// See [`LogError`]; the log is then as before. A log with damaged records is not rewritten: they would be lost.
    fn rewrite(&self, change: &mut dyn FnMut(R) -> Result<R, LogError>) -> Result<u64, LogError>;

    /// What is wrong, for a readiness probe; `None` while the log keeps what it is given.
    fn trouble(&self) -> Option<String>;
}

/// Feedback, kept for good.
pub type FeedbackLog = dyn Log<FeedbackRecord>;
/// Who did what, kept for good.
pub type AuditLog = dyn Log<audit::AuditRecord>;
/// Messages of other systems.
pub type InboxLog = dyn Log<inbox::InboxRecord>;
