//! What is told of the errors that handlers end with.

use std::error::Error;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::sync::Arc;
use std::{env, fmt, io};

use futures::FutureExt as _;
use opentelemetry::context::FutureExt as _;
use opentelemetry::logs::Severity;
use opentelemetry::trace::{SpanContext, TraceContextExt as _};
use opentelemetry_sdk::trace::{Sampler, SpanData};
use otel_messaging::policy::{Policy, Record, Rule};
use otel_messaging::testing::{ExpectedLog, ExpectedSpan, Recorder};
use otel_messaging::{Batch, Received, Telemetry};

use super::fan_back::fan_back_span;
use super::{send_bare, upstream, upstream_headers, upstream_span};
use crate::metrics::{and, process_duration};
use crate::whole;
use crate::{Broker, again_with, logging};

const EVENT: &str = "messaging.process.exception";
const OPT_IN: &str = "OTEL_SEMCONV_EXCEPTION_SIGNAL_OPT_IN";

/// An order from a service before ours.
async fn order<B: Broker>(broker: &B, orders: &str) -> Received<B::Message> {
    send_bare(broker, orders, upstream_headers()).await;
    broker.receive(orders).await
}

fn logged_in(span: &SpanContext) -> ExpectedLog {
    whole::log(EVENT, Severity::Error).in_span(span)
}

/// A log record of an error that has a text and no type.
fn logged_no_stock(span: &SpanContext) -> ExpectedLog {
    logged_in(span).attribute("exception.message", "no stock")
}

/// The one log record that there is, and the span of processing.
fn assert_logged(recorder: &Recorder, expected: &ExpectedLog) {
    assert_eq!(recorder.logs().len(), 1, "{:?}", recorder.logs());
    expected.assert(&recorder.log(EVENT));
}

/// With a logger provider an error or a panic of a handler is a log record in its span, and no event
/// of that; of a batch it is one record, also where the traces of its messages have spans.
pub async fn exceptions_are_logged_where_a_logger_is_given<B: Broker>() {
    let recorder = Recorder::new();
    let policy = Policy::new().rule(Rule::of("*").fan_back(2));
    let broker = B::connect(&logging(&recorder).policy(policy)).await;
    let orders = broker.declare("orders").await;
    let received = order(&broker, &orders).await;
    let name = broker.process_name(&orders);
    let expected = || {
        let span = broker.process_span(&orders, &received);
        span.child_of(&upstream_span()).link(&upstream_span())
    };

    let _ = received.process(async |_| Err::<(), _>("no stock")).await;
    let span = recorder.span(&name);
    let failed = expected().error("_OTHER").description("no stock");
    failed.assert(&span);
    assert_logged(&recorder, &logged_no_stock(&span.span_context));

    recorder.clear();
    let guard = received.start_process_span();
    guard.end(&"seven".parse::<u32>());
    let span = recorder.span(&name);
    let (of_type, text) = (
        "core::num::error::ParseIntError",
        "invalid digit found in string",
    );
    let failed = expected().error(of_type).description(text);
    failed.assert(&span);
    let logged = logged_in(&span.span_context).exception(of_type, text);
    assert_logged(&recorder, &logged);

    recorder.clear();
    let panics = received.process(async |_| resume_unwind(Box::new("out of paper")));
    let panicked: Result<(), _> = AssertUnwindSafe(panics).catch_unwind().await;
    assert!(panicked.is_err());
    let span = recorder.span(&name);
    let failed = expected().error("panic").description("out of paper");
    failed.assert(&span);
    let logged = logged_in(&span.span_context).exception("panic", "out of paper");
    assert_logged(&recorder, &logged);

    recorder.clear();
    drop(received.start_process_span());
    let span = recorder.span(&name);
    let failed = expected().error("cancelled").description("");
    failed.assert(&span);
    assert_eq!(recorder.logs(), []);

    recorder.clear();
    let batch = Batch::from(vec![received, order(&broker, &orders).await]);
    let _ = batch.process(async |_| Err::<(), _>("no stock")).await;
    let spans: [SpanData; 2] = recorder.spans().try_into().expect("two spans");
    let [whole, in_trace] = &spans;
    let message = batch.first().expect("the message");
    let failed = |span: ExpectedSpan| span.error("_OTHER").description("no stock");
    failed(broker.in_common(broker.batch_span(&orders, 2), message))
        .link(&upstream_span())
        .link(&upstream_span())
        .assert(whole);
    failed(fan_back_span(&orders, whole, 2))
        .child_of(&upstream_span())
        .link(&upstream_span())
        .link(&upstream_span())
        .assert(in_trace);
    assert_logged(&recorder, &logged_no_stock(&whole.span_context));
}

