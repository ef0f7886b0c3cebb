//! Types of operations on messages, and the kind of span that each of them makes.

use opentelemetry::logs::Severity;
use opentelemetry::trace::SpanKind;

/// What is done to a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OperationType {
    /// A message of a batch gets its context, before the batch is sent.
    Create,
    /// A message is sent and carries the context of this very span.
    Send,
    /// A message is sent and carries a context that was in it before.
    SendExisting,
    /// The application asked for messages and was given some.
    Receive,
    /// A received message is processed by the application.
    Process,
    /// A received message is acknowledged, refused or committed.
    Settle,
}

impl OperationType {
    /// Value of `messaging.operation.type`.
    ///
    /// Spec: [messaging-spans § Operation types].
    ///
    /// [messaging-spans § Operation types]: https://github.com/open-telemetry/semantic-conventions/blob/v1.45.0/docs/messaging/messaging-spans.md#operation-types
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Send | Self::SendExisting => "send",
            Self::Receive => "receive",
            Self::Process => "process",
            Self::Settle => "settle",
        }
    }

    /// Whether it is a producer's.
    pub(crate) const fn is_producing(self) -> bool {
        matches!(self, Self::Create | Self::Send | Self::SendExisting)
    }

    /// Kind of span that this operation makes.
    ///
    /// Spec: [messaging-spans § Span kind].
    ///
    /// [messaging-spans § Span kind]: https://github.com/open-telemetry/semantic-conventions/blob/v1.45.0/docs/messaging/messaging-spans.md#span-kind
    pub(crate) const fn span_kind(self) -> SpanKind {
        match self {
            Self::Create | Self::Send => SpanKind::Producer,
            Self::Process => SpanKind::Consumer,
            Self::SendExisting | Self::Receive | Self::Settle => SpanKind::Client,
        }
    }

    /// Kind of the spans that are beside that of this operation, for links that it has no room for or
    /// in the traces of its messages.
    ///
    /// They are no operations of the conventions. But maps of services draw an edge between a producer
    /// and a consumer only, be it by parent or by link, and shall not miss one that the operation
    /// itself cannot show.
    pub(crate) const fn kind_of_own_spans(self) -> SpanKind {
        match self {
            Self::Process => SpanKind::Consumer,
            Self::Create | Self::Send | Self::SendExisting | Self::Receive | Self::Settle => {
                SpanKind::Internal
            }
        }
    }

    /// Name of the event of an exception that this operation ended with.
    ///
    /// Spec: [messaging-exceptions].
    ///
    /// [messaging-exceptions]: https://github.com/open-telemetry/semantic-conventions/blob/v1.45.0/docs/messaging/messaging-exceptions.md
    pub(crate) const fn exception_event(self) -> &'static str {
        match self {
            Self::Create => "messaging.create.exception",
            Self::Send | Self::SendExisting => "messaging.send.exception",
            Self::Receive => "messaging.receive.exception",
            Self::Process => "messaging.process.exception",
            Self::Settle => "messaging.settle.exception",
        }
    }

    /// How bad that is: the application handles what a client returns, and nobody what a handler does.
    ///
    /// Spec: [messaging-exceptions].
    ///
    /// [messaging-exceptions]: https://github.com/open-telemetry/semantic-conventions/blob/v1.45.0/docs/messaging/messaging-exceptions.md
    pub(crate) const fn exception_severity(self) -> Severity {
        match self {
            Self::Process => Severity::Error,
            _ => Severity::Warn,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_operation_has_the_type_and_kind_of_its_span_definition() {
        let definitions = [
            (OperationType::Create, "create", SpanKind::Producer),
            (OperationType::Send, "send", SpanKind::Producer),
            (OperationType::SendExisting, "send", SpanKind::Client),
            (OperationType::Receive, "receive", SpanKind::Client),
            (OperationType::Process, "process", SpanKind::Consumer),
            (OperationType::Settle, "settle", SpanKind::Client),
        ];

        for (one, text, kind) in definitions {
            assert_eq!(one.as_str(), text);
            assert_eq!(one.span_kind(), kind);
            let is_consumer = kind == SpanKind::Consumer;
            assert_eq!(one.kind_of_own_spans() == SpanKind::Consumer, is_consumer);
            assert_eq!(one.exception_event(), format!("messaging.{text}.exception"));
            let severity = match kind {
                SpanKind::Consumer => 17,
                _ => 13,
            };
            assert_eq!(one.exception_severity() as i32, severity);
        }
    }
}
