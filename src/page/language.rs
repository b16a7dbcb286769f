//! Which of the two languages a page asks for.

use actix_web::{HttpRequest, http::header};

/// `en` or `fr`: from `?lang=`, else the first of the two in `Accept-Language` by weight, else English.
#[must_use]
pub fn of(req: &HttpRequest) -> &'static str {
    let asked = url::form_urlencoded::parse(req.query_string().as_bytes()).find(|(name, _)| name == "lang");
    if let Some((_, tag)) = asked
        && let Some(known) = known(&tag)
    {
        return known;
    }
    req.headers()
        .get(header::ACCEPT_LANGUAGE)
        .and_then(|value| value.to_str().ok())
        .and_then(preferred)
        .unwrap_or("en")
}

fn known(tag: &str) -> Option<&'static str> {
    match tag.trim().get(..2)?.to_ascii_lowercase().as_str() {
        "fr" => Some("fr"),
        "en" => Some("en"),
        _ => None,
    }
}

fn preferred(accept: &str) -> Option<&'static str> {
    let mut best: Option<(&'static str, f64)> = None;
    for part in accept.split(',') {
        let mut pieces = part.split(';');
        let Some(language) = pieces.next().and_then(known) else {
            continue;
        };
        let weight = pieces
            .find_map(|p| p.trim().strip_prefix("q=")?.parse::<f64>().ok())
            .unwrap_or(1.0);
        if weight > 0.0 && best.is_none_or(|(_, most)| weight > most) {
            best = Some((language, weight));
        }
    }
    best.map(|(language, _)| language)
}

#[cfg(test)]
mod tests {
    use super::preferred;

    #[test]
    fn the_heaviest_known_language_wins() {
        assert_eq!(preferred("de, fr-CA;q=0.8, en;q=0.9"), Some("en"));
        assert_eq!(preferred("fr, en"), Some("fr"));
        assert_eq!(preferred("en;q=0, fr;q=0.1"), Some("fr"));
        assert_eq!(preferred("de, é"), None);
    }
}
