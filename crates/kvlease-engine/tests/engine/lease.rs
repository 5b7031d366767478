//! Leases from their grant to their delivery, and those who wait for one.

use std::{
    future::Future,
    pin::pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use kvlease_testing::bytes;
use kvlease_types::Miss;

use crate::fixture::{
    CALLER, GRACE, Place, TTL, begin, lease, remove, renew, run, stats, store, until,
};

#[test]
fn a_lease_that_is_not_delivered_ends_with_its_guard() {
    let place = Place::new();
    let engine = place.engine(1);
    store(&engine, "k", b"abc").unwrap();
    let guard = run(lease(&engine, "k", None, TTL)).unwrap();
    let id = guard.first().unwrap().id;
    assert_eq!(stats(&engine).leases_live, 1);
    drop(guard);
    assert_eq!(stats(&engine).leases_live, 0);
    assert_eq!(engine.release(&CALLER, &[id])[0], None);
}

#[test]
fn a_delivered_lease_lives_until_it_is_released() {
    let place = Place::new();
    let engine = place.engine(1);
    let sent = bytes(10_000, 1);
    store(&engine, "k", &sent).unwrap();
    let guard = run(lease(&engine, "k", None, TTL)).unwrap();
    let lease = guard.first().unwrap().clone();
    guard.deliver();
    assert_eq!(stats(&engine).leases_live, 1);
    assert!(place.read(&lease.extents) == sent);
    assert!(engine.release(&CALLER, &[lease.id])[0].is_some());
    assert_eq!(engine.release(&CALLER, &[lease.id])[0], None, "once");
    assert_eq!(stats(&engine).leases_live, 0);
}

#[test]
fn a_guard_may_outlive_the_engine() {
    let place = Place::new();
    let engine = place.engine(1);
    store(&engine, "k", b"abc").unwrap();
    let guard = run(lease(&engine, "k", None, TTL)).unwrap();
    let put = begin(&engine, "other", Some(10)).unwrap();
    drop(engine);
    drop((guard, put));
}

#[test]
fn a_delivered_lease_expires_and_its_extents_rest_for_the_grace() {
    let place = Place::new();
    let engine = place.engine(1);
    let whole = bytes(6 << 20, 1);
    store(&engine, "k", &whole).unwrap();
    let ttl = Duration::from_millis(50);
    let guard = run(lease(&engine, "k", Some(ttl), TTL)).unwrap();
    let lease = guard.first().unwrap().clone();
    guard.deliver();
    until("the expiry", || stats(&engine).totals.expired_unreleased == 1);
    assert_eq!(renew(&engine, lease.id, None), None, "an expired lease is not revived");
    let early = store(&engine, "other", &whole).is_ok();
    let over = kvlease_sys::boot_time() > lease.deadline.after(GRACE);
    assert!(!early || over, "no reuse within the grace");
    until("room", || {
        store(&engine, "other", &whole).is_ok() || engine.stat("b", "other").is_some()
    });
    assert!(kvlease_sys::boot_time() > lease.deadline.after(GRACE));
}

#[test]
fn a_renewed_lease_lives_on() {
    let place = Place::new();
    let engine = place.engine(1);
    store(&engine, "k", b"abc").unwrap();
    let guard = run(lease(&engine, "k", Some(Duration::from_secs(5)), TTL)).unwrap();
    let id = guard.first().unwrap().id;
    guard.deliver();
    assert_eq!(renew(&engine, id, Some(Duration::from_secs(3600))), Some(TTL), "within the cap");
    assert!(engine.release(&CALLER, &[id])[0].is_some());
    assert_eq!(renew(&engine, id, None), None);
}

#[test]
fn a_wait_that_is_given_up_leaves_no_lease() {
    let place = Place::new();
    let engine = place.engine(1);
    let put = begin(&engine, "k", Some(0)).unwrap();
    for _ in 0..10 {
        let gone = run(async {
            let wait = lease(&engine, "k", None, TTL);
            tokio::time::timeout(Duration::from_millis(1), wait).await
        });
        assert!(gone.is_err(), "it still waits when it is dropped");
    }
    put.seal().unwrap();
    let stats = stats(&engine);
    assert_eq!((stats.leases_live, stats.totals.granted), (0, 0));
}

#[test]
fn a_wait_that_ended_and_is_dropped_unseen_leaves_no_lease() {
    let place = Place::new();
    let engine = place.engine(1);
    let put = begin(&engine, "k", Some(0)).unwrap();
    run(async {
        let mut wait = pin!(lease(&engine, "k", None, TTL));
        let mut cx = Context::from_waker(Waker::noop());
        assert!(wait.as_mut().poll(&mut cx).is_pending());
        put.seal().unwrap();
        let Poll::Ready(Ok(guard)) = wait.as_mut().poll(&mut cx) else { panic!("it was sealed") };
        assert_eq!(stats(&engine).leases_live, 1);
        drop(guard);
    });
    assert_eq!(stats(&engine).leases_live, 0);
}

#[test]
fn a_wait_ends_with_the_write_either_way() {
    let place = Place::new();
    let engine = place.engine(1);
    for seals in [true, false] {
        let put = begin(&engine, "k", Some(0)).unwrap();
        let answer = run(async {
            let writer = async {
                tokio::time::sleep(Duration::from_millis(20)).await;
                if seals { put.seal().map(drop).unwrap() } else { drop(put) }
            };
            tokio::join!(lease(&engine, "k", None, TTL), writer).0
        });
        match answer {
            Ok(guard) => assert!(seals && guard.first().unwrap().len.bytes() == 0),
            Err(refused) => assert!(!seals && refused == Miss::Absent),
        }
        let _ = remove(&engine, "k");
    }
    assert_eq!(engine.stats().counters.lease_waits, 2);
}

#[test]
fn a_wait_ends_in_time_when_the_writer_stalls() {
    let place = Place::new();
    let engine = place.engine(1);
    let _put = begin(&engine, "k", Some(1)).unwrap();
    for wait in [Duration::ZERO, Duration::from_millis(30)] {
        let refused = run(lease(&engine, "k", None, wait)).unwrap_err();
        assert_eq!(refused, Miss::Pending);
    }
    let refused = run(lease(&engine, "absent", None, TTL)).unwrap_err();
    assert!(refused == Miss::Absent, "at once");
}
