//! That no future of the public API is forgotten.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Futures that are not dropped by name, and why.
const LEFT_OUT: [(&str, &str); 8] = [
    ("amqp::ConsumerDelegate::on_new_delivery", DELEGATE),
    ("amqp::ConsumerDelegate::drop_prefetched_messages", DELEGATE),
    ("D::on_new_delivery", DELEGATE),
    ("D::drop_prefetched_messages", DELEGATE),
    ("nats::TestConsumer::new", STAND_IN),
    ("nats::TestProducer::new", STAND_IN),
    ("nats::jetstream::TestConsumer::new", STAND_IN),
    ("nats::jetstream::Producer::request", FORWARDS),
];

/// What the user has written; ours is around it.
const DELEGATE: &str = "see the tests of src/amqp/consumer/delegate.rs";
const STAND_IN: &str = "it makes a stand-in, and sends nothing";
const FORWARDS: &str = "the client's own future is returned, without anything of ours";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

/// What makes a future or is one, as the text of the public API spells it, and how often it has it.
fn futures(api: &str) -> BTreeMap<String, usize> {
    let mut futures = BTreeMap::new();
    for line in api.lines() {
        if let Some(name) = future(line) {
            *futures
                .entry(name.replace("otel_messaging::", ""))
                .or_default() += 1;
        }
    }
    futures
}

fn future(line: &str) -> Option<&str> {
    // What is required of the types may be a future, or return one.
    let line = line.split(" where ").next().unwrap_or(line);
    let makes_one = |rest: &str| {
        let returned = rest
            .rsplit_once(" -> ")
            .map_or("", |(_, returned)| returned);
        returned.starts_with("impl core::future::future::Future")
            || returned.starts_with("core::pin::Pin<alloc::boxed::Box<(dyn core::future")
    };
    if let Some(function) = line.strip_prefix("pub async fn ") {
        return Some(path(function));
    }
    if let Some(function) = line.strip_prefix("pub fn ") {
        return makes_one(function).then(|| path(function));
    }
    let traits = [
        "core::future::future::Future for ",
        "futures_core::stream::Stream for ",
    ];
    let implementor = line.starts_with("impl").then(|| {
        traits.iter().find_map(|name| {
            let (before, implementor) = line.split_once(name)?;
            before.ends_with(' ').then_some(implementor)
        })
    });
    implementor.flatten()
}

/// The path of a function, without its own generics and what it takes.
fn path(function: &str) -> &str {
    let mut depth = 0;
    let mut last = 0;
    for (at, sign) in function.char_indices() {
        match sign {
            '<' => depth += 1,
            '>' => depth -= 1,
            '(' if depth == 0 => {
                let name = &function[last..at];
                let end = name.find('<').map_or(at, |generics| last + generics);
                return &function[..end];
            }
            ':' if depth == 0 => last = at + 1,
            _ => {}
        }
    }
    function
}

/// The sources of this suite, but for this file, without spaces: lines are broken as it comes.
fn sources(folder: &Path) -> String {
    let mut sources = String::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources += &self::sources(&path);
        } else if !path.ends_with("listed.rs") {
            sources += &without_spaces(&fs::read_to_string(path).expect("a source"));
        }
    }
    sources
}

fn without_spaces(text: &str) -> String {
    text.split_whitespace().collect()
}

/// What is handed to the functions that drop futures. A name in another place, as in the text of an assertion, is no `Api`.
fn handed_over(name: &str) -> String {
    without_spaces(&format!("Api(\"{name}\""))
}

#[test]
fn every_future_of_the_public_api_is_dropped() {
    let api = fs::read_to_string(root().join("public-api/public-api.txt")).expect("the text");
    let sources = sources(&root().join("drops"));

    let futures = futures(&api);
    assert!(futures.len() > 50, "{futures:?}");
    let missing = futures.iter().filter(|(name, count)| {
        // One of the two forwards as well, as the one of JetStream's own API.
        let forwards = **name == "nats::jetstream::Producer::send_request";
        let count = *count - usize::from(forwards);
        let is_left_out = LEFT_OUT.iter().any(|(left_out, _)| left_out == name);
        !is_left_out && sources.matches(&handed_over(name)).count() < count
    });
    let missing: Vec<_> = missing.collect();
    assert!(
        missing.is_empty(),
        "not dropped in integration/drops, or less often: {missing:#?}"
    );
    let unknown = LEFT_OUT
        .iter()
        .filter(|(name, _)| !futures.contains_key(*name));
    assert_eq!(unknown.count(), 0, "left out, but not there");
}

#[test]
fn futures_are_found_by_their_types() {
    let api = "\
pub async fn otel_messaging::nats::Consumer::subscribe<S: ToSubject>(&self, S) -> Result<Messages>
pub fn otel_messaging::nats::Messages<a::B>::stop(&mut self, fn(u8) -> u8) -> impl core::future::future::Future<Output = ()>
pub fn otel_messaging::nats::Messages<a::B>::batches<F>(self, F) -> Batches where F: Fn() -> core::future::future::Future
pub fn otel_messaging::nats::Messages<a::B>::timer<F>(self, F) -> Batches where F: Fn() -> impl core::future::future::Future
pub fn otel_messaging::Batch<M>::process<'r, R, F, Fut>(&'r self, F) -> impl core::future::future::Future<Output = R> + use<'r, M, R, F, Fut> where F: core::ops::function::FnOnce(&'r Self) -> Fut, Fut: core::future::future::Future<Output = R>
impl<S: Unpin> futures_core::stream::Stream for otel_messaging::nats::Messages<S> where S: Unpin
impl otel_messaging::nats::Deliveries for core::future::future::Future
";
    let expected = [
        "Batch<M>::process",
        "nats::Consumer::subscribe",
        "nats::Messages<S>",
        "nats::Messages<a::B>::stop",
    ];
    assert_eq!(futures(api).into_keys().collect::<Vec<_>>(), expected);
}
