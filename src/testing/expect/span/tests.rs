//! An expected span by itself.

use opentelemetry::KeyValue;
use opentelemetry::trace::{Event, Link};

use super::*;
use crate::testing::sample::{NO_PARENT, OTHER_TRACE, TRACE, context, span};

fn exception(exception_type: &'static str) -> Event {
    let attribute = KeyValue::new("exception.type", exception_type);
    Event::new("exception", opentelemetry::time::now(), vec![attribute], 0)
}

fn plain() -> SpanData {
    SpanData {
        span_kind: SpanKind::Consumer,
        ..span("process orders", (TRACE, 1, NO_PARENT), 0, 1)
    }
}

fn full() -> SpanData {
    let mut span = plain();
    span.parent_span_id = SpanId::from(2);
    span.links.links = vec![
        Link::with_context(context(TRACE, 2)),
        Link::with_context(context(OTHER_TRACE, 3)),
    ];
    span.attributes = vec![
        KeyValue::new("messaging.system.name", "kafka"),
        KeyValue::new("error.type", "timeout"),
        KeyValue::new("messaging.batch.message_count", 2),
    ];
    span.events.events = vec![Event::with_name("retry"), exception("Timeout")];
    span.status = Status::error("took 5 s");
    span
}

fn expect_plain() -> ExpectedSpan {
    ExpectedSpan::new("process orders", SpanKind::Consumer).exactly()
}

/// As described, and as nobody described it.
fn more() -> SpanData {
    let mut span = full();
    span.attributes.push(KeyValue::new("new.key", "new"));
    span.events.events.insert(1, Event::with_name("new"));
    span
}

fn expect_part() -> ExpectedSpan {
    ExpectedSpan::new("process orders", SpanKind::Consumer)
        .child_of(&context(TRACE, 2))
        .link(&context(TRACE, 2))
        .link(&context(OTHER_TRACE, 3))
        .error("timeout")
}

fn expect_full() -> ExpectedSpan {
    expect_plain()
        .child_of(&context(TRACE, 2))
        .link(&context(TRACE, 2))
        .link(&context(OTHER_TRACE, 3))
        .attribute("messaging.batch.message_count", 2)
        .any("messaging.system.name")
        .error("timeout")
        .description("took 5 s")
        .event("retry")
        .exception("Timeout")
}

#[test]
fn a_span_as_described_passes() {
    expect_plain().assert(&plain());
    expect_full().assert(&full());
}

#[test]
fn attributes_and_events_that_were_not_named_are_not_compared() {
    expect_part().assert(&full());
    expect_part().assert(&more());
    expect_part()
        .attribute("messaging.batch.message_count", 2)
        .any("messaging.system.name")
        .event("retry")
        .exception("Timeout")
        .assert(&more());
}

#[test]
fn an_exception_that_was_named_alone_may_have_any_type() {
    expect_part()
        .event("retry")
        .event("exception")
        .assert(&more());
    let mut two = plain();
    two.events.events = vec![exception("Timeout"), exception("Refused")];
    let expected = || expect_plain().event("exception");
    expected().exception("Refused").assert(&two);

    assert_eq!(
        expected().exception("Timeout").differences(&two),
        ["event 2: expected exception of type \"Timeout\", found exception of type \"Refused\""]
    );
    assert_eq!(
        expect_plain().event("retry").differences(&two),
        [
            "event 1: expected \"retry\", found exception of type \"Timeout\"",
            "event 2: expected none, found exception of type \"Refused\"",
        ]
    );
}

#[test]
fn whatever_was_not_named_is_a_difference_where_all_is_compared() {
    assert_eq!(
        expect_full().differences(&more()),
        [
            "attribute new.key: expected none, found \"new\"",
            "event 2: expected exception of type \"Timeout\", found \"new\"",
            "event 3: expected none, found exception of type \"Timeout\"",
        ]
    );
}

#[test]
fn a_parent_a_link_or_an_error_that_was_not_named_is_a_difference() {
    let expected = ExpectedSpan::new("process orders", SpanKind::Consumer);

    assert_eq!(
        expected.differences(&more()),
        [
            "parent: expected none, found span 0000000000000002 in trace 4bf92f3577b34da6a3ce929d0e0e4736",
            "link 1: expected none, found span 0000000000000002 in trace 4bf92f3577b34da6a3ce929d0e0e4736",
            "link 2: expected none, found span 0000000000000003 in trace 3fa94be1ce929d0e0e473600f067aa0b",
            "attribute error.type: expected none, found \"timeout\"",
            "status: expected unset, found error",
        ]
    );
}

