//! Queues of dead letters.

use integration::amqp::{
    confirming, connection, consume, known, publish, queue, queue_with, those_there,
};
use integration::unique;
use lapin::message::Delivery;
use lapin::options::{
    BasicAckOptions, BasicGetOptions, BasicNackOptions, BasicRejectOptions, ExchangeDeleteOptions,
};
use lapin::types::{AMQPValue, ByteArray, FieldTable, ShortString};
use lapin::{BasicProperties, Channel};
use otel_messaging::amqp::Consumer;
use otel_messaging::testing::Recorder;
use serde_json::{Value, json};

use super::{assert_goes_on, dlq, origin, parts, redriven};
use crate::amqp::{bind, depth, exchange, long, properties};
use crate::command::{ended, until};
use crate::faults::traceparent;

/// A queue whose dead messages go to this one.
pub(super) async fn dying(
    channel: &Channel,
    letters: &ShortString,
    more: Vec<(&str, AMQPValue)>,
) -> ShortString {
    let mut arguments = FieldTable::default();
    arguments.insert("x-dead-letter-exchange".into(), long(b""));
    arguments.insert(
        "x-dead-letter-routing-key".into(),
        long(letters.as_str().as_bytes()),
    );
    for (name, value) in more {
        arguments.insert(name.into(), value);
    }
    queue_with(channel, "orders", arguments).await
}

pub(super) fn order(number: u8) -> BasicProperties {
    let bytes = AMQPValue::ByteArray(ByteArray::from(b"\xff\xfe".as_slice()));
    properties(vec![
        ("traceparent", long(traceparent(number).as_bytes())),
        ("bytes", bytes),
        ("nothing", AMQPValue::Void),
        ("number", AMQPValue::LongLongInt(-7)),
    ])
    .with_message_id(unique("order").into())
}

pub(super) async fn get(channel: &Channel, queue: &ShortString) -> Delivery {
    let mut delivery = None;
    until(async || {
        let got = channel.basic_get(queue.clone(), BasicGetOptions::default());
        delivery = got.await.expect("an answer").map(|got| got.delivery);
        delivery.is_some()
    })
    .await;
    delivery.expect("a message")
}

pub(super) async fn until_there(channel: &Channel, queue: &ShortString, count: u32) {
    until(async || depth(channel, queue.as_str()).await.0 >= count).await;
}

