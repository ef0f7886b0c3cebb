//! What is received without a stream.

use std::time::Duration;

use async_nats::client::traits::Subscriber as _;
use async_nats::{Client, Message};
use futures::StreamExt as _;
use integration::drops::{Api, Counted};
use integration::nats::{client, in_time, subscribed};
use integration::unique;
use otel_messaging::nats::{Consumer, Producer};

use super::{TOGETHER, fill, narrow, rounds, without_room};
use crate::given_up::{BARE, Told, at_every_poll, dropped_in_vain, sent_before};

/// A client to receive, which has little room, another to send, and a subject.
struct Shop {
    counted: Counted,
    client: Client,
    sender: Client,
    subject: String,
}

impl Shop {
    async fn open() -> Self {
        Self {
            counted: Counted::new(),
            client: narrow().await,
            sender: client().await,
            subject: unique("orders"),
        }
    }

    fn consumer(&self) -> Consumer {
        Consumer::wrap(&self.counted.telemetry(), self.client.clone())
    }

    async fn publish(&self, name: usize) {
        let published = self
            .sender
            .publish(self.subject.clone(), name.to_string().into());
        published.await.expect("room");
    }

    /// Receives all, in calls before each of which so many are sent. None is left out or comes twice.
    async fn all(
        &self,
        (api, together): (Api, usize),
        is_wrapped: bool,
        mut receive: impl AsyncFnMut() -> Vec<String>,
    ) {
        subscribed(&self.client).await;
        let mut next = 0;
        let mut sent = 0;
        dropped_in_vain(api, receive()).await;
        for round in 0..rounds() {
            for _ in 0..sent_before(together, round) {
                self.publish(sent).await;
                sent += 1;
            }
            if together > 1 {
                // Both connections have been through, so that these are there.
                subscribed(&self.sender).await;
                subscribed(&self.client).await;
            }
            let ended = |_, done| {
                if is_wrapped {
                    self.counted.assert_unset(usize::from(done));
                }
            };
            for name in at_every_poll(api, async |_| receive().await, ended).await {
                assert_eq!(name, next.to_string(), "{api:?}");
                next += 1;
            }
        }
        assert!(next >= rounds());
        if is_wrapped {
            assert_eq!(self.counted.consumed(), next as u64);
        }
    }
}

fn name(message: &Message) -> String {
    String::from_utf8(message.payload.to_vec()).expect("a name")
}

#[tokio::test]
async fn no_message_is_lost_where_the_wait_for_it_is_dropped() {
    let _told = Told::at_the_end();
    let shop = Shop::open().await;
    let mut client = shop
        .client
        .subscribe(shop.subject.clone())
        .await
        .expect("a subscription");
    let bare = async || vec![name(&client.next().await.expect("no end"))];
    shop.all((BARE, 1), false, bare).await;

    let shop = Shop::open().await;
    let subscribing = shop.consumer().subscribe(shop.subject.clone()).await;
    let mut messages = subscribing.expect("a subscription");
    let wrapped = async || vec![name(&messages.next().await.expect("no end"))];
    shop.all((Api("nats::Messages<S>"), 1), true, wrapped).await;
}

#[tokio::test]
async fn batches_lose_no_message_where_the_wait_for_one_is_dropped() {
    let _told = Told::at_the_end();
    let shop = Shop::open().await;
    let subscribing = shop.consumer().subscribe(shop.subject.clone()).await;
    let messages = subscribing.expect("a subscription");
    let mut batches = messages.batches(TOGETHER, Duration::from_millis(1));
    let api = Api(
        "Batches<nats::Taken<S>, async_nats::message::Message, core::convert::Infallible>::recv",
    );
    let wrapped = async || {
        let batch = batches.recv().await.expect("no end");
        batch.iter().map(|message| name(message)).collect()
    };
    shop.all((api, TOGETHER), true, wrapped).await;
}

