//! Sending messages: their spans, and their context into their headers.

pub(crate) mod batch;

use opentelemetry::Context;
use opentelemetry::trace::TraceContextExt as _;

use crate::diagnosis::Problem;
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
        let rule = envelope.rule();
        let carried = telemetry
            .propagation()
            .extract(&Context::new(), Some(&*headers), |_| false);
        let keeps = telemetry.keeps_existing_context() && carried.creation.is_some();
        let operation = if keeps {
            Operation::SendExisting
        } else {
            envelope.operation
        };
        let envelope = Envelope {
            operation,
            ..*envelope
        };
        let running = Running::start(&envelope, Relation::sending(ambient, carried));
        running.record(|| captured(&*headers, rule, telemetry));
        Some(Self {
            has_our_context: !keeps && inject(&envelope, running.context(), headers, room),
            running,
        })
    }

    pub(crate) const fn running(&self) -> &Running {
        &self.running
    }

    pub(crate) const fn running_mut(&mut self) -> &mut Running {
        &mut self.running
    }

    /// The broker, or the client, refused the message for its size. If it carries a context of ours,
    /// that is counted as a problem.
    pub(crate) fn refused_for_size(&self) {
        if self.has_our_context {
            let envelope = self.running.envelope();
            let telemetry = &envelope.client.telemetry;
            telemetry.report([Problem::RefusedForSize], &envelope);
        }
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

/// Writes `context` into the headers of a message, and says whether that names a span.
fn inject<H: HeadersMut>(
    envelope: &Envelope<'_>,
    context: &Context,
    headers: &mut H,
    room: impl FnOnce(&H) -> usize,
) -> bool {
    let telemetry = &envelope.client.telemetry;
    let sent = envelope.rule().without_kept_baggage(context);
    let context = sent.as_ref().unwrap_or(context);
    let injected = telemetry.propagation().inject(context, headers, room);
    telemetry.report(injected.problems(), envelope);
    // Without a context of our own to write, what the message carried passed through.
    context.span().span_context().is_valid()
}
