//! Kafka.

use std::time::Duration;

use futures::{FutureExt as _, StreamExt as _};
use integration::kafka::clients::{Callbacks, Queues};
use integration::kafka::{
    CLIENT_ID, Kafka, PATIENCE, config, consumer, next, producer, raw_headers, servers, topic,
    topic_of,
};
use otel_messaging::policy::Rule;
use otel_messaging::{Batch, Telemetry, kafka};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _, StreamConsumer};
use rdkafka::message::BorrowedMessage;
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::{Offset, TopicPartitionList};

use super::shared::{self, origin, policy, traceparent};
use super::{abilities, kafka_failures, policies};
use crate::model::{End, Facts, Scene};
use crate::stage::{Place, Stage};

pub(super) fn place() -> Place {
    place_of("Kafka", &servers())
}

pub(super) fn place_of(name: &'static str, servers: &str) -> Place {
    let server = servers.rsplit_once(':').filter(|_| !servers.contains(','));
    Place {
        name,
        system: "kafka",
        client: CLIENT_ID,
        server: server.map(|(host, port)| (host.to_owned(), port.parse().expect("a port"))),
        has_logger: false,
    }
}

pub(super) async fn scenes() -> Vec<Scene> {
    let place = &place();
    let plain = |telemetry: Telemetry| telemetry;
    let mut scenes = shared::singles::<Kafka>(place).await;
    scenes.extend(shared::batches::<Kafka>(place).await);
    scenes.extend(abilities::sent_batches::<Kafka>(place).await);
    scenes.extend(policies::scenes::<Kafka>(place).await);
    for (name, scene) in [
        ("callbacks", with_clients::<Callbacks>(place).await),
        ("queues", with_clients::<Queues>(place).await),
    ] {
        scenes.push(Scene {
            name: format!("{}, {name}", scene.name),
            ..scene
        });
    }
    scenes.push(received_in_batches(place, "received in batches", plain).await);
    let committing = policy(Rule::of("*").settle_spans(true));
    scenes.push(received_in_batches(place, "received in batches and committed", committing).await);
    scenes.push(of_two_topics(place).await);
    scenes.push(sent_to_two_topics(place).await);
    scenes.push(committed(place).await);
    scenes.push(tombstone(place).await);
    scenes.push(streamed(place).await);
    scenes.push(by_queues(place).await);
    scenes.push(dropped_delivery(place).await);
    scenes.extend(kafka_failures::scenes(place).await);
    scenes
}

async fn with_clients<C: integration::kafka::clients::Clients>(place: &Place) -> Scene {
    shared::handled::<Kafka<C>>(
        place,
        "handled",
        |one| one,
        async |_, _, _, received, facts| {
            received.process(async |_| ()).await;
            facts.processed(End::Success)
        },
    )
    .await
}

/// Records of a bare client, each from a trace of its own.
pub(super) async fn send(topic: &str, numbers: std::ops::Range<usize>) {
    let bare: FutureProducer = config().create().expect("a producer");
    for number in numbers {
        let mut record = FutureRecord::to(topic).key("order-7").payload("two books");
        record.headers = raw_headers(&[traceparent(number)]);
        let sent = bare.send(record, PATIENCE).await;
        sent.map_err(|(error, _)| error).expect("a delivery");
    }
}

fn known(mut facts: Facts, batch: &Batch<BorrowedMessage<'_>>) -> Facts {
    for one in batch {
        facts = facts.received(origin(one));
    }
    let count = i64::try_from(batch.len()).ok();
    facts
        .did("receive", count, End::Success)
        .did("process", count, End::Success)
}

/// A batch that is received, processed and committed as one, outside of any span.
async fn received_in_batches(
    place: &Place,
    name: &str,
    set: impl FnOnce(Telemetry) -> Telemetry,
) -> Scene {
    let stage = Stage::at(place);
    let orders = topic("orders").await;
    send(&orders, 0..3).await;
    let consumer = consumer(&set(stage.telemetry()), &orders);
    let mut batches = consumer.batches(3, 2 * PATIENCE);
    let batch = batches.recv().await.expect("a batch");
    batch.process(async |_| ()).await;
    let offsets = batch.offsets().expect("offsets");
    consumer
        .commit(&offsets, CommitMode::Sync)
        .expect("a commit");
    let facts = known(stage.facts(), &batch);
    let facts = match name.contains("committed") {
        true => facts.settled(),
        false => facts.measured_only("settle"),
    };
    drop(batch);
    drop(batches);
    drop(consumer);
    stage.scene(name, facts)
}

async fn of_two_topics(place: &Place) -> Scene {
    let stage = Stage::at(place);
    let topics = [topic("orders").await, topic("payments").await];
    let client: StreamConsumer = config().create().expect("a consumer");
    let consumer = kafka::Consumer::wrap(&stage.telemetry(), client);
    let mut partitions = TopicPartitionList::new();
    for (topic, number) in topics.iter().zip(0..) {
        send(topic, number..number + 1).await;
        let added = partitions.add_partition_offset(topic, 0, Offset::Offset(0));
        added.expect("an offset");
    }
    consumer.assign(&partitions).expect("an assignment");
    let mut batches = consumer.batches(2, 2 * PATIENCE);
    let batch = batches.recv().await.expect("a batch");
    batch.process(async |_| ()).await;
    let facts = known(stage.facts().without_a_common_name(), &batch);
    drop(batch);
    drop(batches);
    drop(consumer);
    stage.scene("a batch of two topics", facts)
}

