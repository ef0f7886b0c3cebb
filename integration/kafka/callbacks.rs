//! The clients that call back: the user's own context inside of ours, and queues and iterators.
#![expect(clippy::expect_used, reason = "a test panics where it fails")]
#![expect(clippy::result_large_err, reason = "the client's own result types")]

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use integration::Header;
use integration::kafka::{
    PATIENCE, config, delivered, process_span, raw_headers, read, send_span, sending_span, topic,
    topic_of, wire_headers,
};
use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, SpanKind, TraceContextExt as _};
use otel_messaging::Telemetry;
use otel_messaging::kafka::{self, Received, Traced};
use otel_messaging::testing::{ExpectedSpan, Recorder};
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer as _, DefaultConsumerContext, StreamConsumer};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::{
    BorrowedMessage, Headers as _, Message as _, OwnedHeaders, OwnedMessage, Timestamp,
};
use rdkafka::producer::future_producer::Delivery;
use rdkafka::producer::{
    BaseProducer, BaseRecord, DeliveryResult, NoCustomPartitioner, Partitioner, ProducerContext,
    PurgeConfig, ThreadedProducer,
};
use rdkafka::{ClientConfig, Offset, Statistics, TopicPartitionList};
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::task::block_in_place;

use crate::wire::{
    FRESH, STALE, STRAY, header, named, send_raw, texts, traceparent, upstream, within,
};

const KEY: &str = "messaging.kafka.message.key";

/// One call of the user's own `delivery`.
#[derive(Debug, PartialEq)]
struct Report {
    /// The user's own opaque.
    order: u32,
    outcome: KafkaResult<(i32, i64)>,
    payload: Option<Vec<u8>>,
    /// The span that was current in the call.
    current: SpanContext,
}

/// A call of one of the hooks that every client has.
#[derive(Debug)]
enum Hook {
    Statistics(Box<Statistics>),
    Error(KafkaError, String),
    Log(String),
}

/// A user's own context, with or without a partitioner.
struct Shop<P = NoCustomPartitioner> {
    reports: UnboundedSender<Report>,
    hooks: UnboundedSender<Hook>,
    partitioner: Option<P>,
}

type Heard = (UnboundedReceiver<Report>, UnboundedReceiver<Hook>);

