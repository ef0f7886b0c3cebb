//! The scenarios on Kafka, and what only Kafka has.

#[path = "kafka/callbacks.rs"]
mod callbacks_of_the_user;
#[path = "kafka/commits.rs"]
mod commits;
#[path = "kafka/consumers.rs"]
mod consumers;
#[path = "kafka/failures.rs"]
mod failures;
#[path = "kafka/foreign.rs"]
mod foreign;
#[path = "kafka/headers.rs"]
mod headers;
#[path = "kafka/oversize.rs"]
mod oversize;
#[path = "kafka/producers.rs"]
mod producers;
#[path = "kafka/queues.rs"]
mod queues_of_partitions;
#[path = "kafka/rebalance.rs"]
mod rebalance;
#[path = "kafka/reporting.rs"]
mod reporting;
#[path = "kafka/shop.rs"]
mod shop;
#[path = "kafka/situations.rs"]
mod situations;
#[path = "kafka/wire.rs"]
mod wire;

macro_rules! scenarios {
    ($($name:ident),+ $(,)?) => {
        scenarios!(@over futures: Futures, $($name)+);
        scenarios!(@over callbacks: Callbacks, $($name)+);
        scenarios!(@over queues: Queues, $($name)+);
    };
    (@over $module:ident: $clients:ident, $($name:ident)+) => {
        mod $module {
            use integration::clients::$clients;
            use integration::kafka::Kafka;
            use integration::scenario;

            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    scenario::$name::<Kafka<$clients>>().await;
                }
            )+
        }
    };
}

scenarios!(
    a_dead_exporter_costs_no_message,
    a_dropped_handler_and_a_dropped_guard_are_cancelled,
    a_handler_error_is_recorded_and_returned,
    a_panic_is_recorded_and_goes_on,
    a_sampled_trace_is_unbroken_over_four_hops,
    an_ambient_span_stays_the_parent,
    an_unsampled_trace_is_unbroken_over_four_hops,
    suppressed_telemetry_leaves_no_trace,
    the_context_is_current_across_awaits_and_nowhere_else,
    the_error_classifier_decides,
    without_a_provider_the_trace_passes_through,
);
