//! What an EHR says of its authorisation server. Specification: SMART App Launch 2.2, "Conformance", `.well-known/smart-configuration`.

use serde::Deserialize;
use url::Url;

use super::{issuer::Issuer, trouble::Trouble};

/// Longest document that is read.
pub const LONGEST: u64 = 256 * 1024;

/// What is used of the document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Configuration {
    /// Where the browser is sent.
    pub authorize: Url,
    /// Where the code is exchanged.
    pub token: Url,
    /// Name of the authorisation server, with which it may sign its answers (RFC 9207).
    pub issuer: Option<String>,
    /// Whether it says that it puts its name on every answer.
    pub names_itself: bool,
    /// Whether it knows scopes in the manner of version 2 (`.rs`).
    pub scopes_v2: bool,
}

#[derive(Deserialize)]
struct Document {
    authorization_endpoint: Option<String>,
    token_endpoint: Option<String>,
    issuer: Option<String>,
    #[serde(default)]
    capabilities: Vec<String>,
    #[serde(default)]
    code_challenge_methods_supported: Vec<String>,
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
}

impl Configuration {
    /// Reads the document of an issuer.
    ///
    /// # Errors
    /// [`Trouble::Configuration`] where it is not usable, [`Trouble::Endpoint`] where it leads to an origin that is not configured,
    /// [`Trouble::NoPkce`] where the server says what it supports and S256 is not in it.
    pub fn read(body: &[u8], issuer: &Issuer) -> Result<Self, Trouble> {
        let document: Document = serde_json::from_slice(body).map_err(|_| Trouble::Configuration)?;
        let endpoint = |text: Option<String>| {
            let url = text
                .and_then(|text| Url::parse(&text).ok())
                .ok_or(Trouble::Configuration)?;
            let plain = url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
            if !plain {
                return Err(Trouble::Configuration);
            }
            if issuer.knows(&url) {
                Ok(url)
            } else {
                Err(Trouble::Endpoint)
            }
        };
        let methods = &document.code_challenge_methods_supported;
        if !methods.is_empty() && !methods.iter().any(|method| method == "S256") {
            return Err(Trouble::NoPkce);
        }
        let can = |name: &str| document.capabilities.iter().any(|own| own == name);
        Ok(Self {
            authorize: endpoint(document.authorization_endpoint)?,
            token: endpoint(document.token_endpoint)?,
            issuer: document.issuer,
            names_itself: document.authorization_response_iss_parameter_supported,
            // A server that says nothing of either is of version 2 or later.
            scopes_v2: can("permission-v2") || !can("permission-v1"),
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::{Value, json};

    use super::*;

    fn read(change: Value) -> Result<Configuration, Trouble> {
        let mut document = json!({
            "authorization_endpoint": "https://fhir.example/authorize",
            "token_endpoint": "https://login.example/token",
            "code_challenge_methods_supported": ["S256"],
            "capabilities": ["launch-ehr", "permission-v2"],
        });
        for (name, value) in change.as_object().unwrap() {
            document[name] = value.clone();
        }
        let issuer = Issuer::for_tests("https://fhir.example/r4", &["https://login.example"]);
        Configuration::read(document.to_string().as_bytes(), &issuer)
    }

    #[test]
    fn endpoints_at_known_origins_are_taken() {
        let found = read(json!({})).unwrap();
        assert_eq!(found.token.as_str(), "https://login.example/token");
        assert!(found.scopes_v2 && !found.names_itself);
        assert!(!read(json!({"capabilities": ["permission-v1"]})).unwrap().scopes_v2);
    }

    #[test]
    fn others_are_not() {
        for (change, trouble) in [
            (
                json!({"token_endpoint": "https://evil.example/token"}),
                Trouble::Endpoint,
            ),
            (
                json!({"token_endpoint": "http://login.example/token"}),
                Trouble::Endpoint,
            ),
            (
                json!({"token_endpoint": "https://login.example:444/token"}),
                Trouble::Endpoint,
            ),
            (
                json!({"authorization_endpoint": "javascript:alert(1)"}),
                Trouble::Endpoint,
            ),
            (
                json!({"authorization_endpoint": "https://a:b@fhir.example/"}),
                Trouble::Configuration,
            ),
            (json!({"authorization_endpoint": null}), Trouble::Configuration),
            (json!({"token_endpoint": "token"}), Trouble::Configuration),
            (json!({"code_challenge_methods_supported": ["plain"]}), Trouble::NoPkce),
        ] {
            assert_eq!(read(change.clone()), Err(trouble), "{change}");
        }
    }
}
