//! Messages that a stream acknowledges, then fetched, processed and acknowledged.

use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context as _, Result, anyhow};
use async_nats::jetstream::consumer::{PullConsumer, pull};
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::publish::PublishAck;
use async_nats::jetstream::stream::{Config, StorageType};
use async_nats::jetstream::{self, Message};
use async_nats::{Client, HeaderMap, ServerAddr};
use benches::header_map;
use futures::StreamExt as _;
use futures::future::BoxFuture;
use opentelemetry::KeyValue;
use opentelemetry::context::FutureExt as _;
use opentelemetry::trace::SpanKind;
use otel_messaging::nats::jetstream as ours;

use crate::nats::{connect, extracted, injected};
use crate::spans::{Known, Operation, Spans, Started};
use crate::turns::{Broker, Party, Window, header, unique};
use crate::ways::{Providers, Way, Who};
use crate::{CLIENT_ID, GROUP, PAYLOAD};

/// Acknowledgements that are waited for at a time.
const WINDOW: usize = 1_000;
/// Messages of a request for more.
const FETCHED: usize = 500;

pub(crate) struct JetStream {
    address: ServerAddr,
    /// One sends, the other receives.
    clients: [Client; 2],
    context: jetstream::Context,
    streams: Vec<String>,
}

impl JetStream {
    pub(crate) async fn connect(url: &str) -> Result<Self> {
        let (address, clients) = connect(url).await?;
        Ok(Self {
            address,
            context: jetstream::new(clients[0].clone()),
            clients,
            streams: Vec::new(),
        })
    }
}

impl Broker for JetStream {
    const NAME: &'static str = "JetStream";
    const PHASES: [&'static str; 2] = ["send", "receive"];
    const MESSAGES: usize = 8_000;

    async fn party(&mut self, way: Way, providers: &Providers) -> Result<Arc<dyn Party>> {
        let subject = unique("orders");
        let stream = Config {
            name: subject.clone(),
            subjects: vec![subject.clone()],
            storage: StorageType::Memory,
            // Those of old turns go.
            max_messages: i64::try_from(Self::MESSAGES)?,
            ..Config::default()
        };
        self.context.create_stream(stream).await?;
        self.streams.push(subject.clone());
        let [sending, receiving] = self.clients.clone();
        let stream = jetstream::new(receiving.clone())
            .get_stream(&subject)
            .await?;
        let consumer: PullConsumer = stream
            .create_consumer(pull::Config {
                durable_name: Some(GROUP.to_owned()),
                filter_subject: subject.clone(),
                max_ack_pending: i64::try_from(Self::MESSAGES)?,
                ..pull::Config::default()
            })
            .await?;
        let (host, port) = (self.address.host(), self.address.port());
        let context = jetstream::new(sending);
        let subject: &'static str = subject.leak();
        Ok(match way.who {
            Who::Client | Who::ClientWithHeader => Arc::new(Bare {
                context,
                consumer,
                receiving,
                subject,
                has_header: way.who == Who::ClientWithHeader,
            }),
            Who::Ours => {
                let telemetry = providers.telemetry();
                let producer = ours::Producer::wrap(&telemetry, context);
                let consumer = ours::Consumer::wrap(&telemetry, consumer);
                Arc::new(Ours {
                    producer: producer.server(host, port).client_id(CLIENT_ID),
                    consumer: consumer.server(host, port).client_id(CLIENT_ID),
                    receiving,
                    subject,
                })
            }
            Who::ByHand | Who::Stock => {
                let known = Known {
                    system: "nats",
                    host: host.to_owned().leak(),
                    port,
                    client_id: CLIENT_ID,
                    group: Some(GROUP),
                    destination: subject,
                    of_destination: &["messaging.destination.name"],
                    receive: "next",
                    constant: &[],
                };
                Arc::new(Spanned {
                    context,
                    consumer,
                    receiving,
                    subject,
                    publish: known.operation("publish", "send", SpanKind::Producer),
                    process: known.operation("process", "process", SpanKind::Consumer),
                    settle: known.operation("ack", "settle", SpanKind::Client),
                    spans: Spans::of(way, providers),
                })
            }
        })
    }

    async fn leave(self) -> Result<()> {
        for stream in self.streams {
            self.context.delete_stream(stream).await?;
        }
        Ok(())
    }
}

/// What the application does with a message.
async fn handled(message: &Message) {
    std::hint::black_box(&message.payload);
}

fn message() -> PublishMessage {
    PublishMessage::build().payload(PAYLOAD.as_slice().into())
}

struct Bare {
    context: jetstream::Context,
    consumer: PullConsumer,
    receiving: Client,
    subject: &'static str,
    has_header: bool,
}

impl Party for Bare {
    fn send(&self, messages: usize) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            let context = header();
            let mut window = Window::of(WINDOW);
            for _ in 0..messages {
                let mut message = message();
                if self.has_header {
                    let headers = header_map::inject_by_hand(&context, HeaderMap::new());
                    message = message.headers(headers);
                }
                let sent = self.context.send_publish(self.subject, message).await?;
                if let Some(first) = window.push(sent) {
                    first.await?;
                }
            }
            for one in window.rest() {
                one.await?;
            }
            Ok(())
        })
    }

    fn receive(&self, messages: usize) -> BoxFuture<'_, Result<Instant>> {
        Box::pin(async move {
            let mut first = None;
            let mut left = messages;
            while left > 0 {
                let fetch = self.consumer.fetch().max_messages(left.min(FETCHED));
                let mut fetched = fetch.messages().await?;
                while let Some(message) = fetched.next().await {
                    let message = message.map_err(|error| anyhow!(error))?;
                    first.get_or_insert_with(Instant::now);
                    handled(&message).await;
                    message.ack().await.map_err(|error| anyhow!(error))?;
                    left -= 1;
                }
            }
            self.receiving.flush().await?;
            first.context("a message")
        })
    }
}

