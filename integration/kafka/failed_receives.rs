//! Receiving that fails, in each of the ways that there are.
#![expect(clippy::expect_used, reason = "a test panics where it fails")]

use std::time::Duration;

use futures::StreamExt as _;
use integration::kafka::{
    PATIENCE, client_attributes, config, measured, poll_span, topic, topic_of,
};
use integration::metrics::{and, of_type, operation_duration};
use integration::unique;
use integration::whole;
use opentelemetry::KeyValue;
use opentelemetry::trace::SpanKind;
use otel_messaging::kafka;
use otel_messaging::policy::{Policy, Record, Rule};
use otel_messaging::testing::{ExpectedSpan, Recorder};
use rdkafka::config::FromClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext, StreamConsumer};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::{Offset, TopicPartitionList};
use tokio::task::block_in_place;

const LOST: KafkaError = KafkaError::MessageConsumption(RDKafkaErrorCode::AutoOffsetReset);
const ERROR_TYPE: &str = "_AUTO_OFFSET_RESET";
const PARTITION: &str = "messaging.destination.partition.id";

/// A consumer in this group that fails where it finds no offset, and has a span for each wait.
fn failing<C, X>(recorder: &Recorder, group: &str) -> kafka::Consumer<C>
where
    C: FromClientConfig + rdkafka::consumer::Consumer<X> + kafka::ConsumerClient,
    X: ConsumerContext,
{
    let policy = Policy::new().rule(Rule::of("*").receive_spans(true));
    failing_by(policy, recorder, group)
}

/// The same by another policy.
fn failing_by<C, X>(policy: Policy, recorder: &Recorder, group: &str) -> kafka::Consumer<C>
where
    C: FromClientConfig + rdkafka::consumer::Consumer<X> + kafka::ConsumerClient,
    X: ConsumerContext,
{
    let client: C = config()
        .set("group.id", group)
        .set("auto.offset.reset", "error")
        .create()
        .expect("a consumer");
    kafka::Consumer::wrap(&recorder.telemetry().policy(policy), client)
}

/// Partitions at an offset that they do not have.
fn lost(partitions: &[(&str, i32)]) -> TopicPartitionList {
    let mut list = TopicPartitionList::new();
    for (topic, partition) in partitions {
        list.add_partition_offset(topic, *partition, Offset::Offset(1_000))
            .expect("an offset");
    }
    list
}

/// The error that comes in time.
async fn error<T>(received: impl Future<Output = KafkaResult<T>>) -> KafkaError {
    let received = tokio::time::timeout(PATIENCE, received).await;
    let received = received.expect("an error in time").map(drop);
    received.expect_err("there is no such offset")
}

/// The error that comes when it is polled for.
fn polled<T>(mut poll: impl FnMut() -> Option<KafkaResult<T>>) -> KafkaError {
    let received = block_in_place(|| (0..600).find_map(|_| poll()));
    let received = received.expect("an error in time").map(drop);
    received.expect_err("there is no such offset")
}

/// Asserts that nothing else was recorded than this many failures.
fn assert_failed(recorder: &Recorder, span: &ExpectedSpan, duration: Vec<KeyValue>, times: u64) {
    let spans = recorder.spans();
    assert_eq!(spans.len() as u64, times, "{spans:?}");
    for found in &spans {
        span.assert(found);
    }
    let failed = and(of_type(duration, "receive"), "error.type", ERROR_TYPE);
    operation_duration().of(failed, times).assert(recorder);
    assert_eq!(recorder.metrics().len(), 1, "{:?}", recorder.metrics());
}

