//! Exchanges, streams and queues.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use integration::amqp::{channel, publish, queue, queue_with};
use integration::unique;
use lapin::options::{
    BasicPublishOptions, ExchangeDeclareOptions, ExchangeDeleteOptions, QueueBindOptions,
    QueueDeclareOptions, QueueDeleteOptions,
};
use lapin::types::{AMQPValue, ByteArray, FieldArray, FieldTable, ShortString};
use lapin::{BasicProperties, Channel, ExchangeKind};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader};

use crate::command::{command, ended, expected, json, remarks, summary};
use crate::faults::{WITH_CONTEXT, faults, traceparent};

pub(crate) fn long(text: &[u8]) -> AMQPValue {
    AMQPValue::LongString(text.into())
}

pub(crate) fn properties(headers: Vec<(&str, AMQPValue)>) -> BasicProperties {
    let mut table = FieldTable::default();
    for (name, value) in headers {
        table.insert(name.into(), value);
    }
    BasicProperties::default().with_headers(table)
}

pub(crate) fn texts(headers: &[(&str, &[u8])]) -> BasicProperties {
    properties(
        headers
            .iter()
            .map(|(name, value)| (*name, long(value)))
            .collect(),
    )
}

/// An exchange that did not exist.
pub(crate) async fn exchange(channel: &Channel) -> String {
    let name = unique("exchange");
    let options = ExchangeDeclareOptions::default();
    let kind = ExchangeKind::Topic;
    let declared =
        channel.exchange_declare(name.as_str().into(), kind, options, FieldTable::default());
    declared.await.expect("an exchange");
    name
}

/// Has a queue get what is published with this key.
pub(crate) async fn bind(channel: &Channel, queue: &ShortString, exchange: &str, key: &str) {
    let (options, none) = (QueueBindOptions::default(), FieldTable::default());
    let bound = channel.queue_bind(queue.clone(), exchange.into(), key.into(), options, none);
    bound.await.expect("a binding");
}

/// How many messages and consumers a queue has.
pub(crate) async fn depth(channel: &Channel, queue: &str) -> (u32, u32) {
    let there = QueueDeclareOptions::default().passive();
    let there = channel
        .queue_declare(queue.into(), there, FieldTable::default())
        .await;
    let there = there.expect("a queue");
    (there.message_count(), there.consumer_count())
}

/// Publishes to an exchange, and says whether anybody had it.
async fn reaches(channel: &Channel, exchange: &str, properties: BasicProperties) -> bool {
    reaches_by(channel, exchange, "orders.new", properties).await
}

