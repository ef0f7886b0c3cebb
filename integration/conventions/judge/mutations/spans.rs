//! Of the rules about spans and attributes.

use opentelemetry::trace::SpanKind;
use opentelemetry::{Array, Value};

use crate::names::{
    ADDRESS, BATCH, CLIENT, DESTINATION, GROUP, MESSAGE_ID, OPERATION, OPERATION_TYPE, PARTITION,
    SENT, SYSTEM, TEMPLATE, TEMPORARY,
};
use crate::sample::{BATCHES, link};

use super::{Mutation, of, of_batches, point, scene, single};

pub(super) const ALL: &[Mutation] = &[
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
    of("span.client", "none", |all| {
        of_batches(all, "send").attributes.remove(CLIENT)
    }),
    of("span.at-start", "a template that comes later", |all| {
        single(all, "process").at_start.remove(TEMPLATE);
    }),
    of("span.carried", "a create span for nothing", |all| {
        scene(all, BATCHES).facts.origins.remove(0);
    }),
    of("link.settled", "to the process span", |all| {
        let process = single(all, "process").id;
        single(all, "settle").links.push(link(process));
    }),
    of("link.at-start", "one that comes later", |all| {
        of_batches(all, "send").links_at_start -= 1
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
];
