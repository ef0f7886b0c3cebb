//! Services that forward in batches: each message is created in a context of its own.

use futures::FutureExt as _;
use opentelemetry::baggage::{Baggage, BaggageExt as _};
use opentelemetry::context::FutureExt as _;
use opentelemetry::trace::{SpanContext, SpanId, SpanKind, Status, TraceContextExt as _};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::SpanData;
use otel_messaging::policy::{Policy, Record, Rule};
use otel_messaging::testing::Recorder;
use otel_messaging::{Batch, Received};

use super::sends::{creates, linking, saying};
use super::{
    TRACESTATE, header, identity, send_bare, upstream, upstream_headers, upstream_span, values,
};
use crate::metrics::{of_type, operation_duration, sent_messages};
use crate::{BatchSender, Header, Message, Refuser};

const OTHER: &str = "00-11111111111111111111111111111111-2222222222222222-01";

/// What three orders carry: two of different traces, and one of none.
fn origins() -> [Vec<Header>; 3] {
    [
        upstream_headers(),
        vec![
            header("traceparent", OTHER),
            header("tracestate", "other=1"),
            header("baggage", "tenant=red"),
        ],
        vec![header("baggage", "tenant=nobody")],
    ]
}

/// Their baggage and their tracestate, as we write them.
const BAGGAGE: [&str; 3] = [
    "tenant=blue%20sky;since=2024",
    "tenant=red",
    "tenant=nobody",
];
const LISTS: [&[&str]; 3] = [&[TRACESTATE], &["other=1"], &[]];

/// A service that makes a bill of each order of a batch.
struct Forwarded<B: BatchSender> {
    recorder: Recorder,
    broker: B,
    bills: String,
    process: SpanContext,
    receipts: Vec<B::Receipt>,
    received: Vec<Received<B::Message>>,
}

impl<B: BatchSender> Forwarded<B> {
    async fn by(rule: Rule) -> Self {
        let recorder = Recorder::new();
        let broker = B::connect(&recorder.telemetry().policy(Policy::new().rule(rule))).await;
        let orders = broker.declare("orders").await;
        let bills = broker.declare("bills").await;
        let mut batch = Vec::new();
        for headers in origins() {
            send_bare(&broker, &orders, headers).await;
            batch.push(broker.receive(&orders).await);
        }
        recorder.clear();
        // It is no affair of any order.
        let of_the_loop = Context::new().with_baggage([KeyValue::new("loop", "1")]);
        let receipts = Batch::from(batch)
            .process(async |orders| {
                let bill = |order: &Received<B::Message>| {
                    (order.creation_context().clone(), Message::new("bill-7"))
                };
                let created: Vec<_> = orders.iter().map(bill).collect();
                Ok::<_, String>(broker.send_in(&bills, &created).await)
            })
            .with_context(of_the_loop)
            .await
            .expect("all are sent");
        let process = recorder.span(&broker.process_name(&orders)).span_context;
        let mut received = Vec::new();
        for _ in &receipts {
            received.push(broker.receive(&bills).await);
        }
        Self {
            recorder,
            broker,
            bills,
            process,
            receipts,
            received,
        }
    }

    fn assert_baggage_and_tracestate(&self) {
        for ((bill, baggage), list) in self.received.iter().zip(BAGGAGE).zip(LISTS) {
            assert_eq!(values(&self.broker, bill, "baggage"), [baggage]);
            assert_eq!(values(&self.broker, bill, "tracestate"), list);
        }
    }

    /// Processes the bills one by one: each in the trace of this context, with the baggage of its origin.
    async fn assert_processed_in(&self, contexts: &[SpanContext]) {
        let tenants = ["blue sky", "red", "nobody"];
        assert_eq!(contexts.len(), tenants.len());
        for ((bill, context), tenant) in self.received.iter().zip(contexts).zip(tenants) {
            self.recorder.clear();
            let seen = bill.process(async |_| Ok::<_, String>(super::tenant()));
            assert_eq!(seen.await, Ok(Some(tenant.to_owned())));
            let process = self.recorder.span(&self.broker.process_name(&self.bills));
            self.broker
                .process_span(&self.bills, bill)
                .child_of(context)
                .link(context)
                .assert(&process);
        }
    }
}

