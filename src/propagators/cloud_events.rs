//! [`CloudEvents`]: the context in the attributes of an event.

use opentelemetry::Context;
use opentelemetry::propagation::text_map_propagator::FieldIter;
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator};

use crate::w3c::traceparent::TraceParent;
use crate::w3c::{self, percent_decode};

/// The extension of `CloudEvents` for distributed tracing, in the headers of an event in binary mode.
///
/// | prefix | in |
/// |---|---|
/// | `ce_` | Kafka |
/// | `ce-` | NATS, HTTP; values are percent-encoded |
/// | `cloudEvents_`, `cloudEvents:` | AMQP |
///
/// The first of these under which a valid `traceparent` stands counts, with the `tracestate` beside it. An event in
/// structured mode has both in its payload: its program takes them out, and gives them to
/// [`Received::fallback_context`](crate::Received::fallback_context).
///
/// It writes nothing and has no fields. By the extension the attributes hold the trace in which the event
/// began, whatever hops came since: they are part of the event, and are sent on with it, those of a stranger too.
///
/// Spec: [Distributed Tracing extension].
///
/// [Distributed Tracing extension]: https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/extensions/distributed-tracing.md
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct CloudEvents;

impl CloudEvents {
    /// The propagator. It has no settings.
    #[must_use]
    pub const fn new() -> Self {
        Self
    }
}

impl TextMapPropagator for CloudEvents {
    fn inject_context(&self, _: &Context, _: &mut dyn Injector) {}

    fn extract_with_context(&self, context: &Context, extractor: &dyn Extractor) -> Context {
        let found = BINDINGS.iter().find_map(|binding| {
            let text = binding.value(extractor.get(binding.traceparent)?);
            let traceparent = TraceParent::parse(text.as_bytes())?;
            let tracestate = extractor.get(binding.tracestate);
            Some((traceparent, tracestate.map(|text| binding.value(text))))
        });
        let Some((traceparent, tracestate)) = found else {
            return context.clone();
        };
        let incoming = w3c::Incoming {
            traceparent: Some(traceparent),
            tracestate: tracestate.iter().map(String::as_bytes).collect(),
            baggage: Vec::new(),
        };
        incoming.onto(context, |_| true).context
    }

    fn fields(&self) -> FieldIter<'_> {
        FieldIter::new(&[])
    }
}

/// How a transport names the attributes.
struct Binding {
    traceparent: &'static str,
    tracestate: &'static str,
    /// Spec: [HTTP Protocol Binding § HTTP Header Values], which NATS has too.
    ///
    /// [HTTP Protocol Binding § HTTP Header Values]: https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/http-protocol-binding.md#3132-http-header-values
    is_encoded: bool,
}

impl Binding {
    fn value(&self, text: &str) -> String {
        match self.is_encoded {
            true => percent_decode(text),
            false => text.to_owned(),
        }
    }
}

const BINDINGS: [Binding; 4] = [
    Binding {
        traceparent: "ce_traceparent",
        tracestate: "ce_tracestate",
        is_encoded: false,
    },
    Binding {
        traceparent: "ce-traceparent",
        tracestate: "ce-tracestate",
        is_encoded: true,
    },
    Binding {
        traceparent: "cloudEvents_traceparent",
        tracestate: "cloudEvents_tracestate",
        is_encoded: false,
    },
    Binding {
        traceparent: "cloudEvents:traceparent",
        tracestate: "cloudEvents:tracestate",
        is_encoded: false,
    },
];

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use opentelemetry::trace::TraceContextExt as _;
    use proptest::prelude::*;

    use super::*;

    const TRACEPARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-03";

    fn read(headers: &[(&str, &str)]) -> Option<[Option<String>; 3]> {
        // What any map of names does, without regard to case.
        let headers = headers.iter();
        let headers: HashMap<_, _> = headers
            .map(|(name, value)| (name.to_lowercase(), (*value).to_owned()))
            .collect();
        let context = CloudEvents::new().extract(&headers);
        let mut sent = HashMap::new();
        w3c::Propagator::new().inject_context(&context, &mut sent);
        let is_valid = context.span().span_context().is_valid();
        is_valid.then(|| ["traceparent", "tracestate", "baggage"].map(|name| sent.remove(name)))
    }

    fn found(tracestate: Option<&str>) -> Option<[Option<String>; 3]> {
        let tracestate = tracestate.map(str::to_owned);
        Some([Some(TRACEPARENT.to_owned()), tracestate, None])
    }

    #[test]
    fn the_attributes_are_found_by_the_name_of_each_transport() {
        for prefix in ["ce_", "ce-", "cloudEvents_", "cloudEvents:"] {
            let names = ["traceparent", "tracestate"].map(|name| [prefix, name].concat());
            let [traceparent, tracestate] = names.each_ref().map(String::as_str);

            assert_eq!(read(&[(traceparent, TRACEPARENT)]), found(None));
            let both = [(traceparent, TRACEPARENT), (tracestate, "a=1,b=2")];
            assert_eq!(read(&both), found(Some("a=1,b=2")));
            assert_eq!(read(&[(tracestate, "a=1")]), None);
            assert_eq!(read(&[(traceparent, "00-1-2-01")]), None);
        }
    }

    #[test]
    fn a_tracestate_belongs_to_the_traceparent_beside_it() {
        let headers = [
            ("ce_traceparent", "none"),
            ("ce_tracestate", "a=1"),
            ("ce-traceparent", TRACEPARENT),
            ("tracestate", "b=2"),
        ];
        assert_eq!(read(&headers), found(None));
    }

    #[test]
    fn values_are_decoded_where_the_transport_encodes_them() {
        let encoded = "a=1%20%25";
        let both = |prefix: &str| {
            let names = ["traceparent", "tracestate"].map(|name| [prefix, name].concat());
            let [traceparent, tracestate] = names.each_ref().map(String::as_str);
            read(&[(traceparent, TRACEPARENT), (tracestate, encoded)])
        };
        assert_eq!(both("ce-"), found(Some("a=1 %")));
        assert_eq!(both("ce_"), found(Some(encoded)));
    }

    #[test]
    fn nothing_is_written_and_nothing_is_to_be_replaced() {
        let headers = HashMap::from([("ce_traceparent".to_owned(), TRACEPARENT.to_owned())]);
        let context = CloudEvents::new().extract(&headers);
        let mut sent = HashMap::new();
        CloudEvents::new().inject_context(&context, &mut sent);

        assert_eq!(sent, HashMap::new());
        assert_eq!(CloudEvents::new().fields().count(), 0);
    }

    proptest! {
        #[test]
        fn no_text_panics(traceparent in ".{0,80}", tracestate in ".{0,80}") {
            for prefix in ["ce_", "ce-"] {
                let names = ["traceparent", "tracestate"].map(|name| [prefix, name].concat());
                let [parent, state] = names.each_ref().map(String::as_str);
                read(&[(parent, &traceparent), (state, &tracestate)]);
                read(&[(parent, TRACEPARENT), (state, &tracestate)]);
            }
        }
    }
}
