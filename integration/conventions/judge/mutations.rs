//! What each rule is seen to complain of: the sample, broken in just what the rule wants.

use opentelemetry::trace::{SpanId, SpanKind, Status, TraceId};
use opentelemetry::{Array, Value};

use crate::model::{Event, Instrument, Point, Scene, Span};
use crate::names::{
    ADDRESS, BATCH, CLIENT, CONSUMED, DESTINATION, ERROR, GROUP, MESSAGE_ID, OPERATION,
    OPERATION_DURATION, OPERATION_TYPE, PARTITION, PORT, PROCESS_DURATION, SENT, SYSTEM, TEMPLATE,
    TEMPORARY,
};
use crate::sample::{BATCHES, FAILURE, LOGGED, exception, link};

pub(crate) struct Mutation {
    pub(crate) rule: &'static str,
    pub(crate) what: &'static str,
    pub(crate) breaks: fn(&mut [Scene]),
}

const fn of(rule: &'static str, what: &'static str, breaks: fn(&mut [Scene])) -> Mutation {
    Mutation { rule, what, breaks }
}

fn scene(scenes: &mut [Scene], number: usize) -> &mut Scene {
    scenes.get_mut(number).expect("a scene")
}

/// The first span of this type with batches on Kafka.
fn of_batches<'a>(scenes: &'a mut [Scene], operation: &str) -> &'a mut Span {
    let spans = scene(scenes, BATCHES).spans.iter_mut();
    spans
        .into_iter()
        .find(|span| span.is(operation))
        .expect("a span")
}

/// The span of this type of a message of its own, on RabbitMQ.
fn single<'a>(scenes: &'a mut [Scene], operation: &str) -> &'a mut Span {
    let spans = scene(scenes, FAILURE).spans.iter_mut();
    spans
        .into_iter()
        .find(|span| span.is(operation))
        .expect("a span")
}

fn point<'a>(scenes: &'a mut [Scene], metric: &str) -> &'a mut Point {
    let points = scene(scenes, BATCHES).points.iter_mut();
    points
        .into_iter()
        .find(|point| point.metric == metric)
        .expect("a point")
}

fn without(scenes: &mut [Scene], operation: &str) {
    scene(scenes, BATCHES)
        .spans
        .retain(|span| !span.is(operation));
}

