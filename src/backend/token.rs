//! What servers say of themselves and of tokens. Specification: SMART App Launch 2.2, "Backend Services" and "Conformance"; RFC 6749,
//! section 5.

use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::Value;
use url::Url;

use crate::{cds::request::Secret, outbound};

/// Longest token that is taken: it must fit into the header of a request.
const LONGEST_TOKEN: usize = 16 * 1024;
/// How long a token lasts whose server does not say so, and the longest that one is used.
const UNSAID: Duration = Duration::from_secs(60);
const MOST: Duration = Duration::from_secs(24 * 3600);

/// Why there is no token. For operators: says nothing that is secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// No whole answer.
    #[error("the token endpoint or .well-known/smart-configuration of the FHIR server: {0}")]
    Outbound(#[from] outbound::Failure),
    /// No configuration.
    #[error(
        "the FHIR server has no usable .well-known/smart-configuration with a token_endpoint; set backend.token_url"
    )]
    Configuration,
    /// It names an endpoint elsewhere.
    #[error(
        "the FHIR server names a token_endpoint at another origin than its own; if that is right, add the origin to backend.origins or \
         set backend.token_url"
    )]
    Endpoint,
    /// The token endpoint said no.
    #[error("the token endpoint refused: {0}")]
    Refused(&'static str),
    /// It said yes, but gave nothing to use.
    #[error("the token endpoint's answer cannot be used: it must give access_token and token_type \"bearer\"")]
    Answer,
    /// Ours.
    #[error("the key cannot sign")]
    Key,
}

/// What is used of `.well-known/smart-configuration`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Configuration {
    /// As written, which is the audience of assertions.
    pub token_endpoint: String,
    /// Whether it knows scopes in the manner of version 2 (`.rs`).
    pub scopes_v2: bool,
}

impl Configuration {
    /// Reads the document; the endpoint must lie at the server's origin or at one of `origins`.
    ///
    /// # Errors
    /// [`Trouble`].
    pub fn read(body: &[u8], server: &Url, origins: &[String]) -> Result<Self, Trouble> {
        #[derive(Deserialize)]
        struct Document {
            token_endpoint: String,
            #[serde(default)]
            capabilities: Vec<String>,
        }
        let document: Document = serde_json::from_slice(body).map_err(|_| Trouble::Configuration)?;
        let url = Url::parse(&document.token_endpoint).map_err(|_| Trouble::Configuration)?;
        let origin = url.origin();
        let known = matches!(url.scheme(), "http" | "https") && origin == server.origin();
        if !known && !origins.contains(&origin.ascii_serialization()) {
            return Err(Trouble::Endpoint);
        }
        let version = |name: &str| document.capabilities.iter().any(|capability| capability == name);
        Ok(Self {
            token_endpoint: document.token_endpoint,
            scopes_v2: version("permission-v2") || !version("permission-v1"),
        })
    }
}

/// A token and how long it is good.
#[derive(Debug, Clone)]
pub struct Token {
    /// For the one server.
    pub secret: Secret,
    /// Until then it is used where no other can be had.
    pub expires: Instant,
    /// From then on another is asked for.
    pub renew: Instant,
}

impl Token {
    /// Reads the answer to a request that was sent at `asked`.
    ///
    /// # Errors
    /// [`Trouble::Answer`].
    pub fn read(body: &[u8], asked: Instant) -> Result<Self, Trouble> {
        #[derive(Deserialize)]
        struct Answer {
            access_token: String,
            token_type: String,
            expires_in: Option<Value>,
        }
        let answer: Answer = serde_json::from_slice(body).map_err(|_| Trouble::Answer)?;
        let token = answer.access_token;
        let sendable = (1..=LONGEST_TOKEN).contains(&token.len()) && token.bytes().all(|b| b.is_ascii_graphic());
        if !sendable || !answer.token_type.eq_ignore_ascii_case("bearer") {
            return Err(Trouble::Answer);
        }
        // Some servers write the number as a text.
        let seconds = |value: &Value| value.as_f64().or_else(|| value.as_str()?.parse().ok());
        let lasts = answer.expires_in.as_ref().and_then(seconds);
        let lasts = lasts.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        let lasts = lasts.unwrap_or(UNSAID).min(MOST);
        Ok(Self {
            secret: Secret::new(token),
            expires: asked + lasts,
            // A tenth of its life early, a minute at most: what is asked with it takes some time too.
            renew: asked + lasts.saturating_sub((lasts / 10).min(Duration::from_secs(60))),
        })
    }
}

