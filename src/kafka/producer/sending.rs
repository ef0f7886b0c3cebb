//! The span of a record, from hand-over to delivery report.

use std::mem;
use std::sync::Arc;

use opentelemetry::{Context, KeyValue};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, OwnedHeaders, ToBytes};

use crate::engine::destination::Destination;
use crate::engine::sending::{Outgoing, Sending};
use crate::kafka::attributes::{ClientInfo, content, error_type, offset_told};
use crate::kafka::carrier::{Given, RecordHeaders, record_limit};
use crate::semconv::exception::ErrorDetails;

/// A record of any client that is about to be sent.
pub(super) struct OutgoingRecord<'a> {
    destination: Arc<Destination>,
    partition: Option<i32>,
    key: Option<&'a [u8]>,
    payload: Option<&'a [u8]>,
    /// Bytes that it may have.
    limit: usize,
    headers: RecordHeaders,
}

impl<'a> OutgoingRecord<'a> {
    pub(super) fn new<K, V>(
        info: &ClientInfo,
        (topic, partition): (&str, Option<i32>),
        key: Option<&'a K>,
        payload: Option<&'a V>,
        headers: Option<OwnedHeaders>,
    ) -> Self
    where
        K: ToBytes + ?Sized,
        V: ToBytes + ?Sized,
    {
        let destination = info.destination(topic);
        Self {
            limit: record_limit(info.message_max_bytes, &destination.rule),
            destination,
            // librdkafka's number for no partition, as in a record that comes back, is negative.
            partition: partition.filter(|number| *number >= 0),
            key: key.map(ToBytes::to_bytes),
            payload: payload.map(ToBytes::to_bytes),
            headers: RecordHeaders::new(headers),
        }
    }

    /// The headers to be sent, and what the record was given.
    pub(super) fn into_headers(self) -> (Option<OwnedHeaders>, Given) {
        self.headers.into_parts()
    }
}

impl Outgoing for OutgoingRecord<'_> {
    type Headers = RecordHeaders;

    fn destination(&self) -> &Arc<Destination> {
        &self.destination
    }

    fn partition(&self) -> Option<i32> {
        self.partition
    }

    fn headers(&self) -> &RecordHeaders {
        &self.headers
    }

    fn headers_and_room(&mut self) -> (&mut RecordHeaders, impl FnOnce(&RecordHeaders) -> usize) {
        let (limit, key, payload) = (self.limit, self.key, self.payload);
        let room = move |headers: &RecordHeaders| headers.room(limit, key, payload);
        (&mut self.headers, room)
    }

    fn attributes(&self, set: &mut dyn FnMut(KeyValue)) {
        content(
            &self.destination.rule,
            self.key,
            self.payload.is_some(),
            set,
        );
    }
}

/// A record on its way to the client, or to the broker. Dropped, its span ends without an outcome.
#[derive(Debug)]
#[expect(unnameable_types, reason = "nobody but us uses it")]
pub struct SendingRecord {
    sending: Sending,
    given: Given,
    info: Arc<ClientInfo>,
}

impl SendingRecord {
    /// Starts the span, and gives back the headers with its context.
    pub(super) fn start(
        info: &Arc<ClientInfo>,
        ambient: Context,
        mut record: OutgoingRecord<'_>,
    ) -> (Self, Option<OwnedHeaders>) {
        let sending = Sending::start(&info.client, "send", ambient, &mut record);
        let (headers, given) = record.into_headers();
        let record = Self {
            sending,
            given,
            info: Arc::clone(info),
        };
        (record, headers)
    }

    pub(super) fn context(&self) -> Option<&Context> {
        self.sending.context()
    }

    /// The client has taken the record into its queue.
    pub(super) const fn handed_over(&mut self) {
        self.sending.handed_over();
    }

    /// The broker has it, and told where.
    pub(super) fn delivered(&mut self, partition: i32, at: i64) {
        self.sending.in_partition(partition);
        self.sending.record(|| offset_told(&self.info, at));
    }

    /// Fails the span of a record that comes back, and gives it the headers that it had.
    pub(super) fn give_back(
        &mut self,
        error: &KafkaError,
        sent: Option<OwnedHeaders>,
    ) -> Option<OwnedHeaders> {
        self.fail(error).restored(sent)
    }

    /// As [`give_back`](Self::give_back), for a message that the client only lends.
    pub(super) fn give_back_lent(&mut self, error: &KafkaError, message: &BorrowedMessage<'_>) {
        self.fail(error).restore(message);
    }

    /// Fails the span with the client's error.
    fn fail(&mut self, error: &KafkaError) -> Given {
        if is_for_size(error) {
            self.sending.refused_for_size();
        }
        self.sending
            .fail(error_type(error), || ErrorDetails::from_error(error));
        mem::take(&mut self.given)
    }
}

impl Drop for SendingRecord {
    fn drop(&mut self) {
        // Last, since a new client learns it with its first record.
        self.sending.record(|| self.info.cluster_id());
    }
}

/// Whether a record was refused for its size, or with others that made one batch too large.
pub(super) fn is_for_size(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(RDKafkaErrorCode::MessageSizeTooLarge | RDKafkaErrorCode::MessageBatchTooLarge)
    )
}
