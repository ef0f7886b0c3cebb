//! The clients' own tests, as they lie in the clients' packages, with the bare client and through our wrappers: telemetry
//! costs no message if each ends the same way.
//!
//! Nothing of these tests is in this repository; a few of ours, of what they do not have, are in `more/`. For each client
//! a package is generated below the target folder, twice, whose tests are these files. One depends on the client, the
//! other on the package of ours that has the client's name and our wrappers' methods. Then each test is run in a process
//! of its own.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test panics where it fails, and JSON that is not there is null"
)]

mod ends;
mod listed;
mod package;
mod port;
mod runs;

use std::collections::BTreeMap;
use std::env;
use std::io::{self, Write as _, stderr};

use self::ends::{Run, Test};
use self::listed::Listed;
use self::package::{Kind, Package};
use self::runs::Runner;

/// A client whose tests are run.
#[derive(Debug)]
struct Client {
    /// The name of its package.
    name: &'static str,
    /// The variable in which its tests look for the broker, and that in which ours do.
    broker: (&'static str, &'static str),
    /// The port of this machine that some of its tests ask, whatever the variable says.
    port: Option<u16>,
    /// The features that its tests need.
    features: &'static [&'static str],
    /// Packages of ours for those that its tests depend on and that are not published, by the names of the packages.
    stand_ins: &'static [&'static str],
    /// Packages that only tests which are left out call, in files that have others.
    absent: &'static [&'static str],
    /// How many tests are run at once: one, if they share queues.
    at_once: usize,
    /// The types of operations that the wrapped tests have to record.
    operations: &'static [&'static str],
}

#[test]
fn the_tests_of_rdkafka_end_the_same_way_through_our_wrappers() {
    end_the_same_way(&Client {
        name: "rdkafka",
        broker: ("KAFKA_HOST", "KAFKA_BROKERS"),
        port: Some(9092),
        features: &["tokio"],
        stand_ins: &[],
        absent: &[],
        at_once: 8,
        operations: &["send", "receive", "settle"],
    });
}

#[test]
fn the_tests_of_lapin_end_the_same_way_through_our_wrappers() {
    end_the_same_way(&Client {
        name: "lapin",
        broker: ("AMQP_ADDR", "AMQP_URL"),
        port: None,
        features: &["smol", "tokio"],
        stand_ins: &[],
        absent: &[],
        at_once: 1,
        operations: &["send", "receive", "process", "settle"],
    });
}

#[test]
fn the_tests_of_async_nats_end_the_same_way_through_our_wrappers() {
    end_the_same_way(&Client {
        name: "async-nats",
        broker: ("NATS_SERVER", "NATS_SERVER"),
        port: None,
        features: &[
            "jetstream",
            "kv",
            "nkeys",
            "nuid",
            "ring",
            "server_2_10",
            "server_2_11",
            "server_2_12",
            "server_2_14",
            "service",
            "slow_tests",
        ],
        stand_ins: &["nats-server"],
        absent: &["jsonschema", "reqwest"],
        // They wait more than they work.
        at_once: 12,
        operations: &["send", "receive", "settle"],
    });
}

