//! What a policy trusts, and what it records.

use opentelemetry::Context;
use opentelemetry::context::FutureExt as _;
use opentelemetry::trace::{SpanContext, TraceContextExt as _, Tracer as _, TracerProvider as _};
use opentelemetry_sdk::trace::{Sampler, SpanData};
use otel_messaging::Received;
use otel_messaging::policy::{Incoming, Policy, Record, Rule};
use otel_messaging::testing::{ExpectedSpan, Recorder};

use super::{
    TRACESTATE, header, send_bare, tenant, tracestate, upstream, upstream_fields, upstream_headers,
    upstream_span, values,
};
use crate::metrics::{
    consumed_messages, of_type, operation_duration, process_duration, sent_messages,
};
use crate::{Broker, Message};

/// An order from a service before ours, of which a rule says something, and the payment that its
/// handler sends, of which none does.
struct Handled<B: Broker> {
    recorder: Recorder,
    broker: B,
    orders: String,
    payments: String,
    order: Received<B::Message>,
    receipt: B::Receipt,
    payment: Received<B::Message>,
    /// Whose order it is, as far as the handler knew.
    tenant: Option<String>,
}

impl<B: Broker> Handled<B> {
    async fn by(rule: Rule, recorder: Recorder) -> Self {
        let telemetry = recorder.telemetry().policy(Policy::new().rule(rule));
        let broker = B::connect(&telemetry).await;
        let orders = broker.declare("orders").await;
        let payments = broker.declare("payments").await;
        send_bare(&broker, &orders, upstream_headers()).await;
        let order = broker.receive(&orders).await;
        let handled = order.process(async |_| {
            let receipt = broker.send(&payments, &Message::new("payment-7")).await;
            Ok::<_, String>((receipt, tenant()))
        });
        let (receipt, tenant) = handled.await.expect("the payment is sent");
        let payment = broker.receive(&payments).await;
        Self {
            recorder,
            broker,
            orders,
            payments,
            order,
            receipt,
            payment,
            tenant,
        }
    }

    /// By a rule about the incoming context, where all is recorded.
    async fn incoming(incoming: Incoming) -> Self {
        Self::by(orders().incoming(incoming), Recorder::new()).await
    }

    fn process(&self) -> SpanData {
        self.recorder.span(&self.broker.process_name(&self.orders))
    }

    fn expected_process(&self) -> ExpectedSpan {
        self.broker.process_span(&self.orders, &self.order)
    }

    fn send(&self) -> SpanData {
        self.recorder.span(&self.broker.send_name(&self.payments))
    }

    fn assert_send_in(&self, parent: &SpanContext) {
        self.broker
            .send_span(&self.payments, &Message::new("payment-7"), &self.receipt)
            .child_of(parent)
            .assert(&self.send());
    }

    /// That a new trace began with the order, of which the payment is a part.
    fn assert_new_trace(&self) {
        let process = self.process().span_context;
        self.assert_send_in(&process);
        assert_ne!(process.trace_id(), upstream_span().trace_id());
        assert_eq!(tracestate(&self.broker, &self.payment), [""; 0]);
    }

    fn assert_spans(&self, names: &[String]) {
        let spans = self.recorder.spans();
        let found: Vec<_> = spans.iter().map(|span| span.name.as_ref()).collect();
        assert_eq!(found, names);
    }
}

fn orders() -> Rule {
    Rule::of("orders*")
}

/// Linked to only, a context brings its baggage and nothing else.
pub async fn a_context_that_is_linked_to_only_starts_a_new_trace<B: Broker>() {
    let handled = Handled::<B>::incoming(Incoming::LinkOnly).await;

    handled
        .expected_process()
        .link(&upstream_span())
        .assert(&handled.process());
    handled.assert_new_trace();
    assert_eq!(handled.tenant.as_deref(), Some("blue sky"));
    let context = handled.order.creation_context();
    assert_eq!(*context.span().span_context(), upstream_span());
}

