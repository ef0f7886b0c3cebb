//! What is logged while a span of OpenTelemetry starts, ends or is not there.
#![expect(clippy::expect_used, reason = "a test panics where it fails")]

use std::io::{self, Write};
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Duration;
use std::{env, thread};

use opentelemetry::Context;
use opentelemetry::context::FutureExt as _;
use opentelemetry::trace::{Tracer as OtelTracer, TracerProvider as _};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SdkTracerProvider, Span, SpanData, SpanProcessor};
use tokio::runtime;
use tracing::{Dispatch, dispatcher, info, info_span};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::{Layer, Registry, fmt};

use super::{ProcessSpans, TraceIds, Tracer};
use crate::engine::client::Client;
use crate::engine::operation::Operation;
use crate::engine::parent::ParentAndLinks;
use crate::engine::span::{ProcessSpan, StartedOperation, processing};
use crate::semconv::operation_type::OperationType;
use crate::telemetry::Telemetry;

/// In the environment of a process that a test runs itself in: whether the layer activates contexts.
const ACTIVATES: &str = "OTEL_MESSAGING_TEST_ACTIVATES";

/// Runs a test in processes of its own, for its subscriber is theirs.
fn alone(test: &str) {
    let itself = env::current_exe().expect("the test's own program");
    for activates in ["true", "false"] {
        let output = Command::new(&itself)
            .args(["--exact", &format!("with_tracing::tests::{test}")])
            .env(ACTIVATES, activates)
            .output()
            .expect("it runs");
        let told = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success() && told.contains("1 passed"),
            "{activates}: {told}"
        );
    }
}

/// What `act` gives, in a thread that may hang.
fn in_time<T: Send + 'static>(act: impl FnOnce() -> T + Send + 'static) -> T {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || sender.send(act()));
    let patience = Duration::from_secs(30);
    receiver.recv_timeout(patience).expect("it ends, and well")
}

fn block_on<F: Future>(future: F) -> F::Output {
    let runtime = runtime::Builder::new_current_thread().build();
    runtime.expect("a runtime").block_on(future)
}

/// A span processor that logs.
#[derive(Debug)]
struct Logs;

impl SpanProcessor for Logs {
    fn on_start(&self, _: &mut Span, _: &Context) {
        info!("a span starts");
    }

    fn on_end(&self, _: SpanData) {
        info!("a span ends");
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

/// What was written.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Lines {
    /// The lines, with `ids` where there are some.
    fn taken(&self) -> Vec<String> {
        let mut written = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let text = String::from_utf8(std::mem::take(&mut *written)).expect("text");
        let without_ids = |line: &str| match line.split_once("  INFO ") {
            Some((ids, rest)) if ids.starts_with("trace_id=") => format!("ids {rest}"),
            _ => line.trim_start_matches(" INFO ").to_owned(),
        };
        text.lines().map(without_ids).collect()
    }

    fn layer(&self) -> impl Layer<Registry> + use<> {
        let writer = self.clone();
        fmt::layer()
            .with_ansi(false)
            .with_target(false)
            .without_time()
            .with_writer(move || writer.clone())
            .map_event_format(TraceIds::new)
    }
}

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut written = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        written.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn subscriber<T>(lines: &Lines, tracer: T, activates: bool) -> Dispatch
where
    T: OtelTracer + Send + Sync + 'static,
    T::Span: Send + Sync,
{
    let layer = tracing_opentelemetry::layer().with_tracer(tracer);
    let layer = layer.with_context_activation(activates);
    let registry = tracing_subscriber::registry().with(lines.layer());
    Dispatch::new(registry.with(layer).with(ProcessSpans))
}

/// Sets the subscriber of this process, which is one of a test alone.
fn set_subscriber(provider: &SdkTracerProvider, activates: &str) -> Lines {
    let lines = Lines::default();
    let tracer = Tracer::new(provider.tracer("application"));
    let subscriber = subscriber(&lines, tracer, activates == "true");
    dispatcher::set_global_default(subscriber).expect("the first one");
    lines
}

fn process_span(provider: &SdkTracerProvider) -> ProcessSpan {
    let telemetry = Telemetry::new().tracer_provider(provider.clone());
    let client = Arc::new(Client::new(&telemetry, "kafka"));
    let operation = Operation {
        client: &client,
        operation_type: OperationType::Process,
        operation_name: "process",
        destination: None,
        partition: None,
        batch: None,
        baggage: None,
    };
    let parent = ParentAndLinks::inside(Context::new(), Vec::new());
    ProcessSpan::new(StartedOperation::start(&operation, parent, |_| {}))
}

#[test]
fn a_line_in_an_empty_context_has_no_ids() {
    let Ok(activates) = env::var(ACTIVATES) else {
        return alone("a_line_in_an_empty_context_has_no_ids");
    };
    let provider = SdkTracerProvider::default();
    let lines = set_subscriber(&provider, &activates);

    info_span!("loop").in_scope(|| {
        info!("before");
        let empty = Context::new().attach();
        info!("inside");
        drop(empty);
        info!("after");
    });
    let handler = async || {
        info!("handling");
        async { info!("notifying") }
            .with_context(Context::new())
            .await;
    };
    block_on(processing(|| process_span(&provider), handler));

    let expected = [
        "ids loop: before",
        "loop: inside",
        "ids loop: after",
        "ids process: handling",
        "process: notifying",
    ];
    assert_eq!(lines.taken(), expected);
}

#[test]
fn what_logs_while_a_span_starts_does_not_wait_for_that_span() {
    let Ok(activates) = env::var(ACTIVATES) else {
        return alone("what_logs_while_a_span_starts_does_not_wait_for_that_span");
    };
    let provider = SdkTracerProvider::builder().with_span_processor(Logs);
    let lines = set_subscriber(&provider.build(), &activates);

    in_time(|| info_span!("loop").in_scope(|| info!("inside")));

    let expected = ["loop: a span starts", "ids loop: inside", "a span ends"];
    assert_eq!(lines.taken(), expected);
}
