//! The `[[backend]]` sections: FHIR servers at which this server has an access of its own.

use std::path::PathBuf;

use serde::Deserialize;
use url::{Host, Url};

/// One `[[backend]]`: a FHIR server that is read without a hook's token.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BackendSettings {
    /// Base URL of the FHIR server; `fhir.allow` must list it as well.
    pub server: String,
    /// As registered there.
    pub client_id: String,
    /// File with the private key (PKCS#8 PEM, P-384 or RSA from 2048 bits on).
    pub key_file: PathBuf,
    /// Id of that key in our key set, `/.well-known/jwks.json`.
    pub key_id: String,
    /// What to ask for, such as `system/*.rs`. Default: reading the types of resource that the twins need, in the words of the version
    /// of SMART that the server speaks (`.rs` or `.read`).
    #[serde(default)]
    pub scopes: Option<String>,
    /// Token endpoint. Default: what the FHIR server says in `.well-known/smart-configuration`.
    #[serde(default)]
    pub token_url: Option<String>,
    /// Origins beside that of the FHIR server at which the token endpoint that it names may lie.
    #[serde(default)]
    pub origins: Vec<String>,
    /// Tenant whose patients it holds.
    #[serde(default = "local")]
    pub tenant: String,
}

fn local() -> String {
    "local".to_owned()
}

impl BackendSettings {
    /// Base URL and, where it is set, that of the token endpoint.
    ///
    /// # Errors
    /// Which setting cannot work, and what it must be.
    pub fn addresses(&self) -> Result<(Url, Option<Url>), String> {
        let at = |problem: &str| format!("backend {:?}: {problem}", self.server);
        let base = address(&self.server).ok_or_else(|| {
            at("server must be the base URL of a FHIR server, such as https://fhir.hospital.example/r4")
        })?;
        let token = match &self.token_url {
            None => None,
            Some(text) => Some(
                address(text)
                    .ok_or_else(|| at("token_url must be an address such as https://login.hospital.example/token"))?,
            ),
        };
        if [Some(&base), token.as_ref()]
            .into_iter()
            .flatten()
            .any(|url| !is_private(url))
        {
            return Err(at(
                "server and token_url must be https: tokens and records would go over the network in clear",
            ));
        }
        if self.client_id.is_empty() || self.key_id.is_empty() {
            return Err(at(
                "client_id and key_id must not be empty: the server's operator gives the one when this server is registered there, \
                 and finds the public key by the other",
            ));
        }
        if self
            .scopes
            .as_ref()
            .is_some_and(|scopes| scopes.split_ascii_whitespace().next().is_none())
        {
            return Err(at(
                "scopes is empty; write some, such as \"system/*.rs\", or leave it out",
            ));
        }
        let origin = |text: &String| Url::parse(text).is_ok_and(|url| url.origin().ascii_serialization() == *text);
        if !self.origins.iter().all(origin) {
            return Err(at("origins must be origins such as https://login.hospital.example"));
        }
        Ok((base, token))
    }
}

/// Without a slash at its end.
fn address(text: &str) -> Option<Url> {
    let mut url = Url::parse(text).ok()?;
    let path = url.path().trim_end_matches('/').to_owned();
    url.set_path(&path);
    let plain = matches!(url.scheme(), "http" | "https")
        && url.has_host()
        && url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none();
    plain.then_some(url)
}

fn is_private(url: &Url) -> bool {
    url.scheme() == "https"
        || match url.host() {
            Some(Host::Domain(name)) => name == "localhost",
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const GOOD: &str = "server = 'https://f.example/r4/'\nclient_id = 'j'\nkey_file = '/k'\nkey_id = '1'\n";

    fn read(text: &str) -> Result<(Url, Option<Url>), String> {
        toml::from_str::<BackendSettings>(text)
            .map_err(|e| e.to_string())?
            .addresses()
    }

    #[test]
    fn a_good_example() {
        let (server, token) = read(GOOD).unwrap();
        assert_eq!((server.as_str(), token), ("https://f.example/r4", None));
        let more =
            "token_url = 'https://login.example/token'\nscopes = 'system/*.read'\norigins = ['https://login.example']";
        let (_, token) = read(&format!("{GOOD}{more}")).unwrap();
        assert_eq!(token.unwrap().as_str(), "https://login.example/token");
    }

    #[test]
    fn mistakes_are_named() {
        for (text, named) in [
            (GOOD.replace("https://f", "f"), "server must be"),
            (GOOD.replace("https://f", "http://f"), "https"),
            (GOOD.replace("'j'", "''"), "client_id"),
            (GOOD.replace("'1'", "''"), "key_id"),
            (format!("{GOOD}scopes = ' '"), "scopes"),
            (format!("{GOOD}token_url = 'token'"), "token_url"),
            (format!("{GOOD}origins = ['login.example']"), "origins"),
            (format!("{GOOD}secret = 'x'"), "unknown field"),
            (GOOD.replace("key_file = '/k'", ""), "key_file"),
        ] {
            let error = read(&text).unwrap_err();
            assert!(error.contains(named), "{named}: {error}");
        }
    }
}
