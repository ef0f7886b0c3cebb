//! Exporters that cannot export: what becomes of messages, of spans, of memory and of the end of a service, with real
//! brokers and a real Collector.
//!
//! `OUTAGE_MESSAGES` and `OUTAGE_ROUNDS` are for measuring, with `--nocapture`, and make it longer. With so many rounds, runs
//! whose spans are written by hand take turns with those of the wrapped clients.
#![expect(clippy::expect_used, reason = "a test panics where it fails")]

mod collector;
mod exporting;
mod service;

use std::env;
use std::fs;
use std::time::Duration;

use integration::amqp::Rabbit;
use integration::kafka::Kafka;
use integration::nats::broker::{Core, JetStream};
use tokio::sync::{Mutex, watch};

use crate::collector::{Collector, free_port};
use crate::exporting::{Ended, Exporting, Told};
use crate::service::{Acknowledged, Service, Spans};

/// The SDK's own: of the queue, and of a batch on its way out of it.
const QUEUE: usize = 2_048;
const BATCH: usize = 512;
/// An export is a quarter of it: one span, which takes longer than the next one is away on any broker.
const SMALL_QUEUE: usize = 4;
/// Longer than anything takes that goes on at all, on a machine that has other work.
const PATIENCE: Duration = Duration::from_secs(30);
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

/// For how long this process has had a processor, to ten milliseconds: others may take one away, but not add to this.
fn processor() -> Duration {
    let stat = fs::read_to_string("/proc/self/stat").expect("Linux");
    // The program's name may have spaces; it is the second field, and ticks are the fourteenth and fifteenth.
    let (_, rest) = stat.rsplit_once(") ").expect("a name");
    let ticks = rest.split(' ').skip(11).take(2);
    let ticks = ticks.map(|ticks| ticks.parse::<u64>().expect("a number"));
    Duration::from_millis(10 * ticks.sum::<u64>())
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

/// The value that so many quarters of all are below.
fn quantile(mut values: Vec<f64>, quarters: usize) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    let rank = (values.len() * quarters / 4).min(values.len() - 1);
    values.get(rank).copied().expect("a value")
}

/// A service whose spans come to a Collector, and one whose spans meet the outage.
struct Pair<B> {
    spans: Spans,
    exporting: [Exporting; 2],
    services: [Service<B>; 2],
    /// How long each run of these two took, and of the processor.
    took: [Vec<(Duration, Duration)>; 2],
}

impl<B: Acknowledged> Pair<B> {
    async fn start(spans: Spans, exporting: [Exporting; 2], in_flight: usize) -> Self {
        let [undisturbed, disturbed] = &exporting;
        Self {
            spans,
            services: [
                Service::start(undisturbed, spans, in_flight).await,
                Service::start(disturbed, spans, in_flight).await,
            ],
            exporting,
            took: [Vec::new(), Vec::new()],
        }
    }

    /// A run of each, of whom either is first by turns: what the run before has left to do is no cost of an outage.
    async fn run(
        &mut self,
        outage: Outage,
        collectors: [Option<&mut Collector>; 2],
        messages: usize,
    ) {
        let is_turn = self.took.iter().map(Vec::len).sum::<usize>() % 4 == 2;
        let services = self.services.iter_mut().zip(collectors);
        let mut runs: Vec<_> = services.zip(&mut self.took).collect();
        if is_turn {
            runs.reverse();
        }
        for ((service, collector), took) in runs {
            let before = processor();
            let run = run_in(outage, collector, service, messages).await;
            took.push((run, processor().saturating_sub(before)));
        }
    }

    /// Seconds: the median with the Collector, and the fastest without.
    fn seconds(&self) -> (f64, f64) {
        let [up, out] = &self.took;
        let fastest = out.iter().map(|(run, _)| run.as_secs_f64());
        (
            quantile(up.iter().map(|(run, _)| run.as_secs_f64()).collect(), 2),
            fastest.fold(f64::INFINITY, f64::min),
        )
    }

