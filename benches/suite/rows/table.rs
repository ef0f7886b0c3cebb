//! Context into and out of the headers of an AMQP message.

use std::hint::black_box;

use crate::harness::{Report, Run, Way, each};
use crate::{sample, stock, table};
use lapin::BasicProperties;
use lapin::types::FieldTable;
use opentelemetry::Context;
use otel_messaging::amqp::internal as direct;
use otel_messaging::{Telemetry, amqp, w3c};

pub(crate) fn measure(report: &Report) {
    let telemetry = Telemetry::new();
    let none = Context::new();
    let trace = sample::trace();
    let tracestate = sample::trace_and_tracestate();
    let baggage = sample::trace_and_baggage();
    let ten = properties(table::other_headers(10));
    let stale = properties(table::inject_by_hand(&trace, FieldTable::default()));
    let behind_ten = properties(table::inject_by_hand(&trace, table::other_headers(10)));
    let empty = BasicProperties::default();

    inject(report, "traceparent", &trace, &empty);
    inject(report, WITH_TRACESTATE, &tracestate, &empty);
    inject(report, WITH_BAGGAGE, &baggage, &empty);
    inject(report, "no context", &none, &empty);
    inject(report, "beside 10 others, copied", &trace, &ten);
    inject(report, "no context, 10 others", &none, &ten);
    inject(report, "over a traceparent, copied", &trace, &stale);
    inject_public(report, &trace);

    extract(report, "traceparent", &stale);
    extract(report, "traceparent beside 10 others", &behind_ten);
    for (name, context) in [(WITH_TRACESTATE, tracestate), (WITH_BAGGAGE, baggage)] {
        let headers = direct::inject(&telemetry, &context, &empty).unwrap_or_default();
        extract(report, name, &properties(headers));
    }
    extract(report, "no context, 10 others", &ten);
    extract_public(report, &stale);
}

// What is by hand carries neither, and has no place in these rows.
const WITH_TRACESTATE: &str = "tracestate of 2";
const WITH_BAGGAGE: &str = "3 baggage members";

fn properties(headers: FieldTable) -> BasicProperties {
    BasicProperties::default().with_headers(headers)
}

/// A wrapped producer is given headers that it has to copy if it changes them. So are the other ways
/// here, though by them the headers could be changed before.
fn inject(report: &Report, name: &str, context: &Context, before: &BasicProperties) {
    let telemetry = Telemetry::new();
    let headers = || before.headers().clone().unwrap_or_default();
    let (both, trace) = (stock::trace_and_baggage(), stock::trace());
    let ours = each(|| direct::inject(&telemetry, black_box(context), black_box(before)));
    let stock = each(|| table::inject(&both, black_box(context), headers()));
    let trace = each(|| table::inject(&trace, black_box(context), headers()));
    let by_hand = each(|| table::inject_by_hand(black_box(context), headers()));
    row(
        report,
        &format!("amqp inject: {name}"),
        name,
        [ours, stock, trace, by_hand],
    );
}

fn extract(report: &Report, name: &str, properties: &BasicProperties) {
    let telemetry = Telemetry::new();
    let headers = || {
        let headers = black_box(properties).headers();
        headers.as_ref().expect("headers")
    };
    let (both, trace) = (stock::trace_and_baggage(), stock::trace());
    let ours = each(|| direct::extract(&telemetry, black_box(properties)));
    let stock = each(|| table::extract(&both, headers()));
    let trace = each(|| table::extract(&trace, headers()));
    let by_hand = each(|| table::extract_by_hand(headers()));
    row(
        report,
        &format!("amqp extract: {name}"),
        name,
        [ours, stock, trace, by_hand],
    );
}

fn row(report: &Report, title: &str, name: &str, runs: [Run<'_>; 4]) {
    let ways = [Way::Ours, Way::Stock, Way::StockTrace, Way::ByHand];
    let is_more = name == WITH_TRACESTATE || name == WITH_BAGGAGE;
    let ways = ways.into_iter().zip(runs);
    report.row(
        title,
        ways.filter(|(way, _)| *way != Way::ByHand || !is_more),
    );
}

/// The functions for users take any propagator; the wrappers go the direct way, as above.
fn inject_public(report: &Report, context: &Context) {
    let (ours, both) = (w3c::Propagator::new(), stock::trace_and_baggage());
    let with_ours = each(|| {
        let mut properties = BasicProperties::default();
        amqp::inject(&ours, black_box(context), &mut properties);
        properties
    });
    let with_stock = each(|| {
        let headers = table::inject(&both, black_box(context), FieldTable::default());
        BasicProperties::default().with_headers(headers)
    });
    report.row(
        "`amqp::inject`: traceparent",
        [(Way::Ours, with_ours), (Way::Stock, with_stock)],
    );
}

fn extract_public(report: &Report, properties: &BasicProperties) {
    let (ours, both) = (w3c::Propagator::new(), stock::trace_and_baggage());
    let headers = properties.headers().as_ref().expect("headers");
    let with_ours = each(|| amqp::extract(&ours, black_box(properties)));
    let with_stock = each(|| table::extract(&both, black_box(headers)));
    report.row(
        "`amqp::extract`: traceparent",
        [(Way::Ours, with_ours), (Way::Stock, with_stock)],
    );
}
