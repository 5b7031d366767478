//! HTTP and the fast lane beside each other, in a size for every run of the tests. Not how long calls
//! take.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::process::Command;

use kvlease_soak::beside::BesideReport;
use support::{ACTOR, daemon_binary, seed};

#[test]
fn every_client_has_its_turn_beside_the_fast_lane_and_no_byte_is_wrong() {
    let seed = seed().to_string();
    let mut command = Command::new(ACTOR);
    command.args(["beside", "--json", "--lane-clients", "16", "--http-clients", "4"]);
    command.args(["--seconds", "6", "--capacity", "48MiB", "--seed", &seed]);
    let output = command.arg("--daemon").arg(daemon_binary()).output().unwrap();
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{complaints}");
    let report: BesideReport = serde_json::from_slice(&output.stdout).unwrap();
    println!("{report}");
    assert_eq!(report.faults(), [""; 0]);
    assert_eq!(report.phases.len(), 4);
    assert_eq!(report.phases[0].load_calls_per_s, 0.0);
}
