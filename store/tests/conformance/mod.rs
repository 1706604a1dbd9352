//! What every backend of `Store` must do: one suite, run on each.
//!
//! A backend's test file says how a database is made ([`Backend`]) and calls [`suite!`]. Nothing in
//! the suite knows SQL.

pub(crate) mod actors;
pub(crate) mod approvals;
pub(crate) mod awaited;
pub(crate) mod bound;
pub(crate) mod canaries;
pub(crate) mod carriers;
pub(crate) mod crls;
pub(crate) mod domains;
pub(crate) mod eid_orders;
pub(crate) mod eids;
pub(crate) mod histories;
pub(crate) mod imports;
pub(crate) mod issuing;
pub(crate) mod job_receipts;
pub(crate) mod jobs;
pub(crate) mod keys;
pub(crate) mod limits;
pub(crate) mod logs;
pub(crate) mod management;
pub(crate) mod orders;
pub(crate) mod organisations;
pub(crate) mod profiles;
pub(crate) mod protection;
pub(crate) mod reads;
pub(crate) mod receipts;
pub(crate) mod recovery;
pub(crate) mod replaced;
pub(crate) mod scheduled;
pub(crate) mod sealing;
pub(crate) mod selections;
pub(crate) mod shards;
pub(crate) mod statuses;
pub(crate) mod trials;
pub(crate) mod two_acts;
pub(crate) mod wiring;
pub(crate) mod world;

use std::sync::Arc;

use store::Store;

/// A database that can be closed and opened again.
pub(crate) trait Backend {
    /// Opens it; it is made the first time.
    fn open(&self) -> Arc<dyn Store>;

    /// A copy of the database as it is now, to be opened as an older one later.
    fn backup(&self) -> Box<dyn Backend>;
}

