//! The life of an operation and of its span: started once, ended exactly once.

mod process;

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use opentelemetry::trace::{Link, SpanBuilder, SpanContext, SpanRef, Status, TraceContextExt as _};
use opentelemetry::{Context, KeyValue};

pub use self::process::ProcessSpan;
pub(crate) use self::process::processing;
use crate::engine::attributes::{at_start, of_own_span, prepared};
use crate::engine::client::Client;
use crate::engine::destination::Destination;
use crate::engine::fan_back::FanBack;
use crate::engine::in_batch::InBatch;
use crate::engine::links::within_limit;
use crate::engine::operation::Operation;
use crate::engine::parent::ParentAndLinks;
use crate::engine::shown_baggage::ShownBaggage;
use crate::policy::{Record, Rule};
use crate::semconv::attributes::{
    EXCEPTION_EVENT, FAN_BACK_LEFT_OUT, FAN_BACK_MESSAGE_COUNT, count, of_error, partition_id,
};
use crate::semconv::deprecated;
use crate::semconv::exception::{ErrorDetails, Exception};
use crate::semconv::operation_type::OperationType;
use crate::telemetry::{Component, Moment, StartedSpan, Telemetry};

/// An operation that has begun: its span, where it has one, and what its metrics need.
///
/// Dropping it ends both. Span and metrics have the same pair of timestamps. It is moved from hand to hand with what is
/// sent or handled, so that what few have is boxed.
pub(crate) struct StartedOperation {
    client: Arc<Client>,
    destination: Option<Arc<Destination>>,
    operation_type: OperationType,
    operation_name: &'static str,
    partition: Option<i32>,
    batch: Option<usize>,
    baggage: Option<Arc<ShownBaggage>>,
    fan_back: Option<Box<FanBack>>,
    context: Context,
    /// A span was asked for, whatever came of that.
    wants_span: bool,
    /// The span of the context is that of this operation, or stands for it.
    has_span: bool,
    /// It is, and it is recorded.
    recording: bool,
    failure: Option<Box<Failure>>,
    /// It is about one message, which the client has taken to send it.
    is_handed_over: bool,
    started: Moment,
    /// Set where the end was before the drop.
    elapsed: Option<Duration>,
}

/// What an operation failed with.
struct Failure {
    error_type: Cow<'static, str>,
    /// Empty where it is on no span.
    description: String,
}

impl StartedOperation {
    /// Begins an operation now. If its span is recorded it gets `attributes` of its own, too, which
    /// sets them by the function that it is given.
    pub(crate) fn start(
        operation: &Operation<'_>,
        parent_and_links: ParentAndLinks,
        attributes: impl FnOnce(&mut dyn FnMut(KeyValue)),
    ) -> Self {
        Self::since(Moment::now(), operation, parent_and_links, attributes)
    }

    /// Begins an operation of which only now is known what it was about.
    pub(crate) fn since(
        started: Moment,
        operation: &Operation<'_>,
        parent_and_links: ParentAndLinks,
        attributes: impl FnOnce(&mut dyn FnMut(KeyValue)),
    ) -> Self {
        let telemetry = &operation.client.telemetry;
        if !operation.has_span() {
            let nothing = StartedSpan::nothing(&parent_and_links.parent);
            return Self::within(started, operation, nothing, false);
        }
        if telemetry.is_known_unsampled(&parent_and_links.parent) {
            // What belongs to it is not sampled either.
            let unsampled = StartedSpan::unsampled(&parent_and_links.parent);
            return Self::within(started, operation, unsampled, true);
        }
        let limit = telemetry.max_links;
        let taken = usize::from(!parent_and_links.links.is_empty());
        let beside = parent_and_links.beside.filter(|_| limit > taken);
        let limit = limit.saturating_sub(usize::from(beside.is_some()));
        let (mut links, overflow) = within_limit(parent_and_links.links, limit);
        links.extend(beside.map(|link| *link));
        let mut builder = SpanBuilder::from_name(prepared(operation).span_name.clone());
        builder.span_kind = Some(operation.operation_type.span_kind());
        builder.start_time = Some(started.wall());
        builder.attributes = Some(at_start(operation));
        builder.links = (!links.is_empty()).then_some(links);
        let span = telemetry.start(builder, &parent_and_links.parent, attributes);
        let span = match &parent_and_links.without {
            Some(context) if !span.is_ours => StartedSpan::nothing(context),
            _ => span,
        };
        let in_progress = Self::within(started, operation, span, true);
        if in_progress.recording {
            for links in overflow {
                in_progress.overflow(links);
            }
        }
        in_progress
    }

