//! Policies of buckets, against a naive model: objects of one unit each, least recently used first.

use std::collections::BTreeMap;

use kvlease_testing::Draws;
use kvlease_types::BucketPolicy;

use super::*;

/// Units of the arena.
const UNITS: u64 = 40;

/// Units and objects that may be pinned.
const PINNED_MAX: usize = 10;

const RUNS: u64 = 20;
const STEPS_PER_RUN: u64 = 3_000;

/// Names of an object.
type Name = (String, String);

/// One object of the model.
#[derive(Clone, Debug)]
struct Stored {
    slot: u32,
    /// Bucket whose policy it is under; `None` for that of all others.
    class: Option<String>,
    /// When it entered its order, or was used last.
    used: u64,
    created: u64,
    pinned: bool,
}

#[derive(Default, Debug)]
struct Model {
    policies: BTreeMap<String, BucketPolicy>,
    objects: BTreeMap<Name, Stored>,
    now: u64,
    uses: u64,
}

/// How often something came up, so that a run that tests nothing fails.
#[derive(Default, Debug)]
struct Reached {
    of_policy: u64,
    spared_by_priority: u64,
    spared_by_weight: u64,
    pinned: u64,
    unpinned: u64,
    expired: u64,
    expired_at_store: u64,
    moved: u64,
}

struct Run {
    catalog: Catalog,
    model: Model,
    draws: Draws,
    reached: Reached,
}

impl Model {
    fn policy(&self, class: Option<&String>) -> BucketPolicy {
        class.and_then(|bucket| self.policies.get(bucket)).cloned().unwrap_or_default()
    }

    fn class_of(&self, bucket: &str) -> Option<String> {
        self.policies.contains_key(bucket).then(|| bucket.to_owned())
    }

    fn use_now(&mut self) -> u64 {
        self.uses += 1;
        self.uses
    }

    fn is_expired(&self, object: &Stored) -> bool {
        let ttl = self.policy(object.class.as_ref()).ttl;
        ttl.is_some_and(|ttl| object.created + ttl.as_nanos() as u64 <= self.now)
    }

    fn pinned(&self) -> usize {
        self.objects.values().filter(|object| object.pinned).count()
    }

    /// Room of a class for its weight, as a fraction.
    fn over(&self, class: Option<&String>) -> (u64, u64) {
        let room = self.objects.values().filter(|object| object.class.as_ref() == class).count();
        (room as u64, self.policy(class).weight.into())
    }

    /// Asserts that it is this object's turn to leave.
    fn check_turn(&self, name: &Name, reached: &mut Reached) {
        let evicted = &self.objects[name];
        assert!(!evicted.pinned, "{name:?} was evicted and is pinned");
        let class = evicted.class.as_ref();
        let (room, weight) = self.over(class);
        let priority = self.policy(class).priority;
        for other in self.objects.values().filter(|other| !other.pinned) {
            let of_other = other.class.as_ref();
            assert!(self.policy(of_other).priority >= priority, "{other:?} is of a lower priority");
            if self.policy(of_other).priority > priority {
                reached.spared_by_priority += 1;
                continue;
            }
            let (others, weight_of_other) = self.over(of_other);
            assert!(others * weight <= room * weight_of_other, "{other:?} has more room");
            reached.spared_by_weight += u64::from(others > room);
            let later = of_other != class || other.used >= evicted.used;
            assert!(later, "{other:?} of the same class was used before {evicted:?}");
        }
        reached.of_policy += u64::from(class.is_some());
    }
}

impl Run {
    fn new(seed: u64) -> Self {
        let capacity = unit_bytes(UNITS);
        let config = CatalogConfig { capacity, lease_grace: GRACE, ..CatalogConfig::default() };
        let mut catalog = Catalog::new(config, Epoch::new(1));
        catalog.grow(capacity);
        let (model, reached) = (Model::default(), Reached::default());
        Self { catalog, model, draws: Draws::new(seed), reached }
    }

