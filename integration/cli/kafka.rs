//! Topics.

use std::time::{SystemTime, UNIX_EPOCH};

use integration::kafka::{PATIENCE, admin, config, raw_headers, topic};
use integration::unique;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::message::OwnedHeaders;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{FutureProducer, FutureRecord, Producer as _};
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use rdkafka::{Offset, TopicPartitionList};
use serde_json::Value;

use crate::command::{command, ended, expected, json, remarks, run, summary};
use crate::faults::{WITH_CONTEXT, faults, traceparent};

pub(crate) fn producer() -> FutureProducer {
    config().create().expect("a producer")
}

fn headers(headers: &[(&str, &[u8])]) -> Option<OwnedHeaders> {
    let raw: Vec<_> = headers
        .iter()
        .map(|(name, value)| (name.as_bytes().to_vec(), Some(value.to_vec())))
        .collect();
    raw_headers(&raw)
}

pub(crate) async fn send(producer: &FutureProducer, topic: &str, of: &[(&str, &[u8])]) {
    send_at(producer, topic, of, None).await;
}

async fn send_at(producer: &FutureProducer, topic: &str, of: &[(&str, &[u8])], time: Option<i64>) {
    let mut record = FutureRecord::<str, _>::to(topic).payload("two books");
    record.headers = headers(of);
    record.timestamp = time;
    producer
        .send(record, PATIENCE)
        .await
        .map_err(|(error, _)| error)
        .expect("it is sent");
}

pub(crate) fn scanned_name(topic: &str) -> String {
    format!("kafka:{topic}")
}

#[tokio::test]
async fn faults_of_headers_are_found_and_named() {
    let topic = topic("faults").await;
    let producer = producer();
    let (messages, mut said) = faults();
    for message in &messages {
        let message: Vec<_> = message
            .iter()
            .map(|(name, value)| (*name, value.as_slice()))
            .collect();
        send(&producer, &topic, &message).await;
    }
    let [first, second] = [1, 2].map(traceparent);
    let [first, second] = [first.as_bytes(), second.as_bytes()];
    // A stale context before the fresh one, with its own list; the same twice; a value that is none.
    let both = [
        ("traceparent", first),
        ("tracestate", b"old=1"),
        ("traceparent", second),
    ];
    send(&producer, &topic, &both).await;
    send(
        &producer,
        &topic,
        &[("traceparent", first), ("traceparent", first)],
    )
    .await;
    send(
        &producer,
        &topic,
        &[("traceparent", first), ("baggage", b"tenant=\xff")],
    )
    .await;
    let record = FutureRecord::<str, _>::to(&topic).payload("two books");
    let null = raw_headers(&[(b"traceparent".to_vec(), None)]).expect("a header");
    let sent = producer.send(record.headers(null), PATIENCE).await;
    sent.map_err(|(error, _)| error).expect("it is sent");
    let ahead = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("a time after 1970");
    let ahead = i64::try_from(ahead.as_millis()).expect("a time") + 3_600_000;
    send_at(&producer, &topic, &[("traceparent", first)], Some(ahead)).await;
    let large = vec![b'x'; 5_000];
    send(
        &producer,
        &topic,
        &[("traceparent", first), ("note", &large)],
    )
    .await;
    let dead: [(&str, &[u8]); 4] = [
        ("traceparent", first),
        ("kafka_dlt-original-topic", b"orders"),
        (
            "kafka_dlt-exception-fqcn",
            b"java.lang.IllegalStateException",
        ),
        ("kafka_deliveryAttempt", b"\0\0\0\x03"),
    ];
    send(&producer, &topic, &dead).await;

    let name = scanned_name(&topic);
    let arguments = ["scan", "--json", "--max-bytes", "4000", &name];
    let scanned = json(&arguments).await;

    said.extend([
        ("conflicting traceparent", 1),
        ("duplicated traceparent", 1),
        ("malformed baggage", 1),
        ("missing traceparent", 1),
        ("of_another_trace tracestate", 1),
        ("not_utf8 baggage", 1),
        ("not_text traceparent", 1),
        ("clock_skew", 1),
        ("oversized", 1),
        ("dead_letter", 1),
        ("retried", 1),
    ]);
    assert_eq!(remarks(&scanned, &name), expected(&said));
    let summary = summary(&scanned, &name);
    assert_eq!(summary["messages"], messages.len() + 7);
    assert_eq!(summary["with_context"], WITH_CONTEXT + 6);
    // Nothing of what they hold is in it, unless it is asked for.
    let text = scanned.to_string();
    assert!(
        !text.contains("acme") && !text.contains("two books"),
        "{text}"
    );
}

