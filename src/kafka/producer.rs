//! Sending records.
#![expect(clippy::result_large_err, reason = "the client's own result types")]

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Poll, ready};

use opentelemetry::Context;
use rdkafka::client::{Client, ClientContext};
use rdkafka::consumer::ConsumerGroupMetadata;
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::{OwnedHeaders, ToBytes};
use rdkafka::producer::future_producer::{Delivery, OwnedDeliveryResult};
use rdkafka::producer::{
    self as client, FutureProducer, FutureRecord, Partitioner, Producer as _, ProducerContext,
    PurgeConfig,
};
use rdkafka::topic_partition_list::TopicPartitionList;
use rdkafka::util::{AsyncRuntime, Timeout};

use super::carrier::RecordHeaders;
use super::envelope::{ClientInfo, content, error_type, offset};
use crate::Telemetry;
use crate::link::{Relation, ambient};
use crate::semconv::attributes::partition_id;
use crate::semconv::operation::Operation;
use crate::span::OpenSpan;

/// A producer whose records carry the context of their send span.
///
/// It sends as the client that it wraps does: same arguments, same results, same waiting. The
/// methods of rdkafka's [`Producer`](client::Producer) trait (`flush`, `in_flight_count`,
/// transactions) work on it when the trait is in scope, as `Producer as _`. Cloning is as cheap as
/// cloning the client.
#[derive(Clone)]
#[must_use = "a producer stops when it is dropped"]
pub struct Producer<P = FutureProducer> {
    client: P,
    info: Arc<ClientInfo>,
}

impl<P> Producer<P> {
    /// Wraps a client. Its client id, servers and `message.max.bytes` are read from it.
    pub fn wrap<C, Part>(telemetry: &Telemetry, client: P) -> Self
    where
        P: client::Producer<C, Part>,
        C: ProducerContext<Part>,
        Part: Partitioner,
    {
        Self {
            info: Arc::new(ClientInfo::read(telemetry, client.client())),
            client,
        }
    }

    /// The client itself; what is sent through it directly is not traced.
    pub const fn inner(&self) -> &P {
        &self.client
    }
}

impl<C, R> Producer<FutureProducer<C, R>>
where
    C: ClientContext + 'static,
    R: AsyncRuntime,
{
    /// Sends a record, as [`FutureProducer::send`] does, in a `send {topic}` span that ends with
    /// the delivery report.
    ///
    /// The span is a child of the span that is current when the future is first polled, or else when
    /// this was called; so it may be wrapped in a context, spawned or collected.
    ///
    /// # Errors
    ///
    /// The client's own error, with the message. The message comes back without the context that
    /// it was given; sending it again gives it a new one.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future does not stop a record that is already queued. Its span ends with the
    /// status unset, since nobody knows the outcome.
    pub fn send<K, V, T>(
        &self,
        mut record: FutureRecord<'_, K, V>,
        queue_timeout: T,
    ) -> impl Future<Output = OwnedDeliveryResult>
    where
        K: ToBytes + ?Sized,
        V: ToBytes + ?Sized,
        T: Into<Timeout>,
    {
        let called = Context::current();
        async move {
            let Some(sending) = Sending::start(&self.info, ambient(called), &mut record) else {
                return self.client.send(record, queue_timeout).await;
            };
            let result = self.client.send(record, queue_timeout).await;
            self.info.learn_cluster_id(self.client.client());
            sending.end(result)
        }
    }

    /// Queues a record, as [`FutureProducer::send_result`] does, in a `send {topic}` span that ends
    /// with the delivery report.
    ///
    /// # Errors
    ///
    /// The client's own error, with the record. The record comes back without the context that it
    /// was given; sending it again gives it a new one.
    pub fn send_result<'a, K, V>(
        &self,
        mut record: FutureRecord<'a, K, V>,
    ) -> Result<DeliveryFuture, (KafkaError, FutureRecord<'a, K, V>)>
    where
        K: ToBytes + ?Sized,
        V: ToBytes + ?Sized,
    {
        let sending = Sending::start(&self.info, Context::current(), &mut record);
        match self.client.send_result(record) {
            Ok(delivery) => {
                self.info.learn_cluster_id(self.client.client());
                Ok(DeliveryFuture { delivery, sending })
            }
            Err((error, mut record)) => {
                if let Some(sending) = sending {
                    record.headers = sending.without_context(record.headers);
                    sending.fail(&error);
                }
                Err((error, record))
            }
        }
    }

    /// Serves the client's events, as [`FutureProducer::poll`] does; there is no need to call it.
    pub fn poll<T: Into<Timeout>>(&self, timeout: T) {
        self.client.poll(timeout);
    }
}

impl<P> fmt::Debug for Producer<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Producer")
            .field("info", &self.info)
            .finish_non_exhaustive()
    }
}

