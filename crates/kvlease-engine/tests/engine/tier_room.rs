//! Room that tiers need: the arena's for loads, and the queue's for copies.

use std::{sync::Arc, time::Duration};

use kvlease_engine::{BucketSet, Grants, TierConfig};
use kvlease_tier::Tier;
use kvlease_types::{BucketName, ByteSize, Caller, Key, LeaseId, Miss, Mode};
use tokio::time::{Instant, timeout};

use crate::{
    fixture::{CALLER, NEVER, Place, begin, lease, store, until},
    tiers::{LEN, Tiered, WAIT, content, key},
};

/// Time to live of leases that end by the clock, as those of a client that was killed.
const SHORT: Duration = Duration::from_millis(1);

/// Small objects that are copied to a tier at a time.
const COPIES: usize = 32;

/// Objects that tests of the queue store: the queue takes 1024 beside those that are copied.
const QUEUED: usize = 1024 + COPIES;

/// Leases all that the arena has, and what is stored until it takes no more.
async fn lease_all(tiered: &Tiered) -> Vec<LeaseId> {
    let mut leases = Vec::new();
    for number in 1.. {
        let name = key(number);
        if !tiered.is_near(number) && tiered.in_tier(number) {
            continue;
        }
        if !tiered.is_near(number) && store(&tiered.engine, &name, &content(number)).is_err() {
            break;
        }
        let grants = lease(&tiered.engine, &name, None, WAIT).await.unwrap();
        leases.extend(grants.first().map(|lease| lease.id));
        grants.deliver();
    }
    leases
}

