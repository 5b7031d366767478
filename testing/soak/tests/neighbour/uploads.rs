//! A neighbour that removes without end.

use std::{
    thread,
    time::{Duration, Instant},
};

use crate::{
    process::Neighbour,
    users,
    victim::{FOREIGN_BUCKET, Victim},
};

/// Time under attack.
const UNDER_ATTACK: Duration = Duration::from_secs(6);
const PAUSE: Duration = Duration::from_millis(100);

fn serve_under(victim: &Victim) {
    let started = Instant::now();
    while started.elapsed() < UNDER_ATTACK {
        victim.assert_serves();
        thread::sleep(PAUSE);
    }
    victim.assert_good();
    victim.assert_memory();
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
