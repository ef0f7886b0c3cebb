//! How cost grows where processor time tells it: with destinations, and with tasks that share clients.
//!
//! With the argument `counted`, it runs the rows that valgrind counts instead.

mod server;

use std::env;
use std::fs;
use std::hint::black_box;
use std::thread;
use std::time::Instant;

use anyhow::{Context as _, Result};
use async_nats::{Client, ConnectOptions, HeaderMap};
use benches::clock::{processor_seconds, thread_seconds};
use benches::growth;
use benches::harness::Report;
use benches::sample::{self, Broker, KEY, PAYLOAD, ready};
use benches::{by_hand, header_map};
use opentelemetry::Context as Current;
use opentelemetry::trace::{TraceContextExt as _, Tracer as _, TracerProvider as _};
use opentelemetry_sdk::trace::SdkTracerProvider;
use otel_messaging::{Received, Telemetry, nats};
use rdkafka::message::{OwnedHeaders, OwnedMessage};
use tokio::runtime::Runtime;

const DESTINATIONS: [usize; 7] = [1, 100, 500, 1_000, 10_000, 100_000, 1_000_000];
const TASKS: [usize; 5] = [1, 2, 4, 8, 16];
/// Turns of each number of tasks, an odd number.
const ROUNDS: usize = 15;
/// Messages of a turn, of all tasks together.
const MESSAGES: usize = 64_000;

fn main() -> Result<()> {
    if env::args().nth(1).as_deref() == Some("counted") {
        growth::measure(&Report::rows());
        return Ok(());
    }
    destinations()?;
    tasks();
    Ok(())
}

/// Publishing to so many subjects in turn; all numbers of them take turns too.
fn destinations() -> Result<()> {
    let runtime = Runtime::new()?;
    let mut rows = Vec::new();
    for count in DESTINATIONS {
        let mut row = Subjects::new(&runtime, count)?;
        let before = resident()?;
        // So that every subject has been met.
        for _ in 0..count.div_ceil(CHUNK) {
            row.turn(&runtime)?;
        }
        let grown = (resident()? - before) / 1e6;
        rows.push((row, grown, [Vec::new(), Vec::new()]));
    }
    for _ in 0..CHUNKS {
        for (row, _, turns) in &mut rows {
            for (turns, spent) in turns.iter_mut().zip(row.turn(&runtime)?) {
                turns.push(spent);
            }
        }
    }
    println!(
        "Nanoseconds of processor time to publish a message, on the thread that does; medians.\n"
    );
    println!("| destinations | client with header | ours | MB that stay |");
    println!("| --- | --- | --- | --- |");
    for ((_, grown, turns), count) in rows.into_iter().zip(DESTINATIONS) {
        let [bare, ours] = turns.map(|mut turns| median(&mut turns));
        println!("| {count} | {bare:.0} | {ours:.0} | {grown:.1} |");
    }
    println!();
    Ok(())
}

/// So many subjects, and clients that publish to them.
struct Subjects {
    count: usize,
    next: usize,
    client: Client,
    producer: nats::Producer,
}

impl Subjects {
    fn new(runtime: &Runtime, count: usize) -> Result<Self> {
        let telemetry = Telemetry::new().tracer_provider(sample::recording());
        Ok(Self {
            count,
            next: 0,
            client: runtime.block_on(connect())?,
            producer: nats::Producer::wrap(&telemetry, runtime.block_on(connect())?),
        })
    }

    /// Nanoseconds of each message that the client publishes, and of each that ours does.
    fn turn(&mut self, runtime: &Runtime) -> Result<[f64; 2]> {
        let numbers = (self.next..self.next + CHUNK).map(|number| number % self.count);
        let subjects: Vec<String> = numbers.map(|number| format!("orders.{number}")).collect();
        self.next += CHUNK;
        let bare = published(subjects.clone(), |subject| {
            let headers = header_map::inject_by_hand(&sample::trace(), HeaderMap::new());
            let payload = PAYLOAD.as_slice().into();
            let published = self.client.publish_with_headers(subject, headers, payload);
            Ok(runtime.block_on(published)?)
        })?;
        let ours = published(subjects, |subject| {
            let published = self.producer.publish(subject, PAYLOAD.as_slice().into());
            Ok(runtime.block_on(published)?)
        })?;
        for client in [&self.client, self.producer.inner()] {
            runtime.block_on(client.flush())?;
        }
        Ok([bare, ours])
    }
}

/// Messages that a client takes at once, without a wait for room.
const CHUNK: usize = 4_096;
const CHUNKS: usize = 51;

