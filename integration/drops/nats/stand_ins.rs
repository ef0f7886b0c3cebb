//! The stand-in for a producer, which is fast.

use async_nats::client::traits::Publisher as _;
use async_nats::message::OutboundMessage;
use integration::drops::{Api, Counted};
use otel_messaging::nats::TestProducer;

use crate::given_up::{Told, at_every_poll};

/// Why neither waits.
const KEEPS: &str = "the message is kept in memory";

#[tokio::test]
async fn the_stand_in_keeps_a_message_that_was_polled_and_no_other() {
    let _told = Told::at_the_end()
        .never_waits("nats::TestProducer::publish_message", KEEPS)
        .never_waits("nats::TestProducer::publish_with_reply", KEEPS);
    const ROUNDS: usize = 2_000;
    let counted = Counted::new();
    let producer = TestProducer::new(&counted.telemetry()).await;
    let order = || OutboundMessage {
        subject: "orders".into(),
        reply: None,
        payload: "two books".into(),
        headers: None,
    };

    for _ in 0..ROUNDS {
        let ended = |polls, _| counted.assert_unset(polls);
        let api = Api("nats::TestProducer::publish_message");
        let published = at_every_poll(api, |_| producer.publish_message(order()), ended);
        published.await.expect("it is kept");
        let api = Api("nats::TestProducer::publish_with_reply");
        let reply = |_| producer.publish_with_reply("orders", "bills", "two books".into());
        at_every_poll(api, reply, ended).await.expect("it is kept");
    }

    assert_eq!(producer.sent().len(), 2 * ROUNDS);
    assert_eq!(counted.sent(), 2 * ROUNDS as u64);
}
