//! Receiving that fails.

use opentelemetry::context::FutureExt as _;
use opentelemetry::logs::Severity;
use opentelemetry::trace::Status;
use otel_messaging::policy::{Policy, Record, Rule};
use otel_messaging::testing::Recorder;

use super::{upstream, upstream_span};
use crate::metrics::{and, of_type, operation_duration};
use crate::whole;
use crate::{Faulty, logging};

/// What is recorded of a receive operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Recorded {
    Nothing,
    Duration,
    All,
}

/// A wait that ends with an error has span and duration where one that ends with a message has.
pub async fn receiving_that_fails_is_recorded_as_if_a_message_had_come<B: Faulty>() {
    let (all, asking) = (Rule::of("*"), Rule::of("*").receive_spans(true));
    let alone = asking.clone().record(Record::PropagateOnly);
    let rows = [
        (all.clone(), Recorded::Nothing, Recorded::All),
        (asking.clone(), Recorded::All, Recorded::All),
        (alone, Recorded::Duration, Recorded::Duration),
        (
            all.receive_spans(false),
            Recorded::Nothing,
            Recorded::Nothing,
        ),
        (
            asking.record(Record::Off),
            Recorded::Nothing,
            Recorded::Nothing,
        ),
    ];

    for (rule, one_by_one, in_batches) in rows {
        let policy = Policy::new().rule(rule);
        fail::<B>(policy.clone(), false, one_by_one).await;
        fail::<B>(policy, true, in_batches).await;
    }
}

async fn fail<B: Faulty>(policy: Policy, in_batches: bool, expected: Recorded) {
    let recorder = Recorder::new();
    let broker = B::connect(&logging(&recorder).policy(policy)).await;
    let orders = broker.declare("orders").await;

    let failure = broker.fail_to_receive(&orders, in_batches);
    let text = failure.with_context(upstream("01")).await;

    let spans = recorder.spans();
    let count = usize::from(expected == Recorded::All);
    assert_eq!(spans.len(), count, "{spans:?}");
    assert_eq!(recorder.logs().len(), count, "{:?}", recorder.logs());
    for span in &spans {
        let received = broker.receive_span(&orders);
        match in_batches {
            false => received,
            true => received.attribute("messaging.batch.message_count", 0),
        }
        .child_of(&upstream_span())
        .error(B::FAILURE)
        .assert(span);
        assert_eq!(span.status, Status::error(text.clone()));
        whole::log("messaging.receive.exception", Severity::Warn)
            .in_span(&span.span_context)
            .any("exception.type")
            .attribute("exception.message", text.clone())
            .assert(&recorder.log("messaging.receive.exception"));
    }
    let count = usize::from(expected != Recorded::Nothing);
    assert_eq!(recorder.metrics().len(), count, "{:?}", recorder.metrics());
    if expected != Recorded::Nothing {
        let received = of_type(broker.consumed(&orders), "receive");
        operation_duration()
            .of(and(received, "error.type", B::FAILURE), 1)
            .assert(&recorder);
    }
}
