//! An EHR that is configured: who we are there, and what it says of itself.

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use url::Url;

use super::{
    configuration::Configuration,
    settings::{IssuerSettings, base},
};
use crate::{cds::request::Secret, outbound::assertion::Signer};

/// How long a configuration is believed.
const FRESH: Duration = Duration::from_secs(600);

/// How the app proves who it is at the token endpoint.
#[derive(Debug)]
pub enum Proof {
    /// Not at all: PKCE alone binds the code to this server.
    Public,
    /// A secret in the Authorization header (`client_secret_basic`).
    Secret(Secret),
    /// A signed assertion (`private_key_jwt`).
    Key(Box<Signer>),
}

/// One EHR.
#[derive(Debug)]
pub struct Issuer {
    /// Base URL of its FHIR server.
    pub base: Url,
    /// As registered there.
    pub client_id: String,
    /// How to prove that.
    pub proof: Proof,
    /// What to ask for, where the default does not do.
    pub scopes: Option<String>,
    /// Origins of pages that may frame ours.
    pub frame_ancestors: Vec<String>,
    /// Tenant of its patients.
    pub tenant: String,
    origins: Vec<String>,
    known: Mutex<Option<(Instant, Arc<Configuration>)>>,
}

impl Issuer {
    /// Reads the files that the settings name.
    ///
    /// # Errors
    /// In words for the operator: which file, and what is wrong with it.
    pub fn new(settings: &IssuerSettings) -> Result<Self, String> {
        let of = |problem: String| format!("smart.issuer {:?}: {problem}", settings.iss);
        let base = base(&settings.iss).ok_or_else(|| of("iss is not a base URL".to_owned()))?;
        let proof = match (&settings.client_secret_file, &settings.key_file, &settings.key_id) {
            (Some(file), ..) => Proof::Secret(secret(file).map_err(of)?),
            (None, Some(file), Some(id)) => Proof::Key(Box::new(Signer::read(file, id).map_err(of)?)),
            _ => Proof::Public,
        };
        Ok(Self {
            client_id: settings.client_id.clone(),
            proof,
            scopes: settings.scopes.clone(),
            frame_ancestors: settings.frame_ancestors.clone(),
            tenant: settings.tenant.clone(),
            origins: settings.origins.clone(),
            known: Mutex::default(),
            base,
        })
    }

    /// Whether an address lies at the EHR's own origin or at one that is configured for it.
    #[must_use]
    pub fn knows(&self, url: &Url) -> bool {
        let origin = url.origin();
        let own = matches!(url.scheme(), "http" | "https") && origin == self.base.origin();
        own || self.origins.contains(&origin.ascii_serialization())
    }

    /// Where the EHR says what it can.
    #[must_use]
    pub fn configuration_url(&self) -> Option<Url> {
        let path = self.base.path().trim_end_matches('/');
        self.base.join(&format!("{path}/.well-known/smart-configuration")).ok()
    }

    /// What it said of itself lately.
    #[must_use]
    pub fn configuration(&self) -> Option<Arc<Configuration>> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known
            .as_ref()
            .filter(|(since, _)| since.elapsed() < FRESH)
            .map(|(_, configuration)| Arc::clone(configuration))
    }

    /// Remembers what it says of itself.
    pub fn remember(&self, configuration: Configuration) -> Arc<Configuration> {
        let configuration = Arc::new(configuration);
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), Arc::clone(&configuration)));
        configuration
    }

    #[cfg(test)]
    pub(super) fn for_tests(iss: &str, origins: &[&str]) -> Self {
        let settings = IssuerSettings {
            origins: origins.iter().map(|text| (*text).to_owned()).collect(),
            ..IssuerSettings::public(iss.to_owned(), "app".to_owned())
        };
        Self::new(&settings).unwrap_or_else(|error| unreachable!("{error}"))
    }
}

fn secret(file: &Path) -> Result<Secret, String> {
    let text = std::fs::read_to_string(file).map_err(|e| format!("{}: {e}", file.display()))?;
    match text.trim() {
        "" => Err(format!("{} is empty; it must hold the client secret", file.display())),
        secret => Ok(Secret::new(secret.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configuration_lies_under_the_base() {
        for (iss, url) in [
            (
                "https://f.example/r4/",
                "https://f.example/r4/.well-known/smart-configuration",
            ),
            ("https://f.example", "https://f.example/.well-known/smart-configuration"),
        ] {
            let found = Issuer::for_tests(iss, &[]).configuration_url();
            assert_eq!(found.as_ref().map(Url::as_str), Some(url));
        }
    }
}
