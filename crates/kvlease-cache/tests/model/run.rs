//! One run: a catalog, its model, its readers, and the steps on all of them.

use std::{collections::BTreeMap, ops::Range, time::Duration};

use kvlease_cache::{
    Catalog, CatalogConfig, Change, ChangeKind, EvictionKind, ObjectInfo, QuotaConfig, Successor,
    UNIT, Victim,
};
use kvlease_testing::Draws;
use kvlease_types::{ByteSize, Epoch, KeyGroup, Miss, QuotaOf, Timestamp};

use crate::{
    classes::policies,
    naive::{Model, State},
    quotas::quotas,
    readers::{Readers, published},
};

/// Declares the outcomes that a run counts.
macro_rules! reached {
    ($($outcome:ident),* $(,)?) => {
        /// How often the rarer outcomes came up, so that a run that tests nothing fails.
        #[derive(Clone, Copy, Default, Debug)]
        pub(crate) struct Reached {
            $(pub(crate) $outcome: u64,)*
        }

        impl Reached {
            pub(crate) fn add(&mut self, other: &Self) {
                $(self.$outcome += other.$outcome;)*
            }

            /// An outcome that never came up.
            pub(crate) fn missing(&self) -> Option<&'static str> {
                $(if self.$outcome == 0 {
                    return Some(stringify!($outcome));
                })*
                None
            }
        }
    };
}

reached!(
    sealed,
    retained,
    retained_restored,
    evicted,
    fragmented_objects,
    refused_only_leased,
    refused_fragmented,
    refused_not_populated,
    refused_memory,
    refused_leases,
    refused_of_owner,
    refused_of_user,
    reserved_in_part,
    refused_of_memory,
    hung_up,
    expired,
    quarantined,
    restored,
    restored_held,
    restored_beyond_memory,
    waited_for_drain,
    left_before_drain,
    victims,
    given_up,
    spared,
    spared_with_group,
    left_with_group,
    elsewhere,
    gaps,
    followed,
    sealed_and_lost,
    departed_and_back,
    pinned,
    not_pinned,
    chosen_by_class,
    eviction_changed,
    evicted_in_change,
    refused_change,
    quotas_full,
    left_beyond_guarantee,
    refused_quota,
    refused_lease_quota,
    within_quotas,
);

/// An eviction that the catalog may remember.
#[derive(Clone, Copy, Debug)]
struct Remembered {
    copied: bool,
    /// Number of the eviction.
    number: u64,
    /// Objects that there were: as many evictions are remembered at least.
    objects: u64,
}

pub(crate) struct Run {
    pub(crate) catalog: Catalog,
    pub(crate) epoch: u64,
    pub(crate) model: Model,
    pub(crate) readers: Readers,
    pub(crate) draws: Draws,
    pub(crate) config: CatalogConfig,
    /// Largest object drawn, in units.
    pub(crate) object_units_max: u64,
    /// Begins with every second unit leased, and now and then asks for much: what fragments most.
    pub(crate) splintered: bool,
    /// Stores retained objects among others.
    pub(crate) retains: bool,
    /// Stores objects of groups among others.
    pub(crate) groups: bool,
    pub(crate) reached: Reached,
    pub(crate) checksum: u64,
    /// Ranges in quarantine, overlapping ones joined.
    pub(crate) stretches: Vec<Range<usize>>,
    /// Victims that were handed over, with those that were acquired, removed or evicted since.
    handed_over: Vec<(Victim, ObjectInfo)>,
    /// Those that are victims still, by their generations, with the numbers of their objects.
    chosen: BTreeMap<u64, (u64, Victim)>,
    remembered: BTreeMap<(String, String), Remembered>,
    evictions: u64,
    /// Bucket that is written now, in whose favour others leave.
    pub(crate) favoured: Option<String>,
    /// Amount that each quota counted after the step before.
    pub(crate) used: BTreeMap<(QuotaOf, &'static str), (u64, u64)>,
}

impl Run {
    pub(crate) fn new(eviction: EvictionKind, mut draws: Draws) -> Self {
        let splintered = draws.one_in(4);
        let units = if splintered { 500 } else { 8 + draws.below(500) };
        let tight = !splintered && draws.one_in(2);
        let few_leases = !splintered && draws.one_in(4);
        let ahead = draws.one_in(2);
        let retains = draws.one_in(3);
        let groups = draws.one_in(2);
        let buckets = if draws.one_in(2) { policies(&mut draws) } else { BTreeMap::new() };
        let config = CatalogConfig {
            capacity: ByteSize::new(units * UNIT.bytes()),
            memory_max: if tight { ByteSize::kib(8 + draws.below(24)) } else { ByteSize::mib(64) },
            leases_max: if few_leases { 4 } else { 1000 },
            leases_per_owner_max: if few_leases { 2 } else { 1000 },
            leases_per_user_max: if few_leases { 3 } else { 1000 },
            lease_grace: Duration::from_nanos(draws.below(200)),
            eviction,
            buckets,
            quotas: match draws.one_in(3) && !splintered {
                true => quotas(&mut draws, units),
                false => QuotaConfig::default(),
            },
            free_target: ByteSize::new(if ahead {
                draws.below(units / 2) * UNIT.bytes()
            } else {
                0
            }),
            ahead_of_quotas: !draws.one_in(4),
            hash_seed: draws.next(),
        };
        let model = Model { grace: config.lease_grace, ..Model::default() };
        let catalog = Catalog::new(config.clone(), Epoch::new(0));
        let readers = Readers::new(catalog.slots_max(), &[]);
        let object_units_max = 1 + draws.below(if splintered { 1 } else { units / 2 });
        let reached = Reached::default();
        let mut run = Self {
            catalog,
            epoch: 0,
            model,
            readers,
            draws,
            config,
            object_units_max,
            splintered,
            retains,
            groups,
            reached,
            checksum: 0,
            stretches: Vec::new(),
            handed_over: Vec::new(),
            chosen: BTreeMap::new(),
            remembered: BTreeMap::new(),
            evictions: 0,
            favoured: None,
            used: BTreeMap::new(),
        };
        if splintered {
            run.splinter(units);
        }
        run
    }

