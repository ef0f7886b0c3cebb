//! What fails on Kafka. An error of the broker in fetching is one that only the embedded cluster can be asked for.

use futures::FutureExt as _;
use integration::kafka::{PATIENCE, config, consumer_in, flush, informed_producer, next, topic};
use integration::unique;
use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, TraceContextExt as _, TraceFlags, TraceState};
use otel_messaging::kafka;
use otel_messaging::policy::{Policy, Rule};
use rdkafka::TopicPartitionList;
use rdkafka::consumer::{CommitMode, Consumer as _, StreamConsumer};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{DefaultProducerContext, FutureProducer, FutureRecord, Producer as _};
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

use super::kafka::{place_of, send};
use super::shared::origin;
use crate::model::{End, Scene};
use crate::stage::{Place, Stage};

pub(super) async fn scenes(place: &Place) -> Vec<Scene> {
    vec![
        refused(place).await,
        without_a_topic(place).await,
        refused_in_a_batch(place).await,
        never_queued(place).await,
        never_queued_in_a_batch(place).await,
        commit_refused(place).await,
        receive_failed().await,
        batch_failed().await,
    ]
}

fn record<'a>(topic: &'a str, payload: &'a str) -> FutureRecord<'a, str, str> {
    FutureRecord::to(topic).key("order-7").payload(payload)
}

/// By the client for its size, and by the broker for a partition that is not there.
async fn refused(place: &Place) -> Scene {
    let stage = Stage::at(place);
    let mut config = config();
    config.set("message.max.bytes", "2000");
    let producer = informed_producer(&stage.telemetry(), &config);
    let (orders, large) = (topic("orders").await, "b".repeat(3000));
    let mut facts = stage.facts();
    for record in [
        record(&orders, &large),
        record(&orders, "two books").partition(99),
    ] {
        let (error, _) = producer.send(record, PATIENCE).await.expect_err("refused");
        // What is too large does not get as far as the queue.
        let end = End::failure(&error);
        facts = match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::MessageSizeTooLarge) => facts.not_taken(end),
            _ => facts.refused(end),
        };
    }
    drop(producer);
    stage.scene("refused", facts)
}

async fn without_a_topic(place: &Place) -> Scene {
    let stage = Stage::at(place);
    let producer = informed_producer(&stage.telemetry(), &config());
    let (error, _) = producer
        .send(record("", "two books"), PATIENCE)
        .await
        .expect_err("no topic");
    let facts = stage
        .facts()
        .without_a_common_name()
        .refused(End::failure(error));
    drop(producer);
    stage.scene("without a topic", facts)
}

async fn refused_in_a_batch(place: &Place) -> Scene {
    let stage = Stage::at(place);
    let mut config = config();
    config.set("message.max.bytes", "2000");
    let producer = informed_producer(&stage.telemetry(), &config);
    let (orders, large) = (topic("orders").await, "b".repeat(3000));
    let records = ["two books", &large, "two books"].map(|payload| record(&orders, payload));
    let results = producer.send_batch(records, PATIENCE).await;
    let mut errors = results.into_iter().filter_map(Result::err);
    let (error, _) = errors.next().expect("one is too large");
    let mut facts = stage.facts().sent_batch(3);
    facts.sent = 2;
    if let Some(send) = facts.done.last_mut() {
        send.end = End::failure(error);
    }
    drop(producer);
    stage.scene("refused in a batch", facts)
}

/// Nothing leaves its queue before that is flushed.
fn with_room_for_one(stage: &Stage) -> kafka::Producer {
    let mut config = config();
    config.set("queue.buffering.max.messages", "1");
    config.set("linger.ms", "60000");
    informed_producer(&stage.telemetry(), &config)
}

/// The application gave up while there was no room in the queue.
async fn never_queued(place: &Place) -> Scene {
    let stage = Stage::at(place);
    let producer = with_room_for_one(&stage);
    let orders = topic("orders").await;
    let first = producer.send_result(record(&orders, "two books"));
    let first = first.map_err(|(error, _)| error).expect("room for one");
    let second = producer.send(record(&orders, "two books"), PATIENCE);
    assert!(
        second.now_or_never().is_none(),
        "there is room for one alone"
    );
    tokio::task::block_in_place(|| flush(producer.client()));
    let report = first.await.expect("a report");
    report.map_err(|(error, _)| error).expect("a delivery");
    // The second was never sent: it has a span of the attempt, and is no message that was sent.
    let facts = stage.facts().sent().did("send", None, End::Success);
    drop(producer);
    stage.scene("given up before there was room", facts)
}

