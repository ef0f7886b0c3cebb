//! What the policy and the metrics of a message cost.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::harness::{Report, Way, each};
use crate::messages::{meter_provider, with_rules};
use crate::sample::{GROUP, TOPIC};
use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Histogram, Meter, MeterProvider as _};

/// Rules of a policy, none of which is about the topic.
const RULES: usize = 10;

pub(crate) fn measure(report: &Report) {
    let wrapped = with_rules(RULES);
    let known = HashMap::from([(TOPIC.to_owned(), Arc::new(()))]);
    report.row(
        "policy: look-up",
        [
            (Way::Ours, each(|| wrapped.look_up())),
            (Way::ByHand, each(|| known.get(TOPIC).map(Arc::clone))),
        ],
    );
    report.row(
        "policy: first look-up, 10 rules",
        [(Way::Ours, each(|| wrapped.first_look_up()))],
    );

    let from = SystemTime::now();
    let to = from + Duration::from_millis(7);
    let provider = meter_provider();
    let by_hand = ByHand::new(&provider.meter("by hand"));
    report.row(
        "metrics: sent",
        [
            (Way::Ours, each(|| wrapped.sent(from, to))),
            (Way::ByHand, each(|| by_hand.sent(from, to))),
        ],
    );
    report.row(
        "metrics: received and processed",
        [
            (Way::Ours, each(|| wrapped.processed(from, to))),
            (Way::ByHand, each(|| by_hand.processed(from, to))),
        ],
    );
}

/// The same with all attributes written down before.
struct ByHand {
    sent: Counter<u64>,
    consumed: Counter<u64>,
    operation_duration: Histogram<f64>,
    process_duration: Histogram<f64>,
    of_sent: [KeyValue; 3],
    of_operation: [KeyValue; 4],
    of_consumed: [KeyValue; 4],
    of_process: [KeyValue; 4],
}

impl ByHand {
    fn new(meter: &Meter) -> Self {
        let system = KeyValue::new("messaging.system.name", "kafka");
        let topic = KeyValue::new("messaging.destination.name", TOPIC);
        let group = KeyValue::new("messaging.consumer.group.name", GROUP);
        let operation = |name| KeyValue::new("messaging.operation.name", name);
        let send = KeyValue::new("messaging.operation.type", "send");
        let of_sent = [system.clone(), operation("send"), topic.clone()];
        let received = |name| {
            [
                system.clone(),
                operation(name),
                topic.clone(),
                group.clone(),
            ]
        };
        let [of_consumed, of_process] = ["poll", "process"].map(received);
        let [system, name, topic] = of_sent.clone();
        Self {
            sent: meter.u64_counter("sent").build(),
            consumed: meter.u64_counter("consumed").build(),
            operation_duration: meter.f64_histogram("operation").build(),
            process_duration: meter.f64_histogram("process").build(),
            of_sent,
            of_operation: [system, name, topic, send],
            of_consumed,
            of_process,
        }
    }

    fn sent(&self, from: SystemTime, to: SystemTime) {
        self.operation_duration
            .record(seconds(from, to), &self.of_operation);
        self.sent.add(1, &self.of_sent);
    }

    fn processed(&self, from: SystemTime, to: SystemTime) {
        self.consumed.add(1, &self.of_consumed);
        self.process_duration
            .record(seconds(from, to), &self.of_process);
    }
}

fn seconds(from: SystemTime, to: SystemTime) -> f64 {
    to.duration_since(from).unwrap_or_default().as_secs_f64()
}
