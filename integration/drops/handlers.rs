//! Handlers of messages that need no broker.

use async_nats::jetstream::consumer::pull::Config;
use futures::FutureExt as _;
use integration::drops::{Api, Counted};
use opentelemetry::Context;
use opentelemetry::trace::{Status, TraceContextExt as _};
use otel_messaging::testing::remote_span;
use otel_messaging::{Batch, Message, Received, amqp, kafka, nats};
use rdkafka::ClientConfig;
use tokio::task::yield_now;

use crate::given_up::{Told, at_every_poll};

/// Messages that are handled by each of four clients, and as many batches.
const ROUNDS: u64 = 2_100;
/// How often a handler waits.
const WAITS: u64 = 5;
/// Messages of a batch.
const TOGETHER: u64 = 3;

const _: () = assert!(
    2 * 4 * ROUNDS * (WAITS + 1) >= 100_000,
    "so many are dropped"
);

async fn handler() {
    for _ in 0..WAITS {
        assert!(Context::current().has_active_span());
        yield_now().await;
    }
}

/// A handler is cancelled where it is dropped, has a span once it was polled, and the message is still there.
fn ended(counted: &Counted, polls: usize, ended: bool) {
    let spans = counted.spans();
    if polls == 0 {
        assert_eq!(spans, []);
        return;
    }
    let [span] = &spans[..] else {
        unreachable!("one span: {spans:?}")
    };
    let mut attributes = span.attributes.iter();
    let error = attributes.find(|one| one.key.as_str() == "error.type");
    if ended {
        assert_eq!((&span.status, error), (&Status::Unset, None));
    } else {
        assert_eq!(span.status, Status::error(""));
        assert_eq!(
            error.map(|one| one.value.to_string()).as_deref(),
            Some("cancelled")
        );
    }
}

async fn single<M: Message>(counted: &Counted, deliver: impl Fn() -> Received<M>) {
    for _ in 0..ROUNDS {
        let message = deliver();
        // That of receiving it.
        counted.assert_unset(1);
        at_every_poll(
            Api("Received<M>::process"),
            |_| message.process(|_| handler()),
            |polls, done| ended(counted, polls, done),
        )
        .await;
    }
    assert_eq!(counted.handlers(), [ROUNDS, ROUNDS * WAITS]);
    assert_eq!(counted.consumed(), ROUNDS);
}

async fn together<M: Message>(counted: &Counted, deliver: impl Fn() -> Batch<M>) {
    for _ in 0..ROUNDS {
        let batch = deliver();
        counted.assert_unset(1);
        at_every_poll(
            Api("Batch<M>::process"),
            |_| batch.process(|_| handler()),
            |polls, done| ended(counted, polls, done),
        )
        .await;
    }
    assert_eq!(counted.handlers(), [ROUNDS, ROUNDS * WAITS]);
    assert_eq!(counted.consumed(), ROUNDS * TOGETHER);
}

#[tokio::test]
async fn a_handler_of_kafka_that_is_dropped_is_cancelled_once() {
    let _told = Told::at_the_end();
    let message = || kafka::TestMessage::of("orders").created_by(&remote_span());
    let [one, many] = [Counted::new(), Counted::new()];
    let config = ClientConfig::new();

    let consumer = kafka::TestConsumer::new(&one.telemetry(), &config);
    single(&one, || consumer.deliver(message())).await;
    let consumer = kafka::TestConsumer::new(&many.telemetry(), &config);
    together(&many, || {
        consumer.deliver_batch((0..TOGETHER).map(|_| message()))
    })
    .await;
}

#[tokio::test]
async fn a_handler_of_rabbitmq_that_is_dropped_is_cancelled_once() {
    let _told = Told::at_the_end();
    let message = || amqp::TestMessage::of("orders").created_by(&remote_span());
    let [one, many] = [Counted::new(), Counted::new()];
    let known = amqp::ConnectionInfo::new;

    let consumer = amqp::TestConsumer::new(&one.telemetry(), known(), "orders");
    single(&one, || consumer.deliver(message())).await;
    let consumer = amqp::TestConsumer::new(&many.telemetry(), known(), "orders");
    together(&many, || {
        consumer.deliver_batch((0..TOGETHER).map(|_| message()))
    })
    .await;
}

#[tokio::test]
async fn a_handler_of_nats_that_is_dropped_is_cancelled_once() {
    let _told = Told::at_the_end();
    let message = || nats::TestMessage::of("orders").created_by(&remote_span());
    let [one, many] = [Counted::new(), Counted::new()];

    let consumer = nats::TestConsumer::new(&one.telemetry(), "orders").await;
    single(&one, || consumer.deliver(message())).await;
    let consumer = nats::TestConsumer::new(&many.telemetry(), "orders").await;
    together(&many, || {
        consumer.deliver_batch((0..TOGETHER).map(|_| message()))
    })
    .await;
}

#[tokio::test]
async fn a_handler_of_jetstream_that_is_dropped_is_cancelled_once() {
    let _told = Told::at_the_end();
    let message = || nats::jetstream::TestMessage::of("orders").created_by(&remote_span());
    let [one, many] = [Counted::new(), Counted::new()];
    let config = Config::default;

    let consumer = nats::jetstream::TestConsumer::new(&one.telemetry(), "ORDERS", config()).await;
    single(&one, || consumer.deliver(message())).await;
    let consumer = nats::jetstream::TestConsumer::new(&many.telemetry(), "ORDERS", config()).await;
    together(&many, || {
        consumer.deliver_batch((0..TOGETHER).map(|_| message()))
    })
    .await;
}

/// What lapin's stand-in acknowledges is acknowledged by the first poll, and by no other.
#[tokio::test]
async fn a_delivery_is_settled_by_the_first_poll_and_not_before() {
    let _told = Told::at_the_end().never_waits(
        "Received<M>::ack",
        "lapin's stand-in has no connection that it could wait for",
    );
    use lapin::options::BasicAckOptions;
    let counted = Counted::new();
    let consumer =
        amqp::TestConsumer::new(&counted.telemetry(), amqp::ConnectionInfo::new(), "orders");
    let message = || amqp::TestMessage::of("orders").created_by(&remote_span());

    for _ in 0..ROUNDS {
        let order = consumer.deliver(message());
        counted.assert_unset(1);
        drop(order.ack(BasicAckOptions::default()));
        counted.assert_unset(0);
        let settled = at_every_poll(
            Api("Received<M>::ack"),
            |_| order.ack(BasicAckOptions::default()),
            |polls, _| counted.assert_unset(polls.min(1)),
        );
        assert!(settled.await.expect("an ack"), "nothing settled it before");
        let again = order.ack(BasicAckOptions::default()).now_or_never();
        assert!(!again.expect("at once").expect("an ack"));
        counted.spans();
    }
    // Receiving has one too.
    assert_eq!(counted.operations(), ROUNDS * 3);
}
