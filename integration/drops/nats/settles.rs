//! What is acknowledged: a stream that is a queue of work forgets what was.

use std::time::Duration;

use async_nats::jetstream::consumer::{PullConsumer, pull};
use async_nats::jetstream::stream::{Config, RetentionPolicy, Stream};
use async_nats::jetstream::{self, AckKind};
use futures::StreamExt as _;
use integration::drops::{Api, Counted, Trials, assert_same_fates};
use integration::nats::{in_time, stream_of};
use integration::unique;
use otel_messaging::nats::jetstream::Consumer;

use super::{fill, narrow, rounds, without_room};
use crate::given_up::{BARE, Told, dropped_after};

/// A queue of work, and its consumer, of a client that has little room.
struct Queue {
    context: jetstream::Context,
    stream: Stream,
    consumer: PullConsumer,
}

impl Queue {
    async fn open() -> Self {
        let context = jetstream::new(narrow().await);
        let config = Config {
            name: unique("work"),
            retention: RetentionPolicy::WorkQueue,
            ..Config::default()
        };
        let stream = stream_of(&context, config).await;
        // Those that stay unacknowledged come to nobody again, and are not too many.
        let config = pull::Config {
            ack_wait: Duration::from_secs(3_600),
            max_ack_pending: -1,
            ..pull::Config::default()
        };
        let consumer = stream.create_consumer(config).await;
        Self {
            context,
            stream,
            consumer: consumer.expect("a consumer"),
        }
    }

    fn fill(&self) {
        fill(&self.context.client());
    }

    async fn publish(&self, name: &str) {
        let subject = format!("{}.orders", self.stream.cached_info().config.name);
        let published = self.context.publish(subject, name.to_owned().into()).await;
        published.expect("room").await.expect("an acknowledgement");
    }

    /// The names of what is not acknowledged.
    async fn names(&self) -> Vec<String> {
        // Behind what was acknowledged last, by the same client.
        self.publish("end").await;
        let state = self.stream.get_info().await.expect("its state").state;
        let mut names = Vec::new();
        for sequence in state.first_sequence..=state.last_sequence {
            if let Ok(message) = self.stream.get_raw_message(sequence).await {
                names.push(String::from_utf8(message.payload.to_vec()).expect("a name"));
            }
        }
        names
    }
}

/// Settles all, each by a future that is dropped after one more poll than the last, until one ends.
macro_rules! settles {
    ($test:ident, $api:expr, $method:ident($($kind:expr)?)) => {
        #[tokio::test]
        async fn $test() {
            let _told = Told::at_the_end();
            let counted = Counted::new();
            let queues = [Queue::open().await, Queue::open().await];
            let mut trials = [Trials::default(), Trials::default()];
            let mut client = queues[0].consumer.messages().await.expect("messages");
            let consumer = Consumer::wrap(&counted.telemetry(), queues[1].consumer.clone());
            let mut wrapped = consumer.messages().await.expect("messages");
            let mut polls = 0;
            for _ in 0..rounds() {
                queues[0].publish(&trials[0].name(polls)).await;
                let message = in_time(client.next()).await.expect("no end").expect("a message");
                let settled = dropped_after(
                    BARE,
                    polls,
                    without_room(|| queues[0].fill(), message.$method($($kind)?)),
                ).await;
                assert!(settled.is_none_or(|settled| settled.is_ok()));

                queues[1].publish(&trials[1].name(polls)).await;
                let message = in_time(wrapped.next()).await.expect("no end").expect("a message");
                counted.assert_unset(1);
                let settled = dropped_after(
                    $api,
                    polls,
                    without_room(|| queues[1].fill(), message.$method($($kind)?)),
                ).await;
                counted.assert_unset(polls.min(1));
                polls = if settled.is_some() { 0 } else { polls + 1 };
                assert!(settled.is_none_or(|settled| settled.is_ok()));
            }
            assert_eq!(counted.operations(), rounds() as u64 + trials[1].polled());
            let mut fates = Vec::new();
            for (queue, trials) in queues.iter().zip(&trials) {
                let there = queue.names().await;
                fates.push(trials.fates(there.iter().map(String::as_str)));
            }
            assert_same_fates($api, &fates[0], &fates[1]);
            assert_eq!(fates[1][&0], [1].into());
            assert_eq!(fates[1].values().next_back(), Some(&[0].into()));
        }
    };
}

settles!(
    an_ack_that_is_dropped_acknowledges_as_by_the_bare_client,
    Api("Received<async_nats::jetstream::message::Message>::ack"),
    ack()
);
settles!(
    an_ack_of_a_kind_that_is_dropped_acknowledges_as_by_the_bare_client,
    Api("Received<async_nats::jetstream::message::Message>::ack_with"),
    ack_with(AckKind::Ack)
);
settles!(
    a_double_ack_that_is_dropped_acknowledges_as_by_the_bare_client,
    Api("Received<async_nats::jetstream::message::Message>::double_ack"),
    double_ack()
);
settles!(
    a_double_ack_of_a_kind_that_is_dropped_acknowledges_as_by_the_bare_client,
    Api("Received<async_nats::jetstream::message::Message>::double_ack_with"),
    double_ack_with(AckKind::Ack)
);
