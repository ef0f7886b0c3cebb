//! Of the rules about outcomes, links, batches and metrics.

use opentelemetry::trace::{SpanId, SpanKind, Status, TraceId};

use crate::model::{Event, Instrument};
use crate::names::{
    BATCH, CLIENT, CONSUMED, DESTINATION, ERROR, GROUP, OPERATION_DURATION, OPERATION_TYPE,
    PARTITION, PORT, PROCESS_DURATION, SENT, SYSTEM, TEMPLATE,
};
use crate::sample::{BATCHES, FAILURE, LOGGED, exception, link};

use super::{Mutation, of, of_batches, point, scene, single, without};

pub(super) const ALL: &[Mutation] = &[
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
    of("exception.log", "none", |all| {
        scene(all, LOGGED).logs.clear()
    }),
    of("exception.log.name", "that of another operation", |all| {
        let log = scene(all, LOGGED).logs.first_mut();
        log.expect("a record").name = "messaging.send.exception".to_owned();
    }),
    of("exception.log.severity", "a warning", |all| {
        let log = scene(all, LOGGED).logs.first_mut();
        log.expect("a record").severity = 13;
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
