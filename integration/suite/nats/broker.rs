//! NATS for the scenarios: core alone, and JetStream.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use async_nats::client::{PublishError, PublishErrorKind};
use async_nats::jetstream::consumer::pull;
use async_nats::jetstream::publish::PublishAck;
use async_nats::jetstream::stream::Config;
use async_nats::{HeaderMap, Subscriber, jetstream as client};
use futures::StreamExt as _;
use futures::lock::Mutex;
use opentelemetry::KeyValue;
use opentelemetry::trace::SpanKind;
use otel_messaging::nats::{self, Messages, jetstream};
use otel_messaging::testing::ExpectedSpan;
use otel_messaging::{Batch, Received, Telemetry};

use super::spans::{
    acknowledged, batch_span, delivered, measured, process_span, publish_span, settle_span,
};
use super::{
    CLIENT_ID, PATIENCE, address, client, identified, in_time, received_headers, server, stream,
    stream_of, subscribed,
};
use crate::metrics::and;
use crate::{Broker, Header, Message, Settler, Spawner, delivered_for, unique};

/// The consumer group of every JetStream consumer here.
pub const DURABLE: &str = "billing";

pub(super) const GROUP: &str = "messaging.consumer.group.name";

type Shared<T> = RefCell<HashMap<String, Rc<Mutex<T>>>>;

/// Wrapped clients of core NATS: one that publishes, and one that has subscribed.
#[derive(Debug)]
pub struct Core {
    pub(super) producer: nats::Producer,
    consumer: nats::Consumer,
    subscriptions: Shared<Messages<Subscriber>>,
}

impl Broker for Core {
    type Receipt = ();
    type Message = async_nats::Message;
    type Error = PublishError;

    async fn connect(telemetry: &Telemetry) -> Self {
        let (address, port) = address();
        Self {
            producer: nats::Producer::wrap(telemetry, client().await)
                .server(&address, port)
                .client_id(CLIENT_ID),
            consumer: nats::Consumer::wrap(telemetry, client().await)
                .server(&address, port)
                .client_id(CLIENT_ID),
            subscriptions: RefCell::default(),
        }
    }

    async fn declare(&self, name: &str) -> String {
        let subject = unique(name);
        let messages = self.consumer.subscribe(subject.clone()).await;
        let messages = Rc::new(Mutex::new(messages.expect("a subscription")));
        subscribed(self.consumer.inner()).await;
        let mut subscriptions = self.subscriptions.borrow_mut();
        subscriptions.insert(subject.clone(), messages);
        subject
    }

    async fn send(&self, subject: &str, message: &Message) {
        self.sender(subject, message).await;
    }

    async fn receive(&self, subject: &str) -> Received<Self::Message> {
        let messages = self.subscriptions.borrow().get(subject).cloned();
        let messages = messages.expect("a declared subject");
        let mut messages = messages.lock().await;
        in_time(messages.next()).await.expect("a message")
    }

    async fn receive_batch(&self, names: [&str; 2]) -> Batch<Self::Message> {
        let shop = unique("shop");
        let messages = self.consumer.subscribe(format!("{shop}.*")).await;
        subscribed(self.consumer.inner()).await;
        for name in names {
            let published = self
                .producer
                .inner()
                .publish(format!("{shop}.{name}"), "".into());
            published.await.expect("a publish");
        }
        let mut batches = messages.expect("a subscription").batches(2, 2 * PATIENCE);
        in_time(batches.recv()).await.expect("a batch")
    }

    fn error() -> Self::Error {
        PublishErrorKind::InvalidSubject.into()
    }

    fn headers(&self, received: &Received<Self::Message>) -> Vec<Header> {
        received_headers(received.headers.as_ref())
    }

    fn send_name(&self, subject: &str) -> String {
        format!("publish {subject}")
    }

    fn process_name(&self, subject: &str) -> String {
        format!("process {subject}")
    }

    fn send_span(&self, subject: &str, _: &Message, (): &()) -> ExpectedSpan {
        identified(publish_span(SpanKind::Producer, subject))
    }

    fn process_span(&self, subject: &str, _: &Received<Self::Message>) -> ExpectedSpan {
        identified(process_span(subject))
    }

