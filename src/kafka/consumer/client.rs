//! The client's own trait, forwarded; the methods that commit make a span.

use std::sync::Arc;

use rdkafka::client::Client;
use rdkafka::consumer::{
    self as rd, CommitMode, ConsumerContext, ConsumerGroupMetadata, RebalanceProtocol,
};
use rdkafka::error::KafkaResult;
use rdkafka::groups::GroupList;
use rdkafka::message::BorrowedMessage;
use rdkafka::metadata::Metadata;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::util::Timeout;

use super::Consumer;

impl<C, X> rd::Consumer<X> for Consumer<C>
where
    C: rd::Consumer<X>,
    X: ConsumerContext,
{
    fn commit(&self, offsets: &TopicPartitionList, mode: CommitMode) -> KafkaResult<()> {
        self.info
            .commit_offsets(Some(offsets), || self.client.commit(offsets, mode))
    }

    fn commit_consumer_state(&self, mode: CommitMode) -> KafkaResult<()> {
        // Which partitions that is about the client would have to ask a thread of its own.
        self.info
            .commit_offsets(None, || self.client.commit_consumer_state(mode))
    }

    fn commit_message(&self, message: &BorrowedMessage<'_>, mode: CommitMode) -> KafkaResult<()> {
        self.info
            .commit_message(message, || self.client.commit_message(message, mode))
    }

    fn client(&self) -> &Client<X> {
        self.client.client()
    }

    fn context(&self) -> &Arc<X> {
        self.client.context()
    }

    fn group_metadata(&self) -> Option<ConsumerGroupMetadata> {
        self.client.group_metadata()
    }

    fn subscribe(&self, topics: &[&str]) -> KafkaResult<()> {
        self.client.subscribe(topics)?;
        self.info.asks(|asked| asked.subscribe(topics));
        Ok(())
    }

    fn unsubscribe(&self) {
        self.client.unsubscribe();
        self.info.asks(|asked| asked.subscribe(&[]));
    }

    fn assign(&self, assignment: &TopicPartitionList) -> KafkaResult<()> {
        self.client.assign(assignment)?;
        self.info.asks(|asked| asked.assign(assignment));
        Ok(())
    }

    fn unassign(&self) -> KafkaResult<()> {
        self.client.unassign()?;
        self.info
            .asks(|asked| asked.assign(&TopicPartitionList::new()));
        Ok(())
    }

    fn incremental_assign(&self, assignment: &TopicPartitionList) -> KafkaResult<()> {
        self.client.incremental_assign(assignment)?;
        self.info.asks(|asked| asked.add(assignment));
        Ok(())
    }

    fn incremental_unassign(&self, assignment: &TopicPartitionList) -> KafkaResult<()> {
        self.client.incremental_unassign(assignment)?;
        self.info.asks(|asked| asked.remove(assignment));
        Ok(())
    }

    fn seek<T: Into<Timeout>>(
        &self,
        topic: &str,
        partition: i32,
        offset: Offset,
        timeout: T,
    ) -> KafkaResult<()> {
        self.client.seek(topic, partition, offset, timeout)
    }

    fn seek_partitions<T: Into<Timeout>>(
        &self,
        partitions: TopicPartitionList,
        timeout: T,
    ) -> KafkaResult<TopicPartitionList> {
        self.client.seek_partitions(partitions, timeout)
    }

    fn store_offset(&self, topic: &str, partition: i32, offset: i64) -> KafkaResult<()> {
        self.client.store_offset(topic, partition, offset)
    }

    fn store_offset_from_message(&self, message: &BorrowedMessage<'_>) -> KafkaResult<()> {
        self.client.store_offset_from_message(message)
    }

    fn store_offsets(&self, offsets: &TopicPartitionList) -> KafkaResult<()> {
        self.client.store_offsets(offsets)
    }

    fn subscription(&self) -> KafkaResult<TopicPartitionList> {
        self.client.subscription()
    }

    fn assignment(&self) -> KafkaResult<TopicPartitionList> {
        self.client.assignment()
    }

    fn assignment_lost(&self) -> bool {
        self.client.assignment_lost()
    }

    fn committed<T: Into<Timeout>>(&self, timeout: T) -> KafkaResult<TopicPartitionList> {
        self.client.committed(timeout)
    }

    fn committed_offsets<T: Into<Timeout>>(
        &self,
        partitions: TopicPartitionList,
        timeout: T,
    ) -> KafkaResult<TopicPartitionList> {
        self.client.committed_offsets(partitions, timeout)
    }

    fn offsets_for_timestamp<T: Into<Timeout>>(
        &self,
        timestamp: i64,
        timeout: T,
    ) -> KafkaResult<TopicPartitionList> {
        self.client.offsets_for_timestamp(timestamp, timeout)
    }

    fn offsets_for_times<T: Into<Timeout>>(
        &self,
        timestamps: TopicPartitionList,
        timeout: T,
    ) -> KafkaResult<TopicPartitionList> {
        self.client.offsets_for_times(timestamps, timeout)
    }

    fn position(&self) -> KafkaResult<TopicPartitionList> {
        self.client.position()
    }

    fn fetch_metadata<T: Into<Timeout>>(
        &self,
        topic: Option<&str>,
        timeout: T,
    ) -> KafkaResult<Metadata> {
        self.client.fetch_metadata(topic, timeout)
    }

    fn fetch_watermarks<T: Into<Timeout>>(
        &self,
        topic: &str,
        partition: i32,
        timeout: T,
    ) -> KafkaResult<(i64, i64)> {
        self.client.fetch_watermarks(topic, partition, timeout)
    }

    fn fetch_group_list<T: Into<Timeout>>(
        &self,
        group: Option<&str>,
        timeout: T,
    ) -> KafkaResult<GroupList> {
        self.client.fetch_group_list(group, timeout)
    }

    fn pause(&self, partitions: &TopicPartitionList) -> KafkaResult<()> {
        self.client.pause(partitions)
    }

    fn resume(&self, partitions: &TopicPartitionList) -> KafkaResult<()> {
        self.client.resume(partitions)
    }

    fn rebalance_protocol(&self) -> RebalanceProtocol {
        self.client.rebalance_protocol()
    }
}
