//! Headers of async-nats' messages.

use std::collections::BTreeMap;

use async_nats::HeaderMap;
use async_nats::header::{HeaderName, HeaderValue};
use opentelemetry::Context;
use otel_messaging::{nats, w3c::Propagator};

use super::{Carrier, TELEMETRY};
use crate::input::Header;
use crate::reference::{Order, TRACEPARENT, field};

pub struct Nats;

impl Carrier for Nats {
    type Headers = HeaderMap;
    type Value = String;

    const ORDER: Order = Order::ByName;

    fn of(headers: &[Header]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for header in headers {
            let name = String::from_utf8_lossy(&header.name).parse::<HeaderName>();
            let value = String::from_utf8_lossy(&header.value).parse::<HeaderValue>();
            if let (Ok(name), Ok(value)) = (name, value) {
                map.append(name, value);
            }
        }
        map
    }

    fn list(headers: &HeaderMap) -> Vec<(Vec<u8>, String)> {
        let names: BTreeMap<&[u8], _> = headers
            .iter()
            .map(|(name, values)| (name.as_ref(), values))
            .collect();
        let mut list = Vec::new();
        for (name, values) in names {
            list.extend(
                values
                    .iter()
                    .map(|value| (name.to_vec(), value.to_string())),
            );
        }
        list
    }

    fn text(value: &String) -> Option<&[u8]> {
        Some(value.as_bytes())
    }

    fn written(text: String) -> String {
        text
    }

    fn inject(context: &Context, mut headers: HeaderMap) -> HeaderMap {
        nats::inject(&Propagator::new(), context, &mut headers);
        headers
    }

    fn sent(context: &Context, headers: HeaderMap) -> HeaderMap {
        let mut forwarded = headers.clone();
        nats::internal::forward(&TELEMETRY, context, &mut forwarded);
        let sent = nats::internal::inject(&TELEMETRY, context, headers);
        assert_eq!(forwarded, sent, "read before it is written over");
        sent
    }

    fn extract(headers: &HeaderMap) -> Context {
        nats::extract(&Propagator::new(), headers)
    }

    fn received(headers: &HeaderMap) -> Context {
        nats::internal::extract(&TELEMETRY, headers)
    }

    fn field(name: &[u8]) -> Option<&'static str> {
        field(name).or_else(|| is_renamed(name).then_some(TRACEPARENT))
    }

    /// Where no traceparent has its name, the one that an old server has renamed is it.
    fn seen(headers: &mut [(&[u8], &[u8])]) {
        if headers
            .iter()
            .any(|(name, _)| field(name) == Some(TRACEPARENT))
        {
            return;
        }
        for (name, _) in headers {
            if is_renamed(name) {
                *name = TRACEPARENT.as_bytes();
            }
        }
    }
}

/// Servers before 2.14 make `Xraceparent` of a traceparent that they have taken as their own.
fn is_renamed(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"xraceparent")
}
