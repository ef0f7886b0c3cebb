//! What becomes of a trace.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use opentelemetry::Context;
use opentelemetry::baggage::BaggageExt as _;
use opentelemetry::context::FutureExt as _;
use opentelemetry::trace::{SpanKind, TraceContextExt as _, Tracer as _, TracerProvider as _};
use opentelemetry_otlp::WithExportConfig as _;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, SdkTracerProvider, SpanData,
};
use otel_messaging::policy::{Incoming, Parent, Policy, Rule};
use otel_messaging::testing::Recorder;
use otel_messaging::{Batch, Received, Telemetry};

use super::{TRACESTATE, identity, send_bare, tenant, tracestate, upstream};
use crate::whole;
use crate::{Broker, Message};

/// produce → consume → produce → consume: one unbroken trace, parent and link right at each hop.
pub async fn a_sampled_trace_is_unbroken_over_four_hops<B: Broker>() {
    let recorder = Recorder::new();
    let broker = B::connect(&recorder.telemetry()).await;
    let orders = broker.declare("orders").await;
    let payments = broker.declare("payments").await;
    let (order, payment) = (Message::new("order-7"), Message::new("payment-7"));
    let upstream = upstream("01");

    let ordered = broker
        .send(&orders, &order)
        .with_context(upstream.clone())
        .await;
    let received_order = broker.receive(&orders).await;
    let paid = received_order
        .process(async |_| {
            assert_eq!(tenant().as_deref(), Some("blue sky"));
            Ok::<_, String>(broker.send(&payments, &payment).await)
        })
        .await
        .expect("the payment is sent");
    let received_payment = broker.receive(&payments).await;
    received_payment
        .process(async |_| {
            assert_eq!(tenant().as_deref(), Some("blue sky"));
        })
        .await;

    let send_order = recorder.span(&broker.send_name(&orders)).span_context;
    let process_order = recorder.span(&broker.process_name(&orders)).span_context;
    let send_payment = recorder.span(&broker.send_name(&payments)).span_context;
    broker
        .send_span(&orders, &order, &ordered)
        .child_of(upstream.span().span_context())
        .assert(&recorder.span(&broker.send_name(&orders)));
    broker
        .process_span(&orders, &received_order)
        .child_of(&send_order)
        .link(&send_order)
        .assert(&recorder.span(&broker.process_name(&orders)));
    broker
        .send_span(&payments, &payment, &paid)
        .child_of(&process_order)
        .assert(&recorder.span(&broker.send_name(&payments)));
    broker
        .process_span(&payments, &received_payment)
        .child_of(&send_payment)
        .link(&send_payment)
        .assert(&recorder.span(&broker.process_name(&payments)));
    for received in [&received_order, &received_payment] {
        assert_eq!(tracestate(&broker, received), [TRACESTATE]);
    }
}

/// An order that is sent in `upstream`, and the payment that its handler sends.
async fn order_and_payment<B: Broker>(broker: &B, upstream: &Context) -> [Received<B::Message>; 2] {
    let orders = broker.declare("orders").await;
    let payments = broker.declare("payments").await;
    broker
        .send(&orders, &Message::new("order-7"))
        .with_context(upstream.clone())
        .await;
    let received_order = broker.receive(&orders).await;
    received_order
        .process(async |_| {
            broker.send(&payments, &Message::new("payment-7")).await;
        })
        .await;
    [received_order, broker.receive(&payments).await]
}

/// The same when the trace is not sampled: nothing is recorded, and the decision and all that goes
/// with it travel on.
pub async fn an_unsampled_trace_is_unbroken_over_four_hops<B: Broker>() {
    let recorder = Recorder::new();
    let broker = B::connect(&recorder.telemetry()).await;
    let upstream = upstream("02");

    let [received_order, received_payment] = order_and_payment(&broker, &upstream).await;
    let seen_baggage = received_payment
        .process(async |_| Ok::<_, String>(tenant()))
        .await;

    assert_eq!(recorder.spans().len(), 0);
    assert_eq!(seen_baggage, Ok(Some("blue sky".to_owned())));
    let mut parents = vec![upstream.span().span_context().span_id()];
    for received in [&received_order, &received_payment] {
        let creation = received.creation_context().span().span_context().clone();
        assert_eq!(
            creation.trace_id(),
            upstream.span().span_context().trace_id()
        );
        assert_eq!(creation.trace_flags().to_u8(), 2, "unsampled, random");
        assert!(
            !parents.contains(&creation.span_id()),
            "each hop has its own parent id"
        );
        parents.push(creation.span_id());
        assert_eq!(tracestate(&broker, received), [TRACESTATE]);
    }
}

