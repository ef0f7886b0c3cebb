use std::time::UNIX_EPOCH;

use opentelemetry::trace::{SpanId, TraceId};

use super::*;
use crate::seen::Seen;
use crate::seen::testing::seen;
use crate::spans::SpanFacts;

const TRACE: u128 = 7;

fn at(milliseconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(milliseconds)
}

/// A message with the context of this span, of the trace or of another.
fn hop(destination: &str, offset: i64, span: u64, time: u64, is_outside: bool) -> Hop {
    let trace = TRACE + u128::from(is_outside);
    Hop {
        seen: Seen {
            place: Place::Offset {
                partition: 0,
                offset,
            },
            ..seen(destination, trace, span, Some(at(time)))
        },
        remarks: Vec::new(),
        is_outside,
    }
}

fn span(number: u64, kind: Kind, parent: Option<u64>, start: u64) -> Span {
    Span {
        id: (TraceId::from(TRACE), number.into()),
        parent: parent.map(SpanId::from),
        links: Vec::new(),
        service: "shop".into(),
        name: number.to_string(),
        kind,
        start: at(start),
        duration: Duration::from_millis(10),
        is_error: false,
        facts: SpanFacts::default(),
    }
}

fn linked(number: u64, to: &[u64], start: u64) -> Span {
    let links = to.iter().map(|to| (TraceId::from(TRACE), (*to).into()));
    Span {
        links: links.collect(),
        ..span(number, Kind::Consumer, None, start)
    }
}

/// The tree, a line for each.
fn drawn(hops: &[Hop], spans: &[Span]) -> Vec<String> {
    let tree = joined(hops, spans);
    let lines = tree.iter().map(|placed| {
        let mut line = "-".repeat(placed.depth);
        match placed.node {
            Node::Message(hop) => line += &format!("{} {}", hop.seen.destination, hop.seen.place),
            Node::Span(span) => line += &span.name,
        }
        if let Some(waited) = placed.waited {
            line += &format!(" after {}", waited.as_millis());
        }
        for gap in &placed.gaps {
            line += &format!(" {gap:?}");
        }
        line
    });
    lines.collect()
}

#[test]
fn a_message_is_between_the_span_that_sent_it_and_those_that_took_it() {
    let hops = [hop("kafka:orders", 1, 2, 5, false)];
    let spans = [
        // By its parent, and by a link in a trace of its own.
        span(3, Kind::Consumer, Some(2), 105),
        Span {
            id: (TraceId::from(99), SpanId::from(4_u64)),
            ..linked(4, &[2], 205)
        },
        span(5, Kind::Client, Some(3), 106),
        // Of the sender, and of another that says nothing of a message.
        span(6, Kind::Internal, Some(2), 4),
        Span {
            service: "shipping".into(),
            ..span(7, Kind::Producer, Some(2), 305)
        },
        span(2, Kind::Producer, Some(1), 1),
        span(1, Kind::Server, None, 0),
    ];
    let expected = [
        "1",
        "-2",
        "--6",
        "--kafka:orders 0/1",
        "---3 after 100",
        "----5",
        "---4 after 200",
        "---7 after 300",
    ];
    assert_eq!(drawn(&hops, &spans), expected);
}

#[test]
fn spans_alone_and_messages_alone_are_drawn_too() {
    let spans = [
        span(1, Kind::Producer, None, 0),
        span(2, Kind::Consumer, Some(1), 110),
        linked(3, &[1], 210),
    ];
    let expected = ["1", "-2 after 100", "-3 after 200"];
    assert_eq!(drawn(&[], &spans), expected);

    let hops = [
        hop("kafka:orders", 1, 2, 5, false),
        hop("kafka:payments", 1, 3, 9, true),
    ];
    let expected = [
        "kafka:orders 0/1 Unsent Untaken",
        "kafka:payments 0/1 Breaks Unsent Untaken",
    ];
    assert_eq!(drawn(&hops, &[]), expected);
}

#[test]
fn of_messages_with_one_context_each_span_has_its_own() {
    let hops = [
        hop("kafka:orders", 1, 1, 5, false),
        hop("kafka:orders", 2, 1, 5, false),
        hop("rabbitmq-queue:audit", 3, 1, 5, false),
    ];
    let about = |number, destination: &str, offset: Option<&str>| Span {
        facts: SpanFacts {
            destination: Some(destination.to_owned()),
            partition: offset.map(|_| "0".to_owned()),
            offset: offset.map(str::to_owned),
            operation: None,
        },
        ..span(number, Kind::Consumer, Some(1), number)
    };
    let spans = [
        span(1, Kind::Producer, None, 0),
        about(20, "orders", Some("2")),
        about(30, "shop:new:audit", None),
        about(40, "orders", None),
    ];
    let expected = [
        "1",
        "-kafka:orders 0/1",
        "--40 after 35",
        "-kafka:orders 0/2",
        "--20 after 15",
        "-rabbitmq-queue:audit 0/3",
        "--30 after 25",
    ];
    let mut found = drawn(&hops, &spans);
    // Those of one time are in any order.
    found.sort();
    let mut expected = expected.to_vec();
    expected.sort_unstable();
    assert_eq!(found, expected);
}

#[test]
fn what_is_missing_or_goes_in_a_circle_is_drawn_once() {
    let spans = [
        span(1, Kind::Server, Some(77), 0),
        linked(2, &[3], 1),
        linked(3, &[2], 2),
        linked(4, &[4], 3),
    ];
    let expected = ["1 Orphan", "2", "-3", "4"];
    assert_eq!(drawn(&[], &spans), expected);
}

#[test]
fn a_message_without_a_time_is_after_all_others_at_its_place() {
    let mut orders = hop("orders", 0, 1, 0, false);
    orders.seen.time = None;
    let hops = [orders, hop("audit", 0, 1, 20, false)];
    let spans = [
        span(1, Kind::Producer, None, 10),
        linked(2, &[1], 30),
        span(3, Kind::Internal, Some(1), 40),
    ];
    let tree = joined(&hops, &spans);
    let order: Vec<_> = tree
        .iter()
        .map(|placed| match placed.node {
            Node::Message(hop) => &*hop.seen.destination,
            Node::Span(span) => span.name.as_str(),
        })
        .collect();
    assert_eq!(order, ["1", "audit", "2", "3", "orders"]);
}