    fn step(&mut self) {
        match self.draws.below(40) {
            0..=24 => self.store(),
            25..=34 => self.read(),
            35 => self.set_policy(),
            36 if self.draws.one_in(3) => self.remove_policy(),
            37 => self.remove_expired(),
            _ => self.model.now += self.draws.below(4),
        }
        self.catalog.check();
        let known: Vec<_> = self.model.objects.keys().collect();
        assert_eq!(known.len() as u64, self.catalog.stats(at(self.model.now)).objects);
    }

    fn bucket(&mut self) -> String {
        format!("b{}", self.draws.below(4))
    }

    fn name(&mut self) -> Name {
        let prefix = if self.draws.one_in(4) { "p" } else { "k" };
        (self.bucket(), format!("{prefix}{}", self.draws.below(60)))
    }

    fn store(&mut self) {
        let name = self.name();
        let (bucket, key) = (BucketName::new(&*name.0).unwrap(), Key::new(&*name.1).unwrap());
        let known = self.model.objects.get(&name).cloned();
        let expired = known.as_ref().is_some_and(|object| self.model.is_expired(object));
        let now = at(self.model.now);
        let id = loop {
            let reserved = self.catalog.reserve(&bucket, &key, unit_bytes(1), now);
            self.observe();
            match reserved {
                Ok(Room::Given(reservation)) => break reservation.id,
                Ok(Room::AfterDrain) => {}
                Err(refused) => {
                    assert_eq!(refused, WriteRefused::Exists);
                    assert!(known.is_some() && !expired, "the name is free");
                    return;
                }
            }
        };
        assert!(known.is_none() || expired, "a name is stored once");
        self.reached.expired_at_store += u64::from(expired);
        self.catalog.seal(id, unit_bytes(1), Checksum::new(9), now).unwrap();
        let class = self.model.class_of(&name.0);
        let pins = self.model.policy(class.as_ref()).pins(&name.1);
        let pinned = pins && self.model.pinned() < PINNED_MAX;
        self.reached.pinned += u64::from(pinned);
        self.reached.unpinned += u64::from(pins && !pinned);
        let (used, created) = (self.model.use_now(), self.model.now);
        let stored = Stored { slot: id.slot, class, used, created, pinned };
        self.model.objects.insert(name, stored);
        self.observe();
    }

    fn read(&mut self) {
        let names: Vec<_> = self.model.objects.keys().cloned().collect();
        let Some(name) = self.draws.pick(&names).cloned() else { return };
        let now = at(self.model.now);
        self.catalog.expire(now, 0);
        let expired = self.model.is_expired(&self.model.objects[&name]);
        assert_eq!(self.catalog.stat(&name.0, &name.1).is_none(), expired);
        let mut there = Vec::new();
        self.catalog.contains_many(&name.0, &[&name.1], |found| there.push(found));
        assert_eq!(there, [!expired]);
        match self.catalog.acquire(&CALLER, &name.0, &name.1, TTL, now) {
            Ok(lease) => {
                assert!(!expired, "{name:?} has expired");
                assert!(self.catalog.release(&CALLER, lease.id, now).is_some());
                let used = self.model.use_now();
                self.model.objects.get_mut(&name).unwrap().used = used;
            }
            Err(miss) => assert_eq!((miss, expired), (Miss::Absent, true)),
        }
    }

    fn set_policy(&mut self) {
        let mut policy = BucketPolicy {
            priority: self.draws.below(3) as i32 - 1,
            weight: [10, 100, 300][self.draws.below(3) as usize],
            ..BucketPolicy::default()
        };
        if self.draws.one_in(3) {
            policy.ttl = Some(Duration::from_nanos(1 + self.draws.below(60)));
        }
        if self.draws.one_in(2) {
            policy.pinned = vec![["p", "p1", "k2"][self.draws.below(3) as usize].to_owned()];
        }
        let bucket = self.bucket();
        assert!(
            self.catalog.set_bucket_policy(&BucketName::new(&*bucket).unwrap(), policy.clone())
        );
        self.model.policies.insert(bucket, policy);
        self.apply_policies();
    }

    fn remove_policy(&mut self) {
        let bucket = self.bucket();
        let known = self.model.policies.remove(&bucket).is_some();
        assert_eq!(self.catalog.remove_bucket_policy(&BucketName::new(&*bucket).unwrap()), known);
        self.apply_policies();
    }

