//! Tasks on several threads that publish on one channel.
#![expect(clippy::expect_used, reason = "a test panics where it fails")]

use integration::amqp::{
    CONFIRMATION, PATIENCE, bounded, confirming, connection, create_span, known, publish_span,
    queue,
};
use lapin::options::BasicPublishOptions;
use lapin::types::ShortString;
use lapin::{BasicProperties, Confirmation};
use otel_messaging::amqp::{Producer, Publish};
use otel_messaging::testing::{ExpectedSpan, Recorder};
use tokio::task::JoinSet;
use tokio::time::timeout;

/// Of each task: on a bare channel that they share, one in some hundreds is told the confirm of another.
const MESSAGES: usize = 3_000;

async fn one_by_one(producer: Producer, queue: ShortString) -> Vec<lapin::Result<Confirmation>> {
    let mut results = Vec::new();
    for _ in 0..MESSAGES {
        let (queue, options) = (queue.clone(), BasicPublishOptions::default());
        let properties = BasicProperties::default();
        let confirm = producer.basic_publish("".into(), queue, options, b"two books", properties);
        results.push(confirm.await.expect("a publish").await);
    }
    results
}

async fn in_batches(producer: Producer, queue: ShortString) -> Vec<lapin::Result<Confirmation>> {
    let mut results = Vec::new();
    while results.len() < MESSAGES {
        let messages = (0..100).map(|_| Publish::new("", queue.as_str(), b"two books"));
        results.extend(producer.publish_batch(messages).await);
    }
    results
}

/// Two tasks publish to a queue that refuses all, and two to one that takes all: what they are told, and the spans of
/// their messages.
async fn assert_each_is_told_its_own<F>(
    publish: fn(Producer, ShortString) -> F,
    span_of: fn(&str, &str) -> ExpectedSpan,
    verb: &str,
) where
    F: Future<Output = Vec<lapin::Result<Confirmation>>> + Send + 'static,
{
    let recorder = Recorder::new();
    let connection = connection().await;
    let channel = confirming(&connection).await;
    let [full, orders] = [bounded(&channel, 0).await, queue(&channel, "orders").await];
    let producer = Producer::wrap(&recorder.telemetry(), known(&connection), channel);
    let mut tasks = JoinSet::new();
    for queue in [&full, &orders, &full, &orders] {
        let results = publish(producer.clone(), queue.clone());
        let is_taken = *queue == orders;
        tasks.spawn(async move { (is_taken, results.await) });
    }

    let mut told_of_another = 0;
    let ended = timeout(2 * PATIENCE, tasks.join_all()).await;
    for (is_taken, results) in ended.expect("all confirms in time") {
        assert_eq!(results.len(), MESSAGES);
        for result in results {
            let confirmation = result.expect("a confirm");
            told_of_another += usize::from(confirmation.is_ack() != is_taken);
        }
    }

    assert_eq!(told_of_another, 0);
    let refused = span_of("", full.as_str()).attribute(CONFIRMATION, "nack");
    let taken = span_of("", orders.as_str());
    for (expected, queue) in [(refused.error("nack"), full), (taken, orders)] {
        let name = format!("{verb} {queue}");
        let mut spans = recorder.spans();
        spans.retain(|span| span.name == name);
        assert_eq!(spans.len(), 2 * MESSAGES);
        spans.iter().for_each(|span| expected.assert(span));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn messages_that_several_threads_publish_on_one_channel_are_told_their_own_confirms() {
    assert_each_is_told_its_own(one_by_one, publish_span, "publish").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn batches_that_several_threads_publish_on_one_channel_are_told_their_own_confirms() {
    assert_each_is_told_its_own(in_batches, create_span, "create").await;
}
