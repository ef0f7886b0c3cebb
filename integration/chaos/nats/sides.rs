//! JetStream's context and pull consumer, bare and wrapped. The client connects again by itself.

use std::time::Duration;

use async_nats::ConnectOptions;
use async_nats::jetstream::consumer::pull::{self, MessagesError};
use async_nats::jetstream::consumer::{AckPolicy, PullConsumer};
use async_nats::jetstream::context::{Context, ContextBuilder, GetStreamErrorKind, PublishError};
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::{AckKind, Message};
use futures::StreamExt as _;
use futures::future::join_all;
use otel_messaging::nats::{Messages, jetstream};
use otel_messaging::{Received, Telemetry};
use tokio::time::timeout;

use crate::load::{LINGER, Ledger, PATIENCE, Sent, Side};

/// How long the server waits for an acknowledgement.
pub(crate) const ACK_WAIT: Duration = Duration::from_secs(4);
/// How long a server may take to answer.
const ANSWER: Duration = Duration::from_secs(1);

/// A stream, and how a context is used: bare or wrapped.
pub(crate) struct Clients<U> {
    context: Context,
    stream: String,
    usage: U,
}

/// The bare client.
pub(crate) struct Bare;

/// The wrapped one.
pub(crate) struct Wrapped {
    telemetry: Telemetry,
    producer: jetstream::Producer,
}

/// A client of one of these servers, the first one that is there, which soon connects again.
pub(crate) async fn connect(urls: &[String]) -> async_nats::Client {
    let options = ConnectOptions::new()
        .reconnect_delay_callback(|_| Duration::from_millis(20))
        .connection_timeout(ANSWER)
        .retry_on_initial_connect()
        .retain_servers_order()
        .max_reconnects(None);
    options.connect(urls).await.expect("it connects later")
}

pub(crate) async fn context(urls: &[String]) -> Context {
    ContextBuilder::new()
        .timeout(ANSWER)
        .ack_timeout(ANSWER)
        .build(connect(urls).await)
}

impl Clients<Bare> {
    /// Clients for a stream of theirs.
    pub(crate) async fn bare(urls: &[String], stream: String) -> Self {
        let context = context(urls).await;
        let usage = Bare;
        Self {
            context,
            stream,
            usage,
        }
    }
}

impl Clients<Wrapped> {
    /// Clients for a stream of theirs.
    pub(crate) async fn wrapped(urls: &[String], stream: String, telemetry: Telemetry) -> Self {
        let context = context(urls).await;
        let producer = jetstream::Producer::wrap(&telemetry, context.clone());
        let usage = Wrapped {
            telemetry,
            producer,
        };
        Self {
            context,
            stream,
            usage,
        }
    }
}

impl<U> Clients<U> {
    fn subject(&self) -> String {
        format!("{}.orders", self.stream)
    }

    /// The consumer of the stream, which is made where it is not there.
    async fn consumer(&self) -> Result<PullConsumer, String> {
        let looking = async {
            let stream = self.context.get_stream(&self.stream).await;
            let stream = stream.map_err(|error| match error.kind() {
                GetStreamErrorKind::JetStream(error) => format!("{:?}", error.error_code()),
                kind => format!("{kind:?}"),
            })?;
            let config = pull::Config {
                durable_name: Some("billing".to_owned()),
                ack_policy: AckPolicy::Explicit,
                ack_wait: ACK_WAIT,
                ..pull::Config::default()
            };
            let consumer = stream.get_or_create_consumer("billing", config).await;
            consumer.map_err(|error| format!("{:?}", error.kind()))
        };
        let found = timeout(PATIENCE, looking).await;
        found.unwrap_or_else(|_| Err("no answer".to_owned()))
    }
}

fn kind(error: &PublishError) -> String {
    format!("{:?}", error.kind())
}

fn ack_kind(error: &async_nats::Error) -> String {
    error.to_string()
}

fn ended(error: Option<&MessagesError>) -> String {
    let how = error.map_or_else(|| "end".to_owned(), |error| format!("{:?}", error.kind()));
    format!("receive {how}")
}

/// How a stream of messages is asked for, the same for both.
macro_rules! asked {
    ($consumer:expr) => {
        $consumer
            .stream()
            .max_messages_per_batch(100)
            .expires(Duration::from_secs(2))
            .heartbeat(Duration::from_millis(500))
            .messages()
    };
}

