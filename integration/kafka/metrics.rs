//! What is counted and measured of that which only Kafka has.
#![expect(clippy::expect_used, reason = "a test panics where it fails")]

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use integration::kafka::{
    PATIENCE, config, consumer_in, measured, next, producer, topic, topic_of,
};
use integration::metrics::{and, consumed_messages, of_type, operation_duration, sent_messages};
use integration::unique;
use integration::whole;
use opentelemetry::KeyValue;
use opentelemetry_sdk::trace::Sampler;
use otel_messaging::policy::{Policy, Rule};
use otel_messaging::testing::Recorder;
use rdkafka::consumer::{CommitMode, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::message::Message as _;
use rdkafka::producer::{FutureProducer, NoCustomPartitioner, Producer as _, PurgeConfig};
use rdkafka::{Offset, TopicPartitionList};

use crate::reporting::{Reporting as _, Shop, Threaded, lingering};
use crate::wire::{FRESH, order, queued, receipt, send_raw, texts};

const TIME_IN_QUEUE: &str = "otel_messaging.message.time_in_queue";
const LAG: &str = "otel_messaging.consumer.lag";
const PARTITION: &str = "messaging.destination.partition.id";

/// Messages may wait for hours.
const TIME_IN_QUEUE_BOUNDS: [f64; 15] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0, 300.0, 1800.0, 3600.0,
];

