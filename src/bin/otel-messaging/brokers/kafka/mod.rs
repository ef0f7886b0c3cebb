//! Kafka: partitions are assigned with offsets, so that no group is joined, and nothing is committed.

mod client;
mod send;

use std::collections::HashMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use otel_messaging::kafka::internal::{diagnose, raw_headers};
use rdkafka::consumer::Consumer as _;
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedHeaders, BorrowedMessage, Timestamp};
use rdkafka::{Message as _, Offset, TopicPartitionList};
use tokio::task::block_in_place;
use tokio::time::{Instant, timeout_at};
use wildmatch::WildMatch;

use self::client::{Client, connect, is_of_group, is_passing};
pub(crate) use self::send::Sender;
use super::{End, Judge, Sink, Start, Wish};
use crate::arguments::Access;
use crate::facts::Facts;
use crate::failure::Failure;
use crate::original::Original;
use crate::output;
use crate::seen::{Place, Publication, Seen};

/// How long a broker may take to answer, and what was stored to come.
const PATIENCE: Duration = Duration::from_secs(10);

/// Topics that are there, with the number of their partitions.
pub(super) struct Source {
    client: Client,
    topics: Vec<(String, Vec<i32>)>,
    wish: Wish,
}

impl Source {
    pub(super) fn open(patterns: &[String], wish: &Wish) -> Result<Self, Failure> {
        let client = connect(&wish.access)?;
        let metadata = block_in_place(|| client.fetch_metadata(None, PATIENCE));
        let metadata = metadata.map_err(|error| {
            client
                .context()
                .failure("kafka: cannot ask for topics", &error)
        })?;
        let mut topics = Vec::new();
        for pattern in patterns {
            let matches = WildMatch::new(pattern);
            let before = topics.len();
            for topic in metadata.topics() {
                // What Kafka keeps for itself is read if it is named.
                let is_own = topic.name().starts_with("__") && !pattern.starts_with("__");
                if matches.matches(topic.name()) && !is_own {
                    let partitions = topic.partitions().iter().map(|partition| partition.id());
                    topics.push((topic.name().to_owned(), partitions.collect()));
                }
            }
            if topics.len() == before {
                return Err(Failure::new(format!(
                    "kafka:{pattern}: no topic has this name; the cluster has {} topics",
                    metadata.topics().len()
                )));
            }
        }
        topics.sort_unstable();
        topics.dedup();
        let wish = wish.clone();
        Ok(Self {
            client,
            topics,
            wish,
        })
    }

    pub(super) fn destinations(&self) -> impl Iterator<Item = Arc<str>> {
        self.topics.iter().map(|(topic, _)| name(topic))
    }

    pub(super) async fn read(self, sink: Sink) -> Result<(), Failure> {
        // Of all before one is read: what is sent again may come to any of them.
        let topics = self.topics.iter();
        let all = topics.map(|(topic, partitions)| self.spans(topic, partitions));
        let all: Vec<_> = block_in_place(|| all.collect::<Result<_, _>>())?;
        match self.wish.end {
            End::Never => self.follow(&all.concat(), &sink).await?,
            // One topic after the other: the client says which partition is at its end, but not of which topic.
            End::OfWhatIsThere => {
                for ((topic, _), mut spans) in self.topics.iter().zip(all) {
                    spans.retain(|span| span.from < span.to);
                    if !self.finish(topic, &spans, &sink).await? {
                        break;
                    }
                }
            }
        }
        let unassigned = self.client.unassign();
        unassigned.map_err(|error| self.client.context().failure("kafka", &error))
    }

