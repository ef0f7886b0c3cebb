//! What the crate costs, beside OpenTelemetry's own propagators and beside the least by hand.
#![expect(clippy::expect_used, reason = "a benchmark panics where it fails")]

#[path = "messaging/batch.rs"]
mod batch;
#[path = "messaging/codec.rs"]
mod codec;
#[path = "messaging/headers.rs"]
mod headers;
#[path = "messaging/nats.rs"]
mod nats;
#[path = "messaging/policy.rs"]
mod policy;
#[path = "messaging/process.rs"]
mod process;
#[path = "messaging/send.rs"]
mod send;
#[path = "messaging/table.rs"]
mod table;

use benches::harness::Report;
use benches::sample::Broker;

fn main() {
    let report = Report::begin();
    codec::measure(&report);
    headers::measure(&report);
    nats::measure(&report);
    table::measure(&report);
    policy::measure(&report);
    let broker = Broker::start();
    process::measure(&report, &broker);
    send::measure(&report, &broker);
    batch::measure(&report, &broker);
}
