//! The extension of `CloudEvents` for distributed tracing, against a reader that looks for one name after the other.

use std::collections::HashMap;

use opentelemetry::Context;
use opentelemetry::propagation::TextMapPropagator as _;
use otel_messaging::propagators::CloudEvents;

use crate::input;
use crate::reference::{Carried, Parent, TRACEPARENT, TRACESTATE, decoded};

/// What the attributes' names begin with, and whether values are percent-encoded.
const BINDINGS: [(&str, bool); 4] = [
    ("ce_", false),
    ("ce-", true),
    ("cloudevents_", false),
    ("cloudevents:", false),
];

/// The headers of an event.
pub fn check(input: &[u8]) {
    let headers = input::headers(input).into_iter();
    let headers: HashMap<_, _> = headers
        .map(|header| {
            let name = String::from_utf8_lossy(&header.name).to_lowercase();
            (name, String::from_utf8_lossy(&header.value).into_owned())
        })
        .collect();
    let found = BINDINGS.into_iter().find_map(|(prefix, is_encoded)| {
        let value = |name: &str| {
            let value = headers.get(&format!("{prefix}{name}"))?;
            Some(match is_encoded {
                true => decoded(value),
                false => value.clone(),
            })
        };
        let parent = Parent::read(&value(TRACEPARENT)?)?;
        let states = value(TRACESTATE);
        let states: Vec<_> = states.iter().map(String::as_str).collect();
        Some(Carried::read(Some(parent), &states, &[]))
    });
    let context = CloudEvents::new().extract(&headers);
    found.unwrap_or_default().assert_is(&context);

    let mut sent = HashMap::new();
    CloudEvents::new().inject_context(&context, &mut sent);
    assert_eq!(sent, HashMap::new());
    CloudEvents::new().inject_context(&Context::new(), &mut sent);
    assert_eq!(sent, HashMap::new());
}