    /// Fills the arena with objects of one unit and leases every second one.
    fn splinter(&mut self, units: u64) {
        self.catalog.grow(self.config.capacity);
        self.model.populate(units as usize);
        for unit in 0..units {
            let name = ("b0".to_owned(), format!("splinter {unit}"));
            self.reserve_as(name.clone(), UNIT.bytes(), UNIT.bytes());
            self.seal();
            self.observe();
            if unit % 2 == 0 {
                let ttl = Duration::from_nanos(4000 + self.draws.below(4000));
                self.lease(&name, ttl);
            }
        }
    }

    pub(crate) fn step(&mut self) {
        if self.catalog.is_changing_eviction() && self.draws.one_in(4) {
            self.hand_over();
        }
        match self.draws.below(40) {
            0..=8 => self.reserve(),
            9 => self.extend(),
            10..=15 => self.seal(),
            16 => self.abort(),
            17..=20 => self.acquire(),
            21 => self.acquire_many(),
            22..=24 => self.release(),
            25 => self.renew(),
            26 if self.draws.one_in(10) => self.hang_up(),
            26 => self.remove(),
            27 => self.expire(),
            28 => self.grow(),
            29 => self.quarantine(),
            30 if self.draws.one_in(40) => self.restart(),
            30 if self.draws.one_in(10) => self.change_eviction(),
            31..=33 => self.drain_some(),
            34 => self.choose(),
            35 => self.choose_within_quotas(),
            36 => self.give_up(),
            37 => self.follow(),
            _ => self.pass_time(),
        }
        self.observe();
        self.forget_spared();
        self.compare();
        self.check_quotas();
        if self.draws.one_in(50) {
            self.catalog.check();
        }
    }

    /// Lets everything end and expects every unit back.
    pub(crate) fn finish(mut self) -> Reached {
        for (number, id) in self.model.writes() {
            assert!(self.catalog.abort(id));
            self.model.forget(number);
        }
        self.model.now = Timestamp::from_nanos(u64::MAX);
        self.model.pass();
        self.expire_all();
        let names: Vec<_> = self.model.named.keys().cloned().collect();
        for name in names {
            self.remove_name(name);
            self.observe();
        }
        self.drain();
        let stats = self.catalog.stats(self.model.now);
        assert_eq!(stats.free, stats.populated, "nothing has leaked");
        assert_eq!((stats.leases_live, stats.objects, stats.stored), (0, 0, ByteSize::ZERO));
        assert_eq!(self.catalog.buckets(0).0, []);
        assert_eq!(self.readers.len(), 0, "every slot was freed");
        assert!(self.model.objects.is_empty(), "everything has left");
        self.catalog.check();
        self.reached
    }

    /// Takes what the catalog reports, and brings the model to where the catalog is. Returns the
    /// number of changes.
    pub(crate) fn observe(&mut self) -> usize {
        let changes = self.readers.take(&mut self.catalog);
        for change in &changes {
            self.follow_change(change);
        }
        changes.len()
    }

