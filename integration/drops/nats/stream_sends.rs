//! What is sent into streams.

use std::iter;

use async_nats::HeaderMap;
use async_nats::jetstream::Context as Client;
use async_nats::jetstream::context::ContextBuilder;
use async_nats::jetstream::context::traits::Publisher;
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::stream::{Config, Stream};
use futures::FutureExt as _;
use integration::drops::{Api, Counted, Sends, Trials, assert_same_fates};
use integration::nats::stream_of;
use integration::unique;
use opentelemetry::Context;
use otel_messaging::nats::jetstream::Producer;

use super::{TOGETHER, fill, narrow, rounds, without_room};
use crate::given_up::{Told, by as by_both};

/// In flight of a batch, whose acknowledgements the bare client awaits after the last message.
const IN_FLIGHT: usize = 1_000;

/// Both clients, which have little room, each with a stream.
struct Shop {
    counted: Counted,
    client: Client,
    producer: Producer,
    streams: [Stream; 2],
    /// Of what takes the room.
    other: Stream,
}

impl Shop {
    /// With so many messages in flight, by each client.
    async fn open(in_flight: usize) -> Self {
        let counted = Counted::new();
        let context = || ContextBuilder::new().max_ack_inflight(in_flight);
        let bare = context().build(narrow().await);
        let wrapped = context().build(narrow().await);
        let config = |name| Config {
            name: unique(name),
            ..Config::default()
        };
        let streams = [
            stream_of(&bare, config("bare")).await,
            stream_of(&bare, config("wrapped")).await,
        ];
        let other = stream_of(&bare, config("other")).await;
        Self {
            producer: Producer::wrap(&counted.telemetry(), wrapped),
            client: bare,
            streams,
            other,
            counted,
        }
    }

    fn subject(&self, at: usize) -> String {
        format!("{}.orders", self.streams[at].cached_info().config.name)
    }

    /// Takes what a client has to send with: a message in flight, and its connection's attention.
    fn fill(&self, context: &Client) {
        let subject = format!("{}.all", self.other.cached_info().config.name);
        drop(context.publish(subject, "".into()).now_or_never());
        fill(&context.client());
    }

    /// What is in the streams is what was sent.
    async fn assert_same(&self, sends: Sends, messages: usize, trials: &[Trials; 2]) {
        let mut fates = Vec::new();
        let mut arrived = 0;
        let clients = [self.client.client(), self.producer.inner().client()];
        for ((stream, trials), client) in self.streams.iter().zip(trials).zip(clients) {
            // The server has taken all that was before.
            client
                .request("$JS.API.INFO", "".into())
                .await
                .expect("an answer");
            let state = stream.get_info().await.expect("its state").state;
            let mut names = Vec::new();
            for sequence in 1..=state.last_sequence {
                let message = stream.get_raw_message(sequence).await.expect("a message");
                names.push(String::from_utf8(message.payload.to_vec()).expect("a name"));
            }
            arrived = names.len();
            fates.push(trials.fates(names.iter().map(String::as_str)));
        }
        assert_same_fates(sends.api, &fates[0], &fates[1]);
        assert_eq!(fates[1][&0], [0].into());
        assert_eq!(fates[1].values().next_back(), Some(&[messages].into()));
        assert_eq!(self.counted.sent(), arrived as u64);
        assert_eq!(self.counted.operations(), trials[1].polled());
    }
}

fn message(name: &str) -> PublishMessage {
    PublishMessage::build().payload(name.to_owned().into())
}

/// A test that sends in one way; `$bare` and `$wrapped` are given a client, a subject, and the payload.
macro_rules! sends {
    ($test:ident, $api:expr, $send:expr) => {
        sends!($test, $api, (1, 1, 1), $send, $send);
    };
    ($test:ident, $api:expr, ($in_flight:expr, $spans:expr, $messages:expr), $bare:expr, $wrapped:expr) => {
        #[tokio::test]
        async fn $test() {
            let _told = Told::at_the_end();
            let shop = Shop::open($in_flight).await;
            let sends = Sends {
                api: $api,
                spans: $spans,
                by_the_call: false,
                rounds: rounds(),
            };
            let bare = async |name: String| {
                let sent = by(&shop.client, shop.subject(0), name, $bare);
                without_room(|| shop.fill(&shop.client), sent).await;
            };
            let wrapped = async |name: String| {
                let sent = by(&shop.producer, shop.subject(1), name, $wrapped);
                without_room(|| shop.fill(shop.producer.inner()), sent).await;
            };
            let trials = by_both(sends, &shop.counted, bare, wrapped).await;
            shop.assert_same(sends, $messages, &trials).await;
        }
    };
}

