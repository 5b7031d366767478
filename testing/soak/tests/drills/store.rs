//! A shared store in trouble below a daemon: memory goes on serving, no wrong byte comes from it, and
//! what it took is there again in the end.

use kvlease_harness::{Daemon, Launch, Payload, Valkey, await_that, daemon_binary};

use crate::fixture::{BUCKET, assert_all_is_free, get, put, remove};

/// Room for seven objects, and for what is kept free.
const CAPACITY: &str = "8MiB";

const LEN: usize = 1 << 20;

/// Objects that are in the store before its trouble begins, more than the arena has room for.
const OBJECTS: usize = 12;

/// Objects that are stored last: they are in memory.
const NEAR: std::ops::Range<usize> = 9..OBJECTS;

fn key(number: usize) -> String {
    format!("k{number}")
}

fn metric(daemon: &Daemon, name: &str) -> f64 {
    daemon.metric(&format!("kvlease_tier_{name}{{tier=\"valkey\"}}")).unwrap()
}

/// A daemon over a store that has taken all objects.
fn filled() -> (Valkey, Daemon) {
    let store = Valkey::start().unwrap();
    let settings = [
        format!("tier.remote.url={}", store.url()),
        "tier.remote.rate_min=none".to_owned(),
        "tier.remote.timeout_s=1".to_owned(),
        "lease.wait_max_s=2".to_owned(),
    ];
    let daemon = Daemon::start(Launch::new(daemon_binary(), CAPACITY).set(settings)).unwrap();
    let failures = || metric(&daemon, "timeouts_total") + metric(&daemon, "errors_total");
    for number in 0..OBJECTS {
        let is_copied = || metric(&daemon, "stores_total") >= number as f64 + 1.0;
        while !is_copied() {
            let before = failures();
            assert!(matches!(put(&daemon, &key(number), LEN), 200 | 409), "{number}");
            await_that("the copy", || is_copied() || failures() > before);
            // A store that is held up for longer than the time limit gets it once more.
            if !is_copied() {
                await_that("a removal", || matches!(remove(&daemon, &key(number)), 200 | 404));
            }
        }
    }
    (store, daemon)
}

/// Requests that need no store: reads from memory, and puts.
fn memory_serves(daemon: &Daemon, name: &str) {
    for number in NEAR {
        assert_eq!(get(daemon, &key(number)), 200, "{number}");
    }
    let (one, len) = (format!("{name} new"), 1000);
    assert_eq!((put(daemon, &one, len), get(daemon, &one)), (200, 200));
}

/// Reads of an object that only the store has: none of them has a wrong byte, see [`get`].
fn far_is_late_or_absent(daemon: &Daemon) {
    for number in 0..3 {
        let status = get(daemon, &key(number));
        assert!(matches!(status, 404 | 504), "{number}: {status}");
    }
}

/// The trouble is over: all that the store took comes back, and nothing is held.
fn all_is_there(daemon: &Daemon, lost: &[usize]) {
    for number in (0..OBJECTS).filter(|number| !lost.contains(number)) {
        await_that("an object of the store", || get(daemon, &key(number)) == 200);
    }
    for number in 0..OBJECTS {
        await_that("a removal", || matches!(remove(daemon, &key(number)), 200 | 404));
    }
    for name in ["stopped", "killed", "full", "changed"] {
        await_that("a removal", || matches!(remove(daemon, &format!("{name} new")), 200 | 404));
    }
    assert_all_is_free(daemon);
    for number in 0..OBJECTS {
        assert_eq!(get(daemon, &key(number)), 404, "{number}");
    }
}

#[test]
fn a_store_that_is_stopped_costs_its_own_objects_for_that_time_and_nothing_else() {
    let (store, daemon) = filled();
    store.stop().unwrap();
    for _ in 0..3 {
        far_is_late_or_absent(&daemon);
        memory_serves(&daemon, "stopped");
        assert_eq!(remove(&daemon, "stopped new"), 503);
    }
    assert!(metric(&daemon, "broken") > 0.0);
    store.resume().unwrap();
    all_is_there(&daemon, &[]);
}

#[test]
fn a_store_that_is_killed_costs_its_own_objects_for_that_time_and_nothing_else() {
    let (mut store, daemon) = filled();
    store.kill().unwrap();
    far_is_late_or_absent(&daemon);
    memory_serves(&daemon, "killed");
    store.start_again().unwrap();
    all_is_there(&daemon, &[]);
}

#[test]
fn a_store_that_is_full_takes_nothing_and_keeps_what_it_took() {
    let (store, daemon) = filled();
    store.set_full(true).unwrap();
    memory_serves(&daemon, "full");
    await_that("the refusal", || metric(&daemon, "unfit_total") > 0.0);
    await_that("an object of the store", || get(&daemon, &key(0)) == 200);
    assert_eq!(metric(&daemon, "broken"), 0.0);
    store.set_full(false).unwrap();
    assert_eq!(put(&daemon, "after", 1000), 200);
    let names = || store.names(&format!("*/{BUCKET}/after")).unwrap();
    await_that("a copy", || !names().is_empty());
    assert_eq!(remove(&daemon, "after"), 200);
    all_is_there(&daemon, &[]);
}

#[test]
fn values_that_were_changed_in_the_store_are_misses_and_can_be_stored_anew() {
    let (store, daemon) = filled();
    let name = |number: usize| format!("kvlease/v1/{BUCKET}/{}", key(number));
    let whole = store.names(&name(0)).unwrap();
    assert_eq!(whole, [name(0)]);
    store.set(&name(0), b"no object").unwrap();
    store.set(&name(1), &Payload::new(&key(1), 1, LEN).bytes()).unwrap();
    // The whole value of another object, of the same length.
    store.copy(&name(3), &name(2)).unwrap();
    for number in 0..3 {
        assert_eq!(get(&daemon, &key(number)), 404, "{number}");
    }
    // A value whose name and length are right, so that only its bytes tell.
    let mut flipped = store.get(&name(3)).unwrap();
    *flipped.last_mut().unwrap() ^= 1;
    store.set(&name(3), &flipped).unwrap();
    let before = metric(&daemon, "corrupt_total");
    // An answer that comes late is a miss as well.
    await_that("the damage", || {
        assert_eq!(get(&daemon, &key(3)), 404);
        metric(&daemon, "corrupt_total") > before
    });
    memory_serves(&daemon, "changed");
    assert_eq!(put(&daemon, &key(0), LEN), 200);
    assert_eq!(get(&daemon, &key(0)), 200);
    all_is_there(&daemon, &[1, 2, 3]);
}
