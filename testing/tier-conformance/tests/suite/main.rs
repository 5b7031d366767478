//! The suite itself: a right tier passes it, and each wrong one fails at the case that says why.

#![expect(clippy::unwrap_used, reason = "an error here is the failure of a test")]

mod faults;
mod memory_store;
mod mutant;

mod right {
    kvlease_tier_conformance::conformance_tests!(super::memory_store::MemoryStore::default);
}

mod right_without_presence {
    kvlease_tier_conformance::conformance_tests!(
        super::memory_store::MemoryStore::without_presence
    );
}

#[test]
#[should_panic(expected = "the store cannot be slowed down: list `slow_store` with the reason")]
fn a_case_that_is_not_possible_is_listed() {
    use kvlease_tier_conformance::{CASES, run};
    run(CASES, "slow_store", memory_store::MemoryStore::without_hooks, &[]);
}

#[test]
fn a_case_that_is_listed_with_a_reason_may_be_impossible() {
    use kvlease_tier_conformance::{CASES, run};
    let listed = [("slow_store", "nothing delays it")];
    run(CASES, "slow_store", memory_store::MemoryStore::without_hooks, &listed);
}

#[test]
#[should_panic(expected = "`slow_store` is possible: take it off the list")]
fn a_case_that_is_possible_is_not_listed() {
    use kvlease_tier_conformance::{CASES, run};
    run(CASES, "slow_store", memory_store::MemoryStore::default, &[("slow_store", "none")]);
}

#[test]
#[should_panic(expected = "there is no case `slow`")]
fn the_list_has_no_other_names() {
    use kvlease_tier_conformance::{CASES, run};
    run(CASES, "one_byte", memory_store::MemoryStore::default, &[("slow", "none")]);
}
