//! Offset commits.

use opentelemetry::Context;
use rdkafka::error::KafkaResult;
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::topic_partition_list::TopicPartitionList;

use super::carrier::MessageHeaders as _;
use super::envelope::{ClientInfo, error_type, offset};
use crate::envelope::Envelope;
use crate::link::Relation;
use crate::semconv::operation::Operation;
use crate::span::OpenSpan;

impl ClientInfo {
    /// Commits one message in a span that belongs to the message's trace.
    pub(super) fn commit_message(
        &self,
        message: &BorrowedMessage<'_>,
        commit: impl FnOnce() -> KafkaResult<()>,
    ) -> KafkaResult<()> {
        let ambient = Context::current();
        if ambient.is_telemetry_suppressed() {
            return commit();
        }
        let received = self
            .telemetry
            .propagation()
            .extract(&ambient, message.borrowed_headers());
        let envelope = self.committed(Some(message.topic()), Some(message.partition()));
        let span = self.settle(&envelope, Relation::handling(&ambient, received));
        span.record(|| [offset(message.offset())]);
        finish(span, commit())
    }

    /// Commits a list of offsets; the span names the topic and the partition if there is just one.
    pub(super) fn commit_offsets(
        &self,
        offsets: Option<&TopicPartitionList>,
        commit: impl FnOnce() -> KafkaResult<()>,
    ) -> KafkaResult<()> {
        let ambient = Context::current();
        if ambient.is_telemetry_suppressed() {
            return commit();
        }
        let elements = offsets
            .map(TopicPartitionList::elements)
            .unwrap_or_default();
        let first = elements.first();
        let topic = first
            .map(|first| first.topic())
            .filter(|topic| elements.iter().all(|element| element.topic() == *topic));
        let partition = first
            .filter(|_| elements.len() == 1)
            .map(|only| only.partition());
        let envelope = self.committed(topic, partition);
        let span = self.settle(&envelope, Relation::inside(ambient));
        finish(span, commit())
    }

    fn settle(&self, envelope: &Envelope<'_>, relation: Relation) -> OpenSpan {
        let span = OpenSpan::start(&self.telemetry, Operation::Settle, envelope, relation);
        span.record(|| self.cluster_id());
        span
    }
}

/// Ends the span with what the client answered. For an asynchronous commit that is only whether the
/// request was taken.
fn finish(span: OpenSpan, result: KafkaResult<()>) -> KafkaResult<()> {
    if let Err(error) = &result {
        span.fail(error_type(error), error.to_string());
    }
    drop(span);
    result
}
