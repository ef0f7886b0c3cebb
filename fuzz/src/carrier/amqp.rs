//! Headers of lapin's messages.

use lapin::BasicProperties;
use lapin::types::{AMQPValue, ByteArray, FieldArray, FieldTable, LongString, ShortString};
use opentelemetry::Context;
use otel_messaging::{amqp, w3c::Propagator};

use super::{Carrier, TELEMETRY};
use crate::input::{Form, Header};
use crate::reference::Order;

pub struct Amqp;

impl Carrier for Amqp {
    type Headers = FieldTable;
    type Value = AMQPValue;

    const ORDER: Order = Order::ByName;

    fn of(headers: &[Header]) -> FieldTable {
        let mut table = FieldTable::default();
        for header in headers {
            if let (Some(name), Some(value)) = (short(&header.name), value(header)) {
                table.insert(name, value);
            }
        }
        table
    }

    fn list(headers: &FieldTable) -> Vec<(Vec<u8>, AMQPValue)> {
        let headers = headers.into_iter();
        headers
            .map(|(name, value)| (name.as_str().as_bytes().to_vec(), value.clone()))
            .collect()
    }

    fn text(value: &AMQPValue) -> Option<&[u8]> {
        match value {
            AMQPValue::LongString(text) => Some(text.as_bytes()),
            AMQPValue::ShortString(text) => Some(text.as_str().as_bytes()),
            AMQPValue::ByteArray(bytes) => Some(bytes.as_slice()),
            _ => None,
        }
    }

    fn written(text: String) -> AMQPValue {
        AMQPValue::LongString(text.into())
    }

    fn inject(context: &Context, headers: FieldTable) -> FieldTable {
        let mut properties = BasicProperties::default().with_headers(headers);
        amqp::inject(&Propagator::new(), context, &mut properties);
        properties.headers().clone().unwrap_or_default()
    }

    fn sent(context: &Context, headers: FieldTable) -> FieldTable {
        let properties = BasicProperties::default().with_headers(headers);
        let sent = amqp::internal::inject(&TELEMETRY, context, &properties);
        let forwarded = amqp::internal::forward(&TELEMETRY, context, &properties);
        assert_eq!(forwarded, sent, "read before it is written over");
        let given = properties.headers().clone();
        sent.or(given).unwrap_or_default()
    }

    fn extract(headers: &FieldTable) -> Context {
        let properties = BasicProperties::default().with_headers(headers.clone());
        amqp::extract(&Propagator::new(), &properties)
    }

    fn received(headers: &FieldTable) -> Context {
        let properties = BasicProperties::default().with_headers(headers.clone());
        amqp::internal::extract(&TELEMETRY, &properties)
    }
}

fn value(header: &Header) -> Option<AMQPValue> {
    let bytes = || header.value.clone();
    Some(match header.form {
        Form::Text => AMQPValue::LongString(LongString::from(bytes())),
        Form::ShortText => AMQPValue::ShortString(short(&header.value)?),
        Form::Bytes => AMQPValue::ByteArray(ByteArray::from(bytes())),
        Form::Number => AMQPValue::LongLongInt(header.value.len().try_into().ok()?),
        Form::Truth => AMQPValue::Boolean(header.value.is_empty()),
        Form::Table => {
            let mut table = FieldTable::default();
            let inner = AMQPValue::LongString(LongString::from(bytes()));
            table.insert(short(&header.name)?, inner);
            AMQPValue::FieldTable(table)
        }
        Form::List => {
            let inner = AMQPValue::LongString(LongString::from(bytes()));
            AMQPValue::FieldArray(FieldArray::from(vec![inner]))
        }
        Form::Null => AMQPValue::Void,
    })
}

/// What the protocol has for names: text of at most 255 bytes.
fn short(bytes: &[u8]) -> Option<ShortString> {
    ShortString::try_new(String::from_utf8_lossy(bytes)).ok()
}
