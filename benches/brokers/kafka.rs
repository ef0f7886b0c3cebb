//! Records that are queued and reported, then polled and processed; nothing is committed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow};
use benches::{by_hand, stock};
use futures::future::BoxFuture;
use opentelemetry::context::FutureExt as _;
use opentelemetry::trace::SpanKind;
use opentelemetry::{Context, KeyValue};
use otel_messaging::kafka;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{Consumer as _, StreamConsumer};
use rdkafka::message::{BorrowedMessage, OwnedHeaders};
use rdkafka::producer::{DeliveryFuture, FutureProducer, FutureRecord, Producer as _};
use rdkafka::{ClientConfig, Message as _, Offset, TopicPartitionList};

use crate::spans::{Codec, Known, Operation, Spans, Started};
use crate::turns::{Broker, Party, Window, header, unique};
use crate::ways::{Providers, Way, Who};
use crate::{CLIENT_ID, GROUP, KEY, PAYLOAD};

/// Reports that are waited for at a time.
const WINDOW: usize = 10_000;
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Kafka {
    servers: String,
    producer: FutureProducer,
    admin: AdminClient<DefaultClientContext>,
    topics: Vec<String>,
}

impl Kafka {
    pub(crate) fn connect(servers: String) -> Result<Self> {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &servers)
            .set("client.id", CLIENT_ID);
        Ok(Self {
            producer: config.create()?,
            admin: config.create()?,
            servers,
            topics: Vec::new(),
        })
    }

    fn consumer(&self, topic: &str) -> Result<StreamConsumer> {
        let consumer: StreamConsumer = ClientConfig::new()
            .set("bootstrap.servers", &self.servers)
            .set("client.id", CLIENT_ID)
            .set("group.id", GROUP)
            .set("enable.auto.commit", "false")
            // How long a consumer that goes on after a pause waits before it asks.
            .set("fetch.queue.backoff.ms", "20")
            .create()?;
        let partition = partition(topic)?;
        consumer.assign(&partition)?;
        // A turn of another way shall not wait for what this one fetches.
        consumer.pause(&partition)?;
        Ok(consumer)
    }
}

fn partition(topic: &str) -> Result<TopicPartitionList> {
    let mut partition = TopicPartitionList::new();
    partition.add_partition_offset(topic, 0, Offset::Beginning)?;
    Ok(partition)
}

impl Broker for Kafka {
    const NAME: &'static str = "Kafka";
    const PHASES: [&'static str; 2] = ["send", "receive"];
    const MESSAGES: usize = 20_000;

    async fn party(&mut self, way: Way, providers: &Providers) -> Result<Arc<dyn Party>> {
        let topic = unique("orders");
        // Old segments go: a long run has gigabytes of them.
        let wanted = NewTopic::new(&topic, 1, TopicReplication::Fixed(1))
            .set("segment.bytes", "33554432")
            .set("retention.bytes", "67108864");
        let options = AdminOptions::new();
        for created in self.admin.create_topics(&[wanted], &options).await? {
            created.map_err(|(topic, code)| anyhow!("{topic}: {code}"))?;
        }
        self.topics.push(topic.clone());
        let consumer = self.consumer(&topic)?;
        let producer = self.producer.clone();
        let topic: &'static str = topic.leak();
        Ok(match way.who {
            Who::Client | Who::ClientWithHeader => Arc::new(Bare {
                producer,
                consumer,
                topic,
                has_header: way.who == Who::ClientWithHeader,
            }),
            Who::Ours => Arc::new(Ours {
                producer: kafka::Producer::wrap(&providers.telemetry(), producer),
                consumer: kafka::Consumer::wrap(&providers.telemetry(), consumer),
                topic,
            }),
            Who::ByHand | Who::Stock => {
                let (host, port) = self.servers.split_once(':').context("one server")?;
                let known = Known {
                    system: "kafka",
                    host: host.to_owned().leak(),
                    port: port.parse()?,
                    client_id: CLIENT_ID,
                    group: Some(GROUP),
                    destination: topic,
                    of_destination: &["messaging.destination.name"],
                    receive: "poll",
                    constant: &[("kafka.cluster.id", "otelMessagingScratch0Q")],
                };
                Arc::new(Spanned {
                    producer,
                    consumer,
                    topic,
                    send: known.operation("send", "send", SpanKind::Producer),
                    process: known.operation("process", "process", SpanKind::Consumer),
                    spans: Spans::of(way, providers),
                })
            }
        })
    }

    async fn leave(self) -> Result<()> {
        self.producer.flush(PATIENCE)?;
        let topics: Vec<&str> = self.topics.iter().map(String::as_str).collect();
        self.admin
            .delete_topics(&topics, &AdminOptions::new())
            .await?;
        Ok(())
    }
}

fn record(topic: &'static str) -> FutureRecord<'static, str, [u8]> {
    FutureRecord::to(topic).key(KEY).payload(&PAYLOAD)
}

/// What the application does with a message.
async fn handled(message: &BorrowedMessage<'_>) {
    std::hint::black_box(message.payload());
}

struct Bare {
    producer: FutureProducer,
    consumer: StreamConsumer,
    topic: &'static str,
    has_header: bool,
}

impl Party for Bare {
    fn send(&self, messages: usize) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            let context = header();
            let mut window = Window::of(WINDOW);
            for _ in 0..messages {
                let mut record = record(self.topic);
                if self.has_header {
                    record = record.headers(by_hand::inject(&context, OwnedHeaders::new()));
                }
                let queued = self.producer.send_result(record);
                if let Some(first) = window.push(queued.map_err(|(error, _)| error)?) {
                    first.await?.map_err(|(error, _)| error)?;
                }
            }
            for one in window.rest() {
                one.await?.map_err(|(error, _)| error)?;
            }
            Ok(())
        })
    }

    fn receive(&self, messages: usize) -> BoxFuture<'_, Result<Instant>> {
        Box::pin(async move {
            let partition = partition(self.topic)?;
            self.consumer.resume(&partition)?;
            let mut first = None;
            for _ in 0..messages {
                let message = self.consumer.recv().await?;
                first.get_or_insert_with(Instant::now);
                handled(&message).await;
            }
            self.consumer.pause(&partition)?;
            first.context("a message")
        })
    }
}

