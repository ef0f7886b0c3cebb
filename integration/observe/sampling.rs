//! What the Collector keeps, where the shop does not show it: there, what fails is tried again, and so is slow too.

use futures::StreamExt as _;
use integration::nats::{in_time, subscribed};
use integration::unique;
use opentelemetry::context::FutureExt as _;

use crate::service_map::Service;
use crate::{given, jaeger, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_message_whose_handler_fails_is_kept_though_it_is_fast() {
    const MESSAGES: usize = 40;
    let shop = Service::start(&unique("shop")).await;
    let billing = Service::start(&unique("billing")).await;
    let subject = unique("plain");
    let orders = billing.consumer.subscribe(subject.clone()).await;
    let mut orders = orders.expect("a subscription");
    subscribed(&billing.client).await;

    for _ in 0..MESSAGES {
        let sent = shop.producer.publish(subject.clone(), "two books".into());
        let sent = sent.with_context(shop.request()).await;
        sent.expect("it is sent");
        let order = in_time(orders.next()).await.expect("an order");
        let failed = order.process(async |_| Err::<(), _>("out of stock")).await;
        assert_eq!(failed, Err("out of stock"));
    }
    shop.flush();
    billing.flush();

    let name = format!("process {subject}");
    let kept = until("all that failed", || {
        let kept = jaeger::traces(&given("JAEGER_URL"), &billing.name, &name);
        (kept.len() == MESSAGES).then_some(kept)
    })
    .await;
    // By the policy for slow traces these would not be there, and by that for the rest a tenth of them.
    let fast = kept.iter().filter(|trace| trace.duration() < 1_000_000);
    assert!(fast.count() > MESSAGES / 2);
}
