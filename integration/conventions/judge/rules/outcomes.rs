//! How operations end: status, `error.type`, and that there is a span at all.

use opentelemetry::trace::Status;

use crate::model::{Done, End, Scene};
use crate::names::{ERROR, OPERATIONS};
use crate::verdict::{Bench, Rule};

pub(super) const RULES: [Rule; 6] = [
    Rule {
        id: "operation.span",
        says: "each operation has a span, failed ones too, unless the policy says otherwise",
        spec: "messaging-spans § Producer spans, § Consumer spans",
        check: has_span,
    },
    Rule {
        id: "operation.failed",
        says: "as many spans are errors as operations failed",
        spec: "recording-errors § What constitutes an error",
        check: failed,
    },
    Rule {
        id: "status.unset",
        says: "the status is unset where nothing failed, and never Ok",
        spec: "recording-errors § Recording errors on spans",
        check: unset,
    },
    Rule {
        id: "status.error-type",
        says: "a span has error.type if and only if its status is Error",
        spec: "recording-errors § Recording errors on spans",
        check: has_error_type,
    },
    Rule {
        id: "status.description",
        says: "the description is the message of the exception that the operation ended with",
        spec: "recording-errors § Recording errors on spans, exceptions",
        check: description,
    },
    Rule {
        id: "error.type.form",
        says: "error.type is a name of few values, or _OTHER: no expression of a programming language, and nothing \
               that holds for any error",
        spec: "attributes/error § error.type",
        check: error_type,
    },
];

fn ended(scene: &Scene, operation: &str, is_counted: impl Fn(&Done) -> bool) -> usize {
    let done = scene.facts.done.iter();
    done.filter(|one| one.operation == operation && one.has_span && is_counted(one))
        .count()
}

fn has_span(scene: &Scene, bench: &mut Bench) {
    if !scene.facts.are_known {
        return;
    }
    for (operation, _) in OPERATIONS {
        let (expected, found) = (
            ended(scene, operation, |_| true),
            scene.of(operation).count(),
        );
        if expected + found > 0 {
            let what = format_args!("{expected} of type {operation}");
            bench.that(what, expected == found, format_args!("{found} spans"));
        }
    }
}

fn failed(scene: &Scene, bench: &mut Bench) {
    if !scene.facts.are_known {
        return;
    }
    for (operation, _) in OPERATIONS {
        let expected = ended(scene, operation, |one| one.end != End::Success);
        let found = scene.of(operation).filter(|span| span.has_failed()).count();
        if expected + found > 0 {
            let what = format_args!("{expected} failed of type {operation}");
            bench.that(
                what,
                expected == found,
                format_args!("{found} spans are errors"),
            );
        }
    }
}

fn unset(scene: &Scene, bench: &mut Bench) {
    for span in &scene.spans {
        let is_right = !matches!(span.status, Status::Ok);
        bench.span(span, is_right, "the status is Ok");
    }
}

fn has_error_type(scene: &Scene, bench: &mut Bench) {
    for span in scene.operations() {
        let has = span.attributes.has(ERROR);
        let found = format_args!("{:?}, error.type: {has}", span.status);
        bench.span(span, has == span.has_failed(), found);
    }
}

fn description(scene: &Scene, bench: &mut Bench) {
    if !scene.facts.are_known {
        return;
    }
    for (operation, _) in OPERATIONS {
        let done = scene.facts.done.iter();
        let done = done.filter(|one| one.operation == operation && one.has_span);
        let mut expected: Vec<_> = done
            .filter_map(|one| match &one.end {
                End::Success => None,
                // A handler that was dropped left no exception, nor did a broker that says no.
                End::Failure(message) => Some(message.clone().unwrap_or_default()),
            })
            .collect();
        let spans = scene.of(operation);
        let mut found: Vec<_> = spans
            .filter_map(|span| match &span.status {
                Status::Error { description } => Some(description.to_string()),
                _ => None,
            })
            .collect();
        expected.sort();
        found.sort();
        // That one has not failed is another rule.
        if expected.len() == found.len() && !expected.is_empty() {
            let what = format_args!("spans of type {operation}");
            let texts = format_args!("{found:?} and not {expected:?}");
            bench.that(what, found == expected, texts);
        }
    }
}

fn error_type(scene: &Scene, bench: &mut Bench) {
    // A text, a box or the unit is what anything can fail with.
    const SAYS_NOTHING: [&str; 4] = ["alloc::", "anyhow::", "core::option", "core::result"];
    let is_name = |text: &str| {
        let mut bytes = text.bytes();
        !text.is_empty()
            && text.len() <= 100
            && bytes.all(|byte| byte.is_ascii_alphanumeric() || b"_-.:".contains(&byte))
            && !SAYS_NOTHING.iter().any(|one| text.starts_with(one))
    };
    let of_spans = scene
        .spans
        .iter()
        .map(|span| (&span.name, &span.attributes));
    let of_points = scene
        .points
        .iter()
        .map(|one| (&one.metric, &one.attributes));
    for (what, attributes) in of_spans.chain(of_points) {
        if let Some(text) = attributes.text(ERROR) {
            bench.that(format_args!("`{what}`"), is_name(&text), text);
        }
    }
}
