//! Records in one append-only file, synced before it is acknowledged.
//!
//! One record is one line, `J1 <number> <checksum> <JSON>`. The checksum covers number and JSON; the numbers make a
//! line that vanished visible. At opening, the tail of a record that was being written when the power failed is cut
//! off: nobody was told that it was kept. A damaged line in the middle stays for a human to look at, and is counted.
//!
//! Callers that wait at the same time share one sync (group commit): whoever comes first writes for all.

use std::{
    fs::{File, OpenOptions},
    io::{self, BufRead, BufReader, Read as _, Write as _},
    marker::PhantomData,
    mem,
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError},
};

use serde::{Serialize, de::DeserializeOwned};

use super::{Account, Log, LogError};

mod line;
#[cfg(test)]
mod tests;

/// Largest record as JSON, bytes.
pub const MAX_RECORD: usize = 1024 * 1024;

/// The little that a log needs of a file; tests put one in its place that loses power.
trait Medium: Send {
    /// Writes at the end.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Returns when all that was appended is on the disk itself.
    fn sync(&mut self) -> io::Result<()>;
    /// Cuts the file to `length` bytes.
    fn cut(&mut self, length: u64) -> io::Result<()>;
}

impl Medium for File {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes)
    }
    fn sync(&mut self) -> io::Result<()> {
        // fdatasync: it includes the length of the file, without which the data could not be found.
        self.sync_data()
    }
    fn cut(&mut self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }
}

/// One call's records, waiting to be written.
struct Waiting {
    records: Vec<Vec<u8>>,
    outcome: Arc<OnceLock<Result<(), LogError>>>,
}

struct State {
    waiting: Vec<Waiting>,
    writing: bool,
    /// Number of the next record.
    next: u64,
    /// Bytes that are surely on the disk.
    length: u64,
    poisoned: Option<String>,
}

/// The log on disk. See the [module](self).
pub struct Journal<R> {
    /// What it holds, in words.
    name: &'static str,
    path: PathBuf,
    medium: Mutex<Box<dyn Medium>>,
    state: Mutex<State>,
    written: Condvar,
    records: PhantomData<fn(R) -> R>,
}

/// What was found when a log was opened.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Found {
    /// Records whole, damaged and missing.
    pub account: Account,
    /// Bytes of an unfinished record that were cut off.
    pub torn: u64,
}

impl<R: DeserializeOwned> Journal<R> {
    /// Opens or creates the log. The caller must know that no other process uses it, see [`open`](super::open).
    ///
    /// # Errors
    /// When the file cannot be opened, read, or synced. Damage inside it is no error but reported in [`Found`].
    pub fn open(name: &'static str, path: &Path) -> io::Result<(Self, Found)> {
        let mut options = OpenOptions::new();
        options.read(true).append(true).create(true);
        #[cfg(unix)]
        {
            use std::os::unix::fs::OpenOptionsExt as _;
            // Comments of clinicians may name patients.
            options.mode(0o600);
        }
        let mut file = options.open(path)?;
        let scan = scan(&mut BufReader::new(&file), u64::MAX, &mut |_: R| {})?;
        let mut length = scan.length;
        if scan.torn > 0 {
            tracing::warn!(
                bytes = scan.torn,
                "the {name} ends in an unfinished record, which is cut off"
            );
        }
        if scan.torn > 0 || scan.unended {
            file.cut(length)?;
        }
        if scan.unended {
            // The last record is whole but for its end of line.
            file.append(b"\n")?;
            length = length.saturating_add(1);
        }
        if scan.account.damaged > 0 || scan.account.missing > 0 {
            tracing::error!(
                damaged = scan.account.damaged,
                missing = scan.account.missing,
                "the {name} was damaged outside this server; the damaged lines are kept in it"
            );
        }
        // Whoever crashed before may have left records unsynced, and the directory does not know a new file for sure.
        file.sync_all()?;
        sync_directory(path)?;
        let found = Found {
            account: scan.account,
            torn: scan.torn,
        };
        Ok((
            Self::over(name, path.to_owned(), Box::new(file), scan.next, length),
            found,
        ))
    }

