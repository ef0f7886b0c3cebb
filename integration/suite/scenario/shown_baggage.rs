//! Members of baggage that are attributes of spans and of metrics.

use opentelemetry::baggage::BaggageExt as _;
use opentelemetry::context::FutureExt as _;
use opentelemetry::trace::{Link, SpanContext, SpanKind, TraceId, TraceState};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::{SamplingDecision, SamplingResult, ShouldSample, SpanData};
use otel_messaging::Batch;
use otel_messaging::policy::{Incoming, Policy, Record, Rule};
use otel_messaging::testing::{ExpectedSpan, Recorder};

use super::sends::{creates, linking, saying};
use super::{header, send_bare};
use crate::metrics::{
    and, consumed_messages, of_type, operation_duration, process_duration, sent_messages,
};
use crate::{BatchSender, Broker, Message, Settler};

fn orders() -> Rule {
    Rule::of("orders*")
        .baggage_on_spans(["tenant", "co*"])
        .baggage_on_metrics(["cohort"])
}

fn telemetry(recorder: &Recorder, rule: Rule) -> otel_messaging::Telemetry {
    recorder.telemetry().policy(Policy::new().rule(rule))
}

fn of(members: &[(&'static str, &'static str)]) -> Context {
    let members = members.iter();
    Context::new().with_baggage(members.map(|(name, value)| KeyValue::new(*name, *value)))
}

fn blue() -> Context {
    of(&[("tenant", "blue"), ("cohort", "b"), ("card", "4711")])
}

