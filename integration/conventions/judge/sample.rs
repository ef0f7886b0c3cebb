//! Scenes that are right, made by hand, for rules to be shown on.

use std::time::{Duration, UNIX_EPOCH};

use opentelemetry::Value;
use opentelemetry::trace::{SpanId, SpanKind, Status, TraceId};

use crate::model::{Attributes, End, Event, Facts, Id, Instrument, Link, Log, Point, Scene, Span};
use crate::names::{
    ADDRESS, ANONYMOUS, BATCH, BOUNDS, CLIENT, CONSUMED, DELIVERY_TAG, DESTINATION, ERROR, GROUP,
    OPERATION, OPERATION_DURATION, OPERATION_TYPE, PARTITION, PORT, PROCESS_DURATION, ROUTING_KEY,
    SCHEMA, SENT, SYSTEM, TEMPLATE, TEMPORARY,
};

/// All of them: what is done with batches on Kafka, a failure on RabbitMQ, and one with a logger.
pub(crate) fn all() -> Vec<Scene> {
    vec![
        batches(),
        failure(false),
        failure(true),
        nothing_in_common(),
    ]
}

/// Place of each of [`all`].
pub(crate) const BATCHES: usize = 0;
pub(crate) const FAILURE: usize = 1;
pub(crate) const LOGGED: usize = 2;

pub(crate) fn id(trace: u128, span: u64) -> Id {
    (TraceId::from(trace), SpanId::from(span))
}

pub(crate) fn link(to: Id) -> Link {
    Link {
        to,
        attributes: Attributes::default(),
    }
}

pub(crate) fn exception() -> Event {
    let mut attributes = Attributes::default();
    attributes.set("exception.type", "shop::NoStock");
    attributes.set("exception.message", "no stock");
    Event {
        name: "exception".to_owned(),
        attributes,
    }
}

fn facts(system: &'static str) -> Facts {
    Facts {
        are_known: true,
        system,
        server: Some(("localhost".to_owned(), 1234)),
        client: "shop-7",
        is_ordinary: true,
        ..Facts::default()
    }
}

/// An operation of type and name on `orders`.
fn span(
    facts: &Facts,
    (operation, verb): (&str, &str),
    kind: SpanKind,
    id: Id,
    more: &[(&str, Value)],
) -> Span {
    let start = UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    let mut attributes = Attributes::default();
    attributes.set(SYSTEM, facts.system);
    attributes.set(OPERATION, verb.to_owned());
    attributes.set(OPERATION_TYPE, operation.to_owned());
    attributes.set(DESTINATION, "orders");
    if let Some((address, port)) = &facts.server {
        attributes.set(ADDRESS, address.clone());
        attributes.set(PORT, *port);
    }
    if operation != "create" {
        attributes.set(CLIENT, facts.client);
    }
    if facts.system == "kafka" && !["create", "send"].contains(&operation) {
        attributes.set(GROUP, "billing");
    }
    for (key, value) in more {
        attributes.set(key, value.clone());
    }
    Span {
        name: format!("{verb} orders"),
        kind,
        parent: SpanId::INVALID,
        start,
        end: start + Duration::from_millis(id.1.to_bytes()[7].into()),
        id,
        attributes,
        at_start: Attributes::default(),
        links: Vec::new(),
        links_at_start: 0,
        events: Vec::new(),
        status: Status::Unset,
        schema: SCHEMA.to_owned(),
    }
}

fn linking(span: Span, to: &[Id]) -> Span {
    Span {
        links: to.iter().copied().map(link).collect(),
        ..span
    }
}

