//! What other languages write, and what becomes of it.

use futures::StreamExt as _;
use integration::nats::process_span;
use integration::nats::wire::{Wire, block};
use integration::nats::{client, header_map, in_time, received_headers, subscribed};
use integration::unique;
use opentelemetry::Context;
use opentelemetry::baggage::BaggageExt as _;
use opentelemetry::trace::TraceContextExt as _;
use otel_messaging::nats::{Consumer, Producer};
use otel_messaging::testing::Recorder;

use crate::shop::{FRESH, STALE, named, of_fresh, traceparent};

/// Headers as a writer puts them on the wire, line by line, and what we make of them. `FRESH` and
/// `STALE` stand for those traceparents.
struct Foreign {
    writer: &'static str,
    lines: &'static [&'static str],
    earlier: Option<&'static str>,
    baggage: &'static [(&'static str, &'static str)],
    resent: &'static [(&'static str, &'static str)],
}

/// Each carries `FRESH`.
const FOREIGN: [Foreign; 10] = [
    Foreign {
        writer: "Python, .NET, Node: lower case",
        lines: &[
            "traceparent: FRESH",
            "tracestate: a=1",
            "baggage: tenant=blue%20sky",
        ],
        earlier: None,
        baggage: &[("tenant", "blue sky")],
        resent: &[("tracestate", "a=1"), ("baggage", "tenant=blue%20sky")],
    },
    Foreign {
        writer: "Go: capitalised names, and plus, equals sign and slash bare",
        lines: &[
            "Traceparent: FRESH",
            "Tracestate: a=1",
            "Baggage: formula=a+b=c/d",
        ],
        earlier: None,
        baggage: &[("formula", "a+b=c/d")],
        resent: &[("tracestate", "a=1"), ("baggage", "formula=a%2Bb%3Dc/d")],
    },
    Foreign {
        writer: "Go, behind a writer of lower case: both spellings",
        lines: &[
            "Traceparent: STALE",
            "Tracestate: stale=1",
            "Baggage: tenant=red",
            "traceparent: FRESH",
            "tracestate: fresh=1",
            "baggage: tenant=blue",
        ],
        earlier: Some(STALE),
        baggage: &[("tenant", "blue")],
        resent: &[("tracestate", "fresh=1"), ("baggage", "tenant=blue")],
    },
    Foreign {
        writer: "by hand, forwarding: appends",
        lines: &[
            "traceparent: STALE",
            "baggage: tenant=red",
            "traceparent: FRESH",
            "baggage: tenant=blue",
        ],
        earlier: Some(STALE),
        baggage: &[("tenant", "blue")],
        resent: &[("baggage", "tenant=blue")],
    },
    Foreign {
        writer: "a gateway: all upper case, and no blank behind the colon",
        lines: &["TRACEPARENT:FRESH", "BAGGAGE:tenant=7"],
        earlier: None,
        baggage: &[("tenant", "7")],
        resent: &[("baggage", "tenant=7")],
    },
    Foreign {
        writer: "a server before 2.14 that takes part in tracing",
        lines: &["Xraceparent: FRESH", "Nats-Trace-Dest: trace disabled"],
        earlier: None,
        baggage: &[],
        resent: &[],
    },
    Foreign {
        writer: "Python, behind such a server",
        lines: &["Xraceparent: STALE", "traceparent: FRESH"],
        earlier: None,
        baggage: &[],
        resent: &[],
    },
    Foreign {
        writer: "Java: members in an order of its own",
        lines: &[
            "traceparent: FRESH",
            "baggage: tenant=7,city=ulm,shop=b%3Da",
        ],
        earlier: None,
        baggage: &[("city", "ulm"), ("shop", "b=a"), ("tenant", "7")],
        resent: &[("baggage", "city=ulm,shop=b%3Da,tenant=7")],
    },
    Foreign {
        writer: "stock Rust: a tracestate that is empty",
        lines: &["traceparent: FRESH", "tracestate: "],
        earlier: None,
        baggage: &[],
        resent: &[],
    },
    Foreign {
        writer: "by hand: blanks around, and what is not text in between",
        lines: &[
            "x: \u{0}\u{7f}",
            "traceparent:   FRESH  ",
            "baggage: tenant=é",
        ],
        earlier: None,
        baggage: &[("tenant", "é")],
        resent: &[("baggage", "tenant=%C3%A9")],
    },
];

fn baggage(context: &Context) -> Vec<(String, String)> {
    let members = context.baggage().iter();
    let mut members: Vec<_> = members
        .map(|(key, (value, _))| (key.to_string(), value.to_string()))
        .collect();
    members.sort();
    members
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_other_languages_write_is_read_and_written_as_w3c_has_it() {
    let recorder = Recorder::new();
    let (orders, payments) = (unique("orders"), unique("payments"));
    let consumer = Consumer::wrap(&recorder.telemetry(), client().await);
    let mut messages = consumer
        .subscribe(orders.clone())
        .await
        .expect("a subscription");
    subscribed(consumer.inner()).await;
    let producer = Producer::wrap(&recorder.telemetry(), client().await);
    let (mut writer, mut reader) = (Wire::connect().await, Wire::connect().await);
    reader.subscribe(&payments).await;

    for foreign in &FOREIGN {
        recorder.clear();
        println!("{}", foreign.writer);
        let lines = foreign.lines.iter();
        let lines: Vec<String> = lines
            .map(|line| line.replace("FRESH", FRESH).replace("STALE", STALE))
            .collect();
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        writer.publish(&orders, &block(&lines), b"two books").await;
        let order = in_time(messages.next()).await.expect("a message");
        // As who forwards a message with all that it came with.
        let forward = async |_| {
            let headers = order.headers.clone().unwrap_or_default();
            let payment = producer.publish_with_headers(payments.clone(), headers, "7 €".into());
            payment.await
        };
        order.process(forward).await.expect("a publish");

        let context = order.creation_context().span().span_context().clone();
        assert_eq!(traceparent(&context), FRESH);
        let members = baggage(order.creation_context());
        let members = members.iter().map(|(key, value)| (&**key, &**value));
        assert_eq!(members.collect::<Vec<_>>(), foreign.baggage);
        let process = of_fresh(process_span(&*orders));
        let earlier = foreign.earlier.map(named);
        let process = earlier
            .iter()
            .fold(process, |span, earlier| span.link(earlier));
        process.assert(&recorder.span(&format!("process {orders}")));
        let publish = recorder.span(&format!("publish {payments}")).span_context;
        let publish = traceparent(&publish);
        let ours = [&[("traceparent", &*publish)], foreign.resent].concat();
        let mut resent = reader.next().await.headers();
        resent.retain(|(name, _)| *name != b"x" && !name.starts_with(b"Nats-"));
        resent.sort();
        assert_eq!(resent, received_headers(Some(&header_map(&ours))));
    }

    let conflicting = FOREIGN.iter().filter(|foreign| foreign.earlier.is_some());
    let problems = recorder.counter("otel_messaging.context.problems");
    let conflicts = problems.iter().filter(|(attributes, _)| {
        let mut values = attributes
            .iter()
            .map(|attribute| attribute.value.to_string());
        values.any(|value| value == "conflicting")
    });
    let conflicts: u64 = conflicts.map(|(_, count)| count).sum();
    assert_eq!(conflicts, conflicting.count() as u64);
}
