//! Links and parents.

use opentelemetry::trace::{SpanId, TraceId};

use crate::model::{Id, Scene, Span};
use crate::verdict::{Bench, Rule};

pub(super) const RULES: [Rule; 8] = [
    Rule {
        id: "link.origin",
        says: "what handles messages links to the context in which each was created",
        spec: "messaging-spans § Consumer spans",
        check: origin,
    },
    Rule {
        id: "link.created",
        says: "a send span links to each create span of its messages",
        spec: "messaging-spans § Producer spans",
        check: created,
    },
    Rule {
        id: "link.valid",
        says: "a link is to a span",
        spec: "trace/api § Specifying links",
        check: valid,
    },
    Rule {
        id: "link.once",
        says: "a span does not link twice to the same with the same attributes, and never to itself",
        spec: "messaging-spans § Consumer spans",
        check: once,
    },
    Rule {
        id: "link.settled",
        says: "what settling links to, if to anything, is where its messages were created",
        spec: "messaging-spans § Consumer spans, settlement",
        check: settled,
    },
    Rule {
        id: "link.at-start",
        says: "links are there from the start of the span, for samplers to see",
        spec: "trace/api § Specifying links",
        check: at_start,
    },
    Rule {
        id: "parent.batch",
        says: "what is done with a batch is no child of one of its messages",
        spec: "messaging-spans § Message creation context as parent of Process span",
        check: parent_of_batch,
    },
    Rule {
        id: "parent.single",
        says: "where the creation context is the parent, it is linked all the same",
        spec: "messaging-spans § Message creation context as parent of Process span",
        check: parent_of_one,
    },
];

/// Links of a span, and those that are on the children that it has for links alone.
fn linked(scene: &Scene, span: &Span) -> Vec<Id> {
    let is_more = |child: &&Span| child.operation().is_none() && child.parent == span.id.1;
    let more = scene.spans.iter().filter(is_more);
    let links = more.chain(Some(span)).flat_map(|one| &one.links);
    links.map(|link| link.to).collect()
}

fn origin(scene: &Scene, bench: &mut Bench) {
    let origins = &scene.facts.origins;
    let handling = scene.of("process").chain(scene.of("receive"));
    for span in
        handling.filter(|span| !(origins.is_empty() || span.is("receive") && span.has_failed()))
    {
        let linked = linked(scene, span);
        let found = origins.iter().filter(|origin| linked.contains(origin));
        let found = found.count();
        // Messages of one context share a link.
        let of_batch = span.batch().and_then(|count| usize::try_from(count).ok());
        let expected = of_batch.unwrap_or(1).min(origins.len());
        bench.span(
            span,
            found >= expected,
            format_args!("links to {found} of {expected}"),
        );
    }
}

fn created(scene: &Scene, bench: &mut Bench) {
    let sends: Vec<_> = scene.of("send").flat_map(|span| &span.links).collect();
    for create in scene.of("create") {
        let is_linked = sends.iter().any(|link| link.to == create.id);
        bench.span(create, is_linked, "no send span links to it");
    }
}

fn valid(scene: &Scene, bench: &mut Bench) {
    for span in &scene.spans {
        for link in &span.links {
            let (trace, id) = link.to;
            let is_valid = trace != TraceId::INVALID && id != SpanId::INVALID;
            bench.span(span, is_valid, format_args!("a link to {:?}", link.to));
        }
    }
}

fn once(scene: &Scene, bench: &mut Bench) {
    for span in &scene.spans {
        for (place, link) in span.links.iter().enumerate() {
            let before = span.links.iter().take(place);
            let mut same =
                before.filter(|other| other.to == link.to && other.attributes == link.attributes);
            let is_right = same.next().is_none() && link.to != span.id;
            bench.span(span, is_right, format_args!("again to {:?}", link.to));
        }
    }
}

fn settled(scene: &Scene, bench: &mut Bench) {
    if !scene.facts.are_known {
        return;
    }
    for span in scene.of("settle") {
        for link in &span.links {
            let is_right = scene.facts.origins.contains(&link.to);
            bench.span(span, is_right, format_args!("a link to {:?}", link.to));
        }
    }
}

fn at_start(scene: &Scene, bench: &mut Bench) {
    for span in &scene.spans {
        let (all, first) = (span.links.len(), span.links_at_start);
        bench.span(
            span,
            all == first,
            format_args!("{first} of {all} from the start"),
        );
    }
}

fn is_origin(scene: &Scene, span: &Span) -> bool {
    scene.facts.origins.contains(&(span.id.0, span.parent))
}

fn parent_of_batch(scene: &Scene, bench: &mut Bench) {
    for span in scene.of("process").chain(scene.of("receive")) {
        if span.batch().is_some() {
            let found = "a child of one of its messages";
            bench.span(span, !is_origin(scene, span), found);
        }
    }
}

fn parent_of_one(scene: &Scene, bench: &mut Bench) {
    for span in scene.of("process") {
        if is_origin(scene, span) {
            let is_linked = span.links_to((span.id.0, span.parent));
            bench.span(span, is_linked, "no link to its parent");
        }
    }
}