/// After a restart a link tells where the message came from; of what it carried nothing goes on.
pub async fn a_context_that_is_not_trusted_leaves_a_link_and_nothing_else<B: Broker>() {
    let handled = Handled::<B>::incoming(Incoming::Restart).await;

    let process = handled.process();
    handled
        .expected_process()
        .link(&upstream_span())
        .assert(&process);
    for link in &process.links.links {
        assert!(!link.span_context.is_sampled(), "{link:?}");
        assert_eq!(link.span_context.trace_state().header(), "");
    }
    handled.assert_new_trace();
    assert_eq!(handled.tenant, None);
    assert_eq!(
        values(&handled.broker, &handled.payment, "baggage"),
        [""; 0]
    );
    let context = handled.order.creation_context();
    assert!(!context.span().span_context().is_valid());
}

/// Ignored, a context is as good as none.
pub async fn a_context_that_is_ignored_leaves_nothing<B: Broker>() {
    let handled = Handled::<B>::incoming(Incoming::Ignore).await;

    handled.expected_process().assert(&handled.process());
    handled.assert_new_trace();
    assert_eq!(handled.tenant, None);
    assert_eq!(
        values(&handled.broker, &handled.payment, "baggage"),
        [""; 0]
    );
    let context = handled.order.creation_context();
    assert!(!context.span().span_context().is_valid());
}

/// Where only what others have sampled is recorded, a stranger's sampled flag records nothing.
pub async fn a_stranger_does_not_decide_what_is_recorded<B: Broker>() {
    let rows = [
        (Incoming::Continue, 2),
        (Incoming::LinkOnly, 0),
        (Incoming::Restart, 0),
        (Incoming::Ignore, 0),
    ];
    for (incoming, recorded) in rows {
        let others_decide = Sampler::ParentBased(Box::new(Sampler::AlwaysOff));
        let recorder = Recorder::with_sampler(others_decide);
        let handled = Handled::<B>::by(orders().incoming(incoming), recorder).await;

        assert_eq!(handled.recorder.spans().len(), recorded, "{incoming:?}");
    }
}

/// Whatever is trusted, inside another active span that span stays the parent.
pub async fn an_ambient_span_stays_the_parent_whatever_is_trusted<B: Broker>() {
    for incoming in [Incoming::LinkOnly, Incoming::Restart, Incoming::Ignore] {
        let recorder = Recorder::new();
        let policy = Policy::new().rule(orders().incoming(incoming));
        let broker = B::connect(&recorder.telemetry().policy(policy)).await;
        let orders = broker.declare("orders").await;
        send_bare(&broker, &orders, upstream_headers()).await;
        let received = broker.receive(&orders).await;
        let tracer = recorder.tracer_provider().tracer("scenario");
        let ambient = Context::new().with_span(tracer.start("nightly run"));

        received
            .process(async |_| ())
            .with_context(ambient.clone())
            .await;

        let expected = broker
            .process_span(&orders, &received)
            .child_of(ambient.span().span_context());
        let expected = match incoming {
            Incoming::Ignore => expected,
            _ => expected.link(&upstream_span()),
        };
        expected.assert(&recorder.span(&broker.process_name(&orders)));
    }
}

/// With propagation alone no span is ours: what a message carries is current in its handler and
/// goes on, unchanged, to what the handler sends; what is current is sent. Metrics stay.
pub async fn propagation_alone_makes_no_span_and_cuts_no_trace<B: Broker>() {
    let rule = orders().record(Record::PropagateOnly);
    let handled = Handled::<B>::by(rule, Recorder::new()).await;
    let (recorder, broker) = (&handled.recorder, &handled.broker);
    let [orders, payments] = [&handled.orders, &handled.payments];
    broker
        .send(orders, &Message::new("order-8"))
        .with_context(upstream("01"))
        .await;
    let sent_order = broker.receive(orders).await;

    handled.assert_spans(&[broker.send_name(payments)]);
    handled.assert_send_in(&upstream_span());
    assert_eq!(handled.tenant.as_deref(), Some("blue sky"));
    assert_eq!(tracestate(broker, &handled.payment), [TRACESTATE]);
    for (name, value) in upstream_fields("01") {
        assert_eq!(values(broker, &sent_order, name), [value]);
    }
    operation_duration()
        .of(of_type(broker.sent(orders), "send"), 1)
        .of(of_type(broker.sent(payments), "send"), 1)
        .assert(recorder);
    sent_messages()
        .of(broker.sent(orders), 1)
        .of(broker.sent(payments), 1)
        .assert(recorder);
    consumed_messages()
        .of(broker.consumed(orders), 2)
        .of(broker.consumed(payments), 1)
        .assert(recorder);
    process_duration()
        .of(broker.processed(orders), 1)
        .assert(recorder);
    assert_eq!(recorder.metrics().len(), 4, "{:?}", recorder.metrics());
}