impl Side for Clients<Bare> {
    async fn send(&self, bodies: &[Vec<u8>]) -> Result<Vec<Sent>, String> {
        // One after the other, and then all acknowledgements, as the wrapped one does it under one call.
        let mut acks = Vec::new();
        for body in bodies {
            let published = self.context.publish(self.subject(), body.clone().into());
            acks.push(published.await);
        }
        let published = acks.into_iter().map(async |ack| ack?.await.map(drop));
        let published = join_all(published).await;
        let outcomes = published.into_iter();
        let outcomes = outcomes.map(|sent| sent.map_err(|error: PublishError| kind(&error)));
        Ok(outcomes.collect())
    }

    async fn consume(&self, ledger: &Ledger) {
        while ledger.again().await {
            let messages = match self.consumer().await {
                Ok(consumer) => asked!(consumer).await.map_err(|error| error.to_string()),
                Err(error) => Err(error),
            };
            let mut messages = match messages {
                Ok(messages) => messages,
                Err(error) => {
                    ledger.error(format!("connect {error}"));
                    continue;
                }
            };
            loop {
                let next = tokio::select! {
                    biased;
                    () = ledger.finished() => return,
                    next = messages.next() => next,
                };
                let (taken, end) = ledger.together(next, &mut messages).await;
                let bodies: Vec<_> = taken.iter().map(|one| &one.payload[..]).collect();
                if !bodies.is_empty() {
                    ledger.handle(&bodies).await;
                }
                for message in &taken {
                    let ack = message.ack_with(AckKind::Ack);
                    ledger.settle(ack_kind, ack).await;
                }
                if let Some(error) = end {
                    ledger.error(ended(error.as_ref()));
                    break;
                }
            }
        }
    }
}

impl Side for Clients<Wrapped> {
    async fn send(&self, bodies: &[Vec<u8>]) -> Result<Vec<Sent>, String> {
        let producer = &self.usage.producer;
        let outcome = |sent: Result<_, PublishError>| sent.map_err(|error| kind(&error));
        if let [body] = bodies {
            let published = producer.publish(self.subject(), body.clone().into());
            let published = async { published.await?.await.map(drop) };
            return Ok(vec![outcome(published.await)]);
        }
        let messages = bodies.iter().map(|body| {
            let message = PublishMessage::build().payload(body.clone().into());
            (self.subject(), message)
        });
        let published = producer.publish_batch(messages).await;
        let published = published.into_iter();
        Ok(published.map(|sent| outcome(sent.map(drop))).collect())
    }

    async fn consume(&self, ledger: &Ledger) {
        while ledger.again().await {
            let messages = match self.consumer().await {
                Ok(consumer) => {
                    let consumer = jetstream::Consumer::wrap(&self.usage.telemetry, consumer);
                    asked!(consumer).await.map_err(|error| error.to_string())
                }
                Err(error) => Err(error),
            };
            let messages = match messages {
                Ok(messages) => messages,
                Err(error) => {
                    ledger.error(format!("connect {error}"));
                    continue;
                }
            };
            if ledger.plan.together > 1 {
                batches(ledger, messages).await;
            } else {
                one_by_one(ledger, messages).await;
            }
        }
    }
}

async fn one_by_one(ledger: &Ledger, mut messages: Messages<pull::Stream>) {
    loop {
        let next = tokio::select! {
            biased;
            () = ledger.finished() => return,
            next = messages.next() => next,
        };
        let message = match next {
            Some(Ok(message)) => message,
            other => return ledger.error(ended(other.and_then(Result::err).as_ref())),
        };
        ledger.operation("process", 1);
        let handle = async |message: &Received<Message>| ledger.handle(&[&message.payload]).await;
        message.process(handle).await;
        ledger.settle(ack_kind, message.ack()).await;
    }
}

async fn batches(ledger: &Ledger, messages: Messages<pull::Stream>) {
    let mut batches = messages.batches(ledger.plan.together, LINGER);
    loop {
        let next = tokio::select! {
            biased;
            () = ledger.finished() => return,
            next = batches.recv() => next,
        };
        if next.is_some() {
            ledger.operation("receive", 1);
        }
        let batch = match next {
            Some(Ok(batch)) => batch,
            other => return ledger.error(ended(other.and_then(Result::err).as_ref())),
        };
        ledger.operation("process", 1);
        batch
            .process(async |batch| {
                let bodies: Vec<_> = batch.iter().map(|one| &one.payload[..]).collect();
                ledger.handle(&bodies).await;
            })
            .await;
        for message in &batch {
            ledger.settle(ack_kind, message.ack()).await;
        }
    }
}
