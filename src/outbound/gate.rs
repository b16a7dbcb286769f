//! What stands before each server: so many requests at one time, and none while it keeps failing.
//!
//! A server that is slow would otherwise hold the calls of everybody, those of other hospitals among them; and one that is down
//! would cost every call its whole deadline.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout_at,
};

use super::Failure;
use crate::metrics;

/// In a row, after which a server is left alone. Requests that ran side by side tell of the same moment and count once.
const FAILURES: u32 = 5;

/// How a request went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// The server answered, be it with a refusal.
    Good,
    /// It could not.
    Bad,
    /// One cannot tell.
    Unknown,
}

/// Before one server.
#[derive(Debug)]
pub struct Gate {
    server: String,
    rest: Duration,
    turns: Arc<Semaphore>,
    waiting: AtomicUsize,
    most_waiting: usize,
    breaker: Mutex<Breaker>,
}

#[derive(Debug, Default)]
struct Breaker {
    failures: u32,
    last_failure: Option<Instant>,
    /// Not asked until then; from then on with one request, until that went well.
    open_until: Option<Instant>,
    probing: bool,
}

impl Gate {
    /// For a server of which nothing is known; `server` is its origin, for the log.
    #[must_use]
    pub fn new(server: &str, at_once: usize, rest: Duration) -> Self {
        Self {
            server: server.to_owned(),
            rest,
            turns: Arc::new(Semaphore::new(at_once)),
            waiting: AtomicUsize::new(0),
            most_waiting: at_once,
            breaker: Mutex::default(),
        }
    }

    /// Whether it is asked as usual.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.breaker().open_until.is_none()
    }

    fn breaker(&self) -> MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a turn.
    ///
    /// # Errors
    /// [`Failure::Resting`] or [`Failure::Busy`].
    pub async fn enter(self: Arc<Self>, deadline: Instant) -> Result<Pass, Failure> {
        let entered = Arc::clone(&self).wait(deadline).await;
        if let Err(failure) = &entered {
            metrics::outbound_refused(match failure {
                Failure::Resting => "resting",
                _ => "busy",
            });
        }
        entered
    }

    async fn wait(self: Arc<Self>, deadline: Instant) -> Result<Pass, Failure> {
        // Before waiting, so that nobody waits in vain.
        if !self.is_sound() {
            let pass = self.probe()?;
            return Ok(pass);
        }
        let turn = match Arc::clone(&self.turns).try_acquire_owned() {
            Ok(turn) => turn,
            Err(_) => self.queue(deadline).await?,
        };
        if !self.is_sound() {
            return Err(Failure::Resting);
        }
        Ok(Pass::new(self, Some(turn), false))
    }

    async fn queue(&self, deadline: Instant) -> Result<OwnedSemaphorePermit, Failure> {
        let place = Place::take(&self.waiting);
        if place.number >= self.most_waiting {
            return Err(Failure::Busy);
        }
        match timeout_at(deadline.into(), Arc::clone(&self.turns).acquire_owned()).await {
            Ok(Ok(turn)) => Ok(turn),
            _ => Err(Failure::Busy),
        }
    }

    /// Leave for the one request that tells whether the server is well again. It needs no turn: turns may all be held by requests
    /// that wait for their deadline.
    fn probe(self: Arc<Self>) -> Result<Pass, Failure> {
        let mut breaker = self.breaker();
        if breaker.probing || breaker.open_until.is_some_and(|until| Instant::now() < until) {
            return Err(Failure::Resting);
        }
        breaker.probing = true;
        drop(breaker);
        Ok(Pass::new(self, None, true))
    }

    fn note(&self, health: Health, started: Instant, probe: bool) {
        let mut breaker = self.breaker();
        if probe {
            breaker.probing = false;
        }
        match health {
            Health::Unknown => {}
            // What was begun before it failed does not tell that it is well again.
            Health::Good if breaker.open_until.is_some() && !probe => {}
            Health::Good => {
                if breaker.open_until.is_some() {
                    tracing::info!(server = self.server, "a server answers again");
                    metrics::breakers_open(-1);
                }
                *breaker = Breaker::default();
            }
            Health::Bad if probe => breaker.open_until = Some(Instant::now() + self.rest),
            Health::Bad if breaker.last_failure.is_some_and(|last| started < last) => {}
            Health::Bad => {
                breaker.failures = breaker.failures.saturating_add(1);
                breaker.last_failure = Some(Instant::now());
                if breaker.failures >= FAILURES && breaker.open_until.is_none() {
                    breaker.open_until = Some(Instant::now() + self.rest);
                    let seconds = self.rest.as_secs_f64();
                    tracing::warn!(
                        server = self.server,
                        seconds,
                        "a server failed {FAILURES} times in a row and is left alone"
                    );
                    metrics::breakers_open(1);
                }
            }
        }
    }
}

/// A place in a queue.
struct Place<'a> {
    count: &'a AtomicUsize,
    number: usize,
}

