//! Which ids of tokens were used: each counts once, also with calls at the same moment and after a restart.

use std::{
    collections::HashMap,
    fs::File,
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use jiff::Timestamp;

use super::{StoreError, journal::replaced};

/// Bytes of a record on disk: the digest, and the second until which it counts.
const RECORD: usize = 40;
/// Records from which on those that are over are cleared away.
const CLEAR: u64 = 20_000;

/// When to clear the next time: so that clearing costs little for each record.
fn full(held: u64) -> u64 {
    CLEAR.max(2 * held)
}

/// Remembers what was used.
pub trait ReplayGuard: Send + Sync {
    /// Whether this is the first use of `id`, a digest. It is remembered until `until`, on the disk itself before this returns true;
    /// of claims at the same moment one is the first.
    ///
    /// # Errors
    /// [`StoreError::Broken`] when the medium fails; whether it was used before is then not known.
    fn claim(&self, id: &[u8; 32], until: Timestamp) -> Result<bool, StoreError>;
}

/// Ids and the seconds until which they count.
type Known = HashMap<[u8; 32], i64>;

/// In memory: for a server without a data directory. A restart forgets.
#[derive(Debug, Default)]
pub struct MemoryGuard {
    known: Mutex<Known>,
}

impl ReplayGuard for MemoryGuard {
    fn claim(&self, id: &[u8; 32], until: Timestamp) -> Result<bool, StoreError> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() as u64 >= CLEAR && known.len().is_multiple_of(1000) {
            let now = Timestamp::now().as_second();
            known.retain(|_, until| *until >= now);
        }
        let first = !known.contains_key(id);
        if first {
            known.insert(*id, until.as_second());
        }
        Ok(first)
    }
}

/// Where ids could not be remembered, nobody is let in.
#[derive(Debug)]
pub struct ClosedGuard(pub String);

impl ReplayGuard for ClosedGuard {
    fn claim(&self, _: &[u8; 32], _: Timestamp) -> Result<bool, StoreError> {
        Err(StoreError::Broken(self.0.clone()))
    }
}

/// In a file to which ids are appended. Callers that wait at the same time share one sync.
#[derive(Debug)]
pub struct FileGuard {
    path: PathBuf,
    state: Mutex<State>,
    /// How many records are surely on the disk.
    synced: Mutex<u64>,
}

#[derive(Debug)]
struct State {
    known: Known,
    file: File,
    /// Records in the file.
    held: u64,
    /// From how many on it is cleared.
    full: u64,
    /// Records since the start, in this file or one that was replaced.
    written: u64,
    broken: Option<String>,
}

