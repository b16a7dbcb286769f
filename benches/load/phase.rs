//! A stretch of load at one rate, and what became of its calls.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    rc::Rc,
    time::{Duration, Instant},
};

use tokio::task::{JoinSet, spawn_local};

use crate::{
    client::Client,
    server::{Server, cpu},
};

/// The next request.
pub type Make = Rc<dyn Fn() -> Rc<[u8]>>;

/// The generator itself may be this late at the 99th percentile, seconds.
const LAG: f64 = 0.020;
/// No answer, whatever it says, comes later than this, seconds.
const LATEST: f64 = 5.0;

/// One call.
struct Sample {
    /// When it should have started, seconds from the beginning of the phase.
    due: f64,
    /// How much later it started, seconds.
    lag: f64,
    /// From when it should have started until its answer was there, seconds.
    latency: f64,
    outcome: Outcome,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    /// 200 with a card.
    Card,
    /// 200 without one: the deadline had passed.
    NoCard,
    /// 503 with Retry-After.
    Shed,
    /// Another status, or 503 without Retry-After.
    Status(u16),
    /// No answer.
    Broken,
}

/// Load at one rate.
pub struct Phase<'s> {
    server: &'s Server,
    make: Make,
    rate: f64,
    seconds: f64,
}

/// What must hold, beside that every call is answered, nothing later than [`LATEST`]. Milliseconds; calls a second.
pub struct Bars {
    pub p50: Option<f64>,
    pub p99: Option<f64>,
    pub goodput: Option<f64>,
    pub shed: bool,
}

impl Bars {
    pub fn none() -> Self {
        Self {
            p50: None,
            p99: None,
            goodput: None,
            shed: false,
        }
    }
}

/// What became of the calls of a phase.
pub struct Report {
    samples: Vec<Sample>,
    seconds: f64,
}

impl<'s> Phase<'s> {
    pub fn new(server: &'s Server, make: Make, rate: f64, seconds: f64) -> Self {
        Self {
            server,
            make,
            rate,
            seconds,
        }
    }

    /// Sends and waits for all answers; prints a line unless the name is empty.
    pub async fn run(self, name: &str) -> Report {
        let samples: Rc<RefCell<Vec<Sample>>> = Rc::default();
        let count = (self.rate * self.seconds) as u32;
        let mut calls = JoinSet::new();
        let (cpu_server, cpu_own) = (self.server.cpu(), cpu("self"));
        let begun = Instant::now();
        for number in 0..count {
            let due = f64::from(number) / self.rate;
            let at = begun + Duration::from_secs_f64(due);
            // Made beforehand, so that making is no part of the latency.
            let request = (self.make)();
            if Instant::now() < at {
                tokio::time::sleep_until(at.into()).await;
            } else if number % 8 == 0 {
                tokio::task::yield_now().await;
            }
            let (client, samples) = (self.server.client.clone(), Rc::clone(&samples));
            calls.spawn_local(async move {
                let lag = begun.elapsed().as_secs_f64() - due;
                let outcome = ask(&client, &request).await;
                let latency = begun.elapsed().as_secs_f64() - due;
                samples.borrow_mut().push(Sample {
                    due,
                    lag,
                    latency,
                    outcome,
                });
            });
            while calls.try_join_next().is_some() {}
        }
        while calls.join_next().await.is_some() {}
        let report = Report {
            samples: samples.take(),
            seconds: self.seconds,
        };
        if !name.is_empty() {
            report.print(name);
            let per_call = |seconds: f64| 1e3 * seconds / f64::from(count.max(1));
            println!(
                "  CPU a call: server {:.2} ms, generator {:.2} ms; resident {:.0} MiB",
                per_call(self.server.cpu() - cpu_server),
                per_call(cpu("self") - cpu_own),
                self.server.resident_mib()
            );
        }
        report
    }
}

async fn ask(client: &Client, request: &[u8]) -> Outcome {
    let Ok(Ok(answer)) = tokio::time::timeout(Duration::from_secs(15), client.send(request)).await else {
        return Outcome::Broken;
    };
    match answer.status {
        200 if answer.has_card() => Outcome::Card,
        200 => Outcome::NoCard,
        503 if answer.head.contains("\nretry-after:") => Outcome::Shed,
        status => Outcome::Status(status),
    }
}

