//! Objects that leave the arena and come back, over a tier in memory whose troubles are switches.

use std::{sync::Arc, time::Duration};

use kvlease_engine::{BucketSet, Engine, TierConfig, TierSnapshot, Unanswered};
use kvlease_tier::{Presence, Tier};
use kvlease_tier_conformance::{Damage, MemoryTier};
use kvlease_types::{ByteSize, Miss, Mode, RemoveRefused};
use tokio::time::Instant;

use crate::fixture::{CALLER, CAPACITY, NEVER, Place, lease, remove, store, until};

/// Length of the objects: the arena has room for seven and what is kept free.
pub(crate) const LEN: usize = 1 << 20;

/// A wait that is longer than any test needs.
pub(crate) const WAIT: Duration = Duration::from_secs(120);

pub(crate) fn content(number: usize) -> Vec<u8> {
    kvlease_testing::bytes(LEN, number as u64)
}

pub(crate) fn key(number: usize) -> String {
    format!("k{number}")
}

/// An engine over a tier in memory.
pub(crate) struct Tiered {
    pub(crate) place: Place,
    pub(crate) engine: Engine,
    pub(crate) tier: Arc<MemoryTier>,
}

impl Tiered {
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    pub(crate) fn with(change: impl FnOnce(&mut TierConfig)) -> Self {
        Self::of(change, NEVER)
    }

    /// Over a tier whose copies loads wait for so long.
    pub(crate) fn of(change: impl FnOnce(&mut TierConfig), copies_wait_max: Duration) -> Self {
        let (place, tier) = (Place::new(), Arc::new(MemoryTier::new()));
        let mut config = TierConfig::new(Arc::clone(&tier) as Arc<dyn Tier>);
        change(&mut config);
        let engine = place.engine_with(1, |engine| {
            engine.catalog.free_target = ByteSize::new(CAPACITY.bytes() / 8);
            engine.tiers = vec![config];
            engine.copies_wait_max = copies_wait_max;
        });
        Self { place, engine, tier }
    }

    pub(crate) fn store(&self, number: usize) {
        store(&self.engine, &key(number), &content(number)).unwrap();
    }

    /// Stores objects one after the other, each once those that leave are in the tier.
    pub(crate) fn fill(&self, numbers: std::ops::Range<usize>) {
        for number in numbers {
            self.store(number);
            self.until_room();
        }
    }

    /// Waits until those that leave are in the tier: a put evicts objects that are not.
    pub(crate) fn until_room(&self) {
        until("space", || {
            let stats = self.engine.stats().catalog;
            stats.free.bytes() + stats.being_written.bytes() >= CAPACITY.bytes() / 8
        });
    }

    /// Whether the arena has the object.
    pub(crate) fn is_near(&self, number: usize) -> bool {
        self.engine.stat("b", &key(number)).is_some()
    }

    pub(crate) fn in_tier(&self, number: usize) -> bool {
        matches!(self.tier.presence("b", &key(number)), Presence::Here(_))
    }

    /// Reads an object under a lease.
    pub(crate) async fn read(&self, number: usize, wait: Duration) -> Result<Vec<u8>, Miss> {
        let grants = lease(&self.engine, &key(number), None, wait).await?;
        Ok(self.place.read(&grants.first()?.extents))
    }

