//! Messages that are published and confirmed, then consumed, processed and acknowledged.

use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use benches::table;
use futures::StreamExt as _;
use futures::future::BoxFuture;
use lapin::message::Delivery;
use lapin::options::{
    BasicAckOptions, BasicCancelOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions,
    ConfirmSelectOptions, QueueDeclareOptions, QueueDeleteOptions,
};
use lapin::types::{FieldTable, ShortString};
use lapin::uri::AMQPUri;
use lapin::{
    BasicProperties, Channel, Confirmation, Connection, ConnectionProperties, Consumer,
    PublisherConfirm,
};
use opentelemetry::context::FutureExt as _;
use opentelemetry::trace::SpanKind;
use opentelemetry::{Context, KeyValue};
use otel_messaging::amqp;

use crate::spans::{Codec, Known, Operation, Spans};
use crate::turns::{Broker, Party, Window, header, unique};
use crate::ways::{Providers, Way, Who};
use crate::{CLIENT_ID, PAYLOAD};

/// Confirms that are waited for at a time.
const WINDOW: usize = 1_000;
/// Deliveries that are on their way at a time.
const PREFETCH: u16 = 500;

pub(crate) struct RabbitMq {
    url: String,
    /// One sends, the other receives.
    connections: [Connection; 2],
    /// Declares the queues.
    channel: Channel,
    queues: Vec<String>,
}

impl RabbitMq {
    pub(crate) async fn connect(url: String) -> Result<Self> {
        let connect = || Connection::connect(&url, ConnectionProperties::default());
        let connections = [connect().await?, connect().await?];
        let channel = connections[0].create_channel().await?;
        Ok(Self {
            url,
            connections,
            channel,
            queues: Vec::new(),
        })
    }
}

impl Broker for RabbitMq {
    const NAME: &'static str = "RabbitMQ";
    const PHASES: [&'static str; 2] = ["send", "receive"];
    const MESSAGES: usize = 3_000;

    async fn party(&mut self, way: Way, providers: &Providers) -> Result<Arc<dyn Party>> {
        let queue = unique("orders");
        let options = QueueDeclareOptions::durable();
        let declared =
            self.channel
                .queue_declare(queue.as_str().into(), options, FieldTable::default());
        declared.await?;
        self.queues.push(queue.clone());
        let [sending, receiving] = &self.connections;
        let publisher = sending.create_channel().await?;
        let confirms = publisher.confirm_select(ConfirmSelectOptions::default());
        confirms.await?;
        let channel = receiving.create_channel().await?;
        let prefetch = channel.basic_qos(PREFETCH, BasicQosOptions::default());
        prefetch.await?;
        let queue: &'static str = queue.leak();
        let subscription = Subscription { channel, queue };
        Ok(match way.who {
            Who::Client | Who::ClientWithHeader => Arc::new(Bare {
                publisher,
                subscription,
                has_header: way.who == Who::ClientWithHeader,
            }),
            Who::Ours => {
                let telemetry = providers.telemetry();
                let known = |connection| {
                    let known = amqp::ConnectionInfo::of(connection).uri(&self.url);
                    known.client_id(CLIENT_ID)
                };
                Arc::new(Ours {
                    producer: amqp::Producer::wrap(&telemetry, known(sending), publisher),
                    known: known(receiving),
                    telemetry,
                    subscription,
                })
            }
            Who::ByHand | Who::Stock => {
                let uri: AMQPUri = self.url.parse().map_err(anyhow::Error::msg)?;
                let known = Known {
                    system: "rabbitmq",
                    host: uri.authority.host.leak(),
                    port: uri.authority.port,
                    client_id: CLIENT_ID,
                    group: None,
                    destination: queue,
                    of_destination: &[
                        "messaging.destination.name",
                        "rabbitmq.destination.routing_key",
                    ],
                    receive: "consume",
                    constant: &[],
                };
                Arc::new(Spanned {
                    publisher,
                    subscription,
                    send: known.operation("publish", "send", SpanKind::Producer),
                    process: known.operation("process", "process", SpanKind::Consumer),
                    settle: known.operation("ack", "settle", SpanKind::Client),
                    spans: Spans::of(way, providers),
                })
            }
        })
    }

    async fn leave(self) -> Result<()> {
        for queue in self.queues {
            let options = QueueDeleteOptions::default();
            self.channel.queue_delete(queue.into(), options).await?;
        }
        for connection in self.connections {
            connection.close(0, "done".into()).await?;
        }
        Ok(())
    }
}

/// Where messages come from.
struct Subscription {
    channel: Channel,
    queue: &'static str,
}

impl Subscription {
    /// Begins to have messages delivered.
    async fn begin(&self) -> Result<Consumer> {
        let options = BasicConsumeOptions::default();
        let arguments = FieldTable::default();
        let consuming =
            self.channel
                .basic_consume(self.queue.into(), self.tag(), options, arguments);
        Ok(consuming.await?)
    }

    async fn end(&self) -> Result<()> {
        let cancelled = self
            .channel
            .basic_cancel(self.tag(), BasicCancelOptions::default());
        Ok(cancelled.await?)
    }

