//! When a message was sent, as far as its producer or the broker tells.

use std::time::{Duration, SystemTime};

use lapin::BasicProperties;
use lapin::types::AMQPValue;

/// Set by brokers from 3.12 on if they are told to, together with the property of whole seconds.
const MILLISECONDS: &str = "timestamp_in_ms";

/// The end of the year 9999. What is later is no time, milliseconds in a place for seconds mostly.
const END: Duration = Duration::from_secs(253_402_300_800);

/// The time that the `timestamp` says, by the header to the millisecond.
///
/// Headers are forwarded with a message, properties are set anew: one of another second is the time
/// of an earlier hop.
pub(in crate::amqp) fn sent_at(properties: &BasicProperties) -> Option<SystemTime> {
    let headers = properties.headers().as_ref();
    let header = headers.and_then(|headers| milliseconds(headers.inner().get(MILLISECONDS)?));
    let precise = header.map(Duration::from_millis).filter(is_time);
    let seconds = properties.timestamp().map(Duration::from_secs);
    let since_epoch = match (seconds.filter(is_time), precise) {
        (Some(seconds), Some(precise)) if seconds.as_secs() == precise.as_secs() => precise,
        (Some(seconds), _) => seconds,
        (None, precise) => precise?,
    };
    SystemTime::UNIX_EPOCH.checked_add(since_epoch)
}

fn is_time(since_epoch: &Duration) -> bool {
    *since_epoch < END
}

fn milliseconds(value: &AMQPValue) -> Option<u64> {
    match *value {
        AMQPValue::LongLongInt(value) => u64::try_from(value).ok(),
        AMQPValue::LongInt(value) => u64::try_from(value).ok(),
        AMQPValue::LongUInt(value) => Some(value.into()),
        AMQPValue::Timestamp(value) => Some(value),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use lapin::types::FieldTable;

    use super::*;

    #[test]
    fn the_header_makes_the_property_more_precise_but_never_says_another_second() {
        let header = |milliseconds| Some(AMQPValue::LongLongInt(milliseconds));
        let rows = [
            (None, None, None),
            (Some(1_795_000_000), None, Some(1_795_000_000_000)),
            (None, header(1_795_000_000_250), Some(1_795_000_000_250)),
            (
                Some(1_795_000_000),
                header(1_795_000_000_250),
                Some(1_795_000_000_250),
            ),
            (
                Some(1_795_000_000),
                header(1_795_000_000_999),
                Some(1_795_000_000_999),
            ),
            // Of an earlier hop.
            (
                Some(1_795_000_000),
                header(1_794_999_999_999),
                Some(1_795_000_000_000),
            ),
            // Of nobody.
            (
                Some(1_795_000_000),
                header(1_795_000_001_000),
                Some(1_795_000_000_000),
            ),
            (Some(0), header(7), Some(7)),
        ];

        for (property, header, expected) in rows {
            let found = sent_at(&properties(property, header.as_ref()));
            assert_eq!(found, expected.map(at), "{property:?} {header:?}");
        }
    }

    #[test]
    fn any_integer_is_milliseconds_and_nothing_else_is() {
        let rows = [
            (AMQPValue::LongInt(1_250), Some(1_250)),
            (AMQPValue::LongUInt(u32::MAX), Some(4_294_967_295)),
            (
                AMQPValue::Timestamp(1_795_000_000_250),
                Some(1_795_000_000_250),
            ),
            (AMQPValue::LongLongInt(0), Some(0)),
            (AMQPValue::LongLongInt(-1), None),
            (AMQPValue::LongLongInt(i64::MIN), None),
            (AMQPValue::LongLongInt(i64::MAX), None),
            (AMQPValue::LongInt(-1), None),
            (AMQPValue::Timestamp(u64::MAX), None),
            (AMQPValue::LongString("1795000000250".into()), None),
            (AMQPValue::Double(1_795_000_000_250.0), None),
            (AMQPValue::FieldTable(FieldTable::default()), None),
            (AMQPValue::Void, None),
        ];

        for (header, expected) in rows {
            let alone = sent_at(&properties(None, Some(&header)));
            assert_eq!(alone, expected.map(at), "{header:?}");
            let beside = sent_at(&properties(Some(1_795_000_000), Some(&header)));
            let precise = expected.filter(|milliseconds| milliseconds / 1_000 == 1_795_000_000);
            let expected = at(precise.unwrap_or(1_795_000_000_000));
            assert_eq!(beside, Some(expected), "{header:?}");
        }
    }

    #[test]
    fn seconds_that_are_none_count_as_absent() {
        let header = AMQPValue::LongLongInt(1_795_000_000_250);
        // The first is a time in milliseconds.
        for seconds in [1_795_000_000_250, 253_402_300_800, u64::MAX] {
            assert_eq!(sent_at(&properties(Some(seconds), None)), None);
            let beside = sent_at(&properties(Some(seconds), Some(&header)));
            assert_eq!(beside, Some(at(1_795_000_000_250)));
        }
        let last = sent_at(&properties(Some(253_402_300_799), None));
        assert_eq!(last, Some(at(253_402_300_799_000)));
    }

    fn properties(seconds: Option<u64>, milliseconds: Option<&AMQPValue>) -> BasicProperties {
        let mut properties = BasicProperties::default();
        if let Some(seconds) = seconds {
            properties = properties.with_timestamp(seconds);
        }
        if let Some(milliseconds) = milliseconds {
            let mut headers = FieldTable::default();
            headers.insert(MILLISECONDS.into(), milliseconds.clone());
            properties = properties.with_headers(headers);
        }
        properties
    }

    fn at(milliseconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_millis(milliseconds)
    }
}
