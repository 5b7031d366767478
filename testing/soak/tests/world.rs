//! The world, in a size for every run of the tests.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use kvlease_soak::world::WorldReport;
use support::{report, seed};

/// Events that must have happened for the campaign to mean anything. Strangers need root.
const DONE: [&str; 12] = [
    "bytes verified",
    "calls",
    "ends by SIGKILL",
    "ends by SIGTERM",
    "failures",
    "hits",
    "misses",
    "removals",
    "starts refused",
    "starts that serve",
    "stops by SIGSTOP",
    "stores",
];

#[test]
fn no_byte_is_wrong_and_no_call_hangs_whatever_happens_to_two_daemons_and_all_clients_come_back() {
    let report: WorldReport = report(&["world", "--steps", "120", "--seed", &seed()]);
    assert_eq!(report.faults(), [""; 0]);
    assert_eq!(
        (report.count("steps"), report.count("clients at full function in the calm")),
        (120, 6)
    );
    for what in DONE {
        assert!(report.count(what) > 0, "never happened: {what}");
    }
}
