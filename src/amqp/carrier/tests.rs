//! What tables become on their way out and in, and how large they are on the wire.
#![expect(clippy::expect_used, reason = "a test panics where it fails")]

use std::collections::BTreeMap;
use std::io::Cursor;

use lapin::protocol::basic::gen_properties;
use lapin::types::{ByteArray, DecimalValue, FieldArray};
use opentelemetry::baggage::BaggageExt as _;
use opentelemetry::propagation::text_map_propagator::FieldIter;
use opentelemetry::propagation::{Extractor, Injector};
use opentelemetry::trace::TraceContextExt as _;
use opentelemetry_sdk::propagation::TraceContextPropagator;

use super::*;
use crate::engine::propagation::{CarriedHeaders, Problem};
use crate::telemetry::Telemetry;

const TRACEPARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const STALE: &str = "00-11111111111111111111111111111111-1111111111111111-01";

fn table<const N: usize>(headers: [(&str, AMQPValue); N]) -> FieldTable {
    let headers = headers.map(|(name, value)| (ShortString::from(name), value));
    FieldTable::from(BTreeMap::from(headers))
}

fn long(text: &str) -> AMQPValue {
    AMQPValue::LongString(text.into())
}

fn bytes(bytes: &[u8]) -> AMQPValue {
    AMQPValue::ByteArray(ByteArray::from(bytes))
}

/// What a message has after it was dead-lettered, and a value of every other type.
fn others() -> FieldTable {
    let death = table([
        ("count", AMQPValue::LongLongInt(2)),
        ("reason", long("rejected")),
        (
            "routing-keys",
            AMQPValue::FieldArray(FieldArray::from(vec![long("orders"), AMQPValue::Void])),
        ),
        ("time", AMQPValue::Timestamp(1_795_000_000)),
    ]);
    table([
        (
            "x-death",
            AMQPValue::FieldArray(FieldArray::from(vec![AMQPValue::FieldTable(death)])),
        ),
        ("x-first-death-reason", long("rejected")),
        ("b", AMQPValue::ShortShortInt(-1)),
        ("B", AMQPValue::ShortShortUInt(1)),
        ("boolean", AMQPValue::Boolean(true)),
        ("bytes", bytes(&[0, 0xff])),
        (
            "decimal",
            AMQPValue::DecimalValue(DecimalValue { scale: 2, value: 7 }),
        ),
        ("double", AMQPValue::Double(0.5)),
        ("float", AMQPValue::Float(0.5)),
        ("int", AMQPValue::LongInt(-1)),
        ("name", AMQPValue::ShortString("short".into())),
        ("short", AMQPValue::ShortInt(-1)),
        ("uint", AMQPValue::LongUInt(1)),
        ("ushort", AMQPValue::ShortUInt(1)),
        ("void", AMQPValue::Void),
    ])
}

fn all_properties() -> BasicProperties {
    BasicProperties::default()
        .with_content_type("text/plain".into())
        .with_content_encoding("identity".into())
        .with_delivery_mode(2)
        .with_priority(1)
        .with_correlation_id("order-7".into())
        .with_reply_to("answers".into())
        .with_expiration("60000".into())
        .with_message_id("7".into())
        .with_timestamp(1_795_000_000)
        .with_type("order".into())
        .with_user_id("guest".into())
        .with_app_id("shop".into())
        .with_cluster_id("".into())
}

fn context(headers: &FieldTable) -> Context {
    let extracted = Telemetry::new().extract(&Context::new(), Some(headers), |_| true);
    extracted.context
}

fn traceparent() -> Context {
    context(&table([("traceparent", long(TRACEPARENT))]))
}

fn inject_into(
    properties: &BasicProperties,
    context: &Context,
    frame_max: FrameSize,
) -> (Option<FieldTable>, Option<Problem>) {
    let mut headers = MessageHeaders::new(properties);
    let injected =
        Telemetry::new().inject(context, &mut headers, CarriedHeaders::REPLACED, |headers| {
            headers.room(frame_max, properties)
        });
    (headers.changed(), injected.left_out)
}

