//! Settings of the HTTP edge, read from the configuration file.

use std::{net::SocketAddr, num::NonZeroUsize, time::Duration};

use serde::{Deserialize, Deserializer, de::Error as _};
use url::Url;

/// Settings of the HTTP edge. Times are written as `"2s"` or `"500ms"`; whatever is left out has a default that suits one
/// hospital on one machine.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HttpSettings {
    /// Address and port to listen on. Default `127.0.0.1:8080`: TLS and the outside are a proxy's matter. Port 0 takes a free one.
    pub listen: SocketAddr,
    /// Where clients reach this server through its proxy, `https://twins.hospital.example`: tokens of callers name it, and the launch
    /// and redirect addresses of the SMART app begin with it. Default: none.
    pub public_url: Option<String>,
    /// Threads that read requests. Default: one for each processor.
    pub workers: usize,
    /// Longest body of a hook call in bytes, after decompression. Default 16 MiB: prefetch of long records is large.
    pub body_limit: usize,
    /// Bytes of bodies held at one time in the whole process. Default 256 MiB; above, calls get 503.
    pub body_budget: usize,
    /// Longest time from head to end of a body. Default 10 s.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    pub body_timeout: Duration,
    /// Longest time for the head of a request. Default 5 s.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    pub head_timeout: Duration,
    /// Longest silence on a connection between requests. Default 25 s.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    pub keep_alive: Duration,
    /// Time from the end of the body to the answer; what is not ready by then is answered with no cards. Default 2 s.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    pub deadline: Duration,
    /// Longest time that an evaluation may go on after its caller was answered without it. Default 30 s.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    pub background_limit: Duration,
    /// Open connections. Default 1000; further ones wait to be accepted.
    pub max_connections: usize,
    /// Calls in progress at one time, most of which wait for a FHIR server. Default 256. How many compute is not set here: two
    /// for each processor.
    pub max_evaluations: usize,
    /// Calls that wait for an evaluation to end. Default 64; further ones get 503 with Retry-After.
    pub queue: usize,
    /// Time that running calls have to end when the server stops. Default 10 s.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    pub shutdown_timeout: Duration,
    /// Which web pages may call.
    pub cors: CorsSettings,
}

impl Default for HttpSettings {
    fn default() -> Self {
        let processors = std::thread::available_parallelism().map_or(2, NonZeroUsize::get);
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            public_url: None,
            workers: processors,
            body_limit: 16 << 20,
            body_budget: 256 << 20,
            body_timeout: Duration::from_secs(10),
            head_timeout: Duration::from_secs(5),
            keep_alive: Duration::from_secs(25),
            deadline: Duration::from_secs(2),
            background_limit: Duration::from_secs(30),
            max_connections: 1000,
            max_evaluations: 256,
            queue: 64,
            shutdown_timeout: Duration::from_secs(10),
            cors: CorsSettings::default(),
        }
    }
}

impl HttpSettings {
    /// Looks for values that cannot work together.
    ///
    /// # Errors
    /// Which setting, and what it must be.
    pub fn check(&self) -> Result<(), String> {
        self.public()?;
        for (name, value) in [
            ("workers", self.workers),
            ("body_limit", self.body_limit),
            ("max_connections", self.max_connections),
            ("max_evaluations", self.max_evaluations),
        ] {
            if value == 0 {
                return Err(format!("http.{name} must be at least 1"));
            }
        }
        if self.body_budget < self.body_limit {
            return Err("http.body_budget must be at least http.body_limit".to_owned());
        }
        if self.deadline < Duration::from_millis(50) {
            return Err("http.deadline must be at least 50ms".to_owned());
        }
        for (name, value) in [("body_timeout", self.body_timeout), ("head_timeout", self.head_timeout)] {
            if value.is_zero() {
                return Err(format!("http.{name} must be longer than 0"));
            }
        }
        Ok(())
    }

