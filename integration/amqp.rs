//! The scenarios on RabbitMQ, and what only RabbitMQ has.

#[path = "amqp/batch_sends.rs"]
mod batch_sends;
#[path = "amqp/batches.rs"]
mod batches;
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
#[path = "amqp/situations.rs"]
mod situations;

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
    each_message_carries_its_create_span_and_the_send_span_links_to_all,
    messages_that_a_batch_sends_again_link_to_their_own_attempt_before,
    without_create_spans_all_messages_carry_the_send_span,
    off_is_as_the_bare_client_and_cuts_no_trace,
    propagation_alone_goes_on_with_what_would_be_linked_to_only,
    propagation_alone_makes_no_span_and_cuts_no_trace,
    suppressed_telemetry_leaves_no_trace,
    the_context_is_current_across_awaits_and_nowhere_else,
    the_error_classifier_decides,
    what_is_wrong_with_a_context_is_counted,
    without_a_provider_the_trace_passes_through,
    without_a_span_the_trace_goes_on_inside_an_ambient_one_too,
);
