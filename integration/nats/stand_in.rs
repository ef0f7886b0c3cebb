//! The stand-ins for consumers beside real ones.

use futures::StreamExt as _;
use integration::nats::{CLIENT_ID, address, client, in_time, subscribed};
use integration::stand_in::{assert_alike, telemetry};
use integration::unique;
use otel_messaging::nats;
use otel_messaging::testing::Recorder;

use crate::numbered::all;
use crate::shop::{Orders, fresh, next};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stand_in_records_of_a_message_what_a_consumer_does() {
    let (real, stand_in) = (Recorder::new(), Recorder::new());
    let name = unique("orders");
    let (pattern, group) = (format!("{name}.*"), "billing".to_owned());
    let (server, port) = address();
    let consumer = nats::Consumer::wrap(&telemetry(&real), client().await);
    let consumer = consumer.server(&server, port).client_id(CLIENT_ID);
    let mut orders = consumer
        .queue_subscribe(pattern.clone(), group.clone())
        .await
        .expect("a subscription");
    subscribed(consumer.inner()).await;
    let sent =
        consumer
            .inner()
            .publish_with_headers(format!("{name}.7"), fresh(), "two books".into());
    sent.await.expect("a publish");
    let order = in_time(orders.next()).await.expect("a message");

    let twin = nats::TestConsumer::new(&telemetry(&stand_in), &pattern).await;
    let twin = twin.server(&server, port).client_id(CLIENT_ID);
    let twin = twin.queue_group(group).deliver((*order).clone());
    order.process(async |_| ()).await;
    twin.process(async |_| ()).await;

    assert_alike(&real, &stand_in, &[]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stand_in_records_of_a_message_of_a_stream_what_a_consumer_does() {
    let (real, stand_in) = (Recorder::new(), Recorder::new());
    let orders = Orders::open().await;
    orders.publish("7", fresh()).await;
    let config = async_nats::jetstream::consumer::pull::Config {
        durable_name: Some("billing".to_owned()),
        ..all(&orders)
    };
    let consumer = orders.consumer(&telemetry(&real), config.clone()).await;
    let mut messages = consumer.messages().await.expect("messages");
    let order = next(&mut messages).await;

    let twin = nats::jetstream::TestMessage::of(order.subject.clone())
        .payload(order.payload.clone())
        .headers(order.headers.clone().expect("headers"));
    let telemetry = telemetry(&stand_in);
    let consumer = nats::jetstream::TestConsumer::new(&telemetry, &orders.name, config).await;
    let twin = consumer.deliver(twin);
    order.process(async |_| ()).await;
    twin.process(async |_| ()).await;

    let info = |order: &async_nats::jetstream::Message| {
        let info = order.info().expect("a message of JetStream");
        let names = (info.stream.to_owned(), info.consumer.to_owned());
        (names, info.delivered, info.stream_sequence, info.pending)
    };
    assert_eq!(info(&order), info(&twin));
    assert_alike(&real, &stand_in, &[]);
}
