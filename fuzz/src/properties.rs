//! What the command makes of the properties of a message of RabbitMQ: of dead letters, and of what the firehose tells.

#[path = "../../src/bin/otel-messaging/brokers/amqp/facts.rs"]
mod facts;
#[expect(dead_code, reason = "a name that the command reads from")]
#[path = "../../src/bin/otel-messaging/brokers/firehose.rs"]
mod firehose;

use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldArray, FieldTable, ShortString};
use serde_json::Value;

use crate::command::in_bounds;

/// The headers of a message as an object of JSON. An object `{"time": 7}` in it is a time, and `{"bytes": [255]}` a
/// text of any bytes.
pub fn check(input: &[u8]) {
    let Ok(Value::Object(headers)) = serde_json::from_slice(input) else {
        return;
    };
    let headers = table(headers);
    let properties = BasicProperties::default().with_headers(headers.clone());
    looked_at(&properties);

    let traced = firehose::traced(&properties);
    looked_at(&traced.properties);
    let nested = |table: &FieldTable, name: &str| match table.inner().get(name) {
        Some(AMQPValue::FieldTable(table)) => Some(table.clone()),
        _ => None,
    };
    let told = nested(&headers, "properties").unwrap_or_default();
    assert_eq!(*traced.properties.headers(), nested(&told, "headers"));
    let name = headers.inner().get("exchange_name");
    assert_eq!(traced.exchange, name.map(text).unwrap_or_default());
    let key = first(headers.inner().get("routing_keys"));
    assert_eq!(traced.key, key.map(text).unwrap_or_default());
    if traced.is_redelivered {
        assert!(headers.inner().contains_key("redelivered"));
    }
}

fn looked_at(properties: &BasicProperties) {
    let facts = facts::facts(properties);
    assert_eq!(facts, facts::facts(properties));
    in_bounds(&facts);

    let headers = properties.headers().clone().unwrap_or_default();
    let deaths = match headers.inner().get("x-death") {
        Some(AMQPValue::FieldArray(deaths)) => deaths.as_slice().to_vec(),
        _ => Vec::new(),
    };
    let deaths = deaths.iter().filter_map(AMQPValue::as_field_table);
    let keys = deaths.filter_map(|death| first(death.inner().get("routing-keys")));
    if let Some(key) = facts.routing_key {
        // It is one that the client can send with.
        assert!(ShortString::try_new(&*key).is_ok());
        let mut keys = keys.filter(|one| !matches!(one, AMQPValue::LongLongInt(_)));
        let is_number = key.parse::<i64>().is_ok();
        let of_spring = headers.inner().get("x-original-routingKey").map(text);
        let is_known = is_number || of_spring.as_ref() == Some(&key);
        assert!(is_known || keys.any(|one| text(one) == key), "{key:?}");
    }
}

fn first(value: Option<&AMQPValue>) -> Option<&AMQPValue> {
    match value? {
        AMQPValue::FieldArray(list) => list.as_slice().first(),
        _ => None,
    }
}

fn text(value: &AMQPValue) -> String {
    match value {
        AMQPValue::LongString(text) => String::from_utf8_lossy(text.as_bytes()).into_owned(),
        _ => String::new(),
    }
}

/// Names that the protocol cannot hold are left out.
fn table(fields: impl IntoIterator<Item = (String, Value)>) -> FieldTable {
    let mut table = FieldTable::default();
    for (name, field) in fields {
        if let Ok(name) = ShortString::try_new(name) {
            table.insert(name, value(field));
        }
    }
    table
}

fn value(value: Value) -> AMQPValue {
    match value {
        Value::Null => AMQPValue::Void,
        Value::Bool(truth) => AMQPValue::Boolean(truth),
        Value::Number(number) => match number.as_i64() {
            Some(number) => AMQPValue::LongLongInt(number),
            None => AMQPValue::Double(number.as_f64().unwrap_or_default()),
        },
        Value::String(text) => AMQPValue::LongString(text.into()),
        Value::Array(list) => {
            let list: Vec<_> = list.into_iter().map(self::value).collect();
            AMQPValue::FieldArray(FieldArray::from(list))
        }
        Value::Object(fields) => match (fields.get("time"), fields.get("bytes")) {
            (Some(time), _) if fields.len() == 1 && time.is_u64() => {
                AMQPValue::Timestamp(time.as_u64().unwrap_or_default())
            }
            (_, Some(Value::Array(bytes))) if fields.len() == 1 => {
                let bytes = bytes.iter().filter_map(Value::as_u64);
                let bytes: Vec<_> = bytes.filter_map(|byte| u8::try_from(byte).ok()).collect();
                AMQPValue::LongString(bytes.into())
            }
            _ => AMQPValue::FieldTable(table(fields)),
        },
    }
}
