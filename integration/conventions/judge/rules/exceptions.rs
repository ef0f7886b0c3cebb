//! How exceptions are told.

use crate::model::{Log, Scene, Span};
use crate::verdict::{Bench, Rule};

/// Severities of the conventions: what processing fails with is the application's, all else may be tried again.
const WARN: i32 = 13;
const ERROR: i32 = 17;

pub(super) const RULES: [Rule; 5] = [
    Rule {
        id: "exception.signal",
        says: "exceptions are log records where the program has a logger provider, and not events of spans",
        spec: "exceptions-logs; messaging-events",
        check: exception_signal,
    },
    Rule {
        id: "exception.event",
        says: "an exception that is an event of a span is named exception, and has a type or a message",
        spec: "exceptions-spans § Attributes",
        check: exception_event,
    },
    Rule {
        id: "exception.log",
        says: "where the program has a logger provider, each exception is one log record in the context of its span",
        spec: "exceptions-logs; messaging-events",
        check: log,
    },
    Rule {
        id: "exception.log.name",
        says: "its name is messaging.{operation type}.exception, and it has exception.type or exception.message",
        spec: "messaging-events § Event: messaging.process.exception and its kin",
        check: log_name,
    },
    Rule {
        id: "exception.log.severity",
        says: "an exception of processing is an ERROR, any other a WARN",
        spec: "messaging-events, severity",
        check: log_severity,
    },
];

fn exception_signal(scene: &Scene, bench: &mut Bench) {
    if !scene.facts.has_logger {
        return;
    }
    for span in scene.spans.iter().filter(|span| span.has_failed()) {
        let has_event = span.events.iter().any(|event| event.name == "exception");
        bench.span(span, !has_event, "has an event `exception`");
    }
}

fn exception_event(scene: &Scene, bench: &mut Bench) {
    for span in &scene.spans {
        for event in &span.events {
            let has = |key| event.attributes.has(key);
            let is_right =
                event.name == "exception" && (has("exception.type") || has("exception.message"));
            bench.span(span, is_right, format_args!("event `{}`", event.name));
        }
    }
}

/// The span that a record is about.
fn span_of<'a>(scene: &'a Scene, log: &Log) -> Option<&'a Span> {
    scene.spans.iter().find(|span| span.id == log.span)
}

fn log(scene: &Scene, bench: &mut Bench) {
    if !scene.facts.has_logger {
        return;
    }
    for span in scene.operations().filter(|span| span.has_failed()) {
        let logs = scene.logs.iter().filter(|log| log.span == span.id).count();
        // A description is what an exception says.
        let expected = usize::from(span.description().is_some_and(|text| !text.is_empty()));
        bench.span(span, logs == expected, format_args!("{logs} log records"));
    }
}

fn log_name(scene: &Scene, bench: &mut Bench) {
    for log in &scene.logs {
        let operation = span_of(scene, log).and_then(Span::operation);
        let expected = operation.map(|one| format!("messaging.{one}.exception"));
        let has = |key| log.attributes.has(key);
        let is_right = expected.as_ref() == Some(&log.name)
            && (has("exception.type") || has("exception.message"));
        bench.that(&log.name, is_right, format_args!("and not {expected:?}"));
    }
}

fn log_severity(scene: &Scene, bench: &mut Bench) {
    for log in &scene.logs {
        let expected = match log.name.as_str() {
            "messaging.process.exception" => ERROR,
            _ => WARN,
        };
        let found = log.severity;
        bench.that(
            &log.name,
            found == expected,
            format_args!("severity {found}"),
        );
    }
}
