//! A soak of a size for every run of the tests: long enough that clients are killed in the middle
//! of uploads and of reads, and that everything there is to do was done.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::process::Command;

use kvlease_soak::soak::{Count, Report};
use support::{ACTOR, daemon_binary, seed};

const SECONDS: &str = "20";

/// What may well not happen: an upload of a killed writer that is still there, and replies that
/// come about only if a client was too slow or all of the arena was leased at the same time.
const RARE: [Count; 4] = [Count::Busy, Count::NoSpace, Count::RenewedLate, Count::FilledLate];

/// What must not happen.
const FAULTS: [Count; 3] = [Count::WrongBytes, Count::WrongVersions, Count::Errors];

fn soak(eviction: &str) {
    let seed = seed().to_string();
    let mut command = Command::new(ACTOR);
    command.args(["--json", "--kill-clients", "--seconds", SECONDS, "--seed", &seed]);
    command.args(["--writers", "3", "--readers", "4", "--capacity", "96MiB", "--lane", "50"]);
    command.args(["--eviction", eviction]).arg("--daemon").arg(daemon_binary());
    let output = command.output().unwrap();
    let (said, complaints) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let report: Report =
        serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}{complaints}"));
    println!("{report}");
    assert!(output.status.success(), "{complaints}");
    assert_eq!(report.faults(), [""; 0], "{complaints}");
    assert_eq!(report.eviction, eviction);
    assert!(report.working_set >= 4 * report.capacity);
    for count in Count::ALL {
        if !RARE.contains(count) && !FAULTS.contains(count) {
            assert!(report.count(*count) > 0, "never happened: {}", count.about());
        }
    }
    for (what, count) in [
        ("a kill in the middle of an upload", report.kills_in_put),
        ("a kill in the middle of a read", report.kills_in_read),
        ("an eviction", report.evictions),
        ("an expired lease", report.leases_expired),
        ("a lease request that waited", report.lease_waits),
        ("a discarded upload", report.writes_aborted),
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
