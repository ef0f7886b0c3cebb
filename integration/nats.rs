//! The scenarios on core NATS and on JetStream, and what only NATS has. The server is the one of
//! `NATS_URL`.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test panics where it fails"
)]

#[path = "nats/consumers.rs"]
mod consumers;
#[path = "nats/foreign.rs"]
mod foreign;
#[path = "nats/headers.rs"]
mod headers;
#[path = "nats/old_server.rs"]
mod old_server;
#[path = "nats/oversize.rs"]
mod oversize;
#[path = "nats/publishing.rs"]
mod publishing;
#[path = "nats/requests.rs"]
mod requests;
#[path = "nats/settling.rs"]
mod settling;
#[path = "nats/shop.rs"]
mod shop;
#[path = "nats/stored.rs"]
mod stored;
#[path = "nats/subscriptions.rs"]
mod subscriptions;

macro_rules! scenarios {
    ($($name:ident),+ $(,)?) => {
        scenarios!(@over core: Core, $($name)+);
        scenarios!(@over jetstream: JetStream, $($name)+);
    };
    (@over $module:ident: $broker:ident, $($name:ident)+) => {
        mod $module {
            use integration::nats::broker::$broker;
            use integration::scenario;

            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    scenario::$name::<$broker>().await;
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
