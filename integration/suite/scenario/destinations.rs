//! What else a policy sets for a destination: its baggage, its name and its headers.

use opentelemetry::baggage::BaggageExt as _;
use opentelemetry::context::FutureExt as _;
use opentelemetry::{Array, Context, KeyValue, Value};
use otel_messaging::policy::{Policy, Rule};
use otel_messaging::testing::{ExpectedSpan, Recorder};
use otel_messaging::{Telemetry, w3c};

use super::{header, send_bare, upstream_fields, upstream_span, values};
use crate::metrics::{
    consumed_messages, of_type, operation_duration, process_duration, sent_messages,
};
use crate::{Broker, Message};

/// Of baggage, only what the destination's rule lets in is current in a handler, and only what it
/// lets out is sent.
pub async fn baggage_passes_by_the_lists_of_its_destinations<B: Broker>() {
    let recorder = Recorder::new();
    baggage_passes_by_the_lists::<B>(&recorder, recorder.telemetry()).await;
    recorder.clear();
    let telemetry = recorder.telemetry().propagator(w3c::Propagator::new());
    baggage_passes_by_the_lists::<B>(&recorder, telemetry).await;
}

async fn baggage_passes_by_the_lists<B: Broker>(recorder: &Recorder, telemetry: Telemetry) {
    let policy = Policy::new()
        .rule(Rule::of("orders*").accept_baggage(["ten*", "region"]))
        .rule(Rule::of("payments*").send_baggage(["region", "shift"]));
    let broker = B::connect(&telemetry.policy(policy)).await;
    let orders = broker.declare("orders").await;
    let payments = broker.declare("payments").await;
    let [(_, traceparent), ..] = upstream_fields("01");
    let headers = vec![
        header("traceparent", &traceparent),
        header("baggage", "tenant=acme;since=2024,role=admin,region=north"),
    ];
    send_bare(&broker, &orders, headers).await;
    let received = broker.receive(&orders).await;

    let seen = received.process(async |_| {
        let current = Context::current();
        let shift = KeyValue::new("shift", "night");
        broker
            .send(&payments, &Message::new("payment-7"))
            .with_context(current.with_baggage(current_members(&current).chain([shift])))
            .await;
        Ok::<_, String>(names(&current))
    });
    let seen = seen.await.expect("the payment is sent");
    let payment = broker.receive(&payments).await;

    assert_eq!(seen, ["region", "tenant"]);
    assert_eq!(names(received.creation_context()), ["region", "tenant"]);
    assert_eq!(
        values(&broker, &payment, "baggage"),
        ["region=north,shift=night"]
    );
    // All else is as without a rule.
    broker
        .process_span(&orders, &received)
        .child_of(&upstream_span())
        .link(&upstream_span())
        .assert(&recorder.span(&broker.process_name(&orders)));
}

fn current_members(context: &Context) -> impl Iterator<Item = KeyValue> {
    let members = context.baggage().iter();
    members.map(|(key, (value, _))| KeyValue::new(key.clone(), value.clone()))
}

fn names(context: &Context) -> Vec<String> {
    let members = context.baggage().iter();
    let mut names: Vec<_> = members.map(|(key, _)| key.to_string()).collect();
    names.sort();
    names
}

/// A template stands for the destination in span names and on metrics, and beside it on spans.
pub async fn a_template_stands_for_the_destination<B: Broker>() {
    const TEMPLATE: &str = "orders.{id}";
    let recorder = Recorder::new();
    let policy = Policy::new().rule(Rule::of("orders*").template(TEMPLATE));
    let broker = B::connect(&recorder.telemetry().policy(policy)).await;
    let orders = broker.declare("orders").await;
    let order = Message::new("order-7");

    let receipt = broker.send(&orders, &order).await;
    let received = broker.receive(&orders).await;
    received.process(async |_| ()).await;

    let [send_name, process_name] = [broker.send_name(TEMPLATE), broker.process_name(TEMPLATE)];
    let send = recorder.span(&send_name);
    broker
        .send_span(&orders, &order, &receipt)
        .named(&send_name)
        .attribute(TEMPLATE_KEY, TEMPLATE)
        .assert(&send);
    broker
        .process_span(&orders, &received)
        .named(&process_name)
        .attribute(TEMPLATE_KEY, TEMPLATE)
        .child_of(&send.span_context)
        .link(&send.span_context)
        .assert(&recorder.span(&process_name));
    let sent = templated(broker.sent(&orders), TEMPLATE);
    operation_duration()
        .of(of_type(sent.clone(), "send"), 1)
        .assert(&recorder);
    sent_messages().of(sent, 1).assert(&recorder);
    consumed_messages()
        .of(templated(broker.consumed(&orders), TEMPLATE), 1)
        .assert(&recorder);
    process_duration()
        .of(templated(broker.processed(&orders), TEMPLATE), 1)
        .assert(&recorder);
}