    /// The public address, in the normal form of the URL standard.
    ///
    /// # Errors
    /// What it must be.
    pub fn public(&self) -> Result<Option<Url>, String> {
        let Some(text) = &self.public_url else {
            return Ok(None);
        };
        let plain = |url: &Url| {
            let bare = url.query().is_none() && url.fragment().is_none();
            matches!(url.scheme(), "http" | "https") && url.has_host() && url.username().is_empty() && bare
        };
        let url = Url::parse(text).ok().filter(plain);
        let told = || {
            format!(
                "http.public_url {text:?} must be an address such as https://twins.hospital.example, without query or fragment"
            )
        };
        url.map(Some).ok_or_else(told)
    }
}

/// Cross-origin resource sharing: which web pages may call. Clients that are not browsers do not care.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CorsSettings {
    /// `"any"`, or a list of origins. Default: an empty list, no page at all.
    pub origins: Origins,
}

/// Allowed origins. Credentials in the browser's sense (cookies) are never allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origins {
    /// Any page: for demonstrations.
    Any,
    /// Pages of these origins, `https://ehr.example.org`.
    List(Vec<String>),
}

impl Default for Origins {
    fn default() -> Self {
        Self::List(Vec::new())
    }
}

impl<'de> Deserialize<'de> for Origins {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Word(String),
            List(Vec<String>),
        }
        match Written::deserialize(deserializer) {
            Ok(Written::Word(word)) if word == "any" => Ok(Self::Any),
            Ok(Written::List(list)) => match list.iter().find(|text| !is_origin(text)) {
                None => Ok(Self::List(list)),
                Some(text) => Err(D::Error::custom(format!(
                    "{text:?} is not an origin: scheme and host, with a port unless it is the usual one, such as https://ehr.example.org"
                ))),
            },
            _ => Err(D::Error::custom(
                "origins must be \"any\" or a list of origins such as https://ehr.example.org",
            )),
        }
    }
}

/// Whether a browser would write this in its Origin header.
fn is_origin(text: &str) -> bool {
    Url::parse(text)
        .is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.origin().ascii_serialization() == text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(value: serde_json::Value) -> Result<HttpSettings, String> {
        serde_json::from_str(&value.to_string()).map_err(|e| e.to_string())
    }

    #[test]
    fn defaults_and_durations() {
        assert_eq!(read(json!({})), Ok(HttpSettings::default()));
        assert_eq!(HttpSettings::default().check(), Ok(()));
        let settings = read(json!({ "deadline": "1500ms", "body_timeout": "1m", "listen": "[::1]:0" })).expect("good");
        assert_eq!(
            (settings.deadline, settings.body_timeout),
            (Duration::from_millis(1500), Duration::from_secs(60))
        );
    }

    #[test]
    fn origins() {
        let cors = |origins| read(json!({ "cors": { "origins": origins } })).map(|s| s.cors.origins);
        assert_eq!(cors(json!("any")), Ok(Origins::Any));
        assert_eq!(
            cors(json!(["https://a.example"])),
            Ok(Origins::List(vec!["https://a.example".to_owned()]))
        );
        for bad in [
            json!("all"),
            json!(["*"]),
            json!(["https://a.example/"]),
            json!(["https://A.example"]),
            json!(["a.example"]),
            json!(5),
        ] {
            assert!(cors(bad).expect_err("accepted").contains("https://ehr.example.org"));
        }
    }

    #[test]
    fn mistakes_are_named() {
        assert!(
            read(json!({ "dead_line": "2s" }))
                .expect_err("accepted")
                .contains("dead_line")
        );
        for bad in [
            HttpSettings {
                workers: 0,
                ..HttpSettings::default()
            },
            HttpSettings {
                body_budget: 1,
                ..HttpSettings::default()
            },
            HttpSettings {
                deadline: Duration::ZERO,
                ..HttpSettings::default()
            },
            HttpSettings {
                body_timeout: Duration::ZERO,
                ..HttpSettings::default()
            },
        ] {
            assert!(bad.check().expect_err("accepted").starts_with("http."));
        }
    }
}
