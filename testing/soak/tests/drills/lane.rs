//! Clients of the fast lane that are killed in the middle of what they do.

use kvlease_harness::await_that;
use kvlease_soak::Way;

use crate::{
    fixture::{BUCKET, assert_all_is_free, daemon, get, put, remove},
    process::DrillProcess,
};

const LEN: usize = (3 << 20) + 17;

#[test]
fn a_writer_that_is_killed_in_a_fill_leaves_nothing_behind() {
    let daemon = daemon("16MiB", &[]);
    let free = daemon.stats().unwrap().free;
    for round in 0..5 {
        let writer = DrillProcess::store_half(&daemon, Way::Lane, "cut", LEN);
        assert_eq!(daemon.stats().unwrap().writes, 1);
        assert_eq!(get(&daemon, "cut"), 404, "a pending object is invisible");
        assert_eq!(put(&daemon, "cut", 1024), 409, "its key is taken");
        drop(writer);
        // Far sooner than the reservation would have ended by itself: that is one of 30 seconds.
        await_that("the object is discarded", || daemon.stats().unwrap().writes == 0);
        let stats = daemon.stats().unwrap();
        assert_eq!((stats.free, stats.writing, stats.objects), (free, 0, 0));
        assert_eq!(get(&daemon, "cut"), 404);
        assert_eq!(put(&daemon, "cut", LEN), 200, "round {round}");
        assert_eq!(get(&daemon, "cut"), 200);
        daemon.remove_all(BUCKET).unwrap();
    }
    assert_all_is_free(&daemon);
}

#[test]
fn a_reader_that_is_killed_in_a_read_leaves_no_lease_however_long_it_was() {
    let daemon = daemon("16MiB", &["lease.ttl_max_s=3600"]);
    for round in 0..5 {
        assert_eq!(put(&daemon, "read", LEN), 200);
        let reader = |_| DrillProcess::hold(&daemon, Way::Lane, "read", "3600");
        let readers: Vec<_> = (0..3).map(reader).collect();
        assert_eq!(daemon.stats().unwrap().leases, 3);
        assert_eq!(remove(&daemon, "read"), 200);
        assert_eq!(put(&daemon, "whole", 15 << 20), 507, "its bytes are being read");
        drop(readers);
        await_that("the leases are gone", || daemon.stats().unwrap().leases == 0);
        assert_eq!(put(&daemon, "whole", 15 << 20), 200, "round {round}");
        daemon.remove_all(BUCKET).unwrap();
    }
    assert_eq!(daemon.stats().unwrap().leases_expired, 0);
    assert_all_is_free(&daemon);
}
