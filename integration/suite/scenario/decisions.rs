//! How a decision about sampling travels.

use std::collections::BTreeSet;

use opentelemetry::context::FutureExt as _;
use opentelemetry::trace::{SpanId, TraceContextExt as _, TraceId};
use opentelemetry_sdk::trace::{Sampler, ShouldSample};
use otel_messaging::Received;
use otel_messaging::testing::Recorder;

use super::{upstream, values, w3c_context};
use crate::{Broker, Message};

/// The trace, the parent and the flags that a message carries, in the one header that it has of them.
fn carried<B: Broker>(broker: &B, received: &Received<B::Message>) -> (TraceId, SpanId, String) {
    let values = values(broker, received, "traceparent");
    let [traceparent] = &values[..] else {
        unreachable!("one header: {values:?}")
    };
    let context = w3c_context(traceparent);
    let flags = traceparent.rsplit('-').next().unwrap_or_default();
    (context.trace_id(), context.span_id(), flags.to_owned())
}

/// Sampled or not, random or not: what the flags of a trace say arrives at each hop as it was, and all
/// hops record or none, whether or not the sampler is asked where the parent has decided.
pub async fn the_flags_of_a_trace_arrive_at_each_hop_as_they_were<B: Broker>() {
    for follows in [false, true] {
        let recorder = Recorder::new();
        let telemetry = recorder.telemetry().sampler_follows_parent(follows);
        let broker = B::connect(&telemetry).await;
        let orders = broker.declare("orders").await;
        let payments = broker.declare("payments").await;

        for (flags, is_sampled) in [("00", false), ("01", true), ("02", false), ("03", true)] {
            recorder.clear();
            let upstream = upstream(flags);
            let order = Message::new("order-7");
            broker
                .send(&orders, &order)
                .with_context(upstream.clone())
                .await;
            let order = broker.receive(&orders).await;
            order
                .process(async |_| {
                    broker.send(&payments, &Message::new("payment-7")).await;
                })
                .await;
            let payment = broker.receive(&payments).await;
            payment.process(async |_| ()).await;

            let spans = recorder.spans();
            let names: Vec<_> = spans.iter().map(|span| &*span.name).collect();
            let mut expected = vec![
                broker.send_name(&orders),
                broker.send_name(&payments),
                broker.process_name(&orders),
                broker.process_name(&payments),
            ];
            expected.retain(|_| is_sampled);
            assert_eq!(names, expected, "{flags} {follows}");

            let upstream = upstream.span().span_context().clone();
            let mut parents = vec![upstream.span_id()];
            for received in [&order, &payment] {
                let (trace, parent, its_flags) = carried(&broker, received);
                assert_eq!(trace, upstream.trace_id());
                assert_eq!(its_flags, flags, "{follows}");
                parents.push(parent);
            }
            let of_sends = spans.iter().filter(|span| {
                [broker.send_name(&orders), broker.send_name(&payments)]
                    .contains(&span.name.clone().into_owned())
            });
            let of_sends: Vec<_> = of_sends.map(|span| span.span_context.span_id()).collect();
            let different: BTreeSet<_> = parents.iter().map(ToString::to_string).collect();
            match (is_sampled, follows) {
                (true, _) => assert_eq!(parents.split_off(1), of_sends),
                // Nobody asked for a span, so that the parent is the one before.
                (false, true) => assert_eq!(different.len(), 1, "{parents:?}"),
                (false, false) => assert_eq!(different.len(), 3, "{parents:?}"),
            }
        }
    }
}

/// A service with clients of its own.
struct Service<B> {
    recorder: Recorder,
    broker: B,
}

impl<B: Broker> Service<B> {
    async fn start(sampler: impl ShouldSample + 'static, follows: bool) -> Self {
        let recorder = Recorder::with_sampler(sampler);
        let telemetry = recorder.telemetry().sampler_follows_parent(follows);
        let broker = B::connect(&telemetry).await;
        Self { recorder, broker }
    }

    /// The traces of what it recorded, in their order, and how many spans each has.
    fn traces(&self) -> Vec<(TraceId, usize)> {
        let mut traces: Vec<(TraceId, usize)> = Vec::new();
        for span in self.recorder.spans() {
            let trace = span.span_context.trace_id();
            match traces.last_mut() {
                Some((last, count)) if *last == trace => *count += 1,
                _ => traces.push((trace, 1)),
            }
        }
        traces
    }
}

/// The service that begins a trace decides for all after it, whatever they would begin themselves.
///
/// One that decides by the same ratio of trace ids and does not look at the parent comes to the same.
pub async fn the_service_that_begins_a_trace_decides_for_all_after_it<B: Broker>() {
    const MESSAGES: usize = 32;
    let half = Sampler::TraceIdRatioBased(0.5);
    let (on, off) = (Sampler::AlwaysOn, Sampler::AlwaysOff);
    let by_parent = |root| Sampler::ParentBased(Box::new(root));
    let shop = Service::<B>::start(by_parent(half.clone()), true).await;
    let billing = Service::<B>::start(by_parent(on), true).await;
    let bank = Service::<B>::start(by_parent(off), false).await;
    let audit = Service::<B>::start(half, false).await;
    let orders = billing.broker.declare("orders").await;
    let payments = bank.broker.declare("payments").await;
    let receipts = audit.broker.declare("receipts").await;

    let mut kept = Vec::new();
    for number in 0..MESSAGES {
        let message = Message::new(&number.to_string());
        shop.broker.send(&orders, &message).await;
        let order = billing.broker.receive(&orders).await;
        order
            .process(async |_| {
                billing.broker.send(&payments, &message).await;
            })
            .await;
        let payment = bank.broker.receive(&payments).await;
        payment
            .process(async |_| {
                bank.broker.send(&receipts, &message).await;
            })
            .await;
        let receipt = audit.broker.receive(&receipts).await;
        receipt.process(async |_| ()).await;

        let (trace, _, flags) = carried(&billing.broker, &order);
        let of_payment = carried(&bank.broker, &payment);
        let of_receipt = carried(&audit.broker, &receipt);
        for (its_trace, _, its_flags) in [of_payment, of_receipt] {
            assert_eq!((its_trace, &its_flags), (trace, &flags));
        }
        match &*flags {
            "00" => {}
            "01" => kept.push(trace),
            other => unreachable!("flags {other}"),
        }
    }

    assert!((1..MESSAGES).contains(&kept.len()), "{}", kept.len());
    for (service, spans) in [(&shop, 1), (&billing, 2), (&bank, 2), (&audit, 1)] {
        let expected: Vec<_> = kept.iter().map(|trace| (*trace, spans)).collect();
        assert_eq!(service.traces(), expected);
    }
}
