#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use std::{
    fs,
    io::{BufRead as _, Write as _},
    process::{Command, Stdio},
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::{Duration, Instant},
};

use super::*;
use crate::store::{FeedbackRecord, contract::record};

fn number(record: &FeedbackRecord) -> u64 {
    record.feedback["card"].as_u64().unwrap()
}

fn numbers(journal: &Journal<FeedbackRecord>) -> Vec<u64> {
    journal.read_all().unwrap().iter().map(number).collect()
}

fn filled(path: &Path, count: u64) {
    let (journal, _) = Journal::<FeedbackRecord>::open("feedback log", path).unwrap();
    for n in 1..=count {
        journal.append(&record(n)).unwrap();
    }
}

#[test]
fn records_come_back_in_order_and_after_a_restart() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("feedback.log");
    filled(&path, 3);
    let (journal, found) = Journal::<FeedbackRecord>::open("feedback log", &path).unwrap();
    assert_eq!(
        found,
        Found {
            account: Account {
                whole: 3,
                ..Account::default()
            },
            torn: 0
        }
    );
    journal.append_all(&[record(4), record(5)]).unwrap();
    journal.append_all(&[]).unwrap();
    assert_eq!(journal.read_all().unwrap(), (1..=5).map(record).collect::<Vec<_>>());
    let text = fs::read_to_string(&path).unwrap();
    assert_eq!(
        text.lines().count(),
        5,
        "one record is one line, whatever is in the comment"
    );
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}

#[test]
fn too_large_a_record_is_refused_and_harms_nothing() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("feedback.log");
    let (journal, _) = Journal::<FeedbackRecord>::open("feedback log", &path).unwrap();
    let mut large = record(1);
    large.feedback = "x".repeat(MAX_RECORD).into();
    assert!(matches!(journal.append(&large), Err(LogError::TooLarge { .. })));
    large.feedback = "x".repeat(MAX_RECORD - 200).into();
    journal.append(&large).unwrap();
    assert_eq!(journal.read_all().unwrap(), [large]);
}

#[test]
fn a_tail_torn_anywhere_is_cut_off() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("feedback.log");
    filled(&path, 3);
    let whole = fs::read(&path).unwrap();
    let second_end = whole
        .iter()
        .enumerate()
        .filter(|(_, byte)| **byte == b'\n')
        .nth(1)
        .unwrap()
        .0
        + 1;
    for end in second_end..whole.len() {
        fs::write(&path, &whole[..end]).unwrap();
        let (journal, found) = Journal::<FeedbackRecord>::open("feedback log", &path).unwrap();
        // But for its end of line, the last record is whole.
        let kept = if end == whole.len() - 1 {
            vec![1, 2, 3]
        } else {
            vec![1, 2]
        };
        assert_eq!(numbers(&journal), kept, "cut at {end}");
        assert_eq!(found.torn, if kept.len() == 3 { 0 } else { (end - second_end) as u64 });
        journal.append(&record(9)).unwrap();
        drop(journal);
        let (journal, found) = Journal::<FeedbackRecord>::open("feedback log", &path).unwrap();
        assert_eq!(numbers(&journal).last(), Some(&9));
        assert_eq!(
            (found.account.damaged, found.account.missing, found.torn),
            (0, 0, 0),
            "cut at {end}"
        );
    }
}

#[test]
fn a_tail_of_zeros_or_without_end_is_cut_off() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("feedback.log");
    for tail in [vec![0; 4096], vec![b'x'; line::MAX * 2 + 7]] {
        fs::write(&path, b"").unwrap();
        filled(&path, 2);
        OpenOptions::new()
            .append(true)
            .open(&path)
            .unwrap()
            .write_all(&tail)
            .unwrap();
        let (journal, found) = Journal::<FeedbackRecord>::open("feedback log", &path).unwrap();
        assert_eq!(found.torn, tail.len() as u64);
        assert_eq!(numbers(&journal), [1, 2]);
    }
}

