//! [`Batch`]: messages that are handled together.

mod batches;
mod members;

use std::fmt;
use std::ops::Deref;

use opentelemetry::Context;

pub use self::batches::Batches;
use self::members::{BatchMembers, PartedAttributes};
use crate::engine::ambient::{ambient, current};
use crate::engine::in_common::common_partition;
use crate::engine::operation::Operation;
use crate::engine::parent::{Ambient, ParentAndLinks};
use crate::engine::received::sealed::MessageSource as _;
use crate::engine::received::{Message, Received};
use crate::engine::refused::Refused;
use crate::engine::span::{ProcessSpan, StartedOperation, processing};
use crate::policy::Record;
use crate::semconv::operation_type::OperationType;
use crate::semconv::outcome::Outcome;
use crate::telemetry::Moment;
use crate::telemetry::context::active_span;

/// Messages that are processed together. It derefs to a slice of them.
///
/// A wrapped consumer delivers batches, or one is made from messages that were received one by one:
///
/// ```
/// # #[cfg(feature = "kafka")] mod example {
/// use futures::StreamExt as _;
/// use otel_messaging::{Batch, kafka};
/// use rdkafka::message::BorrowedMessage;
///
/// # async fn store(orders: &Batch<BorrowedMessage<'_>>) -> anyhow::Result<()> { Ok(()) }
/// async fn whatever_is_there(consumer: &kafka::Consumer) {
///     let mut chunks = consumer.stream().ready_chunks(500);
///     while let Some(orders) = chunks.next().await {
///         // The client tries again by itself, but after a fatal error: see the loop of `kafka`.
///         let orders: Vec<_> = orders.into_iter().filter_map(Result::ok).collect();
///         if let Err(error) = Batch::from(orders).process(async |orders| store(orders).await).await {
///             eprintln!("{error:#}");
///         }
///     }
/// }
/// # }
/// ```
pub struct Batch<M: Message>(Vec<Received<M>>);

impl<M: Message> Batch<M> {
    /// Takes messages that the application waited for since then, and records the receiving.
    pub(crate) fn received(mut messages: Vec<Received<M>>, since: Moment) -> Self {
        let ambient = current();
        for message in &mut messages {
            message.deliver_again(&ambient);
        }
        let batch = Self(messages);
        if !ambient.is_telemetry_suppressed() {
            batch.with_members(OperationType::Receive, &ambient, |operation, members| {
                let (mut links, mut in_common) = (Vec::new(), Vec::new());
                if operation.has_span() {
                    PartedAttributes {
                        links,
                        common: in_common,
                        ..
                    } = members(0).parted();
                }
                if operation.is_wanted() {
                    let inside = ParentAndLinks::inside(ambient.clone(), links);
                    StartedOperation::since(since, operation, inside, |set| {
                        in_common.into_iter().for_each(set);
                    });
                }
            });
        }
        batch
    }

