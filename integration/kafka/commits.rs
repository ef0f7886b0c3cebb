//! Offset commits.
#![expect(clippy::expect_used, reason = "a test panics where it fails")]

use integration::kafka::{
    PATIENCE, commit_span, config, consumer_in, measured, next, process_span, topic, topic_of,
};
use integration::metrics::{of_type, operation_duration};
use integration::{assert_warned, logging, unique};
use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, TraceContextExt as _};
use otel_messaging::kafka;
use otel_messaging::policy::{Policy, Record, Rule};
use otel_messaging::testing::{ExpectedSpan, Recorder};
use rdkafka::consumer::{CommitMode, Consumer as _, StreamConsumer};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::FutureProducer;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use rdkafka::{Offset, TopicPartitionList};

use crate::wire::{FRESH, STALE, named, order, receipt, send_raw, texts, within};

const PARTITION: &str = "messaging.destination.partition.id";

fn offsets(offsets: &[(&str, i32, i64)]) -> TopicPartitionList {
    let mut list = TopicPartitionList::new();
    for (topic, partition, offset) in offsets {
        list.add_partition_offset(topic, *partition, Offset::Offset(*offset))
            .expect("an offset");
    }
    list
}

/// The offset of the group in the first partition of a topic.
fn committed(consumer: &kafka::Consumer, topic: &str) -> Offset {
    let asked = offsets(&[(topic, 0, 0)]);
    let told = consumer.committed_offsets(asked, PATIENCE);
    let told = told.expect("the group's offsets");
    told.find_partition(topic, 0)
        .expect("the partition")
        .offset()
}

fn message_span(message: &impl Message, group: &str, creation: &SpanContext) -> ExpectedSpan {
    commit_span(Some(message.topic()), group)
        .attribute(PARTITION, message.partition().to_string())
        .attribute("kafka.offset", message.offset())
        .link(creation)
}

