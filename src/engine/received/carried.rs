//! What a received message carries, and how far it is trusted.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::SystemTime;

use opentelemetry::Context;
use opentelemetry::baggage::BaggageExt as _;

use super::sealed::MessageSource as _;
use super::{Message, Received};
use crate::engine::client::Client;
use crate::engine::operation::Operation;
use crate::engine::propagation::{Extracted, Named};
use crate::engine::refused::Refused;
use crate::engine::shown_baggage::ShownBaggage;
use crate::policy::{Incoming, Record, Rule};
use crate::semconv::operation_type::OperationType;

/// The context that a message was created in, as far as it is accepted.
#[derive(Clone)]
pub(super) struct Creation {
    pub(super) context: Context,
    /// What is seen of its baggage.
    baggage: Option<Arc<ShownBaggage>>,
}

impl<M: Message> Received<M> {
    /// Takes the span of `context`, and its baggage if it has any, for what the message was created in,
    /// if its headers have no creation context; for a message whose payload names it.
    ///
    /// The [`policy`](crate::policy) decides about it as about headers, links and batches have it, and
    /// the message does not count as one without context. A span of receiving, which ended before, does not link to
    /// it. Unset: a message without context in its headers has none.
    ///
    /// ```
    /// # #[cfg(feature = "kafka")] mod example {
    /// use otel_messaging::{Received, text, w3c};
    /// use rdkafka::message::{BorrowedMessage, Message as _};
    ///
    /// # struct Order { context: String }
    /// # fn parse(payload: Option<&[u8]>) -> anyhow::Result<Order> { anyhow::bail!("") }
    /// # async fn handle(order: &Order) -> anyhow::Result<()> { Ok(()) }
    /// async fn process(message: Received<BorrowedMessage<'_>>) -> anyhow::Result<()> {
    ///     let order = parse(message.payload())?;
    ///     let context = text::extract(&w3c::Propagator::new(), &order.context);
    ///     let message = message.fallback_context(context);
    ///     message.process(async |_| handle(&order).await).await
    /// }
    /// # }
    /// ```
    #[must_use]
    pub fn fallback_context(mut self, context: Context) -> Self {
        self.fallback = Some(context);
        self.creation.take();
        self.named.take();
        self
    }

    pub(super) fn creation(&self) -> &Creation {
        self.creation.get_or_init(|| {
            let rule = &self.destination().rule;
            let carried = self.extracted(&Context::new(), rule);
            let incoming = self.incoming(rule);
            let refused = self.refused(&Context::new(), &carried, incoming);
            let baggage = shown_baggage(self.source.client(), rule, &carried, incoming);
            let context = match incoming {
                Incoming::Continue | Incoming::LinkOnly => carried.context,
                Incoming::Restart | Incoming::Ignore => Context::new(),
            };
            Creation {
                context: match refused {
                    Some(refused) => refused.put_into(context),
                    None => context,
                },
                baggage,
            }
        })
    }

    /// What is seen of the baggage of the message: nothing, unless its rule wants it.
    pub(crate) fn shown_baggage(&self) -> Option<&Arc<ShownBaggage>> {
        let rule = &self.destination().rule;
        match rule.shows_baggage() && rule.recorded() != Record::Off {
            true => self.creation().baggage.as_ref(),
            false => None,
        }
    }

    /// The contexts that the message names, read once, for who needs nothing else of what it carries.
    pub(super) fn named(&self) -> &Named {
        self.named.get_or_init(|| {
            let rule = &self.destination().rule;
            if self.fallback.is_some() {
                return self.extracted(&Context::new(), rule).named;
            }
            let telemetry = &self.source.client().telemetry;
            telemetry.named(self.message.headers(), |member| rule.accepts(member))
        })
    }

    /// The same for an operation. What is wrong with them is reported once.
    pub(crate) fn named_for(&self, operation: &Operation<'_>, rule: &Rule) -> &Named {
        let named = self.named();
        self.report(named, operation, rule);
        named
    }

    /// What the message carries, read onto `base`. What is wrong with it is reported once.
    pub(super) fn carried(
        &self,
        base: &Context,
        operation: &Operation<'_>,
        rule: &Rule,
    ) -> Extracted {
        let carried = self.extracted(base, rule);
        self.named.get_or_init(|| carried.named.clone());
        self.report(&carried.named, operation, rule);
        carried
    }

    fn report(&self, named: &Named, operation: &Operation<'_>, rule: &Rule) {
        let is_told =
            operation.operation_type == OperationType::Process && rule.recorded() != Record::Off;
        if is_told && !self.is_reported.swap(true, Ordering::Relaxed) {
            let telemetry = &operation.client.telemetry;
            telemetry.report(named.problems(), operation);
        }
    }

    /// The same without a report.
    pub(super) fn extracted(&self, base: &Context, rule: &Rule) -> Extracted {
        let carried = extract(&self.message, &self.source, base, rule);
        match &self.fallback {
            Some(fallback) => carried.or(fallback, |member| rule.accepts(member)),
            None => carried,
        }
    }

    /// What must not go out again from the handler of the message.
    pub(super) fn refused(
        &self,
        ambient: &Context,
        carried: &Extracted,
        incoming: Incoming,
    ) -> Option<Refused> {
        let destination = self.destination();
        Refused::is_needed(ambient, destination).then(|| {
            let mut refused = Refused::nothing(&self.source.client().telemetry);
            refused.add(&carried.named, incoming, destination);
            refused
        })
    }
}

/// What is seen of the baggage that a message carries, read onto no other.
pub(super) fn shown_baggage(
    client: &Client,
    rule: &Rule,
    carried: &Extracted,
    incoming: Incoming,
) -> Option<Arc<ShownBaggage>> {
    match incoming {
        Incoming::Continue | Incoming::LinkOnly => {
            client.shown_baggage(rule, carried.context.baggage(), |_| true)
        }
        Incoming::Restart | Incoming::Ignore => None,
    }
}

pub(super) fn extract<M: Message>(
    message: &M,
    source: &M::Source,
    base: &Context,
    rule: &Rule,
) -> Extracted {
    let telemetry = &source.client().telemetry;
    telemetry.extract(base, message.headers(), |member| rule.accepts(member))
}

pub(super) fn incoming<M: Message>(message: &M, rule: &Rule) -> Incoming {
    let age = || SystemTime::now().duration_since(message.sent_at()?).ok();
    match rule.chosen_incoming(|| message.is_redelivered(), age) {
        Incoming::Continue if message.is_stored() => Incoming::LinkOnly,
        incoming => incoming,
    }
}
