//! [`Received`]: a message and the context that it was created in.

mod carried;
mod failed;
pub(crate) mod sealed;
mod settle;

use std::fmt;
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::SystemTime;

use opentelemetry::trace::{Link, SpanContext};
use opentelemetry::{Context, KeyValue};

use self::carried::{Creation, incoming};
pub(crate) use self::failed::receive_failed;
use self::sealed::{ConsumedMessage, MessageSource as _};
pub(crate) use self::settle::start_settle;
use crate::engine::ambient::{Delivered, ambient, current};
use crate::engine::attributes::captured;
use crate::engine::destination::Destination;
use crate::engine::in_batch::InBatch;
use crate::engine::operation::Operation;
use crate::engine::parent::{Ambient, ParentAndLinks, links_to, passed_on};
use crate::engine::propagation::Named;
use crate::engine::span::{ProcessSpan, StartedOperation, processing};
use crate::policy::{Incoming, Record, Rule};
use crate::semconv::operation_type::OperationType;
use crate::semconv::outcome::Outcome;
use crate::telemetry::Moment;
use crate::telemetry::context::active_span;

/// A message that a wrapped consumer delivered. It derefs to the client's own message.
///
/// It has no span yet: [`process`](Self::process) or
/// [`start_process_span`](Self::start_process_span) starts one.
pub struct Received<M: Message> {
    message: M,
    source: Arc<M::Source>,
    destination: OnceLock<Arc<Destination>>,
    /// What to take for its creation context where its headers have none.
    fallback: Option<Context>,
    creation: OnceLock<Creation>,
    /// The contexts that it names, read once.
    named: OnceLock<Named>,
    delivered: Delivered,
    /// The span that it is processed in, or was.
    processed_in: Mutex<Option<SpanContext>>,
    /// What was wrong with its context counts once, however often it is processed.
    is_reported: AtomicBool,
}

/// A message of one of the wrapped clients, for [`Received`]. The trait is sealed.
pub trait Message: ConsumedMessage {}

impl<M: ConsumedMessage> Message for M {}

impl<M: Message> Received<M> {
    /// Takes a message that the client gives, and counts it.
    ///
    /// `waited_since` is when the application began to wait for it, where that is a receive
    /// operation of its own. `lag` says how many messages are behind it, where the client knows.
    pub(crate) fn deliver(
        message: M,
        source: &Arc<M::Source>,
        waited_since: Option<Moment>,
        lag: impl FnOnce(&M) -> Option<u64>,
    ) -> Self {
        let current = current();
        let received = Self {
            delivered: source.client().met.delivered(&current),
            message,
            source: Arc::clone(source),
            destination: OnceLock::new(),
            fallback: None,
            creation: OnceLock::new(),
            named: OnceLock::new(),
            processed_in: Mutex::default(),
            is_reported: AtomicBool::new(false),
        };
        if !current.is_telemetry_suppressed() && !received.message.is_status() {
            received.count(&current, waited_since, lag);
        }
        received
    }

    /// It is delivered with others, after it was taken.
    pub(crate) fn deliver_again(&mut self, current: &Context) {
        self.delivered = self.source.client().met.delivered(current);
    }

    /// The same delivery with its message in another form.
    pub(crate) fn in_the_form_of<N>(&self, message: N) -> Received<N>
    where
        N: Message<Source = M::Source>,
    {
        Received {
            message,
            source: Arc::clone(&self.source),
            destination: self.destination.clone(),
            fallback: self.fallback.clone(),
            creation: self.creation.clone(),
            named: self.named.clone(),
            delivered: self.delivered,
            processed_in: Mutex::new(self.processed_in()),
            is_reported: AtomicBool::new(self.is_reported.load(Ordering::Relaxed)),
        }
    }

