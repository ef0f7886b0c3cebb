//! Comparison of a log record with what a test expects.

use std::collections::BTreeMap;

use opentelemetry::logs::{AnyValue, Severity};
use opentelemetry::trace::SpanContext;
use opentelemetry::{Key, StringValue};
use opentelemetry_sdk::logs::SdkLogRecord;

use super::difference::{Differences, ids_text, quoted, span_text};

/// What a test expects of a log record, to compare a recorded one with.
///
/// Event name and severity are compared, and of its span and its attributes those that were named,
/// so that a test does not fail because a new release records more. [`exactly`](Self::exactly)
/// compares them all, and the body. Times, the instrumentation scope and the resource are never
/// compared.
///
/// # Examples
///
/// ```
/// use opentelemetry::logs::Severity;
/// use otel_messaging::testing::{ExpectedLog, Recorder};
///
/// # fn handled(recorder: &Recorder) {
/// // The code under test took this telemetry, and its handler has failed.
/// let telemetry = recorder.telemetry().logger_provider(recorder.logger_provider().clone());
///
/// ExpectedLog::new("messaging.process.exception", Severity::Error)
///     .in_span(&recorder.span("process orders").span_context)
///     .exception("my_shop::OutOfStock", "no stock of order 7")
///     .assert(&recorder.log("messaging.process.exception"));
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use = "nothing is compared before `assert` is called"]
pub struct ExpectedLog {
    event_name: &'static str,
    severity: Severity,
    span: Option<SpanContext>,
    // `None` stands for any value.
    attributes: BTreeMap<Key, Option<AnyValue>>,
    is_exact: bool,
}

impl ExpectedLog {
    /// Record of this event at this level.
    pub const fn new(event_name: &'static str, severity: Severity) -> Self {
        Self {
            event_name,
            severity,
            span: None,
            attributes: BTreeMap::new(),
            is_exact: false,
        }
    }

    /// Sets that a span, a body or an attribute that is not named is a difference. Unset: only what
    /// is named is compared.
    pub const fn exactly(mut self) -> Self {
        self.is_exact = true;
        self
    }

    /// Span that the record belongs to, by trace and span id and by flags.
    pub fn in_span(mut self, span: &SpanContext) -> Self {
        self.span = Some(span.clone());
        self
    }

    /// Attribute of the record. Given twice: the later value counts.
    pub fn attribute(mut self, key: impl Into<Key>, value: impl Into<AnyValue>) -> Self {
        self.attributes.insert(key.into(), Some(value.into()));
        self
    }

    /// Attribute that the record has with whatever value.
    pub fn any(mut self, key: impl Into<Key>) -> Self {
        self.attributes.insert(key.into(), None);
        self
    }

    /// Type and message of an exception.
    pub fn exception(
        self,
        exception_type: impl Into<StringValue>,
        message: impl Into<StringValue>,
    ) -> Self {
        self.attribute("exception.type", exception_type.into())
            .attribute("exception.message", message.into())
    }

    /// Compares `log` with all that is expected.
    ///
    /// # Panics
    ///
    /// When anything differs, with a line for each difference.
    #[track_caller]
    pub fn assert(&self, log: &SdkLogRecord) {
        let differences = self.differences(log);
        assert!(
            differences.is_empty(),
            "log record {:?} is not as expected:\n  {}",
            log.event_name(),
            differences.join("\n  "),
        );
    }

    fn differences(&self, log: &SdkLogRecord) -> Vec<String> {
        let mut differences = Differences(Vec::new());
        let found = log.event_name().map(quoted);
        differences.compare("event name", quoted(self.event_name), found);
        let level = |severity: Severity| format!("{} ({})", severity.name(), severity as i32);
        let found = log.severity_number();
        let found = found.map(|found| {
            let text = log.severity_text().unwrap_or_default();
            format!("{text} ({})", found as i32)
        });
        differences.compare("severity", level(self.severity), found);
        let expected = self.span.as_ref();
        if self.is_exact || expected.is_some() {
            let found = log.trace_context();
            differences.compare(
                "span",
                expected.map(span_text),
                found.map(|found| ids_text(found.trace_id, found.span_id)),
            );
            differences.compare(
                "flags",
                expected.map(|span| format!("{:?}", span.trace_flags())),
                found.and_then(|found| found.trace_flags.map(|flags| format!("{flags:?}"))),
            );
        }
        if self.is_exact {
            let found = log.body().map(|body| format!("{body:?}"));
            differences.compare("body", None, found);
        }
        let attributes = log.attributes_iter().map(|(key, value)| (key, value));
        differences.compare_attributes(
            self.attributes.iter(),
            attributes.filter(|(key, _)| self.is_exact || self.attributes.contains_key(*key)),
            value_text,
        );
        differences.0
    }
}

fn value_text(value: &AnyValue) -> String {
    match value {
        AnyValue::String(text) => quoted(text.as_str()),
        other => format!("{other:?}"),
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry::logs::{LogRecord as _, Logger as _, LoggerProvider as _};

    use super::*;
    use crate::testing::Recorder;
    use crate::testing::sample::{TRACE, context};

    fn logged() -> SdkLogRecord {
        let recorder = Recorder::new();
        let logger = recorder.logger_provider().logger("test");
        let span = context(TRACE, 2);
        let mut record = logger.create_log_record();
        record.set_event_name("order.exception");
        record.set_severity_number(Severity::Error);
        record.set_severity_text("ERROR");
        record.set_trace_context(span.trace_id(), span.span_id(), Some(span.trace_flags()));
        record.add_attribute("exception.type", "Timeout");
        record.add_attribute("exception.message", "took 5 s");
        record.add_attribute("attempt", 2);
        logger.emit(record);
        recorder.log("order.exception")
    }

    #[test]
    fn a_record_as_described_passes() {
        ExpectedLog::new("order.exception", Severity::Error)
            .in_span(&context(TRACE, 2))
            .exception("Timeout", "took 5 s")
            .any("attempt")
            .exactly()
            .assert(&logged());
    }

    #[test]
    fn only_what_was_named_is_compared() {
        ExpectedLog::new("order.exception", Severity::Error)
            .any("exception.type")
            .assert(&logged());

        let expected = ExpectedLog::new("order.exception", Severity::Error)
            .in_span(&context(TRACE, 3))
            .attribute("attempt", 3);
        assert_eq!(
            expected.differences(&logged()),
            [
                "span: expected span 0000000000000003 in trace 4bf92f3577b34da6a3ce929d0e0e4736, \
                 found span 0000000000000002 in trace 4bf92f3577b34da6a3ce929d0e0e4736",
                "attribute attempt: expected Int(3), found Int(2)",
            ]
        );
    }

    #[test]
    fn whatever_differs_has_a_line() {
        let expected = ExpectedLog::new("order.warning", Severity::Warn)
            .attribute("attempt", "2")
            .any("order")
            .exactly();

        assert_eq!(
            expected.differences(&logged()),
            [
                "event name: expected \"order.warning\", found \"order.exception\"",
                "severity: expected WARN (13), found ERROR (17)",
                "span: expected none, found span 0000000000000002 in trace 4bf92f3577b34da6a3ce929d0e0e4736",
                "flags: expected none, found TraceFlags(1)",
                "attribute attempt: expected \"2\", found Int(2)",
                "attribute exception.message: expected none, found \"took 5 s\"",
                "attribute exception.type: expected none, found \"Timeout\"",
                "attribute order: expected one value, whatever it is, found none",
            ]
        );
    }
}
