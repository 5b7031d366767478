//! The daemon killed 200 times, in a size for every run of the tests. Not how long it takes to come
//! back.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use kvlease_soak::{
    Count,
    restarts::{RestartsReport, ScaleReport},
};
use support::{report, seed};

const KILLS: u64 = 200;

/// Events that must have happened for the campaign to mean anything.
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
    let (seed, kills) = (seed(), KILLS.to_string());
    let sizes = ["--kills", &kills, "--capacity", "128MiB"];
    let report: RestartsReport = report(&[&["restarts", "--seed", &seed], &sizes[..]].concat());
    assert_eq!(report.faults(), [""; 0]);
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
        ("a read by the index alone", report.index_reads),
        ("one while the daemon was dead or started", report.index_reads_while_dead),
        ("an object that a connector found in the index", report.index_hits_of_connectors),
    ] {
        assert!(count > 0, "never happened: {what}");
    }
}

#[test]
fn as_many_objects_are_there_after_a_kill_as_before() {
    let report: ScaleReport =
        report(&["restarts", "--objects", "100,1000", "--object-size", "5000"]);
    assert_eq!(report.faults(), [""; 0]);
    assert_eq!(report.scales.iter().map(|scale| scale.objects).collect::<Vec<_>>(), [100, 1000]);
}
