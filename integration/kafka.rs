//! The scenarios on Kafka, and what only Kafka has.

#[path = "kafka/batch_failures.rs"]
mod batch_failures;
#[path = "kafka/batch_links.rs"]
mod batch_links;
#[path = "kafka/batch_sends.rs"]
mod batch_sends;
#[path = "kafka/batches.rs"]
mod batches;
#[path = "kafka/callbacks.rs"]
mod callbacks_of_the_user;
#[path = "kafka/commits.rs"]
mod commits;
#[path = "kafka/consumers.rs"]
mod consumers;
#[path = "kafka/diagnosis.rs"]
mod diagnosis;
#[path = "kafka/exported.rs"]
mod exported;
#[path = "kafka/failures.rs"]
mod failures;
#[path = "kafka/foreign.rs"]
mod foreign;
#[path = "kafka/headers.rs"]
mod headers;
#[path = "kafka/metrics.rs"]
mod metrics;
#[path = "kafka/numbered.rs"]
mod numbered;
#[path = "kafka/offsets.rs"]
mod offsets;
#[path = "kafka/oversize.rs"]
mod oversize;
#[path = "kafka/policy.rs"]
mod policy;
#[path = "kafka/producers.rs"]
mod producers;
#[path = "kafka/queues.rs"]
mod queues_of_partitions;
#[path = "kafka/rebalance.rs"]
mod rebalance;
#[path = "kafka/receiving.rs"]
mod receiving;
#[path = "kafka/reporting.rs"]
mod reporting;
#[path = "kafka/sampling.rs"]
mod sampling;
#[path = "kafka/shop.rs"]
mod shop;
#[path = "kafka/situations.rs"]
mod situations;
#[path = "kafka/waiting.rs"]
mod waiting;
#[path = "kafka/wire.rs"]
mod wire;

mod futures {
    integration::scenarios!(integration::kafka::Kafka<integration::clients::Futures>);
    integration::scenarios_of_sent_batches!(
        integration::kafka::Kafka<integration::clients::Futures>
    );
}

mod callbacks {
    integration::scenarios!(integration::kafka::Kafka<integration::clients::Callbacks>);
}

mod queues {
    integration::scenarios!(integration::kafka::Kafka<integration::clients::Queues>);
}
