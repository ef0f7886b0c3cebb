//! What the tests have in common: a stream of orders, and what lies in it.

use async_nats::HeaderMap;
use async_nats::jetstream::consumer::{FromConsumer, IntoConsumerConfig};
use async_nats::jetstream::publish::PublishAck;
use async_nats::jetstream::stream::{self, Stream};
use async_nats::jetstream::{Context, Message};
use futures::StreamExt as _;
use integration::nats::Subject;
use integration::nats::{client, header_map, in_time, stream_of};
use integration::unique;
use opentelemetry::KeyValue;
use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceId, TraceState};
use otel_messaging::Received;
use otel_messaging::Telemetry;
use otel_messaging::nats::Messages;
use otel_messaging::nats::jetstream::Consumer;
use otel_messaging::testing::ExpectedSpan;

pub(crate) const CONSUMED: &str = "messaging.client.consumed.messages";
pub(crate) const FRESH: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
pub(crate) const STALE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// The context that a sampled traceparent names.
pub(crate) fn named(traceparent: &str) -> SpanContext {
    let mut fields = traceparent.split('-').skip(1);
    let mut field = || fields.next().expect("a field");
    SpanContext::new(
        TraceId::from_hex(field()).expect("a trace id"),
        SpanId::from_hex(field()).expect("a span id"),
        TraceFlags::SAMPLED,
        true,
        TraceState::NONE,
    )
}

pub(crate) fn traceparent(context: &SpanContext) -> String {
    format!("00-{}-{}-01", context.trace_id(), context.span_id())
}

/// The only value of a header.
pub(crate) fn only<'a>(headers: Option<&'a HeaderMap>, name: &'static str) -> Option<&'a str> {
    let mut values = headers?.get_all(name);
    let value = values.next()?;
    assert!(values.next().is_none(), "{name} is there once");
    Some(value.as_str())
}

/// Headers that carry [`FRESH`].
pub(crate) fn fresh() -> HeaderMap {
    header_map(&[("traceparent", FRESH)])
}

/// A span in the trace of [`FRESH`].
pub(crate) fn of_fresh(span: ExpectedSpan) -> ExpectedSpan {
    span.child_of(&named(FRESH)).link(&named(FRESH))
}

/// Attributes of a metric of receiving.
pub(crate) fn receiving(more: &[(&'static str, &str)]) -> Vec<KeyValue> {
    let mut attributes = vec![
        KeyValue::new("messaging.system.name", "nats"),
        KeyValue::new("messaging.operation.name", "next"),
    ];
    let more = more.iter();
    attributes.extend(more.map(|(key, value)| KeyValue::new(*key, (*value).to_owned())));
    attributes
}

/// A stream of all subjects below its name.
pub(crate) struct Orders {
    pub(crate) context: Context,
    pub(crate) stream: Stream,
    pub(crate) name: String,
}

impl Orders {
    pub(crate) async fn open() -> Self {
        Self::with(stream::Config::default()).await
    }

    pub(crate) async fn with(config: stream::Config) -> Self {
        let context = async_nats::jetstream::new(client().await);
        let name = unique("orders");
        let name_of_stream = name.clone();
        let config = stream::Config {
            name: name_of_stream,
            ..config
        };
        let stream = stream_of(&context, config).await;
        Self {
            context,
            stream,
            name,
        }
    }

    pub(crate) fn subject(&self, order: &str) -> String {
        format!("{}.{order}", self.name)
    }

    /// A subject as it is known to a consumer of all of them.
    pub(crate) fn of_all(&self, order: &str) -> Subject {
        Subject::one_of(&self.subject(order), &self.subject("*"))
    }

    /// Publishes by the bare client.
    pub(crate) async fn publish(&self, order: &str, headers: HeaderMap) -> PublishAck {
        self.context
            .publish_with_headers(self.subject(order), headers, "two books".into())
            .await
            .expect("a publish")
            .await
            .expect("an acknowledgement")
    }

    /// A wrapped consumer.
    pub(crate) async fn consumer<C>(&self, telemetry: &Telemetry, config: C) -> Consumer<C>
    where
        C: IntoConsumerConfig + FromConsumer,
    {
        let consumer = self.stream.create_consumer(config).await;
        Consumer::wrap(telemetry, consumer.expect("a consumer"))
    }
}

/// The next message of a stream of JetStream's.
pub(crate) async fn next<S, E>(messages: &mut Messages<S>) -> Received<Message>
where
    S: futures::Stream<Item = Result<Message, E>> + Unpin,
    E: std::fmt::Debug + std::fmt::Display + 'static,
{
    in_time(messages.next())
        .await
        .expect("a message")
        .expect("a message without error")
}
