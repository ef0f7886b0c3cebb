//! The span of a record, from hand-over to delivery report.

use std::sync::Arc;

use opentelemetry::Context;
use opentelemetry::trace::TraceContextExt as _;
use rdkafka::error::KafkaError;
use rdkafka::message::{OwnedHeaders, ToBytes};

use crate::kafka::carrier::RecordHeaders;
use crate::kafka::envelope::{ClientInfo, content, error_type, offset};
use crate::link::Relation;
use crate::semconv::attributes::partition_id;
use crate::semconv::operation::Operation;
use crate::span::OpenSpan;

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

/// The span of a record that was handed to the client. Dropped, it ends without an outcome.
#[derive(Debug)]
pub(super) struct Sending {
    span: OpenSpan,
    info: Arc<ClientInfo>,
    operation: Operation,
    /// The user chose the partition, so that the span has had it from its start.
    has_partition: bool,
}

impl Sending {
    /// Starts the span and gives the record its context; `None` where telemetry is suppressed.
    pub(super) fn start(
        info: &Arc<ClientInfo>,
        ambient: Context,
        record: Record<'_>,
        headers: &mut Option<OwnedHeaders>,
    ) -> Option<Self> {
        if ambient.is_telemetry_suppressed() {
            return None;
        }
        let telemetry = &info.telemetry;
        // librdkafka's number for no partition, as in a record that comes back, is negative.
        let partition = record.partition.filter(|number| *number >= 0);
        let envelope = info.sent(record.topic, partition);
        let mut carrier = RecordHeaders(headers.take());

        let existing = telemetry
            .keeps_existing_context()
            .then(|| {
                telemetry
                    .propagation()
                    .extract(&Context::new(), carrier.borrowed())
            })
            .filter(|existing| existing.creation.is_some());
        let (operation, relation) = match existing {
            Some(existing) => (
                Operation::SendExisting,
                Relation::sending_existing(ambient, existing),
            ),
            None => (Operation::Send, Relation::inside(ambient)),
        };
        let span = OpenSpan::start(telemetry, operation, &envelope, relation);
        span.record(|| content(record.key, record.payload.is_some()));

        if operation == Operation::Send {
            let problem = telemetry
                .propagation()
                .inject(span.context(), &mut carrier, |carrier| {
                    carrier.room(info.message_max_bytes, record.key, record.payload)
                });
            if let Some(problem) = problem {
                telemetry.instruments().count(problem, &envelope);
            }
        }
        *headers = carrier.0;
        Some(Self {
            span,
            info: Arc::clone(info),
            operation,
            has_partition: partition.is_some(),
        })
    }

    pub(super) const fn context(&self) -> &Context {
        self.span.context()
    }

    /// Ends the span with where the record is now.
    pub(super) fn delivered(self, partition: i32, at: i64) {
        self.span.record(|| {
            let partition = (!self.has_partition).then(|| partition_id(partition));
            partition.into_iter().chain([offset(at)])
        });
    }

    /// Ends the span with the client's error.
    pub(super) fn fail(self, error: &KafkaError) {
        self.span.fail(error_type(error), error.to_string());
    }

    /// Ends the span of a record that comes back, and gives it its own headers again.
    pub(super) fn give_back(
        self,
        error: &KafkaError,
        headers: Option<OwnedHeaders>,
    ) -> Option<OwnedHeaders> {
        let headers = self.without_context(headers);
        self.fail(error);
        headers
    }

    /// The headers without what we wrote into them: in keep-existing mode it would pass for the
    /// user's own context the next time.
    fn without_context(&self, headers: Option<OwnedHeaders>) -> Option<OwnedHeaders> {
        let mut headers = RecordHeaders(headers);
        // Without a context of our own to write, what the record carried passed through.
        let is_ours = self.context().span().span_context().is_valid();
        if self.operation == Operation::Send && is_ours {
            self.info.telemetry.propagation().remove(&mut headers);
        }
        headers.0
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        // Last, since a new client learns it with its first record.
        self.span.record(|| self.info.cluster_id());
    }
}
