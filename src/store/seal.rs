//! Values sealed at rest: AES-256-GCM-SIV (RFC 8452) with keys from files.
//!
//! GCM-SIV, since nonces are random and a store lives for years: were one to come twice, only the equality of two values would show.
//! Associated data are kind, tenant and key of the record, so that a value that was moved is refused.
//!
//! The first key seals, the others only open: to rotate, put the new key first, `jumeau store reseal`, take the old one away. The store
//! itself remembers which keys it needs ([`ring`]), so that a server without one of them does not start instead of taking all for lost.

use std::{path::PathBuf, sync::Arc};

use aws_lc_rs::{
    aead::{AES_256_GCM_SIV, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    rand,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Deserialize;
use zeroize::Zeroizing;

pub mod index;
pub mod log;
pub mod ring;
pub mod twins;

/// Before each sealed value; the digit is the version of its form.
const MARK: &[u8; 2] = b"S1";
/// Bytes of a key.
const KEY: usize = 32;
/// Longest name of a key.
const LONGEST_NAME: usize = 100;
/// By how much a value grows at most: mark, length and name of the key, nonce, tag.
const OVERHEAD: usize = MARK.len() + 1 + LONGEST_NAME + NONCE_LEN + 16;

/// One `[[store.key]]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeySettings {
    /// Its name, such as `2026-01`: written beside each value. Never to be given to another key.
    pub id: String,
    /// File with 32 random bytes in base64: `openssl rand -base64 32`.
    pub file: PathBuf,
}

/// A key with its name.
struct Key {
    id: String,
    key: LessSafeKey,
}

/// The keys: the first seals, all open.
#[derive(Clone)]
pub struct Keys(Arc<[Key]>);

impl std::fmt::Debug for Keys {
    /// Without the keys.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.iter().map(|key| &key.id)).finish()
    }
}

/// Why a value cannot be opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unopened {
    /// It was never sealed.
    #[error("it is not sealed")]
    Plain,
    /// The key that it was sealed with is not configured.
    #[error("its key {0:?} is not among [[store.key]]")]
    Unknown(String),
    /// It was changed or moved, or the key of that name is another.
    #[error("it was changed or moved, or sealed with another key")]
    Changed,
}

/// A value, opened.
pub struct Opened {
    /// The value.
    pub value: Vec<u8>,
    /// Whether the key that seals now sealed it.
    pub current: bool,
}

impl Keys {
    /// Reads the keys; `None` when none are configured.
    ///
    /// # Errors
    /// In words for the operator; never with a part of a key.
    pub fn read(settings: &[KeySettings]) -> Result<Option<Self>, String> {
        let mut keys: Vec<Key> = Vec::new();
        for KeySettings { id, file } in settings {
            let name = file.display();
            if id.is_empty() || id.len() > LONGEST_NAME || keys.iter().any(|key| key.id == *id) {
                return Err(format!(
                    "store.key {id:?}: each key needs a name of its own, up to 100 bytes"
                ));
            }
            let text = std::fs::read_to_string(file).map(Zeroizing::new);
            let text = text.map_err(|e| format!("store.key {id:?}: {name}: {e}"))?;
            let bytes = STANDARD.decode(text.trim().as_bytes()).map(Zeroizing::new).ok();
            let key = bytes
                .filter(|bytes| bytes.len() == KEY)
                .and_then(|bytes| UnboundKey::new(&AES_256_GCM_SIV, &bytes).ok());
            let key = key.ok_or_else(|| {
                format!("store.key {id:?}: {name} must hold 32 random bytes in base64; make one with: openssl rand -base64 32 > FILE")
            })?;
            keys.push(Key {
                id: id.clone(),
                key: LessSafeKey::new(key),
            });
        }
        Ok((!keys.is_empty()).then(|| Self(keys.into())))
    }

