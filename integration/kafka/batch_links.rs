//! What the messages of a batch have in common, and what each has for itself.
#![expect(clippy::expect_used, reason = "a test panics where it fails")]

use integration::kafka::{
    PATIENCE, commit_span, config, polled_batch, processed_batch, topic, topic_of, wire_headers,
};
use integration::unique;
use opentelemetry::trace::TraceContextExt as _;
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::SpanData;
use otel_messaging::policy::{Policy, Record, Rule};
use otel_messaging::testing::{ExpectedSpan, Recorder};
use rdkafka::Offset;
use rdkafka::consumer::{CommitMode, Consumer as _};
use rdkafka::message::{BorrowedMessage, Message as _};
use rdkafka::producer::FutureProducer;

use crate::numbered::{
    PARTITION, assert_links, assigned, in_time, linked, offset, send, traceparent,
};
use crate::wire::{STALE, header, named, order, receipt, within};

const DESTINATION: &str = "messaging.destination.name";

/// What only this message has, in a batch of several topics or of several partitions of one.
fn own(message: &BorrowedMessage<'_>, several_topics: bool) -> Vec<KeyValue> {
    let name = KeyValue::new(DESTINATION, message.topic().to_owned());
    let partition = KeyValue::new(PARTITION, message.partition().to_string());
    [offset(message.offset())]
        .into_iter()
        .chain(several_topics.then_some(name))
        .chain([partition])
        .collect()
}

/// The spans of receiving and processing a batch of so many messages, which are all there are.
fn both_spans(
    recorder: &Recorder,
    name: Option<&str>,
    group: &str,
    messages: usize,
    expected: impl Fn(ExpectedSpan) -> ExpectedSpan,
) -> [SpanData; 2] {
    let spans = <[SpanData; 2]>::try_from(recorder.spans()).expect("two spans");
    let [poll, process] = &spans;
    expected(polled_batch(name, group, messages)).assert(poll);
    expected(processed_batch(name, group, messages)).assert(process);
    spans
}

/// Whole spans of a batch of messages that have their key in common.
async fn a_batch_says_what_differs_on_its_links(topics: &[(&str, i32)], name: Option<&str>) {
    let recorder = Recorder::new();
    let group = unique("group");
    send(topics, 0..8).await;
    let consumer = assigned(&recorder.telemetry(), &group, topics);

    let batch = in_time(consumer.batches(8, PATIENCE).recv()).await;
    batch.process(async |_| ()).await;

    let expected = |span: ExpectedSpan| {
        let traces = batch.iter().map(|message| {
            let headers = wire_headers(message);
            let (_, value) = headers.into_iter().next().expect("a header");
            named(&String::from_utf8(value.expect("a value")).expect("a text"))
        });
        traces
            .fold(span, |span, creation| span.link(&creation))
            .any("kafka.cluster.id")
            .attribute("kafka.message.key", "order-7")
    };
    let on_links: Vec<_> = batch
        .iter()
        .map(|message| own(message, name.is_none()))
        .collect();
    for span in both_spans(&recorder, name, &group, 8, expected) {
        assert_links(&span, &on_links);
    }

    recorder.clear();
    let list = batch.offsets().expect("offsets");
    let around = Context::new().with_remote_span_context(named(STALE));
    within(&around, || consumer.commit(&list, CommitMode::Sync)).expect("a commit");
    let committed = consumer.committed_offsets(list.clone(), PATIENCE);
    assert_eq!(committed.expect("the group's offsets"), list);
    let each = 8 / topics.len() as i64;
    for (topic, partition) in topics {
        let one = list
            .find_partition(topic, *partition)
            .expect("the partition");
        assert_eq!(one.offset(), Offset::Offset(each));
    }
    assert_eq!(list.count(), topics.len());
    let commit = name.map_or_else(|| "commit".to_owned(), |topic| format!("commit {topic}"));
    let expected = commit_span(name, &group).child_of(&named(STALE));
    expected.assert(&recorder.span(&commit));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_later_message_does_not_share_is_on_the_first_link_of_each_before_it() {
    let recorder = Recorder::new();
    let (group, orders) = (unique("group"), topic("orders").await);
    let producer: FutureProducer = config().create().expect("a producer");
    // The first one names two contexts, of which the last one counts.
    let sent: [(&str, &[usize]); 3] = [("order-7", &[8, 0]), ("order-7", &[1]), ("order-8", &[2])];
    for (key, named) in sent {
        let named = named.iter().map(|number| traceparent(*number));
        let named: Vec<_> = named.map(|value| header("traceparent", value)).collect();
        let record = order(&orders, &named).partition(0).key(key);
        receipt(producer.send(record, PATIENCE).await);
    }
    let consumer = assigned(&recorder.telemetry(), &group, &[(&orders, 0)]);

    let batch = in_time(consumer.batches(3, PATIENCE).recv()).await;
    batch.process(async |_| ()).await;

    let expected = |span: ExpectedSpan| {
        let span = linked(span, [0, 8, 1, 2]).attribute(PARTITION, "0");
        span.any("kafka.cluster.id")
    };
    let own = |key, number| vec![KeyValue::new("kafka.message.key", key), offset(number)];
    let first = own("order-7", 0);
    let on_links = [first, Vec::new(), own("order-7", 1), own("order-8", 2)];
    for span in both_spans(&recorder, Some(&orders), &group, 3, expected) {
        assert_links(&span, &on_links);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_of_several_partitions_says_which_on_its_links_and_commits_each() {
    let orders = topic_of("orders", 4).await;
    let partitions = [0, 1, 2, 3].map(|partition| (&*orders, partition));
    a_batch_says_what_differs_on_its_links(&partitions, Some(&orders)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_of_two_topics_says_which_on_its_links_and_names_none() {
    let (orders, payments) = (topic("orders").await, topic("payments").await);
    let topics = [(&*orders, 0), (&*payments, 0)];
    a_batch_says_what_differs_on_its_links(&topics, None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_that_have_no_spans_are_not_on_those_of_their_batch() {
    let recorder = Recorder::new();
    let group = unique("group");
    let (orders, payments) = (topic("orders").await, topic("payments").await);
    let topics = [(&*orders, 0), (&*payments, 0)];
    send(&topics, 0..4).await;
    let policy = Policy::new().rule(Rule::of(&payments).record(Record::PropagateOnly));
    let consumer = assigned(&recorder.telemetry().policy(policy), &group, &topics);

    let batch = in_time(consumer.batches(4, PATIENCE).recv()).await;
    batch.process(async |_| ()).await;

    let orders = batch.iter().filter(|message| message.topic() == orders);
    let on_links = orders.map(|message| {
        let mut all = own(message, true);
        all.insert(0, KeyValue::new("kafka.message.key", "order-7"));
        all
    });
    let on_links: Vec<_> = on_links.collect();
    for span in both_spans(&recorder, None, &group, 4, |span| linked(span, [0, 2])) {
        let mut links = span.links.links;
        // It is on the links too, since not all of the batch say it.
        let is_cluster = |one: &KeyValue| one.key.as_str() == "kafka.cluster.id";
        for link in &mut links {
            assert!(link.attributes.iter().any(is_cluster));
            link.attributes.retain(|one| !is_cluster(one));
        }
        let links: Vec<_> = links.into_iter().map(|link| link.attributes).collect();
        assert_eq!(links, on_links);
    }
}