    /// Begins an operation now that has no span, only metrics.
    pub(crate) fn without_span(operation: &Operation<'_>, context: &Context) -> Self {
        let nothing = StartedSpan::nothing(context);
        Self::within(Moment::now(), operation, nothing, false)
    }

    fn within(
        started: Moment,
        operation: &Operation<'_>,
        span: StartedSpan,
        wants_span: bool,
    ) -> Self {
        Self {
            client: Arc::clone(operation.client),
            destination: operation.destination.cloned(),
            operation_type: operation.operation_type,
            operation_name: operation.operation_name,
            partition: operation.partition,
            batch: operation.batch,
            baggage: operation.baggage.cloned(),
            fan_back: None,
            wants_span,
            has_span: span.is_ours,
            recording: span.is_recording,
            context: span.context,
            failure: None,
            is_handed_over: false,
            started,
            elapsed: None,
        }
    }

    /// Makes a child span that has no purpose but these links.
    fn overflow(&self, links: Vec<Link>) {
        let operation = Operation {
            operation_name: "links",
            ..self.operation()
        };
        let builder = SpanBuilder::from_name(operation.span_name())
            .with_kind(self.operation_type.kind_of_own_spans())
            .with_start_time(self.started.wall())
            .with_attributes(of_own_span(&operation))
            .with_links(links);
        let span = self.telemetry().start(builder, &self.context, |_| {});
        self.on(&span, |span| span.end_with_timestamp(self.started.wall()));
    }

    /// Makes this the operation that the processing of its messages belongs to.
    pub(crate) fn processes_batch(&mut self, fan_back: FanBack) {
        if !self.has_span {
            return;
        }
        self.context = InBatch::mark(&self.context);
        if fan_back.left_out > 0 {
            self.record(|| [count(FAN_BACK_LEFT_OUT, fan_back.left_out)]);
        }
        self.fan_back = (!fan_back.origins.is_empty()).then(|| Box::new(fan_back));
    }

    /// Makes a span in each trace that a batch's messages are from, as long as the batch took. It is
    /// no operation, which the batch is: it links to that, and to each of the trace's messages as far
    /// as it may.
    fn fan_back(&mut self, elapsed: Duration) {
        let Some(fan_back) = self.fan_back.take() else {
            return;
        };
        let operation = Operation {
            operation_name: "batch",
            ..self.operation()
        };
        let limit = self.telemetry().max_links;
        let batch = self.context.span().span_context().clone();
        let failure = self.failure.as_ref();
        for origin in fan_back.origins {
            let messages = count(FAN_BACK_MESSAGE_COUNT, origin.links.len());
            let error = failure.map(|failure| of_error(failure.error_type.clone()));
            let (own, _) = within_limit(origin.links, limit.saturating_sub(1));
            let links = [Link::with_context(batch.clone())].into_iter().chain(own);
            let builder = SpanBuilder::from_name(operation.span_name())
                .with_kind(self.operation_type.kind_of_own_spans())
                .with_start_time(self.started.wall())
                .with_attributes(of_own_span(&operation).chain([messages]).chain(error))
                .with_links(links.take(limit).collect());
            let parent = Context::new().with_remote_span_context(origin.first);
            let span = self.telemetry().start(builder, &parent, |_| {});
            self.on(&span, |span| {
                if let Some(failure) = failure {
                    span.set_status(Status::error(failure.description.clone()));
                }
                span.end_with_timestamp(self.started.after(elapsed));
            });
        }
    }