    /// Processes the messages in one `process {destination}` span, and returns what the handler
    /// returns.
    ///
    /// The span links to the creation context of every message and is a child of none of them. Its
    /// parent is a span that was opened since the messages were delivered; without one it is a
    /// root. A span that was active before is linked. Attributes that differ between messages are
    /// on the links, those that all messages share are on the span.
    ///
    /// Beyond the limit of links ([`Telemetry::max_links`](crate::Telemetry::max_links)), messages
    /// with the same creation context share a link, and the remaining links are on child spans
    /// named `links {destination}`. Errors, panics and the choice of the ambient context are as for
    /// [a single message](crate::Received::process).
    ///
    /// What the handler sends belongs to the batch's span. To send in the trace of one message
    /// instead, use its creation context, also for each of many that are sent under one call
    /// (`send_batch_with_contexts` of Kafka's producer, `publish_batch_with_contexts` of the others);
    /// to give one message a span of its own, in its own trace, call its `process`:
    ///
    /// ```
    /// # #[cfg(feature = "kafka")] mod example {
    /// use opentelemetry::context::FutureExt as _;
    /// use otel_messaging::Batch;
    /// use rdkafka::message::BorrowedMessage;
    ///
    /// # async fn ship(order: &BorrowedMessage<'_>) -> Result<(), String> { Ok(()) }
    /// # async fn notify(order: &BorrowedMessage<'_>) {}
    /// async fn handle(orders: &Batch<BorrowedMessage<'_>>) {
    ///     orders
    ///         .process(async |orders| {
    ///             for order in orders.iter() {
    ///                 let shipped = order.process(async |order| ship(order).await).await;
    ///                 if shipped.is_ok() {
    ///                     notify(order).with_context(order.creation_context().clone()).await;
    ///                 }
    ///             }
    ///         })
    ///         .await
    /// }
    /// # }
    /// ```
    ///
    /// That span links to the batch's span.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the handler, and ends the span with the `error.type` `cancelled`.
    pub fn process<'r, R, F, Fut>(
        &'r self,
        handler: F,
    ) -> impl Future<Output = R> + use<'r, M, R, F, Fut>
    where
        F: FnOnce(&'r Self) -> Fut,
        Fut: Future<Output = R>,
        R: Outcome,
    {
        let called = current();
        processing(
            move || self.start_in(ambient(called)),
            move || handler(self),
        )
    }

    /// Starts the batch's `process {destination}` span, for code that a closure does not suit.
    pub fn start_process_span(&self) -> ProcessSpan {
        self.start_in(current())
    }

    /// The messages, each by itself.
    #[must_use]
    pub fn into_inner(self) -> Vec<Received<M>> {
        self.0
    }

    fn start_in(&self, ambient: Context) -> ProcessSpan {
        if ambient.is_telemetry_suppressed() {
            return ProcessSpan::unrecorded(ambient);
        }
        let span = self.with_members(OperationType::Process, &ambient, |operation, members| {
            let rule = operation.rule();
            if rule.recorded() == Record::Off {
                return ProcessSpan::unrecorded(self.without_a_span(&ambient, members));
            }
            let parted = members(rule.fans_back_to()).parted();
            let was_active_before = |span| self.messages().any(|one| one.was_active_before(&span));
            let around = Ambient {
                context: &ambient,
                is_about_it: !active_span(&ambient).is_some_and(was_active_before),
                is_of_batch: false,
                choice: rule.chosen_parent(),
            };
            let parent_and_links = if operation.has_span() {
                ParentAndLinks::handling_many(around, parted.links)
            } else {
                ParentAndLinks::inside(ambient.clone(), Vec::new())
            };
            let parent_and_links = parent_and_links.remembering(parted.refused);
            let mut started = StartedOperation::start(operation, parent_and_links, |set| {
                parted.common.into_iter().for_each(set);
            });
            started.processes_batch(parted.fan_back);
            let span = started.span_context();
            for message in self.messages() {
                message.is_processed_in(span.clone());
            }
            ProcessSpan::new(started)
        });
        span.unwrap_or_else(|| ProcessSpan::unrecorded(ambient))
    }

    /// The context of a handler of messages of which nothing is recorded: what they were not allowed
    /// to bring in shall not go out all the same.
    fn without_a_span<'o>(
        &self,
        ambient: &Context,
        members: &dyn Fn(usize) -> BatchMembers<'o>,
    ) -> Context {
        let is_needed = |one: &Received<M>| Refused::is_needed(ambient, one.destination());
        let is_needed = self.messages().any(is_needed);
        let refused = is_needed.then(|| members(0).parted().refused).flatten();
        match refused {
            Some(refused) => refused.put_into(ambient.clone()),
            None => ambient.clone(),
        }
    }

    /// Without what the broker only says of one.
    fn messages(&self) -> impl Iterator<Item = &Received<M>> + Clone {
        let is_message = |one: &&Received<M>| !one.message().is_status();
        self.0.iter().filter(is_message)
    }

    /// What the messages have in common, and what each carries, with at most so many traces for the way
    /// back; `None` of no messages.
    fn with_members<T>(
        &self,
        operation_type: OperationType,
        ambient: &Context,
        use_them: impl for<'o> FnOnce(&'o Operation<'o>, &dyn Fn(usize) -> BatchMembers<'o>) -> T,
    ) -> Option<T> {
        let first = self.messages().next()?;
        let destinations = || self.messages().map(Received::destination);
        let client = first.source().client();
        let without = |left_out| {
            let messages = self.messages();
            messages.map(move |one| one.message().destination_without(one.source(), left_out))
        };
        let destination = client.common_destination(destinations(), without);
        let partitions = self.messages().map(|one| one.message().partition());
        let baggage = client.shown_baggage_of_all(self.messages().map(Received::shown_baggage));
        let operation = Operation {
            client,
            operation_type,
            operation_name: match operation_type {
                OperationType::Receive => first.source().receive_name(),
                _ => "process",
            },
            destination: destination.as_ref(),
            partition: common_partition(destinations().zip(partitions)),
            batch: Some(self.messages().count()),
            baggage: baggage.as_ref(),
        };
        let is_needed = destinations().any(|one| Refused::is_needed(ambient, one));
        let members = |most_origins| {
            let refused = is_needed.then(|| Refused::nothing(&client.telemetry));
            let mut members = BatchMembers::new(&operation, most_origins, refused);
            for message in self.messages() {
                members.add(message);
            }
            members
        };
        Some(use_them(&operation, &members))
    }
}

/// Messages that were received one by one.
impl<M: Message> From<Vec<Received<M>>> for Batch<M> {
    fn from(messages: Vec<Received<M>>) -> Self {
        Self(messages)
    }
}

impl<M: Message> Deref for Batch<M> {
    type Target = [Received<M>];

    fn deref(&self) -> &[Received<M>] {
        &self.0
    }
}

impl<M: Message> IntoIterator for Batch<M> {
    type Item = Received<M>;
    type IntoIter = std::vec::IntoIter<Received<M>>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a, M: Message> IntoIterator for &'a Batch<M> {
    type Item = &'a Received<M>;
    type IntoIter = std::slice::Iter<'a, Received<M>>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl<M: Message + fmt::Debug> fmt::Debug for Batch<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Batch").field(&self.0).finish()
    }
}
