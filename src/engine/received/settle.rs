//! Settling a message, and the process span that it belongs to.

use std::sync::{Arc, PoisonError};

use opentelemetry::Context;
use opentelemetry::trace::{Link, SpanContext, TraceContextExt as _};

use super::carried::{extract, incoming, shown_baggage};
use super::sealed::MessageSource as _;
use super::{Message, Received};
use crate::engine::destination::Destination;
use crate::engine::operation::Operation;
use crate::engine::parent::{ParentAndLinks, links_inside, links_to};
use crate::engine::span::StartedOperation;
use crate::policy::Rule;
use crate::semconv::operation_type::OperationType;

impl<M: Message> Received<M> {
    /// Remembers the span that the message is processed in.
    pub(crate) fn is_processed_in(&self, span: Option<SpanContext>) {
        if span.is_some() {
            let processed_in = self.processed_in.lock();
            *processed_in.unwrap_or_else(PoisonError::into_inner) = span;
        }
    }

    /// The span that the message is processed in, or was last.
    pub(crate) fn processed_in(&self) -> Option<SpanContext> {
        let processed_in = self.processed_in.lock();
        processed_in.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Starts settling the message.
    pub(crate) fn start_settle(
        &self,
        operation_name: &'static str,
        ambient: &Context,
    ) -> StartedOperation {
        let operation = Operation {
            baggage: self.shown_baggage(),
            ..operation(
                &self.message,
                &self.source,
                self.destination(),
                operation_name,
            )
        };
        start(&operation, self.processed_in(), ambient, |rule| {
            links_to(self.named(), self.incoming(rule)).collect()
        })
    }
}

/// Starts settling one message of which no process span is known: in what is current, with a link to
/// the context that the message was created in.
///
/// Spec: [messaging-spans § Consumer spans].
///
/// [messaging-spans § Consumer spans]: https://github.com/open-telemetry/semantic-conventions/blob/v1.45.0/docs/messaging/messaging-spans.md#consumer-spans
pub(crate) fn start_settle<M: Message>(
    message: &M,
    source: &M::Source,
    operation_name: &'static str,
    ambient: &Context,
) -> StartedOperation {
    let destination = message.destination(source);
    let rule = &destination.rule;
    let baggage = rule.shows_baggage().then(|| {
        let carried = extract(message, source, &Context::new(), rule);
        shown_baggage(source.client(), rule, &carried, incoming(message, rule))
    });
    let baggage = baggage.flatten();
    let operation = Operation {
        baggage: baggage.as_ref(),
        ..operation(message, source, &destination, operation_name)
    };
    start(&operation, None, ambient, |rule| {
        let telemetry = &source.client().telemetry;
        let named = telemetry.named(message.headers(), |member| rule.accepts(member));
        links_to(&named, incoming(message, rule)).collect()
    })
}

fn operation<'a, M: Message>(
    message: &M,
    source: &'a M::Source,
    destination: &'a Arc<Destination>,
    operation_name: &'static str,
) -> Operation<'a> {
    Operation {
        client: source.client(),
        operation_type: OperationType::Settle,
        operation_name,
        destination: Some(destination),
        partition: message.partition(),
        batch: None,
        baggage: None,
    }
}

fn start(
    operation: &Operation<'_>,
    processed_in: Option<SpanContext>,
    ambient: &Context,
    links: impl FnOnce(&Rule) -> Vec<Link>,
) -> StartedOperation {
    if !operation.has_span() {
        return StartedOperation::without_span(operation, ambient);
    }
    let parent = match processed_in {
        Some(process) => ambient.with_remote_span_context(process),
        None => ambient.clone(),
    };
    let telemetry = &operation.client.telemetry;
    let links = links_inside(telemetry, &parent, || links(operation.rule()));
    StartedOperation::start(operation, ParentAndLinks::inside(parent, links), |_| {})
}
