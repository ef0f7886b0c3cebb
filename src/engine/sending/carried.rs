//! What a message to be sent carries already, and what may become of it.

use std::sync::Arc;

use opentelemetry::Context;
use opentelemetry::baggage::{Baggage, BaggageExt as _};
use opentelemetry::trace::{Link, TraceContextExt as _};

use super::outgoing::Outgoing;
use crate::engine::client::Client;
use crate::engine::operation::Operation;
use crate::engine::parent::{ParentAndLinks, untrusted};
use crate::engine::propagation::{
    Carried, CarriedHeaders, Extracted, Headers, HeadersMut, Injected,
};
use crate::engine::refused::Refused;
use crate::engine::shown_baggage::ShownBaggage;
use crate::policy::{self, Incoming, Rule};
use crate::telemetry::Telemetry;
use crate::telemetry::context::{active_span, copied};

/// What a message to be sent carries from before: the user's own context, or that of an attempt or a
/// hop before this one.
#[derive(Debug)]
pub(super) struct CarriedContext {
    extracted: Extracted,
    may: policy::Carried,
    /// Nothing that it carries may go out again.
    is_refused: bool,
    /// Baggage passes by a list, or not at all: what is on the message can only pass if it is read
    /// and written.
    restricts_baggage: bool,
}

impl CarriedContext {
    /// Reads what `headers` carry, for a message that is sent while `ambient` is current.
    pub(super) fn read(
        telemetry: &Telemetry,
        rule: &Rule,
        ambient: &Context,
        headers: &(impl Headers + HeadersMut),
    ) -> Self {
        // Where no span is active, the carried one may be; then all else that is current stays.
        let base = match active_span(ambient) {
            Some(_) => Context::new(),
            None if ambient.baggage().is_empty() => ambient.clone(),
            None => ambient.with_baggage(Baggage::new()),
        };
        let refused = Refused::remembered_in(ambient);
        let accepts = |member: &str| {
            rule.sends(member) && refused.is_none_or(|refused| refused.accepts(member))
        };
        let extracted =
            telemetry.extract(&base, Some(headers).filter(|one| !one.is_empty()), accepts);
        let incoming = refused.map_or(Incoming::Continue, |refused| {
            refused.incoming(extracted.named.creation.as_ref())
        });
        let may = match (incoming, rule.carried_context()) {
            (Incoming::Ignore, _) => policy::Carried::Ignore,
            (Incoming::Restart, policy::Carried::Continue) => policy::Carried::LinkOnly,
            (_, by_rule) => by_rule,
        };
        let is_stranger = matches!(incoming, Incoming::Restart | Incoming::Ignore);
        let is_refused = is_stranger || may == policy::Carried::Ignore;
        Self {
            restricts_baggage: is_refused
                || rule.restricts_sent_baggage()
                || refused.is_some_and(Refused::restricts_baggage),
            is_refused,
            may,
            extracted,
        }
    }

    /// Whether it carries a context that may go out as it is.
    pub(super) const fn can_be_kept(&self) -> bool {
        self.extracted.named.creation.is_some() && !self.is_refused
    }

    /// Whether the message's trace may go on with the context that it carries.
    pub(super) fn continues(&self) -> bool {
        self.can_be_kept() && self.may == policy::Carried::Continue
    }

    /// What the message links to, in a span inside `parent`. A context that is not continued there
    /// decides nothing.
    ///
    /// Spec: [messaging-spans § Producer spans].
    ///
    /// [messaging-spans § Producer spans]: https://github.com/open-telemetry/semantic-conventions/blob/v1.45.0/docs/messaging/messaging-spans.md#producer-spans
    pub(super) fn links(&self, parent: &Context) -> Vec<Link> {
        if self.may == policy::Carried::Ignore {
            return Vec::new();
        }
        let trace = parent.span().span_context().trace_id();
        let carried = self.extracted.named.contexts().cloned();
        let links = carried.map(|context| {
            if context.trace_id() == trace && !self.is_refused {
                context
            } else {
                untrusted(context)
            }
        });
        links.map(Link::with_context).collect()
    }

