//! Brokers that are killed, paused, full, slow or cut off, and clients under load: what an application with wrapped
//! clients gets is what one with bare clients gets beside it. Each broker is the suite's own.
//!
//! Without `CHAOS_MINUTES` each case runs once, always the same. With it, for so many minutes, with numbers that are
//! drawn by a seed: `CHAOS_SEED`, or another one each time, which is printed.
#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a test panics where it fails"
)]

mod amqp;
mod book;
mod chance;
mod house;
mod kafka;
mod load;
mod memory;
mod nats;
mod plan;
mod program;
mod proxy;
mod sides;
mod totals;

use std::collections::BTreeMap;
use std::env;
use std::panic::AssertUnwindSafe;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures::FutureExt as _;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::Instant;

use crate::amqp::Rabbit;
use crate::chance::Chance;
use crate::house::{ALL, Hardship, House};
use crate::kafka::Kafka;
use crate::memory::Kept;
use crate::nats::Nats;
use crate::totals::Totals;

/// More than any case takes, with each wait of its own as long as may be, so that it tells who hangs: else it shall fail,
/// and the next case run.
const LIMIT: Duration = Duration::from_secs(600);

fn main() -> ExitCode {
    let names: Vec<_> = env::args()
        .skip(1)
        .filter(|name| !name.starts_with('-'))
        .collect();
    if env::args().any(|argument| argument == "--list") {
        list::<Kafka>();
        list::<Rabbit>();
        list::<Nats>();
        return ExitCode::SUCCESS;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .worker_threads(4)
        .build()
        .expect("a runtime");
    // Whichever ends first: the brokers go with what is dropped.
    let code = runtime.block_on(async {
        let mut interrupted = signal(SignalKind::interrupt()).expect("a signal");
        let mut terminated = signal(SignalKind::terminate()).expect("a signal");
        tokio::select! {
            passed = suite(names) => if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE },
            _ = interrupted.recv() => ExitCode::from(130),
            _ = terminated.recv() => ExitCode::from(143),
        }
    });
    runtime.shutdown_timeout(Duration::from_secs(5));
    code
}

fn cases<H: House>() -> impl Iterator<Item = (&'static str, String)> {
    let cases = ALL.iter().chain(H::OWN);
    cases.map(|case| (*case, format!("{}::{case}", H::NAME)))
}

#[expect(clippy::print_stdout, reason = "it is asked for the list")]
fn list<H: House>() {
    for (_, name) in cases::<H>() {
        println!("{name}: test");
    }
}

/// How it went, over all brokers.
#[derive(Default)]
struct Outcome {
    passed: usize,
    failed: usize,
    left_out: usize,
    totals: BTreeMap<String, Totals>,
}

async fn suite(names: Vec<String>) -> bool {
    let minutes = env::var("CHAOS_MINUTES").ok();
    let minutes = minutes.map(|minutes| minutes.parse::<u64>().expect("a number of minutes"));
    let seed = env::var("CHAOS_SEED").ok();
    let seed = seed.map_or_else(now, |seed| seed.parse().expect("a seed"));
    let until = minutes.map(|minutes| Instant::now() + Duration::from_secs(60 * minutes));
    if until.is_some() {
        say(&format!("CHAOS_SEED={seed}"));
    }
    let (mut kafka, mut rabbit, mut nats) = tokio::join!(
        started::<Kafka>(&names),
        started::<Rabbit>(&names),
        started::<Nats>(&names)
    );
    let mut outcome = Outcome::default();
    let (began, mut kept) = (Instant::now(), Vec::new());
    for round in 0.. {
        let hardship = |name: &str| {
            let chance = Chance::new(seed).of(&format!("{name} {round}"));
            match until {
                None => Hardship::short(chance),
                Some(_) => Hardship::by(chance),
            }
        };
        let ran = tokio::join!(
            all_of(&mut kafka, &names, hardship),
            all_of(&mut rabbit, &names, hardship),
            all_of(&mut nats, &names, hardship)
        );
        for ran in [ran.0, ran.1, ran.2] {
            outcome.add(ran);
        }
        if until.is_some() {
            let now = Kept::now(began.elapsed()).await;
            kept.push(now);
            say(&format!("memory after round {}: {now}", kept.len()));
        }
        if until.is_none_or(|until| Instant::now() > until) {
            break;
        }
    }
    if until.is_some() {
        for (name, totals) in &outcome.totals {
            say(&format!("total {name}: {totals}"));
            let only_wrapped = totals.only_wrapped();
            if !only_wrapped.is_empty() {
                outcome.failed += 1;
                say(&format!(
                    "    with the wrapped client alone: {only_wrapped:?}"
                ));
            }
        }
        remembered(&kept, &mut outcome);
    }
    let ok = outcome.failed == 0 && outcome.passed > 0;
    let told = if ok { "ok" } else { "FAILED" };
    say(&format!(
        "\ntest result: {told}. {} passed; {} failed; {} ignored",
        outcome.passed, outcome.failed, outcome.left_out
    ));
    ok
}

