//! The scenarios on core NATS and on JetStream, and what only NATS has. The server is the one of
//! `NATS_URL`.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test panics where it fails"
)]

#[path = "nats/backpressure.rs"]
mod backpressure;
#[path = "nats/batch_sends.rs"]
mod batch_sends;
#[path = "nats/batch_settling.rs"]
mod batch_settling;
#[path = "nats/batches.rs"]
mod batches;
#[path = "nats/consumers.rs"]
mod consumers;
#[path = "nats/foreign.rs"]
mod foreign;
#[path = "nats/headers.rs"]
mod headers;
#[path = "nats/names.rs"]
mod names;
#[path = "nats/numbered.rs"]
mod numbered;
#[path = "nats/old_server.rs"]
mod old_server;
#[path = "nats/oversize.rs"]
mod oversize;
#[path = "nats/publishing.rs"]
mod publishing;
#[path = "nats/requests.rs"]
mod requests;
#[path = "nats/settling.rs"]
mod settling;
#[path = "nats/shop.rs"]
mod shop;
#[path = "nats/status.rs"]
mod status;
#[path = "nats/stored.rs"]
mod stored;
#[path = "nats/subscriptions.rs"]
mod subscriptions;
#[path = "nats/traits.rs"]
mod traits;

mod core {
    integration::scenarios!(integration::nats::broker::Core);
    integration::scenarios_of_sent_batches!(integration::nats::broker::Core);
}

mod jetstream {
    integration::scenarios!(integration::nats::broker::JetStream);
    integration::scenarios_of_sent_batches!(integration::nats::broker::JetStream);
    integration::scenarios_of_settling!(integration::nats::broker::JetStream);
}
