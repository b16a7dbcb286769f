//! The part of Markdown that cards are written in, as HTML: paragraphs, lists of one level, bold, escapes. Nothing is ever taken for
//! HTML, and nothing becomes a link.

use std::fmt::Write;

use super::html::escaped;

/// A block of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block<'a> {
    /// What stands in bold at its beginning.
    pub title: Option<&'a str>,
    /// The rest of its first paragraph.
    pub text: &'a str,
    /// The list under it.
    pub items: Vec<&'a str>,
}

/// The blocks of a text: a paragraph with the list that follows it.
#[must_use]
pub fn blocks(text: &str) -> Vec<Block<'_>> {
    let mut found: Vec<Block<'_>> = Vec::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        match (line.strip_prefix("- "), found.last_mut()) {
            (Some(item), Some(block)) => block.items.push(item),
            (Some(item), None) => found.push(Block {
                title: None,
                text: "",
                items: vec![item],
            }),
            (None, _) => {
                let titled = line.strip_prefix("**").and_then(|rest| rest.split_once("**"));
                let (title, text) = titled.map_or((None, line), |(title, rest)| (Some(title), rest.trim()));
                found.push(Block {
                    title,
                    text,
                    items: Vec::new(),
                });
            }
        }
    }
    found
}

/// A line: bold parts and escapes.
#[must_use]
pub fn line(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    let mut bold = false;
    let mut plain = String::new();
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '\\' => plain.extend(rest.next()),
            '*' if rest.peek() == Some(&'*') => {
                rest.next();
                out.push_str(&escaped(&std::mem::take(&mut plain)));
                out.push_str(if bold { "</strong>" } else { "<strong>" });
                bold = !bold;
            }
            c => plain.push(c),
        }
    }
    out.push_str(&escaped(&plain));
    if bold {
        out.push_str("</strong>");
    }
    out
}

/// Items as a list.
#[must_use]
pub fn list(items: &[&str]) -> String {
    let mut out = String::from("<ul>");
    for item in items {
        let _ = write!(out, "<li>{}</li>", line(item));
    }
    out.push_str("</ul>");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_have_a_title_words_and_a_list() {
        let found = blocks("**Options** a / b\n\n- one: 1\n- two\n\n**Limits** none.\n\nloose");
        let plain: Vec<_> = found.iter().map(|b| (b.title, b.text, b.items.len())).collect();
        assert_eq!(
            plain,
            [
                (Some("Options"), "a / b", 2),
                (Some("Limits"), "none.", 0),
                (None, "loose", 0)
            ]
        );
    }

    #[test]
    fn what_was_escaped_is_text_and_what_is_markup_elsewhere_too() {
        assert_eq!(line("a **b** \\*\\*c\\*\\*"), "a <strong>b</strong> **c**");
        assert_eq!(
            line("<img src=x> [x](javascript:y) **open"),
            "&lt;img src=x&gt; [x](javascript:y) <strong>open</strong>"
        );
        assert_eq!(list(&["<b>"]), "<ul><li>&lt;b&gt;</li></ul>");
        assert_eq!(line("\\"), "");
    }
}
