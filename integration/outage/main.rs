//! Exporters that cannot export: what becomes of messages, of spans, of memory and of the end of a service, with real
//! brokers and a real Collector.
//!
//! `OUTAGE_MESSAGES` and `OUTAGE_ROUNDS` are for measuring, with `--nocapture`, and make it longer.
#![expect(clippy::expect_used, reason = "a test panics where it fails")]

mod collector;
mod exporting;

use std::env;
use std::fs;
use std::ops::Range;
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use futures::stream;
use integration::amqp::Rabbit;
use integration::kafka::Kafka;
use integration::nats::broker::{Core, JetStream};
use integration::{Broker, Message};
use opentelemetry::Context;
use opentelemetry::context::FutureExt as _;
use otel_messaging::{Received, Telemetry};
use tokio::sync::{Mutex, watch};
use tokio::time::timeout;

use crate::collector::{Collector, free_port};
use crate::exporting::{Ended, Exporting, TO_SHUT_DOWN, Told};

/// The SDK's own: of the queue, and of a batch on its way out of it.
const QUEUE: usize = 2_048;
const BATCH: usize = 512;
/// An export is a quarter of it: one span, which takes longer than the next one is away on any broker.
const SMALL_QUEUE: usize = 4;
/// Longest that any number of messages may take that should take a second.
const PATIENCE: Duration = Duration::from_secs(60);
/// How much a process may grow once the queue of spans is full. Keeping all spans would be more.
const GROWTH: usize = 6 << 20;

/// What is wrong with the way to the Collector.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Outage {
    /// Nobody listens there.
    Down,
    /// It is stopped in the middle, and started again.
    Restarted,
    /// It listens and does not answer.
    Held,
    /// It does its best, and there is little room for what waits for it.
    Overrun,
}

/// Only one test at a time: they measure.
static ALONE: Mutex<()> = Mutex::const_new(());

fn setting(name: &str, default: usize) -> usize {
    let value = env::var(name).ok();
    value.map_or(default, |value| value.parse().expect("a number"))
}

/// What this process has of memory, in bytes.
fn memory() -> usize {
    let status = fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let size = line.and_then(|line| line.trim().strip_suffix(" kB"));
    size.expect("a size").parse::<usize>().expect("a number") << 10
}

/// A broker whose messages can be done with: what is not acknowledged comes again.
trait Acknowledged: Broker {
    /// Acknowledges a message by the bare client, where receiving it has not.
    async fn done(received: &Received<Self::Message>);
}

impl Acknowledged for Kafka {
    async fn done(_: &Received<Self::Message>) {}
}

impl Acknowledged for Rabbit {
    async fn done(_: &Received<Self::Message>) {}
}

impl Acknowledged for Core {
    async fn done(_: &Received<Self::Message>) {}
}

impl Acknowledged for JetStream {
    async fn done(received: &Received<Self::Message>) {
        let message: &async_nats::jetstream::Message = received;
        message.ack().await.expect("an acknowledgement");
    }
}

/// Wrapped clients of a service, and where its messages go.
struct Service<B> {
    broker: B,
    orders: String,
    /// How many messages are on their way to the broker at a time.
    in_flight: usize,
    sent: usize,
}

impl<B: Acknowledged> Service<B> {
    async fn start(telemetry: &Telemetry, in_flight: usize) -> Self {
        let broker = B::connect(telemetry).await;
        let orders = broker.declare("orders").await;
        let mut service = Self {
            broker,
            orders,
            in_flight,
            sent: 0,
        };
        // Connections and groups are there when it is measured.
        let (received, _) = watch::channel(0);
        service.run(1, &received).await;
        service
    }

    /// Sends so many messages and processes each; asserts that each comes once, in the order in which it was sent, and
    /// says how long it took.
    async fn run(&mut self, count: usize, received: &watch::Sender<usize>) -> Duration {
        let numbers = self.sent..self.sent + count;
        self.sent += count;
        let started = Instant::now();
        let exchanging = async {
            let sending = self.send(numbers.clone());
            let receiving = self.receive(count, received);
            futures::join!(sending, receiving).1
        };
        let came = timeout(PATIENCE, exchanging).await;
        let took = started.elapsed();
        assert_eq!(came.expect("nothing waits"), numbers.collect::<Vec<_>>());
        took
    }