    /// From where to where each partition is read.
    fn spans<'a>(&self, topic: &'a str, partitions: &[i32]) -> Result<Vec<Span<'a>>, Failure> {
        let failed = |error: KafkaError| {
            let what = format!("kafka:{topic}: cannot ask for offsets");
            self.client.context().failure(&what, &error)
        };
        let mut spans = Vec::new();
        for partition in partitions.iter().copied() {
            let watermarks = self.client.fetch_watermarks(topic, partition, PATIENCE);
            let (low, high) = watermarks.map_err(failed)?;
            let from = match self.wish.start {
                Start::All => low,
                Start::Now => high,
                Start::Last(count) => {
                    let count = i64::try_from(count).unwrap_or(i64::MAX);
                    low.max(high.saturating_sub(count))
                }
                Start::Since(time) => {
                    let since = time
                        .duration_since(UNIX_EPOCH)
                        .unwrap_or_default()
                        .as_millis();
                    let since = i64::try_from(since).unwrap_or(i64::MAX);
                    let mut asked = TopicPartitionList::new();
                    asked
                        .add_partition_offset(topic, partition, Offset::Offset(since))
                        .map_err(failed)?;
                    let found = self
                        .client
                        .offsets_for_times(asked, PATIENCE)
                        .map_err(failed)?;
                    match found
                        .find_partition(topic, partition)
                        .map(|found| found.offset())
                    {
                        Some(Offset::Offset(offset)) => offset,
                        _ => high,
                    }
                }
            };
            spans.push(Span {
                topic,
                partition,
                from,
                to: high,
            });
        }
        Ok(spans)
    }

    /// Reads what these partitions of a topic had when it was asked; false if nobody wants any more.
    async fn finish(&self, topic: &str, spans: &[Span<'_>], sink: &Sink) -> Result<bool, Failure> {
        self.assign(spans)?;
        let destination = name(topic);
        let mut open: HashMap<i32, i64> =
            spans.iter().map(|span| (span.partition, span.to)).collect();
        let mut closed = pin!(sink.closed());
        let mut patience = Instant::now() + PATIENCE;
        while !open.is_empty() {
            let next = tokio::select! {
                biased;
                () = &mut closed => return Ok(false),
                next = timeout_at(patience, self.client.recv()) => next,
            };
            match next {
                Ok(Ok(message)) => {
                    let (partition, offset) = (message.partition(), message.offset());
                    // Published since, to a partition that is done with.
                    let Some(to) = open.get(&partition).copied() else {
                        continue;
                    };
                    if offset + 1 >= to {
                        open.remove(&partition);
                    }
                    let destination = Arc::clone(&destination);
                    if offset < to && !sink.give(given(&message, destination, sink)).await {
                        return Ok(false);
                    }
                }
                // Its last offsets may be no messages.
                Ok(Err(KafkaError::PartitionEOF(partition))) => {
                    open.remove(&partition);
                }
                // The client tries again by itself, or another broker.
                Ok(Err(error)) if is_passing(&error) => continue,
                Ok(Err(error)) => return Err(self.failed(&error)),
                Err(_) => {
                    let what = format!("kafka:{topic}: nothing comes of {} partitions", open.len());
                    return Err(self.client.context().told(what));
                }
            }
            patience = Instant::now() + PATIENCE;
        }
        Ok(true)
    }

    /// Reads what comes, until nobody wants any more.
    async fn follow(&self, spans: &[Span<'_>], sink: &Sink) -> Result<(), Failure> {
        self.assign(spans)?;
        let names: HashMap<&str, Arc<str>> = spans
            .iter()
            .map(|span| (span.topic, name(span.topic)))
            .collect();
        let mut complaint = String::new();
        let mut closed = pin!(sink.closed());
        loop {
            let next = tokio::select! {
                biased;
                () = &mut closed => return Ok(()),
                next = self.client.recv() => next,
            };
            match next {
                Ok(message) => {
                    let Some(destination) = names.get(message.topic()) else {
                        continue;
                    };
                    let destination = Arc::clone(destination);
                    if !sink.give(given(&message, destination, sink)).await {
                        return Ok(());
                    }
                }
                Err(KafkaError::PartitionEOF(_)) => {}
                Err(error) if is_of_group(&error) => {}
                Err(error) if is_passing(&error) => {
                    // Of each broker again and again, until it is back.
                    let text = error.to_string();
                    if text != complaint {
                        output::complain(&format!("kafka: {text}"));
                        complaint = text;
                    }
                }
                Err(error) => return Err(self.failed(&error)),
            }
        }
    }

    fn assign(&self, spans: &[Span<'_>]) -> Result<(), Failure> {
        let mut assigned = TopicPartitionList::new();
        for span in spans {
            let offset = Offset::Offset(span.from);
            let added = assigned.add_partition_offset(span.topic, span.partition, offset);
            added.map_err(|error| self.failed(&error))?;
        }
        let assigned = self.client.assign(&assigned);
        assigned.map_err(|error| self.failed(&error))
    }

    fn failed(&self, error: &KafkaError) -> Failure {
        self.client.context().failure("kafka: cannot read", error)
    }
}

/// What is read of a partition.
#[derive(Clone, Copy, Debug)]
struct Span<'a> {
    topic: &'a str,
    partition: i32,
    from: i64,
    to: i64,
}

/// One message by its place.
pub(crate) async fn one(
    access: &Access,
    topic: &str,
    partition: i32,
    wanted: i64,
) -> Result<Seen, Failure> {
    let place = format!("kafka:{topic}: {partition}/{wanted}");
    let client = connect(access)?;
    let watermarks = block_in_place(|| client.fetch_watermarks(topic, partition, PATIENCE));
    let (low, high) = watermarks.map_err(|error| client.context().failure(&place, &error))?;
    if !(low..high).contains(&wanted) {
        return Err(Failure::new(format!(
            "{place}: it is not there; the partition has {low} to {high}"
        )));
    }
    let failed = |error: KafkaError| client.context().failure(&place, &error);
    let mut assigned = TopicPartitionList::new();
    assigned
        .add_partition_offset(topic, partition, Offset::Offset(wanted))
        .map_err(failed)?;
    client.assign(&assigned).map_err(failed)?;
    let patience = Instant::now() + PATIENCE;
    loop {
        let received = timeout_at(patience, client.recv()).await;
        match received.map_err(|error| Failure::because(&place, error))? {
            Ok(message) if message.offset() == wanted => {
                return Ok(seen(&message, name(topic), &Judge::new()));
            }
            // The next one, or the end: this one was compacted away, or is no message.
            Ok(_) | Err(KafkaError::PartitionEOF(_)) => {
                return Err(Failure::new(format!("{place}: there is no message")));
            }
            Err(error) if is_passing(&error) => {}
            Err(error) => return Err(failed(error)),
        }
    }
}

fn name(topic: &str) -> Arc<str> {
    format!("kafka:{topic}").into()
}

fn seen(message: &BorrowedMessage<'_>, destination: Arc<str>, judge: &Judge) -> Seen {
    let headers = message.headers();
    let diagnosis = diagnose(&judge.telemetry, headers, &judge.formats());
    let mut facts = Facts::default();
    for (name, value) in headers.into_iter().flat_map(raw_headers) {
        facts.look_at(name, value.unwrap_or_default());
    }
    let milliseconds = match message.timestamp() {
        Timestamp::CreateTime(time) | Timestamp::LogAppendTime(time) => u64::try_from(time).ok(),
        Timestamp::NotAvailable => None,
    };
    let size = |part: Option<&[u8]>| part.map_or(0, <[u8]>::len);
    Seen {
        // A record is in one topic; a copy of it in another was sent by somebody.
        publication: Publication::of(&*destination, &[]),
        destination,
        place: Place::Offset {
            partition: message.partition(),
            offset: message.offset(),
        },
        time: milliseconds.and_then(|time| UNIX_EPOCH.checked_add(Duration::from_millis(time))),
        now: SystemTime::now(),
        is_live: false,
        bytes: diagnosis.header_bytes + size(message.key()) + size(message.payload()),
        diagnosis,
        facts,
        original: None,
    }
}

fn given(message: &BorrowedMessage<'_>, destination: Arc<str>, sink: &Sink) -> Seen {
    let original = sink.is_whole.then(|| Original::Kafka {
        key: message.key().map(<[u8]>::to_vec),
        payload: message.payload().map(<[u8]>::to_vec),
        headers: message.headers().map(BorrowedHeaders::detach),
    });
    Seen {
        original,
        ..seen(message, destination, &sink.judge)
    }
}
