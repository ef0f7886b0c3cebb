//! Ways to receive messages and to pass them on, and what else the wrappers leave to the client.
#![expect(clippy::expect_used, reason = "a test panics where it fails")]

use std::sync::Arc;

use futures::{StreamExt as _, TryStreamExt as _};
use integration::kafka::{
    PATIENCE, config, consumer_in, next, process_span, send_span, topic, wire_headers,
};
use integration::unique;
use opentelemetry::Context;
use opentelemetry::baggage::BaggageExt as _;
use opentelemetry::trace::{SpanContext, TraceContextExt as _};
use otel_messaging::kafka;
use otel_messaging::testing::Recorder;
use rdkafka::client::ClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext, StreamConsumer};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::Message as _;
use rdkafka::producer::{FutureProducer, Producer as _};
use rdkafka::{Offset, Statistics, TopicPartitionList};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::wire::{FRESH, STALE, STRAY, named, order, receipt, send_raw, texts, traceparent};

/// Traces of three messages.
const TRACES: [&str; 3] = [FRESH, STALE, STRAY];

async fn send_traces(topic: &str) {
    for traceparent in TRACES {
        let headers = [("traceparent", traceparent), ("baggage", "tenant=7")];
        send_raw(topic, &texts(&headers)).await;
    }
}

/// Asserts one process span for each of `TRACES`, in that order of offsets.
fn assert_processed(recorder: &Recorder, messages: &[impl rdkafka::Message], group: &str) {
    let mut spans = recorder.spans();
    let place = |context: &SpanContext| {
        let trace = context.trace_id();
        TRACES.iter().position(|one| named(one).trace_id() == trace)
    };
    spans.sort_by_key(|span| place(&span.span_context));
    assert_eq!((spans.len(), messages.len()), (TRACES.len(), TRACES.len()));
    for ((span, message), creation) in spans.iter().zip(messages).zip(TRACES) {
        process_span(message, group)
            .child_of(&named(creation))
            .link(&named(creation))
            .assert(span);
    }
}

/// A user's own context.
struct Shop {
    commits: mpsc::UnboundedSender<(KafkaResult<()>, Offset)>,
    statistics: mpsc::UnboundedSender<Statistics>,
}

impl ClientContext for Shop {
    fn stats(&self, statistics: Statistics) {
        // Nobody listens any more when the client stops.
        let _ = self.statistics.send(statistics);
    }
}

