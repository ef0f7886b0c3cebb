//! Receiving that ends with an error.

use std::borrow::Cow;

use super::sealed::MessageSource;
use crate::engine::ambient::current;
use crate::engine::operation::Operation;
use crate::engine::parent::ParentAndLinks;
use crate::engine::span::StartedOperation;
use crate::semconv::exception::ErrorDetails;
use crate::semconv::operation_type::OperationType;
use crate::telemetry::Moment;

/// Records a wait for messages that ended with an error, where one that ends with a message is recorded. `batch` is
/// how many messages came by it, where it was for many.
///
/// Spec: [messaging-spans § Operation types], `receive`.
///
/// [messaging-spans § Operation types]: https://github.com/open-telemetry/semantic-conventions/blob/v1.45.0/docs/messaging/messaging-spans.md#operation-types
pub(crate) fn receive_failed(
    source: &impl MessageSource,
    batch: Option<usize>,
    since: Moment,
    error_type: impl Into<Cow<'static, str>>,
    details: impl FnOnce() -> ErrorDetails,
) {
    let current = current();
    if current.is_telemetry_suppressed() {
        return;
    }
    let destination = source.common_destination();
    let operation = Operation {
        client: source.client(),
        operation_type: OperationType::Receive,
        operation_name: source.receive_name(),
        destination: destination.as_ref(),
        partition: source.partition(),
        batch,
        baggage: None,
    };
    if operation.is_wanted() {
        let inside = ParentAndLinks::inside(current, Vec::new());
        let mut started = StartedOperation::since(since, &operation, inside, |set| {
            source.attributes().into_iter().for_each(set);
        });
        started.fail(error_type, details);
    }
}
