//! Rows of one operation with more and more of something, from which one sees how its cost grows.
//!
//! A row is called by its series and a number: `headers: read: 1000`.

use opentelemetry::Context;
use opentelemetry::KeyValue;
use opentelemetry::baggage::BaggageExt as _;
use otel_messaging::kafka::{self, internal as direct};
use otel_messaging::policy::{Policy, Record, Rule};
use otel_messaging::{Received, Telemetry};
use rdkafka::message::{OwnedHeaders, OwnedMessage};
use rdkafka::producer::FutureProducer;

use crate::harness::{Report, Run, Way, each, many};
use crate::sample::{self, Broker, KEY, ready, reported};
use crate::{by_hand, messages};

const RULES: [usize; 4] = [1, 10, 30, 100];
const HEADERS: [usize; 5] = [0, 1, 10, 100, 1_000];
const BATCHES: [usize; 5] = [1, 10, 100, 1_000, 10_000];
/// Bytes. There may be no more, nor more than 64 members.
const BAGGAGE: [usize; 5] = [0, 128, 1_024, 4_096, 8_192];

/// Records of one round.
const QUEUED: u32 = 200;
/// Messages of a round, or somewhat more.
const MESSAGES: usize = 2_000;

/// Measures all rows that the report wants.
pub fn measure(report: &Report) {
    let broker = Broker::start();
    rules(report, &broker);
    headers(report, &broker);
    baggage(report, &broker);
    batches(report, &broker);
}

fn row(report: &Report, series: &str, number: usize, run: Run<'_>) {
    report.row(&format!("{series}: {number}"), [(Way::Ours, run)]);
}

/// Telemetry whose policy has so many rules, none of which is about the topic.
fn with_rules(rules: usize) -> Telemetry {
    let others = (0..rules).map(|number| Rule::of(&format!("partner-{number}.*")));
    let policy = others.fold(Policy::new(), |policy, rule| {
        policy.rule(rule.record(Record::Off))
    });
    Telemetry::new()
        .tracer_provider(sample::recording())
        .policy(policy)
}

fn rules(report: &Report, broker: &Broker) {
    for rules in RULES {
        let telemetry = with_rules(rules);
        let message = broker.received(&telemetry, Some(KEY), traced(0));
        row(report, "rules: process", rules, processed(&message));
    }
    for rules in RULES {
        let telemetry = with_rules(rules);
        let client = broker.producer();
        let sent = sent(&client, &telemetry, None, Context::new());
        row(report, "rules: send", rules, sent);
    }
    for rules in RULES {
        let wrapped = messages::with_rules(rules);
        let first = each(|| wrapped.first_look_up());
        row(
            report,
            "rules: first message of a destination",
            rules,
            first,
        );
    }
}

fn headers(report: &Report, broker: &Broker) {
    let telemetry = Telemetry::new().tracer_provider(sample::recording());
    for headers in HEADERS {
        let message = broker.received(&telemetry, Some(KEY), traced(headers));
        row(report, "headers: process", headers, processed(&message));
    }
    for headers in HEADERS {
        let client = broker.producer();
        let others = sample::other_headers(headers);
        let sent = sent(&client, &telemetry, Some(others), Context::new());
        row(report, "headers: send", headers, sent);
    }
    for headers in HEADERS {
        let others = sample::other_headers(headers);
        let copied = each(|| others.clone());
        row(report, "headers: a copy by the client", headers, copied);
    }
}

fn baggage(report: &Report, broker: &Broker) {
    let telemetry = Telemetry::new().tracer_provider(sample::recording());
    for bytes in BAGGAGE {
        let headers = direct::inject(&telemetry, &baggage_of(bytes), None);
        let message = broker.received(&telemetry, Some(KEY), headers.unwrap_or_default());
        row(report, "baggage: process", bytes, processed(&message));
    }
    for bytes in BAGGAGE {
        let client = broker.producer();
        let sent = sent(&client, &telemetry, None, baggage_of(bytes));
        row(report, "baggage: send", bytes, sent);
    }
}

/// A trace, and baggage that takes about so many bytes of a header.
fn baggage_of(bytes: usize) -> Context {
    // Name, sign of equality, value and comma.
    const MEMBER: usize = 128;
    let value = "v".repeat(MEMBER - "member-000=,".len());
    let members = (0..bytes / MEMBER)
        .map(|number| KeyValue::new(format!("member-{number:03}"), value.clone()));
    match bytes {
        0 => sample::trace(),
        _ => sample::trace().with_baggage(members),
    }
}

fn batches(report: &Report, broker: &Broker) {
    let telemetry = Telemetry::new().tracer_provider(sample::recording());
    for size in BATCHES {
        let headers = (0..size).map(|number| {
            let trace = sample::numbered_trace(number as u64);
            by_hand::inject(&trace, OwnedHeaders::new())
        });
        let received = broker.received_together(&telemetry, Some(KEY), headers.collect());
        let batches = MESSAGES.div_ceil(size);
        let messages = u32::try_from(batches * size).unwrap_or(u32::MAX);
        let process = many(messages, |sample, _| {
            for _ in 0..batches {
                let batch = received.detach();
                sample.measure(|| ready(batch.process(async |_| ())));
            }
        });
        row(report, "batch: process, for each message", size, process);
    }
}

fn traced(others: usize) -> OwnedHeaders {
    by_hand::inject(&sample::trace(), sample::other_headers(others))
}

fn processed(message: &Received<OwnedMessage>) -> Run<'_> {
    each(move || ready(message.process(async |_| ())))
}

/// Records with these headers, sent where this context is current.
fn sent<'a>(
    client: &'a FutureProducer,
    telemetry: &Telemetry,
    headers: Option<OwnedHeaders>,
    current: Context,
) -> Run<'a> {
    let producer = kafka::Producer::wrap(telemetry, client.clone());
    many(QUEUED, move |sample, operations| {
        let mut deliveries = Vec::with_capacity(operations as usize);
        let records = (0..operations).map(|_| {
            let mut record = sample::record();
            record.headers.clone_from(&headers);
            record
        });
        let mut records: Vec<_> = records.collect();
        let attached = current.clone().attach();
        sample.measure(|| {
            for record in records.drain(..) {
                let queued = producer.send_result(record);
                let queued = queued.map_err(|(error, _)| error);
                deliveries.push(queued.expect("room in the queue"));
            }
        });
        drop(attached);
        reported(client);
        sample.measure(|| {
            for delivery in deliveries.drain(..) {
                assert!(ready(delivery).is_ok_and(|sent| sent.is_ok()), "a delivery");
            }
        });
    })
}
