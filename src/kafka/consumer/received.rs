//! [`Received`]: a message and the context that it was created in.

use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use opentelemetry::Context;
use rdkafka::message::{BorrowedMessage, OwnedMessage};

use crate::kafka::carrier::MessageHeaders;
use crate::kafka::envelope::{ClientInfo, content, offset};
use crate::link::{Relation, ambient};
use crate::metrics::Problem;
use crate::semconv::outcome::Outcome;
use crate::span::ProcessSpan;

/// A received message. It derefs to the client's own message.
///
/// Nothing has been started for it: the process span begins with [`process`](Self::process) or
/// [`start_process`](Self::start_process).
pub struct Received<M> {
    message: M,
    info: Arc<ClientInfo>,
    context: OnceLock<Context>,
}

impl<M> Received<M> {
    pub(super) fn new(message: M, info: &Arc<ClientInfo>) -> Self {
        Self {
            message,
            info: Arc::clone(info),
            context: OnceLock::new(),
        }
    }

    /// The client's own message.
    pub fn into_inner(self) -> M {
        self.message
    }

    pub(in crate::kafka) const fn message_mut(&mut self) -> &mut M {
        &mut self.message
    }
}

impl<M: MessageHeaders> Received<M> {
    /// What the message carries: its creation context as remote span, and its baggage. Empty if it
    /// carries nothing that can be read.
    pub fn context(&self) -> &Context {
        self.context.get_or_init(|| {
            self.info
                .telemetry
                .propagation()
                .extract(&Context::new(), self.message.borrowed_headers())
                .context
        })
    }

    /// Processes the message in a `process {topic}` span, and returns what the handler returns.
    ///
    /// The handler's future is polled with the span and the message's baggage current, across every
    /// await. The span links to the creation context and is its child, unless another span is
    /// active: then it is that one's child. An error sets the span's status, `error.type` and an
    /// exception; a panic does too and goes on. Committing stays with the caller.
    ///
    /// What is current counts when the future is first polled, or else when this was called.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the handler's, and ends the span with `error.type` `cancelled`.
    ///
    /// # Examples
    ///
    /// A closure that uses `?` has to name its result:
    ///
    /// ```
    /// use otel_messaging::kafka::Received;
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
        let called = Context::current();
        async move {
            let process = self.start_in(ambient(called));
            process.run(|| handler(self)).await
        }
    }

    /// Starts the `process {topic}` span, for control flow that a closure cannot express.
    ///
    /// ```
    /// use opentelemetry::context::FutureExt as _;
    /// use otel_messaging::kafka::Received;
    /// use rdkafka::message::BorrowedMessage;
    ///
    /// # async fn handle(order: &BorrowedMessage<'_>) -> Result<(), std::io::Error> { Ok(()) }
    /// async fn guarded(order: &Received<BorrowedMessage<'_>>) -> Result<(), std::io::Error> {
    ///     let span = order.start_process();
    ///     let outcome = handle(order).with_context(span.context().clone()).await;
    ///     span.finish(&outcome);
    ///     outcome
    /// }
    /// ```
    pub fn start_process(&self) -> ProcessSpan {
        self.start_in(Context::current())
    }

    fn start_in(&self, ambient: Context) -> ProcessSpan {
        let telemetry = &self.info.telemetry;
        if ambient.is_telemetry_suppressed() {
            return ProcessSpan::suppressed(telemetry, ambient);
        }
        let envelope = self.info.received(&self.message);
        let received = telemetry
            .propagation()
            .extract(&ambient, self.message.borrowed_headers());
        if received.conflicting.is_some() {
            telemetry
                .instruments()
                .count(Problem::Conflicting, &envelope);
        }
        let span = ProcessSpan::start(telemetry, &envelope, Relation::handling(&ambient, received));
        span.record(|| {
            content(self.message.key(), self.message.payload().is_some())
                .chain([offset(self.message.offset())])
                .chain(self.info.cluster_id())
        });
        span
    }
}

impl Received<BorrowedMessage<'_>> {
    /// Copies the message out of the client's buffer, so that another task can process it.
    ///
    /// ```
    /// use otel_messaging::kafka;
    /// use tokio::task::JoinSet;
    ///
    /// # async fn work() {}
    /// async fn spread(consumer: &kafka::Consumer) -> anyhow::Result<()> {
    ///     let mut tasks = JoinSet::new();
    ///     for _ in 0..10 {
    ///         let order = consumer.recv().await?.detach();
    ///         tasks.spawn(async move { order.process(async |_| work().await).await });
    ///     }
    ///     tasks.join_all().await;
    ///     Ok(())
    /// }
    /// ```
    #[must_use]
    pub fn detach(&self) -> Received<OwnedMessage> {
        Received::new(self.message.detach(), &self.info)
    }
}

impl<M> Deref for Received<M> {
    type Target = M;

    fn deref(&self) -> &M {
        &self.message
    }
}

impl<M: Clone> Clone for Received<M> {
    fn clone(&self) -> Self {
        Self {
            message: self.message.clone(),
            info: Arc::clone(&self.info),
            context: self.context.clone(),
        }
    }
}

impl<M: MessageHeaders> MessageHeaders for Received<M> {
    fn borrowed_headers(&self) -> Option<&rdkafka::message::BorrowedHeaders> {
        self.message.borrowed_headers()
    }
}

impl<M: fmt::Debug> fmt::Debug for Received<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Received").field(&self.message).finish()
    }
}
