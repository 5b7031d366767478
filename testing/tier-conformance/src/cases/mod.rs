//! The cases, one function each.

mod cancellation;
mod closing;
mod concurrency;
mod contents;
mod damage;
mod lookups;
mod names;
mod removal;
mod restarts;
mod stores;
mod trouble;

use cancellation::{cancelled_loads, cancelled_other_calls, cancelled_stores};
use closing::{
    close_during_calls, closed_tier, more_than_it_holds, reopened_after_close,
    reopened_without_close,
};
use concurrency::{
    calls_in_any_order, readers_during_a_store, readers_during_removals, writers_of_many_names,
    writers_of_one_name,
};
use contents::{
    around_a_page, drawn_lengths, empty_object, one_byte, one_mebibyte, several_pieces,
};
use damage::{
    flipped_bit, flipped_bit_while_closed, garbage, garbage_while_closed, replaced_object,
    replaced_while_closed, truncated_object, truncated_while_closed,
};
use lookups::{
    absent_objects, empty_calls, find_keeps_the_order, find_of_many_keys, load_of_another_stat,
    presence_follows_what_is_stored,
};
use names::{
    bucket_and_key_do_not_run_together, keys_within_keys, letters_that_look_alike, longest_names,
    longest_names_to_escape, odd_buckets, odd_keys,
};
use removal::{
    kind_and_place, listing_in_pages, listing_of_a_prefix, listing_of_no_bucket,
    no_secret_is_shown, removal, removal_of_many, removal_survives_reopening, usage,
};
use restarts::reopened_in_any_order;
use stores::{
    changed_source, failed_store_leaves_what_was_there, second_store_of_a_name,
    second_store_of_other_bytes, source_of_other_bytes, store_after_removal, too_large,
};
use trouble::{
    full_store, slow_store, stopped_during_a_load, stopped_during_a_store, stopped_store,
};

use crate::run::Case;

macro_rules! table {
    (() $($case:ident)*) => {
        /// All cases.
        pub const CASES: &[Case] = &[
            $(Case { name: stringify!($case), run: |subject| Box::pin($case(subject)) }),*
        ];
    };
}

crate::conformance_cases! { [table] () }