fn other_span() -> SpanContext {
    super::w3c_context(OTHER)
}

/// A message of a batch stays in the trace of its origin, with its tracestate and its baggage, with
/// create spans and without; what has no trace begins one, or is in that of the send span.
pub async fn a_batch_forwards_each_message_in_the_trace_of_its_origin<B: BatchSender>() {
    for has_creates in [true, false] {
        let forwarded = Forwarded::<B>::by(Rule::of("*").create_spans(has_creates)).await;
        let (recorder, broker) = (&forwarded.recorder, &forwarded.broker);
        let bills = &forwarded.bills;
        let bill = Message::new("bill-7");

        let created = creates(recorder, bills);
        assert_eq!(created.len(), if has_creates { 3 } else { 0 });
        let origins = [Some(upstream_span()), Some(other_span()), None];
        for ((create, origin), receipt) in created.iter().zip(&origins).zip(&forwarded.receipts) {
            let expected = broker.create_span(bills, &bill, receipt);
            match origin {
                Some(origin) => expected.child_of(origin).assert(create),
                None => expected.assert(create),
            }
        }
        let send = recorder.span(&broker.send_name(bills));
        let (kind, linked) = match has_creates {
            true => (SpanKind::Client, contexts(&created)),
            false => (SpanKind::Producer, vec![upstream_span(), other_span()]),
        };
        let expected = saying(
            broker.sent_batch(kind, bills, 3),
            broker.on_sent_link(&bill),
        );
        linking(expected.child_of(&forwarded.process), &linked).assert(&send);
        assert_eq!(forwarded.recorder.spans().len(), created.len() + 2);
        sent_messages().of(broker.sent(bills), 3).assert(recorder);
        operation_duration()
            .of(of_type(broker.sent(bills), "send"), 1)
            .assert(recorder);

        forwarded.assert_baggage_of_origins(has_creates);
        let carried = match has_creates {
            true => linked,
            false => linked.into_iter().chain([send.span_context]).collect(),
        };
        forwarded.assert_processed_in(&carried).await;
    }
}

impl<B: BatchSender> Forwarded<B> {
    fn assert_baggage_of_origins(&self, has_creates: bool) {
        if has_creates {
            self.assert_baggage_and_tracestate();
            return;
        }
        for (bill, baggage) in self.received.iter().zip(BAGGAGE) {
            assert_eq!(values(&self.broker, bill, "baggage"), [baggage]);
        }
    }
}

fn contexts(spans: &[SpanData]) -> Vec<SpanContext> {
    let contexts = spans.iter().map(|span| span.span_context.clone());
    contexts.collect()
}

/// Where no span is recorded, what was given for a message goes out with it as it is, and nothing
/// else; off is off.
pub async fn origins_of_a_forwarded_batch_go_on_where_nothing_is_recorded<B: BatchSender>() {
    let rule = |record| Rule::of("bills*").record(record);
    let forwarded = Forwarded::<B>::by(rule(Record::PropagateOnly)).await;
    let broker = &forwarded.broker;
    assert_eq!(forwarded.recorder.spans().len(), 1, "of the orders alone");
    forwarded.assert_baggage_and_tracestate();
    let traceparents = forwarded.received.iter();
    let traceparents: Vec<_> = traceparents
        .map(|bill| values(broker, bill, "traceparent"))
        .collect();
    let upstream = origins().into_iter().next().unwrap_or_default();
    let (_, first) = upstream.into_iter().next().unwrap_or_default();
    let first = String::from_utf8(first.unwrap_or_default()).unwrap_or_default();
    assert_eq!(traceparents, [vec![first], vec![OTHER.to_owned()], vec![]]);

    let forwarded = Forwarded::<B>::by(rule(Record::Off)).await;
    assert_eq!(forwarded.recorder.spans().len(), 1, "of the orders alone");
    for bill in &forwarded.received {
        for name in ["traceparent", "tracestate", "baggage"] {
            assert_eq!(values(&forwarded.broker, bill, name), [""; 0]);
        }
    }
}

