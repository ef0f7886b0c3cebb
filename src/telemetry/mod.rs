//! [`Telemetry`]: what every wrapper is given, and the only reader of OpenTelemetry's globals.

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;
use std::{env, fmt};

use opentelemetry::global::{BoxedSpan, BoxedTracer};
use opentelemetry::metrics::{Meter, MeterProvider};
use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::{Span as _, SpanBuilder, TraceContextExt as _, Tracer, TracerProvider};
use opentelemetry::{Context, InstrumentationScope, global};

use crate::diagnosis::{Diagnosis, Problem};
use crate::envelope::Envelope;
use crate::metrics::Instruments;
use crate::policy::Policy;
use crate::propagation::Propagation;
use crate::semconv::SCHEMA_URL;
use crate::semconv::outcome::{Classifier, HandlerError, by_type_name};

/// Where spans and metrics go, and how context travels: given to each wrapper at construction.
///
/// Unset, the tracer and the meter are OpenTelemetry's global ones, looked up at first use, and
/// context travels as W3C Trace Context and Baggage ([`w3c::Propagator`](crate::w3c::Propagator)),
/// whatever the global propagator is. Cloning is cheap.
///
/// ```
/// use opentelemetry_sdk::trace::SdkTracerProvider;
/// use otel_messaging::Telemetry;
///
/// let provider = SdkTracerProvider::default();
/// let telemetry = Telemetry::new().tracer_provider(provider.clone());
/// ```
#[derive(Clone)]
pub struct Telemetry {
    tracer: Arc<LateTracer>,
    meter: Option<Meter>,
    instruments: Arc<OnceLock<Instruments>>,
    propagation: Propagation,
    policy: Arc<Policy>,
    /// A wait has to be timed before anybody knows what will be received.
    times_waits: bool,
    classifier: Classifier,
    keeps_existing_context: bool,
    max_links: usize,
    diagnosis: Arc<Diagnosis>,
}

impl Telemetry {
    /// Telemetry over the global providers and the W3C propagator.
    #[must_use]
    pub fn new() -> Self {
        Self {
            tracer: Arc::default(),
            meter: None,
            instruments: Arc::default(),
            propagation: Propagation::W3c,
            policy: Arc::default(),
            times_waits: false,
            classifier: Arc::new(by_type_name),
            keeps_existing_context: false,
            max_links: default_max_links(),
            diagnosis: Arc::new(Diagnosis::new()),
        }
    }

    /// Sets the provider of the tracer.
    ///
    /// Unset: the global provider, looked up at first use and again until there is one. A missing
    /// global provider is reported once, as a `tracing` warning; messages and incoming contexts
    /// pass through all the same.
    #[must_use]
    pub fn tracer_provider<P>(mut self, provider: P) -> Self
    where
        P: TracerProvider,
        P::Tracer: Send + Sync + 'static,
        <P::Tracer as Tracer>::Span: Send + Sync + 'static,
    {
        let tracer = BoxedTracer::new(Box::new(provider.tracer_with_scope(scope())));
        self.tracer = Arc::new(LateTracer {
            resolved: OnceLock::from(tracer),
            missing_reported: AtomicBool::new(false),
        });
        self
    }

    /// Sets the provider of the meter.
    ///
    /// Unset: the global provider, looked up at first use.
    #[must_use]
    pub fn meter_provider<P: MeterProvider>(mut self, provider: P) -> Self {
        self.meter = Some(provider.meter_with_scope(scope()));
        self.instruments = Arc::default();
        self
    }

    /// Sets the propagator that writes and reads the headers of messages.
    ///
    /// Unset: [`w3c::Propagator`](crate::w3c::Propagator).
    #[must_use]
    pub fn propagator<P>(mut self, propagator: P) -> Self
    where
        P: TextMapPropagator + Send + Sync + 'static,
    {
        self.propagation = Propagation::Custom(Arc::new(propagator));
        self
    }

    /// Uses OpenTelemetry's global propagator, looked up for every message.
    ///
    /// Where the program has set none, the global propagator does nothing and traces end at the
    /// queue; that is why it is not the default.
    #[must_use]
    pub fn global_propagator(mut self) -> Self {
        self.propagation = Propagation::Global;
        self
    }

    /// Sets what is recorded and trusted, destination by destination.
    ///
    /// Unset: everything is recorded and every context is continued, as the module
    /// [`policy`](crate::policy) says of what no rule sets.
    #[must_use]
    pub fn policy(mut self, policy: Policy) -> Self {
        self.times_waits = policy.has_receive_spans();
        self.policy = Arc::new(policy);
        self
    }

