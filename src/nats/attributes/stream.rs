//! Attributes of a message in a stream.

use async_nats::jetstream::publish::PublishAck;
use opentelemetry::KeyValue;

use super::{
    NATS_BATCH_DUPLICATE_COUNT, NATS_MESSAGE_DUPLICATE, NATS_STREAM_NAME, NATS_STREAM_SEQUENCE,
};
use crate::semconv::attributes::count;
use crate::semconv::text::text;

/// The stream that keeps a message.
pub(in crate::nats) fn stream_name(stream: &str) -> KeyValue {
    KeyValue::new(NATS_STREAM_NAME, text(stream))
}

/// The number of a message in its stream; what the attribute cannot hold is left out.
pub(in crate::nats) fn sequence(sequence: u64) -> Option<KeyValue> {
    let sequence = i64::try_from(sequence).ok()?;
    Some(KeyValue::new(NATS_STREAM_SEQUENCE, sequence))
}

/// Whether an `error.type` says that a message was refused for its size: by the client for the
/// server's limit, or by a stream for its own or for that of headers.
pub(in crate::nats) fn is_for_size(error_type: &str) -> bool {
    matches!(
        error_type,
        "max_payload_exceeded" | "jetstream_10054" | "jetstream_10097"
    )
}

/// What a stream said of a message that was sent, but for its number.
pub(in crate::nats) fn of_ack(ack: &PublishAck) -> impl Iterator<Item = KeyValue> + use<> {
    let duplicate = ack.duplicate;
    let duplicate = duplicate.then(|| KeyValue::new(NATS_MESSAGE_DUPLICATE, true));
    [stream_name(&ack.stream)].into_iter().chain(duplicate)
}

/// How many of the messages that were sent together a stream had before, if any.
pub(in crate::nats) fn duplicates<E>(results: &[Result<PublishAck, E>]) -> Option<KeyValue> {
    let duplicates = results.iter().flatten().filter(|ack| ack.duplicate).count();
    (duplicates > 0).then(|| count(NATS_BATCH_DUPLICATE_COUNT, duplicates))
}

#[cfg(test)]
mod tests {
    use async_nats::jetstream;
    use async_nats::jetstream::ErrorCode;
    use async_nats::jetstream::context::{PublishError, PublishErrorKind};

    use super::*;
    use crate::nats::attributes::of_jetstream_publish;

    #[test]
    fn a_refusal_for_size_is_told_from_others() {
        let by_stream = |number: ErrorCode| {
            let refused = toml::from_str(&format!("code = 400\nerr_code = {}", number.0));
            refused.map(|refused: jetstream::Error| {
                let error = PublishError::with_source(PublishErrorKind::Other, refused);
                is_for_size(&of_jetstream_publish(&error))
            })
        };
        let by_client = PublishError::new(PublishErrorKind::MaxPayloadExceeded);
        let full = PublishError::new(PublishErrorKind::MaxAckPending);

        let rows = [
            (ErrorCode::STREAM_MESSAGE_EXCEEDS_MAXIMUM, true),
            (ErrorCode::STREAM_HEADER_EXCEEDS_MAXIMUM, true),
            (ErrorCode::STREAM_STORE_FAILED, false),
        ];
        for (number, expected) in rows {
            assert_eq!(by_stream(number), Ok(expected), "{number:?}");
        }
        assert!(is_for_size(&of_jetstream_publish(&by_client)));
        assert!(!is_for_size(&of_jetstream_publish(&full)));
    }
}
