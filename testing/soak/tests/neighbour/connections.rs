//! A neighbour that takes every connection that there is, and stalls.

use kvlease_harness::{await_that, object};

use crate::{
    process::Neighbour,
    users,
    victim::{BUCKET, CONNECTIONS, FOREIGN_BUCKET, Victim, good},
};

/// Objects of the neighbour: a listing of them is a large answer.
const LISTED: usize = 1000;

/// Memory that the heap may keep once the connections are gone.
const KEPT: u64 = 16 << 20;

/// Rounds of a client's work while all places are taken.
const ROUNDS: usize = 5;

#[test]
fn stalled_connections_keep_neither_clients_nor_health_from_their_answers() {
    if !users::are_two(
        "connections::stalled_connections_keep_neither_clients_nor_health_from_their_answers",
    ) {
        return;
    }
    let mut victim = Victim::new(&["server.connections_max=64"]);
    store_listed(&victim);
    let further = ["--bucket", FOREIGN_BUCKET, "--http", "128", "--lane", "128"];
    let neighbour = Neighbour::attack(victim.attack("stalls", &further));
    for _ in 0..ROUNDS {
        victim.assert_serves();
    }
    victim.assert_good_for_native();
    victim.assert_memory();
    neighbour.end();
    victim.assert_starts_again();
}

/// Stores the objects of the neighbour.
fn store_listed(victim: &Victim) {
    let mut wire = victim.daemon.connect().unwrap();
    for number in 0..LISTED {
        let key = format!("{number}-{}", "k".repeat(200));
        let put = wire.try_call("PUT", &object(FOREIGN_BUCKET, &key), &[0x5a; 16]);
        assert_eq!(put.unwrap().status, 200);
    }
}

#[test]
fn no_kind_of_stalled_connection_takes_more_memory_than_all_have_and_it_is_given_back() {
    if !users::are_two(
        "connections::no_kind_of_stalled_connection_takes_more_memory_than_all_have_and_it_is_given_back",
    ) {
        return;
    }
    let victim = Victim::new(&[]);
    store_listed(&victim);
    victim.assert_serves();
    let before = victim.daemon.memory_anonymous().unwrap();
    for kind in ["silent", "half", "unread"] {
        let counts = ["--http", "200", "--lane", "120", "--kind", kind];
        let further = [&["--bucket", FOREIGN_BUCKET], &counts[..]].concat();
        let neighbour = Neighbour::attack(victim.attack("stalls", &further));
        victim.assert_serves();
        let taken = victim.daemon.memory_anonymous().unwrap().saturating_sub(before);
        println!("{kind}: {taken} of {CONNECTIONS}");
        assert!(taken <= CONNECTIONS, "beyond the budget, kind=`{kind}` taken=`{taken}`");
        neighbour.end();
        await_that("the memory is given back", || {
            victim.daemon.memory_anonymous().unwrap().saturating_sub(before) <= KEPT
        });
    }
    victim.assert_memory();
}

#[test]
fn all_attacks_at_once_stop_no_client_within_the_documented_memory() {
    if !users::are_two(
        "connections::all_attacks_at_once_stop_no_client_within_the_documented_memory",
    ) {
        return;
    }
    let mut victim = Victim::new(&[]);
    store_listed(&victim);
    let bucket = ["--bucket", FOREIGN_BUCKET];
    let attack = |name: &str, further: &[&str]| {
        Neighbour::attack(victim.attack(name, &[&bucket, further].concat()))
    };
    let lease = ["--bucket", BUCKET, "--key", &good(0), "--connections", "1"];
    let lease = [&lease[..], &["--lane", "100000", "--http", "100"]].concat();
    let neighbours = [
        Neighbour::attack(victim.attack("lease-flood", &lease)),
        attack("removals", &[]),
        attack("uploads", &["--len", "1000000", "--http", "16", "--lane", "0"]),
        attack("stalls", &["--http", "500", "--lane", "60"]),
    ];
    for _ in 0..ROUNDS {
        victim.assert_serves();
    }
    victim.assert_good_for_native();
    victim.assert_memory();
    neighbours.into_iter().for_each(|neighbour| drop(neighbour.end()));
    victim.assert_starts_again();
}
