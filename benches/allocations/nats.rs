//! The headers of NATS messages.

use async_nats::HeaderMap;
use benches::counting::counted;
use benches::{header_map, sample};
use otel_messaging::Telemetry;
use otel_messaging::nats::internal as nats;

/// The table of the map, the list of the name's values, and the value.
#[test]
fn writing_a_trace_into_a_header_map_allocates_what_the_map_needs() {
    let telemetry = Telemetry::new();
    let context = sample::trace();

    let (headers, allocations) = counted(|| nats::inject(&telemetry, &context, HeaderMap::new()));

    assert_eq!(headers.len(), 1);
    assert_eq!(allocations, 3);
}

/// The list of values and the value, and our note of the name that goes until it comes again.
#[test]
fn replacing_a_trace_in_a_header_map_copies_no_other_header() {
    let telemetry = Telemetry::new();
    let context = sample::trace();
    let stale = header_map::inject_by_hand(&sample::trace(), header_map::others(10));

    let (headers, allocations) = counted(|| nats::inject(&telemetry, &context, stale));

    assert_eq!(headers.len(), 11);
    assert_eq!(allocations, 3);
}

/// The context's own allocation is for the span that it holds.
#[test]
fn reading_a_trace_of_a_header_map_allocates_the_context_and_nothing_else() {
    let telemetry = Telemetry::new();
    let context = sample::trace();
    let rows = [
        (header_map::inject_by_hand(&context, HeaderMap::new()), 1),
        (
            header_map::inject_by_hand(&context, header_map::others(10)),
            1,
        ),
        (header_map::others(10), 0),
    ];

    for (headers, expected) in rows {
        let (_context, allocations) = counted(|| nats::extract(&telemetry, &headers));
        assert_eq!(allocations, expected);
    }
}