    /// Does something to a span that was started, if it is recorded.
    fn on(&self, started: &StartedSpan, act: impl FnOnce(SpanRef<'_>)) {
        if started.is_recording {
            self.telemetry()
                .caught(Component::Tracer, || act(started.context.span()));
        }
    }

    /// Does something to the span of this operation, if it is recorded.
    fn on_span(&self, act: impl FnOnce(SpanRef<'_>)) {
        if self.recording {
            self.telemetry()
                .caught(Component::Tracer, || act(self.context.span()));
        }
    }

    fn telemetry(&self) -> &Telemetry {
        &self.client.telemetry
    }

    pub(crate) fn operation(&self) -> Operation<'_> {
        Operation {
            client: &self.client,
            operation_type: self.operation_type,
            operation_name: self.operation_name,
            destination: self.destination.as_ref(),
            partition: self.partition,
            batch: self.batch,
            baggage: self.baggage.as_ref(),
        }
    }

    pub(crate) const fn context(&self) -> &Context {
        &self.context
    }

    /// Keeps no span of others alive, which ends when nobody has it any more: not when the broker answers.
    pub(crate) fn lets_go(&mut self) {
        let span = self.context.span();
        if !self.has_span && span.is_recording() {
            let identity = span.span_context().clone();
            self.context = self.context.with_remote_span_context(identity);
        }
    }

    pub(crate) const fn client(&self) -> &Arc<Client> {
        &self.client
    }

    /// Sets attributes, which are built only if a span is recorded.
    pub(crate) fn record<I>(&self, attributes: impl FnOnce() -> I)
    where
        I: IntoIterator<Item = KeyValue>,
    {
        self.on_span(|span| {
            if self.telemetry().adds_deprecated_names {
                let mut attributes = attributes().into_iter().collect();
                deprecated::add_to(&mut attributes);
                span.set_attributes(attributes);
            } else {
                span.set_attributes(attributes());
            }
        });
    }

    /// The same, of attributes that depend on the rule.
    pub(crate) fn record_by_rule<I>(&self, attributes: impl FnOnce(&Rule) -> I)
    where
        I: IntoIterator<Item = KeyValue>,
    {
        let operation = self.operation();
        self.record(|| attributes(operation.rule()));
    }

    /// Identity of the span of this operation, or of what stands for it, where there is one.
    pub(crate) fn span_context(&self) -> Option<SpanContext> {
        self.has_span
            .then(|| self.context.span().span_context().clone())
    }

    /// Sets the partition, where it was not known at the start.
    pub(crate) fn in_partition(&mut self, partition: i32) {
        if self.partition.is_none() {
            self.record(|| [partition_id(partition)]);
            self.partition = Some(partition);
        }
    }

    /// The client has taken the one message that this is about: it counts as sent.
    pub(crate) const fn handed_over(&mut self) {
        self.is_handed_over = true;
    }

    /// Records a failure; the operation still has to end.
    ///
    /// Its details are asked for only if they are recorded.
    ///
    /// Spec: [recording-errors § Recording errors on spans].
    ///
    /// [recording-errors § Recording errors on spans]: https://github.com/open-telemetry/semantic-conventions/blob/v1.45.0/docs/general/recording-errors.md#recording-errors-on-spans
    pub(crate) fn fail(
        &mut self,
        error_type: impl Into<Cow<'static, str>>,
        details: impl FnOnce() -> ErrorDetails,
    ) {
        let error_type = error_type.into();
        let telemetry = self.telemetry();
        let is_logged = self.wants_span && telemetry.logs_exceptions(self.operation_type);
        let is_told = self.recording || is_logged || self.fan_back.is_some();
        let details = is_told.then(|| telemetry.caught(Component::Outcome, details));
        let details = details.flatten().unwrap_or_default();
        let description = details.description();
        self.on_span(|span| {
            span.set_attribute(of_error(error_type.clone()));
            span.set_status(Status::error(description.clone()));
        });
        if let ErrorDetails::Exception(exception) = &details {
            self.record_exception(exception, is_logged);
        }
        self.failure = Some(Box::new(Failure {
            error_type,
            description,
        }));
    }

    /// Records an exception, as an event of the span, as a log record, or as both.
    fn record_exception(&self, exception: &Exception, is_logged: bool) {
        let telemetry = self.telemetry();
        if telemetry.has_exception_events(self.operation_type) {
            self.on_span(|span| {
                let attributes = exception.attributes();
                let attributes = attributes.map(|(key, value)| KeyValue::new(key, value));
                span.add_event(EXCEPTION_EVENT, attributes.collect());
            });
        }
        if is_logged {
            let elapsed = self.elapsed.unwrap_or_else(|| self.started.elapsed());
            let at = self.started.after(elapsed);
            telemetry.log_exception(self.operation_type, &self.context, at, exception);
        }
    }

    pub(crate) const fn is_recording(&self) -> bool {
        self.recording
    }

    pub(crate) const fn has_failed(&self) -> bool {
        self.failure.is_some()
    }

    /// Fixes the end to now, whatever is still to be recorded.
    pub(crate) fn end_now(&mut self) {
        self.elapsed = Some(self.started.elapsed());
    }
}

impl Drop for StartedOperation {
    fn drop(&mut self) {
        let elapsed = self.elapsed.unwrap_or_else(|| self.started.elapsed());
        self.on_span(|span| span.end_with_timestamp(self.started.after(elapsed)));
        self.fan_back(elapsed);
        let failure = self.failure.take();
        let error = failure.map(|failure| of_error(failure.error_type));
        let operation = self.operation();
        if operation.rule().recorded() == Record::Off {
            return;
        }
        self.telemetry().measure(|instruments| {
            if self.is_handed_over {
                instruments.sent(&operation, error.clone());
            }
            instruments.ended(&operation, elapsed, error);
        });
    }
}

impl fmt::Debug for StartedOperation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StartedOperation")
            .field("operation_name", &self.operation_name)
            .field("span", self.context.span().span_context())
            .finish_non_exhaustive()
    }
}
