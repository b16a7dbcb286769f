//! Which version of FHIR a server speaks, from its CapabilityStatement (FHIR R4, "RESTful API", 3.1.0.1.9 `capabilities`).
//!
//! R4 and R4B are read: what is read here is the same in both. In R5 doses and orders look different, and a record that is read in
//! part is worse than none; such a server is refused. It is asked beside the first queries and at most a moment longer. A server
//! that does not say what it speaks (some publish no statement) is taken for R4, as CDS Hooks clients of today are.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use serde::Deserialize;
use tokio::{sync::watch, time::timeout};
use url::Url;

use crate::outbound::{Accept, Outbound, allow_list::Base};

/// Longest statement that is read; those of large servers have one or two MiB.
const LONGEST: u64 = 8 * 1024 * 1024;
/// Longest time that the statement may take; calls do not wait for it.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a version is believed, and how long a failure to say it.
const FRESH: Duration = Duration::from_secs(3600);
const FAILED: Duration = Duration::from_secs(300);
/// Servers remembered; beyond, all are asked again.
const SERVERS: usize = 1000;

/// What a server speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// 4.0.x: R4.
    R4,
    /// 4.1 and 4.3: R4B.
    R4b,
    /// Any other: DSTU2, STU3, R5, …
    Other,
}

impl Version {
    /// From `CapabilityStatement.fhirVersion`.
    fn of(text: &str) -> Self {
        let mut parts = text.split(['.', '-']);
        match (parts.next(), parts.next()) {
            (Some("4"), Some("0")) => Self::R4,
            (Some("4"), Some("1" | "3")) => Self::R4b,
            _ => Self::Other,
        }
    }
}

/// What is known so far; `None` inside: it was asked and did not say.
type News = watch::Receiver<Option<Option<Version>>>;

/// The versions of all servers that were asked.
#[derive(Debug, Default)]
pub struct Versions(Mutex<HashMap<Url, (Instant, News)>>);

/// A question that is under way or answered.
#[derive(Debug)]
pub struct Asked(News);

impl Versions {
    /// Asks the server, unless it was asked lately. Must be called inside a tokio runtime.
    #[must_use]
    pub fn ask(&self, outbound: &Arc<Outbound>, base: &Base) -> Asked {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((since, news)) = known.get(base.url()) {
            let fresh = match *news.borrow() {
                Some(Some(_)) => FRESH,
                _ => FAILED,
            };
            if since.elapsed() < fresh {
                return Asked(news.clone());
            }
        }
        if known.len() >= SERVERS {
            known.clear();
        }
        let (tell, news) = watch::channel(None);
        known.insert(base.url().clone(), (Instant::now(), news.clone()));
        let (outbound, base) = (Arc::clone(outbound), base.clone());
        tokio::spawn(async move {
            let version = read(&outbound, &base).await;
            match version {
                Some(Version::Other) => {
                    tracing::error!(server = %base.url(), "this server speaks neither FHIR R4 nor R4B: it is not read");
                }
                version => tracing::debug!(?version, "a FHIR server was asked for its version"),
            }
            // Nobody may wait for it any more.
            let _ = tell.send(Some(version));
        });
        Asked(news)
    }
}

impl Asked {
    /// The version, if it is known or becomes so within `patience`.
    pub async fn version(mut self, patience: Duration) -> Option<Version> {
        let told = timeout(patience, self.0.wait_for(Option::is_some)).await;
        told.ok()?.ok().and_then(|version| version.flatten())
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Statement {
    resource_type: String,
    fhir_version: String,
}

async fn read(outbound: &Outbound, base: &Base) -> Option<Version> {
    let url = base.query("metadata")?;
    // Without a token: the statement is open to all, and it may be had after the call that brought the token.
    let asked = outbound.get(&url, Accept::Fhir, None, LONGEST, Instant::now() + PATIENCE);
    let answer = asked.await.ok().filter(|answer| answer.status.is_success())?;
    let statement: Statement = serde_json::from_slice(&answer.body).ok()?;
    (statement.resource_type == "CapabilityStatement").then(|| Version::of(&statement.fhir_version))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::fhir::stub::{Stub, outbound};
    use crate::outbound::allow_list::AllowList;

    #[test]
    fn versions() {
        for (text, version) in [
            ("4.0.1", Version::R4),
            ("4.0.0", Version::R4),
            ("4.1.0", Version::R4b),
            ("4.3.0", Version::R4b),
            ("4.3.0-cibuild", Version::R4b),
            ("5.0.0", Version::Other),
            ("4.2.0", Version::Other),
            ("3.0.2", Version::Other),
            ("40.0", Version::Other),
            ("", Version::Other),
        ] {
            assert_eq!(Version::of(text), version, "{text}");
        }
    }

    #[actix_web::test]
    async fn it_is_asked_once_and_nobody_waits_long() {
        let list = AllowList::new::<&str>("fhir.allow", &[], true).unwrap();
        for (path, version, patience) in [
            ("", Some(Version::R4), 2000),
            ("/r5", Some(Version::Other), 2000),
            ("/none", None, 2000),
            ("/slow", None, 20),
        ] {
            let stub = Stub::start("http://127.0.0.1:9");
            let base = list
                .admit(&Url::parse(&format!("{}{path}", stub.base())).unwrap())
                .unwrap();
            let (versions, outbound) = (Versions::default(), outbound());
            for _ in 0..3 {
                let begun = Instant::now();
                let asked = versions.ask(&outbound, &base);
                assert_eq!(asked.version(Duration::from_millis(patience)).await, version, "{path}");
                assert!(begun.elapsed() < Duration::from_millis(patience + 500));
            }
            assert_eq!(stub.targets(), [format!("/r4{path}/metadata")]);
            assert!(!stub.seen.lock().unwrap()[0].headers.contains_key("authorization"));
        }
    }
}
