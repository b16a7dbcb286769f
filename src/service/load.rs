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
    /// How long one computes.
    runs: Estimate,
    /// How long one keeps others of its kind waiting: its own waiting for a place among all included.
    holds: Estimate,
}

/// A time, recent ones counting most; microseconds, 0 before the first.
#[derive(Default)]
struct Estimate(AtomicU64);

impl Estimate {
    fn get(&self) -> Duration {
        Duration::from_micros(self.0.load(Relaxed))
    }

    fn add(&self, time: Duration) {
        let new = u64::try_from(time.as_micros()).unwrap_or(u64::MAX).max(1);
        // Of two who add at the same time one may be lost; the estimate bears it.
        let old = self.0.load(Relaxed);
        let next = if old == 0 {
            new
        } else {
            old.saturating_sub(old / 8).saturating_add(new / 8)
        };
        self.0.store(next.max(1), Relaxed);
    }
}

impl Kind {
    /// Nothing is known yet.
    #[must_use]
    pub fn new(at_once: usize) -> Self {
        Self {
            turns: Arc::new(Semaphore::new(at_once)),
            at_once,
            under_way: AtomicUsize::new(0),
            runs: Estimate::default(),
            holds: Estimate::default(),
        }
    }

    /// How long further work of this kind would wait for a place among its kind.
    fn wait(&self) -> Duration {
        let before = self.under_way.load(Relaxed);
        if before < self.at_once {
            return Duration::ZERO;
        }
        shared(each(self.holds.get(), before), self.at_once)
    }

    /// What of this kind is being computed or next in line: the rest waits for a place among its kind and is in nobody's way.
    fn in_line(&self) -> usize {
        self.under_way.load(Relaxed).min(self.at_once)
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

    /// Whether work of this kind would have to wait too long.
    #[must_use]
    pub fn is_too_much(&self, kind: &Kind, until: Instant) -> bool {
        let mut wait = kind.wait();
        let in_line: usize = self.kinds.iter().map(|kind| kind.in_line()).sum();
        if in_line >= self.at_once {
            let ahead = self
                .kinds
                .iter()
                .map(|kind| each(kind.runs.get(), kind.in_line()))
                .sum();
            wait = wait.max(shared(ahead, self.at_once));
        }
        // Whoever need not wait is let in, however little time there is: what is computed stays for the next call.
        let left = until.saturating_duration_since(Instant::now());
        !wait.is_zero() && wait > left.saturating_sub(kind.runs.get()) / 2
    }

    /// Waits for leave to compute, unless that would be in vain.
    ///
    /// # Errors
    /// [`TooMuch`], at once or when the time is up.
    pub async fn turn(&self, kind: &Arc<Kind>, until: Instant) -> Result<Turn, TooMuch> {
        if self.is_too_much(kind, until) {
            return Err(TooMuch);
        }
        self.next(kind, until).await
    }

    /// Waits for leave to compute: for the smaller parts of calls that were let in.
    ///
    /// # Errors
    /// [`TooMuch`] when the time is up.
    pub async fn next(&self, kind: &Arc<Kind>, until: Instant) -> Result<Turn, TooMuch> {
        let mut work = Work::start(kind);
        let own = wait(&kind.turns, until).await?;
        work.holds_since = Instant::now();
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
pub struct Work {
    kind: Arc<Kind>,
    holds_since: Instant,
}

impl Work {
    fn start(kind: &Arc<Kind>) -> Self {
        kind.under_way.fetch_add(1, Relaxed);
        Self {
            kind: Arc::clone(kind),
            holds_since: Instant::now(),
        }
    }

    /// Does it, and takes note of how long that took.
    pub fn run<R>(self, job: impl FnOnce() -> R) -> R {
        let started = Instant::now();
        let done = job();
        self.kind.runs.add(started.elapsed());
        self.kind.holds.add(self.holds_since.elapsed());
        done
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        self.kind.under_way.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const LEFT: Duration = Duration::from_secs(10);

    fn kind(seconds: u64) -> Arc<Kind> {
        let kind = Kind::new(2);
        kind.runs.add(Duration::from_secs(seconds));
        kind.holds.add(Duration::from_secs(seconds));
        Arc::new(kind)
    }

    /// Two kinds, two of each and three in all at one time, that take one and four seconds.
    fn load() -> (Load, Arc<Kind>, Arc<Kind>) {
        let (quick, slow) = (kind(1), kind(4));
        let kinds = vec![Arc::clone(&quick), Arc::clone(&slow)];
        (Load::new(3, kinds), quick, slow)
    }

    fn within(seconds: f64) -> Instant {
        Instant::now() + Duration::from_secs_f64(seconds)
    }

    #[tokio::test]
    async fn who_need_not_wait_is_let_in_and_the_slow_keep_nobody_else_out() {
        let (load, quick, slow) = load();
        assert!(!load.is_too_much(&quick, within(0.0)));
        let _one = load.turn(&slow, within(10.0)).await.unwrap();
        assert!(!load.is_too_much(&slow, within(0.0)));
        let _two = load.turn(&slow, within(10.0)).await.unwrap();
        // Its own places are taken: four seconds, where (10 - 4) / 2 may be waited.
        assert!(load.is_too_much(&slow, within(10.0)));
        assert_eq!(load.turn(&slow, within(10.0)).await.err(), Some(TooMuch));
        // Those that wait for a place of their kind are in nobody's way.
        let waiting = [Work::start(&slow), Work::start(&slow), Work::start(&slow)];
        assert!(!load.is_too_much(&quick, within(0.0)));
        drop(waiting);
        // All places are taken: (4 + 4 + 1) / 3 seconds are ahead, (left - 1) / 2 may be waited.
        let _three = load.turn(&quick, within(10.0)).await.unwrap();
        assert!(load.is_too_much(&quick, within(6.9)));
        assert!(!load.is_too_much(&quick, within(7.2)));
    }

    #[tokio::test]
    async fn what_waits_counts_until_it_is_given_up_or_done() {
        let (load, quick, _) = load();
        let held = [
            load.turn(&quick, Instant::now() + LEFT).await.unwrap(),
            load.turn(&quick, Instant::now() + LEFT).await.unwrap(),
        ];
        assert_eq!(load.next(&quick, within(0.02)).await.err(), Some(TooMuch));
        assert_eq!(quick.under_way.load(Relaxed), 2);
        // One second is ahead; (4 - 1) / 2 may be waited, (2.5 - 1) / 2 may not.
        assert!(!load.is_too_much(&quick, within(4.0)));
        assert!(load.is_too_much(&quick, within(2.5)));
        for turn in held {
            turn.work.run(|| ());
        }
        assert_eq!(quick.under_way.load(Relaxed), 0);
        assert!(!load.is_too_much(&quick, within(0.0)));
    }

    #[test]
    fn recent_times_count_most() {
        let estimate = Estimate::default();
        estimate.add(Duration::from_secs(8));
        for _ in 0..40 {
            estimate.add(Duration::from_millis(8));
        }
        assert!(estimate.get() < Duration::from_millis(100), "{:?}", estimate.get());
    }
}
