//! Choosing the language of cards. Specification: RFC 9110, section 12.5.4.

use actix_web::{
    HttpRequest,
    http::header::{self, HeaderName},
};

/// The languages in which cards exist; the first is for everyone else.
const OFFERED: [&str; 2] = ["en", "fr"];

/// Language for a request, `en` or `fr`.
#[must_use]
pub fn of_request(request: &HttpRequest) -> &'static str {
    const NAME: HeaderName = header::ACCEPT_LANGUAGE;
    choose(
        request
            .headers()
            .get(NAME)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default(),
    )
}

/// The offered language that the header likes best; of two liked equally, the one named first.
fn choose(accepted: &str) -> &'static str {
    let mut best = ("en", 0.0);
    for range in accepted.split(',') {
        let mut parts = range.split(';');
        let tag = parts.next().unwrap_or_default().trim();
        let primary = tag.split('-').next().unwrap_or_default();
        let quality = parts
            .find_map(|part| part.trim().strip_prefix("q="))
            .map_or(Some(1.0), |q| q.trim().parse::<f32>().ok())
            .filter(|q| (0.0..=1.0).contains(q))
            .unwrap_or(0.0);
        if let Some(language) = OFFERED
            .into_iter()
            .find(|language| primary.eq_ignore_ascii_case(language))
            && quality > best.1
        {
            best = (language, quality);
        }
    }
    best.0
}

#[cfg(test)]
mod tests {
    use super::choose;

    #[test]
    fn language() {
        for (header, language) in [
            ("", "en"),
            ("fr", "fr"),
            ("FR-ca", "fr"),
            ("fr-FR,fr;q=0.9,en-US;q=0.8", "fr"),
            ("en;q=0.5, fr;q=0.6", "fr"),
            ("en,fr", "en"),
            ("fr;q=0, en;q=0.1", "en"),
            ("fr;q=0", "en"),
            ("de, fr;q=0.2", "fr"),
            ("de", "en"),
            ("*", "en"),
            ("fr;q=NaN", "en"),
            ("fr;q=2", "en"),
            (";;;,,,q=,fr;q", "fr"),
            ("french", "en"),
        ] {
            assert_eq!(choose(header), language, "{header}");
        }
    }
}
