//! The daemon killed again and again over a tier on disk, in a size for every run of the tests.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use kvlease_soak::tiers::TiersReport;
use support::{report, seed};

const KILLS: u64 = 100;

#[test]
fn what_went_to_the_tier_comes_back_and_what_was_removed_does_not_however_often_it_is_killed() {
    let (seed, kills) = (seed(), KILLS.to_string());
    let dir = ["--dir", env!("CARGO_TARGET_TMPDIR")];
    let args = [&["tiers", "--seed", &seed, "--kills", &kills][..], &dir[..]].concat();
    let report: TiersReport = report(&args);
    assert_eq!(report.faults(), [""; 0]);
    assert!(report.kills >= KILLS);
    for (what, count) in [
        ("a reboot", report.reboots),
        ("a kill at rest", report.rests),
        ("an object that was there at a kill at rest", report.looked),
        ("a store", report.stored),
        ("a read", report.read),
        ("a removal", report.removed),
    ] {
        assert!(count > 0, "never happened: {what}");
    }
}
