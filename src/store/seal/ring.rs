//! Which keys a store needs, as the store itself knows it: beside each name something that only its key opens, and the key of the
//! places of twins, sealed.
//!
//! Without it a server with a wrong key would take all twins for lost and rebuild them, and leave feedback unread. In a data directory it is
//! a file of its own: twins are a cache that is set aside when it breaks, what says how feedback is read must stay.

use std::{fs, io, path::PathBuf, sync::Arc};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{Keys, index::Index, place};
use crate::store::{PutError, Revision, TwinKey, TwinStore, journal::replaced};

/// A writer who lost the race this often gives up.
const TRIES: usize = 8;
/// Where the key of places is sealed for.
const INDEX: &str = "index 1";

#[derive(Debug, Default, Serialize, Deserialize)]
struct Ring {
    keys: Vec<Needed>,
    /// The key of the places of twins, sealed with one of the keys.
    index: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct Needed {
    id: String,
    /// A sealed text of no meaning.
    proof: String,
}

/// Where the ring is kept.
#[derive(Clone)]
pub enum Home {
    /// Among the twins, under no tenant: for stores that several processes share, or that end with the process.
    Store(Arc<dyn TwinStore>),
    /// In a file that no other process uses.
    File(PathBuf),
}

/// Where it is kept among twins.
#[must_use]
pub fn key() -> TwinKey {
    TwinKey::new("", "", "jumeau key ring")
}

fn at(id: &str) -> Vec<u8> {
    place("ring 1", &[id.as_bytes()])
}

impl Home {
    /// Whether the store can be used with these keys; from now on it needs the first of them. Gives where twins lie, if sealed.
    ///
    /// # Errors
    /// In words for the operator: which key is missing or wrong.
    pub fn check(&self, keys: Option<&Keys>) -> Result<Option<Index>, String> {
        for _ in 0..TRIES {
            let (mut ring, revision) = self.read()?;
            let Some(keys) = keys else {
                return match ring.keys.is_empty() {
                    true => Ok(None),
                    false => Err(format!(
                        "the store is sealed with key {}, and no [[store.key]] is configured. Configure it, or begin another store",
                        names(&ring)
                    )),
                };
            };
            ring.keys.iter().try_for_each(|needed| needed.check(keys))?;
            let Some(first) = keys.ids().next() else {
                return Ok(None);
            };
            let (key, index) = ring.index(keys)?;
            if ring.keys.iter().any(|needed| needed.id == first) {
                return Ok(Some(index));
            }
            ring.keys.push(proof(keys, first)?);
            ring.index = sealed_index(keys, &key)?;
            if self.write(&ring, revision)? {
                return Ok(Some(index));
            }
        }
        Err("the list of keys is being changed by other processes; try again".to_owned())
    }

    /// After everything was sealed anew: only the first key is needed.
    ///
    /// # Errors
    /// When the store fails, or is changed meanwhile.
    pub fn settle(&self, keys: &Keys) -> Result<(), String> {
        let Some(first) = keys.ids().next() else { return Ok(()) };
        let (ring, revision) = self.read()?;
        let ring = Ring {
            keys: vec![proof(keys, first)?],
            index: sealed_index(keys, &ring.index(keys)?.0)?,
        };
        match self.write(&ring, revision)? {
            true => Ok(()),
            false => Err("the list of keys was changed by another process; run it again".to_owned()),
        }
    }

    fn read(&self) -> Result<(Ring, Option<Revision>), String> {
        let (text, revision) = match self {
            Self::Store(store) => match store.get(&key()).map_err(|e| e.to_string())? {
                None => return Ok((Ring::default(), None)),
                Some(stored) => (stored.payload, Some(stored.revision)),
            },
            Self::File(file) => match fs::read(file) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((Ring::default(), None)),
                Err(error) => return Err(format!("{}: {error}", file.display())),
                Ok(text) => (text, None),
            },
        };
        let ring = serde_json::from_slice(&text);
        let ring = ring.map_err(|_| match self {
            Self::Store(_) => {
                "the store's list of keys cannot be read; it was changed by hand or by another version".to_owned()
            }
            Self::File(file) => format!("{} cannot be read; bring it back from a backup", file.display()),
        })?;
        Ok((ring, revision))
    }

    /// Whether it was written; not, when somebody else was faster.
    fn write(&self, ring: &Ring, revision: Option<Revision>) -> Result<bool, String> {
        let text = serde_json::to_vec(ring).map_err(|e| e.to_string())?;
        match self {
            Self::Store(store) => match store.put(&key(), revision, &text) {
                Ok(_) => store.flush().map(|()| true).map_err(|e| e.to_string()),
                Err(PutError::Conflict(_)) => Ok(false),
                Err(error) => Err(error.to_string()),
            },
            Self::File(file) => match replaced(file, &file.with_extension("new"), &text) {
                Ok(_) => Ok(true),
                Err(error) => Err(format!("{}: {error}", file.display())),
            },
        }
    }
}

