//! Messages that are sent under one call.

use futures::future::poll_immediate;
use opentelemetry::Context;
use opentelemetry::KeyValue;
use opentelemetry::context::FutureExt as _;
use opentelemetry::trace::{
    SpanContext, SpanKind, TraceContextExt as _, TraceFlags, TraceId, Tracer as _,
    TracerProvider as _,
};
use opentelemetry_sdk::trace::SpanData;
use otel_messaging::policy::{Policy, Record, Rule};
use otel_messaging::testing::{ExpectedSpan, Recorder};
use tracing::instrument::WithSubscriber as _;
use tracing::{Instrument as _, info_span};

use super::batches::{span, traceparent};
use super::in_tracing::{Nothing, SetUp};
use super::{header, identity, upstream, upstream_span, values};
use crate::metrics::{and, of_type, operation_duration, sent_messages};
use crate::{BatchSender, Header, Message, Refuser};

/// The spans of creating messages.
pub(super) fn creates(recorder: &Recorder, destination: &str) -> Vec<SpanData> {
    let mut spans = recorder.spans();
    spans.retain(|span| span.name == format!("create {destination}"));
    spans
}

pub(super) fn linking<'a>(
    span: ExpectedSpan,
    contexts: impl IntoIterator<Item = &'a SpanContext>,
) -> ExpectedSpan {
    contexts.into_iter().fold(span, ExpectedSpan::link)
}

/// The same with these attributes too.
pub(super) fn saying(span: ExpectedSpan, attributes: Vec<KeyValue>) -> ExpectedSpan {
    let all = attributes.into_iter();
    all.fold(span, |span, KeyValue { key, value, .. }| {
        span.attribute(key, value)
    })
}

fn on_links(span: &SpanData) -> Vec<Vec<KeyValue>> {
    let links = span.links.iter();
    links.map(|link| link.attributes.clone()).collect()
}

fn orders_without_headers() -> Vec<Message> {
    orders([const { Vec::new() }; 3])
}

fn each<T, U>(all: &[T], map: impl Fn(&T) -> U) -> Vec<U> {
    all.iter().map(map).collect()
}

fn orders(headers: [Vec<Header>; 3]) -> Vec<Message> {
    let numbered = headers.into_iter().zip(7..);
    let order = |(headers, number)| Message {
        headers,
        ..Message::new(&format!("order-{number}"))
    };
    numbered.map(order).collect()
}

/// The spans that the next messages name, each by one header.
async fn carried<B: BatchSender>(
    broker: &B,
    orders: &str,
    messages: usize,
) -> Vec<(String, String)> {
    let mut carried = Vec::with_capacity(messages);
    for _ in 0..messages {
        let received = broker.receive(orders).await;
        assert_eq!(values(broker, &received, "traceparent").len(), 1);
        assert_eq!(values(broker, &received, "baggage").len(), 1);
        carried.push(identity(received.creation_context().span().span_context()));
    }
    carried
}

fn assert_counted<B: BatchSender>(recorder: &Recorder, broker: &B, orders: &str, messages: u64) {
    let sent = || broker.sent(orders);
    sent_messages().of(sent(), messages).assert(recorder);
    operation_duration()
        .of(of_type(sent(), "send"), 1)
        .assert(recorder);
}