fn batches() -> Scene {
    let facts = facts("kafka");
    let key = || ("kafka.message.key", Value::from("order-7"));
    let partition = || (PARTITION, Value::from("0"));
    let two = || (BATCH, Value::I64(2));
    let creates = [id(1, 1), id(2, 2)];
    let create = |id| {
        span(
            &facts,
            ("create", "create"),
            SpanKind::Producer,
            id,
            &[key()],
        )
    };
    let mut spans: Vec<_> = creates.into_iter().map(create).collect();
    let of_two = |operation, verb, kind, number: u64| {
        let more = [two(), key(), partition()];
        span(
            &facts,
            (operation, verb),
            kind,
            id(u128::from(number), number),
            &more,
        )
    };
    let send = of_two("send", "send", SpanKind::Client, 3);
    spans.push(linking(send, &creates));
    let mut poll = linking(of_two("receive", "poll", SpanKind::Client, 4), &creates);
    for (link, offset) in poll.links.iter_mut().zip(0_i64..) {
        link.attributes.set("kafka.offset", offset);
    }
    spans.push(poll);
    let process = of_two("process", "process", SpanKind::Consumer, 5);
    // One link is on the span, and the other one on a span for links alone.
    let mut links = linking(process.clone(), &creates[1..]);
    links.id = id(5, 6);
    links.parent = process.id.1;
    links.kind = SpanKind::Internal;
    links.name = "links orders".to_owned();
    let is_kept = |key: &str| [SYSTEM, DESTINATION].contains(&key);
    links.attributes.0.retain(|(key, _)| is_kept(key));
    spans.push(linking(process, &creates[..1]));
    spans.push(links);
    spans.push(span(
        &facts,
        ("settle", "commit"),
        SpanKind::Client,
        id(7, 7),
        &[partition()],
    ));
    let done = facts
        .sent_batch(2)
        .received(creates[0])
        .received(creates[1])
        .did("receive", Some(2), End::Success)
        .did("process", Some(2), End::Success)
        .settled();
    measured("batches", spans, done)
}

/// A delivery of a queue that the server named, which fails and is refused.
fn failure(has_logger: bool) -> Scene {
    let facts = Facts {
        has_logger,
        ..facts("rabbitmq")
    };
    let made_up = [
        (TEMPLATE, Value::from("amq.gen")),
        (TEMPORARY, Value::Bool(true)),
        (ANONYMOUS, Value::Bool(true)),
        (ROUTING_KEY, Value::from("amq.gen-7")),
        (DESTINATION, Value::from("amq.gen-7")),
    ];
    let tag = [&made_up[..], &[(DELIVERY_TAG, Value::I64(1))]].concat();
    let create = id(8, 8);
    let mut publish = span(
        &facts,
        ("send", "publish"),
        SpanKind::Producer,
        create,
        &made_up,
    );
    publish.name = "publish amq.gen".to_owned();
    let mut process = span(
        &facts,
        ("process", "process"),
        SpanKind::Consumer,
        id(8, 9),
        &tag,
    );
    process.name = "process amq.gen".to_owned();
    process.parent = create.1;
    process.links.push(link(create));
    process.status = Status::error("no stock");
    process.attributes.set(ERROR, "shop::NoStock");
    if !has_logger {
        process.events.push(exception());
    }
    let mut nack = span(
        &facts,
        ("settle", "nack"),
        SpanKind::Client,
        id(8, 10),
        &tag,
    );
    nack.name = "nack amq.gen".to_owned();
    nack.parent = process.id.1;
    nack.links.push(link(create));
    let done = facts
        .sent()
        .received(create)
        .processed(End::failure("no stock"));
    let logs = has_logger.then(|| logged(&process));
    Scene {
        logs: logs.into_iter().collect(),
        ..measured("failure", vec![publish, process, nack], done.settled())
    }
}

fn logged(process: &Span) -> Log {
    Log {
        name: "messaging.process.exception".to_owned(),
        severity: 17,
        span: process.id,
        attributes: exception().attributes,
    }
}