#[test]
fn a_trace_is_written_as_long_strings_and_all_else_stays_as_it_was() {
    let mut before = others();
    for name in ["traceparent", "Traceparent", "TRACESTATE", "baggage"] {
        before.insert(name.into(), bytes(STALE.as_bytes()));
    }
    let properties = all_properties().with_headers(before);

    let (headers, problem) = inject_into(&properties, &traceparent(), 131_072);

    let mut expected = others();
    expected.insert("traceparent".into(), long(TRACEPARENT));
    expected.insert("baggage".into(), bytes(STALE.as_bytes()));
    assert_eq!(headers, Some(expected));
    assert_eq!(problem, None);
}

#[test]
fn without_a_context_to_write_nothing_is_copied() {
    let with_stale = table([("traceparent", long(STALE))]);

    for properties in [
        BasicProperties::default(),
        BasicProperties::default().with_headers(with_stale),
    ] {
        let unchanged = inject_into(&properties, &Context::new(), 131_072);
        assert_eq!(unchanged, (None, None));
    }
}

#[test]
fn removing_says_whether_there_were_any() {
    let properties = BasicProperties::default()
        .with_headers(table([("TraceParent", long(STALE)), ("tenant", long("7"))]));
    let mut headers = MessageHeaders::new(&properties);

    assert!(!headers.remove(&["baggage"]));
    assert!(headers.remove(&["baggage", "traceparent"]));
    assert!(!headers.remove(&["traceparent"]));
    assert_eq!(headers.changed(), Some(table([("tenant", long("7"))])));
}

#[test]
fn text_of_any_type_and_case_is_read_and_other_types_count_as_absent() {
    let short = AMQPValue::ShortString(TRACEPARENT.into());
    let nested = AMQPValue::FieldTable(table([("traceparent", long(TRACEPARENT))]));
    let array = AMQPValue::FieldArray(FieldArray::from(vec![long(TRACEPARENT)]));
    let rows = [
        ("traceparent", long(TRACEPARENT), true),
        ("Traceparent", long(TRACEPARENT), true),
        ("traceparent", bytes(TRACEPARENT.as_bytes()), true),
        ("TRACEPARENT", bytes(TRACEPARENT.as_bytes()), true),
        ("traceparent", short, true),
        ("traceparent", bytes(&[0xff; 55]), false),
        ("traceparent", long(""), false),
        ("traceparent", AMQPValue::Void, false),
        ("traceparent", AMQPValue::LongLongInt(0), false),
        ("traceparent", nested, false),
        ("traceparent", array, false),
    ];

    for (name, value, is_read) in rows {
        let mut headers = others();
        headers.insert(name.into(), value.clone());
        let expected = if is_read {
            traceparent()
        } else {
            Context::new()
        };
        assert_eq!(
            context(&headers).span().span_context(),
            expected.span().span_context(),
            "{name}: {value:?}"
        );
    }
}

#[test]
fn of_two_spellings_the_exact_one_counts_and_the_other_is_a_conflict() {
    let headers = table([
        ("Traceparent", long(STALE)),
        ("traceparent", bytes(TRACEPARENT.as_bytes())),
    ]);

    let extracted = Telemetry::new().extract(&Context::new(), Some(&headers), |_| true);

    let traces = extracted.named.contexts().map(|one| one.trace_id());
    let traces: Vec<_> = traces.map(|trace| trace.to_string()).collect();
    assert_eq!(
        traces,
        [
            "0af7651916cd43dd8448eb211c80319c",
            "11111111111111111111111111111111"
        ]
    );
}

#[test]
fn sizes_are_those_that_the_client_writes() {
    let rows = [
        BasicProperties::default(),
        BasicProperties::default().with_headers(FieldTable::default()),
        all_properties(),
        all_properties().with_headers(others()),
    ];

    for properties in rows {
        let headers = properties.headers().as_ref();
        let size = size::HEADER_FRAME
            + size::properties_without_headers(&properties)
            + headers.map_or(0, size::table);
        assert_eq!(size, frame_size(&properties), "{properties:?}");
    }
}

