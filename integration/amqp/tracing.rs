//! A delegate in a program that records its `tracing` spans with OpenTelemetry, as most do. The client
//! calls it inside a span of its own, which lasts as long as the connection.
#![expect(clippy::expect_used, reason = "a test panics where it fails")]

use std::future;
use std::pin::Pin;
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use futures::channel::mpsc;
use integration::amqp::{
    Cable, PATIENCE, confirming, connection, consume, known, process_span, publish, queue,
};
use integration::scenario::{RECORDER, again_with_ours};
use lapin::message::Delivery;
use lapin::options::{BasicAckOptions, BasicNackOptions, QueueDeclareOptions};
use lapin::types::{FieldTable, ShortString};
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties};
use opentelemetry::Context;
use opentelemetry::trace::{
    SpanContext, SpanId, SpanKind, TraceContextExt as _, TraceFlags, TraceId, TraceState,
};
use opentelemetry_sdk::trace::SpanData;
use otel_messaging::amqp::{self, Consumer, ConsumerDelegate, DeliveryResult};
use otel_messaging::w3c;
use tracing::{Instrument as _, info_span};

integration::scenarios_of_tracing!(integration::amqp::Rabbit);

#[test]
fn with_our_layer_delegates_and_consumers_are_in_the_same_traces() {
    again_with_ours(&[
        "what_a_delegate_is_given_is_in_the_trace_of_its_message_and_in_no_other",
        "whatever_else_a_delegate_is_told_it_is_told_in_no_trace",
        "a_batch_in_an_instrumented_function_is_a_root",
        "a_span_of_tracing_for_each_message_is_the_parent",
        "an_instrumented_consumer_cuts_no_trace",
    ]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_delegate_is_given_is_in_the_trace_of_its_message_and_in_no_other() {
    let telemetry = RECORDER.telemetry();
    let connection = connection().instrument(info_span!("start")).await;
    let channel = confirming(&connection).await;
    let orders = queue(&channel, "orders").await;
    let consumer = consume(&channel, &orders).await;
    let consumer = Consumer::wrap(&telemetry, known(&connection), consumer);
    let origins = [0xa1, 0xa2, 0xa3, 0xa4].map(origin);
    let [early, late] = [&origins[..2], &origins[2..]];

    // The first are here when the delegate is set, and are given to it on this thread.
    publish_from(early, &channel, &orders).await;
    until_delivered(&channel, &orders).await;
    let (handled, mut orders_handled) = mpsc::unbounded();
    info_span!("set up").in_scope(|| {
        consumer.set_delegate(move |delivery: DeliveryResult| {
            info_span!("look up").in_scope(|| ());
            let handled = handled.clone();
            let handling = async move {
                if let Ok(Some(order)) = delivery {
                    let acked = order.acker.ack(BasicAckOptions::default()).await;
                    assert!(acked.expect("an ack"));
                    let sent = handled.unbounded_send(order.into_inner());
                    sent.expect("the test waits");
                }
            };
            async { handling.instrument(info_span!("store")).await }
        });
    });
    publish_from(late, &channel, &orders).await;

    for _ in &origins {
        let delivery = tokio::time::timeout(PATIENCE, orders_handled.next()).await;
        let delivery = delivery.expect("a delivery in time").expect("a delivery");
        let origin = creation(&delivery);
        let spans = trace_of(&origin, 3).await;
        let names = ["process", "look up", "store"].map(|name| {
            let span = spans.iter().find(|span| span.name.starts_with(name));
            span.expect("one of each")
        });
        let [process, inside @ ..] = names;
        process_span(&delivery)
            .child_of(&origin)
            .link(&origin)
            .assert(process);
        for span in inside {
            assert_eq!(span.span_kind, SpanKind::Internal);
            assert_eq!(span.parent_span_id, process.span_context.span_id());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_else_a_delegate_is_told_it_is_told_in_no_trace() {
    let telemetry = RECORDER.telemetry();
    let cable = Cable::lay().await;
    let url = cable.url();
    let connection = Connection::connect(&url, ConnectionProperties::default());
    let connection = connection.instrument(info_span!("start")).await;
    let connection = connection.expect("a connection over the cable");
    let channel = confirming(&connection).await;
    let orders = queue(&channel, "orders").await;
    let consumer = consume(&channel, &orders).await;
    let consumer = Consumer::wrap(&telemetry, known(&connection), consumer);
    let (told, mut all) = mpsc::unbounded();
    consumer.set_delegate(Diary(told));

    let refused = channel.basic_nack(
        0,
        BasicNackOptions {
            multiple: true,
            requeue: true,
        },
    );
    refused
        .instrument(info_span!("refuse"))
        .await
        .expect("an answer");
    cable.cut().await;

    for expected in ["dropped", "error", "cancelled"] {
        let told = tokio::time::timeout(PATIENCE, all.next()).await;
        let (entry, current) = told.expect("an entry in time").expect("an entry");
        assert_eq!((entry, current), (expected, SpanContext::NONE));
    }
}

/// Writes down what it is told, and what is current then.
struct Diary(mpsc::UnboundedSender<(&'static str, SpanContext)>);

impl Diary {
    fn note(&self, entry: &'static str) {
        let current = Context::map_current(|current| current.span().span_context().clone());
        // The test may have what it waited for.
        let _ = self.0.unbounded_send((entry, current));
    }
}

impl ConsumerDelegate for Diary {
    type Outcome = ();

    fn on_new_delivery(
        &self,
        delivery: DeliveryResult,
    ) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        self.note(match delivery {
            Ok(Some(_)) => "delivery",
            Ok(None) => "cancelled",
            Err(_) => "error",
        });
        Box::pin(future::ready(()))
    }

    fn drop_prefetched_messages(&self) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        self.note("dropped");
        Box::pin(future::ready(()))
    }
}

/// The span of a service that nobody here records.
fn origin(trace: u128) -> SpanContext {
    SpanContext::new(
        TraceId::from(trace),
        SpanId::from(0xb7),
        TraceFlags::SAMPLED,
        true,
        TraceState::NONE,
    )
}

fn creation(delivery: &Delivery) -> SpanContext {
    let context = amqp::extract(&w3c::Propagator::new(), &delivery.properties);
    context.span().span_context().clone()
}

async fn publish_from(origins: &[SpanContext], channel: &Channel, queue: &ShortString) {
    for origin in origins {
        let context = Context::new().with_remote_span_context(origin.clone());
        let mut properties = BasicProperties::default();
        amqp::inject(&w3c::Propagator::new(), &context, &mut properties);
        publish(channel, queue, properties).await;
    }
}

/// Once the queue has nothing left, its deliveries are here: the answer comes behind them.
async fn until_delivered(channel: &Channel, queue: &ShortString) {
    let start = Instant::now();
    loop {
        let options = QueueDeclareOptions::default().passive();
        let asked = channel.queue_declare(queue.clone(), options, FieldTable::default());
        if asked.await.expect("an answer").message_count() == 0 {
            return;
        }
        assert!(start.elapsed() < PATIENCE, "all are delivered in time");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// All spans of a trace, once there are so many.
async fn trace_of(origin: &SpanContext, count: usize) -> Vec<SpanData> {
    let start = Instant::now();
    loop {
        let mut spans = RECORDER.spans();
        spans.retain(|span| span.span_context.trace_id() == origin.trace_id());
        if spans.len() >= count || start.elapsed() > PATIENCE {
            assert_eq!(spans.len(), count, "{spans:?}");
            return spans;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
