//! The clients that report deliveries to a callback, [`ThreadedProducer`] and [`BaseProducer`].

use std::sync::Arc;

use opentelemetry::Context;
use rdkafka::client::{ClientContext, OAuthToken};
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;
use rdkafka::message::{Message as _, ToBytes};
use rdkafka::producer::{
    BaseProducer, BaseRecord, DefaultProducerContext, DeliveryResult, Partitioner, Producer as _,
    ProducerContext, ThreadedProducer,
};
use rdkafka::statistics::Statistics;
use rdkafka::util::{IntoOpaque, Timeout};

use super::Producer;
use super::sending::{OutgoingRecord, SendingRecord};
use crate::engine::ambient::current;
use crate::kafka::attributes::ClientInfo;
use crate::kafka::native;

/// The context that a [`ThreadedProducer`] or [`BaseProducer`] is created with to be wrapped: your
/// own context, with the span of each record beside your own opaque.
///
/// The span ends with the delivery report. Its context is current during your own `delivery`
/// callback. A record that was not delivered has the headers there that it was given.
///
/// With `delivery.report.only.error`, nobody is told of a delivery: the span ends when the record is
/// queued, without the outcome. No context is current in `delivery` then, and a record that was not
/// delivered has the headers there that it was sent with.
///
/// ```
/// use otel_messaging::kafka::Traced;
/// use otel_messaging::{Telemetry, kafka};
/// use rdkafka::ClientConfig;
/// use rdkafka::producer::{BaseRecord, DefaultProducerContext, ThreadedProducer};
///
/// # fn example(config: &ClientConfig) -> anyhow::Result<()> {
/// let client: ThreadedProducer<_> =
///     config.create_with_context(Traced::new(DefaultProducerContext))?;
/// let producer = kafka::Producer::wrap(&Telemetry::new(), client);
/// producer
///     .send(BaseRecord::to("orders").key("42").payload("two books"))
///     .map_err(|(error, _)| error)?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Traced<C = DefaultProducerContext>(C);

impl<C> Traced<C> {
    /// Adds tracing to a context of your own.
    pub const fn new(context: C) -> Self {
        Self(context)
    }

    /// Your own context.
    pub const fn inner(&self) -> &C {
        &self.0
    }
}

impl<C: ClientContext> ClientContext for Traced<C> {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = C::ENABLE_REFRESH_OAUTH_TOKEN;

    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.0.log(level, facility, message);
    }

    fn stats(&self, statistics: Statistics) {
        self.0.stats(statistics);
    }

    fn stats_raw(&self, statistics: &[u8]) {
        self.0.stats_raw(statistics);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.0.error(error, reason);
    }

    fn generate_oauth_token(
        &self,
        config: Option<&str>,
    ) -> Result<OAuthToken, Box<dyn std::error::Error>> {
        self.0.generate_oauth_token(config)
    }
}

impl<C, Part> ProducerContext<Part> for Traced<C>
where
    C: ProducerContext<Part>,
    Part: Partitioner,
{
    type DeliveryOpaque = TracedOpaque<C::DeliveryOpaque>;

    fn delivery(&self, result: &DeliveryResult<'_>, opaque: Self::DeliveryOpaque) {
        // The span has ended when the application is told.
        let context = opaque.ours.and_then(|sending| reported(sending, result));
        let _current = context.map(Context::attach);
        self.0.delivery(result, opaque.users);
    }

    fn get_custom_partitioner(&self) -> Option<&Part> {
        self.0.get_custom_partitioner()
    }
}

/// Ends the span of a record; what comes back has its context.
fn reported(mut sending: SendingRecord, result: &DeliveryResult<'_>) -> Option<Context> {
    // The report may be here before the call that queued the record has returned.
    sending.handed_over();
    let context = sending.context().cloned();
    match result {
        Ok(message) => sending.delivered(message.partition(), message.offset()),
        Err((error, message)) => sending.give_back_lent(error, message),
    }
    context
}

/// The opaque of a record of a [`Traced`] producer: its span, as long as that has not ended, and your own
/// opaque.
pub type TracedOpaque<O> = native::Opaque<SendingRecord, O>;

/// Queued, or an error and the record itself.
type Queued<R> = Result<(), (KafkaError, R)>;

/// A record with the user's own opaque, as the bare client takes it.
type UserRecord<'a, K, V, C, Part> =
    BaseRecord<'a, K, V, <C as ProducerContext<Part>>::DeliveryOpaque>;

