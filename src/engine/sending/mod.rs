//! Sending messages: their spans, and their context into their headers.

pub(crate) mod batch;
mod carried;
mod contexts;
mod creating;
mod outgoing;

use std::borrow::Cow;
use std::sync::Arc;

use opentelemetry::{Context, KeyValue};

use self::carried::{CarriedContext, strip};
pub(crate) use self::contexts::Contexts;
pub(crate) use self::outgoing::Outgoing;
use crate::engine::client::Client;
use crate::engine::operation::Operation;
use crate::engine::propagation::Problem;
use crate::engine::span::StartedOperation;
use crate::policy::{Record, Rule};
use crate::semconv::exception::ErrorDetails;
use crate::semconv::operation_type::OperationType;

/// A message on its way to the client, and from there to whatever the broker says of it. Dropped, its
/// span ends without an outcome.
///
/// It counts as sent from when the client has taken it, whatever becomes of it then. What the client
/// refuses, and what is dropped before, nobody has tried to send to the broker.
///
/// Spec: [messaging-metrics § Metric: messaging.client.sent.messages], note 1.
///
/// [messaging-metrics § Metric: messaging.client.sent.messages]: https://github.com/open-telemetry/semantic-conventions/blob/v1.45.0/docs/messaging/messaging-metrics.md#metric-messagingclientsentmessages
#[derive(Debug, Default)]
pub(crate) struct Sending {
    /// None where telemetry has nothing to do with the message.
    started: Option<StartedOperation>,
    /// The message is larger than it was given.
    is_larger: bool,
}

impl Sending {
    /// Starts the operation and writes its context into the message.
    ///
    /// The ambient span is the parent, or where none is active the context that the message carries.
    ///
    /// Spec: [messaging-spans § Producer spans].
    ///
    /// [messaging-spans § Producer spans]: https://github.com/open-telemetry/semantic-conventions/blob/v1.45.0/docs/messaging/messaging-spans.md#producer-spans
    pub(crate) fn start(
        client: &Arc<Client>,
        operation_name: &'static str,
        ambient: Context,
        message: &mut impl Outgoing,
    ) -> Self {
        if ambient.is_telemetry_suppressed() {
            return Self::default();
        }
        let destination = Arc::clone(message.destination());
        let operation = Operation {
            client,
            operation_type: OperationType::Send,
            operation_name,
            destination: Some(&destination),
            partition: message.partition(),
            batch: None,
            baggage: None,
        };
        let telemetry = &client.telemetry;
        let rule = operation.rule();
        if rule.recorded() == Record::Off {
            strip(&operation, &ambient, message);
            return Self::default();
        }
        let carried = CarriedContext::read(telemetry, rule, &ambient, message.headers());
        let is_kept = telemetry.keeps_existing_context && carried.can_be_kept();
        let baggage = carried.shown_baggage(client, rule, &ambient, is_kept);
        let operation = Operation {
            operation_type: match is_kept {
                true => OperationType::SendExisting,
                false => operation.operation_type,
            },
            baggage: baggage.as_ref(),
            ..operation
        };
        let parent_and_links = match is_kept {
            true => carried.kept_parent_and_links(&ambient),
            false => carried.parent_and_links(&ambient),
        };
        let mut started = StartedOperation::start(&operation, parent_and_links, |set| {
            message.own_attributes(telemetry, set);
        });
        let injected = if is_kept {
            carried.keep(&operation, message)
        } else {
            let left = carried.headers(&ambient);
            carried.inject(&operation, started.context(), left, message)
        };
        started.lets_go();
        Self {
            is_larger: injected.has_written,
            started: Some(started),
        }
    }

    /// The context of the span, where there is one.
    pub(crate) fn context(&self) -> Option<&Context> {
        self.started.as_ref().map(StartedOperation::context)
    }

    /// Sets attributes, which are built only if a span is recorded.
    pub(crate) fn record<I>(&self, attributes: impl FnOnce() -> I)
    where
        I: IntoIterator<Item = KeyValue>,
    {
        if let Some(started) = &self.started {
            started.record(attributes);
        }
    }

    /// The same, of attributes that depend on the rule.
    pub(crate) fn record_by_rule<I>(&self, attributes: impl FnOnce(&Rule) -> I)
    where
        I: IntoIterator<Item = KeyValue>,
    {
        if let Some(started) = &self.started {
            started.record_by_rule(attributes);
        }
    }

    /// Sets the partition, where it was not known at the start.
    pub(crate) fn in_partition(&mut self, partition: i32) {
        if let Some(started) = &mut self.started {
            started.in_partition(partition);
        }
    }

    /// The client has taken the message.
    pub(crate) const fn handed_over(&mut self) {
        if let Some(started) = &mut self.started {
            started.handed_over();
        }
    }

    /// Records a failure, whose details are asked for only if they are recorded.
    pub(crate) fn fail(
        &mut self,
        error_type: impl Into<Cow<'static, str>>,
        details: impl FnOnce() -> ErrorDetails,
    ) {
        if let Some(started) = &mut self.started {
            started.fail(error_type, details);
        }
    }

    /// The broker, or the client, refused the message for its size. If it carries a context of ours,
    /// that is counted as a problem.
    pub(crate) fn refused_for_size(&self) {
        if let Some(started) = &self.started
            && self.is_larger
        {
            let operation = started.operation();
            let telemetry = &operation.client.telemetry;
            telemetry.report([Problem::RefusedForSize], &operation);
        }
    }
}