pub(crate) const ALL: &[Mutation] = &[
    of("span.name", "the destination comes first", |all| {
        of_batches(all, "send").name = "orders send".to_owned();
    }),
    of("span.name", "a made up name", |all| {
        single(all, "process").name = "process amq.gen-7".to_owned();
    }),
    of("span.name", "a destination that is left out", |all| {
        of_batches(all, "send").name = "send".to_owned();
    }),
    of("span.name.tidy", "a space at the end", |all| {
        of_batches(all, "send").name = "send ".to_owned();
    }),
    of("span.kind", "a receive span as CONSUMER", |all| {
        of_batches(all, "receive").kind = SpanKind::Consumer;
    }),
    of("span.kind", "a process span as CLIENT", |all| {
        single(all, "process").kind = SpanKind::Client;
    }),
    of("span.kind.send", "PRODUCER behind create spans", |all| {
        of_batches(all, "send").kind = SpanKind::Producer;
    }),
    of(
        "span.kind.send",
        "CLIENT though its own context is carried",
        |all| {
            single(all, "send").kind = SpanKind::Client;
        },
    ),
    of("span.system", "another system", |all| {
        of_batches(all, "send").attributes.set(SYSTEM, "rabbitmq");
    }),
    of("span.operation.name", "a word of another system", |all| {
        of_batches(all, "send").attributes.set(OPERATION, "publish");
    }),
    of("span.operation.name", "none", |all| {
        of_batches(all, "send").attributes.remove(OPERATION);
    }),
    of("span.operation.type", "a deprecated type", |all| {
        single(all, "send")
            .attributes
            .set(OPERATION_TYPE, "publish");
    }),
    of("span.operation.type", "none on an operation", |all| {
        of_batches(all, "settle").attributes.remove(OPERATION_TYPE);
    }),
    of("span.destination.name", "none", |all| {
        of_batches(all, "settle").attributes.remove(DESTINATION);
    }),
    of("span.destination.template", "a copy of the name", |all| {
        single(all, "process").attributes.set(TEMPLATE, "amq.gen-7");
    }),
    of("span.server", "no address", |all| {
        of_batches(all, "create").attributes.remove(ADDRESS);
    }),
    of("span.server.port", "a port alone", |all| {
        of_batches(all, "send").attributes.remove(ADDRESS);
    }),
    of("span.time", "an end before the start", |all| {
        let span = of_batches(all, "send");
        (span.start, span.end) = (span.end, span.start);
    }),
    of("span.schema", "another release", |all| {
        of_batches(all, "send").schema = "https://opentelemetry.io/schemas/1.44.0".to_owned();
    }),
    of("attribute.current", "a name of 1.44.0", |all| {
        of_batches(all, "send")
            .attributes
            .set("messaging.system", "kafka");
    }),
    of("attribute.current", "a name of 1.44.0 on a link", |all| {
        let span = of_batches(all, "receive");
        let link = span.links.first_mut().expect("a link");
        link.attributes.set("messaging.kafka.offset", 7);
    }),
    of("attribute.known", "a name that nobody documents", |all| {
        of_batches(all, "send")
            .attributes
            .set("messaging.kafka.shop", "ours");
    }),
    of("attribute.known", "the same on a point", |all| {
        point(all, SENT)
            .attributes
            .set("otel_messaging.shop", "ours");
    }),
    of("attribute.type", "a number as text", |all| {
        of_batches(all, "send").attributes.set(BATCH, "2");
    }),
    of("attribute.type", "a partition as a number", |all| {
        of_batches(all, "send").attributes.set(PARTITION, 0);
    }),
    of("attribute.empty", "an empty id", |all| {
        single(all, "send").attributes.set(MESSAGE_ID, "");
    }),
    of("attribute.empty", "no values of a header", |all| {
        let nothing = Value::Array(Array::String(Vec::new()));
        single(all, "send")
            .attributes
            .set("otel_messaging.header.note", nothing);
    }),
    of("attribute.once", "a key twice", |all| {
        let attributes = &mut of_batches(all, "send").attributes.0;
        attributes.push((DESTINATION.to_owned(), "orders".into()));
    }),
    of(
        "attribute.listed",
        "a delivery's number on a send span",
        |all| {
            single(all, "send")
                .attributes
                .set("rabbitmq.message.delivery_tag", 7);
        },
    ),
    of("attribute.only-true", "not temporary", |all| {
        single(all, "process").attributes.set(TEMPORARY, false);
    }),
    of("attribute.ours", "what the broker always says", |all| {
        let span = single(all, "send");
        span.attributes
            .set("otel_messaging.rabbitmq.confirmation", "ack");
    }),
    of("attribute.partition", "two partitions", |all| {
        of_batches(all, "send").attributes.set(PARTITION, "0,1");
    }),
    of(
        "attribute.rabbitmq.destination",
        "an exchange without its name",
        |all| {
            let span = single(all, "send");
            span.attributes.set(DESTINATION, ":amq.gen-7");
        },
    ),
    of(
        "attribute.rabbitmq.destination",
        "the routing key is left out",
        |all| {
            single(all, "send")
                .attributes
                .set(DESTINATION, "amq.direct");
        },
    ),
    of(
        "attribute.rabbitmq.destination",
        "the queue like its key, twice",
        |all| {
            let span = single(all, "process");
            span.attributes.set(DESTINATION, "amq.gen-7:amq.gen-7");
        },
    ),
    of("attribute.group", "a group of a producer", |all| {
        of_batches(all, "send").attributes.set(GROUP, "billing");
    }),
    of("attribute.group", "no group of a consumer", |all| {
        of_batches(all, "process").attributes.remove(GROUP);
    }),
    of("attribute.group", "a group of RabbitMQ", |all| {
        single(all, "process").attributes.set(GROUP, "billing");
    }),
    of("operation.span", "a receive without one", |all| {
        without(all, "receive")
    }),
    of(
        "operation.failed",
        "a failure that looks like success",
        |all| {
            let span = single(all, "process");
            span.status = Status::Unset;
            span.attributes.remove(ERROR);
        },
    ),
    of("status.unset", "Ok", |all| {
        of_batches(all, "send").status = Status::Ok
    }),
    of("status.error-type", "an error without a type", |all| {
        single(all, "process").attributes.remove(ERROR);
    }),
    of("status.error-type", "a type without an error", |all| {
        of_batches(all, "send").attributes.set(ERROR, "timeout");
    }),
    of("status.description", "none", |all| {
        single(all, "process").status = Status::error("");
    }),
    of("error.type.form", "an expression", |all| {
        single(all, "process").attributes.set(ERROR, "&str");
    }),
    of("error.type.form", "a box", |all| {
        let boxed = "alloc::boxed::Box<dyn core::error::Error>";
        single(all, "process").attributes.set(ERROR, boxed);
    }),
    of("error.type.form", "the unit, on a point", |all| {
        point(all, SENT).attributes.set(ERROR, "()");
    }),
    of("exception.signal", "an event beside a logger", |all| {
        let spans = &mut scene(all, LOGGED).spans;
        for span in spans.iter_mut().filter(|span| span.is("process")) {
            span.events.push(exception());
        }
    }),
    of("exception.event", "an event of another name", |all| {
        let event = Event {
            name: "error".to_owned(),
            ..exception()
        };
        single(all, "process").events.push(event);
    }),
    of("exception.event", "without a type and a message", |all| {
        let event = single(all, "process").events.first_mut();
        event.expect("an event").attributes.0.clear();
    }),
    of("link.origin", "a message without", |all| {
        let scene = scene(all, BATCHES);
        scene.spans.retain(|span| span.kind != SpanKind::Internal);
    }),
    of("link.origin", "a single message without", |all| {
        single(all, "process").links.clear()
    }),
    of("link.created", "a create span without", |all| {
        drop(of_batches(all, "send").links.pop())
    }),
    of("link.valid", "to nothing", |all| {
        let nothing = (TraceId::INVALID, SpanId::INVALID);
        of_batches(all, "send").links.push(link(nothing));
    }),
    of("link.once", "twice", |all| {
        let links = &mut of_batches(all, "send").links;
        links.extend_from_within(..1);
    }),
    of("link.once", "to itself", |all| {
        let span = single(all, "settle");
        span.links.push(link(span.id));
    }),
    of("parent.batch", "a child of the first message", |all| {
        let span = of_batches(all, "process");
        let to = span.links.first().expect("a link").to;
        (span.id.0, span.parent) = to;
    }),
    of("parent.single", "a parent without a link", |all| {
        single(all, "process").links.clear()
    }),
    of("batch.count", "of one message", |all| {
        single(all, "process").attributes.set(BATCH, 1)
    }),
    of("batch.count", "none of a batch", |all| {
        of_batches(all, "send").attributes.remove(BATCH)
    }),
    of("batch.count", "another number", |all| {
        of_batches(all, "receive").attributes.set(BATCH, 3)
    }),
    of("batch.common", "the same key on each link", |all| {
        for link in &mut of_batches(all, "receive").links {
            link.attributes.set("kafka.message.key", "order-7");
        }
    }),
    of("batch.common.sent", "the key that all have", |all| {
        of_batches(all, "send")
            .attributes
            .remove("kafka.message.key");
    }),
    of("batch.link", "on both", |all| {
        let link = of_batches(all, "receive").links.first_mut();
        link.expect("a link").attributes.set(PARTITION, "0");
    }),
    of("metric.name", "an old name", |all| {
        point(all, SENT).metric = "messaging.client.published.messages".to_owned();
    }),
    of("metric.instrument", "a gauge", |all| {
        point(all, SENT).instrument = Instrument::Gauge
    }),
    of("metric.unit", "milliseconds", |all| {
        point(all, OPERATION_DURATION).unit = "ms".to_owned();
    }),
    of("metric.bounds", "others", |all| {
        point(all, OPERATION_DURATION).bounds.clear()
    }),
    of("metric.required", "no system", |all| {
        point(all, SENT).attributes.remove(SYSTEM)
    }),
    of("metric.operation.type", "none", |all| {
        point(all, OPERATION_DURATION)
            .attributes
            .remove(OPERATION_TYPE);
    }),
    of("metric.operation.type", "processing", |all| {
        let attributes = &mut point(all, OPERATION_DURATION).attributes;
        attributes.set(OPERATION_TYPE, "process");
    }),
    of("metric.listed", "a client's id", |all| {
        point(all, SENT).attributes.set(CLIENT, "shop")
    }),
    of("metric.listed", "a type of what is counted", |all| {
        point(all, SENT).attributes.set(OPERATION_TYPE, "send");
    }),
    of("metric.destination", "a made up name", |all| {
        for point in &mut scene(all, FAILURE).points {
            point.attributes.remove(TEMPLATE);
            point.attributes.set(DESTINATION, "amq.gen-7");
        }
    }),
    of("metric.destination", "none", |all| {
        point(all, SENT).attributes.remove(DESTINATION)
    }),
    of("metric.server", "no port", |all| {
        point(all, SENT).attributes.remove(PORT)
    }),
    of("metric.group", "none", |all| {
        point(all, CONSUMED).attributes.remove(GROUP)
    }),
    of("metric.schema", "none", |all| {
        point(all, SENT).schema.clear()
    }),
    of("duration.span", "a process span without", |all| {
        let points = &mut scene(all, BATCHES).points;
        points.retain(|point| point.metric != PROCESS_DURATION);
    }),
    of("duration.span", "under another error", |all| {
        point(all, PROCESS_DURATION)
            .attributes
            .set(ERROR, "timeout");
    }),
    of("duration.value", "longer than the span", |all| {
        point(all, OPERATION_DURATION).sum += 0.001;
    }),
    of("duration.operation", "one too many", |all| {
        point(all, OPERATION_DURATION).count += 1
    }),
    of("sent.count", "one too many", |all| {
        point(all, SENT).sum += 1.0
    }),
    of("sent.error", "a refused message as if it was not", |all| {
        for scene in all {
            for point in &mut scene.points {
                if point.metric == SENT {
                    point.attributes.remove(ERROR);
                }
            }
        }
    }),
    of("consumed.count", "at receiving and at processing", |all| {
        point(all, CONSUMED).sum *= 2.0
    }),
    of("point.error-type", "an error that is on no span", |all| {
        point(all, OPERATION_DURATION)
            .attributes
            .set(ERROR, "timeout");
    }),
];
