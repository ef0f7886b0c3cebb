//! The scenarios on core NATS and on JetStream, and what only NATS has. The server is the one of
//! `NATS_URL`.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test panics where it fails"
)]

mod answers;
mod backpressure;
mod batch_sends;
mod batch_settling;
mod batches;
mod consumers;
mod core_batch_sends;
mod failed_receives;
mod foreign;
mod headers;
mod late_acks;
mod names;
mod numbered;
mod old_server;
mod oversize;
mod publishing;
mod requests;
mod settling;
mod shop;
mod stand_in;
mod status;
mod stored;
mod subscriptions;
mod traits;

mod core {
    integration::scenarios!(integration::nats::broker::Core);
    integration::scenarios_of_sent_batches!(integration::nats::broker::Core);
    integration::scenarios_of_spawned_work!(integration::nats::broker::Core);
}

mod jetstream {
    integration::scenarios!(integration::nats::broker::JetStream);
    integration::scenarios_of_failed_receives!(integration::nats::broker::JetStream);
    integration::scenarios_of_sent_batches!(integration::nats::broker::JetStream);
    integration::scenarios_of_settling!(integration::nats::broker::JetStream);
    integration::scenarios_of_spawned_work!(integration::nats::broker::JetStream);
}