    fn batch_span(&self, subject: &str, messages: usize) -> ExpectedSpan {
        identified(batch_span(subject, messages))
    }

    fn in_common(&self, span: ExpectedSpan, _: &Received<Self::Message>) -> ExpectedSpan {
        span
    }

    fn on_link(&self, _: &Received<Self::Message>) -> Vec<KeyValue> {
        Vec::new()
    }

    fn sent(&self, subject: &str) -> Vec<KeyValue> {
        at_server(measured("publish", subject))
    }

    fn consumed(&self, subject: &str) -> Vec<KeyValue> {
        at_server(measured("next", subject))
    }

    fn processed(&self, subject: &str) -> Vec<KeyValue> {
        at_server(measured("process", subject))
    }
}

impl Spawner for Core {
    fn sender(
        &self,
        subject: &str,
        message: &Message,
    ) -> impl Future<Output = ()> + Send + 'static {
        let (producer, subject, message) =
            (self.producer.clone(), subject.to_owned(), message.clone());
        async move {
            let payload = message.payload.clone().into();
            let published = producer.publish_with_headers(subject, headers(&message), payload);
            published.await.expect("a publish");
        }
    }
}

/// Wrapped clients of JetStream: each destination is the one subject of a stream, with a durable
/// pull consumer.
#[derive(Debug)]
pub struct JetStream {
    telemetry: Telemetry,
    pub(super) producer: jetstream::Producer,
    messages: Shared<Messages<pull::Stream>>,
}

impl JetStream {
    /// The consumer of the stream of a subject.
    pub(super) async fn consumer(&self, subject: &str) -> jetstream::Consumer {
        let stream = self.producer.inner().get_stream(subject).await;
        let stream = stream.expect("a declared subject");
        let consumer = stream.create_consumer(pull::Config {
            durable_name: Some(DURABLE.to_owned()),
            filter_subject: subject.to_owned(),
            // Nothing is acknowledged, however much is received.
            max_ack_pending: -1,
            ack_wait: 4 * PATIENCE,
            ..pull::Config::default()
        });
        let consumer = consumer.await.expect("a consumer");
        let (address, port) = address();
        jetstream::Consumer::wrap(&self.telemetry, consumer)
            .server(&address, port)
            .client_id(CLIENT_ID)
    }
}

impl Broker for JetStream {
    type Receipt = PublishAck;
    type Message = client::Message;
    type Error = client::context::PublishError;

    async fn connect(telemetry: &Telemetry) -> Self {
        let (address, port) = address();
        let context = client::new(client().await);
        Self {
            telemetry: telemetry.clone(),
            producer: jetstream::Producer::wrap(telemetry, context)
                .server(&address, port)
                .client_id(CLIENT_ID),
            messages: RefCell::default(),
        }
    }

    async fn declare(&self, name: &str) -> String {
        let subject = unique(name);
        let config = Config {
            name: subject.clone(),
            subjects: vec![subject.clone()],
            ..Config::default()
        };
        stream_of(self.producer.inner(), config).await;
        let consumer = self.consumer(&subject).await;
        let messages = consumer.messages().await.expect("messages");
        let messages = Rc::new(Mutex::new(messages));
        self.messages.borrow_mut().insert(subject.clone(), messages);
        subject
    }

    async fn send(&self, subject: &str, message: &Message) -> PublishAck {
        self.sender(subject, message).await
    }

    async fn receive(&self, subject: &str) -> Received<Self::Message> {
        let messages = self.messages.borrow().get(subject).cloned();
        let messages = messages.expect("a declared subject");
        let mut messages = messages.lock().await;
        in_time(messages.next())
            .await
            .expect("a message")
            .expect("a message without error")
    }

    async fn receive_batch(&self, names: [&str; 2]) -> Batch<Self::Message> {
        let stream = stream(self.producer.inner(), "shop").await;
        let shop = &stream.cached_info().config.name;
        for name in names {
            let subject = format!("{shop}.{name}");
            let published = self.producer.inner().publish(subject, "".into()).await;
            published
                .expect("a publish")
                .await
                .expect("an acknowledgement");
        }
        let consumer = stream.create_consumer(pull::Config::default()).await;
        let consumer = consumer.expect("a consumer");
        let consumer = jetstream::Consumer::wrap(&self.telemetry, consumer);
        let messages = consumer.messages().await.expect("messages");
        let mut batches = messages.batches(2, 2 * PATIENCE);
        let batch = in_time(batches.recv()).await.expect("a batch");
        batch.expect("a batch without error")
    }

