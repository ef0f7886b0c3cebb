//! The scenarios as tests: each broker runs all of them.

/// A test for each scenario, against this [`Broker`](crate::Broker).
#[macro_export]
macro_rules! scenarios {
    ($broker:ty) => {
        $crate::scenarios! {
            @against $broker:
            a_batch_in_a_loop_is_a_root_and_links_to_the_loop
            a_batch_is_kept_if_any_of_its_messages_is_from_a_sampled_trace
            a_batch_is_recorded_no_more_than_the_most_recorded_of_its_messages
            a_batch_links_to_contexts_in_other_formats
            a_batch_links_to_every_origin_once_however_many
            a_batch_links_to_untrusted_traces_by_identity_alone
            a_batch_that_fails_half_way_shows_which_messages_did
            a_batch_that_is_dropped_half_way_is_cancelled_and_loses_nothing
            a_batch_that_is_not_sampled_leaves_the_traces_of_its_messages_alone
            a_carried_context_goes_on_where_no_span_is_active
            a_client_names_no_more_destinations_than_it_may
            a_context_in_another_format_is_continued_and_goes_on_in_w3cs
            a_context_in_the_payload_is_as_one_in_the_headers
            a_context_in_the_payload_of_a_stranger_is_not_trusted
            a_context_of_w3c_comes_before_those_in_other_formats
            a_context_that_is_ignored_leaves_nothing
            a_context_that_is_linked_to_only_starts_a_new_trace
            a_context_that_is_not_trusted_leaves_a_link_and_nothing_else
            a_dead_exporter_costs_no_message
            a_dead_letter_after_the_handler_stays_in_the_trace
            a_dropped_handler_and_a_dropped_guard_are_cancelled
            a_forged_flag_on_a_forwarded_message_decides_nothing
            a_guard_in_a_loop_continues_the_trace_of_its_message_too
            a_handler_error_is_recorded_and_returned
            a_handlers_panic_goes_on_where_telemetry_panics_too
            a_kept_context_takes_no_current_baggage_along
            a_message_is_counted_once_and_timed_as_its_spans
            a_message_that_is_not_sampled_is_counted_all_the_same
            a_panic_is_recorded_and_goes_on
            a_panic_while_a_handler_is_dropped_is_recorded_and_goes_on
            a_policy_chooses_the_parent
            a_policy_chooses_the_parent_in_a_batch_too
            a_policy_says_what_a_carried_context_may_do
            a_provider_that_was_shut_down_cuts_no_trace
            a_sampled_trace_is_unbroken_over_four_hops
            a_sampler_sees_the_baggage_that_a_span_shows
            a_sampler_that_follows_the_parent_is_not_asked_in_vain
            a_span_that_was_active_before_a_message_came_is_linked_and_cuts_no_trace
            a_span_that_was_opened_since_is_the_parent
            a_stranger_does_not_decide_what_is_recorded
            a_task_for_each_message_continues_its_trace
            a_template_stands_for_the_destination
            a_tracer_that_panics_cuts_no_trace
            a_workers_span_is_known_from_its_second_message_on
            an_ambient_span_stays_the_parent
            an_ambient_span_stays_the_parent_whatever_is_trusted
            an_empty_context_is_an_empty_context
            an_empty_template_is_none
            an_error_is_named_by_its_type_where_that_says_something
            an_unsampled_trace_is_unbroken_over_four_hops
            baggage_is_seen_as_far_as_it_is_accepted_or_sent
            baggage_of_a_message_stays_and_merges
            baggage_of_a_stranger_overrides_no_attribute_and_is_short
            baggage_passes_by_the_lists_of_its_destinations
            captured_headers_are_attributes
            captured_headers_are_short_and_few
            deprecated_names_are_added_where_they_are_asked_for
            each_attempt_is_timed_under_its_error
            each_attempt_over_retry_destinations_links_to_the_one_before_it
            exceptions_are_both_where_that_is_asked_for
            exceptions_are_logged_where_a_logger_is_given
            exceptions_are_logged_whether_or_not_a_span_is_recorded
            fan_back_leaves_traces_alone_that_are_linked_to_only
            fan_back_shows_the_batch_in_the_traces_of_its_messages
            fan_back_stays_within_the_limit_of_links
            in_a_batch_a_message_without_a_trace_has_that_of_the_batch
            in_a_loop_a_context_that_is_not_continued_starts_a_new_trace
            in_a_loop_a_message_without_a_context_is_a_trace_of_its_own
            in_a_loop_the_only_link_is_to_the_loop_if_the_message_has_none
            kept_back_baggage_does_not_go_out_with_the_message
            metrics_have_so_many_values_of_baggage_and_no_more
            named_members_of_baggage_are_on_spans_and_metrics
            of_several_carried_contexts_the_one_that_counts_goes_on
            off_is_as_the_bare_client_and_cuts_no_trace
            over_the_limit_messages_of_one_context_share_a_link
            propagation_alone_goes_on_with_what_would_be_linked_to_only
            propagation_alone_makes_no_span_and_cuts_no_trace
            receiving_shows_the_baggage_of_its_message
            refused_baggage_is_not_forwarded
            suppressed_telemetry_leaves_no_trace
            telemetry_code_that_panics_costs_nothing
            the_context_is_current_across_awaits_and_nowhere_else
            the_error_classifier_decides
            the_flags_of_a_trace_arrive_at_each_hop_as_they_were
            the_service_that_begins_a_trace_decides_for_all_after_it
            what_a_batch_sends_belongs_to_it_or_to_the_message_that_is_chosen
            what_is_not_accepted_of_baggage_is_over_no_limit
            what_is_not_trusted_is_not_forwarded
            what_is_not_trusted_is_not_forwarded_in_any_format
            what_is_wrong_with_a_context_is_counted
            without_a_provider_no_policy_cuts_the_trace
            without_a_provider_spans_of_the_application_stay_as_they_were
            without_a_provider_the_trace_passes_through
            without_a_span_a_context_in_another_format_goes_on_in_w3cs
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
            a_batch_forwards_each_message_in_the_trace_of_its_origin
            a_batch_in_several_contexts_that_is_dropped_ends_each_span_in_its_own_trace
            a_batch_that_is_sent_in_a_span_of_tracing_is_below_it
            a_message_of_a_batch_that_fails_does_so_in_its_own_trace
            a_send_does_not_keep_the_span_around_it_open
            a_sent_batch_is_recorded_no_more_than_the_most_recorded_of_its_messages
            baggage_of_a_batch_is_on_its_span_or_on_its_links
            each_message_carries_its_create_span_and_the_send_span_links_to_all
            in_a_batch_telemetry_may_be_suppressed_for_one_message
            messages_that_a_batch_sends_again_link_to_their_own_attempt_before
            of_a_batch_each_message_goes_on_in_its_own_trace
            origins_of_a_forwarded_batch_go_on_where_nothing_is_recorded
            telemetry_code_that_panics_costs_no_message_of_a_batch
            what_a_batch_is_not_to_trust_is_not_forwarded
            what_all_messages_of_a_sent_batch_say_is_on_the_send_span
            what_a_client_refuses_does_not_count_as_sent
            without_create_spans_all_messages_carry_the_send_span
        }
    };
}

