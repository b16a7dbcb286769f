//! Where the public keys of issuers come from: files, and addresses that are fetched ahead of need and again when a key is not known.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock, Weak},
    time::{Duration, Instant},
};

use jsonwebtoken::{Algorithm, DecodingKey};
use reqwest::StatusCode;
use tokio::sync::Mutex;
use url::Url;

use super::keys::Keys;
use crate::outbound::{Accept, Outbound};

/// Between two attempts to load a set, whatever callers send.
const PAUSE: Duration = Duration::from_secs(5);
/// Longest time that keys are used which cannot be loaded anew.
const OLDEST: Duration = Duration::from_secs(24 * 60 * 60);
/// For fetching a set.
const PATIENCE: Duration = Duration::from_millis(1500);
/// Longest set.
const LIMIT: u64 = 256 * 1024;

enum Source {
    File(PathBuf),
    Address(Url, Arc<Outbound>),
}

/// A key set.
pub struct Set {
    source: Source,
    kept: RwLock<Option<Kept>>,
    /// When loading was last tried; held while it is.
    tried: Mutex<Option<Instant>>,
}

#[derive(Clone)]
struct Kept {
    keys: Arc<Keys>,
    loaded: Instant,
}

impl Set {
    /// Reads a file.
    ///
    /// # Errors
    /// In words for the operator.
    pub fn file(path: &Path) -> Result<Self, String> {
        let kept = Kept {
            keys: Arc::new(read(path)?),
            loaded: Instant::now(),
        };
        Ok(Self {
            source: Source::File(path.to_owned()),
            kept: RwLock::new(Some(kept)),
            tried: Mutex::new(None),
        })
    }

    /// A set that is to be fetched; nothing is sent yet.
    #[must_use]
    pub fn address(url: Url, outbound: Arc<Outbound>) -> Self {
        Self {
            source: Source::Address(url, outbound),
            kept: RwLock::new(None),
            tried: Mutex::new(None),
        }
    }

    /// Whether it is the set at this address.
    #[must_use]
    pub fn is_at(&self, jku: &str) -> bool {
        matches!(&self.source, Source::Address(url, _) if url.as_str() == jku)
    }

    /// Whether it is to be fetched.
    #[must_use]
    pub fn is_remote(&self) -> bool {
        matches!(self.source, Source::Address(..))
    }

    /// Whether keys are at hand.
    #[must_use]
    pub fn is_loaded(&self) -> bool {
        self.kept().is_some()
    }

    fn kept(&self) -> Option<Kept> {
        let kept = self.kept.read().unwrap_or_else(PoisonError::into_inner);
        kept.clone().filter(|kept| kept.loaded.elapsed() < OLDEST)
    }

    fn known(&self, id: &str, algorithm: Algorithm) -> Option<DecodingKey> {
        self.kept()?.keys.find(id, algorithm).cloned()
    }

    /// A key; a set that does not hold it is loaded anew first, but not more often than each [`PAUSE`].
    pub async fn find(&self, id: &str, algorithm: Algorithm) -> Option<DecodingKey> {
        match self.known(id, algorithm) {
            Some(key) => Some(key),
            None => {
                self.load(PAUSE).await;
                self.known(id, algorithm)
            }
        }
    }

    /// Loads the set unless that was tried within `pause`. Keys that are at hand stay when it fails.
    async fn load(&self, pause: Duration) {
        let mut tried = self.tried.lock().await;
        if tried.is_some_and(|tried| tried.elapsed() < pause) {
            return;
        }
        *tried = Some(Instant::now());
        let loaded = match &self.source {
            Source::File(path) => read(path),
            Source::Address(url, outbound) => fetch(url, outbound).await,
        };
        match loaded {
            Ok(keys) => {
                let kept = Kept {
                    keys: Arc::new(keys),
                    loaded: Instant::now(),
                };
                *self.kept.write().unwrap_or_else(PoisonError::into_inner) = Some(kept);
            }
            Err(why) => tracing::warn!(why, "a key set could not be loaded"),
        }
    }
}

fn read(path: &Path) -> Result<Keys, String> {
    let name = path.display();
    let text = std::fs::read(path).map_err(|e| format!("key set {name}: {e}"))?;
    Keys::parse(&text).map_err(|e| format!("key set {name}: {e}"))
}

async fn fetch(url: &Url, outbound: &Outbound) -> Result<Keys, String> {
    let answer = outbound
        .get(url, Accept::Json, None, LIMIT, Instant::now() + PATIENCE)
        .await;
    let answer = answer.map_err(|e| format!("key set {url}: {e}"))?;
    if answer.status != StatusCode::OK {
        return Err(format!(
            "key set {url}: the server answered with status {}",
            answer.status.as_u16()
        ));
    }
    Keys::parse(&answer.body).map_err(|e| format!("key set {url}: {e}"))
}

/// Loads sets of addresses ahead of need, and anew before callers would find them too old, while anybody holds them.
pub async fn keep_fresh(sets: Vec<Weak<Set>>, age: Duration) {
    loop {
        let mut missing = false;
        for set in &sets {
            let Some(set) = set.upgrade() else { return };
            set.load(age.min(PAUSE)).await;
            missing |= !set.is_loaded();
        }
        tokio::time::sleep(if missing { PAUSE } else { age }).await;
    }
}
