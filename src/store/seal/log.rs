//! Logs, sealed, in whatever log. Of feedback it is what was said, since comments of clinicians may name patients; of the audit log the
//! digest of the patient, since ids can be guessed; of a message all that it says. When, from whom and about which service stays legible.

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::{Keys, place};
use crate::store::{Account, FeedbackRecord, Log, LogError, audit::AuditRecord, inbox::InboxRecord};

/// The only member of feedback, and of what a message says, that is sealed.
const SEALED: &str = "sealed";
/// Before a patient that is sealed.
const PREFIX: &str = "sealed:";

/// A record with a part that is sealed.
pub trait Sealable: Clone + Send + Sync {
    /// Associated data: what the part belongs to.
    fn at(&self) -> Vec<u8>;
    /// The part, in clear; `None` when there is none or it is sealed.
    fn clear(&self) -> Option<String>;
    /// The same record with the part in clear; `None` when that is not what was sealed.
    fn with_clear(self, text: &str) -> Option<Self>;
    /// The part, sealed; `None` when it is not.
    fn sealed(&self) -> Option<&str>;
    /// The same record with the part sealed.
    fn with_sealed(self, text: String) -> Self;
}

impl Sealable for FeedbackRecord {
    fn at(&self) -> Vec<u8> {
        let received = self.received.to_string();
        place(
            "feedback 1",
            &[self.tenant.as_bytes(), self.service.as_bytes(), received.as_bytes()],
        )
    }

    fn clear(&self) -> Option<String> {
        self.sealed().is_none().then(|| self.feedback.to_string())
    }

    fn with_clear(mut self, text: &str) -> Option<Self> {
        self.feedback = serde_json::from_str(text).ok()?;
        Some(self)
    }

    fn sealed(&self) -> Option<&str> {
        self.feedback.get(SEALED).and_then(Value::as_str)
    }

    fn with_sealed(mut self, text: String) -> Self {
        self.feedback = json!({ SEALED: text });
        self
    }
}

impl Sealable for AuditRecord {
    fn at(&self) -> Vec<u8> {
        let at = self.at.to_string();
        place(
            "audit 1",
            &[self.tenant.as_bytes(), self.caller.as_bytes(), at.as_bytes()],
        )
    }

    fn clear(&self) -> Option<String> {
        self.patient.clone().filter(|_| self.sealed().is_none())
    }

    fn with_clear(mut self, text: &str) -> Option<Self> {
        self.patient = Some(text.to_owned());
        Some(self)
    }

    fn sealed(&self) -> Option<&str> {
        self.patient.as_deref()?.strip_prefix(PREFIX)
    }

    fn with_sealed(mut self, text: String) -> Self {
        self.patient = Some(format!("{PREFIX}{text}"));
        self
    }
}

impl Sealable for InboxRecord {
    fn at(&self) -> Vec<u8> {
        let received = self.received.to_string();
        place(
            "inbox 1",
            &[self.tenant.as_bytes(), self.message.as_bytes(), received.as_bytes()],
        )
    }

    fn clear(&self) -> Option<String> {
        (!self.body.is_null() && self.sealed().is_none()).then(|| self.body.to_string())
    }

    fn with_clear(mut self, text: &str) -> Option<Self> {
        self.body = serde_json::from_str(text).ok()?;
        Some(self)
    }

    fn sealed(&self) -> Option<&str> {
        self.body.get(SEALED).and_then(Value::as_str)
    }

    fn with_sealed(mut self, text: String) -> Self {
        self.body = json!({ SEALED: text });
        self
    }
}

/// A log whose records are sealed before they go into another.
pub struct SealedLog<R> {
    inner: Arc<dyn Log<R>>,
    keys: Keys,
}

impl<R: Sealable> SealedLog<R> {
    /// Over a log.
    #[must_use]
    pub fn new(inner: Arc<dyn Log<R>>, keys: Keys) -> Self {
        Self { inner, keys }
    }

    fn seal(&self, record: &R) -> Result<R, LogError> {
        let Some(text) = record.clear() else {
            return Ok(record.clone());
        };
        let sealed = self.keys.seal(&record.at(), text.as_bytes()).map_err(LogError::Write)?;
        Ok(record.clone().with_sealed(STANDARD.encode(sealed)))
    }

    /// As it was given, or `None` when it cannot be opened. What was written before there was a key is in clear.
    fn open(&self, record: R) -> Option<R> {
        let Some(sealed) = record.sealed() else {
            return Some(record);
        };
        let bytes = STANDARD.decode(sealed).ok()?;
        match self.keys.open(&record.at(), &bytes) {
            Ok(opened) => record.with_clear(std::str::from_utf8(&opened.value).ok()?),
            Err(why) => {
                tracing::error!(%why, "a sealed record of a log cannot be read");
                None
            }
        }
    }
}

impl<R: Sealable> Log<R> for SealedLog<R> {
    fn append_all(&self, records: &[R]) -> Result<(), LogError> {
        let sealed: Result<Vec<R>, LogError> = records.iter().map(|record| self.seal(record)).collect();
        self.inner.append_all(&sealed?)
    }

    fn for_each(&self, show: &mut dyn FnMut(R)) -> Result<Account, LogError> {
        let mut unreadable = 0;
        let mut account = self.inner.for_each(&mut |record| match self.open(record) {
            Some(record) => show(record),
            None => unreadable += 1,
        })?;
        account.whole = account.whole.saturating_sub(unreadable);
        account.damaged = account.damaged.saturating_add(unreadable);
        Ok(account)
    }