fn end_the_same_way(client: &Client) {
    let (theirs, ours) = client.broker;
    let address = env::var(ours).unwrap_or_else(|_| panic!("{ours} is not set"));
    let forwarded = client.port.map(|port| port::forward(port, &address));
    let lists = Lists {
        left_out: Listed::left_out(client.name),
        failing: Listed::failing(client.name),
        ask_the_port: Listed::ask_the_port(client.name),
        without_spans: Listed::without_spans(client.name),
        port: forwarded.and_then(io::Result::err),
    };
    let package = Package::of(client, &lists.left_out);
    let bare = package.tests(Kind::Bare);
    let wrapped = package.tests(Kind::Wrapped);
    assert_eq!(bare, wrapped, "not the same tests");
    let runner = Runner {
        package: &package,
        broker: (theirs, address),
        at_once: client.at_once,
    };

    let mut wrong = package.not_compiled(client, &lists.left_out);
    for list in lists.all() {
        wrong.extend(list.wrong(&package.files, &bare));
    }
    let tests: Vec<_> = bare
        .into_iter()
        .filter(|test| !lists.left_out.has(test))
        .collect();
    let runs = runner.run(&tests);
    tell(client, &package, &runs, &lists);

    for run in &runs {
        wrong.extend(judged(run, &runner, &lists));
    }
    let recorded = recorded(&runner, &tests);
    say(&format!("  spans: {recorded:?}\n"));
    for operation in client.operations {
        if !recorded.contains_key(*operation) {
            wrong.push(format!("the wrapped tests recorded no span of {operation}"));
        }
    }
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

/// The lists of a client's tests, and why the port that some of them ask is not the broker's.
#[derive(Debug)]
struct Lists {
    left_out: Listed,
    failing: Listed,
    ask_the_port: Listed,
    without_spans: Listed,
    port: Option<io::Error>,
}

impl Lists {
    const fn all(&self) -> [&Listed; 4] {
        let Self {
            left_out,
            failing,
            ask_the_port,
            without_spans,
            ..
        } = self;
        [left_out, failing, ask_the_port, without_spans]
    }

    /// Why it is no error that a test does not pass.
    fn may_fail(&self, test: &Test) -> Option<String> {
        let asks_the_port = || {
            let (reason, error) = self.ask_the_port.reason(test).zip(self.port.as_ref())?;
            Some(format!("{reason}, where something else may be: {error}"))
        };
        let failing = self.failing.reason(test).map(str::to_owned);
        failing.or_else(asks_the_port)
    }
}

/// What is wrong with how a test ended.
fn judged(run: &Run, runner: &Runner<'_>, lists: &Lists) -> Vec<String> {
    let mut wrong = Vec::new();
    if run.differs() {
        wrong.push(format!("not the same end: {run}"));
        for kind in Kind::BOTH {
            let printed = runner.printed(kind, &run.test);
            wrong.push(format!("  {}:\n    {printed}", kind.name()));
        }
    }
    if !run.passed_bare() && lists.may_fail(&run.test).is_none() {
        let printed = runner.printed(Kind::Bare, &run.test);
        wrong.push(format!(
            "fails with the bare client, and failing.txt does not list it: {run}\n    {printed}"
        ));
    }
    if run.passed() && lists.failing.has(&run.test) {
        wrong.push(format!(
            "passes, so that it is none for failing.txt: {}",
            run.test
        ));
    }
    if !run.passed() && runner.package.has_of_ours(&run.test.file) {
        wrong.push(format!("a test of ours does not pass: {run}"));
    }
    // What it did not get to when it failed, it recorded nothing of.
    if run.passed() && run.compared.is_none() {
        let has_spans = !runner.recorded(&run.test).is_empty();
        match (has_spans, lists.without_spans.has(&run.test)) {
            (false, false) => wrong.push(format!(
                "recorded no span, and without-spans.txt does not list it: {}",
                run.test
            )),
            (true, true) => wrong.push(format!(
                "recorded spans, so that it is none for without-spans.txt: {}",
                run.test
            )),
            _ => {}
        }
    }
    wrong
}

/// How many spans of each type of operation the wrapped tests have recorded.
fn recorded(runner: &Runner<'_>, tests: &[Test]) -> BTreeMap<String, usize> {
    let mut operations = BTreeMap::new();
    for operation in tests.iter().flat_map(|test| runner.recorded(test)) {
        *operations.entry(operation).or_default() += 1;
    }
    operations
}

fn tell(client: &Client, package: &Package, ended: &[Run], lists: &Lists) {
    let passed = ended.iter().filter(|run| run.passed()).count();
    say(&format!(
        "{} {}: {} tests, {passed} pass, bare and wrapped\n",
        client.name,
        package.version,
        ended.len()
    ));
    for run in ended {
        let retries = run.retries();
        if !retries.is_empty() {
            say(&format!("  needed retries: {}: {retries}\n", run.test));
        }
        if !run.passed() {
            let reason = lists.may_fail(&run.test).unwrap_or_default();
            // As the script that runs the suites wants it of what a machine does not have.
            if !lists.failing.has(&run.test) && !reason.is_empty() {
                say(&format!("SKIPPED: {}: {reason}\n", run.test));
            }
            say(&format!("  does not pass: {run}: {reason}\n"));
        }
    }
    for (test, reason) in lists.left_out.reasons() {
        say(&format!("  left out: {test}: {reason}\n"));
    }
}

/// Not by `eprintln!`, which the test harness keeps to itself.
fn say(text: &str) {
    let _ = stderr().write_all(text.as_bytes());
}
