//! Feedback, sealed, in whatever log: comments of clinicians may name patients. When, from whom and about which service stays legible.

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::{Keys, place};
use crate::store::{Account, FeedbackLog, FeedbackRecord, Log, LogError};

/// The only member of feedback that is sealed.
const SEALED: &str = "sealed";

/// A log of feedback that is sealed before it goes into another.
pub struct SealedFeedback {
    inner: Arc<FeedbackLog>,
    keys: Keys,
}

impl SealedFeedback {
    /// Over a log.
    #[must_use]
    pub fn new(inner: Arc<FeedbackLog>, keys: Keys) -> Self {
        Self { inner, keys }
    }

    fn sealed(&self, record: &FeedbackRecord) -> Result<FeedbackRecord, LogError> {
        let text = record.feedback.to_string();
        let sealed = self.keys.seal(&at(record), text.as_bytes()).map_err(LogError::Write)?;
        Ok(FeedbackRecord {
            feedback: json!({ SEALED: STANDARD.encode(sealed) }),
            ..record.clone()
        })
    }

    /// As it was given, or `None` when it cannot be opened. What was written before there was a key is in clear.
    fn opened(&self, record: FeedbackRecord) -> Option<FeedbackRecord> {
        let Some(sealed) = record.feedback.get(SEALED).and_then(Value::as_str) else {
            return Some(record);
        };
        let bytes = STANDARD.decode(sealed).ok()?;
        match self.keys.open(&at(&record), &bytes) {
            Ok(opened) => Some(FeedbackRecord {
                feedback: serde_json::from_slice(&opened.value).ok()?,
                ..record
            }),
            Err(why) => {
                tracing::error!(%why, "a sealed feedback record cannot be read");
                None
            }
        }
    }
}

fn at(record: &FeedbackRecord) -> Vec<u8> {
    let received = record.received.to_string();
    place(
        "feedback 1",
        &[record.tenant.as_bytes(), record.service.as_bytes(), received.as_bytes()],
    )
}

impl Log<FeedbackRecord> for SealedFeedback {
    fn append_all(&self, records: &[FeedbackRecord]) -> Result<(), LogError> {
        let sealed: Result<Vec<FeedbackRecord>, LogError> = records.iter().map(|record| self.sealed(record)).collect();
        self.inner.append_all(&sealed?)
    }

    fn for_each(&self, show: &mut dyn FnMut(FeedbackRecord)) -> Result<Account, LogError> {
        let mut unreadable = 0;
        let mut account = self.inner.for_each(&mut |record| match self.opened(record) {
            Some(record) => show(record),
            None => unreadable += 1,
        })?;
        account.whole = account.whole.saturating_sub(unreadable);
        account.damaged = account.damaged.saturating_add(unreadable);
        Ok(account)
    }

    fn rewrite(
        &self,
        change: &mut dyn FnMut(FeedbackRecord) -> Result<FeedbackRecord, LogError>,
    ) -> Result<u64, LogError> {
        self.inner.rewrite(&mut |record| {
            let unreadable =
                || LogError::Read("a sealed record cannot be opened; its key must be configured".to_owned());
            self.sealed(&change(self.opened(record).ok_or_else(unreadable)?)?)
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
    use crate::store::{contract::record, memory::MemoryLog};

    #[test]
    fn feedback_is_read_with_its_key_and_nowhere_else() {
        let inner: Arc<FeedbackLog> = Arc::new(MemoryLog::new());
        inner.append(&record(1)).unwrap();
        let log = SealedFeedback::new(Arc::clone(&inner), keys(&["old"]));
        log.append(&record(2)).unwrap();
        let both = SealedFeedback::new(Arc::clone(&inner), keys(&["new", "old"]));
        both.append(&record(3)).unwrap();
        assert_eq!(both.read_all().unwrap(), [record(1), record(2), record(3)]);
        let raw = inner.read_all().unwrap();
        assert!(!raw[1].feedback.to_string().contains("accepted"));
        // Without the old key the record is counted as damaged, not passed over in silence; moved to another service it is none.
        let new = SealedFeedback::new(Arc::clone(&inner), keys(&["new"]));
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
        SealedFeedback::new(Arc::clone(&inner), keys(&["old"]))
            .append(&record(1))
            .unwrap();
        inner.append(&record(2)).unwrap();
        let new = SealedFeedback::new(Arc::clone(&inner), keys(&["new"]));
        assert!(new.rewrite(&mut Ok).is_err(), "nothing is thrown away");
        let both = SealedFeedback::new(Arc::clone(&inner), keys(&["new", "old"]));
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
}
