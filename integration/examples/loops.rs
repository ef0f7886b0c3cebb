//! The loops of the examples, with brokers and handlers that fail.

use std::cell::RefCell;
use std::time::Duration;

use anyhow::{Result, bail};
use async_nats::jetstream::consumer::pull;
use async_nats::{Message, jetstream};
use examples::stop::Stop;
use integration::{amqp, kafka, nats, unique};
use lapin::BasicProperties;
use lapin::message::Delivery;
use lapin::options::QueueDeclareOptions;
use lapin::types::{AMQPValue, FieldTable, LongString, ShortString};
use opentelemetry::trace::Status;
use otel_messaging::testing::Recorder;
use rdkafka::TopicPartitionList;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{Consumer as _, StreamConsumer};
use rdkafka::message::{BorrowedMessage, Message as _};
use rdkafka::producer::FutureRecord;
use tokio::time::{sleep, timeout};

/// Longer than a loop takes to find out that there is nothing.
const A_WHILE: Duration = Duration::from_millis(1500);

/// Notes what is tried, fails for what is bad, and ends the loop after what is last.
struct Handler {
    stop: Stop,
    tried: RefCell<Vec<String>>,
}

impl Handler {
    async fn new() -> Self {
        Self {
            stop: Stop::on_ctrl_c().await,
            tried: RefCell::default(),
        }
    }

    fn handle(&self, order: &[u8]) -> Result<()> {
        let order = String::from_utf8(order.to_vec())?;
        self.tried.borrow_mut().push(order.clone());
        match order.as_str() {
            "bad" => bail!("no such book"),
            "last" => self.stop.ask(),
            _ => {}
        }
        Ok(())
    }

    fn tried(&self) -> Vec<String> {
        self.tried.borrow().clone()
    }
}

