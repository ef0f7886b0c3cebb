//! Contexts, headers, providers and a broker to measure with.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::pin::pin;
use std::task::{Context as Task, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use opentelemetry::baggage::BaggageExt as _;
use opentelemetry::trace::{
    SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider, Span, SpanData, SpanProcessor};
use otel_messaging::kafka::Consumer;
use otel_messaging::policy::{Policy, Record, Rule};
use otel_messaging::{Batch, Received, Telemetry};
use rdkafka::consumer::{Consumer as _, StreamConsumer};
use rdkafka::message::{BorrowedMessage, Header, OwnedHeaders, OwnedMessage};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{DefaultProducerContext, FutureProducer, FutureRecord, Producer as _};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

pub const TOPIC: &str = "orders";
pub const KEY: &str = "order-7";
pub const PAYLOAD: [u8; 200] = [b'x'; 200];
pub const CLIENT_ID: &str = "shop";
pub const GROUP: &str = "billing";

/// Longest wait for anything that should take milliseconds.
const PATIENCE: Duration = Duration::from_secs(30);

/// A sampled trace and nothing else.
pub fn trace() -> Context {
    traced(TraceState::NONE)
}

/// A trace that is not sampled.
pub fn unsampled_trace() -> Context {
    Context::new().with_remote_span_context(SpanContext::new(
        TraceId::from(0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736),
        SpanId::from(0x00f0_67aa_0ba9_02b7),
        TraceFlags::NOT_SAMPLED,
        true,
        TraceState::NONE,
    ))
}

/// Telemetry whose sampler follows the parent, and is known to.
pub fn following_parents() -> Telemetry {
    let provider = SdkTracerProvider::builder()
        .with_span_processor(Discard)
        .with_sampler(Sampler::ParentBased(Box::new(Sampler::AlwaysOn)))
        .build();
    let telemetry = Telemetry::new().tracer_provider(provider);
    telemetry.sampler_follows_parent(true)
}

/// A sampled trace that is another one for each number, with ids that look as random as those of a service: how many
/// places a hash map looks at for ids in a row depends on its seed.
pub fn numbered_trace(number: u64) -> Context {
    let hash = |what: &str| {
        let mut hasher = DefaultHasher::new();
        (what, number).hash(&mut hasher);
        hasher.finish()
    };
    let [high, low, span] = ["high", "low", "span"].map(hash);
    Context::new().with_remote_span_context(SpanContext::new(
        TraceId::from(u128::from(high) << 64 | u128::from(low)),
        SpanId::from(span),
        TraceFlags::SAMPLED,
        true,
        TraceState::NONE,
    ))
}

/// A sampled trace with a list of two vendors.
pub fn trace_and_tracestate() -> Context {
    let list = TraceState::from_key_value([("rojo", "00f067aa0ba902b7"), ("congo", "t61rcWkgMzE")]);
    traced(list.expect("a legal list"))
}

/// A sampled trace and three members of baggage.
pub fn trace_and_baggage() -> Context {
    trace().with_baggage([
        KeyValue::new("user.id", "alice"),
        KeyValue::new("tenant", "north"),
        KeyValue::new("region", "eu-west-1"),
    ])
}

fn traced(list: TraceState) -> Context {
    Context::new().with_remote_span_context(SpanContext::new(
        TraceId::from(0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736),
        SpanId::from(0x00f0_67aa_0ba9_02b7),
        TraceFlags::SAMPLED,
        false,
        list,
    ))
}

/// Headers that are not about context.
pub fn other_headers(count: usize) -> OwnedHeaders {
    (0..count).fold(OwnedHeaders::new(), |headers, number| {
        headers.insert(Header {
            key: &format!("x-header-{number}"),
            value: Some("some value"),
        })
    })
}

/// What is sent, without headers.
pub fn record() -> FutureRecord<'static, str, [u8]> {
    FutureRecord::to(TOPIC).key(KEY).payload(&PAYLOAD)
}

/// Makes spans, and drops them when they end.
pub fn recording() -> SdkTracerProvider {
    SdkTracerProvider::builder()
        .with_span_processor(Discard)
        .build()
}

