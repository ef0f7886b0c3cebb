//! A place to send to, for tests.

use std::fmt;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaResult;
use rdkafka::message::{OwnedMessage, Timestamp};
use rdkafka::producer::{BaseProducer, Producer as _};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

/// Longest wait for a cluster that is in the same process.
const PATIENCE: Duration = Duration::from_secs(5);

/// The cluster that librdkafka has for tests, in the process of the test: a place to send records to, and to look at
/// them.
///
/// Producers are real ones. A record is delivered and read within some milliseconds.
///
/// ```
/// use std::time::Duration;
///
/// use opentelemetry::trace::SpanKind;
/// use otel_messaging::testing::{ExpectedSpan, Recorder, remote_span};
/// use otel_messaging::{Received, kafka};
/// use rdkafka::error::KafkaResult;
/// use rdkafka::producer::{FutureProducer, FutureRecord};
///
/// async fn bill(
///     order: &Received<impl kafka::MessageHeaders>,
///     bills: &kafka::Producer,
/// ) -> KafkaResult<()> {
///     order
///         .process(async |order| -> KafkaResult<()> {
///             let bill = FutureRecord::<str, _>::to("bills");
///             let bill = bill.payload(order.payload().unwrap_or_default());
///             bills.send(bill, Duration::ZERO).await.map_err(|(error, _)| error)?;
///             Ok(())
///         })
///         .await
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> KafkaResult<()> {
/// let recorder = Recorder::new();
/// let cluster = kafka::TestCluster::new(["bills"])?;
/// let config = cluster.config();
/// let consumer = kafka::TestConsumer::new(&recorder.telemetry(), &config);
/// let bills = kafka::Producer::wrap(&recorder.telemetry(), config.create::<FutureProducer>()?);
///
/// let order = kafka::TestMessage::of("orders").payload("two books").created_by(&remote_span());
/// bill(&consumer.deliver(order), &bills).await?;
///
/// let send = recorder.span("send bills");
/// ExpectedSpan::new("send bills", SpanKind::Producer)
///     .child_of(&recorder.span("process orders").span_context)
///     .assert(&send);
///
/// // What was sent goes on to the next service.
/// for bill in cluster.sent("bills")? {
///     consumer.deliver(bill).process(async |_| ()).await;
/// }
/// ExpectedSpan::new("process bills", SpanKind::Consumer)
///     .child_of(&send.span_context)
///     .link(&send.span_context)
///     .assert(&recorder.span("process bills"));
/// # Ok(())
/// # }
/// ```
///
/// rdkafka calls it experimental. To make it fail, its `mock_cluster` is that of
/// [`client`](Self::client).
pub struct TestCluster {
    owner: BaseProducer,
    servers: String,
}

impl TestCluster {
    /// A cluster of one broker with these topics, each of one partition. It makes others by itself
    /// when they are sent to, of four.
    ///
    /// # Errors
    ///
    /// The error of rdkafka, if the cluster does not start or the name of a topic is invalid.
    pub fn new<'t>(topics: impl IntoIterator<Item = &'t str>) -> KafkaResult<Self> {
        let mut config = ClientConfig::new();
        config.set("test.mock.num.brokers", "1");
        let owner: BaseProducer = config.create()?;
        let mut servers = String::new();
        if let Some(cluster) = owner.client().mock_cluster() {
            for topic in topics {
                cluster.create_topic(topic, 1, 1)?;
            }
            servers = cluster.bootstrap_servers();
        }
        Ok(Self { owner, servers })
    }

    /// The configuration of a client of the cluster.
    #[must_use]
    pub fn config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.servers);
        config
    }

    /// The client that owns the cluster.
    #[must_use]
    pub const fn client(&self) -> &BaseProducer {
        &self.owner
    }

    /// The records of a topic so far, with the headers that they were sent with, partition by
    /// partition. They have no time, because the cluster does not keep it.
    ///
    /// It blocks for some milliseconds.
    ///
    /// # Errors
    ///
    /// The error of rdkafka, for example if the cluster was made to fail.
    pub fn sent(&self, topic: &str) -> KafkaResult<Vec<OwnedMessage>> {
        let mut config = self.config();
        config
            .set("group.id", "otel-messaging")
            .set("enable.auto.commit", "false")
            .set("fetch.wait.max.ms", "10");
        let consumer: BaseConsumer = config.create()?;
        let metadata = consumer.fetch_metadata(Some(topic), PATIENCE)?;
        let topics = metadata.topics().iter();
        let mut sent = Vec::new();
        for partition in topics.flat_map(|topic| topic.partitions()) {
            let (begin, end) = consumer.fetch_watermarks(topic, partition.id(), PATIENCE)?;
            let mut from_begin = TopicPartitionList::new();
            from_begin.add_partition_offset(topic, partition.id(), Offset::Offset(begin))?;
            consumer.assign(&from_begin)?;
            for _ in begin..end {
                let Some(message) = consumer.poll(PATIENCE) else {
                    break;
                };
                sent.push(message?.detach().set_timestamp(Timestamp::NotAvailable));
            }
        }
        Ok(sent)
    }
}

impl fmt::Debug for TestCluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestCluster")
            .field("servers", &self.servers)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use rdkafka::Message as _;
    use rdkafka::producer::{FutureProducer, FutureRecord};

    use super::*;
    use crate::kafka::{Producer, extract};
    use crate::testing::Recorder;
    use crate::w3c;
    use opentelemetry::trace::TraceContextExt as _;

    #[tokio::test]
    async fn what_was_sent_is_kept_with_the_context_of_its_span() -> KafkaResult<()> {
        let recorder = Recorder::new();
        let cluster = TestCluster::new(["bills"])?;
        let producer: FutureProducer = cluster.config().create()?;
        let producer = Producer::wrap(&recorder.telemetry(), producer);

        for topic in ["bills", "letters"] {
            for key in ["1", "2", "3"] {
                let record = FutureRecord::to(topic).key(key).payload("two books");
                let sent = producer.send(record, PATIENCE).await;
                sent.map_err(|(error, _)| error)?;
            }
        }

        let bills = cluster.sent("bills")?;
        let mut letters = cluster.sent("letters")?;
        letters.sort_by(|a, b| a.key().cmp(&b.key()));
        let sent: Vec<_> = bills.iter().chain(&letters).collect();
        let keys: Vec<_> = sent.iter().filter_map(|one| one.key()).collect();
        assert_eq!(keys, [b"1", b"2", b"3", b"1", b"2", b"3"]);
        assert!(sent.iter().all(|one| one.payload() == Some(b"two books")));
        let carried = sent.iter().map(|one| {
            let context = extract(&w3c::Propagator::new(), *one);
            context.span().span_context().span_id()
        });
        let spans = recorder.spans();
        let spans = spans.iter().map(|span| span.span_context.span_id());
        assert_eq!(carried.collect::<Vec<_>>(), spans.collect::<Vec<_>>());
        Ok(())
    }

    #[test]
    fn nothing_was_sent_to_a_topic_that_nobody_sent_to() -> KafkaResult<()> {
        let cluster = TestCluster::new(["bills"])?;

        assert_eq!(cluster.sent("bills")?.len(), 0);
        Ok(())
    }
}