/// A group that has committed this offset of the topic's one partition.
pub(crate) fn committed(topic: &str, offset: i64) -> String {
    let group = unique("group");
    let consumer: BaseConsumer = config()
        .set("group.id", &group)
        .create()
        .expect("a consumer");
    let mut offsets = TopicPartitionList::new();
    offsets
        .add_partition_offset(topic, 0, Offset::Offset(offset))
        .expect("an offset");
    consumer
        .commit(&offsets, CommitMode::Sync)
        .expect("a commit");
    group
}

/// Groups of the cluster, and what this one has committed.
pub(crate) fn groups(group: &str, topic: &str) -> (Vec<String>, Option<Offset>) {
    let groups = admin()
        .inner()
        .fetch_group_list(None, PATIENCE)
        .expect("groups");
    let mut names: Vec<_> = groups
        .groups()
        .iter()
        .map(|group| group.name().to_owned())
        .collect();
    names.retain(|name| name == group || name.starts_with("otel-messaging"));
    names.sort();
    let consumer: BaseConsumer = config()
        .set("group.id", group)
        .create()
        .expect("a consumer");
    let mut asked = TopicPartitionList::new();
    asked.add_partition(topic, 0);
    let found = consumer
        .committed_offsets(asked, PATIENCE)
        .expect("offsets");
    let offset = found.find_partition(topic, 0).map(|found| found.offset());
    (names, offset)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_group_is_joined_or_made_and_no_offset_is_committed() {
    let topic = topic("orders").await;
    let producer = producer();
    for _ in 0..5 {
        send(&producer, &topic, &[]).await;
    }
    let group = committed(&topic, 2);
    let before = groups(&group, &topic);
    assert!(before.0.contains(&group), "{before:?}");
    assert_eq!(before.1, Some(Offset::Offset(2)));

    let name = scanned_name(&topic);
    // Under the name of a group that is there: it is no member of it.
    let as_group = format!("group.id={group}");
    let commits = "enable.auto.commit=true";
    let scanned = json(&["scan", "--json", "-X", &as_group, "-X", commits, &name]).await;
    assert_eq!(summary(&scanned, &name)["messages"], 5);
    json(&["scan", "--json", &name]).await;

    assert_eq!(groups(&group, &topic), before);
}

#[tokio::test]
async fn less_context_than_is_asked_for_fails() {
    let topic = topic("orders").await;
    let producer = producer();
    let name = scanned_name(&topic);
    // Nothing is not enough of anything.
    assert_eq!(
        ended(&["scan", "--fail-under", "1", &name]).await.0,
        Some(1)
    );
    let good = traceparent(1);
    for _ in 0..3 {
        send(&producer, &topic, &[("traceparent", good.as_bytes())]).await;
    }
    send(&producer, &topic, &[]).await;

    assert_eq!(
        ended(&["scan", "--fail-under", "75", &name]).await.0,
        Some(0)
    );
    let (code, out, _) = ended(&["scan", "--fail-under", "75.1", &name]).await;
    assert_eq!(code, Some(1));
    assert!(
        out.contains("75.0 %") && out.contains("missing traceparent"),
        "{out}"
    );
    assert!(!out.contains('\x1b'), "colours are for terminals");
    // Also where another has enough.
    let empty = scanned_name(&integration::kafka::topic("payments").await);
    let both = ["scan", "--fail-under", "75", &name, &empty];
    assert_eq!(ended(&both).await.0, Some(1));
    // Of the last three, two have it.
    let last = json(&["scan", "--json", "--last", "3", &name]).await;
    assert_eq!(summary(&last, &name)["with_context"], 2);
}

#[tokio::test]
async fn tap_prints_a_line_for_each_message() {
    let topic = topic("orders").await;
    let good = traceparent(1);
    let with_baggage: [(&str, &[u8]); 2] = [
        ("traceparent", good.as_bytes()),
        ("baggage", b"tenant=acme"),
    ];
    let producer = producer();
    send(&producer, &topic, &with_baggage).await;
    send(&producer, &topic, &[]).await;
    let name = scanned_name(&topic);
    let tap = |more: &[&str]| {
        let all = ["tap", &name, "--last", "2", "--max", "2"];
        command(&[&all, more].concat())
    };

    let link = ["--link", "http://jaeger/trace/{trace_id}"];
    let output = run(&mut tap(&link)).await;
    let text = String::from_utf8(output.stdout).expect("text");
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 2, "{text}");
    let [id, place] = [&good[3..35], &format!("{name} 0/0")];
    for part in [
        place,
        id,
        "baggage tenant",
        &format!("http://jaeger/trace/{id}"),
    ] {
        assert!(lines[0].contains(part), "no {part} in {text}");
    }
    assert!(!text.contains("acme"), "{text}");
    assert!(lines[1].contains("missing traceparent"), "{text}");

    let output = run(&mut tap(&["--json", "--values"])).await;
    let text = String::from_utf8(output.stdout).expect("text");
    let first: Value = serde_json::from_str(text.lines().next().expect("a line")).expect("JSON");
    assert_eq!(first["trace_id"], id);
    assert_eq!(
        first["baggage"],
        serde_json::json!([{"name": "tenant", "value": "acme"}])
    );
}

