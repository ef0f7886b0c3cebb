//! What is received of a stream.

use std::collections::BTreeSet;
use std::time::Duration;

use async_nats::jetstream::consumer::{DeliverPolicy, pull, push};
use async_nats::jetstream::stream::{Config, Stream};
use async_nats::jetstream::{self, Message};
use futures::StreamExt as _;
use integration::drops::{Api, Counted};
use integration::nats::{in_time, stream_of, subscribed};
use integration::unique;
use otel_messaging::nats::Messages;
use otel_messaging::nats::jetstream::Consumer;

use super::{TOGETHER, fill, narrow, rounds, without_room};
use crate::given_up::{Told, at_every_poll, dropped_in_vain, sent_before};

/// A stream, and a client that has little room.
struct Shop {
    counted: Counted,
    context: jetstream::Context,
    stream: Stream,
}

impl Shop {
    async fn open() -> Self {
        let context = jetstream::new(narrow().await);
        let config = Config {
            name: unique("orders"),
            ..Config::default()
        };
        Self {
            counted: Counted::new(),
            stream: stream_of(&context, config).await,
            context,
        }
    }

    async fn publish(&self, name: usize) {
        let subject = format!("{}.7", self.stream.cached_info().config.name);
        let published = self.context.publish(subject, name.to_string().into()).await;
        published.expect("room").await.expect("an acknowledgement");
    }

    async fn fill(&self) {
        for name in 0..rounds() {
            self.publish(name).await;
        }
    }

    async fn pull(&self) -> Consumer<pull::Config> {
        let config = pull::Config {
            // What a request got that was given up comes again after this.
            ack_wait: Duration::from_millis(500),
            ..pull::Config::default()
        };
        let consumer = self.stream.create_consumer(config).await;
        Consumer::wrap(&self.counted.telemetry(), consumer.expect("a consumer"))
    }

    /// All messages are received and acknowledged in the end.
    async fn assert_all<S, E>(&self, messages: &mut Messages<S>, names: &mut BTreeSet<String>)
    where
        S: futures::Stream<Item = Result<Message, E>> + Unpin,
        E: std::fmt::Debug + std::fmt::Display + 'static,
    {
        while names.len() < rounds()
            && let Some(message) = in_time(messages.next()).await
        {
            let message = message.expect("a message");
            names.insert(name(&message));
            message.ack().await.expect("an ack");
        }
    }
}

/// All messages are received, in their order.
async fn assert_in_order<S, E>(messages: &mut Messages<S>)
where
    S: futures::Stream<Item = Result<Message, E>> + Unpin,
    E: std::fmt::Debug + std::fmt::Display + 'static,
{
    for expected in 0..rounds() {
        let message = in_time(messages.next()).await.expect("no end");
        assert_eq!(name(&message.expect("a message")), expected.to_string());
    }
}

fn name(message: &Message) -> String {
    String::from_utf8(message.payload.to_vec()).expect("a name")
}

/// Receives all, of a stream to which `together` messages are sent before each call. None is left out or comes twice.
#[tokio::test]
async fn batches_lose_no_message_where_the_wait_for_one_is_dropped() {
    let _told = Told::at_the_end();
    let shop = Shop::open().await;
    let messages = shop.pull().await.messages().await.expect("messages");
    let mut batches = messages.batches(TOGETHER, Duration::from_millis(1));
    let api = Api("Batches<nats::Taken<S>, async_nats::jetstream::message::Message, E>::recv");
    let [mut sent, mut next] = [0, 0];
    dropped_in_vain(api, batches.recv()).await;
    for round in 0..rounds() {
        for _ in 0..sent_before(TOGETHER, round) {
            shop.publish(sent).await;
            sent += 1;
        }
        // It takes a turn of the connection until they are there.
        subscribed(&shop.context.client()).await;
        let ended = |_, done| shop.counted.assert_unset(usize::from(done));
        let batch = at_every_poll(api, async |_| batches.recv().await, ended).await;
        for message in &batch.expect("no end").expect("a batch") {
            assert_eq!(name(message), next.to_string());
            next += 1;
            message.ack().await.expect("an ack");
        }
        shop.counted.spans();
    }
    assert_eq!(shop.counted.consumed(), next as u64);
}

