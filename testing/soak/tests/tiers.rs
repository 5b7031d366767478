//! The daemon killed again and again over a tier, in a size for every run of the tests.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use kvlease_soak::tiers::TiersReport;
use support::{report, seed};

/// Report of a campaign without a fault.
fn campaign(tier: &str, kills: u64) -> TiersReport {
    let (seed, kills_text) = (seed(), kills.to_string());
    let dir = ["--dir", env!("CARGO_TARGET_TMPDIR"), "--tier", tier];
    let args = [&["tiers", "--seed", &seed, "--kills", &kills_text][..], &dir[..]].concat();
    let report: TiersReport = report(&args);
    assert_eq!(report.faults(), [""; 0]);
    assert!(report.kills >= kills);
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
    report
}

#[test]
fn what_went_to_the_tier_comes_back_and_what_was_removed_does_not_however_often_it_is_killed() {
    campaign("nvme", 500);
}

#[test]
fn the_same_holds_over_a_shared_store_that_is_stopped_slow_full_killed_or_tampered_with() {
    let report = campaign("valkey", 40);
    assert!(report.troubles > 0, "never happened: trouble of the store");
}
