//! Contexts in other formats than W3C's, and in payloads.

use opentelemetry::Context;
use opentelemetry::propagation::text_map_propagator::FieldIter;
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator};
use opentelemetry::trace::{
    SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState,
};
use opentelemetry_propagator_b3::{B3Encoding, Propagator as B3};
use otel_messaging::policy::{Incoming, Policy, Record, Rule};
use otel_messaging::testing::{ExpectedSpan, Recorder};
use otel_messaging::{Batch, Received, Telemetry, propagators, text, w3c};

use super::batches::{at, span, spans};
use super::carried::{forwarded, orders};
use super::fan_back::fan_back_span;
use super::{
    header, identity, send_bare, tenant, upstream, upstream_headers, upstream_span, values,
};
use crate::metrics::{problem, problems};
use crate::{Broker, Header};

/// Telemetry of a service that takes over from others, which know no W3C.
fn migrating(recorder: &Recorder) -> Telemetry {
    recorder
        .telemetry()
        .fallback_propagator(Panicking)
        .fallback_propagator(B3::with_encoding(B3Encoding::SingleAndMultiHeader))
        .fallback_propagator(propagators::Jaeger::new())
        .fallback_propagator(propagators::CloudEvents::new())
}

/// It costs no message, and no context that another one finds.
#[derive(Debug)]
struct Panicking;

impl TextMapPropagator for Panicking {
    fn inject_context(&self, _: &Context, _: &mut dyn Injector) {
        unreachable!("it is to read alone");
    }

    fn extract_with_context(&self, _: &Context, _: &dyn Extractor) -> Context {
        std::panic::resume_unwind(Box::new("in a propagator"));
    }

    fn fields(&self) -> FieldIter<'_> {
        std::panic::resume_unwind(Box::new("in a propagator"));
    }
}

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const SPAN: &str = "00f067aa0ba902b7";

/// The same span in every format, and whether its headers give way when the message is sent on.
fn formats() -> Vec<(Vec<Header>, bool)> {
    let traceparent = format!("00-{TRACE}-{SPAN}-01");
    let event = |prefix: &str| {
        let name = [prefix, "traceparent"].concat();
        (vec![header(&name, &traceparent)], false)
    };
    let jaeger = format!("{TRACE}:{}:0:1", SPAN.trim_start_matches('0'));
    let encoded = jaeger.replace(':', "%3A");
    let multiple = [
        ("X-B3-TraceId", TRACE),
        ("X-B3-SpanId", SPAN),
        ("X-B3-Sampled", "1"),
    ];
    let mut formats = vec![
        (vec![header("b3", &format!("{TRACE}-{SPAN}-1"))], true),
        (
            multiple.map(|(name, value)| header(name, value)).to_vec(),
            true,
        ),
        (vec![header("uber-trace-id", &jaeger)], true),
        (vec![header("Uber-Trace-Id", &encoded)], true),
    ];
    formats.extend(["ce_", "ce-", "cloudEvents_"].map(event));
    formats
}

/// The one that all of them name.
fn foreign() -> SpanContext {
    let trace_id = TraceId::from_hex(TRACE).expect("it is one");
    let span_id = SpanId::from_hex(SPAN).expect("it is one");
    SpanContext::new(
        trace_id,
        span_id,
        TraceFlags::SAMPLED,
        true,
        TraceState::NONE,
    )
}

/// Names and values that are in the format of somebody else.
fn foreign_headers<B: Broker>(broker: &B, message: &Received<B::Message>) -> Vec<Header> {
    let w3c = ["traceparent", "tracestate", "baggage", "note"];
    let is_foreign = |(name, _): &Header| {
        let is_one = |one: &&str| name.eq_ignore_ascii_case(one.as_bytes());
        !w3c.iter().any(is_one) && !name.starts_with(b"Nats-")
    };
    broker
        .headers(message)
        .into_iter()
        .filter(is_foreign)
        .collect()
}

