//! The life of an operation and of its span: started from an envelope, ended exactly once.

use std::any::Any;
use std::borrow::Cow;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Poll, ready};
use std::thread;
use std::time::SystemTime;

use opentelemetry::trace::{SpanBuilder, SpanContext, Status, TraceContextExt as _};
use opentelemetry::{Context, KeyValue};
use pin_project_lite::pin_project;

use crate::Telemetry;
use crate::envelope::{Client, Destination, Envelope};
use crate::link::Relation;
use crate::policy::Record;
use crate::semconv::attributes::{
    ERROR_TYPE, EXCEPTION_EVENT, EXCEPTION_MESSAGE, EXCEPTION_STACKTRACE, EXCEPTION_TYPE, at_start,
    partition_id, when_recorded,
};
use crate::semconv::operation::Operation;
use crate::semconv::outcome::{CANCELLED, Classifier, Outcome, PANIC};
use crate::semconv::span_name::span_name;

/// An operation that has begun: its span, where it has one, and what its metrics need.
///
/// Dropping it ends both. Span and metrics have the same pair of timestamps.
pub(crate) struct Running {
    client: Arc<Client>,
    destination: Option<Arc<Destination>>,
    operation: Operation,
    operation_name: &'static str,
    partition: Option<i32>,
    messages: u64,
    context: Context,
    /// There is a span of this operation, and it is recorded.
    recording: bool,
    error_type: Option<Cow<'static, str>>,
    started: SystemTime,
    /// Set where the end was before the drop.
    ended: Option<SystemTime>,
}

impl Running {
    /// Begins an operation now.
    pub(crate) fn start(envelope: &Envelope<'_>, relation: Relation) -> Self {
        Self::since(SystemTime::now(), envelope, relation)
    }

    /// Begins an operation of which only now is known what it was about.
    pub(crate) fn since(started: SystemTime, envelope: &Envelope<'_>, relation: Relation) -> Self {
        let has_span = envelope.has_span();
        let context = if has_span {
            let name = span_name(envelope);
            let builder = SpanBuilder::from_name(name)
                .with_kind(envelope.operation.span_kind())
                .with_start_time(started)
                .with_attributes(at_start(envelope))
                .with_links(relation.links);
            envelope.client.telemetry.start(builder, &relation.parent)
        } else {
            relation.parent
        };
        let running = Self {
            client: Arc::clone(envelope.client),
            destination: envelope.destination.cloned(),
            operation: envelope.operation,
            operation_name: envelope.operation_name,
            partition: envelope.partition,
            messages: 1,
            recording: has_span && context.span().is_recording(),
            context,
            error_type: None,
            started,
            ended: None,
        };
        running.record(|| when_recorded(envelope));
        running
    }

    pub(crate) const fn context(&self) -> &Context {
        &self.context
    }

    pub(crate) const fn client(&self) -> &Arc<Client> {
        &self.client
    }

    /// Sets attributes, which are built only if a span is recorded.
    pub(crate) fn record<I>(&self, attributes: impl FnOnce() -> I)
    where
        I: IntoIterator<Item = KeyValue>,
    {
        if self.recording {
            self.context.span().set_attributes(attributes());
        }
    }

    /// Sets the partition, where it was not known at the start.
    pub(crate) fn in_partition(&mut self, partition: i32) {
        if self.partition.is_none() {
            self.record(|| [partition_id(partition)]);
            self.partition = Some(partition);
        }
    }

    /// Records a failure; the operation still has to end.
    ///
    /// Spec: recording-errors § Recording errors on spans, 1.44.0.
    pub(crate) fn fail(
        &mut self,
        error_type: impl Into<Cow<'static, str>>,
        description: impl Into<Cow<'static, str>>,
    ) {
        let error_type = error_type.into();
        if self.recording {
            let span = self.context.span();
            span.set_attribute(KeyValue::new(ERROR_TYPE, error_type.clone()));
            span.set_status(Status::error(description));
        }
        self.error_type = Some(error_type);
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

    /// Fixes the end to now, whatever is still to be recorded.
    fn end_now(&mut self) {
        self.ended = Some(SystemTime::now());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let ended = self.ended.unwrap_or_else(SystemTime::now);
        if self.recording {
            self.context.span().end_with_timestamp(ended);
        }
        let envelope = Envelope {
            client: &self.client,
            operation: self.operation,
            operation_name: self.operation_name,
            destination: self.destination.as_ref(),
            partition: self.partition,
        };
        if envelope.rule().recorded() != Record::Off {
            let error = self.error_type.take();
            let error = error.map(|error_type| KeyValue::new(ERROR_TYPE, error_type));
            let instruments = self.client.telemetry.instruments();
            instruments.ended(&envelope, self.messages, self.started, ended, error);
        }
    }
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running")
            .field("operation_name", &self.operation_name)
            .field("span", self.context.span().span_context())
            .finish_non_exhaustive()
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
    /// None where nothing is recorded, and once the outcome is known.
    running: Option<Running>,
    context: Context,
}

impl ProcessSpan {
    pub(crate) fn start(envelope: &Envelope<'_>, relation: Relation) -> Self {
        let running = Running::start(envelope, relation);
        Self {
            classifier: envelope.client.telemetry.classifier(),
            context: running.context().clone(),
            running: Some(running),
        }
    }

    /// Stands for a span where none is wanted, in the context that the handler shall have.
    pub(crate) fn unrecorded(telemetry: &Telemetry, context: Context) -> Self {
        Self {
            classifier: telemetry.classifier(),
            running: None,
            context,
        }
    }

    pub(crate) const fn running(&self) -> Option<&Running> {
        self.running.as_ref()
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
        let Some(mut running) = self.running.take() else {
            return;
        };
        // Before anything else: resolving a backtrace can take longer than the handler did.
        running.end_now();
        if let Some(error) = outcome.error()
            && let Some(error_type) = (self.classifier)(&error)
        {
            // The text may hold what is not for everybody: it goes into the exception alone.
            running.fail(error_type, "");
            running.exception(error.type_name(), || error.message_and_backtrace());
        }
    }

    fn end_with_panic(&mut self, payload: &(dyn Any + Send)) {
        if let Some(mut running) = self.running.take() {
            running.fail(PANIC, "");
            running.exception(PANIC, || (panic_message(payload), None));
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
        if let Some(mut running) = self.running.take() {
            running.fail(
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
            .field("running", &self.running)
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