/// As settling does on the other brokers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_links_to_a_context_that_was_in_the_payload() {
    let recorder = Recorder::new();
    let (orders, group) = (topic("orders").await, unique("group"));
    send_raw(&orders, &texts(&[("note", "1")])).await;
    let consumer = consumer_in(&group, &recorder.telemetry(), &orders);
    let in_the_payload = Context::new().with_remote_span_context(named(STALE));

    let received = next(&consumer).await.fallback_context(in_the_payload);
    let committed = consumer.commit_message(&received, CommitMode::Sync);

    committed.expect("a commit");
    let commit = recorder.span(&format!("commit {orders}"));
    message_span(&*received, &group, &named(STALE)).assert(&commit);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_commit_of_a_message_belongs_to_its_process_span_during_it_and_after_it() {
    let recorder = Recorder::new();
    let (orders, group) = (topic("orders").await, unique("group"));
    for _ in 0..4 {
        send_raw(&orders, &texts(&[("traceparent", FRESH)])).await;
    }
    let consumer = consumer_in(&group, &recorder.telemetry(), &orders);
    let creation = named(FRESH);
    let name = format!("commit {orders}");
    let around = Context::new().with_remote_span_context(named(STALE));

    for (number, is_inside) in (1..).zip([true, false, false]) {
        recorder.clear();
        let received = next(&consumer).await;
        received
            .process(async |order| match is_inside {
                true => consumer.commit_message(order, CommitMode::Sync),
                false => Ok(()),
            })
            .await
            .expect("a commit");
        if !is_inside {
            within(&around, || {
                consumer.commit_message(&received, CommitMode::Sync)
            })
            .expect("a commit");
        }

        assert_eq!(committed(&consumer, &orders), Offset::Offset(number));
        let process = recorder.span(&format!("process {orders}"));
        process_span(&received, &group)
            .child_of(&creation)
            .link(&creation)
            .assert(&process);
        message_span(&received, &group, &creation)
            .child_of(&process.span_context)
            .assert(&recorder.span(&name));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_commit_of_a_message_without_a_process_span_belongs_to_what_is_active() {
    let recorder = Recorder::new();
    let (orders, group) = (topic("orders").await, unique("group"));
    for _ in 0..2 {
        send_raw(&orders, &texts(&[("traceparent", FRESH)])).await;
    }
    let consumer = consumer_in(&group, &recorder.telemetry(), &orders);
    let around = Context::new().with_remote_span_context(named(STALE));

    for mode in [CommitMode::Sync, CommitMode::Async] {
        let received = next(&consumer).await;
        for context in [Context::new(), around.clone()] {
            let received_by_us = || consumer.commit_message(&received, mode);
            let clients_own = || consumer.commit_message::<BorrowedMessage<'_>, _>(&received, mode);
            let by_trait =
                || rdkafka::consumer::Consumer::commit_message(&consumer, &received, mode);
            let ways: [&dyn Fn() -> KafkaResult<()>; 3] =
                [&received_by_us, &clients_own, &by_trait];
            for commit in ways {
                recorder.clear();
                within(&context, commit).expect("a commit");

                let expected = message_span(&received, &group, &named(FRESH));
                let parent = context.span().span_context().clone();
                let expected = match parent.is_valid() {
                    true => expected.child_of(&parent),
                    false => expected,
                };
                expected.assert(&recorder.span(&format!("commit {orders}")));
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_commit_of_offsets_belongs_to_what_is_current_and_names_what_they_share() {
    let recorder = Recorder::new();
    let (orders, payments) = (topic_of("orders", 2).await, topic("payments").await);
    let group = unique("group");
    let consumer = consumer_in(&group, &recorder.telemetry(), &orders);
    send_raw(&orders, &[]).await;
    let _received = next(&consumer).await;
    let upstream = Context::new().with_remote_span_context(named(STALE));
    let of_orders = || commit_span(Some(&orders), &group);
    let state = |mode| consumer.commit_consumer_state(mode);
    let list = |offsets: TopicPartitionList| {
        let consumer = &consumer;
        move |mode| consumer.commit(&offsets, mode)
    };
    let one = list(offsets(&[(&orders, 1, 5)]));
    let two = list(offsets(&[(&orders, 0, 5), (&orders, 1, 6)]));
    let of_two_topics = list(offsets(&[(&orders, 0, 7), (&payments, 0, 1)]));
    let commits: [(&dyn Fn(CommitMode) -> KafkaResult<()>, _); 4] = [
        (&state, commit_span(None, &group)),
        (&one, of_orders().attribute(PARTITION, "1")),
        (&two, of_orders()),
        (&of_two_topics, commit_span(None, &group)),
    ];

    for (commit, expected) in commits {
        for mode in [CommitMode::Sync, CommitMode::Async] {
            recorder.clear();
            within(&upstream, || commit(mode)).expect("a commit");

            let spans = recorder.spans();
            let [span] = &*spans else {
                unreachable!("one span for each commit, not {spans:?}")
            };
            expected.clone().child_of(&named(STALE)).assert(span);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_of_several_topics_is_recorded_no_more_than_the_most_recorded_of_them() {
    let (health, probes) = (topic("health").await, topic("probes").await);
    for (others, metrics) in [(Record::Off, 0), (Record::PropagateOnly, 1)] {
        let recorder = Recorder::new();
        let policy = Policy::new()
            .rule(Rule::of("health*").record(Record::Off))
            .rule(Rule::of("probes*").record(others));
        let telemetry = recorder.telemetry().policy(policy);
        let consumer = consumer_in(&unique("group"), &telemetry, &health);
        send_raw(&health, &[]).await;
        let _joined = next(&consumer).await;
        let upstream = Context::new().with_remote_span_context(named(STALE));

        let list = offsets(&[(&health, 0, 1), (&probes, 0, 1)]);
        within(&upstream, || consumer.commit(&list, CommitMode::Sync)).expect("a commit");

        assert_eq!(committed(&consumer, &health), Offset::Offset(1));
        assert_eq!(recorder.spans().len(), 0);
        assert_eq!(
            recorder.metrics().len(),
            metrics,
            "{:?}",
            recorder.metrics()
        );
    }
}

/// Offsets are nobody's: their commit would be a trace of one span.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_of_offsets_that_belongs_to_nothing_is_measured_and_has_a_span_on_request() {
    for settle_spans in [None, Some(true), Some(false)] {
        let recorder = Recorder::new();
        let orders = topic("orders").await;
        let group = unique("group");
        let rule = Rule::of("*");
        let rule = match settle_spans {
            Some(on) => rule.settle_spans(on),
            None => rule,
        };
        let telemetry = recorder.telemetry().policy(Policy::new().rule(rule));
        let consumer = consumer_in(&group, &telemetry, &orders);
        send_raw(&orders, &[]).await;
        let _received = next(&consumer).await;

        let list = offsets(&[(&orders, 0, 1)]);
        consumer.commit(&list, CommitMode::Sync).expect("a commit");

        if settle_spans == Some(true) {
            let expected = commit_span(Some(&orders), &group).attribute(PARTITION, "0");
            expected.assert(&recorder.span(&format!("commit {orders}")));
        } else {
            assert_eq!(recorder.spans().len(), 0);
        }
        let measured = measured("commit", &orders, Some(&group));
        operation_duration()
            .of(of_type(measured, "settle"), 1)
            .assert(&recorder);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_fails_says_why_and_returns_the_clients_error() {
    let recorder = Recorder::new();
    let (orders, group) = (topic("orders").await, unique("group"));
    let client: StreamConsumer = config()
        .set("group.id", &group)
        .set("enable.auto.offset.store", "false")
        .create()
        .expect("a consumer");
    let consumer = kafka::Consumer::wrap(&logging(&recorder), client);
    consumer.subscribe(&[&orders]).expect("a subscription");
    send_raw(&orders, &texts(&[("traceparent", FRESH)])).await;
    let _received = next(&consumer).await;
    let expected = commit_span(Some(&orders), &group);
    let text = |failed: &KafkaResult<()>| {
        let error = failed.as_ref().expect_err("a failure");
        error.to_string()
    };

    let upstream = Context::new().with_remote_span_context(named(STALE));
    let nothing_stored = within(&upstream, || {
        consumer.commit_consumer_state(CommitMode::Sync)
    });
    assert_eq!(
        nothing_stored,
        Err(KafkaError::ConsumerCommit(RDKafkaErrorCode::NoOffset))
    );
    commit_span(None, &group)
        .child_of(&named(STALE))
        .error("_NO_OFFSET")
        .description(&*text(&nothing_stored))
        .assert(&recorder.span("commit"));
    let span = recorder.span("commit").span_context;
    let exception = ("rdkafka::error::KafkaError", &*text(&nothing_stored));
    assert_warned(&recorder, "settle", &span, Some(exception));

    recorder.clear();
    let no_such_partition = offsets(&[(&orders, 99, 1)]);
    let bare = consumer
        .inner()
        .commit(&no_such_partition, CommitMode::Sync);
    let failed = within(&upstream, || {
        consumer.commit(&no_such_partition, CommitMode::Sync)
    });
    assert_eq!(failed, bare);
    assert_eq!(
        failed,
        Err(KafkaError::ConsumerCommit(
            RDKafkaErrorCode::UnknownTopicOrPartition
        ))
    );
    expected
        .child_of(&named(STALE))
        .attribute(PARTITION, "99")
        .error("UNKNOWN_TOPIC_OR_PARTITION")
        .description(&*text(&failed))
        .assert(&recorder.span(&format!("commit {orders}")));
    let span = recorder.span(&format!("commit {orders}")).span_context;
    let exception = ("rdkafka::error::KafkaError", &*text(&failed));
    assert_warned(&recorder, "settle", &span, Some(exception));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_the_embedded_broker_refuses_has_the_protocols_name_for_it() {
    use RDKafkaRespErr as Code;
    // A cluster of its own: whichever request comes next gets the error.
    let cluster = MockCluster::new(1).expect("an embedded cluster");
    cluster.create_topic("orders", 1, 1).expect("a topic");
    let servers = cluster.bootstrap_servers();
    let (address, port) = servers.rsplit_once(':').expect("an address and a port");
    let recorder = Recorder::new();
    let group = unique("group");
    let client: StreamConsumer = config()
        .set("bootstrap.servers", &servers)
        .set("group.id", &group)
        .create()
        .expect("a consumer");
    let consumer = kafka::Consumer::wrap(&recorder.telemetry(), client);
    consumer.subscribe(&["orders"]).expect("a subscription");
    let producer: FutureProducer = config()
        .set("bootstrap.servers", &servers)
        .create()
        .expect("a producer");
    let record = order("orders", &[]);
    receipt(producer.send(record, PATIENCE).await);
    let _received = next(&consumer).await;
    let list = offsets(&[("orders", 0, 1)]);
    let upstream = Context::new().with_remote_span_context(named(STALE));

    let errors = [
        (
            Code::RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED,
            "GROUP_AUTHORIZATION_FAILED",
        ),
        (
            Code::RD_KAFKA_RESP_ERR_OFFSET_METADATA_TOO_LARGE,
            "OFFSET_METADATA_TOO_LARGE",
        ),
        (
            Code::RD_KAFKA_RESP_ERR_INVALID_COMMIT_OFFSET_SIZE,
            "INVALID_COMMIT_OFFSET_SIZE",
        ),
        (
            Code::RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID,
            "UNKNOWN_MEMBER_ID",
        ),
    ];
    for (code, name) in errors {
        recorder.clear();
        cluster.request_errors(RDKafkaApiKey::OffsetCommit, &[code]);
        let bare = consumer.inner().commit(&list, CommitMode::Sync);
        cluster.request_errors(RDKafkaApiKey::OffsetCommit, &[code]);
        let failed = within(&upstream, || consumer.commit(&list, CommitMode::Sync));

        assert!(failed.is_err(), "{name}");
        assert_eq!(failed, bare);
        commit_span(Some("orders"), &group)
            .child_of(&named(STALE))
            .attribute("server.address", address.to_owned())
            .attribute("server.port", port.parse::<i64>().expect("a port"))
            .attribute(PARTITION, "0")
            .error(name)
            .assert(&recorder.span("commit orders"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_where_telemetry_is_suppressed_is_a_commit_and_no_span() {
    let recorder = Recorder::new();
    let (orders, group) = (topic("orders").await, unique("group"));
    let consumer = consumer_in(&group, &recorder.telemetry(), &orders);
    send_raw(&orders, &texts(&[("traceparent", FRESH)])).await;
    let received = next(&consumer).await;
    let suppressed = Context::new().with_telemetry_suppressed();
    let list = offsets(&[(&orders, 0, 1)]);

    within(&suppressed, || {
        consumer.commit_consumer_state(CommitMode::Sync)?;
        consumer.commit(&list, CommitMode::Sync)?;
        consumer.commit_message(&received, CommitMode::Sync)
    })
    .expect("a commit");

    assert_eq!(committed(&consumer, &orders), Offset::Offset(1));
    assert_eq!(recorder.spans().len(), 0);
}