/// Inside another active span that span stays the parent; the creation context is linked, and its
/// baggage is current.
pub async fn an_ambient_span_stays_the_parent<B: Broker>() {
    let recorder = Recorder::new();
    let broker = B::connect(&recorder.telemetry()).await;
    let orders = broker.declare("orders").await;
    broker
        .send(&orders, &Message::new("order-7"))
        .with_context(upstream("01"))
        .await;
    let received = broker.receive(&orders).await;
    let creation = received.creation_context().span().span_context().clone();
    let tracer = recorder.tracer_provider().tracer("scenario");
    let ambient = Context::new().with_span(tracer.start("nightly run"));

    received
        .process(async |_| {
            assert_eq!(tenant().as_deref(), Some("blue sky"));
        })
        .with_context(ambient.clone())
        .await;

    // `process` takes the context that is current when it is called, here by the poll above.
    broker
        .process_span(&orders, &received)
        .child_of(ambient.span().span_context())
        .link(&creation)
        .assert(&recorder.span(&broker.process_name(&orders)));
}

/// Where telemetry is suppressed, messages go out and come in as if we were not there.
pub async fn suppressed_telemetry_leaves_no_trace<B: Broker>() {
    let recorder = Recorder::new();
    let broker = B::connect(&recorder.telemetry()).await;
    let orders = broker.declare("orders").await;
    let suppressed = upstream("01").with_telemetry_suppressed();

    broker
        .send(&orders, &Message::new("order-7"))
        .with_context(suppressed.clone())
        .await;
    let received = broker
        .receive(&orders)
        .with_context(suppressed.clone())
        .await;
    let outcome = received
        .process(async |_| Ok::<_, String>(tenant()))
        .with_context(suppressed)
        .await;

    assert_eq!(
        outcome,
        Ok(Some("blue sky".to_owned())),
        "the ambient context"
    );
    assert_eq!(broker.headers(&received), []);
    assert_eq!(recorder.spans().len(), 0);
    assert_eq!(recorder.metrics(), [""; 0]);
}

/// With no tracer provider the context of a message still reaches what its handler sends.
pub async fn without_a_provider_the_trace_passes_through<B: Broker>() {
    let broker = B::connect(&Telemetry::new()).await;
    let upstream = upstream("01");

    let [_, received_payment] = order_and_payment(&broker, &upstream).await;

    assert_created_in(&upstream, &received_payment);
    let context = received_payment.creation_context();
    assert_eq!(
        context.baggage().get("tenant").map(ToString::to_string),
        Some("blue sky".to_owned())
    );
    assert_eq!(tracestate(&broker, &received_payment), [TRACESTATE]);
}

/// So it does where the policy would not make it the parent of a span, which there is none of.
pub async fn without_a_provider_no_policy_cuts_the_trace<B: Broker>() {
    let linked = Rule::of("*").incoming(Incoming::LinkOnly);
    for rule in [linked, Rule::of("*").parent(Parent::Root)] {
        let broker = B::connect(&Telemetry::new().policy(Policy::new().rule(rule))).await;
        let upstream = upstream("01");

        let [_, received_payment] = order_and_payment(&broker, &upstream).await;

        assert_created_in(&upstream, &received_payment);
    }
}

/// The message names that very span.
fn assert_created_in<M: otel_messaging::Message>(expected: &Context, received: &Received<M>) {
    let context = received.creation_context();
    assert_eq!(
        identity(context.span().span_context()),
        identity(expected.span().span_context())
    );
}

