//! Calls that must not wait for the client's own threads.
#![expect(clippy::expect_used, reason = "a test panics where it fails")]

use std::sync::{Mutex, PoisonError};

use futures::future::poll_immediate;
use integration::kafka::{PATIENCE, config, next, topic};
use otel_messaging::kafka;
use otel_messaging::testing::Recorder;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{CommitMode, Consumer as _, ConsumerContext, StreamConsumer};
use rdkafka::message::Message as _;
use rdkafka::{Offset, TopicPartitionList};
use tokio::task::yield_now;
use tokio::time::timeout;

use crate::wire::{FRESH, send_raw, texts};

const COMMIT: &str = "OFFSET_COMMIT";
const ASSIGNMENT: &str = "GET_ASSIGNMENT";
/// What an application can ask librdkafka's main thread for, as its log calls it.
const ASKED: [&str; 4] = [COMMIT, "OFFSET_FETCH", ASSIGNMENT, "GET_SUBSCRIPTION"];

/// What the main thread was asked for, by its log.
#[derive(Default)]
struct Asked(Mutex<Vec<&'static str>>);

impl Asked {
    fn so_far(&self) -> Vec<&'static str> {
        let asked = self.0.lock();
        asked.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl ClientContext for Asked {
    fn log(&self, _: RDKafkaLogLevel, facility: &str, message: &str) {
        let is_in_line = |asked: &&str| message.contains(*asked);
        if facility == "CGRPOP"
            && let Some(one) = ASKED.into_iter().find(is_in_line)
        {
            let asked = self.0.lock();
            asked.unwrap_or_else(PoisonError::into_inner).push(one);
        }
    }
}

impl ConsumerContext for Asked {}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_asynchronous_commit_asks_the_clients_main_thread_for_nothing_else() {
    let recorder = Recorder::new();
    let orders = topic("orders").await;
    send_raw(&orders, &texts(&[("traceparent", FRESH)])).await;
    let client: StreamConsumer<Asked> = config()
        .set("debug", "cgrp")
        .set_log_level(RDKafkaLogLevel::Debug)
        .create_with_context(Asked::default())
        .expect("a consumer");
    let consumer = kafka::Consumer::wrap(&recorder.telemetry(), client);
    consumer.subscribe(&[&orders]).expect("a subscription");
    let order = next(&consumer).await;
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(&orders, 0, Offset::Offset(order.offset() + 1))
        .expect("an offset");

    let committed = consumer
        .commit_message(&order, CommitMode::Async)
        .and_then(|()| consumer.commit(&list, CommitMode::Async))
        .and_then(|()| consumer.commit_consumer_state(CommitMode::Async));
    committed.expect("commits");
    // It is answered when all before it was seen.
    let assigned = consumer.inner().assignment().expect("an assignment");
    assert_eq!(assigned.count(), 1);

    // The client gives its log out where it is polled.
    let told = async {
        while !consumer.context().so_far().contains(&ASSIGNMENT) {
            let _nothing = poll_immediate(consumer.recv()).await;
            yield_now().await;
        }
    };
    timeout(PATIENCE, told).await.expect("a log in time");
    let asked = consumer.context().so_far();
    assert_eq!(asked, [COMMIT, COMMIT, COMMIT, ASSIGNMENT]);
}
