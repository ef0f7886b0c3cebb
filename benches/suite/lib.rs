//! What the benchmarks and the allocation test share: a count of allocations, a way to measure,
//! and other ways to do what the crate does.
//!
//! The direct way between headers and context, which every message takes, is not public. To measure
//! it alone, the sources of the crate are compiled once more, as modules of this one: a module that
//! is new in the crate's root, or becomes a folder there, is to be declared so here too. Whole sends
//! and whole processing are measured on the crate itself.
#![allow(
    dead_code,
    missing_debug_implementations,
    missing_docs,
    unnameable_types,
    unused_imports,
    unreachable_pub,
    clippy::exhaustive_enums,
    clippy::exhaustive_structs,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    clippy::must_use_candidate,
    reason = "no library but a part of the benchmarks; they use a part of the crate's sources"
)]

pub mod by_hand;
pub mod codec;
pub mod counting;
pub mod harness;
pub mod header_map;
pub mod hostile;
pub mod linear;
pub mod messages;
pub mod sample;
pub mod stock;
pub mod table;

#[path = "../../src/engine/mod.rs"]
mod engine;
#[path = "../../src/policy/mod.rs"]
mod policy;
#[path = "../../src/semconv/mod.rs"]
mod semconv;
#[path = "../../src/telemetry/mod.rs"]
mod telemetry;
#[path = "../../src/w3c/mod.rs"]
mod w3c;

use engine::batch::{Batch, Batches};
use engine::received::Received;
use telemetry::Telemetry;

/// What a wrapped producer and a received message do with headers, as functions.
#[path = "../../src/amqp"]
pub mod amqp {
    mod carrier;

    use lapin::BasicProperties;
    use lapin::types::FieldTable;
    use opentelemetry::Context;

    use self::carrier::MessageHeaders;
    use crate::engine::propagation::CarriedHeaders;
    use crate::telemetry::Propagation;

    /// The headers that take the place of those that the properties have, if any do.
    pub fn inject(context: &Context, properties: &BasicProperties) -> Option<FieldTable> {
        let mut headers = MessageHeaders::new(properties);
        Propagation::W3c.inject(context, &mut headers, CarriedHeaders::REPLACED, |headers| {
            headers.room(131_072, properties)
        });
        headers.changed()
    }

    pub fn extract(properties: &BasicProperties) -> Context {
        Propagation::W3c
            .extract(&Context::new(), properties.headers().as_ref(), |_| true)
            .context
    }

    /// What becomes of headers that are sent on.
    pub(crate) fn forward(
        propagation: &Propagation,
        context: &Context,
        properties: &BasicProperties,
    ) -> Option<FieldTable> {
        let mut headers = MessageHeaders::new(properties);
        propagation.extract(&Context::new(), Some(&headers), |_| true);
        propagation.inject(context, &mut headers, CarriedHeaders::REPLACED, |headers| {
            headers.room(u32::MAX, properties)
        });
        headers.changed()
    }
}

/// The same for Kafka.
#[path = "../../src/kafka"]
pub mod kafka {
    mod carrier;
    mod native;

    use std::ffi::CString;

    use opentelemetry::Context;
    use rdkafka::message::{BorrowedHeaders, OwnedHeaders};

    use self::carrier::RecordHeaders;
    use self::native::RawHeader;
    use crate::engine::propagation::CarriedHeaders;
    use crate::hostile::Header;
    use crate::sample::{KEY, PAYLOAD};
    use crate::telemetry::Propagation;

    pub fn inject(context: &Context, headers: Option<OwnedHeaders>) -> Option<OwnedHeaders> {
        let mut headers = RecordHeaders::new(headers);
        Propagation::W3c.inject(context, &mut headers, CarriedHeaders::REPLACED, |headers| {
            headers.room(1_000_000, Some(KEY.as_bytes()), Some(&PAYLOAD))
        });
        headers.into_parts().0
    }

    pub fn extract(headers: &BorrowedHeaders) -> Context {
        Propagation::W3c
            .extract(&Context::new(), Some(headers), |_| true)
            .context
    }

    /// What becomes of headers that are sent on, and refused.
    pub(crate) fn forward(
        propagation: &Propagation,
        context: &Context,
        headers: Option<OwnedHeaders>,
    ) -> Option<OwnedHeaders> {
        let mut headers = RecordHeaders::new(headers);
        propagation.extract(&Context::new(), Some(&headers), |_| true);
        propagation.inject(context, &mut headers, CarriedHeaders::REPLACED, |headers| {
            headers.room(usize::MAX, None, None)
        });
        let (sent, given) = headers.into_parts();
        given.restored(sent)
    }

    /// A list of headers of any bytes.
    pub(crate) fn headers(headers: &[Header]) -> OwnedHeaders {
        let mut list = OwnedHeaders::new();
        for (name, value) in headers {
            let name = CString::new(&**name).expect("no NUL");
            let (name, value) = (name.as_c_str(), value.as_deref());
            native::append(&mut list, &RawHeader { name, value });
        }
        list
    }
}

/// The same for NATS.
#[path = "../../src/nats"]
pub mod nats {
    mod carrier;

    use async_nats::HeaderMap;
    use opentelemetry::Context;

    use self::carrier::MessageHeaders;
    use crate::engine::propagation::CarriedHeaders;
    use crate::sample::PAYLOAD;
    use crate::telemetry::Propagation;

    pub fn inject(context: &Context, mut headers: HeaderMap) -> HeaderMap {
        let mut carrier = MessageHeaders::new(&mut headers);
        Propagation::W3c.inject(context, &mut carrier, CarriedHeaders::REPLACED, |carrier| {
            carrier.room(1 << 20, PAYLOAD.len())
        });
        carrier.finish();
        headers
    }

    pub fn extract(headers: &HeaderMap) -> Context {
        Propagation::W3c
            .extract(&Context::new(), Some(headers), |_| true)
            .context
    }

    /// What becomes of headers that are sent on.
    pub(crate) fn forward(propagation: &Propagation, context: &Context, headers: &mut HeaderMap) {
        let mut carrier = MessageHeaders::new(headers);
        propagation.extract(&Context::new(), Some(&carrier), |_| true);
        propagation.inject(context, &mut carrier, CarriedHeaders::REPLACED, |carrier| {
            carrier.room(usize::MAX, 0)
        });
        carrier.finish();
    }
}
