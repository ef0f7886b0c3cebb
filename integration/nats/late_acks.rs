//! Batches whose acknowledgements are late, out of order, or missing.

use std::time::{Duration, Instant};

use async_nats::jetstream::ContextBuilder;
use async_nats::jetstream::context::PublishErrorKind;
use async_nats::{Client, Message, Subscriber};
use futures::StreamExt as _;
use integration::metrics::{and, sent_messages};
use integration::nats::measured;
use integration::nats::{PATIENCE, client, in_time, subscribed};
use integration::unique;
use otel_messaging::nats::jetstream::Producer;
use otel_messaging::testing::Recorder;
use tokio::time::sleep;

use crate::batch_sends::order;

/// Listens to a subject in a stream's place.
struct Listener {
    client: Client,
    messages: Subscriber,
    subject: String,
}

impl Listener {
    async fn new() -> Self {
        let (client, subject) = (client().await, unique("orders"));
        let messages = client.subscribe(subject.clone()).await;
        subscribed(&client).await;
        Self {
            messages: messages.expect("a subscription"),
            client,
            subject,
        }
    }

    async fn next(&mut self) -> Message {
        in_time(self.messages.next()).await.expect("a message")
    }

    /// Acknowledges the message of this number.
    async fn acknowledge(&self, message: Message, number: u64) {
        let ack = format!(r#"{{"stream":"ORDERS","seq":{number}}}"#);
        let reply = message.reply.expect("a subject for the answer");
        let sent = self.client.publish(reply, ack.into()).await;
        sent.expect("a publish");
    }
}

type Outcome = Result<u64, PublishErrorKind>;

/// Publishes a batch, and returns what became of each message.
async fn publish(producer: Producer, subject: String, messages: usize) -> Vec<Outcome> {
    let messages = (0..messages).map(|_| (subject.clone(), order("two books")));
    let results = in_time(producer.publish_batch(messages)).await;
    let outcomes = results.into_iter().map(|result| match result {
        Ok(ack) => Ok(ack.sequence),
        Err(error) => Err(error.kind()),
    });
    outcomes.collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_message_times_out_while_a_slow_stream_acknowledges_one_after_the_other() {
    const TIMEOUT: Duration = Duration::from_secs(2);
    const LOST: u64 = 3;
    let recorder = Recorder::new();
    let mut listener = Listener::new().await;
    let context = ContextBuilder::new().timeout(TIMEOUT).build(client().await);
    let producer = Producer::wrap(&recorder.telemetry(), context);
    let started = Instant::now();

    let publishing = tokio::spawn(publish(producer, listener.subject.clone(), 30));
    for number in 0..30 {
        let message = listener.next().await;
        sleep(TIMEOUT / 20).await;
        if number != LOST {
            listener.acknowledge(message, number).await;
        }
    }
    assert!(started.elapsed() > TIMEOUT, "the last is late");
    let outcomes = publishing.await.expect("a batch");

    // That one is given up when no other comes any more, and none because of it.
    let expected = (0..30).map(|number| match number {
        LOST => Err(PublishErrorKind::TimedOut),
        _ => Ok(number),
    });
    assert_eq!(outcomes, expected.collect::<Vec<_>>());
    let sent = || measured("publish", &listener.subject);
    sent_messages()
        .of(sent(), 29)
        .of(and(sent(), "error.type", "timeout"), 1)
        .assert(&recorder);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_acknowledgement_that_arrives_makes_room_while_one_before_it_is_missing() {
    for waits in [true, false] {
        let recorder = Recorder::new();
        let mut listener = Listener::new().await;
        let context = ContextBuilder::new()
            .timeout(2 * PATIENCE)
            .max_ack_inflight(2)
            .backpressure_on_inflight(waits)
            .build(client().await);
        let producer = Producer::wrap(&recorder.telemetry(), context);

        let publishing = tokio::spawn(publish(producer, listener.subject.clone(), 20));
        let first = listener.next().await;
        for number in 1..20 {
            let message = listener.next().await;
            listener.acknowledge(message, number).await;
        }
        listener.acknowledge(first, 0).await;
        let outcomes = publishing.await.expect("a batch");

        assert_eq!(outcomes, (0..20).map(Ok).collect::<Vec<_>>());
        assert_eq!(recorder.counter_total("messaging.client.sent.messages"), 20);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_that_wait_for_the_room_of_those_that_nobody_acknowledges_time_out_together() {
    const TIMEOUT: Duration = Duration::from_secs(1);
    for waits in [true, false] {
        let recorder = Recorder::new();
        let listener = Listener::new().await;
        let context = ContextBuilder::new()
            .timeout(TIMEOUT)
            .max_ack_inflight(2)
            .backpressure_on_inflight(waits)
            .build(client().await);
        let producer = Producer::wrap(&recorder.telemetry(), context);

        // By twos it would take longer than anybody's patience.
        let outcomes = publish(producer, listener.subject.clone(), 200).await;

        assert_eq!(outcomes, [Err(PublishErrorKind::TimedOut); 200]);
        let failed = and(
            measured("publish", &listener.subject),
            "error.type",
            "timeout",
        );
        // Those for which there was room after the first had timed out, were tried.
        sent_messages().of(failed, 5).assert(&recorder);
    }
}