async fn of_stream_consumer(receive: impl AsyncFnOnce(&kafka::Consumer) -> KafkaError) {
    let recorder = Recorder::new();
    let (orders, group) = (topic("orders").await, unique("group"));
    let consumer: kafka::Consumer = failing(&recorder, &group);
    consumer
        .assign(&lost(&[(&orders, 0)]))
        .expect("an assignment");

    assert_eq!(receive(&consumer).await, LOST);

    let span = poll_span(&orders, &group).error(ERROR_TYPE);
    assert_failed(&recorder, &span, measured("poll", &orders, Some(&group)), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_and_a_blocking_consumer_record_their_errors() {
    of_stream_consumer(async |consumer| error(consumer.recv()).await).await;
    let next = async |consumer: &kafka::Consumer| {
        let mut stream = consumer.stream();
        error(async { stream.next().await.expect("no end") }).await
    };
    of_stream_consumer(next).await;

    for by_iterator in [false, true] {
        let recorder = Recorder::new();
        let (orders, group) = (topic("orders").await, unique("group"));
        let consumer: kafka::Consumer<BaseConsumer> = failing(&recorder, &group);
        consumer
            .assign(&lost(&[(&orders, 0)]))
            .expect("an assignment");

        let error = polled(|| match by_iterator {
            true => consumer.iter().next(),
            false => consumer.poll(Duration::from_millis(50)),
        });

        assert_eq!(error, LOST);
        let span = poll_span(&orders, &group).error(ERROR_TYPE);
        assert_failed(&recorder, &span, measured("poll", &orders, Some(&group)), 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_queue_of_a_partition_names_it_in_its_errors() {
    for way in 0..4 {
        let recorder = Recorder::new();
        let (orders, group) = (topic_of("orders", 2).await, unique("group"));
        let assigned = lost(&[(&orders, 1)]);
        let mut span = poll_span(&orders, &group)
            .attribute(PARTITION, "1")
            .error(ERROR_TYPE);
        let error = if way == 0 {
            let consumer: kafka::Consumer<BaseConsumer> = failing(&recorder, &group);
            let queue = consumer.split_partition_queue(&orders, 1).expect("a queue");
            consumer.assign(&assigned).expect("an assignment");
            polled(|| {
                assert!(
                    consumer.poll(Duration::ZERO).is_none(),
                    "all comes by the queue"
                );
                queue.poll(Duration::from_millis(50))
            })
        } else {
            let consumer: kafka::Consumer = failing(&recorder, &group);
            let queue = consumer.split_partition_queue(&orders, 1).expect("a queue");
            consumer.assign(&assigned).expect("an assignment");
            let failed = async {
                match way {
                    1 => error(queue.recv()).await,
                    2 => {
                        let mut stream = queue.stream();
                        error(async { stream.next().await.expect("no end") }).await
                    }
                    _ => error(queue.batches(100, PATIENCE).recv()).await,
                }
            };
            tokio::select! {
                error = failed => error,
                _ = consumer.recv() => unreachable!("all comes by the queue"),
            }
        };
        if way == 3 {
            span = span.attribute("messaging.batch.message_count", 0);
        }

        assert_eq!(error, LOST, "{way}");
        assert_failed(&recorder, &span, measured("poll", &orders, Some(&group)), 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_error_that_the_application_is_given_is_one_failure() {
    let recorder = Recorder::new();
    let (orders, group) = (topic_of("orders", 3).await, unique("group"));
    let consumer: kafka::Consumer = failing(&recorder, &group);
    let partitions = [0, 1, 2].map(|partition| (&*orders, partition));
    consumer.assign(&lost(&partitions)).expect("an assignment");

    for _ in partitions {
        assert_eq!(error(consumer.recv()).await, LOST);
    }

    let span = poll_span(&orders, &group).error(ERROR_TYPE);
    assert_failed(&recorder, &span, measured("poll", &orders, Some(&group)), 3);
}

/// Where a consumer has asked for several topics, or for a pattern, its errors say of none.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_error_names_the_topic_that_was_asked_for_if_it_is_one() {
    let (orders, payments) = (topic("orders").await, topic("payments").await);
    let pattern = format!("^{orders}.*");
    let rows: [(&[&str], Option<&str>); 3] = [
        (&[&orders], Some(&orders)),
        (&[&pattern], None),
        (&[&orders, &payments], None),
    ];

    for (asked, named) in rows {
        let (recorder, group) = (Recorder::new(), unique("group"));
        let consumer: kafka::Consumer = failing(&recorder, &group);
        // What was asked for before is replaced.
        consumer.subscribe(&[&*payments]).expect("a subscription");
        consumer.subscribe(asked).expect("a subscription");

        assert_eq!(error(consumer.recv()).await, LOST);

        let spans = recorder.spans();
        let first = spans.first().expect("a span");
        match named {
            Some(topic) => poll_span(topic, &group),
            None => client_attributes(whole::span("poll", SpanKind::Client))
                .attribute("messaging.operation.name", "poll")
                .attribute("messaging.operation.type", "receive")
                .attribute("messaging.consumer.group.name", group.clone()),
        }
        .error(ERROR_TYPE)
        .assert(first);
    }
}

/// What was assigned and given back is asked for no more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_error_names_the_topic_that_is_left_of_those_that_were_assigned() {
    let (recorder, group) = (Recorder::new(), unique("group"));
    let (orders, payments) = (topic("orders").await, topic("payments").await);
    let consumer: kafka::Consumer = failing(&recorder, &group);
    let given_back = lost(&[(&payments, 0)]);
    consumer
        .incremental_assign(&given_back)
        .expect("an assignment");
    consumer.incremental_unassign(&given_back).expect("none");
    let left = lost(&[(&orders, 0)]);
    consumer.incremental_assign(&left).expect("an assignment");

    assert_eq!(error(consumer.recv()).await, LOST);

    let spans = recorder.spans();
    poll_span(&orders, &group)
        .error(ERROR_TYPE)
        .assert(spans.last().expect("a span"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_error_is_recorded_no_more_than_the_most_recorded_of_the_topics_that_were_asked_for() {
    for (others, metrics) in [(Record::Off, 0), (Record::PropagateOnly, 1)] {
        let (recorder, group) = (Recorder::new(), unique("group"));
        let policy = Policy::new()
            .rule(Rule::of("*").receive_spans(true))
            .rule(Rule::of("health*").record(Record::Off))
            .rule(Rule::of("probes*").record(others));
        let consumer: kafka::Consumer = failing_by(policy, &recorder, &group);
        let (health, probes) = (topic("health").await, topic("probes").await);
        consumer
            .subscribe(&[&health, &probes])
            .expect("a subscription");

        assert_eq!(error(consumer.recv()).await, LOST);

        assert_eq!(recorder.spans().len(), 0);
        assert_eq!(
            recorder.metrics().len(),
            metrics,
            "{:?}",
            recorder.metrics()
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_end_of_a_partition_is_no_failure() {
    let recorder = Recorder::new();
    let orders = topic("orders").await;
    let policy = Policy::new().rule(Rule::of("*").receive_spans(true));
    let client: StreamConsumer = config()
        .set("enable.partition.eof", "true")
        .create()
        .expect("a consumer");
    let consumer = kafka::Consumer::wrap(&recorder.telemetry().policy(policy), client);
    consumer.subscribe(&[&orders]).expect("a subscription");

    let end = error(consumer.recv()).await;

    assert_eq!(end, KafkaError::PartitionEOF(0));
    assert_eq!(recorder.spans().len(), 0);
    assert_eq!(recorder.metrics(), [""; 0]);
}