    /// The context that a span of the message is started in: the ambient one, and where no span is
    /// active there the carried one, with the baggage of both.
    pub(super) fn parent(&self, ambient: &Context) -> Context {
        let is_parent = self.continues() && active_span(ambient).is_none();
        let merged = self.merged_baggage(ambient);
        if !is_parent {
            return merged.map_or_else(|| ambient.clone(), |merged| ambient.with_baggage(merged));
        }
        let context = &self.extracted.context;
        let ambients = || copied(ambient.baggage().iter());
        match merged.or_else(|| (!ambient.baggage().is_empty()).then(ambients)) {
            Some(baggage) => context.with_baggage(baggage),
            None => context.clone(),
        }
    }

    /// What is seen of the baggage that the message is sent with, in a context that is its own, or in
    /// that of a span inside `ambient`.
    pub(super) fn shown_baggage(
        &self,
        client: &Client,
        rule: &Rule,
        ambient: &Context,
        is_kept: bool,
    ) -> Option<Arc<ShownBaggage>> {
        if !rule.shows_baggage() {
            return None;
        }
        let parent = match is_kept {
            true => self.extracted.context.clone(),
            false => self.parent(ambient),
        };
        client.shown_baggage(rule, parent.baggage(), |member| rule.sends(member))
    }

    /// Parent and links of a span that sends or creates the message.
    pub(super) fn parent_and_links(&self, ambient: &Context) -> ParentAndLinks {
        let parent = self.parent(ambient);
        let links = self.links(&parent);
        ParentAndLinks::inside(parent, links)
    }

    /// The same where the message keeps the context that it carries: that is the user's own, and is
    /// linked to.
    pub(super) fn kept_parent_and_links(&self, ambient: &Context) -> ParentAndLinks {
        ParentAndLinks::inside(ambient.clone(), self.links(ambient))
    }

    /// `context` with the baggage of `ambient` and of the message; of members with the same name the
    /// ambient one counts.
    pub(super) fn with_baggage(&self, context: &Context, ambient: &Context) -> Option<Context> {
        let merged = self.merged_baggage(ambient)?;
        Some(context.with_baggage(merged))
    }

    /// Baggage of both; `None` if the ambient one is all that there is.
    fn merged_baggage(&self, ambient: &Context) -> Option<Baggage> {
        let carried = self.extracted.context.baggage();
        if self.is_refused || carried.is_empty() {
            return None;
        }
        let mut merged: Baggage = copied(ambient.baggage().iter());
        for (name, (value, metadata)) in carried {
            if merged.get(name.as_str()).is_none() {
                merged.insert_with_metadata(name.clone(), value.clone(), metadata.clone());
            }
        }
        Some(merged)
    }

    /// What becomes of the headers that the message has, where a context is written for it.
    pub(super) fn headers(&self, ambient: &Context) -> CarriedHeaders {
        CarriedHeaders {
            trace: if self.is_refused {
                Carried::Removed
            } else {
                Carried::Replaced
            },
            baggage: if self.restricts_baggage {
                Carried::Removed
            } else if ambient.baggage().is_empty() && self.extracted.named.conflicting.is_none() {
                Carried::Kept
            } else {
                Carried::Replaced
            },
        }
    }

    /// Leaves the message with the context that it carries, but for what baggage is forbidden.
    pub(super) fn keep(&self, operation: &Operation<'_>, message: &mut impl Outgoing) -> Injected {
        let nothing = Context::new();
        let left = CarriedHeaders {
            trace: Carried::Kept,
            baggage: match self.restricts_baggage {
                true => Carried::Removed,
                false => Carried::Kept,
            },
        };
        let own = self.with_baggage(&nothing, &nothing).unwrap_or(nothing);
        self.inject(operation, &own, left, message)
    }

    /// Writes `context` into the headers of the message.
    pub(super) fn inject(
        &self,
        operation: &Operation<'_>,
        context: &Context,
        carried: CarriedHeaders,
        message: &mut impl Outgoing,
    ) -> Injected {
        let telemetry = &operation.client.telemetry;
        let sent = operation.rule().without_kept_baggage(context);
        let context = sent.as_ref().unwrap_or(context);
        let mut carried = carried;
        if carried.trace == Carried::Replaced
            && self.is_from(context)
            && !self.extracted.is_from_fallback
            && self.extracted.named.conflicting.is_none()
        {
            // Nobody has started a span: what the message carries is what it would be given, and all of that.
            carried.trace = Carried::Kept;
        }
        let (headers, room) = message.headers_and_room();
        let mut injected = telemetry.inject(context, headers, carried, room);
        injected.is_replacement &= carried.trace != Carried::Kept;
        if carried.baggage != Carried::Kept && !self.has_all_baggage_in(context) {
            injected.lack_baggage();
        }
        telemetry.report(injected.problems(), operation);
        injected
    }

