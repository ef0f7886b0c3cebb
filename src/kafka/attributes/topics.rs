//! [`Topics`]: what a consumer has asked for.

use std::collections::BTreeSet;

use rdkafka::topic_partition_list::TopicPartitionList;

/// What a consumer has asked for. The client knows it too, but would have to wait for a thread of its own
/// to tell.
#[derive(Debug, Default)]
pub(in crate::kafka) struct Topics {
    /// Topics, or patterns of such, that the application has subscribed to.
    subscribed: BTreeSet<String>,
    /// Partitions that it has assigned by itself.
    assigned: BTreeSet<(String, i32)>,
}

impl Topics {
    /// It has subscribed to these in place of all before.
    pub(in crate::kafka) fn subscribe(&mut self, topics: &[&str]) {
        self.subscribed = topics.iter().map(ToString::to_string).collect();
        self.assigned.clear();
    }

    /// It has assigned these in place of others.
    pub(in crate::kafka) fn assign(&mut self, partitions: &TopicPartitionList) {
        self.assigned.clear();
        self.add(partitions);
    }

    /// It has assigned these too.
    pub(in crate::kafka) fn add(&mut self, partitions: &TopicPartitionList) {
        self.assigned.extend(each(partitions));
    }

    /// It has given these back.
    pub(in crate::kafka) fn remove(&mut self, partitions: &TopicPartitionList) {
        for partition in each(partitions) {
            self.assigned.remove(&partition);
        }
    }

    /// The topics, each once; `None` where a pattern stands for some.
    pub(super) fn all(&self) -> Option<BTreeSet<&str>> {
        let subscribed = self.subscribed.iter().map(String::as_str);
        let assigned = self.assigned.iter().map(|(topic, _)| topic.as_str());
        // To the client a pattern is what begins with this.
        let has_pattern = subscribed.clone().any(|topic| topic.starts_with('^'));
        (!has_pattern).then(|| subscribed.chain(assigned).collect())
    }
}

fn each(partitions: &TopicPartitionList) -> impl Iterator<Item = (String, i32)> {
    let elements = partitions.elements().into_iter();
    elements.map(|one| (one.topic().to_owned(), one.partition()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(partitions: &[(&str, i32)]) -> TopicPartitionList {
        let mut list = TopicPartitionList::new();
        for (topic, partition) in partitions {
            list.add_partition(topic, *partition);
        }
        list
    }

    fn assert_all(topics: &Topics, expected: Option<&[&str]>) {
        let all = topics.all().map(Vec::from_iter);
        assert_eq!(all.as_deref(), expected, "{topics:?}");
    }

    #[test]
    fn giving_back_what_was_assigned_leaves_what_is_subscribed_to() {
        let mut topics = Topics::default();
        assert_all(&topics, Some(&[]));
        topics.subscribe(&["^orders.*"]);
        assert_all(&topics, None);
        topics.subscribe(&["payments", "orders"]);
        assert_all(&topics, Some(&["orders", "payments"]));
        topics.assign(&list(&[("orders", 0), ("refunds", 1)]));
        assert_all(&topics, Some(&["orders", "payments", "refunds"]));
        topics.assign(&list(&[]));
        assert_all(&topics, Some(&["orders", "payments"]));
        topics.subscribe(&[]);
        assert_all(&topics, Some(&[]));
    }

    #[test]
    fn a_topic_counts_until_its_last_partition_is_given_back() {
        let mut topics = Topics::default();
        topics.assign(&list(&[("orders", 0), ("orders", 1)]));
        topics.add(&list(&[("payments", 0)]));
        assert_all(&topics, Some(&["orders", "payments"]));
        topics.remove(&list(&[("orders", 0)]));
        assert_all(&topics, Some(&["orders", "payments"]));
        topics.remove(&list(&[("orders", 1), ("orders", 7)]));
        assert_all(&topics, Some(&["payments"]));
    }
}
