//! The list of cases, and the macro that makes a test of each.

/// Makes one test of each case for a store.
///
/// Takes an expression that makes a [`Store`](crate::Store), called once a case within a runtime,
/// and the cases that the store cannot do, each with the reason.
#[macro_export]
macro_rules! conformance_tests {
    ($make:expr $(, $case:ident: $reason:literal)* $(,)?) => {
        const NOT_POSSIBLE: &[(&str, &str)] = &[$((stringify!($case), $reason)),*];

        $crate::conformance_cases! { [$crate::conformance_test] ($make) }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! conformance_test {
    (($make:expr) $($case:ident)*) => {
        $(
            #[test]
            fn $case() {
                $crate::run($crate::CASES, stringify!($case), $make, NOT_POSSIBLE);
            }
        )*
    };
}

/// Calls a macro with the names of all cases.
#[doc(hidden)]
#[macro_export]
macro_rules! conformance_cases {
    ([$($then:tt)+] $arguments:tt) => {
        $($then)+! {
            $arguments
            empty_object
            one_byte
            around_a_page
            one_mebibyte
            several_pieces
            drawn_lengths
            longest_names
            longest_names_to_escape
            odd_keys
            odd_buckets
            keys_within_keys
            bucket_and_key_do_not_run_together
            letters_that_look_alike
            absent_objects
            presence_follows_what_is_stored
            find_keeps_the_order
            find_of_many_keys
            empty_calls
            second_store_of_a_name
            second_store_of_other_bytes
            load_of_another_stat
            changed_source
            source_of_other_bytes
            failed_store_leaves_what_was_there
            too_large
            removal
            removal_of_many
            removal_survives_reopening
            store_after_removal
            listing_of_a_prefix
            listing_in_pages
            listing_of_no_bucket
            usage
            kind_and_place
            no_secret_is_shown
            writers_of_one_name
            writers_of_many_names
            readers_during_a_store
            readers_during_removals
            calls_in_any_order
            cancelled_loads
            cancelled_stores
            cancelled_other_calls
            closed_tier
            close_during_calls
            reopened_after_close
            reopened_without_close
            reopened_in_any_order
            more_than_it_holds
            flipped_bit
            truncated_object
            replaced_object
            garbage
            flipped_bit_while_closed
            truncated_while_closed
            replaced_while_closed
            garbage_while_closed
            stopped_store
            stopped_during_a_load
            stopped_during_a_store
            slow_store
            full_store
        }
    };
}