/// Calls with cards a second when so many callers ask one after the other.
pub async fn capacity(server: &Server, make: Make, callers: usize, seconds: f64) -> f64 {
    let done = Rc::new(RefCell::new(0.0));
    // The first second is not counted.
    let (from, until) = (
        Instant::now() + Duration::from_secs(1),
        Instant::now() + Duration::from_secs_f64(1.0 + seconds),
    );
    let callers: Vec<_> = (0..callers)
        .map(|_| {
            let (client, make, done) = (server.client.clone(), Rc::clone(&make), Rc::clone(&done));
            spawn_local(async move {
                while Instant::now() < until {
                    let outcome = ask(&client, &make()).await;
                    if outcome == Outcome::Card && (from..until).contains(&Instant::now()) {
                        *done.borrow_mut() += 1.0;
                    }
                }
            })
        })
        .collect();
    for caller in callers {
        caller.await.unwrap();
    }
    done.take() / seconds
}

impl Report {
    /// A quantile of a number of each call, seconds.
    fn quantile(&self, of: impl Fn(&Sample) -> Option<f64>, share: f64) -> f64 {
        let mut all: Vec<f64> = self.samples.iter().filter_map(of).collect();
        all.sort_by(f64::total_cmp);
        let last = all.len().saturating_sub(1);
        all.get(((all.len() as f64 * share) as usize).min(last))
            .copied()
            .unwrap_or(f64::NAN)
    }

    fn answered(&self, share: f64) -> f64 {
        1e3 * self.quantile(|s| (s.outcome == Outcome::Card).then_some(s.latency), share)
    }

    fn goodput(&self) -> f64 {
        self.samples.iter().filter(|s| s.outcome == Outcome::Card).count() as f64 / self.seconds
    }

    fn print(&self, name: &str) {
        let mut outcomes: BTreeMap<Outcome, usize> = BTreeMap::new();
        for sample in &self.samples {
            *outcomes.entry(sample.outcome).or_default() += 1;
        }
        println!(
            "{name}: {} calls in {:.0} s, {outcomes:?}, {:.0} cards/s",
            self.samples.len(),
            self.seconds,
            self.goodput()
        );
        println!(
            "  with card: p50 {:.1} p90 {:.1} p99 {:.1} p99.9 {:.1} ms; latest of all {:.0} ms; generator late by {:.1} ms (p99)",
            self.answered(0.5),
            self.answered(0.9),
            self.answered(0.99),
            self.answered(0.999),
            1e3 * self.quantile(|s| Some(s.latency), 1.0),
            1e3 * self.quantile(|s| Some(s.lag), 0.99),
        );
        let shed = |share| 1e3 * self.quantile(|s| (s.outcome == Outcome::Shed).then_some(s.latency), share);
        if outcomes.contains_key(&Outcome::Shed) {
            println!("  shed: p50 {:.1} p99 {:.1} ms", shed(0.5), shed(0.99));
        }
    }

    /// Whether the bars are held; says which are not.
    pub fn judge(&self, bars: &Bars) -> bool {
        let mut held = true;
        let mut check = |good: bool, text: String| {
            if !good {
                println!("  MISSED: {text}");
                held = false;
            }
        };
        if let Some(bar) = bars.p50 {
            check(
                self.answered(0.5) <= bar,
                format!("p50 {:.1} ms, bar {bar} ms", self.answered(0.5)),
            );
        }
        if let Some(bar) = bars.p99 {
            check(
                self.answered(0.99) <= bar,
                format!("p99 {:.1} ms, bar {bar} ms", self.answered(0.99)),
            );
        }
        if let Some(bar) = bars.goodput {
            check(
                self.goodput() >= bar,
                format!("{:.0} cards/s, bar {bar:.0}", self.goodput()),
            );
        }
        let allowed = |s: &&Sample| s.outcome == Outcome::Card || (bars.shed && s.outcome == Outcome::Shed);
        let others = self.samples.len() - self.samples.iter().filter(allowed).count();
        check(
            others == 0,
            format!("{others} calls got neither a card nor an orderly 503"),
        );
        let latest = self.quantile(|s| Some(s.latency), 1.0);
        check(latest <= LATEST, format!("an answer after {latest:.1} s"));
        let lag = self.quantile(|s| Some(s.lag), 0.99);
        check(
            lag <= LAG,
            format!("VOID: the generator was late by {:.0} ms (p99)", 1e3 * lag),
        );
        held
    }

    /// Since when every call got its card within `limit` seconds, seconds from the beginning.
    pub fn quiet_since(&self, limit: f64) -> f64 {
        let troubled = self
            .samples
            .iter()
            .filter(|s| s.outcome != Outcome::Card || s.latency > limit);
        troubled.map(|s| s.due + s.latency).fold(0.0, f64::max)
    }
}