/// Each message has a span of its own and carries its context, in the order of the call. The send
/// links to all; each message is counted, and the call is timed once.
pub async fn each_message_carries_its_create_span_and_the_send_span_links_to_all<B: BatchSender>() {
    let recorder = Recorder::new();
    let broker = B::connect(&recorder.telemetry()).await;
    let destination = broker.declare("orders").await;
    let orders = orders([vec![], vec![header("note", "1")], vec![]]);

    let sending = broker.send_batch(&destination, &orders);
    let receipts = sending.with_context(upstream("01")).await;

    let creates = creates(&recorder, &destination);
    assert_eq!(creates.len(), 3);
    for ((create, order), receipt) in creates.iter().zip(&orders).zip(&receipts) {
        broker
            .create_span(&destination, order, receipt)
            .child_of(&upstream_span())
            .assert(create);
    }
    let contexts = creates.iter().map(|create| &create.span_context);
    let send = recorder.span(&broker.send_name(&destination));
    let expected = broker.sent_batch(SpanKind::Client, &destination, 3);
    linking(expected.child_of(&upstream_span()), contexts.clone()).assert(&send);
    assert_eq!(
        on_links(&send),
        each(&orders, |one| broker.on_sent_link(one))
    );
    assert_eq!(recorder.spans().len(), 4);
    assert_counted(&recorder, &broker, &destination, 3);
    assert_eq!(
        carried(&broker, &destination, 3).await,
        contexts.map(identity).collect::<Vec<_>>()
    );
}

/// What is sent under one call inside a span of `tracing` is below that, whether it activates contexts or not.
pub async fn a_batch_that_is_sent_in_a_span_of_tracing_is_below_it<B: BatchSender>() {
    for set_up in SetUp::ALL {
        let recorder = Recorder::new();
        let subscriber = set_up.subscriber(&recorder, Nothing);
        let broker = B::connect(&recorder.telemetry()).await;
        let destination = broker.declare("orders").await;
        let orders = orders([vec![], vec![header("note", "1")], vec![]]);
        let sending = async {
            let sending = broker.send_batch(&destination, &orders);
            sending.instrument(info_span!("take orders")).await
        };
        let receipts = sending.with_subscriber(subscriber).await;

        let around = recorder.span("take orders").span_context;
        let creates = creates(&recorder, &destination);
        assert_eq!(creates.len(), 3);
        for ((create, order), receipt) in creates.iter().zip(&orders).zip(&receipts) {
            let expected = broker.create_span(&destination, order, receipt);
            expected.child_of(&around).assert(create);
        }
        let contexts = creates.iter().map(|create| &create.span_context);
        let send = recorder.span(&broker.send_name(&destination));
        let expected = broker.sent_batch(SpanKind::Client, &destination, 3);
        linking(expected.child_of(&around), contexts).assert(&send);
    }
}

/// Without create spans there is one span, whose context all messages carry. It links to what that
/// replaces.
pub async fn without_create_spans_all_messages_carry_the_send_span<B: BatchSender>() {
    let recorder = Recorder::new();
    let policy = Policy::new().rule(Rule::of("*").create_spans(false));
    let broker = B::connect(&recorder.telemetry().policy(policy)).await;
    let destination = broker.declare("orders").await;
    let before = span(1, 2, TraceFlags::SAMPLED);
    let replaced = vec![traceparent(&before)];
    let orders = orders([vec![], replaced, vec![header("note", "1")]]);

    let sending = broker.send_batch(&destination, &orders);
    sending.with_context(upstream("01")).await;

    let send = recorder.span(&broker.send_name(&destination));
    broker
        .sent_batch(SpanKind::Producer, &destination, 3)
        .child_of(&upstream_span())
        .link(&before)
        .assert(&send);
    let replacing = orders.get(1..2).expect("the one that carried a context");
    assert_eq!(
        on_links(&send),
        each(replacing, |one| broker.on_sent_link(one))
    );
    assert_eq!(recorder.spans().len(), 1);
    assert_counted(&recorder, &broker, &destination, 3);
    let own = identity(&send.span_context);
    assert_eq!(
        carried(&broker, &destination, 3).await,
        [own.clone(), own.clone(), own]
    );
}

