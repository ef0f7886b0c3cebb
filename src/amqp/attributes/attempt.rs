//! Which delivery of a message it is, as far as the broker tells.

use lapin::message::Delivery;
use lapin::types::{AMQPValue, FieldTable};

/// How often a quorum queue has delivered the message before; from RabbitMQ 4.3 on, how often that failed.
const DELIVERY_COUNT: &str = "x-delivery-count";

/// The same from RabbitMQ 4.3 on, whether it failed or was given back.
const ACQUIRED_COUNT: &str = "x-acquired-count";

/// Where the message was dead-lettered, once for each queue and reason.
const DEATHS: &str = "x-death";

/// Reasons of dead-lettering that somebody had the message before; it expires in the queue.
const AFTER_DELIVERY: [&[u8]; 2] = [b"rejected", b"delivery_limit"];

/// The number of the delivery, from 1. It is the least that the broker's words allow: a classic queue
/// says of a message only that it was delivered before, not how often.
pub(super) fn attempt(delivery: &Delivery) -> i64 {
    let headers = delivery.properties.headers().as_ref();
    // Of a first delivery they are those of another queue, from where the message was sent on.
    let headers_again = headers.filter(|_| delivery.redelivered);
    let told = |name| headers_again.and_then(|headers| count(headers, name));
    let told = [ACQUIRED_COUNT, DELIVERY_COUNT]
        .into_iter()
        .filter_map(told);
    let from_this_queue = told.fold(i64::from(delivery.redelivered), i64::max);
    let from_others = headers.map_or(0, deaths_after_delivery);
    from_this_queue
        .saturating_add(from_others)
        .saturating_add(1)
}

/// How often the message was delivered by queues that it died in.
pub(in crate::amqp) fn deaths_after_delivery(headers: &FieldTable) -> i64 {
    let Some(AMQPValue::FieldArray(deaths)) = headers.inner().get(DEATHS) else {
        return 0;
    };
    deaths
        .as_slice()
        .iter()
        .filter_map(AMQPValue::as_field_table)
        .filter(|death| {
            let reason = death.inner().get("reason");
            let reason = reason.and_then(AMQPValue::as_long_string);
            reason.is_some_and(|reason| AFTER_DELIVERY.contains(&reason.as_bytes()))
        })
        .filter_map(|death| count(death, "count"))
        .fold(0, i64::saturating_add)
}

/// A count, which is never less than none.
fn count(table: &FieldTable, name: &str) -> Option<i64> {
    let count = match *table.inner().get(name)? {
        AMQPValue::LongLongInt(count) => count,
        AMQPValue::LongInt(count) => count.into(),
        AMQPValue::LongUInt(count) => count.into(),
        _ => return None,
    };
    Some(count.max(0))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use lapin::BasicProperties;
    use lapin::types::{FieldArray, ShortString};

    use super::*;

    fn table<const N: usize>(fields: [(&str, AMQPValue); N]) -> FieldTable {
        let fields = fields.map(|(name, value)| (ShortString::from(name), value));
        FieldTable::from(BTreeMap::from(fields))
    }

    fn death(reason: &str, count: i64) -> AMQPValue {
        AMQPValue::FieldTable(table([
            ("reason", AMQPValue::LongString(reason.into())),
            ("count", AMQPValue::LongLongInt(count)),
        ]))
    }

    fn deaths<const N: usize>(deaths: [AMQPValue; N]) -> AMQPValue {
        AMQPValue::FieldArray(FieldArray::from(deaths.to_vec()))
    }

    #[test]
    fn each_delivery_before_counts_as_far_as_the_broker_tells() {
        let none = || table([]);
        let delivered = |count| table([(DELIVERY_COUNT, AMQPValue::LongLongInt(count))]);
        let acquired = |acquired, failed| {
            table([
                (ACQUIRED_COUNT, AMQPValue::LongLongInt(acquired)),
                (DELIVERY_COUNT, AMQPValue::LongLongInt(failed)),
            ])
        };
        let died = |deaths| table([(DEATHS, deaths)]);
        let rows = [
            (false, none(), 1),
            (true, none(), 2),
            (false, delivered(0), 1),
            (true, delivered(1), 2),
            (true, delivered(4), 5),
            (false, delivered(4), 1),
            (true, acquired(4, 0), 5),
            (true, acquired(1, 3), 4),
            (false, acquired(4, 4), 1),
            (false, died(deaths([death("rejected", 3)])), 4),
            (true, died(deaths([death("rejected", 3)])), 5),
            (false, died(deaths([death("delivery_limit", 1)])), 2),
            (
                false,
                died(deaths([death("expired", 2), death("rejected", 2)])),
                3,
            ),
            (false, died(deaths([death("maxlen", 1)])), 1),
        ];

        for (redelivered, headers, expected) in rows {
            assert_eq!(
                attempt(&delivery(redelivered, &headers)),
                expected,
                "{headers:?}"
            );
        }
    }

    #[test]
    fn what_no_broker_writes_is_no_reason_to_miscount() {
        let text = AMQPValue::LongString("7".into());
        let rows = [
            table([(DELIVERY_COUNT, text.clone())]),
            table([(DELIVERY_COUNT, AMQPValue::LongLongInt(-7))]),
            table([(DEATHS, text.clone())]),
            table([(DEATHS, deaths([text]))]),
            table([(DEATHS, deaths([death("rejected", -7)]))]),
        ];

        for headers in rows {
            assert_eq!(attempt(&delivery(false, &headers)), 1, "{headers:?}");
        }
        let most = deaths([death("rejected", i64::MAX), death("rejected", i64::MAX)]);
        assert_eq!(attempt(&delivery(true, &table([(DEATHS, most)]))), i64::MAX);
    }

    fn delivery(redelivered: bool, headers: &FieldTable) -> Delivery {
        let mut delivery = Delivery::mock(1, "".into(), "orders".into(), redelivered, Vec::new());
        delivery.properties = BasicProperties::default().with_headers(headers.clone());
        delivery
    }
}
