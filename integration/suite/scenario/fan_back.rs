//! A batch in the traces of its messages.

use opentelemetry::trace::{SpanContext, SpanKind, TraceFlags};
use opentelemetry_sdk::trace::SpanData;
use otel_messaging::policy::{Incoming, Policy, Rule};
use otel_messaging::testing::{ExpectedSpan, Recorder};

use super::batches::{at, received, span, spans, system, traceparent};
use crate::Broker;
use crate::whole;

/// What a span has that shows a batch in the trace of so many of its messages.
pub(super) fn fan_back_span(orders: &str, batch: &SpanData, messages: i64) -> ExpectedSpan {
    whole::span(format!("batch {orders}"), SpanKind::Consumer)
        .attribute("messaging.system.name", system(batch))
        .attribute("messaging.destination.name", orders.to_owned())
        .attribute("otel_messaging.fan_back.message_count", messages)
        .link(&batch.span_context)
}

/// On request each trace that the messages are from has a span of its own, as far as the cap goes. It
/// links to the batch and to each of the trace's messages, and says no more than that of itself.
pub async fn fan_back_shows_the_batch_in_the_traces_of_its_messages<B: Broker>() {
    let recorder = Recorder::new();
    let policy = Policy::new().rule(Rule::of("*").fan_back(2));
    let broker = B::connect(&recorder.telemetry().policy(policy)).await;
    let orders = broker.declare("orders").await;
    let contexts = [(0, 0), (1, 1), (0, 2), (2, 3), (3, 4)]
        .map(|(trace, number)| span(trace, number, TraceFlags::SAMPLED));
    let headers = contexts.iter().map(|one| vec![traceparent(one)]);
    let batch = received(&broker, &orders, headers).await;

    let _ = batch.process(async |_| Err::<(), _>("no stock")).await;

    let [whole, first, second] = &spans(&recorder);
    let on_whole = broker.in_common(broker.batch_span(&orders, 5), at(&batch, 0));
    contexts
        .iter()
        .fold(on_whole, ExpectedSpan::link)
        .attribute("otel_messaging.fan_back.left_out", 2)
        .error("_OTHER")
        .description("no stock")
        .event("exception")
        .assert(whole);
    for (span, messages) in [(first, &[0, 2][..]), (second, &[1])] {
        let parent = messages.first().expect("the first of the trace");
        let expected = fan_back_span(&orders, whole, messages.len() as i64)
            .child_of(at(&contexts, *parent))
            .error("_OTHER")
            .description("no stock");
        messages
            .iter()
            .fold(expected, |span, number| span.link(at(&contexts, *number)))
            .assert(span);
        for (link, number) in span.links.iter().skip(1).zip(messages) {
            assert_eq!(link.attributes, broker.on_link(at(&batch, *number)));
        }
        assert_eq!(
            (span.start_time, span.end_time),
            (whole.start_time, whole.end_time)
        );
    }
}

/// A trace that is linked to only, an old one for instance, gets no span of ours.
pub async fn fan_back_leaves_traces_alone_that_are_linked_to_only<B: Broker>() {
    let recorder = Recorder::new();
    let policy = Policy::new().rule(Rule::of("*").incoming(Incoming::LinkOnly).fan_back(9));
    let broker = B::connect(&recorder.telemetry().policy(policy)).await;
    let orders = broker.declare("orders").await;
    let contexts = [0, 1].map(|number| span(number, number, TraceFlags::SAMPLED));
    let headers = contexts.iter().map(|one| vec![traceparent(one)]);
    let batch = received(&broker, &orders, headers).await;

    batch.process(async |_| ()).await;

    let [whole] = &spans(&recorder);
    let expected = broker.in_common(broker.batch_span(&orders, 2), at(&batch, 0));
    contexts
        .iter()
        .fold(expected, ExpectedSpan::link)
        .assert(whole);
}

/// A link to a sender who is not trusted decides nothing, and no span of ours goes into its trace.
pub async fn a_batch_links_to_untrusted_traces_by_identity_alone<B: Broker>() {
    let recorder = Recorder::new();
    let policy = Policy::new().rule(Rule::of("*").incoming(Incoming::Restart).fan_back(9));
    let broker = B::connect(&recorder.telemetry().policy(policy)).await;
    let orders = broker.declare("orders").await;
    let contexts = [0, 1].map(|number| span(number, number, TraceFlags::SAMPLED));
    let headers = contexts.iter().map(|one| vec![traceparent(one)]);
    let batch = received(&broker, &orders, headers).await;

    batch.process(async |_| ()).await;

    let whole = recorder.span(&broker.process_name(&orders));
    let on_whole = broker.in_common(broker.batch_span(&orders, 2), at(&batch, 0));
    contexts
        .iter()
        .fold(on_whole, ExpectedSpan::link)
        .assert(&whole);
    let sampled = whole
        .links
        .iter()
        .filter(|link| link.span_context.is_sampled());
    assert_eq!(sampled.count(), 0);
    assert_eq!(recorder.spans().len(), 1);
}

/// Those spans have no more links than a span may have, and say of how many messages they are.
pub async fn fan_back_stays_within_the_limit_of_links<B: Broker>() {
    let recorder = Recorder::new();
    let policy = Policy::new().rule(Rule::of("*").fan_back(9));
    let telemetry = recorder.telemetry().policy(policy).max_links(3);
    let broker = B::connect(&telemetry).await;
    let orders = broker.declare("orders").await;
    let contexts = [0, 1, 2, 3].map(|number| span(7, number, TraceFlags::SAMPLED));
    let headers = contexts
        .iter()
        .map(|one: &SpanContext| vec![traceparent(one)]);
    let batch = received(&broker, &orders, headers).await;

    batch.process(async |_| ()).await;

    let whole = recorder.span(&broker.process_name(&orders));
    fan_back_span(&orders, &whole, 4)
        .child_of(at(&contexts, 0))
        .link(at(&contexts, 0))
        .link(at(&contexts, 1))
        .assert(&recorder.span(&format!("batch {orders}")));
}
