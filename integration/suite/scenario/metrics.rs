//! What is counted and timed.

use opentelemetry_sdk::trace::{Sampler, SpanData};
use otel_messaging::testing::Recorder;

use crate::metrics::{
    and, consumed_messages, of_type, operation_duration, process_duration, sent_messages,
};
use crate::{Broker, Message};

const OPERATION_DURATION: &str = "messaging.client.operation.duration";
const PROCESS_DURATION: &str = "messaging.process.duration";

/// All that is recorded of a message that was sent, received and processed once.
fn assert_counted_once<B: Broker>(recorder: &Recorder, broker: &B, orders: &str) {
    operation_duration()
        .of(of_type(broker.sent(orders), "send"), 1)
        .assert(recorder);
    sent_messages().of(broker.sent(orders), 1).assert(recorder);
    consumed_messages()
        .of(broker.consumed(orders), 1)
        .assert(recorder);
    process_duration()
        .of(broker.processed(orders), 1)
        .assert(recorder);
    assert_eq!(recorder.metrics().len(), 4, "{:?}", recorder.metrics());
}

fn seconds(span: &SpanData) -> f64 {
    let duration = span.end_time.duration_since(span.start_time);
    duration.expect("an end after the start").as_secs_f64()
}

fn sums(recorder: &Recorder, name: &str) -> Vec<f64> {
    let histograms = recorder.histogram(name).into_iter();
    histograms.map(|histogram| histogram.sum).collect()
}

/// A message is counted once on each side, and timed from the start of its spans to their end.
pub async fn a_message_is_counted_once_and_timed_as_its_spans<B: Broker>() {
    let recorder = Recorder::new();
    let broker = B::connect(&recorder.telemetry()).await;
    let orders = broker.declare("orders").await;

    broker.send(&orders, &Message::new("order-7")).await;
    let received = broker.receive(&orders).await;
    received
        .process(async |_| tokio::task::yield_now().await)
        .await;

    assert_counted_once(&recorder, &broker, &orders);
    let [send, process] = [broker.send_name(&orders), broker.process_name(&orders)]
        .map(|name| seconds(&recorder.span(&name)));
    assert_eq!(sums(&recorder, OPERATION_DURATION), [send]);
    assert_eq!(sums(&recorder, PROCESS_DURATION), [process]);
}

/// The same where no span is recorded.
pub async fn a_message_that_is_not_sampled_is_counted_all_the_same<B: Broker>() {
    let recorder = Recorder::with_sampler(Sampler::AlwaysOff);
    let broker = B::connect(&recorder.telemetry()).await;
    let orders = broker.declare("orders").await;

    broker.send(&orders, &Message::new("order-7")).await;
    let received = broker.receive(&orders).await;
    received.process(async |_| ()).await;

    assert_eq!(recorder.spans().len(), 0);
    assert_counted_once(&recorder, &broker, &orders);
    for name in [OPERATION_DURATION, PROCESS_DURATION] {
        let sums = sums(&recorder, name);
        assert!(sums.iter().all(|sum| *sum > 0.0), "{name}: {sums:?}");
    }
}

/// A handler that fails is timed under the `error.type` of its span; each attempt counts, while the
/// message was delivered once.
pub async fn each_attempt_is_timed_under_its_error<B: Broker>() {
    let recorder = Recorder::new();
    let broker = B::connect(&recorder.telemetry()).await;
    let orders = broker.declare("orders").await;
    broker.send(&orders, &Message::new("order-7")).await;
    let received = broker.receive(&orders).await;

    for _ in 0..2 {
        let _ = received.process(async |_| Err::<(), _>("no stock")).await;
    }
    drop(received.start_process_span());
    received.process(async |_| ()).await;

    let processed = || broker.processed(&orders);
    process_duration()
        .of(and(processed(), "error.type", "_OTHER"), 2)
        .of(and(processed(), "error.type", "cancelled"), 1)
        .of(processed(), 1)
        .assert(&recorder);
    consumed_messages()
        .of(broker.consumed(&orders), 1)
        .assert(&recorder);
}