/// A message that has a context in another format is processed in its trace, and forwarded with W3C's headers in the
/// place of those that give way.
pub async fn a_context_in_another_format_is_continued_and_goes_on_in_w3cs<B: Broker>() {
    let recorder = Recorder::new();
    let policy = Policy::new().rule(Rule::of("*").capture_headers(["*b3*", "uber*"]));
    let broker = B::connect(&migrating(&recorder).policy(policy)).await;
    let orders = broker.declare("orders").await;
    let payments = broker.declare("payments").await;
    for (mut headers, gives_way) in formats() {
        recorder.clear();
        headers.push(header("baggage", "tenant=blue%20sky"));
        send_bare(&broker, &orders, headers).await;
        let order = broker.receive(&orders).await;
        let onward = forwarded(broker.headers(&order));
        let receipt = order
            .process(async |_| {
                assert_eq!(tenant().as_deref(), Some("blue sky"));
                Ok::<_, String>(broker.send(&payments, &onward).await)
            })
            .await
            .expect("it is sent");
        let payment = broker.receive(&payments).await;

        let process = recorder.span(&broker.process_name(&orders));
        broker
            .process_span(&orders, &order)
            .child_of(&foreign())
            .link(&foreign())
            .assert(&process);
        let send = recorder.span(&broker.send_name(&payments));
        broker
            .send_span(&payments, &onward, &receipt)
            .child_of(&process.span_context)
            .link(&foreign())
            .assert(&send);
        let (trace, span) = identity(&send.span_context);
        let traceparent = format!("00-{trace}-{span}-01");
        assert_eq!(values(&broker, &payment, "traceparent"), [traceparent]);
        assert_eq!(values(&broker, &payment, "baggage"), ["tenant=blue%20sky"]);
        let left = foreign_headers(&broker, &payment);
        match gives_way {
            true => assert_eq!(left, []),
            false => assert_eq!(left, foreign_headers(&broker, &order)),
        }
    }
    let replaced = problem(broker.sent(&payments), "replaced");
    problems()
        .of(replaced, formats().len() as u64)
        .assert(&recorder);
}

/// Where nobody starts a span, the context goes on as it is, in the headers of W3C.
pub async fn without_a_span_a_context_in_another_format_goes_on_in_w3cs<B: Broker>() {
    let recorder = Recorder::new();
    let policy = Policy::new().rule(Rule::of("*").record(Record::PropagateOnly));
    let broker = B::connect(&migrating(&recorder).policy(policy)).await;
    let orders = broker.declare("orders").await;
    let payments = broker.declare("payments").await;
    for (headers, gives_way) in formats() {
        send_bare(&broker, &orders, headers).await;
        let order = broker.receive(&orders).await;
        let onward = forwarded(broker.headers(&order));
        let sent = order.process(async |_| {
            broker.send(&payments, &onward).await;
        });
        sent.await;

        let payment = broker.receive(&payments).await;
        let traceparent = format!("00-{TRACE}-{SPAN}-01");
        assert_eq!(values(&broker, &payment, "traceparent"), [traceparent]);
        let left = foreign_headers(&broker, &payment);
        assert_eq!(left.is_empty(), gives_way, "{left:?}");
    }
    assert_eq!(recorder.spans().len(), 0);
}

/// Where the headers have a context of W3C, others say nothing.
pub async fn a_context_of_w3c_comes_before_those_in_other_formats<B: Broker>() {
    let recorder = Recorder::new();
    let broker = B::connect(&migrating(&recorder)).await;
    let orders = broker.declare("orders").await;
    let other = "0000000000000000000000000000000a-000000000000000b-1";
    let mut headers = upstream_headers();
    headers.push(header("b3", other));
    send_bare(&broker, &orders, headers).await;

    let order = broker.receive(&orders).await;
    order.process(async |_| ()).await;

    broker
        .process_span(&orders, &order)
        .child_of(&upstream_span())
        .link(&upstream_span())
        .assert(&recorder.span(&broker.process_name(&orders)));
}

/// Messages of a batch are linked whatever their format, and their traces get the batch.
pub async fn a_batch_links_to_contexts_in_other_formats<B: Broker>() {
    let recorder = Recorder::new();
    let policy = Policy::new().rule(Rule::of("*").fan_back(9));
    let broker = B::connect(&migrating(&recorder).policy(policy)).await;
    let orders = broker.declare("orders").await;
    let mut messages = Vec::new();
    for (headers, _) in formats() {
        send_bare(&broker, &orders, headers).await;
        messages.push(broker.receive(&orders).await);
    }
    send_bare(&broker, &orders, Vec::new()).await;
    let envelope = broker.receive(&orders).await;
    messages.push(envelope.fallback_context(upstream("01")));
    let batch = Batch::from(messages);

    batch.process(async |_| ()).await;

    let contexts: Vec<SpanContext> = formats()
        .iter()
        .map(|_| foreign())
        .chain([upstream_span()])
        .collect();
    let [whole, fanned] = &spans(&recorder);
    let on_whole = broker.batch_span(&orders, contexts.len());
    let on_whole = broker.in_common(on_whole, at(&batch, 0));
    contexts
        .iter()
        .fold(on_whole, ExpectedSpan::link)
        .assert(whole);
    let in_trace = fan_back_span(&orders, whole, contexts.len() as i64).child_of(&foreign());
    contexts
        .iter()
        .fold(in_trace, ExpectedSpan::link)
        .assert(fanned);
}