/// What all messages say of themselves is on the send span, with create spans and without, and not on
/// their links.
pub async fn what_all_messages_of_a_sent_batch_say_is_on_the_send_span<B: BatchSender>() {
    for has_creates in [true, false] {
        let recorder = Recorder::new();
        let policy = Policy::new().rule(Rule::of("*").create_spans(has_creates));
        let broker = B::connect(&recorder.telemetry().policy(policy)).await;
        let destination = broker.declare("orders").await;
        let order = Message::new("order-7");

        let receipts = broker
            .send_batch(&destination, &[order.clone(), order.clone()])
            .await;

        let creates = creates(&recorder, &destination);
        assert_eq!(creates.len(), if has_creates { 2 } else { 0 });
        for (create, receipt) in creates.iter().zip(&receipts) {
            let expected = broker.create_span(&destination, &order, receipt);
            expected.assert(create);
        }
        let kind = match has_creates {
            true => SpanKind::Client,
            false => SpanKind::Producer,
        };
        let send = recorder.span(&broker.send_name(&destination));
        let expected = saying(
            broker.sent_batch(kind, &destination, 2),
            broker.on_sent_link(&order),
        );
        linking(expected, creates.iter().map(|one| &one.span_context)).assert(&send);
        assert!(on_links(&send).iter().all(Vec::is_empty));
    }
}

/// What the client itself refuses fails and is timed, and nobody has tried to send it to the broker.
pub async fn what_a_client_refuses_does_not_count_as_sent<B: Refuser>() {
    const MESSAGES: usize = 3;
    let recorder = Recorder::new();
    let broker = B::connect(&recorder.telemetry()).await;
    let orders = broker.declare("orders").await;

    let alone = broker.refuse(&orders).await;
    alone
        .error(B::REFUSED)
        .assert(&recorder.span(&broker.send_name(&orders)));
    let together = broker.refuse_batch(&orders, MESSAGES).await;

    let created = creates(&recorder, &orders);
    assert_eq!(created.len(), MESSAGES);
    let sends = recorder.spans();
    let send = sends
        .iter()
        .rfind(|span| span.name == broker.send_name(&orders));
    linking(together, created.iter().map(|span| &span.span_context))
        .error(B::REFUSED)
        .assert(send.expect("a send span"));
    let failed = and(
        of_type(broker.sent(&orders), "send"),
        "error.type",
        B::REFUSED,
    );
    operation_duration().of(failed, 2).assert(&recorder);
    assert_eq!(recorder.counter("messaging.client.sent.messages"), []);
}

/// A span that a send is called in ends when its own code does, whatever the broker takes to answer.
pub async fn a_send_does_not_keep_the_span_around_it_open<B: BatchSender>() {
    for record in [Record::Full, Record::PropagateOnly] {
        let recorder = Recorder::new();
        let policy = Policy::new().rule(Rule::of("*").record(record));
        let broker = B::connect(&recorder.telemetry().policy(policy)).await;
        let orders = broker.declare("orders").await;
        let order = Message::new("order-7");
        let all = orders_without_headers();

        let alone = begun_inside(&recorder, broker.send(&orders, &order)).await;
        let together = begun_inside(&recorder, broker.send_batch(&orders, &all)).await;

        // It was in there that they began.
        let traces = [alone, together, together, together];
        for trace in traces {
            let received = broker.receive(&orders).await;
            let context = received.creation_context().span().span_context().clone();
            assert_eq!(context.trace_id(), trace, "{record:?}");
        }
    }
}

/// Polls what is sent once inside of a span, which is over then, and waits for the rest. The trace of the span.
async fn begun_inside<T>(recorder: &Recorder, sending: impl Future<Output = T>) -> TraceId {
    let tracer = recorder.tracer_provider().tracer("scenario");
    let span = tracer.start_with_context("GET /health", &Context::new());
    let context = Context::new().with_span(span);
    let trace = context.span().span_context().trace_id();
    let current = context.attach();
    let mut sending = Box::pin(sending);
    let sent = poll_immediate(&mut sending).await;
    drop(current);
    let ended = recorder.spans().into_iter();
    let mut ended = ended.filter(|span| span.span_context.trace_id() == trace);
    assert!(ended.any(|span| span.name == "GET /health"), "it is open");
    if sent.is_none() {
        sending.await;
    }
    trace
}
