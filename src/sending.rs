//! Sending one message: its span, and its context into its headers.

use opentelemetry::Context;
use opentelemetry::trace::TraceContextExt as _;

use crate::envelope::Envelope;
use crate::link::Relation;
use crate::policy::Record;
use crate::propagation::{Headers, HeadersMut};
use crate::semconv::attributes::captured;
use crate::semconv::operation::Operation;
use crate::span::Running;

/// A message on its way, from hand-over to whatever the broker says of it. Dropped, its span ends
/// without an outcome.
#[derive(Debug)]
pub(crate) struct Sending {
    running: Running,
    /// What the message carries now was written by us.
    has_our_context: bool,
}

impl Sending {
    /// Starts the operation of `envelope` and writes its context into `headers`, where `room` says
    /// how many bytes may be added; `None` where telemetry has nothing to do with the message.
    ///
    /// Spec: messaging-spans § Producer spans, 1.44.0.
    pub(crate) fn start<H: Headers + HeadersMut>(
        envelope: &Envelope<'_>,
        ambient: Context,
        headers: &mut H,
        room: impl FnOnce(&H) -> usize,
    ) -> Option<Self> {
        if ambient.is_telemetry_suppressed() || envelope.rule().recorded() == Record::Off {
            return None;
        }
        let telemetry = &envelope.client.telemetry;
        let existing = telemetry
            .keeps_existing_context()
            .then(|| {
                telemetry
                    .propagation()
                    .extract(&Context::new(), Some(&*headers), |_| true)
            })
            .filter(|existing| existing.creation.is_some());
        if let Some(existing) = existing {
            let envelope = Envelope {
                operation: Operation::SendExisting,
                ..*envelope
            };
            let relation = Relation::sending_existing(ambient, existing);
            return Some(Self {
                running: Running::start(&envelope, relation),
                has_our_context: false,
            });
        }

        let running = Running::start(envelope, Relation::inside(ambient));
        let rule = envelope.rule();
        running.record(|| captured(&*headers, rule, telemetry));
        let sent = rule.without_kept_baggage(running.context());
        let context = sent.as_ref().unwrap_or_else(|| running.context());
        let injected = telemetry.propagation().inject(context, headers, room);
        telemetry.report(injected.problems(), envelope);
        Some(Self {
            // Without a context of our own to write, what the message carried passed through.
            has_our_context: context.span().span_context().is_valid(),
            running,
        })
    }

    pub(crate) const fn running(&self) -> &Running {
        &self.running
    }

    pub(crate) const fn running_mut(&mut self) -> &mut Running {
        &mut self.running
    }

    /// Takes out of `headers` what was written into them: in keep-existing mode it would pass for
    /// the user's own context the next time.
    pub(crate) fn take_back(&self, headers: &mut impl HeadersMut) {
        if self.has_our_context {
            let telemetry = &self.running.client().telemetry;
            telemetry.propagation().remove(headers);
        }
    }
}
