//! What a message from somebody who is not trusted may not bring into what its handler sends.

use opentelemetry::Context;
use opentelemetry::context::FutureExt as _;
use otel_messaging::policy::{Incoming, Policy, Record, Rule};
use otel_messaging::testing::Recorder;
use otel_messaging::{Batch, Received};

use super::carried::{forwarded, orders};
use super::{header, send_bare, upstream_headers, values};
use crate::{BatchSender, Broker, Header};

/// Contexts of traces that are not the same, more than the two that are read.
fn several_contexts() -> Vec<Header> {
    let more = [
        (
            "Traceparent",
            "00-44444444444444444444444444444444-4444444444444444-01",
        ),
        (
            "TRACEPARENT",
            "00-55555555555555555555555555555555-5555555555555555-01",
        ),
    ];
    let more = more.map(|(name, value)| header(name, value));
    upstream_headers().into_iter().chain(more).collect()
}

/// Asserts that a message says nothing that `several_contexts` does.
fn assert_of_nobody<B: Broker>(broker: &B, message: &Received<B::Message>) {
    for traceparent in values(broker, message, "traceparent") {
        for (name, value) in several_contexts() {
            let value = value.unwrap_or_default();
            if name.eq_ignore_ascii_case(b"traceparent") {
                let trace = value.get(3..35).unwrap_or_default();
                let trace = String::from_utf8_lossy(trace);
                assert!(!traceparent.contains(&*trace), "{traceparent}");
            }
        }
    }
}

/// What came in from a stranger does not go out again when the handler forwards all headers,
/// whatever is recorded of either.
pub async fn what_is_not_trusted_is_not_forwarded<B: Broker>() {
    let records = [Record::Full, Record::PropagateOnly, Record::Off];
    for incoming in [Incoming::Restart, Incoming::Ignore] {
        for received in records {
            for sent in records {
                let policy = Policy::new()
                    .rule(orders().incoming(incoming).record(received))
                    .rule(Rule::of("payments*").record(sent));
                assert_not_forwarded::<B>(policy, incoming).await;
            }
        }
    }
}

async fn assert_not_forwarded<B: Broker>(policy: Policy, incoming: Incoming) {
    let recorder = Recorder::new();
    let broker = B::connect(&recorder.telemetry().policy(policy)).await;
    let orders = broker.declare("orders").await;
    let payments = broker.declare("payments").await;
    let baggage_alone = || vec![header("baggage", "tenant=evil")];
    let rows = [
        (upstream_headers(), 1),
        (baggage_alone(), 0),
        // Of all that are not the same, one is the creation context and one is linked to beside.
        (several_contexts(), 2),
    ];
    for (headers, contexts) in rows {
        recorder.clear();
        send_bare(&broker, &orders, headers).await;
        let order = broker.receive(&orders).await;
        let mut onward = broker.headers(&order);
        onward.push(header("note", "1"));
        order
            .process(async |_| {
                broker.send(&payments, &forwarded(onward.clone())).await;
            })
            .await;

        let payment = broker.receive(&payments).await;
        assert_eq!(values(&broker, &payment, "note"), ["1"]);
        assert_eq!(values(&broker, &payment, "baggage"), [""; 0]);
        assert_eq!(values(&broker, &payment, "tracestate"), [""; 0]);
        assert_of_nobody(&broker, &payment);
        let spans = recorder.spans();
        let send = broker.send_name(&payments);
        for span in spans.iter().filter(|span| span.name == send) {
            let links = &span.links.links;
            let expected = match incoming {
                Incoming::Restart => contexts,
                _ => 0,
            };
            assert_eq!(links.len(), expected, "{links:?}");
            for link in links {
                assert!(!link.span_context.is_sampled());
            }
        }
    }
}

/// Refused baggage does not go out again either.
pub async fn refused_baggage_is_not_forwarded<B: Broker>() {
    for sent in [Record::Full, Record::PropagateOnly, Record::Off] {
        let recorder = Recorder::new();
        let policy = Policy::new()
            .rule(orders().accept_baggage(["order"]))
            .rule(Rule::of("payments*").record(sent));
        let broker = B::connect(&recorder.telemetry().policy(policy)).await;
        let orders = broker.declare("orders").await;
        let payments = broker.declare("payments").await;
        let headers = vec![header("baggage", "order=7,tenant=evil")];
        send_bare(&broker, &orders, headers).await;
        let order = broker.receive(&orders).await;
        let onward = broker.headers(&order);
        order
            .process(async |_| {
                broker.send(&payments, &forwarded(onward.clone())).await;
            })
            .await;

        let payment = broker.receive(&payments).await;
        assert_eq!(values(&broker, &payment, "baggage"), ["order=7"]);
    }
}

/// The same strangers, when the handler of a batch forwards its messages in a batch, or in the
/// context of one of them.
pub async fn what_a_batch_is_not_to_trust_is_not_forwarded<B: BatchSender>() {
    let records = [Record::Full, Record::PropagateOnly, Record::Off];
    for incoming in [Incoming::Restart, Incoming::Ignore] {
        for (received, sent) in records
            .into_iter()
            .zip(records)
            .chain([(Record::Full, Record::Off), (Record::Off, Record::Full)])
        {
            let recorder = Recorder::new();
            let policy = Policy::new()
                .rule(orders().incoming(incoming).record(received))
                .rule(Rule::of("payments*").record(sent));
            let broker = B::connect(&recorder.telemetry().policy(policy)).await;
            let orders = broker.declare("orders").await;
            let payments = broker.declare("payments").await;
            let mut messages = Vec::new();
            for headers in [several_contexts(), vec![header("baggage", "tenant=evil")]] {
                send_bare(&broker, &orders, headers).await;
                messages.push(broker.receive(&orders).await);
            }
            let onward: Vec<_> = messages
                .iter()
                .map(|message| forwarded(broker.headers(message)))
                .collect();
            Batch::from(messages)
                .process(async |batch| {
                    broker.send_batch(&payments, &onward).await;
                    for (order, payment) in batch.iter().zip(&onward) {
                        let sending = broker.send(&payments, payment);
                        sending.with_context(order.creation_context().clone()).await;
                    }
                    let creation = |order: &Received<B::Message>| order.creation_context().clone();
                    for context in [creation, |_: &Received<B::Message>| Context::new()] {
                        let pairs = batch.iter().map(context).zip(onward.iter().cloned());
                        broker.send_in(&payments, &pairs.collect::<Vec<_>>()).await;
                    }
                })
                .await;

            for _ in 0..8 {
                let payment = broker.receive(&payments).await;
                assert_eq!(values(&broker, &payment, "baggage"), [""; 0]);
                assert_eq!(values(&broker, &payment, "tracestate"), [""; 0]);
                assert_of_nobody(&broker, &payment);
            }
        }
    }
}
