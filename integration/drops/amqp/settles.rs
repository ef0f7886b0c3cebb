//! What is settled.

use futures::StreamExt as _;
use integration::amqp::consume;
use integration::drops::{Api, Trials, assert_same_fates};
use lapin::options::{BasicAckOptions, BasicNackOptions, BasicRejectOptions};
use otel_messaging::amqp::{ConnectionInfo, Consumer};

use super::{Shop, name, publish, rounds};
use crate::given_up::{BARE, Told, dropped_after};

/// Settles all messages of a queue, each by a future that is dropped after one more poll than the last, until one ends:
/// by both clients the same ones are in the queue again when the channel is closed.
macro_rules! settles {
    ($test:ident, $method:ident, $api:expr, $options:expr) => {
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $test() {
            let _told = Told::at_the_end();
            let shop = Shop::open().await;
            let mut trials = [Trials::default(), Trials::default()];
            let mut clients = [
                consume(&shop.client, &shop.queues[0]).await,
                consume(&shop.wrapped, &shop.queues[1]).await,
            ];
            let mut wrapped = Consumer::wrap(
                &shop.counted.telemetry(),
                ConnectionInfo::new(),
                clients[1].clone(),
            );
            let mut polls = 0;
            for _ in 0..rounds() {
                let message = trials[0].name(polls);
                let confirm = publish(&shop.channel, &shop.queues[0], &message).await;
                confirm.await.expect("a confirm");
                let delivery = clients[0]
                    .next()
                    .await
                    .expect("no end")
                    .expect("a delivery");
                assert_eq!(name(&delivery), message);
                let settled = dropped_after(BARE, polls, delivery.acker.$method($options)).await;
                assert_ne!(
                    settled.map(|settled| settled.expect("it settles")),
                    Some(false)
                );

                let message = trials[1].name(polls);
                let confirm = publish(&shop.channel, &shop.queues[1], &message).await;
                confirm.await.expect("a confirm");
                let delivery = wrapped.next().await.expect("no end").expect("a delivery");
                assert_eq!(name(&delivery), message);
                shop.counted.assert_unset(1);
                let settled = dropped_after($api, polls, delivery.$method($options)).await;
                shop.counted.assert_unset(polls.min(1));
                polls = if settled.is_some() { 0 } else { polls + 1 };
                assert_ne!(
                    settled.map(|settled| settled.expect("it settles")),
                    Some(false)
                );
            }
            assert_eq!(
                shop.counted.operations(),
                rounds() as u64 + trials[1].polled()
            );

            for channel in [&shop.client, &shop.wrapped] {
                channel.close(200, "done".into()).await.expect("it closes");
            }
            let mut fates = Vec::new();
            for (queue, trials) in shop.queues.iter().zip(&trials) {
                let there = shop.names(queue).await;
                fates.push(trials.fates(there.iter().map(String::as_str)));
            }
            assert_same_fates($api, &fates[0], &fates[1]);
            // Without a poll nothing is settled, and with all that it needs it is.
            assert_eq!(fates[1].values().map(|fate| fate.len()).max(), Some(1));
            assert_eq!(fates[1][&0], [1].into());
            assert_eq!(fates[1].values().next_back(), Some(&[0].into()));
        }
    };
}

settles!(
    an_ack_that_is_dropped_acknowledges_as_by_the_bare_client,
    ack,
    Api("Received<M>::ack"),
    BasicAckOptions::default()
);
settles!(
    a_nack_that_is_dropped_settles_as_by_the_bare_client,
    nack,
    Api("Received<M>::nack"),
    BasicNackOptions::default()
);
settles!(
    a_reject_that_is_dropped_settles_as_by_the_bare_client,
    reject,
    Api("Received<M>::reject"),
    BasicRejectOptions::default()
);
