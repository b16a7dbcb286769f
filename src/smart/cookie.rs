//! The two cookies: one that binds a launch to the browser that began it, one a session. Both hold a secret and nothing else, and
//! each has its launch or session in its name, so that two charts open in one browser stay apart.

use actix_web::{HttpRequest, http::header};

/// How cookies are set here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Jar {
    /// Whether browsers reach this server over https.
    pub secure: bool,
    /// Whether the page may stand in a frame of another site, where a browser sends only cookies that are meant for it.
    pub framed: bool,
}

/// For what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// The way to the authorisation server and back.
    Launch,
    /// The page.
    Session,
}

impl Jar {
    fn name(self, purpose: Purpose, of: &str) -> String {
        // The prefix makes a browser refuse such a cookie from another host or without encryption.
        let prefix = if self.secure { "__Host-" } else { "" };
        let purpose = match purpose {
            Purpose::Launch => "launch",
            Purpose::Session => "twin",
        };
        let of: String = of.chars().filter(char::is_ascii_alphanumeric).take(16).collect();
        format!("{prefix}jumeau-{purpose}-{of}")
    }

    /// The value of a Set-Cookie header; no seconds removes the cookie.
    #[must_use]
    pub fn set(self, purpose: Purpose, of: &str, secret: &str, seconds: u64) -> String {
        let name = self.name(purpose, of);
        let reach = match (self.secure, self.framed) {
            // In a frame of another site a Lax cookie is not sent; a partitioned one is, and only under that site.
            (true, true) => "SameSite=None; Secure; Partitioned",
            (true, false) => "SameSite=Lax; Secure",
            (false, _) => "SameSite=Lax",
        };
        format!("{name}={secret}; Path=/; Max-Age={seconds}; HttpOnly; {reach}")
    }

    /// The secret that a browser sends.
    #[must_use]
    pub fn read(self, request: &HttpRequest, purpose: Purpose, of: &str) -> Option<String> {
        let name = self.name(purpose, of);
        let lines = request.headers().get_all(header::COOKIE);
        lines
            .filter_map(|line| line.to_str().ok())
            .flat_map(|line| line.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .find_map(|(own, value)| (own == name).then(|| value.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;

    #[test]
    fn a_cookie_is_as_narrow_as_it_can_be() {
        let jar = |secure, framed| Jar { secure, framed };
        assert_eq!(
            jar(true, false).set(Purpose::Launch, "0123456789abcdefXYZ", "s", 300),
            "__Host-jumeau-launch-0123456789abcdef=s; Path=/; Max-Age=300; HttpOnly; SameSite=Lax; Secure"
        );
        assert!(
            jar(true, true)
                .set(Purpose::Session, "a", "s", 1)
                .ends_with("SameSite=None; Secure; Partitioned")
        );
        assert!(
            jar(false, true)
                .set(Purpose::Session, "a;b=c", "s", 1)
                .starts_with("jumeau-twin-abc=s; ")
        );
    }

    #[test]
    fn only_the_own_cookie_is_read() {
        let jar = Jar {
            secure: false,
            framed: false,
        };
        let request = TestRequest::get()
            .insert_header(("cookie", "x=1; jumeau-twin-a=two; jumeau-launch-a=three"))
            .to_http_request();
        assert_eq!(jar.read(&request, Purpose::Session, "a").as_deref(), Some("two"));
        assert_eq!(jar.read(&request, Purpose::Launch, "a").as_deref(), Some("three"));
        assert_eq!(jar.read(&request, Purpose::Session, "b"), None);
    }
}
