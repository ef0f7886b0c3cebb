//! The life of a span: started from an envelope, ended exactly once.

use std::any::Any;
use std::borrow::Cow;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::task::{Poll, ready};
use std::thread;
use std::time::SystemTime;

use opentelemetry::trace::{SpanBuilder, SpanContext, Status, TraceContextExt as _};
use opentelemetry::{Context, KeyValue};
use pin_project_lite::pin_project;

use crate::Telemetry;
use crate::envelope::Envelope;
use crate::link::Relation;
use crate::semconv::attributes::{
    ERROR_TYPE, EXCEPTION_EVENT, EXCEPTION_MESSAGE, EXCEPTION_STACKTRACE, EXCEPTION_TYPE, at_start,
    when_recorded,
};
use crate::semconv::operation::Operation;
use crate::semconv::outcome::{CANCELLED, Classifier, Outcome, PANIC};
use crate::semconv::span_name::span_name;

/// A started span in the context that it belongs to. Dropping it ends it without an outcome.
pub(crate) struct OpenSpan {
    context: Context,
    recording: bool,
}

impl OpenSpan {
    pub(crate) fn start(
        telemetry: &Telemetry,
        operation: Operation,
        envelope: &Envelope<'_>,
        relation: Relation,
    ) -> Self {
        let name = span_name(envelope.operation_name, envelope.destination);
        let builder = SpanBuilder::from_name(name)
            .with_kind(operation.span_kind())
            .with_attributes(at_start(operation, envelope))
            .with_links(relation.links);
        let context = telemetry.start(builder, &relation.parent);
        let span = Self {
            recording: context.span().is_recording(),
            context,
        };
        span.record(|| when_recorded(envelope));
        span
    }

    pub(crate) const fn context(&self) -> &Context {
        &self.context
    }

    /// Sets attributes, which are built only if the span is recorded.
    pub(crate) fn record<I>(&self, attributes: impl FnOnce() -> I)
    where
        I: IntoIterator<Item = KeyValue>,
    {
        if self.recording {
            self.context.span().set_attributes(attributes());
        }
    }

    /// Records a failure; the span still has to end.
    ///
    /// Spec: recording-errors § Recording errors on spans, 1.44.0.
    pub(crate) fn fail(
        &self,
        error_type: impl Into<Cow<'static, str>>,
        description: impl Into<Cow<'static, str>>,
    ) {
        if self.recording {
            let span = self.context.span();
            span.set_attribute(KeyValue::new(ERROR_TYPE, error_type.into()));
            span.set_status(Status::error(description));
        }
    }

    /// Records an exception as an event of the span.
    ///
    /// Spec: exceptions-spans § Recording an exception, 1.44.0.
    pub(crate) fn exception(
        &self,
        exception_type: &'static str,
        message_and_backtrace: impl FnOnce() -> (String, Option<String>),
    ) {
        if self.recording {
            let (message, backtrace) = message_and_backtrace();
            let backtrace = backtrace.map(|text| KeyValue::new(EXCEPTION_STACKTRACE, text));
            let attributes = [
                KeyValue::new(EXCEPTION_TYPE, exception_type),
                KeyValue::new(EXCEPTION_MESSAGE, message),
            ];
            self.context.span().add_event(
                EXCEPTION_EVENT,
                attributes.into_iter().chain(backtrace).collect(),
            );
        }
    }

    /// Ends the span as of an earlier time.
    fn end_at(mut self, ended: SystemTime) {
        if std::mem::take(&mut self.recording) {
            self.context.span().end_with_timestamp(ended);
        }
    }
}

impl Drop for OpenSpan {
    fn drop(&mut self) {
        if self.recording {
            self.context.span().end();
        }
    }
}

impl fmt::Debug for OpenSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("OpenSpan")
            .field(self.context.span().span_context())
            .finish()
    }
}

/// The process span of one message, for control flow that a closure cannot express.
///
/// Work belongs to the span while its context is current: attach [`context`](Self::context) around
/// synchronous code, or wrap a future with OpenTelemetry's `FutureExt::with_context`. Then call
/// [`finish`](Self::finish). A `ProcessSpan` that is dropped before ends its span with `error.type`
/// `cancelled`, or `panic` if the thread is panicking.
#[must_use = "the process span ends when this is dropped"]
pub struct ProcessSpan {
    classifier: Classifier,
    /// None where telemetry is suppressed, and once the outcome is known.
    span: Option<OpenSpan>,
    context: Context,
}

