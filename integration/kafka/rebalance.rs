//! Partitions that move to another member of the group while their messages are processed.
#![expect(clippy::expect_used, reason = "a test panics where it fails")]

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use integration::kafka::{PATIENCE, commit_span, config, next, process_span, topic_of};
use integration::unique;
use opentelemetry::trace::{Link, SpanKind, TraceId, TraceState};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::{SamplingDecision, SamplingResult, ShouldSample};
use otel_messaging::Received;
use otel_messaging::kafka;
use otel_messaging::testing::{ExpectedSpan, Recorder};
use rdkafka::consumer::{CommitMode, Consumer as _, RebalanceProtocol, StreamConsumer};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Message, OwnedMessage};
use rdkafka::producer::FutureProducer;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use tokio::sync::{Barrier, Notify, mpsc};

use crate::wire::{FRESH, STALE, named, order, receipt, texts};

/// Trace of the message of each partition.
const TRACES: [&str; 2] = [FRESH, STALE];

/// Counts the spans that are started; each is recorded.
#[derive(Clone, Debug, Default)]
struct Started(Arc<AtomicUsize>);

impl ShouldSample for Started {
    fn should_sample(
        &self,
        _: Option<&Context>,
        _: TraceId,
        _: &str,
        _: &SpanKind,
        _: &[KeyValue],
        _: &[Link],
    ) -> SamplingResult {
        self.0.fetch_add(1, Ordering::Relaxed);
        SamplingResult {
            decision: SamplingDecision::RecordAndSample,
            attributes: Vec::new(),
            trace_state: TraceState::NONE,
        }
    }
}

/// A member of the group and all that is recorded of it.
struct Member {
    consumer: kafka::Consumer,
    recorder: Recorder,
    started: Started,
}

impl Member {
    /// It joins when it subscribes.
    fn new(config: &ClientConfig) -> Self {
        let started = Started::default();
        let recorder = Recorder::with_sampler(started.clone());
        let client: StreamConsumer = config.create().expect("a consumer");
        Self {
            consumer: kafka::Consumer::wrap(&recorder.telemetry(), client),
            recorder,
            started,
        }
    }

    /// Asserts a span for each message that was processed, in the order of the beginnings, one for
    /// each commit, and no others: none either that was started and did not end.
    fn assert_spans(&self, group: &str, processed: &[OwnedMessage], commits: &[Commit]) {
        let spans = self.recorder.spans();
        assert_eq!(spans.len(), self.started.0.load(Ordering::Relaxed));
        let ids = spans.iter().map(|span| span.span_context.span_id());
        assert_eq!(ids.collect::<HashSet<_>>().len(), spans.len());
        let (mut processing, committing): (Vec<_>, Vec<_>) = spans
            .into_iter()
            .partition(|span| span.name.starts_with("process "));
        processing.sort_by_key(|span| span.start_time);

        let numbers = (processing.len(), committing.len());
        assert_eq!(numbers, (processed.len(), commits.len()));
        for (span, message) in processing.iter().zip(processed) {
            let creation = named(trace_of(message));
            process_span(message, group)
                .child_of(&creation)
                .link(&creation)
                .assert(span);
        }
        for (span, (message, result)) in committing.iter().zip(commits) {
            committed(message, group, result).assert(span);
        }
    }
}

/// A message and what came of its commit.
type Commit = (OwnedMessage, KafkaResult<()>);

/// A topic of two partitions with a message in each.
async fn two_orders() -> String {
    let orders = topic_of("orders", 2).await;
    let producer: FutureProducer = config().create().expect("a producer");
    for (partition, traceparent) in (0..).zip(TRACES) {
        let headers = texts(&[("traceparent", traceparent)]);
        let record = order(&orders, &headers).partition(partition);
        receipt(producer.send(record, PATIENCE).await);
    }
    orders
}

