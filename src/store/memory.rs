//! Stores without a disk: for tests, for a server without a data directory, and for one whose disk fails.

use std::{
    collections::HashMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use super::{Account, Log, LogError, MAX_PAYLOAD, PutError, Revision, StoreError, Stored, TwinKey, TwinStore};

/// Twins in memory; gone with the process.
#[derive(Debug, Default)]
pub struct MemoryStore {
    twins: Mutex<HashMap<TwinKey, Stored>>,
    revisions: AtomicU64,
    reason: Option<String>,
    limit: Option<usize>,
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// One that stands in for a store on disk and says so in [`TwinStore::trouble`].
    #[must_use]
    pub fn in_place_of_disk(reason: String) -> Self {
        Self {
            reason: Some(reason),
            ..Self::default()
        }
    }

    /// Keeps at most `twins` of them: when one more comes, one of the others is forgotten. Twins are a cache, and a
    /// server that runs for months without a disk must not grow for months.
    #[must_use]
    pub fn limited_to(mut self, twins: usize) -> Self {
        self.limit = Some(twins.max(1));
        self
    }

    fn twins(&self) -> MutexGuard<'_, HashMap<TwinKey, Stored>> {
        // No code that can panic runs under this lock, and the map is whole after each of its calls.
        self.twins.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl TwinStore for MemoryStore {
    fn get(&self, key: &TwinKey) -> Result<Option<Stored>, StoreError> {
        Ok(self.twins().get(key).cloned())
    }

    fn put(&self, key: &TwinKey, expected: Option<Revision>, payload: &[u8]) -> Result<Revision, PutError> {
        if payload.len() > MAX_PAYLOAD {
            return Err(StoreError::TooLarge(payload.len()).into());
        }
        let mut twins = self.twins();
        let current = twins.get(key).map(|stored| stored.revision);
        if current != expected {
            return Err(PutError::Conflict(current));
        }
        if current.is_none()
            && self.limit.is_some_and(|limit| twins.len() >= limit)
            && let Some(other) = twins.keys().next().cloned()
        {
            twins.remove(&other);
        }
        let revision = Revision(self.revisions.fetch_add(1, Ordering::Relaxed));
        twins.insert(
            key.clone(),
            Stored {
                revision,
                payload: payload.to_vec(),
            },
        );
        Ok(revision)
    }

    fn remove(&self, key: &TwinKey) -> Result<bool, StoreError> {
        Ok(self.twins().remove(key).is_some())
    }

    fn for_each(&self, show: &mut dyn FnMut(TwinKey, Stored)) -> Result<(), StoreError> {
        let all: Vec<(TwinKey, Stored)> = self.twins().iter().map(|(k, s)| (k.clone(), s.clone())).collect();
        all.into_iter().for_each(|(key, stored)| show(key, stored));
        Ok(())
    }

    fn len(&self) -> Result<usize, StoreError> {
        Ok(self.twins().len())
    }

    fn flush(&self) -> Result<(), StoreError> {
        Ok(())
    }

    fn trouble(&self) -> Option<String> {
        self.reason.clone()
    }
}

/// A log in memory; for tests and for a server that was configured without a data directory.
#[derive(Debug)]
pub struct MemoryLog<R> {
    records: Mutex<Vec<R>>,
}

impl<R> Default for MemoryLog<R> {
    fn default() -> Self {
        Self {
            records: Mutex::default(),
        }
    }
}

impl<R> MemoryLog<R> {
    /// An empty log.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl<R: Clone + Send> Log<R> for MemoryLog<R> {
    fn append_all(&self, records: &[R]) -> Result<(), LogError> {
        self.records
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend_from_slice(records);
        Ok(())
    }

    fn for_each(&self, show: &mut dyn FnMut(R)) -> Result<Account, LogError> {
        let records = self.records.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let account = Account {
            whole: records.len() as u64,
            ..Account::default()
        };
        records.into_iter().for_each(show);
        Ok(account)
    }

    fn rewrite(&self, change: &mut dyn FnMut(R) -> Result<R, LogError>) -> Result<u64, LogError> {
        let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        *records = records.iter().cloned().map(change).collect::<Result<_, _>>()?;
        Ok(records.len() as u64)
    }

    fn trouble(&self) -> Option<String> {
        None
    }
}

/// Stands where a log could not be opened: refuses every record, so that nobody is told that it was kept.
#[derive(Debug)]
pub struct ClosedLog {
    reason: String,
}

impl ClosedLog {
    /// With the reason that every refusal gives.
    #[must_use]
    pub fn new(reason: String) -> Self {
        Self { reason }
    }
}

impl<R> Log<R> for ClosedLog {
    fn append_all(&self, _: &[R]) -> Result<(), LogError> {
        Err(LogError::Closed(self.reason.clone()))
    }

    fn for_each(&self, _: &mut dyn FnMut(R)) -> Result<Account, LogError> {
        Err(LogError::Closed(self.reason.clone()))
    }

    fn rewrite(&self, _: &mut dyn FnMut(R) -> Result<R, LogError>) -> Result<u64, LogError> {
        Err(LogError::Closed(self.reason.clone()))
    }

    fn trouble(&self) -> Option<String> {
        Some(self.reason.clone())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::store::{FeedbackLog, contract};

    #[test]
    fn keeps_the_contract() {
        contract::contract(&MemoryStore::new());
        contract::no_lost_update(&MemoryStore::new());
    }

    #[test]
    fn a_limited_store_does_not_grow() {
        let store = MemoryStore::new().limited_to(3);
        for patient in 0..10 {
            store
                .put(&TwinKey::new("t", patient.to_string(), "m"), None, b"x")
                .unwrap();
        }
        assert_eq!(store.len(), Ok(3));
        assert!(
            store.get(&TwinKey::new("t", "9", "m")).unwrap().is_some(),
            "the newest stays"
        );
    }

    #[test]
    fn a_closed_log_never_says_that_it_kept_anything() {
        let log: &FeedbackLog = &ClosedLog::new("no directory".to_owned());
        assert!(matches!(log.append(&contract::record(1)), Err(LogError::Closed(_))));
        assert!(log.trouble().is_some());
    }
}
