//! What spans and metrics of NATS have.

use async_nats::jetstream::Message;
use async_nats::jetstream::publish::PublishAck;
use opentelemetry::KeyValue;
use opentelemetry::trace::SpanKind;
use otel_messaging::testing::ExpectedSpan;

use crate::delivered_for;
use crate::whole;

/// A subject in a span.
#[derive(Clone, Debug)]
pub struct Subject {
    text: String,
    template: Option<String>,
    is_temporary: bool,
}

impl From<&str> for Subject {
    fn from(text: &str) -> Self {
        Self {
            text: text.to_owned(),
            template: None,
            is_temporary: false,
        }
    }
}

impl Subject {
    /// One of the subjects that a pattern stands for.
    pub fn one_of(text: &str, pattern: &str) -> Self {
        Self {
            template: Some(pattern.to_owned()),
            ..Self::from(text)
        }
    }

    /// An inbox of the client's.
    pub fn inbox(text: &str) -> Self {
        Self {
            is_temporary: true,
            ..Self::one_of(text, "_INBOX")
        }
    }

    pub(super) fn span(
        &self,
        verb: &'static str,
        operation_type: &'static str,
        kind: SpanKind,
    ) -> ExpectedSpan {
        let name = self.template.as_ref().unwrap_or(&self.text);
        let mut span = without_subject(verb, operation_type, kind).named(format!("{verb} {name}"));
        span = span.attribute("messaging.destination.name", self.text.clone());
        if let Some(template) = &self.template {
            span = span.attribute("messaging.destination.template", template.clone());
        }
        if self.is_temporary {
            span = span.attribute("messaging.destination.temporary", true);
        }
        span
    }
}

/// What a span of any operation has, whatever it is about.
pub fn without_subject(
    verb: &'static str,
    operation_type: &'static str,
    kind: SpanKind,
) -> ExpectedSpan {
    whole::span(verb, kind)
        .attribute("messaging.system.name", "nats")
        .attribute("messaging.operation.name", verb)
        .attribute("messaging.operation.type", operation_type)
}

/// The whole span of publishing, with nothing known but the subject.
pub fn publish_span(kind: SpanKind, subject: impl Into<Subject>) -> ExpectedSpan {
    subject.into().span("publish", "send", kind)
}

/// The whole span of a request.
pub fn request_span(subject: impl Into<Subject>) -> ExpectedSpan {
    subject.into().span("request", "send", SpanKind::Producer)
}

/// The whole span of processing a message of core NATS.
pub fn process_span(subject: impl Into<Subject>) -> ExpectedSpan {
    subject
        .into()
        .span("process", "process", SpanKind::Consumer)
}

/// What any process span of a batch has.
pub fn batch_span(subject: &str, messages: usize) -> ExpectedSpan {
    let count = i64::try_from(messages).expect("a number of messages");
    process_span(subject).attribute("messaging.batch.message_count", count)
}

/// Attributes with which what is done to a subject is measured, without a group.
pub fn measured(operation: &'static str, subject: &str) -> Vec<KeyValue> {
    vec![
        KeyValue::new("messaging.system.name", "nats"),
        KeyValue::new("messaging.operation.name", operation),
        KeyValue::new("messaging.destination.name", subject.to_owned()),
    ]
}

/// The span of receiving, as far as it is known of any.
pub fn receive_span(subject: impl Into<Subject>) -> ExpectedSpan {
    subject.into().span("next", "receive", SpanKind::Client)
}

/// The whole span of settling a message.
pub fn settle_span(verb: &'static str, subject: impl Into<Subject>) -> ExpectedSpan {
    subject.into().span(verb, "settle", SpanKind::Client)
}

/// What the acknowledgement of a stream adds to a publish span.
pub fn acknowledged(span: ExpectedSpan, ack: &PublishAck) -> ExpectedSpan {
    let sequence = i64::try_from(ack.sequence).expect("a small number");
    span.attribute("nats.stream.name", ack.stream.clone())
        .attribute("nats.stream.sequence", sequence)
}

/// What JetStream adds to the span of processing.
pub fn delivered(span: ExpectedSpan, message: &Message) -> ExpectedSpan {
    let info = message.info().expect("a message of JetStream");
    let sequence = i64::try_from(info.stream_sequence).expect("a small number");
    let span = span
        .attribute("nats.stream.name", info.stream.to_owned())
        .attribute("nats.stream.sequence", sequence);
    delivered_for(info.delivered, span)
}
