//! The daemon killed 200 times, in a size for every run of the tests. Not how long it takes to come
//! back.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::process::Command;

use kvlease_soak::{
    restarts::{RestartsReport, ScaleReport},
    soak::Count,
};
use support::{ACTOR, daemon_binary, seed};

const KILLS: u64 = 200;

/// What has to have happened for the campaign to mean anything.
const DONE: [Count; 16] = [
    Count::Stored,
    Count::StoredChunked,
    Count::StoredLane,
    Count::GivenUp,
    Count::Exists,
    Count::Removed,
    Count::Leased,
    Count::LeasedLane,
    Count::Missed,
    Count::Copied,
    Count::CopiedAgain,
    Count::Released,
    Count::Abandoned,
    Count::Fetched,
    Count::BytesStored,
    Count::BytesVerified,
];

#[test]
fn what_was_stored_is_there_and_what_was_removed_is_not_however_often_the_daemon_is_killed() {
    let (seed, kills) = (seed().to_string(), KILLS.to_string());
    let mut command = Command::new(ACTOR);
    command.args(["restarts", "--json", "--kills", &kills, "--seed", &seed]);
    command.args(["--capacity", "128MiB"]).arg("--daemon").arg(daemon_binary());
    let output = command.output().unwrap();
    let (said, complaints) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let report: RestartsReport =
        serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}{complaints}"));
    println!("{report}");
    assert!(output.status.success(), "{complaints}");
    assert_eq!(report.faults(), [""; 0], "{complaints}");
    assert_eq!(report.kills, KILLS);
    for count in DONE {
        assert!(report.count(count) > 0, "never happened: {}", count.about());
    }
    for (what, count) in [
        ("a kill within moments of a start", report.kills_early),
        ("a kill with known evictions", report.kills_held),
        ("clients that went on before every key was looked at", report.kills_unaudited),
        ("an object that was taken over", report.restored),
        ("an eviction", report.evictions),
        ("a store that was cut off", report.stores_cut_off.iter().sum()),
    ] {
        assert!(count > 0, "never happened: {what}");
    }
}

#[test]
fn as_many_objects_are_there_after_a_kill_as_before() {
    let mut command = Command::new(ACTOR);
    command.args(["restarts", "--json", "--objects", "100,1000", "--object-size", "5000"]);
    let output = command.arg("--daemon").arg(daemon_binary()).output().unwrap();
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{complaints}");
    let report: ScaleReport = serde_json::from_slice(&output.stdout).unwrap();
    println!("{report}");
    assert_eq!(report.faults(), [""; 0]);
    assert_eq!(report.scales.iter().map(|scale| scale.objects).collect::<Vec<_>>(), [100, 1000]);
}