impl<P, C, Part> client::Producer<C, Part> for Producer<P>
where
    P: client::Producer<C, Part>,
    C: ProducerContext<Part>,
    Part: Partitioner,
{
    fn client(&self) -> &Client<C> {
        self.client.client()
    }

    fn in_flight_count(&self) -> i32 {
        self.client.in_flight_count()
    }

    fn flush<T: Into<Timeout>>(&self, timeout: T) -> KafkaResult<()> {
        self.client.flush(timeout)
    }

    fn purge(&self, flags: PurgeConfig) {
        self.client.purge(flags);
    }

    fn init_transactions<T: Into<Timeout>>(&self, timeout: T) -> KafkaResult<()> {
        self.client.init_transactions(timeout)
    }

    fn begin_transaction(&self) -> KafkaResult<()> {
        self.client.begin_transaction()
    }

    fn send_offsets_to_transaction<T: Into<Timeout>>(
        &self,
        offsets: &TopicPartitionList,
        group: &ConsumerGroupMetadata,
        timeout: T,
    ) -> KafkaResult<()> {
        self.client
            .send_offsets_to_transaction(offsets, group, timeout)
    }

    fn commit_transaction<T: Into<Timeout>>(&self, timeout: T) -> KafkaResult<()> {
        self.client.commit_transaction(timeout)
    }

    fn abort_transaction<T: Into<Timeout>>(&self, timeout: T) -> KafkaResult<()> {
        self.client.abort_transaction(timeout)
    }
}

/// The delivery report of one record, to be awaited; the client's own future has the same output.
///
/// # Cancel safety
///
/// Dropping it does not stop the record. Its span ends with the status unset, since nobody knows
/// the outcome.
#[must_use = "the send span ends when this is dropped"]
pub struct DeliveryFuture {
    delivery: client::DeliveryFuture,
    sending: Option<Sending>,
}

impl Future for DeliveryFuture {
    type Output = <client::DeliveryFuture as Future>::Output;

    fn poll(mut self: Pin<&mut Self>, task: &mut std::task::Context<'_>) -> Poll<Self::Output> {
        let delivered = ready!(Pin::new(&mut self.delivery).poll(task));
        Poll::Ready(match self.sending.take() {
            Some(sending) => delivered.map(|result| sending.end(result)),
            None => delivered,
        })
    }
}

impl fmt::Debug for DeliveryFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeliveryFuture")
            .field("sending", &self.sending)
            .finish_non_exhaustive()
    }
}

/// The span of a record that was handed to the client. Dropped, it ends without an outcome.
#[derive(Debug)]
struct Sending {
    span: OpenSpan,
    info: Arc<ClientInfo>,
    operation: Operation,
    /// The user chose the partition, so that the span has had it from its start.
    has_partition: bool,
}

impl Sending {
    /// Starts the span and gives the record its context; `None` where telemetry is suppressed.
    fn start<K, V>(
        info: &Arc<ClientInfo>,
        ambient: Context,
        record: &mut FutureRecord<'_, K, V>,
    ) -> Option<Self>
    where
        K: ToBytes + ?Sized,
        V: ToBytes + ?Sized,
    {
        if ambient.is_telemetry_suppressed() {
            return None;
        }
        let telemetry = &info.telemetry;
        // librdkafka's number for no partition, as in a record that comes back, is negative.
        let partition = record.partition.filter(|number| *number >= 0);
        let envelope = info.sent(record.topic, partition);
        let key = record.key.map(ToBytes::to_bytes);
        let payload = record.payload.map(ToBytes::to_bytes);
        let mut headers = RecordHeaders(record.headers.take());

        let existing = telemetry
            .keeps_existing_context()
            .then(|| {
                telemetry
                    .propagation()
                    .extract(&Context::new(), headers.borrowed())
            })
            .filter(|existing| existing.creation.is_some());
        let (operation, relation) = match &existing {
            Some(existing) => (
                Operation::SendExisting,
                Relation::sending_existing(ambient, existing),
            ),
            None => (Operation::Send, Relation::inside(ambient)),
        };
        let span = OpenSpan::start(telemetry, operation, &envelope, relation);
        span.record(|| content(key, payload.is_some()));

        if operation == Operation::Send {
            let problem = telemetry
                .propagation()
                .inject(span.context(), &mut headers, |headers| {
                    headers.room(info.message_max_bytes, key, payload)
                });
            if let Some(problem) = problem {
                telemetry.instruments().count(problem, &envelope);
            }
        }
        record.headers = headers.0;
        Some(Self {
            span,
            info: Arc::clone(info),
            operation,
            has_partition: partition.is_some(),
        })
    }

    /// Ends the span with the delivery report.
    fn end(self, result: OwnedDeliveryResult) -> OwnedDeliveryResult {
        match result {
            Ok(delivery) => {
                self.delivered(&delivery);
                Ok(delivery)
            }
            Err((error, mut message)) => {
                let headers = self.without_context(message.detach_headers());
                self.fail(&error);
                Err((error, message.replace_headers(headers)))
            }
        }
    }

    fn delivered(self, delivery: &Delivery) {
        self.span.record(|| {
            let partition = (!self.has_partition).then(|| partition_id(delivery.partition));
            partition.into_iter().chain([offset(delivery.offset)])
        });
    }

    fn fail(self, error: &KafkaError) {
        self.span.fail(error_type(error), error.to_string());
    }

    /// The headers of a record that comes back, without what we wrote into them: in keep-existing
    /// mode it would pass for the user's own context the next time.
    fn without_context(&self, headers: Option<OwnedHeaders>) -> Option<OwnedHeaders> {
        let mut headers = RecordHeaders(headers);
        if self.operation == Operation::Send {
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