    async fn send(&self, numbers: Range<usize>) {
        let sending = stream::iter(numbers).map(async |number| {
            let message = Message {
                headers: vec![(b"number".to_vec(), Some(number.to_string().into_bytes()))],
                ..Message::new("order")
            };
            self.broker.send(&self.orders, &message).await;
        });
        let sent = sending.buffered(self.in_flight);
        sent.for_each(async |()| ()).await;
    }

    async fn receive(&self, count: usize, so_far: &watch::Sender<usize>) -> Vec<usize> {
        let mut came = Vec::with_capacity(count);
        for _ in 0..count {
            let received = self.broker.receive(&self.orders).await;
            let headers = self.broker.headers(&received);
            let number = headers.into_iter().find(|(name, _)| name == b"number");
            let number = number.and_then(|(_, value)| String::from_utf8(value?).ok());
            let number = number.and_then(|number| number.parse().ok());
            received.process(async |_| ()).await;
            B::done(&received).await;
            came.push(number.expect("a number"));
            so_far.send_replace(came.len());
        }
        came
    }
}

/// The same messages once more, while the way to the Collector is as it is in this outage.
async fn run_in<B: Acknowledged>(
    outage: Outage,
    collector: Option<&mut Collector>,
    service: &mut Service<B>,
    count: usize,
) -> Duration {
    let (received, mut so_far) = watch::channel(0);
    let running = service.run(count, &received);
    match (outage, collector) {
        (Outage::Restarted, Some(collector)) => {
            let restarting = async {
                let third = count / 3;
                so_far.wait_for(|received| *received >= third).await.ok();
                collector.stop().await;
                so_far
                    .wait_for(|received| *received >= 2 * third)
                    .await
                    .ok();
                collector.start_again().await;
            };
            futures::join!(running, restarting).0
        }
        _ => running.await,
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied().expect("a value")
}

async fn an_outage_costs_no_message<B: Acknowledged>(outage: Outage, in_flight: usize) {
    let _alone = ALONE.lock().await;
    Told::listen();
    Told::lines().clear();
    let (messages, rounds) = (
        setting("OUTAGE_MESSAGES", 1_500),
        setting("OUTAGE_ROUNDS", 3),
    );
    let healthy = Collector::start().await;
    let mut ill = match outage {
        Outage::Down => None,
        _ => Some(Collector::start().await),
    };
    // Nobody exports to it: what a start takes of the processor is no cost of an outage.
    let mut bystander = match outage {
        Outage::Restarted => Some(Collector::start().await),
        _ => None,
    };
    let port = ill.as_ref().map_or_else(free_port, Collector::port);
    let queue = (outage == Outage::Overrun).then_some(SMALL_QUEUE);
    let (good, bad) = (
        Exporting::to(healthy.port(), None),
        Exporting::to(port, queue),
    );
    let mut undisturbed = Service::<B>::start(&good.telemetry(), in_flight).await;
    let mut disturbed = Service::<B>::start(&bad.telemetry(), in_flight).await;
    let (received, _) = watch::channel(0);

    // As if nobody recorded anything, for the order of messages.
    let bare = Context::new().with_telemetry_suppressed();
    let bare = disturbed.run(messages, &received).with_context(bare).await;
    if let (Outage::Held, Some(collector)) = (outage, &ill) {
        collector.hold().await;
    }
    let (mut with_collector, mut without) = (Vec::new(), Vec::new());
    let mut before = 0;
    for round in 0..rounds {
        with_collector.push(run_in(outage, bystander.as_mut(), &mut undisturbed, messages).await);
        without.push(run_in(outage, ill.as_mut(), &mut disturbed, messages).await);
        if round == rounds / 4 {
            before = memory();
        }
    }
    let growth = memory().saturating_sub(before);
    let mut said = Told::lines().clone();
    let (healthily, ended) = (good.end(), bad.end());
    // What a short run has not tried to export yet fails at its end.
    said.extend_from_slice(&Told::lines());

    let pairs = with_collector.iter().zip(&without);
    let throughput = pairs.map(|(up, out)| 100.0 * up.as_secs_f64() / out.as_secs_f64());
    let up = median(with_collector.iter().map(Duration::as_secs_f64).collect());
    let fastest = without.iter().map(Duration::as_secs_f64);
    let fastest = fastest.fold(f64::INFINITY, f64::min);
    println!(
        "{outage:?}, {}: {messages} messages took {bare:?} unrecorded, {up:.3} s with the Collector; throughput without \
         {:.1} %; memory grew by {} KiB; {ended:?}; with the Collector {healthily:?}",
        std::any::type_name::<B>(),
        median(throughput.collect()),
        growth >> 10,
    );
    // No claim about speed, for others have the processor too: what waits for a Collector takes seconds.
    assert!(fastest < 3.0 * up, "{fastest} s, with the Collector {up} s");
    assert!(growth < GROWTH, "it grew by {} KiB", growth >> 10);
    assert!(healthily.result.is_ok(), "{healthily:?}");
    assert_eq!(healthily.recorded, healthily.exported + healthily.dropped);
    healthy.has(healthily.exported).await;
    // Both spans of each message, and of the first one.
    assert_eq!(ended.recorded, 2 * (rounds * messages + 1), "{ended:?}");
    assert!(ended.took < 2 * TO_SHUT_DOWN, "{ended:?}");
    assert_told(outage, &ended, &said);
    match (outage, &ill) {
        (Outage::Overrun, Some(collector)) => {
            collector.has(ended.exported).await;
            assert_eq!(collector.spans(), ended.exported);
        }
        (Outage::Restarted, Some(collector)) => collector.has(ended.exported).await,
        _ => {}
    }
}

/// Of each span it is known what became of it, and what is lost is said in the log.
fn assert_told(outage: Outage, ended: &Ended, said: &[String]) {
    let has_said = |words: &str| said.iter().any(|line| line.contains(words));
    let done = ended.exported + ended.failed + ended.dropped;
    let left = ended.recorded.checked_sub(done);
    let left = left.expect("each span once");
    match outage {
        Outage::Down | Outage::Held => {
            // What is not lost waits in the queue, or is being exported.
            assert!(left <= QUEUE + BATCH, "{left} are left of {ended:?}");
        }
        Outage::Restarted | Outage::Overrun => {
            assert!(ended.result.is_ok(), "{ended:?}");
            assert_eq!(left, 0, "{ended:?}");
            assert!(ended.exported > 0, "{ended:?}");
        }
    }
    match outage {
        Outage::Down => {
            assert_eq!(ended.exported, 0, "{ended:?}");
            assert!(has_said("BatchSpanProcessor.ExportError"), "{said:#?}");
        }
        Outage::Held => {
            assert!(ended.result.is_err(), "{ended:?}");
            assert!(ended.dropped > 0, "{ended:?}");
        }
        Outage::Restarted => {}
        Outage::Overrun => {
            assert_eq!(ended.failed, 0, "{ended:?}");
            assert!(ended.dropped > 0, "{ended:?}");
        }
    }
    if ended.dropped > 0 {
        assert!(has_said("dropped a Span due to queue full"), "{said:#?}");
    }
}

macro_rules! outages {
    ($($module:ident: $broker:ty, $in_flight:literal at a time;)+) => {$(
        mod $module {
            use super::Outage;

            type Broker = $broker;

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn a_collector_that_is_down_costs_no_message() {
                super::an_outage_costs_no_message::<Broker>(Outage::Down, $in_flight).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn a_collector_that_is_started_again_costs_no_message() {
                super::an_outage_costs_no_message::<Broker>(Outage::Restarted, $in_flight).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn a_collector_that_does_not_answer_costs_no_message() {
                super::an_outage_costs_no_message::<Broker>(Outage::Held, $in_flight).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn a_full_queue_of_spans_costs_no_message() {
                super::an_outage_costs_no_message::<Broker>(Outage::Overrun, $in_flight).await;
            }
        }
    )+};
}

// Of publishes that are polled by turns, async-nats keeps no order.
outages! {
    kafka: super::Kafka, 64 at a time;
    rabbitmq: super::Rabbit, 64 at a time;
    nats_core: super::Core, 1 at a time;
    jetstream: super::JetStream, 1 at a time;
}