    fn error() -> Self::Error {
        client::context::PublishErrorKind::BrokenPipe.into()
    }

    fn headers(&self, received: &Received<Self::Message>) -> Vec<Header> {
        received_headers(received.headers.as_ref())
    }

    fn send_name(&self, subject: &str) -> String {
        format!("publish {subject}")
    }

    fn process_name(&self, subject: &str) -> String {
        format!("process {subject}")
    }

    fn send_span(&self, subject: &str, _: &Message, ack: &PublishAck) -> ExpectedSpan {
        identified(acknowledged(publish_span(SpanKind::Producer, subject), ack))
    }

    fn process_span(&self, subject: &str, received: &Received<Self::Message>) -> ExpectedSpan {
        identified(delivered(process_span(subject), received)).attribute(GROUP, DURABLE)
    }

    fn batch_span(&self, subject: &str, messages: usize) -> ExpectedSpan {
        identified(batch_span(subject, messages)).attribute(GROUP, DURABLE)
    }

    fn in_common(&self, span: ExpectedSpan, received: &Received<Self::Message>) -> ExpectedSpan {
        let info = received.info().expect("a message of JetStream");
        let span = span.attribute("nats.stream.name", info.stream.to_owned());
        delivered_for(info.delivered, span)
    }

    fn on_link(&self, received: &Received<Self::Message>) -> Vec<KeyValue> {
        let info = received.info().expect("a message of JetStream");
        let sequence = i64::try_from(info.stream_sequence).expect("a small number");
        vec![KeyValue::new("nats.stream.sequence", sequence)]
    }

    fn sent(&self, subject: &str) -> Vec<KeyValue> {
        at_server(measured("publish", subject))
    }

    fn consumed(&self, subject: &str) -> Vec<KeyValue> {
        and(at_server(measured("next", subject)), GROUP, DURABLE)
    }

    fn processed(&self, subject: &str) -> Vec<KeyValue> {
        and(at_server(measured("process", subject)), GROUP, DURABLE)
    }
}

impl Spawner for JetStream {
    fn sender(
        &self,
        subject: &str,
        message: &Message,
    ) -> impl Future<Output = PublishAck> + Send + 'static {
        let (producer, subject, message) =
            (self.producer.clone(), subject.to_owned(), message.clone());
        async move {
            let payload = message.payload.clone().into();
            let published = producer.publish_with_headers(subject, headers(&message), payload);
            let acknowledged = published.await.expect("a publish");
            acknowledged.await.expect("an acknowledgement")
        }
    }
}

impl Settler for JetStream {
    async fn receive_unsettled(&self, subject: &str) -> Received<Self::Message> {
        self.receive(subject).await
    }

    async fn settle(&self, received: &Received<Self::Message>) {
        received.double_ack().await.expect("an acknowledgement");
    }

    fn settle_name(&self, subject: &str) -> String {
        format!("double_ack {subject}")
    }

    fn settle_span(&self, subject: &str, received: &Received<Self::Message>) -> ExpectedSpan {
        let info = received.info().expect("a message of JetStream");
        let sequence = i64::try_from(info.stream_sequence).expect("a small number");
        identified(settle_span("double_ack", subject))
            .attribute(GROUP, DURABLE)
            .attribute("nats.stream.name", info.stream.to_owned())
            .attribute("nats.stream.sequence", sequence)
    }
}

pub(super) fn headers(message: &Message) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in &message.headers {
        let name = str::from_utf8(name).expect("a name that NATS can carry");
        let value = value.as_ref().expect("NATS has no null values");
        let value = str::from_utf8(value).expect("a value that NATS can carry");
        map.append(name, value);
    }
    map
}

fn at_server(mut attributes: Vec<KeyValue>) -> Vec<KeyValue> {
    attributes.extend(server());
    attributes
}
