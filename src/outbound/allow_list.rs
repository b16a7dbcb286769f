//! Which servers may be asked.
//!
//! A hook call names its FHIR server, so without a list a caller could make this server send requests, with a token and
//! a patient id in them, to any address. Entries and addresses are compared as parsed URLs: scheme, host and port as
//! values, the path by whole segments, never as beginnings of text. `2130706433` and `0x7f.1` are therefore the
//! address that they mean, and a name is only itself.
//!
//! A listed name is trusted to resolve to the right machine: whoever controls its DNS, or an allowed server itself, is
//! not kept out. Addresses are not checked after resolution.

use url::{Host, Url};

/// What is wrong with a list in the settings. Found at start.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AllowListError {
    /// Not a URL at all.
    #[error(
        "{setting}: `{entry}` is not a URL ({reason}); write a base URL such as `https://fhir.hospital.example/r4`"
    )]
    NotUrl {
        /// Name of the setting.
        setting: &'static str,
        /// As configured.
        entry: String,
        /// From the parser.
        reason: String,
    },
    /// A URL, but not one that names a server.
    #[error("{setting}: `{entry}` {problem}; write a base URL such as `https://fhir.hospital.example/r4`")]
    NotBase {
        /// Name of the setting.
        setting: &'static str,
        /// As configured.
        entry: String,
        /// In words.
        problem: &'static str,
    },
}

/// The servers that may be asked.
#[derive(Debug, Clone, Default)]
pub struct AllowList {
    bases: Vec<Base>,
    loopback_http: bool,
}

impl AllowList {
    /// Reads the entries of the setting of that name. An entry with `http:` is taken as a decision to send tokens in clear, and is logged as such.
    ///
    /// # Errors
    /// [`AllowListError`] for the first entry that is no base URL.
    pub fn new<S: AsRef<str>>(
        setting: &'static str,
        entries: &[S],
        loopback_http: bool,
    ) -> Result<Self, AllowListError> {
        let bases = entries
            .iter()
            .map(|entry| Base::configured(setting, entry.as_ref()))
            .collect::<Result<Vec<_>, _>>()?;
        for base in bases.iter().filter(|base| base.url.scheme() == "http") {
            tracing::warn!(server = %base.url, "this server is asked without encryption, as configured");
        }
        if loopback_http {
            tracing::warn!("servers on this machine are asked on any port (loopback_http): for demonstrations only");
        }
        Ok(Self { bases, loopback_http })
    }

    /// The server as a base for requests, if it is listed or lies under a listed path.
    #[must_use]
    pub fn admit(&self, server: &Url) -> Option<Base> {
        let base = Base::of(server).ok()?;
        let listed = self.bases.iter().any(|allowed| allowed.holds(&base.url));
        (listed || (self.loopback_http && is_loopback_http(&base.url))).then_some(base)
    }
}

/// Exactly the three usual spellings. The rest of 127.0.0.0/8 and IPv4 inside IPv6 have no honest use here.
fn is_loopback_http(url: &Url) -> bool {
    url.scheme() == "http"
        && match url.host() {
            Some(Host::Domain(name)) => name == "localhost",
            Some(Host::Ipv4(address)) => address == std::net::Ipv4Addr::LOCALHOST,
            Some(Host::Ipv6(address)) => address == std::net::Ipv6Addr::LOCALHOST,
            None => false,
        }
}

/// Base URL of one server, under which every request to it lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base {
    /// Without credentials, query, fragment and final slash (the root path alone keeps it, as URLs do).
    url: Url,
}

impl Base {
    fn configured(setting: &'static str, entry: &str) -> Result<Self, AllowListError> {
        let url = Url::parse(entry.trim()).map_err(|error| AllowListError::NotUrl {
            setting,
            entry: entry.to_owned(),
            reason: error.to_string(),
        })?;
        Self::of(&url).map_err(|problem| AllowListError::NotBase {
            setting,
            entry: entry.to_owned(),
            problem,
        })
    }

