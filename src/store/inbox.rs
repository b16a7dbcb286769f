//! Messages of other systems. What was acknowledged lies in a log, on the disk before the sender is told; what it says of a patient is
//! found among the twins, by patient, and is put there again from the log where it was lost.
//!
//! Nothing here knows HL7 or FHIR: a fact is a JSON value with an id and the time of the message that said it.

use std::{
    fmt::Write as _,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{InboxLog, LogError, PutError, Revision, StoreError, TwinKey, TwinStore};

#[cfg(test)]
mod tests;

/// Facts that are found of one patient; beyond, the oldest are not (the log still has them).
const FACTS: usize = 2000;
/// How often a write is tried again after somebody else wrote first.
const TRIES: usize = 50;

/// A message as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InboxRecord {
    /// When the server took it in.
    pub received: Timestamp,
    /// Whose patient it is about.
    pub tenant: String,
    /// Digest of sender and number of the message.
    pub message: String,
    /// Digest of all that it says.
    pub content: String,
    /// Of whom it says what; `null` once that was forgotten.
    pub body: Value,
}

impl InboxRecord {
    fn is_about(&self, tenant: &str, numbers: &[String]) -> bool {
        let patient = self.body.get("patient").and_then(Value::as_str);
        self.tenant == tenant && patient.is_some_and(|patient| numbers.iter().any(|number| number == patient))
    }
}

/// One thing that a message says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fact {
    /// The same for all that is said of one thing: a later message replaces what an earlier one said.
    pub id: String,
    /// When the message was written.
    pub at: Timestamp,
    /// What it says; `None`: that there is no such thing (any more).
    pub resource: Option<Value>,
}

/// A fact where it is found.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
struct Known {
    received: Timestamp,
    fact: Fact,
}

#[derive(Serialize, Deserialize)]
struct Body {
    patient: String,
    facts: Vec<Fact>,
}

/// A message that came.
#[derive(Debug, Clone)]
pub struct Message<'m> {
    /// Whose patient it is about.
    pub tenant: &'m str,
    /// Sender and number; any characters.
    pub id: &'m str,
    /// All of it, as it came.
    pub content: &'m [u8],
    /// The patient's number with the sender.
    pub patient: &'m str,
    /// What it says.
    pub facts: Vec<Fact>,
}

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// It is kept.
    New,
    /// The same message was kept before.
    Again,
}

/// Why a message is not kept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Another message of this sender bears the same number.
    #[error("another message with the same number was received before")]
    Reused,
    /// It says more than is kept of one message.
    #[error("the message says more than is kept of one")]
    TooLarge,
    /// For the operator; the sender may try again.
    #[error("{0}")]
    Failed(String),
}

impl From<StoreError> for Refused {
    fn from(error: StoreError) -> Self {
        Self::Failed(error.to_string())
    }
}

impl From<LogError> for Refused {
    fn from(error: LogError) -> Self {
        match error {
            LogError::TooLarge { .. } => Self::TooLarge,
            error => Self::Failed(error.to_string()),
        }
    }
}

/// What other systems said.
pub struct Inbox {
    log: Arc<InboxLog>,
    twins: Arc<dyn TwinStore>,
    keep: SignedDuration,
    /// One message or erasure after the other.
    turn: Mutex<()>,
}

fn hex(parts: &[&[u8]]) -> String {
    let mut digest = Sha256::new_with_prefix(b"jumeau message");
    for part in parts {
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part);
    }
    digest.finalize().iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Where the facts of a patient are. No twin's id holds a space.
fn facts_key(tenant: &str, patient: &str) -> TwinKey {
    TwinKey::new(tenant, patient, "inbox facts")
}

/// Where it is noted that a message came.
fn message_key(tenant: &str, message: &str) -> TwinKey {
    TwinKey::new(tenant, message, "inbox message")
}

/// Where the number of a patient is, whose id is another.
fn number_key(tenant: &str, id: &str) -> TwinKey {
    TwinKey::new(tenant, id, "inbox number")
}

impl Inbox {
    /// Over the stores; facts are kept for so long after their message came.
    #[must_use]
    pub fn new(log: Arc<InboxLog>, twins: Arc<dyn TwinStore>, keep: SignedDuration) -> Self {
        Self {
            log,
            twins,
            keep,
            turn: Mutex::default(),
        }
    }

    fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is wrong, for a readiness probe. A store of twins that lost what it held could not tell what is known.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        self.log.trouble().or_else(|| self.twins.trouble())
    }

    /// Keeps a message: once this returns it is on the disk, and found.
    ///
    /// # Errors
    /// [`Refused`]: then nobody may be told that it is kept.
    pub fn take(&self, message: Message<'_>, now: Timestamp) -> Result<Taken, Refused> {
        let _turn = self.turn();
        if let Some(trouble) = self.trouble() {
            return Err(Refused::Failed(trouble));
        }
        let id = hex(&[message.id.as_bytes()]);
        let content = hex(&[message.content]);
        let key = message_key(message.tenant, &id);
        if let Some(stored) = self.twins.get(&key)? {
            return match stored.payload == content.as_bytes() {
                true => Ok(Taken::Again),
                false => Err(Refused::Reused),
            };
        }
        let body = Body {
            patient: message.patient.to_owned(),
            facts: message.facts,
        };
        self.log.append(&InboxRecord {
            received: now,
            tenant: message.tenant.to_owned(),
            message: id,
            content: content.clone(),
            body: json!(body),
        })?;
        self.find(message.tenant, body, now, now)?;
        self.noted(&key, &content)?;
        Ok(Taken::New)
    }

    /// Notes that a message came.
    fn noted(&self, key: &TwinKey, content: &str) -> Result<(), Refused> {
        match self.twins.put(key, None, content.as_bytes()) {
            Ok(_) => Ok(()),
            // Two servers took it at one time: the facts are the same, if the message is.
            Err(PutError::Conflict(_)) => match self.twins.get(key)? {
                Some(stored) if stored.payload == content.as_bytes() => Ok(()),
                _ => Err(Refused::Reused),
            },
            Err(PutError::Store(error)) => Err(error.into()),
        }
    }

    /// Puts facts where they are found, and takes away what is too old.
    fn find(&self, tenant: &str, said: Body, received: Timestamp, now: Timestamp) -> Result<(), Refused> {
        let key = facts_key(tenant, &said.patient);
        for _ in 0..TRIES {
            let (revision, mut facts) = self.known(&key)?;
            let before = facts.clone();
            for fact in &said.facts {
                let new = Known {
                    received,
                    fact: fact.clone(),
                };
                match facts.iter_mut().find(|known| known.fact.id == fact.id) {
                    Some(known) if known.fact.at > fact.at => {}
                    Some(known) => *known = new,
                    None => facts.push(new),
                }
            }
            facts.retain(|known| self.is_kept(known, now));
            if facts == before {
                return Ok(());
            }
            facts.sort_by_key(|known| known.fact.at);
            let payload = self.payload(&mut facts)?;
            match self.twins.put(&key, revision, &payload) {
                Ok(_) => return Ok(()),
                Err(PutError::Conflict(_)) => {}
                Err(PutError::Store(error)) => return Err(error.into()),
            }
        }
        Err(Refused::Failed(
            "too many servers write about one patient at one time".to_owned(),
        ))
    }

    fn is_kept(&self, known: &Known, now: Timestamp) -> bool {
        now.duration_since(known.received) <= self.keep
    }

    /// As many of the newest as there is room for.
    fn payload(&self, facts: &mut Vec<Known>) -> Result<Vec<u8>, Refused> {
        let mut most = FACTS;
        loop {
            facts.drain(..facts.len().saturating_sub(most));
            let bytes = serde_json::to_vec(facts).map_err(|e| Refused::Failed(e.to_string()))?;
            if bytes.len() <= self.twins.largest() || facts.is_empty() {
                return Ok(bytes);
            }
            most = facts.len() / 2;
        }
    }

    fn known(&self, key: &TwinKey) -> Result<(Option<Revision>, Vec<Known>), StoreError> {
        let Some(stored) = self.twins.get(key)? else {
            return Ok((None, Vec::new()));
        };
        let facts = serde_json::from_slice(&stored.payload)
            .map_err(|_| StoreError::Broken("what messages said of a patient cannot be read".to_owned()))?;
        Ok((Some(stored.revision), facts))
    }

    /// What is known of a patient by its number: each thing as it was said last.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    pub fn of(&self, tenant: &str, patient: &str, now: Timestamp) -> Result<Vec<Fact>, StoreError> {
        let (_, mut facts) = self.known(&facts_key(tenant, patient))?;
        facts.retain(|known| known.fact.resource.is_some() && self.is_kept(known, now));
        Ok(facts.into_iter().map(|known| known.fact).collect())
    }

    /// Notes the number under which messages speak of a patient whose id is another: for who asks by the id to forget.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    pub fn link(&self, tenant: &str, id: &str, number: &str) -> Result<(), StoreError> {
        let key = number_key(tenant, id);
        let known = self.twins.get(&key)?;
        if known.as_ref().is_some_and(|known| known.payload == number.as_bytes()) {
            return Ok(());
        }
        match self
            .twins
            .put(&key, known.map(|known| known.revision), number.as_bytes())
        {
            // Another call noted it.
            Ok(_) | Err(PutError::Conflict(_)) => Ok(()),
            Err(PutError::Store(error)) => Err(error),
        }
    }

    /// The numbers under which messages may speak of a patient: its id, and what was [linked](Self::link) with it.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    pub fn numbers(&self, tenant: &str, id: &str) -> Result<Vec<String>, StoreError> {
        let linked = self.twins.get(&number_key(tenant, id))?;
        let linked = linked.and_then(|linked| String::from_utf8(linked.payload).ok());
        Ok(std::iter::once(id.to_owned()).chain(linked).collect())
    }

    /// Forgets what messages said of a patient, in the log too; whether there was anything. That they came is still known, by digests:
    /// the same message sent once more does not bring it back.
    ///
    /// # Errors
    /// In words for the operator; then some may be left, and it is to be repeated.
    pub fn forget(&self, tenant: &str, id: &str) -> Result<bool, String> {
        let _turn = self.turn();
        let numbers = self.numbers(tenant, id).map_err(|e| e.to_string())?;
        let mut found = false;
        for number in &numbers {
            let removed = self.twins.remove(&facts_key(tenant, number));
            found |= removed.map_err(|e| e.to_string())?;
        }
        self.twins.remove(&number_key(tenant, id)).map_err(|e| e.to_string())?;
        let about = |record: &InboxRecord| record.is_about(tenant, &numbers);
        Ok(self.blank(&about)? || found)
    }

    /// All messages about a patient that are kept, as they are kept: for who asks to know.
    ///
    /// # Errors
    /// In words for the operator.
    pub fn messages(&self, tenant: &str, id: &str) -> Result<Vec<InboxRecord>, String> {
        let numbers = self.numbers(tenant, id).map_err(|e| e.to_string())?;
        let mut found = Vec::new();
        let read = self.log.for_each(&mut |record| {
            if record.is_about(tenant, &numbers) {
                found.push(record);
            }
        });
        read.map(|_| found).map_err(|e| e.to_string())
    }

    /// Takes the bodies of some records out of the log; whether there were any.
    fn blank(&self, which: &dyn Fn(&InboxRecord) -> bool) -> Result<bool, String> {
        let mut any = false;
        self.log
            .for_each(&mut |record| any |= !record.body.is_null() && which(&record))
            .map_err(|e| e.to_string())?;
        if any {
            let blank = |mut record: InboxRecord| {
                if which(&record) {
                    record.body = Value::Null;
                }
                Ok(record)
            };
            self.log.rewrite(&mut { blank }).map_err(|e| e.to_string())?;
        }
        Ok(any)
    }

    /// Puts what the log holds where it is found, if it is not there: at the start, before anybody asks.
    ///
    /// # Errors
    /// In words for the operator.
    pub fn restore(&self, now: Timestamp) -> Result<(), String> {
        let mut failed = None;
        let shown = self.log.for_each(&mut |record| {
            let recent = now.duration_since(record.received) <= self.keep;
            if failed.is_some() || !recent {
                return;
            }
            let body = serde_json::from_value::<Option<Body>>(record.body).ok().flatten();
            let found = body.map_or(Ok(()), |body| self.find(&record.tenant, body, record.received, now));
            let key = message_key(&record.tenant, &record.message);
            match found.and_then(|()| self.noted(&key, &record.content)) {
                // A number that was used twice before either was acknowledged: both are found, one of them bears it.
                Ok(()) | Err(Refused::Reused) => {}
                Err(why) => failed = Some(why.to_string()),
            }
        });
        shown.map_err(|e| e.to_string())?;
        failed.map_or(Ok(()), Err)
    }

    /// Forgets what is older than it is to be kept.
    ///
    /// # Errors
    /// In words for the operator.
    pub fn prune(&self, now: Timestamp) -> Result<(), String> {
        let _turn = self.turn();
        let old = |record: &InboxRecord| now.duration_since(record.received) > self.keep;
        let mut whom = std::collections::BTreeSet::new();
        let mut keys = Vec::new();
        let shown = self.log.for_each(&mut |record| {
            if !record.body.is_null() && old(&record) {
                let patient = record.body.get("patient").and_then(Value::as_str).map(str::to_owned);
                whom.extend(patient.map(|patient| (record.tenant.clone(), patient)));
                keys.push(message_key(&record.tenant, &record.message));
            }
        });
        shown.map_err(|e| e.to_string())?;
        for (tenant, patient) in whom {
            let nothing = Body {
                patient,
                facts: Vec::new(),
            };
            self.find(&tenant, nothing, now, now).map_err(|e| e.to_string())?;
        }
        for key in keys {
            self.twins.remove(&key).map_err(|e| e.to_string())?;
        }
        self.blank(&old).map(drop)
    }
}
