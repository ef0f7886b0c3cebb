//! rdkafka's embedded mock cluster, for runs without a real Kafka.

use std::sync::OnceLock;

use rdkafka::ClientConfig;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::future_producer::FutureProducerContext;
use rdkafka::producer::{DefaultProducerContext, FutureProducer, Producer as _};

type Owner = FutureProducer<DefaultProducerContext>;

/// The cluster of this process, started at first use.
pub fn cluster() -> MockCluster<'static, FutureProducerContext<DefaultProducerContext>> {
    static OWNER: OnceLock<Owner> = OnceLock::new();
    OWNER
        .get_or_init(|| {
            ClientConfig::new()
                .set("test.mock.num.brokers", "1")
                .create_with_context(DefaultProducerContext)
                .expect("the embedded mock cluster starts")
        })
        .client()
        .mock_cluster()
        .expect("a client that owns a mock cluster")
}
