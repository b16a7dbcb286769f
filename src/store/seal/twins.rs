//! Twins, sealed, in whatever store.

use std::sync::Arc;

use super::{Keys, Opened, place, ring};
use crate::store::{PutError, Revision, StoreError, Stored, TwinKey, TwinStore};

/// A store of twins whose payloads are sealed before they are put into another.
pub struct SealedTwins {
    inner: Arc<dyn TwinStore>,
    keys: Keys,
}

impl SealedTwins {
    /// Over a store.
    #[must_use]
    pub fn new(inner: Arc<dyn TwinStore>, keys: Keys) -> Self {
        Self { inner, keys }
    }

    /// What cannot be opened counts as absent: the twin is rebuilt from the record.
    fn open(&self, key: &TwinKey, stored: Stored) -> Option<(Stored, bool)> {
        match self.keys.open(&at(key), &stored.payload) {
            Ok(Opened { value, current }) => Some((
                Stored {
                    revision: stored.revision,
                    payload: value,
                },
                current,
            )),
            Err(why) => {
                tracing::warn!(?key, %why, "a sealed twin is not used and will be rebuilt");
                None
            }
        }
    }

    /// Seals anew, with the key that seals now, what another key sealed. What cannot be opened is forgotten. Gives how many were sealed
    /// anew, were forgotten, and were left alone.
    ///
    /// # Errors
    /// When the store fails.
    pub fn reseal(&self, progress: &mut dyn FnMut()) -> Result<[usize; 3], PutError> {
        let mut old = Vec::new();
        let mut left = 0;
        self.inner.for_each(&mut |key, stored| {
            if key == ring::key() {
                return;
            }
            progress();
            match self.keys.open(&at(&key), &stored.payload) {
                Ok(Opened { current: true, .. }) => left += 1,
                opened => old.push((key, stored.revision, opened.ok().map(|opened| opened.value))),
            }
        })?;
        let (mut sealed, mut forgotten) = (0, 0);
        for (key, revision, value) in old {
            match value {
                Some(value) => match self.inner.put(&key, Some(revision), &self.seal(&key, &value)?) {
                    // Whoever wrote meanwhile sealed with the same key.
                    Ok(_) | Err(PutError::Conflict(_)) => sealed += 1,
                    Err(error) => return Err(error),
                },
                None => {
                    self.inner.remove(&key)?;
                    forgotten += 1;
                }
            }
        }
        Ok([sealed, forgotten, left])
    }

    fn seal(&self, key: &TwinKey, value: &[u8]) -> Result<Vec<u8>, StoreError> {
        self.keys.seal(&at(key), value).map_err(StoreError::Broken)
    }
}

/// Associated data of a twin.
fn at(key: &TwinKey) -> Vec<u8> {
    place("twin 1", &[key.tenant().as_bytes(), &key.digest()])
}

impl TwinStore for SealedTwins {
    fn get(&self, key: &TwinKey) -> Result<Option<Stored>, StoreError> {
        let Some((stored, current)) = self.inner.get(key)?.and_then(|stored| self.open(key, stored)) else {
            return Ok(None);
        };
        if current {
            return Ok(Some(stored));
        }
        // Of an older key: sealed anew on the way, unless somebody else writes at this moment.
        match self
            .inner
            .put(key, Some(stored.revision), &self.seal(key, &stored.payload)?)
        {
            Ok(revision) => Ok(Some(Stored { revision, ..stored })),
            Err(_) => Ok(Some(stored)),
        }
    }

    fn put(&self, key: &TwinKey, expected: Option<Revision>, payload: &[u8]) -> Result<Revision, PutError> {
        if payload.len() > self.largest() {
            return Err(StoreError::TooLarge(payload.len()).into());
        }
        let sealed = self.seal(key, payload)?;
        match (self.inner.put(key, expected, &sealed), expected) {
            // What cannot be opened counts as absent, and may be overwritten by who expects nothing.
            (Err(PutError::Conflict(Some(found))), None) if self.get(key)?.is_none() => {
                self.inner.put(key, Some(found), &sealed)
            }
            (result, _) => result,
        }
    }

