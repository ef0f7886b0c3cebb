//! What comes back of a record that was not delivered: byte for byte what the bare client gives back.

use std::time::Duration;

use integration::Header;
use integration::kafka::{
    PATIENCE, config, delivered, informed_producer, raw_headers, read, send_span, sending_span,
    topic, wire_headers,
};
use opentelemetry::baggage::BaggageExt as _;
use opentelemetry::trace::{SpanKind, TraceContextExt as _};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use otel_messaging::Telemetry;
use otel_messaging::kafka::{self, Traced};
use otel_messaging::testing::Recorder;
use rdkafka::ClientConfig;
use rdkafka::client::ClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Message as _, OwnedHeaders, OwnedMessage, Timestamp};
use rdkafka::producer::future_producer::OwnedDeliveryResult;
use rdkafka::producer::{
    BaseProducer, BaseRecord, DeliveryResult, FutureRecord, Producer as _, ProducerContext,
    PurgeConfig, ThreadedProducer,
};
use tokio::sync::mpsc;

use super::again;
use crate::wire::{FRESH, STALE, STRAY, header, named, receipt, texts, traceparent, within};

/// The headers of a list, where there is one.
type Told = Option<Vec<Header>>;

fn told(headers: Option<&OwnedHeaders>) -> Told {
    let headers = headers?.clone();
    let timestamp = Timestamp::NotAvailable;
    let message = OwnedMessage::new(None, None, String::new(), timestamp, 0, 0, Some(headers));
    Some(wire_headers(&message))
}

fn told_borrowed(message: &BorrowedMessage<'_>) -> Told {
    message.headers().map(|_| wire_headers(message))
}

/// A context of the record's own, in every case, among headers that are hard to copy.
fn own_context() -> Vec<Header> {
    vec![
        header(b"\xff\xfename", b"\xff\xfe\0value"),
        header("TraceParent", STRAY),
        (b"null".to_vec(), None),
        header("traceparent", FRESH),
        header("tracestate", "vendor=1"),
        (b"traceparent".to_vec(), None),
        header("baggage", "tenant=green"),
        header("note", ""),
    ]
}

/// What a record may be given.
const GIVEN: [fn() -> Option<OwnedHeaders>; 4] = [
    || None,
    || Some(OwnedHeaders::new()),
    || raw_headers(&texts(&[("note", "1")])),
    || raw_headers(&own_context()),
];

/// A trace and baggage to send, so that there is always something to write.
fn ambient() -> Context {
    Context::new()
        .with_remote_span_context(named(STALE))
        .with_baggage([KeyValue::new("tenant", "blue")])
}

fn modes(recorder: &Recorder) -> [Telemetry; 4] {
    [
        recorder.telemetry(),
        recorder.telemetry().keep_existing_context(true),
        recorder
            .telemetry()
            .propagator(TraceContextPropagator::new()),
        Telemetry::new(),
    ]
}

const fn refused(code: RDKafkaErrorCode) -> KafkaError {
    KafkaError::MessageProduction(code)
}

/// Why a record is not delivered: settings, partition, size of the payload, error.
type Case<'a> = (&'a [(&'a str, &'a str)], Option<i32>, usize, KafkaError);

fn cases() -> [Case<'static>; 3] {
    // Nothing leaves the queue, in which there is room for one.
    const FULL: &[(&str, &str)] = &[
        ("queue.buffering.max.messages", "1"),
        ("linger.ms", "60000"),
    ];
    [
        // Found by the broker's answer at first, and by the client from then on.
        (
            &[],
            Some(99),
            9,
            refused(RDKafkaErrorCode::UnknownPartition),
        ),
        (
            &[("message.max.bytes", "2000")],
            None,
            3000,
            refused(RDKafkaErrorCode::MessageSizeTooLarge),
        ),
        (FULL, None, 9, refused(RDKafkaErrorCode::QueueFull)),
    ]
}

fn configured(settings: &[(&str, &str)]) -> ClientConfig {
    let mut config = config();
    for (name, value) in settings {
        config.set(*name, *value);
    }
    config
}

fn of_result(result: OwnedDeliveryResult) -> (KafkaError, Told) {
    let (error, message) = result.expect_err("a refusal");
    (error, told(message.headers()))
}

