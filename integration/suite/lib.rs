//! Scenarios that are written once and run against every broker.
#![expect(
    clippy::exhaustive_structs,
    clippy::expect_used,
    clippy::missing_panics_doc,
    clippy::must_use_candidate,
    reason = "a scenario panics where it fails"
)]

pub mod amqp;
pub mod drops;
pub mod kafka;
pub mod metrics;
pub mod nats;
pub mod otlp;
pub mod programs;
pub mod python;
pub mod scenario;
pub mod stand_in;
pub mod whole;

use std::env;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use opentelemetry::logs::Severity;
use opentelemetry::trace::{SpanContext, SpanKind};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::logs::SdkLogRecord;
use otel_messaging::testing::{ExpectedSpan, Recorder};
use otel_messaging::{Batch, Received, Telemetry};

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
    /// The client's own message, not borrowed from the client.
    type Message: otel_messaging::Message;
    /// An error of the client's.
    type Error: std::error::Error + Send + Sync + 'static;

    /// Connects with wrapped clients.
    async fn connect(telemetry: &Telemetry) -> Self;
    /// Makes a destination that did not exist.
    async fn declare(&self, name: &str) -> String;
    /// Sends through the wrapped producer.
    async fn send(&self, destination: &str, message: &Message) -> Self::Receipt;
    /// Receives the next message through the wrapped consumer.
    async fn receive(&self, destination: &str) -> Received<Self::Message>;
    /// An error of the client's, whose text is not that for debugging.
    fn error() -> Self::Error;
    /// Receives a message from each of two destinations of these names together, as one batch. The
    /// destinations have little in common, and the rules of each go by its name.
    async fn receive_batch(&self, names: [&str; 2]) -> Batch<Self::Message>;
    /// The headers as they were on the wire.
    fn headers(&self, received: &Received<Self::Message>) -> Vec<Header>;

    /// Name of the span of a send.
    fn send_name(&self, destination: &str) -> String;
    /// Name of the span of processing.
    fn process_name(&self, destination: &str) -> String;
    /// The whole span of a send that succeeded; its parent is for the scenario to say.
    fn send_span(&self, destination: &str, sent: &Message, receipt: &Self::Receipt)
    -> ExpectedSpan;
    /// The whole span of processing; parent, links and error are for the scenario to say.
    fn process_span(&self, destination: &str, received: &Received<Self::Message>) -> ExpectedSpan;

    /// What any process span of a batch of so many messages has.
    fn batch_span(&self, destination: &str, messages: usize) -> ExpectedSpan;
    /// What it has beside, of messages that were sent with the same key.
    fn in_common(&self, span: ExpectedSpan, received: &Received<Self::Message>) -> ExpectedSpan;
    /// What a message of a batch has on its link, if it is not the only one.
    fn on_link(&self, received: &Received<Self::Message>) -> Vec<KeyValue>;

    /// Attributes with which a sent message is counted.
    fn sent(&self, destination: &str) -> Vec<KeyValue>;
    /// Attributes with which a message is counted that was delivered.
    fn consumed(&self, destination: &str) -> Vec<KeyValue>;
    /// Attributes with which processing is timed.
    fn processed(&self, destination: &str) -> Vec<KeyValue>;
}

/// A broker with a wrapped producer that sends many messages under one call.
#[expect(
    async_fn_in_trait,
    reason = "scenarios are awaited where they stand, never spawned"
)]
pub trait BatchSender: Broker {
    /// Sends messages under one call, each to its destination; the broker takes all of them.
    async fn send_to(&self, messages: &[(&str, &Message)]) -> Vec<Self::Receipt>;
    /// The same to one destination.
    async fn send_batch(&self, destination: &str, messages: &[Message]) -> Vec<Self::Receipt> {
        let messages: Vec<_> = messages.iter().map(|one| (destination, one)).collect();
        self.send_to(&messages).await
    }
    /// The same to one destination, each created in its own context.
    async fn send_in(
        &self,
        destination: &str,
        messages: &[(Context, Message)],
    ) -> Vec<Self::Receipt>;

    /// The whole span of creating a message that was sent then; parent and links are for the scenario
    /// to say.
    fn create_span(
        &self,
        destination: &str,
        sent: &Message,
        receipt: &Self::Receipt,
    ) -> ExpectedSpan;
    /// What any span of sending so many has; parent and links are for the scenario to say.
    fn sent_batch(&self, kind: SpanKind, destination: &str, messages: usize) -> ExpectedSpan;
    /// What a message says of itself before it is sent: on its link, or on the span if all say the same.
    fn on_sent_link(&self, sent: &Message) -> Vec<KeyValue>;
}

