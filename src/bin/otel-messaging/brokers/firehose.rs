//! What RabbitMQ's firehose has of a message: its properties are in a header, its payload is the payload.

use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldTable, ShortString};

/// Where a broker that traces publishes copies to.
pub(super) const EXCHANGE: &str = "amq.rabbitmq.trace";

/// The message that was published or delivered.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Traced {
    pub(super) properties: BasicProperties,
    pub(super) exchange: String,
    pub(super) key: String,
    pub(super) is_redelivered: bool,
}

/// By the properties of what tells of it.
pub(super) fn traced(properties: &BasicProperties) -> Traced {
    let headers = properties.headers().as_ref();
    headers.map_or_else(Traced::default, Traced::of)
}

impl Traced {
    fn of(headers: &FieldTable) -> Self {
        let part = |name: &str| headers.inner().get(name);
        let key = match part("routing_keys") {
            Some(AMQPValue::FieldArray(keys)) => keys.as_slice().first().map(text),
            _ => None,
        };
        Self {
            properties: match part("properties") {
                Some(AMQPValue::FieldTable(table)) => properties(table),
                _ => BasicProperties::default(),
            },
            exchange: part("exchange_name").map(text).unwrap_or_default(),
            key: key.unwrap_or_default(),
            is_redelivered: matches!(
                part("redelivered"),
                Some(
                    AMQPValue::Boolean(true)
                        | AMQPValue::LongInt(1)
                        | AMQPValue::LongLongInt(1)
                        | AMQPValue::ShortShortInt(1)
                )
            ),
        }
    }
}

/// Those that are looked at.
fn properties(table: &FieldTable) -> BasicProperties {
    let mut properties = BasicProperties::default();
    for (name, value) in table {
        properties = match (name.as_str(), value) {
            ("headers", AMQPValue::FieldTable(headers)) => properties.with_headers(headers.clone()),
            ("message_id", value) => properties.with_message_id(short(value)),
            ("correlation_id", value) => properties.with_correlation_id(short(value)),
            ("app_id", value) => properties.with_app_id(short(value)),
            ("timestamp", AMQPValue::Timestamp(time)) => properties.with_timestamp(*time),
            ("timestamp", AMQPValue::LongLongInt(time)) => {
                properties.with_timestamp(u64::try_from(*time).unwrap_or_default())
            }
            _ => properties,
        };
    }
    properties
}

/// Empty if it is longer than such a property can be, or gets so where bytes that are no text are replaced.
fn short(value: &AMQPValue) -> ShortString {
    ShortString::try_new(text(value)).unwrap_or_default()
}

fn text(value: &AMQPValue) -> String {
    match value {
        AMQPValue::LongString(text) => String::from_utf8_lossy(text.as_bytes()).into_owned(),
        AMQPValue::ShortString(text) => text.as_str().to_owned(),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use lapin::types::FieldArray;

    use super::*;

    fn long(text: &str) -> AMQPValue {
        AMQPValue::LongString(text.as_bytes().into())
    }

    #[test]
    fn the_headers_of_a_traced_message_are_those_that_it_had() {
        let mut own = FieldTable::default();
        own.insert("traceparent".into(), long("00-…"));
        let mut properties = FieldTable::default();
        properties.insert("headers".into(), AMQPValue::FieldTable(own.clone()));
        properties.insert("message_id".into(), long("order-7"));
        properties.insert("timestamp".into(), AMQPValue::LongLongInt(7));
        properties.insert("delivery_mode".into(), AMQPValue::LongInt(2));
        let mut headers = FieldTable::default();
        headers.insert("exchange_name".into(), long("shop"));
        let keys = FieldArray::from(vec![long("orders.new")]);
        headers.insert("routing_keys".into(), AMQPValue::FieldArray(keys));
        headers.insert("properties".into(), AMQPValue::FieldTable(properties));
        headers.insert("redelivered".into(), AMQPValue::LongInt(1));

        let expected = Traced {
            properties: BasicProperties::default()
                .with_headers(own)
                .with_message_id("order-7".into())
                .with_timestamp(7),
            exchange: "shop".to_owned(),
            key: "orders.new".to_owned(),
            is_redelivered: true,
        };
        assert_eq!(Traced::of(&headers), expected);
        assert_eq!(Traced::of(&FieldTable::default()), Traced::default());
    }

    #[test]
    fn an_id_that_is_no_text_or_too_long_for_one_is_left_out() {
        for bytes in [[0xff; 255].as_slice(), [b'7'; 256].as_slice()] {
            let mut properties = FieldTable::default();
            let id = AMQPValue::LongString(bytes.to_vec().into());
            properties.insert("message_id".into(), id);
            properties.insert("timestamp".into(), AMQPValue::LongLongInt(7));
            let mut headers = FieldTable::default();
            headers.insert("properties".into(), AMQPValue::FieldTable(properties));

            let expected = BasicProperties::default()
                .with_message_id(ShortString::default())
                .with_timestamp(7);
            assert_eq!(Traced::of(&headers).properties, expected);
        }
    }
}
