//! Jaeger's header, against a reader that takes it apart at every separator.

use std::collections::HashMap;

use opentelemetry::propagation::TextMapPropagator as _;
use otel_messaging::propagators::Jaeger;

use crate::reference::{Carried, Parent};

/// Values, one a line.
pub fn check(input: &[u8]) {
    for value in String::from_utf8_lossy(input).lines() {
        let headers = HashMap::from([("uber-trace-id".to_owned(), value.to_owned())]);
        let expected = Carried::read(parent(value), &[], &[]);
        expected.assert_is(&Jaeger::new().extract(&headers));
    }
}

fn parent(value: &str) -> Option<Parent> {
    let value = value.replace("%3A", ":").replace("%3a", ":");
    let parts: Vec<_> = value.split(':').collect();
    let [trace, span, parent, flags] = parts[..] else {
        return None;
    };
    let is_hex = |part: &str, most| {
        let is_digit = |one: char| one.is_ascii_hexdigit();
        (1..=most).contains(&part.len()) && part.chars().all(is_digit)
    };
    let is_read = is_hex(trace, 32)
        && is_hex(span, 16)
        && is_hex(parent, 16)
        && is_hex(flags, 2)
        && [trace, span].iter().all(|id| id.contains(|one| one != '0'));
    let flags = u8::from_str_radix(flags, 16).unwrap_or_default();
    is_read.then(|| Parent {
        trace: format!("{:0>32}", trace.to_lowercase()),
        span: format!("{:0>16}", span.to_lowercase()),
        sampled: flags & 3 != 0,
        random: false,
    })
}
