//! Telemetry code of the user's that panics: messaging goes on.

use std::fmt;
use std::panic::AssertUnwindSafe;

use futures::FutureExt as _;
use opentelemetry::logs::Severity;
use opentelemetry::propagation::text_map_propagator::FieldIter;
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator};
use opentelemetry::trace::{Link, SpanKind, TraceId};
use opentelemetry::{Context, InstrumentationScope, KeyValue};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::logs::{LogProcessor, SdkLogRecord, SdkLoggerProvider};
use opentelemetry_sdk::metrics::{Instrument, SdkMeterProvider, Stream};
use opentelemetry_sdk::trace::{
    SamplingResult, SdkTracerProvider, ShouldSample, Span, SpanData, SpanProcessor,
};
use otel_messaging::testing::Recorder;
use otel_messaging::{Batch, Received, Telemetry};

use super::{send_bare, tenant, upstream_headers};
use crate::{BatchSender, Broker, Message};

/// Where a span processor panics.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Panics {
    AtStart,
    AtEnd,
}

impl SpanProcessor for Panics {
    fn on_start(&self, _: &mut Span, _: &Context) {
        assert_ne!(*self, Self::AtStart, "a span processor panics");
    }

    fn on_end(&self, _: SpanData) {
        assert_ne!(*self, Self::AtEnd, "a span processor panics");
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: std::time::Duration) -> OTelSdkResult {
        Ok(())
    }
}

/// A log processor that panics when it is asked whether it wants a record, or when it gets one.
#[derive(Debug)]
struct PanickingLog {
    is_asked: bool,
}

impl LogProcessor for PanickingLog {
    fn emit(&self, _: &mut SdkLogRecord, _: &InstrumentationScope) {
        unreachable!("a log processor panics")
    }

    fn event_enabled(&self, _: Severity, _: &str, _: Option<&str>) -> bool {
        assert!(!self.is_asked, "a log processor panics");
        true
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: std::time::Duration) -> OTelSdkResult {
        Ok(())
    }
}

/// A sampler, a propagator and an error that panic whatever they are asked.
#[derive(Clone, Debug)]
struct Broken;

impl ShouldSample for Broken {
    fn should_sample(
        &self,
        _: Option<&Context>,
        _: TraceId,
        _: &str,
        _: &SpanKind,
        _: &[KeyValue],
        _: &[Link],
    ) -> SamplingResult {
        unreachable!("a sampler panics")
    }
}

impl TextMapPropagator for Broken {
    fn inject_context(&self, _: &Context, _: &mut dyn Injector) {
        unreachable!("a propagator panics")
    }

    fn extract_with_context(&self, _: &Context, _: &dyn Extractor) -> Context {
        unreachable!("a propagator panics")
    }

    fn fields(&self) -> FieldIter<'_> {
        unreachable!("a propagator panics")
    }
}

/// An error whose text cannot be had.
struct NoText;

impl fmt::Debug for NoText {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        unreachable!("the text of an error panics")
    }
}

/// Telemetry of which something panics, with the component that is counted for it; the meter cannot
/// count itself.
fn broken(recorder: &Recorder) -> Vec<(Telemetry, Option<&'static str>)> {
    let telemetry = || recorder.telemetry();
    let tracer = |provider: SdkTracerProvider| telemetry().tracer_provider(provider);
    let processor = |panics| {
        SdkTracerProvider::builder()
            .with_span_processor(panics)
            .build()
    };
    let sampler = SdkTracerProvider::builder().with_sampler(Broken).build();
    let logger = |is_asked| {
        let processor = PanickingLog { is_asked };
        SdkLoggerProvider::builder()
            .with_log_processor(processor)
            .build()
    };
    let view = |_: &Instrument| -> Option<Stream> { unreachable!("a view panics") };
    let meter = SdkMeterProvider::builder()
        .with_periodic_exporter(opentelemetry_sdk::metrics::InMemoryMetricExporter::default())
        .with_view(view)
        .build();
    vec![
        (tracer(processor(Panics::AtStart)), Some("tracer")),
        (tracer(processor(Panics::AtEnd)), Some("tracer")),
        (tracer(sampler), Some("tracer")),
        (telemetry().logger_provider(logger(true)), Some("logger")),
        (telemetry().logger_provider(logger(false)), Some("logger")),
        (telemetry().propagator(Broken), Some("propagator")),
        (
            telemetry().error_classifier(|_| unreachable!("a classifier panics")),
            Some("classifier"),
        ),
        (telemetry().meter_provider(meter), None),
    ]
}

/// How often this component was counted to have panicked.
fn panics(recorder: &Recorder, component: &'static str) -> u64 {
    let counted = recorder.counter("otel_messaging.telemetry.panics");
    let of_component = KeyValue::new("otel_messaging.telemetry.component", component);
    let mut counted = counted.into_iter();
    let counted = counted.find(|(attributes, _)| attributes.contains(&of_component));
    counted.map_or(0, |(_, count)| count)
}