impl Outcome {
    fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.left_out += other.left_out;
        for (name, totals) in other.totals {
            self.totals.entry(name).or_default().merge(totals);
        }
    }
}

/// Starts a broker, if there is anything for it to do.
async fn started<H: House>(names: &[String]) -> Option<H> {
    let mut wanted = cases::<H>();
    let wanted = wanted.any(|(_, name)| is_wanted(names, &name));
    if !wanted {
        return None;
    }
    Some(program::started(H::start).await)
}

fn is_wanted(names: &[String], name: &str) -> bool {
    names.is_empty() || names.iter().any(|wanted| name.contains(wanted))
}

/// Runs all cases of a broker that are wanted.
async fn all_of<H: House>(
    house: &mut Option<H>,
    names: &[String],
    hardship: impl Fn(&str) -> Hardship,
) -> Outcome {
    let mut outcome = Outcome::default();
    let Some(house) = house else {
        return outcome;
    };
    for (case, name) in cases::<H>().filter(|(_, name)| is_wanted(names, name)) {
        let mut hardship = hardship(&name);
        let started = Instant::now();
        let running = AssertUnwindSafe(house::run(house, case, &mut hardship)).catch_unwind();
        let told = tokio::time::timeout(LIMIT, running).await;
        let took = started.elapsed().as_secs_f32();
        let (complaints, told) = match told {
            Ok(Ok(None)) => {
                outcome.left_out += 1;
                say(&format!(
                    "test {name} ... ignored, no folder that has an end can be made here"
                ));
                continue;
            }
            Ok(Ok(Some(told))) => (told.complaints.clone(), Some(told)),
            Ok(Err(_)) => (vec!["it panicked".to_owned()], None),
            Err(_) => (vec!["it hangs".to_owned()], None),
        };
        let mut totals = Totals::default();
        if let Some(told) = &told {
            totals.add(told);
        }
        for note in told.iter().flat_map(|told| &told.notes) {
            say(&format!("note {name}: {note}"));
        }
        if complaints.is_empty() {
            outcome.passed += 1;
            say(&format!("test {name} ... ok, {took:.1} s\n    {totals}"));
        } else {
            outcome.failed += 1;
            let complaints = complaints.join("\n    ");
            let log = house.parts().0.told();
            say(&format!(
                "test {name} ... FAILED, {took:.1} s\n    {complaints}\n    {totals}\n    {hardship:?}\n{log}"
            ));
        }
        outcome.totals.entry(name).or_default().merge(totals);
    }
    outcome
}

/// Nothing more is kept after many rounds than after two.
fn remembered(kept: &[Kept], outcome: &mut Outcome) {
    match Kept::has_grown(kept) {
        None => say("too few rounds to see whether memory grows"),
        Some(false) => {}
        Some(true) => {
            outcome.failed += 1;
            say("memory grows");
        }
    }
}

#[expect(clippy::print_stdout, reason = "a suite tells what it does")]
fn say(line: &str) {
    println!("{line}");
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.expect("a clock after 1970").as_secs()
}
