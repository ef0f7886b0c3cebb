//! The stand-in for a consumer beside a real one.
#![expect(clippy::expect_used, reason = "a test panics where it fails")]

use integration::stand_in::{assert_alike, telemetry};
use lapin::options::BasicAckOptions;
use otel_messaging::amqp;
use otel_messaging::testing::Recorder;

use crate::shop::{Shop, next};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stand_in_records_of_a_message_what_a_consumer_does() {
    let (sender, real, stand_in) = (Recorder::new(), Recorder::new(), Recorder::new());
    let shop = Shop::open(&sender.telemetry()).await;
    let consumer = integration::amqp::consume(shop.channel(), &shop.orders).await;
    let mut consumer = amqp::Consumer::wrap(&telemetry(&real), &shop.known, consumer);
    shop.publish_order().await;
    let order = next(&mut consumer).await;

    let twin = amqp::TestMessage::of(order.routing_key.clone())
        .delivery_tag(order.delivery_tag)
        .properties(order.properties.clone())
        .payload(order.data.clone());
    let consumer = amqp::TestConsumer::new(&telemetry(&stand_in), &shop.known, shop.orders.clone());
    let twin = consumer.deliver(twin);
    for order in [order, twin] {
        order.process(async |_| ()).await;
        let acked = order.ack(BasicAckOptions::default()).await;
        assert!(acked.expect("an answer"));
    }

    assert_alike(&real, &stand_in, &[]);
}
