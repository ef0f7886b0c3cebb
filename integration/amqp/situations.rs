//! What users write around the wrappers: that it compiles where they write it, most often in a
//! spawned task, is the better half of each test.
#![expect(clippy::expect_used, reason = "a test panics where it fails")]

use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::channel::mpsc;
use futures::{StreamExt as _, TryStreamExt as _};
use integration::amqp::{PATIENCE, queue};
use lapin::message::Delivery;
use lapin::options::{BasicAckOptions, BasicPublishOptions};
use lapin::{BasicProperties, Confirmation};
use opentelemetry::trace::TraceContextExt as _;
use otel_messaging::amqp::{ConsumerDelegate, DeliveryResult, Producer, PublisherConfirm};
use otel_messaging::testing::Recorder;
use tokio::task::JoinSet;

use crate::shop::{Shop, ended, next};

const ORDERS: usize = 3;

/// A helper that knows the client's own type alone.
fn body(delivery: &Delivery) -> &[u8] {
    &delivery.data
}

async fn publish(producer: Producer, queue: String) -> lapin::Result<Confirmation> {
    let confirm: PublisherConfirm = producer
        .basic_publish(
            "".into(),
            queue.into(),
            BasicPublishOptions::default(),
            b"two books",
            BasicProperties::default(),
        )
        .await?;
    confirm.await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tasks_publish_and_process_and_settle_on_their_own() {
    let recorder = Recorder::new();
    let shop = Shop::open(&recorder.telemetry()).await;
    let payments = queue(shop.channel(), "payments").await;
    let mut tasks = JoinSet::new();
    for _ in 0..ORDERS {
        tasks.spawn(publish(shop.producer.clone(), shop.orders.to_string()));
    }
    let published = tasks.join_all().await;
    for confirmation in published {
        assert_eq!(confirmation.expect("a confirm"), Confirmation::Ack(None));
    }

    let mut consumer = shop.consumer().await;
    let mut tasks = JoinSet::new();
    for _ in 0..ORDERS {
        let order = next(&mut consumer).await;
        let (producer, payments) = (shop.producer.clone(), payments.to_string());
        tasks.spawn(async move {
            let paid = order.process(async |order| {
                assert_eq!(body(order), b"two books");
                publish(producer, payments).await
            });
            paid.await?;
            order.ack(BasicAckOptions::default()).await
        });
    }
    for acked in tasks.join_all().await {
        assert!(acked.expect("an ack"));
    }

    let spans = recorder.spans();
    let named = |name: &str| spans.iter().filter(|span| span.name == name).count();
    for verb in ["publish", "process", "ack"] {
        assert_eq!(named(&format!("{verb} {}", shop.orders)), ORDERS);
    }
    assert_eq!(named(&format!("publish {payments}")), ORDERS);
    for span in &spans {
        let trace = span.span_context.trace_id();
        let in_trace = spans
            .iter()
            .filter(|one| one.span_context.trace_id() == trace);
        assert_eq!(in_trace.count(), 4, "one trace for each order");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_are_combined_as_those_of_the_client_are() {
    let recorder = Recorder::new();
    let shop = Shop::open(&recorder.telemetry()).await;
    for _ in 0..ORDERS {
        shop.publish_order().await;
    }
    let consumer = shop.consumer().await;

    let processed = tokio::spawn(async move {
        let seen = AtomicUsize::new(0);
        consumer
            .take(ORDERS)
            .try_for_each_concurrent(2, |order| {
                let seen = &seen;
                async move {
                    let handled = order.process(async |_| -> lapin::Result<()> {
                        seen.fetch_add(1, Ordering::Relaxed);
                        Ok(())
                    });
                    handled.await?;
                    order.ack(BasicAckOptions::default()).await?;
                    Ok(())
                }
            })
            .await
            .map(|()| seen.load(Ordering::Relaxed))
    });

    let processed = tokio::time::timeout(PATIENCE, processed).await;
    let processed = processed.expect("in time").expect("a task");
    assert_eq!(processed.expect("no error"), ORDERS);
}

/// A delegate that is a type of its own.
struct Billing {
    billed: mpsc::UnboundedSender<bool>,
}

impl ConsumerDelegate for Billing {
    type Outcome = lapin::Result<()>;

    fn on_new_delivery(
        &self,
        delivery: DeliveryResult,
    ) -> Pin<Box<dyn Future<Output = Self::Outcome> + Send>> {
        // Called with the process span current, before the future is.
        let is_current =
            opentelemetry::Context::map_current(|current| current.span().span_context().is_valid());
        let billed = self.billed.clone();
        Box::pin(async move {
            if let Some(order) = delivery? {
                order.ack(BasicAckOptions::default()).await?;
                billed.unbounded_send(is_current).expect("the test waits");
            }
            Ok(())
        })
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_type_of_the_users_is_a_delegate() {
    let recorder = Recorder::new();
    let shop = Shop::open(&recorder.telemetry()).await;
    let consumer = shop.consumer().await;
    let (billed, mut bills) = mpsc::unbounded();
    consumer.set_delegate(Billing { billed });

    shop.publish_order().await;
    let is_current = tokio::time::timeout(PATIENCE, bills.next()).await;

    assert_eq!(is_current.expect("in time"), Some(true));
    let process = ended(&recorder, &format!("process {}", shop.orders)).await;
    let ack = recorder.span(&format!("ack {}", shop.orders));
    assert_eq!(ack.parent_span_id, process.span_context.span_id());
}