    /// Names, the one that seals first.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|key| key.id.as_str())
    }

    /// Seals a value for a place.
    ///
    /// # Errors
    /// When the system has no random numbers, or there is no key.
    pub fn seal(&self, place: &[u8], value: &[u8]) -> Result<Vec<u8>, String> {
        self.seal_with(self.0.first(), place, value)
    }

    fn seal_with(&self, key: Option<&Key>, place: &[u8], value: &[u8]) -> Result<Vec<u8>, String> {
        let key = key.ok_or("there is no key")?;
        let mut nonce = [0; NONCE_LEN];
        rand::fill(&mut nonce).map_err(|_| "the system has no random numbers")?;
        let length = u8::try_from(key.id.len()).map_err(|_| "the key's name is too long")?;
        let mut out = Vec::with_capacity(MARK.len() + 1 + key.id.len() + NONCE_LEN + value.len() + 16);
        out.extend_from_slice(MARK);
        out.push(length);
        out.extend_from_slice(key.id.as_bytes());
        out.extend_from_slice(&nonce);
        let mut value = value.to_vec();
        let sealed =
            key.key
                .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(place), &mut value);
        sealed.map_err(|_| "a value could not be sealed")?;
        out.extend_from_slice(&value);
        Ok(out)
    }

    /// Opens a value that was sealed for that place.
    ///
    /// # Errors
    /// [`Unopened`].
    pub fn open(&self, place: &[u8], sealed: &[u8]) -> Result<Opened, Unopened> {
        let rest = sealed.strip_prefix(MARK).ok_or(Unopened::Plain)?;
        let (length, rest) = rest.split_first().ok_or(Unopened::Changed)?;
        let (id, rest) = rest.split_at_checked(usize::from(*length)).ok_or(Unopened::Changed)?;
        let (nonce, rest) = rest.split_first_chunk::<NONCE_LEN>().ok_or(Unopened::Changed)?;
        let found = self.0.iter().position(|key| key.id.as_bytes() == id);
        let unknown = || Unopened::Unknown(String::from_utf8_lossy(id).into_owned());
        let at = found.ok_or_else(unknown)?;
        let key = self.0.get(at).ok_or_else(unknown)?;
        let mut value = rest.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let opened = key.key.open_in_place(nonce, Aad::from(place), &mut value);
        let length = opened.map_err(|_| Unopened::Changed)?.len();
        value.truncate(length);
        Ok(Opened {
            value,
            current: at == 0,
        })
    }
}

/// Associated data of a record: parts that cannot run into each other.
#[must_use]
pub fn place(kind: &str, parts: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::new();
    for part in [kind.as_bytes()].iter().chain(parts) {
        out.extend_from_slice(&(part.len() as u64).to_be_bytes());
        out.extend_from_slice(part);
    }
    out
}

#[cfg(test)]
pub mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

    use super::*;

    /// Keys that are the same for the same names.
    pub fn keys(names: &[&str]) -> Keys {
        let folder = tempfile::tempdir().unwrap();
        let settings: Vec<KeySettings> = names
            .iter()
            .map(|name| {
                let file = folder.path().join(name);
                let byte = name
                    .bytes()
                    .fold(1u8, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte));
                std::fs::write(&file, STANDARD.encode([byte; KEY])).unwrap();
                KeySettings {
                    id: (*name).to_owned(),
                    file,
                }
            })
            .collect();
        Keys::read(&settings).unwrap().unwrap()
    }

    #[test]
    fn a_value_opens_at_its_place_with_its_key_and_unchanged() {
        let ring = keys(&["a"]);
        let sealed = ring.seal(b"here", b"value").unwrap();
        assert!(!sealed.windows(5).any(|window| window == b"value"));
        let opened = ring.open(b"here", &sealed).unwrap();
        assert!(opened.value == b"value" && opened.current);
        assert_eq!(ring.open(b"there", &sealed).err(), Some(Unopened::Changed));
        assert_eq!(ring.open(b"here", b"value").err(), Some(Unopened::Plain));
        assert_eq!(
            keys(&["b"]).open(b"here", &sealed).err(),
            Some(Unopened::Unknown("a".to_owned()))
        );
        for bit in 0..sealed.len() * 8 {
            let mut bytes = sealed.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(ring.open(b"here", &bytes).is_err(), "bit {bit}");
        }
        for end in 0..sealed.len() {
            assert!(ring.open(b"here", &sealed[..end]).is_err(), "cut at {end}");
        }
        assert_ne!(
            sealed,
            ring.seal(b"here", b"value").unwrap(),
            "the same value looks different each time"
        );
    }

    #[test]
    fn with_two_keys_the_first_seals_and_both_open() {
        let old = keys(&["old"]).seal(b"p", b"v").unwrap();
        let both = keys(&["new", "old"]);
        assert!(!both.open(b"p", &old).unwrap().current);
        let new = both.seal(b"p", b"v").unwrap();
        assert!(keys(&["new"]).open(b"p", &new).unwrap().current);
    }

    #[test]
    fn bad_key_files_are_named_and_not_repeated() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key");
        let read = |id: &str, text: &str| {
            std::fs::write(&file, text).unwrap();
            let one = KeySettings {
                id: id.to_owned(),
                file: file.clone(),
            };
            Keys::read(&[one.clone(), one])
        };
        let error = read("k", "c2VjcmV0").unwrap_err();
        assert!(error.contains("openssl rand") && !error.contains("c2VjcmV0"), "{error}");
        assert!(
            read("k", &STANDARD.encode([1; 32]))
                .unwrap_err()
                .contains("name of its own")
        );
        assert!(Keys::read(&[]).unwrap().is_none());
    }
}
