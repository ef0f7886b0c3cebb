//! What other programs write, and what becomes of it.
#![expect(clippy::expect_used, reason = "a test panics where it fails")]

use integration::amqp::{consume, process_span, publish_span, queue, settle_span};
use lapin::BasicProperties;
use lapin::options::{BasicAckOptions, BasicPublishOptions};
use lapin::types::{AMQPValue, ByteArray, FieldArray, FieldTable};
use opentelemetry::baggage::BaggageExt as _;
use opentelemetry::trace::TraceContextExt as _;
use otel_messaging::testing::Recorder;

use crate::headers::{STALE, TRACEPARENT, context, long};
use crate::shop::{Shop, next};

fn bytes(bytes: &[u8]) -> AMQPValue {
    AMQPValue::ByteArray(ByteArray::from(bytes))
}

fn table(headers: &[(&str, AMQPValue)]) -> FieldTable {
    let mut table = FieldTable::default();
    for (name, value) in headers {
        table.insert((*name).into(), value.clone());
    }
    table
}

/// Name of each problem that was counted, and how often, sorted.
fn problems(recorder: &Recorder) -> Vec<(String, u64)> {
    let counted = recorder.counter("otel_messaging.context.problems");
    let mut problems: Vec<_> = counted
        .into_iter()
        .map(|(attributes, count)| {
            let mut attributes = attributes.into_iter();
            let problem =
                attributes.find(|one| one.key.as_str() == "otel_messaging.context.problem");
            (problem.expect("a problem").value.to_string(), count)
        })
        .collect();
    problems.sort();
    problems
}

