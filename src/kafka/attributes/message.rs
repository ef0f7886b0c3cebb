//! Attributes of a record or a message.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use opentelemetry::{KeyValue, StringValue};
use rdkafka::message::BorrowedHeaders;

use super::client::ClientInfo;
use super::{KAFKA_MESSAGE_KEY, KAFKA_MESSAGE_TOMBSTONE, KAFKA_OFFSET};
use crate::engine::destination::Destination;
use crate::engine::received::sealed::ConsumedMessage;
use crate::kafka::carrier::MessageHeaders;
use crate::policy::Rule;
use crate::semconv::text::tidy;

#[expect(private_interfaces, reason = "nobody else can call it")]
impl<M: MessageHeaders> ConsumedMessage for M {
    type Source = ClientInfo;
    type Headers = BorrowedHeaders;

    fn destination(&self, source: &ClientInfo) -> Arc<Destination> {
        source.destination(self.topic())
    }

    fn partition(&self) -> Option<i32> {
        Some(rdkafka::Message::partition(self))
    }

    fn headers(&self) -> Option<&BorrowedHeaders> {
        self.borrowed_headers()
    }

    fn sent_at(&self) -> Option<SystemTime> {
        let millis = u64::try_from(self.timestamp().to_millis()?).ok()?;
        SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(millis))
    }

    fn number(&self) -> Option<KeyValue> {
        Some(offset(self.offset()))
    }

    fn attributes(&self, source: &ClientInfo, rule: &Rule, set: &mut dyn FnMut(KeyValue)) {
        content(rule, self.key(), self.payload().is_some(), set);
        source.cluster_id().into_iter().for_each(set);
    }
}

/// Attributes of one record or message by its key and payload.
///
/// Spec: [Kafka § Kafka spans], the attributes of each span.
///
/// [Kafka § Kafka spans]: https://github.com/open-telemetry/semantic-conventions/blob/v1.45.0/docs/messaging/kafka.md#kafka-spans
pub(in crate::kafka) fn content(
    rule: &Rule,
    key: Option<&[u8]>,
    has_payload: bool,
    set: &mut dyn FnMut(KeyValue),
) {
    if let Some(key) = key.filter(|_| rule.wants_message_key())
        && let Some(key) = key_text(key)
    {
        set(KeyValue::new(KAFKA_MESSAGE_KEY, key));
    }
    if !has_payload {
        set(KeyValue::new(KAFKA_MESSAGE_TOMBSTONE, true));
    }
}

/// The offset of a message.
pub(in crate::kafka) fn offset(offset: i64) -> KeyValue {
    KeyValue::new(KAFKA_OFFSET, offset)
}

/// The offset that a report of a delivery tells. Where no broker has told one, the client numbers the
/// records of a request by itself, from a negative number on.
pub(in crate::kafka) fn offset_told(info: &ClientInfo, at: i64) -> Option<KeyValue> {
    (info.is_answered && at >= 0).then(|| offset(at))
}

/// A key that is text for people, and there is any. Other keys have no agreed text form, and the conventions leave
/// them out; a binary number may be UTF-8 by chance but holds control characters then.
fn key_text(key: &[u8]) -> Option<StringValue> {
    let text = str::from_utf8(key).ok().filter(|text| !text.is_empty())?;
    match tidy(text) {
        Cow::Owned(_) if text.chars().any(char::is_control) => None,
        tidied => Some(StringValue::from(tidied.into_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_of_any_size_is_a_short_attribute() {
        let key = "k".repeat(900_000);

        let mut values = Vec::new();
        content(
            &Rule::of("orders"),
            Some(key.as_bytes()),
            true,
            &mut |one| {
                values.push(one.value.to_string());
            },
        );

        assert_eq!(values.len(), 1);
        assert!(values.iter().all(|value| value.len() <= 256));
    }

    #[test]
    fn a_key_is_an_attribute_only_where_it_is_text() {
        let keys: [(&[u8], Option<&str>); 5] = [
            (b"order-7", Some("order-7")),
            ("größe".as_bytes(), Some("größe")),
            (&[0, 0, 0, 7], None),
            (&[0xff, 0xfe], None),
            (b"", None),
        ];

        for (key, expected) in keys {
            assert_eq!(key_text(key).as_ref().map(StringValue::as_str), expected);
        }
    }
}
