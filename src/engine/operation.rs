//! What is done, with which client, to what.

use std::sync::Arc;

use super::client::Client;
use super::destination::Destination;
use super::shown_baggage::ShownBaggage;
use crate::policy::{Record, Rule};
use crate::semconv::operation_type::OperationType;
use crate::semconv::span_name::span_name;

/// What is done, with which client, to what; `None` is left out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Operation<'a> {
    pub(crate) client: &'a Arc<Client>,
    pub(crate) operation_type: OperationType,
    /// The system's own verb for what is done.
    pub(crate) operation_name: &'static str,
    /// Topic, queue or subject; unset where there are several.
    pub(crate) destination: Option<&'a Arc<Destination>>,
    /// Partition, where it is known before the operation.
    pub(crate) partition: Option<i32>,
    /// How many messages it is about, where it is about a batch.
    pub(crate) batch: Option<usize>,
    /// What is seen of the baggage of its message; of the messages of a batch, what all have on
    /// metrics.
    pub(crate) baggage: Option<&'a Arc<ShownBaggage>>,
}

impl<'a> Operation<'a> {
    /// What the policy says of it.
    pub(crate) fn rule(&self) -> &'a Rule {
        let of_destination = self.destination.map(|destination| &destination.rule);
        of_destination.unwrap_or(&self.client.rule)
    }

    /// Name of its span.
    pub(crate) fn span_name(&self) -> String {
        let destination = self.destination;
        let name = destination.and_then(|destination| destination.low_cardinality_name());
        span_name(self.operation_name, name.map(|name| name.as_str()))
    }

    /// Whether it has a span.
    pub(crate) fn has_span(&self) -> bool {
        self.rule().recorded() == Record::Full && self.is_wanted()
    }

    /// Whether it would have one where all is recorded; without it is measured all the same.
    pub(crate) fn is_wanted(&self) -> bool {
        let rule = self.rule();
        match self.operation_type {
            OperationType::Receive => rule.wants_receive_spans(self.batch.is_some()),
            OperationType::Settle => rule.wants_settle_spans(true),
            OperationType::Create => rule.wants_create_spans(),
            OperationType::Send | OperationType::SendExisting | OperationType::Process => true,
        }
    }
}