/// The same of a batch: what had no place in the queue in time comes back without having been there.
async fn never_queued_in_a_batch(place: &Place) -> Scene {
    let stage = Stage::at(place);
    let producer = with_room_for_one(&stage);
    let orders = topic("orders").await;
    let records = [record(&orders, "two books"), record(&orders, "two books")];
    let mut sending = Box::pin(producer.send_batch(records, PATIENCE));
    assert!(
        (&mut sending).now_or_never().is_none(),
        "there is room for one alone"
    );
    drop(sending);
    tokio::task::block_in_place(|| flush(producer.client()));
    let mut facts = stage.facts().sent_batch(2);
    facts.sent = 1;
    drop(producer);
    stage.scene("a batch given up before there was room", facts)
}

fn active() -> Context {
    let (trace, span) = (0x77_u128, 0x7_u64);
    let flags = TraceFlags::SAMPLED;
    let parent = SpanContext::new(trace.into(), span.into(), flags, true, TraceState::NONE);
    Context::new().with_remote_span_context(parent)
}

async fn commit_refused(place: &Place) -> Scene {
    let stage = Stage::at(place);
    let orders = topic("orders").await;
    send(&orders, 0..1).await;
    let consumer = consumer_in(&unique("group"), &stage.telemetry(), &orders);
    let facts = stage.facts().received(origin(&next(&consumer).await));
    let mut nowhere = TopicPartitionList::new();
    let added = nowhere.add_partition_offset(&orders, 99, rdkafka::Offset::Offset(1));
    added.expect("an offset");
    let refused = {
        let _active = active().attach();
        consumer.commit(&nowhere, CommitMode::Sync)
    };
    let error = refused.expect_err("no such partition");
    let facts = facts.did("settle", None, End::failure(error));
    drop(consumer);
    stage.scene("a commit that is refused", facts)
}

type Cluster = MockCluster<'static, DefaultProducerContext>;

/// A consumer of an embedded cluster, on which one record is.
async fn embedded(stage: &Stage, rule: Rule, cluster: &Cluster) -> kafka::Consumer {
    cluster.create_topic("orders", 1, 1).expect("a topic");
    let mut config = config();
    config.set("bootstrap.servers", cluster.bootstrap_servers());
    let bare: FutureProducer = config.create().expect("a producer");
    let sent = bare.send(record("orders", "two books"), PATIENCE).await;
    sent.map_err(|(error, _)| error).expect("a delivery");
    let client: StreamConsumer = config.create().expect("a consumer");
    let telemetry = stage.telemetry().policy(Policy::new().rule(rule));
    let consumer = kafka::Consumer::wrap(&telemetry, client);
    consumer.subscribe(&["orders"]).expect("a subscription");
    consumer
}

/// More than once: what is fetched for a position that has just changed, the client drops unseen.
fn deny(cluster: &Cluster) {
    let denied = RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED;
    cluster.request_errors(RDKafkaApiKey::Fetch, &[denied; 5]);
}

async fn receive_failed() -> Scene {
    let cluster = MockCluster::new(1).expect("an embedded cluster");
    let stage = Stage::at(&place_of("Kafka, embedded", &cluster.bootstrap_servers()));
    let consumer = embedded(&stage, Rule::of("*").receive_spans(true), &cluster).await;
    let first = next(&consumer).await;
    let facts = stage
        .facts()
        .without_a_common_name()
        .received(origin(&first));
    deny(&cluster);
    let received = tokio::time::timeout(PATIENCE, consumer.recv()).await;
    let error = received.expect("an error in time").map(drop);
    let end = End::failure(error.expect_err("denied"));
    drop(first);
    drop(consumer);
    let facts = facts.did("receive", None, End::Success);
    stage.scene("a receive that fails", facts.did("receive", None, end))
}

async fn batch_failed() -> Scene {
    let cluster = MockCluster::new(1).expect("an embedded cluster");
    let stage = Stage::at(&place_of("Kafka, embedded", &cluster.bootstrap_servers()));
    let consumer = embedded(&stage, Rule::of("*"), &cluster).await;
    let mut batches = consumer.batches(1, PATIENCE);
    let first = batches.recv().await.expect("a batch");
    deny(&cluster);
    let received = tokio::time::timeout(PATIENCE, batches.recv()).await;
    let error = received.expect("an error in time").map(drop);
    let end = End::failure(error.expect_err("denied"));
    let mut facts = stage.facts().without_a_common_name();
    for one in &first {
        facts = facts.received(origin(one));
    }
    drop(first);
    drop(batches);
    drop(consumer);
    let facts = facts.did("receive", Some(1), End::Success);
    stage.scene(
        "a receive of a batch that fails",
        facts.did("receive", Some(0), end),
    )
}