/// Sampling and a missing tracer do not keep exceptions from the log; a policy without spans and
/// suppressed telemetry do.
pub async fn exceptions_are_logged_whether_or_not_a_span_is_recorded<B: Broker>() {
    let unsampled = Recorder::with_sampler(Sampler::AlwaysOff);
    let recorder = Recorder::new();
    let broker = B::connect(&logging(&unsampled)).await;
    let orders = broker.declare("orders").await;
    let received = order(&broker, &orders).await;
    let mut context = SpanContext::NONE;
    let handler = async |_: &Received<B::Message>| {
        context = opentelemetry::Context::current()
            .span()
            .span_context()
            .clone();
        Err::<(), _>("no stock")
    };
    let _ = received.process(handler).await;
    assert_eq!(unsampled.spans().len(), 0);
    assert_eq!(context.trace_id(), upstream_span().trace_id());
    assert!(!context.is_sampled());
    assert_logged(&unsampled, &logged_no_stock(&context));

    unsampled.clear();
    let suppressed = upstream("01").with_telemetry_suppressed();
    let handler = received.process(async |_| Err::<(), _>("no stock"));
    let _ = handler.with_context(suppressed).await;
    assert_eq!(unsampled.logs(), []);

    let logger = recorder.logger_provider().clone();
    let broker = B::connect(&Telemetry::new().logger_provider(logger)).await;
    let orders = broker.declare("orders").await;
    let received = order(&broker, &orders).await;
    let _ = received.process(async |_| Err::<(), _>("no stock")).await;
    assert_logged(&recorder, &logged_no_stock(&upstream_span()));

    for record in [Record::PropagateOnly, Record::Off] {
        recorder.clear();
        let policy = Policy::new().rule(Rule::of("*").record(record));
        let broker = B::connect(&logging(&recorder).policy(policy)).await;
        let orders = broker.declare("orders").await;
        let received = order(&broker, &orders).await;
        let _ = received.process(async |_| Err::<(), _>("no stock")).await;
        assert_eq!(recorder.logs(), []);
    }
}

/// With `logs/dup` in the environment exceptions are both, where a logger provider is given.
pub async fn exceptions_are_both_where_that_is_asked_for<B: Broker>() {
    if env::var_os(OPT_IN).is_none() {
        for value in ["logs", "logs/dup"] {
            again_with("exceptions_are_both_where_that_is_asked_for", OPT_IN, value);
        }
        return;
    }
    let is_both = env::var(OPT_IN).as_deref() == Ok("logs/dup");
    for has_logger in [true, false] {
        let recorder = Recorder::new();
        let telemetry = match has_logger {
            true => logging(&recorder),
            false => recorder.telemetry(),
        };
        let broker = B::connect(&telemetry).await;
        let orders = broker.declare("orders").await;
        let received = order(&broker, &orders).await;
        let _ = received.process(async |_| Err::<(), _>("no stock")).await;

        let span = recorder.span(&broker.process_name(&orders));
        let expected = broker
            .process_span(&orders, &received)
            .child_of(&upstream_span())
            .link(&upstream_span())
            .error("_OTHER")
            .description("no stock");
        if is_both || !has_logger {
            expected.event("exception").assert(&span);
        } else {
            expected.assert(&span);
        }
        if has_logger {
            assert_logged(&recorder, &logged_no_stock(&span.span_context));
        } else {
            assert_eq!(recorder.logs(), []);
        }
    }
}

