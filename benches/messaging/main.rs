//! What the crate costs, beside OpenTelemetry's own propagators and beside the least by hand.

use benches::harness::Report;
use benches::rows;

fn main() {
    rows::measure(&Report::timed());
}
