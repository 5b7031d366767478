//! Uploads that break off or stall.

use std::{thread, time::Duration};

use kvlease_harness::{Payload, await_that, object};
use kvlease_soak::Way;

use crate::{
    fixture::{BUCKET, assert_all_is_free, daemon, get, lease, put, release},
    process::DrillProcess,
};

const LEN: usize = (3 << 20) + 17;

/// Long enough that the drill can look at a stalled upload first, on a busy machine as well.
const STALL: &str = "server.put_stall_timeout_s=3";

#[test]
fn an_upload_whose_process_is_killed_leaves_nothing_behind() {
    let daemon = daemon("16MiB", &[]);
    let free = daemon.stats().unwrap().free;
    for round in 0..5 {
        let writer = DrillProcess::store_half(&daemon, Way::Http, "cut", LEN);
        await_that("the upload is under way", || daemon.stats().unwrap().writes == 1);
        assert_eq!(get(&daemon, "cut"), 404, "a pending object is invisible");
        assert_eq!(put(&daemon, "cut", 1024), 409, "its key is taken");
        drop(writer);
        await_that("the upload is discarded", || daemon.stats().unwrap().writes == 0);
        let stats = daemon.stats().unwrap();
        assert_eq!((stats.free, stats.writing, stats.objects), (free, 0, 0));
        assert_eq!(get(&daemon, "cut"), 404);
        assert_eq!(daemon.metric("kvlease_writes_in_flight").unwrap(), 0.0);
        assert_eq!(put(&daemon, "cut", LEN), 200, "round {round}");
        assert_eq!(get(&daemon, "cut"), 200);
        daemon.remove_all(BUCKET).unwrap();
    }
    assert_eq!(daemon.metric("kvlease_writes_aborted_total").unwrap(), 5.0);
    assert_all_is_free(&daemon);
}

#[test]
fn a_stalled_upload_is_discarded_and_a_lease_does_not_wait_longer_than_its_client() {
    let daemon = daemon("16MiB", &[STALL]);
    let mut connection = daemon.connect().unwrap();
    connection.begin_put(&object(BUCKET, "stalled"), LEN);
    connection.send(vec![1; LEN / 2]);
    await_that("the upload is under way", || {
        daemon.stats().unwrap().writes == 1
            || daemon.metric("kvlease_writes_aborted_total").unwrap() > 0.0
    });
    let (status, _) = lease(&daemon, "stalled", "timeout_ms=300");
    // A machine that is held up takes it for stalled before this asks.
    let is_over = daemon.metric("kvlease_writes_aborted_total").unwrap() > 0.0;
    assert!(status == 504 || is_over && status == 404, "it is still being written: {status}");
    let reply = connection.reply();
    assert_eq!(reply.status, 408, "{}", reply.text());
    assert_eq!(reply.header("connection"), Some("close"));
    assert_eq!(lease(&daemon, "stalled", "timeout_ms=300").0, 404);
    assert_eq!(put(&daemon, "stalled", LEN), 200);
    assert_eq!(get(&daemon, "stalled"), 200);
    daemon.remove_all(BUCKET).unwrap();
    assert_all_is_free(&daemon);
}

#[test]
fn a_lease_that_waits_is_woken_by_the_end_of_the_upload_whichever_it_is() {
    let daemon = daemon("16MiB", &[]);
    let bytes = Payload::new("slow", 1, LEN).bytes();
    for (complete, expected) in [(true, 200), (false, 404)] {
        let mut connection = daemon.connect().unwrap();
        connection.begin_put(&object(BUCKET, "slow"), LEN);
        connection.send(&bytes[..LEN / 2]);
        await_that("the upload is under way", || daemon.stats().unwrap().writes == 1);
        thread::scope(|scope| {
            let waiting: Vec<_> = (0..4)
                .map(|_| scope.spawn(|| lease(&daemon, "slow", "timeout_ms=60000&ttl_s=60")))
                .collect();
            // They are on their way to the daemon. One that comes late finds the end, whichever it is.
            thread::sleep(Duration::from_millis(300));
            assert!(waiting.iter().all(|waiter| !waiter.is_finished()));
            if complete {
                connection.send(&bytes[LEN / 2..]);
                assert_eq!(connection.reply().status, 200);
            } else {
                drop(connection);
            }
            for waiter in waiting {
                let (status, id) = waiter.join().unwrap();
                assert_eq!(status, expected);
                if status == 200 {
                    release(&daemon, &id);
                }
            }
        });
        daemon.remove_all(BUCKET).unwrap();
    }
    assert_all_is_free(&daemon);
}
