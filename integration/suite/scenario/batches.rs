//! Messages that are handled together.

use std::convert::Infallible;
use std::time::Duration;

use futures::future::join_all;
use opentelemetry::context::FutureExt as _;
use opentelemetry::trace::{
    Link, SpanContext, SpanId, SpanKind, TraceContextExt as _, TraceFlags, TraceId, TraceState,
};
use opentelemetry::{KeyValue, Value};
use opentelemetry_sdk::trace::SpanData;
use otel_messaging::Batch;
use otel_messaging::policy::{Incoming, Policy, Rule};
use otel_messaging::testing::{ExpectedSpan, Recorder};

use super::{header, send_bare, tenant};
use crate::whole;
use crate::{Broker, Header, Message};

/// All spans, as many as are expected.
pub(super) fn spans<const N: usize>(recorder: &Recorder) -> [SpanData; N] {
    let spans = recorder.spans().try_into();
    spans.expect("so many spans")
}

pub(super) fn at<T>(all: &[T], number: usize) -> &T {
    all.get(number).expect("as many as were made")
}

/// The creation context of a message by its number; of four, one is sampled, one is not, one is
/// missing and one is malformed.
fn creation(number: usize) -> Option<SpanContext> {
    let flags = match number % 4 {
        0 => TraceFlags::SAMPLED,
        1 => TraceFlags::NOT_SAMPLED,
        _ => return None,
    };
    Some(span(number, number, flags))
}

pub(super) fn span(trace: usize, span: usize, flags: TraceFlags) -> SpanContext {
    SpanContext::new(
        TraceId::from(trace as u128 + 1),
        SpanId::from(span as u64 + 1),
        flags,
        true,
        TraceState::NONE,
    )
}

pub(super) fn traceparent(context: &SpanContext) -> Header {
    let (trace, span) = (context.trace_id(), context.span_id());
    let flags = context.trace_flags().to_u8();
    header("traceparent", &format!("00-{trace}-{span}-{flags:02x}"))
}

fn mixed_headers(number: usize) -> Vec<Header> {
    match creation(number) {
        Some(context) => vec![traceparent(&context)],
        None if number % 4 == 2 => Vec::new(),
        None => vec![header("traceparent", "00-malformed")],
    }
}

/// As many messages as there are headers, sent and received.
pub(super) async fn received<B: Broker>(
    broker: &B,
    orders: &str,
    headers: impl IntoIterator<Item = Vec<Header>>,
) -> Batch<B::Message> {
    let headers: Vec<_> = headers.into_iter().collect();
    let count = headers.len();
    for some in headers.chunks(100) {
        join_all(
            some.iter()
                .map(|headers| send_bare(broker, orders, headers.clone())),
        )
        .await;
    }
    let mut messages = Vec::with_capacity(count);
    while messages.len() < count {
        messages.push(broker.receive(orders).await);
    }
    Batch::from(messages)
}

/// The identity of each message's creation context, in the order of the batch.
fn origins<B: Broker>(batch: &Batch<B::Message>) -> Vec<SpanContext> {
    let contexts = batch
        .iter()
        .map(|message| message.creation_context().span().span_context().clone());
    contexts.filter(SpanContext::is_valid).collect()
}

fn identities<'a>(
    contexts: impl IntoIterator<Item = &'a SpanContext>,
) -> Vec<(TraceId, SpanId, bool)> {
    let contexts = contexts.into_iter();
    contexts
        .map(|context| (context.trace_id(), context.span_id(), context.is_sampled()))
        .collect()
}

fn linked(links: &[Link]) -> Vec<(TraceId, SpanId, bool)> {
    identities(links.iter().map(|link| &link.span_context))
}

/// What a span has that is there for links alone.
fn overflow_span(orders: &str, system: &Value, batch: &SpanData) -> ExpectedSpan {
    whole::span(format!("links {orders}"), SpanKind::Consumer)
        .child_of(&batch.span_context)
        .attribute("messaging.system.name", system.clone())
        .attribute("messaging.destination.name", orders.to_owned())
}

pub(super) fn system(span: &SpanData) -> Value {
    let mut attributes = span.attributes.iter();
    let system = attributes.find(|one| one.key.as_str() == "messaging.system.name");
    system.expect("a system").value.clone()
}