impl ProcessSpan {
    pub(crate) fn start(
        telemetry: &Telemetry,
        envelope: &Envelope<'_>,
        relation: Relation,
    ) -> Self {
        let span = OpenSpan::start(telemetry, Operation::Process, envelope, relation);
        Self {
            classifier: telemetry.classifier(),
            context: span.context().clone(),
            span: Some(span),
        }
    }

    /// Stands for a span where telemetry is suppressed.
    pub(crate) fn suppressed(telemetry: &Telemetry, ambient: Context) -> Self {
        Self {
            classifier: telemetry.classifier(),
            span: None,
            context: ambient,
        }
    }

    pub(crate) fn record<I>(&self, attributes: impl FnOnce() -> I)
    where
        I: IntoIterator<Item = KeyValue>,
    {
        if let Some(span) = &self.span {
            span.record(attributes);
        }
    }

    /// The context of the span, with the baggage of the message.
    #[must_use]
    pub const fn context(&self) -> &Context {
        &self.context
    }

    /// The identity of the span.
    #[must_use]
    pub fn span_context(&self) -> SpanContext {
        self.context.span().span_context().clone()
    }

    /// Ends the span with the outcome of the work.
    pub fn finish(mut self, outcome: &impl Outcome) {
        self.end_with(outcome);
    }

    fn end_with(&mut self, outcome: &impl Outcome) {
        let Some(span) = self.span.take() else {
            return;
        };
        if let Some(error) = outcome.error()
            && let Some(error_type) = (self.classifier)(&error)
        {
            let ended = SystemTime::now();
            // The text may hold what is not for everybody: it goes into the exception alone.
            span.fail(error_type, "");
            span.exception(error.type_name(), || error.message_and_backtrace());
            // Resolving a backtrace can take longer than the handler did.
            span.end_at(ended);
        }
    }

    fn end_with_panic(&mut self, payload: &(dyn Any + Send)) {
        if let Some(span) = self.span.take() {
            span.fail(PANIC, "");
            span.exception(PANIC, || (panic_message(payload), None));
        }
    }

    /// Calls `handler` and polls its future in the context of the span.
    pub(crate) async fn run<F, Fut, R>(self, handler: F) -> R
    where
        F: FnOnce() -> Fut,
        Fut: Future<Output = R>,
        R: Outcome,
    {
        let mut process = self;
        let called = {
            let _current = process.context.clone().attach();
            catch_unwind(AssertUnwindSafe(handler))
        };
        match called {
            Ok(future) => {
                Processing {
                    future: Some(future),
                    process,
                }
                .await
            }
            Err(payload) => {
                process.end_with_panic(&*payload);
                resume_unwind(payload)
            }
        }
    }
}

impl Drop for ProcessSpan {
    fn drop(&mut self) {
        if let Some(span) = self.span.take() {
            span.fail(
                if thread::panicking() {
                    PANIC
                } else {
                    CANCELLED
                },
                "",
            );
        }
    }
}

impl fmt::Debug for ProcessSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProcessSpan")
            .field("span", &self.span)
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

pin_project! {
    /// A handler's future, polled and dropped in the context of its span.
    struct Processing<Fut> {
        #[pin]
        future: Option<Fut>,
        process: ProcessSpan,
    }

    impl<Fut> PinnedDrop for Processing<Fut> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            if this.future.is_some() {
                let _current = this.process.context.clone().attach();
                this.future.set(None);
            }
        }
    }
}

impl<Fut> Future for Processing<Fut>
where
    Fut: Future,
    Fut::Output: Outcome,
{
    type Output = Fut::Output;

    fn poll(self: Pin<&mut Self>, task: &mut std::task::Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let Some(future) = this.future.as_mut().as_pin_mut() else {
            // Only polled from `run`, which ends with the outcome.
            return Poll::Pending;
        };
        let polled = {
            let _current = this.process.context.clone().attach();
            let polled = catch_unwind(AssertUnwindSafe(|| future.poll(task)));
            if !matches!(polled, Ok(Poll::Pending)) {
                this.future.set(None);
            }
            polled
        };
        match polled {
            Ok(polled) => {
                let outcome = ready!(polled);
                this.process.end_with(&outcome);
                Poll::Ready(outcome)
            }
            Err(payload) => {
                this.process.end_with_panic(&*payload);
                resume_unwind(payload)
            }
        }
    }
}
