//! What becomes of a context that a message to be sent carries already.

use opentelemetry::baggage::{Baggage, BaggageExt as _};
use opentelemetry::context::FutureExt as _;
use opentelemetry::trace::{SpanKind, TraceContextExt as _};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::{Sampler, SpanData};
use otel_messaging::policy::{Carried, Policy, Record, Rule};
use otel_messaging::testing::Recorder;
use otel_messaging::{LinkedSampler, Received, Telemetry};

use super::sends::{creates, saying};
use super::{
    TRACESTATE, header, identity, send_bare, tracestate, upstream, upstream_headers, upstream_span,
    values,
};
use crate::{BatchSender, Broker, Header, Message};

/// An order that somebody sends on, with headers from before.
pub(super) fn forwarded(headers: Vec<Header>) -> Message {
    Message {
        headers,
        ..Message::new("order-7")
    }
}

/// What an order looks like that was sent by a producer with this rule for it.
struct Sent<B: Broker> {
    recorder: Recorder,
    broker: B,
    orders: String,
    received: Received<B::Message>,
    receipt: B::Receipt,
}

impl<B: Broker> Sent<B> {
    async fn by(rule: Rule, headers: Vec<Header>, current: Context) -> Self {
        let recorder = Recorder::new();
        let telemetry = recorder.telemetry().policy(Policy::new().rule(rule));
        let broker = B::connect(&telemetry).await;
        let orders = broker.declare("orders").await;
        let order = forwarded(headers);
        let receipt = broker.send(&orders, &order).with_context(current).await;
        let received = broker.receive(&orders).await;
        Self {
            recorder,
            broker,
            orders,
            received,
            receipt,
        }
    }

    fn span(&self) -> SpanData {
        self.recorder.span(&self.broker.send_name(&self.orders))
    }

    fn expected(&self) -> otel_messaging::testing::ExpectedSpan {
        let order = Message::new("order-7");
        self.broker.send_span(&self.orders, &order, &self.receipt)
    }

    fn values(&self, name: &str) -> Vec<String> {
        values(&self.broker, &self.received, name)
    }

    /// Asserts that the order carries the context of its send span, and nothing else of a trace.
    fn assert_own(&self, tracestate: &[&str]) {
        let own = self.span().span_context;
        let (trace, span) = identity(&own);
        assert_eq!(
            self.values("traceparent"),
            [format!("00-{trace}-{span}-01")]
        );
        assert_eq!(self.values("tracestate"), tracestate);
    }
}

pub(super) fn orders() -> Rule {
    Rule::of("orders*")
}

/// What the service before ours sends as baggage, as we write it.
const BAGGAGE: &str = "tenant=blue%20sky;since=2024";

/// Where no span is active, the context that a message carries goes on: it is the parent, and its
/// tracestate and baggage arrive.
pub async fn a_carried_context_goes_on_where_no_span_is_active<B: Broker>() {
    let sent = Sent::<B>::by(orders(), upstream_headers(), Context::new()).await;

    let expected = sent.expected().child_of(&upstream_span());
    expected.link(&upstream_span()).assert(&sent.span());
    sent.assert_own(&[TRACESTATE]);
    assert_eq!(sent.values("baggage"), [BAGGAGE]);
}

/// After the handler has ended, its message goes to where dead letters go, in the same trace.
pub async fn a_dead_letter_after_the_handler_stays_in_the_trace<B: Broker>() {
    let recorder = Recorder::new();
    let broker = B::connect(&recorder.telemetry()).await;
    let orders = broker.declare("orders").await;
    let dead = broker.declare("orders-dead").await;
    send_bare(&broker, &orders, upstream_headers()).await;
    let order = broker.receive(&orders).await;
    let outcome = order.process(async |_| Err::<(), _>("no stock")).await;
    assert_eq!(outcome, Err("no stock"));

    let letter = forwarded(broker.headers(&order));
    let receipt = broker.send(&dead, &letter).await;

    let expected = broker.send_span(&dead, &letter, &receipt);
    let expected = expected.child_of(&upstream_span()).link(&upstream_span());
    expected.assert(&recorder.span(&broker.send_name(&dead)));
    let letter = broker.receive(&dead).await;
    assert_eq!(values(&broker, &letter, "baggage"), [BAGGAGE]);
}

