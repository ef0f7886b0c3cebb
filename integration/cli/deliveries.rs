//! What RabbitMQ delivers several times, late, or of another time than was asked for.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use integration::amqp::{Cable, channel, publish, queue};
use integration::unique;
use lapin::options::{
    BasicGetOptions, BasicNackOptions, BasicPublishOptions, QueueDeclareOptions, QueueDeleteOptions,
};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{BasicProperties, Channel};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};

use crate::amqp::{bind, depth, exchange, long, reaches_by, texts};
use crate::command::{command, ended, expected, json, remarks, summary, until};
use crate::faults::traceparent;

/// A stream that did not exist.
async fn stream(channel: &Channel) -> ShortString {
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), long(b"stream"));
    let stream: ShortString = unique("stream").into();
    let options = QueueDeclareOptions::durable();
    let declared = channel.queue_declare(stream.clone(), options, arguments);
    declared.await.expect("a stream");
    stream
}

async fn delete(channel: &Channel, queue: ShortString) {
    let deleted = channel.queue_delete(queue, QueueDeleteOptions::default());
    deleted.await.expect("an answer");
}

fn with_context(number: u8) -> BasicProperties {
    texts(&[("traceparent", traceparent(number).as_bytes())])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_of_a_slow_broker_is_not_taken_for_empty() {
    let channel = channel().await;
    let stream = stream(&channel).await;
    for number in 1..=5 {
        publish(&channel, &stream, with_context(number)).await;
    }
    // The broker counts what a stream has every few seconds.
    until(async || depth(&channel, stream.as_str()).await.0 == 5).await;
    // Longer than a silence at which all has come.
    let cable = Cable::slow(Duration::from_secs(4)).await;
    let name = format!("rabbitmq-stream:{stream}");
    let scanned = json(&["scan", "--json", "--amqp-url", &cable.url(), &name]).await;

    assert_eq!(summary(&scanned, &name)["with_context"], 5, "{scanned:#}");
    delete(&channel, stream).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_stream_nothing_is_read_that_is_older_than_was_asked_for() {
    let channel = channel().await;
    let stream = stream(&channel).await;
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.expect("a time after 1970").as_secs();
    // All of them are written now, so that the broker takes them for new ones. What their writers say need not rise.
    for ago in [7_200, 0, 0, 0, 3_600] {
        let properties = with_context(1).with_timestamp(now - ago);
        publish(&channel, &stream, properties).await;
    }
    let name = format!("rabbitmq-stream:{stream}");
    let scanned = json(&["scan", "--json", "--since", "30m", &name]).await;
    assert_eq!(summary(&scanned, &name)["messages"], 3, "{scanned:#}");
    let last = json(&["scan", "--json", "--last", "2", &name]).await;
    assert_eq!(summary(&last, &name)["messages"], 2, "{last:#}");
    let none = json(&["scan", "--json", "--last", "0", &name]).await;
    assert_eq!(summary(&none, &name)["messages"], 0, "{none:#}");
    delete(&channel, stream).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_is_deleted_meanwhile_is_no_end() {
    let channel = channel().await;
    let stream = stream(&channel).await;
    publish(&channel, &stream, with_context(1)).await;
    let name = format!("rabbitmq-stream:{stream}");
    let mut tap = command(&["tap", "--json", "--all", &name])
        .spawn()
        .expect("it starts");
    let mut lines = BufReader::new(tap.stdout.take().expect("its output")).lines();
    let line = lines.next_line().await.expect("a line");
    assert!(line.is_some(), "it has read the message");
    delete(&channel, stream).await;

    assert_eq!(lines.next_line().await.expect("an end"), None);
    let output = tap.wait_with_output().await.expect("an end");
    let error = String::from_utf8(output.stderr).expect("text");
    assert_eq!(output.status.code(), Some(2), "{error}");
    let said = format!("{name}: the broker sends no more of it");
    assert!(error.contains(&said), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_in_two_queues_is_one_message_and_a_copy_of_its_headers_is_not() {
    let channel = channel().await;
    let exchange = exchange(&channel).await;
    let queues = [
        queue(&channel, "orders").await,
        queue(&channel, "audit").await,
    ];
    for queue in &queues {
        bind(&channel, queue, &exchange, "#").await;
    }
    assert!(reaches_by(&channel, &exchange, "orders.new", with_context(31)).await);
    assert!(reaches_by(&channel, &exchange, "orders.new", with_context(32)).await);
    let names = queues
        .each_ref()
        .map(|queue| format!("rabbitmq-queue:{queue}"));
    let [orders, audit] = names.each_ref().map(String::as_str);
    let scanned = json(&["scan", "--json", "--peek", orders, audit]).await;
    assert_eq!(remarks(&scanned, orders), []);
    assert_eq!(remarks(&scanned, audit), []);

    let copies = queue(&channel, "copies").await;
    let forwarded = channel.basic_publish(
        "".into(),
        copies.clone(),
        BasicPublishOptions::default(),
        b"one book",
        with_context(31),
    );
    forwarded
        .await
        .expect("a publish")
        .await
        .expect("a confirm");
    let name = format!("rabbitmq-queue:{copies}");
    let scanned = json(&["scan", "--json", "--peek", orders, &name]).await;
    let clashes = [&name, orders].map(|queue| remarks(&scanned, queue));
    let is_stale = |found: &Vec<(String, u64)>| found.contains(&("stale".to_owned(), 1));
    assert!(clashes.iter().any(is_stale), "{scanned:#}");
    // Neither has a time.
    assert_eq!(scanned["ordered_all"], false);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_routing_keys_of_an_exchange_are_two_destinations() {
    let channel = channel().await;
    let exchange = exchange(&channel).await;
    let names = ["new", "paid"].map(|key| format!("rabbitmq:{exchange}/orders.{key}"));
    let mut tap = command(&["tap", "--json", "--max", "2", &names[0], &names[1]])
        .spawn()
        .expect("it starts");
    for key in ["orders.new", "orders.paid"] {
        until(async || reaches_by(&channel, &exchange, key, with_context(1)).await).await;
    }
    let mut lines = BufReader::new(tap.stdout.take().expect("its output")).lines();
    let mut told = Vec::new();
    while let Some(line) = lines.next_line().await.expect("a line") {
        let line: Value = serde_json::from_str(&line).expect("JSON");
        told.push(line["destination"].as_str().expect("a name").to_owned());
    }
    told.sort();
    assert_eq!(told, names);
    assert!(tap.wait().await.expect("an end").success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_without_a_time_are_ordered_where_they_are_heard_and_not_where_they_are_kept() {
    let channel = channel().await;
    let exchange = exchange(&channel).await;
    let names = ["new", "paid"].map(|key| format!("rabbitmq:{exchange}/orders.{key}"));
    let graph = ["graph", "--format", "json", "--for", "110s"];
    let heard = [&graph, ["--max", "2", &names[0], &names[1]].as_slice()].concat();
    let publishing = async {
        for key in ["orders.new", "orders.paid"] {
            until(async || reaches_by(&channel, &exchange, key, with_context(1)).await).await;
        }
    };
    let (heard, ()) = tokio::join!(json(&heard), publishing);
    let edge = json!({"from": names[0], "to": names[1], "connected": 1, "broken": 0});
    assert_eq!(heard["edges"], json!([edge]));

    let streams = [stream(&channel).await, stream(&channel).await];
    for stream in &streams {
        publish(&channel, stream, with_context(1)).await;
        until(async || depth(&channel, stream.as_str()).await.0 == 1).await;
    }
    let names = streams
        .each_ref()
        .map(|stream| format!("rabbitmq-stream:{stream}"));
    let (code, out, error) = ended(&["graph", "--format", "json", &names[0], &names[1]]).await;
    assert_eq!(code, Some(0), "{error}");
    let kept: Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!(kept["edges"], json!([]));
    assert!(error.contains("which came first is not known"), "{error}");
    let trace = &traceparent(1)[3..35];
    let (code, out, error) = ended(&["trace", trace, &names[0], &names[1]]).await;
    assert_eq!(code, Some(0), "{error}");
    assert_eq!(out.matches("  no time  ").count(), 2, "{out}");
    assert!(error.contains("ordered as they were read"), "{error}");
    for stream in streams {
        delete(&channel, stream).await;
    }
    let deleted = channel.exchange_delete(exchange.as_str().into(), Default::default());
    deleted.await.expect("an answer");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_quorum_queue_delivers_again_was_tried_before() {
    let channel = channel().await;
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), long(b"quorum"));
    arguments.insert("x-expires".into(), AMQPValue::LongInt(300_000));
    let queue: ShortString = unique("quorum").into();
    let options = QueueDeclareOptions::durable();
    let declared = channel.queue_declare(queue.clone(), options, arguments);
    declared.await.expect("a queue");
    for number in 1..=2 {
        publish(&channel, &queue, with_context(number)).await;
    }
    let got = channel.basic_get(queue.clone(), BasicGetOptions::default());
    let got = got.await.expect("an answer").expect("a message");
    let back = BasicNackOptions {
        requeue: true,
        multiple: false,
    };
    got.delivery.acker.nack(back).await.expect("it goes back");
    until(async || depth(&channel, queue.as_str()).await.0 == 2).await;

    let name = format!("rabbitmq-queue:{queue}");
    let scanned = json(&["scan", "--json", "--peek", &name]).await;
    let said = [("redelivered", 1), ("retried", 1)];
    assert_eq!(remarks(&scanned, &name), expected(&said));
    assert_eq!(summary(&scanned, &name)["messages"], 2);
    delete(&channel, queue).await;
}
