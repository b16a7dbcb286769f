//! The `[auth]` section and the tenants: who may call, and what each may see.

use std::{collections::BTreeSet, path::PathBuf, time::Duration};

use serde::Deserialize;
use url::Url;

/// The `[auth]` section.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AuthSettings {
    /// Whether every call must carry a token. Default: yes for `serve`, no for `demo`.
    pub required: Option<bool>,
    /// By how much the clock of an issuer may differ from ours.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    pub leeway: Duration,
    /// Longest life of a token, from `iat` to `exp`.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    pub longest: Duration,
    /// How long fetched key sets are used before they are fetched again.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    pub keys_age: Duration,
}

impl Default for AuthSettings {
    fn default() -> Self {
        Self {
            required: None,
            leeway: Duration::from_secs(60),
            longest: Duration::from_secs(60 * 60),
            keys_age: Duration::from_secs(10 * 60),
        }
    }
}

/// One `[[tenant]]`: a hospital, apart from all others. Patient ids must be unique within it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TenantSettings {
    /// Its name here: in keys of the store and in the audit log. Never to be changed.
    pub id: String,
    /// Who calls for it.
    #[serde(default)]
    pub issuer: Vec<IssuerSettings>,
    /// FHIR servers that may be asked for its callers, instead of `fhir.allow`.
    #[serde(default)]
    pub fhir: Vec<String>,
    /// Ids of the twins that it sees; without it, all.
    #[serde(default)]
    pub twins: Option<Vec<String>>,
}

/// One `[[tenant.issuer]]`: an EHR or an integration engine that signs its tokens.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IssuerSettings {
    /// `iss` of its tokens.
    pub iss: String,
    /// File with its public keys, a JSON Web Key Set.
    #[serde(default)]
    pub jwks_file: Option<PathBuf>,
    /// Addresses of its key sets; where there are any, a `jku` in a token must be one of them.
    #[serde(default)]
    pub jku: Vec<String>,
}

impl AuthSettings {
    /// Looks for values that cannot work.
    ///
    /// # Errors
    /// Which setting, and what to do.
    pub fn check(&self, tenants: &[TenantSettings]) -> Result<(), String> {
        if self.leeway > Duration::from_secs(300) {
            return Err("auth.leeway is above 5 minutes: synchronise the clocks instead".to_owned());
        }
        let minute = Duration::from_secs(60);
        if self.longest < minute || self.longest > 24 * 60 * minute {
            return Err("auth.longest must be between 1 minute and 24 hours".to_owned());
        }
        if self.keys_age < minute || self.keys_age > 24 * 60 * minute {
            return Err("auth.keys_age must be between 1 minute and 24 hours".to_owned());
        }
        let (mut ids, mut issuers) = (BTreeSet::new(), BTreeSet::new());
        for tenant in tenants {
            tenant.check()?;
            if !ids.insert(&tenant.id) {
                return Err(format!("tenant {}: there is another tenant of this id", tenant.id));
            }
            for issuer in &tenant.issuer {
                if !issuers.insert(&issuer.iss) {
                    let iss = &issuer.iss;
                    return Err(format!(
                        "tenant {}: issuer {iss:?} is listed twice; it can belong to one tenant only",
                        tenant.id
                    ));
                }
            }
        }
        Ok(())
    }

    /// Looks whether tokens can be asked for.
    ///
    /// # Errors
    /// What is missing, and what to do.
    pub fn complete(&self, tenants: &[TenantSettings], public_url: Option<&str>) -> Result<(), String> {
        const OR: &str =
            "To try the server without proof of who calls, set auth.required = false (JUMEAU__AUTH__REQUIRED=false)";
        if tenants.iter().all(|tenant| tenant.issuer.is_empty()) {
            return Err(format!(
                "nobody may call: auth.required is on and no [[tenant.issuer]] is configured. Name the EHRs whose tokens are \
                 accepted (config/default.toml shows how). {OR}"
            ));
        }
        if public_url.is_none() {
            return Err(format!(
                "http.public_url is missing: tokens must name the address that was called, such as \
                 https://twins.hospital.example. {OR}"
            ));
        }
        Ok(())
    }
}

