//! Sending messages: their spans, and their context into their headers.

pub(crate) mod batch;
mod carried;

use opentelemetry::Context;

use self::carried::{CarriedContext, strip};
use crate::engine::attributes::captured;
use crate::engine::operation::Operation;
use crate::engine::propagation::Problem;
use crate::engine::propagation::{Headers, HeadersMut};
use crate::engine::span::StartedOperation;
use crate::policy::Record;
use crate::semconv::operation_type::OperationType;

/// A message on its way, from hand-over to whatever the broker says of it. Dropped, its span ends
/// without an outcome.
#[derive(Debug)]
pub(crate) struct Sending {
    running: StartedOperation,
    /// The message is larger than it was given.
    is_larger: bool,
}

impl Sending {
    /// Starts the operation and writes its context into `headers`, where `room` says
    /// how many bytes may be added; `None` where telemetry has nothing to do with the message.
    ///
    /// The ambient span is the parent, or where none is active the context that the message carries.
    ///
    /// Spec: messaging-spans § Producer spans, 1.44.0.
    pub(crate) fn start<H: Headers + HeadersMut>(
        operation: &Operation<'_>,
        ambient: Context,
        headers: &mut H,
        room: impl FnOnce(&H) -> usize,
    ) -> Option<Self> {
        if ambient.is_telemetry_suppressed() {
            return None;
        }
        let telemetry = &operation.client.telemetry;
        let rule = operation.rule();
        if rule.recorded() == Record::Off {
            strip(operation, &ambient, headers);
            return None;
        }
        let carried = CarriedContext::read(telemetry, rule, &ambient, headers);
        let is_kept = telemetry.keeps_existing_context() && carried.can_be_kept();
        let operation = Operation {
            operation_type: match is_kept {
                true => OperationType::SendExisting,
                false => operation.operation_type,
            },
            ..*operation
        };
        let parent_and_links = match is_kept {
            true => carried.kept_parent_and_links(&ambient),
            false => carried.parent_and_links(&ambient),
        };
        let running = StartedOperation::start(&operation, parent_and_links);
        running.record(|| captured(&*headers, rule, telemetry));
        let injected = if is_kept {
            carried.keep(&operation, headers, room)
        } else {
            let left = carried.headers(&ambient);
            carried.inject(&operation, running.context(), left, headers, room)
        };
        Some(Self {
            is_larger: injected.has_written,
            running,
        })
    }

    pub(crate) const fn running(&self) -> &StartedOperation {
        &self.running
    }

    pub(crate) const fn running_mut(&mut self) -> &mut StartedOperation {
        &mut self.running
    }

    /// The broker, or the client, refused the message for its size. If it carries a context of ours,
    /// that is counted as a problem.
    pub(crate) fn refused_for_size(&self) {
        if self.is_larger {
            let operation = self.running.operation();
            let telemetry = &operation.client.telemetry;
            telemetry.report([Problem::RefusedForSize], &operation);
        }
    }
}