    fn follow_change(&mut self, change: &Change) {
        let number = self.model.of_generation(change.generation);
        let name = (change.bucket.to_string(), change.key.to_string());
        let is_read = self.model.is_read(number);
        let object = self.model.objects.get_mut(&number).unwrap();
        assert_eq!(object.name, name);
        match change.kind {
            ChangeKind::Sealed => {
                self.remembered.remove(&name);
                self.spare_group(&name);
            }
            ChangeKind::Restored => unreachable!("restored objects are reported at once"),
            ChangeKind::Verified => unreachable!("no object is verified here"),
            ChangeKind::Expired => unreachable!("no object has a time to live here"),
            // The operation has told the model.
            ChangeKind::Removed | ChangeKind::Corrupt => {
                self.chosen.remove(&change.generation);
                assert!(matches!(object.state, State::Removed), "it was removed on request");
            }
            ChangeKind::Evicted { copied } => {
                assert!(matches!(object.state, State::Sealed(_)), "only the sealed are evicted");
                assert!(!is_read, "object {number} was evicted while being read");
                assert!(!object.is_kept(), "object {number} was evicted and is retained or pinned");
                assert!(change.freed, "what is evicted has no reader");
                self.check_may_leave(&name);
                self.chosen.remove(&change.generation);
                self.model.named.remove(&name);
                self.evictions += 1;
                self.note_group(&name);
                let objects = self.model.objects.len() as u64;
                let remembered =
                    Remembered { copied, number: self.evictions, objects: objects - 1 };
                self.remembered.insert(name, remembered);
                self.reached.evicted += 1;
                self.reached.evicted_in_change += u64::from(self.catalog.is_changing_eviction());
            }
            ChangeKind::Freed => assert!(matches!(object.state, State::Removed)),
        }
        if change.freed {
            assert!(!is_read, "object {number} departs while being read");
            let object = self.model.objects.get_mut(&number).unwrap();
            object.state = State::Departed(change.sequence);
        }
    }

    /// The required readers apply some of what they lag behind, and say so or not.
    fn drain_some(&mut self) {
        let count = self.draws.below(self.readers.lag() as u64 + 1) as usize;
        self.readers.apply(count);
        if !self.draws.one_in(3) {
            self.acknowledge();
        }
    }

    /// The required readers catch up.
    pub(crate) fn drain(&mut self) {
        self.observe();
        self.readers.apply(self.readers.lag());
        self.acknowledge();
    }

    fn acknowledge(&mut self) {
        let sequence = self.readers.applied.sequence;
        self.catalog.acknowledge(sequence);
        self.model.acknowledge(sequence);
    }

    fn follow(&mut self) {
        let missed = self.readers.follow(&self.catalog);
        self.reached.gaps += u64::from(missed);
        self.reached.followed += u64::from(!missed);
    }

    /// Asks for victims: objects that can be evicted, no more than are needed.
    fn choose(&mut self) {
        // Who is read is known on both sides.
        self.expire_all();
        let short = self.catalog.is_short_of_room();
        let max = self.draws.below(8) as usize;
        let victims = self.catalog.victims(max);
        assert!(victims.len() <= max);
        let short = short && !self.have_guarantees();
        assert!(!short || max == 0 || !victims.is_empty(), "what is short of room finds victims");
        let target = self.config.free_target;
        let free = self.catalog.stats(self.model.now).free;
        assert!(victims.is_empty() || free < target, "enough is free");
        for victim in victims {
            let number = self.note_victim(victim);
            self.check_turn(number);
            self.chosen.insert(victim.generation, (number, victim));
        }
    }

    /// Asks for victims within quotas: objects of who has nearly as much as it may.
    fn choose_within_quotas(&mut self) {
        self.expire_all();
        let max = self.draws.below(8) as usize;
        let is_short = self.catalog.is_short_within_quotas();
        let victims = self.catalog.victims_within_quotas(max);
        assert!(victims.len() <= max);
        assert!(victims.is_empty() || self.config.ahead_of_quotas && is_short);
        for victim in victims {
            let number = self.note_victim(victim);
            self.check_near_quota(number);
            self.chosen.insert(victim.generation, (number, victim));
            self.reached.within_quotas += 1;
        }
    }

