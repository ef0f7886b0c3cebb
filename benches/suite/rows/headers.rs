//! Context into and out of the headers of a Kafka record.

use std::hint::black_box;

use crate::harness::{Report, Run, Way, each};
use crate::{by_hand, sample, stock};
use opentelemetry::Context;
use otel_messaging::kafka::internal as direct;
use otel_messaging::{Telemetry, kafka, w3c};
use rdkafka::message::{OwnedHeaders, OwnedMessage, Timestamp};

pub(crate) fn measure(report: &Report) {
    let telemetry = Telemetry::new();
    let none = Context::new();
    let trace = sample::trace();
    let tracestate = sample::trace_and_tracestate();
    let baggage = sample::trace_and_baggage();
    let ten = sample::other_headers(10);
    let stale = by_hand::inject(&trace, OwnedHeaders::new());

    inject(report, "traceparent", &trace, None);
    inject(report, WITH_TRACESTATE, &tracestate, None);
    inject(report, WITH_BAGGAGE, &baggage, None);
    inject(report, "no context", &none, None);
    inject(report, "behind 10 others, copied", &trace, Some(&ten));
    inject(report, "no context, 10 others copied", &none, Some(&ten));
    inject(report, "over a traceparent, copied", &trace, Some(&stale));
    inject_public(report, &trace);

    extract(report, "traceparent", &stale);
    let headers = by_hand::inject(&trace, ten.clone());
    extract(report, "traceparent behind 10 others", &headers);
    for (name, context) in [(WITH_TRACESTATE, tracestate), (WITH_BAGGAGE, baggage)] {
        let headers = direct::inject(&telemetry, &context, None).unwrap_or_default();
        extract(report, name, &headers);
    }
    extract(report, "no context, 10 others", &ten);
    extract_public(report, stale);
}

// What is by hand carries neither, and has no place in these rows.
const WITH_TRACESTATE: &str = "tracestate of 2";
const WITH_BAGGAGE: &str = "3 baggage members";

fn inject(report: &Report, name: &str, context: &Context, before: Option<&OwnedHeaders>) {
    let telemetry = Telemetry::new();
    let headers = || before.cloned().unwrap_or_default();
    let (both, trace) = (stock::trace_and_baggage(), stock::trace());
    let ours = each(|| direct::inject(&telemetry, black_box(context), before.cloned()));
    let stock = each(|| stock::inject(&both, black_box(context), headers()));
    let trace = each(|| stock::inject(&trace, black_box(context), headers()));
    let by_hand = each(|| by_hand::inject(black_box(context), headers()));
    row(
        report,
        &format!("inject: {name}"),
        name,
        [ours, stock, trace, by_hand],
    );
}

fn extract(report: &Report, name: &str, headers: &OwnedHeaders) {
    let telemetry = Telemetry::new();
    let headers = headers.as_borrowed();
    let (both, trace) = (stock::trace_and_baggage(), stock::trace());
    let ours = each(|| direct::extract(&telemetry, black_box(headers)));
    let stock = each(|| stock::extract(&both, black_box(headers)));
    let trace = each(|| stock::extract(&trace, black_box(headers)));
    let by_hand = each(|| by_hand::extract(black_box(headers)));
    row(
        report,
        &format!("extract: {name}"),
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
        let mut headers = Some(OwnedHeaders::new());
        kafka::inject(&ours, black_box(context), &mut headers);
        headers
    });
    let with_stock = each(|| stock::inject(&both, black_box(context), OwnedHeaders::new()));
    report.row(
        "`kafka::inject`: traceparent",
        [(Way::Ours, with_ours), (Way::Stock, with_stock)],
    );
}

fn extract_public(report: &Report, headers: OwnedHeaders) {
    let (ours, both) = (w3c::Propagator::new(), stock::trace_and_baggage());
    let plain = headers.clone();
    let message = OwnedMessage::new(
        None,
        None,
        sample::TOPIC.to_owned(),
        Timestamp::NotAvailable,
        0,
        0,
        Some(headers),
    );
    let with_ours = each(|| kafka::extract(&ours, black_box(&message)));
    let with_stock = each(|| stock::extract(&both, black_box(plain.as_borrowed())));
    report.row(
        "`kafka::extract`: traceparent",
        [(Way::Ours, with_ours), (Way::Stock, with_stock)],
    );
}