/// The same, with this routing key.
pub(crate) async fn reaches_by(
    channel: &Channel,
    exchange: &str,
    key: &str,
    properties: BasicProperties,
) -> bool {
    let options = BasicPublishOptions {
        mandatory: true,
        ..BasicPublishOptions::default()
    };
    let sent = channel.basic_publish(
        exchange.into(),
        key.into(),
        options,
        b"two books",
        properties,
    );
    let confirmation = sent.await.expect("a publish").await.expect("a confirm");
    confirmation.take_message().is_none()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn faults_in_what_is_published_are_found_by_a_queue_of_its_own() {
    let channel = channel().await;
    let exchange = exchange(&channel).await;
    let name = format!("rabbitmq:{exchange}");
    let (messages, mut said) = faults();
    let count = (messages.len() + 6).to_string();
    let mut tap = command(&["tap", "--json", "--max", &count, &name])
        .spawn()
        .expect("it starts");
    // Until it is bound, nobody has it; what it has then is the first one.
    while !reaches(
        &channel,
        &exchange,
        texts(&[("traceparent", traceparent(1).as_bytes())]),
    )
    .await
    {}
    for message in &messages {
        let message: Vec<_> = message
            .iter()
            .map(|(name, value)| (*name, value.as_slice()))
            .collect();
        assert!(reaches(&channel, &exchange, texts(&message)).await);
    }
    let good = traceparent(1);
    let bytes = AMQPValue::ByteArray(ByteArray::from(good.as_bytes()));
    assert!(
        reaches(
            &channel,
            &exchange,
            properties(vec![("traceparent", bytes)])
        )
        .await
    );
    let number = AMQPValue::LongInt(7);
    assert!(
        reaches(
            &channel,
            &exchange,
            properties(vec![("traceparent", number)])
        )
        .await
    );
    // Of two spellings the exact one counts, and the other is a second context.
    let other = traceparent(9);
    let both = [
        ("Traceparent", other.as_bytes()),
        ("traceparent", good.as_bytes()),
    ];
    assert!(reaches(&channel, &exchange, texts(&both)).await);
    let broken = [
        ("traceparent", good.as_bytes()),
        ("baggage", b"tenant=\xff".as_slice()),
    ];
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("a time after 1970");
    let ahead = texts(&broken).with_timestamp(now.as_secs() + 3_600);
    assert!(reaches(&channel, &exchange, ahead).await);
    let mut death = FieldTable::default();
    death.insert("queue".into(), long(b"orders"));
    death.insert("reason".into(), long(b"rejected"));
    death.insert("count".into(), AMQPValue::LongLongInt(3));
    let deaths = FieldArray::from(vec![AMQPValue::FieldTable(death)]);
    let dead = vec![
        ("traceparent", long(good.as_bytes())),
        ("x-death", AMQPValue::FieldArray(deaths)),
    ];
    assert!(reaches(&channel, &exchange, properties(dead)).await);

    let mut lines = BufReader::new(tap.stdout.take().expect("its output")).lines();
    let mut found: BTreeMap<String, u64> = Default::default();
    let mut with_context = 0;
    while let Some(line) = lines.next_line().await.expect("a line") {
        let line: Value = serde_json::from_str(&line).expect("JSON");
        with_context += u64::from(line["trace_id"] != Value::Null);
        for remark in line["remarks"].as_array().expect("remarks") {
            *found
                .entry(remark.as_str().expect("a text").to_owned())
                .or_default() += 1;
        }
    }
    assert!(tap.wait().await.expect("an end").success());
    said.extend([
        ("byte_array traceparent", 1),
        ("clock_skew", 1),
        ("conflicting traceparent", 1),
        ("malformed baggage", 1),
        ("not_utf8 baggage", 1),
        ("other_case traceparent", 1),
        ("not_text traceparent", 1),
        ("dead_letter", 1),
        ("missing traceparent", 1),
        ("retried", 1),
    ]);
    assert_eq!(found.into_iter().collect::<Vec<_>>(), expected(&said));
    // And the first one, the bytes, the two spellings, the broken baggage and the dead letter.
    assert_eq!(with_context, WITH_CONTEXT + 5);
    // Its queue went with it.
    while reaches(&channel, &exchange, texts(&[])).await {}
    let deleted =
        channel.exchange_delete(exchange.as_str().into(), ExchangeDeleteOptions::default());
    deleted.await.expect("the exchange is still there");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_is_read_as_a_stream_and_keeps_what_it_has() {
    let channel = channel().await;
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), long(b"stream"));
    let stream = unique("stream");
    let declared = channel.queue_declare(
        stream.as_str().into(),
        QueueDeclareOptions::durable(),
        arguments,
    );
    declared.await.expect("a stream");
    let name = format!("rabbitmq-stream:{stream}");
    let (messages, _) = faults();
    for message in &messages {
        let message: Vec<_> = message
            .iter()
            .map(|(name, value)| (*name, value.as_slice()))
            .collect();
        publish(&channel, &stream.as_str().into(), texts(&message)).await;
    }

    for _ in 0..2 {
        let scanned = json(&["scan", "--json", &name]).await;
        let summary = summary(&scanned, &name);
        assert_eq!(summary["messages"], messages.len());
        assert_eq!(summary["with_context"], WITH_CONTEXT);
    }
    // It ends where the end was, also if more comes all the time.
    let publishing = async {
        loop {
            publish(&channel, &stream.as_str().into(), texts(&[])).await;
        }
    };
    let arguments = ["scan", "--json", &name];
    let scanned = tokio::select! {
        scanned = json(&arguments) => scanned,
        () = publishing => Value::Null,
    };
    let read = summary(&scanned, &name)["messages"].as_u64();
    assert!(read >= Some(messages.len() as u64), "{scanned:#}");
    assert_eq!(depth(&channel, &stream).await.1, 0);
    let deleted = channel.queue_delete(stream.as_str().into(), QueueDeleteOptions::default());
    deleted.await.expect("an answer");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_is_looked_at_only_where_that_is_allowed_and_stays_as_it_is() {
    let channel = channel().await;
    let queue = queue(&channel, "orders").await;
    let good = traceparent(1);
    publish(&channel, &queue, texts(&[("traceparent", good.as_bytes())])).await;
    publish(&channel, &queue, texts(&[])).await;
    let name = format!("rabbitmq-queue:{queue}");
    let before = depth(&channel, queue.as_str()).await;
    assert_eq!(before, (2, 0));

    let (code, _, error) = ended(&["scan", &name]).await;
    assert_eq!(code, Some(2));
    assert!(error.contains("--peek"), "{error}");
    let scanned = json(&["scan", "--json", "--peek", &name]).await;
    assert_eq!(
        remarks(&scanned, &name),
        expected(&[("missing traceparent", 1)])
    );
    assert_eq!(summary(&scanned, &name)["messages"], 2);
    // What was put back is marked, as the help says.
    let scanned = json(&["scan", "--json", "--peek", &name]).await;
    let redelivered = [("missing traceparent", 1), ("redelivered", 2)];
    assert_eq!(remarks(&scanned, &name), expected(&redelivered));

    assert_eq!(depth(&channel, queue.as_str()).await, before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_queue_does_not_have_is_told() {
    let missing = unique("missing");
    for destination in ["rabbitmq", "rabbitmq-stream"] {
        let (code, out, error) = ended(&["scan", &format!("{destination}:{missing}")]).await;
        assert_eq!((code, out.as_str()), (Some(2), ""));
        assert!(
            error.contains("NOT_FOUND") && error.contains(&missing),
            "{error}"
        );
    }
    // A dead letter with all that RabbitMQ says of it.
    let channel = channel().await;
    let letters = queue(&channel, "letters").await;
    let mut arguments = FieldTable::default();
    arguments.insert("x-dead-letter-exchange".into(), long(b""));
    arguments.insert(
        "x-dead-letter-routing-key".into(),
        long(letters.as_str().as_bytes()),
    );
    arguments.insert("x-message-ttl".into(), AMQPValue::LongInt(1));
    let orders = queue_with(&channel, "orders", arguments).await;
    publish(
        &channel,
        &orders,
        texts(&[("traceparent", traceparent(1).as_bytes())]),
    )
    .await;
    while depth(&channel, letters.as_str()).await.0 == 0 {}
    let name = format!("rabbitmq-queue:{letters}");
    let scanned = json(&["scan", "--json", "--peek", &name]).await;
    assert_eq!(remarks(&scanned, &name), expected(&[("dead_letter", 1)]));
}
