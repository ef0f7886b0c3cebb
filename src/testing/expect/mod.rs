//! Comparison of a span, metric or log record with what a test expects.

mod difference;
mod log;
mod metric;
mod span;

pub use self::log::ExpectedLog;
pub use self::metric::ExpectedMetric;
pub use self::span::ExpectedSpan;
