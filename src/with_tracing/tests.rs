//! What is logged while a span of OpenTelemetry starts, ends or is not there.
#![expect(clippy::expect_used, reason = "a test panics where it fails")]

use std::collections::HashMap;
use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Duration;
use std::{env, slice, thread};

use opentelemetry::Context;
use opentelemetry::context::FutureExt as _;
use opentelemetry::propagation::text_map_propagator::FieldIter;
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator};
use opentelemetry::trace::{Tracer as OtelTracer, TracerProvider as _};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{
    InMemorySpanExporter, SdkTracerProvider, Span, SpanData, SpanProcessor,
};
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
use crate::telemetry::{Telemetry, tests};

/// In the environment of a process that a test runs itself in: whether the layer activates contexts.
const ACTIVATES: &str = "OTEL_MESSAGING_TEST_ACTIVATES";

/// Runs a test in processes of its own, for its subscriber is theirs.
fn alone(test: &str) {
    for activates in ["true", "false"] {
        let test = format!("with_tracing::tests::{test}");
        tests::alone(&test, &[(ACTIVATES, activates)]);
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
        // OpenTelemetry has lines of its own, of other levels.
        let own = text.lines().filter(|line| line.contains(" INFO "));
        own.map(without_ids).collect()
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

/// A propagator that logs, as OpenTelemetry's own do of headers that they cannot read.
#[derive(Debug)]
struct LoggingPropagator;

impl TextMapPropagator for LoggingPropagator {
    fn inject_context(&self, _: &Context, _: &mut dyn Injector) {
        info!("injecting");
    }

    fn extract_with_context(&self, context: &Context, _: &dyn Extractor) -> Context {
        info!("extracting");
        context.clone()
    }

    fn fields(&self) -> FieldIter<'_> {
        FieldIter::new(&[])
    }
}

#[test]
fn what_logs_while_opentelemetry_has_lent_out_what_is_current_has_ids_too() {
    let Ok(activates) = env::var(ACTIVATES) else {
        return alone("what_logs_while_opentelemetry_has_lent_out_what_is_current_has_ids_too");
    };
    let provider = SdkTracerProvider::default();
    let lines = set_subscriber(&provider, &activates);
    let logging = SdkTracerProvider::builder()
        .with_span_processor(Logs)
        .build();

    info_span!("loop").in_scope(|| {
        let mut headers = HashMap::new();
        LoggingPropagator.inject(&mut headers);
        let _ = LoggingPropagator.extract(&headers);
        drop(logging.tracer("of somebody else").start("span"));
        info!("after");
    });

    let expected = [
        "injecting",
        "extracting",
        "a span starts",
        "a span ends",
        "after",
    ];
    let expected = expected.map(|line| format!("ids loop: {line}"));
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

/// The spans and lines of a program that handles a message so, with a span processor that logs.
fn recorded(
    activates: bool,
    handle: impl FnOnce(&SdkTracerProvider) + Send + 'static,
) -> (Vec<SpanData>, Vec<String>) {
    in_time(move || {
        let (lines, spans) = (Lines::default(), InMemorySpanExporter::default());
        let provider = SdkTracerProvider::builder()
            .with_span_processor(Logs)
            .with_simple_exporter(spans.clone())
            .build();
        let tracer = Tracer::new(provider.tracer("application"));
        let subscriber = subscriber(&lines, tracer, activates);
        dispatcher::with_default(&subscriber, || handle(&provider));
        let spans = spans.get_finished_spans().expect("no thread panics");
        (spans, lines.taken())
    })
}

fn events(span: &SpanData) -> Vec<&str> {
    let events = span.events.iter();
    events.map(|event| event.name.as_ref()).collect()
}

#[test]
fn what_logs_while_a_process_span_ends_does_not_wait_for_that_span() {
    let ends: [fn(ProcessSpan); 3] = [
        |span| span.end(&()),
        drop,
        |span| span.end(&Err::<(), _>(io::Error::other("declined"))),
    ];
    let recorded_events = [
        vec!["handling"],
        vec!["handling"],
        vec!["handling", "exception"],
    ];
    for (end, expected) in ends.into_iter().zip(&recorded_events) {
        for activates in [true, false] {
            let (spans, lines) = recorded(activates, move |provider| {
                let span = process_span(provider);
                span.tracing_span().in_scope(|| {
                    info!("handling");
                    end(span);
                    info!("after");
                });
            });

            let spans: Vec<_> = spans.iter().map(events).collect();
            assert_eq!(spans, slice::from_ref(expected));
            let ids = if activates { "ids " } else { "" };
            let inside = ["handling", "a span ends", "after"];
            let inside = inside.map(|line| format!("{ids}process: {line}"));
            let mut expected = vec!["a span starts".to_owned()];
            expected.extend(inside);
            assert_eq!(lines, expected);
        }
    }
}

#[test]
fn what_logs_while_a_process_span_ends_with_a_panic_does_not_wait_for_that_span() {
    let (spans, _) = recorded(true, |provider| {
        let mut entered = None;
        let handler = async || {
            entered = Some(tracing::Span::current().entered());
            resume_unwind(Box::new("in a handler"))
        };
        let handled = processing(|| process_span(provider), handler);
        let handled = AssertUnwindSafe(|| -> () { block_on(handled) });
        catch_unwind(handled).expect_err("it panics");
        drop(entered);
    });

    let spans: Vec<_> = spans.iter().map(events).collect();
    assert_eq!(spans, [["exception"]]);
}

#[test]
fn where_the_tracer_is_another_a_handler_has_one_more_span() {
    let spans = InMemorySpanExporter::default();
    let provider = SdkTracerProvider::builder()
        .with_simple_exporter(spans.clone())
        .build();
    let tracer = provider.tracer("application");
    let subscriber = subscriber(&Lines::default(), tracer, true);

    dispatcher::with_default(&subscriber, || {
        for _ in 0..2 {
            process_span(&provider).end(&());
        }
    });

    let scopes = spans.get_finished_spans().expect("no thread panics");
    let mut scopes: Vec<_> = scopes
        .iter()
        .map(|span| span.instrumentation_scope.name().to_owned())
        .collect();
    scopes.sort();
    let ours = env!("CARGO_PKG_NAME");
    assert_eq!(scopes, ["application", "application", ours, ours]);
}