    pub(crate) fn counters(&self) -> TierSnapshot {
        self.engine.tiers()[0].counters
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_evicted_comes_back_with_its_bytes() {
    let tiered = Tiered::new();
    tiered.fill(0..20);
    assert!(!tiered.is_near(0) && tiered.in_tier(0));
    // Twice: what a load makes leave is in the tier before.
    for number in (0..20).chain(0..20) {
        assert_eq!(tiered.read(number, WAIT).await, Ok(content(number)), "{number}");
    }
    let counters = tiered.counters();
    assert_eq!(counters.stores, 20, "each was copied once");
    assert!(counters.hits >= 26, "{counters:?}");
    assert_eq!(counters.loaded, counters.hits * LEN as u64);
    // What came back is in the tier still: it leaves without being written again.
    until("the first to leave again", || tiered.counters().already_there > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prefix_comes_back_side_by_side_and_one_load_serves_all_who_ask() {
    let tiered = Tiered::new();
    tiered.fill(0..12);
    let far: Vec<String> = (0..3).map(key).collect();
    let far: Vec<&str> = far.iter().map(String::as_str).collect();
    assert!((0..3).all(|number| !tiered.is_near(number)));
    assert_eq!(tiered.engine.exists(&CALLER, "b", &far, Mode::Prefix), [true; 3]);
    // Room for two loads: the others would wait for copies.
    remove(&tiered.engine, &key(10)).unwrap();
    let before = tiered.tier.calls().load;
    tiered.tier.server().set_stopped(true);
    let mut grants = tiered.engine.acquire(&CALLER, "b", &far, Mode::Prefix, None);
    let again = tiered.engine.acquire(&CALLER, "b", &far, Mode::Each, None);
    // Loads under way may take a quarter of the arena; the rest follows them.
    assert_eq!(again.outcomes(), [Err(Miss::Pending), Err(Miss::Pending), Err(Miss::NoRoom)]);
    until("the loads", || tiered.tier.calls().load == before + 2);
    tiered.tier.server().set_stopped(false);
    let later = Instant::now() + WAIT;
    tiered.engine.await_pending(&mut grants, "b", &far, Mode::Prefix, later).await;
    assert_eq!(grants.outcomes().iter().filter(|outcome| outcome.is_ok()).count(), 3);
    assert_eq!(tiered.tier.calls().load, before + 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_load_that_outlasts_its_reader_serves_the_next_one() {
    let tiered = Tiered::new();
    tiered.fill(0..12);
    tiered.tier.server().set_stopped(true);
    assert_eq!(tiered.read(0, Duration::from_millis(50)).await, Err(Miss::Pending));
    tiered.tier.server().set_stopped(false);
    until("the object", || tiered.is_near(0));
    assert_eq!(tiered.read(0, Duration::ZERO).await, Ok(content(0)));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_put_waits_for_a_tier_that_does_not_answer() {
    let tiered = Tiered::new();
    tiered.tier.server().set_stopped(true);
    for number in 0..8 {
        tiered.store(number);
    }
    until("a copy that does not end", || tiered.engine.tiers()[0].copying > 0);
    for number in 8..40 {
        tiered.store(number);
    }
    assert_eq!(tiered.read(39, Duration::ZERO).await, Ok(content(39)));
    tiered.tier.server().set_stopped(false);
    // What left before it was copied is a miss; nothing of it is in the tier.
    until("the end of the queue", || {
        let tier = &tiered.engine.tiers()[0];
        (tier.queued, tier.copying) == (0, 0)
    });
    let mut found = 0;
    for number in 0..40 {
        match tiered.read(number, WAIT).await {
            Ok(bytes) => {
                assert_eq!(bytes, content(number));
                found += 1;
            }
            Err(miss) => assert!(miss.is_absence(), "{miss}"),
        }
    }
    assert!((6..40).contains(&found), "{found}");
    assert!(tiered.counters().left_too_early > 0, "{:?}", tiered.counters());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_with_write_through_is_in_the_tier_at_once() {
    let through = |config: &mut TierConfig| config.write_through = BucketSet::All;
    let tiered = Tiered::with(through);
    tiered.store(0);
    until("the copy", || tiered.in_tier(0));
    assert!(tiered.is_near(0));
    // Another bucket's policy leaves it alone.
    let other = |config: &mut TierConfig| config.write_through = "other".parse().unwrap();
    let tiered = Tiered::with(other);
    tiered.store(0);
    tiered.fill(1..12);
    assert_eq!(tiered.counters().stores as usize, (0..12).filter(|n| tiered.in_tier(*n)).count());
    assert!((1..12).any(|number| !tiered.in_tier(number)));
}

#[test]
fn what_a_slower_tier_has_goes_to_the_faster_one_as_well() {
    let (place, near, far) =
        (Place::new(), Arc::new(MemoryTier::new()), Arc::new(MemoryTier::new()));
    let mut through = TierConfig::new(Arc::clone(&far) as Arc<dyn Tier>);
    through.write_through = BucketSet::All;
    let engine = place.engine_with(1, |engine| {
        engine.catalog.free_target = ByteSize::new(CAPACITY.bytes() / 8);
        engine.tiers = vec![TierConfig::new(Arc::clone(&near) as Arc<dyn Tier>), through];
    });
    let has = |tier: &MemoryTier, number: usize| {
        matches!(tier.presence("b", &key(number)), Presence::Here(_))
    };
    for number in 0..12 {
        store(&engine, &key(number), &content(number)).unwrap();
        until("the copy of what was stored", || has(&far, number));
        until("space", || engine.stats().catalog.free.bytes() >= CAPACITY.bytes() / 8);
    }
    assert!((0..4).all(|number| has(&near, number)), "they have left memory");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_corrupt_object_of_a_tier_is_a_miss_and_forgotten() {
    let tiered = Tiered::new();
    tiered.fill(0..12);
    let name = kvlease_tier::Name {
        bucket: kvlease_types::BucketName::new("b").unwrap(),
        key: kvlease_types::Key::new(key(0)).unwrap(),
    };
    tiered.tier.server().damage(&name, &Damage::FlipBit);
    assert_eq!(tiered.read(0, WAIT).await.map_err(Miss::is_absence), Err(true));
    until("the end of the load", || tiered.counters().corrupt == 1);
    assert!(!tiered.in_tier(0));
    tiered.store(0);
    assert_eq!(tiered.read(0, Duration::ZERO).await, Ok(content(0)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removal_reaches_the_tier_and_what_is_on_its_way_there() {
    let tiered = Tiered::with(|config| config.write_through = BucketSet::All);
    tiered.store(0);
    until("the copy", || tiered.in_tier(0));
    tiered.tier.server().set_stopped(true);
    tiered.store(1);
    until("the store", || tiered.tier.calls().store == 2);
    let keys = [key(0), key(1), key(2)];
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    let removal = tiered.engine.remove_everywhere(&CALLER, "b", &keys);
    let go_on = async { tiered.tier.server().set_stopped(false) };
    let (removed, ()) = tokio::join!(removal, go_on);
    let outcomes: Vec<_> = removed.iter().map(|removed| removed.outcome).collect();
    assert_eq!(outcomes, [Ok(()), Ok(()), Err(RemoveRefused::Absent)]);
    assert!(removed.iter().all(|removed| removed.left_in.is_empty()));
    assert_eq!(tiered.engine.exists(&CALLER, "b", &keys, Mode::Each), [false; 3]);
    assert!(!tiered.in_tier(0) && !tiered.in_tier(1));
    // A tier that cannot be asked is named.
    tiered.store(3);
    until("the copy", || tiered.in_tier(3));
    tiered.tier.server().set_failing(true);
    let removed = tiered.engine.remove_everywhere(&CALLER, "b", &[&key(3)]).await;
    assert_eq!((removed[0].outcome, &removed[0].left_in[..]), (Ok(()), &["memory"][..]));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_is_being_removed_does_not_come_back() {
    let tiered = Arc::new(Tiered::new());
    tiered.fill(0..12);
    assert!(!tiered.is_near(0) && tiered.in_tier(0));
    tiered.tier.server().set_removals_stopped(true);
    let removing = Arc::clone(&tiered);
    let removal =
        tokio::spawn(
            async move { removing.engine.remove_everywhere(&CALLER, "b", &[&key(0)]).await },
        );
    until("the removal", || tiered.tier.calls().remove == 1);
    // The tier has it still, and would load it.
    assert!(tiered.in_tier(0));
    assert_eq!(tiered.read(0, WAIT).await.map(|bytes| bytes.len()), Err(Miss::Absent));
    assert!(tiered.read(1, WAIT).await == Ok(content(1)), "others come");
    tiered.tier.server().set_removals_stopped(false);
    let removed = removal.await.unwrap();
    assert_eq!((removed[0].outcome, removed[0].left_in.is_empty()), (Ok(()), true));
    assert!(!tiered.is_near(0) && !tiered.in_tier(0));
    // It can be stored again, and comes back from the tier as others do.
    tiered.store(0);
    tiered.fill(12..24);
    assert!(tiered.read(0, WAIT).await == Ok(content(0)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tier_that_stores_an_object_behind_its_removal_and_fails_to_remove_it_is_named() {
    let tiered = Tiered::with(|config| config.write_through = BucketSet::All);
    let server = tiered.tier.server();
    tiered.store(0);
    until("the copy", || tiered.in_tier(0));
    server.set_stores_stopped(true);
    tiered.store(1);
    until("the store", || server.stores_held() == 1);
    let keys = [key(0), key(1)];
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    let removal = tiered.engine.remove_everywhere(&CALLER, "b", &keys);
    let go_on = async {
        while tiered.counters().removals == 0 {
            tokio::task::yield_now().await;
        }
        // The tier was asked before it had the second one.
        server.set_removals_failing(true);
        server.set_stores_stopped(false);
    };
    let (removed, ()) = tokio::join!(removal, go_on);
    assert!(!tiered.in_tier(0) && tiered.in_tier(1));
    assert_eq!((removed[0].outcome, removed[0].left_in.len()), (Ok(()), 0));
    assert_eq!((removed[1].outcome, &removed[1].left_in[..]), (Ok(()), &["memory"][..]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removal_does_not_wait_for_the_turn_of_a_copy() {
    // Far less than a test stores: the second copy waits for longer than any test.
    let tiered = Tiered::with(|config| {
        config.write_through = BucketSet::All;
        config.rate_max = Some(ByteSize::kib(1));
    });
    tiered.store(0);
    until("the first copy", || tiered.in_tier(0));
    tiered.store(1);
    until("a wait", || tiered.counters().held_back > 0);
    let key = key(1);
    let keys = [key.as_str()];
    let removal = tiered.engine.remove_everywhere(&CALLER, "b", &keys);
    let removed = tokio::time::timeout(WAIT, removal).await.expect("the removal waits for no rate");
    assert_eq!((removed[0].outcome, removed[0].left_in.is_empty()), (Ok(()), true));
    until("the end of its copy", || tiered.counters().left_too_early == 1);
    assert!(!tiered.in_tier(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tier_that_must_be_asked_is_asked_once() {
    let tiered = Tiered::with(|config| config.find_timeout = WAIT);
    tiered.fill(0..12);
    tiered.tier.set_presence_unknown(true);
    let keys: Vec<String> = (0..4).chain(100..140).map(key).collect();
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    let later = Instant::now() + WAIT;
    let there = tiered.engine.exists_or_ask(&CALLER, "b", &keys, Mode::Prefix, later).await;
    assert_eq!(there, [true, true, true, true, false]);
    assert_eq!(tiered.tier.calls().find, 1);
    let mut grants = tiered.engine.acquire(&CALLER, "b", &keys, Mode::Prefix, None);
    assert!(grants.is_pending());
    tiered.engine.await_pending(&mut grants, "b", &keys, Mode::Prefix, later).await;
    assert_eq!(grants.outcomes().iter().filter(|outcome| outcome.is_ok()).count(), 4);
    assert!(matches!(grants.outcomes().last(), Some(Err(Miss::Absent))));
    assert_eq!(tiered.tier.calls().find, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tier_that_answers_late_is_not_waited_for() {
    let tiered = Tiered::with(|config| config.find_timeout = Duration::from_millis(200));
    tiered.tier.set_presence_unknown(true);
    // A late answer is a miss, and after a few of them the tier is left alone.
    tiered.tier.server().set_stopped(true);
    for _ in 0..3 {
        assert_eq!(tiered.read(200, WAIT).await, Err(Miss::Absent));
    }
    assert!(tiered.engine.tiers()[0].broken);
    let asked = tiered.tier.calls().find;
    assert_eq!(tiered.read(200, WAIT).await, Err(Miss::Absent));
    assert!(tiered.tier.calls().find <= asked + 1);
    tiered.tier.server().set_stopped(false);
    while tiered.engine.tiers()[0].broken {
        assert_eq!(tiered.read(200, WAIT).await, Err(Miss::Absent));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(tiered.read(100, WAIT).await, Err(Miss::Absent));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tier_that_failed_is_tried_again_by_what_is_evicted() {
    let tiered = Tiered::new();
    tiered.tier.server().set_failing(true);
    tiered.fill(0..14);
    until("the breaker", || tiered.engine.tiers()[0].broken);
    tiered.tier.server().set_failing(false);
    let mut number = 14;
    until("a copy", || {
        tiered.fill(number..number + 1);
        number += 1;
        !tiered.engine.tiers()[0].broken
    });
    assert!(tiered.counters().stores > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_over_the_daemon_waits_for_a_tier() {
    let tiered = Tiered::new();
    tiered.fill(0..12);
    assert!(!tiered.is_near(0));
    let later = Instant::now() + WAIT;
    let found = tiered.engine.stat_in_tiers("b", &key(0), later).await;
    assert_eq!(found.map(|(stat, kind)| (stat.len.bytes(), kind)), Some((LEN as u64, "memory")));
    let read = tiered.engine.read_or_load(&CALLER, "b", &key(0), later).await;
    let mut read = read.unwrap();
    let mut bytes = Vec::new();
    while let Some(piece) = read.next_piece().unwrap() {
        bytes.extend_from_slice(&piece);
    }
    assert_eq!(bytes, content(0));
    let absent = tiered.engine.read_or_load(&CALLER, "b", "absent", later).await;
    assert_eq!(absent.map(|_| ()), Err(Miss::Absent));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_place_of_an_object_is_told_and_a_tier_that_does_not_answer_is_named() {
    let tiered = Tiered::with(|config| config.write_through = BucketSet::All);
    tiered.fill(0..12);
    until("the copies", || (0..12).all(|number| tiered.in_tier(number)));
    let later = Instant::now() + WAIT;
    let (key, stat_of) = (key(0), |stat: Option<kvlease_tier::Stat>| stat.map(|s| s.len.bytes()));
    tiered.read(0, WAIT).await.unwrap();
    for (key, len) in [(key.as_str(), Some(LEN as u64)), ("absent", None)] {
        // Also by a directory that is behind its store.
        for unknown in [false, true] {
            tiered.tier.set_presence_unknown(unknown);
            let found = tiered.engine.stat_everywhere("b", key, later).await;
            assert_eq!(found.memory.map(|info| info.len.bytes()), len);
            let [("memory", Ok(stat))] = found.tiers[..] else { panic!("{:?}", found.tiers) };
            assert_eq!(stat_of(stat), len);
        }
    }
    let page = tiered.engine.list_tier("memory", "b", "k", None, 100, later).await;
    assert_eq!(page.unwrap().unwrap().objects.len(), 12);
    assert!(tiered.engine.list_tier("nvme", "b", "k", None, 100, later).await.is_none());
    tiered.tier.server().set_stopped(true);
    let now = Instant::now();
    let found = tiered.engine.stat_everywhere("b", &key, now).await;
    assert!(found.memory.is_some());
    assert!(matches!(found.tiers[..], [("memory", Err(Unanswered::Late))]), "{:?}", found.tiers);
    let page = tiered.engine.list_tier("memory", "b", "k", None, 100, now).await;
    assert!(matches!(page, Some(Err(Unanswered::Late))), "{page:?}");
    assert!(!tiered.engine.tiers()[0].broken, "an operator's hurry is no failure of the tier");
    tiered.tier.server().set_stopped(false);
    tiered.tier.server().set_failing(true);
    for _ in 0..3 {
        let page = tiered.engine.list_tier("memory", "b", "k", None, 100, later).await;
        assert!(matches!(page, Some(Err(Unanswered::Failed(_)))), "{page:?}");
    }
    let page = tiered.engine.list_tier("memory", "b", "k", None, 100, later).await;
    assert!(matches!(page, Some(Err(Unanswered::Broken))), "{page:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tier_is_told_to_be_slow_without_being_asked_for_a_load() {
    let tiered = Tiered::with(|config| config.rate_min = Some(ByteSize::gib(1 << 20)));
    tiered.fill(0..24);
    let stats = || tiered.engine.tiers().remove(0);
    assert_eq!((stats().slow, stats().load_rate), (false, None));
    for number in 0..24 {
        let _ = tiered.read(number, WAIT).await;
        if stats().slow {
            break;
        }
    }
    assert!(stats().slow && stats().load_rate.is_some(), "{:?}", stats());
    assert_eq!(stats().load_rate_min, Some(1 << 50));
    assert_eq!(stats().counters.skipped_slow, 0, "no load was left out so far");
}

#[test]
fn copies_wait_for_their_turn_at_the_highest_rate_and_what_leaves_meanwhile_is_counted() {
    // Far less than a test stores: only the first copy has its turn now.
    let tiered = Tiered::with(|config| {
        config.write_through = BucketSet::All;
        config.rate_max = Some(ByteSize::kib(1));
    });
    tiered.store(0);
    until("the first copy", || tiered.in_tier(0));
    assert_eq!(tiered.counters().held_back, 0);
    tiered.store(1);
    until("a wait", || tiered.counters().held_back > 0);
    assert!(!tiered.in_tier(1));
    // It is in the arena as long as it waits.
    assert!(tiered.is_near(1));
}
