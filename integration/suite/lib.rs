//! Scenarios that are written once and run against every broker.
#![expect(
    clippy::exhaustive_structs,
    clippy::expect_used,
    clippy::missing_panics_doc,
    clippy::must_use_candidate,
    reason = "a scenario panics where it fails"
)]

pub mod clients;
pub mod embedded;
pub mod kafka;
pub mod nats;
pub mod python;
pub mod scenario;

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use opentelemetry::Context;
use otel_messaging::testing::ExpectedSpan;
use otel_messaging::{Outcome, ProcessSpan, Telemetry};

/// A header as it is on the wire; a null value is `None`, where the broker has such.
pub type Header = (Vec<u8>, Option<Vec<u8>>);

/// A message to be sent.
#[derive(Clone, Debug, Default)]
pub struct Message {
    /// Key, or whatever the broker has that is nearest to it.
    pub key: String,
    /// Body.
    pub payload: Vec<u8>,
    /// Headers.
    pub headers: Vec<Header>,
}

impl Message {
    /// A message with this key and some body.
    pub fn new(key: &str) -> Self {
        Self {
            key: key.to_owned(),
            payload: b"two books".to_vec(),
            headers: Vec::new(),
        }
    }
}

/// What a scenario needs of a broker and of our wrappers around its client.
#[expect(
    async_fn_in_trait,
    reason = "scenarios are awaited where they stand, never spawned"
)]
pub trait Broker: Sized {
    /// What sending a message gives.
    type Receipt;
    /// A received message that is not borrowed from the client.
    type Received;

    /// Connects with wrapped clients.
    async fn connect(telemetry: &Telemetry) -> Self;
    /// Makes a destination that did not exist.
    async fn declare(&self, name: &str) -> String;
    /// Sends through the wrapped producer.
    async fn send(&self, destination: &str, message: &Message) -> Self::Receipt;
    /// Receives the next message through the wrapped consumer.
    async fn receive(&self, destination: &str) -> Self::Received;
    /// Processes a message in the closure form.
    async fn process<F, Fut, R>(&self, received: &Self::Received, handler: F) -> R
    where
        F: FnOnce() -> Fut,
        Fut: Future<Output = R>,
        R: Outcome;
    /// Processes a message in the guard form.
    fn start_process(&self, received: &Self::Received) -> ProcessSpan;
    /// What the message carries.
    fn context<'a>(&self, received: &'a Self::Received) -> &'a Context;
    /// The headers as they were on the wire.
    fn headers(&self, received: &Self::Received) -> Vec<Header>;

    /// Name of the span of a send.
    fn send_name(&self, destination: &str) -> String;
    /// Name of the span of processing.
    fn process_name(&self, destination: &str) -> String;
    /// The whole span of a send that succeeded; its parent is for the scenario to say.
    fn send_span(&self, destination: &str, sent: &Message, receipt: &Self::Receipt)
    -> ExpectedSpan;
    /// The whole span of processing; parent, links and error are for the scenario to say.
    fn process_span(&self, destination: &str, received: &Self::Received) -> ExpectedSpan;
}

/// A name that no other test has.
pub fn unique(name: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("a clock after 1970");
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("{name}-{:x}-{count}", since.as_nanos())
}
