//! Planted faults, each with the cases that catch it.

use std::{collections::BTreeSet, panic};

use kvlease_tier_conformance::{CASES, run};

use crate::{memory_store::MemoryStore, mutant::Fault};

macro_rules! faults {
    ($($test:ident: $fault:ident => $($case:ident)+;)*) => {
        const CATCHERS: &[&str] = &[$($(stringify!($case)),+),*];

        $(
            #[test]
            fn $test() {
                for case in [$(stringify!($case)),+] {
                    caught(Fault::$fault, case);
                }
            }
        )*
    };
}

faults! {
    a_wrong_last_byte: WrongLastByte => one_byte around_a_page one_mebibyte drawn_lengths;
    an_empty_object_that_is_absent: EmptyIsAbsent => empty_object;
    bytes_of_another_object: BytesOfAnother => odd_keys odd_buckets writers_of_many_names;
    a_lost_last_piece: LosesLastPiece => several_pieces;
    unverified_bytes: CompletesUnverified => flipped_bit truncated_object replaced_object garbage
        flipped_bit_while_closed truncated_while_closed replaced_while_closed garbage_while_closed;
    another_stat: IgnoresExpectedStat =>
        load_of_another_stat store_after_removal readers_during_removals;
    a_forgotten_removal: ForgetsRemoval => removal listing_of_no_bucket;
    a_removal_of_the_first_alone: RemovesFirstOnly => removal_of_many;
    a_removal_that_ends_with_the_tier: RemovalEndsWithTheTier =>
        removal_survives_reopening reopened_in_any_order;
    an_order_reversed: FindReversed => find_keeps_the_order find_of_many_keys;
    repeats_that_are_forgotten: FindForgetsRepeats => find_keeps_the_order;
    a_look_up_by_prefix: FindByPrefix => absent_objects;
    failure_without_keys: FailsOnEmpty => empty_calls;
    presence_that_denies: PresenceDenies => presence_follows_what_is_stored one_byte;
    presence_that_remembers: PresenceRemembers => presence_follows_what_is_stored removal;
    any_source: TakesAnySource => source_of_other_bytes;
    a_changed_source_that_is_kept: KeepsChangedSource => changed_source source_of_other_bytes;
    a_removal_before_the_store: RemovesBeforeStore => failed_store_leaves_what_was_there;
    early_publication: PublishesEarly =>
        readers_during_a_store cancelled_stores stopped_during_a_store;
    presence_of_other_bytes: PresentForOtherBytes => second_store_of_other_bytes;
    a_second_store_that_fails: FailsWhenPresent => second_store_of_a_name;
    one_store_at_a_time: OneStoreAtATime =>
        writers_of_one_name writers_of_many_names calls_in_any_order;
    a_listing_that_repeats: ListRepeats => listing_in_pages;
    a_listing_without_its_prefix: ListIgnoresPrefix => listing_of_a_prefix;
    a_listing_of_another_bucket: ListIgnoresBucket => listing_of_no_bucket;
    destinations_that_are_kept: KeepsDestinations => cancelled_loads;
    objects_lost_by_a_cancelled_call: ClearsWhenCancelled => cancelled_other_calls;
    an_object_that_is_too_large: TakesTooLarge => too_large;
    nothing_counted: CountsNothing => usage;
    capacity_that_is_ignored: IgnoresCapacity => more_than_it_holds;
    work_after_the_close: WorksAfterClose => closed_tier;
    objects_lost_at_the_close: LosesAtClose => reopened_after_close close_during_calls;
    objects_lost_without_a_close: LosesWithoutClose =>
        reopened_without_close reopened_in_any_order;
    a_poll_that_blocks: BlocksItsCaller => slow_store;
    absence_of_a_stopped_store: AbsentWhenStopped => stopped_store stopped_during_a_load;
    a_tier_blamed_for_an_object: BlamesTheTier => flipped_bit;
    a_corrupt_object_that_is_kept: KeepsCorrupt => flipped_bit;
    acknowledgement_without_room: AcknowledgesWhenFull => full_store;
    names_that_are_joined: JoinsNames => bucket_and_key_do_not_run_together;
    names_without_case: FoldsCase => letters_that_look_alike;
    names_that_end_at_nul: EndsNamesAtNul => odd_keys odd_buckets;
    names_without_slashes: TrimsSlashes => keys_within_keys;
    names_that_are_cut: CutsLongNames => longest_names longest_names_to_escape;
    an_empty_place: EmptyPlace => kind_and_place;
    credentials_that_are_shown: ShowsSecret => no_secret_is_shown;
}

#[test]
fn every_case_catches_a_fault() {
    let catchers: BTreeSet<_> = CATCHERS.iter().copied().collect();
    let cases: BTreeSet<_> = CASES.iter().map(|case| case.name).collect();
    assert_eq!(catchers, cases);
}

/// Fails unless the case fails. That it is possible and passes without the fault, the tests of the
/// right tier say.
fn caught(fault: Fault, case: &str) {
    let ended = panic::catch_unwind(|| run(CASES, case, || MemoryStore::with_fault(fault), &[]));
    assert!(ended.is_err(), "`{case}` does not catch {fault:?}");
}
