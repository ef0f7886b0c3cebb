//! What other languages write, and what becomes of it.
#![expect(clippy::expect_used, reason = "a test panics where it fails")]

use integration::kafka::{
    PATIENCE, consumer_in, next, process_span, producer, read, topic, wire_headers,
};
use integration::unique;
use opentelemetry::trace::TraceContextExt as _;
use otel_messaging::testing::Recorder;
use rdkafka::producer::FutureRecord;

use crate::wire::{FRESH, STALE, baggage, named, send_raw, texts, traceparent};

/// A message as another language writes it, and what we make of it.
struct Foreign {
    writer: &'static str,
    headers: &'static [(&'static str, &'static str)],
    earlier: Option<&'static str>,
    baggage: &'static [(&'static str, &'static str)],
    resent: &'static [(&'static str, &'static str)],
}

/// As measured on real brokers; each carries `FRESH`.
const FOREIGN: [Foreign; 11] = [
    Foreign {
        writer: "Python, forwarding: appends, and writes a space as plus",
        headers: &[
            ("traceparent", STALE),
            ("tracestate", "stale=1"),
            ("baggage", "tenant=red"),
            ("traceparent", FRESH),
            ("tracestate", "fresh=1"),
            ("baggage", "tenant=blue+sky"),
        ],
        earlier: Some(STALE),
        baggage: &[("tenant", "blue+sky")],
        resent: &[("tracestate", "fresh=1"), ("baggage", "tenant=blue%2Bsky")],
    },
    Foreign {
        writer: ".NET, forwarding within a span: appends the same again",
        headers: &[
            ("traceparent", FRESH),
            ("tracestate", "first=1"),
            ("traceparent", FRESH),
            ("tracestate", "second=2"),
        ],
        earlier: None,
        baggage: &[],
        resent: &[("tracestate", "first=1,second=2")],
    },
    Foreign {
        writer: "Python: leaves properties as they are",
        headers: &[
            ("traceparent", FRESH),
            ("baggage", "tenant=7;since=2024;vip,city=K%C3%B6ln"),
        ],
        earlier: None,
        baggage: &[("city", "Köln"), ("tenant", "7")],
        resent: &[("baggage", "city=K%C3%B6ln,tenant=7;since=2024;vip")],
    },
    Foreign {
        writer: "Java: in an order of its own",
        headers: &[
            ("baggage", "tenant=7,city=ulm,shop=b%3Da"),
            ("tracestate", "foo@@bar=1,rojo=00f067aa0ba902b7"),
            ("traceparent", FRESH),
        ],
        earlier: None,
        baggage: &[("city", "ulm"), ("shop", "b=a"), ("tenant", "7")],
        resent: &[
            ("tracestate", "foo@@bar=1,rojo=00f067aa0ba902b7"),
            ("baggage", "city=ulm,shop=b%3Da,tenant=7"),
        ],
    },
    Foreign {
        writer: "Go: plus, equals sign and slash bare",
        headers: &[("traceparent", FRESH), ("baggage", "formula=a+b=c/d==")],
        earlier: None,
        baggage: &[("formula", "a+b=c/d==")],
        resent: &[("baggage", "formula=a%2Bb%3Dc/d%3D%3D")],
    },
    Foreign {
        writer: "Go on NATS: capitalised names",
        headers: &[
            ("Traceparent", FRESH),
            ("Tracestate", "vendor=1"),
            ("Baggage", "tenant=7"),
        ],
        earlier: None,
        baggage: &[("tenant", "7")],
        resent: &[("tracestate", "vendor=1"), ("baggage", "tenant=7")],
    },
    Foreign {
        writer: "a gateway: all upper case",
        headers: &[
            ("TRACEPARENT", FRESH),
            ("TRACESTATE", "vendor=1"),
            ("BAGGAGE", "tenant=7"),
        ],
        earlier: None,
        baggage: &[("tenant", "7")],
        resent: &[("tracestate", "vendor=1"), ("baggage", "tenant=7")],
    },
    Foreign {
        writer: "Go on NATS, behind a writer of lower case: both spellings",
        headers: &[
            ("Traceparent", STALE),
            ("Tracestate", "stale=1"),
            ("Baggage", "tenant=red"),
            ("traceparent", FRESH),
            ("tracestate", "fresh=1"),
            ("baggage", "tenant=blue"),
        ],
        earlier: Some(STALE),
        baggage: &[("tenant", "blue")],
        resent: &[("tracestate", "fresh=1"), ("baggage", "tenant=blue")],
    },
    Foreign {
        writer: "Node: percent escapes",
        headers: &[
            ("traceparent", FRESH),
            ("baggage", "tenant=blue%20sky,rate=100%25,path=a%2Fb"),
        ],
        earlier: None,
        baggage: &[("path", "a/b"), ("rate", "100%"), ("tenant", "blue sky")],
        resent: &[("baggage", "path=a/b,rate=100%25,tenant=blue%20sky")],
    },
    Foreign {
        writer: "by hand: percent signs that escape nothing",
        headers: &[("traceparent", FRESH), ("baggage", "rate=100%,code=%zz")],
        earlier: None,
        baggage: &[("code", "%zz"), ("rate", "100%")],
        resent: &[("baggage", "code=%25zz,rate=100%25")],
    },
    Foreign {
        writer: "stock Rust: a tracestate that is empty",
        headers: &[("traceparent", FRESH), ("tracestate", "")],
        earlier: None,
        baggage: &[],
        resent: &[],
    },
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_other_languages_write_is_read_and_written_as_w3c_has_it() {
    let recorder = Recorder::new();
    let (orders, payments) = (topic("orders").await, topic("payments").await);
    let group = unique("group");
    for foreign in &FOREIGN {
        send_raw(&orders, &texts(foreign.headers)).await;
    }
    let consumer = consumer_in(&group, &recorder.telemetry(), &orders);
    let producer = producer(&recorder.telemetry());
    let fresh = named(FRESH);

    let mut expected = Vec::new();
    for foreign in &FOREIGN {
        recorder.clear();
        println!("{}", foreign.writer);
        let received = next(&consumer).await;
        let record = FutureRecord::to(&payments).key("payment-7").payload("7 €");
        received
            .process(async |_| producer.send(record, PATIENCE).await.map_err(|(e, _)| e))
            .await
            .expect("a delivery");

        let context = received.creation_context().span().span_context().clone();
        assert_eq!(traceparent(&context), FRESH);
        assert!(context.is_remote());
        let members = baggage(received.creation_context());
        let members = members.iter().map(|(key, value)| (&**key, &**value));
        assert_eq!(members.collect::<Vec<_>>(), foreign.baggage);
        let process = process_span(&received, &group)
            .child_of(&fresh)
            .link(&fresh);
        let earlier = foreign.earlier.map(named);
        let process = earlier
            .iter()
            .fold(process, |span, earlier| span.link(earlier));
        process.assert(&recorder.span(&format!("process {orders}")));
        let send = recorder.span(&format!("send {payments}")).span_context;
        let resent = [("traceparent", &*traceparent(&send))];
        expected.push(texts(&[&resent, foreign.resent].concat()));
    }

    let resent = read(&payments, FOREIGN.len()).await;
    assert_eq!(
        resent.iter().map(wire_headers).collect::<Vec<_>>(),
        expected
    );
    assert_eq!(
        recorder.counter_total("otel_messaging.context.problems"),
        2,
        "the two that conflict"
    );
}
