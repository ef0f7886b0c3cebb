//! Names, kinds and what any span has.

use opentelemetry::trace::SpanKind;

use crate::model::{Scene, Span};
use crate::names::{
    ADDRESS, CLIENT, DESTINATION, GROUP, OPERATION, OPERATION_TYPE, OPERATIONS, OWN_SPANS,
    PARTITION, PORT, SCHEMA, SYSTEM, TEMPLATE, VERBS,
};
use crate::rules::points::is_known_to_be_one_of_many;
use crate::verdict::{Bench, Rule};

pub(super) const RULES: [Rule; 16] = [
    Rule {
        id: "span.name",
        says: "the name is the operation's name and then the destination: its template, else its name if that is \
               neither temporary nor anonymous, else nothing",
        spec: "messaging-spans § Span name",
        check: name,
    },
    Rule {
        id: "span.name.tidy",
        says: "a name has no space at its ends, none that is doubled, and no control character",
        spec: "messaging-spans § Span name; trace/api § Span",
        check: name_is_tidy,
    },
    Rule {
        id: "span.kind",
        says: "create PRODUCER, send PRODUCER or CLIENT, receive and settle CLIENT, process CONSUMER",
        spec: "messaging-spans § Span kind",
        check: kind,
    },
    Rule {
        id: "span.kind.send",
        says: "a send span is CLIENT if the messages carry contexts from elsewhere, which it links to; if they carry \
               its own it is PRODUCER",
        spec: "messaging-spans § Producer spans",
        check: kind_of_send,
    },
    Rule {
        id: "span.system",
        says: "messaging.system.name is required and is that of the broker",
        spec: "messaging-spans § Messaging attributes",
        check: system,
    },
    Rule {
        id: "span.operation.name",
        says: "messaging.operation.name is required and is one of the system's own words for such an operation",
        spec: "messaging-spans § Operation names",
        check: operation_name,
    },
    Rule {
        id: "span.operation.type",
        says: "messaging.operation.type is there and is create, send, receive, process or settle; a span that is no \
               operation is one of the documented ones",
        spec: "messaging-spans § Operation types",
        check: operation_type,
    },
    Rule {
        id: "span.destination.name",
        says: "messaging.destination.name is there for one message, and for a batch whose messages have it in common",
        spec: "messaging-spans § Messaging attributes",
        check: destination_name,
    },
    Rule {
        id: "span.destination.template",
        says: "a template is a template: it stands for more than the name beside it",
        spec: "messaging-spans § Messaging attributes, messaging.destination.template",
        check: template,
    },
    Rule {
        id: "span.server",
        says: "server.address is there where the server is known, with server.port",
        spec: "messaging-spans § Messaging attributes",
        check: server,
    },
    Rule {
        id: "span.server.port",
        says: "server.port is there only beside server.address",
        spec: "attributes/server § Server attributes",
        check: port,
    },
    Rule {
        id: "span.client",
        says: "messaging.client.id is there where the client has one, on any span but that of creating",
        spec: "messaging-spans § Messaging attributes, messaging.client.id",
        check: client,
    },
    Rule {
        id: "span.at-start",
        says: "what samplers may decide on is there from the start of the span, if it is there at all",
        spec: "messaging-spans § Messaging attributes, \"important for making sampling decisions\"",
        check: at_start,
    },
    Rule {
        id: "span.carried",
        says: "a message carries the context of its create span, or where there is none that of a send span of kind \
               PRODUCER",
        spec: "messaging-spans § Producer spans",
        check: carried,
    },
    Rule {
        id: "span.time",
        says: "a span does not end before it starts",
        spec: "trace/api § Timestamp",
        check: time,
    },
    Rule {
        id: "span.schema",
        says: "spans name the release that their attributes are of",
        spec: "schemas § Schema URL",
        check: schema,
    },
];

fn name(scene: &Scene, bench: &mut Bench) {
    for span in scene.operations() {
        let operation = span.attributes.text(OPERATION).unwrap_or_default();
        let name = match span.attributes.text(TEMPLATE) {
            _ if scene.facts.is_one_too_many => None,
            Some(template) => Some(template),
            None if is_known_to_be_one_of_many(span) => None,
            None => span.attributes.text(DESTINATION),
        };
        let expected = match name {
            Some(name) => format!("{operation} {name}"),
            None => operation,
        };
        bench.span(
            span,
            span.name == expected,
            format_args!("should be `{expected}`"),
        );
    }
}

fn name_is_tidy(scene: &Scene, bench: &mut Bench) {
    for span in &scene.spans {
        let name = &span.name;
        let is_tidy = !name.is_empty()
            && name.trim() == name
            && !name.contains("  ")
            && !name.chars().any(char::is_control);
        bench.span(span, is_tidy, "is not tidy");
    }
}

fn kind(scene: &Scene, bench: &mut Bench) {
    for span in scene.operations() {
        for (operation, kinds) in OPERATIONS {
            if span.is(operation) {
                let found = format_args!("{:?} for {operation}", span.kind);
                bench.span(span, kinds.contains(&span.kind), found);
            }
        }
    }
}

