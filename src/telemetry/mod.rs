//! [`Telemetry`]: what every wrapper is given, and the only reader of OpenTelemetry's globals.

mod caught;
pub(crate) mod context;
pub(crate) mod globals;
mod instruments;
mod log_limiter;
mod logger;
mod moment;
mod propagation;
#[cfg(test)]
pub(crate) mod tests;
mod tracer;

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};
use std::{env, fmt};

use opentelemetry::logs::LoggerProvider;
use opentelemetry::metrics::{Meter, MeterProvider};
use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::{Tracer, TracerProvider};
use opentelemetry::{InstrumentationScope, KeyValue};

pub(crate) use self::caught::{Component, caught};
use self::instruments::COMPONENT;
pub(crate) use self::instruments::Instruments;
use self::log_limiter::LogLimiter;
use self::logger::ExceptionLogger;
pub(crate) use self::moment::Moment;
use self::propagation::Fallbacks;
pub(crate) use self::propagation::Propagation;
use self::tracer::LateTracer;
pub(crate) use self::tracer::StartedSpan;
use crate::policy::Policy;
use crate::semconv::SCHEMA_URL;
use crate::semconv::opt_in::{DEPRECATED_NAMES, EXCEPTION_EVENTS, OptIn};
use crate::semconv::outcome::{Classifier, HandlerError, by_type_name};

/// Kinds of problems that a message's context can have.
pub(crate) const PROBLEM_KINDS: usize = 8;

/// The settings of a wrapped client: providers, propagator, policy and limits.
///
/// Each wrapper is given one when it is made. Unset, spans and metrics go to OpenTelemetry's global
/// providers, and context travels as W3C Trace Context and Baggage
/// ([`w3c::Propagator`](crate::w3c::Propagator)), whatever the global propagator is. Cloning is
/// cheap.
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
    logger: Option<Arc<dyn ExceptionLogger>>,
    /// Exceptions that are logged are events of spans too.
    keeps_exception_events: bool,
    instruments: Arc<OnceLock<Instruments>>,
    propagation: Propagation,
    fallbacks: Fallbacks,
    policy: Arc<Policy>,
    /// A wait has to be timed before anybody knows what will be received.
    times_waits: bool,
    classifier: Classifier,
    pub(crate) keeps_existing_context: bool,
    sampler_follows_parent: bool,
    pub(crate) max_links: usize,
    pub(crate) max_names: usize,
    /// Attributes that the conventions have renamed go out under their deprecated names too.
    pub(crate) adds_deprecated_names: bool,
    problem_lines: Arc<LogLimiter<PROBLEM_KINDS>>,
}

impl Telemetry {
    /// Telemetry with the global providers and the W3C propagator.
    ///
    /// The environment variables `OTEL_SPAN_LINK_COUNT_LIMIT` (see [`max_links`](Self::max_links)),
    /// `OTEL_SEMCONV_STABILITY_OPT_IN` (see [`semconv`](crate::semconv)) and
    /// `OTEL_SEMCONV_EXCEPTION_SIGNAL_OPT_IN` (see [`logger_provider`](Self::logger_provider)) are read here.
    #[must_use]
    pub fn new() -> Self {
        Self {
            tracer: Arc::default(),
            meter: None,
            logger: None,
            keeps_exception_events: is_opted_in(EXCEPTION_EVENTS),
            instruments: Arc::default(),
            propagation: Propagation::W3c,
            fallbacks: Fallbacks::default(),
            policy: Arc::default(),
            times_waits: false,
            classifier: Arc::new(by_type_name),
            keeps_existing_context: false,
            sampler_follows_parent: false,
            max_links: default_max_links(),
            max_names: 500,
            adds_deprecated_names: is_opted_in(DEPRECATED_NAMES),
            problem_lines: Arc::new(LogLimiter::new()),
        }
    }

    /// Sets the tracer provider.
    ///
    /// Unset: the global one, looked up when the first span starts, and again until there is one.
    /// While there is none, messages are sent and received without spans and their contexts are
    /// passed on; one warning is logged with `tracing`.
    #[must_use]
    pub fn tracer_provider<P>(mut self, provider: P) -> Self
    where
        P: TracerProvider<Tracer: Tracer<Span: Send + Sync + 'static> + Send + Sync + 'static>,
    {
        self.tracer = Arc::new(LateTracer::of(provider.tracer_with_scope(scope())));
        self
    }

