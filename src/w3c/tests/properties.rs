use opentelemetry::Context;
use opentelemetry::baggage::{Baggage, BaggageExt, KeyValueMetadata};
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::super::propagator::{Incoming, Outgoing};
use super::super::traceparent::TraceParent;
use super::super::{baggage, tracestate};
use super::SAMPLED;
use super::baggage::entries;

const TRACEPARENT_LIKE: &str =
    "[0-9a-gA-G.-]{50,60}|[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}[-.]?";
const OCTETS: &str = "[!#-+--:<-\\[\\]-~]{0,8}";
const TOKEN: &str = "[!#$%&'*+.^_`|~0-9A-Za-z-]{1,12}";
/// Text made of what matters to the grammars.
const SPICY: &str = "[a-c0-9@=,;%+ \t\"\\\\é\u{0}\r\n\u{7f}-]{0,40}";
const LIST_MEMBER: &str = "[a-z0-9][a-z0-9_*/@-]{0,20}=[ -+--<>-~]{0,12}[!-+--<>-~]";

/// Fit to be header values of any protocol. A list may hold spaces, baggage may not.
fn are_printable(sent: &Outgoing) -> bool {
    let list = sent.tracestate.iter().all(|list| is_within(list, b' '));
    list && sent.baggage.iter().all(|list| is_within(list, b'!'))
}

fn is_within(header: &str, first: u8) -> bool {
    !header.is_empty() && header.bytes().all(|byte| (first..=b'~').contains(&byte))
}

/// A list in its plain form: members joined by commas, nothing around them.
fn plain(list: &[String]) -> String {
    let members: Vec<_> = list
        .iter()
        .map(|member| member.trim_matches(['\t', ' ']))
        .collect();
    members.join(",")
}

fn bytes(values: &[Vec<u8>]) -> Vec<&[u8]> {
    values.iter().map(Vec::as_slice).collect()
}

