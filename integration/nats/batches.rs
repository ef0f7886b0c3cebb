//! Messages that are received in batches.

use std::time::{Duration, Instant};

use async_nats::jetstream::Message;
use async_nats::jetstream::consumer::{pull, push};
use async_nats::jetstream::message::PublishMessage;
use futures::{Stream, StreamExt as _, TryStreamExt as _};
use integration::metrics::{consumed_messages, of_type, operation_duration};
use integration::nats::settle_span;
use integration::nats::{PATIENCE, client, header_map, in_time, subscribed};
use integration::unique;
use opentelemetry::KeyValue;
use opentelemetry::trace::TraceContextExt as _;
use otel_messaging::Batch;
use otel_messaging::nats::{Consumer, jetstream};
use otel_messaging::policy::{Policy, Rule};
use otel_messaging::testing::Recorder;
use tokio::time::timeout;

use crate::numbered::{
    NEXT, PROCESS, SOON, all, assert_linked, batch_span, of_pattern, origin, publish, sequences,
};
use crate::shop::{CONSUMED, Orders, named, receiving};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_is_received_and_processed_as_one_under_the_pattern_and_acknowledged_one_by_one() {
    let recorder = Recorder::new();
    let orders = Orders::open().await;
    publish(&orders, 0..6).await;
    let consumer = orders.consumer(&recorder.telemetry(), all(&orders)).await;
    let messages = consumer.messages().await.expect("messages");
    let mut batches = messages.batches(3, 2 * PATIENCE);
    let started = Instant::now();

    for numbers in [0..3, 3..6] {
        recorder.clear();
        let batch = in_time(batches.recv()).await.expect("a batch");
        let batch = batch.expect("no error");
        batch
            .process(async |orders| assert_eq!(orders.len(), 3))
            .await;
        for order in &batch {
            order.double_ack().await.expect("an acknowledgement");
        }

        let spans = recorder.spans();
        let [received, processed, acked @ ..] = &spans[..] else {
            panic!("two spans of all: {spans:?}");
        };
        assert_linked(
            of_pattern(NEXT, &orders, 3),
            &orders,
            numbers.clone(),
            received,
        );
        assert_linked(
            of_pattern(PROCESS, &orders, 3),
            &orders,
            numbers.clone(),
            processed,
        );
        assert_eq!(acked.len(), 3);
        for (number, acked) in numbers.zip(acked) {
            let order = orders.of_all(&number.to_string());
            let sequence = i64::try_from(number + 1).expect("a small number");
            settle_span("double_ack", order)
                .attribute("nats.stream.name", orders.name.clone())
                .attribute("nats.stream.sequence", sequence)
                .child_of(&processed.span_context)
                .link(&named(&origin(number)))
                .assert(acked);
        }
    }

    assert!(started.elapsed() < 2 * PATIENCE, "no time was waited for");
    let template = orders.subject("*");
    let received = || receiving(&[("messaging.destination.template", &template)]);
    consumed_messages().of(received(), 6).assert(&recorder);
    let settled = received().into_iter().map(|one| match one.key.as_str() {
        "messaging.operation.name" => KeyValue::new(one.key, "double_ack"),
        _ => one,
    });
    operation_duration()
        .of(of_type(received(), "receive"), 2)
        .of(of_type(settled.collect(), "settle"), 6)
        .assert(&recorder);
    let info = consumer.inner().clone().info().await.expect("info").clone();
    assert_eq!((info.num_ack_pending, info.num_pending), (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_that_is_not_full_ends_so_much_time_after_its_first_message() {
    let recorder = Recorder::new();
    let orders = Orders::open().await;
    let consumer = orders.consumer(&recorder.telemetry(), all(&orders)).await;
    let messages = consumer.messages().await.expect("messages");
    let mut batches = messages.batches(100, SOON);

    let nothing = timeout(2 * SOON, batches.recv()).await;
    assert!(nothing.is_err(), "a batch is never empty");
    assert_eq!(recorder.spans().len(), 0);
    let started = Instant::now();
    publish(&orders, 0..1).await;
    let batch = in_time(batches.recv()).await.expect("a batch");

    assert_eq!(sequences(&batch.expect("no error")), [1]);
    assert!(started.elapsed() >= SOON);
    of_pattern(NEXT, &orders, 1)
        .attribute("messaging.destination.name", orders.subject("0"))
        .attribute("nats.stream.sequence", 1)
        .link(&named(&origin(0)))
        .assert(&recorder.span(&format!("next {}", orders.subject("*"))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn waits_that_are_given_up_lose_no_message_and_give_none_twice() {
    const MESSAGES: usize = 300;
    let recorder = Recorder::new();
    let orders = Orders::open().await;
    let consumer = orders.consumer(&recorder.telemetry(), all(&orders)).await;
    let messages = consumer.messages().await.expect("messages");
    let mut batches = messages.batches(7, Duration::from_millis(2));

    let receiving = async {
        let (mut received, mut given_up) = (Vec::new(), 0);
        while received.len() < MESSAGES {
            match timeout(Duration::from_micros(500), batches.recv()).await {
                Ok(batch) => {
                    let batch = batch.expect("a batch").expect("no error");
                    received.extend(sequences(&batch));
                }
                Err(_) => given_up += 1,
            }
        }
        (received, given_up)
    };
    let both = async { futures::join!(publish(&orders, 0..MESSAGES), receiving) };
    let ((), (received, given_up)) = in_time(both).await;

    assert!(given_up > 0, "some waits were longer than that");
    let each = 1..=u64::try_from(MESSAGES).expect("a number");
    assert_eq!(received, each.collect::<Vec<_>>(), "each once, in order");
    assert_eq!(recorder.counter_total(CONSUMED), MESSAGES as u64);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_error_ends_the_batch_before_it_and_comes_next() {
    let recorder = Recorder::new();
    let orders = Orders::open().await;
    publish(&orders, 0..2).await;
    let config = pull::Config {
        durable_name: Some("billing".to_owned()),
        ..all(&orders)
    };
    let consumer = orders.consumer(&recorder.telemetry(), config).await;
    let messages = consumer.messages().await.expect("messages");
    let mut batches = messages.batches(100, 2 * PATIENCE);

    // Both are delivered before the consumer is deleted.
    let deleting = async {
        while recorder.counter_total(CONSUMED) < 2 {
            tokio::task::yield_now().await;
        }
        let deleted = orders.stream.delete_consumer("billing").await;
        deleted.expect("it is deleted");
    };
    let (batch, ()) = in_time(async { futures::join!(batches.recv(), deleting) }).await;
    let error = in_time(batches.recv()).await;

    let batch = batch.expect("a batch").expect("what came before");
    assert_eq!(sequences(&batch), [1, 2]);
    error.expect("no end yet").expect_err("the deletion");
    let spans = recorder.spans();
    let [received, failed] = &spans[..] else {
        panic!("the batch and the error: {spans:?}");
    };
    assert_linked(
        of_pattern(NEXT, &orders, 2).attribute("messaging.consumer.group.name", "billing"),
        &orders,
        0..2,
        received,
    );
    of_pattern(NEXT, &orders, 0)
        .attribute("messaging.consumer.group.name", "billing")
        .error("consumer_deleted")
        .assert(failed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fetch_ends_with_what_there_is_and_so_do_its_batches() {
    let recorder = Recorder::new();
    let orders = Orders::open().await;
    publish(&orders, 0..5).await;
    let consumer = orders.consumer(&recorder.telemetry(), all(&orders)).await;

    let fetch = consumer.fetch().max_messages(3).messages().await;
    let fetched = in_time(fetch.expect("messages").try_collect::<Vec<_>>()).await;
    let fetched = Batch::from(fetched.expect("no error"));
    fetched.process(async |_| ()).await;

    let spans = recorder.spans();
    let [processed] = &spans[..] else {
        panic!("it was not received as a batch: {spans:?}");
    };
    assert_linked(of_pattern(PROCESS, &orders, 3), &orders, 0..3, processed);
    recorder.clear();

    let fetch = consumer.fetch().max_messages(100).messages().await;
    let mut batches = fetch.expect("messages").batches(100, 2 * PATIENCE);
    let batch = in_time(batches.recv()).await.expect("a batch");
    assert_eq!(sequences(&batch.expect("no error")), [4, 5]);
    assert!(in_time(batches.recv()).await.is_none(), "the end");

    let spans = recorder.spans();
    let [received] = &spans[..] else {
        panic!("one span of receiving: {spans:?}");
    };
    assert_linked(of_pattern(NEXT, &orders, 2), &orders, 3..5, received);
}

/// The first batch of a stream of JetStream's, whatever kind it is.
async fn first<E>(batches: impl Stream<Item = Result<Batch<Message>, E>> + Unpin) -> Vec<u64>
where
    E: std::fmt::Debug,
{
    let (batch, _) = in_time(batches.into_future()).await;
    sequences(&batch.expect("a batch").expect("no error"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_kind_of_consumer_gives_batches() {
    let recorder = Recorder::new();
    let telemetry = recorder.telemetry();
    let orders = Orders::open().await;
    publish(&orders, 0..3).await;
    let of_all = orders.subject("*");
    let inbox = || orders.context.client().new_inbox();

    let pulled = orders.consumer(&telemetry, all(&orders)).await;
    let pushed = push::Config {
        deliver_subject: inbox(),
        filter_subject: of_all.clone(),
        ..push::Config::default()
    };
    let pushed = orders.consumer(&telemetry, pushed).await;
    let ordered = pull::OrderedConfig {
        filter_subject: of_all.clone(),
        ..pull::OrderedConfig::default()
    };
    let ordered = orders.consumer(&telemetry, ordered).await;
    let pushed_in_order = push::OrderedConfig {
        deliver_subject: inbox(),
        filter_subject: of_all.clone(),
        ..push::OrderedConfig::default()
    };
    let pushed_in_order = orders.consumer(&telemetry, pushed_in_order).await;

    let pulled = pulled.messages().await.expect("messages");
    let pushed = pushed.messages().await.expect("messages");
    let ordered = ordered.messages().await.expect("messages");
    let pushed_in_order = pushed_in_order.messages().await.expect("messages");
    let received = [
        first(pulled.batches(3, 2 * PATIENCE)).await,
        first(pushed.batches(3, 2 * PATIENCE)).await,
        first(ordered.batches(3, 2 * PATIENCE)).await,
        first(pushed_in_order.batches(3, 2 * PATIENCE)).await,
    ];

    assert_eq!(received, [[1, 2, 3]; 4]);
    let spans = recorder.spans();
    assert_eq!(spans.len(), 4);
    for span in &spans {
        assert_linked(of_pattern(NEXT, &orders, 3), &orders, 0..3, span);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscription_has_batches_until_it_is_drained() {
    let recorder = Recorder::new();
    let (subject, sender) = (unique("orders"), client().await);
    let consumer = Consumer::wrap(&recorder.telemetry(), client().await);
    let messages = consumer.subscribe(subject.clone()).await;
    subscribed(consumer.inner()).await;
    let mut batches = messages.expect("a subscription").batches(2, 2 * PATIENCE);
    for number in 0..3 {
        let headers = header_map(&[("traceparent", &origin(number))]);
        sender
            .publish_with_headers(subject.clone(), headers, "two books".into())
            .await
            .expect("a publish");
    }
    sender.flush().await.expect("all is sent");

    let full = in_time(batches.recv()).await.expect("a batch");
    let rest = async {
        while recorder.counter_total(CONSUMED) < 3 {
            tokio::task::yield_now().await;
        }
    };
    // The third message is taken when the wait for it is given up.
    tokio::select! {
        _ = batches.recv() => panic!("neither full nor in time"),
        () = in_time(rest) => {}
    }
    batches.inner_mut().drain().await.expect("it is drained");
    let rest = in_time(batches.recv()).await.expect("the rest");
    assert!(in_time(batches.recv()).await.is_none(), "the end");

    let spans = recorder.spans();
    let [first, last] = &spans[..] else {
        panic!("two spans of receiving: {spans:?}");
    };
    for (batch, numbers, span) in [(&full, 0..2, first), (&rest, 2..3, last)] {
        let count = i64::try_from(batch.len()).expect("a small number");
        let expected = batch_span(NEXT, &subject, count)
            .attribute("messaging.destination.name", subject.clone());
        let origins = numbers.map(|number| named(&origin(number)));
        origins
            .fold(expected, |expected, origin| expected.link(&origin))
            .assert(span);
    }
    assert_eq!((full.len(), rest.len()), (2, 1));
    let creation = |batch: &Batch<async_nats::Message>, at: usize| {
        batch[at].creation_context().span().span_context().clone()
    };
    assert_eq!(creation(&rest, 0), named(&origin(2)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_policy_of_the_pattern_holds_for_batches_of_its_subjects() {
    let orders = Orders::open().await;
    publish(&orders, 0..4).await;
    for (receives, spans) in [(false, 0), (true, 1)] {
        let recorder = Recorder::new();
        let rule = Rule::of(&orders.subject("*")).receive_spans(receives);
        let telemetry = recorder.telemetry().policy(Policy::new().rule(rule));
        let consumer = orders.consumer(&telemetry, all(&orders)).await;
        let messages = consumer.messages().await.expect("messages");

        let batch = in_time(messages.batches(4, PATIENCE).recv()).await;

        assert_eq!(batch.expect("a batch").expect("no error").len(), 4);
        assert_eq!(recorder.spans().len(), spans, "none of a single message");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn batches_are_published_received_and_processed_in_a_task() {
    let recorder = Recorder::new();
    let telemetry = recorder.telemetry();
    let orders = Orders::open().await;
    let producer = jetstream::Producer::wrap(&telemetry, orders.context.clone());
    let consumer = orders.consumer(&telemetry, all(&orders)).await;
    let subjects = [orders.subject("1"), orders.subject("2")];

    let task = tokio::spawn(async move {
        let messages = subjects.map(|subject| (subject, PublishMessage::build()));
        let published = producer.publish_batch(messages).await;
        assert!(published.iter().all(Result::is_ok), "{published:?}");
        let mut batches = consumer.messages().await?.batches(2, PATIENCE);
        let batch = in_time(batches.recv()).await.expect("a batch")?;
        batch
            .process(async |orders| -> Result<(), async_nats::Error> {
                for order in orders {
                    order.ack().await?;
                }
                Ok(())
            })
            .await
    });

    task.await.expect("no panic").expect("no error");
    let of_all = orders.subject("*");
    let names = recorder.spans().into_iter().map(|span| span.name);
    let expected = [
        format!("create {}", orders.subject("1")),
        format!("create {}", orders.subject("2")),
        "publish".to_owned(),
        format!("next {of_all}"),
        format!("ack {of_all}"),
        format!("ack {of_all}"),
        format!("process {of_all}"),
    ];
    assert_eq!(names.collect::<Vec<_>>(), expected);
}
