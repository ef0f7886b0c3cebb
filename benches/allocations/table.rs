//! Context in the headers of an AMQP message.

use benches::counting::counted;
use benches::{sample, table};
use lapin::BasicProperties;
use lapin::types::FieldTable;
use opentelemetry::Context;
use otel_messaging::Telemetry;
use otel_messaging::amqp::internal as amqp;

/// | allocations | for |
/// |---|---|
/// | 1 | the node of the table |
/// | 2 | name and value |
///
/// A message that has headers pays for their copy, since the client lends them and no more: the node
/// of the table, a name and a value for each.
#[test]
fn writing_a_trace_into_a_message_allocates_the_header_and_a_copy_of_those_before() {
    let telemetry = Telemetry::new();
    let context = sample::trace();

    for (before, expected) in [(None, 3), (Some(10), 1 + 2 * 10 + 2)] {
        let properties = properties(before.map(table::other_headers));

        let (headers, allocations) = counted(|| amqp::inject(&telemetry, &context, &properties));

        assert_eq!(count(headers), before.unwrap_or(0) + 1);
        assert_eq!(allocations, expected);
    }
}

/// The list of what stays is one more: a table built from it at once takes time linear in its length,
/// where header after header would be looked for its place.
#[test]
fn replacing_a_trace_allocates_a_list_and_a_copy_of_the_headers_that_stay() {
    let telemetry = Telemetry::new();
    let context = sample::trace();
    let stale = properties(Some(table::inject_by_hand(
        &context,
        table::other_headers(10),
    )));

    let (headers, allocations) = counted(|| amqp::inject(&telemetry, &context, &stale));

    assert_eq!(count(headers), 11);
    assert_eq!(allocations, 1 + 1 + 2 * 10 + 2);
}

#[test]
fn a_message_without_a_context_to_carry_allocates_nothing() {
    let telemetry = Telemetry::new();
    let properties = properties(Some(table::other_headers(10)));

    let (headers, allocations) = counted(|| amqp::inject(&telemetry, &Context::new(), &properties));

    assert_eq!((headers, allocations), (None, 0));
}

/// The context's own allocation is for the span that it holds.
#[test]
fn reading_a_trace_allocates_the_context_and_nothing_else() {
    let telemetry = Telemetry::new();
    let rows = [
        (
            table::inject_by_hand(&sample::trace(), FieldTable::default()),
            1,
        ),
        (
            table::inject_by_hand(&sample::trace(), table::other_headers(10)),
            1,
        ),
        (table::other_headers(10), 0),
    ];

    for (headers, expected) in rows {
        let properties = properties(Some(headers));
        let (_context, allocations) = counted(|| amqp::extract(&telemetry, &properties));
        assert_eq!(allocations, expected);
    }
}

fn properties(headers: Option<FieldTable>) -> BasicProperties {
    match headers {
        Some(headers) => BasicProperties::default().with_headers(headers),
        None => BasicProperties::default(),
    }
}

fn count(headers: Option<FieldTable>) -> usize {
    headers.map_or(0, |headers| headers.inner().len())
}
