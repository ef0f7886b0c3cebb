//! Partitions with queues of their own, and iterators.
#![expect(clippy::expect_used, reason = "a test panics where it fails")]

use std::sync::Arc;

use futures::StreamExt as _;
use integration::kafka::{PATIENCE, config, process_span, topic};
use otel_messaging::Received;
use otel_messaging::kafka;
use otel_messaging::testing::Recorder;
use rdkafka::consumer::{BaseConsumer, Consumer as _, DefaultConsumerContext, StreamConsumer};
use rdkafka::message::{BorrowedMessage, Message as _, OwnedMessage};
use rdkafka::{Offset, TopicPartitionList};
use tokio::task::block_in_place;

use crate::wire::{FRESH, STALE, STRAY, named, send_raw, texts};

/// Traces of four messages, neighbours different.
const TRACES: [&str; 4] = [FRESH, STALE, STRAY, FRESH];

/// A topic of one partition with a message of each trace.
async fn traced_orders() -> String {
    let orders = topic("orders").await;
    for traceparent in TRACES {
        send_raw(&orders, &texts(&[("traceparent", traceparent)])).await;
    }
    orders
}

/// Its first partition, from the beginning.
fn beginning(topic: &str) -> TopicPartitionList {
    let mut partition = TopicPartitionList::new();
    partition
        .add_partition_offset(topic, 0, Offset::Offset(0))
        .expect("an offset");
    partition
}

/// Processes a message and gives a copy of it.
async fn processed(received: &Received<BorrowedMessage<'_>>) -> OwnedMessage {
    received.process(async |_| ()).await;
    received.detach().into_inner()
}

/// Asserts one process span for each of the messages, which are those of `TRACES`.
fn assert_processed(recorder: &Recorder, messages: &[OwnedMessage], group: &str) {
    let spans = recorder.spans();
    assert_eq!((spans.len(), messages.len()), (TRACES.len(), TRACES.len()));
    for ((span, message), creation) in spans.iter().zip(messages).zip(TRACES) {
        process_span(message, group)
            .child_of(&named(creation))
            .link(&named(creation))
            .assert(span);
    }
    let offsets = messages.iter().map(|message| message.offset());
    assert_eq!(offsets.collect::<Vec<_>>(), [0, 1, 2, 3]);
}

type Queue = kafka::StreamPartitionQueue<DefaultConsumerContext>;

/// Receives from the queue of a partition, by a consumer that knows nothing yet.
async fn received_by_queue(receive: impl AsyncFnOnce(&Queue) -> Vec<OwnedMessage>) {
    let recorder = Recorder::new();
    let orders = traced_orders().await;
    let config = config();
    let group = config.get("group.id").expect("a group");
    let client: StreamConsumer = config.create().expect("a consumer");
    let consumer = kafka::Consumer::wrap(&recorder.telemetry(), client);
    consumer.assign(&beginning(&orders)).expect("an assignment");
    let queue = consumer.split_partition_queue(&orders, 0).expect("a queue");
    assert!(consumer.split_partition_queue("no\0name", 0).is_none());

    let messages = tokio::select! {
        messages = tokio::time::timeout(PATIENCE, receive(&queue)) => messages,
        _ = consumer.recv() => unreachable!("all comes by the queue"),
    };

    assert_processed(&recorder, &messages.expect("messages in time"), group);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_queue_of_a_partition_gives_each_message_in_its_own_trace() {
    received_by_queue(async |queue| {
        let mut messages = Vec::new();
        for _ in TRACES {
            let received = queue.recv().await.expect("a message");
            messages.push(processed(&received).await);
        }
        messages
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_stream_of_a_partition_gives_each_message_in_its_own_trace() {
    received_by_queue(async |queue| {
        let received = queue.stream().take(TRACES.len());
        let messages = received.then(async |received| {
            let received = received.expect("a message");
            processed(&received).await
        });
        messages.collect().await
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_iterator_gives_each_message_in_its_own_trace() {
    let recorder = Recorder::new();
    let orders = traced_orders().await;
    let config = config();
    let group = config.get("group.id").expect("a group");
    let client: BaseConsumer = config.create().expect("a consumer");
    let consumer = Arc::new(kafka::Consumer::wrap(&recorder.telemetry(), client));
    consumer.assign(&beginning(&orders)).expect("an assignment");

    let receive = || {
        let mut messages = Vec::new();
        for received in consumer.iter().take(2) {
            messages.push(received.expect("a message"));
        }
        for received in &*consumer {
            messages.push(received.expect("a message"));
            if messages.len() == TRACES.len() {
                break;
            }
        }
        messages
    };
    let received = block_in_place(receive);
    let mut messages = Vec::new();
    for received in received {
        messages.push(processed(&received).await);
    }

    assert_processed(&recorder, &messages, group);
}
