//! The judge of the conventions: what the library records is held against each rule of release 1.45.0.
//!
//! A walk uses the public API on all brokers and captures what comes of it. Each rule is a row of a table in `rules/`,
//! with the heading that it is from, and takes its names from `names.rs`: it shares nothing with the crate. For each
//! there is in `mutations.rs` what it is seen to complain of.
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test panics where it fails"
)]

mod expected;
mod exported;
mod model;
mod mutations;
mod names;
mod rules;
mod sample;
mod stage;
mod verdict;
mod walk;

use std::collections::{BTreeMap, BTreeSet};

use model::Scene;
use verdict::Violation;

use crate::expected::{UNEXERCISED, VIOLATIONS};

/// How many things each rule applied to, and what broke one.
fn judge(scenes: &[Scene]) -> (BTreeMap<&'static str, usize>, Vec<Violation>) {
    let mut judged = BTreeMap::new();
    let mut all = Vec::new();
    for rule in rules::all() {
        let times = judged.entry(rule.id).or_default();
        for scene in scenes {
            let (applied, violations) = rule.judge(scene);
            *times += applied;
            all.extend(violations);
        }
    }
    (judged, all)
}

fn is_expected(violation: &Violation) -> bool {
    VIOLATIONS.iter().any(|one| one.covers(violation))
}

/// Rules that applied to nothing.
fn unexercised(judged: &BTreeMap<&'static str, usize>) -> BTreeSet<&'static str> {
    let never = judged.iter().filter(|(_, times)| **times == 0);
    never.map(|(id, _)| *id).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_recorded_on_all_brokers_is_by_the_conventions() {
    let scenes = Box::pin(walk::all()).await;

    let (judged, violations) = judge(&scenes);
    let unexpected: Vec<_> = violations.iter().filter(|one| !is_expected(one)).collect();
    for violation in &violations {
        let known = if is_expected(violation) {
            "known"
        } else {
            "NEW"
        };
        eprintln!("{known}: {violation}");
    }
    let things: usize = judged.values().sum();
    eprintln!(
        "{} scenes, {} rules, {things} judgements",
        scenes.len(),
        judged.len()
    );
    assert!(unexpected.is_empty(), "{} violations", unexpected.len());
    let mended = VIOLATIONS.iter().flat_map(|one| one.mended(&violations));
    let mended: Vec<_> = mended.collect();
    assert!(
        mended.is_empty(),
        "no longer there, so not to be expected: {mended:#?}"
    );
    assert_eq!(
        unexercised(&judged),
        BTreeSet::from_iter(UNEXERCISED),
        "the walk shows nothing of these"
    );
}

#[test]
fn what_the_examples_export_is_by_the_conventions() {
    let examples = [
        ("amqp_batch", "rabbitmq"),
        ("amqp_request_reply", "rabbitmq"),
        ("amqp_roundtrip", "rabbitmq"),
        ("http", "kafka"),
        ("jetstream_batch", "nats"),
        ("jetstream_worker", "nats"),
        ("kafka_batch", "kafka"),
        ("kafka_concurrent", "kafka"),
        ("kafka_roundtrip", "kafka"),
        ("nats_roundtrip", "nats"),
        ("outbox", "kafka"),
        ("policy", "kafka"),
    ];
    let package = include_str!("../../../examples/Cargo.toml");
    let programs = package.matches("[[example]]").count();
    // In `kafka_tracing` what the program logs is on our spans too, and that is not ours. `shop` is of three brokers at once,
    // each of which is in others.
    assert_eq!(examples.len() + 2, programs, "each example is judged");
    let scenes = examples.map(|(name, system)| exported::example(name, system));

    for scene in &scenes {
        for operation in ["process", "send"] {
            assert!(scene.of(operation).count() > 0, "{}", scene.name);
        }
        for metric in [
            "messaging.process.duration",
            "messaging.client.sent.messages",
        ] {
            assert!(scene.metric(metric).count() > 0, "{}", scene.name);
        }
    }
    let (_, violations) = judge(&scenes);
    let unexpected = violations.iter().filter(|one| !is_expected(one));
    let unexpected: Vec<_> = unexpected.map(ToString::to_string).collect();
    assert_eq!(unexpected, [""; 0]);
}

#[test]
fn what_is_right_has_no_violation() {
    let (_, violations) = judge(&sample::all());

    let violations: Vec<_> = violations.iter().map(ToString::to_string).collect();
    assert_eq!(violations, [""; 0]);
}

#[test]
fn each_rule_is_exercised_by_the_sample_and_seen_to_complain() {
    let (judged, _) = judge(&sample::all());

    let mut silent: BTreeSet<_> = judged.keys().copied().collect();
    for mutation in mutations::all() {
        let mut scenes = sample::all();
        (mutation.breaks)(&mut scenes);
        let (_, violations) = judge(&scenes);
        let complaints = violations.iter().filter(|one| one.rule == mutation.rule);
        assert!(
            complaints.count() > 0,
            "{} sees nothing of: {}",
            mutation.rule,
            mutation.what
        );
        silent.remove(mutation.rule);
    }
    assert_eq!(silent, BTreeSet::new(), "rules that nothing is broken for");
    assert_eq!(unexercised(&judged), BTreeSet::new());
}

#[test]
fn a_rule_has_an_id_of_its_own_and_says_where_it_is_from() {
    let mut ids = BTreeSet::new();

    for rule in rules::all() {
        assert!(ids.insert(rule.id), "{} is there twice", rule.id);
        assert!(
            !rule.says.is_empty() && !rule.spec.is_empty(),
            "{}",
            rule.id
        );
    }
}
