//! Kafka, with rdkafka.

mod server;
mod sides;

use std::time::Duration;

use futures::future::join_all;
use integration::drops::Counted;
use rdkafka::ClientConfig;

use self::server::Server;
use self::sides::{Bare, Wrapped, config, join_for, topic_of};
use crate::house::{Hardship, House};
use crate::program::{Program, Room};
use crate::proxy::Proxy;
use crate::sides::{Both, Told, side_by_side};

/// How long a consumer may not ask for messages where that is tried: no less than a session of the classic protocol.
const SILENT: Duration = Duration::from_secs(6);

/// A node, and clients of it.
pub(crate) struct Kafka(Server);

impl Kafka {
    /// By the newer protocol of groups, or by the classic one.
    fn config(&self, hardship: &mut Hardship) -> ClientConfig {
        let mut config = config(&self.0.servers());
        if hardship.maybe() {
            config.set("session.timeout.ms", "6000");
            config.set("heartbeat.interval.ms", "500");
        } else {
            config.set("group.protocol", "consumer");
        }
        config
    }

    /// A topic for each side. Those of other cases would fill the place that there is.
    async fn topics(&self, partitions: i32, nodes: &[i32]) -> [String; 2] {
        self.0.delete_all_topics().await;
        let topics = ["bare", "wrapped"].map(topic_of);
        for topic in &topics {
            self.0.make_topic(topic, partitions, nodes).await;
        }
        topics
    }

    /// Others join the groups and leave them, all the time.
    async fn rebalances(&mut self, hardship: &mut Hardship) -> Told {
        let counted = Counted::new();
        // As many as the group may have members, and more.
        let topics = self.topics(8, &[1]).await;
        let config = self.config(hardship);
        let (bare, wrapped) = clients(&config, &counted, &topics);
        let stays: Vec<_> = (0..hardship.number(4, 3..12))
            .map(|_| hardship.millis(600, 100..4_000))
            .collect();
        // librdkafka gives up no partition while a commit is on its way.
        let plan = hardship.plan().seldom();
        side_by_side(plan, &counted, bare, wrapped, async |both| {
            let [bare, wrapped] = &topics;
            let storm = stays.chunks(2).map(async |stays| {
                for stay in stays {
                    tokio::join!(
                        join_for(*stay, None, &config, bare),
                        join_for(*stay, Some(&counted), &config, wrapped),
                    );
                }
            });
            join_all(storm).await;
            both.go_on(1).await;
        })
        .await
    }

    /// Handlers take longer than a consumer may be silent: it leaves its group, and what it had comes again.
    async fn slow_consumer(&mut self, hardship: &mut Hardship) -> Told {
        let counted = Counted::new();
        let topics = self.topics(1, &[1]).await;
        let mut config = self.config(hardship);
        config.set("max.poll.interval.ms", SILENT.as_millis().to_string());
        let (bare, wrapped) = clients(&config, &counted, &topics);
        let plan = hardship.plan();
        side_by_side(plan, &counted, bare, wrapped, async |both| {
            both.handle_in(SILENT + hardship.millis(1_000, 500..4_000));
            both.meet("receive").await;
            both.handle_in(Duration::ZERO);
        })
        .await
    }

    /// The topics are deleted while batches are on their way, and made again.
    async fn topic_deleted(&mut self, hardship: &mut Hardship) -> Told {
        let counted = Counted::new();
        let topics = self.topics(1, &[1]).await;
        let config = self.config(hardship);
        let (bare, wrapped) = clients(&config, &counted, &topics);
        let plan = hardship.batches().destroying();
        side_by_side(plan, &counted, bare, wrapped, async |both| {
            for topic in &topics {
                self.0.delete_topic(topic).await;
            }
            both.are_refused().await;
            for topic in &topics {
                self.0.make_topic(topic, 1, &[1]).await;
            }
            // Until then a consumer still looks for the old offset.
            both.handle_again().await;
        })
        .await
    }

    /// The node that leads is killed, and another one leads; the first may come back.
    async fn leader_changed(&mut self, hardship: &mut Hardship) -> Told {
        let counted = Counted::new();
        let (mut second, _proxy) = self.0.second().await;
        let topics = self.topics(1, &[2, 1]).await;
        let config = self.config(hardship);
        let (bare, wrapped) = clients(&config, &counted, &topics);
        let plan = crate::plan::Plan::SHORT;
        let told = side_by_side(plan, &counted, bare, wrapped, async |both| {
            second.kill().await;
            both.go_on(10).await;
            // Then the other one is to lead again.
            if hardship.maybe() {
                second.start(&self.0.room).await;
            }
        });
        let told = told.await;
        second.kill().await;
        self.0.is_alone().await;
        told
    }
}

fn clients(
    config: &ClientConfig,
    counted: &Counted,
    [bare, wrapped]: &[String; 2],
) -> (Bare, Wrapped) {
    (
        Bare::new(config, bare),
        Wrapped::new(counted, config, wrapped),
    )
}

impl House for Kafka {
    const NAME: &'static str = "kafka";
    const OWN: &'static [&'static str] = &[
        "rebalances",
        "slow_consumer",
        "topic_deleted",
        "leader_changed",
    ];
    type Bare = Bare;
    type Wrapped = Wrapped;

    async fn start() -> Self {
        Self(Server::start().await)
    }

    fn parts(&mut self) -> (&mut Program, &Proxy, &Room) {
        (&mut self.0.program, &self.0.proxy, &self.0.room)
    }

    async fn sides(&self, counted: &Counted, hardship: &mut Hardship) -> (Bare, Wrapped) {
        let topics = self.topics(1, &[1]).await;
        let config = self.config(hardship);
        clients(&config, counted, &topics)
    }

    /// A node that cannot write ends.
    async fn met_the_end(&mut self, _: &Both) {
        self.0.program.ended().await;
    }

    async fn go_on_with_place(&mut self) {
        self.0.program.start(&self.0.room).await;
    }

    async fn run(&mut self, case: &str, hardship: &mut Hardship) -> Told {
        match case {
            "rebalances" => self.rebalances(hardship).await,
            "slow_consumer" => self.slow_consumer(hardship).await,
            "topic_deleted" => self.topic_deleted(hardship).await,
            _ => self.leader_changed(hardship).await,
        }
    }
}
