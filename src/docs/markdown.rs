//! Markdown as GitHub reads it: a document, tables that nothing in a cell can break, and code.

use std::fmt::Write as _;

/// A document that grows from top to bottom, its blocks a blank line apart.
#[derive(Debug, Default)]
pub(super) struct Document {
    text: String,
}

impl Document {
    /// Any block, as it is.
    pub(super) fn block(&mut self, text: &str) {
        if !text.trim().is_empty() {
            let _ = write!(self.text, "{}\n\n", text.trim_end());
        }
    }

    /// A heading.
    pub(super) fn heading(&mut self, level: usize, title: &str) {
        self.block(&format!("{} {title}", "#".repeat(level)));
    }

    /// A list; nothing for no items.
    pub(super) fn list(&mut self, items: &[String]) {
        let lines: Vec<String> = items.iter().map(|item| format!("- {item}")).collect();
        self.block(&lines.join("\n"));
    }

    /// Lines of code.
    pub(super) fn code(&mut self, language: &str, text: &str) {
        self.block(&format!("```{language}\n{}\n```", text.trim_matches('\n').trim_end()));
    }

    /// What is folded away behind a line.
    pub(super) fn folded(&mut self, line: &str, inside: &Self) {
        self.block(&format!(
            "<details><summary>{line}</summary>\n\n{}\n\n</details>",
            inside.text.trim_end()
        ));
    }

    /// The whole text.
    pub(super) fn finish(self) -> String {
        format!("{}\n", self.text.trim_end())
    }
}

/// A table. Columns that no row fills are left out, and so is a table without rows.
#[derive(Debug)]
pub(super) struct Table<const N: usize> {
    head: [&'static str; N],
    rows: Vec<[String; N]>,
}

impl<const N: usize> Table<N> {
    /// A table with these columns.
    pub(super) fn new(head: [&'static str; N]) -> Self {
        Self { head, rows: Vec::new() }
    }

    /// One more row.
    pub(super) fn row(&mut self, cells: [String; N]) {
        self.rows.push(cells);
    }

    /// The table as Markdown.
    pub(super) fn text(&self) -> String {
        if self.rows.is_empty() {
            return String::new();
        }
        let used = |column: usize| {
            self.rows
                .iter()
                .any(|row| row.get(column).is_some_and(|c| !c.is_empty()))
        };
        let columns: Vec<usize> = (0..N).filter(|column| used(*column)).collect();
        let line = |cells: &[&str]| {
            let shown = columns.iter().filter_map(|column| cells.get(*column));
            let shown: Vec<String> = shown.map(|cell| cell.replace('|', "\\|")).collect();
            format!("| {} |\n", shown.join(" | "))
        };
        let mut out = line(&self.head);
        let _ = writeln!(out, "|{}", "---|".repeat(columns.len()));
        for row in &self.rows {
            out.push_str(&line(&row.each_ref().map(String::as_str)));
        }
        out
    }
}

/// Words of a file, made harmless: a genotype `*1/*2` is no emphasis, an identifier of a publication is a link. Bars are left to
/// [`Table`].
pub(super) fn plain(text: &str) -> String {
    text.split_whitespace().map(word).collect::<Vec<_>>().join(" ")
}

fn word(word: &str) -> String {
    // An address stays one that can be followed.
    if word.contains("://") {
        return word.to_owned();
    }
    let bare = word.trim_end_matches(['.', ',', ';', ':', ')']);
    let registrant = bare.strip_prefix("10.").and_then(|rest| rest.split_once('/'));
    if registrant.is_some_and(|(number, _)| number.len() >= 4 && number.bytes().all(|b| b.is_ascii_digit())) {
        return format!(
            "[{bare}](https://doi.org/{bare}){}",
            word.strip_prefix(bare).unwrap_or_default()
        );
    }
    let mut out = String::with_capacity(word.len());
    for c in word.chars() {
        if matches!(c, '\\' | '*' | '_' | '`' | '<' | '>' | '~' | '$' | '[' | ']') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

/// A name or formula as code on one line; nothing for nothing.
pub(super) fn code(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.is_empty() {
        return line;
    }
    format!("`{}`", line.replace('`', "'"))
}

/// A publication by its identifier.
pub(super) fn doi(doi: &str) -> String {
    if doi.is_empty() {
        return String::new();
    }
    format!("[doi:{0}](https://doi.org/{0})", doi.replace(['(', ')', '<', '>'], ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_or_a_star_breaks_nothing() {
        let mut table = Table::new(["what", "empty", "formula"]);
        table.row([plain("*1/*2 [IU]"), String::new(), code("a || b")]);
        assert_eq!(
            table.text(),
            "| what | formula |\n|---|---|\n| \\*1/\\*2 \\[IU\\] | `a \\|\\| b` |\n"
        );
        assert_eq!(Table::new(["nothing"]).text(), "");
    }

    #[test]
    fn a_formula_of_several_lines_stands_on_one() {
        assert_eq!(code("(a\n  + b)"), "`(a + b)`");
        assert_eq!(plain("see https://a.b/c_d, a_b"), "see https://a.b/c_d, a\\_b");
        assert_eq!(
            plain("doi 10.1002/cpt.716, 10.5/h"),
            "doi [10.1002/cpt.716](https://doi.org/10.1002/cpt.716), 10.5/h"
        );
    }
}
