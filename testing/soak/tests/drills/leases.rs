//! Clients that keep what they leased.

use std::time::{Duration, Instant};

use kvlease_harness::{Daemon, Payload, SOON, await_that, object, until};

use crate::fixture::{
    BUCKET, assert_all_is_free, daemon, get, lease, lease_settings, put, release, remove,
};

const MIB: usize = 1 << 20;

fn small_daemon(ttl_max_s: &str, grace_s: &str) -> Daemon {
    let settings = lease_settings(ttl_max_s, grace_s);
    daemon("16MiB", &settings.each_ref().map(String::as_str))
}

#[test]
fn a_client_that_never_releases_holds_only_its_own_space_and_only_until_deadline_and_grace() {
    let (ttl, grace) = (Duration::from_secs(3), Duration::from_secs(2));
    let daemon = small_daemon("3", "2");
    for key in ["held 0", "held 1", "held 2"] {
        assert_eq!(put(&daemon, key, 4 * MIB), 200);
    }
    let asked = Instant::now();
    for key in ["held 0", "held 1", "held 2"] {
        assert_eq!(lease(&daemon, key, "ttl_s=3").0, 200);
    }
    for turn in 0..20 {
        assert_eq!(put(&daemon, &format!("other {turn}"), MIB), 200, "room is left");
    }
    let expired = daemon.stats().unwrap().leases_expired;
    assert!(expired == 0 || asked.elapsed() >= ttl, "the leases are not over");
    // Removed, so that their space is free as soon as no client may read it.
    for key in ["held 0", "held 1", "held 2"] {
        assert_eq!(remove(&daemon, key), 200);
        assert_eq!(get(&daemon, key), 404);
    }
    let reused = until(SOON, || (put(&daemon, "large", 12 * MIB) == 200).then(Instant::now));
    let reused = reused.expect("the space is free after deadline and grace");
    assert!(reused - asked >= ttl + grace, "reused while it may have been read");
    assert_eq!(daemon.stats().unwrap().leases_expired, 3);
    assert_eq!(daemon.metric("kvlease_leases_expired_unreleased_total").unwrap(), 3.0);
    daemon.remove_all(BUCKET).unwrap();
    assert_all_is_free(&daemon);
}

#[test]
fn a_put_is_refused_when_only_leased_objects_are_left_and_the_connection_goes_on() {
    let daemon = small_daemon("300", "10");
    let mut leases = Vec::new();
    for turn in 0..4 {
        let key = format!("held {turn}");
        assert_eq!(put(&daemon, &key, 4 * MIB), 200);
        leases.push(lease(&daemon, &key, "ttl_s=300").1);
    }
    let mut connection = daemon.connect().unwrap();
    let (path, bytes) = (object(BUCKET, "late"), Payload::new("late", 1, 3 * MIB + 5).bytes());
    for _ in 0..3 {
        let refused = connection.put(&path, &bytes);
        assert_eq!(refused.status, 507, "{}", refused.text());
        assert!(refused.header("retry-after").is_some());
        assert_eq!(connection.call("GET", &path).status, 404);
    }
    connection.begin_chunked_put(&path);
    connection.send_chunk(&bytes);
    connection.send("0\r\n\r\n");
    assert_eq!(connection.reply().status, 507);
    release(&daemon, &leases[0]);
    assert_eq!(connection.put(&path, &bytes).status, 200);
    assert_eq!(get(&daemon, "late"), 200);
    assert_eq!(get(&daemon, "held 0"), 404, "the one that was released made room");
    assert_eq!(get(&daemon, "held 1"), 200);
    for id in &leases[1..] {
        release(&daemon, id);
    }
    daemon.remove_all(BUCKET).unwrap();
    assert_all_is_free(&daemon);
}

#[test]
fn a_lease_that_never_reached_its_client_is_given_back() {
    let daemon = small_daemon("300", "10");
    assert_eq!(put(&daemon, "object", MIB), 200);
    for _ in 0..50 {
        let mut connection = daemon.connect().unwrap();
        connection.try_send_head("GET", &object(BUCKET, "object"), 0).unwrap();
        // Gone before the first byte is read.
        drop(connection);
    }
    await_that("no read holds its object any more", || daemon.stats().unwrap().leases == 0);
    daemon.remove_all(BUCKET).unwrap();
    assert_all_is_free(&daemon);
}
