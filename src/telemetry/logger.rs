//! The logger: exceptions as log records.

use std::sync::Arc;
use std::time::SystemTime;

use opentelemetry::Context;
use opentelemetry::baggage::BaggageExt as _;
use opentelemetry::logs::{LogRecord as _, Logger};

use super::context::{active_span, copied};
use super::{Component, Telemetry};
use crate::semconv::exception::Exception;
use crate::semconv::operation_type::OperationType;

/// A logger of whatever type: each has a type of record of its own.
pub(super) trait ExceptionLogger: Send + Sync {
    /// Whether anybody wants exceptions of such operations.
    fn is_enabled(&self, operation_type: OperationType) -> bool;

    /// Writes what ended an operation, whose context this is.
    fn log(
        &self,
        operation_type: OperationType,
        context: &Context,
        at: SystemTime,
        exception: &Exception,
    );
}

impl<L: Logger + Send + Sync> ExceptionLogger for L {
    fn is_enabled(&self, operation_type: OperationType) -> bool {
        let event = operation_type.exception_event();
        let severity = operation_type.exception_severity();
        self.event_enabled(severity, env!("CARGO_PKG_NAME"), Some(event))
    }

    fn log(
        &self,
        operation_type: OperationType,
        context: &Context,
        at: SystemTime,
        exception: &Exception,
    ) {
        let severity = operation_type.exception_severity();
        let mut record = self.create_log_record();
        record.set_event_name(operation_type.exception_event());
        record.set_severity_number(severity);
        record.set_severity_text(severity.name());
        record.set_timestamp(at);
        let active = active_span(context);
        if let Some(span) = &active {
            let flags = Some(span.trace_flags());
            record.set_trace_context(span.trace_id(), span.span_id(), flags);
        }
        for (key, value) in exception.attributes() {
            record.add_attribute(key, value);
        }
        // Log processors look for baggage in what is current. A span without an identity there would be taken for
        // one.
        let current = match active {
            Some(_) => context.clone(),
            None => Context::new().with_baggage(copied(context.baggage().iter())),
        };
        let _current = current.attach();
        self.emit(record);
    }
}

impl Telemetry {
    /// Whether exceptions of such operations are events of their spans.
    ///
    /// Spec: [exceptions-spans], which is deprecated: operations that had no events before get none.
    ///
    /// [exceptions-spans]: https://github.com/open-telemetry/semantic-conventions/blob/v1.45.0/docs/exceptions/exceptions-spans.md
    pub(crate) fn has_exception_events(&self, operation_type: OperationType) -> bool {
        operation_type == OperationType::Process
            && (self.logger.is_none() || self.keeps_exception_events)
    }

    /// Whether exceptions of such operations are logged.
    pub(crate) fn logs_exceptions(&self, operation_type: OperationType) -> bool {
        let is_enabled = |logger: &Arc<dyn ExceptionLogger>| {
            self.caught(Component::Logger, || logger.is_enabled(operation_type))
        };
        self.logger.as_ref().and_then(is_enabled).unwrap_or(false)
    }

    /// Logs what ended an operation, whose context this is.
    pub(crate) fn log_exception(
        &self,
        operation_type: OperationType,
        context: &Context,
        at: SystemTime,
        exception: &Exception,
    ) {
        if let Some(logger) = &self.logger {
            self.caught(Component::Logger, || {
                logger.log(operation_type, context, at, exception);
            });
        }
    }
}
