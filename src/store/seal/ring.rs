//! Which keys a store needs, as the store itself knows it: beside each name something that only its key opens.
//!
//! Without it a server with a wrong key would take all twins for lost and rebuild them, and leave feedback unread.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};

use super::{Keys, place};
use crate::store::{PutError, Revision, TwinKey, TwinStore};

/// A writer who lost the race this often gives up.
const TRIES: usize = 8;

#[derive(Debug, Default, Serialize, Deserialize)]
struct Ring {
    keys: Vec<Needed>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Needed {
    id: String,
    /// A sealed text of no meaning.
    proof: String,
}

/// Where it is kept: under no tenant.
#[must_use]
pub fn key() -> TwinKey {
    TwinKey::new("", "", "jumeau key ring")
}

fn at(id: &str) -> Vec<u8> {
    place("ring 1", &[id.as_bytes()])
}

/// Whether the store can be used with these keys; from now on it needs the first of them.
///
/// # Errors
/// In words for the operator: which key is missing or wrong.
pub fn check(store: &dyn TwinStore, keys: Option<&Keys>) -> Result<(), String> {
    for _ in 0..TRIES {
        let (ring, revision) = read(store)?;
        let Some(keys) = keys else {
            return match ring.keys.is_empty() {
                true => Ok(()),
                false => Err(format!(
                    "the store is sealed with key {}, and no [[store.key]] is configured. Configure it, or begin another store",
                    names(&ring)
                )),
            };
        };
        for needed in &ring.keys {
            if !keys.ids().any(|id| id == needed.id) {
                return Err(format!(
                    "the store holds values sealed with key {:?}, which is not among [[store.key]]. Configure it after the new one; \
                     `jumeau store reseal` makes it unnecessary",
                    needed.id
                ));
            }
            let proof = STANDARD.decode(&needed.proof).unwrap_or_default();
            if keys.open(&at(&needed.id), &proof).is_err() {
                return Err(format!(
                    "the file of [[store.key]] {:?} holds another key than the one that the store was sealed with. Nothing was changed",
                    needed.id
                ));
            }
        }
        let Some(first) = keys.ids().next() else { return Ok(()) };
        if ring.keys.iter().any(|needed| needed.id == first) {
            return Ok(());
        }
        let mut ring = ring;
        ring.keys.push(proof(keys, first)?);
        if write(store, &ring, revision)? {
            return Ok(());
        }
    }
    Err("the list of keys is being changed by other processes; try again".to_owned())
}

/// After everything was sealed anew: only the first key is needed.
///
/// # Errors
/// When the store fails, or is changed meanwhile.
pub fn settle(store: &dyn TwinStore, keys: &Keys) -> Result<(), String> {
    let Some(first) = keys.ids().next() else { return Ok(()) };
    let (_, revision) = read(store)?;
    let ring = Ring {
        keys: vec![proof(keys, first)?],
    };
    match write(store, &ring, revision)? {
        true => Ok(()),
        false => Err("the list of keys was changed by another process; run it again".to_owned()),
    }
}

fn proof(keys: &Keys, first: &str) -> Result<Needed, String> {
    let sealed = keys.seal(&at(first), b"jumeau")?;
    Ok(Needed {
        id: first.to_owned(),
        proof: STANDARD.encode(sealed),
    })
}

fn read(store: &dyn TwinStore) -> Result<(Ring, Option<Revision>), String> {
    let stored = store.get(&key()).map_err(|e| e.to_string())?;
    let Some(stored) = stored else {
        return Ok((Ring::default(), None));
    };
    let ring = serde_json::from_slice(&stored.payload);
    let ring = ring.map_err(|_| {
        "the store's list of keys cannot be read; it was changed by hand or by another version".to_owned()
    })?;
    Ok((ring, Some(stored.revision)))
}

/// Whether it was written; not, when somebody else was faster.
fn write(store: &dyn TwinStore, ring: &Ring, revision: Option<Revision>) -> Result<bool, String> {
    let text = serde_json::to_vec(ring).map_err(|e| e.to_string())?;
    match store.put(&key(), revision, &text) {
        Ok(_) => store.flush().map(|()| true).map_err(|e| e.to_string()),
        Err(PutError::Conflict(_)) => Ok(false),
        Err(error) => Err(error.to_string()),
    }
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

    #[test]
    fn a_store_knows_which_keys_it_needs() {
        let store = MemoryStore::new();
        assert_eq!(check(&store, None), Ok(()));
        assert_eq!(check(&store, Some(&keys(&["a"]))), Ok(()));
        assert_eq!(check(&store, Some(&keys(&["a"]))), Ok(()));
        assert!(check(&store, None).unwrap_err().contains("no [[store.key]]"));
        assert!(check(&store, Some(&keys(&["b"]))).unwrap_err().contains("\"a\""));
        assert_eq!(check(&store, Some(&keys(&["b", "a"]))), Ok(()));
        assert!(
            check(&store, Some(&keys(&["b"]))).is_err(),
            "values of the old key are there still"
        );
        settle(&store, &keys(&["b", "a"])).unwrap();
        assert_eq!(check(&store, Some(&keys(&["b"]))), Ok(()));
        // Another key under the same name.
        let (ring, revision) = read(&store).unwrap();
        let mut ring = ring;
        ring.keys.push(Needed {
            id: "c".to_owned(),
            proof: STANDARD.encode(keys(&["d"]).seal(&at("c"), b"jumeau").unwrap()),
        });
        assert!(write(&store, &ring, revision).unwrap());
        assert!(
            check(&store, Some(&keys(&["b", "c"])))
                .unwrap_err()
                .contains("another key")
        );
    }
}
