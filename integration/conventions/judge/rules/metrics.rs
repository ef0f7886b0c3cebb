//! Metrics by themselves.

use crate::model::{Instrument, Scene, Span};
use crate::names::{
    ADDRESS, BOUNDS, DESTINATION, GROUP, METRICS, ON_METRICS, OPERATION, OPERATION_DURATION,
    OPERATION_TYPE, OUR_METRICS, PORT, SCHEMA, SYSTEM, TEMPLATE, is_deprecated,
};
use crate::rules::points::is_known_to_be_one_of_many;
use crate::verdict::{Bench, Rule};

pub(super) const RULES: [Rule; 11] = [
    Rule {
        id: "metric.name",
        says: "each metric is one of the four for messaging, or is documented as ours",
        spec: "messaging-metrics",
        check: name,
    },
    Rule {
        id: "metric.instrument",
        says: "durations are histograms of floating-point numbers, messages are counted by counters of integers",
        spec: "messaging-metrics, tables of metrics",
        check: instrument,
    },
    Rule {
        id: "metric.unit",
        says: "durations are in s, messages are {message}",
        spec: "messaging-metrics, tables of metrics",
        check: unit,
    },
    Rule {
        id: "metric.bounds",
        says: "the bounds of durations are those that are advised",
        spec: "messaging-metrics § Common metrics, explicit bucket boundaries",
        check: bounds,
    },
    Rule {
        id: "metric.required",
        says: "messaging.system.name and messaging.operation.name are required",
        spec: "messaging-metrics, tables of attributes",
        check: required,
    },
    Rule {
        id: "metric.operation.type",
        says: "messaging.operation.type is on operations' durations",
        spec: "messaging-metrics § Metric: messaging.client.operation.duration",
        check: operation_type,
    },
    Rule {
        id: "metric.listed",
        says: "a point has no attribute that its metric does not list",
        spec: "messaging-metrics, tables of attributes",
        check: listed,
    },
    Rule {
        id: "metric.destination",
        says: "a point has the destination's template, or else its name, if that is one of few",
        spec: "messaging-metrics, tables of attributes, messaging.destination.name",
        check: destination,
    },
    Rule {
        id: "metric.server",
        says: "server.address is there where the server is known, with server.port",
        spec: "messaging-metrics, tables of attributes",
        check: server,
    },
    Rule {
        id: "metric.group",
        says: "the consumer group is on points of receiving as on spans",
        spec: "messaging-metrics, tables of attributes, messaging.consumer.group.name",
        check: group,
    },
    Rule {
        id: "metric.schema",
        says: "metrics name the release that their attributes are of",
        spec: "schemas § Schema URL",
        check: schema,
    },
];

fn name(scene: &Scene, bench: &mut Bench) {
    for point in &scene.points {
        let metric = point.metric.as_str();
        let is_known = METRICS.iter().any(|(known, ..)| *known == metric);
        let is_right = is_known || OUR_METRICS.contains(&metric) && !is_deprecated(metric);
        bench.that(metric, is_right, "nobody knows it");
    }
}

fn instrument(scene: &Scene, bench: &mut Bench) {
    for (metric, expected, ..) in METRICS {
        for point in scene.metric(metric) {
            let found = point.instrument;
            bench.that(metric, found == expected, format_args!("{found:?}"));
        }
    }
}

fn unit(scene: &Scene, bench: &mut Bench) {
    for (metric, _, unit, _) in METRICS {
        for point in scene.metric(metric) {
            bench.that(metric, point.unit == unit, &point.unit);
        }
    }
}

fn bounds(scene: &Scene, bench: &mut Bench) {
    for (metric, instrument, ..) in METRICS {
        if instrument == Instrument::Histogram {
            for point in scene.metric(metric) {
                let found = format_args!("{:?}", point.bounds);
                bench.that(metric, point.bounds == BOUNDS, found);
            }
        }
    }
}