/// Asserts how often what was sent first was tried in vain, and the span by which it was sent on; all in its trace.
fn assert_tried(
    recorder: &Recorder,
    sent: &str,
    process: &str,
    attempts: usize,
    sent_on: Option<&str>,
) {
    let spans = recorder.spans();
    let first = spans.iter().find(|span| span.name == sent);
    let trace = first.expect("a sent message").span_context.trace_id();
    let in_trace = spans
        .iter()
        .filter(|span| span.span_context.trace_id() == trace);
    let tried = in_trace.clone().filter(|span| span.name == process);
    let failed = tried.filter(|span| matches!(span.status, Status::Error { .. }));
    assert_eq!(failed.count(), attempts, "{spans:#?}");
    let on = in_trace.filter(|span| sent_on == Some(span.name.as_ref()));
    assert_eq!(on.count(), sent_on.iter().count(), "{spans:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn that_of_kafka_waits_for_its_topic_tries_again_sends_on_and_commits() {
    let recorder = Recorder::new();
    let telemetry = recorder.telemetry();
    let (orders, group) = (unique("orders"), unique("group"));
    let dead_letters = kafka::topic("dead-letters").await;
    let config = || {
        let mut config = kafka::config();
        config.set("group.id", &group);
        config.set("topic.metadata.refresh.interval.ms", "500");
        config
    };
    let consumer: StreamConsumer = config().create().expect("a consumer");
    let consumer = otel_messaging::kafka::Consumer::wrap(&telemetry, consumer);
    consumer.subscribe(&[&orders]).expect("a subscription");
    let producer = kafka::producer(&telemetry);
    let handler = Handler::new().await;

    let handle = async |order: &BorrowedMessage<'_>| handler.handle(order.payload().unwrap_or(b""));
    let stop = handler.stop.asked();
    let consume = examples::kafka::consume(&consumer, &producer, &dead_letters, stop, handle);
    let send = async {
        sleep(A_WHILE).await;
        let admin: AdminClient<DefaultClientContext> = kafka::config().create().expect("a client");
        let topic = NewTopic::new(&orders, 1, TopicReplication::Fixed(1));
        let options = AdminOptions::new().operation_timeout(Some(kafka::PATIENCE));
        let made = admin.create_topics([&topic], &options).await;
        assert_eq!(made.expect("an answer"), [Ok(orders.clone())]);
        for order in ["bad", "last"] {
            let record = FutureRecord::to(&orders).key("7").payload(order);
            let sent = producer.send(record, kafka::PATIENCE).await;
            sent.expect("a delivery");
        }
    };
    let both = Box::pin(async { tokio::join!(consume, send) });
    let (consumed, ()) = timeout(kafka::PATIENCE, both).await.expect("an end");

    consumed.expect("no fatal error");
    assert_eq!(handler.tried(), ["bad", "bad", "bad", "last"]);
    let dead = kafka::read(&dead_letters, 1).await;
    let dead: Vec<_> = dead
        .iter()
        .map(|dead| (dead.key(), dead.payload()))
        .collect();
    assert_eq!(dead, [(Some(&b"7"[..]), Some(&b"bad"[..]))]);
    let (sent, process) = (format!("send {orders}"), format!("process {orders}"));
    let sent_on = format!("send {dead_letters}");
    assert_tried(&recorder, &sent, &process, 3, Some(&sent_on));
    drop(consumer);
    assert_eq!(
        committed(&config().create().expect("a consumer"), &orders).await,
        2
    );
}

/// What a group has committed of the only partition; it was asked to, but not waited for.
async fn committed(consumer: &StreamConsumer, topic: &str) -> i64 {
    let mut partition = TopicPartitionList::new();
    partition.add_partition(topic, 0);
    let mut committed = -1;
    for _ in 0..50 {
        let offsets = consumer.committed_offsets(partition.clone(), kafka::PATIENCE);
        let offsets = offsets
            .expect("an answer")
            .find_partition(topic, 0)
            .map(|one| one.offset());
        committed = offsets.and_then(|offset| offset.to_raw()).unwrap_or(-1);
        if committed >= 0 {
            break;
        }
        sleep(Duration::from_millis(100)).await;
    }
    committed
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn that_of_rabbitmq_waits_for_its_queue_tries_again_and_goes_on_over_another_connection() {
    let recorder = Recorder::new();
    let telemetry = recorder.telemetry();
    let cable = amqp::Cable::lay().await;
    let channel = amqp::channel().await;
    let known = amqp::known(&amqp::connection().await);
    let producer = otel_messaging::amqp::Producer::wrap(&telemetry, known, channel.clone());
    let dead_letters = amqp::queue(&channel, "dead-letters").await;
    let mut dead = amqp::consume(&channel, &dead_letters).await;
    let orders = ShortString::from(unique("orders"));
    let handler = Handler::new().await;
    let publish = async |order: &str| {
        let published = producer.basic_publish(
            "".into(),
            orders.clone(),
            lapin::options::BasicPublishOptions::default(),
            order.as_bytes(),
            BasicProperties::default(),
        );
        published
            .await
            .expect("a publish")
            .await
            .expect("a confirm");
    };

    let handle =
        async |order: &Delivery, _: &otel_messaging::amqp::Producer| handler.handle(&order.data);
    let url = cable.url();
    let (queue, stop) = (orders.as_str(), handler.stop.asked());
    let consume = examples::amqp::consume(&telemetry, &url, "billing", queue, stop, handle);
    let send = async {
        sleep(A_WHILE).await;
        let mut arguments = FieldTable::default();
        for (name, value) in [
            ("x-dead-letter-exchange", ""),
            ("x-dead-letter-routing-key", dead_letters.as_str()),
        ] {
            arguments.insert(name.into(), AMQPValue::LongString(LongString::from(value)));
        }
        arguments.insert("x-expires".into(), AMQPValue::LongInt(300_000));
        let options = QueueDeclareOptions::durable();
        let declared = channel.queue_declare(orders.clone(), options, arguments);
        declared.await.expect("a queue");
        publish("bad").await;
        let dead = amqp::next(&mut dead).await;
        cable.cut().await;
        publish("last").await;
        dead
    };
    let both = Box::pin(async { tokio::join!(consume, send) });
    let ((), dead) = timeout(amqp::PATIENCE, both).await.expect("an end");

    assert_eq!(handler.tried(), ["bad", "bad", "last"]);
    assert_eq!(dead.data, b"bad");
    let (sent, process) = (format!("publish {orders}"), format!("process {orders}"));
    // It is the broker that sends it on.
    assert_tried(&recorder, &sent, &process, 2, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn that_of_rabbitmq_ends_where_its_connection_is_lost_when_it_is_to_stop() {
    let telemetry = Recorder::new().telemetry();
    let cable = amqp::Cable::lay().await;
    let channel = amqp::channel().await;
    let orders = amqp::queue(&channel, "orders").await;
    amqp::publish(&channel, &orders, BasicProperties::default()).await;
    let handled = Stop::default();

    let handle = async |_: &Delivery, _: &otel_messaging::amqp::Producer| {
        handled.ask();
        anyhow::Ok(())
    };
    let stop = async {
        handled.asked().await;
        cable.cut().await;
    };
    let url = cable.url();
    let consume =
        examples::amqp::consume(&telemetry, &url, "billing", orders.as_str(), stop, handle);
    timeout(amqp::PATIENCE, consume).await.expect("an end");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn that_of_rabbitmq_leaves_in_the_queue_what_it_does_not_try_yet() {
    let telemetry = Recorder::new().telemetry();
    let channel = amqp::channel().await;
    let orders = amqp::queue(&channel, "orders").await;
    for _ in 0..3 {
        amqp::publish(&channel, &orders, BasicProperties::default()).await;
    }
    let (left, stop) = (RefCell::new(Vec::new()), Stop::default());

    let handle = async |_: &Delivery, _: &otel_messaging::amqp::Producer| {
        let options = QueueDeclareOptions::default().passive();
        let queue = channel.queue_declare(orders.clone(), options, FieldTable::default());
        let ready = queue.await?.message_count();
        left.borrow_mut().push(ready);
        if ready == 0 {
            stop.ask();
        }
        anyhow::Ok(())
    };
    let (url, queue) = (amqp::url(), orders.as_str());
    let consume = examples::amqp::consume(&telemetry, &url, "billing", queue, stop.asked(), handle);
    timeout(amqp::PATIENCE, consume).await.expect("an end");

    assert_eq!(*left.borrow(), [2, 1, 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn that_of_jetstream_waits_for_its_stream_tries_again_and_sends_on() {
    let recorder = Recorder::new();
    let telemetry = recorder.telemetry();
    let context = jetstream::new(nats::client().await);
    let producer = otel_messaging::nats::jetstream::Producer::wrap(&telemetry, context.clone());
    let (name, orders, dead_letters) = (unique("ORDERS"), unique("orders"), unique("dead-letters"));
    let handler = Handler::new().await;

    let handle = async |order: &jetstream::Message| handler.handle(&order.payload);
    let look_up = async || {
        let config = pull::Config {
            durable_name: Some("billing".to_owned()),
            filter_subject: orders.clone(),
            ..pull::Config::default()
        };
        let consumer = context.create_consumer_on_stream(config, &name).await?;
        Ok(otel_messaging::nats::jetstream::Consumer::wrap(
            &telemetry, consumer,
        ))
    };
    let stop = handler.stop.asked();
    let consume =
        examples::nats::jetstream::consume(look_up, &producer, &dead_letters, stop, handle);
    let send = async {
        sleep(A_WHILE).await;
        let config = jetstream::stream::Config {
            name: name.clone(),
            subjects: vec![orders.clone(), dead_letters.clone()],
            ..jetstream::stream::Config::default()
        };
        let stream = nats::stream_of(&context, config).await;
        let bad = jetstream::message::PublishMessage::build()
            .payload("bad".into())
            .message_id("7");
        let published = producer.send_publish(orders.clone(), bad).await;
        published
            .expect("a publish")
            .await
            .expect("an acknowledgement");
        // It is delivered after the pauses of the first.
        sleep(A_WHILE).await;
        let published = producer.publish(orders.clone(), "last".into()).await;
        published
            .expect("a publish")
            .await
            .expect("an acknowledgement");
        stream
    };
    let both = Box::pin(async { tokio::join!(consume, send) });
    let ((), stream) = timeout(nats::PATIENCE, both).await.expect("an end");

    assert_eq!(handler.tried(), ["bad", "bad", "bad", "last"]);
    let dead = stream.get_last_raw_message_by_subject(&dead_letters).await;
    assert_eq!(dead.expect("a dead letter").payload, "bad");
    let (sent, process) = (format!("publish {orders}"), format!("process {orders}"));
    let sent_on = format!("publish {dead_letters}");
    assert_tried(&recorder, &sent, &process, 3, Some(&sent_on));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn that_of_jetstream_leaves_in_the_stream_what_it_does_not_try_yet() {
    let telemetry = Recorder::new().telemetry();
    let context = jetstream::new(nats::client().await);
    let producer = otel_messaging::nats::jetstream::Producer::wrap(&telemetry, context.clone());
    let (name, orders) = (unique("ORDERS"), unique("orders"));
    let config = jetstream::stream::Config {
        name: name.clone(),
        subjects: vec![orders.clone()],
        ..jetstream::stream::Config::default()
    };
    let stream = nats::stream_of(&context, config).await;
    for _ in 0..3 {
        let published = context.publish(orders.clone(), "two books".into()).await;
        let stored = published.expect("a publish").await;
        stored.expect("an acknowledgement");
    }
    let (pending, stop) = (RefCell::new(Vec::new()), Stop::default());

    let handle = async |order: &jetstream::Message| {
        let info = stream.consumer_info("billing").await?;
        pending.borrow_mut().push(info.num_ack_pending);
        if order.info().is_ok_and(|info| info.stream_sequence == 3) {
            stop.ask();
        }
        anyhow::Ok(())
    };
    let look_up = async || {
        let config = pull::Config {
            durable_name: Some("billing".to_owned()),
            ..pull::Config::default()
        };
        let consumer = context.create_consumer_on_stream(config, &name).await?;
        Ok(otel_messaging::nats::jetstream::Consumer::wrap(
            &telemetry, consumer,
        ))
    };
    let consume =
        examples::nats::jetstream::consume(look_up, &producer, "none", stop.asked(), handle);
    timeout(nats::PATIENCE, consume).await.expect("an end");

    assert_eq!(*pending.borrow(), [1, 1, 1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn that_of_core_nats_goes_on_after_a_failed_handler_and_ends_with_what_it_has() {
    let recorder = Recorder::new();
    let client = nats::client().await;
    let consumer = otel_messaging::nats::Consumer::wrap(&recorder.telemetry(), client.clone());
    let orders = unique("orders");
    let messages = consumer
        .subscribe(orders.clone())
        .await
        .expect("a subscription");
    nats::subscribed(&client).await;
    let handler = Handler::new().await;

    let handle = async |order: &Message| handler.handle(&order.payload);
    for order in ["bad", "last", "had before the stop"] {
        let published = client.publish(orders.clone(), order.into()).await;
        published.expect("a publish");
    }
    nats::subscribed(&client).await;
    let consume = examples::nats::consume(messages, handler.stop.asked(), handle);
    timeout(nats::PATIENCE, consume).await.expect("an end");

    assert_eq!(handler.tried(), ["bad", "last", "had before the stop"]);
}
