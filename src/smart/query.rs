//! Parameters of an address, each of which may stand there once: of two, nobody knows which the other side looked at.

use actix_web::HttpRequest;

use super::trouble::Trouble;

/// Longest value: codes and launch handles of some servers are tokens.
const LONGEST: usize = 4096;

/// The parameters of a request.
#[derive(Debug)]
pub struct Query(Vec<(String, String)>);

impl Query {
    /// Of a request.
    #[must_use]
    pub fn of(request: &HttpRequest) -> Self {
        Self(
            url::form_urlencoded::parse(request.query_string().as_bytes())
                .into_owned()
                .collect(),
        )
    }

    /// The value of that name; an empty one is none.
    ///
    /// # Errors
    /// [`Trouble::Malformed`] when it stands there twice, is too long or holds control characters.
    pub fn one(&self, name: &str) -> Result<Option<&str>, Trouble> {
        let mut values = self
            .0
            .iter()
            .filter(|(own, _)| own == name)
            .map(|(_, value)| value.as_str());
        let first = values.next().filter(|value| !value.is_empty());
        let bad = first.is_some_and(|value| value.len() > LONGEST || value.chars().any(char::is_control));
        if values.next().is_some() || bad {
            return Err(Trouble::Malformed);
        }
        Ok(first)
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn each_once() {
        let long = "x".repeat(LONGEST + 1);
        let uri = format!("/?a=1&b=&c=1&c=1&d=%0a&e={long}");
        let query = Query::of(&TestRequest::with_uri(&uri).to_http_request());
        assert_eq!(query.one("a"), Ok(Some("1")));
        assert_eq!((query.one("b"), query.one("none")), (Ok(None), Ok(None)));
        for name in ["c", "d", "e"] {
            assert_eq!(query.one(name), Err(Trouble::Malformed), "{name}");
        }
    }
}
