//! The `traceparent` vectors of the W3C harness (w3c/trace-context, test/test.py), by its names.

use std::collections::HashSet;

use opentelemetry::propagation::Extractor;
use opentelemetry::trace::TraceContextExt;

use super::{Headers, PARENT, SAMPLED, TRACE, hop, trace_id};

fn continues(value: &str) {
    assert_eq!(trace_id(&hop([("traceparent", value)])), TRACE, "{value:?}");
}

/// Nothing is extracted, a new trace begins, and its id holds nothing of the refused one.
fn restarts(values: &[&str]) {
    for value in values {
        let received = Headers::new([("traceparent", *value)]).extract();
        assert!(!received.has_active_span(), "{value:?}");

        let sent = hop([("traceparent", *value)]);
        assert!(!value.contains(trace_id(&sent)), "{value:?}");
        assert_ne!(trace_id(&sent), "0".repeat(32), "{value:?}");
    }
}

#[test]
fn test_both_traceparent_and_tracestate_missing() {
    let sent = hop([]);

    assert_eq!(sent.keys(), ["traceparent"]);
}

#[test]
fn test_traceparent_included_tracestate_missing() {
    let sent = hop([("traceparent", SAMPLED)]);

    assert_eq!(trace_id(&sent), TRACE);
    assert!(
        !sent
            .get("traceparent")
            .unwrap()
            .contains(&format!("-{PARENT}-"))
    );
}

#[test]
fn test_traceparent_duplicated() {
    let other = SAMPLED.replace("789012-", "789011-");

    let sent = hop([("traceparent", other.as_str()), ("traceparent", SAMPLED)]);

    assert_ne!(trace_id(&sent), TRACE);
    assert!(!other.contains(trace_id(&sent)));
}

#[test]
fn test_traceparent_header_name() {
    for name in ["trace-parent", "trace.parent"] {
        assert_ne!(trace_id(&hop([(name, SAMPLED)])), TRACE, "{name}");
    }
}

#[test]
fn test_traceparent_header_name_valid_casing() {
    for name in ["TraceParent", "TrAcEpArEnT", "TRACEPARENT"] {
        assert_eq!(trace_id(&hop([(name, SAMPLED)])), TRACE, "{name}");
    }
}

#[test]
fn test_traceparent_version_0x00() {
    restarts(&[
        "00-12345678901234567890123456789012-1234567890123456-01.",
        "00-12345678901234567890123456789012-1234567890123456-01-what-the-future-will-be-like",
    ]);
}

#[test]
fn test_traceparent_version_0xcc() {
    continues("cc-12345678901234567890123456789012-1234567890123456-01");
    continues(
        "cc-12345678901234567890123456789012-1234567890123456-01-what-the-future-will-be-like",
    );
    restarts(&[
        "cc-12345678901234567890123456789012-1234567890123456-01.what-the-future-will-be-like",
    ]);
}

#[test]
fn test_traceparent_version_0xff() {
    restarts(&["ff-12345678901234567890123456789012-1234567890123456-01"]);
}

#[test]
fn test_traceparent_version_illegal_characters() {
    restarts(&[
        ".0-12345678901234567890123456789012-1234567890123456-01",
        "0.-12345678901234567890123456789012-1234567890123456-01",
    ]);
}

#[test]
fn test_traceparent_version_too_long() {
    restarts(&[
        "000-12345678901234567890123456789012-1234567890123456-01",
        "0000-12345678901234567890123456789012-1234567890123456-01",
    ]);
}

#[test]
fn test_traceparent_version_too_short() {
    restarts(&["0-12345678901234567890123456789012-1234567890123456-01"]);
}

#[test]
fn test_traceparent_trace_id_all_zero() {
    restarts(&["00-00000000000000000000000000000000-1234567890123456-01"]);
}

#[test]
fn test_traceparent_trace_id_illegal_characters() {
    restarts(&[
        "00-.2345678901234567890123456789012-1234567890123456-01",
        "00-1234567890123456789012345678901.-1234567890123456-01",
    ]);
}

#[test]
fn test_traceparent_trace_id_too_long() {
    restarts(&["00-123456789012345678901234567890123-1234567890123456-01"]);
}

#[test]
fn test_traceparent_trace_id_too_short() {
    restarts(&["00-1234567890123456789012345678901-1234567890123456-01"]);
}

#[test]
fn test_traceparent_parent_id_all_zero() {
    restarts(&["00-12345678901234567890123456789012-0000000000000000-01"]);
}

#[test]
fn test_traceparent_parent_id_illegal_characters() {
    restarts(&[
        "00-12345678901234567890123456789012-.234567890123456-01",
        "00-12345678901234567890123456789012-123456789012345.-01",
    ]);
}

#[test]
fn test_traceparent_parent_id_too_long() {
    restarts(&["00-12345678901234567890123456789012-12345678901234567-01"]);
}

#[test]
fn test_traceparent_parent_id_too_short() {
    restarts(&["00-12345678901234567890123456789012-123456789012345-01"]);
}

#[test]
fn test_traceparent_trace_flags_illegal_characters() {
    restarts(&[
        "00-12345678901234567890123456789012-1234567890123456-.0",
        "00-12345678901234567890123456789012-1234567890123456-0.",
    ]);
}

#[test]
fn test_traceparent_trace_flags_too_long() {
    restarts(&["00-12345678901234567890123456789012-1234567890123456-001"]);
}

#[test]
fn test_traceparent_trace_flags_too_short() {
    restarts(&["00-12345678901234567890123456789012-1234567890123456-1"]);
}

#[test]
fn test_traceparent_ows_handling() {
    continues(&format!(" {SAMPLED}"));
    continues(&format!("\t{SAMPLED}"));
    continues(&format!("{SAMPLED} "));
    continues(&format!("{SAMPLED}\t"));
    continues(&format!("\t {SAMPLED} \t"));
}

#[test]
fn test_propagates_random_flag() {
    for flags in ["02", "03"] {
        let value = format!("00-{TRACE}-{PARENT}-{flags}");

        let sent = hop([("traceparent", value.as_str())]);

        assert_eq!(trace_id(&sent), TRACE);
        assert!(
            sent.get("traceparent").unwrap().ends_with(flags),
            "{sent:?}"
        );
    }
}

fn three_requests(headers: &[(&str, &str)]) -> [HashSet<String>; 2] {
    let sent = [(); 3].map(|()| hop(headers.iter().copied()));
    let cut = |from, to| {
        let part = |headers: &Headers| headers.get("traceparent").unwrap()[from..to].to_owned();
        sent.iter().map(part).collect()
    };
    [cut(3, 35), cut(36, 52)]
}

#[test]
fn test_multiple_requests_with_valid_traceparent() {
    let [trace_ids, parent_ids] = three_requests(&[("traceparent", SAMPLED)]);

    assert_eq!(trace_ids, HashSet::from([TRACE.to_owned()]));
    assert_eq!(parent_ids.len(), 3);
}

#[test]
fn test_multiple_requests_without_traceparent() {
    let [_, parent_ids] = three_requests(&[]);

    assert_eq!(parent_ids.len(), 3);
}

#[test]
fn test_multiple_requests_with_illegal_traceparent() {
    let zero = "00-00000000000000000000000000000000-1234567890123456-01";

    let [trace_ids, parent_ids] = three_requests(&[("traceparent", zero)]);

    assert!(!trace_ids.contains(&"0".repeat(32)));
    assert_eq!(parent_ids.len(), 3);
}
