//! A worker that was there before, and the same with the crate.
//!
//! Four lines went out and eight came in: an import, a parameter, a line for each client, three lines around the handler,
//! which the formatter makes of one, and the type of its producer. Nothing else of the worker has changed.

use std::time::Duration;

use anyhow::Result;
use integration::unique;
use opentelemetry::trace::SpanKind;
use otel_messaging::kafka::TestMessage;
use otel_messaging::testing::{ExpectedSpan, Recorder, remote_span};
use rdkafka::consumer::{Consumer as _, StreamConsumer};
use rdkafka::message::{Message as _, OwnedMessage};
use rdkafka::producer::{FutureProducer, FutureRecord};
use tokio::sync::oneshot;

use crate::{kafka, make_topics};

mod bare {
    use std::pin::pin;
    use std::time::Duration;

    use anyhow::Context as _;
    use rdkafka::ClientConfig;
    use rdkafka::consumer::{CommitMode, Consumer as _, StreamConsumer};
    use rdkafka::message::{BorrowedMessage, Message as _};
    use rdkafka::producer::{FutureProducer, FutureRecord};

    pub(super) async fn work(
        config: ClientConfig,
        orders: &str,
        bills: &str,
        stop: impl Future,
    ) -> anyhow::Result<()> {
        let producer: FutureProducer = config.create()?;
        let consumer: StreamConsumer = config.create()?;
        consumer.subscribe(&[orders])?;
        let mut stop = pin!(stop);
        loop {
            let order = tokio::select! {
                _ = &mut stop => return Ok(()),
                order = consumer.recv() => order?,
            };
            handle(&order, &producer, bills).await?;
            consumer.commit_message(&order, CommitMode::Async)?;
        }
    }

    async fn handle(
        order: &BorrowedMessage<'_>,
        producer: &FutureProducer,
        bills: &str,
    ) -> anyhow::Result<()> {
        let order = order.payload().context("an order of nothing")?;
        let bill = format!("a bill for {}", String::from_utf8_lossy(order));
        let record = FutureRecord::<str, _>::to(bills).payload(&bill);
        let sent = producer.send(record, Duration::from_secs(10)).await;
        sent.map_err(|(error, _)| error)?;
        Ok(())
    }
}

mod traced {
    use std::pin::pin;
    use std::time::Duration;

    use anyhow::Context as _;
    use otel_messaging::{Telemetry, kafka};
    use rdkafka::ClientConfig;
    use rdkafka::consumer::{CommitMode, Consumer as _, StreamConsumer};
    use rdkafka::message::{BorrowedMessage, Message as _};
    use rdkafka::producer::{FutureProducer, FutureRecord};

    pub(super) async fn work(
        telemetry: &Telemetry,
        config: ClientConfig,
        orders: &str,
        bills: &str,
        stop: impl Future,
    ) -> anyhow::Result<()> {
        let producer = kafka::Producer::wrap(telemetry, config.create::<FutureProducer>()?);
        let consumer = kafka::Consumer::wrap(telemetry, config.create::<StreamConsumer>()?);
        consumer.subscribe(&[orders])?;
        let mut stop = pin!(stop);
        loop {
            let order = tokio::select! {
                _ = &mut stop => return Ok(()),
                order = consumer.recv() => order?,
            };
            order
                .process(async |order| handle(order, &producer, bills).await)
                .await?;
            consumer.commit_message(&order, CommitMode::Async)?;
        }
    }

    async fn handle(
        order: &BorrowedMessage<'_>,
        producer: &kafka::Producer,
        bills: &str,
    ) -> anyhow::Result<()> {
        let order = order.payload().context("an order of nothing")?;
        let bill = format!("a bill for {}", String::from_utf8_lossy(order));
        let record = FutureRecord::<str, _>::to(bills).payload(&bill);
        let sent = producer.send(record, Duration::from_secs(10)).await;
        sent.map_err(|(error, _)| error)?;
        Ok(())
    }
}