/// Linked to only, a carried context does not go on; ignored, it leaves nothing.
pub async fn a_policy_says_what_a_carried_context_may_do<B: Broker>() {
    for current in [Context::new(), upstream("01").with_baggage(Baggage::new())] {
        let active = current.span().span_context().clone();
        let other = "00-11111111111111111111111111111111-2222222222222222-01";
        let headers = || {
            vec![
                header("traceparent", other),
                header("tracestate", "other=1"),
                header("baggage", "tenant=red"),
            ]
        };
        let carried = super::w3c_context(other);
        for may in [Carried::LinkOnly, Carried::Ignore] {
            let rule = orders().carried(may);
            let sent = Sent::<B>::by(rule, headers(), current.clone()).await;

            let expected = match active.is_valid() {
                true => sent.expected().child_of(&active),
                false => sent.expected(),
            };
            let span = sent.span();
            let (expected, baggage): (_, &[&str]) = match may {
                Carried::LinkOnly => (expected.link(&carried), &["tenant=red"]),
                _ => (expected, &[]),
            };
            expected.assert(&span);
            for link in &span.links.links {
                assert!(!link.span_context.is_sampled(), "{link:?}");
                assert_eq!(link.span_context.trace_state().header(), "");
            }
            let list: &[&str] = if active.is_valid() {
                &[TRACESTATE]
            } else {
                &[]
            };
            sent.assert_own(list);
            assert_eq!(sent.values("baggage"), baggage);
        }
    }
}

/// Baggage that the application has put on a message stays, and merges with what is current, of
/// which a member of the same name counts.
pub async fn baggage_of_a_message_stays_and_merges<B: Broker>() {
    let on_message = || vec![header("baggage", "tenant=red,order=7")];
    let without = upstream("01").with_baggage(Baggage::new());
    let rows = [
        (without, vec!["tenant=red,order=7"]),
        (upstream("01"), vec!["order=7,tenant=blue%20sky;since=2024"]),
        (Context::new(), vec!["tenant=red,order=7"]),
    ];

    for (current, expected) in rows {
        let sent = Sent::<B>::by(orders(), on_message(), current).await;
        assert_eq!(sent.values("baggage"), expected);
        sent.assert_own(
            &tracestate(&sent.broker, &sent.received)
                .iter()
                .map(String::as_str)
                .collect::<Vec<_>>(),
        );
    }
}

/// Of several contexts on a message none goes out beside another, though no span is recorded: it is the one
/// that counts.
pub async fn of_several_carried_contexts_the_one_that_counts_goes_on<B: Broker>() {
    let [stale, counting] = ["11", "22"].map(|byte| {
        let (trace, span) = (byte.repeat(16), byte.repeat(8));
        format!("00-{trace}-{span}-01")
    });
    let headers = || {
        [
            ("traceparent", &*stale),
            ("baggage", "tenant=red"),
            ("note", "1"),
            ("traceparent", &*counting),
            ("baggage", "tenant=blue"),
        ]
        .map(|(name, value)| header(name, value))
        .to_vec()
    };
    let rule = orders().record(Record::PropagateOnly);
    let unrecorded = Recorder::new().telemetry().policy(Policy::new().rule(rule));
    for telemetry in [unrecorded, Telemetry::new()] {
        let broker = B::connect(&telemetry).await;
        let orders = broker.declare("orders").await;

        broker.send(&orders, &forwarded(headers())).await;

        let received = broker.receive(&orders).await;
        for (name, value) in [
            ("traceparent", &*counting),
            ("baggage", "tenant=blue"),
            ("note", "1"),
        ] {
            assert_eq!(values(&broker, &received, name), [value], "{name}");
        }
    }
}

/// What is kept back of baggage is kept back of what the message carries too.
pub async fn kept_back_baggage_does_not_go_out_with_the_message<B: Broker>() {
    let headers = || {
        let mut headers = upstream_headers();
        headers.push(header("note", "1"));
        headers
    };
    for record in [Record::Full, Record::PropagateOnly] {
        for current in [Context::new(), upstream("01")] {
            let none = orders().record(record).send_baggage([]);
            let sent = Sent::<B>::by(none, headers(), current.clone()).await;
            assert_eq!(sent.values("baggage"), [""; 0]);
            assert_eq!(sent.values("note"), ["1"]);

            let others = orders().record(record).send_baggage(["order"]);
            let on_message = vec![header("baggage", "order=7,secret=1")];
            let sent = Sent::<B>::by(others, on_message, current).await;
            assert_eq!(sent.values("baggage"), ["order=7"]);
        }
    }
}

