//! Connections that break, and those that come back.
#![expect(clippy::expect_used, reason = "a test panics where it fails")]

use futures::StreamExt as _;
use futures::channel::mpsc;
use integration::amqp::{
    CLIENT_ID, Cable, PATIENCE, channel, confirming, consume, process_span, publish, publish_span,
    queue, settle_span, url,
};
use integration::delivered_for;
use lapin::options::{BasicAckOptions, BasicPublishOptions};
use lapin::types::ShortString;
use lapin::{BasicProperties, Channel, Confirmation, Connection, ConnectionProperties, ErrorKind};
use opentelemetry::trace::TraceContextExt as _;
use otel_messaging::amqp::{self, ConnectionInfo, Consumer, Producer};
use otel_messaging::testing::Recorder;
use otel_messaging::w3c;

use crate::headers::{TRACEPARENT, context};

/// A channel over a cable, and what our wrappers are told of its connection.
async fn over(cable: &Cable, properties: ConnectionProperties) -> (Channel, ConnectionInfo) {
    let connection = Connection::connect(&cable.url(), properties)
        .await
        .expect("a connection over the cable");
    let known = ConnectionInfo::of(&connection)
        .uri(&url())
        .client_id(CLIENT_ID);
    (confirming(&connection).await, known)
}

fn recovering() -> ConnectionProperties {
    ConnectionProperties::default().enable_auto_recover()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consumer_goes_on_after_its_connection_was_lost() {
    let recorder = Recorder::new();
    let cable = Cable::lay().await;
    let (consuming, known) = over(&cable, recovering()).await;
    let publishing = channel().await;
    let orders = queue(&publishing, "orders").await;
    let consumer = consume(&consuming, &orders).await;
    let mut consumer = Consumer::wrap(&recorder.telemetry(), &known, consumer);
    let trace = context(&[("traceparent", TRACEPARENT)]);
    let creation = trace.span().span_context().clone();

    // As users write it, in a task of its own.
    let (processed, mut orders_processed) = mpsc::unbounded();
    let task = tokio::spawn(async move {
        while let Some(delivery) = consumer.next().await {
            let order = match delivery {
                Ok(order) => order,
                Err(error) => {
                    consuming.wait_for_recovery(error).await?;
                    continue;
                }
            };
            order
                .process(async |_| tokio::task::yield_now().await)
                .await;
            processed.unbounded_send(order).expect("the test waits");
        }
        lapin::Result::Ok(())
    });
    let mut next = async || {
        let next = tokio::time::timeout(PATIENCE, orders_processed.next()).await;
        next.expect("a delivery in time").expect("a delivery")
    };
    let mut properties = BasicProperties::default();
    amqp::inject(&w3c::Propagator::new(), &trace, &mut properties);
    publish(&publishing, &orders, properties).await;
    let lost = next().await;
    cable.cut().await;
    let again = next().await;
    let late = lost.ack(BasicAckOptions::default()).await;
    let acked = again.ack(BasicAckOptions::default()).await;
    task.abort();

    assert!(again.redelivered, "what was not acknowledged comes again");
    assert!(!late.expect("an answer"), "its connection is gone");
    assert!(acked.expect("an answer"));
    let spans = recorder.spans();
    let [first, second, late, acked] = &spans[..] else {
        unreachable!("two spans of processing and two of settling: {spans:?}");
    };
    for (attempt, order, span) in [(1, &lost, first), (2, &again, second)] {
        delivered_for(attempt, process_span(order))
            .child_of(&creation)
            .link(&creation)
            .assert(span);
    }
    settle_span("ack", &lost)
        .attribute("otel_messaging.rabbitmq.settled", false)
        .child_of(&first.span_context)
        .link(&creation)
        .assert(late);
    settle_span("ack", &again)
        .child_of(&second.span_context)
        .link(&creation)
        .assert(acked);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_publisher_goes_on_after_its_connection_was_lost() {
    let recorder = Recorder::new();
    let cable = Cable::lay().await;
    let (channel, known) = over(&cable, recovering()).await;
    let orders = queue(&channel, "orders").await;
    let producer = Producer::wrap(&recorder.telemetry(), &known, channel);

    cable.cut().await;
    let error = send(&producer, &orders).await;
    let error = error.expect_err("the connection is gone");
    let error_type = match error.kind() {
        ErrorKind::IOError(_) => "io-error",
        ErrorKind::InvalidChannelState(..) => "invalid-channel-state",
        other => unreachable!("neither written nor refused: {other:?}"),
    };
    let recovered = producer.inner().wait_for_recovery(error);
    let recovered = tokio::time::timeout(PATIENCE, recovered).await;
    recovered
        .expect("in time")
        .expect("the error is the client's own");
    let sent = send(&producer, &orders).await.expect("a confirm");

    assert_eq!(sent, Confirmation::Ack(None));
    let spans = recorder.spans();
    let [failed, delivered] = &spans[..] else {
        unreachable!("a span for each attempt: {spans:?}");
    };
    let span = || publish_span("", orders.as_str());
    span().error(error_type).assert(failed);
    span().assert(delivered);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_recovery_the_error_is_an_item_and_the_last() {
    let recorder = Recorder::new();
    let cable = Cable::lay().await;
    let (channel, known) = over(&cable, ConnectionProperties::default()).await;
    let orders = queue(&channel, "orders").await;
    let consumer = consume(&channel, &orders).await;
    let mut consumer = Consumer::wrap(&recorder.telemetry(), &known, consumer);

    cable.cut().await;
    let mut items = Vec::new();
    while let Some(item) = tokio::time::timeout(PATIENCE, consumer.next())
        .await
        .expect("an end in time")
    {
        items.push(item.map(|_| ()));
    }

    let [Err(error)] = &items[..] else {
        unreachable!("one error: {items:?}");
    };
    assert!(error.is_io_error(), "{error}");
    let recovered = channel.wait_for_recovery(error.clone()).await;
    assert!(recovered.is_err(), "there is none");
    assert_eq!(recorder.spans().len(), 0);
}

async fn send(producer: &Producer, queue: &ShortString) -> lapin::Result<Confirmation> {
    let published = producer.basic_publish(
        "".into(),
        queue.clone(),
        BasicPublishOptions::default(),
        b"two books",
        BasicProperties::default(),
    );
    tokio::time::timeout(PATIENCE, async { published.await?.await })
        .await
        .expect("an answer in time")
}