/// The same for consumers that can fail.
#[macro_export]
macro_rules! scenarios_of_failed_receives {
    ($broker:ty) => {
        $crate::scenarios! {
            @against $broker:
            receiving_that_fails_is_recorded_as_if_a_message_had_come
        }
    };
}

/// The same for brokers that have each message settled.
#[macro_export]
macro_rules! scenarios_of_settling {
    ($broker:ty) => {
        $crate::scenarios! {
            @against $broker:
            a_message_of_a_batch_is_settled_in_the_span_that_it_was_processed_in
            settling_belongs_to_the_last_of_several_attempts
            settling_belongs_to_the_process_span
            settling_in_a_span_of_tracing_is_below_it_if_there_is_no_process_span
            settling_is_sampled_with_its_message_after_the_handler_too
            settling_links_to_a_context_that_was_in_the_payload
            settling_links_to_what_is_trusted
            settling_shows_the_baggage_of_its_message
            without_a_process_span_settling_belongs_to_what_is_active
        }
    };
}

/// The same for wrapped producers that are handed to tasks and threads.
#[macro_export]
macro_rules! scenarios_of_spawned_work {
    ($broker:ty) => {
        $crate::scenarios! {
            @against $broker:
            work_that_a_handler_spawns_is_in_its_trace_where_it_is_given_the_context
            work_that_a_handler_spawns_without_the_context_is_in_no_trace
        }
    };
}

/// The same for programs whose `tracing` spans are recorded too.
#[macro_export]
macro_rules! scenarios_of_tracing {
    ($broker:ty) => {
        $crate::scenarios! {
            @against $broker:
            a_batch_in_an_instrumented_function_is_a_root
            a_filter_has_no_say_about_the_span_of_a_handler
            a_send_in_a_span_of_tracing_is_its_child
            a_span_of_tracing_for_each_message_is_the_parent
            a_subscriber_that_panics_costs_no_message
            a_task_of_a_handler_goes_on_in_its_span
            an_error_line_in_a_handler_marks_its_span_and_no_other
            an_instrumented_consumer_cuts_no_trace
            baggage_that_a_handler_attaches_in_its_span_goes_out
            handlers_that_take_turns_on_one_thread_are_each_in_their_own_span
            log_lines_have_the_ids_of_what_is_current
            log_records_have_the_ids_of_what_is_current
            spans_of_tracing_in_a_handler_are_below_the_process_span
            spans_of_tracing_in_the_handler_of_a_batch_are_below_its_span
            without_a_subscriber_all_is_as_without_tracing
        }
    };
}
