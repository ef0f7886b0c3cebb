//! What is received.

use std::iter;
use std::time::Duration;

use futures::StreamExt as _;
use integration::amqp::{PATIENCE, consume};
use integration::drops::Api;
use lapin::options::{BasicConsumeOptions, BasicGetOptions};
use lapin::types::{FieldTable, ShortString};
use otel_messaging::amqp::{ConnectionInfo, Consumer};
use tokio::time::timeout;

use super::{Shop, TOGETHER, name, rounds};
use crate::given_up::{BARE, Told, at_every_poll, dropped_after, dropped_in_vain, sent_before};

/// Receives all, of a queue that gets `together` messages before each call. None is left out, and none comes twice.
async fn received(
    shop: &Shop,
    (api, together): (Api, usize),
    is_wrapped: bool,
    mut receive: impl AsyncFnMut() -> Vec<String>,
) {
    let at = usize::from(is_wrapped);
    let [mut sent, mut next] = [0, 0];
    dropped_in_vain(api, receive()).await;
    for round in 0..rounds() {
        let names = sent..sent + sent_before(together, round);
        sent = names.end;
        shop.fill(names, &shop.queues[at..=at]).await;
        if together > 1 {
            // Once the queue has given them away, they are before the second answer.
            while shop.count(&shop.wrapped, at).await > 0 {}
            shop.count(&shop.wrapped, at).await;
        }
        let ended = |_, done| {
            if is_wrapped {
                shop.counted.assert_unset(usize::from(done));
            }
        };
        for name in at_every_poll(api, async |_| receive().await, ended).await {
            assert_eq!(name, next.to_string(), "{api:?}");
            next += 1;
        }
    }
    assert!(next >= rounds());
    if is_wrapped {
        assert_eq!(shop.counted.consumed(), next as u64);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_delivery_is_lost_where_the_wait_for_it_is_dropped() {
    let _told = Told::at_the_end();
    let shop = Shop::open().await;

    let mut client = consume(&shop.client, &shop.queues[0]).await;
    let bare = async || {
        vec![name(
            &client.next().await.expect("no end").expect("a delivery"),
        )]
    };
    received(&shop, (BARE, 1), false, bare).await;

    let client = consume(&shop.wrapped, &shop.queues[1]).await;
    let mut consumer = Consumer::wrap(&shop.counted.telemetry(), ConnectionInfo::new(), client);
    let wrapped = async || {
        let delivery = consumer.next().await.expect("no end").expect("a delivery");
        vec![name(&delivery)]
    };
    let api = Api("amqp::Consumer<lapin::consumer::Consumer>");
    received(&shop, (api, 1), true, wrapped).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn batches_lose_no_delivery_where_the_wait_for_one_is_dropped() {
    let _told = Told::at_the_end();
    let shop = Shop::open().await;
    let client = consume(&shop.wrapped, &shop.queues[1]).await;
    let consumer = Consumer::wrap(&shop.counted.telemetry(), ConnectionInfo::new(), client);
    let mut batches = consumer.batches(TOGETHER, Duration::from_millis(1));

    let api = Api("Batches<amqp::Consumer, lapin::message::Delivery, lapin::error::Error>::recv");
    let wrapped = async || {
        let batch = batches.recv().await.expect("no end").expect("a batch");
        batch.iter().map(|delivery| name(delivery)).collect()
    };
    received(&shop, (api, TOGETHER), true, wrapped).await;
}

/// A message that is under way to a call that was dropped is lost to the caller, by both clients; the broker has it again
/// when the channel is closed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_was_asked_for_by_a_dropped_call_is_in_the_queue_again() {
    let _told = Told::at_the_end();
    let shop = Shop::open().await;
    shop.fill(0..rounds(), &shop.queues).await;
    let wrapped = Consumer::wrap(
        &shop.counted.telemetry(),
        ConnectionInfo::new(),
        shop.wrapped.clone(),
    );
    let api = Api("amqp::Consumer<lapin::channel::Channel>::basic_get");
    let options = BasicGetOptions::default();

    let mut got = [Vec::new(), Vec::new()];
    let bare = async |_| {
        let got = shop.client.basic_get(shop.queues[0].clone(), options).await;
        got.expect("an answer")
            .map(|message| name(&message.delivery))
    };
    while let Some(name) = at_every_poll(BARE, bare, |_, _| ()).await {
        got[0].push(name);
    }
    let ours = async |_| {
        let got = wrapped.basic_get(shop.queues[1].clone(), options).await;
        got.expect("an answer")
            .map(|message| name(&message.delivery))
    };
    let ended = |_, has_ended: bool| {
        if !has_ended {
            shop.counted.assert_unset(0);
        }
    };
    while let Some(name) = at_every_poll(api, ours, ended).await {
        shop.counted.assert_unset(1);
        got[1].push(name);
    }
    // Of the call that found nothing.
    shop.counted.assert_unset(0);

    for channel in [&shop.client, &shop.wrapped] {
        channel.close(200, "done".into()).await.expect("it closes");
    }
    assert_eq!(shop.counted.consumed(), got[1].len() as u64);
    let number = |name: &String| name.parse::<usize>().expect("a number");
    for (queue, names) in shop.queues.iter().zip(got) {
        // What a dropped call asked for was left out, and nothing came twice or too early.
        let names: Vec<_> = names.iter().map(number).collect();
        assert!((1..rounds()).contains(&names.len()), "{names:?}");
        assert!(names.is_sorted_by(|one, next| one < next), "{names:?}");
        // None was acknowledged, so that each is there, once.
        let mut there: Vec<_> = shop.names(queue).await.iter().map(number).collect();
        there.sort_unstable();
        assert_eq!(there, (0..rounds()).collect::<Vec<_>>());
    }
}

/// A consumer whose start is dropped keeps no message from others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consumer_whose_start_is_dropped_loses_no_message() {
    let _told = Told::at_the_end();
    let shop = Shop::open().await;
    shop.fill(0..TOGETHER, &shop.queues).await;
    let options = BasicConsumeOptions::default;
    let api = Api("amqp::Consumer<lapin::channel::Channel>::basic_consume");

    let queues = shop.queues.iter().enumerate();
    for (at, queue) in iter::repeat_n(queues, rounds() / 10).flatten() {
        for polls in 0..10 {
            let channel = shop.connection.create_channel().await.expect("a channel");
            let (of, tag) = (queue.clone(), ShortString::default());
            let is_started = if at == 1 {
                let telemetry = shop.counted.telemetry();
                let known = ConnectionInfo::new();
                let consumer = Consumer::wrap(&telemetry, known, channel.clone());
                let start = consumer.basic_consume(of, tag, options(), FieldTable::default());
                dropped_after(api, polls, start).await.is_some()
            } else {
                let start = channel.basic_consume(of, tag, options(), FieldTable::default());
                dropped_after(BARE, polls, start).await.is_some()
            };
            // The client cancels a consumer that nobody has: where it comes to that later, closing the channel says so.
            drop(channel.close(200, "done".into()).await);
            let all = async { while shop.count(&shop.channel, at).await != TOGETHER {} };
            timeout(PATIENCE, all).await.expect("all are there again");
            if is_started {
                break;
            }
        }
    }
}
