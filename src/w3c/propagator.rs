//! From headers to a [`Context`] and back.

use std::collections::HashSet;
use std::sync::LazyLock;

use opentelemetry::Context;
use opentelemetry::baggage::BaggageExt;
use opentelemetry::propagation::text_map_propagator::FieldIter;
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator};
use opentelemetry::trace::{SpanContext, TraceContextExt, TraceFlags, TraceId, TraceState};

use super::traceparent::{RANDOM, TraceParent};
use super::{BAGGAGE, TRACEPARENT, TRACESTATE, baggage, tracestate};

/// W3C Trace Context and Baggage as one [`TextMapPropagator`], which can also be the global one for
/// HTTP. The [module](crate::w3c) has an example.
///
/// Header names match in any case, lower case first. Several `tracestate` or `baggage` headers are
/// read as one list, if the carrier has [`Extractor::get_all`]. Several `traceparent` headers that
/// differ are absent. An empty header is not written.
///
/// Spec: [Trace Context Level 2 § Trace Context HTTP Request Headers Format]; [Baggage § Baggage HTTP Header Format].
///
/// [Trace Context Level 2 § Trace Context HTTP Request Headers Format]: https://www.w3.org/TR/2024/CRD-trace-context-2-20240328/#trace-context-http-request-headers-format
/// [Baggage § Baggage HTTP Header Format]: https://www.w3.org/TR/2024/CR-baggage-20240530/#baggage-http-header-format
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct Propagator;

impl Propagator {
    /// The propagator. It has no settings.
    #[must_use]
    pub const fn new() -> Self {
        Self
    }
}

impl TextMapPropagator for Propagator {
    fn inject_context(&self, context: &Context, injector: &mut dyn Injector) {
        let outgoing = Outgoing::from_context(context);
        let traceparent = outgoing
            .traceparent
            .map(|value| String::from_utf8_lossy(&value).into_owned());
        let headers = [
            (TRACEPARENT, traceparent),
            (TRACESTATE, outgoing.tracestate),
            (BAGGAGE, outgoing.baggage),
        ];
        for (name, value) in headers {
            if let Some(value) = value {
                injector.set(name, value);
            }
        }
    }

    fn extract_with_context(&self, context: &Context, extractor: &dyn Extractor) -> Context {
        Incoming {
            traceparent: only_traceparent(&values(extractor, TRACEPARENT)),
            tracestate: values(extractor, TRACESTATE),
            baggage: values(extractor, BAGGAGE),
        }
        .onto(context, |_| true)
        .context
    }

    fn fields(&self) -> FieldIter<'_> {
        static FIELDS: LazyLock<[String; 3]> =
            LazyLock::new(|| [TRACEPARENT, TRACESTATE, BAGGAGE].map(String::from));
        FieldIter::new(&*FIELDS)
    }
}

fn only_traceparent(values: &[&[u8]]) -> Option<TraceParent> {
    let mut valid = values.iter().filter_map(|value| TraceParent::parse(value));
    let first = valid.next()?;
    valid.all(|other| other == first).then_some(first)
}

fn values<'a>(extractor: &'a dyn Extractor, name: &str) -> Vec<&'a [u8]> {
    let mut values = extractor.get_all(name).unwrap_or_default();
    if values.is_empty() {
        // A carrier may list a name once per value.
        let mut names = HashSet::new();
        for key in extractor.keys() {
            if key.eq_ignore_ascii_case(name) && names.insert(key) {
                values.extend(extractor.get_all(key).unwrap_or_default());
            }
        }
    }
    values.into_iter().map(str::as_bytes).collect()
}

/// The headers of one message, the values of repeated ones in their order.
#[derive(Debug)]
pub(crate) struct Incoming<'a> {
    pub(crate) traceparent: Option<TraceParent>,
    pub(crate) tracestate: Vec<&'a [u8]>,
    pub(crate) baggage: Vec<&'a [u8]>,
}

/// What [`Incoming`] came to.
#[derive(Debug)]
pub(crate) struct Read {
    pub(crate) context: Context,
    /// A header that was dropped, in whole or in part; `traceparent` is not looked at.
    pub(crate) malformed: Option<&'static str>,
}