    fn count(
        &self,
        current: &Context,
        waited_since: Option<Moment>,
        lag: impl FnOnce(&M) -> Option<u64>,
    ) {
        let destination = self.destination();
        let client = self.source.client();
        let rule = &destination.rule;
        if rule.recorded() == Record::Off {
            return;
        }
        let operation = Operation {
            client,
            operation_type: OperationType::Receive,
            operation_name: self.source.receive_name(),
            destination: Some(destination),
            partition: self.message.partition(),
            batch: None,
            baggage: self.shown_baggage(),
        };
        client.telemetry.measure(|instruments| {
            instruments.consumed(&operation, 1);
            if rule.wants_time_in_queue()
                && let Some(sent) = self.message.sent_at()
            {
                instruments.waited(&operation, sent, SystemTime::now());
            }
            if rule.wants_lag()
                && let Some(behind) = lag(&self.message)
            {
                instruments.lag(&operation, behind);
            }
        });
        if operation.is_wanted()
            && let Some(since) = waited_since
        {
            let links = links_to(self.named(), self.incoming(rule)).collect();
            let inside = ParentAndLinks::inside(current.clone(), links);
            StartedOperation::since(since, &operation, inside, |set| {
                self.own_attributes(rule, set);
                self.message.number().into_iter().for_each(set);
            });
        }
    }

    /// The creation context, as a remote span, with the message's baggage, as far as the
    /// [`policy`](crate::policy) accepts them. Empty if there are none, or none that can be read.
    pub fn creation_context(&self) -> &Context {
        &self.creation().context
    }

    /// Processes the message in a `process {destination}` span, and returns what the handler
    /// returns.
    ///
    /// The span and the message's baggage are current in the handler, across every await. The span
    /// is a child of the creation context and links to it. If a span is active that was opened
    /// since the message was delivered, that one is the parent; one that was active before is only
    /// linked. The policy can choose [another parent](crate::policy::Rule::parent). An error that
    /// the handler returns sets the span's status and `error.type` and is recorded as an exception,
    /// as [`HandlerError`](crate::HandlerError) says; so is a panic, which continues. Settling is
    /// left to the caller.
    ///
    /// The ambient context is the one of the first poll; if no context is attached then, the one of
    /// the call.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the handler, and ends the span with the `error.type` `cancelled`.
    ///
    /// # Spawned work
    ///
    /// Tasks, threads and pools do not take the context along. A future is given it, a closure attaches it:
    ///
    /// ```
    /// use opentelemetry::{Context, context::FutureExt as _};
    ///
    /// # async fn charge_card() {}
    /// # fn print_invoice() {}
    /// async fn handle() {
    ///     tokio::spawn(charge_card().with_current_context()); // or into a `JoinSet`
    ///     let context = Context::current();
    ///     tokio::task::spawn_blocking(move || { // or a thread's closure, or each of a pool such as rayon
    ///         let _guard = context.attach();
    ///         print_invoice();
    ///     });
    /// }
    /// ```
    ///
    /// Spans and sends of that work are children of the process span, also when that has ended, and the message's baggage
    /// is there. Without the context they begin traces of their own; they are never in that of another message, but for
    /// pools whose threads do other work while they wait: there, each closure has to attach a context.
    ///
    /// # Examples
    ///
    /// The handler is called with the `Received`, not with what that derefs to: an existing function
    /// of the client's own message goes into a closure, `async |order| handle(order).await`. A closure
    /// that uses `?` names its result type:
    ///
    /// ```
    /// # #[cfg(feature = "kafka")] mod example {
    /// use otel_messaging::Received;
    /// use rdkafka::message::{BorrowedMessage, Message as _};
    ///
    /// async fn handle(order: &Received<BorrowedMessage<'_>>) -> anyhow::Result<()> {
    ///     order
    ///         .process(async |order| -> anyhow::Result<()> {
    ///             let text = std::str::from_utf8(order.payload().unwrap_or_default())?;
    ///             println!("{text}");
    ///             Ok(())
    ///         })
    ///         .await
    /// }
    /// # }
    /// ```
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

    /// Starts the `process {destination}` span, for code that a closure does not suit.
    ///
    /// ```
    /// # #[cfg(feature = "kafka")] mod example {
    /// use opentelemetry::context::FutureExt as _;
    /// use otel_messaging::Received;
    /// use rdkafka::message::BorrowedMessage;
    ///
    /// # async fn handle(order: &BorrowedMessage<'_>) -> Result<(), std::io::Error> { Ok(()) }
    /// async fn guarded(order: &Received<BorrowedMessage<'_>>) -> Result<(), std::io::Error> {
    ///     let span = order.start_process_span();
    ///     let outcome = handle(order).with_context(span.context().clone()).await;
    ///     span.end(&outcome);
    ///     outcome
    /// }
    /// # }
    /// ```
    pub fn start_process_span(&self) -> ProcessSpan {
        self.start_in(current())
    }

