//! What a batch commits, beside what its messages would, each in turn.
#![expect(clippy::expect_used, reason = "a test panics where it fails")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use integration::kafka::{PATIENCE, config, topic};
use integration::unique;
use otel_messaging::testing::Recorder;
use otel_messaging::{Batch, kafka};
use rdkafka::Offset;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::message::Message as _;

use crate::numbered::{assigned, in_time, send};
use crate::wire::send_raw;

/// What the group of a consumer has committed of a partition.
fn committed(consumer: &kafka::Consumer, topic: &str) -> Offset {
    let mut asked = rdkafka::TopicPartitionList::new();
    asked.add_partition(topic, 0);
    let told = consumer.committed_offsets(asked, PATIENCE);
    let told = told.expect("the group's offsets");
    told.find_partition(topic, 0).expect("it").offset()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_seek_back_a_batch_commits_what_its_messages_would_each_in_turn() {
    let recorder = Recorder::new();
    let orders = topic("orders").await;
    send(&[(&orders, 0)], 0..6).await;
    let groups = [unique("group"), unique("group")];
    let [together, in_turn] = groups.map(|group| {
        let partition = [(&*orders, 0)];
        assigned(&recorder.telemetry(), &group, &partition)
    });

    let mut taken = Vec::new();
    for number in 0..8 {
        taken.push(in_time(together.recv()).await);
        if number == 5 {
            let back = together.seek(&orders, 0, Offset::Offset(1), PATIENCE);
            back.expect("a seek");
        }
    }
    let numbers: Vec<_> = taken.iter().map(|message| message.offset()).collect();
    assert_eq!(numbers, [0, 1, 2, 3, 4, 5, 1, 2]);
    let batch = Batch::from(taken);
    for message in &batch {
        let commit = in_turn.commit_message(message, CommitMode::Sync);
        commit.expect("a commit");
    }
    let offsets = batch.offsets().expect("offsets");
    together
        .commit(&offsets, CommitMode::Sync)
        .expect("a commit");

    assert_eq!(committed(&together, &orders), Offset::Offset(3));
    assert_eq!(committed(&in_turn, &orders), Offset::Offset(3));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_blocking_consumer_tells_when_its_queue_has_messages_unless_it_is_shared() {
    let recorder = Recorder::new();
    let orders = topic("orders").await;
    let client: BaseConsumer = config().create().expect("a consumer");
    let mut consumer = kafka::Consumer::wrap(&recorder.telemetry(), client);
    let calls = Arc::new(AtomicU32::new(0));
    let counting = || {
        let calls = Arc::clone(&calls);
        move || {
            calls.fetch_add(1, Ordering::Relaxed);
        }
    };

    let other = consumer.clone();
    let refused = consumer.set_nonempty_callback(counting());
    let callback = refused.expect_err("there is another handle");
    drop(other);
    consumer
        .set_nonempty_callback(callback)
        .map_err(|_| "refused")
        .expect("there is no other");
    consumer.subscribe(&[&orders]).expect("a subscription");
    send_raw(&orders, &[]).await;
    let started = Instant::now();
    let received = loop {
        let polled = consumer.poll(std::time::Duration::from_millis(50));
        if let Some(message) = polled {
            break message.expect("a message");
        }
        assert!(started.elapsed() < PATIENCE, "a message in time");
    };

    assert_eq!(received.topic(), orders);
    assert!(calls.load(Ordering::Relaxed) > 0);
}
