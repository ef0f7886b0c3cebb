//! Deliveries that are received and processed together.
#![expect(clippy::expect_used, reason = "a test panics where it fails")]

use std::time::{Duration, Instant};

use futures::FutureExt as _;
use integration::amqp::{
    Cable, DELIVERY_TAG, PATIENCE, batch_span, client_attributes, confirming, consume,
    delivery_tag, in_common, publish, queue, settle_span,
};
use integration::whole;
use lapin::message::Delivery;
use lapin::options::{BasicAckOptions, BasicQosOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Connection, ConnectionProperties};
use opentelemetry::KeyValue;
use opentelemetry::trace::{SpanKind, Status, TraceContextExt as _};
use opentelemetry_sdk::trace::SpanData;
use otel_messaging::Batch;
use otel_messaging::amqp::{Batches, Consumer};
use otel_messaging::testing::{ExpectedSpan, Recorder};
use tokio::time::timeout;

use crate::shop::Shop;

const ALL: BasicAckOptions = BasicAckOptions { multiple: true };

async fn next(batches: &mut Batches) -> lapin::Result<Batch<Delivery>> {
    let batch = timeout(PATIENCE, batches.recv()).await;
    batch.expect("a batch in time").expect("a batch")
}

/// The span of receiving so many messages of a queue.
fn consume_span(queue: &str, messages: usize) -> ExpectedSpan {
    let count = i64::try_from(messages).expect("a number of messages");
    let span = whole::span(format!("consume {queue}"), SpanKind::Client);
    client_attributes(span)
        .attribute("messaging.operation.name", "consume")
        .attribute("messaging.operation.type", "receive")
        .attribute("messaging.destination.name", queue.to_owned())
        .attribute("messaging.batch.message_count", count)
}

/// Compares a span of several messages, and what only one of them has on its link.
fn assert_linked(expected: ExpectedSpan, batch: &Batch<Delivery>, span: &SpanData) {
    let first = batch.first().expect("a message");
    let expected = in_common(expected, first);
    let expected = batch.iter().fold(expected, |expected, message| {
        expected.link(message.creation_context().span().span_context())
    });
    expected.assert(span);
    let on_links = span.links.iter().map(|link| link.attributes.clone());
    let tags = batch
        .iter()
        .map(|message| vec![KeyValue::new(DELIVERY_TAG, delivery_tag(message))]);
    assert_eq!(on_links.collect::<Vec<_>>(), tags.collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_is_received_processed_and_acknowledged_as_one() {
    let recorder = Recorder::new();
    let shop = Shop::open(&recorder.telemetry()).await;
    // The next batch comes only if all of the one before is acknowledged.
    let few = shop.channel().basic_qos(3, BasicQosOptions::default());
    few.await.expect("an answer");
    let mut batches = shop.consumer().await.batches(3, 2 * PATIENCE);
    for _ in 0..6 {
        shop.publish_order().await;
    }
    let started = Instant::now();

    for _ in 0..2 {
        recorder.clear();
        let batch = next(&mut batches).await.expect("no error");
        batch
            .process(async |orders| assert_eq!(orders.len(), 3))
            .await;
        let last = batch.last().expect("a message");
        assert!(last.ack(ALL).await.expect("an answer"));

        let spans = recorder.spans();
        let [received, processed, acked] = &spans[..] else {
            unreachable!("three spans, whatever the number of messages: {spans:?}");
        };
        assert_linked(consume_span(shop.orders.as_str(), 3), &batch, received);
        assert_linked(batch_span(shop.orders.as_str(), 3), &batch, processed);
        let creation = last.creation_context().span().span_context().clone();
        settle_span("ack", last)
            .child_of(&processed.span_context)
            .link(&creation)
            .assert(acked);
    }

    assert!(started.elapsed() < 2 * PATIENCE, "no time was waited for");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_that_is_not_full_ends_so_much_time_after_its_first_delivery() {
    const WITHIN: Duration = Duration::from_millis(100);
    let recorder = Recorder::new();
    let shop = Shop::open(&recorder.telemetry()).await;
    let mut batches = shop.consumer().await.batches(100, WITHIN);

    let nothing = timeout(2 * WITHIN, batches.recv()).await;
    assert!(nothing.is_err(), "a batch is never empty");
    assert_eq!(recorder.spans().len(), 0);
    let started = Instant::now();
    shop.publish_order().await;
    let batch = next(&mut batches).await.expect("no error");

    assert_eq!(batch.len(), 1);
    assert!(started.elapsed() >= WITHIN);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wait_that_is_given_up_loses_nothing() {
    const ORDERS: usize = 200;
    let recorder = Recorder::new();
    let shop = Shop::open(&recorder.telemetry()).await;
    let mut batches = shop.consumer().await.batches(7, 2 * PATIENCE);

    let publishing = async {
        for number in 0..ORDERS {
            let id = number.to_string();
            let properties = BasicProperties::default().with_message_id(id.into());
            shop.publish(&shop.orders, properties).await;
        }
    };
    let receiving = async {
        let (mut ids, mut given_up) = (Vec::new(), 0);
        while ids.len() < ORDERS - ORDERS % 7 {
            let Ok(batch) = timeout(Duration::from_micros(500), batches.recv()).await else {
                given_up += 1;
                continue;
            };
            let batch = batch.expect("a batch").expect("no error");
            ids.extend(batch.iter().map(|order| {
                let id = order.properties.message_id().as_ref();
                id.expect("an id").to_string()
            }));
        }
        (ids, given_up)
    };
    let both = async { futures::join!(publishing, receiving) };
    let ((), (ids, given_up)) = timeout(PATIENCE, both).await.expect("in time");

    assert!(given_up > 0, "some waits were longer than that");
    let expected = (0..ids.len()).map(|number| number.to_string());
    assert_eq!(ids, expected.collect::<Vec<_>>(), "each once, in order");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_error_ends_the_batch_and_is_the_next_item() {
    let recorder = Recorder::new();
    let cable = Cable::lay().await;
    let connection = Connection::connect(&cable.url(), ConnectionProperties::default())
        .await
        .expect("a connection over the cable");
    let channel = confirming(&connection).await;
    let orders = queue(&channel, "orders").await;
    let consumer = consume(&channel, &orders).await;
    let consumer = Consumer::wrap(&recorder.telemetry(), (&connection, &cable.url()), consumer);
    let mut batches = consumer.batches(100, 2 * PATIENCE);
    for _ in 0..2 {
        publish(&channel, &orders, BasicProperties::default()).await;
    }

    // Once the queue has nothing left, its deliveries are here: the answer came behind them.
    loop {
        let options = QueueDeclareOptions::default().passive();
        let asked = channel.queue_declare(orders.clone(), options, FieldTable::default());
        if asked.await.expect("an answer").message_count() == 0 {
            break;
        }
    }
    assert!(batches.recv().now_or_never().is_none(), "there may be more");
    cable.cut().await;
    let batch = next(&mut batches).await;
    let error = next(&mut batches).await;
    let end = timeout(PATIENCE, batches.recv()).await;

    assert_eq!(batch.expect("what came before").len(), 2);
    let error = error.map(|_| ()).expect_err("the loss");
    assert!(error.is_io_error());
    let spans = recorder.spans().into_iter();
    let spans = spans.map(|span| (span.name.into_owned(), span.links.len(), span.status));
    let name = format!("consume {orders}");
    let failed = (name.clone(), 0, Status::error(error.to_string()));
    assert_eq!(
        spans.collect::<Vec<_>>(),
        [(name, 0, Status::Unset), failed]
    );
    assert!(end.expect("an end in time").is_none());
}