/// Makes a test of each claim of the suite. `$make` returns a new [`Backend`].
#[macro_export]
macro_rules! suite {
    ($make:path) => {
        $crate::suite! { $make;
            orders: a_new_key_makes_an_order,
            orders: an_answer_is_replayed_byte_for_byte,
            orders: answers_share_texts_and_are_replayed_byte_for_byte,
            orders: another_body_under_the_key_is_told_apart,
            orders: a_running_order_is_not_given_twice,
            orders: a_restart_takes_its_orders_over_at_once,
            orders: another_node_takes_an_order_over_when_the_lease_has_ended,
            orders: a_5xx_leaves_the_order_to_the_same_key,
            orders: the_key_belongs_to_client_method_and_path,
            orders: eight_callers_of_one_key_get_one_order,
            orders: a_refusal_is_stored_with_its_audit_leaf,
            orders: only_its_holder_ends_an_order,
            orders: a_late_call_of_the_same_start_ends_nothing,
            orders: an_order_that_was_left_is_ended_by_nobody,
            domains: a_domain_is_kept_with_all_its_proofs,
            domains: what_a_rule_about_domains_refuses_leaves_no_trace,
            approvals: what_is_approved_is_used_once,
            approvals: one_person_is_not_two,
            approvals: an_approval_ends_with_its_time_and_with_the_eid_of_who_gave_it,
            approvals: requests_are_listed_newest_first_and_forgotten_with_their_person,
            approvals: a_configuration_follows_the_one_before,
            organisations: a_tree_is_kept_with_its_days_and_revisions,
            organisations: what_the_tree_refuses_leaves_no_trace,
            organisations: a_change_is_made_once_and_rests_on_the_newest_state,
            organisations: a_number_leads_to_its_way_up,
            organisations: a_change_is_judged_by_its_part_of_the_tree_as_by_all_of_it,
            profiles: a_version_is_recorded_once_with_a_leaf,
            profiles: a_changed_file_under_an_old_version_is_refused,
            profiles: issuances_are_read_newest_first_until_they_are_forgotten,
            protection: a_class_is_recorded_once_and_ends,
            protection: what_is_a_protected_persons_is_not_found_by_who_does_not_see_him,
            protection: an_hsa_id_is_the_persons_whom_an_order_named,
            reads: what_was_shown_is_found_by_whose_it_is,
            reads: a_client_is_shown_so_much_in_an_hour,
            reads: what_is_a_persons_is_found_however_that_is_known,
            reads: reads_of_the_protected_and_the_forgotten,
            issuing: a_certificate_is_recorded_before_and_after_it_is_signed,
            issuing: nothing_is_signed_without_an_order,
            issuing: an_order_yields_one_certificate,
            issuing: a_serial_is_used_once_whatever_became_of_it,
            issuing: refuses_bytes_that_were_not_recorded,
            issuing: a_clock_behind_the_log_stops_issuing_and_not_revoking,
            issuing: an_offline_issuer_signs_nothing_here,
            issuing: finds_a_certificate_by_each_of_its_names,
            issuing: lists_page_by_page_without_loss,
            two_acts: an_order_and_its_intent_are_one_act,
            two_acts: a_certificate_and_its_answer_are_one_act,
            two_acts: a_refused_intent_leaves_no_order,
            two_acts: without_its_answer_no_certificate_is_recorded,
            two_acts: of_eight_callers_of_one_key_one_may_sign,
            two_acts: a_kill_between_the_two_acts_leaves_an_order_to_go_on_with,
            two_acts: a_kill_after_both_acts_leaves_the_answer,
            two_acts: a_refused_order_is_stored_in_one_act,
            two_acts: a_refusal_ends_no_order_of_another_call,
            two_acts: an_order_of_which_nothing_came_is_left_open,
            two_acts: a_superseded_start_begins_and_refuses_nothing,
            eid_orders: an_order_is_kept_step_by_step,
            eid_orders: a_step_is_taken_once_and_on_what_it_rests_on,
            eid_orders: certificates_move_with_the_step,
            eid_orders: an_order_ends_with_what_is_being_signed_for_it,
            eid_orders: an_order_ends_with_what_was_lost_of_it,
            eid_orders: orders_are_listed_by_what_is_due,
            eid_orders: orders_of_protected_persons_are_passed_over,
            eid_orders: what_was_said_is_forgotten_with_the_holder,
            carriers: cards_are_registered_all_or_none_and_once,
            carriers: a_card_is_moved_on_what_it_rests_on,
            carriers: nothing_is_issued_onto_a_card_that_is_not_there_to_be_activated,
            replaced: what_an_order_replaces_ends_in_the_act_of_its_step,
            replaced: what_is_replaced_later_is_listed_and_ends_at_its_second,
            replaced: the_orders_of_a_restored_database_are_parked,
            replaced: a_card_whose_eid_is_revoked_is_handed_over_to_nobody,
            replaced: what_the_order_itself_issued_is_spared,
            scheduled: a_revocation_of_later_strikes_once_at_its_second,
            scheduled: of_two_that_come_by_at_once_one_strikes,
            scheduled: what_is_taken_back_before_its_second_never_strikes,
            scheduled: the_end_of_an_employment_hits_the_holder_in_that_organisation,
            scheduled: a_revocation_of_later_counts_when_it_is_asked_for,
            scheduled: revocations_of_later_are_listed_without_what_is_not_seen,
            scheduled: a_request_that_was_taken_elsewhere_is_registered_once,
            replaced: a_holder_has_so_many_carriers_of_a_kind_in_one_organisation,
            eids: an_eid_is_whose_its_own_order_said,
            eids: two_ids_of_one_person_are_known_to_be_his,
            eids: what_rests_on_an_eid_is_recorded_while_it_holds,
            eids: an_eid_that_ends_meanwhile_leads_to_no_certificate,
            actors: a_statement_is_taken_once,
            actors: an_administrator_has_one_opaque_id,
            actors: a_statement_rests_on_an_eid_that_holds,
            actors: statements_are_forgotten_when_they_count_no_more,
            actors: one_administrator_is_one_hand,
            bound: a_holder_in_an_organisation_on_a_carrier_is_one_eid,
            bound: an_eid_is_revoked_with_all_its_certificates_and_no_other,
            bound: a_carrier_is_revoked_with_the_eids_of_all_organisations,
            bound: what_a_ca_left_that_has_ended_holds_up_no_revocation,
            bound: a_revoked_carrier_takes_no_certificate,
            bound: an_eid_is_revoked_with_what_is_being_signed_for_it,
            bound: certificates_of_a_card_that_belong_to_no_eid_are_counted,
            bound: a_telephone_is_one_carrier_and_bears_one_holder,
            bound: what_is_left_of_an_order_is_not_issued_once_its_eid_is_revoked,
            bound: certificates_are_told_apart_by_whose_they_are,
            bound: eids_are_found_by_what_is_kept_as_hashes,
            keys: a_key_has_one_holder,
            keys: a_key_stays_its_holders,
            keys: a_key_of_a_lost_certificate_stays_its_holders,
            keys: a_key_that_was_compromised_is_nobodys,
            keys: a_key_that_is_compromised_meanwhile_gets_no_certificate,
            keys: a_profile_may_want_new_keys,
            keys: a_key_is_the_persons_whatever_the_subject_says,
            keys: a_key_is_the_passports_whatever_the_subject_says,
            keys: an_intent_holds_its_key_for_the_person,
            keys: an_order_says_whose_the_subject_of_an_older_certificate_is,
            keys: an_import_says_whose_a_key_is,
            keys: an_order_that_came_to_nothing_names_nobody,
            keys: an_intent_holds_its_key_until_it_is_voided,
            keys: of_two_holders_at_once_one_gets_the_key,
            limits: an_hour_has_what_its_limit_says,
            limits: an_order_is_counted_once,
            limits: a_limit_is_exact_under_load,
            limits: counts_and_pauses_outlive_a_restart,
            limits: a_sudden_rise_is_refused_against_the_week_before,
            limits: days_before_the_first_certificate_say_nothing,
            limits: what_was_accepted_is_usual_in_the_hour_of_the_word,
            limits: a_pause_ends_by_a_word_and_not_by_itself,
            limits: a_pause_ends_with_the_answer_of_its_order_or_not_at_all,
            limits: after_a_pause_an_hour_is_measured_by_what_was_accepted,
            receipts: the_first_receipt_of_a_revocation_stays,
            receipts: every_hold_has_its_own_receipt,
            awaited: what_was_revoked_is_awaited_until_its_receipt,
            awaited: what_was_released_or_has_ended_is_awaited_no_more,
            awaited: a_sight_stays_with_the_entry_that_was_seen,
            awaited: a_sight_counts_from_the_first_of_an_unbroken_row,
            awaited: a_serial_is_drawn_by_lot,
            shards: places_are_given_away_once_and_in_time,
            shards: a_certificate_stands_on_the_list_of_its_shard,
            shards: a_shard_with_its_last_list_takes_no_certificate,
            shards: what_a_restored_database_lost_stands_on_every_shard,
            shards: a_shard_ends_with_its_issuer_or_with_what_is_in_it,
            trials: one_trial_of_an_issuer_begins_in_each_period,
            trials: a_trial_tells_what_became_of_it,
            canaries: the_last_sample_of_a_version_and_kind_is_kept,
            recovery: a_restart_voids_what_it_finds_open,
            recovery: a_voided_intent_never_yields_a_certificate,
            recovery: a_caller_that_voids_its_intent_keeps_the_order,
            recovery: a_voided_order_goes_on_with_another_serial,
            recovery: what_became_of_each_intent_is_told_in_order,
            recovery: signing_that_fails_for_a_minute_is_voided,
            recovery: an_ended_lease_voids_the_intents_of_its_node,
            recovery: the_later_of_two_live_starts_has_the_name_for_good,
            statuses: a_revocation_stands_in_log_state_and_audit,
            statuses: revoking_twice_changes_nothing,
            statuses: a_hold_is_released_and_a_revocation_is_not,
            statuses: a_corrected_reason_keeps_the_revocation_time,
            statuses: activation_ends_the_hold_of_class_one,
            statuses: no_caller_sets_the_revocation_time,
            statuses: log_states_and_lists_agree_at_every_position,
            jobs: a_job_revokes_its_frozen_selection_in_waves,
            job_receipts: receipts_of_a_job_are_counted_as_they_come,
            job_receipts: what_a_job_did_and_nobody_awaits_is_told_apart,
            job_receipts: what_of_a_job_was_seen_before_the_log_was_read_is_not_left_out,
            jobs: the_hash_of_a_job_is_that_of_its_list,
            jobs: a_selection_is_what_every_part_of_it_says,
            selections: holders_and_organisations_are_selected,
            jobs: a_list_tells_what_it_names_that_is_not_here,
            jobs: expired_and_revoked_certificates_are_not_selected,
            jobs: a_job_past_the_limit_waits_for_another_hand,
            jobs: a_job_is_made_and_started_by_its_planner_alone,
            jobs: a_job_that_says_nothing_selects_nothing,
            jobs: another_operation_than_the_frozen_one_is_not_started,
            jobs: a_paused_job_revokes_nothing_and_a_cancelled_one_nothing_more,
            jobs: a_restored_job_waits_for_an_operator,
            jobs: a_job_goes_on_where_it_was,
            jobs: a_job_changes_nothing_of_an_issuer_that_has_ended,
            jobs: an_hour_alone_has_what_it_may,
            crls: lists_revoked_serials_in_the_order_of_their_octets,
            crls: an_issuer_ends_when_all_has_expired_or_is_revoked,
            crls: a_last_list_and_the_rest_exclude_each_other,
            crls: numbers_rise_above_the_floor_and_each_other,
            crls: a_list_never_rests_on_less_than_the_last_one,
            crls: a_signed_list_is_the_current_one,
            crls: a_failed_list_spends_its_number,
            crls: writers_go_on_while_a_list_is_read,
            imports: an_import_is_one_act_and_repeatable,
            imports: an_issuer_is_declared_in_the_audit_log_once,
            imports: keeps_another_operators_times_and_bytes,
            imports: refuses_other_bytes_under_a_known_serial,
            imports: an_offline_cas_list_comes_with_its_states,
            imports: the_reference_certificates_come_in_and_one_is_revoked,
            logs: positions_are_dense_and_both_logs_verify,
            logs: log_times_never_run_back,
            logs: a_refused_act_takes_no_position,
            logs: a_smaller_checkpoint_never_follows_a_larger,
            logs: only_the_holder_of_the_lease_stores_checkpoints,
            logs: an_older_database_is_refused_with_both_sizes,
            logs: a_different_history_is_refused,
            logs: an_older_database_takes_back_what_it_lost,
            logs: a_lost_issuer_comes_back_with_its_import_under_a_name_of_its_own,
            management: a_management_certificate_is_recorded_before_and_after_it_is_signed,
            management: a_management_key_and_order_are_used_once,
            management: a_management_intent_that_was_given_up_yields_nothing,
            sealing: a_forgotten_subject_cannot_be_read_and_both_logs_verify,
            sealing: payloads_open_to_what_was_recorded,
            sealing: an_order_that_was_refused_is_forgotten_with_its_person,
            sealing: a_person_is_forgotten_by_any_of_his_names,
            wiring: clients_are_what_the_configuration_says,
            wiring: a_key_names_one_client,
            wiring: a_responder_is_pinned_and_its_requests_are_not_replayed,
            wiring: counts_count,
        }
    };
    ($make:path; $($module:ident: $claim:ident,)*) => {
        $(
            #[test]
            fn $claim() {
                $crate::conformance::$module::$claim(&$make());
            }
        )*
    };
}
