//! Events: a subscriber knows exactly what is there, however it comes and falls behind.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use kvlease_engine::{Delivery, Engine, EventKind, SUBSCRIBERS_MAX, Snapshot, Subscription};
use kvlease_testing::{Draws, bytes};
use kvlease_types::{BucketName, ByteSize};
use tokio::time::timeout;

use crate::{
    fixture::{CALLER, CAPACITY, Place, remove, run, stats, store, until},
    tiers::WAIT,
};

/// Events of one read: fewer than a subscriber may be behind.
const READ: usize = 16;

/// Time after which there is nothing more to come.
const QUIET: Duration = Duration::from_millis(300);

/// Time for a look at what there is.
const LOOK: Duration = Duration::from_millis(8);

/// A subscriber, and the keys that it believes to be there, with their generations.
struct Follower {
    subscription: Subscription,
    known: BTreeMap<String, u64>,
    lost: u64,
}

impl Follower {
    fn joining(engine: &Engine) -> Self {
        let subscription = engine.subscribe().unwrap();
        let mut follower = Self { subscription, known: BTreeMap::new(), lost: 0 };
        follower.take_snapshot();
        follower
    }

    fn take_snapshot(&mut self) {
        self.known.clear();
        let snapshot = self.subscription.snapshot();
        for (key, generation) in objects(snapshot) {
            self.known.insert(key, generation);
        }
    }

    /// Reads once, if there is something within this time.
    fn read(&mut self, wait: Duration) -> bool {
        let delivery = run(async { timeout(wait, self.subscription.next(READ)).await.ok() });
        match delivery {
            None => return false,
            Some(Delivery::Closed) => panic!("the engine runs"),
            Some(Delivery::Lost) => {
                self.lost += 1;
                self.take_snapshot();
            }
            Some(Delivery::Events(events)) => {
                for event in events {
                    let key = event.key.as_str().to_owned();
                    if event.kind.publishes() {
                        self.known.insert(key, event.generation);
                    } else {
                        self.known.remove(&key);
                    }
                }
            }
        }
        true
    }

    /// Reads until it knows what is there and nothing more comes.
    fn read_to_the_end(&mut self, there: &BTreeMap<String, u64>) {
        loop {
            while self.known != *there {
                assert!(self.read(WAIT), "{:?} is not {there:?}", self.known);
            }
            if !self.read(QUIET) {
                return;
            }
        }
    }
}

fn objects(mut snapshot: Snapshot) -> Vec<(String, u64)> {
    let mut found = Vec::new();
    while let Some(page) = snapshot.page(7) {
        found.extend(page.into_iter().map(|object| (object.key.to_string(), object.generation)));
    }
    found
}

/// Objects that are there, by a listing.
fn there(engine: &Engine) -> BTreeMap<String, u64> {
    let (objects, next) = engine.list("b", "", Default::default(), usize::MAX);
    assert!(next.is_none());
    objects.into_iter().map(|object| (object.key.to_string(), object.generation)).collect()
}

#[test]
fn a_follower_that_joins_late_or_falls_behind_ends_with_what_is_there() {
    let mut draws = Draws::seeded(15);
    let place = Place::new();
    // Some tens of events: followers do fall behind.
    let engine = place.engine_with(1, |config| config.events_memory_max = ByteSize::kib(8));
    until("population", || stats(&engine).populated == CAPACITY);
    let mut followers: Vec<Follower> = Vec::new();
    let (mut left, mut evicted) = (0, false);
    for _ in 0..1_500 {
        let key = draws.below(60).to_string();
        match draws.below(20) {
            0..12 => {
                let len = 1 + draws.index(400 << 10);
                let _ = store(&engine, &key, &bytes(len, draws.next()));
            }
            12..17 => {
                let _ = remove(&engine, &key);
            }
            17 if followers.len() < 4 => followers.push(Follower::joining(&engine)),
            18 if draws.one_in(4) && !followers.is_empty() => {
                drop(followers.swap_remove(draws.index(followers.len())));
                left += 1;
            }
            _ => {
                if let Some(follower) = followers.last_mut() {
                    follower.read(LOOK);
                }
            }
        }
        evicted |= stats(&engine).totals.evicted > 0;
    }
    followers.push(Follower::joining(&engine));
    let there = there(&engine);
    let mut lost = 0;
    for follower in &mut followers {
        follower.read_to_the_end(&there);
        lost += follower.lost;
    }
    assert!(lost > 0 && left > 0 && evicted, "lost {lost}, left {left}, evicted {evicted}");
    let counters = engine.stats().counters;
    assert!(counters.events > 0 && counters.events_lost >= lost);
}