    /// Whether `context` has the baggage of the message, which was to have that of both: there is a limit to what one can
    /// hold.
    fn has_all_baggage_in(&self, context: &Context) -> bool {
        let (all, own) = (context.baggage(), self.extracted.context.baggage());
        self.is_refused || own.iter().all(|(name, _)| all.get(name.as_str()).is_some())
    }

    /// Whether the span of `context` is the one that the message names.
    fn is_from(&self, context: &Context) -> bool {
        let span = context.span();
        let span = span.span_context();
        self.extracted
            .named
            .creation
            .as_ref()
            .is_some_and(|creation| {
                (creation.trace_id(), creation.span_id()) == (span.trace_id(), span.span_id())
            })
    }
}

/// Takes out of a message that is none of our affair what was refused with another one.
pub(super) fn strip(operation: &Operation<'_>, ambient: &Context, message: &mut impl Outgoing) {
    if Refused::remembered_in(ambient).is_none() {
        return;
    }
    let (telemetry, rule) = (&operation.client.telemetry, operation.rule());
    let carried = CarriedContext::read(telemetry, rule, ambient, message.headers());
    let nothing = Context::new();
    let left = CarriedHeaders {
        trace: match carried.is_refused {
            true => Carried::Removed,
            false => Carried::Kept,
        },
        ..carried.headers(&nothing)
    };
    let own = carried.with_baggage(&nothing, &nothing).unwrap_or(nothing);
    let (headers, _) = message.headers_and_room();
    telemetry.inject(&own, headers, left, |_| usize::MAX);
}

#[cfg(test)]
mod tests {
    use std::ops::Range;

    use opentelemetry::KeyValue;

    use super::*;
    use crate::engine::destination::{Destination, Name};
    use crate::engine::propagation::tests::list::{List, list};
    use crate::engine::sending::Sending;
    use crate::testing::{ExpectedMetric, Recorder};

    struct Message {
        destination: Arc<Destination>,
        headers: List,
    }

    impl Outgoing for Message {
        type Headers = List;

        fn destination(&self) -> &Arc<Destination> {
            &self.destination
        }
        fn headers(&self) -> &List {
            &self.headers
        }
        fn headers_and_room(&mut self) -> (&mut List, impl FnOnce(&List) -> usize) {
            (&mut self.headers, |_| usize::MAX)
        }
        fn attributes(&self, _: &mut dyn FnMut(KeyValue)) {}
    }

    fn members(numbers: Range<usize>) -> Vec<String> {
        numbers.map(|number| format!("m{number:02}")).collect()
    }

    #[test]
    fn baggage_of_a_message_that_has_no_room_beside_the_ambient_one_is_counted() {
        for (ambient, carried, sent, left_out) in [
            (0..24, 24..64, 0..64, 0),
            (0..24, 20..64, 0..64, 0),
            (0..64, 64..65, 0..64, 1),
        ] {
            let recorder = Recorder::new();
            let client = Arc::new(Client::new(&recorder.telemetry(), "kafka"));
            let text = |numbers| members(numbers).join("=1,") + "=1";
            let baggage = members(ambient);
            let baggage = baggage.into_iter().map(|name| KeyValue::new(name, "1"));
            let ambient = Context::new().with_baggage(baggage);
            let mut message = Message {
                destination: client.destination(Name::lasting("orders")),
                headers: list(&[("baggage", &*text(carried))]),
            };

            drop(Sending::start(&client, "send", ambient, &mut message));

            let headers = message.headers.0.into_iter();
            let written: Vec<_> = headers.filter(|(name, _)| name == "baggage").collect();
            assert_eq!(written, list(&[("baggage", &*text(sent))]).0);
            let problem = KeyValue::new("otel_messaging.context.problem", "baggage_left_out");
            ExpectedMetric::counter("otel_messaging.context.problems", "{message}")
                .of([problem], left_out)
                .assert(&recorder);
        }
    }
}