async fn sent_to_two_topics(place: &Place) -> Scene {
    let stage = Stage::at(place);
    let topics = [topic("orders").await, topic("payments").await];
    let producer = producer(&stage.telemetry());
    let records = topics
        .each_ref()
        .map(|topic| FutureRecord::to(topic).key("order-7").payload("two books"));
    for sent in producer.send_batch(records, PATIENCE).await {
        sent.map_err(|(error, _)| error).expect("a delivery");
    }
    let facts = stage.facts().without_a_common_name().sent_batch(2);
    drop(producer);
    stage.scene("sent to two topics", facts)
}

async fn committed(place: &Place) -> Scene {
    let stage = Stage::at(place);
    let orders = topic("orders").await;
    send(&orders, 0..2).await;
    let consumer = consumer(&stage.telemetry(), &orders);
    let mut facts = stage.facts();
    for mode in [CommitMode::Sync, CommitMode::Async] {
        let order = next(&consumer).await;
        order.process(async |_| ()).await;
        consumer.commit_message(&order, mode).expect("a commit");
        facts = facts
            .received(origin(&order))
            .processed(End::Success)
            .settled();
    }
    drop(consumer);
    stage.scene("committed one by one", facts)
}

/// A record without a key and without a value.
async fn tombstone(place: &Place) -> Scene {
    let stage = Stage::at(place);
    let orders = topic_of("orders", 2).await;
    let sending = producer(&stage.telemetry());
    let record = FutureRecord::<str, str>::to(&orders).partition(1);
    let sent = sending.send(record, PATIENCE).await;
    sent.map_err(|(error, _)| error).expect("a delivery");
    let consumer = consumer(&stage.telemetry(), &orders);
    let order = next(&consumer).await;
    order.process(async |_| ()).await;
    let facts = stage.facts().sent().received(origin(&order));
    drop(order);
    drop(consumer);
    stage.scene("a tombstone", facts.processed(End::Success))
}

async fn streamed(place: &Place) -> Scene {
    let stage = Stage::at(place);
    let orders = topic("orders").await;
    send(&orders, 0..2).await;
    let streaming = consumer(&stage.telemetry(), &orders);
    let polling: BaseConsumer = config().create().expect("a consumer");
    let polling = kafka::Consumer::wrap(&stage.telemetry(), polling);
    polling.subscribe(&[&orders]).expect("a subscription");
    let mut facts = stage.facts();
    let order = streaming
        .stream()
        .next()
        .await
        .expect("a message")
        .expect("no error");
    order.process(async |_| ()).await;
    facts = facts.received(origin(&order)).processed(End::Success);
    tokio::task::block_in_place(|| {
        let order = polling.iter().next().expect("a message").expect("no error");
        order.start_process_span().end(&());
        facts = facts
            .clone()
            .received(origin(&order))
            .processed(End::Success);
    });
    drop(order);
    drop((streaming, polling));
    stage.scene("streamed and iterated", facts)
}

/// By the queue of the partition, one by one and in a batch, and then all is committed inside a span.
async fn by_queues(place: &Place) -> Scene {
    let stage = Stage::at(place);
    let orders = topic("orders").await;
    send(&orders, 0..3).await;
    let client: StreamConsumer = config().create().expect("a consumer");
    let consumer = kafka::Consumer::wrap(&stage.telemetry(), client);
    let mut partition = TopicPartitionList::new();
    let added = partition.add_partition_offset(&orders, 0, Offset::Offset(0));
    added.expect("an offset");
    consumer.assign(&partition).expect("an assignment");
    let queue = consumer.split_partition_queue(&orders, 0).expect("a queue");
    // Whoever has a queue still polls the consumer.
    let polling = consumer.recv();
    let receiving = async {
        let order = queue.recv().await.expect("a message");
        order.process(async |_| ()).await;
        let facts = stage
            .facts()
            .received(origin(&order))
            .processed(End::Success);
        let mut batches = queue.batches(2, 2 * PATIENCE);
        let batch = batches.recv().await.expect("a batch");
        batch
            .process(async |_| {
                let all = consumer.commit_consumer_state(CommitMode::Sync);
                all.expect("a commit");
            })
            .await;
        known(facts, &batch).settled()
    };
    let facts = tokio::select! {
        _ = polling => unreachable!("all comes by the queue"),
        facts = receiving => facts,
    };
    drop(queue);
    drop(consumer);
    // A commit of all that was consumed names no topic.
    stage.scene("by a queue of the partition", facts.without_a_common_name())
}

/// Nobody knows what became of the record.
async fn dropped_delivery(place: &Place) -> Scene {
    let stage = Stage::at(place);
    let orders = topic("orders").await;
    let producer = producer(&stage.telemetry());
    let record = FutureRecord::to(&orders)
        .key("order-7")
        .payload("two books");
    let delivery = producer.send_result(record).map_err(|(error, _)| error);
    drop(delivery.expect("room"));
    let record = FutureRecord::to(&orders)
        .key("order-7")
        .payload("two books");
    let sending = producer.send(record, Duration::from_secs(5));
    assert!(sending.now_or_never().is_none(), "the report takes a while");
    let facts = stage.facts().sent().sent();
    drop(producer);
    stage.scene("given up", facts)
}
