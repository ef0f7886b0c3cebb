//! Text and context alone: no carrier, no broker.

use std::hint::black_box;

use crate::harness::{Report, Way, each};
use crate::stock::{Fields, Nowhere};
use crate::{by_hand, sample, stock};
use opentelemetry::Context;
use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::TraceContextExt as _;
use otel_messaging::internal::{parse_traceparent, write_traceparent};
use otel_messaging::w3c;

pub(crate) fn measure(report: &Report) {
    let trace = sample::trace();
    let span = trace.span().span_context().clone();
    let text = by_hand::write(&span);
    report.row(
        "codec: write traceparent",
        [
            (Way::Ours, each(|| write_traceparent(black_box(&span)))),
            (Way::ByHand, each(|| by_hand::write(black_box(&span)))),
        ],
    );
    report.row(
        "codec: parse traceparent",
        [
            (Way::Ours, each(|| parse_traceparent(black_box(&text)))),
            (Way::ByHand, each(|| by_hand::parse(black_box(&text)))),
        ],
    );

    let contexts = [
        ("traceparent", trace),
        ("with tracestate of 2", sample::trace_and_tracestate()),
        ("with 3 baggage members", sample::trace_and_baggage()),
    ];
    let (ours, both, trace) = (
        w3c::Propagator::new(),
        stock::trace_and_baggage(),
        stock::trace(),
    );
    for (name, context) in &contexts {
        let write = |propagator: &dyn TextMapPropagator| {
            propagator.inject_context(black_box(context), &mut Nowhere);
        };
        report.row(
            &format!("propagator: write, {name}"),
            [
                (Way::Ours, each(|| write(&ours))),
                (Way::Stock, each(|| write(&both))),
                (Way::StockTrace, each(|| write(&trace))),
            ],
        );
    }
    for (name, context) in &contexts {
        let mut fields = Fields::default();
        ours.inject_context(context, &mut fields);
        let read = |propagator: &dyn TextMapPropagator| {
            propagator.extract_with_context(&Context::new(), black_box(&fields))
        };
        report.row(
            &format!("propagator: read, {name}"),
            [
                (Way::Ours, each(|| read(&ours))),
                (Way::Stock, each(|| read(&both))),
                (Way::StockTrace, each(|| read(&trace))),
            ],
        );
    }
}