fn kind_of_send(scene: &Scene, bench: &mut Bench) {
    for span in scene.of("send") {
        let created = scene.of("create").filter(|create| span.links_to(create.id));
        let created = i64::try_from(created.count()).unwrap_or(i64::MAX);
        let carries_own = scene.facts.origins.contains(&span.id);
        let is_right = match span.kind {
            SpanKind::Client => !span.links.is_empty() && !carries_own,
            // A single message may be a further attempt, which links to the creation of the one before.
            _ => span.batch().is_none_or(|messages| created < messages),
        };
        bench.span(
            span,
            is_right,
            format_args!("{:?} with {} links", span.kind, span.links.len()),
        );
    }
}

fn system(scene: &Scene, bench: &mut Bench) {
    for span in &scene.spans {
        let found = span.attributes.text(SYSTEM);
        let is_right = found.as_deref() == Some(scene.facts.system);
        bench.span(span, is_right, format_args!("{found:?}"));
    }
}

fn operation_name(scene: &Scene, bench: &mut Bench) {
    for span in scene.operations() {
        let verb = span.attributes.text(OPERATION);
        let operation = span.operation().unwrap_or_default();
        let is_right = VERBS.iter().any(|(system, of, verbs)| {
            *system == scene.facts.system
                && *of == operation
                && verb.as_deref().is_some_and(|verb| verbs.contains(&verb))
        });
        bench.span(span, is_right, format_args!("{verb:?} to {operation}"));
    }
}

fn operation_type(scene: &Scene, bench: &mut Bench) {
    for span in &scene.spans {
        let is_right = match span.operation() {
            Some(found) => OPERATIONS.iter().any(|(known, _)| found == *known),
            None => is_own(span),
        };
        bench.span(
            span,
            is_right,
            format_args!("{OPERATION_TYPE} is {:?}", span.operation()),
        );
    }
}

/// No operation, and documented: it has no name of an operation either, and is there for its links.
fn is_own(span: &Span) -> bool {
    let first = span.name.split(' ').next().unwrap_or_default();
    OWN_SPANS.contains(&first) && !span.attributes.has(OPERATION) && !span.links.is_empty()
}

fn destination_name(scene: &Scene, bench: &mut Bench) {
    let expected = scene.operations().filter(|span| {
        !scene.facts.has_no_common_name
            || (span.is("create") || span.is("process") && span.batch().is_none())
    });
    for span in expected {
        bench.span(
            span,
            span.attributes.has(DESTINATION),
            format_args!("no {DESTINATION}"),
        );
    }
}

fn template(scene: &Scene, bench: &mut Bench) {
    for span in &scene.spans {
        if let Some(template) = span.attributes.text(TEMPLATE) {
            let name = span.attributes.text(DESTINATION);
            let is_right = !template.is_empty() && name.as_ref() != Some(&template);
            bench.span(span, is_right, format_args!("{template} for {name:?}"));
        }
    }
}

fn server(scene: &Scene, bench: &mut Bench) {
    let Some((address, port)) = &scene.facts.server else {
        return;
    };
    for span in scene.operations() {
        let found = (span.attributes.text(ADDRESS), span.attributes.int(PORT));
        let is_right = found == (Some(address.clone()), Some(*port));
        bench.span(
            span,
            is_right,
            format_args!("{found:?} for {address}:{port}"),
        );
    }
}

fn port(scene: &Scene, bench: &mut Bench) {
    for span in &scene.spans {
        if span.attributes.has(PORT) {
            bench.span(
                span,
                span.attributes.has(ADDRESS),
                "a port without an address",
            );
        }
    }
}

fn client(scene: &Scene, bench: &mut Bench) {
    if !scene.facts.are_known {
        return;
    }
    for span in scene.operations().filter(|span| !span.is("create")) {
        let found = span.attributes.text(CLIENT);
        let is_right = found.as_deref() == Some(scene.facts.client);
        bench.span(span, is_right, format_args!("{found:?}"));
    }
}

fn at_start(scene: &Scene, bench: &mut Bench) {
    let keys = [
        SYSTEM,
        OPERATION,
        OPERATION_TYPE,
        DESTINATION,
        TEMPLATE,
        PARTITION,
        GROUP,
        ADDRESS,
        PORT,
    ];
    for span in scene.operations() {
        // The broker chooses the partition that a message is sent to.
        let is_sending = span.is("send") || span.is("create");
        let keys = keys
            .iter()
            .filter(|key| !(is_sending && **key == PARTITION));
        let late = keys.filter(|key| span.at_start.get(key) != span.attributes.get(key));
        let late: Vec<_> = late.collect();
        bench.span(span, late.is_empty(), format_args!("{late:?} later"));
    }
}

fn carried(scene: &Scene, bench: &mut Bench) {
    let facts = &scene.facts;
    // Of what the test did not receive, nobody knows.
    if facts.sent != facts.consumed || facts.origins.is_empty() {
        return;
    }
    let creates: Vec<_> = scene.of("create").collect();
    let sends = scene
        .of("send")
        .filter(|span| span.kind == SpanKind::Producer);
    let sends: Vec<_> = sends.filter(|_| creates.is_empty()).collect();
    for span in creates.into_iter().chain(sends) {
        let is_carried = facts.origins.contains(&span.id);
        bench.span(span, is_carried, "no message carries its context");
    }
}

fn time(scene: &Scene, bench: &mut Bench) {
    for span in &scene.spans {
        bench.span(
            span,
            span.start <= span.end,
            format_args!("{:?} to {:?}", span.start, span.end),
        );
    }
}

fn schema(scene: &Scene, bench: &mut Bench) {
    for span in &scene.spans {
        bench.span(span, span.schema == SCHEMA, &span.schema);
    }
}