    fn apply_policies(&mut self) {
        assert_eq!(self.catalog.apply_policies(0), None, "there are few slots");
        let mut names: Vec<_> =
            self.model.objects.iter().map(|(name, object)| (object.slot, name.clone())).collect();
        names.sort();
        for (_, name) in names {
            let class = self.model.class_of(&name.0);
            let pins = self.model.policy(class.as_ref()).pins(&name.1);
            let before = self.model.objects[&name].clone();
            let moved = before.class != class;
            let stays_pinned = before.pinned && pins && !moved;
            self.model.objects.get_mut(&name).unwrap().pinned = stays_pinned;
            let pinned = pins && (stays_pinned || self.model.pinned() < PINNED_MAX);
            let used = match moved || before.pinned && !stays_pinned {
                true => self.model.use_now(),
                false => before.used,
            };
            self.reached.moved += u64::from(moved);
            let after = Stored { class, used, pinned, ..before };
            self.model.objects.insert(name, after);
        }
    }

    fn remove_expired(&mut self) {
        assert_eq!(self.catalog.remove_all_expired(0, at(self.model.now)), None);
        self.observe();
        assert!(self.model.objects.values().all(|object| !self.model.is_expired(object)));
    }

    /// Takes what left, and gives its space back.
    fn observe(&mut self) {
        let mut changes = Vec::new();
        self.catalog.take_changes(&mut changes);
        for change in &changes {
            let name = (change.bucket.to_string(), change.key.to_string());
            match change.kind {
                ChangeKind::Sealed => continue,
                ChangeKind::Evicted { .. } => self.model.check_turn(&name, &mut self.reached),
                ChangeKind::Expired => {
                    assert!(self.model.is_expired(&self.model.objects[&name]), "{name:?}");
                    self.reached.expired += 1;
                }
                other => panic!("{name:?}: {other:?}"),
            }
            self.model.objects.remove(&name).unwrap();
        }
        self.catalog.acknowledge(self.catalog.last_change());
    }
}

#[test]
fn what_leaves_is_of_the_lowest_priority_then_the_most_over_its_weight_then_the_oldest() {
    let mut draws = Draws::seeded(0xb0cce7);
    let mut all = Reached::default();
    for _ in 0..RUNS {
        let mut run = Run::new(draws.next());
        run.catalog.check();
        for _ in 0..STEPS_PER_RUN {
            run.step();
        }
        let Reached { of_policy, spared_by_priority, spared_by_weight, .. } = run.reached;
        all.of_policy += of_policy;
        all.spared_by_priority += spared_by_priority;
        all.spared_by_weight += spared_by_weight;
        let Reached { pinned, unpinned, expired, expired_at_store, moved, .. } = run.reached;
        all.pinned += pinned;
        all.unpinned += unpinned;
        all.expired += expired;
        all.expired_at_store += expired_at_store;
        all.moved += moved;
    }
    println!("{all:?}");
    let few = [all.of_policy, all.spared_by_priority, all.spared_by_weight, all.pinned];
    let more = [all.unpinned, all.expired, all.expired_at_store, all.moved];
    assert!(few.iter().chain(&more).all(|count| *count > 20), "{all:?}");
}

fn policy(key: &str, value: &str) -> BucketPolicy {
    let mut policy = BucketPolicy::default();
    policy.set(key, value).unwrap();
    policy
}

fn store_in(catalog: &mut Catalog, bucket: &str, key: &str) {
    let (bucket, key) = (BucketName::new(bucket).unwrap(), Key::new(key).unwrap());
    loop {
        match catalog.reserve(&bucket, &key, unit_bytes(1), at(0)).unwrap() {
            Room::Given(reservation) => {
                catalog.seal(reservation.id, unit_bytes(1), Checksum::new(9), at(0)).unwrap();
                return catalog.discard_changes();
            }
            Room::AfterDrain => catalog.discard_changes(),
        }
    }
}

fn objects(catalog: &Catalog, bucket: &str) -> u64 {
    let all = catalog.buckets(0).0;
    all.iter().find(|info| info.bucket.as_str() == bucket).map_or(0, |info| info.objects)
}