/// A message that keeps its context keeps its own baggage, as far as that may be sent, and gets none
/// of what is current.
pub async fn a_kept_context_takes_no_current_baggage_along<B: Broker>() {
    let kept = "00-11111111111111111111111111111111-2222222222222222-01";
    let headers = vec![
        header("traceparent", kept),
        header("baggage", "order=7,secret=1"),
    ];
    let current = Context::new().with_baggage([KeyValue::new("tenant", "blue")]);
    let rows = [
        (orders(), "order=7,secret=1"),
        (orders().send_baggage(["order", "tenant"]), "order=7"),
    ];

    for (rule, expected) in rows {
        let recorder = Recorder::new();
        let telemetry = recorder.telemetry().policy(Policy::new().rule(rule));
        let broker = B::connect(&telemetry.keep_existing_context(true)).await;
        let orders = broker.declare("orders").await;
        let order = forwarded(headers.clone());
        broker
            .send(&orders, &order)
            .with_context(current.clone())
            .await;

        let received = broker.receive(&orders).await;
        assert_eq!(values(&broker, &received, "baggage"), [expected]);
        assert_eq!(values(&broker, &received, "traceparent"), [kept]);
    }
}

/// A stranger's flag on a message that is sent on does not decide that its send span is kept.
pub async fn a_forged_flag_on_a_forwarded_message_decides_nothing<B: Broker>() {
    let sampler = LinkedSampler::new(Sampler::ParentBased(Box::new(Sampler::AlwaysOff)));
    let recorder = Recorder::with_sampler(sampler);
    let link_only = Policy::new().rule(orders().carried(Carried::LinkOnly));
    let broker = B::connect(&recorder.telemetry().policy(link_only)).await;
    let orders = broker.declare("orders").await;

    broker.send(&orders, &forwarded(upstream_headers())).await;

    assert_eq!(recorder.spans().len(), 0);
}

/// Messages that are sent together without a span that is active go on in their own traces, each.
pub async fn of_a_batch_each_message_goes_on_in_its_own_trace<B: BatchSender>() {
    let other = "00-11111111111111111111111111111111-2222222222222222-01";
    let carried = [upstream_span(), super::w3c_context(other)];
    let messages = || {
        [
            forwarded(upstream_headers()),
            forwarded(vec![
                header("traceparent", other),
                header("baggage", "tenant=red"),
            ]),
        ]
    };
    for has_creates in [true, false] {
        let recorder = Recorder::new();
        let policy = Policy::new().rule(Rule::of("*").create_spans(has_creates));
        let broker = B::connect(&recorder.telemetry().policy(policy)).await;
        let orders = broker.declare("orders").await;

        let receipts = broker.send_batch(&orders, &messages()).await;

        let created = creates(&recorder, &orders);
        assert_eq!(created.len(), if has_creates { 2 } else { 0 });
        let sent = Message::new("order-7");
        for ((create, context), receipt) in created.iter().zip(&carried).zip(&receipts) {
            let expected = broker.create_span(&orders, &sent, receipt);
            expected.child_of(context).link(context).assert(create);
        }
        let linked: Vec<_> = match has_creates {
            true => created.iter().map(|one| one.span_context.clone()).collect(),
            false => carried.to_vec(),
        };
        let send = broker.sent_batch(SpanKind::Client, &orders, 2);
        let send = saying(send, broker.on_sent_link(&sent));
        let send = linked.iter().fold(send, |send, context| send.link(context));
        send.assert(&recorder.span(&broker.send_name(&orders)));
        let received = [broker.receive(&orders).await, broker.receive(&orders).await];
        for (message, expected) in received.iter().zip(&linked) {
            let context = message.creation_context().span().span_context().clone();
            assert_eq!(identity(&context), identity(expected));
        }
        let [first, second] = &received;
        assert_eq!(tracestate(&broker, first), [TRACESTATE]);
        let baggage = [first, second].map(|one| values(&broker, one, "baggage"));
        assert_eq!(baggage, [[BAGGAGE], ["tenant=red"]]);
    }
}