impl ConsumerContext for Shop {
    fn commit_callback(&self, result: KafkaResult<()>, offsets: &TopicPartitionList) {
        // Not the list itself: a client does not stop as long as there is a copy of it.
        let elements = offsets.elements();
        let offset = elements
            .first()
            .map_or(Offset::Invalid, |first| first.offset());
        let _ = self.commits.send((result, offset));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_context_of_the_user_stays_and_hears_what_it_heard() {
    let recorder = Recorder::new();
    let (orders, group) = (topic("orders").await, unique("group"));
    let (commits, mut heard_commits) = mpsc::unbounded_channel();
    let (statistics, mut heard_statistics) = mpsc::unbounded_channel();
    let shop = || Shop {
        commits: commits.clone(),
        statistics: statistics.clone(),
    };
    let mut config = config();
    config.set("group.id", &group);
    // rdkafka 0.39 calls back for automatic commits alone.
    config.set("enable.auto.commit", "true");
    config.set("auto.commit.interval.ms", "50");
    let consumer: StreamConsumer<Shop> = config.create_with_context(shop()).expect("a consumer");
    let consumer = kafka::Consumer::wrap(&recorder.telemetry(), consumer);
    config.set("statistics.interval.ms", "10");
    let producer: FutureProducer<Shop> = config.create_with_context(shop()).expect("a producer");
    let producer = kafka::Producer::wrap(&recorder.telemetry(), producer);

    consumer.subscribe(&[&orders]).expect("a subscription");
    let record = order(&orders, &[]);
    let delivery = receipt(producer.send(record, PATIENCE).await);
    let received = next(&consumer).await;
    received.process(async |_| ()).await;
    // Whoever polls makes the callback.
    let heard = async {
        tokio::select! {
            heard = heard_commits.recv() => heard.expect("a callback"),
            _ = consumer.recv() => unreachable!("there is one message alone"),
        }
    };
    let committed = tokio::time::timeout(PATIENCE, heard)
        .await
        .expect("a callback in time");

    assert_eq!(committed, (Ok(()), Offset::Offset(1)));
    let statistics = heard_statistics.recv().await.expect("statistics");
    assert_eq!(statistics.client_type, "producer");
    let context: &Arc<Shop> = consumer.context();
    assert!(context.commits.same_channel(&commits));
    let send = recorder.span(&format!("send {orders}"));
    send_span(&orders, "order-7", &delivery).assert(&send);
    process_span(&received, &group)
        .child_of(&send.span_context)
        .link(&send.span_context)
        .assert(&recorder.span(&format!("process {orders}")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_methods_of_the_clients_traits_work_on_the_wrappers() {
    let recorder = Recorder::new();
    let (orders, group) = (topic("orders").await, unique("group"));
    send_traces(&orders).await;
    let consumer = consumer_in(&group, &recorder.telemetry(), &orders);
    let producer: FutureProducer = config().create().expect("a producer");
    let producer = kafka::Producer::wrap(&recorder.telemetry(), producer).clone();

    let first = next(&consumer).await;
    consumer.store_offset_from_message(&first).expect("a place");
    let assigned = consumer.assignment().expect("an assignment");
    assert_eq!(assigned.elements_for_topic(&orders).len(), 1);
    let subscription = consumer.subscription().expect("a subscription");
    assert_eq!(subscription.elements_for_topic(&orders).len(), 1);
    let positions = consumer.position().expect("positions");
    let position = positions.find_partition(&orders, 0).expect("the partition");
    assert_eq!(position.offset(), Offset::Offset(1));
    consumer.pause(&assigned).expect("a pause");
    consumer.resume(&assigned).expect("an end of the pause");
    consumer
        .seek(&orders, 0, Offset::Offset(2), PATIENCE)
        .expect("a message to go to");
    assert_eq!(next(&consumer.clone()).await.offset(), 2);
    assert!(!consumer.assignment_lost());
    assert!(consumer.group_metadata().is_some());
    let metadata = consumer
        .fetch_metadata(Some(&orders), PATIENCE)
        .expect("metadata");
    let topics = metadata.topics().iter().map(|topic| topic.name());
    assert_eq!(topics.collect::<Vec<_>>(), [&orders]);
    let watermarks = consumer.fetch_watermarks(&orders, 0, PATIENCE);
    assert_eq!(watermarks, Ok((0, 3)));
    assert_eq!(producer.in_flight_count(), 0);
    producer.flush(PATIENCE).expect("an empty queue");
    consumer.unsubscribe();

    assert_eq!(recorder.spans().len(), 0, "none of them makes a span");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_detached_message_is_processed_by_another_task_in_its_own_trace() {
    let recorder = Recorder::new();
    let (orders, group) = (topic("orders").await, unique("group"));
    send_traces(&orders).await;
    let consumer = consumer_in(&group, &recorder.telemetry(), &orders);

    let mut tasks = JoinSet::new();
    let mut messages = Vec::new();
    for _ in TRACES {
        let order = next(&consumer).await.detach();
        messages.push(order.clone());
        tasks.spawn(async move {
            let seen = order.process(async |order| {
                tokio::task::yield_now().await;
                let tenant =
                    Context::map_current(|context| context.baggage().get("tenant").cloned());
                Ok::<_, KafkaError>((order.offset(), tenant))
            });
            seen.await
        });
    }
    let mut seen = tasks.join_all().await;

    seen.sort_by_key(|seen| seen.as_ref().map(|(offset, _)| *offset).ok());
    let seen_expected = [0, 1, 2].map(|offset| Ok((offset, Some("7".into()))));
    assert_eq!(seen, seen_expected);
    assert_processed(&recorder, &messages, &group);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_received_message_can_be_cloned_read_and_taken_out() {
    let recorder = Recorder::new();
    let orders = topic("orders").await;
    send_raw(&orders, &texts(&[("traceparent", FRESH)])).await;
    let consumer = consumer_in(&unique("group"), &recorder.telemetry(), &orders);

    let borrowed = next(&consumer).await;
    let detached = borrowed.detach();
    let copies = [detached.clone(), detached];
    for copy in &copies {
        let context = copy.creation_context().span().span_context().clone();
        assert_eq!(traceparent(&context), FRESH);
        assert_eq!(copy.payload(), borrowed.payload());
        assert_eq!(copy.timestamp(), borrowed.timestamp());
    }
    let [owned, _] = copies.map(otel_messaging::Received::into_inner);
    let bare = borrowed.into_inner();

    assert_eq!(wire_headers(&owned), texts(&[("traceparent", FRESH)]));
    assert_eq!(wire_headers(&owned), wire_headers(&bare));
    assert_eq!(recorder.spans().len(), 0, "nothing was processed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_gives_each_message_in_its_own_trace() {
    let recorder = Recorder::new();
    let (orders, group) = (topic("orders").await, unique("group"));
    send_traces(&orders).await;
    let consumer = consumer_in(&group, &recorder.telemetry(), &orders);

    let mut messages = Vec::new();
    let mut stream = consumer.stream().take(TRACES.len());
    while let Some(order) = stream.next().await {
        let order = order.expect("a message");
        order.process(async |_| ()).await;
        messages.push(order.detach());
    }

    assert_processed(&recorder, &messages, &group);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_is_processed_concurrently_in_a_task() {
    let recorder = Recorder::new();
    let (orders, group) = (topic("orders").await, unique("group"));
    send_traces(&orders).await;
    let consumer = consumer_in(&group, &recorder.telemetry(), &orders);
    let (processed, mut messages) = mpsc::unbounded_channel();
    // None ends before all have begun.
    let together = Arc::new(tokio::sync::Barrier::new(TRACES.len()));

    let run = tokio::spawn(async move {
        let (processed, together) = (&processed, &together);
        let orders = consumer.stream().take(TRACES.len());
        orders
            .try_for_each_concurrent(None, async |order| {
                order
                    .process(async |order| {
                        together.wait().await;
                        let _ = processed.send(order.detach());
                        Ok(())
                    })
                    .await
            })
            .await
    });
    let outcome = tokio::time::timeout(PATIENCE, run).await;

    assert_eq!(outcome.expect("all at once").expect("no panic"), Ok(()));
    let mut seen = Vec::new();
    messages.recv_many(&mut seen, TRACES.len()).await;
    seen.sort_by_key(|message| message.offset());
    assert_processed(&recorder, &seen, &group);
}

#[test]
fn a_wrapper_is_shown_in_a_line_that_tells_it_from_others() {
    let mut config = config();
    config
        .set("bootstrap.servers", "kafka.example:9092")
        .set("client.id", "billing-7")
        .set("group.id", "billing");
    let telemetry = Recorder::new().telemetry();
    let producer: FutureProducer = config.create().expect("a producer");
    let producer = kafka::Producer::wrap(&telemetry, producer);
    let consumer: BaseConsumer = config.create().expect("a consumer");
    let consumer = kafka::Consumer::wrap(&telemetry, consumer);
    let queue = consumer
        .split_partition_queue("orders", 1)
        .expect("a queue");

    let of_client = r#"system: "kafka", client_id: "billing-7", consumer_group: "billing", server: kafka.example:9092"#;
    assert_eq!(
        format!("{producer:?}"),
        format!("Producer {{ {of_client}, .. }}")
    );
    assert_eq!(
        format!("{consumer:?}"),
        format!("Consumer {{ {of_client}, .. }}")
    );
    let of_queue = format!(r#"{of_client}, topic: "orders", partition: 1"#);
    assert_eq!(
        format!("{queue:?}"),
        format!("PartitionQueue {{ {of_queue}, .. }}")
    );
}
