//! The life of an operation and of its span: started from an envelope, ended exactly once.

mod process;

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use opentelemetry::trace::{Link, SpanBuilder, SpanKind, Status, TraceContextExt as _};
use opentelemetry::{Context, KeyValue};

pub use self::process::ProcessSpan;
use crate::envelope::{Client, Destination, Envelope};
use crate::link::{FanBack, InBatch, Relation, within_limit};
use crate::policy::Record;
use crate::semconv::attributes::{
    EXCEPTION_EVENT, EXCEPTION_MESSAGE, EXCEPTION_STACKTRACE, EXCEPTION_TYPE, FAN_BACK_LEFT_OUT,
    at_start, count, of_error, of_overflow, partition_id, when_recorded,
};
use crate::semconv::operation::Operation;
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
    batch: Option<usize>,
    fan_back: FanBack,
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
        let telemetry = &envelope.client.telemetry;
        let (links, overflow) = within_limit(relation.links, telemetry.most_links());
        let context = if has_span {
            let name = span_name(envelope);
            let builder = SpanBuilder::from_name(name)
                .with_kind(envelope.operation.span_kind())
                .with_start_time(started)
                .with_attributes(at_start(envelope))
                .with_links(links);
            telemetry.start(builder, &relation.parent)
        } else {
            relation.parent
        };
        let running = Self {
            client: Arc::clone(envelope.client),
            destination: envelope.destination.cloned(),
            operation: envelope.operation,
            operation_name: envelope.operation_name,
            partition: envelope.partition,
            batch: envelope.batch,
            fan_back: FanBack::default(),
            recording: has_span && context.span().is_recording(),
            context,
            error_type: None,
            started,
            ended: None,
        };
        running.record(|| when_recorded(envelope));
        if running.recording {
            for links in overflow {
                running.overflow(links);
            }
        }
        running
    }

    /// Makes a child span that has no purpose but these links.
    fn overflow(&self, links: Vec<Link>) {
        let envelope = Envelope {
            operation_name: "links",
            ..self.envelope()
        };
        let builder = SpanBuilder::from_name(span_name(&envelope))
            .with_kind(SpanKind::Internal)
            .with_start_time(self.started)
            .with_attributes(of_overflow(&envelope))
            .with_links(links);
        let span = self.client.telemetry.start(builder, &self.context);
        span.span().end_with_timestamp(self.started);
    }

    /// Makes this the operation that the processing of its messages belongs to.
    pub(crate) fn is_batch(&mut self, fan_back: FanBack) {
        self.context = InBatch::mark(&self.context);
        if fan_back.left_out > 0 {
            self.record(|| [count(FAN_BACK_LEFT_OUT, fan_back.left_out)]);
        }
        self.fan_back = fan_back;
    }

    /// Makes a span in each trace that a batch's messages are from, as long as the batch took.
    fn fan_back(&self, ended: SystemTime) {
        for (origin, messages) in &self.fan_back.origins {
            let envelope = Envelope {
                partition: None,
                batch: Some(*messages),
                ..self.envelope()
            };
            let batch = self.context.span().span_context().clone();
            let error = self.error_type.clone().map(of_error);
            let has_failed = error.is_some();
            let builder = SpanBuilder::from_name(span_name(&envelope))
                .with_kind(self.operation.span_kind())
                .with_start_time(self.started)
                .with_attributes(
                    at_start(&envelope)
                        .into_iter()
                        .chain(when_recorded(&envelope))
                        .chain(error),
                )
                .with_links(vec![Link::with_context(batch)]);
            let parent = Context::new().with_remote_span_context(origin.clone());
            let span = self.client.telemetry.start(builder, &parent);
            if has_failed {
                span.span().set_status(Status::error(""));
            }
            span.span().end_with_timestamp(ended);
        }
    }

    pub(crate) fn envelope(&self) -> Envelope<'_> {
        Envelope {
            client: &self.client,
            operation: self.operation,
            operation_name: self.operation_name,
            destination: self.destination.as_ref(),
            partition: self.partition,
            batch: self.batch,
        }
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
            span.set_attribute(of_error(error_type.clone()));
            span.set_status(Status::error(description));
        }
        self.error_type = Some(error_type);
    }

    pub(crate) const fn has_failed(&self) -> bool {
        self.error_type.is_some()
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
        self.fan_back(ended);
        let error_type = self.error_type.take();
        let envelope = self.envelope();
        if envelope.rule().recorded() != Record::Off {
            let error = error_type.map(of_error);
            let instruments = self.client.telemetry.instruments();
            // Of a batch each message is counted with its own outcome.
            let is_send = matches!(self.operation, Operation::Send | Operation::SendExisting);
            if is_send && self.batch.is_none() {
                instruments.sent(&envelope, error.clone());
            }
            instruments.ended(&envelope, self.started, ended, error);
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
