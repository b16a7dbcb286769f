//! Requests to the EHR's authorisation server and for the Patient.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use reqwest::StatusCode;
use url::Url;

use super::{configuration::LONGEST, trouble::Trouble};
use crate::{
    cds::request::Secret,
    outbound::{Accept, Answer, Authorization, Failure, Outbound},
};

/// For one request.
const PATIENCE: Duration = Duration::from_secs(5);

/// The client.
#[derive(Debug)]
pub struct Outside(pub Arc<Outbound>);

impl Outside {
    /// Gets a JSON document.
    ///
    /// # Errors
    /// [`Trouble::Unreachable`], also for any other status than 200; [`Trouble::Busy`].
    pub async fn get(&self, url: &Url, token: Option<&Secret>) -> Result<Vec<u8>, Trouble> {
        let authorization = token.and_then(|token| Authorization::bearer(token.reveal()));
        let accept = if token.is_some() { Accept::Fhir } else { Accept::Json };
        let asked = self.0.get(url, accept, authorization.as_ref(), LONGEST, deadline());
        body(asked.await, Trouble::Unreachable)
    }

    /// Sends a form to a token endpoint.
    ///
    /// # Errors
    /// [`Trouble::Unreachable`]; [`Trouble::Busy`]; [`Trouble::TokenRefused`] for any other status than 200.
    pub async fn post(
        &self,
        url: &Url,
        form: &[(&str, &str)],
        proof: Option<(&str, &Secret)>,
    ) -> Result<Vec<u8>, Trouble> {
        let authorization = proof.and_then(|(id, secret)| Authorization::basic(id, secret.reveal()));
        let asked = self.0.post_form(url, form, authorization.as_ref(), LONGEST, deadline());
        body(asked.await, Trouble::TokenRefused)
    }
}

fn deadline() -> Instant {
    Instant::now() + PATIENCE
}

fn body(answer: Result<Answer, Failure>, refused: Trouble) -> Result<Vec<u8>, Trouble> {
    match answer {
        Ok(answer) if answer.status == StatusCode::OK => Ok(answer.body),
        Ok(_) => Err(refused),
        Err(Failure::Busy) => Err(Trouble::Busy),
        Err(_) => Err(Trouble::Unreachable),
    }
}