struct Ours {
    producer: kafka::Producer,
    consumer: kafka::Consumer,
    topic: &'static str,
}

impl Party for Ours {
    fn send(&self, messages: usize) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            let mut window = Window::of(WINDOW);
            for _ in 0..messages {
                let queued = self.producer.send_result(record(self.topic));
                if let Some(first) = window.push(queued.map_err(|(error, _)| error)?) {
                    first.await?.map_err(|(error, _)| error)?;
                }
            }
            for one in window.rest() {
                one.await?.map_err(|(error, _)| error)?;
            }
            Ok(())
        })
    }

    fn receive(&self, messages: usize) -> BoxFuture<'_, Result<Instant>> {
        Box::pin(async move {
            let partition = partition(self.topic)?;
            self.consumer.resume(&partition)?;
            let mut first = None;
            for _ in 0..messages {
                let message = self.consumer.recv().await?;
                first.get_or_insert_with(Instant::now);
                message.process(|message| handled(message)).await;
            }
            self.consumer.pause(&partition)?;
            first.context("a message")
        })
    }
}

/// By hand, and with OpenTelemetry's propagators.
struct Spanned {
    producer: FutureProducer,
    consumer: StreamConsumer,
    topic: &'static str,
    send: Operation,
    process: Operation,
    spans: Spans,
}

impl Party for Spanned {
    fn send(&self, messages: usize) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            let mut window = Window::of(WINDOW);
            for _ in 0..messages {
                let key = KeyValue::new("kafka.message.key", KEY.to_owned());
                let started = self.spans.start(&self.send, [key]);
                let headers = match &self.spans.codec {
                    Codec::ByHand => by_hand::inject(&started.context, OwnedHeaders::new()),
                    Codec::Stock(propagator) => {
                        stock::inject(propagator, &started.context, OwnedHeaders::new())
                    }
                };
                let record = record(self.topic).headers(headers);
                let queued = self.producer.send_result(record);
                let queued = queued.map_err(|(error, _)| error)?;
                if let Some(first) = window.push((queued, started)) {
                    self.reported(first).await?;
                }
            }
            for one in window.rest() {
                self.reported(one).await?;
            }
            Ok(())
        })
    }

    fn receive(&self, messages: usize) -> BoxFuture<'_, Result<Instant>> {
        Box::pin(async move {
            let partition = partition(self.topic)?;
            self.consumer.resume(&partition)?;
            let mut first = None;
            for _ in 0..messages {
                let message = self.consumer.recv().await?;
                first.get_or_insert_with(Instant::now);
                let received = message.headers().map_or_else(Context::new, |headers| {
                    match &self.spans.codec {
                        Codec::ByHand => by_hand::extract(headers),
                        Codec::Stock(propagator) => stock::extract(propagator, headers),
                    }
                });
                let key = message.key().and_then(|key| str::from_utf8(key).ok());
                let own = [
                    KeyValue::new("kafka.message.key", key.unwrap_or_default().to_owned()),
                    KeyValue::new(
                        "messaging.destination.partition.id",
                        message.partition().to_string(),
                    ),
                    KeyValue::new("kafka.offset", message.offset()),
                ];
                let started = self.spans.process(&self.process, received, own);
                handled(&message)
                    .with_context(started.context.clone())
                    .await;
                self.spans.end(&self.process, &started, || []);
            }
            self.consumer.pause(&partition)?;
            first.context("a message")
        })
    }
}

impl Spanned {
    async fn reported(&self, (delivery, started): (DeliveryFuture, Started)) -> Result<()> {
        let delivered = delivery.await?.map_err(|(error, _)| error)?;
        self.spans.end(&self.send, &started, || {
            let partition = delivered.partition.to_string();
            [
                KeyValue::new("messaging.destination.partition.id", partition),
                KeyValue::new("kafka.offset", delivered.offset),
            ]
        });
        Ok(())
    }
}