/// What a refusal says, in words of ours with what to do.
#[must_use]
pub fn refusal(body: &[u8]) -> &'static str {
    #[derive(Deserialize)]
    struct Refusal {
        error: String,
    }
    let code = serde_json::from_slice::<Refusal>(body).map(|refusal| refusal.error);
    match code.as_deref() {
        Ok("invalid_client") => {
            "invalid_client; is backend.client_id registered there, with the public key of backend.key_id (our /.well-known/jwks.json), \
             and is this machine's clock right?"
        }
        Ok("unauthorized_client") => {
            "unauthorized_client; client_credentials must be allowed for backend.client_id there"
        }
        Ok("invalid_scope") => {
            "invalid_scope; set backend.scopes to what was granted to the client, such as \"system/*.read\""
        }
        Ok("invalid_grant") => {
            "invalid_grant; is the token endpoint that of the FHIR server, and is this machine's clock right?"
        }
        Ok("invalid_request" | "unsupported_grant_type") => {
            "it knows no client_credentials with a signed assertion (SMART Backend Services)"
        }
        _ => "without a code that OAuth knows",
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    #[test]
    fn configurations() {
        let server = Url::parse("https://f.example/r4").unwrap();
        let origins = ["https://login.example".to_owned()];
        let read = |document: Value| Configuration::read(document.to_string().as_bytes(), &server, &origins);
        let good =
            read(json!({"token_endpoint": "https://f.example/token", "capabilities": ["permission-v1"]})).unwrap();
        assert_eq!(
            (good.token_endpoint.as_str(), good.scopes_v2),
            ("https://f.example/token", false)
        );
        let both =
            json!({"token_endpoint": "https://login.example", "capabilities": ["permission-v1", "permission-v2"]});
        let both = read(both).unwrap();
        assert_eq!(
            (both.token_endpoint.as_str(), both.scopes_v2),
            ("https://login.example", true)
        );
        for (document, trouble) in [
            (json!({}), Trouble::Configuration),
            (json!({"token_endpoint": "/token"}), Trouble::Configuration),
            (
                json!({"token_endpoint": "https://evil.example/token"}),
                Trouble::Endpoint,
            ),
            (json!({"token_endpoint": "http://f.example/token"}), Trouble::Endpoint),
            (json!({"token_endpoint": "file:///etc/passwd"}), Trouble::Endpoint),
        ] {
            assert_eq!(read(document.clone()), Err(trouble), "{document}");
        }
    }

    #[test]
    fn tokens() {
        let asked = Instant::now();
        let read = |answer: Value| Token::read(answer.to_string().as_bytes(), asked);
        let lasts = |token: &Token| (token.expires - asked, token.renew - asked);
        let good =
            |expires: Value| read(json!({"access_token": "t", "token_type": "Bearer", "expires_in": expires})).unwrap();
        let seconds = Duration::from_secs;
        assert_eq!(lasts(&good(json!(300))), (seconds(300), seconds(270)));
        assert_eq!(lasts(&good(json!("3600"))), (seconds(3600), seconds(3540)));
        assert_eq!(lasts(&good(json!(null))), (seconds(60), seconds(54)));
        assert_eq!(lasts(&good(json!(1e300))), (seconds(60), seconds(54)));
        assert_eq!(lasts(&good(json!(-5))), (seconds(60), seconds(54)));
        assert!(!format!("{:?}", good(json!(1))).contains("\"t\""));
        for bad in [
            json!({"access_token": "t", "token_type": "mac"}),
            json!({"access_token": "", "token_type": "bearer"}),
            json!({"access_token": "a b", "token_type": "bearer"}),
            json!({"token_type": "bearer"}),
            json!([]),
        ] {
            assert_eq!(read(bad.clone()).err(), Some(Trouble::Answer), "{bad}");
        }
    }

    #[test]
    fn a_refusal_is_explained_and_not_repeated() {
        assert!(refusal(br#"{"error":"invalid_client","error_description":"canary"}"#).contains("jwks.json"));
        for other in [&b"<html>canary"[..], br#"{"error":"canary"}"#, b""] {
            assert!(!refusal(other).contains("canary"));
        }
    }
}
