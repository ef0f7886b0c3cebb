//! What properties and headers of RabbitMQ say that is none of context.

use std::time::{Duration, UNIX_EPOCH};

use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldTable};
use otel_messaging::amqp::internal::deliveries_elsewhere;

use crate::facts::{self, Death, Facts, MOST_DEATHS};

/// The key that a message had which Spring has published again, by another one.
const ORIGINAL_KEY: &str = "x-original-routingKey";

/// What Spring writes to such a message, whatever it had.
const OF_SPRING: [&str; 2] = ["x-exception-stacktrace", ORIGINAL_KEY];

pub(super) fn facts(properties: &BasicProperties) -> Facts {
    let mut facts = Facts::default();
    for id in [properties.message_id(), properties.correlation_id()]
        .into_iter()
        .flatten()
    {
        facts.look_at(b"message-id", id.as_str().as_bytes());
    }
    if let Some(application) = properties.app_id() {
        facts.look_at(b"app-id", application.as_str().as_bytes());
    }
    // What this crate's consumers go by, too.
    facts.attempts = u64::try_from(deliveries_elsewhere(properties))
        .ok()
        .filter(|attempts| *attempts > 0);
    if let Some(headers) = properties.headers() {
        let part = |name: &str| headers.inner().get(name);
        facts.is_marked = OF_SPRING.iter().any(|name| part(name).is_some());
        let republished = part(ORIGINAL_KEY).and_then(key);
        facts.routing_key = first_key(headers).or(republished);
    }
    for (name, value) in properties.headers().iter().flatten() {
        match (name.as_str(), value) {
            ("x-death", AMQPValue::FieldArray(deaths)) => died(&mut facts, deaths.as_slice()),
            (name, value) => {
                if let Some(text) = bytes(value) {
                    facts.look_at(name.as_bytes(), &text);
                }
            }
        }
    }
    // Of what came by the default exchange, which has no name, the key is the queue.
    if facts.is_marked && facts.died_in.is_none() {
        let queue = facts.routing_key.as_ref();
        facts.died_in = queue.and_then(|queue| facts::text(queue.as_bytes()));
    }
    facts
}

/// The latest death comes first; each queue and reason is there once, with a count.
fn died(facts: &mut Facts, deaths: &[AMQPValue]) {
    let deaths = deaths.iter().filter_map(AMQPValue::as_field_table);
    for death in deaths.take(MOST_DEATHS) {
        let part = |name: &str| death.inner().get(name).and_then(bytes);
        let [queue, reason] = ["queue", "reason"].map(|name| part(name).unwrap_or_default());
        facts.look_at(b"x-first-death-queue", &queue);
        facts.look_at(b"x-first-death-reason", &reason);
        let count = part("count").and_then(|text| str::from_utf8(&text).ok()?.parse().ok());
        if let (Some(queue), Some(reason)) = (facts::text(&queue), facts::text(&reason)) {
            facts.deaths.push(Death {
                queue,
                reason,
                count: count.unwrap_or(1),
            });
        }
        if facts.died_at.is_none()
            && let Some(AMQPValue::Timestamp(time)) = death.inner().get("time")
        {
            facts.died_at = UNIX_EPOCH.checked_add(Duration::from_secs(*time));
        }
    }
}

/// The key that it had when it died first.
fn first_key(headers: &FieldTable) -> Option<String> {
    let part = |name: &str| headers.inner().get(name).and_then(bytes);
    let Some(AMQPValue::FieldArray(deaths)) = headers.inner().get("x-death") else {
        return None;
    };
    let deaths = deaths
        .as_slice()
        .iter()
        .filter_map(AMQPValue::as_field_table);
    let [queue, reason] = ["x-first-death-queue", "x-first-death-reason"].map(part);
    let is_first = |death: &&FieldTable| {
        let is = |name: &str, first: &Option<Vec<u8>>| {
            first.is_some() && death.inner().get(name).and_then(bytes) == *first
        };
        is("queue", &queue) && is("reason", &reason)
    };
    // A death that comes again is moved to the begin: the last one is the first only where none did.
    let named = deaths.clone().find(is_first).and_then(routing_key);
    named.or_else(|| deaths.rev().find_map(routing_key))
}

/// The key that it was published with; copies that its publisher asked for have others, which come after it.
fn routing_key(death: &FieldTable) -> Option<String> {
    let AMQPValue::FieldArray(keys) = death.inner().get("routing-keys")? else {
        return None;
    };
    keys.as_slice().first().and_then(key)
}

fn key(value: &AMQPValue) -> Option<String> {
    let key = String::from_utf8(bytes(value)?).ok()?;
    // A key has no more bytes than these; what is longer was written by somebody else.
    (key.len() <= 255).then_some(key)
}

