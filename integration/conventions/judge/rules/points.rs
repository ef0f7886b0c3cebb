//! Points beside the spans of the same operations.

use crate::model::{Point, Scene, Span};
use crate::names::{
    ADDRESS, ANONYMOUS, CONSUMED, DESTINATION, ERROR, GROUP, OPERATION, OPERATION_DURATION,
    OPERATION_TYPE, PARTITION, PORT, PROCESS_DURATION, SENT, SYSTEM, TEMPLATE, TEMPORARY,
};
use crate::verdict::{Bench, Rule};

pub(super) const RULES: [Rule; 7] = [
    Rule {
        id: "duration.span",
        says: "each span of a client's operation and of processing has a duration with the same attributes, error.type \
               included",
        spec: "messaging-metrics § Common metrics, § Consumer metrics",
        check: of_each_span,
    },
    Rule {
        id: "duration.value",
        says: "the durations are those of the spans",
        spec: "messaging-metrics § Metric: messaging.client.operation.duration, \"SHOULD be the same value\"",
        check: value,
    },
    Rule {
        id: "duration.operation",
        says: "each operation of a client is timed, once, and so is processing, with a span or without one",
        spec: "messaging-metrics § Common metrics, § Consumer metrics",
        check: of_each_operation,
    },
    Rule {
        id: "sent.count",
        says: "each message that the client took counts as sent, delivered or not, and no other does",
        spec: "messaging-metrics § Metric: messaging.client.sent.messages",
        check: sent,
    },
    Rule {
        id: "sent.error",
        says: "those that failed are counted with error.type",
        spec: "messaging-metrics § Metric: messaging.client.sent.messages",
        check: sent_with_error,
    },
    Rule {
        id: "consumed.count",
        says: "each message that was delivered to the application counts once, received and processed or only one of it",
        spec: "messaging-metrics § Metric: messaging.client.consumed.messages",
        check: consumed,
    },
    Rule {
        id: "point.error-type",
        says: "error.type is on a point if and only if it is on spans of the operation, and is the same",
        spec: "recording-errors § Recording errors on metrics",
        check: error_type,
    },
];

pub(super) fn is_known_to_be_one_of_many(span: &Span) -> bool {
    span.attributes.is_true(TEMPORARY) || span.attributes.is_true(ANONYMOUS)
}

/// The metric that an operation of this type is timed by.
fn timed_by(operation: &str) -> Option<&'static str> {
    match operation {
        "create" => None,
        "process" => Some(PROCESS_DURATION),
        _ => Some(OPERATION_DURATION),
    }
}

/// Whether a point is of the operation that a span is of.
fn fits(scene: &Scene, point: &Point, span: &Span) -> bool {
    let on_point = |key: &str| point.attributes.get(key);
    let on_span = |key: &str| span.attributes.get(key);
    let is_equal = |key: &&str| point.attributes.get(key) == span.attributes.get(key);
    let has_type = point.metric == PROCESS_DURATION || is_equal(&OPERATION_TYPE);
    let has_partition = on_point(PARTITION).is_none() || is_equal(&PARTITION);
    let has_destination = match (on_point(TEMPLATE), on_point(DESTINATION)) {
        (Some(_), None) => is_equal(&TEMPLATE),
        (None, Some(_)) => is_equal(&DESTINATION) && on_span(TEMPLATE).is_none(),
        (None, None) => {
            scene.facts.is_one_too_many
                || on_span(DESTINATION).is_none()
                || is_known_to_be_one_of_many(span)
        }
        (Some(_), Some(_)) => is_equal(&TEMPLATE) && is_equal(&DESTINATION),
    };
    let common = [SYSTEM, OPERATION, ERROR, ADDRESS, PORT, GROUP];
    common.iter().all(is_equal) && has_type && has_partition && has_destination
}

fn of_each_span(scene: &Scene, bench: &mut Bench) {
    if !scene.facts.are_known {
        return;
    }
    for span in scene.operations() {
        let Some(metric) = timed_by(&span.operation().unwrap_or_default()) else {
            continue;
        };
        let points = scene.metric(metric);
        let fitting = points.filter(|point| fits(scene, point, span)).count();
        bench.span(
            span,
            fitting == 1,
            format_args!("{fitting} points of {metric}"),
        );
    }
}

