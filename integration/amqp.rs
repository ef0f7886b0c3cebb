//! The scenarios on RabbitMQ, and what only RabbitMQ has.

#[path = "amqp/consumers.rs"]
mod consumers;
#[path = "amqp/foreign.rs"]
mod foreign;
#[path = "amqp/frames.rs"]
mod frames;
#[path = "amqp/headers.rs"]
mod headers;
#[path = "amqp/producers.rs"]
mod producers;
#[path = "amqp/recovery.rs"]
mod recovery;
#[path = "amqp/redelivery.rs"]
mod redelivery;
#[path = "amqp/replies.rs"]
mod replies;
#[path = "amqp/shop.rs"]
mod shop;

macro_rules! scenarios {
    ($($name:ident),+ $(,)?) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                integration::scenario::$name::<integration::amqp::Rabbit>().await;
            }
        )+
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
