//! Settling a message, and the process span that it belongs to.

use std::sync::PoisonError;

use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, TraceContextExt as _};

use super::{Message, Received, extract, trust};
use crate::engine::operation::Operation;
use crate::engine::relation::{Relation, links_to};
use crate::engine::span::Running;
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
    pub(crate) fn start_settle(&self, operation_name: &'static str, ambient: &Context) -> Running {
        let processed_in = self.processed_in();
        start_settle(
            &self.message,
            &self.source,
            processed_in,
            operation_name,
            ambient,
        )
    }
}

/// Starts settling one message: in its process span, where that is known, else in what is current,
/// with a link to the context that the message was created in.
///
/// Spec: messaging-spans § Consumer spans, 1.44.0.
pub(crate) fn start_settle<M: Message>(
    message: &M,
    source: &M::Source,
    processed_in: Option<SpanContext>,
    operation_name: &'static str,
    ambient: &Context,
) -> Running {
    let destination = message.destination(source);
    let operation = Operation {
        client: M::client(source),
        operation_type: OperationType::Settle,
        operation_name,
        destination: Some(&destination),
        partition: message.partition(),
        batch: None,
    };
    if !operation.has_span() {
        return Running::without_span(&operation, ambient);
    }
    let rule = &destination.rule;
    let carried = extract(message, source, &Context::new(), rule);
    let trust = trust(message, rule);
    let relation = Relation {
        parent: match processed_in {
            Some(process) => ambient.with_remote_span_context(process),
            None => ambient.clone(),
        },
        links: links_to(carried.creation, carried.conflicting, trust),
        beside: None,
    };
    Running::start(&operation, relation)
}
