//! A user's own context that reports what it hears, and producers that have it.
#![expect(clippy::expect_used, reason = "a test panics where it fails")]
#![expect(clippy::result_large_err, reason = "the client's own result types")]

use std::time::Duration;

use integration::Header;
use integration::kafka::{PATIENCE, config, raw_headers, sending_span};
use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, SpanKind, TraceContextExt as _};
use otel_messaging::Telemetry;
use otel_messaging::kafka::{self, Traced};
use otel_messaging::testing::ExpectedSpan;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::{Message as _, Timestamp};
use rdkafka::producer::future_producer::Delivery;
use rdkafka::producer::{
    BaseProducer, BaseRecord, DeliveryResult, NoCustomPartitioner, Partitioner, ProducerContext,
    ThreadedProducer,
};
use rdkafka::{ClientConfig, Statistics};
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};

use crate::wire::{STALE, named, upstream, within};

pub(crate) const KEY: &str = "kafka.message.key";

/// One call of the user's own `delivery`.
#[derive(Debug, PartialEq)]
pub(crate) struct Report {
    /// The user's own opaque.
    pub(crate) order: u32,
    pub(crate) outcome: KafkaResult<(i32, i64)>,
    pub(crate) payload: Option<Vec<u8>>,
    /// The span that was current in the call.
    pub(crate) current: SpanContext,
}

/// A call of one of the hooks that every client has.
#[derive(Debug)]
pub(crate) enum Hook {
    Statistics(Box<Statistics>),
    Error(KafkaError, String),
    Log(String),
}

/// A user's own context, with or without a partitioner.
pub(crate) struct Shop<P = NoCustomPartitioner> {
    pub(crate) reports: UnboundedSender<Report>,
    pub(crate) hooks: UnboundedSender<Hook>,
    pub(crate) partitioner: Option<P>,
}

pub(crate) type Heard = (UnboundedReceiver<Report>, UnboundedReceiver<Hook>);

impl<P> Shop<P> {
    pub(crate) fn new(partitioner: Option<P>) -> (Self, Heard) {
        let (reports, heard_reports) = mpsc::unbounded_channel();
        let (hooks, heard_hooks) = mpsc::unbounded_channel();
        let shop = Self {
            reports,
            hooks,
            partitioner,
        };
        (shop, (heard_reports, heard_hooks))
    }
}

impl<P: Send + Sync> ClientContext for Shop<P> {
    fn log(&self, _: RDKafkaLogLevel, facility: &str, _: &str) {
        // Nobody listens any more when the client stops; the same below.
        let _ = self.hooks.send(Hook::Log(facility.to_owned()));
    }

    fn stats(&self, statistics: Statistics) {
        let _ = self.hooks.send(Hook::Statistics(Box::new(statistics)));
    }

    fn error(&self, error: KafkaError, reason: &str) {
        let _ = self.hooks.send(Hook::Error(error, reason.to_owned()));
    }
}

impl<P: Partitioner + Send + Sync> ProducerContext<P> for Shop<P> {
    type DeliveryOpaque = Box<u32>;

    fn delivery(&self, result: &DeliveryResult<'_>, order: Box<u32>) {
        let (outcome, message) = match result {
            Ok(message) => (Ok((message.partition(), message.offset())), message),
            Err((error, message)) => (Err(error.clone()), message),
        };
        let _ = self.reports.send(Report {
            order: *order,
            outcome,
            payload: message.payload().map(<[u8]>::to_vec),
            current: current_span(),
        });
    }

    fn get_custom_partitioner(&self) -> Option<&P> {
        self.partitioner.as_ref()
    }
}

pub(crate) fn current_span() -> SpanContext {
    Context::map_current(|context| context.span().span_context().clone())
}

pub(crate) type Record<'a> = BaseRecord<'a, str, str, Box<u32>>;

/// What the wrapped clients that report to a callback have in common.
pub(crate) trait Reporting<P: Partitioner>:
    rdkafka::producer::Producer<Traced<Shop<P>>, P> + Sized
where
    P: Send + Sync,
{
    fn wrapped(telemetry: &Telemetry, config: &ClientConfig, shop: Shop<P>) -> Self;
    fn queue<'a>(&self, record: Record<'a>) -> Result<(), (KafkaError, Record<'a>)>;
    fn serve(&self);

    /// One that knows its cluster, so that each of its spans names it.
    fn informed(telemetry: &Telemetry, config: &ClientConfig, shop: Shop<P>) -> Self {
        let producer = Self::wrapped(telemetry, config, shop);
        let id = producer.client().fetch_cluster_id(PATIENCE);
        id.expect("the cluster's id");
        producer
    }

    fn queued(&self, record: Record<'_>) {
        within(&upstream(), || self.queue(record))
            .map_err(|(error, _)| error)
            .expect("a place in the queue");
    }
}

/// The next report of a producer.
pub(crate) async fn reported<P: Partitioner + Send + Sync>(
    producer: &impl Reporting<P>,
    reports: &mut UnboundedReceiver<Report>,
) -> Report {
    let report = async {
        loop {
            producer.serve();
            tokio::select! {
                biased;
                report = reports.recv() => return report.expect("a client"),
                () = tokio::task::yield_now() => {}
            }
        }
    };
    let report = tokio::time::timeout(PATIENCE, report);
    report.await.expect("a report in time")
}

macro_rules! reporting {
    ($($client:ident),+) => {$(
        impl<P> Reporting<P> for kafka::Producer<$client<Traced<Shop<P>>, P>>
        where
            P: Partitioner + Send + Sync + 'static,
        {
            fn wrapped(telemetry: &Telemetry, config: &ClientConfig, shop: Shop<P>) -> Self {
                let client: $client<_, P> = config
                    .create_with_context(Traced::new(shop))
                    .expect("a producer");
                Self::wrap(telemetry, client)
            }

            fn queue<'a>(&self, record: Record<'a>) -> Result<(), (KafkaError, Record<'a>)> {
                self.send(record)
            }

            fn serve(&self) {
                self.poll(Duration::from_millis(1));
            }
        }
    )+};
}

reporting!(ThreadedProducer, BaseProducer);

pub(crate) type Threaded<P = NoCustomPartitioner> =
    kafka::Producer<ThreadedProducer<Traced<Shop<P>>, P>>;
pub(crate) type Base<P = NoCustomPartitioner> = kafka::Producer<BaseProducer<Traced<Shop<P>>, P>>;

/// Nothing leaves the queue of such a client in the time of a test.
pub(crate) fn lingering() -> ClientConfig {
    let mut config = config();
    config.set("linger.ms", "60000");
    config
}

pub(crate) fn order<'a>(topic: &'a str, number: u32, headers: &[Header]) -> Record<'a> {
    let mut record = BaseRecord::with_opaque_to(topic, Box::new(number))
        .key("order-7")
        .payload("two books");
    record.headers = raw_headers(headers);
    record
}

/// The whole span of a record that the client refused or gave up.
pub(crate) fn failed_span(topic: &str, error_type: &'static str) -> ExpectedSpan {
    sending_span(SpanKind::Producer, topic)
        .attribute(KEY, "order-7")
        .child_of(&named(STALE))
        .error(error_type)
}

pub(crate) const fn delivery(partition: i32, offset: i64) -> Delivery {
    Delivery {
        partition,
        offset,
        timestamp: Timestamp::NotAvailable,
    }
}