impl<C, Part> Producer<ThreadedProducer<Traced<C>, Part>>
where
    C: ProducerContext<Part> + 'static,
    Part: Partitioner,
{
    /// Queues a record, as [`ThreadedProducer::send`] does, in a `send {topic}` span that ends with
    /// the delivery report.
    ///
    /// # Errors
    ///
    /// The error of [`ThreadedProducer::send`], with the record as it was given. A context that it
    /// carried is still in its headers; when it is sent again, its send span links to that context.
    pub fn send<'a, K, V>(
        &self,
        record: UserRecord<'a, K, V, C, Part>,
    ) -> Queued<UserRecord<'a, K, V, C, Part>>
    where
        K: ToBytes + ?Sized,
        V: ToBytes + ?Sized,
    {
        self.info.learn_cluster_id(self.client.client());
        send(&self.info, record, |record| self.client.send(record))
    }

    /// Serves the events of the client, as [`ThreadedProducer::poll`] does. There is no need to
    /// call it.
    pub fn poll<T: Into<Timeout>>(&self, timeout: T) {
        self.client.poll(timeout);
    }
}

impl<C, Part> Producer<BaseProducer<Traced<C>, Part>>
where
    C: ProducerContext<Part>,
    Part: Partitioner,
{
    /// Queues a record, as [`BaseProducer::send`] does, in a `send {topic}` span that ends with the
    /// delivery report, in a later [`poll`](Self::poll).
    ///
    /// # Errors
    ///
    /// The error of [`BaseProducer::send`], with the record as it was given. A context that it
    /// carried is still in its headers; when it is sent again, its send span links to that context.
    pub fn send<'a, K, V>(
        &self,
        record: UserRecord<'a, K, V, C, Part>,
    ) -> Queued<UserRecord<'a, K, V, C, Part>>
    where
        K: ToBytes + ?Sized,
        V: ToBytes + ?Sized,
    {
        self.info.learn_cluster_id(self.client.client());
        send(&self.info, record, |record| self.client.send(record))
    }

    /// Serves the events of the client, delivery reports among them, as [`BaseProducer::poll`]
    /// does.
    pub fn poll<T: Into<Timeout>>(&self, timeout: T) {
        self.client.poll(timeout);
    }
}

type TracedRecord<'a, K, V, O> = BaseRecord<'a, K, V, TracedOpaque<O>>;

fn send<'a, K, V, O>(
    info: &Arc<ClientInfo>,
    mut record: BaseRecord<'a, K, V, O>,
    queue: impl FnOnce(TracedRecord<'a, K, V, O>) -> Queued<TracedRecord<'a, K, V, O>>,
) -> Queued<BaseRecord<'a, K, V, O>>
where
    K: ToBytes + ?Sized,
    V: ToBytes + ?Sized,
    O: IntoOpaque,
{
    let place = (record.topic, record.partition);
    let headers = record.headers.take();
    let outgoing = OutgoingRecord::new(info, place, record.key, record.payload, headers);
    let (sending, headers) = SendingRecord::start(info, current(), outgoing);
    record.headers = headers;
    // Of what the client does not report, it gives back no opaque either.
    let (mut kept, ours) = match info.reports_only_errors {
        true => (Some(sending), None),
        false => (None, Some(sending)),
    };
    let (record, users) = with_opaque(record, ());
    let (record, ()) = with_opaque(record, TracedOpaque { ours, users });
    let queued = queue(record).map_err(|(error, record)| {
        let (mut record, opaque) = with_opaque(record, ());
        if let Some(mut sending) = opaque.ours.or_else(|| kept.take()) {
            record.headers = sending.give_back(&error, record.headers);
        }
        (error, with_opaque(record, opaque.users).0)
    });
    if let Some(mut queued) = kept {
        queued.handed_over();
    }
    queued
}

/// The same record with another opaque, and the one that it had.
fn with_opaque<'a, K, V, O, N>(
    record: BaseRecord<'a, K, V, O>,
    opaque: N,
) -> (BaseRecord<'a, K, V, N>, O)
where
    K: ToBytes + ?Sized,
    V: ToBytes + ?Sized,
    O: IntoOpaque,
    N: IntoOpaque,
{
    let exchanged = BaseRecord {
        topic: record.topic,
        partition: record.partition,
        payload: record.payload,
        key: record.key,
        timestamp: record.timestamp,
        headers: record.headers,
        delivery_opaque: opaque,
    };
    (exchanged, record.delivery_opaque)
}
