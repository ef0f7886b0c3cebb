//! What holds for the headers of every client's messages.

pub mod amqp;
pub mod kafka;
pub mod nats;

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::LazyLock;

use opentelemetry::Context;
use opentelemetry::propagation::TextMapPropagator as _;
use otel_messaging::Telemetry;
use otel_messaging::w3c::Propagator;

use crate::input::{self, Header};
use crate::reference::{BAGGAGE, Carried, Order, Parent, TRACEPARENT, TRACESTATE, field};

/// Headers of a client's messages.
pub trait Carrier {
    type Headers: Clone;
    type Value: Clone + Debug + PartialEq;

    const ORDER: Order;

    /// As many of these headers as the client can hold.
    fn of(headers: &[Header]) -> Self::Headers;

    /// All of them, by name where names have no order.
    fn list(headers: &Self::Headers) -> Vec<(Vec<u8>, Self::Value)>;

    /// The text of a value, if it is one.
    fn text(value: &Self::Value) -> Option<&[u8]>;

    /// The value that a written header has.
    fn written(text: String) -> Self::Value;

    fn inject(context: &Context, headers: Self::Headers) -> Self::Headers;

    /// As a wrapped client writes them, which goes a more direct way.
    fn sent(context: &Context, headers: Self::Headers) -> Self::Headers;

    fn extract(headers: &Self::Headers) -> Context;

    /// As a wrapped client reads them, which goes a more direct way.
    fn received(headers: &Self::Headers) -> Context;

    /// The field that a header of this name is, in whatever case or disguise.
    fn field(name: &[u8]) -> Option<&'static str> {
        field(name)
    }

    /// The headers as a reader sees them that knows no disguise.
    fn seen(headers: &mut [(&[u8], &[u8])]) {
        let _ = headers;
    }
}

/// A list of headers.
type List<C> = Vec<(Vec<u8>, <C as Carrier>::Value)>;

/// Reads what the input stands for, and sends every kind of context with it.
pub fn check<C: Carrier>(input: &[u8]) {
    let given = C::of(&input::headers(input));
    let list = C::list(&given);
    let carried = read::<C>(&list);
    let context = C::extract(&given);
    carried.assert_is(&context);
    carried.assert_is(&C::received(&given));

    let own = (context, carried);
    for (context, carried) in input::in_turns(input, SAMPLES.iter().chain([&own])) {
        let expected = expected::<C>(&list, carried);
        for send in [C::inject, C::sent] {
            holds::<C>(&send(context, given.clone()), &expected, carried);
        }
    }
}

/// What headers are when this is written over them.
fn expected<C: Carrier>(list: &List<C>, carried: &Carried) -> List<C> {
    let written = carried.written();
    let has = |name| written.iter().any(|(one, _)| *one == name);
    let is_kept = |name: &[u8]| match C::field(name) {
        None => true,
        Some(BAGGAGE) => !has(BAGGAGE),
        Some(_) => !has(TRACEPARENT),
    };
    let mut expected: List<C> = list
        .iter()
        .filter(|(name, _)| is_kept(name))
        .cloned()
        .collect();
    let new = written.iter().map(|(name, value)| {
        let name = name.as_bytes().to_vec();
        (name, C::written(value.clone()))
    });
    expected.extend(new);
    if C::ORDER == Order::ByName {
        expected.sort_by(|(one, _), (other, _)| one.cmp(other));
    }
    expected
}

fn holds<C: Carrier>(sent: &C::Headers, expected: &List<C>, carried: &Carried) {
    let sent_list = C::list(sent);
    assert_same::<C>(&sent_list, expected);

    let written = carried.written();
    let has = |name| written.iter().any(|(one, _)| *one == name);
    let count = |field| {
        let names = sent_list
            .iter()
            .filter(|(name, _)| C::field(name) == Some(field));
        names.count()
    };
    if carried.parent.is_some() {
        assert_eq!(count(TRACEPARENT), 1, "one traceparent");
        assert_eq!(
            count(TRACESTATE),
            usize::from(has(TRACESTATE)),
            "its tracestate"
        );
    }
    if has(BAGGAGE) {
        assert_eq!(count(BAGGAGE), 1, "one baggage");
    }

    let read = read::<C>(&sent_list);
    read.assert_is(&C::extract(sent));
    read.assert_is(&C::received(sent));
    if carried.parent.is_some() && has(BAGGAGE) {
        read.assert_was(carried);
    } else if carried.parent.is_some() {
        assert_eq!(
            (&read.parent, &read.tracestate),
            (&carried.parent, &carried.tracestate)
        );
    }
}

/// What the headers say to a plain reader.
fn read<C: Carrier>(list: &List<C>) -> Carried {
    let texts = list
        .iter()
        .map(|(name, value)| Some((&**name, C::text(value)?)));
    let mut texts: Vec<_> = texts.flatten().collect();
    C::seen(&mut texts);
    Carried::of_message(&texts, C::ORDER)
}

/// With each part of a context, and without any.
pub(crate) static SAMPLES: LazyLock<Vec<(Context, Carried)>> = LazyLock::new(samples);

fn samples() -> Vec<(Context, Carried)> {
    const PARENT: (&str, &str) = (
        TRACEPARENT,
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-03",
    );
    const STATE: (&str, &str) = (TRACESTATE, "a=1,b@@c=2");
    const MEMBERS: (&str, &str) = (BAGGAGE, "tenant=one%20two;p=%2C,user=\u{e4}");
    let samples: [&[(&str, &str)]; 4] = [&[PARENT, STATE, MEMBERS], &[PARENT], &[MEMBERS], &[]];
    let samples = samples.into_iter().map(|fields| {
        let headers = fields
            .iter()
            .map(|(name, value)| (*name, value.to_string()));
        let headers: HashMap<_, _> = headers
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
        let values = |field| {
            fields
                .iter()
                .filter(move |(name, _)| *name == field)
                .map(|(_, value)| *value)
        };
        let parent = values(TRACEPARENT).next().and_then(Parent::read);
        let states: Vec<_> = values(TRACESTATE).collect();
        let members: Vec<_> = values(BAGGAGE).collect();
        let carried = Carried::read(parent, &states, &members);
        (
            Propagator::new().extract_with_context(&Context::new(), &headers),
            carried,
        )
    });
    samples.collect()
}

/// What a wrapped client reads with.
pub static TELEMETRY: LazyLock<Telemetry> = LazyLock::new(Telemetry::new);

/// A hundred thousand headers are too many to be shown.
fn assert_same<C: Carrier>(sent: &List<C>, expected: &List<C>) {
    if sent != expected {
        let pairs = sent.iter().zip(expected);
        let same = pairs.take_while(|(one, other)| one == other).count();
        let (sent, expected) = (&sent[same..], &expected[same..]);
        panic!(
            "from header {same} on {} were sent and {} expected: {:?} instead of {:?}",
            sent.len(),
            expected.len(),
            sent.first(),
            expected.first()
        );
    }
}
