//! The stand-in for a consumer beside a real one.

use integration::kafka::{config, consumer_in, next, topic};
use integration::stand_in::{assert_alike, telemetry};
use integration::unique;
use otel_messaging::kafka;
use otel_messaging::testing::Recorder;

use crate::wire::{FRESH, STALE, send_raw, texts};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stand_in_records_of_a_message_what_a_consumer_does() {
    let (real, stand_in) = (Recorder::new(), Recorder::new());
    let (topic, group) = (topic("orders").await, unique("group"));
    let headers = texts(&[("traceparent", STALE), ("traceparent", FRESH)]);
    send_raw(&topic, &headers).await;
    let consumer = consumer_in(&group, &telemetry(&real), &topic);
    let order = next(&consumer).await;

    let config = config().set("group.id", &group).clone();
    let twin = kafka::TestConsumer::new(&telemetry(&stand_in), &config);
    let twin = twin.deliver(order.detach().into_inner());
    order.process(async |_| ()).await;
    twin.process(async |_| ()).await;

    assert_alike(&real, &stand_in, &["kafka.cluster.id"]);
}
