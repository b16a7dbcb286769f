//! The `[operations]` section.

use std::time::Duration;

use serde::Deserialize;
use url::Url;

/// FHIR operations for integration engines. Times are written as `"30s"`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OperationsSettings {
    /// Base URL of the FHIR server that `Patient/{id}` lies on when a call does not say; it must be in `fhir.allow`. Default: the only
    /// entry of `fhir.allow`, if there is just one.
    pub server: Option<String>,
    /// Time from the end of the body to the answer. Default 30 s: nobody stands at a bedside and waits.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    pub deadline: Duration,
    /// Entries of a batch that is answered at once. Default 20; longer ones need `Prefer: respond-async`.
    pub batch: usize,
    /// Entries of a batch that is answered later. Default 1000.
    pub entries: usize,
    /// Requests answered later that are under way at one time. Default 16; further ones get 503 with Retry-After.
    pub jobs: usize,
    /// Patients of such requests that are computed at one time, all requests together. Default 1, so that hooks come first.
    pub parallel: usize,
    /// How long the answer to a request identifier, and a result to be fetched, is kept. Default 1 h.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    pub keep: Duration,
    /// Bytes of all that is kept. Default 64 MiB; beyond, the oldest answers go, and further results get 503.
    pub keep_bytes: usize,
}

impl Default for OperationsSettings {
    fn default() -> Self {
        Self {
            server: None,
            deadline: Duration::from_secs(30),
            batch: 20,
            entries: 1000,
            jobs: 16,
            parallel: 1,
            keep: Duration::from_secs(3600),
            keep_bytes: 64 << 20,
        }
    }
}

impl OperationsSettings {
    /// Looks for values that cannot work.
    ///
    /// # Errors
    /// Which setting, and what it must be.
    pub fn check(&self) -> Result<(), String> {
        let counts = [
            ("batch", self.batch),
            ("entries", self.entries),
            ("parallel", self.parallel),
        ];
        if let Some((name, _)) = counts.into_iter().find(|(_, value)| *value == 0) {
            return Err(format!("operations.{name} must be at least 1"));
        }
        let base = |text: &String| Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "http" | "https"));
        if self.server.as_ref().is_some_and(|server| !base(server)) {
            return Err("operations.server must be a base URL such as https://fhir.hospital.example/r4".to_owned());
        }
        if self.deadline < Duration::from_millis(50) {
            return Err("operations.deadline must be at least 50ms".to_owned());
        }
        Ok(())
    }
}
