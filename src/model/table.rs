//! Reading TOML strictly: every key is asked for by name, a key nobody asked for is an error, and every error says where.

use crate::lang::suggest;
use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// What is wrong in a file, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileError {
    /// The file.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// What was found and why it cannot stand.
    pub message: String,
    /// What was probably meant.
    pub help: Option<String>,
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {}", self.file, self.line, self.column, self.message)?;
        match &self.help {
            Some(help) => write!(f, " (help: {help})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for FileError {}

/// A text and its name, to turn places into lines.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// The name shown in errors.
    pub file: &'a str,
    /// The whole text.
    pub text: &'a str,
}

impl<'a> Source<'a> {
    /// An error at a byte of the text.
    pub fn error(&self, at: usize, message: impl Into<String>) -> FileError {
        let before = self.text.get(..at.min(self.text.len())).unwrap_or(self.text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().map_or(0, |part| part.chars().count()) + 1;
        FileError {
            file: self.file.to_owned(),
            line,
            column,
            message: message.into(),
            help: None,
        }
    }

    /// The same with a hint.
    pub fn error_with(&self, at: usize, message: impl Into<String>, help: impl Into<String>) -> FileError {
        FileError {
            help: Some(help.into()),
            ..self.error(at, message)
        }
    }

    /// Where the characters of a string value start, if they stand in the file as they are read (no escapes).
    pub fn content_start(&self, span: &Range<usize>) -> Option<usize> {
        let raw = self.text.get(span.clone())?;
        let quote = raw.chars().next()?;
        let long = raw.starts_with("'''") || raw.starts_with("\"\"\"");
        if quote == '"' && raw.contains('\\') {
            return None;
        }
        let mut start = span.start + if long { 3 } else { 1 };
        if long {
            let rest = self.text.get(start..)?;
            start += if rest.starts_with("\r\n") {
                2
            } else {
                usize::from(rest.starts_with('\n'))
            };
        }
        Some(start)
    }

    /// An error at a byte of a string value.
    pub fn error_inside(&self, value: &Spanned<String>, at: usize, message: impl Into<String>) -> FileError {
        let place = self
            .content_start(&value.span())
            .map_or(value.span().start, |start| start + at);
        self.error(place, message)
    }

    /// Parses the file.
    ///
    /// # Errors
    /// A text that is no TOML.
    pub fn parse(&self) -> Result<Spanned<DeTable<'a>>, FileError> {
        DeTable::parse(self.text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start);
            self.error(at, error.message().to_owned())
        })
    }
}

/// A table being read: remembers which keys were asked for.
#[derive(Debug)]
pub struct Table<'t, 'a> {
    source: Source<'a>,
    name: String,
    at: usize,
    table: &'t DeTable<'a>,
    asked: BTreeSet<&'static str>,
}

/// A key with its value.
pub struct Entry<'t, 'a> {
    /// The key.
    pub key: &'t str,
    /// Where the key stands.
    pub at: usize,
    /// The value.
    pub value: &'t Spanned<DeValue<'a>>,
}

impl<'t, 'a> Table<'t, 'a> {
    /// Starts to read a table. `at` is where it stands; `name` is how errors call it.
    pub fn new(source: Source<'a>, name: impl Into<String>, at: usize, table: &'t DeTable<'a>) -> Self {
        Self {
            source,
            name: name.into(),
            at,
            table,
            asked: BTreeSet::new(),
        }
    }

    /// Where the table stands.
    pub fn at(&self) -> usize {
        self.at
    }

    /// The value of a key, if it is there.
    pub fn get(&mut self, key: &'static str) -> Option<&'t Spanned<DeValue<'a>>> {
        self.asked.insert(key);
        self.table.get(key)
    }

    fn missing(&self, key: &str, what: &str) -> FileError {
        self.source.error_with(
            self.at,
            format!("{} has no `{key}`", self.name),
            format!("add `{key} = ...`, {what}"),
        )
    }

    fn wrong(&self, key: &str, value: &Spanned<DeValue<'_>>, what: &str) -> FileError {
        let found = value.get_ref().type_str();
        self.source.error(
            value.span().start,
            format!("`{key}` in {} must be {what}, found a value of type {found}", self.name),
        )
    }

    /// A text, if the key is there.
    ///
    /// # Errors
    /// A value of another type.
    pub fn text(&mut self, key: &'static str) -> Result<Option<Spanned<String>>, FileError> {
        let Some(value) = self.get(key) else { return Ok(None) };
        match value.get_ref() {
            DeValue::String(text) => Ok(Some(Spanned::new(value.span(), text.to_string()))),
            _ => Err(self.wrong(key, value, "a text")),
        }
    }

    /// A text that must be there and not be empty.
    ///
    /// # Errors
    /// A missing or empty text, or a value of another type.
    pub fn required_text(&mut self, key: &'static str, what: &str) -> Result<Spanned<String>, FileError> {
        match self.text(key)? {
            Some(text) if text.get_ref().trim().is_empty() => Err(self
                .source
                .error(text.span().start, format!("`{key}` in {} is empty", self.name))),
            Some(text) => Ok(text),
            None => Err(self.missing(key, what)),
        }
    }

    /// A number, if the key is there.
    ///
    /// # Errors
    /// A value that is no finite number.
    pub fn number(&mut self, key: &'static str) -> Result<Option<Spanned<f64>>, FileError> {
        let Some(value) = self.get(key) else { return Ok(None) };
        match number(value.get_ref()) {
            Some(x) => Ok(Some(Spanned::new(value.span(), x))),
            None => Err(self.wrong(key, value, "a finite number")),
        }
    }

