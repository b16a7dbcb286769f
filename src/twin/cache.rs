//! Twins between calls: reused when the facts and the files are the same, never lost to a concurrent call.
//!
//! A stored twin holds the posterior, modes and draws, not the card: what is advised also depends on the moment and on
//! the draft.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{
    metrics,
    model::{catalog::Definition, formula::Values},
    store::{PutError, Revision, TwinKey, TwinStore},
};

use super::{
    ledger::Ledger,
    personalise::{Batch, KeptFit},
};

/// Changes whenever the meaning of what is stored changes; older records are then fitted anew.
const SCHEMA: u32 = 4;
/// A call that lost the race this often goes on without storing.
const TRIES: usize = 8;

/// Where this patient's twin is kept.
#[derive(Clone, Copy)]
pub struct Cache<'a> {
    /// The store.
    pub store: &'a dyn TwinStore,
    /// Tenant, patient and twin.
    pub key: &'a TwinKey,
}

/// A twin as stored.
#[derive(Debug, Serialize, Deserialize)]
struct Record {
    schema: u32,
    /// Of facts and files.
    fingerprint: [u8; 32],
    /// Newest dose or level that it knows.
    newest: Option<Timestamp>,
    posterior: Posterior,
}

/// What the facts made of the models.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Posterior {
    /// Fits.
    pub fits: Vec<KeptFit>,
    /// Random effects, batch by batch.
    pub draws: Vec<Batch>,
}

/// What was found in the store.
pub struct Found {
    /// The posterior, when it is of the same facts and files.
    pub posterior: Option<Posterior>,
    /// Of whatever is stored, for the next write.
    revision: Option<Revision>,
}

/// SHA-256 of everything that a posterior with so many draws depends on.
#[must_use]
pub fn fingerprint(definition: &Definition, values: &Values, ledger: &Ledger, draws: usize) -> [u8; 32] {
    let mut hash = Sha256::new();
    let mut part = |bytes: &[u8]| {
        hash.update((bytes.len() as u64).to_be_bytes());
        hash.update(bytes);
    };
    part(env!("CARGO_PKG_VERSION").as_bytes());
    part(definition.sha256.as_bytes());
    part(&(draws as u64).to_be_bytes());
    // Only what the models read: other values at hand pass with the minutes.
    let read = |name: &&String| {
        definition
            .models
            .iter()
            .flat_map(|m| m.inputs())
            .any(|i| &i.name == *name)
    };
    for (name, value) in values.iter().filter(|(name, _)| read(name)) {
        part(name.as_bytes());
        part(&value.to_bits().to_be_bytes());
    }
    for dose in &ledger.doses {
        for value in [dose.time, dose.amount, dose.duration] {
            part(&value.to_bits().to_be_bytes());
        }
    }
    part(&[0]);
    for level in &ledger.levels {
        part(level.output.as_bytes());
        part(&level.hours.to_bits().to_be_bytes());
        part(&level.measurement.value.to_bits().to_be_bytes());
        part(&[level.measurement.bound as u8, u8::from(level.left_out.is_some())]);
    }
    part(&[0]);
    for change in &ledger.changes {
        part(change.input.as_bytes());
        part(&change.hours.to_bits().to_be_bytes());
        part(&change.value.to_bits().to_be_bytes());
    }
    hash.finalize().into()
}

/// A record of this version; anything else is as good as none.
fn read(payload: &[u8]) -> Option<Record> {
    postcard::from_bytes::<Record>(payload)
        .ok()
        .filter(|record| record.schema == SCHEMA)
}

/// What a stored twin holds, for people who ask what is kept of them; `None` when it is of another version.
#[must_use]
pub fn shown(payload: &[u8]) -> Option<serde_json::Value> {
    serde_json::to_value(read(payload)?).ok()
}

impl Cache<'_> {
    /// Looks for the twin. A store that fails is a store that knows nothing.
    #[must_use]
    pub fn find(&self, fingerprint: &[u8; 32]) -> Found {
        let stored = match self.store.get(self.key) {
            Ok(stored) => stored,
            Err(error) => {
                metrics::store_failed("twins");
                tracing::warn!(%error, "the twin store could not be read");
                None
            }
        };
        let revision = stored.as_ref().map(|s| s.revision);
        let record = stored.and_then(|s| read(&s.payload));
        let posterior = record.filter(|r| r.fingerprint == *fingerprint).map(|r| r.posterior);
        Found { posterior, revision }
    }

    /// Stores the twin. When another call stored first, the one that knows the newer facts stays.
    pub fn keep(&self, found: &Found, fingerprint: [u8; 32], newest: Option<Timestamp>, posterior: Posterior) {
        let record = Record {
            schema: SCHEMA,
            fingerprint,
            newest,
            posterior,
        };
        let Ok(payload) = postcard::to_stdvec(&record) else {
            return;
        };
        let mut revision = found.revision;
        for _ in 0..TRIES {
            match self.store.put(self.key, revision, &payload) {
                Ok(_) => return,
                Err(PutError::Conflict(_)) => {
                    let Ok(current) = self.store.get(self.key) else { return };
                    let theirs = current.as_ref().and_then(|s| read(&s.payload));
                    if theirs.is_some_and(|t| t.newest > record.newest) {
                        return;
                    }
                    revision = current.map(|s| s.revision);
                }
                Err(PutError::Store(error)) => {
                    metrics::store_failed("twins");
                    tracing::warn!(%error, "the twin could not be stored");
                    return;
                }
            }
        }
    }
}
