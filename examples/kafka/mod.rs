//! Where the Kafka examples send their messages: the cluster that `KAFKA_BROKERS` names, or a mock
//! cluster in this process, which is part of rdkafka.

pub mod concurrent;
mod consume;

use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;

pub use self::consume::consume;
use crate::telemetry::variable;

/// How long a cluster may take to answer.
const TIMEOUT: Duration = Duration::from_secs(3);

/// A cluster with topics of this run.
#[expect(missing_debug_implementations, reason = "a mock cluster has none")]
pub struct Cluster<const TOPICS: usize> {
    /// Their names.
    pub topics: [String; TOPICS],
    brokers: String,
    /// Of topics and groups of a real cluster, so that a run meets nobody else's messages.
    suffix: String,
    embedded: Option<MockCluster<'static, DefaultProducerContext>>,
}

impl<const TOPICS: usize> Cluster<TOPICS> {
    /// Makes the topics.
    ///
    /// # Errors
    ///
    /// No cluster answers in time, or it does not make the topics.
    pub async fn from_env(topics: [&str; TOPICS]) -> Result<Self> {
        let Some(brokers) = variable("KAFKA_BROKERS") else {
            println!("Kafka: embedded mock cluster, in this process");
            let mock = MockCluster::new(1)?;
            for topic in topics {
                mock.create_topic(topic, 1, 1)?;
            }
            return Ok(Self {
                topics: topics.map(str::to_owned),
                brokers: mock.bootstrap_servers(),
                suffix: String::new(),
                embedded: Some(mock),
            });
        };
        println!("Kafka: {brokers}");
        let cluster = Self::real(brokers, topics, format!("-{}", crate::run()));
        cluster.create_topics(1).await?;
        Ok(cluster)
    }

    /// The cluster that several programs share: that of `KAFKA_BROKERS`, or of `docker compose up`. Topics and groups
    /// have this suffix. A topic that is not there is made, with as many partitions.
    ///
    /// # Errors
    ///
    /// As of [`from_env`](Self::from_env).
    pub async fn shared(topics: [&str; TOPICS], suffix: &str, partitions: i32) -> Result<Self> {
        let brokers = variable("KAFKA_BROKERS").unwrap_or_else(|| "127.0.0.1:9092".to_owned());
        let cluster = Self::real(brokers, topics, suffix.to_owned());
        cluster.create_topics(partitions).await?;
        Ok(cluster)
    }

    fn real(brokers: String, topics: [&str; TOPICS], suffix: String) -> Self {
        Self {
            topics: topics.map(|topic| format!("{topic}{suffix}")),
            brokers,
            suffix,
            embedded: None,
        }
    }

    async fn create_topics(&self, partitions: i32) -> Result<()> {
        let topics = self.topics.each_ref();
        let new = |topic| NewTopic::new(topic, partitions, TopicReplication::Fixed(-1));
        let topics = topics.map(|topic| new(topic));
        let (admin, options) = self.admin()?;
        let created = admin.create_topics(&topics, &options).await;
        for topic in created.with_context(|| self.no_answer())? {
            match topic {
                Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
                Err((topic, error)) => bail!("cannot create topic {topic}: {error}"),
            }
        }
        Ok(())
    }

    /// For a client of this service.
    #[must_use]
    pub fn client(&self, service: &str) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.brokers)
            .set("client.id", service);
        config
    }

    /// For a consumer of this service, in a group of the same name.
    #[must_use]
    pub fn consumer(&self, service: &str) -> ClientConfig {
        let mut config = self.client(service);
        config
            .set("group.id", self.group(service))
            .set("auto.offset.reset", "earliest")
            .set("enable.auto.commit", "false")
            // How soon it learns of a topic that was not there when it subscribed; unset, after 5 minutes.
            .set("topic.metadata.refresh.interval.ms", "10000");
        if self.embedded.is_some() {
            // With its defaults, it takes 3 s to form a group and up to 0.5 s to pass a message on.
            config
                .set("group.protocol", "consumer")
                .set("fetch.wait.max.ms", "10");
        }
        config
    }

    /// Leaves a real cluster as it was.
    ///
    /// # Errors
    ///
    /// The cluster does not delete the topics.
    pub async fn clean_up(&self, services: &[&str]) -> Result<()> {
        if self.embedded.is_some() {
            return Ok(());
        }
        let (admin, options) = self.admin()?;
        let groups: Vec<_> = services.iter().map(|service| self.group(service)).collect();
        let groups: Vec<_> = groups.iter().map(String::as_str).collect();
        // One that nobody joined is not there; that is no problem.
        let _ = admin.delete_groups(&groups, &options).await;
        let topics = self.topics.each_ref().map(String::as_str);
        for topic in admin.delete_topics(&topics, &options).await? {
            topic.map_err(|(topic, error)| anyhow!("cannot delete topic {topic}: {error}"))?;
        }
        Ok(())
    }

    fn group(&self, service: &str) -> String {
        format!("{service}{}", self.suffix)
    }

    fn admin(&self) -> Result<(AdminClient<DefaultClientContext>, AdminOptions)> {
        let options = AdminOptions::new().request_timeout(Some(TIMEOUT));
        Ok((self.client("examples").create()?, options))
    }

    fn no_answer(&self) -> String {
        format!(
            "no Kafka cluster answers at {}. Is KAFKA_BROKERS right? Is the cluster running? \
            `docker compose up --wait kafka` starts one at 127.0.0.1:9092. \
            Can its clients reach the address that it tells them (advertised.listeners)? \
            Does it ask for a login, or for TLS? Cluster::client in examples/kafka/mod.rs sets neither",
            self.brokers
        )
    }
}
