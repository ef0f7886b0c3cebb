//! An expected metric by itself.

use opentelemetry::metrics::MeterProvider as _;

use super::*;

fn orders() -> [KeyValue; 2] {
    [KeyValue::new("to", "orders"), KeyValue::new("port", 9092)]
}

fn payments() -> [KeyValue; 1] {
    [KeyValue::new("to", "payments")]
}

fn recorder() -> Recorder {
    let recorder = Recorder::new();
    let meter = recorder.meter_provider().meter("test");
    let sent = meter.u64_counter("sent").with_unit("{message}").build();
    sent.add(3, &orders());
    sent.add(1, &payments());
    let duration = meter.f64_histogram("duration").with_unit("s");
    let duration = duration.with_boundaries(vec![0.5, 1.0]).build();
    duration.record(0.1, &orders());
    duration.record(0.2, &orders());
    recorder
}

#[test]
fn a_metric_as_described_passes_whatever_the_order_of_attributes() {
    let [to, port] = orders();
    ExpectedMetric::counter("sent", "{message}")
        .of(payments(), 1)
        .of([port.clone(), to.clone()], 2)
        .of([to, port], 1)
        .exactly()
        .assert(&recorder());
    ExpectedMetric::histogram("duration", "s", &[0.5, 1.0])
        .of(orders(), 2)
        .exactly()
        .assert(&recorder());
    ExpectedMetric::counter("lost", "{message}")
        .exactly()
        .assert(&recorder());
}

#[test]
fn sets_and_attributes_that_were_not_named_are_not_compared() {
    let [to, _] = orders();

    ExpectedMetric::counter("sent", "{message}").assert(&recorder());
    ExpectedMetric::counter("sent", "{message}")
        .of([to.clone()], 3)
        .of([], 4)
        .of([KeyValue::new("to", "bills")], 0)
        .assert(&recorder());
    ExpectedMetric::histogram("duration", "s", &[0.5, 1.0])
        .of([to], 2)
        .assert(&recorder());
    ExpectedMetric::counter("lost", "{message}")
        .of([], 0)
        .assert(&recorder());
}

#[test]
fn of_what_is_expected_not_to_be_recorded_there_is_nothing_where_all_is_compared_too() {
    let refunds = || [KeyValue::new("to", "refunds")];
    ExpectedMetric::counter("sent", "{message}")
        .of(orders(), 3)
        .of(payments(), 1)
        .of(refunds(), 0)
        .exactly()
        .assert(&recorder());
    ExpectedMetric::counter("lost", "{message}")
        .of(refunds(), 0)
        .exactly()
        .assert(&recorder());

    assert_eq!(
        ExpectedMetric::counter("sent", "{message}")
            .of(orders(), 3)
            .of(payments(), 0)
            .exactly()
            .differences(&recorder()),
        [r#"count of {to="payments"}: expected 0, found 1"#]
    );
}

#[test]
fn a_failure_is_no_success_unless_it_was_named() {
    let recorder = recorder();
    let timeout = KeyValue::new(ERROR_TYPE, "timeout");
    let meter = recorder.meter_provider().meter("test");
    let sent = meter.u64_counter("sent").with_unit("{message}").build();
    let [to] = payments();
    sent.add(1, &[to.clone(), timeout.clone()]);
    let expected = || ExpectedMetric::counter("sent", "{message}");

    expected().of(orders(), 3).of([], 5).assert(&recorder);
    expected().of([to], 2).of([timeout], 1).assert(&recorder);
    assert_eq!(
        expected().of(payments(), 2).differences(&recorder),
        [
            r#"count of {error.type="timeout", to="payments"}: expected none, found 1"#,
            r#"recorded: 1 of {error.type="timeout", to="payments"}"#,
            r#"recorded: 3 of {port=9092, to="orders"}"#,
            r#"recorded: 1 of {to="payments"}"#,
        ]
    );
}

#[test]
fn where_a_count_that_was_named_differs_all_that_is_recorded_is_told() {
    let [to, port] = orders();

    assert_eq!(
        ExpectedMetric::counter("sent", "{message}")
            .of([to, KeyValue::new("port", "9092")], 3)
            .of([port], 0)
            .of(payments(), 1)
            .differences(&recorder()),
        [
            r#"count of {port="9092", to="orders"}: expected 3, found none"#,
            r#"count of {port=9092}: expected none, found 3"#,
            r#"recorded: 3 of {port=9092, to="orders"}"#,
            r#"recorded: 1 of {to="payments"}"#,
        ]
    );
    assert_eq!(
        ExpectedMetric::counter("lost", "{message}").differences(&recorder()),
        [r#"unit: expected "{message}", found none"#]
    );
}

#[test]
#[should_panic(expected = "metric \"sent\" is not as expected:
  unit: expected \"{order}\", found \"{message}\"
  count of {port=9092, to=\"orders\"}: expected 3, found none")]
fn the_message_has_a_line_for_each_difference() {
    let recorder = Recorder::new();
    let meter = recorder.meter_provider().meter("test");
    let sent = meter.u64_counter("sent").with_unit("{message}").build();
    sent.add(1, &payments());

    ExpectedMetric::counter("sent", "{order}")
        .of(orders(), 3)
        .of(payments(), 1)
        .exactly()
        .assert(&recorder);
}

#[test]
fn whatever_was_not_described_is_a_difference() {
    assert_eq!(
        ExpectedMetric::counter("sent", "{message}")
            .exactly()
            .differences(&recorder()),
        [
            r#"unit: expected none, found "{message}""#,
            r#"count of {port=9092, to="orders"}: expected none, found 3"#,
            r#"count of {to="payments"}: expected none, found 1"#,
        ]
    );
}

#[test]
fn whatever_is_missing_is_a_difference() {
    assert_eq!(
        ExpectedMetric::histogram("latency", "s", &[])
            .of(payments(), 1)
            .exactly()
            .differences(&recorder()),
        [
            r#"unit: expected "s", found none"#,
            r#"count of {to="payments"}: expected 1, found none"#,
        ]
    );
}

#[test]
fn other_bounds_and_attributes_of_another_type_are_differences() {
    let [to, _] = orders();
    assert_eq!(
        ExpectedMetric::histogram("duration", "s", &[0.5])
            .of([to, KeyValue::new("port", "9092")], 2)
            .exactly()
            .differences(&recorder()),
        [
            r#"bounds of {port=9092, to="orders"}: expected [0.5], found [0.5, 1.0]"#,
            r#"count of {port="9092", to="orders"}: expected 2, found none"#,
            r#"count of {port=9092, to="orders"}: expected none, found 2"#,
        ]
    );
}

#[test]
#[should_panic(expected = r#"metric "duration" is no u64 counter"#)]
fn a_metric_of_another_kind_fails() {
    ExpectedMetric::counter("duration", "s").assert(&recorder());
}