/// A stranger is not trusted more because of the format that he writes.
pub async fn what_is_not_trusted_is_not_forwarded_in_any_format<B: Broker>() {
    let rows = [
        (Incoming::Restart, Record::Full),
        (Incoming::Ignore, Record::PropagateOnly),
        (Incoming::Restart, Record::Off),
    ];
    for (incoming, sent) in rows {
        let recorder = Recorder::new();
        let policy = Policy::new()
            .rule(orders().incoming(incoming))
            .rule(Rule::of("payments*").record(sent));
        let broker = B::connect(&migrating(&recorder).policy(policy)).await;
        let orders = broker.declare("orders").await;
        let payments = broker.declare("payments").await;
        for (headers, _) in formats().into_iter().filter(|(_, gives_way)| *gives_way) {
            recorder.clear();
            send_bare(&broker, &orders, headers).await;
            let order = broker.receive(&orders).await;
            let mut onward = broker.headers(&order);
            onward.push(header("note", "1"));
            let onward = forwarded(onward);
            order
                .process(async |_| {
                    broker.send(&payments, &onward).await;
                })
                .await;
            let payment = broker.receive(&payments).await;

            let process = recorder.span(&broker.process_name(&orders));
            let root = broker.process_span(&orders, &order);
            let by_identity = with_flags(TraceFlags::NOT_SAMPLED);
            match incoming {
                Incoming::Restart => root.link(&by_identity),
                _ => root,
            }
            .assert(&process);
            assert_ne!(process.span_context.trace_id(), foreign().trace_id());
            assert_eq!(values(&broker, &payment, "note"), ["1"]);
            assert_eq!(foreign_headers(&broker, &payment), []);
            for traceparent in values(&broker, &payment, "traceparent") {
                assert!(!traceparent.contains(TRACE), "{traceparent}");
            }
        }
    }
}

fn with_flags(flags: TraceFlags) -> SpanContext {
    let foreign = foreign();
    let (trace_id, span_id) = (foreign.trace_id(), foreign.span_id());
    SpanContext::new(trace_id, span_id, flags, true, TraceState::NONE)
}

/// A message whose payload names the context is as one whose headers do; what headers say comes first.
pub async fn a_context_in_the_payload_is_as_one_in_the_headers<B: Broker>() {
    let recorder = Recorder::new();
    let policy = Policy::new().rule(orders().accept_baggage(["tenant"]));
    let broker = B::connect(&recorder.telemetry().policy(policy)).await;
    let orders = broker.declare("orders").await;
    let column = text::inject(&w3c::Propagator::new(), &upstream("03"));
    let stored = || text::extract(&w3c::Propagator::new(), &column);
    let other = || Context::new().with_remote_span_context(span(7, 7, TraceFlags::SAMPLED));

    for (headers, context) in [(Vec::new(), stored()), (upstream_headers(), other())] {
        recorder.clear();
        send_bare(&broker, &orders, headers).await;
        let order = broker.receive(&orders).await.fallback_context(context);
        let replied = broker.declare("replies").await;
        order
            .process(async |_| {
                assert_eq!(tenant().as_deref(), Some("blue sky"));
                broker.send(&replied, &forwarded(Vec::new())).await;
            })
            .await;

        let creation = order.creation_context().span().span_context().clone();
        assert_eq!(identity(&creation), identity(&upstream_span()));
        broker
            .process_span(&orders, &order)
            .child_of(&creation)
            .link(&creation)
            .assert(&recorder.span(&broker.process_name(&orders)));
        let reply = broker.receive(&replied).await;
        assert_eq!(values(&broker, &reply, "tracestate"), [super::TRACESTATE]);
    }
    problems().assert(&recorder);
}

/// The policy decides about it as about one in the headers.
pub async fn a_context_in_the_payload_of_a_stranger_is_not_trusted<B: Broker>() {
    let recorder = Recorder::new();
    let policy = Policy::new().rule(orders().incoming(Incoming::Restart));
    let broker = B::connect(&recorder.telemetry().policy(policy)).await;
    let orders = broker.declare("orders").await;
    let payments = broker.declare("payments").await;
    send_bare(&broker, &orders, Vec::new()).await;
    let context = Context::new().with_remote_span_context(foreign());
    let order = broker.receive(&orders).await.fallback_context(context);
    let onward = forwarded(vec![header(
        "traceparent",
        &format!("00-{TRACE}-{SPAN}-01"),
    )]);

    order
        .process(async |_| {
            assert_eq!(tenant(), None);
            broker.send(&payments, &onward).await;
        })
        .await;
    let payment = broker.receive(&payments).await;

    let process = recorder.span(&broker.process_name(&orders));
    broker
        .process_span(&orders, &order)
        .link(&with_flags(TraceFlags::NOT_SAMPLED))
        .assert(&process);
    let send = recorder.span(&broker.send_name(&payments));
    let (trace, span) = identity(&send.span_context);
    assert_eq!(trace, process.span_context.trace_id().to_string());
    let traceparent = format!("00-{trace}-{span}-01");
    assert_eq!(values(&broker, &payment, "traceparent"), [traceparent]);
}
