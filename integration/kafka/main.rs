//! The scenarios on Kafka, and what only Kafka has.

mod batch_failures;
mod batch_links;
mod batch_sends;
mod batches;
mod callbacks_of_the_user;
mod commits;
mod consumers;
mod diagnosis;
mod exported;
mod failed_receives;
mod failures;
mod foreign;
mod headers;
mod metrics;
mod numbered;
mod offsets;
mod oversize;
mod partitions;
mod policy;
mod producers;
mod queues_of_partitions;
mod rebalance;
mod receiving;
mod reporting;
mod sampling;
mod shop;
mod situations;
mod stand_in;
mod waiting;
mod wire;

mod futures {
    integration::scenarios!(integration::kafka::Kafka<integration::kafka::clients::Futures>);
    integration::scenarios_of_failed_receives!(
        integration::kafka::Kafka<integration::kafka::clients::Futures>
    );
    integration::scenarios_of_sent_batches!(
        integration::kafka::Kafka<integration::kafka::clients::Futures>
    );
    integration::scenarios_of_spawned_work!(
        integration::kafka::Kafka<integration::kafka::clients::Futures>
    );
}

mod callbacks {
    integration::scenarios!(integration::kafka::Kafka<integration::kafka::clients::Callbacks>);
}

mod queues {
    integration::scenarios!(integration::kafka::Kafka<integration::kafka::clients::Queues>);
}