    fn rewrite(&self, change: &mut dyn FnMut(R) -> Result<R, LogError>) -> Result<u64, LogError> {
        self.inner.rewrite(&mut |record| {
            let unreadable =
                || LogError::Read("a sealed record cannot be opened; its key must be configured".to_owned());
            self.seal(&change(self.open(record).ok_or_else(unreadable)?)?)
        })
    }

    fn trouble(&self) -> Option<String> {
        self.inner.trouble()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]

    use super::{super::tests::keys, *};
    use crate::store::{AuditLog, FeedbackLog, InboxLog, audit, contract::record, memory::MemoryLog};

    #[test]
    fn feedback_is_read_with_its_key_and_nowhere_else() {
        let inner: Arc<FeedbackLog> = Arc::new(MemoryLog::new());
        inner.append(&record(1)).unwrap();
        let log = SealedLog::new(Arc::clone(&inner), keys(&["old"]));
        log.append(&record(2)).unwrap();
        let both = SealedLog::new(Arc::clone(&inner), keys(&["new", "old"]));
        both.append(&record(3)).unwrap();
        assert_eq!(both.read_all().unwrap(), [record(1), record(2), record(3)]);
        let raw = inner.read_all().unwrap();
        assert!(!raw[1].feedback.to_string().contains("accepted"));
        // Without the old key the record is counted as damaged, not passed over in silence; moved to another service it is none.
        let new = SealedLog::new(Arc::clone(&inner), keys(&["new"]));
        let mut seen = 0;
        let account = new.for_each(&mut |_| seen += 1).unwrap();
        assert_eq!((seen, account.whole, account.damaged), (2, 2, 1));
        let mut moved = raw[2].clone();
        moved.service = "another".to_owned();
        inner.append(&moved).unwrap();
        assert_eq!(both.read_all().unwrap().len(), 3);
    }

    #[test]
    fn sealed_anew_it_needs_the_new_key_alone() {
        let inner: Arc<FeedbackLog> = Arc::new(MemoryLog::new());
        SealedLog::new(Arc::clone(&inner), keys(&["old"]))
            .append(&record(1))
            .unwrap();
        inner.append(&record(2)).unwrap();
        let new = SealedLog::new(Arc::clone(&inner), keys(&["new"]));
        assert!(new.rewrite(&mut Ok).is_err(), "nothing is thrown away");
        let both = SealedLog::new(Arc::clone(&inner), keys(&["new", "old"]));
        assert_eq!(both.rewrite(&mut Ok).unwrap(), 2);
        assert_eq!(new.read_all().unwrap(), [record(1), record(2)]);
        assert!(
            inner
                .read_all()
                .unwrap()
                .iter()
                .all(|record| record.feedback.get(SEALED).is_some())
        );
    }

    #[test]
    fn the_audit_log_says_of_whom_only_with_the_key() {
        let inner: Arc<AuditLog> = Arc::new(MemoryLog::new());
        let about = |patient: Option<String>| AuditRecord {
            at: jiff::Timestamp::UNIX_EPOCH,
            tenant: "north".to_owned(),
            caller: "operator".to_owned(),
            action: audit::Action::Read,
            subject: None,
            patient,
            outcome: "done".to_owned(),
        };
        let digest = audit::patient("north", "p");
        let (someone, nobody) = (about(Some(digest.clone())), about(None));
        let log = SealedLog::new(Arc::clone(&inner), keys(&["a"]));
        log.append_all(&[someone.clone(), nobody.clone()]).unwrap();
        assert_eq!(log.read_all().unwrap(), [someone.clone(), nobody.clone()]);
        let raw = inner.read_all().unwrap();
        assert!(!raw[0].patient.as_ref().unwrap().contains(&digest));
        assert_eq!((&raw[0].outcome, &raw[1]), (&someone.outcome, &nobody));
        let both = SealedLog::new(Arc::clone(&inner), keys(&["b", "a"]));
        assert_eq!(both.rewrite(&mut Ok).unwrap(), 2);
        let new = SealedLog::new(inner, keys(&["b"]));
        assert_eq!(new.read_all().unwrap(), [someone, nobody]);
    }

    #[test]
    fn what_a_message_says_is_sealed_to_that_message() {
        let inner: Arc<InboxLog> = Arc::new(MemoryLog::new());
        let about = |message: &str, body: Value| InboxRecord {
            received: jiff::Timestamp::UNIX_EPOCH,
            tenant: "north".to_owned(),
            message: message.to_owned(),
            content: "digest".to_owned(),
            body,
        };
        let (said, forgotten) = (about("a", json!({ "patient": "canary" })), about("b", Value::Null));
        let log = SealedLog::new(Arc::clone(&inner), keys(&["a"]));
        log.append_all(&[said.clone(), forgotten.clone()]).unwrap();
        assert_eq!(log.read_all().unwrap(), [said, forgotten]);
        let raw = inner.read_all().unwrap();
        assert!(!raw[0].body.to_string().contains("canary") && raw[1].body.is_null());
        let mut moved = raw[0].clone();
        moved.message = "c".to_owned();
        inner.append(&moved).unwrap();
        assert_eq!(log.for_each(&mut |_| ()).unwrap().damaged, 1);
    }
}