/// Where there is no span to link from, what would be linked to goes on all the same, but not what is
/// not trusted.
pub async fn propagation_alone_goes_on_with_what_would_be_linked_to_only<B: Broker>() {
    for record in [Record::PropagateOnly, Record::Off] {
        let rule = |incoming| orders().record(record).incoming(incoming);
        let handled = Handled::<B>::by(rule(Incoming::LinkOnly), Recorder::new()).await;
        handled.assert_send_in(&upstream_span());
        assert_eq!(handled.tenant.as_deref(), Some("blue sky"));

        for incoming in [Incoming::Restart, Incoming::Ignore] {
            let handled = Handled::<B>::by(rule(incoming), Recorder::new()).await;
            let receipt = &handled.receipt;
            handled
                .broker
                .send_span(&handled.payments, &Message::new("payment-7"), receipt)
                .assert(&handled.send());
            assert_eq!(handled.tenant, None);
            assert_eq!(tracestate(&handled.broker, &handled.payment), [""; 0]);
        }
    }
}

/// Where no span can link to the message's trace, that trace goes on whatever else is active.
pub async fn without_a_span_the_trace_goes_on_inside_an_ambient_one_too<B: Broker>() {
    for record in [Record::PropagateOnly, Record::Off] {
        let recorder = Recorder::new();
        let policy = Policy::new().rule(orders().record(record));
        let broker = B::connect(&recorder.telemetry().policy(policy)).await;
        let orders = broker.declare("orders").await;
        let payments = broker.declare("payments").await;
        send_bare(&broker, &orders, upstream_headers()).await;
        let order = broker.receive(&orders).await;
        let tracer = recorder.tracer_provider().tracer("scenario");
        let ambient = Context::new().with_span(tracer.start("nightly run"));
        let payment = Message::new("payment-7");

        let handled =
            order.process(async |_| Ok::<_, String>(broker.send(&payments, &payment).await));
        let receipt = handled
            .with_context(ambient)
            .await
            .expect("the payment is sent");

        broker
            .send_span(&payments, &payment, &receipt)
            .child_of(&upstream_span())
            .assert(&recorder.span(&broker.send_name(&payments)));
    }
}

/// Off, nothing is recorded at all and a message is sent as it is; even so its context is current in
/// the handler and goes on.
pub async fn off_is_as_the_bare_client_and_cuts_no_trace<B: Broker>() {
    let rule = orders().record(Record::Off);
    let handled = Handled::<B>::by(rule, Recorder::new()).await;
    let (recorder, broker) = (&handled.recorder, &handled.broker);
    let [orders, payments] = [&handled.orders, &handled.payments];
    for headers in [
        Vec::new(),
        vec![header("traceparent", "not for us to judge")],
    ] {
        let order = Message {
            headers: headers.clone(),
            ..Message::new("order-8")
        };
        broker
            .send(orders, &order)
            .with_context(upstream("01"))
            .await;
        let received = broker.receive(orders).await;
        assert_eq!(broker.headers(&received), headers);
        received.process(async |_| ()).await;
    }

    handled.assert_spans(&[broker.send_name(payments)]);
    handled.assert_send_in(&upstream_span());
    assert_eq!(handled.tenant.as_deref(), Some("blue sky"));
    assert_eq!(tracestate(broker, &handled.payment), [TRACESTATE]);
    operation_duration()
        .of(of_type(broker.sent(payments), "send"), 1)
        .assert(recorder);
    sent_messages()
        .of(broker.sent(payments), 1)
        .assert(recorder);
    consumed_messages()
        .of(broker.consumed(payments), 1)
        .assert(recorder);
    assert_eq!(recorder.metrics().len(), 3, "{:?}", recorder.metrics());
}
