//! What a policy changes of that which only Kafka has.
#![expect(clippy::expect_used, reason = "a test panics where it fails")]

use std::fs;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use integration::kafka::{
    PATIENCE, commit_span, config, consumer_in, delivered, measured, next, process_span,
    processing_span, producer, send_span, sending_span, topic,
};
use integration::metrics::{
    and, consumed_messages, of_type, operation_duration, process_duration, sent_messages,
};
use integration::unique;
use opentelemetry::trace::SpanKind;
use opentelemetry::{Array, Context, KeyValue, Value};
use otel_messaging::policy::{Incoming, Policy, Record, Rule};
use otel_messaging::testing::Recorder;
use otel_messaging::{kafka, w3c};
use rdkafka::consumer::{CommitMode, Consumer as _};
use rdkafka::message::{BorrowedHeaders, Headers as _, Message};
use rdkafka::producer::FutureProducer;
use rdkafka::{Offset, TopicPartitionList};

use crate::wire::{FRESH, header, named, order, receipt, send_raw, texts};

const PARTITION: &str = "messaging.destination.partition.id";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn later_rules_win_over_earlier_ones_setting_by_setting() {
    let recorder = Recorder::new();
    let (orders, payments) = (topic("orders").await, topic("payments").await);
    let policy = Policy::new()
        .rule(Rule::of("*").template("anything").message_key(false))
        .rule(Rule::of(&orders).template("exactly"))
        .rule(Rule::of("pay?ents-*").message_key(true))
        .rule(Rule::of("orders").template("another topic"))
        .rule(Rule::of("ORDERS*").template("another case"));
    let producer = producer(&recorder.telemetry().policy(policy));

    let [ordered, paid] =
        [&orders, &payments].map(|topic| producer.send(order(topic, &[]), PATIENCE));
    let (ordered, paid) = (receipt(ordered.await), receipt(paid.await));

    delivered(sending_span(SpanKind::Producer, &orders), &ordered)
        .named("send exactly")
        .attribute("messaging.destination.template", "exactly")
        .assert(&recorder.span("send exactly"));
    send_span(&payments, "order-7", &paid)
        .named("send anything")
        .attribute("messaging.destination.template", "anything")
        .assert(&recorder.span("send anything"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_policy_from_a_file_holds_as_one_from_code_does() {
    let file = std::env::temp_dir().join(unique("policy") + ".toml");
    let text = r#"
        [[rule]]
        destination = "*"
        message_key = false
        partition_on_metrics = true

        [[rule]]
        destination = "orders*"
        record = "full"
        incoming = "link_only"
        "#;
    fs::write(&file, text).expect("a file in the directory for them");
    let policy = Policy::from_file(&file).expect("a policy");
    fs::remove_file(&file).expect("the file just written");
    let everywhere = Rule::of("*").message_key(false).partition_on_metrics(true);
    let of_orders = Rule::of("orders*")
        .record(Record::Full)
        .incoming(Incoming::LinkOnly);
    assert_eq!(policy, Policy::new().rule(everywhere).rule(of_orders));
    let recorder = Recorder::new();
    let (orders, group) = (topic("orders").await, unique("group"));
    send_raw(&orders, &texts(&[("traceparent", FRESH)])).await;
    let consumer = consumer_in(&group, &recorder.telemetry().policy(policy), &orders);

    let received = next(&consumer).await;
    received.process(async |_| ()).await;

    processing_span(&received, &group)
        .link(&named(FRESH))
        .assert(&recorder.span(&format!("process {orders}")));
    let processed = measured("process", &orders, Some(&group));
    process_duration()
        .of(and(processed, PARTITION, "0"), 1)
        .assert(&recorder);
}

#[tokio::test]
async fn a_file_with_an_unknown_field_is_refused_and_the_error_names_file_line_and_field() {
    let file = std::env::temp_dir().join(unique("policy") + ".toml");
    fs::write(&file, "[[rule]]\ndestination = \"*\"\nrecrod = \"off\"\n").expect("a file");
    let error = Policy::from_file(&file).expect_err("an unknown field");
    fs::remove_file(&file).expect("the file just written");

    let text = error.to_string();
    for part in [&*file.to_string_lossy(), "line 3", "recrod"] {
        assert!(text.contains(part), "{part:?} is not in {text:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_over_the_age_limit_is_linked_to_and_not_continued() {
    let recorder = Recorder::new();
    let (orders, group) = (topic("orders").await, unique("group"));
    let client: FutureProducer = config().create().expect("a producer");
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("a clock after 1970");
    let headers = texts(&[("traceparent", FRESH)]);
    for age in [Duration::from_secs(7200), Duration::from_secs(600)] {
        let millis = i64::try_from((now - age).as_millis()).expect("a time of our days");
        let record = order(&orders, &headers).timestamp(millis);
        receipt(client.send(record, PATIENCE).await);
    }
    let policy = Policy::new().rule(Rule::of("orders*").max_age(Duration::from_secs(3600)));
    let consumer = consumer_in(&group, &recorder.telemetry().policy(policy), &orders);

    for is_too_old in [true, false] {
        recorder.clear();
        let received = next(&consumer).await;
        received.process(async |_| ()).await;

        let expected = process_span(&received, &group).link(&named(FRESH));
        let expected = if is_too_old {
            expected
        } else {
            expected.child_of(&named(FRESH))
        };
        expected.assert(&recorder.span(&format!("process {orders}")));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_without_a_span_is_timed_all_the_same_and_one_that_is_off_is_not() {
    let recorder = Recorder::new();
    let group = unique("group");
    let (orders, health) = (topic("orders").await, topic("health").await);
    let policy = Policy::new()
        .rule(Rule::of("orders*").settle_spans(false))
        .rule(Rule::of("health*").record(Record::Off));
    let telemetry = recorder.telemetry().policy(policy);

    for topic in [&orders, &health] {
        let consumer = consumer_in(&group, &telemetry, topic);
        send_raw(topic, &texts(&[("traceparent", FRESH)])).await;
        let received = next(&consumer).await;
        let mut offsets = TopicPartitionList::new();
        offsets
            .add_partition_offset(topic, 0, Offset::Offset(1))
            .expect("an offset");
        consumer
            .commit_message(&received, CommitMode::Sync)
            .and_then(|()| consumer.commit(&offsets, CommitMode::Sync))
            .expect("a commit");
    }

    assert_eq!(recorder.spans().len(), 0);
    let commit = measured("commit", &orders, Some(&group));
    operation_duration()
        .of(of_type(commit, "settle"), 2)
        .assert(&recorder);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_of_several_topics_follows_the_rules_of_any() {
    let recorder = Recorder::new();
    let group = unique("group");
    let (orders, payments) = (topic("orders").await, topic("payments").await);
    let policy = Policy::new()
        .rule(Rule::of("*").record(Record::Off))
        .rule(Rule::of("orders*").record(Record::Full));
    let consumer = consumer_in(&group, &recorder.telemetry().policy(policy), &orders);
    send_raw(&orders, &[]).await;
    let _received = next(&consumer).await;
    let mut offsets = TopicPartitionList::new();
    for topic in [&orders, &payments] {
        offsets
            .add_partition_offset(topic, 0, Offset::Offset(1))
            .expect("an offset");
    }

    consumer
        .commit(&offsets, CommitMode::Sync)
        .expect("a commit");

    assert_eq!(recorder.spans().len(), 0);
    operation_duration().assert(&recorder);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_commit_of_a_message_trusts_and_is_named_as_its_processing() {
    let (orders, group) = (topic("orders").await, unique("group"));
    for _ in 0..3 {
        send_raw(&orders, &texts(&[("traceparent", FRESH)])).await;
    }

    for incoming in [Incoming::LinkOnly, Incoming::Restart, Incoming::Ignore] {
        let recorder = Recorder::new();
        let rule = Rule::of("orders*").incoming(incoming).template("any order");
        let policy = Policy::new().rule(rule);
        let consumer = consumer_in(&group, &recorder.telemetry().policy(policy), &orders);
        let received = next(&consumer).await;
        consumer
            .commit_message(&received, CommitMode::Sync)
            .expect("a commit");

        let expected = commit_span(Some(&orders), &group)
            .named("commit any order")
            .attribute("messaging.destination.template", "any order")
            .attribute(PARTITION, "0")
            .attribute("kafka.offset", received.offset());
        let expected = match incoming {
            Incoming::Ignore => expected,
            _ => expected.link(&named(FRESH)),
        };
        expected.assert(&recorder.span("commit any order"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metrics_tell_the_partition_where_asked_and_spans_the_key_where_not_forbidden() {
    let recorder = Recorder::new();
    let (orders, group) = (topic("orders").await, unique("group"));
    let rule = Rule::of("orders*")
        .partition_on_metrics(true)
        .message_key(false);
    let telemetry = recorder.telemetry().policy(Policy::new().rule(rule));
    let (producer, consumer) = (
        producer(&telemetry),
        consumer_in(&group, &telemetry, &orders),
    );

    let delivery = receipt(producer.send(order(&orders, &[]), PATIENCE).await);
    let received = next(&consumer).await;
    received.process(async |_| ()).await;
    consumer
        .commit_message(&received, CommitMode::Sync)
        .expect("a commit");

    let send = recorder.span(&format!("send {orders}"));
    delivered(sending_span(SpanKind::Producer, &orders), &delivery).assert(&send);
    processing_span(&received, &group)
        .child_of(&send.span_context)
        .link(&send.span_context)
        .assert(&recorder.span(&format!("process {orders}")));
    let of_partition = |attributes: Vec<KeyValue>| and(attributes, PARTITION, "0");
    let sent = of_partition(measured("send", &orders, None));
    let consumed = of_partition(measured("poll", &orders, Some(&group)));
    let processed = of_partition(measured("process", &orders, Some(&group)));
    let committed = of_partition(measured("commit", &orders, Some(&group)));
    sent_messages().of(sent.clone(), 1).assert(&recorder);
    consumed_messages().of(consumed, 1).assert(&recorder);
    process_duration().of(processed, 1).assert(&recorder);
    operation_duration()
        .of(of_type(sent, "send"), 1)
        .of(of_type(committed, "settle"), 1)
        .assert(&recorder);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_captured_headers_each_value_that_is_text_is_told_in_order() {
    let recorder = Recorder::new();
    let (orders, group) = (topic("orders").await, unique("group"));
    let policy = Policy::new().rule(Rule::of("orders*").capture_headers(["*"]));
    let telemetry = recorder.telemetry().policy(policy);
    let (producer, consumer) = (
        producer(&telemetry),
        consumer_in(&group, &telemetry, &orders),
    );
    let headers = [
        header("hop", "first"),
        header("Hop", "second"),
        header("note", b"\xff\xfe"),
        header(b"\xff\xfe", "no name"),
        (b"null".to_vec(), None),
        header("hop", "größe"),
        header("Baggage", "tenant=acme"),
        header("tracestate", "a=b"),
    ];

    let delivery = receipt(producer.send(order(&orders, &headers), PATIENCE).await);
    let received = next(&consumer).await;
    received.process(async |_| ()).await;

    let hops = ["first", "second", "größe"].map(Into::into).to_vec();
    let hops = Value::Array(Array::String(hops));
    let send = recorder.span(&format!("send {orders}"));
    send_span(&orders, "order-7", &delivery)
        .attribute("otel_messaging.header.hop", hops.clone())
        .assert(&send);
    process_span(&received, &group)
        .attribute("otel_messaging.header.hop", hops)
        .child_of(&send.span_context)
        .link(&send.span_context)
        .assert(&recorder.span(&format!("process {orders}")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_wrapper_what_is_not_trusted_is_not_forwarded_either() {
    for incoming in [Incoming::Restart, Incoming::Ignore] {
        let recorder = Recorder::new();
        let orders = topic("orders").await;
        let policy = Policy::new().rule(Rule::of("orders*").incoming(incoming));
        let consumer = consumer_in(
            &unique("group"),
            &recorder.telemetry().policy(policy),
            &orders,
        );
        let headers = [
            header("traceparent", FRESH),
            header("tracestate", "evil=1"),
            header("baggage", "tenant=evil"),
            header("note", "1"),
        ];
        send_raw(&orders, &headers).await;
        let received = next(&consumer).await;

        let propagator = w3c::Propagator::new();
        let forwarded = received
            .process(async |order| {
                let mut headers = order.headers().map(BorrowedHeaders::detach);
                kafka::inject(&propagator, &Context::current(), &mut headers);
                headers.ok_or("no headers")
            })
            .await
            .expect("headers that were sent");

        let process = recorder.span(&format!("process {orders}")).span_context;
        let own = format!("00-{}-{}-01", process.trace_id(), process.span_id());
        let forwarded: Vec<_> = forwarded
            .iter()
            .map(|header| (header.key, header.value))
            .collect();
        let expected: [(&str, Option<&[u8]>); 2] =
            [("note", Some(b"1")), ("traceparent", Some(own.as_bytes()))];
        assert_eq!(forwarded, expected);
    }
}