    /// The client's own message.
    pub fn into_inner(self) -> M {
        self.message
    }

    fn start_in(&self, ambient: Context) -> ProcessSpan {
        if ambient.is_telemetry_suppressed() || self.message.is_status() {
            return ProcessSpan::unrecorded(ambient);
        }
        let destination = self.destination();
        let operation = Operation {
            client: self.source.client(),
            operation_type: OperationType::Process,
            operation_name: "process",
            destination: Some(destination),
            partition: self.message.partition(),
            batch: None,
            baggage: self.shown_baggage(),
        };
        let rule = &destination.rule;
        let incoming = self.incoming(rule);
        if !operation.has_span() {
            let carried = self.carried(&ambient, &operation, rule);
            let refused = self.refused(&ambient, &carried, incoming);
            let mut context =
                passed_on(ambient, carried.context, incoming, self.message.is_stored());
            if let Some(refused) = refused {
                context = refused.put_into(context);
            }
            return match rule.recorded() {
                Record::Off => ProcessSpan::unrecorded(context),
                _ => ProcessSpan::new(StartedOperation::without_span(&operation, &context)),
            };
        }
        let batch = InBatch::active_in(&ambient);
        let carried = self.carried(&ambient, &operation, rule);
        let refused = self.refused(&ambient, &carried, incoming);
        let around = Ambient {
            context: &ambient,
            is_about_it: match batch {
                // A message that brings none has the trace of its batch.
                Some(_) => carried.named.creation.is_none() || incoming == Incoming::Ignore,
                None => !active_span(&ambient).is_some_and(|span| self.was_active_before(&span)),
            },
            is_of_batch: batch.is_some(),
            choice: rule.chosen_parent(),
        };
        let telemetry = &operation.client.telemetry;
        let is_stored = self.message.is_stored();
        let mut parent_and_links =
            ParentAndLinks::handling(telemetry, around, carried, incoming, is_stored)
                .remembering(refused);
        parent_and_links.links.extend(batch.map(Link::with_context));
        let started = StartedOperation::start(&operation, parent_and_links, |set| {
            self.own_attributes(rule, set);
            self.message.number().into_iter().for_each(set);
        });
        self.is_processed_in(started.span_context());
        ProcessSpan::new(started)
    }

    /// Where it came from, looked up once.
    pub(crate) fn destination(&self) -> &Arc<Destination> {
        let look_up = || self.message.destination(&self.source);
        self.destination.get_or_init(look_up)
    }

    /// Whether the span was active already when the message was delivered to the application.
    pub(crate) fn was_active_before(&self, span: &SpanContext) -> bool {
        let met = &self.source.client().met;
        met.was_active(span.span_id(), self.delivered)
    }

    pub(crate) fn incoming(&self, rule: &Rule) -> Incoming {
        incoming(&self.message, rule)
    }

    /// What only this message says of itself, but for its number.
    pub(crate) fn own_attributes(&self, rule: &Rule, set: &mut dyn FnMut(KeyValue)) {
        self.message.attributes(&self.source, rule, set);
        if let Some(headers) = self.message.headers() {
            captured(headers, rule, &self.source.client().telemetry, set);
        }
    }

    pub(crate) const fn message(&self) -> &M {
        &self.message
    }

    pub(crate) const fn source(&self) -> &Arc<M::Source> {
        &self.source
    }

    pub(crate) const fn message_mut(&mut self) -> &mut M {
        &mut self.message
    }
}

impl<M: Message> Deref for Received<M> {
    type Target = M;

    fn deref(&self) -> &M {
        &self.message
    }
}

impl<M: Message + Clone> Clone for Received<M> {
    fn clone(&self) -> Self {
        self.in_the_form_of(self.message.clone())
    }
}

impl<M: Message + fmt::Debug> fmt::Debug for Received<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Received").field(&self.message).finish()
    }
}
