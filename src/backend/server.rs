//! One FHIR server and the token for it.

use std::{
    collections::BTreeSet,
    sync::{
        Mutex as Plain, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use reqwest::StatusCode;
use tokio::sync::Mutex;
use url::Url;

use super::{
    settings::BackendSettings,
    token::{Configuration, Token, Trouble, refusal},
};
use crate::{
    cds::request::Secret,
    metrics,
    outbound::{
        Accept, Failure, Outbound,
        assertion::{KIND, Signer},
    },
};

/// Longest answer that is read.
const LONGEST: u64 = 256 * 1024;
/// How long nobody asks again after a refusal.
const REST: Duration = Duration::from_secs(10);
/// How long what a server says of itself is believed.
const FRESH: Duration = Duration::from_secs(3600);

/// One FHIR server at which this one has an access of its own.
#[derive(Debug)]
pub struct Server {
    /// Base URL.
    pub base: Url,
    /// Whose patients it holds.
    pub tenant: String,
    settings: BackendSettings,
    token_url: Option<Url>,
    signer: Signer,
    types: BTreeSet<String>,
    configuration: Plain<Option<(Instant, Configuration)>>,
    /// Held while a token is asked for, so that many calls ask once.
    token: Mutex<State>,
    failing: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    token: Option<Token>,
    refused: Option<(Instant, Trouble)>,
}

impl Server {
    /// Reads the key.
    ///
    /// # Errors
    /// For the operator: which setting or file, and what is wrong with it.
    pub fn new(settings: &BackendSettings, types: &BTreeSet<String>) -> Result<Self, String> {
        let (base, token_url) = settings.addresses()?;
        let of = |problem: String| format!("backend {:?}: {problem}", settings.server);
        Ok(Self {
            base,
            token_url,
            tenant: settings.tenant.clone(),
            signer: Signer::read(&settings.key_file, &settings.key_id).map_err(of)?,
            types: types.clone(),
            settings: settings.clone(),
            configuration: Plain::default(),
            token: Mutex::default(),
            failing: AtomicBool::new(false),
        })
    }

    /// The public key.
    #[must_use]
    pub fn key(&self) -> serde_json::Value {
        self.signer.public()
    }

    /// Whether the last token that was asked for was not had.
    #[must_use]
    pub fn is_failing(&self) -> bool {
        self.failing.load(Relaxed)
    }

    /// A token that is good for a while, from memory or asked for now.
    ///
    /// # Errors
    /// [`Trouble`]; it is in the log, too.
    pub async fn token(&self, outbound: &Outbound, deadline: Instant) -> Result<Secret, Trouble> {
        let held = tokio::time::timeout_at(deadline.into(), self.token.lock()).await;
        let mut state = held.map_err(|_| Failure::Timeout)?;
        let now = Instant::now();
        if let Some(token) = state.token.as_ref().filter(|token| now < token.renew) {
            return Ok(token.secret.clone());
        }
        let old = state.token.clone().filter(|token| now < token.expires);
        let asked = match state.refused {
            Some((since, trouble)) if since.elapsed() < REST => Err(trouble),
            _ => {
                state.refused = None;
                self.ask(outbound, deadline).await
            }
        };
        match (asked, old) {
            (Ok(token), _) => {
                let secret = token.secret.clone();
                *state = State {
                    token: Some(token),
                    refused: None,
                };
                Ok(secret)
            }
            // Renewed early, so that there is one left to go on with.
            (Err(_), Some(old)) => Ok(old.secret),
            (Err(trouble), None) => {
                state.token = None;
                state.refused.get_or_insert((now, trouble));
                Err(trouble)
            }
        }
    }

    /// Forgets a token that the FHIR server did not accept.
    pub async fn rejected(&self, secret: &Secret) {
        let mut state = self.token.lock().await;
        if state.token.as_ref().is_some_and(|token| token.secret == *secret) {
            state.token = None;
        }
    }

    async fn ask(&self, outbound: &Outbound, deadline: Instant) -> Result<Token, Trouble> {
        let asked = self.exchange(outbound, deadline).await;
        let server = self.base.as_str();
        let outcome = match &asked {
            Ok(_) => "ok",
            Err(Trouble::Outbound(_)) => "unreachable",
            Err(Trouble::Refused(_)) => "refused",
            Err(_) => "unusable",
        };
        metrics::backend_token(outcome);
        self.failing.store(asked.is_err(), Relaxed);
        match &asked {
            Ok(_) => tracing::debug!(server, "an access token was had"),
            Err(trouble) => tracing::warn!(server, %trouble, "no access token"),
        }
        asked
    }

    async fn exchange(&self, outbound: &Outbound, deadline: Instant) -> Result<Token, Trouble> {
        let (endpoint, scopes) = self.endpoint(outbound, deadline).await?;
        let url = Url::parse(&endpoint).map_err(|_| Trouble::Configuration)?;
        let assertion = self.signer.assertion(&self.settings.client_id, &endpoint);
        let assertion = assertion.ok_or(Trouble::Key)?;
        let form = [
            ("grant_type", "client_credentials"),
            ("scope", &scopes),
            ("client_assertion_type", KIND),
            ("client_assertion", &assertion),
        ];
        let asked = Instant::now();
        let answer = outbound.post_form(&url, &form, None, LONGEST, deadline).await?;
        if answer.status == StatusCode::OK {
            return Token::read(&answer.body, asked);
        }
        // It may have moved.
        *self.configuration.lock().unwrap_or_else(PoisonError::into_inner) = None;
        Err(Trouble::Refused(refusal(&answer.body)))
    }

    /// The token endpoint as its server writes it, and what to ask for.
    async fn endpoint(&self, outbound: &Outbound, deadline: Instant) -> Result<(String, String), Trouble> {
        if let (Some(_), Some(text)) = (&self.token_url, &self.settings.token_url) {
            return Ok((text.clone(), self.scopes(true)));
        }
        let known = self
            .configuration
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let configuration = match known {
            Some((since, configuration)) if since.elapsed() < FRESH => configuration,
            _ => {
                let mut url = self.base.clone();
                let path = url.path().trim_end_matches('/').to_owned();
                url.set_path(&format!("{path}/.well-known/smart-configuration"));
                let answer = outbound.get(&url, Accept::Json, None, LONGEST, deadline).await?;
                if answer.status != StatusCode::OK {
                    return Err(Trouble::Configuration);
                }
                let read = Configuration::read(&answer.body, &self.base, &self.settings.origins)?;
                let kept = Some((Instant::now(), read.clone()));
                *self.configuration.lock().unwrap_or_else(PoisonError::into_inner) = kept;
                read
            }
        };
        Ok((configuration.token_endpoint, self.scopes(configuration.scopes_v2)))
    }

    fn scopes(&self, version_2: bool) -> String {
        if let Some(scopes) = &self.settings.scopes {
            return scopes.clone();
        }
        let may = if version_2 { "rs" } else { "read" };
        let each = self.types.iter().map(|kind| format!("system/{kind}.{may}"));
        each.collect::<Vec<_>>().join(" ")
    }
}
