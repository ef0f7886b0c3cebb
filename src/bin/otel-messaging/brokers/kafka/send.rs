//! Records that are sent again.

use std::time::Duration;

use rdkafka::error::KafkaError;
use rdkafka::message::OwnedHeaders;
use rdkafka::producer::{FutureProducer, FutureRecord, Producer as _};
use rdkafka::util::Timeout;
use tokio::task::block_in_place;

use super::PATIENCE;
use super::client::{Complaints, producer};
use crate::arguments::Access;
use crate::facts::Facts;
use crate::failure::Failure;

/// How long room in the client may be waited for; the record itself has `message.timeout.ms`.
const ROOM: Timeout = Timeout::After(Duration::from_secs(30));

/// Sends to one topic.
pub(crate) struct Sender {
    producer: FutureProducer<Complaints>,
    complaints: Complaints,
    topic: String,
    partitions: usize,
}

impl Sender {
    /// Of a topic that is there: a broker may make it for who only asks for it by name.
    pub(crate) fn open(access: &Access, topic: &str) -> Result<Self, Failure> {
        let (producer, complaints) = producer(access)?;
        let metadata = block_in_place(|| producer.client().fetch_metadata(None, PATIENCE));
        let metadata = metadata.map_err(|error| {
            let what = format!("kafka:{topic}: cannot ask for the topic");
            complaints.failure(&what, &error)
        })?;
        let mut topics = metadata.topics().iter();
        let Some(found) = topics.find(|found| found.name() == topic) else {
            return Err(Failure::new(format!(
                "kafka:{topic}: no topic has this name, and none is made"
            )));
        };
        Ok(Self {
            partitions: found.partitions().len(),
            topic: topic.to_owned(),
            producer,
            complaints,
        })
    }

    /// Sends it, and returns where it is then.
    pub(crate) async fn send(
        &self,
        facts: &Facts,
        key: Option<&[u8]>,
        payload: Option<&[u8]>,
        headers: Option<OwnedHeaders>,
    ) -> Result<String, Failure> {
        let topic = &self.topic;
        let record = FutureRecord::<[u8], [u8]> {
            topic,
            partition: self.partition(facts),
            payload,
            key,
            // One that is as old as the first attempt could be deleted at once.
            timestamp: None,
            headers,
        };
        match self.producer.send(record, ROOM).await {
            Ok(delivery) => Ok(format!(
                "kafka:{topic} {}/{}",
                delivery.partition, delivery.offset
            )),
            Err((error, _)) => Err(self.failed(&error)),
        }
    }

    /// The partition that it had, where it goes back to its topic: another client's partitioner may choose another one
    /// than that of its writer.
    fn partition(&self, facts: &Facts) -> Option<i32> {
        let is_back = facts.died_in.as_ref() == Some(&self.topic);
        let partition = facts.died_partition.filter(|_| is_back)?;
        let is_there =
            usize::try_from(partition).is_ok_and(|partition| partition < self.partitions);
        i32::try_from(partition).ok().filter(|_| is_there)
    }

    fn failed(&self, error: &KafkaError) -> Failure {
        let what = format!("kafka:{}: not confirmed", self.topic);
        self.complaints.failure(&what, error)
    }
}