/// A batch of messages with contexts of all kinds has one span, of which none is the parent. It and
/// its overflow link to each origin once, in order, and say what only that message has.
pub async fn a_batch_links_to_every_origin_once_however_many<B: Broker>() {
    const LIMIT: usize = 128;
    for count in [1, 7, 128, 129, 1_000, 10_000] {
        let recorder = Recorder::new();
        let broker = B::connect(&recorder.telemetry()).await;
        let orders = broker.declare("orders").await;
        let batch = received(&broker, &orders, (0..count).map(mixed_headers)).await;
        let expected = origins::<B>(&batch);
        assert_eq!(expected.len(), count.div_ceil(4) + (count + 2) / 4);

        let sum = batch
            .process(async |orders| Ok::<_, String>(orders.len()))
            .await;

        assert_eq!(sum, Ok(count));
        let span = recorder.span(&broker.process_name(&orders));
        let mut on_span = broker.in_common(broker.batch_span(&orders, count), at(&batch, 0));
        for context in expected.iter().take(LIMIT) {
            on_span = on_span.link(context);
        }
        if count == 1 {
            for KeyValue { key, value, .. } in broker.on_link(at(&batch, 0)) {
                on_span = on_span.attribute(key, value);
            }
        }
        on_span.assert(&span);

        let rest: Vec<_> = recorder
            .spans()
            .into_iter()
            .filter(|other| other.span_context != span.span_context)
            .filter(|other| !other.name.starts_with("send"))
            .collect();
        let mut links = span.links.links.clone();
        for (overflow, contexts) in rest.iter().zip(expected.chunks(LIMIT).skip(1)) {
            let empty = overflow_span(&orders, &system(&span), &span);
            contexts
                .iter()
                .fold(empty, ExpectedSpan::link)
                .assert(overflow);
            links.extend(overflow.links.links.clone());
        }
        assert_eq!(linked(&links), identities(&expected));
        if count > 1 {
            let with_context = batch
                .iter()
                .filter(|one| one.creation_context().has_active_span());
            for (link, message) in links.iter().zip(with_context) {
                assert_eq!(link.attributes, broker.on_link(message));
            }
        }
    }
}

/// Over the limit, messages with the same creation context share a link, which says how many.
pub async fn over_the_limit_messages_of_one_context_share_a_link<B: Broker>() {
    const COUNT: usize = 10;
    let recorder = Recorder::new();
    let telemetry = recorder.telemetry().max_links(3);
    let broker = B::connect(&telemetry).await;
    let orders = broker.declare("orders").await;
    let contexts = [0, 1].map(|number| span(number, number, TraceFlags::SAMPLED));
    let headers = (0..COUNT).map(|number| vec![traceparent(at(&contexts, number % 2))]);
    let batch = received(&broker, &orders, headers).await;

    batch.process(async |_| ()).await;

    let span = recorder.span(&broker.process_name(&orders));
    broker
        .in_common(broker.batch_span(&orders, COUNT), at(&batch, 0))
        .link(at(&contexts, 0))
        .link(at(&contexts, 1))
        .assert(&span);
    for link in &span.links.links {
        let count = KeyValue::new("otel_messaging.link.message_count", 5);
        assert_eq!(link.attributes, [count]);
    }
}

/// An error of the batch is on its span. Each message that is processed by itself has its own span
/// and outcome, in its own trace, with a link to the batch.
pub async fn a_batch_that_fails_half_way_shows_which_messages_did<B: Broker>() {
    let recorder = Recorder::new();
    let broker = B::connect(&recorder.telemetry()).await;
    let orders = broker.declare("orders").await;
    let contexts = [0, 1, 2].map(|number| span(number, number, TraceFlags::SAMPLED));
    let mut headers: Vec<_> = contexts.iter().map(|one| vec![traceparent(one)]).collect();
    headers.insert(1, Vec::new());
    let batch = received(&broker, &orders, headers).await;

    let outcome = batch
        .process(async |orders| {
            for (number, order) in orders.iter().enumerate() {
                let shipped =
                    order.process(async |_| if number < 2 { Ok(()) } else { Err("no stock") });
                shipped.await?;
            }
            Ok(())
        })
        .await;

    assert_eq!(outcome, Err("no stock"));
    let [first, without_context, failed, whole] = &spans(&recorder);
    let links = contexts.iter();
    let on_whole = broker.in_common(broker.batch_span(&orders, 4), at(&batch, 0));
    links
        .fold(on_whole, ExpectedSpan::link)
        .error("_OTHER")
        .description("no stock")
        .event("exception")
        .assert(whole);
    let own = |number: usize| {
        let message = at(&batch, number);
        broker.process_span(&orders, message)
    };
    own(0)
        .child_of(at(&contexts, 0))
        .link(at(&contexts, 0))
        .link(&whole.span_context)
        .assert(first);
    own(1)
        .child_of(&whole.span_context)
        .link(&whole.span_context)
        .assert(without_context);
    own(2)
        .child_of(at(&contexts, 1))
        .link(at(&contexts, 1))
        .link(&whole.span_context)
        .error("_OTHER")
        .description("no stock")
        .event("exception")
        .assert(failed);
}

