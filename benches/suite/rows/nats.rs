//! Context into and out of the headers of a NATS message.

use std::hint::black_box;

use crate::harness::{Report, Way, each};
use crate::{header_map as other, sample, stock};
use async_nats::HeaderMap;
use opentelemetry::Context;
use otel_messaging::nats::internal as direct;
use otel_messaging::{Telemetry, nats, w3c};

pub(crate) fn measure(report: &Report) {
    let telemetry = Telemetry::new();
    let none = Context::new();
    let trace = sample::trace();
    let ten = other::others(10);
    let stale = other::inject_by_hand(&trace, HeaderMap::new());
    let full = direct::inject(
        &telemetry,
        &sample::trace_and_tracestate(),
        HeaderMap::new(),
    );

    inject(report, "traceparent", &trace, &HeaderMap::new());
    inject(report, "no context", &none, &HeaderMap::new());
    inject(report, "behind 10 others, copied", &trace, &ten);
    inject(report, "no context, 10 others copied", &none, &ten);
    inject(report, "over a traceparent, copied", &trace, &stale);
    inject(report, "over a tracestate too, copied", &trace, &full);

    extract(report, "traceparent", &stale);
    let headers = other::inject_by_hand(&trace, ten.clone());
    extract(report, "traceparent behind 10 others", &headers);
    extract(report, "no context, 10 others", &ten);
    public(report, &trace, &stale);
}

fn inject(report: &Report, name: &str, context: &Context, before: &HeaderMap) {
    let telemetry = Telemetry::new();
    let headers = || black_box(before).clone();
    let (both, trace) = (stock::trace_and_baggage(), stock::trace());
    report.row(
        &format!("nats inject: {name}"),
        [
            (
                Way::Ours,
                each(|| direct::inject(&telemetry, black_box(context), headers())),
            ),
            (
                Way::Stock,
                each(|| other::inject(&both, black_box(context), headers())),
            ),
            (
                Way::StockTrace,
                each(|| other::inject(&trace, black_box(context), headers())),
            ),
            (
                Way::ByHand,
                each(|| other::inject_by_hand(black_box(context), headers())),
            ),
        ],
    );
}

fn extract(report: &Report, name: &str, headers: &HeaderMap) {
    let telemetry = Telemetry::new();
    let (both, trace) = (stock::trace_and_baggage(), stock::trace());
    report.row(
        &format!("nats extract: {name}"),
        [
            (
                Way::Ours,
                each(|| direct::extract(&telemetry, black_box(headers))),
            ),
            (
                Way::Stock,
                each(|| other::extract(&both, black_box(headers))),
            ),
            (
                Way::StockTrace,
                each(|| other::extract(&trace, black_box(headers))),
            ),
            (
                Way::ByHand,
                each(|| other::extract_by_hand(black_box(headers))),
            ),
        ],
    );
}

/// The functions for users take any propagator; the wrappers go the direct way, as above.
fn public(report: &Report, context: &Context, headers: &HeaderMap) {
    let (ours, both) = (w3c::Propagator::new(), stock::trace_and_baggage());
    let with_ours = each(|| {
        let mut headers = HeaderMap::new();
        nats::inject(&ours, black_box(context), &mut headers);
        headers
    });
    let with_stock = each(|| other::inject(&both, black_box(context), HeaderMap::new()));
    report.row(
        "`nats::inject`: traceparent",
        [(Way::Ours, with_ours), (Way::Stock, with_stock)],
    );
    let with_ours = each(|| nats::extract(&ours, black_box(headers)));
    let with_stock = each(|| other::extract(&both, black_box(headers)));
    report.row(
        "`nats::extract`: traceparent",
        [(Way::Ours, with_ours), (Way::Stock, with_stock)],
    );
}
