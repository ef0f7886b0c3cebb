//! [`ProcessSpan`]: the processing of a message, or of a batch, by the application.

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Poll, ready};
use std::thread;

use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, TraceContextExt as _};
use pin_project_lite::pin_project;

use super::StartedOperation;
use crate::semconv::exception::{ErrorDetails, Exception};
use crate::semconv::outcome::{CANCELLED, Outcome, PANIC};
use crate::telemetry::Component;
#[cfg(feature = "tracing")]
use crate::with_tracing::StandIn;

/// The process span of a message or a batch, for code that a closure does not suit.
/// [`Received::start_process_span`](crate::Received::start_process_span) has an example.
///
/// To work inside the span, attach its [`context`](Self::context), or use it with OpenTelemetry's
/// `FutureExt::with_context` for a future. Then call [`end`](Self::end). Dropped before, the span
/// ends with the `error.type` `cancelled`, or `panic` if the thread is panicking.
#[must_use = "the process span ends when this is dropped"]
pub struct ProcessSpan {
    /// None where nothing is recorded, and once the outcome is known.
    started: Option<StartedOperation>,
    context: Context,
    /// Ends after the span that it stands for, which then has nothing of it.
    #[cfg(feature = "tracing")]
    stand_in: Option<StandIn>,
}

impl ProcessSpan {
    pub(crate) fn new(started: StartedOperation) -> Self {
        #[cfg(feature = "tracing")]
        let (stand_in, context) = StandIn::of(started.context());
        #[cfg(not(feature = "tracing"))]
        let context = started.context().clone();
        Self {
            context,
            started: Some(started),
            #[cfg(feature = "tracing")]
            stand_in,
        }
    }

    /// Stands for a span where none is wanted, in the context that the handler shall have.
    pub(crate) const fn unrecorded(context: Context) -> Self {
        Self {
            started: None,
            context,
            #[cfg(feature = "tracing")]
            stand_in: None,
        }
    }

    /// The context of the span, with the baggage of the message.
    #[must_use]
    pub const fn context(&self) -> &Context {
        &self.context
    }

    /// The ids and flags of the span.
    #[must_use]
    pub fn span_context(&self) -> SpanContext {
        self.context.span().span_context().clone()
    }

    /// The span of `tracing` that stands for this one, as [`with_tracing`](crate::with_tracing) says:
    /// enter it, or instrument a future with it. Disabled where the subscriber is not set up for that.
    ///
    /// OpenTelemetry's context goes inside of it:
    ///
    /// ```
    /// # #[cfg(feature = "kafka")] mod example {
    /// use opentelemetry::context::FutureExt as _;
    /// use otel_messaging::Received;
    /// use rdkafka::message::BorrowedMessage;
    /// use tracing::Instrument as _;
    ///
    /// # async fn handle(order: &BorrowedMessage<'_>) -> Result<(), std::io::Error> { Ok(()) }
    /// async fn guarded(order: &Received<BorrowedMessage<'_>>) -> Result<(), std::io::Error> {
    ///     let span = order.start_process_span();
    ///     let handled = handle(order).with_context(span.context().clone());
    ///     let outcome = handled.instrument(span.tracing_span()).await;
    ///     span.end(&outcome);
    ///     outcome
    /// }
    /// # }
    /// ```
    #[cfg(feature = "tracing")]
    #[must_use]
    pub fn tracing_span(&self) -> tracing::Span {
        let stand_in = self.stand_in.as_ref();
        stand_in.map_or_else(tracing::Span::none, |stand_in| stand_in.span().clone())
    }

    /// Makes it current on this thread, for as long as what it returns is there.
    pub(crate) fn enter(&self) -> impl Sized {
        #[cfg(feature = "tracing")]
        let entered = self.stand_in.as_ref().map(StandIn::enter);
        let current = self.context.clone().attach();
        #[cfg(feature = "tracing")]
        return (current, entered);
        #[cfg(not(feature = "tracing"))]
        current
    }

    /// Ends the span with the outcome of the work.
    pub fn end(mut self, outcome: &impl Outcome) {
        self.end_with(outcome);
    }

