//! How much there is to compute, and whether a further call can still be answered in time.
//!
//! A call that waits in vain takes the time of those behind it: under overload nobody would be answered. Hence a call whose turn
//! would come too late is turned away at once, and what waits is kept to half of the time there is, since times are estimates.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Work of one kind: that of a twin. So many are done at one time.
pub struct Kind {
    turns: Arc<Semaphore>,
    at_once: usize,
    /// Waiting or being done.
    under_way: AtomicUsize,
    /// How long one takes, microseconds, recent ones counting most; 0 before the first.
    takes: AtomicU64,
}

impl Kind {
    /// Nothing is known yet.
    #[must_use]
    pub fn new(at_once: usize) -> Self {
        Self {
            turns: Arc::new(Semaphore::new(at_once)),
            at_once,
            under_way: AtomicUsize::new(0),
            takes: AtomicU64::new(0),
        }
    }

    fn takes(&self) -> Duration {
        Duration::from_micros(self.takes.load(Relaxed))
    }

    /// Time until everything that is under way is done, if it were alone.
    fn ahead(&self) -> Duration {
        each(self.takes(), self.under_way.load(Relaxed))
    }

    /// Takes note of one that took so long.
    pub fn took(&self, time: Duration) {
        let new = u64::try_from(time.as_micros()).unwrap_or(u64::MAX).max(1);
        // Two at a time may each count their own; the estimate bears it.
        let old = self.takes.load(Relaxed);
        let next = if old == 0 {
            new
        } else {
            old.saturating_sub(old / 8).saturating_add(new / 8)
        };
        self.takes.store(next.max(1), Relaxed);
    }
}

fn each(time: Duration, count: usize) -> Duration {
    time.saturating_mul(u32::try_from(count).unwrap_or(u32::MAX))
}

fn shared(work: Duration, among: usize) -> Duration {
    work / u32::try_from(among.max(1)).unwrap_or(u32::MAX)
}

/// All computing.
pub struct Load {
    turns: Arc<Semaphore>,
    at_once: usize,
    kinds: Vec<Arc<Kind>>,
}

/// Leave to compute. The place among all is to be given back when nobody waits for the work any more, that among its kind when it is
/// done.
pub struct Turn {
    /// Among its kind.
    pub own: OwnedSemaphorePermit,
    /// Among all.
    pub common: OwnedSemaphorePermit,
    /// What is to be done.
    pub work: Work,
}

/// There is too much to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooMuch;

impl Load {
    /// Work of these kinds, so much at one time.
    #[must_use]
    pub fn new(at_once: usize, kinds: Vec<Arc<Kind>>) -> Self {
        Self {
            turns: Arc::new(Semaphore::new(at_once)),
            at_once,
            kinds,
        }
    }

    /// Whether work of this kind, or of one that is not known yet, would have to wait too long.
    #[must_use]
    pub fn is_too_much(&self, kind: Option<&Kind>, until: Instant) -> bool {
        let all: usize = self.kinds.iter().map(|kind| kind.under_way.load(Relaxed)).sum();
        let mut wait = Duration::ZERO;
        if all >= self.at_once {
            wait = shared(self.kinds.iter().map(|kind| kind.ahead()).sum(), self.at_once);
        }
        if let Some(kind) = kind
            && kind.under_way.load(Relaxed) >= kind.at_once
        {
            wait = wait.max(shared(kind.ahead(), kind.at_once));
        }
        // Whoever need not wait is let in, however little time there is: what is computed stays for the next call.
        let left = until.saturating_duration_since(Instant::now());
        let own = kind.map(Kind::takes).unwrap_or_default();
        !wait.is_zero() && wait > left.saturating_sub(own) / 2
    }

    /// Waits for leave to compute, unless that would be in vain.
    ///
    /// # Errors
    /// [`TooMuch`], at once or when the time is up.
    pub async fn turn(&self, kind: &Arc<Kind>, until: Instant) -> Result<Turn, TooMuch> {
        if self.is_too_much(Some(kind), until) {
            return Err(TooMuch);
        }
        self.next(kind, until).await
    }

