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

mod listed;
mod package;
mod runs;

use std::env;
use std::fs;
use std::io::{Write as _, stderr};
use std::path::Path;

use self::listed::Listed;
use self::package::{Kind, Package};
use self::runs::{Run, Runner};

/// A client whose tests are run.
#[derive(Debug)]
struct Client {
    /// The name of its package.
    name: &'static str,
    /// The variable in which its tests look for the broker, and that in which ours do.
    broker: (&'static str, &'static str),
    /// The features that its tests need.
    features: &'static [&'static str],
    /// Packages of ours for those that its tests depend on and that are not published, by the names of the packages.
    stand_ins: &'static [&'static str],
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
        features: &["tokio"],
        stand_ins: &[],
        at_once: 8,
        operations: &["send", "receive", "settle"],
    });
}

#[test]
fn the_tests_of_lapin_end_the_same_way_through_our_wrappers() {
    end_the_same_way(&Client {
        name: "lapin",
        broker: ("AMQP_ADDR", "AMQP_URL"),
        features: &["smol", "tokio"],
        stand_ins: &[],
        at_once: 1,
        operations: &["send", "receive", "process", "settle"],
    });
}

#[test]
fn the_tests_of_async_nats_end_the_same_way_through_our_wrappers() {
    end_the_same_way(&Client {
        name: "async-nats",
        broker: ("NATS_SERVER", "NATS_SERVER"),
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
            "slow_tests",
        ],
        stand_ins: &["nats-server"],
        // They wait more than they work.
        at_once: 12,
        operations: &["send", "receive", "settle"],
    });
}

fn end_the_same_way(client: &Client) {
    let (theirs, ours) = client.broker;
    let address = env::var(ours).unwrap_or_else(|_| panic!("{ours} is not set"));
    let left_out = Listed::left_out(client.name);
    let failing = Listed::failing(client.name);
    let package = Package::of(client, &left_out);
    let bare = package.tests(Kind::Bare);
    let wrapped = package.tests(Kind::Wrapped);
    assert_eq!(bare, wrapped, "not the same tests");
    let spans = package.folder.join("spans");
    let _ = fs::remove_file(&spans);
    let runner = Runner {
        package: &package,
        variables: [
            (theirs, address),
            ("CLIENT_SPANS", spans.display().to_string()),
        ],
        at_once: client.at_once,
    };

    let mut wrong = left_out.wrong(&package.files, &bare);
    wrong.extend(failing.wrong(&package.files, &bare));
    wrong.extend(package.not_compiled(client, &left_out));
    let tests: Vec<_> = bare
        .into_iter()
        .filter(|test| !left_out.has(test))
        .collect();
    let runs = runner.run(&tests);
    let recorded = recorded(&spans);

    for run in runs.iter().filter(|run| run.differs()) {
        wrong.push(format!("not the same end: {run}"));
        for kind in Kind::BOTH {
            let printed = runner.printed(kind, &run.test);
            wrong.push(format!("  {}:\n    {printed}", kind.name()));
        }
    }
    for run in runs.iter().filter(|run| !run.passed_bare()) {
        if !failing.has(&run.test) {
            let printed = runner.printed(Kind::Bare, &run.test);
            wrong.push(format!(
                "fails with the bare client, and failing.txt does not list it: {run}\n    {printed}"
            ));
        }
    }
    for run in runs.iter().filter(|run| !run.passed()) {
        if package.has_of_ours(&run.test.file) {
            wrong.push(format!("a test of ours does not pass: {run}"));
        }
    }
    for operation in client.operations {
        if !recorded.iter().any(|(name, _)| name == operation) {
            wrong.push(format!("the wrapped tests recorded no span of {operation}"));
        }
    }
    tell(client, &package, &runs, [&left_out, &failing], &recorded);
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

/// How many spans of each type of operation the wrapped tests have recorded.
fn recorded(spans: &Path) -> Vec<(String, usize)> {
    let text = fs::read_to_string(spans).unwrap_or_default();
    let mut operations: Vec<&str> = text.lines().collect();
    operations.sort_unstable();
    operations
        .chunk_by(|a, b| a == b)
        .map(|same| (same[0].to_owned(), same.len()))
        .collect()
}

/// Not by `eprintln!`, which the test harness keeps to itself.
fn tell(
    client: &Client,
    package: &Package,
    ended: &[Run],
    [left_out, failing]: [&Listed; 2],
    recorded: &[(String, usize)],
) {
    let passed = ended.iter().filter(|run| run.passed()).count();
    let mut text = format!(
        "{} {}: {} tests, {passed} pass, bare and wrapped; spans:",
        client.name,
        package.version,
        ended.len()
    );
    for (operation, number) in recorded {
        text += &format!(" {number} {operation}");
    }
    text += "\n";
    for run in ended {
        let retries = run.retries();
        if !retries.is_empty() {
            text += &format!("  needed retries: {}: {retries}\n", run.test);
        }
        // No error: a broker that somebody else runs may be what such a test wants.
        match failing.reason(&run.test) {
            Some(reason) if run.passed() => {
                text += &format!(
                    "  passes, and is listed as failing: {}: {reason}\n",
                    run.test
                );
            }
            Some(reason) => text += &format!("  does not pass: {run}: {reason}\n"),
            None if !run.passed() => text += &format!("  does not pass: {run}\n"),
            None => {}
        }
    }
    for (test, reason) in left_out.reasons() {
        text += &format!("  left out: {test}: {reason}\n");
    }
    let _ = stderr().write_all(text.as_bytes());
}