/// Publishes by the bare client, processes, acknowledges and forwards; returns what was forwarded.
async fn relay(recorder: &Recorder, headers: FieldTable) -> (Vec<(String, String)>, FieldTable) {
    let shop = Shop::open(&recorder.telemetry()).await;
    let payments = queue(shop.channel(), "payments").await;
    let properties = BasicProperties::default().with_headers(headers);
    integration::amqp::publish(shop.channel(), &shop.orders, properties).await;

    let order = next(&mut shop.consumer().await).await;
    let baggage = order
        .process(async |order| {
            let confirm = shop.producer.basic_publish(
                "".into(),
                payments.clone(),
                BasicPublishOptions::default(),
                &order.data,
                order.properties.clone(),
            );
            confirm.await?.await?;
            let current = opentelemetry::Context::current();
            let members = current.baggage().iter();
            let mut members: Vec<_> = members
                .map(|(name, (value, _))| (name.to_string(), value.to_string()))
                .collect();
            members.sort();
            lapin::Result::Ok(members)
        })
        .await
        .expect("a confirm");
    let acked = order.ack(BasicAckOptions::default()).await;
    assert!(acked.expect("an answer"));

    let creation = context(&[("traceparent", TRACEPARENT)]);
    let creation = creation.span().span_context().clone();
    let process = recorder.span(&format!("process {}", shop.orders));
    let sent = recorder.span(&format!("publish {payments}"));
    let stale = context(&[("traceparent", STALE)]);
    let conflicting = problems(recorder)
        .iter()
        .any(|(name, _)| name == "conflicting");
    let publish = publish_span("", payments.as_str()).child_of(&process.span_context);
    let settled = recorder.span(&format!("ack {}", shop.orders));
    let spans = [
        (process_span(&order).child_of(&creation), &process),
        (
            settle_span("ack", &order).child_of(&process.span_context),
            &settled,
        ),
        // What it replaces in the headers is not lost.
        (publish, &sent),
    ];
    for (expected, span) in spans {
        let expected = expected.link(&creation);
        let expected = if conflicting {
            expected.link(stale.span().span_context())
        } else {
            expected
        };
        expected.assert(span);
    }
    let payment = integration::amqp::next(&mut consume(shop.channel(), &payments).await).await;
    let mut forwarded = payment.properties.headers().clone().expect("headers");
    let sent = sent.span_context;
    let traceparent = format!("00-{}-{}-01", sent.trace_id(), sent.span_id());
    let written = forwarded.inner().get("traceparent").cloned();
    assert_eq!(written, Some(long(&traceparent)));
    // Another one each time.
    forwarded.insert("traceparent".into(), AMQPValue::Void);
    (baggage, forwarded)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hostile_message_is_processed_settled_and_forwarded_like_any_other() {
    let recorder = Recorder::new();
    let deep = (0..50).fold(AMQPValue::Void, |inner, _| {
        AMQPValue::FieldTable(table(&[("deeper", inner)]))
    });
    let others = [
        ("", long("no name")),
        ("binary", bytes(&Vec::from_iter(0..=u8::MAX))),
        ("deep", deep),
        ("large", long(&"kilobyte".repeat(8 * 1024))),
        ("not text", AMQPValue::LongString(b"\xff\xfe"[..].into())),
        ("x-death", long("made up")),
        ("x-delivery-count", AMQPValue::LongLongInt(-7)),
    ];
    let hostile = [
        ("TRACEPARENT", bytes(&[0xff; 55])),
        ("TraceParent", long(STALE)),
        ("traceparent", bytes(TRACEPARENT.as_bytes())),
        ("traceParent", AMQPValue::FieldArray(FieldArray::default())),
        ("tracestate", long("vendor=1\r\nevil: yes")),
        ("baggage", bytes(b"tenant=\xff\xfe")),
        ("Baggage", AMQPValue::FieldTable(FieldTable::default())),
    ];

    let (baggage, forwarded) = relay(&recorder, table(&[&others[..], &hostile].concat())).await;

    assert_eq!(baggage, []);
    // Baggage that cannot be read is not ours to take away: there is nothing to put in its place.
    let [.., unreadable, no_text] = hostile.clone();
    let mut expected = table(&[&others[..], &[unreadable, no_text]].concat());
    expected.insert("traceparent".into(), AMQPValue::Void);
    assert_eq!(forwarded, expected);
    let counted = [("conflicting", 1), ("malformed", 1), ("replaced", 1)];
    assert_eq!(
        problems(&recorder),
        counted.map(|(name, count)| (name.to_owned(), count))
    );
}

/// A message as another program writes it, and what we make of it.
struct Foreign {
    writer: &'static str,
    headers: Vec<(&'static str, AMQPValue)>,
    baggage: &'static [(&'static str, &'static str)],
    forwarded: Vec<(&'static str, AMQPValue)>,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_other_languages_write_is_read_and_written_as_the_specification_says() {
    let traceparent = || long(TRACEPARENT);
    let in_bytes = |text: &str| bytes(text.as_bytes());
    let long_list = format!("vendor={},rojo=1", "v".repeat(250));
    let rows = [
        Foreign {
            writer: "Python: a space as plus",
            headers: vec![
                ("traceparent", traceparent()),
                ("baggage", long("tenant=blue+sky")),
            ],
            baggage: &[("tenant", "blue+sky")],
            forwarded: vec![("baggage", long("tenant=blue%2Bsky"))],
        },
        Foreign {
            writer: "Go: plus, equals sign and slash bare",
            headers: vec![
                ("traceparent", traceparent()),
                ("baggage", long("formula=a+b=c/d==")),
            ],
            baggage: &[("formula", "a+b=c/d==")],
            forwarded: vec![("baggage", long("formula=a%2Bb%3Dc/d%3D%3D"))],
        },
        Foreign {
            writer: ".NET: all of it in bytes",
            headers: vec![
                ("traceparent", in_bytes(TRACEPARENT)),
                ("tracestate", in_bytes("vendor=1")),
                ("baggage", in_bytes("tenant=7")),
            ],
            baggage: &[("tenant", "7")],
            forwarded: vec![
                ("tracestate", long("vendor=1")),
                ("baggage", long("tenant=7")),
            ],
        },
        Foreign {
            writer: "RabbitMQ, behind a stream: what is long in bytes",
            headers: vec![
                ("traceparent", traceparent()),
                ("tracestate", in_bytes(&long_list)),
            ],
            baggage: &[],
            forwarded: vec![("tracestate", long(&long_list))],
        },
        Foreign {
            writer: "a gateway: all upper case",
            headers: vec![
                ("TRACEPARENT", traceparent()),
                ("TRACESTATE", long("vendor=1")),
                ("BAGGAGE", long("tenant=7")),
            ],
            baggage: &[("tenant", "7")],
            forwarded: vec![
                ("tracestate", long("vendor=1")),
                ("baggage", long("tenant=7")),
            ],
        },
        Foreign {
            writer: "Celery: headers of its own beside",
            headers: vec![
                ("traceparent", traceparent()),
                ("retries", AMQPValue::LongInt(0)),
                ("eta", AMQPValue::Void),
                (
                    "timelimit",
                    AMQPValue::FieldArray(FieldArray::from(vec![AMQPValue::Void, AMQPValue::Void])),
                ),
            ],
            baggage: &[],
            forwarded: vec![
                ("retries", AMQPValue::LongInt(0)),
                ("eta", AMQPValue::Void),
                (
                    "timelimit",
                    AMQPValue::FieldArray(FieldArray::from(vec![AMQPValue::Void, AMQPValue::Void])),
                ),
            ],
        },
    ];

    for Foreign {
        writer,
        headers,
        baggage,
        forwarded,
    } in rows
    {
        let recorder = Recorder::new();

        let (seen, relayed) = relay(&recorder, table(&headers)).await;

        let expected = baggage.iter();
        let expected: Vec<_> = expected
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        assert_eq!(seen, expected, "{writer}");
        let mut expected = table(&forwarded);
        expected.insert("traceparent".into(), AMQPValue::Void);
        assert_eq!(relayed, expected, "{writer}");
        assert_eq!(
            problems(&recorder),
            [("replaced".to_owned(), 1)],
            "{writer}"
        );
    }
}
