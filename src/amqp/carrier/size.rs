//! Sizes on the wire, as the client writes them.

use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldTable, ShortString};

/// A content header frame without its properties: type, channel, size and end of the frame, class,
/// weight, size of the body and which properties there are.
pub(super) const HEADER_FRAME: usize = 1 + 2 + 4 + 1 + 2 + 2 + 8 + 2;

/// The size that stands before the fields of a table.
pub(super) const EMPTY_TABLE: usize = 4;

/// A field that is a long string: name behind its length, type, value behind its length.
pub(super) const fn field(name: usize, value: usize) -> usize {
    1 + name + 1 + 4 + value
}

pub(super) fn table(table: &FieldTable) -> usize {
    let fields = table.inner().iter();
    let size = fields.map(|(name, content)| short_string(name) + 1 + value(content));
    EMPTY_TABLE + size.sum::<usize>()
}

/// A value without its type.
fn value(value: &AMQPValue) -> usize {
    match value {
        AMQPValue::Void => 0,
        AMQPValue::Boolean(_) | AMQPValue::ShortShortInt(_) | AMQPValue::ShortShortUInt(_) => 1,
        AMQPValue::ShortInt(_) | AMQPValue::ShortUInt(_) => 2,
        AMQPValue::LongInt(_) | AMQPValue::LongUInt(_) | AMQPValue::Float(_) => 4,
        AMQPValue::DecimalValue(_) => 5,
        AMQPValue::LongLongInt(_) | AMQPValue::Timestamp(_) | AMQPValue::Double(_) => 8,
        AMQPValue::ShortString(text) => short_string(text),
        AMQPValue::LongString(text) => 4 + text.len(),
        AMQPValue::ByteArray(bytes) => 4 + bytes.len(),
        AMQPValue::FieldTable(fields) => table(fields),
        AMQPValue::FieldArray(items) => {
            4 + items
                .as_slice()
                .iter()
                .map(|item| 1 + self::value(item))
                .sum::<usize>()
        }
    }
}

pub(super) fn properties_without_headers(properties: &BasicProperties) -> usize {
    let texts: usize = [
        properties.content_type(),
        properties.content_encoding(),
        properties.correlation_id(),
        properties.reply_to(),
        properties.expiration(),
        properties.message_id(),
        properties.kind(),
        properties.user_id(),
        properties.app_id(),
        properties.cluster_id(),
    ]
    .into_iter()
    .flatten()
    .map(short_string)
    .sum();
    texts
        + properties.delivery_mode().map_or(0, |_| 1)
        + properties.priority().map_or(0, |_| 1)
        + properties.timestamp().map_or(0, |_| 8)
}

fn short_string(text: &ShortString) -> usize {
    1 + text.as_str().len()
}
