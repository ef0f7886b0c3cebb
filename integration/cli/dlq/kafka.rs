//! Topics of dead letters.

use integration::kafka::{PATIENCE, consumer_in, next, raw_headers, topic, topic_of, wire_headers};
use integration::unique;
use otel_messaging::testing::Recorder;
use rdkafka::producer::{FutureProducer, FutureRecord, Producer as _};
use rdkafka::{Message as _, Offset};
use serde_json::{Value, json};

use super::{assert_goes_on, dlq, origin, parts, redriven};
use crate::command::ended;
use crate::faults::traceparent;
use crate::kafka::{committed, groups, producer, scanned_name};

type Header = (Vec<u8>, Option<Vec<u8>>);

fn header(name: &str, value: impl Into<Vec<u8>>) -> Header {
    (name.as_bytes().to_vec(), Some(value.into()))
}

/// As Spring's `DeadLetterPublishingRecoverer` writes it, beside what no text can hold.
fn of_spring(topic: &str) -> Vec<Header> {
    vec![
        header("traceparent", traceparent(1)),
        header("baggage", "tenant=acme"),
        (b"null".to_vec(), None),
        (b"\xff\xfename".to_vec(), Some(b"\xff\xfevalue".to_vec())),
        header("note", "twice"),
        header("note", "twice"),
        header("kafka_dlt-original-topic", topic),
        header("kafka_dlt-original-partition", 2_i32.to_be_bytes()),
        header("kafka_dlt-original-offset", 42_i64.to_be_bytes()),
        header("kafka_dlt-original-consumer-group", "billing"),
        header(
            "kafka_dlt-exception-fqcn",
            "ListenerExecutionFailedException",
        ),
        header(
            "kafka_dlt-exception-cause-fqcn",
            "java.lang.IllegalStateException",
        ),
        header("kafka_dlt-exception-message", "no money of acme"),
        header("retry_topic-attempts", 4_i32.to_be_bytes()),
    ]
}

fn of_connect() -> Vec<Header> {
    vec![
        header("traceparent", traceparent(2)),
        header("__connect.errors.topic", "invoices"),
        header("__connect.errors.partition", "0"),
        header("__connect.errors.offset", "7"),
        header("__connect.errors.connector.name", "sink"),
        header(
            "__connect.errors.exception.class.name",
            "org.apache.kafka.connect.errors.DataException",
        ),
        header("__connect.errors.exception.message", "no schema of acme"),
    ]
}

async fn send(producer: &FutureProducer, topic: &str, payload: Option<&[u8]>, headers: &[Header]) {
    let mut record = FutureRecord::<str, [u8]>::to(topic).key("7");
    record.payload = payload;
    record.headers = raw_headers(headers);
    let sent = producer.send(record, PATIENCE).await;
    sent.map_err(|(error, _)| error).expect("it is sent");
}

const PARTS: [&str; 10] = [
    "trace_id",
    "span_id",
    "died_in",
    "died_partition",
    "died_offset",
    "given_up_by",
    "reason",
    "cause",
    "attempts",
    "remarks",
];

