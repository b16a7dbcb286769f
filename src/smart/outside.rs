//! Requests to the EHR's authorisation server and for the Patient.

use std::time::{Duration, Instant};

use reqwest::{StatusCode, header, redirect};
use tokio::{sync::Semaphore, time::timeout_at};
use url::Url;

use super::{configuration, trouble::Trouble};
use crate::cds::request::Secret;

/// For one request.
const PATIENCE: Duration = Duration::from_secs(5);

/// Requests under way at one time: anybody can begin a launch.
const AT_ONCE: usize = 64;

/// The client.
#[derive(Debug)]
pub struct Outside {
    client: reqwest::Client,
    turns: Semaphore,
}

impl Outside {
    /// Sets the client up; no request is made.
    ///
    /// # Errors
    /// When the HTTP library cannot start.
    pub fn new() -> Result<Self, String> {
        let client = reqwest::Client::builder()
            .user_agent(concat!("jumeau/", env!("CARGO_PKG_VERSION")))
            .redirect(redirect::Policy::none())
            .no_proxy()
            .referer(false)
            .connect_timeout(Duration::from_secs(2))
            .build();
        Ok(Self {
            client: client.map_err(|e| e.to_string())?,
            turns: Semaphore::new(AT_ONCE),
        })
    }

    /// Gets a JSON document.
    ///
    /// # Errors
    /// [`Trouble::Unreachable`], also for any other status than 200; [`Trouble::Busy`].
    pub async fn get(&self, url: Url, token: Option<&Secret>) -> Result<Vec<u8>, Trouble> {
        let mut request = self
            .client
            .get(url)
            .header(header::ACCEPT, "application/json, application/fhir+json");
        if let Some(token) = token {
            request = request.bearer_auth(token.reveal());
        }
        match self.whole(request).await? {
            (StatusCode::OK, body) => Ok(body),
            _ => Err(Trouble::Unreachable),
        }
    }

    /// Sends a form to a token endpoint.
    ///
    /// # Errors
    /// [`Trouble::Unreachable`]; [`Trouble::Busy`]; [`Trouble::TokenRefused`] for any other status than 200.
    pub async fn post(
        &self,
        url: Url,
        form: &[(&str, &str)],
        proof: Option<(&str, &Secret)>,
    ) -> Result<Vec<u8>, Trouble> {
        let body = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(form)
            .finish();
        let mut request = self
            .client
            .post(url)
            .header(header::ACCEPT, "application/json")
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(body);
        if let Some((id, secret)) = proof {
            // Both are encoded before they are joined (RFC 6749, section 2.3.1).
            let encoded = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
            request = request.basic_auth(encoded(id), Some(encoded(secret.reveal())));
        }
        match self.whole(request).await? {
            (StatusCode::OK, body) => Ok(body),
            _ => Err(Trouble::TokenRefused),
        }
    }

    async fn whole(&self, request: reqwest::RequestBuilder) -> Result<(StatusCode, Vec<u8>), Trouble> {
        let _turn = self.turns.try_acquire().map_err(|_| Trouble::Busy)?;
        let all = async {
            let mut answer = request.send().await.map_err(|_| Trouble::Unreachable)?;
            let mut body = Vec::new();
            while let Some(chunk) = answer.chunk().await.map_err(|_| Trouble::Unreachable)? {
                if (body.len() as u64).saturating_add(chunk.len() as u64) > configuration::LONGEST {
                    return Err(Trouble::Unreachable);
                }
                body.extend_from_slice(&chunk);
            }
            Ok((answer.status(), body))
        };
        timeout_at((Instant::now() + PATIENCE).into(), all)
            .await
            .map_err(|_| Trouble::Unreachable)?
    }
}
