//! A client that writes garbage all over the arena, in a size for every run of the tests.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use kvlease_soak::scribble::ScribbleReport;
use support::{report, seed};

/// Events that must have happened for the campaign to mean anything.
const DONE: [&str; 9] = [
    "bits flipped",
    "misses",
    "objects copied over others",
    "objects found corrupt",
    "objects found in the index",
    "objects read, every byte right",
    "objects stored",
    "pieces of garbage written",
    "removals",
];

#[test]
fn no_byte_is_wrong_that_a_client_returns_however_another_one_scribbles_on_the_arena() {
    let sizes = ["--seconds", "3", "--capacity", "32MiB"];
    let report: ScribbleReport = report(&[&["scribble", "--seed", &seed()], &sizes[..]].concat());
    assert_eq!(report.faults(), [""; 0]);
    for what in DONE {
        assert!(report.count(what) > 0, "never happened: {what}");
    }
    assert!(report.found_corrupt > 0, "the daemon found nothing of it");
}