    fn of(url: &Url) -> Result<Self, &'static str> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err("is neither http nor https");
        }
        if !url.has_host() {
            return Err("names no host");
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("holds a user name or password");
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err("holds a query or a fragment");
        }
        if !has_plain_path(url) {
            return Err("has a path that servers may read in different ways");
        }
        let mut url = url.clone();
        let path = url.path().trim_end_matches('/').to_owned();
        url.set_path(&path);
        Ok(Self { url })
    }

    /// Whether `url` is this base or lies under it, on the same origin.
    #[must_use]
    pub fn holds(&self, url: &Url) -> bool {
        let path = self.url.path().trim_end_matches('/');
        let under = url
            .path()
            .strip_prefix(path)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        under
            && self.url.scheme() == url.scheme()
            && self.url.host() == url.host()
            && self.url.port_or_known_default() == url.port_or_known_default()
            && url.username().is_empty()
            && url.password().is_none()
            && has_plain_path(url)
    }

    /// The URL of a query relative to this base (`Patient/123`, `Observation?patient=123`), or `None` when it would
    /// lead anywhere else.
    #[must_use]
    pub fn query(&self, relative: &str) -> Option<Url> {
        let plain = relative
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b'\\' && byte != b'#');
        if !plain || relative.is_empty() || relative.starts_with(['/', '?']) {
            return None;
        }
        let url = Url::parse(&format!("{}/{relative}", self.url.as_str().trim_end_matches('/'))).ok()?;
        // `Patient/..` would still be under the base, yet another query than the one that is written.
        let written = relative.split('?').next().unwrap_or_default();
        (self.holds(&url) && url.path().ends_with(written)).then_some(url)
    }

    /// The address of a link that the server sent with the answer to `from`, or `None` when it leads away.
    #[must_use]
    pub fn link(&self, from: &Url, link: &str) -> Option<Url> {
        let mut url = from.join(link).ok()?;
        url.set_fragment(None);
        self.holds(&url).then_some(url)
    }

    /// The base itself.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.url
    }
}

/// Paths on whose meaning servers and proxies agree: no encoded separators or dots, no `..;` (which some servers read
/// as a step upwards).
fn has_plain_path(url: &Url) -> bool {
    let path = url.path().to_ascii_lowercase();
    !["%2f", "%5c", "%2e", "%00"].iter().any(|bad| path.contains(bad))
        && path
            .split('/')
            .all(|segment| !matches!(segment.split(';').next(), Some("." | "..")))
}

#[cfg(test)]
mod tests {

    use super::*;

    const ENTRIES: [&str; 4] = [
        "https://fhir.hospital.example/r4",
        "https://open.example:8443",
        "http://10.1.2.3:8080/fhir/",
        "https://[2001:db8::1]/fhir",
    ];

    fn admits(list: &AllowList, server: &str) -> bool {
        Url::parse(server).is_ok_and(|url| list.admit(&url).is_some())
    }

    #[test]
    fn table() {
        let list = AllowList::new("fhir.allow", &ENTRIES, false).unwrap();
        for yes in [
            "https://fhir.hospital.example/r4",
            "https://fhir.hospital.example/r4/",
            "https://fhir.hospital.example:443/r4",
            "https://FHIR.hospital.EXAMPLE/r4",
            "https://fhir.hospital.example/r4/tenant-1",
            "https://fhir.hospital.example/x/../r4",
            "https://open.example:8443",
            "https://open.example:8443/any/path",
            "http://10.1.2.3:8080/fhir",
            // The same address, written as a number.
            "http://167838211:8080/fhir",
            "https://[2001:db8:0::1]/fhir",
        ] {
            assert!(admits(&list, yes), "{yes}");
        }
        for no in [
            "http://fhir.hospital.example/r4",
            "https://fhir.hospital.example",
            "https://fhir.hospital.example/r4evil",
            "https://fhir.hospital.example/r",
            "https://fhir.hospital.example/R4",
            "https://fhir.hospital.example/r4/../admin",
            "https://fhir.hospital.example/r4/%2e%2e/admin",
            "https://fhir.hospital.example/r4/..%2fadmin",
            "https://fhir.hospital.example/r4/..;/admin",
            "https://fhir.hospital.example/r4/..%5cadmin",
            "https://fhir.hospital.example:8443/r4",
            "https://fhir.hospital.example.evil.example/r4",
            "https://evil.example/fhir.hospital.example/r4",
            "https://fhir.hospital.example@evil.example/r4",
            "https://user@fhir.hospital.example/r4",
            "https://user:pass@fhir.hospital.example/r4",
            "https://evil.example#@fhir.hospital.example/r4",
            "https://evil.example\\@fhir.hospital.example/r4",
            "https://fhir.hospital.example./r4",
            "https://fhir.hospital.example/r4?x=1",
            "https://fhir.hospital.example/r4#x",
            "https://open.example",
            "http://open.example:8443",
            "http://10.1.2.3/fhir",
            "http://[::ffff:10.1.2.3]:8080/fhir",
            "http://127.0.0.1:8080/fhir",
            "http://localhost/r4",
            "http://169.254.169.254/latest/meta-data",
            "file:///etc/passwd",
            "gopher://fhir.hospital.example/r4",
            "ftp://fhir.hospital.example/r4",
            "javascript:alert(1)",
            "data:application/json,{}",
        ] {
            assert!(!admits(&list, no), "{no}");
        }
    }

