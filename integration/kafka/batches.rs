//! Messages that are received in batches.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test panics where it fails"
)]

use std::time::{Duration, Instant, SystemTime};

use integration::kafka::{
    PATIENCE, config, consumer_in, in_common, measured, polled_batch, process_span,
    processed_batch, topic, topic_of,
};
use integration::metrics::{consumed_messages, of_type, operation_duration};
use integration::unique;
use opentelemetry::Context;
use opentelemetry::context::FutureExt as _;
use opentelemetry::trace::{Status, TraceContextExt as _};
use otel_messaging::kafka;
use otel_messaging::policy::{Policy, Rule};
use otel_messaging::testing::Recorder;
use rdkafka::consumer::{CommitMode, Consumer as _, StreamConsumer};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::Message as _;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::FutureProducer;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use rdkafka::{Offset, TopicPartitionList};

use crate::numbered::{
    PARTITION, assert_links, assigned, creation, in_time, linked, offset, offsets, send,
};
use crate::wire::{order, receipt, within};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_is_full_at_its_number_of_messages_and_has_one_receive_span() {
    let recorder = Recorder::new();
    let (orders, group) = (topic("orders").await, unique("group"));
    send(&[(&orders, 0)], 0..6).await;
    let consumer = assigned(&recorder.telemetry(), &group, &[(&orders, 0)]);
    let started = Instant::now();

    let mut batches = consumer.batches(3, 2 * PATIENCE);
    for numbers in [0..3, 3..6] {
        recorder.clear();
        let before = SystemTime::now();
        let batch = in_time(batches.recv()).await;

        let numbers_of_offsets = numbers.clone().map(|number| number as i64);
        assert_eq!(
            offsets(&batch),
            numbers_of_offsets.clone().collect::<Vec<_>>()
        );
        let spans = recorder.spans();
        let [poll] = &spans[..] else {
            unreachable!("one span, none for each message: {spans:?}")
        };
        linked(polled_batch(Some(&orders), &group, 3), numbers)
            .any("kafka.cluster.id")
            .attribute("kafka.message.key", "order-7")
            .attribute(PARTITION, "0")
            .assert(poll);
        let on_links: Vec<_> = numbers_of_offsets
            .map(|number| vec![offset(number)])
            .collect();
        assert_links(poll, &on_links);
        assert!(before <= poll.start_time && poll.start_time <= poll.end_time);
    }

    assert!(started.elapsed() < 2 * PATIENCE, "no time was waited for");
    let polled = || measured("poll", &orders, Some(&group));
    consumed_messages().of(polled(), 6).assert(&recorder);
    operation_duration()
        .of(of_type(polled(), "receive"), 2)
        .assert(&recorder);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_that_is_not_full_ends_so_much_time_after_its_first_message() {
    const WITHIN: Duration = Duration::from_millis(300);
    let recorder = Recorder::new();
    let (orders, group) = (topic("orders").await, unique("group"));
    let consumer = assigned(&recorder.telemetry(), &group, &[(&orders, 0)]);
    let mut batches = consumer.batches(100, WITHIN);

    // An empty wait, longer than a batch may take, is no part of it and leaves nothing.
    let empty = tokio::time::timeout(2 * WITHIN, batches.recv()).await;
    assert!(empty.is_err(), "a batch is never empty");
    assert_eq!(recorder.spans().len(), 0);
    let waits = SystemTime::now();
    // Polled after the wait has begun.
    let sending = async {
        let sent = (SystemTime::now(), Instant::now());
        send(&[(&orders, 0)], 0..1).await;
        sent
    };
    let (batch, (sent, at)) = futures::join!(in_time(batches.recv()), sending);

    assert_eq!(offsets(&batch), [0]);
    assert!(at.elapsed() >= WITHIN);
    let poll = recorder.span(&format!("poll {orders}"));
    assert!(
        waits <= poll.start_time,
        "the wait that was given up took nothing"
    );
    assert!(
        poll.start_time <= sent,
        "the wait for the first message is a part of it"
    );
    let took = poll
        .end_time
        .duration_since(sent)
        .expect("an end after the first message");
    assert!(took >= WITHIN);
    linked(polled_batch(Some(&orders), &group, 1), 0..1)
        .any("kafka.cluster.id")
        .attribute("kafka.message.key", "order-7")
        .attribute("kafka.offset", 0)
        .attribute(PARTITION, "0")
        .assert(&poll);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_policy_switches_the_receive_spans_of_batches_off() {
    let recorder = Recorder::new();
    let (orders, group) = (topic("orders").await, unique("group"));
    send(&[(&orders, 0)], 0..2).await;
    let policy = Policy::new().rule(Rule::of("orders*").receive_spans(false));
    let telemetry = recorder.telemetry().policy(policy);
    let consumer = assigned(&telemetry, &group, &[(&orders, 0)]);

    let batch = in_time(consumer.batches(2, PATIENCE).recv()).await;

    assert_eq!(recorder.spans().len(), 0);
    assert_eq!(
        recorder.histogram("messaging.client.operation.duration"),
        []
    );
    consumed_messages()
        .of(measured("poll", &orders, Some(&group)), 2)
        .assert(&recorder);
    batch.process(async |_| ()).await;
    in_common(processed_batch(Some(&orders), &group, 2), &batch[0])
        .link(&creation(0))
        .link(&creation(1))
        .assert(&recorder.span(&format!("process {orders}")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn single_messages_have_receive_spans_of_their_own_and_those_of_batches_have_not() {
    let recorder = Recorder::new();
    let (orders, group) = (topic("orders").await, unique("group"));
    send(&[(&orders, 0)], 0..3).await;
    let policy = Policy::new().rule(Rule::of("orders*").receive_spans(true));
    let telemetry = recorder.telemetry().policy(policy);
    let consumer = assigned(&telemetry, &group, &[(&orders, 0)]);

    let _single = in_time(consumer.recv()).await;
    let batch = in_time(consumer.batches(2, PATIENCE).recv()).await;

    assert_eq!(batch.len(), 2);
    let spans = recorder.spans();
    let links: Vec<_> = spans.iter().map(|span| span.links.len()).collect();
    assert_eq!(links, [1, 2]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn waits_that_are_given_up_lose_no_message_and_give_none_twice() {
    const MESSAGES: usize = 2_000;
    let recorder = Recorder::new();
    let (orders, group) = (topic("orders").await, unique("group"));
    let consumer = assigned(&recorder.telemetry(), &group, &[(&orders, 0)]);
    let target = orders.clone();
    let sender = tokio::spawn(async move {
        let producer: FutureProducer = config().create().expect("a producer");
        for _ in 0..MESSAGES {
            receipt(producer.send(order(&target, &[]), PATIENCE).await);
        }
    });
    let mut batches = consumer.batches(7, Duration::from_millis(2));
    let (mut received, mut given_up) = (Vec::new(), 0);
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    let started = Instant::now();

    while received.len() < MESSAGES {
        assert!(
            started.elapsed() < 2 * PATIENCE,
            "only {} came",
            received.len()
        );
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let patience = Duration::from_micros(random % 3_000);
        match tokio::time::timeout(patience, batches.recv()).await {
            Ok(batch) => received.extend(offsets(&batch.expect("a batch"))),
            Err(_) => given_up += 1,
        }
    }

    sender.await.expect("all were sent");
    assert!(given_up > 50, "{given_up} waits were given up");
    assert_eq!(received, (0..MESSAGES as i64).collect::<Vec<_>>());
    consumed_messages()
        .of(measured("poll", &orders, Some(&group)), MESSAGES as u64)
        .assert(&recorder);
    let counts = recorder.spans().into_iter().map(|span| {
        let mut attributes = span.attributes.iter();
        let count = attributes.find(|one| one.key.as_str() == "messaging.batch.message_count");
        match count.expect("a count").value {
            opentelemetry::Value::I64(count) => count as usize,
            _ => unreachable!("a number"),
        }
    });
    assert_eq!(counts.sum::<usize>(), MESSAGES);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_error_ends_the_batch_before_it_and_comes_next() {
    let recorder = Recorder::new();
    let (orders, group) = (topic("orders").await, unique("group"));
    send(&[(&orders, 0)], 0..2).await;
    let client: StreamConsumer = config()
        .set("group.id", &group)
        .set("enable.partition.eof", "true")
        .create()
        .expect("a consumer");
    let consumer = kafka::Consumer::wrap(&recorder.telemetry(), client);
    consumer.subscribe(&[&orders]).expect("a subscription");
    let mut batches = consumer.batches(100, 2 * PATIENCE);

    let batch = in_time(batches.recv()).await;
    let next = tokio::time::timeout(PATIENCE, batches.recv()).await;
    let end = next.expect("an error in time").expect_err("the end");
    send(&[(&orders, 0)], 2..3).await;
    let last = in_time(batches.recv()).await;

    assert_eq!(end, KafkaError::PartitionEOF(0));
    assert_eq!((offsets(&batch), offsets(&last)), (vec![0, 1], vec![2]));
    let links = recorder.spans().into_iter().map(|span| span.links.len());
    assert_eq!(
        links.collect::<Vec<_>>(),
        [2, 1],
        "the end of a partition has no span"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_brokers_error_in_mid_batch_leaves_what_came_before_it() {
    let cluster = MockCluster::new(1).expect("an embedded cluster");
    cluster.create_topic("orders", 1, 1).expect("a topic");
    let mut config = config();
    config.set("bootstrap.servers", cluster.bootstrap_servers());
    let producer: FutureProducer = config.create().expect("a producer");
    for _ in 0..2 {
        receipt(producer.send(order("orders", &[]), PATIENCE).await);
    }
    let recorder = Recorder::new();
    let client: StreamConsumer = config.create().expect("a consumer");
    let consumer = kafka::Consumer::wrap(&recorder.telemetry(), client);
    consumer.subscribe(&["orders"]).expect("a subscription");
    let mut batches = consumer.batches(100, 2 * PATIENCE);

    let refusing = async {
        let position = || {
            let position = consumer.position().expect("a position");
            let orders = position.find_partition("orders", 0);
            orders.map(|orders| orders.offset())
        };
        while position() != Some(Offset::Offset(2)) {
            tokio::task::yield_now().await;
        }
        let denied = RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED;
        cluster.request_errors(RDKafkaApiKey::Fetch, &[denied]);
    };
    let (batch, ()) = futures::join!(in_time(batches.recv()), refusing);
    let next = tokio::time::timeout(PATIENCE, batches.recv()).await;

    assert_eq!(offsets(&batch), [0, 1]);
    let denied = RDKafkaErrorCode::TopicAuthorizationFailed;
    let error = next.expect("an error in time").expect_err("an error");
    assert_eq!(error, KafkaError::MessageConsumption(denied));
    let spans = recorder
        .spans()
        .into_iter()
        .map(|span| (span.links.len(), span.status));
    let failed = Status::error(error.to_string());
    assert_eq!(spans.collect::<Vec<_>>(), [(0, Status::Unset), (0, failed)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_queue_of_a_partition_has_batches_of_its_own() {
    let recorder = Recorder::new();
    let (orders, group) = (topic_of("orders", 2).await, unique("group"));
    let partitions = [(&*orders, 0), (&*orders, 1)];
    send(&partitions, 0..8).await;
    let consumer = assigned(&recorder.telemetry(), &group, &partitions);
    let queue = consumer.split_partition_queue(&orders, 1).expect("a queue");
    let (mut of_queue, mut of_rest) = (queue.batches(4, PATIENCE), consumer.batches(4, PATIENCE));

    let received = async { futures::join!(of_queue.recv(), of_rest.recv()) };
    let received = tokio::time::timeout(PATIENCE, received).await;
    let (of_queue, of_rest) = received.expect("batches in time");

    for (batch, partition) in [(of_queue, 1), (of_rest, 0)] {
        let batch = batch.expect("a batch");
        let partitions = batch.iter().map(|message| message.partition());
        assert_eq!(partitions.collect::<Vec<_>>(), [partition; 4]);
        recorder.clear();
        batch[3].process(async |_| ()).await;
        process_span(&batch[3], &group)
            .child_of(&creation(6 + partition as usize))
            .link(&creation(6 + partition as usize))
            .assert(&recorder.span(&format!("process {orders}")));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn batches_work_in_a_group_and_in_a_task() {
    let recorder = Recorder::new();
    let (orders, group) = (topic("orders").await, unique("group"));
    send(&[(&orders, 0)], 0..4).await;
    let consumer = consumer_in(&group, &recorder.telemetry(), &orders);

    let task = tokio::spawn(async move {
        let mut batches = consumer.batches(4, PATIENCE);
        let batch = in_time(batches.recv()).await;
        let sum = batch
            .process(async |orders| -> KafkaResult<i64> {
                tokio::task::yield_now().await;
                Ok(orders.iter().map(|order| order.offset()).sum())
            })
            .await?;
        let around = Context::new().with_remote_span_context(creation(7));
        within(&around, || {
            consumer.commit(&batch.offsets()?, CommitMode::Sync)
        })?;
        Ok::<_, KafkaError>(sum)
    });

    assert_eq!(task.await.expect("no panic"), Ok(6));
    let names = recorder.spans().into_iter().map(|span| span.name);
    let expected = ["poll", "process", "commit"].map(|name| format!("{name} {orders}"));
    assert_eq!(names.collect::<Vec<_>>(), expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_detached_batch_is_processed_by_another_task_as_the_one_that_was_delivered() {
    let recorder = Recorder::new();
    let (orders, group) = (topic("orders").await, unique("group"));
    send(&[(&orders, 0)], 0..3).await;
    let consumer = assigned(&recorder.telemetry(), &group, &[(&orders, 0)]);
    let upstream = Context::new().with_remote_span_context(creation(7));
    let receiving = async { in_time(consumer.batches(3, 2 * PATIENCE).recv()).await };
    let batch = receiving.with_context(upstream.clone()).await;
    recorder.clear();

    let detached = batch.detach();
    let elements = |offsets: KafkaResult<TopicPartitionList>| {
        let offsets = offsets.expect("offsets");
        offsets.to_topic_map()
    };
    assert_eq!(elements(detached.offsets()), elements(batch.offsets()));
    drop(batch);
    let task = tokio::spawn(async move {
        let processed = detached.process(async |orders| {
            tokio::task::yield_now().await;
            let offsets = orders.iter().map(|order| order.offset());
            Ok::<_, KafkaError>(offsets.collect::<Vec<_>>())
        });
        // What was current at the delivery is not about the batch.
        processed.with_context(upstream).await
    });

    assert_eq!(task.await.expect("no panic"), Ok(vec![0, 1, 2]));
    let spans = recorder.spans();
    let [process] = &spans[..] else {
        unreachable!("one span: {spans:?}")
    };
    linked(processed_batch(Some(&orders), &group, 3), 0..3)
        .link(&creation(7))
        .any("kafka.cluster.id")
        .attribute("kafka.message.key", "order-7")
        .attribute(PARTITION, "0")
        .assert(process);
}
