//! What users write around the wrappers: that it compiles where they write it, most often in a
//! spawned task, is the better half of each test.
#![expect(clippy::expect_used, reason = "a test panics where it fails")]

use std::error::Error;
use std::io;
use std::ops::ControlFlow;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::future::{BoxFuture, join_all};
use futures::stream::FuturesUnordered;
use futures::{FutureExt as _, StreamExt as _, TryStreamExt as _};
use integration::kafka::{PATIENCE, next};
use opentelemetry::context::FutureExt as _;
use otel_messaging::testing::Recorder;
use otel_messaging::{HandlerError, Outcome, kafka};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{CommitMode, Consumer, ConsumerContext, DefaultConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::{BorrowedMessage, Message as _, OwnedMessage};
use rdkafka::producer::{FutureProducer, FutureRecord, Producer, ProducerContext};
use tokio::task::{JoinSet, LocalSet};

use crate::shop::{ORDERS, Order, Shop, assert_processed, spawned};
use crate::wire::{FRESH, named};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_loop_in_a_task_borrows_its_locals() {
    spawned(0, async |shop| {
        let (greeting, mut texts) = (String::from("hello"), Vec::new());
        for _ in 0..ORDERS {
            let order = next(&shop.consumer).await;
            order
                .process(async |order| -> anyhow::Result<()> {
                    let text = std::str::from_utf8(order.payload().unwrap_or_default())?;
                    shop.pay(greeting.as_bytes()).await?;
                    texts.push(text.to_owned());
                    Ok(())
                })
                .await?;
            shop.consumer.commit_message(&order, CommitMode::Async)?;
        }
        anyhow::ensure!(texts == ["two books"; ORDERS]);
        Ok(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn methods_of_an_application_in_an_arc_are_handlers() {
    spawned(0, async |shop| {
        let shop = Arc::new(shop);
        let same = Arc::clone(&shop);
        tokio::spawn(async move { same.run().await }).await??;
        anyhow::ensure!(shop.seen.load(Ordering::Relaxed) == ORDERS);
        Ok(())
    })
    .await;
}

trait Handler {
    fn handle(
        &self,
        order: &BorrowedMessage<'_>,
    ) -> impl Future<Output = Result<(), String>> + Send;
}

impl Handler for String {
    async fn handle(&self, order: &BorrowedMessage<'_>) -> Result<(), Self> {
        tokio::task::yield_now().await;
        (order.offset() == 0)
            .then_some(())
            .ok_or_else(|| self.clone())
    }
}

async fn with_generic_handler<H: Handler + Sync>(consumer: Arc<kafka::Consumer>, handler: H) {
    for _ in 0..ORDERS {
        let order = next(&consumer).await;
        let outcome = order
            .process(async |order| handler.handle(order).await)
            .await;
        assert_eq!(outcome.is_ok(), order.offset() == 0);
    }
}

type Boxed =
    Box<dyn for<'m> Fn(&'m Order<'m>) -> BoxFuture<'m, Result<(), BoxError>> + Send + Sync>;
type BoxError = Box<dyn Error + Send + Sync>;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn handlers_are_generic_or_boxed() {
    spawned(ORDERS - 1, async |shop| {
        let consumer = Arc::new(shop.consumer);
        tokio::spawn(with_generic_handler(consumer, "late".to_owned())).await?;
        Ok(())
    })
    .await;
    spawned(ORDERS, async |shop| {
        let handler: Boxed = Box::new(|order| {
            let failed =
                async { Err(std::str::from_utf8(order.key().unwrap_or_default())?.into()) };
            failed.boxed()
        });
        for _ in 0..ORDERS {
            let order = next(&shop.consumer).await;
            let outcome = order.process(&handler).await;
            anyhow::ensure!(outcome.is_err_and(|error| error.to_string() == "order-7"));
        }
        Ok(())
    })
    .await;
}

async fn helper(order: &BorrowedMessage<'_>) -> usize {
    order.payload_len()
}

fn countdown<'a>(order: &'a Order<'_>, rounds: usize) -> BoxFuture<'a, Result<usize, KafkaError>> {
    async move {
        match rounds {
            0 => Ok(helper(order).await),
            _ => countdown(order, rounds - 1).await,
        }
    }
    .boxed()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn handlers_are_raced_recursive_or_give_what_they_borrow() {
    spawned(1, async |shop| {
        let order = next(&shop.consumer).await;
        let late = order.process(async |_| std::future::pending::<()>().await);
        let timeout = tokio::time::timeout(Duration::from_millis(10), late);
        anyhow::ensure!(timeout.await.is_err());

        let order = next(&shop.consumer).await;
        tokio::select! {
            length = order.process(|order| countdown(order, 3)) => anyhow::ensure!(length? == 9),
            () = std::future::pending() => {}
        }

        let order = next(&shop.consumer).await;
        let borrowed: Result<&[u8], KafkaError> = order
            .process(async |order| Ok(order.payload().unwrap_or_default()))
            .await;
        anyhow::ensure!(borrowed? == b"two books");
        Ok(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processing_inside_of_processing_is_a_child_of_it() {
    let recorder = Recorder::new();
    let shop = Shop::open(&recorder).await;
    let task = tokio::spawn(async move {
        let (outer, inner) = (next(&shop.consumer).await, next(&shop.consumer).await);
        outer
            .process(async |_| {
                inner
                    .process(async |order| Ok::<_, KafkaError>(order.offset()))
                    .await
            })
            .await
    });

    assert_eq!(task.await.expect("no panic"), Ok(1));
    let spans = recorder.spans();
    let parents = spans.iter().map(|span| span.parent_span_id);
    let outer = spans.last().expect("a span").span_context.span_id();
    assert_eq!(parents.collect::<Vec<_>>(), [outer, named(FRESH).span_id()]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guard_allows_break_continue_and_early_returns() {
    spawned(1, async |shop| {
        loop {
            let order = next(&shop.consumer).await;
            let span = order.start_process_span();
            if order.offset() == 0 {
                span.end(&Err::<(), _>("not this one"));
                continue;
            }
            let paid = shop.pay(b"7").with_context(span.context().clone()).await;
            span.end(&paid);
            paid?;
            if order.offset() == 2 {
                break;
            }
        }
        Ok(())
    })
    .await;
}

/// A user's own outcome.
#[derive(Debug)]
enum Verdict {
    Done,
    Retry(io::Error),
}

impl Outcome for Verdict {
    fn error(&self) -> Option<HandlerError<'_>> {
        match self {
            Self::Done => None,
            Self::Retry(error) => Some(HandlerError::new(error)),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn outcomes_are_control_flow_or_the_users_own() {
    spawned(1, async |shop| {
        let order = next(&shop.consumer).await;
        let flow = order.process(async |_| ControlFlow::<(), usize>::Break(()));
        anyhow::ensure!(flow.await.is_break());
        for expected in [true, false] {
            let order = next(&shop.consumer).await;
            let verdict = order.process(async |order| match order.offset() {
                1 => Verdict::Done,
                _ => Verdict::Retry(io::ErrorKind::TimedOut.into()),
            });
            anyhow::ensure!(matches!(verdict.await, Verdict::Done) == expected);
        }
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_handler_that_cannot_be_sent_runs_on_one_thread() {
    let recorder = Recorder::new();
    let shop = Rc::new(Shop::open(&recorder).await);
    let local = LocalSet::new();
    let seen = Rc::clone(&shop);
    local.spawn_local(async move {
        for _ in 0..ORDERS {
            let order = next(&shop.consumer).await;
            let shop = Rc::clone(&shop);
            let handled = order.process(async move |order| shop.handle(order).await);
            handled.await.expect("a payment");
        }
    });

    local.await;
    assert_eq!(seen.seen.load(Ordering::Relaxed), ORDERS);
    assert_processed(&recorder, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_are_combined_in_a_task() {
    spawned(0, async |shop| {
        let mut orders = shop.consumer.stream();
        while let Some(order) = orders.next().await {
            let order = order?;
            order.process(async |_| ()).await;
            if order.offset() == 0 {
                break;
            }
        }
        let rest = orders.take(ORDERS - 1).ready_chunks(10);
        rest.for_each(async |chunk| {
            for order in chunk.into_iter().flatten() {
                order.process(async |_| ()).await;
            }
        })
        .await;
        Ok(())
    })
    .await;
    spawned(0, async |shop| {
        let orders = shop.consumer.stream().take(ORDERS);
        let shop = &shop;
        orders
            .map_err(anyhow::Error::from)
            .try_for_each_concurrent(10, |order| async move {
                order.process(|order| shop.handle(order)).await
            })
            .await
    })
    .await;
}

/// A user's code that does not know of us.
fn position<X: ConsumerContext>(consumer: &impl Consumer<X>) -> KafkaResult<usize> {
    Ok(consumer.position()?.count())
}

fn in_flight<X: ProducerContext>(producer: &impl Producer<X>) -> i32 {
    producer.in_flight_count()
}

/// Every type can be named.
struct Pending<'a> {
    orders: kafka::MessageStream<'a, DefaultConsumerContext>,
    payments: Vec<kafka::DeliveryFuture>,
    producer: kafka::Producer<FutureProducer<DefaultClientContext>>,
    kept: Vec<otel_messaging::Received<OwnedMessage>>,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn types_have_names_and_code_over_the_clients_traits_works() {
    spawned(0, async |shop| {
        let mut pending = Pending {
            orders: shop.consumer.stream(),
            payments: Vec::new(),
            producer: shop.producer.clone(),
            kept: Vec::new(),
        };
        while pending.kept.len() < ORDERS {
            let order: Option<KafkaResult<Order<'_>>> = pending.orders.next().await;
            pending
                .kept
                .extend(order.transpose()?.map(|order| order.detach()));
            let record = FutureRecord::<str, str>::to(&shop.payments).payload("7");
            let queued = pending.producer.send_result(record);
            pending.payments.push(queued.map_err(|(error, _)| error)?);
        }
        anyhow::ensure!(position(&shop.consumer)? == 1);
        anyhow::ensure!(in_flight(&pending.producer) >= 0);
        let paid = join_all(pending.payments).await;
        anyhow::ensure!(paid.iter().flatten().flatten().count() == ORDERS);
        let mut tasks = JoinSet::new();
        for order in pending.kept {
            tasks.spawn(async move { order.process(async |_| ()).await });
        }
        tasks.join_all().await;
        Ok(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sends_are_collected_boxed_and_joined() {
    spawned(0, async |shop| {
        let payload = String::from("7");
        let record = || FutureRecord::<str, _>::to(&shop.payments).payload(&payload);
        for _ in 0..ORDERS {
            let order = next(&shop.consumer).await;
            let sent = order.process(async |_| -> Result<usize, KafkaError> {
                let joined = join_all((0..5).map(|_| shop.producer.send(record(), PATIENCE)));
                let unordered: FuturesUnordered<_> = (0..5)
                    .map(|_| shop.producer.send(record(), PATIENCE))
                    .collect();
                let boxed: BoxFuture<'_, _> = shop.producer.send(record(), PATIENCE).boxed();
                boxed.await.map_err(|(error, _)| error)?;
                let unordered: Vec<_> = unordered.collect().await;
                Ok(joined.await.into_iter().chain(unordered).flatten().count())
            });
            anyhow::ensure!(sent.await? == 10);
        }
        Ok(())
    })
    .await;
}
