//! Sending records.
#![expect(clippy::result_large_err, reason = "the client's own result types")]

mod batch;
mod callback;
mod future;
mod sending;
#[cfg(feature = "testing")]
mod testing;

use std::fmt;
use std::sync::Arc;

use rdkafka::client::Client;
use rdkafka::consumer::ConsumerGroupMetadata;
use rdkafka::error::KafkaResult;
use rdkafka::producer::{
    self as client, FutureProducer, Partitioner, ProducerContext, PurgeConfig,
};
use rdkafka::topic_partition_list::TopicPartitionList;
use rdkafka::util::Timeout;

pub use self::callback::{Traced, TracedOpaque};
pub use self::future::DeliveryFuture;
#[cfg(feature = "testing")]
pub use self::testing::TestCluster;
use super::attributes::ClientInfo;
use crate::telemetry::Telemetry;

/// A producer whose records carry the context of their send span. The [module](crate::kafka) has an
/// example.
///
/// It has the methods, results and waits of the client that it wraps. The methods of rdkafka's
/// [`Producer`](client::Producer) trait (`flush`, `in_flight_count`, transactions) are available
/// when the trait is in scope, as `Producer as _`. Cloning is as cheap as cloning the client.
#[derive(Clone)]
#[must_use = "a producer stops when it is dropped"]
pub struct Producer<P = FutureProducer> {
    client: P,
    info: Arc<ClientInfo>,
}

impl<P> Producer<P> {
    /// Wraps a client. Its client id, servers and `message.max.bytes` are read from it.
    ///
    /// A [`ThreadedProducer`](client::ThreadedProducer) or [`BaseProducer`](client::BaseProducer)
    /// has to be created with a [`Traced`] context.
    pub fn wrap<C, Part>(telemetry: &Telemetry, client: P) -> Self
    where
        P: client::Producer<C, Part> + Traceable,
        C: ProducerContext<Part>,
        Part: Partitioner,
    {
        Self {
            info: Arc::new(ClientInfo::read(telemetry, client.client())),
            client,
        }
    }

    /// The client itself. What is sent through it directly is not traced.
    pub const fn inner(&self) -> &P {
        &self.client
    }
}

impl<P> fmt::Debug for Producer<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.info
            .client
            .shown("Producer", f)
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

/// A client of rdkafka that can be wrapped to send, because its delivery reports reach the spans of
/// its records. The trait is sealed.
///
/// A [`ThreadedProducer`](client::ThreadedProducer) without [`Traced`] cannot be wrapped:
///
/// ```compile_fail,E0277
/// use otel_messaging::{Telemetry, kafka};
/// use rdkafka::producer::{DefaultProducerContext, ThreadedProducer};
///
/// fn wrapped(bare: ThreadedProducer<DefaultProducerContext>) {
///     let _producer = kafka::Producer::wrap(&Telemetry::new(), bare);
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "the delivery reports of `{Self}` would not reach the spans of its records",
    label = "not created with a `kafka::Traced` context",
    note = "`config.create_with_context::<_, ThreadedProducer<_>>(kafka::Traced::new(context))`"
)]
pub trait Traceable: sealed::Sealed {}

impl<P: sealed::Sealed> Traceable for P {}

mod sealed {
    use rdkafka::client::ClientContext;
    use rdkafka::producer::{
        BaseProducer, FutureProducer, Partitioner, ProducerContext, ThreadedProducer,
    };

    use super::Traced;

    #[expect(unnameable_types, reason = "nobody else is to implement it")]
    pub trait Sealed {}

    impl<C, R, Part> Sealed for FutureProducer<C, R, Part>
    where
        C: ClientContext + 'static,
        Part: Partitioner,
    {
    }

    impl<C, Part> Sealed for ThreadedProducer<Traced<C>, Part>
    where
        C: ProducerContext<Part> + 'static,
        Part: Partitioner,
    {
    }

    impl<C, Part> Sealed for BaseProducer<Traced<C>, Part>
    where
        C: ProducerContext<Part>,
        Part: Partitioner,
    {
    }
}
