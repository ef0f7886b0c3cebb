//! What the tests of this repository expect is whole: whatever they do not name is a difference.

use opentelemetry::logs::Severity;
use opentelemetry::trace::SpanKind;
use otel_messaging::testing::{ExpectedLog, ExpectedMetric, ExpectedSpan};

/// A whole span of this name and kind.
pub fn span(name: impl Into<String>, kind: SpanKind) -> ExpectedSpan {
    ExpectedSpan::new(name, kind).exactly()
}

/// A whole log record of this event at this level.
pub const fn log(event_name: &'static str, severity: Severity) -> ExpectedLog {
    ExpectedLog::new(event_name, severity).exactly()
}

/// A whole counter of this name and unit.
pub fn counter(name: &str, unit: &str) -> ExpectedMetric {
    ExpectedMetric::counter(name, unit).exactly()
}

/// A whole histogram of this name, unit and bounds.
pub fn histogram(name: &str, unit: &str, bounds: &[f64]) -> ExpectedMetric {
    ExpectedMetric::histogram(name, unit, bounds).exactly()
}
