//! Messages of the same destination that brokers answer for: delivery reports, confirms and acknowledgements of what is
//! sent, and commits and acknowledgements of what is received.

use std::time::Duration;

use async_nats::ConnectOptions;
use async_nats::jetstream;
use async_nats::jetstream::consumer::PullConsumer;
use async_nats::jetstream::message::PublishMessage;
use futures::StreamExt as _;
use futures::future::join_all;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, ConfirmSelectOptions,
    QueueDeclareOptions,
};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Connection, ConnectionProperties};
use otel_messaging::{amqp, kafka, nats};
use rdkafka::consumer::{CommitMode, Consumer as _, StreamConsumer};
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::{Offset, TopicPartitionList};
use tokio::runtime::Runtime;

use crate::{Recording, alone, stream};

const MESSAGES: usize = 100_000;
/// Messages that are on their way at a time, one after the other or, every second time, as a batch.
pub(crate) const TOGETHER: usize = stream::FETCHED;
/// Longest wait for a broker.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
const PAYLOAD: &str = "two books";

impl Recording {
    /// Holds that messages leave nothing that are on their way together; what is done is told whether as a batch.
    fn assert_flat_together(&self, what: &str, mut each: impl FnMut(bool)) {
        self.assert_flat(what, MESSAGES, |number| {
            if number % TOGETHER == TOGETHER - 1 {
                each(number / TOGETHER % 2 == 1);
            }
        });
    }
}

/// On librdkafka's mock cluster, in the process of the test.
#[test]
fn records_that_kafka_reports() {
    let _alone = alone();
    let recording = Recording::new();
    let runtime = Runtime::new().expect("a runtime");
    let cluster = kafka::TestCluster::new(["orders"]).expect("a cluster");
    let producer = reporting(&recording, &cluster);
    recording.assert_flat_together("records that Kafka reports", |is_batch| {
        runtime.block_on(send(&producer, is_batch));
    });
}

/// As above, with what is received and committed.
#[test]
fn records_that_are_committed() {
    let _alone = alone();
    let recording = Recording::new();
    let runtime = Runtime::new().expect("a runtime");
    let cluster = kafka::TestCluster::new(["orders"]).expect("a cluster");
    let producer = reporting(&recording, &cluster);
    let _entered = runtime.enter();
    let mut config = cluster.config();
    config
        .set("group.id", "billing")
        .set("enable.auto.commit", "false")
        .set("fetch.wait.max.ms", "10");
    let consumer: StreamConsumer = config.create().expect("a consumer");
    let consumer = kafka::Consumer::wrap(&recording.telemetry, consumer);
    let mut partition = TopicPartitionList::new();
    partition
        .add_partition_offset("orders", 0, Offset::Beginning)
        .expect("an offset");
    consumer.assign(&partition).expect("an assignment");
    recording.assert_flat_together("records that are committed", |is_batch| {
        runtime.block_on(async {
            send(&producer, is_batch).await;
            if is_batch {
                let batch = consumer.batches(TOGETHER, PATIENCE).recv().await;
                let batch = batch.expect("a batch");
                batch.process(async |_| ()).await;
                let offsets = batch.offsets().expect("offsets");
                let committed = consumer.commit(&offsets, CommitMode::Sync);
                return committed.expect("a commit");
            }
            for _ in 0..TOGETHER {
                let message = consumer.recv().await.expect("a message");
                message.process(async |_| ()).await;
                let committed = consumer.commit_message(&message, CommitMode::Async);
                committed.expect("a commit");
            }
        });
    });
}

fn reporting(recording: &Recording, cluster: &kafka::TestCluster) -> kafka::Producer {
    let mut config = cluster.config();
    let producer: FutureProducer = config.set("linger.ms", "0").create().expect("a producer");
    kafka::Producer::wrap(&recording.telemetry, producer)
}

async fn send(producer: &kafka::Producer, is_batch: bool) {
    let records = (0..TOGETHER).map(|_| FutureRecord::<str, _>::to("orders").payload(PAYLOAD));
    let sent = if is_batch {
        producer.send_batch(records, PATIENCE).await
    } else {
        join_all(records.map(|record| producer.send(record, PATIENCE))).await
    };
    assert!(sent.iter().all(Result::is_ok), "{sent:?}");
}