#[test]
fn a_scan_does_not_flush_a_bucket_within_its_weight() {
    let mut catalog = catalog_of(100);
    let chat = BucketName::new("chat").unwrap();
    assert!(catalog.set_bucket_policy(&chat, policy("weight", "300")));
    for number in 0..70 {
        store_in(&mut catalog, "chat", &number.to_string());
    }
    for number in 0..1000 {
        store_in(&mut catalog, "scan", &number.to_string());
        catalog.check();
    }
    assert_eq!((objects(&catalog, "chat"), objects(&catalog, "scan")), (70, 30));
    // What the bucket has beyond its weight it has only as long as no other wants it.
    for number in 100..200 {
        store_in(&mut catalog, "chat", &number.to_string());
    }
    assert_eq!(
        (objects(&catalog, "chat"), objects(&catalog, "scan")),
        (76, 24),
        "or one object more"
    );
}

#[test]
fn victims_that_were_chosen_ahead_do_not_count_twice() {
    let capacity = unit_bytes(100);
    let free_target = unit_bytes(40);
    let config = CatalogConfig { capacity, free_target, ..CatalogConfig::default() };
    let mut catalog = Catalog::new(config, Epoch::new(1));
    catalog.grow(capacity);
    assert!(catalog.set_bucket_policy(&BucketName::new("a").unwrap(), policy("weight", "100")));
    for number in 0..50 {
        store_in(&mut catalog, "a", &number.to_string());
        store_in(&mut catalog, "b", &number.to_string());
    }
    for victim in catalog.victims(40) {
        assert!(catalog.give_up(&victim, false));
        catalog.check();
    }
    assert_eq!((objects(&catalog, "a"), objects(&catalog, "b")), (30, 30));
}

#[test]
fn a_policy_is_applied_to_what_a_restart_brings_back() {
    let config = CatalogConfig {
        capacity: unit_bytes(100),
        buckets: BTreeMap::from([(
            BucketName::new("b").unwrap(),
            BucketPolicy { ttl: Some(Duration::from_nanos(50)), ..policy("pinned", "p") },
        )]),
        ..CatalogConfig::default()
    };
    let mut catalog = Catalog::new(config, Epoch::new(2));
    let mut restoration = Restoration::default();
    for (place, (key, created)) in [("old", 10), ("new", 60), ("p", 61)].into_iter().enumerate() {
        restoration.add(&recorded(key, &[units(place as u64, 1)], created), at(0));
    }
    catalog.restore(restoration, unit_bytes(100), at(70), |_| ());
    catalog.check();
    catalog.expire(at(70), 0);
    let there = ["old", "new", "p"].map(|key| catalog.stat("b", key).is_some());
    assert_eq!(there, [false, true, true], "the time goes on from where an object was stored");
    let info = catalog.bucket_policies().remove(0);
    assert_eq!((info.class.objects, info.class.pinned_objects), (3, 1));
    assert_eq!(catalog.remove_all_expired(0, at(70)), None);
    assert_eq!(catalog.bucket_policies()[0].class.expired, 1);
    assert_eq!(catalog.stats(at(70)).totals.expired, 1);
    // A pinned object expires as any other.
    assert_eq!(catalog.remove_all_expired(0, at(111)), None);
    assert_eq!(catalog.stats(at(111)).objects, 0);
    catalog.check();
}

#[test]
fn an_expired_object_under_a_lease_stays_until_its_reader_is_gone() {
    let mut catalog = catalog_of(4);
    assert!(catalog.set_bucket_policy(&BucketName::new("b").unwrap(), policy("ttl_s", "0.001")));
    store(&mut catalog, "a", 4, 0).unwrap();
    let late = 1_000_000;
    let held = lease(&mut catalog, "a", late - 1);
    assert_eq!(catalog.remove_all_expired(0, at(late)), None);
    assert_eq!(store(&mut catalog, "x", 1, late), Err(WriteRefused::OnlyLeased));
    assert!(catalog.release(&CALLER, held.id, at(late)).is_some());
    assert_eq!(store(&mut catalog, "x", 1, late), Ok(()));
    catalog.check();
}
