//! Policies of buckets, on the catalog and its model: who is pinned, and whose turn it is to leave.

use std::collections::BTreeMap;

use kvlease_cache::UNIT;
use kvlease_testing::Draws;
use kvlease_types::{BucketName, BucketPolicy, KeyGroup};

use crate::{
    naive::{Object, State},
    run::Run,
};

/// Part of the arena, and of all slots, that pinned objects may have.
const PINNED_PART: u64 = 4;

/// Policies of some of the buckets that objects are stored in.
pub(crate) fn policies(draws: &mut Draws) -> BTreeMap<BucketName, BucketPolicy> {
    let mut policies = BTreeMap::new();
    for bucket in ["b0", "b1"] {
        let policy = BucketPolicy {
            priority: draws.below(3) as i32 - 1,
            weight: 10 + draws.below(300) as u32,
            ttl: None,
            pinned: if draws.one_in(2) { vec!["1".to_owned(), "20".to_owned()] } else { vec![] },
        };
        policies.insert(BucketName::new(bucket).unwrap(), policy);
    }
    policies
}

impl Run {
    fn class(&self, object: &Object) -> Option<&BucketPolicy> {
        self.config.buckets.iter().find(|(name, _)| name.as_str() == object.name.0).map(|(_, p)| p)
    }

    /// Asserts that an object that was sealed now is pinned if its bucket's policy says so, within the bounds.
    pub(crate) fn check_pinned(&mut self, number: u64) {
        let object = &self.model.objects[&number];
        let pins = self.class(object).is_some_and(|policy| policy.pins(&object.name.1));
        let others = || self.model.objects.iter().filter(|(n, o)| **n != number && o.is_pinned());
        let units = others().map(|(_, object)| object.units()).sum::<u64>() + object.units();
        let fits = units <= self.config.capacity.bytes() / UNIT.bytes() / PINNED_PART
            && (others().count() as u64) < u64::from(self.catalog.slots_max()) / PINNED_PART;
        assert_eq!(object.is_pinned(), pins && fits, "{:?}", object.name);
        self.reached.pinned += u64::from(pins && fits);
        self.reached.not_pinned += u64::from(pins && !fits);
    }

    /// Asserts that it was this object's turn to be chosen, before which `self.chosen` had been.
    pub(crate) fn check_turn(&mut self, number: u64) {
        if KeyGroup::of(&self.model.objects[&number].name.1).is_some() {
            // It may leave for its group, whose turn it was before.
            return;
        }
        if self.have_guarantees() {
            // The order is then by what is taken beyond those, and not of all classes.
            return;
        }
        // A class by its bucket; all buckets without a policy are one.
        let class = |object: &Object| self.class(object).map(|_| object.name.0.clone());
        let default = BucketPolicy::default();
        let policy = |object: &Object| self.class(object).unwrap_or(&default);
        let mut rooms: BTreeMap<_, u64> = BTreeMap::new();
        for (other, object) in &self.model.objects {
            let counts = matches!(object.state, State::Sealed(_)) && !object.is_retained();
            if counts && !self.is_chosen(*other) {
                *rooms.entry(class(object)).or_default() += object.units();
            }
        }
        let object = &self.model.objects[&number];
        let over = |one: &Object, other: &Object| {
            rooms.get(&class(one)).copied().unwrap_or(0) * u64::from(policy(other).weight)
        };
        let mut decided = 0;
        for (other, candidate) in &self.model.objects {
            let may_go = matches!(candidate.state, State::Sealed(_)) && !candidate.is_kept();
            if !may_go || self.is_chosen(*other) || self.model.is_read(*other) {
                continue;
            }
            let (one, another) = (policy(object).priority, policy(candidate).priority);
            assert!(one <= another, "{:?} is of a lower priority", candidate.name);
            let more = over(candidate, object) > over(object, candidate);
            assert!(one < another || !more, "{:?} has more room for its weight", candidate.name);
            decided += u64::from(class(candidate) != class(object));
        }
        self.reached.chosen_by_class += u64::from(decided > 0);
    }
}