struct Ours {
    producer: ours::Producer,
    consumer: ours::Consumer<pull::Config>,
    receiving: Client,
    subject: &'static str,
}

impl Party for Ours {
    fn send(&self, messages: usize) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            let mut window = Window::of(WINDOW);
            for _ in 0..messages {
                let sent = self.producer.send_publish(self.subject, message());
                let sent = sent.await?;
                if let Some(first) = window.push(sent) {
                    first.await?;
                }
            }
            for one in window.rest() {
                one.await?;
            }
            Ok(())
        })
    }

    fn receive(&self, messages: usize) -> BoxFuture<'_, Result<Instant>> {
        Box::pin(async move {
            let mut first = None;
            let mut left = messages;
            while left > 0 {
                let fetch = self.consumer.fetch().max_messages(left.min(FETCHED));
                let mut fetched = fetch.messages().await?;
                while let Some(message) = fetched.next().await {
                    let message = message.map_err(|error| anyhow!(error))?;
                    first.get_or_insert_with(Instant::now);
                    message.process(|message| handled(message)).await;
                    message.ack().await.map_err(|error| anyhow!(error))?;
                    left -= 1;
                }
            }
            self.receiving.flush().await?;
            first.context("a message")
        })
    }
}

/// By hand, and with OpenTelemetry's propagators.
struct Spanned {
    context: jetstream::Context,
    consumer: PullConsumer,
    receiving: Client,
    subject: &'static str,
    publish: Operation,
    process: Operation,
    settle: Operation,
    spans: Spans,
}

impl Party for Spanned {
    fn send(&self, messages: usize) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            let mut window = Window::of(WINDOW);
            for _ in 0..messages {
                let started = self.spans.start(&self.publish, []);
                let message = message().headers(injected(&self.spans.codec, &started.context));
                let sent = self.context.send_publish(self.subject, message).await?;
                if let Some((first, started)) = window.push((sent, started)) {
                    self.acknowledged(first.await?, &started);
                }
            }
            for (one, started) in window.rest() {
                self.acknowledged(one.await?, &started);
            }
            Ok(())
        })
    }

    fn receive(&self, messages: usize) -> BoxFuture<'_, Result<Instant>> {
        Box::pin(async move {
            let mut first = None;
            let mut left = messages;
            while left > 0 {
                let fetch = self.consumer.fetch().max_messages(left.min(FETCHED));
                let mut fetched = fetch.messages().await?;
                while let Some(message) = fetched.next().await {
                    let message = message.map_err(|error| anyhow!(error))?;
                    first.get_or_insert_with(Instant::now);
                    self.process(&message).await?;
                    left -= 1;
                }
            }
            self.receiving.flush().await?;
            first.context("a message")
        })
    }
}

impl Spanned {
    fn acknowledged(&self, ack: PublishAck, started: &Started) {
        self.spans.end(&self.publish, started, || {
            in_stream(ack.stream, ack.sequence)
        });
    }

    async fn process(&self, message: &Message) -> Result<()> {
        let spans = &self.spans;
        let received = extracted(&spans.codec, message.headers.as_ref());
        let place = || {
            let info = message.info().map_err(|error| anyhow!(error))?;
            anyhow::Ok(in_stream(info.stream.to_owned(), info.stream_sequence))
        };
        let processed = spans.process(&self.process, received, place()?);
        handled(message)
            .with_context(processed.context.clone())
            .await;
        spans.end(&self.process, &processed, || []);
        let settled = spans.settle(&self.settle, &processed, place()?);
        message.ack().await.map_err(|error| anyhow!(error))?;
        spans.end(&self.settle, &settled, || []);
        Ok(())
    }
}

/// The place of a message in its stream.
fn in_stream(stream: String, sequence: u64) -> [KeyValue; 2] {
    let sequence = i64::try_from(sequence).unwrap_or(i64::MAX);
    [
        KeyValue::new("nats.stream.name", stream),
        KeyValue::new("nats.stream.sequence", sequence),
    ]
}
