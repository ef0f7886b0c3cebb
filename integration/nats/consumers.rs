//! JetStream consumers of every kind.

use async_nats::jetstream::Message;
use async_nats::jetstream::consumer::{pull, push};
use futures::future::join_all;
use futures::{Stream, StreamExt as _, TryStreamExt as _};
use integration::nats::broker::DURABLE;
use integration::nats::{PATIENCE, client, in_time};
use integration::nats::{Subject, delivered, process_span, receive_span, settle_span};
use otel_messaging::Received;
use otel_messaging::nats::{self, jetstream};
use otel_messaging::policy::{Policy, Rule};
use otel_messaging::testing::Recorder;

use crate::shop::{FRESH, Orders, fresh, named, next, of_fresh, receiving};

/// Receives one message of a stream and processes it; its span is the only one.
async fn one<S, E>(recorder: &Recorder, orders: &Orders, group: Option<&str>, messages: S)
where
    S: Stream<Item = Result<Received<Message>, E>>,
    E: std::fmt::Debug,
{
    let mut messages = std::pin::pin!(messages);
    let order = in_time(messages.next())
        .await
        .expect("a message")
        .expect("no error");
    order.process(async |_| ()).await;
    let expected = delivered(process_span(orders.of_all("7")), &order);
    let expected = match group {
        Some(group) => expected.attribute("messaging.consumer.group.name", group.to_owned()),
        None => expected,
    };
    let name = format!("process {}", orders.subject("*"));
    of_fresh(expected).assert(&recorder.span(&name));
    recorder.clear();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_way_to_receive_from_a_stream_hands_over_the_context() {
    let recorder = Recorder::new();
    let telemetry = recorder.telemetry();
    let orders = Orders::open().await;
    orders.publish("7", fresh()).await;
    let pull = || pull::Config {
        filter_subject: orders.subject("*"),
        ..pull::Config::default()
    };
    let consumer = async || orders.consumer(&telemetry, pull()).await;

    let messages = consumer().await.messages().await.expect("messages");
    one(&recorder, &orders, None, messages).await;
    let by_stream = consumer().await;
    let messages = by_stream
        .stream()
        .max_messages_per_batch(1)
        .messages()
        .await;
    one(&recorder, &orders, None, messages.expect("messages")).await;
    let by_fetch = consumer().await;
    let messages = by_fetch.fetch().max_messages(1).messages().await;
    one(&recorder, &orders, None, messages.expect("messages")).await;
    let by_batch = consumer().await;
    let messages = by_batch.batch().max_messages(1).messages().await;
    one(&recorder, &orders, None, messages.expect("messages")).await;
    let mut batches = consumer().await.sequence(1).expect("batches");
    let messages = in_time(batches.next())
        .await
        .expect("a batch")
        .expect("no error");
    one(&recorder, &orders, None, messages).await;
    let bare = consumer().await;
    let messages = bare
        .inner()
        .stream()
        .max_messages_per_batch(1)
        .messages()
        .await;
    one(
        &recorder,
        &orders,
        None,
        bare.messages_of(messages.expect("messages")),
    )
    .await;

    let ordered = pull::OrderedConfig {
        filter_subject: orders.subject("*"),
        ..pull::OrderedConfig::default()
    };
    let ordered = orders.consumer(&telemetry, ordered).await;
    one(
        &recorder,
        &orders,
        None,
        ordered.messages().await.expect("messages"),
    )
    .await;
    let pushed = push::Config {
        deliver_subject: orders.context.client().new_inbox(),
        deliver_group: Some(DURABLE.to_owned()),
        filter_subject: orders.subject("*"),
        ..push::Config::default()
    };
    let pushed = orders.consumer(&telemetry, pushed).await;
    one(
        &recorder,
        &orders,
        Some(DURABLE),
        pushed.messages().await.expect("messages"),
    )
    .await;
    let ordered = push::OrderedConfig {
        deliver_subject: orders.context.client().new_inbox(),
        filter_subject: orders.subject("*"),
        ..push::OrderedConfig::default()
    };
    let ordered = orders.consumer(&telemetry, ordered).await;
    one(
        &recorder,
        &orders,
        None,
        ordered.messages().await.expect("messages"),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_filter_the_stream_stands_for_its_subjects() {
    let recorder = Recorder::new();
    let orders = Orders::open().await;
    let mut headers = fresh();
    headers.insert("Nats-Msg-Id", "order-7");
    orders.publish("7", headers).await;
    let durable = pull::Config {
        durable_name: Some(DURABLE.to_owned()),
        ..pull::Config::default()
    };
    let consumer = orders.consumer(&recorder.telemetry(), durable).await;

    let order = next(&mut consumer.messages().await.expect("messages")).await;
    order.process(async |_| ()).await;

    order.ack().await.expect("an acknowledgement");

    let process = recorder.span(&format!("process {}", orders.name));
    let acked = recorder.span(&format!("ack {}", orders.name));
    let subject = || Subject::one_of(&orders.subject("7"), &orders.name);
    of_fresh(delivered(process_span(subject()), &order))
        .attribute("messaging.consumer.group.name", DURABLE)
        .attribute("messaging.message.id", "order-7")
        .assert(&process);
    delivered(settle_span("ack", subject()), &order)
        .attribute("messaging.consumer.group.name", DURABLE)
        .attribute("messaging.message.id", "order-7")
        .child_of(&process.span_context)
        .link(&named(FRESH))
        .assert(&acked);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_policy_adds_receive_spans_time_in_queue_and_lag() {
    let recorder = Recorder::new();
    let orders = Orders::open().await;
    for _ in 0..3 {
        orders.publish("7", fresh()).await;
    }
    let rule = Rule::of("*")
        .receive_spans(true)
        .time_in_queue(true)
        .lag(true);
    let telemetry = recorder.telemetry().policy(Policy::new().rule(rule));
    let consumer = orders.consumer(&telemetry, pull::Config::default()).await;

    let order = next(&mut consumer.messages().await.expect("messages")).await;

    let subject = Subject::one_of(&orders.subject("7"), &orders.name);
    delivered(receive_span(subject), &order)
        .link(&named(FRESH))
        .assert(&recorder.span(&format!("next {}", orders.name)));
    let attributes = receiving(&[("messaging.destination.template", &orders.name)]);
    let lag = recorder.gauge("otel_messaging.consumer.lag");
    let [(of, behind)] = &lag[..] else {
        panic!("one lag: {lag:?}");
    };
    assert_eq!(*behind, 2);
    assert_eq!(of.len(), attributes.len());
    let waited = recorder.histogram("otel_messaging.message.time_in_queue");
    assert_eq!(
        waited.iter().map(|histogram| histogram.count).sum::<u64>(),
        1
    );
    assert_eq!(recorder.counter_total("otel_messaging.clock.skews"), 0);
}

/// A user's worker, with types that need no parameters.
struct Worker {
    consumer: jetstream::Consumer,
    producer: jetstream::Producer,
    payments: String,
}

impl Worker {
    async fn run(self, count: usize) -> Result<(), async_nats::Error> {
        let orders = self.consumer.batch().max_messages(count).expires(PATIENCE);
        let mut orders = orders.messages().await?;
        while let Some(order) = orders.try_next().await? {
            order.process(|order| self.pay(order)).await?;
            order.double_ack().await?;
        }
        Ok(())
    }

    async fn pay(&self, order: &Message) -> Result<(), async_nats::Error> {
        let published = self
            .producer
            .publish(self.payments.clone(), order.payload.clone());
        published.await?.await?;
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_run_in_tasks_of_their_own() {
    let recorder = Recorder::new();
    let orders = Orders::open().await;
    for order in 0..20 {
        orders.publish(&format!("order.{order}"), fresh()).await;
    }
    let filter = pull::Config {
        filter_subject: orders.subject("order.*"),
        ..pull::Config::default()
    };
    let consumer = orders.consumer(&recorder.telemetry(), filter).await;

    let tasks = (0..2).map(|_| {
        let worker = Worker {
            consumer: consumer.clone(),
            producer: jetstream::Producer::wrap(&recorder.telemetry(), orders.context.clone()),
            payments: orders.subject("payments"),
        };
        tokio::spawn(worker.run(10))
    });
    for ended in in_time(join_all(tasks)).await {
        ended.expect("no panic").expect("no error");
    }

    let spans = recorder.spans();
    let named = |name: &str| {
        spans
            .iter()
            .filter(|span| span.name == name)
            .collect::<Vec<_>>()
    };
    let processed = named(&format!("process {}", orders.subject("order.*")));
    let paid = named(&format!("publish {}", orders.subject("payments")));
    assert_eq!([processed.len(), paid.len()], [20, 20]);
    for pay in paid {
        let process = processed
            .iter()
            .filter(|process| process.span_context.span_id() == pay.parent_span_id);
        assert_eq!(process.count(), 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrapper_is_shown_in_a_line_that_tells_it_from_others() {
    let orders = Orders::open().await;
    let (telemetry, client) = (Recorder::new().telemetry(), client().await);
    let (server, id) = ("nats.example", "billing-7");
    let producer = nats::Producer::wrap(&telemetry, client.clone());
    let producer = producer.server(server, 4222).client_id(id);
    let consumer = nats::Consumer::wrap(&telemetry, client);
    let consumer = consumer.server(server, 4222).client_id(id);
    let messages = consumer.queue_subscribe(orders.subject("*"), "billing".to_owned());
    let messages = messages.await.expect("a subscription");
    let of_stream = jetstream::Producer::wrap(&telemetry, orders.context.clone());
    let of_stream = of_stream.server(server, 4222).client_id(id);
    let durable = pull::Config {
        durable_name: Some(DURABLE.to_owned()),
        ..pull::Config::default()
    };
    let puller = orders.consumer(&telemetry, durable).await;
    let puller = puller.server(server, 4222).client_id(id);

    let of_client = r#"system: "nats", client_id: "billing-7""#;
    let at = "server: nats.example:4222";
    let group = r#"consumer_group: "billing""#;
    assert_eq!(
        format!("{producer:?}"),
        format!("Producer {{ {of_client}, {at}, .. }}")
    );
    assert_eq!(format!("{of_stream:?}"), format!("{producer:?}"));
    assert_eq!(
        format!("{consumer:?}"),
        format!("Consumer {{ {of_client}, {at}, .. }}")
    );
    assert_eq!(
        format!("{messages:?}"),
        format!("Messages {{ {of_client}, {group}, {at}, .. }}")
    );
    let stream = &orders.name;
    assert_eq!(
        format!("{puller:?}"),
        format!("Consumer {{ {of_client}, {group}, {at}, stream: {stream:?}, .. }}")
    );
}
