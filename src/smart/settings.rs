//! The `[smart]` section: at which EHRs this server is an app.

use std::{path::PathBuf, time::Duration};

use serde::Deserialize;
use url::{Host, Url};

/// The `[smart]` section.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SmartSettings {
    /// The EHRs.
    pub issuer: Vec<IssuerSettings>,
    /// Longest time that a page can be looked at without a new launch; tokens that end earlier end it earlier.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    pub session: Duration,
    /// Pages open at one time; a further one ends the one that would end soonest.
    pub sessions: usize,
    /// Time from the launch to the answer of the authorisation server, in which somebody may have to log in.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    pub launch: Duration,
    /// Time for one page: reading the record and computing.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    pub deadline: Duration,
}

impl Default for SmartSettings {
    fn default() -> Self {
        Self {
            issuer: Vec::new(),
            session: Duration::from_secs(30 * 60),
            sessions: 1000,
            launch: Duration::from_secs(5 * 60),
            deadline: Duration::from_secs(10),
        }
    }
}

/// One `[[smart.issuer]]`: an EHR from which the app may be launched.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IssuerSettings {
    /// Base URL of its FHIR server, as the EHR writes it in `iss`.
    pub iss: String,
    /// As registered there.
    pub client_id: String,
    /// File with the client secret of a confidential client.
    #[serde(default)]
    pub client_secret_file: Option<PathBuf>,
    /// File with the private key (PKCS#8 PEM) of a confidential client that signs assertions.
    #[serde(default)]
    pub key_file: Option<PathBuf>,
    /// Id of that key in the key set that the EHR knows.
    #[serde(default)]
    pub key_id: Option<String>,
    /// What to ask for, instead of reading the types of resource that the twins need.
    #[serde(default)]
    pub scopes: Option<String>,
    /// Origins beside that of `iss` at which its authorisation and token endpoints may lie.
    #[serde(default)]
    pub origins: Vec<String>,
    /// Origins of pages that may show the twin's page in a frame.
    #[serde(default)]
    pub frame_ancestors: Vec<String>,
    /// Tenant that its patients belong to.
    #[serde(default = "local")]
    pub tenant: String,
}

fn local() -> String {
    "local".to_owned()
}

impl SmartSettings {
    /// Looks for values that cannot work.
    ///
    /// # Errors
    /// Which setting, and what it must be.
    pub fn check(&self) -> Result<(), String> {
        for (name, time) in [
            ("session", self.session),
            ("launch", self.launch),
            ("deadline", self.deadline),
        ] {
            if time < Duration::from_secs(1) {
                return Err(format!("smart.{name} must be at least 1s"));
            }
        }
        self.issuer.iter().try_for_each(IssuerSettings::check)
    }
}

impl IssuerSettings {
    /// A public client of an EHR, with nothing else than it must have.
    #[must_use]
    pub fn public(iss: String, client_id: String) -> Self {
        Self {
            iss,
            client_id,
            client_secret_file: None,
            key_file: None,
            key_id: None,
            scopes: None,
            origins: Vec::new(),
            frame_ancestors: Vec::new(),
            tenant: local(),
        }
    }

    fn check(&self) -> Result<(), String> {
        let at = |problem: &str| Err(format!("smart.issuer {:?}: {problem}", self.iss));
        let Some(url) = base(&self.iss) else {
            return at("iss must be the base URL of the EHR's FHIR server, such as https://fhir.hospital.example/r4");
        };
        if url.scheme() != "https" && !is_loopback(&url) {
            return at("iss must be https: tokens and records would go over the network in clear");
        }
        if self.client_id.is_empty() {
            return at("client_id is missing: the EHR gives it when the app is registered there");
        }
        if self.client_secret_file.is_some() && self.key_file.is_some() {
            return at("client_secret_file or key_file, not both: the EHR says which it expects");
        }
        if self.key_file.is_some() != self.key_id.is_some() {
            return at("key_file and key_id go together: the EHR finds the public key by its id");
        }
        for (name, list) in [("origins", &self.origins), ("frame_ancestors", &self.frame_ancestors)] {
            if list.iter().any(|text| !is_origin(text)) {
                return at(&format!("{name} must be origins such as https://ehr.hospital.example"));
            }
        }
        Ok(())
    }
}

/// A base URL in the normal form of the URL standard, without a slash at its end (the root path keeps it, as URLs do).
#[must_use]
pub fn base(text: &str) -> Option<Url> {
    let mut url = Url::parse(text).ok()?;
    let plain = matches!(url.scheme(), "http" | "https")
        && url.has_host()
        && url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none();
    let path = url.path().trim_end_matches('/').to_owned();
    url.set_path(&path);
    plain.then_some(url)
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// Whether a browser would write this in its Origin header.
fn is_origin(text: &str) -> bool {
    Url::parse(text)
        .is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.origin().ascii_serialization() == text)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn read(text: &str) -> Result<(), String> {
        toml::from_str::<SmartSettings>(text)
            .map_err(|e| e.to_string())?
            .check()
    }

    #[test]
    fn defaults_and_a_good_example() {
        assert_eq!(read(""), Ok(()));
        let good = "session = '20m'\n[[issuer]]\niss = 'https://f.example/r4'\n\
                    client_id = 'j'\norigins = ['https://login.example']\nframe_ancestors = ['https://ehr.example:8443']";
        assert_eq!(read(good), Ok(()));
    }

    #[test]
    fn mistakes_are_named() {
        let issuer = |line: &str| format!("[[issuer]]\niss = 'https://f.example'\n{line}");
        for (text, named) in [
            ("session = '0s'".to_owned(), "smart.session"),
            (issuer("client_id = ''"), "client_id"),
            (issuer("client_id = 'j'\nkey_file = 'k'"), "key_id"),
            (
                issuer("client_id = 'j'\nkey_file = 'k'\nkey_id = 'i'\nclient_secret_file = 's'"),
                "not both",
            ),
            (issuer("client_id = 'j'\norigins = ['login.example']"), "origins"),
            (issuer("client_id = 'j'\nframe_ancestors = ['*']"), "frame_ancestors"),
            (
                "[[issuer]]\niss = 'https://f.example?x'\nclient_id = 'j'".to_owned(),
                "iss",
            ),
            (
                "[[issuer]]\niss = 'http://f.example'\nclient_id = 'j'".to_owned(),
                "https",
            ),
            (issuer("client_id = 'j'\nsecret = 'never in the file'"), "unknown field"),
        ] {
            let error = read(&text).unwrap_err();
            assert!(error.contains(named), "{named}: {error}");
        }
    }
}