fn failed(attributes: Vec<KeyValue>, error_type: &str) -> Vec<KeyValue> {
    and(attributes, "error.type", error_type)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_that_is_not_delivered_was_sent_with_an_error_and_one_that_is_refused_was_not() {
    for sampler in [Sampler::AlwaysOn, Sampler::AlwaysOff] {
        let recorder = Recorder::with_sampler(sampler);
        let orders = topic("orders").await;
        let producer = producer(&recorder.telemetry());

        let record = || order(&orders, &[]);
        let failure = producer.send(record().partition(99), PATIENCE).await;
        failure.expect_err("no such partition");
        // From now on the client knows by itself.
        let refused = producer.send_result(record().partition(99));
        assert!(refused.is_err(), "no such partition");
        receipt(producer.send(record(), PATIENCE).await);

        let sent = || measured("send", &orders, None);
        let unknown = || failed(sent(), "UNKNOWN_TOPIC_OR_PARTITION");
        sent_messages()
            .of(unknown(), 1)
            .of(sent(), 1)
            .assert(&recorder);
        operation_duration()
            .of(of_type(unknown(), "send"), 2)
            .of(of_type(sent(), "send"), 1)
            .assert(&recorder);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_is_counted_when_its_report_is_there_whoever_takes_it() {
    let recorder = Recorder::new();
    let orders = topic("orders").await;
    let futures = producer(&recorder.telemetry());
    let (shop, (mut reports, _)) = Shop::<NoCustomPartitioner>::new(None);
    let callbacks =
        Threaded::<NoCustomPartitioner>::informed(&recorder.telemetry(), &lingering(), shop);

    // Nobody knows what becomes of this one, but it was sent.
    drop(queued(futures.send_result(order(&orders, &[]))));
    callbacks.queued(crate::reporting::order(&orders, 17, &[]));
    sent_messages()
        .of(measured("send", &orders, None), 1)
        .assert(&recorder);
    callbacks.purge(PurgeConfig::default().queue());
    reports.recv().await.expect("a report");

    let sent = || measured("send", &orders, None);
    let purged = || failed(sent(), "_PURGE_QUEUE");
    sent_messages()
        .of(sent(), 1)
        .of(purged(), 1)
        .assert(&recorder);
    operation_duration()
        .of(of_type(sent(), "send"), 1)
        .of(of_type(purged(), "send"), 1)
        .assert(&recorder);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_is_delivered_again_counts_again_and_a_copy_of_it_does_not() {
    let recorder = Recorder::new();
    let (orders, group) = (topic("orders").await, unique("group"));
    send_raw(&orders, &[]).await;
    let consumer = consumer_in(&group, &recorder.telemetry(), &orders);

    let received = next(&consumer).await;
    let _copies = vec![received.detach(); 2];
    consumer
        .seek(&orders, 0, Offset::Beginning, PATIENCE)
        .expect("another delivery");
    let again = next(&consumer).await;

    assert_eq!(again.offset(), received.offset());
    consumed_messages()
        .of(measured("poll", &orders, Some(&group)), 2)
        .assert(&recorder);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commits_are_timed_by_what_they_name_and_under_their_error() {
    let recorder = Recorder::with_sampler(Sampler::AlwaysOff);
    let group = unique("group");
    let (orders, payments) = (topic_of("orders", 2).await, topic("payments").await);
    let consumer = consumer_in(&group, &recorder.telemetry(), &orders);
    send_raw(&orders, &[]).await;
    let received = next(&consumer).await;
    let list = |offsets: &[(&str, i32)]| {
        let mut list = TopicPartitionList::new();
        for (topic, partition) in offsets {
            list.add_partition_offset(topic, *partition, Offset::Offset(1))
                .expect("an offset");
        }
        list
    };

    let commits: [Result<(), KafkaError>; 4] = [
        consumer.commit_message(&received, CommitMode::Sync),
        consumer.commit(&list(&[(&orders, 0), (&orders, 1)]), CommitMode::Sync),
        consumer.commit(&list(&[(&orders, 0), (&payments, 0)]), CommitMode::Sync),
        consumer.commit(&list(&[(&orders, 99)]), CommitMode::Sync),
    ];

    assert_eq!(
        commits.map(|commit| commit.is_ok()),
        [true, true, true, false]
    );
    let of_orders = || of_type(measured("commit", &orders, Some(&group)), "settle");
    let mut of_several = of_orders();
    of_several.retain(|attribute| attribute.key.as_str() != "messaging.destination.name");
    operation_duration()
        .of(of_orders(), 2)
        .of(of_several, 1)
        .of(failed(of_orders(), "UNKNOWN_TOPIC_OR_PARTITION"), 1)
        .assert(&recorder);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_that_keeps_its_context_and_a_commit_are_timed_as_their_spans() {
    let recorder = Recorder::new();
    let (orders, group) = (topic("orders").await, unique("group"));
    let producer = producer(&recorder.telemetry().keep_existing_context(true));
    let consumer = consumer_in(&group, &recorder.telemetry(), &orders);

    let kept = order(&orders, &texts(&[("traceparent", FRESH)]));
    receipt(producer.send(kept, PATIENCE).await);
    let received = next(&consumer).await;
    consumer
        .commit_message(&received, CommitMode::Sync)
        .expect("a commit");

    let sent = measured("send", &orders, None);
    sent_messages().of(sent.clone(), 1).assert(&recorder);
    let committed = measured("commit", &orders, Some(&group));
    operation_duration()
        .of(of_type(sent, "send"), 1)
        .of(of_type(committed, "settle"), 1)
        .assert(&recorder);
    let seconds = |name| {
        let span = recorder.span(&format!("{name} {orders}"));
        let duration = span.end_time.duration_since(span.start_time);
        duration.expect("an end after the start").as_secs_f64()
    };
    let mut expected = ["commit", "send"].map(seconds);
    expected.sort_by(f64::total_cmp);
    let histograms = recorder.histogram("messaging.client.operation.duration");
    let mut sums: Vec<_> = histograms.iter().map(|histogram| histogram.sum).collect();
    sums.sort_by(f64::total_cmp);
    assert_eq!(sums, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_time_in_queue_is_never_negative_and_clocks_that_are_ahead_are_counted() {
    let recorder = Recorder::new();
    let group = unique("group");
    let (late, early) = (topic("late").await, topic("early").await);
    let unmeasured = topic("unmeasured").await;
    let client: FutureProducer = config().create().expect("a producer");
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.expect("a clock after 1970");
    let ten_minutes = Duration::from_secs(600);
    for (topic, time) in [
        (&late, now - ten_minutes),
        (&early, now + ten_minutes),
        (&unmeasured, now),
    ] {
        let millis = i64::try_from(time.as_millis()).expect("a time of our days");
        let record = order(topic, &[]).timestamp(millis);
        receipt(client.send(record, PATIENCE).await);
    }
    let policy = Policy::new()
        .rule(Rule::of("late*").time_in_queue(true))
        .rule(Rule::of("early*").time_in_queue(true));
    let telemetry = recorder.telemetry().policy(policy);

    for topic in [&late, &early, &unmeasured] {
        next(&consumer_in(&group, &telemetry, topic)).await;
    }

    let polled = |topic| measured("poll", topic, Some(&group));
    whole::histogram(TIME_IN_QUEUE, "s", &TIME_IN_QUEUE_BOUNDS)
        .of(polled(&late), 1)
        .of(polled(&early), 1)
        .assert(&recorder);
    let sums = recorder.histogram(TIME_IN_QUEUE).into_iter();
    let mut sums: Vec<f64> = sums.map(|histogram| histogram.sum).collect();
    sums.sort_by(f64::total_cmp);
    let [of_early, of_late] = sums[..] else {
        unreachable!("two attribute sets")
    };
    assert_eq!(of_early, 0.0);
    let longest = ten_minutes + 3 * PATIENCE;
    assert!(
        (600.0..longest.as_secs_f64()).contains(&of_late),
        "{of_late}"
    );
    whole::counter("otel_messaging.clock.skews", "{message}")
        .of(polled(&early), 1)
        .assert(&recorder);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_lag_is_what_is_behind_the_message_in_its_partition() {
    let recorder = Recorder::new();
    let group = unique("group");
    let (orders, unmeasured) = (topic("orders").await, topic("unmeasured").await);
    for topic in [&orders, &orders, &orders, &unmeasured] {
        send_raw(topic, &[]).await;
    }
    let policy = Policy::new().rule(Rule::of("orders*").lag(true));
    let telemetry = recorder.telemetry().policy(policy);
    let consumer = consumer_in(&group, &telemetry, &orders);
    next(&consumer_in(&group, &telemetry, &unmeasured)).await;

    let mut attributes = and(measured("poll", &orders, Some(&group)), PARTITION, "0");
    attributes.sort_by(|a, b| a.key.cmp(&b.key));
    for behind in [2, 1, 0] {
        next(&consumer).await;
        assert_eq!(recorder.gauge(LAG), [(attributes.clone(), behind)]);
    }
    assert_eq!(recorder.unit(LAG).as_deref(), Some("{message}"));
}
