//! The span of a record, from hand-over to delivery report.

use std::mem;
use std::sync::Arc;

use opentelemetry::Context;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, OwnedHeaders, ToBytes};

use crate::engine::operation::Operation;
use crate::engine::sending::Sending;
use crate::kafka::attributes::{ClientInfo, content, error_type, offset};
use crate::kafka::carrier::{Given, RecordHeaders, record_limit};
use crate::semconv::operation_type::OperationType;

/// What a record of any client says of itself, beside its headers.
#[derive(Clone, Copy)]
pub(super) struct Record<'a> {
    pub(super) topic: &'a str,
    pub(super) partition: Option<i32>,
    pub(super) key: Option<&'a [u8]>,
    pub(super) payload: Option<&'a [u8]>,
}

impl<'a> Record<'a> {
    pub(super) fn new<K, V>(
        topic: &'a str,
        partition: Option<i32>,
        key: Option<&'a K>,
        payload: Option<&'a V>,
    ) -> Self
    where
        K: ToBytes + ?Sized,
        V: ToBytes + ?Sized,
    {
        Self {
            topic,
            partition,
            key: key.map(ToBytes::to_bytes),
            payload: payload.map(ToBytes::to_bytes),
        }
    }
}

/// A record that was handed to the client. Dropped, its span ends without an outcome.
#[derive(Debug)]
pub(super) struct SendingRecord {
    /// None where telemetry has nothing to do with the record.
    sending: Option<Sending>,
    given: Given,
    info: Arc<ClientInfo>,
}

impl SendingRecord {
    /// Starts the span and gives the record its context.
    pub(super) fn start(
        info: &Arc<ClientInfo>,
        ambient: Context,
        record: Record<'_>,
        headers: &mut Option<OwnedHeaders>,
    ) -> Self {
        let destination = info.destination(record.topic);
        let operation = Operation {
            client: &info.client,
            operation_type: OperationType::Send,
            operation_name: "send",
            destination: Some(&destination),
            // librdkafka's number for no partition, as in a record that comes back, is negative.
            partition: record.partition.filter(|number| *number >= 0),
            batch: None,
        };
        let limit = record_limit(info.message_max_bytes, &destination.rule);
        let mut carrier = RecordHeaders::of(headers.take());
        let sending = Sending::start(&operation, ambient, &mut carrier, |carrier| {
            carrier.room(limit, record.key, record.payload)
        });
        let (sent, given) = carrier.into_parts();
        *headers = sent;
        if let Some(sending) = &sending {
            sending
                .running()
                .record(|| content(&destination.rule, record.key, record.payload.is_some()));
        }
        Self {
            sending,
            given,
            info: Arc::clone(info),
        }
    }

    pub(super) fn context(&self) -> Option<&Context> {
        let sending = self.sending.as_ref()?;
        Some(sending.running().context())
    }

    /// Ends the span with where the record is now.
    pub(super) fn delivered(mut self, partition: i32, at: i64) {
        if let Some(sending) = &mut self.sending {
            let running = sending.running_mut();
            running.in_partition(partition);
            running.record(|| [offset(at)]);
        }
    }

    /// Ends the span of a record that comes back, and gives it the headers that it had.
    pub(super) fn give_back(
        mut self,
        error: &KafkaError,
        sent: Option<OwnedHeaders>,
    ) -> Option<OwnedHeaders> {
        self.fail(error).restored(sent)
    }

    /// As [`give_back`](Self::give_back), for a message that the client only lends.
    pub(super) fn give_back_lent(mut self, error: &KafkaError, message: &BorrowedMessage<'_>) {
        self.fail(error).restore(message);
    }

    /// Fails the span with the client's error.
    fn fail(&mut self, error: &KafkaError) -> Given {
        if let Some(sending) = &mut self.sending {
            if is_for_size(error) {
                sending.refused_for_size();
            }
            let running = sending.running_mut();
            running.fail(error_type(error), &error.to_string());
        }
        mem::take(&mut self.given)
    }
}

impl Drop for SendingRecord {
    fn drop(&mut self) {
        if let Some(sending) = &self.sending {
            // Last, since a new client learns it with its first record.
            sending.running().record(|| self.info.cluster_id());
        }
    }
}

/// Whether a record was refused for its size, or with others that made one batch too large.
pub(super) fn is_for_size(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(RDKafkaErrorCode::MessageSizeTooLarge | RDKafkaErrorCode::MessageBatchTooLarge)
    )
}
