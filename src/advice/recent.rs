//! Advice of the last moments. While an order is being drafted the same question comes again and again; the answer to the
//! same facts, plan and minute is the same, so it is not simulated twice.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use sha2::{Digest, Sha256};

use super::{outcome::Advised, present::Present};
use crate::store::TwinKey;

/// Answers kept.
const KEPT: usize = 256;

/// What makes two questions the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sameness([u8; 32]);

impl Sameness {
    /// Of a patient's question: whose twin, which facts and files, which plan is compared, when, for whom.
    #[must_use]
    pub fn of(key: &TwinKey, facts: &[u8; 32], plan: Option<&Present>, now: jiff::Timestamp, language: &str) -> Self {
        let mut hash = Sha256::new();
        hash.update(key.digest());
        hash.update(facts);
        hash.update(now.as_nanosecond().to_be_bytes());
        hash.update(language.as_bytes());
        if let Some(plan) = plan {
            hash.update([plan.known_from as u8]);
            let regimen = plan.regimen;
            for value in [regimen.amount, regimen.interval_hours, regimen.duration_hours] {
                hash.update(value.to_bits().to_be_bytes());
            }
        }
        Self(hash.finalize().into())
    }
}

/// The last answers, newest last.
#[derive(Default)]
pub struct Recent(Mutex<VecDeque<(Sameness, Arc<Advised>)>>);

impl Recent {
    /// The answer to the same question, if it was given lately.
    #[must_use]
    pub fn find(&self, question: &Sameness) -> Option<Arc<Advised>> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.iter()
            .rev()
            .find(|(known, _)| known == question)
            .map(|(_, advised)| Arc::clone(advised))
    }

    /// Forgets all of them.
    pub fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Remembers an answer in place of the oldest.
    pub fn keep(&self, question: Sameness, advised: &Arc<Advised>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= KEPT {
            kept.pop_front();
        }
        kept.push_back((question, Arc::clone(advised)));
    }
}
