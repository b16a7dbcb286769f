//! Twins, sealed, in whatever store.

use std::sync::Arc;

use super::{Keys, OVERHEAD, index::Index, ring};
use crate::store::{PutError, Revision, StoreError, Stored, TwinKey, TwinStore};

/// Bytes of a key's digest, before each payload: a place does not tell whose it is.
const DIGEST: usize = 32;

/// A store of twins whose payloads are sealed before they are put into another, at places that only the key finds.
pub struct SealedTwins {
    inner: Arc<dyn TwinStore>,
    keys: Keys,
    index: Index,
}

/// A twin, opened.
struct Opened {
    key: TwinKey,
    payload: Vec<u8>,
    /// Whether the key that seals now sealed it.
    current: bool,
}

impl SealedTwins {
    /// Over a store.
    #[must_use]
    pub fn new(inner: Arc<dyn TwinStore>, keys: Keys, index: Index) -> Self {
        Self { inner, keys, index }
    }

    fn place(&self, key: &TwinKey) -> Result<TwinKey, StoreError> {
        let place = self.index.place(key);
        place.ok_or_else(|| StoreError::Broken("the place of a twin cannot be computed".to_owned()))
    }

    fn seal(&self, key: &TwinKey, place: &TwinKey, payload: &[u8]) -> Result<Vec<u8>, StoreError> {
        let value = [&key.digest(), payload].concat();
        self.keys.seal(&at(place), &value).map_err(StoreError::Broken)
    }

    /// What cannot be opened counts as absent: the twin is rebuilt from the record.
    fn open(&self, place: &TwinKey, sealed: &[u8]) -> Option<Opened> {
        let opened = self.keys.open(&at(place), sealed);
        let opened =
            opened.map_err(|why| tracing::warn!(key = ?place, %why, "a sealed twin is not used and will be rebuilt"));
        let opened = opened.ok()?;
        let (digest, payload) = opened.value.split_first_chunk::<DIGEST>()?;
        let key = TwinKey::stored(place.tenant().to_owned(), *digest);
        // Of before the key of places was lost: nobody would find it.
        (self.index.place(&key).as_ref() == Some(place)).then(|| Opened {
            key,
            payload: payload.to_vec(),
            current: opened.current,
        })
    }

    /// Seals anew, with the key that seals now, what another key sealed. What cannot be opened is forgotten. Gives how many were sealed
    /// anew, were forgotten, and were left alone. Only places are held in memory.
    ///
    /// # Errors
    /// When the store fails.
    pub fn reseal(&self, progress: &mut dyn FnMut()) -> Result<[usize; 3], PutError> {
        let mut old = Vec::new();
        let (mut sealed, mut forgotten, mut left) = (0, 0, 0);
        self.inner.for_each(&mut |place, stored| {
            if place == ring::key() {
                return;
            }
            match self.open(&place, &stored.payload) {
                Some(Opened { current: true, .. }) => {
                    progress();
                    left += 1;
                }
                _ => old.push(place),
            }
        })?;
        for place in old {
            progress();
            let Some(stored) = self.inner.get(&place)? else {
                continue;
            };
            let Some(opened) = self.open(&place, &stored.payload) else {
                self.inner.remove(&place)?;
                forgotten += 1;
                continue;
            };
            let anew = self.seal(&opened.key, &place, &opened.payload)?;
            match self.inner.put(&place, Some(stored.revision), &anew) {
                // Whoever wrote meanwhile sealed with the same key.
                Ok(_) | Err(PutError::Conflict(_)) => sealed += 1,
                Err(error) => return Err(error),
            }
        }
        Ok([sealed, forgotten, left])
    }
}

/// Associated data of a twin.
fn at(place: &TwinKey) -> Vec<u8> {
    super::place("twin 1", &[place.tenant().as_bytes(), &place.digest()])
}

impl TwinStore for SealedTwins {
    fn get(&self, key: &TwinKey) -> Result<Option<Stored>, StoreError> {
        let place = self.place(key)?;
        let Some(Stored { mut revision, payload }) = self.inner.get(&place)? else {
            return Ok(None);
        };
        let Some(opened) = self.open(&place, &payload).filter(|opened| opened.key == *key) else {
            return Ok(None);
        };
        if !opened.current {
            // Of an older key: sealed anew on the way, unless somebody else writes at this moment.
            let anew = self.seal(key, &place, &opened.payload)?;
            revision = self.inner.put(&place, Some(revision), &anew).unwrap_or(revision);
        }
        Ok(Some(Stored {
            revision,
            payload: opened.payload,
        }))
    }

