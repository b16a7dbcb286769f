//! Checking a token.

use std::{
    collections::HashMap,
    sync::{Arc, Weak},
    time::Duration,
};

use jiff::Timestamp;
use jsonwebtoken::{DecodingKey, Validation};
use sha2::{Digest, Sha256};
use url::Url;

use super::{
    Caller,
    claims::{self, Claims, Head},
    sets::{Set, keep_fresh},
    settings::{AuthSettings, IssuerSettings, TenantSettings},
};
use crate::{outbound::Outbound, store::replay::ReplayGuard};

/// Why a token is not accepted. For the log, never for the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// None was sent.
    #[error("no token")]
    Absent,
    /// It is no JWT with the header and claims that are required.
    #[error("malformed")]
    Malformed,
    /// Signed in another way than with ES384, RS384, ES256 or RS256.
    #[error("algorithm")]
    Algorithm,
    /// The issuer is not configured.
    #[error("issuer")]
    Issuer,
    /// Its keys lie elsewhere than configured.
    #[error("jku")]
    Jku,
    /// No key of that id for that algorithm.
    #[error("key")]
    Key,
    /// The signature is not that of the key.
    #[error("signature")]
    Signature,
    /// For another address.
    #[error("audience")]
    Audience,
    /// Its time is over.
    #[error("expired")]
    Expired,
    /// Its time is yet to come.
    #[error("not yet valid")]
    NotYet,
    /// It lives too long.
    #[error("lives too long")]
    Long,
    /// Its id was used before.
    #[error("used before")]
    Used,
    /// Whether its id was used before cannot be known: ours.
    #[error("replay guard failed")]
    Unknown,
}

impl Refusal {
    /// In one word, for logs and metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Absent => "absent",
            Self::Malformed => "malformed",
            Self::Algorithm => "algorithm",
            Self::Issuer => "issuer",
            Self::Jku => "jku",
            Self::Key => "key",
            Self::Signature => "signature",
            Self::Audience => "audience",
            Self::Expired => "expired",
            Self::NotYet => "not-yet",
            Self::Long => "long",
            Self::Used => "used",
            Self::Unknown => "unknown",
        }
    }
}

/// Checks tokens.
pub struct Verifier {
    /// Public address of this server, without a slash at its end.
    base: String,
    issuers: HashMap<String, Issuer>,
    leeway: Duration,
    longest: Duration,
    replay: Arc<dyn ReplayGuard>,
}

struct Issuer {
    caller: Caller,
    sets: Vec<Arc<Set>>,
}

impl Verifier {
    /// Reads key files, and begins to fetch key sets; must be called inside a tokio runtime.
    ///
    /// # Errors
    /// In words for the operator.
    pub fn new(
        settings: &AuthSettings,
        tenants: &[TenantSettings],
        public_url: &str,
        outbound: &Arc<Outbound>,
        replay: Arc<dyn ReplayGuard>,
    ) -> Result<Self, String> {
        let mut issuers = HashMap::new();
        for tenant in tenants {
            let id: Arc<str> = tenant.id.as_str().into();
            for issuer in &tenant.issuer {
                let caller = Caller {
                    tenant: Arc::clone(&id),
                    issuer: issuer.iss.as_str().into(),
                };
                let sets = sets(issuer, outbound).map_err(|e| format!("tenant {id}: {e}"))?;
                issuers.insert(issuer.iss.clone(), Issuer { caller, sets });
            }
        }
        let remote: Vec<Weak<Set>> = issuers
            .values()
            .flat_map(|issuer| &issuer.sets)
            .filter(|set| set.is_remote())
            .map(Arc::downgrade)
            .collect();
        if !remote.is_empty() {
            tokio::spawn(keep_fresh(remote, settings.keys_age));
        }
        Ok(Self {
            base: public_url.trim_end_matches('/').to_owned(),
            issuers,
            leeway: settings.leeway,
            longest: settings.longest,
            replay,
        })
    }

    /// How many issuers there are, and how many of them have keys.
    #[must_use]
    pub fn issuers(&self) -> (usize, usize) {
        let able = |issuer: &&Issuer| issuer.sets.iter().any(|set| set.is_loaded());
        (self.issuers.len(), self.issuers.values().filter(able).count())
    }

