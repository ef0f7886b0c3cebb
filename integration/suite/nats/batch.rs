//! NATS for the scenarios of messages that are sent under one call.

use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::publish::PublishAck;
use async_nats::message::OutboundMessage;
use opentelemetry::trace::SpanKind;
use opentelemetry::{Context, KeyValue};
use otel_messaging::testing::ExpectedSpan;

use super::broker::{Core, JetStream, headers};
use super::{Subject, acknowledged, at_server, identified, publish_span};
use crate::{BatchSender, Message, Refuser};

impl BatchSender for Core {
    async fn send_to(&self, messages: &[(&str, &Message)]) -> Vec<()> {
        let messages = messages.iter();
        let messages = messages.map(|(subject, message)| outbound(subject, message));
        let results = self.producer.publish_batch(messages).await.into_iter();
        results.map(|result| result.expect("a publish")).collect()
    }

    async fn send_in(&self, subject: &str, messages: &[(Context, Message)]) -> Vec<()> {
        let messages = messages.iter();
        let messages =
            messages.map(|(context, message)| (context.clone(), outbound(subject, message)));
        let publishing = self.producer.publish_batch_with_contexts(messages);
        let results = publishing.await.into_iter();
        results.map(|result| result.expect("a publish")).collect()
    }

    fn create_span(&self, subject: &str, _: &Message, (): &()) -> ExpectedSpan {
        at_server(create_span(subject))
    }

    fn sent_batch(&self, kind: SpanKind, subject: &str, messages: usize) -> ExpectedSpan {
        identified(sent_batch(kind, subject, messages))
    }

    fn on_sent_link(&self, _: &Message) -> Vec<KeyValue> {
        Vec::new()
    }
}

impl BatchSender for JetStream {
    async fn send_to(&self, messages: &[(&str, &Message)]) -> Vec<PublishAck> {
        let messages = messages.iter();
        let messages = messages.map(|(subject, one)| ((*subject).to_owned(), publish(one)));
        let results = self.producer.publish_batch(messages).await.into_iter();
        results.map(|result| result.expect("an ack")).collect()
    }

    async fn send_in(&self, subject: &str, messages: &[(Context, Message)]) -> Vec<PublishAck> {
        let messages = messages.iter();
        let messages = messages
            .map(|(context, message)| (context.clone(), (subject.to_owned(), publish(message))));
        let publishing = self.producer.publish_batch_with_contexts(messages);
        let results = publishing.await.into_iter();
        results.map(|result| result.expect("an ack")).collect()
    }

    fn create_span(&self, subject: &str, _: &Message, ack: &PublishAck) -> ExpectedSpan {
        acknowledged(at_server(create_span(subject)), ack)
    }

    fn sent_batch(&self, kind: SpanKind, subject: &str, messages: usize) -> ExpectedSpan {
        // The stream has the name of its only subject.
        identified(sent_batch(kind, subject, messages))
            .attribute("nats.stream.name", subject.to_owned())
    }

    fn on_sent_link(&self, _: &Message) -> Vec<KeyValue> {
        Vec::new()
    }
}

impl Refuser for Core {
    const REFUSED: &'static str = "max_payload_exceeded";

    async fn refuse(&self, subject: &str) -> ExpectedSpan {
        let too_much = vec![0; self.producer.inner().max_payload() + 1];
        let published = self.producer.publish(subject.to_owned(), too_much.into());
        published.await.expect_err("a message that is too large");
        identified(publish_span(SpanKind::Producer, subject))
    }

    async fn refuse_batch(&self, subject: &str, messages: usize) -> ExpectedSpan {
        let too_much = vec![0; self.producer.inner().max_payload() + 1];
        let orders = (0..messages).map(|_| OutboundMessage {
            subject: subject.into(),
            payload: too_much.clone().into(),
            reply: None,
            headers: None,
        });
        for result in self.producer.publish_batch(orders).await {
            result.expect_err("a message that is too large");
        }
        identified(sent_batch(SpanKind::Client, subject, messages))
    }

    async fn refuse_in(&self, subject: &str, contexts: Vec<Context>) {
        let too_much = Message {
            payload: vec![0; self.producer.inner().max_payload() + 1],
            ..Message::new("order-7")
        };
        let contexts = contexts.into_iter();
        let orders = contexts.map(|context| (context, outbound(subject, &too_much)));
        for result in self.producer.publish_batch_with_contexts(orders).await {
            result.expect_err("a message that is too large");
        }
    }
}

impl Refuser for JetStream {
    const REFUSED: &'static str = "max_payload_exceeded";

    async fn refuse(&self, subject: &str) -> ExpectedSpan {
        let too_much = vec![0; self.producer.inner().client().max_payload() + 1];
        let published = self.producer.publish(subject.to_owned(), too_much.into());
        published.await.expect_err("a message that is too large");
        identified(publish_span(SpanKind::Producer, subject))
    }

    async fn refuse_batch(&self, subject: &str, messages: usize) -> ExpectedSpan {
        let too_much = vec![0; self.producer.inner().client().max_payload() + 1];
        let order = PublishMessage::build().payload(too_much.into());
        let orders = (0..messages).map(|_| (subject.to_owned(), order.clone()));
        for result in self.producer.publish_batch(orders).await {
            result.expect_err("a message that is too large");
        }
        identified(sent_batch(SpanKind::Client, subject, messages))
    }

    async fn refuse_in(&self, subject: &str, contexts: Vec<Context>) {
        let too_much = vec![0; self.producer.inner().client().max_payload() + 1];
        let order = PublishMessage::build().payload(too_much.into());
        let contexts = contexts.into_iter();
        let orders = contexts.map(|context| (context, (subject.to_owned(), order.clone())));
        for result in self.producer.publish_batch_with_contexts(orders).await {
            result.expect_err("a message that is too large");
        }
    }
}

fn outbound(subject: &str, message: &Message) -> OutboundMessage {
    OutboundMessage {
        subject: subject.into(),
        payload: message.payload.clone().into(),
        reply: None,
        headers: Some(headers(message)),
    }
}

fn publish(message: &Message) -> PublishMessage {
    let publish = PublishMessage::build().payload(message.payload.clone().into());
    publish.headers(headers(message))
}

fn create_span(subject: &str) -> ExpectedSpan {
    Subject::from(subject).span("create", "create", SpanKind::Producer)
}

fn sent_batch(kind: SpanKind, subject: &str, messages: usize) -> ExpectedSpan {
    let count = i64::try_from(messages).expect("a number of messages");
    publish_span(kind, subject).attribute("messaging.batch.message_count", count)
}
