//! Where a span hangs and what it links to.

use opentelemetry::Context;
use opentelemetry::baggage::BaggageExt as _;
use opentelemetry::trace::{Link, SpanContext, TraceFlags, TraceState};

use crate::engine::propagation::{Extracted, Named};
use crate::engine::refused::Refused;
use crate::policy::{Incoming, Parent};
use crate::telemetry::Telemetry;
use crate::telemetry::context::{active_span, copied, without_span};

/// Where a span hangs and what it links to.
#[derive(Debug)]
pub(crate) struct ParentAndLinks {
    /// Context whose span is the parent.
    pub(crate) parent: Context,
    /// Links, all given when the span is built so that samplers see them.
    pub(crate) links: Vec<Link>,
    /// A span that is active and is not the parent: the last link, and never one too many.
    pub(crate) beside: Option<Box<Link>>,
    /// What the handler has where there comes no span, if that is not `parent`: a parent is made for a span.
    pub(crate) without: Option<Context>,
}

/// What is active where a message, or a batch, is processed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ambient<'a> {
    pub(crate) context: &'a Context,
    /// Whether the active span was opened since the message was delivered, and so can be about it.
    pub(crate) is_about_it: bool,
    /// Whether that is the span of the batch which the message is in, and links to in any case.
    pub(crate) is_of_batch: bool,
    /// What the policy says of the parent.
    pub(crate) choice: Option<Parent>,
}

impl Ambient<'_> {
    /// Whether the active span, which there is, is the parent.
    fn is_parent(self) -> bool {
        match self.choice {
            None => self.is_about_it,
            Some(choice) => choice == Parent::Ambient,
        }
    }
}

impl ParentAndLinks {
    /// Parent and links of a span that belongs to what the application is doing.
    pub(crate) const fn inside(ambient: Context, links: Vec<Link>) -> Self {
        Self {
            parent: ambient,
            links,
            beside: None,
            without: None,
        }
    }

    /// With `refused` in what will be current in the handler.
    pub(crate) fn remembering(mut self, refused: Option<Refused>) -> Self {
        if let Some(refused) = refused {
            let without = self.without.take();
            self.without = without.map(|context| refused.clone().put_into(context));
            self.parent = refused.put_into(self.parent);
        }
        self
    }

    /// Parent and links of a span that handles one received message, which is trusted so far.
    ///
    /// The creation context is linked to, and is the parent where it is continued. A span that was
    /// opened for the message stays the parent, as the conventions recommend; any other active one
    /// is linked. `received` is what the message carried, read onto the ambient context.
    ///
    /// Spec: [messaging-spans § Consumer spans].
    ///
    /// [messaging-spans § Consumer spans]: https://github.com/open-telemetry/semantic-conventions/blob/v1.45.0/docs/messaging/messaging-spans.md#consumer-spans
    pub(crate) fn handling(
        telemetry: &Telemetry,
        ambient: Ambient<'_>,
        received: Extracted,
        incoming: Incoming,
        is_stored: bool,
    ) -> Self {
        let active = active_span(ambient.context);
        let is_parent = active.is_some() && ambient.is_parent();
        let continues = incoming == Incoming::Continue
            && !is_parent
            && ambient.choice != Some(Parent::Root)
            && received.named.creation.is_some();
        let brings_baggage = matches!(incoming, Incoming::Continue | Incoming::LinkOnly);

        let beside = active.filter(|_| !is_parent);
        let without = || {
            passed_on(
                ambient.context.clone(),
                received.context.clone(),
                incoming,
                is_stored,
            )
        };
        let without = (!continues && !is_parent).then(without);
        let parent = if continues {
            received.context
        } else {
            let context = match brings_baggage {
                true => with_baggage_of(ambient.context, &received.context),
                false => ambient.context.clone(),
            };
            match beside {
                Some(_) => without_span(&context),
                None => context,
            }
        };
        Self {
            links: links_inside(telemetry, &parent, || {
                links_to(&received.named, incoming).collect()
            }),
            parent,
            beside: beside.filter(|_| !ambient.is_of_batch).map(link_beside),
            without,
        }
    }

    /// Parent and links of the span of a batch, which has no message for its parent.
    ///
    /// Spec: [messaging-spans § Consumer spans].
    ///
    /// [messaging-spans § Consumer spans]: https://github.com/open-telemetry/semantic-conventions/blob/v1.45.0/docs/messaging/messaging-spans.md#consumer-spans
    pub(crate) fn handling_many(ambient: Ambient<'_>, links: Vec<Link>) -> Self {
        let active = active_span(ambient.context);
        let beside = active.filter(|_| !ambient.is_parent()).map(link_beside);
        Self {
            parent: match beside {
                Some(_) => without_span(ambient.context),
                None => ambient.context.clone(),
            },
            without: beside.is_some().then(|| ambient.context.clone()),
            links,
            beside,
        }
    }
}

/// A span that is about no message: what it says of sampling must not decide for one.
fn link_beside(active: SpanContext) -> Box<Link> {
    Box::new(Link::with_context(untrusted(active)))
}

/// The context in which a message is handled that has no span: whatever is active there, the trace
/// of the message must not end, unless it `is_stored`. `received` is what it carried, read onto
/// `ambient`.
pub(crate) fn passed_on(
    ambient: Context,
    received: Context,
    incoming: Incoming,
    is_stored: bool,
) -> Context {
    match incoming {
        Incoming::Continue | Incoming::LinkOnly if is_stored => {
            with_baggage_of(&ambient, &received)
        }
        Incoming::Continue | Incoming::LinkOnly => received,
        Incoming::Restart | Incoming::Ignore => ambient,
    }
}

/// The links of a span inside `parent`; none are made where nobody will see them.
pub(crate) fn links_inside(
    telemetry: &Telemetry,
    parent: &Context,
    links: impl FnOnce() -> Vec<Link>,
) -> Vec<Link> {
    match telemetry.is_known_unsampled(parent) {
        true => Vec::new(),
        false => links(),
    }
}

/// Links to what a message carried, as far as it is trusted.
pub(crate) fn links_to(named: &Named, incoming: Incoming) -> impl Iterator<Item = Link> {
    let most = match incoming {
        Incoming::Ignore => 0,
        _ => usize::MAX,
    };
    named.contexts().take(most).map(move |context| {
        Link::with_context(match incoming {
            Incoming::Restart => untrusted(context.clone()),
            _ => context.clone(),
        })
    })
}

/// The identity of a span in a trace that must not decide anything here.
pub(crate) fn untrusted(context: SpanContext) -> SpanContext {
    SpanContext::new(
        context.trace_id(),
        context.span_id(),
        context.trace_flags() & !TraceFlags::SAMPLED,
        context.is_remote(),
        TraceState::NONE,
    )
}

fn with_baggage_of(ambient: &Context, received: &Context) -> Context {
    let baggage = received.baggage();
    if baggage.is_empty() {
        return ambient.clone();
    }
    ambient.with_baggage(copied(baggage.iter()))
}