async fn connect() -> Result<Client> {
    let address = server::start()?.to_string();
    let options = ConnectOptions::new().client_capacity(2 * CHUNK);
    Ok(options.connect(address).await?)
}

/// Nanoseconds of each message.
fn published(subjects: Vec<String>, publish: impl Fn(String) -> Result<()>) -> Result<f64> {
    let count = subjects.len() as f64;
    let before = thread_seconds();
    for subject in subjects {
        publish(subject)?;
    }
    Ok((thread_seconds() - before) * 1e9 / count)
}

/// Bytes that are in memory.
fn resident() -> Result<f64> {
    let statm = fs::read_to_string("/proc/self/statm")?;
    let pages = statm.split(' ').nth(1).context("resident pages")?;
    Ok(pages.parse::<f64>()? * 4096.0)
}

/// Processing messages of one consumer on so many threads at a time.
fn tasks() {
    let provider = sample::recording();
    let telemetry = Telemetry::new().tracer_provider(provider.clone());
    let unsampled = Telemetry::new().tracer_provider(sample::unsampled());
    let broker = Broker::start();
    let received = |telemetry| {
        let most = TASKS.into_iter().max().unwrap_or_default();
        let headers = (0..most).map(|_| by_hand::inject(&sample::trace(), OwnedHeaders::new()));
        let received = broker.received_together(telemetry, Some(KEY), headers.collect());
        received.detach()
    };
    let (recorded, unsampled) = (received(&telemetry), received(&unsampled));
    println!(
        "Processing, by so many tasks at a time that share a consumer: nanoseconds of processor"
    );
    println!("time a message, and messages a second beside one task; medians of {ROUNDS} turns.\n");
    println!(
        "| tasks | recorded | not sampled | recorded, inside of a span | the SDK's span alone |"
    );
    println!("| --- | --- | --- | --- | --- |");
    let ways: [&(dyn Fn(usize, usize) + Sync); 4] = [
        &|task, count| process(recorded.get(task), count),
        &|task, count| process(unsampled.get(task), count),
        &|task, count| inside(&provider, || process(recorded.get(task), count)),
        &|_, count| spans(&provider, count),
    ];
    let mut turns = vec![Vec::new(); TASKS.len() * ways.len()];
    for _ in 0..ROUNDS {
        for (row, tasks) in TASKS.into_iter().enumerate() {
            for (column, way) in ways.into_iter().enumerate() {
                if let Some(turns) = turns.get_mut(row * ways.len() + column) {
                    turns.push(turn(tasks, way));
                }
            }
        }
    }
    let medians: Vec<_> = turns.into_iter().map(medians).collect();
    let (first, _) = medians.split_at(ways.len());
    for (tasks, row) in TASKS.into_iter().zip(medians.chunks(ways.len())) {
        let cells = row.iter().zip(first);
        let cells = cells
            .map(|((processor, time), (_, alone))| format!("{processor:.0}, ×{:.2}", alone / time));
        println!("| {tasks} | {} |", cells.collect::<Vec<_>>().join(" | "));
    }
}

/// Nanoseconds of processor time and of time, for each message.
fn turn(tasks: usize, way: &(dyn Fn(usize, usize) + Sync)) -> (f64, f64) {
    let before = processor_seconds();
    let start = Instant::now();
    thread::scope(|scope| {
        for task in 0..tasks {
            scope.spawn(move || way(task, MESSAGES / tasks));
        }
    });
    let each = |seconds: f64| seconds * 1e9 / MESSAGES as f64;
    let time = start.elapsed().as_secs_f64();
    (each(processor_seconds() - before), each(time))
}

fn medians(turns: Vec<(f64, f64)>) -> (f64, f64) {
    let (mut processor, mut time): (Vec<_>, Vec<_>) = turns.into_iter().unzip();
    (median(&mut processor), median(&mut time))
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

fn process(message: Option<&Received<OwnedMessage>>, count: usize) {
    for message in std::iter::repeat_n(message, count).flatten() {
        ready(message.process(async |_| ()));
    }
}

/// As a worker that opened a span before it asked for messages.
fn inside(provider: &SdkTracerProvider, run: impl FnOnce()) {
    let span = provider.tracer("worker").start("work");
    let _current = Current::new().with_span(span).attach();
    run();
}

fn spans(provider: &SdkTracerProvider, count: usize) {
    let tracer = provider.tracer("alone");
    for _ in 0..count {
        black_box(tracer.start("process orders"));
    }
}
