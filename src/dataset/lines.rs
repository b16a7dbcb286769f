//! A text of comma-separated cells, line by line, with numbers of lines that are right after comments and blank lines.

use super::DataError;
use super::row::shown;
use csv::StringRecord;
use std::io::{BufRead, Read};

/// How much of a source is read before it is refused.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Lines in a file.
    pub lines: usize,
    /// Bytes in a line.
    pub line: u64,
    /// Single doses of a subject.
    pub doses: usize,
    /// Single doses in a file.
    pub all_doses: usize,
}

/// What any real file stays below.
pub(super) const LIMITS: Limits = Limits {
    lines: 5_000_000,
    line: 1 << 20,
    doses: 100_000,
    all_doses: 5_000_000,
};

/// Reads lines and splits them.
pub(super) struct Lines<'f, R> {
    file: &'f str,
    source: R,
    limits: Limits,
    buffer: Vec<u8>,
    /// Number of the line in `cells`, from 1.
    pub number: usize,
    /// The cells of the line, trimmed.
    pub cells: StringRecord,
    /// The last comment seen.
    pub comment: Option<String>,
}

impl<'f, R: BufRead> Lines<'f, R> {
    /// Starts at the top of a source.
    pub fn new(file: &'f str, source: R, limits: Limits) -> Self {
        Self {
            file,
            source,
            limits,
            buffer: Vec::new(),
            number: 0,
            cells: StringRecord::new(),
            comment: None,
        }
    }

    fn error(&self, message: impl Into<String>) -> DataError {
        DataError::new(self.file, self.number.max(1), message)
    }

    /// Goes to the next line that is neither blank nor a comment; `false` at the end.
    pub fn advance(&mut self) -> Result<bool, DataError> {
        loop {
            self.buffer.clear();
            let mut part = self.source.by_ref().take(self.limits.line + 1);
            let count = part.read_until(b'\n', &mut self.buffer);
            if matches!(count, Ok(0)) {
                return Ok(false);
            }
            self.number += 1;
            if let Err(error) = count {
                return Err(self.error(format!("the file cannot be read: {error}")));
            }
            if self.number > self.limits.lines {
                return Err(self
                    .error(format!("the file has more than {} lines", self.limits.lines))
                    .help("split it by subject"));
            }
            if u64::try_from(self.buffer.len()).unwrap_or(u64::MAX) > self.limits.line {
                return Err(self
                    .error(format!("the line is longer than {} bytes", self.limits.line))
                    .help("is this a CSV file?"));
            }
            if self.split()? {
                return Ok(true);
            }
        }
    }

    /// Splits the line in the buffer; `false` if it holds no cells.
    fn split(&mut self) -> Result<bool, DataError> {
        let mut bytes = self.buffer.as_slice();
        if self.number == 1 {
            self.recognise(bytes)?;
            bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
        }
        let Ok(line) = std::str::from_utf8(bytes) else {
            return Err(self
                .error("the line is not UTF-8 text")
                .help("save the file as CSV UTF-8"));
        };
        let line = line.strip_suffix('\n').unwrap_or(line);
        let line = line.strip_suffix('\r').unwrap_or(line);
        if let Some(comment) = line.strip_prefix('#') {
            self.comment = Some(comment.to_owned());
            return Ok(false);
        }
        if line.trim().is_empty() {
            return Ok(false);
        }
        if line.contains('\r') {
            return Err(self
                .error("a carriage return stands inside the line")
                .help("save the file with line ends LF or CR LF"));
        }
        self.cells.clear();
        if !line.contains('"') {
            for cell in line.split(',') {
                self.cells.push_field(cell.trim());
            }
            return Ok(true);
        }
        if line.matches('"').count() % 2 == 1 {
            return Err(self
                .error(format!("a quote is not closed on its line: `{}`", shown(line)))
                .help("a quote inside a quoted cell is written twice; a cell cannot hold a line end"));
        }
        let mut reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .trim(csv::Trim::All)
            .from_reader(line.as_bytes());
        match reader.read_record(&mut self.cells) {
            Ok(found) => Ok(found),
            Err(error) => Err(self.error(format!("the line cannot be split into cells: {error}"))),
        }
    }

    /// Refuses files that are plainly something else.
    fn recognise(&self, start: &[u8]) -> Result<(), DataError> {
        if start.starts_with(b"PK\x03\x04") || start.starts_with(b"\xD0\xCF\x11\xE0") {
            return Err(self
                .error("this is a spreadsheet or an archive, not a text file")
                .help("export the sheet as CSV UTF-8"));
        }
        if start.starts_with(b"\xFF\xFE") || start.starts_with(b"\xFE\xFF") {
            return Err(self.error("the file is UTF-16 text").help("save the file as CSV UTF-8"));
        }
        Ok(())
    }

    /// The same line refused for its number of cells.
    pub fn ragged(&self, expected: usize) -> DataError {
        let found = match self.cells.len() {
            1 => "1 cell".to_owned(),
            count => format!("{count} cells"),
        };
        let error = self.error(format!("the line has {found}, the header has {expected}"));
        let separated = |mark: char| self.cells.len() == 1 && self.cells.iter().any(|cell| cell.contains(mark));
        if separated(';') || separated('\t') {
            error.help("separate cells with commas, as in the header")
        } else {
            error.help(
                "a missing cell is written `.`; decimals are written with a point; a cell with a comma needs quotes",
            )
        }
    }
}

/// Refuses a header whose cells are not separated by commas.
pub(super) fn separator(file: &str, line: usize, header: &StringRecord) -> Result<(), DataError> {
    let holds = |mark: char| header.iter().any(|cell| cell.contains(mark));
    let found = if holds('\t') {
        "tabs"
    } else if holds(';') {
        "semicolons"
    } else if header.len() == 1 && holds(' ') {
        "spaces"
    } else {
        return Ok(());
    };
    Err(DataError::new(
        file,
        line,
        format!("the columns are separated by {found}, not by commas"),
    )
    .help("save the file with commas between cells and points in decimals (in R: write.csv)"))
}
