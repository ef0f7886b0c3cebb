//! What is done with hostile headers, so that its cost can be counted.

use std::cell::LazyCell;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ffi::CString;
use std::hint::black_box;
use std::slice;

use async_nats::HeaderMap;
use async_nats::header::HeaderName;
use lapin::BasicProperties;
use lapin::types::{AMQPValue, ByteArray, FieldArray, FieldTable, ShortString};
use opentelemetry::Context;
use opentelemetry::propagation::text_map_propagator::FieldIter;
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator};
use otel_messaging::amqp::internal as amqp;
use otel_messaging::kafka::internal as kafka;
use otel_messaging::nats::internal as nats;
use otel_messaging::{Telemetry, propagators, w3c};
use rdkafka::message::OwnedHeaders;

use crate::hostile::{Header, Hostile};
use crate::{sample, stock};

/// How many headers there are, which operations are chosen, and how each is done and told.
pub struct Run<'a> {
    pub headers: usize,
    /// By carrier, operation, propagator and what the headers are.
    pub is_chosen: &'a dyn Fn(&str) -> bool,
    /// Does the operation, and is counted.
    pub measured: fn(&mut dyn FnMut()),
    /// Is told what was done, and how many bytes the headers had.
    pub told: &'a dyn Fn(&str, usize),
}

/// Does all that is chosen.
pub fn run(run: &Run<'_>) {
    for hostile in Hostile::ALL {
        let headers = hostile.headers(run.headers);
        kafka(run, hostile, &headers);
        if !hostile.is_of_one_name() {
            amqp(run, hostile, &headers);
        }
        if !matches!(hostile, Hostile::NotText | Hostile::Null) {
            nats(run, hostile, &headers);
        }
    }
}

fn kafka(run: &Run<'_>, hostile: Hostile, headers: &[Header]) {
    let list = LazyCell::new(|| list(headers));
    let bytes = || bytes(headers.iter());
    run.each("kafka", "read", hostile, bytes, |telemetry| {
        let list = list.as_borrowed();
        (run.measured)(&mut || drop(black_box(kafka::extract(telemetry, list))));
    });
    run.each("kafka", "forward", hostile, bytes, |telemetry| {
        let context = sample::trace_and_baggage();
        let mut given = Some((*list).clone());
        let mut back = None;
        (run.measured)(&mut || back = kafka::forward(telemetry, &context, given.take()));
    });
}

fn amqp(run: &Run<'_>, hostile: Hostile, headers: &[Header]) {
    let table = LazyCell::new(|| match hostile {
        // No table has a name twice, but one value may be a list.
        Hostile::OneOther => deaths(headers),
        _ => table(headers),
    });
    let bytes = || table.1;
    run.each("amqp", "read", hostile, bytes, |telemetry| {
        let properties = BasicProperties::default().with_headers(table.0.clone());
        (run.measured)(&mut || drop(black_box(amqp::extract(telemetry, &properties))));
    });
    run.each("amqp", "forward", hostile, bytes, |telemetry| {
        let context = sample::trace_and_baggage();
        let properties = BasicProperties::default().with_headers(table.0.clone());
        let mut sent = None;
        (run.measured)(&mut || sent = amqp::forward(telemetry, &context, &properties));
    });
}

fn nats(run: &Run<'_>, hostile: Hostile, headers: &[Header]) {
    let map = LazyCell::new(|| map(headers));
    let bytes = || map.1;
    run.each("nats", "read", hostile, bytes, |telemetry| {
        let map = &map.0;
        (run.measured)(&mut || drop(black_box(nats::extract(telemetry, map))));
    });
    run.each("nats", "forward", hostile, bytes, |telemetry| {
        let context = sample::trace_and_baggage();
        let mut headers = map.0.clone();
        (run.measured)(&mut || nats::forward(telemetry, &context, &mut headers));
    });
}