    fn over(name: &'static str, path: PathBuf, medium: Box<dyn Medium>, next: u64, length: u64) -> Self {
        let state = State {
            waiting: Vec::new(),
            writing: false,
            next,
            length,
            poisoned: None,
        };
        Self {
            name,
            path,
            medium: Mutex::new(medium),
            state: Mutex::new(state),
            written: Condvar::new(),
            records: PhantomData,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes a batch and syncs. Returns the new end of the file.
    fn commit(&self, batch: &[Waiting], first: u64, start: u64) -> Result<(u64, u64), LogError> {
        let mut bytes = Vec::new();
        let mut next = first;
        for record in batch.iter().flat_map(|waiting| &waiting.records) {
            line::write(&mut bytes, next, record);
            next = next.saturating_add(1);
        }
        let mut medium = self.medium.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = medium.append(&bytes) {
            // A part of the batch may be there. If it cannot be cut off, later records would follow a torn line, and
            // a reader could not tell records that were refused from records that were kept.
            return Err(match medium.cut(start) {
                Ok(()) => LogError::Write(error.to_string()),
                Err(second) => LogError::Poisoned(format!("{error}; {second}")),
            });
        }
        // After a failed sync the kernel may count the pages as clean: a second sync would succeed and prove nothing.
        medium.sync().map_err(|error| LogError::Poisoned(error.to_string()))?;
        Ok((next, start.saturating_add(bytes.len() as u64)))
    }

    /// Does the work of everybody who waits. Takes the state and gives it back, unlocked in between.
    fn lead<'a>(&'a self, mut state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        state.writing = true;
        let batch = mem::take(&mut state.waiting);
        let (next, length, poisoned) = (state.next, state.length, state.poisoned.clone());
        drop(state);
        let result = match poisoned {
            Some(reason) => Err(LogError::Poisoned(reason)),
            None => self.commit(&batch, next, length),
        };
        let mut state = self.state();
        let outcome = match result {
            Ok((next, length)) => {
                state.next = next;
                state.length = length;
                Ok(())
            }
            Err(error) => {
                if let (LogError::Poisoned(reason), None) = (&error, &state.poisoned) {
                    tracing::error!(
                        reason,
                        "the {} cannot be trusted any more and takes no records",
                        self.name
                    );
                    state.poisoned = Some(reason.clone());
                }
                Err(error)
            }
        };
        for waiting in batch {
            // Set once: each batch is led by one thread.
            let _ = waiting.outcome.set(outcome.clone());
        }
        state.writing = false;
        self.written.notify_all();
        state
    }
}

impl<R: Serialize + DeserializeOwned> Log<R> for Journal<R> {
    fn append_all(&self, records: &[R]) -> Result<(), LogError> {
        if records.is_empty() {
            return Ok(());
        }
        let mut encoded = Vec::with_capacity(records.len());
        for record in records {
            let json = serde_json::to_vec(record).map_err(|error| LogError::Write(error.to_string()))?;
            if json.len() > MAX_RECORD {
                return Err(LogError::TooLarge {
                    size: json.len(),
                    limit: MAX_RECORD,
                });
            }
            encoded.push(json);
        }
        let outcome = Arc::new(OnceLock::new());
        let mut state = self.state();
        state.waiting.push(Waiting {
            records: encoded,
            outcome: Arc::clone(&outcome),
        });
        loop {
            if let Some(outcome) = outcome.get() {
                return outcome.clone();
            }
            state = if state.writing {
                self.written.wait(state).unwrap_or_else(PoisonError::into_inner)
            } else {
                self.lead(state)
            };
        }
    }

    fn for_each(&self, show: &mut dyn FnMut(R)) -> Result<Account, LogError> {
        // Only what is acknowledged: a record being written now is not read half.
        let length = self.state().length;
        let read = |error: io::Error| LogError::Read(error.to_string());
        let file = File::open(&self.path).map_err(read)?;
        Ok(scan(&mut BufReader::new(file), length, show).map_err(read)?.account)
    }

    fn rewrite(&self, change: &mut dyn FnMut(R) -> Result<R, LogError>) -> Result<u64, LogError> {
        let mut medium = self.medium.lock().unwrap_or_else(PoisonError::into_inner);
        let mut state = self.state();
        let write = |error: io::Error| LogError::Write(error.to_string());
        let (mut bytes, mut number, mut failed) = (Vec::new(), 0, None);
        let mut add = |record: R| {
            let json = change(record).and_then(|r| serde_json::to_vec(&r).map_err(|e| LogError::Write(e.to_string())));
            match json {
                Ok(json) => {
                    number += 1;
                    line::write(&mut bytes, number, &json);
                }
                Err(error) => failed = Some(error),
            }
        };
        let file = File::open(&self.path).map_err(|error| LogError::Read(error.to_string()))?;
        let scan = scan(&mut BufReader::new(file), state.length, &mut add).map_err(write)?;
        if let Some(error) = failed {
            return Err(error);
        }
        if scan.account.damaged > 0 || scan.account.missing > 0 {
            let place = self.path.display();
            return Err(LogError::Write(format!(
                "{place} holds damaged lines, which would be lost: keep a copy of it, take them out, and try again"
            )));
        }
        let new = self.path.with_extension("new");
        let file = replaced(&self.path, &new, &bytes).map_err(write)?;
        *medium = Box::new(file);
        state.next = number + 1;
        state.length = bytes.len() as u64;
        Ok(number)
    }

