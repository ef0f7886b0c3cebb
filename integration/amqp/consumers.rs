//! Deliveries, however they come, and settling them.
#![expect(clippy::expect_used, reason = "a test panics where it fails")]

use futures::StreamExt as _;
use futures::channel::mpsc;
use integration::amqp::{
    DELIVERY_TAG, PATIENCE, client_attributes, delivery_tag, process_span, settle_span,
};
use integration::whole;
use lapin::BasicProperties;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicGetOptions, BasicNackOptions, BasicQosOptions,
    BasicRejectOptions, QueueDeclareOptions, QueueDeleteOptions,
};
use lapin::types::FieldTable;
use opentelemetry::trace::{SpanKind, TraceContextExt as _};
use otel_messaging::amqp::{ConnectionInfo, Consumer, DeliveryResult, Producer};
use otel_messaging::policy::{Policy, Rule};
use otel_messaging::testing::Recorder;

use crate::shop::{Shop, ended, next};

const SETTLED: &str = "otel_messaging.rabbitmq.settled";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settling_a_delivery_that_was_not_processed_links_to_its_trace() {
    let recorder = Recorder::new();
    let shop = Shop::open(&recorder.telemetry()).await;
    let mut consumer = shop.consumer().await;

    for verb in ["ack", "nack", "reject"] {
        recorder.clear();
        shop.publish_order().await;
        let order = next(&mut consumer).await;
        let creation = order.creation_context().span().span_context().clone();
        let settled = match verb {
            "ack" => order.ack(BasicAckOptions::default()).await,
            "nack" => order.nack(BasicNackOptions::default()).await,
            _ => order.reject(BasicRejectOptions::default()).await,
        };

        assert!(settled.expect("an answer"));
        settle_span(verb, &order)
            .link(&creation)
            .assert(&recorder.span(&format!("{verb} {}", shop.orders)));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settling_inside_the_handler_belongs_to_its_span() {
    let recorder = Recorder::new();
    let shop = Shop::open(&recorder.telemetry()).await;
    shop.publish_order().await;
    let order = next(&mut shop.consumer().await).await;
    let creation = order.creation_context().span().span_context().clone();

    let acked = order
        .process(async |order| order.ack(BasicAckOptions::default()).await)
        .await;

    assert!(acked.expect("an answer"));
    let process = recorder
        .span(&format!("process {}", shop.orders))
        .span_context;
    settle_span("ack", &order)
        .child_of(&process)
        .link(&creation)
        .assert(&recorder.span(&format!("ack {}", shop.orders)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settling_twice_is_visible_and_no_error() {
    let recorder = Recorder::new();
    let shop = Shop::open(&recorder.telemetry()).await;
    shop.publish_order().await;
    let order = next(&mut shop.consumer().await).await;
    let creation = order.creation_context().span().span_context().clone();
    assert!(
        order
            .ack(BasicAckOptions::default())
            .await
            .expect("an answer")
    );

    let again = order.nack(BasicNackOptions::default()).await;

    assert!(!again.expect("an answer"));
    settle_span("nack", &order)
        .link(&creation)
        .attribute(SETTLED, false)
        .assert(&recorder.span(&format!("nack {}", shop.orders)));
}

/// Whether the handler failed and whether the message was acknowledged are two facts.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_settled_for_the_user() {
    let recorder = Recorder::new();
    let shop = Shop::open(&recorder.telemetry()).await;
    shop.publish_order().await;
    let order = next(&mut shop.consumer().await).await;

    order.process(async |_| ()).await;
    assert!(order.usable(), "not after success");
    let failed = order.process(async |_| Err::<(), _>("no stock")).await;
    assert_eq!(failed, Err("no stock"));
    assert!(order.usable(), "and not after a failure");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_ack_settles_all_deliveries_before_it() {
    let recorder = Recorder::new();
    let shop = Shop::open(&recorder.telemetry()).await;
    // Never more unacknowledged deliveries than these.
    let few = shop.channel().basic_qos(3, BasicQosOptions::default());
    few.await.expect("an answer");
    let mut consumer = shop.consumer().await;
    for _ in 0..6 {
        shop.publish_order().await;
    }
    next(&mut consumer).await;
    next(&mut consumer).await;
    let last = next(&mut consumer).await;
    let creation = last.creation_context().span().span_context().clone();

    let acked = last.ack(BasicAckOptions { multiple: true }).await;

    assert!(acked.expect("an answer"));
    for _ in 0..3 {
        next(&mut consumer).await;
    }
    settle_span("ack", &last)
        .link(&creation)
        .assert(&recorder.span(&format!("ack {}", shop.orders)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_is_asked_for_is_like_one_that_is_delivered() {
    let recorder = Recorder::new();
    let rule = Rule::of("*").receive_spans(true).lag(true);
    let telemetry = recorder.telemetry().policy(Policy::new().rule(rule));
    let shop = Shop::open(&telemetry).await;
    let getter = Consumer::wrap(&telemetry, &shop.known, shop.channel().clone());
    let nothing = getter
        .basic_get(shop.orders.clone(), BasicGetOptions::default())
        .await;
    assert!(nothing.expect("an answer").is_none());
    shop.publish_order().await;
    shop.publish_order().await;

    let got = getter
        .basic_get(shop.orders.clone(), BasicGetOptions::default())
        .await;
    let order = got.expect("an answer").expect("a message");
    order
        .process(async |order| assert_eq!(order.data, b"two books"))
        .await;
    let acked = order.ack(BasicAckOptions::default()).await;

    assert!(acked.expect("an answer"));
    let creation = order.creation_context().span().span_context().clone();
    let process = recorder.span(&format!("process {}", shop.orders));
    process_span(&order)
        .child_of(&creation)
        .link(&creation)
        .assert(&process);
    settle_span("ack", &order)
        .child_of(&process.span_context)
        .link(&creation)
        .assert(&recorder.span(&format!("ack {}", shop.orders)));
    let name = format!("get {}", shop.orders);
    client_attributes(whole::span(name.clone(), SpanKind::Client))
        .attribute("messaging.operation.name", "get")
        .attribute("messaging.operation.type", "receive")
        .attribute("messaging.destination.name", shop.orders.to_string())
        .attribute("rabbitmq.destination.routing_key", shop.orders.to_string())
        .attribute(DELIVERY_TAG, delivery_tag(&order))
        .link(&creation)
        .assert(&recorder.span(&name));
    let lag = recorder.gauge("otel_messaging.consumer.lag");
    assert_eq!(
        lag.iter().map(|(_, behind)| *behind).collect::<Vec<_>>(),
        [1]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wait_for_a_delivery_is_a_span_where_the_policy_wants_it() {
    let recorder = Recorder::new();
    let policy = Policy::new().rule(Rule::of("*").receive_spans(true));
    let shop = Shop::open(&recorder.telemetry().policy(policy)).await;
    shop.publish_order().await;

    let order = next(&mut shop.consumer().await).await;

    let creation = order.creation_context().span().span_context().clone();
    let name = format!("consume {}", shop.orders);
    client_attributes(whole::span(name.clone(), SpanKind::Client))
        .attribute("messaging.operation.name", "consume")
        .attribute("messaging.operation.type", "receive")
        .attribute("messaging.destination.name", shop.orders.to_string())
        .attribute("rabbitmq.destination.routing_key", shop.orders.to_string())
        .attribute(DELIVERY_TAG, delivery_tag(&order))
        .link(&creation)
        .assert(&recorder.span(&name));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delegate_works_in_the_process_span_and_its_outcome_ends_it() {
    let recorder = Recorder::new();
    let shop = Shop::open(&recorder.telemetry()).await;
    let consumer = Consumer::wrap(&recorder.telemetry(), &shop.known, shop.channel().clone())
        .basic_consume(
            shop.orders.clone(),
            "".into(),
            BasicConsumeOptions::default(),
            FieldTable::default(),
        )
        .await
        .expect("a consumer");
    let (seen, mut done) = mpsc::unbounded();
    consumer.set_delegate(move |delivery: DeliveryResult| {
        let seen = seen.clone();
        async move {
            let Some(order) = delivery.map_err(|error| error.to_string())? else {
                return Ok(());
            };
            tokio::task::yield_now().await;
            let acked = order.ack(BasicAckOptions::default()).await;
            assert!(acked.expect("an answer"));
            let creation = order.creation_context().span().span_context().clone();
            seen.unbounded_send((order.into_inner(), creation))
                .expect("the test waits");
            Err("no stock".to_owned())
        }
    });

    shop.publish_order().await;
    let seen = tokio::time::timeout(PATIENCE, done.next()).await;
    let (delivery, creation) = seen.expect("a delivery in time").expect("a delivery");
    let process = ended(&recorder, &format!("process {}", shop.orders)).await;

    process_span(&delivery)
        .child_of(&creation)
        .link(&creation)
        .error("_OTHER")
        .event("exception")
        .assert(&process);
    settle_span("ack", &delivery)
        .child_of(&process.span_context)
        .link(&creation)
        .assert(&recorder.span(&format!("ack {}", shop.orders)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_that_the_server_named_is_marked_and_kept_out_of_names() {
    let recorder = Recorder::new();
    let shop = Shop::open(&recorder.telemetry()).await;
    let channel = shop.channel();
    let options = QueueDeclareOptions {
        exclusive: true,
        ..QueueDeclareOptions::default()
    };
    let queue = channel
        .queue_declare("".into(), options, FieldTable::default())
        .await;
    let queue = queue.expect("a queue").name().clone();
    let mut consumer = shop.consumer_of(&queue).await;

    shop.publish(&queue, BasicProperties::default()).await;
    let reply = next(&mut consumer).await;
    reply.process(async |_| ()).await;

    let creation = reply.creation_context().span().span_context().clone();
    let marked = |name: &str, kind| {
        client_attributes(whole::span(name, kind))
            .attribute("messaging.destination.name", queue.to_string())
            .attribute("messaging.destination.template", "amq.gen")
            .attribute("messaging.destination.temporary", true)
            .attribute("messaging.destination.anonymous", true)
            .attribute("rabbitmq.destination.routing_key", queue.to_string())
    };
    marked("publish amq.gen", SpanKind::Producer)
        .attribute("messaging.operation.name", "publish")
        .attribute("messaging.operation.type", "send")
        .assert(&recorder.span("publish amq.gen"));
    marked("process amq.gen", SpanKind::Consumer)
        .attribute("messaging.operation.name", "process")
        .attribute("messaging.operation.type", "process")
        .attribute(DELIVERY_TAG, delivery_tag(&reply))
        .child_of(&creation)
        .link(&creation)
        .assert(&recorder.span("process amq.gen"));
    for metric in [
        "messaging.client.sent.messages",
        "messaging.client.consumed.messages",
    ] {
        for (attributes, _) in recorder.counter(metric) {
            let named = attributes
                .iter()
                .find(|one| one.key.as_str() == "messaging.destination.name");
            assert_eq!(named, None, "{metric}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_that_the_user_calls_temporary_is_marked_and_kept_out_of_names() {
    let recorder = Recorder::new();
    let shop = Shop::open(&recorder.telemetry()).await;
    let mut consumer = shop.consumer().await.temporary_queue();
    shop.publish_order().await;

    let order = next(&mut consumer).await;
    order.process(async |_| ()).await;

    let creation = order.creation_context().span().span_context().clone();
    client_attributes(whole::span("process", SpanKind::Consumer))
        .attribute("messaging.operation.name", "process")
        .attribute("messaging.operation.type", "process")
        .attribute("messaging.destination.name", shop.orders.to_string())
        .attribute("messaging.destination.temporary", true)
        .attribute("rabbitmq.destination.routing_key", shop.orders.to_string())
        .attribute(DELIVERY_TAG, delivery_tag(&order))
        .child_of(&creation)
        .link(&creation)
        .assert(&recorder.span("process"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_ends_where_the_clients_own_does() {
    let recorder = Recorder::new();
    let shop = Shop::open(&recorder.telemetry()).await;
    let mut consumer = shop.consumer().await;

    let deleted = shop
        .channel()
        .queue_delete(shop.orders.clone(), QueueDeleteOptions::default());
    deleted.await.expect("an answer");

    let end = tokio::time::timeout(PATIENCE, consumer.next()).await;
    assert!(end.expect("an end in time").is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrapper_is_shown_in_a_line_that_tells_it_from_others() {
    let shop = Shop::open(&Recorder::new().telemetry()).await;
    let known = ConnectionInfo::new()
        .uri("amqp://guest:secret@rabbit.example:5673/shop")
        .client_id("billing-7");
    let telemetry = Recorder::new().telemetry();
    let producer = Producer::wrap(&telemetry, &known, shop.channel().clone());
    let channel = Consumer::wrap(&telemetry, &known, shop.channel().clone());
    let consumer = Consumer::wrap(&telemetry, &known, shop.consumer().await.inner().clone());

    let of_client = r#"system: "rabbitmq", client_id: "billing-7", server: rabbit.example:5673"#;
    assert_eq!(
        format!("{known:?}"),
        format!("ConnectionInfo {{ {of_client} }}")
    );
    let number = shop.channel().id();
    assert_eq!(
        format!("{producer:?}"),
        format!("Producer {{ {of_client}, channel: {number}, .. }}")
    );
    assert_eq!(
        format!("{channel:?}"),
        format!("Consumer {{ {of_client}, .. }}")
    );
    let queue = shop.orders.as_str();
    assert_eq!(
        format!("{consumer:?}"),
        format!("Consumer {{ {of_client}, queue: {queue:?}, .. }}")
    );
}
