//! Offset commits.

use rdkafka::consumer::{self as rd, CommitMode, ConsumerContext};
use rdkafka::error::KafkaResult;
use rdkafka::message::Message;
use rdkafka::topic_partition_list::TopicPartitionList;

use super::attributes::{ClientInfo, error_type, offset};
use super::consumer::Consumer;
use crate::engine::ambient::current;
use crate::engine::operation::Operation;
use crate::engine::parent::ParentAndLinks;
use crate::engine::received::{Received, start_settle};
use crate::engine::span::StartedOperation;
use crate::semconv::exception::ErrorDetails;
use crate::semconv::operation_type::OperationType;
use crate::telemetry::context::active_span;

const COMMIT: &str = "commit";

impl<C> Consumer<C> {
    /// Commits the offset of a message, as [`rd::Consumer::commit_message`] does, in a `commit
    /// {topic}` span.
    ///
    /// The span is a child of the process span of a [`Received`] message, if there is or was one,
    /// else of the active span, and links to the message's creation context. A message of the client
    /// itself has no known process span. Boxes and counted pointers are accepted as references are.
    ///
    /// ```
    /// use std::sync::Arc;
    ///
    /// use otel_messaging::Received;
    /// use otel_messaging::kafka::Consumer;
    /// use rdkafka::consumer::CommitMode;
    /// use rdkafka::error::KafkaResult;
    /// use rdkafka::message::BorrowedMessage;
    ///
    /// fn commit(
    ///     consumer: &Consumer,
    ///     order: &Received<BorrowedMessage<'_>>,
    ///     shared: &Arc<Received<BorrowedMessage<'_>>>,
    ///     bare: &Box<BorrowedMessage<'_>>,
    /// ) -> KafkaResult<()> {
    ///     consumer.commit_message(order, CommitMode::Async)?;
    ///     consumer.commit_message(&order, CommitMode::Async)?;
    ///     consumer.commit_message(shared, CommitMode::Async)?;
    ///     consumer.commit_message(bare, CommitMode::Async)
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// The error of [`rd::Consumer::commit_message`].
    pub fn commit_message<M, X>(&self, message: &M, mode: CommitMode) -> KafkaResult<()>
    where
        M: Committable + ?Sized,
        C: rd::Consumer<X>,
        X: ConsumerContext,
    {
        self.info.commit_message(message, || {
            self.client.commit_message(message.message(), mode)
        })
    }
}

/// A message that [`Consumer::commit_message`] accepts: the client's own, or a [`Received`] one.
/// The trait is sealed.
pub trait Committable: sealed::Delivered {}

impl<M: sealed::Delivered + ?Sized> Committable for M {}

#[expect(
    private_interfaces,
    unnameable_types,
    reason = "nobody else is to implement or call it"
)]
mod sealed {
    use std::rc::Rc;
    use std::sync::Arc;

    use opentelemetry::Context;
    use rdkafka::message::BorrowedMessage;

    use super::{COMMIT, ClientInfo, Received, StartedOperation, start_settle};

    pub trait Delivered {
        /// The client's own message.
        fn message(&self) -> &BorrowedMessage<'_>;
        /// Starts committing it.
        fn start_commit(&self, info: &ClientInfo, ambient: &Context) -> StartedOperation;
    }

    impl Delivered for BorrowedMessage<'_> {
        fn message(&self) -> &BorrowedMessage<'_> {
            self
        }

        fn start_commit(&self, info: &ClientInfo, ambient: &Context) -> StartedOperation {
            start_settle(self, info, COMMIT, ambient)
        }
    }

    impl Delivered for Received<BorrowedMessage<'_>> {
        fn message(&self) -> &BorrowedMessage<'_> {
            self
        }

        fn start_commit(&self, _: &ClientInfo, ambient: &Context) -> StartedOperation {
            self.start_settle(COMMIT, ambient)
        }
    }

    /// What points to a message would be dereferenced to it by the client's own method.
    macro_rules! pointers {
        ($($pointer:ty),+) => {
            $(impl<D: Delivered + ?Sized> Delivered for $pointer {
                fn message(&self) -> &BorrowedMessage<'_> {
                    (**self).message()
                }

                fn start_commit(&self, info: &ClientInfo, ambient: &Context) -> StartedOperation {
                    (**self).start_commit(info, ambient)
                }
            })+
        };
    }

    pointers!(&D, &mut D, Arc<D>, Box<D>, Rc<D>);
}

impl ClientInfo {
    /// Commits one message.
    pub(super) fn commit_message(
        &self,
        message: &(impl Committable + ?Sized),
        commit: impl FnOnce() -> KafkaResult<()>,
    ) -> KafkaResult<()> {
        let ambient = current();
        if ambient.is_telemetry_suppressed() {
            return commit();
        }
        let started = message.start_commit(self, &ambient);
        started.record(|| [offset(message.message().offset())]);
        self.end(started, commit())
    }

    /// Commits a list of offsets; the span names the topic and the partition if there is just one.
    /// Where no span is active it belongs to nothing, and there is one only where the policy asks for
    /// it.
    pub(super) fn commit_offsets(
        &self,
        offsets: Option<&TopicPartitionList>,
        commit: impl FnOnce() -> KafkaResult<()>,
    ) -> KafkaResult<()> {
        let ambient = current();
        if ambient.is_telemetry_suppressed() {
            return commit();
        }
        let elements = offsets
            .map(TopicPartitionList::elements)
            .unwrap_or_default();
        let first = elements.first();
        let partition = first
            .filter(|_| elements.len() == 1)
            .map(|only| only.partition());
        let topics = elements.iter().map(|element| element.topic());
        let destination = self.destination_of_all(topics.collect());
        let operation = Operation {
            client: &self.client,
            operation_type: OperationType::Settle,
            operation_name: COMMIT,
            destination: destination.as_ref(),
            partition,
            batch: None,
            baggage: None,
        };
        let belongs = active_span(&ambient).is_some();
        let started = if operation.rule().wants_settle_spans(belongs) {
            StartedOperation::start(
                &operation,
                ParentAndLinks::inside(ambient, Vec::new()),
                |_| {},
            )
        } else {
            StartedOperation::without_span(&operation, &ambient)
        };
        self.end(started, commit())
    }

    /// Ends the span with what the client answered. For an asynchronous commit that is only whether
    /// the request was taken.
    fn end(&self, mut started: StartedOperation, result: KafkaResult<()>) -> KafkaResult<()> {
        started.record(|| self.cluster_id());
        if let Err(error) = &result {
            started.fail(error_type(error), || ErrorDetails::from_error(error));
        }
        result
    }
}