/// A broker whose wrapped producer is handed to tasks and threads.
pub trait Spawner: Broker<Receipt: Send + 'static> {
    /// Sends like [`Broker::send`], from wherever it is moved to.
    fn sender(
        &self,
        destination: &str,
        message: &Message,
    ) -> impl Future<Output = Self::Receipt> + Send + 'static;
}

/// A broker whose client refuses some messages, or all of them, before it sends anything.
#[expect(
    async_fn_in_trait,
    reason = "scenarios are awaited where they stand, never spawned"
)]
pub trait Refuser: BatchSender {
    /// `error.type` of what the client refuses.
    const REFUSED: &'static str;

    /// Sends a message that the client refuses. Gives the whole span, but for its error.
    async fn refuse(&self, destination: &str) -> ExpectedSpan;
    /// Sends so many under one call. Gives the whole span of sending, but for its links and error.
    async fn refuse_batch(&self, destination: &str, messages: usize) -> ExpectedSpan;
    /// Sends one for each context, created in that, under one call; the client refuses all of them.
    async fn refuse_in(&self, destination: &str, contexts: Vec<Context>);
}

/// A broker whose consumer can be brought to fail.
#[expect(
    async_fn_in_trait,
    reason = "scenarios are awaited where they stand, never spawned"
)]
pub trait Faulty: Broker {
    /// `error.type` of the failure.
    const FAILURE: &'static str;

    /// Receives from a destination, one by one or in batches, by a consumer that fails before it has a
    /// message. Gives what the client says.
    async fn fail_to_receive(&self, destination: &str, in_batches: bool) -> String;
    /// The whole span of receiving one by one without a message; its error is for the scenario to say.
    fn receive_span(&self, destination: &str) -> ExpectedSpan;
}

/// A broker whose client settles each message by a call on the message.
#[expect(
    async_fn_in_trait,
    reason = "scenarios are awaited where they stand, never spawned"
)]
pub trait Settler: Broker {
    /// Receives the next message, for the scenario to settle.
    async fn receive_unsettled(&self, destination: &str) -> Received<Self::Message>;
    /// Settles a message, in one of the ways that there are.
    async fn settle(&self, received: &Received<Self::Message>);

    /// Name of the span of settling.
    fn settle_name(&self, destination: &str) -> String;
    /// The whole span of settling; parent and links are for the scenario to say.
    fn settle_span(&self, destination: &str, received: &Received<Self::Message>) -> ExpectedSpan;
}

/// A span of a message that was delivered so many times; the first is not worth an attribute.
pub fn delivered_for(attempt: i64, span: ExpectedSpan) -> ExpectedSpan {
    match attempt {
        1 => span,
        _ => span.attribute("otel_messaging.message.delivery_attempt", attempt),
    }
}

/// Telemetry that records here, exceptions as log records.
pub fn logging(recorder: &Recorder) -> Telemetry {
    let logger_provider = recorder.logger_provider().clone();
    recorder.telemetry().logger_provider(logger_provider)
}

/// What is logged of a client's error that ended this span: one record.
pub fn assert_warned(
    recorder: &Recorder,
    operation_type: &str,
    span: &SpanContext,
    exception: Option<(&str, &str)>,
) {
    let is_of_span =
        |log: &SdkLogRecord| log.trace_context().map(|of| of.span_id) == Some(span.span_id());
    let mut logs = recorder.logs();
    logs.retain(is_of_span);
    let Some((exception_type, message)) = exception else {
        assert_eq!(logs, [], "no exception");
        return;
    };
    let event: &'static str = match operation_type {
        "send" => "messaging.send.exception",
        "settle" => "messaging.settle.exception",
        other => unreachable!("no operation of a client: {other}"),
    };
    let [log] = &logs[..] else {
        unreachable!("one record: {logs:?}")
    };
    whole::log(event, Severity::Warn)
        .in_span(span)
        .exception(exception_type.to_owned(), message.to_owned())
        .assert(log);
}

/// Runs a test again, with this in its environment, which is for a process as a whole.
pub fn again_with(test: &str, variable: &str, value: &str) {
    let itself = env::current_exe().expect("the test's own program");
    let output = Command::new(itself)
        .arg(test)
        .env(variable, value)
        .output()
        .expect("it runs");
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && told.contains(" passed") && !told.contains(" 0 passed"),
        "{told}"
    );
}

/// The cargo that runs this test. Of what that has told the test, nothing is passed on: build scripts that look at it
/// would run once more, and all that is built on them.
pub fn cargo() -> Command {
    let mut cargo = Command::new(env!("CARGO"));
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            cargo.env_remove(name);
        }
    }
    cargo
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