    /// Who sends this token with a call of `path`. Counts once: the same token is refused from then on.
    ///
    /// # Errors
    /// [`Refusal`].
    pub async fn verify(&self, token: &str, path: &str) -> Result<Caller, Refusal> {
        let (head, claimed) = claims::read(token)?;
        let issuer = self.issuers.get(&claimed.iss).ok_or(Refusal::Issuer)?;
        let url = format!("{}{path}", self.base);
        let key = issuer.key(&head).await?;
        self.proven(token, &head, &key, &url)?;
        self.check(&claimed, &url, Timestamp::now())?;
        self.claim(&claimed).await?;
        Ok(issuer.caller.clone())
    }

    /// The signature, by a key whose algorithms were fixed before the token was seen. The library looks at time and audience as well.
    fn proven(&self, token: &str, head: &Head, key: &DecodingKey, url: &str) -> Result<(), Refusal> {
        use jsonwebtoken::errors::ErrorKind;
        let mut validation = Validation::new(head.alg);
        validation.leeway = self.leeway.as_secs();
        validation.validate_nbf = true;
        validation.set_required_spec_claims(&["exp", "aud", "iss"]);
        validation.set_audience(&[url]);
        match jsonwebtoken::decode::<Claims>(token, key, &validation) {
            Ok(_) => Ok(()),
            Err(error) => Err(match error.kind() {
                ErrorKind::ExpiredSignature => Refusal::Expired,
                ErrorKind::ImmatureSignature => Refusal::NotYet,
                ErrorKind::InvalidAudience => Refusal::Audience,
                _ => Refusal::Signature,
            }),
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "seconds since 1970")]
    fn check(&self, claims: &Claims, url: &str, now: Timestamp) -> Result<(), Refusal> {
        let (now, leeway) = (now.as_second() as f64, self.leeway.as_secs_f64());
        if !claims.is_for(url) {
            Err(Refusal::Audience)
        } else if claims.exp + leeway <= now {
            Err(Refusal::Expired)
        } else if claims.iat > now + leeway || claims.nbf.is_some_and(|from| from > now + leeway) {
            Err(Refusal::NotYet)
        } else if claims.exp - claims.iat > self.longest.as_secs_f64() {
            Err(Refusal::Long)
        } else {
            Ok(())
        }
    }

    /// Makes the token's id used. Ids are remembered for as long as a token would be accepted otherwise, the leeway included.
    async fn claim(&self, claims: &Claims) -> Result<(), Refusal> {
        let mut digest = Sha256::new();
        // Lengths before texts, so that no two pairs look the same.
        for text in [&claims.iss, &claims.jti] {
            digest.update((text.len() as u64).to_be_bytes());
            digest.update(text);
        }
        let id: [u8; 32] = digest.finalize().into();
        #[expect(clippy::cast_possible_truncation, reason = "checked before: within a day of now")]
        let until = Timestamp::from_second(claims.exp.ceil() as i64 + self.leeway.as_secs().cast_signed() + 1);
        let until = until.map_err(|_| Refusal::Malformed)?;
        let replay = Arc::clone(&self.replay);
        // It waits for the disk, or for another machine.
        let claimed = tokio::task::spawn_blocking(move || replay.claim(&id, until)).await;
        match claimed {
            Ok(Ok(true)) => Ok(()),
            Ok(Ok(false)) => Err(Refusal::Used),
            Ok(Err(error)) => {
                tracing::error!(%error, "the replay guard failed");
                Err(Refusal::Unknown)
            }
            Err(_) => Err(Refusal::Unknown),
        }
    }
}

impl Issuer {
    async fn key(&self, head: &Head) -> Result<DecodingKey, Refusal> {
        let remote = self.sets.iter().any(|set| set.is_remote());
        // Where all keys came by hand, what a token says of their place does not matter.
        let named = head.jku.as_deref().filter(|_| remote);
        let meant: Vec<&Arc<Set>> = match named {
            None => self.sets.iter().collect(),
            Some(jku) => self.sets.iter().filter(|set| set.is_at(jku)).collect(),
        };
        if meant.is_empty() {
            return Err(Refusal::Jku);
        }
        for set in meant {
            if let Some(key) = set.find(&head.kid, head.alg).await {
                return Ok(key);
            }
        }
        Err(Refusal::Key)
    }
}

fn sets(issuer: &IssuerSettings, outbound: &Arc<Outbound>) -> Result<Vec<Arc<Set>>, String> {
    let mut sets = Vec::new();
    if let Some(file) = &issuer.jwks_file {
        sets.push(Arc::new(Set::file(file)?));
    }
    for text in &issuer.jku {
        let url = Url::parse(text).map_err(|_| format!("jku {text:?} is not an address"))?;
        sets.push(Arc::new(Set::address(url, Arc::clone(outbound))));
    }
    Ok(sets)
}