/// A panic of a span or log processor, a sampler, a propagator, a classifier, a meter or an error's text
/// costs neither a message nor a result, and is counted.
pub async fn telemetry_code_that_panics_costs_nothing<B: Broker>() {
    let recorder = Recorder::new();
    for (telemetry, component) in broken(&recorder) {
        recorder.clear();
        let before = component.map(|component| panics(&recorder, component));
        let broker = B::connect(&telemetry).await;
        let orders = broker.declare("orders").await;

        send_bare(&broker, &orders, upstream_headers()).await;
        for _ in 0..2 {
            broker.send(&orders, &Message::new("order-7")).await;
        }
        for number in 0..3 {
            let order = broker.receive(&orders).await;
            let outcome = order.process(async |_| Err::<(), _>(number)).await;
            assert_eq!(outcome, Err(number));
            let text = order.process(async |_| Err::<(), _>(NoText)).await;
            assert!(text.is_err());
            drop(order.start_process_span());
            order.start_process_span().end(&Ok::<_, String>(()));
            let batch = Batch::from(vec![order]);
            assert_eq!(
                batch.process(async |_| Err::<(), _>(number)).await,
                Err(number)
            );
        }

        if let (Some(component), Some(before)) = (component, before) {
            assert!(panics(&recorder, component) > before, "{component}");
        }
    }
    assert!(panics(&recorder, "outcome") > 0);
    let name = "otel_messaging.telemetry.panics";
    assert_eq!(recorder.unit(name).as_deref(), Some("{panic}"));
}

/// The same for messages that are sent together.
pub async fn telemetry_code_that_panics_costs_no_message_of_a_batch<B: BatchSender>() {
    let recorder = Recorder::new();
    for (telemetry, _) in broken(&recorder) {
        let broker = B::connect(&telemetry).await;
        let orders = broker.declare("orders").await;
        let messages = ["order-7", "order-8"].map(Message::new);

        broker.send_batch(&orders, &messages).await;

        for _ in &messages {
            broker.receive(&orders).await;
        }
    }
}

/// An order from elsewhere, and the payment that is sent in its handler, where its baggage is current.
async fn paid_in_a_handler<B: Broker>(broker: &B) -> (Received<B::Message>, Received<B::Message>) {
    let orders = broker.declare("orders").await;
    let payments = broker.declare("payments").await;
    send_bare(broker, &orders, upstream_headers()).await;

    let order = broker.receive(&orders).await;
    let seen = order.process(async |_| {
        broker.send(&payments, &Message::new("payment-7")).await;
        Ok::<_, String>(tenant())
    });
    assert_eq!(seen.await, Ok(Some("blue sky".to_owned())));
    let payment = broker.receive(&payments).await;
    (order, payment)
}

/// A tracer that panics leaves the trace of the message as it is.
pub async fn a_tracer_that_panics_cuts_no_trace<B: Broker>() {
    let recorder = Recorder::new();
    let sampler = SdkTracerProvider::builder().with_sampler(Broken).build();
    let telemetry = recorder.telemetry().tracer_provider(sampler);
    let broker = B::connect(&telemetry).await;
    let (order, payment) = paid_in_a_handler(&broker).await;

    let carried = super::values(&broker, &payment, "traceparent");
    assert_eq!(carried, super::values(&broker, &order, "traceparent"));
}

/// A handler's own panic goes on, though telemetry panics while it does.
pub async fn a_handlers_panic_goes_on_where_telemetry_panics_too<B: Broker>() {
    let recorder = Recorder::new();
    for (telemetry, _) in broken(&recorder) {
        let broker = B::connect(&telemetry).await;
        let orders = broker.declare("orders").await;
        broker.send(&orders, &Message::new("order-7")).await;
        let order = broker.receive(&orders).await;

        let handler = order.process(async |_| -> Result<(), String> {
            // A guard that is dropped by the panic ends its own span meanwhile.
            let _guard = order.start_process_span();
            std::panic::resume_unwind(Box::new("out of paper"))
        });
        let panicked = AssertUnwindSafe(handler).catch_unwind().await;

        let payload = panicked.expect_err("the panic goes on");
        assert_eq!(payload.downcast_ref::<&str>(), Some(&"out of paper"));
    }
}

/// A provider that was shut down gives spans without an identity; the trace passes through.
pub async fn a_provider_that_was_shut_down_cuts_no_trace<B: Broker>() {
    let recorder = Recorder::new();
    let telemetry = recorder.telemetry();
    recorder.tracer_provider().shutdown().expect("a shutdown");
    let broker = B::connect(&telemetry).await;
    let (order, payment) = paid_in_a_handler(&broker).await;

    for name in ["traceparent", "tracestate", "baggage"] {
        let carried = super::values(&broker, &payment, name);
        assert_eq!(carried, super::values(&broker, &order, name));
    }
    let batch = Batch::from(vec![order]);
    batch.process(async |_| ()).await;
    assert_eq!(recorder.spans().len(), 0);
}