    /// Takes a victim that is handed over. Returns its object.
    fn note_victim(&mut self, victim: Victim) -> u64 {
        let number = self.model.of_generation(victim.generation);
        let State::Sealed(info) = &self.model.objects[&number].state else {
            panic!("a victim is sealed")
        };
        let described = self.catalog.victim(&victim).expect("it is a victim");
        assert_eq!(described, *info);
        assert!(!self.model.is_read(number), "a victim has no reader");
        assert!(!self.model.objects[&number].is_kept(), "a victim is not retained or pinned");
        assert!(!self.chosen.contains_key(&victim.generation), "a victim is handed over once");
        self.handed_over.push((victim, described));
        self.reached.victims += 1;
        number
    }

    /// Another policy begins to take over all objects, unless one does already.
    fn change_eviction(&mut self) {
        let eviction = *self.draws.pick(&EvictionKind::ALL).unwrap();
        let is_changing = self.catalog.is_changing_eviction();
        let successor = Successor::new(eviction, self.catalog.slots());
        let begun = self.catalog.change_eviction(successor).is_ok();
        assert_eq!(begun, !is_changing, "one change at a time");
        self.reached.refused_change += u64::from(is_changing);
        self.catalog.check();
    }

    /// Some objects are handed over to the new policy.
    fn hand_over(&mut self) {
        let max = self.draws.below(8) as u32;
        let is_over = self.catalog.hand_over(max).is_some();
        assert_eq!(is_over, !self.catalog.is_changing_eviction());
        self.catalog.check();
        self.reached.eviction_changed += u64::from(is_over);
    }

    /// Gives up a victim: it leaves exactly if it is one still.
    fn give_up(&mut self) {
        let Some((victim, info)) = self.draws.take(&mut self.handed_over) else { return };
        let copied = self.draws.one_in(2);
        let mut known = self.chosen.remove(&victim.generation).is_some();
        let there = self.catalog.stat(info.bucket.as_str(), info.key.as_str());
        let same = there.is_some_and(|info| info.generation == victim.generation);
        assert!(same || !known, "a victim serves until it is given up");
        // One that was spared may be chosen again before it is given up: with its group, or beyond a guarantee.
        let is_victim = self.catalog.victim(&victim).is_some();
        let again = self.have_guarantees() || KeyGroup::of(info.key.as_str()).is_some();
        assert!(is_victim == known || is_victim && again);
        known = is_victim;
        self.favoured = self.favoured_by_quota(info.bucket.as_str());
        let left = self.catalog.give_up(&victim, copied);
        self.observe();
        self.favoured = None;
        assert!(known || !left, "only a victim leaves");
        assert!(left || !known || self.have_guarantees(), "a victim leaves");
        if known && !left {
            // Its bucket or tenant is owed what it has: it is a victim no longer, with its group.
            known = false;
            assert!(self.catalog.victim(&victim).is_none(), "it was spared");
            self.spare_group(&(info.bucket.to_string(), info.key.to_string()));
        }
        self.reached.given_up += u64::from(known);
        self.reached.spared += u64::from(!known && same);
    }

    /// A victim of who had more than it is guaranteed, or that was chosen for room within its own quota, is spared if it
    /// would leave for others when there is no more than the guarantee. It may be chosen again in a later step, so
    /// this is called after each.
    fn forget_spared(&mut self) {
        if !self.have_guarantees() {
            return;
        }
        let spared = |(_, victim): &(u64, Victim)| self.catalog.victim(victim).is_none();
        let spared: Vec<(u64, Victim)> = self.chosen.values().copied().filter(spared).collect();
        for (number, victim) in spared {
            let bucket = &self.model.objects[&number].name.0;
            assert!(
                self.is_guaranteed(bucket),
                "{bucket} is guaranteed nothing: no reason to spare"
            );
            self.chosen.remove(&victim.generation);
        }
    }

    /// Whether an object is a victim.
    pub(crate) fn is_chosen(&self, number: u64) -> bool {
        self.chosen.values().any(|(chosen, _)| *chosen == number)
    }

    /// An object is read: it is a victim no longer.
    pub(crate) fn spare(&mut self, generation: u64) {
        self.chosen.remove(&generation);
    }

    /// An object of a group is read or sealed: the others are no victims any more, unless the group is of no
    /// more use.
    pub(crate) fn spare_group(&mut self, name: &(String, String)) {
        let Some(group) = KeyGroup::of(&name.1) else { return };
        for (victim, info) in &self.handed_over {
            let other = KeyGroup::of(info.key.as_str()) == Some(group);
            let spared = other && info.bucket.as_str() == name.0;
            if spared && self.catalog.victim(victim).is_none() {
                let known = self.chosen.remove(&victim.generation).is_some();
                self.reached.spared_with_group += u64::from(known);
            }
        }
    }