    /// In percent of that with the Collector: the median of the pairs of runs, and the quartiles.
    fn throughput(&self) -> [f64; 3] {
        self.percent(|(up, _), (out, _)| up.as_secs_f64() / out.as_secs_f64())
    }

    /// The same of the processor time.
    fn processor(&self) -> [f64; 3] {
        self.percent(|(_, up), (_, out)| out.as_secs_f64() / up.as_secs_f64())
    }

    fn percent(
        &self,
        ratio: impl Fn((Duration, Duration), (Duration, Duration)) -> f64,
    ) -> [f64; 3] {
        let [up, out] = &self.took;
        let pairs = up.iter().zip(out);
        let ratios: Vec<_> = pairs.map(|(up, out)| 100.0 * ratio(*up, *out)).collect();
        [2, 1, 3].map(|quarters| quantile(ratios.clone(), quarters))
    }
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
    let kinds = match env::var_os("OUTAGE_ROUNDS") {
        Some(_) => &[Spans::Ours, Spans::ByHand][..],
        None => &[Spans::Ours],
    };
    let mut pairs = Vec::new();
    for spans in kinds {
        let exporting = [
            Exporting::to(healthy.port(), None),
            Exporting::to(port, queue),
        ];
        pairs.push(Pair::<B>::start(*spans, exporting, in_flight).await);
    }
    if let (Outage::Held, Some(collector)) = (outage, &ill) {
        collector.hold().await;
    }
    let mut before = 0;
    for round in 0..rounds {
        for pair in &mut pairs {
            let collectors = [bystander.as_mut(), ill.as_mut()];
            pair.run(outage, collectors, messages).await;
        }
        if round == rounds / 4 {
            before = memory();
        }
    }
    let growth = memory().saturating_sub(before);
    let mut said = Told::lines().clone();
    let (mut came, mut exported) = (0, 0);
    for pair in pairs {
        let (up, fastest) = pair.seconds();
        let ([throughput, low, high], [processor, less, more]) =
            (pair.throughput(), pair.processor());
        let [up_exporting, exporting] = pair.exporting;
        let healthily = up_exporting.end(PATIENCE);
        // A Collector that does not answer is not waited for.
        let time = match outage {
            Outage::Down | Outage::Held => Duration::from_secs(1),
            Outage::Restarted | Outage::Overrun => PATIENCE,
        };
        let ended = exporting.end(time);
        // What a short run has not tried to export yet fails at its end.
        said.extend_from_slice(&Told::lines());
        println!(
            "{outage:?}, {}, spans {:?}: {messages} messages took {up:.3} s with the Collector; throughput without \
             {throughput:.1} % ({low:.1} to {high:.1}), processor time {processor:.1} % ({less:.1} to {more:.1}); {ended:?}; with the Collector {healthily:?}",
            std::any::type_name::<B>(),
            pair.spans,
        );
        // No claim about speed, for others have the processor too: each message that waits for a Collector takes seconds.
        assert!(
            fastest < 3.0 * up + 5.0,
            "{fastest} s, with the Collector {up} s"
        );
        assert!(healthily.result.is_ok(), "{healthily:?}");
        assert_eq!(healthily.recorded, healthily.exported + healthily.dropped);
        // Both spans of each message, and of the first one.
        assert_eq!(ended.recorded, 2 * (rounds * messages + 1), "{ended:?}");
        assert!(ended.took < time + PATIENCE, "{ended:?}");
        assert_told(outage, &ended, &said);
        came += healthily.exported;
        exported += ended.exported;
    }
    println!("{outage:?}: memory grew by {} KiB", growth >> 10);
    assert!(growth < GROWTH, "it grew by {} KiB", growth >> 10);
    healthy.has(came).await;
    match (outage, &ill) {
        (Outage::Overrun, Some(collector)) => {
            collector.has(exported).await;
            assert_eq!(collector.spans(), exported);
        }
        (Outage::Restarted, Some(collector)) => collector.has(exported).await,
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
