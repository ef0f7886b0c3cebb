//! What the crate costs, beside OpenTelemetry's own propagators and beside the least by hand.
#![expect(clippy::expect_used, reason = "a benchmark panics where it fails")]

mod batch;
mod codec;
mod headers;
mod nats;
mod policy;
mod process;
mod send;
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