    /// Sets the meter provider.
    ///
    /// Unset: the global one, looked up when the first metric is recorded, and again until there is
    /// one.
    #[must_use]
    pub fn meter_provider<P: MeterProvider>(mut self, provider: P) -> Self {
        self.meter = Some(provider.meter_with_scope(scope()));
        self.instruments = Arc::default();
        self
    }

    /// Sets the provider of the logger: exceptions are log records then, not events of spans.
    ///
    /// An operation that has a span by its policy and ends with an error makes one record: at level
    /// ERROR `messaging.process.exception` of a handler's error or panic, at level WARN
    /// `messaging.send.exception`, `messaging.receive.exception` and `messaging.settle.exception` of a
    /// client's error; of a batch that is sent, of the first error. It has `exception.type`, `exception.message` and
    /// `exception.stacktrace` where there are such, and the ids and flags of the span, sampled or not:
    /// what becomes of records of traces that are not sampled is for the provider to say. Without a tracer
    /// provider it has those of the span that is current instead, in a handler that of the message.
    ///
    /// With `logs/dup` in `OTEL_SEMCONV_EXCEPTION_SIGNAL_OPT_IN` when [`Telemetry::new`] is called,
    /// exceptions of handlers are both. Unset: they are span events, and those of clients are in the
    /// span's status alone; OpenTelemetry has no global provider of loggers.
    ///
    /// Spec: [messaging-exceptions].
    ///
    /// [messaging-exceptions]: https://github.com/open-telemetry/semantic-conventions/blob/v1.45.0/docs/messaging/messaging-exceptions.md
    #[must_use]
    pub fn logger_provider<P>(mut self, provider: P) -> Self
    where
        P: LoggerProvider<Logger: Send + Sync + 'static>,
    {
        self.logger = Some(Arc::new(provider.logger_with_scope(scope())));
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
    /// Unset: [`w3c::Propagator`](crate::w3c::Propagator). The global propagator does nothing until
    /// the program sets one, and traces end at the queue until then.
    #[must_use]
    pub fn global_propagator(mut self) -> Self {
        self.propagation = Propagation::Global;
        self
    }

    /// Sets what is recorded and which contexts are trusted, for each destination.
    ///
    /// Unset: everything is recorded and every context is continued. The module
    /// [`policy`](crate::policy) has the default of each setting.
    #[must_use]
    pub fn policy(mut self, policy: Policy) -> Self {
        self.times_waits = policy.has_receive_spans();
        self.policy = Arc::new(policy);
        self
    }

    /// Sets which errors of a handler fail its process span, and their `error.type`.
    ///
    /// The classifier returns the `error.type`, or `None` for an error that is an expected outcome:
    /// the status of the span stays unset then. `error.type` is an attribute of metrics too, so
    /// return few different values.
    ///
    /// Unset: each error fails the span, and its `error.type` is the name of its Rust type, as
    /// [`HandlerError::error_type`] says. For a type that holds any error, such as `anyhow::Error`,
    /// that is `_OTHER`; a classifier can look at the error inside:
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
    ///         None => Some(error.error_type().into()),
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

    /// Sets whether a message that already carries a context keeps it when it is sent.
    ///
    /// If so, the headers of the message are not altered, and its send span has the kind CLIENT and
    /// links to that context. Unset: no. The headers are replaced, because a forwarded message most
    /// often carries the context of the hop before.
    ///
    /// Spec: [messaging-spans § Producer spans].
    ///
    /// [messaging-spans § Producer spans]: https://github.com/open-telemetry/semantic-conventions/blob/v1.45.0/docs/messaging/messaging-spans.md#producer-spans
    #[must_use]
    pub const fn keep_existing_context(mut self, keep: bool) -> Self {
        self.keeps_existing_context = keep;
        self
    }

    /// Sets whether the sampler is known to follow the decision of the parent, as `ParentBased` of the
    /// SDK does: it is not asked then where the parent is not sampled, which costs some 60 % as much.
    ///
    /// Such an operation has no span. The context of its parent is current in the handler and goes out
    /// with messages, not sampled; metrics and log records are as ever. Unset: no, and the sampler is
    /// asked each time. With a sampler that decides otherwise, such as
    /// [`LinkedSampler`](crate::LinkedSampler), spans would be missing.
    #[must_use]
    pub const fn sampler_follows_parent(mut self, follows: bool) -> Self {
        self.sampler_follows_parent = follows;
        self
    }

    /// Sets the most links that a span of a batch has. Further links are on child spans.
    ///
    /// Unset: the value of `OTEL_SPAN_LINK_COUNT_LIMIT`, which the SDK reads too, else 128. With 0,
    /// spans have no links. A value above the limit of the SDK loses links: the SDK drops what is
    /// beyond its limit.
    #[must_use]
    pub const fn max_links(mut self, links: usize) -> Self {
        self.max_links = links;
        self
    }

    /// Sets the most names of destinations that a client uses in span names and on metrics. Unset:
    /// 500.
    ///
    /// Beyond that, span names and metrics leave the name out; spans still have it as an attribute,
    /// and one warning is logged. Destinations whose names are unbounded need a
    /// [template](crate::policy::Rule::template).
    ///
    /// A template of the policy is not counted. A pattern that many destinations share is counted
    /// once. Names that stay in use are added later, up to as many again. With 0, only templates of
    /// the policy are used. As many combinations of values of baggage may be on metrics
    /// ([`baggage_on_metrics`](crate::policy::Rule::baggage_on_metrics)).
    #[must_use]
    pub const fn max_destination_names(mut self, names: usize) -> Self {
        self.max_names = names;
        self
    }

    /// Records measurements, where there is a meter.
    pub(crate) fn measure(&self, record: impl FnOnce(&Instruments)) {
        // A panic of the meter is not to be counted by it.
        let _ = caught(Component::Meter, || {
            if let Some(instruments) = self.instruments() {
                record(instruments);
            }
        });
    }

    fn instruments(&self) -> Option<&Instruments> {
        if let Some(instruments) = self.instruments.get() {
            return Some(instruments);
        }
        let meter = self.meter.clone().or_else(globals::meter)?;
        Some(self.instruments.get_or_init(|| Instruments::new(&meter)))
    }

    /// Runs telemetry code that is not ours; `None` if it panics, which is told once for each
    /// component, and counted.
    pub(crate) fn caught<T>(
        &self,
        component: Component,
        telemetry_code: impl FnOnce() -> T,
    ) -> Option<T> {
        let result = caught(component, telemetry_code);
        if result.is_none() {
            let component = KeyValue::new(COMPONENT, component.name());
            self.measure(|instruments| instruments.panicked(component));
        }
        result
    }

    /// The begin of a wait for a message, where receiving may have a span.
    pub(crate) fn begin_of_wait(&self) -> Option<Moment> {
        self.times_waits.then(Moment::now)
    }

    pub(crate) fn problem_lines(&self) -> &LogLimiter<PROBLEM_KINDS> {
        &self.problem_lines
    }

    pub(crate) fn rules(&self) -> &Policy {
        &self.policy
    }

    pub(crate) const fn propagation(&self) -> &Propagation {
        &self.propagation
    }

    /// A classifier that panics has not said that the error is an expected outcome.
    pub(crate) fn classify(&self, error: &HandlerError<'_>) -> Option<Cow<'static, str>> {
        self.caught(Component::Classifier, || (self.classifier)(error))
            .unwrap_or_else(|| by_type_name(error))
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

/// Spec: [SDK environment variables § Span limits].
///
/// [SDK environment variables § Span limits]: https://github.com/open-telemetry/opentelemetry-specification/blob/v1.60.0/specification/configuration/sdk-environment-variables.md#span-limits
fn default_max_links() -> usize {
    const SDKS_OWN: u32 = 128;
    let set = env::var("OTEL_SPAN_LINK_COUNT_LIMIT").ok();
    // The SDK reads 32 bits, and takes its default for what does not fit.
    let limit: u32 = set.and_then(|text| text.parse().ok()).unwrap_or(SDKS_OWN);
    usize::try_from(limit).unwrap_or(usize::MAX)
}

fn is_opted_in(to: OptIn) -> bool {
    env::var(to.variable).is_ok_and(|value| to.is_in(&value))
}

fn scope() -> InstrumentationScope {
    InstrumentationScope::builder(env!("CARGO_PKG_NAME"))
        .with_version(env!("CARGO_PKG_VERSION"))
        .with_schema_url(SCHEMA_URL)
        .build()
}