#[test]
fn events_say_what_happened_and_not_what_happens_to_the_daemons_own_objects() {
    let place = Place::new();
    let engine = place.engine(1);
    let mut subscription = engine.subscribe().unwrap();
    let sealed = store(&engine, "a", &bytes(5, 1)).unwrap();
    let own = BucketName::retained("job").unwrap();
    let key = kvlease_types::Key::new("namespace/1/1").unwrap();
    engine.put(&CALLER, own, key, Some(ByteSize::ZERO)).unwrap().seal().unwrap();
    remove(&engine, "a").unwrap();
    let mut seen: Vec<(EventKind, String, ByteSize)> = Vec::new();
    while seen.last().is_none_or(|(kind, ..)| *kind != EventKind::Removed) {
        let Delivery::Events(events) = run(subscription.next(READ)) else {
            panic!("none was lost")
        };
        seen.extend(events.into_iter().map(|event| (event.kind, event.key.to_string(), event.len)));
    }
    let len = sealed.len;
    let expected = [EventKind::Sealed, EventKind::Removed].map(|kind| (kind, "a".to_owned(), len));
    assert_eq!(seen, expected);
    assert_eq!(objects(subscription.snapshot()), [], "neither in a snapshot");
}

#[test]
fn a_subscriber_that_comes_again_goes_on_where_it_was() {
    let place = Place::new();
    let engine = place.engine(1);
    let mut first = engine.subscribe().unwrap();
    store(&engine, "a", b"a").unwrap();
    let read = run(first.next(READ));
    assert!(matches!(&read, Delivery::Events(events) if events.len() == 1), "{read:?}");
    let next = first.next_number();
    drop(first);
    store(&engine, "b", b"b").unwrap();
    let mut second = engine.subscribe().unwrap();
    assert!(second.resume(next));
    let Delivery::Events(events) = run(second.next(READ)) else { panic!("nothing was lost") };
    assert_eq!((events.len(), events[0].key.as_str()), (1, "b"));
    assert!(!second.resume(next + 1000), "of another incarnation");
    assert!(!second.resume(0), "no change has this number");
}

#[test]
fn objects_that_are_taken_over_are_in_the_snapshot() {
    let place = Place::new();
    let engine = place.engine(1);
    store(&engine, "a", &bytes(5, 1)).unwrap();
    drop(engine);
    let engine = place.engine(2);
    let follower = Follower::joining(&engine);
    assert_eq!(follower.known.keys().collect::<BTreeSet<_>>(), BTreeSet::from([&"a".to_owned()]));
}

#[test]
fn subscribers_are_bounded_and_end_with_the_daemon() {
    let place = Place::new();
    let engine = place.engine(1);
    let mut all: Vec<_> = (0..SUBSCRIBERS_MAX).map(|_| engine.subscribe().unwrap()).collect();
    assert!(engine.subscribe().is_none());
    assert_eq!(engine.stats().subscribers, SUBSCRIBERS_MAX);
    all.truncate(1);
    assert_eq!(engine.stats().subscribers, 1);
    store(&engine, "a", b"a").unwrap();
    until("the event", || engine.stats().counters.events == 1);
    engine.end_events();
    assert!(matches!(run(all[0].next(READ)), Delivery::Events(_)), "what there is comes first");
    assert_eq!(run(all[0].next(READ)), Delivery::Closed);
    assert!(engine.subscribe().is_none());
}