impl<'a> Place<'a> {
    fn take(count: &'a AtomicUsize) -> Self {
        Self {
            number: count.fetch_add(1, Relaxed),
            count,
        }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.count.fetch_sub(1, Relaxed);
    }
}

/// Leave for one request, tries again included.
#[derive(Debug)]
pub struct Pass {
    gate: Arc<Gate>,
    started: Instant,
    probe: bool,
    health: Health,
    _turn: Option<OwnedSemaphorePermit>,
}

impl Pass {
    fn new(gate: Arc<Gate>, turn: Option<OwnedSemaphorePermit>, probe: bool) -> Self {
        Self {
            gate,
            started: Instant::now(),
            probe,
            health: Health::Unknown,
            _turn: turn,
        }
    }

    /// Since it was given.
    #[must_use]
    pub fn lasts(&self) -> Duration {
        self.started.elapsed()
    }

    /// Gives the leave back and says how it went.
    pub fn report(mut self, health: Health) {
        self.health = health;
    }
}

impl Drop for Pass {
    /// Also where nobody waits for the answer any more.
    fn drop(&mut self) {
        self.gate.note(self.health, self.started, self.probe);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(5)
    }

    fn gate(at_once: usize) -> Arc<Gate> {
        Arc::new(Gate::new("https://x.example", at_once, Duration::from_millis(40)))
    }

    async fn pass(gate: &Arc<Gate>) -> Result<Pass, Failure> {
        Arc::clone(gate).enter(soon()).await
    }

    async fn fail(gate: &Arc<Gate>, times: u32) {
        for _ in 0..times {
            pass(gate).await.unwrap().report(Health::Bad);
        }
    }

    #[tokio::test]
    async fn five_failures_in_a_row_close_it_and_one_good_probe_opens_it() {
        let gate = gate(4);
        fail(&gate, 4).await;
        pass(&gate).await.unwrap().report(Health::Good);
        fail(&gate, 4).await;
        pass(&gate).await.unwrap().report(Health::Unknown);
        assert!(gate.is_sound());
        let old = pass(&gate).await.unwrap();
        fail(&gate, 1).await;
        assert_eq!(pass(&gate).await.err(), Some(Failure::Resting));
        old.report(Health::Good);
        assert_eq!(
            pass(&gate).await.err(),
            Some(Failure::Resting),
            "an old answer is no news"
        );
        tokio::time::sleep(Duration::from_millis(60)).await;
        let probe = pass(&gate).await.unwrap();
        assert_eq!(pass(&gate).await.err(), Some(Failure::Resting), "one probe at a time");
        probe.report(Health::Bad);
        assert_eq!(pass(&gate).await.err(), Some(Failure::Resting));
        tokio::time::sleep(Duration::from_millis(60)).await;
        // Nobody waited for its end.
        drop(pass(&gate).await.unwrap());
        pass(&gate).await.unwrap().report(Health::Good);
        let both = (pass(&gate).await.unwrap(), pass(&gate).await.unwrap());
        drop(both);
        fail(&gate, 4).await;
        assert!(gate.is_sound(), "counted anew");
    }

    #[tokio::test]
    async fn failures_side_by_side_count_once() {
        let gate = gate(20);
        let mut passes = Vec::new();
        for _ in 0..20 {
            passes.push(pass(&gate).await.unwrap());
        }
        for pass in passes {
            pass.report(Health::Bad);
        }
        assert!(gate.is_sound());
        fail(&gate, 4).await;
        assert!(!gate.is_sound());
    }

    #[tokio::test]
    async fn as_many_wait_as_are_served_and_no_more() {
        let gate = gate(1);
        let held = pass(&gate).await.unwrap();
        let waiting = tokio::spawn({
            let gate = Arc::clone(&gate);
            async move { pass(&gate).await.map(drop) }
        });
        while gate.waiting.load(Relaxed) == 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(pass(&gate).await.err(), Some(Failure::Busy));
        drop(held);
        assert_eq!(waiting.await.unwrap(), Ok(()));
        let _held = pass(&gate).await.unwrap();
        let until = Instant::now() + Duration::from_millis(20);
        assert_eq!(
            Arc::clone(&gate).enter(until).await.err(),
            Some(Failure::Busy),
            "in time"
        );
        assert_eq!(gate.waiting.load(Relaxed), 0);
    }

    #[tokio::test]
    async fn who_waited_while_it_failed_is_told_at_once() {
        let gate = gate(1);
        fail(&gate, 4).await;
        let last = pass(&gate).await.unwrap();
        let waiting = tokio::spawn({
            let gate = Arc::clone(&gate);
            async move { pass(&gate).await.map(drop) }
        });
        while gate.waiting.load(Relaxed) == 0 {
            tokio::task::yield_now().await;
        }
        last.report(Health::Bad);
        assert_eq!(waiting.await.unwrap(), Err(Failure::Resting));
    }
}