    #[test]
    fn loopback_is_three_spellings_and_only_when_asked_for() {
        let list = AllowList::new::<&str>("fhir.allow", &[], true).unwrap();
        for yes in [
            "http://127.0.0.1:1/",
            "http://127.0.0.1",
            "http://localhost:8080/fhir",
            "http://LOCALHOST:8080/fhir",
            "http://[::1]:8080/fhir",
            // Mean the same, and are connected to as such.
            "http://2130706433/",
            "http://0x7f.1/",
            "http://0177.0.0.1/",
        ] {
            assert!(admits(&list, yes), "{yes}");
            assert!(!admits(&AllowList::default(), yes), "{yes} without the switch");
        }
        for no in [
            "https://127.0.0.1:1/",
            "http://127.0.0.2/",
            "http://0.0.0.0/",
            "http://[::]/",
            "http://[::ffff:127.0.0.1]/",
            "http://[::ffff:7f00:1]/",
            "http://localhost./",
            "http://localhost.evil.example/",
            "http://127.0.0.1.evil.example/",
            "http://127.0.0.1@evil.example/",
            "http://user@127.0.0.1/",
            "http://evil.example/127.0.0.1",
            "http://10.0.0.1/",
            "ftp://localhost/",
        ] {
            assert!(!admits(&list, no), "{no}");
        }
    }

    #[test]
    fn entries_that_cannot_be_meant_are_refused_with_advice() {
        for bad in [
            "fhir.hospital.example/r4",
            "ftp://x.example",
            "https://u:p@x.example",
            "https://x.example/r4?a=b",
            "https://x.example/r4#f",
            "https://x.example/%2e%2e%2fx",
            "",
        ] {
            let error = AllowList::new("fhir.allow", &[bad], false).unwrap_err().to_string();
            assert!(error.contains("https://fhir.hospital.example/r4"), "{error}");
        }
    }

    #[test]
    fn queries_stay_under_the_base() {
        for (server, prefix) in [
            ("https://x.example/r4/", "https://x.example/r4/"),
            ("https://x.example", "https://x.example/"),
        ] {
            let list = AllowList::new("fhir.allow", &[server], false).unwrap();
            let base = list.admit(&Url::parse(server).unwrap()).unwrap();
            for good in [
                "Patient/123",
                "Observation?patient=1&code=http://loinc.org|2160-0,x",
                "Patient?_id=../x",
                "A",
            ] {
                assert_eq!(base.query(good).unwrap().as_str(), format!("{prefix}{good}"));
            }
            for bad in [
                "",
                "/Patient/1",
                "../x",
                "Patient/..",
                "Patient/.",
                "Patient/%2e%2e/x",
                "a\\b",
                "Patient/1#x",
                "?x",
                "a b",
                "a\nb",
                "é",
            ] {
                assert_eq!(base.query(bad), None, "{bad}");
            }
        }
    }

    #[test]
    fn links_stay_under_the_base() {
        let list = AllowList::new("fhir.allow", &["https://x.example/r4"], false).unwrap();
        let base = list.admit(&Url::parse("https://x.example/r4").unwrap()).unwrap();
        let from = base.query("Observation?patient=1").unwrap();
        for (link, target) in [
            (
                "https://x.example/r4?_getpages=abc",
                "https://x.example/r4?_getpages=abc",
            ),
            (
                "https://x.example:443/r4/Observation?page=2#top",
                "https://x.example/r4/Observation?page=2",
            ),
            ("Observation?page=2", "https://x.example/r4/Observation?page=2"),
            ("?page=2", "https://x.example/r4/Observation?page=2"),
            ("/r4/Observation?page=2", "https://x.example/r4/Observation?page=2"),
        ] {
            assert_eq!(base.link(&from, link).unwrap().as_str(), target);
        }
        for link in [
            "https://evil.example/r4/Observation",
            "http://x.example/r4/Observation",
            "https://x.example:444/r4/Observation",
            "https://x.example/r5/Observation",
            "https://x.example/r4x",
            "//evil.example/r4",
            "/\\evil.example/r4",
            "../admin",
            "https://x.example/r4/..%2fadmin",
            "https://x.example/r4/..;/admin",
            "/",
            "https://u:p@x.example/r4/Observation",
            "javascript:alert(1)",
            "https://",
        ] {
            assert_eq!(base.link(&from, link), None, "{link}");
        }
    }
}
