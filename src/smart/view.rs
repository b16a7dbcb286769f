//! The frame of every page here: landmarks, language, headers. No script at all.

use actix_web::{
    HttpResponse,
    http::{StatusCode, header},
};

use super::{Smart, issuer::Issuer, trouble::Trouble, words::Words};

/// A page.
#[derive(Debug)]
pub struct Page<'a> {
    /// Its status.
    pub status: StatusCode,
    /// Title of the window, plain text.
    pub title: String,
    /// HTML of `main`.
    pub body: String,
    /// The query, without language, under which the same page is found in the other language; none where asking again would not do.
    pub again: Option<String>,
    /// Whose pages may frame it: those of this EHR, or of any that is configured.
    pub issuer: Option<&'a Issuer>,
}

/// The page as an answer.
#[must_use]
pub fn answer(smart: &Smart, page: &Page<'_>, words: &Words<'_>) -> HttpResponse {
    let lang = words.tag();
    let title = crate::page::html::escaped(&page.title);
    let languages = page
        .again
        .as_ref()
        .map(|query| languages(query, words))
        .unwrap_or_default();
    let [tagline, skip, status] = ["smart-tagline", "smart-skip", "smart-status"].map(|id| words.say(id, []));
    let html = format!(
        r##"<!doctype html>
<html lang="{lang}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title} · Jumeau</title>
<link rel="icon" href="files/icon.svg" type="image/svg+xml">
<link rel="stylesheet" href="files/base.css">
<link rel="stylesheet" href="files/smart.css">
</head>
<body>
<a class="skip" href="#content">{skip}</a>
<header class="top"><p class="brand"><img src="files/icon.svg" alt="" width="36" height="36"><span><strong>Jumeau</strong> <span>{tagline}</span></span></p>{languages}</header>
<main id="content" tabindex="-1">
{body}
</main>
<footer><p>{status}</p></footer>
</body>
</html>
"##,
        body = page.body,
    );
    HttpResponse::build(page.status)
        .insert_header((header::CONTENT_TYPE, "text/html; charset=utf-8"))
        .insert_header((header::CONTENT_LANGUAGE, lang))
        .insert_header((header::VARY, "Accept-Language, Cookie"))
        .insert_header((header::CONTENT_SECURITY_POLICY, policy(smart, page.issuer)))
        .insert_header(("cross-origin-resource-policy", "same-origin"))
        .body(html)
}

/// Nothing but own style sheets and images; frames only where configured.
fn policy(smart: &Smart, issuer: Option<&Issuer>) -> String {
    let all = smart.issuers.iter().flat_map(|issuer| issuer.frame_ancestors.iter());
    let own = issuer.map(|issuer| issuer.frame_ancestors.iter());
    let mut ancestors: Vec<&str> = match own {
        Some(own) => own.map(String::as_str).collect(),
        None => all.map(String::as_str).collect(),
    };
    if ancestors.is_empty() {
        ancestors.push("'none'");
    }
    format!(
        "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors {}",
        ancestors.join(" ")
    )
}

fn languages(query: &str, words: &Words<'_>) -> String {
    let each = [("en", "English"), ("fr", "Français")].map(|(tag, name)| {
        let current = if words.tag() == tag {
            r#" aria-current="true""#
        } else {
            ""
        };
        format!(r#"<li><a href="?{query}&amp;lang={tag}" lang="{tag}" hreflang="{tag}"{current}>{name}</a></li>"#)
    });
    format!(
        r#"<nav class="languages" aria-label="{}"><ul>{}</ul></nav>"#,
        words.say("smart-language", []),
        each.concat()
    )
}

/// The page that says what went wrong.
#[must_use]
pub fn trouble(smart: &Smart, trouble: Trouble, issuer: Option<&Issuer>, language: &str) -> HttpResponse {
    let words = Words::of(language, &smart.zone);
    let page = Page {
        status: trouble.status(),
        title: words.plain("smart-trouble-title", []),
        body: told(trouble, &words, ""),
        again: None,
        issuer,
    };
    let mut response = answer(smart, &page, &words);
    if trouble.status() == StatusCode::SERVICE_UNAVAILABLE {
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, header::HeaderValue::from_static("5"));
    }
    response
}

/// What went wrong, in the main part of a page; `more` is HTML.
#[must_use]
pub fn told(trouble: Trouble, words: &Words<'_>, more: &str) -> String {
    let id = trouble.id();
    format!(
        r#"<section class="panel trouble"><h1>{title}</h1><p>{what}</p><h2>{help}</h2><p>{do_this}</p>{more}<p class="quiet">{code}</p></section>"#,
        title = words.say("smart-trouble-title", []),
        what = words.say(&format!("smart-{id}-what"), []),
        help = words.say("smart-help", []),
        do_this = words.say(&format!("smart-{id}-help"), []),
        code = words.say("smart-code", [("id", id.to_owned())]),
    )
}