proptest! {
    #[test]
    fn a_traceparent_is_written_as_it_is_read(
        trace_id in 1..=u128::MAX,
        parent_id in 1..=u64::MAX,
        flags in 0..4u8,
    ) {
        let value = format!("00-{trace_id:032x}-{parent_id:016x}-{flags:02x}");

        let parsed = TraceParent::parse(value.as_bytes()).unwrap();

        prop_assert_eq!(parsed.trace_id, TraceId::from(trace_id));
        prop_assert_eq!(parsed.parent_id, SpanId::from(parent_id));
        prop_assert_eq!(parsed.flags, TraceFlags::new(flags));
        prop_assert_eq!(&parsed.write(), value.as_bytes());
    }

    #[test]
    fn a_traceparent_is_read_only_where_the_grammar_says_so(value in TRACEPARENT_LIKE) {
        let hex = |text: &str| text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        let mut parts = value.splitn(5, '-');
        let mut part = |length| parts.next().is_some_and(|p| p.len() == length && hex(p));
        let shaped = part(2) && part(32) && part(16) && part(2);
        let ends = match &value[..2] { "00" => value.len() == 55, "ff" => false, _ => true };
        prop_assume!(!value.contains(&"0".repeat(16)));

        prop_assert_eq!(TraceParent::parse(value.as_bytes()).is_some(), shaped && ends);
    }

    #[test]
    fn a_legal_tracestate_is_written_as_it_is_read(
        members in vec(LIST_MEMBER, 1..=32),
        blank in "[ \t]{0,2}",
    ) {
        let headers: Vec<_> = members.iter().map(|m| format!("{blank}{m}{blank},")).collect();
        let incoming = Incoming {
            traceparent: TraceParent::parse(SAMPLED.as_bytes()),
            tracestate: headers.iter().map(String::as_bytes).collect(),
            baggage: Vec::new(),
        };

        let sent = Outgoing::from_context(&incoming.onto(&Context::new(), |_| true).context);

        prop_assert_eq!(sent.tracestate, Some(plain(&members)));
    }

    #[test]
    fn baggage_is_read_as_it_was_written(
        pairs in vec((TOKEN, ".{0,20}", vec((TOKEN, option::of(OCTETS)), 0..3)), 1..20),
    ) {
        let members = pairs.into_iter().map(|(key, value, properties)| {
            let property = |(key, value): (String, Option<String>)| match value {
                Some(value) => format!("{key}={}", value.replace('%', "%2C")),
                None => key,
            };
            let properties: Vec<_> = properties.into_iter().map(property).collect();
            KeyValueMetadata::new(key, value, properties.join(";"))
        });
        let baggage: Baggage = members.collect();

        let written = baggage::write(&baggage).header.unwrap();
        let read = baggage::parse(&[written.as_bytes()], |_| true).accepted.unwrap();

        prop_assert_eq!(entries(&read), entries(&baggage));
    }

    #[test]
    fn a_list_is_malformed_whether_its_members_are_wanted_or_not(
        headers in vec(vec(SPICY, 0..60).prop_map(|members| members.join(",")), 0..4),
    ) {
        let values: Vec<_> = headers.iter().map(String::as_bytes).collect();

        for accepts in [|_: &str| true, |name: &str| name.len().is_multiple_of(2), |_: &str| false] {
            let wanted = baggage::parse(&values, accepts);
            prop_assert_eq!(baggage::is_malformed(&values, accepts), wanted.is_malformed);
        }
    }

    #[test]
    fn what_is_read_from_any_bytes_is_written_and_read_again_the_same(
        tracestate in vec(vec(any::<u8>(), 0..40), 0..3),
        baggage in vec(any::<u8>(), 0..40),
        spicy_baggage in SPICY,
        traceparent in vec(any::<u8>(), 0..60),
    ) {
        TraceParent::parse(&traceparent);
        let incoming = Incoming {
            traceparent: TraceParent::parse(SAMPLED.as_bytes()),
            tracestate: bytes(&tracestate),
            baggage: vec![&baggage, spicy_baggage.as_bytes()],
        };

        let sent = Outgoing::from_context(&incoming.onto(&Context::new(), |_| true).context);
        let again = Incoming {
            traceparent: sent.traceparent.and_then(|value| TraceParent::parse(&value)),
            tracestate: sent.tracestate.iter().map(String::as_bytes).collect(),
            baggage: sent.baggage.iter().map(String::as_bytes).collect(),
        };
        let sent_again = Outgoing::from_context(&again.onto(&Context::new(), |_| true).context);

        prop_assert_eq!(&sent_again.tracestate, &sent.tracestate);
        prop_assert_eq!(&sent_again.baggage, &sent.baggage);
        prop_assert!(are_printable(&sent));
    }

    #[test]
    fn spicy_lists_are_read_whole_or_not_at_all(list in SPICY) {
        if let Some(read) = tracestate::parse(&[list.as_bytes()]) {
            let members = list.split(',').filter(|m| !m.trim_matches(['\t', ' ']).is_empty());
            let sent = read.complete.or_else(|| tracestate::write(&read.held));
            prop_assert_eq!(sent, Some(plain(&members.map(str::to_owned).collect::<Vec<_>>())));
        }
    }

    #[test]
    fn whatever_the_api_types_hold_only_printable_ascii_is_sent(
        state in vec((SPICY, SPICY), 0..5),
        members in vec((TOKEN, ".{0,20}|\\PC{0,20}", SPICY), 0..5),
        flags in any::<u8>(),
    ) {
        let members = members.into_iter().map(|(k, v, p)| KeyValueMetadata::new(k, v, p));
        let span_context = SpanContext::new(
            TraceId::from(1),
            SpanId::from(1),
            TraceFlags::new(flags),
            false,
            TraceState::from_key_value(state).unwrap_or_default(),
        );
        let context = Context::new()
            .with_remote_span_context(span_context)
            .with_baggage(members.collect::<Baggage>());

        let sent = Outgoing::from_context(&context);

        prop_assert!(sent.traceparent.is_some_and(|value| TraceParent::parse(&value).is_some()));
        prop_assert!(are_printable(&sent));
    }
}