    /// A flag, false if the key is not there.
    ///
    /// # Errors
    /// A value that is neither true nor false.
    pub fn flag(&mut self, key: &'static str) -> Result<bool, FileError> {
        let Some(value) = self.get(key) else { return Ok(false) };
        match value.get_ref() {
            DeValue::Boolean(flag) => Ok(*flag),
            _ => Err(self.wrong(key, value, "true or false")),
        }
    }

    /// A list of numbers, if the key is there.
    ///
    /// # Errors
    /// A value that is no list of finite numbers.
    pub fn numbers(&mut self, key: &'static str) -> Result<Option<Spanned<Vec<f64>>>, FileError> {
        let Some(value) = self.get(key) else { return Ok(None) };
        match number_list(value) {
            Some(list) => Ok(Some(Spanned::new(value.span(), list))),
            None => Err(self.wrong(key, value, "a list of numbers")),
        }
    }

    /// A list of rows of `widths` numbers, empty if the key is not there.
    ///
    /// # Errors
    /// A value that is no such list.
    pub fn rows(
        &mut self,
        key: &'static str,
        widths: Range<usize>,
        what: &str,
    ) -> Result<Vec<Spanned<Vec<f64>>>, FileError> {
        let Some(value) = self.get(key) else {
            return Ok(Vec::new());
        };
        let DeValue::Array(array) = value.get_ref() else {
            return Err(self.wrong(key, value, what));
        };
        array
            .iter()
            .map(|row| match number_list(row) {
                Some(list) if widths.contains(&list.len()) => Ok(Spanned::new(row.span(), list)),
                _ => Err(self
                    .source
                    .error(row.span().start, format!("each row of `{key}` must be {what}"))),
            })
            .collect()
    }

    /// A list of texts, empty if the key is not there.
    ///
    /// # Errors
    /// A value that is no list of texts.
    pub fn texts(&mut self, key: &'static str) -> Result<Vec<Spanned<String>>, FileError> {
        let Some(value) = self.get(key) else {
            return Ok(Vec::new());
        };
        let list: Option<Vec<_>> = value.get_ref().as_array().and_then(|array| {
            array
                .iter()
                .map(|x| x.get_ref().as_str().map(|text| Spanned::new(x.span(), text.to_owned())))
                .collect()
        });
        list.ok_or_else(|| self.wrong(key, value, "a list of texts"))
    }

    /// A table within this one, if the key is there.
    ///
    /// # Errors
    /// A value of another type.
    pub fn table(&mut self, key: &'static str) -> Result<Option<Table<'t, 'a>>, FileError> {
        let Some(value) = self.get(key) else { return Ok(None) };
        match value.get_ref() {
            DeValue::Table(table) => Ok(Some(Table::new(
                self.source,
                format!("[{key}]"),
                value.span().start,
                table,
            ))),
            _ => Err(self.wrong(key, value, "a table")),
        }
    }

    /// A table that must be there.
    ///
    /// # Errors
    /// A missing table, or a value of another type.
    pub fn required_table(&mut self, key: &'static str, what: &str) -> Result<Table<'t, 'a>, FileError> {
        match self.table(key)? {
            Some(table) => Ok(table),
            None => Err(self.source.error_with(
                self.at,
                format!("the file has no table `[{key}]`"),
                format!("it says {what}"),
            )),
        }
    }

    /// Tables in a list, empty if the key is not there.
    ///
    /// # Errors
    /// A value that is no list of tables.
    pub fn tables(&mut self, key: &'static str) -> Result<Vec<Table<'t, 'a>>, FileError> {
        let Some(value) = self.get(key) else {
            return Ok(Vec::new());
        };
        let list: Option<Vec<_>> = value.get_ref().as_array().and_then(|array| {
            array
                .iter()
                .map(|x| {
                    x.get_ref()
                        .as_table()
                        .map(|t| Table::new(self.source, format!("[[{key}]]"), x.span().start, t))
                })
                .collect()
        });
        list.ok_or_else(|| self.wrong(key, value, "a list of tables"))
    }

    /// All entries in the order of the file, for tables whose keys are names chosen by the author.
    pub fn entries(&self) -> Vec<Entry<'t, 'a>> {
        let mut list: Vec<_> = self
            .table
            .iter()
            .map(|(key, value)| Entry {
                key: key.get_ref().as_ref(),
                at: key.span().start,
                value,
            })
            .collect();
        list.sort_by_key(|entry| entry.at);
        list
    }

    /// Ends the reading: any key that nobody asked for is an error.
    ///
    /// # Errors
    /// The first unknown key, with the key that was probably meant.
    pub fn finish(self) -> Result<(), FileError> {
        match self.entries().into_iter().find(|entry| !self.asked.contains(entry.key)) {
            Some(entry) => Err(self.source.error_with(
                entry.at,
                format!("{} has no key `{}`", self.name, entry.key),
                suggest::hint(entry.key, self.asked.iter().copied()),
            )),
            None => Ok(()),
        }
    }
}

/// A finite number, written as an integer or not.
pub fn number(value: &DeValue<'_>) -> Option<f64> {
    let text = match value {
        DeValue::Integer(x) if x.radix() == 10 => x.as_str(),
        DeValue::Float(x) => x.as_str(),
        _ => return None,
    };
    text.parse::<f64>().ok().filter(|x| x.is_finite())
}

fn number_list(value: &Spanned<DeValue<'_>>) -> Option<Vec<f64>> {
    value
        .get_ref()
        .as_array()?
        .iter()
        .map(|x| number(x.get_ref()))
        .collect()
}
