//! Kafka: partitions are assigned with offsets, so that no group is joined, and nothing is committed.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use otel_messaging::kafka::internal::{diagnose, raw_headers};
use rdkafka::config::{ClientConfig, FromClientConfigAndContext as _, RDKafkaLogLevel};
use rdkafka::consumer::{Consumer as _, ConsumerContext, StreamConsumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
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

/// How long nothing has to come before nothing is expected any more.
const QUIET: Duration = Duration::from_secs(2);

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
        let mut spans = Vec::new();
        for (topic, partitions) in &self.topics {
            spans.extend(block_in_place(|| self.spans(topic, partitions))?);
        }
        let open = match self.wish.end {
            End::Never => None,
            End::OfWhatIsThere => {
                spans.retain(|span| span.from < span.to);
                let open = spans
                    .iter()
                    .map(|span| ((span.topic, span.partition), span.to));
                Some(open.collect())
            }
        };
        self.follow(&spans, open, &sink).await
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

    /// Reads these, until all that is open is closed.
    async fn follow(
        &self,
        spans: &[Span<'_>],
        mut open: Option<HashMap<(&str, i32), i64>>,
        sink: &Sink,
    ) -> Result<(), Failure> {
        if open.as_ref().is_some_and(HashMap::is_empty) {
            return Ok(());
        }
        let failed =
            |error: KafkaError| self.client.context().failure("kafka: cannot read", &error);
        let mut assigned = TopicPartitionList::new();
        let mut sharing: HashMap<i32, usize> = HashMap::new();
        for span in spans {
            let offset = Offset::Offset(span.from);
            let added = assigned.add_partition_offset(span.topic, span.partition, offset);
            added.map_err(failed)?;
            *sharing.entry(span.partition).or_default() += 1;
        }
        self.client.assign(&assigned).map_err(failed)?;
        let names: HashMap<&str, Arc<str>> = spans
            .iter()
            .map(|span| (span.topic, name(span.topic)))
            .collect();
        let mut ended = HashSet::new();
        let mut closed = pin!(sink.closed());
        while open.as_ref().is_none_or(|open| !open.is_empty()) {
            // The last offsets of a partition may be no messages. The client says when it is at an end, but not of which
            // topic: where several have such a partition, it is over when nothing more comes.
            let may_be_over = open
                .as_ref()
                .is_some_and(|open| open.keys().all(|(_, partition)| ended.contains(partition)));
            let quiet = async {
                match may_be_over {
                    true => tokio::time::sleep(QUIET).await,
                    false => std::future::pending().await,
                }
            };
            let next = tokio::select! {
                biased;
                () = &mut closed => break,
                next = self.client.recv() => next,
                () = quiet => break,
            };
            match next {
                Ok(message) => {
                    let (partition, offset) = (message.partition(), message.offset());
                    let Some((topic, destination)) = names.get_key_value(message.topic()) else {
                        continue;
                    };
                    let key = (*topic, partition);
                    let to = open.as_ref().map(|open| open.get(&key).copied());
                    // Behind what was the end.
                    if to.is_some_and(|to| to.is_none_or(|to| offset >= to)) {
                        if let Some(open) = &mut open {
                            open.remove(&key);
                        }
                        continue;
                    }
                    let destination = Arc::clone(destination);
                    if !sink.give(seen(&message, destination, &sink.judge)).await {
                        break;
                    }
                    if let Some(open) = &mut open
                        && to == Some(Some(offset + 1))
                    {
                        open.remove(&key);
                    }
                }
                Err(KafkaError::PartitionEOF(partition)) => {
                    ended.insert(partition);
                    if let Some(open) = &mut open
                        && sharing.get(&partition) == Some(&1)
                    {
                        open.retain(|(_, of_open), _| *of_open != partition);
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
        .set("fetch.wait.max.ms", "100")
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
    let complaints = Complaints {
        brokers: config
            .get("bootstrap.servers")
            .unwrap_or_default()
            .to_owned(),
        told: Mutex::default(),
    };
    let client = Client::from_config_and_context(&config, complaints);
    client.map_err(|error| Failure::because("kafka", error))
}

/// What the client has complained about last: its errors are codes, and say less.
#[derive(Debug)]
struct Complaints {
    brokers: String,
    told: Mutex<Option<String>>,
}

impl Complaints {
    fn failure(&self, what: &str, error: &KafkaError) -> Failure {
        let told = self.told.lock().ok().and_then(|told| told.clone());
        let told = told.map_or_else(String::new, |told| format!(" ({told})"));
        let code = error.rdkafka_error_code();
        Failure::new(match code {
            Some(RDKafkaErrorCode::BrokerTransportFailure | RDKafkaErrorCode::AllBrokersDown) => {
                format!("{what}: no broker of {} answers{told}", self.brokers)
            }
            Some(code) => format!("{what}: {code}{told}"),
            None => format!("{what}: {error}{told}"),
        })
    }
}

impl ClientContext for Complaints {
    fn log(&self, _: RDKafkaLogLevel, _: &str, _: &str) {}

    fn error(&self, _: KafkaError, reason: &str) {
        if let Ok(mut told) = self.told.lock() {
            *told = Some(reason.to_owned());
        }
    }
}

impl ConsumerContext for Complaints {}
