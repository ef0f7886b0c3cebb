//! What the crate keeps does not grow with what there can be any number of: names of destinations, groups, clients,
//! traces, headers and members of baggage of others; nor with the number of messages.
//!
//! Counted is what Rust code keeps allocated. Of C code, which librdkafka is, nothing is seen.
#![expect(clippy::expect_used, reason = "a test panics where it fails")]

mod answered;
mod distinct;
mod live;
mod long;
#[path = "../growth/server.rs"]
mod server;
mod stream;

use std::io::{Write as _, stdout};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use opentelemetry::Context;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::metrics::data::ResourceMetrics;
use opentelemetry_sdk::metrics::exporter::PushMetricExporter;
use opentelemetry_sdk::metrics::{SdkMeterProvider, Temporality};
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanData, SpanExporter};
use otel_messaging::Telemetry;
use otel_messaging::policy::{Policy, Rule};

/// After so many there is all that is to be kept.
const FEW: usize = 20_000;
const MANY: usize = 1_000_000;
/// Bytes that the SDK, the clients and the runtimes have now and then, whatever is done.
const NOISE: i64 = 128 << 10;
/// Bytes, fewer than any name has that is kept.
const LEAST: i64 = 8;

/// One test at a time: all that is allocated is counted.
fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Telemetry that records all and keeps nothing.
struct Recording {
    telemetry: Telemetry,
    meters: SdkMeterProvider,
}

impl Recording {
    fn new() -> Self {
        Self::with(Rule::of("*"))
    }

    /// With a rule for all destinations.
    fn with(rule: Rule) -> Self {
        let spans = SdkTracerProvider::builder().with_simple_exporter(Discard);
        let meters = SdkMeterProvider::builder()
            .with_periodic_exporter(Discard)
            .build();
        let telemetry = Telemetry::new()
            .tracer_provider(spans.build())
            .meter_provider(meters.clone())
            .policy(Policy::new().rule(rule));
        Self { telemetry, meters }
    }

    /// Does something for each number up to one, and holds that no more is kept than after [`FEW`].
    fn assert_flat(&self, what: &str, many: usize, each: impl FnMut(usize)) {
        let (few, kept, told) = self.kept(what, FEW, many, each);
        assert!(kept <= few + NOISE, "{told}");
    }

    /// The same for so few that a name kept for each would be lost in [`NOISE`].
    fn assert_no_more(&self, what: &str, first: usize, many: usize, each: impl FnMut(usize)) {
        let (few, kept, told) = self.kept(what, first, many, each);
        let more = i64::try_from(many - first).expect("few");
        assert!(kept - few < more * LEAST, "{told}");
    }

    /// What is kept after so many as come first, and after all.
    fn kept(
        &self,
        what: &str,
        first: usize,
        many: usize,
        mut each: impl FnMut(usize),
    ) -> (i64, i64, String) {
        let started = Instant::now();
        let before = self.live();
        (0..first).for_each(&mut each);
        let few = self.live() - before;
        (first..many).for_each(&mut each);
        let kept = self.live() - before;
        let told = format!("{what}: {few} bytes after {first}, {kept} after {many}");
        let took = started.elapsed().as_secs_f32();
        drop(writeln!(stdout(), "{told}, in {took:.1} s"));
        (few, kept, told)
    }

    fn live(&self) -> i64 {
        self.meters.force_flush().expect("metrics are exported");
        live::bytes()
    }
}

#[derive(Clone, Copy, Debug)]
struct Discard;

impl SpanExporter for Discard {
    async fn export(&self, _: Vec<SpanData>) -> OTelSdkResult {
        Ok(())
    }
}

impl PushMetricExporter for Discard {
    async fn export(&self, _: &ResourceMetrics) -> OTelSdkResult {
        Ok(())
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }

    fn temporality(&self) -> Temporality {
        Temporality::Cumulative
    }
}

/// The count itself: what is kept is seen to grow.
#[test]
#[should_panic(expected = "names that are kept")]
fn what_is_kept_for_each_is_seen() {
    let _alone = alone();
    let mut kept = Vec::new();
    Recording::new().assert_flat("names that are kept", 200_000, |number| {
        kept.push(number.to_string());
    });
}

/// That of few too, where the list of what is kept has room before.
#[test]
#[should_panic(expected = "names that few keep")]
fn what_is_kept_for_each_of_few_is_seen() {
    let _alone = alone();
    let mut kept = Vec::with_capacity(6_000);
    Recording::new().assert_no_more("names that few keep", 3_000, 6_000, |number| {
        kept.push(format!("orders-{number}").into_boxed_str());
    });
}

/// Runs what needs no wait.
fn now<F: Future>(future: F) -> F::Output {
    use futures::FutureExt as _;
    assert!(!Context::current().is_telemetry_suppressed());
    future.now_or_never().expect("nothing is waited for")
}
