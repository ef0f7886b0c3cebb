//! The scenarios on core NATS and on JetStream, and what only NATS has. The server is the one of
//! `NATS_URL`.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test panics where it fails"
)]

#[path = "nats/batches.rs"]
mod batches;
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
    a_batch_links_to_every_origin_once_however_many,
    a_batch_links_to_untrusted_traces_by_identity_alone,
    a_batch_that_fails_half_way_shows_which_messages_did,
    a_batch_that_is_dropped_half_way_is_cancelled_and_loses_nothing,
    fan_back_shows_the_batch_in_the_traces_of_its_messages,
    over_the_limit_messages_of_one_context_share_a_link,
    what_a_batch_sends_belongs_to_it_or_to_the_message_that_is_chosen,
    a_context_that_is_ignored_leaves_nothing,
    a_context_that_is_linked_to_only_starts_a_new_trace,
    a_context_that_is_not_trusted_leaves_a_link_and_nothing_else,
    a_dead_exporter_costs_no_message,
    a_dropped_handler_and_a_dropped_guard_are_cancelled,
    a_handler_error_is_recorded_and_returned,
    a_message_is_counted_once_and_timed_as_its_spans,
    a_message_that_is_not_sampled_is_counted_all_the_same,
    a_panic_is_recorded_and_goes_on,
    a_sampled_trace_is_unbroken_over_four_hops,
    a_stranger_does_not_decide_what_is_recorded,
    a_template_stands_for_the_destination,
    an_ambient_span_stays_the_parent,
    an_ambient_span_stays_the_parent_whatever_is_trusted,
    an_unsampled_trace_is_unbroken_over_four_hops,
    baggage_passes_by_the_lists_of_its_destinations,
    captured_headers_are_attributes,
    each_attempt_is_timed_under_its_error,
    each_attempt_over_retry_destinations_links_to_the_one_before_it,
    off_is_as_the_bare_client_and_cuts_no_trace,
    propagation_alone_goes_on_with_what_would_be_linked_to_only,
    propagation_alone_makes_no_span_and_cuts_no_trace,
    suppressed_telemetry_leaves_no_trace,
    the_context_is_current_across_awaits_and_nowhere_else,
    the_error_classifier_decides,
    what_is_wrong_with_a_context_is_counted,
    without_a_provider_the_trace_passes_through,
);
