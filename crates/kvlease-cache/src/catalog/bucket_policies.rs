//! Policies of buckets: set, removed and shown; and what follows for objects that are there.
//!
//! A change of a policy is in force for what is stored from then on. Objects that are there follow one by
//! one, in parts between which the catalog can be used: [`apply_policies`](Catalog::apply_policies).

use kvlease_types::{BucketName, BucketPolicy, ByteSize, Key, Timestamp};

use super::{Catalog, unit_bytes};
use crate::{
    changes::ChangeKind,
    classes::Class,
    config::LIST_SCAN_MAX,
    objects::State,
    outcome::{ClassInfo, PolicyInfo},
};

impl Catalog {
    /// Gives a bucket a policy, in place of the one that it has. Returns false if
    /// [as many](kvlease_types::BUCKET_POLICIES_MAX) buckets have one already.
    ///
    /// [`apply_policies`](Self::apply_policies) is to be called then, from 0 on to its end.
    #[must_use]
    pub fn set_bucket_policy(&mut self, bucket: &BucketName, policy: BucketPolicy) -> bool {
        let is_set = self.classes.set(bucket, policy);
        self.assign_class(bucket);
        is_set
    }

    /// Takes a bucket's policy away. Returns false if it has none. To be followed up in the same way.
    pub fn remove_bucket_policy(&mut self, bucket: &BucketName) -> bool {
        let is_removed = self.classes.remove(bucket);
        self.reclassify(bucket);
        is_removed
    }

    /// Tells the policy whose class a bucket has now, and gives that to its objects that come from now on.
    pub(super) fn assign_class(&mut self, bucket: &BucketName) {
        // The number may have been another bucket's, whose objects have all left.
        let class = self.classes.of(bucket);
        self.policy.assign(class, self.classes.owner(class));
        self.reclassify(bucket);
    }

    /// Objects of a bucket that come from now on have the class that it has now.
    fn reclassify(&mut self, bucket: &BucketName) {
        if let Some(id) = self.objects.find_bucket(bucket.as_str()) {
            self.objects.bucket_mut(id).class = self.classes.of(bucket);
        }
    }

    /// The bucket with its policy; `None` if it has none.
    pub fn bucket_policy(&self, bucket: &BucketName) -> Option<PolicyInfo> {
        let class = self.classes.of_policy(bucket)?;
        Some(self.describe_policy(bucket, class))
    }

    /// The buckets that have a policy, by name.
    pub fn bucket_policies(&self) -> Vec<PolicyInfo> {
        self.classes.buckets().map(|(name, class)| self.describe_policy(name, class)).collect()
    }

    /// All buckets without a policy.
    pub fn unpoliced(&self) -> ClassInfo {
        describe_class(self.classes.get(0))
    }

    /// The most space that pinned objects of all buckets may have.
    pub fn pinned_space_max(&self) -> ByteSize {
        unit_bytes(self.pinned_max().units)
    }

    /// Gives the objects from slot `from` on the class of their bucket, and pins and unpins them. Looks at
    /// [`LIST_SCAN_MAX`] slots at most. Returns where to go on; `None` at the end.
    ///
    /// An object that gets another class is in its order as one that was stored now.
    pub fn apply_policies(&mut self, from: u32) -> Option<u32> {
        let (slots, next) = self.part(from);
        for slot in slots {
            let object = self.objects.get(slot);
            if object.is_some_and(|object| object.state == State::Sealed && !object.retained) {
                self.apply_policy(slot);
            }
        }
        next
    }

    /// Removes the objects from slot `from` on whose time to live is over by `now`. Looks at
    /// [`LIST_SCAN_MAX`] slots at most, and ends where the change log is full. Returns where to go on;
    /// `None` at the end, and if no object has a time to live.
    ///
    /// Look-ups find no such object, removed or not: calling late only delays the reuse of its space.
    pub fn remove_all_expired(&mut self, from: u32, now: Timestamp) -> Option<u32> {
        if !self.classes.have_ttl() {
            return None;
        }
        let (slots, next) = self.part(from);
        for slot in slots {
            if self.log.is_full() {
                return Some(slot);
            }
            if self.objects.get(slot).is_some_and(|object| {
                object.state == State::Sealed && self.classes.is_expired(object, now)
            }) {
                self.remove_sealed(slot, ChangeKind::Expired);
            }
        }
        next
    }

    /// Removes the object of a name if its time to live is over: the name is free then.
    pub(super) fn remove_expired(
        &mut self,
        hash: u64,
        bucket: &BucketName,
        key: &Key,
        now: Timestamp,
    ) {
        let named = self.objects.find_hashed(hash, bucket.as_str(), key.as_str());
        let Some(slot) = named else { return };
        let object = &self.objects[slot];
        if object.state == State::Sealed && self.classes.is_expired(object, now) {
            self.remove_sealed(slot, ChangeKind::Expired);
        }
    }

    /// Slots to look at in one call, and where the next one goes on.
    fn part(&self, from: u32) -> (std::ops::Range<u32>, Option<u32>) {
        let span = u32::try_from(self.objects.span()).expect("slots are numbered by 32 bits");
        let end = span.min(from.saturating_add(LIST_SCAN_MAX as u32));
        (from..end, (end < span).then_some(end))
    }

    fn apply_policy(&mut self, slot: u32) {
        let object = &self.objects[slot];
        let class = self.objects.bucket(object.bucket).class;
        let pins = self.classes.get(class).policy.pins(object.key.as_str());
        let (before, was_pinned, units) = (object.class, object.pinned, object.allocation.units);
        if was_pinned && (!pins || class != before) {
            self.classes.unpin(before, units);
        }
        let stays_pinned = was_pinned && pins && class == before;
        let pinned = stays_pinned || pins && self.classes.may_pin(units, self.pinned_max());
        if pinned && !stays_pinned {
            self.classes.pin(class, units);
        }
        if (class, pinned) != (before, was_pinned) {
            self.reenter(slot, class, pinned);
        }
    }

    fn describe_policy(&self, bucket: &BucketName, class: &Class) -> PolicyInfo {
        PolicyInfo {
            bucket: bucket.clone(),
            policy: class.policy.clone(),
            class: describe_class(class),
        }
    }
}

fn describe_class(class: &Class) -> ClassInfo {
    ClassInfo {
        objects: class.objects,
        taken: unit_bytes(class.account.taken.units),
        pinned_objects: class.pinned.objects,
        pinned: unit_bytes(class.pinned.units),
        evicted: class.totals.evicted,
        evicted_bytes: class.totals.evicted_bytes,
        expired: class.totals.expired,
        unpinned: class.totals.unpinned,
    }
}