fn required(scene: &Scene, bench: &mut Bench) {
    for (metric, ..) in METRICS {
        for point in scene.metric(metric) {
            let system = point.attributes.text(SYSTEM);
            let is_right =
                system.as_deref() == Some(scene.facts.system) && point.attributes.has(OPERATION);
            bench.that(metric, is_right, format_args!("{:?}", point.attributes));
        }
    }
}

fn operation_type(scene: &Scene, bench: &mut Bench) {
    for point in scene.metric(OPERATION_DURATION) {
        let found = point.attributes.text(OPERATION_TYPE);
        // Processing is no operation of the client, and creating is not timed.
        let types = ["send", "receive", "settle"];
        let is_right = found.as_deref().is_some_and(|one| types.contains(&one));
        bench.that(&point.metric, is_right, format_args!("{found:?}"));
    }
}

fn listed(scene: &Scene, bench: &mut Bench) {
    for (metric, _, _, beside) in METRICS {
        for point in scene.metric(metric) {
            for (key, _) in &point.attributes.0 {
                let key = key.as_str();
                let is_listed = ON_METRICS.contains(&key) || beside.contains(&key);
                bench.that(metric, is_listed, format_args!("has {key}"));
            }
        }
    }
}

/// What stands for the destinations of a scene's spans, or of the messages of its batches.
fn destination(scene: &Scene, bench: &mut Bench) {
    for (metric, ..) in METRICS {
        for point in scene.metric(metric) {
            let name = point.attributes.text(DESTINATION);
            let template = point.attributes.text(TEMPLATE);
            let mut spans = scene.spans.iter();
            let is_right = match (&name, &template) {
                _ if scene.spans.is_empty() => true,
                (_, Some(template)) => {
                    name.is_none()
                        && spans
                            .any(|span| span.attributes.text(TEMPLATE).as_ref() == Some(template))
                }
                (Some(name), None) => spans.any(|span| {
                    let is_few =
                        !is_known_to_be_one_of_many(span) && !span.attributes.has(TEMPLATE);
                    is_few && names(span, name)
                }),
                (None, None) => {
                    scene.facts.is_one_too_many
                        || scene.facts.has_no_common_name
                        || spans.any(is_known_to_be_one_of_many)
                }
            };
            bench.that(metric, is_right, format_args!("{name:?}, {template:?}"));
        }
    }
}

/// Whether this is where a span's messages went, or some of them: a batch may be known by a part of it.
fn names(span: &Span, destination: &str) -> bool {
    let links = span.links.iter().map(|link| &link.attributes);
    let mut found = links
        .chain([&span.attributes])
        .filter_map(|one| one.text(DESTINATION));
    found.any(|name| {
        let parts: Vec<_> = destination.split(':').collect();
        name == destination
            || span.batch().is_some() && name.split(':').all(|part| parts.contains(&part))
    })
}

fn server(scene: &Scene, bench: &mut Bench) {
    let Some((address, port)) = &scene.facts.server else {
        return;
    };
    for (metric, ..) in METRICS {
        for point in scene.metric(metric) {
            let found = (point.attributes.text(ADDRESS), point.attributes.int(PORT));
            let is_right = found == (Some(address.clone()), Some(*port));
            bench.that(metric, is_right, format_args!("{found:?}"));
        }
    }
}

fn group(scene: &Scene, bench: &mut Bench) {
    for (metric, ..) in METRICS {
        for point in scene.metric(metric) {
            let of_point = point.attributes.get(GROUP);
            let same =
                |span: &&Span| span.attributes.get(OPERATION) == point.attributes.get(OPERATION);
            let mut spans = scene.spans.iter().filter(same).peekable();
            if spans.peek().is_some() {
                let is_right = spans.any(|span| span.attributes.get(GROUP) == of_point);
                bench.that(metric, is_right, format_args!("{of_point:?}"));
            }
        }
    }
}

fn schema(scene: &Scene, bench: &mut Bench) {
    for point in &scene.points {
        bench.that(&point.metric, point.schema == SCHEMA, &point.schema);
    }
}