#[test]
fn every_flipped_byte_is_noticed_and_costs_at_most_the_two_records_it_touches() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("feedback.log");
    filled(&path, 4);
    let whole = fs::read(&path).unwrap();
    for at in 0..whole.len() {
        for flip in [0x01, 0x80] {
            let mut bytes = whole.clone();
            bytes[at] ^= flip;
            let scan = scan(&mut bytes.as_slice(), u64::MAX, &mut |found| {
                assert_eq!(found, record(number(&found)), "byte {at}: a wrong record was believed");
            })
            .unwrap();
            if at == whole.len() - 1 {
                // The last end of line alone costs nothing, and is mended.
                assert_eq!((scan.account.whole, scan.torn, scan.unended), (4, 0, true));
                fs::write(&path, &bytes).unwrap();
                assert_eq!(
                    numbers(&Journal::<FeedbackRecord>::open("feedback log", &path).unwrap().0),
                    [1, 2, 3, 4]
                );
                assert_eq!(fs::read(&path).unwrap(), whole);
            } else {
                assert_eq!(scan.account.whole, if whole[at] == b'\n' { 2 } else { 3 }, "byte {at}");
                assert_eq!(
                    (scan.account.damaged > 0, scan.torn),
                    (true, 0),
                    "byte {at}: damage is no torn tail"
                );
                assert!(scan.next >= 4, "byte {at}: {scan:?}");
            }
        }
    }
}

#[test]
fn a_line_that_vanished_is_missed() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("feedback.log");
    filled(&path, 4);
    let text = fs::read_to_string(&path).unwrap();
    let without: Vec<_> = text
        .lines()
        .enumerate()
        .filter(|(n, _)| *n != 1)
        .map(|(_, line)| line)
        .collect();
    fs::write(&path, without.join("\n") + "\n").unwrap();
    let (journal, found) = Journal::<FeedbackRecord>::open("feedback log", &path).unwrap();
    assert_eq!(
        found.account,
        Account {
            whole: 3,
            damaged: 0,
            missing: 1
        }
    );
    assert_eq!(numbers(&journal), [1, 3, 4]);
    // A line that was copied is not a second record.
    let twice = text.clone() + text.lines().next().unwrap() + "\n";
    fs::write(&path, twice).unwrap();
    let (_, found) = Journal::<FeedbackRecord>::open("feedback log", &path).unwrap();
    assert_eq!(
        found.account,
        Account {
            whole: 4,
            damaged: 1,
            missing: 0
        }
    );
}

#[test]
fn threads_share_syncs_and_lose_nothing() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("feedback.log");
    let (journal, _) = Journal::<FeedbackRecord>::open("feedback log", &path).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let journal = &journal;
            scope.spawn(move || (0..25).for_each(|n| journal.append(&record(thread * 25 + n)).unwrap()));
        }
    });
    let mut all = numbers(&journal);
    all.sort_unstable();
    assert_eq!(all, (0..200).collect::<Vec<_>>());
    drop(journal);
    assert_eq!(
        Journal::<FeedbackRecord>::open("feedback log", &path)
            .unwrap()
            .1
            .account,
        Account {
            whole: 200,
            ..Account::default()
        }
    );
}

/// A disk with a cache that forgets, and that fails when told to.
#[derive(Default)]
struct Disk {
    cached: Mutex<Vec<u8>>,
    durable: Mutex<Vec<u8>>,
    syncs: AtomicU64,
    /// Of the next append, only so many bytes succeed.
    room: Mutex<Option<usize>>,
    sync_fails: AtomicBool,
    cut_fails: AtomicBool,
    slow: AtomicBool,
}

struct Cable(Arc<Disk>);

impl Medium for Cable {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let room = self.0.room.lock().unwrap().take();
        let part = &bytes[..room.unwrap_or(bytes.len()).min(bytes.len())];
        self.0.cached.lock().unwrap().extend_from_slice(part);
        if room.is_some() {
            Err(io::ErrorKind::StorageFull.into())
        } else {
            Ok(())
        }
    }
    fn sync(&mut self) -> io::Result<()> {
        if self.0.slow.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(5));
        }
        if self.0.sync_fails.load(Ordering::Relaxed) {
            return Err(io::Error::other("medium error"));
        }
        self.0.syncs.fetch_add(1, Ordering::Relaxed);
        self.0
            .durable
            .lock()
            .unwrap()
            .clone_from(&self.0.cached.lock().unwrap());
        Ok(())
    }
    fn cut(&mut self, length: u64) -> io::Result<()> {
        if self.0.cut_fails.load(Ordering::Relaxed) {
            return Err(io::Error::other("no cut"));
        }
        self.0.cached.lock().unwrap().truncate(usize::try_from(length).unwrap());
        Ok(())
    }
}

fn on_disk(bytes: &[u8]) -> Vec<u64> {
    let mut all = Vec::new();
    scan(&mut &*bytes, u64::MAX, &mut |record| all.push(number(&record))).unwrap();
    all
}

