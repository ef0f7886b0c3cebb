//! Kafka: partitions are assigned with offsets, so that no group is joined, and nothing is committed.

use std::collections::HashMap;
use std::fs;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use otel_messaging::kafka::internal::{diagnose, raw_headers};
use rdkafka::config::{ClientConfig, FromClientConfigAndContext as _, RDKafkaLogLevel};
use rdkafka::consumer::{Consumer as _, ConsumerContext, StreamConsumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Timestamp};
use rdkafka::{ClientContext, Message as _, Offset, TopicPartitionList};
use tokio::task::block_in_place;
use wildmatch::WildMatch;

use super::{End, Judge, Sink, Start, Wish};
use crate::arguments::{Access, properties};
use crate::facts::Facts;
use crate::failure::Failure;
use crate::seen::{Place, Seen};

/// How long a broker may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

type Client = StreamConsumer<Complaints>;

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
        let metadata =
            metadata.map_err(|error| client.context().failure("cannot ask for topics", &error))?;
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
        if self.wish.end == End::Never {
            let mut all = Vec::new();
            for (topic, partitions) in &self.topics {
                for span in block_in_place(|| self.spans(topic, partitions))? {
                    all.push((topic.as_str(), span));
                }
            }
            return self.follow(&all, None, &sink).await;
        }
        // One after the other: the client does not say of which topic an end of a partition is.
        for (topic, partitions) in &self.topics {
            let spans = block_in_place(|| self.spans(topic, partitions))?;
            let spans = spans.into_iter().filter(|span| span.from < span.to);
            let spans: Vec<_> = spans.map(|span| (topic.as_str(), span)).collect();
            let open: HashMap<i32, i64> = spans
                .iter()
                .map(|(_, span)| (span.partition, span.to))
                .collect();
            if !open.is_empty() && !sink.sender.is_closed() {
                self.follow(&spans, Some(open), &sink).await?;
            }
        }
        Ok(())
    }

    /// From where to where each partition is read.
    fn spans(&self, topic: &str, partitions: &[i32]) -> Result<Vec<Span>, Failure> {
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
                partition,
                from,
                to: high,
            });
        }
        Ok(spans)
    }

    /// Reads these, until all that is open is closed.
    async fn follow(
        &self,
        spans: &[(&str, Span)],
        mut open: Option<HashMap<i32, i64>>,
        sink: &Sink,
    ) -> Result<(), Failure> {
        let failed =
            |error: KafkaError| self.client.context().failure("kafka: cannot read", &error);
        let mut assigned = TopicPartitionList::new();
        for (topic, span) in spans {
            let offset = Offset::Offset(span.from);
            assigned
                .add_partition_offset(topic, span.partition, offset)
                .map_err(failed)?;
        }
        self.client.assign(&assigned).map_err(failed)?;
        let names: HashMap<&str, Arc<str>> = spans
            .iter()
            .map(|(topic, _)| (*topic, name(topic)))
            .collect();
        let mut closed = pin!(sink.closed());
        while open.as_ref().is_none_or(|open| !open.is_empty()) {
            let next = tokio::select! {
                () = &mut closed => break,
                next = self.client.recv() => next,
            };
            match next {
                Ok(message) => {
                    let (partition, offset) = (message.partition(), message.offset());
                    let to = open.as_ref().map(|open| open.get(&partition).copied());
                    // Behind what was the end, or of a partition that is done.
                    if let Some(to) = to
                        && to.is_none_or(|to| offset >= to)
                    {
                        if let Some(open) = &mut open {
                            open.remove(&partition);
                        }
                        continue;
                    }
                    let destination = names.get(message.topic()).cloned();
                    let destination = destination.unwrap_or_else(|| name(message.topic()));
                    if !sink.give(seen(&message, destination, &sink.judge)).await {
                        break;
                    }
                    if let Some(open) = &mut open
                        && to == Some(Some(offset + 1))
                    {
                        open.remove(&partition);
                    }
                }
                Err(KafkaError::PartitionEOF(partition)) => {
                    if let Some(open) = &mut open {
                        open.remove(&partition);
                    }
                }
                Err(error) => return Err(failed(error)),
            }
        }
        self.client.unassign().map_err(failed)
    }
}

