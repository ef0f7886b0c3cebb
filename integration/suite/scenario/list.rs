//! The scenarios as tests: each broker runs all of them.

/// A test for each scenario, against this [`Broker`](crate::Broker).
#[macro_export]
macro_rules! scenarios {
    ($broker:ty) => {
        $crate::scenarios! {
            @against $broker:
            a_batch_is_kept_if_any_of_its_messages_is_from_a_sampled_trace
            a_batch_links_to_every_origin_once_however_many
            a_batch_links_to_untrusted_traces_by_identity_alone
            a_batch_that_fails_half_way_shows_which_messages_did
            a_batch_that_is_dropped_half_way_is_cancelled_and_loses_nothing
            a_context_that_is_ignored_leaves_nothing
            a_context_that_is_linked_to_only_starts_a_new_trace
            a_context_that_is_not_trusted_leaves_a_link_and_nothing_else
            a_dead_exporter_costs_no_message
            a_dropped_handler_and_a_dropped_guard_are_cancelled
            a_handler_error_is_recorded_and_returned
            a_message_is_counted_once_and_timed_as_its_spans
            a_message_that_is_not_sampled_is_counted_all_the_same
            a_panic_is_recorded_and_goes_on
            a_sampled_trace_is_unbroken_over_four_hops
            a_stranger_does_not_decide_what_is_recorded
            a_template_stands_for_the_destination
            an_ambient_span_stays_the_parent
            an_ambient_span_stays_the_parent_whatever_is_trusted
            an_unsampled_trace_is_unbroken_over_four_hops
            baggage_passes_by_the_lists_of_its_destinations
            captured_headers_are_attributes
            each_attempt_is_timed_under_its_error
            each_attempt_over_retry_destinations_links_to_the_one_before_it
            fan_back_shows_the_batch_in_the_traces_of_its_messages
            off_is_as_the_bare_client_and_cuts_no_trace
            over_the_limit_messages_of_one_context_share_a_link
            propagation_alone_goes_on_with_what_would_be_linked_to_only
            propagation_alone_makes_no_span_and_cuts_no_trace
            suppressed_telemetry_leaves_no_trace
            the_context_is_current_across_awaits_and_nowhere_else
            the_error_classifier_decides
            what_a_batch_sends_belongs_to_it_or_to_the_message_that_is_chosen
            what_is_wrong_with_a_context_is_counted
            without_a_provider_the_trace_passes_through
            without_a_span_the_trace_goes_on_inside_an_ambient_one_too
        }
    };
    (@against $broker:ty: $($name:ident)+) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                $crate::scenario::$name::<$broker>().await;
            }
        )+
    };
}

/// The same for those of a client that sends many messages under one call.
#[macro_export]
macro_rules! scenarios_of_sent_batches {
    ($broker:ty) => {
        $crate::scenarios! {
            @against $broker:
            each_message_carries_its_create_span_and_the_send_span_links_to_all
            messages_that_a_batch_sends_again_link_to_their_own_attempt_before
            without_create_spans_all_messages_carry_the_send_span
        }
    };
}
