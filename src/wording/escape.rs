//! Texts from the record, made harmless for Markdown.

/// Longest text of the record that is repeated on a card, in characters.
const LONGEST: usize = 60;

/// Escapes Markdown and HTML, drops control and bidirectional characters, folds whitespace and cuts after 60 characters.
#[must_use]
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    let mut count = 0;
    let mut space = false;
    for c in text.chars() {
        if c.is_whitespace() {
            space = !out.is_empty();
            continue;
        }
        if c.is_control() || is_format(c) {
            continue;
        }
        if count >= LONGEST {
            out.push('…');
            break;
        }
        if std::mem::take(&mut space) {
            out.push(' ');
        }
        match c {
            '<' => out.push('‹'),
            '>' => out.push('›'),
            '.' | ',' | ':' | ';' | '/' | '%' | '\'' | '"' | '-' | '=' | '+' => out.push(c),
            c if c.is_ascii_punctuation() => out.extend(['\\', c]),
            c => out.push(c),
        }
        count += 1;
    }
    // Some readers of Markdown make links of bare addresses.
    out.replace("://", ": //").replace("www.", "www .")
}

/// Zero-width, bidirectional and other characters that change how the rest is read.
fn is_format(c: char) -> bool {
    matches!(c, '\u{AD}' | '\u{61C}' | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{2069}'
        | '\u{FEFF}' | '\u{FFF9}'..='\u{FFFB}' | '\u{E0000}'..='\u{E007F}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_is_taken_apart() {
        let out = escape("<img src=x onerror=alert(1)> [a](javascript:x) *b* `c`");
        assert!(!out.contains('<') && !out.contains("[a]("), "{out}");
        assert!(out.contains("\\*b\\*"), "{out}");
    }

    #[test]
    fn direction_overrides_and_lines_are_dropped() {
        assert_eq!(escape("a\u{202E}b\r\nc"), "ab c");
    }

    #[test]
    fn bare_addresses_are_no_links() {
        assert_eq!(
            escape("http://evil.example www.evil.example"),
            "http: //evil.example www .evil.example"
        );
    }

    #[test]
    fn long_texts_are_cut() {
        assert_eq!(escape(&"x".repeat(500)).chars().count(), LONGEST + 1);
    }
}
