//! What is recorded of messages of several destinations under one call.

use otel_messaging::policy::{Policy, Record, Rule};
use otel_messaging::testing::Recorder;

use crate::{BatchSender, Broker, Message};

const NAMES: [&str; 2] = ["health", "probes"];

/// What the rules say of both destinations; no rule is about what they have in common.
fn policy(set: [impl Fn(Rule) -> Rule; 2]) -> Policy {
    let [health, probes] = NAMES.map(|name| Rule::of(&format!("*{name}*")));
    let [of_health, of_probes] = set;
    Policy::new()
        .rule(of_health(health))
        .rule(of_probes(probes))
}

fn recorded(records: [Record; 2]) -> Policy {
    policy(records.map(|record| move |rule: Rule| rule.record(record)))
}

fn assert_recorded(recorder: &Recorder, spans: &[&str], metrics: &[&str], what: &str) {
    let found = recorder.spans();
    let types = found.iter().map(|span| {
        let mut attributes = span.attributes.iter();
        let of_type = attributes.find(|one| one.key.as_str() == "messaging.operation.type");
        of_type.expect("an operation").value.as_str().into_owned()
    });
    assert_eq!(types.collect::<Vec<_>>(), spans, "{what}: {found:?}");
    let mut found = recorder.metrics();
    // That a message without a context has none is counted too.
    found.retain(|name| name.starts_with("messaging."));
    found.sort();
    assert_eq!(found, metrics, "{what}");
}

const CONSUMED: &str = "messaging.client.consumed.messages";
const DURATION: &str = "messaging.client.operation.duration";
const PROCESSED: &str = "messaging.process.duration";
const SENT: &str = "messaging.client.sent.messages";

/// Messages that are not to be recorded are not recorded together either, whatever holds for what they
/// have in common.
pub async fn a_batch_is_recorded_no_more_than_the_most_recorded_of_its_messages<B: Broker>() {
    let measured = [CONSUMED, DURATION, PROCESSED];
    let without_receive = policy([|rule: Rule| rule.receive_spans(false); 2]);
    let rows: [(Policy, &[&str], &[&str]); 6] = [
        (recorded([Record::Off; 2]), &[], &[]),
        (
            recorded([Record::Off, Record::PropagateOnly]),
            &[],
            &measured,
        ),
        (recorded([Record::PropagateOnly; 2]), &[], &measured),
        (
            recorded([Record::Off, Record::Full]),
            &["receive", "process"],
            &measured,
        ),
        (
            recorded([Record::Full, Record::PropagateOnly]),
            &["receive", "process"],
            &measured,
        ),
        (without_receive, &["process"], &[CONSUMED, PROCESSED]),
    ];

    for (policy, spans, metrics) in rows {
        let recorder = Recorder::new();
        let what = format!("{policy:?}");
        let broker = B::connect(&recorder.telemetry().policy(policy)).await;

        let batch = broker.receive_batch(NAMES).await;
        batch
            .process(async |orders| assert_eq!(orders.len(), 2))
            .await;

        assert_recorded(&recorder, spans, metrics, &what);
    }
}

/// The same of messages that are sent together.
pub async fn a_sent_batch_is_recorded_no_more_than_the_most_recorded_of_its_messages<
    B: BatchSender,
>() {
    let measured = [DURATION, SENT];
    let rows: [(_, &[&str], &[&str]); 5] = [
        ([Record::Off; 2], &[], &[]),
        ([Record::Off, Record::PropagateOnly], &[], &measured),
        ([Record::PropagateOnly; 2], &[], &measured),
        ([Record::Off, Record::Full], &["create", "send"], &measured),
        (
            [Record::Full, Record::PropagateOnly],
            &["create", "send"],
            &measured,
        ),
    ];

    for (records, spans, metrics) in rows {
        let recorder = Recorder::new();
        let broker = B::connect(&recorder.telemetry().policy(recorded(records))).await;
        let [health, probes] = NAMES;
        let (health, probes) = (broker.declare(health).await, broker.declare(probes).await);
        let order = Message::new("order-7");

        let sent = broker
            .send_to(&[(&health, &order), (&probes, &order)])
            .await;

        assert_eq!(sent.len(), 2);
        assert_recorded(&recorder, spans, metrics, &format!("{records:?}"));
    }
}