/// Sends an order, as a shop that is traced does.
async fn order(shop: TestMessage) -> Result<()> {
    let order = OwnedMessage::from(shop);
    let producer: FutureProducer = kafka(&unique("shop")).create()?;
    let mut record = FutureRecord::<str, _>::to(order.topic());
    record.payload = order.payload();
    record.headers = order.headers().cloned();
    let sent = producer.send(record, Duration::from_secs(10)).await;
    sent.map_err(|(error, _)| error)?;
    Ok(())
}

/// Waits for a bill.
async fn bill(bills: &str) -> Result<String> {
    let consumer: StreamConsumer = kafka(&unique("test")).create()?;
    consumer.subscribe(&[bills])?;
    let bill = consumer.recv().await?;
    Ok(String::from_utf8_lossy(bill.payload().unwrap_or_default()).into_owned())
}

#[tokio::test]
async fn a_worker_of_the_bare_client_bills_an_order() -> Result<()> {
    let [orders, bills] = ["orders", "bills"].map(unique);
    make_topics(&[&orders, &bills]).await?;
    order(TestMessage::of(orders.as_str()).payload("two books")).await?;

    let (stop, stopped) = oneshot::channel::<()>();
    let works = bare::work(kafka(&unique("billing")), &orders, &bills, stopped);
    let billed = async {
        let bill = bill(&bills).await;
        drop(stop);
        bill
    };
    let (works, bill) = tokio::join!(works, billed);

    works?;
    assert_eq!(bill?, "a bill for two books");
    Ok(())
}

#[tokio::test]
async fn the_same_worker_with_wrapped_clients_bills_it_in_the_trace_of_the_shop() -> Result<()> {
    let [orders, bills] = ["orders", "bills"].map(unique);
    make_topics(&[&orders, &bills]).await?;
    let shop = remote_span();
    order(
        TestMessage::of(orders.as_str())
            .payload("two books")
            .created_by(&shop),
    )
    .await?;

    let recorder = Recorder::new();
    let telemetry = recorder.telemetry();
    let (stop, stopped) = oneshot::channel::<()>();
    let works = traced::work(
        &telemetry,
        kafka(&unique("billing")),
        &orders,
        &bills,
        stopped,
    );
    let billed = async {
        let bill = bill(&bills).await;
        drop(stop);
        bill
    };
    let (works, bill) = tokio::join!(works, billed);

    works?;
    assert_eq!(bill?, "a bill for two books");
    let process = recorder.span(&format!("process {orders}"));
    ExpectedSpan::new(format!("process {orders}"), SpanKind::Consumer)
        .child_of(&shop)
        .link(&shop)
        .assert(&process);
    ExpectedSpan::new(format!("send {bills}"), SpanKind::Producer)
        .child_of(&process.span_context)
        .assert(&recorder.span(&format!("send {bills}")));
    ExpectedSpan::new(format!("commit {orders}"), SpanKind::Client)
        .child_of(&process.span_context)
        .link(&shop)
        .assert(&recorder.span(&format!("commit {orders}")));
    assert_eq!(recorder.spans().len(), 3);
    Ok(())
}

#[test]
fn four_lines_of_the_bare_worker_went_out_and_eight_came_in() {
    let text = include_str!("retrofit.rs");
    let module = |name: &str| -> Vec<&str> {
        let begin = format!("mod {name} {{");
        let lines = text.lines().skip_while(|line| *line != begin);
        lines.skip(1).take_while(|line| *line != "}").collect()
    };
    let (bare, traced) = (module("bare"), module("traced"));
    let only_in = |these: &[&str], those: &[&str]| {
        let only = these.iter().filter(|line| !those.contains(line));
        only.count()
    };

    assert_eq!(only_in(&bare, &traced), 4);
    assert_eq!(only_in(&traced, &bare), 8);
}