#[test]
fn whatever_was_named_and_is_missing_is_a_difference() {
    let expected = expect_part()
        .attribute("messaging.batch.message_count", 3)
        .any("kafka.offset")
        .exception("Timeout")
        .event("retry");

    assert_eq!(
        expected.differences(&more()),
        [
            "attribute kafka.offset: expected one value, whatever it is, found none",
            "attribute messaging.batch.message_count: expected 3, found 2",
            "event 2: expected \"retry\", found none",
        ]
    );
}

#[test]
#[should_panic(expected = "span \"process orders\" is not as expected:
  name: expected \"send orders\", found \"process orders\"
  kind: expected Producer, found Consumer")]
fn the_message_has_a_line_for_each_difference() {
    ExpectedSpan::new("send orders", SpanKind::Producer).assert(&plain());
}

#[test]
fn whatever_was_not_described_is_a_difference() {
    assert_eq!(
        expect_plain().differences(&full()),
        [
            "parent: expected none, found span 0000000000000002 in trace 4bf92f3577b34da6a3ce929d0e0e4736",
            "link 1: expected none, found span 0000000000000002 in trace 4bf92f3577b34da6a3ce929d0e0e4736",
            "link 2: expected none, found span 0000000000000003 in trace 3fa94be1ce929d0e0e473600f067aa0b",
            "attribute error.type: expected none, found \"timeout\"",
            "attribute messaging.batch.message_count: expected none, found 2",
            "attribute messaging.system.name: expected none, found \"kafka\"",
            "status: expected unset, found error",
            "event 1: expected none, found \"retry\"",
            "event 2: expected none, found exception of type \"Timeout\"",
        ]
    );
}

#[test]
fn whatever_is_missing_is_a_difference() {
    assert_eq!(
        expect_full().differences(&plain()),
        [
            "parent: expected span 0000000000000002 in trace 4bf92f3577b34da6a3ce929d0e0e4736, found none",
            "link 1: expected span 0000000000000002 in trace 4bf92f3577b34da6a3ce929d0e0e4736, found none",
            "link 2: expected span 0000000000000003 in trace 3fa94be1ce929d0e0e473600f067aa0b, found none",
            "attribute error.type: expected \"timeout\", found none",
            "attribute messaging.batch.message_count: expected 2, found none",
            "attribute messaging.system.name: expected one value, whatever it is, found none",
            "status: expected error, found unset",
            "description: expected \"took 5 s\", found none",
            "event 1: expected \"retry\", found none",
            "event 2: expected exception of type \"Timeout\", found none",
        ]
    );
}

#[test]
fn a_parent_of_the_same_span_id_in_another_trace_is_a_difference() {
    let mut span = plain();
    span.parent_span_id = SpanId::from(2);

    let differences = expect_plain()
        .child_of(&context(OTHER_TRACE, 2))
        .differences(&span);

    assert_eq!(
        differences,
        [
            "parent: expected span 0000000000000002 in trace 3fa94be1ce929d0e0e473600f067aa0b, \
          found span 0000000000000002 in trace 4bf92f3577b34da6a3ce929d0e0e4736"
        ]
    );
}

#[test]
fn links_in_another_order_are_a_difference() {
    let mut span = plain();
    span.links.links = vec![
        Link::with_context(context(TRACE, 3)),
        Link::with_context(context(TRACE, 2)),
    ];

    let expected = expect_plain()
        .link(&context(TRACE, 2))
        .link(&context(TRACE, 3));

    assert_eq!(expected.differences(&span).len(), 2);
}

#[test]
fn a_key_that_the_span_has_twice_is_a_difference() {
    let mut span = plain();
    span.attributes = vec![
        KeyValue::new("a", 1),
        KeyValue::new("a", 1),
        KeyValue::new("b", 1),
        KeyValue::new("b", 2),
    ];

    let differences = expect_plain().attribute("a", 1).any("b").differences(&span);

    assert_eq!(
        differences,
        [
            "attribute a: expected 1, found 1 and 1",
            "attribute b: expected one value, whatever it is, found 1 and 2",
        ]
    );
}

#[test]
fn the_later_expected_value_of_a_key_counts() {
    let mut span = plain();
    span.attributes = vec![KeyValue::new("a", 2)];

    expect_plain()
        .attribute("a", 1)
        .attribute("a", 2)
        .assert(&span);
}

#[test]
fn another_error_type_and_an_ok_status_are_differences() {
    let mut span = full();
    span.status = Status::Ok;

    assert_eq!(
        expect_full()
            .error("refused")
            .description("no")
            .differences(&span),
        [
            "attribute error.type: expected \"refused\", found \"timeout\"",
            "status: expected error, found ok",
            "description: expected \"no\", found none",
        ]
    );
}