/// What is taken past the batches is in none of them, and is not counted by them.
#[tokio::test]
async fn what_is_taken_past_batches_is_not_lost_where_the_wait_is_dropped() {
    let _told = Told::at_the_end();
    let shop = Shop::open().await;
    let subscribing = shop.consumer().subscribe(shop.subject.clone()).await;
    let mut batches = subscribing
        .expect("a subscription")
        .batches(1, Duration::from_secs(1));
    subscribed(&shop.client).await;
    let api = Api("nats::Taken<S>");
    dropped_in_vain(api, batches.inner_mut().next()).await;
    for sent in 0..rounds() {
        shop.publish(sent).await;
        let next = async |_| batches.inner_mut().next().await;
        let next = at_every_poll(api, next, |_, _| ()).await;
        let message = next.expect("no end").expect("a message");
        assert_eq!(name(&message), sent.to_string());
    }
}

/// A subscription whose making is dropped takes no message from the one that is made in the end.
#[tokio::test]
async fn a_subscription_is_made_though_others_were_dropped_half_way() {
    let _told = Told::at_the_end();
    let shop = Shop::open().await;
    let (consumer, full) = (shop.consumer(), || fill(&shop.client));
    for is_of_a_group in [false, true] {
        let subject = unique("orders");
        let mut messages = if is_of_a_group {
            let subscribe = |_| {
                without_room(
                    full,
                    consumer.queue_subscribe(subject.clone(), "billing".to_owned()),
                )
            };
            at_every_poll(Api("nats::Consumer::queue_subscribe"), subscribe, |_, _| ()).await
        } else {
            let subscribe = |_| without_room(full, consumer.subscribe(subject.clone()));
            at_every_poll(Api("nats::Consumer::subscribe"), subscribe, |_, _| ()).await
        }
        .expect("a subscription");
        subscribed(&shop.client).await;
        for sent in 0..rounds() {
            let name = sent.to_string();
            shop.sender
                .publish(subject.clone(), name.into())
                .await
                .expect("room");
        }
        for sent in 0..rounds() {
            let message = in_time(messages.next()).await.expect("no end");
            assert_eq!(name(&message), sent.to_string());
        }
        shop.counted.assert_unset(rounds());
    }

    let producer = Producer::wrap(&shop.counted.telemetry(), shop.client.clone());
    let subscribe = |_| without_room(full, producer.subscribe(shop.subject.clone()));
    let messages = at_every_poll(Api("nats::Producer::subscribe"), subscribe, |_, _| ()).await;
    let mut messages = messages.expect("a subscription");
    let flush = |_| without_room(full, producer.flush());
    let flushed = at_every_poll(Api("nats::Producer::flush"), flush, |_, _| ()).await;
    flushed.expect("a flush");
    subscribed(&shop.client).await;
    shop.publish(0).await;
    assert_eq!(name(&in_time(messages.next()).await.expect("no end")), "0");
    shop.counted.assert_unset(0);
}

/// What was delivered before a subscription ends is received, however often its end was dropped.
#[tokio::test]
async fn a_subscription_ends_though_its_end_was_dropped_before() {
    let _told = Told::at_the_end();
    for way in 0..3 {
        let shop = Shop::open().await;
        let subscribing = shop.consumer().subscribe(shop.subject.clone()).await;
        let mut messages = subscribing.expect("a subscription");
        subscribed(&shop.client).await;
        for sent in 0..TOGETHER {
            shop.publish(sent).await;
        }
        shop.sender.flush().await.expect("a flush");
        subscribed(&shop.sender).await;
        subscribed(&shop.client).await;
        let full = || fill(&shop.client);
        match way {
            0 => {
                let api = Api("nats::Messages<async_nats::Subscriber>::unsubscribe");
                let end = async |_| without_room(full, messages.unsubscribe()).await;
                at_every_poll(api, end, |_, _| ()).await.expect("an end");
            }
            1 => {
                let api = Api("nats::Messages<async_nats::Subscriber>::unsubscribe_after");
                let end =
                    async |_| without_room(full, messages.unsubscribe_after(TOGETHER as u64)).await;
                at_every_poll(api, end, |_, _| ()).await.expect("an end");
            }
            _ => {
                let api = Api("nats::Messages<async_nats::Subscriber>::drain");
                let end = async |_| without_room(full, messages.drain()).await;
                at_every_poll(api, end, |_, _| ()).await.expect("an end");
            }
        }
        let mut names = Vec::new();
        while let Some(message) = in_time(messages.next()).await {
            names.push(name(&message));
        }
        // `unsubscribe` closes what the client has for the application too.
        assert!(names.len() == TOGETHER || way == 0, "{way}: {names:?}");
        shop.counted.assert_unset(names.len());
    }
}