/// What is read of a partition.
#[derive(Clone, Copy, Debug)]
struct Span {
    partition: i32,
    from: i64,
    to: i64,
}

/// One message by its place.
pub(crate) async fn one(
    access: &Access,
    topic: &str,
    partition: i32,
    offset: i64,
) -> Result<Seen, Failure> {
    let place = format!("kafka:{topic}: {partition}/{offset}");
    let client = connect(access)?;
    let watermarks = block_in_place(|| client.fetch_watermarks(topic, partition, PATIENCE));
    let (low, high) = watermarks.map_err(|error| client.context().failure(&place, &error))?;
    if !(low..high).contains(&offset) {
        return Err(Failure::new(format!(
            "{place}: it is not there; the partition has {low} to {high}"
        )));
    }
    let failed = |error: KafkaError| client.context().failure(&place, &error);
    let mut assigned = TopicPartitionList::new();
    let offset = Offset::Offset(offset);
    assigned
        .add_partition_offset(topic, partition, offset)
        .map_err(failed)?;
    client.assign(&assigned).map_err(failed)?;
    let received = tokio::time::timeout(PATIENCE, client.recv()).await;
    let message = received
        .map_err(|error| Failure::because(&place, error))?
        .map_err(failed)?;
    Ok(seen(&message, name(topic), &Judge::new()))
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
        destination,
        place: Place::Offset {
            partition: message.partition(),
            offset: message.offset(),
        },
        time: milliseconds.and_then(|time| UNIX_EPOCH.checked_add(Duration::from_millis(time))),
        now: SystemTime::now(),
        bytes: diagnosis.header_bytes + size(message.key()) + size(message.payload()),
        diagnosis,
        facts,
    }
}

fn connect(access: &Access) -> Result<Client, Failure> {
    let mut config = ClientConfig::new();
    let unique = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_nanos();
    config
        // librdkafka wants a name before it lets partitions be assigned; no broker hears it as long as nothing is
        // joined or committed.
        .set(
            "group.id",
            format!("otel-messaging-{}-{unique}", std::process::id()),
        )
        .set("client.id", "otel-messaging")
        .set("queued.max.messages.kbytes", "16384")
        .set_log_level(RDKafkaLogLevel::Emerg);
    if let Some(brokers) = &access.brokers {
        config.set("bootstrap.servers", brokers);
    }
    if let Some(path) = &access.config {
        let shown = path.display().to_string();
        let text = fs::read_to_string(path).map_err(|error| Failure::because(&shown, error))?;
        let properties = properties(&text).map_err(|error| Failure::because(&shown, error))?;
        for (key, value) in properties {
            config.set(key, value);
        }
    }
    for (key, value) in &access.properties {
        config.set(key, value);
    }
    if config.get("bootstrap.servers").is_none() {
        return Err(Failure::new(
            "kafka: which brokers? Give --brokers or KAFKA_BROKERS",
        ));
    }
    // What makes it read alone is not for anybody to set.
    config
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("enable.partition.eof", "true")
        .set("allow.auto.create.topics", "false");
    let client = Client::from_config_and_context(&config, Complaints::default());
    client.map_err(|error| Failure::because("kafka", error))
}

/// What the client has complained about last: its errors are codes, and say less.
#[derive(Debug, Default)]
struct Complaints(Mutex<Option<String>>);

impl Complaints {
    fn failure(&self, what: &str, error: &KafkaError) -> Failure {
        let told = self.0.lock().ok().and_then(|told| told.clone());
        match told {
            Some(told) => Failure::new(format!("{what}: {told}")),
            None => Failure::because(what, error),
        }
    }
}

impl ClientContext for Complaints {
    fn log(&self, _: RDKafkaLogLevel, _: &str, _: &str) {}

    fn error(&self, _: KafkaError, reason: &str) {
        if let Ok(mut told) = self.0.lock() {
            *told = Some(reason.to_owned());
        }
    }
}

impl ConsumerContext for Complaints {}