/// What one context says of telemetry holds for its message alone: it goes out as it is given, and is
/// neither recorded nor counted.
pub async fn in_a_batch_telemetry_may_be_suppressed_for_one_message<B: BatchSender>() {
    let recorder = Recorder::new();
    let broker = B::connect(&recorder.telemetry()).await;
    let orders = broker.declare("orders").await;
    let order = Message::new("order-7");
    let suppressed = upstream("01").with_telemetry_suppressed();
    let messages = [(upstream("01"), order.clone()), (suppressed, order.clone())];

    let receipts = broker.send_in(&orders, &messages).await;

    let created = creates(&recorder, &orders);
    assert_eq!(created.len(), 1);
    for (create, receipt) in created.iter().zip(&receipts) {
        let expected = broker.create_span(&orders, &order, receipt);
        expected.child_of(&upstream_span()).assert(create);
    }
    sent_messages()
        .of(broker.sent(&orders), 1)
        .assert(&recorder);
    let carried = [broker.receive(&orders).await, broker.receive(&orders).await];
    let carried = carried.map(|one| values(&broker, &one, "baggage").len());
    assert_eq!(carried, [1, 0]);
}

fn in_several() -> Vec<Context> {
    let other = Context::new().with_remote_span_context(other_span());
    vec![upstream("01"), other, Context::new()]
}

/// Of each create span the trace and the parent.
fn assert_created_in_several(created: &[SpanData]) {
    let parents: Vec<_> = created
        .iter()
        .map(|create| {
            let trace = create.span_context.trace_id().to_string();
            (trace, create.parent_span_id.to_string())
        })
        .collect();
    let [first, second, root] = &parents[..] else {
        unreachable!("three: {parents:?}")
    };
    assert_eq!(*first, identity(&upstream_span()));
    assert_eq!(*second, identity(&other_span()));
    assert_eq!(root.1, SpanId::INVALID.to_string());
}

/// A message that the client refuses fails in the trace that it was created in, and the send where
/// it was called.
pub async fn a_message_of_a_batch_that_fails_does_so_in_its_own_trace<B: Refuser>() {
    let recorder = Recorder::new();
    let broker = B::connect(&recorder.telemetry()).await;
    let orders = broker.declare("orders").await;
    let calling = upstream("01").with_baggage(Baggage::new());

    let refusing = broker.refuse_in(&orders, in_several());
    refusing.with_context(calling).await;

    let created = creates(&recorder, &orders);
    assert_created_in_several(&created);
    let send = recorder.span(&broker.send_name(&orders));
    assert_eq!(send.parent_span_id, upstream_span().span_id());
    for failed in created.iter().chain([&send]) {
        let error = failed.attributes.iter();
        let mut error = error.filter(|one| one.key.as_str() == "error.type");
        assert_eq!(error.next(), Some(&KeyValue::new("error.type", B::REFUSED)));
        assert!(matches!(failed.status, Status::Error { .. }));
    }
    let linked = send.links.iter().map(|link| link.span_context.clone());
    assert_eq!(linked.collect::<Vec<_>>(), contexts(&created));
}

/// Where the future is dropped, each span ends in its own trace and says nothing of the outcome.
pub async fn a_batch_in_several_contexts_that_is_dropped_ends_each_span_in_its_own_trace<
    B: BatchSender,
>() {
    let recorder = Recorder::new();
    let broker = B::connect(&recorder.telemetry()).await;
    let orders = broker.declare("orders").await;
    let messages = in_several().into_iter();
    let messages: Vec<_> = messages
        .map(|context| (context, Message::new("order-7")))
        .collect();

    let _ = broker.send_in(&orders, &messages).now_or_never();

    let created = creates(&recorder, &orders);
    assert_created_in_several(&created);
    let send = recorder.span(&broker.send_name(&orders));
    for span in created.iter().chain([&send]) {
        assert_eq!(span.status, Status::Unset);
    }
    let linked = send.links.iter().map(|link| link.span_context.clone());
    assert_eq!(linked.collect::<Vec<_>>(), contexts(&created));
}