/// On the RabbitMQ of `AMQP_URL`.
#[test]
fn messages_of_rabbitmq_that_confirms_and_is_acknowledged() {
    let _alone = alone();
    let recording = Recording::new();
    let url = std::env::var("AMQP_URL").expect("AMQP_URL names no RabbitMQ");
    let runtime = Runtime::new().expect("a runtime");
    let known = amqp::ConnectionInfo::new;
    let (_connection, channel, consumer) = runtime.block_on(async {
        let connecting = Connection::connect(&url, ConnectionProperties::default());
        let connection = connecting.await.expect("a connection");
        let channel = connection.create_channel().await.expect("a channel");
        let confirming = channel.confirm_select(ConfirmSelectOptions::default());
        confirming.await.expect("confirms");
        let options = QueueDeclareOptions {
            exclusive: true,
            ..QueueDeclareOptions::default()
        };
        let declaring = channel.queue_declare("".into(), options, FieldTable::default());
        let queue = declaring.await.expect("a queue").name().clone();
        let consuming = channel.basic_consume(
            queue,
            "billing".into(),
            BasicConsumeOptions::default(),
            FieldTable::default(),
        );
        let consumer = consuming.await.expect("a consumer");
        (connection, channel, consumer)
    });
    let queue = consumer.queue();
    let producer = amqp::Producer::wrap(&recording.telemetry, known(), channel);
    let mut consumer = amqp::Consumer::wrap(&recording.telemetry, known(), consumer);
    recording.assert_flat_together("messages of RabbitMQ", |is_batch| {
        runtime.block_on(async {
            let messages =
                (0..TOGETHER).map(|_| amqp::Publish::new("", queue.clone(), PAYLOAD.as_bytes()));
            let confirmed = if is_batch {
                producer.publish_batch(messages).await
            } else {
                let publishing = messages.map(async |_| {
                    let published = producer.basic_publish(
                        "".into(),
                        queue.clone(),
                        BasicPublishOptions::default(),
                        PAYLOAD.as_bytes(),
                        BasicProperties::default(),
                    );
                    published.await?.await
                });
                join_all(publishing).await
            };
            for confirmation in confirmed {
                assert!(confirmation.expect("a confirm").is_ack());
            }
            for _ in 0..TOGETHER {
                let message = consumer.next().await.expect("a stream");
                let message = message.expect("a message");
                message.process(async |_| ()).await;
                let acknowledged = message.ack(BasicAckOptions::default()).await;
                assert!(acknowledged.expect("an open channel"));
            }
        });
    });
}

/// On a stand-in for a server.
#[test]
fn messages_of_a_stream_that_acknowledges_and_is_acknowledged() {
    let _alone = alone();
    let recording = Recording::new();
    let runtime = Runtime::new().expect("a runtime");
    let address = stream::start().expect("a server");
    let connecting = ConnectOptions::new().connect(address.to_string());
    let client = runtime.block_on(connecting).expect("a connection");
    let _entered = runtime.enter();
    let context = jetstream::new(client);
    let consumer = context.get_consumer_from_stream(stream::CONSUMER, stream::NAME);
    let consumer: PullConsumer = runtime.block_on(consumer).expect("a consumer");
    let producer = nats::jetstream::Producer::wrap(&recording.telemetry, context);
    let consumer = nats::jetstream::Consumer::wrap(&recording.telemetry, consumer);
    recording.assert_flat_together("messages of a stream", |is_batch| {
        runtime.block_on(async {
            let sent = if is_batch {
                let message = || PublishMessage::build().payload(PAYLOAD.into());
                let messages = (0..TOGETHER).map(|_| ("orders", message()));
                producer.publish_batch(messages).await
            } else {
                let publishing = (0..TOGETHER).map(async |_| {
                    let published = producer.publish("orders", PAYLOAD.into());
                    published.await?.await
                });
                join_all(publishing).await
            };
            assert!(sent.iter().all(Result::is_ok), "{sent:?}");
            let fetching = consumer.fetch().max_messages(TOGETHER).messages();
            let mut messages = fetching.await.expect("messages");
            for _ in 0..TOGETHER {
                let message = messages.next().await.expect("a stream");
                let message = message.expect("a message");
                message.process(async |_| ()).await;
                let acknowledged = match is_batch {
                    true => message.double_ack().await,
                    false => message.ack().await,
                };
                acknowledged.expect("an acknowledgement");
            }
        });
    });
}
