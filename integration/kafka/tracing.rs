//! Kafka in a program that records its `tracing` spans with OpenTelemetry.

integration::scenarios_of_tracing!(integration::kafka::Kafka<integration::kafka::clients::Futures>);

#[test]
fn with_our_layer_consumers_are_in_the_same_traces() {
    integration::scenario::again_with_ours(&[
        "a_batch_in_an_instrumented_function_is_a_root",
        "a_span_of_tracing_for_each_message_is_the_parent",
        "an_instrumented_consumer_cuts_no_trace",
    ]);
}