fn ends(producer: &FutureProducer, topic: &str, partitions: i32) -> Vec<i64> {
    let ends = (0..partitions).map(|partition| {
        let watermarks = producer
            .client()
            .fetch_watermarks(topic, partition, PATIENCE);
        watermarks.expect("offsets").1
    });
    ends.collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dead_records_are_named_and_go_back_as_they_were() {
    let (orders, dead) = (topic_of("orders", 3).await, topic("dead").await);
    let producer = producer();
    let headers = [of_spring(&orders), of_connect()];
    send(&producer, &dead, Some(b"two books"), &headers[0]).await;
    // What deletes a record.
    send(&producer, &dead, None, &headers[1]).await;
    send(
        &producer,
        &dead,
        Some(b"alive"),
        &[header("note", "nothing")],
    )
    .await;
    let group = committed(&dead, 1);
    let before = groups(&group, &dead);
    assert_eq!(before.1, Some(Offset::Offset(1)));
    let [to, from] = [&orders, &dead].map(|topic| scanned_name(topic));

    let (code, found, summary) = dlq(&[&from]).await;
    assert_eq!((code, found.len()), (Some(0), 2), "{found:#?}");
    let [first, second] = [1, 2].map(origin);
    assert_eq!(
        parts(&found[0], &PARTS),
        json!({
            "trace_id": first.0, "span_id": first.1,
            "died_in": orders, "died_partition": 2, "died_offset": 42,
            "given_up_by": "billing",
            "reason": "ListenerExecutionFailedException",
            "cause": "java.lang.IllegalStateException",
            "attempts": 4, "remarks": [],
        })
    );
    assert_eq!(
        parts(&found[1], &PARTS),
        json!({
            "trace_id": second.0, "span_id": second.1,
            "died_in": "invoices", "died_partition": 0, "died_offset": 7,
            "given_up_by": "sink",
            "reason": "org.apache.kafka.connect.errors.DataException",
            "cause": null,
            "attempts": null, "remarks": [],
        })
    );
    assert_eq!(
        summary,
        json!({
            "dead": 2, "unmarked": 1, "redrive": null, "was_interrupted": false, "has_failed": false,
            "kinds": [
                {"reason": "java.lang.IllegalStateException", "died_in": orders, "messages": 1, "first": format!("{from} 0/0")},
                {"reason": "org.apache.kafka.connect.errors.DataException", "died_in": "invoices", "messages": 1, "first": format!("{from} 0/1")},
            ],
        })
    );
    // What an exception says may be of the message.
    let (_, text, _) = ended(&["dlq", &from]).await;
    assert!(
        !text.contains("acme") && text.contains("caused by java.lang.IllegalStateException"),
        "{text}"
    );
    let (_, text, _) = ended(&["dlq", "--values", &from]).await;
    assert!(text.contains("it said no money of acme"), "{text}");

    let (code, found, summary) = dlq(&["--redrive", &to, &from]).await;
    assert_eq!((code, &found[0]["would_be_sent_to"]), (Some(0), &json!(to)));
    assert_eq!(summary["redrive"], redriven(&to, false, 0, 0));
    assert_eq!(ends(&producer, &orders, 3), [0, 0, 0]);

    let (code, found, summary) = dlq(&["--redrive", &to, "--write", &from]).await;
    assert_eq!(code, Some(0));
    assert_eq!(summary["redrive"], redriven(&to, true, 2, 0));
    // Back to the partition that it was in.
    assert_eq!(found[0]["sent_to"], format!("{to} 2/0"));
    // Whoever handles it is in the trace that it comes from.
    let recorder = Recorder::new();
    let consumer = consumer_in(&unique("group"), &recorder.telemetry(), &orders);
    let mut payloads = Vec::new();
    for _ in 0..2 {
        let received = next(&consumer).await;
        payloads.push(received.payload().map(<[u8]>::to_vec));
        let number = if received.payload().is_some() { 1 } else { 2 };
        assert_eq!(
            wire_headers(&received.detach()),
            headers[usize::from(number) - 1]
        );
        assert_eq!(received.key(), Some(b"7".as_slice()));
        recorder.clear();
        received.process(async |_| ()).await;
        assert_goes_on(&recorder.span(&format!("process {orders}")), number);
    }
    payloads.sort();
    assert_eq!(payloads, [None, Some(b"two books".to_vec())]);
    assert_eq!(groups(&group, &dead), before);
    assert_eq!(ends(&producer, &dead, 1), [3]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_says_nothing_of_its_death_is_taken_where_that_is_wanted() {
    let (orders, dead) = (topic("orders").await, topic("dead").await);
    let producer = producer();
    for _ in 0..3 {
        send(&producer, &dead, Some(b"two books"), &[]).await;
    }
    let [to, from] = [&orders, &dead].map(|topic| scanned_name(topic));

    let (_, found, summary) = dlq(&[&from]).await;
    assert_eq!((found.len(), &summary["unmarked"]), (0, &json!(3)));
    let arguments = [
        "--unmarked",
        "--max",
        "2",
        "--redrive",
        &to,
        "--write",
        &from,
    ];
    let (code, found, summary) = dlq(&arguments).await;
    assert_eq!((code, found.len()), (Some(0), 2));
    assert_eq!(summary["redrive"], redriven(&to, true, 2, 0));
    assert_eq!(found[0]["reason"], Value::Null);
    assert_eq!(ends(&producer, &orders, 1), [2]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_dies_again_meanwhile_is_not_sent_twice() {
    const COUNT: usize = 100;
    let orders = topic("orders").await;
    // In this order they are read.
    let (first, second) = (topic("dead.1").await, topic("dead.2").await);
    let producer = producer();
    for _ in 0..COUNT {
        send(&producer, &first, Some(b"two books"), &of_connect()).await;
    }
    send(&producer, &second, Some(b"two books"), &of_connect()).await;

    let again = consumer_in(&unique("group"), &Recorder::new().telemetry(), &orders);
    let dying = async {
        loop {
            next(&again).await;
            send(&producer, &second, Some(b"two books"), &of_connect()).await;
        }
    };
    let [to, one, other] = [&orders, &first, &second].map(|topic| scanned_name(topic));
    let arguments = ["--redrive", &to, "--write", &one, &other];
    let (code, _, summary) = tokio::select! {
        told = dlq(&arguments) => told,
        () = dying => unreachable!("it has no end"),
    };
    assert_eq!(code, Some(0));
    assert_eq!(summary["redrive"], redriven(&to, true, COUNT as u64 + 1, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_sent_until_an_error_is_said() {
    let dead = topic("dead").await;
    let producer = producer();
    send(&producer, &dead, Some(b"two books"), &of_connect()).await;
    let from = scanned_name(&dead);
    let missing = scanned_name(&unique("missing"));
    let (code, out, error) = ended(&["dlq", "--redrive", &missing, "--write", &from]).await;
    assert_eq!((code, out.as_str()), (Some(2), ""));
    assert!(
        error.contains("no topic has this name, and none is made"),
        "{error}"
    );

    // The client itself refuses the second one.
    let large = vec![b'x'; 5_000];
    send(&producer, &dead, Some(&large), &of_connect()).await;
    let to = scanned_name(&topic("orders").await);
    let limit = ["-X", "message.max.bytes=2000"];
    let arguments = ["dlq", "--redrive", &to, "--write", &from];
    let (code, out, error) = ended(&[&arguments, limit.as_slice()].concat()).await;
    assert_eq!(code, Some(2), "{out}{error}");
    let last = out.lines().last().expect("a line");
    assert_eq!(
        last,
        format!("1 were sent to {to}; all are still where they were")
    );
    let part = format!("{from} 0/1: {to}: not confirmed");
    assert!(
        error.contains(&part) && error.contains("1 messages were sent"),
        "{error}"
    );
}
