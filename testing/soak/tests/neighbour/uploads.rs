//! A neighbour that announces uploads and trickles, reserves all that there is, and removes
//! without end.

use std::{
    thread,
    time::{Duration, Instant},
};

use crate::{
    process::Neighbour,
    users,
    victim::{CAPACITY, FOREIGN_BUCKET, LEN, Victim},
};

/// Time under attack.
const UNDER_ATTACK: Duration = Duration::from_secs(6);
const PAUSE: Duration = Duration::from_millis(100);

/// Bytes that were committed over the fast lane; the neighbour commits none.
const WRITTEN: &str = "kvlease_lane_written_bytes_total";

fn serve_under(victim: &Victim) {
    let (started, before, mut puts) = (Instant::now(), victim.daemon.metric(WRITTEN).unwrap(), 0);
    while started.elapsed() < UNDER_ATTACK {
        victim.assert_serves();
        puts += 1;
        thread::sleep(PAUSE);
    }
    let written = victim.daemon.metric(WRITTEN).unwrap() - before;
    assert_eq!(written, f64::from(puts) * LEN as f64, "each put went over the fast lane");
    victim.assert_good();
    victim.assert_memory();
}

fn trickle(http: &str, lane: &str) {
    let mut victim = Victim::new(&[]);
    let len = (CAPACITY / 2).to_string();
    let further = ["--bucket", FOREIGN_BUCKET, "--len", &len, "--http", http, "--lane", lane];
    let neighbour = Neighbour::attack(victim.attack("uploads", &further));
    serve_under(&victim);
    neighbour.end();
    victim.assert_starts_again();
}

#[test]
fn announced_uploads_that_trickle_evict_nothing_and_stop_no_put() {
    if !users::are_two("uploads::announced_uploads_that_trickle_evict_nothing_and_stop_no_put") {
        return;
    }
    trickle("16", "0");
}

#[test]
fn reservations_without_a_commit_evict_nothing_and_stop_no_put() {
    if !users::are_two("uploads::reservations_without_a_commit_evict_nothing_and_stop_no_put") {
        return;
    }
    trickle("0", "4");
}

#[test]
fn a_flood_of_removals_stops_no_client() {
    if !users::are_two("uploads::a_flood_of_removals_stops_no_client") {
        return;
    }
    let mut victim = Victim::new(&[]);
    let neighbour = Neighbour::attack(victim.attack("removals", &["--bucket", FOREIGN_BUCKET]));
    serve_under(&victim);
    neighbour.end();
    victim.assert_starts_again();
}