    /// Waits for leave to compute: for the smaller parts of calls that were let in.
    ///
    /// # Errors
    /// [`TooMuch`] when the time is up.
    pub async fn next(&self, kind: &Arc<Kind>, until: Instant) -> Result<Turn, TooMuch> {
        let work = Work::start(kind);
        let own = wait(&kind.turns, until).await?;
        let common = wait(&self.turns, until).await?;
        Ok(Turn { own, common, work })
    }
}

async fn wait(turns: &Arc<Semaphore>, until: Instant) -> Result<OwnedSemaphorePermit, TooMuch> {
    match tokio::time::timeout_at(until.into(), Arc::clone(turns).acquire_owned()).await {
        Ok(Ok(turn)) => Ok(turn),
        _ => Err(TooMuch),
    }
}

/// Work under way: from when it waits for its turn until it is done or given up.
pub struct Work(Arc<Kind>);

impl Work {
    fn start(kind: &Arc<Kind>) -> Self {
        kind.under_way.fetch_add(1, Relaxed);
        Self(Arc::clone(kind))
    }

    /// Does it, and takes note of how long that took.
    pub fn run<R>(self, job: impl FnOnce() -> R) -> R {
        let started = Instant::now();
        let done = job();
        self.0.took(started.elapsed());
        done
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const LEFT: Duration = Duration::from_secs(10);

    /// Two kinds, two of each and three in all at one time, that take one and four seconds.
    fn load() -> (Load, Arc<Kind>, Arc<Kind>) {
        let (quick, slow) = (Arc::new(Kind::new(2)), Arc::new(Kind::new(2)));
        quick.took(Duration::from_secs(1));
        slow.took(Duration::from_secs(4));
        (Load::new(3, vec![Arc::clone(&quick), Arc::clone(&slow)]), quick, slow)
    }

    #[tokio::test]
    async fn who_need_not_wait_is_let_in() {
        let (load, quick, slow) = load();
        assert!(!load.is_too_much(Some(&quick), Instant::now()) && !load.is_too_much(None, Instant::now()));
        let _one = load.turn(&slow, Instant::now() + LEFT).await.unwrap();
        assert!(!load.is_too_much(Some(&slow), Instant::now()));
        let _two = load.turn(&slow, Instant::now() + LEFT).await.unwrap();
        // Its own places are taken: four seconds, where (10 - 4) / 2 may be waited.
        assert!(load.is_too_much(Some(&slow), Instant::now() + LEFT));
        assert_eq!(load.turn(&slow, Instant::now() + LEFT).await.err(), Some(TooMuch));
        // One that takes long keeps nobody else out.
        assert!(!load.is_too_much(Some(&quick), Instant::now()) && !load.is_too_much(None, Instant::now()));
    }

    #[tokio::test]
    async fn what_waits_counts_until_it_is_given_up_or_done() {
        let (load, quick, _) = load();
        let held = [
            load.turn(&quick, Instant::now() + LEFT).await.unwrap(),
            load.turn(&quick, Instant::now() + LEFT).await.unwrap(),
        ];
        let soon = Instant::now() + Duration::from_millis(20);
        assert_eq!(load.next(&quick, soon).await.err(), Some(TooMuch));
        assert_eq!(quick.under_way.load(Relaxed), 2);
        // One second is ahead; (4 - 1) / 2 may be waited, (2.5 - 1) / 2 may not.
        assert!(!load.is_too_much(Some(&quick), Instant::now() + Duration::from_secs(4)));
        assert!(load.is_too_much(Some(&quick), Instant::now() + Duration::from_millis(2500)));
        for turn in held {
            turn.work.run(|| ());
        }
        assert_eq!(quick.under_way.load(Relaxed), 0);
        assert!(!load.is_too_much(Some(&quick), Instant::now()));
    }

    #[test]
    fn recent_times_count_most() {
        let kind = Kind::new(1);
        kind.took(Duration::from_secs(8));
        for _ in 0..40 {
            kind.took(Duration::from_millis(8));
        }
        assert!(kind.takes() < Duration::from_millis(100), "{:?}", kind.takes());
    }
}
