//! [`Tracer`]: what the layer of tracing-opentelemetry starts its spans with.

use std::borrow::Cow;
use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use opentelemetry::trace::{self, SpanBuilder, SpanContext, SpanRef, Status, TraceContextExt as _};
use opentelemetry::{Context, KeyValue};

/// A tracer for tracing-opentelemetry's layer that starts no span where there is one already: for a
/// handler's, which `tracing` shall know of, it gives that.
///
/// All else goes to the tracer that it is made of. The [module](super) shows how it is set.
#[derive(Clone, Debug)]
pub struct Tracer<T>(T);

impl<T: trace::Tracer> Tracer<T> {
    /// Around this tracer.
    #[must_use]
    pub const fn new(tracer: T) -> Self {
        Self(tracer)
    }
}

impl<T: trace::Tracer> trace::Tracer for Tracer<T> {
    type Span = Span<T::Span>;

    fn build_with_context(&self, builder: SpanBuilder, parent: &Context) -> Self::Span {
        let offer: Option<&Arc<Offer>> = parent.get();
        if let Some(offer) = offer.filter(|offer| offer.take()) {
            return Span(Kind::StandIn {
                span_context: parent.span().span_context().clone(),
                of: parent.clone(),
                offer: Arc::clone(offer),
            });
        }
        let _starting = Starting::begin();
        Span(Kind::Own(self.0.build_with_context(builder, parent)))
    }
}

thread_local! {
    static IS_STARTING: Cell<bool> = const { Cell::new(false) };
}

/// A span of `tracing` is being started on this thread. Whoever asks for its context waits until that is done,
/// samplers and span processors that log among them.
struct Starting {
    was_starting: bool,
}

impl Starting {
    fn begin() -> Self {
        Self {
            was_starting: IS_STARTING.replace(true),
        }
    }
}

impl Drop for Starting {
    fn drop(&mut self) {
        IS_STARTING.set(self.was_starting);
    }
}

/// Whether [`Tracer`] is starting a span on this thread.
pub(super) fn is_starting() -> bool {
    IS_STARTING.get()
}

/// In the context of a process span: the next span that is started in it stands for that.
#[derive(Debug, Default)]
pub(super) struct Offer {
    is_taken: AtomicBool,
    /// Locked while something is done to the process span, which ends after that.
    has_ended: Mutex<bool>,
}

impl Offer {
    fn take(&self) -> bool {
        !self.is_taken.swap(true, Ordering::Relaxed)
    }

    pub(super) fn is_taken(&self) -> bool {
        self.is_taken.load(Ordering::Relaxed)
    }

    /// Leaves the process span alone from now on, for it is about to end. It is locked while
    /// processors are told of that, and what they log would wait for it.
    pub(super) fn end(&self) {
        *self.has_ended() = true;
    }

    fn has_ended(&self) -> MutexGuard<'_, bool> {
        let has_ended = self.has_ended.lock();
        has_ended.unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something to the process span, which is active in this context, unless that has ended.
    fn on<T>(&self, of: &Context, act: impl FnOnce(SpanRef<'_>) -> T) -> Option<T> {
        let has_ended = self.has_ended();
        (!*has_ended).then(|| act(of.span()))
    }
}

/// A span of [`Tracer`].
#[derive(Debug)]
pub struct Span<S>(Kind<S>);

#[derive(Debug)]
enum Kind<S> {
    Own(S),
    /// Another one, which is active in this context and ends without this.
    StandIn {
        of: Context,
        offer: Arc<Offer>,
        span_context: SpanContext,
    },
}

impl<S: trace::Span> trace::Span for Span<S> {
    fn add_event_with_timestamp<T>(
        &mut self,
        name: T,
        timestamp: SystemTime,
        attributes: Vec<KeyValue>,
    ) where
        T: Into<Cow<'static, str>>,
    {
        match &mut self.0 {
            Kind::Own(span) => span.add_event_with_timestamp(name, timestamp, attributes),
            Kind::StandIn { of, offer, .. } => {
                offer.on(of, |span| {
                    span.add_event_with_timestamp(name, timestamp, attributes);
                });
            }
        }
    }

    fn span_context(&self) -> &SpanContext {
        match &self.0 {
            Kind::Own(span) => span.span_context(),
            Kind::StandIn { span_context, .. } => span_context,
        }
    }

    fn is_recording(&self) -> bool {
        match &self.0 {
            Kind::Own(span) => span.is_recording(),
            Kind::StandIn { of, offer, .. } => {
                let is_recording = offer.on(of, |span| span.is_recording());
                is_recording.unwrap_or_default()
            }
        }
    }

    fn set_attribute(&mut self, attribute: KeyValue) {
        match &mut self.0 {
            Kind::Own(span) => span.set_attribute(attribute),
            Kind::StandIn { of, offer, .. } => {
                offer.on(of, |span| span.set_attribute(attribute));
            }
        }
    }

    fn set_status(&mut self, status: Status) {
        match &mut self.0 {
            Kind::Own(span) => span.set_status(status),
            Kind::StandIn { of, offer, .. } => {
                offer.on(of, |span| span.set_status(status));
            }
        }
    }

    fn update_name<T>(&mut self, name: T)
    where
        T: Into<Cow<'static, str>>,
    {
        match &mut self.0 {
            Kind::Own(span) => span.update_name(name),
            Kind::StandIn { of, offer, .. } => {
                offer.on(of, |span| span.update_name(name));
            }
        }
    }

    fn add_link(&mut self, span_context: SpanContext, attributes: Vec<KeyValue>) {
        match &mut self.0 {
            Kind::Own(span) => span.add_link(span_context, attributes),
            Kind::StandIn { of, offer, .. } => {
                offer.on(of, |span| span.add_link(span_context, attributes));
            }
        }
    }

    fn end_with_timestamp(&mut self, timestamp: SystemTime) {
        if let Kind::Own(span) = &mut self.0 {
            span.end_with_timestamp(timestamp);
        }
    }
}