fn shows(span: ExpectedSpan, members: &[(&'static str, &str)]) -> ExpectedSpan {
    let members = members.iter();
    members.fold(span, |span, (name, value)| {
        span.attribute(*name, (*value).to_owned())
    })
}

/// The whole span of processing a message that was sent with this one.
fn processed<B: Broker>(
    broker: &B,
    orders: &str,
    received: &otel_messaging::Received<B::Message>,
    sent: &SpanContext,
) -> ExpectedSpan {
    let expected = broker.process_span(orders, received);
    expected.child_of(sent).link(sent)
}

/// Members that are named are on the spans and on the metrics of a message, sent and received; others
/// and those of other destinations are not.
pub async fn named_members_of_baggage_are_on_spans_and_metrics<B: Broker>() {
    let recorder = Recorder::new();
    let broker = B::connect(&telemetry(&recorder, orders())).await;
    let orders = broker.declare("orders").await;
    let others = broker.declare("others").await;
    let order = Message::new("order-7");
    let sending = broker.send(&others, &order).with_context(blue());
    let receipt = sending.await;
    let other = recorder.span(&broker.send_name(&others));
    broker.send_span(&others, &order, &receipt).assert(&other);
    broker.receive(&others).await;

    let receipt = broker.send(&orders, &order).with_context(blue()).await;
    let received = broker.receive(&orders).await;
    received.process(async |_| ()).await;

    let members = [("tenant", "blue"), ("cohort", "b")];
    let send = recorder.span(&broker.send_name(&orders));
    shows(broker.send_span(&orders, &order, &receipt), &members).assert(&send);
    let process = recorder.span(&broker.process_name(&orders));
    let expected = processed(&broker, &orders, &received, &send.span_context);
    shows(expected, &members).assert(&process);
    let in_cohort = |attributes| and(attributes, "cohort", "b");
    sent_messages()
        .of(in_cohort(broker.sent(&orders)), 1)
        .of(broker.sent(&others), 1)
        .assert(&recorder);
    consumed_messages()
        .of(in_cohort(broker.consumed(&orders)), 1)
        .of(broker.consumed(&others), 1)
        .assert(&recorder);
    operation_duration()
        .of(in_cohort(of_type(broker.sent(&orders), "send")), 1)
        .of(of_type(broker.sent(&others), "send"), 1)
        .assert(&recorder);
    process_duration()
        .of(in_cohort(broker.processed(&orders)), 1)
        .assert(&recorder);
}

/// Of received baggage what is accepted is seen, and of the other what is sent; metrics have theirs
/// where no span is recorded, and nothing is where nothing is.
pub async fn baggage_is_seen_as_far_as_it_is_accepted_or_sent<B: Broker>() {
    let both: &[_] = &[("tenant", "blue"), ("cohort", "b")];
    let cohort: &[_] = &[("cohort", "b")];
    let rows = [
        (orders(), both, both),
        (orders().send_baggage(["co*"]), cohort, cohort),
        (orders().accept_baggage(["co*"]), both, cohort),
        (orders().incoming(Incoming::LinkOnly), both, both),
        (orders().incoming(Incoming::Restart), both, &[]),
        (orders().incoming(Incoming::Ignore), both, &[]),
    ];
    for (rule, sent, seen) in rows {
        let recorder = Recorder::new();
        let broker = B::connect(&telemetry(&recorder, rule)).await;
        let orders = broker.declare("orders").await;
        broker
            .send(&orders, &Message::new("order-7"))
            .with_context(blue())
            .await;
        let received = broker.receive(&orders).await;
        received.process(async |_| ()).await;

        let send = recorder.span(&broker.send_name(&orders));
        assert_eq!(members(&send), sent);
        let process = recorder.span(&broker.process_name(&orders));
        assert_eq!(members(&process), seen);
        let consumed = broker.consumed(&orders);
        let consumed = match seen {
            [] => consumed,
            _ => and(consumed, "cohort", "b"),
        };
        consumed_messages().of(consumed, 1).assert(&recorder);
    }
    for record in [Record::PropagateOnly, Record::Off] {
        let recorder = Recorder::new();
        let broker = B::connect(&telemetry(&recorder, orders().record(record))).await;
        let orders = broker.declare("orders").await;
        let order = Message::new("order-7");
        broker.send(&orders, &order).with_context(blue()).await;
        broker.receive(&orders).await.process(async |_| ()).await;

        assert_eq!(recorder.spans().len(), 0);
        if record == Record::Off {
            assert_eq!(recorder.metrics().len(), 0, "{:?}", recorder.metrics());
            continue;
        }
        let in_cohort = |attributes| and(attributes, "cohort", "b");
        sent_messages()
            .of(in_cohort(broker.sent(&orders)), 1)
            .assert(&recorder);
        process_duration()
            .of(in_cohort(broker.processed(&orders)), 1)
            .assert(&recorder);
    }
}

/// The members of baggage on a span, in the order of the names that are looked for.
fn members(span: &SpanData) -> Vec<(&'static str, &str)> {
    let of_name = |name: &'static str| {
        let mut found = span.attributes.iter();
        let found = found.find(|one| one.key.as_str() == name)?;
        let opentelemetry::Value::String(value) = &found.value else {
            unreachable!("a text: {found:?}");
        };
        Some((name, value.as_str()))
    };
    ["tenant", "cohort"]
        .into_iter()
        .filter_map(of_name)
        .collect()
}

/// What a message from outside calls a member overrides nothing of ours, and its value does nothing to
/// a terminal and is short.
pub async fn baggage_of_a_stranger_overrides_no_attribute_and_is_short<B: Broker>() {
    let recorder = Recorder::new();
    let rule = Rule::of("orders*")
        .baggage_on_spans(["*"])
        .baggage_on_metrics(["*"]);
    let broker = B::connect(&telemetry(&recorder, rule)).await;
    let orders = broker.declare("orders").await;
    let long = "l".repeat(7000);
    let taken = [
        "messaging.system.name",
        "messaging.destination.name",
        "messaging.operation.type",
        "server.address",
        "error.type",
        "otel_messaging.header.x",
        "kafka.offset",
        "rabbitmq.message.delivery_tag",
        "nats.stream.name",
        "service.name",
    ];
    let taken: String = taken.iter().map(|key| format!("{key}=evil,")).collect();
    let hostile = format!("{taken}forged=%1B[2J%0D%0A%E2%80%AE,long={long}");
    send_bare(&broker, &orders, vec![header("baggage", &hostile)]).await;

    let received = broker.receive(&orders).await;
    received.process(async |_| ()).await;

    let cut = ["l".repeat(253), "…".to_owned()].concat();
    let members = [("forged", r"\u{1b}[2J\r\n\u{202e}"), ("long", &*cut)];
    let expected = broker.process_span(&orders, &received);
    shows(expected, &members).assert(&recorder.span(&broker.process_name(&orders)));
    let both = |attributes| {
        let [(forged, text), (long, cut)] = members;
        and(and(attributes, forged, text), long, cut)
    };
    consumed_messages()
        .of(both(broker.consumed(&orders)), 1)
        .assert(&recorder);
    process_duration()
        .of(both(broker.processed(&orders)), 1)
        .assert(&recorder);
}

/// Values without number are on spans, and on metrics only so many of them.
pub async fn metrics_have_so_many_values_of_baggage_and_no_more<B: Broker>() {
    const MOST: usize = 2;
    const TENANTS: [&str; 4] = ["t1", "t2", "t3", "t4"];
    let recorder = Recorder::new();
    let rule = Rule::of("orders*")
        .template("orders")
        .baggage_on_spans(["tenant"])
        .baggage_on_metrics(["tenant"]);
    let limited = telemetry(&recorder, rule).max_destination_names(MOST);
    let broker = B::connect(&limited).await;
    let orders = broker.declare("orders").await;

    for tenant in TENANTS {
        let order = Message::new("order-7");
        let sending = broker.send(&orders, &order);
        sending.with_context(of(&[("tenant", tenant)])).await;
    }

    let sent = recorder.counter("messaging.client.sent.messages");
    let mut counted: Vec<_> = sent
        .iter()
        .map(|(attributes, count)| {
            let mut attributes = attributes.iter();
            let tenant = attributes.find(|one| one.key.as_str() == "tenant");
            (tenant.map(|one| one.value.to_string()), *count)
        })
        .collect();
    counted.sort();
    let [first, second, ..] = TENANTS.map(|tenant| Some(tenant.to_owned()));
    assert_eq!(counted, [(None, 2), (first, 1), (second, 1)]);
    let spans = recorder.spans();
    let on_spans: Vec<_> = spans.iter().flat_map(members).collect();
    assert_eq!(on_spans, TENANTS.map(|tenant| ("tenant", tenant)));
}

/// What all messages of a batch have in common is on its span and its metrics, and what differs on
/// the links, of sending and of processing.
pub async fn baggage_of_a_batch_is_on_its_span_or_on_its_links<B: BatchSender>() {
    let recorder = Recorder::new();
    let broker = B::connect(&telemetry(&recorder, orders())).await;
    let orders = broker.declare("orders").await;
    let order = Message::new("order-7");
    let red = of(&[("tenant", "red"), ("cohort", "b")]);
    let messages = [(blue(), order.clone()), (red, order.clone())];

    let receipts = broker.send_in(&orders, &messages).await;
    let received = vec![broker.receive(&orders).await, broker.receive(&orders).await];
    let batch = Batch::from(received);
    batch.process(async |_| ()).await;

    let tenants = ["blue", "red"];
    let created = creates(&recorder, &orders);
    assert_eq!(created.len(), 2);
    for ((create, receipt), tenant) in created.iter().zip(&receipts).zip(tenants) {
        let expected = broker.create_span(&orders, &order, receipt);
        shows(expected, &[("tenant", tenant), ("cohort", "b")]).assert(create);
    }
    let contexts: Vec<_> = created.iter().map(|one| one.span_context.clone()).collect();
    let send = recorder.span(&broker.send_name(&orders));
    let expected = saying(
        broker.sent_batch(SpanKind::Client, &orders, 2),
        broker.on_sent_link(&order),
    );
    linking(shows(expected, &[("cohort", "b")]), &contexts).assert(&send);
    let process = recorder.span(&broker.process_name(&orders));
    let first = batch.first().expect("two messages");
    let expected = broker.in_common(broker.batch_span(&orders, 2), first);
    linking(shows(expected, &[("cohort", "b")]), &contexts).assert(&process);
    let own = batch.iter().map(|one| broker.on_link(one));
    for ((link, tenant), own) in send.links.iter().zip(tenants).zip([vec![], vec![]]) {
        assert_eq!(link.attributes, and(own, "tenant", tenant));
    }
    for ((link, tenant), own) in process.links.iter().zip(tenants).zip(own) {
        let mut expected = and(own, "tenant", tenant);
        let mut attributes = link.attributes.clone();
        for attributes in [&mut expected, &mut attributes] {
            attributes.sort_by(|one, other| one.key.cmp(&other.key));
        }
        assert_eq!(attributes, expected);
    }

    let in_cohort = |attributes| and(attributes, "cohort", "b");
    sent_messages()
        .of(in_cohort(broker.sent(&orders)), 2)
        .assert(&recorder);
    operation_duration()
        .of(in_cohort(of_type(broker.sent(&orders), "send")), 1)
        .assert(&recorder);
    process_duration()
        .of(in_cohort(broker.processed(&orders)), 1)
        .assert(&recorder);
}

/// Receiving a message has it too, where that has a span.
pub async fn receiving_shows_the_baggage_of_its_message<B: Broker>() {
    let recorder = Recorder::new();
    let broker = B::connect(&telemetry(&recorder, orders().receive_spans(true))).await;
    let orders = broker.declare("orders").await;
    let order = Message::new("order-7");

    broker.send(&orders, &order).with_context(blue()).await;
    broker.receive(&orders).await;

    for span in recorder.spans() {
        let expected = [("tenant", "blue"), ("cohort", "b")];
        assert_eq!(members(&span), expected, "{}", span.name);
    }
    let durations = recorder.histogram("messaging.client.operation.duration");
    for duration in durations {
        let cohort = KeyValue::new("cohort", "b");
        assert!(duration.attributes.contains(&cohort), "{duration:?}");
    }
}

/// Samples what is of one tenant, by what a span has at its start.
#[derive(Clone, Debug)]
struct OfBlue;

impl ShouldSample for OfBlue {
    fn should_sample(
        &self,
        _: Option<&Context>,
        _: TraceId,
        _: &str,
        _: &SpanKind,
        attributes: &[KeyValue],
        _: &[Link],
    ) -> SamplingResult {
        let is_blue = attributes.contains(&KeyValue::new("tenant", "blue"));
        SamplingResult {
            decision: match is_blue {
                true => SamplingDecision::RecordAndSample,
                false => SamplingDecision::Drop,
            },
            attributes: Vec::new(),
            trace_state: TraceState::NONE,
        }
    }
}

/// A sampler of the user's may decide by a member.
pub async fn a_sampler_sees_the_baggage_that_a_span_shows<B: Broker>() {
    let recorder = Recorder::with_sampler(OfBlue);
    let broker = B::connect(&telemetry(&recorder, orders())).await;
    let orders = broker.declare("orders").await;

    for tenant in ["red", "blue"] {
        let order = Message::new("order-7");
        let sending = broker.send(&orders, &order);
        sending.with_context(of(&[("tenant", tenant)])).await;
        broker.receive(&orders).await.process(async |_| ()).await;
    }

    let spans = recorder.spans();
    assert_eq!(spans.len(), 2, "{spans:?}");
    let shown = spans.iter().flat_map(members);
    assert_eq!(shown.collect::<Vec<_>>(), [("tenant", "blue"); 2]);
}

/// Settling a message has what its processing has.
pub async fn settling_shows_the_baggage_of_its_message<S: Settler>() {
    let recorder = Recorder::new();
    let broker = S::connect(&telemetry(&recorder, orders())).await;
    let orders = broker.declare("orders").await;
    let order = Message::new("order-7");
    broker.send(&orders, &order).with_context(blue()).await;
    let sent = recorder.span(&broker.send_name(&orders)).span_context;

    let received = broker.receive_unsettled(&orders).await;
    broker.settle(&received).await;

    let settle = recorder.span(&broker.settle_name(&orders));
    let expected = broker.settle_span(&orders, &received).link(&sent);
    shows(expected, &[("tenant", "blue"), ("cohort", "b")]).assert(&settle);
}
