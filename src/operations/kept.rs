//! Answers by request identifier: who asks again with the same words gets the same answer, and nothing is computed or erased twice.
//! In memory only; after a restart a repeated request is computed anew, which does no harm.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use sha2::{Digest, Sha256};

use super::reply::Written;

/// A request identifier of a caller, or a body, in short.
pub type Digest32 = [u8; 32];

/// Answers kept, however short.
const MOST: usize = 10_000;

/// SHA-256 of parts that do not run into each other.
#[must_use]
pub fn digest(parts: &[&[u8]]) -> Digest32 {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

/// The answers.
pub struct Kept {
    inner: Mutex<Inner>,
    keep: Duration,
    most_bytes: usize,
}

#[derive(Default)]
struct Inner {
    by_key: BTreeMap<Digest32, Entry>,
    /// Answers that are there, oldest first.
    order: VecDeque<(Instant, Digest32)>,
    bytes: usize,
}

struct Entry {
    body: Digest32,
    answer: Option<(Written, Arc<[Digest32]>)>,
}

/// What is known of a request identifier.
pub enum Claim {
    /// Nothing: the caller answers, and says so by [`Claimed::done`].
    First(Claimed),
    /// This answer was given to the same request.
    Same(Written),
    /// The same request is being answered.
    UnderWay,
    /// It belongs to another request.
    Other,
}

/// A request identifier whose request is being answered; free again when this is dropped without an answer.
pub struct Claimed {
    kept: Arc<Kept>,
    key: Digest32,
    answered: bool,
}

impl Kept {
    /// Nothing yet; answers stay for `keep`, the oldest go beyond `most_bytes`.
    #[must_use]
    pub fn new(keep: Duration, most_bytes: usize) -> Arc<Self> {
        Arc::new(Self {
            inner: Mutex::default(),
            keep,
            most_bytes,
        })
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks up a request identifier, and takes it if it is free.
    #[must_use]
    pub fn claim(self: &Arc<Self>, key: Digest32, body: Digest32) -> Claim {
        let mut inner = self.inner();
        inner.expire(self.keep);
        if let Some(entry) = inner.by_key.get(&key) {
            return match &entry.answer {
                _ if entry.body != body => Claim::Other,
                Some((answer, _)) => Claim::Same(answer.clone()),
                None => Claim::UnderWay,
            };
        }
        inner.by_key.insert(key, Entry { body, answer: None });
        Claim::First(Claimed {
            kept: Arc::clone(self),
            key,
            answered: false,
        })
    }

    /// Forgets the answer to a request.
    pub fn release(&self, key: &Digest32) {
        self.inner().remove(key);
    }

    /// Forgets every answer that is about a patient.
    pub fn forget(&self, patient: &Digest32) {
        let mut inner = self.inner();
        let about = |entry: &Entry| entry.answer.as_ref().is_some_and(|(_, about)| about.contains(patient));
        let keys: Vec<Digest32> = inner.by_key.iter().filter(|(_, e)| about(e)).map(|(k, _)| *k).collect();
        for key in keys {
            inner.remove(&key);
        }
    }
}

impl Inner {
    fn remove(&mut self, key: &Digest32) {
        if let Some(Entry {
            answer: Some((answer, _)),
            ..
        }) = self.by_key.remove(key)
        {
            self.bytes -= answer.body.len();
            self.order.retain(|(_, other)| other != key);
        }
    }

    fn expire(&mut self, keep: Duration) {
        while let Some((since, key)) = self.order.front().copied()
            && since.elapsed() > keep
        {
            self.remove(&key);
        }
    }
}

impl Claimed {
    /// Keeps the answer, which is about these patients. What the server could not do is not kept: it may succeed the next time.
    pub fn done(mut self, answer: &Written, about: Arc<[Digest32]>) {
        if answer.status.is_server_error() {
            return;
        }
        self.answered = true;
        let mut inner = self.kept.inner();
        let Some(entry) = inner.by_key.get_mut(&self.key) else {
            return;
        };
        entry.answer = Some((answer.clone(), about));
        inner.bytes += answer.body.len();
        inner.order.push_back((Instant::now(), self.key));
        while (inner.bytes > self.kept.most_bytes || inner.order.len() > MOST)
            && let Some((_, oldest)) = inner.order.front().copied()
        {
            inner.remove(&oldest);
        }
    }
}

impl Drop for Claimed {
    fn drop(&mut self) {
        if !self.answered {
            self.kept.inner().by_key.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use actix_web::http::StatusCode;

    use super::*;

    fn written(status: StatusCode, length: usize) -> Written {
        Written {
            status,
            body: vec![b'x'; length].into(),
            job: None,
        }
    }

    fn first(kept: &Arc<Kept>, key: u8) -> Claimed {
        match kept.claim([key; 32], [0; 32]) {
            Claim::First(claimed) => claimed,
            _ => unreachable!("free"),
        }
    }

    #[test]
    fn the_same_request_has_one_answer() {
        let kept = Kept::new(Duration::from_secs(60), 100);
        let claimed = first(&kept, 1);
        assert!(matches!(kept.claim([1; 32], [0; 32]), Claim::UnderWay));
        assert!(matches!(kept.claim([1; 32], [9; 32]), Claim::Other));
        claimed.done(&written(StatusCode::OK, 3), [[7; 32]].into());
        assert!(matches!(kept.claim([1; 32], [0; 32]), Claim::Same(answer) if answer.body.len() == 3));
        kept.forget(&[8; 32]);
        assert!(matches!(kept.claim([1; 32], [9; 32]), Claim::Other));
        kept.forget(&[7; 32]);
        drop(first(&kept, 1));
        first(&kept, 1).done(&written(StatusCode::SERVICE_UNAVAILABLE, 3), [].into());
        first(&kept, 1).done(&written(StatusCode::OK, 3), [].into());
        kept.release(&[1; 32]);
        drop(first(&kept, 1));
    }

    #[test]
    fn what_is_kept_has_an_end() {
        let kept = Kept::new(Duration::from_secs(60), 10);
        first(&kept, 1).done(&written(StatusCode::OK, 6), [].into());
        first(&kept, 2).done(&written(StatusCode::OK, 6), [].into());
        assert!(matches!(kept.claim([2; 32], [0; 32]), Claim::Same(_)));
        drop(first(&kept, 1));
        assert_eq!(kept.inner().bytes, 6);
        let short = Kept::new(Duration::ZERO, 10);
        first(&short, 1).done(&written(StatusCode::OK, 6), [].into());
        std::thread::sleep(Duration::from_millis(2));
        drop(first(&short, 1));
        assert_eq!(short.inner().bytes, 0);
    }
}
