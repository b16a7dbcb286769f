//! What pages of ours have in common: the language they are read in, escaping, the Markdown of cards, the style sheet.

pub mod html;
pub mod language;
pub mod markdown;

/// A file that every page may use, by its name.
#[must_use]
pub fn asset(name: &str) -> Option<&'static [u8]> {
    Some(match name {
        "base.css" => include_bytes!("base.css"),
        "icon.svg" => include_bytes!("icon.svg"),
        _ => return None,
    })
}

/// The media type of a file of a page, by its ending.
#[must_use]
pub fn content_type(name: &str) -> Option<&'static str> {
    Some(match name.rsplit_once('.')?.1 {
        "html" => "text/html; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "svg" => "image/svg+xml",
        _ => return None,
    })
}
