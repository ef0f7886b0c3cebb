//! What was wrong with the context of messages: counted and logged.

use super::operation::Operation;
use super::propagation::Problem;
use crate::telemetry::{Component, PROBLEM_KINDS, Telemetry};

// One that is added has to have its lines too.
const _: () = assert!(Problem::RefusedForSize.index() + 1 == PROBLEM_KINDS);

impl Telemetry {
    /// Counts problems with a message's context, and logs them.
    pub(crate) fn report(
        &self,
        problems: impl IntoIterator<Item = Problem>,
        operation: &Operation<'_>,
    ) {
        for problem in problems {
            self.measure(|instruments| instruments.problem(problem, operation));
            self.caught(Component::Log, || self.log(problem, operation));
        }
    }

    /// Says what was wrong and where. Header values may be anybody's secrets, or forged log lines:
    /// none is shown.
    fn log(&self, problem: Problem, operation: &Operation<'_>) {
        // Both levels are written out: `tracing` has them in its macros only.
        macro_rules! log {
            ($level:ident, $suppressed:ident, $text:literal) => {
                tracing::$level!(
                    problem = problem.name(),
                    header = problem.header(),
                    system = operation.client.system,
                    operation = operation.operation_name,
                    destination = ?operation.destination.map(|destination| destination.name.as_str()),
                    partition = operation.partition,
                    suppressed = $suppressed,
                    $text
                )
            };
        }
        if problem == Problem::RefusedForSize {
            if let Some(suppressed) = self.problem_lines().allows(problem.index()) {
                log!(
                    warn,
                    suppressed,
                    "a message was refused for its size after context was added to it; tell how much \
                     the destination takes by `max_message_bytes` of the policy"
                );
            }
        } else if tracing::enabled!(tracing::Level::DEBUG)
            && let Some(suppressed) = self.problem_lines().allows(problem.index())
        {
            log!(
                debug,
                suppressed,
                "the context of a message is not as it should be"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use std::panic::resume_unwind;
    use std::sync::Arc;

    use tracing::span::{Attributes, Id, Record};
    use tracing::subscriber::{NoSubscriber, with_default};
    use tracing::{Dispatch, Event, Metadata, Subscriber};

    use super::*;
    use crate::engine::client::Client;
    use crate::semconv::operation_type::OperationType;

    /// Takes no line without a panic.
    struct Panicking;

    impl Subscriber for Panicking {
        fn enabled(&self, _: &Metadata<'_>) -> bool {
            true
        }
        fn new_span(&self, _: &Attributes<'_>) -> Id {
            Id::from_u64(1)
        }
        fn record(&self, _: &Id, _: &Record<'_>) {}
        fn record_follows_from(&self, _: &Id, _: &Id) {}
        fn event(&self, _: &Event<'_>) {
            resume_unwind(Box::new("in a subscriber"));
        }
        fn enter(&self, _: &Id) {}
        fn exit(&self, _: &Id) {}
    }

    #[test]
    fn a_subscriber_that_panics_is_kept_from_messaging() {
        let client = Arc::new(Client::new(&Telemetry::new(), "kafka"));
        let operation = Operation {
            client: &client,
            operation_type: OperationType::Send,
            operation_name: "send",
            destination: None,
            partition: None,
            batch: None,
            baggage: None,
        };
        // With one subscriber alone, whatever thread comes first decides for all whether it is asked.
        let _other = Dispatch::new(NoSubscriber::default());

        let problems = || [Problem::RefusedForSize, Problem::Missing];
        with_default(Panicking, || {
            client.telemetry.report(problems(), &operation);
        });

        let lines = client.telemetry.problem_lines();
        let had_a_line = problems().map(|problem| lines.allows(problem.index()).is_none());
        assert_eq!(had_a_line, [true, true]);
    }
}
