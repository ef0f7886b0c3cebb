//! What is done with hostile headers, so that its cost can be counted.

use std::cell::LazyCell;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::hint::black_box;
use std::slice;
use std::sync::Arc;

use async_nats::HeaderMap;
use async_nats::header::HeaderName;
use lapin::BasicProperties;
use lapin::types::{AMQPValue, ByteArray, FieldArray, FieldTable, ShortString};
use opentelemetry::Context;
use opentelemetry::propagation::text_map_propagator::FieldIter;
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator};

use crate::engine::propagation::Headers;
use crate::hostile::{Header, Hostile};
use crate::telemetry::Propagation;
use crate::{amqp, kafka, nats, sample, stock};

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
    let list = LazyCell::new(|| kafka::headers(headers));
    let bytes = || bytes(headers.iter());
    run.each("kafka", "read", hostile, bytes, |propagation| {
        let list = list.as_borrowed();
        (run.measured)(&mut || read(propagation, list));
    });
    run.each("kafka", "forward", hostile, bytes, |propagation| {
        let context = sample::trace_and_baggage();
        let mut given = Some((*list).clone());
        let mut back = None;
        (run.measured)(&mut || back = kafka::forward(propagation, &context, given.take()));
    });
}

fn amqp(run: &Run<'_>, hostile: Hostile, headers: &[Header]) {
    let table = LazyCell::new(|| match hostile {
        // No table has a name twice, but one value may be a list.
        Hostile::OneOther => deaths(headers),
        _ => table(headers),
    });
    let bytes = || table.1;
    run.each("amqp", "read", hostile, bytes, |propagation| {
        let table = &table.0;
        (run.measured)(&mut || read(propagation, table));
    });
    run.each("amqp", "forward", hostile, bytes, |propagation| {
        let context = sample::trace_and_baggage();
        let properties = BasicProperties::default().with_headers(table.0.clone());
        let mut sent = None;
        (run.measured)(&mut || sent = amqp::forward(propagation, &context, &properties));
    });
}

fn nats(run: &Run<'_>, hostile: Hostile, headers: &[Header]) {
    let map = LazyCell::new(|| map(headers));
    let bytes = || map.1;
    run.each("nats", "read", hostile, bytes, |propagation| {
        let map = &map.0;
        (run.measured)(&mut || read(propagation, map));
    });
    run.each("nats", "forward", hostile, bytes, |propagation| {
        let context = sample::trace_and_baggage();
        let mut headers = map.0.clone();
        (run.measured)(&mut || nats::forward(propagation, &context, &mut headers));
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
        run: impl Fn(&Propagation),
    ) {
        type Made = fn() -> Propagation;
        let propagators: [(&str, Made); 4] = [
            ("own", || Propagation::W3c),
            ("own-as-any", || {
                Propagation::Custom(Arc::new(crate::w3c::Propagator::new()))
            }),
            ("stock", || {
                Propagation::Custom(Arc::new(stock::trace_and_baggage()))
            }),
            ("each-name", || {
                Propagation::Custom(Arc::new(EachName::new()))
            }),
        ];
        for (name, propagation) in propagators {
            let name = format!("{carrier} {operation} {name} {hostile:?}");
            if (self.is_chosen)(&name) {
                run(&propagation());
                (self.told)(&name, bytes());
            }
        }
    }
}

fn read(propagation: &Propagation, headers: &impl Headers) {
    black_box(propagation.extract(&Context::new(), Some(headers), |_| true));
}

/// What headers come to, each with some bytes for itself.
fn bytes<'a>(headers: impl Iterator<Item = &'a Header>) -> usize {
    let size = |(name, value): &Header| 16 + name.len() + value.as_ref().map_or(0, Vec::len);
    headers.map(size).sum()
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