    /// An object of a group was evicted. Counts how often that follows the eviction of another one of it.
    fn note_group(&mut self, name: &(String, String)) {
        let Some(group) = KeyGroup::of(&name.1) else { return };
        let mut remembered = self.remembered.iter();
        let followed = remembered.any(|(other, known)| {
            let same = other.0 == name.0 && KeyGroup::of(&other.1) == Some(group);
            same && known.number + 1 == self.evictions
        });
        self.reached.left_with_group += u64::from(followed);
    }

    /// A miss: says it is elsewhere exactly if it was copied, as far as that is remembered.
    pub(crate) fn check_miss(&mut self, name: &(String, String), miss: Miss) {
        let (evicted, elsewhere) = (miss == Miss::Evicted, miss == Miss::Elsewhere);
        let known = self.remembered.get(name).copied();
        let forgotten = known.is_none_or(|known| self.evictions - known.number >= known.objects);
        assert!(forgotten || evicted || elsewhere, "{known:?} is forgotten too soon");
        let copied = known.filter(|_| evicted || elsewhere).map(|known| known.copied);
        assert_eq!(copied.unwrap_or(false), elsewhere, "{known:?}");
        assert_eq!(copied.is_some(), evicted || elsewhere, "it was evicted");
        self.reached.elsewhere += u64::from(elsewhere);
    }

    /// A name that was evicted and may be remembered.
    pub(crate) fn evicted_name(&mut self) -> Option<(String, String)> {
        let names: Vec<_> = self.remembered.keys().collect();
        self.draws.pick(&names).map(|name| (*name).clone())
    }

    /// Nothing is handed over, chosen or remembered by a catalog that begins.
    pub(crate) fn forget_evictions(&mut self) {
        self.handed_over.clear();
        self.chosen.clear();
        self.remembered.clear();
    }

    /// Catalog, model and log tell the same story.
    fn compare(&mut self) {
        for (name, number) in &self.model.named {
            let info = self.catalog.stat(&name.0, &name.1);
            match &self.model.objects[number].state {
                State::Sealed(sealed) => {
                    let info = info.expect("nothing vanishes without being evicted or removed");
                    assert_eq!(ObjectInfo { leases: 0, ..info }, *sealed, "nothing moves");
                }
                State::Pending(_) => assert!(info.is_none(), "a pending object is invisible"),
                State::Removed | State::Departed(_) => unreachable!("what left has no name"),
            }
        }
        self.compare_replay();
        let stats = self.catalog.stats(self.model.now);
        let units = |state: fn(&State) -> bool| self.model.units_of(state) * UNIT.bytes();
        let pending = units(|state| matches!(state, State::Pending(_)));
        let allocated = units(|state| matches!(state, State::Sealed(_)));
        let left = units(|state| matches!(state, State::Removed | State::Departed(_)));
        let populated = self.model.units.len() as u64 * UNIT.bytes();
        assert_eq!(stats.populated.bytes(), populated);
        assert_eq!((stats.being_written.bytes(), stats.allocated.bytes()), (pending, allocated));
        let rest = stats.free.bytes() + stats.quarantined.bytes();
        assert_eq!(rest + pending + allocated, populated, "every unit is accounted for");
        assert!(stats.quarantined.bytes() >= left, "what left is not free before its time");
        let free = self.model.units.iter().filter(|owner| owner.is_none()).count() as u64;
        assert!(stats.free.bytes() <= free * UNIT.bytes(), "nothing is free that must wait");
        assert!(stats.leases_live >= self.model.live_leases().len() as u64);
    }

    /// A replay of the log gives exactly what is published.
    fn compare_replay(&self) {
        let manifest = &self.readers.shadow.manifest;
        let sealed = self.model.objects.values().filter_map(|object| match &object.state {
            State::Sealed(info) => Some(info),
            _ => None,
        });
        let sealed: BTreeMap<u64, &ObjectInfo> =
            sealed.map(|info| (info.generation, info)).collect();
        assert_eq!(manifest.len(), sealed.len(), "the replay has what is published");
        for entry in manifest.values() {
            let info = sealed.get(&entry.generation).expect("it is published");
            assert!(entry.is_of(info), "{entry:?} is not {info:?}");
        }
        if self.model.objects.len() < 20 {
            // The model has it from the log in part: now and then from the catalog itself.
            assert_eq!(published(&self.catalog).len(), manifest.len());
        }
    }
}