/// One message for each reason that RabbitMQ has, in this order, and the queues that they died in.
async fn dead_letters(channel: &Channel, letters: &ShortString) -> [ShortString; 4] {
    let rejecting = dying(channel, letters, vec![]).await;
    publish(channel, &rejecting, order(1)).await;
    let delivery = get(channel, &rejecting).await;
    let rejected = delivery.reject(BasicRejectOptions { requeue: false }).await;
    assert!(rejected.expect("an answer"));
    until_there(channel, letters, 1).await;

    let expiring = dying(channel, letters, vec![]).await;
    publish(channel, &expiring, order(2).with_expiration("1".into())).await;
    until_there(channel, letters, 2).await;

    let short = dying(
        channel,
        letters,
        vec![("x-max-length", AMQPValue::LongInt(1))],
    )
    .await;
    publish(channel, &short, order(3)).await;
    publish(channel, &short, order(9)).await;
    until_there(channel, letters, 3).await;

    let quorum = vec![
        ("x-queue-type", long(b"quorum")),
        ("x-delivery-limit", AMQPValue::LongInt(1)),
    ];
    let limited = dying(channel, letters, quorum).await;
    publish(channel, &limited, order(4)).await;
    let back = BasicNackOptions {
        requeue: true,
        ..BasicNackOptions::default()
    };
    for _ in 0..2 {
        let nacked = get(channel, &limited).await.nack(back).await;
        assert!(nacked.expect("an answer"));
    }
    until_there(channel, letters, 4).await;
    [rejecting, expiring, short, limited]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dead_messages_are_named_and_go_back_as_they_were() {
    let connection = connection().await;
    let channel = confirming(&connection).await;
    let letters = queue(&channel, "letters").await;
    let queues = dead_letters(&channel, &letters).await;
    publish(&channel, &letters, order(5)).await;
    let retry = queue(&channel, "retry").await;
    let before = depth(&channel, letters.as_str()).await;
    assert_eq!(before, (5, 0));
    let from = format!("rabbitmq-queue:{letters}");
    let to = format!("rabbitmq-queue:{retry}");

    let (code, found, summary) = dlq(&["--peek", &from]).await;
    assert_eq!(code, Some(0));
    let reasons = [
        ("rejected", Some(1)),
        ("expired", None),
        ("maxlen", None),
        ("delivery_limit", Some(1)),
    ];
    let expected =
        reasons
            .iter()
            .zip(&queues)
            .zip(1..)
            .map(|(((reason, attempts), queue), number)| {
                let (trace, span) = origin(number);
                let queue = queue.as_str();
                json!({
                    "trace_id": trace, "span_id": span, "died_in": queue, "reason": reason,
                    "attempts": attempts,
                    "deaths": [{"queue": queue, "reason": reason, "count": 1}],
                })
            });
    let names = [
        "trace_id", "span_id", "died_in", "reason", "attempts", "deaths",
    ];
    let found: Vec<_> = found.iter().map(|message| parts(message, &names)).collect();
    assert_eq!(found, expected.collect::<Vec<_>>());
    assert_eq!(
        (&summary["dead"], &summary["unmarked"]),
        (&json!(4), &json!(1))
    );

    let (code, found, summary) = dlq(&["--peek", "--redrive", &to, &from]).await;
    assert_eq!(code, Some(0));
    assert_eq!(found[0]["would_be_sent_to"], format!("rabbitmq:/{retry}"));
    assert_eq!(summary["redrive"], redriven(&to, false, 0, 0));
    assert_eq!(depth(&channel, retry.as_str()).await, (0, 0));

    let (code, _, summary) = dlq(&["--peek", "--redrive", &to, "--write", &from]).await;
    assert_eq!(code, Some(0));
    assert_eq!(summary["redrive"], redriven(&to, true, 4, 0));
    assert_eq!(depth(&channel, retry.as_str()).await, (4, 0));
    assert_eq!(depth(&channel, letters.as_str()).await, before);

    let recorder = Recorder::new();
    let consumer = consume(&channel, &retry).await;
    let mut retries = Consumer::wrap(&recorder.telemetry(), known(&connection), consumer);
    for number in 1..=4 {
        let original = get(&channel, &letters).await;
        let next = futures::StreamExt::next(&mut retries).await;
        let delivery = next.expect("a message").expect("a message");
        assert_eq!(delivery.properties, original.properties);
        assert_eq!(delivery.data, original.data);
        recorder.clear();
        delivery.process(async |_| ()).await;
        let acked = delivery.ack(BasicAckOptions::default()).await;
        assert!(acked.expect("an answer"));
        assert_goes_on(&recorder.span(&format!("process {retry}")), number);
    }
    let all = queues.iter().map(ShortString::to_string);
    assert_eq!(those_there(all).await.len(), 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_died_again_where_it_died_first_goes_back_by_its_first_key() {
    let channel = integration::amqp::channel().await;
    let exchange: ShortString = exchange(&channel).await.into();
    let mut arguments = FieldTable::default();
    let dead = long(exchange.as_str().as_bytes());
    arguments.insert("x-dead-letter-exchange".into(), dead);
    arguments.insert("x-dead-letter-routing-key".into(), long(b"retry"));
    let orders = queue_with(&channel, "orders", arguments).await;
    let late = vec![("x-message-ttl", AMQPValue::LongInt(1))];
    let retries = dying(&channel, &orders, late).await;
    let letters = queue(&channel, "letters").await;
    let reject = async || {
        let delivery = get(&channel, &orders).await;
        let rejected = delivery.reject(BasicRejectOptions { requeue: false }).await;
        assert!(rejected.expect("an answer"));
    };
    bind(&channel, &retries, exchange.as_str(), "retry").await;
    publish(&channel, &orders, order(1)).await;
    reject().await;
    until_there(&channel, &orders, 1).await;
    let none = FieldTable::default();
    let unbound = channel.queue_unbind(retries, exchange.clone(), "retry".into(), none);
    unbound.await.expect("an answer");
    bind(&channel, &letters, exchange.as_str(), "retry").await;
    reject().await;
    until_there(&channel, &letters, 1).await;

    let to = format!("rabbitmq:{exchange}");
    let from = format!("rabbitmq-queue:{letters}");
    let (code, found, _) = dlq(&["--peek", "--redrive", &to, &from]).await;
    assert_eq!(code, Some(0));
    assert_eq!(found[0]["would_be_sent_to"], format!("{to}/{orders}"));
    let deleted = channel.exchange_delete(exchange, ExchangeDeleteOptions::default());
    deleted.await.expect("an answer");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_no_queue_takes_is_an_error_and_stays() {
    let channel = integration::amqp::channel().await;
    let letters = queue(&channel, "letters").await;
    let orders = dying(&channel, &letters, vec![]).await;
    publish(&channel, &orders, order(1)).await;
    let rejected = get(&channel, &orders).await;
    let rejected = rejected.reject(BasicRejectOptions { requeue: false }).await;
    assert!(rejected.expect("an answer"));
    until_there(&channel, &letters, 1).await;
    let exchange = exchange(&channel).await;
    let from = format!("rabbitmq-queue:{letters}");
    let to = format!("rabbitmq:{exchange}");

    let arguments = ["dlq", "--peek", "--redrive", &to, "--write", &from];
    let (code, out, error) = ended(&arguments).await;
    assert_eq!(code, Some(2), "{out}");
    // What became of the queue is not known then.
    assert_eq!(out.lines().last(), Some(&*format!("0 were sent to {to}")));
    // By the key that it had when it died.
    let part = format!("{from} #1: {to}/{orders}: no queue takes it: NO_ROUTE");
    assert!(error.contains(&part), "{error}");
    let missing = format!("rabbitmq:{}", unique("missing"));
    let (code, out, error) = ended(&["dlq", "--peek", "--redrive", &missing, &from]).await;
    assert_eq!((code, out.as_str()), (Some(2), ""));
    assert!(error.contains("NOT_FOUND"), "{error}");

    until_there(&channel, &letters, 1).await;
    assert_eq!(depth(&channel, letters.as_str()).await, (1, 0));
    let deleted =
        channel.exchange_delete(exchange.as_str().into(), ExchangeDeleteOptions::default());
    deleted.await.expect("an answer");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_stream_adds_for_its_reader_is_not_sent_on() {
    let channel = integration::amqp::channel().await;
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), long(b"stream"));
    let stream = unique("letters");
    let durable = lapin::options::QueueDeclareOptions::durable();
    let declared = channel.queue_declare(stream.as_str().into(), durable, arguments);
    declared.await.expect("a stream");
    let mut headers = order(1).headers().clone().expect("headers");
    headers.insert("x-original-exchange".into(), long(b"orders"));
    let sent = order(1).with_headers(headers);
    publish(&channel, &stream.as_str().into(), sent.clone()).await;
    let retry = queue(&channel, "retry").await;
    let (from, to) = (
        format!("rabbitmq-stream:{stream}"),
        format!("rabbitmq:/{retry}"),
    );

    let (code, found, summary) = dlq(&["--redrive", &to, "--write", &from]).await;
    assert_eq!(code, Some(0));
    assert_eq!(
        (&found[0]["place"], &found[0]["died_in"]),
        (&json!("0"), &json!("orders"))
    );
    assert_eq!(found[0]["reason"], Value::Null);
    assert_eq!(summary["redrive"], redriven(&to, true, 1, 0));
    assert_eq!(get(&channel, &retry).await.properties, sent);
    let deleted = channel.queue_delete(stream.as_str().into(), Default::default());
    deleted.await.expect("an answer");
}