/// Both messages, by partition.
async fn both(consumer: &kafka::Consumer) -> [Received<BorrowedMessage<'_>>; 2] {
    let messages = [next(consumer).await, next(consumer).await];
    let [first, second] = messages;
    let partitions = (first.partition(), second.partition());
    match partitions {
        (0, 1) => [first, second],
        (1, 0) => [second, first],
        _ => unreachable!("a message of each partition, not of {partitions:?}"),
    }
}

fn trace_of(message: &impl Message) -> &'static str {
    let partition = usize::try_from(message.partition()).expect("a partition");
    TRACES.get(partition).expect("one of two partitions")
}

/// The whole span of a commit with this result; the client's own message does not know in which span
/// it is processed.
fn committed(message: &impl Message, group: &str, result: &KafkaResult<()>) -> ExpectedSpan {
    use RDKafkaErrorCode as Code;
    let creation = named(trace_of(message));
    let span = commit_span(Some(message.topic()), group)
        .attribute(
            "messaging.destination.partition.id",
            message.partition().to_string(),
        )
        .attribute("kafka.offset", message.offset())
        .link(&creation);
    match result {
        Ok(()) => span,
        Err(KafkaError::ConsumerCommit(code)) => span.error(match code {
            Code::IllegalGeneration => "ILLEGAL_GENERATION",
            Code::RebalanceInProgress => "REBALANCE_IN_PROGRESS",
            Code::StaleMemberEpoch => "STALE_MEMBER_EPOCH",
            Code::UnknownMemberId => "UNKNOWN_MEMBER_ID",
            code => unreachable!("not an error of a rebalance: {code:?}"),
        }),
        Err(error) => unreachable!("not an error of a commit: {error:?}"),
    }
}

fn commit(member: &Member, message: &BorrowedMessage<'_>) -> Commit {
    let result = member.consumer.commit_message(message, CommitMode::Sync);
    (message.detach(), result)
}

/// Commits once more, by the member's bare client.
fn bare_commit(member: &Member, message: &BorrowedMessage<'_>) -> KafkaResult<()> {
    let bare = member.consumer.inner();
    bare.commit_message(message, CommitMode::Sync)
}

/// The group's offsets, as a bare client sees them that is no member.
fn offsets(config: &ClientConfig, topic: &str) -> [Offset; 2] {
    let bare: StreamConsumer = config.create().expect("a consumer");
    let mut asked = TopicPartitionList::new();
    asked.add_partition_range(topic, 0, 1);
    let told = bare.committed_offsets(asked, PATIENCE);
    let told = told.expect("the group's offsets");
    [0, 1].map(|partition| {
        let partition = told.find_partition(topic, partition);
        partition.expect("the partition").offset()
    })
}