    /// Sets what decides whether a handler's error is a failure of its process span, and under
    /// which `error.type`.
    ///
    /// `None` means that the error is an expected outcome: the span's status stays unset. Keep the
    /// answer low in cardinality. Unset: each error is a failure whose `error.type` is the name of
    /// its Rust type, which says little of errors like `anyhow`'s that can hold any other:
    ///
    /// ```
    /// use std::io;
    /// use otel_messaging::Telemetry;
    ///
    /// let telemetry = Telemetry::new().error_classifier(|error| {
    ///     let cause = error.downcast_ref::<anyhow::Error>();
    ///     match cause.and_then(|cause| cause.downcast_ref::<io::Error>()) {
    ///         Some(error) if error.kind() == io::ErrorKind::AlreadyExists => None,
    ///         Some(_) => Some("io".into()),
    ///         None => Some(error.type_name().into()),
    ///     }
    /// });
    /// ```
    #[must_use]
    pub fn error_classifier<F>(mut self, classifier: F) -> Self
    where
        F: Fn(&HandlerError<'_>) -> Option<Cow<'static, str>> + Send + Sync + 'static,
    {
        self.classifier = Arc::new(classifier);
        self
    }

    /// Keeps a context that a message to be sent already carries, as one that the user chose.
    ///
    /// Such a message's headers are not altered; its send span is of kind CLIENT and links to the
    /// context. Unset: the headers are replaced, since what a forwarded message carries is most
    /// often the stale context of the hop before.
    ///
    /// Spec: messaging-spans § Producer spans, 1.44.0.
    #[must_use]
    pub const fn keep_existing_context(mut self) -> Self {
        self.keeps_existing_context = true;
        self
    }

    /// Sets how many links a span of a batch has at most; what is more goes onto child spans.
    ///
    /// Keep it at or below what the SDK's span limits allow, or the SDK drops the rest. Unset: what
    /// `OTEL_SPAN_LINK_COUNT_LIMIT` says, as for the SDK, else 128. With 0 there are no links.
    #[must_use]
    pub const fn max_links(mut self, links: usize) -> Self {
        self.max_links = links;
        self
    }

    /// Starts a span and returns `parent` with it.
    pub(crate) fn start(&self, builder: SpanBuilder, parent: &Context) -> Context {
        self.tracer.start(builder, parent)
    }

    pub(crate) fn instruments(&self) -> &Instruments {
        self.instruments.get_or_init(|| match &self.meter {
            Some(meter) => Instruments::new(meter),
            None => Instruments::new(&global_meter()),
        })
    }

    /// Counts problems with a message's context, and tells them where debug lines are enabled.
    pub(crate) fn report(
        &self,
        problems: impl IntoIterator<Item = Problem>,
        envelope: &Envelope<'_>,
    ) {
        for problem in problems {
            self.instruments().problem(problem, envelope);
            self.diagnosis.tell(problem, envelope);
        }
    }

    /// The begin of a wait for a message, where receiving may have a span.
    pub(crate) fn begin_of_wait(&self) -> Option<SystemTime> {
        self.times_waits.then(SystemTime::now)
    }

    pub(crate) fn rules(&self) -> &Policy {
        &self.policy
    }

    pub(crate) const fn propagation(&self) -> &Propagation {
        &self.propagation
    }

    pub(crate) fn classify(&self, error: &HandlerError<'_>) -> Option<Cow<'static, str>> {
        (self.classifier)(error)
    }

    pub(crate) const fn most_links(&self) -> usize {
        self.max_links
    }

    pub(crate) const fn keeps_existing_context(&self) -> bool {
        self.keeps_existing_context
    }
}

impl Default for Telemetry {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Telemetry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Telemetry")
            .field("propagation", &self.propagation)
            .field("policy", &self.policy)
            .field("keeps_existing_context", &self.keeps_existing_context)
            .finish_non_exhaustive()
    }
}

/// A tracer that, unless given, is taken from the global provider once there is one: a tracer taken
/// before a provider is set would stay without effect for ever.
#[derive(Default)]
struct LateTracer {
    resolved: OnceLock<BoxedTracer>,
    missing_reported: AtomicBool,
}

impl LateTracer {
    fn start(&self, builder: SpanBuilder, parent: &Context) -> Context {
        if let Some(tracer) = self.resolved.get() {
            return within(parent, tracer.build_with_context(builder, parent));
        }
        let tracer = global_tracer();
        let span = tracer.build_with_context(builder, parent);
        // OpenTelemetry's no-op tracer cannot be asked for; it shows by spans that have no id of
        // their own.
        if span.span_context().span_id() != parent.span().span_context().span_id() {
            let _ = self.resolved.set(tracer);
        } else if !self.missing_reported.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                "no tracer provider: messages go through and carry the context they are given, \
                 but no span is recorded; set a global provider or give one to `Telemetry`"
            );
        }
        within(parent, span)
    }
}

/// Nothing is ever asked of a span that is not recorded but its identity.
fn within(parent: &Context, span: BoxedSpan) -> Context {
    if span.is_recording() {
        parent.with_span(span)
    } else {
        parent.with_remote_span_context(span.span_context().clone())
    }
}

/// Spec: SDK environment variables § Span limits.
fn default_max_links() -> usize {
    let set = env::var("OTEL_SPAN_LINK_COUNT_LIMIT").ok();
    set.and_then(|text| text.parse().ok()).unwrap_or(128)
}

fn scope() -> InstrumentationScope {
    InstrumentationScope::builder(env!("CARGO_PKG_NAME"))
        .with_version(env!("CARGO_PKG_VERSION"))
        .with_schema_url(SCHEMA_URL)
        .build()
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one place that reads OpenTelemetry's globals"
)]
fn global_tracer() -> BoxedTracer {
    global::tracer_with_scope(scope())
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one place that reads OpenTelemetry's globals"
)]
fn global_meter() -> Meter {
    global::meter_with_scope(scope())
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one place that reads OpenTelemetry's globals"
)]
pub(crate) fn with_global_propagator<T>(use_it: impl FnMut(&dyn TextMapPropagator) -> T) -> T {
    global::get_text_map_propagator(use_it)
}
