//! How long messages wait in a queue.
#![expect(clippy::expect_used, reason = "a test panics where it fails")]

use std::time::{Duration, SystemTime};

use lapin::BasicProperties;
use lapin::options::BasicGetOptions;
use lapin::types::{AMQPValue, FieldTable};
use otel_messaging::amqp::Consumer;
use otel_messaging::policy::{Policy, Rule};
use otel_messaging::testing::Recorder;

use crate::shop::{Shop, next};

const HOUR: Duration = Duration::from_secs(3600);

/// Properties as a broker from 3.12 on sets them if it is told to.
fn sent(second: Option<Duration>, header: Option<Duration>) -> BasicProperties {
    let mut properties = BasicProperties::default();
    if let Some(second) = second {
        properties = properties.with_timestamp(second.as_secs());
    }
    if let Some(header) = header {
        let milliseconds = i64::try_from(header.as_millis()).expect("a time of today");
        let mut headers = FieldTable::default();
        headers.insert(
            "timestamp_in_ms".into(),
            AMQPValue::LongLongInt(milliseconds),
        );
        properties = properties.with_headers(headers);
    }
    properties
}

fn now() -> Duration {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    now.expect("after 1970")
}

/// The one value that was recorded, in seconds.
fn waited(recorder: &Recorder) -> f64 {
    let waited = recorder.histogram("otel_messaging.message.time_in_queue");
    let [waited] = &waited[..] else {
        unreachable!("one series: {waited:?}");
    };
    assert_eq!(waited.count, 1);
    waited.sum
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_time_in_queue_counts_from_the_millisecond_if_the_broker_tells_it() {
    let policy = Policy::new().rule(Rule::of("*").time_in_queue(true));
    // Late in its second, so that a time in whole seconds would be most of one off.
    let second = Duration::from_secs(now().as_secs() - 1);
    let late = second + Duration::from_millis(900);
    let rows = [
        (Some(late), Some(late), late),
        (None, Some(late), late),
        (Some(late), None, second),
        // The header of an earlier hop, which was forwarded.
        (Some(late), Some(late - HOUR), second),
    ];

    for (property, header, since) in rows {
        for is_asked_for in [false, true] {
            let recorder = Recorder::new();
            let telemetry = recorder.telemetry().policy(policy.clone());
            let shop = Shop::open(&telemetry).await;
            shop.publish(&shop.orders, sent(property, header)).await;

            let before = now();
            if is_asked_for {
                let getter = Consumer::wrap(&telemetry, &shop.known, shop.channel().clone());
                let got = getter.basic_get(shop.orders.clone(), BasicGetOptions::default());
                got.await.expect("an answer").expect("an order");
            } else {
                next(&mut shop.consumer().await).await;
            }
            let after = now();

            let waited = waited(&recorder);
            let possible = (before - since).as_secs_f64()..=(after - since).as_secs_f64();
            assert!(
                possible.contains(&waited),
                "{waited} of {possible:?}, {header:?}"
            );
            assert_eq!(recorder.counter_total("otel_messaging.clock.skews"), 0);
        }
    }
}