/// Lets the compiler know what the closure is given.
async fn by<C>(client: &C, subject: String, name: String, send: impl AsyncFn(&C, String, String)) {
    send(client, subject, name).await;
}

sends!(
    publishing_that_is_dropped_sends_as_the_bare_client,
    Api("nats::jetstream::Producer::publish"),
    async |client, subject, name| drop(client.publish(subject, name.into()).await.expect("room"))
);
sends!(
    publishing_with_headers_that_is_dropped_sends_as_the_bare_client,
    Api("nats::jetstream::Producer::publish_with_headers"),
    async |client, subject, name| {
        let published = client.publish_with_headers(subject, HeaderMap::new(), name.into());
        drop(published.await.expect("room"));
    }
);
sends!(
    publishing_with_options_that_is_dropped_sends_as_the_bare_client,
    Api("nats::jetstream::Producer::send_publish"),
    async |client, subject, name| {
        drop(
            client
                .send_publish(subject, message(&name))
                .await
                .expect("room"),
        );
    }
);
sends!(
    an_acknowledgement_that_is_dropped_is_of_a_message_that_is_sent_as_by_the_bare_client,
    Api("nats::jetstream::PublishAckFuture"),
    async |client, subject, name| {
        let ack = client.publish(subject, name.into()).await.expect("room");
        ack.await.expect("an acknowledgement");
    }
);
sends!(
    the_trait_s_publishing_that_is_dropped_sends_as_the_bare_client,
    Api("nats::jetstream::Producer::publish"),
    async |client, subject, name| {
        let ack = Publisher::publish(client, subject, name.into())
            .await
            .expect("room");
        ack.await.expect("an acknowledgement");
    }
);
sends!(
    the_trait_s_publishing_of_a_message_that_is_dropped_sends_as_the_bare_client,
    Api("nats::jetstream::Producer::publish_message"),
    async |client, subject, name| {
        let message = message(&name).outbound_message(subject);
        let ack = Publisher::publish_message(client, message)
            .await
            .expect("room");
        ack.await.expect("an acknowledgement");
    }
);
sends!(
    a_batch_that_is_dropped_sends_as_the_bare_client,
    Api("nats::jetstream::Producer::publish_batch"),
    (IN_FLIGHT, 1 + TOGETHER, TOGETHER),
    async |client, subject, name| publish_together(client, &subject, &name).await,
    async |producer, subject, name| {
        let messages = iter::repeat_n((subject, message(&name)), TOGETHER);
        let acks = producer.publish_batch(messages).await;
        assert!(acks.iter().all(Result::is_ok));
    }
);
sends!(
    a_batch_with_contexts_that_is_dropped_sends_as_the_bare_client,
    Api("nats::jetstream::Producer::publish_batch_with_contexts"),
    (IN_FLIGHT, 1 + TOGETHER, TOGETHER),
    async |client, subject, name| publish_together(client, &subject, &name).await,
    async |producer, subject, name| {
        let messages = iter::repeat_n((Context::new(), (subject, message(&name))), TOGETHER);
        let acks = producer.publish_batch_with_contexts(messages).await;
        assert!(acks.iter().all(Result::is_ok));
    }
);

/// The bare client has no call for a batch.
async fn publish_together(client: &Client, subject: &str, name: &str) {
    let mut acks = Vec::new();
    for _ in 0..TOGETHER {
        let published = client.send_publish(subject.to_owned(), message(name));
        acks.push(published.await.expect("room"));
    }
    for ack in acks {
        ack.await.expect("an acknowledgement");
    }
}