#[tokio::test]
async fn requests_for_messages_that_are_dropped_lose_none() {
    let _told = Told::at_the_end();
    let shop = Shop::open().await;
    shop.fill().await;
    let full = || fill(&shop.context.client());

    let consumer = shop.pull().await;
    let api =
        Api("nats::jetstream::Consumer<async_nats::jetstream::consumer::pull::Config>::messages");
    let messages = at_every_poll(api, |_| without_room(full, consumer.messages()), |_, _| ()).await;
    let mut names = BTreeSet::new();
    shop.assert_all(&mut messages.expect("messages"), &mut names)
        .await;
    assert_eq!(names.len(), rounds());

    let consumer = shop.pull().await;
    let api = Api("nats::jetstream::StreamBuilder<'a>::messages");
    let messages = at_every_poll(
        api,
        |_| without_room(full, consumer.stream().messages()),
        |_, _| (),
    )
    .await;
    let mut names = BTreeSet::new();
    shop.assert_all(&mut messages.expect("messages"), &mut names)
        .await;
    assert_eq!(names.len(), rounds());

    let consumer = shop.pull().await;
    let mut names = BTreeSet::new();
    while names.len() < rounds() {
        let api = Api("nats::jetstream::FetchBuilder<'a>::messages");
        let fetch = |_| without_room(full, consumer.fetch().max_messages(TOGETHER).messages());
        let fetched = at_every_poll(api, fetch, |_, _| ()).await;
        shop.assert_all(&mut fetched.expect("messages"), &mut names)
            .await;
        let api = Api("nats::jetstream::BatchBuilder<'a>::messages");
        let soon = Duration::from_millis(600);
        let batch = |_| {
            let batch = consumer.batch().max_messages(TOGETHER).expires(soon);
            without_room(full, batch.messages())
        };
        let batch = at_every_poll(api, batch, |_, _| ()).await;
        shop.assert_all(&mut batch.expect("messages"), &mut names)
            .await;
    }

    let consumer = shop.pull().await;
    let mut sequence = consumer.sequence(TOGETHER).expect("a sequence");
    let mut names = BTreeSet::new();
    while names.len() < rounds() {
        let next = async |_| without_room(full, sequence.next()).await;
        let next = at_every_poll(Api("nats::jetstream::Sequence"), next, |_, _| ()).await;
        let mut messages = next.expect("no end").expect("messages");
        shop.assert_all(&mut messages, &mut names).await;
    }
}

#[tokio::test]
async fn consumers_whose_start_is_dropped_lose_no_message() {
    let _told = Told::at_the_end();
    let shop = Shop::open().await;
    shop.fill().await;
    let full = || fill(&shop.context.client());
    let telemetry = shop.counted.telemetry();

    let config = push::Config {
        deliver_subject: shop.context.client().new_inbox(),
        ack_wait: Duration::from_millis(500),
        ..push::Config::default()
    };
    let consumer = shop
        .stream
        .create_consumer(config)
        .await
        .expect("a consumer");
    let consumer = Consumer::wrap(&telemetry, consumer);
    let api =
        Api("nats::jetstream::Consumer<async_nats::jetstream::consumer::push::Config>::messages");
    let messages = at_every_poll(api, |_| without_room(full, consumer.messages()), |_, _| ()).await;
    let mut names = BTreeSet::new();
    shop.assert_all(&mut messages.expect("messages"), &mut names)
        .await;
    assert_eq!(names.len(), rounds());

    let config = pull::OrderedConfig {
        deliver_policy: DeliverPolicy::All,
        ..pull::OrderedConfig::default()
    };
    let consumer = shop
        .stream
        .create_consumer(config)
        .await
        .expect("a consumer");
    let consumer = Consumer::wrap(&telemetry, consumer);
    let api = Api(
        "nats::jetstream::Consumer<async_nats::jetstream::consumer::pull::OrderedConfig>::messages",
    );
    let messages = at_every_poll(
        api,
        |_| without_room(full, consumer.clone().messages()),
        |_, _| (),
    )
    .await;
    assert_in_order(&mut messages.expect("messages")).await;

    let config = push::OrderedConfig {
        deliver_subject: shop.context.client().new_inbox(),
        ..push::OrderedConfig::default()
    };
    let consumer = shop
        .stream
        .create_consumer(config)
        .await
        .expect("a consumer");
    let consumer = Consumer::wrap(&telemetry, consumer);
    let api = Api(
        "nats::jetstream::Consumer<async_nats::jetstream::consumer::push::OrderedConfig>::messages",
    );
    let messages = at_every_poll(
        api,
        |_| without_room(full, consumer.clone().messages()),
        |_, _| (),
    )
    .await;
    assert_in_order(&mut messages.expect("messages")).await;
}