async fn a_partition_moves_while_its_message_is_processed(settings: &[(&str, &str)]) {
    let (orders, group) = (two_orders().await, unique("group"));
    let mut config = config();
    config.set("group.id", &group);
    for (key, value) in settings {
        config.set(*key, *value);
    }
    let (early, late) = (Member::new(&config), Member::new(&config));
    early
        .consumer
        .subscribe(&[&orders])
        .expect("a subscription");
    let [first, second] = both(&early.consumer).await;

    // A member that is not polled gives nothing up. What it receives now it has received before.
    let (polled, mut repeated) = mpsc::unbounded_channel::<OwnedMessage>();
    let polling = tokio::spawn({
        let consumer = early.consumer.clone();
        async move {
            loop {
                let received = next(&consumer).await;
                received.process(async |_| ()).await;
                let _ = polled.send(received.detach().into_inner());
            }
        }
    });
    let (begun, moved) = (Barrier::new(3), Barrier::new(3));
    let handler = async |_: &Received<_>| {
        begun.wait().await;
        moved.wait().await;
    };
    let mut messages = Vec::new();
    let join = async {
        begun.wait().await;
        let subscribed = late.consumer.subscribe(&[&orders]);
        subscribed.expect("a subscription");
        let again = next(&late.consumer).await;
        // Who had to give up all has its part back when it receives from it.
        if let RebalanceProtocol::Eager = early.consumer.rebalance_protocol() {
            let repeated = tokio::time::timeout(PATIENCE, repeated.recv()).await;
            messages.extend(repeated.expect("a message in time"));
        }
        moved.wait().await;
        again
    };
    let ((), (), again) = tokio::join!(first.process(handler), second.process(handler), join);
    let commits = [&first, &second].map(|message| commit(&early, message));
    polling.abort();
    let ended = polling.await.expect_err("it was told to end");
    assert!(ended.is_cancelled(), "{ended}");
    while let Some(message) = repeated.recv().await {
        messages.push(message);
    }

    messages.splice(
        0..0,
        [&first, &second].map(|message| message.detach().into_inner()),
    );
    early.assert_spans(&group, &messages, &commits);
    let results = commits.map(|(_, result)| result);
    let expected = results
        .clone()
        .map(|result| result.map_or(Offset::Invalid, |()| Offset::Offset(1)));
    assert_eq!(offsets(&config, &orders), expected);
    assert_eq!(
        [&first, &second].map(|message| bare_commit(&early, message)),
        results
    );

    again.process(async |_| ()).await;
    let commit = commit(&late, &again);
    assert_eq!(commit.1, Ok(()));
    let again = again.detach().into_inner();
    late.assert_spans(&group, &[again], &[commit]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partition_that_moves_in_the_middle_of_processing_leaves_all_spans_whole() {
    a_partition_moves_while_its_message_is_processed(&[]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn so_does_one_that_moves_by_the_classic_protocol() {
    let settings = [
        ("group.protocol", "classic"),
        ("heartbeat.interval.ms", "100"),
        ("session.timeout.ms", "6000"),
    ];
    a_partition_moves_while_its_message_is_processed(&settings).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handler_that_outlasts_its_membership_cannot_commit_and_its_messages_are_processed_again()
{
    let (orders, group) = (two_orders().await, unique("group"));
    let mut config = config();
    config.set("group.id", &group);
    let late = Member::new(&config);
    let early = Member::new(config.clone().set("max.poll.interval.ms", "1000"));
    early
        .consumer
        .subscribe(&[&orders])
        .expect("a subscription");
    let [first, _] = both(&early.consumer).await;

    let moved = Notify::new();
    let join = async {
        let subscribed = late.consumer.subscribe(&[&orders]);
        subscribed.expect("a subscription");
        let again = both(&late.consumer).await;
        moved.notify_one();
        again
    };
    let handler = async |_: &Received<_>| moved.notified().await;
    let ((), again) = tokio::join!(first.process(handler), join);
    let refused = commit(&early, &first);

    let unknown = KafkaError::ConsumerCommit(RDKafkaErrorCode::UnknownMemberId);
    assert_eq!(refused.1, Err(unknown));
    assert_eq!(refused.1, bare_commit(&early, &first));
    let first = first.detach().into_inner();
    early.assert_spans(&group, &[first], &[refused]);
    assert_eq!(offsets(&config, &orders), [Offset::Invalid; 2]);

    for message in &again {
        message.process(async |_| ()).await;
    }
    let commits = again.each_ref().map(|message| commit(&late, message));
    assert!(commits.iter().all(|(_, result)| result.is_ok()));
    let again = again.map(|message| message.detach().into_inner());
    late.assert_spans(&group, &again, &commits);
    assert_eq!(offsets(&config, &orders), [Offset::Offset(1); 2]);

    // Only now: to receive is to join again.
    let told = tokio::time::timeout(PATIENCE, early.consumer.recv()).await;
    let told = told.expect("an error in time").map(|_| ());
    let exceeded = RDKafkaErrorCode::PollExceeded;
    assert_eq!(told, Err(KafkaError::MessageConsumption(exceeded)));
}
