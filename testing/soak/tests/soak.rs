//! A soak of a size for every run of the tests: long enough that clients are killed in the middle
//! of uploads and of reads, and that everything there is to do was done.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use kvlease_soak::{Count, soak::Report};
use support::{report, seed};

const SECONDS: &str = "20";

/// Events that may well not happen: an upload of a killed writer that is still there, and replies
/// that come about only if a client was too slow or all of the arena was leased at the same time.
const RARE: [Count; 4] = [Count::Busy, Count::NoSpace, Count::RenewedLate, Count::FilledLate];

/// Events that must not happen.
const FAULTS: [Count; 3] = [Count::WrongBytes, Count::WrongVersions, Count::Errors];

fn soak(eviction: &str) {
    let seed = seed();
    let who = ["--writers", "3", "--readers", "4", "--lane", "50", "--kill-clients"];
    let how = ["--seconds", SECONDS, "--capacity", "96MiB", "--eviction", eviction];
    let report: Report = report(&[&who[..], &how[..], &["--seed", &seed]].concat());
    assert_eq!(report.faults(), [""; 0]);
    assert_eq!(report.eviction, eviction);
    assert!(report.working_set >= 4 * report.capacity);
    for count in Count::ALL {
        if !RARE.contains(count) && !FAULTS.contains(count) {
            assert!(report.count(*count) > 0, "never happened: {}", count.about());
        }
    }
    for (what, count) in [
        ("a kill in the middle of a store", report.kills_in_put),
        ("a kill in the middle of a read", report.kills_in_read),
        ("an eviction", report.evictions),
        ("an expired lease", report.leases_expired),
        ("a lease request that waited", report.lease_waits),
        ("a discarded pending object", report.writes_aborted),
    ] {
        assert!(count > 0, "never happened: {what}");
    }
}

#[test]
fn no_byte_is_wrong_and_none_leaks_while_s3_fifo_evicts_and_clients_are_killed() {
    soak("s3-fifo");
}

#[test]
fn no_byte_is_wrong_and_none_leaks_while_lru_evicts_and_clients_are_killed() {
    soak("lru");
}