/// Whether the request ends although nothing but time passes.
async fn answered(tiered: &Tiered, keys: &[&str], mode: Mode) -> Grants {
    let mut grants = tiered.engine.acquire(&CALLER, "b", keys, mode, None);
    let until = Instant::now() + NEVER;
    let waiting = tiered.engine.await_pending(&mut grants, "b", keys, mode, until);
    timeout(WAIT, waiting).await.expect("it waits for no one");
    grants
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_waits_for_room_and_is_told_to_ask_again() {
    let tiered = Tiered::new();
    tiered.fill(0..12);
    let leases = lease_all(&tiered).await;
    assert!(!tiered.is_near(0) && tiered.in_tier(0));
    // Not absent: the tier has it.
    let brief = Duration::from_millis(50);
    assert_eq!(tiered.read(0, brief).await, Err(Miss::NoRoom));
    let at = Instant::now() + brief;
    let read = tiered.engine.read_or_load(&CALLER, "b", &key(0), at).await;
    assert_eq!(read.map(|_| ()), Err(Miss::NoRoom));
    // Each reader is counted once, though it looked for room many times.
    assert_eq!(tiered.counters().no_room, 2);
    let room = async {
        until("a reader that waits", || tiered.counters().no_room == 3);
        tiered.engine.release(&CALLER, &leases[..2]);
    };
    let (found, ()) = tokio::join!(tiered.read(0, WAIT), room);
    assert_eq!(found, Ok(content(0)));
    assert_eq!(tiered.read(0, Duration::ZERO).await, Ok(content(0)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_waits_for_room_outlasts_writes_of_its_key_that_fail() {
    let tiered = Tiered::new();
    tiered.fill(0..12);
    // Space for a short object, and none for a load: what is free by then is less than one.
    let _short = begin(&tiered.engine, "short", Some(1)).unwrap();
    let leases = lease_all(&tiered).await;
    assert!(!tiered.is_near(0) && tiered.in_tier(0));
    let (before, client) = (tiered.counters().no_room, Caller::lane(1, 0, 0, None));
    let writes = async {
        until("a reader that waits", || tiered.counters().no_room > before);
        for _ in 0..4 {
            let (bucket, key) = (BucketName::new("b").unwrap(), Key::new(key(0)).unwrap());
            let write = tiered.engine.put(&client, bucket, key, Some(ByteSize::new(1))).unwrap();
            // Some looks of the reader, which then waits for the write.
            tokio::time::sleep(Duration::from_millis(100)).await;
            drop(write);
        }
        tiered.engine.release(&CALLER, &leases);
    };
    let (found, ()) = tokio::join!(tiered.read(0, WAIT), writes);
    assert_eq!(found.map(|read| read == content(0)), Ok(true), "the tier has it all the time");
}

#[tokio::test(flavor = "multi_thread")]
async fn leases_that_end_by_the_clock_make_room() {
    let tiered = Tiered::new();
    tiered.fill(0..12);
    let leases = lease_all(&tiered).await;
    assert_eq!(tiered.read(0, Duration::ZERO).await, Err(Miss::NoRoom));
    let renewed = tiered.engine.renew(&CALLER, &leases, Some(SHORT));
    assert!(renewed.live.iter().all(|live| *live));
    assert_eq!(tiered.read(0, WAIT).await, Ok(content(0)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_with_leases_of_its_own_does_not_wait_for_those_of_others() {
    let tiered = Tiered::new();
    tiered.fill(0..12);
    let near = (1..12).find(|number| tiered.is_near(*number)).unwrap();
    lease_all(&tiered).await;
    let keys = [key(near), key(0)];
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    for mode in [Mode::Prefix, Mode::Each] {
        let grants = answered(&tiered, &keys, mode).await;
        assert!(grants.outcomes()[0].is_ok());
        assert!(matches!(grants.outcomes()[1], Err(Miss::NoRoom)), "{mode:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_load_waits_until_what_leaves_for_it_was_copied() {
    let tiered = Tiered::new();
    tiered.fill(0..12);
    tiered.tier.server().set_stopped(true);
    // It takes the room that is kept free. What leaves next is not copied.
    tiered.store(12);
    let near: Vec<usize> = (0..13).filter(|number| tiered.is_near(*number)).collect();
    let brief = Duration::from_millis(50);
    assert_eq!(tiered.read(1, brief).await, Err(Miss::NoRoom));
    assert!(near.iter().all(|number| tiered.is_near(*number)), "nothing left for it");
    tiered.tier.server().set_stopped(false);
    assert_eq!(tiered.read(1, WAIT).await, Ok(content(1)));
    assert!(near.iter().all(|number| tiered.is_near(*number) || tiered.in_tier(*number)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_load_does_not_wait_for_copies_that_do_not_come() {
    let tiered = Tiered::of(|_| {}, Duration::from_millis(200));
    tiered.fill(0..12);
    tiered.tier.server().set_stopped(true);
    tiered.store(12);
    let near: Vec<usize> = (0..13).filter(|number| tiered.is_near(*number)).collect();
    // It may be pending by then: what it asks of the tier does not come either.
    while near.iter().all(|number| tiered.is_near(*number)) {
        assert!(tiered.read(1, Duration::from_millis(50)).await.is_err());
    }
    tiered.tier.server().set_stopped(false);
    assert_eq!(tiered.read(1, WAIT).await, Ok(content(1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_waits_for_an_object_that_never_fits() {
    let tiered = Tiered::new();
    tiered.fill(0..12);
    assert!(tiered.in_tier(0));
    let (place, tier) = (Place::new(), Arc::clone(&tiered.tier));
    let engine = place.engine_with(2, |engine| {
        engine.object_len_max = ByteSize::new(LEN as u64 / 2);
        engine.tiers = vec![TierConfig::new(tier as Arc<dyn Tier>)];
    });
    let reading = lease(&engine, "k0", None, NEVER);
    let outcome = timeout(WAIT, reading).await.expect("it waits for nothing");
    assert_eq!(outcome.map(|_| ()), Err(Miss::Absent));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_of_an_object_whose_load_is_late_asks_for_another_try() {
    let tiered = Tiered::new();
    tiered.fill(0..12);
    tiered.tier.server().set_stopped(true);
    let brief = Instant::now() + Duration::from_millis(50);
    let read = tiered.engine.read_or_load(&CALLER, "b", &key(0), brief).await;
    assert_eq!(read.map(|_| ()), Err(Miss::Pending));
    tiered.tier.server().set_stopped(false);
    let later = Instant::now() + WAIT;
    assert!(tiered.engine.read_or_load(&CALLER, "b", &key(0), later).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_full_queue_does_not_take_is_counted_and_serves_from_memory() {
    const LATE: usize = 3;
    let tiered = Tiered::with(|config| config.write_through = BucketSet::All);
    tiered.tier.server().set_stopped(true);
    for number in 0..QUEUED + LATE {
        store(&tiered.engine, &key(number), b"brief").unwrap();
        // The workers have taken theirs before the queue gets more.
        let taken = (number + 1).min(COPIES) as u64;
        until("the workers", || tiered.tier.calls().store >= taken);
    }
    assert_eq!(tiered.counters().queue_full, LATE as u64);
    for number in QUEUED..QUEUED + LATE {
        assert!(lease(&tiered.engine, &key(number), None, Duration::ZERO).await.is_ok());
    }
    tiered.tier.server().set_stopped(false);
    until("the end of the queue", || (0..QUEUED).all(|number| tiered.in_tier(number)));
    assert!((QUEUED..QUEUED + LATE).all(|number| !tiered.in_tier(number)));
}
