//! A neighbour that ends leases of others, and takes more of its own than any client needs.

use kvlease_api::{LeaseReply, RenewReply};
use kvlease_client::Key;
use kvlease_harness::object;

use crate::{
    process::Neighbour,
    users,
    victim::{BUCKET, GOOD, Victim, good},
};

/// Leases that the neighbour asks for: several hundred thousand in all, more than the documented
/// limit.
const LANE: &str = "300000";
const HTTP: &str = "2000";

/// Acquires that were refused since too many leases were live.
const REFUSED: &str = "kvlease_misses_total{reason=\"too_many_leases\"}";

#[test]
fn leases_are_ended_and_extended_by_their_owner_alone() {
    if !users::are_two("leases::leases_are_ended_and_extended_by_their_owner_alone") {
        return;
    }
    let victim = Victim::new(&[]);
    let lease = format!("{}/leases?ttl_s=200", object(BUCKET, &good(0)));
    let lease = |_| victim.daemon.call("POST", &lease, b"").unwrap().json::<LeaseReply>().id;
    let ids: Vec<String> = (0..4).map(lease).collect();
    let opened = victim.connector.open(&Key::new(good(1)).unwrap(), 0).unwrap();
    assert!(opened.is_some() && victim.daemon.stats().unwrap().leases >= 5);
    let leases = victim.daemon.stats().unwrap().leases;
    let further = ["--bucket", BUCKET, "--key", &good(0)];
    let mut neighbour = Neighbour::attack(victim.attack("foreign-leases", &further));
    let got = neighbour.line();
    println!("{got}");
    assert!(got.ends_with(" renewed=0 done=0"), "{got}");
    assert!(victim.daemon.stats().unwrap().leases >= leases, "{got}");
    neighbour.end();
    for id in ids {
        let path = format!("/v1/leases/{id}/renew?ttl_s=200");
        let renewed: RenewReply = victim.daemon.call("POST", &path, b"").unwrap().json();
        assert!(renewed.ttl_s > 100.0, "{renewed:?}");
    }
    drop(opened);
    victim.assert_good();
}

#[test]
fn leases_without_end_on_one_connection_evict_no_object_and_stop_no_client() {
    if !users::are_two(
        "leases::leases_without_end_on_one_connection_evict_no_object_and_stop_no_client",
    ) {
        return;
    }
    let mut victim = Victim::new(&[]);
    let neighbour = flood(&victim, "1");
    victim.assert_good();
    victim.assert_serves();
    victim.assert_memory();
    neighbour.end();
    victim.assert_starts_again();
}

#[test]
fn leases_without_end_on_many_connections_evict_no_object_and_stop_no_client() {
    if !users::are_two(
        "leases::leases_without_end_on_many_connections_evict_no_object_and_stop_no_client",
    ) {
        return;
    }
    let mut victim = Victim::new(&[]);
    let neighbour = flood(&victim, "16");
    // Its connections have the share of its user, and are refused more.
    let refused = victim.daemon.metric(REFUSED).unwrap();
    assert!(refused >= 100_000.0, "{refused}");
    victim.assert_good();
    victim.assert_serves();
    victim.assert_memory();
    neighbour.end();
    victim.assert_starts_again();
}

/// Flood of leases, after which every object is there.
fn flood(victim: &Victim, connections: &str) -> Neighbour {
    let object = ["--bucket", BUCKET, "--key", &good(0)];
    let leases = ["--lane", LANE, "--http", HTTP, "--connections", connections];
    let further = [&object[..], &leases[..]].concat();
    let neighbour = Neighbour::attack(victim.attack("lease-flood", &further));
    let stats = victim.daemon.stats().unwrap();
    assert!(stats.objects >= GOOD as u64 && stats.evictions == 0, "{stats:?}");
    neighbour
}