    fn tag(&self) -> ShortString {
        CLIENT_ID.into()
    }
}

async fn publish(
    channel: &Channel,
    queue: &str,
    properties: BasicProperties,
) -> Result<PublisherConfirm> {
    let options = BasicPublishOptions::default();
    let published = channel.basic_publish("".into(), queue.into(), options, &PAYLOAD, properties);
    Ok(published.await?)
}

async fn confirmed(confirm: impl Future<Output = lapin::Result<Confirmation>>) -> Result<()> {
    ensure!(confirm.await?.is_ack(), "a message is not taken");
    Ok(())
}

/// What the application does with a message.
async fn handled(message: &Delivery) {
    std::hint::black_box(&message.data);
}

struct Bare {
    publisher: Channel,
    subscription: Subscription,
    has_header: bool,
}

impl Party for Bare {
    fn send(&self, messages: usize) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            let context = header();
            let mut window = Window::of(WINDOW);
            for _ in 0..messages {
                let mut properties = BasicProperties::default();
                if self.has_header {
                    let headers = table::inject_by_hand(&context, FieldTable::default());
                    properties = properties.with_headers(headers);
                }
                let queue = self.subscription.queue;
                let sent = publish(&self.publisher, queue, properties).await?;
                if let Some(first) = window.push(sent) {
                    confirmed(first).await?;
                }
            }
            for one in window.rest() {
                confirmed(one).await?;
            }
            Ok(())
        })
    }

    fn receive(&self, messages: usize) -> BoxFuture<'_, Result<Instant>> {
        Box::pin(async move {
            let mut first = None;
            let mut deliveries = self.subscription.begin().await?;
            for _ in 0..messages {
                let message = deliveries.next().await.context("a delivery")??;
                first.get_or_insert_with(Instant::now);
                handled(&message).await;
                message.ack(BasicAckOptions::default()).await?;
            }
            self.subscription.end().await?;
            first.context("a delivery")
        })
    }
}

struct Ours {
    telemetry: otel_messaging::Telemetry,
    known: amqp::ConnectionInfo,
    producer: amqp::Producer,
    subscription: Subscription,
}

impl Party for Ours {
    fn send(&self, messages: usize) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            let mut window = Window::of(WINDOW);
            for _ in 0..messages {
                let sent = self.producer.basic_publish(
                    "".into(),
                    self.subscription.queue.into(),
                    BasicPublishOptions::default(),
                    &PAYLOAD,
                    BasicProperties::default(),
                );
                let sent = sent.await?;
                if let Some(first) = window.push(sent) {
                    confirmed(first).await?;
                }
            }
            for one in window.rest() {
                confirmed(one).await?;
            }
            Ok(())
        })
    }

    fn receive(&self, messages: usize) -> BoxFuture<'_, Result<Instant>> {
        Box::pin(async move {
            let mut first = None;
            let deliveries = self.subscription.begin().await?;
            let mut deliveries = amqp::Consumer::wrap(&self.telemetry, &self.known, deliveries);
            for _ in 0..messages {
                let message = deliveries.next().await.context("a delivery")??;
                first.get_or_insert_with(Instant::now);
                message.process(|message| handled(message)).await;
                message.ack(BasicAckOptions::default()).await?;
            }
            self.subscription.end().await?;
            first.context("a delivery")
        })
    }
}

/// By hand, and with OpenTelemetry's propagators.
struct Spanned {
    publisher: Channel,
    subscription: Subscription,
    send: Operation,
    process: Operation,
    settle: Operation,
    spans: Spans,
}

impl Party for Spanned {
    fn send(&self, messages: usize) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            let mut window = Window::of(WINDOW);
            for _ in 0..messages {
                let started = self.spans.start(&self.send, []);
                let headers = match &self.spans.codec {
                    Codec::ByHand => table::inject_by_hand(&started.context, FieldTable::default()),
                    Codec::Stock(propagator) => {
                        table::inject(propagator, &started.context, FieldTable::default())
                    }
                };
                let properties = BasicProperties::default().with_headers(headers);
                let queue = self.subscription.queue;
                let confirm = publish(&self.publisher, queue, properties).await?;
                if let Some((first, started)) = window.push((confirm, started)) {
                    confirmed(first).await?;
                    self.spans.end(&self.send, &started, || []);
                }
            }
            for (one, started) in window.rest() {
                confirmed(one).await?;
                self.spans.end(&self.send, &started, || []);
            }
            Ok(())
        })
    }

    fn receive(&self, messages: usize) -> BoxFuture<'_, Result<Instant>> {
        Box::pin(async move {
            let spans = &self.spans;
            let mut first = None;
            let mut deliveries = self.subscription.begin().await?;
            for _ in 0..messages {
                let message = deliveries.next().await.context("a delivery")??;
                first.get_or_insert_with(Instant::now);
                let headers = message.properties.headers().as_ref();
                let received = headers.map_or_else(Context::new, |headers| match &spans.codec {
                    Codec::ByHand => table::extract_by_hand(headers),
                    Codec::Stock(propagator) => table::extract(propagator, headers),
                });
                let tag = || {
                    let tag = i64::try_from(message.delivery_tag).unwrap_or(i64::MAX);
                    KeyValue::new("rabbitmq.message.delivery_tag", tag)
                };
                let processed = spans.process(&self.process, received, [tag()]);
                handled(&message)
                    .with_context(processed.context.clone())
                    .await;
                spans.end(&self.process, &processed, || []);
                let settled = spans.settle(&self.settle, &processed, [tag()]);
                message.ack(BasicAckOptions::default()).await?;
                spans.end(&self.settle, &settled, || []);
            }
            self.subscription.end().await?;
            first.context("a delivery")
        })
    }
}
