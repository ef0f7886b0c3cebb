//! The span of a record, from hand-over to delivery report.

use std::sync::Arc;

use opentelemetry::Context;
use rdkafka::error::KafkaError;
use rdkafka::message::{OwnedHeaders, ToBytes};

use crate::envelope::Envelope;
use crate::kafka::carrier::RecordHeaders;
use crate::kafka::envelope::{ClientInfo, content, error_type, offset};
use crate::semconv::operation::Operation;
use crate::sending::Sending;

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
    sending: Sending,
    info: Arc<ClientInfo>,
}

impl SendingRecord {
    /// Starts the span and gives the record its context; `None` where telemetry has nothing to do
    /// with it.
    pub(super) fn start(
        info: &Arc<ClientInfo>,
        ambient: Context,
        record: Record<'_>,
        headers: &mut Option<OwnedHeaders>,
    ) -> Option<Self> {
        let destination = info.destination(record.topic);
        let envelope = Envelope {
            client: &info.client,
            operation: Operation::Send,
            operation_name: "send",
            destination: Some(&destination),
            // librdkafka's number for no partition, as in a record that comes back, is negative.
            partition: record.partition.filter(|number| *number >= 0),
            batch: None,
        };
        let mut carrier = RecordHeaders(headers.take());
        let sending = Sending::start(&envelope, ambient, &mut carrier, |carrier| {
            carrier.room(info.message_max_bytes, record.key, record.payload)
        });
        *headers = carrier.0;
        let sending = sending?;
        sending
            .running()
            .record(|| content(&destination.rule, record.key, record.payload.is_some()));
        Some(Self {
            sending,
            info: Arc::clone(info),
        })
    }

    pub(super) const fn context(&self) -> &Context {
        self.sending.running().context()
    }

    /// Ends the span with where the record is now.
    pub(super) fn delivered(mut self, partition: i32, at: i64) {
        let running = self.sending.running_mut();
        running.in_partition(partition);
        running.record(|| [offset(at)]);
    }

    /// Ends the span with the client's error.
    pub(super) fn fail(mut self, error: &KafkaError) {
        let running = self.sending.running_mut();
        running.fail(error_type(error), error.to_string());
    }

    /// Ends the span of a record that comes back, and gives it its own headers again.
    pub(super) fn give_back(
        self,
        error: &KafkaError,
        headers: Option<OwnedHeaders>,
    ) -> Option<OwnedHeaders> {
        let mut headers = RecordHeaders(headers);
        self.fail(error);
        headers.0
    }
}

impl Drop for SendingRecord {
    fn drop(&mut self) {
        // Last, since a new client learns it with its first record.
        let running = self.sending.running();
        running.record(|| self.info.cluster_id());
    }
}
