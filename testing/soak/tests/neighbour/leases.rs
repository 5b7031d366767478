//! A neighbour that ends leases of others.

use kvlease_api::{LeaseReply, RenewReply};
use kvlease_client::Key;
use kvlease_harness::object;

use crate::{
    process::Neighbour,
    users,
    victim::{BUCKET, Victim, good},
};

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