/// With no tracer provider a handler has what is current around it: spans of the application are where
/// they are with the bare client.
pub async fn without_a_provider_spans_of_the_application_stay_as_they_were<B: Broker>() {
    let recorder = Recorder::new();
    let tracer = recorder.tracer_provider().tracer("scenario");
    let broker = B::connect(&Telemetry::new()).await;
    let orders = broker.declare("orders").await;
    for _ in 0..2 {
        send_bare(&broker, &orders, Vec::new()).await;
    }
    let looping = Context::new().with_span(tracer.start("consume"));

    let in_the_loop = async {
        let work = || tracer.in_span("work", |_| ());
        broker
            .receive(&orders)
            .await
            .process(async |_| work())
            .await;
        let batch = Batch::from(vec![broker.receive(&orders).await]);
        batch.process(async |_| work()).await;
    };
    in_the_loop.with_context(looping.clone()).await;

    let looping = looping.span().span_context().clone();
    let placed = |span: SpanData| (span.name, span.span_context.trace_id(), span.parent_span_id);
    let work = ("work".into(), looping.trace_id(), looping.span_id());
    let spans: Vec<_> = recorder.spans().into_iter().map(placed).collect();
    assert_eq!(spans, [work.clone(), work]);
}

/// An exporter whose collector is down, or takes connections and never answers, costs no message.
pub async fn a_dead_exporter_costs_no_message<B: Broker>() {
    const MESSAGES: usize = 300;
    let stuck = TcpListener::bind("127.0.0.1:0").expect("a port that accepts and never answers");
    let down = TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .expect("a port that nobody listens on");
    let endpoints = [down, stuck.local_addr().expect("the port just bound")];

    for endpoint in endpoints {
        let exporter = opentelemetry_otlp::SpanExporter::builder()
            .with_http()
            .with_endpoint(format!("http://{endpoint}/v1/traces"))
            .with_timeout(Duration::from_secs(60))
            .build()
            .expect("an exporter");
        let provider = SdkTracerProvider::builder()
            .with_span_processor(
                BatchSpanProcessor::builder(exporter)
                    .with_batch_config(
                        BatchConfigBuilder::default()
                            .with_max_queue_size(64)
                            .with_max_export_batch_size(16)
                            .with_scheduled_delay(Duration::from_millis(1))
                            .build(),
                    )
                    .build(),
            )
            .build();
        let broker = B::connect(&Telemetry::new().tracer_provider(provider.clone())).await;
        let orders = broker.declare("orders").await;

        let started = Instant::now();
        for number in 0..MESSAGES {
            broker
                .send(&orders, &Message::new(&number.to_string()))
                .await;
        }
        let mut traced = 0;
        for _ in 0..MESSAGES {
            let received = broker.receive(&orders).await;
            let seen = received
                .process(async |_| {
                    Ok::<_, String>(Context::map_current(|context| {
                        context.span().span_context().is_sampled()
                    }))
                })
                .await;
            traced += usize::from(seen == Ok(true));
        }

        assert_eq!(
            traced, MESSAGES,
            "every message came, each in a recorded span"
        );
        assert!(
            started.elapsed() < Duration::from_secs(50),
            "nothing waited for the exporter"
        );
        // The export in flight never ends: what shutting down says of it is no concern here.
        let _ = provider.shutdown_with_timeout(Duration::from_millis(50));
    }
}

/// Spans that the handler starts are children of the process span, in every poll.
pub async fn the_context_is_current_across_awaits_and_nowhere_else<B: Broker>() {
    let recorder = Recorder::new();
    let broker = B::connect(&recorder.telemetry()).await;
    let orders = broker.declare("orders").await;
    broker.send(&orders, &Message::new("order-7")).await;
    let received = broker.receive(&orders).await;
    let tracer = recorder.tracer_provider().tracer("scenario");

    let handler = received.process(async |_| {
        tracer.start("before the await");
        tokio::task::yield_now().await;
        tracer.start("after the await");
    });
    let beside = async {
        tracer.start("another task");
        tokio::task::yield_now().await;
        tracer.start("another task again");
    };
    futures::join!(handler, beside);

    let process = recorder.span(&broker.process_name(&orders)).span_context;
    for name in ["before the await", "after the await"] {
        whole::span(name, SpanKind::Internal)
            .child_of(&process)
            .assert(&recorder.span(name));
    }
    for name in ["another task", "another task again"] {
        whole::span(name, SpanKind::Internal).assert(&recorder.span(name));
    }
}