/// Of a record that is refused at once, or by a report.
async fn of_queued<F, E>(
    queued: Result<F, (KafkaError, FutureRecord<'_, str, [u8]>)>,
) -> (KafkaError, Told)
where
    F: Future<Output = Result<OwnedDeliveryResult, E>>,
    E: std::fmt::Debug,
{
    match queued {
        Ok(delivery) => of_result(delivery.await.expect("a report")),
        Err((error, record)) => (error, told(record.headers.as_ref())),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_of_a_future_comes_back_byte_for_byte_as_it_was_given() {
    let recorder = Recorder::new();
    let ambient = ambient();

    for (settings, partition, size, expected) in cases() {
        for telemetry in modes(&recorder) {
            let producer = informed_producer(&telemetry, &configured(settings));
            let orders = topic("orders").await;
            let payload = vec![b'x'; size];
            let record = |headers| {
                let mut record = FutureRecord::<str, [u8]>::to(&orders).payload(&payload);
                (record.partition, record.headers) = (partition, headers);
                record
            };
            let filling = FutureRecord::<str, str>::to(&orders).payload("first");
            let _filling = (settings.len() > 1).then(|| producer.inner().send_result(filling));
            let bare = producer.inner();

            for given in GIVEN {
                let alone = of_result(bare.send(record(given()), Duration::ZERO).await);
                let sending = within(&ambient, || producer.send(record(given()), Duration::ZERO));
                let sent = of_result(sending.await);
                let queued = within(&ambient, || producer.send_result(record(given())));
                let queued = of_queued(queued).await;
                let records = [record(given()), record(given())];
                let batch = within(&ambient, || producer.send_batch(records, Duration::ZERO));
                let batch = batch.await.into_iter().map(of_result);

                assert_eq!(alone, (expected.clone(), told(given().as_ref())));
                assert_eq!(of_queued(bare.send_result(record(given()))).await, alone);
                assert_eq!([sent, queued], [alone.clone(), alone.clone()]);
                assert_eq!(batch.collect::<Vec<_>>(), [alone.clone(), alone]);
            }
        }
    }
}

/// Passes on with what a record that was not delivered is reported.
struct Reports(mpsc::UnboundedSender<(KafkaError, Told)>);

impl ClientContext for Reports {}

impl ProducerContext for Reports {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, message)) = result {
            let report = (error.clone(), told_borrowed(message));
            self.0.send(report).expect("somebody who waits");
        }
    }
}

type Order<'a> = BaseRecord<'a, str, [u8]>;

/// A client that calls back, bare or ours.
trait Calling: Sized {
    fn create(config: &ClientConfig, telemetry: &Telemetry, reports: Reports) -> Self;
    fn queue<'a>(&self, record: Order<'a>) -> Result<(), (KafkaError, Order<'a>)>;
    fn purge_queue(&self);

    /// What a refusal at once gives back, or else the report after the queue was purged.
    async fn outcome(
        settings: &[(&str, &str)],
        telemetry: &Telemetry,
        record: Order<'_>,
    ) -> (KafkaError, Told) {
        let (sender, mut reports) = mpsc::unbounded_channel();
        let client = Self::create(&configured(settings), telemetry, Reports(sender));
        if let Err((error, record)) = within(&ambient(), || client.queue(record)) {
            return (error, told(record.headers.as_ref()));
        }
        client.purge_queue();
        let report = tokio::time::timeout(PATIENCE, reports.recv()).await;
        report.expect("a report in time").expect("a report")
    }
}

impl Calling for BaseProducer<Reports> {
    fn create(config: &ClientConfig, _: &Telemetry, reports: Reports) -> Self {
        config.create_with_context(reports).expect("a producer")
    }

    fn queue<'a>(&self, record: Order<'a>) -> Result<(), (KafkaError, Order<'a>)> {
        self.send(record)
    }

    fn purge_queue(&self) {
        self.purge(PurgeConfig::default().queue());
        self.poll(Duration::from_millis(10));
    }
}

impl Calling for ThreadedProducer<Reports> {
    fn create(config: &ClientConfig, _: &Telemetry, reports: Reports) -> Self {
        config.create_with_context(reports).expect("a producer")
    }

    fn queue<'a>(&self, record: Order<'a>) -> Result<(), (KafkaError, Order<'a>)> {
        self.send(record)
    }

    fn purge_queue(&self) {
        self.purge(PurgeConfig::default().queue());
    }
}