/// A message that brings no trace, or none that counts, has that of its batch, and its own baggage as far as that
/// counts.
pub async fn in_a_batch_a_message_without_a_trace_has_that_of_the_batch<B: Broker>() {
    let other = traceparent(&span(7, 7, TraceFlags::SAMPLED));
    for (incoming, expected) in [(Incoming::Continue, Some("blue")), (Incoming::Ignore, None)] {
        let recorder = Recorder::new();
        let policy = Policy::new().rule(Rule::of("*").incoming(incoming));
        let broker = B::connect(&recorder.telemetry().policy(policy)).await;
        let orders = broker.declare("orders").await;
        let mut headers = vec![header("baggage", "tenant=blue")];
        if incoming == Incoming::Ignore {
            headers.push(other.clone());
        }
        let batch = received(&broker, &orders, [headers]).await;

        let seen = batch
            .process(async |orders| {
                at(orders, 0)
                    .process(async |_| Ok::<_, Infallible>(tenant()))
                    .await
            })
            .await;

        assert_eq!(seen, Ok(expected.map(str::to_owned)), "{incoming:?}");
        let [own, whole] = &spans(&recorder);
        broker
            .process_span(&orders, at(&batch, 0))
            .child_of(&whole.span_context)
            .link(&whole.span_context)
            .assert(own);
    }
}

/// Cancelled half-way, the batch's span ends, and the messages are all still there.
pub async fn a_batch_that_is_dropped_half_way_is_cancelled_and_loses_nothing<B: Broker>() {
    let recorder = Recorder::new();
    let broker = B::connect(&recorder.telemetry()).await;
    let orders = broker.declare("orders").await;
    let contexts = [0, 1].map(|number| span(number, number, TraceFlags::SAMPLED));
    let headers = contexts.iter().map(|one| vec![traceparent(one)]);
    let batch = received(&broker, &orders, headers).await;

    let handler = batch.process(async |orders| {
        at(orders, 0).process(async |_| ()).await;
        at(orders, 1)
            .process(async |_| std::future::pending::<()>().await)
            .await;
    });
    tokio::time::timeout(Duration::from_millis(20), handler)
        .await
        .expect_err("the handler never ends");

    let [done, dropped, whole] = &spans(&recorder);
    let on_whole = broker.in_common(broker.batch_span(&orders, 2), at(&batch, 0));
    contexts
        .iter()
        .fold(on_whole, ExpectedSpan::link)
        .error("cancelled")
        .description("")
        .assert(whole);
    let own = |number: usize| {
        broker
            .process_span(&orders, at(&batch, number))
            .child_of(at(&contexts, number))
            .link(at(&contexts, number))
            .link(&whole.span_context)
    };
    own(0).assert(done);
    own(1).error("cancelled").description("").assert(dropped);
    assert_eq!(batch.into_inner().len(), 2);
}

/// What is sent in a batch's handler belongs to the batch; in a message's context, to the message.
pub async fn what_a_batch_sends_belongs_to_it_or_to_the_message_that_is_chosen<B: Broker>() {
    let recorder = Recorder::new();
    let broker = B::connect(&recorder.telemetry()).await;
    let orders = broker.declare("orders").await;
    let payments = broker.declare("payments").await;
    let contexts = [0, 1].map(|number| span(number, number, TraceFlags::SAMPLED));
    let headers = contexts.iter().map(|one| vec![traceparent(one)]);
    let batch = received(&broker, &orders, headers).await;
    let payment = Message::new("payment-7");

    let (of_batch, of_order) = batch
        .process(async |orders| {
            let of_batch = broker.send(&payments, &payment).await;
            let chosen = at(orders, 1).creation_context().clone();
            let of_order = broker.send(&payments, &payment).with_context(chosen).await;
            Ok::<_, String>((of_batch, of_order))
        })
        .await
        .expect("both payments are sent");

    let [first, second, whole] = &spans(&recorder);
    broker
        .send_span(&payments, &payment, &of_batch)
        .child_of(&whole.span_context)
        .assert(first);
    broker
        .send_span(&payments, &payment, &of_order)
        .child_of(at(&contexts, 1))
        .assert(second);
}