#[test]
fn after_a_loss_of_power_every_acknowledged_record_is_there() {
    let disk = Arc::new(Disk::default());
    disk.slow.store(true, Ordering::Relaxed);
    let journal =
        Journal::<FeedbackRecord>::over("feedback log", PathBuf::new(), Box::new(Cable(Arc::clone(&disk))), 1, 0);
    let acknowledged = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let (journal, acknowledged) = (&journal, &acknowledged);
            scope.spawn(move || {
                for n in 0..20 {
                    journal.append(&record(thread * 20 + n)).unwrap();
                    acknowledged.lock().unwrap().push(thread * 20 + n);
                }
            });
        }
        for _ in 0..40 {
            // The plug is pulled: what was promised before this moment must be among what the disk holds.
            let promised = acknowledged.lock().unwrap().clone();
            let there = on_disk(&disk.durable.lock().unwrap());
            assert!(promised.iter().all(|n| there.contains(n)));
            std::thread::sleep(Duration::from_millis(3));
        }
    });
    let syncs = disk.syncs.load(Ordering::Relaxed);
    assert!(
        syncs < 100,
        "8 threads wrote 160 records with {syncs} syncs: nothing was shared"
    );
}

#[test]
fn a_full_disk_refuses_and_recovers() {
    let disk = Arc::new(Disk::default());
    let journal =
        Journal::<FeedbackRecord>::over("feedback log", PathBuf::new(), Box::new(Cable(Arc::clone(&disk))), 1, 0);
    journal.append(&record(1)).unwrap();
    for room in [0, 1, 30, 100] {
        *disk.room.lock().unwrap() = Some(room);
        assert!(matches!(journal.append(&record(7)), Err(LogError::Write(_))));
        assert_eq!(journal.trouble(), None);
    }
    journal.append(&record(2)).unwrap();
    let durable = disk.durable.lock().unwrap().clone();
    assert_eq!(on_disk(&durable), [1, 2], "nothing that was refused is there");
    assert_eq!(
        scan(&mut durable.as_slice(), u64::MAX, &mut |_: FeedbackRecord| {})
            .unwrap()
            .account
            .missing,
        0
    );
}

#[test]
fn after_a_failed_sync_or_cut_nothing_is_promised_any_more() {
    for by_cut in [false, true] {
        let disk = Arc::new(Disk::default());
        let journal =
            Journal::<FeedbackRecord>::over("feedback log", PathBuf::new(), Box::new(Cable(Arc::clone(&disk))), 1, 0);
        journal.append(&record(1)).unwrap();
        if by_cut {
            *disk.room.lock().unwrap() = Some(10);
            disk.cut_fails.store(true, Ordering::Relaxed);
        } else {
            disk.sync_fails.store(true, Ordering::Relaxed);
        }
        assert!(matches!(journal.append(&record(2)), Err(LogError::Poisoned(_))));
        disk.sync_fails.store(false, Ordering::Relaxed);
        assert!(
            matches!(journal.append(&record(3)), Err(LogError::Poisoned(_))),
            "a later sync proves nothing"
        );
        assert!(journal.trouble().is_some());
        assert_eq!(on_disk(&disk.durable.lock().unwrap()), [1]);
    }
}

const CHILD: &str = "JUMEAU_TEST_JOURNAL";

/// Not a test by itself: the writer that `killed_writers_lose_nothing` starts and kills.
#[test]
fn child_writes_until_it_is_killed() {
    let Some(path) = std::env::var_os(CHILD) else { return };
    let (journal, found) = Journal::<FeedbackRecord>::open("feedback log", Path::new(&path)).unwrap();
    let start = found.account.whole;
    // Whatever happens to the parent or to a lock, this process ends, and with it the pipe that the parent reads.
    std::thread::spawn(|| {
        std::thread::sleep(Duration::from_secs(20));
        std::process::exit(1);
    });
    std::thread::scope(|scope| {
        for thread in 0..3 {
            let journal = &journal;
            scope.spawn(move || {
                for n in 0.. {
                    let n = start * 1_000_000 + thread * 100_000 + n;
                    journal.append(&record(n)).unwrap();
                    writeln!(io::stdout(), "\nkept {n}").unwrap();
                }
            });
        }
    });
}