    fn put(&self, key: &TwinKey, expected: Option<Revision>, payload: &[u8]) -> Result<Revision, PutError> {
        if payload.len() > self.largest() {
            return Err(StoreError::TooLarge(payload.len()).into());
        }
        let place = self.place(key)?;
        let sealed = self.seal(key, &place, payload)?;
        match (self.inner.put(&place, expected, &sealed), expected) {
            // What cannot be opened counts as absent, and may be overwritten by who expects nothing.
            (Err(PutError::Conflict(Some(found))), None) if self.get(key)?.is_none() => {
                self.inner.put(&place, Some(found), &sealed)
            }
            (result, _) => result,
        }
    }

    fn largest(&self) -> usize {
        self.inner.largest().saturating_sub(OVERHEAD + DIGEST)
    }

    fn remove(&self, key: &TwinKey) -> Result<bool, StoreError> {
        self.inner.remove(&self.place(key)?)
    }

    fn for_each(&self, show: &mut dyn FnMut(TwinKey, Stored)) -> Result<(), StoreError> {
        self.inner.for_each(&mut |place, Stored { revision, payload }| {
            if place == ring::key() {
                return;
            }
            if let Some(Opened { key, payload, .. }) = self.open(&place, &payload) {
                show(key, Stored { revision, payload });
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

    fn index() -> Index {
        Index::of(&[7; 32]).unwrap()
    }

    fn place(key: &TwinKey) -> TwinKey {
        index().place(key).unwrap()
    }

    fn over(inner: &Arc<MemoryStore>, names: &[&str]) -> SealedTwins {
        SealedTwins::new(Arc::clone(inner) as Arc<dyn TwinStore>, keys(names), index())
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
        assert_eq!(
            inner.get(&one).unwrap(),
            None,
            "who knows the id does not find the place"
        );
        let raw = inner.get(&place(&one)).unwrap().unwrap().payload;
        assert!(!raw.windows(6).any(|window| window == b"canary"));
        assert!(!raw.windows(32).any(|window| window == one.digest()));
        inner.put(&place(&two), None, &raw).unwrap();
        assert_eq!(store.get(&two).unwrap(), None, "moved to another patient");
        let south = TwinKey::stored("south".to_owned(), one.digest());
        inner.put(&place(&south), None, &raw).unwrap();
        assert_eq!(store.get(&south).unwrap(), None, "moved to another tenant");
        // It counts as absent, so that a new twin can take the place.
        store.put(&two, None, b"new").unwrap();
        assert_eq!(store.get(&two).unwrap().unwrap().payload, b"new");
        // Of before there was a key: not used.
        let plain = TwinKey::new("t", "p3", "m");
        inner.put(&place(&plain), None, b"plain").unwrap();
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

    #[test]
    fn two_that_were_swapped_and_each_changed_byte_are_refused() {
        let inner = Arc::new(MemoryStore::new());
        let store = over(&inner, &["a"]);
        let (one, two) = (TwinKey::new("t", "p1", "m"), TwinKey::new("t", "p2", "m"));
        for key in [&one, &two] {
            store.put(key, None, b"value").unwrap();
        }
        let raw = [&one, &two].map(|key| inner.get(&place(key)).unwrap().unwrap());
        let [first, second] = &raw;
        inner.put(&place(&one), Some(first.revision), &second.payload).unwrap();
        let mut revision = inner.put(&place(&two), Some(second.revision), &first.payload).unwrap();
        assert_eq!((store.get(&one).unwrap(), store.get(&two).unwrap()), (None, None));
        for at in 0..second.payload.len() {
            let mut bytes = second.payload.clone();
            bytes.get_mut(at).into_iter().for_each(|byte| *byte ^= 1);
            revision = inner.put(&place(&two), Some(revision), &bytes).unwrap();
            assert_eq!(store.get(&two).unwrap(), None, "byte {at}");
        }
        inner.put(&place(&two), Some(revision), &second.payload).unwrap();
        assert_eq!(store.get(&two).unwrap().unwrap().payload, b"value");
    }

    #[test]
    fn with_the_key_of_places_lost_nothing_is_found_and_nothing_is_left_for_ever() {
        let inner = Arc::new(MemoryStore::new());
        let key = TwinKey::new("t", "p", "m");
        over(&inner, &["a"]).put(&key, None, b"value").unwrap();
        let other = SealedTwins::new(Arc::clone(&inner) as _, keys(&["a"]), Index::of(&[8; 32]).unwrap());
        assert_eq!(other.get(&key).unwrap(), None);
        assert_eq!(other.reseal(&mut || ()).unwrap(), [0, 1, 0]);
        assert!(other.is_empty().unwrap());
    }
}
