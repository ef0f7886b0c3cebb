//! An application as a user writes it.
#![expect(clippy::expect_used, reason = "a test panics where it fails")]

use std::sync::atomic::{AtomicUsize, Ordering};

use integration::kafka::{PATIENCE, consumer, next, producer, topic};
use opentelemetry::trace::Status;
use otel_messaging::kafka;
use otel_messaging::testing::Recorder;
use rdkafka::consumer::CommitMode;
use rdkafka::error::KafkaResult;
use rdkafka::message::{BorrowedMessage, Message as _};
use rdkafka::producer::FutureRecord;

use crate::wire::{FRESH, named, send_raw, texts};

pub(crate) const ORDERS: usize = 3;

pub(crate) type Order<'a> = otel_messaging::Received<BorrowedMessage<'a>>;

/// A user's application, with types that need no parameters.
pub(crate) struct Shop {
    pub(crate) consumer: kafka::Consumer,
    pub(crate) producer: kafka::Producer,
    pub(crate) payments: String,
    pub(crate) seen: AtomicUsize,
}

impl Shop {
    /// With messages to receive.
    pub(crate) async fn open(recorder: &Recorder) -> Self {
        let (orders, payments) = (topic("orders").await, topic("payments").await);
        for _ in 0..ORDERS {
            send_raw(&orders, &texts(&[("traceparent", FRESH)])).await;
        }
        Self {
            consumer: consumer(&recorder.telemetry(), &orders),
            producer: producer(&recorder.telemetry()),
            payments,
            seen: AtomicUsize::new(0),
        }
    }

    pub(crate) async fn run(&self) -> anyhow::Result<()> {
        for _ in 0..ORDERS {
            let order = next(&self.consumer).await;
            order.process(|order| self.handle(order)).await?;
            self.consumer.commit_message(&order, CommitMode::Async)?;
        }
        Ok(())
    }

    pub(crate) async fn handle(&self, order: &BorrowedMessage<'_>) -> anyhow::Result<()> {
        self.pay(order.payload().unwrap_or_default()).await?;
        self.seen.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    pub(crate) async fn pay(&self, payload: &[u8]) -> KafkaResult<()> {
        let record = FutureRecord::<str, _>::to(&self.payments).payload(payload);
        let sent = self.producer.send(record, PATIENCE).await;
        sent.map(drop).map_err(|(error, _)| error)
    }
}

/// Each order was processed once in its own trace, so many of them with an error.
pub(crate) fn assert_processed(recorder: &Recorder, failures: usize) {
    let mut spans = recorder.spans();
    spans.retain(|span| span.name.starts_with("process"));
    assert_eq!(spans.len(), ORDERS);
    let of_order = named(FRESH);
    assert!(
        spans
            .iter()
            .all(|span| span.parent_span_id == of_order.span_id())
    );
    let failed = spans.iter().filter(|span| span.status != Status::Unset);
    assert_eq!(failed.count(), failures);
}

/// Runs what a user wrote in a task.
pub(crate) async fn spawned<F>(failures: usize, user: impl FnOnce(Shop) -> F)
where
    F: Future<Output = anyhow::Result<()>> + Send + 'static,
{
    let recorder = Recorder::new();
    let shop = Shop::open(&recorder).await;
    let task = tokio::spawn(user(shop));
    let outcome = tokio::time::timeout(PATIENCE, task).await;
    outcome
        .expect("an end in time")
        .expect("no panic")
        .expect("no error");
    assert_processed(&recorder, failures);
}
