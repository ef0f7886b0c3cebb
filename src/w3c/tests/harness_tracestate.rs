//! The `tracestate` vectors of the W3C harness (w3c/trace-context, test/test.py), by its names,
//! with the key grammar of level 2.

use opentelemetry::propagation::Extractor;

use super::{TRACE, UNSAMPLED, hop, trace_id};

/// The list that goes out of a service which received these headers with a good traceparent.
fn sent(headers: &[(&str, &str)]) -> Option<String> {
    let traceparent = [("traceparent", UNSAMPLED)];
    let sent = hop(traceparent.into_iter().chain(headers.iter().copied()));
    assert_eq!(trace_id(&sent), TRACE);
    sent.get("tracestate").map(str::to_owned)
}

fn inherits(values: &[&str], list: &str) {
    let headers: Vec<_> = values.iter().map(|value| ("tracestate", *value)).collect();
    assert_eq!(sent(&headers).as_deref(), Some(list), "{values:?}");
}

fn discards(values: &[&str]) {
    let headers: Vec<_> = values.iter().map(|value| ("tracestate", *value)).collect();
    assert_eq!(sent(&headers), None, "{values:?}");
}

#[test]
fn test_tracestate_included_traceparent_missing() {
    for list in ["foo=1", "foo=1,bar=2"] {
        assert_eq!(hop([("tracestate", list)]).keys(), ["traceparent"]);
    }
}

#[test]
fn test_tracestate_included_traceparent_included() {
    inherits(&["foo=1,bar=2"], "foo=1,bar=2");
}

#[test]
fn test_tracestate_header_name() {
    for name in ["trace-state", "trace.state"] {
        assert_eq!(sent(&[(name, "foo=1")]), None, "{name}");
    }
}

#[test]
fn test_tracestate_header_name_valid_casing() {
    for name in ["TraceState", "TrAcEsTaTe", "TRACESTATE"] {
        assert_eq!(sent(&[(name, "foo=1")]).as_deref(), Some("foo=1"), "{name}");
    }
}

#[test]
fn test_tracestate_empty_header() {
    discards(&[""]);
    inherits(&["foo=1", ""], "foo=1");
    inherits(&["", "foo=1"], "foo=1");
}

#[test]
fn test_tracestate_multiple_headers_different_keys() {
    inherits(
        &["foo=1,bar=2", "rojo=1,congo=2", "baz=3"],
        "foo=1,bar=2,rojo=1,congo=2,baz=3",
    );
}

#[test]
fn test_tracestate_duplicated_keys() {
    inherits(&["foo=1,foo=1"], "foo=1,foo=1");
    inherits(&["foo=1,foo=2"], "foo=1,foo=2");
    inherits(&["foo=1", "foo=1"], "foo=1,foo=1");
    inherits(&["foo=1", "foo=2"], "foo=1,foo=2");
}

#[test]
fn test_tracestate_all_allowed_characters() {
    let key = "abcdefghijklmnopqrstuvwxyz0123456789_-*/";
    let value: String = (' '..='~').filter(|c| !",=".contains(*c)).collect();

    for member in [
        format!("{key}={value}"),
        format!("{key}@a-z0-9_-*/={value}"),
        format!("{key}@={value}"),
    ] {
        inherits(&[&member], &member);
    }
}

#[test]
fn test_tracestate_ows_handling() {
    inherits(&["foo=1 \t , \t bar=2, \t baz=3"], "foo=1,bar=2,baz=3");
    inherits(&["foo=1\t \t,\t \tbar=2,\t \tbaz=3"], "foo=1,bar=2,baz=3");
    inherits(&[" foo=1"], "foo=1");
    inherits(&["\tfoo=1"], "foo=1");
    inherits(&["foo=1 "], "foo=1");
    inherits(&["foo=1\t"], "foo=1");
    inherits(&["\t foo=1 \t"], "foo=1");
}

#[test]
fn test_tracestate_key_illegal_characters() {
    discards(&["foo =1"]);
    discards(&["FOO=1"]);
    discards(&["foo.bar=1"]);
}

#[test]
fn test_tracestate_key_illegal_vendor_format() {
    inherits(&["foo@=1,bar=2"], "foo@=1,bar=2");
    discards(&["@foo=1,bar=2"]);
    inherits(&["foo@@bar=1,bar=2"], "foo@@bar=1,bar=2");
    inherits(&["foo@bar@baz=1,bar=2"], "foo@bar@baz=1,bar=2");
}

#[test]
fn test_tracestate_member_count_limit() {
    let members: Vec<_> = (1..=33).map(|n| format!("bar{n:02}={n:02}")).collect();
    let headers = [0..10, 10..20, 20..30].map(|range| members[range].join(","));
    let [first, second, third] = headers.each_ref().map(String::as_str);

    inherits(
        &[first, second, third, "bar31=31,bar32=32"],
        &members[..32].join(","),
    );
    discards(&[first, second, third, "bar31=31,bar32=32,bar33=33"]);
}

#[test]
fn test_tracestate_key_length_limit() {
    for key in [
        "z".repeat(256),
        format!("{}@{}", "t".repeat(241), "v".repeat(14)),
        format!("{}@v", "t".repeat(242)),
        format!("t@{}", "v".repeat(15)),
    ] {
        let member = format!("{key}=1");
        inherits(&["foo=1", &member], &format!("foo=1,{member}"));
    }
    discards(&["foo=1", &format!("{}=1", "z".repeat(257))]);
}

#[test]
fn test_tracestate_value_illegal_characters() {
    discards(&["foo=bar=baz"]);
    discards(&["foo=,bar=3"]);
}

#[test]
fn other_illegal_members_discard_the_list_and_leave_the_traceparent() {
    for member in [
        "foo",
        "=1",
        "foo==1",
        "foo=\u{e9}",
        "foo=1\r\nx: y",
        "foo=a\tb",
        "foo=\u{7f}",
        "é=1",
        "-a=1",
    ] {
        discards(&[&format!("bar=2,{member}")]);
    }
    discards(&[&format!("foo={}", "x".repeat(257))]);
}

#[test]
fn the_longest_list_that_the_grammar_allows_is_inherited() {
    let member = |n: u8| format!("{n:0>256}={}", "x".repeat(256));
    let list: Vec<_> = (0..32).map(member).collect();

    inherits(&[&list.join(",")], &list.join(","));
}

#[test]
fn a_leading_space_belongs_to_the_value() {
    inherits(&["foo= 1 , bar=2"], "foo= 1,bar=2");
}