#[tokio::test]
async fn a_hundred_thousand_messages_are_scanned() {
    let topic = topic("many").await;
    let mut config: ClientConfig = config();
    let producer: FutureProducer = config.set("linger.ms", "20").create().expect("a producer");
    let good = traceparent(1);
    for _ in 0..100_000 {
        let mut record = FutureRecord::<str, _>::to(&topic).payload("two books");
        record.headers = headers(&[
            ("traceparent", good.as_bytes()),
            ("baggage", b"tenant=acme"),
        ]);
        while let Err((_, back)) = producer.send_result(record) {
            record = back;
            tokio::task::yield_now().await;
        }
    }
    producer.flush(PATIENCE).expect("all are sent");
    let name = scanned_name(&topic);
    let scanned = json(&["scan", "--json", "--all", &name]).await;
    assert_eq!(summary(&scanned, &name)["messages"], 100_000);
}

#[tokio::test]
async fn a_broker_that_does_not_answer_is_no_end_where_another_does() {
    let topic = topic("orders").await;
    let producer = producer();
    for _ in 0..10 {
        send(&producer, &topic, &[]).await;
    }
    let brokers = config()
        .get("bootstrap.servers")
        .expect("addresses")
        .to_owned();
    let brokers = format!("127.0.0.1:1,{brokers}");
    let name = scanned_name(&topic);
    // Which one is asked first is by chance.
    for _ in 0..5 {
        let scanned = json(&["scan", "--json", "--brokers", &brokers, &name]).await;
        assert_eq!(summary(&scanned, &name)["messages"], 10);
    }
}

#[tokio::test]
async fn topics_are_read_to_their_ends_also_where_these_are_no_messages() {
    let topics = [topic("orders").await, topic("payments").await];
    let producer: FutureProducer = config()
        .set("transactional.id", unique("sender"))
        .create()
        .expect("a producer");
    producer.init_transactions(PATIENCE).expect("transactions");
    for topic in &topics {
        producer.begin_transaction().expect("a transaction");
        for _ in 0..10 {
            send(&producer, topic, &[]).await;
        }
        // The last record of the partition says so, and is no message.
        producer.commit_transaction(PATIENCE).expect("a commit");
    }
    let names = topics.each_ref().map(|topic| scanned_name(topic));
    let [orders, payments] = names.each_ref().map(String::as_str);
    let scanned = json(&["scan", "--json", orders, payments]).await;
    for name in [orders, payments] {
        assert_eq!(summary(&scanned, name)["messages"], 10, "{scanned:#}");
    }
    let partition = producer.client().fetch_watermarks(&topics[0], 0, PATIENCE);
    let (_, end) = partition.expect("offsets");
    let place = format!("{}/0/{}", topics[0], end - 1);
    let (code, _, error) = ended(&["trace", &place, orders]).await;
    assert_eq!(code, Some(2));
    assert!(error.contains("there is no message"), "{error}");
}

#[tokio::test]
async fn who_has_no_right_to_any_group_can_read() {
    let cluster = MockCluster::new(1).expect("a mock cluster");
    let topic = unique("orders");
    let made = cluster.create_topic(&topic, 1, 1);
    made.expect("a topic");
    let brokers = cluster.bootstrap_servers();
    let producer: FutureProducer = ClientConfig::new()
        .set("bootstrap.servers", &brokers)
        .create()
        .expect("a producer");
    send(&producer, &topic, &[]).await;
    let denied = RDKafkaRespErr::RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED;
    cluster.request_errors(RDKafkaApiKey::FindCoordinator, &[denied; 1_000]);

    let name = scanned_name(&topic);
    for _ in 0..5 {
        let scanned = json(&["scan", "--json", "--brokers", &brokers, &name]).await;
        assert_eq!(summary(&scanned, &name)["messages"], 1);
    }
    let arguments = ["tap", "--all", "--for", "3s", "--brokers", &brokers, &name];
    let (code, out, error) = ended(&arguments).await;
    assert_eq!(
        (code, out.lines().count(), error.as_str()),
        (Some(0), 1, "")
    );
    let place = format!("{topic}/0/0");
    let (code, _, error) = ended(&["trace", &place, "--brokers", &brokers, &name]).await;
    assert_eq!(code, Some(2));
    assert!(error.contains("has no context"), "{error}");
}