impl<P> Shop<P> {
    fn new(partitioner: Option<P>) -> (Self, Heard) {
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

fn current_span() -> SpanContext {
    Context::map_current(|context| context.span().span_context().clone())
}

type Record<'a> = BaseRecord<'a, str, str, Box<u32>>;

/// What the wrapped clients that report to a callback have in common.
trait Reporting<P: Partitioner>: rdkafka::producer::Producer<Traced<Shop<P>>, P> + Sized
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
async fn reported<P: Partitioner + Send + Sync>(
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

type Threaded<P = NoCustomPartitioner> = kafka::Producer<ThreadedProducer<Traced<Shop<P>>, P>>;
type Base<P = NoCustomPartitioner> = kafka::Producer<BaseProducer<Traced<Shop<P>>, P>>;

/// Nothing leaves the queue of such a client in the time of a test.
fn lingering() -> ClientConfig {
    let mut config = config();
    config.set("linger.ms", "60000");
    config
}

fn order<'a>(topic: &'a str, number: u32, headers: &[Header]) -> Record<'a> {
    let mut record = BaseRecord::with_opaque_to(topic, Box::new(number))
        .key("order-7")
        .payload("two books");
    record.headers = raw_headers(headers);
    record
}

/// The whole span of a record that the client refused or gave up.
fn failed_span(topic: &str, error_type: &'static str) -> ExpectedSpan {
    sending_span(SpanKind::Producer, topic)
        .attribute(KEY, "order-7")
        .child_of(&named(STALE))
        .error(error_type)
}

const fn delivery(partition: i32, offset: i64) -> Delivery {
    Delivery {
        partition,
        offset,
        timestamp: Timestamp::NotAvailable,
    }
}

async fn a_failed_delivery_is_reported_in_its_span<P>()
where
    P: Reporting<NoCustomPartitioner>,
{
    let recorder = Recorder::new();
    let orders = topic("orders").await;
    let (shop, (mut reports, _)) = Shop::new(None);
    let producer = P::informed(&recorder.telemetry(), &lingering(), shop);

    producer.queued(order(&orders, 17, &[]));
    assert_eq!(recorder.spans().len(), 0, "nothing is known yet");
    producer.purge(PurgeConfig::default().queue());

    let report = reported(&producer, &mut reports).await;
    let send = recorder.span(&format!("send {orders}"));
    let purged = RDKafkaErrorCode::PurgeQueue;
    assert_eq!(
        report,
        Report {
            order: 17,
            outcome: Err(KafkaError::MessageProduction(purged)),
            payload: Some(b"two books".to_vec()),
            current: send.span_context.clone(),
        }
    );
    failed_span(&orders, "_PURGE_QUEUE").assert(&send);
    assert_eq!(current_span(), SpanContext::NONE, "the call is over");
    drop(producer);
    assert_eq!(reports.recv().await, None, "one report for one record");
    assert_eq!(recorder.spans().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delivery_that_failed_calls_back_in_the_ended_span_of_its_record() {
    a_failed_delivery_is_reported_in_its_span::<Threaded>().await;
    a_failed_delivery_is_reported_in_its_span::<Base>().await;
}

async fn a_delivery_is_reported_in_its_span<P>()
where
    P: Reporting<NoCustomPartitioner>,
{
    let recorder = Recorder::new();
    let orders = topic("orders").await;
    let (shop, (mut reports, _)) = Shop::new(None);
    let producer = P::informed(&recorder.telemetry(), &config(), shop);
    let name = format!("send {orders}");

    for offset in [0, 1] {
        recorder.clear();
        let number = 17 + u32::try_from(offset).expect("a small number");
        producer.queued(order(&orders, number, &[]));
        let report = reported(&producer, &mut reports).await;

        let send = recorder.span(&name);
        assert_eq!(
            report,
            Report {
                order: number,
                outcome: Ok((0, offset)),
                payload: Some(b"two books".to_vec()),
                current: send.span_context.clone(),
            }
        );
        send_span(&orders, "order-7", &delivery(0, offset))
            .child_of(&named(STALE))
            .assert(&send);
        assert_eq!(current_span(), SpanContext::NONE, "the call is over");
    }
    drop(producer);
    assert_eq!(reports.recv().await, None, "one report for each record");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delivery_calls_back_in_the_span_of_its_record() {
    a_delivery_is_reported_in_its_span::<Threaded>().await;
    a_delivery_is_reported_in_its_span::<Base>().await;
}

fn own_headers(headers: Option<&OwnedHeaders>) -> Vec<Header> {
    let headers = headers.into_iter().flat_map(|headers| headers.iter());
    let pair = |name: &str, value: Option<&[u8]>| (name.into(), value.map(<[u8]>::to_vec));
    headers
        .map(|header| pair(header.key, header.value))
        .collect()
}

async fn a_full_queue_gives_the_record_back<P>(telemetry: &Telemetry, recorder: &Recorder)
where
    P: Reporting<NoCustomPartitioner>,
{
    let orders = topic("orders").await;
    let name = format!("send {orders}");
    let note = [header("note", "1"), (b"null".to_vec(), None)];
    let (shop, (mut reports, _)) = Shop::new(None);
    let mut small = lingering();
    small.set("queue.buffering.max.messages", "1");
    let small = P::informed(telemetry, &small, shop);
    let (shop, (mut later_reports, _)) = Shop::new(None);
    let later = P::informed(telemetry, &config(), shop);
    let mut written = Vec::new();

    for headers in [&note[..], &[]] {
        recorder.clear();
        small.queued(order(&orders, 1, &[]));
        let (error, returned) = within(&upstream(), || small.queue(order(&orders, 2, headers)))
            .expect_err("there is room for one alone");

        let full = RDKafkaErrorCode::QueueFull;
        assert_eq!(error, KafkaError::MessageProduction(full));
        failed_span(&orders, "_QUEUE_FULL").assert(&recorder.span(&name));
        assert_eq!(*returned.delivery_opaque, 2);
        assert_eq!(own_headers(returned.headers.as_ref()), headers);
        assert_eq!(returned.headers.is_some(), !headers.is_empty());
        assert_eq!(
            (returned.topic, returned.partition, returned.timestamp),
            (&*orders, None, None)
        );
        assert_eq!(
            (returned.key, returned.payload),
            (Some("order-7"), Some("two books"))
        );
        small.purge(PurgeConfig::default().queue());
        let first = reported(&small, &mut reports).await;
        assert_eq!(
            first.order, 1,
            "nothing was heard of the one that came back"
        );

        recorder.clear();
        later.queued(returned);
        let report = reported(&later, &mut later_reports).await;
        let (partition, offset) = report.outcome.expect("a delivery");
        let send = recorder.span(&name);
        send_span(&orders, "order-7", &delivery(partition, offset))
            .child_of(&named(STALE))
            .assert(&send);
        assert_eq!(
            (report.order, report.current),
            (2, send.span_context.clone())
        );
        let own = header("traceparent", traceparent(&send.span_context));
        written.push([headers, &[own]].concat());
    }

    drop((small, later));
    assert_eq!(reports.recv().await, None, "none for what was refused");
    assert_eq!(later_reports.recv().await, None, "one for each record");
    let messages = read(&orders, written.len()).await;
    let carried = messages.iter().map(wire_headers);
    assert_eq!(carried.collect::<Vec<_>>(), written);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_that_finds_the_queue_full_comes_back_with_all_that_is_the_users_own() {
    let recorder = Recorder::new();
    let modes = [
        recorder.telemetry(),
        recorder.telemetry().keep_existing_context(),
    ];

    for telemetry in modes {
        a_full_queue_gives_the_record_back::<Threaded>(&telemetry, &recorder).await;
        a_full_queue_gives_the_record_back::<Base>(&telemetry, &recorder).await;
    }
}

async fn the_hooks_are_called<P: Reporting<NoCustomPartitioner>>() {
    let recorder = Recorder::new();
    let (shop, (_, mut hooks)) = Shop::new(None);
    let mut config = ClientConfig::new();
    config
        // Nobody is there, which is an error and is logged too.
        .set("bootstrap.servers", "127.0.0.1:1")
        .set("statistics.interval.ms", "10");
    let producer = P::wrapped(&recorder.telemetry(), &config, shop);

    let (mut statistics, mut error, mut log) = (None, None, None);
    let hear = async {
        while statistics.is_none() || error.is_none() || log.is_none() {
            producer.serve();
            tokio::task::yield_now().await;
            while let Ok(heard) = hooks.try_recv() {
                match heard {
                    Hook::Statistics(heard) => statistics = Some(heard),
                    Hook::Error(heard, reason) => error = Some((heard, reason)),
                    Hook::Log(facility) => log = Some(facility),
                }
            }
        }
    };
    let heard = tokio::time::timeout(PATIENCE, hear).await;
    heard.expect("all hooks in time");

    let statistics = statistics.expect("statistics");
    assert_eq!(statistics.client_type, "producer");
    let (error, reason) = error.expect("an error");
    let codes = [
        RDKafkaErrorCode::BrokerTransportFailure,
        RDKafkaErrorCode::AllBrokersDown,
    ];
    let codes = codes.map(KafkaError::Global);
    assert!(codes.contains(&error), "{error} {reason}");
    assert_ne!(reason, "");
    assert_eq!(log.expect("a line of the log"), "FAIL");
    assert_eq!(recorder.spans().len(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_hooks_of_the_users_context_hear_what_they_heard() {
    the_hooks_are_called::<Threaded>().await;
    the_hooks_are_called::<Base>().await;
}

/// The key is the number of the partition.
struct ByKey;

impl Partitioner for ByKey {
    fn partition(
        &self,
        _topic: &str,
        key: Option<&[u8]>,
        _partitions: i32,
        _is_available: impl Fn(i32) -> bool,
    ) -> i32 {
        let key = key.and_then(|key| std::str::from_utf8(key).ok());
        // Without a number there is no partition, and no delivery.
        key.and_then(|key| key.parse().ok()).unwrap_or(-1)
    }
}

async fn the_partitioner_decides<P: Reporting<ByKey>>() {
    let recorder = Recorder::new();
    let orders = topic_of("orders", 4).await;
    let (shop, (mut reports, _)) = Shop::new(Some(ByKey));
    let producer = P::informed(&recorder.telemetry(), &config(), shop);

    // librdkafka's own partitioner has one partition for a key, ours all of them.
    for (number, partition) in (0..).zip(0..4) {
        recorder.clear();
        let key = partition.to_string();
        producer.queued(order(&orders, number, &[]).key(&*key));
        let report = reported(&producer, &mut reports).await;

        let send = recorder.span(&format!("send {orders}"));
        assert_eq!(
            report,
            Report {
                order: number,
                outcome: Ok((partition, 0)),
                payload: Some(b"two books".to_vec()),
                current: send.span_context.clone(),
            }
        );
        let sending = sending_span(SpanKind::Producer, &orders).attribute(KEY, key);
        delivered(sending, &delivery(partition, 0))
            .child_of(&named(STALE))
            .assert(&send);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_partitioner_of_the_users_context_still_decides() {
    the_partitioner_decides::<Threaded<ByKey>>().await;
    the_partitioner_decides::<Base<ByKey>>().await;
}

/// Traces of four messages, neighbours different.
const TRACES: [&str; 4] = [FRESH, STALE, STRAY, FRESH];

/// A topic of one partition with a message of each trace.
async fn traced_orders() -> String {
    let orders = topic("orders").await;
    for traceparent in TRACES {
        send_raw(&orders, &texts(&[("traceparent", traceparent)])).await;
    }
    orders
}

/// Its first partition, from the beginning.
fn beginning(topic: &str) -> TopicPartitionList {
    let mut partition = TopicPartitionList::new();
    partition
        .add_partition_offset(topic, 0, Offset::Beginning)
        .expect("an offset");
    partition
}

/// Processes a message and gives a copy of it.
async fn processed(received: &Received<BorrowedMessage<'_>>) -> OwnedMessage {
    received.process(async |_| ()).await;
    received.detach().into_inner()
}

/// Asserts one process span for each of the messages, which are those of `TRACES`.
fn assert_processed(recorder: &Recorder, messages: &[OwnedMessage], group: &str) {
    let spans = recorder.spans();
    assert_eq!((spans.len(), messages.len()), (TRACES.len(), TRACES.len()));
    for ((span, message), creation) in spans.iter().zip(messages).zip(TRACES) {
        process_span(message, group)
            .child_of(&named(creation))
            .link(&named(creation))
            .assert(span);
    }
    let offsets = messages.iter().map(|message| message.offset());
    assert_eq!(offsets.collect::<Vec<_>>(), [0, 1, 2, 3]);
}

type Queue = kafka::StreamPartitionQueue<DefaultConsumerContext>;

/// Receives from the queue of a partition, by a consumer that knows nothing yet.
async fn received_by_queue(receive: impl AsyncFnOnce(&Queue) -> Vec<OwnedMessage>) {
    let recorder = Recorder::new();
    let orders = traced_orders().await;
    let config = config();
    let group = config.get("group.id").expect("a group");
    let client: StreamConsumer = config.create().expect("a consumer");
    let consumer = kafka::Consumer::wrap(&recorder.telemetry(), client);
    consumer.assign(&beginning(&orders)).expect("an assignment");
    let queue = consumer.split_partition_queue(&orders, 0).expect("a queue");
    assert!(consumer.split_partition_queue("no\0name", 0).is_none());

    let messages = tokio::select! {
        messages = tokio::time::timeout(PATIENCE, receive(&queue)) => messages,
        _ = consumer.recv() => unreachable!("all comes by the queue"),
    };

    assert_processed(&recorder, &messages.expect("messages in time"), group);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_queue_of_a_partition_gives_each_message_in_its_own_trace() {
    received_by_queue(async |queue| {
        let mut messages = Vec::new();
        for _ in TRACES {
            let received = queue.recv().await.expect("a message");
            messages.push(processed(&received).await);
        }
        messages
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_stream_of_a_partition_gives_each_message_in_its_own_trace() {
    received_by_queue(async |queue| {
        let received = queue.stream().take(TRACES.len());
        let messages = received.then(async |received| {
            let received = received.expect("a message");
            processed(&received).await
        });
        messages.collect().await
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_iterator_gives_each_message_in_its_own_trace() {
    let recorder = Recorder::new();
    let orders = traced_orders().await;
    let config = config();
    let group = config.get("group.id").expect("a group");
    let client: BaseConsumer = config.create().expect("a consumer");
    let consumer = Arc::new(kafka::Consumer::wrap(&recorder.telemetry(), client));
    consumer.assign(&beginning(&orders)).expect("an assignment");

    let receive = || {
        let mut messages = Vec::new();
        for received in consumer.iter().take(2) {
            messages.push(received.expect("a message"));
        }
        for received in &*consumer {
            messages.push(received.expect("a message"));
            if messages.len() == TRACES.len() {
                break;
            }
        }
        messages
    };
    let received = block_in_place(receive);
    let mut messages = Vec::new();
    for received in received {
        messages.push(processed(&received).await);
    }

    assert_processed(&recorder, &messages, group);
}
