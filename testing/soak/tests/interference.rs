//! HTTP and the fast lane beside each other, in a size for every run of the tests. Not how long calls
//! take.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use kvlease_soak::interference::InterferenceReport;
use support::{report, seed};

#[test]
fn every_client_has_its_turn_beside_the_fast_lane_and_no_byte_is_wrong() {
    let seed = seed();
    let clients = ["--lane-clients", "16", "--http-clients", "4"];
    let sizes = ["--seconds", "6", "--capacity", "48MiB", "--seed", &seed];
    let report: InterferenceReport = report(&[&["beside"], &clients[..], &sizes[..]].concat());
    assert_eq!(report.faults(), [""; 0]);
    assert_eq!(report.phases.len(), 4);
    assert_eq!(report.phases[0].load_calls_per_s, 0.0);
}