/// Makes spans that are not recorded.
pub fn unsampled() -> SdkTracerProvider {
    SdkTracerProvider::builder()
        .with_span_processor(Discard)
        .with_sampler(Sampler::AlwaysOff)
        .build()
}

/// Telemetry whose policy records this of the topic.
pub fn recorded_as(record: Record) -> Telemetry {
    Telemetry::new()
        .tracer_provider(recording())
        .policy(Policy::new().rule(Rule::of(TOPIC).record(record)))
}

#[derive(Debug)]
struct Discard;

impl SpanProcessor for Discard {
    fn on_start(&self, _: &mut Span, _: &Context) {}
    fn on_end(&self, _: SpanData) {}
    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }
    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

/// The output of a future that waits for nothing.
pub fn ready<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Task::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => unreachable!("the future waits"),
    }
}

/// Waits until the client has reported every record; its own `flush` waits in steps of 100 ms.
pub fn reported(client: &FutureProducer) {
    let start = Instant::now();
    while client.in_flight_count() > 0 {
        assert!(start.elapsed() < PATIENCE, "the broker takes all records");
        thread::sleep(Duration::from_millis(1));
    }
}

/// rdkafka's embedded mock cluster, with one topic of one partition.
pub struct Broker {
    cluster: MockCluster<'static, DefaultProducerContext>,
    runtime: tokio::runtime::Runtime,
}

impl Broker {
    pub fn start() -> Self {
        let cluster = MockCluster::new(1).expect("the embedded mock cluster starts");
        cluster.create_topic(TOPIC, 1, 1).expect("a topic");
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build();
        Self {
            cluster,
            runtime: runtime.expect("a runtime"),
        }
    }

    fn config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", self.cluster.bootstrap_servers())
            .set("client.id", CLIENT_ID);
        config
    }

    /// A producer that lets records wait in its queue for so long that a thousand can be queued.
    pub fn producer(&self) -> FutureProducer {
        let _runtime = self.runtime.enter();
        self.config()
            .set("linger.ms", "20")
            .create()
            .expect("a producer")
    }

    /// A message with these headers, once through the broker and the wrapped consumer.
    pub fn received(
        &self,
        telemetry: &Telemetry,
        key: Option<&str>,
        headers: OwnedHeaders,
    ) -> Received<OwnedMessage> {
        let received = self.received_together(telemetry, key, vec![headers]);
        received.first().expect("a message").detach()
    }

    /// A message for each of these headers, all after one another in the topic. What is detached of them is as new.
    pub fn received_together(
        &self,
        telemetry: &Telemetry,
        key: Option<&str>,
        headers: Vec<OwnedHeaders>,
    ) -> Batch<BorrowedMessage<'static>> {
        self.runtime.block_on(async {
            let count = headers.len();
            let producer: FutureProducer = self.config().create().expect("a producer");
            let mut queued = Vec::with_capacity(count);
            for headers in headers {
                let mut record = FutureRecord::to(TOPIC).payload(&PAYLOAD).headers(headers);
                record.key = key;
                let record = producer.send_result(record).map_err(|(error, _)| error);
                queued.push(record.expect("room in the queue"));
            }
            let mut first = None;
            for record in queued {
                let sent = record.await.expect("a report").map_err(|(error, _)| error);
                let sent = sent.expect("a delivery");
                first.get_or_insert(sent);
            }
            let first = first.expect("one message or more");

            let consumer: StreamConsumer = self
                .config()
                .set("group.id", GROUP)
                .set("enable.auto.commit", "false")
                .set("fetch.wait.max.ms", "10")
                .create()
                .expect("a consumer");
            // The messages are in its buffers for as long as the program runs.
            let consumer = Box::leak(Box::new(Consumer::wrap(telemetry, consumer)));
            let mut partition = TopicPartitionList::new();
            partition
                .add_partition_offset(TOPIC, first.partition, Offset::Offset(first.offset))
                .expect("an offset");
            consumer.assign(&partition).expect("an assignment");
            let mut messages = Vec::with_capacity(count);
            while messages.len() < count {
                messages.push(consumer.recv().await.expect("a message"));
            }
            Batch::from(messages)
        })
    }
}