impl Calling for kafka::Producer<BaseProducer<Traced<Reports>>> {
    fn create(config: &ClientConfig, telemetry: &Telemetry, reports: Reports) -> Self {
        let client = config.create_with_context(Traced::new(reports));
        Self::wrap(telemetry, client.expect("a producer"))
    }

    fn queue<'a>(&self, record: Order<'a>) -> Result<(), (KafkaError, Order<'a>)> {
        self.send(record)
    }

    fn purge_queue(&self) {
        self.purge(PurgeConfig::default().queue());
        self.poll(Duration::from_millis(10));
    }
}

impl Calling for kafka::Producer<ThreadedProducer<Traced<Reports>>> {
    fn create(config: &ClientConfig, telemetry: &Telemetry, reports: Reports) -> Self {
        let client = config.create_with_context(Traced::new(reports));
        Self::wrap(telemetry, client.expect("a producer"))
    }

    fn queue<'a>(&self, record: Order<'a>) -> Result<(), (KafkaError, Order<'a>)> {
        self.send(record)
    }

    fn purge_queue(&self) {
        self.purge(PurgeConfig::default().queue());
    }
}

type OurBase = kafka::Producer<BaseProducer<Traced<Reports>>>;
type OurThreaded = kafka::Producer<ThreadedProducer<Traced<Reports>>>;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_that_is_reported_to_a_callback_comes_back_byte_for_byte_as_it_was_given() {
    const LINGERING: &[(&str, &str)] = &[("linger.ms", "60000"), ("message.max.bytes", "2000")];
    let recorder = Recorder::new();
    let orders = topic("orders").await;
    let cases = [
        (9, refused(RDKafkaErrorCode::PurgeQueue)),
        (3000, refused(RDKafkaErrorCode::MessageSizeTooLarge)),
    ];

    for (size, expected) in cases {
        let payload = vec![b'x'; size];
        for telemetry in modes(&recorder) {
            for given in GIVEN {
                let record = || {
                    let mut record = Order::to(&orders).payload(&payload);
                    record.headers = given();
                    record
                };
                let outcomes = [
                    BaseProducer::outcome(LINGERING, &telemetry, record()).await,
                    OurBase::outcome(LINGERING, &telemetry, record()).await,
                    ThreadedProducer::outcome(LINGERING, &telemetry, record()).await,
                    OurThreaded::outcome(LINGERING, &telemetry, record()).await,
                ];
                let expected = (expected.clone(), told(given().as_ref()));
                assert_eq!(outcomes, [(); 4].map(|()| expected.clone()));
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_that_is_sent_again_is_linked_to_its_own_origin() {
    let recorder = Recorder::new();
    let modes = [
        recorder.telemetry(),
        recorder.telemetry().keep_existing_context(true),
    ];

    for (telemetry, is_kept) in modes.into_iter().zip([false, true]) {
        recorder.clear();
        let producer = informed_producer(&telemetry, &config());
        let orders = topic("orders").await;
        let name = format!("send {orders}");
        let own = texts(&[("traceparent", FRESH), ("note", "1")]);
        let mut record = FutureRecord::<str, str>::to(&orders)
            .key("order-7")
            .payload("two books");
        record.headers = raw_headers(&own);
        let upstream = crate::wire::upstream();

        let failing = within(&upstream, || producer.send(record.partition(99), PATIENCE));
        let (_, message) = failing.await.expect_err("no such partition");
        recorder.clear();
        let sending = within(&upstream, || producer.send(again(&message), PATIENCE));
        let delivery = receipt(sending.await);

        let send = recorder.span(&name);
        let (expected, carried) = if is_kept {
            let span = delivered(sending_span(SpanKind::Client, &orders), &delivery);
            (span.attribute("kafka.message.key", "order-7"), own)
        } else {
            let carried = [
                header("note", "1"),
                header("traceparent", traceparent(&send.span_context)),
            ];
            (send_span(&orders, "order-7", &delivery), carried.to_vec())
        };
        expected
            .child_of(&named(STALE))
            .link(&named(FRESH))
            .assert(&send);
        let messages = read(&orders, 1).await;
        assert_eq!(
            messages.iter().map(wire_headers).collect::<Vec<_>>(),
            [carried]
        );
    }
}