#[test]
fn killed_writers_lose_nothing() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("feedback.log");
    let name = concat!(module_path!(), "::child_writes_until_it_is_killed")
        .split_once("::")
        .unwrap()
        .1;
    let mut kept = Vec::new();
    for round in 0..6_u64 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([name, "--exact", "--nocapture", "--test-threads=1"])
            .env(CHILD, &path)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut read = |line: io::Result<String>| {
            // The last line may be cut short by the kill: a number counts only if its line is ended by the next one.
            line.ok()
                .and_then(|line| line.strip_prefix("kept ").and_then(|n| n.parse::<u64>().ok()))
        };
        let begun = Instant::now();
        let mut seen = Vec::new();
        while begun.elapsed() < Duration::from_millis(60 + 37 * round) || seen.is_empty() {
            assert!(begun.elapsed() < Duration::from_secs(30), "the child does not write");
            let Some(line) = lines.next() else {
                panic!("the child ended")
            };
            seen.extend(read(line));
        }
        child.kill().unwrap();
        seen.extend(lines.filter_map(&mut read));
        child.wait().unwrap();
        seen.pop();
        kept.extend(seen);
        let (journal, found) = Journal::<FeedbackRecord>::open("feedback log", &path).unwrap();
        assert_eq!((found.account.damaged, found.account.missing), (0, 0), "round {round}");
        let there: std::collections::HashSet<_> = numbers(&journal).into_iter().collect();
        let lost = kept.iter().filter(|n| !there.contains(n)).count();
        assert_eq!(
            lost,
            0,
            "round {round}: {lost} of {} acknowledged records are lost",
            kept.len()
        );
    }
    assert!(
        kept.len() > 50,
        "only {} records were written: this proves nothing",
        kept.len()
    );
}

/// For the figures of the documentation: `cargo test --release -- --ignored --nocapture cost_of`.
#[test]
#[ignore = "measures this machine's disk"]
fn cost_of_a_durable_append() {
    // On the disk of the build and not in /tmp, which may be memory.
    let home = tempfile::tempdir_in(std::env::current_dir().unwrap()).unwrap();
    for threads in [1_u64, 8, 32] {
        let path = home.path().join(format!("{threads}.log"));
        let (journal, _) = Journal::<FeedbackRecord>::open("feedback log", &path).unwrap();
        let times = Mutex::new(Vec::new());
        let begun = Instant::now();
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    for n in 0..100 {
                        let begun = Instant::now();
                        journal.append(&record(n)).unwrap();
                        times.lock().unwrap().push(begun.elapsed());
                    }
                });
            }
        });
        let mut times = times.into_inner().unwrap();
        times.sort_unstable();
        let rate = times.len() as f64 / begun.elapsed().as_secs_f64();
        let (median, high) = (times[times.len() / 2], times[times.len() * 99 / 100]);
        writeln!(
            io::stdout(),
            "{threads} threads: p50 {median:?}, p99 {high:?}, {rate:.0} records/s"
        )
        .unwrap();
    }
}

#[test]
fn a_rewritten_log_holds_the_new_records_alone_and_takes_more() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("feedback.log");
    filled(&path, 3);
    let (journal, _) = Journal::<FeedbackRecord>::open("feedback log", &path).unwrap();
    let renamed = |mut record: FeedbackRecord| {
        record.service = "another".to_owned();
        Ok(record)
    };
    assert_eq!(journal.rewrite(&mut { renamed }).unwrap(), 3);
    assert!(!fs::read_to_string(&path).unwrap().contains("jumeau-vancomycin"));
    journal.append(&record(4)).unwrap();
    assert_eq!(numbers(&journal), [1, 2, 3, 4]);
    drop(journal);
    let (journal, found) = Journal::<FeedbackRecord>::open("feedback log", &path).unwrap();
    assert_eq!((found.account.whole, found.account.missing), (4, 0));
    // A change that fails changes nothing, and damaged lines are not thrown away.
    let failing = journal.rewrite(&mut |_| Err(LogError::Closed("no".to_owned())));
    assert!(failing.is_err());
    assert_eq!(numbers(&journal), [1, 2, 3, 4]);
    drop(journal);
    let text = fs::read_to_string(&path).unwrap().replacen("another", "anothxr", 1);
    fs::write(&path, text).unwrap();
    let (journal, _) = Journal::<FeedbackRecord>::open("feedback log", &path).unwrap();
    assert!(matches!(journal.rewrite(&mut Ok), Err(LogError::Write(_))));
}
