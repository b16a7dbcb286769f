//! HTML as text: everything that is not ours is escaped.

/// A text as it may stand between tags or in a quoted attribute. Control characters, which no page needs, become spaces.
#[must_use]
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\n' => out.push(c),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

/// A link to somewhere else, or plain words when the address is not one for a browser.
#[must_use]
pub fn link(words: &str, address: &str) -> String {
    let words = escaped(words);
    match url::Url::parse(address) {
        Ok(url) if matches!(url.scheme(), "https" | "http") => format!(
            r#"<a href="{}" target="_blank" rel="noopener noreferrer">{words}</a>"#,
            escaped(url.as_str())
        ),
        _ => words,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_leaves_its_place() {
        assert_eq!(
            escaped("<b a=\"'\">&\u{7}\u{85}é</b>"),
            "&lt;b a=&quot;&#39;&quot;&gt;&amp;  é&lt;/b&gt;"
        );
        assert_eq!(link("<x>", "javascript:alert(1)"), "&lt;x&gt;");
        assert_eq!(
            link("x", "https://a.example/?b=\"&c=1"),
            r#"<a href="https://a.example/?b=%22&amp;c=1" target="_blank" rel="noopener noreferrer">x</a>"#
        );
    }
}