fn bytes(value: &AMQPValue) -> Option<Vec<u8>> {
    Some(match value {
        AMQPValue::LongString(text) => text.as_bytes().to_vec(),
        AMQPValue::ShortString(text) => text.as_str().as_bytes().to_vec(),
        AMQPValue::ByteArray(bytes) => bytes.as_slice().to_vec(),
        AMQPValue::ShortShortInt(number) => number.to_string().into_bytes(),
        AMQPValue::ShortInt(number) => number.to_string().into_bytes(),
        AMQPValue::LongInt(number) => number.to_string().into_bytes(),
        AMQPValue::LongLongInt(number) => number.to_string().into_bytes(),
        AMQPValue::LongUInt(number) => number.to_string().into_bytes(),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use lapin::types::{FieldArray, ShortString};

    use super::*;

    fn table<const N: usize>(fields: [(&str, AMQPValue); N]) -> FieldTable {
        let fields = fields.map(|(name, value)| (ShortString::from(name), value));
        FieldTable::from(BTreeMap::from(fields))
    }

    fn long(text: &str) -> AMQPValue {
        AMQPValue::LongString(text.into())
    }

    fn array(values: Vec<AMQPValue>) -> AMQPValue {
        AMQPValue::FieldArray(FieldArray::from(values))
    }

    fn of<const N: usize>(headers: [(&str, AMQPValue); N]) -> Facts {
        facts(&BasicProperties::default().with_headers(table(headers)))
    }

    fn death(queue: &str, reason: &str, count: i64, time: u64, key: &str) -> AMQPValue {
        AMQPValue::FieldTable(table([
            ("queue", long(queue)),
            ("reason", long(reason)),
            ("count", AMQPValue::LongLongInt(count)),
            ("time", AMQPValue::Timestamp(time)),
            ("routing-keys", array(vec![long(key), long("copy")])),
        ]))
    }

    #[test]
    fn each_death_is_told_the_latest_first_and_the_first_has_the_key() {
        let deaths = array(vec![
            death("retries", "expired", 2, 1_700_000_000, "retry"),
            death("orders", "rejected", 3, 1_600_000_000, "orders.new"),
        ]);

        let found = of([
            ("x-death", deaths),
            ("x-first-death-queue", long("orders")),
            ("x-first-death-reason", long("rejected")),
            ("x-delivery-count", AMQPValue::LongLongInt(9)),
        ]);

        let told = |queue: &str, reason: &str, count| Death {
            queue: queue.to_owned(),
            reason: reason.to_owned(),
            count,
        };
        let expected = Facts {
            died_in: Some("retries".to_owned()),
            reason: Some("expired".to_owned()),
            deaths: vec![told("retries", "expired", 2), told("orders", "rejected", 3)],
            died_at: UNIX_EPOCH.checked_add(Duration::from_secs(1_700_000_000)),
            routing_key: Some("orders.new".to_owned()),
            attempts: Some(3),
            ..Facts::default()
        };
        assert_eq!(found, expected);
    }

    #[test]
    fn the_first_death_has_the_key_also_where_it_came_again_and_is_the_latest() {
        let deaths = || {
            array(vec![
                death("orders", "rejected", 2, 1_700_000_002, "orders.new"),
                death("orders", "expired", 1, 1_700_000_001, "late"),
                death("retries", "expired", 1, 1_700_000_000, "retry"),
            ])
        };
        let key = |first_queue: &str| {
            of([
                ("x-death", deaths()),
                ("x-first-death-queue", long(first_queue)),
                ("x-first-death-reason", long("rejected")),
            ])
            .routing_key
        };

        assert_eq!(key("orders").as_deref(), Some("orders.new"));
        assert_eq!(key("elsewhere").as_deref(), Some("retry"));
        let unnamed = of([("x-death", deaths())]).routing_key;
        assert_eq!(unnamed.as_deref(), Some("retry"));
    }

    #[test]
    fn what_spring_has_published_again_is_dead_and_has_the_key_that_it_came_by() {
        let republished = |exchange: &str| {
            of([
                ("x-exception-stacktrace", long("at Orders.java:7")),
                ("x-exception-message", long("no money")),
                ("x-original-exchange", long(exchange)),
                ("x-original-routingKey", long("orders")),
            ])
        };
        let expected = |died_in: &str| Facts {
            died_in: Some(died_in.to_owned()),
            message: Some("no money".to_owned()),
            routing_key: Some("orders".to_owned()),
            is_marked: true,
            ..Facts::default()
        };
        assert_eq!(republished("shop"), expected("shop"));
        assert_eq!(republished(""), expected("orders"));

        assert!(of([("x-exception-stacktrace", long(""))]).is_dead());
        let longer = of([("x-original-routingKey", long(&"k".repeat(256)))]);
        assert!(longer.is_dead());
        assert_eq!(longer.routing_key, None);
        let died_before = of([
            (
                "x-death",
                array(vec![death("orders", "expired", 1, 7, "new")]),
            ),
            ("x-original-routingKey", long("retry")),
        ]);
        assert_eq!(died_before.routing_key.as_deref(), Some("new"));
    }

    #[test]
    fn what_no_broker_writes_is_read_as_far_as_it_says_something() {
        let none = Facts::default();
        assert_eq!(of([("x-death", long("orders"))]), none);
        let odd = vec![
            AMQPValue::Void,
            array(vec![AMQPValue::FieldTable(table([("queue", long("a"))]))]),
            AMQPValue::FieldTable(table([
                ("queue", AMQPValue::Boolean(true)),
                ("reason", AMQPValue::FieldTable(table([]))),
                ("count", long("many")),
                ("time", long("now")),
                ("routing-keys", array(vec![array(Vec::new())])),
            ])),
        ];
        assert_eq!(of([("x-death", array(odd))]), none);

        let forged = AMQPValue::FieldTable(table([
            ("queue", long(&"q".repeat(100_000))),
            ("reason", AMQPValue::LongInt(7)),
            ("count", AMQPValue::LongLongInt(-7)),
            ("time", AMQPValue::Timestamp(u64::MAX)),
            ("routing-keys", array(vec![long(&"k".repeat(256))])),
        ]));
        let found = of([("x-death", array(vec![forged; 10_000]))]);
        assert_eq!(found.deaths.len(), MOST_DEATHS);
        let expected = Facts {
            died_in: Some("q".repeat(256)),
            reason: Some("7".to_owned()),
            deaths: found.deaths.clone(),
            ..none
        };
        assert_eq!(found, expected);
    }
}
