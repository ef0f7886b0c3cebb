//! What was wrong with the context of messages: counted, and told in a debug line.

use super::operation::Operation;
use super::propagation::Problem;
use crate::telemetry::{Component, Telemetry};

impl Telemetry {
    /// Counts problems with a message's context, and tells them where debug lines are enabled.
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