#[test]
fn what_does_not_fit_into_the_frame_is_left_out_to_the_byte() {
    let fields = [
        ("traceparent", TRACEPARENT),
        ("tracestate", "vendor=1"),
        ("baggage", "tenant=blue"),
    ];
    let steps = [
        (3, None, Some(Problem::BaggageLeftOut)),
        (
            2,
            Some(Problem::BaggageLeftOut),
            Some(Problem::TracestateLeftOut),
        ),
        (
            1,
            Some(Problem::TracestateLeftOut),
            Some(Problem::ContextLeftOut),
        ),
        (
            0,
            Some(Problem::ContextLeftOut),
            Some(Problem::ContextLeftOut),
        ),
    ];
    let full = context(&table(fields.map(|(name, text)| (name, long(text)))));

    for properties in [all_properties(), all_properties().with_headers(others())] {
        for (kept, exactly, one_byte_less) in steps {
            let mut headers = properties.headers().clone();
            for (name, text) in fields.iter().take(kept) {
                let headers = headers.get_or_insert_default();
                headers.insert((*name).into(), long(text));
            }
            let expected = with(&properties, headers);
            let frame_max = FrameSize::try_from(frame_size(&expected)).expect("a small frame");

            let (written, problem) = inject_into(&properties, &full, frame_max);
            assert_eq!((with(&properties, written), problem), (expected, exactly));
            let (_, problem) = inject_into(&properties, &full, frame_max - 1);
            assert_eq!(problem, one_byte_less);
        }
    }
}

#[test]
fn any_propagator_writes_into_the_headers_of_properties_and_reads_them() {
    let stock = TraceContextPropagator::new();
    let stale = table([
        ("Traceparent", long(STALE)),
        ("x-retries", AMQPValue::LongInt(2)),
    ]);

    let mut properties = all_properties().with_headers(stale);
    inject(&stock, &traceparent(), &mut properties);
    let read = extract(&stock, &properties);

    let headers = table([
        ("traceparent", long(TRACEPARENT)),
        ("x-retries", AMQPValue::LongInt(2)),
    ]);
    assert_eq!(properties, all_properties().with_headers(headers));
    assert_eq!(
        read.span().span_context(),
        traceparent().span().span_context()
    );
}

#[test]
fn a_message_without_headers_carries_nothing() {
    let read = extract(&TraceContextPropagator::new(), &all_properties());

    assert!(!read.span().span_context().is_valid());
    assert!(read.baggage().is_empty());
}

#[test]
fn a_name_that_the_protocol_cannot_hold_is_left_out() {
    let mut properties = BasicProperties::default().with_headers(others());
    inject(&LongName, &traceparent(), &mut properties);

    assert_eq!(properties.headers(), &Some(others()));
}

/// Writes a header whose name is longer than a short string.
#[derive(Debug)]
struct LongName;

impl TextMapPropagator for LongName {
    fn inject_context(&self, _: &Context, injector: &mut dyn Injector) {
        injector.set(&"a".repeat(256), "value".to_owned());
    }
    fn extract_with_context(&self, base: &Context, _: &dyn Extractor) -> Context {
        base.clone()
    }
    fn fields(&self) -> FieldIter<'_> {
        FieldIter::new(&[])
    }
}

/// Size of the frame, with the properties as the client writes them.
fn frame_size(properties: &BasicProperties) -> usize {
    let mut buffer = [0; 4096];
    let written = gen_properties(properties)(Cursor::new(&mut buffer[..]).into());
    let size = written.expect("room in the buffer").position;
    // Both have the two bytes that say which properties there are.
    size::HEADER_FRAME - 2 + usize::try_from(size).expect("a small frame")
}

fn with(properties: &BasicProperties, headers: Option<FieldTable>) -> BasicProperties {
    let properties = properties.clone();
    match headers {
        Some(headers) => properties.with_headers(headers),
        None => properties,
    }
}
