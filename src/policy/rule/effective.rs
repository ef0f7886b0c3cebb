//! The settings of a rule, with their defaults.

use std::borrow::Cow;
use std::time::Duration;

use opentelemetry::Context;
use opentelemetry::baggage::{Baggage, BaggageExt as _};

use super::{Carried, Incoming, Parent, Pattern, Record, Rule};

impl Rule {
    pub(crate) fn recorded(&self) -> Record {
        self.0.record.unwrap_or_default()
    }

    /// This rule of what several destinations have in common, recording no more than the most that a
    /// rule of theirs says. Without any it stays as it is.
    pub(crate) fn limited_by<'a>(
        &self,
        theirs: impl Iterator<Item = &'a Self> + Clone,
    ) -> Cow<'_, Self> {
        let mut limited = Cow::Borrowed(self);
        if theirs.clone().next().is_none() {
            return limited;
        }
        let most = theirs.clone().map(Self::recorded).max_by_key(amount);
        if let Some(most) = most
            && amount(&most) < amount(&self.recorded())
        {
            limited.to_mut().0.record = Some(most);
        }
        let most_traces = theirs.clone().map(Self::fans_back_to).max();
        if let Some(most) = most_traces
            && most < self.fans_back_to()
        {
            limited.to_mut().0.fan_back = Some(most);
        }
        let none = |wants: fn(&Self) -> bool| wants(self) && !theirs.clone().any(wants);
        if none(|rule| rule.wants_receive_spans(true)) {
            limited.to_mut().0.receive_spans = Some(false);
        }
        if none(|rule| rule.wants_settle_spans(true)) {
            limited.to_mut().0.settle_spans = Some(false);
        }
        limited
    }

    /// What becomes of the context of a message of this age, if it has one. Either is asked only where it matters.
    pub(crate) fn chosen_incoming(
        &self,
        is_redelivered: impl FnOnce() -> bool,
        age: impl FnOnce() -> Option<Duration>,
    ) -> Incoming {
        let incoming = self.0.incoming.unwrap_or_default();
        let redelivered = self.0.redelivered.filter(|_| is_redelivered());
        // Whoever is not trusted must not be so for what a sender can have made up.
        let incoming = redelivered.map_or(incoming, |again| again.stricter(incoming));
        let is_too_old = |max| age().is_some_and(|age| age > max);
        if incoming == Incoming::Continue && self.0.max_age.is_some_and(is_too_old) {
            Incoming::LinkOnly
        } else {
            incoming
        }
    }

    pub(crate) const fn chosen_parent(&self) -> Option<Parent> {
        self.0.parent
    }

    pub(crate) fn carried_context(&self) -> Carried {
        self.0.carried.unwrap_or_default()
    }

    /// Most bytes of a message, where the user knows better than the client.
    #[cfg(any(feature = "amqp", feature = "kafka", feature = "nats"))]
    pub(crate) const fn message_limit(&self) -> Option<usize> {
        self.0.max_message_bytes
    }

    /// Whether a received member of baggage is accepted.
    pub(crate) fn accepts(&self, member: &str) -> bool {
        allows(self.0.accept_baggage.as_deref(), member)
    }

    /// Whether anything that a message carries may be refused.
    pub(crate) fn may_refuse(&self) -> bool {
        let refuses = |incoming: Incoming| matches!(incoming, Incoming::Restart | Incoming::Ignore);
        self.restricts_accepted_baggage()
            || self.0.incoming.is_some_and(refuses)
            || self.0.redelivered.is_some_and(refuses)
    }

    /// Whether both accept the same members of baggage.
    pub(crate) fn accepts_as(&self, other: &Self) -> bool {
        self.0.accept_baggage == other.0.accept_baggage
    }

    /// Whether received baggage is accepted by a list.
    pub(crate) const fn restricts_accepted_baggage(&self) -> bool {
        self.0.accept_baggage.is_some()
    }

    /// Whether a member of baggage may be sent.
    pub(crate) fn sends(&self, member: &str) -> bool {
        allows(self.0.send_baggage.as_deref(), member)
    }

    /// Whether baggage is sent by a list.
    pub(crate) const fn restricts_sent_baggage(&self) -> bool {
        self.0.send_baggage.is_some()
    }

    /// `context` with only the baggage that may be sent; `None` if that is all of it.
    pub(crate) fn without_kept_baggage(&self, context: &Context) -> Option<Context> {
        let allowed = self.0.send_baggage.as_deref()?;
        let baggage = context.baggage();
        let is_sent = |name: &str| allows(Some(allowed), name);
        let sent = || baggage.iter().filter(|(name, _)| is_sent(name.as_str()));
        (sent().count() < baggage.len()).then(|| {
            context.with_baggage(
                sent()
                    .map(|(name, (value, metadata))| {
                        (name.clone(), (value.clone(), metadata.clone()))
                    })
                    .collect::<Baggage>(),
            )
        })
    }

    /// Whether anything of baggage is to be seen.
    pub(crate) const fn shows_baggage(&self) -> bool {
        self.0.baggage_on_spans.is_some() || self.0.baggage_on_metrics.is_some()
    }

    /// Whether spans have this member of baggage.
    pub(crate) fn has_on_spans(&self, member: &str) -> bool {
        names(self.0.baggage_on_spans.as_deref(), member)
    }

    /// Whether metrics have it.
    pub(crate) fn has_on_metrics(&self, member: &str) -> bool {
        names(self.0.baggage_on_metrics.as_deref(), member)
    }

    pub(crate) fn wants_create_spans(&self) -> bool {
        self.0.create_spans.unwrap_or(true)
    }

    pub(crate) fn wants_receive_spans(&self, is_batch: bool) -> bool {
        self.0.receive_spans.unwrap_or(is_batch)
    }

    /// Most traces that get a span of their own for a batch.
    pub(crate) fn fans_back_to(&self) -> usize {
        self.0.fan_back.unwrap_or(0)
    }

    /// Whether settling has a span, which by default it has where it `belongs` to something.
    pub(crate) fn wants_settle_spans(&self, belongs: bool) -> bool {
        self.0.settle_spans.unwrap_or(belongs)
    }

    /// Only Kafka's messages have one.
    #[cfg(feature = "kafka")]
    pub(crate) fn wants_message_key(&self) -> bool {
        self.0.message_key.unwrap_or(true)
    }

    pub(crate) fn captures_headers(&self) -> bool {
        self.0.capture_headers.is_some()
    }

    /// Whether a header is to be an attribute.
    pub(crate) fn captures(&self, name: &str) -> bool {
        self.0
            .capture_headers
            .as_deref()
            .is_some_and(|patterns| patterns.iter().any(|one| one.matches(name)))
    }

    /// Whether the user says what stands for the destination.
    pub(crate) fn has_template(&self) -> bool {
        self.template_text().is_some()
    }

    /// What stands for the destination by the user's word, which an empty one is not.
    pub(crate) fn template_text(&self) -> Option<&str> {
        self.0.template.as_deref().filter(|text| !text.is_empty())
    }

    pub(crate) fn wants_partition_on_metrics(&self) -> bool {
        self.0.partition_on_metrics.unwrap_or(false)
    }

    pub(crate) fn wants_time_in_queue(&self) -> bool {
        self.0.time_in_queue.unwrap_or(false)
    }

    pub(crate) fn wants_unregistered_attributes(&self) -> bool {
        self.0.unregistered_attributes.unwrap_or(false)
    }

    pub(crate) fn wants_lag(&self) -> bool {
        self.0.lag.unwrap_or(false)
    }
}

/// How much is recorded, to compare.
const fn amount(record: &Record) -> u8 {
    match record {
        Record::Off => 0,
        Record::PropagateOnly => 1,
        Record::Full => 2,
    }
}

fn allows(patterns: Option<&[Pattern]>, name: &str) -> bool {
    patterns.is_none() || names(patterns, name)
}

fn names(patterns: Option<&[Pattern]>, name: &str) -> bool {
    let mut patterns = patterns.unwrap_or_default().iter();
    patterns.any(|one| one.matches(name))
}