/// A template without text stands for nothing, and takes back that of a wider rule.
pub async fn an_empty_template_is_none<B: Broker>() {
    let recorder = Recorder::new();
    let policy = Policy::new()
        .rule(Rule::of("*").template("anything"))
        .rule(Rule::of("orders*").template(""));
    let broker = B::connect(&recorder.telemetry().policy(policy)).await;
    let orders = broker.declare("orders").await;
    let order = Message::new("order-7");

    let receipt = broker.send(&orders, &order).await;
    let received = broker.receive(&orders).await;
    received.process(async |_| ()).await;

    let send = recorder.span(&broker.send_name(&orders));
    broker.send_span(&orders, &order, &receipt).assert(&send);
    broker
        .process_span(&orders, &received)
        .child_of(&send.span_context)
        .link(&send.span_context)
        .assert(&recorder.span(&broker.process_name(&orders)));
    sent_messages()
        .of(broker.sent(&orders), 1)
        .assert(&recorder);
}

const TEMPLATE_KEY: &str = "messaging.destination.template";

/// The same attributes with the template in place of the name.
fn templated(attributes: Vec<KeyValue>, template: &'static str) -> Vec<KeyValue> {
    attributes
        .into_iter()
        .map(|attribute| match attribute.key.as_str() {
            "messaging.destination.name" => KeyValue::new(TEMPLATE_KEY, template),
            _ => attribute,
        })
        .collect()
}

/// Headers that a rule names are on both spans; context headers never are.
pub async fn captured_headers_are_attributes<B: Broker>() {
    let recorder = Recorder::new();
    let policy =
        Policy::new().rule(Rule::of("orders*").capture_headers(["x-shop*", "trace*", "x-none"]));
    let broker = B::connect(&recorder.telemetry().policy(policy)).await;
    let orders = broker.declare("orders").await;
    let order = Message {
        headers: vec![
            header("x-shop", "north"),
            header("X-Shop-Till", "7"),
            header("x-secret", "hush"),
        ],
        ..Message::new("order-7")
    };

    let receipt = broker.send(&orders, &order).await;
    let received = broker.receive(&orders).await;
    received.process(async |_| ()).await;

    let captured = |span: ExpectedSpan| {
        span.attribute("otel_messaging.header.x-shop", texts(["north"]))
            .attribute("otel_messaging.header.x-shop-till", texts(["7"]))
    };
    let send = recorder.span(&broker.send_name(&orders));
    captured(broker.send_span(&orders, &order, &receipt)).assert(&send);
    captured(broker.process_span(&orders, &received))
        .child_of(&send.span_context)
        .link(&send.span_context)
        .assert(&recorder.span(&broker.process_name(&orders)));
}

/// Text from a message does nothing to a terminal, and neither a value nor all of them are large.
pub async fn captured_headers_are_short_and_few<B: Broker>() {
    let recorder = Recorder::new();
    let policy = Policy::new().rule(Rule::of("orders*").capture_headers(["x-*"]));
    let broker = B::connect(&recorder.telemetry().policy(policy)).await;
    let orders = broker.declare("orders").await;
    let hostile = [
        header("x-forged", "\u{1b}[2J\u{202e}"),
        header("x-long", &"l".repeat(5000)),
    ];
    // Apart from those, for of so many not every carrier has the same ones first.
    let many = (0..100).map(|number| header(&format!("x-{number:03}"), "1"));

    for (headers, expected) in [(hostile.to_vec(), 2), (many.collect(), 64)] {
        recorder.clear();
        let order = Message {
            headers,
            ..Message::new("order-7")
        };
        broker.send(&orders, &order).await;
        let received = broker.receive(&orders).await;
        received.process(async |_| ()).await;

        let names = [broker.send_name(&orders), broker.process_name(&orders)];
        for span in names.map(|name| recorder.span(&name)) {
            let is_captured =
                |one: &&KeyValue| one.key.as_str().starts_with("otel_messaging.header.");
            let captured: Vec<_> = span.attributes.iter().filter(is_captured).collect();
            assert_eq!(captured.len(), expected);
            for one in captured {
                let Value::Array(Array::String(values)) = &one.value else {
                    unreachable!("a list of texts: {one:?}");
                };
                for value in values {
                    assert!(value.as_str().len() <= 256, "{one:?}");
                    let acts = |character: char| character.is_control() || character == '\u{202e}';
                    assert!(!value.as_str().contains(acts), "{one:?}");
                }
            }
        }
    }
}

/// Of names that are without number those beyond the limit are on spans as attribute alone.
pub async fn a_client_names_no_more_destinations_than_it_may<B: Broker>() {
    let recorder = Recorder::new();
    let telemetry = recorder.telemetry().max_destination_names(1);
    let broker = B::connect(&telemetry).await;
    let (few, many) = (broker.declare("few").await, broker.declare("many").await);
    let order = Message::new("order-7");

    let first = broker.send(&few, &order).await;
    let further = broker.send(&many, &order).await;

    let send = broker.send_name(&few);
    let expected = broker.send_span(&few, &order, &first);
    expected.assert(&recorder.span(&send));
    let verb = send.split(' ').next().unwrap_or_default();
    broker
        .send_span(&many, &order, &further)
        .named(verb)
        .assert(&recorder.span(verb));
    let without_name = broker.sent(&many).into_iter();
    let without_name = without_name.filter(|one| one.key.as_str() != "messaging.destination.name");
    sent_messages()
        .of(broker.sent(&few), 1)
        .of(without_name, 1)
        .assert(&recorder);
}

fn texts<const N: usize>(texts: [&'static str; N]) -> Value {
    Value::Array(Array::String(texts.map(Into::into).to_vec()))
}