impl Run<'_> {
    /// Does an operation with each propagator for which it is chosen.
    fn each(
        &self,
        carrier: &str,
        operation: &str,
        hostile: Hostile,
        bytes: impl Fn() -> usize,
        run: impl Fn(&Telemetry),
    ) {
        type Made = fn() -> Telemetry;
        let propagators: [(&str, Made); 5] = [
            ("own", Telemetry::new),
            ("own-as-any", || {
                Telemetry::new().propagator(w3c::Propagator::new())
            }),
            ("stock", || {
                Telemetry::new().propagator(stock::trace_and_baggage())
            }),
            ("each-name", || Telemetry::new().propagator(EachName::new())),
            ("fallbacks", || {
                Telemetry::new()
                    .fallback_propagator(propagators::Jaeger::new())
                    .fallback_propagator(propagators::CloudEvents::new())
            }),
        ];
        for (name, telemetry) in propagators {
            let name = format!("{carrier} {operation} {name} {hostile:?}");
            if (self.is_chosen)(&name) {
                run(&telemetry());
                (self.told)(&name, bytes());
            }
        }
    }
}

/// What headers come to, each with some bytes for itself.
fn bytes<'a>(headers: impl Iterator<Item = &'a Header>) -> usize {
    let size = |(name, value): &Header| 16 + name.len() + value.as_ref().map_or(0, Vec::len);
    headers.map(size).sum()
}

/// A list of them, of any bytes.
fn list(headers: &[Header]) -> OwnedHeaders {
    let names = headers.iter().map(|(name, _)| CString::new(&**name));
    let names: Vec<_> = names.map(|name| name.expect("no NUL")).collect();
    let values = headers.iter().map(|(_, value)| value.as_deref());
    kafka::headers(names.iter().map(|name| &**name).zip(values))
}

/// A table of them; of several values of a name the first.
fn table(headers: &[Header]) -> (FieldTable, usize) {
    let mut table = BTreeMap::new();
    let mut taken = 0;
    for header in headers {
        let (name, value) = header;
        let name = ShortString::from(String::from_utf8_lossy(name).into_owned());
        let value = value.as_deref().map_or(AMQPValue::Void, |value| {
            AMQPValue::ByteArray(ByteArray::from(value))
        });
        if let Entry::Vacant(free) = table.entry(name) {
            free.insert(value);
            taken += bytes([header].into_iter());
        }
    }
    (FieldTable::from(table), taken)
}

/// The deaths of a message that died once for each of these headers.
fn deaths(headers: &[Header]) -> (FieldTable, usize) {
    let taken = bytes(headers.iter());
    let death = |header| AMQPValue::FieldTable(table(slice::from_ref(header)).0);
    let deaths = FieldArray::from(headers.iter().map(death).collect::<Vec<_>>());
    let mut table = FieldTable::default();
    table.insert("x-death".into(), AMQPValue::FieldArray(deaths));
    (table, taken)
}

fn map(headers: &[Header]) -> (HeaderMap, usize) {
    let mut map = HeaderMap::new();
    let mut taken = 0;
    for header in headers {
        let (name, value) = header;
        let name = str::from_utf8(name).map(str::parse::<HeaderName>);
        let value = value.as_deref().map(str::from_utf8);
        if let (Ok(name), Some(Ok(value))) = (name, value) {
            map.append(name.expect("a name that NATS can carry"), value);
            taken += bytes([header].into_iter());
        }
    }
    (map, taken)
}

/// Asks for all values of all names, in any case, and writes a name of many spellings.
#[derive(Debug)]
struct EachName([String; 2]);

impl EachName {
    fn new() -> Self {
        Self(["x-some-very-long-header-name", "traceparent"].map(str::to_owned))
    }
}

impl TextMapPropagator for EachName {
    fn inject_context(&self, _: &Context, injector: &mut dyn Injector) {
        for name in &self.0 {
            injector.set(name, "1".to_owned());
        }
    }

    fn extract_with_context(&self, base: &Context, extractor: &dyn Extractor) -> Context {
        for name in extractor.keys() {
            black_box(extractor.get(name));
            black_box(extractor.get_all(name));
        }
        for name in [
            "X-SOME-VERY-LONG-HEADER-NAME",
            "x-step",
            "b3",
            "TraceParent",
        ] {
            black_box(extractor.get(name));
            black_box(extractor.get_all(name));
        }
        base.clone()
    }

    fn fields(&self) -> FieldIter<'_> {
        FieldIter::new(&self.0)
    }
}