impl Incoming<'_> {
    /// Returns `base` with what was received put on it, and of baggage what `accepts` takes.
    ///
    /// Without `traceparent` it keeps its span, without a usable `baggage` member its baggage.
    pub(crate) fn onto(&self, base: &Context, accepts: impl Fn(&str) -> bool) -> Read {
        let mut malformed = None;
        let context = match self.traceparent {
            Some(traceparent) => {
                let (list, is_dropped) = self.list();
                malformed = is_dropped.then_some(TRACESTATE);
                trace_onto(base, traceparent, list)
            }
            None => base.clone(),
        };
        if self.baggage.is_empty() {
            return Read { context, malformed };
        }
        let baggage = baggage::parse(&self.baggage, accepts);
        if malformed.is_none() && baggage.is_malformed {
            malformed = Some(BAGGAGE);
        }
        let context = match baggage.accepted {
            Some(accepted) => context.with_baggage(accepted),
            None => context,
        };
        Read { context, malformed }
    }

    /// The span alone, for who wants no context, and a header that [`onto`](Self::onto) drops.
    pub(crate) fn span(
        &self,
        accepts: impl Fn(&str) -> bool,
    ) -> (Option<SpanContext>, Option<&'static str>) {
        let mut malformed = None;
        let span = self.traceparent.map(|traceparent| {
            let (list, is_dropped) = self.list();
            malformed = is_dropped.then_some(TRACESTATE);
            traceparent.span_context(list.held)
        });
        if malformed.is_none() && !self.baggage.is_empty() {
            malformed = baggage::is_malformed(&self.baggage, accepts).then_some(BAGGAGE);
        }
        (span, malformed)
    }

    /// The tracestate, and whether a part of it was dropped.
    fn list(&self) -> (tracestate::Received, bool) {
        if self.tracestate.is_empty() {
            return Default::default();
        }
        let list = tracestate::parse(&self.tracestate);
        let mut values = self.tracestate.iter();
        let is_dropped = match list {
            Some(_) => values.any(|value| str::from_utf8(value).is_err()),
            None => !values.all(|value| value.trim_ascii().is_empty()),
        };
        (list.unwrap_or_default(), is_dropped)
    }
}

impl TraceParent {
    /// Its span, which is a remote one, with this list.
    pub(crate) fn span_context(self, list: TraceState) -> SpanContext {
        SpanContext::new(self.trace_id, self.parent_id, self.flags, true, list)
    }
}

fn trace_onto(base: &Context, traceparent: TraceParent, list: tracestate::Received) -> Context {
    let beside = BesideSpan {
        trace_id: traceparent.trace_id,
        random: traceparent.flags & RANDOM,
        tracestate: list.complete.map(|complete| (list.held.clone(), complete)),
    };
    let context = base.with_remote_span_context(traceparent.span_context(list.held));

    // Most messages need none of it, and storing it costs as much as all else here. One of an
    // earlier message must not stay either: it may belong to the same trace.
    let is_needed = beside.random == RANDOM
        || beside.tracestate.is_some()
        || base.get::<BesideSpan>().is_some();
    if is_needed {
        context.with_value(beside)
    } else {
        context
    }
}

/// `base` with the span of `context` as a remote one, and with what belongs to its trace.
///
/// Where another format was read, no flag but that of sampling means what it does here.
pub(crate) fn span_onto(base: &Context, context: &Context) -> Context {
    let span = context.span();
    let span = span.span_context();
    let beside = context
        .get::<BesideSpan>()
        .filter(|beside| beside.trace_id == span.trace_id());
    let random = beside.map_or(TraceFlags::NOT_SAMPLED, |beside| beside.random);
    let flags = span.trace_flags() & TraceFlags::SAMPLED | random;
    let list = tracestate::Received {
        held: span.trace_state().clone(),
        complete: beside
            .and_then(|beside| beside.tracestate.as_ref())
            .map(|(_, complete)| complete.clone()),
    };
    let traceparent = TraceParent {
        trace_id: span.trace_id(),
        parent_id: span.span_id(),
        flags,
    };
    trace_onto(base, traceparent, list)
}

/// The headers that a context is sent as; what is unset is not to be sent.
#[derive(Debug)]
pub(crate) struct Outgoing {
    pub(crate) traceparent: Option<[u8; 55]>,
    pub(crate) tracestate: Option<String>,
    pub(crate) baggage: Option<String>,
    /// Whether a member of baggage is not to be sent either, for it cannot be or is over a limit.
    pub(crate) is_baggage_cut: bool,
}

impl Outgoing {
    /// Writes the span of `context`, sampled or not, and its baggage; of an invalid span nothing.
    pub(crate) fn from_context(context: &Context) -> Self {
        let baggage = baggage::write(context.baggage());
        let (baggage, is_baggage_cut) = (baggage.header, baggage.is_cut);
        let span = context.span();
        let span = span.span_context();
        if !span.is_valid() {
            return Self {
                traceparent: None,
                tracestate: None,
                baggage,
                is_baggage_cut,
            };
        }

        let beside = context
            .get::<BesideSpan>()
            .filter(|beside| beside.trace_id == span.trace_id());
        let random = beside.map_or_else(|| span.trace_flags() & RANDOM, |beside| beside.random);
        let traceparent = TraceParent {
            trace_id: span.trace_id(),
            parent_id: span.span_id(),
            flags: span.trace_flags() & TraceFlags::SAMPLED | random,
        };
        let complete = beside
            .and_then(|beside| beside.tracestate.as_ref())
            .filter(|(held, _)| held == span.trace_state())
            .map(|(_, complete)| complete.clone());
        Self {
            traceparent: Some(traceparent.write()),
            tracestate: complete.or_else(|| tracestate::write(span.trace_state())),
            baggage,
            is_baggage_cut,
        }
    }
}

/// What was received with a trace and does not survive in its [`SpanContext`]s.
#[derive(Debug)]
pub(super) struct BesideSpan {
    trace_id: TraceId,
    /// The SDK clears all flags of a span that its sampler drops; this one belongs to the trace.
    random: TraceFlags,
    /// What the span context holds of the list, and the complete one. A span with another list had
    /// it changed, by a sampler or by hand, and that is then the one to send.
    tracestate: Option<(TraceState, String)>,
}
