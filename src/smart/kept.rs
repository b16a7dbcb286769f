//! What is remembered between two requests of a browser: in memory only, for a time, so many at most.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use sha2::{Digest, Sha256};
use uuid::Uuid;

/// A text that nobody guesses: 64 hexadecimal digits, 244 bits of them random. Fits a code verifier (RFC 7636, section 4.1), a state
/// and a cookie.
#[must_use]
pub fn unguessable() -> String {
    format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple())
}

/// Whether two secrets are the same; takes as long wherever they differ.
#[must_use]
pub fn same(one: &str, other: &str) -> bool {
    Sha256::digest(one) == Sha256::digest(other)
}

/// Values under unguessable names.
#[derive(Debug)]
pub struct Kept<T> {
    most: usize,
    values: Mutex<HashMap<String, (Instant, Arc<T>)>>,
}

impl<T> Kept<T> {
    /// So many at most; at least one.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self {
            most: most.max(1),
            values: Mutex::default(),
        }
    }

    fn values(&self) -> MutexGuard<'_, HashMap<String, (Instant, Arc<T>)>> {
        self.values.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers a value until a moment. Where there is no room, what ends soonest makes it.
    pub fn put(&self, name: String, value: T, until: Instant) {
        let now = Instant::now();
        let mut values = self.values();
        // What is over, a token among it, does not stay for want of others.
        values.retain(|_, (end, _)| *end > now);
        if values.len() >= self.most
            && let Some(first) = values
                .iter()
                .min_by_key(|(_, (end, _))| *end)
                .map(|(name, _)| name.clone())
        {
            values.remove(&first);
        }
        values.insert(name, (until, Arc::new(value)));
    }

    /// The value, which is forgotten with that.
    #[must_use]
    pub fn take(&self, name: &str) -> Option<Arc<T>> {
        let (until, value) = self.values().remove(name)?;
        (until > Instant::now()).then_some(value)
    }

    /// The value.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Arc<T>> {
        let mut values = self.values();
        let (until, value) = values.get(name)?;
        if *until > Instant::now() {
            return Some(Arc::clone(value));
        }
        values.remove(name);
        None
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_value_is_taken_once_and_not_after_its_time() {
        let kept = Kept::new(9);
        let later = Instant::now() + Duration::from_secs(60);
        kept.put("a".to_owned(), 1, later);
        kept.put("old".to_owned(), 2, Instant::now());
        assert_eq!(kept.get("a").as_deref(), Some(&1));
        assert_eq!(kept.take("a").as_deref(), Some(&1));
        assert_eq!((kept.take("a"), kept.get("a")), (None, None));
        assert_eq!((kept.get("old"), kept.take("old")), (None, None));
    }

    #[test]
    fn what_ends_soonest_makes_room() {
        let kept = Kept::new(2);
        let at = |seconds| Instant::now() + Duration::from_secs(seconds);
        kept.put("long".to_owned(), 1, at(90));
        kept.put("short".to_owned(), 2, at(30));
        kept.put("new".to_owned(), 3, at(60));
        assert_eq!(kept.get("short"), None);
        assert!(kept.get("long").is_some() && kept.get("new").is_some());
        // What is over goes before what is not.
        let kept = Kept::new(2);
        kept.put("over".to_owned(), 1, Instant::now());
        kept.put("long".to_owned(), 2, at(90));
        kept.put("new".to_owned(), 3, at(60));
        assert!(kept.get("long").is_some() && kept.get("new").is_some());
    }

    #[test]
    fn secrets() {
        let (one, two) = (unguessable(), unguessable());
        assert_eq!(one.len(), 64);
        assert!(one != two && same(&one, &one) && !same(&one, &two) && !same(&one, ""));
    }
}
