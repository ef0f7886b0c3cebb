//! What becomes of the headers of a record, and what comes back.

use super::*;
use crate::telemetry::Telemetry;
use crate::w3c::Propagator;

const FRESH: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const STALE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const FIELDS: [&str; 3] = ["traceparent", "tracestate", "baggage"];

type Shown = (Vec<u8>, Option<Vec<u8>>);

fn list(headers: &[RawHeader<'_>]) -> OwnedHeaders {
    let headers = headers.iter().map(|RawHeader { name, value }| RawHeader {
        name,
        value: *value,
    });
    copied(headers)
}

fn shown(headers: Option<&OwnedHeaders>) -> Option<Vec<Shown>> {
    let headers = native::headers(headers?.as_borrowed());
    let own = |header: RawHeader<'_>| {
        let name = header.name.to_bytes().to_vec();
        (name, header.value.map(<[u8]>::to_vec))
    };
    Some(headers.map(own).collect())
}

const fn text(name: &'static std::ffi::CStr, value: &'static str) -> RawHeader<'static> {
    let value = Some(value.as_bytes());
    RawHeader { name, value }
}

/// What is nobody's context, each of it hard to copy.
fn others() -> [RawHeader<'static>; 5] {
    let raw = |name, value| RawHeader { name, value };
    [
        raw(c"\xff\xfename", Some(&b"\xff\xfe\0value"[..])),
        raw(c"null", None),
        raw(c"empty", Some(&[])),
        raw(c"null", None),
        raw(c"", Some(b"no name")),
    ]
}

fn with_stale() -> OwnedHeaders {
    let [first, second, third, fourth, fifth] = others();
    list(&[
        first,
        text(c"TraceParent", STALE),
        second,
        third,
        text(c"traceparent", STALE),
        RawHeader {
            name: c"traceparent",
            value: None,
        },
        fourth,
        text(c"BAGGAGE", "tenant=blue"),
        fifth,
    ])
}

fn fresh() -> Context {
    let headers = list(&[text(c"traceparent", FRESH)]);
    let headers = headers.as_borrowed();
    let extracted = Telemetry::new().extract(&Context::new(), Some(headers), |_| true);
    extracted.context
}

#[test]
fn what_is_there_of_a_trace_goes_and_all_else_stays_byte_for_byte() {
    let mut written = Some(with_stale());
    inject(&Propagator::new(), &fresh(), &mut written);

    let [first, second, third, fourth, fifth] = others();
    let expected = list(&[
        first,
        second,
        third,
        fourth,
        text(c"BAGGAGE", "tenant=blue"),
        fifth,
        text(c"traceparent", FRESH),
    ]);
    assert_eq!(shown(written.as_ref()), shown(Some(&expected)));
}

#[test]
fn removing_says_whether_there_was_anything_to_remove() {
    let mut headers = RecordHeaders::new(Some(with_stale()));

    assert!(!headers.remove(&["note"]));
    assert!(headers.remove(&FIELDS));
    assert!(!headers.remove(&FIELDS));
    assert!(!RecordHeaders::new(None).remove(&FIELDS));
    assert!(!RecordHeaders::new(Some(OwnedHeaders::new())).remove(&FIELDS));
}

/// What the engine may do with the headers of a record.
type Change = fn(&mut RecordHeaders);

#[test]
fn a_record_comes_back_with_the_headers_that_it_was_given_whatever_was_done_to_them() {
    let append = |headers: &mut RecordHeaders| headers.append("traceparent", FRESH.as_bytes());
    let changes: [(Change, bool); 6] = [
        (|_| {}, false),
        (append, true),
        (
            |headers| {
                headers.remove(&FIELDS);
            },
            false,
        ),
        (
            |headers| {
                headers.remove(&FIELDS);
                headers.append("traceparent", FRESH.as_bytes());
                headers.append("baggage", b"a=1");
            },
            true,
        ),
        (
            |headers| {
                headers.append("baggage", b"a=1");
                headers.remove(&FIELDS);
                headers.append("traceparent", FRESH.as_bytes());
            },
            true,
        ),
        (
            |headers| {
                headers.remove(&["baggage"]);
                headers.append("baggage", b"a=1");
                headers.remove(&FIELDS);
            },
            true,
        ),
    ];
    let only_stale = || list(&[text(c"traceparent", STALE)]);
    let given: [fn() -> Option<OwnedHeaders>; 5] = [
        || None,
        || Some(OwnedHeaders::new()),
        || Some(list(&others())),
        || Some(with_stale()),
        || Some(list(&[text(c"traceparent", STALE)])),
    ];

    for (number, (change, has_more)) in changes.into_iter().enumerate() {
        for given in given {
            let mut headers = RecordHeaders::new(given());
            change(&mut headers);
            let (sent, before) = headers.into_parts();

            assert_eq!(before.has_more, has_more);
            let restored = before.restored(sent);
            assert_eq!(
                shown(restored.as_ref()),
                shown(given().as_ref()),
                "change {number}"
            );
        }
    }
    // Headers that are gone altogether leave no empty list behind.
    let mut headers = RecordHeaders::new(Some(only_stale()));
    headers.remove(&FIELDS);
    assert!(headers.into_parts().0.is_none());
}

#[test]
fn a_record_has_the_least_of_what_the_client_and_the_policy_allow() {
    let rule = |bytes: Option<usize>| {
        let rule = Rule::of("orders");
        bytes.map_or_else(
            || rule.clone(),
            |bytes| rule.clone().max_message_bytes(bytes),
        )
    };
    let rows = [
        (1000, None, 939),
        (1000, Some(2000), 939),
        (1000, Some(1000), 939),
        (1000, Some(999), 938),
        (1000, Some(60), 0),
        (1000, Some(0), 0),
    ];

    for (of_client, of_rule, expected) in rows {
        assert_eq!(
            record_limit(of_client, &rule(of_rule)),
            expected,
            "{of_rule:?}"
        );
    }
}