impl FileGuard {
    /// Opens or creates the file, and clears away what is over.
    ///
    /// # Errors
    /// When it cannot be read or written.
    pub fn open(path: &Path) -> io::Result<Self> {
        let mut bytes = Vec::new();
        match File::open(path) {
            Ok(mut file) => {
                file.read_to_end(&mut bytes)?;
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let now = Timestamp::now().as_second();
        // A part of a record at the end is of a claim that was never granted.
        let known: Known = bytes
            .chunks_exact(RECORD)
            .filter_map(record)
            .filter(|(_, until)| *until >= now)
            .collect();
        let file = written_anew(path, &known)?;
        let state = State {
            held: known.len() as u64,
            full: full(known.len() as u64),
            known,
            file,
            written: 0,
            broken: None,
        };
        Ok(Self {
            path: path.to_owned(),
            state: Mutex::new(state),
            synced: Mutex::new(0),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until so many records are on the disk.
    fn sync(&self, own: u64) -> io::Result<()> {
        let mut synced = self.synced.lock().unwrap_or_else(PoisonError::into_inner);
        if *synced >= own {
            return Ok(());
        }
        let (file, written) = {
            let state = self.state();
            (state.file.try_clone()?, state.written)
        };
        file.sync_data()?;
        *synced = written;
        Ok(())
    }

    /// After a failed write or sync nothing is known of the disk, and a later sync would prove nothing.
    fn failed(&self, error: &io::Error) -> StoreError {
        let reason = format!("ids of tokens cannot be kept: {error}");
        tracing::error!(
            reason,
            "callers are refused until the disk is repaired and the server restarted"
        );
        self.state().broken = Some(reason.clone());
        StoreError::Broken(reason)
    }
}

impl ReplayGuard for FileGuard {
    fn claim(&self, id: &[u8; 32], until: Timestamp) -> Result<bool, StoreError> {
        let written = {
            let mut state = self.state();
            if let Some(reason) = &state.broken {
                return Err(StoreError::Broken(reason.clone()));
            }
            if state.known.contains_key(id) {
                return Ok(false);
            }
            state.append(&self.path, id, until.as_second())
        };
        written
            .and_then(|own| self.sync(own))
            .map(|()| true)
            .map_err(|error| self.failed(&error))
    }
}

impl State {
    /// Writes a record, and gives how many that makes.
    fn append(&mut self, path: &Path, id: &[u8; 32], until: i64) -> io::Result<u64> {
        if self.held >= self.full {
            let now = Timestamp::now().as_second();
            self.known.retain(|_, until| *until >= now);
            self.file = written_anew(path, &self.known)?;
            self.held = self.known.len() as u64;
            self.full = full(self.held);
        }
        self.known.insert(*id, until);
        self.file.write_all(&bytes_of(id, until))?;
        self.held += 1;
        self.written += 1;
        Ok(self.written)
    }
}

fn bytes_of(id: &[u8; 32], until: i64) -> Vec<u8> {
    [id.as_slice(), &until.to_be_bytes()].concat()
}

fn record(bytes: &[u8]) -> Option<([u8; 32], i64)> {
    let (id, until) = bytes.split_at_checked(32)?;
    Some((id.try_into().ok()?, i64::from_be_bytes(until.try_into().ok()?)))
}

/// A file of these records in place of the one before.
fn written_anew(path: &Path, known: &Known) -> io::Result<File> {
    let bytes: Vec<u8> = known.iter().flat_map(|(id, until)| bytes_of(id, *until)).collect();
    replaced(path, &path.with_extension("new"), &bytes)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::{fs, fs::OpenOptions, time::Duration};

    use super::*;
    use crate::store::contract::replay_guard;

    fn id(n: u64) -> [u8; 32] {
        let mut id = [0; 32];
        id.iter_mut().zip(n.to_be_bytes()).for_each(|(to, from)| *to = from);
        id
    }

    fn soon() -> Timestamp {
        Timestamp::now() + Duration::from_secs(60)
    }

    fn past() -> Timestamp {
        Timestamp::now() - Duration::from_secs(60)
    }

    #[test]
    fn both_keep_the_contract() {
        let home = tempfile::tempdir().unwrap();
        replay_guard(&MemoryGuard::default());
        replay_guard(&FileGuard::open(&home.path().join("used")).unwrap());
    }

    #[test]
    fn a_restart_remembers_what_still_counts() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("used");
        let guard = FileGuard::open(&path).unwrap();
        assert!(guard.claim(&id(1), soon()).unwrap() && guard.claim(&id(2), past()).unwrap());
        drop(guard);
        // The power failed within a record.
        OpenOptions::new()
            .append(true)
            .open(&path)
            .unwrap()
            .write_all(&[7; 13])
            .unwrap();
        let guard = FileGuard::open(&path).unwrap();
        assert!(!guard.claim(&id(1), soon()).unwrap());
        assert!(guard.claim(&id(2), soon()).unwrap() && guard.claim(&id(3), soon()).unwrap());
        drop(guard);
        assert_eq!(fs::metadata(&path).unwrap().len(), 3 * RECORD as u64);
        let guard = FileGuard::open(&path).unwrap();
        assert!((1..=3).all(|n| !guard.claim(&id(n), soon()).unwrap()));
    }

    #[test]
    fn what_is_over_is_cleared_away() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("used");
        let guard = FileGuard::open(&path).unwrap();
        {
            let mut state = guard.state();
            for n in 0..2 * CLEAR {
                state.append(&path, &id(n), past().as_second()).unwrap();
            }
            state.append(&path, &id(u64::MAX), soon().as_second()).unwrap();
            assert!(state.known.len() as u64 <= CLEAR + 1, "{}", state.known.len());
        }
        assert!(fs::metadata(&path).unwrap().len() <= (CLEAR + 1) * RECORD as u64);
        assert!(!guard.claim(&id(u64::MAX), soon()).unwrap());
    }

    #[test]
    fn where_nothing_can_be_kept_nobody_is_first() {
        assert!(ClosedGuard("no disk".to_owned()).claim(&id(1), soon()).is_err());
        assert!(FileGuard::open(Path::new("/proc/nowhere/used")).is_err());
        let full = Path::new("/dev/full");
        if full.exists() {
            let home = tempfile::tempdir().unwrap();
            let guard = FileGuard::open(&home.path().join("used")).unwrap();
            guard.state().file = OpenOptions::new().write(true).open(full).unwrap();
            assert!(guard.claim(&id(1), soon()).is_err());
            assert!(
                guard.claim(&id(2), soon()).is_err(),
                "what the disk holds is not known any more"
            );
        }
    }
}
