//! Load on a server process of its own: `cargo bench --bench load`.
//!
//! Arrivals come at a fixed rate and never wait for earlier answers, and latency counts from the moment at which a call should have
//! started: a stall is charged to every call that fell into it. A run in which the generator itself was late is void.
//!
//! Patients of the vancomycin twin (closed form, three models) with 50 KB of prefetch. *Warm*: 20 patients who were asked about
//! before. *Cold*: each call another patient, so that the twin is fitted and drawn anew. Generator and server share the machine.
//!
//! Options, after `--`: `--only warm|cold|overload|heavy|together|memory|growth` (may be repeated; `growth` only when named), `--seconds N` a
//! phase (15), `--memory N` seconds of the last phase (40; the bar is stated for 600), `--server FILE` another binary.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::panic,
    missing_docs
)]

mod client;
mod phase;
mod server;

use std::{process::ExitCode, rc::Rc, time::Duration};

use phase::{Bars, Phase, Report};
use server::{Bodies, Server};

/// Enough to keep the machine busy, too few to be turned away.
const CALLERS: usize = 8;

struct Options {
    only: Vec<String>,
    seconds: f64,
    memory: f64,
    server: String,
}

impl Options {
    fn read() -> Self {
        let mut options = Self {
            only: Vec::new(),
            seconds: 15.0,
            memory: 40.0,
            server: option_env!("CARGO_BIN_EXE_jumeau").unwrap_or_default().to_owned(),
        };
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().expect("an option lacks its value");
            match argument.as_str() {
                "--only" => options.only.push(value()),
                "--seconds" => options.seconds = value().parse().expect("seconds"),
                "--memory" => options.memory = value().parse().expect("seconds"),
                "--server" => options.server = value(),
                // What cargo itself passes.
                "--bench" => {}
                other => panic!("unknown option {other}"),
            }
        }
        options
    }

    fn wants(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only == name)
    }
}

fn main() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let held = tokio::task::LocalSet::new().block_on(&runtime, run(Options::read()));
    if held { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

async fn run(options: Options) -> bool {
    let server = Server::start(&options.server);
    let mut held = true;
    if options.wants("warm") {
        held &= warm(&server, 200.0, options.seconds).await;
    }
    if options.wants("cold") {
        let bodies = Bodies::of(&server, "vancomycin", "moreau", 50_000).await;
        let phase = Phase::new(&server, bodies.fresh(), 20.0, options.seconds);
        let bars = Bars {
            p99: Some(500.0),
            ..Bars::none()
        };
        held &= phase.run("cold 20/s").await.judge(&bars);
    }
    if options.wants("overload") {
        held &= overload(&server, &options, "vancomycin", "moreau", 50_000).await;
    }
    if options.wants("heavy") {
        // Some ten times as much to compute.
        held &= overload(&server, &options, "tacrolimus", "tacrolimus", 0).await;
    }
    if options.wants("together") {
        // Each twin looks whether the call concerns it; one does.
        held &= overload(&server, &options, "any-twin", "moreau", 50_000).await;
    }
    if options.wants("memory") {
        held &= memory(&server, options.memory, false).await;
    }
    if options.only.iter().any(|only| only == "growth") {
        memory(&server, options.memory, true).await;
    }
    held
}

async fn warm(server: &Server, rate: f64, seconds: f64) -> bool {
    let bodies = Bodies::of(server, "vancomycin", "moreau", 50_000).await.known(20);
    // Twice: the first call makes the twin, the second meets it.
    for _ in 0..2 {
        Phase::new(server, Rc::clone(&bodies), 20.0, 1.0).run("").await;
    }
    let bars = Bars {
        p50: Some(15.0),
        p99: Some(100.0),
        ..Bars::none()
    };
    let name = format!("warm {rate}/s");
    Phase::new(server, bodies, rate, seconds).run(&name).await.judge(&bars)
}

/// What can be answered at most, then three times as much, then half.
async fn overload(server: &Server, options: &Options, twin: &str, patient: &str, length: usize) -> bool {
    let bodies = Bodies::of(server, twin, patient, length).await;
    let capacity = phase::capacity(server, bodies.fresh(), CALLERS, 6.0).await;
    println!("{twin}, cold: capacity {capacity:.0}/s (closed loop, {CALLERS} callers)");
    let much = Phase::new(server, bodies.fresh(), 3.0 * capacity, options.seconds);
    let after = Phase::new(server, bodies.fresh(), 0.5 * capacity, 10.0);
    let much = much.run(&format!("{twin} x 3")).await;
    let after = after.run(&format!("{twin} x 1/2, after")).await;
    let mut held = much.judge(&Bars {
        shed: true,
        goodput: Some(0.8 * capacity),
        ..Bars::none()
    });
    let recovered = after.quiet_since(0.5);
    println!("  recovered after {recovered:.1} s (bar 5 s)");
    held &= recovered <= 5.0;
    held
}

/// Whether the server grows: 60 warm calls a second, and 20 that make a twin anew, of patients that it knows or of new ones.
async fn memory(server: &Server, seconds: f64, new: bool) -> bool {
    let bodies = Bodies::of(server, "vancomycin", "moreau", 50_000).await;
    let cold = if new { bodies.fresh() } else { bodies.changed(200) };
    let known = bodies.known(20);
    let turn = std::cell::Cell::new(0_u64);
    let mixed: phase::Make = Rc::new(move || {
        turn.set(turn.get() + 1);
        if turn.get().is_multiple_of(4) { cold() } else { known() }
    });
    let warm_up = (seconds / 10.0).max(10.0);
    let start = Phase::new(server, Rc::clone(&mixed), 80.0, warm_up)
        .run("memory, first")
        .await;
    let before = server.resident_mib();
    let whole: Report = Phase::new(server, mixed, 80.0, seconds - warm_up)
        .run("memory, rest")
        .await;
    let after = server.resident_mib();
    println!(
        "  resident: {before:.0} MiB after {warm_up:.0} s, {after:.0} MiB after {seconds:.0} s (bar: 1.2 times as much)"
    );
    tokio::time::sleep(Duration::from_millis(100)).await;
    start.judge(&Bars::none()) & whole.judge(&Bars::none()) & (after <= 1.2 * before)
}
