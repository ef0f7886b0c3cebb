//! Offset commits.

use opentelemetry::Context;
use rdkafka::error::KafkaResult;
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::topic_partition_list::TopicPartitionList;

use super::envelope::{ClientInfo, error_type, offset};
use crate::envelope::Envelope;
use crate::link::Relation;
use crate::received::start_settle;
use crate::semconv::operation::Operation;
use crate::span::Running;

const COMMIT: &str = "commit";

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
        let running = start_settle(message, self, COMMIT, &ambient);
        running.record(|| [offset(message.offset())]);
        self.finish(running, commit())
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
        let destination = topic.map(|topic| self.destination(topic));
        let envelope = Envelope {
            client: &self.client,
            operation: Operation::Settle,
            operation_name: COMMIT,
            destination: destination.as_ref(),
            partition,
            batch: None,
        };
        let running = Running::start(&envelope, Relation::inside(ambient));
        self.finish(running, commit())
    }

    /// Ends the span with what the client answered. For an asynchronous commit that is only whether
    /// the request was taken.
    fn finish(&self, mut running: Running, result: KafkaResult<()>) -> KafkaResult<()> {
        running.record(|| self.cluster_id());
        if let Err(error) = &result {
            running.fail(error_type(error), error.to_string());
        }
        result
    }
}
