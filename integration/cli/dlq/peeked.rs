//! What becomes of queues that are read, and who has what is sent again.

use integration::amqp::{channel, publish, queue, queue_with};
use integration::unique;
use lapin::options::{
    BasicGetOptions, BasicRejectOptions, ExchangeDeleteOptions, QueueDeleteOptions,
};
use lapin::types::{FieldTable, ShortString};
use serde_json::json;

use super::dlq;
use super::rabbitmq::{dying, get, order, until_there};
use crate::amqp::{bind, depth, exchange, long, reaches_by};
use crate::command::{ended, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_more_messages_are_peeked_at_than_are_wanted() {
    let channel = channel().await;
    let empty = queue(&channel, "empty").await;
    let letters = [
        queue(&channel, "letters").await,
        queue(&channel, "letters").await,
    ];
    for number in 1..=5 {
        for queue in &letters {
            publish(&channel, queue, order(number)).await;
        }
    }
    let names = [&empty, &letters[0], &letters[1]].map(|queue| format!("rabbitmq-queue:{queue}"));
    let [empty, one, other] = names.each_ref().map(String::as_str);
    let all = ["--peek", "--unmarked", "--max", "3", empty, one, other];
    let (code, found, summary) = dlq(&all).await;
    assert_eq!(
        (code, found.len(), &summary["dead"]),
        (Some(0), 3, &json!(3))
    );

    let mut redelivered = 0;
    for queue in &letters {
        until_there(&channel, queue, 5).await;
        for _ in 0..5 {
            let got = channel.basic_get(queue.clone(), BasicGetOptions::default());
            let got = got.await.expect("an answer").expect("a message");
            redelivered += u64::from(got.redelivered);
        }
    }
    assert_eq!(redelivered, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_queues_it_is_said_that_they_were_put_back() {
    let channel = channel().await;
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), long(b"stream"));
    let stream: ShortString = unique("letters").into();
    let durable = lapin::options::QueueDeclareOptions::durable();
    let declared = channel.queue_declare(stream.clone(), durable, arguments);
    declared.await.expect("a stream");
    let letters = queue(&channel, "letters").await;
    for one in [&stream, &letters] {
        publish(&channel, one, order(1)).await;
        until_there(&channel, one, 1).await;
    }
    let retry = queue(&channel, "retry").await;
    let to = format!("rabbitmq-queue:{retry}");
    let (stream_name, queue_name) = (
        format!("rabbitmq-stream:{stream}"),
        format!("rabbitmq-queue:{letters}"),
    );

    for (sources, sent, kept) in [
        (vec![&*stream_name], 1, "all are still where they were"),
        (vec![&*queue_name], 1, "all were put back into their queues"),
        (
            vec![&*queue_name, &*stream_name],
            2,
            "those of queues were put back, all others are still where they were",
        ),
    ] {
        until_there(&channel, &letters, 1).await;
        let arguments = ["dlq", "--peek", "--unmarked", "--redrive", &to, "--write"];
        let (code, out, error) = ended(&[&arguments, sources.as_slice()].concat()).await;
        assert_eq!(code, Some(0), "{error}");
        let expected = format!("{sent} were sent to {to}; {kept}");
        assert_eq!(out.lines().last(), Some(&*expected));
    }
    let deleted = channel.queue_delete(stream, QueueDeleteOptions::default());
    deleted.await.expect("an answer");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_exchange_brings_it_to_all_again_and_the_queue_that_it_died_in_to_that_one_alone() {
    let channel = channel().await;
    let exchange = exchange(&channel).await;
    let letters = queue(&channel, "letters").await;
    let orders = dying(&channel, &letters, vec![]).await;
    let audit = queue_with(&channel, "audit", FieldTable::default()).await;
    for queue in [&orders, &audit] {
        bind(&channel, queue, &exchange, "#").await;
    }
    assert!(reaches_by(&channel, &exchange, "orders.new", order(1)).await);
    let rejected = get(&channel, &orders).await;
    let rejected = rejected.reject(BasicRejectOptions { requeue: false }).await;
    assert!(rejected.expect("an answer"));
    let from = format!("rabbitmq-queue:{letters}");

    for (to, expected) in [
        (format!("rabbitmq:{exchange}"), [1, 2]),
        (format!("rabbitmq-queue:{orders}"), [2, 2]),
    ] {
        until_there(&channel, &letters, 1).await;
        let (code, found, _) = dlq(&["--peek", "--redrive", &to, "--write", &from]).await;
        assert_eq!((code, found.len()), (Some(0), 1));
        until(async || {
            let depths = [
                depth(&channel, orders.as_str()).await.0,
                depth(&channel, audit.as_str()).await.0,
            ];
            depths == expected
        })
        .await;
    }
    let deleted =
        channel.exchange_delete(exchange.as_str().into(), ExchangeDeleteOptions::default());
    deleted.await.expect("an answer");
}