/// An error with a cause.
#[derive(Debug)]
struct Unpaid(io::Error);

impl fmt::Display for Unpaid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("unpaid")
    }
}

impl Error for Unpaid {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.0)
    }
}

fn unpaid() -> Unpaid {
    Unpaid(io::Error::other("no bank answers"))
}

/// Processes an order with a handler that returns this error, which is told by that name and with
/// that text, on the span and in the metrics.
async fn fails_with<B: Broker, E: fmt::Debug + 'static>(error: E, error_type: &str, text: &str) {
    let recorder = Recorder::new();
    let broker = B::connect(&recorder.telemetry()).await;
    let orders = broker.declare("orders").await;
    let received = order(&broker, &orders).await;

    let _ = received.process(async |_| Err::<(), _>(error)).await;

    let expected = broker
        .process_span(&orders, &received)
        .child_of(&upstream_span())
        .link(&upstream_span())
        .error(error_type.to_owned())
        .description(text);
    let expected = match error_type {
        "_OTHER" => expected.event("exception"),
        named => expected.exception(named.to_owned()),
    };
    expected.assert(&recorder.span(&broker.process_name(&orders)));
    process_duration()
        .of(and(broker.processed(&orders), "error.type", error_type), 1)
        .assert(&recorder);
}

/// An error whose type says nothing of it is `_OTHER`, else it has the name of the type without
/// pointers and without what is generic; its text is as it displays itself, where that is known.
pub async fn an_error_is_named_by_its_type_where_that_says_something<B: Broker>() {
    let sync: Box<dyn Error + Send + Sync> = Box::new(unpaid());
    let send: Box<dyn Error + Send> = Box::new(unpaid());
    let local: Box<dyn Error> = Box::new(unpaid());
    let shared: Arc<dyn Error + Send + Sync> = Arc::new(unpaid());
    let displayed = "unpaid: no bank answers";
    fails_with::<B, _>(sync, "_OTHER", displayed).await;
    fails_with::<B, _>(send, "_OTHER", displayed).await;
    fails_with::<B, _>(local, "_OTHER", displayed).await;
    fails_with::<B, _>(shared, "_OTHER", displayed).await;
    let caused = anyhow::Error::new(unpaid()).context("order 7");
    let text = "order 7 Caused by: 0: unpaid 1: no bank answers";
    fails_with::<B, _>(caused, "_OTHER", text).await;
    fails_with::<B, _>((), "_OTHER", "()").await;
    fails_with::<B, _>("no\nstock", "_OTHER", "no stock").await;
    fails_with::<B, _>(String::from("no stock"), "_OTHER", "no stock").await;
    fails_with::<B, _>((404, "no stock"), "_OTHER", "(404, \"no stock\")").await;

    let text = B::error().to_string();
    let name = std::any::type_name::<B::Error>();
    let name = name.split('<').next().expect("a name");
    fails_with::<B, _>(B::error(), name, &text).await;

    let own = "integration::scenario::exceptions::Unpaid";
    let debug = format!("{:?}", unpaid());
    fails_with::<B, _>(unpaid(), own, &debug).await;
    fails_with::<B, _>(Box::new(unpaid()), own, &debug).await;
    fails_with::<B, _>(Arc::new(unpaid()), own, &debug).await;
    let poisoned = std::sync::PoisonError::new(());
    let name = std::any::type_name_of_val(&poisoned);
    let name = name.split('<').next().expect("a name").to_owned();
    fails_with::<B, _>(poisoned, &name, "PoisonError { .. }").await;
    let name = std::any::type_name::<io::Error>();
    fails_with::<B, _>(io::Error::other("no disk"), name, "no disk").await;
}