fn value(scene: &Scene, bench: &mut Bench) {
    let durations = [OPERATION_DURATION, PROCESS_DURATION];
    for point in durations.iter().flat_map(|metric| scene.metric(metric)) {
        let spans: Vec<_> = scene
            .operations()
            .filter(|span| timed_by(&span.operation().unwrap_or_default()) == Some(&point.metric))
            .filter(|span| fits(scene, point, span))
            .collect();
        // Some may have had no span.
        if u64::try_from(spans.len()).ok() == Some(point.count) {
            let sum: f64 = spans.iter().map(|span| span.duration().as_secs_f64()).sum();
            let is_right = (sum - point.sum).abs() < 1e-6;
            let found = format_args!("{} s and not {sum} s", point.sum);
            bench.that(&point.metric, is_right, found);
        }
    }
}

fn of_each_operation(scene: &Scene, bench: &mut Bench) {
    if !scene.facts.are_known {
        return;
    }
    for operation in ["send", "receive", "process", "settle"] {
        let done = scene.facts.done.iter();
        let expected = done.filter(|one| one.operation == operation).count();
        let points = scene.metric(timed_by(operation).unwrap_or_default());
        let points = points.filter(|point| {
            operation == "process"
                || point.attributes.text(OPERATION_TYPE).as_deref() == Some(operation)
        });
        let found: u64 = points.map(|point| point.count).sum();
        if expected > 0 || found > 0 {
            let what = format_args!("{expected} of type {operation}");
            let is_right = u64::try_from(expected).ok() == Some(found);
            bench.that(what, is_right, format_args!("{found} are timed"));
        }
    }
}

fn total(scene: &Scene, metric: &str, is_meant: impl Fn(&Point) -> bool) -> f64 {
    let points = scene.metric(metric).filter(|point| is_meant(point));
    points.map(|point| point.sum).sum()
}

/// Whether as many messages are counted as there were, if there are any. Numbers of messages are small.
fn counted(bench: &mut Bench, messages: &str, found: f64, expected: u64) {
    if found > 0.0 || expected > 0 {
        let is_right =
            u32::try_from(expected).is_ok_and(|expected| (found - f64::from(expected)).abs() < 0.5);
        let what = format_args!("{expected} {messages}");
        bench.that(what, is_right, format_args!("{found} are counted"));
    }
}

fn sent(scene: &Scene, bench: &mut Bench) {
    if !scene.facts.are_known {
        return;
    }
    let (found, expected) = (total(scene, SENT, |_| true), scene.facts.sent);
    counted(bench, "messages", found, expected);
}

fn sent_with_error(scene: &Scene, bench: &mut Bench) {
    let found = total(scene, SENT, |point| point.attributes.has(ERROR));
    let expected = scene.facts.refused;
    counted(bench, "refused messages", found, expected);
}

fn consumed(scene: &Scene, bench: &mut Bench) {
    if !scene.facts.are_known {
        return;
    }
    let (found, expected) = (total(scene, CONSUMED, |_| true), scene.facts.consumed);
    counted(bench, "messages", found, expected);
}

fn error_type(scene: &Scene, bench: &mut Bench) {
    let durations = [OPERATION_DURATION, PROCESS_DURATION];
    for point in durations.iter().flat_map(|metric| scene.metric(metric)) {
        let same = |span: &&Span| {
            span.attributes.get(OPERATION) == point.attributes.get(OPERATION)
                && span
                    .operation()
                    .is_some_and(|one| timed_by(&one) == Some(&point.metric))
        };
        let mut spans = scene.operations().filter(same).peekable();
        if spans.peek().is_some() {
            let found = point.attributes.get(ERROR);
            let is_right = spans.any(|span| span.attributes.get(ERROR) == found);
            bench.that(
                &point.metric,
                is_right,
                format_args!("{found:?} on no span"),
            );
        }
    }
}