    fn largest(&self) -> usize {
        self.inner.largest().saturating_sub(super::OVERHEAD)
    }

    fn remove(&self, key: &TwinKey) -> Result<bool, StoreError> {
        self.inner.remove(key)
    }

    fn for_each(&self, show: &mut dyn FnMut(TwinKey, Stored)) -> Result<(), StoreError> {
        self.inner.for_each(&mut |key, stored| {
            if key == ring::key() {
                return;
            }
            if let Some((stored, _)) = self.open(&key, stored) {
                show(key, stored);
            }
        })
    }

    fn len(&self) -> Result<usize, StoreError> {
        self.inner.len()
    }

    fn flush(&self) -> Result<(), StoreError> {
        self.inner.flush()
    }

    fn trouble(&self) -> Option<String> {
        self.inner.trouble()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::{super::tests::keys, *};
    use crate::store::{contract, memory::MemoryStore};

    fn over(inner: &Arc<MemoryStore>, names: &[&str]) -> SealedTwins {
        SealedTwins::new(Arc::clone(inner) as Arc<dyn TwinStore>, keys(names))
    }

    #[test]
    fn keeps_the_contract() {
        let sealed = || over(&Arc::new(MemoryStore::new()), &["a"]);
        contract::contract(&sealed());
        contract::no_lost_update(&sealed());
    }

    #[test]
    fn nothing_is_in_clear_and_nothing_can_be_moved() {
        let inner = Arc::new(MemoryStore::new());
        let store = over(&inner, &["a"]);
        let (one, two) = (TwinKey::new("t", "p1", "m"), TwinKey::new("t", "p2", "m"));
        store.put(&one, None, b"value-canary").unwrap();
        let raw = inner.get(&one).unwrap().unwrap().payload;
        assert!(!raw.windows(6).any(|window| window == b"canary"));
        inner.put(&two, None, &raw).unwrap();
        assert_eq!(store.get(&two).unwrap(), None, "moved to another patient");
        let south = TwinKey::stored("south".to_owned(), one.digest());
        inner.put(&south, None, &raw).unwrap();
        assert_eq!(store.get(&south).unwrap(), None, "moved to another tenant");
        // It counts as absent, so that a new twin can take the place.
        store.put(&two, None, b"new").unwrap();
        assert_eq!(store.get(&two).unwrap().unwrap().payload, b"new");
        // Of before there was a key: not used.
        let plain = TwinKey::new("t", "p3", "m");
        inner.put(&plain, None, b"plain").unwrap();
        assert_eq!(store.get(&plain).unwrap(), None);
    }

    #[test]
    fn keys_are_rotated() {
        let inner = Arc::new(MemoryStore::new());
        let key = |n: u8| TwinKey::new("t", n.to_string(), "m");
        let old = over(&inner, &["old"]);
        for n in 0..5 {
            old.put(&key(n), None, &[n]).unwrap();
        }
        inner.put(&key(9), None, b"plain").unwrap();
        let both = over(&inner, &["new", "old"]);
        assert_eq!(both.get(&key(0)).unwrap().unwrap().payload, [0]);
        assert_eq!(
            over(&inner, &["new"]).get(&key(0)).unwrap().unwrap().payload,
            [0],
            "sealed anew on the way"
        );
        let revision = both.get(&key(0)).unwrap().unwrap().revision;
        both.put(&key(0), Some(revision), &[0]).unwrap();
        assert_eq!(both.reseal(&mut || ()).unwrap(), [4, 1, 1]);
        let new = over(&inner, &["new"]);
        for n in 0..5 {
            assert_eq!(new.get(&key(n)).unwrap().unwrap().payload, [n]);
        }
        assert_eq!(new.len().unwrap(), 5);
    }
}
