//! Headers in memory; what is on the wire is shown with real servers.

use opentelemetry::propagation::text_map_propagator::FieldIter;
use opentelemetry::propagation::{Extractor, Injector};
use opentelemetry::trace::TraceContextExt as _;

use super::*;
use crate::w3c::Propagator;

const FRESH: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const STALE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

type List<'a> = [(&'static str, &'a str)];

fn headers(list: &List<'_>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in list {
        headers.append(HeaderName::from_static(name), *value);
    }
    headers
}

fn context(list: &List<'_>) -> Context {
    extract(&Propagator::new(), &headers(list))
}

fn traceparent(context: &Context) -> Option<String> {
    let span = context.span().span_context().clone();
    let text = format!("00-{}-{}-01", span.trace_id(), span.span_id());
    span.is_valid().then_some(text)
}

#[test]
fn what_is_there_of_a_context_is_replaced_and_all_else_stays() {
    let with_baggage = context(&[("traceparent", FRESH), ("baggage", "tenant=blue")]);
    let others = [
        ("Nats-Msg-Id", "order-7"),
        ("x-step", "first"),
        ("x-step", "second"),
        ("X-Traceparent", "not ours"),
    ];
    let stale: [&[(&str, &str)]; 4] = [
        &[],
        &[("traceparent", STALE), ("traceparent", STALE)],
        &[
            ("Traceparent", STALE),
            ("TRACESTATE", "a=1"),
            ("tracestate", "b=2"),
        ],
        &[
            ("Xraceparent", STALE),
            ("Baggage", "a=1"),
            ("baggage", "b=2"),
        ],
    ];

    for stale in stale {
        let mut map = headers(&[stale, &others].concat());
        inject(&Propagator::new(), &with_baggage, &mut map);

        let ours = [("traceparent", FRESH), ("baggage", "tenant=blue")];
        assert_eq!(map, headers(&[&ours[..], &others].concat()), "{stale:?}");
    }
}

#[test]
fn without_a_context_the_headers_stay_as_they_are() {
    let before = headers(&[("Traceparent", STALE), ("x-step", "first")]);

    let mut after = before.clone();
    inject(&Propagator::new(), &Context::new(), &mut after);

    assert_eq!(after, before);
}

#[test]
fn removing_says_whether_there_was_anything_to_remove() {
    let rows = [
        ("traceparent", true),
        ("TraceParent", true),
        ("Xraceparent", true),
        ("x-traceparent", false),
    ];

    for (name, expected) in rows {
        let mut headers = headers(&[(name, STALE), ("x-step", "first")]);
        let mut carrier = MessageHeaders::new(&mut headers);

        assert_eq!(carrier.remove(&["traceparent"]), expected, "{name}");
        carrier.finish();
        assert_eq!(headers.len(), if expected { 1 } else { 2 });
    }
    assert!(!MessageHeaders::new(&mut HeaderMap::new()).remove(&["traceparent"]));
}

#[test]
fn the_exact_name_is_read_first_then_any_case_then_what_old_servers_make_of_it() {
    let rows: [(&List<'_>, Option<&str>); 8] = [
        (&[("traceparent", FRESH)], Some(FRESH)),
        (&[("Traceparent", FRESH)], Some(FRESH)),
        (&[("Xraceparent", FRESH)], Some(FRESH)),
        (
            &[("Traceparent", STALE), ("traceparent", FRESH)],
            Some(FRESH),
        ),
        (
            &[("Xraceparent", STALE), ("Traceparent", FRESH)],
            Some(FRESH),
        ),
        (&[("Xraceparent", STALE), ("traceparent", "broken")], None),
        (
            &[("traceparent", STALE), ("traceparent", FRESH)],
            Some(FRESH),
        ),
        (&[("x-traceparent", FRESH)], None),
    ];

    for (headers, expected) in rows {
        let found = traceparent(&context(headers));
        assert_eq!(found.as_deref(), expected, "{headers:?}");
    }
    assert_eq!(traceparent(&extract(&Propagator::new(), None)), None);
}

#[test]
fn of_several_spellings_the_same_one_counts_in_every_map() {
    for _ in 0..32 {
        let found = context(&[
            ("TRACEPARENT", STALE),
            ("TraceParent", STALE),
            ("Traceparent", FRESH),
        ]);
        assert_eq!(traceparent(&found).as_deref(), Some(FRESH));
    }
}

/// Writes and reads these fields as they are.
#[derive(Debug)]
struct Fields(&'static [(&'static str, &'static str)]);

impl TextMapPropagator for Fields {
    fn inject_context(&self, _: &Context, injector: &mut dyn Injector) {
        for (name, value) in self.0 {
            injector.set(name, (*value).to_owned());
        }
    }
    fn extract_with_context(&self, base: &Context, _: &dyn Extractor) -> Context {
        base.clone()
    }
    fn fields(&self) -> FieldIter<'_> {
        FieldIter::new(&[])
    }
}

#[test]
fn a_propagator_may_write_what_nats_cannot_carry() {
    let fields = Fields(&[
        ("b3", "1-2-1"),
        ("", "no name"),
        ("with space", "7"),
        ("with:colon", "7"),
        ("größe", "7"),
        ("line-end", "7\r\nNats-Rollup: all"),
        ("B3", "3-4-1"),
    ]);

    let mut after = headers(&[("x-step", "first")]);
    inject(&fields, &Context::new(), &mut after);

    assert_eq!(
        after,
        headers(&[("x-step", "first"), ("b3", "1-2-1"), ("B3", "3-4-1")])
    );
}

#[test]
fn room_is_what_the_message_and_a_stream_leave() {
    let some = [("name", "value")];
    let block = BLOCK + "name: value\r\n".len();
    let much = "x".repeat(MAX_STREAM_HEADERS);
    let rows: [(&List<'_>, usize, usize, usize); 6] = [
        (&[], 1000, 200, 1000 - 200 - BLOCK),
        (&some, 1000, 200, 1000 - 200 - block),
        (&some, 1000, 1000, 0),
        (&some, 1000, 1001, 0),
        (&some, 1 << 20, 200, MAX_STREAM_HEADERS - block),
        (
            &[("name", &much)],
            1 << 20,
            0,
            (1 << 20) - block + "value".len() - much.len(),
        ),
    ];

    for (list, max_payload, payload, expected) in rows {
        let room = MessageHeaders::new(&mut headers(list)).room(max_payload, payload);
        assert_eq!(room, expected, "{payload}");
    }
    let filling = &much[BLOCK + "name: \r\n".len()..];
    let room = MessageHeaders::new(&mut headers(&[("name", filling)])).room(1 << 20, 0);
    assert_eq!(room, 0);
}
