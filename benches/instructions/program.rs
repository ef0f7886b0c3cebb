//! Runs each row, to be counted from outside.
//!
//! Tells of each way how often the function that is counted had been called before it, how often after
//! it, and how many operations that were.

use benches::harness::Report;
use benches::rows;

fn main() {
    rows::measure(&Report::counted());
}
