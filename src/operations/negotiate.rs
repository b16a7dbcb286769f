//! Which form of answer a caller takes, and when. Specification: FHIR R4, "RESTful API", content types; RFC 9110, 12.5.1; RFC 7240.

use actix_web::{
    HttpRequest,
    http::{StatusCode, header},
};

use crate::http::error::Failure;

/// Whether JSON will do.
///
/// # Errors
/// 406 when the caller takes only something else.
pub fn json(request: &HttpRequest) -> Result<(), Failure> {
    let format = request
        .query_string()
        .split('&')
        .find_map(|p| p.strip_prefix("_format="));
    let good = match format {
        Some(format) => {
            let format = format
                .replace("%2F", "/")
                .replace("%2f", "/")
                .replace("%2B", "+")
                .replace("%2b", "+");
            // A plus that was not encoded is a space to some.
            matches!(
                format.as_str(),
                "json" | "application/json" | "application/fhir+json" | "application/fhir json"
            )
        }
        None => {
            let mut values = request.headers().get_all(header::ACCEPT).peekable();
            values.peek().is_none() || values.any(|value| value.to_str().is_ok_and(accepts))
        }
    };
    if good {
        return Ok(());
    }
    let text = "Answers are JSON only: send Accept: application/fhir+json, and no _format other than json.";
    Err(Failure::new(StatusCode::NOT_ACCEPTABLE, "not-supported", text))
}

fn accepts(value: &str) -> bool {
    value.split(',').any(|range| {
        let mut parts = range.split(';').map(str::trim);
        let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
        let refused = parts.any(|part| part.strip_prefix("q=").is_some_and(|q| q.parse() == Ok(0.0)));
        !refused
            && matches!(
                kind.as_str(),
                "*/*" | "application/*" | "application/json" | "application/fhir+json" | "json"
            )
    })
}

/// Whether the caller will come back for the answer.
#[must_use]
pub fn later(request: &HttpRequest) -> bool {
    let values = request.headers().get_all("prefer");
    let mut words = values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|v| v.split([',', ';']));
    words.any(|word| word.trim().eq_ignore_ascii_case("respond-async"))
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn json_or_nothing() {
        let accept = |value: &str| json(&TestRequest::get().insert_header(("accept", value)).to_http_request()).is_ok();
        assert!(json(&TestRequest::get().to_http_request()).is_ok());
        for good in [
            "*/*",
            "application/fhir+json",
            "text/html, application/json;q=0.5",
            "application/fhir+json; fhirVersion=4.0",
        ] {
            assert!(accept(good), "{good}");
        }
        for bad in ["application/fhir+xml", "text/html", "application/json;q=0"] {
            assert!(!accept(bad), "{bad}");
        }
        let format = |uri: &str| {
            json(
                &TestRequest::get()
                    .uri(uri)
                    .insert_header(("accept", "text/xml"))
                    .to_http_request(),
            )
            .is_ok()
        };
        assert!(format("/fhir?_format=json") && format("/fhir?_format=application%2Ffhir%2Bjson"));
        assert!(!format("/fhir?_format=xml"));
    }

    #[test]
    fn who_comes_back_says_so() {
        let prefer = |value: &str| later(&TestRequest::get().insert_header(("prefer", value)).to_http_request());
        assert!(prefer("respond-async") && prefer("return=minimal, Respond-Async") && prefer("respond-async; wait=10"));
        assert!(!prefer("return=minimal"));
    }
}
