//! The end of a program whose collector is down or does not answer.

use std::env;
use std::net::TcpListener;
use std::process::Output;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use examples::telemetry::{Providers, shut_down};
use integration::again_with;
use opentelemetry::trace::{SpanKind, Tracer as _, TracerProvider as _};
use opentelemetry_otlp::SpanExporter;
use opentelemetry_sdk::trace::SdkTracerProvider;

use crate::programs::{program, run, text};

const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";

/// A port that takes connections and never answers.
fn silent() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    (listener, format!("http://{address}"))
}

/// Nobody listens there.
const DOWN: &str = "http://127.0.0.1:9";

/// With as many spans as wait for a collector that does not answer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_queue_of_spans_and_a_silent_collector_keep_a_program_for_five_seconds_at_most() {
    let test =
        "a_full_queue_of_spans_and_a_silent_collector_keep_a_program_for_five_seconds_at_most";
    if env::var_os(ENDPOINT).is_none() {
        let (_listener, endpoint) = silent();
        return again_with(test, ENDPOINT, &endpoint);
    }
    let providers = Providers::new("shop").expect("providers");
    for _ in 0..4_000 {
        let work = async { anyhow::Ok(()) };
        let order = providers.in_span("order", SpanKind::Internal, work);
        order.await.expect("it works");
    }

    // What the SDK does by itself, at the same time: on a machine that is slow, both are.
    let alone = flushed_and_shut_down();
    let started = Instant::now();
    tokio::task::block_in_place(|| shut_down(&[&providers]));

    let took = started.elapsed();
    let alone = alone.join().expect("no panic");
    assert!(took >= Duration::from_secs(5), "it took {took:?}");
    assert!(took < alone, "it took {took:?}, and {alone:?} alone");
}

/// How long spans take where a flush and shutting down each wait for five seconds.
fn flushed_and_shut_down() -> JoinHandle<Duration> {
    let exporter = SpanExporter::builder().with_http().build();
    let provider = SdkTracerProvider::builder()
        .with_batch_exporter(exporter.expect("an exporter"))
        .build();
    let tracer = provider.tracer("shop");
    for _ in 0..4_000 {
        drop(tracer.start("order"));
    }
    thread::spawn(move || {
        let started = Instant::now();
        let _ = provider.force_flush();
        let _ = provider.shutdown();
        started.elapsed()
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_ends_as_ever_and_says_what_was_not_exported() {
    let (_listener, silent) = silent();
    for name in ["http", "kafka_roundtrip"] {
        for endpoint in [DOWN, &silent] {
            let mut command = program(name);
            command.env_remove("KAFKA_BROKERS").env(ENDPOINT, endpoint);
            let Output { status, stdout, .. } = run(&mut command).await;
            let said = text(stdout);
            assert!(status.success(), "{name}, {endpoint}: {said}");
            for signal in ["Spans", "Metrics"] {
                let expected = format!("{signal} not exported to the address in {ENDPOINT}");
                assert!(said.contains(&expected), "{name}, {endpoint}: {said}");
            }
        }
    }
}