/// A batch to two topics, one of which refuses.
fn nothing_in_common() -> Scene {
    let facts = facts("kafka");
    let creates = [id(21, 21), id(22, 22)];
    let mut spans = Vec::new();
    for (create, topic) in creates.into_iter().zip(["orders", "payments"]) {
        let topic_name = (DESTINATION, Value::from(topic));
        let mut span = span(
            &facts,
            ("create", "create"),
            SpanKind::Producer,
            create,
            &[topic_name],
        );
        span.name = format!("create {topic}");
        spans.push(span);
    }
    let mut send = span(
        &facts,
        ("send", "send"),
        SpanKind::Client,
        id(23, 23),
        &[
            (BATCH, Value::I64(2)),
            (ERROR, Value::from("UNKNOWN_TOPIC")),
        ],
    );
    send.attributes.remove(DESTINATION);
    send.name = "send".to_owned();
    send.status = Status::error("no such topic");
    spans.push(linking(send, &creates));
    let mut facts = facts.without_a_common_name().sent_batch(2);
    facts.refused = 1;
    if let Some(last) = facts.done.last_mut() {
        last.end = End::failure("no such topic");
    }
    measured("nothing in common", spans, facts)
}

/// With the points that belong to the spans.
fn measured(name: &str, mut spans: Vec<Span>, facts: Facts) -> Scene {
    for span in &mut spans {
        span.at_start = span.attributes.clone();
        span.links_at_start = span.links.len();
    }
    let mut points = Vec::new();
    for span in spans.iter().filter(|span| span.operation().is_some()) {
        let operation = span.operation().expect("an operation");
        let (metric, with_type) = match operation.as_str() {
            "create" => continue,
            "process" => (PROCESS_DURATION, false),
            _ => (OPERATION_DURATION, true),
        };
        let mut attributes = on_points(span);
        if with_type {
            attributes.set(OPERATION_TYPE, operation);
        }
        if span.has_failed() {
            attributes.set(ERROR, span.attributes.text(ERROR).expect("an error"));
        }
        let mut timed = point(metric, Instrument::Histogram, "s", attributes);
        (timed.count, timed.sum) = (1, span.duration().as_secs_f64());
        timed.bounds = BOUNDS.to_vec();
        points.push(timed);
    }
    let first = |operation: &str| spans.iter().find(|span| span.is(operation));
    let small = |number: u64| f64::from(u32::try_from(number).expect("a small number"));
    if let Some(send) = first("send") {
        let mut sent = point(SENT, Instrument::Counter, "{message}", on_points(send));
        sent.sum = small(facts.sent - facts.refused);
        points.push(sent.clone());
        if facts.refused > 0 {
            sent.sum = small(facts.refused);
            sent.attributes.set(ERROR, "UNKNOWN_TOPIC");
            points.push(sent);
        }
    }
    if let Some(process) = first("receive").or_else(|| first("process")) {
        let mut attributes = on_points(process);
        attributes.remove(ERROR);
        let mut consumed = point(CONSUMED, Instrument::Counter, "{message}", attributes);
        consumed.sum = small(facts.consumed);
        points.push(consumed);
    }
    Scene {
        name: name.to_owned(),
        spans,
        points,
        logs: Vec::new(),
        facts,
    }
}

/// What a span and a point have in common, but for errors.
fn on_points(span: &Span) -> Attributes {
    let destination = match span.attributes.has(TEMPLATE) {
        true => TEMPLATE,
        false => DESTINATION,
    };
    let keys = [SYSTEM, OPERATION, destination, ADDRESS, PORT, GROUP];
    let mut attributes = Attributes::default();
    for key in keys {
        if let Some(value) = span.attributes.get(key) {
            attributes.set(key, value.clone());
        }
    }
    attributes
}

fn point(metric: &str, instrument: Instrument, unit: &str, attributes: Attributes) -> Point {
    Point {
        metric: metric.to_owned(),
        unit: unit.to_owned(),
        instrument,
        bounds: Vec::new(),
        attributes,
        count: 0,
        sum: 0.0,
        schema: SCHEMA.to_owned(),
    }
}