impl Needed {
    fn check(&self, keys: &Keys) -> Result<(), String> {
        if !keys.ids().any(|id| id == self.id) {
            return Err(format!(
                "the store holds values sealed with key {:?}, which is not among [[store.key]]. Configure it after the new one; \
                 `jumeau store reseal` makes it unnecessary",
                self.id
            ));
        }
        let proof = STANDARD.decode(&self.proof).unwrap_or_default();
        match keys.open(&at(&self.id), &proof) {
            Ok(_) => Ok(()),
            Err(_) => Err(format!(
                "the file of [[store.key]] {:?} holds another key than the one that the store was sealed with. Nothing was changed",
                self.id
            )),
        }
    }
}

impl Ring {
    /// The key of places, and what it finds; a new one for a ring without keys.
    fn index(&self, keys: &Keys) -> Result<(Zeroizing<Vec<u8>>, Index), String> {
        let key = match self.keys.is_empty() {
            true => Zeroizing::new(Index::key()?.to_vec()),
            false => {
                let sealed = STANDARD.decode(&self.index).unwrap_or_default();
                let opened = keys.open(&place(INDEX, &[]), &sealed);
                Zeroizing::new(opened.map_err(|why| format!("the store's list of keys: {why}"))?.value)
            }
        };
        let index = Index::of(&key).ok_or("the store's list of keys was changed by hand or by another version")?;
        Ok((key, index))
    }
}

fn sealed_index(keys: &Keys, key: &[u8]) -> Result<String, String> {
    Ok(STANDARD.encode(keys.seal(&place(INDEX, &[]), key)?))
}

fn proof(keys: &Keys, first: &str) -> Result<Needed, String> {
    let sealed = keys.seal(&at(first), b"jumeau")?;
    Ok(Needed {
        id: first.to_owned(),
        proof: STANDARD.encode(sealed),
    })
}

fn names(ring: &Ring) -> String {
    let names: Vec<String> = ring.keys.iter().map(|needed| format!("{:?}", needed.id)).collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::{super::tests::keys, *};
    use crate::store::memory::MemoryStore;

    fn refused(home: &Home, names: &[&str]) -> String {
        home.check(Some(&keys(names))).err().unwrap()
    }

    #[test]
    fn a_store_knows_which_keys_it_needs() {
        let folder = tempfile::tempdir().unwrap();
        for home in [
            Home::Store(Arc::new(MemoryStore::new())),
            Home::File(folder.path().join("keys")),
        ] {
            let place = |names: &[&str]| {
                let index = home.check(Some(&keys(names))).unwrap().unwrap();
                index.place(&TwinKey::new("t", "p", "m")).unwrap()
            };
            assert!(home.check(None).unwrap().is_none());
            let first = place(&["a"]);
            assert_eq!(place(&["a"]), first);
            assert!(home.check(None).err().unwrap().contains("no [[store.key]]"));
            assert!(refused(&home, &["b"]).contains("\"a\""));
            assert_eq!(place(&["b", "a"]), first, "twins are found where they were");
            assert!(
                refused(&home, &["b"]).contains("\"a\""),
                "values of the old key are there still"
            );
            assert!(refused(&home, &["a"]).contains("\"b\""));
            home.settle(&keys(&["b", "a"])).unwrap();
            assert_eq!(place(&["b"]), first);
            // Another key under the same name.
            let (mut ring, revision) = home.read().unwrap();
            ring.keys.push(Needed {
                id: "c".to_owned(),
                proof: STANDARD.encode(keys(&["d"]).seal(&at("c"), b"jumeau").unwrap()),
            });
            assert!(home.write(&ring, revision).unwrap());
            assert!(refused(&home, &["b", "c"]).contains("another key"));
        }
    }

    #[test]
    fn a_damaged_file_stops_the_start() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("keys");
        let home = Home::File(file.clone());
        home.check(Some(&keys(&["a"]))).unwrap();
        let whole = fs::read(&file).unwrap();
        for end in 0..whole.len() {
            fs::write(&file, whole.get(..end).unwrap()).unwrap();
            assert!(refused(&home, &["a"]).contains("backup"), "{end}");
        }
        fs::write(&file, whole).unwrap();
        assert!(home.check(Some(&keys(&["a"]))).is_ok());
    }
}