    fn trouble(&self) -> Option<String> {
        self.state()
            .poisoned
            .as_ref()
            .map(|reason| format!("the {} takes no records since a sync failed: {reason}", self.name))
    }
}

/// A file of these bytes in place of another, on the disk itself, open for more at its end.
pub(super) fn replaced(path: &Path, new: &Path, bytes: &[u8]) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    let mut file = options.open(new)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(new, path)?;
    sync_directory(path)?;
    Ok(file)
}

/// A directory remembers a new file only after it was synced itself.
fn sync_directory(path: &Path) -> io::Result<()> {
    #[cfg(unix)]
    {
        let parent = path
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty())
            .unwrap_or(Path::new("."));
        File::open(parent)?.sync_all()
    }
    #[cfg(not(unix))]
    {
        let _ = path;
        Ok(())
    }
}

/// What a reading of the file found.
#[derive(Debug, Default)]
struct Scan {
    account: Account,
    /// Number for the next record.
    next: u64,
    /// Where the last finished line ends.
    length: u64,
    /// Bytes after that.
    torn: u64,
    /// The last line is a whole record without an end of line; it counts as finished.
    unended: bool,
}

/// Reads the first `limit` bytes. Lines longer than any record are skipped without being held in memory.
fn scan<R: DeserializeOwned>(file: &mut impl BufRead, limit: u64, show: &mut dyn FnMut(R)) -> io::Result<Scan> {
    let mut scan = Scan {
        next: 1,
        ..Scan::default()
    };
    let mut file = file.take(limit);
    let mut lost = Unexplained::default();
    let mut bytes = Vec::new();
    loop {
        bytes.clear();
        let mut size = file.by_ref().take(line::MAX as u64).read_until(b'\n', &mut bytes)?;
        let mut ended = bytes.last() == Some(&b'\n');
        if size == line::MAX && !ended {
            bytes.clear();
            let (skipped, found) = skip_line(&mut file)?;
            size = size.saturating_add(skipped);
            ended = found;
        }
        if size == 0 {
            break;
        }
        let text = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
        let mut record = line::read(text).filter(|(number, _)| *number >= scan.next);
        if let (None, false, Some((_, text))) = (&record, ended, text.split_last()) {
            // A record may be whole with a damaged end of line: it was acknowledged, so it is not cut off.
            record = line::read(text).filter(|(number, _)| *number >= scan.next);
            size = size.saturating_sub(usize::from(record.is_some()));
        }
        match (record, ended) {
            (Some((number, record)), _) => {
                lost.add(&mut scan, number);
                scan.account.whole = scan.account.whole.saturating_add(1);
                scan.next = number.saturating_add(1);
                scan.unended = !ended;
                show(record);
            }
            (None, true) => {
                scan.account.damaged = scan.account.damaged.saturating_add(1);
                lost.damaged = lost.damaged.saturating_add(1);
            }
            (None, false) => {
                scan.torn = size as u64;
                break;
            }
        }
        scan.length = scan.length.saturating_add(size as u64);
    }
    // Damaged lines at the end had numbers too; theirs are not given again.
    scan.next = scan.next.saturating_add(lost.damaged);
    Ok(scan)
}

/// Damaged lines since the last whole one: they explain as many missing numbers.
#[derive(Default)]
struct Unexplained {
    damaged: u64,
}

impl Unexplained {
    fn add(&mut self, scan: &mut Scan, number: u64) {
        let gap = number.saturating_sub(scan.next);
        scan.account.missing = scan.account.missing.saturating_add(gap.saturating_sub(self.damaged));
        self.damaged = 0;
    }
}

/// Bytes skipped, and whether an end of line was among them.
fn skip_line(file: &mut impl BufRead) -> io::Result<(usize, bool)> {
    let mut skipped = 0_usize;
    loop {
        let buffer = file.fill_buf()?;
        if buffer.is_empty() {
            return Ok((skipped, false));
        }
        let end = buffer.iter().position(|byte| *byte == b'\n');
        let count = end.map_or(buffer.len(), |end| end.saturating_add(1));
        file.consume(count);
        skipped = skipped.saturating_add(count);
        if end.is_some() {
            return Ok((skipped, true));
        }
    }
}
