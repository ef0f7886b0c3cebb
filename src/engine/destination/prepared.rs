//! What all spans and metrics of an operation on a destination have, made once.

use std::sync::OnceLock;

use opentelemetry::KeyValue;
#[cfg(feature = "bound-instruments")]
use opentelemetry::metrics::{BoundCounter, BoundHistogram};

use crate::semconv::operation_type::OperationType;

/// What all spans and metrics of one operation on a destination have.
#[derive(Clone, Debug)]
pub(in crate::engine) struct Prepared {
    pub(in crate::engine) span_name: String,
    /// Attributes of counters of messages, but for the partition and the error.
    pub(in crate::engine) messages: Vec<KeyValue>,
    /// Attributes of durations, but for the same.
    pub(in crate::engine) durations: Vec<KeyValue>,
    #[cfg(feature = "bound-instruments")]
    pub(in crate::engine) bound: Bound,
}

/// Instruments with these attributes, once something was measured. An operation has one of each.
#[cfg(feature = "bound-instruments")]
#[derive(Clone, Debug, Default)]
pub(in crate::engine) struct Bound {
    pub(in crate::engine) counter: OnceLock<BoundCounter<u64>>,
    pub(in crate::engine) duration: OnceLock<BoundHistogram<f64>>,
}

/// The operations that there were on a destination: at most as many as its client has verbs. They are
/// read without a lock, for each message.
#[derive(Debug, Default)]
pub(super) struct PreparedOperations(OnceLock<Box<Known>>);

#[derive(Debug)]
struct Known {
    operation_name: &'static str,
    operation_type: OperationType,
    prepared: Prepared,
    next: PreparedOperations,
}

impl PreparedOperations {
    pub(super) fn get(
        &self,
        operation_name: &'static str,
        operation_type: OperationType,
        prepare: impl Fn() -> Prepared,
    ) -> &Prepared {
        let mut place = self;
        loop {
            let known = place.0.get_or_init(|| {
                Box::new(Known {
                    operation_name,
                    operation_type,
                    prepared: prepare(),
                    next: Self::default(),
                })
            });
            if known.operation_type == operation_type && known.operation_name == operation_name {
                return &known.prepared;
            }
            place = &known.next;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn each_operation_is_prepared_once() {
        let operations = PreparedOperations::default();
        let made = Cell::new(0);
        let name_of = |name, operation_type| {
            let prepared = operations.get(name, operation_type, || {
                made.set(made.get() + 1);
                Prepared {
                    span_name: format!("{name} {operation_type:?}"),
                    messages: Vec::new(),
                    durations: Vec::new(),
                    #[cfg(feature = "bound-instruments")]
                    bound: Bound::default(),
                }
            });
            prepared.span_name.clone()
        };

        for _ in 0..2 {
            assert_eq!(name_of("send", OperationType::Send), "send Send");
            assert_eq!(
                name_of("send", OperationType::SendExisting),
                "send SendExisting"
            );
            assert_eq!(
                name_of("process", OperationType::Process),
                "process Process"
            );
        }
        assert_eq!(made.get(), 3);
    }
}
