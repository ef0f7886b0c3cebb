//! What is sent.

use integration::drops::{Api, Sends};
use lapin::BasicProperties;
use lapin::options::BasicPublishOptions;
use opentelemetry::Context;
use otel_messaging::amqp::Publish;

use super::{Shop, TOGETHER, publish, rounds};
use crate::given_up::{Told, by};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_is_dropped_is_sent_as_by_the_bare_client() {
    let _told = Told::at_the_end();
    let shop = Shop::open().await;
    let sends = Sends {
        api: Api("amqp::Producer::basic_publish"),
        spans: 1,
        by_the_call: false,
        rounds: rounds(),
    };

    let bare = async |name: String| drop(publish(&shop.client, &shop.queues[0], &name).await);
    let wrapped = async |name: String| {
        let published = shop.producer.basic_publish(
            "".into(),
            shop.queues[1].clone(),
            BasicPublishOptions::default(),
            name.as_bytes(),
            BasicProperties::default(),
        );
        drop(published.await.expect("a publish"));
    };
    let trials = by(sends, &shop.counted, bare, wrapped).await;

    shop.assert_same(sends, 1, &trials).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_whose_confirm_is_dropped_is_sent_as_by_the_bare_client() {
    let _told = Told::at_the_end();
    let shop = Shop::open().await;
    let sends = Sends {
        api: Api("amqp::PublisherConfirm"),
        spans: 1,
        by_the_call: false,
        rounds: rounds(),
    };

    let bare = async |name: String| {
        let confirm = publish(&shop.client, &shop.queues[0], &name).await;
        assert!(confirm.await.expect("a confirm").is_ack());
    };
    let wrapped = async |name: String| {
        let published = shop.producer.basic_publish(
            "".into(),
            shop.queues[1].clone(),
            BasicPublishOptions::default(),
            name.as_bytes(),
            BasicProperties::default(),
        );
        let confirm = published.await.expect("a publish");
        assert!(confirm.await.expect("a confirm").is_ack());
    };
    let trials = by(sends, &shop.counted, bare, wrapped).await;

    shop.assert_same(sends, 1, &trials).await;
}

/// The bare client has no call for a batch.
async fn publish_together(shop: &Shop, name: &str) {
    let mut confirms = Vec::new();
    for _ in 0..TOGETHER {
        confirms.push(publish(&shop.client, &shop.queues[0], name).await);
    }
    for confirm in confirms {
        assert!(confirm.await.expect("a confirm").is_ack());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_of_a_batch_that_is_dropped_are_sent_as_by_the_bare_client() {
    let _told = Told::at_the_end();
    let shop = Shop::open().await;
    let sends = Sends {
        api: Api("amqp::Producer::publish_batch"),
        spans: 1 + TOGETHER,
        by_the_call: false,
        rounds: rounds(),
    };

    let wrapped = async |name: String| {
        let order = || Publish::new("", shop.queues[1].clone(), name.as_bytes());
        for confirmed in shop
            .producer
            .publish_batch((0..TOGETHER).map(|_| order()))
            .await
        {
            assert!(confirmed.expect("a confirm").is_ack());
        }
    };
    let bare = async |name: String| publish_together(&shop, &name).await;
    let trials = by(sends, &shop.counted, bare, wrapped).await;

    shop.assert_same(sends, TOGETHER as u64, &trials).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_with_contexts_that_are_dropped_are_sent_as_by_the_bare_client() {
    let _told = Told::at_the_end();
    let shop = Shop::open().await;
    let sends = Sends {
        api: Api("amqp::Producer::publish_batch_with_contexts"),
        spans: 1 + TOGETHER,
        by_the_call: false,
        rounds: rounds(),
    };

    let wrapped = async |name: String| {
        let order = || Publish::new("", shop.queues[1].clone(), name.as_bytes());
        let orders = (0..TOGETHER).map(|_| (Context::new(), order()));
        for confirmed in shop.producer.publish_batch_with_contexts(orders).await {
            assert!(confirmed.expect("a confirm").is_ack());
        }
    };
    let bare = async |name: String| publish_together(&shop, &name).await;
    let trials = by(sends, &shop.counted, bare, wrapped).await;

    shop.assert_same(sends, TOGETHER as u64, &trials).await;
}
