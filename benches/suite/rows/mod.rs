//! The rows of the tables.

mod batch;
mod codec;
mod headers;
mod nats;
mod policy;
mod process;
mod send;
mod table;

use crate::harness::Report;
use crate::sample::Broker;

/// Measures all rows that the report wants.
pub fn measure(report: &Report) {
    codec::measure(report);
    headers::measure(report);
    nats::measure(report);
    table::measure(report);
    policy::measure(report);
    let broker = Broker::start();
    process::measure(report, &broker);
    send::measure(report, &broker);
    batch::measure(report, &broker);
}
