//! What headers say, by a reader that is slow and plain: the grammar is that of the texts of W3C, the rules
//! for names and duplicates are those that the crate promises. It shares no code with the crate.

mod baggage;
mod headers;
mod traceparent;
mod tracestate;

use opentelemetry::Context;
use opentelemetry::baggage::BaggageExt as _;
use opentelemetry::trace::{TraceContextExt as _, TraceState};

pub use self::baggage::Members;
pub(crate) use self::baggage::decoded;
pub use self::headers::{Order, field};
pub use self::traceparent::Parent;

pub const TRACEPARENT: &str = "traceparent";
pub const TRACESTATE: &str = "tracestate";
pub const BAGGAGE: &str = "baggage";

/// A context as headers carry it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Carried {
    pub parent: Option<Parent>,
    /// The members of the list in their order. Without a parent there is none.
    pub tracestate: Vec<(String, String)>,
    pub baggage: Members,
}

impl Carried {
    /// The values of one message, where each field may have several.
    pub fn read(parent: Option<Parent>, tracestate: &[&str], baggage: &[&str]) -> Self {
        Self {
            tracestate: match parent {
                Some(_) => tracestate::read(tracestate),
                None => Vec::new(),
            },
            parent,
            baggage: baggage::read(baggage),
        }
    }

    /// The headers of a message: names and values, by the crate's rule for names and duplicates.
    pub fn of_message(headers: &[(&[u8], &[u8])], order: Order) -> Self {
        let found = headers::found(headers, order);
        Self::read(found.parent, &found.tracestate, &found.baggage)
    }

    /// The headers that it is sent as.
    pub fn written(&self) -> Vec<(&'static str, String)> {
        let parent = self.parent.as_ref();
        let fields = [
            (TRACEPARENT, parent.map(Parent::written)),
            (TRACESTATE, tracestate::written(&self.tracestate)),
            (BAGGAGE, baggage::written(&self.baggage)),
        ];
        let fields = fields.into_iter();
        fields
            .filter_map(|(name, value)| Some((name, value?)))
            .collect()
    }

    /// Panics unless `context` is this one.
    pub fn assert_is(&self, context: &Context) {
        let span = context.span();
        let span = span.span_context();
        match &self.parent {
            None => assert!(!span.is_valid(), "no context was there: {span:?}"),
            Some(parent) => {
                assert!(span.is_valid() && span.is_remote(), "{span:?}");
                let read = Parent {
                    trace: span.trace_id().to_string(),
                    span: span.span_id().to_string(),
                    sampled: span.is_sampled(),
                    random: span.trace_flags().to_u8() & 2 != 0,
                };
                assert_eq!((&read, span.trace_flags().to_u8() >> 2), (parent, 0));
            }
        }
        assert_eq!(span.trace_state().header(), joined(&self.held()));
        let baggage = context.baggage().iter().map(|(key, (value, metadata))| {
            let read = (value.as_str().to_owned(), metadata.as_str().to_owned());
            (key.as_str().to_owned(), read)
        });
        assert_eq!(baggage.collect::<Members>(), self.baggage);
    }

    /// Panics unless this is what is left of `sent` after it was written and read: all of the trace,
    /// and of the baggage what fits, with its values.
    pub fn assert_was(&self, sent: &Self) {
        assert_eq!(self.parent, sent.parent);
        assert_eq!(self.tracestate, sent.tracestate);
        for (name, (value, _)) in &self.baggage {
            assert_eq!(sent.baggage.get(name).map(|(sent, _)| sent), Some(value));
        }
        let is_all = self.baggage.len() == sent.baggage.len();
        let length = baggage::written(&sent.baggage).map_or(0, |text| text.len());
        assert!(is_all || length + baggage::longest(&sent.baggage) > baggage::MOST_BYTES);
    }

    /// The members that the type of the API can hold; it refuses keys that level 2 allows.
    fn held(&self) -> Vec<(String, String)> {
        let all = self.tracestate.iter().cloned();
        all.filter(|(key, value)| TraceState::from_key_value([(key, value)]).is_ok())
            .collect()
    }
}

fn joined(members: &[(String, String)]) -> String {
    let members = members.iter().map(|(key, value)| format!("{key}={value}"));
    members.collect::<Vec<_>>().join(",")
}

/// Space and tab: the optional whitespace of headers.
fn without_whitespace(text: &str) -> &str {
    text.trim_matches([' ', '\t'])
}