    fn end_with(&mut self, outcome: &impl Outcome) {
        let Some(started) = &mut self.started else {
            return;
        };
        // Before anything else: resolving a backtrace can take longer than the handler did.
        started.end_now();
        let client = Arc::clone(started.client());
        let telemetry = &client.telemetry;
        let error = telemetry.caught(Component::Outcome, || outcome.error());
        if let Some(error) = error.flatten()
            && let Some(error_type) = telemetry.classify(&error)
        {
            started.fail(error_type, || error.details(client.known_error));
        }
        self.leave_stand_in();
        self.started = None;
    }

    fn end_with_panic(&mut self, payload: &(dyn Any + Send)) {
        if let Some(mut started) = self.started.take() {
            started.fail(PANIC, || {
                ErrorDetails::Exception(Exception {
                    name: Some(PANIC),
                    message: panic_message(payload),
                    stacktrace: None,
                })
            });
            self.leave_stand_in();
        }
    }

    /// Before the span ends: what stands for it does nothing to it from then on.
    fn leave_stand_in(&self) {
        #[cfg(feature = "tracing")]
        if let Some(stand_in) = &self.stand_in {
            stand_in.end();
        }
    }
}

impl Drop for ProcessSpan {
    fn drop(&mut self) {
        if let Some(mut started) = self.started.take() {
            let error_type = match thread::panicking() {
                true => PANIC,
                false => CANCELLED,
            };
            // What the panic says is known to those alone who catch it.
            started.fail(error_type, || ErrorDetails::Nothing);
            self.leave_stand_in();
        }
    }
}

impl fmt::Debug for ProcessSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProcessSpan")
            .field("started", &self.started)
            .finish_non_exhaustive()
    }
}

fn panic_message(payload: &(dyn Any + Send)) -> String {
    let text = payload
        .downcast_ref::<&'static str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("panic").to_owned()
}

/// Starts a process span, calls `handler` and polls its future in the context of the span: all with the
/// first poll.
pub(crate) const fn processing<S, F, Fut>(start: S, handler: F) -> Processing<S, F, Fut>
where
    S: FnOnce() -> ProcessSpan,
    F: FnOnce() -> Fut,
    Fut: Future<Output: Outcome>,
{
    Processing {
        future: None,
        process: None,
        to_do: Some((start, handler)),
    }
}

pin_project! {
    /// A handler's future, polled and dropped in the context of its span.
    pub(crate) struct Processing<S, F, Fut> {
        #[pin]
        future: Option<Fut>,
        process: Option<ProcessSpan>,
        to_do: Option<(S, F)>,
    }

    impl<S, F, Fut> PinnedDrop for Processing<S, F, Fut> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            if this.future.is_some() && let Some(process) = this.process {
                let _entered = process.enter();
                this.future.set(None);
            }
        }
    }
}

impl<S, F, Fut> Future for Processing<S, F, Fut>
where
    S: FnOnce() -> ProcessSpan,
    F: FnOnce() -> Fut,
    Fut: Future<Output: Outcome>,
{
    type Output = Fut::Output;

    fn poll(self: Pin<&mut Self>, task: &mut std::task::Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let mut handler = this.to_do.take().map(|(start, handler)| {
            *this.process = Some(start());
            handler
        });
        let Some(process) = this.process else {
            // It was started with the first poll.
            return Poll::Pending;
        };
        let polled = {
            let _entered = process.enter();
            let polled = catch_unwind(AssertUnwindSafe(|| {
                if let Some(handler) = handler.take() {
                    this.future.set(Some(handler()));
                }
                // None where it is polled again after its end.
                let future = this.future.as_mut().as_pin_mut();
                let polled = future.map_or(Poll::Pending, |future| future.poll(task));
                if polled.is_ready() {
                    this.future.set(None);
                }
                polled
            }));
            if polled.is_err() {
                this.future.set(None);
            }
            polled
        };
        match polled {
            Ok(polled) => {
                let outcome = ready!(polled);
                process.end_with(&outcome);
                Poll::Ready(outcome)
            }
            Err(payload) => {
                process.end_with_panic(&*payload);
                resume_unwind(payload)
            }
        }
    }
}