impl TenantSettings {
    fn check(&self) -> Result<(), String> {
        let id = &self.id;
        let is_id =
            (1..=64).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
        if !is_id {
            return Err(format!(
                "tenant.id {id:?} must be 1 to 64 letters, digits, '-', '_' and '.'"
            ));
        }
        for issuer in &self.issuer {
            let place = format!("tenant {id}, issuer {:?}", issuer.iss);
            if issuer.iss.is_empty() {
                return Err(format!("tenant {id}: an issuer needs iss, as in its tokens"));
            }
            if issuer.jwks_file.is_none() && issuer.jku.is_empty() {
                return Err(format!("{place}: give its public keys, by jwks_file or by jku"));
            }
            for text in &issuer.jku {
                let url = Url::parse(text)
                    .ok()
                    .filter(|url| url.has_host() && url.username().is_empty());
                let Some(url) = url else {
                    return Err(format!("{place}: jku {text:?} is not the address of a key set"));
                };
                let here = matches!(url.host_str(), Some("127.0.0.1" | "localhost" | "[::1]"));
                if url.scheme() != "https" && !(url.scheme() == "http" && here) {
                    return Err(format!(
                        "{place}: jku must be https: whoever is in between could give keys of his own"
                    ));
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[derive(Deserialize)]
    struct Both {
        #[serde(default)]
        auth: AuthSettings,
        #[serde(default)]
        tenant: Vec<TenantSettings>,
    }

    fn read(text: &str) -> Result<Both, String> {
        let both: Both = toml::from_str(text).map_err(|e| e.to_string())?;
        both.auth.check(&both.tenant)?;
        Ok(both)
    }

    const GOOD: &str = "[[tenant]]\nid = 'a'\nfhir = ['https://f.example/r4']\ntwins = ['vancomycin']\n\
        [[tenant.issuer]]\niss = 'https://e.example'\njku = ['https://e.example/jwks.json']\n\
        [[tenant.issuer]]\niss = 'engine'\njwks_file = 'keys.json'\n";

    #[test]
    fn tenants_are_read() {
        let both = read(GOOD).unwrap();
        assert_eq!(both.tenant[0].issuer.len(), 2);
        both.auth.complete(&both.tenant, Some("https://t.example")).unwrap();
    }

    #[test]
    fn what_cannot_work_is_named() {
        let issuer = "[[tenant.issuer]]\niss = 'i'\n";
        for (text, named) in [
            ("[auth]\nleeway = '10m'".to_owned(), "auth.leeway"),
            ("[auth]\nlongest = '48h'".to_owned(), "auth.longest"),
            ("[auth]\nkeys_age = '1s'".to_owned(), "auth.keys_age"),
            ("[auth]\nrequire = true".to_owned(), "require"),
            ("[[tenant]]\nid = 'a b'".to_owned(), "tenant.id"),
            (format!("{GOOD}{GOOD}"), "another tenant"),
            (format!("{GOOD}[[tenant]]\nid = 'b'\n{issuer}iss2 = 1"), "iss2"),
            (format!("[[tenant]]\nid = 'b'\n{issuer}"), "jwks_file"),
            (format!("[[tenant]]\nid = 'b'\n{issuer}jku = ['file:///etc']"), "jku"),
            (
                format!("[[tenant]]\nid = 'b'\n{issuer}jku = ['http://e.example/keys']"),
                "https",
            ),
            (GOOD.replace("'engine'", "'https://e.example'"), "listed twice"),
        ] {
            let error = read(&text).err().unwrap();
            assert!(error.contains(named), "{text}: {error}");
        }
    }

    #[test]
    fn without_issuers_or_an_address_tokens_cannot_be_asked_for() {
        let auth = AuthSettings::default();
        assert!(
            auth.complete(&[], Some("https://t.example"))
                .unwrap_err()
                .contains("[[tenant.issuer]]")
        );
        let tenants = read(GOOD).unwrap().tenant;
        assert!(auth.complete(&tenants, None).unwrap_err().contains("http.public_url"));
    }
}
