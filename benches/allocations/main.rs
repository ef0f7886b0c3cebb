//! How often the crate allocates, exactly. What librdkafka allocates in C is not counted.
//!
//! A number that changes is no failure by itself: a smaller one is to be written down here, a
//! larger one needs a reason.

#![expect(clippy::expect_used, reason = "a test panics where it fails")]

mod nats;
mod table;

use std::time::{Duration, SystemTime};

use benches::by_hand;
use benches::counting::counted;
use benches::messages::with_rules;
use benches::sample::{self, Broker, KEY, PAYLOAD, TOPIC, ready, reported};
use opentelemetry_sdk::trace::SdkTracerProvider;
use otel_messaging::Telemetry;
use otel_messaging::kafka::internal as kafka;
use otel_messaging::policy::Record;
use rdkafka::error::KafkaResult;
use rdkafka::message::{Headers as _, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord};

#[test]
fn writing_a_trace_into_headers_allocates_nothing() {
    let telemetry = Telemetry::new();
    let context = sample::trace();

    for headers in [None, Some(sample::other_headers(2))] {
        let before = headers.as_ref().map_or(0, OwnedHeaders::count);
        let (headers, allocations) = counted(|| kafka::inject(&telemetry, &context, headers));

        assert_eq!(headers.map(|headers| headers.count()), Some(before + 1));
        assert_eq!(allocations, 0);
    }
}

/// The headers that stay are copied, which librdkafka does: the record keeps its own to come back.
#[test]
fn replacing_a_trace_allocates_nothing() {
    let telemetry = Telemetry::new();
    let context = sample::trace();
    let stale = kafka::inject(&telemetry, &sample::trace_and_tracestate(), None);

    let (headers, allocations) = counted(|| kafka::inject(&telemetry, &context, stale));

    assert_eq!(headers.map(|headers| headers.count()), Some(1));
    assert_eq!(allocations, 0);
}

/// The context's own allocation is for the span that it holds.
#[test]
fn reading_a_trace_allocates_the_context_and_nothing_else() {
    let telemetry = Telemetry::new();
    let rows = [
        (by_hand::inject(&sample::trace(), OwnedHeaders::new()), 1),
        (
            by_hand::inject(&sample::trace(), sample::other_headers(10)),
            1,
        ),
        (sample::other_headers(10), 0),
    ];

    for (headers, expected) in rows {
        let (_context, allocations) = counted(|| kafka::extract(&telemetry, headers.as_borrowed()));
        assert_eq!(allocations, expected);
    }
}

#[test]
fn a_received_message_allocates_its_context_once() {
    let broker = Broker::start();
    let headers = by_hand::inject(&sample::trace(), sample::other_headers(2));
    let message = broker.received(&Telemetry::new(), None, headers);

    let (_, first) = counted(|| message.creation_context());
    let (_, again) = counted(|| message.creation_context());

    assert_eq!((first, again), (1, 0));
}

/// An attribute is built for a message that is not sampled only if samplers may decide on it. The
/// others are the difference to a recorded one; the message's key is the one that allocates.
///
/// | allocations | for |
/// |---|---|
/// | 1 | the context that was received |
/// | 1 | the list of links |
/// | 1 | the name of the span |
/// | 1 | the list of attributes |
/// | 1 | the context |
///
/// A recorded span has one more: the box around it.
#[test]
fn processing_an_unsampled_message_builds_only_what_samplers_see() {
    let broker = Broker::start();

    let unsampled = [None, Some(KEY)].map(|key| process(&broker, &sample::unsampled(), key));
    let recorded = [None, Some(KEY)].map(|key| process(&broker, &sample::recording(), key));

    assert_eq!(unsampled, [5, 5]);
    assert_eq!(recorded, [6, 7]);
}

/// As for processing, without the received context, the links and the partition. A recorded span has
/// the partition at its end.
#[test]
fn sending_an_unsampled_record_builds_only_what_samplers_see() {
    let broker = Broker::start();

    let unsampled = [None, Some(KEY)].map(|key| send(&broker, &sample::unsampled(), key));
    let recorded = [None, Some(KEY)].map(|key| send(&broker, &sample::recording(), key));

    assert_eq!(unsampled, [3, 3]);
    assert_eq!(recorded, [4, 5]);
}

/// Without a span, processing still has the context that was received.
#[test]
fn without_a_span_no_attribute_is_built_and_a_record_allocates_nothing() {
    let broker = Broker::start();

    for record in [Record::PropagateOnly, Record::Off] {
        let telemetry = sample::recorded_as(record);
        let process = process_with(&broker, &telemetry, Some(KEY));
        let send = {
            let _current = sample::trace().attach();
            send_with(&broker, &telemetry, Some(KEY))
        };

        assert_eq!((process, send), (1, 0), "{record:?}");
    }
}

#[test]
fn the_policy_of_a_known_destination_and_its_metrics_allocate_nothing() {
    let wrapped = with_rules(10);
    let from = SystemTime::now();
    let to = from + Duration::from_millis(7);

    let look_up = settled(|| counted(|| wrapped.look_up()).1);
    let sent = settled(|| counted(|| wrapped.sent(from, to)).1);
    let processed = settled(|| counted(|| wrapped.processed(from, to)).1);

    assert_eq!((look_up, sent, processed), (0, 0, 0));
}

fn process(broker: &Broker, provider: &SdkTracerProvider, key: Option<&str>) -> u64 {
    let telemetry = Telemetry::new().tracer_provider(provider.clone());
    process_with(broker, &telemetry, key)
}

fn process_with(broker: &Broker, telemetry: &Telemetry, key: Option<&str>) -> u64 {
    let headers = by_hand::inject(&sample::trace(), sample::other_headers(2));
    let message = broker.received(telemetry, key, headers);

    settled(|| counted(|| ready(message.process(async |_| ()))).1)
}

/// What sending allocates beyond what the client does itself.
fn send(broker: &Broker, provider: &SdkTracerProvider, key: Option<&str>) -> u64 {
    let telemetry = Telemetry::new().tracer_provider(provider.clone());
    send_with(broker, &telemetry, key)
}

fn send_with(broker: &Broker, telemetry: &Telemetry, key: Option<&str>) -> u64 {
    let client = broker.producer();
    let wrapped = otel_messaging::kafka::Producer::wrap(telemetry, client.clone());

    let with_us = sent(&client, key, |record| {
        wrapped.send_result(record).map_err(|(error, _)| error)
    });
    let alone = sent(&client, key, |record| {
        client.send_result(record).map_err(|(error, _)| error)
    });
    with_us - alone
}

fn sent<F: Future>(
    client: &FutureProducer,
    key: Option<&str>,
    send: impl Fn(FutureRecord<'_, str, [u8]>) -> KafkaResult<F>,
) -> u64 {
    settled(|| {
        let mut record = FutureRecord::to(TOPIC).payload(&PAYLOAD[..]);
        record.key = key;
        let (delivery, queued) = counted(|| send(record));
        reported(client);
        let (_, ended) = counted(|| ready(delivery.expect("room in the queue")));
        queued + ended
    })
}

/// The last of a few runs: at first a thread's stack of contexts is made, and a client learns the
/// name of its cluster.
fn settled(run: impl Fn() -> u64) -> u64 {
    run();
    run();
    run()
}
